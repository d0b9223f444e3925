/* SPDX-License-Identifier: Apache-2.0 */
#include "keyed.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void rounds(uint64_t v[static 4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static void take(uint64_t v[static 4], uint64_t m)
{
	v[3] ^= m;
	rounds(v, 2);
	v[0] ^= m;
}

uint64_t weir_siphash(const uint64_t key[static 2], const void *p, size_t n)
{
	uint64_t v[4] = {
		key[0] ^ 0x736F6D6570736575u, key[1] ^ 0x646F72616E646F6Du,
		key[0] ^ 0x6C7967656E657261u, key[1] ^ 0x7465646279746573u};
	const unsigned char *b = p;
	uint64_t last = (uint64_t)n << 56;
	uint64_t m;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&m, b, 8);
		take(v, le64toh(m));
	}
	for (size_t i = 0; i < n; i++) {
		last |= (uint64_t)b[i] << (8 * i);
	}
	take(v, last);
	v[2] ^= 0xFF;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t own_key[2];

static void draw(void)
{
	/* Fails only where the kernel has no such call: without a key that
	 * nobody knows there is nothing to go on with. */
	if (getentropy(own_key, sizeof(own_key)) < 0) {
		abort();
	}
}

uint64_t weir_keyed_hash(const void *p, size_t n, uint64_t before)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint64_t key[2];

	(void)pthread_once(&once, draw);
	key[0] = own_key[0] ^ before;
	key[1] = own_key[1];
	return weir_siphash(key, p, n);
}
