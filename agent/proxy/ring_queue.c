/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_queue.h"

#include <errno.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "uring.h"

static uint32_t n_pending(const struct weir_ring_queue *q)
{
	return q->tail - atomic_load_explicit(q->sq_head, memory_order_acquire);
}

static void publish(struct weir_ring_queue *q)
{
	atomic_store_explicit(q->sq_tail, q->tail, memory_order_release);
}

int weir_ring_queue_enter(struct weir_ring_queue *q, int ms)
{
	struct __kernel_timespec ts = {.tv_sec = ms / 1000,
				       .tv_nsec = ms % 1000 * 1000000ll};
	struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&ts};
	uint32_t flags = q->enter_flags | IORING_ENTER_GETEVENTS |
			 IORING_ENTER_EXT_ARG;
	long r;

	if (ms < 0) {
		arg.ts = 0;
	}
	publish(q);
	r = syscall(__NR_io_uring_enter, q->enter_fd, n_pending(q),
		    ms == 0 ? 0 : 1, flags, &arg, sizeof(arg));
	return r < 0 ? -errno : (int)r;
}

struct io_uring_sqe *weir_ring_queue_next(struct weir_ring_queue *q)
{
	struct io_uring_sqe *sqe;

	if (n_pending(q) > q->sq_mask) {
		publish(q);
		(void)syscall(__NR_io_uring_enter, q->enter_fd, n_pending(q), 0,
			      q->enter_flags, NULL, 0);
		if (n_pending(q) > q->sq_mask) {
			return NULL;
		}
	}
	sqe = &q->sqes[q->tail++ & q->sq_mask];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

bool weir_ring_queue_has(const struct weir_ring_queue *q, uint32_t at)
{
	uint32_t head = atomic_load_explicit(q->sq_head, memory_order_acquire);

	return at - head < q->tail - head;
}

void weir_ring_queue_void(struct weir_ring_queue *q, uint32_t at, uint64_t name)
{
	struct io_uring_sqe *sqe = &q->sqes[at & q->sq_mask];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_NOP;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = name;
}

bool weir_ring_queue_has_overrun(const struct weir_ring_queue *q)
{
	return atomic_load_explicit(q->sq_flags, memory_order_relaxed) &
	       IORING_SQ_CQ_OVERFLOW;
}

bool weir_ring_queue_has_completions(const struct weir_ring_queue *q)
{
	return *q->cq_head !=
		       atomic_load_explicit(q->cq_tail, memory_order_acquire) ||
	       weir_ring_queue_has_overrun(q);
}

/* -------------------------------------------------------------- beginning */

void *weir_ring_map(int fd, size_t n, off_t at)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS
			      : MAP_SHARED | MAP_POPULATE,
		       fd, at);

	return p == MAP_FAILED ? NULL : p;
}

void weir_ring_unmap(void *p, size_t n)
{
	if (p) {
		(void)munmap(p, n);
	}
}

static int map_queues(struct weir_ring_queue *q,
		      const struct io_uring_params *p)
{
	uint32_t *array;

	q->sq_bytes = p->sq_off.array + p->sq_entries * sizeof(*array);
	q->cq_bytes = p->cq_off.cqes +
		      p->cq_entries * sizeof(struct io_uring_cqe);
	q->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	q->sq = weir_ring_map(q->fd, q->sq_bytes, IORING_OFF_SQ_RING);
	q->cq = weir_ring_map(q->fd, q->cq_bytes, IORING_OFF_CQ_RING);
	q->sqes = weir_ring_map(q->fd, q->sqes_bytes, IORING_OFF_SQES);
	if (!q->sq || !q->cq || !q->sqes) {
		return -ENOMEM;
	}
	q->sq_head = (void *)(q->sq + p->sq_off.head);
	q->sq_tail = (void *)(q->sq + p->sq_off.tail);
	q->sq_flags = (void *)(q->sq + p->sq_off.flags);
	q->sq_mask = p->sq_entries - 1;
	q->cq_head = (void *)(q->cq + p->cq_off.head);
	q->cq_tail = (void *)(q->cq + p->cq_off.tail);
	q->cq_mask = p->cq_entries - 1;
	q->cqes = (void *)(q->cq + p->cq_off.cqes);
	array = (void *)(q->sq + p->sq_off.array);
	for (uint32_t i = 0; i < p->sq_entries; i++) {
		array[i] = i;
	}
	return 0;
}

/* Saves looking the descriptor up at each call (5.18). */
static void register_itself(struct weir_ring_queue *q)
{
	struct io_uring_rsrc_update reg = {.offset = UINT32_MAX,
					   .data = (uint64_t)q->fd};

	q->enter_fd = q->fd;
	if (syscall(__NR_io_uring_register, q->fd, IORING_REGISTER_RING_FDS,
		    &reg, 1) == 1) {
		q->enter_fd = (int)reg.offset;
		q->enter_flags = IORING_ENTER_REGISTERED_RING;
	}
}

int weir_ring_queue_init(struct weir_ring_queue *q, uint32_t sq_entries,
			 uint32_t cq_entries)
{
	struct io_uring_params p = {.cq_entries = cq_entries};
	int r;

	*q = (struct weir_ring_queue){.fd = weir_uring_setup(sq_entries, &p)};
	r = q->fd < 0 ? q->fd : map_queues(q, &p);
	if (r == 0) {
		register_itself(q);
	}
	return r;
}

void weir_ring_queue_close(struct weir_ring_queue *q)
{
	struct io_uring_rsrc_update reg = {.offset = (uint32_t)q->enter_fd};

	/* A thread has places for sixteen, and the ring lives in its own. */
	if (q->enter_flags & IORING_ENTER_REGISTERED_RING) {
		(void)syscall(__NR_io_uring_register, q->fd,
			      IORING_UNREGISTER_RING_FDS, &reg, 1);
		q->enter_flags = 0;
	}
	weir_close(&q->fd);
}

void weir_ring_queue_fini(struct weir_ring_queue *q)
{
	weir_ring_queue_close(q);
	weir_ring_unmap(q->sq, q->sq_bytes);
	weir_ring_unmap(q->cq, q->cq_bytes);
	weir_ring_unmap(q->sqes, q->sqes_bytes);
}
