/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KIngresses (networking.internal.knative.dev Ingress).
 *
 * Of weir's class: each cluster-local rule is served at the ClusterIP of the
 * placeholder Service that its hosts name (serving route/resources/service.go).
 * The address names the rule, so any Host is taken there.  Of any class: the
 * splits behind a backendRef that names a Knative Service are read here.
 *
 * Order of paths: longest first, then more headers, then the list (the types'
 * own comment says list order; Serving emits lists for which both agree).
 */
#include <errno.h>
#include <netinet/in.h>

#include "king.h"
#include "revision.h"

struct weir_str weir_ir_king_name(struct weir_str host, struct weir_str ns)
{
	ptrdiff_t dot = weir_str_find(host, '.');
	struct weir_str rest;

	if (dot <= 0) {
		return WEIR_STR_NULL;
	}
	rest = weir_str_skip(host, (size_t)dot + 1);
	if (!weir_str_starts(rest, ns)) {
		return WEIR_STR_NULL;
	}
	rest = weir_str_skip(rest, ns.n);
	if (rest.n && !weir_str_is(rest, ".svc") &&
	    !weir_str_starts(rest, WEIR_STR(".svc."))) {
		return WEIR_STR_NULL;
	}
	return (struct weir_str){host.p, (size_t)dot};
}

static uint64_t host_key(struct weir_str ns, struct weir_str name)
{
	return weir_str_hash(name, weir_str_hash(ns, 3));
}

static struct ir_king_host *among(struct ir_king_host *h, struct weir_str ns,
				  struct weir_str name)
{
	while (h && (!weir_str_eq(h->name, name) || !weir_str_eq(h->ns, ns))) {
		h = h->next;
	}
	return h;
}

static void index_rule(struct ir *c, const struct weir_object *ingress,
		       size_t number)
{
	const struct weir_king_rule *rule = &ingress->kingress->rules[number];
	struct weir_str last = WEIR_STR_NULL;

	for (size_t i = 0; rule->is_cluster_local && i < rule->hosts.n; i++) {
		struct weir_str name = weir_ir_king_name(rule->hosts.v[i],
							 ingress->ns);
		struct ir_king_host *first;
		struct ir_king_host *h;
		uint64_t key;

		/* The three spellings of one name follow each other. */
		if (!name.p || (last.p && weir_str_eq(last, name))) {
			continue;
		}
		last = name;
		key = host_key(ingress->ns, name);
		first = weir_ir_get(&c->kings, key);
		if (among(first, ingress->ns, name)) {
			continue;
		}
		h = weir_ir_alloc(c, 1, sizeof(*h));
		if (!h) {
			return;
		}
		h->ns = ingress->ns;
		h->name = name;
		h->ingress = ingress;
		h->rule = rule;
		h->number = number;
		h->next = first;
		weir_ir_put(c, &c->kings, key, h);
	}
}

/* All, the oldest first. */
static const struct weir_object *const *kings_by_age(struct ir *c,
						     size_t *ret_n)
{
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_KINGRESS, ret_n);
	const uint32_t *ranks;

	if (c->only) {
		*ret_n = 1;
		return &c->only;
	}
	if (c->kings_by_age) {
		return c->kings_by_age;
	}
	ranks = weir_ir_ranks(c, v, *ret_n);
	c->kings_by_age = weir_ir_alloc(c, *ret_n, sizeof(*c->kings_by_age));
	if (!ranks || !c->kings_by_age) {
		*ret_n = 0;
		return NULL;
	}
	for (size_t i = 0; i < *ret_n; i++) {
		c->kings_by_age[ranks[i]] = v[i];
	}
	return c->kings_by_age;
}

/* A name belongs to the oldest that has it. */
static void load_hosts(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = kings_by_age(c, &n);

	c->has_kings = true;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0;
		     v[i]->kingress && k < v[i]->kingress->n_rules; k++) {
			index_rule(c, v[i], k);
		}
	}
}

const struct ir_king_host *weir_ir_king_host(struct ir *c, struct weir_str ns,
					     struct weir_str name)
{
	if (!c->has_kings) {
		load_hosts(c);
	}
	return among(weir_ir_get(&c->kings, host_key(ns, name)), ns, name);
}

