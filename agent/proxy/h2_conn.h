/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of HTTP/2: what session, stream and head share.  See h2.h. */
#ifndef WEIR_PROXY_H2_CONN_H
#define WEIR_PROXY_H2_CONN_H

#include <nghttp2/nghttp2.h>

#include "h2.h"
#include "layer.h"
#include "rewrite.h"

#define WEIR_H2_FRAME_TEXT 24 /* "ffffffff\r\n", or "\r\n0\r\n" */
#define WEIR_H2_RATE_MS 10000 /* over which floods are counted */

/* Header block on its way in, one at a time and connection (RFC 9113 4.3). */
struct weir_h2_fields {
	struct weir_out out;            /* into the stream's text */
	const struct weir_block *block; /* that; NULL: none is under way */
	int32_t id;                     /* of the stream */
	uint64_t begun_ms;
	struct weir_block *cookies;
	nghttp2_rcbuf *method; /* pseudo-header fields until the first line */
	nghttp2_rcbuf *path;
	nghttp2_rcbuf *authority;
	uint16_t status;
	bool is_begun;   /* the first line is written */
	bool is_trailer; /* of the body, not a head */
	bool is_large;   /* over a limit: answered so */
	bool is_bad;     /* malformed: the stream is reset */
	bool is_short;   /* of a buffer: the stream is refused */
	bool has_length;
	bool is_grpc;
	uint64_t length;  /* content-length */
	uint32_t decoded; /* bytes, with 32 for each field (RFC 9113 6.5.2) */
};

struct weir_h2_stream {
	struct weir_layer layer; /* first: an end names it */
	struct weir_worker *w;
	struct weir_h2 *h2;   /* NULL: the connection is gone */
	struct weir_end *end; /* NULL: its owner has let it go */
	struct weir_h2_stream *next;
	struct weir_h2_stream **pprev;
	struct weir_h2_stream *next_active;
	uint64_t since_ms; /* of being without an owner */
	uint64_t heard;    /* bytes of the connection before it */
	int32_t id;        /* -1: not sent yet */
	bool is_active;    /* to be driven */
	bool is_closed;    /* for nghttp2 it has ended */
	bool is_reset;     /* and not well */
	bool is_ours;      /* the reset */
	bool is_refused;   /* before anyone looked at it */
	bool is_head;      /* the request's method */
	bool is_grpc;      /* its content type */
	/* From the peer to the machine. */
	struct weir_block *text;    /* heads not read yet */
	struct weir_block *trailer; /* lines */
	struct weir_block *rx;      /* body, oldest first */
	struct weir_block *rx_last;
	uint32_t rx_n;   /* bytes of body */
	uint32_t chunk;  /* of it, in a chunk that was announced */
	bool has_head;   /* the (final) head is complete */
	bool is_chunked; /* framing of the text */
	bool has_chunks; /* a first one was announced */
	bool rx_eof;     /* all of the body is here */
	bool is_read;    /* and the machine has it all */
	uint8_t frame_at;
	uint8_t frame_n;
	char frame[WEIR_H2_FRAME_TEXT];
	/* From the machine to the peer. */
	struct weir_block *tx; /* head in the making, or body and trailers */
	struct weir_body body;
	size_t scan;        /* how far the end of a head was looked for */
	uint32_t trailer_n; /* bytes at the end of tx */
	bool has_sent_head; /* the (final) head was given to nghttp2 */
	bool tx_eof;        /* nothing more will come */
	bool is_deferred;   /* nghttp2 waits for more */
	bool is_ended;      /* END_STREAM is out */
};

struct weir_h2_rate {
	uint64_t since_ms;
	uint32_t n;
};

