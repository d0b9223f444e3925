/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream as an end: HTTP/1.1 text towards the machine, frames towards the
 * peer.  What waits is bounded both ways: from the peer by the window, to it by
 * one block, and nghttp2 asks for that only when the peer can take it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "h2_conn.h"
#include "worker.h"

static struct weir_h2_stream *stream_of(struct weir_end *end)
{
	return (struct weir_h2_stream *)(void *)end->layer;
}

struct weir_h2_stream *weir_h2_stream_new(struct weir_h2 *h2,
					  struct weir_end *end, int32_t id)
{
	struct weir_h2_worker *shared = h2->w->h2;
	struct weir_h2_stream *s = shared->free;

	if (s) {
		shared->free = s->next;
		memset(s, 0, sizeof(*s));
	} else {
		s = calloc(1, sizeof(*s));
	}
	if (!s) {
		return NULL;
	}
	s->layer.ops = &weir_h2_stream_ops;
	s->w = h2->w;
	s->h2 = h2;
	s->id = id;
	s->end = end;
	end->layer = &s->layer;
	end->is_writable = true;
	s->next = h2->streams;
	if (s->next) {
		s->next->pprev = &s->next;
	}
	s->pprev = &h2->streams;
	h2->streams = s;
	h2->n_streams++;
	return s;
}

static void drop_rx(struct weir_h2_stream *s)
{
	struct weir_blocks *blocks = &s->w->blocks;

	while (s->rx) {
		struct weir_block *b = s->rx;

		s->rx = b->next;
		weir_block_put(blocks, &b);
	}
	s->rx_last = NULL;
	if (s->rx_n && s->h2) {
		/* The connection's window is for all streams. */
		(void)nghttp2_session_consume(s->h2->session, s->id, s->rx_n);
		weir_h2_mark(s->h2);
	}
	s->rx_n = 0;
}

static void unlink_stream(struct weir_h2_stream *s)
{
	struct weir_h2 *h2 = s->h2;
	struct weir_h2_stream **pp = &h2->active;

	*s->pprev = s->next;
	if (s->next) {
		s->next->pprev = s->pprev;
	}
	h2->n_streams--;
	if (h2->upstream) {
		h2->upstream->idle_ms = s->w->now_ms;
	}
	while (s->is_active && *pp) {
		if (*pp == s) {
			*pp = s->next_active;
			s->is_active = false;
			break;
		}
		pp = &(*pp)->next_active;
	}
	if (s->id >= 0) {
		(void)nghttp2_session_set_stream_user_data(h2->session, s->id,
							   NULL);
	}
	if (!h2->n_streams) {
		weir_h2_mark(h2); /* it may be time to close it */
	}
}

static void free_stream(struct weir_h2_stream *s)
{
	struct weir_worker *w = s->w;

	drop_rx(s);
	weir_block_put(&w->blocks, &s->text);
	weir_block_put(&w->blocks, &s->trailer);
	weir_block_put(&w->blocks, &s->tx);
	if (s->h2) {
		unlink_stream(s);
	}
	s->h2 = NULL;
	s->next = w->h2->free;
	w->h2->free = s;
}

/* The machine is to see that it broke off. */
static void break_end(struct weir_h2_stream *s)
{
	s->is_reset = true;
	s->end->is_broken = true;
	s->end->is_readable = true;
	s->end->is_writable = true;
}

void weir_h2_stream_closed(struct weir_h2_stream *s, uint32_t code)
{
	/* To a client: that it has the whole answer; from an endpoint: that
	 * we have it. */
	bool is_whole = s->h2->client ? s->is_ended : s->rx_eof;

	s->is_closed = true;
	s->is_refused |= code == NGHTTP2_REFUSED_STREAM;
	if (!s->end) {
		free_stream(s);
		return;
	}
	if (!is_whole) {
		break_end(s);
	}
	weir_h2_activate(s);
}

void weir_h2_stream_orphan(struct weir_h2_stream *s)
{
	bool is_whole = s->h2->upstream && s->rx_eof;

	if (!s->end) {
		free_stream(s);
		return;
	}
	/* Of a request whose turn to be written did not come, nghttp2 knows
	 * nothing yet: nor does the endpoint. */
	s->is_refused |= s->h2->upstream && !s->is_closed &&
			 (s->id < 0 || !nghttp2_session_get_stream_user_data(
					       s->h2->session, s->id));
	unlink_stream(s);
	s->h2 = NULL;
	s->is_closed = true;
	if (!is_whole) {
		break_end(s);
	}
}

