/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recompilation must give the bytes of a full one, whatever was edited; and
 * it must take the short way exactly where only weights changed.
 */
#include "compile_site.h"
#include "stamp.h"

static const char gateway[] =
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: gw, namespace: d}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{value: 10.0.0.1}]\n"
	"  listeners:\n"
	"  - {name: http, port: 80, protocol: HTTP}\n"
	"  - {name: tcp, port: 90, protocol: TCP}\n"
	"  - {name: odd, port: 91, protocol: example.com/odd}\n";

static void put_text(struct site *s, const char *text)
{
	site_load(s, weir_str_of(text), 0);
}

static void put_service(struct site *s, unsigned i)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{apiVersion: v1, kind: Service, metadata: {name: s%u, "
		 "namespace: d}, spec: {ports: [{port: 80}]}}\n---\n"
		 "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "
		 "metadata: {name: s%u-x, namespace: d, labels: "
		 "{kubernetes.io/service-name: s%u}}, addressType: IPv4, "
		 "ports: [{port: 8080}], endpoints: [{addresses: "
		 "[10.1.0.%u]}]}\n",
		 i, i, i, i + 1);
	put_text(s, text);
}

/* A route with n backends, of which the k-th has weights[k]. */
static void put_route(struct site *s, const char *kind, unsigned i,
		      const unsigned *weights, unsigned n, const char *host)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(&b,
			"apiVersion: gateway.networking.k8s.io/%s\nkind: %s\n"
			"metadata: {name: r%u, namespace: d, generation: %u}\n"
			"spec:\n  parentRefs: [{name: gw}]\n",
			strcmp(kind, "TCPRoute") ? "v1" : "v1alpha2", kind, i,
			weights[0] + 1);
	if (host) {
		weir_buf_printf(&b, "  hostnames: [%s]\n", host);
	}
	weir_buf_printf(&b, "  rules:\n  - backendRefs:\n");
	for (unsigned k = 0; k < n; k++) {
		weir_buf_printf(&b, "    - {name: s%u, port: 80, weight: %u}\n",
				k, weights[k]);
	}
	weir_buf_add(&b, "", 1);
	put_text(s, b.p);
}

/* The slice of put_service() with other endpoints, some of them twice, some
 * not ready, some on their way out. */
static void put_endpoints(struct site *s, const char *service, unsigned seed)
{
	static const char *const conditions[] = {
		"",
		", conditions: {ready: true}, nodeName: node-a",
		", conditions: {ready: false}",
		(", conditions: {ready: false, terminating: true, serving: "
		 "true}"),
	};
	_cleanup_buf_ struct weir_buf b = {0};

	/* On the same line as there. */
	weir_buf_printf(&b,
			"\n\n{apiVersion: discovery.k8s.io/v1, kind: "
			"EndpointSlice, metadata: {name: %s-x, namespace: d, "
			"labels: {kubernetes.io/service-name: %s}}, "
			"addressType: IPv4, ports: [{port: 8080}], endpoints: "
			"[",
			service, service);
	for (unsigned i = 0; i < seed % 5; i++) {
		weir_buf_printf(&b, "%s{addresses: [10.1.0.%u]%s}",
				i ? ", " : "", (seed >> (3 * i)) % 8 + 1,
				conditions[(seed >> (2 * i + 8)) % 4]);
	}
	weir_buf_printf(&b, "]}\n");
	weir_buf_add(&b, "", 1);
	put_text(s, b.p);
}

/* A revision whose endpoints decide the plane of the rule. */
static const char knative[] =
	"{apiVersion: v1, kind: Service, metadata: {name: app, namespace: d, "
	"labels: {serving.knative.dev/route: app}}, spec: {clusterIP: "
	"10.96.0.1, ports: [{name: http, port: 80}]}}\n---\n"
	"{apiVersion: networking.internal.knative.dev/v1alpha1, kind: Ingress, "
	"metadata: {name: app, namespace: d, annotations: "
	"{networking.knative.dev/ingress.class: "
	"weir.ingress.networking.knative.dev, weir.dev/split: connection}}, "
	"spec: {rules: [{hosts: [app.d], visibility: ClusterLocal, http: "
	"{paths: [{splits: [{serviceName: rev, serviceNamespace: d, "
	"servicePort: 80}]}]}}]}}\n---\n"
	"{apiVersion: v1, kind: Service, metadata: {name: rev, namespace: d}, "
	"spec: {ports: [{port: 80}]}}\n---\n"
	"{apiVersion: v1, kind: Service, metadata: {name: activator-service, "
	"namespace: knative-serving}, spec: {ports: [{port: 80}]}}\n";

static void put_activator(struct site *s, unsigned i)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "
		 "metadata: {name: a, namespace: knative-serving, labels: "
		 "{kubernetes.io/service-name: activator-service}}, "
		 "addressType: IPv4, ports: [{port: 8012}], endpoints: "
		 "[{addresses: [10.1.0.%u]}]}\n",
		 i);
	put_text(s, text);
}

