/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of the proxy between scripted clients and backends, over epoll and
 * then over io_uring: one ring of two has room for eight completions only, and
 * is always overrun.  The worker is
 * the real one, with real sockets on loopback addresses; only its clock is the
 * script's, and its turns are taken one by one.
 *
 * The first byte chooses limits; then come records that end in 0xFE: an
 * operation, who (a digit), and what (see play()).  In what backends say, 0x05
 * stands for a secret and the client whose request they were asked last.
 *
 * Properties: a backend sees nothing but well-formed requests, each of them one
 * that its client sent, and only what may be repeated twice; a client gets at
 * most one response for each request, well-formed, and no byte that was meant
 * for another; bytes of tunnels arrive as they were sent; nobody waits for an
 * event that has been; no turn is taken for nothing; and in the end nothing is
 * left: no client, buffer, pipe, descriptor, plan, or request in flight.
 * With WEIR_FUZZ_SAME in the environment everybody gets the same over both:
 * true of the corpus, not of any input, for who gets the last buffer may be
 * another.
 */
#include "loop.h"

#include <ctype.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

/* The clock is ours. */
static uint64_t fuzz_us;

static uint64_t fuzz_now_us(void)
{
	return fuzz_us;
}

static time_t fuzz_time(time_t *ret_time)
{
	(void)ret_time;
	return (time_t)(fuzz_us / 1000000);
}

#define weir_now_us fuzz_now_us
#define time(t) fuzz_time(t)
#include "worker.c"
#undef weir_now_us
#undef time

#include "conn_check.h"
#include "conn_site.h"
#include "ring_private.h"

#define RECORD_END 0xFE
#define TAG 0x05
#define STREAM_MAX (256u << 10)
#define SPINS_MAX 200

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct site site;
static bool has_joined; /* more than one thing happens at a time */
static bool wants_same; /* of the corpus, with WEIR_FUZZ_SAME */
static bool has_ring;   /* the kernel has it, and lets us */
static struct weir_worker *worker;
static struct weir_admission admission;
static uint64_t n_moved; /* bytes and ends that peers have seen */

/* ------------------------------------------------------------------- peers */

static void reset_peer(struct peer *p)
{
	struct linger linger = {.l_onoff = 1};

	if (p->fd >= 0) {
		(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger,
				 sizeof(linger));
		weir_close(&p->fd);
	}
}

static void open_client(int k, enum site_frontend frontend)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	struct peer *c = &client[k];
	int one = 1;
	int small = 4096;

	if (c->was_open) {
		return;
	}
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		return;
	}
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
			 sizeof(one));
	sa.sin_addr.s_addr = htonl(0x7F000028u + (uint32_t)k);
	site_must(bind(c->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "bind");
	sa.sin_addr.s_addr = htonl(0x7F00001Eu);
	sa.sin_port = htons((uint16_t)site.frontend_port[frontend]);
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 &&
	    errno != EINPROGRESS) {
		weir_close(&c->fd);
		return;
	}
	c->was_open = true;
	c->is_raw = frontend != SITE_HTTP;
}

