// SPDX-License-Identifier: Apache-2.0
/*
 * The connect plane with real sockets: TCP and UDP, IPv4, IPv6 and v4-mapped,
 * connected and not, what is left alone, and what is counted.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "kernel_world.h"

#define VIP4 "10.77.0.1:80"
#define VIP6 "[fd77::1]:80"
#define A4 "127.0.0.1:8001"
#define B4 "127.0.0.2:8001"
#define A6 "[::1]:8001"

static struct weir_kernel *kernel;

static bool is_name(int fd, bool is_peer, const char *want)
{
	const char *got = world_name_of(fd, is_peer);

	return ok(strcmp(got, want) == 0, "got %s, want %s", got, want);
}

/* Connects; the connection must arrive at listener. */
static void reaches(const char *addr, int family, int listener)
{
	int fd = world_connect(addr, family, SOCK_STREAM);
	int peer;

	if (!ok(fd >= 0, "%s: %s", addr, strerror(-fd))) {
		return;
	}
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ok(peer >= 0, "accept");
	is_name(fd, true, addr);
	weir_close(&peer);
	weir_close(&fd);
}

static bool can_read(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 500) == 1;
}

static struct weir_refstat ref_of(uint32_t stat)
{
	struct weir_refstat s = {0};

	ok(weir_kernel_refstat(kernel, stat, &s), "refstat");
	return s;
}

static struct weir_epstat ep_of(uint32_t id)
{
	struct weir_epstat s = {0};

	ok(weir_kernel_epstat(kernel, id, &s), "epstat");
	return s;
}

static uint64_t count_of(enum weir_counter counter)
{
	uint64_t counts[_WEIR_COUNT_MAX] = {0};

	ok(weir_kernel_counters(kernel, counts) == 0, "counters");
	return counts[counter];
}

static void unknown_addresses_pass_untouched(void)
{
	int listener = world_socket(B4, SOCK_STREAM);

	world_publish(kernel, NULL, 0);
	reaches(B4, AF_INET, listener);
	ok(world_connect("127.0.0.1:9", AF_INET, SOCK_STREAM) == -ECONNREFUSED,
	   "a closed port is closed");
	weir_close(&listener);
}

static void connections_go_to_endpoints(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_TCP, .refs = {{1, "a4", A4}}},
	};
	static const struct mini_fe six[] = {
		{VIP6, IPPROTO_TCP, .refs = {{1, "a6", A6}}},
	};
	int four = world_socket(A4, SOCK_STREAM);
	int sixth = world_socket(A6, SOCK_STREAM);

	world_publish(kernel, fes, 1);
	reaches(VIP4, AF_INET, four);
	reaches(VIP4, AF_INET6, four); /* ::ffff:10.77.0.1 */
	world_publish(kernel, six, 1);
	reaches(VIP6, AF_INET6, sixth);
	weir_close(&four);
	weir_close(&sixth);
}

static void weights_are_exact(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_TCP,
		 .refs = {{70, "wa", A4}, {30, "wb", B4}, {0, "wc", A4}}},
	};
	int la = world_socket(A4, SOCK_STREAM);
	int lb = world_socket(B4, SOCK_STREAM);
	int n[2] = {0, 0};
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	world_publish(kernel, fes, 1);
	for (int i = 0; i < 1000; i++) {
		int fd = world_connect(VIP4, AF_INET, SOCK_STREAM);
		struct pollfd p[2] = {{.fd = la, .events = POLLIN},
				      {.fd = lb, .events = POLLIN}};
		int peer, at;

		must(fd >= 0, "connect: %s", strerror(-fd));
		must(poll(p, 2, 1000) == 1, "nobody got it");
		at = p[1].revents != 0;
		n[at]++;
		peer = accept4(p[at].fd, NULL, NULL, SOCK_CLOEXEC);
		weir_close(&peer);
		weir_close(&fd);
	}
	ok(n[0] >= 695 && n[0] <= 705, "%d : %d of 1000", n[0], n[1]);
	weir_close(&la);
	weir_close(&lb);
}

