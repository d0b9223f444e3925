/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy process: workers that accept, match, choose and relay.  Holds no
 * capability and no credential; everything it needs arrives as descriptors.
 */
#ifndef WEIR_PROXY_PROXY_H
#define WEIR_PROXY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "weir_abi.h"

/* Bytes of a buffer beyond max_head_bytes: what rewriting adds to a head. */
#define WEIR_PROXY_HEAD_ROOM 1024

struct weir_proxy_limits {
	uint32_t max_connections;        /* clients, all workers */
	uint32_t max_client_connections; /* of one address; 0: no limit */
	uint32_t max_body_mib;           /* of a request; 0: no limit */
	uint32_t max_head_bytes;         /* request or response head */
	uint32_t max_headers;
	uint32_t max_target_bytes;
	uint32_t buffer_bytes;    /* per direction of a busy connection */
	uint32_t head_timeout_ms; /* first byte to end of request head */
	uint32_t body_timeout_ms; /* no byte of a request's body */
	uint32_t idle_timeout_ms; /* keep-alive between requests */
	uint32_t connect_timeout_ms;
	uint32_t stall_timeout_ms; /* no byte either way during a message */
	uint32_t tunnel_idle_ms;   /* upgraded and raw connections */
	uint32_t pool_idle_ms;     /* backend connection unused */
	uint32_t pool_idle_max;    /* per endpoint and worker */
	uint32_t drain_ms;         /* at shutdown */
	uint32_t max_held;    /* requests without an endpoint, all workers */
	uint32_t hold_lag_ms; /* for slices that come late */
	uint32_t hold_timeout_ms; /* for a revision that sleeps */
	uint32_t h2_streams;      /* at a time on a connection */
	uint32_t h2_window_bytes; /* of a stream; a client has four */
	uint32_t h2_resets;   /* before an answer, in 10 s (CVE-2023-44487) */
	uint32_t h2_controls; /* PING, SETTINGS, empty DATA..., in 10 s */
	uint32_t h2_continuations; /* of one header block (VU#421644) */
	uint32_t udp_idle_ms;
	uint32_t udp_max;        /* associations, all workers */
	uint32_t max_buffer_mib; /* all buffers of all workers */
};

enum weir_io_backend {
	WEIR_IO_BACKEND_EPOLL,
	WEIR_IO_BACKEND_URING, /* epoll, with a warning, where there is none */
	WEIR_IO_BACKEND_AUTO,  /* the same, without a warning */
};

struct weir_proxy_config {
	int ipc_fd;   /* struct weir_ipc, SOCK_SEQPACKET */
	int stats_fd; /* memfd of struct weir_proxy_stats */
	/* Listening sockets per worker: TCP4, TCP6 in a SO_REUSEPORT group
	 * each; listeners[worker * 2 + 0/1], -1: none. */
	const int *listeners;
	uint32_t n_listeners; /* per worker; 0: the two above */
	uint32_t n_workers;
	enum weir_io_backend io;
	const char *reporter; /* whose counts Knative's autoscaler is told, in
			       * place of its activator's; NULL: none */
	bool has_access_log;
	int access_log_fd; /* taken, if has_access_log */
	struct weir_proxy_limits limits;
};

void weir_proxy_limits_default(struct weir_proxy_limits *limits);
/* Runs until the ipc socket closes or SIGTERM, then drains.  0 or -errno. */
int weir_proxy_run(const struct weir_proxy_config *config);

#endif
