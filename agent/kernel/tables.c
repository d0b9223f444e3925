// SPDX-License-Identifier: Apache-2.0
/*
 * Publication in two phases.  Preparing (here) allocates everything and writes
 * only what nobody can reach yet, so it can be undone; committing
 * (tables_commit.c) enters new frontends, which can be undone as well, and then
 * only stores and takes away.  So the old plan serves until all of the new one
 * does.
 *
 * Unchanged frontends and groups cost one comparison each, so that a plan of
 * which no address or endpoint changed is free (adopt.c reads the state of an
 * earlier agent back).
 */
#include "tables.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "cleanup.h"
#include "tables_private.h"

uint64_t weir_tables_fe_hash(const struct weir_fe_key *key)
{
	return weir_hash64(key, sizeof(*key), 0);
}

static void free_item(struct weir_tables *t, const struct weir_limbo_item *item)
{
	switch (item->kind) {
	case WEIR_LIMBO_ROW:
		weir_pool_release(&t->rows, item->run.first, item->run.n);
		break;
	case WEIR_LIMBO_EP:
		weir_pool_release(&t->eps, item->run.first, item->run.n);
		break;
	case WEIR_LIMBO_FID:
		t->mem.svc[item->run.first] = (struct weir_index){};
		weir_pool_release(&t->fids, item->run.first, 1);
		break;
	default:
		t->mem.set[item->run.first] = (struct weir_index){};
		weir_pool_release(&t->gids, item->run.first, 1);
		break;
	}
}

static void drain_limbo(struct weir_tables *t, uint64_t now_ms)
{
	struct weir_limbo_item item;

	while (weir_limbo_pop(&t->limbo, now_ms, &item)) {
		free_item(t, &item);
	}
}

/* Allocates; when it does not fit, ends the quarantine early. */
static int take_run(struct weir_tables *t, struct weir_pool *pool, uint32_t n,
		    uint32_t *ret_first)
{
	int r = weir_pool_alloc(pool, n, ret_first);

	if (r == 0 || t->limbo.n == 0 || !t->ops.barrier(t->ops.arg)) {
		return r;
	}
	drain_limbo(t, UINT64_MAX);
	return weir_pool_alloc(pool, n, ret_first);
}

static int push_change(struct weir_changes *c, struct weir_change change)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 32;
		struct weir_change *v = reallocarray(c->v, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = change;
	return 0;
}

/* ------------------------------------------------------------ preparing */

static void put_ep(struct weir_ep *to, const struct weir_endpoint *from)
{
	*to = (struct weir_ep){
		.addr = from->addr,
		.port_be = from->port_be,
		.flags = from->flags & WEIR_ENDPOINT_LOCAL ? WEIR_EP_LOCAL : 0,
		.id = from->stat,
	};
}

static bool is_same_set(const struct weir_tables *t, uint32_t gid,
			const struct weir_endpoint *want, uint32_t n)
{
	const struct weir_index *set = &t->mem.set[gid];

	if (t->sets[gid].n == 0 || set->n != n) {
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct weir_ep ep;

		put_ep(&ep, &want[i]);
		if (memcmp(&ep, &t->mem.ep[set->first + i], sizeof(ep)) != 0) {
			return false;
		}
		/* Another identity under the same id starts anew. */
		if (ep.id && ep.id < t->mem.n_epid &&
		    t->mem.epstat[ep.id].key != weir_endpoint_key(&want[i])) {
			return false;
		}
	}
	return true;
}

/* Writes the endpoints of gid into a fresh run, if they changed. */
static int prepare_set(struct weir_tables *t, uint32_t gid, uint64_t key,
		       const struct weir_endpoint *want, uint32_t n,
		       const char **what)
{
	uint32_t first;
	int r;

	if (is_same_set(t, gid, want, n)) {
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (want[i].stat >= t->mem.n_epid) {
			*what = "max_endpoints";
			return -ENOSPC;
		}
	}
	r = take_run(t, &t->eps, n + 1, &first);
	if (r < 0) {
		*what = "max_endpoints";
		return r;
	}
	r = push_change(&t->changes, (struct weir_change){
					     .kind = WEIR_CHANGE_SET,
					     .id = gid,
					     .run = {first, n + 1},
					     .endpoints = want,
				     });
	if (r < 0) {
		weir_pool_release(&t->eps, first, n + 1);
		return r;
	}
	*(struct weir_ep_hdr *)(void *)&t->mem.ep[first] = (struct weir_ep_hdr){
		.key = key};
	for (uint32_t i = 0; i < n; i++) {
		put_ep(&t->mem.ep[first + 1 + i], &want[i]);
	}
	return 0;
}

/*
 * The endpoints that a frontend of a family is given, and the identity of that
 * set.  The hooks cannot translate between families: a dual-stack Service has
 * a set for each.  Where none is of the family, the others are named, so that
 * the hooks leave the flow to the relay instead of refusing it.
 */
