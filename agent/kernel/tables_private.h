/* SPDX-License-Identifier: Apache-2.0 */
/* What tables.c and adopt.c share. */
#ifndef WEIR_KERNEL_TABLES_PRIVATE_H
#define WEIR_KERNEL_TABLES_PRIVATE_H

#include "map.h"
#include "pool.h"
#include "tables.h"

/* By fid. */
struct weir_svc_rec {
	struct weir_fe_key key;
	uint32_t flags;      /* in weir_fe */
	uint32_t want_flags; /* by the plan in force */
	uint32_t next_flags; /* by the one at hand */
	uint64_t round;      /* of the last plan that named it */
	struct weir_run row;
	bool has_row;     /* weir_svc has been stored */
	bool wants_live;  /* false: a host socket holds the address */
	bool next_live;   /* likewise, by the plan at hand */
	bool is_live;     /* in weir_fe */
	bool was_entered; /* is, or was */
};

/* By gid. */
struct weir_set_rec {
	uint64_t key;
	uint64_t round;
	uint32_t first; /* header element of its run */
	uint32_t n;     /* elements with the header; 0: not published yet */
};

enum weir_change_kind {
	WEIR_CHANGE_SET,
	WEIR_CHANGE_ROW,
	WEIR_CHANGE_GID,
	WEIR_CHANGE_FID,
};

/* One thing prepared for the next commit. */
struct weir_change {
	enum weir_change_kind kind;
	uint32_t id;
	struct weir_run run;
	const struct weir_endpoint *endpoints; /* set: in the plan */
};

struct weir_changes {
	struct weir_change *v;
	size_t n;
	size_t cap;
};

struct weir_tables {
	struct weir_tables_mem mem;
	struct weir_tables_ops ops;
	struct weir_svc_rec *svcs;
	struct weir_set_rec *sets;
	uint32_t *ep_refs;  /* by endpoint id: sets it is in */
	uint32_t *ep_marks; /* scratch: equals mark if in the set at hand */
	uint32_t mark;
	uint64_t round;
	uint64_t writes;
	struct weir_map fid_of; /* hash of struct weir_fe_key */
	struct weir_map gid_of; /* group key */
	struct weir_pool rows;
	struct weir_pool eps;
	struct weir_pool fids;
	struct weir_pool gids;
	struct weir_limbo limbo;
	struct weir_changes changes;
	uint32_t *gone; /* scratch: numbers of what a plan takes away */
	size_t cap_gone;
};

uint64_t weir_tables_fe_hash(const struct weir_fe_key *key);
/* What was written before becomes visible before this. */
void weir_tables_store_index(struct weir_index *at, uint32_t first, uint32_t n);
/* Makes the entry of rec, one of tables->svcs, in weir_fe what it should be. */
int weir_tables_settle(struct weir_tables *tables, struct weir_svc_rec *rec,
		       bool is_live, uint32_t flags);
/* After all was prepared.  -errno: nothing that was reachable has changed, and
 * what was prepared is to be rolled back. */
int weir_tables_commit(struct weir_tables *tables, uint32_t generation);

/* Identity of an endpoint: its address, whatever groups it is in. */
static inline uint64_t weir_endpoint_key(const struct weir_endpoint *e)
{
	return weir_hash64(&e->addr, sizeof(e->addr), e->port_be);
}

#endif
