/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lookup -> pick -> endpoint -> account: what every hook does, whatever its
 * context looks like.  Hooks translate their context to a struct weir_fe_key
 * and a struct weir_choice back to their context.
 */
#ifndef WEIR_BPF_CORE_H
#define WEIR_BPF_CORE_H

#include "kern.h"
#include "maps.h"
#include "weir_pick.h"

#include <bpf/bpf_endian.h>

/* Set by the loader in every object. */
const volatile struct weir_conf weir_conf = {};

enum weir_verdict {
	WEIR_PASS,        /* not ours: leave it untouched */
	WEIR_TO_ENDPOINT, /* choice names an endpoint */
	WEIR_TO_PROXY,    /* choice names a place in the proxy prefix */
	WEIR_REFUSE,      /* the chosen share has no backend */
};

struct weir_choice {
	struct weir_ip addr;
	__be16 port_be;
	__u16 ep_flags;   /* WEIR_EP_* */
	__u32 ep_id;      /* 0: not counted */
	__u32 gid;        /* group */
	__u32 stat;       /* backendRef counter */
	__u32 fid;        /* frontend */
	__u32 generation; /* of the row */
	__u32 row_flags;  /* WEIR_ROW_* */
	/* Where the frontend also has a place in the prefix, for the hook that
	 * cannot do what was chosen; 0: none. */
	__u32 proxy;
};

static __always_inline void weir_count_event(__u32 reason)
{
	__u64 *n = bpf_map_lookup_elem(&weir_count, &reason);

	if (n) {
		*n += 1;
	}
}

static __always_inline bool weir_ip_is_mapped(const struct weir_ip *ip)
{
	return ip->a[0] == 0 && ip->a[1] == 0 && ip->a[2] == bpf_htonl(0xFFFF);
}

static __always_inline bool weir_ip_same(const struct weir_ip *a,
					 const struct weir_ip *b)
{
	return a->a[3] == b->a[3] && a->a[2] == b->a[2] && a->a[1] == b->a[1] &&
	       a->a[0] == b->a[0];
}

static __always_inline void weir_ip_set4(struct weir_ip *ip, __be32 v4)
{
	ip->a[0] = 0;
	ip->a[1] = 0;
	ip->a[2] = bpf_htonl(0xFFFF);
	ip->a[3] = v4;
}

/* Is the address in the proxy prefix? */
static __always_inline bool weir_in_prefix(const struct weir_ip *ip)
{
	if (weir_ip_is_mapped(ip)) {
		return weir_conf.prefix4.a[3] &&
		       (ip->a[3] & weir_conf.mask4.a[3]) ==
			       weir_conf.prefix4.a[3];
	}
	return weir_conf.prefix6.a[0] &&
	       (ip->a[0] & weir_conf.mask6.a[0]) == weir_conf.prefix6.a[0] &&
	       (ip->a[1] & weir_conf.mask6.a[1]) == weir_conf.prefix6.a[1] &&
	       (ip->a[2] & weir_conf.mask6.a[2]) == weir_conf.prefix6.a[2] &&
	       (ip->a[3] & weir_conf.mask6.a[3]) == weir_conf.prefix6.a[3];
}

/* Place index of the frontend at like in the proxy prefix; same family. */
static __always_inline void weir_proxy_addr(const struct weir_ip *like,
					    __u32 index, struct weir_ip *ret_ip)
{
	if (weir_ip_is_mapped(like)) {
		weir_ip_set4(
			ret_ip,
			bpf_htonl(bpf_ntohl(weir_conf.prefix4.a[3]) + index));
		return;
	}
	ret_ip->a[0] = weir_conf.prefix6.a[0];
	ret_ip->a[1] = weir_conf.prefix6.a[1];
	ret_ip->a[2] = weir_conf.prefix6.a[2];
	ret_ip->a[3] = bpf_htonl(bpf_ntohl(weir_conf.prefix6.a[3]) + index);
}

/* One aligned 8-byte load: what was published together is read together. */
static __always_inline struct weir_index
weir_index_load(const struct weir_index *p)
{
	union {
		__u64 word;
		struct weir_index index;
	} v;

	v.word = *(const volatile __u64 *)(const void *)p;
	return v.index;
}

/* Next position of this CPU's sequence for id. */
static __always_inline __u32 weir_next_position(void *counters, __u32 id,
						__u32 salt)
{
	__u32 *n = bpf_map_lookup_elem(counters, &id);
	__u32 seed = weir_mix32(bpf_get_smp_processor_id() + salt, id);

	return weir_weyl(n ? (*n)++ : 0, seed);
}

