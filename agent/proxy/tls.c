/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL reads and writes the socket itself, ahead of what it decrypts.  It
 * holds bytes that no event will announce, so an end stays readable until the
 * socket is known to be empty and OpenSSL holds nothing.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "layer.h"

#define RECORD 16384 /* most that goes into one record */

/* Key updates, tickets and the like, in a row without data.  OpenSSL 3.0 has no
 * bound, and works through them within one read for as long as more come; this
 * is BoringSSL's (kMaxKeyUpdates). */
#define MESSAGES_MAX 32

/* A wildcard is the whole left-most label, and names are where names belong
 * (RFC 9525 6.3, 6.4.4). */
#define NAME_RULES                                                             \
	(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |                                \
	 X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* RFC 9113 9.2.2: what HTTP/2 allows of TLS 1.2, and nothing else. */
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK:!aDSS:!SRP"

struct tls_end {
	struct weir_layer layer; /* first */
	struct weir_end *end;
	SSL *ssl;
	uint32_t n_messages; /* of the handshake protocol, since data */
	bool is_up;          /* the handshake is done */
	bool is_raw;         /* what is inside is not HTTP */
	bool has_said_goodbye;
	bool is_drained; /* the last read of the socket took all of it */
	bool is_over;    /* after an error OpenSSL must not be used again */
	bool is_flood;   /* of messages that carry nothing */
};

static struct tls_end *tls_of(const struct weir_end *end)
{
	return (struct tls_end *)(void *)end->layer;
}

/* ------------------------------------------------------------ the socket */

static int socket_read(BIO *bio, char *p, int n)
{
	struct tls_end *t = BIO_get_data(bio);
	ssize_t r;

	BIO_clear_retry_flags(bio);
	if (t->n_messages > MESSAGES_MAX) {
		t->is_flood = true;
		return -1;
	}
	do {
		r = recv(t->end->fd, p, (size_t)n, 0);
	} while (r < 0 && errno == EINTR);
	t->is_drained = r < n;
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		BIO_set_retry_read(bio);
	}
	return (int)r;
}

static int socket_write(BIO *bio, const char *p, int n)
{
	struct tls_end *t = BIO_get_data(bio);
	ssize_t r;

	BIO_clear_retry_flags(bio);
	do {
		r = send(t->end->fd, p, (size_t)n, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		BIO_set_retry_write(bio);
	}
	return (int)r;
}

static long socket_ctrl(BIO *bio, int command, long n, void *p)
{
	(void)bio;
	(void)n;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method;

static void make_socket_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
				     "socket of weir");

	if (m && BIO_meth_set_read(m, socket_read) == 1 &&
	    BIO_meth_set_write(m, socket_write) == 1 &&
	    BIO_meth_set_ctrl(m, socket_ctrl) == 1) {
		socket_method = m;
	}
}

/* NULL without memory. */
static BIO *new_socket(struct tls_end *t)
{
	static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
	BIO *bio;

	(void)CRYPTO_THREAD_run_once(&once, make_socket_method);
	bio = socket_method ? BIO_new(socket_method) : NULL;
	if (bio) {
		BIO_set_data(bio, t);
	}
	return bio;
}

static void on_message(int is_write, int version, int type, const void *p,
		       size_t n, SSL *ssl, void *arg)
{
	struct tls_end *t = arg;

	(void)version;
	(void)p;
	(void)n;
	(void)ssl;
	if (!is_write && type == SSL3_RT_HANDSHAKE && t->is_up) {
		t->n_messages++;
	}
}

/* A client of TLS 1.2 begins a second handshake.  OpenSSL refuses a whole hello
 * and goes on, but makes room for 128 KiB when its first bytes say so. */
static bool renegotiates(const struct tls_end *t)
{
	return t->is_up && SSL_is_server(t->ssl) &&
	       SSL_version(t->ssl) < TLS1_3_VERSION &&
	       (t->n_messages || SSL_in_init(t->ssl));
}

/* ------------------------------------------------------------ the layer */

static ssize_t break_off(struct weir_end *end)
{
	tls_of(end)->is_over = true;
	end->is_readable = false;
	end->is_writable = false;
	end->is_broken = true;
	return -ECONNRESET;
}

