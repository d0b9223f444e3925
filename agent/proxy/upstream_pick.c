/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoint of a group a request goes to. */
#include "activate.h"
#include "hold.h"
#include "worker.h"

/* What speaks against an endpoint: requests of all workers under way there,
 * and having been unreachable just now, lest it looks idle for that. */
static uint64_t burden_of(struct weir_worker *w, const struct weir_endpoint *e)
{
	uint64_t failed_ms = w->failed_ms[e->stat % WEIR_FAILED_SLOTS];
	uint64_t n = __atomic_load_n(
		&weir_epstat_of(&w->counters, e->stat)->in_flight,
		__ATOMIC_RELAXED);

	return failed_ms && w->now_ms - failed_ms < WEIR_FAILED_MS
		       ? n + (1ull << 32)
		       : n;
}

/*
 * The less burdened one of endpoint i and another one: two choices are enough
 * to keep what is slow from collecting requests (Mitzenmacher, "The power of
 * two choices").  When nothing is under way it stays with i, and so with equal
 * shares.
 */
static uint32_t less_burdened(struct weir_worker *w,
			      const struct weir_endpoint *eps, uint32_t n,
			      uint32_t i)
{
	uint32_t x = weir_mix32(w->n_draws++, w->index);
	uint32_t k = (i + 1 + weir_scale(x, n - 1)) % n;

	return burden_of(w, &eps[k]) < burden_of(w, &eps[i]) ? k : i;
}

const struct weir_endpoint *weir_upstream_pick(struct weir_worker *w,
					       struct weir_client *c)
{
	const struct weir_plan_view *view = &c->plan->ref->view;
	const struct weir_endpoint *eps;
	const struct weir_group *group;
	uint32_t n;

	if (c->rev) {
		eps = weir_activate_pick(w, c);
		if (c->rev) {
			return eps;
		}
	}
	eps = weir_eps_of(view->eps, c->ref->group, &n);
	if (n == 0) {
		eps = weir_hold_endpoints(w, c, &n);
	}
	if (c->attempts >= n || c->attempts >= WEIR_CONNECT_TRIES) {
		return NULL;
	}
	if (c->attempts == 0 && !c->has_retried) {
		group = WEIR_PLAN_ELEM(view->rules, struct weir_group,
				       view->rules->groups, c->ref->group);
		c->first_endpoint = weir_worker_endpoint_x(w, c->rule, &c->peer,
							   group->key, eps, n);
		if (n > 1 && !(c->rule->flags & WEIR_RULE_AFFINITY)) {
			c->first_endpoint = less_burdened(w, eps, n,
							  c->first_endpoint);
		}
	}
	return &eps[(c->first_endpoint + c->attempts) % n];
}
