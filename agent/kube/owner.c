// SPDX-License-Identifier: Apache-2.0
#include "owner.h"

/* FNV-1a, with the finalizer of MurmurHash3 to spread the last bytes. */
static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++) {
		h = (h ^ b[i]) * 0x100000001B3u;
	}
	return h;
}

uint64_t weir_owner_score(struct weir_str node, const struct weir_ip *ip)
{
	uint64_t h = fnv(0xCBF29CE484222325u, node.p, node.n);

	h = fnv(h, "", 1); /* where the name ends */
	h = fnv(h, ip, sizeof(*ip));
	h = (h ^ h >> 33) * 0xFF51AFD7ED558CCDu;
	h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53u;
	return h ^ h >> 33;
}

size_t weir_owner_choose(const struct weir_str *nodes, size_t n,
			 const struct weir_ip *ip)
{
	size_t best = WEIR_OWNER_NONE;
	uint64_t best_score = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t score = weir_owner_score(nodes[i], ip);

		/* Equal ones, once in 2^64: the first by name. */
		if (best == WEIR_OWNER_NONE || score > best_score ||
		    (score == best_score &&
		     weir_str_cmp(nodes[i], nodes[best]) < 0)) {
			best = i;
			best_score = score;
		}
	}
	return best;
}
