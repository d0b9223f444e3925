/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCPRoute and UDPRoute: all connections of a port go by one rule.  Several
 * routes may attach to a listener; only the oldest gets traffic.
 */
#include "ir.h"

#include <netinet/in.h>

static void attach(struct ir *c, struct ir_route *route, void *arg,
		   struct ir_listener *l)
{
	const struct weir_object *loser = route->object;
	const struct weir_object *winner = l->rule_route;

	(void)arg;
	if (!winner || route->rank < l->rule_rank) {
		loser = l->rule_route;
		winner = route->object;
		l->rule_route = route->object;
		l->rule_rank = route->rank;
	}
	if (loser) {
		IR_DIAG(c, WEIR_DIAG_INFO, loser, "Shadowed",
			WEIR_STR("spec.parentRefs"),
			"listener \"%.*s\" on port %u gives all its traffic to "
			"the older %s %.*s/%.*s",
			WEIR_STR_ARG(l->name), l->port,
			weir_kind_text(winner->kind), WEIR_STR_ARG(winner->ns),
			WEIR_STR_ARG(winner->name));
	}
}

/* Which of the n routes of a kind name a parent of weir's. */
static const bool *attach_kind(struct ir *c, enum weir_kind kind)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(c->store, kind,
							     &n);
	const uint32_t *ranks = weir_ir_ranks(c, v, n);
	bool *are_seen = weir_ir_alloc(c, n, sizeof(*are_seen));

	for (size_t i = 0; ranks && are_seen && i < n; i++) {
		struct ir_route route = {
			.object = v[i], .id = ++c->n_routes, .rank = ranks[i]};

		if (v[i]->route) {
			weir_ir_attach(c, &route, attach, NULL);
			are_seen[i] = route.is_seen;
		}
	}
	return are_seen;
}

static bool has_rule(struct ir *c, const struct weir_object *o,
		     struct weir_route_verdict *verdict)
{
	const struct weir_route_spec *spec = o->route;
	struct ir_scope before = weir_ir_enter(c, &verdict->invalid,
					       weir_ir_value_reasons);
	bool is_good = spec->n_rules > 0;

	if (spec->n_rules != 1) {
		IR_DIAG(c, spec->n_rules ? WEIR_DIAG_WARNING : WEIR_DIAG_ERROR,
			o, "UnsupportedValue", WEIR_STR("spec.rules"),
			"%zu rules; expected one%s", spec->n_rules,
			spec->n_rules ? ": only the first is used" : "");
	}
	if (is_good && spec->rules[0].n_backends > IR_RULE_REFS_MAX) {
		IR_DIAG(c, WEIR_DIAG_ERROR, o, "LimitExceeded",
			WEIR_STR("spec.rules[0].backendRefs"),
			"%zu backends; expected at most %d: the route is not "
			"served",
			spec->rules[0].n_backends, IR_RULE_REFS_MAX);
		is_good = false;
	}
	c->scope = before;
	return is_good;
}

