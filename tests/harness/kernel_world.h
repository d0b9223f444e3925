/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place for tests of the kernel planes: an unnamed network namespace of this
 * process, a cgroup of its own and a bpffs directory, all named after the pid
 * and gone afterwards.
 *
 *	world_begin("connect");
 *	kernel = world_kernel(NULL);
 *	world_publish(kernel, fes, n);
 *	world_end();
 */
#ifndef WEIR_TESTS_KERNEL_WORLD_H
#define WEIR_TESTS_KERNEL_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "mini_plan.h"
#include "tap.h"

struct world {
	char cgroup[128]; /* of this process while the world lasts */
	char home[256];   /* cgroup.procs of where it was before */
	char pins[128];
	struct weir_loop *loop;
	struct weir_ids *ids;
	uint64_t generation;
	int listener[2]; /* the "proxy": TCP4, TCP6 */
};

static struct world world;

static inline int world_write(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text)
		       ? 0
		       : -1;
}

/* Mount point of cgroup v2 and our place below it. */
static inline void world_cgroups(char root[64], char own[128])
{
	char line[512];
	FILE *f = fopen("/proc/mounts", "re");

	root[0] = own[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char at[64], type[32];

		if (sscanf(line, "%*s %63s %31s", at, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			snprintf(root, 64, "%s", at);
			break;
		}
	}
	if (f) {
		fclose(f);
	}
	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "0::%127s", own) == 1) {
			break;
		}
	}
	if (f) {
		fclose(f);
	}
}

static inline void world_lo_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	must(ioctl(fd, SIOCSIFFLAGS, &req) == 0, "lo up");
}

/* A listening or bound socket at addr ("10.0.0.1:80"). */
static inline int world_socket(const char *addr, int type)
{
	struct sockaddr_storage sa;
	struct weir_ip ip;
	const int on = 1;
	socklen_t len;
	__be16 port;
	int fd;

	must(weir_addr_parse(weir_str_of(addr), &ip, &port) == 0, "%s", addr);
	len = weir_addr_to_sockaddr(&ip, port, &sa);
	fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	must(bind(fd, (struct sockaddr *)&sa, len) == 0, "bind %s: %s", addr,
	     strerror(errno));
	if (type == SOCK_STREAM) {
		must(listen(fd, 128) == 0, "listen");
	}
	return fd;
}

static inline const char *world_name_of(int fd, bool is_peer)
{
	static char text[4][WEIR_ADDR_TEXT_MAX];
	static unsigned int at;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct weir_ip ip;
	__be16 port;

	if ((is_peer ? getpeername(fd, (struct sockaddr *)&sa, &len)
		     : getsockname(fd, (struct sockaddr *)&sa, &len)) < 0 ||
	    weir_addr_from_sockaddr(&sa, &ip, &port) < 0) {
		return "none";
	}
	return weir_addr_format(&ip, port, text[at++ % 4]);
}

/* Address and port of addr as family: AF_INET6 makes IPv4 v4-mapped. */
static inline socklen_t world_sockaddr(const char *addr, int family,
				       struct sockaddr_storage *sa)
{
	struct weir_ip ip;
	__be16 port;

	must(weir_addr_parse(weir_str_of(addr), &ip, &port) == 0, "%s", addr);
	if (family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

		*in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					     .sin6_port = port};
		memcpy(&in6->sin6_addr, &ip, sizeof(ip));
		return sizeof(*in6);
	}
	return weir_addr_to_sockaddr(&ip, port, sa);
}

/* A connected socket, or -errno. */
static inline int world_connect(const char *addr, int family, int type)
{
	struct sockaddr_storage sa;
	socklen_t len = world_sockaddr(addr, family, &sa);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&sa, len) < 0) {
		int r = -errno;

		weir_close(&fd);
		return r;
	}
	return fd;
}

static inline void world_config(struct weir_kernel_config *config)
{
	weir_kernel_config_default(config);
	config->pin_dir = world.pins;
	config->cgroup = world.cgroup;
	config->max_frontends = 512;
	config->max_slots = 2048;
	config->max_groups = 512;
	config->max_endpoints = 2048;
	config->max_refs = 2048;
	config->max_flows = 4096;
	config->max_sockets = 1024;
}

static inline struct weir_kernel *
world_kernel(const struct weir_kernel_config *config)
{
	const int listeners[_WEIR_SOCK_MAX] = {world.listener[0],
					       world.listener[1], -1, -1};
	struct weir_kernel_config standard;
	struct weir_kernel *kernel = NULL;
	pid_t holder = 0;
	int r;

	world_config(&standard);
	r = weir_kernel_open(config ? config : &standard, world.loop, listeners,
			     &kernel, &holder);
	must(r == 0, "open: %s, holder %d", strerror(-r), (int)holder);
	return kernel;
}

static inline int world_publish(struct weir_kernel *kernel,
				const struct mini_fe *fes, size_t n)
{
	const char *what = "?";
	struct mini_plan plan;
	int r;

	must(mini_build(fes, n, NULL, 0, world.ids, ++world.generation,
			&plan) == 0,
	     "plan");
	r = weir_kernel_publish(kernel, &plan.view, &what);
	mini_fini(&plan);
	ok(r == 0, "publish: %s (%s)", strerror(-r), what);
	return r;
}

static inline void world_begin(const char *name)
{
	const uint32_t max[_WEIR_IDS_MAX] = {2048, 2048, 2048};
	char root[64], own[128], path[256], pid[16];
	struct statfs fs;

	if (geteuid() != 0) {
		skip_test("needs root");
	}
	world_cgroups(root, own);
	must(root[0] && own[0], "no cgroup v2 is mounted");
	/* Another one on top would hide what is pinned, ours to come too. */
	if (statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type != 0xCAFE4A11) {
		mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL);
	}
	snprintf(world.pins, sizeof(world.pins), "/sys/fs/bpf/weir-%s-%d", name,
		 (int)getpid());
	snprintf(world.cgroup, sizeof(world.cgroup), "%s/weir-%s-%d", root,
		 name, (int)getpid());
	snprintf(world.home, sizeof(world.home), "%s%s/cgroup.procs", root,
		 own);
	must(unshare(CLONE_NEWNET) == 0, "unshare");
	world_lo_up();
	must(mkdir(world.cgroup, 0755) == 0 || errno == EEXIST, "%s",
	     world.cgroup);
	snprintf(path, sizeof(path), "%s/cgroup.procs", world.cgroup);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	must(world_write(path, pid) == 0, "enter cgroup");
	must(weir_loop_new(&world.loop) == 0, "loop");
	must(weir_ids_new(max, 1000, &world.ids) == 0, "ids");
	world.listener[0] = world_socket("127.0.0.1:4", SOCK_STREAM);
	world.listener[1] = world_socket("[::1]:6", SOCK_STREAM);
}

static inline void world_end(void)
{
	struct weir_kernel_config config;
	char pid[16];

	world_config(&config);
	ok(weir_kernel_detach(&config) == 0, "detach");
	ok(access(world.pins, F_OK) < 0, "the pinned directory is left");
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	ok(world_write(world.home, pid) == 0, "leave cgroup");
	/* A dying socket may hold it for a moment. */
	for (int i = 0; i < 200 && rmdir(world.cgroup) < 0; i++) {
		usleep(10000);
	}
	weir_close(&world.listener[0]);
	weir_close(&world.listener[1]);
	weir_ids_free(&world.ids);
	weir_loop_free(&world.loop);
}

#endif
