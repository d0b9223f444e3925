/* SPDX-License-Identifier: Apache-2.0 */
/* Weir's reading: the loop of client.c and request.c around the same parser,
 * body scanner and rewriter, without sockets. */
#include "reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "chunk.h"
#include "random.h"
#include "rewrite.h"

#define MAX_FIELDS 100 /* limits.c */
#define MAX_TARGET 8192
#define MAX_HEAD 16384

uint32_t reading_crc(uint32_t crc, const void *p, size_t n)
{
	static uint32_t table[256];
	const uint8_t *b = p;

	if (!table[1]) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int k = 0; k < 8; k++) {
				c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
			}
			table[i] = c;
		}
	}
	crc = ~crc;
	for (size_t i = 0; i < n; i++) {
		crc = table[(crc ^ b[i]) & 0xFF] ^ crc >> 8;
	}
	return ~crc;
}

static uint32_t crc_of(struct weir_str s)
{
	return reading_crc(0, s.p, s.n);
}

static void ends(struct reading *r, enum ending end, const char *reason)
{
	r->end = end;
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	for (char *c = r->reason; *c; c++) {
		if (*c == ' ') {
			*c = '_';
		}
	}
}

static void end_both(struct reading *raw, struct reading *sent, enum ending end,
		     const char *reason)
{
	ends(raw, end, reason);
	ends(sent, end, reason);
}

static void append(struct forwarded *out, const char *p, size_t n)
{
	if (out->cap - out->n < n) {
		out->cap = 2 * out->cap + n;
		out->p = realloc(out->p, out->cap);
		if (!out->p) {
			abort();
		}
	}
	memcpy(out->p + out->n, p, n);
	out->n += n;
}

static void send_head(const struct weir_http1_head *h, struct forwarded *out)
{
	static const struct weir_frontend frontend = {.port_be = 0x5000};
	static const struct weir_rule rule;
	static const struct weir_plan plan;
	static char room[2 * MAX_HEAD];
	const struct weir_rewrite rw = {
		.plan = &plan, .frontend = &frontend, .rule = &rule};
	struct weir_out o = {.p = room, .end = room + sizeof(room)};

	weir_rewrite_request(&rw, h, &o);
	append(out, room, (size_t)(o.p - room));
}

static bool has_token(struct weir_str s, const char *token)
{
	size_t n = strlen(token);

	for (size_t i = 0; i + n <= s.n; i++) {
		if (strncasecmp(s.p + i, token, n) == 0) {
			return true;
		}
	}
	return false;
}

/* "chunked" once, and around it nothing but c's. */
static bool is_chunked_among(struct weir_str s, const char *set)
{
	size_t i = 0;

	while (i < s.n && strchr(set, s.p[i])) {
		i++;
	}
	if (s.n - i < 7 || strncasecmp(s.p + i, "chunked", 7) != 0) {
		return false;
	}
	for (i += 7; i < s.n && s.p[i] && strchr(set, s.p[i]); i++) {
	}
	return i == s.n;
}

/* The field's line from its colon on, with the blanks that are no value. */
static struct weir_str rest_of_line(const struct weir_header *f)
{
	const char *p = f->name.p + f->name.n + 1;
	const char *end = memchr(p, '\r', MAX_HEAD);

	return (struct weir_str){p, end ? (size_t)(end - p) : 0};
}

static uint32_t oddities_of_field(const struct weir_header *f)
{
	struct weir_str rest = rest_of_line(f);
	uint32_t odd = 0;

	switch (f->name.n) {
	case 7:
		odd |= (uint32_t)has_token(f->name, "trailer")
		       << ODDITY_TRAILER;
		odd |= (uint32_t)has_token(f->name, "upgrade")
		       << ODDITY_UPGRADE;
		break;
	case 14: /* Content-Length */
		odd |= (uint32_t)(weir_str_find(rest, '\t') >= 0) << ODDITY_TAB;
		break;
	case 17: /* Transfer-Encoding */
		odd |= (uint32_t)is_chunked_among(rest, ", \t")
		       << ODDITY_CODING;
		break;
	case 16:
		odd |= (uint32_t)has_token(f->name, "proxy-connection")
		       << ODDITY_PROXY;
		break;
	default:
		break;
	}
	return odd;
}

static uint32_t oddities_of(const char *p, const struct weir_http1_head *h)
{
	static const char *const usual[] = {"GET",     "HEAD",   "POST",
					    "PUT",     "DELETE", "PATCH",
					    "OPTIONS", "TRACE",  "CONNECT"};
	const char *line_end = memchr(h->method.p, '\n', MAX_HEAD);
	uint32_t odd = 1u << ODDITY_METHOD;

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (weir_str_is(h->method, usual[i])) {
			odd = 0;
		}
	}
	odd |= (uint32_t)has_token(
		       (struct weir_str){h->method.p + h->method.n, 5}, " http")
	       << ODDITY_ABSOLUTE;
	odd |= (uint32_t)(*p == '\r') << ODDITY_LINE;
	if (line_end) {
		odd |= (uint32_t)(line_end[-2] > '1') << ODDITY_VERSION;
		odd |= (uint32_t)(line_end[-2] == '0') << ODDITY_HTTP10;
	}
	for (uint32_t i = 0; i < h->n_fields; i++) {
		odd |= oddities_of_field(&h->fields[i]);
	}
	return odd;
}

