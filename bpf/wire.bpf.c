// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The forward half in XDP, on interfaces that the operator names: what comes
 * in for a flow that TC has begun is translated before it costs an skb.
 * Everything else (first packets, ends of flows, fragments, ICMP, flows to the
 * proxy prefix, flows past the stack) is passed to TC on the same interface
 * untouched, which sees the translated packets as none of its own.
 * Writes packet bytes; never drops.  Kernel floor 5.15.
 */
#include "flow.h"

static __always_inline void fold_into(__sum16 *check, __u32 change)
{
	__u32 sum = (__u16) ~*check;

	sum += (change & 0xFFFF) + (change >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	*check = ~sum;
}

/* The sum of TCP or UDP; false if it is not in the frame's first part. */
static __always_inline bool fix_l4(void *l4, void *end, bool is_udp, __u32 addr,
				   __u32 port)
{
	struct udphdr *udp = l4;
	struct tcphdr *tcp = l4;

	if (is_udp) {
		if ((void *)(udp + 1) > end) {
			return false;
		}
		if (!udp->check) {
			return true; /* RFC 768: none */
		}
		fold_into(&udp->check, addr);
		fold_into(&udp->check, port);
		if (!udp->check) {
			udp->check = 0xFFFF;
		}
		return true;
	}
	if ((void *)(tcp + 1) > end) {
		return false;
	}
	fold_into(&tcp->check, addr);
	fold_into(&tcp->check, port);
	return true;
}

/* Only plain headers: no IPv4 options, no IPv6 extensions. */
static __always_inline bool rewrite(void *data, void *end,
				    const struct weir_pkt *pkt,
				    const struct weir_tuple *to)
{
	__u32 addr = weir_addr_change(&pkt->key.from, to);
	__u32 port = weir_port_change(&pkt->key.from, to);
	bool is_udp = pkt->key.proto == IPPROTO_UDP;
	__be16 *ports;

	if (pkt->is_v6) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		ports = (void *)(ip + 1);
		if ((void *)(ports + 2) > end ||
		    !fix_l4(ports, end, is_udp, addr, port)) {
			return false;
		}
		__builtin_memcpy(&ip->saddr, &to->saddr, 16);
		__builtin_memcpy(&ip->daddr, &to->daddr, 16);
	} else {
		struct iphdr *ip = data + ETH_HLEN;

		ports = (void *)(ip + 1);
		if ((void *)(ports + 2) > end ||
		    !fix_l4(ports, end, is_udp, addr, port)) {
			return false;
		}
		fold_into(&ip->check, addr);
		ip->saddr = to->saddr.a[3];
		ip->daddr = to->daddr.a[3];
	}
	ports[0] = to->sport_be;
	ports[1] = to->dport_be;
	return true;
}

SEC("xdp")
int weir_wire(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct weir_pkt pkt = {};
	struct weir_flow *flow;
	__u32 kind;

	if ((void *)(eth + 1) > end ||
	    weir_parse(data, end, eth->h_proto, ETH_HLEN, &pkt) !=
		    WEIR_PKT_FLOW ||
	    pkt.is_first || pkt.is_later ||
	    pkt.l4 != ETH_HLEN + (pkt.is_v6 ? sizeof(struct ipv6hdr)
					    : sizeof(struct iphdr)) ||
	    !(weir_sieve_has_destination(&pkt.key.from, WEIR_SIEVE_FRONT) ||
	      weir_sieve_has_source(&pkt.key.from, WEIR_SIEVE_SNAT))) {
		return XDP_PASS;
	}
	pkt.key.dir = WEIR_DIR_INGRESS;
	flow = weir_flow_find(&pkt.key);
	if (!flow || (flow->state & WEIR_FLOW_SHORTCUT)) {
		return XDP_PASS;
	}
	kind = flow->state & WEIR_FLOW_KIND;
	if (kind == WEIR_FLOW_FORWARD &&
	    (weir_in_prefix(&flow->to.daddr) ||
	     !weir_flow_is_plain(&pkt, flow, bpf_ktime_get_coarse_ns()))) {
		return XDP_PASS;
	}
	if (rewrite(data, end, &pkt, &flow->to) && kind == WEIR_FLOW_FORWARD) {
		__sync_fetch_and_add(&flow->bytes, end - data - ETH_HLEN);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
