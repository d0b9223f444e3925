/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: the least that a user-space HTTP/1.1 hop can do here, as a bound
 * for what a real one costs.  Not a proxy: no limits, timeouts, chunked bodies
 * or rewriting, and what it does not understand ends it.
 *
 *	bench-floor LISTEN-ADDR:PORT BACKEND-ADDR:PORT BACKEND-ADDR:PORT
 *
 * One thread, level-triggered epoll, each descriptor registered once.  A
 * request is read, its lines are walked, nine of ten go to the first backend on
 * a pooled connection; the response is walked for its Content-Length.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "addr.h"
#include "cleanup.h"

#define MAX_FD 20000
#define ROOM 65536

struct side {
	int peer;      /* the other descriptor of the exchange, -1: idle */
	int backend;   /* 0, 1; -1: a client */
	int next_idle; /* pool of its backend */
	long left;     /* body bytes of the response still to come */
	bool wants_close;
	bool is_dead;
};

static struct side sides[MAX_FD];
static struct sockaddr_storage backends[2];
static socklen_t backend_size[2];
static int idle[2] = {-1, -1};
static int dead[MAX_FD]; /* closed when no event of the batch can name them */
static int n_dead;
static int epoll_fd;
static unsigned int counter;
static char room[ROOM];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int watch(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd < MAX_FD ? epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) : -1;
}

static void bury(int fd)
{
	if (!sides[fd].is_dead) {
		sides[fd].is_dead = true;
		dead[n_dead++] = fd;
	}
}

static void drop(int fd)
{
	struct side *s = &sides[fd];

	if (s->peer >= 0) {
		sides[s->peer].peer = -1;
		bury(s->peer);
	} else if (s->backend >= 0) {
		int *p = &idle[s->backend];

		while (*p >= 0 && *p != fd) {
			p = &sides[*p].next_idle;
		}
		if (*p == fd) {
			*p = s->next_idle;
		}
	}
	bury(fd);
}

static int upstream(int which)
{
	int fd = idle[which];

	if (fd >= 0) {
		idle[which] = sides[fd].next_idle;
		return fd;
	}
	fd = socket(backends[which].ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&backends[which],
		    backend_size[which]) < 0 ||
	    watch(fd) < 0) {
		die("connect");
	}
	sides[fd] = (struct side){.peer = -1, .backend = which};
	return fd;
}

/* Blocks where the socket is full: the peers of a benchmark read. */
static void send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r <= 0) {
			return;
		}
		p += r;
		n -= (size_t)r;
	}
}

/* Walks the lines; the length of the head, 0: not all here. */
static size_t walk(const char *p, size_t n, long *ret_length, bool *ret_close)
{
	const char *end = p + n;
	const char *line = p;

	for (;;) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));

		if (!lf) {
			return 0;
		}
		if (lf - line == 1) {
			return (size_t)(lf + 1 - p);
		}
		if ((*line | 0x20) == 'c') {
			if (strncasecmp(line, "Content-Length:", 15) == 0) {
				*ret_length = strtol(line + 15, NULL, 10);
			} else if (strncasecmp(line, "Connection: close", 17) ==
				   0) {
				*ret_close = true;
			}
		}
		line = lf + 1;
	}
}

static void on_client(int fd, ssize_t n)
{
	struct side *s = &sides[fd];
	long length = 0;
	int which = ++counter % 10 == 0;
	int up;

	if (s->peer >= 0 || memcmp(room, "GET /", 5) != 0 ||
	    !walk(room, (size_t)n, &length, &s->wants_close)) {
		fprintf(stderr, "bench-floor: not a request\n");
		exit(1);
	}
	up = upstream(which);
	s->peer = up;
	sides[up].peer = fd;
	sides[up].left = -1;
	if (s->wants_close) {
		static const char head[] = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";

		send_all(up, head, sizeof(head) - 1);
		return;
	}
	send_all(up, room, (size_t)n);
}

/* The first n bytes of a response, with a field behind the status line. */
static void send_closing(int fd, size_t n)
{
	static const char field[] = "Connection: close\r\n";
	static char out[ROOM + sizeof(field)];
	size_t line = (size_t)((char *)memchr(room, '\n', n) + 1 - room);

	memcpy(out, room, line);
	memcpy(out + line, field, sizeof(field) - 1);
	memcpy(out + line + sizeof(field) - 1, room + line, n - line);
	send_all(fd, out, n + sizeof(field) - 1);
}

static void on_backend(int fd, ssize_t n)
{
	struct side *s = &sides[fd];
	int client = s->peer;
	long length = 0;
	bool is_closing = false;
	bool client_has = false;
	size_t head;

	if (client < 0) {
		drop(fd);
		return;
	}
	if (s->left < 0) {
		head = walk(room, (size_t)n, &length, &is_closing);
		if (head == 0) {
			fprintf(stderr, "bench-floor: not a response\n");
			exit(1);
		}
		s->left = length + (long)head;
		if (sides[client].wants_close) {
			send_closing(client, (size_t)n);
			client_has = true;
		}
	}
	if (!client_has) {
		send_all(client, room, (size_t)n);
	}
	s->left -= n;
	if (s->left > 0) {
		return;
	}
	s->peer = -1;
	sides[client].peer = -1;
	s->next_idle = idle[s->backend];
	idle[s->backend] = fd;
	if (sides[client].wants_close) {
		bury(client);
	}
}

static void on_event(int fd, int listen_fd)
{
	ssize_t n;

	if (fd == listen_fd) {
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && watch(fd) == 0) {
			sides[fd] = (struct side){.peer = -1, .backend = -1};
		}
		return;
	}
	if (sides[fd].is_dead) {
		return;
	}
	n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0) {
		drop(fd);
	} else if (sides[fd].backend < 0) {
		on_client(fd, n);
	} else {
		on_backend(fd, n);
	}
}

static socklen_t parse(const char *text, struct sockaddr_storage *ret_sa)
{
	struct weir_ip ip;
	__be16 port_be;

	if (weir_addr_parse(weir_str_of(text), &ip, &port_be) < 0) {
		fprintf(stderr, "bench-floor: %s is not an address\n", text);
		exit(2);
	}
	return weir_addr_to_sockaddr(&ip, port_be, ret_sa);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct sockaddr_storage sa;
	socklen_t size;
	int one = 1;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: bench-floor LISTEN BACKEND BACKEND\n");
		return 2;
	}
	size = parse(argv[1], &sa);
	for (int i = 0; i < 2; i++) {
		backend_size[i] = parse(argv[2 + i], &backends[i]);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (epoll_fd < 0 || fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, size) < 0 ||
	    listen(fd, 4096) < 0 || watch(fd) < 0) {
		die("listen");
	}
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 256, -1);

		for (int i = 0; i < n; i++) {
			on_event(events[i].data.fd, fd);
		}
		while (n_dead) {
			weir_close(&dead[--n_dead]);
		}
	}
}