int weir_h2_stream_data(struct weir_h2_stream *s, const uint8_t *p, size_t n)
{
	struct weir_worker *w = s->w;

	while (n) {
		struct weir_block *b = s->rx_last;
		size_t room = b ? w->blocks.size - b->end : 0;

		if (!room) {
			b = weir_worker_block(w);
			if (!b) {
				return -ENOBUFS;
			}
			if (s->rx_last) {
				s->rx_last->next = b;
			} else {
				s->rx = b;
			}
			s->rx_last = b;
			room = w->blocks.size;
		}
		room = room < n ? room : n;
		memcpy(b->data + b->end, p, room);
		b->end += (uint32_t)room;
		s->rx_n += (uint32_t)room;
		p += room;
		n -= room;
	}
	return 0;
}

/* Up to n bytes of body to p. */
static size_t take_rx(struct weir_h2_stream *s, char *p, size_t n)
{
	struct weir_blocks *blocks = &s->w->blocks;
	size_t taken = 0;

	while (taken < n && s->rx) {
		struct weir_block *b = s->rx;
		size_t k = weir_block_len(b);

		k = k < n - taken ? k : n - taken;
		memcpy(p + taken, b->data + b->start, k);
		taken += k;
		b->start += (uint32_t)k;
		if (b->start < b->end) {
			break;
		}
		s->rx = b->next;
		if (!s->rx) {
			s->rx_last = NULL;
		}
		weir_block_put(blocks, &b);
	}
	s->rx_n -= (uint32_t)taken;
	if (s->h2) {
		(void)nghttp2_session_consume(s->h2->session, s->id, taken);
		weir_h2_mark(s->h2);
	}
	return taken;
}

static size_t take_block(struct weir_h2_stream *s, struct weir_block **block,
			 char *p, size_t n)
{
	struct weir_block *b = *block;
	/* A header block that has come in part is written behind its end. */
	bool is_growing = s->h2 && b && s->h2->fields.block == b;
	size_t k = weir_block_len(b);

	k = k < n ? k : n;
	if (k) {
		memcpy(p, b->data + b->start, k);
		b->start += (uint32_t)k;
	}
	if (b && b->start == b->end && !is_growing) {
		weir_block_put(&s->w->blocks, block);
	}
	return k;
}

static void set_frame(struct weir_h2_stream *s, const char *text)
{
	s->frame_at = 0;
	s->frame_n = (uint8_t)strlen(text);
	memcpy(s->frame, text, s->frame_n);
}

/* The next bytes of the text between body bytes: where a chunk begins, or all
 * of them end.  False: nothing can follow now. */
static bool next_frame(struct weir_h2_stream *s)
{
	char text[WEIR_H2_FRAME_TEXT];

	if (s->rx_n) {
		(void)snprintf(text, sizeof(text), "%s%x\r\n",
			       s->has_chunks ? "\r\n" : "", s->rx_n);
		s->chunk = s->rx_n;
		s->has_chunks = true;
		set_frame(s, text);
		return true;
	}
	if (s->rx_eof && !s->is_read) {
		set_frame(s, s->has_chunks ? "\r\n0\r\n" : "0\r\n");
		s->is_read = true; /* but for this and the trailers */
		return true;
	}
	return false;
}

static size_t take_chunked(struct weir_h2_stream *s, char *p, size_t n)
{
	size_t taken = 0;

	while (taken < n) {
		size_t room = n - taken;

		if (s->frame_at < s->frame_n) {
			size_t k = (size_t)(s->frame_n - s->frame_at);

			k = k < room ? k : room;
			memcpy(p + taken, s->frame + s->frame_at, k);
			s->frame_at += (uint8_t)k;
			taken += k;
		} else if (s->chunk) {
			size_t k = take_rx(s, p + taken,
					   s->chunk < room ? s->chunk : room);

			s->chunk -= (uint32_t)k;
			taken += k;
		} else if (s->is_read && s->trailer) {
			taken += take_block(s, &s->trailer, p + taken, room);
		} else if (s->is_read && s->is_chunked) {
			set_frame(s, "\r\n");
			s->is_chunked = false; /* that was all */
		} else if (s->is_read || !next_frame(s)) {
			break;
		}
	}
	return taken;
}

static size_t take_text(struct weir_h2_stream *s, char *p, size_t n)
{
	size_t taken = take_block(s, &s->text, p, n);

	if (s->text || !s->has_head) {
		return taken;
	}
	if (s->is_chunked || s->has_chunks || s->frame_n) {
		return taken + take_chunked(s, p + taken, n - taken);
	}
	taken += take_rx(s, p + taken, n - taken);
	s->is_read = s->rx_eof && !s->rx_n;
	return taken;
}

