// SPDX-License-Identifier: Apache-2.0
#include "hold.h"

#include <stdlib.h>

#include "activate.h"
#include "cleanup.h"
#include "gate.h"
#include "worker.h"

#define RETRY_MS 100

static uint64_t key_of(const struct weir_client *c)
{
	const struct weir_plan *plan = c->plan->ref->view.rules;

	return WEIR_PLAN_ELEM(plan, struct weir_group, plan->groups,
			      c->ref->group)
		->key;
}

static struct weir_hold_queue **place_of(struct weir_holds *h, uint64_t key)
{
	struct weir_hold_queue **pp = &h->buckets[key % WEIR_HOLD_BUCKETS];

	while (*pp && (*pp)->key != key) {
		pp = &(*pp)->next;
	}
	return pp;
}

/* NULL: no place is left for it, or no memory. */
static struct weir_hold_queue *queue_for(struct weir_worker *w, uint64_t key)
{
	struct weir_hold_queue **pp = place_of(&w->holds, key);
	uint32_t max = w->limits->max_held / w->n_workers + 1;
	uint32_t n = *pp ? (*pp)->n : 0;

	if (w->holds.n >= max || n >= max - w->holds.n) {
		return NULL;
	}
	if (!*pp) {
		*pp = calloc(1, sizeof(**pp));
		if (*pp) {
			(*pp)->key = key;
			(*pp)->tail = &(*pp)->first;
		}
	}
	return *pp;
}

/* Only splits of Knative have a detail. */
static bool is_of_knative(const struct weir_client *c)
{
	return c->rule && c->rule->flags & WEIR_RULE_HOLD && c->ref->detail.n;
}

static bool may_wait(const struct weir_worker *w, const struct weir_client *c)
{
	return is_of_knative(c) && !w->is_draining &&
	       (c->is_crowded || ((!c->attempts || c->rev) && !c->has_retried));
}

/* While the proxy ends all go on at once: queue-proxy keeps them waiting. */
struct weir_gate *weir_hold_gate(const struct weir_worker *w,
				 const struct weir_client *c)
{
	struct weir_gate *const *gates = c->plan->ref->gates;

	return gates && is_of_knative(c) && !w->is_draining
		       ? gates[c->ref->group]
		       : NULL;
}

bool weir_hold_is_turn(const struct weir_worker *w, const struct weir_client *c,
		       const struct weir_gate *gate)
{
	uint32_t oldest;

	if (c->hold && c->hold->first != c) {
		return false;
	}
	oldest = weir_gate_oldest(gate);
	if (oldest == WEIR_GATE_NOBODY || (c->hold && oldest == w->index)) {
		return true;
	}
	if (oldest != w->index) {
		/* It may know less than this one: of a new plan. */
		weir_worker_room(w->all[oldest]);
	}
	return false;
}

void weir_hold_pass(struct weir_worker *w, const struct weir_gate *gate)
{
	uint32_t i = weir_gate_oldest(gate);
	struct weir_hold_queue *q;

	if (i == WEIR_GATE_NOBODY) {
		return;
	}
	if (i != w->index) {
		weir_worker_room(w->all[i]);
		return;
	}
	q = *place_of(&w->holds, gate->key);
	if (q) {
		weir_worker_queue(w, q->first);
	}
}

/* The first one of q is another one, or there is none any more. */
static void first_changed(struct weir_worker *w,
			  const struct weir_hold_queue *q)
{
	if (q->gate) {
		weir_gate_wait(q->gate, w->index,
			       q->first ? q->first->hold_us : 0);
		weir_hold_pass(w, q->gate);
	}
}

static enum weir_step no_endpoint(struct weir_worker *w, struct weir_client *c)
{
	if (c->rev) {
		return weir_answer(w, c, 504, WEIR_PROXY_HOLD_TIMEOUT,
				   "the revision did not wake in time");
	}
	if (c->is_crowded) {
		return weir_answer(w, c, 504, WEIR_PROXY_HOLD_TIMEOUT,
				   "no pod of the revision was free in time");
	}
	return c->attempts ? weir_answer(w, c, 503, WEIR_PROXY_CONNECT_FAILED,
					 "no endpoint could be connected")
			   : weir_answer(w, c, 503, WEIR_PROXY_NO_ENDPOINT,
					 "the chosen backend has no endpoint");
}

/* A pod that answered may have gone before its connection came: others, or the
 * same, are tried once more. */
static void set_deadline(const struct weir_worker *w, struct weir_client *c)
{
	c->connect_at = c->hold_at;
	if (c->attempts && c->connect_at > w->now_ms + RETRY_MS) {
		c->connect_at = w->now_ms + RETRY_MS;
	}
	/* A pod that refused counts as full for so long; nobody says when it
	 * does no more. */
	if (c->is_crowded && c->connect_at > w->now_ms + WEIR_FAILED_MS) {
		c->connect_at = w->now_ms + WEIR_FAILED_MS;
	}
	c->attempts = 0;
}

/* c is in its queue now. */
static void join_gate(struct weir_worker *w, struct weir_client *c)
{
	struct weir_hold_queue *q = c->hold;

	if (!q->gate) {
		struct weir_gate *gate = weir_hold_gate(w, c);

		q->gate = gate ? weir_gate_get(gate) : NULL;
	}
	if (q->gate && q->first == c) {
		weir_gate_wait(q->gate, w->index, c->hold_us);
		/* A place that became free just now was not passed to it. */
		if (weir_gate_oldest(q->gate) == w->index) {
			weir_worker_queue(w, c);
		}
	}
}

