/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays scripted clients and backends around a running proxy: what the client
 * sends, what must reach the backend, what the backend answers, what must come
 * back.  Every case runs three times: as written, with every byte of the
 * client sent alone, with every byte of the backend sent alone.
 *
 *	weir-proxy-cases CLIENT-ADDR:PORT BACKEND-ADDR:PORT FILE...
 *	weir-proxy-cases --sends FILE...
 *
 * --sends plays nothing: for each case it writes what the client sends, as a
 * u32 of its size and its bytes.
 *
 * A file:
 *	case NAME			begins a case
 *	send / backend / answer / expect	followed by lines behind a tab
 *	client-close / client-reset / backend-close / backend-reset
 *	closed / reset			the client must see the end / a reset
 *	reset-at-backend		the backend must
 *	any-backend			of a request never all has come there
 *	at ADDR:PORT			another address for this case's client
 * Lines end in CRLF, or with a final "\" in nothing.  Escapes: \r \n \t \0 \\
 * \* \xHH, \[COUNT CHAR].  In what is compared, "*" stands for the rest of the
 * line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
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

#define WILD 0x100 /* in a pattern: anything up to CR */
#define DEADLINE_MS 4000
#define TEXT_MAX 400000
#define MAX_STEPS 64
#define MAX_CASES 1000

enum step_kind {
	STEP_SEND,
	STEP_BACKEND,
	STEP_ANSWER,
	STEP_EXPECT,
	STEP_CLIENT_CLOSE,
	STEP_CLIENT_RESET,
	STEP_BACKEND_CLOSE,
	STEP_BACKEND_RESET,
	STEP_CLOSED,
	STEP_RESET,
	STEP_RESET_AT_BACKEND,
	STEP_AT,
	STEP_ANY_BACKEND,
	_STEP_MAX
};

static const char *const step_names[_STEP_MAX] = {
	"send",         "backend",      "answer",           "expect",
	"client-close", "client-reset", "backend-close",    "backend-reset",
	"closed",       "reset",        "reset-at-backend", "at",
	"any-backend",
};

struct step {
	enum step_kind kind;
	int line;
	uint16_t *v; /* bytes and WILD */
	size_t n;
	size_t cap;
	struct sockaddr_storage at;
};

struct script {
	const char *file;
	char name[128];
	struct step steps[MAX_STEPS];
	size_t n;
};

enum mode { MODE_WHOLE, MODE_CLIENT_BYTES, MODE_BACKEND_BYTES, _MODE_MAX };

struct peer {
	int fd;
	char got[TEXT_MAX];
	size_t n;
	bool is_eof;
	bool is_reset;
};

struct play {
	struct peer client;
	struct peer backend;
	int listen_fd;
	enum mode mode;
	struct sockaddr_storage target;
	char why[4096];
};

static struct script cases[MAX_CASES];
static size_t n_cases;

static void die(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	exit(2);
}

static void put(struct step *s, uint16_t v)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 256;
		s->v = reallocarray(s->v, s->cap, sizeof(*s->v));
		if (!s->v) {
			exit(2);
		}
	}
	s->v[s->n++] = v;
}

/* One escape at p (behind the backslash); returns what follows it. */
static const char *put_escape(struct step *s, const char *p, const char *file,
			      int line)
{
	char *end;
	unsigned long count;

	switch (*p) {
	case 'r':
		put(s, '\r');
		return p + 1;
	case 'n':
		put(s, '\n');
		return p + 1;
	case 't':
		put(s, '\t');
		return p + 1;
	case '0':
		put(s, 0);
		return p + 1;
	case 'x': {
		char hex[3] = {p[1], p[1] ? p[2] : 0, 0};

		put(s, (uint16_t)strtoul(hex, NULL, 16));
		return p + 3;
	}
	case '[':
		count = strtoul(p + 1, &end, 10);
		if (*end != ' ' || !end[1] || end[2] != ']') {
			die(file, line, "expected \\[COUNT CHAR]");
		}
		while (count--) {
			put(s, (uint8_t)end[1]);
		}
		return end + 3;
	default:
		put(s, (uint8_t)*p);
		return p + 1;
	}
}

static void put_line(struct step *s, const char *p, const char *file, int line)
{
	bool is_compared = s->kind == STEP_BACKEND || s->kind == STEP_EXPECT;

	while (*p) {
		if (*p == '\\' && !p[1]) {
			return;
		}
		if (*p == '\\') {
			p = put_escape(s, p + 1, file, line);
		} else if (*p == '*' && is_compared) {
			put(s, WILD);
			p++;
		} else {
			put(s, (uint8_t)*p++);
		}
	}
	put(s, '\r');
	put(s, '\n');
}

