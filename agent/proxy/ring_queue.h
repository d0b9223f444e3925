/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two queues of an io_uring: entries that are to be submitted, completions
 * that are to be read.  One thread (SINGLE_ISSUER); completions come where it
 * waits (DEFER_TASKRUN), so none appears while it works through a turn, but for
 * those of entries that had to be submitted in the middle of it.
 */
#ifndef WEIR_PROXY_RING_QUEUE_H
#define WEIR_PROXY_RING_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct io_uring_sqe;
struct io_uring_cqe;

struct weir_ring_queue {
	int fd;
	int enter_fd; /* fd, or what it is registered as */
	uint32_t enter_flags;
	char *sq;
	size_t sq_bytes;
	char *cq;
	size_t cq_bytes;
	struct io_uring_sqe *sqes;
	size_t sqes_bytes;
	_Atomic uint32_t *sq_head;
	_Atomic uint32_t *sq_tail;
	_Atomic uint32_t *sq_flags;
	uint32_t sq_mask;
	uint32_t tail; /* of entries filled in */
	_Atomic uint32_t *cq_head;
	_Atomic uint32_t *cq_tail;
	uint32_t cq_mask;
	struct io_uring_cqe *cqes;
};

/* 0 or -errno; then, too, weir_ring_queue_close(), by the same thread, and
 * _fini(). */
int weir_ring_queue_init(struct weir_ring_queue *q, uint32_t sq_entries,
			 uint32_t cq_entries);
void weir_ring_queue_close(struct weir_ring_queue *q);
void weir_ring_queue_fini(struct weir_ring_queue *q);

/* Pages of shared or anonymous (fd -1) memory; NULL if there are none. */
void *weir_ring_map(int fd, size_t n, off_t at);
void weir_ring_unmap(void *p, size_t n);

/* A zeroed entry, the one at q->tail - 1; NULL: the kernel takes no more. */
struct io_uring_sqe *weir_ring_queue_next(struct weir_ring_queue *q);
/* The entry at has not been submitted yet. */
bool weir_ring_queue_has(const struct weir_ring_queue *q, uint32_t at);
/* Takes such an entry back: its completion, if any, will name name. */
void weir_ring_queue_void(struct weir_ring_queue *q, uint32_t at,
			  uint64_t name);
/* Submits all, and waits at most ms (-1: for ever) for a completion. */
int weir_ring_queue_enter(struct weir_ring_queue *q, int ms);
/* Completions wait in the kernel for room. */
bool weir_ring_queue_has_overrun(const struct weir_ring_queue *q);
/* Some are left to be read, or wait in the kernel for room. */
bool weir_ring_queue_has_completions(const struct weir_ring_queue *q);

#endif
