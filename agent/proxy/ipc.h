/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the agent and the proxy: a SOCK_SEQPACKET pair made by the parent.
 * The agent sends plans, the proxy acknowledges them.  Counters are a shared
 * memfd that the proxy writes and the agent reads.
 */
#ifndef WEIR_PROXY_IPC_H
#define WEIR_PROXY_IPC_H

#include <stdint.h>

#include "weir_abi.h"

enum weir_ipc_type {
	WEIR_IPC_PLAN, /* agent -> proxy; fds: rules, endpoints, secrets, then
			  n_udp sockets */
	WEIR_IPC_LOG,  /* parent -> proxy; fd: where the access log goes on */
	WEIR_IPC_ACK,  /* proxy -> agent: every worker follows generation */
	WEIR_IPC_NAK,  /* proxy -> agent: refused, error is an errno */
};

/* A bound datagram socket of a local UDP frontend, for the relay. */
struct weir_ipc_udp {
	struct weir_ip addr;
	__be16 port_be;
	uint16_t pad;
};

#define WEIR_IPC_BLOCKS 3   /* rules, endpoints, secrets */
#define WEIR_IPC_UDP_MAX 12 /* sockets in one message; more follow */

struct weir_ipc {
	uint32_t type;
	int32_t error;
	uint64_t generation;
	struct weir_ip prefix4; /* proxy prefix: a local address in it names */
	struct weir_ip
		prefix6; /* frontend proxy_index = low bits (see below) */
	uint32_t n_udp;
	uint32_t n_udp_total; /* of this generation; workers start with the last
			       */
	struct weir_ipc_udp udp[WEIR_IPC_UDP_MAX];
};

/*
 * Proxy prefix: index i (>= 1) is the address base + i in its last 32 bits.
 * The frontend's port is kept, so one address is one frontend address.
 */

/* Counters of the proxy, one block of memory, zero at start.  Each is written
 * with relaxed atomic adds; readers may be a little behind. */
#define WEIR_PROXY_BUCKETS 12 /* upper bounds in weir_proxy_bucket_us[] */
extern const uint32_t weir_proxy_bucket_us[WEIR_PROXY_BUCKETS];

#define WEIR_PROXY_REASONS(X)                                                  \
	X(BAD_REQUEST, "400, or 417 for Expect: request did not parse")        \
	X(NO_ROUTE, "404: no listener, host or match")                         \
	X(HEAD_TIMEOUT, "408: request head not complete in time")              \
	X(HEAD_TOO_LARGE, "431: request head over the limit")                  \
	X(URI_TOO_LONG, "414: request target over the limit")                  \
	X(NOT_IMPLEMENTED, "501: transfer coding; 405: method not served")     \
	X(VERSION, "505: HTTP version not supported")                          \
	X(INVALID_BACKEND, "500: the chosen share is invalid")                 \
	X(NO_ENDPOINT, "503: the chosen share has no ready endpoint")          \
	X(HELD, "requests that had to wait for an endpoint (Knative)")         \
	X(QUEUED, "of these, where all pods had as many as they take at once") \
	X(HOLD_FULL, "503: too many requests wait for an endpoint")            \
	X(HOLD_TIMEOUT,                                                        \
	  "504: no pod of a revision was there, or free, in time")             \
	X(CONNECT_FAILED, "503: no endpoint could be connected")               \
	X(BAD_RESPONSE, "502: response did not parse or broke off")            \
	X(TIMEOUT, "504: request or backend timeout")                          \
	X(OVERLOAD, "503: out of buffers, descriptors or memory")              \
	X(ACCEPT_PAUSED,                                                       \
	  "accepting paused: connection limit, descriptors, memory")           \
	X(CLIENT_LIMIT, "429 or reset: over the connections of one client")    \
	X(BODY_TOO_LARGE, "413: request body over the limit")                  \
	X(BODY_TIMEOUT, "408: request body stalled")                           \
	X(IDLE_TIMEOUT, "client connections closed that were idle")            \
	X(TUNNEL_TIMEOUT,                                                      \
	  "raw and upgraded connections reset that were silent")               \
	X(UDP_LIMIT, "datagrams dropped: over the limit of associations")      \
	X(CLIENT_GONE, "client closed before the response was complete")       \
	X(RETRIED, "requests sent again after a stale pooled connection")      \
	X(MISDIRECTED, "421: Host is of another listener than the TLS "        \
		       "connection, or https:// without TLS")                  \
	X(TLS_HANDSHAKE, "TLS: no hello, or no agreement with the client")     \
	X(TLS_NAME, "TLS: no listener, or no route, for the server name")      \
	X(TLS_CERTIFICATE, "TLS: no certificate of the listener can be used")  \
	X(TLS_BACKEND,                                                         \
	  "TLS: a backend is not who it should be, or no agreement")           \
	X(TLS_FLOOD, "TLS: connection ended, key updates without end or a "    \
		     "second handshake")                                       \
	X(H2_RESETS, "HTTP/2: connection ended, too many streams given up")    \
	X(H2_FLOOD, "HTTP/2: connection ended, too many control frames or "    \
		    "headers")

