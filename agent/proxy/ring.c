/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "conn.h"
#include "ring_private.h"
#include "uring.h"

static uint64_t name_of(const struct weir_end *end, enum tag tag)
{
	return (uintptr_t)end | tag;
}

static uint64_t name_of_read(const struct weir_end *end)
{
	return name_of(end, end->is_polled ? TAG_POLL : TAG_RECV);
}

static void poll_epoll(struct weir_ring *ring)
{
	struct io_uring_sqe *sqe = weir_ring_queue_next(&ring->q);

	if (sqe) {
		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->fd = ring->epoll_fd;
		sqe->poll32_events = POLLIN;
		sqe->user_data = TAG_EPOLL;
		ring->has_epoll_poll = true;
	}
}

/* --------------------------------------------------------------- buffers */

static char *bytes_held(struct weir_ring *ring, uint16_t id)
{
	return ring->buffer_bytes + (size_t)id * BUFFER_STRIDE;
}

static void free_buffer(struct weir_ring *ring, uint16_t id)
{
	ring->spare[ring->n_spare++] = id;
	ring->n_free++;
}

/* To the kernel, as many as it is to have. */
static void give_buffers(struct weir_ring *ring)
{
	if (ring->has_lacked && ring->n_wanted < BUFFERS) {
		ring->n_wanted *= 2;
	}
	ring->has_lacked = false;
	while (ring->n_spare && ring->n_free - ring->n_spare < ring->n_wanted) {
		uint16_t id = ring->spare[--ring->n_spare];
		struct io_uring_buf *b =
			&ring->buffers
				 ->bufs[ring->buffers_tail++ & (BUFFERS - 1)];

		b->addr = (uintptr_t)bytes_held(ring, id);
		b->len = BUFFER_BYTES;
		b->bid = id;
	}
	__atomic_store_n(&ring->buffers->tail, ring->buffers_tail,
			 __ATOMIC_RELEASE);
}

static void hold(struct weir_ring *ring, struct weir_end *end, uint16_t id,
		 uint16_t n)
{
	ring->held[id] = (struct held){.n = n};
	if (end->held) {
		ring->held[end->held_last].next = (uint16_t)(id + 1);
	} else {
		end->held = (uint16_t)(id + 1);
		end->held_at = 0;
	}
	end->held_last = id;
	end->n_held++;
}

static void drop_held(struct weir_ring *ring, struct weir_end *end)
{
	uint16_t id = (uint16_t)(end->held - 1);

	end->held = ring->held[id].next;
	ring->held[id].n = 0;
	end->held_at = 0;
	end->n_held--;
	free_buffer(ring, id);
}

/* -------------------------------------------------------------- receiving */

/* It fails like a socket that has failed: the connection ends. */
static void out_of_memory(struct weir_end *end)
{
	end->error = ENOMEM;
	end->is_broken = true;
	end->is_readable = true;
	end->is_writable = true;
}

/* How much came since the last time tells whether it is worth a copy. */
static void judge(struct weir_end *end)
{
	uint32_t received = (uint32_t)end->received;

	if (end->is_bulk) {
		end->n_small = received - end->armed_received < BUFFER_BYTES
				       ? (uint8_t)(end->n_small + 1)
				       : 0;
		end->is_bulk = end->n_small < SMALL_READS;
	}
	end->armed_received = received;
}

void weir_ring_arm(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	struct io_uring_sqe *sqe;

	/* One that is broken may have bytes still, and an end behind them. */
	if (end->is_armed || end->held) {
		return;
	}
	sqe = weir_ring_queue_next(&ring->q);
	if (!sqe) {
		out_of_memory(end);
		return;
	}
	judge(end);
	sqe->fd = end->fd;
	if (end->is_bulk || ring->n_free < BUFFERS_SCARCE) {
		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->poll32_events = POLLIN | POLLRDHUP;
		sqe->user_data = name_of(end, TAG_POLL);
	} else {
		sqe->opcode = IORING_OP_RECV;
		sqe->flags = IOSQE_BUFFER_SELECT;
		/* It was found empty just now. */
		sqe->ioprio = IORING_RECVSEND_POLL_FIRST |
			      IORING_RECV_MULTISHOT;
		sqe->user_data = name_of(end, TAG_RECV);
	}
	end->armed_at = ring->q.tail - 1;
	end->is_armed = true;
	end->is_polled = sqe->opcode == IORING_OP_POLL_ADD;
	end->is_cancelled = false;
}

