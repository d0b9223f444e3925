/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet plane's programs with tables of their own, for BPF_PROG_RUN: a
 * network namespace for the routing decisions that new flows ask for, with
 * interface pod towards local endpoints and ext towards everything else;
 * nothing is attached.
 */
#ifndef WEIR_TESTS_PACKET_WORLD_H
#define WEIR_TESTS_PACKET_WORLD_H

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "packet_build.h"
#include "tap.h"
#include "weir_flow.h"
#include "weir_sieve.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "packet.skel.h"
#include "reap.skel.h"
#include "wire.skel.h"
#pragma GCC diagnostic pop

#define SYN TH_SYN
#define ACK TH_ACK
#define UNSPEC (-1)
#define SHOT 2
#define REDIRECT 7

#define CLIENT4 "192.0.2.21:4000"
#define CLIENT6 "[2001:db8:1::21]:4000"
#define POD4 "10.1.1.11:4000"
#define LOCAL4 "10.1.1.10:8080" /* endpoint behind interface pod */
#define LOCAL6 "[fd01:1::10]:8080"
#define REMOTE4 "10.1.2.10:8080" /* endpoint behind interface ext */
#define REMOTE6 "[fd01:2::10]:8080"

static struct weir_packet *packet;
static struct weir_wire *wire;
static struct weir_reap *reap;
static int pod, ext; /* interfaces */
static uint32_t next_id;

/* ------------------------------------------------------------- the world */

static inline void run(const char *command)
{
	must(system(command) == 0, "%s", command);
}

static inline void size_maps(struct bpf_object *obj, struct bpf_object *like)
{
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj)
	{
		const char *name = bpf_map__name(m);
		struct bpf_map *same = like ? bpf_object__find_map_by_name(like,
									   name)
					    : NULL;

		bpf_map__set_pin_path(m, NULL);
		if (same && !bpf_map__is_internal(m)) {
			bpf_map__reuse_fd(m, bpf_map__fd(same));
		} else if (bpf_map__max_entries(m) == 1 &&
			   !bpf_map__is_internal(m) &&
			   strcmp(name, "weir_draft") != 0) {
			bpf_map__set_max_entries(m, 1024);
		}
	}
}

static inline void constants(struct weir_conf *c)
{
	struct weir_ip all = {{~0u, ~0u, ~0u, ~0u}};

	weir_ip_parse(WEIR_STR("198.19.240.0"), &c->prefix4);
	weir_ip_parse(WEIR_STR("fd77:6569:7200::"), &c->prefix6);
	c->mask4 = all;
	c->mask4.a[3] = htonl(0xFFFFF000);
	c->mask6 = all;
	c->mask6.a[3] = htonl(0xFFFF0000);
	c->snat_first = 61000;
	c->snat_last = 61099;
}

static inline void set_if(int ifindex, const char *ip4, const char *ip6,
			  uint32_t flags)
{
	struct weir_if v = {.flags = flags};
	uint32_t key = (uint32_t)ifindex;

	weir_ip_parse(weir_str_of(ip4), &v.node4);
	weir_ip_parse(weir_str_of(ip6), &v.node6);
	must(bpf_map_update_elem(bpf_map__fd(packet->maps.weir_if), &key, &v,
				 BPF_ANY) == 0,
	     "weir_if: %s", strerror(errno));
}

static inline void build_world(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		skip_test("needs CAP_SYS_ADMIN");
	}
	run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
	    " net.ipv6.conf.default.accept_dad=0");
	run("ip link add pod type veth peer name pod1");
	run("ip link add ext type veth peer name ext1");
	/* The destination of every frame that is built. */
	run("for d in pod ext; do ip link set $d address 02:00:00:00:00:01; "
	    "done");
	run("for d in lo pod pod1 ext ext1; do ip link set $d up; done");
	run("ip addr add 192.0.2.11/24 dev ext;"
	    "ip addr add 2001:db8:1::11/64 dev ext nodad");
	run("ip route add 10.1.1.0/24 dev pod; ip route add fd01:1::/64 dev "
	    "pod");
	run("ip route add 10.1.2.0/24 via 192.0.2.12;"
	    "ip route add fd01:2::/64 via 2001:db8:1::12");
	pod = (int)if_nametoindex("pod");
	ext = (int)if_nametoindex("ext");
	packet = weir_packet__open();
	must(packet, "open");
	constants(&packet->rodata->weir_conf);
	size_maps(packet->obj, NULL);
	must(weir_packet__load(packet) == 0, "load: %s", strerror(errno));
	wire = weir_wire__open();
	must(wire, "open");
	constants(&wire->rodata->weir_conf);
	size_maps(wire->obj, packet->obj);
	must(weir_wire__load(wire) == 0, "load: %s", strerror(errno));
	reap = weir_reap__open();
	must(reap, "open");
	size_maps(reap->obj, packet->obj);
	must(weir_reap__load(reap) == 0, "load: %s", strerror(errno));
	set_if(pod, "192.0.2.11", "2001:db8:1::11", 0);
	set_if(ext, "192.0.2.11", "2001:db8:1::11", WEIR_IF_EXTERNAL);
}

