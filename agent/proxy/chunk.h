/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message bodies while they pass by: where the body ends, and nothing but the
 * body.  Content-Length counts; chunked is checked byte by byte (RFC 9112
 * 7.1) and re-written in place, without chunk extensions (7.1.1: hop-by-hop),
 * or without any framing for an HTTP/1.0 client.
 */
#ifndef WEIR_PROXY_CHUNK_H
#define WEIR_PROXY_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct weir_body {
	uint64_t left;   /* bytes of data still to come, of body or chunk */
	uint8_t framing; /* enum weir_framing */
	uint8_t state;
	bool is_done;
	bool wants_data;    /* chunked: keep only the data */
	bool wants_trailer; /* and behind it the lines of trailers */
	bool no_trailers;   /* chunked: drop them */
	uint16_t trailer_n; /* bytes of them so far */
	uint8_t digits;     /* of the chunk size so far */
	uint8_t name_n;     /* of the trailer field name so far */
	uint16_t lines;     /* of trailers so far */
	uint16_t extra;     /* bytes of extensions and trailers so far */
	char name[20];      /* lower case, as far as it fits */
};

#define WEIR_CHUNK_EXTRA_MAX 16384 /* extensions and trailers of one body */
#define WEIR_CHUNK_LINES_MAX 512   /* of its trailers */

void weir_body_init(struct weir_body *b, uint8_t framing, uint64_t length);
/*
 * Takes bytes of the body from p[0..n).  *ret_used of them were taken, and
 * *ret_kept bytes are now at p to be forwarded (fewer where something was
 * removed).  b->is_done is set with the last byte.  0, -EBADMSG, -EMSGSIZE:
 * more than WEIR_CHUNK_EXTRA_MAX that is no data, or -E2BIG: more trailers than
 * WEIR_CHUNK_LINES_MAX.
 */
int weir_body_scan(struct weir_body *b, char *p, size_t n, size_t *ret_used,
		   size_t *ret_kept);
/* What is said of them. */
const char *weir_body_error_text(int error);
/* Bytes from here on that are data and need not be looked at; UINT64_MAX: all
 * until the connection ends. */
uint64_t weir_body_opaque(const struct weir_body *b);
/* May a field of that name come after the body (RFC 9110 6.5.1)? */
bool weir_body_may_trail(struct weir_str name);
/* n of them went by, n <= weir_body_opaque(b). */
void weir_body_pass(struct weir_body *b, uint64_t n);

#endif