/* The target as it stands in the line, and the Host field's value. */
static void note_raw(const struct weir_http1_head *h, struct message *m)
{
	const char *target = h->method.p + h->method.n + 1;
	const char *end = memchr(target, ' ', MAX_HEAD);

	m->method = crc_of(h->method);
	m->target = reading_crc(0, target, end ? (size_t)(end - target) : 0);
	m->any_host = h->flags & WEIR_HEAD_ABSOLUTE;
	for (uint32_t i = 0; i < h->n_fields; i++) {
		if (h->ids[i] == WEIR_FIELD_HOST) {
			m->host = crc_of(h->fields[i].value);
		}
	}
}

static void note_sent(const struct weir_http1_head *h, struct message *m)
{
	m->method = crc_of(h->method);
	m->target = crc_of(h->path);
	if (h->query.p) {
		m->target = reading_crc(m->target, "?", 1);
		m->target = reading_crc(m->target, h->query.p, h->query.n);
	}
	m->host = crc_of(h->host);
	m->any_host = h->host.n == 0; /* the frontend's address */
}

/*
 * The body at p[0..n) in pieces.  *ret_used bytes were taken, m says what is
 * in it, out gets what is passed on.  False: refused.
 */
static bool read_body(struct weir_body *b, const char *p, size_t n,
		      uint64_t *seed, size_t *ret_used, struct message *m,
		      struct forwarded *out)
{
	struct weir_body data = *b;
	struct weir_body whole = *b;
	size_t at = 0;

	data.wants_data = true;
	whole.no_trailers = false;
	while (at < n && !b->is_done) {
		char piece[512];
		size_t k = 1 + random_next(seed) % sizeof(piece);
		size_t used;
		size_t kept;

		k = k < n - at ? k : n - at;
		memcpy(piece, p + at, k);
		if (weir_body_scan(&data, piece, k, &used, &kept) < 0) {
			return false;
		}
		m->body = reading_crc(m->body, piece, kept);
		m->body_n += (uint32_t)kept;
		memcpy(piece, p + at, k);
		if (weir_body_scan(&whole, piece, k, &used, &kept) < 0) {
			return false;
		}
		/* What is dropped beside trailers is an extension. */
		if (kept < used) {
			m->oddities |= 1u << ODDITY_EXTENSION;
		}
		memcpy(piece, p + at, k);
		if (weir_body_scan(b, piece, k, &used, &kept) < 0) {
			return false;
		}
		append(out, piece, kept);
		at += used;
	}
	*ret_used = at;
	return true;
}

/* The head at p[0..n): 0 and both readings ended, or its size. */
static size_t read_head(const char *p, size_t n, struct weir_http1_head *h,
			struct reading *raw, struct reading *sent)
{
	enum weir_http1_error e;
	size_t pos = 0;
	size_t size;

	e = weir_http1_find_request(p, n, MAX_HEAD, MAX_TARGET, &pos, &size);
	if (!e && size == 0) {
		ends(raw, END_HEAD, "");
		return 0;
	}
	if (!e) {
		e = weir_http1_parse_request(p, size, h);
	}
	if (e) {
		ends(raw, END_REFUSE, weir_http1_error_text(e));
		return 0;
	}
	memset(&raw->v[raw->n], 0, sizeof(raw->v[0]));
	memset(&sent->v[sent->n], 0, sizeof(sent->v[0]));
	note_raw(h, &raw->v[raw->n++]);
	raw->v[raw->n - 1].oddities = oddities_of(p, h);
	note_sent(h, &sent->v[sent->n]);
	sent->v[sent->n++].oddities = raw->v[raw->n - 1].oddities &
				      (1u << ODDITY_METHOD |
				       1u << ODDITY_TRAILER);
	return size;
}

void reading_of_weir(const char *p, size_t n, uint64_t seed,
		     struct reading *ret_raw, struct reading *ret_sent,
		     struct forwarded *out)
{
	static struct weir_header fields[MAX_FIELDS];
	static uint8_t ids[MAX_FIELDS];
	struct weir_http1_head h = {.fields = fields,
				    .ids = ids,
				    .max_fields = MAX_FIELDS,
				    .max_target = MAX_TARGET};
	struct reading *raw = ret_raw;
	struct reading *sent = ret_sent;