struct ir_rule *weir_ir_l4_rule(struct ir *c, const struct weir_object *o,
				enum ir_backend_use use, bool is_mesh,
				bool is_dry)
{
	const struct weir_route_spec *spec = o->route;
	struct weir_route_verdict *verdict = weir_ir_route_verdict(c, o);
	struct ir_refs_request refs = {.route = o,
				       .rule = spec->rules,
				       .use = use,
				       .fault = &verdict->refs[is_mesh],
				       .is_mesh = is_mesh,
				       .is_dry = is_dry};
	struct ir_rule *rule;
	uint64_t key;

	if (!has_rule(c, o, verdict)) {
		return NULL;
	}
	rule = weir_ir_alloc(c, 1, sizeof(*rule));
	if (!rule) {
		return NULL;
	}
	key = weir_str_hash(o->name, weir_str_hash(o->ns, o->kind));
	rule->key = weir_str_hash(spec->rules[0].name, key);
	rule->object = is_dry ? 0 : weir_ir_object(c, o);
	rule->name = spec->rules[0].name;
	rule->plane = WEIR_PLANE_CONNECTION;
	rule->reason = WEIR_REASON_PER_CONNECTION;
	weir_ir_refs(c, &refs, rule);
	if (o->kind == WEIR_KIND_TLS_ROUTE) {
		rule->plane = WEIR_PLANE_PROXY;
		rule->reason = WEIR_REASON_NEEDS_SNI;
	} else if (rule->n_slots > WEIR_ROW_SLOTS_MAX) {
		rule->plane = WEIR_PLANE_PROXY;
		rule->reason = WEIR_REASON_TOO_MANY_SLOTS;
	}
	if (rule->n_slots == 0) {
		IR_DIAG(c, WEIR_DIAG_WARNING, o, "NoBackend",
			WEIR_STR("spec.rules[0].backendRefs"),
			rule->n_refs ? "all weights are 0: all is refused"
				     : "missing: all is refused");
	}
	if (!is_dry) {
		weir_ir_add_rule(c, rule);
	}
	return rule;
}

static enum ir_backend_use use_of(const struct weir_object *o)
{
	return o->kind == WEIR_KIND_UDP_ROUTE ? IR_USE_UDP : IR_USE_TCP;
}

/* One rule per route and kind of parent, however many listeners it has. */
static struct ir_rule *rule_of(struct ir *c, const struct weir_object *o,
			       bool is_mesh)
{
	uint64_t key = (uintptr_t)o | is_mesh; /* objects are aligned */
	struct ir_rule *rule = weir_ir_get(&c->l4_rules, key);

	if (!rule) {
		rule = weir_ir_l4_rule(c, o, use_of(o), is_mesh, false);
		if (rule) {
			weir_ir_put(c, &c->l4_rules, key, rule);
		}
	}
	return rule;
}

/* References are checked also where another route has all the traffic, or no
 * listener took this one. */
static void say_idle(struct ir *c, enum weir_kind kind, const bool *are_seen)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(c->store, kind,
							     &n);

	for (size_t i = 0; are_seen && !c->error && i < n; i++) {
		const struct weir_route_verdict *verdict;
		uint64_t key = (uintptr_t)v[i];
		const bool are_said[] = {weir_ir_get(&c->l4_rules, key) != NULL,
					 weir_ir_get(&c->l4_rules, key | 1) !=
						 NULL};

		verdict = are_seen[i] ? weir_ir_route_verdict(c, v[i]) : NULL;
		c->is_quiet = are_said[0] || are_said[1];
		for (int type = 0; verdict && type < 2; type++) {
			if (!are_said[type] &&
			    weir_ir_has_parent(verdict, type)) {
				weir_ir_l4_rule(c, v[i], use_of(v[i]), type,
						true);
				c->is_quiet = true;
			}
		}
		c->is_quiet = false;
	}
}

void weir_ir_l4_routes(struct ir *c)
{
	const bool *tcp = attach_kind(c, WEIR_KIND_TCP_ROUTE);
	const bool *udp = attach_kind(c, WEIR_KIND_UDP_ROUTE);

	for (struct ir_front *f = c->fronts; f; f = f->next) {
		const struct ir_listener *l = f->listeners;

		if (f->mode != WEIR_MODE_TCP && f->mode != WEIR_MODE_UDP) {
			continue;
		}
		if (l->rule_route) {
			f->rule = rule_of(c, l->rule_route,
					  f->origin == WEIR_ORIGIN_SERVICE);
		}
		if (f->rule) {
			f->plane = f->rule->plane;
			f->reason = f->rule->reason;
		} else {
			/* No route: nothing to connect to. */
			f->mode = WEIR_MODE_REFUSE;
			f->reason = WEIR_REASON_PER_CONNECTION;
		}
	}
	say_idle(c, WEIR_KIND_TCP_ROUTE, tcp);
	say_idle(c, WEIR_KIND_UDP_ROUTE, udp);
}
