/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Head syntax: lines, first lines, fields; then what the fields mean for
 * framing and persistence.  The rules with consequences for smuggling are all
 * in here and in target.c: see README.md, "What is refused".
 */
#include "http1.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TCHAR 1

/* RFC 9110 5.6.2 */
static const uint8_t char_class[256] = {
	['!'] = TCHAR,         ['#'] = TCHAR,         ['$'] = TCHAR,
	['%'] = TCHAR,         ['&'] = TCHAR,         ['\''] = TCHAR,
	['*'] = TCHAR,         ['+'] = TCHAR,         ['-'] = TCHAR,
	['.'] = TCHAR,         ['^'] = TCHAR,         ['_'] = TCHAR,
	['`'] = TCHAR,         ['|'] = TCHAR,         ['~'] = TCHAR,
	['0' ... '9'] = TCHAR, ['A' ... 'Z'] = TCHAR, ['a' ... 'z'] = TCHAR,
};

static bool is_tchar(char c)
{
	return char_class[(uint8_t)c] & TCHAR;
}

bool weir_http1_asks_head(const char *p, size_t n)
{
	if (n >= 2 && p[0] == '\r' && p[1] == '\n') {
		p += 2; /* RFC 9112 2.2 */
		n -= 2;
	}
	return n >= 5 && memcmp(p, "HEAD ", 5) == 0;
}

bool weir_http1_is_token(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_tchar(s.p[i])) {
			return false;
		}
	}
	return s.n > 0;
}

uint16_t weir_http1_error_status(enum weir_http1_error error)
{
	static const uint16_t status[_WEIR_HTTP1_MAX] = {
		200,
#define ERROR_STATUS(name, status, text) status,
		WEIR_HTTP1_ERRORS(ERROR_STATUS)
#undef ERROR_STATUS
	};

	return status[error];
}

const char *weir_http1_error_text(enum weir_http1_error error)
{
	static const char *const text[_WEIR_HTTP1_MAX] = {
		"",
#define ERROR_TEXT(name, status, text) text,
		WEIR_HTTP1_ERRORS(ERROR_TEXT)
#undef ERROR_TEXT
	};

	return text[error];
}

enum weir_http1_error weir_http1_find_end(const char *p, size_t n, size_t *pos,
					  size_t *ret_size)
{
	*ret_size = 0;
	while (*pos < n) {
		const char *lf = memchr(p + *pos, '\n', n - *pos);
		size_t at;

		if (!lf) {
			*pos = n;
			return WEIR_HTTP1_OK;
		}
		at = (size_t)(lf - p);
		*pos = at + 1;
		if (at == 0 || p[at - 1] != '\r') {
			return WEIR_HTTP1_BARE_LF;
		}
		/* To some the first CR has ended the line, and what follows
		 * the head. */
		if (at >= 2 && p[at - 2] == '\r') {
			return WEIR_HTTP1_BARE_CR;
		}
		/* An empty line; one before the first line is not the end. */
		if (at >= 3 && p[at - 2] == '\n') {
			*ret_size = at + 1;
			return WEIR_HTTP1_OK;
		}
	}
	return WEIR_HTTP1_OK;
}

/* The first byte from p on that may not be in a field value: controls other
 * than HTAB, and DEL. */
static const char *value_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i last_control = _mm_set1_epi8(0x1f);
	const __m128i tab = _mm_set1_epi8('\t');
	const __m128i del = _mm_set1_epi8(0x7f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i bad = _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v);
		int mask;

		bad = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), bad);
		bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, del));
		mask = _mm_movemask_epi8(bad);
		if (mask) {
			return p + __builtin_ctz((unsigned int)mask);
		}
	}
#endif
	for (; p < end; p++) {
		uint8_t c = (uint8_t)*p;

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			break;
		}
	}
	return p;
}

