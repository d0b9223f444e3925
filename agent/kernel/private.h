/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside agent/kernel: the one object that its files share, and what each
 * offers the others.
 *
 *   probe.c    what this kernel can do
 *   load.c     maps and programs: open, size, adopt, load
 *   pin.c      the pinned directory and the links in it
 *   alone.c    one agent per network namespace
 *   tables.c   plan -> tables (plain memory and two callbacks; tables.h)
 *   config.c   defaults, constants
 *   exclude.c  processes, cgroups, namespaces that are left alone
 *   udp.c      expiry of datagram associations
 *   report.c   state as JSON
 *   kernel.c   the public calls
 *   netdev.c, tcx.c   interfaces, and the packet plane's programs on them
 *   routes.c   local routes
 *   lan.c, lan_tell.c   who answers for them on a LAN (lan.h)
 *   flows.c    expiry of flows
 */
#ifndef WEIR_KERNEL_PRIVATE_H
#define WEIR_KERNEL_PRIVATE_H

#include "arena.h"
#include "kernel.h"

struct bpf_object;
struct bpf_object_open_opts;
struct nlmsghdr;

typedef void (*weir_program_fn)(void *arg, const char *name, int fd);

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
	WEIR_MAP_CONN,
	WEIR_MAP_SK,
	WEIR_MAP_UDP,
	WEIR_MAP_FLOW,
	WEIR_MAP_SIEVE,
	WEIR_MAP_FRAG,
	WEIR_MAP_IF,
	WEIR_MAP_LAN,
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
	bool has_connect;     /* cgroup/connect4 */
	bool has_cookies;     /* of socket and netns, in connect hooks: 5.7 */
	bool has_retval;      /* bpf_set_retval in cgroup hooks: 5.18 */
	bool has_loop;        /* bpf_loop: 5.17 */
	bool has_getpeername; /* 5.8 */
	bool has_sock_release;
	bool has_sockops;
	bool has_sk_lookup; /* 5.9 */
	bool has_ingress;   /* bpf_sk_lookup.ingress_ifindex: 5.17 */
	bool has_sched_cls;
	bool has_tcx; /* BPF_TCX_INGRESS links: 6.6 */
	bool has_xdp;
	bool has_netns_cookie; /* SO_NETNS_COOKIE: 5.14 */
	bool has_uring;        /* io_uring with DEFER_TASKRUN: 6.1 */
	bool is_init_pidns;    /* tgids seen by BPF are ours */
};

/* The programs of this directory, loaded; what is not wanted or not possible
 * stays -1. libbpf's objects are freed after loading: they are large. */
enum weir_program_index {
	WEIR_PROGRAM_CONNECT4,
	WEIR_PROGRAM_CONNECT6,
	WEIR_PROGRAM_SENDMSG4,
	WEIR_PROGRAM_SENDMSG6,
	WEIR_PROGRAM_RECVMSG4,
	WEIR_PROGRAM_RECVMSG6,
	WEIR_PROGRAM_PEERNAME4,
	WEIR_PROGRAM_PEERNAME6,
	WEIR_PROGRAM_RELEASE,
	WEIR_PROGRAM_ACCOUNT,
	WEIR_PROGRAM_STEER,
	_WEIR_PROGRAM_MAX
};

struct weir_lans;
struct weir_netdevs;
struct weir_routes;
struct weir_tables;

