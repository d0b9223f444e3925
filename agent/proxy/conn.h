/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of a connection through the proxy, and what a worker does with
 * them.  Everything here belongs to one worker thread.
 *
 * Descriptors are registered once, edge-triggered, for both directions; the
 * flags in struct weir_end remember what the edges said, so a request costs no
 * epoll_ctl.  Events set flags and then drive the client, which is a state
 * machine by phase.
 */
#ifndef WEIR_PROXY_CONN_H
#define WEIR_PROXY_CONN_H

#include <sys/types.h>

#include "block.h"
#include "chunk.h"
#include "due.h"
#include "http1.h"
#include "plan_ref.h"
#include "stats.h"

struct iovec;
struct weir_access;
struct weir_gate;
struct weir_h2;
struct weir_hold_queue;
struct weir_layer;
struct weir_pipe;
struct weir_rev;
struct weir_ring;

enum weir_end_kind {
	WEIR_END_DEAD, /* closed while events of this batch may name it */
	WEIR_END_LISTENER,
	WEIR_END_WAKE,
	WEIR_END_CLIENT,
	WEIR_END_UPSTREAM,
	WEIR_END_UDP,      /* a frontend's datagram socket */
	WEIR_END_UDP_FLOW, /* an association's socket to its endpoint */
};

struct weir_end {
	int fd;
	uint8_t kind;      /* first things an event handler looks at */
	bool is_readable;  /* may have bytes or an end */
	bool is_writable;  /* may take bytes */
	bool is_hup;       /* the peer has sent its last byte */
	bool is_broken;    /* error or reset */
	bool is_cut;       /* by a reset that a read would take for an end */
	bool is_urgent;    /* reads may stop short of what is there */
	bool wants_room;   /* a read waits until it takes bytes */
	bool has_moved;    /* some byte went either way: the driver clears it */
	uint64_t received; /* bytes so far, for the access log */
	uint64_t sent;
	struct weir_layer *layer; /* NULL: the socket itself */
	/* Of ring.c. */
	struct weir_ring *ring;  /* reads, sends; NULL: it does not */
	struct weir_ring *edges; /* watches only; NULL: epoll does */
	uint32_t armed_at;       /* entry of the read that waits */
	uint32_t armed_received; /* as received was then */
	uint32_t out_at;         /* entry of the wait for room */
	uint32_t gone_at;        /* entry of the wait for its peer to go */
	int error;               /* what a read, or a wait, ended with */
	uint16_t held;           /* first buffer that was filled + 1; 0: none */
	uint16_t held_at;        /* where its bytes go on */
	uint16_t held_last;
	uint16_t n_held;
	uint16_t slot;      /* with bytes to be sent + 1; 0: none */
	uint8_t n_small;    /* reads in a row that were not bulk */
	bool is_armed;      /* a read waits in the kernel */
	bool is_polled;     /* that is: its word, and no bytes */
	bool is_cancelled;  /* the read was told to end */
	bool is_out_armed;  /* the kernel is to say when there is room */
	bool is_bulk;       /* more comes at a time than is worth a copy */
	bool is_gone_armed; /* the kernel is to say when the peer goes */
};

struct weir_pool_ep;

/* A connection to an endpoint. */
struct weir_upstream {
	struct weir_end end;
	bool is_connecting;
	bool is_reused; /* from the pool, and silent since */
	bool is_idle;   /* in its endpoint's pool */
	bool is_bulk; /* the last response was long: read little with a head */
	struct weir_due due;
	struct weir_pool_ep *ep;
	struct weir_proxy_epstat *stat;
	uint32_t stat_id;
	struct weir_client *client;
	struct weir_upstream *next; /* idle list, free list */
	struct weir_upstream **pprev;
	struct weir_upstream *extra_next; /* idle beyond pool_idle_max */
	struct weir_upstream **extra_pprev;
	struct weir_h2 *h2; /* not an end itself: it carries streams */
	uint64_t idle_ms;   /* since when */
	struct weir_block *in;
	uint32_t ready;   /* body bytes at in->start checked for sending */
	size_t head_scan; /* how far the end of a head was looked for */
};

