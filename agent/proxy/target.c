/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets and authorities.  The policy: what is matched is what is
 * forwarded, byte for byte, so nothing is normalised; dot segments, also in
 * the spellings that common servers undo, are refused, other spellings of a
 * path are not.  README.md, "Paths".
 */
#include "http1.h"

static int hex_of(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that stands at s[i], percent-encoded or not, and how many bytes
 * that takes; -1 for a broken or NUL escape. */
static int byte_at(struct weir_str s, size_t i, size_t *ret_n)
{
	int high;
	int low;

	*ret_n = 1;
	if (s.p[i] != '%') {
		return (uint8_t)s.p[i];
	}
	if (i + 2 >= s.n) {
		return -1;
	}
	high = hex_of(s.p[i + 1]);
	low = hex_of(s.p[i + 2]);
	if (high < 0 || low < 0 || (high | low) == 0) {
		return -1;
	}
	*ret_n = 3;
	return high << 4 | low;
}

/* Segments of dots only are refused whether the dots, or the slashes around
 * them, are encoded; a path parameter (";x") does not hide them, nor does a
 * backslash. */
static enum weir_http1_error check_path(struct weir_str path)
{
	uint32_t dots = 0;
	bool is_dots = true; /* only dots since the segment began */
	bool in_param = false;

	for (size_t i = 0, n; i < path.n; i += n) {
		int c = byte_at(path, i, &n);

		if (c < 0) {
			return WEIR_HTTP1_TARGET;
		}
		if (c == '/' || c == '\\') {
			if (c == '\\' && n == 1) {
				return WEIR_HTTP1_TARGET;
			}
			if (is_dots && dots > 0 && dots <= 2) {
				return WEIR_HTTP1_DOT_SEGMENT;
			}
			dots = 0;
			is_dots = true;
			in_param = false;
		} else if (c == ';') {
			in_param = true;
		} else if (!in_param && c == '.') {
			dots++;
		} else if (!in_param) {
			is_dots = false;
		}
	}
	return is_dots && dots > 0 && dots <= 2 ? WEIR_HTTP1_DOT_SEGMENT
						: WEIR_HTTP1_OK;
}

/* Most paths hold neither '.', '%' nor '\': one pass says so. */
static bool is_plain(struct weir_str path)
{
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '.' || path.p[i] == '%' || path.p[i] == '\\') {
			return false;
		}
	}
	return true;
}

static enum weir_http1_error check_query(struct weir_str query)
{
	for (size_t i = 0, n; i < query.n; i += n) {
		if (byte_at(query, i, &n) < 0) {
			return WEIR_HTTP1_TARGET;
		}
	}
	return WEIR_HTTP1_OK;
}

static enum weir_http1_error split_origin(struct weir_str target,
					  struct weir_http1_head *h)
{
	ptrdiff_t mark = weir_str_find(target, '?');

	h->path = target;
	if (mark >= 0) {
		h->path.n = (size_t)mark;
		h->query = weir_str_skip(target, (size_t)mark + 1);
		if (check_query(h->query)) {
			return WEIR_HTTP1_TARGET;
		}
	}
	return is_plain(h->path) ? WEIR_HTTP1_OK : check_path(h->path);
}

static bool has_scheme(struct weir_str target, struct weir_str scheme)
{
	return target.n > scheme.n &&
	       weir_str_eq_nocase((struct weir_str){target.p, scheme.n},
				  scheme);
}

/* RFC 9112 3.2.2: the target's authority replaces Host. */
static enum weir_http1_error split_absolute(struct weir_str target,
					    struct weir_http1_head *h)
{
	struct weir_str scheme = WEIR_STR("http://");
	struct weir_str rest;
	size_t n = 0;

	if (!has_scheme(target, scheme)) {
		scheme = WEIR_STR("https://");
		if (!has_scheme(target, scheme)) {
			return WEIR_HTTP1_TARGET;
		}
		h->flags |= WEIR_HEAD_HTTPS;
	}
	rest = weir_str_skip(target, scheme.n);
	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') {
		n++;
	}
	h->host = (struct weir_str){rest.p, n};
	h->flags |= WEIR_HEAD_ABSOLUTE;
	if (!weir_authority_is_valid(h->host)) {
		return WEIR_HTTP1_HOST;
	}
	rest = weir_str_skip(rest, n);
	if (rest.n && rest.p[0] == '/') {
		return split_origin(rest, h);
	}
	/* An empty path: "/", or "*" for OPTIONS (RFC 9112 3.2.4). */
	if (rest.n) {
		h->query = weir_str_skip(rest, 1);
		h->path = WEIR_STR("/");
		return check_query(h->query);
	}
	h->path = weir_str_is(h->method, "OPTIONS") ? WEIR_STR("*")
						    : WEIR_STR("/");
	return WEIR_HTTP1_OK;
}

enum weir_http1_error weir_target_parse(struct weir_str target,
					struct weir_http1_head *h)
{
	if (target.n == 0) {
		return WEIR_HTTP1_TARGET;
	}
	for (size_t i = 0; i < target.n; i++) {
		uint8_t c = (uint8_t)target.p[i];

		/* Blanks and controls are gone already; a fragment is never
		 * sent (RFC 9112 3.2), other bytes must be encoded. */
		if (c == '#' || c <= 0x20 || c >= 0x7f) {
			return WEIR_HTTP1_TARGET;
		}
	}
	if (target.p[0] == '/') {
		return split_origin(target, h);
	}
	if (weir_str_is(target, "*")) {
		h->path = target;
		return weir_str_is(h->method, "OPTIONS") ? WEIR_HTTP1_OK
							 : WEIR_HTTP1_TARGET;
	}
	return split_absolute(target, h);
}

static bool is_reg_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

/* Bytes of an IP literal with its brackets, or 0. */
static size_t literal_size(struct weir_str s)
{
	ptrdiff_t close = weir_str_find(s, ']');

	if (close < 3) {
		return 0;
	}
	for (ptrdiff_t i = 1; i < close; i++) {
		if (hex_of(s.p[i]) < 0 && s.p[i] != ':' && s.p[i] != '.') {
			return 0;
		}
	}
	return (size_t)close + 1;
}

static size_t host_size(struct weir_str authority)
{
	size_t n = 0;

	if (authority.n && authority.p[0] == '[') {
		return literal_size(authority);
	}
	while (n < authority.n && is_reg_name(authority.p[n])) {
		n++;
	}
	return n;
}

bool weir_authority_is_valid(struct weir_str authority)
{
	size_t n = host_size(authority);
	uint64_t port;

	/* RFC 9110 4.2.1: an empty host is not a host. */
	if (n == 0 || n > 255) {
		return false;
	}
	if (n == authority.n) {
		return true;
	}
	if (authority.p[n] != ':') {
		return false;
	}
	authority = weir_str_skip(authority, n + 1);
	/* RFC 3986 3.2.3 allows an empty port. */
	return authority.n == 0 ||
	       (authority.n <= 5 &&
		weir_str_parse_u64(authority, 65535, &port) == 0);
}

struct weir_str weir_authority_host(struct weir_str authority, char *out)
{
	size_t n = host_size(authority);

	if (n > 255) {
		return WEIR_STR_NULL;
	}
	for (size_t i = 0; i < n; i++) {
		char c = authority.p[i];

		out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	/* One dot is the root's; two are an empty label, and no name. */
	if (n > 1 && out[n - 1] == '.' && out[n - 2] != '.') {
		n--;
	}
	return (struct weir_str){out, n};
}
