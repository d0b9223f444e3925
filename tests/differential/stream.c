/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h.  Each choice is an ordinary one most of the time, so that
 * streams get far enough for the odd one to matter. */
#include "stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

struct maker {
	uint64_t random;
	uint32_t odd; /* per cent of choices that are odd */
	char *p;
	size_t n;
};

struct text {
	const char *p;
	size_t n;
};

#define T(lit)                                                                 \
	{                                                                      \
		(lit), sizeof(lit) - 1                                         \
	}
#define PICK(m, table) pick((m), (table), sizeof(table) / sizeof((table)[0]))

static uint32_t below(struct maker *m, uint32_t n)
{
	return (uint32_t)(random_next(&m->random) % n);
}

static bool is_odd(struct maker *m)
{
	return below(m, 100) < m->odd;
}

static struct text pick(struct maker *m, const struct text *table, size_t n)
{
	return table[below(m, (uint32_t)n)];
}

static void put(struct maker *m, const void *p, size_t n)
{
	n = n < STREAM_MAX - m->n ? n : STREAM_MAX - m->n;
	memcpy(m->p + m->n, p, n);
	m->n += n;
}

static void put_text(struct maker *m, struct text t)
{
	put(m, t.p, t.n);
}

static void put_z(struct maker *m, const char *z)
{
	put(m, z, strlen(z));
}

static void put_eol(struct maker *m)
{
	static const struct text odd[] = {T("\n"),   T("\r"),    T("\r\r\n"),
					  T("\n\r"), T(" \r\n"), T("\t\r\n")};

	/* Refused by weir wherever they stand: rarer than other oddities. */
	if (is_odd(m) && below(m, 6) == 0) {
		put_text(m, PICK(m, odd));
	} else {
		put_z(m, "\r\n");
	}
}

static void put_line(struct maker *m)
{
	static const struct text methods[] = {
		T("GET"), T("GET"),  T("POST"),   T("POST"),
		T("PUT"), T("HEAD"), T("DELETE"), T("OPTIONS")};
	static const struct text odd_methods[] = {
		T("get"),         T("PRI"),      T("CONNECT"),  T("TRACE"),
		T("PATCH"),       T("PROPFIND"), T("M-SEARCH"), T("X"),
		T("GET\t"),       T(" GET"),     T("G@T"),      T("\r\nGET"),
		T("\r\n\r\nGET"), T("\nGET"),    T("SOURCE"),   T("\xc3\xa9"),
		T("QUERY"),       T("PURGE"),    T("0"),        T("")};
	static const struct text targets[] = {
		T("/"),  T("/a/b?c=d"), T("/%41"),  T("/a;b"),
		T("/?"), T("//x"),      T("/a//b"), T("/.x/..y")};
	static const struct text odd_targets[] = {
		T("*"),           T("http://t/x"),
		T("http://t"),    T("HTTP://u:1/?q"),
		T("t:80"),        T("/a b"),
		T("/\x80"),       T("/#f"),
		T("/../x"),       T("/%2e%2e/x"),
		T("/%00"),        T("/%"),
		T("\\"),          T("http://a@t/"),
		T("https://t/"),  T("/\x7f"),
		T("x"),           T("?q"),
		T("/\t"),         T("/\x01"),
		T("http://t:/y"), T("/a%zz"),
		T("//"),          T("/|^`{}\"<>")};
	static const struct text odd_versions[] = {
		T("HTTP/1.0"),   T("HTTP/1.0"), T("HTTP/1.2"),  T("HTTP/0.9"),
		T("HTTP/2.0"),   T("http/1.1"), T("HTTP/1.1 "), T("HTTP/01.1"),
		T("HTTP/1.10"),  T("HTTP/1."),  T("HTTP/1,1"),  T("HTP/1.1"),
		T("HTTP/1.1\t"), T("HTTP/9.9"), T("RTSP/1.1"),  T("")};

	put_text(m, is_odd(m) ? PICK(m, odd_methods) : PICK(m, methods));
	put_z(m, is_odd(m) && below(m, 4) == 0 ? "  " : " ");
	put_text(m, is_odd(m) ? PICK(m, odd_targets) : PICK(m, targets));
	put_z(m, is_odd(m) && below(m, 4) == 0 ? "\t" : " ");
	put_text(m, is_odd(m) ? PICK(m, odd_versions)
			      : (struct text)T("HTTP/1.1"));
	put_eol(m);
}

