/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random stores, made without the decoder so that also what it would refuse
 * gets here: everything compiles, opens, and every backendRef has the share
 * that its weight asks for, to 2^-32 of the table.
 */
#include "compile_site.h"

static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % below);
}

static struct weir_str pick(const char *const *v, uint32_t n)
{
	return weir_str_of(v[draw(n)]);
}

#define PICK(v) pick((v), sizeof(v) / sizeof((v)[0]))

static const char *const spaces[] = {"a", "b"};
static const char *const names[] = {"n1", "n2", "n3", "n4"};
static const char *const hosts[] = {
	"", "x.example", "*.example", "*.x.example", "*.", "y.x.example"};
static const char *const paths[] = {"/", "/a", "/a/", "/a/b", "/v[0-9]+"};
static const char *const bad_paths[] = {"bad", "", "//", "/("};
static const char *const protocols[] = {"HTTP", "HTTP",  "HTTP", "TCP",
					"UDP",  "HTTPS", "TLS",  "x"};
static const char *const words[] = {"",    "Service",  "Gateway", "x-a",
				    "X-A", "bad name", "\r\n"};

static struct weir_str path(void)
{
	return draw(40) ? PICK(paths) : PICK(bad_paths);
}

static void *array(struct weir_arena *a, size_t n, size_t size)
{
	void *p = weir_arena_array(a, n, size);

	must(p != NULL, "memory");
	return p;
}

static void random_ip(struct weir_ip *ip)
{
	char text[32];

	snprintf(text, sizeof(text), draw(4) ? "10.0.0.%u" : "fd00::%u",
		 draw(6));
	must(weir_ip_parse(weir_str_of(text), ip) == 0, "%s", text);
}

static void add_gateway(struct weir_arena *a, struct weir_object *o)
{
	struct weir_gateway_spec *g = array(a, 1, sizeof(*g));
	struct weir_listener_spec *l;
	struct weir_ip *ips;

	g->n_listeners = draw(6);
	l = array(a, g->n_listeners, sizeof(*l));
	g->n_addresses = draw(3);
	ips = array(a, g->n_addresses, sizeof(*ips));
	for (size_t i = 0; i < g->n_listeners; i++) {
		l[i].name = PICK(names);
		l[i].hostname = PICK(hosts);
		l[i].protocol = PICK(protocols);
		l[i].port = (uint16_t)(80 + draw(3));
		l[i].from = draw(4) ? WEIR_FROM_ALL : (enum weir_from)draw(4);
	}
	for (size_t i = 0; i < g->n_addresses; i++) {
		random_ip(&ips[i]);
	}
	g->class_name = draw(8) ? WEIR_STR("weir") : PICK(names);
	g->listeners = l;
	g->addresses = ips;
	o->gateway = g;
}

static void random_filters(struct weir_arena *a, const struct weir_mfilter **v,
			   size_t *n)
{
	struct weir_mfilter *f;
	struct weir_pair *pair = array(a, 1, sizeof(*pair));

	*n = draw(4) ? 0 : draw(4);
	f = array(a, *n, sizeof(*f));
	pair->key = PICK(words);
	pair->value = PICK(words);
	for (size_t i = 0; i < *n; i++) {
		f[i].type = (enum weir_mfilter_type)draw(8);
		f[i].set = (struct weir_pairs){pair, 1};
		f[i].hostname = PICK(hosts);
		f[i].path_mod = (enum weir_mpath_mod)draw(3);
		f[i].path = PICK(paths);
		f[i].status = (uint16_t)(300 + draw(10));
	}
	*v = f;
}

static void random_matches(struct weir_arena *a, struct weir_route_rule *rule)
{
	struct weir_http_match *m;
	struct weir_value_match *h = array(a, 2, sizeof(*h));

	rule->n_matches = draw(4);
	m = array(a, rule->n_matches, sizeof(*m));
	for (size_t i = 0; i < 2; i++) {
		h[i].name = PICK(words);
		h[i].value = path();
		h[i].type = (enum weir_value_type)draw(2);
	}
	for (size_t i = 0; i < rule->n_matches; i++) {
		m[i].path_type = (enum weir_mpath_type)draw(3);
		m[i].path = path();
		m[i].headers = h;
		m[i].n_headers = draw(3);
		m[i].query = h;
		m[i].n_query = draw(6) ? 0 : draw(3);
		m[i].method = draw(3) ? WEIR_STR("") : WEIR_STR("GET");
	}
	rule->matches = m;
}

