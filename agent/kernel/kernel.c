// SPDX-License-Identifier: Apache-2.0
/*
 * The public calls.  Opening: lock, maps, tables as an earlier agent left
 * them, programs, links; each step adopts what is there, so that traffic never
 * sees it happen.  Closing leaves everything in place.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "addr.h"
#include "cleanup.h"
#include "lan.h"
#include "log.h"
#include "private.h"
#include "tables.h"
#include "weir_sieve.h"

#define RECHECK_MS 5000

/* ------------------------------------------------------- tables' callbacks */

static void announce(void *arg, const struct weir_fe_key *key)
{
	const struct weir_kernel *kernel = arg;
	uint64_t *sieve = kernel->map_mem[WEIR_MAP_SIEVE];
	uint32_t bit = weir_sieve_bit(&key->addr, key->port_be,
				      WEIR_SIEVE_FRONT);

	__atomic_fetch_or(&sieve[bit / 64], UINT64_C(1) << bit % 64,
			  __ATOMIC_SEQ_CST);
}

/* weir_fe is allocated in advance and its size was asked about, so it takes
 * what it is given and lets go of it; only the key's copy for the call could
 * lack memory (kernel/bpf/syscall.c, map_update_elem). */
static int fe_put(void *arg, const struct weir_fe_key *key,
		  const struct weir_fe *fe)
{
	const struct weir_kernel *kernel = arg;

	return bpf_map_update_elem(kernel->map_fd[WEIR_MAP_FE], key, fe,
				   BPF_ANY) < 0
		       ? -errno
		       : 0;
}

static int fe_del(void *arg, const struct weir_fe_key *key)
{
	const struct weir_kernel *kernel = arg;

	int r = bpf_map_delete_elem(kernel->map_fd[WEIR_MAP_FE], key) < 0
			? -errno
			: 0;

	if (r < 0 && r != -ENOENT) {
		weir_error("the kernel keeps a frontend that is to go: "
			   "error=\"%s\"",
			   strerror(-r));
		return r;
	}
	return 0;
}

static int fe_next(void *arg, const struct weir_fe_key *prev,
		   struct weir_fe_key *ret_key, struct weir_fe *ret_fe)
{
	const struct weir_kernel *kernel = arg;
	int fd = kernel->map_fd[WEIR_MAP_FE];

	if (bpf_map_get_next_key(fd, prev, ret_key) < 0 ||
	    bpf_map_lookup_elem(fd, ret_key, ret_fe) < 0) {
		return -errno;
	}
	return 0;
}

/* All our programs run inside an RCU read-side section; this call returns
 * after a grace period. */
static bool barrier(void *arg)
{
	(void)arg;
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0;
}

static uint64_t now_ms(void *arg)
{
	(void)arg;
	return weir_now_ms();
}

/* A listener of the host on this address makes bind() fail; ours cannot, it is
 * bound elsewhere.  Sockets that are only bound with SO_REUSEADDR do not show
 * until they listen, which weir_tables_recheck() sees. */
static bool may_take(void *arg, const struct weir_fe_key *key)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = weir_addr_to_sockaddr(&key->addr, key->port_be, &sa);
	const int on = 1;

	(void)arg;
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return true; /* no such family here: nobody holds it */
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (sa.ss_family == AF_INET) {
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	} else {
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	return bind(fd, (const struct sockaddr *)&sa, len) == 0 ||
	       errno != EADDRINUSE;
}

static int open_tables(struct weir_kernel *kernel)
{
	const uint32_t *size = kernel->map_size;
	const struct weir_kernel_config *c = &kernel->config;
	struct weir_tables_mem mem = {
		.svc = kernel->map_mem[WEIR_MAP_SVC],
		.row = kernel->map_mem[WEIR_MAP_ROW],
		.set = kernel->map_mem[WEIR_MAP_SET],
		.ep = kernel->map_mem[WEIR_MAP_EP],
		.epgen = kernel->map_mem[WEIR_MAP_EPGEN],
		.refstat = kernel->map_mem[WEIR_MAP_REFSTAT],
		.epstat = kernel->map_mem[WEIR_MAP_EPSTAT],
		.n_svc = size[WEIR_MAP_SVC],
		.n_row = size[WEIR_MAP_ROW],
		.n_set = size[WEIR_MAP_SET],
		.n_ep = size[WEIR_MAP_EP],
		.n_epid = size[WEIR_MAP_EPGEN] < size[WEIR_MAP_EPSTAT]
				  ? size[WEIR_MAP_EPGEN]
				  : size[WEIR_MAP_EPSTAT],
		.n_ref = size[WEIR_MAP_REFSTAT],
		.n_fe = size[WEIR_MAP_FE],
		.max_proxy4 = weir_config_max_proxy(c->prefix4_len),
		.max_proxy6 = weir_config_max_proxy(
			c->prefix6_len > 96 ? c->prefix6_len - 96u : 0),
	};
	const struct weir_tables_ops ops = {
		.arg = kernel,
		.announce = announce,
		.fe_put = fe_put,
		.fe_del = fe_del,
		.fe_next = fe_next,
		.barrier = barrier,
		.now_ms = now_ms,
		.may_take = may_take,
	};
	int r;

	r = weir_tables_new(&mem, &ops, &kernel->tables);
	if (r != -EUCLEAN) {
		return r;
	}
	weir_error("pinned tables contradict each other, starting afresh "
		   "path=%s",
		   kernel->pin_path);
	r = weir_tables_wipe(&mem, &ops);
	if (r < 0) {
		return r;
	}
	return weir_tables_new(&mem, &ops, &kernel->tables);
}

