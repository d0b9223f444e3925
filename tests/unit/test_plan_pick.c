/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of the one implementation of weighted choice (weir_pick.h). */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tap.h"
#include "weir_pick.h"

#define N_MAX 64

static struct weir_slot slots[N_MAX];
static weir_alias_rest rest[N_MAX];
static uint64_t weights[N_MAX];

/* xorshift64*: repeatable inputs. */
static uint64_t rng_state = 88172645463325252u;
static uint64_t rng(void)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * 2685821657736338717u;
}

static __u64 total_of(const uint64_t *w, __u32 n)
{
	__u64 total = 0;

	for (__u32 i = 0; i < n; i++) {
		total += w[i];
	}
	return total;
}

/* Share of weight i over the table, in units of 2^-32 of a slot (there are m
 * slots, so the whole is m * 2^32). */
static __u64 table_share(__u32 m, __u32 i)
{
	__u64 share = 0;

	for (__u32 k = 0; k < m; k++) {
		/* A slot that is its own alias is whole. */
		__u64 own = slots[k].alias == k ? 1ull << 32
						: slots[k].threshold;

		if (slots[k].group == i) {
			share += own;
		}
		if (slots[slots[k].alias].group == i) {
			share += (1ull << 32) - own;
		}
	}
	return share;
}

/* Positions below t in slot k of m: of the 2^32 x, those with
 * weir_scale(x, m) == k and weir_frac(x, m) < t. */
static __u64 positions(__u32 m, __u32 k, __u64 t)
{
	__u64 first = (((__u64)k << 32) + m - 1) / m; /* first x of slot k */
	__u64 f0 = first * m - ((__u64)k << 32);      /* its frac */

	return t <= f0 ? 0 : (t - f0 + m - 1) / m;
}

static void random_weights(__u32 n)
{
	for (__u32 i = 0; i < n; i++) {
		switch (rng() % 4) {
		case 0:
			weights[i] = 0;
			break;
		case 1:
			weights[i] = rng() % 101;
			break;
		case 2:
			weights[i] = rng() % 1000001;
			break;
		default:
			/* weight x percent of Knative, and beyond */
			weights[i] = rng() % 100000001;
			break;
		}
	}
}

static void shares_exact_over_the_table(void)
{
	for (int round = 0; round < 20000; round++) {
		__u32 n = 1 + (__u32)(rng() % N_MAX);
		__u64 total;
		__u32 m;

		random_weights(n);
		total = total_of(weights, n);
		m = weir_alias_build(weights, n, rest, slots);
		for (__u32 i = 0; total && i < n; i++) {
			/* |share / (m 2^32) - w / total| <= 2^-32 */
			__int128 is = (__int128)table_share(m, i) * total;
			__int128 want = ((__int128)weights[i] * m) << 32;
			__int128 off = is > want ? is - want : want - is;

			if (!ok(off <= (__int128)m * total,
				"weight %llu of %llu among %u",
				(unsigned long long)weights[i],
				(unsigned long long)total, n)) {
				return;
			}
		}
	}
}

static void weight_zero_never_chosen(void)
{
	for (int round = 0; round < 2000; round++) {
		__u32 n = 1 + (__u32)(rng() % N_MAX);
		__u32 m;

		random_weights(n);
		m = weir_alias_build(weights, n, rest, slots);
		for (__u32 k = 0; k < m; k++) {
			must(slots[k].alias < m, "alias in the row");
			must(slots[k].group < n, "group in range");
			must(weights[slots[k].group] > 0, "slot of weight 0");
		}
		for (int i = 0; m && i < 1000; i++) {
			__u32 s = weir_pick_slot(slots, m, (__u32)rng());

			must(weights[slots[s].group] > 0, "chose weight 0");
		}
	}
}

static void all_zero_gives_no_slots(void)
{
	memset(weights, 0, sizeof(weights));
	ok(weir_alias_build(weights, 7, rest, slots) == 0, "7 zeroes");
	ok(weir_alias_build(weights, 0, rest, slots) == 0, "nothing");
}

/* Every weight above 0 has positions, counted over all 2^32 of them. */
static void weight_above_zero_is_reachable(void)
{
	for (int round = 0; round < 5000; round++) {
		__u32 n = 1 + (__u32)(rng() % N_MAX);
		__u64 count[N_MAX] = {0};
		__u64 sum = 0;
		__u32 m;

		random_weights(n);
		if (round % 2) {
			weights[0] = 1;
			weights[n - 1] = 1ull << 50;
		}
		m = weir_alias_build(weights, n, rest, slots);
		for (__u32 k = 0; k < m; k++) {
			__u64 all = positions(m, k, 1ull << 32);
			__u64 own = positions(m, k, slots[k].threshold);

			count[slots[k].group] += own;
			count[slots[slots[k].alias].group] += all - own;
			sum += all;
		}
		must(m == 0 || sum == 1ull << 32, "all positions counted");
		for (__u32 i = 0; i < n; i++) {
			must((weights[i] > 0) == (count[i] > 0),
			     "weight %llu has %llu positions",
			     (unsigned long long)weights[i],
			     (unsigned long long)count[i]);
		}
	}
}

