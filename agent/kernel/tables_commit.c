// SPDX-License-Identifier: Apache-2.0
/*
 * The second phase of a publication (tables.c): what was prepared becomes
 * reachable, and what it replaces is taken away.
 */
#include <errno.h>

#include "tables_private.h"

void weir_tables_store_index(struct weir_index *at, uint32_t first, uint32_t n)
{
	union {
		struct weir_index index;
		uint64_t word;
	} v = {.index = {.first = first, .n = n}};

	__atomic_store_n((uint64_t *)(void *)at, v.word, __ATOMIC_RELEASE);
}

static void set_epgen(struct weir_tables *t, uint32_t id, uint64_t gen)
{
	__atomic_store_n(&t->mem.epgen[id], gen, __ATOMIC_RELEASE);
}

/* An endpoint is about to be reachable through one more set. */
static void enter_ep(struct weir_tables *t, uint32_t id, uint64_t key)
{
	uint64_t gen;

	if (id == 0) {
		return;
	}
	gen = t->mem.epgen[id];
	if (t->mem.epstat[id].key != key) {
		t->mem.epstat[id] = (struct weir_epstat){.key = key};
		/* Cached picks of the former holder of this id are void. */
		gen = gen & 1 ? gen + 2 : gen + 1;
		set_epgen(t, id, gen);
	} else if (!(gen & 1)) {
		set_epgen(t, id, gen + 1);
	}
	t->ep_refs[id]++;
}

/* It left a set.  Cached picks do not know through which set they were made,
 * so all of them are asked to choose again. */
static void leave_ep(struct weir_tables *t, uint32_t id, bool is_gone)
{
	if (id == 0 || t->ep_refs[id] == 0) {
		return;
	}
	t->ep_refs[id]--;
	if (t->ep_refs[id] == 0) {
		set_epgen(t, id, (t->mem.epgen[id] + 1) & ~UINT64_C(1));
	} else if (is_gone) {
		set_epgen(t, id, t->mem.epgen[id] + 2);
	}
}

static void commit_set(struct weir_tables *t, const struct weir_change *c,
		       uint64_t due_ms)
{
	struct weir_set_rec *rec = &t->sets[c->id];
	struct weir_run old = {rec->first, rec->n};
	uint32_t n = c->run.n - 1;

	for (uint32_t i = 0; i < n; i++) {
		const struct weir_ep *ep = &t->mem.ep[c->run.first + 1 + i];

		enter_ep(t, ep->id, weir_endpoint_key(&c->endpoints[i]));
	}
	weir_tables_store_index(&t->mem.set[c->id], c->run.first + 1, n);
	rec->first = c->run.first;
	rec->n = c->run.n;
	if (old.n == 0) {
		return;
	}
	t->mark++;
	for (uint32_t i = 0; i < n; i++) {
		t->ep_marks[t->mem.ep[c->run.first + 1 + i].id] = t->mark;
	}
	for (uint32_t i = 1; i < old.n; i++) {
		uint32_t id = t->mem.ep[old.first + i].id;

		leave_ep(t, id, t->ep_marks[id] != t->mark);
	}
	weir_limbo_push(&t->limbo, WEIR_LIMBO_EP, old.first, old.n, due_ms);
}

static void commit_row(struct weir_tables *t, const struct weir_change *c,
		       uint32_t generation, uint64_t due_ms)
{
	struct weir_svc_rec *rec = &t->svcs[c->id];
	struct weir_run old = rec->row;

	if (c->run.n > 0) {
		t->ops.announce(t->ops.arg, &rec->key);
	}
	weir_tables_store_index(&t->mem.svc[c->id], c->run.first, generation);
	rec->row = c->run;
	rec->has_row = true;
	if (old.n > 0) {
		weir_limbo_push(&t->limbo, WEIR_LIMBO_ROW, old.first, old.n,
				due_ms);
	}
}

int weir_tables_settle(struct weir_tables *t, struct weir_svc_rec *rec,
		       bool is_live, uint32_t flags)
{
	/* Its place is its number. */
	struct weir_fe fe = {.fid = (uint32_t)(rec - t->svcs), .flags = flags};
	int r;

	if (is_live == rec->is_live && (!is_live || rec->flags == flags)) {
		return 0;
	}
	r = is_live ? t->ops.fe_put(t->ops.arg, &rec->key, &fe)
		    : t->ops.fe_del(t->ops.arg, &rec->key);
	if (r < 0) {
		return r;
	}
	rec->is_live = is_live;
	rec->was_entered |= is_live;
	rec->flags = flags;
	return 0;
}

/* Of those that the kernel has, or of those that it has not. */
static int enter_some(struct weir_tables *t, bool is_known)
{
	uint64_t hash, fid;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && weir_map_next(&t->fid_of, &pos, &hash, &fid)) {
		struct weir_svc_rec *rec = &t->svcs[fid];

		if (rec->round == t->round && rec->is_live == is_known) {
			r = weir_tables_settle(t, rec, rec->next_live,
					       rec->next_flags);
		}
	}
	return r;
}

