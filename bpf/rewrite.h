/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changing packets in TC.  Only helpers write: a program that writes through
 * packet pointers makes the verifier prepend an unclone of the whole head, and
 * every TCP segment that comes over a veth is a clone.
 *
 * CHECKSUM_PARTIAL holds the sum of the pseudo header alone, so addresses are
 * changed with BPF_F_PSEUDO_HDR and ports without it.  With CHECKSUM_COMPLETE
 * the helpers take the change of an IPv6 address out of skb->csum although no
 * IP checksum balances it; BPF_F_RECOMPUTE_CSUM on the store puts it back (and,
 * unlike BPF_F_IPV6, is known to every kernel).
 */
#ifndef WEIR_BPF_REWRITE_H
#define WEIR_BPF_REWRITE_H

#include "flow.h"

#include <linux/pkt_cls.h>

#define WEIR_TCP_CSUM 16 /* offsets in the headers */
#define WEIR_UDP_CSUM 6
#define WEIR_ICMP_CSUM 2
#define WEIR_IP_CSUM 10
#define WEIR_IP_ADDRS 12
#define WEIR_IP6_ADDRS 8

/* Both addresses, and both ports behind an IPv4 header without options. */
struct weir_ends4 {
	__be32 saddr;
	__be32 daddr;
	__be16 sport_be;
	__be16 dport_be;
};

static __always_inline void weir_ends4_of(const struct weir_tuple *t,
					  struct weir_ends4 *ret)
{
	ret->saddr = t->saddr.a[3];
	ret->daddr = t->daddr.a[3];
	ret->sport_be = t->sport_be;
	ret->dport_be = t->dport_be;
}

static __always_inline long weir_store_addrs(struct __sk_buff *skb,
					     const struct weir_pkt *pkt,
					     __u32 l3,
					     const struct weir_tuple *to)
{
	struct weir_ends4 ends;

	if (pkt->is_v6) {
		return bpf_skb_store_bytes(skb, l3 + WEIR_IP6_ADDRS, &to->saddr,
					   2 * sizeof(struct weir_ip),
					   BPF_F_RECOMPUTE_CSUM);
	}
	weir_ends4_of(to, &ends);
	return bpf_skb_store_bytes(skb, l3 + WEIR_IP_ADDRS, &ends, 8, 0);
}

static __always_inline long weir_store_ports(struct __sk_buff *skb, __u32 off,
					     const struct weir_tuple *to)
{
	return bpf_skb_store_bytes(skb, off, &to->sport_be, 4, 0);
}

/* The sum of TCP or UDP.  A datagram without one (0) stays without. */
static __always_inline long weir_fix_l4(struct __sk_buff *skb,
					const struct weir_pkt *pkt, __u32 addr,
					__u32 port)
{
	bool is_udp = pkt->key.proto == IPPROTO_UDP;
	__u32 off = pkt->l4 + (is_udp ? WEIR_UDP_CSUM : WEIR_TCP_CSUM);
	__u64 flags = is_udp ? BPF_F_MARK_MANGLED_0 : 0;
	long r = 0;

	if (addr) {
		r = bpf_l4_csum_replace(skb, off, 0, addr,
					flags | BPF_F_PSEUDO_HDR);
	}
	if (port && !r) {
		r = bpf_l4_csum_replace(skb, off, 0, port, flags);
	}
	return r;
}

static __always_inline __u16 weir_fold(__u32 sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (sum & 0xFFFF) + (sum >> 16);
}

#define WEIR_REWRITE_SLOWLY 1

/*
 * IPv4 without options, TCP, ports and all: what most packets are.  Programs
 * cannot see whether the sum in the packet is complete, but without
 * BPF_F_PSEUDO_HDR the helper leaves one that is CHECKSUM_PARTIAL as it is: so
 * one call says it, and adjusts a complete one to all changes at once.  A
 * partial one is adjusted here, to the addresses alone.  From the checksum of
 * IP to that of TCP all lies in one piece, written by one call.
 * WEIR_REWRITE_SLOWLY: not such a packet, nothing was changed.
 */
