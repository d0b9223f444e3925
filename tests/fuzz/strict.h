/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second reader of HTTP/1.1, for the oracles of fuzz_conn.c: it shares no
 * code with the proxy, and knows just enough to say where a message ends and
 * what it asks for.  RFC 9112 to the letter where framing is concerned, and
 * nothing is repaired; what it leaves open (paths, hosts, most of the field
 * values) cannot move the end of a message.
 */
#ifndef WEIR_TESTS_STRICT_H
#define WEIR_TESTS_STRICT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "buf.h"

enum strict_state { STRICT_WHOLE, STRICT_PART, STRICT_BAD };

struct strict {
	enum strict_state head;
	enum strict_state message; /* head and body */
	size_t head_n;             /* bytes of the head */
	size_t n;                  /* of the message; STRICT_WHOLE */
	struct weir_str method;
	struct weir_str target;
	struct weir_str
		host; /* of the target, or else the field; may be .n 0 */
	struct weir_str forwarded; /* the last X-Forwarded-For */
	unsigned minor;
	unsigned status;
	unsigned n_hosts;
	bool has_length;
	bool is_chunked;
	bool is_upgrade; /* "Connection: upgrade" */
	bool is_closing; /* "Connection: close" */
	uint64_t length;
};

static inline bool strict_token(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!strchr("!#$%&'*+-.^_`|~", s.p[i] ? s.p[i] : ' ') &&
		    !((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') &&
		    !(s.p[i] >= '0' && s.p[i] <= '9')) {
			return false;
		}
	}
	return s.n > 0;
}

/* The line at *at, without its CRLF, and *at behind it. */
static inline enum strict_state strict_line(const char *p, size_t n, size_t *at,
					    struct weir_str *ret_line)
{
	size_t i = *at;

	for (; i < n; i++) {
		uint8_t c = (uint8_t)p[i];

		if (c == '\r') {
			break;
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return STRICT_BAD;
		}
	}
	if (i + 1 >= n) {
		return STRICT_PART;
	}
	if (p[i + 1] != '\n') {
		return STRICT_BAD;
	}
	*ret_line = (struct weir_str){p + *at, i - *at};
	*at = i + 2;
	return STRICT_WHOLE;
}

static inline bool strict_is(struct weir_str s, const char *lit)
{
	return s.n == strlen(lit) && strncasecmp(s.p, lit, s.n) == 0;
}

static inline struct weir_str strict_trim(struct weir_str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s = weir_str_skip(s, 1);
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
		s.n--;
	}
	return s;
}

static inline bool strict_number(struct weir_str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || v > INT64_MAX / 10) {
			return false;
		}
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	*ret = v;
	return v <= INT64_MAX;
}

/* A list may hold what we look for beside other things. */
static inline bool strict_lists(struct weir_str list, const char *lit)
{
	while (list.n) {
		size_t n = 0;

		while (n < list.n && list.p[n] != ',') {
			n++;
		}
		if (strict_is(strict_trim((struct weir_str){list.p, n}), lit)) {
			return true;
		}
		list = weir_str_skip(list, n < list.n ? n + 1 : n);
	}
	return false;
}

static inline bool strict_field(struct strict *m, struct weir_str name,
				struct weir_str value)
{
	if (strict_is(name, "content-length")) {
		if (m->has_length || !strict_number(value, &m->length)) {
			return false;
		}
		m->has_length = true;
	} else if (strict_is(name, "transfer-encoding")) {
		if (m->is_chunked || !strict_lists(value, "chunked")) {
			return false;
		}
		m->is_chunked = true;
	} else if (strict_is(name, "host")) {
		if (!m->host.n) {
			m->host = value;
		}
		m->n_hosts++;
	} else if (strict_is(name, "connection")) {
		m->is_upgrade |= strict_lists(value, "upgrade");
		m->is_closing |= strict_lists(value, "close");
	} else if (strict_is(name, "x-forwarded-for")) {
		m->forwarded = value;
	}
	return true;
}

static inline enum strict_state strict_fields(const char *p, size_t n,
					      size_t at, struct strict *m)
{
	struct weir_str line;
	enum strict_state s;

	while ((s = strict_line(p, n, &at, &line)) == STRICT_WHOLE) {
		ptrdiff_t colon = weir_str_find(line, ':');
		struct weir_str name = {line.p, colon < 0 ? 0 : (size_t)colon};

		if (line.n == 0) {
			m->head_n = at;
			return m->has_length && m->is_chunked ? STRICT_BAD
							      : STRICT_WHOLE;
		}
		if (!strict_token(name) ||
		    !strict_field(
			    m, name,
			    strict_trim(weir_str_skip(line, name.n + 1)))) {
			return STRICT_BAD;
		}
	}
	return s;
}

static inline int strict_hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c)
			   : NULL;

	return at ? (int)(at - digits) : -1;
}

/* size [ blanks ";" anything ] */
static inline bool strict_chunk_size(struct weir_str line, bool may_extend,
				     uint64_t *ret)
{
	size_t i = 0;

	*ret = 0;
	while (i < line.n && i < 16 && strict_hex(line.p[i]) >= 0) {
		*ret = *ret << 4 | (uint64_t)strict_hex(line.p[i++]);
	}
	if (i == 0 || i == 16) {
		return false;
	}
	line = weir_str_skip(line, i);
	return line.n == 0 || (may_extend && strict_trim(line).n &&
			       strict_trim(line).p[0] == ';');
}