static void one_in_a_million_works(void)
{
	const uint64_t w[2] = {1, 1000000};
	__u64 hits[2] = {0};
	__u32 m = weir_alias_build(w, 2, rest, slots);

	must(m == 2, "two slots");
	for (__u32 i = 0; i < 20000020; i++) {
		__u32 s = weir_pick_slot(slots, m, weir_weyl(i, 12345));

		hits[slots[s].group]++;
	}
	ok(hits[0] >= 18 && hits[0] <= 22, "about 20 of 20 000 020, were %llu",
	   (unsigned long long)hits[0]);
}

static void single_weight_takes_all(void)
{
	const uint64_t w[3] = {0, 5, 0};
	__u32 m = weir_alias_build(w, 3, rest, slots);

	ok(m == 1, "one slot");
	ok(slots[0].group == 1, "of the only weight");
	ok(weir_pick_slot(slots, m, 0xFFFFFFFFu) == 0, "at the very end too");
}

static void same_weights_same_row(void)
{
	struct weir_slot before[N_MAX];
	__u32 m;

	random_weights(N_MAX);
	m = weir_alias_build(weights, N_MAX, rest, slots);
	memcpy(before, slots, sizeof(before));
	memset(slots, 0xAA, sizeof(slots));
	memset(rest, 0xAA, sizeof(rest));
	ok(weir_alias_build(weights, N_MAX, rest, slots) == m, "length");
	ok(memcmp(before, slots, m * sizeof(slots[0])) == 0, "bytes");
}

/* 500 choices at 70/30, spread over CPUs that each count for themselves. */
static void samples_of_500_stay_within_5_points(void)
{
	static const uint64_t w[2] = {70, 30};
	static const unsigned cpus[] = {1, 2, 4, 8};
	__u32 m = weir_alias_build(w, 2, rest, slots);

	for (size_t c = 0; c < sizeof(cpus) / sizeof(cpus[0]); c++) {
		unsigned misses = 0;

		for (__u32 rep = 0; rep < 1000; rep++) {
			__u32 counter[8];
			unsigned first = 0;

			for (__u32 k = 0; k < cpus[c]; k++) {
				counter[k] = (__u32)rng();
			}
			for (int i = 0; i < 500; i++) {
				__u32 k = (__u32)(rng() % cpus[c]);
				__u32 x = weir_weyl(counter[k]++,
						    weir_mix32(k, rep));
				__u32 s = weir_pick_slot(slots, m, x);

				first += slots[s].group == 0;
			}
			misses += first < 325 || first > 375;
		}
		ok(misses == 0, "%u of 1000 repetitions on %u CPUs missed",
		   misses, cpus[c]);
	}
}

/* Level 2 has its own counter per group: inside what level 1 gave a group,
 * every endpoint gets its share.  Level 1's position reused would not. */
static void level_2_independent_of_level_1(void)
{
	static const uint64_t w[2] = {90, 10};
	enum { N_EP = 8, N = 100000 };
	__u32 m = weir_alias_build(w, 2, rest, slots);
	__u32 own[2][N_EP] = {{0}};
	__u32 reused[N_EP] = {0};
	__u32 counter2[2] = {0};
	__u32 total[2] = {0};
	bool has_hole = false;

	for (__u32 i = 0; i < N; i++) {
		__u32 x = weir_weyl(i, weir_mix32(0, 7));
		__u32 g = slots[weir_pick_slot(slots, m, x)].group;
		__u32 x2 = weir_weyl(counter2[g]++, weir_mix32(0, 100 + g));

		own[g][weir_scale(x2, N_EP)]++;
		total[g]++;
		if (g == 1) {
			reused[weir_scale(x, N_EP)]++;
		}
	}
	for (int g = 0; g < 2; g++) {
		for (int e = 0; e < N_EP; e++) {
			double want = (double)total[g] / N_EP;

			ok(fabs(own[g][e] - want) < want * 0.01 + 2,
			   "group %d endpoint %d: %u of %u", g, e, own[g][e],
			   total[g]);
		}
	}
	for (int e = 0; e < N_EP; e++) {
		has_hole |= reused[e] == 0;
	}
	ok(has_hole, "the check can fail: a reused position starves endpoints");
}

/* ------------------------------------------------------------------- keyed */

#define KEYS 20000

static void neglog2_is_close(void)
{
	double worst = 0;

	for (int i = 0; i < 2000000; i++) {
		__u32 h = (__u32)rng();
		double is = weir_neglog2(h) / (double)(1u << 26);
		double want = 32 - log2(h + 0.5);
		double error = fabs(is - want) / (want > 1e-3 ? want : 1e-3);

		worst = error > worst ? error : worst;
	}
	ok(worst < 5e-5, "relative error %g", worst);
	ok(weir_neglog2(0) + 1 == 33u << 26, "h = 0 is 33, less one unit");
	ok(weir_neglog2(0xFFFFFFFFu) < 2, "the largest h is almost 0");
}