static const struct weir_endpoint *family_set(const struct weir_plan_view *view,
					      uint32_t index, bool is_v4,
					      uint32_t *ret_n,
					      uint64_t *ret_key)
{
	const struct weir_group *group = WEIR_PLAN_ELEM(
		view->rules, struct weir_group, view->rules->groups, index);
	uint32_t n, n_v4 = 0;
	const struct weir_endpoint *v = weir_eps_of(view->eps, index, &n);

	while (n_v4 < n && weir_ip_is_v4(&v[n_v4].addr)) {
		n_v4++;
	}
	*ret_key = group->key;
	*ret_n = n;
	if (n_v4 == 0 || n_v4 == n) {
		return v;
	}
	*ret_key = weir_hash64(&group->key, sizeof(group->key), is_v4 ? 4 : 6);
	*ret_n = is_v4 ? n_v4 : n - n_v4;
	return is_v4 ? v : v + n_v4;
}

/* The kernel's id of a group of the plan, its set prepared. */
static int prepare_group(struct weir_tables *t,
			 const struct weir_plan_view *view, uint32_t index,
			 bool is_v4, uint32_t *ret_gid, const char **what)
{
	uint32_t gid, n;
	uint64_t found, key;
	const struct weir_endpoint *want = family_set(view, index, is_v4, &n,
						      &key);
	int r;

	if (weir_map_get(&t->gid_of, key, &found)) {
		gid = (uint32_t)found;
	} else {
		r = take_run(t, &t->gids, 1, &gid);
		if (r < 0) {
			*what = "max_groups";
			return r;
		}
		r = push_change(&t->changes, (struct weir_change){
						     .kind = WEIR_CHANGE_GID,
						     .id = gid,
					     });
		if (r < 0) {
			weir_pool_release(&t->gids, gid, 1);
			return r;
		}
		t->sets[gid] = (struct weir_set_rec){.key = key};
		r = weir_map_put(&t->gid_of, key, gid);
		if (r < 0) {
			return r;
		}
	}
	*ret_gid = gid;
	if (t->sets[gid].round == t->round) {
		return 0;
	}
	t->sets[gid].round = t->round;
	return prepare_set(t, gid, key, want, n, what);
}

/* The slots of a rule as the kernel reads them. */
static int prepare_slots(struct weir_tables *t,
			 const struct weir_plan_view *view,
			 const struct weir_rule *rule, bool is_v4,
			 struct weir_slot *out, const char **what)
{
	const struct weir_plan *p = view->rules;

	for (uint32_t i = 0; i < rule->slots.n; i++) {
		const struct weir_slot *slot = WEIR_PLAN_ELEM(
			p, struct weir_slot, rule->slots, i);
		const struct weir_ref *ref = WEIR_PLAN_ELEM(
			p, struct weir_ref, rule->refs, slot->group);
		int r;

		out[i] = *slot;
		out[i].stat = ref->stat;
		if (out[i].stat >= t->mem.n_ref) {
			*what = "max_refs";
			return -ENOSPC;
		}
		if (ref->state == WEIR_REF_OK && ref->group != WEIR_NONE) {
			r = prepare_group(t, view, ref->group, is_v4,
					  &out[i].group, what);
			if (r < 0) {
				return r;
			}
		} else {
			out[i].group = ref->state == WEIR_REF_INVALID
					       ? WEIR_GROUP_INVALID
					       : WEIR_GROUP_EMPTY;
		}
		if (ref->stat && t->mem.refstat[ref->stat].key != ref->key) {
			/* Nobody counts there now: its last row is long gone,
			 * or this is the first plan after a restart. */
			t->mem.refstat[ref->stat] = (struct weir_refstat){
				.key = ref->key};
		}
	}
	return 0;
}

/* The row of a frontend in out (header and slots); elements, 0: none. */
static int prepare_row(struct weir_tables *t, const struct weir_plan_view *view,
		       const struct weir_frontend *fe, struct weir_slot *out,
		       uint32_t *ret_n, const char **what)
{
	struct weir_row_hdr *hdr = (struct weir_row_hdr *)(void *)out;
	const struct weir_rule *rule;
	int r;

	*hdr = (struct weir_row_hdr){};
	if (fe->proxy_index <= (weir_ip_is_v4(&fe->addr) ? t->mem.max_proxy4
							 : t->mem.max_proxy6)) {
		hdr->proxy = fe->proxy_index;
	}
	if (fe->plane == WEIR_PLANE_CONNECTION && fe->rule != WEIR_NONE) {
		rule = WEIR_PLAN_ELEM(view->rules, struct weir_rule,
				      view->rules->rules, fe->rule);
		if (rule->slots.n <= WEIR_ROW_SLOTS_MAX) {
			hdr->flags = WEIR_ROW_CONNECT | WEIR_ROW_PACKET;
			if (rule->flags & WEIR_RULE_AFFINITY) {
				hdr->flags |= WEIR_ROW_KEYED;
			}
			hdr->n = rule->slots.n;
			hdr->stat = rule->stat;
			r = prepare_slots(t, view, rule,
					  weir_ip_is_v4(&fe->addr), out + 1,
					  what);
			if (r < 0) {
				return r;
			}
			*ret_n = 1 + hdr->n;
			return 0;
		}
	}
	if (hdr->proxy) {
		hdr->flags = WEIR_ROW_PROXY;
		*ret_n = 1;
		return 0;
	}
	*ret_n = 0;
	return 0;
}