/* Where 100 connections of this namespace go; -1: not all to one endpoint. */
static int place_of_all(const int *listeners, int n)
{
	int at = -1;

	for (int i = 0; i < 100; i++) {
		int fd = world_connect(VIP4, AF_INET, SOCK_STREAM);
		bool is_found = false;

		must(fd >= 0, "connect: %s", strerror(-fd));
		for (int k = 0; k < n; k++) {
			struct pollfd p = {.fd = listeners[k],
					   .events = POLLIN};
			int peer;

			if (poll(&p, 1, 0) != 1) {
				continue;
			}
			peer = accept4(p.fd, NULL, NULL, SOCK_CLOEXEC);
			weir_close(&peer);
			is_found = at < 0 || at == k;
			at = k;
		}
		weir_close(&fd);
		if (!is_found) {
			return -1;
		}
	}
	return at;
}

static void affinity_stays_with_its_endpoint(void)
{
	static const char *const names[] = {A4, B4, "127.0.0.3:8001",
					    "127.0.0.4:8001"};
	struct mini_fe fe = {VIP4, IPPROTO_TCP, .is_keyed = true};
	int listeners[4], home, moved = 0;
	char text[128];

	for (int i = 0; i < 4; i++) {
		listeners[i] = world_socket(names[i], SOCK_STREAM);
	}
	snprintf(text, sizeof(text), "%s %s %s %s", names[0], names[1],
		 names[2], names[3]);
	fe.refs[0] = (struct mini_ref){1, "keyed", text};
	world_publish(kernel, &fe, 1);
	home = place_of_all(listeners, 4);
	ok(home >= 0, "one client, one endpoint");
	for (int gone = 0; gone < 4; gone++) {
		size_t at = 0;
		int place;

		for (int i = 0; i < 4; i++) {
			at += i == gone
				      ? 0
				      : (size_t)snprintf(text + at,
							 sizeof(text) - at,
							 "%s%s", at ? " " : "",
							 names[i]);
		}
		world_publish(kernel, &fe, 1);
		place = place_of_all(listeners, 4);
		ok(place >= 0 && (gone == home ? place != home : place == home),
		   "without %d: %d, was %d", gone, place, home);
		moved += place != home;
	}
	ok(moved == 1, "only the loss of its own endpoint moves a client");
	for (int i = 0; i < 4; i++) {
		weir_close(&listeners[i]);
	}
}

static void empty_and_invalid_shares_are_refused(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_TCP,
		 .refs = {{50, "ra", A4}, {30, NULL, NULL}, {20, "rn", NULL}}},
		{"10.77.0.2:80", IPPROTO_TCP, .refs = {{0, "ra", A4}}},
		{"10.77.0.3:53", IPPROTO_UDP, .refs = {{1, NULL, NULL}}},
	};
	int la = world_socket(A4, SOCK_STREAM);
	uint64_t before = count_of(WEIR_COUNT_CONNECT_REFUSED);
	struct sockaddr_storage sa;
	socklen_t len = world_sockaddr("10.77.0.3:53", AF_INET, &sa);
	int refused = 0, udp;

	world_publish(kernel, fes, 3);
	for (int i = 0; i < 200; i++) {
		int fd = world_connect(VIP4, AF_INET, SOCK_STREAM);

		ok(fd >= 0 || fd == -ECONNREFUSED, "%s", strerror(-fd));
		refused += fd == -ECONNREFUSED;
		weir_close(&fd);
	}
	ok(refused >= 98 && refused <= 102, "%d of 200 refused", refused);
	ok(world_connect("10.77.0.2:80", AF_INET, SOCK_STREAM) == -ECONNREFUSED,
	   "all weights 0");
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok(sendto(udp, "x", 1, 0, (struct sockaddr *)&sa, len) < 0 &&
		   errno == ECONNREFUSED,
	   "a datagram: %s", strerror(errno));
	ok(count_of(WEIR_COUNT_CONNECT_REFUSED) - before ==
		   (uint64_t)refused + 2,
	   "counted");
	weir_close(&udp);
	weir_close(&la);
}

