/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend of tests, demo and benchmarks: answers with its name.
 *
 *	weir-echo [--name NAME] LISTEN...
 *	LISTEN: [NAME=]KIND:ADDR:PORT, IPv6 in brackets
 *
 *	tcp     sends "NAME\n" at once (the server speaks first), then echoes
 *	silent  as tcp, without the greeting
 *	udp     answers each datagram with "NAME " and its payload
 *	http    answers with JSON: name, request head as received, body facts
 *
 * Prints "ready N" when all N are bound.  One thread, one epoll loop.
 *
 * A path of an HTTP request may hold commands, in any place and order:
 *	/delay/MS     wait before answering      /status/CODE  that status
 *	/bytes/N      N bytes of a pattern       /chunked      in chunks
 *	/eof          body delimited by close    /echo         request body
 *	/close        close after the answer     /abort        reset, no answer
 *	/truncate     close in the middle        /interim      103 before it
 * The pattern is a..z repeated, so that a client can check every byte.
 * Its own parser, strict: what a proxy sends it must be right.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "addr.h"
#include "buf.h"
#include "cleanup.h"
#include "http_request.h"
#include "loop.h"

#define NAME_MAX_BYTES 64
#define HEAD_MAX ((size_t)256 << 10)
#define OUT_MAX ((size_t)256 << 10) /* unsent bytes before reading stops */
#define PIECE 26000                 /* bytes of pattern made at a time */
#define LISTEN_MAX 4096
#define LINGER_MS 2000

enum kind { KIND_HTTP, KIND_TCP, KIND_SILENT, KIND_UDP, _KIND_MAX };

static const char *const kind_names[_KIND_MAX] = {"http", "tcp", "silent",
						  "udp"};

enum phase {
	PHASE_HEAD,   /* of a request, or between two */
	PHASE_LENGTH, /* body by Content-Length */
	PHASE_SIZE,   /* chunk-size line */
	PHASE_DATA,   /* of a chunk */
	PHASE_CRLF,   /* after it */
	PHASE_TRAILER,
	PHASE_DELAY,  /* request complete, answer later */
	PHASE_STREAM, /* pattern being sent */
	PHASE_LAST,   /* nothing more is read; close when all is sent */
	PHASE_RAW,    /* tcp: echo */
};

struct listener {
	struct weir_io io;
	enum kind kind;
	char name[NAME_MAX_BYTES];
};

struct conn {
	struct weir_io io;
	struct weir_timer timer;
	struct listener *listener;
	enum phase phase;
	uint32_t events;
	uint64_t number;
	uint64_t n_requests;
	struct weir_buf in;
	size_t in_done;
	struct weir_buf out;
	size_t out_done;
	uint64_t stream_left;
	uint64_t stream_at;
	bool is_eof;  /* the client will send no more */
	bool is_shut; /* nor we */
	struct http_request rq;
};

static struct weir_loop *loop;
static uint64_t n_conns;

static void conn_free(struct conn *c, bool is_reset)
{
	struct linger linger = {.l_onoff = 1};

	weir_loop_disarm(loop, &c->timer);
	weir_loop_del(loop, &c->io);
	if (is_reset) {
		setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &linger,
			   sizeof(linger));
	}
	weir_close(&c->io.fd);
	weir_buf_fini(&c->in);
	weir_buf_fini(&c->out);
	http_request_reset(&c->rq);
	weir_free_ptr(&c);
}

static struct weir_str pending(const struct conn *c)
{
	return (struct weir_str){c->in.p ? c->in.p + c->in_done : "",
				 c->in.n - c->in_done};
}

static void consume(struct conn *c, size_t n)
{
	c->in_done += n;
	if (c->in_done == c->in.n) {
		c->in.n = 0;
		c->in_done = 0;
	}
}

static void add_pattern(struct weir_buf *b, uint64_t at, size_t n)
{
	if (weir_buf_reserve(b, n) < 0) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		b->p[b->n + i] = (char)('a' + (at + i) % 26);
	}
	b->n += n;
}

/* ------------------------------------------------------------ HTTP answers */

static void add_peer(struct weir_buf *b, int fd, bool is_local)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	char text[WEIR_ADDR_TEXT_MAX] = "?";
	struct weir_ip ip;
	__be16 port_be;
	int r = is_local ? getsockname(fd, (struct sockaddr *)&sa, &len)
			 : getpeername(fd, (struct sockaddr *)&sa, &len);

	if (r == 0 && weir_addr_from_sockaddr(&sa, &ip, &port_be) == 0) {
		weir_addr_format(&ip, port_be, text);
	}
	weir_buf_printf(b, ",\"%s\":\"%s\"", is_local ? "local" : "peer", text);
}

