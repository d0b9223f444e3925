/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GatewayClasses, Gateways, ListenerSets and their listeners: which are weir's,
 * and what is opened at which address and port.
 *
 * A directory of manifests needs no GatewayClass: while the store holds none
 * at all, a Gateway whose class is named "weir" is weir's.
 */
#include "ir.h"

#include <netinet/in.h>
#include <stdlib.h>

#define DEFAULT_CLASS "weir"
#define GATEWAY_GROUP "gateway.networking.k8s.io"

/* True if the class is weir's; *ret_class may stay NULL (none needed). */
static bool is_ours(struct ir *c, const struct weir_object *gateway,
		    const struct weir_object **ret_class)
{
	struct weir_str name = gateway->gateway->class_name;
	const struct weir_object *class = weir_store_find(
		c->store, WEIR_KIND_GATEWAY_CLASS, WEIR_STR(""), name);
	size_t n;

	if (class) {
		*ret_class = class;
		return weir_str_is(class->gateway_class->controller,
				   WEIR_CONTROLLER);
	}
	weir_store_list(c->store, WEIR_KIND_GATEWAY_CLASS, &n);
	if (n == 0 && !c->needs_class && weir_str_is(name, DEFAULT_CLASS)) {
		return true;
	}
	IR_DIAG(c, WEIR_DIAG_WARNING, gateway, "Pending",
		WEIR_STR("spec.gatewayClassName"),
		"no GatewayClass \"%.*s\"%s: the Gateway is not served",
		WEIR_STR_ARG(name),
		n == 0 && !c->needs_class ? ", and it is not \"" DEFAULT_CLASS
					    "\""
					  : "");
	return false;
}

static enum ir_protocol protocol_of(struct weir_str text)
{
	static const struct {
		const char *text;
		enum ir_protocol protocol;
	} known[] = {
		{"HTTP", IR_PROTOCOL_HTTP}, {"HTTPS", IR_PROTOCOL_HTTPS},
		{"TLS", IR_PROTOCOL_TLS},   {"TCP", IR_PROTOCOL_TCP},
		{"UDP", IR_PROTOCOL_UDP},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (weir_str_is(text, known[i].text)) {
			return known[i].protocol;
		}
	}
	return IR_PROTOCOL_BAD;
}

static uint32_t kinds_of(enum ir_protocol protocol)
{
	switch (protocol) {
	case IR_PROTOCOL_HTTP:
	case IR_PROTOCOL_HTTPS:
		return 1u << WEIR_KIND_HTTP_ROUTE | 1u << WEIR_KIND_GRPC_ROUTE;
	case IR_PROTOCOL_TLS:
		return 1u << WEIR_KIND_TLS_ROUTE;
	case IR_PROTOCOL_TCP:
		return 1u << WEIR_KIND_TCP_ROUTE;
	case IR_PROTOCOL_UDP:
		return 1u << WEIR_KIND_UDP_ROUTE;
	case IR_PROTOCOL_BAD:
		break;
	}
	return 0;
}

/* The kinds that a listener lets in: those of its protocol, narrowed by
 * allowedRoutes.kinds. */
static uint32_t allowed_kinds(struct ir *c, const struct weir_object *owner,
			      const struct ir_listener *l, size_t i)
{
	const struct weir_listener_spec *spec = l->spec;
	struct ir_scope before = weir_ir_enter(c, &l->verdict->refs, NULL);
	uint32_t possible = kinds_of(l->protocol);
	uint32_t kinds = 0;

	if (spec->n_kinds == 0) {
		kinds = possible;
	}
	for (size_t k = 0; k < spec->n_kinds; k++) {
		const struct weir_group_kind *want = &spec->kinds[k];
		uint32_t bit = 0;

		for (int kind = WEIR_KIND_HTTP_ROUTE;
		     kind <= WEIR_KIND_UDP_ROUTE; kind++) {
			if (weir_str_is(want->kind, weir_kind_text(kind)) &&
			    weir_str_is(want->group, GATEWAY_GROUP)) {
				bit = possible & 1u << kind;
			}
		}
		if (!bit) {
			IR_DIAG(c, WEIR_DIAG_ERROR, owner, "InvalidRouteKinds",
				IR_FIELD("spec.listeners[%zu].allowedRoutes."
					 "kinds[%zu]",
					 i, k),
				"%.*s/%.*s cannot attach to a listener of "
				"protocol %.*s",
				WEIR_STR_ARG(want->group),
				WEIR_STR_ARG(want->kind),
				WEIR_STR_ARG(spec->protocol));
		}
		kinds |= bit;
	}
	c->scope = before;
	return kinds;
}