static ssize_t stream_recv(struct weir_end *end, char *p, size_t n)
{
	struct weir_h2_stream *s = stream_of(end);
	size_t taken = s->is_reset ? 0 : take_text(s, p, n);

	if (taken) {
		end->has_moved = true;
		return (ssize_t)taken;
	}
	end->is_readable = false;
	if (s->is_reset) {
		end->is_broken = true;
		return -ECONNRESET;
	}
	return -EAGAIN;
}

/* What came from the machine, to nghttp2. */
static int digest(struct weir_h2_stream *s)
{
	struct weir_block *tx = s->tx;

	while (!s->has_sent_head && weir_block_len(tx)) {
		char *p = tx->data + tx->start;
		size_t size;
		int r;

		if (weir_http1_find_end(p, weir_block_len(tx), &s->scan,
					&size)) {
			return -EBADMSG;
		}
		if (!size) {
			return 0;
		}
		r = weir_h2_send_head(s, p, size);
		if (r < 0) {
			return r;
		}
		tx->start += (uint32_t)size;
		s->scan = 0;
	}
	return 0;
}

/* Body bytes at tx->end, which are not counted in it yet. */
static int digest_body(struct weir_h2_stream *s, size_t n)
{
	struct weir_block *tx = s->tx;
	uint32_t before = s->body.trailer_n;
	size_t used;
	size_t kept;

	if (weir_body_scan(&s->body, tx->data + tx->end, n, &used, &kept) < 0 ||
	    used < n) {
		return -EBADMSG;
	}
	tx->end += (uint32_t)kept;
	s->trailer_n += s->body.trailer_n - before;
	s->tx_eof = s->body.is_done;
	return 0;
}

static int take_in(struct weir_h2_stream *s, const char *p, size_t n)
{
	struct weir_block *tx = s->tx;
	int r;

	memcpy(tx->data + tx->end, p, n);
	if (s->has_sent_head) {
		return digest_body(s, n);
	}
	tx->end += (uint32_t)n;
	r = digest(s);
	if (r == 0 && s->has_sent_head && weir_block_len(tx)) {
		n = weir_block_len(tx);
		tx->end = tx->start;
		r = digest_body(s, n);
	}
	return r;
}

static bool make_room(struct weir_h2_stream *s)
{
	struct weir_worker *w = s->w;
	struct weir_block *tx;

	if (!s->tx) {
		s->tx = s->has_sent_head ? weir_worker_block(w)
					 : weir_block_get_last(&w->blocks);
	}
	tx = s->tx;
	if (!tx) {
		weir_count_reason(&w->counters, WEIR_PROXY_OVERLOAD);
		return false;
	}
	if (tx->start == tx->end) {
		tx->start = 0;
		tx->end = 0;
	} else if (tx->start && tx->end == w->blocks.size) {
		memmove(tx->data, tx->data + tx->start, weir_block_len(tx));
		tx->end -= tx->start;
		tx->start = 0;
	}
	/* A head that is larger than a block has no end, nor have trailers. */
	return tx->end < w->blocks.size ||
	       (s->has_sent_head && s->trailer_n < w->blocks.size);
}

static ssize_t send_broken(struct weir_end *end)
{
	end->is_writable = false;
	end->is_broken = true;
	return -EPIPE;
}

/* What was sent is not to pass for the whole. */
static ssize_t give_up(struct weir_h2_stream *s)
{
	weir_h2_reset_stream(s, NGHTTP2_INTERNAL_ERROR);
	/* A peer that has not heard of it has nothing to say to it. */
	s->is_reset |= s->id < 0;
	return send_broken(s->end);
}

static ssize_t stream_send(struct weir_end *end, const struct iovec *iov,
			   uint32_t n_iov, int flags)
{
	struct weir_h2_stream *s = stream_of(end);
	size_t taken = 0;

	(void)flags;
	if (!s->h2 || s->is_closed) {
		return send_broken(end);
	}
	for (uint32_t i = 0; i < n_iov; i++) {
		size_t room;

		if (!make_room(s)) {
			return give_up(s);
		}
		room = s->w->blocks.size - s->tx->end;
		if (room > iov[i].iov_len) {
			room = iov[i].iov_len;
		}
		if (room && take_in(s, iov[i].iov_base, room) < 0) {
			return give_up(s);
		}
		taken += room;
		if (room < iov[i].iov_len) {
			end->is_writable = false;
			break;
		}
	}
	if (s->is_deferred && (weir_block_len(s->tx) || s->tx_eof)) {
		s->is_deferred = false;
		(void)nghttp2_session_resume_data(s->h2->session, s->id);
	}
	if (!weir_block_len(s->tx)) {
		weir_block_put(&s->w->blocks, &s->tx);
	}
	weir_h2_mark(s->h2);
	if (!taken) {
		return -EAGAIN;
	}
	end->has_moved = true;
	return (ssize_t)taken;
}

