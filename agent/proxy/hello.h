/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first message of a TLS connection, before anyone answers it: the server
 * name decides who does (RFC 8446 4.1.2, RFC 6066 3).  Pure.
 */
#ifndef WEIR_PROXY_HELLO_H
#define WEIR_PROXY_HELLO_H

#include <stddef.h>

#include "str.h"

#define WEIR_HELLO_MAX 16384 /* bytes of it, with record headers */
#define WEIR_HELLO_NAME_MAX 255

/*
 * Looks at p[0..n), which begins the connection.  name: where a copy of the
 * server name goes, in lower case and without a final dot, WEIR_HELLO_NAME_MAX
 * bytes.  0 with *ret_name (empty: there is none); -EAGAIN: more is needed;
 * -EBADMSG: this is no ClientHello, or no name.
 */
int weir_hello_parse(const uint8_t *p, size_t n, char *name,
		     struct weir_str *ret_name);

#endif