/* The id of a frontend, new or known. */
static int prepare_fid(struct weir_tables *t, const struct weir_fe_key *key,
		       uint32_t *ret_fid, const char **what)
{
	uint64_t hash = weir_tables_fe_hash(key);
	uint64_t found;
	uint32_t fid;
	int r;

	if (weir_map_get(&t->fid_of, hash, &found)) {
		*ret_fid = (uint32_t)found;
		return 0;
	}
	r = take_run(t, &t->fids, 1, &fid);
	if (r < 0) {
		*what = "max_frontends";
		return r;
	}
	r = push_change(&t->changes, (struct weir_change){
					     .kind = WEIR_CHANGE_FID,
					     .id = fid,
				     });
	if (r < 0) {
		weir_pool_release(&t->fids, fid, 1);
		return r;
	}
	t->svcs[fid] = (struct weir_svc_rec){.key = *key};
	/* It passes until it has its row; what an agent that died has left
	 * there is not it. */
	weir_tables_store_index(&t->mem.svc[fid], 0, 0);
	r = weir_map_put(&t->fid_of, hash, fid);
	if (r < 0) {
		return r;
	}
	*ret_fid = fid;
	return 0;
}

static int prepare_frontend(struct weir_tables *t,
			    const struct weir_plan_view *view,
			    const struct weir_frontend *fe, const char **what)
{
	struct weir_fe_key key = {
		.addr = fe->addr,
		.port_be = fe->port_be,
		.proto = fe->proto,
	};
	struct weir_slot row[1 + WEIR_ROW_SLOTS_MAX];
	bool steers = fe->is_local && fe->proto == IPPROTO_TCP;
	struct weir_svc_rec *rec;
	uint32_t fid, n, first = 0;
	int r;

	r = prepare_fid(t, &key, &fid, what);
	if (r < 0) {
		return r;
	}
	rec = &t->svcs[fid];
	if (rec->round == t->round) {
		/* The same address for another consumer: the kernel cannot
		 * tell them apart, the first one (without consumer) counts. */
		return 0;
	}
	rec->round = t->round;
	rec->next_flags = steers ? WEIR_FE_STEER : 0;
	/* What is taken already is asked about by weir_tables_recheck(). */
	rec->next_live = !steers || rec->is_live || !t->ops.may_take ||
			 t->ops.may_take(t->ops.arg, &key);
	r = prepare_row(t, view, fe, row, &n, what);
	if (r < 0) {
		return r;
	}
	if (rec->has_row && rec->row.n == n &&
	    memcmp(row, &t->mem.row[rec->row.first], n * sizeof(*row)) == 0) {
		return 0;
	}
	if (n > 0) {
		r = take_run(t, &t->rows, n, &first);
		if (r < 0) {
			*what = "max_slots";
			return r;
		}
		memcpy(&t->mem.row[first], row, n * sizeof(*row));
	}
	r = push_change(&t->changes, (struct weir_change){
					     .kind = WEIR_CHANGE_ROW,
					     .id = fid,
					     .run = {first, n},
				     });
	if (r < 0 && n > 0) {
		weir_pool_release(&t->rows, first, n);
	}
	return r;
}

/* A program may hold the number of a frontend that was entered and taken back;
 * of one that could not be taken back the next plan gets rid. */
static void roll_back_fid(struct weir_tables *t, uint32_t fid)
{
	struct weir_svc_rec *rec = &t->svcs[fid];

	if (rec->is_live) {
		return;
	}
	weir_map_del(&t->fid_of, weir_tables_fe_hash(&rec->key));
	if (rec->was_entered) {
		weir_limbo_push(&t->limbo, WEIR_LIMBO_FID, fid, 1,
				t->ops.now_ms(t->ops.arg) + WEIR_LIMBO_MS);
	} else {
		weir_pool_release(&t->fids, fid, 1);
	}
	*rec = (struct weir_svc_rec){};
}