static __always_inline struct weir_refstat *weir_refstat_of(__u32 stat)
{
	return stat ? bpf_map_lookup_elem(&weir_refstat, &stat) : NULL;
}

static __always_inline struct weir_epstat *weir_epstat_of(__u32 id)
{
	return id ? bpf_map_lookup_elem(&weir_epstat, &id) : NULL;
}

/* A connection, flow or association with the endpoint began. */
static __always_inline void weir_count_opened(__u32 stat, __u32 ep_id)
{
	struct weir_refstat *ref = weir_refstat_of(stat);
	struct weir_epstat *ep = weir_epstat_of(ep_id);

	if (ref) {
		__sync_fetch_and_add(&ref->opened, 1);
	}
	if (ep) {
		__sync_fetch_and_add(&ep->opened, 1);
	}
}

/* It ended. */
static __always_inline void weir_count_closed(__u32 stat, __u32 ep_id)
{
	struct weir_refstat *ref = weir_refstat_of(stat);
	struct weir_epstat *ep = weir_epstat_of(ep_id);

	if (ref) {
		__sync_fetch_and_add(&ref->closed, 1);
	}
	if (ep) {
		__sync_fetch_and_add(&ep->closed, 1);
	}
}

/* What is known of a connected socket. */
static __always_inline struct weir_sk *weir_conn_find(__u64 cookie,
						      struct bpf_sock *sk)
{
	struct weir_sk *st = bpf_map_lookup_elem(&weir_conn, &cookie);

	return st ? st : bpf_sk_storage_get(&weir_sk, sk, NULL, 0);
}

static __always_inline void weir_conn_forget(__u64 cookie)
{
	bpf_map_delete_elem(&weir_conn, &cookie);
}

static __always_inline __u32 weir_ep_generation(__u32 ep_id)
{
	__u64 *gen = bpf_map_lookup_elem(&weir_epgen, &ep_id);

	return gen ? (__u32) * (volatile __u64 *)gen : 0;
}

/* May a pick made when the endpoint's generation was gen still be used?  Id 0
 * (beyond the counted ones) cannot be told and stays until its row changes. */
static __always_inline bool weir_ep_is_alive(__u32 ep_id, __u32 gen)
{
	if (!ep_id) {
		return true;
	}
	return (gen & 1) && weir_ep_generation(ep_id) == gen;
}

/* The frontend at an address, or NULL. */
static __always_inline struct weir_fe *
weir_fe_find(const struct weir_fe_key *key)
{
	return bpf_map_lookup_elem(&weir_fe, key);
}

#define WEIR_KEYED_MAX 64 /* endpoints among which a key is stable */

/* What candidate id costs key; as in weir_keyed_offer() with equal weights.
 * Global functions: the verifier walks each once per object, and this one not
 * once per candidate. */
__noinline __u32 weir_keyed_cost(__u32 key, __u32 id)
{
	return weir_neglog2(weir_mix32(weir_mix32(key, id), id));
}

struct weir_keyed_walk {
	__u32 first;
	__u32 key;
	__u32 cost;
	__u32 id;
	__u32 best;
};

/* Offers the i-th endpoint; 1: there is none. */
static __noinline long weir_keyed_visit(__u32 i, struct weir_keyed_walk *walk)
{
	__u32 at = walk->first + i;
	struct weir_ep *ep = bpf_map_lookup_elem(&weir_ep, &at);
	__u32 id, cost;

	if (!ep) {
		return 1;
	}
	id = weir_mix32(ep->addr.a[3] ^ ep->addr.a[1],
			ep->addr.a[2] ^ ep->port_be);
	cost = weir_keyed_cost(walk->key, id);
	if (cost < walk->cost || (cost == walk->cost && id < walk->id)) {
		walk->cost = cost;
		walk->id = id;
		walk->best = at;
	}
	return 0;
}

/*
 * Affinity: the place of the endpoint that key belongs to, by rendezvous
 * hashing, so that an endpoint that comes or goes moves only its own keys.
 * Beyond WEIR_KEYED_MAX endpoints a key is stable only while their number is.
 * bpf_loop() (5.17) has its body verified once, not once per candidate.
 */