static __always_inline long weir_rewrite_plain(struct __sk_buff *skb,
					       const struct weir_pkt *pkt,
					       const struct weir_tuple *to,
					       __u32 addr, __u32 port)
{
	struct {
		__be16 ip_check;
		__be16 ends[6]; /* struct weir_ends4, at an odd place */
		__be16 rest[6];
		__be16 check;
	} piece;
	__u32 off = pkt->l3 + WEIR_IP_CSUM;
	__u16 change = weir_fold(weir_fold(addr) + weir_fold(port));
	void *end = (void *)(long)skb->data_end;
	__u8 *at = (void *)(long)skb->data;
	struct weir_ends4 ends;
	__be16 check;
	long r;

	if (off != ETH_HLEN + WEIR_IP_CSUM || change == 0 || change == 0xFFFF) {
		return WEIR_REWRITE_SLOWLY;
	}
	at += ETH_HLEN + WEIR_IP_CSUM;
	if ((void *)(at + sizeof(piece)) > end) {
		return WEIR_REWRITE_SLOWLY;
	}
	__builtin_memcpy(&piece, at, sizeof(piece));
	check = piece.check;
	piece.ip_check = ~weir_fold(weir_fold(addr) + (__u16)~piece.ip_check);
	weir_ends4_of(to, &ends);
	__builtin_memcpy(piece.ends, &ends, sizeof(ends));
	r = bpf_l4_csum_replace(skb, pkt->l4 + WEIR_TCP_CSUM, 0, change, 0);
	if (r) {
		return r;
	}
	at = (void *)(long)skb->data + ETH_HLEN + WEIR_IP_CSUM;
	end = (void *)(long)skb->data_end;
	if ((void *)(at + sizeof(piece)) > end) {
		return -1;
	}
	__builtin_memcpy(&piece.check, at + sizeof(piece) - 2, 2);
	if (piece.check == check) {
		piece.check = weir_fold(weir_fold(addr) + check);
	} else {
		/* What CHECKSUM_COMPLETE has summed changes by the TCP sum's
		 * part for the addresses; other packets have nothing there. */
		bpf_csum_update(skb, ~addr);
	}
	return bpf_skb_store_bytes(skb, off, &piece, sizeof(piece), 0);
}

/*
 * Makes the packet's tuple *to, checksums included, and the key in pkt follow.
 * 0, or an error of a helper: then the packet may be half changed and must be
 * dropped.
 */
__noinline long weir_rewrite(struct __sk_buff *skb, struct weir_pkt *pkt,
			     const struct weir_tuple *to)
{
	struct weir_ends4 ends;
	__u32 port = 0;
	__u32 addr;
	long r;

	if (!pkt || !to) {
		return -1;
	}
	addr = pkt->is_v6 ? weir_addr_change(&pkt->key.from, to)
			  : weir_addr_change4(&pkt->key.from, to);

	if (!pkt->is_later) {
		port = weir_port_change(&pkt->key.from, to);
		if (!pkt->is_v6 && pkt->key.proto == IPPROTO_TCP &&
		    pkt->l4 == pkt->l3 + sizeof(struct iphdr)) {
			r = weir_rewrite_plain(skb, pkt, to, addr, port);
			if (r != WEIR_REWRITE_SLOWLY) {
				pkt->key.from = *to;
				return r;
			}
		}
		r = weir_fix_l4(skb, pkt, addr, port);
		if (r) {
			return r;
		}
	}
	if (!pkt->is_v6) {
		r = bpf_l3_csum_replace(skb, pkt->l3 + WEIR_IP_CSUM, 0, addr,
					0);
		if (r) {
			return r;
		}
	}
	if (!pkt->is_v6 && port && pkt->l4 == pkt->l3 + sizeof(struct iphdr)) {
		weir_ends4_of(to, &ends);
		r = bpf_skb_store_bytes(skb, pkt->l3 + WEIR_IP_ADDRS, &ends,
					sizeof(ends), 0);
	} else {
		r = weir_store_addrs(skb, pkt, pkt->l3, to);
		if (!r && port) {
			r = weir_store_ports(skb, pkt->l4, to);
		}
	}
	pkt->key.from = *to;
	return r;
}

