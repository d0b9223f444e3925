/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules for strings: those of the CRD schemas (patterns, lengths) and,
 * where CRDs say it in CEL, of the API's text.  All are total over any bytes.
 */
#include <errno.h>

#include "addr.h"
#include "schema.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool is_lower_alnum(char c)
{
	return is_alnum(c) && !(c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	       (c >= 'A' && c <= 'F');
}

static bool is_alpha(char c)
{
	return is_alnum(c) && !(c >= '0' && c <= '9');
}

/* One part of a DNS name, lower case. */
static bool is_part(struct weir_str s)
{
	if (s.n == 0 || !is_lower_alnum(s.p[0]) ||
	    !is_lower_alnum(s.p[s.n - 1])) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_lower_alnum(s.p[i]) && s.p[i] != '-') {
			return false;
		}
	}
	return true;
}

static bool is_label(struct weir_str s)
{
	return s.n <= 63 && is_part(s);
}

/* As the API server has it: RFC 1123, but a part may have any length
 * (validation.IsDNS1123Subdomain; names of objects, patterns of host names). */
static bool is_subdomain(struct weir_str s)
{
	if (s.n > 253) {
		return false;
	}
	for (;;) {
		ptrdiff_t dot = weir_str_find(s, '.');

		if (!is_part((struct weir_str){s.p,
					       dot < 0 ? s.n : (size_t)dot})) {
			return false;
		}
		if (dot < 0) {
			return true;
		}
		s = weir_str_skip(s, (size_t)dot + 1);
	}
}

static bool is_precise_hostname(struct weir_str s)
{
	struct weir_ip ip;

	return is_subdomain(s) && weir_ip_parse(s, &ip) < 0;
}

static bool is_hostname(struct weir_str s)
{
	if (weir_str_starts(s, WEIR_STR("*."))) {
		return s.n <= 253 && is_precise_hostname(weir_str_skip(s, 2));
	}
	return is_precise_hostname(s);
}

static bool is_group(struct weir_str s)
{
	return s.n == 0 || is_subdomain(s);
}

static bool is_kind(struct weir_str s)
{
	if (s.n == 0 || s.n > 63 || !is_alpha(s.p[0]) ||
	    !is_alnum(s.p[s.n - 1])) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) && s.p[i] != '-') {
			return false;
		}
	}
	return true;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(struct weir_str s)
{
	if (s.n == 0 || s.n > 256) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) &&
		    (s.p[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", s.p[i]))) {
			return false;
		}
	}
	return true;
}

/* RFC 9110 section 5.5; a line break here would split the message. */
static bool is_header_value(struct weir_str s)
{
	if (s.n == 0 || s.n > 4096) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7F) {
			return false;
		}
	}
	return s.p[0] != ' ' && s.p[0] != '\t' && s.p[s.n - 1] != ' ' &&
	       s.p[s.n - 1] != '\t';
}

static bool is_nonempty(struct weir_str s)
{
	return s.n > 0 && s.n <= 4096;
}

static bool has_control(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= 0x20 || c == 0x7F) {
			return true;
		}
	}
	return false;
}

static bool holds(struct weir_str s, const char *part)
{
	return s.n && memmem(s.p, s.n, part, strlen(part));
}

/* RFC 3986 pchar and '/': what else a path holds is escaped on the wire, so a
 * request would never match it. */
static bool is_path_text(struct weir_str s)
{
	static const char marks[] = "-/._~!$&'()*+,;=:@";

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%') {
			if (s.n - i < 3 || !is_hex(s.p[i + 1]) ||
			    !is_hex(s.p[i + 2])) {
				return false;
			}
		} else if (!is_alnum(s.p[i]) &&
			   !memchr(marks, s.p[i], sizeof(marks) - 1)) {
			return false;
		}
	}
	return true;
}

/* HTTPPathMatch: the CEL rules of Exact and PathPrefix. */
static bool is_path(struct weir_str s)
{
	return s.n >= 1 && s.n <= 1024 && s.p[0] == '/' && is_path_text(s) &&
	       !holds(s, "//") && !holds(s, "/./") && !holds(s, "/../") &&
	       !holds(s, "%2f") && !holds(s, "%2F") &&
	       !weir_str_ends(s, WEIR_STR("/..")) &&
	       !weir_str_ends(s, WEIR_STR("/."));
}

static bool is_rewrite_path(struct weir_str s)
{
	return s.n <= 1024 && is_path_text(s) && (s.n == 0 || s.p[0] == '/');
}

static bool is_controller(struct weir_str s)
{
	ptrdiff_t slash = weir_str_find(s, '/');

	return s.n <= 253 && slash > 0 && (size_t)slash + 1 < s.n &&
	       is_subdomain((struct weir_str){s.p, (size_t)slash}) &&
	       !has_control(s);
}

