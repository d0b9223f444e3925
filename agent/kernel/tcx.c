// SPDX-License-Identifier: Apache-2.0
/*
 * Programs on interfaces: TCX and XDP by pinned bpf links, clsact by filters.
 * libbpf 1.1 does not know TCX, so the link is made with the system call.
 *
 * Names below the pinned directory: tc-IFINDEX-in, tc-IFINDEX-out,
 * xdp-IFINDEX; a directory clsact-IFINDEX says that there are filters of ours,
 * a directory qdisc-IFINDEX that the qdisc is ours as well.
 *
 * Ours run first in both directions.  Behind a foreign program that returns
 * TC_ACT_OK they would not run at all, and half a translation is worse than
 * none; ours let the others run.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "log.h"
#include "netdev.h"

/* Linux 6.6; not in the headers of Debian 12. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define MPROG_BEFORE (1u << 3)

#define FILTER_PRIORITY 1
#define FILTER_HANDLE 0x7765u

/* The part of union bpf_attr that BPF_LINK_CREATE reads for TCX. */
struct link_create {
	uint32_t prog_fd;
	uint32_t ifindex;
	uint32_t attach_type;
	uint32_t flags;
	uint32_t relative_fd;
	uint32_t pad;
	uint64_t expected_revision;
};

/* The part of struct bpf_link_info that TCX and XDP links have in common. */
struct link_info {
	uint32_t type;
	uint32_t id;
	uint32_t prog_id;
	uint32_t pad;
	uint32_t ifindex; /* 0: the interface is gone */
	uint32_t attach_type;
	uint8_t rest[64];
};

static void pin_name(char out[static 32], uint32_t ifindex, enum weir_hook hook)
{
	static const char *const forms[_WEIR_HOOK_MAX] = {
		[WEIR_HOOK_INGRESS] = "tc-%u-in",
		[WEIR_HOOK_EGRESS] = "tc-%u-out",
		[WEIR_HOOK_XDP] = "xdp-%u",
	};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(out, 32, forms[hook], ifindex);
#pragma GCC diagnostic pop
}

/* The pinned link of a hook if it still holds this interface. */
static int find_link(const char *pin_path, const char *name, uint32_t ifindex,
		     int *ret_fd)
{
	struct link_info info = {};
	uint32_t len = sizeof(info);
	_cleanup_close_ int fd = -1;
	int r;

	r = weir_pin_get(pin_path, name, &fd);
	if (r < 0) {
		return r;
	}
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		return -errno;
	}
	if (info.ifindex != ifindex) {
		/* An earlier interface had this number. */
		r = weir_pin_remove(pin_path, name);
		return r < 0 ? r : -ENOENT;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int pin_link(const char *pin_path, const char *name, int fd)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", pin_path, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

/* 0 if the hook's link is there and runs prog_fd now; -ENOENT. */
static int update_link(const char *pin_path, const char *name, uint32_t ifindex,
		       int prog_fd)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = find_link(pin_path, name, ifindex, &fd);
	if (r < 0) {
		return r;
	}
	return bpf_link_update(fd, prog_fd, NULL) < 0 ? -errno : 0;
}

int weir_tcx_attach(const char *pin_path, uint32_t ifindex, enum weir_hook hook,
		    int prog_fd)
{
	struct link_create attr = {
		.prog_fd = (uint32_t)prog_fd,
		.ifindex = ifindex,
		.attach_type = hook == WEIR_HOOK_INGRESS ? TCX_INGRESS
							 : TCX_EGRESS,
		.flags = MPROG_BEFORE, /* nothing relative: the first */
	};
	_cleanup_close_ int fd = -1;
	char name[32];
	int r;

	pin_name(name, ifindex, hook);
	r = update_link(pin_path, name, ifindex, prog_fd);
	if (r != -ENOENT) {
		return r;
	}
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : pin_link(pin_path, name, fd);
}

int weir_xdp_attach(const char *pin_path, uint32_t ifindex, int prog_fd,
		    uint32_t flags)
{
	DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	_cleanup_close_ int fd = -1;
	char name[32];
	int r;

	pin_name(name, ifindex, WEIR_HOOK_XDP);
	r = update_link(pin_path, name, ifindex, prog_fd);
	if (r != -ENOENT) {
		return r;
	}
	fd = bpf_link_create(prog_fd, (int)ifindex, BPF_XDP, &opts);
	return fd < 0 ? -errno : pin_link(pin_path, name, fd);
}

int weir_link_detach(const char *pin_path, uint32_t ifindex,
		     enum weir_hook hook)
{
	char name[32];

	pin_name(name, ifindex, hook);
	return weir_pin_remove(pin_path, name);
}

/* --------------------------------------------------------------- clsact */

/* A fact about an interface, as an empty directory. */
static int note(const char *pin_path, const char *what, uint32_t ifindex)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s-%u", pin_path, what, ifindex) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Takes a note back.  1: it was there. */
static int unnote(const char *pin_path, const char *what, uint32_t ifindex)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s-%u", pin_path, what, ifindex) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (rmdir(path) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	return 1;
}