/* Takes one from the TTL of a packet that will not see the stack.  False: it is
 * used up, or cannot be changed; the stack shall say so. */
static __always_inline bool weir_age(struct __sk_buff *skb,
				     const struct weir_pkt *pkt)
{
	__u32 off = pkt->l3 + (pkt->is_v6 ? 7 : 8);
	__be16 from, to;
	__u8 ttl[2];

	if (bpf_skb_load_bytes(skb, off, ttl, 2) || ttl[0] <= 1) {
		return false;
	}
	__builtin_memcpy(&from, ttl, 2);
	ttl[0]--;
	__builtin_memcpy(&to, ttl, 2);
	if (pkt->is_v6) {
		return !bpf_skb_store_bytes(skb, off, ttl, 1,
					    BPF_F_RECOMPUTE_CSUM);
	}
	return !bpf_l3_csum_replace(skb, pkt->l3 + WEIR_IP_CSUM, from, to, 2) &&
	       !bpf_skb_store_bytes(skb, off, ttl, 1, 0);
}

/* ------------------------------------------------------------ ICMP errors */

/* The packet that an error is about. */
struct weir_inner {
	struct weir_tuple t;
	__u32 l3;
	__u32 l4;
	__u8 proto;
};

/* Behind the fragment header of a first fragment: those are what path MTU
 * discovery is about (RFC 8201 section 5.5). */
static __always_inline bool weir_inner_skip(struct __sk_buff *skb,
					    struct weir_inner *in)
{
	struct weir_ip6_ext ext;

	if (in->proto != IPPROTO_FRAGMENT) {
		return true;
	}
	if (bpf_skb_load_bytes(skb, in->l4, &ext, sizeof(ext)) ||
	    (ext.frag_off & bpf_htons(WEIR_IP6_OFFSET))) {
		return false;
	}
	in->proto = ext.next;
	in->l4 += sizeof(ext);
	return true;
}

/* False: not TCP or UDP, or a fragment without ports. */
static __always_inline bool weir_inner_read(struct __sk_buff *skb,
					    const struct weir_pkt *pkt,
					    struct weir_inner *in)
{
	union {
		struct iphdr v4;
		struct ipv6hdr v6;
	} h;

	in->l3 = pkt->l4 + 8;
	if (pkt->is_v6) {
		if (bpf_skb_load_bytes(skb, in->l3, &h.v6, sizeof(h.v6)) ||
		    h.v6.version != 6) {
			return false;
		}
		__builtin_memcpy(&in->t.saddr, &h.v6.saddr, 16);
		__builtin_memcpy(&in->t.daddr, &h.v6.daddr, 16);
		in->proto = h.v6.nexthdr;
		in->l4 = in->l3 + sizeof(h.v6);
		if (!weir_inner_skip(skb, in)) {
			return false;
		}
	} else {
		if (bpf_skb_load_bytes(skb, in->l3, &h.v4, sizeof(h.v4)) ||
		    h.v4.version != 4 || h.v4.ihl < 5 ||
		    (h.v4.frag_off & bpf_htons(WEIR_IP_OFFSET))) {
			return false;
		}
		weir_ip_set4(&in->t.saddr, h.v4.saddr);
		weir_ip_set4(&in->t.daddr, h.v4.daddr);
		in->proto = h.v4.protocol;
		in->l4 = in->l3 + h.v4.ihl * 4;
	}
	return (in->proto == IPPROTO_TCP || in->proto == IPPROTO_UDP) &&
	       !bpf_skb_load_bytes(skb, in->l4, &in->t.sport_be, 4);
}

/* The packet inside becomes *to; the ICMP checksum follows.  The IPv4 header
 * inside balances its own change of address, the ports do not. */