/* ------------------------------------------------------------------ splits */

static bool is_whole(struct weir_str path)
{
	return path.n == 0 || weir_str_is(path, "/");
}

const struct weir_king_path *
weir_ir_king_default_path(struct ir *c, const struct ir_king_host *host,
			  const struct weir_object *route,
			  struct weir_str field)
{
	const struct weir_king_path *found = NULL;
	size_t n_others = 0;

	for (size_t i = 0; i < host->rule->n_paths; i++) {
		const struct weir_king_path *p = &host->rule->paths[i];

		if (!found && is_whole(p->path) && p->match_headers.n == 0) {
			found = p;
		} else {
			n_others++;
		}
	}
	if (found && n_others) {
		IR_DIAG(c, WEIR_DIAG_WARNING, route, "NotServedYet", field,
			"KIngress %.*s/%.*s has %zu more paths or header "
			"matches for this host: through a backendRef only the "
			"default one is served",
			WEIR_STR_ARG(host->ingress->ns),
			WEIR_STR_ARG(host->ingress->name), n_others);
	}
	return found;
}

static const struct weir_service_port *
split_port(const struct weir_object *service, const struct weir_king_split *s)
{
	const struct weir_service_spec *spec = service->service;

	if (s->port) {
		return weir_ir_service_port(service, s->port, "TCP");
	}
	for (size_t i = 0; i < spec->n_ports; i++) {
		if (weir_str_eq(spec->ports[i].name, s->port_name) &&
		    weir_str_is(spec->ports[i].protocol, "TCP")) {
			return &spec->ports[i];
		}
	}
	return NULL;
}

bool weir_ir_king_is_tls(const struct weir_object *service,
			 const struct weir_king_split *s)
{
	const struct weir_service_port *port = split_port(service, s);

	return port && !weir_ir_king_is_http(port);
}

/* Only the activator reads these two; queue-proxy strips them. */
static bool is_revision_header(struct weir_str name)
{
	return weir_str_eq_nocase(name, WEIR_STR("Knative-Serving-Revision")) ||
	       weir_str_eq_nocase(name, WEIR_STR("Knative-Serving-Namespace"));
}

static struct weir_str detail_of(struct ir *c, const struct weir_king_split *s)
{
	static const char what[] = "revision ";
	struct weir_str revision = s->service;
	char *text;

	for (size_t i = 0; i < s->headers.n; i++) {
		if (weir_str_eq_nocase(s->headers.v[i].key,
				       WEIR_STR("Knative-Serving-Revision"))) {
			revision = s->headers.v[i].value;
		}
	}
	text = weir_ir_alloc(c, sizeof(what) - 1 + revision.n, 1);
	if (!text) {
		return WEIR_STR_NULL;
	}
	memcpy(text, what, sizeof(what) - 1);
	if (revision.n) {
		memcpy(text + sizeof(what) - 1, revision.p, revision.n);
	}
	return (struct weir_str){text, sizeof(what) - 1 + revision.n};
}

static void add_split_filters(struct ir *c, const struct weir_king_path *path,
			      const struct weir_king_split *s, struct ir_ref *r)
{
	bool are_own = path->headers.n == 0 && path->rewrite_host.n == 0;

	if (path->rewrite_host.n) {
		struct ir_filter *f = weir_ir_alloc(c, 1, sizeof(*f));

		if (!f) {
			return;
		}
		f->type = WEIR_FILTER_REWRITE;
		f->hostname = path->rewrite_host;
		r->filters = (struct ir_filters){.v = f, .n = 1};
	}
	/* appendHeaders sets, the split's on top of the path's. */
	weir_ir_filter_set(c, path->headers, &r->filters);
	weir_ir_filter_set(c, s->headers, &r->filters);
	for (size_t i = 0; i < s->headers.n; i++) {
		are_own = are_own && is_revision_header(s->headers.v[i].key);
	}
	r->n_own_filters = are_own ? r->filters.n : 0;
}

/* What has no endpoints of its own. */
bool weir_ir_is_shell(const struct ir_service *service)
{
	return service->is_knative ||
	       weir_str_is(service->object->service->type, "ExternalName");
}

