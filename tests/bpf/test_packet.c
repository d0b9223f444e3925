// SPDX-License-Identifier: Apache-2.0
/*
 * The packet plane's programs, packet by packet through BPF_PROG_RUN: what goes
 * in, what comes out, every checksum verified.
 */
#include "packet_world.h"

/* ----------------------------------------------------------------- tests */

static void empty_tables_change_nothing(void)
{
	struct spec p;

	build_world();
	p = tcp(CLIENT4, "198.51.100.200:80", SYN);
	stays(ingress(), ext, &p);
	p = udp(CLIENT6, "[2001:db8:100::200]:80");
	stays(ingress(), ext, &p);
	p = tcp("198.51.100.200:80", CLIENT4, ACK);
	stays(egress(), ext, &p);
	stays(packet->progs.weir_egress, pod, &p);
}

static void frames_for_others_are_left_alone(void)
{
	static struct frame a, b;
	int before = count_flows();
	struct spec p;
	uint32_t id;

	const char *vip = fresh(false);
	id = add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	p = tcp(CLIENT4, vip, SYN);
	build(&a, &p);
	a.p[5] = 9; /* flooded by a switch, or for a macvlan above */
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC, "verdict");
	ok(b.n == a.n && memcmp(a.p, b.p, a.n) == 0, "bytes changed");
	ok(count_flows() == before && ref_of(id).picked_packet == 0,
	   "a flow was begun");
}

static void tcp_is_translated_both_ways(void)
{
	char vip[64];

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	exchange(CLIENT4, vip, LOCAL4, ext);
	strcpy(vip, fresh(true));
	add_frontend(vip, IPPROTO_TCP, LOCAL6, true, 0);
	exchange(CLIENT6, vip, LOCAL6, ext);
}

static void udp_is_translated_both_ways(void)
{
	char vip[64];
	struct spec p;

	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		const char *client = is_v6 ? CLIENT6 : CLIENT4;
		const char *endpoint = is_v6 ? LOCAL6 : LOCAL4;

		strcpy(vip, fresh(is_v6));
		add_frontend(vip, IPPROTO_UDP, endpoint, true, 0);
		p = udp(client, vip);
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		p = udp(endpoint, client);
		becomes(egress(), ext, &p, tuple(vip, client));
	}
}

static void udp_without_checksum_stays_without(void)
{
	char vip[64];
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_UDP, LOCAL4, true, 0);
	p = udp("192.0.2.21:4100", vip);
	p.no_sum = true;
	becomes(ingress(), ext, &p, tuple("192.0.2.21:4100", LOCAL4));
}

static void options_and_extensions_are_skipped(void)
{
	char vip[64];
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	p = tcp("192.0.2.21:4200", vip, SYN);
	p.has_options = true;
	becomes(ingress(), ext, &p, tuple("192.0.2.21:4200", LOCAL4));
	strcpy(vip, fresh(true));
	add_frontend(vip, IPPROTO_UDP, LOCAL6, true, 0);
	p = udp("[2001:db8:1::21]:4200", vip);
	p.has_options = true;
	becomes(ingress(), ext, &p, tuple("[2001:db8:1::21]:4200", LOCAL6));
}

/* Makes all that is known of fragments s seconds older. */
static void age_fragments(uint64_t s)
{
	int fd = bpf_map__fd(packet->maps.weir_frag);
	struct weir_frag_key key, *at = NULL;
	struct weir_frag v;

	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		if (bpf_map_lookup_elem(fd, &key, &v) == 0) {
			v.seen_ns -= s * WEIR_SECOND_NS;
			bpf_map_update_elem(fd, &key, &v, BPF_EXIST);
		}
	}
}

