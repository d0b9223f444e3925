/* SPDX-License-Identifier: Apache-2.0 */
/* Asking pods whether they serve: which answers are a yes, and what a pod that
 * says anything else, or nothing, costs. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "addr.h"
#include "cleanup.h"
#include "fdutil.h"
#include "pod_probe.h"
#include "tap.h"
#include "turns.h"

#define CONNECT_MS 1000

static struct weir_pod_probes probes;
static struct weir_rev *rev;
static int n_early;

static void on_early(void *arg)
{
	(void)arg;
	n_early++;
}

/* A pod that listens at e->port_be; 0: anywhere, and e says where. */
static int new_pod_at(struct weir_endpoint *e)
{
	struct sockaddr_storage ss = {.ss_family = AF_INET};
	struct sockaddr_in *sa = (struct sockaddr_in *)&ss;
	socklen_t n = sizeof(*sa);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sa->sin_port = e->port_be;
	must(fd >= 0 &&
		     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
				sizeof(one)) == 0 &&
		     bind(fd, (struct sockaddr *)sa, n) == 0 &&
		     listen(fd, 8) == 0 &&
		     getsockname(fd, (struct sockaddr *)sa, &n) == 0 &&
		     weir_addr_from_sockaddr(&ss, &e->addr, &e->port_be) == 0,
	     "a pod");
	return fd;
}

/* A pod that listens, or has done so. */
static int new_pod(struct weir_endpoint *ret)
{
	*ret = (struct weir_endpoint){0};
	return new_pod_at(ret);
}

static void begin(void)
{
	n_early = 0;
	must(weir_loop_new(&loop) == 0, "a loop");
	rev = calloc(1, sizeof(*rev));
	must(rev != NULL, "memory");
	atomic_store(&rev->refs, 1);
	memset(&probes, 0, sizeof(probes));
	weir_pod_probes_init(&probes, loop);
	probes.on_early = on_early;
}

static void end(void)
{
	weir_pod_probes_fini(&probes);
	ok(atomic_load(&rev->refs) == 1, "%u hold the revision",
	   atomic_load(&rev->refs));
	weir_rev_put(&rev);
	weir_loop_free(&loop);
}

static bool is_early(const struct weir_endpoint *e)
{
	return weir_rev_is_early(rev, weir_rev_pod(&e->addr, e->port_be));
}

/* What the pod is asked; its end of the connection. */
static int welcome(int pod)
{
	char text[1024] = "";
	size_t n = 0;
	int fd;

	must(await(pod), "it is asked");
	fd = accept4(pod, NULL, NULL, SOCK_CLOEXEC);
	must(fd >= 0, "accepted");
	while (!strstr(text, "\r\n\r\n")) {
		must(n + 1 < sizeof(text) && await(fd) &&
			     recv(fd, text + n, 1, 0) == 1,
		     "the question");
		n++;
	}
	ok(strncmp(text, "GET /healthz HTTP/1.1\r\n", 23) == 0 &&
		   strstr(text, "\r\nK-Network-Probe: queue\r\n"),
	   "asked: %s", text);
	return fd;
}

static void one_answer_is_a_yes(void)
{
	static const struct {
		const char *text;
		bool is_yes;
	} v[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nqueue", true},
		{"HTTP/1.0 200 OK\r\n\r\nqueue", true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", false},
		{"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nqueue", false},
		{"HTTP/1.1 200 OK\r\nX: queue\r\n\r\n", false},
		{"SSH-2.0-x 200 \r\n\r\nqueue", false},
		{"\r\n\r\nqueue", false},
		{"", false},
	};

	begin();
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		_cleanup_close_ int fd = -1;
		_cleanup_close_ int pod = -1;
		struct weir_endpoint e;

		n_early = 0;
		pod = new_pod(&e);
		weir_pod_probe_begin(&probes, rev, &e, 0, CONNECT_MS);
		weir_pod_probe_begin(&probes, rev, &e, 0, CONNECT_MS);
		ok(probes.n == 1, "asked once, not %u times", probes.n);
		fd = welcome(pod);
		for (const char *p = v[i].text; *p; p++) {
			ok(send(fd, p, 1, MSG_NOSIGNAL) == 1 || !probes.n,
			   "said");
			turn();
		}
		if (!v[i].is_yes) {
			weir_close(&fd);
		}
		for (int k = 0; k < 2500 && probes.n; k++) {
			turn();
		}
		ok(probes.n == 0 && n_early == v[i].is_yes &&
			   is_early(&e) == v[i].is_yes,
		   "%s", v[i].text);
	}
	end();
}

static void endless_answers_end(void)
{
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int pod = -1;
	static char much[2000];
	struct weir_endpoint e;

	begin();
	pod = new_pod(&e);
	weir_pod_probe_begin(&probes, rev, &e, 0, CONNECT_MS);
	fd = welcome(pod);
	memset(much, 'x', sizeof(much));
	ok(send(fd, much, sizeof(much), MSG_NOSIGNAL) > 0, "much");
	for (int k = 0; k < 2500 && probes.n; k++) {
		turn();
	}
	ok(probes.n == 0 && !n_early, "no more is read");
	end();
}