static void init(struct site *s)
{
	static const unsigned weights[] = {90, 10, 0};

	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	put_text(s, gateway);
	for (unsigned i = 0; i < 4; i++) {
		put_service(s, i);
		put_route(s, "HTTPRoute", i, weights, 3, "a.example");
	}
	put_route(s, "TCPRoute", 9, weights, 3, NULL);
	put_text(s, knative);
	put_endpoints(s, "rev", 1);
	put_activator(s, 250);
	site_compile(s);
}

/* Recompiles what the caller edited and compares with a full compilation. True
 * if it was patched: then the diagnostics (there is one) are still the old. */
static bool check(struct site *s, uint64_t since, const char *what)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a")};
	struct weir_compiled full;
	struct weir_plan_view before = s->view;
	struct weir_plan *old_rules = TAKE_PTR(s->out.rules);
	struct weir_eps *old_eps = TAKE_PTR(s->out.eps);
	const struct weir_diag *diags = s->out.diags.v;

	must(s->out.diags.n > 0, "a diagnostic to look for");
	must(weir_compile(s->store, &options, &full) == 0, "compile");
	must(weir_recompile(s->store, &options, since, &before, &s->out) == 0,
	     "recompile");
	ok(s->out.rules_size == full.rules_size &&
		   !memcmp(s->out.rules, full.rules, full.rules_size),
	   "%s: other rules", what);
	ok(s->out.eps_size == full.eps_size &&
		   !memcmp(s->out.eps, full.eps, full.eps_size),
	   "%s: other endpoints", what);
	weir_free_ptr(&old_rules);
	weir_free_ptr(&old_eps);
	weir_compiled_fini(&full);
	must(weir_plan_open(s->out.rules, s->out.rules_size, s->out.eps,
			    s->out.eps_size, &s->view) == 0,
	     "opens");
	return s->out.diags.v == diags;
}

static void stamp(struct site *s, struct weir_ids *ids)
{
	static uint64_t generation;
	uint32_t lost;

	must(weir_ids_stamp(ids, s->out.rules, s->out.eps, ++generation, 1,
			    &lost) == 0,
	     "stamp");
}

static void any_sequence_of_edits_gives_the_bytes_of_a_full_compilation(void)
{
	static const uint32_t max[_WEIR_IDS_MAX] = {1000, 1000, 1000,
						    WEIR_PROXIED_MAX + 1};
	static const unsigned values[] = {0, 1, 7, 90, 1000000};
	_cleanup_(site_fini) struct site s;
	struct weir_ids *ids = NULL;
	unsigned n_short = 0;
	unsigned seed = 1;

	must(weir_ids_new(max, 0, &ids) == 0, "ids");
	init(&s);
	for (unsigned i = 0; i < 400; i++) {
		uint64_t since = weir_store_version(s.store);
		unsigned weights[3];
		unsigned edits = i % 3 + 1;
		char what[32];

		stamp(&s, ids);
		for (unsigned k = 0; k < edits; k++) {
			seed = seed * 1103515245u + 12345u;
			for (unsigned w = 0; w < 3; w++) {
				weights[w] = values[(seed >> (8 + 3 * w)) % 5];
			}
			put_route(&s, seed >> 20 & 7 ? "HTTPRoute" : "TCPRoute",
				  seed >> 20 & 7 ? (seed >> 24) % 4 : 9,
				  weights, 3,
				  seed >> 20 & 7
					  ? (seed >> 16 & 15 ? "a.example"
							     : "b.example")
					  : NULL);
		}
		if (i % 17 == 0) {
			put_service(&s, i % 4);
		}
		if (i % 29 == 0) {
			weir_store_remove(s.store, WEIR_KIND_SERVICE,
					  WEIR_STR("d"), WEIR_STR("s2"));
		}
		snprintf(what, sizeof(what), "edit %u", i);
		n_short += check(&s, since, what);
	}
	ok(n_short > 100 && n_short < 390, "%u times patched", n_short);
	weir_ids_free(&ids);
}

/* Endpoints of Services, of a revision that may fall asleep, of the activator;
 * slices that come and go; weights in between. */
