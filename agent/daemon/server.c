// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdutil.h"

struct connection {
	struct weir_server *server;
	struct weir_io io;
	struct weir_timer deadline;
	struct weir_reply reply;
	size_t sent;
	size_t n; /* bytes of request */
	char *request;
	bool is_answering;
};

struct weir_server {
	struct weir_loop *loop;
	struct weir_io io;
	const char *terminator;
	weir_request_fn fn;
	void *arg;
	size_t n_connections;
	struct connection connections[WEIR_SERVER_CONNECTIONS];
};

static void hang_up(struct connection *c)
{
	struct weir_server *s = c->server;

	weir_loop_disarm(s->loop, &c->deadline);
	weir_loop_del(s->loop, &c->io);
	weir_close(&c->io.fd);
	weir_buf_fini(&c->reply.body);
	weir_free_ptr(&c->request);
	/* The listener rests while all places are taken. */
	if (s->n_connections-- == WEIR_SERVER_CONNECTIONS) {
		weir_loop_mod(s->loop, &s->io, EPOLLIN);
	}
}

static void on_deadline(struct weir_timer *timer)
{
	hang_up(timer->arg);
}

static void send_reply(struct connection *c)
{
	struct weir_buf *body = &c->reply.body;

	while (c->sent < body->n) {
		ssize_t n;

		if (c->sent == 0 && c->reply.n_fds) {
			n = weir_send_fds(c->io.fd, body->p, 1, c->reply.fds,
					  c->reply.n_fds);
			n = n == 0 ? 1 : n;
		} else {
			n = send(c->io.fd, body->p + c->sent, body->n - c->sent,
				 MSG_NOSIGNAL);
			n = n < 0 ? -errno : n;
		}
		if (n == -EAGAIN) {
			weir_loop_mod(c->server->loop, &c->io, EPOLLOUT);
			return;
		}
		if (n < 0) {
			break;
		}
		c->sent += (size_t)n;
	}
	hang_up(c);
}

static void answer(struct connection *c, size_t n)
{
	struct weir_server *s = c->server;

	c->is_answering = true;
	s->fn(s->arg, (struct weir_str){c->request, n}, &c->reply);
	if (c->reply.body.error) {
		c->reply.body.n = 0;
	}
	send_reply(c);
}

static void receive(struct connection *c)
{
	struct weir_server *s = c->server;
	ssize_t n = recv(c->io.fd, c->request + c->n,
			 WEIR_SERVER_REQUEST_MAX - c->n, 0);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		hang_up(c);
		return;
	}
	c->n += (size_t)n;
	end = memmem(c->request, c->n, s->terminator, strlen(s->terminator));
	if (end) {
		answer(c, (size_t)(end - c->request));
	} else if (c->n == WEIR_SERVER_REQUEST_MAX) {
		hang_up(c);
	}
}

static void on_connection(struct weir_io *io, uint32_t events)
{
	struct connection *c = io->arg;

	(void)events;
	if (c->is_answering) {
		send_reply(c);
	} else {
		receive(c);
	}
}

static struct connection *find_place(struct weir_server *s)
{
	for (size_t i = 0; i < WEIR_SERVER_CONNECTIONS; i++) {
		if (s->connections[i].io.fd < 0) {
			return &s->connections[i];
		}
	}
	return NULL;
}

static void accept_more(struct weir_io *io, uint32_t events)
{
	struct weir_server *s = io->arg;
	struct connection *c = find_place(s);
	_cleanup_close_ int fd = -1;

	(void)events;
	if (!c) {
		return;
	}
	fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		return;
	}
	*c = (struct connection){.server = s};
	c->io = (struct weir_io){.fd = -1, .fn = on_connection, .arg = c};
	c->deadline = (struct weir_timer){.fn = on_deadline, .arg = c};
	c->request = malloc(WEIR_SERVER_REQUEST_MAX);
	if (!c->request) {
		return;
	}
	c->io.fd = fd;
	if (weir_loop_add(s->loop, &c->io, EPOLLIN) < 0) {
		c->io.fd = -1;
		weir_free_ptr(&c->request);
		return;
	}
	TAKE_FD(fd);
	weir_loop_arm(s->loop, &c->deadline, WEIR_SERVER_DEADLINE_MS);
	if (++s->n_connections == WEIR_SERVER_CONNECTIONS) {
		weir_loop_mod(s->loop, &s->io, 0);
	}
}

int weir_server_new(struct weir_loop *loop, int listen_fd,
		    const char *terminator, weir_request_fn fn, void *arg,
		    struct weir_server **ret_server)
{
	_cleanup_free_ struct weir_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	s->loop = loop;
	s->io = (struct weir_io){.fd = listen_fd, .fn = accept_more, .arg = s};
	s->terminator = terminator;
	s->fn = fn;
	s->arg = arg;
	for (size_t i = 0; i < WEIR_SERVER_CONNECTIONS; i++) {
		s->connections[i].io.fd = -1;
	}
	r = weir_loop_add(loop, &s->io, EPOLLIN);
	if (r < 0) {
		return r;
	}
	*ret_server = TAKE_PTR(s);
	return 0;
}

void weir_server_free(struct weir_server **server)
{
	struct weir_server *s = *server;

	if (!s) {
		return;
	}
	for (size_t i = 0; i < WEIR_SERVER_CONNECTIONS; i++) {
		if (s->connections[i].io.fd >= 0) {
			hang_up(&s->connections[i]);
		}
	}
	weir_loop_del(s->loop, &s->io);
	weir_close(&s->io.fd);
	weir_free_ptr(server);
}
