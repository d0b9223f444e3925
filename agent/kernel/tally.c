// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "tally.h"

static int side_init(struct weir_tally_side *side, uint32_t n)
{
	/* Pages of ids without flows are never touched. */
	side->before = calloc(n, sizeof(*side->before));
	side->seen = calloc(n, sizeof(*side->seen));
	side->last = calloc(n, sizeof(*side->last));
	side->n = n;
	return side->before && side->seen && side->last ? 0 : -ENOMEM;
}

static void side_fini(struct weir_tally_side *side)
{
	weir_free_ptr(&side->before);
	weir_free_ptr(&side->seen);
	weir_free_ptr(&side->last);
	side->n = 0;
}

int weir_tally_init(struct weir_tally *tally, struct weir_refstat *refs,
		    uint32_t n_refs, struct weir_epstat *eps, uint32_t n_eps)
{
	int r;

	*tally = (struct weir_tally){.refs = refs, .eps = eps};
	r = side_init(&tally->ref, n_refs);
	if (r == 0) {
		r = side_init(&tally->ep, n_eps);
	}
	if (r < 0) {
		weir_tally_fini(tally);
	}
	return r;
}

void weir_tally_fini(struct weir_tally *tally)
{
	side_fini(&tally->ref);
	side_fini(&tally->ep);
}

static uint64_t load(const __u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void side_begin(struct weir_tally_side *side, uint32_t i,
		       const __u64 *flows, const __u64 *closed)
{
	/* Closed first: what ends between the two is missing in both. */
	uint64_t n_closed = load(closed);
	uint64_t n_flows = load(flows);
	/* Below zero where an id was given to another with flows under way. */
	bool is_open = (int64_t)n_flows > 0;

	if (is_open || side->before[i]) {
		side->before[i] = is_open ? n_flows + n_closed : 0;
		side->seen[i] = 0;
	}
}

void weir_tally_begin(struct weir_tally *tally)
{
	for (uint32_t i = 1; i < tally->ref.n; i++) {
		side_begin(&tally->ref, i, &tally->refs[i].flows,
			   &tally->refs[i].closed);
	}
	for (uint32_t i = 1; i < tally->ep.n; i++) {
		side_begin(&tally->ep, i, &tally->eps[i].flows,
			   &tally->eps[i].closed);
	}
}

/* The FORWARD entry of a REVERSE one: what that makes of a packet is what comes
 * back (weir_flow_partner_key() of bpf/flow.h). */
static bool has_forward(int flow_fd, const struct weir_flow_key *key,
			const struct weir_flow *rev)
{
	struct weir_flow_key k = {
		.from = {.saddr = rev->to.daddr,
			 .daddr = rev->to.saddr,
			 .sport_be = rev->to.dport_be,
			 .dport_be = rev->to.sport_be},
		.proto = key->proto,
		.dir = WEIR_DIR_INGRESS,
	};
	struct weir_flow f;

	return bpf_map_lookup_elem(flow_fd, &k, &f) == 0;
}

void weir_tally_see(struct weir_tally *tally, int flow_fd,
		    const struct weir_flow_key *key,
		    const struct weir_flow *flow)
{
	uint32_t kind = flow->state & WEIR_FLOW_KIND;

	if (!(flow->state & WEIR_FLOW_REPLY) ||
	    (flow->state & WEIR_FLOW_COUNTED)) {
		return;
	}
	/* The half that is left makes the other one again (weir_flow_refresh()
	 * there), which counts the end. */
	if (kind != WEIR_FLOW_FORWARD &&
	    (kind != WEIR_FLOW_REVERSE || has_forward(flow_fd, key, flow))) {
		return;
	}
	if (flow->stat < tally->ref.n) {
		tally->ref.seen[flow->stat]++;
	}
	if (flow->ep_id < tally->ep.n) {
		tally->ep.seen[flow->ep_id]++;
	}
}

static bool side_end(struct weir_tally_side *side, uint32_t i, __u64 *flows,
		     __u64 *closed)
{
	int64_t lost;
	uint32_t sure;

	if (!side->before[i]) {
		return false;
	}
	lost = (int64_t)(side->before[i] - load(closed)) - side->seen[i];
	if (lost < 0) {
		lost = 0;
	}
	sure = lost < side->last[i] ? (uint32_t)lost : side->last[i];
	side->last[i] = (uint32_t)lost - sure;
	if (sure) {
		__atomic_fetch_add(closed, sure, __ATOMIC_RELAXED);
		__atomic_fetch_sub(flows, sure, __ATOMIC_RELAXED);
	}
	return side->last[i] != 0;
}

bool weir_tally_end(struct weir_tally *tally)
{
	bool is_unsure = false;

	for (uint32_t i = 1; i < tally->ref.n; i++) {
		is_unsure |= side_end(&tally->ref, i, &tally->refs[i].flows,
				      &tally->refs[i].closed);
	}
	for (uint32_t i = 1; i < tally->ep.n; i++) {
		is_unsure |= side_end(&tally->ep, i, &tally->eps[i].flows,
				      &tally->eps[i].closed);
	}
	return is_unsure;
}