enum weir_phase {
	WEIR_PHASE_HEAD,     /* idle, or reading a request head */
	WEIR_PHASE_EXCHANGE, /* request to and response from an upstream */
	WEIR_PHASE_FLUSH,    /* an answer of our own on its way out */
	WEIR_PHASE_LINGER,   /* answered and shut; reading the rest away */
	WEIR_PHASE_TUNNEL,   /* bytes both ways: raw TCP, or after 101 */
	WEIR_PHASE_HELLO,    /* waiting for the server name of a TLS client */
	WEIR_PHASE_TLS,      /* shaking hands */
	WEIR_PHASE_H2,       /* carries streams, each a client of its own */
	WEIR_PHASE_DEAD,     /* closed; memory stays until the batch ends */
};

struct weir_client {
	struct weir_end end;
	uint8_t phase;
	bool is_queued;     /* to be driven again, soon */
	bool wants_close;   /* after the response */
	bool is_answered;   /* a final response head was produced */
	bool is_sent;       /* the whole request reached the upstream */
	bool is_in_request; /* between begin_request and end_request */
	bool is_http10;
	bool has_retried;
	bool is_raw;         /* tunnel of a TCP frontend */
	bool is_fresh;       /* nothing was read from it yet */
	bool is_stream;      /* of an HTTP/2 connection */
	bool is_https;       /* there is TLS below it */
	bool is_grpc;        /* its errors are gRPC's */
	bool in_eof;         /* tunnel: the client sent its last byte */
	bool up_eof;         /* tunnel: so did the upstream */
	bool in_shut;        /* tunnel: and the upstream was told */
	bool up_shut;        /* tunnel: and the client was told */
	bool up_closing;     /* the upstream connection cannot be used again */
	bool is_counted;     /* among its client's connections */
	bool is_shed;        /* over its client's limit: answered and ended */
	bool is_send_broken; /* the upstream takes no more of the request */
	bool is_crowded;     /* its pods have as many as they take */
	bool has_filters;    /* of its rule or ref */
	uint8_t attempts;    /* endpoints tried */
	uint32_t tls_listener; /* which its server name chose; 0: no TLS */
	__be16 peer_port_be;
	__be16 local_port_be;
	uint16_t status; /* of the response so far */
	/* Where it is counted: the plan may be out of the cache when the
	 * response comes, with many routes. */
	uint32_t rule_stat;
	uint32_t ref_stat;
	struct weir_due due;
	struct weir_client *next;        /* queue, late, free list */
	struct weir_client **late_pprev; /* NULL: is not put off */
	struct weir_client *all_next;
	struct weir_client **all_pprev;
	struct weir_ip peer;
	struct weir_ip local;    /* its frontend's, not in the proxy prefix */
	struct weir_block *in;   /* from the client */
	struct weir_block *head; /* request head to the upstream */
	struct weir_block *out;  /* our bytes to the client: heads, answers */
	struct weir_pipe *pipe;  /* body bytes on their way to the client */
	uint32_t ready;          /* body bytes at in->start to be sent */
	uint32_t head_sent;
	uint32_t body_kept; /* of body_sent, at the end of head */
	size_t head_scan;
	uint64_t body_sent;
	struct weir_body request_body;
	struct weir_body response_body;
	struct weir_upstream *up;
	struct weir_h2 *h2;     /* WEIR_PHASE_H2 */
	uint32_t request_flags; /* WEIR_HEAD_* */
	uint32_t unsent; /* by its socket, when buffers were last short */
	/* The decision; pointers into the plan that plan holds. */
	struct weir_plan_use *plan;
	const struct weir_frontend *frontend;
	const struct weir_rule *rule;
	const struct weir_ref *ref;
	struct weir_rev *rev;   /* it is activated here, and counted there */
	struct weir_gate *gate; /* through which it has its place at up */
	/* Where it is counted as under way while it has up: its endpoint's in
	 * its plan, which a connection of the pool was not opened by. */
	struct weir_proxy_epstat *place;
	uint32_t first_endpoint;
	uint32_t next_endpoint; /* how far behind it the last try was */
	uint32_t backend_cert;  /* of its listener: weir_listener */
	uint64_t started_us;
	uint64_t last_ms;    /* of the last progress */
	uint64_t head_ms;    /* of the first byte of the head */
	uint64_t connect_at; /* deadlines, ms; 0: none */
	uint64_t hold_at;    /* until when it may wait for an endpoint */
	uint64_t hold_us;    /* since when it did first */
	/* Among those that wait for the same endpoints (hold.h); NULL: it does
	 * not wait. */
	struct weir_hold_queue *hold;
	struct weir_client *hold_next;
	struct weir_client **hold_pprev;
	uint64_t request_at;
	uint64_t backend_at;
	struct weir_access *access; /* NULL: nothing to be logged */
};

