/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "keyed.h"
#include "log.h"
#include "tls.h"

static BIO *open_pem(struct weir_str pem)
{
	return BIO_new_mem_buf(pem.p, (int)pem.n);
}

/* All certificates in it.  NULL: none, or something that is not one. */
static STACK_OF(X509) * read_certs(struct weir_str pem)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *bio = open_pem(pem);
	X509 *cert;

	while (bio && certs &&
	       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (!sk_X509_push(certs, cert)) {
			X509_free(cert);
			break;
		}
	}
	ERR_clear_error(); /* the end of the text is one */
	BIO_free(bio);
	if (certs && sk_X509_num(certs) == 0) {
		sk_X509_free(certs);
		return NULL;
	}
	return certs;
}

static void free_chain(struct weir_cert_chain *c)
{
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	*c = (struct weir_cert_chain){0};
}

/* False: it stays empty. */
static bool read_chain(struct weir_str chain, struct weir_str key,
		       struct weir_cert_chain *c)
{
	STACK_OF(X509) *certs = read_certs(chain);
	BIO *bio = open_pem(key);

	c->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	if (certs) {
		c->cert = sk_X509_shift(certs);
		c->chain = certs;
	}
	if (c->cert && c->key && X509_check_private_key(c->cert, c->key) == 1) {
		return true;
	}
	ERR_clear_error();
	free_chain(c);
	return false;
}

static STACK_OF(X509) * share(STACK_OF(X509) * certs)
{
	return certs ? X509_chain_up_ref(certs) : NULL;
}

static bool take_over(const struct weir_certs *before, uint32_t i,
		      struct weir_cert_chain *c)
{
	for (uint32_t k = 0; before && k < before->n_chains; k++) {
		/* Most often it stands where it stood. */
		const struct weir_cert_chain *b =
			&before->chains[(i + k) % before->n_chains];

		if (b->hash == c->hash && b->cert) {
			X509_up_ref(b->cert);
			EVP_PKEY_up_ref(b->key);
			c->cert = b->cert;
			c->key = b->key;
			c->chain = share(b->chain);
			return true;
		}
	}
	return false;
}

static int fill_chains(struct weir_certs *certs,
		       const struct weir_secrets *secrets,
		       const struct weir_certs *before)
{
	certs->chains = calloc(secrets->certs.n + 1, sizeof(*certs->chains));
	if (!certs->chains) {
		return -ENOMEM;
	}
	certs->n_chains = secrets->certs.n;
	for (uint32_t i = 0; i < certs->n_chains; i++) {
		const struct weir_cert *from = weir_secrets_cert(secrets, i);
		struct weir_cert_chain *c = &certs->chains[i];

		/* Of the key, too: a chain is public, and who has no more than
		 * that is not given the key of another Secret. */
		uint64_t hash = weir_keyed_str(
			weir_secrets_str(secrets, from->key), from->hash);

		c->hash = hash;
		if (!take_over(before, i, c) &&
		    !read_chain(weir_secrets_str(secrets, from->chain),
				weir_secrets_str(secrets, from->key), c)) {
			c->hash = hash;
			weir_error("certificate %u cannot be used", i);
		}
	}
	return 0;
}

static int fill_cas(struct weir_certs *certs,
		    const struct weir_secrets *secrets,
		    const struct weir_certs *before)
{
	certs->cas = calloc(secrets->cas.n + 1, sizeof(*certs->cas));
	if (!certs->cas) {
		return -ENOMEM;
	}
	certs->n_cas = secrets->cas.n;
	for (uint32_t i = 0; i < certs->n_cas; i++) {
		const struct weir_ca *from = weir_secrets_ca(secrets, i);
		struct weir_ca_bundle *ca = &certs->cas[i];

		ca->hash = from->hash;
		if (before && i < before->n_cas &&
		    before->cas[i].hash == from->hash) {
			ca->certs = share(before->cas[i].certs);
		} else {
			ca->certs = read_certs(
				weir_secrets_str(secrets, from->bundle));
		}
		if (!ca->certs) {
			weir_error("CA bundle %u cannot be used", i);
		}
	}
	return 0;
}

