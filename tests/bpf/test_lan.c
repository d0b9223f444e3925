// SPDX-License-Identifier: Apache-2.0
/*
 * Who has an address on the LAN: ARP and neighbour discovery, frame by frame
 * through BPF_PROG_RUN.  What is answered is compared byte by byte with the
 * frame that RFC 826 and RFC 4861 say.
 */
#include "packet_world.h"

#define OURS4 "192.0.2.201"
#define OTHERS4 "192.0.2.202"
#define NOBODYS4 "192.0.2.203"
#define OURS6 "2001:db8:1::c9"
#define OTHERS6 "2001:db8:1::ca"
#define NOBODYS6 "2001:db8:1::cb"
#define ASKER4 "192.0.2.21"
#define ASKER6 "2001:db8:1::21"

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t asker_mac[6] = {2, 0, 0, 0, 0, 0x21};
static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

static struct weir_ip ip(const char *text)
{
	struct weir_ip v = {};

	must(weir_ip_parse(weir_str_of(text), &v) == 0, "%s", text);
	return v;
}

static void put_lan(const char *addr, int ifindex, uint32_t flags)
{
	struct weir_lan v = {.ifindex = (uint32_t)ifindex, .flags = flags};
	struct weir_ip key = ip(addr);

	must(bpf_map_update_elem(bpf_map__fd(packet->maps.weir_lan), &key, &v,
				 BPF_ANY) == 0,
	     "weir_lan: %s", strerror(errno));
}

static uint32_t flags_of(const char *addr)
{
	struct weir_ip key = ip(addr);
	struct weir_lan v = {};

	bpf_map_lookup_elem(bpf_map__fd(packet->maps.weir_lan), &key, &v);
	return v.flags;
}

static void set_until(uint64_t ns)
{
	struct weir_meta meta = {.lan_until_ns = ns};

	put_elem(packet->maps.weir_meta, 0, &meta);
}

static void set_mac(int ifindex, uint32_t flags)
{
	struct weir_if v = {.flags = flags, .node4 = ip("192.0.2.11")};
	uint32_t key = (uint32_t)ifindex;

	memcpy(v.mac, our_mac, 6);
	must(bpf_map_update_elem(bpf_map__fd(packet->maps.weir_if), &key, &v,
				 BPF_ANY) == 0,
	     "weir_if: %s", strerror(errno));
}

/* ------------------------------------------------------------- the frames */

static void put_link(struct frame *f, const uint8_t *to, const uint8_t *from,
		     uint16_t type)
{
	uint16_t be = htons(type);

	f->n = 0;
	put(f, to, 6);
	put(f, from, 6);
	put(f, &be, 2);
}

static void arp(struct frame *f, const uint8_t *to, uint16_t op,
		const uint8_t *smac, const char *sip, const uint8_t *dmac,
		const char *dip)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0};
	struct weir_ip s = ip(sip), d = ip(dip);
	uint8_t op8 = (uint8_t)op;

	put_link(f, to, smac, ETH_P_ARP);
	put(f, head, sizeof(head));
	put(f, &op8, 1);
	put(f, smac, 6);
	put(f, &s.a[3], 4);
	put(f, dmac, 6);
	put(f, &d.a[3], 4);
}

/* A request of the asker for addr; to: the destination of its frame. */
static void ask4(struct frame *f, const uint8_t *to, const char *addr)
{
	static const uint8_t none[6];

	arp(f, to, 1, asker_mac, ASKER4, none, addr);
}

