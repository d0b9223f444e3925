/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread: receives plans, publishes them to the workers, tells the
 * agent when all of them follow; ends everything on SIGTERM or when the agent's
 * side of the socket closes.
 */
#include "proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admission.h"
#include "cleanup.h"
#include "fdutil.h"
#include "gate.h"
#include "giveback.h"
#include "lines.h"
#include "log.h"
#include "loop.h"
#include "waker.h"
#include "worker.h"

#define REST_MS 2000 /* without a new plan */

struct proxy {
	const struct weir_proxy_config *config;
	struct weir_worker **workers;
	uint32_t n_started;
	int control_fd;
	int signal_fd;
	bool is_stopping;
	bool is_resting; /* since the last plan */
	uint64_t acked;
	struct weir_lines *access; /* NULL: no access log */
	struct weir_counters counters;
	struct weir_admission admission;
	struct weir_peers *peers; /* NULL: no limit */
	struct weir_waker *waker; /* NULL: nobody to report to */
	struct weir_gates gates;
	struct weir_plan_ref *last;    /* given to the workers */
	struct weir_plan_ref *partial; /* its sockets are still arriving */
};

static void reply(const struct proxy *p, uint32_t type, uint64_t generation,
		  int error)
{
	struct weir_ipc msg = {
		.type = type, .generation = generation, .error = error};

	if (weir_send_fds(p->config->ipc_fd, &msg, sizeof(msg), NULL, 0) < 0) {
		weir_debug("proxy reply lost type=%u generation=%llu", type,
			   (unsigned long long)generation);
	}
}

static int publish(struct proxy *p)
{
	for (uint32_t i = 0; i < p->n_started; i++) {
		weir_worker_publish(p->workers[i],
				    weir_plan_ref_get(p->partial));
	}
	if (p->waker) {
		weir_waker_publish(p->waker, weir_plan_ref_get(p->partial));
	}
	weir_plan_ref_put(&p->last);
	p->last = TAKE_PTR(p->partial);
	return 0;
}

/* A message of type PLAN: blocks with the first, sockets with each. */
static int take_plan(struct proxy *p, const struct weir_ipc *msg,
		     int fds[static WEIR_FDS_MAX], size_t n_fds)
{
	size_t first;
	int r;

	if (msg->n_udp > WEIR_IPC_UDP_MAX || n_fds < msg->n_udp) {
		return -EBADMSG;
	}
	/* Each message carries the blocks; the first of a generation counts. */
	first = n_fds - msg->n_udp;
	if (first != 0 && first != WEIR_IPC_BLOCKS) {
		return -EBADMSG;
	}
	if (p->partial && p->partial->generation != msg->generation) {
		weir_plan_ref_put(&p->partial);
	}
	if (!p->partial && first == WEIR_IPC_BLOCKS) {
		r = weir_plan_ref_new(fds, msg, p->last, &p->partial);
		if (r == 0) {
			r = weir_plan_ref_find_revs(p->partial, p->last,
						    p->config->n_workers);
		}
		if (r == 0) {
			r = weir_plan_ref_find_gates(p->partial, &p->gates,
						     p->config->n_workers);
		}
		if (r < 0) {
			return r;
		}
	}
	if (!p->partial) {
		return -EBADMSG;
	}
	for (uint32_t i = 0; i < msg->n_udp; i++) {
		r = weir_plan_ref_add_udp(p->partial, &msg->udp[i],
					  &fds[first + i]);
		if (r < 0) {
			return r;
		}
	}
	return p->partial->n_udp >= msg->n_udp_total ? publish(p) : 0;
}

/* A message of type LOG: the file that stands at the log's path now. */
static void take_log(struct proxy *p, int *fds, size_t n_fds)
{
	if (p->access && n_fds == 1) {
		weir_lines_reopen(p->access, &fds[0]);
	}
}

static void on_ipc(struct proxy *p)
{
	int fds[WEIR_FDS_MAX];
	size_t n_fds = 0;
	struct weir_ipc msg;
	ssize_t n = weir_recv_fds(p->config->ipc_fd, &msg, sizeof(msg), fds,
				  &n_fds);
	int r = -EBADMSG;

	if (n == -EAGAIN) {
		return;
	}
	if (n <= 0) {
		weir_info("proxy stops reason=agent-gone");
		p->is_stopping = true;
		return;
	}
	if (n == sizeof(msg) && msg.type == WEIR_IPC_LOG) {
		take_log(p, fds, n_fds);
		r = 0;
	} else if (n == sizeof(msg) && msg.type == WEIR_IPC_PLAN) {
		r = take_plan(p, &msg, fds, n_fds);
	}
	for (size_t i = 0; i < n_fds; i++) {
		weir_close(&fds[i]);
	}
	if (r < 0) {
		weir_error("plan refused generation=%llu error=%d",
			   (unsigned long long)(n == sizeof(msg)
							? msg.generation
							: 0),
			   r);
		weir_plan_ref_put(&p->partial);
		reply(p, WEIR_IPC_NAK, n == sizeof(msg) ? msg.generation : 0,
		      -r);
	}
}

/* A worker moved on, or is done. */
static void on_control(struct proxy *p)
{
	uint64_t least = UINT64_MAX;
	uint64_t n;

	(void)!read(p->control_fd, &n, sizeof(n));
	for (uint32_t i = 0; i < p->n_started; i++) {
		uint64_t g = atomic_load_explicit(&p->workers[i]->generation,
						  memory_order_acquire);

		least = g < least ? g : least;
	}
	if (least != UINT64_MAX && least > p->acked) {
		p->acked = least;
		reply(p, WEIR_IPC_ACK, least, 0);
	}
}

