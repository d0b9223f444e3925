/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers one short request a connection: the admin socket and the metrics
 * port.  Bounded in connections, bytes and time; never blocks the loop.
 */
#ifndef WEIR_DAEMON_SERVER_H
#define WEIR_DAEMON_SERVER_H

#include "buf.h"
#include "loop.h"

#define WEIR_SERVER_CONNECTIONS 8
#define WEIR_SERVER_REQUEST_MAX 4096 /* bytes; more: closed */
#define WEIR_SERVER_DEADLINE_MS 10000

struct weir_reply {
	struct weir_buf body;
	int fds[2]; /* sent along with the first byte; not owned */
	size_t n_fds;
};

/* request: without its terminator.  An empty body closes. */
typedef void (*weir_request_fn)(void *arg, struct weir_str request,
				struct weir_reply *reply);

struct weir_server;

/* listen_fd is taken on success.  terminator: a literal that ends a request. */
int weir_server_new(struct weir_loop *loop, int listen_fd,
		    const char *terminator, weir_request_fn fn, void *arg,
		    struct weir_server **ret_server);
void weir_server_free(struct weir_server **server);

#endif
