/* SPDX-License-Identifier: Apache-2.0 */
/* agent/daemon: sockets, counters, privileges and the channel to the proxy. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "counters.h"
#include "datagram.h"
#include "fdutil.h"
#include "ipc.h"
#include "listen.h"
#include "privs.h"
#include "proxy_link.h"
#include "tap.h"

static struct weir_ip ip_of(const char *text)
{
	struct weir_ip ip = {0};

	weir_ip_parse(weir_str_of(text), &ip);
	return ip;
}

static __be16 port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	struct weir_ip ip;
	__be16 port_be = 0;

	getsockname(fd, (struct sockaddr *)&sa, &n);
	weir_addr_from_sockaddr(&sa, &ip, &port_be);
	return port_be;
}

/* ----------------------------------------------------------------- sockets */

static void workers_share_one_port_a_family(void)
{
	int fds[6];

	must(weir_listeners_open(3, fds) == 0, "open");
	for (int i = 0; i < 6; i++) {
		ok(fds[i] >= 0, "listener %d", i);
		ok(port_of(fds[i]) == port_of(fds[i % 2]), "port %d", i);
	}
	ok(port_of(fds[0]) != 0, "a port");
	for (int i = 0; i < 6; i++) {
		weir_close(&fds[i]);
	}
}

static void a_datagram_port_of_somebody_else_is_refused(void)
{
	const struct weir_ip loopback = ip_of("127.0.0.1");
	_cleanup_close_ int host = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC,
					  0);
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = -1;

	must(bind(host, (struct sockaddr *)&any, sizeof(any)) == 0, "bind");
	ok(weir_bind_udp(&loopback, port_of(host), &fd) == -EADDRINUSE,
	   "wildcard socket of the host");
	ok(fd == -1, "untouched");
}

/* It would get the datagrams. */
static void a_datagram_port_of_ours_is_not_shared(void)
{
	const struct weir_ip loopback = ip_of("127.0.0.1");
	_cleanup_close_ int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC,
					   0);
	_cleanup_close_ int fd = -1;
	struct sockaddr_in same = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int on = 1;

	must(weir_bind_udp(&loopback, 0, &fd) == 0, "bind");
	same.sin_port = port_of(fd);
	must(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0,
	     "SO_REUSEADDR");
	ok(bind(other, (struct sockaddr *)&same, sizeof(same)) < 0 &&
		   errno == EADDRINUSE,
	   "the same address");
}

static void a_dead_unix_socket_is_replaced_a_live_one_is_not(void)
{
	char path[64];
	int fd = -1;
	int other = -1;

	snprintf(path, sizeof(path), "/tmp/weir-listen-%d", getpid());
	must(weir_listen_unix(path, &fd) == 0, "first");
	ok(weir_listen_unix(path, &other) == -EADDRINUSE, "live");
	weir_close(&fd);
	ok(weir_listen_unix(path, &other) == 0, "dead");
	weir_close(&other);
	unlink(path);
}

static void a_file_is_not_replaced_by_a_socket(void)
{
	char path[64];
	struct stat st;
	int fd = -1;

	snprintf(path, sizeof(path), "/tmp/weir-listen-%d", getpid());
	_cleanup_close_ int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC,
					0644);

	must(file >= 0, "file");
	ok(weir_listen_unix(path, &fd) == -EADDRINUSE, "refused");
	ok(stat(path, &st) == 0 && S_ISREG(st.st_mode), "still a file");
	unlink(path);
}

/* ---------------------------------------------------------------- datagram */

struct small_plan {
	struct weir_plan plan;
	struct weir_frontend frontends[4];
};

static struct weir_frontend frontend(const char *addr, uint16_t port,
				     uint8_t proto, bool is_local)
{
	return (struct weir_frontend){
		.addr = ip_of(addr),
		.port_be = htons(port),
		.proto = proto,
		.is_local = is_local,
		.mode = proto == IPPROTO_UDP ? WEIR_MODE_UDP : WEIR_MODE_TCP};
}

static void plan_begin(struct small_plan *p, uint32_t n)
{
	*p = (struct small_plan){0};
	p->plan.frontends = (struct weir_span){
		.off = offsetof(struct small_plan, frontends), .n = n};
}

