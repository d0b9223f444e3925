// SPDX-License-Identifier: Apache-2.0
/* Publication against plain memory. */
#include "pool.h"
#include "tables_fake.h"

#define VIP "10.0.0.1:80"

static const struct mini_fe split[] = {
	{VIP, IPPROTO_TCP,
	 .refs = {{70, "a", "10.1.0.1:80 10.1.0.2:80"},
		  {30, "b", "10.1.0.3:80"}}},
};

static void a_plan_can_be_followed(void)
{
	static const struct mini_fe fes[] = {
		{VIP, IPPROTO_TCP,
		 .refs = {{70, "a", "10.1.0.1:80 10.1.0.2:80"},
			  {30, NULL, NULL},
			  {5, "none", NULL}}},
		{"10.0.0.2:53", IPPROTO_UDP, .refs = {{0, "a", NULL}}},
		{"10.0.0.3:80", IPPROTO_TCP, .is_http = true, .is_local = true},
		{"10.0.0.4:80", IPPROTO_TCP, .is_http = true, .proxy_index = 9},
		{"[fd00::1]:80", IPPROTO_TCP,
		 .refs = {{1, "six", "[fd01::1]:8"}}},
	};
	struct fake *f = fake_new(1000, 1000);

	ok(publish(f, fes, 4, 3, NULL) == 0, "IPv4 sorts differently");
	is(follow(f, VIP, IPPROTO_TCP),
	   "[10.1.0.1:80 10.1.0.2:80] [invalid] []");
	is(follow(f, "10.0.0.2:53", IPPROTO_UDP), "refuse");
	is(follow(f, "10.0.0.2:53", IPPROTO_TCP), "-");
	is(follow(f, "10.0.0.3:80", IPPROTO_TCP), "pass");
	is(follow(f, "10.0.0.4:80", IPPROTO_TCP), "proxy 9");
	ok(publish(f, fes + 4, 1, 4, NULL) == 0, "IPv6");
	is(follow(f, "[fd00::1]:80", IPPROTO_TCP), "[[fd01::1]:8]");
	is(follow(f, VIP, IPPROTO_TCP), "-");
	fake_free(f);
}

/* Its packets cost no more than those that are not weir's. */
static void the_packet_plane_does_not_look_for_frontends_of_the_proxy(void)
{
	static const struct mini_fe http[] = {
		{VIP, IPPROTO_TCP, .is_http = true, .is_local = true}};
	struct fake *f = fake_new(1000, 1000);

	must(publish(f, http, 1, 1, NULL) == 0, "local HTTP");
	is(follow(f, VIP, IPPROTO_TCP), "pass");
	ok(f->n_announced == 0, "nothing to look for");
	must(publish(f, split, 1, 2, NULL) == 0, "its route is a TCPRoute now");
	is(follow(f, VIP, IPPROTO_TCP),
	   "[10.1.0.1:80 10.1.0.2:80] [10.1.0.3:80]");
	ok(f->n_announced == 1, "it is looked for");
	fake_free(f);
}

/* The hooks cannot translate: each family's frontend has its own set. */
static void a_dual_stack_group_is_a_set_for_each_family(void)
{
#define DUAL "10.1.0.1:80 10.1.0.2:80 [fd01::1]:80"
	static const struct mini_fe fes[] = {
		{VIP, IPPROTO_TCP, .refs = {{1, "dual", DUAL}}},
		{"[fd00::1]:80", IPPROTO_TCP, .refs = {{1, "dual", DUAL}}},
		{"[fd00::2]:80", IPPROTO_TCP,
		 .refs = {{1, "four", "10.1.0.9:80"}}},
	};
	struct fake *f = fake_new(1000, 1000);

	must(publish(f, fes, 1, 1, NULL) == 0, "IPv4 alone");
	is(follow(f, VIP, IPPROTO_TCP), "[10.1.0.1:80 10.1.0.2:80]");
	must(publish(f, fes + 1, 2, 2, NULL) == 0, "IPv6 alone");
	is(follow(f, "[fd00::1]:80", IPPROTO_TCP), "[[fd01::1]:80]");
	is(follow(f, "[fd00::2]:80", IPPROTO_TCP), "[10.1.0.9:80]");
	fake_free(f);
}

