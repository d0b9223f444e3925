/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagram relay: associations of (frontend socket, client) with an
 * endpoint.  Replies leave from the frontend's own socket.  A frontend belongs
 * to one worker, so an association has one home.
 */
#ifndef WEIR_PROXY_UDP_H
#define WEIR_PROXY_UDP_H

#include <stdint.h>

struct weir_worker;
struct weir_end;
struct weir_udp_flow;
struct weir_udp_socket;

struct weir_udp {
	struct weir_udp_socket *sockets;
	struct weir_udp_flow **buckets;
	struct weir_udp_flow *free;
	struct weir_udp_flow *dead; /* freed after the batch */
	struct weir_udp_socket *dead_sockets;
	char *buffer; /* one datagram */
	uint32_t n_buckets;
};

int weir_udp_init(struct weir_worker *w);
void weir_udp_fini(struct weir_worker *w);
/* Takes this worker's share of the plan's sockets, leaves those it lost. */
void weir_udp_follow_plan(struct weir_worker *w);
void weir_udp_event(struct weir_worker *w, struct weir_end *end);
/* After a batch of events. */
void weir_udp_reap(struct weir_worker *w);

#endif