static void accept_backends(enum site_endpoint endpoint)
{
	int fd;

	while ((fd = accept4(site.endpoint[endpoint], NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *b = backend;

		while (b < backend + BACKENDS && b->was_open) {
			b++;
		}
		n_moved++;
		if (b == backend + BACKENDS) {
			weir_close(&fd);
			continue;
		}
		*b = (struct peer){.fd = fd,
				   .was_open = true,
				   .is_raw = endpoint == SITE_RAW,
				   .owner = -1,
				   .index = -1};
	}
}

static void say(struct peer *p, const char *s, size_t n, int flags)
{
	ssize_t r;

	if (p->fd < 0 || p->sent.n + n > STREAM_MAX) {
		return;
	}
	r = send(p->fd, s, n, MSG_NOSIGNAL | flags);
	if (r > 0) {
		weir_buf_add(&p->sent, s, (size_t)r);
	}
}

static void hear(struct peer *p)
{
	ssize_t n;

	if (weir_buf_reserve(&p->got, 16384) < 0) {
		abort();
	}
	n = recv(p->fd, p->got.p + p->got.n, 16384, 0);
	if (n > 0) {
		p->got.n += (size_t)n;
		n_moved += (uint64_t)n;
	} else if (n == 0 || errno != EAGAIN) {
		p->is_done = true;
		n_moved++;
	}
	if (n > 0 && p >= backend && p < backend + BACKENDS) {
		read_requests(p);
	}
}

/* The worker's next wait would not be one. */
static bool has_work(void)
{
	const struct weir_ring *ring = worker->ring;

	/* What is to be submitted, and what has completed. */
	return worker->queue || worker->late ||
	       (ring &&
		(!ring->has_epoll_poll || *ring->q.sq_head != ring->q.tail ||
		 weir_ring_queue_has_completions(&ring->q)));
}

/* All that can be heard now; true: something was, or the worker has to do. */
static bool listen_around(bool *ret_is_worker)
{
	struct pollfd fds[1 + _SITE_ENDPOINTS + CLIENTS + BACKENDS];
	struct peer *who[CLIENTS + BACKENDS];
	nfds_t n = 0;
	nfds_t first;
	int r;

	fds[n++] = (struct pollfd){.fd = worker->ring ? worker->ring->q.fd
						      : worker->epoll_fd,
				   .events = POLLIN};
	for (int i = SITE_A; i <= SITE_RAW; i++) {
		fds[n++] = (struct pollfd){.fd = site.endpoint[i],
					   .events = POLLIN};
	}
	first = n;
	for (int i = 0; i < CLIENTS + BACKENDS; i++) {
		struct peer *p = i < CLIENTS ? &client[i]
					     : &backend[i - CLIENTS];

		if (p->fd >= 0 && !p->is_paused && !p->is_done) {
			who[n - first] = p;
			fds[n++] = (struct pollfd){.fd = p->fd,
						   .events = POLLIN};
		}
	}
	r = poll(fds, n, 0);
	*ret_is_worker = (r > 0 && fds[0].revents) || has_work();
	for (nfds_t i = first; r > 0 && i < n; i++) {
		if (fds[i].revents) {
			hear(who[i - first]);
		}
	}
	for (nfds_t i = 1; r > 0 && i < first; i++) {
		if (fds[i].revents) {
			accept_backends((enum site_endpoint)(i - 1));
		}
	}
	return r > 0 || has_work();
}

static void settle(void)
{
	uint64_t before = n_moved;
	int spins = 0;
	bool is_worker;

	while (listen_around(&is_worker)) {
		if (is_worker) {
			turn(worker, 0);
		} else if (n_moved == before) {
			break; /* we are out of descriptors */
		}
		spins = n_moved == before ? spins + 1 : 0;
		before = n_moved;
		if (spins > SPINS_MAX) {
			die("the worker turns for nothing");
		}
	}
}

/* ------------------------------------------------------------------ script */

/* A backend that has not read all that it was asked does not know whom its
 * answer is for. */
static bool knows_owner(const struct peer *b)
{
	int unread = 0;

	return !is_h2_stream(&b->got) && b->fd >= 0 &&
	       ioctl(b->fd, FIONREAD, &unread) == 0 && unread == 0;
}

static void say_tagged(struct peer *b, const uint8_t *s, size_t n)
{
	struct weir_buf *out = &scratch[0];
	bool has_tag = knows_owner(b);

	out->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == TAG && has_tag) {
			weir_buf_printf(out, "%s%c", secret,
					b->owner < 0 ? '-' : '0' + b->owner);
		} else {
			weir_buf_add(out, &s[i], 1);
		}
	}
	say(b, out->p, out->n, 0);
}

