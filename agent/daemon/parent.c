// SPDX-License-Identifier: Apache-2.0
/*
 * Life and death of the two roles.
 *
 * Each is this very program (/proc/self/exe, so an upgrade on disk never mixes
 * versions) with descriptors from FIRST_FD on, named by --role-fds.  The
 * parent keeps the listeners, so connections that arrive while no proxy lives
 * wait in their queues, and the agent's end of the channel to the proxy, so a
 * proxy does not see its agent die and goes on serving its last plan.  For the
 * agent it keeps the datagram sockets, which could not be bound twice, and the
 * plan in force, whose ids the counters go by.
 */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "counters.h"
#include "fdutil.h"
#include "giveback.h"
#include "listen.h"
#include "log_file.h"
#include "privs.h"
#include "shared.h"

#define FIRST_FD 3 /* of a child's descriptors */
#define EXTRA_ARGS 4

/* A role that dies young is started again after 10 ms, 20 ms, ... 5 s; one
 * that lived STABLE_MS begins anew and is back at once. */
#define BACKOFF_MS 10
#define BACKOFF_MAX_MS 5000
#define STABLE_MS 10000
#define STOP_GRACE_MS 3000 /* beyond the proxy's drain time */
#define REST_MS 1000       /* after a start: from then on it waits, mostly */

struct child {
	struct parent *parent;
	enum weir_role role;
	pid_t pid; /* 0: not running */
	uint64_t started_ms;
	uint32_t backoff_ms;
	struct weir_timer restart;
};

struct parent {
	struct weir_options *options;
	struct weir_loop *loop;
	struct weir_shared *shared;
	char **argv; /* of children; the last EXTRA_ARGS + NULL are ours */
	size_t argc;
	char fds_text[WEIR_ROLE_FDS_MAX * 4 + 16];
	char ids_text[64];
	struct child agent;
	struct child proxy;
	struct weir_io signal_io;
	struct weir_timer stop_timer;
	struct weir_timer rest_timer;
	int signal_fd;
	int shared_fd;
	struct weir_counters counters;
	int stats_fd;
	struct weir_io link_io; /* to the agent; fd -1: none */
	int ipc_fd; /* the agent's end of the channel to the proxy */
	int log_fd; /* of the access log; -1: none */
	int listeners[WEIR_WORKERS_MAX * 2];
	int plan_fds[2]; /* that the agent put in force */
	int kept[WEIR_KEPT_MAX];
	size_t n_kept;
	bool is_stopping;
	int status;
};

static const char *role_name(enum weir_role role)
{
	return role == WEIR_ROLE_AGENT ? "agent" : "proxy";
}

/* ------------------------------------------------------------------- start */

/* In the child: fds become FIRST_FD, FIRST_FD + 1, ...; everything else closes
 * with the exec. */
static int place_fds(const int *fds, size_t n)
{
	int high[WEIR_ROLE_FDS_MAX];

	for (size_t i = 0; i < n; i++) {
		high[i] = -1;
		if (fds[i] >= 0) {
			high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC,
					FIRST_FD + WEIR_ROLE_FDS_MAX);
			if (high[i] < 0) {
				return -errno;
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (high[i] >= 0 && dup2(high[i], FIRST_FD + (int)i) < 0) {
			return -errno;
		}
	}
	return 0;
}

static void write_fds(struct parent *p, const int *fds, size_t n_fds)
{
	size_t used = 0;

	for (size_t i = 0; i < n_fds; i++) {
		used += (size_t)snprintf(p->fds_text + used,
					 sizeof(p->fds_text) - used, "%s%d",
					 i ? "," : "--role-fds=",
					 fds[i] < 0 ? -1 : FIRST_FD + (int)i);
	}
}

static int spawn(struct parent *p, struct child *c, const int *fds,
		 size_t n_fds)
{
	static char role_args[][16] = {
		[WEIR_ROLE_AGENT] = "--role=agent",
		[WEIR_ROLE_PROXY] = "--role=proxy",
	};
	pid_t parent = getpid();
	sigset_t none;
	pid_t pid;

	write_fds(p, fds, n_fds);
	p->argv[p->argc] = role_args[c->role];
	c->started_ms = weir_now_ms();
	pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		sigemptyset(&none);
		if (weir_follow_parent(parent) < 0 ||
		    place_fds(fds, n_fds) < 0) {
			_exit(1);
		}
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv("/proc/self/exe", p->argv);
		_exit(127);
	}
	c->pid = pid;
	return 0;
}

