/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datagram sockets of local UDP frontends.  The agent binds them (it has
 * the right to), the proxy relays on them, and goes on answering associations
 * of a frontend that went.  So a socket rests here for some time before it is
 * closed: a frontend that comes back could not bind its port otherwise.
 */
#ifndef WEIR_DAEMON_DATAGRAM_H
#define WEIR_DAEMON_DATAGRAM_H

#include "plan.h"

struct weir_datagram_socket {
	struct weir_ip addr;
	__be16 port_be;
	int fd;                  /* -1: somebody else holds the port */
	uint64_t rests_until_ms; /* no frontend wants it; 0: one does */
};

struct weir_datagram {
	struct weir_datagram_socket *v; /* by address and port */
	size_t n;
	uint32_t rest_ms;
	bool is_dirty; /* other descriptors than before: for the owner */
};

void weir_datagram_fini(struct weir_datagram *udp);
/* Begins with bound sockets that an earlier agent left; taken.  0 or -ENOMEM.
 */
int weir_datagram_adopt(struct weir_datagram *udp, const int *fds, size_t n);
/* One wanted socket for each local UDP frontend of the plan.  Sockets that
 * exist stay; what no frontend wants rests until its time is over.
 * *ret_is_changed: the set of wanted open sockets is another.  0 or -ENOMEM. */
int weir_datagram_sync(struct weir_datagram *udp, const struct weir_plan *plan,
		       uint64_t now_ms, bool *ret_is_changed);

#endif