/* Sends from fd to addr (NULL: connected); the datagram arrives at server and
 * its answer seems to come from from. */
static bool exchange(int fd, const char *addr, int family, int server,
		     const char *from)
{
	struct sockaddr_storage sa, peer = {0};
	socklen_t len = addr ? world_sockaddr(addr, family, &sa) : 0;
	socklen_t peer_len = sizeof(peer);
	char byte = 0, text[WEIR_ADDR_TEXT_MAX];
	struct weir_ip ip;
	__be16 port;

	if (!ok(sendto(fd, "q", 1, 0, addr ? (struct sockaddr *)&sa : NULL,
		       len) == 1,
		"send: %s", strerror(errno)) ||
	    !ok(can_read(server), "nothing arrived") ||
	    !ok(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer,
			 &peer_len) == 1,
		"recv") ||
	    !ok(sendto(server, "a", 1, 0, (struct sockaddr *)&peer, peer_len) ==
			1,
		"answer") ||
	    !ok(can_read(fd), "no answer")) {
		return false;
	}
	peer_len = sizeof(peer);
	ok(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&peer, &peer_len) == 1,
	   "recv");
	ok(weir_addr_from_sockaddr(&peer, &ip, &port) == 0, "address");
	return ok(strcmp(weir_addr_format(&ip, port, text), from) == 0,
		  "answer from %s, want %s", text, from);
}

static void datagrams_of_connected_sockets(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_UDP, .refs = {{1, "u4", A4}}},
	};
	static const struct mini_fe six[] = {
		{VIP6, IPPROTO_UDP, .refs = {{1, "u6", A6}}},
	};
	int server = world_socket(A4, SOCK_DGRAM);
	int server6 = world_socket(A6, SOCK_DGRAM);
	int fd;

	world_publish(kernel, fes, 1);
	fd = world_connect(VIP4, AF_INET, SOCK_DGRAM);
	exchange(fd, NULL, AF_INET, server, VIP4);
	is_name(fd, true, VIP4);
	weir_close(&fd);
	fd = world_connect(VIP4, AF_INET6, SOCK_DGRAM);
	exchange(fd, NULL, AF_INET6, server, VIP4);
	is_name(fd, true, VIP4);
	weir_close(&fd);
	world_publish(kernel, six, 1);
	fd = world_connect(VIP6, AF_INET6, SOCK_DGRAM);
	exchange(fd, NULL, AF_INET6, server6, VIP6);
	is_name(fd, true, VIP6);
	weir_close(&fd);
	weir_close(&server);
	weir_close(&server6);
}

static void datagrams_of_unconnected_sockets(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_UDP, .refs = {{1, "v4", A4}}},
	};
	static const struct mini_fe six[] = {
		{VIP6, IPPROTO_UDP, .refs = {{1, "v6", A6}}},
	};
	int server = world_socket(A4, SOCK_DGRAM);
	int server6 = world_socket(A6, SOCK_DGRAM);
	int plain = world_socket("127.0.0.3:8001", SOCK_DGRAM);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	world_publish(kernel, fes, 1);
	exchange(fd, VIP4, AF_INET, server, VIP4);
	exchange(fd, "127.0.0.3:8001", AF_INET, plain, "127.0.0.3:8001");
	exchange(fd6, VIP4, AF_INET6, server, VIP4);
	world_publish(kernel, six, 1);
	exchange(fd6, VIP6, AF_INET6, server6, VIP6);
	weir_close(&fd);
	weir_close(&fd6);
	weir_close(&server);
	weir_close(&server6);
	weir_close(&plain);
}

