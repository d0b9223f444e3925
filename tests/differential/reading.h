/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a parser reads a stream of requests: the same few numbers from weir and
 * from every peer, so that two readings can be compared field by field.
 */
#ifndef WEIR_DIFFERENTIAL_READING_H
#define WEIR_DIFFERENTIAL_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READING_MAX 64 /* messages of a stream */

/*
 * What a message has that weir takes on purpose and others may refuse.  Found
 * by other means than weir's parser, so that a line of "allowed" excuses only
 * what it is about.
 */
#define ODDITIES(X)                                                            \
	X(METHOD, "method")       /* none of RFC 9110 9.3 or 5789 */           \
	X(VERSION, "version")     /* HTTP/1.2 and up */                        \
	X(LINE, "line")           /* an empty line before the first */         \
	X(CODING, "coding")       /* chunked among commas, blanks, tabs */     \
	X(TAB, "tab")             /* beside a Content-Length */                \
	X(EXTENSION, "extension") /* of a chunk, or blanks */                  \
	X(HTTP10, "http10")       /* and keep-alive */                         \
	X(PROXY, "proxy")         /* Proxy-Connection */                       \
	X(ABSOLUTE, "absolute")   /* form of the target */                     \
	X(UPGRADE, "upgrade")     /* to whatever */                            \
	X(TRAILER, "trailer")     /* which announces some */                   \
	X(INTERIM, "interim")     /* response, with a length or coding */

enum oddity {
#define ODDITY_ENUM(name, text) ODDITY_##name,
	ODDITIES(ODDITY_ENUM)
#undef ODDITY_ENUM
		_ODDITY_MAX
};

/* CRC-32 of what was read: enough to tell two readings apart. */
struct message {
	uint32_t method;
	uint32_t target;
	uint32_t host;
	uint32_t body_n;
	uint32_t body;
	uint32_t oddities; /* bits; weir's readings only */
	bool any_host;     /* the host has two sources: not compared */
};

/* How a reading ends. */
enum ending {
	END_CLEAN = '.',  /* between two messages */
	END_HEAD = 'H',   /* in a head that may go on */
	END_BODY = 'B',   /* in a body that may go on */
	END_CLOSE = 'C',  /* the last message was to be the last */
	END_REFUSE = 'E', /* the next head is refused */
	END_BROKEN = 'F', /* the body of the last message is refused */
	END_WHOLE = '?',  /* a peer that tells whole messages only */
};

struct reading {
	uint32_t n; /* messages, one without its end (B, F) among them */
	enum ending end;
	char reason[64]; /* of E and F, without blanks */
	struct message v[READING_MAX];
};

/* Bytes that weir would send on. */
struct forwarded {
	char *p;
	size_t n;
	size_t cap;
};

uint32_t reading_crc(uint32_t crc, const void *p, size_t n);
/*
 * Reads p[0..n) as the proxy does, bodies in pieces that seed decides: ret_raw
 * is what it read, ret_sent how it means what it would send to a backend, and
 * those bytes are appended to out.
 */
void reading_of_weir(const char *p, size_t n, uint64_t seed,
		     struct reading *ret_raw, struct reading *ret_sent,
		     struct forwarded *out);

/*
 * The same for what a backend answers to one request: its interim responses
 * and the final one.  ret_sent: as the client must read it.  A message's
 * method is the status, its target and host nothing.
 */
void reading_of_weir_response(const char *p, size_t n, bool is_head,
			      uint64_t seed, struct reading *ret_raw,
			      struct reading *ret_sent, struct forwarded *out);

#endif
