/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets: from bytes to a flow key, and from one tuple to another.  Knows
 * headers, not flows.  Shared by TC and XDP; what needs an skb is in rewrite.h.
 */
#ifndef WEIR_BPF_PACKET_H
#define WEIR_BPF_PACKET_H

#include "core.h"

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* linux/icmp.h brings libc along. */
#define WEIR_ICMP_UNREACHABLE 3
#define WEIR_ICMP_REDIRECT 5
#define WEIR_ICMP_TIME 11
#define WEIR_ICMP_PARAMETER 12

#define WEIR_IP_FRAGMENT 0x3FFF /* MF and offset */
#define WEIR_IP_OFFSET 0x1FFF
#define WEIR_IP6_OFFSET 0xFFF8

/* Flags of a TCP header, byte 13. */
#define WEIR_TCP_FIN 0x01
#define WEIR_TCP_SYN 0x02
#define WEIR_TCP_RST 0x04
#define WEIR_TCP_ACK 0x10

/* IPv6 extension headers before the upper one, and where it may begin: more
 * is not worth following (RFC 9098 section 5). */
#define WEIR_EXT_MAX 6
#define WEIR_L4_MAX 512

enum weir_pkt_kind {
	WEIR_PKT_OTHER, /* nothing that weir translates */
	WEIR_PKT_FLOW,  /* TCP or UDP: key is complete unless is_later */
	WEIR_PKT_ERROR, /* ICMP error about another packet */
	WEIR_PKT_SHORT, /* headers are not in the linear part */
	WEIR_PKT_BAD,
};

/* dir in the key is left to the hook. */
struct weir_pkt {
	struct weir_flow_key key;
	__u32 l3; /* offset of the IP header */
	__u32 l4; /* offset of what follows it and its extensions */
	__be32 frag_id;
	__u8 is_v6;
	__u8 is_first; /* fragment: has ports, names them for the others */
	__u8 is_later; /* fragment: has none */
	__u8 tcp_flags;
};

/* The first bytes of every IPv6 extension header. */
struct weir_ip6_ext {
	__u8 next;
	__u8 len;
	__be16 frag_off; /* fragment header */
	__be32 frag_id;
};

static __always_inline enum weir_pkt_kind weir_parse_l4(void *data, void *end,
							struct weir_pkt *pkt,
							__u32 off, __u8 proto)
{
	__u8 *l4 = data + off;

	pkt->l4 = off;
	pkt->key.proto = proto;
	if (pkt->is_later) {
		return proto == IPPROTO_TCP || proto == IPPROTO_UDP
			       ? WEIR_PKT_FLOW
			       : WEIR_PKT_OTHER;
	}
	if (proto == IPPROTO_TCP) {
		if ((void *)(l4 + sizeof(struct tcphdr)) > end) {
			return WEIR_PKT_SHORT;
		}
		pkt->tcp_flags = l4[13];
	} else {
		if (proto != IPPROTO_UDP && proto != IPPROTO_ICMP &&
		    proto != IPPROTO_ICMPV6) {
			return WEIR_PKT_OTHER;
		}
		if ((void *)(l4 + sizeof(struct udphdr)) > end) {
			return WEIR_PKT_SHORT;
		}
	}
	if (proto == IPPROTO_ICMP) {
		return !pkt->is_v6 && (l4[0] == WEIR_ICMP_UNREACHABLE ||
				       l4[0] == WEIR_ICMP_TIME ||
				       l4[0] == WEIR_ICMP_PARAMETER ||
				       l4[0] == WEIR_ICMP_REDIRECT)
			       ? WEIR_PKT_ERROR
			       : WEIR_PKT_OTHER;
	}
	if (proto == IPPROTO_ICMPV6) {
		/* RFC 4443 section 2.1: errors are those below 128. */
		return pkt->is_v6 && l4[0] < 128 ? WEIR_PKT_ERROR
						 : WEIR_PKT_OTHER;
	}
	pkt->key.from.sport_be = *(__be16 *)l4;
	pkt->key.from.dport_be = *(__be16 *)(l4 + 2);
	return WEIR_PKT_FLOW;
}

static __always_inline enum weir_pkt_kind
weir_parse_v4(void *data, void *end, struct weir_pkt *pkt, __u32 l3)
{
	struct iphdr *ip = data + l3;
	__u16 frag;

	if ((void *)(ip + 1) > end) {
		return WEIR_PKT_SHORT;
	}
	if (ip->version != 4 || ip->ihl < 5) {
		return WEIR_PKT_BAD;
	}
	weir_ip_set4(&pkt->key.from.saddr, ip->saddr);
	weir_ip_set4(&pkt->key.from.daddr, ip->daddr);
	frag = bpf_ntohs(ip->frag_off);
	if (frag & WEIR_IP_FRAGMENT) {
		pkt->is_later = (frag & WEIR_IP_OFFSET) != 0;
		pkt->is_first = !pkt->is_later;
		pkt->frag_id = ip->id;
	}
	return weir_parse_l4(data, end, pkt, l3 + ip->ihl * 4, ip->protocol);
}

