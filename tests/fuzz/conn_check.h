/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz_conn.c knows of the connections around the worker, and what must be
 * true of the bytes on them.
 */
#ifndef WEIR_TESTS_CONN_CHECK_H
#define WEIR_TESTS_CONN_CHECK_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cleanup.h"
#include "strict.h"

#define CLIENTS 8
#define BACKENDS 24
#define REQUESTS_MAX 64

/* A connection as its peer sees it. */
struct peer {
	int fd; /* -1: none, or closed by the script */
	bool was_open;
	bool is_raw;
	bool is_paused;
	bool is_done; /* its end, or a reset, was seen */
	struct weir_buf sent;
	struct weir_buf got;
	/* Backends: */
	size_t at;        /* requests before it were read */
	int owner;        /* client of the last one, -1: none */
	int index;        /* which of its requests; -1: not found yet */
	bool may_upgrade; /* it asked for that */
	bool is_tunnel;
	/* Clients: */
	uint64_t used; /* requests that a backend has seen */
};

static struct peer client[CLIENTS];
static struct peer backend[BACKENDS];
static struct weir_buf scratch[2];
static char secret[16];

/* Descriptors run out, or do no more. */
static inline void set_descriptors(bool is_short)
{
	int fd = is_short ? dup(0) : -1;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && (fd >= 0 || !is_short)) {
		l.rlim_cur = is_short ? (rlim_t)fd : l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	weir_close(&fd);
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	/* So that the input can be kept. */
	set_descriptors(false);
	for (int i = 0; i < CLIENTS; i++) {
		if (client[i].was_open) {
			fprintf(stderr, "client %d sent %zu got %zu:\n%.*s\n",
				i, client[i].sent.n, client[i].got.n,
				(int)client[i].got.n, client[i].got.p);
		}
	}
	for (int i = 0; i < BACKENDS; i++) {
		if (backend[i].was_open) {
			fprintf(stderr, "backend %d owner %d got %zu:\n%.*s\n",
				i, backend[i].owner, backend[i].got.n,
				(int)backend[i].got.n, backend[i].got.p);
		}
	}
	abort();
}

/* HTTP/2 with prior knowledge (RFC 9113 3.4) is not read here. */
static inline bool is_h2_stream(const struct weir_buf *b)
{
	return b->n >= 16 && memcmp(b->p, "PRI * HTTP/2.0\r\n", 16) == 0;
}

static inline bool is_h2(const struct peer *c)
{
	return is_h2_stream(&c->sent);
}

/* ------------------------------------------------------------ what is asked */

/* Request i of client k as far as it was sent; false: there is none. */
static inline bool request_of(int k, int i, struct strict *m,
			      struct weir_buf *data)
{
	const struct weir_buf *sent = &client[k].sent;
	size_t at = 0;

	for (int n = 0;; n++) {
		strict_request(sent->p + at, sent->n - at, true, m, data);
		if (m->head != STRICT_WHOLE) {
			return false;
		}
		if (n == i) {
			return true;
		}
		if (m->message != STRICT_WHOLE) {
			return false;
		}
		at += m->n;
	}
}

static inline bool is_idempotent(struct weir_str method)
{
	return weir_str_is(method, "GET") || weir_str_is(method, "HEAD") ||
	       weir_str_is(method, "PUT") || weir_str_is(method, "DELETE") ||
	       weir_str_is(method, "OPTIONS");
}

static inline bool is_target(const struct strict *sent, struct weir_str seen)
{
	if (sent->target.n && sent->target.p[0] != '?') {
		return weir_str_eq(sent->target, seen);
	}
	if (sent->target.n == 0 && weir_str_is(sent->method, "OPTIONS")) {
		return weir_str_is(seen, "*");
	}
	return seen.n && seen.p[0] == '/' &&
	       weir_str_eq(sent->target, weir_str_skip(seen, 1));
}

/* What came out may be what went in. */
static inline bool is_same(const struct strict *in,
			   const struct weir_buf *in_data,
			   const struct strict *out,
			   const struct weir_buf *out_data)
{
	return weir_str_eq(in->method, out->method) &&
	       is_target(in, out->target) &&
	       (!in->host.n || weir_str_eq(in->host, out->host)) &&
	       in->has_length == out->has_length && in->length == out->length &&
	       in->is_chunked == out->is_chunked && in_data->n >= out_data->n &&
	       (out_data->n == 0 ||
		memcmp(in_data->p, out_data->p, out_data->n) == 0) &&
	       (out->message != STRICT_WHOLE ||
		(in->message == STRICT_WHOLE && in_data->n == out_data->n));
}