/* What r of an operation means for the end. */
static ssize_t outcome(struct weir_end *end, int r, bool is_read)
{
	struct tls_end *t = tls_of(end);

	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		end->is_readable = false;
		/* A write that waits for a read: there are none without
		 * renegotiation, but a handshake does. */
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		end->is_writable = false;
		if (is_read) {
			/* Of a key update that a write began to send. */
			end->is_readable = false;
			end->wants_room = true;
		}
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		if (is_read) {
			end->is_hup = true;
			end->is_readable = false;
			return 0;
		}
		/* A write that failed behind the peer's close_notify: OpenSSL
		 * 3.0 says of it only that this was received. */
		__attribute__((fallthrough));
	default:
		return break_off(end);
	}
}

static ssize_t tls_recv(struct weir_end *end, char *p, size_t n)
{
	struct tls_end *t = tls_of(end);
	int r;

	if (t->is_over) {
		end->is_readable = false;
		return -ECONNRESET;
	}
	ERR_clear_error();
	t->is_drained = false;
	r = SSL_read(t->ssl, p, n < INT32_MAX ? (int)n : INT32_MAX);
	if (renegotiates(t)) {
		t->is_flood = true;
		return break_off(end);
	}
	if (r > 0) {
		t->n_messages = 0;
		end->has_moved = true;
		/* As in weir_end_recv(); what OpenSSL holds has no edge. */
		end->is_readable = !t->is_drained || SSL_has_pending(t->ssl) ||
				   end->is_hup || end->is_urgent;
		return r;
	}
	return outcome(end, r, true);
}

/* A record for each of several small pieces would be waste. */
static size_t gather(const struct iovec *iov, uint32_t n_iov, char *to)
{
	size_t n = 0;

	for (uint32_t i = 0; i < n_iov && n < RECORD; i++) {
		size_t k = iov[i].iov_len;

		k = k < RECORD - n ? k : RECORD - n;
		memcpy(to + n, iov[i].iov_base, k);
		n += k;
	}
	return n;
}

static ssize_t tls_send(struct weir_end *end, const struct iovec *iov,
			uint32_t n_iov, int flags)
{
	struct tls_end *t = tls_of(end);
	char joined[RECORD];
	const void *p = iov->iov_base;
	size_t n = iov->iov_len;
	int r;

	(void)flags;
	if (t->is_over) {
		end->is_writable = false;
		return -EPIPE;
	}
	if (n_iov > 1) {
		n = gather(iov, n_iov, joined);
		p = joined;
	}
	if (!n) {
		return 0;
	}
	ERR_clear_error();
	/* Partial writes are on: a record at a time.  One that did not fit is
	 * kept by OpenSSL and must be offered again, which is what comes. */
	r = SSL_write(t->ssl, p, n < INT32_MAX ? (int)n : INT32_MAX);
	if (end->wants_room) {
		end->wants_room = false;
		end->is_readable = true;
	}
	if (r > 0) {
		end->has_moved = true;
		return r;
	}
	return outcome(end, r, false);
}

/* Says that nothing was cut off (RFC 8446 6.1).  False: there is no room. */
static bool say_goodbye(struct tls_end *t)
{
	int r;

	if (t->is_over || t->has_said_goodbye) {
		return true;
	}
	ERR_clear_error();
	r = SSL_shutdown(t->ssl);
	if (r < 0 && SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_WRITE) {
		return false;
	}
	/* Once more, and it would read. */
	t->has_said_goodbye = true;
	return true;
}

static int tls_shut(struct weir_end *end)
{
	if (!say_goodbye(tls_of(end))) {
		end->is_writable = false;
		return -EAGAIN;
	}
	(void)shutdown(end->fd, SHUT_WR);
	return 0;
}

static void tls_close(struct weir_end *end, bool is_reset)
{
	struct tls_end *t = tls_of(end);

	if (!is_reset && SSL_is_init_finished(t->ssl)) {
		(void)say_goodbye(t);
	}
	SSL_free(t->ssl);
	ERR_clear_error();
	end->layer = NULL;
	weir_free_ptr(&t);
}