static bool is_protocol(struct weir_str s)
{
	ptrdiff_t slash = weir_str_find(s, '/');

	if (s.n > 255) {
		return false;
	}
	return slash > 0 ? is_controller(s) : is_kind(s);
}

static bool is_ip(struct weir_str s)
{
	struct weir_ip ip;

	return weir_ip_parse(s, &ip) == 0;
}

static bool is_identifier(struct weir_str s)
{
	if (s.n == 0 || (!is_alpha(s.p[0]) && s.p[0] != '_')) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) && s.p[i] != '_') {
			return false;
		}
	}
	return true;
}

static bool is_grpc_method(struct weir_str s)
{
	return s.n <= 1024 && is_identifier(s);
}

static bool is_grpc_service(struct weir_str s)
{
	if (s.n > 1024) {
		return false;
	}
	for (;;) {
		ptrdiff_t dot = weir_str_find(s, '.');

		if (!is_identifier((struct weir_str){
			    s.p, dot < 0 ? s.n : (size_t)dot})) {
			return false;
		}
		if (dot < 0) {
			return true;
		}
		s = weir_str_skip(s, (size_t)dot + 1);
	}
}

/* GEP-2257: ([0-9]{1,5}(h|m|s|ms)){1,4}. */
int weir_duration_parse(struct weir_str s, uint32_t *ret_ms)
{
	uint64_t total = 0;
	int parts = 0;

	do {
		uint64_t v = 0;
		size_t digits = 0;

		while (digits < s.n && s.p[digits] >= '0' &&
		       s.p[digits] <= '9') {
			v = v * 10 + (uint64_t)(s.p[digits] - '0');
			if (++digits > 5) {
				return -EINVAL;
			}
		}
		s = weir_str_skip(s, digits);
		if (digits == 0 || s.n == 0 || ++parts > 4) {
			return -EINVAL;
		}
		if (weir_str_starts(s, WEIR_STR("ms"))) {
			s = weir_str_skip(s, 2);
		} else if (s.p[0] == 'h' || s.p[0] == 'm' || s.p[0] == 's') {
			v *= s.p[0] == 'h'   ? 3600000
			     : s.p[0] == 'm' ? 60000
					     : 1000;
			s = weir_str_skip(s, 1);
		} else {
			return -EINVAL;
		}
		total += v;
	} while (s.n);
	/* 99999h is 11 years; what is longer than 49 days never expires. */
	*ret_ms = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
	return 0;
}

static bool is_duration(struct weir_str s)
{
	uint32_t ms;

	return weir_duration_parse(s, &ms) == 0;
}

const struct weir_format weir_format_subdomain = {
	is_subdomain,
	"a DNS name (RFC 1123: lower-case letters, digits, '-' and "
	"'.', at most 253)"};
const struct weir_format weir_format_label = {
	is_label,
	"a DNS label (RFC 1123: lower-case letters, digits and '-', at "
	"most 63)"};
const struct weir_format weir_format_hostname = {
	is_hostname,
	"a lower-case host name, also with \"*.\" as its first label, "
	"and no IP address"};
const struct weir_format weir_format_precise_hostname = {
	is_precise_hostname,
	"a lower-case host name without a wildcard, and no IP address"};
const struct weir_format weir_format_group = {
	is_group, "an API group (a DNS name, or empty for core)"};
const struct weir_format weir_format_kind = {
	is_kind, "a kind (letters, digits and '-', at most 63)"};
const struct weir_format weir_format_token = {
	is_token,
	"a name of letters, digits and !#$%&'*+-.^_`|~ (RFC 9110), at "
	"most 256"};
const struct weir_format weir_format_header_value = {
	is_header_value,
	"a header value (1 to 4096 bytes, no control characters, "
	"no blanks around it)"};
const struct weir_format weir_format_nonempty = {is_nonempty,
						 "1 to 4096 bytes"};
const struct weir_format weir_format_duration = {
	is_duration, "a duration like \"10s\" or \"1m500ms\" (GEP-2257)"};
const struct weir_format weir_format_controller = {
	is_controller, "a controller name like \"example.com/name\""};
const struct weir_format weir_format_protocol = {
	is_protocol,
	"a protocol: HTTP, HTTPS, TLS, TCP, UDP or \"domain/name\""};
const struct weir_format weir_format_path = {
	is_path, "a path of at most 1024 bytes that begins with '/', in the "
		 "characters of a URL, without \"//\", \"/./\", \"/../\", "
		 "\"%2f\", '?' or '#'"};
const struct weir_format weir_format_rewrite_path = {
	is_rewrite_path,
	"empty, or a path of at most 1024 bytes that begins with '/', in the "
	"characters of a URL, without '?' or '#'"};
const struct weir_format weir_format_ip = {is_ip, "an IPv4 or IPv6 address"};
const struct weir_format weir_format_grpc_service = {
	is_grpc_service, "a gRPC service like \"package.Service\""};
const struct weir_format weir_format_grpc_method = {is_grpc_method,
						    "a gRPC method name"};
