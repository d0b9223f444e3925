/* SPDX-License-Identifier: Apache-2.0 */
/* Gates before pods of limited concurrency: places, turns, plans. */
#include <pthread.h>
#include <string.h>

#include "gate.h"
#include "tap.h"

#define N_GROUPS 3

/* No more of a plan than gates look at. */
struct tiny {
	struct weir_plan head;
	struct weir_group groups[N_GROUPS];
};

static struct tiny plan_of(const uint64_t keys[N_GROUPS],
			   const uint32_t concurrency[N_GROUPS])
{
	struct tiny t;

	memset(&t, 0, sizeof(t));
	t.head.groups = (struct weir_span){offsetof(struct tiny, groups),
					   N_GROUPS};
	for (int i = 0; i < N_GROUPS; i++) {
		t.groups[i].key = keys[i];
		t.groups[i].concurrency = concurrency[i];
	}
	return t;
}

static void plans_share_gates_while_one_is_used(void)
{
	struct tiny one = plan_of((uint64_t[]){7, 8, 9}, (uint32_t[]){1, 0, 2});
	struct tiny none = plan_of((uint64_t[]){7, 8, 9},
				   (uint32_t[]){0, 0, 0});
	struct tiny moved = plan_of((uint64_t[]){9, 7, 8},
				    (uint32_t[]){2, 1, 0});
	struct weir_gates all = {0};
	struct weir_gate **a;
	struct weir_gate **b;
	struct weir_gate **c;

	ok(weir_gates_of(&all, &one.head, 2, &a) == 0, "first plan");
	ok(a[0] && !a[1] && a[2] && a[0] != a[2], "one for each limit");
	ok(weir_gates_of(&all, &none.head, 2, &b) == 0, "without limits");
	ok(!b, "none");
	ok(weir_gates_of(&all, &moved.head, 2, &c) == 0, "they come back");
	ok(c[1] == a[0] && c[0] == a[2] && !c[2],
	   "the same ones while the first plan is used");
	weir_gates_put(&a, N_GROUPS);
	ok(all.n == 2, "two are kept");
	weir_gates_put(&c, N_GROUPS);
	ok(weir_gates_of(&all, &none.head, 2, &b) == 0, "without limits");
	ok(all.n == 0, "what no plan has is forgotten");
	weir_gates_fini(&all);
}

static void a_gate_outlives_its_plan_for_who_holds_it(void)
{
	struct tiny one = plan_of((uint64_t[]){7, 8, 9}, (uint32_t[]){1, 0, 0});
	struct weir_gates all = {0};
	struct weir_gate **gates;
	struct weir_gate *held;

	ok(weir_gates_of(&all, &one.head, 2, &gates) == 0, "a plan");
	held = weir_gate_get(gates[0]);
	weir_gates_put(&gates, N_GROUPS);
	ok(weir_gates_of(&all, &one.head, 2, &gates) == 0, "another one");
	ok(gates[0] == held, "it is the same gate");
	weir_gates_put(&gates, N_GROUPS);
	weir_gates_fini(&all);
	ok(held->key == 7, "it is still there");
	weir_gate_put(&held);
	ok(!held, "and let go");
}

static void the_one_that_waits_longest_is_next(void)
{
	struct tiny one = plan_of((uint64_t[]){7, 8, 9}, (uint32_t[]){1, 0, 0});
	struct weir_gates all = {0};
	struct weir_gate **gates;
	struct weir_gate *g;

	ok(weir_gates_of(&all, &one.head, 3, &gates) == 0, "a plan");
	g = gates[0];
	ok(weir_gate_oldest(g) == WEIR_GATE_NOBODY, "nobody waits");
	weir_gate_wait(g, 2, 500);
	weir_gate_wait(g, 0, 700);
	ok(weir_gate_oldest(g) == 2, "the first of two");
	weir_gate_wait(g, 2, 900);
	ok(weir_gate_oldest(g) == 0, "it went; its next one came later");
	weir_gate_wait(g, 0, 0);
	ok(weir_gate_oldest(g) == 2, "one is left");
	weir_gate_wait(g, 2, 0);
	ok(weir_gate_oldest(g) == WEIR_GATE_NOBODY, "and none");
	weir_gates_put(&gates, N_GROUPS);
	weir_gates_fini(&all);
}

static void no_more_than_the_limit_are_taken(void)
{
	uint64_t n = 0;

	ok(weir_gate_take(&n, 2) && weir_gate_take(&n, 2), "two of two");
	ok(!weir_gate_take(&n, 2) && n == 2, "not a third, and none counted");
	n--;
	ok(weir_gate_take(&n, 2) && n == 2, "one that became free");
	n = UINT64_MAX;
	ok(weir_gate_take(&n, 1) && n == 0, "below 0 there is room");
	n = 5;
	ok(weir_gate_take(&n, UINT32_MAX) && n == 6, "the largest limit");
}

#define ROUNDS 100000

struct shared {
	uint64_t in_flight;
	uint64_t most;
	atomic_uint taken;
};

static void *take_and_give(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		if (weir_gate_take(&s->in_flight, 1)) {
			uint64_t n = __atomic_load_n(&s->in_flight,
						     __ATOMIC_RELAXED);

			/* Only who has the place writes. */
			s->most = n > s->most ? n : s->most;
			atomic_fetch_add(&s->taken, 1);
			__atomic_fetch_sub(&s->in_flight, 1, __ATOMIC_RELEASE);
		}
	}
	return NULL;
}

static void threads_never_share_a_place(void)
{
	static struct shared s;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		ok(pthread_create(&threads[i], NULL, take_and_give, &s) == 0,
		   "thread %d", i);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	ok(s.in_flight == 0, "all are given back");
	ok(s.most == 1, "never two at once");
	ok(s.taken > 0, "%u times", s.taken);
}

TAP_MAIN(TEST(plans_share_gates_while_one_is_used),
	 TEST(a_gate_outlives_its_plan_for_who_holds_it),
	 TEST(the_one_that_waits_longest_is_next),
	 TEST(no_more_than_the_limit_are_taken),
	 TEST(threads_never_share_a_place))
