/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An edit of weights or endpoints alone: the plan before is copied, the rows of
 * the routes or the endpoints of the Services in question are built anew, and
 * everything stamped is taken back, so that the bytes are those of a full
 * compilation (tests/unit/test_compile_recompile.c holds it to that).  Where
 * that is not certain, the compilation is full.
 */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "compile.h"
#include "emit.h"

static void *copy_block(const void *block, size_t size)
{
	void *copy = malloc(size);

	return copy ? memcpy(copy, block, size) : NULL;
}

void weir_ir_unstamp_rules(struct weir_plan *rules)
{
	char *base = (char *)rules;
	struct weir_rule *rule = (struct weir_rule *)(base + rules->rules.off);
	struct weir_frontend *frontend =
		(struct weir_frontend *)(base + rules->frontends.off);

	rules->generation = 0;
	for (uint32_t i = 0; i < rules->frontends.n; i++) {
		frontend[i].proxy_index = 0;
	}
	if (rules->proxied.n) {
		memset(base + rules->proxied.off, 0xFF,
		       rules->proxied.n * sizeof(uint32_t));
	}
	for (uint32_t i = 0; i < rules->rules.n; i++) {
		struct weir_ref *ref = (struct weir_ref *)(base +
							   rule[i].refs.off);
		struct weir_slot *slot =
			(struct weir_slot *)(base + rule[i].slots.off);

		rule[i].stat = 0;
		for (uint32_t k = 0; k < rule[i].refs.n; k++) {
			ref[k].stat = 0;
		}
		for (uint32_t k = 0; k < rule[i].slots.n; k++) {
			slot[k].stat = 0;
		}
	}
}

static void unstamp_eps(struct weir_eps *eps)
{
	struct weir_span *sets = (struct weir_span *)((char *)eps +
						      eps->sets.off);

	eps->generation = 0;
	for (uint32_t i = 0; i < eps->sets.n; i++) {
		struct weir_endpoint *v = (struct weir_endpoint *)((char *)eps +
								   sets[i].off);

		for (uint32_t k = 0; k < sets[i].n; k++) {
			v[k].stat = 0;
		}
	}
}

/* -EAGAIN where more than the row might change. */
static int patch_rule(struct weir_plan *p, struct weir_rule *rule,
		      const struct weir_object *route)
{
	char *base = (char *)p;
	struct weir_ref *refs = (struct weir_ref *)(base + rule->refs.off);
	struct weir_slot *slots = (struct weir_slot *)(base + rule->slots.off);
	struct ir_ref weights[IR_RULE_REFS_MAX] = {{0}};
	struct ir_rule row = {.refs = weights, .n_refs = rule->refs.n};
	const struct weir_route_rule *spec;

	if (rule->index >= route->route->n_rules) {
		return -EAGAIN;
	}
	spec = &route->route->rules[rule->index];
	if (rule->refs.n != spec->n_backends ||
	    rule->refs.n > IR_RULE_REFS_MAX) {
		return -EAGAIN;
	}
	for (uint32_t i = 0; i < rule->refs.n; i++) {
		uint32_t weight = spec->backends[i].weight;

		/* Knative's splits: weights times percent.  Too heavy: said. */
		if (refs[i].index != i || refs[i].detail.n ||
		    refs[i].state == WEIR_REF_UNREADY ||
		    weight > IR_WEIGHT_MAX || refs[i].weight > IR_WEIGHT_MAX) {
			return -EAGAIN;
		}
		refs[i].weight = weight;
		weights[i].weight = weight;
		row.n_slots += weight > 0;
	}
	if (rule->refs.n == 0) {
		return 0;
	}
	/* That all weights are 0 is said: so it must be said anew. */
	if ((rule->slots.n == 0) != (row.n_slots == 0)) {
		return -EAGAIN;
	}
	/* The room is there: emit.c. */
	memset(slots, 0, rule->refs.n * sizeof(*slots));
	weir_ir_slots(&row, slots);
	rule->slots.n = row.n_slots;
	return 0;
}

static bool is_object(const struct weir_plan *p, uint32_t i,
		      const struct weir_object *o)
{
	const struct weir_pobject *have = WEIR_PLAN_ELEM(p, struct weir_pobject,
							 p->objects, i);

	return weir_str_eq(weir_plan_str(p, have->name), o->name) &&
	       weir_str_eq(weir_plan_str(p, have->ns), o->ns) &&
	       weir_str_is(weir_plan_str(p, have->kind),
			   weir_kind_text(o->kind));
}

