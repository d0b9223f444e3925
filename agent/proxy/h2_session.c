/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 connections: the bytes to and from the socket, and the beginning and
 * end of a session.  What the streams of a connection produce in one turn
 * leaves together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "h2_conn.h"
#include "worker.h"

#define READ_ROUNDS 8
#define FLUSH_ROUNDS 16
#define GOAWAY_MS 500 /* from the notice to the last stream that counts */
#define NV_COST 16    /* bytes of HPACK beside a field's line, at most */
#define NV_SPARE 600  /* fields that filters and the proxy may add */

_Static_assert(WEIR_CHUNK_LINES_MAX <= NV_SPARE, "all trailers of a body");

void weir_h2_mark(struct weir_h2 *h2)
{
	struct weir_h2_worker *shared = h2->w->h2;

	if (!h2->is_dirty) {
		h2->is_dirty = true;
		h2->next_dirty = shared->dirty;
		shared->dirty = h2;
	}
}

void weir_h2_activate(struct weir_h2_stream *s)
{
	if (!s->is_active && s->h2) {
		s->is_active = true;
		s->next_active = s->h2->active;
		s->h2->active = s;
		weir_h2_mark(s->h2);
	}
}

void weir_h2_reset_stream(struct weir_h2_stream *s, uint32_t code)
{
	if (s->h2 && s->id >= 0 && !s->is_closed) {
		s->is_ours = true;
		(void)nghttp2_submit_rst_stream(s->h2->session,
						NGHTTP2_FLAG_NONE, s->id, code);
		/* No DATA comes before that, and it may have to wait. */
		weir_block_put(&s->w->blocks, &s->tx);
		s->trailer_n = 0;
		weir_h2_mark(s->h2);
	}
}

void weir_h2_abuse(struct weir_h2 *h2, enum weir_proxy_reason reason)
{
	if (!h2->is_abusive) {
		h2->is_abusive = true;
		weir_h2_fields_drop(h2);
		weir_count_reason(&h2->w->counters, reason);
		(void)nghttp2_session_terminate_session(
			h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
		weir_h2_mark(h2);
	}
}

bool weir_h2_is_over(const struct weir_h2 *h2, struct weir_h2_rate *rate,
		     uint32_t max)
{
	uint64_t now = h2->w->now_ms;

	if (now - rate->since_ms >= WEIR_H2_RATE_MS) {
		rate->since_ms = now;
		rate->n = 0;
	}
	return ++rate->n > max;
}

int weir_h2_init(struct weir_worker *w)
{
	struct weir_h2_worker *shared = calloc(1, sizeof(*shared));

	w->h2 = shared;
	if (!shared) {
		return -ENOMEM;
	}
	shared->max_nv = w->limits->max_headers + NV_SPARE;
	shared->nv = calloc(shared->max_nv, sizeof(*shared->nv));
	if (!shared->nv || nghttp2_session_callbacks_new(&shared->callbacks) ||
	    nghttp2_option_new(&shared->option)) {
		return -ENOMEM;
	}
	weir_h2_set_callbacks(shared->callbacks);
	nghttp2_option_set_no_auto_window_update(shared->option, 1);
	nghttp2_option_set_max_outbound_ack(shared->option,
					    w->limits->h2_controls);
	/* A head that does not pass would be left out, and what follows it wait
	 * for ever: no less than a buffer of lines, as
	 * nghttp2_hd_deflate_bound() reckons. */
	nghttp2_option_set_max_send_header_block_length(
		shared->option,
		w->limits->buffer_bytes + (size_t)NV_COST * shared->max_nv);
	return 0;
}

void weir_h2_fini(struct weir_worker *w)
{
	struct weir_h2_worker *shared = w->h2;

	if (!shared) {
		return;
	}
	while (shared->free) {
		struct weir_h2_stream *s = shared->free;

		shared->free = s->next;
		weir_free_ptr(&s);
	}
	nghttp2_session_callbacks_del(shared->callbacks);
	nghttp2_option_del(shared->option);
	weir_free_ptr(&shared->nv);
	weir_free_ptr(&w->h2);
}

/* ------------------------------------------------------------ the session */

static int settings(struct weir_h2 *h2)
{
	const struct weir_proxy_limits *l = h2->w->limits;
	bool is_client = h2->upstream;
	nghttp2_settings_entry s[4] = {
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, l->h2_window_bytes},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, l->max_head_bytes},
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, l->h2_streams},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};
	/* One slow reader must not keep an endpoint from all others. */
	uint64_t window = (uint64_t)l->h2_window_bytes *
			  (is_client ? l->h2_streams : 4);
	int r;

	if (is_client) {
		s[2] = s[3];
	}
	r = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, s, 3);
	if (r == 0) {
		r = nghttp2_session_set_local_window_size(
			h2->session, NGHTTP2_FLAG_NONE, 0,
			window < INT32_MAX ? (int32_t)window : INT32_MAX);
	}
	return r;
}

