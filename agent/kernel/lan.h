/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/kernel: Gateways' addresses on the LANs of this node. */
#ifndef WEIR_KERNEL_LAN_H
#define WEIR_KERNEL_LAN_H

#include "netdev.h"

/* An address that this node answers for on an interface. */
struct weir_lan_place {
	struct weir_ip ip;
	uint32_t ifindex;
};

/* ---- lan.c */

/* Takes over what an earlier agent said.  Before weir_packet_start(). */
int weir_lan_start(struct weir_kernel *kernel);
void weir_lan_stop(struct weir_kernel *kernel);
/* The local addresses of a plan.  add is called before they are local, so that
 * no kernel answers for what is another node's; keep, which forgets all others,
 * when the others are not local any more. */
int weir_lan_add(struct weir_kernel *kernel,
		 const struct weir_local_addr *addrs, size_t n);
void weir_lan_keep(struct weir_kernel *kernel,
		   const struct weir_local_addr *addrs, size_t n);
/* Interfaces or their addresses changed, or may have. */
void weir_lan_refresh(struct weir_kernel *kernel);
/* Removes what is not pinned. */
int weir_lan_detach(void);

/* ---- lan_tell.c */

/* A socket for weir_lan_tell(); made before CAP_NET_RAW is dropped. */
int weir_lan_open(int *ret_fd);
/* Tells all hosts on the LAN of d where ip is: an ARP announcement (RFC 5227
 * section 2.3) and, for those who read only replies, a reply; or an unsolicited
 * neighbour advertisement (RFC 4861 section 7.2.6). */
void weir_lan_tell(int fd, const struct weir_netdev *d,
		   const struct weir_ip *ip);
/* Makes this node hear solicitations for exactly these IPv6 addresses (sorted
 * by weir_lan_place_cmp): NICs and switches filter multicast.  By proxy
 * entries with our protocol number, which join the groups, outlive the agent,
 * and answer nothing by themselves. */
int weir_lan_hear(const struct weir_lan_place *places, size_t n);
int weir_lan_place_cmp(const void *a, const void *b);

#endif