static void neglog2_never_rises(void)
{
	__u32 last = weir_neglog2(0);

	for (__u64 h = 0; h <= 0xFFFFFFFFu; h += 4099) {
		__u32 is = weir_neglog2((__u32)h);

		must(is <= last, "at %llu", (unsigned long long)h);
		last = is;
	}
}

/* Keys that move between two configurations, and those that move although
 * neither end of the move was changed (must be none). */
static void moved(const __u32 *ids, const __u32 *before, const __u32 *after,
		  __u32 n, __u32 *ret_moved, __u32 *ret_needless)
{
	*ret_moved = 0;
	*ret_needless = 0;
	for (__u32 key = 0; key < KEYS; key++) {
		__u32 a = weir_pick_keyed(key * 2654435761u, ids, before, n);
		__u32 b = weir_pick_keyed(key * 2654435761u, ids, after, n);

		if (a != b) {
			/* Away from what shrank, or to what grew. */
			bool has_cause = after[a] < before[a] ||
					 after[b] > before[b];

			(*ret_moved)++;
			*ret_needless += !has_cause;
		}
	}
}

static void keyed_moves_only_what_it_must(void)
{
	static const struct {
		const char *name;
		__u32 n;
		__u32 before[12];
		__u32 after[12];
		double min_percent; /* sum of grown shares */
		double max_percent;
	} cases[] = {
		{"nothing", 3, {1, 2, 3}, {1, 2, 3}, 0, 0},
		{"90/10 to 80/20", 2, {90, 10}, {80, 20}, 10, 10},
		{"scaled", 3, {1, 2, 3}, {10, 20, 30}, 0, 0.1},
		{"one of ten removed",
		 10,
		 {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		 {1, 1, 1, 0, 1, 1, 1, 1, 1, 1},
		 10,
		 10},
		{"one of ten added",
		 10,
		 {1, 1, 1, 1, 1, 1, 1, 1, 1, 0},
		 {1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		 10,
		 10},
		{"five equal to 10/20/20/20/30",
		 5,
		 {20, 20, 20, 20, 20},
		 {10, 20, 20, 20, 30},
		 10,
		 17},
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		__u32 ids[12];
		__u32 n_moved;
		__u32 needless;
		double percent;

		for (__u32 i = 0; i < 12; i++) {
			ids[i] = weir_mix32(i, (__u32)c + 77);
		}
		moved(ids, cases[c].before, cases[c].after, cases[c].n,
		      &n_moved, &needless);
		percent = n_moved * 100.0 / KEYS;
		ok(percent >= cases[c].min_percent - 1 &&
			   percent <= cases[c].max_percent + 1,
		   "%s: %.1f %% moved", cases[c].name, percent);
		ok(needless == 0 || c == 2, "%s: %u moved without cause",
		   cases[c].name, needless);
	}
}

static void keyed_shares_follow_weights(void)
{
	static const __u32 w[4] = {1, 10, 100, 1000};
	static const __u32 ids[4] = {11, 22, 33, 44};
	__u32 hits[4] = {0};

	for (__u32 key = 0; key < 1111000; key++) {
		hits[weir_pick_keyed(key, ids, w, 4)]++;
	}
	for (int i = 0; i < 4; i++) {
		double want = 1000.0 * w[i];

		ok(fabs(hits[i] - want) < 5 * sqrt(want),
		   "weight %u got %u, expected %.0f", w[i], hits[i], want);
	}
}

static void keyed_order_does_not_matter(void)
{
	static const __u32 ids[5] = {5, 9, 2, 7, 1};
	static const __u32 w[5] = {3, 0, 4, 1, 1};

	for (__u32 key = 0; key < 10000; key++) {
		__u32 at = (__u32)(rng() % 5);
		struct weir_keyed k = {0};

		for (__u32 i = 0; i < 5; i++) {
			__u32 j = (at + i) % 5;

			weir_keyed_offer(&k, key, ids[j], w[j], j);
		}
		must(k.index == weir_pick_keyed(key, ids, w, 5), "key %u", key);
		must(k.index != 1, "weight 0 chosen");
	}
}

static void keyed_without_candidates(void)
{
	static const __u32 ids[2] = {1, 2};
	static const __u32 w[2] = {0, 0};

	ok(weir_pick_keyed(1, ids, w, 2) == 2, "all weights 0");
	ok(weir_pick_keyed(1, ids, NULL, 0) == 0, "none");
}

TAP_MAIN(TEST(shares_exact_over_the_table), TEST(weight_zero_never_chosen),
	 TEST(all_zero_gives_no_slots), TEST(weight_above_zero_is_reachable),
	 TEST(one_in_a_million_works), TEST(single_weight_takes_all),
	 TEST(same_weights_same_row), TEST(samples_of_500_stay_within_5_points),
	 TEST(level_2_independent_of_level_1), TEST(neglog2_is_close),
	 TEST(neglog2_never_rises), TEST(keyed_moves_only_what_it_must),
	 TEST(keyed_shares_follow_weights), TEST(keyed_order_does_not_matter),
	 TEST(keyed_without_candidates))