static inline int owner_of(const struct strict *m)
{
	struct weir_str f = m->forwarded;
	static const char prefix[] = "127.0.0.4";
	size_t n = sizeof(prefix) - 1;

	if (f.n <= n || memcmp(f.p + f.n - n - 1, prefix, n) != 0) {
		return -1;
	}
	return f.p[f.n - 1] - '0';
}

/* The first request of client k that no backend has got and that may be what
 * came out; -1: none.  *ret_again: one of those that some backend has got. */
static inline int find_request(int k, const struct strict *out,
			       const struct weir_buf *out_data, int *ret_again)
{
	for (int i = 0; i < REQUESTS_MAX; i++) {
		struct strict in;

		if (!request_of(k, i, &in, &scratch[0])) {
			break;
		}
		if (!is_same(&in, &scratch[0], out, out_data)) {
			continue;
		}
		if (!(client[k].used & 1ull << i)) {
			return i;
		}
		*ret_again = i;
	}
	return -1;
}

/* Requests that begin alike are told apart by how they go on, and a paused
 * backend is not read in time: another one, which has part of a request, was
 * taken to have b's, and may as well have one that nobody has. */
static inline bool swap_with_another(struct peer *b, const struct strict *out)
{
	_cleanup_buf_ struct weir_buf data = {0};
	int k = b->owner;

	for (int i = 0; i < BACKENDS; i++) {
		struct peer *o = &backend[i];
		struct strict in;
		struct strict part;
		int again;
		int index;

		if (o == b || o->owner != k || o->index < 0 ||
		    o->index >= REQUESTS_MAX || o->may_upgrade ||
		    !request_of(k, o->index, &in, &scratch[0]) ||
		    !is_same(&in, &scratch[0], out, &scratch[1])) {
			continue;
		}
		strict_request(o->got.p + o->at, o->got.n - o->at, false, &part,
			       &data);
		index = find_request(k, &part, &data, &again);
		if (index >= 0) {
			client[k].used |= 1ull << index;
			b->index = o->index;
			o->index = index;
			return true;
		}
	}
	return false;
}

/* A head has come whole: whose is it? */
static inline void find_owner(struct peer *b, const struct strict *out)
{
	int again = -1;
	int k = owner_of(out);

	if (k < 0 || k >= CLIENTS || !client[k].was_open || client[k].is_raw) {
		die("a request of nobody");
	}
	b->owner = k;
	if (is_h2(&client[k])) {
		b->index = REQUESTS_MAX;
		return;
	}
	b->index = find_request(k, out, &scratch[1], &again);
	if (b->index >= 0) {
		client[k].used |= 1ull << b->index;
		return;
	}
	if (again >= 0 && !is_idempotent(out->method) &&
	    swap_with_another(b, out)) {
		return;
	}
	if (again < 0 || !is_idempotent(out->method)) {
		die("a request that client %d did not send%s", k,
		    again < 0 ? "" : " twice");
	}
	b->index = again;
}

/* Is what has come what its client sent?  If not, it may be another request
 * that begins alike. */
static inline void check_request(struct peer *b, const struct strict *out)
{
	struct strict in;

	if (b->index == REQUESTS_MAX ||
	    (request_of(b->owner, b->index, &in, &scratch[0]) &&
	     is_same(&in, &scratch[0], out, &scratch[1]))) {
		return;
	}
	client[b->owner].used &= ~(1ull << b->index);
	find_owner(b, out);
}

/* What follows a request that was upgraded is as it was sent. */
static inline void check_tunnel(struct peer *b)
{
	struct peer *c = b->owner >= 0 ? &client[b->owner] : NULL;
	struct strict in;
	size_t at = 0;

	if (b->is_raw) {
		if (b->owner < 0 && b->got.n) {
			b->owner = b->got.p[0] - '0';
		}
		c = b->owner >= 0 && b->owner < CLIENTS ? &client[b->owner]
							: NULL;
		if (b->got.n && (!c || !c->is_raw)) {
			die("a tunnel of nobody");
		}
		at = 0;
	} else {
		for (int i = 0; i <= b->index; i++) {
			if (!c || !request_of(b->owner, 0, &in, &scratch[0])) {
				return;
			}
		}
		/* Where the request ended in its client's stream. */
		for (int i = 0; i <= b->index; i++) {
			strict_request(c->sent.p + at, c->sent.n - at, true,
				       &in, &scratch[0]);
			at += in.n;
		}
	}
	if (b->got.n == b->at) {
		return;
	}
	if (b->got.n - b->at > c->sent.n - at ||
	    memcmp(b->got.p + b->at, c->sent.p + at, b->got.n - b->at) != 0) {
		die("bytes in a tunnel that client %d did not send", b->owner);
	}
}