static inline void put_elem(struct bpf_map *m, uint32_t i, const void *v)
{
	must(bpf_map_update_elem(bpf_map__fd(m), &i, v, BPF_ANY) == 0, "%s: %s",
	     bpf_map__name(m), strerror(errno));
}

/* The one endpoint of the frontend with id. */
static inline void set_endpoint(uint32_t id, const char *endpoint,
				bool is_local)
{
	struct weir_ep ep = {.flags = is_local ? WEIR_EP_LOCAL : 0, .id = id};
	struct weir_index set = {.first = id, .n = 1};
	uint32_t gen = 1;

	weir_addr_parse(weir_str_of(endpoint), &ep.addr, &ep.port_be);
	put_elem(packet->maps.weir_ep, id, &ep);
	put_elem(packet->maps.weir_epgen, id, &gen);
	put_elem(packet->maps.weir_set, id, &set);
}

/* As the agent does before it names a frontend. */
static inline void tell_sieve(const struct weir_fe_key *key)
{
	uint32_t bit = weir_sieve_bit(&key->addr, key->port_be,
				      WEIR_SIEVE_FRONT);
	uint32_t word = bit / 64;
	uint64_t bits = 0;

	bpf_map_lookup_elem(bpf_map__fd(packet->maps.weir_sieve), &word, &bits);
	bits |= UINT64_C(1) << bit % 64;
	put_elem(packet->maps.weir_sieve, word, &bits);
}

/* A new frontend; its id. endpoint NULL: none.  proxy: place in the prefix. */
static inline uint32_t add_frontend(const char *addr, uint8_t proto,
				    const char *endpoint, bool is_local,
				    uint32_t proxy)
{
	uint32_t id = ++next_id;
	struct weir_fe_key key = {.proto = proto};
	struct weir_fe fe = {.fid = id};
	struct weir_index svc = {.first = 2 * id, .n = 1};
	struct weir_row_hdr row = {
		.n = 1, .flags = WEIR_ROW_PACKET, .proxy = proxy};
	struct weir_slot slot = {.threshold = ~0u,
				 .group = endpoint ? id : WEIR_GROUP_EMPTY,
				 .stat = id};

	if (proxy) {
		row.n = 0;
		row.flags = WEIR_ROW_PROXY;
	}
	if (endpoint) {
		set_endpoint(id, endpoint, is_local);
	}
	weir_addr_parse(weir_str_of(addr), &key.addr, &key.port_be);
	put_elem(packet->maps.weir_row, 2 * id, &row);
	put_elem(packet->maps.weir_row, 2 * id + 1, &slot);
	put_elem(packet->maps.weir_svc, id, &svc);
	tell_sieve(&key);
	must(bpf_map_update_elem(bpf_map__fd(packet->maps.weir_fe), &key, &fe,
				 BPF_ANY) == 0,
	     "weir_fe: %s", strerror(errno));
	return id;
}

/* An address of this test alone, so that tests share no flows. */
static inline const char *fresh(bool is_v6)
{
	static char text[64];
	static int n;

	n++;
	snprintf(text, sizeof(text),
		 is_v6 ? "[2001:db8:100::%x]:80" : "198.51.100.%d:80", n);
	return text;
}

static inline uint64_t count_of(enum weir_counter what)
{
	uint64_t per_cpu[64] = {}, sum = 0;
	uint32_t key = what;

	bpf_map_lookup_elem(bpf_map__fd(packet->maps.weir_count), &key,
			    per_cpu);
	for (size_t i = 0; i < 64; i++) {
		sum += per_cpu[i];
	}
	return sum;
}

static inline struct weir_refstat ref_of(uint32_t id)
{
	struct weir_refstat v = {};

	bpf_map_lookup_elem(bpf_map__fd(packet->maps.weir_refstat), &id, &v);
	return v;
}

static inline struct weir_epstat ep_of(uint32_t id)
{
	struct weir_epstat v = {};

	bpf_map_lookup_elem(bpf_map__fd(packet->maps.weir_epstat), &id, &v);
	return v;
}

/* ----------------------------------------------------------- one packet */