/* Entries of weir_fe that the plan has and the kernel has not: what is new
 * passes until its row is there.  Where one is not taken, all of them are again
 * what they were; what is there already takes no room, so it comes after. */
static int enter(struct weir_tables *t)
{
	uint64_t hash, fid;
	size_t pos = 0;
	int r;

	r = enter_some(t, false);
	if (r == 0) {
		r = enter_some(t, true);
	}
	while (weir_map_next(&t->fid_of, &pos, &hash, &fid)) {
		struct weir_svc_rec *rec = &t->svcs[fid];

		if (rec->round != t->round) {
			continue;
		}
		if (r == 0) {
			rec->wants_live = rec->next_live;
			rec->want_flags = rec->next_flags;
		} else {
			/* What fails now weir_tables_recheck() does. */
			weir_tables_settle(t, rec, rec->wants_live,
					   rec->want_flags);
		}
	}
	return r;
}

/* Takes a frontend back; its entry goes first. */
static int withdraw_fid(struct weir_tables *t, uint32_t fid, uint64_t due_ms)
{
	struct weir_svc_rec *rec = &t->svcs[fid];
	int r = t->ops.fe_del(t->ops.arg, &rec->key);

	if (r < 0) {
		return r;
	}
	weir_map_del(&t->fid_of, weir_tables_fe_hash(&rec->key));
	if (rec->row.n > 0) {
		weir_limbo_push(&t->limbo, WEIR_LIMBO_ROW, rec->row.first,
				rec->row.n, due_ms);
	}
	weir_limbo_push(&t->limbo, WEIR_LIMBO_FID, fid, 1, due_ms);
	*rec = (struct weir_svc_rec){};
	return 0;
}

/* The kernel did not let go of it: it leads where it led, until a later plan
 * succeeds. */
static void keep_groups(struct weir_tables *t, uint32_t fid)
{
	const struct weir_run *row = &t->svcs[fid].row;

	for (uint32_t i = 1; i < row->n; i++) {
		uint32_t gid = t->mem.row[row->first + i].group;

		if (gid < WEIR_GROUP_MAX) {
			t->sets[gid].round = t->round;
		}
	}
}

/* A group that no row names any more.  Its set stays readable until the end of
 * limbo: a program may hold a row that names it. */
static void withdraw_gid(struct weir_tables *t, uint32_t gid, uint64_t due_ms)
{
	struct weir_set_rec *rec = &t->sets[gid];

	for (uint32_t i = 1; i < rec->n; i++) {
		leave_ep(t, t->mem.ep[rec->first + i].id, true);
	}
	weir_map_del(&t->gid_of, rec->key);
	if (rec->n > 0) {
		weir_limbo_push(&t->limbo, WEIR_LIMBO_EP, rec->first, rec->n,
				due_ms);
	}
	weir_limbo_push(&t->limbo, WEIR_LIMBO_GID, gid, 1, due_ms);
	*rec = (struct weir_set_rec){};
}

/* What this plan did not name. Frontends before the groups they led to. */
static void withdraw(struct weir_tables *t, uint64_t due_ms)
{
	uint64_t key, id;
	size_t pos = 0;
	uint32_t n = 0;

	while (weir_map_next(&t->fid_of, &pos, &key, &id)) {
		if (t->svcs[id].round != t->round) {
			t->gone[n++] = (uint32_t)id;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		if (withdraw_fid(t, t->gone[i], due_ms) < 0) {
			keep_groups(t, t->gone[i]);
		}
	}
	n = 0;
	pos = 0;
	while (weir_map_next(&t->gid_of, &pos, &key, &id)) {
		if (t->sets[id].round != t->round) {
			t->gone[n++] = (uint32_t)id;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		withdraw_gid(t, t->gone[i], due_ms);
	}
}

int weir_tables_commit(struct weir_tables *t, uint32_t generation)
{
	uint64_t due_ms = t->ops.now_ms(t->ops.arg) + WEIR_LIMBO_MS;
	int r;

	r = enter(t);
	if (r < 0) {
		return r;
	}
	/* From here on nothing can fail. */
	for (size_t i = 0; i < t->changes.n; i++) {
		if (t->changes.v[i].kind == WEIR_CHANGE_SET) {
			commit_set(t, &t->changes.v[i], due_ms);
			t->writes++;
		}
	}
	for (size_t i = 0; i < t->changes.n; i++) {
		if (t->changes.v[i].kind == WEIR_CHANGE_ROW) {
			commit_row(t, &t->changes.v[i], generation, due_ms);
			t->writes++;
		}
	}
	t->changes.n = 0;
	withdraw(t, due_ms);
	return 0;
}