static void parse_address(const char *text, struct sockaddr_storage *ret_sa)
{
	struct weir_ip ip;
	__be16 port_be;

	if (weir_addr_parse(weir_str_of(text), &ip, &port_be) < 0) {
		die(text, 0, "not an address with a port");
	}
	weir_addr_to_sockaddr(&ip, port_be, ret_sa);
}

static struct step *add_step(struct script *script, const char *text, int line)
{
	struct step *s;

	if (!script || script->n == MAX_STEPS) {
		return NULL;
	}
	s = &script->steps[script->n];
	s->line = line;
	for (int k = 0; k < _STEP_MAX; k++) {
		size_t n = strlen(step_names[k]);

		if (strncmp(text, step_names[k], n) != 0 ||
		    (text[n] && text[n] != ' ')) {
			continue;
		}
		s->kind = (enum step_kind)k;
		if (k == STEP_AT) {
			parse_address(text + n + 1, &s->at);
		}
		script->n++;
		return s;
	}
	return NULL;
}

static void load(const char *file)
{
	FILE *f = fopen(file, "re");
	struct script *script = NULL;
	struct step *step = NULL;
	char text[4096];
	int line = 0;

	if (!f) {
		die(file, 0, strerror(errno));
	}
	while (fgets(text, sizeof(text), f)) {
		line++;
		text[strcspn(text, "\n")] = 0;
		if (text[0] == '\t') {
			if (!step) {
				die(file, line, "text outside a step");
			}
			put_line(step, text + 1, file, line);
			continue;
		}
		step = NULL;
		if (text[0] == '#' || !text[0]) {
			continue;
		}
		if (strncmp(text, "case ", 5) == 0) {
			if (n_cases == MAX_CASES) {
				die(file, line, "too many cases");
			}
			script = &cases[n_cases++];
			script->file = file;
			snprintf(script->name, sizeof(script->name), "%.127s",
				 text + 5);
			continue;
		}
		step = add_step(script, text, line);
		if (!step) {
			die(file, line, "unknown step");
		}
	}
	fclose(f);
}

static void describe(char *out, size_t size, const char *p, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at + 8 < size; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '\r') {
			at += (size_t)snprintf(out + at, size - at, "\\r");
		} else if (c == '\n') {
			at += (size_t)snprintf(out + at, size - at, "\\n");
		} else if (c < 0x20 || c >= 0x7f) {
			at += (size_t)snprintf(out + at, size - at, "\\x%02x",
					       c);
		} else {
			out[at++] = (char)c;
		}
	}
	out[at] = 0;
}

static int wait_readable(int fd, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = weir_now_ms();

	return now < deadline && poll(&p, 1, (int)(deadline - now)) > 0
		       ? 0
		       : -ETIMEDOUT;
}

static int receive(struct peer *peer, uint64_t deadline)
{
	ssize_t n;

	if (peer->is_eof || peer->is_reset) {
		return -EPIPE;
	}
	if (wait_readable(peer->fd, deadline) < 0) {
		return -ETIMEDOUT;
	}
	n = recv(peer->fd, peer->got + peer->n, sizeof(peer->got) - peer->n, 0);
	if (n == 0) {
		peer->is_eof = true;
		return -EPIPE;
	}
	if (n < 0) {
		peer->is_reset = true;
		return -ECONNRESET;
	}
	peer->n += (size_t)n;
	return 0;
}

/* 1: the pattern is all there (*ret_used bytes), 0: so far, -1: differs. */
static int match(const struct step *s, const char *p, size_t n,
		 size_t *ret_used)
{
	size_t at = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i] == WILD) {
			while (at < n && p[at] != '\r') {
				at++;
			}
			continue;
		}
		if (at == n) {
			return 0;
		}
		if ((uint8_t)p[at] != s->v[i]) {
			return -1;
		}
		at++;
	}
	*ret_used = at;
	return 1;
}

static int fail(struct play *p, const struct step *s, const char *what,
		const struct peer *peer)
{
	char got[3000] = "";

	if (peer) {
		describe(got, sizeof(got), peer->got, peer->n);
	}
	snprintf(p->why, sizeof(p->why), "line %d: %s%s%s%s", s->line, what,
		 peer ? ": got '" : "", got, peer ? "'" : "");
	return -1;
}

static int compare(struct play *p, const struct step *s, struct peer *peer)
{
	uint64_t deadline = weir_now_ms() + DEADLINE_MS;
	size_t used;

	for (;;) {
		int m = match(s, peer->got, peer->n, &used);
		int r;

		if (m > 0) {
			memmove(peer->got, peer->got + used, peer->n - used);
			peer->n -= used;
			return 0;
		}
		if (m < 0) {
			return fail(p, s, "differs", peer);
		}
		r = receive(peer, deadline);
		if (r < 0) {
			return fail(p, s,
				    r == -ETIMEDOUT ? "not all of it came"
						    : "ended before all came",
				    peer);
		}
	}
}

