/* SPDX-License-Identifier: Apache-2.0 */
#include "stamp.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "keyed.h"
#include "map.h"

struct id {
	uint64_t key;
	uint64_t forgotten_ms; /* since when no plan names it */
	uint64_t generation;   /* the last plan that names it; 0: free */
	uint32_t next_free;    /* while free */
};

struct space {
	struct id *v; /* [0] is never used */
	struct weir_map by_key;
	uint32_t n; /* ids below n were in use at some time */
	uint32_t cap;
	uint32_t max;
	uint32_t free; /* head of the list, 0: empty */
	bool has_gaps; /* of what was adopted: free, and not in the list */
};

struct weir_ids {
	struct space space[_WEIR_IDS_MAX];
	uint32_t quarantine_ms;
	uint64_t round; /* counts stamps */
	bool (*is_busy)(void *arg, enum weir_id_space space, uint32_t id);
	void *busy_arg;
};

void weir_ids_free(struct weir_ids **ids)
{
	if (!*ids) {
		return;
	}
	for (int i = 0; i < _WEIR_IDS_MAX; i++) {
		weir_map_fini(&(*ids)->space[i].by_key);
		weir_free_ptr(&(*ids)->space[i].v);
	}
	weir_free_ptr(ids);
}

int weir_ids_new(const uint32_t max[static _WEIR_IDS_MAX],
		 uint32_t quarantine_ms, struct weir_ids **ret_ids)
{
	struct weir_ids *ids = calloc(1, sizeof(*ids));

	if (!ids) {
		return -ENOMEM;
	}
	ids->quarantine_ms = quarantine_ms;
	for (int i = 0; i < _WEIR_IDS_MAX; i++) {
		ids->space[i].n = 1;
		ids->space[i].max = max[i];
	}
	*ret_ids = ids;
	return 0;
}

void weir_ids_set_busy(struct weir_ids *ids,
		       bool (*is_busy)(void *arg, enum weir_id_space space,
				       uint32_t id),
		       void *arg)
{
	ids->is_busy = is_busy;
	ids->busy_arg = arg;
}

static bool is_busy(const struct weir_ids *ids, const struct space *s,
		    uint32_t id)
{
	return ids->is_busy &&
	       ids->is_busy(ids->busy_arg, (enum weir_id_space)(s - ids->space),
			    id);
}

/* An id that was never given out; 0: none is left, *ret_error -ENOMEM if for
 * that. */
static uint32_t take_new(struct space *s, int *ret_error)
{
	uint32_t cap;
	struct id *v;

	if (s->n >= s->max) {
		return 0;
	}
	if (s->n >= s->cap) {
		cap = s->cap ? s->cap * 2 : 64;
		cap = cap < s->max ? cap : s->max;
		v = realloc(s->v, cap * sizeof(*v));
		if (!v) {
			*ret_error = -ENOMEM;
			return 0;
		}
		memset(v + s->cap, 0, (cap - s->cap) * sizeof(*v));
		s->v = v;
		s->cap = cap;
	}
	return s->n++;
}

/* An id nobody holds, and where nothing is under way; otherwise likewise. */
static uint32_t take_free(struct weir_ids *ids, struct space *s, int *ret_error)
{
	uint32_t *at = &s->free;
	uint32_t id;

	while (*at && is_busy(ids, s, *at)) {
		at = &s->v[*at].next_free;
	}
	id = *at;
	if (id) {
		*at = s->v[id].next_free;
		return id;
	}
	/* An agent before this one may have given it out. */
	while ((id = take_new(s, ret_error)) && is_busy(ids, s, id)) {
		s->v[id] = (struct id){.next_free = s->free};
		s->free = id;
	}
	return id;
}

static uint32_t stamp(struct weir_ids *ids, enum weir_id_space space,
		      uint64_t key, uint32_t *lost, int *ret_error)
{
	struct space *s = &ids->space[space];
	uint64_t round = ids->round;
	uint64_t found;
	uint32_t id;
	int r;

	if (weir_map_get(&s->by_key, key, &found)) {
		s->v[found].generation = round;
		s->v[found].forgotten_ms = 0;
		return (uint32_t)found;
	}
	id = take_free(ids, s, ret_error);
	if (id == 0) {
		(*lost)++;
		return 0;
	}
	s->v[id] = (struct id){.key = key, .generation = round};
	r = weir_map_put(&s->by_key, key, id);
	if (r < 0) {
		s->v[id] = (struct id){.next_free = s->free};
		s->free = id;
		*ret_error = r;
		return 0;
	}
	return id;
}

/* What this round did not name is in quarantine; what has been there long
 * enough is free.  Before stamping, so that its ids can be had. */