/* ICMPv6 of type; option: of kind 1 or 2 with mac, 0: none. */
static void nd(struct frame *f, const uint8_t *to, const uint8_t *from,
	       const char *src, const char *dst, uint8_t type, uint32_t flags,
	       const char *target, uint8_t option, const uint8_t *mac)
{
	struct ip6_hdr h = {.ip6_flow = htonl(6u << 28),
			    .ip6_plen = htons(option ? 32 : 24),
			    .ip6_nxt = IPPROTO_ICMPV6,
			    .ip6_hlim = 255};
	struct weir_tuple t = {.saddr = ip(src), .daddr = ip(dst)};
	struct weir_ip what = ip(target);
	uint8_t head[4] = {type, 0, 0, 0};
	uint8_t option_head[2] = {option, 1};
	uint32_t flags_be = htonl(flags);
	uint32_t at;
	uint16_t sum;

	put_link(f, to, from, ETH_P_IPV6);
	memcpy(&h.ip6_src, &t.saddr, 16);
	memcpy(&h.ip6_dst, &t.daddr, 16);
	put(f, &h, sizeof(h));
	at = f->n;
	put(f, head, 4);
	put(f, &flags_be, 4);
	put(f, &what, 16);
	if (option) {
		put(f, option_head, 2);
		put(f, mac, 6);
	}
	sum = htons(
		(uint16_t)~l4_sum(&t, IPPROTO_ICMPV6, f->p + at, f->n - at));
	memcpy(f->p + at + 2, &sum, 2);
}

static void ask6(struct frame *f, const uint8_t *to, const char *addr)
{
	nd(f, to, asker_mac, ASKER6, "ff02::1:ff00:c9", 135, 0, addr, 1,
	   asker_mac);
}

/* Says what came out if it is not want. */
static bool same(const struct frame *got, const struct frame *want)
{
	if (got->n == want->n && memcmp(got->p, want->p, want->n) == 0) {
		return true;
	}
	printf("# %u bytes, wanted %u; first difference at", got->n, want->n);
	for (uint32_t i = 0; i < want->n; i++) {
		if (got->p[i] != want->p[i]) {
			printf(" %u", i);
			break;
		}
	}
	printf("\n");
	return false;
}

static int in(const struct frame *f)
{
	static struct frame out;

	return run_frame(ingress(), ext, f, &out);
}

static void solicited(uint8_t to[static 6])
{
	static const uint8_t mac[6] = {0x33, 0x33, 0xFF, 0, 0, 0xC9};

	memcpy(to, mac, 6);
}

/* ----------------------------------------------------------------- tests */

static void begin(void)
{
	build_world();
	set_mac(pod, 0);
	set_mac(ext, WEIR_IF_EXTERNAL);
	set_until(UINT64_MAX);
	put_lan(OURS4, ext, WEIR_LAN_ANSWERS);
	put_lan(OTHERS4, ext, 0);
	put_lan(OURS6, ext, WEIR_LAN_ANSWERS);
	put_lan(OTHERS6, ext, 0);
	ok(true, "-");
}

static void arp_is_answered_by_the_owner(void)
{
	const uint8_t *to[] = {broadcast, our_mac};
	uint64_t before = count_of(WEIR_COUNT_LAN_ANSWERED);
	static struct frame a, b, want;

	arp(&want, asker_mac, 2, our_mac, OURS4, asker_mac, ASKER4);
	/* To all, and to make sure (RFC 1122 section 2.3.2.1). */
	for (int i = 0; i < 2; i++) {
		ask4(&a, to[i], OURS4);
		ok(run_frame(ingress(), ext, &a, &b) == REDIRECT, "%d", i);
		ok(same(&b, &want), "the answer to %d", i);
	}
	/* A probe before the address is used has no sender. */
	arp(&a, broadcast, 1, asker_mac, "0.0.0.0", broadcast, OURS4);
	arp(&want, asker_mac, 2, our_mac, OURS4, asker_mac, "0.0.0.0");
	ok(run_frame(ingress(), ext, &a, &b) == REDIRECT, "probe");
	ok(same(&b, &want), "the answer to a probe");
	/* Frames are at least 60 bytes on the wire. */
	ask4(&a, broadcast, OURS4);
	a.n = 60;
	ok(run_frame(ingress(), ext, &a, &b) == REDIRECT && b.n == 60, "%u",
	   b.n);
	ok(count_of(WEIR_COUNT_LAN_ANSWERED) == before + 4, "counted");
}