static __always_inline long weir_inner_write(struct __sk_buff *skb,
					     const struct weir_pkt *pkt,
					     const struct weir_inner *in,
					     const struct weir_tuple *to)
{
	__u32 csum = pkt->l4 + WEIR_ICMP_CSUM;
	__u32 addr = weir_addr_change(&in->t, to);
	__u32 port = weir_port_change(&in->t, to);
	long r;

	if (pkt->is_v6) {
		r = addr ? bpf_l4_csum_replace(skb, csum, 0, addr, 0) : 0;
		if (!r) {
			r = bpf_skb_store_bytes(skb, in->l3 + WEIR_IP6_ADDRS,
						&to->saddr, 32, 0);
		}
	} else {
		r = bpf_l3_csum_replace(skb, in->l3 + WEIR_IP_CSUM, 0, addr, 0);
		if (!r) {
			r = weir_store_addrs(skb, pkt, in->l3, to);
		}
	}
	if (!r && port) {
		r = bpf_l4_csum_replace(skb, csum, 0, port, 0);
		if (!r) {
			r = weir_store_ports(skb, in->l4, to);
		}
	}
	return r;
}

static __always_inline long weir_outer_write(struct __sk_buff *skb,
					     const struct weir_pkt *pkt,
					     const struct weir_tuple *to)
{
	__u32 addr = weir_addr_change(&pkt->key.from, to);
	long r;

	r = pkt->is_v6 ? bpf_l4_csum_replace(skb, pkt->l4 + WEIR_ICMP_CSUM, 0,
					     addr, BPF_F_PSEUDO_HDR)
		       : bpf_l3_csum_replace(skb, pkt->l3 + WEIR_IP_CSUM, 0,
					     addr, 0);
	return r ?: weir_store_addrs(skb, pkt, pkt->l3, to);
}

/*
 * An ICMP error about a packet of a flow travels the other way round, so it
 * is treated as the answer that key describes would be: the packet inside
 * becomes what its sender sent, and the error goes to that sender.
 * Returns a TC verdict.
 */
