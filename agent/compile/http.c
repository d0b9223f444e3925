/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPRoutes and GRPCRoutes: each rule is compiled once, and its matches are
 * entered under every hostname that the route shares with a listener.
 */
#include "ir.h"

/* A rule differs by what its parent asks for. */
#define VARIANT_MESH 1u         /* a Service: no ReferenceGrants */
#define VARIANT_NO_FORWARDED 2u /* weir.dev/forwarded: none */
#define VARIANTS 4
#define VARIANT_DRY 4u /* no listener took it: only what is wrong is said */

struct http_rule {
	const struct ir_match **matches;
	size_t n_matches;
	struct ir_rule *variants[VARIANTS];
	const struct weir_fault *fault; /* the first in matches and filters */
	bool is_dropped;
};

struct http_route {
	const struct weir_object *object;
	struct weir_route_verdict *verdict;
	uint32_t object_id;
	uint64_t key;
	uint8_t split;
	struct http_rule *rules;
	size_t n_rules;
	size_t n_matches;
	bool is_built; /* matches are there */
	bool is_said;  /* diagnostics of rules were given */
	bool is_too_big;
	bool are_refs_known[2]; /* by type of parent */
};

/* --------------------------------------------------------------- matches */

static const struct weir_http_match match_all = {
	.path_type = WEIR_MPATH_PREFIX_TYPE,
	.path = {"/", 1},
};

static bool is_within_limits(struct ir *c, const struct weir_object *o)
{
	const struct weir_route_spec *spec = o->route;
	size_t n_matches = 0;
	size_t n_backends = 0;

	for (size_t i = 0; i < spec->n_rules; i++) {
		n_matches += spec->rules[i].n_matches;
		if (spec->rules[i].n_backends > n_backends) {
			n_backends = spec->rules[i].n_backends;
		}
	}
	if (spec->n_rules <= IR_ROUTE_RULES_MAX &&
	    n_matches <= IR_ROUTE_MATCHES_MAX &&
	    n_backends <= IR_RULE_REFS_MAX &&
	    spec->hostnames.n <= IR_ROUTE_HOSTS_MAX &&
	    (n_matches + spec->n_rules) * (spec->hostnames.n + 1) <=
		    IR_ROUTE_ENTRIES_MAX) {
		return true;
	}
	IR_DIAG(c, WEIR_DIAG_ERROR, o, "LimitExceeded", WEIR_STR("spec"),
		"%zu rules, %zu matches, %zu hostnames, %zu backends in a rule;"
		" expected at most %d, %d, %d, %d: the route is not served",
		spec->n_rules, n_matches, spec->hostnames.n, n_backends,
		IR_ROUTE_RULES_MAX, IR_ROUTE_MATCHES_MAX, IR_ROUTE_HOSTS_MAX,
		IR_RULE_REFS_MAX);
	return false;
}

static void build_rule_matches(struct ir *c, struct http_route *r, size_t i,
			       uint32_t *number)
{
	const struct weir_route_rule *spec = &r->object->route->rules[i];
	const struct weir_http_match *v = spec->matches;
	struct http_rule *rule = &r->rules[i];
	struct ir_scope before;
	size_t n = spec->n_matches;

	if (n == 0) {
		v = &match_all;
		n = 1;
	}
	rule->matches = weir_ir_alloc(c, n, sizeof(*rule->matches));
	if (!rule->matches) {
		return;
	}
	before = weir_ir_enter(c, &rule->fault, weir_ir_value_reasons);
	for (size_t k = 0; k < n && !rule->is_dropped; k++) {
		struct ir_match *m = weir_ir_match(c, r->object, &v[k], i, k);

		if (!m) {
			rule->is_dropped = true;
		} else {
			m->number = (*number)++;
			rule->matches[rule->n_matches++] = m;
		}
	}
	c->scope = before;
}

