/* SPDX-License-Identifier: Apache-2.0 */
/* Ids that outlive plans. */
#include <arpa/inet.h>

#include "addr.h"
#include "cleanup.h"
#include "index.h"
#include "lookup.h"
#include "stamp.h"
#include "tap.h"
#include "writer.h"

#define QUARANTINE_MS 1000

/* Rules with these keys, each with one ref (key + 100) and one slot. */
static struct weir_plan *plan_of(const uint64_t *keys, size_t n)
{
	struct weir_writer w;
	struct weir_span rules;
	size_t size;
	void *block;

	weir_writer_init(&w, sizeof(struct weir_plan));
	rules = weir_writer_reserve(&w, n, sizeof(struct weir_rule));
	for (size_t i = 0; i < n; i++) {
		struct weir_ref ref = {.key = keys[i] + 100};
		struct weir_slot slot = {0};
		struct weir_rule rule = {.key = keys[i]};

		rule.refs = weir_writer_add(&w, &ref, 1, sizeof(ref));
		rule.slots = weir_writer_add(&w, &slot, 1, sizeof(slot));
		((struct weir_rule *)weir_writer_at(&w, rules))[i] = rule;
	}
	((struct weir_plan *)weir_writer_at(&w, (struct weir_span){0}))->rules =
		rules;
	must(weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, &size) == 0,
	     "built");
	return block;
}

/* Stamps and returns the id of the first rule. */
static uint32_t stamp(struct weir_ids *ids, const uint64_t *keys, size_t n,
		      uint64_t now_ms, uint32_t *ret_lost)
{
	_cleanup_free_ struct weir_plan *p = plan_of(keys, n);
	const struct weir_rule *r = weir_plan_at(p, p->rules);
	const struct weir_ref *ref = weir_plan_at(p, r->refs);
	const struct weir_slot *slot = weir_plan_at(p, r->slots);

	must(weir_ids_stamp(ids, p, NULL, 42, now_ms, ret_lost) == 0, "stamp");
	ok(p->generation == 42, "generation");
	ok(slot->stat == ref->stat, "the slot counts for its ref");
	return r->stat;
}

static struct weir_ids *ids_of(uint32_t max)
{
	const uint32_t v[_WEIR_IDS_MAX] = {max, max, max};
	struct weir_ids *ids;

	must(weir_ids_new(v, QUARANTINE_MS, &ids) == 0, "new");
	return ids;
}

static void id_stays_while_named(void)
{
	static const uint64_t both[] = {1, 2};
	static const uint64_t swapped[] = {2, 1};
	_cleanup_(weir_ids_free) struct weir_ids *ids = ids_of(10);
	uint32_t lost = 9;
	uint32_t one = stamp(ids, both, 2, 0, &lost);
	uint32_t two;

	ok(one > 0 && lost == 0, "from 1 on");
	two = stamp(ids, swapped, 2, 5000, &lost);
	ok(two > 0 && two != one, "another");
	ok(stamp(ids, both, 2, 9000, &lost) == one, "the same after all");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, one) == 1, "key behind the id");
	ok(weir_ids_key(ids, WEIR_IDS_REF, one) == 101, "refs have their own");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 9) == 0, "unused");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 10000) == 0, "out of range");
}

static void forgotten_id_rests_in_quarantine(void)
{
	static const uint64_t k[] = {1, 2, 3};
	_cleanup_(weir_ids_free) struct weir_ids *ids = ids_of(2);
	uint32_t lost;

	ok(stamp(ids, &k[0], 1, 100, &lost) == 1 && lost == 0, "first");
	ok(stamp(ids, &k[1], 1, 200, &lost) == 0, "space is full");
	ok(lost == 2, "rule and ref are lost, %u", lost);
	ok(stamp(ids, &k[1], 1, 200 + QUARANTINE_MS - 1, &lost) == 0,
	   "still in quarantine");
	ok(stamp(ids, &k[0], 1, 200 + QUARANTINE_MS - 1, &lost) == 1,
	   "who comes back meanwhile has it again");
	ok(stamp(ids, &k[1], 1, 5000, &lost) == 0, "forgotten anew");
	ok(stamp(ids, &k[2], 1, 5000 + QUARANTINE_MS, &lost) == 1,
	   "free afterwards");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 1) == 3, "and another's");
}

