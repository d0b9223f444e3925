/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as parents (GEP-1294): a route bound to a Service decides what
 * happens at its ClusterIPs.  Producer routes, those of the Service's own
 * namespace, do so for all clients; consumer routes, those of another one, for
 * the clients in theirs, where they go before the producer's.
 *
 * An address with consumer routes is the proxy's: neither of the kernel's
 * planes knows a client's namespace.  Who has no route there is relayed to the
 * Service as it is.
 */
#include "ir.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "writer.h"

static uint8_t mode_of(enum weir_kind kind)
{
	switch (kind) {
	case WEIR_KIND_HTTP_ROUTE:
	case WEIR_KIND_GRPC_ROUTE:
		return WEIR_MODE_HTTP;
	case WEIR_KIND_TCP_ROUTE:
		return WEIR_MODE_TCP;
	case WEIR_KIND_UDP_ROUTE:
		return WEIR_MODE_UDP;
	default:
		return WEIR_MODE_REFUSE;
	}
}

static enum ir_protocol protocol_of(uint8_t mode)
{
	switch (mode) {
	case WEIR_MODE_HTTP:
		return IR_PROTOCOL_HTTP;
	case WEIR_MODE_TCP:
		return IR_PROTOCOL_TCP;
	case WEIR_MODE_UDP:
		return IR_PROTOCOL_UDP;
	default:
		return IR_PROTOCOL_BAD;
	}
}

/* consumer_ns: empty for producer routes. */
static struct ir_front *find_front(struct ir_service *service, uint16_t port,
				   uint8_t proto, struct weir_str consumer_ns)
{
	struct ir_front *f = service->fronts;

	while (f && (f->port != port || f->proto != proto ||
		     !weir_str_eq(f->consumer_ns, consumer_ns))) {
		f = f->next_of_owner;
	}
	return f;
}

static struct ir_front *add_front(struct ir *c, struct ir_service *service,
				  const struct weir_service_port *port,
				  uint8_t mode, struct weir_str consumer_ns)
{
	struct ir_front *f = weir_ir_add_front(c);
	struct ir_listener *l = f ? weir_ir_add_listener(c, f) : NULL;

	if (!l) {
		return NULL;
	}
	f->owner = service->object;
	f->object = service->object_id;
	f->port = port->port;
	f->proto = mode == WEIR_MODE_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	f->mode = mode;
	f->origin = WEIR_ORIGIN_SERVICE;
	f->consumer_ns = consumer_ns;
	f->service = service;
	f->service_port = port;
	c->has_consumers |= consumer_ns.n > 0;
	f->split = weir_ir_split(c, service->object);
	f->addresses = service->object->service->cluster_ips;
	f->n_addresses = service->object->service->n_cluster_ips;
	f->next_of_owner = service->fronts;
	service->fronts = f;
	l->protocol = protocol_of(mode);
	l->port = port->port;
	l->name = port->name;
	l->object = service->object_id;
	l->no_forwarded = weir_ir_no_forwarded(c, service->object, false);
	return f;
}

struct mesh {
	struct ir *c;
	struct ir_route *route;
	const struct weir_parent_ref *parent;
	size_t number;
	struct ir_service *service;
	struct weir_str consumer_ns; /* empty: the Service's own namespace */
	bool is_attached;            /* at one port at least */
};

#define PARENT_DIAG(m, severity, reason, ...)                                  \
	IR_DIAG((m)->c, (severity), (m)->route->object, (reason),              \
		IR_FIELD("spec.parentRefs[%zu]", (m)->number), __VA_ARGS__)

static bool can_serve(const struct mesh *m)
{
	const struct weir_parent_ref *p = m->parent;
	const struct weir_object *service = m->service ? m->service->object
						       : NULL;

	if (!service) {
		PARENT_DIAG(m, WEIR_DIAG_WARNING, "NoMatchingParent",
			    "there is no Service %.*s/%.*s",
			    WEIR_STR_ARG(p->ns), WEIR_STR_ARG(p->name));
		return false;
	}
	/* Datagrams to addresses that are not local have no relay. */
	if (m->consumer_ns.n && m->route->object->kind == WEIR_KIND_UDP_ROUTE) {
		PARENT_DIAG(m, WEIR_DIAG_WARNING, "NotServedYet",
			    "a UDPRoute for clients of its own namespace only "
			    "(the Service is in %.*s) is not served yet",
			    WEIR_STR_ARG(p->ns));
		return false;
	}
	if (service->service->n_cluster_ips == 0) {
		PARENT_DIAG(m, WEIR_DIAG_ERROR, "NoMatchingParent",
			    "Service %.*s/%.*s has no ClusterIP",
			    WEIR_STR_ARG(p->ns), WEIR_STR_ARG(p->name));
		return false;
	}
	return true;
}

