/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "conn.h"
#include "uring.h"

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 8192
#define BUFFERS 512 /* for reads; a power of two */
#define BUFFER_BYTES 4096
#define SLOTS 512 /* for sends */
#define SLOT_BYTES 2048
#define EPOLL_EVENTS 256
#define EVENTS_MAX (CQ_ENTRIES + SLOTS + EPOLL_EVENTS)

/* In the low bits of what names a completion; ends are aligned. */
enum tag { TAG_RECV, TAG_SEND, TAG_EPOLL, TAG_NONE, _TAG_MAX };

/* Small bytes of an end on their way. */
struct slot {
	struct weir_end *end;
	uint32_t at; /* of its entry in the submission queue */
	uint16_t n;
	uint16_t done;
	uint16_t next; /* free, or in the list of this turn */
	bool is_stuck; /* the socket was full: the rest waits for EPOLLOUT */
	bool has_failed;
};

struct weir_ring {
	int fd;
	int enter_fd; /* fd, or what it is registered as */
	uint32_t enter_flags;
	int epoll_fd; /* not owned */
	bool has_epoll_poll;
	bool has_epoll_events;
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
	struct io_uring_buf_ring *buffers;
	char *buffer_bytes;
	uint16_t buffers_tail;
	char *slot_bytes;
	uint16_t free_slot; /* index + 1 */
	uint16_t turn_slots;
	struct slot slots[SLOTS];
	struct epoll_event events[EVENTS_MAX];
};

/* ------------------------------------------------------------ submission */

static int enter(struct weir_ring *ring, uint32_t n, uint32_t min, int ms)
{
	struct __kernel_timespec ts = {.tv_sec = ms / 1000,
				       .tv_nsec = ms % 1000 * 1000000ll};
	struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&ts};
	uint32_t flags = ring->enter_flags | IORING_ENTER_GETEVENTS |
			 IORING_ENTER_EXT_ARG;
	long r;

	if (ms < 0) {
		arg.ts = 0;
	}
	r = syscall(__NR_io_uring_enter, ring->enter_fd, n, min, flags, &arg,
		    sizeof(arg));
	return r < 0 ? -errno : (int)r;
}

static uint32_t n_pending(const struct weir_ring *ring)
{
	return ring->tail -
	       atomic_load_explicit(ring->sq_head, memory_order_acquire);
}

static void publish(struct weir_ring *ring)
{
	atomic_store_explicit(ring->sq_tail, ring->tail, memory_order_release);
}

/* NULL: the kernel takes no more for now. */
static struct io_uring_sqe *next_entry(struct weir_ring *ring)
{
	struct io_uring_sqe *sqe;

	if (n_pending(ring) > ring->sq_mask) {
		publish(ring);
		(void)syscall(__NR_io_uring_enter, ring->enter_fd,
			      n_pending(ring), 0, ring->enter_flags, NULL, 0);
		if (n_pending(ring) > ring->sq_mask) {
			return NULL;
		}
	}
	sqe = &ring->sqes[ring->tail++ & ring->sq_mask];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

static bool is_queued(const struct weir_ring *ring, uint32_t at)
{
	uint32_t head = atomic_load_explicit(ring->sq_head,
					     memory_order_acquire);

	return at - head < ring->tail - head;
}

/* Takes the entry back: it does nothing, and says nothing. */
static void void_entry(struct weir_ring *ring, uint32_t at)
{
	struct io_uring_sqe *sqe = &ring->sqes[at & ring->sq_mask];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_NOP;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = TAG_NONE;
}

static void poll_epoll(struct weir_ring *ring)
{
	struct io_uring_sqe *sqe = next_entry(ring);

	if (sqe) {
		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->fd = ring->epoll_fd;
		sqe->poll32_events = POLLIN;
		sqe->user_data = TAG_EPOLL;
		ring->has_epoll_poll = true;
	}
}

/* --------------------------------------------------------------- buffers */

static void give_buffer(struct weir_ring *ring, uint16_t id)
{
	struct io_uring_buf *b =
		&ring->buffers->bufs[ring->buffers_tail & (BUFFERS - 1)];

	b->addr = (uintptr_t)(ring->buffer_bytes + (size_t)id * BUFFER_BYTES);
	b->len = BUFFER_BYTES;
	b->bid = id;
	ring->buffers_tail++;
	__atomic_store_n(&ring->buffers->tail, ring->buffers_tail,
			 __ATOMIC_RELEASE);
}

static void drop_held(struct weir_end *end)
{
	if (end->held) {
		give_buffer(end->ring, (uint16_t)(end->held - 1));
		end->held = 0;
	}
}

/* -------------------------------------------------------------- receiving */

void weir_ring_arm(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	struct io_uring_sqe *sqe;

	if (end->is_armed || end->held || end->is_broken) {
		return;
	}
	sqe = next_entry(ring);
	if (!sqe) {
		/* Out of memory: the old way, whose edges begin anew. */
		struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT |
						   EPOLLPRI | EPOLLRDHUP |
						   EPOLLET,
					 .data.ptr = end};

		(void)epoll_ctl(ring->epoll_fd, EPOLL_CTL_MOD, end->fd, &ev);
		return;
	}
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = end->fd;
	sqe->len = BUFFER_BYTES;
	sqe->flags = IOSQE_BUFFER_SELECT;
	/* It was found empty just now. */
	sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
	sqe->user_data = (uintptr_t)end | TAG_RECV;
	end->armed_at = ring->tail - 1;
	end->is_armed = true;
}

