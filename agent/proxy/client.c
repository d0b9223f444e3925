/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection: accepted, driven through its phases, closed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access.h"
#include "activate.h"
#include "addr.h"
#include "cleanup.h"
#include "h2.h"
#include "hold.h"
#include "keyed.h"
#include "tls.h"
#include "worker.h"

#define DRIVE_ROUNDS 8 /* steps before others get their turn, */
#define BULK_ROUNDS 4  /* each that moves a body on being so many */
#define ACCEPT_BATCH 64
#define LINGER_MS 2000

static void on_due(struct weir_worker *w, struct weir_due *due);

static void begin_client(struct weir_worker *w, struct weir_client *c)
{
	memset(c, 0, sizeof(*c));
	c->end.kind = WEIR_END_CLIENT;
	c->due.fn = on_due;
	c->last_ms = w->now_ms;
	c->head_ms = w->now_ms;
	c->request_body.is_done = true;
	c->all_next = w->clients;
	if (c->all_next) {
		c->all_next->all_pprev = &c->all_next;
	}
	w->clients = c;
	c->all_pprev = &w->clients;
}

void weir_client_end_request(struct weir_worker *w, struct weir_client *c)
{
	struct weir_counters *counters = &w->counters;

	if (c->access) {
		weir_access_end(w, c);
	}
	if (c->rule) {
		struct weir_proxy_rulestat *s = weir_rulestat(counters,
							      c->rule_stat);

		weir_count(&s->status[c->status / 100 % 6], 1);
		weir_uncount(&s->in_flight);
	}
	if (c->ref) {
		struct weir_proxy_refstat *s = weir_refstat_of(counters,
							       c->ref_stat);

		weir_uncount(&s->in_flight);
		if (c->status >= 502 && c->status <= 504 && !c->is_answered) {
			weir_count(&s->failed, 1);
		}
	}
	if (c->is_in_request && !c->is_raw) {
		struct weir_proxy_totals *t = &counters->shared->totals;

		weir_count(&t->status[c->status / 100 % 6], 1);
		weir_count_duration(counters, w->now_us - c->started_us);
	}
	weir_hold_end(w, c);
	weir_activate_end(w, c);
	c->is_in_request = false;
	c->rule = NULL;
	c->ref = NULL;
	c->frontend = NULL;
	weir_plan_use_put(&c->plan);
}

void weir_client_close(struct weir_worker *w, struct weir_client *c,
		       bool is_reset)
{
	if (c->phase == WEIR_PHASE_DEAD) {
		return;
	}
	if (c->up) {
		weir_upstream_release(w, c, false);
	}
	if (c->h2) {
		weir_h2_free(w, &c->h2);
	}
	if (c->is_in_request || c->access) {
		weir_client_end_request(w, c);
	}
	weir_block_put(&w->blocks, &c->in);
	weir_block_put(&w->blocks, &c->out);
	weir_block_put(&w->blocks, &c->head);
	weir_pipe_put(&w->pipes, &c->pipe);
	weir_due_disarm(&c->due);
	if (weir_tls_is_flood(&c->end)) {
		weir_count_reason(&w->counters, WEIR_PROXY_TLS_FLOOD);
	}
	weir_end_close(&c->end, is_reset);
	c->phase = WEIR_PHASE_DEAD;
	c->end.kind = WEIR_END_DEAD;
	*c->all_pprev = c->all_next;
	if (c->all_next) {
		c->all_next->all_pprev = c->all_pprev;
	}
	if (c->is_counted) {
		weir_peers_remove(w->peers, &c->peer);
	}
	w->n_shed -= c->is_shed;
	if (!c->is_queued) {
		c->next = w->dead;
		w->dead = c;
	}
	if (c->is_stream) {
		return;
	}
	weir_count(&w->counters.shared->totals.clients_closed, 1);
	weir_admission_give(w->admission);
	if (!w->is_accepting && !w->is_draining) {
		weir_worker_accept(w, true);
	}
}

/* It has sent none of its body, as the backend has not asked for it yet
 * (RFC 9110 10.1.1). */
static bool is_to_be_asked(const struct weir_client *c)
{
	return c->request_flags & WEIR_HEAD_CONTINUE && !c->body_sent &&
	       !weir_block_len(c->in);
}

/* The backend has all that came of the request, and nothing to say yet: it is
 * the client's turn.  A call of gRPC may wait for long. */
