/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy process without agent and kernel: compiles a manifest directory
 * and plays the agent's side of ipc.h.  Listeners are bound to the frontends'
 * own addresses, so loopback addresses need no steering.
 *
 *	weir-proxy-driver DIR [name=value ...]
 *
 * Values: workers=N, access_log=PATH, reporter=NAME (whom Knative's autoscaler
 * is told of) and fields of struct weir_proxy_limits.
 * WEIR_TEST_IO=epoll, uring or auto in the environment is --io of weir-agent.
 *places=N: it listens at the first N addresses of the proxy prefix, too, port
 *80.  Prints "ready"; then reads commands from standard input: "reload"
 *compiles again and prints "acked GENERATION", "forget" does so as an agent
 *that knows nothing of the plans before, "reopen" has the access log opened
 *again, "stats" prints counters, among them how often the proxy has allocated
 *memory, "fail N" has its N-th allocation from now fail, once; the end of input
 *ends it.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "compile.h"
#include "fdutil.h"
#include "ipc.h"
#include "log.h"
#include "log_file.h"
#include "loop.h"
#include "manifest.h"
#include "proxy.h"
#include "stamp.h"

#define MAX_WORKERS 8
#define MAX_LISTENERS 8
#define MAX_IDS 20000
#define PREFIX4 "198.19.240.0"

/* Shared with the proxy process, which counts its allocations here. */
static struct {
	atomic_ullong n;
	atomic_ullong failing; /* which one fails; 0: none */
} * allocations;
static bool is_proxy;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool fails(void)
{
	return is_proxy && atomic_fetch_add(&allocations->n, 1) + 1 ==
				   atomic_load(&allocations->failing);
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
#endif

struct driver {
	const char *dir;
	struct weir_proxy_config config;
	int listeners[MAX_WORKERS * MAX_LISTENERS];
	int ipc[2];
	int stats_fd;
	const char *access_log;
	struct weir_proxy_stats *stats;
	struct weir_ids *ids;
	struct weir_compiled compiled;
	uint64_t generation;
	pid_t child;
	uint32_t n_places;
	int n_udp;
	int udp[WEIR_IPC_UDP_MAX];
	struct weir_ipc_udp udp_addr[WEIR_IPC_UDP_MAX];
};

static void fail(const char *what, int r)
{
	fprintf(stderr, "weir-proxy-driver: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void compile_all(struct driver *d)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node")};
	struct weir_manifests *manifests = NULL;
	struct weir_store *store = NULL;
	uint32_t lost;
	int r = weir_store_new(&store);

	if (r == 0) {
		r = weir_manifests_new(d->dir, store, &manifests);
	}
	if (r == 0) {
		r = weir_manifests_load(manifests);
	}
	if (r == 0) {
		r = weir_compile(store, &options, &d->compiled);
	}
	if (r < 0) {
		fail("compile", r);
	}
	for (size_t i = 0; i < d->compiled.diags.n; i++) {
		const struct weir_diag *diag = &d->compiled.diags.v[i];

		fprintf(stderr, "# %.*s %.*s/%.*s: %.*s\n",
			WEIR_STR_ARG(diag->reason), WEIR_STR_ARG(diag->kind),
			WEIR_STR_ARG(diag->name), WEIR_STR_ARG(diag->message));
	}
	r = weir_ids_stamp(d->ids, d->compiled.rules, d->compiled.eps,
			   ++d->generation, weir_now_ms(), &lost);
	if (r < 0) {
		fail("stamp", r);
	}
	weir_manifests_free(&manifests);
	weir_store_free(&store);
}

static void forget(struct driver *d)
{
	const uint32_t max[_WEIR_IDS_MAX] = {MAX_IDS, MAX_IDS, MAX_IDS,
					     WEIR_PROXIED_MAX + 1};

	weir_ids_free(&d->ids);
	if (weir_ids_new(max, 60000, &d->ids) < 0) {
		fail("ids", -ENOMEM);
	}
}

static int bind_one(const struct weir_frontend *f, int type)
{
	struct sockaddr_storage sa;
	socklen_t n = weir_addr_to_sockaddr(&f->addr, f->port_be, &sa);
	int fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (type == SOCK_STREAM &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) ||
	    bind(fd, (struct sockaddr *)&sa, n) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 1024) < 0)) {
		fail("listen", -errno);
	}
	return fd;
}

static void listen_at(struct driver *d, const struct weir_frontend *f,
		      uint32_t n)
{
	for (uint32_t w = 0; w < d->config.n_workers; w++) {
		d->listeners[w * MAX_LISTENERS + n] = bind_one(f, SOCK_STREAM);
	}
}

