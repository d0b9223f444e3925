/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagram sockets of local UDP frontends.  The agent binds them (it has
 * the right to), the proxy relays on them.
 */
#ifndef WEIR_DAEMON_DATAGRAM_H
#define WEIR_DAEMON_DATAGRAM_H

#include "plan.h"

struct weir_datagram_socket {
	struct weir_ip addr;
	__be16 port_be;
	int fd; /* -1: somebody else holds the port */
};

struct weir_datagram {
	struct weir_datagram_socket *v; /* in the plan's order of frontends */
	size_t n;
};

void weir_datagram_fini(struct weir_datagram *udp);
/* Begins with bound sockets that an earlier agent left; taken.  Those that the
 * first plan does not want are closed then.  0 or -ENOMEM. */
int weir_datagram_adopt(struct weir_datagram *udp, const int *fds, size_t n);
/* One socket for each local UDP frontend of the plan, and no other.  Sockets
 * that exist stay.  *ret_is_changed: the set of open sockets is another.
 * 0 or -ENOMEM. */
int weir_datagram_sync(struct weir_datagram *udp, const struct weir_plan *plan,
		       bool *ret_is_changed);

#endif
