/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 heads, strictly (RFC 9112, RFC 9110).  Nothing is repaired: a head
 * is either exactly what the grammar allows or one of the errors below, each
 * with one answer.  No allocation; results point into the head's bytes.
 */
#ifndef WEIR_PROXY_HTTP1_H
#define WEIR_PROXY_HTTP1_H

#include "lookup.h"

/* name, status to a client, what is wrong.  In a response each is a 502. */
#define WEIR_HTTP1_ERRORS(X)                                                   \
	X(BARE_LF, 400, "line ends without CR")                                \
	X(BARE_CR, 400, "CR without LF")                                       \
	X(CONTROL, 400, "control character in the head")                       \
	X(START_LINE, 400, "malformed first line")                             \
	X(METHOD, 400, "method is not a token")                                \
	X(METHOD_REFUSED, 405, "method not allowed")                           \
	X(TARGET, 400, "malformed request target")                             \
	X(TARGET_LONG, 414, "request target too long")                         \
	X(DOT_SEGMENT, 400, "dot segment in the path")                         \
	X(VERSION_SYNTAX, 400, "malformed HTTP version")                       \
	X(VERSION, 505, "HTTP version not supported")                          \
	X(OBS_FOLD, 400, "folded header line")                                 \
	X(FIELD_NAME, 400, "malformed header name")                            \
	X(FIELD_ALIAS, 400, "header name with '_' for '-'")                    \
	X(TOO_MANY_FIELDS, 431, "too many header lines")                       \
	X(HEAD_LARGE, 431, "head too large")                                   \
	X(HOST_MISSING, 400, "no Host")                                        \
	X(HOST_REPEATED, 400, "more than one Host")                            \
	X(HOST, 400, "malformed Host")                                         \
	X(LENGTH, 400, "malformed Content-Length")                             \
	X(LENGTH_REPEATED, 400, "more than one Content-Length")                \
	X(LENGTH_AND_CODING, 400, "Content-Length with Transfer-Encoding")     \
	X(CODING_REPEATED, 400, "more than one Transfer-Encoding")             \
	X(CODING_NOT_FINAL, 400, "chunked is not the final coding")            \
	X(CODING, 501, "transfer coding not implemented")                      \
	X(CODING_IN_10, 400, "Transfer-Encoding in HTTP/1.0")                  \
	X(EXPECT, 417, "expectation not understood")                           \
	X(MAX_FORWARDS, 400, "malformed Max-Forwards")

enum weir_http1_error {
	WEIR_HTTP1_OK,
#define WEIR_HTTP1_ENUM(name, status, text) WEIR_HTTP1_##name,
	WEIR_HTTP1_ERRORS(WEIR_HTTP1_ENUM)
#undef WEIR_HTTP1_ENUM
		_WEIR_HTTP1_MAX
};

/* Fields that the proxy itself acts on. */
enum weir_field {
	WEIR_FIELD_OTHER,
	WEIR_FIELD_HOP,   /* named by Connection, or hop-by-hop by itself */
	WEIR_FIELD_ALIAS, /* one of these to whoever takes '_' for '-' */
	WEIR_FIELD_HOST,
	WEIR_FIELD_LENGTH,
	WEIR_FIELD_CODING,
	WEIR_FIELD_CONNECTION,
	WEIR_FIELD_UPGRADE,
	WEIR_FIELD_EXPECT,
	WEIR_FIELD_MAX_FORWARDS,
	WEIR_FIELD_DATE,
	WEIR_FIELD_FORWARDED_FOR,
	WEIR_FIELD_FORWARDED_PROTO,
	WEIR_FIELD_FORWARDED_HOST,
};

enum weir_framing {
	WEIR_FRAMING_NONE,
	WEIR_FRAMING_LENGTH,
	WEIR_FRAMING_CHUNKED,
	WEIR_FRAMING_CLOSE, /* responses: until the connection ends */
};

