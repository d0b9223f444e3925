/* SPDX-License-Identifier: Apache-2.0 */
/* The wheel of deadlines, and the pool of blocks. */
#include <stdlib.h>

#include "block.h"
#include "due.h"
#include "tap.h"

#define N 500

struct item {
	struct weir_due due;
	uint64_t fired_ms;
	uint64_t want_ms;
};

static struct weir_wheel wheel;
static struct item items[N];
static uint64_t now;

static void on_due(struct weir_worker *w, struct weir_due *due)
{
	(void)w;
	((struct item *)(void *)due)->fired_ms = now;
}

static void fires_not_before_and_one_tick_late_at_most(void)
{
	now = 123456;
	weir_wheel_init(&wheel, now);
	srand(1);
	for (int i = 0; i < N; i++) {
		items[i] = (struct item){.due.fn = on_due};
		/* Beyond one turn of the wheel too. */
		items[i].want_ms = now + (uint64_t)(rand() % 60000);
		weir_due_arm(&wheel, &items[i].due, items[i].want_ms);
	}
	while (now < 123456 + 61000) {
		int ms = weir_wheel_timeout(&wheel, now);

		if (ms < 0) {
			break;
		}
		now += (uint64_t)ms;
		weir_wheel_run(NULL, &wheel, now);
	}
	for (int i = 0; i < N; i++) {
		ok(items[i].fired_ms >= items[i].want_ms &&
			   items[i].fired_ms <= items[i].want_ms + 32,
		   "item %d: %llu for %llu", i,
		   (unsigned long long)items[i].fired_ms,
		   (unsigned long long)items[i].want_ms);
	}
	ok(weir_wheel_timeout(&wheel, now) == -1, "nothing is left");
}

static void disarmed_never_fires(void)
{
	now = 1000;
	weir_wheel_init(&wheel, now);
	for (int i = 0; i < 3; i++) {
		items[i] = (struct item){.due.fn = on_due};
		weir_due_arm(&wheel, &items[i].due, 1100);
	}
	weir_due_disarm(&items[1].due);
	weir_due_disarm(&items[1].due);
	now = 1200;
	weir_wheel_run(NULL, &wheel, now);
	ok(items[0].fired_ms && !items[1].fired_ms && items[2].fired_ms,
	   "the others fire");
}

static void later_is_lazy_and_earlier_moves(void)
{
	now = 1000;
	weir_wheel_init(&wheel, now);
	items[0] = (struct item){.due.fn = on_due};
	weir_due_arm(&wheel, &items[0].due, 2000);
	weir_due_arm(&wheel, &items[0].due, 5000);
	ok(items[0].due.at_ms == 2000, "stays for its owner to look again");
	weir_due_arm(&wheel, &items[0].due, 1500);
	ok(items[0].due.at_ms == 1500, "moves forward");
	now = 1600;
	weir_wheel_run(NULL, &wheel, now);
	ok(items[0].fired_ms == 1600, "fires once");
}

static void long_sleep_skips_nothing(void)
{
	now = 1000;
	weir_wheel_init(&wheel, now);
	items[0] = (struct item){.due.fn = on_due};
	weir_due_arm(&wheel, &items[0].due, 40000);
	now = 10000000;
	weir_wheel_run(NULL, &wheel, now);
	ok(items[0].fired_ms == now, "found after many turns");
}

static void blocks_are_bounded_and_trimmed(void)
{
	struct weir_block *v[100];
	struct weir_blocks b;

	must(weir_blocks_init(&b, 64, 100) == 0, "memory");
	for (int i = 0; i < 94; i++) {
		v[i] = weir_block_get(&b);
		must(v[i], "block %d", i);
	}
	ok(!weir_block_get(&b), "the rest is a reserve");
	for (int i = 94; i < 100; i++) {
		v[i] = weir_block_get_last(&b);
		must(v[i], "block %d", i);
	}
	ok(!weir_block_get_last(&b), "the limit holds");
	for (int i = 0; i < 100; i++) {
		weir_block_put(&b, &v[i]);
		ok(!v[i], "taken away");
	}
	ok(b.n_used == 0 && b.n_free == 100, "all are free");
	for (int i = 0; i < 94; i++) {
		v[i] = weir_block_get(&b);
	}
	ok(!weir_block_get(&b), "what is free may be the reserve's");
	for (int i = 0; i < 94; i++) {
		weir_block_put(&b, &v[i]);
	}
	while (weir_blocks_trim(&b)) {
	}
	ok(b.n_free == WEIR_BLOCKS_KEPT, "trimmed to %u", b.n_free);
	weir_blocks_fini(&b);
	ok(b.n_free == 0, "gone");
}

TAP_MAIN(TEST(fires_not_before_and_one_tick_late_at_most),
	 TEST(disarmed_never_fires), TEST(later_is_lazy_and_earlier_moves),
	 TEST(long_sleep_skips_nothing), TEST(blocks_are_bounded_and_trimmed))