static void open_sockets(struct driver *d)
{
	const struct weir_plan *plan = d->compiled.rules;
	uint32_t n = 0;

	memset(d->listeners, -1, sizeof(d->listeners));
	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		const struct weir_frontend *f = WEIR_PLAN_ELEM(
			plan, struct weir_frontend, plan->frontends, i);

		if (f->proto == IPPROTO_UDP && d->n_udp < WEIR_IPC_UDP_MAX) {
			d->udp_addr[d->n_udp].addr = f->addr;
			d->udp_addr[d->n_udp].port_be = f->port_be;
			d->udp[d->n_udp++] = bind_one(f, SOCK_DGRAM);
		}
		if (f->proto != IPPROTO_TCP || n == MAX_LISTENERS) {
			continue;
		}
		listen_at(d, f, n++);
	}
	for (uint32_t i = 1; i <= d->n_places && n < MAX_LISTENERS; i++) {
		struct weir_frontend f = {.port_be = htons(80)};

		(void)weir_ip_parse(WEIR_STR(PREFIX4), &f.addr);
		f.addr.a[3] = htonl(ntohl(f.addr.a[3]) + i);
		listen_at(d, &f, n++);
	}
	d->config.n_listeners = MAX_LISTENERS;
	d->config.listeners = d->listeners;
}

static void make_stats(struct driver *d)
{
	size_t size = WEIR_PROXY_STATS_SIZE +
		      MAX_IDS * (sizeof(struct weir_proxy_rulestat) +
				 sizeof(struct weir_proxy_refstat) +
				 sizeof(struct weir_proxy_epstat));

	d->stats_fd = memfd_create("stats", MFD_CLOEXEC);
	if (d->stats_fd < 0 || ftruncate(d->stats_fd, (off_t)size) < 0) {
		fail("memfd", -errno);
	}
	d->stats = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			d->stats_fd, 0);
	if (d->stats == MAP_FAILED) {
		fail("mmap", -errno);
	}
	allocations = mmap(NULL, sizeof(*allocations), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (allocations == MAP_FAILED) {
		fail("mmap", -errno);
	}
	d->stats->max_rules = MAX_IDS;
	d->stats->max_refs = MAX_IDS;
	d->stats->max_endpoints = MAX_IDS;
}

/* As from the agent: with the sockets of frontends that the plan has. */
static bool has_udp(const struct weir_plan *plan, const struct weir_ipc_udp *u)
{
	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		const struct weir_frontend *f = WEIR_PLAN_ELEM(
			plan, struct weir_frontend, plan->frontends, i);

		if (f->proto == IPPROTO_UDP && f->port_be == u->port_be &&
		    weir_ip_eq(&f->addr, &u->addr)) {
			return true;
		}
	}
	return false;
}

static void publish(struct driver *d)
{
	struct weir_ipc msg = {.type = WEIR_IPC_PLAN,
			       .generation = d->generation};
	int fds[WEIR_IPC_BLOCKS + WEIR_IPC_UDP_MAX] = {-1, -1, -1};
	int received[WEIR_FDS_MAX];
	size_t n_fds;
	int r;

	(void)weir_ip_parse(WEIR_STR(PREFIX4), &msg.prefix4);
	(void)weir_ip_parse(WEIR_STR("fd77:6569:7200::"), &msg.prefix6);
	r = weir_memfd_sealed("rules", d->compiled.rules,
			      d->compiled.rules_size, &fds[0]);
	if (r == 0) {
		r = weir_memfd_sealed("eps", d->compiled.eps,
				      d->compiled.eps_size, &fds[1]);
	}
	if (r == 0) {
		r = weir_memfd_sealed("secrets", d->compiled.secrets,
				      d->compiled.secrets_size, &fds[2]);
	}
	for (int i = 0; i < d->n_udp; i++) {
		if (has_udp(d->compiled.rules, &d->udp_addr[i])) {
			fds[WEIR_IPC_BLOCKS + msg.n_udp] = d->udp[i];
			msg.udp[msg.n_udp++] = d->udp_addr[i];
		}
	}
	msg.n_udp_total = msg.n_udp;
	if (r == 0) {
		r = weir_send_fds(d->ipc[0], &msg, sizeof(msg), fds,
				  WEIR_IPC_BLOCKS + (size_t)msg.n_udp);
	}
	if (r < 0) {
		fail("send plan", r);
	}
	weir_close(&fds[0]);
	weir_close(&fds[1]);
	weir_close(&fds[2]);
	if (weir_recv_fds(d->ipc[0], &msg, sizeof(msg), received, &n_fds) !=
		    sizeof(msg) ||
	    msg.type != WEIR_IPC_ACK || msg.generation != d->generation) {
		fprintf(stderr, "weir-proxy-driver: no ack: type %u error %d\n",
			msg.type, msg.error);
		exit(1);
	}
}

