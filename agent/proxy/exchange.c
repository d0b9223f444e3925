/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to an upstream and its response: both directions at once, each
 * with at most one block of waiting bytes.  A side that cannot take more stops
 * the reading of the other.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "worker.h"

#include "access.h"
#include "h2.h"
#include "hold.h"
#include "rewrite.h"

#define SEND_ROUNDS 4
#define RECEIVE_ROUNDS 4
#define SPLICE_MIN 16384 /* bytes of body for which it is worth a pipe */
#define BULK_READ 1024   /* with a head before a body to splice: below an MSS */
#define JOIN_MAX 2048 /* body bytes copied behind a head: send() is cheaper */

/* No byte waits in it: others may need it while this one is silent. */
static void put_empty(struct weir_worker *w, struct weir_block **block)
{
	if (!weir_block_len(*block)) {
		weir_block_put(&w->blocks, block);
	}
}

static enum weir_step gateway_error(struct weir_worker *w,
				    struct weir_client *c, const char *text)
{
	return weir_answer(w, c, 502, WEIR_PROXY_BAD_RESPONSE, text);
}

/* It may read on, and the end of the connection be that of the response. */
static enum weir_step client_gone(struct weir_worker *w, struct weir_client *c,
				  const char *text)
{
	weir_access_count(w, c, WEIR_PROXY_CLIENT_GONE, text);
	weir_client_close(w, c, c->is_answered);
	return WEIR_STEP_WAIT;
}

enum weir_step weir_exchange_connect(struct weir_worker *w,
				     struct weir_client *c)
{
	/* What would not be sent again. */
	bool must_be_live = !(c->request_flags & WEIR_HEAD_IDEMPOTENT) ||
			    !c->request_body.is_done;
	const struct weir_endpoint *e;
	int r;

	while ((e = weir_upstream_pick(w, c))) {
		r = weir_upstream_acquire(w, c, e, c->is_raw || c->has_retried,
					  must_be_live);
		if (r == 0) {
			if (c->hold && c->backend_at) {
				/* It begins now to wait for the backend. */
				c->backend_at = w->now_ms +
						c->rule->backend_timeout_ms;
			}
			weir_hold_end(w, c);
			c->connect_at =
				c->up->is_connecting
					? w->now_ms +
						  w->limits->connect_timeout_ms
					: 0;
			return WEIR_STEP_AGAIN;
		}
		if (r == -EMFILE || r == -ENFILE || r == -ENOMEM) {
			break;
		}
		c->attempts++;
	}
	if (c->is_raw) {
		if (c->ref) {
			weir_count(&weir_refstat_of(&w->counters, c->ref_stat)
					    ->failed,
				   1);
		}
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	if (e) {
		return weir_answer(w, c, 503, WEIR_PROXY_OVERLOAD,
				   "out of descriptors or memory");
	}
	return weir_hold_or_answer(w, c);
}

enum weir_step weir_exchange_connected(struct weir_worker *w,
				       struct weir_client *c)
{
	struct weir_upstream *up = c->up;

	int r = weir_upstream_established(w, up);