/* For one of the two.  NULL without memory. */
static struct weir_h2 *new_h2(struct weir_worker *w, struct weir_client *c,
			      struct weir_upstream *u)
{
	struct weir_h2_worker *shared = w->h2;
	struct weir_h2 *h2 = calloc(1, sizeof(*h2));
	int r;

	if (!h2) {
		return NULL;
	}
	h2->w = w;
	h2->client = c;
	h2->upstream = u;
	h2->end = c ? &c->end : &u->end;
	r = c ? nghttp2_session_server_new2(&h2->session, shared->callbacks, h2,
					    shared->option)
	      : nghttp2_session_client_new2(&h2->session, shared->callbacks, h2,
					    shared->option);
	if (r == 0) {
		r = settings(h2);
	}
	if (r < 0) {
		nghttp2_session_del(h2->session);
		weir_free_ptr(&h2);
		return NULL;
	}
	weir_h2_mark(h2);
	return h2;
}

void weir_h2_free(struct weir_worker *w, struct weir_h2 **h2p)
{
	struct weir_h2 *h2 = TAKE_PTR(*h2p);
	struct weir_h2 **pp = &w->h2->dirty;

	while (*pp && *pp != h2) {
		pp = &(*pp)->next_dirty;
	}
	if (*pp) {
		*pp = h2->next_dirty;
	}
	h2->is_dirty = true; /* not again */
	while (h2->streams) {
		struct weir_end *end = h2->streams->end;

		weir_h2_stream_orphan(h2->streams);
		if (end && end->kind == WEIR_END_CLIENT) {
			weir_worker_queue(w, (struct weir_client *)(void *)end);
		} else if (end) {
			weir_worker_queue(
				w,
				((struct weir_upstream *)(void *)end)->client);
		}
	}
	weir_h2_fields_drop(h2);
	weir_block_put(&w->blocks, &h2->out);
	nghttp2_session_del(h2->session);
	weir_free_ptr(&h2);
}

/* Frames of ours that nghttp2 keeps because the client takes none: what it
 * answers by itself (a stream too many, before our SETTINGS are acknowledged)
 * is not told to anybody here. */
bool weir_h2_is_clogged(const struct weir_h2 *h2)
{
	const struct weir_proxy_limits *l = h2->w->limits;

	return h2->client &&
	       nghttp2_session_get_outbound_queue_size(h2->session) >
		       (size_t)l->h2_controls + (size_t)l->h2_streams * 8;
}

/* n bytes of the peer. */
static void feed(struct weir_h2 *h2, const char *p, size_t n)
{
	ssize_t r;

	/* Where it failed the rest of what had been read was lost, and with it
	 * parts of bodies: what follows is not to end them. */
	if (h2->is_dead) {
		return;
	}
	r = nghttp2_session_mem_recv(h2->session, (const uint8_t *)p, n);
	weir_h2_mark(h2);
	if (r == NGHTTP2_ERR_NOMEM || r == NGHTTP2_ERR_CALLBACK_FAILURE) {
		weir_count_reason(&h2->w->counters, WEIR_PROXY_OVERLOAD);
		h2->is_dead = true;
	} else if (r == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
		(void)nghttp2_session_terminate_session(h2->session,
							NGHTTP2_PROTOCOL_ERROR);
	} else if (r < 0) {
		weir_h2_abuse(h2, WEIR_PROXY_H2_FLOOD);
	} else if (weir_h2_is_clogged(h2)) {
		/* A GOAWAY could not leave, either. */
		weir_count_reason(&h2->w->counters, WEIR_PROXY_H2_FLOOD);
		h2->is_dead = true;
	}
}

