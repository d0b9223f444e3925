/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes of one worker for splice(2): body bytes that nobody looks at go from
 * socket to socket without being copied.  Their number is bounded; who gets
 * none copies.
 */
#ifndef WEIR_PROXY_PIPE_H
#define WEIR_PROXY_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conn.h"

struct weir_pipe {
	struct weir_pipe *next;
	int in;     /* write end */
	int out;    /* read end */
	uint32_t n; /* bytes inside */
};

#define WEIR_PIPES_MAX 64      /* of one worker */
#define WEIR_PIPES_KEPT 8      /* free pipes that a trim leaves */
#define WEIR_PIPE_BYTES 262144 /* asked for; the kernel may give less */

struct weir_pipes {
	struct weir_pipe *free;
	uint32_t n_free;
	uint32_t n_used;
	uint32_t max; /* used and free */
};

/* Empty; NULL at the limit, or without descriptors or memory. */
struct weir_pipe *weir_pipe_get(struct weir_pipes *p);
/* *pipe may be NULL, and is afterwards; one that is not empty is closed. */
void weir_pipe_put(struct weir_pipes *p, struct weir_pipe **pipe);
void weir_pipes_trim(struct weir_pipes *p);
void weir_pipes_fini(struct weir_pipes *p);

/* At most n bytes from the socket into an empty pipe: as weir_end_recv(), but
 * after -EAGAIN it may still be readable, for that. */
ssize_t weir_pipe_fill(struct weir_pipe *pipe, struct weir_end *from,
		       uint64_t n);
/* What is inside to the socket: as weir_end_send(). */
ssize_t weir_pipe_drain(struct weir_pipe *pipe, struct weir_end *to);

#endif
