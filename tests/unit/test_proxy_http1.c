/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and bodies, byte by byte; whole exchanges are in tests/proxy/cases. */
#include <errno.h>

#include "addr.h"
#include "chunk.h"
#include "http1.h"
#include "rewrite.h"
#include "tap.h"

static struct weir_header fields[16];
static uint8_t ids[16];

static struct weir_http1_head new_head(void)
{
	return (struct weir_http1_head){.fields = fields,
					.ids = ids,
					.max_fields = 16,
					.max_target = 100};
}

static enum weir_http1_error parse(const char *text,
				   struct weir_http1_head *ret_h)
{
	*ret_h = new_head();
	return weir_http1_parse_request(text, strlen(text), ret_h);
}

static void end_is_found_at_any_segmentation(void)
{
	static const char text[] = "GET / HTTP/1.1\r\nA: b\r\n\r\nrest";
	size_t n = sizeof(text) - 1;

	for (size_t cut = 0; cut <= n; cut++) {
		size_t pos = 0;
		size_t size = 0;

		ok(weir_http1_find_end(text, cut, &pos, &size) == 0, "cut %zu",
		   cut);
		ok((size == 24) == (cut >= 24), "cut %zu gives %zu", cut, size);
		if (size == 0) {
			ok(weir_http1_find_end(text, n, &pos, &size) == 0 &&
				   size == 24,
			   "on from %zu gives %zu", cut, size);
		}
	}
}

static void bare_lf_and_cr_are_seen_at_once(void)
{
	size_t pos = 0;
	size_t size = 0;

	ok(weir_http1_find_end("G\n", 2, &pos, &size) == WEIR_HTTP1_BARE_LF,
	   "in the first line");
	pos = 0;
	ok(weir_http1_find_end("\n", 1, &pos, &size) == WEIR_HTTP1_BARE_LF,
	   "as the first byte");
	/* The CR came with the segment before. */
	pos = 2;
	ok(weir_http1_find_end("G\r\n", 3, &pos, &size) == 0, "CR before");
	pos = 0;
	ok(weir_http1_find_end("G\r\r\n", 4, &pos, &size) == WEIR_HTTP1_BARE_CR,
	   "two CRs");
	pos = 3;
	ok(weir_http1_find_end("G\r\r\n", 4, &pos, &size) == WEIR_HTTP1_BARE_CR,
	   "which came before");
}

#define MAX_HEAD 400

/* What is said of p[0..n), if it comes in a piece of first bytes, and then in
 * such of piece bytes. */
static enum weir_http1_error verdict(const char *p, size_t n, size_t first,
				     size_t piece, size_t *ret_size)
{
	struct weir_http1_head h = new_head();
	enum weir_http1_error e = WEIR_HTTP1_OK;
	size_t pos = 0;
	size_t size = 0;

	for (size_t at = first; !e && !size; at += piece) {
		at = at < n ? at : n;
		e = weir_http1_find_request(p, at, MAX_HEAD, h.max_target, &pos,
					    &size);
		if (at == n) {
			break;
		}
	}
	if (!e && size) {
		e = weir_http1_parse_request(p, size, &h);
	}
	*ret_size = e ? 0 : size;
	return e;
}

/* '%' stands for 120 bytes, '$' for 500. */
static size_t spread(const char *text, char *out)
{
	char *to = out;

	for (; *text; text++) {
		size_t n = *text == '%' ? 120 : *text == '$' ? 500 : 1;

		memset(to, n == 1 ? *text : 'a', n);
		to += n;
	}
	return (size_t)(to - out);
}

