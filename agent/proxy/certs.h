/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan's secrets are to OpenSSL: parsed once when the plan comes, by the
 * control thread, and shared by all workers.  What did not change is taken over
 * from the plan before; connections hold what they began with.
 */
#ifndef WEIR_PROXY_CERTS_H
#define WEIR_PROXY_CERTS_H

#include <openssl/ssl.h>

#include "secrets.h"

struct weir_plan_ref;

struct weir_cert_chain {
	uint64_t hash;
	X509 *cert; /* NULL: not to be used */
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* intermediates */
};

struct weir_ca_bundle {
	uint64_t hash;
	STACK_OF(X509) * certs;
};

/* A way to speak TLS to backends. */
struct weir_tls_client {
	SSL_CTX *ctx;
	uint64_t key;     /* the same for what asks for the same; not 0 */
	uint64_t made_of; /* which authorities of the system, if it has them */
};

struct weir_certs {
	SSL_CTX *server;
	struct weir_cert_chain *chains; /* by index among weir_plan.certs */
	uint32_t n_chains;
	struct weir_ca_bundle *cas; /* by index among weir_plan.cas */
	uint32_t n_cas;
	/* By index among weir_plan.backend_tls. */
	struct weir_tls_client *clients;
	uint32_t n_clients;
};

/* before: of the plan before, or NULL.  0 or -errno; a certificate that cannot
 * be used is no error of the plan. */
int weir_certs_new(const struct weir_plan *plan,
		   const struct weir_secrets *secrets,
		   const struct weir_certs *before,
		   struct weir_certs **ret_certs);
/* *certs may be NULL, and is afterwards. */
void weir_certs_free(struct weir_certs **certs);

#endif
