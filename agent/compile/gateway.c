/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GatewayClasses, Gateways and their listeners: which are weir's, which
 * conflict, and what is opened at which address and port.
 *
 * A directory of manifests needs no GatewayClass: while the store holds none
 * at all, a Gateway whose class is named "weir" is weir's.
 */
#include "ir.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "addr.h"

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
	if (n == 0 && weir_str_is(name, DEFAULT_CLASS)) {
		return true;
	}
	IR_DIAG(c, WEIR_DIAG_WARNING, gateway, "Pending",
		WEIR_STR("spec.gatewayClassName"),
		"no GatewayClass \"%.*s\"%s: the Gateway is not served",
		WEIR_STR_ARG(name),
		n == 0 ? ", and it is not \"" DEFAULT_CLASS "\"" : "");
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
static uint32_t allowed_kinds(struct ir *c, const struct weir_object *gateway,
			      size_t i, enum ir_protocol protocol,
			      const struct weir_fault **fault)
{
	const struct weir_listener_spec *spec = &gateway->gateway->listeners[i];
	struct ir_scope before = weir_ir_enter(c, fault, NULL);
	uint32_t possible = kinds_of(protocol);
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
			IR_DIAG(c, WEIR_DIAG_ERROR, gateway,
				"InvalidRouteKinds",
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

/* 1: HTTP, 2: HTTPS and TLS (told apart by SNI), 3: TCP, 4: UDP, which shares
 * ports with nobody and disturbs nobody. */
static int family_of(enum ir_protocol protocol)
{
	switch (protocol) {
	case IR_PROTOCOL_HTTP:
		return 1;
	case IR_PROTOCOL_HTTPS:
	case IR_PROTOCOL_TLS:
		return 2;
	case IR_PROTOCOL_TCP:
		return 3;
	case IR_PROTOCOL_UDP:
		return 4;
	case IR_PROTOCOL_BAD:
		break;
	}
	return 0;
}

/* Listeners of one Gateway that cannot be told apart are all refused; there is
 * no winner inside a Gateway.  At most a few hundred: pairs are fine. */
static void find_conflicts(struct ir *c, struct ir_gateway *g)
{
	for (size_t i = 0; i < g->n_listeners; i++) {
		struct ir_listener *a = &g->listeners[i];
		const char *reason = NULL;
		size_t other = 0;

		for (size_t k = 0; k < g->n_listeners && !reason; k++) {
			const struct ir_listener *b = &g->listeners[k];
			int fa = family_of(a->protocol);
			int fb = family_of(b->protocol);

			other = k;
			if (k == i || a->port != b->port || !fa || !fb ||
			    (fa == 4) != (fb == 4)) {
				continue;
			}
			if (fa != fb) {
				reason = "ProtocolConflict";
			} else if (fa >= 3 ||
				   (a->protocol == b->protocol &&
				    weir_str_eq(a->hostname, b->hostname))) {
				reason = "HostnameConflict";
			}
		}
		if (reason) {
			struct ir_scope before = weir_ir_enter(
				c, &a->verdict->conflicted, NULL);

			a->is_conflicted = true;
			IR_DIAG(c, WEIR_DIAG_ERROR, g->object, reason,
				IR_FIELD("spec.listeners[%zu]", i),
				"listener \"%.*s\" cannot be told apart from "
				"\"%.*s\" on port %u: neither is served",
				WEIR_STR_ARG(a->name),
				WEIR_STR_ARG(g->listeners[other].name),
				a->port);
			c->scope = before;
		}
	}
}

/* Whether its protocol and port can be served at all. */
static void check_listener(struct ir *c, struct ir_gateway *g, size_t i)
{
	struct ir_listener *l = &g->listeners[i];
	static const char *const reasons[] = {"UnsupportedProtocol",
					      "UnsupportedValue", NULL};
	struct ir_scope before = weir_ir_enter(c, &l->verdict->accepted,
					       reasons);

	if (l->protocol == IR_PROTOCOL_BAD) {
		IR_DIAG(c, WEIR_DIAG_ERROR, g->object, "UnsupportedProtocol",
			IR_FIELD("spec.listeners[%zu].protocol", i),
			"\"%.*s\"; expected HTTP, TCP or UDP",
			WEIR_STR_ARG(l->spec->protocol));
	} else if (family_of(l->protocol) == 2) {
		IR_DIAG(c, WEIR_DIAG_ERROR, g->object, "NotServedYet",
			IR_FIELD("spec.listeners[%zu].protocol", i),
			"TLS is not served yet: connections to port %u are "
			"closed",
			l->port);
	}
	if (l->port == 0) {
		IR_DIAG(c, WEIR_DIAG_ERROR, g->object, "InvalidValue",
			IR_FIELD("spec.listeners[%zu].port", i),
			"missing; expected 1 to 65535");
		l->is_conflicted = true;
	}
	c->scope = before;
}

static void init_listeners(struct ir *c, struct ir_gateway *g)
{
	const struct weir_gateway_spec *spec = g->object->gateway;

	g->listeners = weir_ir_alloc(c, spec->n_listeners,
				     sizeof(*g->listeners));
	g->verdict = weir_ir_gateway_verdict(c, g->object, spec->n_listeners);
	if (!g->listeners || !g->verdict) {
		return;
	}
	g->n_listeners = spec->n_listeners;
	for (size_t i = 0; i < g->n_listeners; i++) {
		struct ir_listener *l = &g->listeners[i];

		l->spec = &spec->listeners[i];
		l->verdict = &g->verdict->listeners[i];
		l->id = ++c->n_listeners;
		l->protocol = protocol_of(l->spec->protocol);
		l->port = l->spec->port;
		l->name = l->spec->name;
		l->hostname = l->spec->hostname;
		l->object = g->object_id;
		l->no_forwarded = g->no_forwarded;
		l->kinds = allowed_kinds(c, g->object, i, l->protocol,
					 &l->verdict->refs);
		l->verdict->name = l->name;
		l->verdict->kinds = l->kinds;
		check_listener(c, g, i);
	}
	find_conflicts(c, g);
}

static bool is_usable(const struct weir_ip *ip)
{
	static const struct weir_ip any6;

	if (weir_ip_is_v4(ip)) {
		uint32_t a = ntohl(ip->a[3]);

		return a != 0 && a < 0xE0000000u; /* not multicast, class E */
	}
	return !weir_ip_eq(ip, &any6) && (ntohl(ip->a[0]) >> 24) != 0xFF;
}

static bool is_repeated(const struct weir_ip *v, size_t n,
			const struct weir_ip *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (weir_ip_eq(&v[i], ip)) {
			return true;
		}
	}
	return false;
}

static const struct weir_ip *
addresses_of(struct ir *c, const struct ir_gateway *g, size_t *ret_n)
{
	const struct weir_object *gateway = g->object;
	const struct weir_gateway_spec *spec = gateway->gateway;
	struct weir_ip *v = weir_ir_alloc(c, spec->n_addresses, sizeof(*v));
	struct ir_scope before;
	size_t n = 0;

	*ret_n = 0;
	if (!v) {
		return NULL;
	}
	before = weir_ir_enter(c, &g->verdict->programmed, NULL);
	for (size_t i = 0; i < spec->n_addresses; i++) {
		char text[WEIR_ADDR_TEXT_MAX];

		if (!is_usable(&spec->addresses[i])) {
			IR_DIAG(c, WEIR_DIAG_ERROR, gateway, "AddressNotUsable",
				IR_FIELD("spec.addresses[%zu]", i),
				"%s is not a unicast address",
				weir_ip_format(&spec->addresses[i], text));
		} else if (!is_repeated(v, n, &spec->addresses[i])) {
			v[n++] = spec->addresses[i];
		}
	}
	if (n == 0) {
		IR_DIAG(c, WEIR_DIAG_ERROR, gateway, "AddressNotAssigned",
			WEIR_STR("spec.addresses"),
			"no usable address; expected at least one of type "
			"IPAddress: the Gateway is not served");
	}
	c->scope = before;
	g->verdict->addresses = v;
	g->verdict->n_addresses = (uint32_t)n;
	*ret_n = n;
	return v;
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
	case IR_PROTOCOL_BAD:
		break;
	}
	return WEIR_MODE_REFUSE;
}

