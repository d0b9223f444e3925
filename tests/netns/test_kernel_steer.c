// SPDX-License-Identifier: Apache-2.0
/*
 * Steering: local frontends and the proxy prefix reach the proxy's listeners,
 * whatever the port; ports that host sockets hold are theirs.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "kernel_world.h"

static struct weir_kernel *kernel;

/* Connects and returns the accepted socket of listener, or -1. */
static int arrives(const char *addr, int family, int listener, int *ret_fd)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int fd = world_connect(addr, family, SOCK_STREAM);

	if (!ok(fd >= 0, "%s: %s", addr, strerror(-fd)) ||
	    !ok(poll(&p, 1, 500) == 1, "%s: not at this listener", addr)) {
		weir_close(&fd);
		return -1;
	}
	*ret_fd = fd;
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static void is_steered(const char *addr, int family, int listener,
		       const char *local)
{
	int fd = -1, peer = arrives(addr, family, listener, &fd);
	const char *got;

	if (peer < 0) {
		return;
	}
	got = world_name_of(peer, false);
	ok(strcmp(got, local) == 0, "getsockname %s, want %s", got, local);
	got = world_name_of(fd, true);
	ok(strcmp(got, addr) == 0, "getpeername %s, want %s", got, addr);
	weir_close(&peer);
	weir_close(&fd);
}

static int publish_local(const struct mini_fe *fes, size_t n)
{
	struct weir_ip locals[3];
	const char *what = NULL;
	struct mini_plan plan;
	int r;

	weir_ip_parse(WEIR_STR("10.77.1.1"), &locals[0]);
	weir_ip_parse(WEIR_STR("fd77:1::1"), &locals[1]);
	must(mini_build(fes, n, locals, 2, world.ids, ++world.generation,
			&plan) == 0,
	     "plan");
	r = weir_kernel_publish(kernel, &plan.view, &what);
	mini_fini(&plan);
	ok(r == 0, "publish: %s", strerror(-r));
	return r;
}

static void local_frontends_reach_the_proxy(void)
{
	static const struct mini_fe four[] = {
		{"10.77.1.1:80", IPPROTO_TCP, .is_local = true,
		 .is_http = true},
		{"10.77.1.1:8443", IPPROTO_TCP, .is_local = true,
		 .is_http = true},
	};
	static const struct mini_fe six[] = {
		{"[fd77:1::1]:80", IPPROTO_TCP, .is_local = true,
		 .is_http = true},
	};

	publish_local(four, 2);
	is_steered("10.77.1.1:80", AF_INET, world.listener[0], "10.77.1.1:80");
	is_steered("10.77.1.1:8443", AF_INET, world.listener[0],
		   "10.77.1.1:8443");
	is_steered("10.77.1.1:80", AF_INET6, world.listener[0], "10.77.1.1:80");
	ok(world_connect("10.77.1.1:81", AF_INET, SOCK_STREAM) == -ECONNREFUSED,
	   "a port that is no frontend");
	publish_local(six, 1);
	is_steered("[fd77:1::1]:80", AF_INET6, world.listener[1],
		   "[fd77:1::1]:80");
	ok(world_connect("10.77.1.1:80", AF_INET, SOCK_STREAM) == -ECONNREFUSED,
	   "a frontend that is gone");
}

static void other_frontends_go_by_the_prefix(void)
{
	static const struct mini_fe four[] = {
		{"10.77.2.1:80", IPPROTO_TCP, .is_http = true,
		 .proxy_index = 7},
	};
	static const struct mini_fe six[] = {
		{"[fd77:2::1]:80", IPPROTO_TCP, .is_http = true,
		 .proxy_index = 9},
	};

	publish_local(four, 1);
	is_steered("10.77.2.1:80", AF_INET, world.listener[0],
		   "198.19.240.7:80");
	is_steered("10.77.2.1:80", AF_INET6, world.listener[0],
		   "198.19.240.7:80");
	publish_local(six, 1);
	is_steered("[fd77:2::1]:80", AF_INET6, world.listener[1],
		   "[fd77:6569:7200::9]:80");
}

