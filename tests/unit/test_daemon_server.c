/* SPDX-License-Identifier: Apache-2.0 */
/* agent/daemon/server: short requests, bounded, over real sockets. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdutil.h"
#include "listen.h"
#include "server.h"
#include "tap.h"

static char path[64];
static struct weir_loop *loop;
static struct weir_server *server;
static struct weir_io stop_io;
static pthread_t thread;
static int stop_fd;
static int answers;

/* "big N" N bytes; "fds" two descriptors; "none" nothing; else an echo. */
static void answer(void *arg, struct weir_str request, struct weir_reply *reply)
{
	uint64_t n;

	(void)arg;
	answers++;
	if (weir_str_starts(request, WEIR_STR("big ")) &&
	    weir_str_parse_u64(weir_str_skip(request, 4), 1 << 24, &n) == 0) {
		for (uint64_t i = 0; i < n; i++) {
			weir_buf_add(&reply->body, "x", 1);
		}
		return;
	}
	if (weir_str_is(request, "fds")) {
		reply->fds[0] = 0;
		reply->fds[1] = 1;
		reply->n_fds = 2;
	}
	if (!weir_str_is(request, "none")) {
		weir_buf_add_str(&reply->body, request);
	}
}

static void on_stop(struct weir_io *io, uint32_t events)
{
	(void)io;
	(void)events;
	weir_loop_stop(loop, 0);
}

static void *serve(void *arg)
{
	(void)arg;
	weir_loop_run(loop);
	return NULL;
}

static void begin(void)
{
	int fd = -1;

	snprintf(path, sizeof(path), "/tmp/weir-server-%d", getpid());
	must(weir_loop_new(&loop) == 0, "loop");
	must(weir_listen_unix(path, &fd) == 0, "listen");
	must(weir_server_new(loop, fd, "\n", answer, NULL, &server) == 0,
	     "server");
	stop_fd = eventfd(0, EFD_CLOEXEC);
	stop_io = (struct weir_io){.fd = stop_fd, .fn = on_stop};
	must(weir_loop_add(loop, &stop_io, EPOLLIN) == 0, "stop");
	must(pthread_create(&thread, NULL, serve, NULL) == 0, "thread");
}

static void end(void)
{
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	weir_server_free(&server);
	weir_loop_free(&loop);
	weir_close(&stop_fd);
	unlink(path);
}

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = {.tv_sec = 5};

	memcpy(sa.sun_path, path, strlen(path) + 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		weir_close(&fd);
	}
	return fd;
}

/* Everything up to the end; -errno. */
static ssize_t read_all(int fd, char *out, size_t n)
{
	size_t got = 0;
	ssize_t r;

	while ((r = recv(fd, out + got, n - got, 0)) > 0) {
		got += (size_t)r;
	}
	return r < 0 ? -errno : (ssize_t)got;
}

static void a_request_in_pieces_is_answered(void)
{
	char out[64] = "";

	begin();
	_cleanup_close_ int fd = dial();

	ok(send(fd, "he", 2, 0) == 2, "first piece");
	usleep(20000);
	ok(send(fd, "llo\nmore", 8, 0) == 8, "second piece");
	ok(read_all(fd, out, sizeof(out) - 1) == 5, "%s", out);
	ok(strcmp(out, "hello") == 0, "%s", out);
	end();
}

static void an_answer_larger_than_the_socket_buffer_is_complete(void)
{
	const size_t n = 5000000;
	_cleanup_free_ char *out = malloc(n + 1);

	begin();
	_cleanup_close_ int fd = dial();

	ok(send(fd, "big 5000000\n", 12, 0) == 12, "request");
	usleep(50000); /* the server has to wait for us */
	ok(read_all(fd, out, n + 1) == (ssize_t)n, "complete");
	end();
}

static void descriptors_come_with_the_first_byte(void)
{
	int fds[WEIR_FDS_MAX];
	size_t n_fds = 0;
	char out[8];

	begin();
	_cleanup_close_ int fd = dial();

	ok(send(fd, "fds\n", 4, 0) == 4, "request");
	ok(weir_recv_fds(fd, out, 1, fds, &n_fds) == 1, "first byte");
	must(n_fds == 2, "%zu", n_fds);
	ok(out[0] == 'f', "%c", out[0]);
	weir_close(&fds[0]);
	weir_close(&fds[1]);
	ok(read_all(fd, out, sizeof(out)) == 2, "the rest");
	end();
}

static void a_request_without_end_is_cut_off(void)
{
	char out[8];
	char line[WEIR_SERVER_REQUEST_MAX];

	memset(line, 'a', sizeof(line));
	begin();
	_cleanup_close_ int fd = dial();

	answers = 0;
	ok(send(fd, line, sizeof(line), MSG_NOSIGNAL) == sizeof(line), "long");
	ok(read_all(fd, out, sizeof(out)) <= 0, "closed");
	ok(answers == 0, "not answered");
	end();
}

static void an_empty_answer_closes(void)
{
	char out[8];

	begin();
	_cleanup_close_ int fd = dial();

	ok(send(fd, "none\n", 5, 0) == 5, "request");
	ok(read_all(fd, out, sizeof(out)) == 0, "closed");
	end();
}

/* More than there are places: the surplus waits and is answered in the end. */
static void idle_clients_do_not_lock_others_out_for_good(void)
{
	int fds[WEIR_SERVER_CONNECTIONS + 1];
	char out[8] = "";

	begin();
	for (int i = 0; i <= WEIR_SERVER_CONNECTIONS; i++) {
		fds[i] = dial();
		must(fds[i] >= 0, "connect %d", i);
	}
	ok(send(fds[WEIR_SERVER_CONNECTIONS], "last\n", 5, 0) == 5, "request");
	usleep(50000);
	ok(recv(fds[WEIR_SERVER_CONNECTIONS], out, sizeof(out), MSG_DONTWAIT) <
		   0,
	   "has to wait");
	weir_close(&fds[3]);
	ok(read_all(fds[WEIR_SERVER_CONNECTIONS], out, sizeof(out) - 1) == 4,
	   "%s", out);
	for (int i = 0; i <= WEIR_SERVER_CONNECTIONS; i++) {
		weir_close(&fds[i]);
	}
	end();
}

static void the_socket_is_for_its_owner_only(void)
{
	struct stat st;

	begin();
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "%o",
	   st.st_mode & 0777);
	end();
}

TAP_MAIN(TEST(a_request_in_pieces_is_answered),
	 TEST(an_answer_larger_than_the_socket_buffer_is_complete),
	 TEST(descriptors_come_with_the_first_byte),
	 TEST(a_request_without_end_is_cut_off), TEST(an_empty_answer_closes),
	 TEST(idle_clients_do_not_lock_others_out_for_good),
	 TEST(the_socket_is_for_its_owner_only))
