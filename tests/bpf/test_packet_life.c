// SPDX-License-Identifier: Apache-2.0
/*
 * The table of flows over time: what ends by silence, what is counted then, and
 * what becomes of it all when the table is full.
 */
#include <sched.h>
#include <sys/mman.h>

#include "packet_world.h"
#include "tally.h"

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

/* Each processor has a part of a table's free entries to itself, and one whose
 * part is used up takes the newest of another's. */
static void stay_on_this_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0, "affinity");
}

/* New flows are served, those in use go on. */
static void a_full_table_keeps_what_is_used(void)
{
	const char *used = "192.0.2.40:4000";
	uint32_t max = bpf_map__max_entries(packet->maps.weir_flow);
	int lost = 0, refused = 0, forgotten = 0;
	char vip[64], datagrams[64];
	struct spec p;

	stay_on_this_processor();
	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	strcpy(datagrams, fresh(false));
	add_frontend(datagrams, IPPROTO_UDP, LOCAL4, true, 0);
	exchange(used, vip, LOCAL4, ext);
	for (uint32_t i = 0; i < 16 * max; i++) {
		char client[32];

		snprintf(client, sizeof(client), "192.0.2.41:%u", 2000 + i);
		p = udp(client, datagrams);
		refused += verdict_of(ingress(), ext, &p) != UNSPEC;
		if (i >= 15) { /* an answer takes its time */
			snprintf(client, sizeof(client), "192.0.2.41:%u",
				 2000 + i - 15);
			p = udp(LOCAL4, client);
			forgotten += !translates(egress(), ext, &p);
		}
		if (i % 8 == 0) {
			p = tcp(used, vip, ACK);
			lost += !translates(ingress(), ext, &p);
			p = tcp(LOCAL4, used, ACK);
			lost += !translates(egress(), ext, &p);
		}
	}
	ok(count_flows() <= (int)max, "%d entries", count_flows());
	ok(refused == 0, "%d new flows were not begun", refused);
	ok(forgotten == 0, "%d flows were over before their answer", forgotten);
	ok(lost == 0, "%d packets of the flow in use were lost", lost);
}

/* A full table may evict what translates the answers and keep the other half,
 * which a client that uses its port again then meets. */
static void a_lost_half_is_made_again(void)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	const char *client = "192.0.2.42:4000";

	for (size_t i = 0; i < sizeof(protos); i++) {
		bool is_udp = protos[i] == IPPROTO_UDP;
		struct weir_flow_key key = {.proto = protos[i],
					    .dir = WEIR_DIR_EGRESS};
		char vip[64];
		struct spec to, back;

		strcpy(vip, fresh(false));
		add_frontend(vip, protos[i], LOCAL4, true, 0);
		to = is_udp ? udp(client, vip) : tcp(client, vip, SYN);
		back = is_udp ? udp(LOCAL4, client)
			      : tcp(LOCAL4, client, SYN | ACK);
		becomes(ingress(), ext, &to, tuple(client, LOCAL4));
		becomes(egress(), ext, &back, tuple(vip, client));

		key.from = tuple(LOCAL4, client);
		must(bpf_map__delete_elem(packet->maps.weir_flow, &key,
					  sizeof(key), 0) == 0,
		     "no REVERSE");
		if (is_udp) {
			/* Noted again: two clock ticks more than needed. */
			usleep(WEIR_NOTE_UDP_NS / 1000 + 20000);
		}
		becomes(ingress(), ext, &to, tuple(client, LOCAL4));
		becomes(egress(), ext, &back, tuple(vip, client));
	}
}

/* FORWARD alone says that the source is translated, and may have to be made
 * from REVERSE. */
static void a_lost_half_is_translated_as_before(void)
{
	struct weir_flow_key key = {.proto = IPPROTO_TCP};
	const char *client = "192.0.2.43:4000";
	char vip[64];
	struct weir_flow f = {};
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, REMOTE4, false, 0);
	snat_out(client, vip, REMOTE4);
	key.from = tuple(client, vip);
	must(bpf_map__delete_elem(packet->maps.weir_flow, &key, sizeof(key),
				  0) == 0,
	     "no FORWARD");
	p = tcp(REMOTE4, client, SYN | ACK);
	becomes(egress(), ext, &p, tuple(vip, client));
	ok(bpf_map__lookup_elem(packet->maps.weir_flow, &key, sizeof(key), &f,
				sizeof(f), 0) == 0 &&
		   (f.state & WEIR_FLOW_KIND) == WEIR_FLOW_FORWARD &&
		   f.state & WEIR_FLOW_SNATTED,
	   "state %#x", f.state);
}

