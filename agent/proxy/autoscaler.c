// SPDX-License-Identifier: Apache-2.0
#include "autoscaler.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "log.h"

#define HANDSHAKE_MS 2000 /* connect and answer */
#define PING_MS 5000      /* a second one without an answer: gone */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 5000
#define OUT_MAX ((size_t)1 << 20)
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

enum state { IDLE, CONNECTING, SHAKING, OPEN };

/* ---------------------------------------------------------------- messages */

static void put_varint(struct weir_buf *b, uint64_t v)
{
	char c;

	do {
		c = (char)((v & 0x7F) | (v > 0x7F ? 0x80 : 0));
		weir_buf_add(b, &c, 1);
		v >>= 7;
	} while (v);
}

static void put_text(struct weir_buf *b, unsigned int field, struct weir_str s)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, s.n);
	weir_buf_add_str(b, s);
}

static void put_double(struct weir_buf *b, unsigned int field, double v)
{
	uint64_t bits;
	char le[8];

	if (v == 0) {
		return; /* proto3: the default is not written */
	}
	memcpy(&bits, &v, sizeof(bits));
	put_varint(b, field << 3 | 1);
	for (size_t i = 0; i < sizeof(le); i++) {
		le[i] = (char)(bits >> (8 * i));
	}
	weir_buf_add(b, le, sizeof(le));
}

static size_t text_size(size_t n)
{
	return 1 + (n > 0x7F ? 2 : 1) + n;
}

void weir_stat_add(struct weir_buf *message, const struct weir_stat *stat)
{
	size_t inner = text_size(stat->reporter.n) +
		       (stat->concurrency != 0 ? 9 : 0) +
		       (stat->requests != 0 ? 9 : 0);
	size_t outer = text_size(stat->ns.n) + text_size(stat->name.n) +
		       text_size(inner);

	put_varint(message, 1 << 3 | 2);
	put_varint(message, outer);
	put_text(message, 1, stat->ns);
	put_text(message, 2, stat->name);
	put_varint(message, 3 << 3 | 2);
	put_varint(message, inner);
	put_text(message, 1, stat->reporter);
	put_double(message, 2, stat->concurrency);
	put_double(message, 4, stat->requests);
}

/* -------------------------------------------------------------- connection */

static void begin(struct weir_autoscaler *a);

static void set_open(struct weir_autoscaler *a, bool is_open)
{
	if (a->is_open != is_open) {
		a->is_open = is_open;
		a->on_change(a->arg);
	}
}

static void hang_up(struct weir_autoscaler *a)
{
	if (a->fd >= 0) {
		weir_loop_del(a->loop, &a->io);
		weir_close(&a->fd);
	}
	weir_loop_disarm(a->loop, &a->timer);
	a->state = IDLE;
	a->out.n = 0;
	a->out.error = 0;
	a->n_in = 0;
	a->skip = 0;
	a->is_asked = false;
	set_open(a, false);
}

/* It ended, or did not come to be: again after a pause. */
static void lost(struct weir_autoscaler *a, const char *why)
{
	char text[WEIR_ADDR_TEXT_MAX];
	uint32_t half = a->pause_ms / 2;
	uint32_t random = 0;

	weir_log(a->state == OPEN ? WEIR_LOG_WARNING : WEIR_LOG_DEBUG,
		 "autoscaler %s: %s",
		 weir_addr_format(&a->peer.addr, a->peer.port_be, text), why);
	hang_up(a);
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	weir_loop_arm(a->loop, &a->timer, half + random % (half + 1));
	a->pause_ms = a->pause_ms < PAUSE_MAX_MS / 2 ? a->pause_ms * 2
						     : PAUSE_MAX_MS;
}

static void want(struct weir_autoscaler *a, uint32_t events)
{
	if (a->events != events) {
		a->events = events;
		(void)weir_loop_mod(a->loop, &a->io, events);
	}
}

