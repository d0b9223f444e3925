/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a change of the objects to its acknowledgement: compile, stamp, seal,
 * proxy, kernel.  Where objects come from is the feed's (feed.h).  One plan is
 * on its way at a time; what changes meanwhile is compiled when it has arrived.
 *
 * Order: the proxy first, the kernel when it has answered.  So the kernel never
 * steers to a proxy that does not know the frontend yet; and a plan that either
 * refuses leaves both on the one before.
 */
#ifndef WEIR_DAEMON_CONTROL_H
#define WEIR_DAEMON_CONTROL_H

#include "compile.h"
#include "counters.h"
#include "datagram.h"
#include "feed.h"
#include "kernel.h"
#include "map.h"
#include "memory.h"
#include "options.h"
#include "proxy_link.h"
#include "sealed.h"
#include "shared.h"
#include "stamp.h"

/* A local address whose port a host socket holds: it is not taken. */
struct weir_conflict {
	struct weir_ip addr;
	__be16 port_be;
	uint8_t proto;
};

/* Counters of the agent's own work. */
struct weir_control_stats {
	uint64_t compiles;
	uint64_t publishes;
	uint64_t refused_proxy;  /* plans that the proxy did not take */
	uint64_t refused_kernel; /* or the kernel */
	uint64_t ack_timeouts;
	uint64_t compile_us; /* the last */
	uint64_t publish_us; /* the last, kernel only */
	uint64_t effect_us;  /* the last, from its change to its last answer */
	uint32_t ids_lost;   /* of the present plan: not counted */
};

/* Others (status, metrics, admin) only read. */
struct weir_control {
	const struct weir_options *options;
	struct weir_loop *loop;
	struct weir_shared *shared;
	struct weir_counters *counters;
	struct weir_claims claims;
	struct weir_kernel *kernel;
	struct weir_store *store;
	struct weir_feed *feed;
	struct weir_ids *ids;
	struct weir_proxy_link proxy;
	struct weir_datagram udp;
	int link_fd;                   /* to the parent, not owned */
	struct weir_compiled compiled; /* its blocks are freed, diags stay */
	struct weir_sealed current;    /* the kernel follows it */
	struct weir_sealed next;       /* the proxy has it, or is to answer */
	uint64_t proxy_generation;     /* every worker follows it; 0: none */
	uint64_t store_version;        /* compiled */
	uint64_t pending_us; /* weir_now_us() of the oldest change not compiled;
				0: none */
	struct weir_conflict *conflicts;
	size_t n_conflicts;
	size_t cap_conflicts;
	uint64_t conflicts_hash; /* of those that were logged */
	size_t n_feed_diags;     /* when they were logged */
	struct weir_map logged;  /* hashes of the diagnostics that are known */
	struct weir_ip node_ips[2]; /* compiled with */
	size_t n_node_ips;
	const char *what_is_full; /* option to raise, or NULL */
	struct weir_timer answer_timer;
	struct weir_timer retry_timer;
	struct weir_timer conflict_timer;
	struct weir_timer rest_timer;
	uint64_t rested_ms;        /* memory was given back last */
	struct weir_memory memory; /* for the next compilation */
	struct weir_timer memory_timer;
	uint32_t n_unplaced; /* frontends without a place in the prefix */
	struct weir_timer place_timer;
	struct weir_control_stats stats;
};

/* What the control loop works with; none of it is owned. */
struct weir_control_parts {
	const struct weir_options *options; /* with the fds of the role */
	struct weir_loop *loop;
	struct weir_shared *shared;
	struct weir_counters *counters;
	struct weir_kernel *kernel;
	struct weir_feed *feed;
};

/* Takes over what an earlier agent left, starts the feed and publishes what it
 * has.  -errno of the feed, or memory. */
int weir_control_start(struct weir_control *control,
		       const struct weir_control_parts *parts);
void weir_control_stop(struct weir_control *control);
/* A proxy was started: pid, and the end of its channel, which is taken. */
void weir_control_use_proxy(struct weir_control *control, pid_t pid, int fd);
/* Reads everything again (SIGHUP). */
void weir_control_reload(struct weir_control *control);
/* The feed: something is about to change; effects are timed from here. */
void weir_control_pending(struct weir_control *control);
/* The store, what is_complete() says, or diagnostics changed. */
void weir_control_changed(struct weir_control *control);
/* The same objects are to be compiled again, as this agent's part changed. */
void weir_control_again(struct weir_control *control);
/* A plan is in force on every plane, and a proxy is there. */
bool weir_control_is_ready(const struct weir_control *control);
/* Generation that the kernel planes follow; 0: none, not even of an earlier
 * agent. */
uint64_t weir_control_kernel_generation(const struct weir_control *control);
/* All diagnostics in force: of files, then of objects. */
void weir_control_diags(const struct weir_control *control,
			void (*fn)(void *arg, const struct weir_diag *diag),
			void *arg);

#endif