	if (r == -EAGAIN) {
		return WEIR_STEP_WAIT;
	}
	if (r < 0) {
		weir_upstream_failed(w, c);
		return weir_exchange_connect(w, c);
	}
	up->is_connecting = false;
	c->connect_at = 0;
	if (c->access) {
		c->access->connected_us = w->now_us;
	}
	if (!weir_end_is_stream(&up->end)) {
		weir_count(&up->stat->opened, 1);
	}
	return WEIR_STEP_AGAIN;
}

/* n bytes of its body go to a stream, which may not be looked at
 * (REFUSED_STREAM, GOAWAY): they stay behind the head to be sent again, while
 * there is room. */
static void keep_body(const struct weir_worker *w, struct weir_client *c,
		      size_t n)
{
	struct weir_block *head = c->head;

	if (!c->is_answered && weir_end_is_stream(&c->up->end) &&
	    c->body_kept == c->body_sent && w->blocks.size - head->end >= n) {
		memcpy(head->data + head->end, c->in->data + c->in->start, n);
		head->end += (uint32_t)n;
		c->head_sent += (uint32_t)n;
		c->body_kept += (uint32_t)n;
	}
}

static void sent_upstream(const struct weir_worker *w, struct weir_client *c,
			  size_t n)
{
	size_t of_head = c->head->end - c->head_sent;

	weir_count(&c->up->stat->tx_bytes, n);
	if (of_head > n) {
		of_head = n;
	}
	c->head_sent += (uint32_t)of_head;
	n -= of_head;
	if (n) {
		keep_body(w, c, n);
		c->in->start += (uint32_t)n;
		c->ready -= (uint32_t)n;
		c->body_sent += n;
	}
}

/* Head and waiting body bytes to the upstream.  1: sent something; 0: must
 * wait, or it takes no more. */
static int push_request(const struct weir_worker *w, struct weir_client *c)
{
	bool is_again = c->request_flags & WEIR_HEAD_IDEMPOTENT && !c->ready &&
			!c->body_sent;
	struct iovec iov[2];
	uint32_t n_iov = 0;
	ssize_t n;

	if (!c->up->end.is_writable) {
		return 0;
	}
	if (c->head->end > c->head_sent) {
		iov[n_iov++] = (struct iovec){
			.iov_base = c->head->data + c->head_sent,
			.iov_len = c->head->end - c->head_sent};
	}
	if (c->ready) {
		iov[n_iov++] = (struct iovec){.iov_base = c->in->data +
							  c->in->start,
					      .iov_len = c->ready};
	}
	/* What is not sent twice must not fail unseen. */
	n = weir_end_send(&c->up->end, iov, n_iov,
			  is_again ? WEIR_SEND_LATER : 0);
	if (n == -EAGAIN) {
		return 0;
	}
	if (n < 0) {
		/* It may have answered before it closed: read on. */
		c->is_send_broken = true;
		c->up_closing = true;
		c->up->end.is_readable = true;
		return 0;
	}
	sent_upstream(w, c, (size_t)n);
	return 1;
}

static enum weir_step refuse_body(struct weir_worker *w, struct weir_client *c,
				  int error)
{
	bool is_large = error == -E2BIG;

	c->wants_close = true;
	c->up_closing = true;
	return weir_answer(w, c, is_large ? 431 : 400,
			   is_large ? WEIR_PROXY_HEAD_TOO_LARGE
				    : WEIR_PROXY_BAD_REQUEST,
			   weir_body_error_text(error));
}

/* The request's direction.  WAIT: nothing more to do for now; AGAIN: there may
 * be more, but the response has its turn, too. */
static enum weir_step send_request(struct weir_worker *w, struct weir_client *c)
{
	for (int i = 0; i < SEND_ROUNDS; i++) {
		int r = weir_client_scan_body(c);
		ssize_t n;

		if (r < 0) {
			return refuse_body(w, c, r);
		}
		if (weir_body_is_too_long(w, c->body_sent + c->ready)) {
			c->wants_close = true;
			c->up_closing = true;
			return weir_answer(w, c, 413, WEIR_PROXY_BODY_TOO_LARGE,
					   "request body too large");
		}
		if (c->head->end > c->head_sent || c->ready) {
			if (!push_request(w, c)) {
				return WEIR_STEP_WAIT;
			}
			continue;
		}
		if (c->request_body.is_done) {
			c->is_sent = true;
			put_empty(w, &c->in);
			return WEIR_STEP_WAIT;
		}
		if (!c->end.is_readable) {
			put_empty(w, &c->in);
			return WEIR_STEP_WAIT;
		}
		if (!c->in) {
			c->in = weir_worker_block(w);
		}
		if (!c->in) {
			c->wants_close = true;
			return weir_answer(w, c, 503, WEIR_PROXY_OVERLOAD,
					   "out of buffers");
		}
		n = weir_end_fill(&c->end, c->in, w->blocks.size);
		if (n == -EAGAIN) {
			put_empty(w, &c->in);
			return WEIR_STEP_WAIT;
		}
		if (n <= 0) {
			return client_gone(w, c, "the request broke off");
		}
	}
	return WEIR_STEP_AGAIN;
}

/* The upstream ended or broke before a byte of its response. */
static enum weir_step no_response(struct weir_worker *w, struct weir_client *c)
{
	bool is_safe = c->request_flags & WEIR_HEAD_IDEMPOTENT ||
		       c->head_sent == 0;
	bool is_stale = c->up->is_reused && !c->has_retried;
	uint64_t kept = weir_h2_has_ended(c->up) ? c->body_kept : 0;