/* What stopped a line at p instead of CRLF. */
static enum weir_http1_error line_fault(const char *p, const char *end)
{
	if (p < end && *p == '\n') {
		return WEIR_HTTP1_BARE_LF;
	}
	if (p < end && *p == '\r') {
		return WEIR_HTTP1_BARE_CR;
	}
	return WEIR_HTTP1_CONTROL;
}

static bool is_crlf(const char *p, const char *end)
{
	return end - p >= 2 && p[0] == '\r' && p[1] == '\n';
}

/* name: as received, any case; lit: lower case, same length. */
static bool name_is(struct weir_str name, const char *lit)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c >= 'A' && c <= 'Z') {
			c = (char)(c | 0x20);
		}
		if (c != lit[i]) {
			return false;
		}
	}
	return true;
}

/* CGI has one spelling for '-' and '_' (RFC 3875 4.1.18), and so have the
 * interfaces that came after it. */
static bool is_alias(struct weir_str name, const char *lit)
{
	for (size_t i = 0; i < name.n; i++) {
		struct weir_str one = {name.p + i, 1};

		if (!name_is(one, lit + i) &&
		    !(name.p[i] == '_' && lit[i] == '-')) {
			return false;
		}
	}
	return true;
}

static enum weir_field field_of(struct weir_str name)
{
	static const struct {
		const char *name;
		uint8_t n;
		uint8_t id;
	} known[] = {
		{"te", 2, WEIR_FIELD_HOP},
		{"host", 4, WEIR_FIELD_HOST},
		{"date", 4, WEIR_FIELD_DATE},
		{"expect", 6, WEIR_FIELD_EXPECT},
		{"upgrade", 7, WEIR_FIELD_UPGRADE},
		{"connection", 10, WEIR_FIELD_CONNECTION},
		{"keep-alive", 10, WEIR_FIELD_HOP},
		{"max-forwards", 12, WEIR_FIELD_MAX_FORWARDS},
		{"content-length", 14, WEIR_FIELD_LENGTH},
		{"http2-settings", 14, WEIR_FIELD_HOP},
		{"x-forwarded-for", 15, WEIR_FIELD_FORWARDED_FOR},
		{"proxy-connection", 16, WEIR_FIELD_HOP},
		{"x-forwarded-host", 16, WEIR_FIELD_FORWARDED_HOST},
		{"transfer-encoding", 17, WEIR_FIELD_CODING},
		{"x-forwarded-proto", 17, WEIR_FIELD_FORWARDED_PROTO},
	};
	/* First entry of each length, 0: none. */
	static const uint8_t first[18] = {
		[2] = 1,  [4] = 2,  [6] = 4,   [7] = 5,   [10] = 6,
		[12] = 8, [14] = 9, [15] = 11, [16] = 12, [17] = 14,
	};

	bool has_underscore;

	if (name.n >= sizeof(first) || !first[name.n]) {
		return WEIR_FIELD_OTHER;
	}
	has_underscore = memchr(name.p, '_', name.n) != NULL;
	for (size_t i = first[name.n] - 1u;
	     i < sizeof(known) / sizeof(known[0]) && known[i].n == name.n;
	     i++) {
		if (name_is(name, known[i].name)) {
			return known[i].id;
		}
		if (has_underscore && is_alias(name, known[i].name)) {
			return WEIR_FIELD_ALIAS;
		}
	}
	return WEIR_FIELD_OTHER;
}

/* One field line at *pp, moved behind it. */
static enum weir_http1_error parse_field(const char **pp, const char *end,
					 struct weir_http1_head *h)
{
	const char *p = *pp;
	const char *name = p;
	const char *value;
	struct weir_header *f;