/* A proper answer, by kind. */
static void answer(struct peer *b, uint8_t kind)
{
	static const struct {
		char kind;
		const char *text;
	} answers[] = {
		{'k',
		 "HTTP/1.1 200 OK\r\nX: \5\r\nContent-Length: 2\r\n\r\n\5"},
		{'c', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "2;x\r\nab\r\n0\r\nX: \5\r\n\r\n"},
		{'e', "HTTP/1.1 200 OK\r\nX: \5\r\n\r\n\5"},
		{'z', "HTTP/1.1 200 OK\r\nConnection: close\r\nX: \5\r\n"
		      "Content-Length: 0\r\n\r\n"},
		{'i', "HTTP/1.1 100 Continue\r\n\r\n"},
		{'u', "HTTP/1.1 101 Go\r\nConnection: upgrade\r\n"
		      "Upgrade: w\r\n\r\n\5"},
		{'n', "HTTP/1.1 304 Not\r\nX: \5\r\nContent-Length: 9\r\n\r\n"},
		{'l', "HTTP/1.1 200 OK\r\nX: \5\r\n"
		      "Content-Length: 65536\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].kind == kind) {
			struct weir_str text = weir_str_of(answers[i].text);

			/* The body of two bytes is not the tag's place. */
			text.n -= kind == 'k';
			say_tagged(b, (const uint8_t *)text.p, text.n);
			if (kind == 'k') {
				say(b, "ok", 2, 0);
			}
		}
	}
}

static void fill(struct peer *p, size_t n)
{
	static char text[4096];

	memset(text, 'x', sizeof(text));
	while (n) {
		size_t k = n < sizeof(text) ? n : sizeof(text);
		size_t before = p->sent.n;

		say(p, text, k, 0);
		if (p->sent.n - before < k) {
			settle();
			if (p->fd < 0) {
				return;
			}
			say(p, text, k - (p->sent.n - before), 0);
			if (p->sent.n - before < k) {
				return;
			}
		}
		n -= k;
	}
}

/* What a backend or client does; true if it is known. */
static void act(struct peer *p, uint8_t op, const uint8_t *s, size_t n)
{
	switch (tolower(op)) {
	case 'v':
		for (size_t i = 0; i < n && i < 512; i++) {
			say(p, (const char *)&s[i], 1, 0);
			settle();
		}
		break;
	case 'o':
		say(p, (const char *)s, n, MSG_OOB);
		break;
	case 'f':
		if (p->fd >= 0) {
			(void)shutdown(p->fd, SHUT_WR);
		}
		break;
	case 'd':
		weir_close(&p->fd);
		break;
	case 'x':
		reset_peer(p);
		break;
	case 'z':
		p->is_paused = !p->is_paused;
		break;
	case 'l':
		fill(p, n ? (size_t)s[0] * 512 : 4096);
		break;
	default:
		break;
	}
}

static void set_time(uint8_t who)
{
	static const uint32_t ms[10] = {1,    16,    100,   250,   1100,
					3100, 11000, 31000, 80000, 4000000};

	fuzz_us += (uint64_t)ms[who % 10] * 1000;
	turn(worker, 0);
}