static void fill_split(struct ir *c, const struct weir_object *ingress,
		       const struct weir_king_path *path,
		       const struct weir_king_split *s, struct ir_ref *r)
{
	struct ir_service *service = NULL;
	const struct weir_service_port *port = NULL;
	uint64_t where = s->port;

	*r = (struct ir_ref){.weight = s->percent,
			     .object = weir_ir_object(c, ingress),
			     .detail = detail_of(c, s),
			     .is_split = true,
			     .state = WEIR_REF_UNREADY,
			     .proto = WEIR_BACKEND_HTTP1};
	r->key = weir_str_hash(s->service, weir_str_hash(s->port_name, where));
	/* The API lets a split name Services of its own namespace only. */
	if (s->service_ns.n == 0 || weir_str_eq(s->service_ns, ingress->ns)) {
		service = weir_ir_service(c, ingress->ns, s->service);
	}
	if (service) {
		r->object = service->object_id;
		port = weir_ir_is_shell(service)
			       ? NULL
			       : split_port(service->object, s);
	}
	if (port && weir_ir_king_is_http(port)) {
		struct ir_group *group = weir_ir_group(c, service, port);

		if (weir_ir_port_is_h2c(port, true)) {
			r->proto = WEIR_BACKEND_H2C;
		}
		if (group) {
			group->concurrency = weir_ir_concurrency(c, service);
		}
		r->group = group;
		r->state = r->group ? WEIR_REF_OK : WEIR_REF_UNREADY;
		r->revision = weir_ir_revision(c, ingress, service, port);
		r->is_bare = r->group && !r->revision &&
			     r->group->n_endpoints == 0 &&
			     !weir_ir_has_slice_port(c, service, port);
	}
	add_split_filters(c, path, s, r);
}

int weir_ir_king_splits(struct ir *c, const struct weir_object *ingress,
			const struct weir_king_path *path,
			struct ir_splits *ret_splits)
{
	uint64_t sum = 0;

	if (path->n_splits == 0 || path->n_splits > IR_SPLITS_MAX) {
		return -EINVAL;
	}
	for (size_t i = 0; i < path->n_splits; i++) {
		sum += path->splits[i].percent;
	}
	if (sum != 100) {
		return -EINVAL;
	}
	for (size_t i = 0; i < path->n_splits; i++) {
		fill_split(c, ingress, path, &path->splits[i],
			   &ret_splits->v[i]);
	}
	ret_splits->n = (uint32_t)path->n_splits;
	return 0;
}

/* ------------------------------------------------------- rules at their VIP */

bool weir_ir_king_is_within(const struct king *k)
{
	size_t n = k->ingress->kingress->rules[k->rule].n_paths;

	if (n <= KING_PATHS_MAX) {
		return true;
	}
	if (!k->is_said) {
		IR_DIAG(k->c, WEIR_DIAG_ERROR, k->ingress, "LimitExceeded",
			IR_FIELD("spec.rules[%zu].http.paths", k->rule),
			"%zu paths; expected at most %d: the rule is not "
			"served",
			n, KING_PATHS_MAX);
	}
	return false;
}

static void fill_listener(struct king *k, struct weir_str name,
			  struct ir_listener *l)
{
	const struct weir_king_rule *rule =
		&k->ingress->kingress->rules[k->rule];
	struct ir_vhost *vhost = weir_ir_new_vhost(k->c, l, WEIR_STR(""));
	const struct king_served *s = k->served ? &k->served[k->rule] : NULL;
	bool was_quiet = k->c->is_quiet;

