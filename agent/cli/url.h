/* SPDX-License-Identifier: Apache-2.0 */
/* "http://host:port/path?query", as far as explain needs it. */
#ifndef WEIR_CLI_URL_H
#define WEIR_CLI_URL_H

#include "lookup.h"

struct weir_url {
	struct weir_str host;  /* as written, without brackets */
	struct weir_str path;  /* "/" if there is none */
	struct weir_str query; /* .p NULL: no "?" */
	uint16_t port;         /* host order; 80, 443 by scheme */
	bool is_https;
};

/* The scheme may be missing (http).  -EINVAL; -EPROTONOSUPPORT for others. */
int weir_url_parse(struct weir_str text, struct weir_url *ret_url);
/* "name: value", trimmed.  -EINVAL without a name or colon. */
int weir_url_header(struct weir_str text, struct weir_header *ret_header);
/* Host header value without its port and brackets. */
struct weir_str weir_url_host_name(struct weir_str host);

#endif