/* One front per port and transport; the listeners of a port share it. */
static void add_fronts(struct ir *c, struct ir_gateway *g)
{
	size_t n_addresses;
	const struct weir_ip *addresses = addresses_of(c, g, &n_addresses);

	for (size_t i = 0; n_addresses && i < g->n_listeners; i++) {
		struct ir_listener *l = &g->listeners[i];
		struct ir_listener *last = l;
		struct ir_front *f;

		if (l->is_conflicted || l->protocol == IR_PROTOCOL_BAD ||
		    l->has_front) {
			continue;
		}
		f = weir_ir_add_front(c);
		if (!f) {
			return;
		}
		f->owner = g->object;
		f->object = g->object_id;
		f->port = l->port;
		f->proto = l->protocol == IR_PROTOCOL_UDP ? IPPROTO_UDP
							  : IPPROTO_TCP;
		f->mode = mode_of(l->protocol);
		f->origin = WEIR_ORIGIN_GATEWAY;
		f->is_local = true;
		f->split = g->split;
		f->addresses = addresses;
		f->n_addresses = n_addresses;
		f->listeners = l;
		f->n_listeners = 1;
		for (size_t k = i + 1; k < g->n_listeners; k++) {
			struct ir_listener *m = &g->listeners[k];

			if (m->port == l->port && !m->is_conflicted &&
			    family_of(m->protocol) == family_of(l->protocol)) {
				m->has_front = true;
				last->next = m;
				last = m;
				f->n_listeners++;
			}
		}
	}
}