	if (weir_h2_is_unprocessed(c->up)) {
		is_safe = true;
		is_stale = !c->has_retried;
		kept = c->body_kept;
	}
	/* RFC 9110 9.2.2: only what may be done twice is sent twice; a pooled
	 * connection may have ended while the request was on its way. */
	if (is_stale && is_safe && c->body_sent == kept) {
		weir_count_reason(&w->counters, WEIR_PROXY_RETRIED);
		weir_upstream_release(w, c, false);
		c->has_retried = true;
		c->head_sent = 0;
		c->is_sent = false;
		c->is_send_broken = false;
		c->up_closing = false;
		return weir_exchange_connect(w, c);
	}
	return gateway_error(w, c, "the backend closed without a response");
}

/* No more bytes from the upstream; is_error: it broke off. */
static enum weir_step upstream_ended(struct weir_worker *w,
				     struct weir_client *c, bool is_error)
{
	c->up_closing = true;
	if (!c->is_answered) {
		if (!weir_block_len(c->up->in)) {
			return no_response(w, c);
		}
		return gateway_error(w, c, "the backend broke off its head");
	}
	if (c->response_body.framing == WEIR_FRAMING_CLOSE && !is_error) {
		c->response_body.is_done = true;
		return WEIR_STEP_AGAIN;
	}
	/* The client must see that this is not all. */
	weir_access_count(w, c, WEIR_PROXY_BAD_RESPONSE,
			  "the response broke off");
	weir_client_close(w, c, true);
	return WEIR_STEP_WAIT;
}

static int scan_response_body(struct weir_client *c)
{
	struct weir_block *in = c->up->in;
	uint32_t at = in->start + c->up->ready;
	size_t used;
	size_t kept;
	int r;

	r = weir_body_scan(&c->response_body, in->data + at, in->end - at,
			   &used, &kept);
	if (r < 0) {
		return r;
	}
	if (kept < used) {
		memmove(in->data + at + kept, in->data + at + used,
			in->end - at - used);
		in->end -= (uint32_t)(used - kept);
	}
	c->up->ready += (uint32_t)kept;
	return 0;
}

/* Writes a response head into c->out.  0, -ENOMEM: there is no block, or
 * -ENOBUFS: it does not fit. */
static int put_response(struct weir_worker *w, struct weir_client *c,
			const struct weir_http1_head *h, uint8_t framing)
{
	struct weir_rewrite rw = {.plan = c->plan->ref->view.rules,
				  .frontend = c->frontend,
				  .rule = c->has_filters ? c->rule : NULL,
				  .ref = c->has_filters ? c->ref : NULL};
	struct weir_str connection = WEIR_STR_NULL;
	struct weir_out o;

	if (h->status == 101) {
		connection = WEIR_STR("upgrade");
	} else if (h->status >= 200 && c->wants_close) {
		connection = WEIR_STR("close");
	} else if (h->status >= 200 && c->is_http10) {
		connection = WEIR_STR("keep-alive");
	}
	if (!c->out) {
		c->out = weir_worker_block(w);
	}
	if (!c->out) {
		return -ENOMEM;
	}
	if (!weir_block_len(c->out)) {
		c->out->start = 0;
		c->out->end = 0;
	}
	o = (struct weir_out){.p = c->out->data + c->out->end,
			      .end = c->out->data + w->blocks.size};
	weir_rewrite_response(&rw, h, weir_worker_date(w), connection, framing,
			      &o);
	if (o.is_full) {
		return -ENOBUFS;
	}
	c->out->end = (uint32_t)(o.p - c->out->data);
	return 0;
}

/* What follows the head, and what the client is told about it. */
static uint8_t begin_response_body(const struct weir_worker *w,
				   struct weir_client *c,
				   const struct weir_http1_head *h)
{
	uint8_t framing = h->framing;

	if (h->status == 204 || h->status == 304 ||
	    c->request_flags & WEIR_HEAD_IS_HEAD) {
		weir_body_init(&c->response_body, WEIR_FRAMING_NONE, 0);
		if (h->status == 204 || framing == WEIR_FRAMING_CLOSE) {
			framing = WEIR_FRAMING_NONE;
		}
	} else {
		weir_body_init(&c->response_body, framing, h->length);
		c->response_body.no_trailers = h->flags & WEIR_HEAD_NO_TRAILERS;
	}
	if (c->is_http10 && framing == WEIR_FRAMING_CHUNKED) {
		c->response_body.wants_data = true;
		framing = WEIR_FRAMING_CLOSE;
		c->wants_close = true;
	}
	/* An early response: whether the client still sends the rest of its
	 * request, or (Expect) never, is unknown (RFC 9110 10.1.1). */
	if (c->response_body.framing == WEIR_FRAMING_CLOSE || w->is_draining ||
	    !c->request_body.is_done) {
		c->wants_close = true;
	}
	if (h->flags & WEIR_HEAD_CLOSE) {
		c->up_closing = true;
	}
	return framing;
}

static enum weir_step take_response(struct weir_worker *w,
				    struct weir_client *c,
				    const struct weir_http1_head *h,
				    size_t size)
{
	struct weir_upstream *up = c->up;
	uint8_t framing = WEIR_FRAMING_NONE;
	int r = 0;

	if (h->status == 101 && !(c->request_flags & WEIR_HEAD_UPGRADE)) {
		return gateway_error(w, c, "the backend upgraded unasked");
	}
	if (h->status == 101 && !(h->flags & WEIR_HEAD_UPGRADE)) {
		return gateway_error(w, c, "the backend upgraded to nothing");
	}
	/* The rest of the head would go into the tunnel, or be lost. */
	if (h->status == 101 && !c->is_sent) {
		return gateway_error(w, c,
				     "the backend upgraded before its turn");
	}
	if (h->status >= 200) {
		framing = begin_response_body(w, c, h);
	}
	/* An HTTP/1.0 client knows no interim responses (RFC 9110 15.2). */
	if (h->status >= 200 || h->status == 101 || !c->is_http10) {
		r = put_response(w, c, h, framing);
	}
	if (r == -ENOMEM) {
		return weir_answer(w, c, 503, WEIR_PROXY_OVERLOAD,
				   "out of buffers");
	}
	if (r < 0) {
		return gateway_error(w, c, "the backend's head is too large");
	}
	up->in->start += (uint32_t)size;
	up->head_scan = 0;
	if (h->status < 200 && h->status != 101) {
		/* Not stale then: if it ends now, it is not asked again. */
		up->is_reused = false;
		if (h->status == 100) {
			c->request_flags &= ~WEIR_HEAD_CONTINUE;
		}
		return WEIR_STEP_AGAIN;
	}
	c->is_answered = true;
	c->status = h->status;
	if (c->access) {
		c->access->response_us = w->now_us;
	}
	c->backend_at = h->status == 101 ? 0 : c->backend_at;
	if (c->is_sent) {
		weir_block_put(&w->blocks, &c->head);
	}
	if (h->status == 101) {
		c->request_at = 0;
		c->phase = WEIR_PHASE_TUNNEL;
		return WEIR_STEP_AGAIN;
	}
	r = scan_response_body(c);
	if (r < 0) {
		return gateway_error(w, c, weir_body_error_text(r));
	}
	up->is_bulk = up->ready >= SPLICE_MIN ||
		      weir_body_opaque(&c->response_body) >= SPLICE_MIN;
	return WEIR_STEP_AGAIN;
}

/* WAIT: more bytes are needed. */
static enum weir_step read_head(struct weir_worker *w, struct weir_client *c)
{
	struct weir_http1_head h = {.fields = w->fields,
				    .ids = w->ids,
				    .max_fields = w->limits->max_headers};
	struct weir_upstream *up = c->up;
	const char *p = up->in->data + up->in->start;
	uint32_t n = weir_block_len(up->in);
	enum weir_http1_error e;
	size_t size;