static void many_come_and_go(void)
{
	_cleanup_(weir_ids_free) struct weir_ids *ids = ids_of(1000);
	uint64_t keys[300];
	uint32_t lost = 0;

	for (uint64_t round = 0; round < 50; round++) {
		for (size_t i = 0; i < 300; i++) {
			keys[i] = round * 100 + i + 1;
		}
		must(stamp(ids, keys, 300, round * QUARANTINE_MS, &lost) < 1000,
		     "in range");
		must(lost == 0, "round %llu", (unsigned long long)round);
	}
}

static void endpoints_go_by_address(void)
{
	_cleanup_(weir_ids_free) struct weir_ids *ids = ids_of(10);
	struct weir_endpoint ep[3] = {{.port_be = htons(1)},
				      {.port_be = htons(2)},
				      {.port_be = htons(1)}};
	_cleanup_free_ struct weir_eps *eps = NULL;
	const struct weir_endpoint *e;
	struct weir_span set;
	struct weir_writer w;
	uint32_t lost;
	size_t size;
	void *block;
	uint32_t n;

	weir_writer_init(&w, sizeof(struct weir_eps));
	set = weir_writer_add(&w, ep, 3, sizeof(ep[0]));
	set = weir_writer_add(&w, &set, 1, sizeof(set));
	((struct weir_eps *)weir_writer_at(&w, (struct weir_span){0}))->sets =
		set;
	must(weir_writer_finish(&w, WEIR_EPS_MAGIC, &block, &size) == 0,
	     "built");
	eps = block;
	must(weir_ids_stamp(ids, NULL, eps, 7, 0, &lost) == 0, "built");
	e = weir_eps_of(eps, 0, &n);
	ok(n == 3 && eps->generation == 7, "stamped");
	ok(e[0].stat == e[2].stat, "same address, same id");
	ok(e[0].stat != e[1].stat, "another port, another id");
	ok(e[0].stat && e[1].stat, "none is 0");
}

static void adopted_ids_go_on(void)
{
	const uint64_t before[] = {7, 8, 9};
	const uint64_t changed[] = {9, 6};
	const uint64_t after[] = {5, 9, 6};
	_cleanup_(weir_ids_free) struct weir_ids *old = ids_of(100);
	_cleanup_(weir_ids_free) struct weir_ids *ids = ids_of(100);
	_cleanup_free_ struct weir_plan *p = plan_of(changed, 2);
	struct weir_eps none = {0};
	struct weir_plan_view view = {.rules = p, .eps = &none};
	uint32_t lost;

	stamp(old, before, 3, 10, &lost);
	must(weir_ids_stamp(old, p, NULL, 43, 20, &lost) == 0, "changed");

	must(weir_ids_adopt(ids, &view) == 0, "adopt");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 3) == 9, "9 was the third");
	ok(weir_ids_key(ids, WEIR_IDS_REF, 4) == 106, "6 the fourth");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 1) == 0, "7 is not known");
	ok(stamp(ids, after, 3, 30, &lost) == 1, "the lowest free one");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 3) == 9, "9 kept its id");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 4) == 6, "so did 6");
}

