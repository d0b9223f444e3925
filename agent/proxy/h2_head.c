/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the header fields of HTTP/2 and the lines of HTTP/1.1.  nghttp2 has
 * checked fields that arrive (RFC 9113 8.1 to 8.3) before they come here; what
 * would let one message become two as text is checked again, and the parser of
 * http1.c judges the rest.  Text that leaves was written by rewrite.c and
 * answer.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "h2_conn.h"
#include "worker.h"

#define FIELD_COST 32 /* RFC 9113 6.5.2 */
/* Decoded bytes of one block, in heads of the size allowed: more is not a head
 * that is too large but someone who makes us decompress. */
#define DECODED_HEADS 8

static struct weir_str str_of(nghttp2_rcbuf *buf)
{
	nghttp2_vec v;

	if (!buf) {
		return WEIR_STR_NULL;
	}
	v = nghttp2_rcbuf_get_buf(buf);
	return (struct weir_str){(const char *)v.base, v.len};
}

static void keep(nghttp2_rcbuf **to, nghttp2_rcbuf *buf)
{
	if (!*to) {
		nghttp2_rcbuf_incref(buf);
		*to = buf;
	}
}

static void let_go(nghttp2_rcbuf **buf)
{
	if (*buf) {
		nghttp2_rcbuf_decref(*buf);
		*buf = NULL;
	}
}

/* What fits, when it does not: the machine then sees a head that has no end
 * within the limit, and answers that. */
static void put(struct weir_h2_fields *f, struct weir_str s)
{
	size_t room = (size_t)(f->out.end - f->out.p);

	if (s.n > room) {
		f->is_large = true;
		s.n = room;
	}
	weir_out_str(&f->out, s);
}

static void put_line(struct weir_h2_fields *f, struct weir_str name,
		     struct weir_str value)
{
	put(f, name);
	put(f, WEIR_STR(": "));
	put(f, value);
	put(f, WEIR_STR("\r\n"));
}

static bool is_one_line(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0') {
			return false;
		}
	}
	return true;
}

int weir_h2_fields_begin(struct weir_h2 *h2, struct weir_h2_stream *s,
			 bool is_trailer)
{
	struct weir_h2_fields *f = &h2->fields;
	struct weir_block **block = is_trailer ? &s->trailer : &s->text;
	uint32_t limit = h2->w->limits->max_head_bytes;
	uint32_t room;

	weir_h2_fields_drop(h2);
	*f = (struct weir_h2_fields){.id = s->id,
				     .begun_ms = h2->w->now_ms,
				     .is_trailer = is_trailer};
	if (!*block) {
		*block = weir_worker_block(h2->w);
	}
	if (!*block) {
		return -ENOBUFS;
	}
	/* Behind interim responses that nobody has read yet. */
	room = h2->w->blocks.size - (*block)->end;
	f->block = *block;
	f->out.p = (*block)->data + (*block)->end;
	f->out.end = f->out.p + (room < limit ? room : limit);
	return 0;
}

void weir_h2_fields_drop(struct weir_h2 *h2)
{
	let_go(&h2->fields.method);
	let_go(&h2->fields.path);
	let_go(&h2->fields.authority);
	weir_block_put(&h2->w->blocks, &h2->fields.cookies);
	h2->fields.block = NULL;
}

void weir_h2_fields_drop_of(struct weir_h2_stream *s)
{
	struct weir_h2_fields *f = &s->h2->fields;

	if (f->block && f->id == s->id) {
		weir_h2_fields_drop(s->h2);
		f->is_bad = true;
	}
}

static void begin_request(struct weir_h2_fields *f)
{
	struct weir_str path = str_of(f->path ? f->path : f->authority);

	put(f, str_of(f->method));
	put(f, WEIR_STR(" "));
	put(f, path);
	put(f, WEIR_STR(" HTTP/1.1\r\n"));
	if (f->authority) {
		put_line(f, WEIR_STR("host"), str_of(f->authority));
	}
	f->is_begun = true;
}