static void only_local_datagram_frontends_get_sockets(void)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram d = {0};
	struct small_plan p;
	bool is_changed = false;

	plan_begin(&p, 4);
	p.frontends[0] = frontend("198.51.100.1", 53, IPPROTO_TCP, true);
	p.frontends[1] = frontend("198.51.100.1", 53, IPPROTO_UDP, true);
	p.frontends[2] = frontend("198.51.100.2", 53, IPPROTO_UDP, false);
	p.frontends[3] = frontend("198.51.100.3", 54, IPPROTO_UDP, true);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "sync");
	ok(is_changed, "new");
	must(d.n == 2, "%zu", d.n);
	ok(port_of(d.v[0].fd) == htons(53) && port_of(d.v[1].fd) == htons(54),
	   "bound");
}

static void sockets_stay_over_plans_that_keep_them(void)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram d = {0};
	struct small_plan p;
	bool is_changed = false;
	int kept;

	plan_begin(&p, 2);
	p.frontends[0] = frontend("198.51.100.1", 53, IPPROTO_UDP, true);
	p.frontends[1] = frontend("198.51.100.3", 53, IPPROTO_UDP, true);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "sync");
	kept = d.v[1].fd;
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "again");
	ok(!is_changed && d.v[1].fd == kept, "the same");
	plan_begin(&p, 2);
	p.frontends[0] = frontend("198.51.100.2", 53, IPPROTO_UDP, true);
	p.frontends[1] = frontend("198.51.100.3", 53, IPPROTO_UDP, true);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "other");
	ok(is_changed && d.v[1].fd == kept, "one exchanged");
	plan_begin(&p, 0);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "none");
	ok(is_changed && d.n == 0, "closed");
	ok(fcntl(kept, F_GETFD) < 0 && errno == EBADF, "really");
}

static void a_socket_rests_before_it_is_closed(void)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram d = {.rest_ms = 50};
	struct small_plan with;
	struct small_plan without;
	bool is_changed = false;
	int fd;

	plan_begin(&without, 0);
	plan_begin(&with, 1);
	with.frontends[0] = frontend("198.51.100.1", 53, IPPROTO_UDP, true);
	must(weir_datagram_sync(&d, &with.plan, 1000, &is_changed) == 0,
	     "with");
	fd = d.v[0].fd;
	d.is_dirty = false;
	must(weir_datagram_sync(&d, &without.plan, 1010, &is_changed) == 0,
	     "without");
	ok(is_changed && d.n == 1 && d.v[0].rests_until_ms == 1060, "rests");
	must(weir_datagram_sync(&d, &with.plan, 1020, &is_changed) == 0,
	     "back");
	ok(is_changed && d.v[0].fd == fd && !d.v[0].rests_until_ms, "the same");
	ok(!d.is_dirty, "no other descriptors");
	must(weir_datagram_sync(&d, &without.plan, 1030, &is_changed) == 0,
	     "without");
	must(weir_datagram_sync(&d, &without.plan, 1080, &is_changed) == 0,
	     "later");
	ok(!is_changed && d.is_dirty && d.n == 0, "closed");
	ok(fcntl(fd, F_GETFD) < 0 && errno == EBADF, "really");
}

static void sockets_of_an_earlier_agent_are_taken_over(void)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram first = {0};
	_cleanup_(weir_datagram_fini) struct weir_datagram d = {0};
	struct small_plan p;
	bool is_changed = false;
	int fds[3];

	plan_begin(&p, 3);
	p.frontends[0] = frontend("198.51.100.1", 53, IPPROTO_UDP, true);
	p.frontends[1] = frontend("198.51.100.2", 53, IPPROTO_UDP, true);
	p.frontends[2] = frontend("198.51.100.3", 53, IPPROTO_UDP, true);
	must(weir_datagram_sync(&first, &p.plan, 1000, &is_changed) == 0,
	     "first");
	for (int i = 0; i < 3; i++) {
		fds[i] = dup(first.v[2 - i].fd); /* in any order */
	}
	must(weir_datagram_adopt(&d, fds, 3) == 0, "adopt");
	plan_begin(&p, 2);
	p.frontends[0] = frontend("198.51.100.1", 53, IPPROTO_UDP, true);
	p.frontends[1] = frontend("198.51.100.3", 53, IPPROTO_UDP, true);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "sync");
	must(d.n == 2, "%zu", d.n);
	ok(d.v[0].fd == fds[2] && d.v[1].fd == fds[0], "the same sockets");
	ok(fcntl(fds[1], F_GETFD) < 0, "the one not wanted is closed");
}

