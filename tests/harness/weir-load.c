/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of tests, demo and benchmarks: makes connections or requests at
 * a rate or a concurrency, and says who answered, how fast, and what failed.
 *
 *	weir-load [options] tcp:ADDR:PORT | udp:ADDR:PORT | http://HOST/PATH
 *
 * A tcp unit is a connection to a weir-echo: greeting, then rounds of payload
 * and its echo, every byte compared.  A udp unit is a datagram and its answer,
 * from a new socket each unless --reuse.  An http unit is a request.
 *
 * Standard output is one line of JSON at the end (load_stats.h).  Exit 0 if
 * nothing failed, 1 if something did, 2 for wrong use.  SIGUSR1 begins the
 * next phase of the counts; SIGTERM and SIGINT end the run early.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "load_http.h"
#include "load_options.h"
#include "load_stats.h"
#include "loop.h"

enum step { STEP_IDLE, STEP_CONNECT, STEP_SEND, STEP_GREETING, STEP_ANSWER };

/*
 * A slot waits in one queue at a time.  A queue has one delay, so its order is
 * that of coming in, and thousands of slots cost nothing to keep sorted.
 */
enum queue_id {
	QUEUE_READY,   /* next unit at once, but not from inside a callback */
	QUEUE_PAUSE,   /* after a failure */
	QUEUE_THINK,   /* tcp: between rounds */
	QUEUE_TIMEOUT, /* a unit under way */
	QUEUE_FREE,    /* idle until the rate wants it: no delay, no end */
	_QUEUE_MAX,
};

struct queue {
	struct slot *first;
	struct slot *last;
	uint64_t delay_ms;
};

/* One place of the concurrency: at most one unit at a time. */
struct slot {
	struct weir_io io;
	enum queue_id queue;
	struct slot *before; /* in the queue */
	struct slot *after;
	uint64_t due_ms;
	enum step step;
	bool is_reused; /* the connection served before */
	uint32_t events;
	unsigned int phase;
	uint64_t begin_us; /* epoch */
	uint64_t start_us; /* monotonic */
	uint64_t round;
	size_t sent;
	size_t got;
	char name[LOAD_NAME_MAX];
	size_t name_n;
	struct load_response rs;
};

static struct load_options opt;
static struct weir_loop *loop;
static struct load_stats stats;
static struct weir_buf request; /* what a unit sends */
static struct slot *slots;
static struct queue queues[_QUEUE_MAX];
static struct weir_timer tick; /* the queues */
static struct weir_timer rate_timer;
static struct weir_timer report_timer;
static struct weir_timer end_timer;
static uint64_t n_started;
static uint64_t begin_us;
static bool is_over; /* nothing new is started */

static void on_slot(struct weir_io *io, uint32_t events);

/* ------------------------------------------------------------------- queues */

static void dequeue(struct slot *s)
{
	struct queue *q = &queues[s->queue];

	if (!s->before && q->first != s) {
		return; /* in none */
	}
	*(s->before ? &s->before->after : &q->first) = s->after;
	*(s->after ? &s->after->before : &q->last) = s->before;
	s->before = s->after = NULL;
}

static void enqueue(struct slot *s, enum queue_id id)
{
	struct queue *q = &queues[id];

	dequeue(s);
	s->queue = id;
	s->due_ms = weir_now_ms() + q->delay_ms;
	s->before = q->last;
	*(q->last ? &q->last->after : &q->first) = s;
	q->last = s;
	if (id != QUEUE_FREE && (!tick.due_ms || s->due_ms < tick.due_ms)) {
		weir_loop_arm(loop, &tick, q->delay_ms);
	}
}

/* ------------------------------------------------------------ ends of units */

static void slot_close(struct slot *s)
{
	if (s->io.fd >= 0) {
		weir_loop_del(loop, &s->io);
		weir_close(&s->io.fd);
	}
	load_response_reset(&s->rs);
	s->is_reused = false;
}

static void check_end(void)
{
	if (is_over && stats.in_flight == 0) {
		weir_loop_stop(loop, 0);
	}
}

/* The unit is over; the slot waits for the next one in that queue. */
static void slot_next(struct slot *s, enum queue_id id)
{
	s->step = STEP_IDLE;
	stats.in_flight--;
	if (is_over) {
		dequeue(s);
		slot_close(s);
		check_end();
	} else {
		enqueue(s, id);
	}
}

static enum queue_id idle_queue(void)
{
	return opt.rate > 0 ? QUEUE_FREE : QUEUE_READY;
}