	if (*p == ' ' || *p == '\t') {
		return WEIR_HTTP1_OBS_FOLD;
	}
	while (p < end && is_tchar(*p)) {
		p++;
	}
	/* RFC 9112 5.1: no whitespace between name and colon. */
	if (p == name || p == end || *p != ':') {
		return p < end && (uint8_t)*p < 0x20 && *p != '\t' &&
				       !is_crlf(p, end)
			       ? line_fault(p, end)
			       : WEIR_HTTP1_FIELD_NAME;
	}
	if (h->n_fields == h->max_fields) {
		return WEIR_HTTP1_TOO_MANY_FIELDS;
	}
	f = &h->fields[h->n_fields];
	f->name = (struct weir_str){name, (size_t)(p - name)};
	p++;
	while (p < end && (*p == ' ' || *p == '\t')) {
		p++;
	}
	value = p;
	p = value_end(p, end);
	if (!is_crlf(p, end)) {
		return line_fault(p, end);
	}
	*pp = p + 2;
	while (p > value && (p[-1] == ' ' || p[-1] == '\t')) {
		p--;
	}
	f->value = (struct weir_str){value, (size_t)(p - value)};
	h->ids[h->n_fields++] = (uint8_t)field_of(f->name);
	return WEIR_HTTP1_OK;
}

static enum weir_http1_error parse_fields(const char *p, const char *end,
					  struct weir_http1_head *h)
{
	h->n_fields = 0;
	while (p < end && !is_crlf(p, end)) {
		enum weir_http1_error e = parse_field(&p, end, h);

		if (e) {
			return e;
		}
	}
	h->fields_end = p;
	return p + 2 == end ? WEIR_HTTP1_OK : WEIR_HTTP1_START_LINE;
}

bool weir_http1_list_next(struct weir_str *list, struct weir_str *ret_element)
{
	while (list->n) {
		ptrdiff_t comma = weir_str_find(*list, ',');
		size_t n = comma < 0 ? list->n : (size_t)comma;
		struct weir_str e = weir_str_trim(
			(struct weir_str){list->p, n});

		*list = weir_str_skip(*list, comma < 0 ? n : n + 1);
		if (e.n) {
			*ret_element = e;
			return true;
		}
	}
	return false;
}

static bool element_is(struct weir_str s, const char *lit)
{
	return s.n == strlen(lit) && name_is(s, lit);
}

/* Everything that Connection names is for this hop alone (RFC 9110 7.6.1);
 * framing and Host are the proxy's own and stay with it. */
static void drop_named(struct weir_http1_head *h, struct weir_str name)
{
	for (uint32_t i = 0; i < h->n_fields; i++) {
		uint8_t id = h->ids[i];

		if ((id == WEIR_FIELD_OTHER || id >= WEIR_FIELD_EXPECT) &&
		    weir_str_eq_nocase(h->fields[i].name, name)) {
			h->ids[i] = WEIR_FIELD_HOP;
			if (id == WEIR_FIELD_DATE) {
				h->flags &= ~WEIR_HEAD_DATE;
			} else if (id == WEIR_FIELD_EXPECT) {
				h->flags &= ~WEIR_HEAD_CONTINUE;
			}
			/* At 0 this was the last hop. */
			if (id == WEIR_FIELD_MAX_FORWARDS && h->max_forwards) {
				h->flags &= ~WEIR_HEAD_MAX_FORWARDS;
			}
		}
	}
	/* Trailers of that name, too, and by then the list is gone: all go,
	 * as trailers may (RFC 9110 6.5.1).  TE is what asks for them. */
	if (!element_is(name, "te")) {
		h->flags |= WEIR_HEAD_NO_TRAILERS;
	}
}

static void read_connection(struct weir_http1_head *h, struct weir_str list)
{
	struct weir_str e;

	while (weir_http1_list_next(&list, &e)) {
		if (element_is(e, "close")) {
			h->flags |= WEIR_HEAD_CLOSE;
		} else if (element_is(e, "keep-alive")) {
			h->flags |= WEIR_HEAD_KEEP_ALIVE;
		} else if (element_is(e, "upgrade")) {
			h->flags |= WEIR_HEAD_UPGRADE;
		} else {
			drop_named(h, e);
		}
	}
}

