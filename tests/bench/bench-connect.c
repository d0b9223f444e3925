/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connect hook costs: UDP socket + connect + close, in a cgroup with
 * weir's programs and in one without, interleaved in one process.
 *
 *	bench-connect --with CGROUP --without CGROUP --to ADDR:PORT
 *		      --plain ADDR:PORT [--rounds N] [--count N]
 *
 * Without the hook the socket connects to the plain address, with it to the
 * frontend, so both end connected to an endpoint.  Prints one line
 * "with_ns without_ns extra_ns" of medians, and with --stats the kernel's own
 * run-time statistics of the programs attached to the cgroup, one line each:
 * "prog NAME ns_per_run runs".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"

#define ROUNDS_MAX 101
#define PROGS_MAX 64

struct options {
	const char *with;
	const char *without;
	struct sockaddr_storage to;
	socklen_t to_len;
	struct sockaddr_storage plain;
	socklen_t plain_len;
	int rounds;
	int count;
};

struct prog {
	unsigned int id;
	char name[BPF_OBJ_NAME_LEN];
	unsigned long long run_ns;
	unsigned long long runs;
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Moves this process into the cgroup. */
static int enter(const char *cgroup)
{
	char path[4096];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		fprintf(stderr, "bench-connect: cannot enter %s: %m\n", cgroup);
		return -errno;
	}
	return 0;
}

/* ns per socket+connect+close, or < 0. */
static double measure(const struct sockaddr_storage *sa, socklen_t len,
		      int count)
{
	double start = now_ns();

	for (int i = 0; i < count; i++) {
		_cleanup_close_ int fd = socket(sa->ss_family,
						SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0 ||
		    connect(fd, (const struct sockaddr *)sa, len) < 0) {
			fprintf(stderr, "bench-connect: connect: %m\n");
			return -1;
		}
	}
	return (now_ns() - start) / count;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

static int bpf(int cmd, union bpf_attr *attr, size_t size)
{
	return (int)syscall(__NR_bpf, cmd, attr, size);
}

/* Programs of one attach type on a cgroup added to progs[n..]; new n. */
static int query(int cgroup_fd, int type, struct prog *progs, int n)
{
	unsigned int ids[PROGS_MAX] = {0};
	union bpf_attr attr = {0};

	attr.query.target_fd = (unsigned int)cgroup_fd;
	attr.query.attach_type = (unsigned int)type;
	attr.query.prog_ids = (unsigned long)ids;
	attr.query.prog_cnt = PROGS_MAX;
	if (bpf(BPF_PROG_QUERY, &attr, sizeof(attr)) < 0) {
		return n;
	}
	for (unsigned int i = 0; i < attr.query.prog_cnt && n < PROGS_MAX;
	     i++) {
		progs[n++].id = ids[i];
	}
	return n;
}

static int read_prog(struct prog *prog)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {.prog_id = prog->id};
	_cleanup_close_ int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr,
				     sizeof(attr));

	if (fd < 0) {
		return -errno;
	}
	attr = (union bpf_attr){0};
	attr.info.bpf_fd = (unsigned int)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (unsigned long)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) < 0) {
		return -errno;
	}
	memcpy(prog->name, info.name, sizeof(prog->name));
	prog->run_ns = info.run_time_ns;
	prog->runs = info.run_cnt;
	return 0;
}

/* A pass with the kernel's statistics on: they cost time themselves, so it is
 * not one of the timed rounds. */
static int print_stats(const struct options *o)
{
	static const int types[] = {BPF_CGROUP_INET4_CONNECT,
				    BPF_CGROUP_UDP4_SENDMSG,
				    BPF_CGROUP_SOCK_OPS};
	struct prog before[PROGS_MAX] = {0};
	union bpf_attr attr = {.enable_stats.type = BPF_STATS_RUN_TIME};
	_cleanup_close_ int cgroup_fd = open(o->with, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int stats_fd = bpf(BPF_ENABLE_STATS, &attr,
					   sizeof(attr));
	int n = 0;

	if (cgroup_fd < 0 || stats_fd < 0) {
		fprintf(stderr, "bench-connect: statistics: %m\n");
		return -errno;
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		n = query(cgroup_fd, types[i], before, n);
	}
	for (int i = 0; i < n; i++) {
		read_prog(&before[i]);
	}
	if (enter(o->with) < 0 || measure(&o->to, o->to_len, o->count) < 0) {
		return -EIO;
	}
	for (int i = 0; i < n; i++) {
		struct prog after = before[i];
		unsigned long long runs;

		read_prog(&after);
		runs = after.runs - before[i].runs;
		if (runs) {
			printf("prog %s %.1f %llu\n", after.name,
			       (double)(after.run_ns - before[i].run_ns) /
				       (double)runs,
			       runs);
		}
	}
	return 0;
}

static int parse_to(const char *text, struct sockaddr_storage *sa,
		    socklen_t *len)
{
	struct weir_ip ip;
	__be16 port_be;

	if (weir_addr_parse(weir_str_of(text), &ip, &port_be) < 0) {
		fprintf(stderr, "bench-connect: %s: want ADDR:PORT\n", text);
		return -EINVAL;
	}
	*len = weir_addr_to_sockaddr(&ip, port_be, sa);
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	*o = (struct options){.rounds = 9, .count = 100000};
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *v = argv[i + 1];

		if (strcmp(argv[i], "--with") == 0) {
			o->with = v;
		} else if (strcmp(argv[i], "--without") == 0) {
			o->without = v;
		} else if (strcmp(argv[i], "--to") == 0) {
			if (parse_to(v, &o->to, &o->to_len) < 0) {
				return -EINVAL;
			}
		} else if (strcmp(argv[i], "--plain") == 0) {
			if (parse_to(v, &o->plain, &o->plain_len) < 0) {
				return -EINVAL;
			}
		} else if (strcmp(argv[i], "--rounds") == 0) {
			o->rounds = atoi(v);
		} else if (strcmp(argv[i], "--count") == 0) {
			o->count = atoi(v);
		} else {
			fprintf(stderr, "bench-connect: unknown %s\n", argv[i]);
			return -EINVAL;
		}
	}
	if (!o->with || !o->without || !o->to_len || !o->plain_len ||
	    o->rounds < 1 || o->rounds > ROUNDS_MAX || o->count < 1) {
		fprintf(stderr,
			"bench-connect: --with --without --to --plain "
			"are needed; 1..%d rounds\n",
			ROUNDS_MAX);
		return -EINVAL;
	}
	return 0;
}

int main(int argc, char **argv)
{
	double with[ROUNDS_MAX];
	double without[ROUNDS_MAX];
	double extra[ROUNDS_MAX];
	struct options o;

	if (parse(argc, argv, &o) < 0) {
		return 2;
	}
	for (int i = 0; i < o.rounds; i++) {
		if (enter(o.without) < 0) {
			return 1;
		}
		without[i] = measure(&o.plain, o.plain_len, o.count);
		if (enter(o.with) < 0) {
			return 1;
		}
		with[i] = measure(&o.to, o.to_len, o.count);
		if (with[i] < 0 || without[i] < 0) {
			return 1;
		}
		extra[i] = with[i] - without[i];
	}
	printf("udp %.1f %.1f %.1f\n", median(with, o.rounds),
	       median(without, o.rounds), median(extra, o.rounds));
	return print_stats(&o) < 0 ? 1 : 0;
}
