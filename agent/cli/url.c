/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <errno.h>

struct weir_str weir_url_host_name(struct weir_str host)
{
	ptrdiff_t end;

	if (host.n && host.p[0] == '[') {
		end = weir_str_find(host, ']');
		host.n = end < 0 ? host.n : (size_t)end;
		return weir_str_skip(host, 1);
	}
	end = weir_str_find(host, ':');
	host.n = end < 0 ? host.n : (size_t)end;
	return host;
}

/* What follows the host name: "" or ":PORT". */
static int parse_port(struct weir_str authority, uint16_t *ret_port)
{
	struct weir_str name = weir_url_host_name(authority);
	struct weir_str rest = weir_str_skip(
		authority, (size_t)(name.p - authority.p) + name.n);
	uint64_t port;

	if (authority.p[0] == '[') {
		if (rest.n == 0) {
			return -EINVAL; /* no bracket closes it */
		}
		rest = weir_str_skip(rest, 1);
	}
	if (rest.n == 0) {
		return 0;
	}
	if (rest.p[0] != ':' ||
	    weir_str_parse_u64(weir_str_skip(rest, 1), 65535, &port) < 0 ||
	    port == 0) {
		return -EINVAL;
	}
	*ret_port = (uint16_t)port;
	return 0;
}

static size_t until(struct weir_str s, const char *ends)
{
	size_t i = 0;

	while (i < s.n && !strchr(ends, s.p[i])) {
		i++;
	}
	return i;
}

int weir_url_parse(struct weir_str text, struct weir_url *ret_url)
{
	struct weir_url url = {.port = 80};
	struct weir_str authority;
	ptrdiff_t hash;
	size_t n;

	if (weir_str_starts(text, WEIR_STR("https://"))) {
		url.is_https = true;
		url.port = 443;
		text = weir_str_skip(text, 8);
	} else if (weir_str_starts(text, WEIR_STR("http://"))) {
		text = weir_str_skip(text, 7);
	} else {
		n = until(text, "/?#");
		if (weir_str_starts(weir_str_skip(text, n), WEIR_STR("//")) &&
		    n && text.p[n - 1] == ':') {
			return -EPROTONOSUPPORT;
		}
	}
	hash = weir_str_find(text, '#');
	text.n = hash < 0 ? text.n : (size_t)hash;
	n = until(text, "/?");
	authority = (struct weir_str){text.p, n};
	/* Clients keep "user@" to themselves (RFC 9110 4.2.4). */
	if (n == 0 || weir_str_find(authority, '@') >= 0 ||
	    parse_port(authority, &url.port) < 0) {
		return -EINVAL;
	}
	url.host = weir_url_host_name(authority);
	if (url.host.n == 0) {
		return -EINVAL;
	}
	text = weir_str_skip(text, n);
	n = until(text, "?");
	url.path = n ? (struct weir_str){text.p, n} : WEIR_STR("/");
	if (n < text.n) {
		url.query = weir_str_skip(text, n + 1);
	}
	*ret_url = url;
	return 0;
}

int weir_url_header(struct weir_str text, struct weir_header *ret_header)
{
	ptrdiff_t colon = weir_str_find(text, ':');
	struct weir_header h;

	if (colon <= 0) {
		return -EINVAL;
	}
	h.name = weir_str_trim((struct weir_str){text.p, (size_t)colon});
	h.value = weir_str_trim(weir_str_skip(text, (size_t)colon + 1));
	if (h.name.n == 0) {
		return -EINVAL;
	}
	*ret_header = h;
	return 0;
}
