/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateways of KIngresses: one Service for clients outside the cluster, one
 * for those inside, at whose addresses hosts are told apart.
 *
 * As with Kourier, the private one has all hosts, also those of rules for
 * clients outside; the public one has only the latter.  httpOption Redirected
 * is a matter of the public one.
 */
#include <errno.h>
#include <netinet/in.h>

#include "king.h"

#define PRIVATE_MODE "weir.dev/private-mode"

_Static_assert(sizeof(((struct ir_king_host *)0)->vhosts) ==
		       _KING_GATEWAYS * sizeof(struct ir_vhost *),
	       "one at each gateway");

static const char *const names[_KING_GATEWAYS] = {
	[KING_PUBLIC] = WEIR_KNATIVE_PUBLIC,
	[KING_PRIVATE] = WEIR_KNATIVE_PRIVATE,
};

static struct ir_listener *
new_listener(struct ir *c, const struct king_gateway *g, struct weir_str name)
{
	struct ir_listener *l = weir_ir_alloc(c, 1, sizeof(*l));

	if (l) {
		l->id = ++c->n_listeners;
		l->flags = WEIR_LISTENER_FIRST_MATCH;
		l->object = g->service->object_id;
		l->name = name;
	}
	return l;
}

/* Whether KIngresses say that they are reached at the private gateway; else
 * each Route gets an address of its own.  Either way both are served. */
static bool is_named(struct ir *c, const struct weir_object *service)
{
	struct weir_str v = weir_pairs_get(service->annotations, PRIVATE_MODE);

	if (v.p && !weir_str_is(v, "gateway") && !weir_str_is(v, "vip")) {
		IR_DIAG(c, WEIR_DIAG_WARNING, service, "InvalidValue",
			WEIR_STR("metadata.annotations[" PRIVATE_MODE "]"),
			"\"%.*s\" is taken for \"vip\"; expected \"vip\" or "
			"\"gateway\"",
			WEIR_STR_ARG(v));
	}
	return weir_str_is(v, "gateway");
}

void weir_ir_king_gateways_begin(struct ir *c, struct king_gateways *ret_g)
{
	*ret_g = (struct king_gateways){0};
	for (int i = 0; i < _KING_GATEWAYS; i++) {
		struct king_gateway *g = &ret_g->v[i];

		g->service = weir_ir_service(c, WEIR_STR(WEIR_KNATIVE_NS),
					     weir_str_of(names[i]));
		if (!g->service) {
			continue;
		}
		g->http = new_listener(c, g, WEIR_STR("http"));
		/* Verdicts outlive the compilation. */
		ret_g->domains[i] = weir_arena_printf(
			c->diags->arena, "%s.%s.svc.%.*s", names[i],
			WEIR_KNATIVE_NS, WEIR_STR_ARG(c->cluster_domain));
		if (!g->http || !ret_g->domains[i].p) {
			c->error = -ENOMEM;
			return;
		}
		g->http->protocol = IR_PROTOCOL_HTTP;
		if (i == KING_PRIVATE) {
			ret_g->is_private_named = is_named(c,
							   g->service->object);
		}
	}
}

/* ------------------------------------------------------------------- hosts */

static uint64_t host_key(struct weir_str host)
{
	return weir_str_hash(host, 11);
}

static struct ir_king_host *among(struct ir_king_host *h, struct weir_str host)
{
	while (h && !weir_str_eq(h->name, host)) {
		h = h->next;
	}
	return h;
}

const struct ir_king_host *weir_ir_king_claimed(const struct ir *c,
						struct weir_str host)
{
	return among(weir_ir_get(&c->king_claims, host_key(host)), host);
}

/* NULL: out of memory. */
static struct ir_king_host *claim_host(struct ir *c,
				       const struct weir_object *ingress,
				       size_t rule, struct weir_str host)
{
	uint64_t key = host_key(host);
	struct ir_king_host *first = weir_ir_get(&c->king_claims, key);
	struct ir_king_host *h = among(first, host);

	if (h) {
		return h;
	}
	h = weir_ir_alloc(c, 1, sizeof(*h));
	if (h) {
		h->name = host;
		h->ingress = ingress;
		h->rule = &ingress->kingress->rules[rule];
		h->number = rule;
		h->next = first;
		weir_ir_put(c, &c->king_claims, key, h);
	}
	return h;
}

/* A rule without hosts is for all: one that has no name. */
static size_t count_hosts(const struct weir_king_rule *rule)
{
	return rule->hosts.n ? rule->hosts.n : 1;
}

static struct weir_str host_of(const struct weir_king_rule *rule, size_t i)
{
	return rule->hosts.n ? rule->hosts.v[i] : WEIR_STR("");
}

static void claim(struct ir *c, struct king_gateways *g,
		  const struct weir_object *ingress)
{
	for (size_t i = 0; i < ingress->kingress->n_rules; i++) {
		const struct weir_king_rule *rule =
			&ingress->kingress->rules[i];

		for (size_t k = 0; k < count_hosts(rule); k++) {
			g->owners[g->n_owners++] = claim_host(c, ingress, i,
							      host_of(rule, k));
		}
	}
}

