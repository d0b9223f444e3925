/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads.  The first byte chooses request or response, the second where it is
 * cut.  Properties: what is accepted is the same at any cut, and why a request
 * is not; an accepted request, written out again, is accepted again and means
 * the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "http1.h"
#include "rewrite.h"

#define MAX_FIELDS 64
#define SIZE_MAX_IN 4096
#define MAX_HEAD 2048
#define MAX_TARGET 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true) {
		abort();
	}
}

static size_t find_end(const char *p, size_t n, size_t cut,
		       enum weir_http1_error *ret_error)
{
	size_t pos = 0;
	size_t size = 0;

	*ret_error = weir_http1_find_end(p, cut < n ? cut : n, &pos, &size);
	if (*ret_error == WEIR_HTTP1_OK && size == 0) {
		*ret_error = weir_http1_find_end(p, n, &pos, &size);
	}
	return size;
}

static void rewrite_again(const struct weir_http1_head *h)
{
	static struct weir_header fields[MAX_FIELDS + 8];
	static uint8_t ids[MAX_FIELDS + 8];
	static char room[3 * SIZE_MAX_IN];
	struct weir_http1_head again = {.fields = fields,
					.ids = ids,
					.max_fields = MAX_FIELDS + 8,
					.max_target = SIZE_MAX_IN};
	static const struct weir_frontend frontend = {.port_be = 0x5000};
	static const struct weir_rule rule;
	static const struct weir_plan plan;
	struct weir_rewrite rw = {
		.plan = &plan, .frontend = &frontend, .rule = &rule};
	struct weir_out o = {.p = room, .end = room + sizeof(room)};
	enum weir_http1_error e;
	size_t size;

	weir_rewrite_request(&rw, h, &o);
	check(!o.is_full);
	size = find_end(room, (size_t)(o.p - room), SIZE_MAX, &e);
	check(!e && size == (size_t)(o.p - room));
	e = weir_http1_parse_request(room, size, &again);
	check(e == WEIR_HTTP1_OK);
	check(again.framing == h->framing && again.length == h->length);
	check(weir_str_eq(again.method, h->method));
	check(weir_str_eq(again.path, h->path));
	check(weir_str_eq(again.query, h->query));
	check(!h->host.n || weir_str_eq(again.host, h->host));
	check(!(again.flags & (WEIR_HEAD_CLOSE | WEIR_HEAD_UPGRADE)));
}

/* What is said of the request at p[0..n), which comes in pieces of that size,
 * and its own. */
static enum weir_http1_error request(const char *p, size_t n, size_t piece,
				     struct weir_http1_head *h,
				     size_t *ret_size)
{
	enum weir_http1_error e = WEIR_HTTP1_OK;
	size_t pos = 0;
	size_t at = 0;

	*ret_size = 0;
	while (!e && *ret_size == 0 && at < n) {
		at = n - at < piece ? n : at + piece;
		e = weir_http1_find_request(p, at, MAX_HEAD, MAX_TARGET, &pos,
					    ret_size);
		check(pos <= at && *ret_size <= MAX_HEAD);
	}
	if (!e && *ret_size) {
		e = weir_http1_parse_request(p, *ret_size, h);
	}
	*ret_size = e ? 0 : *ret_size;
	return e;
}

static void head(const char *p, size_t n, size_t cut, bool is_request)
{
	static struct weir_header fields[MAX_FIELDS];
	static uint8_t ids[MAX_FIELDS];
	struct weir_http1_head h = {.fields = fields,
				    .ids = ids,
				    .max_fields = MAX_FIELDS,
				    .max_target = MAX_TARGET};
	enum weir_http1_error e;
	enum weir_http1_error whole;
	size_t size = find_end(p, n, cut, &e);
	size_t size_whole;

	check(size == find_end(p, n, SIZE_MAX, &whole) && e == whole);
	if (!is_request) {
		if (!e && size) {
			(void)weir_http1_parse_response(p, size, &h);
		}
		return;
	}
	e = request(p, n, cut + 1, &h, &size);
	check(e == request(p, n, 1, &h, &size_whole) && size == size_whole);
	check(e == request(p, n, n, &h, &size_whole) && size == size_whole);
	if (!e && size) {
		rewrite_again(&h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size < 2 || size > SIZE_MAX_IN) {
		return 0;
	}
	/* An allocation of just this size: reading over its end is seen. */
	copy = malloc(size - 2 ? size - 2 : 1);
	if (!copy) {
		return 0;
	}
	memcpy(copy, data + 2, size - 2);
	head(copy, size - 2, data[1], data[0] % 3 != 1);
	weir_free_ptr(&copy);
	return 0;
}
