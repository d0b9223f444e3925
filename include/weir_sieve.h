/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which bit of weir_sieve stands for an end of a packet in a role.  The packet
 * plane asks it before any hash table: a packet whose ends say nothing costs
 * words that are in the cache instead of buckets that are not.  Written by the
 * programs before they put an entry into weir_flow and by the agent before it
 * gives a frontend a row that says something; bits are only ever set, so a bit
 * that is set means "look", one that is not "there is none".  A local frontend
 * of the proxy has none: sk_lookup takes its connections, its packets pass.
 * Only frontends and endpoints have bits, never clients, so their number is
 * bounded by what there is to reach.
 */
#ifndef WEIR_SIEVE_H
#define WEIR_SIEVE_H

#include "weir_abi.h"

enum weir_sieve_role {
	WEIR_SIEVE_FRONT,  /* destination: a frontend, or of a FORWARD entry */
	WEIR_SIEVE_ANSWER, /* source: of a REVERSE entry */
	WEIR_SIEVE_SNAT,   /* reached by SNAT, answers by UNSNAT */
};

/* The roles of one end share a word: it is asked for two of them when a packet
 * comes in and when it leaves. */
static inline __attribute__((always_inline)) __u32
weir_sieve_bit(const struct weir_ip *ip, __be16 port_be,
	       enum weir_sieve_role role)
{
	__u32 h = weir_mix32(ip->a[3] ^ ip->a[1] * WEIR_WEYL_STEP,
			     (ip->a[0] ^ ip->a[2]) + port_be);

	return (h & (16 * WEIR_SIEVE_WORDS - 1)) * 4 + role;
}

#endif