static void adopting_ids_beyond_the_space_counts_nothing(void)
{
	const uint64_t keys[] = {7, 8, 9};
	_cleanup_(weir_ids_free) struct weir_ids *old = ids_of(100);
	_cleanup_(weir_ids_free) struct weir_ids *ids = ids_of(3);
	_cleanup_free_ struct weir_plan *p = plan_of(keys, 3);
	struct weir_eps none = {0};
	struct weir_plan_view view = {.rules = p, .eps = &none};
	uint32_t lost;

	must(weir_ids_stamp(old, p, NULL, 1, 10, &lost) == 0, "stamp");
	must(weir_ids_adopt(ids, &view) == 0, "adopt");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 2) == 8, "inside");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 3) == 0, "outside");
	ok(stamp(ids, keys, 3, 30, &lost) == 1 && lost == 2, "%u lost", lost);
}

/* ------------------------------------------------- places in the proxy prefix
 */

/* Frontends at port 80 of these addresses, in order; a '!' before it: local. */
static struct weir_plan *plan_at(const char *const *addrs, size_t n)
{
	struct weir_frontend f[8] = {0};
	struct weir_span frontends;
	struct weir_span proxied;
	struct weir_writer w;
	size_t size;
	void *block;

	for (size_t i = 0; i < n; i++) {
		f[i].is_local = addrs[i][0] == '!';
		f[i].proto = IPPROTO_TCP;
		f[i].port_be = htons(80);
		must(weir_ip_parse(weir_str_of(addrs[i] + f[i].is_local),
				   &f[i].addr) == 0,
		     "address");
	}
	weir_writer_init(&w, sizeof(struct weir_plan));
	frontends = weir_writer_add(&w, f, n, sizeof(f[0]));
	proxied = weir_index_proxied(&w, frontends);
	must(weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, &size) == 0,
	     "built");
	((struct weir_plan *)block)->frontends = frontends;
	((struct weir_plan *)block)->proxied = proxied;
	return block;
}

static struct weir_ids *places_of(uint32_t max)
{
	const uint32_t v[_WEIR_IDS_MAX] = {[WEIR_IDS_PROXIED] = max};
	struct weir_ids *ids;

	must(weir_ids_new(v, QUARANTINE_MS, &ids) == 0, "new");
	return ids;
}

/* The place of the last; each that has one is found by it. */
static uint32_t place(struct weir_ids *ids, const char *const *addrs, size_t n,
		      uint64_t now_ms)
{
	_cleanup_free_ struct weir_plan *p = plan_at(addrs, n);
	const struct weir_frontend *f = weir_plan_at(p, p->frontends);
	uint32_t n_found = 0;
	uint32_t n_placed = 0;
	uint32_t lost;

	must(weir_ids_stamp(ids, p, NULL, 42, now_ms, &lost) == 0, "stamp");
	for (uint32_t i = 0; i < n; i++) {
		n_placed += f[i].proxy_index != 0;
	}
	for (uint32_t i = 1; i <= WEIR_PROXIED_MAX; i++) {
		const struct weir_frontend *found = weir_find_proxied(p, i);

		n_found += found && found->proxy_index == i;
	}
	ok(n_found == n_placed, "%u of %u found", n_found, n_placed);
	return f[n - 1].proxy_index;
}

#define PLACE(ids, now_ms, ...)                                                \
	place(ids, (const char *const[]){__VA_ARGS__},                         \
	      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),     \
	      now_ms)

static void a_place_stays_whoever_comes_and_goes(void)
{
	_cleanup_(weir_ids_free) struct weir_ids *ids = places_of(100);
	uint32_t mine = PLACE(ids, 10, "10.96.0.9");
	uint32_t other;

	ok(mine, "one");
	ok(PLACE(ids, 20, "10.96.0.1", "10.96.0.9") == mine,
	   "one before it came");
	other = PLACE(ids, 30, "10.96.0.9", "10.96.0.1");
	ok(other && other != mine, "which has another");
	ok(PLACE(ids, 40, "10.96.0.9") == mine, "and went");
	ok(PLACE(ids, 50, "10.96.0.9", "10.96.0.10") != other,
	   "its place is nobody's for a while");
	ok(PLACE(ids, 60, "10.96.0.9", "10.96.0.10", "10.96.0.1") == other,
	   "but its own");
	ok(PLACE(ids, 70, "10.96.0.9", "!10.96.0.11") == 0,
	   "a local one has none");
}

