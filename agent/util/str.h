/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointer and length, by value, not owning.  Nothing after the socket or the
 * file is NUL-terminated; copies live in an arena (arena.h).
 */
#ifndef WEIR_UTIL_STR_H
#define WEIR_UTIL_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct weir_str {
	const char *p;
	size_t n;
};

#define WEIR_STR(lit) ((struct weir_str){(lit), sizeof(lit) - 1})
#define WEIR_STR_NULL ((struct weir_str){NULL, 0})
/* For printf's "%.*s". */
#define WEIR_STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct weir_str weir_str_of(const char *z)
{
	return (struct weir_str){z, z ? strlen(z) : 0};
}

static inline bool weir_str_eq(struct weir_str a, struct weir_str b)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): n > 0 */
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool weir_str_is(struct weir_str a, const char *z)
{
	return weir_str_eq(a, weir_str_of(z));
}

/* Bytewise order; a prefix sorts before what it begins. */
int weir_str_cmp(struct weir_str a, struct weir_str b);
/* ASCII case-insensitive equality. */
bool weir_str_eq_nocase(struct weir_str a, struct weir_str b);
bool weir_str_starts(struct weir_str s, struct weir_str prefix);
bool weir_str_ends(struct weir_str s, struct weir_str suffix);
/* Index of the first c, or -1. */
ptrdiff_t weir_str_find(struct weir_str s, char c);
/* s without its first n bytes (all of them if n is larger). */
struct weir_str weir_str_skip(struct weir_str s, size_t n);
/* The word before the first separator, or all; *s: what is behind it. */
struct weir_str weir_str_word(struct weir_str *s, char separator);
/* At most n bytes of UTF-8, and no part of a character. */
struct weir_str weir_str_cut(struct weir_str s, size_t n);
/* Without leading and trailing blanks (space, tab). */
struct weir_str weir_str_trim(struct weir_str s);
/* Decimal digits only, no sign, no blank; -EINVAL, or -ERANGE above max. */
int weir_str_parse_u64(struct weir_str s, uint64_t max, uint64_t *ret_value);
/* 64-bit hash, not keyed: for tables built from configuration. */
uint64_t weir_hash64(const void *p, size_t n, uint64_t seed);

static inline uint64_t weir_str_hash(struct weir_str s, uint64_t seed)
{
	return weir_hash64(s.p, s.n, seed);
}

#endif
