// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "addr.h"
#include "admin.h"
#include "cleanup.h"
#include "control.h"
#include "fdutil.h"
#include "listen.h"
#include "metrics.h"
#include "privs.h"
#include "schedule.h"
#include "server.h"

struct agent {
	struct weir_options *options;
	struct weir_loop *loop;
	struct weir_kernel *kernel;
	struct weir_shared *shared;
	struct weir_counters counters;
	struct weir_feed *feed;
	struct weir_control control;
	struct weir_server *admin;
	struct weir_server *metrics;
	struct weir_io signal_io;
	struct weir_io link_io;
	bool has_control;
};

/* ----------------------------------------------------------------- signals */

static void on_signal(struct weir_io *io, uint32_t events)
{
	struct agent *a = io->arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			weir_control_reload(&a->control);
		} else {
			weir_loop_stop(a->loop, 0);
		}
	}
}

/* A terminal's Ctrl-C reaches every process; the parent decides. */
static int open_signals(struct agent *a)
{
	sigset_t set;

	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		return -errno;
	}
	a->signal_io = (struct weir_io){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.fn = on_signal,
		.arg = a};
	if (a->signal_io.fd < 0) {
		return -errno;
	}
	return weir_loop_add(a->loop, &a->signal_io, EPOLLIN);
}

/* ------------------------------------------------------------- from parent */

static void on_link(struct weir_io *io, uint32_t events)
{
	struct agent *a = io->arg;
	int fds[WEIR_FDS_MAX];
	struct weir_link m;
	size_t n_fds;
	ssize_t n;

	(void)events;
	while ((n = weir_recv_fds(io->fd, &m, sizeof(m), fds, &n_fds)) > 0) {
		if (n == sizeof(m) && m.type == WEIR_LINK_PROXY && n_fds == 1) {
			weir_control_use_proxy(&a->control, m.proxy_pid,
					       fds[0]);
		}
	}
	if (n == 0) {
		weir_loop_stop(a->loop, 0); /* the parent is gone */
	}
}

