/* SPDX-License-Identifier: Apache-2.0 */
/* The flags of an end that speaks TLS, which the worker's edges depend on: its
 * peer is OpenSSL in this thread, its bytes are carried by the test. */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "make_cert.h"

#define MESSAGES_MAX 32 /* of tls.c */

static struct {
	struct weir_plan plan;
	uint32_t cert;
} block;

static const struct weir_listener listener = {
	.certs = {.off = offsetof(typeof(block), cert), .n = 1}};

static struct weir_cert_chain chain;
static struct weir_certs certs = {.chains = &chain, .n_chains = 1};
static struct weir_client c;
static int fd; /* the peer's */
static SSL_CTX *ctx;
static SSL *peer;

static void make_certs(void)
{
	struct made_cert made;
	BIO *bio;

	if (certs.server) {
		return;
	}
	make_cert("a.example.com", NULL, &made);
	bio = BIO_new_mem_buf(made.chain.p, (int)made.chain.n);
	chain.cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	bio = BIO_new_mem_buf(made.key.p, (int)made.key.n);
	chain.key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	made_cert_fini(&made);
	certs.server = weir_tls_server_ctx();
	ctx = SSL_CTX_new(TLS_client_method());
	must(chain.cert && chain.key && certs.server && ctx, "OpenSSL");
}

/* What the peer has to say, to the socket; less than all: cut bytes stay. */
static void carry_but(size_t cut)
{
	BIO *out = SSL_get_wbio(peer);
	char bytes[65536];
	size_t n = BIO_ctrl_pending(out) - cut;

	if (n) {
		must(BIO_read(out, bytes, (int)n) == (int)n, "BIO");
		must(send(fd, bytes, n, 0) == (ssize_t)n, "send");
		c.end.is_readable = true; /* an edge */
	}
}

static void carry(void)
{
	carry_but(0);
}

/* What weir has said, at most n bytes of it, to the peer. */
static size_t take(size_t n)
{
	char bytes[65536];
	ssize_t r = recv(fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes), 0);

	if (r > 0) {
		must(BIO_write(SSL_get_rbio(peer), bytes, (int)r) == r, "BIO");
	}
	return r > 0 ? (size_t)r : 0;
}

static void say(const char *text)
{
	must(SSL_write(peer, text, (int)strlen(text)) > 0, "SSL_write");
}

static void update_key(int type)
{
	must(SSL_key_update(peer, type) == 1 && SSL_do_handshake(peer) == 1,
	     "key update");
}

static ssize_t hear(void)
{
	char bytes[1000];

	return weir_end_recv(&c.end, bytes, sizeof(bytes));
}

static void end(void)
{
	SSL_free(peer);
	weir_end_close(&c.end, false);
	close(fd);
}

/* A connection after its handshake, with nothing to be read. */
static void begin(int version)
{
	int fds[2];
	int small = 20000;
	int r = -EAGAIN;

	make_certs();
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0,
	     "socketpair");
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	memset(&c, 0, sizeof(c));
	c.end.fd = fds[0];
	c.end.is_writable = true;
	fd = fds[1];
	must(weir_tls_accept(&c, &certs, &block.plan, &listener,
			     WEIR_STR_NULL) == 0,
	     "accept");
	peer = SSL_new(ctx);
	SSL_set_max_proto_version(peer, version);
	SSL_set_connect_state(peer);
	SSL_set_bio(peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	for (int i = 0; i < 10 && r == -EAGAIN; i++) {
		(void)SSL_do_handshake(peer);
		carry();
		r = weir_tls_handshake(&c.end);
		while (take(65536)) {
		}
	}
	(void)SSL_do_handshake(peer);
	must(r == 0 && SSL_is_init_finished(peer), "handshake");
	must(hear() == -EAGAIN && !c.end.is_readable, "nothing yet");
}

static void empty_after_a_record(void)
{
	begin(TLS1_3_VERSION);
	say("hello");
	carry();
	ok(hear() == 5, "a record");
	ok(!c.end.is_readable, "and no read that finds nothing");
	end();
}

static void what_openssl_holds_is_readable(void)
{
	begin(TLS1_3_VERSION);
	say("one");
	say("three");
	carry();
	ok(hear() == 3, "the first");
	ok(c.end.is_readable, "the second has no edge");
	ok(hear() == 5, "the second");
	ok(!c.end.is_readable || (hear() == -EAGAIN && !c.end.is_readable),
	   "nothing more");
	end();
}

static void half_a_record(void)
{
	begin(TLS1_3_VERSION);
	say("one");
	say("three");
	carry_but(10);
	ok(hear() == 3, "the first");
	ok(c.end.is_readable, "a part is held");
	ok(hear() == -EAGAIN && !c.end.is_readable, "it is not all");
	ok(!weir_end_is_quiet(&c.end), "what holds half a record is not quiet");
	carry();
	ok(hear() == 5, "the rest");
	end();
}