static void an_equal_plan_writes_nothing(void)
{
	struct fake *f = fake_new(1000, 1000);
	struct weir_tables_usage before, after;
	uint32_t calls;

	publish(f, split, 1, 1, NULL);
	weir_tables_usage(f->tables, &before);
	calls = f->calls;
	publish(f, split, 1, 2, NULL);
	weir_tables_usage(f->tables, &after);
	ok(after.writes == before.writes && f->calls == calls, "%d writes",
	   (int)(after.writes - before.writes));
	ok(f->mem.svc[1].n == 1, "the row keeps its generation");
	fake_free(f);
}

static void endpoint_churn_leaves_the_row(void)
{
	static const struct mini_fe after[] = {
		{VIP, IPPROTO_TCP,
		 .refs = {{70, "a", "10.1.0.2:80 10.1.0.9:80"},
			  {30, "b", "10.1.0.3:80"}}},
	};
	struct fake *f = fake_new(1000, 1000);
	uint32_t row, set;
	uint64_t old_gen, kept_gen;

	publish(f, split, 1, 1, NULL);
	row = f->mem.svc[1].first;
	set = f->mem.set[1].first;
	old_gen = f->mem.epgen[1];
	kept_gen = f->mem.epgen[2];
	publish(f, after, 1, 2, NULL);
	ok(f->mem.svc[1].first == row, "row moved");
	ok(f->mem.set[1].first != set, "set was changed in place");
	ok(f->mem.epgen[1] != old_gen && !(f->mem.epgen[1] & 1),
	   "the endpoint that left must not be chosen");
	ok(f->mem.epgen[2] == kept_gen, "the one that stayed is untouched");
	is(follow(f, VIP, IPPROTO_TCP),
	   "[10.1.0.2:80 10.1.0.9:80] [10.1.0.3:80]");
	fake_free(f);
}

static void a_weight_edit_leaves_the_sets(void)
{
	static const struct mini_fe after[] = {
		{VIP, IPPROTO_TCP,
		 .refs = {{10, "a", "10.1.0.1:80 10.1.0.2:80"},
			  {90, "b", "10.1.0.3:80"}}},
	};
	struct fake *f = fake_new(1000, 1000);
	uint32_t first = 0, row;

	publish(f, split, 1, 1, NULL);
	first = f->mem.set[1].first;
	row = f->mem.svc[1].first;
	publish(f, after, 1, 2, NULL);
	ok(f->mem.set[1].first == first, "set moved");
	ok(f->mem.svc[1].first != row, "row was changed in place");
	ok(f->mem.svc[1].n == 2, "the new row carries its generation");
	fake_free(f);
}

static void what_was_reachable_rests_a_second(void)
{
	static const struct mini_fe other[] = {
		{"10.0.0.2:80", IPPROTO_TCP,
		 .refs = {{1, "c", "10.1.0.7:80 10.1.0.8:80"},
			  {1, "d", "10.1.0.9:80"}}},
	};
	struct weir_slot row[3];
	struct weir_ep eps[3];
	struct fake *f = fake_new(1000, 1000);
	uint32_t at_row, at_ep;

	publish(f, split, 1, 1, NULL);
	at_row = f->mem.svc[1].first;
	at_ep = f->mem.set[1].first - 1;
	memcpy(row, &f->mem.row[at_row], sizeof(row));
	memcpy(eps, &f->mem.ep[at_ep], sizeof(eps));
	for (uint64_t g = 2; g < 30; g++) {
		f->now_ms += 30;
		publish(f, g & 1 ? split : other, 1, g, NULL);
		ok(memcmp(row, &f->mem.row[at_row], sizeof(row)) == 0,
		   "row reused after %d ms", (int)f->now_ms);
		ok(memcmp(eps, &f->mem.ep[at_ep], sizeof(eps)) == 0,
		   "endpoints reused");
		ok(f->mem.set[1].n == 2, "a set is readable in limbo");
	}
	ok(f->barriers == 1, "no grace period was asked for (but at start)");
	f->now_ms += 2000;
	publish(f, other, 1, 31, NULL);
	publish(f, split, 1, 32, NULL);
	is(follow(f, VIP, IPPROTO_TCP),
	   "[10.1.0.1:80 10.1.0.2:80] [10.1.0.3:80]");
	fake_free(f);
}

