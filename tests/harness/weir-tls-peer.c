// SPDX-License-Identifier: Apache-2.0
/*
 * A peer that keeps the other end of a TLS connection busy with what brings no
 * data, until the connection is closed or 5 s are over.
 *
 *	weir-tls-peer MODE ADDRESS PORT NAME
 *	weir-tls-peer MODE ADDRESS PORT CERTIFICATE KEY
 *
 * A client that asks for NAME, or a server: of one connection after the other,
 * for ever.  MODE:
 *
 *	updates   key updates (RFC 8446 4.6.3)
 *	requests  likewise, each of which asks for one, and nothing is read
 *	answers   a server, as updates, after an answer to a request
 *	whole     a server that ends its answer with the connection
 *	cut       likewise, and does not say that it was all (close_notify)
 *	hello     a client of TLS 1.2: a second handshake
 *	half      likewise; of its hello, of 60 000 bytes, the first record
 *
 * Prints "closed N" or "open N" for each connection: N messages were sent.
 * Status of a client: 0: closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

#define SECONDS 5

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static const char endless[] = "HTTP/1.1 200 OK\r\n\r\nendless";

static bool is_second; /* hello */

static void must(bool is_good, const char *what)
{
	if (!is_good) {
		perror(what);
		exit(2);
	}
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static int add_padding(SSL *ssl, unsigned int type, unsigned int context,
		       const unsigned char **out, size_t *n, X509 *x, size_t i,
		       int *alert, void *arg)
{
	static unsigned char zeros[60000];

	(void)ssl;
	(void)type;
	(void)context;
	(void)x;
	(void)i;
	(void)alert;
	(void)arg;
	*out = zeros;
	*n = sizeof(zeros);
	return is_second;
}

/* How many were sent before it was closed; *ret_open: it was not. */
static unsigned long flood(SSL *ssl, int type, bool *ret_open)
{
	time_t end = time(NULL) + SECONDS;
	unsigned long n = 0;

	*ret_open = false;
	while (time(NULL) < end) {
		if (SSL_key_update(ssl, type) != 1 ||
		    SSL_do_handshake(ssl) != 1) {
			/* A send that waited for 5 s is no close. */
			*ret_open = SSL_get_error(ssl, -1) ==
				    SSL_ERROR_WANT_WRITE;
			return n;
		}
		n++;
	}
	*ret_open = true;
	return n;
}

/* A second hello, of which only the first record leaves if is_half. */
static unsigned long renegotiate(SSL *ssl, int fd, bool is_half, bool *ret_open)
{
	BIO *out = BIO_new(BIO_s_mem());
	unsigned char *p;
	size_t n;
	char waste[16384];
	ssize_t r;

	must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	SSL_set0_wbio(ssl, out);
	is_second = true;
	must(SSL_renegotiate(ssl) == 1, "renegotiate");
	(void)SSL_do_handshake(ssl);
	n = (size_t)BIO_get_mem_data(out, (char **)&p);
	must(n > 5, "a hello");
	if (is_half) {
		n = 5 + ((size_t)p[3] << 8 | p[4]);
	}
	must(fcntl(fd, F_SETFL, 0) == 0, "O_NONBLOCK");
	must(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n, "send");
	do {
		r = recv(fd, waste, sizeof(waste), 0);
	} while (r > 0);
	*ret_open = r < 0 && errno == EAGAIN;
	return 1;
}

static int run(SSL *ssl, int fd, const char *mode)
{
	struct timeval limit = {.tv_sec = SECONDS};
	bool is_open = false;
	unsigned long n = 0;
	char request[4096];

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	SSL_set_fd(ssl, fd);
	if (SSL_do_handshake(ssl) != 1) {
		printf("no handshake\n");
		return 2;
	}
	if (SSL_is_server(ssl) &&
	    SSL_read(ssl, request, sizeof(request)) <= 0) {
		printf("no request\n");
		return 2;
	}
	if (is(mode, "whole") || is(mode, "cut")) {
		(void)SSL_write(ssl, endless, sizeof(endless) - 1);
		if (is(mode, "whole")) {
			(void)SSL_shutdown(ssl);
		}
		return 0;
	}
	if (is(mode, "answers")) {
		(void)SSL_write(ssl, answer, sizeof(answer) - 1);
		usleep(100000);
	}
	if (is(mode, "hello") || is(mode, "half")) {
		n = renegotiate(ssl, fd, is(mode, "half"), &is_open);
	} else {
		n = flood(ssl,
			  is(mode, "requests") ? SSL_KEY_UPDATE_REQUESTED
					       : SSL_KEY_UPDATE_NOT_REQUESTED,
			  &is_open);
	}
	printf("%s %lu\n", is_open ? "open" : "closed", n);
	fflush(stdout);
	return is_open;
}

static void serve(SSL_CTX *ctx, char **argv, struct sockaddr_in *sa)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(bind(listener, (struct sockaddr *)sa, sizeof(*sa)) == 0, "bind");
	must(listen(listener, 16) == 0, "listen");
	must(SSL_CTX_use_certificate_chain_file(ctx, argv[4]) == 1 &&
		     SSL_CTX_use_PrivateKey_file(ctx, argv[5],
						 SSL_FILETYPE_PEM) == 1,
	     "certificate");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		SSL *ssl = SSL_new(ctx);

		must(fd >= 0 && ssl, "accept");
		SSL_set_accept_state(ssl);
		(void)run(ssl, fd, argv[1]);
		SSL_free(ssl);
		weir_close(&fd);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	SSL_CTX *ctx;
	SSL *ssl;
	int status;
	int fd;

	if (argc < 5 || argc > 6 ||
	    inet_pton(AF_INET, argv[2], &sa.sin_addr) != 1) {
		fprintf(stderr, "usage: weir-tls-peer MODE ADDRESS PORT NAME|"
				"CERTIFICATE KEY\n");
		return 2;
	}
	sa.sin_port = htons((uint16_t)atoi(argv[3]));
	signal(SIGPIPE, SIG_IGN);
	ctx = SSL_CTX_new(argc == 6 ? TLS_server_method()
				    : TLS_client_method());
	must(ctx, "OpenSSL");
	if (argc == 6) {
		serve(ctx, argv, &sa);
	}
	if (is(argv[1], "hello") || is(argv[1], "half")) {
		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	}
	if (is(argv[1], "half")) {
		SSL_CTX_add_custom_ext(ctx, 65000, SSL_EXT_CLIENT_HELLO,
				       add_padding, NULL, NULL, NULL, NULL);
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect");
	ssl = SSL_new(ctx);
	must(ssl, "OpenSSL");
	SSL_set_tlsext_host_name(ssl, argv[4]);
	SSL_set_connect_state(ssl);
	status = run(ssl, fd, argv[1]);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	weir_close(&fd);
	return status;
}
