// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The packet plane in TC, on every interface but loopback: clients' packets are
 * translated at ingress, answers at egress (README.md).  One object for TCX and
 * for clsact: TCX_NEXT and TC_ACT_UNSPEC are the same value, and everything
 * that is not dropped or answered goes on to the next program.
 * Kernel floor 5.15 (clsact), 6.6 (TCX).
 */
#include "begin.h"
#include "lan.h"
#include "rewrite.h"

#define NOT_MINE (-100) /* no TC verdict: the rest of the program goes on */

#define PULL_BYTES 256 /* linear, asked for where headers lie in pages */

/* ----------------------------------------------------------- fragments */

static __always_inline void frag_key(const struct weir_pkt *pkt,
				     struct weir_frag_key *k)
{
	__builtin_memset(k, 0, sizeof(*k));
	k->saddr = pkt->key.from.saddr;
	k->daddr = pkt->key.from.daddr;
	k->id_be = pkt->frag_id;
	k->proto = pkt->key.proto;
	k->dir = pkt->key.dir;
}

/* The ports of the datagram, for those that come after.  Also of datagrams that
 * are not weir's: their fragments must not take the ports of an earlier one
 * with the same identification. */
static __noinline int frag_note(const struct weir_pkt *pkt)
{
	struct weir_frag_key k;
	struct weir_frag v = {
		.seen_ns = bpf_ktime_get_coarse_ns(),
		.sport_be = pkt->key.from.sport_be,
		.dport_be = pkt->key.from.dport_be,
	};

	frag_key(pkt, &k);
	return weir_lru_put(&weir_frag, &k, &v, BPF_ANY);
}

static __noinline bool frag_recall(struct weir_pkt *pkt)
{
	struct weir_frag_key k;
	struct weir_frag *v;

	frag_key(pkt, &k);
	v = bpf_map_lookup_elem(&weir_frag, &k);
	if (!v || bpf_ktime_get_coarse_ns() - v->seen_ns >= WEIR_IDLE_FRAG_NS) {
		weir_count_event(WEIR_COUNT_PACKET_FRAG_MISS);
		return false;
	}
	pkt->key.from.sport_be = v->sport_be;
	pkt->key.from.dport_be = v->dport_be;
	return true;
}

/* ------------------------------------------------------- past the stack */

/*
 * Rewrites the packet to *to and sends it where the stack would.  What the
 * stack must see (no route, TTL used up, too large) is left to it, translated.
 */
__noinline int weir_shortcut(struct __sk_buff *skb, struct weir_pkt *pkt,
			     const struct weir_tuple *routed,
			     const struct weir_tuple *to)
{
	struct bpf_redir_neigh nh = {};
	const struct weir_if *out;
	struct bpf_fib_lookup p;
	long r;

	if (!pkt || !routed || !to) {
		return TC_ACT_SHOT;
	}
	r = route(skb, pkt, routed, skb->ifindex, &p);

	if (!is_routed(r) || !weir_age(skb, pkt)) {
		return weir_rewrite(skb, pkt, routed) ? TC_ACT_SHOT
						      : TC_ACT_UNSPEC;
	}
	if (weir_rewrite(skb, pkt, to)) {
		return TC_ACT_SHOT;
	}
	weir_count_event(WEIR_COUNT_PACKET_REDIRECTED);
	out = if_find(p.ifindex);
	if (r == BPF_FIB_LKUP_RET_SUCCESS && out &&
	    (out->flags & WEIR_IF_PEER)) {
		__u8 macs[12];

		__builtin_memcpy(macs, p.dmac, 6);
		__builtin_memcpy(macs + 6, p.smac, 6);
		if (bpf_skb_store_bytes(skb, 0, macs, 12, 0)) {
			return TC_ACT_SHOT;
		}
		return bpf_redirect_peer(p.ifindex, 0);
	}
	nh.nh_family = p.family;
	if (p.family == AF_INET6) {
		__builtin_memcpy(nh.ipv6_nh, p.ipv6_dst, 16);
	} else {
		nh.ipv4_nh = p.ipv4_dst;
	}
	return bpf_redirect_neigh(p.ifindex, &nh, sizeof(nh), 0);
}

