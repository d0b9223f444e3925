/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log: a line of JSON for each request, and for each raw
 * connection.  Off by default: then weir_client.access stays NULL, and all of
 * this is one comparison a request.  README.md, "Access log", has the fields.
 */
#ifndef WEIR_PROXY_ACCESS_H
#define WEIR_PROXY_ACCESS_H

#include "conn.h"

#define WEIR_ACCESS_HEAD_MAX 2560

/* What the line will say, from the head of the request on: its bytes are gone
 * when the response ends. */
struct weir_access {
	struct weir_access *next; /* free list */
	uint64_t received_before; /* of the client's end */
	uint64_t sent_before;
	uint64_t connect_us;   /* when the connect began */
	uint64_t connected_us; /* 0: from the pool, or not at all */
	uint64_t response_us;  /* when the backend's head was complete */
	struct weir_ip endpoint;
	__be16 endpoint_port_be; /* 0: none was asked */
	uint8_t reason;          /* enum weir_proxy_reason; _MAX: none */
	const char *detail;      /* static */
	uint32_t n;
	char head[WEIR_ACCESS_HEAD_MAX]; /* members, with commas before them */
};

/* For a request whose head is the first size bytes of c->in.  h: NULL if it
 * did not parse; then the line has its first line as it came. */
void weir_access_begin(struct weir_worker *w, struct weir_client *c,
		       const struct weir_http1_head *h, size_t size);
/* Writes the line; c->rule, ref and plan are still there. */
void weir_access_end(struct weir_worker *w, struct weir_client *c);
void weir_access_free_all(struct weir_access **list);

/* Counts the reason, and notes it. */
void weir_access_count(struct weir_worker *w, struct weir_client *c,
		       uint32_t reason, const char *detail);

/* Why it ends as it does; the first reason stands.  detail: static. */
static inline void weir_access_reason(struct weir_client *c, uint32_t reason,
				      const char *detail)
{
	if (c->access && !c->access->detail) {
		c->access->reason = (uint8_t)reason;
		c->access->detail = detail;
	}
}

#endif