static bool is_tls(const struct ir_listener *l)
{
	return weir_ir_family(l->protocol) == 2;
}

/* Whether its protocol and port can be served at all. */
static void check_listener(struct ir *c, const struct weir_object *owner,
			   struct ir_listener *l, size_t i)
{
	static const char *const reasons[] = {"UnsupportedProtocol",
					      "UnsupportedValue", NULL};
	struct ir_scope before = weir_ir_enter(c, &l->verdict->accepted,
					       reasons);

	if (l->protocol == IR_PROTOCOL_BAD) {
		IR_DIAG(c, WEIR_DIAG_ERROR, owner, "UnsupportedProtocol",
			IR_FIELD("spec.listeners[%zu].protocol", i),
			"\"%.*s\"; expected HTTP, HTTPS, TLS, TCP or UDP",
			WEIR_STR_ARG(l->spec->protocol));
	}
	if (l->port == 0) {
		IR_DIAG(c, WEIR_DIAG_ERROR, owner, "InvalidValue",
			IR_FIELD("spec.listeners[%zu].port", i),
			"missing; expected 1 to 65535");
		l->is_conflicted = true;
	}
	c->scope = before;
}

/* root: the Gateway, which may be owner. */
static void init_listeners(struct ir *c, struct ir_gateway *owner,
			   const struct ir_gateway *root,
			   const struct weir_listener_spec *specs, size_t n)
{
	owner->listeners = weir_ir_alloc(c, n, sizeof(*owner->listeners));
	owner->verdict = weir_ir_gateway_verdict(c, owner->object, n);
	if (!owner->listeners || !owner->verdict) {
		return;
	}
	owner->n_listeners = n;
	for (size_t i = 0; i < n; i++) {
		struct ir_listener *l = &owner->listeners[i];

		l->spec = &specs[i];
		l->verdict = &owner->verdict->listeners[i];
		l->id = ++c->n_listeners;
		l->protocol = protocol_of(l->spec->protocol);
		l->port = l->spec->port;
		l->name = l->spec->name;
		l->hostname = l->spec->hostname;
		l->object = owner->object_id;
		l->no_forwarded = owner->no_forwarded;
		l->backend_cert = root->backend_cert;
		l->kinds = allowed_kinds(c, owner->object, l, i);
		l->verdict->name = l->name;
		l->verdict->kinds = l->kinds;
		check_listener(c, owner->object, l, i);
		if (is_tls(l)) {
			weir_ir_listener_tls(c, root, owner->object, l, i);
		}
	}
}

static uint8_t mode_of(enum ir_protocol protocol)
{
	switch (protocol) {
	case IR_PROTOCOL_HTTP:
		return WEIR_MODE_HTTP;
	case IR_PROTOCOL_TCP:
		return WEIR_MODE_TCP;
	case IR_PROTOCOL_UDP:
		return WEIR_MODE_UDP;
	case IR_PROTOCOL_HTTPS:
	case IR_PROTOCOL_TLS:
		return WEIR_MODE_TLS;
	case IR_PROTOCOL_BAD:
		break;
	}
	return WEIR_MODE_REFUSE;
}

/* The front of a Gateway at a port; a few, so a list will do. */
static struct ir_front *front_at(struct ir *c, struct ir_gateway *g,
				 const struct ir_listener *l)
{
	uint8_t proto = l->protocol == IR_PROTOCOL_UDP ? IPPROTO_UDP
						       : IPPROTO_TCP;
	struct ir_front *f = g->fronts;

	while (f && (f->port != l->port || f->proto != proto)) {
		f = f->next_of_owner;
	}
	if (f) {
		return f;
	}
	f = weir_ir_add_front(c);
	if (!f) {
		return NULL;
	}
	f->owner = g->object;
	f->object = g->object_id;
	f->port = l->port;
	f->proto = proto;
	f->mode = mode_of(l->protocol);
	f->origin = WEIR_ORIGIN_GATEWAY;
	f->is_local = !g->wants_service;
	f->split = g->split;
	f->addresses = g->addresses;
	f->n_addresses = g->n_addresses;
	f->next_of_owner = g->fronts;
	g->fronts = f;
	return f;
}