/* A blank would end the target, and with it the line. */
static bool is_word(struct weir_str s)
{
	return s.n && !memchr(s.p, ' ', s.n) && !memchr(s.p, '\t', s.n);
}

static bool add_pseudo(struct weir_h2 *h2, struct weir_str name,
		       nghttp2_rcbuf *value)
{
	struct weir_h2_fields *f = &h2->fields;
	struct weir_str v = str_of(value);
	uint64_t status;

	if (f->is_trailer || (f->is_begun && h2->client)) {
		return false;
	}
	if (h2->client) {
		if (weir_str_is(name, ":method")) {
			keep(&f->method, value);
			return is_word(v);
		}
		if (weir_str_is(name, ":path")) {
			keep(&f->path, value);
			return is_word(v);
		}
		if (weir_str_is(name, ":authority")) {
			keep(&f->authority, value);
			return is_word(v);
		}
		/* Which one is the connection's affair, not the client's:
		 * https comes without TLS from balancers that ended it and
		 * look no further (RFC 9110 7.4, "trusted gateway"). */
		return weir_str_is(name, ":scheme") &&
		       (weir_str_is(v, "http") || weir_str_is(v, "https"));
	}
	if (!weir_str_is(name, ":status") || v.n != 3 ||
	    weir_str_parse_u64(v, 999, &status) < 0 || f->is_begun) {
		return false;
	}
	f->status = (uint16_t)status;
	put(f, WEIR_STR("HTTP/1.1 "));
	put(f, v);
	put(f, WEIR_STR(" \r\n"));
	f->is_begun = true;
	return true;
}

/* RFC 9113 8.2.2; nghttp2 refuses them, too. */
static bool is_of_connection(struct weir_str name)
{
	static const char *const names[] = {"connection", "keep-alive",
					    "proxy-connection",
					    "transfer-encoding", "upgrade"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (weir_str_is(name, names[i])) {
			return true;
		}
	}
	return false;
}

/* One line again, where HTTP/2 lets it be several (RFC 9113 8.2.3). */
static bool add_cookie(struct weir_h2 *h2, struct weir_str value)
{
	struct weir_h2_fields *f = &h2->fields;
	struct weir_block *b;

	if (!f->cookies) {
		f->cookies = weir_worker_block(h2->w);
	}
	b = f->cookies;
	if (!b) {
		f->is_short = true;
		return true;
	}
	if (h2->w->blocks.size - b->end < value.n + 2) {
		f->is_large = true;
		return true;
	}
	if (b->end) {
		memcpy(b->data + b->end, "; ", 2);
		b->end += 2;
	}
	if (value.n) {
		memcpy(b->data + b->end, value.p, value.n);
		b->end += (uint32_t)value.n;
	}
	return true;
}

static bool is_grpc(struct weir_str type)
{
	struct weir_str grpc = WEIR_STR("application/grpc");

	return weir_str_starts(type, grpc) &&
	       (type.n == grpc.n || type.p[grpc.n] == '+' ||
		type.p[grpc.n] == ';');
}

static bool add_field(struct weir_h2 *h2, struct weir_str name,
		      struct weir_str value)
{
	struct weir_h2_fields *f = &h2->fields;

	if (h2->client && !f->is_begun) {
		begin_request(f);
	}
	if (!f->is_begun || is_of_connection(name)) {
		return false;
	}
	if (weir_str_is(name, "content-length")) {
		/* Written when it is known whether a body follows. */
		if (f->has_length ||
		    weir_str_parse_u64(value, INT64_MAX, &f->length) < 0) {
			return false;
		}
		f->has_length = true;
		return true;
	}
	if (h2->client && weir_str_is(name, "host") && f->authority) {
		/* RFC 9113 8.3.1: two answers to one question. */
		return weir_str_eq_nocase(value, str_of(f->authority));
	}
	if (h2->client && weir_str_is(name, "cookie")) {
		return add_cookie(h2, value);
	}
	if (weir_str_is(name, "content-type")) {
		f->is_grpc = is_grpc(value);
	}
	put_line(f, name, value);
	return true;
}

