/* SPDX-License-Identifier: Apache-2.0 */
/* agent/daemon/memory: how long what is remembered. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "memory.h"
#include "tap.h"

static struct weir_memory m;
static uint64_t now = 1000000;

static void sleepers(uint64_t *keys, uint32_t n)
{
	const struct weir_verdicts v = {.asleep = keys, .n_asleep = n};

	weir_memory_learn(&m, now, &v);
}

static void formers(struct weir_ip *addrs, uint32_t n)
{
	const struct weir_verdicts v = {.formers = addrs, .n_formers = n};

	weir_memory_learn(&m, now, &v);
}

static struct weir_compile_memory recall(void)
{
	struct weir_compile_memory out;

	must(weir_memory_recall(&m, now, NULL, &out) == 0, "recall");
	return out;
}

static bool rests(uint64_t key)
{
	struct weir_compile_memory out = recall();

	for (size_t i = 0; i < out.n_restless; i++) {
		if (out.restless[i] == key) {
			return true;
		}
	}
	return false;
}

/* As the control loop does it. */
static void pass(uint64_t ms)
{
	now += ms;
}

static void a_rule_rests_from_its_waking(void)
{
	uint64_t key[] = {7};

	ok(!rests(7) && weir_memory_due(&m, now) == 0, "nothing is known");
	sleepers(key, 1);
	ok(rests(7), "asleep");
	ok(weir_memory_due(&m, now) == 0, "nothing happens by itself");
	pass(3600000);
	ok(rests(7), "however long");
	sleepers(NULL, 0);
	ok(rests(7), "awake");
	ok(weir_memory_due(&m, now) == WEIR_REST_FIRST_MS, "for so long");
	pass(WEIR_REST_FIRST_MS - 1);
	ok(rests(7), "still");
	pass(1);
	ok(!rests(7), "done");
	sleepers(NULL, 0);
	ok(weir_memory_due(&m, now) == 0, "nothing to wait for");
	weir_memory_fini(&m);
}

static void longer_when_it_goes_to_and_fro(void)
{
	uint64_t key[] = {7};
	uint64_t want = WEIR_REST_FIRST_MS;

	for (int i = 0; i < 10; i++) {
		sleepers(key, 1);
		pass(500);
		sleepers(key, 1); /* of another compilation meanwhile */
		sleepers(NULL, 0);
		ok(weir_memory_due(&m, now) == want, "flap %d: %llu", i,
		   (unsigned long long)weir_memory_due(&m, now));
		pass(i % 2 ? 100 : want + 100);
		want = want * 2 < WEIR_REST_MAX_MS ? want * 2
						   : WEIR_REST_MAX_MS;
	}
	pass(4 * (uint64_t)WEIR_REST_MAX_MS);
	sleepers(NULL, 0);
	ok(m.n_rests == 0, "calm for long enough: forgotten");
	sleepers(key, 1);
	sleepers(NULL, 0);
	ok(weir_memory_due(&m, now) == WEIR_REST_FIRST_MS, "from the start");
	weir_memory_fini(&m);
}

static void many_are_kept_apart(void)
{
	uint64_t all[] = {3, 5, 9};
	uint64_t two[] = {3, 9};

	sleepers(all, 3);
	sleepers(two, 2);
	pass(WEIR_REST_FIRST_MS);
	ok(rests(3) && !rests(5) && rests(9), "only 5 is awake");
	sleepers(all + 1, 1);
	pass(WEIR_REST_FIRST_MS);
	ok(!rests(3) && rests(5) && !rests(9), "only 5 is not");
	ok(recall().n_restless == 1, "one");
	weir_memory_fini(&m);
}

static void an_address_lapses(void)
{
	struct weir_ip addrs[] = {{{0, 0, 0, 1}}, {{0, 0, 0, 2}}};

	formers(addrs, 1);
	ok(recall().n_lapsed == 0, "served");
	ok(weir_memory_due(&m, now) == WEIR_FORMER_MS, "for so long");
	pass(WEIR_FORMER_MS / 2);
	formers(addrs, 2);
	ok(weir_memory_due(&m, now) == WEIR_FORMER_MS / 2,
	   "another does not lengthen it");
	pass(WEIR_FORMER_MS / 2);
	must(recall().n_lapsed == 1, "one lapsed");
	ok(!memcmp(recall().lapsed, &addrs[0], sizeof(addrs[0])), "the first");
	formers(addrs + 1, 1);
	ok(recall().n_lapsed == 0, "told, forgotten");
	pass(WEIR_FORMER_MS / 2);
	ok(recall().n_lapsed == 1, "the second");
	ok(weir_memory_due(&m, now) == 0, "and known to the compilation");
	formers(NULL, 0);
	ok(recall().n_lapsed == 0, "nothing left");
	weir_memory_fini(&m);
}

TAP_MAIN(TEST(a_rule_rests_from_its_waking),
	 TEST(longer_when_it_goes_to_and_fro), TEST(many_are_kept_apart),
	 TEST(an_address_lapses))