static void print_stats(const struct driver *d)
{
	const struct weir_proxy_totals *t = &d->stats->totals;
	const struct weir_proxy_rulestat *rules = weir_proxy_rulestats(
		d->stats);
	const struct weir_proxy_refstat *refs = weir_proxy_refstats(d->stats);
	const struct weir_proxy_epstat *eps = weir_proxy_epstats(d->stats);
	uint64_t in_flight = 0;
	uint64_t durations = 0;
	uint64_t open = 0;

	for (uint32_t i = 0; i <= WEIR_PROXY_BUCKETS; i++) {
		durations += t->bucket[i];
	}
	for (uint32_t i = 0; i < MAX_IDS; i++) {
		in_flight += rules[i].in_flight + refs[i].in_flight +
			     eps[i].in_flight;
		open += eps[i].opened - eps[i].closed;
	}
	printf("clients_opened=%llu clients_closed=%llu requests=%llu "
	       "pool_hits=%llu pool_misses=%llu pool_idle=%llu "
	       "in_flight=%llu upstreams=%llu associations=%llu "
	       "held=%llu activated=%llu early_pods=%llu reports=%llu "
	       "autoscaler_up=%llu "
	       "workers=%llu rings=%llu "
	       "allocations=%llu log_lines=%llu log_lost=%llu",
	       (unsigned long long)t->clients_opened,
	       (unsigned long long)t->clients_closed,
	       (unsigned long long)t->requests,
	       (unsigned long long)t->pool_hits,
	       (unsigned long long)t->pool_misses,
	       (unsigned long long)t->pool_idle, (unsigned long long)in_flight,
	       (unsigned long long)open,
	       (unsigned long long)t->udp_associations,
	       (unsigned long long)t->held, (unsigned long long)t->activated,
	       (unsigned long long)t->early_pods,
	       (unsigned long long)t->reports,
	       (unsigned long long)t->autoscaler_up,
	       (unsigned long long)t->workers, (unsigned long long)t->rings,
	       (unsigned long long)atomic_load(&allocations->n),
	       (unsigned long long)t->log_lines,
	       (unsigned long long)t->log_lost);
#define PRINT_REASON(name, help)                                               \
	printf(" " #name "=%llu",                                              \
	       (unsigned long long)t->reason[WEIR_PROXY_##name]);
	WEIR_PROXY_REASONS(PRINT_REASON)
#undef PRINT_REASON
	for (int i = 0; i < 6; i++) {
		printf(" status_%d=%llu", i, (unsigned long long)t->status[i]);
	}
	printf(" durations=%llu under_way=%llu\n",
	       (unsigned long long)durations,
	       (unsigned long long)weir_proxy_in_flight(t));
}

static int open_log(const char *path)
{
	int fd = -1;
	int r = weir_log_file_open(path, &fd);

	if (r < 0) {
		fail(path, r);
	}
	return fd;
}

static void reopen_log(const struct driver *d)
{
	const struct weir_ipc msg = {.type = WEIR_IPC_LOG};
	int fd = open_log(d->access_log);
	int r = weir_send_fds(d->ipc[0], &msg, sizeof(msg), &fd, 1);

	if (r < 0) {
		fail("reopen", r);
	}
	weir_close(&fd);
}

static void set_option(struct driver *d, const char *arg)
{
	struct weir_proxy_limits *l = &d->config.limits;
	const struct {
		const char *name;
		uint32_t *value;
	} options[] = {
		{"workers", &d->config.n_workers},
		{"places", &d->n_places},
		{"max_connections", &l->max_connections},
		{"max_client_connections", &l->max_client_connections},
		{"max_body_mib", &l->max_body_mib},
		{"body_timeout_ms", &l->body_timeout_ms},
		{"max_head_bytes", &l->max_head_bytes},
		{"max_headers", &l->max_headers},
		{"max_target_bytes", &l->max_target_bytes},
		{"buffer_bytes", &l->buffer_bytes},
		{"head_timeout_ms", &l->head_timeout_ms},
		{"idle_timeout_ms", &l->idle_timeout_ms},
		{"connect_timeout_ms", &l->connect_timeout_ms},
		{"stall_timeout_ms", &l->stall_timeout_ms},
		{"tunnel_idle_ms", &l->tunnel_idle_ms},
		{"pool_idle_ms", &l->pool_idle_ms},
		{"pool_idle_max", &l->pool_idle_max},
		{"drain_ms", &l->drain_ms},
		{"max_held", &l->max_held},
		{"hold_lag_ms", &l->hold_lag_ms},
		{"hold_timeout_ms", &l->hold_timeout_ms},
		{"h2_streams", &l->h2_streams},
		{"h2_window_bytes", &l->h2_window_bytes},
		{"h2_resets", &l->h2_resets},
		{"h2_controls", &l->h2_controls},
		{"h2_continuations", &l->h2_continuations},
		{"udp_idle_ms", &l->udp_idle_ms},
		{"udp_max", &l->udp_max},
		{"max_buffer_mib", &l->max_buffer_mib},
	};
	const char *equal = strchr(arg, '=');

	if (strncmp(arg, "reporter=", 9) == 0) {
		d->config.reporter = arg + 9;
		return;
	}
	if (strncmp(arg, "access_log=", 11) == 0) {
		d->access_log = arg + 11;
		d->config.access_log_fd = open_log(d->access_log);
		d->config.has_access_log = true;
		return;
	}

	for (size_t i = 0; equal && i < sizeof(options) / sizeof(options[0]);
	     i++) {
		if (strlen(options[i].name) == (size_t)(equal - arg) &&
		    strncmp(arg, options[i].name, (size_t)(equal - arg)) == 0) {
			*options[i].value = (uint32_t)strtoul(equal + 1, NULL,
							      10);
			return;
		}
	}
	fprintf(stderr, "weir-proxy-driver: unknown option %s\n", arg);
	exit(2);
}

/* Without its proxy the driver would only hold listeners that nobody serves. */
static void on_child(int signal_number)
{
	static const char text[] = "weir-proxy-driver: the proxy died\n";

	(void)signal_number;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(3);
}

static void start(struct driver *d)
{
	/* A proxy that a test stops for a while has not died. */
	struct sigaction died = {.sa_handler = on_child,
				 .sa_flags = SA_NOCLDSTOP};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, d->ipc) < 0) {
		fail("socketpair", -errno);
	}
	d->config.ipc_fd = d->ipc[1];
	d->config.stats_fd = d->stats_fd;
	sigaction(SIGCHLD, &died, NULL);
	d->child = fork();
	if (d->child == 0) {
		int r;

		signal(SIGCHLD, SIG_DFL);
		is_proxy = true;
		weir_close(&d->ipc[0]);
		r = weir_proxy_run(&d->config);
		/* exit, not _exit: sanitizers report leaks on the way out. */
		exit(r < 0 ? 1 : 0);
	}
	weir_close(&d->ipc[1]);
}

