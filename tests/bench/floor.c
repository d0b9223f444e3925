/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a user-space HTTP hop can do, as a bound for the others: one
 * thread, level-triggered epoll, each descriptor registered once, pools of
 * backend connections.  A request is one read, its head walked line by line
 * with memchr, a prefix compare, a choice of nine in ten, one write on a pooled
 * connection; a response is one read, its head walked for Content-Length, one
 * write; bodies go in reads of 64 KiB.
 *
 *	floor LISTEN PREFIX BACKEND-OF-NINE BACKEND-OF-ONE	(ADDR:PORT each)
 *
 * A bound and not a product: no timeouts, logs, chunked bodies, request bodies,
 * pipelining, retries or header rewriting, and what is not understood ends the
 * connection.  "Connection: close" is kept from the backend, and told to the
 * client, by overwriting the value in place: a pool would be of no use else.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"

#define FDS_MAX 32768
#define BLOCK (64 << 10)
#define EVENTS_MAX 256
#define BACKENDS 2

enum kind { KIND_FREE, KIND_LISTENER, KIND_CLIENT, KIND_BACKEND };

/* A connection; its place in conns[] is its descriptor. */
struct conn {
	int fd;
	uint32_t generation; /* tells late events from those of the next user */
	enum kind kind;
	int backend;       /* KIND_BACKEND: index of its pool */
	bool is_in_body;   /* KIND_BACKEND: the head has passed */
	bool wants_close;  /* KIND_CLIENT: after this response */
	uint64_t left;     /* KIND_BACKEND: bytes of the body to come */
	struct conn *peer; /* while a request is under way */
	struct conn *next; /* in the pool */
	/* A head that came in part, or what the other side did not take. */
	char *held;
	size_t held_n;
	size_t held_off;
};

struct backend {
	struct sockaddr_storage sa;
	socklen_t len;
	struct conn *idle;
};

/* What a head says that matters here. */
struct head {
	size_t n;                   /* with its empty line; 0: not all there */
	struct weir_str first;      /* the first line */
	struct weir_str connection; /* the field's value */
	bool has_length;
	uint64_t length;
};

static struct conn conns[FDS_MAX];
static struct backend backends[BACKENDS];
static struct weir_str prefix;
static int epoll_fd = -1;
static uint32_t choice;
static char block[BLOCK];

/* ------------------------------------------------------------- connections */

static struct conn *conn_new(int fd, enum kind kind)
{
	struct conn *c = &conns[fd];
	struct epoll_event ev = {.events = EPOLLIN};
	uint32_t generation = c->generation + 1;

	*c = (struct conn){.fd = fd, .kind = kind, .generation = generation};
	ev.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		c->kind = KIND_FREE;
		return NULL;
	}
	return c;
}

static void conn_close(struct conn *c)
{
	c->kind = KIND_FREE;
	weir_free_ptr(&c->held);
	weir_close(&c->fd);
}

/* Only under back pressure: a descriptor is registered once otherwise. */
static void watch(struct conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = events};

	ev.data.u64 = (uint64_t)c->generation << 32 | (uint32_t)c->fd;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

/* Keeps n bytes for later.  0, or -ENOMEM. */
static int hold(struct conn *c, const char *p, size_t n)
{
	char *held = malloc(n);

	if (!held) {
		return -ENOMEM;
	}
	memcpy(held, p, n);
	weir_free_ptr(&c->held);
	c->held = held;
	c->held_n = n;
	c->held_off = 0;
	return 0;
}

/* Ends both sides of what c has to do with. */
static void end_exchange(struct conn *c)
{
	if (c->peer) {
		conn_close(c->peer);
	}
	conn_close(c);
}

static void pool_put(struct conn *b)
{
	b->peer = NULL;
	b->is_in_body = false;
	b->next = backends[b->backend].idle;
	backends[b->backend].idle = b;
}

static void pool_remove(struct conn *b)
{
	struct conn **at = &backends[b->backend].idle;

	while (*at && *at != b) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = b->next;
	}
}

/* Connecting blocks: to a neighbour that takes as long as the call. */
static struct conn *pool_get(int which)
{
	struct backend *to = &backends[which];
	_cleanup_close_ int fd = -1;
	struct conn *b = to->idle;
	int on = 1;

	if (b) {
		to->idle = b->next;
		return b;
	}
	fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || fd >= FDS_MAX ||
	    connect(fd, (struct sockaddr *)&to->sa, to->len) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	b = conn_new(fd, KIND_BACKEND);
	if (b) {
		b->backend = which;
		TAKE_FD(fd);
	}
	return b;
}

/* ------------------------------------------------------------------- heads */