/* No data waits.  What has come of trailers does, for its rest: that may need
 * the room of bytes that are sent. */
static void keep_trailer(struct weir_h2_stream *s)
{
	if (!weir_block_len(s->tx)) {
		weir_block_put(&s->w->blocks, &s->tx);
	} else if (s->end && !s->end->is_writable) {
		s->end->is_writable = true;
		weir_h2_activate(s);
	}
}

ssize_t weir_h2_stream_read(nghttp2_session *session, int32_t id, uint8_t *buf,
			    size_t n, uint32_t *flags,
			    nghttp2_data_source *source, void *user)
{
	struct weir_h2_stream *s = source->ptr;
	struct weir_block *tx = s->tx;
	size_t data = tx ? weir_block_len(tx) - s->trailer_n : 0;

	(void)session;
	(void)id;
	(void)user;
	/* There was no memory for its reset, and what was to be sent is gone:
	 * nghttp2 is to reset it. */
	if (s->is_ours) {
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	n = n < data ? n : data;
	if (n) {
		memcpy(buf, tx->data + tx->start, n);
		tx->start += (uint32_t)n;
		if (s->end && !s->end->is_writable && !s->tx_eof) {
			s->end->is_writable = true;
			weir_h2_activate(s);
		}
	}
	if (n == data && s->tx_eof) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (tx && s->trailer_n) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (weir_h2_send_trailer(s, tx->data + tx->start,
						 s->trailer_n) < 0) {
				/* Not the whole message: the stream is reset.
				 */
				s->is_ours = true;
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
			}
		}
		weir_block_put(&s->w->blocks, &s->tx);
		return (ssize_t)n;
	}
	if (n == 0) {
		s->is_deferred = true;
		keep_trailer(s);
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

static int stream_shut(struct weir_end *end)
{
	struct weir_h2_stream *s = stream_of(end);

	/* A message says itself where it ends, but for one. */
	if (s->h2 && s->has_sent_head && !s->tx_eof &&
	    s->body.framing == WEIR_FRAMING_CLOSE) {
		s->tx_eof = true;
		if (s->is_deferred) {
			s->is_deferred = false;
			(void)nghttp2_session_resume_data(s->h2->session,
							  s->id);
		}
		weir_h2_mark(s->h2);
	}
	return 0;
}

static void stream_close(struct weir_end *end, bool is_reset)
{
	struct weir_h2_stream *s = stream_of(end);
	struct weir_h2 *h2 = s->h2;

	if (!is_reset) {
		(void)stream_shut(end);
	}
	s->end = NULL;
	end->layer = NULL;
	if (!h2 || s->is_closed || s->id < 0) {
		free_stream(s);
		return;
	}
	drop_rx(s);
	weir_h2_fields_drop_of(s);
	weir_block_put(&s->w->blocks, &s->text);
	weir_block_put(&s->w->blocks, &s->trailer);
	s->since_ms = h2->w->now_ms;
	if (h2->upstream) {
		h2->upstream->idle_ms = s->since_ms;
	}
	if (!h2->sweep_ms) {
		h2->sweep_ms = s->since_ms + h2->w->limits->stall_timeout_ms;
	}
	if (h2->upstream ? !(s->is_ended && s->rx_eof) : !s->tx_eof) {
		weir_h2_reset_stream(s, h2->upstream ? NGHTTP2_CANCEL
						     : NGHTTP2_INTERNAL_ERROR);
	} else if (s->is_ended && !s->rx_eof) {
		/* Answered before the end of the request (RFC 9113 8.1). */
		weir_h2_reset_stream(s, NGHTTP2_NO_ERROR);
	}
}

static bool stream_is_quiet(struct weir_end *end)
{
	(void)end;
	return false;
}

const struct weir_layer_ops weir_h2_stream_ops = {
	.recv = stream_recv,
	.send = stream_send,
	.shut = stream_shut,
	.close = stream_close,
	.is_quiet = stream_is_quiet,
	.is_stream = true,
};