static int start_proxy(struct parent *p)
{
	int fds[WEIR_PROXY_FD_LISTENERS + WEIR_WORKERS_MAX * 2];
	struct weir_link link = {.type = WEIR_LINK_PROXY};
	size_t n = p->options->workers * 2;
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	weir_close(&p->ipc_fd);
	p->ipc_fd = pair[0];
	fds[WEIR_PROXY_FD_IPC] = pair[1];
	fds[WEIR_PROXY_FD_STATS] = p->stats_fd;
	fds[WEIR_PROXY_FD_LOG] = p->log_fd;
	memcpy(fds + WEIR_PROXY_FD_LISTENERS, p->listeners, n * sizeof(int));
	r = spawn(p, &p->proxy, fds, WEIR_PROXY_FD_LISTENERS + n);
	weir_close(&pair[1]);
	if (r < 0) {
		return r;
	}
	p->shared->proxy_pid = p->proxy.pid;
	link.proxy_pid = p->proxy.pid;
	if (p->link_io.fd >= 0 && p->agent.pid &&
	    weir_send_fds(p->link_io.fd, &link, sizeof(link), &p->ipc_fd, 1) <
		    0) {
		/* It has not
		 * read the
		 * last
		 * hundred:
		 * it hangs.
		 */
		kill(p->agent.pid, SIGKILL);
	}
	return 0;
}

static void forget_kept(struct parent *p)
{
	while (p->n_kept) {
		weir_close(&p->kept[--p->n_kept]);
	}
}

static void keep(struct parent *p, const struct weir_link *m, int *fds,
		 size_t n)
{
	if (!m->is_more) {
		forget_kept(p);
	}
	for (size_t i = 0; i < n && p->n_kept < WEIR_KEPT_MAX; i++) {
		p->kept[p->n_kept++] = TAKE_FD(fds[i]);
	}
}

static void on_link(struct weir_io *io, uint32_t events)
{
	struct parent *p = io->arg;
	int fds[WEIR_FDS_MAX];
	struct weir_link m;
	size_t n_fds;
	ssize_t n;

	(void)events;
	while ((n = weir_recv_fds(io->fd, &m, sizeof(m), fds, &n_fds)) > 0) {
		if (n == sizeof(m) && m.type == WEIR_LINK_KEEP) {
			keep(p, &m, fds, n_fds);
		} else if (n == sizeof(m) && m.type == WEIR_LINK_PLAN &&
			   n_fds == 2) {
			weir_close(&p->plan_fds[0]);
			weir_close(&p->plan_fds[1]);
			p->plan_fds[0] = TAKE_FD(fds[0]);
			p->plan_fds[1] = TAKE_FD(fds[1]);
		}
		for (size_t i = 0; i < n_fds; i++) {
			weir_close(&fds[i]);
		}
	}
	if (n == 0) {
		weir_loop_del(p->loop, io); /* it died: SIGCHLD tells more */
		weir_close(&io->fd);
	}
}