static enum weir_http1_error read_length(struct weir_http1_head *h,
					 struct weir_str value)
{
	/* No list, no sign, no blank: RFC 9112 6.3 lets us refuse them all. */
	if (weir_str_parse_u64(value, INT64_MAX, &h->length) < 0) {
		return WEIR_HTTP1_LENGTH;
	}
	h->framing = WEIR_FRAMING_LENGTH;
	return WEIR_HTTP1_OK;
}

static enum weir_http1_error read_coding(struct weir_http1_head *h,
					 struct weir_str list)
{
	struct weir_str e;
	bool is_chunked = false;
	uint32_t n = 0;

	while (weir_http1_list_next(&list, &e)) {
		if (is_chunked) {
			return WEIR_HTTP1_CODING_NOT_FINAL;
		}
		is_chunked = element_is(e, "chunked");
		n++;
	}
	if (!is_chunked) {
		return WEIR_HTTP1_CODING_NOT_FINAL;
	}
	if (n > 1) {
		return WEIR_HTTP1_CODING;
	}
	h->framing = WEIR_FRAMING_CHUNKED;
	return WEIR_HTTP1_OK;
}

static enum weir_http1_error read_host(struct weir_http1_head *h,
				       struct weir_str value, uint32_t *seen)
{
	if ((*seen)++) {
		return WEIR_HTTP1_HOST_REPEATED;
	}
	if (!weir_authority_is_valid(value)) {
		return WEIR_HTTP1_HOST;
	}
	if (!(h->flags & WEIR_HEAD_ABSOLUTE)) {
		h->host = value;
	}
	return WEIR_HTTP1_OK;
}

/* Of OPTIONS alone; TRACE goes nowhere, and for others it says nothing (RFC
 * 9110 7.6.2).  More than fits is as much as we can count. */
static enum weir_http1_error read_max_forwards(struct weir_http1_head *h,
					       struct weir_str value)
{
	uint64_t n = 0;

	if (!weir_str_is(h->method, "OPTIONS")) {
		return WEIR_HTTP1_OK;
	}
	if (h->flags & WEIR_HEAD_MAX_FORWARDS || value.n == 0) {
		return WEIR_HTTP1_MAX_FORWARDS;
	}
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9') {
			return WEIR_HTTP1_MAX_FORWARDS;
		}
		n = n * 10 + (uint64_t)(value.p[i] - '0');
		n = n < UINT32_MAX ? n : UINT32_MAX;
	}
	h->max_forwards = (uint32_t)n;
	h->flags |= WEIR_HEAD_MAX_FORWARDS;
	return WEIR_HTTP1_OK;
}

/* HTTP/1.0 has no expectations, and nobody who would send 100: it goes no
 * further (RFC 9110 10.1.1). */
static enum weir_http1_error read_expect(struct weir_http1_head *h, uint32_t i)
{
	if (h->minor == 0) {
		h->ids[i] = WEIR_FIELD_HOP;
		return WEIR_HTTP1_OK;
	}
	if (!element_is(h->fields[i].value, "100-continue")) {
		return WEIR_HTTP1_EXPECT;
	}
	h->flags |= WEIR_HEAD_CONTINUE;
	return WEIR_HTTP1_OK;
}

