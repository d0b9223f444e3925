/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as parents (GEP-1294): a route bound to a Service decides what
 * happens at its ClusterIPs.  Only producer routes, those of the Service's own
 * namespace; consumer routes need a frontend per client namespace and are not
 * served yet.
 */
#include "ir.h"

#include <netinet/in.h>

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

static struct ir_front *find_front(struct ir_service *service, uint16_t port,
				   uint8_t proto)
{
	struct ir_front *f = service->fronts;

	while (f && (f->port != port || f->proto != proto)) {
		f = f->next_of_owner;
	}
	return f;
}

static struct ir_front *add_front(struct ir *c, struct ir_service *service,
				  const struct weir_service_port *port,
				  uint8_t mode)
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
	bool is_attached; /* at one port at least */
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
	if (!weir_str_eq(p->ns, m->route->object->ns)) {
		PARENT_DIAG(m, WEIR_DIAG_WARNING, "NotServedYet",
			    "a route for clients of its own namespace only "
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

/* True if the port is one that the parentRef means. */
static bool attach_port(struct mesh *m, const struct weir_service_port *port,
			uint8_t mode, ir_attach_fn fn, void *arg)
{
	uint8_t proto = mode == WEIR_MODE_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	struct ir_front *f;

	/* sectionName of a Service is the name of a port (ParentReference). */
	if ((m->parent->port && m->parent->port != port->port) ||
	    (m->parent->section.n &&
	     !weir_str_eq(m->parent->section, port->name)) ||
	    !weir_str_is(port->protocol,
			 proto == IPPROTO_UDP ? "UDP" : "TCP")) {
		return false;
	}
	f = find_front(m->service, port->port, proto);
	if (!f) {
		f = add_front(m->c, m->service, port, mode);
	}
	if (!f) {
		return true;
	}
	if (f->mode != mode) {
		/* GEP-1294: the more specific kind decides alone. */
		PARENT_DIAG(m, WEIR_DIAG_WARNING, "Conflicted",
			    "port %u belongs to an HTTPRoute: this route gets "
			    "nothing there",
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
