/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of L4 frontends for tests of the kernel planes, written down as tables:
 *
 *	static const struct mini_fe fes[] = {
 *		{"10.0.0.1:80", IPPROTO_TCP, .refs = {{70, "a",
 *"10.1.0.1:8080"}, {30, "b", "10.1.0.2:8080"}}},
 *	};
 *	mini_build(fes, 1, NULL, 0, ids, 7, &plan);
 *	... plan.view ...
 *	mini_fini(&plan);
 *
 * The frontends must be in the order of the plan (by address, port, protocol).
 */
#ifndef WEIR_TESTS_MINI_PLAN_H
#define WEIR_TESTS_MINI_PLAN_H

#include <errno.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "index.h"
#include "loop.h"
#include "map.h"
#include "stamp.h"
#include "writer.h"

#define MINI_REFS_MAX 8

struct mini_ref {
	uint64_t weight;
	/* Groups of one name are one group; NULL: an invalid backendRef. */
	const char *group;
	const char *endpoints; /* "addr:port addr:port"; NULL: empty */
};

struct mini_fe {
	const char *addr;
	uint8_t proto;
	bool is_local;
	bool is_http; /* the proxy decides; refs are not used */
	bool is_keyed;
	uint32_t proxy_index;
	struct mini_ref refs[MINI_REFS_MAX];
};

struct mini_plan {
	struct weir_plan *rules;
	struct weir_eps *eps;
	struct weir_plan_view view;
};

static inline void mini_fini(struct mini_plan *m)
{
	weir_free_ptr(&m->rules);
	weir_free_ptr(&m->eps);
}

#define MINI_EPS_MAX 4096

static inline struct weir_span mini_endpoints(struct weir_writer *w,
					      const char *text)
{
	static struct weir_endpoint v[MINI_EPS_MAX];
	struct weir_str rest = weir_str_of(text);
	size_t n = 0;

	while (rest.n && n < MINI_EPS_MAX) {
		ptrdiff_t end = weir_str_find(rest, ' ');
		struct weir_str one = {rest.p, end < 0 ? rest.n : (size_t)end};

		v[n] = (struct weir_endpoint){0};
		if (weir_addr_parse(one, &v[n].addr, &v[n].port_be) < 0) {
			w->error = -EINVAL;
			break;
		}
		n++;
		rest = weir_str_skip(rest, one.n + 1);
	}
	return weir_writer_add(w, v, n, sizeof(v[0]));
}

struct mini_build {
	struct weir_writer w; /* rules block */
	struct weir_writer e; /* endpoints block */
	struct weir_map group_of;
	struct weir_buf groups; /* struct weir_group */
	struct weir_buf sets;   /* struct weir_span */
};

static inline uint32_t mini_group(struct mini_build *b,
				  const struct mini_ref *ref)
{
	uint64_t key = weir_str_hash(weir_str_of(ref->group), 1);
	struct weir_group group = {.key = key};
	struct weir_span set;
	uint64_t index;

	if (weir_map_get(&b->group_of, key, &index)) {
		return (uint32_t)index;
	}
	index = b->group_of.n;
	weir_map_put(&b->group_of, key, index);
	weir_buf_add(&b->groups, &group, sizeof(group));
	set = mini_endpoints(&b->e, ref->endpoints);
	weir_buf_add(&b->sets, &set, sizeof(set));
	return (uint32_t)index;
}

static inline struct weir_rule mini_rule(struct mini_build *b,
					 const struct mini_fe *fe)
{
	struct weir_slot slots[MINI_REFS_MAX] = {0};
	weir_alias_rest rest[MINI_REFS_MAX];
	struct weir_ref refs[MINI_REFS_MAX];
	uint64_t weights[MINI_REFS_MAX];
	struct weir_rule rule = {
		.key = weir_str_hash(weir_str_of(fe->addr), fe->proto),
		.plane = WEIR_PLANE_CONNECTION,
		.flags = fe->is_keyed ? WEIR_RULE_AFFINITY : 0,
	};
	uint32_t n = 0, n_slots;

	for (; n < MINI_REFS_MAX; n++) {
		const struct mini_ref *ref = &fe->refs[n];

		if (!ref->weight && !ref->group) {
			break;
		}
		weights[n] = ref->weight;
		refs[n] = (struct weir_ref){
			.key = weir_hash64(&n, sizeof(n), rule.key),
			.weight = ref->weight,
			.group = ref->group ? mini_group(b, ref) : WEIR_NONE,
			.state = ref->group ? WEIR_REF_OK : WEIR_REF_INVALID,
			.proto = WEIR_BACKEND_RAW,
			.index = (uint16_t)n,
		};
	}
	n_slots = weir_alias_build(weights, n, rest, slots);
	rule.slots = weir_writer_add(&b->w, slots, n_slots, sizeof(slots[0]));
	rule.refs = weir_writer_add(&b->w, refs, n, sizeof(refs[0]));
	return rule;
}

