/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nghttp2's callbacks: frames of a peer to streams, and what a peer may cost.
 * They only take notes; the streams' owners are driven later.
 */
#include "h2_conn.h"
#include "worker.h"

static struct weir_h2_stream *find(struct weir_h2 *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2->session, id);
}

/* Whoever measures a path answers DATA with PINGs, one at a time: grpc-go as
 * long as a stream has data (internal/transport/bdp_estimator.go), which is a
 * thousand a second where a round trip takes a millisecond.  So each frame with
 * data, in either direction, is good for one that has none. */
static void note_data(struct weir_h2 *h2, const nghttp2_frame_hd *hd)
{
	if (hd->type == NGHTTP2_DATA && hd->length && h2->controls.n) {
		h2->controls.n--;
	}
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd,
			  void *user)
{
	struct weir_h2 *h2 = user;
	const struct weir_proxy_limits *l = h2->w->limits;

	(void)session;
	if (hd->type == NGHTTP2_CONTINUATION) {
		if (++h2->continuations > l->h2_continuations) {
			weir_h2_abuse(h2, WEIR_PROXY_H2_FLOOD);
		}
		return 0;
	}
	h2->continuations = 0;
	note_data(h2, hd);
	/* Frames that cost work here and nothing there; windows are moved by
	 * what we send. */
	if ((hd->type == NGHTTP2_DATA && hd->length == 0 &&
	     !(hd->flags & NGHTTP2_FLAG_END_STREAM)) ||
	    (hd->type != NGHTTP2_DATA && hd->type != NGHTTP2_HEADERS &&
	     hd->type != NGHTTP2_WINDOW_UPDATE &&
	     hd->type != NGHTTP2_RST_STREAM)) {
		if (weir_h2_is_over(h2, &h2->controls, l->h2_controls)) {
			weir_h2_abuse(h2, WEIR_PROXY_H2_FLOOD);
		}
	}
	return 0;
}

/* Without memory or a buffer for it.  RFC 9113 8.7: sent again it does no harm.
 */
static int refuse_stream(struct weir_h2 *h2, int32_t id)
{
	weir_count_reason(&h2->w->counters, WEIR_PROXY_OVERLOAD);
	(void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id,
					NGHTTP2_REFUSED_STREAM);
	return 0;
}

static int begin_request(struct weir_h2 *h2, int32_t id)
{
	struct weir_worker *w = h2->w;
	struct weir_h2_stream *s;
	struct weir_client *c;

	c = weir_client_new_stream(w, h2->client);
	if (!c) {
		return refuse_stream(h2, id);
	}
	s = weir_h2_stream_new(h2, &c->end, id);
	if (!s) {
		weir_client_close(w, c, true);
		return refuse_stream(h2, id);
	}
	(void)nghttp2_session_set_stream_user_data(h2->session, id, s);
	if (weir_h2_fields_begin(h2, s, false) < 0) {
		(void)refuse_stream(h2, id);
		weir_client_close(w, c, true);
	}
	return 0;
}