	/* Most likely the last head: they are counted at the end. */
	__builtin_prefetch(weir_rulestat(&w->counters, c->rule_stat), 1);
	__builtin_prefetch(weir_refstat_of(&w->counters, c->ref_stat), 1);
	e = weir_http1_find_end(p, n, &up->head_scan, &size);
	if (!e && size == 0 && n < w->limits->max_head_bytes) {
		return WEIR_STEP_WAIT;
	}
	if (!e && (size == 0 || size > w->limits->max_head_bytes)) {
		e = WEIR_HTTP1_HEAD_LARGE;
	}
	if (!e) {
		e = weir_http1_parse_response(p, size, &h);
	}
	if (e) {
		c->up_closing = true;
		return gateway_error(w, c, weir_http1_error_text(e));
	}
	return take_response(w, c, &h, size);
}

static void join_small_body(const struct weir_worker *w, struct weir_client *c)
{
	struct weir_block *in = c->up->in;
	uint32_t n = c->up->ready;

	if (weir_block_len(c->out) && n && n <= JOIN_MAX &&
	    w->blocks.size - c->out->end >= n) {
		memcpy(c->out->data + c->out->end, in->data + in->start, n);
		c->out->end += n;
		in->start += n;
		c->up->ready = 0;
	}
}

/* Nothing but the end of the connection follows what is sent now, and takes it
 * along in one segment. */
static bool is_last(const struct weir_client *c)
{
	return c->wants_close && c->is_answered && c->response_body.is_done;
}

static int send_flags(const struct weir_worker *w, const struct weir_client *c)
{
	if (c->pipe || is_last(c)) {
		return MSG_MORE;
	}
	return !c->wants_close && !w->is_draining && c->request_body.is_done &&
			       c->is_answered && c->response_body.is_done
		       ? WEIR_SEND_LATER
		       : 0;
}

/* Heads of ours, body bytes that were looked at, then what is in the pipe, to
 * the client.  1: sent; 0: wait. */
static int push_response(struct weir_worker *w, struct weir_client *c)
{
	struct weir_block *in = c->up->in;
	struct iovec iov[2];
	uint32_t n_iov = 0;
	size_t of_out;
	ssize_t n;

	if (!c->end.is_writable) {
		return 0;
	}
	join_small_body(w, c);
	of_out = weir_block_len(c->out);
	if (of_out) {
		iov[n_iov++] = (struct iovec){.iov_base = c->out->data +
							  c->out->start,
					      .iov_len = of_out};
	}
	if (c->up->ready) {
		iov[n_iov++] = (struct iovec){.iov_base = in->data + in->start,
					      .iov_len = c->up->ready};
	}
	if (n_iov) {
		n = weir_end_send(&c->end, iov, n_iov, send_flags(w, c));
	} else {
		n = weir_pipe_drain(c->pipe, &c->end);
	}
	if (n == -EAGAIN) {
		return 0;
	}
	if (n < 0) {
		(void)client_gone(w, c, "the client takes no more");
		return 0;
	}
	if (!n_iov) {
		if (c->pipe->n == 0) {
			weir_pipe_put(&w->pipes, &c->pipe);
		}
		return 1;
	}
	if (of_out > (size_t)n) {
		of_out = (size_t)n;
	}
	if (of_out) {
		c->out->start += (uint32_t)of_out;
		put_empty(w, &c->out);
	}
	if ((size_t)n > of_out) {
		in->start += (uint32_t)((size_t)n - of_out);
		c->up->ready -= (uint32_t)((size_t)n - of_out);
	}
	return 1;
}

/* Nothing may follow a response: it would be taken for the next one. */
static bool is_clean(struct weir_upstream *up)
{
	if (weir_block_len(up->in) || up->end.is_hup || up->end.is_broken) {
		return false;
	}
	if (!up->end.is_readable) {
		return true;
	}
	/* The last read took just what was wanted. */
	if (!weir_end_is_quiet(&up->end)) {
		return false;
	}
	up->end.is_readable = false;
	return weir_end_is_empty(&up->end) == -EAGAIN;
}

static enum weir_step finish(struct weir_worker *w, struct weir_client *c)
{
	struct weir_upstream *up = c->up;
	bool is_reusable = c->is_sent && !c->up_closing && is_clean(up);