static void drive(struct weir_worker *w, struct weir_h2_stream *s)
{
	struct weir_end *end = s->end;

	if (!end) {
		return;
	}
	if (end->kind == WEIR_END_CLIENT) {
		weir_client_drive(w, (struct weir_client *)(void *)end);
	} else {
		weir_client_drive(
			w, ((struct weir_upstream *)(void *)end)->client);
	}
}

static void drive_active(struct weir_h2 *h2)
{
	struct weir_h2_stream *s;

	while ((s = h2->active)) {
		h2->active = s->next_active;
		s->is_active = false;
		drive(h2->w, s);
	}
}

/* What the socket has, to nghttp2.  False: it has ended. */
static bool receive(struct weir_h2 *h2)
{
	struct weir_worker *w = h2->w;
	struct weir_block *b;
	bool is_open = true;

	if (!h2->end->is_readable) {
		return true;
	}
	b = weir_block_get_last(&w->blocks);
	if (!b) {
		weir_count_reason(&w->counters, WEIR_PROXY_OVERLOAD);
		return false;
	}
	for (int i = 0; i < READ_ROUNDS && h2->end->is_readable; i++) {
		ssize_t n = weir_end_recv(h2->end, b->data, w->blocks.size);

		if (n > 0) {
			feed(h2, b->data, (size_t)n);
			continue;
		}
		is_open = n == -EAGAIN;
		break;
	}
	/* What a client sends is no progress where it takes nothing. */
	if (h2->client && weir_block_len(h2->out) && !h2->end->is_writable) {
		h2->end->has_moved = false;
	}
	weir_block_put(&w->blocks, &b);
	return is_open;
}

/* Frames behind each other into one block.  False: there are none. */
static bool gather(struct weir_h2 *h2)
{
	struct weir_worker *w = h2->w;
	struct weir_block *b;

	if (!h2->out && !h2->rest_n &&
	    !nghttp2_session_want_write(h2->session)) {
		return false;
	}
	if (!h2->out) {
		h2->out = weir_block_get_last(&w->blocks);
	}
	b = h2->out;
	if (!b) {
		weir_count_reason(&w->counters, WEIR_PROXY_OVERLOAD);
		h2->is_dead = true;
		return false;
	}
	if (b->start == b->end) {
		b->start = 0;
		b->end = 0;
	}
	while (b->end < w->blocks.size) {
		size_t room = w->blocks.size - b->end;

		if (!h2->rest_n) {
			ssize_t n = nghttp2_session_mem_send(h2->session,
							     &h2->rest);

			if (n == NGHTTP2_ERR_NOMEM) {
				weir_count_reason(&w->counters,
						  WEIR_PROXY_OVERLOAD);
			}
			if (n <= 0) {
				h2->is_dead |= n < 0;
				break;
			}
			h2->rest_n = (size_t)n;
		}
		room = room < h2->rest_n ? room : h2->rest_n;
		memcpy(b->data + b->end, h2->rest, room);
		b->end += (uint32_t)room;
		h2->rest += room;
		h2->rest_n -= room;
	}
	return weir_block_len(b);
}

/* True: the socket took all there was. */
static bool transmit(struct weir_h2 *h2)
{
	struct weir_worker *w = h2->w;

	while (h2->end->is_writable && gather(h2)) {
		struct iovec iov = {.iov_base = h2->out->data + h2->out->start,
				    .iov_len = weir_block_len(h2->out)};
		ssize_t n = weir_end_send(h2->end, &iov, 1, 0);

		if (n < 0) {
			h2->is_dead |= n != -EAGAIN;
			return false;
		}
		h2->out->start += (uint32_t)n;
		/* A client may be silent for as long as it is sent to. */
		if (h2->client) {
			h2->client->last_ms = w->now_ms;
		}
	}
	if (weir_block_len(h2->out)) {
		return false;
	}
	weir_block_put(&w->blocks, &h2->out);
	return true;
}