static void expire(struct space *s, uint64_t quarantine_ms, uint64_t now_ms)
{
	s->free = s->has_gaps ? 0 : s->free;
	for (uint32_t i = s->n; i-- > 1;) {
		struct id *id = &s->v[i];
		bool is_held = id->generation != 0;

		if (is_held ? id->forgotten_ms == 0 ||
				      now_ms - id->forgotten_ms < quarantine_ms
			    : !s->has_gaps) {
			continue;
		}
		if (is_held) {
			weir_map_del(&s->by_key, id->key);
		}
		*id = (struct id){.next_free = s->free};
		s->free = i;
	}
	s->has_gaps = false;
}

static void forget(struct space *s, uint64_t round, uint64_t now_ms)
{
	for (uint32_t i = 1; i < s->n; i++) {
		struct id *id = &s->v[i];

		if (id->generation && id->generation != round &&
		    id->forgotten_ms == 0) {
			/* 0 means "named": a clock at 0 is taken as 1. */
			id->forgotten_ms = now_ms ? now_ms : 1;
		}
	}
}

static void stamp_rules(struct weir_ids *ids, struct weir_plan *p,
			uint32_t *lost, int *error)
{
	struct weir_rule *rule = (struct weir_rule *)((char *)p + p->rules.off);

	for (uint32_t i = 0; i < p->rules.n; i++) {
		struct weir_ref *ref = (struct weir_ref *)((char *)p +
							   rule[i].refs.off);
		struct weir_slot *slot =
			(struct weir_slot *)((char *)p + rule[i].slots.off);

		rule[i].stat = stamp(ids, WEIR_IDS_RULE, rule[i].key, lost,
				     error);
		for (uint32_t k = 0; k < rule[i].refs.n; k++) {
			ref[k].stat = stamp(ids, WEIR_IDS_REF, ref[k].key, lost,
					    error);
		}
		for (uint32_t k = 0; k < rule[i].slots.n; k++) {
			slot[k].stat = ref[slot[k].group].stat;
		}
	}
}

/* An endpoint is its address, whatever groups it is in. */
static uint64_t endpoint_key(const struct weir_endpoint *e)
{
	return weir_keyed_hash(&e->addr, sizeof(e->addr), e->port_be);
}

static void stamp_endpoints(struct weir_ids *ids, struct weir_eps *e,
			    uint32_t *lost, int *error)
{
	const struct weir_span *set = (const struct weir_span *)((char *)e +
								 e->sets.off);

	for (uint32_t i = 0; i < e->sets.n; i++) {
		struct weir_endpoint *ep = (struct weir_endpoint *)((char *)e +
								    set[i].off);

		for (uint32_t k = 0; k < set[i].n; k++) {
			ep[k].stat = stamp(ids, WEIR_IDS_ENDPOINT,
					   endpoint_key(&ep[k]), lost, error);
		}
	}
}

/* proto: both of a port are told apart. */
static uint64_t proxied_key(const struct weir_ip *addr, __be16 port_be,
			    uint8_t proto)
{
	return weir_keyed_hash(addr, sizeof(*addr),
			       (uint64_t)port_be << 8 | proto);
}

static void stamp_proxied(struct weir_ids *ids, struct weir_plan *p,
			  uint32_t *lost, int *error)
{
	struct space *s = &ids->space[WEIR_IDS_PROXIED];
	struct weir_frontend *f = (struct weir_frontend *)((char *)p +
							   p->frontends.off);
	uint32_t *list = (uint32_t *)((char *)p + p->proxied.off);

	if (s->max == 0) {
		return;
	}
	memset(list, 0xFF, p->proxied.n * sizeof(*list));
	for (uint32_t i = 0; i < p->frontends.n; i++) {
		uint32_t id = 0;

		if (weir_frontend_is_proxied(&f[i])) {
			id = stamp(ids, WEIR_IDS_PROXIED,
				   proxied_key(&f[i].addr, f[i].port_be,
					       f[i].proto),
				   lost, error);
		}
		f[i].proxy_index = id;
		if (id) {
			list[id - 1] = i;
		}
	}
}

int weir_ids_stamp(struct weir_ids *ids, struct weir_plan *rules,
		   struct weir_eps *eps, uint64_t generation, uint64_t now_ms,
		   uint32_t *ret_lost)
{
	uint32_t lost = 0;
	int error = 0;

	ids->round++;
	for (int i = 0; i < _WEIR_IDS_MAX; i++) {
		expire(&ids->space[i], ids->quarantine_ms, now_ms);
	}
	if (rules) {
		stamp_rules(ids, rules, &lost, &error);
		forget(&ids->space[WEIR_IDS_RULE], ids->round, now_ms);
		forget(&ids->space[WEIR_IDS_REF], ids->round, now_ms);
		stamp_proxied(ids, rules, &lost, &error);
		forget(&ids->space[WEIR_IDS_PROXIED], ids->round, now_ms);
		rules->generation = generation;
	}
	if (eps) {
		stamp_endpoints(ids, eps, &lost, &error);
		forget(&ids->space[WEIR_IDS_ENDPOINT], ids->round, now_ms);
		eps->generation = generation;
	}
	if (error < 0) {
		return error;
	}
	*ret_lost = lost;
	return 0;
}

