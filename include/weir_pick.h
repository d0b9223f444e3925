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

/* Index of the slot that position frac (weir_frac) of slot i means. */
static inline __attribute__((always_inline)) __u32
weir_slot_choose(const struct weir_slot *slot, __u32 i, __u32 frac)
{
	return frac < slot->threshold ? i : slot->alias;
}

/*
 * Keyed choice (affinity): weighted rendezvous hashing.  Each candidate draws
 * an exponential variate from hash(key, id) and the smallest one divided by its
 * weight wins, so a candidate's fate depends on no other: a changed weight, a
 * new or a lost candidate moves only keys to or from that candidate.
 *
 *	struct weir_keyed k = {0};
 *	for each candidate: weir_keyed_offer(&k, key, id, weight, index);
 *	k.weight == 0: nothing to choose; else k.index
 */
struct weir_keyed {
	__u32 cost;
	__u32 weight;
	__u32 id;
	__u32 index;
};

/*
 * -log2((h + 1/2) / 2^32) with 26 fraction bits, relative error below 5e-5
 * (2^-20 near 0).  No table: 1 - log2(1 + f) = (1 - f)(1 - f g(f)), which is
 * exact at both ends for any g; g here is its degree-4 interpolation at
 * Chebyshev nodes.
 */
static inline __attribute__((always_inline)) __u32 weir_neglog2(__u32 h)
{
	__u64 x = 2 * (__u64)h + 1; /* 33 bits, never 0 */
	__u32 e = 0;
	__u32 f;
	__s64 g;
	__u64 rest;

	e |= (x >> e >> 32 != 0) << 5;
	e |= (x >> e >> 16 != 0) << 4;
	e |= (x >> e >> 8 != 0) << 3;
	e |= (x >> e >> 4 != 0) << 2;
	e |= (x >> e >> 2 != 0) << 1;
	e |= (x >> e >> 1 != 0);
	f = (__u32)(x << (32 - e)); /* the leading 1 is cut off */
	g = 110343133;
	g = -417478697 + ((g * f) >> 32);
	g = 790707039 + ((g * f) >> 32);
	g = -1187856971 + ((g * f) >> 32);
	g = 1901184765 + ((g * f) >> 32);
	rest = (1ull << 32) - (((__u64)g * f) >> 32);
	rest = ((__u64)(__u32)~f * rest) >> 32;
	return ((32 - e) << 26) + (__u32)(rest >> 6);
}

/* id: stable identity of the candidate (not its place); weight 0: no
 * candidate.  The order of offers does not matter. */
static inline __attribute__((always_inline)) void
weir_keyed_offer(struct weir_keyed *k, __u32 key, __u32 id, __u32 weight,
		 __u32 index)
{
	__u32 cost = weir_neglog2(weir_mix32(weir_mix32(key, id), id));
	__u64 mine = (__u64)cost * k->weight;
	__u64 best = (__u64)k->cost * weight;

	if (weight == 0) {
		return;
	}
	if (k->weight == 0 || mine < best || (mine == best && id < k->id)) {
		k->cost = cost;
		k->weight = weight;
		k->id = id;
		k->index = index;
	}
}

/* Over arrays; weights NULL: all equal.  n where nothing can be chosen. */
static inline __attribute__((always_inline)) __u32
weir_pick_keyed(__u32 key, const __u32 *ids, const __u32 *weights, __u32 n)
{
	struct weir_keyed k = {0};

	for (__u32 i = 0; i < n; i++) {
		weir_keyed_offer(&k, key, ids[i], weights ? weights[i] : 1, i);
	}
	return k.weight ? k.index : n;
}

#ifndef __bpf__ /* building rows is user space's, and needs 128 bits */

#include <stdint.h>

typedef unsigned __int128 weir_alias_rest __attribute__((aligned(8)));

/* Slot index for position x; n > 0. */
static inline __u32 weir_pick_slot(const struct weir_slot *slots, __u32 n,
				   __u32 x)
{
	__u32 i = weir_scale(x, n);

	return weir_slot_choose(&slots[i], i, weir_frac(x, n));
}

/* Next i in [i, n) whose rest is (is_large) or is not at least total. */
static inline __u32 weir_alias_next(const weir_alias_rest *rest, __u32 n,
				    __u32 i, weir_alias_rest total,
				    int is_large)
{
	while (i < n && (rest[i] >= total) != is_large) {
		i++;
	}
	return i;
}

/*
 * Builds an alias row: slots[k].group = index of the k-th weight above 0.
 * weights: any 64-bit values, n of them, below 2^20; rest: scratch for n;
 * slots: room for n; stat is left 0.  Returns the number of slots: as many as
 * there are weights above 0, so 0 if all are 0.
 *
 * All in integers: in units of 1/n of the total every weight w is w * n, and a
 * slot holds total.  What does not fill its slot is topped up from one that
 * overflows.  Only thresholds are rounded, by less than 2^-32 of a slot; where
 * a part would be so small that no position falls into it, it gets one.
 */
static inline __u32 weir_alias_build(const uint64_t *weights, __u32 n,
				     weir_alias_rest *rest,
				     struct weir_slot *slots)
{
	weir_alias_rest total = 0;
	__u32 m = 0;
	__u32 small;
	__u32 large;
	__u32 scan;

	for (__u32 i = 0; i < n; i++) {
		if (weights[i]) {
			rest[m] = weights[i];
			total += weights[i];
			slots[m] = (struct weir_slot){.threshold = 0xFFFFFFFFu,
						      .alias = m,
						      .group = i};
			m++;
		}
	}
	for (__u32 i = 0; i < m; i++) {
		rest[i] *= m;
	}
	large = weir_alias_next(rest, m, 0, total, 1);
	small = weir_alias_next(rest, m, 0, total, 0);
	scan = small;
	/* The rests always sum to total times the slots not yet settled, so
	 * that a small one implies a large one, and at the end each large one
	 * fills its own slot exactly. */
	while (small < m && large < m) {
		__u64 threshold = (__u64)((rest[small] << 32) / total);
		__u32 giver = large;

		/* Positions step by m: the first m may all be missed. */
		slots[small].threshold = threshold < m ? m : (__u32)threshold;
		slots[small].alias = giver;
		rest[giver] -= total - rest[small];
		if (rest[giver] < total) {
			large = weir_alias_next(rest, m, giver + 1, total, 1);
		}
		if (rest[giver] < total && giver < scan) {
			small = giver; /* behind the scan: settle it now */
		} else {
			scan = weir_alias_next(rest, m, scan + 1, total, 0);
			small = scan;
		}
	}
	return m;
}

#endif

#endif
