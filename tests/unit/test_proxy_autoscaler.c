/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to Knative's autoscaler, with a server that says anything:
 * what opens it, what ends it, and that it comes back. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "autoscaler.h"
#include "cleanup.h"
#include "fdutil.h"
#include "tap.h"
#include "turns.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static struct weir_autoscaler a;
static int n_changes;
static int server = -1; /* it listens */
static int peer = -1;   /* its end of the connection */
static struct weir_endpoint endpoint;
static char key[64]; /* that the last handshake had */

static void on_change(void *arg)
{
	(void)arg;
	n_changes++;
}

static bool await_open(bool is_open)
{
	for (int i = 0; i < 2500 && a.is_open != is_open; i++) {
		turn();
	}
	return a.is_open == is_open;
}

static int listen_on(struct weir_endpoint *ret)
{
	struct sockaddr_storage ss = {.ss_family = AF_INET};
	struct sockaddr_in *sa = (struct sockaddr_in *)&ss;
	socklen_t n = sizeof(*sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*ret = (struct weir_endpoint){0};
	must(fd >= 0 && bind(fd, (struct sockaddr *)sa, n) == 0 &&
		     listen(fd, 8) == 0 &&
		     getsockname(fd, (struct sockaddr *)sa, &n) == 0 &&
		     weir_addr_from_sockaddr(&ss, &ret->addr, &ret->port_be) ==
			     0,
	     "a server");
	return fd;
}

static void begin(void)
{
	n_changes = 0;
	must(weir_loop_new(&loop) == 0, "a loop");
	server = listen_on(&endpoint);
	weir_autoscaler_init(&a, loop);
	a.on_change = on_change;
	must(weir_autoscaler_follow(&a, &endpoint, 1) == 0, "followed");
}

static void end(void)
{
	weir_autoscaler_fini(&a);
	weir_close(&peer);
	weir_close(&server);
	weir_loop_free(&loop);
	memset(&a, 0, sizeof(a));
}

static void hear(char *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = await(peer) ? recv(peer, p + at, n - at, 0) : -1;

		must(k > 0, "%zu of %zu bytes", at, n);
		at += (size_t)k;
	}
}

/* Takes the next connection and reads its handshake. */
static void welcome(void)
{
	char text[1024] = "";
	size_t n = 0;
	const char *p;

	weir_close(&peer);
	must(await(server), "it connects");
	peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	must(peer >= 0, "accepted");
	while (!strstr(text, "\r\n\r\n") && n + 1 < sizeof(text)) {
		hear(text + n++, 1);
	}
	p = strstr(text, "Sec-WebSocket-Key: ");
	must(p && sscanf(p, "Sec-WebSocket-Key: %63s", key) == 1, "a key");
	ok(strstr(text, "Upgrade: websocket\r\n") &&
		   strstr(text, "Sec-WebSocket-Version: 13\r\n"),
	   "a handshake: %s", text);
}

static void say(const void *p, size_t n)
{
	ok(send(peer, p, n, MSG_NOSIGNAL) == (ssize_t)n, "said");
}

static void say_text(const char *text)
{
	say(text, strlen(text));
}

/* The answer of RFC 6455 4.2.2. */
static void accept_it(void)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[256];
	unsigned int size;
	int n = snprintf(text, sizeof(text), "%s" GUID, key);
	char proof[64];

	must(EVP_Digest(text, (size_t)n, digest, &size, EVP_sha1(), NULL) == 1,
	     "SHA-1");
	EVP_EncodeBlock((unsigned char *)proof, digest, (int)size);
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
		     "SEC-websocket-ACCEPT: %s\r\nX: y\r\n\r\n",
		     proof);
	say(text, (size_t)n);
}

static void open_it(void)
{
	welcome();
	accept_it();
	must(await_open(true), "it is open");
}

/* A frame of the client, which is masked; its payload goes to *out. */
static unsigned int hear_frame(struct weir_buf *out)
{
	unsigned char head[14];
	size_t n_len = 0;
	uint64_t n;

	hear((char *)head, 2);
	must(head[0] & 0x80 && head[1] & 0x80, "whole and masked");
	n = head[1] & 0x7F;
	if (n >= 126) {
		n_len = n == 126 ? 2 : 8;
		hear((char *)head + 2, n_len);
		n = 0;
		for (size_t i = 0; i < n_len; i++) {
			n = n << 8 | head[2 + i];
		}
	}
	must(n < 1 << 20, "of %llu bytes", (unsigned long long)n);
	hear((char *)head + 2 + n_len, 4);
	out->n = 0;
	must(weir_buf_reserve(out, n + 1) == 0, "memory");
	hear(out->p, n);
	out->n = n;
	for (size_t i = 0; i < n; i++) {
		out->p[i] ^= (char)head[2 + n_len + i % 4];
	}
	return head[0] & 15u;
}

static bool is_gone(void)
{
	char c;

	return await(peer) && recv(peer, &c, 1, 0) <= 0;
}

static void messages_of_any_size_arrive(void)
{
	static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 200000};
	_cleanup_buf_ struct weir_buf got = {0};
	_cleanup_buf_ struct weir_buf sent = {0};

	begin();
	ok(weir_autoscaler_send(&a, WEIR_STR("x")) == -ENOTCONN,
	   "nothing is sent before it is open");
	open_it();
	ok(n_changes == 1, "told once");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sent.n = 0;
		for (size_t k = 0; k < sizes[i]; k++) {
			weir_buf_add(&sent, &"0123456"[k % 7], 1);
		}
		ok(weir_autoscaler_send(&a, weir_buf_str(&sent)) == 0, "sent");
		ok(hear_frame(&got) == 2 && got.n == sent.n &&
			   (!got.n || memcmp(got.p, sent.p, got.n) == 0),
		   "%zu bytes", sizes[i]);
	}
	end();
}