static int map_shared(struct agent *a)
{
	const int *fds = a->options->fds;
	void *p = mmap(NULL, sizeof(*a->shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fds[WEIR_AGENT_FD_SHARED], 0);

	if (p == MAP_FAILED) {
		return -errno;
	}
	a->shared = p;
	return weir_counters_map(a->options, fds[WEIR_AGENT_FD_STATS],
				 &a->counters);
}

/* -------------------------------------------------------------------- open */

static int open_kernel(struct agent *a)
{
	struct weir_kernel_config *config = &a->options->kernel;
	const int *fds = a->options->fds;
	const int listeners[_WEIR_SOCK_MAX] = {
		[WEIR_SOCK_TCP4] = fds[WEIR_AGENT_FD_TCP4],
		[WEIR_SOCK_TCP6] = fds[WEIR_AGENT_FD_TCP6],
		[WEIR_SOCK_UDP4] = -1,
		[WEIR_SOCK_UDP6] = -1,
	};
	pid_t self[3] = {a->shared->parent_pid, getpid(), a->shared->proxy_pid};
	pid_t holder = 0;
	int r;

	config->self = self;
	config->n_self = 3;
	r = weir_kernel_open(config, a->loop, listeners, &a->kernel, &holder);
	config->self = NULL;
	config->n_self = 0;
	if (r == -EBUSY) {
		weir_error("another agent (pid %d) works with --pin-dir %s or "
			   "in this network namespace; one agent per network "
			   "namespace, each with a directory of its own, is "
			   "allowed",
			   holder, config->pin_dir);
	} else if (r == -EPERM || r == -EACCES) {
		weir_error("the kernel planes need root, or CAP_BPF, "
			   "CAP_NET_ADMIN and CAP_PERFMON: %s",
			   strerror(-r));
	} else if (r < 0) {
		weir_error("the kernel planes cannot be set up: %s (weir-agent "
			   "--probe shows what this kernel offers)",
			   strerror(-r));
	}
	return r;
}

static int open_admin(struct agent *a)
{
	const char *path = a->options->admin;
	_cleanup_close_ int fd = -1;
	int r;

	if (!path) {
		return 0;
	}
	r = weir_listen_unix(path, &fd);
	if (r == 0) {
		r = weir_server_new(a->loop, fd, "\n", weir_admin_answer,
				    &a->control, &a->admin);
	}
	if (r < 0) {
		weir_error("--admin %s: %s; choose another path, or none", path,
			   strerror(-r));
		return r;
	}
	TAKE_FD(fd);
	return 0;
}

static int open_metrics(struct agent *a)
{
	const struct weir_options *o = a->options;
	char text[WEIR_ADDR_TEXT_MAX];
	_cleanup_close_ int fd = -1;
	int r;

	if (!o->metrics_port_be) {
		return 0;
	}
	r = weir_listen_tcp(&o->metrics_addr, o->metrics_port_be, &fd);
	if (r == 0) {
		r = weir_server_new(a->loop, fd, "\r\n\r\n",
				    weir_metrics_answer, &a->control,
				    &a->metrics);
	}
	if (r < 0) {
		weir_error("--metrics %s: %s; choose another address, or none",
			   weir_addr_format(&o->metrics_addr,
					    o->metrics_port_be, text),
			   strerror(-r));
		return r;
	}
	TAKE_FD(fd);
	return 0;
}

static int open_control(struct agent *a)
{
	const struct weir_control_parts parts = {
		.options = a->options,
		.loop = a->loop,
		.shared = a->shared,
		.counters = &a->counters,
		.kernel = a->kernel,
		.feed = a->feed,
	};

	a->has_control = true;
	return weir_control_start(&a->control, &parts);
}

static int open_all(struct agent *a)
{
	const int *fds = a->options->fds;
	int r = weir_loop_new(&a->loop);

	if (r == 0) {
		r = map_shared(a);
	}
	if (r == 0) {
		r = open_signals(a);
	}
	if (r == 0) {
		r = open_kernel(a);
	}
	if (r == 0) {
		r = open_admin(a);
	}
	if (r == 0) {
		r = open_metrics(a);
	}
	if (r == 0) {
		r = a->options->manifests
			    ? weir_feed_manifests_new(a->options, a->loop,
						      &a->feed)
			    : weir_feed_kube_new(a->options, a->loop, &a->feed);
	}
	if (r == 0) {
		r = weir_privs_drop_agent();
	}
	if (r == 0) {
		r = open_control(a);
	}
	if (r == 0) {
		a->link_io = (struct weir_io){
			.fd = fds[WEIR_AGENT_FD_LINK], .fn = on_link, .arg = a};
		r = weir_loop_add(a->loop, &a->link_io, EPOLLIN);
	}
	return r;
}

static void agent_fini(struct agent *a)
{
	weir_server_free(&a->admin);
	weir_server_free(&a->metrics);
	if (a->has_control) {
		weir_control_stop(&a->control);
	}
	weir_feed_free(&a->feed);
	weir_kernel_close(&a->kernel);
	weir_close(&a->signal_io.fd);
	weir_loop_free(&a->loop);
	if (a->shared) {
		munmap(a->shared, sizeof(*a->shared));
	}
	weir_counters_unmap(&a->counters);
}

int weir_agent_run(struct weir_options *options)
{
	struct agent a __attribute__((cleanup(agent_fini))) = {
		.options = options, .signal_io = {.fd = -1}};
	int r;

	if (options->n_fds < WEIR_AGENT_FD_KEPT) {
		return WEIR_EXIT_CONFIG;
	}
	r = open_all(&a);
	if (r < 0) {
		return WEIR_EXIT_CONFIG;
	}
	malloc_trim(0); /* what loading the programs took */
	(void)weir_schedule_soon();
	r = weir_loop_run(a.loop);
	if (options->admin) {
		unlink(options->admin);
	}
	return r < 0 ? 1 : 0;
}