static bool waits_for_body(const struct weir_client *c)
{
	return c->phase == WEIR_PHASE_EXCHANGE && !c->request_body.is_done &&
	       !c->is_answered && !c->is_grpc && !c->ready && c->up &&
	       !c->up->is_connecting && c->head &&
	       c->head_sent == c->head->end && !is_to_be_asked(c) &&
	       !(c->is_stream && weir_h2_is_shut_out(&c->end));
}

/* The time at which something must happen, as things stand; 0: none. */
static uint64_t deadline(const struct weir_worker *w,
			 const struct weir_client *c)
{
	const struct weir_proxy_limits *l = w->limits;
	uint64_t at;

	switch (c->phase) {
	case WEIR_PHASE_HEAD:
		return weir_block_len(c->in) ? c->head_ms + l->head_timeout_ms
					     : c->last_ms + l->idle_timeout_ms;
	case WEIR_PHASE_HELLO:
	case WEIR_PHASE_TLS:
		return c->head_ms + l->head_timeout_ms;
	case WEIR_PHASE_LINGER:
		return c->head_ms + LINGER_MS;
	case WEIR_PHASE_H2:
		return weir_h2_deadline(w, c);
	case WEIR_PHASE_TUNNEL:
		at = c->last_ms + l->tunnel_idle_ms;
		break;
	default:
		at = c->last_ms + l->stall_timeout_ms;
		if (waits_for_body(c) &&
		    l->body_timeout_ms < l->stall_timeout_ms) {
			at = c->last_ms + l->body_timeout_ms;
		}
		break;
	}
	if (c->connect_at && (c->connect_at < at || c->hold)) {
		at = c->connect_at;
	}
	if (c->request_at && c->request_at < at) {
		at = c->request_at;
	}
	if (c->backend_at && !c->hold && c->backend_at < at) {
		at = c->backend_at;
	}
	return at;
}

/* An answer to something that is not a request yet, and is counted as one: the
 * connection's last. */
static enum weir_step refuse(struct weir_worker *w, struct weir_client *c,
			     uint16_t status, uint32_t reason, const char *text)
{
	uint32_t n = weir_block_len(c->in);

	weir_count(&w->counters.shared->totals.requests, 1);
	c->started_us = n ? c->head_ms * 1000 : w->now_us;
	c->is_in_request = true;
	c->status = 0;
	weir_access_begin(w, c, NULL, n);
	c->wants_close = true;
	c->is_http10 = false;
	if (n) {
		if (weir_http1_asks_head(c->in->data + c->in->start, n)) {
			c->request_flags = WEIR_HEAD_IS_HEAD;
		}
		c->in->start += n;
	}
	weir_body_init(&c->request_body, WEIR_FRAMING_CLOSE, 0);
	return weir_answer(w, c, status, reason, text);
}

/* True if the endpoint did not answer in time: another one is tried. */
static bool gave_up_connecting(struct weir_worker *w, struct weir_client *c)
{
	if (!c->connect_at || c->connect_at > w->now_ms) {
		return false;
	}
	if (!c->hold) {
		weir_upstream_failed(w, c);
	}
	(void)weir_exchange_connect(w, c);
	return true;
}

static bool is_over(const struct weir_worker *w, uint64_t at_ms)
{
	return at_ms && at_ms <= w->now_ms;
}

static void expire(struct weir_worker *w, struct weir_client *c)
{
	switch (c->phase) {
	case WEIR_PHASE_HEAD:
		if (weir_block_len(c->in)) {
			(void)refuse(w, c, 408, WEIR_PROXY_HEAD_TIMEOUT,
				     "request head not complete in time");
			break;
		}
		weir_count_reason(&w->counters, WEIR_PROXY_IDLE_TIMEOUT);
		weir_client_close(w, c, false);
		return;
	case WEIR_PHASE_EXCHANGE:
		if (gave_up_connecting(w, c)) {
			break;
		}
		if (waits_for_body(c) && !is_over(w, c->request_at) &&
		    !is_over(w, c->backend_at)) {
			c->wants_close = true;
			(void)weir_answer(w, c, 408, WEIR_PROXY_BODY_TIMEOUT,
					  "request body not complete in time");
			break;
		}
		if (c->up && !waits_for_body(c)) {
			weir_upstream_late(w, c);
		}
		(void)weir_answer(w, c, 504, WEIR_PROXY_TIMEOUT,
				  "timeout waiting for the backend");
		break;
	case WEIR_PHASE_TUNNEL:
		if (gave_up_connecting(w, c)) {
			break;
		}
		weir_access_count(w, c, WEIR_PROXY_TUNNEL_TIMEOUT,
				  "silent for too long");
		weir_client_close(w, c, true);
		return;
	case WEIR_PHASE_HELLO:
	case WEIR_PHASE_TLS:
		weir_count_reason(&w->counters, WEIR_PROXY_TLS_HANDSHAKE);
		weir_client_close(w, c, true);
		return;
	case WEIR_PHASE_H2:
		weir_h2_expire(w, c);
		return;
	default:
		weir_client_close(w, c, c->phase == WEIR_PHASE_FLUSH);
		return;
	}
	weir_client_drive(w, c);
}