/* Lower case: clients; upper case: backends. */
static void play(const uint8_t *r, size_t n)
{
	uint8_t op = r[0];
	uint8_t who = (uint8_t)(r[1] - '0');
	struct peer *c = &client[who % CLIENTS];
	struct peer *b = &backend[who % BACKENDS];

	r += 2;
	n -= 2;
	switch (op) {
	case 'c': /* says it, to the HTTP frontend if it is new */
		open_client(who % CLIENTS, SITE_HTTP);
		say(c, (const char *)r, n, 0);
		break;
	case 't': /* the same to the TCP frontend; its first byte is its name */
	case 'u': /* and to the one that refuses */
		if (!c->was_open) {
			char name = (char)('0' + who % CLIENTS);

			open_client(who % CLIENTS,
				    op == 't' ? SITE_TCP : SITE_REFUSED);
			settle();
			say(c, &name, 1, 0);
		}
		say(c, (const char *)r, n, 0);
		break;
	case 'B': /* says it */
		say_tagged(b, r, n);
		break;
	case 'A': /* answers */
		answer(b, n ? r[0] : 'k');
		break;
	case '@': /* time goes by */
		set_time(who);
		break;
	case '#': /* another plan */
		weir_worker_publish(
			worker, weir_plan_ref_get(site.plan[who % SITE_PLANS]));
		break;
	case '!': /* the end is near */
		atomic_store(&worker->wants_drain, true);
		weir_worker_wake(worker);
		break;
	case '%':
		set_descriptors(who % 2);
		break;
	default:
		act(isupper(op) ? b : c, op, r, n);
		break;
	}
}

static void play_all(const uint8_t *p, size_t n)
{
	for (int i = 0; n && i < 200; i++) {
		const uint8_t *end = memchr(p, RECORD_END, n);
		size_t k = end ? (size_t)(end - p) : n;
		/* '&' before it: together with what follows. */
		bool is_joined = k && p[0] == '&';

		has_joined |= is_joined;
		if (k >= 2u + is_joined) {
			play(p + is_joined, k - is_joined);
			if (!is_joined) {
				settle();
			}
		}
		p += end ? k + 1 : k;
		n -= end ? k + 1 : k;
	}
}

/* ------------------------------------------------------ beginning and end */

enum how { OVER_EPOLL, OVER_RING, OVER_TINY_RING };

static void open_small_ring(bool is_tiny)
{
	site_must(weir_ring_new(worker->epoll_fd, is_tiny ? 4 : 64,
				is_tiny ? 8 : 128, &worker->ring) == 0,
		  "io_uring");
	site_must(weir_ring_check(worker->ring) == 0, "io_uring");
}

static void begin(uint8_t flags, enum how how)
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

	weir_proxy_limits_default(&limits);
	limits.max_head_bytes = 1024;
	limits.max_target_bytes = 256;
	limits.max_headers = 16;
	limits.buffer_bytes = 2304;
	limits.max_connections = flags & 1 ? 2 : 64;
	limits.pool_idle_max = flags & 2 ? 1 : 8;
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
	weir_admission_init(&admission, limits.max_connections, 1);
	worker->admission = &admission;
	/* What config points to goes out of scope. */
	worker->limits = &limits;
	if (flags & 4) {
		worker->blocks.max = 6;
		worker->blocks.reserve = 1;
	}
	worker->pipes.max = flags & 8 ? 0 : 2;
	read_clock(worker);
	weir_wheel_init(&worker->wheel, worker->now_ms);
	if (how != OVER_EPOLL) {
		open_small_ring(how == OVER_TINY_RING);
	}
	for (int i = 0; i < CLIENTS; i++) {
		client[i] = (struct peer){.fd = -1};
	}
	for (int i = 0; i < BACKENDS; i++) {
		backend[i] = (struct peer){.fd = -1};
	}
	if (!(flags & 16)) {
		weir_worker_publish(worker, weir_plan_ref_get(site.plan[0]));
		settle();
	}
}

/* Drives everybody as if all had been said again: what moves then had been
 * forgotten.  True: something did. */
static bool is_stalled(int try)
{
	struct weir_client *next;
	uint64_t before;

	for (int i = 0; i < CLIENTS; i++) {
		client[i].is_paused = false;
	}
	for (int i = 0; i < BACKENDS; i++) {
		backend[i].is_paused = false;
	}
	settle();
	if (try) {
		/* A busy machine delivers late, but it does: a SYN that was
		 * lost comes again after a second. */
		(void)poll(NULL, 0, 20 << 2 * (try - 1));
		settle();
	}
	/* Looking again must not fail for want of a buffer. */
	worker->blocks.max = 64;
	worker->blocks.reserve = 1;
	before = n_moved;
	for (struct weir_client *c = worker->clients; c; c = next) {
		next = c->all_next;
		c->end.is_readable = true;
		c->end.is_writable = true;
		if (c->up && !c->up->is_connecting) {
			c->up->end.is_readable = true;
			c->up->end.is_writable = true;
		}
		weir_client_drive(worker, c);
	}
	settle();
	return n_moved != before;
}