static void put_field(struct maker *m, struct text name, struct text value)
{
	static const struct text colons[] = {T(":"),   T(" :"),     T("\t:"),
					     T("::"),  T(": \t"),   T(":\t"),
					     T(":\v"), T(":\r\n "), T(":\xa0"),
					     T("\0:"), T("="),      T(":\0")};
	static const struct text behind[] = {
		T(" "),  T("\t"), T(" \t "), T(","),     T("\0"),     T("\v"),
		T("\r"), T(";"),  T("\xa0"), T("\r\n "), T(" \r\n\t")};

	if (is_odd(m) && below(m, 3) == 0) {
		put_z(m, " ");
	}
	for (size_t i = 0; i < name.n; i++) {
		bool is_letter = (name.p[i] | 0x20) >= 'a' &&
				 (name.p[i] | 0x20) <= 'z';
		char c = is_letter && is_odd(m) ? (char)(name.p[i] ^ 0x20)
						: name.p[i];

		put(m, &c, 1);
	}
	put_text(m, is_odd(m) ? PICK(m, colons) : (struct text)T(": "));
	put_text(m, value);
	if (is_odd(m)) {
		put_text(m, PICK(m, behind));
	}
	put_eol(m);
}

static void put_host(struct maker *m)
{
	static const struct text odd[] = {
		T(""),     T("t:80"),    T("[::1]"),      T("t, u"), T("a@t"),
		T("t/x"),  T("t:x"),     T("T.EXAMPLE."), T("*"),    T("t\x80"),
		T("[::1"), T("t:99999"), T("t t"),        T("-"),    T("t:")};
	struct text name = T("Host");
	struct text value = T("t");

	if (is_odd(m) && below(m, 4) == 0) {
		return;
	}
	put_field(m, name, is_odd(m) ? PICK(m, odd) : value);
	if (is_odd(m) && below(m, 4) == 0) {
		put_field(m, name, is_odd(m) ? PICK(m, odd) : value);
	}
}

static void put_other_field(struct maker *m)
{
	static const struct text names[] = {T("X"),
					    T("Accept"),
					    T("User-Agent"),
					    T("Cookie"),
					    T("Date"),
					    T("Referer"),
					    T("X-Forwarded-For"),
					    T("Cache-Control")};
	static const struct text odd_names[] = {T("Connection"),
						T("Connection"),
						T("Upgrade"),
						T("Expect"),
						T("TE"),
						T("Trailer"),
						T("Keep-Alive"),
						T("Proxy-Connection"),
						T("X-Forwarded-Host"),
						T("HTTP2-Settings"),
						T(""),
						T("X Y"),
						T("X(Y)"),
						T("\x80"),
						T("X_Y"),
						T("Content_Length"),
						T("Transfer_Encoding"),
						T("Content-Length-X"),
						T("!#$%&'*+-.^")};
	static const struct text values[] = {T("1"),
					     T("a, b"),
					     T("\"x\""),
					     T("0"),
					     T("text/html;q=0.5"),
					     T("close-ish"),
					     T("chunked"),
					     T("5")};
	static const struct text odd_values[] = {
		T("close"),
		T("keep-alive"),
		T("Close, keep-alive"),
		T("upgrade"),
		T("websocket"),
		T("h2c"),
		T("100-continue"),
		T("trailers"),
		T("Content-Length"),
		T("Transfer-Encoding"),
		T("Host, close"),
		T(""),
		T("\x80\xff"),
		T("\t"),
		T("a\0b"),
		T("a\rb"),
		T("a\nb"),
		T("\x1b"),
		T("\x7f"),
		T("a\r\n b"),
		T(", ,,"),
		T("\"close\""),
		T("upgrade, close"),
		T("a\r\nContent-Length: 3"),
		T("\nTransfer-Encoding: chunked")};

	put_field(m, is_odd(m) ? PICK(m, odd_names) : PICK(m, names),
		  is_odd(m) ? PICK(m, odd_values) : PICK(m, values));
}

/* Bytes of a body; some of them would make requests or chunks. */
static struct text body_text(struct maker *m)
{
	static const struct text bodies[] = {
		T("hello"),
		T("x"),
		T("0\r\n\r\n"),
		T("abc\r\n"),
		T("GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"),
		T("5\r\nhello\r\n0\r\n\r\n"),
		T("\r\n"),
		T("\r\n\r\n"),
		T("\0\n"),
		T("0123456789abcdef0123456789abcdef0123456789abcdef012345678"
		  "9")};

	return PICK(m, bodies);
}