	weir_upstream_release(w, c, is_reusable);
	if (!c->request_body.is_done) {
		/* An early response: the rest of the request has no taker. */
		c->wants_close = true;
	}
	if (c->in) {
		c->in->start += c->ready;
	}
	c->ready = 0;
	return weir_client_done(w, c);
}

/* Bytes that are here but not looked at yet.  WAIT: more are needed. */
static enum weir_step digest(struct weir_worker *w, struct weir_client *c)
{
	struct weir_upstream *up = c->up;
	int r;

	if (!weir_block_len(up->in)) {
		return WEIR_STEP_WAIT;
	}
	if (!c->is_answered) {
		return weir_block_len(up->in) > up->head_scan ? read_head(w, c)
							      : WEIR_STEP_WAIT;
	}
	r = scan_response_body(c);
	if (r < 0) {
		return gateway_error(w, c, weir_body_error_text(r));
	}
	return up->ready || c->response_body.is_done ? WEIR_STEP_AGAIN
						     : WEIR_STEP_WAIT;
}

static enum weir_step receive(struct weir_worker *w, struct weir_client *c)
{
	struct weir_upstream *up = c->up;
	uint32_t room = w->blocks.size;
	ssize_t n;

	if (!up->in) {
		up->in = weir_worker_block(w);
	}
	if (!up->in) {
		return weir_answer(w, c, 503, WEIR_PROXY_OVERLOAD,
				   "out of buffers");
	}
	if (up->is_bulk && !c->is_answered && room - up->in->end > BULK_READ) {
		room = up->in->end + BULK_READ;
	}
	n = weir_end_fill(&up->end, up->in, room);
	if (n > 0) {
		weir_count(&up->stat->rx_bytes, (uint64_t)n);
		return WEIR_STEP_AGAIN;
	}
	if (n == -EAGAIN) {
		put_empty(w, &up->in);
		return WEIR_STEP_WAIT;
	}
	if (n == -ENOBUFS) {
		return gateway_error(w, c, "the backend's head is too large");
	}
	return upstream_ended(w, c, n < 0);
}

/* Body bytes that nobody looks at into a pipe.  AGAIN: the response ended or
 * broke off. */
static enum weir_step splice_body(struct weir_worker *w, struct weir_client *c)
{
	struct weir_upstream *up = c->up;
	uint64_t opaque = weir_body_opaque(&c->response_body);
	ssize_t n;

