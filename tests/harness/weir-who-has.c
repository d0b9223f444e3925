// SPDX-License-Identifier: Apache-2.0
/*
 * Asks a LAN who has an address, as arping and ndisc6 do, and counts who
 * answers: every question by itself, so that two answers to one are seen.
 *
 *	weir-who-has [-c QUESTIONS] [-i MS] INTERFACE ADDRESS
 *
 * -c: how many, default 1; 0: until SIGTERM, and stderr says "asking" when the
 * first one is over.  -i: from one question to the next, the time that answers
 * are waited for, default 100.  Prints one line of JSON:
 *
 *	{"asked":9,"silent":1,"single":8,"multiple":0,"repeated":0,
 *	 "longest_silence_ms":100,"answers":{"02:00:00:00:00:01":8},
 *	 "told":{"02:00:00:00:00:01":2}}
 *
 * Questions that nobody answered, one host did, or several; repeated: a host
 * answered more than once (or another program asked from here).  told:
 * announcements that nobody asked for (gratuitous ARP, unsolicited
 * advertisements).  Status 1: an argument is wrong, or no raw socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MACS_MAX 16

struct tally {
	uint8_t mac[MACS_MAX][6];
	unsigned int n[MACS_MAX];
	unsigned int used;
};

static struct {
	int fd;
	int ifindex;
	uint8_t mac[6];
	bool is_v6;
	uint8_t target[16];
	uint8_t source[16];
	struct tally answers;
	struct tally told;
	unsigned int asked, silent, single, multiple, repeated;
	unsigned int run, longest; /* of silent questions */
} w;

static volatile sig_atomic_t is_over;

static void on_term(int signo)
{
	(void)signo;
	is_over = 1;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void note(struct tally *t, const uint8_t *mac)
{
	unsigned int i = 0;

	while (i < t->used && memcmp(t->mac[i], mac, 6) != 0) {
		i++;
	}
	if (i == MACS_MAX) {
		return;
	}
	if (i == t->used) {
		memcpy(t->mac[t->used++], mac, 6);
	}
	t->n[i]++;
}

static void print(const char *name, const struct tally *t)
{
	printf(",\"%s\":{", name);
	for (unsigned int i = 0; i < t->used; i++) {
		const uint8_t *m = t->mac[i];

		printf("%s\"%02x:%02x:%02x:%02x:%02x:%02x\":%u", i ? "," : "",
		       m[0], m[1], m[2], m[3], m[4], m[5], t->n[i]);
	}
	printf("}");
}

/* ----------------------------------------------------------------- frames */

static size_t ask4(uint8_t f[static 86])
{
	static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

	memset(f, 0xFF, 6);
	memcpy(f + 6, w.mac, 6);
	memcpy(f + 12, head, sizeof(head));
	memcpy(f + 22, w.mac, 6);
	memcpy(f + 28, w.source, 4);
	memset(f + 32, 0, 6);
	memcpy(f + 38, w.target, 4);
	return 42;
}

static size_t ask6(uint8_t f[static 86])
{
	static const uint8_t group[] = {0x33, 0x33, 0xff};
	static const uint8_t head[] = {0x86, 0xdd, 0x60, 0,    0,
				       0,    0,    0x20, 0x3a, 0xff};
	/* ff02::1:ff00:0/104 (RFC 4291 section 2.7.1) */
	static const uint8_t solicited[13] = {
		[0] = 0xff, [1] = 2, [11] = 1, [12] = 0xff};
	uint8_t *ip = f + 14, *m = f + 54;
	uint32_t sum = 32 + IPPROTO_ICMPV6;

	memset(f, 0, 86);
	memcpy(f, group, sizeof(group));
	memcpy(f + 3, w.target + 13, 3);
	memcpy(f + 6, w.mac, 6);
	memcpy(f + 12, head, sizeof(head));
	memcpy(ip + 8, w.source, 16);
	memcpy(ip + 24, solicited, sizeof(solicited));
	memcpy(ip + 37, w.target + 13, 3);
	m[0] = 135;
	memcpy(m + 8, w.target, 16);
	m[24] = 1;
	m[25] = 1;
	memcpy(m + 26, w.mac, 6);
	for (uint8_t *p = ip + 8; p < f + 86; p += 2) {
		sum += (uint32_t)p[0] << 8 | p[1];
	}
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	m[2] = (uint8_t)(~sum >> 8);
	m[3] = (uint8_t)~sum;
	return 86;
}

/* 0: not about the address; 1: an answer to us; 2: an announcement. */
static int judge(const uint8_t *f, size_t n)
{
	if (n < 14 || memcmp(f + 6, w.mac, 6) == 0) {
		return 0;
	}
	if (!w.is_v6) {
		if (n < 42 || memcmp(f + 12, "\x08\x06", 2) != 0 ||
		    memcmp(f + 28, w.target, 4) != 0) {
			return 0;
		}
		return f[21] == 2 && memcmp(f, w.mac, 6) == 0 ? 1
		       : memcmp(f + 38, w.target, 4) == 0     ? 2
							      : 0;
	}
	if (n < 78 || memcmp(f + 12, "\x86\xdd", 2) != 0 ||
	    f[20] != IPPROTO_ICMPV6 || f[54] != 136 ||
	    memcmp(f + 62, w.target, 16) != 0) {
		return 0;
	}
	return f[58] & 0x40 ? 1 : 2;
}

/* ----------------------------------------------------------------- asking */

static void ask(uint64_t wait_ms)
{
	uint8_t f[2048];
	uint64_t end = now_ms() + wait_ms;
	size_t n = w.is_v6 ? ask6(f) : ask4(f);
	struct tally here = {0};
	unsigned int answers = 0;

	w.asked++;
	if (send(w.fd, f, n, 0) < 0) {
		perror("send");
	}
	for (uint64_t now; !is_over && (now = now_ms()) < end;) {
		struct pollfd p = {.fd = w.fd, .events = POLLIN};
		ssize_t got;
		int what;

		if (poll(&p, 1, (int)(end - now)) <= 0) {
			continue;
		}
		got = recv(w.fd, f, sizeof(f), 0);
		what = got > 0 ? judge(f, (size_t)got) : 0;
		if (what == 1) {
			answers++;
			note(&here, f + 6);
		}
		if (what) {
			note(what == 1 ? &w.answers : &w.told, f + 6);
		}
	}
	if (is_over && answers == 0) {
		w.asked--; /* its time was not over */
		return;
	}
	w.silent += answers == 0;
	w.single += here.used == 1;
	w.multiple += here.used > 1;
	w.repeated += answers > here.used;
	w.run = answers ? 0 : w.run + 1;
	w.longest = w.run > w.longest ? w.run : w.longest;
}

static bool find_source(const char *name)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0) {
		return false;
	}
	for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next) {
		const void *sa = a->ifa_addr;
		const struct sockaddr_in *in4 = sa;
		const struct sockaddr_in6 *in6 = sa;

		if (!sa || strcmp(a->ifa_name, name) != 0) {
			continue;
		}
		if (!w.is_v6 && a->ifa_addr->sa_family == AF_INET) {
			memcpy(w.source, &in4->sin_addr, 4);
			found = true;
		} else if (w.is_v6 && a->ifa_addr->sa_family == AF_INET6) {
			memcpy(w.source, &in6->sin6_addr, 16);
			found = true;
		}
	}
	freeifaddrs(all);
	return found;
}