/* What the fields say about the message.  is_request: Host and Expect too. */
static enum weir_http1_error read_fields(struct weir_http1_head *h,
					 bool is_request)
{
	uint32_t seen_length = 0;
	uint32_t seen_coding = 0;
	uint32_t seen_host = 0;
	bool has_connection = false;
	enum weir_http1_error e = WEIR_HTTP1_OK;

	for (uint32_t i = 0; i < h->n_fields && !e; i++) {
		struct weir_str value = h->fields[i].value;

		switch (h->ids[i]) {
		case WEIR_FIELD_LENGTH:
			e = seen_length++ ? WEIR_HTTP1_LENGTH_REPEATED
					  : read_length(h, value);
			break;
		case WEIR_FIELD_CODING:
			e = seen_coding++ ? WEIR_HTTP1_CODING_REPEATED
					  : read_coding(h, value);
			break;
		case WEIR_FIELD_HOST:
			e = is_request ? read_host(h, value, &seen_host) : e;
			break;
		case WEIR_FIELD_EXPECT:
			e = is_request ? read_expect(h, i) : e;
			break;
		case WEIR_FIELD_MAX_FORWARDS:
			e = is_request ? read_max_forwards(h, value) : e;
			break;
		case WEIR_FIELD_UPGRADE:
			h->upgrade = value;
			break;
		case WEIR_FIELD_ALIAS:
			e = is_request ? WEIR_HTTP1_FIELD_ALIAS : e;
			h->ids[i] = WEIR_FIELD_OTHER;
			break;
		case WEIR_FIELD_DATE:
			h->flags |= WEIR_HEAD_DATE;
			break;
		case WEIR_FIELD_CONNECTION:
			has_connection = true;
			break;
		case WEIR_FIELD_FORWARDED_FOR:
		case WEIR_FIELD_FORWARDED_PROTO:
		case WEIR_FIELD_FORWARDED_HOST:
			h->flags |= WEIR_HEAD_FORWARDED;
			break;
		default:
			break;
		}
	}
	if (e) {
		return e;
	}
	for (uint32_t i = 0; has_connection && i < h->n_fields; i++) {
		if (h->ids[i] == WEIR_FIELD_CONNECTION) {
			read_connection(h, h->fields[i].value);
		}
	}
	if (seen_length && seen_coding) {
		return WEIR_HTTP1_LENGTH_AND_CODING;
	}
	if (seen_coding && h->minor == 0) {
		return WEIR_HTTP1_CODING_IN_10;
	}
	if (is_request && !seen_host && h->minor > 0) {
		return WEIR_HTTP1_HOST_MISSING;
	}
	if (!h->upgrade.n) {
		h->flags &= ~WEIR_HEAD_UPGRADE;
	}
	if (h->minor == 0 && !(h->flags & WEIR_HEAD_KEEP_ALIVE)) {
		h->flags |= WEIR_HEAD_CLOSE;
	}
	return WEIR_HTTP1_OK;
}

/* "HTTP/1.1"; n bytes at p. */
static enum weir_http1_error parse_version(const char *p, size_t n,
					   uint8_t *ret_minor)
{
	if (n != 8 || memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' ||
	    p[6] != '.' || p[7] < '0' || p[7] > '9') {
		return WEIR_HTTP1_VERSION_SYNTAX;
	}
	if (p[5] != '1') {
		return WEIR_HTTP1_VERSION;
	}
	/* A higher minor version is spoken to as 1.1 (RFC 9110 2.5). */
	*ret_minor = p[7] == '0' ? 0 : 1;
	return WEIR_HTTP1_OK;
}

static void reset(struct weir_http1_head *h)
{
	h->n_fields = 0;
	h->status = 0;
	h->framing = WEIR_FRAMING_NONE;
	h->flags = 0;
	h->length = 0;
	h->host = WEIR_STR_NULL;
	h->path = WEIR_STR_NULL;
	h->query = WEIR_STR_NULL;
	h->reason = WEIR_STR_NULL;
	h->upgrade = WEIR_STR_NULL;
}

static enum weir_http1_error read_method(struct weir_http1_head *h)
{
	static const char idempotent[][8] = {"GET", "HEAD",   "OPTIONS",
					     "PUT", "DELETE", "TRACE"};
	struct weir_str m = h->method;

