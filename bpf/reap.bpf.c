// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Removes flows that are over, at the agent's call.  The agent walks the table
 * and names candidates; whether they may go is decided here, where the entry
 * and its partner are looked at in one place and their bytes are taken over
 * atomically.  Kernel floor 5.14.
 */
#include "flow.h"

#define REAP_MAX 256

/* Candidates.  Writer: agent, by store, before each call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REAP_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct weir_flow_key);
} weir_reapq SEC(".maps");

struct reap {
	__u32 n;       /* candidates */
	__u32 removed; /* of them */
	__u64 now;     /* coarse and monotonic, as in the table */
};

/* The REVERSE entry that a SNAT or UNSNAT entry belongs to. */
static __always_inline struct weir_flow *owner_of(const struct weir_flow_key *k,
						  const struct weir_flow *f)
{
	struct weir_flow_key rk = {};

	if ((f->state & WEIR_FLOW_KIND) == WEIR_FLOW_UNSNAT) {
		rk.from = f->to;
	} else {
		weir_tuple_reverse(&k->from, &rk.from);
	}
	rk.proto = k->proto;
	rk.dir = WEIR_DIR_EGRESS;
	return weir_flow_find(&rk);
}

static __always_inline struct weir_flow *
forward_of(const struct weir_flow_key *k, const struct weir_flow *rev)
{
	struct weir_flow_key fk = {};

	weir_flow_partner_key(k, rev, &fk);
	return weir_flow_find(&fk);
}

/* 1 if the entry at the i-th key went. */
__noinline int weir_reap_one(__u32 i, __u64 now)
{
	struct weir_flow_key *candidate;
	struct weir_flow_key k;
	struct weir_flow *f;

	candidate = bpf_map_lookup_elem(&weir_reapq, &i);
	if (!candidate) {
		return 0;
	}
	k = *candidate;
	f = weir_flow_find(&k);
	if (!f) {
		return 0;
	}
	switch (f->state & WEIR_FLOW_KIND) {
	case WEIR_FLOW_FORWARD:
		if (!weir_flow_is_idle(&k, f, now)) {
			return 0;
		}
		weir_flow_end(&k, f);
		return 1;
	case WEIR_FLOW_REVERSE:
		if (!weir_flow_is_idle(&k, f, now) || forward_of(&k, f)) {
			return 0;
		}
		weir_flow_settle(f);
		break;
	default:
		if (owner_of(&k, f)) {
			f->seen_ns = now; /* asked again after a while */
			return 0;
		}
	}
	bpf_map_delete_elem(&weir_flow, &k);
	return 1;
}

SEC("syscall")
int weir_reap(struct reap *ctx)
{
	__u64 now = ctx->now;
	__u32 n = ctx->n;
	__u32 removed = 0;

	for (__u32 i = 0; i < REAP_MAX; i++) {
		if (i >= n) {
			break;
		}
		removed += weir_reap_one(i, now);
	}
	ctx->removed = removed;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
