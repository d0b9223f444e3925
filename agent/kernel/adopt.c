// SPDX-License-Identifier: Apache-2.0
/*
 * The state of the tables, read back from what an earlier agent left in the
 * maps: before anything is written, everything reachable is known.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "tables_private.h"

/* A set that a row names, with its endpoints. */
static int adopt_set(struct weir_tables *t, uint32_t gid)
{
	struct weir_index set;
	uint64_t key;
	int r;

	if (gid == WEIR_GROUP_NONE || gid >= t->mem.n_set) {
		return -EUCLEAN;
	}
	if (t->sets[gid].n > 0) {
		return 0; /* known through another row */
	}
	set = t->mem.set[gid];
	if (set.first == 0 || set.first >= t->mem.n_ep ||
	    set.n > t->mem.n_ep - set.first) {
		return -EUCLEAN;
	}
	r = weir_pool_carve(&t->eps, set.first - 1, set.n + 1);
	if (r < 0) {
		return r;
	}
	r = weir_pool_carve(&t->gids, gid, 1);
	if (r < 0) {
		return r;
	}
	key = ((const struct weir_ep_hdr *)(const void *)&t->mem
		       .ep[set.first - 1])
		      ->key;
	for (uint32_t i = 0; i < set.n; i++) {
		uint32_t id = t->mem.ep[set.first + i].id;

		if (id >= t->mem.n_epid) {
			return -EUCLEAN;
		}
		t->ep_refs[id]++;
	}
	t->sets[gid] = (struct weir_set_rec){
		.key = key,
		.first = set.first - 1,
		.n = set.n + 1,
	};
	return weir_map_put(&t->gid_of, key, gid);
}

static int adopt_row(struct weir_tables *t, uint32_t fid)
{
	uint32_t first = t->mem.svc[fid].first;
	const struct weir_row_hdr *hdr;
	int r;

	if (first == 0) {
		return 0; /* an entry without a row: pass, or steer */
	}
	if (first >= t->mem.n_row) {
		return -EUCLEAN;
	}
	hdr = (const struct weir_row_hdr *)(const void *)&t->mem.row[first];
	if (hdr->n > WEIR_ROW_SLOTS_MAX || hdr->n >= t->mem.n_row - first) {
		return -EUCLEAN;
	}
	r = weir_pool_carve(&t->rows, first, hdr->n + 1);
	if (r < 0) {
		return r;
	}
	t->svcs[fid].row = (struct weir_run){first, hdr->n + 1};
	/* An older agent may have given it its row without. */
	t->ops.announce(t->ops.arg, &t->svcs[fid].key);
	for (uint32_t i = 1; i <= hdr->n; i++) {
		uint32_t gid = t->mem.row[first + i].group;

		if (gid >= WEIR_GROUP_MAX) {
			continue;
		}
		r = adopt_set(t, gid);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int adopt(struct weir_tables *t)
{
	struct weir_fe_key key, next;
	struct weir_fe fe;
	bool is_first = true;
	int r;

	for (;;) {
		r = t->ops.fe_next(t->ops.arg, is_first ? NULL : &key, &next,
				   &fe);
		if (r == -ENOENT) {
			return 0;
		}
		if (r < 0) {
			return r;
		}
		is_first = false;
		key = next;
		if (fe.fid == 0 || fe.fid >= t->mem.n_svc) {
			return -EUCLEAN;
		}
		r = weir_pool_carve(&t->fids, fe.fid, 1);
		if (r < 0) {
			return r;
		}
		t->svcs[fe.fid] = (struct weir_svc_rec){
			.key = key,
			.flags = fe.flags,
			.want_flags = fe.flags,
			.has_row = true,
			.wants_live = true,
			.is_live = true,
			.was_entered = true,
		};
		r = weir_map_put(&t->fid_of, weir_tables_fe_hash(&key), fe.fid);
		if (r < 0) {
			return r;
		}
		r = adopt_row(t, fe.fid);
		if (r < 0) {
			return r;
		}
	}
}

/* Endpoints that died in limbo together with the agent. */
static void settle_generations(struct weir_tables *t)
{
	for (uint32_t id = 1; id < t->mem.n_epid; id++) {
		if (t->ep_refs[id] == 0 && (t->mem.epgen[id] & 1)) {
			t->mem.epgen[id]++;
		}
	}
}

int weir_tables_new(const struct weir_tables_mem *mem,
		    const struct weir_tables_ops *ops,
		    struct weir_tables **ret_tables)
{
	_cleanup_(weir_tables_free) struct weir_tables *t = calloc(1,
								   sizeof(*t));
	int r;

	if (!t) {
		return -ENOMEM;
	}
	t->mem = *mem;
	t->ops = *ops;
	t->round = 1;
	t->svcs = calloc(mem->n_svc, sizeof(*t->svcs));
	t->sets = calloc(mem->n_set, sizeof(*t->sets));
	t->ep_refs = calloc(mem->n_epid, sizeof(*t->ep_refs));
	t->ep_marks = calloc(mem->n_epid, sizeof(*t->ep_marks));
	if (!t->svcs || !t->sets || !t->ep_refs || !t->ep_marks) {
		return -ENOMEM;
	}
	/* Element and id 0 name nothing. */
	if (weir_pool_init(&t->rows, 1, mem->n_row - 1) < 0 ||
	    weir_pool_init(&t->eps, 1, mem->n_ep - 1) < 0 ||
	    weir_pool_init(&t->fids, 1, mem->n_svc - 1) < 0 ||
	    weir_pool_init(&t->gids, 1, mem->n_set - 1) < 0) {
		return -ENOMEM;
	}
	r = adopt(t);
	if (r < 0) {
		return r;
	}
	settle_generations(t);
	/* What the earlier agent had in limbo is taken for free: nothing may
	 * still be reading it. */
	ops->barrier(ops->arg);
	*ret_tables = TAKE_PTR(t);
	return 0;
}

int weir_tables_wipe(const struct weir_tables_mem *mem,
		     const struct weir_tables_ops *ops)
{
	struct weir_fe_key key;
	struct weir_fe fe;

	while (ops->fe_next(ops->arg, NULL, &key, &fe) == 0) {
		int r = ops->fe_del(ops->arg, &key);

		if (r < 0) {
			return r;
		}
	}
	ops->barrier(ops->arg);
	memset(mem->svc, 0, mem->n_svc * sizeof(*mem->svc));
	memset(mem->set, 0, mem->n_set * sizeof(*mem->set));
	memset(mem->row, 0, mem->n_row * sizeof(*mem->row));
	memset(mem->ep, 0, mem->n_ep * sizeof(*mem->ep));
	for (uint32_t id = 1; id < mem->n_epid; id++) {
		mem->epgen[id] = (mem->epgen[id] + 1) & ~UINT64_C(1);
	}
	return 0;
}

void weir_tables_free(struct weir_tables **tables)
{
	struct weir_tables *t = *tables;

	if (!t) {
		return;
	}
	weir_map_fini(&t->fid_of);
	weir_map_fini(&t->gid_of);
	weir_pool_fini(&t->rows);
	weir_pool_fini(&t->eps);
	weir_pool_fini(&t->fids);
	weir_pool_fini(&t->gids);
	weir_limbo_fini(&t->limbo);
	weir_free_ptr(&t->changes.v);
	weir_free_ptr(&t->gone);
	weir_free_ptr(&t->svcs);
	weir_free_ptr(&t->sets);
	weir_free_ptr(&t->ep_refs);
	weir_free_ptr(&t->ep_marks);
	weir_free_ptr(tables);
}