static void must_be_zero(uint64_t n, const char *what)
{
	if (n) {
		die("%s left: %llu", what, (unsigned long long)n);
	}
}

static void check_counters(void)
{
	const struct weir_counters *c = &worker->counters;
	const struct weir_proxy_totals *t = &c->shared->totals;

	for (uint32_t i = 0; i < SITE_IDS; i++) {
		must_be_zero(c->rules[i].in_flight, "requests of rules");
		must_be_zero(c->refs[i].in_flight, "requests of refs");
		must_be_zero(c->endpoints[i].in_flight,
			     "requests of endpoints");
	}
	must_be_zero(t->clients_opened - t->clients_closed, "clients");
	must_be_zero(atomic_load(&admission.n), "clients");
	must_be_zero(worker->clients != NULL, "of any kind");
	must_be_zero(worker->blocks.n_used, "buffers");
	must_be_zero(worker->pipes.n_used, "pipes");
}

/* Everybody has gone, or time has. */
static void end_all(void)
{
	uint64_t open = 0;
	int fd;

	set_descriptors(false);
	for (int i = 0; i < CLIENTS; i++) {
		reset_peer(&client[i]);
	}
	for (int i = 0; i < BACKENDS; i++) {
		reset_peer(&backend[i]);
	}
	for (int i = 0; i < 4; i++) {
		settle();
		set_time(9);
		for (int k = 0; k < BACKENDS; k++) {
			reset_peer(&backend[k]);
		}
	}
	check_counters();
	weir_ring_stop(worker->ring);
	weir_upstream_pool_fini(worker);
	site_must(weir_upstream_pool_init(worker) == 0, "pool");
	for (uint32_t i = 0; i < SITE_IDS; i++) {
		open += worker->counters.endpoints[i].opened -
			worker->counters.endpoints[i].closed;
	}
	must_be_zero(open, "connections to endpoints");
	must_be_zero(worker->counters.shared->totals.pool_idle, "idle");
	weir_worker_fini(worker);
	weir_free_ptr(&worker);
	for (unsigned i = 0; i < SITE_PLANS; i++) {
		must_be_zero(atomic_load(&site.plan[i]->refs) - 1, "plans");
	}
	/* Whom the worker had not come to. */
	for (int i = 0; i < _SITE_FRONTENDS + SITE_RAW + 1; i++) {
		int from = i < _SITE_FRONTENDS
				   ? site.frontend[i]
				   : site.endpoint[i - _SITE_FRONTENDS];

		while ((fd = accept(from, NULL, NULL)) >= 0) {
			weir_close(&fd);
		}
	}
}

static void free_peers(void)
{
	for (int i = 0; i < CLIENTS; i++) {
		weir_buf_fini(&client[i].sent);
		weir_buf_fini(&client[i].got);
	}
	for (int i = 0; i < BACKENDS; i++) {
		weir_buf_fini(&backend[i].sent);
		weir_buf_fini(&backend[i].got);
	}
	weir_buf_fini(&scratch[0]);
	weir_buf_fini(&scratch[1]);
}

/* Descriptors in use. */
static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct weir_ring *ring = NULL;

	(void)argc;
	(void)argv;
	site_init(&site);
	/* As weir_proxy_run() has it. */
	(void)signal(SIGPIPE, SIG_IGN);
	wants_same = getenv("WEIR_FUZZ_SAME");
	has_ring = weir_ring_new(0, 4, 8, &ring) == 0;
	if (!has_ring) {
		fprintf(stderr, "no io_uring: over epoll alone\n");
	}
	weir_ring_free(&ring);
	return 0;
}