int main(int argc, char **argv)
{
	static struct driver d;
	const char *io = getenv("WEIR_TEST_IO");
	char line[64];
	int status = 0;

	if (argc < 2) {
		fprintf(stderr,
			"usage: weir-proxy-driver DIR [name=value ...]\n");
		return 2;
	}
	weir_log_init("driver", WEIR_LOG_WARNING);
	d.dir = argv[1];
	d.config.n_workers = 1;
	d.config.io = WEIR_IO_BACKEND_AUTO;
	if (io && !strcmp(io, "epoll")) {
		d.config.io = WEIR_IO_BACKEND_EPOLL;
	} else if (io && !strcmp(io, "uring")) {
		d.config.io = WEIR_IO_BACKEND_URING;
	}
	weir_proxy_limits_default(&d.config.limits);
	for (int i = 2; i < argc; i++) {
		set_option(&d, argv[i]);
	}
	forget(&d);
	make_stats(&d);
	compile_all(&d);
	open_sockets(&d);
	start(&d);
	publish(&d);
	printf("ready pid=%d\n", (int)d.child);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		bool forgets = strcmp(line, "forget\n") == 0;

		if (forgets) {
			forget(&d);
		}
		if (forgets || strcmp(line, "reload\n") == 0) {
			weir_compiled_fini(&d.compiled);
			compile_all(&d);
			publish(&d);
			printf("acked %llu\n",
			       (unsigned long long)d.generation);
		} else if (strcmp(line, "reopen\n") == 0 && d.access_log) {
			reopen_log(&d);
			printf("reopened\n");
		} else if (strcmp(line, "stats\n") == 0) {
			print_stats(&d);
		} else if (strncmp(line, "fail ", 5) == 0) {
			atomic_store(&allocations->failing,
				     atomic_load(&allocations->n) +
					     strtoull(line + 5, NULL, 10));
		}
		fflush(stdout);
	}
	signal(SIGCHLD, SIG_DFL);
	weir_close(&d.ipc[0]);
	waitpid(d.child, &status, 0);
	weir_compiled_fini(&d.compiled);
	weir_ids_free(&d.ids);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