static void put_length_field(struct maker *m, size_t n)
{
	static const char *const odd[] = {"+%zu",
					  "-%zu",
					  "%zu, %zu",
					  "0x%zx",
					  "%zu ",
					  "0%zu",
					  "%zu,",
					  " %zu",
					  "%zu.0",
					  "%zue0",
					  "1844674407370955161%zu",
					  "%zu\v",
					  "%zu %zu",
					  "\"%zu\"",
					  "%zu;x",
					  "",
					  "\t%zu\t",
					  "00000%zu",
					  ",%zu",
					  "9999999999999999999%zu",
					  "%zu_0",
					  "922337203685477580%zu"};
	struct text name = T("Content-Length");
	char value[80];

	if (!is_odd(m)) {
		snprintf(value, sizeof(value), "%zu", n);
	} else {
		const char *format =
			odd[below(m, sizeof(odd) / sizeof(odd[0]))];
		const char *first = strchr(format, '%');
		const char *at = first;
		size_t used = 0;

		if (!at) {
			at = format;
		}
		/* Every "%zu" or "%zx" of the format is the length. */
		used = (size_t)(at - format);
		memcpy(value, format, used);
		while (*at && used + 24 < sizeof(value)) {
			if (at[0] == '%') {
				used += (size_t)snprintf(
					value + used, sizeof(value) - used,
					at[2] == 'x' ? "%zx" : "%zu", n);
				at += 3;
			} else {
				value[used++] = *at++;
			}
		}
		value[used] = 0;
	}
	put_field(m, name, (struct text){value, strlen(value)});
}

static void put_coding_field(struct maker *m)
{
	static const struct text odd[] = {T("Chunked"),
					  T("chunked, chunked"),
					  T("gzip, chunked"),
					  T("chunked, gzip"),
					  T("identity"),
					  T("xchunked"),
					  T(""),
					  T("chunked;q=1"),
					  T("\"chunked\""),
					  T("chunked,"),
					  T(",chunked"),
					  T("chunked\0"),
					  T("\vchunked"),
					  T("chunked\v"),
					  T("chunk"),
					  T("chunked chunked"),
					  T("identity, chunked"),
					  T("chunked, identity"),
					  T("'chunked'"),
					  T("chunked\xa0"),
					  T("\x0c"
					    "chunked"),
					  T("x, chunked"),
					  T("chunked, ,"),
					  T("\tchunked\t"),
					  T("CHUNKED ")};
	struct text name = T("Transfer-Encoding");
	struct text value = T("chunked");

	put_field(m, name, is_odd(m) ? PICK(m, odd) : value);
	if (is_odd(m) && below(m, 4) == 0) {
		put_field(m, name, is_odd(m) ? PICK(m, odd) : value);
	}
}

static void put_size(struct maker *m, size_t n)
{
	static const char *const odd[] = {"0%zx",
					  "000000000000%zx",
					  "00000000000000000%zx",
					  "0x%zx",
					  "+%zx",
					  "-%zx",
					  " %zx",
					  "%zx ",
					  "%zx\t",
					  "%zxg",
					  "%zx\v",
					  "1000000000000000%zx",
					  "100000000%zx",
					  "%zX",
					  "%zx,",
					  "\"%zx\"",
					  "%zx\r",
					  "%zx\n",
					  "\r\n%zx",
					  "%zx_",
					  "%zx.0",
					  "ffffffffffffff%zx"};
	char text[64];

	if (is_odd(m)) {
		const char *format =
			odd[below(m, sizeof(odd) / sizeof(odd[0]))];
		const char *at = strchr(format, '%');

		snprintf(text, sizeof(text), "%.*s", (int)(at - format),
			 format);
		put_z(m, text);
		snprintf(text, sizeof(text), at[2] == 'X' ? "%zX" : "%zx", n);
		put_z(m, text);
		put_z(m, at + 3);
	} else {
		snprintf(text, sizeof(text), "%zx", n);
		put_z(m, text);
	}
}

static void put_extension(struct maker *m)
{
	static const struct text odd[] = {T(";"),
					  T(";a"),
					  T(";a=b"),
					  T(";a=\"b;c\""),
					  T(" ;a"),
					  T("\t;a"),
					  T(";a=\"b\\\"c\""),
					  T(";a=\"\r\n\""),
					  T(";a=\"b"),
					  T(";\0"),
					  T(";\n"),
					  T(";a\rb"),
					  T(";\x80"),
					  T(";a=\"\x80\""),
					  T("; a = b"),
					  T(";a;b;c=d"),
					  T(";5"),
					  T(" "),
					  T(";\x7f"),
					  T(";a=\"\\\r\n\"")};

	if (is_odd(m)) {
		put_text(m, PICK(m, odd));
	}
}

