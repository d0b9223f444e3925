/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a flow of the packet plane may be silent.  Used by the programs,
 * which reuse what is over, and by the agent, which removes it.
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

#include "weir_abi.h"

#define WEIR_SECOND_NS 1000000000ull

/* RFC 5382 REQ-5: established at least 2 h 4 min, transitory 4 min. */
#define WEIR_IDLE_TCP_NS (7500 * WEIR_SECOND_NS)
#define WEIR_IDLE_TCP_HALF_NS (240 * WEIR_SECOND_NS)
/* RFC 4787 REQ-5: not before 2 minutes. */
#define WEIR_IDLE_UDP_NS (120 * WEIR_SECOND_NS)
/* Both ends closed: long enough for a lost last ACK to be sent again. */
#define WEIR_IDLE_CLOSED_NS (30 * WEIR_SECOND_NS)
#define WEIR_IDLE_RESET_NS (5 * WEIR_SECOND_NS)
/* Fragments that come later are of another datagram: nobody reassembles for
 * longer (Linux: 30 s, RFC 8200 section 4.5: 60 s at most). */
#define WEIR_IDLE_FRAG_NS (30 * WEIR_SECOND_NS)

/* How long an entry is used before it is noted again, and its partner looked
 * for: a full table may have evicted one of the two.  Datagrams are not sent
 * again by the stack, and a client's port may soon be another socket's. */
#define WEIR_NOTE_NS WEIR_SECOND_NS
#define WEIR_NOTE_UDP_NS (WEIR_SECOND_NS / 32)

/* Ended by its own packets?  A SYN may begin another. */
static inline __attribute__((always_inline)) int weir_flow_is_over(__u32 state)
{
	const __u32 fins = WEIR_FLOW_FIN_FWD | WEIR_FLOW_FIN_REV;

	return (state & WEIR_FLOW_RST) || (state & fins) == fins;
}

/* Silence, in ns, after which a FORWARD or REVERSE entry may go. */
static inline __attribute__((always_inline)) __u64
weir_flow_idle_ns(__u32 state, int is_udp)
{
	if (is_udp) {
		return WEIR_IDLE_UDP_NS;
	}
	if (state & WEIR_FLOW_RST) {
		return WEIR_IDLE_RESET_NS;
	}
	if (weir_flow_is_over(state)) {
		return WEIR_IDLE_CLOSED_NS;
	}
	if (!(state & WEIR_FLOW_REPLY) ||
	    (state & (WEIR_FLOW_FIN_FWD | WEIR_FLOW_FIN_REV))) {
		return WEIR_IDLE_TCP_HALF_NS;
	}
	return WEIR_IDLE_TCP_NS;
}

#endif
