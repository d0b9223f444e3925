/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines from the workers to a file: a bounded ring for each worker, and one
 * thread that writes them all.  A worker never waits: what finds no room is
 * lost, and counted.  The thread writes whole lines, to anything but a regular
 * file at most PIPE_BUF bytes at a time, so that writers that share a pipe do
 * not mix.
 */
#ifndef WEIR_PROXY_LINES_H
#define WEIR_PROXY_LINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_LINE_MAX 4096 /* PIPE_BUF */
#define WEIR_LINES_RING (256u << 10)

struct weir_lines;

/* Of one worker, who alone puts lines in. */
struct weir_lines_ring {
	struct weir_lines *lines;
	_Atomic uint64_t head; /* bytes ever put in */
	/* On a cache line of their own: of the thread. */
	_Alignas(64) _Atomic uint64_t tail; /* bytes ever taken out */
	atomic_bool is_kicked;
	char data[WEIR_LINES_RING];
};

/* Takes *fd.  lost: where lines are counted that could not be written; atomic
 * adds.  0 or -errno. */
int weir_lines_new(int *fd, uint32_t n_rings, uint64_t *lost,
		   struct weir_lines **ret_lines);
/* Writes what is there, waiting at most a second for a reader; *lines may be
 * NULL. */
void weir_lines_free(struct weir_lines **lines);
struct weir_lines_ring *weir_lines_ring(struct weir_lines *lines,
					uint32_t index);
/* Goes on in *fd, which it takes; the one before is closed. */
void weir_lines_reopen(struct weir_lines *lines, int *fd);
/* A line of n <= WEIR_LINE_MAX bytes with its newline.  False: no room. */
bool weir_lines_put(struct weir_lines_ring *ring, const char *p, size_t n);

#endif