static void send_all(int fd, const struct step *s, bool is_bytewise)
{
	char *bytes = malloc(s->n + 1);
	size_t at = 0;

	for (size_t i = 0; bytes && i < s->n; i++) {
		bytes[i] = (char)s->v[i];
	}
	while (bytes && at < s->n) {
		/* Very long texts only need their first bytes apart. */
		size_t n = is_bytewise && at < 2000 ? 1 : s->n - at;
		ssize_t r = send(fd, bytes + at, n, MSG_NOSIGNAL);

		if (r <= 0) {
			break; /* the peer may have answered and gone */
		}
		at += (size_t)r;
		if (is_bytewise && at < 2000) {
			const struct timespec gap = {.tv_nsec = 20000};

			nanosleep(&gap, NULL);
		}
	}
	weir_free_ptr(&bytes);
}

static void close_peer(struct peer *peer)
{
	weir_close(&peer->fd);
	peer->n = 0;
	peer->is_eof = false;
	peer->is_reset = false;
}

static int open_client(struct play *p)
{
	int one = 1;

	p->client.fd = socket(p->target.ss_family, SOCK_STREAM | SOCK_CLOEXEC,
			      0);
	if (p->client.fd < 0 ||
	    connect(p->client.fd, (struct sockaddr *)&p->target,
		    sizeof(p->target)) < 0) {
		return -errno;
	}
	(void)setsockopt(p->client.fd, IPPROTO_TCP, TCP_NODELAY, &one,
			 sizeof(one));
	return 0;
}

