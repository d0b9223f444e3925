/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: entries, their turns of life, their end.  Knows no packet
 * bytes.  The larger steps are global functions, which the verifier checks
 * once and not per call; hence their checks of pointers.  FORWARD owns a flow;
 * REVERSE, and SNAT with UNSNAT where the source is translated, are found from
 * it by reversing tuples.
 */
#ifndef WEIR_BPF_FLOW_H
#define WEIR_BPF_FLOW_H

#include "packet.h"
#include "weir_flow.h"
#include "weir_sieve.h"

/* Ports tried, from a random one on, before a flow is given up. */
#define WEIR_PORT_TRIES 32

static __always_inline struct weir_flow *
weir_flow_find(const struct weir_flow_key *key)
{
	return bpf_map_lookup_elem(&weir_flow, key);
}

/* May something be known of this end in this role?  False is certain. */
static __always_inline bool weir_sieve_has(const struct weir_ip *ip,
					   __be16 port_be,
					   enum weir_sieve_role role)
{
	__u32 bit = weir_sieve_bit(ip, port_be, role);
	__u32 word = bit / 64;
	__u64 *w = bpf_map_lookup_elem(&weir_sieve, &word);

	return w && *w >> bit % 64 & 1;
}

static __always_inline bool weir_sieve_has_source(const struct weir_tuple *t,
						  enum weir_sieve_role role)
{
	return weir_sieve_has(&t->saddr, t->sport_be, role);
}

static __always_inline bool
weir_sieve_has_destination(const struct weir_tuple *t,
			   enum weir_sieve_role role)
{
	return weir_sieve_has(&t->daddr, t->dport_be, role);
}

/* Tells the sieve of an entry of this kind. */
__noinline int weir_sieve_note(const struct weir_flow_key *key, __u32 kind)
{
	__u32 bit, word;
	__u64 *w;

	if (!key) {
		return 0;
	}
	switch (kind & WEIR_FLOW_KIND) {
	case WEIR_FLOW_FORWARD:
		bit = weir_sieve_bit(&key->from.daddr, key->from.dport_be,
				     WEIR_SIEVE_FRONT);
		break;
	case WEIR_FLOW_REVERSE:
		bit = weir_sieve_bit(&key->from.saddr, key->from.sport_be,
				     WEIR_SIEVE_ANSWER);
		break;
	case WEIR_FLOW_SNAT:
		bit = weir_sieve_bit(&key->from.daddr, key->from.dport_be,
				     WEIR_SIEVE_SNAT);
		break;
	default:
		bit = weir_sieve_bit(&key->from.saddr, key->from.sport_be,
				     WEIR_SIEVE_SNAT);
		break;
	}
	word = bit / 64;
	w = bpf_map_lookup_elem(&weir_sieve, &word);
	if (w && !(*w >> bit % 64 & 1)) {
		__sync_fetch_and_or(w, 1ull << bit % 64);
	}
	return 0;
}

/* Puts an entry: no other way, for what the sieve does not know is not looked
 * for. */
static __always_inline long weir_flow_put(const struct weir_flow_key *key,
					  const struct weir_flow *flow,
					  __u64 flags)
{
	weir_sieve_note(key, flow->state);
	return weir_lru_put(&weir_flow, key, flow, flags);
}

/* The other one of FORWARD and REVERSE: what flow makes of a packet is what
 * the answer comes back to. */
static __always_inline void
weir_flow_partner_key(const struct weir_flow_key *key,
		      const struct weir_flow *flow, struct weir_flow_key *ret)
{
	weir_tuple_reverse(&flow->to, &ret->from);
	ret->proto = key->proto;
	ret->dir = key->dir == WEIR_DIR_INGRESS ? WEIR_DIR_EGRESS
						: WEIR_DIR_INGRESS;
	ret->pad = 0;
}