static void on_due(struct weir_worker *w, struct weir_due *due)
{
	struct weir_client *c =
		(struct weir_client *)((char *)due -
				       offsetof(struct weir_client, due));
	uint64_t at;

	/* What came in time may wait for its turn. */
	if (c->is_queued && c->end.is_readable) {
		weir_client_drive(w, c);
		if (c->phase == WEIR_PHASE_DEAD) {
			return;
		}
	}
	at = deadline(w, c);
	if (at > w->now_ms) {
		weir_due_arm(&w->wheel, &c->due, at);
		return;
	}
	expire(w, c);
}

/* There are bytes for the client, and it takes none. */
static bool waits_for_room(const struct weir_client *c)
{
	bool has_bytes = weir_block_len(c->out);

	if (c->up && c->phase == WEIR_PHASE_TUNNEL) {
		has_bytes |= weir_block_len(c->up->in) > 0;
	} else if (c->up && c->phase == WEIR_PHASE_EXCHANGE) {
		has_bytes |= c->up->ready > 0;
	}
	return has_bytes && !c->end.is_writable &&
	       (!c->is_stream || weir_h2_is_held_back(&c->end));
}

/* Its buffers wait for nobody but the client, and have for long. */
static bool is_overdue(const struct weir_worker *w, const struct weir_client *c)
{
	return (waits_for_room(c) || waits_for_body(c)) &&
	       c->last_ms + WEIR_SHORT_MS <= w->now_ms;
}

/* A socket says that there is room when a third of its buffer is free, which a
 * slow reader may take minutes for: what has left it since the last look
 * counts, too. */
static void note_taken(const struct weir_worker *w, struct weir_client *c)
{
	uint32_t unsent = c->end.is_writable ? 0 : weir_end_unsent(&c->end);

	if (unsent != c->unsent) {
		c->unsent = unsent;
		c->last_ms = w->now_ms;
	}
}

void weir_client_relieve(struct weir_worker *w)
{
	struct weir_client *next;

	if (!weir_blocks_are_short(&w->blocks) || w->now_ms < w->relief_ms) {
		return;
	}
	w->relief_ms = w->now_ms + WEIR_RELIEF_MS;
	for (struct weir_client *c = w->clients; c; c = next) {
		next = c->all_next;
		note_taken(w, c);
		if (c->phase == WEIR_PHASE_H2) {
			weir_h2_relieve(w, c);
		} else if (!c->is_queued && is_overdue(w, c)) {
			expire(w, c);
		}
	}
}

uint32_t weir_client_listener_id(const struct weir_plan *plan,
				 const struct weir_listener *listener)
{
	bool must_show = listener->client_cas.n &&
			 !(listener->flags & WEIR_LISTENER_CLIENT_OPTIONAL);
	uint64_t h = weir_keyed_str(weir_plan_str(plan, listener->name),
				    must_show);

	h = weir_keyed_str(weir_plan_str(plan, listener->hostname), h);
	return (uint32_t)(h ^ h >> 32) | 1;
}

int weir_client_scan_body(struct weir_client *c)
{
	struct weir_block *in = c->in;
	size_t used;
	size_t kept;
	uint32_t at;
	int r;

	if (!in || c->request_body.is_done) {
		return 0;
	}
	at = in->start + c->ready;
	r = weir_body_scan(&c->request_body, in->data + at, in->end - at, &used,
			   &kept);
	if (r < 0) {
		return r;
	}
	if (kept < used) {
		memmove(in->data + at + kept, in->data + at + used,
			in->end - at - used);
		in->end -= (uint32_t)(used - kept);
	}
	c->ready += (uint32_t)kept;
	return 0;
}

enum weir_step weir_client_done(struct weir_worker *w, struct weir_client *c)
{
	bool has_more = !c->request_body.is_done || weir_block_len(c->in) ||
			c->end.is_readable;