static void first_fault_wins_at_any_segmentation(void)
{
#define END " HTTP/1.1\r\nHost: t\r\n\r\n"
	static const struct {
		const char *text;
		enum weir_http1_error e;
	} t[] = {
		{"GET /" END, WEIR_HTTP1_OK},
		{"%%% /" END, WEIR_HTTP1_OK},
		{"$ /" END, WEIR_HTTP1_HEAD_LARGE},
		{"$", WEIR_HTTP1_HEAD_LARGE},
		{"GET /%" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /$" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /%", WEIR_HTTP1_TARGET_LONG},
		{"\r\nGET /%" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /% HTTP/2.0\r\n\r\n", WEIR_HTTP1_TARGET_LONG},
		{"TRACE /%" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /%\001" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /%\n" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /%\rx" END, WEIR_HTTP1_TARGET_LONG},
		{"GET /%" END "\n", WEIR_HTTP1_TARGET_LONG},
		{"GET /\001%" END, WEIR_HTTP1_CONTROL},
		{"GET /\n%" END, WEIR_HTTP1_BARE_LF},
		{"GET /\r%" END, WEIR_HTTP1_BARE_CR},
		{"GET /\r\r\n", WEIR_HTTP1_BARE_CR},
		{"GET /\001 HTTP/2.0\r\n\r\n", WEIR_HTTP1_CONTROL},
		{"G(T /%" END, WEIR_HTTP1_METHOD},
		{"G(T /\001" END, WEIR_HTTP1_METHOD},
		{"G(T / HTTP/1.1\n", WEIR_HTTP1_METHOD},
		{"G\001T /" END, WEIR_HTTP1_CONTROL},
		{"GET\r\n\r\n", WEIR_HTTP1_METHOD},
		{"GET\rx /" END, WEIR_HTTP1_BARE_CR},
		{" GET /" END, WEIR_HTTP1_METHOD},
		{"\026\003\001\n", WEIR_HTTP1_METHOD},
		{"\nGET /" END, WEIR_HTTP1_BARE_LF},
		{"\rGET /" END, WEIR_HTTP1_BARE_CR},
		{"\r\n\r\nGET /" END, WEIR_HTTP1_METHOD},
		{"\r\n\nGET /" END, WEIR_HTTP1_BARE_LF},
		{"GET  /%" END, WEIR_HTTP1_VERSION_SYNTAX},
		{"GET  /$" END, WEIR_HTTP1_HEAD_LARGE},
		{"GET /\r\n\r\n", WEIR_HTTP1_START_LINE},
		{"GET / HTTP/3.0\r\n\r\n", WEIR_HTTP1_VERSION},
		{"GET / HTTP/3.0\r\nX: $\r\n\r\n", WEIR_HTTP1_HEAD_LARGE},
		{"GET / HTTP/1.1\r\nX: %\n", WEIR_HTTP1_BARE_LF},
		{"GET / HTTP/1.1\r\nX: %\r\r\n", WEIR_HTTP1_BARE_CR},
		{"GET / HTTP/1.1\r\nX : %\n", WEIR_HTTP1_BARE_LF},
		{"GET / HTTP/1.1\r\nX: $\n", WEIR_HTTP1_HEAD_LARGE},
		{"GET / HTTP/1.1\r\nX: $\r\n\r\n", WEIR_HTTP1_HEAD_LARGE},
		{"GET / HTTP/1.1\r\nX: $", WEIR_HTTP1_HEAD_LARGE},
		{"GET / HTTP/1.1\r\nX : %" END, WEIR_HTTP1_FIELD_NAME},
	};
#undef END
	char text[2000];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = spread(t[i].text, text);
		size_t size;
		enum weir_http1_error e = verdict(text, n, n, n, &size);
		size_t n_other = 0;
		size_t other;

		ok(e == t[i].e, "%zu, whole: %s", i, weir_http1_error_text(e));
		for (size_t k = 1; k <= n; k++) {
			n_other += verdict(text, n, k, n, &other) != e ||
				   other != size ||
				   verdict(text, n, k, k, &other) != e ||
				   other != size;
		}
		ok(n_other == 0, "%zu: otherwise in %zu pieces", i, n_other);
	}
}

/* To the byte: what is as long as it may be, and what is one more. */
static void limits_are_the_same_at_any_segmentation(void)
{
	char text[MAX_HEAD + 64];
	size_t size;

	for (int more = 0; more < 2; more++) {
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "GET /%*s HTTP/1.1\r\nHost: t\r\n"
					    "\r\n",
					    99 + more, "");

		memset(text + 5, 'a', (size_t)(99 + more));
		for (size_t k = 1; k <= n; k++) {
			ok(verdict(text, n, k, k, &size) ==
				   (more ? WEIR_HTTP1_TARGET_LONG
					 : WEIR_HTTP1_OK),
			   "target, %d more, pieces of %zu", more, k);
		}
		n = (size_t)snprintf(text, sizeof(text),
				     "GET / HTTP/1.1\r\nHost: t\r\nX: %*s"
				     "\r\n\r\n",
				     MAX_HEAD - 32 + more, "");
		for (size_t k = 1; k <= n; k++) {
			ok(verdict(text, n, k, k, &size) ==
					   (more ? WEIR_HTTP1_HEAD_LARGE
						 : WEIR_HTTP1_OK) &&
				   n == (size_t)(MAX_HEAD + more),
			   "head of %zu, pieces of %zu", n, k);
		}
	}
}