static void silence_and_refusal_end(void)
{
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int pod = -1;
	struct weir_endpoint gone;
	struct weir_endpoint e;

	begin();
	pod = new_pod(&gone);
	weir_close(&pod);
	weir_pod_probe_begin(&probes, rev, &gone, 0, CONNECT_MS);
	for (int k = 0; k < 2500 && probes.n; k++) {
		turn();
	}
	ok(probes.n == 0, "refused");
	pod = new_pod(&e);
	weir_pod_probe_begin(&probes, rev, &e, 0, CONNECT_MS);
	fd = welcome(pod);
	weir_pod_probes_expire(&probes);
	ok(probes.n == 1, "it has time");
	for (int i = 0; i < WEIR_POD_PROBES; i++) {
		probes.keys[i].due_ms = 1; /* as if it were over */
	}
	weir_pod_probes_expire(&probes);
	ok(probes.n == 0 && !n_early, "its time was over");
	end();
}

/* The program's port is free, and then listened at. */
static void its_program_says_it_first(void)
{
	_cleanup_close_ int program = -1;
	_cleanup_close_ int tried = -1;
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int pod = -1;
	struct weir_endpoint at;
	struct weir_endpoint e;

	begin();
	pod = new_pod(&e);
	program = new_pod(&at); /* from the first on: anybody's */
	weir_pod_probe_begin(&probes, rev, &e, at.port_be, CONNECT_MS);
	fd = welcome(pod);
	for (int k = 0; k < 20; k++) {
		weir_pod_probe_begin(&probes, rev, &e, at.port_be, CONNECT_MS);
		turn();
	}
	ok(probes.n == 1 && !n_early, "a port that never refused is no answer");
	tried = accept4(program, NULL, NULL, SOCK_CLOEXEC);
	fcntl(program, F_SETFL, O_NONBLOCK);
	ok(tried >= 0 && accept4(program, NULL, NULL, SOCK_CLOEXEC) < 0,
	   "and it is tried once");
	end();

	begin();
	n_early = 0;
	weir_close(&fd);
	weir_close(&program);
	weir_pod_probe_begin(&probes, rev, &e, at.port_be, CONNECT_MS);
	fd = welcome(pod);
	for (int k = 0; k < TURNS_MAX && !probes.v[0].has_refused; k++) {
		weir_pod_probe_begin(&probes, rev, &e, at.port_be, CONNECT_MS);
		turn();
	}
	weir_pod_probe_begin(&probes, rev, &e, 0, CONNECT_MS);
	ok(probes.n == 1 && !n_early && probes.v[0].program_fd < 0,
	   "nor is one that refuses; without a port none is tried");
	program = new_pod_at(&at);
	for (int k = 0; k < 2500 && probes.n; k++) {
		weir_pod_probe_begin(&probes, rev, &e, at.port_be, CONNECT_MS);
		turn();
	}
	ok(probes.n == 0 && n_early == 1 && is_early(&e),
	   "it refused and accepts: the pod is known before it answers");
	end();
}

/* It takes no connection: what listens at the program's port says nothing. */
static void a_program_alone_is_no_pod(void)
{
	_cleanup_close_ int program = -1;
	_cleanup_close_ int pod = -1;
	struct pollfd asked = {.events = POLLIN};
	struct weir_endpoint gone;
	struct weir_endpoint at;

	begin();
	pod = new_pod(&gone);
	weir_close(&pod);
	program = new_pod(&at);
	asked.fd = program;
	for (int k = 0; k < 20; k++) {
		weir_pod_probe_begin(&probes, rev, &gone, at.port_be,
				     CONNECT_MS);
		turn();
	}
	ok(!n_early && poll(&asked, 1, 0) == 0,
	   "the program is not tried before queue-proxy accepts");
	end();
}

static void a_revision_has_few_at_a_time(void)
{
	int pods[WEIR_REV_EARLY + 2];
	struct weir_endpoint e;

	begin();
	for (int i = 0; i < WEIR_REV_EARLY + 2; i++) {
		pods[i] = new_pod(&e);
		weir_pod_probe_begin(&probes, rev, &e, 0, CONNECT_MS);
	}
	ok(probes.n == WEIR_REV_EARLY, "%u are asked", probes.n);
	end();
	for (int i = 0; i < WEIR_REV_EARLY + 2; i++) {
		weir_close(&pods[i]);
	}
}

TAP_MAIN(TEST(one_answer_is_a_yes), TEST(endless_answers_end),
	 TEST(silence_and_refusal_end), TEST(its_program_says_it_first),
	 TEST(a_program_alone_is_no_pod), TEST(a_revision_has_few_at_a_time))