static void a_place_is_anothers_when_it_has_rested(void)
{
	_cleanup_(weir_ids_free) struct weir_ids *ids = places_of(2);

	ok(PLACE(ids, 10, "10.96.0.9") == 1, "the only one");
	ok(PLACE(ids, 20, "10.96.0.1") == 0, "is not free at once");
	ok(PLACE(ids, 20 + QUARANTINE_MS - 1, "10.96.0.1") == 0, "nor soon");
	ok(PLACE(ids, 20 + QUARANTINE_MS, "10.96.0.1") == 1, "then it is");
}

/* The plan after it was refused: it is the one before that serves. */
static void a_place_of_the_plan_in_force_does_not_rest(void)
{
	_cleanup_(weir_ids_free) struct weir_ids *ids = places_of(2);
	_cleanup_free_ struct weir_plan *p = plan_at(
		(const char *const[]){"10.96.0.9"}, 1);
	struct weir_eps none = {0};
	struct weir_plan_view view = {.rules = p, .eps = &none};
	uint32_t lost;

	must(weir_ids_stamp(ids, p, NULL, 1, 10, &lost) == 0 && lost == 0,
	     "stamp");
	ok(!weir_ids_are_resting(ids, WEIR_IDS_PROXIED), "none rests");
	ok(PLACE(ids, 20, "!10.96.0.1") == 0, "a plan without it");
	ok(weir_ids_are_resting(ids, WEIR_IDS_PROXIED), "it rests");
	must(weir_ids_renew(ids, &view) == 0, "which is refused");
	ok(!weir_ids_are_resting(ids, WEIR_IDS_PROXIED), "it does not");
	ok(PLACE(ids, 20 + QUARANTINE_MS, "10.96.0.2") == 0,
	   "its place is not another's, however long after");
	ok(PLACE(ids, 20 + 2 * QUARANTINE_MS, "10.96.0.2") == 1,
	   "but when a plan without it stays");
}

static void places_that_the_kernel_has_are_kept(void)
{
	_cleanup_(weir_ids_free) struct weir_ids *ids = places_of(5);
	struct weir_ip high, low;

	weir_ip_parse(WEIR_STR("10.96.0.9"), &high);
	weir_ip_parse(WEIR_STR("10.96.0.2"), &low);
	must(weir_ids_adopt_proxied(ids, &high, htons(80), IPPROTO_TCP, 4) == 0,
	     "adopt");
	must(weir_ids_adopt_proxied(ids, &low, htons(80), IPPROTO_TCP, 2) == 0,
	     "adopt");
	must(weir_ids_adopt_proxied(ids, &low, htons(81), IPPROTO_TCP, 5) == 0,
	     "beyond the prefix");
	ok(PLACE(ids, 10, "10.96.0.1", "10.96.0.9") == 4, "the high one");
	ok(PLACE(ids, 20, "10.96.0.9", "10.96.0.1") == 1, "a free one");
	ok(PLACE(ids, 30, "10.96.0.1", "10.96.0.9", "10.96.0.3") == 3,
	   "the other; 2 is in quarantine");
	ok(PLACE(ids, 40, "10.96.0.1", "10.96.0.9", "10.96.0.3", "10.96.0.2") ==
		   2,
	   "its own");
}

TAP_MAIN(TEST(id_stays_while_named), TEST(forgotten_id_rests_in_quarantine),
	 TEST(many_come_and_go), TEST(endpoints_go_by_address),
	 TEST(adopted_ids_go_on),
	 TEST(adopting_ids_beyond_the_space_counts_nothing),
	 TEST(a_place_stays_whoever_comes_and_goes),
	 TEST(a_place_is_anothers_when_it_has_rested),
	 TEST(a_place_of_the_plan_in_force_does_not_rest),
	 TEST(places_that_the_kernel_has_are_kept))
