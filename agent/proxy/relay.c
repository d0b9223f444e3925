/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes both ways without looking: connections to TCP frontends, and HTTP
 * connections after 101.  Each side's end is passed on as an end (half-close);
 * a reset of one side resets the other.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "access.h"
#include "worker.h"

#define PUMP_ROUNDS 16

/* One direction. */
struct pump {
	struct weir_end *from;
	struct weir_end *to;
	struct weir_block **block;
	uint64_t *count;
	bool *eof;  /* from has ended */
	bool *shut; /* and to was told */
};

/* 0, -EAGAIN, or another error: the peer is gone. */
static int drain_block(struct pump *p)
{
	struct weir_block *b = *p->block;

	while (weir_block_len(b)) {
		struct iovec iov = {.iov_base = b->data + b->start,
				    .iov_len = weir_block_len(b)};
		ssize_t n;

		if (!p->to->is_writable) {
			return -EAGAIN;
		}
		n = weir_end_send(p->to, &iov, 1, 0);
		if (n <= 0) {
			return n < 0 ? (int)n : -EPIPE;
		}
		weir_count(p->count, (uint64_t)n);
		b->start += (uint32_t)n;
	}
	return 0;
}

/* 0: cannot go on now; 1: may go on at once; or -errno. */
static int pump(struct weir_worker *w, struct pump *p)
{
	for (int i = 0; i < PUMP_ROUNDS; i++) {
		int r = drain_block(p);
		ssize_t n;

		if (r == -EAGAIN) {
			return 0;
		}
		if (r < 0) {
			return r;
		}
		if (*p->eof) {
			weir_block_put(&w->blocks, p->block);
			if (!*p->shut) {
				*p->shut = weir_end_shut(p->to) == 0;
			}
			return 0;
		}
		if (!p->from->is_readable) {
			weir_block_put(&w->blocks, p->block);
			return 0;
		}
		if (!*p->block) {
			*p->block = weir_worker_block(w);
		}
		if (!*p->block) {
			return -ENOBUFS;
		}
		n = weir_end_fill(p->from, *p->block, w->blocks.size);
		if (n == 0) {
			*p->eof = true;
		} else if (n < 0 && n != -EAGAIN) {
			return (int)n;
		}
	}
	return 1;
}

enum weir_step weir_tunnel_step(struct weir_worker *w, struct weir_client *c)
{
	struct weir_upstream *up = c->up;
	uint64_t to_client_heads = 0;
	struct pump heads = {
		.to = &c->end, .block = &c->out, .count = &to_client_heads};
	struct pump forth = {.from = &c->end,
			     .to = &up->end,
			     .block = &c->in,
			     .count = &up->stat->tx_bytes,
			     .eof = &c->in_eof,
			     .shut = &c->in_shut};
	struct pump back = {.from = &up->end,
			    .to = &c->end,
			    .block = &up->in,
			    .count = &up->stat->rx_bytes,
			    .eof = &c->up_eof,
			    .shut = &c->up_shut};
	int r = 0;
	int s = 0;

	if (up->is_connecting) {
		enum weir_step step = weir_exchange_connected(w, c);

		if (step == WEIR_STEP_WAIT || c->phase == WEIR_PHASE_DEAD ||
		    c->up->is_connecting || c->up != up) {
			return step;
		}
	}
	if (c->out) {
		r = drain_block(&heads);
		if (r == 0) {
			weir_block_put(&w->blocks, &c->out);
		}
	}
	if (r == 0) {
		r = pump(w, &back);
	}
	if (r == 0 || r == 1 || r == -EAGAIN) {
		s = pump(w, &forth);
	}
	if ((r < 0 && r != -EAGAIN) || s < 0 ||
	    (c->end.is_broken && !(c->in_eof && c->up_shut)) ||
	    (up->end.is_broken && !(c->up_eof && c->in_shut))) {
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	if (c->in_shut && c->up_shut) {
		weir_client_close(w, c, false);
		return WEIR_STEP_WAIT;
	}
	return r == 1 || s == 1 ? WEIR_STEP_AGAIN : WEIR_STEP_WAIT;
}

enum weir_step weir_tunnel_begin(struct weir_worker *w, struct weir_client *c,
				 const struct weir_frontend *frontend,
				 const struct weir_rule *rule)
{
	const struct weir_plan *plan = w->plan->ref->view.rules;
	struct weir_proxy_refstat *stat;
	struct weir_proxy_rulestat *rulestat;

	c->phase = WEIR_PHASE_TUNNEL;
	c->is_raw = true;
	c->is_in_request = true;
	c->started_us = w->now_us;
	weir_access_begin(w, c, NULL, 0);
	c->plan = weir_plan_use_get(w->plan);
	c->frontend = frontend;
	if (!rule) {
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	c->rule = rule;
	c->rule_stat = rule->stat;
	rulestat = weir_rulestat(&w->counters, rule->stat);
	weir_count(&rulestat->requests, 1);
	weir_count(&rulestat->in_flight, 1);
	c->ref = weir_choose_ref(plan, c->rule,
				 weir_worker_rule_x(w, c->rule, &c->peer));
	if (!c->ref) {
		weir_access_count(w, c, WEIR_PROXY_INVALID_BACKEND,
				  "the rule has no backend with a weight");
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	c->ref_stat = c->ref->stat;
	stat = weir_refstat_of(&w->counters, c->ref_stat);
	weir_count(&stat->in_flight, 1);
	if (c->ref->state != WEIR_REF_OK) {
		weir_count(&stat->refused, 1);
		weir_access_count(w, c,
				  c->ref->state == WEIR_REF_INVALID
					  ? WEIR_PROXY_INVALID_BACKEND
					  : WEIR_PROXY_NO_ENDPOINT,
				  "the chosen backend does not serve");
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	weir_count(&stat->picked, 1);
	return weir_exchange_connect(w, c);
}
