/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel takes buffers in the order in which it got them, so a worker with
 * one connection comes to touch all that it gives.  Pages of those that nobody
 * holds go back to the system when little is received.
 *
 * That is sound because the kernel knows a provided buffer by its address
 * alone: nothing is pinned, and a receive looks its memory up as it copies.  A
 * multishot receive does so only in the thread that made the ring, while that
 * waits (DEFER_TASKRUN; one that the kernel would give to another thread fails
 * instead, io_wq_submit_work()).  So between two waits a buffer has bytes only
 * if a completion says so, and once all are read it is held or empty.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "ring_private.h"

/* n places of size bytes each. */
static void give_back(char *base, size_t size, const bool *is_used, uint32_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t from = 0;

	for (uint32_t i = 0; i <= n; i++) {
		size_t start;
		size_t end;

		if (i < n && !is_used[i]) {
			continue;
		}
		/* Whole pages of places that are all free. */
		start = (from * size + page - 1) / page * page;
		end = i * size / page * page;
		if (end > start) {
			(void)madvise(base + start, end - start, MADV_DONTNEED);
		}
		from = i + 1;
	}
}

bool weir_ring_wants_trim(const struct weir_ring *ring)
{
	return ring->n_received > RECEIVED_KEPT;
}

bool weir_ring_trim(struct weir_ring *ring)
{
	bool is_held[BUFFERS];
	bool is_sent[SLOTS] = {false};

	if (!weir_ring_wants_trim(ring)) {
		return false;
	}
	if (ring->n_received - ring->n_looked > RECEIVED_BUSY ||
	    weir_ring_queue_has_completions(&ring->q)) {
		ring->n_looked = ring->n_received;
		return true;
	}
	for (uint32_t i = 0; i < BUFFERS; i++) {
		is_held[i] = ring->held[i].n > 0;
	}
	give_back(ring->buffer_bytes, BUFFER_STRIDE, is_held, BUFFERS);
	for (uint16_t at = ring->turn_slots; at;
	     at = ring->slots[at - 1].next) {
		is_sent[at - 1] = true;
	}
	give_back(ring->slot_bytes, SLOT_STRIDE, is_sent, SLOTS);
	ring->n_wanted = BUFFERS_WANTED;
	ring->n_received = 0;
	ring->n_looked = 0;
	return false;
}