static void unit_ok(struct slot *s, struct weir_str name)
{
	load_stats_ok(&stats, s->phase, s->begin_us,
		      weir_now_us() - s->start_us, name);
}

static void unit_failed(struct slot *s, enum load_error error, int err)
{
	load_stats_fail(&stats, s->phase, error);
	if (opt.wants_failures) {
		fprintf(stderr,
			"failed %s at_us=%" PRIu64 " after_us=%" PRIu64
			" errno=%d status=%u round=%" PRIu64 " name=%.*s\n",
			load_error_name(error), s->begin_us,
			weir_now_us() - s->start_us, err, s->rs.status,
			s->round, (int)s->name_n, s->name);
	}
	slot_close(s);
	/* A pause, so that a dead target does not make a busy loop. */
	slot_next(s, QUEUE_PAUSE);
}

static void unit_errno(struct slot *s, int err)
{
	enum load_error error = LOAD_LOCAL;

	switch (err) {
	case ECONNREFUSED:
		error = LOAD_REFUSED;
		break;
	case ECONNRESET:
	case EPIPE:
		error = LOAD_RESET;
		break;
	case ETIMEDOUT:
		error = s->step == STEP_CONNECT ? LOAD_CONNECT_TIMEOUT
						: LOAD_TIMEOUT;
		break;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EPERM:
	case EACCES:
		error = LOAD_UNREACHABLE;
		break;
	}
	unit_failed(s, error, err);
}

/* ------------------------------------------------------------------ sending */

static void watch(struct slot *s, uint32_t events)
{
	if (events != s->events) {
		s->events = events;
		weir_loop_mod(loop, &s->io, events);
	}
}

static void send_more(struct slot *s)
{
	while (s->sent < request.n) {
		ssize_t n = send(s->io.fd, request.p + s->sent,
				 request.n - s->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			break;
		}
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET) &&
		    opt.mode == LOAD_MODE_HTTP) {
			/* An early answer may be there to be read. */
			s->sent = request.n;
			break;
		}
		if (n < 0) {
			unit_errno(s, errno);
			return;
		}
		s->sent += (size_t)n;
	}
	watch(s, EPOLLIN | (s->sent < request.n ? EPOLLOUT : 0));
}

static void send_datagram(struct slot *s)
{
	ssize_t n = opt.is_unconnected
			    ? sendto(s->io.fd, request.p, request.n, 0,
				     (struct sockaddr *)&opt.to, opt.to_len)
			    : send(s->io.fd, request.p, request.n, 0);

	if (n < 0) {
		unit_errno(s, errno);
		return;
	}
	watch(s, EPOLLIN);
}

static bool is_target(const struct sockaddr_storage *sa)
{
	struct weir_ip want;
	struct weir_ip ip;
	__be16 want_be;
	__be16 port_be;

	return weir_addr_from_sockaddr(&opt.to, &want, &want_be) == 0 &&
	       weir_addr_from_sockaddr(sa, &ip, &port_be) == 0 &&
	       weir_ip_eq(&ip, &want) && port_be == want_be;
}

static void on_connected(struct slot *s)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);

	load_hist_add(&stats.connect, weir_now_us() - s->start_us);
	if (opt.wants_peer &&
	    (getpeername(s->io.fd, (struct sockaddr *)&sa, &len) < 0 ||
	     !is_target(&sa))) {
		unit_failed(s, LOAD_WRONG_PEER, errno);
		return;
	}
	if (opt.mode == LOAD_MODE_UDP) {
		s->step = STEP_ANSWER;
		send_datagram(s);
	} else if (opt.mode == LOAD_MODE_TCP) {
		s->step = STEP_GREETING;
		watch(s, EPOLLIN);
	} else {
		s->step = STEP_ANSWER;
		send_more(s);
	}
}

/* A new socket on its way.  0, or -errno. */
static int slot_connect(struct slot *s)
{
	bool is_udp = opt.mode == LOAD_MODE_UDP;
	_cleanup_close_ int fd = socket(opt.to.ss_family,
					(is_udp ? SOCK_DGRAM : SOCK_STREAM) |
						SOCK_NONBLOCK | SOCK_CLOEXEC,
					0);
	int on = 1;
	int r;

	if (fd < 0) {
		return -errno;
	}
	stats.connections++;
	if (!is_udp) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	if (opt.bind_len) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
			   sizeof(on));
		if (bind(fd, (struct sockaddr *)&opt.bind, opt.bind_len) < 0) {
			return -errno;
		}
	}
	if (!opt.is_unconnected &&
	    connect(fd, (struct sockaddr *)&opt.to, opt.to_len) < 0 &&
	    errno != EINPROGRESS) {
		return -errno;
	}
	s->io = (struct weir_io){TAKE_FD(fd), on_slot, s, false};
	s->events = is_udp ? EPOLLIN : EPOLLOUT;
	r = weir_loop_add(loop, &s->io, s->events);
	if (r < 0) {
		weir_close(&s->io.fd);
	}
	return r;
}