static void good_bye_behind_data(void)
{
	begin(TLS1_3_VERSION);
	say("one");
	(void)SSL_shutdown(peer);
	carry();
	ok(hear() == 3 && c.end.is_readable, "the last data");
	ok(hear() == 0 && c.end.is_hup, "and the end");
	end();
}

static void end_without_good_bye(void)
{
	begin(TLS1_3_VERSION);
	say("one");
	carry();
	shutdown(fd, SHUT_WR);
	c.end.is_hup = true; /* as the edge says */
	ok(hear() == 3 && c.end.is_readable, "the last data");
	ok(hear() == -ECONNRESET && c.end.is_broken, "is no whole message");
	end();
}

static void key_updates(void)
{
	begin(TLS1_3_VERSION);
	for (int i = 0; i < 3 * MESSAGES_MAX; i++) {
		update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
		if (i % MESSAGES_MAX == MESSAGES_MAX - 1) {
			say("data");
			carry();
			ok(hear() == 4, "as many as may be, and data");
		}
	}
	for (int i = 0; i <= MESSAGES_MAX; i++) {
		update_key(SSL_KEY_UPDATE_NOT_REQUESTED);
	}
	carry();
	ok(hear() == -ECONNRESET && c.end.is_broken && !c.end.is_readable,
	   "one too many");
	end();
}

/* Of two key updates that ask for ours the second has the answer to the first
 * sent.  When there is no room for it the read waits for that, and is not tried
 * again before. */
static void read_that_waits_for_room(void)
{
	static char text[] = "more";
	struct iovec iov = {.iov_base = text, .iov_len = 4};

	for (int by_write = 0; by_write < 2; by_write++) {
		begin(TLS1_3_VERSION);
		for (int i = 0; i < 10000 && c.end.is_writable; i++) {
			update_key(SSL_KEY_UPDATE_REQUESTED);
			say("x");
			carry();
			while (hear() > 0) {
			}
			must(!c.end.is_readable, "there is nothing to read");
		}
		must(!c.end.is_writable && c.end.wants_room, "it is full");
		while (take(65536)) {
		}
		c.end.is_writable = true;
		if (by_write) {
			ok(weir_end_send(&c.end, &iov, 1, 0) == 4, "a write");
			ok(c.end.is_readable && !c.end.wants_room, "went on");
		}
		ok(hear() == 1, "the read goes on");
		ok(!c.end.is_broken, "all is well");
		end();
	}
}

static void end_that_waits_for_room(void)
{
	char bytes[65536];
	size_t n = 0;
	ssize_t r;

	begin(TLS1_3_VERSION);
	memset(bytes, 0, sizeof(bytes));
	while (send(c.end.fd, bytes, 1000, MSG_DONTWAIT) > 0) {
		n += 1000;
	}
	for (int i = 0; i < 2; i++) {
		ok(weir_end_shut(&c.end) == -EAGAIN, "there is no room");
		ok(!c.end.is_writable, "an edge will say when there is");
	}
	while (n && (r = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		n -= (size_t)r;
	}
	for (int i = 0; i < 2; i++) {
		ok(weir_end_shut(&c.end) == 0, "it is said, and once");
	}
	ok(take(65536) && SSL_read(peer, bytes, 1) == 0 &&
		   SSL_get_shutdown(peer) & SSL_RECEIVED_SHUTDOWN,
	   "close_notify");
	ok(recv(fd, bytes, 1, 0) == 0, "and the end");
	end();
}

static void no_backend_without_a_name(void)
{
	struct weir_backend_tls nobody = {0};
	SSL_CTX *to_backends = SSL_CTX_new(TLS_client_method());
	struct weir_end to = {.fd = -1};

	ok(weir_tls_connect(&to, to_backends, &block.plan, &nobody, false,
			    NULL) == -EINVAL,
	   "would be anybody");
	weir_end_close(&to, false);
	SSL_CTX_free(to_backends);
}

static void no_second_handshake(void)
{
	static char name[] = "a.example.com"; /* the macro casts const away */

	for (int is_half = 0; is_half < 2; is_half++) {
		begin(TLS1_2_VERSION);
		must(SSL_renegotiate(peer) == 1, "renegotiate");
		SSL_set_max_send_fragment(peer, 512);
		SSL_set_tlsext_host_name(peer, name);
		(void)SSL_do_handshake(peer);
		carry_but(is_half ? 20 : 0);
		if (is_half) {
			ok(hear() == -EAGAIN, "not a record yet");
			carry();
		}
		ok(hear() == -ECONNRESET && c.end.is_broken, "is refused");
		end();
	}
}

TAP_MAIN(TEST(empty_after_a_record), TEST(what_openssl_holds_is_readable),
	 TEST(half_a_record), TEST(good_bye_behind_data),
	 TEST(end_without_good_bye), TEST(key_updates),
	 TEST(read_that_waits_for_room), TEST(end_that_waits_for_room),
	 TEST(no_backend_without_a_name), TEST(no_second_handshake))
