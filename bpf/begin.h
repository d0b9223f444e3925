/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a flow of the packet plane begins: what is chosen for its first packet,
 * how the endpoint is reached, and the entries that are made of it.  Changes no
 * packet.  The steps are global functions that share a draft in per-CPU memory.
 */
#ifndef WEIR_BPF_BEGIN_H
#define WEIR_BPF_BEGIN_H

#include "flow.h"

enum begin {
	BEGIN_PASS,
	BEGIN_OK,    /* the flow is in the table */
	BEGIN_RELAY, /* the proxy shall carry it to the endpoint */
	BEGIN_DROP,
	BEGIN_RESET,       /* a SYN: is answered by us */
	BEGIN_UNREACHABLE, /* a datagram: is answered by the stack */
};

/*
 * A flow that is about to exist.  In per-CPU memory, as it does not fit on the
 * stack and the functions that work on it are checked one by one; used from the
 * first packet's arrival to the FORWARD entry, with bottom halves off.
 */
struct draft {
	struct weir_pkt pkt; /* its first packet */
	struct weir_choice choice;
	struct weir_flow f; /* the entry being made, and its key */
	struct weir_flow_key k;
	struct weir_flow_key other; /* of the entry that is in the way */
	struct bpf_fib_lookup fib;
	struct weir_tuple way; /* what is asked of the routing table */
	struct weir_ip node;   /* source address, a[2] 0: not translated */
	__u64 now;
	__u32 state;     /* WEIR_FLOW_SHORTCUT or 0 */
	__u32 ep_gen;    /* weir_epgen of the endpoint when chosen */
	__u8 other_port; /* the client's own port cannot be used */
	__u8 has_snat;   /* leaves with an address of the node */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct draft);
} weir_draft SEC(".maps");

static __always_inline struct draft *draft_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_draft, &zero);
}

/* ------------------------------------------------------------ interfaces */

static __always_inline const struct weir_if *if_find(__u32 ifindex)
{
	return bpf_map_lookup_elem(&weir_if, &ifindex);
}

/* An interface that nothing is known of leads anywhere. */
static __always_inline bool is_external(__u32 ifindex)
{
	const struct weir_if *i = if_find(ifindex);

	return !i || (i->flags & WEIR_IF_EXTERNAL);
}

static __always_inline bool node_addr(__u32 ifindex, bool is_v6,
				      struct weir_ip *ret)
{
	const struct weir_if *i = if_find(ifindex);

	if (!i) {
		return false;
	}
	*ret = is_v6 ? i->node6 : i->node4;
	return (ret->a[0] | ret->a[2] | ret->a[3]) != 0;
}

static __always_inline bool is_routed(long r)
{
	return r == BPF_FIB_LKUP_RET_SUCCESS || r == BPF_FIB_LKUP_RET_NO_NEIGH;
}

/* Where a packet with tuple t that came in by ifindex goes: in p. */
static __always_inline long route(struct __sk_buff *skb,
				  const struct weir_pkt *pkt,
				  const struct weir_tuple *t, __u32 ifindex,
				  struct bpf_fib_lookup *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->ifindex = ifindex;
	p->l4_protocol = pkt->key.proto;
	p->sport = t->sport_be;
	p->dport = t->dport_be;
	if (pkt->is_v6) {
		p->family = AF_INET6;
		__builtin_memcpy(p->ipv6_src, &t->saddr, 16);
		__builtin_memcpy(p->ipv6_dst, &t->daddr, 16);
	} else {
		p->family = AF_INET;
		p->ipv4_src = t->saddr.a[3];
		p->ipv4_dst = t->daddr.a[3];
	}
	return bpf_fib_lookup(skb, p, sizeof(*p), 0);
}

/* ----------------------------------------------------------- new flows */

/* d->f for this flow, still without its tuple. */
static __always_inline void fill(struct draft *d, __u32 kind)
{
	d->f.state = kind | d->state;
	d->f.seen_ns = d->now;
	d->f.bytes = 0;
	d->f.ep_id = d->choice.ep_id;
	d->f.ep_gen = d->ep_gen;
	d->f.stat = d->choice.stat;
	d->f.fid = d->choice.fid;
}

static __always_inline __be16 reserved_port(__u32 n)
{
	__u32 first = weir_conf.snat_first;
	__u32 count = weir_conf.snat_last - first + 1;

	/* 16 bits scaled to the range, without a division. */
	return bpf_htons(first + (((n & 0xFFFF) * count) >> 16));
}