/* After datagram 7 from client to vip: another one with its number. */
static void fragments_are_not_mixed_up(const char *client, const char *vip,
				       bool is_v6)
{
	struct spec p = udp(client, vip);

	p.t.dport_be = htons(4321); /* no frontend */
	p.frag_id = 7;
	p.frag = IP_MF;
	stays(ingress(), ext, &p);
	p.frag = 100;
	stays(ingress(), ext, &p);
	p = udp(client, vip);
	p.frag_id = 7;
	p.frag = IP_MF;
	becomes(ingress(), ext, &p, tuple(client, is_v6 ? LOCAL6 : LOCAL4));
	age_fragments(29);
	p.frag = 100;
	becomes(ingress(), ext, &p, tuple(client, is_v6 ? LOCAL6 : LOCAL4));
	age_fragments(2);
	stays(ingress(), ext, &p);
}

static void fragments_follow_the_first(void)
{
	char vip[64];
	struct spec p;

	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		const char *client = is_v6 ? "[2001:db8:1::21]:4300"
					   : "192.0.2.21:4300";
		const char *endpoint = is_v6 ? LOCAL6 : LOCAL4;
		uint64_t missed = count_of(WEIR_COUNT_PACKET_FRAG_MISS);

		strcpy(vip, fresh(is_v6));
		add_frontend(vip, IPPROTO_UDP, endpoint, true, 0);
		p = udp(client, vip);
		p.frag_id = 7;
		p.frag = 100;
		stays(ingress(), ext, &p);
		ok(count_of(WEIR_COUNT_PACKET_FRAG_MISS) == missed + 1,
		   "a fragment before the first is counted");
		p.frag = IP_MF;
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		p.frag = 100 | IP_MF;
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		p.frag = 200;
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		fragments_are_not_mixed_up(client, vip, is_v6);
		p = udp(endpoint, client);
		p.frag_id = 9;
		p.frag = IP_MF;
		becomes(egress(), ext, &p, tuple(vip, client));
		p.frag = 55;
		becomes(egress(), ext, &p, tuple(vip, client));
	}
}

/* An error with outer addresses about inner, through prog, shall become the
 * wanted ones. */
static void error_becomes(struct bpf_program *prog, int ifindex, uint8_t type,
			  const char *outer_from, const char *outer_to,
			  const struct spec *inner, const char *want_from,
			  const char *want_to, struct weir_tuple want_inner)
{
	static struct frame a, b;
	struct weir_tuple outer = tuple(outer_from, outer_to);
	struct weir_tuple want = tuple(want_from, want_to);
	struct spec got, about;
	int verdict;

	build_error(&a, &outer, type, inner);
	verdict = run_frame(prog, ifindex, &a, &b);
	ok(verdict == UNSPEC, "verdict %d", verdict);
	read_frame(&b, &got, &about);
	ok(weir_ip_eq(&got.t.saddr, &want.saddr) &&
		   weir_ip_eq(&got.t.daddr, &want.daddr),
	   "outer %s", tuple_text(&got.t));
	ok(memcmp(&about.t, &want_inner, sizeof(want_inner)) == 0, "inner %s",
	   tuple_text(&about.t));
	ok(got.is_sum_right, "the ICMP checksum is wrong");
	ok(about.is_sum_right, "the checksum of the header inside is wrong");
}

static void icmp_errors_are_translated(void)
{
	char vip[64];
	struct spec p;

	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		const char *client = is_v6 ? "[2001:db8:1::21]:4010"
					   : "192.0.2.21:4010";
		const char *endpoint = is_v6 ? LOCAL6 : LOCAL4;
		const char *router = is_v6 ? "[fd01:9::1]:0" : "10.9.9.9:0";
		uint8_t type = is_v6 ? ICMP6_PACKET_TOO_BIG : ICMP_DEST_UNREACH;

		strcpy(vip, fresh(is_v6));
		add_frontend(vip, IPPROTO_TCP, endpoint, true, 0);
		exchange(client, vip, endpoint, ext);
		/* From a router behind us, and from the endpoint, about the
		 * client's packet. */
		p = tcp(client, endpoint, ACK);
		error_becomes(egress(), ext, type, router, client, &p, router,
			      client, tuple(client, vip));
		error_becomes(egress(), ext, type, endpoint, client, &p, vip,
			      client, tuple(client, vip));
		/* About a first fragment: how path MTU is found for them. */
		add_frontend(vip, IPPROTO_UDP, endpoint, true, 0);
		p = udp(client, vip);
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		p = udp(client, endpoint);
		p.frag = IP_MF;
		error_becomes(egress(), ext, type, router, client, &p, router,
			      client, tuple(client, vip));
		/* From the client about the endpoint's. */
		p = tcp(vip, client, ACK);
		error_becomes(ingress(), ext, type, client, vip, &p, client,
			      endpoint, tuple(endpoint, client));
	}
}

