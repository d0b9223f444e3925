/* SPDX-License-Identifier: Apache-2.0 */
#include "str.h"

#include <errno.h>

int weir_str_cmp(struct weir_str a, struct weir_str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	if (r != 0) {
		return r;
	}
	return (a.n > b.n) - (a.n < b.n);
}

static inline unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool weir_str_eq_nocase(struct weir_str a, struct weir_str b)
{
	if (a.n != b.n) {
		return false;
	}
	for (size_t i = 0; i < a.n; i++) {
		if (lower((unsigned char)a.p[i]) !=
		    lower((unsigned char)b.p[i])) {
			return false;
		}
	}
	return true;
}

bool weir_str_starts(struct weir_str s, struct weir_str prefix)
{
	return s.n >= prefix.n &&
	       weir_str_eq((struct weir_str){s.p, prefix.n}, prefix);
}

bool weir_str_ends(struct weir_str s, struct weir_str suffix)
{
	return s.n >= suffix.n &&
	       weir_str_eq(weir_str_skip(s, s.n - suffix.n), suffix);
}

ptrdiff_t weir_str_find(struct weir_str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? at - s.p : -1;
}

struct weir_str weir_str_skip(struct weir_str s, size_t n)
{
	if (n > s.n) {
		n = s.n;
	}
	return (struct weir_str){s.p ? s.p + n : NULL, s.n - n};
}

struct weir_str weir_str_word(struct weir_str *s, char separator)
{
	ptrdiff_t at = weir_str_find(*s, separator);
	struct weir_str word = {s->p, at < 0 ? s->n : (size_t)at};

	*s = weir_str_skip(*s, word.n + 1);
	return word;
}

struct weir_str weir_str_cut(struct weir_str s, size_t n)
{
	if (s.n <= n) {
		return s;
	}
	/* Bytes of a character after its first are 10xxxxxx (RFC 3629). */
	while (n && (s.p[n] & 0xc0) == 0x80) {
		n--;
	}
	return (struct weir_str){s.p, n};
}

struct weir_str weir_str_trim(struct weir_str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s = weir_str_skip(s, 1);
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
		s.n--;
	}
	return s;
}

int weir_str_parse_u64(struct weir_str s, uint64_t max, uint64_t *ret_value)
{
	uint64_t v = 0;

	if (s.n == 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < s.n; i++) {
		unsigned d = (unsigned char)s.p[i] - '0';

		if (d > 9) {
			return -EINVAL;
		}
		if (v > (UINT64_MAX - d) / 10) {
			return -ERANGE;
		}
		v = v * 10 + d;
	}
	if (v > max) {
		return -ERANGE;
	}
	*ret_value = v;
	return 0;
}

static inline uint64_t mix(uint64_t h, uint64_t v)
{
	__uint128_t m;

	h ^= v;
	m = (__uint128_t)h * 0x9E3779B97F4A7C15u;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* The last n bytes before end, fewer than 8, as the first ones of a word.
 * size: of all there is. */
static inline uint64_t tail(const unsigned char *end, size_t n, size_t size)
{
	uint64_t v = 0;

	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && size >= 8) {
		/* One load, where copying n bytes would be a call. */
		memcpy(&v, end - 8, 8);
		return v >> (8 * (8 - n));
	}
	memcpy(&v, end - n, n);
	return v;
}

uint64_t weir_hash64(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *b = p;
	size_t size = n;
	uint64_t h = seed ^ (0xD6E8FEB86659FD93u + n);
	uint64_t v;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&v, b, 8);
		h = mix(h, v);
	}
	if (n) {
		h = mix(h, tail(b + n, n, size) + 1);
	}
	return mix(h, 0xA0761D6478BD642Fu);
}