/* Bytes of an extension header; 0: it is none. */
static __always_inline __u32 weir_ext_size(__u8 type, __u8 len)
{
	switch (type) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return (len + 1) * 8;
	case IPPROTO_AH:
		return (len + 2) * 4;
	case IPPROTO_FRAGMENT:
		return 8;
	default:
		return 0;
	}
}

static __always_inline enum weir_pkt_kind
weir_parse_v6(void *data, void *end, struct weir_pkt *pkt, __u32 l3)
{
	struct ipv6hdr *ip = data + l3;
	__u32 off = l3 + sizeof(*ip);
	struct weir_ip6_ext *ext;
	__u32 size;
	__u8 next;

	if ((void *)(ip + 1) > end) {
		return WEIR_PKT_SHORT;
	}
	if (ip->version != 6) {
		return WEIR_PKT_BAD;
	}
	__builtin_memcpy(&pkt->key.from.saddr, &ip->saddr,
			 sizeof(struct weir_ip));
	__builtin_memcpy(&pkt->key.from.daddr, &ip->daddr,
			 sizeof(struct weir_ip));
	pkt->is_v6 = 1;
	next = ip->nexthdr;
	for (int i = 0; i < WEIR_EXT_MAX; i++) {
		if (next == IPPROTO_TCP || next == IPPROTO_UDP) {
			break;
		}
		ext = data + off;
		if ((void *)(ext + 1) > end) {
			return next == IPPROTO_NONE ? WEIR_PKT_OTHER
						    : WEIR_PKT_SHORT;
		}
		size = weir_ext_size(next, ext->len);
		if (!size) {
			break;
		}
		if (next == IPPROTO_FRAGMENT) {
			pkt->is_later = (bpf_ntohs(ext->frag_off) &
					 WEIR_IP6_OFFSET) != 0;
			pkt->is_first = !pkt->is_later;
			pkt->frag_id = ext->frag_id;
		}
		next = ext->next;
		off += size;
		if (off > WEIR_L4_MAX) {
			return WEIR_PKT_BAD;
		}
		if (pkt->is_later) {
			break;
		}
	}
	return weir_parse_l4(data, end, pkt, off, next);
}

/* pkt is zeroed.  l3: offset of the IP header; proto_be: ETH_P_*.  On OTHER
 * and BAD the addresses are filled as far as they were read. */
static __always_inline enum weir_pkt_kind weir_parse(void *data, void *end,
						     __be16 proto_be, __u32 l3,
						     struct weir_pkt *pkt)
{
	pkt->l3 = l3;
	if (proto_be == bpf_htons(ETH_P_IP)) {
		return weir_parse_v4(data, end, pkt, l3);
	}
	if (proto_be == bpf_htons(ETH_P_IPV6)) {
		return weir_parse_v6(data, end, pkt, l3);
	}
	return WEIR_PKT_OTHER;
}

/* What must be added to a one's-complement sum when n words change. */
static __always_inline __u32 weir_sum_change(const __u32 *from, const __u32 *to,
					     int n)
{
	__u64 sum = 0;

	for (int i = 0; i < n; i++) {
		sum += (__u32)~from[i];
		sum += to[i];
	}
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	return sum;
}

static __always_inline __u32 weir_addr_change(const struct weir_tuple *from,
					      const struct weir_tuple *to)
{
	return weir_sum_change(from->saddr.a, to->saddr.a, 8);
}

/* The same where both are IPv4. */
static __always_inline __u32 weir_addr_change4(const struct weir_tuple *from,
					       const struct weir_tuple *to)
{
	const __u32 f[] = {from->saddr.a[3], from->daddr.a[3]};
	const __u32 t[] = {to->saddr.a[3], to->daddr.a[3]};

	return weir_sum_change(f, t, 2);
}

static __always_inline __u32 weir_port_change(const struct weir_tuple *from,
					      const struct weir_tuple *to)
{
	__u32 f = *(const __u32 *)&from->sport_be;
	__u32 t = *(const __u32 *)&to->sport_be;

	return f == t ? 0 : weir_sum_change(&f, &t, 1);
}

static __always_inline void weir_tuple_reverse(const struct weir_tuple *t,
					       struct weir_tuple *ret)
{
	ret->saddr = t->daddr;
	ret->daddr = t->saddr;
	ret->sport_be = t->dport_be;
	ret->dport_be = t->sport_be;
}

#endif