void weir_ring_arm_out(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	struct io_uring_sqe *sqe;

	if (end->is_out_armed || end->is_broken) {
		return;
	}
	sqe = weir_ring_queue_next(&ring->q);
	if (!sqe) {
		out_of_memory(end);
		return;
	}
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = end->fd;
	sqe->poll32_events = POLLOUT;
	/* That the peer has ended its side is told unasked (io_uring/poll.c,
	 * IO_POLL_UNMASK), and would be by each poll anew.  One of edges says
	 * it once, and stays. */
	sqe->len = end->is_hup ? IORING_POLL_ADD_MULTI : 0;
	sqe->user_data = name_of(end, TAG_OUT);
	end->out_at = ring->q.tail - 1;
	end->is_out_armed = true;
}

void weir_ring_mind(struct weir_end *end)
{
	struct io_uring_sqe *sqe;

	if (end->is_gone_armed || end->is_broken) {
		return;
	}
	sqe = weir_ring_queue_next(&end->ring->q);
	if (!sqe) {
		return; /* it has its deadline */
	}
	/* Edges of what is told unasked, too, and no other.  It costs nothing
	 * when reads go on, so it stays. */
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = end->fd;
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->poll32_events = POLLRDHUP;
	sqe->user_data = name_of(end, TAG_GONE);
	end->gone_at = end->ring->q.tail - 1;
	end->is_gone_armed = true;
}

void weir_ring_add(struct weir_ring *ring, struct weir_end *end)
{
	end->ring = ring;
	if (!end->is_writable) {
		weir_ring_arm_out(end);
	} else if (!end->is_readable) {
		weir_ring_arm(end);
	}
}

/* As epoll would say it, edge-triggered, of both directions. */
int weir_ring_watch(struct weir_ring *ring, struct weir_end *end)
{
	struct io_uring_sqe *sqe = weir_ring_queue_next(&ring->q);

	if (!sqe) {
		return -ENOMEM;
	}
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = end->fd;
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->poll32_events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
	sqe->user_data = name_of(end, TAG_EDGE);
	end->edges = ring;
	end->armed_at = ring->q.tail - 1;
	end->is_armed = true;
	return 0;
}

/* Takes back what has been submitted; it ends with a completion. */
static bool cancel(struct weir_ring *ring, uint64_t name)
{
	struct io_uring_sqe *sqe = weir_ring_queue_next(&ring->q);

	if (sqe) {
		sqe->opcode = IORING_OP_ASYNC_CANCEL;
		sqe->fd = -1;
		sqe->addr = name;
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
		sqe->user_data = TAG_NONE;
	}
	return sqe;
}

static void cancel_read(struct weir_ring *ring, struct weir_end *end)
{
	if (end->is_armed && !end->is_cancelled) {
		end->is_cancelled = cancel(ring, name_of_read(end));
	}
}

ssize_t weir_ring_recv(struct weir_end *end, char *p, size_t n)
{
	struct weir_ring *ring = end->ring;
	size_t got = 0;

	while (end->held && got < n) {
		uint16_t id = (uint16_t)(end->held - 1);
		size_t k = (size_t)(ring->held[id].n - end->held_at);

		if (k > n - got) {
			k = n - got;
		}
		memcpy(p + got, bytes_held(ring, id) + end->held_at, k);
		got += k;
		end->held_at += (uint16_t)k;
		if (end->held_at == ring->held[id].n) {
			drop_held(ring, end);
		}
	}
	if (!end->held && end->is_armed) {
		end->is_readable = false;
	}
	if (got) {
		return (ssize_t)got;
	}
	if (end->is_armed) {
		return -EAGAIN;
	}
	if (end->error) {
		end->is_readable = false;
		return -end->error;
	}
	return 0;
}

bool weir_ring_peek(const struct weir_end *end, struct weir_str *ret_bytes)
{
	struct weir_ring *ring = end->ring;
	uint16_t id = (uint16_t)(end->held - 1);

	if (!end->held) {
		return false;
	}
	*ret_bytes = (struct weir_str){
		bytes_held(ring, id) + end->held_at,
		(size_t)(ring->held[id].n - end->held_at)};
	return true;
}