/* Client to endpoint; the SNAT of egress is done at once. */
static __noinline int shortcut_forward(struct __sk_buff *skb,
				       struct weir_pkt *pkt,
				       struct weir_flow *flow)
{
	struct weir_tuple routed = flow->to;
	struct weir_tuple to = routed;
	struct weir_flow_key k = {};
	struct weir_flow *snat;

	if (flow->state & WEIR_FLOW_SNATTED) {
		k.from = routed;
		k.proto = pkt->key.proto;
		k.dir = WEIR_DIR_EGRESS;
		snat = weir_flow_find(&k);
		if (!snat) {
			return TC_ACT_SHOT;
		}
		to = snat->to;
	}
	return weir_shortcut(skb, pkt, &routed, &to);
}

/* ---------------------------------------------------------------- hooks */

static __noinline enum weir_pkt_kind parse_once(struct __sk_buff *skb,
						struct weir_pkt *pkt, __u32 l3)
{
	__builtin_memset(pkt, 0, sizeof(*pkt));
	return weir_parse((void *)(long)skb->data, (void *)(long)skb->data_end,
			  skb->protocol, l3 ? ETH_HLEN : 0, pkt);
}

static __always_inline enum weir_pkt_kind
parse(struct __sk_buff *skb, struct weir_pkt *pkt, __u32 l3, __u8 dir)
{
	enum weir_pkt_kind kind = parse_once(skb, pkt, l3);

	if (kind == WEIR_PKT_SHORT) {
		__u32 n = skb->len < PULL_BYTES ? skb->len : PULL_BYTES;

		kind = WEIR_PKT_BAD;
		if (!bpf_skb_pull_data(skb, n)) {
			kind = parse_once(skb, pkt, l3);
		}
		if (kind == WEIR_PKT_SHORT) {
			kind = WEIR_PKT_BAD;
		}
	}
	pkt->key.dir = dir;
	return kind;
}

/* True: pkt is a segment or datagram whose ports are known.  Else *ret_verdict
 * is what becomes of it. */
static __always_inline bool admit(struct __sk_buff *skb, struct weir_pkt *pkt,
				  enum weir_pkt_kind kind, int *ret_verdict)
{
	*ret_verdict = TC_ACT_UNSPEC;
	if (kind == WEIR_PKT_FLOW) {
		if (pkt->is_first) {
			frag_note(pkt);
		}
		return !pkt->is_later || frag_recall(pkt);
	}
	if (kind == WEIR_PKT_ERROR) {
		*ret_verdict = weir_icmp_error(skb, pkt);
	} else if (kind == WEIR_PKT_BAD) {
		weir_count_event(WEIR_COUNT_PACKET_MALFORMED);
	}
	return false;
}

/* Notes a packet of a FORWARD or REVERSE entry.  False: the flow is over. */
static __always_inline bool
note(struct __sk_buff *skb, const struct weir_pkt *pkt, struct weir_flow *flow)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	if (!weir_flow_is_plain(pkt, flow, now) &&
	    !weir_flow_turn(pkt, flow, now)) {
		return false;
	}
	__sync_fetch_and_add(&flow->bytes, skb->len - pkt->l3);
	return true;
}