static bool build_matches(struct ir *c, struct http_route *r)
{
	const struct weir_route_spec *spec = r->object->route;
	struct ir_scope before;
	uint32_t number = 0;

	if (r->is_built) {
		return !r->is_too_big;
	}
	r->is_built = true;
	before = weir_ir_enter(c, &r->verdict->invalid, weir_ir_value_reasons);
	r->is_too_big = !is_within_limits(c, r->object);
	c->scope = before;
	if (r->is_too_big) {
		return false;
	}
	r->rules = weir_ir_alloc(c, spec->n_rules, sizeof(*r->rules));
	if (!r->rules) {
		return false;
	}
	r->object_id = weir_ir_new_object(c, r->object);
	r->split = weir_ir_split(c, r->object);
	r->key = weir_str_hash(r->object->name,
			       weir_str_hash(r->object->ns, r->object->kind));
	r->n_rules = spec->n_rules;
	for (size_t i = 0; i < r->n_rules; i++) {
		build_rule_matches(c, r, i, &number);
	}
	return c->error == 0;
}

/* ----------------------------------------------------------------- rules */

static void say_unserved(struct ir *c, const struct weir_object *route,
			 const struct weir_route_rule *spec, size_t i)
{
	if (spec->has_retry) {
		IR_DIAG(c, WEIR_DIAG_WARNING, route, "NotServedYet",
			IR_FIELD("spec.rules[%zu].retry", i),
			"retries are not served yet: each request is tried "
			"once");
	}
	if (spec->has_persistence) {
		IR_DIAG(c, WEIR_DIAG_WARNING, route, "NotServedYet",
			IR_FIELD("spec.rules[%zu].sessionPersistence", i),
			"session persistence is not served yet: requests go by "
			"weight");
	}
}

/* Nothing takes a request: right only for what answers by itself. */
static void say_no_backend(struct ir *c, const struct weir_object *route,
			   const struct ir_rule *rule, size_t i)
{
	for (uint32_t k = 0; k < rule->filters.n; k++) {
		if (rule->filters.v[k].type == WEIR_FILTER_REDIRECT ||
		    rule->filters.v[k].type == WEIR_FILTER_UNSUPPORTED) {
			return;
		}
	}
	IR_DIAG(c, WEIR_DIAG_WARNING, route, "NoBackend",
		IR_FIELD("spec.rules[%zu].backendRefs", i),
		rule->n_refs ? "all weights are 0: requests get 500"
			     : "missing, and no filter answers: requests get "
			       "500");
}

static uint64_t rule_key(const struct http_route *r,
			 const struct weir_route_rule *spec, size_t i)
{
	uint64_t number = i;

	/* A named rule may move in the list and keep its counters. */
	if (spec->name.n) {
		return weir_str_hash(spec->name, r->key);
	}
	return weir_hash64(&number, sizeof(number), r->key);
}

static const struct weir_fault **fault_of_refs(struct http_route *r,
					       uint32_t variant)
{
	enum weir_parent_type type = variant & VARIANT_MESH
					     ? WEIR_PARENT_SERVICE
					     : WEIR_PARENT_GATEWAY;

	r->are_refs_known[type] = true;
	return &r->verdict->refs[type];
}

static struct ir_rule *build_rule(struct ir *c, struct http_route *r, size_t i,
				  uint32_t variant)
{
	const struct weir_route_rule *spec = &r->object->route->rules[i];
	bool is_grpc = r->object->kind == WEIR_KIND_GRPC_ROUTE;
	struct ir_rule *rule = weir_ir_alloc(c, 1, sizeof(*rule));
	struct ir_refs_request refs = {.route = r->object,
				       .rule = spec,
				       .number = i,
				       .use = is_grpc ? IR_USE_GRPC
						      : IR_USE_HTTP,
				       .fault = fault_of_refs(r, variant),
				       .is_mesh = variant & VARIANT_MESH,
				       .is_dry = variant & VARIANT_DRY};

	if (!rule) {
		return NULL;
	}
	rule->key = rule_key(r, spec, i);
	rule->object = r->object_id;
	rule->number = (uint32_t)i;
	rule->name = spec->name;
	rule->request_timeout_ms = spec->request_timeout_ms;
	rule->backend_timeout_ms = spec->backend_timeout_ms;
	rule->reason = WEIR_REASON_PER_REQUEST;
	rule->split = r->split;
	if (variant & VARIANT_NO_FORWARDED) {
		rule->flags |= WEIR_RULE_NO_FORWARDED;
	}
	if (is_grpc) {
		rule->flags |= WEIR_RULE_GRPC;
	}
	weir_ir_refs(c, &refs, rule);
	if (spec->n_filters) {
		struct ir_field field;
		struct ir_filter_request filters = {
			.route = r->object,
			.filters = spec->filters,
			.n = spec->n_filters,
			.field = weir_ir_field(&field,
					       "spec.rules[%zu].filters", i)};

		weir_ir_filters(c, &filters, &rule->filters);
		rule->needs_prefix |= rule->filters.needs_prefix;
	}
	say_unserved(c, r->object, spec, i);
	if (rule->n_slots == 0) {
		say_no_backend(c, r->object, rule, i);
	}
	if (!rule->needs_prefix && !(variant & VARIANT_DRY)) {
		weir_ir_add_rule(c, rule);
	}
	return rule;
}