static void icmp_redirects_are_dropped(void)
{
	static struct frame a, b;
	char vip[64];
	struct weir_tuple outer = tuple("192.0.2.11:0", "192.0.2.21:4020");
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	exchange("192.0.2.21:4020", vip, LOCAL4, ext);
	p = tcp("192.0.2.21:4020", LOCAL4, ACK);
	build_error(&a, &outer, ICMP_REDIRECT, &p);
	ok(run_frame(egress(), ext, &a, &b) == SHOT, "not dropped");
	p = tcp("192.0.2.21:4020", "10.77.0.1:80", ACK);
	build_error(&a, &outer, ICMP_REDIRECT, &p);
	ok(run_frame(egress(), ext, &a, &b) == UNSPEC,
	   "one that is not about us is");
}

static void no_endpoint_is_refused(void)
{
	static struct frame a, b;
	char vip[64];
	struct spec p, got;

	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		const char *client = is_v6 ? CLIENT6 : CLIENT4;
		struct weir_tuple want;
		uint32_t id;

		strcpy(vip, fresh(is_v6));
		id = add_frontend(vip, IPPROTO_TCP, NULL, false, 0);
		p = tcp(client, vip, SYN);
		p.ttl = 3;
		build(&a, &p);
		ok(run_frame(ingress(), ext, &a, &b) == REDIRECT,
		   "not sent back");
		read_frame(&b, &got, NULL);
		want = tuple(vip, client);
		ok(memcmp(&got.t, &want, sizeof(want)) == 0, "%s",
		   tuple_text(&got.t));
		ok(got.tcp_flags == (TH_RST | ACK), "flags %x", got.tcp_flags);
		ok(got.seq == 0 && got.ack == p.seq + 1, "seq %u ack %u",
		   got.seq, got.ack);
		ok(got.ttl == 64, "ttl %u", got.ttl);
		ok(got.is_sum_right, "a checksum is wrong");
		ok(memcmp(b.p, a.p + 6, 6) == 0 && memcmp(b.p + 6, a.p, 6) == 0,
		   "MAC addresses");
		ok(ref_of(id).refused == 1, "not counted");
		strcpy(vip, fresh(is_v6));
		client = is_v6 ? "[2001:db8:1::21]:4030" : "192.0.2.21:4030";
		id = add_frontend(vip, IPPROTO_UDP, NULL, false, 0);
		p = udp(client, vip);
		becomes(ingress(), ext, &p,
			tuple(client, is_v6 ? "[fd77:6569:7200::]:80"
					    : "198.19.240.0:80"));
		/* The answer of the stack to that. */
		p = udp(client,
			is_v6 ? "[fd77:6569:7200::]:80" : "198.19.240.0:80");
		error_becomes(egress(), ext,
			      is_v6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH,
			      is_v6 ? "[fd77:6569:7200::]:0" : "198.19.240.0:0",
			      client, &p, vip, client, tuple(client, vip));
		/* There is somebody now. */
		set_endpoint(id, is_v6 ? LOCAL6 : LOCAL4, true);
		put_elem(packet->maps.weir_row, 2 * id + 1,
			 &(struct weir_slot){
				 .threshold = ~0u, .group = id, .stat = id});
		p = udp(client, vip);
		becomes(ingress(), ext, &p,
			tuple(client, is_v6 ? LOCAL6 : LOCAL4));
	}
}