static __always_inline int translate(struct __sk_buff *skb,
				     struct weir_pkt *pkt,
				     const struct weir_flow *flow)
{
	return weir_rewrite(skb, pkt, &flow->to) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* Endpoint to client at ingress, where the way is past the stack.  pkt is what
 * came, seen as if it were about to leave. */
static __noinline int shortcut_reverse(struct __sk_buff *skb,
				       struct weir_pkt *pkt,
				       const struct weir_flow *unsnat)
{
	struct weir_flow_key k = pkt->key;
	struct weir_flow *rev;
	struct weir_tuple to;

	if (unsnat) {
		k.from = unsnat->to;
	}
	k.dir = WEIR_DIR_EGRESS;
	rev = weir_flow_find(&k);
	if (!rev || !(rev->state & WEIR_FLOW_SHORTCUT) ||
	    (rev->state & WEIR_FLOW_KIND) != WEIR_FLOW_REVERSE ||
	    pkt->is_first || pkt->is_later) {
		return unsnat ? translate(skb, pkt, unsnat) : NOT_MINE;
	}
	to = rev->to;
	if (!weir_flow_is_plain(pkt, rev, bpf_ktime_get_coarse_ns())) {
		struct weir_pkt seen = *pkt;

		seen.key = k;
		weir_flow_turn(&seen, rev, bpf_ktime_get_coarse_ns());
	}
	__sync_fetch_and_add(&rev->bytes, skb->len - pkt->l3);
	return weir_shortcut(skb, pkt, &to, &to);
}

/* Begins a connection that may collide with a flow towards the same endpoint
 * (collides_directly()). */
static __always_inline bool may_collide(const struct weir_pkt *pkt)
{
	return pkt->key.proto == IPPROTO_TCP && may_begin(pkt) &&
	       weir_sieve_has_destination(&pkt->key.from, WEIR_SIEVE_ANSWER);
}

/* To no frontend, and not the begin of a connection that may collide. */
__noinline int weir_is_foreign(const struct weir_pkt *pkt)
{
	struct weir_fe_key key = {};

	if (!pkt || may_collide(pkt)) {
		return false;
	}
	key.addr = pkt->key.from.daddr;
	key.port_be = pkt->key.from.dport_be;
	key.proto = pkt->key.proto;
	return !weir_fe_find(&key);
}

/* The packet begins a flow, or is not ours. */
static __always_inline int first_packet(struct __sk_buff *skb,
					struct weir_pkt *pkt)
{
	struct weir_flow *flow;
	struct draft *d;

	if (weir_is_foreign(pkt)) {
		return TC_ACT_UNSPEC;
	}
	d = draft_get();
	if (!d) {
		return TC_ACT_UNSPEC;
	}
	d->pkt = *pkt;
	__builtin_memset(&d->choice, 0, sizeof(d->choice));
	d->now = bpf_ktime_get_coarse_ns();
	d->state = 0;
	d->ep_gen = 0;
	d->other_port = 0;
	d->has_snat = 0;
	switch (weir_begin(skb)) {
	case BEGIN_OK:
		break;
	case BEGIN_DROP:
		return TC_ACT_SHOT;
	case BEGIN_RESET:
		return weir_reset(skb, pkt);
	case BEGIN_UNREACHABLE:
		return translate(skb, pkt, &d->f);
	default:
		return TC_ACT_UNSPEC;
	}
	flow = weir_flow_find(&pkt->key);
	if (!flow) {
		return TC_ACT_SHOT;
	}
	__sync_fetch_and_add(&flow->bytes, skb->len - pkt->l3);
	if ((flow->state & WEIR_FLOW_SHORTCUT) && !pkt->is_first) {
		return shortcut_forward(skb, pkt, flow);
	}
	return translate(skb, pkt, flow);
}

static __always_inline int take_in(struct __sk_buff *skb, __u32 l3)
{
	struct weir_pkt pkt;
	struct weir_flow *flow = NULL;
	enum weir_pkt_kind kind = parse(skb, &pkt, l3, WEIR_DIR_INGRESS);
	bool is_known;
	int verdict;

	if (weir_in_prefix(&pkt.key.from.daddr)) {
		/* Only weir itself writes these addresses, after this. */
		weir_count_event(WEIR_COUNT_PACKET_PREFIX_DROP);
		return TC_ACT_SHOT;
	}
	if (!admit(skb, &pkt, kind, &verdict)) {
		return kind == WEIR_PKT_OTHER && l3 ? weir_lan_in(skb)
						    : verdict;
	}
	is_known = weir_sieve_has_destination(&pkt.key.from, WEIR_SIEVE_FRONT);
	if (is_known || weir_sieve_has_source(&pkt.key.from, WEIR_SIEVE_SNAT)) {
		flow = weir_flow_find(&pkt.key);
	}
	if (flow && (flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_UNSNAT) {
		return flow->state & WEIR_FLOW_SHORTCUT
			       ? shortcut_reverse(skb, &pkt, flow)
			       : translate(skb, &pkt, flow);
	}
	if (flow && note(skb, &pkt, flow)) {
		if ((flow->state & WEIR_FLOW_SHORTCUT) && !pkt.is_first &&
		    !pkt.is_later) {
			return shortcut_forward(skb, &pkt, flow);
		}
		return translate(skb, &pkt, flow);
	}
	if (pkt.is_later) {
		return TC_ACT_UNSPEC;
	}
	if (weir_conf.wants_redirect && l3 &&
	    weir_sieve_has_source(&pkt.key.from, WEIR_SIEVE_ANSWER)) {
		verdict = shortcut_reverse(skb, &pkt, NULL);
		if (verdict != NOT_MINE) {
			return verdict;
		}
	}
	/* Most packets of traffic that is not weir's end here. */
	return is_known || may_collide(&pkt) ? first_packet(skb, &pkt)
					     : TC_ACT_UNSPEC;
}

static __always_inline int let_out(struct __sk_buff *skb, __u32 l3)
{
	struct weir_pkt pkt;
	struct weir_flow *flow;
	enum weir_pkt_kind kind = parse(skb, &pkt, l3, WEIR_DIR_EGRESS);
	int verdict;

	flow = NULL;
	if (admit(skb, &pkt, kind, &verdict) &&
	    (weir_sieve_has_source(&pkt.key.from, WEIR_SIEVE_ANSWER) ||
	     weir_sieve_has_destination(&pkt.key.from, WEIR_SIEVE_SNAT))) {
		flow = weir_flow_find(&pkt.key);
	}
	if (!flow) {
		if (kind == WEIR_PKT_OTHER && l3 &&
		    skb->protocol == bpf_htons(ETH_P_ARP)) {
			return weir_lan_out(skb);
		}
		if (!weir_in_prefix(&pkt.key.from.saddr)) {
			return verdict;
		}
		/* An answer whose flow was lost: it means nothing outside. */
		weir_count_event(WEIR_COUNT_PACKET_PREFIX_DROP);
		return TC_ACT_SHOT;
	}
	if ((flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_REVERSE) {
		note(skb, &pkt, flow);
	}
	return translate(skb, &pkt, flow);
}

/* A frame of a VLAN belongs to the interface of that VLAN, where it is seen
 * again.  VLAN 0 is no VLAN but a priority (IEEE 802.1Q section 6.9). */
static __always_inline bool is_tagged(struct __sk_buff *skb)
{
	return skb->vlan_present && (skb->vlan_tci & 0x0FFF);
}

/* l3: 14 on Ethernet, 0 on devices without a link header.  What the link layer
 * does not address to this interface (flooded, for a macvlan above) is not for
 * the node, or is seen again where it is; of what is for all, questions for
 * addresses are looked at. */
static __always_inline int ingress(struct __sk_buff *skb, __u32 l3)
{
	if (is_tagged(skb)) {
		return TC_ACT_UNSPEC;
	}
	if (skb->pkt_type != PACKET_HOST) {
		return l3 && skb->pkt_type <= PACKET_MULTICAST
			       ? weir_lan_in(skb)
			       : TC_ACT_UNSPEC;
	}
	return take_in(skb, l3);
}

static __always_inline int egress(struct __sk_buff *skb, __u32 l3)
{
	return is_tagged(skb) ? TC_ACT_UNSPEC : let_out(skb, l3);
}

SEC("tc")
int weir_ingress(struct __sk_buff *skb)
{
	return ingress(skb, ETH_HLEN);
}

SEC("tc")
int weir_egress(struct __sk_buff *skb)
{
	return egress(skb, ETH_HLEN);
}

SEC("tc")
int weir_ingress_l3(struct __sk_buff *skb)
{
	return ingress(skb, 0);
}

SEC("tc")
int weir_egress_l3(struct __sk_buff *skb)
{
	return egress(skb, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