	l->flags = WEIR_LISTENER_FIRST_MATCH;
	if (!weir_ir_king_is_within(k)) {
		return;
	}
	/* A rule that decides connections here decides requests there. */
	for (size_t i = 0;
	     vhost && s && k->split != IR_SPLIT_CONNECTION && i < s->n; i++) {
		if (s->matches[i] && s->rules[i]) {
			weir_ir_add_entry(k->c, vhost, s->matches[i],
					  s->rules[i], 0, 0);
		}
	}
	if (vhost && vhost->n_entries) {
		return;
	}
	k->c->is_quiet |= k->is_said;
	for (size_t i = 0; vhost && i < rule->n_paths; i++) {
		struct ir_match *m = weir_ir_king_match(k, i);
		struct ir_rule *to = m ? weir_ir_king_rule(k, name, i) : NULL;

		k->number++;
		if (to) {
			m->number = (uint32_t)i;
			weir_ir_add_entry(k->c, vhost, m, to, 0, 0);
		}
	}
	k->c->is_quiet = was_quiet;
}

bool weir_ir_king_is_http(const struct weir_service_port *port)
{
	return weir_str_is(port->protocol, "TCP") && port->port != 443 &&
	       !weir_str_is(port->name, "https");
}

/* f: with owner, object, port and addresses. */
static void serve_front(struct king *k, struct weir_str name,
			struct ir_front *f)
{
	struct ir_listener *l = weir_ir_add_listener(k->c, f);

	if (!l) {
		return;
	}
	f->proto = IPPROTO_TCP;
	f->mode = WEIR_MODE_HTTP;
	f->origin = WEIR_ORIGIN_KNATIVE;
	f->split = k->split;
	l->protocol = IR_PROTOCOL_HTTP;
	l->port = f->port;
	l->name = name;
	l->object = k->object_id;
	fill_listener(k, name, l);
}

static void serve_name(struct king *k, struct weir_str name)
{
	struct ir *c = k->c;
	struct ir_service *s = weir_ir_service(c, k->ingress->ns, name);
	const struct weir_service_spec *spec = s && s->is_knative
						       ? s->object->service
						       : NULL;

	weir_ir_king_former(k, name, spec, serve_front);
	if (!spec || spec->n_cluster_ips == 0) {
		if (k->has_private) {
			return; /* reached there */
		}
		IR_DIAG(c, WEIR_DIAG_INFO, k->ingress, "NoAddress",
			IR_FIELD("spec.rules[%zu].hosts", k->rule),
			"Knative's placeholder Service %.*s/%.*s is not there "
			"or has no ClusterIP: the rule is reached through "
			"HTTPRoutes only",
			WEIR_STR_ARG(k->ingress->ns), WEIR_STR_ARG(name));
		return;
	}
	for (size_t i = 0; i < spec->n_ports; i++) {
		struct ir_front *f;

		if (!weir_ir_king_is_http(&spec->ports[i])) {
			continue;
		}
		f = weir_ir_add_front(c);
		if (!f) {
			return;
		}
		f->owner = s->object;
		f->object = s->object_id;
		f->port = spec->ports[i].port;
		f->addresses = spec->cluster_ips;
		f->n_addresses = spec->n_cluster_ips;
		f->balancer = c->scope.slot;
		serve_front(k, name, f);
	}
}

static void serve_rule(struct king *k)
{
	const struct weir_king_rule *rule =
		&k->ingress->kingress->rules[k->rule];
	struct weir_str last = WEIR_STR_NULL;

	if (!rule->is_cluster_local) {
		if (!k->has_public) {
			IR_DIAG(k->c, WEIR_DIAG_INFO, k->ingress, "NotServed",
				IR_FIELD("spec.rules[%zu].visibility", k->rule),
				"there is no Service %s/%s for clients outside "
				"the cluster: these hosts are reached through "
				"HTTPRoutes only",
				WEIR_KNATIVE_NS, WEIR_KNATIVE_PUBLIC);
		}
		return;
	}
	if (rule->hosts.n == 0 && !k->has_private) {
		IR_DIAG(k->c, WEIR_DIAG_WARNING, k->ingress, "NotServedYet",
			IR_FIELD("spec.rules[%zu].hosts", k->rule),
			"missing: a rule for all hosts is not served yet");
	}
	for (size_t i = 0; i < rule->hosts.n; i++) {
		struct weir_str name = weir_ir_king_name(rule->hosts.v[i],
							 k->ingress->ns);
		const struct ir_king_host *h;

		if (!name.p && k->has_private) {
			continue;
		}
		if (!name.p) {
			IR_DIAG(k->c, WEIR_DIAG_WARNING, k->ingress,
				"NotServedYet",
				IR_FIELD("spec.rules[%zu].hosts[%zu]", k->rule,
					 i),
				"\"%.*s\" is not the cluster's name of a "
				"Service of %.*s (NAME.%.*s.svc...); others "
				"are not served yet",
				WEIR_STR_ARG(rule->hosts.v[i]),
				WEIR_STR_ARG(k->ingress->ns),
				WEIR_STR_ARG(k->ingress->ns));
			continue;
		}
		/* The three spellings of one name follow each other. */
		if (last.p && weir_str_eq(last, name)) {
			continue;
		}
		last = name;
		h = weir_ir_king_host(k->c, k->ingress->ns, name);
		if (h && h->ingress == k->ingress && h->number == k->rule) {
			serve_name(k, name);
		} else {
			IR_DIAG(k->c, WEIR_DIAG_ERROR, k->ingress,
				"DomainConflict",
				IR_FIELD("spec.rules[%zu].hosts[%zu]", k->rule,
					 i),
				"\"%.*s\" belongs to an earlier rule",
				WEIR_STR_ARG(rule->hosts.v[i]));
		}
	}
}

