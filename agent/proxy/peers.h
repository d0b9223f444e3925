/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each client has, over all workers, in memory that does
 * not grow with the clients: four rows of counters, each found by another hash
 * of the address (a count-min sketch).  The least of the four is never less
 * than what the client has, and more only where others collide with it in every
 * row; the hashes are seeded, so nobody can aim at another.  IPv6 clients are
 * one by their /64, which is what a host is given.
 */
#ifndef WEIR_PROXY_PEERS_H
#define WEIR_PROXY_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "weir_abi.h"

struct weir_peers;

/* limit: connections of one client; of max_connections in all.  0 or -errno. */
int weir_peers_new(uint32_t limit, uint32_t max_connections,
		   struct weir_peers **ret_peers);
void weir_peers_free(struct weir_peers **peers);
/* False, and not counted: it has as many as it may.  Any thread. */
bool weir_peers_add(struct weir_peers *peers, const struct weir_ip *client);
/* Of one that was added. */
void weir_peers_remove(struct weir_peers *peers, const struct weir_ip *client);

#endif
