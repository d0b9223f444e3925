/* SPDX-License-Identifier: Apache-2.0 */
/* A strict HTTP/1 response parser for weir-load; allocates only the head. */
#ifndef WEIR_HARNESS_LOAD_HTTP_H
#define WEIR_HARNESS_LOAD_HTTP_H

#include "buf.h"

enum load_http_state {
	LOAD_HTTP_HEAD,
	LOAD_HTTP_LENGTH,
	LOAD_HTTP_SIZE,
	LOAD_HTTP_DATA,
	LOAD_HTTP_CRLF,
	LOAD_HTTP_TRAILER,
	LOAD_HTTP_EOF, /* body ends with the connection */
	LOAD_HTTP_DONE,
};

struct load_response {
	enum load_http_state state;
	bool is_head;    /* answer to HEAD: no body */
	bool is_close;   /* the connection ends with it */
	bool is_pattern; /* the body so far is a..z repeated */
	unsigned int status;
	uint64_t left;
	uint64_t body_bytes;
	struct weir_buf head;    /* of the final response */
	struct weir_buf line;    /* chunk-size or trailer line being gathered */
	struct weir_str backend; /* X-Backend, inside head */
};

void load_response_reset(struct load_response *rs);
/* Takes n bytes as they come.  1: complete, with *ret_used of them; 0: wants
 * more; -EPROTO: not a response. */
int load_response_feed(struct load_response *rs, const char *p, size_t n,
		       size_t *ret_used);
/* The connection ended.  True if that completes the response. */
bool load_response_eof(struct load_response *rs);

#endif