struct weir_h2 {
	struct weir_worker *w;
	struct weir_client *client; /* one of the two carries it */
	struct weir_upstream *upstream;
	struct weir_end *end; /* of that */
	nghttp2_session *session;
	struct weir_h2_stream *streams;
	struct weir_h2_stream *active;
	struct weir_h2 *next_dirty;
	struct weir_block *out;
	const uint8_t *rest; /* of a frame, behind out */
	size_t rest_n;
	uint32_t n_streams;
	uint32_t continuations; /* of the block under way */
	struct weir_h2_rate resets;
	struct weir_h2_rate controls;
	struct weir_h2_fields fields;
	uint64_t sweep_ms;  /* when ended streams are looked at; 0: none */
	uint64_t goaway_ms; /* when the last GOAWAY is due; 0: not yet */
	uint64_t doubt_ms;  /* when the first request without an answer began */
	uint64_t doubt_at;  /* bytes received by then */
	bool is_dirty;
	bool has_left; /* an endpoint's: bytes that its event did not read */
	bool has_settings; /* an endpoint's: they came */
	bool is_abusive;
	bool is_going; /* takes no new streams */
	bool is_last;  /* the last GOAWAY was sent or received */
	bool is_dead;  /* to be closed */
};

struct weir_h2_worker {
	struct weir_h2 *dirty;
	struct weir_h2_stream *free;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	nghttp2_nv *nv;
	uint32_t max_nv;
};

/* h2_session.c */
/* Something of it waits to be sent. */
void weir_h2_mark(struct weir_h2 *h2);
/* The owner of s is to be driven. */
void weir_h2_activate(struct weir_h2_stream *s);
void weir_h2_reset_stream(struct weir_h2_stream *s, uint32_t code);
/* A peer that is not worth more: the connection ends. */
void weir_h2_abuse(struct weir_h2 *h2, enum weir_proxy_reason reason);
/* More than max of something within WEIR_H2_RATE_MS? */
bool weir_h2_is_over(const struct weir_h2 *h2, struct weir_h2_rate *rate,
		     uint32_t max);

bool weir_h2_is_clogged(const struct weir_h2 *h2);

/* h2_frames.c */
void weir_h2_set_callbacks(nghttp2_session_callbacks *cb);

/* h2_stream.c */
extern const struct weir_layer_ops weir_h2_stream_ops;
/* Belongs to end from now on.  NULL without memory. */
struct weir_h2_stream *weir_h2_stream_new(struct weir_h2 *h2,
					  struct weir_end *end, int32_t id);
/* nghttp2 knows it no more; code: why (RFC 9113 7). */
void weir_h2_stream_closed(struct weir_h2_stream *s, uint32_t code);
/* Body bytes from the peer.  0, or -ENOBUFS. */
int weir_h2_stream_data(struct weir_h2_stream *s, const uint8_t *p, size_t n);
/* Fills a DATA frame; as nghttp2_data_source_read_callback. */
ssize_t weir_h2_stream_read(nghttp2_session *session, int32_t id, uint8_t *buf,
			    size_t n, uint32_t *flags,
			    nghttp2_data_source *source, void *user);
/* Its connection is gone. */
void weir_h2_stream_orphan(struct weir_h2_stream *s);

/* h2_head.c: between header fields and lines. */
int weir_h2_fields_begin(struct weir_h2 *h2, struct weir_h2_stream *s,
			 bool is_trailer);
/* One field.  False: the stream is malformed. */
bool weir_h2_fields_add(struct weir_h2 *h2, struct weir_h2_stream *s,
			nghttp2_rcbuf *name, nghttp2_rcbuf *value);
/* The block is complete.  0, or -EBADMSG. */
int weir_h2_fields_end(struct weir_h2 *h2, struct weir_h2_stream *s,
		       bool is_eof);
void weir_h2_fields_drop(struct weir_h2 *h2);
/* What has come of one, if it is of s, is not wanted any more. */
void weir_h2_fields_drop_of(struct weir_h2_stream *s);
/* A head of n bytes, complete, to nghttp2; what follows it: s->body.  0 or
 * -errno. */
int weir_h2_send_head(struct weir_h2_stream *s, char *p, size_t n);
/* The lines of trailers. */
int weir_h2_send_trailer(struct weir_h2_stream *s, char *p, size_t n);

#endif