struct weir_http1_head {
	/* Where fields go; set by the caller before parsing. */
	struct weir_header *fields;
	uint8_t *ids; /* enum weir_field of each */
	uint32_t max_fields;
	uint32_t max_target; /* bytes */
	/* Results. */
	uint32_t n_fields;
	uint16_t status;       /* responses */
	uint8_t minor;         /* HTTP/1.minor */
	uint8_t framing;       /* enum weir_framing */
	uint32_t flags;        /* WEIR_HEAD_* */
	uint64_t length;       /* WEIR_FRAMING_LENGTH: of the body */
	uint32_t max_forwards; /* WEIR_HEAD_MAX_FORWARDS: as received */
	struct weir_str method;
	struct weir_str host;  /* authority as received; .p NULL: none (1.0) */
	struct weir_str path;  /* as received */
	struct weir_str query; /* without '?'; .p NULL: no '?' */
	struct weir_str reason;
	struct weir_str upgrade; /* value of the Upgrade field, if any */
	const char *fields_end;  /* of the last field's line */
};
#define WEIR_HEAD_CLOSE 1u          /* the sender will close after this */
#define WEIR_HEAD_KEEP_ALIVE 2u     /* HTTP/1.0 asking to stay */
#define WEIR_HEAD_UPGRADE 4u        /* Connection: upgrade and an Upgrade */
#define WEIR_HEAD_CONTINUE 8u       /* Expect: 100-continue */
#define WEIR_HEAD_DATE 16u          /* has a Date */
#define WEIR_HEAD_IS_HEAD 32u       /* method HEAD */
#define WEIR_HEAD_IDEMPOTENT 64u    /* RFC 9110 9.2.2 */
#define WEIR_HEAD_ABSOLUTE 128u     /* target was in absolute-form */
#define WEIR_HEAD_FORWARDED 256u    /* has some X-Forwarded-* */
#define WEIR_HEAD_MAX_FORWARDS 512u /* of an OPTIONS (RFC 9110 7.6.2) */
#define WEIR_HEAD_HTTPS 1024u       /* absolute-form of https */
#define WEIR_HEAD_NO_TRAILERS 2048u /* Connection names a field */

/*
 * Looks for the end of a head in p[0..n), going on from *pos (0 at first),
 * which it advances: every byte is looked at once however it arrives.
 * WEIR_HTTP1_OK with *ret_size = bytes of the head with its empty line, or 0
 * when it is not complete; WEIR_HTTP1_BARE_LF, or WEIR_HTTP1_BARE_CR, as soon
 * as a line ends without CR, or with two.
 */
enum weir_http1_error weir_http1_find_end(const char *p, size_t n, size_t *pos,
					  size_t *ret_size);
/*
 * The same for a request of at most max_head bytes, with a target of at most
 * max_target.  However its bytes arrive, the first fault of these is found, as
 * soon as it is there: what is no method, a target that is too long, controls
 * and bare CR or LF in the first line; lines that end without CR, or with two;
 * no end within max_head bytes.  With a size the rest is for
 * weir_http1_parse_request(), to which what is said here is known as well.
 */
enum weir_http1_error weir_http1_find_request(const char *p, size_t n,
					      uint32_t max_head,
					      uint32_t max_target, size_t *pos,
					      size_t *ret_size);
/* Parses a complete head of n bytes. */
enum weir_http1_error weir_http1_parse_request(const char *p, size_t n,
					       struct weir_http1_head *h);
/* Framing is computed for a final response to a request other than HEAD; the
 * caller overrules it for HEAD (weir_http1_no_body). */
enum weir_http1_error weir_http1_parse_response(const char *p, size_t n,
						struct weir_http1_head *h);
uint16_t weir_http1_error_status(enum weir_http1_error error);
const char *weir_http1_error_text(enum weir_http1_error error);

/* Next element of a comma-separated list, trimmed; false at the end.  Empty
 * elements are skipped (RFC 9110 5.6.1.2). */
bool weir_http1_list_next(struct weir_str *list, struct weir_str *ret_element);
bool weir_http1_is_token(struct weir_str s);
/* What is there of a request, right or wrong, asks with HEAD: no answer to it
 * has a body (RFC 9110 9.3.2). */
bool weir_http1_asks_head(const char *p, size_t n);

/* target.c */
/* Splits and checks the request target: fills path, query and, in
 * absolute-form, host. */
enum weir_http1_error weir_target_parse(struct weir_str target,
					struct weir_http1_head *h);
/* host[:port] per RFC 3986 3.2.2, without userinfo. */
bool weir_authority_is_valid(struct weir_str authority);
/* authority without port, lower case, without a trailing dot, into out (at
 * least 256 bytes).  .p NULL when it does not fit. */
struct weir_str weir_authority_host(struct weir_str authority, char *out);

#endif
