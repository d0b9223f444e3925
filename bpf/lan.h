/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who has a Gateway's address on a LAN.  It is local to every node, and with
 * arp_ignore=0 each of their kernels would answer ARP for it, while none
 * answers neighbour solicitations (an AnyIP route is no address).  The agents
 * choose one node; it answers both from here, the others drop the question.
 * All of it is slow path: ARP, and ICMPv6 that is no flow.
 */
#ifndef WEIR_BPF_LAN_H
#define WEIR_BPF_LAN_H

#include "begin.h"
#include "packet.h"

#include <linux/pkt_cls.h>

#define WEIR_ARP_REQUEST 1
#define WEIR_ARP_REPLY 2
#define WEIR_ND_SOLICIT 135
#define WEIR_ND_ADVERT 136
#define WEIR_ND_SOLICITED 0x40000000 /* RFC 4861 section 4.4 */
#define WEIR_ND_OVERRIDE 0x20000000
#define WEIR_ND_TARGET_LINK 2 /* option, section 4.6.1 */

/* RFC 826, for IPv4 on Ethernet. */
struct arp {
	__be16 link;
	__be16 protocol;
	__u8 link_len;
	__u8 protocol_len;
	__be16 op;
	__u8 smac[6];
	__be32 sip;
	__u8 dmac[6];
	__be32 dip;
} __attribute__((packed));

/* A solicitation or advertisement without options. */
struct nd {
	struct ipv6hdr ip;
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 flags;
	struct weir_ip target;
};

struct nd_advert {
	struct nd nd;
	__u8 option;
	__u8 option_len; /* in eights */
	__u8 mac[6];
};

static __always_inline struct weir_lan *lan_find(const struct weir_ip *ip)
{
	return bpf_map_lookup_elem(&weir_lan, ip);
}

static __always_inline struct weir_lan *lan_find4(__be32 addr)
{
	struct weir_ip ip;

	weir_ip_set4(&ip, addr);
	return lan_find(&ip);
}

static __always_inline bool lan_has_time(void)
{
	__u32 zero = 0;
	const struct weir_meta *meta = bpf_map_lookup_elem(&weir_meta, &zero);

	return meta && bpf_ktime_get_coarse_ns() < meta->lan_until_ns;
}

static __always_inline bool lan_is_here(const struct weir_lan *lan,
					__u32 ifindex)
{
	return (lan->flags & WEIR_LAN_ANSWERS) &&
	       (!lan->ifindex || lan->ifindex == ifindex);
}

/* Asked for an address: is it this node that answers?  Counts why not. */
static __always_inline bool lan_answers(const struct weir_lan *lan,
					__u32 ifindex)
{
	if (!lan_is_here(lan, ifindex)) {
		weir_count_event(WEIR_COUNT_LAN_ELSEWHERE);
		return false;
	}
	if (!lan_has_time()) {
		weir_count_event(WEIR_COUNT_LAN_LAPSED);
		return false;
	}
	weir_count_event(WEIR_COUNT_LAN_ANSWERED);
	return true;
}

static __always_inline bool is_same_mac(const __u8 *a, const __u8 *b)
{
	__u8 differs = 0;

	for (int i = 0; i < 6; i++) {
		differs |= a[i] ^ b[i];
	}
	return !differs;
}

/* Somebody else says that the address is his.  An agent that cannot see the
 * others' Leases any more believes it (as RFC 5227 section 2.4 (a)). */
static __always_inline void lan_claimed(struct weir_lan *lan, __u32 ifindex)
{
	if (!lan || !lan_is_here(lan, ifindex)) {
		return;
	}
	if (lan->flags & WEIR_LAN_YIELDS) {
		__sync_fetch_and_and(&lan->flags, ~WEIR_LAN_ANSWERS);
		weir_count_event(WEIR_COUNT_LAN_YIELDED);
	} else {
		weir_count_event(WEIR_COUNT_LAN_CLAIMED);
	}
}

static __always_inline bool arp_load(struct __sk_buff *skb, struct arp *a)
{
	return !bpf_skb_load_bytes(skb, ETH_HLEN, a, sizeof(*a)) &&
	       a->link == bpf_htons(1) && a->protocol == bpf_htons(ETH_P_IP) &&
	       a->link_len == 6 && a->protocol_len == 4;
}

/* The frame back to whom it came from. */
static __always_inline long lan_turn(struct __sk_buff *skb, const __u8 *to,
				     const __u8 *from)
{
	__u8 macs[12];

	__builtin_memcpy(macs, to, 6);
	__builtin_memcpy(macs + 6, from, 6);
	return bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0);
}

static __always_inline int lan_arp(struct __sk_buff *skb,
				   const struct weir_if *dev)
{
	struct weir_lan *lan;
	struct arp a;
	__be32 ip;

	if (!arp_load(skb, &a)) {
		return TC_ACT_UNSPEC;
	}
	if (!is_same_mac(a.smac, dev->mac)) {
		lan_claimed(lan_find4(a.sip), skb->ifindex);
	}
	/* An announcement asks nothing. */
	if (a.op != bpf_htons(WEIR_ARP_REQUEST) || a.sip == a.dip) {
		return TC_ACT_UNSPEC;
	}
	ip = a.dip;
	lan = lan_find4(ip);
	if (!lan) {
		return TC_ACT_UNSPEC;
	}
	if (!lan_answers(lan, skb->ifindex)) {
		return TC_ACT_SHOT;
	}
	a.op = bpf_htons(WEIR_ARP_REPLY);
	__builtin_memcpy(a.dmac, a.smac, 6);
	a.dip = a.sip;
	__builtin_memcpy(a.smac, dev->mac, 6);
	a.sip = ip;
	if (lan_turn(skb, a.dmac, a.smac) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &a, sizeof(a), 0)) {
		return TC_ACT_SHOT;
	}
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline __sum16 nd_sum(const struct nd_advert *v)
{
	__u32 part;
	__u64 sum;

	/* Both addresses, then the message: each in one piece. */
	part = bpf_csum_diff(NULL, 0, (__be32 *)&v->nd.ip.saddr, 32, 0);
	part = bpf_csum_diff(NULL, 0, (__be32 *)&v->nd.type, 32, part);
	sum = (__u64)part + bpf_htonl(32) + bpf_htonl(IPPROTO_ICMPV6);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return ~(__u16)sum;
}