static void a_full_pool_ends_limbo_by_barrier(void)
{
	static const struct mini_fe after[] = {
		{VIP, IPPROTO_TCP,
		 .refs = {{1, "a", "10.1.0.1:80 10.1.0.2:80"},
			  {2, "b", "10.1.0.3:80"}}},
	};
	struct fake *f = fake_new(1 + 6, 1000); /* two rows of three */

	for (uint64_t g = 1; g < 9; g++) {
		ok(publish(f, g & 1 ? split : after, 1, g, NULL) == 0,
		   "generation %d", (int)g);
	}
	ok(f->barriers > 3, "%u barriers", f->barriers);
	fake_free(f);
}

static void too_small_a_pool_keeps_the_old_plan(void)
{
	static const struct mini_fe big[] = {
		{VIP, IPPROTO_TCP,
		 .refs = {{1, "n1", "10.1.0.1:80"},
			  {1, "n2", "10.1.0.2:80"},
			  {1, "n3", "10.1.0.3:80"},
			  {1, "n4", "10.1.0.4:80"}}},
	};
	struct weir_tables_usage before, after;
	struct fake *f = fake_new(1 + 4, 1000);
	const char *what = NULL;

	publish(f, split, 1, 1, NULL);
	weir_tables_usage(f->tables, &before);
	ok(publish(f, big, 1, 2, &what) == -ENOSPC, "must not fit");
	ok(what && strcmp(what, "max_slots") == 0, "names the option: %s",
	   what ? what : "none");
	weir_tables_usage(f->tables, &after);
	ok(before.row_left == after.row_left &&
		   before.ep_left == after.ep_left &&
		   after.groups == before.groups,
	   "something was kept");
	is(follow(f, VIP, IPPROTO_TCP),
	   "[10.1.0.1:80 10.1.0.2:80] [10.1.0.3:80]");
	fake_free(f);

	f = fake_new(1000, 1 + 5);
	ok(publish(f, split, 1, 1, NULL) == 0, "five elements are enough");
	ok(publish(f, big, 1, 2, &what) == -ENOSPC &&
		   strcmp(what, "max_endpoints") == 0,
	   "names the option: %s", what);
	fake_free(f);
}

struct place_seen {
	uint32_t n;
	uint32_t by_last[256]; /* of the address, IPv4 */
};

static void see_place(void *arg, const struct weir_fe_key *key,
		      uint32_t proxy_index)
{
	struct place_seen *seen = arg;

	seen->n++;
	seen->by_last[ntohl(key->addr.a[3]) & 255] = proxy_index;
}

static void places_in_the_proxy_prefix_can_be_told(void)
{
	static const struct mini_fe fes[] = {
		{VIP, IPPROTO_TCP, .refs = {{70, "a", "10.1.0.1:80"}}},
		{"10.0.0.3:80", IPPROTO_TCP, .is_http = true, .is_local = true},
		{"10.0.0.4:80", IPPROTO_TCP, .is_http = true, .proxy_index = 9},
		{"10.0.0.5:80", IPPROTO_TCP, .proxy_index = 3,
		 .refs = {{70, "a", "10.1.0.1:80"}}},
	};
	struct place_seen seen = {0};
	struct fake *f = fake_new(1000, 1000);

	must(publish(f, fes, 4, 1, NULL) == 0, "published");
	weir_tables_free(&f->tables);
	must(weir_tables_new(&f->mem, &f->ops, &f->tables) == 0, "adopted");
	weir_tables_proxied(f->tables, see_place, &seen);
	ok(seen.n == 2 && seen.by_last[4] == 9 && seen.by_last[5] == 3,
	   "%u: %u and %u", seen.n, seen.by_last[4], seen.by_last[5]);
	fake_free(f);
}

