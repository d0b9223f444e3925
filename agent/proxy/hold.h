/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for an endpoint.  Knative switches to a revision when it
 * knows that it is ready, which the EndpointSlices may say some moments later
 * (they are copied from what Knative writes by a controller of the cluster);
 * and a revision that sleeps has none before it is woken.
 *
 * Bounded for each worker, and fair: a set of endpoints may have as many
 * requests waiting as places are free then, so that one alone takes half of
 * them, and others always find some (Choudhury and Hahne, "Dynamic queue length
 * thresholds for shared-memory packet switches").
 */
#ifndef WEIR_PROXY_HOLD_H
#define WEIR_PROXY_HOLD_H

#include "conn.h"

#define WEIR_HOLD_BUCKETS 64

/* Those that wait for one set of endpoints, the first come first.  Where pods
 * take so many requests at once and no more only the first one may take a place
 * that became free. */
struct weir_hold_queue {
	struct weir_hold_queue *next; /* in its bucket */
	uint64_t key;                 /* of the group */
	uint32_t n;
	struct weir_client *first;
	struct weir_client **tail;
	struct weir_gate *gate; /* NULL: no limit */
};

/* Of one worker. */
struct weir_holds {
	struct weir_hold_queue *buckets[WEIR_HOLD_BUCKETS];
	uint32_t n; /* requests */
};

/* c has no endpoint (more): it waits from now on, or goes on waiting, until it
 * is driven again or connect_at; or it is answered. */
enum weir_step weir_hold_or_answer(struct weir_worker *w,
				   struct weir_client *c);
/* It does not wait any more, whatever comes now. */
void weir_hold_end(struct weir_worker *w, struct weir_client *c);
/* Endpoints for c->ref that a newer plan than its own has; NULL: none. */
const struct weir_endpoint *weir_hold_endpoints(const struct weir_worker *w,
						const struct weir_client *c,
						uint32_t *ret_n);
/* The gate (gate.h) between c and its endpoints, or NULL: as many as come may
 * go there. */
struct weir_gate *weir_hold_gate(const struct weir_worker *w,
				 const struct weir_client *c);
/* Whether it is c's turn to take a place behind its gate: nobody has waited
 * longer, in any worker. */
bool weir_hold_is_turn(const struct weir_worker *w, const struct weir_client *c,
		       const struct weir_gate *gate);
/* A place behind gate is free, or its first one has got one: whoever waits
 * longest is driven, in whichever worker. */
void weir_hold_pass(struct weir_worker *w, const struct weir_gate *gate);
/* Another worker passed on to this one: the first ones whose turn it is are
 * driven. */
void weir_hold_drive_first(struct weir_worker *w);
/* Something changed for all of them, a plan or that the worker ends: they are
 * driven again. */
void weir_hold_drive_all(struct weir_worker *w);

#endif
