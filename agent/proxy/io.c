/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "conn.h"
#include "layer.h"
#include "ring.h"

int weir_end_is_empty(struct weir_end *end)
{
	if (end->ring) {
		weir_ring_arm(end);
	}
	return end->error ? -end->error : -EAGAIN;
}

int weir_end_is_full(struct weir_end *end)
{
	end->is_writable = false;
	if (end->ring) {
		weir_ring_arm_out(end);
	}
	return end->error ? -end->error : -EAGAIN;
}

bool weir_end_is_bare(const struct weir_end *end)
{
	return !end->layer && !end->is_armed && !end->held && !end->error;
}

void weir_end_mind(struct weir_end *end, bool is_within)
{
	if (end->ring && (is_within || (end->is_readable && !end->is_armed))) {
		weir_ring_mind(end);
	}
}

int weir_end_settle(struct weir_end *end)
{
	return end->slot ? weir_ring_settle(end) : 0;
}

static ssize_t moved(struct weir_end *end, uint64_t *count, ssize_t n)
{
	if (n > 0) {
		end->has_moved = true;
		*count += (uint64_t)n;
	}
	return n;
}

/* A socket tells of a reset once.  EPIPE: by then its peer had ended its side,
 * and what came before that is all of it. */
void weir_end_failed(struct weir_end *end, int error)
{
	end->is_broken = true;
	end->is_cut |= error != EPIPE;
}

int weir_end_ended(struct weir_end *end)
{
	end->is_hup = true;
	end->is_broken |= end->is_cut;
	return end->is_cut ? -ECONNRESET : 0;
}

ssize_t weir_end_recv(struct weir_end *end, char *p, size_t n)
{
	ssize_t r;

	if (end->layer) {
		r = end->layer->ops->recv(end, p, n);
		end->received += r > 0 ? (uint64_t)r : 0;
		return r;
	}
	if (end->ring) {
		r = weir_ring_recv(end, p, n);
		if (r != 0) {
			return moved(end, &end->received, r);
		}
	}
	do {
		r = recv(end->fd, p, n, 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		int error = errno;

		end->is_readable = false;
		if (error == EAGAIN || error == EWOULDBLOCK) {
			return weir_end_is_empty(end);
		}
		end->is_broken = true;
		return -error;
	}
	/* A short read drained the socket: the next byte is a new edge.  The
	 * end of the stream has had its edge already, and at an urgent mark a
	 * read stops before what lies behind. */
	if ((size_t)r < n) {
		end->is_readable = r > 0 && (end->is_hup || end->is_urgent);
	}
	end->has_moved = true;
	end->received += (uint64_t)r;
	if (r == 0) {
		return weir_end_ended(end);
	}
	if (!end->is_readable) {
		(void)weir_end_is_empty(end);
	}
	return r;
}

ssize_t weir_end_send(struct weir_end *end, const struct iovec *iov,
		      uint32_t n_iov, int flags)
{
	size_t want = 0;
	ssize_t r;

	if (end->layer) {
		r = end->layer->ops->send(end, iov, n_iov, flags);
		end->sent += r > 0 ? (uint64_t)r : 0;
		return r;
	}
	for (uint32_t i = 0; i < n_iov; i++) {
		want += iov[i].iov_len;
	}
	if (end->ring) {
		/* What was put off may be lost: no hole. */
		if (end->error) {
			end->is_writable = false;
			return -end->error;
		}
		if (flags == WEIR_SEND_LATER &&
		    weir_ring_send(end, iov, n_iov, want)) {
			return moved(end, &end->sent, (ssize_t)want);
		}
		r = weir_end_settle(end);
		if (r < 0) {
			return r;
		}
	}
	flags &= ~WEIR_SEND_LATER;
	do {
		if (n_iov == 1) {
			r = send(end->fd, iov->iov_base, iov->iov_len,
				 flags | MSG_NOSIGNAL);
		} else {
			struct msghdr msg = {
				.msg_iov = (struct iovec *)(uintptr_t)iov,
				.msg_iovlen = n_iov};

			r = sendmsg(end->fd, &msg, flags | MSG_NOSIGNAL);
		}
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		int error = errno;

		if (error == EAGAIN || error == EWOULDBLOCK) {
			return weir_end_is_full(end);
		}
		end->is_writable = false;
		weir_end_failed(end, error);
		return -error;
	}
	if ((size_t)r < want) {
		(void)weir_end_is_full(end);
	}
	return moved(end, &end->sent, r);
}

ssize_t weir_end_fill(struct weir_end *end, struct weir_block *block,
		      uint32_t size)
{
	ssize_t n;

	if (block->start == block->end) {
		block->start = 0;
		block->end = 0;
	} else if (block->end == size && block->start) {
		memmove(block->data, block->data + block->start,
			block->end - block->start);
		block->end -= block->start;
		block->start = 0;
	}
	if (block->end == size) {
		return -ENOBUFS;
	}
	n = weir_end_recv(end, block->data + block->end, size - block->end);
	if (n > 0) {
		block->end += (uint32_t)n;
	}
	return n;
}

int weir_end_shut(struct weir_end *end)
{
	if (end->layer) {
		return end->layer->ops->shut(end);
	}
	(void)weir_end_settle(end);
	(void)shutdown(end->fd, SHUT_WR);
	return 0;
}

void weir_end_close(struct weir_end *end, bool is_reset)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	bool is_free = true;

	if (end->layer) {
		end->layer->ops->close(end, is_reset);
	}
	if (end->ring) {
		is_free = weir_ring_forget(end);
	}
	if (end->edges) {
		is_free &= weir_ring_unwatch(end);
	}
	/* The peer is to know now.  Without an address: a reset. */
	if (!is_free &&
	    (!is_reset || connect(end->fd, &nobody, sizeof(nobody)) < 0)) {
		(void)shutdown(end->fd, SHUT_RDWR);
	}
	if (is_reset && end->fd >= 0) {
		(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &linger,
				 sizeof(linger));
	}
	weir_close(&end->fd);
}

int weir_end_connect_error(struct weir_end *end)
{
	socklen_t n = sizeof(int);
	int error = 0;

	if (end->fd < 0) {
		return 0; /* a stream: its connection is there */
	}
	if (getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0) {
		return errno;
	}
	return error;
}

uint32_t weir_end_unsent(const struct weir_end *end)
{
	int n = 0;

	return end->fd >= 0 && ioctl(end->fd, SIOCOUTQ, &n) == 0 && n > 0
		       ? (uint32_t)n
		       : 0;
}

bool weir_end_is_quiet(struct weir_end *end)
{
	char byte;

	if (end->layer) {
		return end->layer->ops->is_quiet(end);
	}
	if (end->ring && !weir_ring_is_quiet(end)) {
		return false;
	}
	if (recv(end->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) {
		return false;
	}
	if (errno == EAGAIN) {
		return true;
	}
	weir_end_failed(end, errno);
	return false;
}

bool weir_end_is_stream(const struct weir_end *end)
{
	return end->layer && end->layer->ops->is_stream;
}