static void an_association_sticks_until_its_endpoint_goes(void)
{
	static const struct mini_fe both[] = {
		{VIP4, IPPROTO_UDP, .refs = {{1, "s", A4 " " B4}}},
	};
	static const struct mini_fe reweighted[] = {
		{VIP4, IPPROTO_UDP,
		 .refs = {{1, "s", A4 " " B4}, {9, "t", B4}}},
	};
	static const struct mini_fe only_b[] = {
		{VIP4, IPPROTO_UDP, .refs = {{1, "t", B4}}},
	};
	int la = world_socket(A4, SOCK_DGRAM);
	int lb = world_socket(B4, SOCK_DGRAM);
	int fds[8];
	bool is_at_b[8];
	int n_b = 0;
	struct sockaddr_storage sa;
	socklen_t len = world_sockaddr(VIP4, AF_INET, &sa);
	uint64_t before;

	world_publish(kernel, both, 1);
	for (int i = 0; i < 8; i++) {
		char byte;

		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		sendto(fds[i], "x", 1, 0, (struct sockaddr *)&sa, len);
		is_at_b[i] = recv(la, &byte, 1, MSG_DONTWAIT) < 0;
		if (is_at_b[i]) {
			ok(recv(lb, &byte, 1, MSG_DONTWAIT) == 1, "lost");
		}
		n_b += is_at_b[i];
	}
	ok(n_b >= 3 && n_b <= 5, "%d of 8 at the second endpoint", n_b);
	before = count_of(WEIR_COUNT_UDP_REPICKED);
	world_publish(kernel, reweighted, 1);
	for (int i = 0; i < 8; i++) {
		exchange(fds[i], VIP4, AF_INET, is_at_b[i] ? lb : la, VIP4);
		exchange(fds[i], VIP4, AF_INET, is_at_b[i] ? lb : la, VIP4);
	}
	ok(count_of(WEIR_COUNT_UDP_REPICKED) == before,
	   "an edit that keeps the group keeps the pick");
	world_publish(kernel, only_b, 1);
	for (int i = 0; i < 8; i++) {
		exchange(fds[i], VIP4, AF_INET, lb, VIP4);
	}
	ok(count_of(WEIR_COUNT_UDP_REPICKED) - before == 8,
	   "what lost its group picks again");
	for (int i = 0; i < 8; i++) {
		weir_close(&fds[i]);
	}
	weir_close(&la);
	weir_close(&lb);
}