/* One front per port and transport; the listeners of a port share it. */
static void open_listeners(struct ir *c, struct ir_gateway *g,
			   struct ir_gateway *owner)
{
	for (size_t i = 0; i < owner->n_listeners; i++) {
		struct ir_listener *l = &owner->listeners[i];
		struct ir_front *f;

		if (l->is_conflicted || l->is_closed ||
		    l->protocol == IR_PROTOCOL_BAD) {
			continue;
		}
		f = front_at(c, g, l);
		if (!f) {
			return;
		}
		if (f->listeners) {
			f->last_listener->next = l;
		} else {
			f->listeners = l;
		}
		f->last_listener = l;
		f->n_listeners++;
	}
}

static int port_cmp(const void *a, const void *b)
{
	const struct weir_gateway_port *x = a, *y = b;

	return x->port != y->port ? (int)x->port - y->port
				  : (int)x->proto - y->proto;
}

static uint16_t node_port_of(const struct ir_gateway *g,
			     const struct ir_front *f)
{
	const struct weir_service_spec *spec = g->service ? g->service->service
							  : NULL;

	for (size_t i = 0; spec && i < spec->n_ports; i++) {
		if (spec->ports[i].port == f->port &&
		    weir_str_is(spec->ports[i].protocol,
				f->proto == IPPROTO_UDP ? "UDP" : "TCP")) {
			return spec->ports[i].node_port;
		}
	}
	return 0;
}

/* The Service's ports, and the same listeners at the node's own address, where
 * load balancers send to a port of the node. */
static void add_node_ports(struct ir *c, struct ir_gateway *g)
{
	struct weir_gateway_port *ports;
	size_t n = 0;

	for (const struct ir_front *f = g->fronts; f; f = f->next_of_owner) {
		n++;
	}
	/* Verdicts outlive the compilation. */
	ports = n ? weir_arena_array(c->diags->arena, n, sizeof(*ports)) : NULL;
	g->verdict->ports = ports;
	g->verdict->n_ports = ports ? (uint32_t)n : 0;
	for (const struct ir_front *f = g->fronts; ports && f;
	     f = f->next_of_owner) {
		uint16_t node_port = node_port_of(g, f);
		struct ir_front *at;

		ports[--n] = (struct weir_gateway_port){.port = f->port,
							.node_port = node_port,
							.proto = f->proto};
		at = node_port && c->n_node_ips ? weir_ir_add_front(c) : NULL;
		if (at) {
			struct ir_front *next = at->next;

			*at = *f;
			at->next = next;
			at->next_of_owner = NULL;
			at->port = node_port;
			at->addresses = c->node_ips;
			at->n_addresses = c->n_node_ips;
			at->same = f;
		}
	}
	if (ports) {
		qsort(ports, g->verdict->n_ports, sizeof(*ports), port_cmp);
	}
}

static void add_fronts(struct ir *c, struct ir_gateway *g)
{
	weir_ir_new_addresses(c, g);
	/* The ports of a Service are known before its addresses. */
	if (g->is_refused || (g->n_addresses == 0 && !g->wants_service)) {
		return;
	}
	open_listeners(c, g, g);
	for (struct ir_gateway *set = g->sets; set; set = set->next_set) {
		open_listeners(c, g, set);
	}
	if (g->wants_service) {
		add_node_ports(c, g);
	}
}

/* What the Gateway as a whole is refused for. */
static void check_gateway(struct ir *c, struct ir_gateway *g)
{
	const struct weir_gateway_spec *spec = g->object->gateway;
	struct ir_scope before = weir_ir_enter(c, &g->verdict->accepted, NULL);

	if (spec->bad_address_type.n) {
		IR_DIAG(c, WEIR_DIAG_ERROR, g->object, "UnsupportedAddress",
			WEIR_STR("spec.addresses"),
			"type \"%.*s\"; expected IPAddress: the Gateway is "
			"not served",
			WEIR_STR_ARG(spec->bad_address_type));
	}
	/* There are no parameters of a Gateway yet, so none can be right. */
	if (spec->has_parameters) {
		IR_DIAG(c, WEIR_DIAG_ERROR, g->object, "InvalidParameters",
			WEIR_STR("spec.infrastructure.parametersRef"),
			"\"%.*s/%.*s\" holds no parameters of a Gateway; "
			"expected none: the Gateway is not served",
			WEIR_STR_ARG(spec->parameters.group),
			WEIR_STR_ARG(spec->parameters.kind));
	}
	c->scope = before;
	g->is_refused = g->verdict->accepted != NULL;
}