ssize_t weir_ring_recv(struct weir_end *end, char *p, size_t n)
{
	if (end->held) {
		if (n > (size_t)(end->held_end - end->held_at)) {
			n = (size_t)(end->held_end - end->held_at);
		}
		memcpy(p,
		       end->ring->buffer_bytes +
			       (size_t)(end->held - 1) * BUFFER_BYTES +
			       end->held_at,
		       n);
		end->held_at += (uint16_t)n;
		if (end->held_at == end->held_end) {
			drop_held(end);
			end->is_readable = end->has_more || end->is_hup;
			if (!end->is_readable) {
				weir_ring_arm(end);
			}
		}
		return (ssize_t)n;
	}
	if (end->is_armed) {
		end->is_readable = false;
		return -EAGAIN;
	}
	if (end->error) {
		end->is_readable = false;
		return -end->error;
	}
	return 0;
}

bool weir_ring_is_quiet(const struct weir_end *end)
{
	const struct weir_ring *ring = end->ring;
	uint32_t tail;

	if (end->held || end->error) {
		return false;
	}
	if (!end->is_armed) {
		return true;
	}
	/* It may have ended in the middle of the turn, when entries had to be
	 * submitted. */
	tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
	for (uint32_t i = *ring->cq_head; i != tail; i++) {
		if (ring->cqes[i & ring->cq_mask].user_data ==
		    ((uintptr_t)end | TAG_RECV)) {
			return false;
		}
	}
	return true;
}

/* A read has ended. */
static void received(struct weir_ring *ring, struct weir_end *end,
		     const struct io_uring_cqe *cqe)
{
	bool has_buffer = cqe->flags & IORING_CQE_F_BUFFER;
	uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	end->is_armed = false;
	if (end->kind == WEIR_END_DEAD || cqe->res <= 0) {
		if (has_buffer) {
			give_buffer(ring, id);
		}
	}
	if (end->kind == WEIR_END_DEAD) {
		return;
	}
	end->is_readable = true;
	if (cqe->res > 0) {
		end->held = (uint16_t)(id + 1);
		end->held_at = 0;
		end->held_end = (uint16_t)cqe->res;
		end->has_more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
	} else if (cqe->res == 0) {
		end->is_hup = true;
	} else if (cqe->res != -ENOBUFS && cqe->res != -EAGAIN &&
		   cqe->res != -EINTR && cqe->res != -ENOMEM) {
		/* recv() would not say it again. */
		end->error = -cqe->res;
		end->is_broken = true;
	}
}

/* ---------------------------------------------------------------- sending */

static char *bytes_of(struct weir_ring *ring, const struct slot *s)
{
	return ring->slot_bytes + (size_t)(s - ring->slots) * SLOT_BYTES;
}

