/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that wrk cannot be.
 *
 *	bench-clients rate ADDR:PORT RATE SECONDS CONNECTIONS
 *		open loop: requests at that rate whatever the answers do,
 *Poisson arrivals, on keep-alive connections.  A request counts from the moment
 *it was due, also if all connections were busy then. Prints "p50_us p99_us
 *answers_per_s errors", half a second of warming up left out; errors has what
 *was never answered. bench-clients hold ADDR:PORT CONNECTIONS one request on
 *each connection, then all of them idle: prints "held N", and goes when its
 *standard input ends.  Exit 1 if a connection was lost by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"

#define CONNECTIONS_MAX 16000
#define ANSWER_MAX 4096
#define DUE_MAX (1u << 20) /* requests that wait for a connection */
#define WARM_UP_NS 500000000ull
#define DRAIN_NS 1000000000ull
#define EVENTS_MAX 64

static const char request[] = "GET / HTTP/1.1\r\nHost: bench.example.com\r\n"
			      "\r\n";

struct client {
	int fd;
	uint64_t due_ns; /* of the request under way */
	size_t n;
	char answer[ANSWER_MAX];
};

struct rate_run {
	int epoll_fd;
	double per_ns;
	uint64_t begin_ns;
	uint64_t end_ns;
	uint64_t next_ns;
	uint64_t random;
	/* Rings: connections without a request, requests without a connection.
	 */
	uint32_t *idle;
	uint32_t idle_head;
	uint32_t idle_n;
	uint64_t *due;
	uint32_t due_head;
	uint32_t due_n;
	uint32_t n_clients;
	struct client *clients;
	uint32_t *us; /* latencies */
	size_t us_n;
	size_t us_max;
	uint64_t errors;
	uint64_t answers;
	uint64_t in_flight;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int open_connection(const struct sockaddr_storage *sa, socklen_t len)
{
	struct timeval limit = {.tv_sec = 5};
	_cleanup_close_ int fd = socket(sa->ss_family,
					SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)sa, len) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

/* 1: a complete 200, and nothing behind it; 0: not yet; -EPROTO. */
static int answer_state(const char *p, size_t n)
{
	const char *end = memmem(p, n, "\r\n\r\n", 4);
	const char *at;
	size_t length;

	if (!end) {
		return n < ANSWER_MAX - 1 ? 0 : -EPROTO;
	}
	at = strcasestr(p, "\r\ncontent-length:");
	if (strncmp(p, "HTTP/1.1 200", 12) != 0 || !at || at > end) {
		return -EPROTO;
	}
	length = strtoul(at + 17, NULL, 10) + (size_t)(end + 4 - p);
	if (n > length || length >= ANSWER_MAX) {
		return -EPROTO;
	}
	return n == length;
}

/* ------------------------------------------------------------------- rate */

/* xorshift64*: arrivals are the same in every run. */
static double uniform(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return ((double)(*state * 0x2545F4914F6CDD1Dull >> 11) + 1) * 0x1p-53;
}

static void arrivals(struct rate_run *r, uint64_t now)
{
	while (r->next_ns <= now && r->next_ns < r->end_ns) {
		if (r->due_n == DUE_MAX) {
			r->errors++;
		} else {
			r->due[(r->due_head + r->due_n++) % DUE_MAX] =
				r->next_ns;
		}
		r->next_ns += (uint64_t)(-log(uniform(&r->random)) / r->per_ns);
	}
}

static void fail(struct rate_run *r, struct client *c)
{
	r->errors++;
	r->in_flight--;
	weir_close(&c->fd); /* the others carry on */
}

static void start_due(struct rate_run *r)
{
	while (r->due_n && r->idle_n) {
		struct client *c =
			&r->clients[r->idle[r->idle_head % r->n_clients]];

		r->idle_head++;
		r->idle_n--;
		c->due_ns = r->due[r->due_head % DUE_MAX];
		r->due_head++;
		r->due_n--;
		c->n = 0;
		r->in_flight++;
		if (send(c->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) !=
		    (ssize_t)sizeof(request) - 1) {
			fail(r, c);
		}
	}
}

static void on_answer(struct rate_run *r, uint32_t i)
{
	struct client *c = &r->clients[i];
	ssize_t n = recv(c->fd, c->answer + c->n, ANSWER_MAX - 1 - c->n,
			 MSG_DONTWAIT);
	int state = -EPROTO;

	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n > 0) {
		c->n += (size_t)n;
		c->answer[c->n] = '\0';
		state = answer_state(c->answer, c->n);
	}
	if (state < 0) {
		fail(r, c);
	} else if (state) {
		uint64_t took = now_ns() - c->due_ns;

		if (c->due_ns >= r->begin_ns && r->us_n < r->us_max) {
			r->us[r->us_n++] = (uint32_t)(took / 1000);
		}
		r->answers++;
		r->in_flight--;
		r->idle[(r->idle_head + r->idle_n++) % r->n_clients] = i;
	}
}