	if (c->pipe || opaque < SPLICE_MIN || !up->end.is_readable ||
	    !weir_end_is_bare(&up->end) || c->end.layer || !c->is_answered ||
	    !c->end.is_writable || weir_block_len(up->in) != up->ready) {
		return WEIR_STEP_WAIT;
	}
	c->pipe = weir_pipe_get(&w->pipes);
	if (!c->pipe) {
		return WEIR_STEP_WAIT;
	}
	n = weir_pipe_fill(c->pipe, &up->end, opaque);
	if (n > 0) {
		weir_count(&up->stat->rx_bytes, (uint64_t)n);
		weir_body_pass(&c->response_body, (uint64_t)n);
		return WEIR_STEP_WAIT;
	}
	weir_pipe_put(&w->pipes, &c->pipe);
	return n == -EAGAIN ? WEIR_STEP_WAIT : upstream_ended(w, c, n < 0);
}

/* The response's direction. */
static enum weir_step relay_response(struct weir_worker *w,
				     struct weir_client *c)
{
	for (int i = 0; i < RECEIVE_ROUNDS; i++) {
		(void)splice_body(w, c);
		if (c->phase != WEIR_PHASE_EXCHANGE) {
			return WEIR_STEP_WAIT;
		}
		if (weir_block_len(c->out) || c->up->ready || c->pipe) {
			if (!push_response(w, c)) {
				return WEIR_STEP_WAIT;
			}
			continue;
		}
		if (c->is_answered && c->response_body.is_done) {
			return finish(w, c);
		}
		if (digest(w, c) == WEIR_STEP_WAIT) {
			if (c->phase != WEIR_PHASE_EXCHANGE) {
				return WEIR_STEP_WAIT;
			}
			if (!c->up->end.is_readable) {
				put_empty(w, &c->up->in);
				return WEIR_STEP_WAIT;
			}
			if (receive(w, c) == WEIR_STEP_WAIT) {
				return WEIR_STEP_WAIT;
			}
		}
		if (c->phase != WEIR_PHASE_EXCHANGE || !c->up ||
		    c->up->is_connecting || !c->is_sent) {
			return WEIR_STEP_AGAIN;
		}
	}
	return WEIR_STEP_AGAIN;
}

enum weir_step weir_exchange_step(struct weir_worker *w, struct weir_client *c)
{
	enum weir_step sent = WEIR_STEP_WAIT;
	enum weir_step s;

	/* Who waits for long is gone when it says that it has no more to say,
	 * as it is for Go's servers (Knative's activator): its place is needed.
	 */
	if (c->end.is_broken || (c->hold && c->end.is_hup)) {
		return client_gone(w, c,
				   c->hold ? "gone before there was an endpoint"
					   : "reset by the client");
	}
	if (!c->up) { /* held */
		s = weir_exchange_connect(w, c);
		if (s == WEIR_STEP_WAIT || c->phase != WEIR_PHASE_EXCHANGE) {
			return s;
		}
	}
	if (c->up->is_connecting) {
		s = weir_exchange_connected(w, c);
		if (s == WEIR_STEP_WAIT || c->phase != WEIR_PHASE_EXCHANGE ||
		    c->up->is_connecting) {
			return s;
		}
	}
	if (!c->is_sent && !c->is_send_broken) {
		sent = send_request(w, c);
		if (c->phase != WEIR_PHASE_EXCHANGE) {
			return sent;
		}
	}
	s = relay_response(w, c);
	return c->phase == WEIR_PHASE_EXCHANGE && sent == WEIR_STEP_AGAIN ? sent
									  : s;
}