static int start_agent(struct parent *p)
{
	int fds[WEIR_AGENT_FD_KEPT + WEIR_KEPT_MAX];
	int pair[2];
	int r;

	if (p->link_io.fd >= 0) {
		on_link(&p->link_io, 0); /* the last words of the former one */
	}
	if (p->link_io.fd >= 0) {
		weir_loop_del(p->loop, &p->link_io);
		weir_close(&p->link_io.fd);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, pair) < 0) {
		return -errno;
	}
	p->link_io = (struct weir_io){.fd = pair[0], .fn = on_link, .arg = p};
	fds[WEIR_AGENT_FD_LINK] = pair[1];
	fds[WEIR_AGENT_FD_SHARED] = p->shared_fd;
	fds[WEIR_AGENT_FD_STATS] = p->stats_fd;
	fds[WEIR_AGENT_FD_IPC] = p->ipc_fd;
	fds[WEIR_AGENT_FD_TCP4] = p->listeners[0];
	fds[WEIR_AGENT_FD_TCP6] = p->listeners[1];
	fds[WEIR_AGENT_FD_RULES] = p->plan_fds[0];
	fds[WEIR_AGENT_FD_EPS] = p->plan_fds[1];
	memcpy(fds + WEIR_AGENT_FD_KEPT, p->kept, p->n_kept * sizeof(int));
	r = weir_loop_add(p->loop, &p->link_io, EPOLLIN);
	if (r == 0) {
		r = spawn(p, &p->agent, fds, WEIR_AGENT_FD_KEPT + p->n_kept);
	}
	weir_close(&pair[1]);
	if (r < 0) {
		return r;
	}
	p->shared->agent_pid = p->agent.pid;
	return 0;
}

static void start(struct child *c)
{
	int r = c->role == WEIR_ROLE_AGENT ? start_agent(c->parent)
					   : start_proxy(c->parent);

	if (r < 0) {
		weir_error("start failed, trying again: role=%s error=%s",
			   role_name(c->role), strerror(-r));
		weir_loop_arm(c->parent->loop, &c->restart, BACKOFF_MAX_MS);
	}
	weir_loop_arm(c->parent->loop, &c->parent->rest_timer, REST_MS);
}

static void on_rest(struct weir_timer *timer)
{
	(void)timer;
	weir_give_back();
}

static void on_restart(struct weir_timer *timer)
{
	start(timer->arg);
}

/* ---------------------------------------------------------------------
 * end */

static void stop_if_alone(struct parent *p)
{
	if (p->is_stopping && p->agent.pid == 0 && p->proxy.pid == 0) {
		weir_loop_stop(p->loop, 0);
	}
}

static void signal_children(struct parent *p, int signo)
{
	if (p->agent.pid) {
		kill(p->agent.pid, signo);
	}
	if (p->proxy.pid) {
		kill(p->proxy.pid, signo);
	}
}

static void stop(struct parent *p, int status)
{
	if (p->is_stopping) {
		signal_children(p, SIGKILL);
		return;
	}
	p->is_stopping = true;
	p->status = status;
	weir_loop_disarm(p->loop, &p->agent.restart);
	weir_loop_disarm(p->loop, &p->proxy.restart);
	weir_loop_arm(p->loop, &p->stop_timer,
		      p->options->limits.drain_ms + STOP_GRACE_MS);
	signal_children(p, SIGTERM);
	stop_if_alone(p);
}

static void on_stop_timer(struct weir_timer *timer)
{
	struct parent *p = timer->arg;

	weir_warn("not gone in time, killing what is left");
	signal_children(p, SIGKILL);
}

static uint32_t next_backoff(struct child *c)
{
	uint32_t delay;

	if (weir_now_ms() - c->started_ms >= STABLE_MS) {
		c->backoff_ms = 0;
	}
	delay = c->backoff_ms;
	c->backoff_ms = delay ? delay * 2 : BACKOFF_MS;
	if (c->backoff_ms > BACKOFF_MAX_MS) {
		c->backoff_ms = BACKOFF_MAX_MS;
	}
	/* Jitter: many nodes
	 * with one fault do
	 * not retry in step.
	 */
	return delay ? delay - (uint32_t)rand() % (delay / 4 + 1) : 0;
}