static inline int mini_write(struct mini_build *b, const struct mini_fe *fes,
			     size_t n, const struct weir_ip *locals,
			     size_t n_locals, struct mini_plan *out)
{
	_cleanup_free_ struct weir_frontend *fe = calloc(n + 1, sizeof(*fe));
	_cleanup_free_ struct weir_rule *rules = calloc(n + 1, sizeof(*rules));
	struct weir_plan head = {0};
	struct weir_eps ehead = {0};
	const struct weir_pobject object = {
		.kind = weir_writer_text(&b->w, WEIR_STR("TCPRoute")),
	};
	size_t rules_size, eps_size;
	uint32_t n_rules = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		fe[i].proto = fes[i].proto;
		fe[i].is_local = fes[i].is_local;
		fe[i].proxy_index = fes[i].proxy_index;
		fe[i].rule = WEIR_NONE;
		r = weir_addr_parse(weir_str_of(fes[i].addr), &fe[i].addr,
				    &fe[i].port_be);
		if (r < 0) {
			return r;
		}
		if (fes[i].is_http) {
			fe[i].mode = WEIR_MODE_HTTP;
			fe[i].plane = WEIR_PLANE_PROXY;
			continue;
		}
		fe[i].mode = fes[i].proto == IPPROTO_TCP ? WEIR_MODE_TCP
							 : WEIR_MODE_UDP;
		fe[i].plane = WEIR_PLANE_CONNECTION;
		fe[i].rule = n_rules;
		rules[n_rules++] = mini_rule(b, &fes[i]);
	}
	head.objects = weir_writer_add(&b->w, &object, 1, sizeof(object));
	head.frontends = weir_writer_add(&b->w, fe, n, sizeof(*fe));
	head.rules = weir_writer_add(&b->w, rules, n_rules, sizeof(*rules));
	head.groups = weir_writer_add(&b->w, b->groups.p, b->group_of.n,
				      sizeof(struct weir_group));
	head.proxied = weir_index_proxied(&b->w, head.frontends);
	if (n_locals) {
		struct weir_local_addr local[16] = {0};

		for (size_t i = 0; i < n_locals && i < 16; i++) {
			local[i].addr = locals[i];
		}
		head.local_addrs = weir_writer_add(&b->w, local, n_locals,
						   sizeof(local[0]));
	}
	ehead.sets = weir_writer_add(&b->e, b->sets.p, b->group_of.n,
				     sizeof(struct weir_span));
	r = weir_writer_finish(&b->w, WEIR_PLAN_MAGIC, (void **)&out->rules,
			       &rules_size);
	if (r < 0) {
		return r;
	}
	r = weir_writer_finish(&b->e, WEIR_EPS_MAGIC, (void **)&out->eps,
			       &eps_size);
	if (r < 0) {
		return r;
	}
	out->rules->objects = head.objects;
	out->rules->frontends = head.frontends;
	out->rules->rules = head.rules;
	out->rules->groups = head.groups;
	out->rules->proxied = head.proxied;
	out->rules->local_addrs = head.local_addrs;
	out->eps->sets = ehead.sets;
	out->eps->groups_hash = weir_plan_groups_hash(out->rules);
	return weir_plan_open(out->rules, rules_size, out->eps, eps_size,
			      &out->view);
}

/* 0 or -errno; on error the plan is empty. */
static inline int mini_build(const struct mini_fe *fes, size_t n,
			     const struct weir_ip *locals, size_t n_locals,
			     struct weir_ids *ids, uint64_t generation,
			     struct mini_plan *ret_plan)
{
	struct mini_build b = {0};
	struct mini_plan plan = {0};
	uint32_t lost = 0;
	int r;

	weir_writer_init(&b.w, sizeof(struct weir_plan));
	weir_writer_init(&b.e, sizeof(struct weir_eps));
	r = mini_write(&b, fes, n, locals, n_locals, &plan);
	weir_writer_fini(&b.w);
	weir_writer_fini(&b.e);
	weir_map_fini(&b.group_of);
	weir_buf_fini(&b.groups);
	weir_buf_fini(&b.sets);
	if (r == 0) {
		r = weir_ids_stamp(ids, plan.rules, plan.eps, generation,
				   weir_now_ms(), &lost);
	}
	if (r < 0) {
		mini_fini(&plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

#endif