static void slot_start(struct slot *s)
{
	int r = 0;

	n_started++;
	stats.in_flight++;
	s->phase = stats.n_phases - 1;
	stats.phases[s->phase].started++;
	s->begin_us = load_epoch_us();
	s->start_us = weir_now_us();
	s->round = s->sent = s->got = s->name_n = 0;
	s->step = STEP_CONNECT;
	enqueue(s, QUEUE_TIMEOUT);
	if (s->io.fd >= 0) {
		s->is_reused = true;
		s->step = STEP_ANSWER;
		load_response_reset(&s->rs);
		s->rs.is_head = strcmp(opt.method, "HEAD") == 0;
		if (opt.mode == LOAD_MODE_UDP) {
			send_datagram(s);
		} else {
			send_more(s);
		}
		return;
	}
	s->rs.is_head = strcmp(opt.method, "HEAD") == 0;
	r = slot_connect(s);
	if (r < 0) {
		unit_errno(s, -r);
	} else if (opt.mode == LOAD_MODE_UDP) {
		/* connect() of a datagram socket is done when it returns. */
		on_connected(s);
	}
}

/* ---------------------------------------------------------------- receiving */

static void http_complete(struct slot *s)
{
	struct load_response *rs = &s->rs;
	bool is_expected = opt.expect ? rs->status == opt.expect
				      : rs->status / 100 == 2;

	stats.statuses[rs->status]++;
	s->name_n = rs->backend.n < LOAD_NAME_MAX ? rs->backend.n
						  : LOAD_NAME_MAX - 1;
	memcpy(s->name, rs->backend.p ? rs->backend.p : "", s->name_n);
	if (!is_expected) {
		unit_failed(s, LOAD_STATUS, 0);
		return;
	}
	if (opt.wants_pattern && !rs->is_pattern) {
		unit_failed(s, LOAD_MALFORMED, 0);
		return;
	}
	unit_ok(s, s->name_n ? (struct weir_str){s->name, s->name_n}
			     : WEIR_STR("-"));
	if (!opt.is_keep_alive || rs->is_close || s->sent < request.n) {
		slot_close(s);
	} else {
		watch(s, EPOLLIN);
	}
	slot_next(s, idle_queue());
}

static void http_data(struct slot *s, const char *p, size_t n)
{
	size_t used;
	int r = load_response_feed(&s->rs, p, n, &used);

	/* Bytes after the end answer nothing that was asked. */
	if (r < 0 || (r > 0 && used < n)) {
		unit_failed(s, LOAD_MALFORMED, 0);
	} else if (r > 0) {
		http_complete(s);
	}
}

static void tcp_round(struct slot *s)
{
	s->sent = 0;
	s->got = 0;
	s->step = STEP_ANSWER;
	enqueue(s, QUEUE_TIMEOUT);
	send_more(s);
}

static void tcp_complete(struct slot *s)
{
	unit_ok(s, (struct weir_str){s->name, s->name_n});
	slot_close(s);
	slot_next(s, idle_queue());
}

static void tcp_data(struct slot *s, const char *p, size_t n)
{
	if (s->step == STEP_GREETING) {
		const char *eol = memchr(p, '\n', n);
		size_t k = eol ? (size_t)(eol - p) : n;

		if (s->name_n + k >= LOAD_NAME_MAX || (eol && k + 1 < n)) {
			unit_failed(s, LOAD_MALFORMED, 0);
			return;
		}
		memcpy(s->name + s->name_n, p, k);
		s->name_n += k;
		if (eol && request.n == 0) {
			tcp_complete(s);
		} else if (eol) {
			tcp_round(s);
		}
		return;
	}
	if (s->queue == QUEUE_THINK || s->got + n > request.n ||
	    memcmp(request.p + s->got, p, n) != 0) {
		unit_failed(s, LOAD_MISMATCH, 0);
		return;
	}
	s->got += n;
	if (s->got < request.n) {
		return;
	}
	s->round++;
	if (opt.rounds ? s->round >= opt.rounds : is_over) {
		tcp_complete(s);
	} else if (opt.think_ms) {
		enqueue(s, QUEUE_THINK);
	} else {
		tcp_round(s);
	}
}

