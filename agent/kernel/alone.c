// SPDX-License-Identifier: Apache-2.0
/*
 * One agent per network namespace: two would take each other's local routes
 * and steer the same addresses.  An abstract unix name belongs to its network
 * namespace and goes with the process that bound it, so that the next agent
 * waits for nothing; whoever connects is told by the kernel who listens.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "private.h"

#define NAME "weir-agent/v1" /* behind a zero byte: abstract */
#define BACKLOG 16           /* of those who ask before the loop runs */
#define TRIES 20             /* against one between bind and listen */
#define END_MS 300           /* for one that was killed and is still ending */

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
					   .sun_path = "\0" NAME};
static const socklen_t address_len = offsetof(struct sockaddr_un, sun_path) +
				     sizeof(NAME); /* counts the zero before */

/* 0, -ECONNREFUSED: nobody listens (yet, or any more), or -errno.  A pid of 0
 * is one of another pid namespace. */
static int ask_holder(pid_t *ret_pid)
{
	_cleanup_close_ int fd = socket(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer = {};
	socklen_t len = sizeof(peer);

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&address, address_len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		return -errno;
	}
	*ret_pid = peer.pid;
	return 0;
}

static int take(int *ret_fd)
{
	_cleanup_close_ int fd = socket(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&address, address_len) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* True if the process is gone after at most END_MS: its descriptors are closed
 * before its end is told. */
static bool is_gone(pid_t pid)
{
	_cleanup_close_ int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0)
					 : -1;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 ? poll(&p, 1, END_MS) > 0 : pid > 0 && errno == ESRCH;
}

int weir_alone_lock(int *ret_fd, pid_t *ret_holder)
{
	bool has_waited = false;
	pid_t holder = 0;
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		r = take(ret_fd);
		if (r != -EADDRINUSE) {
			return r;
		}
		r = ask_holder(&holder);
		if (r == 0 && !has_waited && is_gone(holder)) {
			has_waited = true;
			continue;
		}
		if (r != -ECONNREFUSED) {
			break;
		}
		sched_yield(); /* bound, about to listen */
	}
	if (ret_holder) {
		*ret_holder = r == 0 ? holder : 0;
	}
	return -EBUSY;
}

/* Connecting was the question; left in the queue they would fill it. */
static void on_asked(struct weir_io *io, uint32_t events)
{
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	weir_close(&fd);
}

int weir_alone_start(struct weir_kernel *kernel, pid_t *ret_holder)
{
	int r;

	kernel->alone.fn = on_asked;
	r = weir_alone_lock(&kernel->alone.fd, ret_holder);
	if (r < 0) {
		return r;
	}
	r = weir_loop_add(kernel->loop, &kernel->alone, EPOLLIN);
	if (r < 0) {
		weir_close(&kernel->alone.fd);
	}
	return r;
}

void weir_alone_stop(struct weir_kernel *kernel)
{
	if (kernel->alone.fd >= 0) {
		weir_loop_del(kernel->loop, &kernel->alone);
	}
	weir_close(&kernel->alone.fd);
}