__noinline int weir_icmp_error(struct __sk_buff *skb, struct weir_pkt *pkt)
{
	struct weir_flow_key k = {};
	struct weir_inner in = {};
	struct weir_tuple to;
	struct weir_flow *flow;
	__u8 type;

	if (!pkt || !weir_inner_read(skb, pkt, &in)) {
		return TC_ACT_UNSPEC;
	}
	weir_tuple_reverse(&in.t, &k.from);
	k.proto = in.proto;
	k.dir = pkt->key.dir;
	flow = weir_flow_find(&k);
	if (!flow || !weir_ip_same(&pkt->key.from.daddr, &k.from.daddr)) {
		return TC_ACT_UNSPEC;
	}
	weir_count_event(WEIR_COUNT_PACKET_ICMP);
	if (!pkt->is_v6 && !bpf_skb_load_bytes(skb, pkt->l4, &type, 1) &&
	    type == WEIR_ICMP_REDIRECT) {
		/* A better way to the endpoint is none to the frontend. */
		return TC_ACT_SHOT;
	}
	weir_tuple_reverse(&flow->to, &to);
	if (weir_inner_write(skb, pkt, &in, &to)) {
		return TC_ACT_SHOT;
	}
	to = pkt->key.from;
	to.daddr = flow->to.daddr;
	/* A router's own address is for the sender to see, but not that of the
	 * endpoint, nor anything outside where the source is translated. */
	if (weir_ip_same(&to.saddr, &k.from.saddr) ||
	    (flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_SNAT) {
		to.saddr = flow->to.saddr;
	}
	if (weir_outer_write(skb, pkt, &to)) {
		return TC_ACT_SHOT;
	}
	pkt->key.from = to;
	return TC_ACT_UNSPEC;
}

/* ----------------------------------------------------------- TCP refusals */

#define WEIR_TCP_NOPS 0x01010101
#define WEIR_TCP_OPTION_WORDS 10

/* Options become NOPs.  Returns what that adds to the sum. */
static __always_inline __u32 weir_blank_options(struct __sk_buff *skb, __u32 l4,
						__u32 doff)
{
	const __u32 nops = WEIR_TCP_NOPS;
	__u64 sum = 0;
	__u32 word;

	for (__u32 i = 0; i < WEIR_TCP_OPTION_WORDS; i++) {
		__u32 off = l4 + sizeof(struct tcphdr) + i * 4;

		if (i + 5 >= doff || bpf_skb_load_bytes(skb, off, &word, 4)) {
			break;
		}
		sum += weir_sum_change(&word, &nops, 1);
		if (bpf_skb_store_bytes(skb, off, &nops, 4, 0)) {
			break;
		}
	}
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	return (sum & 0xFFFFFFFF) + (sum >> 32);
}

/* TTL 64: what is left of the client's would not lead back. */
static __always_inline long weir_renew_ttl(struct __sk_buff *skb,
					   const struct weir_pkt *pkt)
{
	__u32 off = pkt->l3 + (pkt->is_v6 ? 7 : 8);
	__be16 from, to;
	__u8 ttl[2];

	if (bpf_skb_load_bytes(skb, off, ttl, 2)) {
		return -1;
	}
	__builtin_memcpy(&from, ttl, 2);
	ttl[0] = 64;
	__builtin_memcpy(&to, ttl, 2);
	if (!pkt->is_v6 &&
	    bpf_l3_csum_replace(skb, pkt->l3 + WEIR_IP_CSUM, from, to, 2)) {
		return -1;
	}
	return bpf_skb_store_bytes(skb, off, ttl, 1, 0);
}

static __always_inline long weir_swap_macs(struct __sk_buff *skb)
{
	__u8 in[12], out[12];

	if (bpf_skb_load_bytes(skb, 0, in, 12)) {
		return -1;
	}
	__builtin_memcpy(out, in + 6, 6);
	__builtin_memcpy(out + 6, in, 6);
	return bpf_skb_store_bytes(skb, 0, out, 12, 0);
}

/*
 * Answers a SYN with a reset (RFC 9293 section 3.10.7.1), made in place and
 * sent out of the interface it came in by.  The length stays: so the sum is
 * adjusted by what changed, which is right whether it is complete or, with
 * CHECKSUM_PARTIAL, still to be made.  Returns a TC verdict.
 */
__noinline int weir_reset(struct __sk_buff *skb, struct weir_pkt *pkt)
{
	struct weir_tuple to;
	struct tcphdr old, new;
	__u32 change[2];
	__u32 sum;

	if (!pkt || bpf_skb_load_bytes(skb, pkt->l4, &old, sizeof(old))) {
		return TC_ACT_SHOT;
	}
	weir_tuple_reverse(&pkt->key.from, &to);
	__builtin_memset(&new, 0, sizeof(new));
	new.source = old.dest;
	new.dest = old.source;
	new.ack_seq = bpf_htonl(bpf_ntohl(old.seq) + 1);
	new.doff = old.doff;
	new.rst = 1;
	new.ack = 1;
	new.check = old.check; /* adjusted below, not part of its own sum */
	change[0] = weir_sum_change((__u32 *)&old, (__u32 *)&new, 5);
	change[1] = weir_blank_options(skb, pkt->l4, old.doff);
	sum = change[0] + change[1];
	sum += sum < change[0];
	/* The sum last: the helper changes it in the packet. */
	if (bpf_skb_store_bytes(skb, pkt->l4, &new, sizeof(new), 0) ||
	    bpf_l4_csum_replace(skb, pkt->l4 + WEIR_TCP_CSUM, 0, sum, 0) ||
	    weir_store_addrs(skb, pkt, pkt->l3, &to) ||
	    weir_renew_ttl(skb, pkt) || (pkt->l3 && weir_swap_macs(skb))) {
		return TC_ACT_SHOT;
	}
	return bpf_redirect(skb->ifindex, 0);
}

#endif