bool weir_ring_is_quiet(const struct weir_end *end)
{
	const struct weir_ring_queue *q = &end->ring->q;
	uint64_t name = name_of_read(end);
	uint32_t tail;

	if (end->held || end->error) {
		return false;
	}
	if (!end->is_armed) {
		return true;
	}
	/* It may have ended in the middle of the turn, when entries had to be
	 * submitted; or there was more to be told than has room. */
	if (weir_ring_queue_has_overrun(q)) {
		return false;
	}
	tail = atomic_load_explicit(q->cq_tail, memory_order_acquire);
	for (uint32_t i = *q->cq_head; i != tail; i++) {
		if (q->cqes[i & q->cq_mask].user_data == name) {
			return false;
		}
	}
	return true;
}

/* A receive has brought something, or has ended.  True: its end is to be told.
 */
static bool received(struct weir_ring *ring, struct weir_end *end,
		     const struct io_uring_cqe *cqe)
{
	bool was_readable = end->is_readable;
	uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		end->is_armed = false;
	}
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		ring->n_free--;
		ring->n_received++;
		if (end->kind == WEIR_END_DEAD || cqe->res <= 0) {
			free_buffer(ring, id);
		}
	}
	if (end->kind == WEIR_END_DEAD) {
		return false;
	}
	end->is_readable = true;
	if (cqe->res > 0) {
		hold(ring, end, id, (uint16_t)cqe->res);
		if (cqe->res == BUFFER_BYTES || end->n_held >= HELD_MAX) {
			end->is_bulk = true;
			end->n_small = 0;
			cancel_read(ring, end);
		}
		/* Its last one: who waits for something else is to mind. */
		return !was_readable || !end->is_armed;
	}
	if (cqe->res == -ECANCELED && !was_readable && !end->held) {
		/* Taken back for bulk, all of which has been read meanwhile:
		 * its owner waits for what comes next, if anything. */
		end->is_readable = false;
		weir_ring_arm(end);
		return end->is_broken;
	}
	ring->has_lacked |= cqe->res == -ENOBUFS;
	if (cqe->res == 0) {
		end->is_hup = true;
	} else if (cqe->res != -ENOBUFS && cqe->res != -EAGAIN &&
		   cqe->res != -EINTR && cqe->res != -ENOMEM &&
		   cqe->res != -ECANCELED) {
		/* recv() would not say it again. */
		end->error = -cqe->res;
		end->is_broken = true;
	}
	return true;
}

/* "Readable". */
static bool polled(struct weir_end *end, const struct io_uring_cqe *cqe)
{
	end->is_armed = false;
	if (end->kind == WEIR_END_DEAD) {
		return false;
	}
	end->is_readable = true;
	if (cqe->res > 0) {
		end->is_hup |= (cqe->res & (POLLRDHUP | POLLHUP)) != 0;
		/* Not POLLHUP: see note() of worker.c. */
		end->is_broken |= (cqe->res & POLLERR) != 0;
	}
	return true;
}

/* A poll of an end that is closed says something and stays: that it was taken
 * back had no room, or comes yet.  Else it would be kept for good. */
static void retake(struct weir_ring *ring, const struct weir_end *end,
		   enum tag tag, const struct io_uring_cqe *cqe)
{
	if (cqe->flags & IORING_CQE_F_MORE) {
		(void)cancel(ring, name_of(end, tag));
	}
}

/* The peer of one that is minded. */
static bool gone(struct weir_ring *ring, struct weir_end *end,
		 const struct io_uring_cqe *cqe)
{
	bool is_end = cqe->res > 0 && cqe->res & (POLLRDHUP | POLLHUP);
	bool is_error = cqe->res > 0 && cqe->res & POLLERR;
	bool is_news = (is_end && !end->is_hup) ||
		       (is_error && !end->is_broken);

	end->is_gone_armed = cqe->flags & IORING_CQE_F_MORE;
	if (end->kind == WEIR_END_DEAD) {
		retake(ring, end, TAG_GONE, cqe);
		return false;
	}
	end->is_hup |= is_end;
	end->is_broken |= is_error;
	if (is_error && !end->is_polled) {
		/* It may not know (weir_ring_mind()); the next one will. */
		cancel_read(ring, end);
	}
	/* Else, were there no room for completions, it would be minded again,
	 * and say so again, without end. */
	return is_news;
}

/* --------------------------------------------------------------- watching */

