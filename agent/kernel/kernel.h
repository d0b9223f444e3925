/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel planes: programs, maps, links, local routes, interfaces.  Takes
 * plans, knows no Kubernetes.  Everything lives pinned below
 * <pin_dir>/v<WEIR_ABI_VERSION>[-<instance>] and outlives the agent.
 */
#ifndef WEIR_KERNEL_KERNEL_H
#define WEIR_KERNEL_KERNEL_H

#include <sys/types.h>

#include "buf.h"
#include "loop.h"
#include "plan.h"

enum weir_attach { WEIR_ATTACH_AUTO, WEIR_ATTACH_TCX, WEIR_ATTACH_CLSACT };

/* Who answers ARP and neighbour solicitations for local addresses of the plan
 * on the LANs that this node is on. */
enum weir_lan_mode {
	WEIR_LAN_CHOSEN, /* this node for those that weir_kernel_lan_decide()
			  * says */
	WEIR_LAN_NEVER,  /* this node for none */
	WEIR_LAN_OFF,    /* left to the kernel */
	WEIR_LAN_ALWAYS, /* this node for all */
};

/* What newer kernels have, to be done without as on an older one: so those
 * paths are tested on any kernel. */
#define WEIR_WITHOUT_RETVAL 1u      /* bpf_set_retval: 5.18 */
#define WEIR_WITHOUT_LOOP 2u        /* bpf_loop: 5.17 */
#define WEIR_WITHOUT_INGRESS 4u     /* bpf_sk_lookup.ingress_ifindex: 5.17 */
#define WEIR_WITHOUT_TCX 8u         /* 6.6 */
#define WEIR_WITHOUT_INIT_PIDNS 16u /* as in a container's pid namespace */

struct weir_kernel_config {
	const char *pin_dir; /* a bpffs directory; default /sys/fs/bpf/weir */
	const char *cgroup;  /* cgroup v2 directory for connect and sockops;
			      * NULL: these planes are off */
	enum weir_attach attach;
	const char *const
		*external; /* globs of interfaces leading off the node */
	size_t n_external;
	const char *const *ignore; /* globs of interfaces to leave alone */
	size_t n_ignore;
	const char *const *xdp; /* interfaces whose forward half runs in XDP */
	size_t n_xdp;
	const char *const
		*skip_cgroups; /* cgroups whose sockets are left alone */
	size_t n_skip_cgroups;
	const char *const
		*skip_netns; /* paths of network namespaces likewise */
	size_t n_skip_netns;
	struct weir_ip
		prefix4; /* proxy prefix, v4-mapped, and its length in bits */
	struct weir_ip prefix6;
	uint8_t prefix4_len; /* of the IPv4 part, 0..32 */
	uint8_t prefix6_len;
	uint16_t snat_first; /* reserved source ports, host order, inclusive */
	uint16_t snat_last;
	uint32_t max_frontends;
	uint32_t max_slots;
	uint32_t max_groups;
	uint32_t max_endpoints; /* also ids */
	uint32_t max_refs;      /* ids */
	uint32_t max_flows;
	uint32_t max_sockets;  /* connected at a time at their cheapest */
	bool wants_redirect;   /* past the stack, both directions */
	bool wants_accounting; /* sockops */
	bool wants_peer_names; /* getpeername and recvfrom show the frontend */
	uint32_t without;      /* WEIR_WITHOUT_* */
	enum weir_lan_mode lan;
	const pid_t *self; /* processes whose sockets bypass the hooks */
	size_t n_self;     /* at most WEIR_SELF_MAX */
};

void weir_kernel_config_default(struct weir_kernel_config *config);
/* How many frontends the proxy prefixes have places for: indices 1 to that. */
uint32_t weir_kernel_places(const struct weir_kernel_config *config);

struct weir_kernel;

/* Loads or adopts what is pinned, attaches, follows interfaces on loop.
 * -EBUSY: another agent holds the directory or the network namespace (its pid
 * in *ret_holder; 0: unknown). The namespace is that of the calling thread.
 * listeners: the proxy's sockets by WEIR_SOCK_* (-1: none), not consumed. */
int weir_kernel_open(const struct weir_kernel_config *config,
		     struct weir_loop *loop,
		     const int listeners[static _WEIR_SOCK_MAX],
		     struct weir_kernel **ret_kernel, pid_t *ret_holder);