/* The backend's connection: the one at hand unless it has ended. */
static int need_backend(struct play *p)
{
	uint64_t deadline = weir_now_ms() + DEADLINE_MS;
	struct peer *b = &p->backend;
	int one = 1;

	if (b->fd >= 0 && b->n == 0) {
		struct pollfd fds[2] = {{.fd = b->fd, .events = POLLIN},
					{.fd = p->listen_fd, .events = POLLIN}};

		(void)poll(fds, 2, DEADLINE_MS);
		if (fds[0].revents) {
			(void)receive(b, deadline);
		}
		if (b->is_eof || b->is_reset || !fds[0].revents) {
			close_peer(b);
		}
	}
	if (b->fd >= 0) {
		return 0;
	}
	if (wait_readable(p->listen_fd, deadline) < 0) {
		return -ETIMEDOUT;
	}
	b->fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	(void)setsockopt(b->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return b->fd < 0 ? -errno : 0;
}

static int see_end(struct play *p, const struct step *s)
{
	uint64_t deadline = weir_now_ms() + DEADLINE_MS;

	while (receive(&p->client, deadline) == 0) {
	}
	if (p->client.n) {
		return fail(p, s, "more came", &p->client);
	}
	if (s->kind == STEP_RESET ? !p->client.is_reset : !p->client.is_eof) {
		return fail(p, s,
			    p->client.is_reset ? "a reset"
			    : p->client.is_eof ? "an end"
					       : "no end",
			    NULL);
	}
	return 0;
}

static int see_reset_at_backend(struct play *p, const struct step *s)
{
	uint64_t deadline = weir_now_ms() + DEADLINE_MS;
	struct peer *b = &p->backend;

	while (receive(b, deadline) == 0) {
	}
	if (b->n) {
		return fail(p, s, "more came", b);
	}
	return b->is_reset ? 0
			   : fail(p, s, b->is_eof ? "an end" : "no end", NULL);
}

static void reset_peer(struct peer *peer)
{
	struct linger l = {.l_onoff = 1};

	(void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close_peer(peer);
}

/* Whatever reached the backend must not be a request that it could serve. */
static int see_beginning(struct play *p, const struct step *s)
{
	static const char last_chunk[] = "\r\n0\r\n\r\n";
	struct peer *b = &p->backend;

	if (b->fd < 0) {
		b->fd = accept4(p->listen_fd, NULL, NULL,
				SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	while (b->fd >= 0 && receive(b, weir_now_ms() + DEADLINE_MS) == 0) {
	}
	if (b->fd >= 0 && !b->is_eof && !b->is_reset) {
		return fail(p, s, "the backend's connection stays open", b);
	}
	if (memmem(b->got, b->n, last_chunk, sizeof(last_chunk) - 1)) {
		return fail(p, s, "the backend got a whole request", b);
	}
	b->n = 0;
	return 0;
}

static int run_step(struct play *p, const struct step *s)
{
	switch (s->kind) {
	case STEP_AT:
		p->target = s->at;
		return 0;
	case STEP_SEND:
		if (p->client.fd < 0 && open_client(p) < 0) {
			return fail(p, s, "cannot connect", NULL);
		}
		send_all(p->client.fd, s, p->mode == MODE_CLIENT_BYTES);
		return 0;
	case STEP_BACKEND:
		if (need_backend(p) < 0) {
			return fail(p, s, "no connection to the backend", NULL);
		}
		return compare(p, s, &p->backend);
	case STEP_ANSWER:
		if (p->backend.fd < 0 && need_backend(p) < 0) {
			return fail(p, s, "no connection to the backend", NULL);
		}
		send_all(p->backend.fd, s, p->mode == MODE_BACKEND_BYTES);
		return 0;
	case STEP_EXPECT:
		return compare(p, s, &p->client);
	case STEP_CLIENT_CLOSE:
		(void)shutdown(p->client.fd, SHUT_WR);
		return 0;
	case STEP_BACKEND_CLOSE:
		close_peer(&p->backend);
		return 0;
	case STEP_BACKEND_RESET:
		reset_peer(&p->backend);
		return 0;
	case STEP_CLIENT_RESET:
		reset_peer(&p->client);
		return 0;
	case STEP_RESET_AT_BACKEND:
		return see_reset_at_backend(p, s);
	case STEP_ANY_BACKEND:
		return see_beginning(p, s);
	default:
		return see_end(p, s);
	}
}

/* Nothing may be left over on either side. */
static int check_rest(struct play *p, const struct step *s)
{
	struct peer *b = &p->backend;

	if (p->client.n) {
		return fail(p, s, "the client got more", &p->client);
	}
	if (b->fd < 0) {
		b->fd = accept4(p->listen_fd, NULL, NULL,
				SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	if (b->fd >= 0 && !b->is_eof && !b->is_reset) {
		(void)receive(b, weir_now_ms() + 1);
	}
	if (b->n) {
		return fail(p, s, "the backend got more", b);
	}
	return 0;
}

static int play(struct play *p, const struct script *script)
{
	int r = 0;

	for (size_t i = 0; i < script->n && r == 0; i++) {
		r = run_step(p, &script->steps[i]);
	}
	if (r == 0 && script->n) {
		r = check_rest(p, &script->steps[script->n - 1]);
	}
	close_peer(&p->client);
	close_peer(&p->backend);
	/* Connections that the proxy still holds to us must end too. */
	for (;;) {
		int fd = accept4(p->listen_fd, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			return r;
		}
		weir_close(&fd);
	}
}

static int open_backend(const char *text)
{
	struct sockaddr_storage sa;
	int one = 1;
	int fd;

	parse_address(text, &sa);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 64) < 0) {
		die(text, 0, strerror(errno));
	}
	return fd;
}

static int print_sends(void)
{
	for (size_t i = 0; i < n_cases; i++) {
		const struct script *script = &cases[i];
		uint32_t size = 0;

		for (size_t k = 0; k < script->n; k++) {
			size += script->steps[k].kind == STEP_SEND
					? (uint32_t)script->steps[k].n
					: 0;
		}
		fwrite(&size, sizeof(size), 1, stdout);
		for (size_t k = 0; k < script->n; k++) {
			const struct step *s = &script->steps[k];

			for (size_t b = 0; s->kind == STEP_SEND && b < s->n;
			     b++) {
				putchar(s->v[b]);
			}
		}
	}
	return fflush(stdout) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const char *const modes[_MODE_MAX] = {
		"as written", "client byte by byte", "backend byte by byte"};
	static struct play p = {.client.fd = -1, .backend.fd = -1};
	struct sockaddr_storage target;
	int failed = 0;

	if (argc >= 3 && strcmp(argv[1], "--sends") == 0) {
		for (int i = 2; i < argc; i++) {
			load(argv[i]);
		}
		return print_sends();
	}
	if (argc < 4) {
		fprintf(stderr,
			"usage: weir-proxy-cases CLIENT BACKEND FILE...\n");
		return 2;
	}
	parse_address(argv[1], &target);
	p.listen_fd = open_backend(argv[2]);
	for (int i = 3; i < argc; i++) {
		load(argv[i]);
	}
	printf("1..%zu\n", n_cases);
	for (size_t i = 0; i < n_cases; i++) {
		const struct script *s = &cases[i];
		const char *base = strrchr(s->file, '/');
		int r = 0;

		for (int m = 0; m < _MODE_MAX && r == 0; m++) {
			p.mode = (enum mode)m;
			p.target = target;
			r = play(&p, s);
			if (r < 0) {
				printf("# %s, %s: %s\n", s->name, modes[m],
				       p.why);
			}
		}
		printf("%sok %zu - %s: %s\n", r < 0 ? "not " : "", i + 1,
		       base ? base + 1 : s->file, s->name);
		fflush(stdout);
		failed += r < 0;
	}
	return failed ? 1 : 0;
}