/* sectionName of a Service is the name of a port (ParentReference). */
static bool is_meant(const struct weir_parent_ref *p,
		     const struct weir_service_port *port, uint8_t proto)
{
	return (!p->port || p->port == port->port) &&
	       (!p->section.n || weir_str_eq(p->section, port->name)) &&
	       weir_str_is(port->protocol,
			   proto == IPPROTO_UDP ? "UDP" : "TCP");
}

/* ------------------------------------------------ ports of GRPCRoutes */

struct ir_grpc_port {
	const struct ir_service *service;
	struct weir_str consumer_ns;
	uint16_t port;
};

static int compare_grpc_ports(const void *a, const void *b)
{
	const struct ir_grpc_port *x = a;
	const struct ir_grpc_port *y = b;
	int r = (x->service > y->service) - (x->service < y->service);

	r = r ? r : (x->port > y->port) - (x->port < y->port);
	return r ? r : weir_str_cmp(x->consumer_ns, y->consumer_ns);
}

/* Of one GRPCRoute; v NULL: only counted. */
static size_t add_grpc_ports(struct ir *c, const struct weir_object *route,
			     struct ir_grpc_port *v)
{
	const struct weir_route_spec *spec = route->route;
	size_t n = 0;

	for (size_t i = 0; spec && i < spec->n_parents; i++) {
		const struct weir_parent_ref *p = &spec->parents[i];
		bool is_service = p->group.n == 0 &&
				  weir_str_is(p->kind, "Service");
		const struct ir_service *s =
			is_service ? weir_ir_service(c, p->ns, p->name) : NULL;

		for (size_t k = 0; s && k < s->object->service->n_ports; k++) {
			const struct weir_service_port *port =
				&s->object->service->ports[k];

			if (!is_meant(p, port, IPPROTO_TCP)) {
				continue;
			}
			if (v) {
				v[n].service = s;
				v[n].port = port->port;
				v[n].consumer_ns = weir_str_eq(p->ns, route->ns)
							   ? WEIR_STR("")
							   : route->ns;
			}
			n++;
		}
	}
	return n;
}

static void load_grpc_ports(struct ir *c)
{
	size_t n_routes;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_GRPC_ROUTE, &n_routes);
	size_t n = 0;

	c->has_grpc_ports = true;
	for (size_t i = 0; i < n_routes; i++) {
		n += add_grpc_ports(c, v[i], NULL);
	}
	c->grpc_ports = n ? weir_ir_alloc(c, n, sizeof(*c->grpc_ports)) : NULL;
	for (size_t i = 0; c->grpc_ports && i < n_routes; i++) {
		c->n_grpc_ports += add_grpc_ports(
			c, v[i], &c->grpc_ports[c->n_grpc_ports]);
	}
	if (c->grpc_ports) {
		qsort(c->grpc_ports, n, sizeof(*c->grpc_ports),
		      compare_grpc_ports);
	}
}

static bool is_of_grpc(const struct mesh *m,
		       const struct weir_service_port *port)
{
	const struct ir_grpc_port key = {m->service, m->consumer_ns,
					 port->port};

	if (!m->c->has_grpc_ports) {
		load_grpc_ports(m->c);
	}
	return m->c->grpc_ports &&
	       bsearch(&key, m->c->grpc_ports, m->c->n_grpc_ports, sizeof(key),
		       compare_grpc_ports);
}

/* --------------------------------------------------------------- attach */