static void prefix_is_unreachable_from_outside(void)
{
	uint64_t n = count_of(WEIR_COUNT_PACKET_PREFIX_DROP);
	struct spec p = tcp(CLIENT4, "198.19.240.7:80", SYN);

	ok(verdict_of(ingress(), ext, &p) == SHOT, "IPv4 TCP");
	ok(verdict_of(ingress(), pod, &p) == SHOT, "from a pod");
	p = udp(CLIENT6, "[fd77:6569:7200::7]:80");
	ok(verdict_of(ingress(), ext, &p) == SHOT, "IPv6 UDP");
	p.frag = 100;
	ok(verdict_of(ingress(), ext, &p) == SHOT, "a later fragment");
	ok(count_of(WEIR_COUNT_PACKET_PREFIX_DROP) == n + 4, "not counted");
	p = tcp(CLIENT4, "198.20.0.1:80", SYN);
	stays(ingress(), ext, &p);
}

static void proxied_frontends_keep_their_port(void)
{
	static struct frame a, b;
	struct weir_tuple outer = tuple("198.19.240.99:0", CLIENT4);
	char vip[64];
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, NULL, false, 0x123);
	exchange(CLIENT4, vip, "198.19.241.35:80", ext);
	strcpy(vip, fresh(true));
	add_frontend(vip, IPPROTO_TCP, NULL, false, 0x123);
	exchange(CLIENT6, vip, "[fd77:6569:7200::123]:80", pod);
	/* Its flow may be lost in the middle: it can only be this one. */
	p = tcp("[2001:db8:1::21]:4400", vip, ACK);
	becomes(ingress(), ext, &p,
		tuple("[2001:db8:1::21]:4400", "[fd77:6569:7200::123]:80"));
	p = tcp("198.19.240.99:80", CLIENT4, ACK);
	ok(verdict_of(egress(), ext, &p) == SHOT,
	   "an answer of the proxy without its flow leaves");
	p.frag = 100;
	ok(verdict_of(egress(), ext, &p) == SHOT, "a fragment of one");
	p = tcp(CLIENT4, "198.19.240.99:80", ACK);
	build_error(&a, &outer, ICMP_DEST_UNREACH, &p);
	ok(run_frame(egress(), ext, &a, &b) == SHOT, "an error about one");
}

static void remote_endpoints_see_the_node(void)
{
	char vip[64];
	struct spec p;

	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		const char *client = is_v6 ? CLIENT6 : CLIENT4;
		const char *endpoint = is_v6 ? REMOTE6 : REMOTE4;
		struct weir_tuple out, node = tuple(is_v6 ? "[2001:db8:1::11]:0"
							  : "192.0.2.11:0",
						    endpoint);
		uint16_t port;

		strcpy(vip, fresh(is_v6));
		add_frontend(vip, IPPROTO_TCP, endpoint, false, 0);
		out = snat_out(client, vip, endpoint);
		port = ntohs(out.sport_be);
		ok(weir_ip_eq(&out.saddr, &node.saddr) &&
			   weir_ip_eq(&out.daddr, &node.daddr) &&
			   port >= 61000 && port <= 61099,
		   "%s", tuple_text(&out));
		p = tcp(endpoint, client, SYN | ACK);
		reverse_of(&out, &p.t);
		becomes(ingress(), ext, &p, tuple(endpoint, client));
		p = tcp(endpoint, client, SYN | ACK);
		becomes(egress(), ext, &p, tuple(vip, client));
		/* The node behind complains to the node's address. */
		p = tcp(client, endpoint, ACK);
		p.t = out;
		error_becomes(ingress(), ext,
			      is_v6 ? ICMP6_PACKET_TOO_BIG : ICMP_DEST_UNREACH,
			      is_v6 ? "[2001:db8:1::12]:0" : "192.0.2.12:0",
			      is_v6 ? "[2001:db8:1::11]:0" : "192.0.2.11:0", &p,
			      is_v6 ? "[2001:db8:1::12]:0" : "192.0.2.12:0",
			      client, tuple(client, endpoint));
	}
}

