/* SPDX-License-Identifier: Apache-2.0 */
/* Another parser, in a process of its own, read through pipes in batches. */
#ifndef WEIR_DIFFERENTIAL_PEER_H
#define WEIR_DIFFERENTIAL_PEER_H

#include <stdio.h>
#include <sys/types.h>

#include "reading.h"

struct peer {
	char name[16];
	pid_t pid;
	int in;         /* what it reads */
	FILE *out;      /* what it says */
	uint32_t every; /* it sees each every-th stream */
};

/* Starts "NAME[/EVERY]=COMMAND" (sh -c); 0 or -errno. */
int peer_start(const char *spec, struct peer *ret_peer);
void peer_stop(struct peer *peer);
/* Sends a batch: "u32 size, bytes" records, n bytes in all; 0 or -EPIPE. */
int peer_send(const struct peer *peer, const char *batch, size_t n);
/* The next reading of the batch; 0 or -EPIPE, -EBADMSG. */
int peer_receive(const struct peer *peer, struct reading *ret_reading);

#endif