static void a_taken_port_is_tried_again(void)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram d = {0};
	int host = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = {.sin_family = AF_INET};
	struct small_plan p;
	bool is_changed = true;

	must(bind(host, (struct sockaddr *)&any, sizeof(any)) == 0, "bind");
	plan_begin(&p, 1);
	p.frontends[0] = frontend("127.0.0.1", ntohs(port_of(host)),
				  IPPROTO_UDP, true);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "sync");
	ok(!is_changed && d.v[0].fd < 0, "taken");
	weir_close(&host);
	must(weir_datagram_sync(&d, &p.plan, 1000, &is_changed) == 0, "again");
	ok(is_changed && d.v[0].fd >= 0, "free");
}

/* ---------------------------------------------------------------- counters */

static struct weir_options sizes_of(uint32_t max)
{
	return (struct weir_options){
		.max_rules = max,
		.kernel = {.max_refs = max, .max_endpoints = max}};
}

static void a_dead_proxy_has_nothing_in_flight(void)
{
	const struct weir_options o = sizes_of(70000);
	struct weir_counters c;
	_cleanup_close_ int fd = -1;
	struct weir_proxy_stats *s;
	struct stat st;

	must(weir_counters_new(&o, &fd) == 0, "new");
	must(weir_counters_map(&o, fd, &c) == 0, "map");
	s = c.stats;
	ok(weir_proxy_rulestats(s) == c.rules, "where the proxy has it");
	ok(weir_proxy_epstats(s) == c.endpoints, "where the proxy has it");
	s->totals.clients_opened = 9;
	s->totals.clients_closed = 4;
	s->totals.udp_associations = 3;
	s->totals.held = 2;
	c.rules[3].in_flight = 2;
	c.rules[3].requests = 7;
	c.refs[69999].in_flight = 2;
	c.endpoints[69998].opened = 5;
	c.endpoints[69998].in_flight = 1;
	weir_counters_settle(&c);
	ok(s->totals.clients_closed == 9, "clients");
	ok(s->totals.udp_associations == 0, "associations");
	ok(s->totals.held == 0, "who waits");
	ok(c.rules[3].in_flight == 0, "rule");
	ok(c.rules[3].requests == 7, "history stays");
	ok(c.refs[69999].in_flight == 0, "ref");
	ok(c.endpoints[69998].closed == 5, "endpoint");
	ok(c.endpoints[69998].in_flight == 0, "endpoint");
	must(fstat(fd, &st) == 0, "stat");
	ok(st.st_blocks < 100, "holes stay holes: %ld", (long)st.st_blocks);
	weir_counters_unmap(&c);
}

static void a_lying_proxy_moves_nothing(void)
{
	const struct weir_options o = sizes_of(16);
	const struct weir_options other = sizes_of(17);
	_cleanup_close_ int fd = -1;
	struct weir_counters c;

	must(weir_counters_new(&o, &fd) == 0, "new");
	ok(ftruncate(fd, 0) < 0 && errno == EPERM, "sealed");
	ok(weir_counters_map(&other, fd, &c) == -EBADMSG, "another size");
	must(weir_counters_map(&o, fd, &c) == 0, "map");
	c.stats->max_rules = 1u << 30;
	c.refs[15].in_flight = 1;
	weir_counters_settle(&c);
	ok(c.refs[15].in_flight == 0, "settled where it was");
	weir_counters_unmap(&c);
}