/* What a new plan needed, and the start: checking it, the one before.  Requests
 * map again what they use, some microseconds once. */
static void rest(struct proxy *p)
{
	const struct weir_plan_ref *ref = p->last;

	if (ref) {
		weir_give_back_map(ref->rules, ref->rules_size);
		weir_give_back_map(ref->eps, ref->eps_size);
		weir_give_back_map(ref->secrets_map, ref->secrets_size);
	}
	weir_give_back();
	p->is_resting = true;
}

static void loop(struct proxy *p)
{
	struct pollfd fds[3] = {
		{.fd = p->config->ipc_fd, .events = POLLIN},
		{.fd = p->control_fd, .events = POLLIN},
		{.fd = p->signal_fd, .events = POLLIN},
	};

	while (!p->is_stopping) {
		int n = poll(fds, 3, p->is_resting ? -1 : REST_MS);

		if (n == 0) {
			rest(p);
		}
		if (n <= 0) {
			continue;
		}
		p->is_resting = false;
		if (fds[1].revents) {
			on_control(p);
		}
		if (fds[2].revents) {
			weir_info("proxy stops reason=signal");
			return;
		}
		if (fds[0].revents) {
			on_ipc(p);
		}
	}
}

static int start_access_log(struct proxy *p)
{
	int fd = p->config->access_log_fd;

	if (!p->config->has_access_log) {
		return 0;
	}
	return weir_lines_new(&fd, p->config->n_workers,
			      &p->counters.shared->totals.log_lost, &p->access);
}

/* From the waker's thread, which does nothing before it has a plan. */
static void on_news(void *arg)
{
	const struct proxy *p = arg;

	for (uint32_t i = 0; i < p->n_started; i++) {
		weir_worker_news(p->workers[i]);
	}
}

static int start_waker(struct proxy *p)
{
	const struct weir_waker_config config = {
		.reporter = p->config->reporter,
		.totals = &p->counters.shared->totals,
		.on_news = on_news,
		.arg = p};

	return p->config->reporter ? weir_waker_new(&config, &p->waker) : 0;
}

static int start_workers(struct proxy *p)
{
	const struct weir_proxy_config *config = p->config;
	int r = start_waker(p);

	if (r < 0) {
		return r;
	}
	p->workers = calloc(config->n_workers, sizeof(*p->workers));
	if (!p->workers) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < config->n_workers; i++) {
		p->workers[i] = calloc(1, sizeof(**p->workers));
		if (!p->workers[i]) {
			return -ENOMEM;
		}
		r = weir_worker_init(p->workers[i], config, i, p->control_fd);
		if (r == 0) {
			p->workers[i]->admission = &p->admission;
			p->workers[i]->peers = p->peers;
			p->workers[i]->waker = p->waker;
			p->workers[i]->all = p->workers;
			p->workers[i]->access =
				p->access ? weir_lines_ring(p->access, i)
					  : NULL;
			r = -pthread_create(&p->workers[i]->thread, NULL,
					    weir_worker_main, p->workers[i]);
		}
		if (r < 0) {
			weir_worker_fini(p->workers[i]);
			weir_free_ptr(&p->workers[i]);
			return r;
		}
		p->n_started++;
	}
	return 0;
}

/* Drains and joins. */
static void stop_workers(struct proxy *p)
{
	for (uint32_t i = 0; i < p->n_started; i++) {
		atomic_store(&p->workers[i]->wants_drain, true);
		weir_worker_wake(p->workers[i]);
	}
	for (uint32_t i = 0; i < p->n_started; i++) {
		pthread_join(p->workers[i]->thread, NULL);
	}
	/* It reports until the last request has ended, and wakes them. */
	weir_waker_free(&p->waker);
	for (uint32_t i = 0; i < p->n_started; i++) {
		weir_worker_fini(p->workers[i]);
		weir_free_ptr(&p->workers[i]);
	}
	p->n_started = 0;
	weir_free_ptr(&p->workers);
}

static int check_config(const struct weir_proxy_config *config)
{
	const struct weir_proxy_limits *l = &config->limits;

	return config->n_workers && l->max_headers &&
			       l->buffer_bytes >=
				       l->max_head_bytes +
					       WEIR_PROXY_HEAD_ROOM &&
			       l->max_head_bytes >= 256 && l->max_target_bytes
		       ? 0
		       : -EINVAL;
}

int weir_proxy_run(const struct weir_proxy_config *config)
{
	struct proxy p = {.config = config, .control_fd = -1, .signal_fd = -1};
	sigset_t set;
	int r = check_config(config);

	if (r < 0) {
		return r;
	}
	/* Workers inherit the mask: signals come to this thread alone. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* splice() has no MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	p.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	p.control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = p.signal_fd < 0 || p.control_fd < 0 ? -errno : 0;
	if (r == 0) {
		r = weir_counters_init(&p.counters, config->stats_fd);
	}
	if (r == 0) {
		r = start_access_log(&p);
	}
	if (r == 0) {
		weir_admission_init(&p.admission,
				    config->limits.max_connections,
				    config->n_workers);
	}
	if (r == 0 && config->limits.max_client_connections) {
		r = weir_peers_new(config->limits.max_client_connections,
				   config->limits.max_connections, &p.peers);
	}
	if (r == 0) {
		r = start_workers(&p);
	}
	if (r == 0) {
		loop(&p);
	}
	stop_workers(&p);
	weir_lines_free(&p.access); /* with the last lines of the workers */
	weir_counters_fini(&p.counters);
	weir_peers_free(&p.peers);
	weir_plan_ref_put(&p.last);
	weir_plan_ref_put(&p.partial);
	weir_gates_fini(&p.gates);
	weir_close(&p.signal_fd);
	weir_close(&p.control_fd);
	return r;
}
