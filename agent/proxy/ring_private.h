/* SPDX-License-Identifier: Apache-2.0 */
/* What ring.c and ring_send.c share. */
#ifndef WEIR_PROXY_RING_PRIVATE_H
#define WEIR_PROXY_RING_PRIVATE_H

#include <sys/epoll.h>

#include "ring.h"
#include "ring_queue.h"

struct io_uring_buf_ring;

#define BUFFERS 512 /* for reads; a power of two */
#define BUFFER_BYTES 4096
/* Messages are short: were each at the beginning of a page, all would share few
 * sets of the caches. */
#define BUFFER_STRIDE (BUFFER_BYTES + 320)
#define BUFFERS_SCARCE (BUFFERS / 4)
/* The kernel takes them in turn.  It gets no more than have been needed, and
 * those first that were free last, so that few are used, which stay in the near
 * caches. */
#define BUFFERS_WANTED 64
#define RECEIVED_KEPT 32  /* buffers that have been used and stay resident */
#define RECEIVED_BUSY 128 /* more between two looks: it is not at rest */
#define HELD_MAX 4        /* buffers of an end that does not ask for them */
#define SMALL_READS 4     /* after so many an end is not one of bulk any more */
#define SLOTS 512         /* for sends */
#define SLOT_BYTES 2048
#define SLOT_STRIDE (SLOT_BYTES + 320)
#define BUSY_EVENTS 4 /* fewer in a turn: what is to be sent goes at once */
#define EPOLL_EVENTS 256
#define RING_EVENTS_MAX (WEIR_RING_CQ + SLOTS + EPOLL_EVENTS)

/* In the low bits of what names a completion; ends are aligned. */
enum tag {
	TAG_RECV,
	TAG_POLL,
	TAG_OUT,
	TAG_EDGE,
	TAG_SEND,
	TAG_EPOLL,
	TAG_GONE,
	TAG_NONE,
	N_TAGS = 8 /* that there is room for */
};

/* Bytes of an end that came before it asked for them. */
struct held {
	uint16_t n;    /* 0: nobody holds it */
	uint16_t next; /* index + 1 */
};

/* Small bytes of an end on their way. */
struct slot {
	struct weir_end *end;
	uint32_t at; /* of its entry in the submission queue */
	uint16_t n;
	uint16_t done;
	uint16_t next; /* free, or in the list of this turn */
	bool is_stuck; /* the socket was full: the rest waits for POLLOUT */
	bool has_failed;
};

struct weir_ring {
	struct weir_ring_queue q;
	int epoll_fd; /* not owned */
	bool has_epoll_poll;
	bool has_epoll_events;
	struct io_uring_buf_ring *buffers;
	char *buffer_bytes;
	uint16_t buffers_tail;
	uint16_t n_free;     /* buffers that nobody holds */
	uint16_t n_spare;    /* of them: the kernel has the others */
	uint16_t n_wanted;   /* that the kernel is to have */
	bool has_lacked;     /* it had none in the last turn */
	uint32_t n_received; /* of them since pages were given back */
	uint32_t n_looked;   /* of these when that was asked last */
	uint16_t spare[BUFFERS];
	struct held held[BUFFERS];
	char *slot_bytes;
	uint16_t free_slot; /* index + 1 */
	uint16_t turn_slots;
	bool is_busy;  /* enough happens in this turn to put sends off */
	bool is_asked; /* how a send ended that was submitted in this turn */
	struct slot slots[SLOTS];
	struct epoll_event events[RING_EVENTS_MAX];
};

/* A completion of a send: it did not take all. */
void weir_ring_note_send(struct weir_ring *ring,
			 const struct io_uring_cqe *cqe);
/* The sends of this turn are over, and all their failures noted.  n events so
 * far; returns how many there are now. */
uint32_t weir_ring_finish_sends(struct weir_ring *ring, uint32_t n);
/* All slots are free. */
void weir_ring_init_slots(struct weir_ring *ring);

#endif