/* A plan of rules with these keys and nothing else. */
static void stamp_rules_of(struct weir_ids *ids, const uint64_t *keys, size_t n,
			   uint64_t now_ms)
{
	struct {
		struct weir_plan plan;
		struct weir_rule rules[4];
	} p = {0};
	uint32_t lost;

	p.plan.rules.off = (uint32_t)((char *)p.rules - (char *)&p);
	p.plan.rules.n = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		p.rules[i].key = keys[i];
	}
	must(weir_ids_stamp(ids, &p.plan, NULL, 1, now_ms, &lost) == 0,
	     "stamp");
}

/* What is under way there will be counted off once more. */
static void an_id_where_something_is_under_way_stays_whose_it_was(void)
{
	const uint32_t max[_WEIR_IDS_MAX] = {16, 16, 16};
	const struct weir_options o = sizes_of(16);
	const uint64_t old[] = {100};
	const uint64_t fresh[] = {101};
	const uint64_t more[] = {101, 102};
	_cleanup_(weir_claims_fini) struct weir_claims claims = {0};
	_cleanup_(weir_ids_free) struct weir_ids *ids = NULL;
	_cleanup_close_ int fd = -1;
	struct weir_counters c;

	must(weir_ids_new(max, 10, &ids) == 0, "ids");
	must(weir_counters_new(&o, &fd) == 0, "new");
	must(weir_counters_map(&o, fd, &c) == 0, "map");
	weir_ids_set_busy(ids, weir_counters_is_busy, &c);
	c.rules[2].in_flight = 1; /* begun under an agent before this one */
	stamp_rules_of(ids, old, 1, 1000);
	c.rules[1].in_flight = 1;
	stamp_rules_of(ids, NULL, 0, 1100);
	stamp_rules_of(ids, fresh, 1, 2000);
	must(weir_claims_update(&claims, ids, &c, false) == 0, "fresh");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 3) == 101, "neither 1 nor 2");
	ok(c.rules[1].in_flight == 1 && c.rules[2].in_flight == 1, "as it was");
	c.rules[1].in_flight--;
	stamp_rules_of(ids, more, 2, 3000);
	must(weir_claims_update(&claims, ids, &c, false) == 0, "more");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 1) == 102, "it ended: free");
	ok(c.rules[1].in_flight == 0, "from 0");
	weir_counters_unmap(&c);
}

static void an_id_that_changes_hands_counts_from_zero(void)
{
	const uint32_t max[_WEIR_IDS_MAX] = {16, 16, 16};
	const struct weir_options o = sizes_of(16);
	const uint64_t before[] = {100, 101};
	const uint64_t without[] = {101};
	const uint64_t after[] = {101, 102};
	_cleanup_(weir_claims_fini) struct weir_claims claims = {0};
	_cleanup_(weir_ids_free) struct weir_ids *ids = NULL;
	_cleanup_close_ int fd = -1;
	struct weir_counters c;

	must(weir_ids_new(max, 10, &ids) == 0, "ids");
	must(weir_counters_new(&o, &fd) == 0, "new");
	must(weir_counters_map(&o, fd, &c) == 0, "map");
	c.rules[1].requests = 5; /* of an earlier agent */
	stamp_rules_of(ids, before, 2, 1000);
	must(weir_claims_update(&claims, ids, &c, true) == 0, "adopted");
	ok(c.rules[1].requests == 5, "goes on");
	c.rules[2].requests = 6;
	stamp_rules_of(ids, without, 1, 1100);
	must(weir_claims_update(&claims, ids, &c, false) == 0, "without");
	ok(c.rules[1].requests == 5, "in quarantine nothing is touched");
	stamp_rules_of(ids, after, 2, 1200);
	must(weir_claims_update(&claims, ids, &c, false) == 0, "after");
	ok(weir_ids_key(ids, WEIR_IDS_RULE, 1) == 102, "reused");
	ok(c.rules[1].requests == 0, "counts from zero");
	ok(c.rules[2].requests == 6, "the other goes on");
	weir_counters_unmap(&c);
}

/* -------------------------------------------------------------- privileges */

static bool status_says(const char *line)
{
	_cleanup_buf_ struct weir_buf text = {0};

	if (weir_read_file_at(-1, "/proc/self/status", 65536, &text) < 0) {
		return false;
	}
	weir_buf_add(&text, "", 1);
	return strstr(text.p, line);
}