static void free_slot(struct weir_ring *ring, struct slot *s)
{
	if (s->end) {
		s->end->slot = 0;
		s->end = NULL;
	}
	s->next = ring->free_slot;
	ring->free_slot = (uint16_t)(s - ring->slots + 1);
}

/* Behind what waits already, if that has not been submitted. */
static bool append(struct weir_ring *ring, struct slot *s,
		   const struct iovec *iov, uint32_t n_iov, size_t size)
{
	char *p = bytes_of(ring, s) + s->n;

	if (s->is_stuck || !is_queued(ring, s->at) ||
	    size > SLOT_BYTES - (size_t)s->n) {
		return false;
	}
	for (uint32_t i = 0; i < n_iov; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	s->n += (uint16_t)size;
	ring->sqes[s->at & ring->sq_mask].len = s->n;
	return true;
}

bool weir_ring_send(struct weir_end *end, const struct iovec *iov,
		    uint32_t n_iov, size_t size)
{
	struct weir_ring *ring = end->ring;
	struct io_uring_sqe *sqe;
	struct slot *s;

	if (end->slot) {
		return append(ring, &ring->slots[end->slot - 1], iov, n_iov,
			      size);
	}
	if (size > SLOT_BYTES || !ring->free_slot) {
		return false;
	}
	sqe = next_entry(ring);
	if (!sqe) {
		return false;
	}
	s = &ring->slots[ring->free_slot - 1];
	end->slot = ring->free_slot;
	ring->free_slot = s->next;
	*s = (struct slot){
		.end = end, .at = ring->tail - 1, .next = ring->turn_slots};
	ring->turn_slots = end->slot;
	/* All of it or at once as much as fits, and then a completion: with
	 * MSG_DONTWAIT it is over when the submission is. */
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = end->fd;
	sqe->addr = (uintptr_t)bytes_of(ring, s);
	sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)(end->slot - 1) * _TAG_MAX | TAG_SEND;
	return append(ring, s, iov, n_iov, size);
}