/* The array holds id afterwards.  0 or -ENOMEM. */
static int grow(struct space *s, uint32_t id)
{
	uint32_t cap = s->cap ? s->cap : 64;
	struct id *v;

	while (cap <= id) {
		cap *= 2;
	}
	cap = cap < s->max ? cap : s->max;
	if (cap > s->cap) {
		v = realloc(s->v, cap * sizeof(*v));
		if (!v) {
			return -ENOMEM;
		}
		memset(v + s->cap, 0, (cap - s->cap) * sizeof(*v));
		s->v = v;
		s->cap = cap;
	}
	s->n = s->n > id + 1 ? s->n : id + 1;
	return 0;
}

static int adopt(struct space *s, uint64_t key, uint32_t id, uint64_t round)
{
	uint64_t found;
	int r;

	if (id == 0 || id >= s->max) {
		return 0;
	}
	if (weir_map_get(&s->by_key, key, &found)) {
		if (found == id) {
			s->v[id].generation = round;
			s->v[id].forgotten_ms = 0;
		}
		return 0;
	}
	r = grow(s, id);
	if (r < 0) {
		return r;
	}
	if (s->v[id].generation) {
		return 0; /* the plan was not ours: two keys, one id */
	}
	r = weir_map_put(&s->by_key, key, id);
	if (r == 0) {
		s->v[id] = (struct id){.key = key, .generation = round};
		s->has_gaps = true;
	}
	return r;
}

static int adopt_rules(struct weir_ids *ids, const struct weir_plan *p)
{
	for (uint32_t i = 0; i < p->rules.n; i++) {
		const struct weir_rule *rule = WEIR_PLAN_ELEM(
			p, struct weir_rule, p->rules, i);
		int r = adopt(&ids->space[WEIR_IDS_RULE], rule->key, rule->stat,
			      ids->round);

		for (uint32_t k = 0; r == 0 && k < rule->refs.n; k++) {
			const struct weir_ref *ref = WEIR_PLAN_ELEM(
				p, struct weir_ref, rule->refs, k);

			r = adopt(&ids->space[WEIR_IDS_REF], ref->key,
				  ref->stat, ids->round);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int weir_ids_adopt(struct weir_ids *ids, const struct weir_plan_view *view)
{
	int r;

	ids->round++;
	r = adopt_rules(ids, view->rules);
	for (uint32_t g = 0; r == 0 && g < view->rules->groups.n; g++) {
		uint32_t n;
		const struct weir_endpoint *v = weir_eps_of(view->eps, g, &n);

		for (uint32_t i = 0; r == 0 && i < n; i++) {
			r = adopt(&ids->space[WEIR_IDS_ENDPOINT],
				  endpoint_key(&v[i]), v[i].stat, ids->round);
		}
	}
	return r;
}

int weir_ids_adopt_proxied(struct weir_ids *ids, const struct weir_ip *addr,
			   __be16 port_be, uint8_t proto, uint32_t proxy_index)
{
	ids->round++;
	return adopt(&ids->space[WEIR_IDS_PROXIED],
		     proxied_key(addr, port_be, proto), proxy_index,
		     ids->round);
}

int weir_ids_renew(struct weir_ids *ids, const struct weir_plan_view *view)
{
	int r = weir_ids_adopt(ids, view);

	for (uint32_t i = 0; r == 0 && i < view->rules->frontends.n; i++) {
		const struct weir_frontend *f = WEIR_PLAN_ELEM(
			view->rules, struct weir_frontend,
			view->rules->frontends, i);

		r = adopt(&ids->space[WEIR_IDS_PROXIED],
			  proxied_key(&f->addr, f->port_be, f->proto),
			  f->proxy_index, ids->round);
	}
	return r;
}

bool weir_ids_are_resting(const struct weir_ids *ids, enum weir_id_space space)
{
	const struct space *s = &ids->space[space];

	for (uint32_t i = 1; i < s->n; i++) {
		if (s->v[i].generation && s->v[i].forgotten_ms) {
			return true;
		}
	}
	return false;
}

uint64_t weir_ids_key(const struct weir_ids *ids, enum weir_id_space space,
		      uint32_t id)
{
	const struct space *s = &ids->space[space];

	return id < s->n ? s->v[id].key : 0;
}

uint32_t weir_ids_n(const struct weir_ids *ids, enum weir_id_space space)
{
	return ids->space[space].n;
}