/* In a status line: the secret may begin so, too. */
static inline bool has_switched(const struct weir_buf *said)
{
	static const char line[] = "HTTP/1.x 101";
	const char *p = said->p;
	const char *end = said->p + said->n;

	while (p && (p = memmem(p, (size_t)(end - p), line, 7))) {
		if ((size_t)(end - p) >= sizeof(line) - 1 &&
		    memcmp(p + 8, line + 8, 4) == 0) {
			return true;
		}
		p += 7;
	}
	return false;
}

static inline void read_requests(struct peer *b)
{
	if (is_h2_stream(&b->got)) {
		return;
	}
	while (b->at < b->got.n && !b->is_raw && !b->is_tunnel) {
		struct strict out;

		if (b->may_upgrade && has_switched(&b->sent)) {
			b->is_tunnel = true;
			break;
		}
		if (b->may_upgrade) {
			b->may_upgrade = false;
			b->index = -1;
		}
		strict_request(b->got.p + b->at, b->got.n - b->at, false, &out,
			       &scratch[1]);
		if (out.head == STRICT_BAD || out.message == STRICT_BAD) {
			die("a malformed request");
		}
		if (out.head != STRICT_WHOLE) {
			return;
		}
		if (b->index < 0) {
			find_owner(b, &out);
		}
		check_request(b, &out);
		if (out.message != STRICT_WHOLE) {
			return;
		}
		b->may_upgrade = out.is_upgrade;
		if (!b->may_upgrade) {
			b->index = -1;
		}
		b->at += out.n;
	}
	if (b->is_raw || b->is_tunnel) {
		check_tunnel(b);
	}
}

/* --------------------------------------------------------- what is answered */

static inline void check_tags(int k)
{
	const struct weir_buf *got = &client[k].got;
	size_t n = strlen(secret);
	const char *p = got->p;

	while (p && (p = memmem(p, got->n - (size_t)(p - got->p), secret, n))) {
		p += n;
		if (p < got->p + got->n && *p != '0' + k) {
			die("client %d got what was for %c", k, *p);
		}
	}
}

/* One final response to a request; false: there is no more to read. */
static inline bool check_response(int k, const struct strict *asked, size_t *at)
{
	const struct weir_buf *got = &client[k].got;
	bool to_head = asked->head == STRICT_WHOLE &&
		       weir_str_is(asked->method, "HEAD");
	struct strict m;

	do {
		strict_response(got->p + *at, got->n - *at, to_head, &m,
				&scratch[1]);
		if (m.message == STRICT_BAD) {
			die("client %d got a malformed response", k);
		}
		if (m.message != STRICT_WHOLE) {
			return false;
		}
		if (m.status < 200 && asked->head == STRICT_WHOLE &&
		    asked->minor == 0) {
			die("client %d got %u and speaks 1.0", k, m.status);
		}
		*at += m.n;
	} while (m.status < 200 && m.status != 101 && *at < got->n);
	if (m.status < 200) {
		return false;
	}
	if (m.is_closing && *at < got->n) {
		die("client %d got more after the last response", k);
	}
	return true;
}

static inline void check_client(int k)
{
	const struct peer *c = &client[k];
	struct strict asked = {.message = STRICT_WHOLE};
	size_t from = 0;
	size_t at = 0;

	check_tags(k);
	if (is_h2(c)) {
		return;
	}
	while (asked.message == STRICT_WHOLE && at < c->got.n &&
	       from < c->sent.n) {
		strict_request(c->sent.p + from, c->sent.n - from, true, &asked,
			       &scratch[0]);
		if (!check_response(k, &asked, &at)) {
			return;
		}
		from += asked.n;
	}
	if (at < c->got.n) {
		die("client %d got %zu bytes that nothing asked for", k,
		    c->got.n - at);
	}
}

#endif
