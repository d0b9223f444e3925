/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoint of a group a request goes to. */
#include "activate.h"
#include "gate.h"
#include "h2.h"
#include "hold.h"
#include "worker.h"

#define LATE_MS 100 /* whoever is not there by then is not near */

static uint64_t failed_ms_of(const struct weir_worker *w,
			     const struct weir_endpoint *e)
{
	return w->failed_ms[e->stat % WEIR_FAILED_SLOTS];
}

/* It was just now. */
static bool is_unreachable(const struct weir_worker *w,
			   const struct weir_endpoint *e)
{
	uint64_t failed_ms = failed_ms_of(w, e);

	return failed_ms && w->now_ms - failed_ms < WEIR_FAILED_MS;
}

void weir_upstream_note_failed(struct weir_worker *w,
			       const struct weir_upstream *u)
{
	weir_count(&u->stat->failed, 1);
	w->failed_ms[u->stat_id % WEIR_FAILED_SLOTS] = w->now_ms;
}

void weir_upstream_late(struct weir_worker *w, const struct weir_client *c)
{
	uint64_t begun_ms = c->connect_at - w->limits->connect_timeout_ms;

	if (c->up->is_connecting && begun_ms + LATE_MS <= w->now_ms) {
		weir_upstream_note_failed(w, c->up);
	}
	weir_h2_doubt(c->up, c->started_us / 1000);
}

/* What speaks against an endpoint: requests of all workers under way there,
 * and having been unreachable just now, lest it looks idle for that. */
static uint64_t burden_of(struct weir_worker *w, const struct weir_endpoint *e)
{
	int64_t under_way = (int64_t)__atomic_load_n(
		&weir_epstat_of(&w->counters, e->stat)->in_flight,
		__ATOMIC_RELAXED);
	/* Below 0: a request to who had the id before ended late. */
	uint64_t n = under_way > 0 ? (uint64_t)under_way : 0;

	return is_unreachable(w, e) ? n + (1ull << 32) : n;
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

/* The least burdened one of n >= 1, of equals the first from place x on. */
static const struct weir_endpoint *
least_burdened(struct weir_worker *w, const struct weir_endpoint *eps,
	       uint32_t n, uint32_t x, uint64_t *ret_burden)
{
	const struct weir_endpoint *best = &eps[x];
	uint64_t least = burden_of(w, best);

	for (uint32_t i = 1; least > 0 && i < n; i++) {
		const struct weir_endpoint *e = &eps[(x + i) % n];
		uint64_t burden = burden_of(w, e);

		if (burden < least) {
			best = e;
			least = burden;
		}
	}
	*ret_burden = least;
	return best;
}

/* Its requests are counted; ids without a place share one. */
static bool is_counted(const struct weir_worker *w,
		       const struct weir_endpoint *e)
{
	return e->stat && e->stat < w->counters.max_endpoints;
}

/*
 * Pods that take limit requests at once: the least burdened one gets it, as
 * long as fewer are under way there from this node; else it waits here, where
 * the first pod that is done gets it, not at a pod that may be busy for long.
 *
 * The limit is the pod's whole one and not this node's share of it: nodes do
 * not know of each other's load, which is seldom even (one node answers for the
 * address of a Gateway), and a share of 1 cannot be divided.  Serving's
 * activators divide the pods instead (activator/net/throttler.go, assignSlice),
 * as the requests are spread evenly over them.  What other nodes send to the
 * same pod waits in its queue-proxy, which lets in no more than the limit and
 * has room for ten times as many (queue/sharedmain/main.go).
 */
static const struct weir_endpoint *
pick_free(struct weir_worker *w, struct weir_client *c, struct weir_gate *gate,
	  const struct weir_endpoint *eps, uint32_t n)
{
	const struct weir_group *group = WEIR_PLAN_ELEM(
		c->plan->ref->view.rules, struct weir_group,
		c->plan->ref->view.rules->groups, c->ref->group);
	uint32_t x = weir_worker_endpoint_x(w, c->rule, &c->peer, group->key,
					    eps, n);

	c->is_crowded = !weir_hold_is_turn(w, c, gate);
	while (!c->is_crowded) {
		uint64_t burden;
		const struct weir_endpoint *e = least_burdened(w, eps, n, x,
							       &burden);

		if (!is_counted(w, e)) {
			return e;
		}
		if (weir_gate_take(
			    &weir_epstat_of(&w->counters, e->stat)->in_flight,
			    group->concurrency)) {
			c->gate = gate;
			return e;
		}
		/* Unless another worker was faster. */
		c->is_crowded = (uint32_t)burden >= group->concurrency;
	}
	return NULL;
}

/* Endpoints for c: of its own plan, or newer ones where it may have waited. */
static const struct weir_endpoint *endpoints_of(const struct weir_worker *w,
						const struct weir_client *c,
						const struct weir_gate *gate,
						uint32_t *ret_n)
{
	uint32_t n;
	const struct weir_endpoint *eps = weir_eps_of(c->plan->ref->view.eps,
						      c->ref->group, &n);

	if (n == 0 || gate) {
		uint32_t n_now;
		const struct weir_endpoint *now = weir_hold_endpoints(w, c,
								      &n_now);

		if (now) {
			eps = now;
			n = n_now;
		}
	}
	*ret_n = n;
	return eps;
}

/* The first choice of c, or another one than the last: tries are few, and not
 * for what was unreachable just now if there is one that was not; of those that
 * were the one that was so first, which c has not tried. */
static const struct weir_endpoint *next_of(const struct weir_worker *w,
					   struct weir_client *c,
					   const struct weir_endpoint *eps,
					   uint32_t n)
{
	const struct weir_endpoint *best = NULL;
	uint32_t last = c->attempts > 1 ? c->next_endpoint : 0;

	if (c->attempts == 0) {
		return &eps[c->first_endpoint % n];
	}
	for (uint32_t k = 1; k < n; k++) {
		const struct weir_endpoint *e =
			&eps[(c->first_endpoint + k) % n];
		bool is_noted = is_unreachable(w, e);

		if (k == last) {
			continue;
		}
		if (!best || !is_noted ||
		    failed_ms_of(w, e) < failed_ms_of(w, best)) {
			best = e;
			c->next_endpoint = k;
		}
		if (!is_noted) {
			break;
		}
	}
	return best;
}

const struct weir_endpoint *weir_upstream_pick(struct weir_worker *w,
					       struct weir_client *c)
{
	const struct weir_plan_view *view = &c->plan->ref->view;
	const struct weir_endpoint *eps;
	const struct weir_group *group;
	struct weir_gate *gate;
	uint32_t n;

	c->is_crowded = false;
	if (c->rev) {
		eps = weir_activate_pick(w, c);
		if (c->rev) {
			return eps;
		}
	}
	gate = weir_hold_gate(w, c);
	eps = endpoints_of(w, c, gate, &n);
	if (c->attempts >= n || c->attempts >= WEIR_CONNECT_TRIES) {
		return NULL;
	}
	/* The activator keeps to the limit by itself. */
	if (gate && !(eps[0].flags & WEIR_ENDPOINT_ACTIVATOR)) {
		return pick_free(w, c, gate, eps, n);
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
	return next_of(w, c, eps, n);
}