/* Older Gateways get the address that two of them name. */
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

static void classes(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_GATEWAY_CLASS, &n);

	for (size_t i = 0; i < n; i++) {
		if (v[i]->gateway_class &&
		    weir_str_is(v[i]->gateway_class->controller,
				WEIR_CONTROLLER)) {
			weir_ir_class_verdict(c, v[i]);
		}
	}
}

void weir_ir_gateways(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_GATEWAY, &n);
	struct ir_gateway **by_age = weir_ir_alloc(c, n, sizeof(*by_age));

	c->gateways = weir_ir_alloc(c, n, sizeof(*c->gateways));
	if (!c->gateways || !by_age) {
		return;
	}
	classes(c);
	for (size_t i = 0; i < n; i++) {
		struct ir_gateway *g = &c->gateways[c->n_gateways];
		const struct weir_object *class = NULL;
		enum ir_split split;

		if (!v[i]->gateway || !is_ours(c, v[i], &class)) {
			continue;
		}
		g->object = v[i];
		g->object_id = weir_ir_new_object(c, v[i]);
		split = weir_ir_split(c, v[i]);
		g->split = split ? split : weir_ir_split(c, class);
		g->no_forwarded = weir_ir_no_forwarded(
			c, v[i], weir_ir_no_forwarded(c, class, false));
		init_listeners(c, g);
		if (c->error) {
			return;
		}
		by_age[c->n_gateways++] = g;
	}
	if (c->n_gateways > 1) {
		qsort(by_age, c->n_gateways, sizeof(struct ir_gateway *),
		      compare_age);
	}
	for (size_t i = 0; i < c->n_gateways; i++) {
		add_fronts(c, by_age[i]);
	}
}

struct ir_gateway *weir_ir_find_gateway(struct ir *c, struct weir_str ns,
					struct weir_str name)
{
	size_t lo = 0;
	size_t hi = c->n_gateways;
	struct ir_gateway *g = c->last_gateway;

	/* Neighbouring routes mostly name the same Gateway. */
	if (g && weir_str_eq(g->object->name, name) &&
	    weir_str_eq(g->object->ns, ns)) {
		return g;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r;

		g = &c->gateways[mid];
		r = weir_str_cmp(g->object->ns, ns);
		r = r ? r : weir_str_cmp(g->object->name, name);
		if (r == 0) {
			c->last_gateway = g;
			return g;
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return NULL;
}