static void what_it_says_is_passed_over(void)
{
	_cleanup_buf_ struct weir_buf got = {0};
	static char much[100000];
	static const char slow[] = {'\x82', 126, 0, 1, 'x', '\x89', 1, '?'};

	begin();
	open_it();
	say("\x81\x02hi", 4);
	say("\x82\x7E\x00\xC8", 4);
	say(much, 200);
	say("\x82\x7F\0\0\0\0\0\x01\x86\xA0", 10);
	say(much, sizeof(much));
	say("\x8A\x03yes", 5); /* a pong that nobody asked for */
	say("\x89\x04ping", 6);
	ok(hear_frame(&got) == 10 && weir_str_is(weir_buf_str(&got), "ping"),
	   "and a ping is answered");
	for (size_t i = 0; i < sizeof(slow); i++) {
		say(&slow[i], 1);
		turn();
	}
	ok(hear_frame(&got) == 10 && weir_str_is(weir_buf_str(&got), "?"),
	   "byte by byte, too");
	ok(a.is_open && n_changes == 1, "still open");
	end();
}

static void frames_that_end_it(void)
{
	static const struct {
		const char *text;
		size_t n;
		const char *what;
	} v[] = {{"\x88\x00", 2, "close"},
		 {"\x82\x81....x", 7, "a masked one"},
		 {"\x89\x7E\x00\x80", 4, "a ping that is too long"}};

	begin();
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		open_it();
		n_changes = 0;
		say(v[i].text, v[i].n);
		ok(is_gone() && !a.is_open && n_changes == 1, "%s", v[i].what);
	}
	open_it();
	weir_close(&peer);
	ok(await_open(false), "the end of the connection");
	open_it();
	ok(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
		      sizeof(struct linger)) == 0,
	   "linger");
	weir_close(&peer);
	ok(await_open(false), "a reset");
	end();
}

static void answers_that_do_not_open_it(void)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n",
		("HTTP/1.1 101 Go\r\n"
		 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
		"\r\n\r\n"};

	begin();
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		welcome();
		say_text(answers[i]);
		ok(is_gone() && !a.is_open, "answer %zu", i);
	}
	welcome();
	say_text("HTTP/1.1 101 Go\r\n");
	for (int i = 0; i < 100; i++) {
		(void)send(peer, "X: 0123456789abcdef\r\n", 21, MSG_NOSIGNAL);
		turn();
	}
	ok(is_gone() && !a.is_open, "one without an end");
	ok(n_changes == 0, "nobody was told anything");
	open_it();
	end();
}

static void silence_ends_it(void)
{
	_cleanup_buf_ struct weir_buf got = {0};

	begin();
	welcome();
	a.timer.fn(&a.timer); /* as if its time were over */
	ok(is_gone(), "no answer to the handshake");
	open_it();
	a.timer.fn(&a.timer);
	ok(hear_frame(&got) == 9, "it is asked for a sign of life");
	say("\x8A\x04weir", 6);
	for (int i = 0; i < 2500 && a.is_asked; i++) {
		turn();
	}
	a.timer.fn(&a.timer);
	ok(a.is_open && hear_frame(&got) == 9, "a sign: asked again");
	a.timer.fn(&a.timer);
	ok(!a.is_open && is_gone(), "none: it is gone");
	end();
}

static void one_that_does_not_read_costs_little(void)
{
	_cleanup_buf_ struct weir_buf sent = {0};
	size_t n = 0;
	int r = 0;

	begin();
	open_it();
	for (int i = 0; i < 100000; i++) {
		weir_buf_addz(&sent, "x");
	}
	while (r == 0 && n < 1000) {
		r = weir_autoscaler_send(&a, weir_buf_str(&sent));
		n++;
		ok(a.out.cap < 4u << 20, "%zu bytes wait", a.out.cap);
	}
	ok(r == -ENOTCONN && !a.is_open, "given up after %zu", n);
	end();
}

static void it_goes_where_it_is_told(void)
{
	_cleanup_close_ int other = -1;
	struct weir_endpoint both[2];
	int old;

	begin();
	open_it();
	other = listen_on(&both[0]);
	both[1] = endpoint;
	ok(weir_autoscaler_follow(&a, both, 2) == 0 && a.is_open,
	   "it stays with one that is still there");
	ok(weir_autoscaler_follow(&a, both, 1) == 0 && !a.is_open && is_gone(),
	   "and leaves one that is not");
	old = server;
	server = other;
	open_it();
	server = old;
	ok(weir_autoscaler_follow(&a, NULL, 0) == 0 && is_gone() && !a.is_open,
	   "none is left");
	/* The first refuses, the second is found. */
	weir_close(&other);
	ok(weir_autoscaler_follow(&a, both, 2) == 0, "two");
	open_it();
	end();
}

TAP_MAIN(TEST(messages_of_any_size_arrive), TEST(what_it_says_is_passed_over),
	 TEST(frames_that_end_it), TEST(answers_that_do_not_open_it),
	 TEST(silence_ends_it), TEST(one_that_does_not_read_costs_little),
	 TEST(it_goes_where_it_is_told))
