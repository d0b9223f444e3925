// SPDX-License-Identifier: Apache-2.0
/*
 * What outlives the agent: planes after kill -9, adoption by the next agent
 * with no instant without a program, local routes where the next one's first
 * plan is refused, a second agent refused, foreign programs left alone,
 * exclusions, and a detach that leaves nothing.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "kernel_world.h"
#include "private.h"

#define VIP "10.77.0.1:80"
#define OTHER "10.77.0.2:80"
#define A4 "127.0.0.1:8001"
#define B4 "127.0.0.2:8001"

static const struct mini_fe fes[] = {
	{VIP, IPPROTO_TCP, .refs = {{1, "a", A4}}},
};

static const enum bpf_attach_type types[] = {
	BPF_CGROUP_INET4_CONNECT,     BPF_CGROUP_INET6_CONNECT,
	BPF_CGROUP_UDP4_SENDMSG,      BPF_CGROUP_UDP6_SENDMSG,
	BPF_CGROUP_UDP4_RECVMSG,      BPF_CGROUP_UDP6_RECVMSG,
	BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME,
	BPF_CGROUP_INET_SOCK_RELEASE, BPF_CGROUP_SOCK_OPS,
};

/* Programs on the test's cgroup, all hooks. */
static uint32_t n_attached(void)
{
	_cleanup_close_ int cgroup = open(world.cgroup,
					  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint32_t ids[16], n = 16;

		ok(bpf_prog_query(cgroup, types[i], 0, NULL, ids, &n) == 0,
		   "query: %s", strerror(errno));
		sum += n;
	}
	return sum;
}

static bool works(void)
{
	int listener = world_socket(A4, SOCK_STREAM);
	int fd = world_connect(VIP, AF_INET, SOCK_STREAM);
	bool does = fd >= 0;

	if (!does) {
		printf("# connect: %s\n", strerror(-fd));
	}
	weir_close(&fd);
	weir_close(&listener);
	return does;
}

static bool enter(const char *cgroup)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	return world_write(path, "0") == 0;
}

/* An agent of its own, in cgroup if one is given; returns when it has
 * published. */
static pid_t start_agent_in(const char *cgroup,
			    const struct weir_kernel_config *config)
{
	int pipes[2];
	char byte;
	pid_t pid;

	must(pipe2(pipes, O_CLOEXEC) == 0, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct weir_kernel *kernel;

		must(!cgroup || enter(cgroup), "enter %s", cgroup);
		kernel = world_kernel(config);
		byte = world_publish(kernel, fes, 1) == 0 ? 'y' : 'n';
		fflush(stdout);
		if (write(pipes[1], &byte, 1) != 1) {
			_exit(1);
		}
		for (;;) {
			pause();
		}
	}
	weir_close(&pipes[1]);
	must(read(pipes[0], &byte, 1) == 1 && byte == 'y', "agent");
	weir_close(&pipes[0]);
	world.generation++;
	return pid;
}

static pid_t start_agent(void)
{
	return start_agent_in(NULL, NULL);
}

static void stop_agent(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void a_second_agent_is_refused(void)
{
	const int none[_WEIR_SOCK_MAX] = {-1, -1, -1, -1};
	struct weir_kernel *kernel = NULL;
	struct weir_kernel_config config;
	pid_t holder = 0, agent = start_agent();

	world_config(&config);
	ok(weir_kernel_open(&config, world.loop, none, &kernel, &holder) ==
		   -EBUSY,
	   "must be busy");
	ok(holder == agent, "holder %d, agent %d", (int)holder, (int)agent);
	ok(weir_kernel_detach(&config) == -EBUSY, "nor may it be detached");
	ok(works(), "and is not disturbed");
	stop_agent(agent);
}

static void planes_outlive_the_agent(void)
{
	struct weir_kernel *kernel;
	uint32_t n = n_attached();
	uint64_t generation;
	pid_t agent;

	ok(n == 10 && works(), "left by the test before: %u programs", n);
	agent = start_agent();
	generation = world.generation;
	stop_agent(agent);
	ok(works(), "after kill -9");
	kernel = world_kernel(NULL);
	ok(weir_kernel_generation(kernel) == generation, "generation %d",
	   (int)weir_kernel_generation(kernel));
	ok(works(), "adopted, before a plan");
	ok(n_attached() == n, "%u programs, not %u", n_attached(), n);
	world_publish(kernel, NULL, 0);
	ok(!works(), "the new agent rules");
	world_publish(kernel, fes, 1);
	ok(works(), "and gives");
	weir_kernel_close(&kernel);
	ok(works(), "a clean stop leaves the planes as well");
}

static void restarts_lose_no_connection(void)
{
	int listener = world_socket(A4, SOCK_STREAM);
	int pipes[2], n[2] = {0, 0};
	pid_t client;

	must(pipe2(pipes, O_CLOEXEC) == 0, "pipe");
	fflush(stdout);
	client = fork();
	if (client == 0) {
		struct pollfd p = {.fd = pipes[0], .events = POLLHUP};

		weir_close(&pipes[1]);
		while (poll(&p, 1, 0) == 0) {
			int fd = world_connect(VIP, AF_INET, SOCK_STREAM);

			n[fd < 0]++;
			weir_close(&fd);
			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			weir_close(&fd);
		}
		printf("# %d connections, %d failed\n", n[0], n[1]);
		fflush(stdout);
		_exit(n[1] > 0 || n[0] < 100);
	}
	weir_close(&pipes[0]);
	for (int i = 0; i < 10; i++) {
		struct weir_kernel *kernel = world_kernel(NULL);

		world_publish(kernel, fes, 1);
		weir_kernel_close(&kernel);
	}
	weir_close(&pipes[1]);
	int status = 0;
	waitpid(client, &status, 0);
	ok(status == 0, "connections failed while agents changed");
	weir_close(&listener);
}

/* "return ctx->user_port == htons(port) ? 0 : 1", as somebody else's policy. */
static int foreign_program(uint16_t port)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 2,
		 .src_reg = 1,
		 .off = offsetof(struct bpf_sock_addr, user_port)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 0},
		{.code = BPF_JMP | BPF_JEQ | BPF_K,
		 .dst_reg = 2,
		 .off = 1,
		 .imm = htons(port)},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_CGROUP_INET4_CONNECT);

	return bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "foreign", "GPL",
			     insns, 5, &opts);
}