/* KIngress, Knative Route, Knative Service: the nearest that says decides. */
static void read_annotations(struct king *k)
{
	static const enum weir_kind above[] = {WEIR_KIND_KROUTE,
					       WEIR_KIND_KSERVICE};
	const struct weir_object *o[2];
	struct ir *c = k->c;
	enum ir_split split = weir_ir_split(c, k->ingress);

	for (size_t i = 2; i-- > 0;) {
		o[i] = weir_store_find(c->store, above[i], k->ingress->ns,
				       k->ingress->name);
		k->no_forwarded = weir_ir_no_forwarded(c, o[i],
						       k->no_forwarded);
	}
	k->no_forwarded = weir_ir_no_forwarded(c, k->ingress, k->no_forwarded);
	for (size_t i = 0; split == IR_SPLIT_UNSET && i < 2; i++) {
		split = weir_ir_split(c, o[i]);
	}
	k->split = (uint8_t)split;
}

bool weir_ir_king_is_ours(const struct weir_object *o)
{
	return o->kingress &&
	       weir_str_is(o->kingress->ingress_class, WEIR_KINGRESS_CLASS);
}

static void serve(struct ir *c, struct king_gateways *g,
		  const struct weir_object *ingress)
{
	struct king k = {.c = c, .ingress = ingress, .gateways = g};
	struct weir_king_verdict *verdict = weir_ir_king_verdict(c, ingress);
	struct ir_scope before;

	if (!verdict) {
		return;
	}
	verdict->public_domain = g->domains[KING_PUBLIC];
	if (g->is_private_named) {
		verdict->private_domain = g->domains[KING_PRIVATE];
	}
	k.has_public = g->domains[KING_PUBLIC].n != 0;
	k.has_private = g->domains[KING_PRIVATE].n != 0;
	k.object_id = weir_ir_object(c, ingress);
	read_annotations(&k);
	before = weir_ir_enter(c, &verdict->balancer, NULL);
	weir_ir_king_gateway(&k);
	k.is_said = k.has_private;
	k.number = 0;
	for (k.rule = 0; k.rule < ingress->kingress->n_rules; k.rule++) {
		serve_rule(&k);
	}
	c->scope = before;
}

void weir_ir_kingresses(struct ir *c)
{
	struct king_gateways gateways;
	size_t n;
	const struct weir_object *const *v = kings_by_age(c, &n);
	const struct weir_object **ours = weir_ir_alloc(c, n, sizeof(*ours));
	size_t n_ours = 0;

	weir_ir_king_gateways_begin(c, &gateways);
	for (size_t i = 0; ours && i < n; i++) {
		if (weir_ir_king_is_ours(v[i])) {
			ours[n_ours++] = v[i];
		}
	}
	weir_ir_king_claim(c, &gateways, ours, n_ours);
	for (size_t i = 0; i < n_ours && !c->error; i++) {
		serve(c, &gateways, ours[i]);
	}
	weir_ir_king_gateways_end(c, &gateways);
}