/* Last; or, if it had a place that came to nothing, where it was. */
static void join(struct weir_hold_queue *q, struct weir_client *c, bool is_back)
{
	struct weir_client **at = q->tail;

	if (is_back) {
		at = &q->first;
		while (*at && (*at)->hold_us <= c->hold_us) {
			at = &(*at)->hold_next;
		}
	}
	c->hold = q;
	c->hold_next = *at;
	c->hold_pprev = at;
	*at = c;
	if (c->hold_next) {
		c->hold_next->hold_pprev = &c->hold_next;
	} else {
		q->tail = &c->hold_next;
	}
	q->n++;
}

enum weir_step weir_hold_or_answer(struct weir_worker *w, struct weir_client *c)
{
	struct weir_hold_queue *q;
	bool is_back = c->hold_us;

	if (c->is_crowded && c->hold_us) {
		/* It may have waited for slices before. */
		c->hold_at = c->hold_us / 1000 + w->limits->hold_timeout_ms;
	}
	if (!may_wait(w, c) || (c->hold_at && c->hold_at <= w->now_ms)) {
		return no_endpoint(w, c);
	}
	if (c->hold) {
		set_deadline(w, c);
		return WEIR_STEP_WAIT;
	}
	q = queue_for(w, key_of(c));
	if (!q) {
		return weir_answer(w, c, 503, WEIR_PROXY_HOLD_FULL,
				   "too many requests wait for an endpoint");
	}
	if (!c->hold_at) {
		c->hold_at = w->now_ms + (c->rev || c->is_crowded
						  ? w->limits->hold_timeout_ms
						  : w->limits->hold_lag_ms);
		c->hold_us = w->now_us;
	}
	set_deadline(w, c);
	join(q, c, is_back);
	w->holds.n++;
	weir_count_reason(&w->counters, WEIR_PROXY_HELD);
	weir_count(&w->counters.shared->totals.held, 1);
	if (c->is_crowded) {
		weir_count_reason(&w->counters, WEIR_PROXY_QUEUED);
	}
	if (c->rev) {
		weir_activate_waits(w, c, true);
	}
	join_gate(w, c);
	return WEIR_STEP_WAIT;
}

void weir_hold_end(struct weir_worker *w, struct weir_client *c)
{
	struct weir_hold_queue *q = c->hold;
	bool was_first;

	if (!q) {
		return;
	}
	was_first = q->first == c;
	if (c->rev) {
		weir_activate_waits(w, c, false);
	}
	*c->hold_pprev = c->hold_next;
	if (c->hold_next) {
		c->hold_next->hold_pprev = c->hold_pprev;
	} else {
		q->tail = c->hold_pprev;
	}
	c->hold = NULL;
	c->connect_at = 0;
	w->holds.n--;
	weir_uncount(&w->counters.shared->totals.held);
	q->n--;
	if (was_first) {
		first_changed(w, q);
	}
	if (q->n == 0) {
		struct weir_hold_queue **pp = place_of(&w->holds, q->key);

		*pp = q->next;
		weir_gate_put(&q->gate);
		weir_free_ptr(&q);
	}
}

/* The rule stays that of the plan in which it was decided; endpoints may be
 * newer. */
const struct weir_endpoint *weir_hold_endpoints(const struct weir_worker *w,
						const struct weir_client *c,
						uint32_t *ret_n)
{
	const struct weir_plan *old = c->plan->ref->view.rules;
	const struct weir_plan_view *now = &w->plan->ref->view;
	uint64_t key = key_of(c);
	uint32_t n = now->rules->groups.n;

	*ret_n = 0;
	if (!(c->rule->flags & WEIR_RULE_HOLD) || now->rules == old) {
		return NULL;
	}
	for (uint32_t k = 0; k < n; k++) {
		/* Most often it stands where it stood. */
		uint32_t i = (c->ref->group + k) % n;

		if (WEIR_PLAN_ELEM(now->rules, struct weir_group,
				   now->rules->groups, i)
			    ->key == key) {
			return weir_eps_of(now->eps, i, ret_n);
		}
	}
	return NULL;
}

void weir_hold_drive_first(struct weir_worker *w)
{
	for (uint32_t b = 0; w->holds.n && b < WEIR_HOLD_BUCKETS; b++) {
		for (struct weir_hold_queue *q = w->holds.buckets[b]; q;
		     q = q->next) {
			/* Those whose turn it is not would only pass it on, to
			 * workers that do the same. */
			if (q->gate && weir_gate_oldest(q->gate) == w->index) {
				weir_worker_queue(w, q->first);
			}
		}
	}
}

void weir_hold_drive_all(struct weir_worker *w)
{
	for (uint32_t b = 0; w->holds.n && b < WEIR_HOLD_BUCKETS; b++) {
		for (struct weir_hold_queue *q = w->holds.buckets[b]; q;
		     q = q->next) {
			for (struct weir_client *c = q->first; c;
			     c = c->hold_next) {
				weir_worker_queue(w, c);
			}
		}
	}
}