static void udp_data(struct slot *s, const char *p, size_t n,
		     const struct sockaddr_storage *from)
{
	const char *blank = memchr(p, ' ', n);
	size_t k = blank ? (size_t)(blank - p) : n;

	s->name_n = k < LOAD_NAME_MAX ? k : LOAD_NAME_MAX - 1;
	memcpy(s->name, p, s->name_n);
	if (!is_target(from)) {
		unit_failed(s, LOAD_WRONG_PEER, 0);
	} else if (!blank || n - k - 1 != request.n ||
		   memcmp(blank + 1, request.p, request.n) != 0) {
		unit_failed(s, LOAD_MISMATCH, 0);
	} else {
		unit_ok(s, (struct weir_str){s->name, s->name_n});
		if (!opt.is_reused) {
			slot_close(s);
		}
		slot_next(s, idle_queue());
	}
}

static void on_eof(struct slot *s)
{
	bool was_idle = s->step == STEP_IDLE;

	if (was_idle) {
		slot_close(s); /* the server may do that between requests */
	} else if (opt.mode == LOAD_MODE_HTTP && load_response_eof(&s->rs)) {
		http_complete(s);
	} else {
		unit_failed(s,
			    s->is_reused && s->rs.head.n == 0 ? LOAD_STALE
							      : LOAD_CLOSED,
			    0);
	}
}

static void on_slot(struct weir_io *io, uint32_t events)
{
	static char data[256 << 10];
	struct slot *s = io->arg;
	struct sockaddr_storage from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t n;

	if (s->step == STEP_CONNECT) {
		int err = 0;
		socklen_t len = sizeof(err);

		getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			unit_errno(s, err);
		} else {
			on_connected(s);
		}
		return;
	}
	if ((events & EPOLLOUT) && opt.mode != LOAD_MODE_UDP) {
		send_more(s);
		return; /* input is reported again */
	}
	n = recvfrom(io->fd, data, sizeof(data), 0, (struct sockaddr *)&from,
		     &from_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	stats.rx_bytes += n > 0 ? (uint64_t)n : 0;
	if (s->step == STEP_IDLE) {
		slot_close(s); /* nothing was asked; the next unit reconnects */
	} else if (n < 0) {
		unit_errno(s, errno);
	} else if (opt.mode == LOAD_MODE_UDP) {
		udp_data(s, data, (size_t)n, &from);
	} else if (n == 0) {
		on_eof(s);
	} else if (opt.mode == LOAD_MODE_HTTP) {
		http_data(s, data, (size_t)n);
	} else {
		tcp_data(s, data, (size_t)n);
	}
}

/* ----------------------------------------------------------------- schedule */

static void begin_end(void)
{
	is_over = true;
	weir_loop_disarm(loop, &end_timer);
	for (uint64_t i = 0; i < opt.concurrency; i++) {
		struct slot *s = &slots[i];

		if (s->step == STEP_IDLE) {
			dequeue(s);
			slot_close(s);
		} else if (s->queue == QUEUE_THINK && opt.rounds == 0) {
			tcp_complete(s);
		}
	}
	check_end();
}

/* False: there is nothing left to start. */
static bool start_one(struct slot *s)
{
	if (!is_over && opt.total && n_started >= opt.total) {
		begin_end();
	}
	if (is_over) {
		return false;
	}
	slot_start(s);
	return true;
}

static void on_due(struct slot *s, enum queue_id id)
{
	switch (id) {
	case QUEUE_PAUSE:
		if (opt.rate > 0) {
			enqueue(s, QUEUE_FREE);
			break;
		}
		__attribute__((fallthrough));
	case QUEUE_READY:
		start_one(s);
		break;
	case QUEUE_THINK:
		tcp_round(s);
		break;
	case QUEUE_TIMEOUT:
		unit_errno(s, ETIMEDOUT);
		break;
	case QUEUE_FREE:
	case _QUEUE_MAX:
		break;
	}
}

static void on_tick(struct weir_timer *t)
{
	uint64_t now = weir_now_ms();
	uint64_t next = UINT64_MAX;

	for (enum queue_id id = 0; id < QUEUE_FREE; id++) {
		struct slot *s;

		while ((s = queues[id].first) && s->due_ms <= now) {
			dequeue(s);
			on_due(s, id);
		}
	}
	for (enum queue_id id = 0; id < QUEUE_FREE; id++) {
		struct slot *s = queues[id].first;

		next = s && s->due_ms < next ? s->due_ms : next;
	}
	if (next < UINT64_MAX) {
		weir_loop_arm(loop, t, next > now ? next - now : 0);
	}
}

