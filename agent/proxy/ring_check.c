/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a ring does what is asked of it, by doing it. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "conn.h"
#include "ring.h"

#define TURNS_MAX 20
#define TURN_MS 50

static int look(struct weir_ring *ring, struct weir_end *end, int peer)
{
	struct epoll_event *events;
	char byte = 0;

	weir_ring_add(ring, end);
	if (send(peer, "x", 1, MSG_NOSIGNAL) < 0) {
		return -errno;
	}
	for (int i = 0; i < TURNS_MAX && !end->is_readable; i++) {
		(void)weir_ring_wait(ring, TURN_MS, &events);
	}
	if (end->error) {
		return -end->error;
	}
	if (!end->is_readable || weir_ring_recv(end, &byte, 1) != 1 ||
	    byte != 'x') {
		return -ENOSYS;
	}
	/* The one that brought it still waits for the next. */
	return end->is_armed ? 0 : -EOPNOTSUPP;
}

int weir_ring_check(struct weir_ring *ring)
{
	struct weir_end end = {
		.fd = -1, .kind = WEIR_END_CLIENT, .is_writable = true};
	_cleanup_close_ int peer = -1;
	struct epoll_event *events;
	int fds[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       fds) < 0) {
		return -errno;
	}
	end.fd = fds[0];
	peer = fds[1];
	r = look(ring, &end, peer);
	weir_end_close(&end, false);
	end.kind = WEIR_END_DEAD;
	for (int i = 0; i < TURNS_MAX && weir_end_is_awaited(&end); i++) {
		(void)weir_ring_wait(ring, TURN_MS, &events);
	}
	return r == 0 && weir_end_is_awaited(&end) ? -ENOSYS : r;
}