static void connections_are_counted(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_TCP, .refs = {{1, "cnt", A4}}},
		{"10.77.0.9:80", IPPROTO_TCP,
		 .refs = {{1, "dead", "127.0.0.1:9"}}},
	};
	int listener = world_socket(A4, SOCK_STREAM);
	struct mini_plan plan;
	uint32_t stat, id, dead;
	struct weir_refstat r0, r1;
	struct weir_epstat e0, e1;
	char buf[4096] = {0};
	int fd, peer;

	must(mini_build(fes, 2, NULL, 0, world.ids, ++world.generation,
			&plan) == 0,
	     "plan");
	must(weir_kernel_publish(kernel, &plan.view, NULL) == 0, "publish");
	stat = WEIR_PLAN_ELEM(plan.rules, struct weir_ref,
			      WEIR_PLAN_ELEM(plan.rules, struct weir_rule,
					     plan.rules->rules, 0)
				      ->refs,
			      0)
		       ->stat;
	dead = WEIR_PLAN_ELEM(plan.rules, struct weir_ref,
			      WEIR_PLAN_ELEM(plan.rules, struct weir_rule,
					     plan.rules->rules, 1)
				      ->refs,
			      0)
		       ->stat;
	uint32_t n;
	id = weir_eps_of(plan.eps, 0, &n)[0].stat;
	mini_fini(&plan);
	r0 = ref_of(stat);
	e0 = ep_of(id);

	fd = world_connect(VIP4, AF_INET, SOCK_STREAM);
	must(fd >= 0, "connect");
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ok(write(fd, buf, 1000) == 1000 && read(peer, buf, 1000) == 1000 &&
		   write(peer, buf, 3000) == 3000 &&
		   recv(fd, buf, 3000, MSG_WAITALL) == 3000,
	   "bytes");
	r1 = ref_of(stat);
	ok(r1.picked_connect == r0.picked_connect + 1 &&
		   r1.opened == r0.opened + 1 && r1.closed == r0.closed,
	   "open: %d picked, %d opened", (int)r1.picked_connect,
	   (int)r1.opened);
	weir_close(&fd);
	weir_close(&peer);
	for (int i = 0; i < 100 && ref_of(stat).closed == r0.closed; i++) {
		usleep(10000);
	}
	r1 = ref_of(stat);
	e1 = ep_of(id);
	ok(r1.closed == r0.closed + 1 && r1.failed == r0.failed, "closed");
	ok(e1.opened == e0.opened + 1 && e1.closed == e0.closed + 1,
	   "endpoint: %d opened", (int)e1.opened);
	/* SYN and FIN count as a byte each. */
	ok(e1.tx_bytes - e0.tx_bytes >= 1000 &&
		   e1.tx_bytes - e0.tx_bytes <= 1002,
	   "%d bytes sent", (int)(e1.tx_bytes - e0.tx_bytes));
	ok(e1.rx_bytes - e0.rx_bytes >= 3000 &&
		   e1.rx_bytes - e0.rx_bytes <= 3002,
	   "%d bytes received", (int)(e1.rx_bytes - e0.rx_bytes));
	ok(e1.rtt_count == e0.rtt_count + 1 && e1.rtt_us_sum > e0.rtt_us_sum,
	   "RTT");

	r0 = ref_of(dead);
	ok(world_connect("10.77.0.9:80", AF_INET, SOCK_STREAM) == -ECONNREFUSED,
	   "nobody listens");
	r1 = ref_of(dead);
	ok(r1.failed == r0.failed + 1 && r1.opened == r0.opened, "%d failed",
	   (int)r1.failed);
	weir_close(&listener);
}

static void datagram_sockets_are_counted(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_UDP, .refs = {{1, "du", A4}}},
	};
	int server = world_socket(A4, SOCK_DGRAM);
	struct mini_plan plan;
	struct weir_refstat r0, r1;
	uint32_t stat;
	int fd;

	must(mini_build(fes, 1, NULL, 0, world.ids, ++world.generation,
			&plan) == 0,
	     "plan");
	must(weir_kernel_publish(kernel, &plan.view, NULL) == 0, "publish");
	stat = WEIR_PLAN_ELEM(plan.rules, struct weir_ref,
			      WEIR_PLAN_ELEM(plan.rules, struct weir_rule,
					     plan.rules->rules, 0)
				      ->refs,
			      0)
		       ->stat;
	mini_fini(&plan);
	r0 = ref_of(stat);
	fd = world_connect(VIP4, AF_INET, SOCK_DGRAM);
	exchange(fd, NULL, AF_INET, server, VIP4);
	r1 = ref_of(stat);
	ok(r1.opened == r0.opened + 1 && r1.closed == r0.closed, "connected");
	weir_close(&fd);
	ok(ref_of(stat).closed == r0.closed + 1, "and closed");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	exchange(fd, VIP4, AF_INET, server, VIP4);
	exchange(fd, VIP4, AF_INET, server, VIP4);
	ok(ref_of(stat).opened == r0.opened + 2, "one association");
	weir_close(&fd);
	ok(ref_of(stat).closed == r0.closed + 2, "and closed");
	weir_close(&server);
}

