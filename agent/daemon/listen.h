/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that wait for clients: the proxy's, and those that see in. */
#ifndef WEIR_DAEMON_LISTEN_H
#define WEIR_DAEMON_LISTEN_H

#include <stdint.h>

#include "weir_abi.h"

/* The proxy's listeners: for each worker TCP on 127.0.0.1 and on [::1], each
 * family on one port (SO_REUSEPORT).  ret_fds: 2 a worker, owned by the
 * caller; -1 where the family does not exist.  0 or -errno: no IPv4. */
int weir_listeners_open(uint32_t n_workers, int *ret_fds);
/* A non-blocking TCP listener at an address of this host. */
int weir_listen_tcp(const struct weir_ip *addr, __be16 port_be, int *ret_fd);
/* A non-blocking unix stream listener, mode 0600, its directory made if it is
 * absent.  A socket left by a dead process is replaced; -EADDRINUSE if
 * somebody answers there. */
int weir_listen_unix(const char *path, int *ret_fd);
/* A bound datagram socket for a local UDP frontend.  -EADDRINUSE: a socket of
 * somebody else has the port. */
int weir_bind_udp(const struct weir_ip *addr, __be16 port_be, int *ret_fd);

#endif