static void other_namespaces_are_not_sent_to_the_prefix(void)
{
	static const struct mini_fe four[] = {
		{"10.77.2.1:80", IPPROTO_TCP, .is_http = true,
		 .proxy_index = 7},
	};
	int status = 0;
	pid_t pid;

	publish_local(four, 1);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd;

		must(unshare(CLONE_NEWNET) == 0, "unshare");
		world_lo_up();
		/* No route leads to the frontend, so an untouched socket
		 * says so; the prefix would be unreachable as well. */
		fd = world_connect("10.77.2.1:80", AF_INET, SOCK_DGRAM);
		weir_close(&fd);
		fd = world_connect("10.77.2.1:80", AF_INET, SOCK_STREAM);
		_exit(fd == -ENETUNREACH ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	uint64_t counts[_WEIR_COUNT_MAX], before;
	ok(weir_kernel_counters(kernel, counts) == 0, "counters");
	before = counts[WEIR_COUNT_CONNECT_PROXIED];
	ok(status == 0, "untouched");
	is_steered("10.77.2.1:80", AF_INET, world.listener[0],
		   "198.19.240.7:80");
	weir_kernel_counters(kernel, counts);
	ok(counts[WEIR_COUNT_CONNECT_PROXIED] == before + 1,
	   "only the agent's namespace is proxied");
}

static unsigned int n_conflicts;
static char conflict[WEIR_ADDR_TEXT_MAX];

static void on_conflict(void *arg, const struct weir_ip *addr, __be16 port_be,
			uint8_t proto)
{
	(void)arg;
	(void)proto;
	n_conflicts++;
	weir_addr_format(addr, port_be, conflict);
}

static void a_port_of_the_host_is_not_stolen(void)
{
	static const struct mini_fe four[] = {
		{"10.77.1.1:80", IPPROTO_TCP, .is_local = true,
		 .is_http = true},
		{"10.77.1.1:81", IPPROTO_TCP, .is_local = true,
		 .is_http = true},
	};
	int host, fd = -1, peer;

	publish_local(NULL, 0);
	host = world_socket("0.0.0.0:81", SOCK_STREAM);
	publish_local(four, 2);
	peer = arrives("10.77.1.1:81", AF_INET, host, &fd);
	ok(peer >= 0, "the host's listener keeps it");
	weir_close(&peer);
	weir_close(&fd);
	is_steered("10.77.1.1:80", AF_INET, world.listener[0], "10.77.1.1:80");
	n_conflicts = 0;
	weir_kernel_conflicts(kernel, on_conflict, NULL);
	ok(n_conflicts == 1 && strcmp(conflict, "10.77.1.1:81") == 0,
	   "%u conflicts, %s", n_conflicts, conflict);
	weir_close(&host);
	publish_local(four, 2);
	is_steered("10.77.1.1:81", AF_INET, world.listener[0], "10.77.1.1:81");
	n_conflicts = 0;
	weir_kernel_conflicts(kernel, on_conflict, NULL);
	ok(n_conflicts == 0, "free again");
}

static void without_a_listener_local_addresses_pass(void)
{
	static const struct mini_fe four[] = {
		{"10.77.1.1:80", IPPROTO_TCP, .is_local = true,
		 .is_http = true},
	};
	const int none[_WEIR_SOCK_MAX] = {-1, -1, -1, -1};
	const int both[_WEIR_SOCK_MAX] = {world.listener[0], world.listener[1],
					  -1, -1};

	publish_local(four, 1);
	ok(weir_kernel_set_listeners(kernel, none) == 0, "none");
	ok(world_connect("10.77.1.1:80", AF_INET, SOCK_STREAM) == -ECONNREFUSED,
	   "reset by the stack");
	ok(weir_kernel_set_listeners(kernel, both) == 0, "both");
	is_steered("10.77.1.1:80", AF_INET, world.listener[0], "10.77.1.1:80");
}

static uint64_t n_dropped(void)
{
	uint64_t counts[_WEIR_COUNT_MAX] = {0};

	ok(weir_kernel_counters(kernel, counts) == 0, "counters");
	return counts[WEIR_COUNT_PACKET_PREFIX_DROP];
}

/* A connection to the prefix from behind an interface; a child in another
 * namespace, connected by ig0 here and ig1 there. */
static int connect_from_behind(void)
{
	char command[256];
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd;

		must(unshare(CLONE_NEWNET) == 0, "unshare");
		raise(SIGSTOP);
		must(system("ip link set ig1 up && "
			    "ip addr add 10.78.0.2/24 dev ig1 && "
			    "ip route add 198.19.240.0/20 via 10.78.0.1") == 0,
		     "the other side");
		alarm(1);
		fd = world_connect("198.19.240.7:80", AF_INET, SOCK_STREAM);
		_exit(fd >= 0 ? 0 : 1);
	}
	waitpid(pid, &status, WUNTRACED);
	snprintf(command, sizeof(command),
		 "ip link add ig0 type veth peer name ig1 netns %d && "
		 "ip addr add 10.78.0.1/24 dev ig0 && ip link set ig0 up",
		 (int)pid);
	must(system(command) == 0, "veth");
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	/* It may have gone with the namespace of its peer. */
	ok(system("ip link del ig0 2>/dev/null; "
		  "! ip link show dev ig0 >/dev/null 2>&1") == 0,
	   "no veth stays");
	return status;
}

/* Where the packet plane does not guard the interface. */
static void the_prefix_is_guarded_twice(void)
{
	const char *const ignore[] = {"ig*"};
	struct weir_kernel_config config;
	uint64_t before;

	weir_kernel_close(&kernel);
	world_config(&config);
	config.ignore = ignore;
	config.n_ignore = 1;
	kernel = world_kernel(&config);
	publish_local(NULL, 0);
	before = n_dropped();
	ok(connect_from_behind() != 0, "the proxy was reached");
	ok(n_dropped() > before, "not counted");
	weir_kernel_close(&kernel);
	config.without = WEIR_WITHOUT_INGRESS;
	kernel = world_kernel(&config);
	publish_local(NULL, 0);
	ok(connect_from_behind() == 0,
	   "the test shows nothing: it is not reached either way");
}

static void begin(void)
{
	world_begin("steer");
	kernel = world_kernel(NULL);
}

static void end(void)
{
	weir_kernel_close(&kernel);
	world_end();
}

TAP_MAIN(TEST(begin), TEST(local_frontends_reach_the_proxy),
	 TEST(other_frontends_go_by_the_prefix),
	 TEST(other_namespaces_are_not_sent_to_the_prefix),
	 TEST(a_port_of_the_host_is_not_stolen),
	 TEST(without_a_listener_local_addresses_pass),
	 TEST(the_prefix_is_guarded_twice), TEST(end))