/* True if the port is one that the parentRef means. */
static bool attach_port(struct mesh *m, const struct weir_service_port *port,
			uint8_t mode, ir_attach_fn fn, void *arg)
{
	uint8_t proto = mode == WEIR_MODE_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	struct ir_front *f;

	if (!is_meant(m->parent, port, proto)) {
		return false;
	}
	/* GEP-1294: the more specific kind decides alone. */
	if (m->route->object->kind == WEIR_KIND_HTTP_ROUTE &&
	    is_of_grpc(m, port)) {
		PARENT_DIAG(m, WEIR_DIAG_WARNING, "Conflicted",
			    "port %u belongs to a GRPCRoute: this route gets "
			    "nothing there",
			    port->port);
		return true;
	}
	f = find_front(m->service, port->port, proto, m->consumer_ns);
	if (!f) {
		f = add_front(m->c, m->service, port, mode, m->consumer_ns);
	}
	if (!f) {
		return true;
	}
	if (f->mode != mode) {
		PARENT_DIAG(m, WEIR_DIAG_WARNING, "Conflicted",
			    "port %u belongs to an HTTPRoute or a GRPCRoute: "
			    "this route gets nothing there",
			    port->port);
		return true;
	}
	m->is_attached = true;
	if (f->listeners->attached != m->route->id) {
		f->listeners->attached = m->route->id;
		fn(m->c, m->route, arg, f->listeners);
	}
	return true;
}

static void say_no_port(const struct mesh *m, const char *protocol)
{
	const struct weir_parent_ref *p = m->parent;
	struct ir_field want = {{0}};
	struct ir_field number = {{0}};

	if (p->port) {
		weir_ir_field(&number, " %u", p->port);
	}
	if (p->section.n) {
		weir_ir_field(&want, " named \"%.*s\"",
			      WEIR_STR_ARG(p->section));
	}
	PARENT_DIAG(m, WEIR_DIAG_ERROR, "NoMatchingParent",
		    "Service %.*s/%.*s has no %s port%s%s", WEIR_STR_ARG(p->ns),
		    WEIR_STR_ARG(p->name), protocol, number.text, want.text);
}

void weir_ir_mesh_attach(struct ir *c, struct ir_route *route, size_t number,
			 ir_attach_fn fn, void *arg)
{
	/* The rest are conditions of the API; ours is not. */
	static const char *const reasons[] = {"NoMatchingParent", "Conflicted",
					      NULL};
	struct mesh m = {.c = c,
			 .route = route,
			 .parent = &route->object->route->parents[number],
			 .number = number};
	uint8_t mode = mode_of(route->object->kind);
	struct weir_parent_verdict *verdict;
	const struct weir_service_spec *spec;
	struct ir_scope before;
	bool is_any = false;

	route->is_seen = true;
	verdict = weir_ir_parent_verdict(c, route->verdict, route->object,
					 number);
	if (!verdict) {
		return;
	}
	verdict->is_mesh = true;
	m.service = weir_ir_service(c, m.parent->ns, m.parent->name);
	if (!weir_str_eq(m.parent->ns, route->object->ns)) {
		m.consumer_ns = route->object->ns;
	}
	before = weir_ir_enter(c, &verdict->accepted, reasons);
	c->scope.takes_warnings = true;
	if (mode == WEIR_MODE_REFUSE) {
		weir_ir_fault(c, &verdict->accepted, "UnsupportedValue",
			      "%ss of Services are not served yet",
			      weir_kind_text(route->object->kind));
	}
	if (mode == WEIR_MODE_REFUSE || !can_serve(&m)) {
		c->scope = before;
		return;
	}
	spec = m.service->object->service;
	for (size_t i = 0; i < spec->n_ports; i++) {
		is_any |= attach_port(&m, &spec->ports[i], mode, fn, arg);
	}
	if (!is_any) {
		say_no_port(&m, mode == WEIR_MODE_UDP ? "UDP" : "TCP");
	}
	if (m.is_attached) {
		verdict->accepted = NULL; /* one port is enough */
	}
	c->scope = before;
}

/* ------------------------------------------------------------- consumers */