static void request_is_taken_apart(void)
{
	struct weir_http1_head h;

	must(parse("PUT /a/b?c=d HTTP/1.1\r\nHost: X:80\r\nA:  b c \r\n"
		   "Content-Length: 7\r\nConnection: close\r\n\r\n",
		   &h) == 0,
	     "parses");
	ok(weir_str_is(h.method, "PUT"), "method");
	ok(weir_str_is(h.path, "/a/b"), "path");
	ok(weir_str_is(h.query, "c=d"), "query");
	ok(weir_str_is(h.host, "X:80"), "host");
	ok(h.n_fields == 4 && weir_str_is(h.fields[1].value, "b c"), "value");
	ok(h.framing == WEIR_FRAMING_LENGTH && h.length == 7, "length");
	ok(h.flags == (WEIR_HEAD_CLOSE | WEIR_HEAD_IDEMPOTENT), "flags %x",
	   h.flags);
}

static void every_error_has_status_and_text(void)
{
	for (int e = 1; e < _WEIR_HTTP1_MAX; e++) {
		uint16_t status = weir_http1_error_status(e);

		ok(status >= 400 && status <= 505, "%d: %u", e, status);
		ok(strlen(weir_http1_error_text(e)) > 5, "%d", e);
	}
}

/* Every byte value at every place of a value: refused or kept as it is. */
static void value_bytes_are_checked_in_every_lane(void)
{
	char text[128];

	for (int at = 0; at < 40; at++) {
		for (int c = 0; c < 256; c++) {
			struct weir_http1_head h = new_head();
			bool is_bad = (c < 0x20 && c != '\t') || c == 0x7f;
			int n = snprintf(text, sizeof(text),
					 "GET / HTTP/1.1\r\nHost: t\r\nX: %.*s",
					 40,
					 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
					 "aaaaaaaaaaaa");

			text[n - 40 + at] = (char)c;
			memcpy(text + n, "\r\n\r\n", 4);
			ok((weir_http1_parse_request(text, (size_t)n + 4, &h) !=
			    0) == is_bad,
			   "byte %02x at %d", c, at);
		}
	}
}

static void hosts_are_judged(void)
{
	static const struct {
		const char *text;
		const char *host; /* NULL: invalid */
	} t[] = {
		{"a", "a"},
		{"A.b", "a.b"},
		{"a:80", "a"},
		{"a:", "a"},
		{"a.", "a"},
		{"a..", "a.."},
		{"1.2.3.4:5", "1.2.3.4"},
		{"[::1]:80", "[::1]"},
		{"[FD00::1]", "[fd00::1]"},
		{"", NULL},
		{":80", NULL},
		{"a b", NULL},
		{"a:x", NULL},
		{"a:123456", NULL},
		{"[::1", NULL},
		{"[]", NULL},
		{"[g::1]", NULL},
		{"a/b", NULL},
		{"a@b", NULL},
		{"a,b", NULL},
		{"a:80:80", NULL},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct weir_str a = weir_str_of(t[i].text);
		bool is_valid = weir_authority_is_valid(a);
		char out[256];

		ok(is_valid == !!t[i].host, "'%s'", t[i].text);
		if (is_valid && t[i].host) {
			ok(weir_str_is(weir_authority_host(a, out), t[i].host),
			   "'%s'", t[i].text);
		}
	}
}