static int attach_foreign(uint16_t port)
{
	_cleanup_close_ int cgroup = open(world.cgroup,
					  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int prog = foreign_program(port);

	return bpf_link_create(prog, cgroup, BPF_CGROUP_INET4_CONNECT, NULL);
}

static void foreign_programs_keep_working(void)
{
	int before, after;
	struct weir_kernel_config config;
	struct weir_kernel *kernel;

	world_config(&config);
	must(weir_kernel_detach(&config) == 0, "start without weir");
	before = attach_foreign(7771);
	must(before >= 0, "foreign: %s", strerror(errno));
	kernel = world_kernel(NULL);
	after = attach_foreign(7772);
	world_publish(kernel, fes, 1);
	ok(works(), "weir works");
	ok(world_connect("127.0.0.1:7771", AF_INET, SOCK_STREAM) == -EPERM,
	   "the one before");
	ok(world_connect("127.0.0.1:7772", AF_INET, SOCK_STREAM) == -EPERM,
	   "the one after");
	weir_kernel_close(&kernel);
	ok(weir_kernel_detach(&config) == 0, "detach");
	ok(n_attached() == 2, "%u programs are left", n_attached());
	ok(world_connect("127.0.0.1:7771", AF_INET, SOCK_STREAM) == -EPERM &&
		   world_connect("127.0.0.1:7772", AF_INET, SOCK_STREAM) ==
			   -EPERM,
	   "both, without weir");
	weir_close(&before);
	weir_close(&after);
}

static void sizes_of_pinned_maps_stay(void)
{
	struct weir_kernel_config config;
	struct weir_kernel *kernel = world_kernel(NULL);

	world_publish(kernel, fes, 1);
	weir_kernel_close(&kernel);
	world_config(&config);
	config.max_frontends *= 2;
	config.max_endpoints /= 2;
	kernel = world_kernel(&config);
	ok(works(), "adopted");
	ok(world_publish(kernel, fes, 1) == 0 && works(), "and goes on");
	weir_kernel_close(&kernel);
}

static bool is_local(const char *addr)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd),
		 "ip route show table local proto 119 | grep -q '%s '", addr);
	return system(cmd) == 0;
}

/* A plan with one local address. */
static int publish_at(struct weir_kernel *kernel, struct weir_ids *ids,
		      const char *addr, const struct mini_fe *fe)
{
	static uint64_t generation;
	const char *what = NULL;
	struct mini_plan plan;
	struct weir_ip local;
	int r;

	must(weir_ip_parse(weir_str_of(addr), &local) == 0, "%s", addr);
	must(mini_build(fe, 1, &local, 1, ids, ++generation, &plan) == 0,
	     "plan");
	r = weir_kernel_publish(kernel, &plan.view, &what);
	mini_fini(&plan);
	return r;
}

static void routes_stay_where_the_first_plan_is_refused(void)
{
	static const struct mini_fe more = {VIP, IPPROTO_TCP,
					    .refs = {{1, "a", A4 " " B4}}};
	const uint32_t max[_WEIR_IDS_MAX] = {64, 64, 64};
	struct weir_kernel_config config;
	struct weir_kernel *kernel;
	struct weir_ids *ids = NULL;

	world_config(&config);
	must(weir_kernel_detach(&config) == 0, "sizes of its own");
	must(weir_ids_new(max, 0, &ids) == 0, "ids");
	config.max_endpoints = 2; /* numbers: 0 is nobody's */
	kernel = world_kernel(&config);
	ok(publish_at(kernel, ids, "10.77.3.1", &fes[0]) == 0, "it fits");
	must(is_local("10.77.3.1"), "a route");
	weir_kernel_close(&kernel);

	kernel = world_kernel(&config);
	ok(publish_at(kernel, ids, "10.77.3.2", &more) == -ENOSPC,
	   "it does not fit");
	weir_routes_recheck(kernel); /* as every few seconds */
	ok(is_local("10.77.3.1") && works(), "the plan before serves");
	ok(!is_local("10.77.3.2"), "and what was refused has nothing");
	ok(publish_at(kernel, ids, "10.77.3.2", &fes[0]) == 0, "another");
	ok(!is_local("10.77.3.1") && is_local("10.77.3.2"), "takes over");
	weir_kernel_close(&kernel);
	weir_ids_free(&ids);
	ok(weir_kernel_detach(&config) == 0, "detach");
}