static bool tls_is_quiet(struct weir_end *end)
{
	struct tls_end *t = tls_of(end);
	char byte;
	int r;

	if (t->is_over || SSL_pending(t->ssl)) {
		return false;
	}
	/* Tickets come after the handshake and are no data. */
	ERR_clear_error();
	r = SSL_peek(t->ssl, &byte, 1);
	return r <= 0 && SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ &&
	       !SSL_has_pending(t->ssl);
}

static const struct weir_layer_ops tls_ops = {
	.recv = tls_recv,
	.send = tls_send,
	.shut = tls_shut,
	.close = tls_close,
	.is_quiet = tls_is_quiet,
};

/* ------------------------------------------------------------ contexts */

/* HTTP/2 if the client has it, and the bytes are ours. */
static int choose_alpn(SSL *ssl, const unsigned char **out,
		       unsigned char *out_n, const unsigned char *in,
		       unsigned int n, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *chosen;

	const struct tls_end *t = SSL_get_app_data(ssl);

	(void)arg;
	if (t->is_raw) {
		return SSL_TLSEXT_ERR_NOACK;
	}
	if (SSL_select_next_proto(&chosen, out_n, ours, sizeof(ours) - 1, in,
				  n) != OPENSSL_NPN_NEGOTIATED) {
		/* RFC 7301 3.2: nothing in common is an alert. */
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (!ctx) {
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* A read of the socket for a record, not one for its header, too. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_cipher_list(ctx, CIPHERS_12) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

SSL_CTX *weir_tls_server_ctx(void)
{
	SSL_CTX *ctx = new_ctx(TLS_server_method());

	if (ctx) {
		SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	}
	return ctx;
}

static bool add_cas(X509_STORE *store, const struct weir_certs *certs,
		    const struct weir_plan *plan, struct weir_span cas)
{
	bool has_any = false;

	for (uint32_t i = 0; i < cas.n; i++) {
		uint32_t at = *WEIR_PLAN_ELEM(plan, uint32_t, cas, i);
		STACK_OF(X509) *list = certs->cas[at].certs;

		for (int k = 0; list && k < sk_X509_num(list); k++) {
			has_any |= X509_STORE_add_cert(
					   store, sk_X509_value(list, k)) == 1;
		}
	}
	return has_any;
}

/* BackendTLSPolicy, subjectAltNames: the certificate must have one of them, and
 * then need not have the hostname.  They live as long as their context. */
struct names {
	uint32_t n;
	struct {
		uint32_t type; /* enum weir_san_type */
		char value[256];
	} v[];
};

static void free_names(void *parent, void *p, CRYPTO_EX_DATA *ad, int index,
		       long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)index;
	(void)argl;
	(void)argp;
	weir_free_ptr(&p);
}

static int names_number = -1;

static void make_names_index(void)
{
	names_number = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL,
						free_names);
}

static int names_index(void)
{
	static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

	(void)CRYPTO_THREAD_run_once(&once, make_names_index);
	return names_number;
}

static bool keep_names(SSL_CTX *ctx, const struct weir_plan *plan,
		       struct weir_span sans)
{
	struct names *names = calloc(1, sizeof(*names) +
						sans.n * sizeof(names->v[0]));

	if (!names) {
		return false;
	}
	for (uint32_t i = 0; i < sans.n; i++) {
		const struct weir_san *san = WEIR_PLAN_ELEM(
			plan, struct weir_san, sans, i);
		struct weir_str value = weir_plan_str(plan, san->value);

		/* One that does not fit matches nothing. */
		if (value.n && value.n < sizeof(names->v[0].value)) {
			names->v[names->n].type = san->type;
			memcpy(names->v[names->n++].value, value.p, value.n);
		}
	}
	if (SSL_CTX_set_ex_data(ctx, names_index(), names) != 1) {
		weir_free_ptr(&names);
		return false;
	}
	return true;
}

static bool has_uri(X509 *cert, const char *uri)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL,
					      NULL);
	size_t n = strlen(uri);
	bool is_there = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && !is_there; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		const ASN1_IA5STRING *s =
			g->type == GEN_URI ? g->d.uniformResourceIdentifier
					   : NULL;

		is_there = s && (size_t)ASN1_STRING_length(s) == n &&
			   memcmp(ASN1_STRING_get0_data(s), uri, n) == 0;
	}
	GENERAL_NAMES_free(all);
	return is_there;
}

