/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 frames from a client and from a backend, between them the worker of
 * fuzz_conn.c, which has everything but whole frames.  An input is a script of
 * one-byte operations (see play()): frames of any content, and some that are
 * in order, so that what follows them gets far.
 *
 * Properties: what an HTTP/1.1 backend sees is well-formed, whatever the
 * frames, and a request near the limit of heads has its body; the worker does
 * not turn for nothing; and in the end nothing is left.
 */
#include "loop.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>

/* The clock is ours. */
static uint64_t fuzz_us;

static uint64_t fuzz_now_us(void)
{
	return fuzz_us;
}

#define weir_now_us fuzz_now_us
#include "worker.c"
#undef weir_now_us

#include "conn_site.h"
#include "strict.h"

#define TURNS_MAX 5000 /* until all is quiet */
#define BACKENDS 8
#define BUFFERS_MAX 1024
#define BUFFERS_LAST 4 /* more, for answers alone */
#define CLIENTS_MAX 64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
	int fd;
	bool is_h2;
	struct weir_buf got;
};

static struct site site;
static struct weir_worker *worker;
static struct weir_admission admission;
static struct peer client;
static struct peer backend[BACKENDS];
static uint32_t next_stream;

static void die(const char *what)
{
	fprintf(stderr, "fuzz_h2: %s\n", what);
	abort();
}

/* ------------------------------------------------------------------- peers */