/* Scans text in pieces of n bytes; the kept bytes go to out. */
static int scan(const char *text, size_t piece, bool wants_data, char *out,
		struct weir_body *b)
{
	size_t n = strlen(text);
	size_t kept_all = 0;

	weir_body_init(b, WEIR_FRAMING_CHUNKED, 0);
	b->wants_data = wants_data;
	for (size_t at = 0; at < n && !b->is_done;) {
		char buffer[256];
		size_t k = n - at < piece ? n - at : piece;
		size_t used;
		size_t kept;

		memcpy(buffer, text + at, k);
		if (weir_body_scan(b, buffer, k, &used, &kept) < 0) {
			return -1;
		}
		memcpy(out + kept_all, buffer, kept);
		kept_all += kept;
		at += used;
		if (used < k) {
			break;
		}
	}
	out[kept_all] = 0;
	return (int)kept_all;
}

static void chunked_is_the_same_at_any_segmentation(void)
{
	static const char text[] = "3;a=\"x;y\\\"\"\r\nabc\r\nA \t;e\r\n"
				   "0123456789\r\n0;z\r\nX-T: v\r\n\r\nNEXT";
	static const char kept[] =
		"3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n";

	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct weir_body b;
		char out[256];

		ok(scan(text, piece, false, out, &b) == sizeof(kept) - 1 &&
			   strcmp(out, kept) == 0 && b.is_done,
		   "pieces of %zu: '%s'", piece, out);
		ok(scan(text, piece, true, out, &b) == 13 &&
			   strcmp(out, "abc0123456789") == 0 && b.is_done,
		   "data, pieces of %zu: '%s'", piece, out);
	}
}

static void chunk_extensions_are_bounded(void)
{
	static const char chunk[8] = "1;x\r\na\r\n"; /* no NUL */
	struct weir_body b;
	char text[8];
	size_t used;
	size_t kept;
	size_t i;
	int r = 0;

	weir_body_init(&b, WEIR_FRAMING_CHUNKED, 0);
	for (i = 0; i < WEIR_CHUNK_EXTRA_MAX && r == 0; i++) {
		memcpy(text, chunk, sizeof(chunk));
		r = weir_body_scan(&b, text, sizeof(text), &used, &kept);
	}
	ok(r == -EMSGSIZE && i > 1000, "%d after %zu chunks", r, i);
}

static void trailer_lines_are_bounded(void)
{
	static const char line[4] = "a:\r\n"; /* no NUL */
	struct weir_body b;
	char text[8] = "0\r\n";
	size_t used;
	size_t kept;
	size_t i = 0;
	int r;

	weir_body_init(&b, WEIR_FRAMING_CHUNKED, 0);
	r = weir_body_scan(&b, text, 3, &used, &kept);
	for (; i < WEIR_CHUNK_EXTRA_MAX && r == 0; i++) {
		memcpy(text, line, sizeof(line));
		r = weir_body_scan(&b, text, sizeof(line), &used, &kept);
	}
	ok(r == -E2BIG && i == WEIR_CHUNK_LINES_MAX + 1, "%d after %zu lines",
	   r, i);
}

