/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoints block: written from the groups of a compilation, or, where only
 * endpoints of a few Services changed, from the block before and these.
 */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "emit.h"
#include "writer.h"

static void put_set(struct weir_endpoint *out, const struct ir_set *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		if (set->before) {
			out[i] = set->before[i];
			out[i].stat = 0;
			continue;
		}
		out[i].addr = set->endpoints[i].addr;
		out[i].port_be = set->endpoints[i].port_be;
		out[i].flags = set->endpoints[i].flags;
	}
}

int weir_ir_write_eps(const struct ir_set *sets, uint32_t n,
		      uint64_t groups_hash, struct weir_eps **ret_eps,
		      size_t *ret_size)
{
	_cleanup_free_ struct weir_span *v = calloc(n + 1, sizeof(*v));
	struct weir_writer w;
	struct weir_span span;
	void *block;
	int r;

	if (!v) {
		return -ENOMEM;
	}
	weir_writer_init(&w, sizeof(struct weir_eps));
	for (uint32_t i = 0; i < n; i++) {
		v[i] = weir_writer_reserve(&w, sets[i].n,
					   sizeof(struct weir_endpoint));
		if (v[i].n) {
			put_set(weir_writer_at(&w, v[i]), &sets[i]);
		}
	}
	span = weir_writer_add(&w, v, n, sizeof(*v));
	r = weir_writer_finish(&w, WEIR_EPS_MAGIC, &block, ret_size);
	if (r < 0) {
		return r;
	}
	*ret_eps = block;
	(*ret_eps)->sets = span;
	(*ret_eps)->groups_hash = groups_hash;
	return 0;
}

/* ------------------------------------------------------------- a few anew */

struct patch {
	struct ir c; /* for its arena, node and slices */
	const struct weir_plan *rules;
	struct ir_set *sets;
	bool *are_new;
};

static bool is_service(const struct weir_plan *p, uint32_t object,
		       const struct weir_object *service)
{
	const struct weir_pobject *o = WEIR_PLAN_ELEM(p, struct weir_pobject,
						      p->objects, object);

	return weir_str_eq(weir_plan_str(p, o->name), service->name) &&
	       weir_str_eq(weir_plan_str(p, o->ns), service->ns);
}

static void renew_port(struct patch *p, const struct weir_object *service,
		       const struct ir_service *with_slices,
		       const struct weir_service_port *port)
{
	const struct weir_group *g = weir_plan_at(p->rules, p->rules->groups);
	const uint64_t keys[] = {weir_ir_group_key(service, port),
				 weir_ir_pods_key(service, port)};

	for (uint32_t i = 0; i < p->rules->groups.n; i++) {
		struct ir_group fresh = {.flags = (uint8_t)g[i].flags};

		/* A key is a hash. */
		if (g[i].key != keys[g[i].flags & WEIR_GROUP_PODS] ||
		    g[i].port != port->port ||
		    !weir_str_eq(weir_plan_str(p->rules, g[i].port_name),
				 port->name) ||
		    !is_service(p->rules, g[i].object, service)) {
			continue;
		}
		weir_ir_fill_group(&p->c, with_slices, port, &fresh);
		p->sets[i] = (struct ir_set){.endpoints = fresh.endpoints,
					     .n = fresh.n_endpoints};
		p->are_new[i] = true;
	}
}

static int renew_service(struct patch *p, const struct weir_object *slice)
{
	const struct weir_object *service = weir_store_find(
		p->c.store, WEIR_KIND_SERVICE, slice->ns,
		slice->slice->service);
	struct ir_service with_slices = {.object = service};
	size_t n;

	if (!service || !service->service) {
		return 0; /* the slice is nobody's */
	}
	if (weir_ir_is_activator(slice->ns, service->name)) {
		return -EAGAIN; /* says which revisions sleep */
	}
	p->c.slices = weir_store_slices(p->c.store, service->ns, service->name,
					&n);
	p->c.slice_next = weir_ir_alloc(&p->c, n, sizeof(*p->c.slice_next));
	if (!p->c.slices || !p->c.slice_next) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		p->c.slice_next[i] = with_slices.slices;
		with_slices.slices = (uint32_t)i + 1;
	}
	for (size_t i = 0; i < service->service->n_ports; i++) {
		renew_port(p, service, &with_slices,
			   &service->service->ports[i]);
	}
	return p->c.error;
}

/* A split by connection that waits for a revision to wake, or would have to
 * wait for it: see look_at_refs(). */
static bool is_split_asked(const struct weir_plan *rules)
{
	const struct weir_frontend *f = weir_plan_at(rules, rules->frontends);

	for (uint32_t i = 0; i < rules->frontends.n; i++) {
		if (f[i].mode != WEIR_MODE_HTTP) {
			continue;
		}
		if (f[i].plane == WEIR_PLANE_CONNECTION ||
		    f[i].reason == WEIR_REASON_NEEDS_SERVE_MODE ||
		    f[i].reason == WEIR_REASON_NEEDS_REST ||
		    f[i].reason == WEIR_REASON_NEEDS_LIMIT ||
		    f[i].reason == WEIR_REASON_MIXED_PROTOCOL ||
		    f[i].reason == WEIR_REASON_TOO_MANY_SLOTS) {
			return true;
		}
	}
	return false;
}

/* Whether a revision with new endpoints may move a rule to another plane. */
static bool may_move_a_rule(const struct patch *p)
{
	const struct weir_rule *rule = weir_plan_at(p->rules, p->rules->rules);

	if (!is_split_asked(p->rules)) {
		return false;
	}
	for (uint32_t i = 0; i < p->rules->rules.n; i++) {
		const struct weir_ref *ref = weir_plan_at(p->rules,
							  rule[i].refs);

		for (uint32_t k = 0; k < rule[i].refs.n; k++) {
			/* Only Knative's splits have a detail. */
			if (ref[k].detail.n && ref[k].group != WEIR_NONE &&
			    p->are_new[ref[k].group]) {
				return true;
			}
		}
	}
	return false;
}

static int patch(struct patch *p, const struct weir_object *const *slices,
		 size_t n_slices, const struct weir_eps *before)
{
	uint32_t n = p->rules->groups.n;

	p->sets = weir_ir_alloc(&p->c, n, sizeof(*p->sets));
	p->are_new = weir_ir_alloc(&p->c, n, sizeof(*p->are_new));
	if (!p->sets || !p->are_new) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++) {
		p->sets[i].before = weir_eps_of(before, i, &p->sets[i].n);
	}
	weir_ir_activators(&p->c);
	if (p->c.error) {
		return p->c.error;
	}
	for (size_t i = 0; i < n_slices; i++) {
		int r = renew_service(p, slices[i]);

		if (r < 0) {
			return r;
		}
	}
	return may_move_a_rule(p) ? -EAGAIN : 0;
}

int weir_ir_patch_eps(struct weir_store *store,
		      const struct weir_compile_options *options,
		      const struct weir_object *const *slices, size_t n_slices,
		      const struct weir_plan_view *before,
		      struct weir_eps **ret_eps, size_t *ret_size)
{
	struct patch p = {.c = {.store = store, .node = options->node_name},
			  .rules = before->rules};
	int r;

	weir_arena_init(&p.c.arena, 4096);
	r = patch(&p, slices, n_slices, before->eps);
	if (r == 0) {
		r = weir_ir_write_eps(p.sets, p.rules->groups.n,
				      before->eps->groups_hash, ret_eps,
				      ret_size);
	}
	weir_map_fini(&p.c.activators);
	weir_arena_fini(&p.c.arena);
	return r;
}