static inline enum strict_state strict_trailers(const char *p, size_t n,
						size_t *at)
{
	struct weir_str line;
	enum strict_state s;

	while ((s = strict_line(p, n, at, &line)) == STRICT_WHOLE && line.n) {
		ptrdiff_t colon = weir_str_find(line, ':');

		if (colon < 1 ||
		    !strict_token((struct weir_str){line.p, (size_t)colon})) {
			return STRICT_BAD;
		}
	}
	return s;
}

/* *at: behind what was read; data: the body without its framing. */
static inline enum strict_state strict_chunked(const char *p, size_t n,
					       size_t *at, bool may_extend,
					       struct weir_buf *data)
{
	for (;;) {
		struct weir_str line;
		enum strict_state s = strict_line(p, n, at, &line);
		uint64_t size;

		if (s != STRICT_WHOLE) {
			return s;
		}
		if (!strict_chunk_size(line, may_extend, &size)) {
			return STRICT_BAD;
		}
		if (size == 0) {
			return strict_trailers(p, n, at);
		}
		if (size > n - *at) {
			weir_buf_add(data, p + *at, n - *at);
			return STRICT_PART;
		}
		weir_buf_add(data, p + *at, (size_t)size);
		*at += (size_t)size;
		s = strict_line(p, n, at, &line);
		if (s != STRICT_WHOLE || line.n) {
			return s == STRICT_PART ? STRICT_PART : STRICT_BAD;
		}
	}
}

/* The body behind a head; data: as far as it is here. */
static inline void strict_body(const char *p, size_t n, bool may_extend,
			       struct strict *m, struct weir_buf *data)
{
	size_t at = m->head_n;

	data->n = 0;
	if (m->is_chunked) {
		m->message = strict_chunked(p, n, &at, may_extend, data);
	} else {
		uint64_t left = m->has_length ? m->length : 0;
		size_t here = left < n - at ? (size_t)left : n - at;

		weir_buf_add(data, p + at, here);
		at += here;
		m->message = here == left ? STRICT_WHOLE : STRICT_PART;
	}
	m->n = at;
}

/* "HTTP/1.x" */
static inline bool strict_version(struct weir_str s, unsigned *ret_minor)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/1.", 7) != 0 || s.p[7] < '0' ||
	    s.p[7] > '9') {
		return false;
	}
	*ret_minor = (unsigned)(s.p[7] - '0');
	return true;
}

/* "http://authority/path": the authority counts (RFC 9112 3.2.2). */
static inline void strict_absolute(struct strict *m)
{
	struct weir_str t = m->target;
	size_t n = 0;

	if (t.n < 7 || strncasecmp(t.p, "http://", 7) != 0) {
		return;
	}
	t = weir_str_skip(t, 7);
	while (n < t.n && t.p[n] != '/' && t.p[n] != '?') {
		n++;
	}
	m->host = (struct weir_str){t.p, n};
	m->target = weir_str_skip(t, n);
}

/* is_client: as clients may write it; else as the proxy must. */
static inline void strict_request(const char *p, size_t n, bool is_client,
				  struct strict *m, struct weir_buf *data)
{
	struct weir_str line;
	ptrdiff_t space;
	size_t at = 0;

	*m = (struct strict){.message = STRICT_PART};
	data->n = 0;
	/* RFC 9112 2.2: an empty line before the first. */
	if (is_client && n >= 2 && memcmp(p, "\r\n", 2) == 0) {
		at = 2;
	}
	m->head = strict_line(p, n, &at, &line);
	if (m->head == STRICT_WHOLE) {
		space = weir_str_find(line, ' ');
		m->method = (struct weir_str){line.p,
					      space < 0 ? 0 : (size_t)space};
		line = weir_str_skip(line, m->method.n + 1);
		space = weir_str_find(line, ' ');
		m->target = (struct weir_str){line.p,
					      space < 0 ? 0 : (size_t)space};
		line = weir_str_skip(line, m->target.n + 1);
		strict_absolute(m);
		m->head = strict_token(m->method) &&
					  strict_version(line, &m->minor) &&
					  (is_client || m->minor == 1)
				  ? strict_fields(p, n, at, m)
				  : STRICT_BAD;
	}
	if (m->head == STRICT_WHOLE &&
	    ((!is_client && m->n_hosts != 1) || m->n_hosts > 1)) {
		m->head = STRICT_BAD;
	}
	m->message = m->head;
	if (m->head == STRICT_WHOLE) {
		strict_body(p, n, is_client, m, data);
	}
}

/* As the proxy must write it.  A body that ends with the connection is all of
 * the rest: STRICT_PART. */
static inline void strict_response(const char *p, size_t n, bool to_head,
				   struct strict *m, struct weir_buf *data)
{
	struct weir_str line;
	size_t at = 0;

	*m = (struct strict){.message = STRICT_PART};
	data->n = 0;
	m->head = strict_line(p, n, &at, &line);
	if (m->head == STRICT_WHOLE) {
		uint64_t status = 0;

		if (line.n < 13 || memcmp(line.p, "HTTP/1.1 ", 9) != 0 ||
		    !strict_number((struct weir_str){line.p + 9, 3}, &status) ||
		    status < 100 || line.p[12] != ' ') {
			m->head = STRICT_BAD;
		} else {
			m->status = (unsigned)status;
			m->head = strict_fields(p, n, at, m);
		}
	}
	m->message = m->head;
	if (m->head != STRICT_WHOLE) {
		return;
	}
	if (m->status < 200 || m->status == 204 || m->status == 304 ||
	    to_head) {
		m->n = m->head_n;
	} else if (m->has_length || m->is_chunked) {
		strict_body(p, n, true, m, data);
	} else {
		weir_buf_add(data, p + m->head_n, n - m->head_n);
		m->message = STRICT_PART;
	}
}

#endif