static __always_inline int nd_answer(struct __sk_buff *skb,
				     const struct weir_if *dev,
				     const struct nd *ask)
{
	struct nd_advert v;
	__u8 to[6];

	if (bpf_skb_load_bytes(skb, 6, to, sizeof(to))) {
		return TC_ACT_SHOT;
	}
	__builtin_memset(&v, 0, sizeof(v));
	v.nd.ip.version = 6;
	v.nd.ip.payload_len = bpf_htons(32);
	v.nd.ip.nexthdr = IPPROTO_ICMPV6;
	v.nd.ip.hop_limit = 255;
	__builtin_memcpy(&v.nd.ip.saddr, &ask->target, 16);
	__builtin_memcpy(&v.nd.ip.daddr, &ask->ip.saddr, 16);
	v.nd.type = WEIR_ND_ADVERT;
	v.nd.flags = bpf_htonl(WEIR_ND_SOLICITED | WEIR_ND_OVERRIDE);
	v.nd.target = ask->target;
	v.option = WEIR_ND_TARGET_LINK;
	v.option_len = 1;
	__builtin_memcpy(v.mac, dev->mac, 6);
	if (!(v.nd.ip.daddr.s6_addr32[0] | v.nd.ip.daddr.s6_addr32[1] |
	      v.nd.ip.daddr.s6_addr32[2] | v.nd.ip.daddr.s6_addr32[3])) {
		/* Somebody wants the address himself (RFC 4862 section 5.4):
		 * all nodes are told whose it is. */
		v.nd.ip.daddr.s6_addr32[0] = bpf_htonl(0xFF020000);
		v.nd.ip.daddr.s6_addr32[3] = bpf_htonl(1);
		v.nd.flags = bpf_htonl(WEIR_ND_OVERRIDE);
		__builtin_memcpy(to, "\x33\x33\0\0\0\1", 6);
	}
	v.nd.check = nd_sum(&v);
	if (bpf_skb_change_tail(skb, ETH_HLEN + sizeof(v), 0) ||
	    lan_turn(skb, to, dev->mac) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &v, sizeof(v), 0)) {
		return TC_ACT_SHOT;
	}
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline int lan_nd(struct __sk_buff *skb,
				  const struct weir_if *dev)
{
	struct weir_lan *lan;
	__u8 from[6];
	struct nd m;

	/* RFC 4861 section 7.1; extension headers are not sent. */
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &m, sizeof(m)) ||
	    m.ip.nexthdr != IPPROTO_ICMPV6 || m.ip.hop_limit != 255 ||
	    (m.type != WEIR_ND_SOLICIT && m.type != WEIR_ND_ADVERT) || m.code ||
	    bpf_skb_load_bytes(skb, 6, from, sizeof(from))) {
		return TC_ACT_UNSPEC;
	}
	lan = lan_find(&m.target);
	if (!lan) {
		return TC_ACT_UNSPEC;
	}
	if (m.type == WEIR_ND_ADVERT) {
		if (!is_same_mac(from, dev->mac)) {
			lan_claimed(lan, skb->ifindex);
		}
		return TC_ACT_UNSPEC;
	}
	return lan_answers(lan, skb->ifindex) ? nd_answer(skb, dev, &m)
					      : TC_ACT_SHOT;
}

/* What is no flow, or for all on the link. */
__noinline int weir_lan_in(struct __sk_buff *skb)
{
	bool is_arp = skb->protocol == bpf_htons(ETH_P_ARP);
	const struct weir_if *dev;

	if (!is_arp && skb->protocol != bpf_htons(ETH_P_IPV6)) {
		return TC_ACT_UNSPEC;
	}
	dev = if_find(skb->ifindex);
	if (!dev || !(dev->flags & WEIR_IF_EXTERNAL)) {
		return TC_ACT_UNSPEC;
	}
	return is_arp ? lan_arp(skb, dev) : lan_nd(skb, dev);
}

/*
 * ARP that leaves.  With arp_announce=0 the kernel asks for its neighbours in
 * the name of the address that it answers from; every host that heard it would
 * send there from then on.  Where that address is another node's, the question
 * is asked in the node's own name.
 */
__noinline int weir_lan_out(struct __sk_buff *skb)
{
	const struct weir_if *dev = if_find(skb->ifindex);
	const struct weir_lan *lan;
	struct arp a;
	__be32 own;

	if (!dev || !(dev->flags & WEIR_IF_EXTERNAL) || !arp_load(skb, &a)) {
		return TC_ACT_UNSPEC;
	}
	lan = lan_find4(a.sip);
	if (!lan || (lan_is_here(lan, skb->ifindex) && lan_has_time())) {
		return TC_ACT_UNSPEC;
	}
	own = dev->node4.a[3];
	if (a.op != bpf_htons(WEIR_ARP_REQUEST) || !own) {
		weir_count_event(WEIR_COUNT_LAN_ELSEWHERE);
		return TC_ACT_SHOT;
	}
	weir_count_event(WEIR_COUNT_LAN_RENAMED);
	return bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct arp, sip),
				   &own, sizeof(own), 0)
		       ? TC_ACT_SHOT
		       : TC_ACT_UNSPEC;
}

#endif
