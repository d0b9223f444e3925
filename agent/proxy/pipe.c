/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cleanup.h"

static void destroy(struct weir_pipe *pipe)
{
	weir_close(&pipe->in);
	weir_close(&pipe->out);
	weir_free_ptr(&pipe);
}

struct weir_pipe *weir_pipe_get(struct weir_pipes *p)
{
	struct weir_pipe *pipe = p->free;
	int fds[2];

	if (pipe) {
		p->free = pipe->next;
		p->n_free--;
		p->n_used++;
		pipe->next = NULL;
		return pipe;
	}
	if (p->n_used >= p->max) {
		return NULL;
	}
	pipe = calloc(1, sizeof(*pipe));
	if (!pipe || pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
		weir_free_ptr(&pipe);
		return NULL;
	}
	/* Refused over the user's share of pipe memory: a small one works. */
	(void)fcntl(fds[1], F_SETPIPE_SZ, WEIR_PIPE_BYTES);
	pipe->out = fds[0];
	pipe->in = fds[1];
	p->n_used++;
	return pipe;
}

void weir_pipe_put(struct weir_pipes *p, struct weir_pipe **pipep)
{
	struct weir_pipe *pipe = TAKE_PTR(*pipep);

	if (!pipe) {
		return;
	}
	p->n_used--;
	if (pipe->n) {
		destroy(pipe);
		return;
	}
	pipe->next = p->free;
	p->free = pipe;
	p->n_free++;
}

static void drop(struct weir_pipes *p, uint32_t kept)
{
	while (p->n_free > kept) {
		struct weir_pipe *pipe = p->free;

		p->free = pipe->next;
		p->n_free--;
		destroy(pipe);
	}
}

void weir_pipes_trim(struct weir_pipes *p)
{
	drop(p, WEIR_PIPES_KEPT);
}

void weir_pipes_fini(struct weir_pipes *p)
{
	drop(p, 0);
}

/* The flags of an end after an operation on it that gave r. */
static ssize_t outcome(struct weir_end *end, bool *flag, ssize_t r)
{
	int error = errno;

	if (r >= 0) {
		end->has_moved |= r > 0;
		return r;
	}
	*flag = false;
	if (error == EAGAIN || error == EWOULDBLOCK) {
		return -EAGAIN;
	}
	end->is_broken = true;
	return -error;
}

ssize_t weir_pipe_fill(struct weir_pipe *pipe, struct weir_end *from,
		       uint64_t n)
{
	ssize_t r;

	do {
		r = splice(from->fd, NULL, pipe->in, NULL,
			   n < WEIR_PIPE_BYTES ? (size_t)n : WEIR_PIPE_BYTES,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (r < 0 && errno == EINTR);
	r = outcome(from, &from->is_readable, r);
	if (r > 0) {
		pipe->n += (uint32_t)r;
		from->received += (uint64_t)r;
	} else if (r == 0) {
		from->is_readable = false;
		r = weir_end_ended(from);
	} else if (r == -EAGAIN && !weir_end_is_quiet(from)) {
		/* Before an urgent byte splice() stops as if there were nothing
		 * more (tcp_read_sock() of net/ipv4/tcp.c); recv() goes on. */
		from->is_readable = true;
	} else if (r == -EAGAIN) {
		r = weir_end_is_empty(from);
	}
	return r;
}

ssize_t weir_pipe_drain(struct weir_pipe *pipe, struct weir_end *to)
{
	ssize_t r = weir_end_settle(to);

	if (r < 0) {
		return r;
	}
	do {
		r = splice(pipe->out, NULL, to->fd, NULL, pipe->n,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (r < 0 && errno == EINTR);
	r = outcome(to, &to->is_writable, r);
	if (r > 0) {
		pipe->n -= (uint32_t)r;
		to->sent += (uint64_t)r;
	} else if (r == -EAGAIN) {
		r = weir_end_is_full(to);
	}
	return r;
}
