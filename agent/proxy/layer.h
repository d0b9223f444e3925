/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies between an end and its socket: nothing, TLS, or a stream of an
 * HTTP/2 connection, which has no socket of its own.  The machine above knows
 * only weir_end_*(); a layer keeps the flags of the end as the socket would.
 */
#ifndef WEIR_PROXY_LAYER_H
#define WEIR_PROXY_LAYER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;
struct weir_end;

struct weir_layer_ops {
	/* As weir_end_recv() and weir_end_send(). */
	ssize_t (*recv)(struct weir_end *end, char *p, size_t n);
	ssize_t (*send)(struct weir_end *end, const struct iovec *iov,
			uint32_t n_iov, int flags);
	/* As weir_end_shut(). */
	int (*shut)(struct weir_end *end);
	/* Lets the end go; end->layer is not touched afterwards. */
	void (*close)(struct weir_end *end, bool is_reset);
	/* Nothing is there to be read, and the peer is. */
	bool (*is_quiet)(struct weir_end *end);
	/* One message each way, then it ends: there is no socket. */
	bool is_stream;
};

struct weir_layer {
	const struct weir_layer_ops *ops;
};

#endif