/* Runs fn in a child; its exit status is fn's. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		_exit(fn());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int drop_all(void)
{
	if (weir_privs_drop_all(65534, 65533) < 0) {
		return 1;
	}
	if (!status_says("CapEff:\t0000000000000000") ||
	    !status_says("CapPrm:\t0000000000000000") ||
	    !status_says("CapBnd:\t0000000000000000") ||
	    !status_says("NoNewPrivs:\t1")) {
		return 2;
	}
	if (getuid() != 65534 || getegid() != 65533 || getgroups(0, NULL)) {
		return 3;
	}
	return setuid(0) == 0 ? 4 : 0;
}

static void the_proxy_keeps_no_privilege(void)
{
	if (geteuid() != 0) {
		skip_test("needs root to have something to drop");
	}
	ok(in_child(drop_all) == 0, "%d", in_child(drop_all));
}

static int drop_agent(void)
{
	if (weir_privs_drop_agent() < 0 || !status_says("NoNewPrivs:\t1")) {
		return 1;
	}
	/* NET_BIND_SERVICE 10, NET_ADMIN 12, DAC_READ_SEARCH 2, PERFMON 38,
	 * BPF 39 */
	return status_says("CapEff:\t000000c000001404") ? 0 : 2;
}

static void the_agent_keeps_five_capabilities(void)
{
	if (geteuid() != 0) {
		skip_test("needs root to have something to drop");
	}
	ok(in_child(drop_agent) == 0, "%d", in_child(drop_agent));
}

static void users_are_found_by_name_and_number(void)
{
	uid_t uid = 1;
	gid_t gid = 1;

	ok(weir_user_find("root", &uid, &gid) == 0 && uid == 0, "name");
	ok(weir_user_find("12", &uid, &gid) == 0 && uid == 12 && gid == 12,
	   "number");
	ok(weir_user_find("12:34", &uid, &gid) == 0 && gid == 34, "both");
	ok(weir_user_find("12:x", &uid, &gid) == -ESRCH, "bad group");
	ok(weir_user_find("no-such-user", &uid, &gid) == -ESRCH, "unknown");
}

static int follow_stranger(void)
{
	return weir_follow_parent(1) == -ESRCH ? 0 : 1;
}

static void a_child_notices_that_its_parent_is_gone(void)
{
	ok(in_child(follow_stranger) == 0, "another parent");
}

/* -------------------------------------------------------- channel to proxy */

static uint64_t answered;
static int answered_error;
static int n_answers;

static void on_answer(void *arg, uint64_t generation, int error)
{
	answered = generation;
	answered_error = error;
	n_answers++;
	weir_loop_stop(arg, 0);
}

static void on_limit(struct weir_timer *timer)
{
	weir_loop_stop(timer->arg, -ETIMEDOUT);
}

struct channel {
	struct weir_loop *loop;
	struct weir_proxy_link link;
	struct weir_sealed blocks;
	struct weir_timer limit;
	int peer;
};

static void channel_begin(struct channel *c)
{
	static struct weir_options options;
	int pair[2];

	*c = (struct channel){.blocks = WEIR_SEALED_NONE, .peer = -1};
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0,
	     "pair");
	must(weir_loop_new(&c->loop) == 0, "loop");
	options.kernel.prefix4 = ip_of("198.19.240.0");
	weir_proxy_link_init(&c->link, c->loop, &options, on_answer, c->loop);
	must(weir_proxy_link_use(&c->link, pair[0]) == 0, "use");
	c->peer = pair[1];
	c->blocks.generation = 7;
	must(weir_memfd_sealed("r", "rules", 5, &c->blocks.rules_fd) == 0, "r");
	must(weir_memfd_sealed("e", "eps", 3, &c->blocks.eps_fd) == 0, "e");
	must(weir_memfd_sealed("s", "pem", 3, &c->blocks.secrets_fd) == 0, "s");
	c->limit = (struct weir_timer){.fn = on_limit, .arg = c->loop};
	weir_loop_arm(c->loop, &c->limit, 2000);
	answered = 0;
	n_answers = 0;
}

static void channel_end(struct channel *c)
{
	weir_proxy_link_fini(&c->link);
	weir_sealed_fini(&c->blocks);
	weir_close(&c->peer);
	weir_loop_free(&c->loop);
}