/* Both wishes gone: nghttp2 has said or heard good-bye, and all is sent. */
static bool is_over(const struct weir_h2 *h2)
{
	return h2->is_dead || h2->end->is_broken ||
	       (!weir_block_len(h2->out) && !h2->rest_n &&
		!nghttp2_session_want_write(h2->session) &&
		(!nghttp2_session_want_read(h2->session) ||
		 (h2->is_last && !h2->n_streams)));
}

/* False: not all of it got its turn. */
static bool flush_one(struct weir_h2 *h2)
{
	for (int i = 0; i < FLUSH_ROUNDS; i++) {
		bool is_out = transmit(h2);

		if (h2->is_dead || !h2->active) {
			return true;
		}
		drive_active(h2);
		if (!is_out && !h2->active) {
			return true;
		}
	}
	return false;
}

/* The connection is over for its carrier. */
static void close_carrier(struct weir_h2 *h2)
{
	if (h2->client) {
		weir_client_close(h2->w, h2->client, false);
	} else {
		weir_upstream_close_carrier(h2->w, h2->upstream);
	}
}

/* False: it has ended. */
static bool receive_left(struct weir_h2 *h2)
{
	bool is_open = receive(h2);

	h2->has_left = h2->end->is_readable;
	return is_open;
}

bool weir_h2_flush(struct weir_worker *w)
{
	struct weir_h2_worker *shared = w->h2;
	struct weir_h2 *later = NULL;
	struct weir_h2 *h2;

	while ((h2 = shared->dirty)) {
		bool is_done;

		/* It stays marked meanwhile: what its own streams produce is
		 * sent here. */
		shared->dirty = h2->next_dirty;
		h2->next_dirty = NULL;
		if (h2->has_left && !receive_left(h2)) {
			close_carrier(h2);
			continue;
		}
		is_done = flush_one(h2) && !h2->has_left;
		h2->is_dirty = false;
		if (is_over(h2)) {
			close_carrier(h2);
		} else if (!is_done) {
			h2->is_dirty = true;
			h2->next_dirty = later;
			later = h2;
		}
	}
	shared->dirty = later;
	return !later;
}

/* ------------------------------------------------------------ from clients */

enum weir_step weir_h2_accept(struct weir_worker *w, struct weir_client *c)
{
	c->h2 = new_h2(w, c, NULL);
	if (!c->h2) {
		weir_count_reason(&w->counters, WEIR_PROXY_OVERLOAD);
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	c->phase = WEIR_PHASE_H2;
	if (c->in) {
		feed(c->h2, c->in->data + c->in->start, weir_block_len(c->in));
		weir_block_put(&w->blocks, &c->in);
	}
	if (w->is_draining) {
		weir_h2_drain(w, c);
	}
	return WEIR_STEP_AGAIN;
}

/* Answered streams that their peer does not take: a connection that is kept
 * alive otherwise (CVE-2019-9517) would hold them for ever. */
static void sweep(struct weir_h2 *h2)
{
	uint64_t now = h2->w->now_ms;
	uint64_t stall = h2->w->limits->stall_timeout_ms;

	if (!h2->sweep_ms || now < h2->sweep_ms) {
		return;
	}
	h2->sweep_ms = 0;
	for (struct weir_h2_stream *s = h2->streams; s; s = s->next) {
		uint64_t at = s->since_ms + stall;

		if (s->end) {
			continue;
		}
		if (at <= now) {
			weir_h2_reset_stream(s, NGHTTP2_CANCEL);
		} else if (!h2->sweep_ms || at < h2->sweep_ms) {
			h2->sweep_ms = at;
		}
	}
}

static bool is_held_back(const struct weir_h2_stream *s)
{
	return nghttp2_session_get_remote_window_size(s->h2->session) <= 0 ||
	       nghttp2_session_get_stream_remote_window_size(s->h2->session,
							     s->id) <= 0;
}

static const struct weir_h2_stream *stream_below(const struct weir_end *end)
{
	return (const struct weir_h2_stream *)(const void *)end->layer;
}

bool weir_h2_is_held_back(const struct weir_end *end)
{
	const struct weir_h2_stream *s = stream_below(end);

	return s->h2 && is_held_back(s);
}

bool weir_h2_is_shut_out(const struct weir_end *end)
{
	const struct weir_h2_stream *s = stream_below(end);

	return s->h2 &&
	       nghttp2_session_get_local_window_size(s->h2->session) <= 0;
}

void weir_h2_relieve(struct weir_worker *w, struct weir_client *c)
{
	struct weir_h2 *h2 = c->h2;

	if (weir_block_len(h2->out) && !h2->end->is_writable &&
	    c->last_ms + WEIR_SHORT_MS <= w->now_ms) {
		weir_count_reason(&w->counters, WEIR_PROXY_TIMEOUT);
		weir_client_close(w, c, true);
		return;
	}
	for (struct weir_h2_stream *s = h2->streams; s; s = s->next) {
		if (!s->end && s->tx && is_held_back(s) &&
		    s->since_ms + WEIR_SHORT_MS <= w->now_ms) {
			weir_count_reason(&w->counters, WEIR_PROXY_TIMEOUT);
			weir_h2_reset_stream(s, NGHTTP2_CANCEL);
		}
	}
}

enum weir_step weir_h2_step(struct weir_worker *w, struct weir_client *c)
{
	struct weir_h2 *h2 = c->h2;