/* ------------------------------------------------------------ ListenerSets */

static bool lets_in(struct ir *c, const struct ir_gateway *g,
		    const struct weir_object *set)
{
	const struct weir_gateway_spec *spec = g->object->gateway;

	switch (spec->listeners_from) {
	case WEIR_FROM_SAME:
		return weir_str_eq(g->object->ns, set->ns);
	case WEIR_FROM_ALL:
		return true;
	case WEIR_FROM_SELECTOR:
		return weir_ir_selects(c, &spec->listeners_selector, set->ns);
	case WEIR_FROM_NONE:
		break;
	}
	return false;
}

/* A set without one good listener is not accepted (ListenersNotValid follows
 * from the listeners); neither is one that the Gateway does not let in. */
static void init_set(struct ir *c, struct ir_gateway *set)
{
	const struct weir_listener_set_spec *spec = set->object->listener_set;
	struct ir_scope before;

	init_listeners(c, set, set->parent, spec->listeners, spec->n_listeners);
	if (c->error) {
		return;
	}
	before = weir_ir_enter(c, &set->verdict->accepted, NULL);
	if (!lets_in(c, set->parent, set->object)) {
		IR_DIAG(c, WEIR_DIAG_ERROR, set->object, "NotAllowed",
			WEIR_STR("spec.parentRef"),
			"allowedListeners of Gateway %.*s/%.*s does not let in "
			"ListenerSets of namespace %.*s",
			WEIR_STR_ARG(set->parent->object->ns),
			WEIR_STR_ARG(set->parent->object->name),
			WEIR_STR_ARG(set->object->ns));
	} else if (set->parent->is_refused) {
		IR_DIAG(c, WEIR_DIAG_ERROR, set->object, "ParentNotAccepted",
			WEIR_STR("spec.parentRef"),
			"Gateway %.*s/%.*s is not accepted",
			WEIR_STR_ARG(set->parent->object->ns),
			WEIR_STR_ARG(set->parent->object->name));
	}
	c->scope = before;
	set->is_refused = set->verdict->accepted != NULL;
}

static struct ir_gateway *parent_of(struct ir *c, const struct weir_object *set)
{
	const struct weir_object_ref *to = &set->listener_set->parent;
	struct ir_gateway *g = NULL;

	if (weir_str_is(to->group, GATEWAY_GROUP) &&
	    weir_str_is(to->kind, "Gateway")) {
		g = weir_ir_find_gateway(c, to->ns, to->name);
	}
	if (!g &&
	    !weir_store_find(c->store, WEIR_KIND_GATEWAY, to->ns, to->name)) {
		IR_DIAG(c, WEIR_DIAG_WARNING, set, "ParentNotAccepted",
			WEIR_STR("spec.parentRef"),
			"there is no Gateway %.*s/%.*s", WEIR_STR_ARG(to->ns),
			WEIR_STR_ARG(to->name));
	}
	return g;
}

static size_t n_good(const struct ir_gateway *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n_listeners; i++) {
		n += weir_listener_is_usable(set->listeners[i].verdict);
	}
	return n;
}

/* Older Gateways get the address that two of them name; older ListenerSets the
 * port. */
static int compare_age(const void *a, const void *b)
{
	const struct ir_gateway *x = *(const struct ir_gateway *const *)a;
	const struct ir_gateway *y = *(const struct ir_gateway *const *)b;
	int64_t ax = x->object->created_s ? x->object->created_s : INT64_MAX;
	int64_t ay = y->object->created_s ? y->object->created_s : INT64_MAX;

	if (ax != ay) {
		return ax < ay ? -1 : 1;
	}
	return (x > y) - (x < y); /* in order of namespace and name */
}

static struct ir_gateway **by_age(struct ir *c, struct ir_gateway *v, size_t n)
{
	struct ir_gateway **sorted = weir_ir_alloc(c, n, sizeof(*sorted));

	for (size_t i = 0; sorted && i < n; i++) {
		sorted[i] = &v[i];
	}
	if (sorted && n > 1) {
		qsort(sorted, n, sizeof(struct ir_gateway *), compare_age);
	}
	return sorted;
}

