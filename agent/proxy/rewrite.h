/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads as they leave: hop-by-hop fields gone, framing and Host our own,
 * filters applied, X-Forwarded-* appended.  Pure: bytes in, bytes out.
 */
#ifndef WEIR_PROXY_REWRITE_H
#define WEIR_PROXY_REWRITE_H

#include "http1.h"

/* A bounded writer; is_full is sticky. */
struct weir_out {
	char *p;
	char *end;
	bool is_full;
};

static inline void weir_out_put(struct weir_out *o, const void *p, size_t n)
{
	if ((size_t)(o->end - o->p) < n) {
		o->is_full = true;
		return;
	}
	memcpy(o->p, p, n);
	o->p += n;
}

static inline void weir_out_str(struct weir_out *o, struct weir_str s)
{
	if (s.n) {
		weir_out_put(o, s.p, s.n);
	}
}

#define WEIR_OUT_LIT(o, lit) weir_out_put((o), (lit), sizeof(lit) - 1)

void weir_out_u64(struct weir_out *o, uint64_t v);

struct weir_rewrite {
	const struct weir_plan *plan;
	const struct weir_frontend *frontend;
	const struct weir_rule *rule; /* of a response NULL: no filters */
	const struct weir_ref *ref;   /* NULL: none yet (redirect) */
	struct weir_ip peer;          /* the client */
	bool keeps_upgrade;           /* pass Upgrade on */
	bool wants_trailers;          /* say so to the backend (TE) */
	bool is_reported; /* "K-Proxy-Request: activator": activate.h */
	bool is_https;    /* what the client speaks */
};

/* The request for the upstream, from a parsed head. */
void weir_rewrite_request(const struct weir_rewrite *rw,
			  const struct weir_http1_head *h, struct weir_out *o);
/* A response head for the client.  date: added if there is none; connection:
 * "close", "keep-alive", "upgrade" or empty; framing: of what will follow. */
void weir_rewrite_response(const struct weir_rewrite *rw,
			   const struct weir_http1_head *h,
			   struct weir_str date, struct weir_str connection,
			   uint8_t framing, struct weir_out *o);
/* The Location that filter asks for. */
void weir_rewrite_location(const struct weir_rewrite *rw,
			   const struct weir_filter *filter,
			   const struct weir_http1_head *h, struct weir_out *o);
/* The first filter of that type of the rule, then of the ref, or NULL. */
const struct weir_filter *weir_rewrite_filter(const struct weir_rewrite *rw,
					      uint32_t type);

#endif
