/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLSRoutes: the server name of a connection's hello decides its backend.  With
 * Passthrough the backend holds the certificate; with Terminate weir does, and
 * what is inside is relayed as it is (encrypted anew if a BackendTLSPolicy says
 * so).
 */
#include "ir.h"

struct tls_route {
	struct ir_rule *rules[2]; /* by weir terminates */
	bool is_said;
};

static const struct ir_match match_all = {
	.path = {"/", 1},
	.path_type = WEIR_PATH_PREFIX,
	.regex = WEIR_NONE,
};

static struct ir_rule *rule_for(struct ir *c, const struct weir_object *o,
				bool is_terminated, struct tls_route *r)
{
	struct ir_rule **rule = &r->rules[is_terminated];

	if (!*rule) {
		c->is_quiet = r->is_said;
		*rule = weir_ir_l4_rule(c, o,
					is_terminated ? IR_USE_TLS : IR_USE_TCP,
					false, false);
		c->is_quiet = false;
		r->is_said = true;
	}
	return *rule;
}

static void enter(struct ir *c, const struct ir_route *route,
		  struct ir_listener *l, struct ir_rule *rule,
		  struct weir_str host, uint32_t tier)
{
	struct ir_vhost *vhost = weir_ir_vhost(c, l, host);

	if (vhost) {
		weir_ir_add_entry(c, vhost, &match_all, rule, tier,
				  route->rank);
	}
}

static void attach(struct ir *c, struct ir_route *route, void *arg,
		   struct ir_listener *l)
{
	struct weir_strs hosts = route->object->route->hostnames;
	struct ir_rule *rule;

	if (l->protocol != IR_PROTOCOL_TLS) {
		return;
	}
	rule = rule_for(c, route->object,
			l->flags & WEIR_LISTENER_TLS_TERMINATE, arg);
	if (!rule) {
		return;
	}
	if (hosts.n == 0) {
		enter(c, route, l, rule, l->hostname, 0);
	}
	for (size_t i = 0; i < hosts.n && i < IR_ROUTE_HOSTS_MAX; i++) {
		struct weir_str both;

		if (weir_ir_intersect(l->hostname, hosts.v[i], &both)) {
			enter(c, route, l, rule, both,
			      weir_ir_tier(hosts.v[i]));
		}
	}
}

void weir_ir_tls_routes(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_TLS_ROUTE, &n);
	const uint32_t *ranks = weir_ir_ranks(c, v, n);

	for (size_t i = 0; ranks && !c->error && i < n; i++) {
		struct ir_route route = {
			.object = v[i], .id = ++c->n_routes, .rank = ranks[i]};
		struct tls_route r = {.is_said = false};

		if (!v[i]->route) {
			continue;
		}
		weir_ir_attach(c, &route, attach, &r);
		/* References are of interest also where no listener took it. */
		if (route.is_seen && !r.is_said && route.verdict &&
		    weir_ir_has_parent(route.verdict, WEIR_PARENT_GATEWAY)) {
			weir_ir_l4_rule(c, v[i], IR_USE_TLS, false, true);
		}
	}
}