static void a_plan_carries_all_its_sockets(void)
{
	struct weir_datagram_socket v[14];
	struct weir_datagram d = {.v = v, .n = 14};
	struct channel c;
	struct weir_ipc m;
	size_t total = 0;

	channel_begin(&c);
	for (int i = 0; i < 14; i++) {
		v[i] = (struct weir_datagram_socket){.port_be = htons(1000 + i),
						     .fd = i == 4 ? -1 : 0};
	}
	must(weir_proxy_link_send(&c.link, &c.blocks, &d) == 0, "send");
	for (int i = 0; i < 2; i++) {
		int fds[WEIR_FDS_MAX];
		size_t n_fds = 0;

		must(weir_recv_fds(c.peer, &m, sizeof(m), fds, &n_fds) ==
			     sizeof(m),
		     "message %d", i);
		ok(m.type == WEIR_IPC_PLAN && m.generation == 7, "header");
		ok(m.n_udp_total == 13, "%u", m.n_udp_total);
		ok(n_fds == WEIR_IPC_BLOCKS + m.n_udp, "%zu", n_fds);
		ok(weir_ip_eq(&m.prefix4, &c.link.prefix4), "prefix");
		total += m.n_udp;
		for (size_t k = 0; k < n_fds; k++) {
			weir_close(&fds[k]);
		}
	}
	ok(total == 13, "%zu", total);
	ok(m.udp[0].port_be == htons(1013), "the last");
	channel_end(&c);
}

static void answers_arrive_nonsense_does_not(void)
{
	struct weir_ipc m = {.type = 99, .generation = 1};
	struct channel c;

	channel_begin(&c);
	must(send(c.peer, "x", 1, 0) == 1, "short");
	must(send(c.peer, &m, sizeof(m), 0) == sizeof(m), "unknown");
	m = (struct weir_ipc){
		.type = WEIR_IPC_NAK, .generation = 8, .error = ENOMEM};
	must(send(c.peer, &m, sizeof(m), 0) == sizeof(m), "nak");
	ok(weir_loop_run(c.loop) == 0, "in time");
	ok(n_answers == 1 && answered == 8 && answered_error == -ENOMEM,
	   "%d %d", n_answers, answered_error);
	channel_end(&c);
}

static void a_dead_proxy_is_noticed(void)
{
	struct weir_datagram none = {0};
	struct channel c;

	channel_begin(&c);
	weir_close(&c.peer);
	weir_loop_arm(c.loop, &c.limit, 50);
	weir_loop_run(c.loop);
	ok(!weir_proxy_link_is_up(&c.link), "down");
	ok(weir_proxy_link_send(&c.link, &c.blocks, &none) == -ENOTCONN,
	   "not connected");
	channel_end(&c);
}

TAP_MAIN(TEST(workers_share_one_port_a_family),
	 TEST(a_datagram_port_of_somebody_else_is_refused),
	 TEST(a_datagram_port_of_ours_is_not_shared),
	 TEST(a_dead_unix_socket_is_replaced_a_live_one_is_not),
	 TEST(a_file_is_not_replaced_by_a_socket),
	 TEST(only_local_datagram_frontends_get_sockets),
	 TEST(sockets_stay_over_plans_that_keep_them),
	 TEST(a_socket_rests_before_it_is_closed),
	 TEST(sockets_of_an_earlier_agent_are_taken_over),
	 TEST(a_taken_port_is_tried_again),
	 TEST(a_dead_proxy_has_nothing_in_flight),
	 TEST(a_lying_proxy_moves_nothing),
	 TEST(an_id_where_something_is_under_way_stays_whose_it_was),
	 TEST(an_id_that_changes_hands_counts_from_zero),
	 TEST(the_proxy_keeps_no_privilege),
	 TEST(the_agent_keeps_five_capabilities),
	 TEST(users_are_found_by_name_and_number),
	 TEST(a_child_notices_that_its_parent_is_gone),
	 TEST(a_plan_carries_all_its_sockets),
	 TEST(answers_arrive_nonsense_does_not), TEST(a_dead_proxy_is_noticed))