static void nonsense_is_not_adopted(void)
{
	struct fake *f = fake_new(1000, 1000);
	static const uint32_t bad[] = {1000, 0xFFFFFFFF, 999};

	for (size_t i = 0; i < 3; i++) {
		publish(f, split, 1, 1 + i, NULL);
		weir_tables_free(&f->tables);
		f->mem.set[f->mem.row[f->mem.svc[f->fes[0].fe.fid].first + 1]
				   .group]
			.first = bad[i];
		ok(weir_tables_new(&f->mem, &f->ops, &f->tables) == -EUCLEAN,
		   "set at %u", bad[i]);
		ok(weir_tables_wipe(&f->mem, &f->ops) == 0, "wiped");
		must(weir_tables_new(&f->mem, &f->ops, &f->tables) == 0,
		     "fresh");
		is(follow(f, VIP, IPPROTO_TCP), "-");
	}
	fake_free(f);
}

static void a_held_port_is_not_taken(void)
{
	static const struct mini_fe local[] = {
		{VIP, IPPROTO_TCP, .is_local = true,
		 .refs = {{1, "a", "10.1.0.1:80"}}},
	};
	struct fake *f = fake_new(1000, 1000);

	f->is_taken = true;
	ok(publish(f, local, 1, 1, NULL) == 0, "published");
	is(follow(f, VIP, IPPROTO_TCP), "-");
	f->is_taken = false;
	weir_tables_recheck(f->tables);
	is(follow(f, VIP, IPPROTO_TCP), "[10.1.0.1:80]");
	f->is_taken = true;
	publish(f, local, 1, 2, NULL);
	is(follow(f, VIP, IPPROTO_TCP), "[10.1.0.1:80]");
	weir_tables_recheck(f->tables);
	is(follow(f, VIP, IPPROTO_TCP), "-");
	fake_free(f);
}

static void an_id_with_a_new_owner_starts_anew(void)
{
	struct fake *f = fake_new(1000, 1000);
	struct weir_ids *other;
	const uint32_t max[_WEIR_IDS_MAX] = {1000, 1000, 1000};
	static const struct mini_fe first[] = {
		{VIP, IPPROTO_TCP, .refs = {{1, "z", "10.1.0.99:80"}}},
	};
	uint64_t gen;

	publish(f, first, 1, 1, NULL);
	f->mem.epstat[1].opened = 5;
	gen = f->mem.epgen[1];
	/* A restarted agent that numbers from 1 again. */
	weir_ids_new(max, 1000, &other);
	weir_ids_free(&f->ids);
	f->ids = other;
	publish(f, split, 1, 2, NULL);
	ok(f->mem.epstat[1].opened == 0, "counts of another endpoint");
	ok(f->mem.epgen[1] != gen && (f->mem.epgen[1] & 1),
	   "cached picks of the other endpoint must notice");
	is(follow(f, VIP, IPPROTO_TCP),
	   "[10.1.0.1:80 10.1.0.2:80] [10.1.0.3:80]");
	fake_free(f);
}