/* Puts d->f at d->k if nothing that lives is there.  0, -EEXIST or another
 * error. */
__noinline long weir_claim(void)
{
	struct draft *d = draft_get();
	struct weir_flow *there;
	__u32 kind;
	long r;

	if (!d) {
		return -ENOENT;
	}
	r = weir_flow_put(&d->k, &d->f, BPF_NOEXIST);
	if (r != -EEXIST) {
		return r;
	}
	there = weir_flow_find(&d->k);
	if (!there) {
		return r;
	}
	kind = there->state & WEIR_FLOW_KIND;
	if (kind == WEIR_FLOW_REVERSE) {
		if (!weir_flow_yields(&d->k, there, d->now)) {
			return r;
		}
	} else if (kind == WEIR_FLOW_UNSNAT) {
		/* It belongs to whom its answers go to. */
		d->other = d->k;
		d->other.from = there->to;
		d->other.dir = WEIR_DIR_EGRESS;
		there = weir_flow_find(&d->other);
		if (there && !weir_flow_yields(&d->other, there, d->now)) {
			return r;
		}
		/* Its owner took it along, unless it had none. */
		bpf_map_delete_elem(&weir_flow, &d->k);
	} else {
		return r;
	}
	return weir_flow_put(&d->k, &d->f, BPF_NOEXIST);
}

/* The same with reserved ports as destination of d->k, until one is free. */
static __always_inline long claim_reserved(struct draft *d)
{
	__u32 n = bpf_get_prandom_u32();
	long r = -EEXIST;

	for (int i = 0; i < WEIR_PORT_TRIES && r == -EEXIST; i++) {
		d->k.from.dport_be = reserved_port(n);
		r = weir_claim();
		n += 0x9E37;
	}
	return r;
}

/* The REVERSE entry.  Where the same answer is already somebody's (one client
 * port, two frontends, one endpoint) the client gets another port towards the
 * endpoint: the one that is then in d->k. */
static __always_inline long add_reverse(struct draft *d)
{
	long r = -EEXIST;

	fill(d, WEIR_FLOW_REVERSE);
	weir_tuple_reverse(&d->pkt.key.from, &d->f.to);
	d->k.from.saddr = d->choice.addr;
	d->k.from.daddr = d->pkt.key.from.saddr;
	d->k.from.sport_be = d->choice.port_be;
	d->k.from.dport_be = d->pkt.key.from.sport_be;
	d->k.proto = d->pkt.key.proto;
	d->k.dir = WEIR_DIR_EGRESS;
	if (!d->other_port) {
		r = weir_claim();
	}
	return r == -EEXIST ? claim_reserved(d) : r;
}

/* SNAT and UNSNAT of what leaves with the reverse of tuple d->k. */
static __always_inline long add_snat(struct draft *d)
{
	struct weir_tuple there;
	long r;

	fill(d, WEIR_FLOW_UNSNAT);
	d->f.to = d->k.from;
	weir_tuple_reverse(&d->k.from, &there);
	d->k.from.daddr = d->node;
	d->k.dir = WEIR_DIR_INGRESS;
	r = claim_reserved(d);
	if (r) {
		return r;
	}
	fill(d, WEIR_FLOW_SNAT);
	weir_tuple_reverse(&d->k.from, &d->f.to);
	d->k.from = there;
	d->k.dir = WEIR_DIR_EGRESS;
	return weir_flow_put(&d->k, &d->f, BPF_ANY);
}

static __always_inline int no_flow(long r)
{
	if (r == -EEXIST) {
		weir_count_event(WEIR_COUNT_PACKET_NO_PORT);
		return BEGIN_DROP;
	}
	weir_count_event(WEIR_COUNT_PACKET_NO_FLOW);
	return BEGIN_PASS;
}