static void on_death(struct parent *p, struct child *c, int status)
{
	uint32_t delay = next_backoff(c);
	bool is_config = c->role == WEIR_ROLE_AGENT && !p->shared->is_ready &&
			 WIFEXITED(status) &&
			 WEXITSTATUS(status) == WEIR_EXIT_CONFIG;

	c->pid = 0;
	if (c->role == WEIR_ROLE_PROXY) {
		p->shared->proxy_pid = 0;
		weir_counters_settle(&p->counters);
	} else {
		p->shared->agent_pid = 0;
	}
	if (p->is_stopping) {
		stop_if_alone(p);
		return;
	}
	if (is_config) {
		stop(p, 1); /* it
			       said why */
		return;
	}
	weir_warn("process ended, starting it again: role=%s %s=%d delay_ms=%u",
		  role_name(c->role), WIFSIGNALED(status) ? "signal" : "exit",
		  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		  delay);
	if (c->role == WEIR_ROLE_PROXY) {
		p->shared->proxy_restarts++;
	} else {
		p->shared->agent_restarts++;
	}
	if (delay) {
		weir_loop_arm(p->loop, &c->restart, delay);
	} else {
		start(c);
	}
}

static void reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->agent.pid) {
			on_death(p, &p->agent, status);
		} else if (pid == p->proxy.pid) {
			on_death(p, &p->proxy, status);
		}
	}
}

/* Somebody has moved the access log away.  The proxy may not open files. */
static void reopen_log(struct parent *p)
{
	const struct weir_ipc msg = {.type = WEIR_IPC_LOG};
	int fd = -1;
	int r;

	if (!p->options->access_log) {
		return;
	}
	r = weir_log_file_open(p->options->access_log, &fd);
	if (r < 0) {
		weir_warn("--access-log %s: %s; the file before goes on",
			  p->options->access_log, strerror(-r));
		return;
	}
	weir_close(&p->log_fd);
	p->log_fd = fd;
	if (p->proxy.pid &&
	    weir_send_fds(p->ipc_fd, &msg, sizeof(msg), &p->log_fd, 1) < 0) {
		weir_warn("the proxy was not told of its new access log");
	}
}

static void on_signal(struct weir_io *io, uint32_t events)
{
	struct parent *p = io->arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(p);
			break;
		case SIGHUP:
			if (p->agent.pid) {
				kill(p->agent.pid, SIGHUP);
			}
			reopen_log(p);
			break;
		default:
			stop(p, 0);
		}
	}
}

/* ------------------------------------------------------------------
 * set up */

static int open_shared(struct parent *p)
{
	void *page;

	p->shared_fd = memfd_create("weir-shared", MFD_CLOEXEC);
	if (p->shared_fd < 0 ||
	    ftruncate(p->shared_fd, sizeof(*p->shared)) < 0) {
		return -errno;
	}
	page = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE,
		    MAP_SHARED, p->shared_fd, 0);
	if (page == MAP_FAILED) {
		return -errno;
	}
	p->shared = page;
	p->shared->parent_pid = getpid();
	p->shared->started_us = weir_now_us();
	return 0;
}

static int open_signals(struct parent *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		return -errno;
	}
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0) {
		return -errno;
	}
	p->signal_io = (struct weir_io){
		.fd = p->signal_fd, .fn = on_signal, .arg = p};
	return weir_loop_add(p->loop, &p->signal_io, EPOLLIN);
}

static void raise_nofile(const struct weir_options *o)
{
	const struct weir_proxy_limits *l = &o->limits;

	/* A relayed connection has two; some more for pools and plans.  With
	 * fewer the proxy has fewer clients, and says so. */
	(void)weir_nofile_raise((uint64_t)l->max_connections * 2 + l->udp_max +
				4096);
}

