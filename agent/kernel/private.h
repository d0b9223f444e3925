/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside agent/kernel: the one object that its files share, and what each
 * offers the others.
 *
 *   probe.c    what this kernel can do
 *   load.c     maps and programs: open, size, adopt, load
 *   pin.c      the pinned directory and the links in it
 *   tables.c   plan -> tables (plain memory and two callbacks; tables.h)
 *   kernel.c   the public calls
 *   netdev.c, tcx.c   interfaces, and the packet plane's programs on them
 *   routes.c   local routes
 *   flows.c    expiry of flows
 */
#ifndef WEIR_KERNEL_PRIVATE_H
#define WEIR_KERNEL_PRIVATE_H

#include "arena.h"
#include "kernel.h"

struct bpf_object;
struct bpf_program;

enum weir_map_index {
	WEIR_MAP_FE,
	WEIR_MAP_SVC,
	WEIR_MAP_ROW,
	WEIR_MAP_SET,
	WEIR_MAP_EP,
	WEIR_MAP_EPGEN,
	WEIR_MAP_WEYL1,
	WEIR_MAP_WEYL2,
	WEIR_MAP_REFSTAT,
	WEIR_MAP_EPSTAT,
	WEIR_MAP_SK,
	WEIR_MAP_UDP,
	WEIR_MAP_FLOW,
	WEIR_MAP_FRAG,
	WEIR_MAP_IF,
	WEIR_MAP_COUNT,
	WEIR_MAP_SOCK,
	WEIR_MAP_SELF,
	WEIR_MAP_SKIPCG,
	WEIR_MAP_SKIPNS,
	WEIR_MAP_META,
	_WEIR_MAP_MAX
};

/* What probe.c found by trying. */
struct weir_features {
	bool has_retval;      /* bpf_set_retval in cgroup hooks: 5.18 */
	bool has_ingress;     /* bpf_sk_lookup.ingress_ifindex: 5.17 */
	bool has_getpeername; /* 5.8 */
	bool has_sk_lookup;   /* 5.9 */
	bool has_sock_release;
	bool has_sk_storage; /* in sock_addr and sockops programs */
	bool has_tcx;        /* BPF_TCX_INGRESS links: 6.6 */
	bool has_netns_cookie;
	bool is_init_pidns; /* tgids seen by BPF are ours */
};

struct weir_packet;
struct weir_routes;
struct weir_tables;

struct weir_kernel {
	struct weir_kernel_config config; /* deep copy, strings in arena */
	struct weir_arena arena;
	struct weir_loop *loop;
	struct weir_features features;
	struct weir_conf conf; /* constants of every object */
	char *pin_path;        /* <pin_dir>/v<ABI>, in arena */
	int dir_fd;            /* of pin_path; flock: we are the agent */
	int map_fd[_WEIR_MAP_MAX];
	uint32_t map_size[_WEIR_MAP_MAX]; /* max_entries as loaded */
	void *map_mem[_WEIR_MAP_MAX];     /* mapped, or NULL */
	struct weir_tables *tables;
	struct weir_programs *programs; /* load.c */
	struct weir_packet *packet;     /* netdev.c */
	struct weir_routes *routes;     /* routes.c */
};

/* ---- load.c */

/* const char * of "weir_fe", ... */
extern const char *const weir_map_names[_WEIR_MAP_MAX];
/* Options for opening any of our skeletons (weir_X__open_opts): pinned maps
 * are found below kernel->pin_path. The pointer is valid until the next call.
 */
const struct bpf_object_open_opts *
weir_load_open_opts(struct weir_kernel *kernel);
/* Between open and load of a skeleton whose rodata->weir_conf was set from
 * kernel->conf: gives every map of obj the shared, pinned one.  0 or -errno. */
int weir_load_share_maps(struct weir_kernel *kernel, struct bpf_object *obj);

/* ---- pin.c */

/* fd pinned as name below pin_path, replacing what was there. */
int weir_pin_put(struct weir_kernel *kernel, int fd, const char *name);
/* fd of the object pinned as name; -ENOENT. */
int weir_pin_get(const char *pin_path, const char *name, int *ret_fd);
/* 0 also if it is not there. */
int weir_pin_remove(const char *pin_path, const char *name);

/* ---- netdev.c, tcx.c: the packet plane */

/* Opens and loads the packet (and XDP) programs with weir_load_*(), follows
 * interfaces on kernel->loop and attaches to those the config allows; entries
 * of weir_if are made after attaching.  Programs of an earlier agent are
 * replaced without an instant between.  0 or -errno. */
int weir_packet_start(struct weir_kernel *kernel);
/* Stops following and frees; everything stays attached. */
void weir_packet_stop(struct weir_kernel *kernel);
/* Detaches what any agent with this pin_path attached; no agent is running.
 * Called before the pinned directory is removed. */
int weir_packet_detach(const struct weir_kernel_config *config,
		       const char *pin_path);
/* One JSON object: attach mode, interfaces, flags, errors. */
void weir_packet_report(struct weir_kernel *kernel, struct weir_buf *json);
/* Calls fn for each loaded program, for the report of verifier cost. */
void weir_packet_programs(struct weir_kernel *kernel,
			  void (*fn)(void *arg, const struct bpf_program *prog),
			  void *arg);

/* ---- routes.c: local routes, rtm_protocol 119, of this network namespace */

/* Makes the set of local routes exactly: both proxy prefixes and addrs (may be
 * empty).  Adds before it removes.  0 or first -errno. */
int weir_routes_apply(struct weir_kernel *kernel,
		      const struct weir_local_addr *addrs, size_t n);
void weir_routes_free(struct weir_kernel *kernel);
/* Removes every route of our rtm_protocol. */
int weir_routes_detach(const struct weir_kernel_config *config);

/* ---- flows.c */

/* Arms a timer on kernel->loop that walks weir_flow, weir_frag in bounded
 * steps and removes what is over; counts closed. Called by weir_packet_start.
 */
int weir_flows_start(struct weir_kernel *kernel);
void weir_flows_stop(struct weir_kernel *kernel);

#endif