static void listener_sets(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_LISTENER_SET, &n);
	struct ir_gateway **sorted;

	c->sets = weir_ir_alloc(c, n, sizeof(*c->sets));
	for (size_t i = 0; c->sets && i < n && !c->error; i++) {
		struct ir_gateway *set = &c->sets[c->n_sets];

		if (!v[i]->listener_set) {
			continue;
		}
		set->parent = parent_of(c, v[i]);
		if (!set->parent) {
			continue;
		}
		set->object = v[i];
		set->object_id = weir_ir_new_object(c, v[i]);
		set->no_forwarded = weir_ir_no_forwarded(
			c, v[i], set->parent->no_forwarded);
		init_set(c, set);
		c->n_sets++;
	}
	sorted = by_age(c, c->sets, c->n_sets);
	/* Backwards, so that each list begins with the oldest. */
	for (size_t i = c->n_sets; sorted && !c->error && i-- > 0;) {
		struct ir_gateway *set = sorted[i];

		if (!set->is_refused) {
			set->next_set = set->parent->sets;
			set->parent->sets = set;
		}
	}
}

static void classes(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_GATEWAY_CLASS, &n);

	for (size_t i = 0; i < n; i++) {
		struct weir_class_verdict *verdict;

		if (!v[i]->gateway_class ||
		    !weir_str_is(v[i]->gateway_class->controller,
				 WEIR_CONTROLLER)) {
			continue;
		}
		verdict = weir_ir_class_verdict(c, v[i]);
		if (verdict) {
			weir_ir_pool(c, v[i], &verdict->accepted);
		}
	}
}

static void init_gateway(struct ir *c, const struct weir_object *o,
			 const struct weir_object *class)
{
	struct ir_gateway *g = &c->gateways[c->n_gateways];
	enum ir_split split;

	g->object = o;
	g->class = class;
	g->object_id = weir_ir_new_object(c, o);
	split = weir_ir_split(c, o);
	g->split = split ? split : weir_ir_split(c, class);
	g->no_forwarded = weir_ir_no_forwarded(
		c, o, weir_ir_no_forwarded(c, class, false));
	init_listeners(c, g, g, o->gateway->listeners, o->gateway->n_listeners);
	if (!c->error) {
		check_gateway(c, g);
		weir_ir_backend_cert(c, g);
		for (size_t i = 0; i < g->n_listeners; i++) {
			g->listeners[i].backend_cert = g->backend_cert;
		}
		c->n_gateways++;
	}
}

static void finish_gateway(struct ir *c, struct ir_gateway *g)
{
	weir_ir_conflicts(c, g);
	for (const struct ir_gateway *set = g->sets; set; set = set->next_set) {
		g->verdict->n_attached_sets += n_good(set) > 0;
	}
}

void weir_ir_gateways(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_GATEWAY, &n);
	struct ir_gateway **sorted;

	c->gateways = weir_ir_alloc(c, n, sizeof(*c->gateways));
	if (!c->gateways) {
		return;
	}
	classes(c);
	for (size_t i = 0; i < n && !c->error; i++) {
		const struct weir_object *class = NULL;

		if (v[i]->gateway && is_ours(c, v[i], &class)) {
			init_gateway(c, v[i], class);
		}
	}
	listener_sets(c);
	sorted = by_age(c, c->gateways, c->n_gateways);
	for (size_t i = 0; sorted && !c->error && i < c->n_gateways; i++) {
		finish_gateway(c, sorted[i]);
		if (!sorted[i]->is_refused) {
			weir_ir_known_addresses(c, sorted[i]);
		}
	}
	for (size_t i = 0; sorted && !c->error && i < c->n_gateways; i++) {
		add_fronts(c, sorted[i]);
	}
}

static struct ir_gateway *search(struct ir_gateway *v, size_t n,
				 struct weir_str ns, struct weir_str name)
{
	size_t lo = 0;
	size_t hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = weir_str_cmp(v[mid].object->ns, ns);

		r = r ? r : weir_str_cmp(v[mid].object->name, name);
		if (r == 0) {
			return &v[mid];
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return NULL;
}

struct ir_gateway *weir_ir_find_gateway(struct ir *c, struct weir_str ns,
					struct weir_str name)
{
	struct ir_gateway *g = c->last_gateway;

	/* Neighbouring routes mostly name the same Gateway. */
	if (g && weir_str_eq(g->object->name, name) &&
	    weir_str_eq(g->object->ns, ns)) {
		return g;
	}
	g = search(c->gateways, c->n_gateways, ns, name);
	if (g) {
		c->last_gateway = g;
	}
	return g;
}

struct ir_gateway *weir_ir_find_set(struct ir *c, struct weir_str ns,
				    struct weir_str name)
{
	return search(c->sets, c->n_sets, ns, name);
}
