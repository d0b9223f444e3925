// SPDX-License-Identifier: Apache-2.0
/*
 * Requests that wait for an endpoint.  Knative switches to a revision when it
 * knows that it is ready, which the EndpointSlices may say some moments later:
 * they are copied from what Knative writes by a controller of the cluster.  So
 * a request for a backend without endpoints is kept until a plan brings one,
 * for a while.
 */
#include "hold.h"

#include "worker.h"

bool weir_hold_begin(struct weir_worker *w, struct weir_client *c)
{
	if (!c->rule || !(c->rule->flags & WEIR_RULE_HOLD) || w->is_draining ||
	    c->attempts || c->has_retried) {
		return false;
	}
	if (!c->hold_at) {
		c->hold_at = w->now_ms + WEIR_HOLD_MS;
	}
	if (c->hold_at <= w->now_ms || w->n_held >= WEIR_HOLD_MAX) {
		return false;
	}
	c->connect_at = c->hold_at;
	c->is_held = true;
	w->n_held++;
	return true;
}

void weir_hold_end(struct weir_worker *w, struct weir_client *c)
{
	if (c->is_held) {
		c->is_held = false;
		c->connect_at = 0;
		w->n_held--;
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
	uint64_t key = WEIR_PLAN_ELEM(old, struct weir_group, old->groups,
				      c->ref->group)
			       ->key;

	*ret_n = 0;
	if (!(c->rule->flags & WEIR_RULE_HOLD) || now->rules == old) {
		return NULL;
	}
	for (uint32_t i = 0; i < now->rules->groups.n; i++) {
		if (WEIR_PLAN_ELEM(now->rules, struct weir_group,
				   now->rules->groups, i)
			    ->key == key) {
			return weir_eps_of(now->eps, i, ret_n);
		}
	}
	return NULL;
}

void weir_hold_follow_plan(struct weir_worker *w)
{
	if (w->n_held == 0) {
		return;
	}
	for (struct weir_client *c = w->clients; c; c = c->all_next) {
		if (c->is_held) {
			weir_worker_queue(w, c);
		}
	}
}