static void solicitations_are_answered_by_the_owner(void)
{
	static struct frame a, b, want;
	uint8_t to[6];

	solicited(to);
	nd(&want, asker_mac, our_mac, OURS6, ASKER6, 136, 0x60000000, OURS6, 2,
	   our_mac);
	ask6(&a, to, OURS6);
	ok(run_frame(ingress(), ext, &a, &b) == REDIRECT, "to the group");
	ok(same(&b, &want), "the answer");
	nd(&a, our_mac, asker_mac, ASKER6, OURS6, 135, 0, OURS6, 0, NULL);
	ok(run_frame(ingress(), ext, &a, &b) == REDIRECT, "to make sure");
	ok(same(&b, &want), "the answer");
	/* Somebody is about to take the address: all nodes are told. */
	nd(&a, to, asker_mac, "::", "ff02::1:ff00:c9", 135, 0, OURS6, 0, NULL);
	nd(&want, all_nodes_mac, our_mac, OURS6, "ff02::1", 136, 0x20000000,
	   OURS6, 2, our_mac);
	ok(run_frame(ingress(), ext, &a, &b) == REDIRECT, "without a source");
	ok(same(&b, &want), "the answer");
}

static void others_addresses_are_not_answered(void)
{
	uint64_t before = count_of(WEIR_COUNT_LAN_ELSEWHERE);
	static struct frame a;
	uint8_t to[6];

	solicited(to);
	ask4(&a, broadcast, OTHERS4);
	ok(in(&a) == SHOT, "ARP");
	ask4(&a, our_mac, OTHERS4);
	ok(in(&a) == SHOT, "ARP to this node");
	ask6(&a, to, OTHERS6);
	ok(in(&a) == SHOT, "solicitation");
	ask6(&a, our_mac, OTHERS6);
	ok(in(&a) == SHOT, "solicitation to this node");
	/* It faces another LAN. */
	put_lan("192.0.2.210", pod, WEIR_LAN_ANSWERS);
	ask4(&a, broadcast, "192.0.2.210");
	ok(in(&a) == SHOT, "by another interface");
	ok(count_of(WEIR_COUNT_LAN_ELSEWHERE) == before + 5, "counted");
	put_lan("192.0.2.210", 0, WEIR_LAN_ANSWERS);
	ok(in(&a) == REDIRECT, "by any interface");
}

static void time_runs_out(void)
{
	uint64_t before = count_of(WEIR_COUNT_LAN_LAPSED);
	static struct frame a, b;

	ask4(&a, broadcast, OURS4);
	set_until(1);
	ok(in(&a) == SHOT, "after the end");
	ask6(&b, all_nodes_mac, OURS6);
	ok(in(&b) == SHOT, "after the end");
	ok(count_of(WEIR_COUNT_LAN_LAPSED) == before + 2, "counted");
	set_until(UINT64_MAX);
	ok(in(&a) == REDIRECT, "again");
}

static void all_else_is_left_alone(void)
{
	static struct frame a, b;
	uint8_t to[6];

	solicited(to);
	ask4(&a, broadcast, NOBODYS4);
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC && same(&b, &a), "ARP");
	ask6(&a, to, NOBODYS6);
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC && same(&b, &a), "ND");
	/* Pods ask their node. */
	ask4(&a, broadcast, OTHERS4);
	ok(run_frame(ingress(), pod, &a, &b) == UNSPEC && same(&b, &a), "pod");
	/* An answer, an announcement: nothing is asked. */
	arp(&a, our_mac, 2, asker_mac, ASKER4, our_mac, OURS4);
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC && same(&b, &a),
	   "reply");
	arp(&a, broadcast, 1, asker_mac, OTHERS4, broadcast, OTHERS4);
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC && same(&b, &a),
	   "announcement");
	/* Not for this host, and of another link type. */
	ask4(&a, asker_mac, OURS4);
	ok(in(&a) == UNSPEC, "for another host");
	ask4(&a, broadcast, OURS4);
	a.p[15] = 6;
	ok(in(&a) == UNSPEC, "IEEE 802");
	ask4(&a, broadcast, OURS4);
	a.n = 41;
	ok(in(&a) == UNSPEC, "cut short");
	/* RFC 4861 section 7.1.1: not through a router. */
	ask6(&a, to, OURS6);
	a.p[21] = 254;
	ok(in(&a) == UNSPEC, "hop limit");
	ask6(&a, to, OURS6);
	a.p[14 + 40 + 1] = 1;
	ok(in(&a) == UNSPEC, "code");
	ask6(&a, to, OURS6);
	a.n = 14 + 40 + 23;
	ok(in(&a) == UNSPEC, "cut short");
}