/* Leaves everything pinned and attached. */
void weir_kernel_close(struct weir_kernel **kernel);
/* Removes everything weir made below the directory's name: links, filters,
 * qdiscs it added, routes, pins; nothing else.  Needs no agent.  Nothing there:
 * touches nothing, says so, 0.  -EBUSY (logged with the pid): an agent works in
 * this network namespace or with this directory. */
int weir_kernel_detach(const struct weir_kernel_config *config);
/* Replaces the pids whose sockets bypass the hooks. */
int weir_kernel_set_self(struct weir_kernel *kernel, const pid_t *pids,
			 size_t n);
/* Replaces the proxy's listeners, after it was restarted (see open). */
int weir_kernel_set_listeners(struct weir_kernel *kernel,
			      const int listeners[static _WEIR_SOCK_MAX]);
/* Projects a stamped plan: after 0 every new connection follows it. Keeps no
 * pointer into view.  -errno: the old plan still serves; -ENOSPC: a map is too
 * small, *ret_what names the option to raise.  A local route that the kernel
 * does not take is no error: it is tried again until it does. */
int weir_kernel_publish(struct weir_kernel *kernel,
			const struct weir_plan_view *view,
			const char **ret_what);
/* No interface waits to be attached: they come a few at a time. */
bool weir_kernel_is_settled(const struct weir_kernel *kernel);
/* Generation published in full; 0: none. */
uint64_t weir_kernel_generation(const struct weir_kernel *kernel);
/* Decides for each local address whether this node answers for it; told how it
 * was (is_ours NULL: nothing changes).  may_yield: it stops when another host
 * says that an address is his.  until_ms: of weir_now_ms(), when it stops
 * unless it is said again, also where the agent is dead; UINT64_MAX: never.
 * Only with WEIR_LAN_CHOSEN. */
void weir_kernel_lan_decide(struct weir_kernel *kernel,
			    bool (*is_ours)(void *arg, const struct weir_ip *ip,
					    bool was_ours),
			    void *arg, bool may_yield, uint64_t until_ms);
/* As said last, also by an earlier agent; 0: never. */
uint64_t weir_kernel_lan_until(const struct weir_kernel *kernel);
/* False where WEIR_LAN_OFF or the packet plane is off: nobody is answered. */
bool weir_kernel_lan_is_on(const struct weir_kernel *kernel);
struct weir_lan_state {
	struct weir_ip ip;
	bool is_answering;     /* this node, now */
	bool is_of_node;       /* an interface of the node has it: its kernel */
	const char *interface; /* facing its LAN; NULL: any external */
};
/* Nothing where WEIR_LAN_OFF or the packet plane is off. */
void weir_kernel_lan_each(const struct weir_kernel *kernel,
			  void (*fn)(void *arg,
				     const struct weir_lan_state *state),
			  void *arg);
/* The node's own addresses, one of each family at most: of the way off the
 * node, else of any external interface. */
void weir_kernel_node_ips(const struct weir_kernel *kernel,
			  struct weir_ip ret_ips[static 2], size_t *ret_n);
/* A local address whose port a host socket holds: calls fn per frontend that
 * is not taken because of it. */
void weir_kernel_conflicts(struct weir_kernel *kernel,
			   void (*fn)(void *arg, const struct weir_ip *addr,
				      __be16 port_be, uint8_t proto),
			   void *arg);
/* Calls fn for each frontend that the kernel sends to a place in the proxy
 * prefix, also by an earlier agent's plan.  0, or -errno: nothing was told. */
int weir_kernel_proxied(struct weir_kernel *kernel,
			void (*fn)(void *arg, const struct weir_fe_key *key,
				   uint32_t proxy_index),
			void *arg);
/* Sums of the counters; false if there is no such id. */
bool weir_kernel_refstat(struct weir_kernel *kernel, uint32_t stat,
			 struct weir_refstat *ret_stat);
bool weir_kernel_epstat(struct weir_kernel *kernel, uint32_t id,
			struct weir_epstat *ret_stat);
/* Sums all CPUs into ret_counts[WEIR_COUNT_*]. */
int weir_kernel_counters(struct weir_kernel *kernel,
			 uint64_t ret_counts[static _WEIR_COUNT_MAX]);
/* State of planes, programs, links and maps as one JSON object (weirctl
 * status, probe). kernel may be NULL: only what the kernel offers. */
int weir_kernel_report(struct weir_kernel *kernel, struct weir_buf *json);

#endif