/* The names that a context asks for, against the peer's certificate. */
static bool has_name(SSL *ssl)
{
	const struct names *names = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
							names_index());
	X509 *cert = names ? SSL_get0_peer_certificate(ssl) : NULL;

	for (uint32_t i = 0; cert && i < names->n; i++) {
		const char *value = names->v[i].value;

		if (names->v[i].type == WEIR_SAN_URI
			    ? has_uri(cert, value)
			    : X509_check_host(cert, value, 0, NAME_RULES,
					      NULL) == 1) {
			return true;
		}
	}
	return !names;
}

SSL_CTX *weir_tls_client_ctx(const struct weir_certs *certs,
			     const struct weir_plan *plan,
			     const struct weir_backend_tls *tls)
{
	SSL_CTX *ctx = new_ctx(TLS_client_method());

	if (!ctx) {
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	/* With bundles of which nothing can be used nobody is trusted. */
	if (tls->cas.n) {
		(void)add_cas(SSL_CTX_get_cert_store(ctx), certs, plan,
			      tls->cas);
	} else {
		(void)SSL_CTX_set_default_verify_paths(ctx);
	}
	ERR_clear_error();
	if (tls->sans.n && !keep_names(ctx, plan, tls->sans)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* ------------------------------------------------------------ connections */

static int attach(struct weir_end *end, SSL_CTX *ctx, struct tls_end **ret_tls)
{
	struct tls_end *t = calloc(1, sizeof(*t));
	BIO *bio;

	if (!t) {
		return -ENOMEM;
	}
	t->end = end;
	ERR_clear_error();
	bio = new_socket(t);
	t->ssl = bio ? SSL_new(ctx) : NULL;
	if (!t->ssl || SSL_set_app_data(t->ssl, t) != 1) {
		SSL_free(t->ssl);
		BIO_free(bio);
		weir_free_ptr(&t);
		return -ENOMEM;
	}
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_msg_callback_arg(t->ssl, t);
	t->layer.ops = &tls_ops;
	end->layer = &t->layer;
	*ret_tls = t;
	return 0;
}

static bool use(SSL *ssl, const struct weir_cert_chain *c)
{
	return c->cert &&
	       SSL_use_cert_and_key(ssl, c->cert, c->key, c->chain, 1) == 1;
}

/* Of several certificates those that say the name are shown; of each type of
 * key OpenSSL keeps the last it was given. */
static bool use_certs(SSL *ssl, const struct weir_certs *certs,
		      const struct weir_plan *plan,
		      const struct weir_listener *listener, struct weir_str sni)
{
	bool has_any = false;

	for (int turn = 0; turn < 2 && !has_any; turn++) {
		for (uint32_t i = listener->certs.n; i-- > 0;) {
			uint32_t at = *WEIR_PLAN_ELEM(plan, uint32_t,
						      listener->certs, i);
			const struct weir_cert_chain *c = &certs->chains[at];

			if (turn == 0 && listener->certs.n > 1 && c->cert &&
			    (!sni.n || X509_check_host(c->cert, sni.p, sni.n, 0,
						       NULL) != 1)) {
				continue;
			}
			has_any |= use(ssl, c);
		}
	}
	return has_any;
}

static int let_in(int is_good, X509_STORE_CTX *ctx)
{
	(void)is_good;
	(void)ctx;
	return 1;
}

/* A client's certificate must come from the listener's CAs. */
static int ask_client(SSL *ssl, const struct weir_certs *certs,
		      const struct weir_plan *plan,
		      const struct weir_listener *listener)
{
	bool is_optional = listener->flags & WEIR_LISTENER_CLIENT_OPTIONAL;
	X509_STORE *store = X509_STORE_new();

	if (!store) {
		return -ENOMEM;
	}
	(void)add_cas(store, certs, plan, listener->client_cas);
	if (SSL_set1_verify_cert_store(ssl, store) != 1) {
		X509_STORE_free(store);
		return -ENOMEM;
	}
	X509_STORE_free(store);
	if (is_optional) {
		SSL_set_verify(ssl, SSL_VERIFY_PEER, let_in);
	} else {
		SSL_set_verify(
			ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			NULL);
	}
	/* Nobody resumes here what was agreed on elsewhere. */
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	(void)SSL_set_num_tickets(ssl, 0);
	(void)SSL_set_session_id_context(ssl, (const unsigned char *)"client",
					 6);
	return 0;
}

int weir_tls_accept(struct weir_client *c, const struct weir_certs *certs,
		    const struct weir_plan *plan,
		    const struct weir_listener *listener, struct weir_str sni)
{
	struct tls_end *t;
	int r;

	if (!certs || !certs->server) {
		return -ENOENT;
	}
	r = attach(&c->end, certs->server, &t);
	if (r < 0) {
		return r;
	}
	SSL_set_accept_state(t->ssl);
	t->is_raw = listener->flags & WEIR_LISTENER_RAW;
	if (!use_certs(t->ssl, certs, plan, listener, sni)) {
		r = -ENOENT;
	} else if (listener->client_cas.n) {
		r = ask_client(t->ssl, certs, plan, listener);
	}
	ERR_clear_error();
	return r;
}

int weir_tls_connect(struct weir_end *end, SSL_CTX *ctx,
		     const struct weir_plan *plan,
		     const struct weir_backend_tls *tls, bool is_h2,
		     const struct weir_cert_chain *mine)
{
	static const unsigned char h2[] = "\x02h2";
	static const unsigned char http1[] = "\x08http/1.1";
	struct weir_str host = weir_plan_str(plan, tls->hostname);
	char name[256];
	struct tls_end *t;
	int r = attach(end, ctx, &t);

	if (r < 0) {
		return r;
	}
	SSL_set_connect_state(t->ssl);
	/* An empty name would be anybody's. */
	if (!host.n || host.n >= sizeof(name)) {
		return -EINVAL;
	}
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	(void)SSL_set_tlsext_host_name(t->ssl, name);
	if (mine && !use(t->ssl, mine)) {
		ERR_clear_error();
		return -ENOMEM;
	}
	if (is_h2) {
		(void)SSL_set_alpn_protos(t->ssl, h2, sizeof(h2) - 1);
	} else {
		(void)SSL_set_alpn_protos(t->ssl, http1, sizeof(http1) - 1);
	}
	if (SSL_CTX_get_ex_data(ctx, names_index())) {
		return 0; /* looked for after the handshake */
	}
	SSL_set_hostflags(t->ssl, NAME_RULES);
	return SSL_set1_host(t->ssl, name) == 1 ? 0 : -ENOMEM;
}

int weir_tls_handshake(struct weir_end *end)
{
	struct tls_end *t = tls_of(end);
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	if (r == 1 && !has_name(t->ssl)) {
		t->is_over = true;
		return -EACCES;
	}
	if (r == 1) {
		t->is_up = true;
		end->is_readable = true; /* data may have come along */
		end->is_writable = true;
		return 0;
	}
	r = (int)outcome(end, r, true);
	ERR_clear_error();
	return r == 0 ? -ECONNRESET : r;
}

bool weir_tls_is_h2(const struct weir_end *end)
{
	const unsigned char *p;
	unsigned int n;

	SSL_get0_alpn_selected(tls_of(end)->ssl, &p, &n);
	return n == 2 && memcmp(p, "h2", 2) == 0;
}

const char *weir_tls_name(const struct weir_end *end)
{
	return SSL_get_servername(tls_of(end)->ssl, TLSEXT_NAMETYPE_host_name);
}

bool weir_tls_is_raw(const struct weir_end *end)
{
	return tls_of(end)->is_raw;
}

bool weir_tls_is_flood(const struct weir_end *end)
{
	return weir_tls_is_end(end) && tls_of(end)->is_flood;
}

bool weir_tls_is_end(const struct weir_end *end)
{
	return end->layer && end->layer->ops == &tls_ops;
}