	for (size_t i = 0; i < sizeof(idempotent) / sizeof(idempotent[0]);
	     i++) {
		if (weir_str_is(m, idempotent[i])) {
			h->flags |= WEIR_HEAD_IDEMPOTENT;
			break;
		}
	}
	if (weir_str_is(m, "HEAD")) {
		h->flags |= WEIR_HEAD_IS_HEAD;
	}
	/* CONNECT would make the gateway a forward proxy; TRACE would show
	 * clients what the gateway adds (RFC 9110 9.3.6, 9.3.8); PRI is no
	 * method but how HTTP/2 begins (RFC 9113 3.4, 11.6). */
	return weir_str_is(m, "CONNECT") || weir_str_is(m, "TRACE") ||
			       weir_str_is(m, "PRI")
		       ? WEIR_HTTP1_METHOD_REFUSED
		       : WEIR_HTTP1_OK;
}

/* A request line, as far as it is there. */
struct request_line {
	struct weir_str method;
	struct weir_str target;
	const char *version; /* NULL: the target may go on */
	const char *end;     /* its CRLF, or where it stops */
};

/* Of what there is of a request line at p, the first fault in its bytes; none
 * yet, if it may still become a line.  Of the bytes before from there was
 * none. */
static enum weir_http1_error split_request_line(const char *p, const char *end,
						const char *from,
						uint32_t max_target,
						struct request_line *l)
{
	const char *blank = from > p ? memchr(p, ' ', (size_t)(from - p))
				     : NULL;
	const char *at = blank ? blank : from;
	bool is_sound;

	l->end = value_end(from, end);
	/* Or all there is, perhaps with half of its CRLF. */
	is_sound = is_crlf(l->end, end) || l->end == end ||
		   (*l->end == '\r' && l->end + 1 == end);
	while (at < l->end && is_tchar(*at)) {
		at++;
	}
	l->method = (struct weir_str){p, (size_t)(at - p)};
	l->target = WEIR_STR_NULL;
	l->version = NULL;
	if (at == l->end) {
		if (!is_sound) {
			return line_fault(l->end, end);
		}
		return is_crlf(l->end, end) ? WEIR_HTTP1_METHOD : WEIR_HTTP1_OK;
	}
	if (at == p || *at != ' ') {
		return WEIR_HTTP1_METHOD;
	}
	l->target.p = ++at;
	blank = memchr(at, ' ', (size_t)(l->end - at));
	l->target.n = (size_t)((blank ? blank : l->end) - at);
	l->version = blank ? blank + 1 : NULL;
	if (l->target.n > max_target) {
		return WEIR_HTTP1_TARGET_LONG;
	}
	return is_sound ? WEIR_HTTP1_OK : line_fault(l->end, end);
}

/* Request line at *pp, moved behind it. */
static enum weir_http1_error
parse_request_line(const char **pp, const char *end, struct weir_http1_head *h)
{
	struct request_line l;
	enum weir_http1_error e = split_request_line(*pp, end, *pp,
						     h->max_target, &l);

	if (e) {
		return e;
	}
	if (!l.version) {
		return WEIR_HTTP1_START_LINE;
	}
	h->method = l.method;
	e = parse_version(l.version, (size_t)(l.end - l.version), &h->minor);
	if (e) {
		return e;
	}
	e = read_method(h);
	if (e) {
		return e;
	}
	*pp = l.end + 2;
	return weir_target_parse(l.target, h);
}

/* What the first byte may be, and *pp behind the one empty line that is
 * ignored before the first (RFC 9112 2.2). */
static enum weir_http1_error begin_request(const char **pp, const char *end)
{
	const char *p = *pp;

	if (!is_tchar(*p) && *p != '\r') {
		return *p == '\n' ? WEIR_HTTP1_BARE_LF : WEIR_HTTP1_METHOD;
	}
	*pp = is_crlf(p, end) ? p + 2 : p;
	return WEIR_HTTP1_OK;
}

/* The first fault of method and target in p[0..n), if the first judged bytes
 * have none. */