/* There is room, or a connection. */
static bool polled_out(struct weir_end *end, const struct io_uring_cqe *cqe)
{
	end->is_out_armed = cqe->flags & IORING_CQE_F_MORE;
	if (end->kind == WEIR_END_DEAD) {
		retake(end->ring, end, TAG_OUT, cqe);
		return false;
	}
	if (cqe->res > 0 && !(cqe->res & (POLLOUT | POLLERR | POLLHUP))) {
		end->is_hup = true; /* and there is no room */
		weir_ring_arm_out(end);
		return end->is_broken; /* that could not be */
	}
	end->is_writable = true;
	end->is_broken |= cqe->res > 0 && cqe->res & POLLERR;
	if (end->slot) {
		end->is_writable = weir_ring_settle(end) != -EAGAIN;
	}
	return true;
}

/* An end that is watched.  True: with events. */
static bool edge(struct weir_ring *ring, struct weir_end *end,
		 const struct io_uring_cqe *cqe)
{
	if (cqe->flags & IORING_CQE_F_MORE) {
		if (end->kind == WEIR_END_DEAD) {
			retake(ring, end, TAG_EDGE, cqe);
		}
		return end->kind != WEIR_END_DEAD;
	}
	end->is_armed = false;
	if (end->kind == WEIR_END_DEAD) {
		return false;
	}
	/* The kernel ends it when it has no room to say more. */
	end->is_broken |= weir_ring_watch(ring, end) < 0;
	return true;
}

/* What waits for the end is taken back before its descriptor, which another
 * socket may get, is closed; true: it had been submitted.  Its place may be
 * another's, after 2^32 entries. */
static bool take_back(struct weir_ring *ring, uint32_t at, uint64_t name)
{
	struct weir_ring_queue *q = &ring->q;

	if (weir_ring_queue_has(q, at) &&
	    q->sqes[at & q->sq_mask].user_data == name) {
		weir_ring_queue_void(q, at, TAG_NONE);
		return false;
	}
	return true;
}

bool weir_ring_unwatch(struct weir_end *end)
{
	struct weir_ring *ring = end->edges;

	if (end->is_armed) {
		end->is_armed = ring->q.fd >= 0 &&
				take_back(ring, end->armed_at,
					  name_of(end, TAG_EDGE));
	}
	return !end->is_armed || cancel(ring, name_of(end, TAG_EDGE));
}

bool weir_ring_forget(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	bool is_free = true;

	if (ring->q.fd < 0) {
		end->is_armed = false;
		end->is_out_armed = false;
		end->is_gone_armed = false;
		end->slot = 0;
		end->held = 0;
		return true;
	}
	if (end->slot) {
		(void)weir_ring_settle(end);
	}
	if (end->slot) {
		ring->slots[end->slot - 1].end = NULL;
		end->slot = 0;
	}
	while (end->held) {
		drop_held(ring, end);
	}
	if (end->is_armed) {
		end->is_armed = take_back(ring, end->armed_at,
					  name_of_read(end));
	}
	if (end->is_out_armed) {
		end->is_out_armed = take_back(ring, end->out_at,
					      name_of(end, TAG_OUT));
	}
	if (end->is_gone_armed) {
		end->is_gone_armed = take_back(ring, end->gone_at,
					       name_of(end, TAG_GONE));
	}
	/* They hold on to the socket until they are told. */
	cancel_read(ring, end);
	if (end->is_out_armed) {
		is_free &= cancel(ring, name_of(end, TAG_OUT));
	}
	if (end->is_gone_armed) {
		is_free &= cancel(ring, name_of(end, TAG_GONE));
	}
	return is_free && (!end->is_armed || end->is_cancelled);
}

/* ---------------------------------------------------------------- waiting */