/* The same rule for requests that matched this prefix. */
static struct ir_rule *for_prefix(struct ir *c, struct ir_rule *base,
				  struct weir_str prefix)
{
	struct ir_rule *rule = base->variant;
	struct ir_ref *refs;

	while (rule && !weir_str_eq(rule->matched_prefix, prefix)) {
		rule = rule->variant;
	}
	if (rule) {
		return rule;
	}
	rule = weir_ir_alloc(c, 1, sizeof(*rule));
	refs = weir_ir_alloc(c, base->n_refs, sizeof(*refs));
	if (!rule || !refs) {
		return NULL;
	}
	*rule = *base;
	rule->matched_prefix = prefix;
	if (base->n_refs) {
		memcpy(refs, base->refs, base->n_refs * sizeof(*refs));
	}
	rule->refs = refs;
	weir_ir_filters_for_prefix(c, &rule->filters, prefix);
	for (uint32_t i = 0; i < rule->n_refs; i++) {
		weir_ir_filters_for_prefix(c, &refs[i].filters, prefix);
	}
	base->variant = rule;
	weir_ir_add_rule(c, rule);
	return rule;
}

/* ReplacePrefixMatch says nothing about a path that matched otherwise. */
static bool is_prefix_known(struct ir *c, const struct http_route *r, size_t i)
{
	const struct http_rule *rule = &r->rules[i];

	for (size_t k = 0; k < rule->n_matches; k++) {
		if (rule->matches[k]->path_type != WEIR_PATH_PREFIX) {
			IR_DIAG(c, WEIR_DIAG_ERROR, r->object,
				"UnsupportedValue",
				IR_FIELD("spec.rules[%zu].matches[%zu].path", i,
					 k),
				"Dropped Rule: ReplacePrefixMatch needs a "
				"PathPrefix, and \"%.*s\" is none",
				WEIR_STR_ARG(rule->matches[k]->path));
			return false;
		}
	}
	return true;
}

static struct ir_rule *rule_for(struct ir *c, struct http_route *r, size_t i,
				uint32_t variant, const struct ir_match *m)
{
	struct ir_rule *rule = r->rules[i].variants[variant];

	return rule && rule->needs_prefix ? for_prefix(c, rule, m->path) : rule;
}

/* --------------------------------------------------------------- hostnames */

static void enter(struct ir *c, struct http_route *r,
		  const struct ir_route *route, struct ir_listener *l,
		  uint32_t variant, struct weir_str host, uint32_t tier)
{
	struct ir_vhost *vhost = weir_ir_vhost(c, l, host);

	for (size_t i = 0; vhost && i < r->n_rules; i++) {
		const struct http_rule *rule = &r->rules[i];

		for (size_t k = 0; !rule->is_dropped && k < rule->n_matches;
		     k++) {
			const struct ir_match *m = rule->matches[k];
			struct ir_rule *to = rule_for(c, r, i, variant, m);

			if (to) {
				weir_ir_add_entry(c, vhost, m, to, tier,
						  route->rank);
			}
		}
	}
}

static void build_variant(struct ir *c, struct http_route *r, uint32_t variant)
{
	for (size_t i = 0; i < r->n_rules; i++) {
		struct http_rule *rule = &r->rules[i];
		struct ir_scope before;

		if (rule->is_dropped || rule->variants[variant]) {
			continue;
		}
		before = weir_ir_enter(c, &rule->fault, weir_ir_value_reasons);
		rule->variants[variant] = build_rule(c, r, i, variant);
		if (rule->variants[variant] &&
		    rule->variants[variant]->needs_prefix) {
			rule->is_dropped = !is_prefix_known(c, r, i);
		}
		c->scope = before;
	}
}