/* ------------------------------------------------ the same however it is done
 */

/* What peers got when the worker was over epoll. */
static struct {
	struct weir_buf got;
	size_t sent;
	size_t at;
} heard[CLIENTS + BACKENDS];

static struct peer *peer_at(int i)
{
	return i < CLIENTS ? &client[i] : &backend[i - CLIENTS];
}

static void remember_all(void)
{
	for (int i = 0; i < CLIENTS + BACKENDS; i++) {
		const struct peer *p = peer_at(i);

		heard[i].got.n = 0;
		heard[i].sent = p->sent.n;
		heard[i].at = p->at;
		weir_buf_add(&heard[i].got, p->got.p, p->got.n);
	}
}

/* How much of a request that never becomes whole was sent on before it failed
 * depends on the size of reads. */
static bool is_as_heard(int i)
{
	const struct peer *p = peer_at(i);
	const struct weir_buf *a = &heard[i].got;
	size_t n = p->got.n < a->n ? p->got.n : a->n;
	bool is_cut = i >= CLIENTS && p->at == heard[i].at && p->at < n;

	return (p->got.n == a->n || is_cut) &&
	       (n == 0 || memcmp(p->got.p, a->p, n) == 0);
}

/* -1, or who got something else though the same was said. */
static int find_other(void)
{
	/* Who comes first in a turn, and so who gets which connection, is up to
	 * the kernel. */
	if (has_joined) {
		return -1;
	}
	/* When a socket was full for too long, a peer has said less.  Frames of
	 * HTTP/2 are cut where reads are. */
	for (int i = 0; i < CLIENTS + BACKENDS; i++) {
		const struct peer *p = peer_at(i);

		if (p->sent.n != heard[i].sent || is_h2(p)) {
			return -1;
		}
	}
	for (int i = 0; i < CLIENTS + BACKENDS; i++) {
		if (!is_as_heard(i)) {
			return i;
		}
	}
	return -1;
}

/* Returns who got something else than over epoll, or -1. */
static int run_over(const uint8_t *data, size_t size, enum how how)
{
	bool is_stuck = true;
	int other = -1;

	has_joined = false;
	/* A stall is one only if it is there every time. */
	for (int i = 0; i < 5 && is_stuck; i++) {
		begin(data[0], how);
		play_all(data + 1, size - 1);
		is_stuck = is_stalled(i);
		for (int k = 0; k < CLIENTS; k++) {
			if (!client[k].is_raw) {
				check_client(k);
			}
		}
		if (is_stuck && i == 4) {
			die("something had been forgotten");
		}
		if (how == OVER_EPOLL) {
			remember_all();
		} else {
			other = find_other();
		}
		end_all();
		free_peers();
	}
	return other;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t hash = weir_hash64(data, size, 1);
	int fds = count_fds();
	int other = 0;

	if (size < 1) {
		return 0;
	}
	snprintf(secret, sizeof(secret), "%08x=", (unsigned)hash);
	/* A difference, too, is one only if it is there every time. */
	for (int i = 0; i < (wants_same ? 5 : 1) && other >= 0; i++) {
		(void)run_over(data, size, OVER_EPOLL);
		if (!has_ring) {
			break;
		}
		other = run_over(data, size,
				 hash & 1 ? OVER_RING : OVER_TINY_RING);
	}
	if (has_ring && wants_same && other >= 0) {
		die("%s %d got over io_uring what it did not over epoll:\n%.*s",
		    other < CLIENTS ? "client" : "backend",
		    other < CLIENTS ? other : other - CLIENTS,
		    (int)heard[other].got.n, heard[other].got.p);
	}
	if (count_fds() != fds) {
		die("descriptors left: %d", count_fds() - fds);
	}
	return 0;
}