/* Random plans, each one followed; a model says what must be found. */
static void random_edits_end_up_right(void)
{
	static const char *const sets[] = {
		"10.1.0.1:80", "10.1.0.1:80 10.1.0.2:80",
		"10.1.0.3:80 10.1.0.2:80 10.1.0.4:80", NULL};
	static const char *const shown[] = {
		"[10.1.0.1:80]", "[10.1.0.1:80 10.1.0.2:80]",
		"[10.1.0.3:80 10.1.0.2:80 10.1.0.4:80]", "[]"};
	struct fake *f = fake_new(200, 200);
	uint32_t seed = 1;

	for (uint64_t g = 1; g < 3000; g++) {
		static const char *const names[] = {"g0", "g1", "g2", "g3",
						    "g4", "g5", "g6", "g7"};
		struct mini_fe fes[8] = {0};
		char addr[8][32], want[8][64];
		size_t n = 0;

		for (uint32_t i = 0; i < 8; i++) {
			uint32_t set = weir_mix32(seed++, 7) % 4;

			snprintf(addr[i], sizeof(addr[i]), "10.0.0.%u:80", i);
			strcpy(want[i], "-");
			if (weir_mix32(seed++, 3) % 4 == 0) {
				continue;
			}
			strcpy(want[i], shown[set]);
			fes[n++] = (struct mini_fe){
				addr[i], IPPROTO_TCP,
				.refs = {{1 + seed % 3, names[i], sets[set]}}};
		}
		must(publish(f, fes, n, g, NULL) == 0, "generation %d", (int)g);
		for (uint32_t i = 0; i < 8; i++) {
			is(follow(f, addr[i], IPPROTO_TCP), want[i]);
		}
		f->now_ms += seed % 300;
		if (g % 97 == 0) { /* and the agent is replaced */
			weir_tables_free(&f->tables);
			must(weir_tables_new(&f->mem, &f->ops, &f->tables) == 0,
			     "adopted");
		}
	}
	fake_free(f);
}

static void a_pool_gives_back_what_it_took(void)
{
	struct weir_pool pool;
	uint32_t at[64], size[64];

	must(weir_pool_init(&pool, 1, 1000) == 0, "pool");
	memset(size, 0, sizeof(size));
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t k = weir_mix32(i, 1) % 64;

		if (size[k]) {
			weir_pool_release(&pool, at[k], size[k]);
			size[k] = 0;
		} else if (weir_pool_alloc(&pool, 1 + weir_mix32(i, 2) % 30,
					   &at[k]) == 0) {
			size[k] = 1 + weir_mix32(i, 2) % 30;
		}
		for (uint32_t a = 0; a < 64 && size[k]; a++) {
			ok(a == k || !size[a] || at[a] + size[a] <= at[k] ||
				   at[k] + size[k] <= at[a],
			   "runs overlap");
		}
	}
	for (uint32_t k = 0; k < 64; k++) {
		if (size[k]) {
			weir_pool_release(&pool, at[k], size[k]);
		}
	}
	ok(pool.n_free == 1 && pool.free[0].first == 1 &&
		   pool.free[0].n == 1000,
	   "one run again, not %zu", pool.n_free);
	ok(weir_pool_carve(&pool, 500, 10) == 0 &&
		   weir_pool_carve(&pool, 505, 1) == -EUCLEAN &&
		   weir_pool_carve(&pool, 490, 11) == -EUCLEAN &&
		   weir_pool_carve(&pool, 0, 2) == -EUCLEAN &&
		   weir_pool_carve(&pool, 1000, 2) == -EUCLEAN,
	   "carving");
	weir_pool_fini(&pool);
}

TAP_MAIN(TEST(a_plan_can_be_followed),
	 TEST(the_packet_plane_does_not_look_for_frontends_of_the_proxy),
	 TEST(a_dual_stack_group_is_a_set_for_each_family),
	 TEST(an_equal_plan_writes_nothing),
	 TEST(endpoint_churn_leaves_the_row),
	 TEST(a_weight_edit_leaves_the_sets),
	 TEST(what_was_reachable_rests_a_second),
	 TEST(a_full_pool_ends_limbo_by_barrier),
	 TEST(too_small_a_pool_keeps_the_old_plan),
	 TEST(places_in_the_proxy_prefix_can_be_told),
	 TEST(nonsense_is_not_adopted), TEST(a_held_port_is_not_taken),
	 TEST(an_id_with_a_new_owner_starts_anew),
	 TEST(random_edits_end_up_right), TEST(a_pool_gives_back_what_it_took))