static void add_headers(struct weir_buf *b, struct weir_str head)
{
	const char *sep = "";
	ptrdiff_t eol = weir_str_find(head, '\n');

	weir_buf_addz(b, ",\"headers\":[");
	head = weir_str_skip(head, (size_t)eol + 1);
	while ((eol = weir_str_find(head, '\n')) > 1) {
		struct weir_str line = {head.p, (size_t)eol - 1};
		ptrdiff_t colon = weir_str_find(line, ':');

		weir_buf_printf(b, "%s[", sep);
		weir_buf_add_json(b, (struct weir_str){line.p, (size_t)colon});
		weir_buf_addz(b, ",");
		weir_buf_add_json(b, weir_str_trim(weir_str_skip(
					     line, (size_t)colon + 1)));
		weir_buf_addz(b, "]");
		sep = ",";
		head = weir_str_skip(head, (size_t)eol + 1);
	}
	weir_buf_addz(b, "]");
}

static void make_json(struct conn *c, struct weir_buf *b)
{
	struct http_request *rq = &c->rq;
	struct weir_str head = weir_buf_str(&rq->head);

	weir_buf_addz(b, "{\"name\":");
	weir_buf_add_json(b, weir_str_of(c->listener->name));
	weir_buf_addz(b, ",\"method\":");
	weir_buf_add_json(b, rq->method);
	weir_buf_addz(b, ",\"target\":");
	weir_buf_add_json(b, rq->target);
	weir_buf_printf(b, ",\"version\":\"HTTP/1.%u\"", rq->minor);
	add_headers(b, head);
	weir_buf_addz(b, ",\"head\":");
	weir_buf_add_json(b, head);
	weir_buf_printf(b,
			",\"body_bytes\":%" PRIu64 ",\"body_is_chunked\":%s"
			",\"body_is_pattern\":%s,\"body\":",
			rq->body_bytes, rq->is_body_chunked ? "true" : "false",
			rq->is_body_pattern && rq->body_bytes ? "true"
							      : "false");
	weir_buf_add_json(b, (struct weir_str){rq->body.p, rq->body.n < 1024
								   ? rq->body.n
								   : 1024});
	weir_buf_addz(b, ",\"trailer\":");
	weir_buf_add_json(b, weir_buf_str(&rq->trailer));
	add_peer(b, c->io.fd, true);
	add_peer(b, c->io.fd, false);
	weir_buf_printf(
		b, ",\"connection\":%" PRIu64 ",\"request\":%" PRIu64 "}\n",
		c->number, c->n_requests);
}

static void finish_request(struct conn *c)
{
	c->phase = c->rq.is_keep_alive ? PHASE_HEAD : PHASE_LAST;
	http_request_reset(&c->rq);
}

/* The head of the answer; body of n bytes unless chunked or by close. */
static void add_answer_head(struct conn *c, uint64_t n)
{
	struct http_request *rq = &c->rq;
	struct http_wish *w = &rq->wish;

	if (w->is_interim) {
		weir_buf_addz(&c->out, "HTTP/1.1 103 Early Hints\r\n"
				       "Link: </style.css>; rel=preload\r\n"
				       "\r\n");
	}
	if (w->is_close || w->is_eof || w->is_truncated) {
		rq->is_keep_alive = false;
	}
	weir_buf_printf(&c->out, "HTTP/1.1 %u Echo\r\nX-Backend: %s\r\n",
			w->status, c->listener->name);
	if (!rq->is_keep_alive) {
		weir_buf_addz(&c->out, "Connection: close\r\n");
	} else if (rq->minor == 0) {
		weir_buf_addz(&c->out, "Connection: keep-alive\r\n");
	}
	if (w->status == 204 || w->status == 304) {
		weir_buf_addz(&c->out, "\r\n");
		return;
	}
	weir_buf_printf(&c->out, "Content-Type: %s\r\n",
			w->has_bytes || w->is_echo ? "application/octet-stream"
						   : "application/json");
	if (w->is_chunked) {
		weir_buf_addz(&c->out, "Transfer-Encoding: chunked\r\n");
	} else if (!w->is_eof) {
		weir_buf_printf(&c->out, "Content-Length: %" PRIu64 "\r\n", n);
	}
	weir_buf_addz(&c->out, "\r\n");
}

static void add_body(struct conn *c, struct weir_str body)
{
	if (c->rq.wish.is_chunked && body.n) {
		weir_buf_printf(&c->out, "%zx\r\n", body.n);
		weir_buf_add_str(&c->out, body);
		weir_buf_addz(&c->out, "\r\n");
	} else {
		weir_buf_add_str(&c->out, body);
	}
}

