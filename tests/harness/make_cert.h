/* SPDX-License-Identifier: Apache-2.0 */
/* Self-signed certificates for tests, made when they run: no key is kept. */
#ifndef WEIR_TESTS_MAKE_CERT_H
#define WEIR_TESTS_MAKE_CERT_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "buf.h"
#include "cleanup.h"
#include "tap.h"

struct made_cert {
	struct weir_buf chain; /* PEM */
	struct weir_buf key;
};

static inline void made_cert_fini(struct made_cert *c)
{
	weir_buf_fini(&c->chain);
	weir_buf_fini(&c->key);
}

static inline void made_take(BIO *bio, struct weir_buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	must(n > 0, "PEM");
	weir_buf_add(out, p, (size_t)n);
	BIO_free(bio);
}

/* password NULL: the key is not encrypted. */
static inline void make_cert(const char *host, const char *password,
			     struct made_cert *ret_cert)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	BIO *chain_bio = BIO_new(BIO_s_mem());
	BIO *key_bio = BIO_new(BIO_s_mem());

	*ret_cert = (struct made_cert){0};
	must(key && cert && chain_bio && key_bio, "OpenSSL");
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)host, -1, -1, 0);
	X509_set_issuer_name(cert, name);
	must(X509_sign(cert, key, EVP_sha256()) > 0, "sign");
	must(PEM_write_bio_X509(chain_bio, cert) == 1, "certificate");
	must(PEM_write_bio_PrivateKey(
		     key_bio, key, password ? EVP_aes_128_cbc() : NULL, NULL, 0,
		     NULL, password ? (void *)(uintptr_t)password : NULL) == 1,
	     "key");
	made_take(chain_bio, &ret_cert->chain);
	made_take(key_bio, &ret_cert->key);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* Appends base64 in one line, as Secrets have it. */
static inline void put_base64(struct weir_buf *out, const struct weir_buf *in)
{
	unsigned char *text = calloc(1, in->n * 2 + 4);

	must(text != NULL, "memory");
	EVP_EncodeBlock(text, (const unsigned char *)in->p, (int)in->n);
	weir_buf_addz(out, (const char *)text);
	weir_free_ptr(&text);
}

#endif
