/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of some nodes has an address on their LAN.  Everybody who knows the
 * same nodes says the same without asking: the node whose hash with the address
 * is the highest (rendezvous hashing).  When a node goes, only its addresses
 * move; when one comes, only those that it gets.
 */
#ifndef WEIR_KUBE_OWNER_H
#define WEIR_KUBE_OWNER_H

#include "addr.h"

#define WEIR_OWNER_NONE SIZE_MAX

/* Index in nodes (distinct names, in any order), or WEIR_OWNER_NONE of none. */
size_t weir_owner_choose(const struct weir_str *nodes, size_t n,
			 const struct weir_ip *ip);
/* The hash.  All agents of a cluster must have the same, of whatever version
 * and on whatever machine: never to be changed. */
uint64_t weir_owner_score(struct weir_str node, const struct weir_ip *ip);

#endif