int weir_ring_settle(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	struct slot *s;
	ssize_t r;

	if (!end->slot) {
		return 0;
	}
	s = &ring->slots[end->slot - 1];
	if (!s->is_stuck && is_queued(ring, s->at)) {
		void_entry(ring, s->at);
		s->is_stuck = true;
	} else if (!s->is_stuck) {
		end->is_writable = false;
		return -EAGAIN; /* how it ended is heard in this turn */
	}
	do {
		r = send(end->fd, bytes_of(ring, s) + s->done,
			 (size_t)(s->n - s->done), MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		end->is_broken = true;
		return -errno;
	}
	s->done += (uint16_t)(r > 0 ? r : 0);
	if (s->done < s->n) {
		end->is_writable = false;
		return -EAGAIN;
	}
	end->slot = 0;
	s->end = NULL;
	return 0;
}

/* A send did not take all. */
static void failed(struct weir_ring *ring, const struct io_uring_cqe *cqe)
{
	struct slot *s = &ring->slots[cqe->user_data / _TAG_MAX];
	bool is_error = cqe->res < 0 && cqe->res != -EAGAIN &&
			cqe->res != -EINTR && cqe->res != -ENOMEM;

	if (!s->end) {
		return;
	}
	s->has_failed = true;
	s->end->is_writable = false;
	s->done += (uint16_t)(cqe->res > 0 ? cqe->res : 0);
	if (is_error) {
		s->end->is_broken = true;
	}
}

/* The sends of this turn are over, and all their failures read. */
static uint32_t finish_sends(struct weir_ring *ring, uint32_t n)
{
	uint16_t at = ring->turn_slots;
	uint16_t kept = 0;

	while (at) {
		struct slot *s = &ring->slots[at - 1];
		uint16_t next = s->next;

		if (s->end && !s->is_stuck && s->has_failed) {
			s->is_stuck = !s->end->is_broken;
		}
		if (s->end && (s->is_stuck || is_queued(ring, s->at))) {
			s->next = kept;
			kept = at;
		} else {
			struct weir_end *end = s->end;

			free_slot(ring, s);
			if (end && (!end->is_writable || end->is_broken) &&
			    n < EVENTS_MAX) {
				end->is_writable = true;
				ring->events[n++] = (struct epoll_event){
					.data.ptr = end};
			}
		}
		at = next;
	}
	ring->turn_slots = kept;
	return n;
}

void weir_ring_forget(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	struct io_uring_sqe *sqe;

	if (ring->fd < 0) {
		end->is_armed = false;
		end->slot = 0;
		end->held = 0;
		return;
	}
	if (end->slot) {
		(void)weir_ring_settle(end);
	}
	if (end->slot) {
		ring->slots[end->slot - 1].end = NULL;
		end->slot = 0;
	}
	drop_held(end);
	if (!end->is_armed) {
		return;
	}
	if (is_queued(ring, end->armed_at)) {
		void_entry(ring, end->armed_at);
		end->is_armed = false;
		return;
	}
	/* The read holds on to the socket until it is told. */
	sqe = next_entry(ring);
	if (sqe) {
		sqe->opcode = IORING_OP_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->addr = (uintptr_t)end | TAG_RECV;
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
		sqe->user_data = TAG_NONE;
	} else {
		(void)shutdown(end->fd, SHUT_RDWR);
	}
}

/* ---------------------------------------------------------------- waiting */

static uint32_t reap(struct weir_ring *ring, uint32_t n)
{
	uint32_t head = *ring->cq_head;
	uint32_t tail = atomic_load_explicit(ring->cq_tail,
					     memory_order_acquire);

	for (; head != tail && n < CQ_ENTRIES; head++) {
		const struct io_uring_cqe *cqe =
			&ring->cqes[head & ring->cq_mask];
		struct weir_end *end;

		switch (cqe->user_data % _TAG_MAX) {
		case TAG_RECV:
			end = (struct weir_end *)(uintptr_t)cqe->user_data;
			received(ring, end, cqe);
			if (end->kind != WEIR_END_DEAD) {
				ring->events[n++] = (struct epoll_event){
					.data.ptr = end};
			}
			break;
		case TAG_SEND:
			failed(ring, cqe);
			break;
		case TAG_EPOLL:
			ring->has_epoll_poll = false;
			ring->has_epoll_events = true;
			break;
		default:
			break;
		}
	}
	atomic_store_explicit(ring->cq_head, head, memory_order_release);
	return n;
}

static bool has_completions(const struct weir_ring *ring)
{
	return *ring->cq_head != atomic_load_explicit(ring->cq_tail,
						      memory_order_acquire) ||
	       atomic_load_explicit(ring->sq_flags, memory_order_relaxed) &
		       IORING_SQ_CQ_OVERFLOW;
}

int weir_ring_wait(struct weir_ring *ring, int ms,
		   struct epoll_event **ret_events)
{
	uint32_t n;

	if (!ring->has_epoll_poll) {
		poll_epoll(ring);
		if (!ring->has_epoll_poll) {
			ring->has_epoll_events = true;
			ms = 0;
		}
	}
	publish(ring);
	(void)enter(ring, n_pending(ring), ms == 0 ? 0 : 1, ms);
	n = reap(ring, 0);
	/* Not to be told from success before all is read. */
	if (!has_completions(ring)) {
		n = finish_sends(ring, n);
	}
	if (ring->has_epoll_events) {
		int r = epoll_wait(ring->epoll_fd, ring->events + n,
				   EPOLL_EVENTS, 0);

		n += r > 0 ? (uint32_t)r : 0;
		ring->has_epoll_events = false;
	}
	*ret_events = ring->events;
	return (int)n;
}

/* -------------------------------------------------------------- beginning */

static void *map(int fd, size_t n, off_t at)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS
			      : MAP_SHARED | MAP_POPULATE,
		       fd, at);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t n)
{
	if (p) {
		(void)munmap(p, n);
	}
}