/* ------------------------------------------------------------------- open */

static void recheck(struct weir_timer *timer)
{
	struct weir_kernel *kernel = timer->arg;

	weir_tables_recheck(kernel->tables);
	weir_routes_recheck(kernel);
	weir_loop_arm(kernel->loop, timer, RECHECK_MS);
}

static int set_listeners(struct weir_kernel *kernel,
			 const int listeners[static _WEIR_SOCK_MAX])
{
	int map = kernel->map_fd[WEIR_MAP_SOCK];

	for (uint32_t i = 0; i < _WEIR_SOCK_MAX; i++) {
		uint64_t fd = (uint64_t)listeners[i];

		if (listeners[i] < 0) {
			bpf_map_delete_elem(map, &i);
			continue;
		}
		if (bpf_map_update_elem(map, &i, &fd, BPF_ANY) < 0) {
			return -errno;
		}
	}
	return 0;
}

/* One link: the program where it is wanted, no link where it is not. */
static void settle_link(struct weir_kernel *kernel, enum weir_program_index p,
			int target_fd)
{
	int r;

	if (kernel->program_fd[p] < 0 || target_fd < 0) {
		/* A program that failed to load leaves its predecessor at work;
		 * one that is off goes. */
		if (kernel->attach_error[p] == 0) {
			weir_pin_remove(kernel->pin_path,
					weir_program_names[p]);
		}
		return;
	}
	r = weir_pin_attach(kernel, p, target_fd);
	if (r < 0) {
		kernel->attach_error[p] = r;
		weir_error("program is not attached name=%s error=\"%s\"",
			   weir_program_names[p], strerror(-r));
	}
}