	weir_client_end_request(w, c);
	weir_block_put(&w->blocks, &c->head);
	weir_block_put(&w->blocks, &c->out);
	c->connect_at = 0;
	c->request_at = 0;
	c->backend_at = 0;
	if (!c->wants_close && !w->is_draining) {
		c->phase = WEIR_PHASE_HEAD;
		c->head_scan = 0;
		c->head_ms = w->now_ms;
		c->is_answered = false;
		c->request_flags = 0;
		if (c->in && !weir_block_len(c->in)) {
			weir_block_put(&w->blocks, &c->in);
		}
		return WEIR_STEP_AGAIN;
	}
	/* Unread bytes would turn the close into a reset, which can take the
	 * response with it (RFC 9112 9.6). */
	has_more = has_more && !c->end.is_broken && !c->is_stream;
	/* In TLS what ends with its connection is whole if that is said. */
	if ((has_more || weir_tls_is_end(&c->end)) &&
	    weir_end_shut(&c->end) == -EAGAIN) {
		c->wants_close = true;
		c->phase = WEIR_PHASE_FLUSH;
		return WEIR_STEP_WAIT;
	}
	if (has_more) {
		c->phase = WEIR_PHASE_LINGER;
		c->head_ms = w->now_ms;
		c->body_sent = 0; /* from here on: read away */
		weir_block_put(&w->blocks, &c->in);
		return WEIR_STEP_AGAIN;
	}
	weir_client_close(w, c, false);
	return WEIR_STEP_WAIT;
}

/* HTTP/2 with prior knowledge (RFC 9113 3.3): as long as all bytes so far are
 * its preface the connection stays fresh; AGAIN: it is HTTP/2. */
static enum weir_step may_be_h2(struct weir_worker *w, struct weir_client *c)
{
	size_t size = sizeof(WEIR_H2_PREFACE) - 1;
	uint32_t n = weir_block_len(c->in);

	if (memcmp(c->in->data + c->in->start, WEIR_H2_PREFACE,
		   n < size ? n : size) != 0) {
		c->is_fresh = false;
		return WEIR_STEP_AGAIN;
	}
	return n < size ? WEIR_STEP_WAIT : weir_h2_accept(w, c);
}

static enum weir_step find_head(struct weir_worker *w, struct weir_client *c)
{
	size_t size;
	enum weir_http1_error e;

	if (c->is_fresh) {
		enum weir_step s = may_be_h2(w, c);

		if (c->is_fresh) {
			return s;
		}
	}
	e = weir_http1_find_request(
		c->in->data + c->in->start, weir_block_len(c->in),
		w->limits->max_head_bytes, w->limits->max_target_bytes,
		&c->head_scan, &size);
	if (e) {
		return refuse(w, c, weir_http1_error_status(e),
			      weir_request_reason(e), weir_http1_error_text(e));
	}
	if (size == 0) {
		return WEIR_STEP_WAIT;
	}
	c->head_scan = 0;
	return weir_request_begin(w, c, size);
}

/* No request will follow: it ends when the responses are out. */
static void end_between(struct weir_worker *w, struct weir_client *c)
{
	if (weir_end_settle(&c->end) == -EAGAIN) {
		c->wants_close = true;
		c->phase = WEIR_PHASE_FLUSH;
	} else {
		weir_client_close(w, c, false);
	}
}

static enum weir_step head_step(struct weir_worker *w, struct weir_client *c)
{
	bool is_first;
	enum weir_step s;
	ssize_t n;
	char byte;

	if (weir_block_len(c->in) > c->head_scan) {
		s = find_head(w, c);
		if (s == WEIR_STEP_AGAIN || c->phase != WEIR_PHASE_HEAD) {
			return s;
		}
	}
	if (!c->end.is_readable) {
		return WEIR_STEP_WAIT;
	}
	if (!c->in) {
		c->in = weir_worker_block(w);
	}
	is_first = !weir_block_len(c->in);
	/* Without a buffer: is there something, or has it ended? */
	n = c->in ? weir_end_fill(&c->end, c->in, w->blocks.size)
		  : weir_end_recv(&c->end, &byte, 1);
	if (n > 0 && !c->in) {
		return refuse(w, c, 503, WEIR_PROXY_OVERLOAD, "out of buffers");
	}
	if (n > 0) {
		c->head_ms = is_first ? w->now_ms : c->head_ms;
		return WEIR_STEP_AGAIN;
	}
	if (n == -EAGAIN) {
		if (!weir_block_len(c->in)) {
			weir_block_put(&w->blocks, &c->in);
		}
		return WEIR_STEP_WAIT;
	}
	if (weir_block_len(c->in)) {
		weir_count_reason(&w->counters, WEIR_PROXY_CLIENT_GONE);
	}
	end_between(w, c);
	return WEIR_STEP_WAIT;
}