enum weir_proxy_reason {
#define WEIR_PROXY_REASON_ENUM(name, help) WEIR_PROXY_##name,
	WEIR_PROXY_REASONS(WEIR_PROXY_REASON_ENUM)
#undef WEIR_PROXY_REASON_ENUM
		_WEIR_PROXY_REASON_MAX
};

struct weir_proxy_refstat { /* by ref stat id */
	uint64_t picked;    /* requests, or raw connections and associations */
	uint64_t refused;
	uint64_t failed; /* 502, 503, 504 of its endpoints; failed connects */
	uint64_t in_flight;
};

struct weir_proxy_rulestat { /* by rule stat id */
	uint64_t requests;
	uint64_t status[6]; /* 1xx..5xx in [1]..[5]; [0]: no answer */
	uint64_t in_flight;
};

struct weir_proxy_epstat { /* by endpoint id */
	uint64_t opened;   /* connections */
	uint64_t closed;
	uint64_t failed;
	uint64_t requests;
	uint64_t in_flight;
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	uint64_t pad;
};

struct weir_proxy_totals {
	uint64_t clients_opened;
	uint64_t clients_closed;
	uint64_t clients_refused;
	uint64_t requests;
	/* Of these, ended: by class of status, [0] without an answer.  What is
	 * missing to all of them is in flight. */
	uint64_t status[6];
	uint64_t reason[_WEIR_PROXY_REASON_MAX];
	uint64_t bucket[WEIR_PROXY_BUCKETS + 1]; /* request durations */
	uint64_t duration_us_sum;
	uint64_t pool_idle;
	uint64_t pool_hits;
	uint64_t pool_misses;
	uint64_t udp_associations;
	uint64_t workers;       /* that run, now */
	uint64_t rings;         /* of these over io_uring */
	uint64_t held;          /* requests that wait for an endpoint, now */
	uint64_t activated;     /* requests for revisions that slept */
	uint64_t early_pods;    /* that answered before they were Ready */
	uint64_t reports;       /* to Knative's autoscaler */
	uint64_t autoscaler_up; /* it is connected, now */
	uint64_t log_lines;     /* of the access log, given to its writer */
	uint64_t log_lost;      /* no room, or not written */
};

/* HTTP requests under way.  Read while workers count. */
static inline uint64_t weir_proxy_in_flight(const struct weir_proxy_totals *t)
{
	uint64_t ended = 0;
	uint64_t begun;

	for (int i = 0; i < 6; i++) {
		ended += t->status[i];
	}
	begun = __atomic_load_n(&t->requests, __ATOMIC_RELAXED);
	return begun > ended ? begun - ended : 0;
}

struct weir_proxy_stats {
	uint32_t max_rules;
	uint32_t max_refs;
	uint32_t max_endpoints;
	uint32_t pad;
	struct weir_proxy_totals totals;
	/* At WEIR_PROXY_STATS_SIZE weir_proxy_rulestat[max_rules], then
	 * weir_proxy_refstat[max_refs], weir_proxy_epstat[max_endpoints] */
};

/* A line of the cache each, or half of one: a request counts at both ends of
 * its rule's. */
#define WEIR_PROXY_STATS_SIZE ((sizeof(struct weir_proxy_stats) + 63) / 64 * 64)
_Static_assert(sizeof(struct weir_proxy_rulestat) == 64 &&
		       sizeof(struct weir_proxy_refstat) == 32 &&
		       sizeof(struct weir_proxy_epstat) == 64,
	       "lines of the cache");

static inline struct weir_proxy_rulestat *
weir_proxy_rulestats(struct weir_proxy_stats *s)
{
	return (struct weir_proxy_rulestat *)((char *)s +
					      WEIR_PROXY_STATS_SIZE);
}

static inline struct weir_proxy_refstat *
weir_proxy_refstats(struct weir_proxy_stats *s)
{
	return (struct weir_proxy_refstat *)(weir_proxy_rulestats(s) +
					     s->max_rules);
}

static inline struct weir_proxy_epstat *
weir_proxy_epstats(struct weir_proxy_stats *s)
{
	return (struct weir_proxy_epstat *)(weir_proxy_refstats(s) +
					    s->max_refs);
}

#endif
