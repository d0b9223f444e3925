/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to Knative's autoscaler: a WebSocket (RFC 6455) over which
 * binary messages go, and only go.  Kept up: whatever ends it, it is begun
 * again.  And the messages: metrics.WireStatMessages of serving's
 * pkg/autoscaler/metrics/stat.proto.
 */
#ifndef WEIR_PROXY_AUTOSCALER_H
#define WEIR_PROXY_AUTOSCALER_H

#include "buf.h"
#include "loop.h"
#include "plan.h"

struct weir_autoscaler {
	struct weir_loop *loop;
	void (*on_change)(void *arg); /* is_open changed */
	void *arg;
	bool is_open;
	/* Private. */
	uint8_t state;
	int fd;
	struct weir_io io;
	struct weir_timer timer;
	uint32_t events;
	bool is_asked; /* a ping is not answered yet */
	uint32_t pause_ms;
	uint32_t turn; /* which endpoint is next */
	struct weir_endpoint *endpoints;
	uint32_t n_endpoints;
	struct weir_endpoint peer;
	char key[25]; /* of the handshake */
	struct weir_buf out;
	uint32_t n_in;
	uint64_t skip; /* bytes of a message to us that are left */
	char in[1024];
};

void weir_autoscaler_init(struct weir_autoscaler *a, struct weir_loop *loop);
void weir_autoscaler_fini(struct weir_autoscaler *a);
/* Where it is; none: there is no connection.  0 or -ENOMEM. */
int weir_autoscaler_follow(struct weir_autoscaler *a,
			   const struct weir_endpoint *endpoints, uint32_t n);
/* One message; lost if there is no connection.  0 or -ENOTCONN. */
int weir_autoscaler_send(struct weir_autoscaler *a, struct weir_str message);

/* What was under way for one revision in a time. */
struct weir_stat {
	struct weir_str ns;
	struct weir_str name; /* of the revision */
	struct weir_str reporter;
	double concurrency; /* on average */
	double requests;
};
/* Appends one WireStatMessage to the list that message is. */
void weir_stat_add(struct weir_buf *message, const struct weir_stat *stat);

#endif