static void pods_keep_their_address(void)
{
	char vip[64];
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, REMOTE4, false, 0);
	p = tcp(POD4, vip, SYN);
	becomes(ingress(), pod, &p, tuple(POD4, REMOTE4));
	p = tcp(POD4, REMOTE4, SYN);
	stays(egress(), ext, &p);
}

static void hairpins_see_the_node(void)
{
	static struct frame a, b;
	char vip[64];
	struct weir_tuple node = tuple("192.0.2.11:0", LOCAL4);
	struct spec p, got;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	p = tcp("10.1.1.10:4000", vip, SYN);
	becomes(ingress(), pod, &p, tuple("10.1.1.10:4000", LOCAL4));
	p = tcp("10.1.1.10:4000", LOCAL4, SYN);
	build(&a, &p);
	run_frame(egress(), pod, &a, &b);
	read_frame(&b, &got, NULL);
	ok(weir_ip_eq(&got.t.saddr, &node.saddr) && got.is_sum_right, "%s",
	   tuple_text(&got.t));
	p.tcp_flags = SYN | ACK;
	reverse_of(&got.t, &p.t);
	becomes(ingress(), pod, &p, tuple(LOCAL4, "10.1.1.10:4000"));
	p = tcp(LOCAL4, "10.1.1.10:4000", SYN | ACK);
	becomes(egress(), pod, &p, tuple(vip, "10.1.1.10:4000"));
}

static void one_client_port_makes_two_connections(void)
{
	static struct frame a, b;
	const char *client = "10.1.1.11:4500";
	char one[64], two[64];
	struct spec p, got;
	uint16_t port;

	strcpy(one, fresh(false));
	add_frontend(one, IPPROTO_TCP, LOCAL4, true, 0);
	strcpy(two, fresh(false));
	add_frontend(two, IPPROTO_TCP, LOCAL4, true, 0);
	exchange(client, one, LOCAL4, pod);
	p = tcp(client, two, SYN);
	build(&a, &p);
	run_frame(ingress(), pod, &a, &b);
	read_frame(&b, &got, NULL);
	port = ntohs(got.t.sport_be);
	ok(port >= 61000 && port <= 61099 && got.is_sum_right, "%s",
	   tuple_text(&got.t));
	p = tcp(LOCAL4, client, SYN | ACK);
	reverse_of(&got.t, &p.t);
	becomes(egress(), pod, &p, tuple(two, client));
	p = tcp(LOCAL4, client, ACK);
	becomes(egress(), pod, &p, tuple(one, client));
	/* And a third, straight to the endpoint. */
	p = tcp(client, LOCAL4, SYN);
	build(&a, &p);
	run_frame(ingress(), pod, &a, &b);
	read_frame(&b, &got, NULL);
	ok(ntohs(got.t.sport_be) >= 61000 && got.is_sum_right, "%s",
	   tuple_text(&got.t));
	p = tcp(LOCAL4, client, SYN | ACK);
	reverse_of(&got.t, &p.t);
	becomes(egress(), pod, &p, tuple(LOCAL4, client));
}

static void unknown_segments_are_left_alone(void)
{
	char vip[64];
	uint64_t n = count_of(WEIR_COUNT_PACKET_MIDSTREAM);
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	p = tcp("192.0.2.21:4600", vip, ACK);
	stays(ingress(), ext, &p);
	p = tcp("192.0.2.21:4600", vip, SYN | ACK);
	stays(ingress(), ext, &p);
	p = tcp("192.0.2.21:4600", vip, TH_RST);
	stays(ingress(), ext, &p);
	ok(count_of(WEIR_COUNT_PACKET_MIDSTREAM) == n + 3, "not counted");
}

