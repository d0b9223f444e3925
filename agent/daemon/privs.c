// SPDX-License-Identifier: Apache-2.0
#include "privs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "str.h"

/* Since Linux 5.8 and 5.9; older headers lack them. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

/* What the agent does after loading:
 *   CAP_BPF, CAP_NET_ADMIN  attach programs to new interfaces, write maps,
 *                           routes and filters by netlink
 *   CAP_PERFMON             the verifier's trust, should programs be loaded
 *                           again (tests of features, XDP)
 *   CAP_NET_BIND_SERVICE    datagram sockets of frontends below port 1024,
 *                           and the test whether a port is taken
 *   CAP_DAC_READ_SEARCH     manifests that belong to another user */
static const uint64_t agent_caps = 1ull << CAP_BPF | 1ull << CAP_NET_ADMIN |
				   1ull << CAP_PERFMON |
				   1ull << CAP_NET_BIND_SERVICE |
				   1ull << CAP_DAC_READ_SEARCH;

int weir_user_find(const char *user, uid_t *ret_uid, gid_t *ret_gid)
{
	struct weir_str text = weir_str_of(user);
	ptrdiff_t colon = weir_str_find(text, ':');
	struct weir_str first = {text.p, colon < 0 ? text.n : (size_t)colon};
	uint64_t uid;
	uint64_t gid;

	if (weir_str_parse_u64(first, UINT32_MAX - 1, &uid) == 0) {
		gid = uid;
		if (colon >= 0 &&
		    weir_str_parse_u64(weir_str_skip(text, (size_t)colon + 1),
				       UINT32_MAX - 1, &gid) < 0) {
			return -ESRCH;
		}
	} else {
		struct passwd *pw = getpwnam(user);

		if (!pw) {
			return -ESRCH;
		}
		uid = pw->pw_uid;
		gid = pw->pw_gid;
	}
	*ret_uid = (uid_t)uid;
	*ret_gid = (gid_t)gid;
	return 0;
}

int weir_netns_enter(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
		return -errno;
	}
	return 0;
}

uint64_t weir_nofile_raise(uint64_t n)
{
	struct rlimit have;
	struct rlimit want;

	if (getrlimit(RLIMIT_NOFILE, &have) < 0) {
		return 1024;
	}
	if (have.rlim_cur >= n) {
		return have.rlim_cur;
	}
	want.rlim_cur = n;
	want.rlim_max = n > have.rlim_max ? n : have.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &want) == 0) {
		return n;
	}
	want.rlim_cur = want.rlim_max = have.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &want) == 0 ? want.rlim_cur
						    : have.rlim_cur;
}

void weir_keep_memory(void)
{
	const struct rlimit none = {0};

	/* The limit alone does not hold where cores go to a program
	 * (core(5), "Piping core dumps to a program"). */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

int weir_follow_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
		return -errno;
	}
	return getppid() == parent ? 0 : -ESRCH;
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(caps >> (32 * i));
		data[i].permitted = data[i].effective;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static uint64_t permitted_caps(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) < 0) {
		return 0;
	}
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* Without CAP_SETPCAP the bounding set stays; nothing is gained by it, as
 * no_new_privs forbids that an exec adds from it. */
static void drop_bounding(uint64_t keep)
{
	for (int cap = 0; cap < 64; cap++) {
		if (!(keep >> cap & 1)) {
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
		}
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int weir_privs_drop_all(uid_t uid, gid_t gid)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return -errno;
	}
	drop_bounding(0);
	if (geteuid() == 0 && uid != 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	     setresuid(uid, uid, uid) < 0)) {
		return -errno;
	}
	return set_caps(0);
}

int weir_privs_drop_agent(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return -errno;
	}
	drop_bounding(agent_caps);
	return set_caps(agent_caps & permitted_caps());
}
