// SPDX-License-Identifier: Apache-2.0
#include "activate.h"

#include "revision.h"
#include "waker.h"
#include "worker.h"

/* Whom the activator answers by itself: probes of Knative, which must not wake
 * anything, and of the kubelet (serving activator/handler/probe_handler.go,
 * healthz_handler.go). */
static bool is_probe(const struct weir_http1_head *h, uint32_t i)
{
	const struct weir_header *f = &h->fields[i];

	return weir_str_eq_nocase(f->name, WEIR_STR("K-Network-Probe")) ||
	       (weir_str_starts(f->value, WEIR_STR("kube-probe/")) &&
		weir_str_eq_nocase(f->name, WEIR_STR("User-Agent")));
}

/* No pod of its own serves it: nothing does, or the activator. */
static bool is_asleep(const struct weir_plan_view *view, uint32_t group)
{
	uint32_t n;
	const struct weir_endpoint *e = weir_eps_of(view->eps, group, &n);

	for (uint32_t i = 0; i < n; i++) {
		if (e[i].flags & WEIR_ENDPOINT_ACTIVATOR) {
			return true;
		}
	}
	return n == 0;
}

void weir_activate_begin(struct weir_worker *w, struct weir_client *c,
			 const struct weir_http1_head *h)
{
	const struct weir_plan_ref *ref = c->plan->ref;
	bool is_left = !c->ref->revision || !w->waker || w->is_draining;

	if (!c->ref->detail.n) {
		return;
	}
	for (uint32_t i = 0; i < h->n_fields; i++) {
		is_left = is_left || is_probe(h, i);
		if (weir_str_eq_nocase(h->fields[i].name,
				       WEIR_STR("K-Proxy-Request"))) {
			h->ids[i] = WEIR_FIELD_HOP;
		}
	}
	if (is_left || !weir_waker_is_up(w->waker) ||
	    !is_asleep(&ref->view, c->ref->group)) {
		return;
	}
	c->rev = ref->revs[c->ref->revision - 1];
	weir_rev_count(c->rev, w->index, 1, w->now_us);
	weir_count(&w->counters.shared->totals.activated, 1);
	if (!atomic_exchange(&c->rev->is_active, true)) {
		weir_waker_tell(w->waker, c->rev);
	}
}

void weir_activate_end(struct weir_worker *w, struct weir_client *c)
{
	if (!c->rev) {
		return;
	}
	if (c->hold) {
		weir_activate_waits(w, c, false);
	}
	weir_rev_count(c->rev, w->index, -1, w->now_us);
	c->rev = NULL;
}

void weir_activate_waits(struct weir_worker *w, struct weir_client *c,
			 bool is_waiting)
{
	if (!is_waiting) {
		atomic_fetch_sub(&c->rev->n_waiting, 1);
	} else if (atomic_fetch_add(&c->rev->n_waiting, 1) == 0) {
		weir_waker_tell(w->waker, c->rev);
	}
}

/* Pods of c->rev as the newest plan has them; NULL: it does not name it. */
static const struct weir_endpoint *pods_of(const struct weir_worker *w,
					   const struct weir_client *c,
					   uint32_t *ret_n)
{
	const struct weir_plan_ref *now = w->plan->ref;
	const struct weir_plan *plan = now->view.rules;
	uint32_t n = plan->revisions.n;

	for (uint32_t k = 0; k < n; k++) {
		/* Most often it stands where it stood. */
		uint32_t i = (c->ref->revision - 1 + k) % n;

		if (now->revs[i] == c->rev) {
			return weir_eps_of(now->view.eps,
					   WEIR_PLAN_ELEM(plan,
							  struct weir_revision,
							  plan->revisions, i)
						   ->pods,
					   ret_n);
		}
	}
	*ret_n = 0;
	return NULL;
}

static bool is_usable(const struct weir_rev *rev, const struct weir_endpoint *e)
{
	return !(e->flags & WEIR_ENDPOINT_UNREADY) ||
	       weir_rev_is_early(rev, weir_rev_pod(&e->addr, e->port_be));
}

static uint32_t count_usable(const struct weir_rev *rev,
			     const struct weir_endpoint *e, uint32_t n)
{
	uint32_t usable = 0;

	for (uint32_t i = 0; i < n; i++) {
		usable += is_usable(rev, &e[i]);
	}
	return usable;
}

const struct weir_endpoint *weir_activate_pick(struct weir_worker *w,
					       struct weir_client *c)
{
	uint32_t n;
	const struct weir_endpoint *e = pods_of(w, c, &n);
	uint32_t usable = count_usable(c->rev, e, n);
	uint32_t k;

	if (!e ||
	    (!usable && (!weir_waker_is_up(w->waker) || w->is_draining))) {
		weir_activate_end(w, c);
		/* Those were pods; the activators have not been tried. */
		c->attempts = 0;
		return NULL;
	}
	if (usable == 0 || c->attempts >= usable ||
	    c->attempts >= WEIR_CONNECT_TRIES) {
		return NULL;
	}
	if (c->attempts == 0 && !c->has_retried) {
		c->first_endpoint = weir_worker_endpoint_x(
			w, c->rule, &c->peer, c->rev->key, e, usable);
	}
	k = (c->first_endpoint + c->attempts) % usable;
	for (uint32_t i = 0; i < n; i++) {
		if (is_usable(c->rev, &e[i]) && k-- == 0) {
			return &e[i];
		}
	}
	return NULL;
}
