/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagram sockets of local UDP frontends.  The agent binds them (it has
 * the right to), the proxy relays on them.
 */
#ifndef WEIR_DAEMON_UDP_H
#define WEIR_DAEMON_UDP_H

#include "plan.h"

struct weir_udp_socket {
	struct weir_ip addr;
	__be16 port_be;
	int fd; /* -1: somebody else holds the port */
};

struct weir_udp {
	struct weir_udp_socket *v; /* in the plan's order of frontends */
	size_t n;
};

void weir_udp_fini(struct weir_udp *udp);
/* One socket for each local UDP frontend of the plan, and no other.  Sockets
 * that exist stay.  *ret_is_changed: the set of open sockets is another.
 * 0 or -ENOMEM. */
int weir_udp_sync(struct weir_udp *udp, const struct weir_plan *plan,
		  bool *ret_is_changed);

#endif
