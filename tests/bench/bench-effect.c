/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time to effect, seen from outside: how long until an HTTP answer shows it.
 *
 *	bench-effect start ADDR:PORT HOST TIMEOUT_MS -- COMMAND...
 *		runs COMMAND, asks every millisecond, prints the milliseconds
 *		until the first 200; leaves COMMAND running, prints its pid
 *	bench-effect edit ADDR:PORT HOST FILE A B EDITS
 *		EDITS times: renames a copy of A or B (alternately) onto FILE
 *and asks on one keep-alive connection until the answer's body, which names the
 *backend, changes; prints each time in milliseconds
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "buf.h"
#include "cleanup.h"
#include "fdutil.h"
#include "loop.h"

#define BODY_MAX 4096

struct target {
	struct sockaddr_storage sa;
	socklen_t len;
	char request[512];
};

static int open_connection(const struct target *t)
{
	struct timeval limit = {.tv_sec = 2};
	_cleanup_close_ int fd = socket(t->sa.ss_family,
					SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&t->sa, t->len) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

/* One request with Content-Length answer; status, body (NUL-terminated). */
static int ask(int fd, const struct target *t, char body[static BODY_MAX])
{
	char in[BODY_MAX];
	size_t n = 0;
	size_t want = strlen(t->request);
	int status = 0;

	if (send(fd, t->request, want, MSG_NOSIGNAL) != (ssize_t)want) {
		return -EIO;
	}
	for (;;) {
		ssize_t r = recv(fd, in + n, sizeof(in) - 1 - n, 0);
		const char *end;
		const char *length;

		if (r <= 0) {
			return -EIO;
		}
		n += (size_t)r;
		in[n] = '\0';
		end = strstr(in, "\r\n\r\n");
		if (!end) {
			continue;
		}
		length = strcasestr(in, "\r\ncontent-length:");
		if (!length || length > end) {
			return -EPROTO;
		}
		want = strtoul(length + 17, NULL, 10);
		if ((size_t)(in + n - (end + 4)) < want) {
			continue;
		}
		if (sscanf(in, "HTTP/1.1 %d", &status) != 1 ||
		    want >= BODY_MAX) {
			return -EPROTO;
		}
		memcpy(body, end + 4, want);
		body[want] = '\0';
		return status;
	}
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int run_start(const struct target *t, int timeout_ms, char **command)
{
	uint64_t start = weir_now_us();
	pid_t pid = fork();

	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	while (pid > 0 && weir_now_us() - start < (uint64_t)timeout_ms * 1000) {
		char body[BODY_MAX];
		_cleanup_close_ int fd = open_connection(t);

		if (fd >= 0 && ask(fd, t, body) == 200) {
			printf("%.2f %d\n",
			       (double)(weir_now_us() - start) / 1000, pid);
			return 0;
		}
		nap();
	}
	fprintf(stderr, "bench-effect: no answer within %d ms\n", timeout_ms);
	return 1;
}

static int write_file(const char *path, struct weir_str text)
{
	_cleanup_close_ int fd = open(
		path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n) {
		return -errno;
	}
	return 0;
}

/* Renames text onto file and asks until the backend is another one. */
static int edit_once(int fd, const struct target *t, const char *file,
		     struct weir_str text, double *ret_ms)
{
	char before[BODY_MAX];
	char after[BODY_MAX];
	char aside[4096];
	uint64_t start;

	snprintf(aside, sizeof(aside), "%s.new~", file);
	if (ask(fd, t, before) != 200 || write_file(aside, text) < 0) {
		return -EIO;
	}
	start = weir_now_us();
	if (rename(aside, file) < 0) {
		return -errno;
	}
	do {
		if (ask(fd, t, after) != 200) {
			return -EIO;
		}
	} while (strcmp(before, after) == 0 && weir_now_us() - start < 5000000);
	*ret_ms = (double)(weir_now_us() - start) / 1000;
	return strcmp(before, after) == 0 ? -ETIMEDOUT : 0;
}

static int run_edit(const struct target *t, const char *file, const char *a,
		    const char *b, int edits)
{
	_cleanup_close_ int fd = open_connection(t);
	_cleanup_buf_ struct weir_buf text_a = {0};
	_cleanup_buf_ struct weir_buf text_b = {0};

	if (fd < 0 || weir_read_file_at(AT_FDCWD, a, 1 << 20, &text_a) < 0 ||
	    weir_read_file_at(AT_FDCWD, b, 1 << 20, &text_b) < 0) {
		fprintf(stderr, "bench-effect: cannot begin\n");
		return 1;
	}
	for (int i = 0; i < edits; i++) {
		const struct weir_buf *text = i % 2 ? &text_a : &text_b;
		double ms;
		int r = edit_once(fd, t, file, weir_buf_str(text), &ms);

		if (r < 0) {
			fprintf(stderr, "bench-effect: edit %d: %s\n", i,
				strerror(-r));
			return 1;
		}
		printf("%.2f\n", ms);
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct target t = {0};
	struct weir_ip ip;
	__be16 port_be;

	if (argc < 6 ||
	    weir_addr_parse(weir_str_of(argv[2]), &ip, &port_be) < 0) {
		fprintf(stderr,
			"usage: bench-effect start ADDR:PORT HOST MS -- "
			"COMMAND...\n"
			"       bench-effect edit ADDR:PORT HOST FILE A B "
			"EDITS\n");
		return 2;
	}
	t.len = weir_addr_to_sockaddr(&ip, port_be, &t.sa);
	snprintf(t.request, sizeof(t.request),
		 "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3]);
	if (strcmp(argv[1], "start") == 0 && argc > 6) {
		return run_start(&t, atoi(argv[4]), argv + 6);
	}
	if (strcmp(argv[1], "edit") == 0 && argc == 8) {
		return run_edit(&t, argv[4], argv[5], argv[6], atoi(argv[7]));
	}
	return 2;
}