static inline int run_frame(struct bpf_program *prog, int ifindex,
			    const struct frame *in, struct frame *out)
{
	struct __sk_buff ctx = {.ifindex = (uint32_t)ifindex};
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->p,
			    .data_size_in = in->n, .data_out = out->p,
			    .data_size_out = sizeof(out->p), .ctx_in = &ctx,
			    .ctx_size_in = sizeof(ctx), .repeat = 1);
	int r;

	if (bpf_program__type(prog) == BPF_PROG_TYPE_XDP) {
		opts.ctx_in = NULL;
		opts.ctx_size_in = 0;
	}
	r = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	must(r == 0, "prog_run: %s", strerror(-r));
	out->n = opts.data_size_out;
	return (int)opts.retval;
}

static inline struct bpf_program *ingress(void)
{
	return packet->progs.weir_ingress;
}

static inline struct bpf_program *egress(void)
{
	return packet->progs.weir_egress;
}

/* in leaves the program as a packet of tuple want, all else as it was. */
static inline void becomes(struct bpf_program *prog, int ifindex,
			   const struct spec *in, struct weir_tuple want)
{
	static struct frame a, b;
	struct spec got, same;
	int verdict;

	build(&a, in);
	read_frame(&a, &same, NULL);
	verdict = run_frame(prog, ifindex, &a, &b);
	ok(verdict ==
		   (bpf_program__type(prog) == BPF_PROG_TYPE_XDP ? 2 : UNSPEC),
	   "verdict %d", verdict);
	read_frame(&b, &got, NULL);
	if (got.frag & 0x1FFF) {
		want.sport_be = want.dport_be = 0;
	}
	ok(memcmp(&got.t, &want, sizeof(want)) == 0, "%s", tuple_text(&got.t));
	ok(memcmp(&got.t, &want, sizeof(want)) == 0, "wanted %s",
	   tuple_text(&want));
	ok(got.is_sum_right, "a checksum is wrong");
	same.t = got.t;
	ok(memcmp(&got, &same, sizeof(got)) == 0, "more than tuple changed");
	ok(b.n == a.n, "length %u, was %u", b.n, a.n);
}

static inline int verdict_of(struct bpf_program *prog, int ifindex,
			     const struct spec *in)
{
	static struct frame a, b;

	build(&a, in);
	return run_frame(prog, ifindex, &a, &b);
}

static inline void stays(struct bpf_program *prog, int ifindex,
			 const struct spec *in)
{
	static struct frame a, b;
	int verdict;

	build(&a, in);
	verdict = run_frame(prog, ifindex, &a, &b);
	ok(verdict == UNSPEC, "verdict %d", verdict);
	ok(b.n == a.n && memcmp(a.p, b.p, a.n) == 0, "bytes changed");
}

static inline struct spec tcp(const char *from, const char *to, uint8_t flags)
{
	return (struct spec){.t = tuple(from, to),
			     .proto = IPPROTO_TCP,
			     .tcp_flags = flags,
			     .seq = 1000,
			     .payload = flags & SYN ? 0 : 100};
}

static inline struct spec udp(const char *from, const char *to)
{
	return (struct spec){
		.t = tuple(from, to), .proto = IPPROTO_UDP, .payload = 33};
}

/* Client and local endpoint talk through vip. */
static inline void exchange(const char *client, const char *vip,
			    const char *endpoint, int in)
{
	struct spec p = tcp(client, vip, SYN);

	becomes(ingress(), in, &p, tuple(client, endpoint));
	p = tcp(endpoint, client, SYN | ACK);
	becomes(egress(), in, &p, tuple(vip, client));
	p = tcp(client, vip, ACK);
	becomes(ingress(), in, &p, tuple(client, endpoint));
	p = tcp(endpoint, client, ACK);
	becomes(egress(), in, &p, tuple(vip, client));
}

/* Entries in the table. */
static inline int count_flows(void)
{
	int fd = bpf_map__fd(packet->maps.weir_flow), n = 0;
	struct weir_flow_key key, *at = NULL;

	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		n++;
	}
	return n;
}

/* An outside client, an endpoint on another node: the tuple that leaves. */
static inline struct weir_tuple snat_out(const char *client, const char *vip,
					 const char *endpoint)
{
	static struct frame a, b;
	struct spec p = tcp(client, vip, SYN), got;

	becomes(ingress(), ext, &p, tuple(client, endpoint));
	p = tcp(client, endpoint, SYN);
	build(&a, &p);
	ok(run_frame(egress(), ext, &a, &b) == UNSPEC, "dropped");
	read_frame(&b, &got, NULL);
	ok(got.is_sum_right, "a checksum is wrong");
	return got.t;
}

static inline void reverse_of(const struct weir_tuple *t,
			      struct weir_tuple *ret)
{
	ret->saddr = t->daddr;
	ret->daddr = t->saddr;
	ret->sport_be = t->dport_be;
	ret->dport_be = t->sport_be;
}

#endif
