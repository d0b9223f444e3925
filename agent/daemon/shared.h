/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What parent and agent share: a page of numbers that outlives an agent, and
 * the messages by which the parent tells it of a new proxy.
 */
#ifndef WEIR_DAEMON_SHARED_H
#define WEIR_DAEMON_SHARED_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* Exit status of a role whose configuration cannot work: EX_CONFIG of
 * sysexits(3).  Before the first plan was served it ends the whole program;
 * later it is retried like any failure. */
#define WEIR_EXIT_CONFIG 78

/* Descriptors of the roles, in the order of --role-fds. */
enum weir_agent_fd {
	WEIR_AGENT_FD_LINK,   /* struct weir_link from the parent */
	WEIR_AGENT_FD_SHARED, /* struct weir_shared */
	WEIR_AGENT_FD_STATS,  /* struct weir_proxy_stats, read only */
	WEIR_AGENT_FD_IPC,    /* struct weir_ipc, end of the present proxy */
	WEIR_AGENT_FD_TCP4,   /* one listener of each family, for steering */
	WEIR_AGENT_FD_TCP6,
	/* What an earlier agent left in the parent's care, -1: nothing. */
	WEIR_AGENT_FD_RULES,
	WEIR_AGENT_FD_EPS,
	WEIR_AGENT_FD_KEPT, /* datagram sockets from here on */
};

enum weir_proxy_fd {
	WEIR_PROXY_FD_IPC,
	WEIR_PROXY_FD_STATS,
	WEIR_PROXY_FD_LOG,       /* the access log, -1: none */
	WEIR_PROXY_FD_LISTENERS, /* 2 a worker from here on */
};

/* Written by the parent, except for generation and is_ready: by the agent. */
struct weir_shared {
	_Atomic uint64_t generation; /* last one that was given to anybody */
	uint64_t started_us;         /* weir_now_us() of the parent */
	_Atomic uint32_t agent_restarts;
	_Atomic uint32_t proxy_restarts;
	_Atomic int32_t agent_pid;
	_Atomic int32_t proxy_pid;
	int32_t parent_pid;
	_Atomic uint32_t is_ready; /* a plan was published once */
};

/* Datagram sockets that outlive an agent; of more than these the frontends are
 * not served until the proxy has let them go. */
#define WEIR_KEPT_MAX 128
#define WEIR_KEPT_A_MESSAGE 12

enum weir_link_type {
	WEIR_LINK_PROXY, /* parent -> agent: a proxy was started; fd: its end of
			    struct weir_ipc */
	WEIR_LINK_KEEP,  /* agent -> parent: fds are all the datagram sockets
			    there are; is_more: in addition to the last */
	WEIR_LINK_PLAN,  /* agent -> parent: fds are the blocks in force */
};

struct weir_link {
	uint32_t type;
	int32_t proxy_pid;
	uint32_t is_more;
	uint32_t pad;
};

#endif