struct weir_kernel {
	struct weir_kernel_config config; /* deep copy, strings in arena */
	struct weir_arena arena;
	struct weir_loop *loop;
	struct weir_features features;
	struct weir_conf conf; /* constants of every object */
	char *pin_path;        /* <pin_dir>/v<ABI>, on the heap */
	struct weir_io alone;  /* fd: we are the agent of this namespace */
	int dir_fd;            /* of pin_path; flock: we are the agent */
	int map_fd[_WEIR_MAP_MAX];
	uint32_t map_size[_WEIR_MAP_MAX]; /* max_entries as loaded */
	void *map_mem[_WEIR_MAP_MAX];     /* mapped, or NULL */
	size_t map_bytes[_WEIR_MAP_MAX];
	struct weir_tables *tables;
	int program_fd[_WEIR_PROGRAM_MAX];
	int attach_error[_WEIR_PROGRAM_MAX]; /* 0 or -errno, for the report */
	struct weir_netdevs *packet;         /* netdev.c; NULL: off */
	int packet_error;                    /* why it is off, -errno */
	struct weir_routes *routes;          /* routes.c */
	struct weir_lans *lan;               /* lan.c; NULL: off */
	struct weir_timer recheck;           /* host sockets on our addresses */
	struct weir_timer expire; /* associations of datagram sockets */
	struct weir_udp_key expire_at;
	bool has_expire_at;
	uint64_t generation; /* published in full */
	struct weir_timer rest;
	uint64_t used_ms; /* the tables, last */
	bool is_resting;
};

/* ---- config.c */

/* Deep copy, texts in arena; without the pids. */
int weir_config_copy(struct weir_arena *arena,
		     const struct weir_kernel_config *from,
		     struct weir_kernel_config *ret_config);
/* Fills conf from config, features and the calling thread's namespace; not
 * what exclude.c sets. */
void weir_config_constants(const struct weir_kernel *kernel,
			   struct weir_conf *conf);
/* Largest index of a prefix that fixes this many of the last 32 bits; 0: no
 * prefix. */
uint32_t weir_config_max_proxy(uint32_t prefix_bits);

/* ---- exclude.c: whose sockets are left alone */

/* Fills weir_skipcg and weir_skipns from config, and conf.skip_levels,
 * conf.has_skipns.  What cannot be resolved is logged and left out. */
int weir_exclude_apply(struct weir_kernel *kernel);
int weir_exclude_set_self(struct weir_kernel *kernel, const pid_t *pids,
			  size_t n);

/* ---- rest.c */

void weir_rest_start(struct weir_kernel *kernel);
/* Before map_mem of any table or statistic is read or written, and until the
 * loop is returned to.  0, or -errno: it must not be touched. */
int weir_rest_wake(struct weir_kernel *kernel);

/* ---- load.c */

/* const char * of "weir_fe", ... */
extern const char *const weir_map_names[_WEIR_MAP_MAX];
/* Options for opening any of our skeletons (weir_X__open_opts): pinned maps
 * are found below kernel->pin_path. The pointer is valid until the next call.
 */
const struct bpf_object_open_opts *
weir_load_open_opts(struct weir_kernel *kernel);
/* Creates or adopts every map below pin_path and maps the mmapable ones.
 * -EPROTO: a map there has another layout. */
int weir_load_maps(struct weir_kernel *kernel);
/* Loads what config and features allow into program_fd; what fails stays -1
 * with its attach_error. */
void weir_load_programs(struct weir_kernel *kernel);
extern const char *const weir_program_names[_WEIR_PROGRAM_MAX];
/* Between open and load of a skeleton whose rodata->weir_conf was set from
 * kernel->conf: gives every map of obj the shared, pinned one.  0 or -errno. */
int weir_load_share_maps(struct weir_kernel *kernel, struct bpf_object *obj);

/* ---- probe.c */

/* Tries samples; never fails, what cannot be tried is false. */
void weir_probe(struct weir_features *ret_features);
/* Takes away what config says to do without. */
void weir_features_drop(struct weir_features *features, uint32_t without);
/* Cookie of the calling thread's network namespace, 0: kernel has none. */
uint64_t weir_netns_cookie(void);

/* ---- report.c: weir_kernel_report() */

/* ---- udp.c */

/* Arms kernel->expire. */
void weir_udp_start(struct weir_kernel *kernel);

/* ---- pin.c */

/* <pin_dir>/v<ABI> on the heap. */
int weir_pin_path(const struct weir_kernel_config *config, char **ret_path);
/* Makes and locks pin_path; fd in *ret_fd holds the lock.  -EBUSY with the
 * holder's pid (0: unknown); -ENOTSUP: not on a bpffs. */