static int map_queues(struct weir_ring *ring, const struct io_uring_params *p)
{
	uint32_t *array;

	ring->sq_bytes = p->sq_off.array + p->sq_entries * sizeof(*array);
	ring->cq_bytes = p->cq_off.cqes +
			 p->cq_entries * sizeof(struct io_uring_cqe);
	ring->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	ring->sq = map(ring->fd, ring->sq_bytes, IORING_OFF_SQ_RING);
	ring->cq = map(ring->fd, ring->cq_bytes, IORING_OFF_CQ_RING);
	ring->sqes = map(ring->fd, ring->sqes_bytes, IORING_OFF_SQES);
	if (!ring->sq || !ring->cq || !ring->sqes) {
		return -ENOMEM;
	}
	ring->sq_head = (void *)(ring->sq + p->sq_off.head);
	ring->sq_tail = (void *)(ring->sq + p->sq_off.tail);
	ring->sq_flags = (void *)(ring->sq + p->sq_off.flags);
	ring->sq_mask = p->sq_entries - 1;
	ring->cq_head = (void *)(ring->cq + p->cq_off.head);
	ring->cq_tail = (void *)(ring->cq + p->cq_off.tail);
	ring->cq_mask = p->cq_entries - 1;
	ring->cqes = (void *)(ring->cq + p->cq_off.cqes);
	array = (void *)(ring->sq + p->sq_off.array);
	for (uint32_t i = 0; i < p->sq_entries; i++) {
		array[i] = i;
	}
	return 0;
}

static int map_buffers(struct weir_ring *ring)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};

	ring->buffers = map(-1, BUFFERS * sizeof(struct io_uring_buf), 0);
	ring->buffer_bytes = map(-1, (size_t)BUFFERS * BUFFER_BYTES, 0);
	ring->slot_bytes = map(-1, (size_t)SLOTS * SLOT_BYTES, 0);
	if (!ring->buffers || !ring->buffer_bytes || !ring->slot_bytes) {
		return -ENOMEM;
	}
	reg.ring_addr = (uintptr_t)ring->buffers;
	if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_PBUF_RING,
		    &reg, 1) < 0) {
		return -errno;
	}
	for (uint16_t i = 0; i < BUFFERS; i++) {
		give_buffer(ring, i);
	}
	for (uint16_t i = SLOTS; i-- > 0;) {
		free_slot(ring, &ring->slots[i]);
	}
	return 0;
}

/* Saves looking the descriptor up at each call (5.18). */
static void register_itself(struct weir_ring *ring)
{
	struct io_uring_rsrc_update reg = {.offset = UINT32_MAX,
					   .data = (uint64_t)ring->fd};

	ring->enter_fd = ring->fd;
	if (syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_RING_FDS,
		    &reg, 1) == 1) {
		ring->enter_fd = (int)reg.offset;
		ring->enter_flags = IORING_ENTER_REGISTERED_RING;
	}
}

int weir_ring_new(int epoll_fd, struct weir_ring **ret_ring)
{
	struct io_uring_params p = {.cq_entries = CQ_ENTRIES};
	struct weir_ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring) {
		return -ENOMEM;
	}
	ring->epoll_fd = epoll_fd;
	ring->fd = weir_uring_setup(SQ_ENTRIES, &p);
	r = ring->fd < 0 ? ring->fd : map_queues(ring, &p);
	if (r == 0) {
		r = map_buffers(ring);
	}
	if (r < 0) {
		weir_ring_free(&ring);
		return r;
	}
	register_itself(ring);
	*ret_ring = ring;
	return 0;
}

void weir_ring_stop(struct weir_ring *ring)
{
	if (ring && ring->fd >= 0) {
		publish(ring);
		(void)enter(ring, n_pending(ring), 0, 0);
		weir_close(&ring->fd);
	}
}

void weir_ring_free(struct weir_ring **ring)
{
	struct weir_ring *r = *ring;

	if (!r) {
		return;
	}
	weir_close(&r->fd);
	unmap(r->sq, r->sq_bytes);
	unmap(r->cq, r->cq_bytes);
	unmap(r->sqes, r->sqes_bytes);
	unmap(r->buffers, BUFFERS * sizeof(struct io_uring_buf));
	unmap(r->buffer_bytes, (size_t)BUFFERS * BUFFER_BYTES);
	unmap(r->slot_bytes, (size_t)SLOTS * SLOT_BYTES);
	weir_free_ptr(ring);
}