static void malformed_packets_are_left_alone(void)
{
	static struct frame a, b;
	uint64_t n = count_of(WEIR_COUNT_PACKET_MALFORMED);
	struct spec p = tcp(CLIENT4, "198.51.100.1:80", SYN);

	build(&a, &p);
	a.p[14] = 0x43; /* header of 12 bytes */
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC, "short IHL");
	build(&a, &p);
	a.p[14] = 0x65;
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC, "other version");
	build(&a, &p);
	a.n = 14 + 20 + 13;
	ok(run_frame(ingress(), ext, &a, &b) == UNSPEC, "half a TCP header");
	ok(b.n == a.n && memcmp(a.p, b.p, a.n) == 0, "changed");
	ok(count_of(WEIR_COUNT_PACKET_MALFORMED) == n + 3, "not counted");
}

static void closed_flows_are_chosen_anew(void)
{
	const char *client = "192.0.2.21:4700";
	char vip[64];
	struct spec p;
	uint32_t id;

	strcpy(vip, fresh(false));
	id = add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	exchange(client, vip, LOCAL4, ext);
	set_endpoint(id, "10.1.1.20:8080", true);
	p = tcp(client, vip, ACK);
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	p.tcp_flags = TH_FIN | ACK;
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	ok(ref_of(id).closed == 0, "counted after one FIN");
	p = tcp(LOCAL4, client, TH_FIN | ACK);
	becomes(egress(), ext, &p, tuple(vip, client));
	ok(ref_of(id).opened == 1 && ref_of(id).closed == 1,
	   "opened %llu closed %llu", (unsigned long long)ref_of(id).opened,
	   (unsigned long long)ref_of(id).closed);
	ok(ep_of(id).tx_bytes == 52 + 152 * 3 && ep_of(id).rx_bytes > 200,
	   "tx %llu rx %llu", (unsigned long long)ep_of(id).tx_bytes,
	   (unsigned long long)ep_of(id).rx_bytes);
	p = tcp(client, vip, ACK);
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	p = tcp(client, vip, SYN);
	becomes(ingress(), ext, &p, tuple(client, "10.1.1.20:8080"));
	ok(ref_of(id).closed == 1, "counted twice");
}

static void repeated_syns_keep_their_endpoint(void)
{
	const char *client = "192.0.2.21:4800";
	char vip[64];
	struct spec p;
	uint32_t id, gone = 2;

	strcpy(vip, fresh(false));
	id = add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
	p = tcp(client, vip, SYN);
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	set_endpoint(id, "10.1.1.20:8080", true);
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	put_elem(packet->maps.weir_epgen, id, &gone);
	becomes(ingress(), ext, &p, tuple(client, "10.1.1.20:8080"));
	ok(ref_of(id).failed == 1, "the first attempt failed");
}

static void datagrams_leave_a_gone_endpoint(void)
{
	const char *client = "192.0.2.21:4900";
	char vip[64];
	struct spec p;
	uint32_t id, gen = 3;

	strcpy(vip, fresh(false));
	id = add_frontend(vip, IPPROTO_UDP, LOCAL4, true, 0);
	p = udp(client, vip);
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	set_endpoint(id, "10.1.1.20:8080", true);
	becomes(ingress(), ext, &p, tuple(client, LOCAL4));
	put_elem(packet->maps.weir_epgen, id, &gen);
	becomes(ingress(), ext, &p, tuple(client, "10.1.1.20:8080"));
}

static void other_family_is_left_to_the_relay(void)
{
	char vip[64];
	struct spec p;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, LOCAL6, true, 0);
	p = tcp(CLIENT4, vip, SYN);
	stays(ingress(), ext, &p);
}

static void ports_run_out(void)
{
	char vip[64];
	uint64_t n = count_of(WEIR_COUNT_PACKET_NO_PORT);
	int dropped = 0;

	strcpy(vip, fresh(false));
	add_frontend(vip, IPPROTO_TCP, "10.1.2.99:8080", false, 0);
	for (int i = 0; i < 150; i++) {
		char client[32];
		struct spec p;

		snprintf(client, sizeof(client), "192.0.2.22:%d", 10000 + i);
		p = tcp(client, vip, SYN);
		dropped += verdict_of(ingress(), ext, &p) == SHOT;
	}
	ok(dropped >= 50 && dropped < 90, "dropped %d of 150 on 100 ports",
	   dropped);
	ok(count_of(WEIR_COUNT_PACKET_NO_PORT) == n + (uint64_t)dropped,
	   "not counted");
}