static int attach_programs(struct weir_kernel *kernel)
{
	_cleanup_close_ int cgroup = -1;
	_cleanup_close_ int netns = open("/proc/thread-self/ns/net",
					 O_RDONLY | O_CLOEXEC);

	if (netns < 0) {
		return -errno;
	}
	if (kernel->config.cgroup) {
		cgroup = open(kernel->config.cgroup,
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (cgroup < 0) {
			return -errno;
		}
	}
	/* What undoes comes before what does: a socket whose peer is rewritten
	 * finds its name translated. */
	settle_link(kernel, WEIR_PROGRAM_ACCOUNT, cgroup);
	settle_link(kernel, WEIR_PROGRAM_RELEASE, cgroup);
	settle_link(kernel, WEIR_PROGRAM_PEERNAME4, cgroup);
	settle_link(kernel, WEIR_PROGRAM_PEERNAME6, cgroup);
	settle_link(kernel, WEIR_PROGRAM_RECVMSG4, cgroup);
	settle_link(kernel, WEIR_PROGRAM_RECVMSG6, cgroup);
	settle_link(kernel, WEIR_PROGRAM_STEER, netns);
	settle_link(kernel, WEIR_PROGRAM_CONNECT4, cgroup);
	settle_link(kernel, WEIR_PROGRAM_CONNECT6, cgroup);
	settle_link(kernel, WEIR_PROGRAM_SENDMSG4, cgroup);
	settle_link(kernel, WEIR_PROGRAM_SENDMSG6, cgroup);
	return 0;
}

static void sign(struct weir_kernel *kernel)
{
	struct weir_meta *meta = kernel->map_mem[WEIR_MAP_META];

	kernel->generation = meta->generation;
	meta->abi = WEIR_ABI_VERSION;
	meta->agent_pid = (uint32_t)getpid();
	meta->netns_cookie = kernel->conf.netns_cookie;
}

static int open_steps(struct weir_kernel *kernel,
		      const struct weir_kernel_config *config,
		      const int listeners[static _WEIR_SOCK_MAX],
		      pid_t *ret_holder)
{
	int r;

	r = weir_config_copy(&kernel->arena, config, &kernel->config);
	if (r < 0) {
		return r;
	}
	r = weir_pin_path(&kernel->config, &kernel->pin_path);
	if (r < 0) {
		return r;
	}
	/* First: an agent that is refused makes no directory. */
	r = weir_alone_start(kernel, ret_holder);
	if (r < 0) {
		return r;
	}
	r = weir_pin_lock(kernel->pin_path, true, &kernel->dir_fd, ret_holder);
	if (r < 0) {
		return r;
	}
	weir_probe(&kernel->features);
	weir_features_drop(&kernel->features, config->without);
	weir_config_constants(kernel, &kernel->conf);
	r = weir_load_maps(kernel);
	if (r < 0) {
		return r;
	}
	sign(kernel);
	r = weir_exclude_apply(kernel);
	if (r < 0) {
		return r;
	}
	r = weir_exclude_set_self(kernel, config->self, config->n_self);
	if (r < 0) {
		return r;
	}
	r = open_tables(kernel);
	if (r < 0) {
		return r;
	}
	r = set_listeners(kernel, listeners);
	if (r < 0) {
		return r;
	}
	weir_load_programs(kernel);
	return attach_programs(kernel);
}

int weir_kernel_open(const struct weir_kernel_config *config,
		     struct weir_loop *loop,
		     const int listeners[static _WEIR_SOCK_MAX],
		     struct weir_kernel **ret_kernel, pid_t *ret_holder)
{
	_cleanup_(weir_kernel_close) struct weir_kernel *kernel = calloc(
		1, sizeof(*kernel));
	int r;

	if (!kernel) {
		return -ENOMEM;
	}
	weir_arena_init(&kernel->arena, 1024);
	kernel->alone.fd = -1;
	kernel->dir_fd = -1;
	for (int i = 0; i < _WEIR_MAP_MAX; i++) {
		kernel->map_fd[i] = -1;
	}
	for (int i = 0; i < _WEIR_PROGRAM_MAX; i++) {
		kernel->program_fd[i] = -1;
	}
	kernel->loop = loop;
	r = open_steps(kernel, config, listeners, ret_holder);
	if (r < 0) {
		return r;
	}
	r = weir_lan_start(kernel);
	if (r < 0) {
		return r;
	}
	r = weir_packet_start(kernel);
	if (r < 0) {
		return r;
	}
	weir_udp_start(kernel);
	weir_rest_start(kernel);
	kernel->recheck.fn = recheck;
	kernel->recheck.arg = kernel;
	weir_loop_arm(loop, &kernel->recheck, RECHECK_MS);
	*ret_kernel = TAKE_PTR(kernel);
	return 0;
}

void weir_kernel_close(struct weir_kernel **kernelp)
{
	struct weir_kernel *kernel = *kernelp;

	if (!kernel) {
		return;
	}
	weir_loop_disarm(kernel->loop, &kernel->recheck);
	weir_loop_disarm(kernel->loop, &kernel->expire);
	weir_loop_disarm(kernel->loop, &kernel->rest);
	weir_packet_stop(kernel);
	weir_lan_stop(kernel);
	weir_routes_free(kernel);
	weir_tables_free(&kernel->tables);
	for (int i = 0; i < _WEIR_PROGRAM_MAX; i++) {
		weir_close(&kernel->program_fd[i]);
	}
	for (int i = 0; i < _WEIR_MAP_MAX; i++) {
		if (kernel->map_mem[i]) {
			munmap(kernel->map_mem[i], kernel->map_bytes[i]);
		}
		weir_close(&kernel->map_fd[i]);
	}
	weir_close(&kernel->dir_fd);
	weir_alone_stop(kernel);
	weir_free_ptr(&kernel->pin_path);
	weir_arena_fini(&kernel->arena);
	weir_free_ptr(kernelp);
}

/* -------------------------------------------------------------------- use */

int weir_kernel_set_self(struct weir_kernel *kernel, const pid_t *pids,
			 size_t n)
{
	return weir_exclude_set_self(kernel, pids, n);
}

int weir_kernel_set_listeners(struct weir_kernel *kernel,
			      const int listeners[static _WEIR_SOCK_MAX])
{
	return set_listeners(kernel, listeners);
}

int weir_kernel_publish(struct weir_kernel *kernel,
			const struct weir_plan_view *view,
			const char **ret_what)
{
	const struct weir_plan *p = view->rules;
	struct weir_meta *meta = kernel->map_mem[WEIR_MAP_META];
	int r;

	r = weir_rest_wake(kernel);
	if (r == 0) {
		r = weir_routes_want(kernel, weir_plan_at(p, p->local_addrs),
				     p->local_addrs.n);
	}
	if (r == 0) {
		r = weir_tables_publish(kernel->tables, view, ret_what);
	}
	if (r < 0) {
		return r;
	}
	/* From here on the plan serves, and nothing may take it back.
	 * Last: an address becomes local when everything behind it is there.
	 * One that goes has lost its frontends by now. */
	r = weir_lan_add(kernel, weir_plan_at(p, p->local_addrs),
			 p->local_addrs.n);
	if (r < 0) {
		weir_error("addresses not put into the LAN's table, the kernel "
			   "answers for them: error=\"%s\"",
			   strerror(-r));
	}
	weir_routes_apply(kernel);
	weir_lan_keep(kernel, weir_plan_at(p, p->local_addrs),
		      p->local_addrs.n);
	kernel->generation = p->generation;
	__atomic_store_n(&meta->generation, p->generation, __ATOMIC_RELEASE);
	return 0;
}

bool weir_kernel_is_settled(const struct weir_kernel *kernel)
{
	return weir_packet_is_settled(kernel);
}

uint64_t weir_kernel_generation(const struct weir_kernel *kernel)
{
	return kernel->generation;
}

struct conflict_fn {
	void (*fn)(void *arg, const struct weir_ip *addr, __be16 port_be,
		   uint8_t proto);
	void *arg;
};

static void on_refused(void *arg, const struct weir_fe_key *key)
{
	const struct conflict_fn *c = arg;

	c->fn(c->arg, &key->addr, key->port_be, key->proto);
}

void weir_kernel_conflicts(struct weir_kernel *kernel,
			   void (*fn)(void *arg, const struct weir_ip *addr,
				      __be16 port_be, uint8_t proto),
			   void *arg)
{
	struct conflict_fn c = {fn, arg};

	weir_tables_refused(kernel->tables, on_refused, &c);
}

int weir_kernel_proxied(struct weir_kernel *kernel,
			void (*fn)(void *arg, const struct weir_fe_key *key,
				   uint32_t proxy_index),
			void *arg)
{
	int r = weir_rest_wake(kernel);

	if (r == 0) {
		weir_tables_proxied(kernel->tables, fn, arg);
	}
	return r;
}

bool weir_kernel_refstat(struct weir_kernel *kernel, uint32_t stat,
			 struct weir_refstat *ret_stat)
{
	const struct weir_refstat *stats = kernel->map_mem[WEIR_MAP_REFSTAT];

	if (stat == 0 || stat >= kernel->map_size[WEIR_MAP_REFSTAT] ||
	    weir_rest_wake(kernel) < 0) {
		return false;
	}
	*ret_stat = stats[stat];
	return true;
}

bool weir_kernel_epstat(struct weir_kernel *kernel, uint32_t id,
			struct weir_epstat *ret_stat)
{
	const struct weir_epstat *stats = kernel->map_mem[WEIR_MAP_EPSTAT];

	if (id == 0 || id >= kernel->map_size[WEIR_MAP_EPSTAT] ||
	    weir_rest_wake(kernel) < 0) {
		return false;
	}
	*ret_stat = stats[id];
	return true;
}

int weir_kernel_counters(struct weir_kernel *kernel,
			 uint64_t ret_counts[static _WEIR_COUNT_MAX])
{
	int n_cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *per_cpu = NULL;

	if (n_cpus < 0) {
		return n_cpus;
	}
	per_cpu = calloc((size_t)n_cpus, sizeof(*per_cpu));
	if (!per_cpu) {
		return -ENOMEM;
	}
	memset(ret_counts, 0, _WEIR_COUNT_MAX * sizeof(*ret_counts));
	for (uint32_t i = 0; i < _WEIR_COUNT_MAX; i++) {
		if (bpf_map_lookup_elem(kernel->map_fd[WEIR_MAP_COUNT], &i,
					per_cpu) < 0) {
			return -errno;
		}
		for (int cpu = 0; cpu < n_cpus; cpu++) {
			ret_counts[i] += per_cpu[cpu];
		}
	}
	return 0;
}