static void *counters(struct bpf_map *map)
{
	size_t n = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *mem = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(map), 0);

	must(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

/* One walk of the table, as the agent's. */
static bool walk(struct weir_tally *tally)
{
	int fd = bpf_map__fd(packet->maps.weir_flow);
	struct weir_flow_key key, *at = NULL;
	struct weir_flow f;

	weir_tally_begin(tally);
	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		if (bpf_map_lookup_elem(fd, &key, &f) == 0) {
			weir_tally_see(tally, fd, &key, &f);
		}
	}
	return weir_tally_end(tally);
}

/* Connections to vip of which the table has a half or more; removes those if
 * asked to. */
static uint64_t living(const char *vip, bool is_end)
{
	struct weir_tuple t = tuple("192.0.2.42:0", vip), back;
	int fd = bpf_map__fd(packet->maps.weir_flow);
	struct weir_flow_key key = {.proto = IPPROTO_TCP}, other = key;
	struct weir_flow f;
	uint64_t n = 0;

	other.dir = WEIR_DIR_EGRESS;
	for (uint32_t port = 2000; port < 65000; port++) {
		key.from = t;
		key.from.sport_be = htons((uint16_t)port);
		back = tuple(LOCAL4, "192.0.2.42:0");
		back.dport_be = key.from.sport_be;
		other.from = back;
		if (bpf_map_lookup_elem(fd, &key, &f) == 0 ||
		    bpf_map_lookup_elem(fd, &other, &f) == 0) {
			n++;
		}
		if (is_end) {
			uint64_t late = coarse_ns() + 9000 * WEIR_SECOND_NS;

			reap_key(&key, late);
			reap_key(&other, late);
		}
	}
	return n;
}

static void evicted_flows_count_as_closed(void)
{
	uint32_t max = bpf_map__max_entries(packet->maps.weir_flow);
	struct weir_refstat *refs = counters(packet->maps.weir_refstat);
	struct weir_epstat *eps = counters(packet->maps.weir_epstat);
	struct weir_tally tally;
	char vip[64], client[32];
	uint64_t open, left;
	struct spec p;
	uint32_t id;

	stay_on_this_processor();
	strcpy(vip, fresh(false));
	id = add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	for (uint32_t i = 0; i < 4 * max; i++) {
		snprintf(client, sizeof(client), "192.0.2.42:%u", 2000 + i);
		p = tcp(client, vip, SYN);
		verdict_of(ingress(), ext, &p);
		p = tcp(LOCAL4, client, SYN | ACK);
		verdict_of(egress(), ext, &p);
	}
	must(weir_tally_init(
		     &tally, refs,
		     bpf_map__max_entries(packet->maps.weir_refstat), eps,
		     bpf_map__max_entries(packet->maps.weir_epstat)) == 0,
	     "memory");
	left = living(vip, false);
	open = refs[id].opened - refs[id].closed;
	ok(left > 0 && open > left, "%llu open, %llu left",
	   (unsigned long long)open, (unsigned long long)left);
	ok(walk(&tally), "one walk is sure of it");
	ok(refs[id].opened - refs[id].closed == open, "by one walk");
	ok(!walk(&tally), "two walks are not sure");
	open = refs[id].opened - refs[id].closed;
	ok(open == left, "%llu open, %llu left", (unsigned long long)open,
	   (unsigned long long)left);
	ok(eps[id].opened - eps[id].closed == left, "endpoint");
	ok(refs[id].flows == left && eps[id].flows == left, "gauge");
	/* None of these is counted a second time. */
	living(vip, true);
	walk(&tally);
	walk(&tally);
	ok(refs[id].opened == refs[id].closed && refs[id].flows == 0,
	   "%llu opened, %llu closed", (unsigned long long)refs[id].opened,
	   (unsigned long long)refs[id].closed);
	ok(eps[id].opened == eps[id].closed && eps[id].flows == 0, "endpoint");
	weir_tally_fini(&tally);
}

TAP_MAIN(TEST(build_world), TEST(silent_flows_are_reaped_whole),
	 TEST(flows_expire_by_their_state),
	 TEST(a_full_table_keeps_what_is_used), TEST(a_lost_half_is_made_again),
	 TEST(a_lost_half_is_translated_as_before),
	 TEST(evicted_flows_count_as_closed))