/* Entries of a kind whose answers go to client. */
static int count_kind(uint32_t kind, const char *client)
{
	int fd = bpf_map__fd(packet->maps.weir_flow), n = 0;
	struct weir_tuple t = tuple(client, client);
	struct weir_flow_key key, *at = NULL;
	struct weir_flow f;

	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		n += bpf_map_lookup_elem(fd, &key, &f) == 0 &&
		     (f.state & WEIR_FLOW_KIND) == kind &&
		     weir_ip_eq(&f.to.daddr, &t.daddr);
	}
	return n;
}

/* A flow that finds no port takes nothing from those that have one. */
static void ports_of_one_client_run_out(void)
{
	const char *client = "10.1.1.30:4000";
	int served = 0;

	for (int i = 0; i < 130; i++) {
		char vip[32];
		struct spec p;

		snprintf(vip, sizeof(vip), "198.51.101.%d:80", i + 1);
		add_frontend(vip, IPPROTO_TCP, LOCAL4, true, 0);
		p = tcp(client, vip, SYN);
		served += verdict_of(ingress(), pod, &p) == UNSPEC;
	}
	ok(served >= 60 && served <= 101, "%d of 130 on 101 ports", served);
	ok(count_kind(WEIR_FLOW_REVERSE, client) == served,
	   "%d ways back for %d flows", count_kind(WEIR_FLOW_REVERSE, client),
	   served);
}

static void xdp_translates_what_tc_began(void)
{
	char vip[64];
	struct spec p;

	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		const char *client = is_v6 ? "[2001:db8:1::21]:5000"
					   : "192.0.2.21:5000";
		const char *endpoint = is_v6 ? LOCAL6 : LOCAL4;

		strcpy(vip, fresh(is_v6));
		add_frontend(vip, IPPROTO_TCP, endpoint, true, 0);
		add_frontend(vip, IPPROTO_UDP, endpoint, true, 0);
		p = tcp(client, vip, SYN);
		becomes(wire->progs.weir_wire, 0, &p, p.t);
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		p = tcp(client, vip, ACK);
		becomes(wire->progs.weir_wire, 0, &p, tuple(client, endpoint));
		p = tcp(client, vip, TH_FIN | ACK);
		becomes(wire->progs.weir_wire, 0, &p, p.t);
		p = udp(client, vip);
		becomes(ingress(), ext, &p, tuple(client, endpoint));
		becomes(wire->progs.weir_wire, 0, &p, tuple(client, endpoint));
	}
}

TAP_MAIN(TEST(empty_tables_change_nothing),
	 TEST(frames_for_others_are_left_alone),
	 TEST(tcp_is_translated_both_ways), TEST(udp_is_translated_both_ways),
	 TEST(udp_without_checksum_stays_without),
	 TEST(options_and_extensions_are_skipped),
	 TEST(fragments_follow_the_first), TEST(icmp_errors_are_translated),
	 TEST(icmp_redirects_are_dropped), TEST(no_endpoint_is_refused),
	 TEST(prefix_is_unreachable_from_outside),
	 TEST(proxied_frontends_keep_their_port),
	 TEST(remote_endpoints_see_the_node), TEST(pods_keep_their_address),
	 TEST(hairpins_see_the_node),
	 TEST(one_client_port_makes_two_connections),
	 TEST(unknown_segments_are_left_alone),
	 TEST(malformed_packets_are_left_alone),
	 TEST(closed_flows_are_chosen_anew),
	 TEST(repeated_syns_keep_their_endpoint),
	 TEST(datagrams_leave_a_gone_endpoint),
	 TEST(other_family_is_left_to_the_relay), TEST(ports_run_out),
	 TEST(ports_of_one_client_run_out), TEST(xdp_translates_what_tc_began))
