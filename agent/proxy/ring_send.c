/* SPDX-License-Identifier: Apache-2.0 */
/* Small sends of a turn, which go with the wait that follows. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn.h"
#include "ring_private.h"
#include "uring.h"

static char *bytes_of(struct weir_ring *ring, const struct slot *s)
{
	return ring->slot_bytes + (size_t)(s - ring->slots) * SLOT_STRIDE;
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

	if (s->is_stuck || !weir_ring_queue_has(&ring->q, s->at) ||
	    size > SLOT_BYTES - (size_t)s->n) {
		return false;
	}
	for (uint32_t i = 0; i < n_iov; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	s->n += (uint16_t)size;
	ring->q.sqes[s->at & ring->q.sq_mask].len = s->n;
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
	/* Of one whose peer has ended its side, edges tell when there is room
	 * (weir_ring_arm_out()): it might be told before the send is known to
	 * have failed for want of it. */
	if (size > SLOT_BYTES || !ring->free_slot || !ring->is_busy ||
	    end->is_hup) {
		return false;
	}
	sqe = weir_ring_queue_next(&ring->q);
	if (!sqe) {
		return false;
	}
	s = &ring->slots[ring->free_slot - 1];
	end->slot = ring->free_slot;
	ring->free_slot = s->next;
	*s = (struct slot){
		.end = end, .at = ring->q.tail - 1, .next = ring->turn_slots};
	ring->turn_slots = end->slot;
	/* All of it or at once as much as fits, and then a completion: with
	 * MSG_DONTWAIT it is over when the submission is. */
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = end->fd;
	sqe->addr = (uintptr_t)bytes_of(ring, s);
	sqe->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)(end->slot - 1) * N_TAGS | TAG_SEND;
	return append(ring, s, iov, n_iov, size);
}

int weir_ring_settle(struct weir_end *end)
{
	struct weir_ring *ring = end->ring;
	struct slot *s = &ring->slots[end->slot - 1];
	ssize_t r;

	if (!s->is_stuck && weir_ring_queue_has(&ring->q, s->at)) {
		weir_ring_queue_void(&ring->q, s->at, TAG_NONE);
		s->is_stuck = true;
	} else if (!s->is_stuck) {
		/* Entries were so many that they had to be submitted in this
		 * turn.  How it ended is told after the wait, which does not
		 * last: there is no completion if all went well. */
		end->is_writable = false;
		ring->is_asked = true;
		return -EAGAIN;
	}
	do {
		r = send(end->fd, bytes_of(ring, s) + s->done,
			 (size_t)(s->n - s->done), MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		int error = errno;

		weir_end_failed(end, error);
		return -error;
	}
	s->done += (uint16_t)(r > 0 ? r : 0);
	if (s->done < s->n) {
		end->is_writable = false;
		weir_ring_arm_out(end);
		/* No wait for room is armed for one that is broken, or that
		 * the kernel takes no more entries of. */
		return end->is_broken ? -ENOMEM : -EAGAIN;
	}
	end->slot = 0;
	s->end = NULL;
	return 0;
}

void weir_ring_note_send(struct weir_ring *ring, const struct io_uring_cqe *cqe)
{
	struct slot *s = &ring->slots[cqe->user_data / N_TAGS];
	bool is_error = cqe->res < 0 && cqe->res != -EAGAIN &&
			cqe->res != -EINTR && cqe->res != -ENOMEM;

	if (!s->end) {
		return;
	}
	s->has_failed = true;
	s->end->is_writable = false;
	s->done += (uint16_t)(cqe->res > 0 ? cqe->res : 0);
	if (is_error) {
		weir_end_failed(s->end, -cqe->res);
	}
}

uint32_t weir_ring_finish_sends(struct weir_ring *ring, uint32_t n)
{
	uint16_t at = ring->turn_slots;
	uint16_t kept = 0;

	ring->is_asked = false;
	while (at) {
		struct slot *s = &ring->slots[at - 1];
		uint16_t next = s->next;

		if (s->end && !s->is_stuck && s->has_failed) {
			weir_ring_arm_out(s->end); /* or it is broken */
			s->is_stuck = !s->end->is_broken;
		}
		if (s->end &&
		    (s->is_stuck || weir_ring_queue_has(&ring->q, s->at))) {
			s->next = kept;
			kept = at;
		} else {
			struct weir_end *end = s->end;

			free_slot(ring, s);
			if (end && (!end->is_writable || end->is_broken) &&
			    n < RING_EVENTS_MAX) {
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

void weir_ring_init_slots(struct weir_ring *ring)
{
	for (uint16_t i = SLOTS; i-- > 0;) {
		free_slot(ring, &ring->slots[i]);
	}
}
