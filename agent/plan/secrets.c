/* SPDX-License-Identifier: Apache-2.0 */
#include "secrets.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "cleanup.h"

#define SEED 0x43455254u /* "CERT" */

uint64_t weir_secrets_hash(struct weir_str pem)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	uint64_t h;

	/* Who writes one Secret must not find text with the hash of another:
	 * what has the same hash is taken for the same. */
	if (!SHA256((const unsigned char *)pem.p, pem.n, digest)) {
		return weir_str_hash(pem, SEED);
	}
	memcpy(&h, digest, sizeof(h));
	return h;
}

/* n elements of size bytes, 8-byte aligned, behind the header. */
static bool span_ok(const struct weir_secrets *s, struct weir_span span,
		    size_t size, size_t align)
{
	if (span.n == 0) {
		return span.off <= s->size && span.off % align == 0;
	}
	return span.off >= sizeof(*s) && span.off % align == 0 &&
	       span.off <= s->size &&
	       (uint64_t)span.n * size <= s->size - span.off;
}

static bool text_ok(const struct weir_secrets *s, struct weir_span span)
{
	return span_ok(s, span, 1, 1);
}

static bool certs_ok(const struct weir_secrets *s, const struct weir_plan *p)
{
	if (!span_ok(s, s->certs, sizeof(struct weir_cert), 8) ||
	    s->certs.n != p->certs.n) {
		return false;
	}
	for (uint32_t i = 0; i < s->certs.n; i++) {
		const struct weir_cert *c = weir_secrets_cert(s, i);

		if (!text_ok(s, c->chain) || !text_ok(s, c->key) ||
		    c->hash != WEIR_PLAN_ELEM(p, struct weir_plan_cert,
					      p->certs, i)
				       ->hash) {
			return false;
		}
	}
	return true;
}

static bool cas_ok(const struct weir_secrets *s, const struct weir_plan *p)
{
	if (!span_ok(s, s->cas, sizeof(struct weir_ca), 8) ||
	    s->cas.n != p->cas.n) {
		return false;
	}
	for (uint32_t i = 0; i < s->cas.n; i++) {
		const struct weir_ca *c = weir_secrets_ca(s, i);

		if (!text_ok(s, c->bundle) ||
		    c->hash !=
			    WEIR_PLAN_ELEM(p, struct weir_plan_cert, p->cas, i)
				    ->hash) {
			return false;
		}
	}
	return true;
}

int weir_secrets_open(const void *block, size_t size,
		      const struct weir_plan *plan,
		      const struct weir_secrets **ret_secrets)
{
	const struct weir_secrets *s = block;

	if (size < offsetof(struct weir_secrets, certs) ||
	    (uintptr_t)block % 8 != 0 || s->magic != WEIR_SECRETS_MAGIC) {
		return -EBADMSG;
	}
	if (s->version != WEIR_PLAN_VERSION) {
		return -EPROTO;
	}
	if (s->header_size != sizeof(*s) || size < sizeof(*s) ||
	    s->size != size || size > UINT32_MAX || !certs_ok(s, plan) ||
	    !cas_ok(s, plan)) {
		return -EBADMSG;
	}
	*ret_secrets = s;
	return 0;
}

void weir_secrets_wipe(void **block, size_t n)
{
	if (*block) {
		explicit_bzero(*block, n);
	}
	weir_free_ptr(block);
}