static int on_begin_headers(nghttp2_session *session,
			    const nghttp2_frame *frame, void *user)
{
	struct weir_h2 *h2 = user;
	int32_t id = frame->hd.stream_id;
	struct weir_h2_stream *s;

	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS || h2->is_abusive) {
		return 0;
	}
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		return begin_request(h2, id);
	}
	s = find(h2, id);
	/* Without an owner nobody reads it. */
	if (s && s->end && weir_h2_fields_begin(h2, s, s->has_head) < 0) {
		weir_count_reason(&h2->w->counters, WEIR_PROXY_OVERLOAD);
		s->is_ours = true; /* not the peer's fault */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags,
		     void *user)
{
	struct weir_h2 *h2 = user;
	struct weir_h2_stream *s = find(h2, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (!s || !s->end || frame->hd.type != NGHTTP2_HEADERS ||
	    h2->is_abusive) {
		return 0;
	}
	/* The block goes on: its other fields may change HPACK's table. */
	h2->fields.is_bad = h2->fields.is_bad ||
			    !weir_h2_fields_add(h2, s, name, value);
	return 0;
}

/* nghttp2 would leave the field out and go on. */
static int on_invalid_header(nghttp2_session *session,
			     const nghttp2_frame *frame, nghttp2_rcbuf *name,
			     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	(void)session;
	(void)frame;
	(void)name;
	(void)value;
	(void)flags;
	(void)user;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void end_of_stream(struct weir_h2_stream *s)
{
	s->rx_eof = true;
	if (s->end) {
		s->end->is_readable = true;
		weir_h2_activate(s);
	}
}

/* SETTINGS of an endpoint.  False: for now it takes no streams at all (RFC 9113
 * 6.5.2): a connection for each request would stay in the pool. */
static bool takes_streams(struct weir_h2 *h2)
{
	uint32_t n = nghttp2_session_get_remote_settings(
		h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	h2->has_settings = true;
	if (n) {
		weir_upstream_allows(h2->upstream, n);
	}
	return n > 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
			 void *user)
{
	struct weir_h2 *h2 = user;
	bool is_eof = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct weir_h2_stream *s;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		s = find(h2, frame->hd.stream_id);
		if (!s || h2->is_abusive) {
			return 0;
		}
		if (!s->end) {
			break;
		}
		if (h2->fields.is_short && !h2->fields.is_bad) {
			s->is_ours = true;
			weir_h2_fields_drop(h2);
			return refuse_stream(h2, s->id);
		}
		if (h2->fields.is_bad ||
		    weir_h2_fields_end(h2, s, is_eof) < 0) {
			weir_h2_reset_stream(s, NGHTTP2_PROTOCOL_ERROR);
			weir_h2_fields_drop(h2);
			/* The backend may have the request (CVE-2025-8671). */
			if (h2->client &&
			    weir_h2_is_over(h2, &h2->resets,
					    h2->w->limits->h2_resets)) {
				weir_h2_abuse(h2, WEIR_PROXY_H2_RESETS);
			}
			return 0;
		}
		weir_h2_fields_drop(h2);
		s->end->is_readable = true;
		weir_h2_activate(s);
		break;
	case NGHTTP2_DATA:
		s = find(h2, frame->hd.stream_id);
		break;
	case NGHTTP2_SETTINGS:
		if (h2->client || frame->hd.flags & NGHTTP2_FLAG_ACK ||
		    takes_streams(h2)) {
			return 0;
		}
		__attribute__((fallthrough));
	case NGHTTP2_GOAWAY:
		h2->is_going = true;
		h2->is_last = true;
		return 0;
	default:
		return 0;
	}
	if (s && is_eof && !s->is_ours) {
		end_of_stream(s);
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
		   const uint8_t *p, size_t n, void *user)
{
	struct weir_h2 *h2 = user;
	struct weir_h2_stream *s = find(h2, id);
	uint32_t before = s ? s->rx_n : 0;

	(void)flags;
	/* A frame may go on behind a piece that found no buffer. */
	if (!s || !s->end || s->is_reset || s->is_ours) {
		(void)nghttp2_session_consume(session, id, n);
		return 0;
	}
	if (weir_h2_stream_data(s, p, n) < 0) {
		weir_count_reason(&h2->w->counters, WEIR_PROXY_OVERLOAD);
		/* What found its place is consumed when the stream lets it go.
		 */
		(void)nghttp2_session_consume(session, id,
					      n - (s->rx_n - before));
		weir_h2_reset_stream(s, NGHTTP2_ENHANCE_YOUR_CALM);
		return 0;
	}
	s->end->is_readable = true;
	weir_h2_activate(s);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code,
			   void *user)
{
	struct weir_h2 *h2 = user;
	struct weir_h2_stream *s = find(h2, id);

	(void)session;
	/* What a client gives up, and what it makes us give up, before it is
	 * answered: CVE-2023-44487, CVE-2025-8671. */
	if (h2->client && s && !s->is_ended && !s->is_ours &&
	    weir_h2_is_over(h2, &h2->resets, h2->w->limits->h2_resets)) {
		weir_h2_abuse(h2, WEIR_PROXY_H2_RESETS);
	}
	if (s) {
		weir_h2_fields_drop_of(s);
		weir_h2_stream_closed(s, code);
	}
	return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
			 void *user)
{
	struct weir_h2 *h2 = user;
	struct weir_h2_stream *s;

	(void)session;
	note_data(h2, &frame->hd);
	if ((frame->hd.type != NGHTTP2_DATA &&
	     frame->hd.type != NGHTTP2_HEADERS) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
		return 0;
	}
	s = find(h2, frame->hd.stream_id);
	if (!s) {
		return 0;
	}
	s->is_ended = true;
	if (h2->client && !s->end && !s->rx_eof) {
		/* Answered before the end of the request (RFC 9113 8.1). */
		weir_h2_reset_stream(s, NGHTTP2_NO_ERROR);
	}
	return 0;
}

void weir_h2_set_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb,
							      on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(
		cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
							       on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
}