bool weir_h2_fields_add(struct weir_h2 *h2, struct weir_h2_stream *s,
			nghttp2_rcbuf *name_buf, nghttp2_rcbuf *value_buf)
{
	struct weir_h2_fields *f = &h2->fields;
	struct weir_str name = str_of(name_buf);
	struct weir_str value = str_of(value_buf);
	size_t cost = name.n + value.n + FIELD_COST;

	(void)s;
	f->decoded += (uint32_t)cost;
	if (f->decoded > DECODED_HEADS * h2->w->limits->max_head_bytes) {
		weir_h2_abuse(h2, WEIR_PROXY_H2_FLOOD);
		return true;
	}
	if (!name.n || !is_one_line(name) || !is_one_line(value)) {
		return false;
	}
	if (name.p[0] == ':') {
		return add_pseudo(h2, name, value_buf);
	}
	if (!weir_http1_is_token(name)) {
		return false;
	}
	if (!f->is_trailer) {
		return f->is_large || add_field(h2, name, value);
	}
	/* RFC 9110 6.5.1: what may not come after the body is dropped. */
	if (weir_body_may_trail(name)) {
		put_line(f, name, value);
	}
	return true;
}

/* As many bytes of a head as it may have, without its end: 414 or 431, of a
 * backend 502.  What fitted behind the first line is not part of it: fields
 * are missing there, and it may have an end.  0, or -EBADMSG: interim responses
 * have left less room than that, and its body would go on with it. */
static int end_large(struct weir_h2 *h2, struct weir_h2_stream *s)
{
	struct weir_h2_fields *f = &h2->fields;
	char *p = s->text->data + s->text->end;
	size_t n = (size_t)(f->out.end - p);
	char *lf = memchr(p, '\n', (size_t)(f->out.p - p));

	if (n < h2->w->limits->max_head_bytes) {
		return -EBADMSG;
	}
	p = lf ? lf + 1 : f->out.p;
	memset(p, 'x', (size_t)(f->out.end - p));
	s->text->end += (uint32_t)n;
	s->has_head = true;
	return 0;
}

static void put_framing(struct weir_h2_fields *f, struct weir_h2_stream *s,
			bool is_request, bool is_eof)
{
	bool has_none = is_request ? is_eof
				   : s->is_head || f->status == 204 ||
					     f->status == 304;
	/* Trailers need chunks, and gRPC has its own lengths. */
	bool has_length = f->has_length && !(f->is_grpc && !is_eof);

	if (has_length || (is_eof && !has_none)) {
		struct weir_out *o = &f->out;

		WEIR_OUT_LIT(o, "content-length: ");
		weir_out_u64(o, f->has_length ? f->length : 0);
		WEIR_OUT_LIT(o, "\r\n");
		f->is_large |= o->is_full;
	} else if (!has_none) {
		put(f, WEIR_STR("transfer-encoding: chunked\r\n"));
		s->is_chunked = true;
	}
}

int weir_h2_fields_end(struct weir_h2 *h2, struct weir_h2_stream *s,
		       bool is_eof)
{
	struct weir_h2_fields *f = &h2->fields;
	bool is_request = h2->client;
	bool is_final = is_request || f->status >= 200;

	if (f->is_trailer) {
		if (f->is_large) {
			return -EBADMSG;
		}
		s->trailer->end = (uint32_t)(f->out.p - s->trailer->data);
		return 0;
	}
	if (is_request && !f->is_begun) {
		if (!f->method) {
			return -EBADMSG;
		}
		begin_request(f);
	}
	if (!f->is_begun || (!is_final && (is_eof || f->status == 101))) {
		return -EBADMSG;
	}
	if (f->cookies) {
		put_line(f, WEIR_STR("cookie"),
			 (struct weir_str){f->cookies->data, f->cookies->end});
	}
	if (is_request) {
		s->is_head = weir_str_is(str_of(f->method), "HEAD");
	}
	if (is_final) {
		put_framing(f, s, is_request, is_eof);
	}
	put(f, WEIR_STR("\r\n"));
	s->is_grpc = f->is_grpc;
	if (f->is_large) {
		return end_large(h2, s);
	}
	s->text->end = (uint32_t)(f->out.p - s->text->data);
	s->has_head = is_final;
	return 0;
}

