/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open-addressing hash from a 64-bit key to a 64-bit value.  Keys are hashes
 * of identities (weir_hash64): two identities that collide in 64 bits are
 * taken for one, which at 10^6 entries happens once in 10^7 tables.  Where
 * that is not good enough, compare the identity behind the value.
 */
#ifndef WEIR_UTIL_MAP_H
#define WEIR_UTIL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Side by side: a look-up is one cache miss. */
struct weir_map_place {
	uint64_t key; /* 0: empty */
	uint64_t value;
};

struct weir_map {
	struct weir_map_place *places;
	size_t cap; /* power of two, or 0 */
	size_t n;
};

void weir_map_fini(struct weir_map *m);
/* Room for n entries, so that it does not grow one doubling after the other.
 * 0 or -ENOMEM. */
int weir_map_reserve(struct weir_map *m, size_t n);
/* Overwrites.  0 or -ENOMEM. */
int weir_map_put(struct weir_map *m, uint64_t key, uint64_t value);
bool weir_map_get(const struct weir_map *m, uint64_t key, uint64_t *ret_value);
/* False if it was not there. */
bool weir_map_del(struct weir_map *m, uint64_t key);
/* Iteration: start with *pos = 0; false at the end.  No changes meanwhile. */
bool weir_map_next(const struct weir_map *m, size_t *pos, uint64_t *ret_key,
		   uint64_t *ret_value);

#endif