void weir_ir_king_claim(struct ir *c, struct king_gateways *g,
			const struct weir_object *const *v, size_t n)
{
	size_t n_hosts = 0;

	for (size_t i = 0; i < n; i++) {
		const struct weir_king_spec *spec = v[i]->kingress;

		for (size_t k = 0; k < spec->n_rules; k++) {
			n_hosts += count_hosts(&spec->rules[k]);
		}
	}
	g->owners = weir_ir_alloc(c, n_hosts, sizeof(*g->owners));
	if (!g->owners || weir_map_reserve(&c->king_claims, n_hosts) < 0) {
		c->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		claim(c, g, v[i]);
	}
}

/* ------------------------------------------------------------------- rules */

/* "gateway 0" for most, which printf() would take longer to say than all the
 * rest of a rule. */
static struct weir_str at_gateway(struct ir_field *salt, size_t rule)
{
	return rule == 0   ? WEIR_STR("gateway 0")
	       : rule == 1 ? WEIR_STR("gateway 1")
			   : weir_ir_field(salt, "gateway %zu", rule);
}

static bool build(struct king *k, struct king_served *ret_s)
{
	const struct weir_king_spec *spec = k->ingress->kingress;
	const struct weir_king_rule *rule = &spec->rules[k->rule];
	struct king_served s = {.n = rule->n_paths,
				.is_external = !rule->is_cluster_local};

	if (!weir_ir_king_is_within(k)) {
		return false;
	}
	s.matches = weir_ir_alloc(k->c, s.n, sizeof(*s.matches));
	s.rules = weir_ir_alloc(k->c, s.n, sizeof(*s.rules));
	if (spec->is_redirected && s.is_external && k->has_public) {
		s.redirects = weir_ir_alloc(k->c, s.n, sizeof(*s.redirects));
	}
	for (size_t i = 0; s.matches && s.rules && i < s.n; i++) {
		struct ir_field salt;

		s.matches[i] = weir_ir_king_match(k, i);
		s.rules[i] = weir_ir_king_rule(k, at_gateway(&salt, k->rule),
					       i);
		if (s.redirects) {
			s.redirects[i] = weir_ir_king_redirect(k, i);
		}
		if (s.matches[i]) {
			s.matches[i]->number = k->number;
		}
		k->number++;
	}
	*ret_s = s;
	return k->c->error == 0;
}

static void enter(struct king *k, struct ir_vhost *vhost,
		  const struct king_served *s, struct ir_rule *const *rules)
{
	for (size_t i = 0; vhost && i < s->n; i++) {
		if (s->matches[i] && rules[i]) {
			weir_ir_add_entry(k->c, vhost, s->matches[i], rules[i],
					  0, 0);
		}
	}
}

/* ---------------------------------------------------------------------- TLS */

static const struct ir_cert *cert_for(const struct king *k,
				      struct weir_str host)
{
	const struct weir_king_spec *spec = k->ingress->kingress;

	for (size_t i = 0; i < spec->n_tls; i++) {
		const struct weir_king_tls *t = &spec->tls[i];

		for (size_t n = 0; n < t->hosts.n; n++) {
			if (weir_str_eq(t->hosts.v[n], host)) {
				return weir_ir_secret(
					k->c, k->ingress, t->secret_ns,
					t->secret,
					IR_FIELD("spec.tls[%zu].secretName",
						 i));
			}
		}
	}
	return NULL;
}

/* Rules of one Ingress may share a host; another's were turned away. */
static struct ir_listener *tls_listener(struct king *k, struct king_gateway *g,
					struct weir_str host,
					const struct ir_cert *cert)
{
	struct ir_listener *l = g->last_tls;
	uint32_t *index;

	if (l && weir_str_eq(l->hostname, host)) {
		return l;
	}
	l = new_listener(k->c, g, WEIR_STR("https"));
	index = weir_ir_alloc(k->c, 1, sizeof(*index));
	if (!l || !index) {
		return NULL;
	}
	*index = cert->index;
	l->protocol = IR_PROTOCOL_HTTPS;
	l->hostname = host;
	l->flags |= WEIR_LISTENER_TLS_TERMINATE;
	l->certs = index;
	l->n_certs = 1;
	if (g->last_tls) {
		g->last_tls->next = l;
	} else {
		g->tls = l;
	}
	g->last_tls = l;
	g->n_tls++;
	return l;
}

static void serve_tls(struct king *k, struct weir_str host,
		      const struct king_served *s)
{
	const struct ir_cert *cert = host.n ? cert_for(k, host) : NULL;

	for (int i = 0; cert && i < _KING_GATEWAYS; i++) {
		struct king_gateway *g = &k->gateways->v[i];
		struct ir_listener *l;

		if (!g->service || (i == KING_PUBLIC && !s->is_external)) {
			continue;
		}
		l = tls_listener(k, g, host, cert);
		if (l) {
			enter(k, weir_ir_vhost(k->c, l, host), s, s->rules);
		}
	}
}

