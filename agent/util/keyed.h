/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash for identities that others choose: without its key nobody can look
 * for two that collide.  The key is the process's own, so hashes are compared
 * within one process and never written down.
 */
#ifndef WEIR_UTIL_KEYED_H
#define WEIR_UTIL_KEYED_H

#include "str.h"

/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"). */
uint64_t weir_siphash(const uint64_t key[static 2], const void *p, size_t n);
/* With the key of this process.  before: the hash of what comes before it in
 * the same identity, or a number that tells kinds of them apart. */
uint64_t weir_keyed_hash(const void *p, size_t n, uint64_t before);

static inline uint64_t weir_keyed_str(struct weir_str s, uint64_t before)
{
	return weir_keyed_hash(s.p, s.n, before);
}

#endif