static bool field(struct weir_str line, struct weir_str name,
		  struct weir_str *ret_value)
{
	struct weir_str have = {line.p, name.n};

	if (line.n <= name.n || line.p[name.n] != ':' ||
	    !weir_str_eq_nocase(have, name)) {
		return false;
	}
	*ret_value = weir_str_trim(weir_str_skip(line, name.n + 1));
	return true;
}

/* 0, or -EINVAL for a length that is none; ret->n is 0 if the end lacks. */
static int head_parse(const char *p, size_t n, struct head *ret)
{
	const char *at = p;
	const char *end = p + n;

	*ret = (struct head){0};
	for (;;) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		struct weir_str line = {at, 0};
		struct weir_str value;

		if (!eol) {
			return 0;
		}
		line.n = (size_t)(eol - at);
		line.n -= line.n && eol[-1] == '\r';
		if (at == p) {
			ret->first = line;
		} else if (line.n == 0) {
			ret->n = (size_t)(eol + 1 - p);
			return 0;
		} else if (field(line, WEIR_STR("connection"), &value)) {
			ret->connection = value;
		} else if (field(line, WEIR_STR("content-length"), &value)) {
			ret->has_length = true;
			if (weir_str_parse_u64(value, UINT64_MAX / 2,
					       &ret->length) < 0) {
				return -EINVAL;
			}
		}
		at = eol + 1;
	}
}

/* The value of a field, inside the block, by another that is not longer. */
static void overwrite(struct weir_str value, const char *text)
{
	char *p = block + (value.p - block);
	size_t n = strlen(text);

	memset(p, ' ', value.n);
	memcpy(p, text, n < value.n ? n : value.n);
}

/*
 * One read into the block, behind what was held of a head.  Bytes in the block;
 * 0 for the end, an error, or a head larger than the block; -EAGAIN.
 */
static ssize_t fill(struct conn *c)
{
	size_t before = c->held ? c->held_n : 0;
	ssize_t n;

	memcpy(block, before ? c->held : block, before);
	n = read(c->fd, block + before, sizeof(block) - before);
	if (n < 0 && errno == EAGAIN) {
		return -EAGAIN;
	}
	if (n <= 0) {
		return 0;
	}
	weir_free_ptr(&c->held);
	return (ssize_t)before + n;
}

/* --------------------------------------------------------------- responses */

/* n bytes of the block to the client.  False: it is gone, and b with it. */
static bool forward(struct conn *b, size_t n)
{
	struct conn *client = b->peer;
	ssize_t sent = write(client->fd, block, n);

	if (sent < 0 && errno == EAGAIN) {
		sent = 0;
	}
	if (sent < 0 ||
	    ((size_t)sent < n && hold(client, block + sent, n - sent) < 0)) {
		end_exchange(b);
		return false;
	}
	if ((size_t)sent < n) {
		watch(client, EPOLLOUT);
		watch(b, 0);
	}
	return true;
}

/* The response is complete: the connection to the pool. */
static void finish(struct conn *b)
{
	struct conn *client = b->peer;

	if (client->held) {
		watch(b, EPOLLIN); /* forward() stopped it; the rest is held */
	}
	pool_put(b);
	client->peer = NULL;
	if (client->wants_close && !client->held) {
		conn_close(client);
	}
}

static void on_backend(struct conn *b)
{
	ssize_t n;

	if (!b->peer) {
		/* The end of a pooled connection, or bytes nobody wants. */
		pool_remove(b);
		conn_close(b);
		return;
	}
	if (b->peer->held) {
		end_exchange(b); /* broken off while it was to wait */
		return;
	}
	n = fill(b);
	if (n == -EAGAIN) {
		return;
	}
	if (n <= 0) {
		end_exchange(b);
		return;
	}
	if (!b->is_in_body) {
		struct head head;
		int r = head_parse(block, (size_t)n, &head);

		if (r == 0 && head.n == 0) {
			r = hold(b, block, (size_t)n);
			if (r == 0) {
				return;
			}
		}
		if (r < 0 || !head.has_length ||
		    (size_t)n - head.n > head.length) {
			end_exchange(b);
			return;
		}
		if (b->peer->wants_close && head.connection.n) {
			overwrite(head.connection, "close");
		}
		b->is_in_body = true;
		b->left = head.length + head.n;
	}
	if ((uint64_t)n > b->left) {
		end_exchange(b);
		return;
	}
	b->left -= (uint64_t)n;
	if (forward(b, (size_t)n) && b->left == 0) {
		finish(b);
	}
}

/* ---------------------------------------------------------------- requests */

/* The path of "GET /path HTTP/1.1". */
static bool is_routed(struct weir_str line)
{
	ptrdiff_t blank = weir_str_find(line, ' ');

	return blank > 0 &&
	       weir_str_starts(weir_str_skip(line, (size_t)blank + 1), prefix);
}