	raw->n = 0;
	sent->n = 0;
	end_both(raw, sent, END_CLEAN, "");
	while (n && raw->n < READING_MAX) {
		struct weir_body body;
		struct message *m;
		size_t size = read_head(p, n, &h, raw, sent);

		if (size == 0) {
			return;
		}
		send_head(&h, out);
		/* As in request.c. */
		weir_body_init(&body, h.framing, h.length);
		body.no_trailers = h.flags & WEIR_HEAD_NO_TRAILERS;
		m = &raw->v[raw->n - 1];
		p += size;
		n -= size;
		if (!read_body(&body, p, n, &seed, &size, m, out)) {
			end_both(raw, sent, END_BROKEN, "malformed body");
			return;
		}
		sent->v[sent->n - 1].body_n = m->body_n;
		sent->v[sent->n - 1].body = m->body;
		if (!body.is_done) {
			end_both(raw, sent, END_BODY, "");
			return;
		}
		p += size;
		n -= size;
		if (h.flags & WEIR_HEAD_CLOSE) {
			ends(raw, END_CLOSE, "");
			return;
		}
	}
}

static void send_response(const struct weir_http1_head *h, uint8_t framing,
			  struct forwarded *out)
{
	static const struct weir_rule rule;
	static const struct weir_plan plan;
	static char room[2 * MAX_HEAD];
	const struct weir_rewrite rw = {.plan = &plan, .rule = &rule};
	struct weir_str connection = framing == WEIR_FRAMING_CLOSE
					     ? WEIR_STR("close")
					     : WEIR_STR_NULL;
	struct weir_out o = {.p = room, .end = room + sizeof(room)};

	weir_rewrite_response(&rw, h, WEIR_STR("x"), connection, framing, &o);
	append(out, room, (size_t)(o.p - room));
}

/* The next response head at p[0..n): 0 and both readings ended, or its size. */
static size_t read_response_head(const char *p, size_t n,
				 struct weir_http1_head *h, struct reading *raw,
				 struct reading *sent)
{
	enum weir_http1_error e;
	size_t pos = 0;
	size_t size;

	e = weir_http1_find_end(p, n, &pos, &size);
	if (!e && (size ? size > MAX_HEAD : n >= MAX_HEAD)) {
		e = WEIR_HTTP1_HEAD_LARGE;
	}
	if (!e && size == 0) {
		ends(raw, n ? END_HEAD : END_CLEAN, "");
		return 0;
	}
	if (!e) {
		e = weir_http1_parse_response(p, size, h);
	}
	if (e || h->status == 101) {
		ends(raw, END_REFUSE,
		     e ? weir_http1_error_text(e) : "upgraded unasked");
		return 0;
	}
	memset(&raw->v[raw->n], 0, sizeof(raw->v[0]));
	raw->v[raw->n].method = h->status;
	for (uint32_t i = 0; i < h->n_fields; i++) {
		raw->v[raw->n].oddities |= oddities_of_field(&h->fields[i]);
	}
	raw->v[raw->n].oddities |= (uint32_t)(p[7] > '1') << ODDITY_VERSION;
	if (h->status < 200 && h->framing != WEIR_FRAMING_NONE) {
		raw->v[raw->n].oddities |= 1u << ODDITY_INTERIM;
	}
	sent->v[sent->n] = raw->v[raw->n];
	sent->v[sent->n++].oddities &= 1u << ODDITY_TRAILER;
	raw->n++;
	return size;
}

void reading_of_weir_response(const char *p, size_t n, bool is_head,
			      uint64_t seed, struct reading *ret_raw,
			      struct reading *ret_sent, struct forwarded *out)
{
	static struct weir_header fields[MAX_FIELDS];
	static uint8_t ids[MAX_FIELDS];
	struct weir_http1_head h = {
		.fields = fields, .ids = ids, .max_fields = MAX_FIELDS};
	struct reading *raw = ret_raw;
	struct reading *sent = ret_sent;
	struct weir_body body;
	struct message *m;
	uint8_t framing;
	size_t size;

	raw->n = 0;
	sent->n = 0;
	end_both(raw, sent, END_CLEAN, "");
	do {
		size = read_response_head(p, n, &h, raw, sent);
		if (size == 0 || raw->n == READING_MAX) {
			return;
		}
		p += size;
		n -= size;
		if (h.status < 200) {
			send_response(&h, WEIR_FRAMING_NONE, out);
		}
	} while (h.status < 200);
	/* As begin_response_body() of exchange.c. */
	framing = h.framing;
	weir_body_init(&body, framing, h.length);
	body.no_trailers = h.flags & WEIR_HEAD_NO_TRAILERS;
	if (is_head || h.status == 204 || h.status == 304) {
		weir_body_init(&body, WEIR_FRAMING_NONE, 0);
		if (h.status == 204 || framing == WEIR_FRAMING_CLOSE) {
			framing = WEIR_FRAMING_NONE;
		}
	}
	send_response(&h, framing, out);
	m = &raw->v[raw->n - 1];
	if (!read_body(&body, p, n, &seed, &size, m, out)) {
		end_both(raw, sent, END_BROKEN, "malformed body");
		return;
	}
	sent->v[sent->n - 1].body_n = m->body_n;
	sent->v[sent->n - 1].body = m->body;
	if (!body.is_done && body.framing != WEIR_FRAMING_CLOSE) {
		end_both(raw, sent, END_BODY, "");
	} else {
		ends(raw, END_CLOSE, "");
	}
}
