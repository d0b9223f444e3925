/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as a layer of an end (layer.h): OpenSSL between it and its socket.
 */
#ifndef WEIR_PROXY_TLS_H
#define WEIR_PROXY_TLS_H

#include <openssl/ssl.h>

#include "certs.h"
#include "conn.h"

/* The context of all listeners.  NULL without memory. */
SSL_CTX *weir_tls_server_ctx(void);
/* That of a way to speak TLS to backends. */
SSL_CTX *weir_tls_client_ctx(const struct weir_certs *certs,
			     const struct weir_plan *plan,
			     const struct weir_backend_tls *tls);

/* The end of c, connected and with nothing read from it, speaks TLS as
 * listener says.  0 or -errno. */
int weir_tls_accept(struct weir_client *c, const struct weir_certs *certs,
		    const struct weir_plan *plan,
		    const struct weir_listener *listener, struct weir_str sni);
/* As a client; is_h2: asks for HTTP/2; mine (may be NULL): what is shown where
 * the server asks for a certificate. */
int weir_tls_connect(struct weir_end *end, SSL_CTX *ctx,
		     const struct weir_plan *plan,
		     const struct weir_backend_tls *tls, bool is_h2,
		     const struct weir_cert_chain *mine);
bool weir_tls_is_end(const struct weir_end *end);
/* It broke off as the peer sent key updates without end, or began a second
 * handshake.  False without TLS. */
bool weir_tls_is_flood(const struct weir_end *end);
/* 0: done; -EAGAIN; or another -errno: it failed. */
int weir_tls_handshake(struct weir_end *end);
/* After it: what the two agreed on. */
bool weir_tls_is_h2(const struct weir_end *end);
/* What is inside is not HTTP (WEIR_LISTENER_RAW). */
bool weir_tls_is_raw(const struct weir_end *end);
/* The server name that the client asked for, or NULL. */
const char *weir_tls_name(const struct weir_end *end);

/* hello.c of a connection: tls_client.c */
enum weir_step weir_hello_step(struct weir_worker *w, struct weir_client *c);
enum weir_step weir_handshake_step(struct weir_worker *w,
				   struct weir_client *c);

#endif