/* Runs works() in a child that enters cgroup first. */
static bool works_in(const char *cgroup)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		_exit(enter(cgroup) && works() ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	return status == 0;
}

static void excluded_cgroups_are_left_alone(void)
{
	char skipped[192], below[224], free_one[192];
	const char *const skips[] = {skipped};
	struct weir_kernel_config config;
	struct weir_kernel *kernel;

	snprintf(skipped, sizeof(skipped), "%s/skipped", world.cgroup);
	snprintf(below, sizeof(below), "%s/below", skipped);
	snprintf(free_one, sizeof(free_one), "%s/free", world.cgroup);
	mkdir(skipped, 0755);
	mkdir(below, 0755);
	mkdir(free_one, 0755);
	world_config(&config);
	config.skip_cgroups = skips;
	config.n_skip_cgroups = 1;
	kernel = world_kernel(&config);
	world_publish(kernel, fes, 1);
	ok(works(), "not excluded");
	ok(works_in(free_one), "below, not excluded");
	ok(!works_in(skipped), "excluded");
	ok(!works_in(below), "below an excluded one");
	weir_kernel_close(&kernel);
	kernel = world_kernel(NULL);
	ok(works_in(skipped), "included again");
	weir_kernel_close(&kernel);
	rmdir(below);
	rmdir(skipped);
	rmdir(free_one);
}

/* Where BPF and the agent do not mean the same processes by their numbers. */
static void own_cgroup_is_left_alone(void)
{
	char own[192], other[192];
	struct weir_kernel_config config;
	pid_t agent;

	snprintf(own, sizeof(own), "%s/own", world.cgroup);
	snprintf(other, sizeof(other), "%s/other", world.cgroup);
	mkdir(own, 0755);
	mkdir(other, 0755);
	world_config(&config);
	config.without = WEIR_WITHOUT_INIT_PIDNS;
	agent = start_agent_in(own, &config);
	ok(works() && works_in(other), "others are taken");
	ok(!works_in(own), "its own sockets are not");
	stop_agent(agent);
	rmdir(own);
	rmdir(other);
}

static void excluded_namespaces_are_left_alone(void)
{
	char path[64];
	const char *const skips[] = {path};
	struct weir_kernel_config config;
	struct weir_kernel *kernel;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	/* A "pod": other namespace, same cgroup. */
	pid = fork();
	if (pid == 0) {
		bool before, after;

		must(unshare(CLONE_NEWNET) == 0, "unshare");
		world_lo_up();
		raise(SIGSTOP);
		before = works();
		raise(SIGSTOP);
		after = works();
		fflush(stdout);
		_exit(before && !after ? 0 : 1);
	}
	waitpid(pid, &status, WUNTRACED);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	kernel = world_kernel(NULL);
	world_publish(kernel, fes, 1);
	kill(pid, SIGCONT);
	waitpid(pid, &status, WUNTRACED);
	weir_kernel_close(&kernel);
	world_config(&config);
	config.skip_netns = skips;
	config.n_skip_netns = 1;
	kernel = world_kernel(&config);
	ok(works(), "this one is not excluded");
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	ok(status == 0, "the pod: taken before, left alone after");
	weir_kernel_close(&kernel);
}

static void detach_leaves_nothing(void)
{
	struct weir_kernel_config config;
	struct weir_kernel *kernel = world_kernel(NULL);

	world_publish(kernel, fes, 1);
	weir_kernel_close(&kernel);
	world_config(&config);
	ok(weir_kernel_detach(&config) == 0, "detach");
	ok(n_attached() == 0, "%u programs are left", n_attached());
	ok(access(world.pins, F_OK) < 0, "the directory is left");
	ok(weir_kernel_detach(&config) == 0, "again is no error");
}

static void begin(void)
{
	world_begin("restart");
}

static void end(void)
{
	world_end();
}

TAP_MAIN(TEST(begin), TEST(a_second_agent_is_refused),
	 TEST(planes_outlive_the_agent), TEST(restarts_lose_no_connection),
	 TEST(foreign_programs_keep_working), TEST(sizes_of_pinned_maps_stay),
	 TEST(routes_stay_where_the_first_plan_is_refused),
	 TEST(excluded_cgroups_are_left_alone), TEST(own_cgroup_is_left_alone),
	 TEST(excluded_namespaces_are_left_alone), TEST(detach_leaves_nothing),
	 TEST(end))
