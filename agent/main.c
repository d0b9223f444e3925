// SPDX-License-Identifier: Apache-2.0
/* weir-agent: which process this is, or what is wanted instead of one. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent.h"
#include "kernel.h"
#include "options.h"
#include "parent.h"
#include "places.h"
#include "privs.h"
#include "proxy.h"
#include "shared.h"

static int print(const struct weir_buf *out)
{
	if (out->error) {
		return 1;
	}
	return fwrite(out->p, 1, out->n, stdout) == out->n ? 0 : 1;
}

static int help(void)
{
	_cleanup_buf_ struct weir_buf out = {0};

	weir_options_help(&out);
	return print(&out);
}

static int probe(void)
{
	_cleanup_buf_ struct weir_buf out = {0};
	int r = weir_kernel_report(NULL, &out);

	if (r < 0) {
		weir_error("cannot probe the kernel: %s", strerror(-r));
		return 1;
	}
	weir_buf_addz(&out, "\n");
	return print(&out);
}

static int detach(struct weir_options *o)
{
	int r = o->netns ? weir_netns_enter(o->netns) : 0;

	if (r < 0) {
		weir_error("--netns %s: %s", o->netns, strerror(-r));
		return 1;
	}
	r = weir_kernel_detach(&o->kernel);
	if (r < 0 && r != -EBUSY) { /* that it said, with the pid */
		weir_error("--detach: %s", strerror(-r));
	}
	return r < 0 ? 1 : 0;
}

/* Everything that needs a right is open already; drop them all first. */
static int run_proxy(struct weir_options *o)
{
	char reporter[300];
	struct weir_proxy_config config = {
		.ipc_fd = o->fds[WEIR_PROXY_FD_IPC],
		.stats_fd = o->fds[WEIR_PROXY_FD_STATS],
		.listeners = o->fds + WEIR_PROXY_FD_LISTENERS,
		.n_workers = o->workers,
		.io = o->io,
		.reporter = reporter,
		.has_access_log = o->fds[WEIR_PROXY_FD_LOG] >= 0,
		.access_log_fd = o->fds[WEIR_PROXY_FD_LOG],
		.limits = o->limits,
	};
	int r;

	snprintf(reporter, sizeof(reporter), "weir-%s", o->node_name);
	if (o->n_fds != WEIR_PROXY_FD_LISTENERS + (size_t)o->workers * 2) {
		return WEIR_EXIT_CONFIG;
	}
	r = weir_privs_drop_all(o->uid, o->gid);
	if (r < 0) {
		weir_error("privileges could not be dropped: %s", strerror(-r));
		return 1;
	}
	if (weir_follow_parent(o->parent) < 0) {
		return 1;
	}
	r = weir_proxy_run(&config);
	if (r < 0) {
		weir_error("proxy ended: %s", strerror(-r));
	}
	return r < 0 ? 1 : 0;
}

/* /proc/self/exe would show as "exe" in ps. */
static void name_process(const char *component, const char *name,
			 const struct weir_options *o)
{
	weir_log_init(component, o->log_level);
	prctl(PR_SET_NAME, name);
}

static int run(struct weir_options *o, int argc, char **argv)
{
	/* All three hold the plan, and with it the keys of certificates. */
	weir_keep_memory();
	switch (o->role) {
	case WEIR_ROLE_AGENT:
		name_process("agent", "weir-agent", o);
		return weir_agent_run(o);
	case WEIR_ROLE_PROXY:
		name_process("proxy", "weir-proxy", o);
		return run_proxy(o);
	default:
		name_process("parent", "weir-parent", o);
		return weir_parent_run(o, argc, argv);
	}
}

int main(int argc, char **argv)
{
	char error[WEIR_OPTIONS_ERROR_MAX];
	struct weir_options options;

	if (weir_options_parse(&options, argc, argv, error) < 0) {
		fprintf(stderr, "weir-agent: %s\n", error);
		return 2;
	}
	weir_log_init("weir-agent", options.log_level);
	if ((options.action == WEIR_ACTION_RUN ||
	     options.action == WEIR_ACTION_DETACH) &&
	    options.role != WEIR_ROLE_PROXY &&
	    weir_places_settle(&options, error) < 0) {
		fprintf(stderr, "weir-agent: %s\n", error);
		return 2;
	}
	switch (options.action) {
	case WEIR_ACTION_HELP:
		return help();
	case WEIR_ACTION_VERSION:
		printf("weir-agent %s (ABI %d)\n", WEIR_VERSION,
		       WEIR_ABI_VERSION);
		return 0;
	case WEIR_ACTION_PROBE:
		return probe();
	case WEIR_ACTION_DETACH:
		return detach(&options);
	default:
		return run(&options, argc, argv);
	}
}
