/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plan -> tables.  Works on plain memory (the mapped arrays, or a test's) and
 * a few callbacks for what is not memory.
 *
 * Order of publication: endpoints -> entries of new frontends, which pass until
 * they have a row -> sets -> rows -> svc index; on removal the frontend first.
 * Only the entries are asked of the kernel, so where it does not take one the
 * plan before still serves, and they are taken back.  Nothing reachable is
 * changed in place; what was reachable waits in limbo (>= 1 s, or until
 * ops->barrier) before it is used again.  Every step may be repeated: the state
 * is read back from the memory itself, so an agent may die between any two.
 */
#ifndef WEIR_KERNEL_TABLES_H
#define WEIR_KERNEL_TABLES_H

#include "plan.h"

#define WEIR_LIMBO_MS 1000

struct weir_tables_mem {
	struct weir_index *svc;
	struct weir_slot *row;
	struct weir_index *set;
	struct weir_ep *ep;
	uint64_t *epgen;
	struct weir_refstat *refstat;
	struct weir_epstat *epstat;
	uint32_t n_svc; /* elements of each */
	uint32_t n_row;
	uint32_t n_set;
	uint32_t n_ep;
	uint32_t n_epid; /* epgen, epstat */
	uint32_t n_ref;
	uint32_t n_fe;       /* entries that weir_fe holds */
	uint32_t max_proxy4; /* largest index in the proxy prefix */
	uint32_t max_proxy6;
};

struct weir_tables_ops {
	void *arg;
	int (*fe_put)(void *arg, const struct weir_fe_key *key,
		      const struct weir_fe *fe);
	/* 0 also if it is not there. */
	int (*fe_del)(void *arg, const struct weir_fe_key *key);
	/* Walks weir_fe: prev NULL for the first; -ENOENT at the end. */
	int (*fe_next)(void *arg, const struct weir_fe_key *prev,
		       struct weir_fe_key *ret_key, struct weir_fe *ret_fe);
	/* The packet plane looks for this frontend from now on, and for ever;
	 * called before its first row that says something.  Of frontends whose
	 * rows are empty (local ones of the proxy) it need not know. */
	void (*announce)(void *arg, const struct weir_fe_key *key);
	/* Returns when no program runs any more that ran when it was called;
	 * false: cannot tell. */
	bool (*barrier)(void *arg);
	uint64_t (*now_ms)(void *arg);
	/* May weir take this local TCP address, or does a host socket hold it?
	 * Asked before it is taken.  NULL: yes. */
	bool (*may_take)(void *arg, const struct weir_fe_key *key);
};

struct weir_tables;

/* Adopts what mem and weir_fe contain.  -EUCLEAN: they contradict each other.
 * mem and ops are copied. */
int weir_tables_new(const struct weir_tables_mem *mem,
		    const struct weir_tables_ops *ops,
		    struct weir_tables **ret_tables);
/* Empties weir_fe and zeroes the arrays, after -EUCLEAN. */
int weir_tables_wipe(const struct weir_tables_mem *mem,
		     const struct weir_tables_ops *ops);
void weir_tables_free(struct weir_tables **tables);
/* See weir_kernel_publish().  -errno: nothing has changed.  A frontend that the
 * kernel does not let go of leads where it led until a later plan succeeds. */
int weir_tables_publish(struct weir_tables *tables,
			const struct weir_plan_view *view,
			const char **ret_what);
/* Calls may_take again for all local TCP frontends: takes those that have
 * become free, gives back those that a host socket holds now.  Finishes what
 * could not be taken back when a plan was refused. */
void weir_tables_recheck(struct weir_tables *tables);
/* Frontends of the last plan that may_take refused. */
void weir_tables_refused(const struct weir_tables *tables,
			 void (*fn)(void *arg, const struct weir_fe_key *key),
			 void *arg);

struct weir_tables_usage {
	uint32_t frontends;
	uint32_t groups;
	uint64_t row_left; /* elements free, without limbo */
	uint64_t ep_left;
	uint64_t limbo;  /* items waiting */
	uint64_t writes; /* rows and sets published since start */
};
/* Calls fn for each frontend that has a place in the proxy prefix. */
void weir_tables_proxied(const struct weir_tables *tables,
			 void (*fn)(void *arg, const struct weir_fe_key *key,
				    uint32_t proxy_index),
			 void *arg);
void weir_tables_usage(const struct weir_tables *tables,
		       struct weir_tables_usage *ret_usage);

#endif