static int set_up(struct parent *p, int argc, char **argv)
{
	const struct weir_options *o = p->options;
	uid_t uid = 0;
	gid_t gid = 0;
	int r;

	if (o->netns) {
		r = weir_netns_enter(o->netns);
		if (r < 0) {
			weir_error("--netns %s: %s; it takes the path of a "
				   "network namespace, such as /run/netns/edge",
				   o->netns, strerror(-r));
			return r;
		}
	}
	r = weir_user_find(o->user, &uid, &gid);
	if (r < 0) {
		weir_error(
			"--user %s: no such user; it takes a name or uid:gid",
			o->user);
		return r;
	}
	snprintf(p->ids_text, sizeof(p->ids_text), "--role-ids=%u:%u:%d", uid,
		 gid, getpid());
	srand((unsigned int)getpid());
	p->argv = calloc((size_t)argc + EXTRA_ARGS, sizeof(char *));
	if (!p->argv) {
		return -ENOMEM;
	}
	memcpy(p->argv, argv, sizeof(char *) * (size_t)argc);
	p->argc = (size_t)argc;
	p->argv[argc + 1] = p->fds_text;
	p->argv[argc + 2] = p->ids_text;
	if (o->access_log) {
		r = weir_log_file_open(o->access_log, &p->log_fd);
		if (r < 0) {
			weir_error("--access-log %s: %s; it takes a file that "
				   "can be written, or - for standard output",
				   o->access_log, strerror(-r));
			return r;
		}
	}
	raise_nofile(o);
	r = weir_listeners_open(o->workers, p->listeners);
	if (r < 0) {
		weir_error("no listening sockets on loopback: %s",
			   strerror(-r));
		return r;
	}
	r = weir_counters_new(o, &p->stats_fd);
	if (r == 0) {
		r = weir_counters_map(o, p->stats_fd, &p->counters);
	}
	if (r == 0) {
		r = open_shared(p);
	}
	if (r == 0) {
		r = weir_loop_new(&p->loop);
	}
	if (r == 0) {
		r = open_signals(p);
	}
	return r;
}

static void parent_fini(struct parent *p)
{
	weir_close(&p->signal_fd);
	weir_counters_unmap(&p->counters);
	weir_close(&p->stats_fd);
	weir_close(&p->link_io.fd);
	weir_close(&p->plan_fds[0]);
	weir_close(&p->plan_fds[1]);
	forget_kept(p);
	weir_close(&p->ipc_fd);
	weir_close(&p->shared_fd);
	weir_close(&p->log_fd);
	for (size_t i = 0; i < WEIR_WORKERS_MAX * 2; i++) {
		weir_close(&p->listeners[i]);
	}
	if (p->shared) {
		munmap(p->shared, sizeof(*p->shared));
	}
	weir_loop_free(&p->loop);
	weir_free_ptr(&p->argv);
}

static void init_child(struct parent *p, struct child *c, enum weir_role role)
{
	*c = (struct child){.parent = p, .role = role};
	c->restart = (struct weir_timer){.fn = on_restart, .arg = c};
}

int weir_parent_run(struct weir_options *options, int argc, char **argv)
{
	struct parent p __attribute__((cleanup(parent_fini))) = {
		.options = options,
		.signal_fd = -1,
		.shared_fd = -1,
		.stats_fd = -1,
		.link_io = {.fd = -1},
		.ipc_fd = -1,
		.log_fd = -1,
		.plan_fds = {-1, -1},
	};
	int r;

	for (size_t i = 0; i < WEIR_WORKERS_MAX * 2; i++) {
		p.listeners[i] = -1;
	}
	init_child(&p, &p.agent, WEIR_ROLE_AGENT);
	init_child(&p, &p.proxy, WEIR_ROLE_PROXY);
	p.stop_timer = (struct weir_timer){.fn = on_stop_timer, .arg = &p};
	p.rest_timer = (struct weir_timer){.fn = on_rest, .arg = &p};
	r = set_up(&p, argc, argv);
	if (r < 0) {
		return 1;
	}
	start(&p.proxy);
	start(&p.agent);
	r = weir_loop_run(p.loop);
	return r < 0 ? 1 : p.status;
}