static void end_body(struct conn *c)
{
	if (c->rq.wish.is_chunked && !c->rq.wish.is_truncated) {
		weir_buf_addz(&c->out, "0\r\n\r\n");
	}
	finish_request(c);
}

/* The next piece of a long answer, when the last one has been sent. */
static void stream(struct conn *c)
{
	_cleanup_buf_ struct weir_buf piece = {0};
	size_t n = c->stream_left < PIECE ? (size_t)c->stream_left : PIECE;

	add_pattern(&piece, c->stream_at, n);
	c->stream_at += n;
	c->stream_left -= n;
	add_body(c, weir_buf_str(&piece));
	if (c->stream_left == 0) {
		end_body(c);
	}
}

/* False: the connection is gone. */
static bool answer(struct conn *c)
{
	_cleanup_buf_ struct weir_buf body = {0};
	struct http_request *rq = &c->rq;
	struct http_wish *w = &rq->wish;
	bool has_body = !weir_str_is(rq->method, "HEAD") && w->status != 204 &&
			w->status != 304;

	if (w->is_abort) {
		conn_free(c, true);
		return false;
	}
	if (w->has_bytes && has_body) {
		add_answer_head(c, w->bytes);
		c->phase = PHASE_STREAM;
		c->stream_at = 0;
		c->stream_left = w->is_truncated ? w->bytes / 2 : w->bytes;
		stream(c);
		return true;
	}
	if (w->is_echo) {
		weir_buf_add_str(&body, weir_buf_str(&rq->body));
	} else if (!w->has_bytes) {
		make_json(c, &body);
	}
	add_answer_head(c, w->has_bytes ? w->bytes : body.n);
	if (!has_body) {
		finish_request(c);
		return true;
	}
	if (w->is_truncated) {
		body.n /= 2;
	}
	add_body(c, weir_buf_str(&body));
	end_body(c);
	return true;
}

static void bad_request(struct conn *c, const char *why)
{
	_cleanup_buf_ struct weir_buf body = {0};

	weir_buf_printf(&body, "{\"name\":\"%s\",\"error\":\"%s\"}\n",
			c->listener->name, why);
	weir_buf_printf(&c->out,
			"HTTP/1.1 400 Bad Request\r\nX-Backend: %s\r\n"
			"Connection: close\r\nContent-Length: %zu\r\n\r\n",
			c->listener->name, body.n);
	weir_buf_add_str(&c->out, weir_buf_str(&body));
	http_request_reset(&c->rq);
	c->phase = PHASE_LAST;
}

/* False: the connection is gone. */
static bool request_done(struct conn *c)
{
	c->n_requests++;
	if (c->rq.wish.delay_ms == 0) {
		return answer(c);
	}
	c->phase = PHASE_DELAY;
	weir_loop_arm(loop, &c->timer, c->rq.wish.delay_ms);
	return true;
}