/* -------------------------------------------------------------------- serve */

/* Another rule of the Ingress may have had it already. */
static struct ir_vhost *vhost_at(struct king *k, struct ir_king_host *host,
				 int which)
{
	struct ir_vhost **v = &host->vhosts[which];

	if (!*v) {
		*v = weir_ir_new_vhost(k->c, k->gateways->v[which].http,
				       host->name);
	}
	return *v;
}

static void serve_host(struct king *k, struct ir_king_host *host,
		       const struct king_served *s)
{
	const struct king_gateway *v = k->gateways->v;

	if (v[KING_PRIVATE].http) {
		enter(k, vhost_at(k, host, KING_PRIVATE), s, s->rules);
	}
	if (v[KING_PUBLIC].http && s->is_external) {
		enter(k, vhost_at(k, host, KING_PUBLIC), s,
		      s->redirects ? s->redirects : s->rules);
	}
	serve_tls(k, host->name, s);
}

static void serve_rule(struct king *k, const struct king_served *s,
		       struct ir_king_host *const *owners)
{
	const struct weir_king_rule *rule =
		&k->ingress->kingress->rules[k->rule];

	for (size_t i = 0; i < count_hosts(rule); i++) {
		struct weir_str host = host_of(rule, i);
		struct ir_king_host *h = owners[i];

		if (!h) {
			return; /* out of memory */
		}
		if (h->ingress == k->ingress) {
			serve_host(k, h, s);
			continue;
		}
		IR_DIAG(k->c, WEIR_DIAG_ERROR, k->ingress, "DomainConflict",
			IR_FIELD("spec.rules[%zu].hosts[%zu]", k->rule, i),
			"\"%.*s\" belongs to KIngress %.*s/%.*s, which is "
			"older",
			WEIR_STR_ARG(host), WEIR_STR_ARG(h->ingress->ns),
			WEIR_STR_ARG(h->ingress->name));
	}
}

void weir_ir_king_gateway(struct king *k)
{
	size_t n = k->ingress->kingress->n_rules;
	struct king_gateways *g = k->gateways;

	k->served = weir_ir_alloc(k->c, n, sizeof(*k->served));
	for (k->rule = 0; k->served && k->rule < n; k->rule++) {
		const struct weir_king_rule *rule =
			&k->ingress->kingress->rules[k->rule];

		if ((k->has_private ||
		     (k->has_public && !rule->is_cluster_local)) &&
		    build(k, &k->served[k->rule])) {
			serve_rule(k, &k->served[k->rule],
				   g->owners + g->served_owners);
		}
		g->served_owners += count_hosts(rule);
	}
}

/* ------------------------------------------------------------------- fronts */

struct place {
	const struct weir_ip *v;
	size_t n;
	bool is_local;
};

/* first: the front of the same listeners at other addresses, or NULL. */
static struct ir_front *add_front(struct ir *c, const struct king_gateway *g,
				  const struct weir_service_port *port,
				  struct ir_front *first,
				  const struct place *at)
{
	bool is_http = weir_ir_king_is_http(port);
	struct ir_front *f = at->n ? weir_ir_add_front(c) : NULL;

	if (!f) {
		return first;
	}
	f->owner = g->service->object;
	f->object = g->service->object_id;
	f->port = port->port;
	f->proto = IPPROTO_TCP;
	f->mode = is_http ? WEIR_MODE_HTTP : WEIR_MODE_TLS;
	f->origin = WEIR_ORIGIN_KNATIVE;
	f->is_local = at->is_local;
	f->addresses = at->v;
	f->n_addresses = at->n;
	f->listeners = is_http ? g->http : g->tls;
	f->n_listeners = is_http ? 1 : g->n_tls;
	f->same = first;
	return first ? first : f;
}

/* At addresses that clients of the node dial, at spec.externalIPs, which lead
 * to the node itself, and at those of the load balancer.  These are its to
 * answer for, and may be addresses of nodes (ServiceLB of k3s): local ones
 * would cut off the nodes that have them. */
static void open_port(struct ir *c, const struct king_gateway *g,
		      const struct weir_service_port *port)
{
	const struct weir_service_spec *spec = g->service->object->service;
	const struct weir_ip *v = spec->external_ips;
	size_t n = spec->n_own_ips;
	const struct place places[] = {
		{spec->cluster_ips, spec->n_cluster_ips, false},
		{v, n, true},
		{v ? v + n : NULL, spec->n_external_ips - n, false}};
	struct ir_front *first = NULL;

	if (!weir_str_is(port->protocol, "TCP") ||
	    (!weir_ir_king_is_http(port) && g->n_tls == 0)) {
		return;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		first = add_front(c, g, port, first, &places[i]);
	}
}

void weir_ir_king_gateways_end(struct ir *c, struct king_gateways *g)
{
	for (int i = 0; i < _KING_GATEWAYS && !c->error; i++) {
		const struct ir_service *s = g->v[i].service;

		for (size_t k = 0; s && k < s->object->service->n_ports; k++) {
			open_port(c, &g->v[i], &s->object->service->ports[k]);
		}
	}
}