	sweep(h2);
	if (!receive(h2)) {
		weir_client_close(w, c, false);
		return WEIR_STEP_WAIT;
	}
	drive_active(h2);
	weir_h2_mark(h2);
	return h2->end->is_readable ? WEIR_STEP_AGAIN : WEIR_STEP_WAIT;
}

/* When the header block that is under way must be complete; UINT64_MAX: there
 * is none, or a backend's. */
static uint64_t head_until(const struct weir_h2 *h2)
{
	return h2->fields.block
		       ? h2->fields.begun_ms + h2->w->limits->head_timeout_ms
		       : UINT64_MAX;
}

uint64_t weir_h2_deadline(const struct weir_worker *w,
			  const struct weir_client *c)
{
	const struct weir_h2 *h2 = c->h2;
	uint64_t at = c->last_ms + (h2->n_streams ? w->limits->stall_timeout_ms
						  : w->limits->idle_timeout_ms);
	uint64_t head_at = head_until(h2);

	if (h2->goaway_ms && h2->goaway_ms < at) {
		at = h2->goaway_ms;
	}
	return head_at < at ? head_at : at;
}

/* RFC 9113 6.8: first a notice, so that what is on its way still counts, then
 * the last stream that does. */
void weir_h2_drain(struct weir_worker *w, struct weir_client *c)
{
	struct weir_h2 *h2 = c->h2;

	if (!h2->is_going) {
		h2->is_going = true;
		h2->goaway_ms = w->now_ms + GOAWAY_MS;
		(void)nghttp2_submit_shutdown_notice(h2->session);
		weir_h2_mark(h2);
		weir_due_arm(&w->wheel, &c->due, h2->goaway_ms);
	}
}

static void last_goaway(struct weir_h2 *h2)
{
	h2->goaway_ms = 0;
	h2->is_last = true;
	(void)nghttp2_submit_goaway(
		h2->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(h2->session),
		NGHTTP2_NO_ERROR, NULL, 0);
	weir_h2_mark(h2);
}

/* Until a header block is complete nothing else can come (RFC 9113 4.3), no
 * window either: what has its answer may end, and the connection with it. */
static void head_is_late(struct weir_h2 *h2)
{
	struct weir_h2_stream *s = nghttp2_session_get_stream_user_data(
		h2->session, h2->fields.id);

	weir_count_reason(&h2->w->counters, WEIR_PROXY_HEAD_TIMEOUT);
	weir_h2_fields_drop_of(s);
	weir_h2_reset_stream(s, NGHTTP2_CANCEL);
	h2->is_going = true;
	last_goaway(h2);
}

void weir_h2_expire(struct weir_worker *w, struct weir_client *c)
{
	struct weir_h2 *h2 = c->h2;

	if (head_until(h2) <= w->now_ms) {
		head_is_late(h2);
		weir_due_arm(&w->wheel, &c->due, weir_h2_deadline(w, c));
		return;
	}
	if (h2->goaway_ms && h2->goaway_ms <= w->now_ms) {
		last_goaway(h2);
		weir_due_arm(&w->wheel, &c->due, weir_h2_deadline(w, c));
		return;
	}
	if (!h2->n_streams && !h2->is_last) {
		/* Idle: a last word, and the end behind it, by the next
		 * deadline if the client does not take the word. */
		last_goaway(h2);
		weir_due_arm(&w->wheel, &c->due, w->now_ms + GOAWAY_MS);
		return;
	}
	weir_client_close(w, c, h2->n_streams > 0);
}

/* ------------------------------------------------------------ to endpoints */

int weir_h2_connect(struct weir_worker *w, struct weir_upstream *carrier)
{
	carrier->h2 = new_h2(w, NULL, carrier);
	return carrier->h2 ? 0 : -ENOMEM;
}

int weir_h2_open(struct weir_worker *w, struct weir_upstream *carrier,
		 struct weir_upstream *u)
{
	struct weir_h2_stream *s = weir_h2_stream_new(carrier->h2, &u->end, -1);