static void on_rate(struct weir_timer *t)
{
	uint64_t due = (uint64_t)((double)(weir_now_us() - begin_us) / 1e6 *
				  opt.rate);
	struct slot *s;

	if (opt.total && due > opt.total) {
		due = opt.total;
	}
	while (!is_over && n_started < due && (s = queues[QUEUE_FREE].first)) {
		dequeue(s);
		start_one(s);
	}
	stats.behind = due > n_started ? due - n_started : 0;
	if (opt.total && n_started >= opt.total && !is_over) {
		begin_end();
	}
	if (!is_over) {
		weir_loop_arm(loop, t, 1);
	}
}

static void on_end(struct weir_timer *t)
{
	(void)t;
	begin_end();
}

/* ----------------------------------------------------------------- reporting
 */

static void write_status(void)
{
	_cleanup_buf_ struct weir_buf json = {0};
	char tmp[4096];
	FILE *f;

	load_stats_json(&stats, opt.label, &json);
	snprintf(tmp, sizeof(tmp), "%.4000s.tmp", opt.status_file);
	f = fopen(tmp, "we");
	if (!f) {
		return; /* the reader keeps the last one */
	}
	fwrite(json.p, 1, json.n, f);
	fputc('\n', f);
	if (fclose(f) == 0) {
		rename(tmp, opt.status_file);
	}
}

static void on_report(struct weir_timer *t)
{
	static unsigned int n;

	if (opt.status_file) {
		write_status();
	}
	if (opt.wants_lines && n++ % 2) {
		_cleanup_buf_ struct weir_buf line = {0};

		load_stats_line(&stats, &line);
		fprintf(stderr, isatty(2) ? "\r%.*s\033[K" : "%.*s\n",
			WEIR_STR_ARG(weir_buf_str(&line)));
	}
	weir_loop_arm(loop, t, 200);
}

static void on_signal(struct weir_io *io, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	if (read(io->fd, &si, sizeof(si)) != sizeof(si)) {
		return;
	}
	if (si.ssi_signo == SIGUSR1) {
		load_stats_next_phase(&stats);
	} else if (!is_over) {
		begin_end();
	} else {
		weir_loop_stop(loop, 0); /* asked twice: do not wait */
	}
}

static int watch_signals(struct weir_io *io)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	io->fd = signalfd(-1, &set, SFD_CLOEXEC);
	io->fn = on_signal;
	return io->fd < 0 ? -errno : weir_loop_add(loop, io, EPOLLIN);
}

static int run(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	slots = calloc(opt.concurrency, sizeof(*slots));
	if (!slots) {
		return -ENOMEM;
	}
	queues[QUEUE_PAUSE].delay_ms = 10;
	queues[QUEUE_THINK].delay_ms = opt.think_ms;
	queues[QUEUE_TIMEOUT].delay_ms = opt.timeout_ms;
	tick.fn = on_tick;
	rate_timer.fn = on_rate;
	report_timer.fn = on_report;
	end_timer.fn = on_end;
	load_stats_init(&stats);
	begin_us = weir_now_us();
	for (uint64_t i = 0; i < opt.concurrency; i++) {
		slots[i].io.fd = -1;
		enqueue(&slots[i], idle_queue());
	}
	if (opt.rate > 0) {
		weir_loop_arm(loop, &rate_timer, 0);
	}
	if (opt.time_ms) {
		weir_loop_arm(loop, &end_timer, opt.time_ms);
	}
	if (opt.status_file || opt.wants_lines) {
		weir_loop_arm(loop, &report_timer, 0);
	}
	return weir_loop_run(loop);
}

int main(int argc, char **argv)
{
	_cleanup_buf_ struct weir_buf json = {0};
	struct weir_io signals;
	int r = load_options_parse(argc, argv, &opt, &request);

	if (r) {
		return r > 0 ? 0 : 2;
	}
	r = weir_loop_new(&loop);
	if (r == 0) {
		r = watch_signals(&signals);
	}
	if (r == 0) {
		r = run();
	}
	if (r < 0) {
		fprintf(stderr, "weir-load: %s\n", strerror(-r));
		return 2;
	}
	stats.end_us = load_epoch_us();
	if (opt.status_file) {
		write_status();
	}
	load_stats_json(&stats, opt.label, &json);
	if (opt.wants_lines && isatty(2)) {
		fputc('\n', stderr);
	}
	printf("%.*s\n", WEIR_STR_ARG(weir_buf_str(&json)));
	return load_stats_failed(&stats) || stats.in_flight ? 1 : 0;
}