static void edits_of_endpoints_give_the_bytes_of_a_full_compilation(void)
{
	static const uint32_t max[_WEIR_IDS_MAX] = {1000, 1000, 1000};
	static const char *const services[] = {"s0", "s1",  "s3",
					       "s0", "rev", "nobody"};
	_cleanup_(site_fini) struct site s;
	struct weir_ids *ids = NULL;
	unsigned n_short = 0;
	unsigned seed = 7;

	must(weir_ids_new(max, 0, &ids) == 0, "ids");
	init(&s);
	put_endpoints(&s, "nobody", 2);
	for (unsigned i = 0; i < 600; i++) {
		uint64_t since = weir_store_version(s.store);
		unsigned weights[3] = {i % 4, 10, 0};
		char what[32];

		if (i == 0) {
			since = 0;
		}
		stamp(&s, ids);
		for (unsigned k = 0; k <= i % 3; k++) {
			seed = seed * 1103515245u + 12345u;
			put_endpoints(&s, services[(seed >> 8) % 6],
				      seed >> 12);
		}
		if (i % 5 == 0) {
			put_route(&s, "HTTPRoute", i % 4, weights, 3,
				  "a.example");
		}
		if (i % 7 == 0) {
			put_activator(&s, i % 2 ? 250 : 1 + i % 8);
		}
		if (i % 31 == 0) {
			weir_store_remove(s.store, WEIR_KIND_ENDPOINT_SLICE,
					  WEIR_STR("d"), WEIR_STR("s1-x"));
		}
		snprintf(what, sizeof(what), "edit %u", i);
		n_short += check(&s, since, what);
	}
	ok(n_short > 200 && n_short < 560, "%u times patched", n_short);
	weir_ids_free(&ids);
}

/* The bytes could be patched; what was said would be stale. */
static void a_rule_without_weights_is_said_at_once(void)
{
	static const struct {
		unsigned weights[3];
		size_t said;
		bool is_short;
	} edits[] = {
		{{1, 0, 0}, 0, true},  {{0, 0, 0}, 1, false},
		{{0, 0, 0}, 1, true},  {{0, 5, 0}, 0, false},
		{{90, 5, 0}, 0, true},
	};
	_cleanup_(site_fini) struct site s;

	init(&s);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		uint64_t since = weir_store_version(s.store);
		bool is_short;

		put_route(&s, "HTTPRoute", 2, edits[i].weights, 3, "a.example");
		is_short = check(&s, since, "edit");
		ok(is_short == edits[i].is_short, "edit %zu: %s", i,
		   is_short ? "patched" : "compiled");
		ok(site_said(&s, "NoBackend", "spec.rules[0].backendRefs") ==
			   edits[i].said,
		   "edit %zu: told", i);
	}
}

static void only_small_edits_take_the_short_way(void)
{
	static const unsigned before[] = {90, 10, 0};
	static const unsigned after[] = {80, 20, 5};
	const struct weir_object *v[WEIR_STORE_SMALL_EDITS_MAX];
	_cleanup_(site_fini) struct site s;
	uint64_t since;
	size_t n;

	init(&s);
	since = weir_store_version(s.store);
	ok(weir_store_small_edits(s.store, since, v, &n) == 0 && n == 0,
	   "nothing changed");
	put_route(&s, "HTTPRoute", 1, after, 3, "a.example");
	must(weir_store_small_edits(s.store, since, v, &n) == 0 && n == 1,
	     "one weight");
	ok(v[0] == weir_store_find(s.store, WEIR_KIND_HTTP_ROUTE, WEIR_STR("d"),
				   WEIR_STR("r1")),
	   "the route");
	put_route(&s, "HTTPRoute", 1, before, 3, "a.example");
	ok(weir_store_small_edits(s.store, since, v, &n) == 0 && n == 2 &&
		   v[0] == v[1],
	   "twice the same");
	put_route(&s, "HTTPRoute", 1, before, 3, "b.example");
	ok(weir_store_small_edits(s.store, since, v, &n) == -EAGAIN,
	   "a hostname is not a weight");
	since = weir_store_version(s.store);
	put_route(&s, "HTTPRoute", 1, before, 2, "b.example");
	ok(weir_store_small_edits(s.store, since, v, &n) == -EAGAIN,
	   "a backend less");
	since = weir_store_version(s.store);
	weir_store_remove(s.store, WEIR_KIND_HTTP_ROUTE, WEIR_STR("d"),
			  WEIR_STR("r1"));
	ok(weir_store_small_edits(s.store, since, v, &n) == -EAGAIN, "removed");
	since = weir_store_version(s.store);
	for (unsigned i = 0; i < WEIR_STORE_SMALL_EDITS_MAX + 1; i++) {
		put_route(&s, "HTTPRoute", 2, i % 2 ? before : after, 3,
			  "a.example");
	}
	ok(weir_store_small_edits(s.store, since, v, &n) == -EAGAIN,
	   "more than is remembered");
	ok(weir_store_small_edits(s.store, since + 5000, v, &n) == -EAGAIN,
	   "the future");
	since = weir_store_version(s.store);
	put_endpoints(&s, "s1", 3);
	must(weir_store_small_edits(s.store, since, v, &n) == 0 && n == 1,
	     "endpoints");
	ok(v[0]->kind == WEIR_KIND_ENDPOINT_SLICE, "of a slice");
	put_service(&s, 1);
	ok(weir_store_small_edits(s.store, since, v, &n) == -EAGAIN,
	   "a Service is more than that");
}

TAP_MAIN(TEST(any_sequence_of_edits_gives_the_bytes_of_a_full_compilation),
	 TEST(edits_of_endpoints_give_the_bytes_of_a_full_compilation),
	 TEST(a_rule_without_weights_is_said_at_once),
	 TEST(only_small_edits_take_the_short_way))
