/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as weir-echo sees them: a strict HTTP/1 head parser of its own (what
 * a proxy sends must be right), and the commands that a path may hold.
 */
#ifndef WEIR_HARNESS_HTTP_REQUEST_H
#define WEIR_HARNESS_HTTP_REQUEST_H

#include "buf.h"

#define HTTP_BODY_KEEP 65536 /* bytes of a request body that are kept */

/* What the path asked for. */
struct http_wish {
	unsigned int status;
	unsigned int delay_ms;
	uint64_t bytes;
	bool has_bytes;
	bool is_chunked;
	bool is_eof;
	bool is_echo;
	bool is_close;
	bool is_abort;
	bool is_truncated;
	bool is_interim;
};

struct http_request {
	struct weir_buf head;
	struct weir_buf trailer;
	struct weir_buf body; /* its first HTTP_BODY_KEEP bytes */
	uint64_t body_bytes;
	uint64_t left; /* of the body or the chunk */
	struct weir_str method;
	struct weir_str target;
	unsigned int minor;
	bool is_body_chunked;
	bool is_body_pattern;
	bool is_keep_alive;
	bool wants_continue;
	struct http_wish wish;
};

void http_request_reset(struct http_request *rq);
/* rq->head holds a whole head.  Fills the rest; NULL, or what is wrong. */
const char *http_request_parse(struct http_request *rq);
/* Counts and checks the next bytes of the body. */
void http_request_body(struct http_request *rq, struct weir_str s);
/* Hexadecimal digits up to ';' or '\r'.  False if there are none, too many or
 * others. */
bool http_chunk_size(struct weir_str line, uint64_t *ret_size);
/* The text before the first sep, or all of it; *text is what follows. */
struct weir_str http_next_word(struct weir_str *text, char sep);

#endif