static void put_trailers(struct maker *m)
{
	static const struct text odd[] = {T("X: y\r\n"),
					  T("X:\r\n"),
					  T("X-Sum: \"a\"\r\nY: z\r\n"),
					  T("Content-Length: 5\r\n"),
					  T("Transfer-Encoding: chunked\r\n"),
					  T("Host: u\r\n"),
					  T(" X: y\r\n"),
					  T("X : y\r\n"),
					  T("X\r\n"),
					  T("X: y\n"),
					  T("X: \0\r\n"),
					  T("X: a\r\n b\r\n"),
					  T(": y\r\n"),
					  T("X: a\rb\r\n"),
					  T("GET / HTTP/1.1\r\n"),
					  T("\n")};

	if (is_odd(m)) {
		put_text(m, PICK(m, odd));
	}
}

static void put_chunks(struct maker *m)
{
	static const struct text odd_ends[] = {
		T("\n"), T("\r"), T(""), T("\r\r\n"), T("\n\r"), T("X\r\n")};
	uint32_t n = below(m, 4);

	for (uint32_t i = 0; i < n; i++) {
		struct text data = body_text(m);
		size_t size = data.n;

		if (is_odd(m) && below(m, 3) == 0) {
			size += below(m, 3);
			size -= below(m, 2);
		}
		put_size(m, size);
		put_extension(m);
		put_eol(m);
		put_text(m, data);
		put_text(m, is_odd(m) && below(m, 3) == 0
				    ? PICK(m, odd_ends)
				    : (struct text)T("\r\n"));
	}
	put_size(m, 0);
	put_extension(m);
	put_eol(m);
	put_trailers(m);
	put_eol(m);
}

enum framing_kind {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_BOTH,
	BODY_TWICE
};

static void put_framing(struct maker *m, enum framing_kind kind, size_t n)
{
	bool is_length_first = below(m, 2);

	if (kind == BODY_LENGTH || kind == BODY_TWICE ||
	    (kind == BODY_BOTH && is_length_first)) {
		put_length_field(m, n);
	}
	if (kind == BODY_TWICE) {
		put_length_field(m, below(m, 2) ? n : n + 1);
	}
	if (kind == BODY_CHUNKED || kind == BODY_BOTH) {
		put_coding_field(m);
	}
	if (kind == BODY_BOTH && !is_length_first) {
		put_length_field(m, n);
	}
}

static void put_request(struct maker *m)
{
	struct text body = body_text(m);
	enum framing_kind kind = is_odd(m) ? below(m, 5) : below(m, 3);
	size_t said = body.n;
	uint32_t before = below(m, 3);
	uint32_t behind = below(m, 3);
	bool is_host_first = below(m, 4);

	if (is_odd(m)) {
		said = below(m, 8);
	}
	put_line(m);
	if (is_host_first) {
		put_host(m);
	}
	while (before--) {
		put_other_field(m);
	}
	put_framing(m, kind, said);
	while (behind--) {
		put_other_field(m);
	}
	if (!is_host_first || (is_odd(m) && below(m, 4) == 0)) {
		put_host(m);
	}
	put_eol(m);
	if (kind == BODY_LENGTH || kind == BODY_TWICE) {
		put_text(m, body);
	} else if (kind != BODY_NONE) {
		put_chunks(m);
	}
}

/* One change of a few bytes, wherever it falls. */
static void mutate(struct maker *m)
{
	static const char bytes[] =
		"\r\n\t :;,0123456789abcdefx\0\v\f\x80\xff+-"
		"\"\\/?#%=";
	uint32_t at = m->n ? below(m, (uint32_t)m->n) : 0;
	uint32_t n = 1 + below(m, 4);
	char c = bytes[below(m, sizeof(bytes) - 1)];

	n = n < m->n - at ? n : (uint32_t)(m->n - at);
	switch (below(m, 4)) {
	case 0: /* remove */
		memmove(m->p + at, m->p + at + n, m->n - at - n);
		m->n -= n;
		break;
	case 1: /* replace */
		if (m->n) {
			m->p[at] = c;
		}
		break;
	case 2: /* repeat */
		if (m->n + n <= STREAM_MAX) {
			memmove(m->p + at + n, m->p + at, m->n - at);
			m->n += n;
		}
		break;
	default: /* insert */
		if (m->n < STREAM_MAX) {
			memmove(m->p + at + 1, m->p + at, m->n - at);
			m->p[at] = c;
			m->n++;
		}
		break;
	}
}