	(void)w;
	if (!s) {
		return -ENOMEM;
	}
	s->heard = carrier->end.received;
	u->end.is_writable = !carrier->is_connecting;
	return 0;
}

void weir_h2_carrier_event(struct weir_worker *w, struct weir_upstream *carrier)
{
	struct weir_h2 *h2 = carrier->h2;

	if (!receive(h2)) {
		weir_upstream_close_carrier(w, carrier);
		return;
	}
	/* An event is an edge: what is left must be asked for again. */
	h2->has_left = h2->end->is_readable;
	drive_active(h2);
	weir_h2_mark(h2);
}

bool weir_h2_has_room(const struct weir_upstream *carrier, uint32_t known)
{
	const struct weir_h2 *h2 = carrier->h2;
	uint32_t max = nghttp2_session_get_remote_settings(
		h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (max > h2->w->limits->h2_streams) {
		max = h2->w->limits->h2_streams;
	}
	/* Until its SETTINGS come it is as the last one was: what is refused
	 * for being too many is sent again only once. */
	if (!h2->has_settings && known && max > known) {
		max = known;
	}
	return !h2->is_going && !h2->is_dead && h2->n_streams < max &&
	       nghttp2_session_check_request_allowed(h2->session);
}

void weir_h2_connected(struct weir_upstream *carrier)
{
	for (struct weir_h2_stream *s = carrier->h2->streams; s; s = s->next) {
		if (s->end) {
			s->end->is_writable = true;
			weir_h2_activate(s);
		}
	}
	weir_h2_mark(carrier->h2);
}

void weir_h2_retire(struct weir_upstream *carrier)
{
	carrier->h2->is_going = true;
	carrier->h2->is_last = true;
	weir_h2_mark(carrier->h2);
}

static struct weir_h2_stream *stream_of(const struct weir_upstream *u)
{
	const struct weir_end *end = &u->end;

	return end->layer && end->layer->ops == &weir_h2_stream_ops
		       ? (struct weir_h2_stream *)(void *)end->layer
		       : NULL;
}

void weir_h2_doubt(const struct weir_upstream *u, uint64_t since_ms)
{
	const struct weir_h2_stream *s = stream_of(u);
	struct weir_h2 *h2 = s ? s->h2 : NULL;

	/* One that was not sent yet waits for its connection. */
	if (!h2 || s->id < 0 || h2->end->received != s->heard) {
		return;
	}
	/* A rule's timeout may be shorter than a backend needs at first. */
	if (!h2->doubt_ms || h2->doubt_at != s->heard) {
		h2->doubt_ms = since_ms;
		h2->doubt_at = s->heard;
	}
	if (h2->w->now_ms - h2->doubt_ms >= h2->w->limits->connect_timeout_ms) {
		weir_h2_retire(h2->upstream);
	}
}

bool weir_h2_is_idle(const struct weir_upstream *carrier)
{
	for (const struct weir_h2_stream *s = carrier->h2->streams; s;
	     s = s->next) {
		if (s->end) {
			return false;
		}
	}
	return true;
}

bool weir_h2_has_ended(const struct weir_upstream *u)
{
	const struct weir_h2_stream *s = stream_of(u);

	return s && !s->h2;
}

bool weir_h2_is_unprocessed(const struct weir_upstream *u)
{
	const struct weir_h2_stream *s = stream_of(u);

	return s && s->is_refused;
}