static void random_backends(struct weir_arena *a, struct weir_route_rule *rule,
			    struct weir_str ns)
{
	static const uint32_t weights[] = {0,  1,  1,       3,
					   10, 90, 1000000, 0xFFFFFFFF};
	struct weir_backend_ref *b;

	rule->n_backends = draw(16) ? draw(5) : draw(70);
	b = array(a, rule->n_backends, sizeof(*b));
	for (size_t i = 0; i < rule->n_backends; i++) {
		b[i].group = draw(5) ? WEIR_STR("")
				     : WEIR_STR("serving.knative.dev");
		b[i].kind = draw(9) ? WEIR_STR("Service") : PICK(words);
		b[i].ns = draw(4) ? ns : PICK(spaces);
		b[i].name = PICK(names);
		b[i].port = draw(9) ? 80 : (uint16_t)draw(0x10000);
		b[i].weight = weights[draw(8)];
		random_filters(a, &b[i].filters, &b[i].n_filters);
	}
	rule->backends = b;
}

static void add_route(struct weir_arena *a, struct weir_object *o)
{
	struct weir_route_spec *r = array(a, 1, sizeof(*r));
	struct weir_parent_ref *p;
	struct weir_route_rule *rules;
	struct weir_str *v;

	r->n_parents = 1 + draw(3);
	p = array(a, r->n_parents, sizeof(*p));
	for (size_t i = 0; i < r->n_parents; i++) {
		bool is_gateway = draw(5);

		p[i].group = is_gateway ? WEIR_STR("gateway.networking.k8s.io")
					: WEIR_STR("");
		p[i].kind = is_gateway ? WEIR_STR("Gateway")
				       : WEIR_STR("Service");
		p[i].ns = is_gateway ? PICK(spaces) : o->ns;
		p[i].name = PICK(names);
		p[i].section = draw(6) ? WEIR_STR("") : PICK(names);
		p[i].port = draw(6) ? 0 : 80;
	}
	r->hostnames.n = draw(4);
	v = array(a, r->hostnames.n, sizeof(*v));
	for (size_t i = 0; i < r->hostnames.n; i++) {
		v[i] = PICK(hosts);
	}
	r->n_rules = 1 + draw(3);
	rules = array(a, r->n_rules, sizeof(*rules));
	for (size_t i = 0; i < r->n_rules; i++) {
		rules[i].name = draw(3) ? WEIR_STR("") : PICK(names);
		random_matches(a, &rules[i]);
		random_backends(a, &rules[i], o->ns);
		random_filters(a, &rules[i].filters, &rules[i].n_filters);
	}
	r->parents = p;
	r->hostnames.v = v;
	r->rules = rules;
	o->route = r;
}

static void add_service(struct weir_arena *a, struct weir_object *o)
{
	static const char *const apps[] = {"", "", "kubernetes.io/h2c",
					   "kubernetes.io/ws"};
	struct weir_service_spec *s = array(a, 1, sizeof(*s));
	struct weir_service_port *p = array(a, 2, sizeof(*p));
	struct weir_pair *label = array(a, 1, sizeof(*label));
	struct weir_ip *ips = array(a, 2, sizeof(*ips));

	for (size_t i = 0; i < 2; i++) {
		p[i].name = draw(2) ? WEIR_STR("") : WEIR_STR("http2");
		p[i].protocol = draw(4) ? WEIR_STR("TCP") : WEIR_STR("UDP");
		p[i].app_protocol = PICK(apps);
		p[i].port = 80;
		random_ip(&ips[i]);
	}
	*label = (struct weir_pair){WEIR_STR("serving.knative.dev/route"),
				    PICK(names)};
	o->labels = (struct weir_pairs){label, draw(2)};
	s->type = draw(8) ? WEIR_STR("ClusterIP") : WEIR_STR("ExternalName");
	s->cluster_ips = ips;
	s->n_cluster_ips = draw(3);
	s->ports = p;
	s->n_ports = draw(3);
	s->has_client_affinity = draw(5) == 0;
	o->service = s;
}