static void request(struct conn *c, const struct head *head)
{
	struct conn *b;

	if (!is_routed(head->first)) {
		static const char no[] = "HTTP/1.1 404 Not Found\r\n"
					 "Content-Length: 0\r\n\r\n";

		if (write(c->fd, no, sizeof(no) - 1) < 0) {
			conn_close(c);
		}
		return;
	}
	c->wants_close = weir_str_eq_nocase(head->connection,
					    WEIR_STR("close"));
	if (c->wants_close) {
		overwrite(head->connection, "");
	}
	b = pool_get(choice++ % 10 == 9);
	if (!b) {
		conn_close(c);
		return;
	}
	b->peer = c;
	c->peer = b;
	if (write(b->fd, block, head->n) != (ssize_t)head->n) {
		end_exchange(c);
	}
}

static void on_client(struct conn *c)
{
	struct head head;
	ssize_t n;

	if (c->peer) {
		end_exchange(c); /* gone, or pipelining */
		return;
	}
	n = fill(c);
	if (n == -EAGAIN) {
		return;
	}
	if (n <= 0 || head_parse(block, (size_t)n, &head) < 0 ||
	    (head.n && (head.n != (size_t)n || head.length))) {
		conn_close(c);
	} else if (head.n) {
		request(c, &head);
	} else if (hold(c, block, (size_t)n) < 0) {
		conn_close(c);
	}
}

/* The client takes more of what is held. */
static void on_writable(struct conn *c)
{
	ssize_t n = write(c->fd, c->held + c->held_off,
			  c->held_n - c->held_off);

	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n < 0) {
		end_exchange(c);
		return;
	}
	c->held_off += (size_t)n;
	if (c->held_off < c->held_n) {
		return;
	}
	weir_free_ptr(&c->held);
	if (c->peer) {
		watch(c->peer, EPOLLIN);
	} else if (c->wants_close) {
		conn_close(c);
		return;
	}
	watch(c, EPOLLIN);
}

static void on_listener(struct conn *l)
{
	_cleanup_close_ int fd = accept4(l->fd, NULL, NULL,
					 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && fd < FDS_MAX && conn_new(fd, KIND_CLIENT)) {
		TAKE_FD(fd);
	}
}

/* -------------------------------------------------------------------- main */

static void dispatch(const struct epoll_event *ev)
{
	struct conn *c = &conns[(uint32_t)ev->data.u64];

	if (c->generation != ev->data.u64 >> 32) {
		return; /* closed earlier in this batch, its place used again */
	}
	switch (c->kind) {
	case KIND_FREE:
		break;
	case KIND_LISTENER:
		on_listener(c);
		break;
	case KIND_CLIENT:
		if (ev->events & EPOLLOUT) {
			on_writable(c);
		} else {
			on_client(c);
		}
		break;
	case KIND_BACKEND:
		on_backend(c);
		break;
	}
}

static int resolve(const char *text, struct sockaddr_storage *sa,
		   socklen_t *len)
{
	struct weir_ip ip;
	__be16 port_be;

	if (weir_addr_parse(weir_str_of(text), &ip, &port_be) < 0) {
		fprintf(stderr, "floor: %s: want ADDR:PORT\n", text);
		return -EINVAL;
	}
	*len = weir_addr_to_sockaddr(&ip, port_be, sa);
	return 0;
}

/* TCP_NODELAY is inherited by what is accepted. */
static int start_listening(const char *text)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = 0;
	int on = 1;

	if (resolve(text, &sa, &len) < 0) {
		return -EINVAL;
	}
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, 4096) < 0 ||
	    !conn_new(fd, KIND_LISTENER)) {
		fprintf(stderr, "floor: %s: %m\n", text);
		return -errno;
	}
	TAKE_FD(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit;

	if (argc != 5) {
		fprintf(stderr, "usage: floor LISTEN PREFIX BACKEND-OF-NINE "
				"BACKEND-OF-ONE\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max < FDS_MAX ? limit.rlim_max
							  : FDS_MAX;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	signal(SIGPIPE, SIG_IGN);
	prefix = weir_str_of(argv[2]);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 ||
	    resolve(argv[3], &backends[0].sa, &backends[0].len) < 0 ||
	    resolve(argv[4], &backends[1].sa, &backends[1].len) < 0 ||
	    start_listening(argv[1]) < 0) {
		return 1;
	}
	for (;;) {
		struct epoll_event ev[EVENTS_MAX];
		int n = epoll_wait(epoll_fd, ev, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			dispatch(&ev[i]);
		}
	}
}
