/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets block: certificates with their private keys, and bundles of
 * certificate authorities, as PEM.  It goes from the compiler through a sealed
 * memfd to the proxy and nowhere else: no dump, no log, no file.  Entry i is
 * named by index from the rules block, which repeats its hash; a pair of blocks
 * that do not belong together is refused.
 *
 * Whoever copies from it wipes the copy (weir_secrets_wipe).
 */
#ifndef WEIR_PLAN_SECRETS_H
#define WEIR_PLAN_SECRETS_H

#include "plan.h"

#define WEIR_SECRETS_MAGIC 0x43534557u /* "WESC" */

struct weir_cert {
	uint64_t hash;          /* weir_secrets_hash() of chain */
	struct weir_span chain; /* PEM: the certificate, then intermediates */
	struct weir_span key;   /* PEM, not encrypted */
};

struct weir_ca {
	uint64_t hash;           /* of bundle */
	struct weir_span bundle; /* PEM: one or more certificates */
};

struct weir_secrets {
	uint32_t magic;
	uint16_t version; /* WEIR_PLAN_VERSION */
	uint16_t header_size;
	uint64_t size;
	struct weir_span certs; /* struct weir_cert */
	struct weir_span cas;   /* struct weir_ca */
};

static inline struct weir_str weir_secrets_str(const struct weir_secrets *s,
					       struct weir_span span)
{
	return (struct weir_str){(const char *)s + span.off, span.n};
}

/* i < s->certs.n, i < s->cas.n. */
static inline const struct weir_cert *
weir_secrets_cert(const struct weir_secrets *s, uint32_t i)
{
	return (const struct weir_cert *)((const char *)s + s->certs.off) + i;
}

static inline const struct weir_ca *
weir_secrets_ca(const struct weir_secrets *s, uint32_t i)
{
	return (const struct weir_ca *)((const char *)s + s->cas.off) + i;
}

uint64_t weir_secrets_hash(struct weir_str pem);
/* Checks the block and that it belongs to plan (which is open): as many
 * entries, with the same hashes.  0, -EPROTO (version), or -EBADMSG. */
int weir_secrets_open(const void *block, size_t size,
		      const struct weir_plan *plan,
		      const struct weir_secrets **ret_secrets);
/* Overwrites n bytes so that the compiler may not leave it out, and frees the
 * block, which becomes NULL. */
void weir_secrets_wipe(void **block, size_t n);

#endif
