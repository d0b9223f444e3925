/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Knative revision that weir wakes by itself, as all threads of the proxy see
 * it: what is under way, counted exactly, and which pods answered early.  It
 * outlives plans: a new one takes over what it names.
 */
#ifndef WEIR_PROXY_REVISION_H
#define WEIR_PROXY_REVISION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "plan.h"

#define WEIR_REV_TEXT_MAX 64 /* DNS labels with their end */
#define WEIR_REV_EARLY 8     /* pods known before they are Ready */

/* What one worker counts; only it writes. */
struct weir_rev_slot {
	uint32_t seq; /* odd: being written */
	uint32_t in_flight;
	uint64_t area; /* requests times microseconds, until since_us */
	uint64_t since_us;
	uint64_t n; /* requests so far */
} __attribute__((aligned(64)));

/* The sum over all workers. */
struct weir_rev_sum {
	uint32_t in_flight;
	uint64_t area; /* until now */
	uint64_t n;
};

struct weir_rev {
	atomic_uint refs;
	uint64_t key;
	char ns[WEIR_REV_TEXT_MAX];
	char name[WEIR_REV_TEXT_MAX];
	atomic_uint n_waiting; /* requests held, of all workers */
	atomic_bool is_active; /* the waker reports on it, or is told to */
	atomic_bool is_told;   /* it is among the waker's news */
	struct weir_rev *next_told;
	_Atomic uint64_t early[WEIR_REV_EARLY]; /* weir_rev_pod(); 0: none */
	/* The waker's own. */
	struct {
		uint64_t generation; /* of the plan that placed it */
		uint32_t place;      /* in weir_plan.revisions */
		__be16 program_be;   /* as that says */
		bool is_reported;
		bool is_probed;
		struct weir_rev *next_reported;
		struct weir_rev *next_probed;
		uint64_t area;
		uint64_t n;
		uint64_t at_us;    /* of these, the last report */
		uint32_t first;    /* requests told of before */
		uint64_t pods;     /* that were probed, all in one sum */
		uint64_t probe_ms; /* when next */
		uint64_t eager_ms; /* until then without longer pauses */
		uint32_t pause_ms;
		uint32_t n_asked; /* pods, the last time */
		uint32_t turn;    /* who is the first one next time */
	} own;
	uint32_t n_slots;
	struct weir_rev_slot slots[];
};

/* Those of a plan, in its order; before: of the plan before.  NULL where the
 * plan has none.  0 or -ENOMEM. */
int weir_revs_new(const struct weir_plan *plan, uint32_t n_workers,
		  struct weir_rev *const *before, uint32_t n_before,
		  struct weir_rev ***ret_revs);
void weir_revs_free(struct weir_rev ***revs, uint32_t n);
struct weir_rev *weir_rev_get(struct weir_rev *rev);
void weir_rev_put(struct weir_rev **rev);

/* A request of worker begins (delta 1) or has ended (-1). */
void weir_rev_count(struct weir_rev *rev, uint32_t worker, int delta,
		    uint64_t now_us);
void weir_rev_sum(const struct weir_rev *rev, uint64_t now_us,
		  struct weir_rev_sum *ret_sum);

/* Names an endpoint; not 0. */
static inline uint64_t weir_rev_pod(const struct weir_ip *addr, __be16 port_be)
{
	return weir_hash64(addr, sizeof(*addr), port_be) | 1;
}

/* Did it answer, though it is not Ready? */
bool weir_rev_is_early(const struct weir_rev *rev, uint64_t pod);
void weir_rev_set_early(struct weir_rev *rev, uint64_t pod, bool is_early);

#endif