/* One head on its way out. */
struct sending {
	struct weir_h2_stream *s;
	nghttp2_nv *nv;
	uint32_t n;
	uint32_t max;
	bool has_length;
	bool is_chunked;
	bool is_grpc;
	uint64_t length;
	struct weir_str authority;
};

static bool add(struct sending *o, struct weir_str name, struct weir_str value)
{
	if (o->n == o->max) {
		return false;
	}
	o->nv[o->n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
				     .namelen = name.n,
				     .value = (uint8_t *)(uintptr_t)value.p,
				     .valuelen = value.n};
	return true;
}

/* Up to the end of the line at *pp, which moves behind it. */
static bool next_line(char **pp, const char *end, struct weir_str *ret_line)
{
	char *p = *pp;
	char *lf = memchr(p, '\n', (size_t)(end - p));

	if (!lf || lf == p || lf[-1] != '\r') {
		return false;
	}
	*ret_line = (struct weir_str){p, (size_t)(lf - 1 - p)};
	*pp = lf + 1;
	return true;
}

static void lower(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] >= 'A' && p[i] <= 'Z') {
			p[i] = (char)(p[i] | 0x20);
		}
	}
}

/* A field of a head or a trailer. */
static bool send_field(struct sending *o, struct weir_str line)
{
	ptrdiff_t colon = weir_str_find(line, ':');
	struct weir_str name;
	struct weir_str value;

	if (colon <= 0) {
		return false;
	}
	name = (struct weir_str){line.p, (size_t)colon};
	value = weir_str_trim(weir_str_skip(line, name.n + 1));
	lower((char *)(uintptr_t)name.p, name.n);
	if (weir_str_is(name, "transfer-encoding")) {
		o->is_chunked = true;
		return true;
	}
	if (weir_str_is(name, "host") && o->s->h2->upstream) {
		o->authority = value;
		return true;
	}
	if (is_of_connection(name)) {
		return true;
	}
	if (weir_str_is(name, "content-length")) {
		o->has_length = weir_str_parse_u64(value, INT64_MAX,
						   &o->length) == 0;
		/* "Trailers-only" has none. */
		if (o->length == 0 && o->is_grpc) {
			return o->has_length;
		}
	}
	return add(o, name, value);
}

static bool send_fields(struct sending *o, char *p, const char *end)
{
	struct weir_str line;

	while (next_line(&p, end, &line)) {
		if (!line.n) {
			return true;
		}
		if (!send_field(o, line)) {
			return false;
		}
	}
	return p == end;
}

static uint8_t framing_of(const struct sending *o)
{
	if (o->is_chunked) {
		return WEIR_FRAMING_CHUNKED;
	}
	return o->has_length ? WEIR_FRAMING_LENGTH : WEIR_FRAMING_NONE;
}

static void begin_body(struct weir_h2_stream *s, uint8_t framing,
		       uint64_t length)
{
	weir_body_init(&s->body, framing, length);
	s->body.wants_data = true;
	s->body.wants_trailer = true;
	s->has_sent_head = true;
	s->tx_eof = s->body.is_done;
}

/* What nghttp2 says to something of s: 0, or -EPIPE. */
static int submitted(const struct weir_h2_stream *s, int r)
{
	if (r == NGHTTP2_ERR_NOMEM) {
		weir_count_reason(&s->w->counters, WEIR_PROXY_OVERLOAD);
	}
	return r < 0 ? -EPIPE : 0;
}