/* What clients of other namespaces get: the Service, by a rule of ours. */
static void add_passthrough(struct ir *c, const struct ir_front *consumer)
{
	struct ir_service *service = consumer->service;
	const struct weir_service_port *port = consumer->service_port;
	uint8_t mode = consumer->proto == IPPROTO_UDP ? WEIR_MODE_UDP
						      : WEIR_MODE_TCP;
	struct ir_front *f = add_front(c, service, port, mode, WEIR_STR(""));
	struct ir_rule *rule = weir_ir_alloc(c, 1, sizeof(*rule));
	struct ir_ref *ref = weir_ir_alloc(c, 1, sizeof(*ref));

	if (!f || !rule || !ref) {
		return;
	}
	rule->key = weir_hash64(&port->port, sizeof(port->port),
				weir_ir_group_key(service->object, port));
	rule->object = service->object_id;
	ref->key = rule->key + 1;
	ref->weight = 1;
	ref->object = service->object_id;
	ref->group = weir_ir_group(c, service, port);
	ref->state = ref->group ? WEIR_REF_OK : WEIR_REF_INVALID;
	ref->proto = WEIR_BACKEND_RAW;
	rule->refs = ref;
	rule->n_refs = 1;
	rule->n_slots = 1;
	rule->plane = WEIR_PLANE_PROXY;
	rule->reason = WEIR_REASON_NEEDS_CLIENT;
	weir_ir_add_rule(c, rule);
	f->rule = rule;
}

static void give_to_proxy(struct ir_front *f)
{
	f->plane = WEIR_PLANE_PROXY;
	f->reason = WEIR_REASON_NEEDS_CLIENT;
	if (f->rule) {
		f->rule->plane = WEIR_PLANE_PROXY;
		f->rule->reason = WEIR_REASON_NEEDS_CLIENT;
	}
	if (f->mode == WEIR_MODE_HTTP) {
		f->rule = NULL;
	}
}

void weir_ir_consumers(struct ir *c)
{
	/* Appended ones are behind, and for everybody. */
	for (struct ir_front *f = c->has_consumers ? c->fronts : NULL; f;
	     f = f->next) {
		struct ir_front *all;

		if (f->consumer_ns.n == 0) {
			continue;
		}
		all = find_front(f->service, f->port, f->proto, WEIR_STR(""));
		if (!all) {
			add_passthrough(c, f);
			all = find_front(f->service, f->port, f->proto,
					 WEIR_STR(""));
		}
		give_to_proxy(f);
		if (all) {
			give_to_proxy(all);
		}
	}
}

struct client {
	struct weir_ip addr;
	struct weir_str ns;
};

static int compare_clients(const void *a, const void *b)
{
	const struct client *x = a;
	const struct client *y = b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return r ? r : weir_str_cmp(x->ns, y->ns);
}

static bool is_client(const struct weir_map *namespaces,
		      const struct weir_object *pod)
{
	return pod->pod && weir_ir_get(namespaces, weir_str_hash(pod->ns, 0));
}

/* Where the pods of namespaces with consumer routes are: not what
 * EndpointSlices say, as who may write those could make himself a client of
 * another's. */
struct weir_span weir_ir_emit_clients(struct ir *c, struct weir_writer *w)
{
	size_t n_pods;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_POD, &n_pods);
	_cleanup_(weir_map_fini) struct weir_map namespaces = {0};
	struct weir_client_addr *out;
	struct client *all;
	size_t n = 0;
	size_t kept = 0;

	for (const struct ir_front *f = c->has_consumers ? c->fronts : NULL; f;
	     f = f->next) {
		if (f->consumer_ns.n) {
			weir_ir_put(c, &namespaces,
				    weir_str_hash(f->consumer_ns, 0), f);
		}
	}
	for (size_t i = 0; namespaces.n && i < n_pods; i++) {
		n += is_client(&namespaces, v[i]) ? v[i]->pod->n_addresses : 0;
	}
	if (n == 0) {
		return (struct weir_span){0};
	}
	all = weir_ir_alloc(c, n, sizeof(*all));
	out = weir_ir_alloc(c, n, sizeof(*out));
	if (!all || !out) {
		return (struct weir_span){0};
	}
	n = 0;
	for (size_t i = 0; i < n_pods; i++) {
		const struct weir_pod_spec *pod = v[i]->pod;

		if (!is_client(&namespaces, v[i])) {
			continue;
		}
		for (size_t k = 0; k < pod->n_addresses; k++) {
			all[n++] = (struct client){pod->addresses[k], v[i]->ns};
		}
	}
	qsort(all, n, sizeof(*all), compare_clients);
	for (size_t i = 0; i < n; i++) {
		if (kept && weir_ip_eq(&out[kept - 1].addr, &all[i].addr)) {
			continue;
		}
		out[kept].addr = all[i].addr;
		out[kept++].ns = weir_writer_text(w, all[i].ns);
	}
	return weir_writer_add(w, out, kept, sizeof(*out));
}