/* Sends what can be sent; false: it is lost. */
static bool flush(struct weir_autoscaler *a)
{
	while (a->out.n) {
		ssize_t n = send(a->fd, a->out.p, a->out.n,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			break;
		}
		if (n <= 0) {
			lost(a, strerror(errno));
			return false;
		}
		memmove(a->out.p, a->out.p + n, a->out.n - (size_t)n);
		a->out.n -= (size_t)n;
	}
	want(a, a->out.n ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

/* RFC 6455 5.2: a client masks what it sends. */
static void put_frame(struct weir_autoscaler *a, unsigned char opcode,
		      struct weir_str s)
{
	unsigned char head[14] = {(unsigned char)(0x80 | opcode)};
	unsigned char mask[4] = {0};
	size_t n = 2;
	size_t at;

	if (s.n < 126) {
		head[1] = (unsigned char)(0x80 | s.n);
	} else if (s.n <= 0xFFFF) {
		head[1] = 0x80 | 126;
		head[2] = (unsigned char)(s.n >> 8);
		head[3] = (unsigned char)s.n;
		n = 4;
	} else {
		head[1] = 0x80 | 127;
		for (size_t i = 0; i < 8; i++) {
			head[2 + i] = (unsigned char)((uint64_t)s.n >>
						      (56 - 8 * i));
		}
		n = 10;
	}
	(void)!getrandom(mask, sizeof(mask), 0);
	memcpy(head + n, mask, sizeof(mask));
	weir_buf_add(&a->out, head, n + sizeof(mask));
	at = a->out.n;
	weir_buf_add_str(&a->out, s);
	for (size_t i = 0; !a->out.error && i < s.n; i++) {
		a->out.p[at + i] ^= (char)mask[i % 4];
	}
}

int weir_autoscaler_send(struct weir_autoscaler *a, struct weir_str message)
{
	if (a->state != OPEN) {
		return -ENOTCONN;
	}
	if (a->out.n + message.n > OUT_MAX) {
		lost(a, "it takes no more reports");
		return -ENOTCONN;
	}
	put_frame(a, 2, message);
	if (a->out.error) {
		a->out.error = 0;
		lost(a, "no memory");
		return -ENOTCONN;
	}
	return flush(a) ? 0 : -ENOTCONN;
}

static void put_handshake(struct weir_autoscaler *a)
{
	unsigned char nonce[16] = {0};

	(void)!getrandom(nonce, sizeof(nonce), 0);
	EVP_EncodeBlock((unsigned char *)a->key, nonce, sizeof(nonce));
	/* statserver/server.go: any Host but that of a bucket. */
	weir_buf_printf(&a->out,
			"GET / HTTP/1.1\r\nHost: autoscaler.knative-serving\r\n"
			"User-Agent: weir\r\nConnection: Upgrade\r\n"
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: %s\r\n\r\n",
			a->key);
}

/* RFC 6455 4.1: the server has read our key. */
static bool is_accepted(const struct weir_autoscaler *a, size_t n)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[sizeof(a->key) + sizeof(GUID)];
	char want[64] = "Sec-WebSocket-Accept: ";
	size_t at = strlen(want);
	unsigned int size;
	int len = snprintf(text, sizeof(text), "%s" GUID, a->key);
	struct weir_str rest = {a->in, n};

	if (!weir_str_starts(rest, WEIR_STR("HTTP/1.1 101 ")) ||
	    EVP_Digest(text, (size_t)len, digest, &size, EVP_sha1(), NULL) !=
		    1) {
		return false;
	}
	EVP_EncodeBlock((unsigned char *)want + at, digest, (int)size);
	while (rest.n) {
		ptrdiff_t end = weir_str_find(rest, '\n');
		struct weir_str line = {rest.p, end < 0 ? rest.n : (size_t)end};

		if (line.n && line.p[line.n - 1] == '\r') {
			line.n--;
		}
		/* The name's letters are of either case, the value's not. */
		if (line.n == strlen(want) &&
		    weir_str_eq_nocase((struct weir_str){line.p, at},
				       (struct weir_str){want, at}) &&
		    memcmp(line.p + at, want + at, line.n - at) == 0) {
			return true;
		}
		rest = weir_str_skip(rest, end < 0 ? rest.n : (size_t)end + 1);
	}
	return false;
}

static void drop_in(struct weir_autoscaler *a, size_t n)
{
	memmove(a->in, a->in + n, a->n_in - n);
	a->n_in -= (uint32_t)n;
}

/* False: more is needed, or it is lost. */
static bool take_handshake(struct weir_autoscaler *a)
{
	const char *end = memmem(a->in, a->n_in, "\r\n\r\n", 4);

	if (!end) {
		if (a->n_in == sizeof(a->in)) {
			lost(a, "no end of its answer");
		}
		return false;
	}
	if (!is_accepted(a, (size_t)(end + 2 - a->in))) {
		lost(a, "it does not speak WebSocket");
		return false;
	}
	drop_in(a, (size_t)(end + 4 - a->in));
	a->state = OPEN;
	a->pause_ms = PAUSE_MIN_MS;
	weir_loop_arm(a->loop, &a->timer, PING_MS);
	set_open(a, true);
	return true;
}

/* One frame of the server's.  False: more is needed, or it is lost. */
static bool take_frame(struct weir_autoscaler *a)
{
	const unsigned char *p = (const unsigned char *)a->in;
	unsigned int opcode = a->n_in ? p[0] & 0x0F : 0;
	uint64_t len;
	size_t head = 2;

	if (a->n_in < 2) {
		return false;
	}
	len = p[1] & 0x7F;
	if (p[1] & 0x80 || (opcode >= 8 && len > 125)) {
		lost(a, "it breaks the protocol");
		return false;
	}
	if (len >= 126) {
		size_t bytes = len == 126 ? 2 : 8;

		head += bytes;
		if (a->n_in < head) {
			return false;
		}
		len = 0;
		for (size_t i = 2; i < head; i++) {
			len = len << 8 | p[i];
		}
	}
	if (opcode < 8) {
		/* It has nothing to say that would matter. */
		drop_in(a, head);
		a->skip = len;
		return true;
	}
	if (a->n_in < head + len) {
		return false;
	}
	if (opcode == 8) {
		lost(a, "it ended the connection");
		return false;
	}
	if (opcode == 9) {
		if (a->out.n > OUT_MAX) {
			lost(a, "it does not read what it asks for");
			return false;
		}
		put_frame(a, 10, (struct weir_str){a->in + head, (size_t)len});
		if (!flush(a)) {
			return false;
		}
	}
	drop_in(a, head + (size_t)len);
	return true;
}

static bool skip_message(struct weir_autoscaler *a)
{
	size_t n = a->skip < a->n_in ? (size_t)a->skip : a->n_in;

	drop_in(a, n);
	a->skip -= n;
	return a->skip == 0;
}

static void on_readable(struct weir_autoscaler *a)
{
	ssize_t n = recv(a->fd, a->in + a->n_in, sizeof(a->in) - a->n_in,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0) {
		lost(a, n < 0 ? strerror(errno) : "it hung up");
		return;
	}
	a->n_in += (uint32_t)n;
	a->is_asked = false;
	if (a->state == SHAKING && !take_handshake(a)) {
		return;
	}
	while (skip_message(a) && take_frame(a)) {
	}
}

static void on_connected(struct weir_autoscaler *a)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error) {
		lost(a, strerror(error ? error : errno));
		return;
	}
	a->state = SHAKING;
	put_handshake(a);
	(void)flush(a);
}