static enum bpf_tc_attach_point point_of(enum weir_hook hook)
{
	return hook == WEIR_HOOK_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

int weir_clsact_attach(const char *pin_path, uint32_t ifindex,
		       enum weir_hook hook, int prog_fd)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, where, .ifindex = (int)ifindex,
			    .attach_point = point_of(hook));
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd,
			    .priority = FILTER_PRIORITY,
			    .handle = FILTER_HANDLE, .flags = BPF_TC_F_REPLACE);
	int r;

	r = bpf_tc_hook_create(&where);
	if (r < 0 && r != -EEXIST) {
		return r;
	}
	if (r == 0) {
		r = note(pin_path, "qdisc", ifindex);
		if (r < 0) {
			return r;
		}
	}
	r = note(pin_path, "clsact", ifindex);
	return r < 0 ? r : bpf_tc_attach(&where, &opts);
}

/* arg: counts filters. */
static int count_filter(void *arg, const struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_NEWTFILTER) {
		++*(int *)arg;
	}
	return 0;
}

static int count_filters(int fd, uint32_t ifindex, int *ret_n)
{
	static const uint32_t parents[] = {
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
	int n = 0;

	for (size_t i = 0; i < 2; i++) {
		struct tcmsg tc = {.tcm_family = AF_UNSPEC,
				   .tcm_ifindex = (int)ifindex,
				   .tcm_parent = parents[i]};
		struct weir_rtnl_request rq;
		int r;

		weir_rtnl_begin(&rq, RTM_GETTFILTER, 0, &tc, sizeof(tc));
		r = weir_rtnl_dump(fd, &rq, count_filter, &n);
		if (r < 0) {
			return r;
		}
	}
	*ret_n = n;
	return 0;
}

/* Removes the qdisc unless somebody else's filters are on it. */
static int remove_qdisc(uint32_t ifindex)
{
	struct tcmsg tc = {.tcm_family = AF_UNSPEC,
			   .tcm_ifindex = (int)ifindex,
			   .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
			   .tcm_parent = TC_H_CLSACT};
	struct weir_rtnl_request rq;
	_cleanup_close_ int fd = -1;
	int n, r;

	r = weir_rtnl_open(&fd);
	if (r < 0) {
		return r;
	}
	r = count_filters(fd, ifindex, &n);
	if (r < 0 || n > 0) {
		return r;
	}
	weir_rtnl_begin(&rq, RTM_DELQDISC, 0, &tc, sizeof(tc));
	return weir_rtnl_do(fd, &rq);
}

/* The interface, or what was on it, is gone: then nothing is left to remove. */
static bool is_gone(int r)
{
	return r == -ENODEV || r == -ENOENT || r == -EINVAL;
}

int weir_clsact_remove(uint32_t ifindex, enum weir_hook hook)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, where, .ifindex = (int)ifindex,
			    .attach_point = point_of(hook));
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .priority = FILTER_PRIORITY,
			    .handle = FILTER_HANDLE);
	int r = bpf_tc_detach(&where, &opts);

	return is_gone(r) ? 0 : r;
}

int weir_clsact_detach(const char *pin_path, uint32_t ifindex)
{
	int r;

	r = unnote(pin_path, "clsact", ifindex);
	if (r < 0) {
		return r;
	}
	for (int hook = 0; r > 0 && hook <= WEIR_HOOK_EGRESS; hook++) {
		int failed = weir_clsact_remove(ifindex, (enum weir_hook)hook);

		if (failed < 0) {
			return failed;
		}
	}
	r = unnote(pin_path, "qdisc", ifindex);
	if (r > 0) {
		r = remove_qdisc(ifindex);
	}
	return is_gone(r) ? 0 : r;
}

/* ------------------------------------------------------------------ all */

static uint32_t ifindex_of(const char *name)
{
	static const char *const heads[] = {"tc-", "xdp-", "clsact-", "qdisc-"};

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		size_t n = strlen(heads[i]);

		if (strncmp(name, heads[i], n) == 0) {
			return (uint32_t)strtoul(name + n, NULL, 10);
		}
	}
	return 0;
}

int weir_attached_each(const char *pin_path,
		       void (*fn)(void *arg, uint32_t ifindex), void *arg)
{
	_cleanup_(weir_close_dir) DIR *dir = opendir(pin_path);
	const struct dirent *entry;
	_cleanup_free_ uint32_t *seen = NULL;
	size_t n = 0, cap = 0;

	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	/* First all names, then the calls: they change the directory. */
	while ((entry = readdir(dir))) {
		uint32_t ifindex = ifindex_of(entry->d_name);

		if (!ifindex) {
			continue;
		}
		if (n == cap) {
			uint32_t *more = reallocarray(seen, cap * 2 + 64,
						      sizeof(*more));

			if (!more) {
				return -ENOMEM;
			}
			seen = more;
			cap = cap * 2 + 64;
		}
		seen[n++] = ifindex;
	}
	for (size_t i = 0; i < n; i++) {
		fn(arg, seen[i]);
	}
	return 0;
}