/* Connections are shared by who asks for the same of them. */
static uint64_t key_of(const struct weir_certs *certs,
		       const struct weir_plan *plan,
		       const struct weir_backend_tls *tls)
{
	uint64_t h = weir_keyed_str(weir_plan_str(plan, tls->hostname), 1);

	h = weir_keyed_hash(&tls->sans.n, sizeof(tls->sans.n), h);
	for (uint32_t i = 0; i < tls->sans.n; i++) {
		const struct weir_san *san = WEIR_PLAN_ELEM(
			plan, struct weir_san, tls->sans, i);

		h = weir_keyed_hash(&san->type, sizeof(san->type), h);
		h = weir_keyed_str(weir_plan_str(plan, san->value), h);
	}
	for (uint32_t i = 0; i < tls->cas.n; i++) {
		uint32_t at = *WEIR_PLAN_ELEM(plan, uint32_t, tls->cas, i);

		h = weir_keyed_hash(&certs->cas[at].hash, sizeof(uint64_t), h);
	}
	return h ? h : 1;
}

/* The authorities of the system are read when a context is made: when they
 * change it is made again. */
static uint64_t made_of(const struct weir_backend_tls *tls)
{
	const char *named = getenv(X509_get_default_cert_file_env());
	struct stat st;

	if (tls->cas.n ||
	    stat(named ? named : X509_get_default_cert_file(), &st) < 0) {
		return 0;
	}
	return weir_keyed_hash(&st.st_mtim, sizeof(st.st_mtim),
			       (uint64_t)st.st_ino);
}

/* A context is built from what its key says: reading bundles is not done again
 * for each policy and each plan. */
static bool share_ctx(const struct weir_certs *from, uint32_t i,
		      struct weir_tls_client *client)
{
	for (uint32_t k = 0; from && k < from->n_clients; k++) {
		/* Most often it stands where it stood. */
		const struct weir_tls_client *c =
			&from->clients[(i + k) % from->n_clients];

		if (c->ctx && c->key == client->key &&
		    c->made_of == client->made_of) {
			SSL_CTX_up_ref(c->ctx);
			client->ctx = c->ctx;
			return true;
		}
	}
	return false;
}

static int fill_clients(struct weir_certs *certs, const struct weir_plan *plan,
			const struct weir_certs *before)
{
	uint32_t n = plan->backend_tls.n;

	certs->clients = calloc(n + 1, sizeof(*certs->clients));
	if (!certs->clients) {
		return -ENOMEM;
	}
	certs->n_clients = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct weir_backend_tls *tls = WEIR_PLAN_ELEM(
			plan, struct weir_backend_tls, plan->backend_tls, i);
		struct weir_tls_client *client = &certs->clients[i];

		client->key = key_of(certs, plan, tls);
		client->made_of = made_of(tls);
		if (share_ctx(before, i, client) ||
		    share_ctx(certs, 0, client)) {
			continue;
		}
		client->ctx = weir_tls_client_ctx(certs, plan, tls);
		if (!client->ctx) {
			return -ENOMEM;
		}
	}
	return 0;
}

int weir_certs_new(const struct weir_plan *plan,
		   const struct weir_secrets *secrets,
		   const struct weir_certs *before,
		   struct weir_certs **ret_certs)
{
	_cleanup_(weir_certs_free) struct weir_certs *certs = NULL;
	int r;

	/* Without TLS OpenSSL is not even started. */
	if (!secrets->certs.n && !secrets->cas.n && !plan->backend_tls.n) {
		*ret_certs = NULL;
		return 0;
	}
	certs = calloc(1, sizeof(*certs));
	if (!certs) {
		return -ENOMEM;
	}
	/* The keys of session tickets live in it. */
	if (before && before->server) {
		SSL_CTX_up_ref(before->server);
		certs->server = before->server;
	} else {
		certs->server = weir_tls_server_ctx();
	}
	if (!certs->server) {
		return -ENOMEM;
	}
	r = fill_chains(certs, secrets, before);
	if (r == 0) {
		r = fill_cas(certs, secrets, before);
	}
	if (r == 0) {
		r = fill_clients(certs, plan, before);
	}
	if (r < 0) {
		return r;
	}
	*ret_certs = TAKE_PTR(certs);
	return 0;
}

void weir_certs_free(struct weir_certs **certsp)
{
	struct weir_certs *certs = TAKE_PTR(*certsp);

	if (!certs) {
		return;
	}
	for (uint32_t i = 0; i < certs->n_chains; i++) {
		free_chain(&certs->chains[i]);
	}
	for (uint32_t i = 0; i < certs->n_cas; i++) {
		sk_X509_pop_free(certs->cas[i].certs, X509_free);
	}
	for (uint32_t i = 0; i < certs->n_clients; i++) {
		SSL_CTX_free(certs->clients[i].ctx);
	}
	SSL_CTX_free(certs->server);
	weir_free_ptr(&certs->chains);
	weir_free_ptr(&certs->cas);
	weir_free_ptr(&certs->clients);
	weir_free_ptr(&certs);
}