static int patch_route(struct weir_plan *p, const struct weir_object *route)
{
	char *base = (char *)p;
	struct weir_pobject *objects = (struct weir_pobject *)(base +
							       p->objects.off);
	struct weir_rule *rules = (struct weir_rule *)(base + p->rules.off);
	uint32_t object = WEIR_NONE;
	uint32_t last = WEIR_NONE;
	bool is_known = false;

	for (uint32_t i = 0; i < p->objects.n && !is_known; i++) {
		is_known = is_object(p, i, route);
	}
	for (uint32_t i = 0; is_known && i < p->rules.n; i++) {
		int r;

		/* Rules of one route follow each other. */
		if (rules[i].object == last ||
		    (rules[i].object != object &&
		     !is_object(p, rules[i].object, route))) {
			last = rules[i].object == object ? last
							 : rules[i].object;
			continue;
		}
		object = rules[i].object;
		r = patch_rule(p, &rules[i], route);
		if (r < 0) {
			return r;
		}
	}
	if (object != WEIR_NONE) {
		objects[object].generation = route->generation;
	}
	/* Named by someone, or attached without a rule: rare, not worth it. */
	return is_known && object == WEIR_NONE ? -EAGAIN : 0;
}

/* The slices of n edits to the front; how many. */
static size_t slices_first(const struct weir_object **edits, size_t n)
{
	size_t n_slices = 0;

	for (size_t i = 0; i < n; i++) {
		const struct weir_object *o = edits[i];

		if (o->kind == WEIR_KIND_ENDPOINT_SLICE) {
			edits[i] = edits[n_slices];
			edits[n_slices++] = o;
		}
	}
	return n_slices;
}

/* Weights decide no condition, but a condition names its generation. */
static void patch_verdicts(const struct weir_verdicts *verdicts,
			   const struct weir_object *const *edits, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct weir_route_verdict *v = weir_verdict_route(
			verdicts, edits[i]->kind, edits[i]->ns, edits[i]->name);

		if (v) {
			v->id.generation = edits[i]->generation;
		}
	}
}

void weir_ir_replace_blocks(struct weir_compiled *compiled,
			    struct weir_plan *rules, struct weir_eps *eps,
			    size_t eps_size)
{
	weir_free_ptr(&compiled->rules);
	weir_free_ptr(&compiled->eps);
	weir_compiled_wipe(compiled);
	compiled->rules_size = rules->size;
	compiled->eps_size = eps_size;
	compiled->rules = rules;
	compiled->eps = eps;
}

static int patch(struct weir_store *store,
		 const struct weir_compile_options *options, uint64_t since,
		 const struct weir_plan_view *before,
		 struct weir_compiled *compiled)
{
	const struct weir_object *edits[WEIR_STORE_SMALL_EDITS_MAX];
	_cleanup_free_ struct weir_plan *rules = NULL;
	_cleanup_free_ struct weir_eps *eps = NULL;
	size_t eps_size = before->eps->size;
	size_t n_slices;
	const struct weir_object *added = weir_store_only_added(store, since);
	size_t n;
	int r;

	if (added && added->kind == WEIR_KIND_KINGRESS) {
		return weir_ir_graft(store, options, added, before, compiled);
	}
	r = weir_store_small_edits(store, since, edits, &n);
	if (r < 0) {
		return r;
	}
	n_slices = slices_first(edits, n);
	if (n_slices) {
		r = weir_ir_patch_eps(store, options, edits, n_slices, before,
				      &eps, &eps_size);
		if (r < 0) {
			return r;
		}
	} else {
		eps = copy_block(before->eps, eps_size);
		if (eps) {
			unstamp_eps(eps);
		}
	}
	rules = copy_block(before->rules, before->rules->size);
	if (!rules || !eps) {
		return -ENOMEM;
	}
	weir_ir_unstamp_rules(rules);
	for (size_t i = n_slices; i < n; i++) {
		r = patch_route(rules, edits[i]);
		if (r < 0) {
			return r;
		}
	}
	patch_verdicts(&compiled->verdicts, edits + n_slices, n - n_slices);
	weir_ir_replace_blocks(compiled, TAKE_PTR(rules), TAKE_PTR(eps),
			       eps_size);
	return 0;
}

int weir_recompile(struct weir_store *store,
		   const struct weir_compile_options *options, uint64_t since,
		   const struct weir_plan_view *before,
		   struct weir_compiled *compiled)
{
	struct weir_compiled fresh;
	int r = before ? patch(store, options, since, before, compiled)
		       : -EAGAIN;

	if (r != -EAGAIN) {
		return r;
	}
	r = weir_compile(store, options, &fresh);
	if (r < 0) {
		return r;
	}
	weir_compiled_fini(compiled);
	*compiled = fresh;
	compiled->diags.arena = &compiled->arena;
	return 0;
}