static enum weir_http1_error judge_start(const char *p, size_t n, size_t judged,
					 uint32_t max_target)
{
	const char *end = p + n;
	const char *from = p + judged;
	struct request_line l;
	enum weir_http1_error e;

	e = n ? begin_request(&p, end) : WEIR_HTTP1_OK;
	if (e) {
		return e;
	}
	if (from <= p) {
		from = p;
	} else if (memchr(p, '\n', (size_t)(from - p))) {
		return WEIR_HTTP1_OK; /* the line was complete */
	} else {
		from--; /* it may be a CR */
	}
	return split_request_line(p, end, from, max_target, &l);
}

enum weir_http1_error weir_http1_find_request(const char *p, size_t n,
					      uint32_t max_head,
					      uint32_t max_target, size_t *pos,
					      size_t *ret_size)
{
	size_t judged = *pos;
	size_t size;
	enum weir_http1_error end = weir_http1_find_end(p, n, pos, &size);
	enum weir_http1_error start;

	*ret_size = size <= max_head ? size : 0;
	if (*ret_size) {
		return WEIR_HTTP1_OK; /* parsing it says the rest */
	}
	start = judge_start(p, *pos < max_head ? *pos : max_head, judged,
			    max_target);
	if (start) {
		return start;
	}
	if (*pos > max_head || (!end && *pos == max_head)) {
		return WEIR_HTTP1_HEAD_LARGE;
	}
	return end;
}

enum weir_http1_error weir_http1_parse_request(const char *p, size_t n,
					       struct weir_http1_head *h)
{
	const char *end = p + n;
	enum weir_http1_error e;

	reset(h);
	e = begin_request(&p, end);
	if (!e) {
		e = parse_request_line(&p, end, h);
	}
	if (!e) {
		e = parse_fields(p, end, h);
	}
	if (!e) {
		e = read_fields(h, true);
	}
	return e;
}

/* "HTTP/1.1 200 OK"; the blank before an empty reason may be missing, as many
 * servers have it. */
static enum weir_http1_error parse_status_line(const char **pp, const char *end,
					       struct weir_http1_head *h)
{
	const char *p = *pp;
	const char *line_end = value_end(p, end);
	enum weir_http1_error e;

	if (!is_crlf(line_end, end)) {
		return line_fault(line_end, end);
	}
	if (line_end - p < 12 || p[8] != ' ' || p[9] < '1' || p[9] > '9' ||
	    p[10] < '0' || p[10] > '9' || p[11] < '0' || p[11] > '9' ||
	    (line_end - p > 12 && p[12] != ' ')) {
		return WEIR_HTTP1_START_LINE;
	}
	e = parse_version(p, 8, &h->minor);
	if (e) {
		return e;
	}
	h->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 +
			       (p[11] - '0'));
	if (line_end - p > 13) {
		h->reason.p = p + 13;
		h->reason.n = (size_t)(line_end - p - 13);
	}
	*pp = line_end + 2;
	return WEIR_HTTP1_OK;
}

enum weir_http1_error weir_http1_parse_response(const char *p, size_t n,
						struct weir_http1_head *h)
{
	const char *end = p + n;
	enum weir_http1_error e;

	reset(h);
	e = parse_status_line(&p, end, h);
	if (!e) {
		e = parse_fields(p, end, h);
	}
	if (!e) {
		e = read_fields(h, false);
	}
	if (e) {
		return e;
	}
	/* RFC 9112 6.3: no body whatever the fields say; otherwise, without
	 * length and coding, until the connection ends. */
	if (h->status < 200 || h->status == 204 || h->status == 304) {
		if (h->framing == WEIR_FRAMING_CHUNKED && h->status != 304) {
			h->flags |= WEIR_HEAD_CLOSE;
		}
	} else if (h->framing == WEIR_FRAMING_NONE) {
		h->framing = WEIR_FRAMING_CLOSE;
	}
	return WEIR_HTTP1_OK;
}