enum weir_step {
	WEIR_STEP_AGAIN, /* something changed, perhaps the phase: go on */
	WEIR_STEP_WAIT,  /* nothing to do until an event or deadline */
};

/* io.c: n > 0 bytes; 0: end (recv only); -EAGAIN; other -errno.  The flags of
 * the end follow. */
ssize_t weir_end_recv(struct weir_end *end, char *p, size_t n);
/* flags: MSG_MORE or 0; or WEIR_SEND_LATER: by the end of the turn is early
 * enough, and whether it fails need not be known; the end is not shut or closed
 * before. */
#define WEIR_SEND_LATER (1 << 30)
ssize_t weir_end_send(struct weir_end *end, const struct iovec *iov,
		      uint32_t n_iov, int flags);
/* Receives behind block->end, moving what is there to the front if need be.
 * -ENOBUFS when the block is full. */
ssize_t weir_end_fill(struct weir_end *end, struct weir_block *block,
		      uint32_t size);
/* Something else than a read failed, with this errno: it is broken. */
void weir_end_failed(struct weir_end *end, int error);
/* A read says that it has ended: 0; or -ECONNRESET, it was reset. */
int weir_end_ended(struct weir_end *end);
/* Sends what was to be sent later.  0; -EAGAIN: not all; -errno. */
int weir_end_settle(struct weir_end *end);
/* is_readable was set to false because nothing was there.  -EAGAIN; or, there
 * is no memory to wait for more, another -errno: it is broken. */
int weir_end_is_empty(struct weir_end *end);
/* It takes no more for now.  As above. */
int weir_end_is_full(struct weir_end *end);
/* The kernel may still name it in what it completes. */
static inline bool weir_end_is_awaited(const struct weir_end *end)
{
	return end->is_armed || end->is_out_armed || end->is_gone_armed;
}
/* Its owner waits for something else, and does not read what there may be; or,
 * is_within, for the rest of something. */
void weir_end_mind(struct weir_end *end, bool is_within);
/* What comes next is in the socket itself. */
bool weir_end_is_bare(const struct weir_end *end);
/* No more will be sent.  0; -EAGAIN: there is no room to say so (TLS), to be
 * called again when it is writable. */
int weir_end_shut(struct weir_end *end);
/* Closes it; is_reset: the peer sees a reset. */
void weir_end_close(struct weir_end *end, bool is_reset);
/* What became of a connect(): 0 or an errno. */
int weir_end_connect_error(struct weir_end *end);
/* Bytes that the peer's host has not acknowledged; 0 for a stream. */
uint32_t weir_end_unsent(const struct weir_end *end);
/* The peer is there, and has said nothing that was not read. */
bool weir_end_is_quiet(struct weir_end *end);
/* One message each way and no socket: a stream of HTTP/2. */
bool weir_end_is_stream(const struct weir_end *end);

/* client_memory.c */
/* Memory for the last clients of w.  0 or -ENOMEM. */
int weir_clients_init(struct weir_worker *w);
void weir_clients_fini(struct weir_worker *w);
/* Memory for a client, not cleared; NULL: there is none. */
struct weir_client *weir_client_take(struct weir_worker *w);
/* Of what is kept from the beginning, for one that is told that there is no
 * more; NULL: that is in use, too. */
struct weir_client *weir_client_take_last(struct weir_worker *w);
/* Nothing names it any more: its memory is for another one. */
void weir_client_reuse(struct weir_worker *w, struct weir_client *c);

/* client.c */
void weir_client_accept(struct weir_worker *w, struct weir_end *listener);
/* A request on the HTTP/2 connection carrier; its end is to get a layer. */
struct weir_client *weir_client_new_stream(struct weir_worker *w,
					   const struct weir_client *carrier);
void weir_client_drive(struct weir_worker *w, struct weir_client *c);
/* Frees it and what it holds; is_reset: the peer sees a reset. */
void weir_client_close(struct weir_worker *w, struct weir_client *c,
		       bool is_reset);
/* The response is out: next request, or close. */
enum weir_step weir_client_done(struct weir_worker *w, struct weir_client *c);
/* Ends the accounting of a request and lets its plan go. */
void weir_client_end_request(struct weir_worker *w, struct weir_client *c);
/* The same for the same listener in any plan, and not 0; another one when
 * clients need a certificate there that did not before: a connection that came
 * without does not go on. */
uint32_t weir_client_listener_id(const struct weir_plan *plan,
				 const struct weir_listener *listener);
