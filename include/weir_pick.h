/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Weighted choice, the one implementation of it: compiled into the BPF
 * programs, the proxy, weirctl and the tests.  Freestanding: no libc, no
 * floating point, no division on the choosing side.
 *
 * A row is an alias table (Walker 1977, built after Vose 1991) of n slots.
 * A 32-bit position x in [0, 2^32) selects slot (x * n) >> 32; what is left of
 * the product decides between the slot and its alias.  Shares are exact to
 * 2^-32 of the table.  A weight of 0 owns no part of the unit interval, so it
 * is never chosen; a weight above 0 always owns some.
 */
#ifndef WEIR_PICK_H
#define WEIR_PICK_H

#include <linux/types.h>

/* 2^32 divided by the golden ratio: the increment of lowest discrepancy. */
#define WEIR_WEYL_STEP 0x9E3779B9u

/* One slot of an alias row.  Written by user space before the row is
 * published, never changed afterwards. */
struct weir_slot {
	__u32 threshold; /* below it: this slot; else: alias. Units of 2^-32 */
	__u32 alias;     /* slot index in the same row, < n */
	__u32 group;     /* what is chosen: group id or WEIR_GROUP_* sentinel */
	__u32 stat;      /* counter index of the backendRef behind the slot */
};

_Static_assert(sizeof(struct weir_slot) == 16, "weir_slot is ABI");

/* Mix two words into a well-spread 32-bit one (murmur3's finaliser). */
static inline __attribute__((always_inline)) __u32 weir_mix32(__u32 a, __u32 b)
{
	__u32 h = a ^ (b * 0x85EBCA6Bu);

	h ^= h >> 16;
	h *= 0x85EBCA6Bu;
	h ^= h >> 13;
	h *= 0xC2B2AE35u;
	h ^= h >> 16;
	return h;
}

/*
 * The position of the n-th choice made through one counter.
 * counter: how many choices were made before; seed: differs per CPU or worker
 * and per row, so that rows in lock-step do not correlate.
 */
static inline __attribute__((always_inline)) __u32 weir_weyl(__u32 counter,
							     __u32 seed)
{
	return counter * WEIR_WEYL_STEP + seed;
}

/* Index below n for a position x; n = 0 gives 0. */
static inline __attribute__((always_inline)) __u32 weir_scale(__u32 x, __u32 n)
{
	return (__u32)(((__u64)x * n) >> 32);
}

/* What of x is left inside the part that weir_scale(x, n) chose. */
static inline __attribute__((always_inline)) __u32 weir_frac(__u32 x, __u32 n)
{
	return (__u32)((__u64)x * n);
}

#endif