/* Only bytes that moved count: what a client sends ahead of its turn must not
 * keep a dead exchange alive. */
static void note_progress(const struct weir_worker *w, struct weir_client *c)
{
	if (c->end.has_moved || (c->up && c->up->end.has_moved)) {
		c->last_ms = w->now_ms;
		c->end.has_moved = false;
		if (c->up) {
			c->up->end.has_moved = false;
		}
	}
}

/* Ends that are not read, or from which the rest of a message is to come. */
static void mind(struct weir_client *c)
{
	bool is_within = c->phase == WEIR_PHASE_HEAD
				 ? weir_block_len(c->in) > 0
				 : !c->request_body.is_done || c->hold;

	is_within |= c->phase == WEIR_PHASE_TUNNEL || c->phase == WEIR_PHASE_H2;
	weir_end_mind(&c->end, is_within);
	if (c->up) {
		is_within = c->is_answered || weir_block_len(c->up->in);
		weir_end_mind(&c->up->end, is_within);
	}
}

void weir_client_drive(struct weir_worker *w, struct weir_client *c)
{
	for (int i = 0; i < DRIVE_ROUNDS; i++) {
		enum weir_step s = WEIR_STEP_WAIT;
		enum weir_phase phase = c->phase;

		switch (c->phase) {
		case WEIR_PHASE_HEAD:
			s = head_step(w, c);
			break;
		case WEIR_PHASE_EXCHANGE:
			s = weir_exchange_step(w, c);
			break;
		case WEIR_PHASE_FLUSH:
			s = weir_flush_step(w, c);
			break;
		case WEIR_PHASE_LINGER:
			s = weir_linger_step(w, c);
			break;
		case WEIR_PHASE_TUNNEL:
			s = weir_tunnel_step(w, c);
			break;
		case WEIR_PHASE_H2:
			s = weir_h2_step(w, c);
			break;
		case WEIR_PHASE_HELLO:
			s = weir_hello_step(w, c);
			break;
		case WEIR_PHASE_TLS:
			s = weir_handshake_step(w, c);
			break;
		default:
			return;
		}
		if (c->phase == WEIR_PHASE_DEAD) {
			return;
		}
		if (s == WEIR_STEP_WAIT) {
			mind(c);
			note_progress(w, c);
			weir_due_arm(&w->wheel, &c->due, deadline(w, c));
			return;
		}
		if (c->phase == phase && (phase == WEIR_PHASE_EXCHANGE ||
					  phase == WEIR_PHASE_TUNNEL)) {
			i += BULK_ROUNDS - 1;
		}
	}
	/* One whose sender always has bytes and whose receiver always has room
	 * never waits. */
	note_progress(w, c);
	weir_worker_put_off(w, c);
}

/* One too many: told so, if there is a language to say it in and not many are
 * told already.  False when it was closed. */
static bool shed(struct weir_worker *w, struct weir_client *c,
		 const struct weir_frontend *f, uint16_t status,
		 uint32_t reason, const char *text)
{
	if (f->mode != WEIR_MODE_HTTP || w->n_shed == WEIR_SHED_MAX) {
		weir_count_reason(&w->counters, reason);
		weir_client_close(w, c, true);
		return false;
	}
	c->is_shed = true;
	w->n_shed++;
	(void)refuse(w, c, status, reason, text);
	return true;
}

/* What a fresh connection is for; is_last: there is no memory, and it has some
 * that is kept to say so.  False when it was closed. */