int weir_pin_lock(const char *pin_path, bool may_create, int *ret_fd,
		  pid_t *ret_holder);
/* Unlinks everything pinned there; the directory stays. */
int weir_pin_remove_all(const char *pin_path);
/* Attaches program p of kernel to target_fd (cgroup or network namespace) by a
 * link pinned under the program's name; an existing link on the same target is
 * switched over in place. */
int weir_pin_attach(struct weir_kernel *kernel, enum weir_program_index p,
		    int target_fd);

/* fd pinned as name below pin_path, replacing what was there. */
int weir_pin_put(struct weir_kernel *kernel, int fd, const char *name);
/* fd of the object pinned as name; -ENOENT. */
int weir_pin_get(const char *pin_path, const char *name, int *ret_fd);
/* What the last agent signed there; -ENOENT. */
int weir_pin_meta(const char *pin_path, struct weir_meta *ret_meta);
/* 0 also if it is not there. */
int weir_pin_remove(const char *pin_path, const char *name);

/* ---- alone.c: one agent per network namespace */

/* The calling thread's namespace is locked while *ret_fd is open.  -EBUSY with
 * the holder's pid (0: unknown). */
int weir_alone_lock(int *ret_fd, pid_t *ret_holder);
/* Likewise for as long as kernel is open; answers on its loop those who ask
 * who holds it. */
int weir_alone_start(struct weir_kernel *kernel, pid_t *ret_holder);
void weir_alone_stop(struct weir_kernel *kernel);

/* ---- netdev.c, tcx.c: the packet plane */

/* Opens and loads the packet (and XDP) programs with weir_load_*(), follows
 * interfaces on kernel->loop and attaches to those the config allows; entries
 * of weir_if are made after attaching.  Programs of an earlier agent are
 * replaced without an instant between.  What does not load is off
 * (packet_error). 0 or -errno. */
int weir_packet_start(struct weir_kernel *kernel);
/* Stops following and frees; everything stays attached. */
void weir_packet_stop(struct weir_kernel *kernel);
/* Detaches what any agent with this pin_path attached; no agent is running.
 * Called before the pinned directory is removed. */
int weir_packet_detach(const struct weir_kernel_config *config,
		       const char *pin_path);
/* No interface is pending. */
bool weir_packet_is_settled(const struct weir_kernel *kernel);
/* One JSON object: attach mode, interfaces, flags, errors. */
void weir_packet_report(struct weir_kernel *kernel, struct weir_buf *json);
/* Calls fn for each loaded program (fd: not handed over), for the report of
 * verifier cost. */
void weir_packet_programs(struct weir_kernel *kernel, weir_program_fn fn,
			  void *arg);

/* ---- routes.c: local routes, rtm_protocol 119, of this network namespace */

/* Before a plan is published: its local routes are both proxy prefixes and
 * addrs.  0, or -ENOMEM: nothing has changed. */
int weir_routes_want(struct weir_kernel *kernel,
		     const struct weir_local_addr *addrs, size_t n);
/* It is: makes the set of local routes exactly what was wanted last.  Adds
 * before it removes.  What the kernel refuses is logged once and tried again by
 * weir_routes_recheck(); the plan holds all the same. */
void weir_routes_apply(const struct weir_kernel *kernel);
/* Again: others flush routes that they do not know (systemd-networkd). */
void weir_routes_recheck(const struct weir_kernel *kernel);
/* Something was said about links or routes: a route of the last plan's that was
 * deleted is added again a moment later. */
void weir_routes_heard(const struct weir_kernel *kernel,
		       const struct nlmsghdr *h);
void weir_routes_free(struct weir_kernel *kernel);
/* Removes every route of our rtm_protocol. */
int weir_routes_detach(const struct weir_kernel_config *config);

/* ---- flows.c */

/* Arms a timer on kernel->loop that walks weir_flow in bounded
 * steps and removes what is over; counts closed. Called by weir_packet_start.
 */
int weir_flows_start(struct weir_kernel *kernel);
void weir_flows_stop(struct weir_kernel *kernel);

#endif