static uint32_t reap(struct weir_ring *ring, uint32_t n)
{
	struct weir_ring_queue *q = &ring->q;
	uint32_t head = *q->cq_head;
	uint32_t tail = atomic_load_explicit(q->cq_tail, memory_order_acquire);

	for (; head != tail && n < WEIR_RING_CQ; head++) {
		const struct io_uring_cqe *cqe = &q->cqes[head & q->cq_mask];
		enum tag tag = cqe->user_data % N_TAGS;
		struct weir_end *end =
			(struct weir_end *)(uintptr_t)(cqe->user_data - tag);
		bool is_told = false;
		uint32_t events = 0;

		switch (tag) {
		case TAG_RECV:
			is_told = received(ring, end, cqe);
			break;
		case TAG_POLL:
			is_told = polled(end, cqe);
			break;
		case TAG_OUT:
			is_told = polled_out(end, cqe);
			break;
		case TAG_GONE:
			is_told = gone(ring, end, cqe);
			break;
		case TAG_EDGE:
			is_told = edge(ring, end, cqe);
			events = cqe->res > 0 ? (uint32_t)cqe->res : 0;
			break;
		case TAG_SEND:
			weir_ring_note_send(ring, cqe);
			break;
		case TAG_EPOLL:
			ring->has_epoll_poll = false;
			ring->has_epoll_events = true;
			break;
		default:
			break;
		}
		if (is_told) {
			ring->events[n++] = (struct epoll_event){
				.events = events, .data.ptr = end};
		}
	}
	atomic_store_explicit(q->cq_head, head, memory_order_release);
	return n;
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
	give_buffers(ring);
	(void)weir_ring_queue_enter(&ring->q, ring->is_asked ? 0 : ms);
	n = reap(ring, 0);
	/* Not to be told from success before all is read. */
	if (!weir_ring_queue_has_completions(&ring->q)) {
		n = weir_ring_finish_sends(ring, n);
	}
	if (ring->has_epoll_events) {
		int r = epoll_wait(ring->epoll_fd, ring->events + n,
				   EPOLL_EVENTS, 0);

		n += r > 0 ? (uint32_t)r : 0;
		ring->has_epoll_events = false;
	}
	ring->is_busy = n >= BUSY_EVENTS;
	*ret_events = ring->events;
	return (int)n;
}

/* -------------------------------------------------------------- beginning */

static int map_buffers(struct weir_ring *ring)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};

	ring->buffers = weir_ring_map(-1, BUFFERS * sizeof(struct io_uring_buf),
				      0);
	ring->buffer_bytes = weir_ring_map(-1, (size_t)BUFFERS * BUFFER_STRIDE,
					   0);
	ring->slot_bytes = weir_ring_map(-1, (size_t)SLOTS * SLOT_STRIDE, 0);
	if (!ring->buffers || !ring->buffer_bytes || !ring->slot_bytes) {
		return -ENOMEM;
	}
	/* Page by page, as they are used and given back. */
	(void)madvise(ring->buffer_bytes, (size_t)BUFFERS * BUFFER_STRIDE,
		      MADV_NOHUGEPAGE);
	(void)madvise(ring->slot_bytes, (size_t)SLOTS * SLOT_STRIDE,
		      MADV_NOHUGEPAGE);
	reg.ring_addr = (uintptr_t)ring->buffers;
	if (syscall(__NR_io_uring_register, ring->q.fd,
		    IORING_REGISTER_PBUF_RING, &reg, 1) < 0) {
		return -errno;
	}
	ring->n_wanted = BUFFERS_WANTED;
	for (uint16_t i = BUFFERS; i-- > 0;) {
		free_buffer(ring, i);
	}
	weir_ring_init_slots(ring);
	return 0;
}

int weir_ring_new(int epoll_fd, uint32_t sq, uint32_t cq,
		  struct weir_ring **ret_ring)
{
	struct weir_ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring) {
		return -ENOMEM;
	}
	ring->epoll_fd = epoll_fd;
	r = weir_ring_queue_init(&ring->q, sq, cq);
	if (r == 0) {
		r = map_buffers(ring);
	}
	if (r < 0) {
		weir_ring_free(&ring);
		return r;
	}
	*ret_ring = ring;
	return 0;
}

void weir_ring_stop(struct weir_ring *ring)
{
	if (ring && ring->q.fd >= 0) {
		(void)weir_ring_queue_enter(&ring->q, 0);
		weir_ring_queue_close(&ring->q);
	}
}

void weir_ring_free(struct weir_ring **ring)
{
	struct weir_ring *r = *ring;

	if (!r) {
		return;
	}
	weir_ring_queue_fini(&r->q);
	weir_ring_unmap(r->buffers, BUFFERS * sizeof(struct io_uring_buf));
	weir_ring_unmap(r->buffer_bytes, (size_t)BUFFERS * BUFFER_STRIDE);
	weir_ring_unmap(r->slot_bytes, (size_t)SLOTS * SLOT_STRIDE);
	weir_free_ptr(ring);
}