static void length_takes_no_byte_too_many(void)
{
	struct weir_body b;
	char text[16] = "abcdefgh";
	size_t used;
	size_t kept;

	weir_body_init(&b, WEIR_FRAMING_LENGTH, 5);
	ok(weir_body_scan(&b, text, 3, &used, &kept) == 0 && used == 3 &&
		   kept == 3 && !b.is_done,
	   "first three");
	ok(weir_body_scan(&b, text + 3, 5, &used, &kept) == 0 && used == 2 &&
		   kept == 2 && b.is_done,
	   "then two");
	ok(weir_body_scan(&b, text + 5, 3, &used, &kept) == 0 && used == 0,
	   "then none");
}

static void what_need_not_be_looked_at(void)
{
	struct weir_body b;
	char text[] = "4\r\nabcd\r\n0\r\n\r\n";
	size_t used;
	size_t kept;

	weir_body_init(&b, WEIR_FRAMING_LENGTH, 10);
	ok(weir_body_opaque(&b) == 10, "all of a body with a length");
	weir_body_pass(&b, 4);
	ok(weir_body_opaque(&b) == 6 && !b.is_done, "less what went by");
	weir_body_pass(&b, 6);
	ok(weir_body_opaque(&b) == 0 && b.is_done, "to its end");
	weir_body_init(&b, WEIR_FRAMING_CLOSE, 0);
	weir_body_pass(&b, 1000);
	ok(weir_body_opaque(&b) == UINT64_MAX, "until the end of connection");
	weir_body_init(&b, WEIR_FRAMING_NONE, 0);
	ok(weir_body_opaque(&b) == 0, "nothing of none");
	weir_body_init(&b, WEIR_FRAMING_CHUNKED, 0);
	ok(weir_body_opaque(&b) == 0, "never a chunk's size");
	ok(weir_body_scan(&b, text, 3, &used, &kept) == 0 &&
		   weir_body_opaque(&b) == 4,
	   "but its data");
	weir_body_pass(&b, 4);
	ok(weir_body_opaque(&b) == 0 && !b.is_done, "and not what follows");
	ok(weir_body_scan(&b, text + 7, 7, &used, &kept) == 0 && b.is_done,
	   "which is looked at again");
}

static void location_without_a_host(void)
{
	static const struct weir_plan plan;
	static const struct weir_rule rule;
	static const struct weir_filter filter = {.type = WEIR_FILTER_REDIRECT};
	struct weir_frontend f = {.port_be = htons(8080)};
	struct weir_rewrite rw = {.plan = &plan, .frontend = &f, .rule = &rule};
	struct weir_http1_head h = {.path = WEIR_STR("/x")};
	char room[100];
	struct weir_out o = {.p = room, .end = room + sizeof(room)};

	ok(weir_ip_parse(WEIR_STR("2001:db8::1"), &f.addr) == 0, "address");
	weir_rewrite_location(&rw, &filter, &h, &o);
	*o.p = 0;
	ok(strcmp(room, "http://[2001:db8::1]:8080/x") == 0, "%s", room);
}

static void writer_is_bounded(void)
{
	char room[8];
	struct weir_out o = {.p = room, .end = room + sizeof(room)};

	weir_out_u64(&o, 1234567);
	ok(!o.is_full && o.p - room == 7, "seven digits");
	WEIR_OUT_LIT(&o, "ab");
	ok(o.is_full && o.p - room == 7, "no part of what does not fit");
}

TAP_MAIN(TEST(end_is_found_at_any_segmentation),
	 TEST(bare_lf_and_cr_are_seen_at_once),
	 TEST(first_fault_wins_at_any_segmentation),
	 TEST(limits_are_the_same_at_any_segmentation),
	 TEST(request_is_taken_apart), TEST(every_error_has_status_and_text),
	 TEST(value_bytes_are_checked_in_every_lane), TEST(hosts_are_judged),
	 TEST(chunked_is_the_same_at_any_segmentation),
	 TEST(chunk_extensions_are_bounded), TEST(trailer_lines_are_bounded),
	 TEST(length_takes_no_byte_too_many), TEST(what_need_not_be_looked_at),
	 TEST(location_without_a_host), TEST(writer_is_bounded))