static bool open_on(const char *name)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL)};
	struct ifreq ifr = {0};

	w.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	sll.sll_ifindex = (int)if_nametoindex(name);
	if (w.fd < 0 || ioctl(w.fd, SIOCGIFHWADDR, &ifr) < 0 ||
	    bind(w.fd, (const struct sockaddr *)&sll, sizeof(sll)) < 0) {
		perror(name);
		return false;
	}
	memcpy(w.mac, ifr.ifr_hwaddr.sa_data, 6);
	return true;
}

int main(int argc, char **argv)
{
	struct sigaction term = {.sa_handler = on_term};
	unsigned long count = 1, wait_ms = 100;
	int opt;

	while ((opt = getopt(argc, argv, "c:i:")) != -1) {
		if (opt == 'c') {
			count = strtoul(optarg, NULL, 10);
		} else if (opt == 'i') {
			wait_ms = strtoul(optarg, NULL, 10);
		} else {
			return 1;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: weir-who-has [-c QUESTIONS] [-i MS] "
				"INTERFACE ADDRESS\n");
		return 1;
	}
	w.is_v6 = inet_pton(AF_INET, argv[optind + 1], w.target) != 1;
	if (w.is_v6 && inet_pton(AF_INET6, argv[optind + 1], w.target) != 1) {
		fprintf(stderr, "%s: no address\n", argv[optind + 1]);
		return 1;
	}
	if (!find_source(argv[optind]) || !open_on(argv[optind])) {
		fprintf(stderr, "%s: no address to ask from\n", argv[optind]);
		return 1;
	}
	sigaction(SIGTERM, &term, NULL);
	for (unsigned long i = 0; (count == 0 || i < count) && !is_over; i++) {
		ask(wait_ms);
		if (count == 0 && i == 0) {
			fputs("asking\n", stderr);
		}
	}
	printf("{\"asked\":%u,\"silent\":%u,\"single\":%u,\"multiple\":%u,"
	       "\"repeated\":%u,\"longest_silence_ms\":%lu",
	       w.asked, w.silent, w.single, w.multiple, w.repeated,
	       w.longest * wait_ms);
	print("answers", &w.answers);
	print("told", &w.told);
	printf("}\n");
	return 0;
}