static void say(struct peer *p, const void *s, size_t n)
{
	if (p->fd >= 0) {
		(void)!send(p->fd, s, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static void say_frame(struct peer *p, uint8_t type, uint8_t flags,
		      uint32_t stream, const void *payload, size_t n)
{
	uint8_t head[9] = {(uint8_t)(n >> 16),
			   (uint8_t)(n >> 8),
			   (uint8_t)n,
			   type,
			   flags,
			   (uint8_t)(stream >> 24),
			   (uint8_t)(stream >> 16),
			   (uint8_t)(stream >> 8),
			   (uint8_t)stream};

	say(p, head, sizeof(head));
	say(p, payload, n);
}

#define PADDED "/1?padded" /* a request that has a body of so many bytes */
#define PADDED_BODY 100

/* Requests as an HTTP/1.1 backend reads them. */
static void check_requests(struct peer *b)
{
	_cleanup_buf_ struct weir_buf body = {0};
	struct strict m;
	size_t at = 0;

	while (at < b->got.n) {
		strict_request(b->got.p + at, b->got.n - at, false, &m, &body);
		if (m.message == STRICT_BAD) {
			die("a backend sees what is no request");
		}
		if (m.message == STRICT_PART) {
			return;
		}
		if (strict_is(m.target, PADDED) &&
		    (!m.has_length || m.length != PADDED_BODY)) {
			die("a request has lost its body");
		}
		at += m.n;
	}
}

static bool hear(struct peer *p)
{
	char in[4096];
	ssize_t n = p->fd >= 0 ? recv(p->fd, in, sizeof(in), MSG_DONTWAIT) : -1;

	if (n > 0 && p != &client && p->got.n < 1 << 16) {
		weir_buf_add(&p->got, in, (size_t)n);
	}
	if (n == 0) {
		weir_close(&p->fd);
	}
	return n >= 0;
}

/* What the kernel has not delivered yet would come when it likes, and the end
 * behind it: such a connection is reset. */
static void hang_up(struct peer *p)
{
	const struct linger now = {.l_onoff = 1};
	int waiting = 0;

	if (p->fd >= 0 && ioctl(p->fd, SIOCOUTQ, &waiting) == 0 && waiting) {
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now,
				 sizeof(now));
	}
	weir_close(&p->fd);
}

static bool welcome(enum site_endpoint which)
{
	int fd = accept4(site.endpoint[which], NULL, NULL,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	for (int i = 0; fd >= 0 && i < BACKENDS; i++) {
		if (backend[i].fd < 0 && !backend[i].got.n) {
			backend[i].fd = fd;
			backend[i].is_h2 = which == SITE_B;
			if (backend[i].is_h2) {
				say_frame(&backend[i], 4, 0, 0, NULL, 0);
			}
			return true;
		}
	}
	weir_close(&fd);
	return false;
}

static void settle(void)
{
	int quiet = 0;

	for (int i = 0; i < TURNS_MAX; i++) {
		bool has_moved = welcome(SITE_A) | welcome(SITE_B);

		turn(worker, 0);
		has_moved |= hear(&client);
		for (int k = 0; k < BACKENDS; k++) {
			has_moved |= hear(&backend[k]);
		}
		quiet = has_moved || worker->queue || worker->late ||
					worker->has_unsent
				? 0
				: quiet + 1;
		if (quiet == 2) {
			return;
		}
	}
	die("the worker turns for nothing");
}

/* ------------------------------------------------------------------ script */

/* A literal without indexing (RFC 7541 6.2.2). */
static void put_field(struct weir_buf *out, const char *name, const char *value)
{
	const uint8_t sizes[2] = {(uint8_t)strlen(name),
				  (uint8_t)strlen(value)};
	const uint8_t kind = 0;

	weir_buf_add(out, &kind, 1);
	weir_buf_add(out, &sizes[0], 1);
	weir_buf_addz(out, name);
	weir_buf_add(out, &sizes[1], 1);
	weir_buf_addz(out, value);
}

static void ask(const char *method, const char *path, bool is_grpc, bool is_all)
{
	_cleanup_buf_ struct weir_buf out = {0};

	put_field(&out, ":method", method);
	put_field(&out, ":scheme", "http");
	put_field(&out, ":path", path);
	put_field(&out, ":authority", path[1] == '2' ? "two" : "t");
	if (is_grpc) {
		put_field(&out, "content-type", "application/grpc");
		put_field(&out, "te", "trailers");
	}
	say_frame(&client, 1, is_all ? 5 : 4, next_stream, out.p, out.n);
	next_stream += 2;
}

/* Fields that have rules of their own. */
static void ask_oddly(uint8_t how)
{
	_cleanup_buf_ struct weir_buf out = {0};

	put_field(&out, ":method", "POST");
	put_field(&out, ":scheme", how & 1 ? "https" : "http");
	put_field(&out, ":path", "/1");
	put_field(&out, ":authority", "t");
	put_field(&out, "cookie", "a=b");
	put_field(&out, "cookie", how & 2 ? "" : "c=d");
	put_field(&out, "host", how & 4 ? "other" : "T");
	put_field(&out, "content-length", how & 8 ? "9" : "-9");
	say_frame(&client, 1, 4, next_stream, out.p, out.n);
	next_stream += 2;
}

/* So many fields of one name, one with rules of its own or another. */
static void put_many(struct weir_buf *out, const char *name, int n)
{
	static char value[121];

	memset(value, 'v', sizeof(value) - 1);
	for (int i = 0; i < n; i++) {
		put_field(out, name, value);
	}
}

/* More than a head may be, if how is great; trailers of the last request. */
static void ask_at_length(uint8_t how, bool is_trailer)
{
	_cleanup_buf_ struct weir_buf out = {0};

	if (is_trailer) {
		put_many(&out, how & 1 ? "cookie" : "x", how);
		say_frame(&client, 1, 5, next_stream - 2, out.p, out.n);
		return;
	}
	put_field(&out, ":method", "GET");
	put_field(&out, ":scheme", "http");
	put_field(&out, ":path", "/2");
	put_field(&out, ":authority", "two");
	put_many(&out, how & 1 ? "cookie" : "x", 2 * how);
	say_frame(&client, 1, 5, next_stream, out.p, out.n);
	next_stream += 2;
}

/* A head of 1008 to 1023 bytes without the line of its length, and its body. */
static void ask_padded(uint8_t how)
{
	_cleanup_buf_ struct weir_buf out = {0};
	char pad[121] = "";
	char body[PADDED_BODY];

	put_field(&out, ":method", "POST");
	put_field(&out, ":scheme", "http");
	put_field(&out, ":path", PADDED);
	put_field(&out, ":authority", "t");
	put_field(&out, "content-length", "100");
	put_many(&out, "x", 7);
	memset(pad, 'p', 94u + how);
	put_field(&out, "x", pad);
	memset(body, 'b', sizeof(body));
	say_frame(&client, 1, 4, next_stream, out.p, out.n);
	say_frame(&client, 0, 1, next_stream, body, sizeof(body));
	next_stream += 2;
}

/* One response of an h2c backend on its newest stream. */
static void answer_h2(struct peer *b, uint8_t how, uint32_t stream)
{
	_cleanup_buf_ struct weir_buf out = {0};

	put_field(&out, ":status", how & 1 ? "200" : "204");
	put_field(&out, "content-type", "application/grpc");
	say_frame(b, 1, how & 2 ? 5 : 4, stream, out.p, out.n);
	if (how & 2) {
		return;
	}
	say_frame(b, 0, how & 4 ? 1 : 0, stream, "hello", 5);
	if (!(how & 4)) {
		out.n = 0;
		put_field(&out, "grpc-status", "0");
		say_frame(b, 1, 5, stream, out.p, out.n);
	}
}

static void answer_h1(struct peer *b, uint8_t how)
{
	const char *text[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\nx: y\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
	};

	say(b, text[how & 3], strlen(text[how & 3]));
}

static void each_backend(bool is_h2, uint8_t what, uint32_t stream)
{
	for (int i = 0; i < BACKENDS; i++) {
		if (backend[i].fd >= 0 && backend[i].is_h2 == is_h2) {
			if (is_h2) {
				answer_h2(&backend[i], what, stream);
			} else {
				answer_h1(&backend[i], what);
			}
		}
	}
}

/* 0x0T, 0x1T: a frame of type T by the client, by the backends of HTTP/2, with
 * flags, stream, length and payload behind it; the others are below. */
static size_t play_frame(const uint8_t *p, size_t n)
{
	uint32_t stream;
	size_t size;

	if (n < 4) {
		return n;
	}
	stream = p[2] & 0x80 ? 0 : p[2];
	size = p[3] < n - 4 ? p[3] : n - 4;
	if (p[0] < 0x10) {
		say_frame(&client, p[0] & 15, p[1], stream, p + 4, size);
		return 4 + size;
	}
	for (int i = 0; i < BACKENDS; i++) {
		if (backend[i].fd >= 0 && backend[i].is_h2) {
			say_frame(&backend[i], p[0] & 15, p[1], stream, p + 4,
				  size);
		}
	}
	return 4 + size;
}

static void play_one(uint8_t op)
{
	const uint8_t k = op & 15;

	switch (op >> 4) {
	case 2:
		ask(k & 1 ? "POST" : "GET", k & 2 ? "/2" : "/1", k & 4,
		    !(k & 8));
		break;
	case 3:
		each_backend(false, k, 0);
		break;
	case 4:
		each_backend(true, k, 1 + (k >> 3) * 2u);
		break;
	case 5:
		settle();
		break;
	case 6:
		fuzz_us += 1000000ull << k % 10;
		settle();
		break;
	case 7:
		if (k & 1) {
			hang_up(&client);
		} else {
			hang_up(&backend[k >> 1]);
		}
		break;
	case 8:
		say_frame(&client, 0, k & 1, next_stream - 2, "some data", 9);
		break;
	case 9: /* so many more buffers, or as many as before */
		weir_blocks_fini(&worker->blocks);
		worker->blocks.max = (k < 8 ? worker->blocks.n_used + k
					    : BUFFERS_MAX) +
				     BUFFERS_LAST;
		break;
	case 10: /* likewise of clients */
		admission.max = k < 8 ? admission.n + k : CLIENTS_MAX;
		break;
	case 11:
		ask_oddly(k);
		break;
	case 12:
	case 13:
		ask_at_length(k, op >> 4 == 13);
		break;
	case 14:
		ask_padded(k);
		break;
	default:
		break;
	}
}

static void play(const uint8_t *p, size_t n)
{
	while (n) {
		size_t used = 1;

		if (p[0] < 0x20) {
			used = play_frame(p, n);
		} else {
			play_one(p[0]);
		}
		p += used;
		n -= used;
	}
}

/* --------------------------------------------------------------- the frame */

static void begin(void)
{
	static struct weir_proxy_limits limits;
	struct weir_proxy_stats head = {.max_rules = SITE_IDS,
					.max_refs = SITE_IDS,
					.max_endpoints = SITE_IDS};
	struct weir_proxy_config config = {.ipc_fd = -1,
					   .stats_fd = site.stats_fd,
					   .listeners = site.frontend,
					   .n_listeners = _SITE_FRONTENDS,
					   .n_workers = 1};
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7F00001Eu),
		.sin_port = htons((uint16_t)site.frontend_port[SITE_HTTP])};

	weir_proxy_limits_default(&limits);
	limits.max_head_bytes = 1024;
	limits.max_target_bytes = 256;
	limits.max_headers = 16;
	limits.buffer_bytes = 2304;
	limits.h2_streams = 8;
	limits.h2_window_bytes = 65535;
	limits.h2_resets = 8;
	limits.h2_controls = 32;
	limits.h2_continuations = 4; /* libnghttp2 has a limit, too */
	config.limits = limits;
	site_must(ftruncate(site.stats_fd, 0) == 0 &&
			  ftruncate(site.stats_fd, (off_t)site.stats_size) ==
				  0 &&
			  pwrite(site.stats_fd, &head, sizeof(head), 0) ==
				  sizeof(head),
		  "stats");
	fuzz_us = 1000000000;
	worker = calloc(1, sizeof(*worker));
	site_must(worker != NULL, "memory");
	site_must(weir_worker_init(worker, &config, 0, -1) == 0, "worker");
	/* What config points to goes out of scope. */
	worker->limits = &limits;
	/* The reserve is of what the limits say, which is far more. */
	worker->blocks.max = BUFFERS_MAX + BUFFERS_LAST;
	worker->blocks.reserve = BUFFERS_LAST;
	weir_admission_init(&admission, CLIENTS_MAX, 1);
	worker->admission = &admission;
	read_clock(worker);
	weir_wheel_init(&worker->wheel, worker->now_ms);
	weir_worker_publish(worker, weir_plan_ref_get(site.plan[0]));
	turn(worker, 0);
	for (int i = 0; i < BACKENDS; i++) {
		backend[i] = (struct peer){.fd = -1};
	}
	client = (struct peer){
		.fd = socket(AF_INET,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	next_stream = 1;
	site_must(client.fd >= 0, "socket");
	(void)connect(client.fd, (struct sockaddr *)&sa, sizeof(sa));
	say(&client, WEIR_H2_PREFACE, sizeof(WEIR_H2_PREFACE) - 1);
	say_frame(&client, 4, 0, 0, NULL, 0);
}

static void must_be_zero(uint64_t n, const char *what)
{
	if (n) {
		fprintf(stderr, "fuzz_h2: %llu left: ", (unsigned long long)n);
		die(what);
	}
}

static void end(void)
{
	hang_up(&client);
	for (int i = 0; i < 4; i++) {
		settle();
		for (int k = 0; k < BACKENDS; k++) {
			hang_up(&backend[k]);
		}
		fuzz_us += 1000000000;
	}
	settle();
	for (uint32_t i = 0; i < SITE_IDS; i++) {
		must_be_zero(worker->counters.rules[i].in_flight, "of rules");
		must_be_zero(worker->counters.refs[i].in_flight, "of refs");
		must_be_zero(worker->counters.endpoints[i].in_flight,
			     "of endpoints");
		must_be_zero(worker->counters.endpoints[i].opened -
				     worker->counters.endpoints[i].closed,
			     "connections");
	}
	must_be_zero(atomic_load(&admission.n), "clients");
	must_be_zero(worker->clients != NULL, "of any kind");
	must_be_zero(worker->blocks.n_used, "buffers");
	weir_worker_fini(worker);
	weir_free_ptr(&worker);
	for (int i = 0; i < BACKENDS; i++) {
		if (!backend[i].is_h2) {
			check_requests(&backend[i]);
		}
		weir_buf_fini(&backend[i].got);
	}
	must_be_zero(atomic_load(&site.plan[0]->refs) - 1, "plans");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	site_init(&site);
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	play(data, size < 4096 ? size : 4096);
	end();
	return 0;
}