static void rate_loop(struct rate_run *r)
{
	for (;;) {
		struct epoll_event ev[EVENTS_MAX];
		struct timespec wait = {0};
		uint64_t now = now_ns();
		uint64_t until = r->next_ns < r->end_ns ? r->next_ns
							: r->end_ns + DRAIN_NS;
		int n;

		arrivals(r, now);
		start_due(r);
		if (now >= r->end_ns + DRAIN_NS ||
		    (now >= r->end_ns && !r->due_n && !r->in_flight)) {
			return;
		}
		if (until > now) {
			wait.tv_sec = (time_t)((until - now) / 1000000000ull);
			wait.tv_nsec = (long)((until - now) % 1000000000ull);
		}
		n = epoll_pwait2(r->epoll_fd, ev, EVENTS_MAX, &wait, NULL);
		for (int i = 0; i < n; i++) {
			on_answer(r, ev[i].data.u32);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int connect_all(struct rate_run *r, const struct sockaddr_storage *sa,
		       socklen_t len)
{
	for (uint32_t i = 0; i < r->n_clients; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};

		r->clients[i].fd = open_connection(sa, len);
		if (r->clients[i].fd < 0) {
			return r->clients[i].fd;
		}
		if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->clients[i].fd,
			      &ev) < 0) {
			return -errno;
		}
		r->idle[r->idle_n++] = i;
	}
	return 0;
}

static void print_rate(struct rate_run *r, double seconds)
{
	r->errors += r->in_flight + r->due_n;
	qsort(r->us, r->us_n, sizeof(*r->us), compare);
	printf("%u %u %.1f %llu %llu\n", r->us_n ? r->us[r->us_n / 2] : 0,
	       r->us_n ? r->us[r->us_n * 99 / 100] : 0,
	       (double)r->us_n / seconds, (unsigned long long)r->errors,
	       (unsigned long long)r->answers);
}

static int run_rate(const struct sockaddr_storage *sa, socklen_t len,
		    double rate, double seconds, uint32_t connections)
{
	struct rate_run r = {.n_clients = connections,
			     .per_ns = rate / 1e9,
			     .random = 0x9E3779B97F4A7C15ull,
			     .us_max = (size_t)(rate * seconds * 2) + 1024};
	_cleanup_free_ struct client *clients = calloc(connections,
						       sizeof(*clients));
	_cleanup_free_ uint32_t *idle = calloc(connections, sizeof(*idle));
	_cleanup_free_ uint64_t *due = calloc(DUE_MAX, sizeof(*due));
	_cleanup_free_ uint32_t *us = calloc(r.us_max, sizeof(*us));
	_cleanup_close_ int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int e;

	if (!clients || !idle || !due || !us || epoll_fd < 0) {
		return -ENOMEM;
	}
	/* The default slack of 50 us would be most of a latency. */
	prctl(PR_SET_TIMERSLACK, 1);
	r.clients = clients;
	r.idle = idle;
	r.due = due;
	r.us = us;
	r.epoll_fd = epoll_fd;
	e = connect_all(&r, sa, len);
	if (e < 0) {
		return e;
	}
	r.next_ns = now_ns();
	r.begin_ns = r.next_ns + WARM_UP_NS;
	r.end_ns = r.begin_ns + (uint64_t)(seconds * 1e9);
	rate_loop(&r);
	print_rate(&r, seconds);
	return 0;
}

/* ------------------------------------------------------------------- hold */

static int ask(int fd)
{
	char answer[ANSWER_MAX];
	size_t n = 0;
	int state = 0;

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0) {
		return -errno;
	}
	while (state == 0) {
		ssize_t got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0);

		if (got <= 0) {
			return got < 0 ? -errno : -ECONNRESET;
		}
		n += (size_t)got;
		answer[n] = '\0';
		state = answer_state(answer, n);
	}
	return state < 0 ? state : 0;
}

static int run_hold(const struct sockaddr_storage *sa, socklen_t len,
		    uint32_t connections)
{
	_cleanup_free_ int *fds = calloc(connections, sizeof(*fds));
	char c;

	if (!fds) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < connections; i++) {
		int e;

		fds[i] = open_connection(sa, len);
		e = fds[i] < 0 ? fds[i] : ask(fds[i]);
		if (e < 0) {
			fprintf(stderr, "bench-clients: connection %u\n", i);
			return e;
		}
	}
	printf("held %u\n", connections);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0) {
	}
	for (uint32_t i = 0; i < connections; i++) {
		if (recv(fds[i], &c, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN) {
			return -ECONNRESET;
		}
	}
	return 0; /* the end of the process closes them */
}

int main(int argc, char **argv)
{
	bool is_rate = argc == 6 && strcmp(argv[1], "rate") == 0;
	bool is_hold = argc == 4 && strcmp(argv[1], "hold") == 0;
	uint64_t connections = 0;
	struct sockaddr_storage sa;
	struct rlimit limit;
	struct weir_ip ip;
	__be16 port_be;
	socklen_t len;
	int r;

	if ((!is_rate && !is_hold) ||
	    weir_addr_parse(weir_str_of(argv[2]), &ip, &port_be) < 0 ||
	    weir_str_parse_u64(weir_str_of(argv[argc - 1]), CONNECTIONS_MAX,
			       &connections) < 0 ||
	    connections == 0) {
		fprintf(stderr, "usage: bench-clients rate ADDR:PORT RATE "
				"SECONDS CONNECTIONS\n"
				"       bench-clients hold ADDR:PORT "
				"CONNECTIONS\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	len = weir_addr_to_sockaddr(&ip, port_be, &sa);
	r = is_rate ? run_rate(&sa, len, atof(argv[3]), atof(argv[4]),
			       (uint32_t)connections)
		    : run_hold(&sa, len, (uint32_t)connections);
	if (r < 0) {
		fprintf(stderr, "bench-clients: %s\n", strerror(-r));
		return 1;
	}
	return 0;
}