static bool begin(struct weir_worker *w, struct weir_client *c, bool is_last)
{
	const struct weir_frontend *f = weir_plan_ref_frontend_for(
		w->plan->ref, &c->local, c->local_port_be, IPPROTO_TCP,
		&c->peer);
	int r;

	if (!f || f->mode == WEIR_MODE_REFUSE || f->mode == WEIR_MODE_UDP) {
		weir_count(&w->counters.shared->totals.clients_refused, 1);
		weir_client_close(w, c, true);
		return false;
	}
	/* A place in the proxy prefix says whose it is now.  Who takes it later
	 * must not get what follows on this connection. */
	c->local = f->addr;
	/* OpenSSL reads its socket itself; tunnels carry bulk. */
	r = f->mode == WEIR_MODE_HTTP ? weir_worker_watch(w, &c->end)
				      : weir_worker_watch_alone(w, &c->end);
	if (r < 0) {
		weir_client_close(w, c, true);
		return false;
	}
	if (w->peers) {
		c->is_counted = weir_peers_add(w->peers, &c->peer);
		if (!c->is_counted) {
			return shed(w, c, f, 429, WEIR_PROXY_CLIENT_LIMIT,
				    "too many connections of this client");
		}
	}
	if (is_last) {
		return shed(w, c, f, 503, WEIR_PROXY_OVERLOAD, "out of memory");
	}
	if (f->mode == WEIR_MODE_TCP) {
		const struct weir_plan *plan = w->plan->ref->view.rules;

		(void)weir_tunnel_begin(
			w, c, f,
			f->rule == WEIR_NONE
				? NULL
				: WEIR_PLAN_ELEM(plan, struct weir_rule,
						 plan->rules, f->rule));
		return c->phase != WEIR_PHASE_DEAD;
	}
	if (f->mode == WEIR_MODE_TLS) {
		c->phase = WEIR_PHASE_HELLO;
		return true;
	}
	c->is_fresh = true;
	return true;
}

struct weir_client *weir_client_new_stream(struct weir_worker *w,
					   const struct weir_client *carrier)
{
	struct weir_client *c = weir_client_take(w);

	if (c) {
		begin_client(w, c);
		c->end.fd = -1;
		c->is_stream = true;
		c->is_https = carrier->is_https;
		c->tls_listener = carrier->tls_listener;
		c->peer = carrier->peer;
		c->peer_port_be = carrier->peer_port_be;
		c->local = carrier->local;
		c->local_port_be = carrier->local_port_be;
	}
	return c;
}

static void accepted(struct weir_worker *w, struct weir_client *c, bool is_last,
		     int fd, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage local = {0};
	socklen_t n = sizeof(local);

	weir_count(&w->counters.shared->totals.clients_opened, 1);
	begin_client(w, c);
	c->end.fd = fd;
	c->end.is_readable = true;
	c->end.is_writable = true;
	if (getsockname(fd, (struct sockaddr *)&local, &n) < 0 ||
	    weir_addr_from_sockaddr(&local, &c->local, &c->local_port_be) < 0 ||
	    weir_addr_from_sockaddr(peer, &c->peer, &c->peer_port_be) < 0) {
		weir_client_close(w, c, true);
		return;
	}
	if (begin(w, c, is_last)) {
		weir_client_drive(w, c);
	}
}

/* The rest waits in the kernel's queue. */
static void pause_accept(struct weir_worker *w)
{
	weir_count_reason(&w->counters, WEIR_PROXY_ACCEPT_PAUSED);
	weir_worker_accept(w, false);
}

/* False: not one more, for now. */
static bool accept_one(struct weir_worker *w, const struct weir_end *listener)
{
	struct sockaddr_storage peer = {0};
	socklen_t n = sizeof(peer);
	struct weir_client *c;
	bool is_last = false;
	int fd;

	if (!weir_admission_take(w->admission)) {
		pause_accept(w);
		return false;
	}
	c = weir_client_take(w);
	if (!c) {
		c = weir_client_take_last(w);
		is_last = true;
	}
	if (!c) {
		weir_admission_give(w->admission);
		pause_accept(w);
		return false;
	}
	fd = accept4(listener->fd, (struct sockaddr *)&peer, &n,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		accepted(w, c, is_last, fd, &peer);
		return true;
	}
	fd = -errno;
	weir_client_reuse(w, c);
	weir_admission_give(w->admission);
	if ((fd == -EMFILE || fd == -ENFILE) && weir_upstream_spare(w)) {
		return true;
	}
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) {
		pause_accept(w);
	}
	return false;
}

void weir_client_accept(struct weir_worker *w, struct weir_end *listener)
{
	for (int i = 0; i < ACCEPT_BATCH && accept_one(w, listener); i++) {
	}
}

void weir_client_drain(struct weir_worker *w)
{
	struct weir_client *next;

	for (struct weir_client *c = w->clients; c; c = next) {
		next = c->all_next;
		if (c->phase == WEIR_PHASE_H2) {
			weir_h2_drain(w, c);
		} else if (c->is_stream) {
			continue; /* its connection says so */
		} else if (c->phase == WEIR_PHASE_HEAD &&
			   !weir_block_len(c->in)) {
			end_between(w, c);
		} else if (!c->is_answered || c->phase == WEIR_PHASE_HEAD) {
			c->wants_close = true;
		}
	}
}