static int send_response(struct sending *o, struct weir_str line, char *p,
			 const char *end)
{
	struct weir_h2_stream *s = o->s;
	nghttp2_data_provider body = {.source.ptr = s,
				      .read_callback = weir_h2_stream_read};
	struct weir_str status;
	uint8_t framing;
	int r;

	if (line.n < 12) {
		return -EBADMSG;
	}
	status = (struct weir_str){line.p + 9, 3};
	o->is_grpc = s->is_grpc;
	if (!add(o, WEIR_STR(":status"), status) || !send_fields(o, p, end)) {
		return -EBADMSG;
	}
	if (status.p[0] == '1') {
		if (weir_h2_is_clogged(s->h2)) {
			return -EBADMSG; /* a backend that has no end of them */
		}
		r = nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE,
					   s->id, NULL, o->nv, o->n, NULL);
		return submitted(s, r);
	}
	framing = framing_of(o);
	if (s->is_head || weir_str_is(status, "204") ||
	    weir_str_is(status, "304")) {
		framing = WEIR_FRAMING_NONE;
	} else if (framing == WEIR_FRAMING_NONE) {
		framing = WEIR_FRAMING_CLOSE;
	}
	begin_body(s, framing, o->length);
	r = nghttp2_submit_response(s->h2->session, s->id, o->nv, o->n,
				    s->tx_eof ? NULL : &body);
	return submitted(s, r);
}

static int send_request(struct sending *o, struct weir_str line, char *p,
			const char *end)
{
	struct weir_h2_stream *s = o->s;
	nghttp2_data_provider body = {.source.ptr = s,
				      .read_callback = weir_h2_stream_read};
	ptrdiff_t blank = weir_str_find(line, ' ');
	struct weir_str method;
	struct weir_str path;
	struct weir_str scheme = s->h2->end->layer ? WEIR_STR("https")
						   : WEIR_STR("http");
	int32_t id;

	if (blank <= 0) {
		return -EBADMSG;
	}
	method = (struct weir_str){line.p, (size_t)blank};
	path = weir_str_skip(line, method.n + 1);
	blank = weir_str_find(path, ' ');
	if (blank <= 0) {
		return -EBADMSG;
	}
	path.n = (size_t)blank;
	s->is_head = weir_str_is(method, "HEAD");
	if (!add(o, WEIR_STR(":method"), method) ||
	    !add(o, WEIR_STR(":scheme"), scheme) ||
	    !add(o, WEIR_STR(":authority"), WEIR_STR_NULL) ||
	    !add(o, WEIR_STR(":path"), path) || !send_fields(o, p, end)) {
		return -EBADMSG;
	}
	o->nv[2].value = (uint8_t *)(uintptr_t)o->authority.p;
	o->nv[2].valuelen = o->authority.n;
	begin_body(s, framing_of(o), o->length);
	id = nghttp2_submit_request(s->h2->session, NULL, o->nv, o->n,
				    s->tx_eof ? NULL : &body, s);
	if (id < 0) {
		return submitted(s, id);
	}
	s->id = id;
	return 0;
}

static struct sending sending_of(struct weir_h2_stream *s)
{
	struct weir_h2_worker *shared = s->h2->w->h2;

	return (struct sending){
		.s = s, .nv = shared->nv, .max = shared->max_nv};
}

int weir_h2_send_head(struct weir_h2_stream *s, char *p, size_t n)
{
	struct sending o = sending_of(s);
	const char *end = p + n;
	struct weir_str line;

	if (!next_line(&p, end, &line)) {
		return -EBADMSG;
	}
	return s->h2->client ? send_response(&o, line, p, end)
			     : send_request(&o, line, p, end);
}

int weir_h2_send_trailer(struct weir_h2_stream *s, char *p, size_t n)
{
	struct sending o = sending_of(s);
	int r;

	if (!send_fields(&o, p, p + n)) {
		return -EBADMSG;
	}
	r = nghttp2_submit_trailer(s->h2->session, s->id, o.nv, o.n);
	return submitted(s, r);
}