/* Makes all entries of the drafted flow, FORWARD last. */
__noinline int weir_insert(void)
{
	struct draft *d = draft_get();
	__be16 sport_be;
	long r;

	if (!d) {
		return BEGIN_PASS;
	}
	if (d->has_snat) {
		/* Of FORWARD, but another half may have to make that again. */
		d->state |= WEIR_FLOW_SNATTED;
	}
	r = add_reverse(d);
	if (r) {
		return no_flow(r); /* what is at the key is somebody else's */
	}
	sport_be = d->k.from.dport_be;
	if (d->has_snat) {
		weir_count_event(WEIR_COUNT_PACKET_SNAT);
		r = add_snat(d);
	}
	fill(d, WEIR_FLOW_FORWARD);
	d->f.to.saddr = d->pkt.key.from.saddr;
	d->f.to.sport_be = sport_be;
	d->f.to.daddr = d->choice.addr;
	d->f.to.dport_be = d->choice.port_be;
	if (!r) {
		r = weir_flow_put(&d->pkt.key, &d->f, BPF_ANY);
	}
	if (!r) {
		return BEGIN_OK;
	}
	d->f.state |= WEIR_FLOW_COUNTED;
	weir_flow_end(&d->pkt.key, &d->f);
	return no_flow(r);
}

/*
 * How the chosen endpoint is reached, and what that needs: source translation
 * where the answer would not come back through this node, a way past the stack
 * for both directions or for none.
 */
__noinline int weir_plan_way(struct __sk_buff *skb)
{
	struct draft *d = draft_get();
	__u32 in = skb->ifindex;
	bool is_hairpin;
	__u32 out = in;
	long r;

	/* Or clang picks between two addresses, one of them in the context. */
	barrier_var(out);
	if (!d) {
		return BEGIN_PASS;
	}
	if (weir_ip_is_mapped(&d->choice.addr) == d->pkt.is_v6) {
		return BEGIN_RELAY;
	}
	is_hairpin = weir_ip_same(&d->choice.addr, &d->pkt.key.from.saddr);
	d->way = d->pkt.key.from;
	d->way.daddr = d->choice.addr;
	d->way.dport_be = d->choice.port_be;
	r = route(skb, &d->pkt, &d->way, in, &d->fib);
	if (r == BPF_FIB_LKUP_RET_FWD_DISABLED) {
		return BEGIN_RELAY;
	}
	if (is_routed(r)) {
		out = d->fib.ifindex;
	}
	if (is_hairpin || (!(d->choice.ep_flags & WEIR_EP_LOCAL) &&
			   r != BPF_FIB_LKUP_RET_NOT_FWDED && is_external(in) &&
			   is_external(out))) {
		if (!node_addr(out, d->pkt.is_v6, &d->node) &&
		    !node_addr(in, d->pkt.is_v6, &d->node)) {
			weir_count_event(WEIR_COUNT_PACKET_NO_PORT);
			return BEGIN_DROP;
		}
		d->has_snat = 1;
		/* Its SNAT and REVERSE entries would be one. */
		d->other_port = is_hairpin &&
				d->way.sport_be == d->way.dport_be;
	}
	if (weir_conf.wants_redirect && d->pkt.l3 && !skb->vlan_present &&
	    is_routed(r)) {
		d->way.saddr = d->choice.addr;
		d->way.daddr = d->pkt.key.from.saddr;
		d->way.sport_be = d->choice.port_be;
		d->way.dport_be = d->pkt.key.from.sport_be;
		if (is_routed(route(skb, &d->pkt, &d->way, out, &d->fib))) {
			d->state = WEIR_FLOW_SHORTCUT;
		}
	}
	return BEGIN_OK;
}

/*
 * No frontend, but an answer of this very tuple is already translated: the
 * client talks to the endpoint directly from a port that it also uses towards
 * a frontend.  The direct connection gets another port.
 */
static __always_inline bool collides_directly(struct draft *d)
{
	struct weir_flow *rev;

	weir_tuple_reverse(&d->pkt.key.from, &d->k.from);
	d->k.proto = d->pkt.key.proto;
	d->k.dir = WEIR_DIR_EGRESS;
	rev = weir_flow_find(&d->k);
	if (!rev || (rev->state & WEIR_FLOW_KIND) != WEIR_FLOW_REVERSE ||
	    weir_flow_yields(&d->k, rev, d->now)) {
		return false;
	}
	d->choice.addr = d->pkt.key.from.daddr;
	d->choice.port_be = d->pkt.key.from.dport_be;
	d->other_port = 1;
	return true;
}

static __always_inline __u64 client_of(void *of)
{
	const struct weir_ip *ip = of;

	return (__u64)weir_mix32(ip->a[0] ^ ip->a[1], ip->a[2]) << 32 |
	       ip->a[3];
}

