// SPDX-License-Identifier: Apache-2.0
/* Which node has an address: the same for everybody, shared evenly, and moved
 * no more than a change of the nodes asks for. */
#include "owner.h"

#include <stdio.h>

#include "tap.h"

#define ADDRESSES 4000

static struct weir_str nodes[] = {WEIR_STR("edge-1"), WEIR_STR("edge-2"),
				  WEIR_STR("edge-3"), WEIR_STR("edge-10")};

static struct weir_ip address(unsigned int i)
{
	char text[64];
	struct weir_ip ip;

	snprintf(text, sizeof(text), i % 2 ? "10.0.%u.%u" : "2001:db8::%x:%x",
		 i >> 8, i & 0xFF);
	must(weir_ip_parse(weir_str_of(text), &ip) == 0, "%s", text);
	return ip;
}

/* Agents of other versions compute the same: written down, never changed. */
static void scores_are_as_ever(void)
{
	static const struct {
		const char *node;
		const char *ip;
		uint64_t score;
	} want[] = {
		{"", "0.0.0.0", 0x4001B96326BE809F},
		{"edge-1", "192.0.2.1", 0x2E2BE313F1C82515},
		{"edge-2", "192.0.2.1", 0x662346E77FC4E67},
		{"edge-1", "2001:db8::1", 0xADC63B07645E4BA},
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct weir_ip ip;
		uint64_t score;

		must(weir_ip_parse(weir_str_of(want[i].ip), &ip) == 0, "%s",
		     want[i].ip);
		score = weir_owner_score(weir_str_of(want[i].node), &ip);
		ok(score == want[i].score, "%s %s: 0x%llX", want[i].node,
		   want[i].ip, (unsigned long long)score);
	}
}

static void order_does_not_matter(void)
{
	struct weir_str other[] = {nodes[2], nodes[3], nodes[0], nodes[1]};

	for (unsigned int i = 0; i < ADDRESSES; i++) {
		struct weir_ip ip = address(i);
		size_t a = weir_owner_choose(nodes, 4, &ip);
		size_t b = weir_owner_choose(other, 4, &ip);

		must(weir_str_eq(nodes[a], other[b]), "address %u", i);
	}
	ok(true, "-");
}

static void nobody_owns_without_nodes(void)
{
	struct weir_ip ip = address(1);

	ok(weir_owner_choose(NULL, 0, &ip) == WEIR_OWNER_NONE, "none");
	ok(weir_owner_choose(nodes, 1, &ip) == 0, "one");
}

static void addresses_are_shared_evenly(void)
{
	unsigned int n[4] = {0};

	for (unsigned int i = 0; i < ADDRESSES; i++) {
		struct weir_ip ip = address(i);

		n[weir_owner_choose(nodes, 4, &ip)]++;
	}
	for (int i = 0; i < 4; i++) {
		ok(n[i] > ADDRESSES / 4 * 9 / 10 &&
			   n[i] < ADDRESSES / 4 * 11 / 10,
		   "node %d has %u", i, n[i]);
	}
}

static void only_what_a_dead_node_had_moves(void)
{
	struct weir_str left[] = {nodes[0], nodes[1], nodes[3]};
	unsigned int moved = 0;

	for (unsigned int i = 0; i < ADDRESSES; i++) {
		struct weir_ip ip = address(i);
		size_t before = weir_owner_choose(nodes, 4, &ip);
		size_t after = weir_owner_choose(left, 3, &ip);

		if (before == 2) {
			moved++;
		} else {
			must(weir_str_eq(nodes[before], left[after]),
			     "address %u moved", i);
		}
	}
	ok(moved > 0, "%u", moved);
}

TAP_MAIN(TEST(scores_are_as_ever), TEST(order_does_not_matter),
	 TEST(nobody_owns_without_nodes), TEST(addresses_are_shared_evenly),
	 TEST(only_what_a_dead_node_had_moves))