static void add_slice(struct weir_arena *a, struct weir_object *o)
{
	struct weir_slice_spec *s = array(a, 1, sizeof(*s));
	struct weir_slice_port *p = array(a, 1, sizeof(*p));
	struct weir_slice_endpoint *e;

	s->n_endpoints = draw(5);
	e = array(a, s->n_endpoints, sizeof(*e));
	for (size_t i = 0; i < s->n_endpoints; i++) {
		struct weir_ip *ips = array(a, 2, sizeof(*ips));

		random_ip(&ips[0]);
		e[i].addresses = ips;
		e[i].n_addresses = draw(3);
		e[i].is_ready = draw(2);
		e[i].is_serving = draw(2);
		e[i].is_terminating = draw(2);
		e[i].node = PICK(names);
	}
	p->name = draw(2) ? WEIR_STR("") : WEIR_STR("http2");
	p->protocol = WEIR_STR("TCP");
	p->port = (uint16_t)draw(3);
	s->service = PICK(names);
	s->ports = p;
	s->n_ports = draw(2);
	s->endpoints = e;
	o->slice = s;
}

static void add_kingress(struct weir_arena *a, struct weir_object *o)
{
	static const char *const king_hosts[] = {
		"n1.a",     "n1.a.svc", "n2.a.svc.cluster.local",
		"n3.b.svc", ".a",       "",
		"n1",       "n1.a.svcx"};
	struct weir_king_spec *s = array(a, 1, sizeof(*s));
	struct weir_king_rule *r = array(a, 2, sizeof(*r));

	for (size_t i = 0; i < 2; i++) {
		struct weir_str *v = array(a, 2, sizeof(*v));
		struct weir_king_path *p = array(a, 2, sizeof(*p));

		v[0] = PICK(king_hosts);
		v[1] = PICK(king_hosts);
		r[i].hosts = (struct weir_strs){v, draw(3)};
		r[i].is_cluster_local = draw(4);
		r[i].paths = p;
		r[i].n_paths = draw(3);
		for (size_t k = 0; k < 2; k++) {
			struct weir_king_split *t = array(a, 2, sizeof(*t));

			p[k].path = path();
			p[k].splits = t;
			p[k].n_splits = draw(3);
			t[0].service = PICK(names);
			t[1].service = PICK(names);
			t[0].port = t[1].port = 80;
			t[0].percent = draw(101);
			t[1].percent = draw(8) ? 100 - t[0].percent : 7;
		}
	}
	s->ingress_class = draw(3) ? WEIR_STR(WEIR_KINGRESS_CLASS)
				   : WEIR_STR("other");
	s->rules = r;
	s->n_rules = draw(3);
	o->kingress = s;
}

static void add_grant(struct weir_arena *a, struct weir_object *o)
{
	struct weir_grant_spec *g = array(a, 1, sizeof(*g));
	struct weir_grant_from *f = array(a, 1, sizeof(*f));
	struct weir_grant_to *t = array(a, 1, sizeof(*t));

	f->group = WEIR_STR("gateway.networking.k8s.io");
	f->kind = WEIR_STR("HTTPRoute");
	f->ns = PICK(spaces);
	t->kind = WEIR_STR("Service");
	t->name = draw(2) ? WEIR_STR("") : PICK(names);
	*g = (struct weir_grant_spec){f, 1, t, draw(2)};
	o->grant = g;
}