/* Looks for body bytes among what was received; ready grows.  Returns as
 * weir_body_scan() does. */
int weir_client_scan_body(struct weir_client *c);
/* Drain: idle connections close, busy ones after their response. */
void weir_client_drain(struct weir_worker *w);
/* While buffers are short clients that hold some, and for WEIR_SHORT_MS neither
 * took nor sent what is asked of them, have had their time. */
void weir_client_relieve(struct weir_worker *w);

/* request.c */
/* A complete head of size bytes is at in->start. */
enum weir_step weir_request_begin(struct weir_worker *w, struct weir_client *c,
				  size_t size);
/* enum weir_proxy_reason under which an error of a request is counted. */
uint32_t weir_request_reason(enum weir_http1_error e);

/* exchange.c */
enum weir_step weir_exchange_step(struct weir_worker *w, struct weir_client *c);
/* Another endpoint for the request, or its answer. */
enum weir_step weir_exchange_connect(struct weir_worker *w,
				     struct weir_client *c);
/* Waits for the connect of c->up.  AGAIN: it is there. */
enum weir_step weir_exchange_connected(struct weir_worker *w,
				       struct weir_client *c);

/* answer.c */
/* An answer of our own; with a response already begun, a reset instead.
 * reason: enum weir_proxy_reason, or _WEIR_PROXY_REASON_MAX for none. */
enum weir_step weir_answer(struct weir_worker *w, struct weir_client *c,
			   uint16_t status, uint32_t reason, const char *text);
enum weir_step weir_answer_redirect(struct weir_worker *w,
				    struct weir_client *c, uint16_t status,
				    struct weir_str location);
enum weir_step weir_flush_step(struct weir_worker *w, struct weir_client *c);
enum weir_step weir_linger_step(struct weir_worker *w, struct weir_client *c);

/* relay.c */
enum weir_step weir_tunnel_step(struct weir_worker *w, struct weir_client *c);
/* First step of a connection to a TCP frontend, or one whose server name
 * decided; rule may be NULL. */
enum weir_step weir_tunnel_begin(struct weir_worker *w, struct weir_client *c,
				 const struct weir_frontend *frontend,
				 const struct weir_rule *rule);

/* upstream_pick.c */
/* u could not be connected: its endpoint is second choice for WEIR_FAILED_MS.
 */
void weir_upstream_note_failed(struct weir_worker *w,
			       const struct weir_upstream *u);
/* c, which has no more time, was waiting for c->up. */
void weir_upstream_late(struct weir_worker *w, const struct weir_client *c);
/* The endpoint that the next attempt for c->ref should use, or NULL. */
const struct weir_endpoint *weir_upstream_pick(struct weir_worker *w,
					       struct weir_client *c);

/* upstream.c */
/* A pooled connection (unless wants_new), or one that is connecting, as c->up.
 * must_be_live: the pooled one is asked whether it still stands. */
int weir_upstream_acquire(struct weir_worker *w, struct weir_client *c,
			  const struct weir_endpoint *endpoint, bool wants_new,
			  bool must_be_live);
/* A connection that was begun: 0: it stands, with TLS if it is to have that;
 * -EAGAIN, or what went wrong. */
int weir_upstream_established(struct weir_worker *w, struct weir_upstream *u);
/* u carries streams, and its endpoint takes n at a time. */
void weir_upstream_allows(const struct weir_upstream *u, uint32_t n);
/* c->up could not be connected: counts it and lets it go. */
void weir_upstream_failed(struct weir_worker *w, struct weir_client *c);
/* Gives c->up back to its pool, or closes it. */
void weir_upstream_release(struct weir_worker *w, struct weir_client *c,
			   bool is_reusable);
void weir_upstream_idle_event(struct weir_worker *w, struct weir_upstream *u);
/* Descriptors are short: closes an idle connection beyond pool_idle_max.
 * False: there is none. */
bool weir_upstream_spare(struct weir_worker *w);
/* Closes idle connections to endpoints that the current plan does not have. */
void weir_pool_follow_plan(struct weir_worker *w);
/* Something happened to a connection of HTTP/2 in the pool. */
void weir_upstream_carrier_event(struct weir_worker *w,
				 struct weir_upstream *u);
void weir_upstream_close_carrier(struct weir_worker *w,
				 struct weir_upstream *u);
int weir_upstream_pool_init(struct weir_worker *w);
void weir_upstream_pool_fini(struct weir_worker *w);

#endif