static void own_processes_are_left_alone(void)
{
	static const struct mini_fe fes[] = {
		{"127.0.0.9:80", IPPROTO_TCP, .refs = {{1, "own", A4}}},
	};
	int direct = world_socket("127.0.0.9:80", SOCK_STREAM);
	int endpoint = world_socket(A4, SOCK_STREAM);
	pid_t self = getpid();
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != 0xEFFFFFFC) {
		weir_close(&direct);
		weir_close(&endpoint);
		skip_test("not in the initial pid namespace");
	}
	world_publish(kernel, fes, 1);
	reaches("127.0.0.9:80", AF_INET, endpoint);
	ok(weir_kernel_set_self(kernel, &self, 1) == 0, "set");
	reaches("127.0.0.9:80", AF_INET, direct);
	ok(weir_kernel_set_self(kernel, NULL, 0) == 0, "unset");
	reaches("127.0.0.9:80", AF_INET, endpoint);
	weir_close(&direct);
	weir_close(&endpoint);
}

static void begin_without_what_is_newer(void)
{
	struct weir_kernel_config config;

	weir_kernel_close(&kernel);
	world_config(&config);
	config.without = WEIR_WITHOUT_RETVAL | WEIR_WITHOUT_LOOP |
			 WEIR_WITHOUT_INGRESS | WEIR_WITHOUT_TCX;
	kernel = world_kernel(&config);
}

/* The hook could only say EPERM: the relay refuses, where one can be reached.
 */
static void refusals_are_left_to_the_relay(void)
{
	static const struct mini_fe fes[] = {
		{VIP4, IPPROTO_TCP, .proxy_index = 5,
		 .refs = {{1, NULL, NULL}}},
		{"10.77.0.2:80", IPPROTO_TCP, .refs = {{1, NULL, NULL}}},
	};
	static const struct mini_fe udp[] = {
		{VIP4, IPPROTO_UDP, .refs = {{1, NULL, NULL}}},
	};
	struct sockaddr_storage sa;
	socklen_t len = world_sockaddr(VIP4, AF_INET, &sa);
	int fd, peer;

	world_publish(kernel, fes, 2);
	fd = world_connect(VIP4, AF_INET, SOCK_STREAM);
	ok(fd >= 0, "%s", strerror(-fd));
	peer = accept4(world.listener[0], NULL, NULL, SOCK_CLOEXEC);
	is_name(peer, false, "198.19.240.5:80");
	is_name(fd, true, VIP4);
	weir_close(&peer);
	weir_close(&fd);
	fd = world_connect("10.77.0.2:80", AF_INET, SOCK_STREAM);
	ok(fd == -ENETUNREACH, "not untouched: %s", strerror(-fd));
	world_publish(kernel, udp, 1);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok(sendto(fd, "x", 1, 0, (struct sockaddr *)&sa, len) < 0 &&
		   errno == ENETUNREACH,
	   "a datagram is not untouched: %s", strerror(errno));
	weir_close(&fd);
}

static void begin(void)
{
	world_begin("connect");
	kernel = world_kernel(NULL);
}

static void end(void)
{
	weir_kernel_close(&kernel);
	world_end();
}

TAP_MAIN(TEST(begin), TEST(unknown_addresses_pass_untouched),
	 TEST(connections_go_to_endpoints), TEST(weights_are_exact),
	 TEST(affinity_stays_with_its_endpoint),
	 TEST(empty_and_invalid_shares_are_refused),
	 TEST(datagrams_of_connected_sockets),
	 TEST(datagrams_of_unconnected_sockets),
	 TEST(an_association_sticks_until_its_endpoint_goes),
	 TEST(connections_are_counted), TEST(datagram_sockets_are_counted),
	 TEST(own_processes_are_left_alone), TEST(begin_without_what_is_newer),
	 TEST(connections_go_to_endpoints),
	 TEST(affinity_stays_with_its_endpoint),
	 TEST(an_association_sticks_until_its_endpoint_goes),
	 TEST(refusals_are_left_to_the_relay), TEST(end))
