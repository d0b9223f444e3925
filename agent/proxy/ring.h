/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring below the ends of a worker: reads that wait in the kernel take the
 * place of "readable, then recv()", and small sends of a turn go in one system
 * call with the wait that follows.  Sockets that OpenSSL reads and raw tunnels
 * are watched: the ring says what epoll would.  The rest (accepting, UDP) stays
 * with epoll, whose descriptor the ring polls.
 *
 * An end that is not readable has exactly one read armed.  While messages are
 * small that is a multishot receive into buffers that the ring's ends share:
 * it stays from one message to the next, and what it brings is held until
 * weir_end_recv() asks for it.  Where more comes at a time than a buffer takes,
 * or more than is asked for, it is cancelled, and the kernel says "readable"
 * and no more (a poll): recv() and splice() take bulk with one copy less, and a
 * peer's bytes wait in its own socket.  Any read may also end with no more than
 * "readable" (no buffer free, the end of the stream), and recv() is left to
 * find out.  So the machine above sees the flags that epoll would have given
 * it, and plain recv() and splice() may follow whenever no read is armed.
 */
#ifndef WEIR_PROXY_RING_H
#define WEIR_PROXY_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "str.h"

struct epoll_event;
struct iovec;
struct weir_end;
struct weir_ring;

#define WEIR_RING_SQ 1024 /* entries; what more there is costs a call */
#define WEIR_RING_CQ 8192 /* completions; more wait in the kernel */

/* Of the calling thread, which alone may use it.  sq, cq: powers of two up to
 * the above.  -errno where the kernel has too little of io_uring (6.1) or
 * forbids it. */
int weir_ring_new(int epoll_fd, uint32_t sq, uint32_t cq,
		  struct weir_ring **ret_ring);
/* Of one that is new: 0 if a byte comes through it, and a read that waits can
 * be taken back; else -errno, and it is to be freed at once.  A filter of
 * system calls may let a ring be made, and no more. */
int weir_ring_check(struct weir_ring *ring);
/* Lets all reads go; ends may still be closed afterwards, by any thread. */
void weir_ring_stop(struct weir_ring *ring);
void weir_ring_free(struct weir_ring **ring);
/* Submits what there is and waits at most ms (-1: for ever).  Events as of
 * epoll_wait(); 0 in one means that the flags of the end are set already. */
int weir_ring_wait(struct weir_ring *ring, int ms,
		   struct epoll_event **ret_events);

/* Now and then, in the middle of a turn: gives the memory of buffers back that
 * are not in use, if few are.  True: not yet, call it again. */
bool weir_ring_trim(struct weir_ring *ring);
/* It has something to give back. */
bool weir_ring_wants_trim(const struct weir_ring *ring);

/* The end's socket belongs to the ring from now on; its flags say what is to
 * be waited for. */
void weir_ring_add(struct weir_ring *ring, struct weir_end *end);

/* The end is read and written without the ring, which only says when: events
 * as of epoll, edge-triggered, until weir_ring_unwatch(), which comes before
 * its descriptor is closed, and is as weir_ring_forget().  0 or -ENOMEM. */
int weir_ring_watch(struct weir_ring *ring, struct weir_end *end);
bool weir_ring_unwatch(struct weir_end *end);

/* What follows is for ends with end->ring set. */

/* The end has become unreadable: a read waits for it from now on. */
void weir_ring_arm(struct weir_end *end);
/* It has become unwritable, or is not connected yet. */
void weir_ring_arm_out(struct weir_end *end);
/* That its peer ends its side or is reset is told from now on, too, when it is
 * not read; and when it is, and all depends on it: a reset that comes along
 * with bytes does not end a multishot receive (io_recv_finish() looks no
 * further when nothing more is in the queue; where it was armed before both
 * came, that was mended in io_uring/poll.c late in 6.18). */
void weir_ring_mind(struct weir_end *end);
/* Bytes of reads that have ended: n > 0, or -EAGAIN if one is still armed, or
 * an error; 0: there is none, use recv(). */
ssize_t weir_ring_recv(struct weir_end *end, char *p, size_t n);
/* The first bytes that weir_ring_recv() will give; false: none are here. */
bool weir_ring_peek(const struct weir_end *end, struct weir_str *ret_bytes);
/* Takes all of size bytes to be sent by the end of the turn.  False: not now,
 * use send(). */
bool weir_ring_send(struct weir_end *end, const struct iovec *iov,
		    uint32_t n_iov, size_t size);
/* end->slot is set: sends what was taken before.  0; -EAGAIN: something is
 * left; -errno. */
int weir_ring_settle(struct weir_end *end);
/* Nothing was read that weir_end_recv() has not given out. */
bool weir_ring_is_quiet(const struct weir_end *end);
/* Before its descriptor is closed.  False: what waits could not be taken back,
 * and the socket stays open for as long as it does. */
bool weir_ring_forget(struct weir_end *end);

#endif