/* A step in PHASE_HEAD: 1 went on, 0 wants more bytes, -1 connection gone. */
static int step_head(struct conn *c)
{
	struct weir_str s = pending(c);
	struct http_request *rq = &c->rq;
	const char *end = s.n ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;
	const char *why;

	if (!end) {
		if (s.n > HEAD_MAX) {
			bad_request(c, "head too long");
			return 1;
		}
		return 0;
	}
	weir_buf_add(&rq->head, s.p, (size_t)(end - s.p) + 4);
	consume(c, rq->head.n);
	why = http_request_parse(&c->rq);
	if (why) {
		bad_request(c, why);
		return 1;
	}
	if (rq->is_body_chunked) {
		c->phase = PHASE_SIZE;
	} else if (rq->left) {
		c->phase = PHASE_LENGTH;
	} else {
		return request_done(c) ? 1 : -1;
	}
	if (rq->wants_continue) {
		weir_buf_addz(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	}
	return 1;
}

/* A line of the chunked coding without its CRLF.  As step_head. */
static int step_chunk_line(struct conn *c)
{
	struct weir_str s = pending(c);
	const char *eol = s.n ? memchr(s.p, '\n', s.n) : NULL;
	struct weir_str line = {s.p, eol ? (size_t)(eol - s.p) : 0};

	if (!eol) {
		return 0;
	}
	if (line.n == 0 || line.p[line.n - 1] != '\r') {
		bad_request(c, "chunk line ends without CR");
		return 1;
	}
	if (c->phase == PHASE_TRAILER) {
		weir_buf_add(&c->rq.trailer, line.p, line.n + 1);
		consume(c, line.n + 1);
		return line.n > 1 ? 1 : request_done(c) ? 1 : -1;
	}
	if (c->phase == PHASE_CRLF) {
		if (line.n != 1) {
			bad_request(c, "chunk longer than its size");
			return 1;
		}
		c->phase = PHASE_SIZE;
	} else {
		if (!http_chunk_size(line, &c->rq.left)) {
			bad_request(c, "bad chunk size");
			return 1;
		}
		c->phase = c->rq.left ? PHASE_DATA : PHASE_TRAILER;
	}
	consume(c, line.n + 1);
	return 1;
}

static int step_body(struct conn *c)
{
	struct weir_str s = pending(c);

	if (s.n == 0) {
		return 0;
	}
	if (s.n > c->rq.left) {
		s.n = (size_t)c->rq.left;
	}
	http_request_body(&c->rq, s);
	c->rq.left -= s.n;
	consume(c, s.n);
	if (c->rq.left == 0 && c->phase == PHASE_DATA) {
		c->phase = PHASE_CRLF;
	} else if (c->rq.left == 0) {
		return request_done(c) ? 1 : -1;
	}
	return 1;
}

/* As step_head. */
static int step(struct conn *c)
{
	switch (c->phase) {
	case PHASE_HEAD:
		return step_head(c);
	case PHASE_LENGTH:
	case PHASE_DATA:
		return step_body(c);
	case PHASE_SIZE:
	case PHASE_CRLF:
	case PHASE_TRAILER:
		return step_chunk_line(c);
	case PHASE_STREAM:
		stream(c);
		return 1;
	case PHASE_RAW:
		weir_buf_add_str(&c->out, pending(c));
		consume(c, pending(c).n);
		return 0;
	case PHASE_LAST:
		consume(c, pending(c).n);
		return 0;
	case PHASE_DELAY:
		break;
	}
	return 0;
}

/* ------------------------------------------------------------- connections */

/* False: the connection is gone. */
static bool flush(struct conn *c)
{
	while (c->out_done < c->out.n) {
		ssize_t n = send(c->io.fd, c->out.p + c->out_done,
				 c->out.n - c->out_done, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return true;
		}
		if (n < 0) {
			conn_free(c, false);
			return false;
		}
		c->out_done += (size_t)n;
	}
	c->out.n = 0;
	c->out_done = 0;
	return true;
}

/* Runs until it needs the peer. */
static void advance(struct conn *c)
{
	bool wants_in;
	uint32_t events;
	int r = 1;

	while (r > 0) {
		while (r > 0 && c->out.n - c->out_done < OUT_MAX) {
			r = step(c);
		}
		if (r < 0 || !flush(c)) {
			return;
		}
		if (c->out.n) {
			break; /* the peer is slow: no more for it */
		}
	}
	if (c->out.n == 0 && c->is_eof && c->phase != PHASE_DELAY) {
		conn_free(c, false);
		return;
	}
	if (c->out.n == 0 && c->phase == PHASE_LAST && !c->is_shut) {
		/* Wait for the peer's end: close() with unread bytes would
		 * reset, and the answer might be lost with it. */
		c->is_shut = true;
		shutdown(c->io.fd, SHUT_WR);
		weir_loop_arm(loop, &c->timer, LINGER_MS);
	}
	wants_in = !c->is_eof && c->out.n - c->out_done < OUT_MAX &&
		   pending(c).n < HEAD_MAX + 65536;
	events = (wants_in ? EPOLLIN : 0) | (c->out.n ? EPOLLOUT : 0);
	if (events != c->events) {
		c->events = events;
		weir_loop_mod(loop, &c->io, events);
	}
}

static void on_conn(struct weir_io *io, uint32_t events)
{
	struct conn *c = io->arg;
	ssize_t n = -1;

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !c->is_eof) {
		if (weir_buf_reserve(&c->in, 65536) < 0) {
			conn_free(c, true);
			return;
		}
		n = recv(io->fd, c->in.p + c->in.n, c->in.cap - c->in.n, 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			conn_free(c, false);
			return;
		}
		c->in.n += n > 0 ? (size_t)n : 0;
		c->is_eof = n == 0;
	} else if (events & EPOLLERR) {
		conn_free(c, false);
		return;
	}
	advance(c);
}

static void on_delay(struct weir_timer *t)
{
	struct conn *c = t->arg;

	if (c->phase == PHASE_LAST) {
		conn_free(c, false);
	} else if (answer(c)) {
		advance(c);
	}
}