/* Undoes what was prepared; nothing of it was reachable. */
static void roll_back(struct weir_tables *t)
{
	while (t->changes.n > 0) {
		struct weir_change *c = &t->changes.v[--t->changes.n];

		switch (c->kind) {
		case WEIR_CHANGE_SET:
			weir_pool_release(&t->eps, c->run.first, c->run.n);
			break;
		case WEIR_CHANGE_ROW:
			if (c->run.n > 0) {
				weir_pool_release(&t->rows, c->run.first,
						  c->run.n);
			}
			break;
		case WEIR_CHANGE_GID:
			weir_map_del(&t->gid_of, t->sets[c->id].key);
			t->sets[c->id] = (struct weir_set_rec){};
			weir_pool_release(&t->gids, c->id, 1);
			break;
		default:
			roll_back_fid(t, c->id);
			break;
		}
	}
}

/* Room for the numbers of all that a plan takes away. */
static int reserve_gone(struct weir_tables *t)
{
	size_t n = t->fid_of.n > t->gid_of.n ? t->fid_of.n : t->gid_of.n;
	uint32_t *v;

	if (n <= t->cap_gone) {
		return 0;
	}
	n += n / 4;
	v = reallocarray(t->gone, n, sizeof(*v));
	if (!v) {
		return -ENOMEM;
	}
	t->gone = v;
	t->cap_gone = n;
	return 0;
}

static int prepare(struct weir_tables *t, const struct weir_plan_view *view,
		   const char **what)
{
	const struct weir_plan *p = view->rules;
	int r;

	t->changes.n = 0;
	t->round++;
	for (uint32_t i = 0; i < p->frontends.n; i++) {
		const struct weir_frontend *fe = WEIR_PLAN_ELEM(
			p, struct weir_frontend, p->frontends, i);

		r = prepare_frontend(t, view, fe, what);
		if (r < 0) {
			return r;
		}
	}
	if (t->fid_of.n > t->mem.n_fe) {
		*what = "max_frontends";
		return -ENOSPC;
	}
	r = reserve_gone(t);
	if (r < 0) {
		return r;
	}
	/* At most everything there is goes to limbo, twice. */
	return weir_limbo_reserve(&t->limbo, 2 * (t->fid_of.n + t->gid_of.n) +
						     t->changes.n);
}

int weir_tables_publish(struct weir_tables *t,
			const struct weir_plan_view *view,
			const char **ret_what)
{
	const char *what = NULL;
	int r;

	drain_limbo(t, t->ops.now_ms(t->ops.arg));
	r = prepare(t, view, &what);
	if (r == 0) {
		r = weir_tables_commit(t, (uint32_t)view->rules->generation);
	}
	if (r < 0) {
		roll_back(t);
		if (ret_what && what) {
			*ret_what = what;
		}
	}
	return r;
}

/* ------------------------------------------------------------ conflicts */

void weir_tables_recheck(struct weir_tables *t)
{
	uint64_t key, fid;
	size_t pos = 0;

	if (!t->ops.may_take) {
		return;
	}
	while (weir_map_next(&t->fid_of, &pos, &key, &fid)) {
		struct weir_svc_rec *rec = &t->svcs[fid];

		if (rec->want_flags & WEIR_FE_STEER) {
			rec->wants_live = t->ops.may_take(t->ops.arg,
							  &rec->key);
		}
		if (weir_tables_settle(t, rec, rec->wants_live,
				       rec->want_flags) < 0) {
			return; /* the next round tries again */
		}
	}
}

void weir_tables_refused(const struct weir_tables *t,
			 void (*fn)(void *arg, const struct weir_fe_key *key),
			 void *arg)
{
	uint64_t key, fid;
	size_t pos = 0;

	while (weir_map_next(&t->fid_of, &pos, &key, &fid)) {
		if (!t->svcs[fid].is_live) {
			fn(arg, &t->svcs[fid].key);
		}
	}
}

void weir_tables_proxied(const struct weir_tables *t,
			 void (*fn)(void *arg, const struct weir_fe_key *key,
				    uint32_t proxy_index),
			 void *arg)
{
	uint64_t key, fid;
	size_t pos = 0;

	while (weir_map_next(&t->fid_of, &pos, &key, &fid)) {
		const struct weir_svc_rec *rec = &t->svcs[fid];
		const struct weir_row_hdr *hdr =
			(const struct weir_row_hdr *)(const void *)&t->mem
				.row[rec->row.first];

		if (rec->row.n > 0 && hdr->proxy) {
			fn(arg, &rec->key, hdr->proxy);
		}
	}
}

void weir_tables_usage(const struct weir_tables *t,
		       struct weir_tables_usage *ret_usage)
{
	*ret_usage = (struct weir_tables_usage){
		.frontends = (uint32_t)t->fid_of.n,
		.groups = (uint32_t)t->gid_of.n,
		.row_left = weir_pool_left(&t->rows),
		.ep_left = weir_pool_left(&t->eps),
		.limbo = t->limbo.n,
		.writes = t->writes,
	};
}
