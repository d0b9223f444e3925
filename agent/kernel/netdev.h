/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the packet plane: interfaces, and programs on them. */
#ifndef WEIR_KERNEL_NETDEV_H
#define WEIR_KERNEL_NETDEV_H

#include <net/if.h>

#include "private.h"
#include "rtnl.h"

/* Programs of the packet plane. */
enum weir_hook {
	WEIR_HOOK_INGRESS,
	WEIR_HOOK_EGRESS,
	WEIR_HOOK_XDP,
	_WEIR_HOOK_MAX
};

/* One interface as netlink describes it, and what weir did to it. */
struct weir_netdev {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	char kind[16]; /* "veth", ...; empty: a driver's own */
	uint16_t type; /* ARPHRD_* */
	uint32_t master;
	uint8_t mac[6];
	bool is_up;
	bool has_peer_elsewhere; /* its other end is in another namespace */
	bool has_default_route;
	bool is_external;
	bool is_port; /* its packets are taken in by what it is a port of */
	struct weir_ip addr4; /* own global ones, or zero */
	struct weir_ip addr6;

	bool is_attached;          /* both directions */
	bool is_pending;           /* its turn to be attached comes */
	bool is_generic;           /* XDP only without the driver's help */
	int error[_WEIR_HOOK_MAX]; /* -errno of the last try, 0 */
	struct weir_if published;  /* in weir_if */
	bool is_published;
};

/* An address of an interface, and how much of it names the network. */
struct weir_netaddr {
	uint32_t ifindex;
	struct weir_ip ip;
	uint8_t len; /* of 128 */
};

struct weir_netdevs {
	struct weir_kernel *kernel;
	struct weir_packet *skel; /* generated */
	struct weir_wire *wire;   /* NULL unless XDP is asked for */
	bool is_clsact;
	int request_fd; /* route netlink */
	struct weir_io events;
	struct weir_timer rescan;
	struct weir_netdev *devs;
	size_t n;
	size_t n_pending;
	struct weir_netaddr *nets;
	size_t n_nets;
	struct weir_flows *flows; /* flows.c */
};

/* ---- tcx.c: each is idempotent, 0 or -errno */

/* Puts a program on a hook of the interface by a pinned link, first in line;
 * a link that is there gets the program instead. */
int weir_tcx_attach(const char *pin_path, uint32_t ifindex, enum weir_hook hook,
		    int prog_fd);
/* The same with XDP; flags: XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE. */
int weir_xdp_attach(const char *pin_path, uint32_t ifindex, int prog_fd,
		    uint32_t flags);
/* Removes the pinned link of the hook, with it the program. */
int weir_link_detach(const char *pin_path, uint32_t ifindex,
		     enum weir_hook hook);
/* A filter of fixed priority and handle; replaced atomically.  The qdisc is
 * made if there is none, which is then noted below pin_path. */
int weir_clsact_attach(const char *pin_path, uint32_t ifindex,
		       enum weir_hook hook, int prog_fd);
/* Removes our filter of one hook. */
int weir_clsact_remove(uint32_t ifindex, enum weir_hook hook);
/* Removes our filters, and the qdisc if weir made it and it is empty. */
int weir_clsact_detach(const char *pin_path, uint32_t ifindex);
/* Calls fn for every interface that something is pinned or noted for. */
int weir_attached_each(const char *pin_path,
		       void (*fn)(void *arg, uint32_t ifindex), void *arg);

/* ---- netlink.c */

/* Reads links, addresses and default routes.  -EBUSY: they do not hold still.
 * devs is sorted by ifindex; the caller owns both.  What weir did is zero. */
int weir_netdev_read(int fd, struct weir_netdev **ret_devs, size_t *ret_n,
		     struct weir_netaddr **ret_nets, size_t *ret_n_nets);
/* Is ip in the network of the address? */
bool weir_netaddr_covers(const struct weir_netaddr *net,
			 const struct weir_ip *ip);
const struct weir_netdev *weir_netdev_find(const struct weir_netdev *devs,
					   size_t n, uint32_t ifindex);
/* Sets is_external of all: leads off the node. */
void weir_netdev_classify(const struct weir_kernel_config *config,
			  struct weir_netdev *devs, size_t n);
bool weir_netdev_matches(const char *name, const char *const *globs, size_t n);

#endif