static void on_accept(struct weir_io *io, uint32_t events)
{
	struct listener *l = io->arg;

	(void)events;
	for (int i = 0; i < 64; i++) {
		_cleanup_close_ int fd = accept4(io->fd, NULL, NULL,
						 SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
		int on = 1;

		if (!c) {
			return;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c->io = (struct weir_io){TAKE_FD(fd), on_conn, c, false};
		c->timer = (struct weir_timer){.fn = on_delay, .arg = c};
		c->listener = l;
		c->number = ++n_conns;
		c->phase = l->kind == KIND_HTTP ? PHASE_HEAD : PHASE_RAW;
		c->events = EPOLLIN;
		if (weir_loop_add(loop, &c->io, c->events) < 0) {
			conn_free(c, true);
			return;
		}
		if (l->kind == KIND_TCP) {
			weir_buf_printf(&c->out, "%s\n", l->name);
		}
		advance(c);
	}
}

/* Answers from the address that was asked, also on a wildcard socket. */
static void on_datagram(struct weir_io *io, uint32_t events)
{
	static char payload[65536];
	struct listener *l = io->arg;
	size_t name_len = strlen(l->name);

	(void)events;
	memcpy(payload, l->name, name_len);
	payload[name_len] = ' ';
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage from;
		char control[256];
		struct iovec iov = {payload + name_len + 1,
				    sizeof(payload) - name_len - 1};
		struct msghdr msg = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(io->fd, &msg, 0);

		if (n < 0) {
			return;
		}
		iov = (struct iovec){payload, name_len + 1 + (size_t)n};
		sendmsg(io->fd, &msg, MSG_NOSIGNAL);
	}
}

/* -------------------------------------------------------------- start-up */

static int open_socket(struct listener *l, const struct weir_ip *ip,
		       __be16 port_be)
{
	struct sockaddr_storage sa;
	socklen_t len = weir_addr_to_sockaddr(ip, port_be, &sa);
	bool is_udp = l->kind == KIND_UDP;
	bool is_v6 = sa.ss_family == AF_INET6;
	_cleanup_close_ int fd = -1;
	int on = 1;

	fd = socket(sa.ss_family,
		    (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK |
			    SOCK_CLOEXEC,
		    0);
	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_v6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	if (is_udp && is_v6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	} else if (is_udp) {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	}
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    (!is_udp && listen(fd, LISTEN_MAX) < 0)) {
		return -errno;
	}
	l->io = (struct weir_io){TAKE_FD(fd), is_udp ? on_datagram : on_accept,
				 l, false};
	return weir_loop_add(loop, &l->io, EPOLLIN);
}

/* text: [NAME=]KIND:ADDR:PORT.  0 or -errno. */
static int listen_on(const char *text, const char *name)
{
	struct weir_str rest = weir_str_of(text);
	struct weir_str own = WEIR_STR_NULL;
	struct weir_str kind;
	struct weir_ip ip;
	__be16 port_be;
	_cleanup_free_ struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		return -ENOMEM;
	}
	if (weir_str_find(rest, '=') >= 0) {
		own = http_next_word(&rest, '=');
	}
	kind = http_next_word(&rest, ':');
	while (l->kind < _KIND_MAX && !weir_str_is(kind, kind_names[l->kind])) {
		l->kind++;
	}
	r = weir_addr_parse(rest, &ip, &port_be);
	if (l->kind == _KIND_MAX || r < 0 || own.n >= sizeof(l->name)) {
		return -EINVAL;
	}
	if (own.n) {
		memcpy(l->name, own.p, own.n);
	} else {
		snprintf(l->name, sizeof(l->name), "%s", name);
	}
	r = open_socket(l, &ip, port_be);
	if (r == 0) {
		TAKE_PTR(l); /* lives as long as the process */
	}
	return r;
}

static void raise_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* The first process of a container has no default action for it. */
static void on_sigterm(int number)
{
	(void)number;
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *name = "echo";
	int n = 0;
	int i = 1;
	int r;

	if (argc > 2 && strcmp(argv[1], "--name") == 0) {
		name = argv[2];
		i = 3;
	}
	if (i >= argc || argv[i][0] == '-') {
		fprintf(stderr, "usage: weir-echo [--name NAME] "
				"[NAME=]http|tcp|silent|udp:ADDR:PORT ...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_sigterm);
	raise_files();
	r = weir_loop_new(&loop);
	for (; r == 0 && i < argc; i++, n++) {
		r = listen_on(argv[i], name);
		if (r < 0) {
			fprintf(stderr, "weir-echo: %s: %s\n", argv[i],
				strerror(-r));
		}
	}
	if (r == 0) {
		printf("ready %d\n", n);
		fflush(stdout);
		r = weir_loop_run(loop);
	}
	weir_loop_free(&loop);
	return r < 0 ? 1 : 0;
}