static void add_random(struct weir_store *store)
{
	static const struct {
		enum weir_kind kind;
		void (*fill)(struct weir_arena *a, struct weir_object *o);
	} kinds[] = {{WEIR_KIND_GATEWAY, add_gateway},
		     {WEIR_KIND_HTTP_ROUTE, add_route},
		     {WEIR_KIND_HTTP_ROUTE, add_route},
		     {WEIR_KIND_TCP_ROUTE, add_route},
		     {WEIR_KIND_UDP_ROUTE, add_route},
		     {WEIR_KIND_GRPC_ROUTE, add_route},
		     {WEIR_KIND_TLS_ROUTE, add_route},
		     {WEIR_KIND_SERVICE, add_service},
		     {WEIR_KIND_SERVICE, add_service},
		     {WEIR_KIND_ENDPOINT_SLICE, add_slice},
		     {WEIR_KIND_KINGRESS, add_kingress},
		     {WEIR_KIND_REFERENCE_GRANT, add_grant}};
	uint32_t i = draw(sizeof(kinds) / sizeof(kinds[0]));
	struct weir_arena arena;
	struct weir_object *o;

	weir_arena_init(&arena, 1024);
	o = array(&arena, 1, sizeof(*o));
	o->kind = kinds[i].kind;
	o->ns = PICK(spaces);
	o->name = PICK(names);
	o->created_s = draw(4);
	kinds[i].fill(&arena, o);
	must(weir_store_put(store, &arena, o) == 0, "put");
}

/* Parts of 2^32 that a ref owns in its row, from the slots themselves. */
static uint64_t owned(const struct weir_slot *v, uint32_t n, uint32_t ref)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t own = v[i].alias == i ? 1ull << 32 : v[i].threshold;

		sum += v[i].group == ref ? own : 0;
		sum += v[v[i].alias].group == ref && v[i].alias != i
			       ? (1ull << 32) - own
			       : 0;
	}
	return sum;
}

static void check_rule(const struct weir_plan *p, const struct weir_rule *rule)
{
	const struct weir_ref *refs = weir_plan_at(p, rule->refs);
	const struct weir_slot *slots = weir_plan_at(p, rule->slots);
	uint64_t total = 0;
	uint32_t n_positive = 0;

	for (uint32_t i = 0; i < rule->refs.n; i++) {
		total += refs[i].weight;
		n_positive += refs[i].weight > 0;
	}
	ok(rule->slots.n == n_positive, "a slot per weight");
	for (uint32_t i = 0; i < rule->refs.n; i++) {
		double want = total ? (double)refs[i].weight / (double)total
				    : 0;
		double got = (double)owned(slots, rule->slots.n, i) /
			     ((double)(1ull << 32) * rule->slots.n);

		if (refs[i].weight == 0) {
			ok(owned(slots, rule->slots.n, i) == 0, "0 is never");
			continue;
		}
		ok(got > 0 && got - want < 1e-8 && want - got < 1e-8,
		   "share %.12f, expected %.12f", got, want);
	}
}

static void check_plan(const struct site *s)
{
	const struct weir_plan *p = s->view.rules;
	const struct weir_rule *rules = weir_plan_at(p, p->rules);
	const struct weir_frontend *f = weir_plan_at(p, p->frontends);

	for (uint32_t i = 0; i < p->rules.n; i++) {
		check_rule(p, &rules[i]);
	}
	for (uint32_t i = 0; i < p->frontends.n; i++) {
		ok((f[i].plane == WEIR_PLANE_CONNECTION) ==
			   (f[i].rule != WEIR_NONE),
		   "plane and rule of frontend %u", i);
		ok(f[i].proxy_index == 0, "its place is stamped");
		ok(f[i].is_local || p->proxied.n == WEIR_PROXIED_MAX,
		   "local, or there are places");
	}
}

static void any_store_compiles_into_a_plan_with_exact_shares(void)
{
	uint64_t n_rules = 0;

	for (unsigned round = 0; round < 2000; round++) {
		_cleanup_(site_fini) struct site s = {0};

		state = round;
		must(weir_store_new(&s.store) == 0, "store");
		for (uint32_t n = 10 + draw(80); n > 0; n--) {
			add_random(s.store);
		}
		site_compile(&s);
		check_plan(&s);
		n_rules += s.view.rules->rules.n;
		if (tap_failures) {
			printf("# round %u\n", round);
			return;
		}
	}
	ok(n_rules > 5000, "only %llu rules", (unsigned long long)n_rules);
}

TAP_MAIN(TEST(any_store_compiles_into_a_plan_with_exact_shares))