size_t stream_make(uint64_t seed, uint64_t index, const struct corpus *corpus,
		   char *p)
{
	static const uint32_t odds[] = {1, 1, 1, 2, 2, 3, 4, 12};
	struct maker m = {.random = seed * 0x100000001B3ull ^ index, .p = p};
	uint32_t n;

	if (index < corpus->n) {
		put(&m, corpus->v[index], corpus->size[index]);
		return m.n;
	}
	(void)random_next(&m.random);
	m.odd = odds[below(&m, sizeof(odds) / sizeof(odds[0]))];
	n = 1 + below(&m, 3);
	if (corpus->n && below(&m, 20) == 0) {
		uint32_t i = below(&m, corpus->n);

		put(&m, corpus->v[i], corpus->size[i]);
	}
	while (n--) {
		put_request(&m);
	}
	if (below(&m, 4) == 0) {
		for (n = 1 + below(&m, 3); n; n--) {
			mutate(&m);
		}
	}
	return m.n;
}

static void put_status_line(struct maker *m)
{
	static const struct text odd_versions[] = {
		T("HTTP/1.0"),   T("HTTP/1.2"),
		T("HTTP/2.0"),   T("http/1.1"),
		T("HTTP/1.10"),  T("ICY"),
		T("HTTP/1.1\t"), T("\r\nHTTP/1.1"),
		T("HTTP/ 1.1"),  T("")};
	static const struct text statuses[] = {T("200"), T("200"), T("200"),
					       T("204"), T("304"), T("404")};
	static const struct text odd_statuses[] = {
		T("100"),  T("103"), T("101"),  T("199"), T("205"), T("999"),
		T("600"),  T("20"),  T("2000"), T("099"), T("+20"), T("000"),
		T("200 "), T(""),    T(" 200"), T("2x0")};
	static const struct text reasons[] = {T(" OK"), T(" Not Found")};
	static const struct text odd_reasons[] = {
		T(""),   T(" "),    T(" a\tb"), T(" \x80"), T(" a\0b"),
		T("OK"), T("\tOK"), T(" a\rb"), T(" a\nb"), T(" a\x7f")};

	put_text(m, is_odd(m) ? PICK(m, odd_versions)
			      : (struct text)T("HTTP/1.1"));
	put_z(m, is_odd(m) && below(m, 4) == 0 ? "  " : " ");
	put_text(m, is_odd(m) ? PICK(m, odd_statuses) : PICK(m, statuses));
	put_text(m, is_odd(m) ? PICK(m, odd_reasons) : PICK(m, reasons));
	put_eol(m);
}

static void put_response(struct maker *m)
{
	struct text body = body_text(m);
	enum framing_kind kind = is_odd(m) ? below(m, 5) : below(m, 3);
	size_t said = is_odd(m) ? below(m, 8) : body.n;
	uint32_t before = below(m, 3);
	uint32_t behind = below(m, 3);

	if (below(m, 8) == 0) {
		put_z(m, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
	}
	put_status_line(m);
	while (before--) {
		put_other_field(m);
	}
	put_framing(m, kind, said);
	while (behind--) {
		put_other_field(m);
	}
	put_eol(m);
	if (kind == BODY_CHUNKED || kind == BODY_BOTH) {
		put_chunks(m);
	} else if (below(m, 8)) {
		put_text(m, body);
	}
}

size_t stream_make_response(uint64_t seed, uint64_t index, char *p)
{
	static const uint32_t odds[] = {1, 1, 2, 3, 4, 12};
	struct maker m = {.random = seed * 0x100000001B3ull ^ ~index, .p = p};

	(void)random_next(&m.random);
	m.odd = odds[below(&m, sizeof(odds) / sizeof(odds[0]))];
	put_z(&m, below(&m, 6) ? "G" : "H");
	put_response(&m);
	if (below(&m, 12) == 0) {
		put_response(&m); /* which nobody asked for */
	}
	if (below(&m, 5) == 0) {
		m.p++; /* not the first byte */
		m.n--;
		mutate(&m);
		m.n++;
	}
	return m.n;
}

int corpus_load(const char *file, struct corpus *ret_corpus)
{
	FILE *f = fopen(file, "re");
	struct corpus c = {0};
	uint32_t size;

	if (!f) {
		return -errno;
	}
	while (fread(&size, sizeof(size), 1, f) == 1 && size <= STREAM_MAX) {
		c.v = reallocarray(c.v, c.n + 1, sizeof(*c.v));
		c.size = reallocarray(c.size, c.n + 1, sizeof(*c.size));
		if (!c.v || !c.size) {
			abort();
		}
		c.size[c.n] = size;
		c.v[c.n] = malloc(size + 1);
		if (!c.v[c.n] || fread(c.v[c.n], 1, size, f) != size) {
			abort();
		}
		c.n++;
	}
	fclose(f);
	*ret_corpus = c;
	return 0;
}
