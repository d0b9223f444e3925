// SPDX-License-Identifier: Apache-2.0
/*
 * The table of flows over time: what ends by silence, what is counted then, and
 * what becomes of it all when the table is full.
 */
#include "packet_world.h"

static uint64_t coarse_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * WEIR_SECOND_NS + (uint64_t)t.tv_nsec;
}

static uint32_t reap_key(const struct weir_flow_key *key, uint64_t now)
{
	struct {
		uint32_t n, removed;
		uint64_t now;
	} ctx = {.n = 1, .now = now};
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx,
			    .ctx_size_in = sizeof(ctx));

	put_elem(reap->maps.weir_reapq, 0, key);
	must(bpf_prog_test_run_opts(bpf_program__fd(reap->progs.weir_reap),
				    &opts) == 0,
	     "reap: %s", strerror(errno));
	return ctx.removed;
}

static void silent_flows_are_reaped_whole(void)
{
	struct weir_flow_key key = {.proto = IPPROTO_TCP};
	const char *client = "192.0.2.21:5100";
	uint64_t now = coarse_ns();
	char vip[64];
	struct weir_tuple out;
	struct spec p;
	int before = count_flows();
	uint32_t id;

	strcpy(vip, fresh(false));
	id = add_frontend(vip, IPPROTO_TCP, REMOTE4, false, 0);
	out = snat_out(client, vip, REMOTE4);
	ok(count_flows() == before + 4, "four entries");
	p = tcp(REMOTE4, client, SYN | ACK);
	reverse_of(&out, &p.t);
	becomes(ingress(), ext, &p, tuple(REMOTE4, client));
	p = tcp(REMOTE4, client, SYN | ACK);
	becomes(egress(), ext, &p, tuple(vip, client));
	key.from = tuple(client, vip);
	ok(reap_key(&key, now + 7000 * WEIR_SECOND_NS) == 0,
	   "established, but gone before two hours");
	/* Parts of a living flow stay whatever their age. */
	reverse_of(&out, &key.from);
	ok(reap_key(&key, now + 8000 * WEIR_SECOND_NS) == 0, "UNSNAT went");
	key.from = tuple(REMOTE4, client);
	key.dir = WEIR_DIR_EGRESS;
	ok(reap_key(&key, now + 8000 * WEIR_SECOND_NS) == 0, "REVERSE went");
	key.from = tuple(client, vip);
	key.dir = WEIR_DIR_INGRESS;
	ok(reap_key(&key, now + 8000 * WEIR_SECOND_NS) == 1, "still there");
	ok(count_flows() == before, "%d left", count_flows() - before);
	ok(ref_of(id).opened == 1 && ref_of(id).closed == 1, "not counted");
	ok(reap_key(&key, now + 8000 * WEIR_SECOND_NS) == 0, "gone twice");
}

static void flows_expire_by_their_state(void)
{
	const struct {
		uint32_t state;
		bool is_udp;
		uint32_t least_s, most_s;
	} rows[] = {
		{WEIR_FLOW_REPLY, false, 7440, 86400},
		{0, false, 60, 300},
		{WEIR_FLOW_REPLY | WEIR_FLOW_FIN_FWD, false, 60, 300},
		{WEIR_FLOW_REPLY | WEIR_FLOW_FIN_FWD | WEIR_FLOW_FIN_REV, false,
		 10, 60},
		{WEIR_FLOW_REPLY | WEIR_FLOW_RST, false, 1, 10},
		{WEIR_FLOW_REPLY, true, 120, 300},
		{0, true, 120, 300},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t s = weir_flow_idle_ns(rows[i].state, rows[i].is_udp) /
			     WEIR_SECOND_NS;

		ok(s >= rows[i].least_s && s <= rows[i].most_s,
		   "row %zu: %llu s", i, (unsigned long long)s);
	}
}

/* Does the program change the packet? */
static bool translates(struct bpf_program *prog, int ifindex,
		       const struct spec *in)
{
	static struct frame a, b;

	build(&a, in);
	return run_frame(prog, ifindex, &a, &b) == UNSPEC &&
	       memcmp(a.p, b.p, a.n) != 0;
}

/* New flows are served, those in use go on. */
static void a_full_table_keeps_what_is_used(void)
{
	const char *used = "192.0.2.40:4000";
	uint32_t max = bpf_map__max_entries(packet->maps.weir_flow);
	int lost = 0, refused = 0;
	char vip[64];
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	exchange(used, vip, LOCAL4, ext);
	for (uint32_t i = 0; i < 4 * max; i++) {
		char client[32];

		snprintf(client, sizeof(client), "192.0.2.41:%u", 2000 + i);
		p = tcp(client, vip, SYN);
		refused += verdict_of(ingress(), ext, &p) != UNSPEC;
		if (i % 8 == 0) {
			p = tcp(used, vip, ACK);
			lost += !translates(ingress(), ext, &p);
			p = tcp(LOCAL4, used, ACK);
			lost += !translates(egress(), ext, &p);
		}
	}
	ok(count_flows() <= (int)max, "%d entries", count_flows());
	ok(refused == 0, "%d new flows were not begun", refused);
	ok(lost == 0, "%d packets of the flow in use were lost", lost);
}

TAP_MAIN(TEST(build_world), TEST(silent_flows_are_reaped_whole),
	 TEST(flows_expire_by_their_state),
	 TEST(a_full_table_keeps_what_is_used))
