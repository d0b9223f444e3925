/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners that cannot be told apart.  Between a Gateway and its ListenerSets
 * the Gateway comes first, then the older ListenerSet, then the first by
 * namespace and name (GEP-1713), which is the order in which this sees them.
 * Among those of one Gateway, or of one ListenerSet, that did not lose already,
 * there is no winner: all of them are refused.
 *
 * HTTP, HTTPS and TLS listeners are told apart by port and hostname, TCP and
 * UDP ones by port; what the tls block says makes no difference.
 */
#include "ir.h"

/* 1: HTTP, 2: HTTPS and TLS (told apart by SNI), 3: TCP, 4: UDP, which shares
 * ports with nobody and disturbs nobody. */
int weir_ir_family(enum ir_protocol protocol)
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

static const char *reason_between(const struct ir_listener *a,
				  const struct ir_listener *b)
{
	int fa = weir_ir_family(a->protocol);
	int fb = weir_ir_family(b->protocol);

	if (a->port != b->port || !fa || !fb || (fa == 4) != (fb == 4)) {
		return NULL;
	}
	if (fa != fb) {
		return "ProtocolConflict";
	}
	if (fa >= 3) {
		return "HostnameConflict";
	}
	if (!weir_str_eq(a->hostname, b->hostname)) {
		return NULL;
	}
	return a->protocol == b->protocol ? "HostnameConflict"
					  : "ProtocolConflict";
}

static void refuse(struct ir *c, const struct ir_gateway *g, size_t i,
		   const struct ir_listener *other, const char *reason,
		   bool is_lost)
{
	struct ir_listener *l = &g->listeners[i];
	struct ir_scope before = weir_ir_enter(c, &l->verdict->conflicted,
					       NULL);

	l->is_conflicted = true;
	IR_DIAG(c, WEIR_DIAG_ERROR, g->object, reason,
		IR_FIELD("spec.listeners[%zu]", i),
		"listener \"%.*s\" cannot be told apart from \"%.*s\"%s on "
		"port %u: %s",
		WEIR_STR_ARG(l->name), WEIR_STR_ARG(other->name),
		is_lost ? " of the same Gateway, which comes first," : "",
		l->port, is_lost ? "it is not served" : "neither is served");
	c->scope = before;
}

/* At most 64 (a limit of the API and of the decoder): pairs are fine. */
static void find_inside(struct ir *c, struct ir_gateway *g)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < g->n_listeners; i++) {
		lost |= (uint64_t)g->listeners[i].is_conflicted << i;
	}
	for (size_t i = 0; i < g->n_listeners; i++) {
		const char *reason = NULL;
		size_t other = 0;

		if (lost >> i & 1) {
			continue;
		}
		for (size_t k = 0; k < g->n_listeners && !reason; k++) {
			if (k != i && !(lost >> k & 1)) {
				reason = reason_between(&g->listeners[i],
							&g->listeners[k]);
				other = k;
			}
		}
		if (reason) {
			refuse(c, g, i, &g->listeners[other], reason, false);
		}
	}
}

/* Where a listener stands, as keys of a map: with whom it shares a port, and
 * with whom a hostname, too. */
static uint64_t port_key(const struct ir_listener *l)
{
	return (uint64_t)(l->protocol == IR_PROTOCOL_UDP) << 16 | l->port;
}

static uint64_t host_key(const struct ir_listener *l)
{
	return weir_str_hash(l->hostname, port_key(l) + 1);
}

static void note(struct ir *c, struct weir_map *places,
		 const struct ir_gateway *g)
{
	for (size_t i = 0; i < g->n_listeners; i++) {
		const struct ir_listener *l = &g->listeners[i];

		if (l->is_conflicted || weir_ir_family(l->protocol) == 0) {
			continue;
		}
		if (!weir_ir_get(places, port_key(l))) {
			weir_ir_put(c, places, port_key(l), l);
		}
		if (!weir_ir_get(places, host_key(l))) {
			weir_ir_put(c, places, host_key(l), l);
		}
	}
}

static void find_lost(struct ir *c, const struct weir_map *places,
		      struct ir_gateway *set)
{
	for (size_t i = 0; i < set->n_listeners; i++) {
		const struct ir_listener *l = &set->listeners[i];
		const struct ir_listener *other;
		const char *reason = NULL;

		if (weir_ir_family(l->protocol) == 0) {
			continue;
		}
		other = weir_ir_get(places, port_key(l));
		reason = other ? reason_between(l, other) : NULL;
		if (!reason) {
			other = weir_ir_get(places, host_key(l));
			reason = other ? reason_between(l, other) : NULL;
		}
		if (reason) {
			refuse(c, set, i, other, reason, true);
		}
	}
}

static bool do_overlap(struct weir_str a, struct weir_str b)
{
	struct weir_str both;

	return !weir_str_eq(a, b) && weir_ir_intersect(a, b, &both);
}

/* HTTPS listeners of one port whose hostnames overlap: a client may use a
 * connection for both (GEP-3567); said, and detected per request. */
static void find_overlaps(struct ir *c, struct ir_gateway *g)
{
	for (size_t i = 0; i < g->n_listeners; i++) {
		const struct ir_listener *a = &g->listeners[i];

		for (size_t k = 0; k < g->n_listeners; k++) {
			const struct ir_listener *b = &g->listeners[k];

			if (k != i && a->port == b->port &&
			    a->protocol == IR_PROTOCOL_HTTPS &&
			    b->protocol == IR_PROTOCOL_HTTPS &&
			    do_overlap(a->hostname, b->hostname)) {
				weir_ir_fault(
					c, &a->verdict->overlap,
					"OverlappingHostnames",
					"hostnames overlap with those of "
					"listener \"%.*s\" on the same port",
					WEIR_STR_ARG(b->name));
				break;
			}
		}
	}
}

void weir_ir_conflicts(struct ir *c, struct ir_gateway *g)
{
	struct weir_map places = {0};

	find_inside(c, g);
	find_overlaps(c, g);
	if (g->sets) {
		note(c, &places, g);
	}
	for (struct ir_gateway *set = g->sets; set; set = set->next_set) {
		find_lost(c, &places, set);
		find_inside(c, set);
		find_overlaps(c, set);
		note(c, &places, set);
	}
	weir_map_fini(&places);
}