static void on_io(struct weir_io *io, uint32_t events)
{
	struct weir_autoscaler *a = io->arg;

	if (a->state == CONNECTING) {
		on_connected(a);
		return;
	}
	if (events & EPOLLOUT && !flush(a)) {
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		on_readable(a);
	}
}

static void on_timer(struct weir_timer *timer)
{
	struct weir_autoscaler *a = timer->arg;

	switch (a->state) {
	case IDLE:
		begin(a);
		break;
	case OPEN:
		if (a->is_asked) {
			lost(a, "it does not answer");
			break;
		}
		a->is_asked = true;
		weir_loop_arm(a->loop, timer, PING_MS);
		put_frame(a, 9, WEIR_STR("weir"));
		(void)flush(a);
		break;
	default:
		lost(a, "no answer in time");
		break;
	}
}

static int dial(struct weir_autoscaler *a)
{
	struct sockaddr_storage sa;
	socklen_t n = weir_addr_to_sockaddr(&a->peer.addr, a->peer.port_be,
					    &sa);
	int one = 1;

	a->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0);
	if (a->fd < 0) {
		return -errno;
	}
	(void)setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(a->fd, (struct sockaddr *)&sa, n) < 0 &&
	    errno != EINPROGRESS) {
		return -errno;
	}
	a->io = (struct weir_io){.fd = a->fd, .fn = on_io, .arg = a};
	a->events = EPOLLOUT;
	return weir_loop_add(a->loop, &a->io, a->events);
}

static void begin(struct weir_autoscaler *a)
{
	int r;

	if (a->n_endpoints == 0) {
		return;
	}
	a->peer = a->endpoints[a->turn++ % a->n_endpoints];
	r = dial(a);
	if (r < 0) {
		weir_close(&a->fd);
		lost(a, strerror(-r));
		return;
	}
	a->state = CONNECTING;
	weir_loop_arm(a->loop, &a->timer, HANDSHAKE_MS);
}

static bool is_peer_among(const struct weir_autoscaler *a)
{
	for (uint32_t i = 0; i < a->n_endpoints; i++) {
		if (weir_ip_eq(&a->endpoints[i].addr, &a->peer.addr) &&
		    a->endpoints[i].port_be == a->peer.port_be) {
			return true;
		}
	}
	return false;
}

int weir_autoscaler_follow(struct weir_autoscaler *a,
			   const struct weir_endpoint *endpoints, uint32_t n)
{
	struct weir_endpoint *copy = calloc(n + 1, sizeof(*copy));
	bool had_none = a->n_endpoints == 0;

	if (!copy) {
		return -ENOMEM;
	}
	if (n) {
		memcpy(copy, endpoints, n * sizeof(*copy));
	}
	weir_free_ptr(&a->endpoints);
	a->endpoints = copy;
	a->n_endpoints = n;
	if (a->state != IDLE && !is_peer_among(a)) {
		hang_up(a);
	}
	if (n && a->state == IDLE && (had_none || !a->timer.due_ms)) {
		a->pause_ms = PAUSE_MIN_MS;
		begin(a);
	}
	return 0;
}

void weir_autoscaler_init(struct weir_autoscaler *a, struct weir_loop *loop)
{
	a->loop = loop;
	a->fd = -1;
	a->pause_ms = PAUSE_MIN_MS;
	a->timer = (struct weir_timer){.fn = on_timer, .arg = a};
}

void weir_autoscaler_fini(struct weir_autoscaler *a)
{
	a->n_endpoints = 0;
	hang_up(a);
	weir_buf_fini(&a->out);
	weir_free_ptr(&a->endpoints);
}
