// SPDX-License-Identifier: Apache-2.0
#include "pem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define CERTS_MAX 512 /* in one text */

/* An encrypted key is refused; OpenSSL would ask on the terminal. */
static int no_password(char *buf, int size, int is_write, void *arg)
{
	(void)buf;
	(void)size;
	(void)is_write;
	(void)arg;
	return -1;
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_x509(X509 **cert)
{
	X509_free(*cert);
}

static void free_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static BIO *open_text(struct weir_str s)
{
	return s.n && s.n < INT_MAX ? BIO_new_mem_buf(s.p, (int)s.n) : NULL;
}

/* The certificates after the first: all that begins like one is one. */
static bool is_rest_good(BIO *bio)
{
	for (int i = 0; i < CERTS_MAX; i++) {
		__attribute__((cleanup(free_x509)))
		X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);

		if (!cert) {
			unsigned long e = ERR_peek_last_error();

			return ERR_GET_LIB(e) == ERR_LIB_PEM &&
			       ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
		}
	}
	return false;
}

static const char *check_pair(struct weir_str chain, struct weir_str key)
{
	__attribute__((cleanup(free_bio))) BIO *chain_bio = open_text(chain);
	__attribute__((cleanup(free_bio))) BIO *key_bio = open_text(key);
	__attribute__((cleanup(free_x509))) X509 *cert = NULL;
	__attribute__((cleanup(free_pkey))) EVP_PKEY *pkey = NULL;

	if (!chain_bio) {
		return "tls.crt is missing or empty";
	}
	if (!key_bio) {
		return "tls.key is missing or empty";
	}
	cert = PEM_read_bio_X509(chain_bio, NULL, no_password, NULL);
	if (!cert) {
		return "tls.crt holds no certificate in PEM";
	}
	if (!is_rest_good(chain_bio)) {
		return "tls.crt holds something behind its first certificate "
		       "that is none";
	}
	pkey = PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL);
	if (!pkey) {
		return "tls.key holds no private key in PEM, or it is "
		       "encrypted";
	}
	if (X509_check_private_key(cert, pkey) != 1) {
		return "tls.key is not the key of the certificate in tls.crt";
	}
	return NULL;
}

const char *weir_pem_check_pair(struct weir_str chain, struct weir_str key)
{
	const char *fault = check_pair(chain, key);

	ERR_clear_error();
	return fault;
}

const char *weir_pem_check_bundle(struct weir_str bundle)
{
	__attribute__((cleanup(free_bio))) BIO *bio = open_text(bundle);
	__attribute__((cleanup(free_x509))) X509 *cert = NULL;
	const char *fault = NULL;

	if (!bio) {
		return "is missing or empty";
	}
	cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
	if (!cert) {
		fault = "holds no certificate in PEM";
	} else if (!is_rest_good(bio)) {
		fault = "holds something behind its first certificate that is "
			"none";
	}
	ERR_clear_error();
	return fault;
}