static __always_inline bool may_begin(const struct weir_pkt *pkt)
{
	return pkt->key.proto == IPPROTO_UDP ||
	       (pkt->tcp_flags &
		(WEIR_TCP_SYN | WEIR_TCP_ACK | WEIR_TCP_RST)) == WEIR_TCP_SYN;
}

/*
 * What this plane cannot do itself (an endpoint of the other family, a node
 * that does not forward) is left to the relay: through the proxy prefix where
 * the frontend has a place there, else untouched, which for a local address is
 * the relay as well.
 */
static __always_inline int relay(struct draft *d, const struct weir_fe_key *fe)
{
	if (!d->choice.proxy) {
		return BEGIN_PASS;
	}
	d->choice.ep_id = 0;
	d->choice.stat = 0;
	weir_proxy_addr(&fe->addr, d->choice.proxy, &d->choice.addr);
	d->choice.port_be = fe->port_be;
	weir_count_event(WEIR_COUNT_PACKET_PROXIED);
	return weir_insert();
}

/*
 * Nobody is there for a datagram.  At the base of the proxy prefix nobody ever
 * is: the stack answers that its port is unreachable (RFC 1122 section 4.1.3.1)
 * and REVERSE makes that the frontend's.  Without FORWARD, so that the next
 * datagram chooses anew.
 */
static __always_inline int refuse_datagram(struct draft *d,
					   const struct weir_fe_key *fe)
{
	struct weir_tuple to = d->pkt.key.from;

	weir_proxy_addr(&fe->addr, 0, &to.daddr);
	if (!weir_in_prefix(&to.daddr)) {
		return BEGIN_DROP; /* there is no prefix */
	}
	d->choice.ep_id = 0;
	d->choice.stat = 0;
	fill(d, WEIR_FLOW_REVERSE);
	weir_tuple_reverse(&d->pkt.key.from, &d->f.to);
	weir_tuple_reverse(&to, &d->k.from);
	d->k.proto = IPPROTO_UDP;
	d->k.dir = WEIR_DIR_EGRESS;
	if (weir_flow_put(&d->k, &d->f, BPF_ANY)) {
		return BEGIN_DROP;
	}
	d->f.to = to;
	return BEGIN_UNREACHABLE;
}

/* The drafted packet, which no entry of the table translates: does it begin a
 * flow?  enum begin. */
__noinline int weir_begin(struct __sk_buff *skb)
{
	struct draft *d = draft_get();
	struct weir_fe_key key = {};
	enum weir_verdict verdict;
	struct weir_fe *fe;
	bool is_first;
	int r;

	if (!d) {
		return BEGIN_PASS;
	}
	is_first = may_begin(&d->pkt);
	key.addr = d->pkt.key.from.daddr;
	key.port_be = d->pkt.key.from.dport_be;
	key.proto = d->pkt.key.proto;
	fe = weir_fe_find(&key);
	if (!fe) {
		return is_first && key.proto == IPPROTO_TCP &&
				       collides_directly(d)
			       ? weir_insert()
			       : BEGIN_PASS;
	}
	/* In the middle of a connection only the way to the proxy can be told
	 * again: it is the same for every packet of the frontend. */
	verdict = weir_choose(fe, &key, is_first ? WEIR_ROW_PACKET : 0,
			      client_of, &d->pkt.key.from.saddr, &d->choice);
	d->ep_gen = weir_ep_generation(d->choice.ep_id);
	if (verdict == WEIR_REFUSE) {
		weir_count_event(WEIR_COUNT_PACKET_REFUSED);
		return key.proto == IPPROTO_TCP ? BEGIN_RESET
						: refuse_datagram(d, &key);
	}
	if (verdict == WEIR_TO_PROXY) {
		weir_count_event(WEIR_COUNT_PACKET_PROXIED);
		return weir_insert();
	}
	if (verdict != WEIR_TO_ENDPOINT) {
		if (!is_first && (d->choice.row_flags & WEIR_ROW_PACKET)) {
			weir_count_event(WEIR_COUNT_PACKET_MIDSTREAM);
		}
		return BEGIN_PASS;
	}
	r = weir_plan_way(skb);
	if (r == BEGIN_RELAY) {
		return relay(d, &key);
	}
	if (r == BEGIN_OK) {
		r = weir_insert();
	}
	if (r == BEGIN_OK) {
		weir_count_event(WEIR_COUNT_PACKET_FLOWS);
	}
	return r;
}

#endif
