/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of weir-agent.  One table drives parsing, --help and
 * validation.  Flags only, no configuration file; of the environment only
 * NODE_NAME, which pods are given.
 */
#ifndef WEIR_DAEMON_OPTIONS_H
#define WEIR_DAEMON_OPTIONS_H

#include <sys/types.h>

#include "buf.h"
#include "kernel.h"
#include "log.h"
#include "proxy.h"

#define WEIR_OPTIONS_ERROR_MAX 320 /* bytes of an error line with its NUL */
#define WEIR_OPTIONS_LIST_MAX 32   /* values of a flag that may be repeated */
#define WEIR_WORKERS_MAX 32
#define WEIR_ROLE_FDS_MAX 144 /* 128 kept sockets, or 2 a worker, and some */

enum weir_action {
	WEIR_ACTION_RUN,
	WEIR_ACTION_DETACH,
	WEIR_ACTION_PROBE,
	WEIR_ACTION_VERSION,
	WEIR_ACTION_HELP,
};

/* Which of the processes this is; children get it from the parent. */
enum weir_role { WEIR_ROLE_PARENT, WEIR_ROLE_AGENT, WEIR_ROLE_PROXY };

struct weir_option_list {
	const char *v[WEIR_OPTIONS_LIST_MAX];
	size_t n;
};

/* Texts point into argv.  Not to be copied: kernel points into the lists. */
struct weir_options {
	enum weir_action action;
	enum weir_role role;
	enum weir_log_level log_level;
	const char *manifests; /* one of these three */
	const char *kubeconfig;
	bool is_in_cluster;
	const char *lease_namespace; /* NULL: that of the credentials */
	const char *cluster_domain;
	const char *cgroup;
	const char *netns; /* NULL: the caller's */
	const char *node_name;
	const char *cni_results; /* NULL: not to be read */
	char host_name[65];      /* of uname(2), where it is the node's name */
	const char *admin;
	struct weir_ip metrics_addr;
	__be16 metrics_port_be; /* 0: no metrics */
	const char *access_log; /* NULL: none; "-": standard output */
	bool is_per_route;      /* metrics of every rule and backendRef */
	const char *user;
	uint32_t workers; /* >= 1 after parsing */
	enum weir_io_backend io;
	uint32_t max_rules;
	struct weir_kernel_config kernel;
	struct weir_proxy_limits limits;
	struct weir_option_list external;
	struct weir_option_list ignore;
	struct weir_option_list xdp;
	struct weir_option_list skip_cgroups;
	struct weir_option_list skip_netns;
	/* From the parent to its children (weir_parent_run). */
	int fds[WEIR_ROLE_FDS_MAX];
	size_t n_fds;
	pid_t parent;
	uid_t uid;
	gid_t gid;
};

/* argv[0] is skipped.  -EINVAL with one line in ret_error that says what is
 * wrong, where, and how to mend it. */
int weir_options_parse(struct weir_options *options, int argc,
		       char *const *argv,
		       char ret_error[static WEIR_OPTIONS_ERROR_MAX]);
/* The text of --help, with the defaults in force. */
void weir_options_help(struct weir_buf *out);

#endif