static void who_may_yield_does(void)
{
	uint64_t yielded = count_of(WEIR_COUNT_LAN_YIELDED);
	uint64_t claimed = count_of(WEIR_COUNT_LAN_CLAIMED);
	static struct frame a;

	/* Another host's, while the others' Leases are seen: only counted. */
	arp(&a, broadcast, 1, asker_mac, OURS4, broadcast, OURS4);
	ok(in(&a) == UNSPEC && flags_of(OURS4) == WEIR_LAN_ANSWERS, "stays");
	nd(&a, all_nodes_mac, asker_mac, OURS6, "ff02::1", 136, 0x20000000,
	   OURS6, 2, asker_mac);
	ok(in(&a) == UNSPEC && flags_of(OURS6) == WEIR_LAN_ANSWERS, "stays");
	ok(count_of(WEIR_COUNT_LAN_CLAIMED) == claimed + 2, "counted");

	put_lan("192.0.2.211", ext, WEIR_LAN_ANSWERS | WEIR_LAN_YIELDS);
	put_lan("2001:db8:1::d3", ext, WEIR_LAN_ANSWERS | WEIR_LAN_YIELDS);
	/* The own announcement that a switch sends back claims nothing. */
	arp(&a, broadcast, 1, our_mac, "192.0.2.211", broadcast, "192.0.2.211");
	ok(in(&a) == UNSPEC && (flags_of("192.0.2.211") & WEIR_LAN_ANSWERS),
	   "its own");
	arp(&a, broadcast, 1, asker_mac, "192.0.2.211", broadcast,
	    "192.0.2.211");
	ok(in(&a) == UNSPEC && flags_of("192.0.2.211") == WEIR_LAN_YIELDS,
	   "ARP");
	nd(&a, all_nodes_mac, asker_mac, "2001:db8:1::d3", "ff02::1", 136,
	   0x20000000, "2001:db8:1::d3", 2, asker_mac);
	ok(in(&a) == UNSPEC && flags_of("2001:db8:1::d3") == WEIR_LAN_YIELDS,
	   "advertisement");
	ok(count_of(WEIR_COUNT_LAN_YIELDED) == yielded + 2, "counted");
	ask4(&a, broadcast, "192.0.2.211");
	ok(in(&a) == SHOT, "answers no longer");
}

static void requests_leave_in_the_nodes_own_name(void)
{
	uint64_t before = count_of(WEIR_COUNT_LAN_RENAMED);
	static struct frame a, b, want;

	arp(&a, broadcast, 1, our_mac, OTHERS4, broadcast, ASKER4);
	arp(&want, broadcast, 1, our_mac, "192.0.2.11", broadcast, ASKER4);
	ok(run_frame(egress(), ext, &a, &b) == UNSPEC, "verdict");
	ok(same(&b, &want), "the request");
	ok(count_of(WEIR_COUNT_LAN_RENAMED) == before + 1, "counted");
	/* Its own addresses, and what is no Gateway's. */
	arp(&a, broadcast, 1, our_mac, OURS4, broadcast, ASKER4);
	ok(run_frame(egress(), ext, &a, &b) == UNSPEC && same(&b, &a), "own");
	arp(&a, broadcast, 1, our_mac, NOBODYS4, broadcast, ASKER4);
	ok(run_frame(egress(), ext, &a, &b) == UNSPEC && same(&b, &a), "node");
	arp(&a, broadcast, 1, our_mac, OTHERS4, broadcast, ASKER4);
	ok(run_frame(egress(), pod, &a, &b) == UNSPEC && same(&b, &a), "pod");
	/* What the kernel answers for a question that went past the hook. */
	arp(&a, asker_mac, 2, our_mac, OTHERS4, asker_mac, ASKER4);
	ok(run_frame(egress(), ext, &a, &b) == SHOT, "an answer");
}

TAP_MAIN(TEST(begin), TEST(arp_is_answered_by_the_owner),
	 TEST(solicitations_are_answered_by_the_owner),
	 TEST(others_addresses_are_not_answered), TEST(time_runs_out),
	 TEST(all_else_is_left_alone), TEST(who_may_yield_does),
	 TEST(requests_leave_in_the_nodes_own_name))