static void attach(struct ir *c, struct ir_route *route, void *arg,
		   struct ir_listener *l)
{
	struct http_route *r = arg;
	struct weir_strs hosts = route->object->route->hostnames;
	bool is_mesh = !l->spec;
	uint32_t variant = is_mesh ? VARIANT_MESH : 0;
	struct weir_str both;

	if ((l->protocol != IR_PROTOCOL_HTTP &&
	     l->protocol != IR_PROTOCOL_HTTPS) ||
	    !build_matches(c, r)) {
		return;
	}
	/* What is wrong with a rule is wrong with each of its variants. */
	c->is_quiet = r->is_said;
	if (weir_ir_no_forwarded(c, r->object, l->no_forwarded)) {
		variant |= VARIANT_NO_FORWARDED;
	}
	build_variant(c, r, variant);
	c->is_quiet = false;
	r->is_said = true;
	/* A Service is its address: hostnames do not bind (GEP-1294). */
	if (is_mesh || hosts.n == 0) {
		enter(c, r, route, l, variant, l->hostname, 0);
		return;
	}
	for (size_t i = 0; i < hosts.n; i++) {
		if (weir_ir_intersect(l->hostname, hosts.v[i], &both)) {
			enter(c, r, route, l, variant, both,
			      weir_ir_tier(hosts.v[i]));
		}
	}
}

/* ResolvedRefs, and what is wrong with matches and filters, is of interest
 * also where no listener took the route. */
static void say_rules(struct ir *c, struct http_route *r,
		      enum weir_parent_type type)
{
	uint32_t variant = type == WEIR_PARENT_SERVICE
				   ? VARIANT_DRY | VARIANT_MESH
				   : VARIANT_DRY;

	if (!weir_ir_has_parent(r->verdict, type) || r->are_refs_known[type] ||
	    !build_matches(c, r)) {
		return;
	}
	c->is_quiet = r->is_said;
	for (size_t i = 0; i < r->n_rules; i++) {
		struct ir_scope before = weir_ir_enter(c, &r->rules[i].fault,
						       weir_ir_value_reasons);
		const struct ir_rule *rule = r->rules[i].is_dropped
						     ? NULL
						     : build_rule(c, r, i,
								  variant);

		if (rule && rule->needs_prefix) {
			is_prefix_known(c, r, i);
		}
		c->scope = before;
	}
	c->is_quiet = false;
	r->is_said = true;
}

/* A route without one good rule is not accepted; one with some is, and says
 * so (RouteConditionPartiallyInvalid, whose message begins like this). */
static void judge_rules(struct ir *c, struct http_route *r)
{
	struct weir_route_verdict *v = r->verdict;
	size_t n_bad = 0;
	size_t first = 0;

	for (size_t i = r->n_rules; i > 0; i--) {
		if (r->rules[i - 1].fault) {
			n_bad++;
			first = i - 1;
		}
	}
	if (n_bad == 0) {
		return;
	}
	if (n_bad == r->n_rules) {
		v->invalid = r->rules[first].fault;
		return;
	}
	weir_ir_fault(c, &v->partial, "UnsupportedValue",
		      "Dropped Rule %zu%s: %.*s", first,
		      n_bad > 1 ? " and others" : "",
		      WEIR_STR_ARG(r->rules[first].fault->message));
}

void weir_ir_http_routes(struct ir *c, enum weir_kind kind)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(c->store, kind,
							     &n);
	const uint32_t *ranks = weir_ir_ranks(c, v, n);

	for (size_t i = 0; ranks && !c->error && i < n; i++) {
		struct ir_route route = {
			.object = v[i], .id = ++c->n_routes, .rank = ranks[i]};
		struct http_route r = {
			.object = v[i],
			.verdict = weir_ir_route_verdict(c, v[i])};

		if (!v[i]->route || !r.verdict) {
			continue;
		}
		weir_ir_attach(c, &route, attach, &r);
		if (route.is_seen) {
			/* The stricter parent first, as there. */
			say_rules(c, &r, WEIR_PARENT_GATEWAY);
			say_rules(c, &r, WEIR_PARENT_SERVICE);
			judge_rules(c, &r);
		}
	}
}