__noinline __u32 weir_keyed_place(__u32 first, __u32 n, __u32 key)
{
	struct weir_keyed_walk walk = {
		.first = first,
		.key = key,
		.cost = 0xFFFFFFFF,
		.id = 0xFFFFFFFF,
		.best = first,
	};

	if (n > WEIR_KEYED_MAX) {
		return first + weir_scale(weir_mix32(key, n), n);
	}
	if (weir_conf.has_loop) {
		bpf_loop(n, weir_keyed_visit, &walk, 0);
		return walk.best;
	}
	for (__u32 i = 0; i < WEIR_KEYED_MAX && i < n; i++) {
		if (weir_keyed_visit(i, &walk)) {
			break;
		}
	}
	return walk.best;
}

/* Level 2: an endpoint of group gid. client != 0: keyed choice. */
static __always_inline bool weir_choose_endpoint(__u32 gid, __u64 client,
						 struct weir_choice *choice)
{
	struct weir_index *setp = bpf_map_lookup_elem(&weir_set, &gid);
	struct weir_index set;
	struct weir_ep *ep;
	__u32 i;

	if (!setp) {
		return false;
	}
	set = weir_index_load(setp);
	if (!set.n) {
		return false;
	}
	i = client ? weir_keyed_place(set.first, set.n,
				      weir_mix32((__u32)client, client >> 32))
		   : set.first + weir_scale(weir_next_position(&weir_weyl2, gid,
							       0x5EED),
					    set.n);
	ep = bpf_map_lookup_elem(&weir_ep, &i);
	if (!ep) {
		return false;
	}
	choice->addr = ep->addr;
	choice->port_be = ep->port_be;
	choice->ep_flags = ep->flags;
	choice->ep_id = ep->id;
	choice->gid = gid;
	return true;
}

/* Level 1: the slot of a row at position x; NULL if the row is torn away. */
static __always_inline struct weir_slot *weir_choose_slot(__u32 first, __u32 n,
							  __u32 x)
{
	__u32 i = first + 1 + weir_scale(x, n);
	struct weir_slot *slot = bpf_map_lookup_elem(&weir_row, &i);

	if (slot && weir_frac(x, n) >= slot->threshold) {
		i = first + 1 + slot->alias;
		slot = bpf_map_lookup_elem(&weir_row, &i);
	}
	return slot;
}

/*
 * What shall happen to a new connection, flow or association with frontend
 * fe, reached at key.  plane: WEIR_ROW_CONNECT or WEIR_ROW_PACKET, the one that
 * asks.  client(of): identity, asked for in rows with affinity.  Counts the
 * choice.
 */
static __always_inline enum weir_verdict
weir_choose(const struct weir_fe *fe, const struct weir_fe_key *key,
	    __u32 plane, __u64 (*client_of)(void *), void *of,
	    struct weir_choice *choice)
{
	__u64 client = 0;
	__u32 fid = fe->fid;
	struct weir_index *svcp = bpf_map_lookup_elem(&weir_svc, &fid);
	struct weir_refstat *ref;
	struct weir_row_hdr *row;
	struct weir_slot *slot;
	struct weir_index svc;

	if (!svcp) {
		return WEIR_PASS;
	}
	svc = weir_index_load(svcp);
	row = bpf_map_lookup_elem(&weir_row, &svc.first);
	if (!row) {
		return WEIR_PASS;
	}
	choice->fid = fid;
	choice->generation = svc.n;
	choice->row_flags = row->flags;
	choice->proxy = row->proxy;
	choice->stat = 0;
	choice->ep_id = 0;
	if (!(row->flags & plane)) {
		if (!(row->flags & WEIR_ROW_PROXY) || !row->proxy) {
			return WEIR_PASS;
		}
		weir_proxy_addr(&key->addr, row->proxy, &choice->addr);
		choice->port_be = key->port_be;
		return WEIR_TO_PROXY;
	}
	if (row->flags & WEIR_ROW_KEYED) {
		client = client_of(of);
	}
	if (!row->n) {
		return WEIR_REFUSE;
	}
	slot = weir_choose_slot(
		svc.first, row->n,
		client ? weir_mix32((__u32)client ^ fid, client >> 32)
		       : weir_next_position(&weir_weyl1, fid, 0));
	if (!slot) {
		return WEIR_REFUSE;
	}
	choice->stat = slot->stat;
	ref = weir_refstat_of(slot->stat);
	if (slot->group >= WEIR_GROUP_MAX ||
	    !weir_choose_endpoint(slot->group, client, choice)) {
		if (ref) {
			__sync_fetch_and_add(&ref->refused, 1);
		}
		return WEIR_REFUSE;
	}
	if (ref) {
		__sync_fetch_and_add(plane == WEIR_ROW_CONNECT
					     ? &ref->picked_connect
					     : &ref->picked_packet,
				     1);
	}
	return WEIR_TO_ENDPOINT;
}

#endif
