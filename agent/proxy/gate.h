/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all workers know of a revision whose pods take so many requests at once
 * and no more (weir_group.concurrency): whose requests wait for a free place,
 * and since when.  How many are under way at a pod is in its counters
 * (weir_proxy_epstat.in_flight), which are those of all workers.  It outlives
 * plans as long as some request of one is under way, so that those of different
 * plans wait in one line.
 *
 * A place that becomes free is passed on to the worker whose first one has
 * waited longest.  Who begins to wait says so and then looks for a place again;
 * who frees a place frees it and then looks for who waits: one of them sees the
 * other.
 */
#ifndef WEIR_PROXY_GATE_H
#define WEIR_PROXY_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "plan.h"

#define WEIR_GATE_NOBODY UINT32_MAX

struct weir_gate {
	atomic_uint refs;
	uint32_t n_workers;
	uint64_t key; /* of the group */
	/* Of each worker: when its first one that waits came, in microseconds;
	 * 0: none waits. */
	_Atomic uint64_t since_us[];
};

/* All that are in use, of the control thread. */
struct weir_gates {
	struct weir_gate **v;
	uint32_t n;
	uint32_t cap;
};

/* Those of a plan, by group; NULL where its groups have none.  What no plan has
 * any more is freed.  0 or -ENOMEM. */
int weir_gates_of(struct weir_gates *all, const struct weir_plan *plan,
		  uint32_t n_workers, struct weir_gate ***ret_gates);
struct weir_gate *weir_gate_get(struct weir_gate *gate);
/* *gate may be NULL, and is afterwards. */
void weir_gate_put(struct weir_gate **gate);
/* Lets those of a plan go. */
void weir_gates_put(struct weir_gate ***gates, uint32_t n);
/* After the last plan. */
void weir_gates_fini(struct weir_gates *all);

/* The first one of worker waits since then; 0: none of it waits. */
void weir_gate_wait(struct weir_gate *gate, uint32_t worker, uint64_t since_us);
/* The worker whose first one waits longest, or WEIR_GATE_NOBODY. */
uint32_t weir_gate_oldest(const struct weir_gate *gate);
/* One more, if fewer than limit are under way.  What another process has
 * left there does not close the gate for good: a number below 0 is none. */
bool weir_gate_take(uint64_t *in_flight, uint32_t limit);

#endif
