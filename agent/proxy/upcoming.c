/* SPDX-License-Identifier: Apache-2.0 */
#include "upcoming.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#include "prefetch.h"
#include "ring.h"
#include "worker.h"

bool weir_upcoming_guess(struct weir_str head, struct weir_str *ret_host,
			 struct weir_str *ret_path)
{
	struct weir_str target = head;
	struct weir_str line = head;
	struct weir_str name;
	size_t n = 0;

	(void)weir_str_word(&target, ' ');
	(void)weir_str_word(&line, '\n');
	target = weir_str_word(&target, ' ');
	while (n < target.n && target.p[n] != '?') {
		n++;
	}
	line = weir_str_word(&line, '\r');
	name = weir_str_word(&line, ':');
	line = weir_str_trim(line);
	*ret_path = (struct weir_str){target.p, n};
	*ret_host = weir_str_word(&line, ':');
	return n && target.p[0] == '/' && ret_host->n &&
	       weir_str_eq_nocase(name, WEIR_STR("host"));
}

/* The request that the event brings, if it is to be known at once. */
static bool begin(const struct weir_worker *w, const struct weir_end *end,
		  struct weir_prefetch *ret_prefetch)
{
	const struct weir_client *c =
		(const struct weir_client *)(const void *)end;
	const struct weir_plan_ref *ref = w->plan->ref;
	const struct weir_frontend *frontend;
	struct weir_str head;
	struct weir_str host;
	struct weir_str path;

	if (end->kind != WEIR_END_CLIENT || c->phase != WEIR_PHASE_HEAD ||
	    c->in || !end->ring || !weir_ring_peek(end, &head) ||
	    !weir_upcoming_guess(head, &host, &path)) {
		return false;
	}
	frontend = weir_plan_ref_frontend_for(ref, &c->local, c->local_port_be,
					      IPPROTO_TCP, &c->peer);
	if (!frontend || frontend->mode != WEIR_MODE_HTTP) {
		return false;
	}
	weir_prefetch_begin(ref->view.rules, frontend, host, path,
			    ret_prefetch);
	return true;
}

/* What is counted of its rule. */
static inline __attribute__((always_inline)) void
fetch_counters(struct weir_worker *w, const struct weir_rule *rule)
{
	__builtin_prefetch(weir_rulestat(&w->counters, rule->stat), 1);
	__builtin_prefetch(weir_worker_rule_counter(w, rule), 1);
}

void weir_upcoming_fetch(struct weir_worker *w,
			 const struct epoll_event *events, int n)
{
	struct weir_prefetch requests[WEIR_UPCOMING];
	uint32_t n_requests = 0;

	for (int i = 0; i < n && n_requests < WEIR_UPCOMING; i++) {
		n_requests += begin(w, events[i].data.ptr,
				    &requests[n_requests]);
	}
	/* One alone waits as long for its lines here as there. */
	if (n_requests < 2) {
		return;
	}
	for (uint32_t step = 0; step < WEIR_PREFETCH_STEPS; step++) {
		for (uint32_t i = 0; i < n_requests; i++) {
			struct weir_prefetch *p = &requests[i];

			if (!weir_prefetch_step(p) && p->rule) {
				fetch_counters(w, p->rule);
				p->rule = NULL;
			}
		}
	}
}