/* Moves the bytes counted so far to the endpoint. */
static __always_inline void weir_flow_settle(struct weir_flow *flow)
{
	struct weir_epstat *ep = weir_epstat_of(flow->ep_id);
	__u64 n;

	if (!ep) {
		return;
	}
	n = __sync_lock_test_and_set(&flow->bytes, 0);
	if (!n) {
		return;
	}
	if ((flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_REVERSE) {
		__sync_fetch_and_add(&ep->rx_bytes, n);
	} else {
		__sync_fetch_and_add(&ep->tx_bytes, n);
	}
}

/* Among what is open, flows that only the table knows: where it evicts one the
 * agent finds that out by counting (agent/kernel/tally.h). */
static __always_inline void weir_flow_gauge(__u32 stat, __u32 ep_id, __u64 by)
{
	struct weir_refstat *ref = weir_refstat_of(stat);
	struct weir_epstat *ep = weir_epstat_of(ep_id);

	if (ref) {
		__sync_fetch_and_add(&ref->flows, by);
	}
	if (ep) {
		__sync_fetch_and_add(&ep->flows, by);
	}
}

/* The flow is over: counted once, whoever sees it first. */
static __always_inline void weir_flow_count_end(struct weir_flow *fwd)
{
	__u32 old = __sync_fetch_and_or(&fwd->state, WEIR_FLOW_COUNTED);
	struct weir_refstat *ref;
	struct weir_epstat *ep;

	if (old & WEIR_FLOW_COUNTED) {
		return;
	}
	if (old & WEIR_FLOW_REPLY) {
		weir_count_closed(fwd->stat, fwd->ep_id);
		weir_flow_gauge(fwd->stat, fwd->ep_id, -1);
		return;
	}
	ref = weir_refstat_of(fwd->stat);
	ep = weir_epstat_of(fwd->ep_id);
	if (ref) {
		__sync_fetch_and_add(&ref->failed, 1);
	}
	if (ep) {
		__sync_fetch_and_add(&ep->failed, 1);
	}
}

/* Removes all entries of the flow whose FORWARD entry is (key, fwd). */
__noinline int weir_flow_end(const struct weir_flow_key *key,
			     struct weir_flow *fwd)
{
	struct weir_flow_key k = {};
	struct weir_flow *f;

	if (!key || !fwd) {
		return 0;
	}
	weir_flow_settle(fwd);
	if (fwd->state & WEIR_FLOW_SNATTED) {
		k.from = fwd->to;
		k.proto = key->proto;
		k.dir = WEIR_DIR_EGRESS;
		f = weir_flow_find(&k);
		if (f) {
			/* Before its own entry goes: that is reused at once. */
			weir_flow_partner_key(&k, f, &k);
			bpf_map_delete_elem(&weir_flow, &k);
			k.from = fwd->to;
			k.dir = WEIR_DIR_EGRESS;
			bpf_map_delete_elem(&weir_flow, &k);
		}
	}
	weir_flow_partner_key(key, fwd, &k);
	f = weir_flow_find(&k);
	if (f) {
		weir_flow_settle(f);
		bpf_map_delete_elem(&weir_flow, &k);
	}
	weir_flow_count_end(fwd);
	k = *key; /* 5.15: memory of a caller is no key */
	bpf_map_delete_elem(&weir_flow, &k);
	return 0;
}

/* Sets bits in both entries of a flow; flow is one of them. */
__noinline int weir_flow_mark(const struct weir_flow_key *key,
			      struct weir_flow *flow, __u32 bits)
{
	struct weir_flow_key k = {};
	struct weir_flow *rev, *fwd;
	__u32 old;

	if (!key || !flow) {
		return 0;
	}

	weir_flow_partner_key(key, flow, &k);
	rev = weir_flow_find(&k);
	fwd = flow;
	if ((flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_REVERSE) {
		fwd = rev;
		rev = flow;
	}
	if (rev) {
		__sync_fetch_and_or(&rev->state, bits);
	}
	if (!fwd) {
		return 0;
	}
	old = __sync_fetch_and_or(&fwd->state, bits);
	if ((bits & WEIR_FLOW_REPLY) && !(old & WEIR_FLOW_REPLY)) {
		weir_count_opened(fwd->stat, fwd->ep_id);
		weir_flow_gauge(fwd->stat, fwd->ep_id, 1);
	}
	if (weir_flow_is_over(fwd->state)) {
		weir_flow_settle(fwd);
		if (rev) {
			weir_flow_settle(rev);
		}
		weir_flow_count_end(fwd);
	}
	return 0;
}

/* Now and then: the time, the sums, and a partner that the table lost.  A flow
 * that goes on after a reset was reset by somebody else (RFC 5961 section 1):
 * it keeps its time. */
__noinline int weir_flow_refresh(const struct weir_flow_key *key,
				 struct weir_flow *flow, __u64 now)
{
	struct weir_flow_key k = {};
	struct weir_flow *other;
	struct weir_flow f;

	if (!key || !flow) {
		return 0;
	}

	flow->seen_ns = now;
	weir_flow_settle(flow);
	weir_flow_partner_key(key, flow, &k);
	/* The look-up also keeps the partner young where entries are evicted
	 * by age of use. */
	other = weir_flow_find(&k);
	if (other) {
		if (flow->state & WEIR_FLOW_RST) {
			__sync_fetch_and_and(&flow->state, ~WEIR_FLOW_RST);
			__sync_fetch_and_and(&other->state, ~WEIR_FLOW_RST);
		}
		return 0;
	}
	f = *flow;
	weir_tuple_reverse(&key->from, &f.to);
	f.state ^= WEIR_FLOW_FORWARD ^ WEIR_FLOW_REVERSE;
	f.bytes = 0;
	weir_flow_put(&k, &f, BPF_NOEXIST);
	return 0;
}

/* Has the flow of a FORWARD or REVERSE entry been silent for its time?  Either
 * direction keeps it. */
static __always_inline bool weir_flow_is_idle(const struct weir_flow_key *key,
					      const struct weir_flow *flow,
					      __u64 now)
{
	__u64 limit = weir_flow_idle_ns(flow->state, key->proto == IPPROTO_UDP);
	struct weir_flow_key k = {};
	struct weir_flow *other;

	if (flow->seen_ns + limit > now) {
		return false;
	}
	weir_flow_partner_key(key, flow, &k);
	other = weir_flow_find(&k);
	return !other || other->seen_ns + limit <= now;
}

/* Does the packet begin a new flow although an entry is there? */
static __always_inline bool weir_flow_starts_anew(const struct weir_pkt *pkt,
						  const struct weir_flow *fwd,
						  __u64 now)
{
	if (pkt->key.proto == IPPROTO_TCP) {
		if ((pkt->tcp_flags & (WEIR_TCP_SYN | WEIR_TCP_ACK)) !=
		    WEIR_TCP_SYN) {
			return false;
		}
		/* A repeated SYN goes where the first one went, unless nobody
		 * is there any more. */
		return weir_flow_is_over(fwd->state) ||
		       !weir_ep_is_alive(fwd->ep_id, fwd->ep_gen);
	}
	if (!weir_ep_is_alive(fwd->ep_id, fwd->ep_gen)) {
		return true;
	}
	return fwd->seen_ns + WEIR_IDLE_UDP_NS <= now &&
	       weir_flow_is_idle(&pkt->key, fwd, now);
}

/* Was the entry last noted too long ago? */
static __always_inline bool weir_flow_is_stale(const struct weir_pkt *pkt,
					       const struct weir_flow *flow,
					       __u64 now)
{
	return now - flow->seen_ns >= (pkt->key.proto == IPPROTO_UDP
					       ? WEIR_NOTE_UDP_NS
					       : WEIR_NOTE_NS);
}

/* Nothing to note about this packet: the fast path.  flow is FORWARD or
 * REVERSE. */
static __always_inline bool weir_flow_is_plain(const struct weir_pkt *pkt,
					       const struct weir_flow *flow,
					       __u64 now)
{
	if ((pkt->tcp_flags & (WEIR_TCP_SYN | WEIR_TCP_FIN | WEIR_TCP_RST)) ||
	    weir_flow_is_stale(pkt, flow, now)) {
		return false;
	}
	if (pkt->key.proto != IPPROTO_UDP) {
		return true;
	}
	return (flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_FORWARD
		       ? weir_ep_is_alive(flow->ep_id, flow->ep_gen)
		       : (flow->state & WEIR_FLOW_REPLY) != 0;
}

/* A packet that is not plain.  False: its flow is over and was removed, the
 * packet begins another. */
__noinline int weir_flow_turn(const struct weir_pkt *pkt,
			      struct weir_flow *flow, __u64 now)
{
	bool is_forward;
	__u32 bits = 0;

	if (!pkt || !flow) {
		return true;
	}
	is_forward = (flow->state & WEIR_FLOW_KIND) == WEIR_FLOW_FORWARD;

	if (is_forward && weir_flow_starts_anew(pkt, flow, now)) {
		weir_flow_end(&pkt->key, flow);
		return false;
	}
	if (pkt->tcp_flags & WEIR_TCP_RST) {
		bits |= WEIR_FLOW_RST;
	}
	if (pkt->tcp_flags & WEIR_TCP_FIN) {
		bits |= is_forward ? WEIR_FLOW_FIN_FWD : WEIR_FLOW_FIN_REV;
	}
	if (!is_forward && (pkt->key.proto == IPPROTO_UDP ||
			    (pkt->tcp_flags & WEIR_TCP_SYN))) {
		bits |= WEIR_FLOW_REPLY;
	}
	if (bits & ~flow->state) {
		weir_flow_mark(&pkt->key, flow, bits);
	}
	/* A SYN is where a client that uses its port again begins. */
	if ((weir_flow_is_stale(pkt, flow, now) ||
	     (pkt->tcp_flags & WEIR_TCP_SYN)) &&
	    !(pkt->tcp_flags & WEIR_TCP_RST)) {
		weir_flow_refresh(&pkt->key, flow, now);
	}
	return true;
}

/* May the REVERSE entry found at key be taken over?  Its flow has ended, or
 * lost its FORWARD entry and is silent.  Then it is gone. */
__noinline int weir_flow_yields(const struct weir_flow_key *key,
				struct weir_flow *rev, __u64 now)
{
	struct weir_flow_key k = {};
	struct weir_flow *fwd;

	if (!key || !rev) {
		return false;
	}

	weir_flow_partner_key(key, rev, &k);
	fwd = weir_flow_find(&k);
	if (!weir_flow_is_over(rev->state) &&
	    !weir_flow_is_idle(key, rev, now)) {
		return false;
	}
	if (fwd) {
		weir_flow_end(&k, fwd);
	} else {
		weir_flow_settle(rev);
		k = *key;
		bpf_map_delete_elem(&weir_flow, &k);
	}
	return true;
}

#endif
