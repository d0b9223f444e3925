// SPDX-License-Identifier: Apache-2.0
#include "places.h"

#include <errno.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/vfs.h>

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

/* Where cgroup v2 is mounted; NULL: nowhere.  Valid until the next call. */
static const char *cgroup_root(void)
{
	static char path[256];
	struct mntent *m;
	FILE *f = setmntent("/proc/self/mounts", "re");
	bool is_found = false;

	if (!f) {
		return NULL;
	}
	while (!is_found && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2") == 0) {
			snprintf(path, sizeof(path), "%s", m->mnt_dir);
			is_found = true;
		}
	}
	endmntent(f);
	return is_found ? path : NULL;
}

static void choose_cgroup(struct weir_options *o)
{
	if (strcmp(o->cgroup, "none") == 0) {
		o->kernel.cgroup = NULL;
	} else if (strcmp(o->cgroup, "auto") == 0) {
		/* The root holds the sockets of every namespace, so who works
		 * in one of them must name a cgroup. */
		o->kernel.cgroup = o->netns ? NULL : cgroup_root();
	} else {
		o->kernel.cgroup = o->cgroup;
	}
}

static int check_cgroup(const char *path,
			char error[static WEIR_OPTIONS_ERROR_MAX])
{
	struct statfs st;
	int r = statfs(path, &st) < 0 ? -errno : 0;

	if (r == 0 && st.f_type != CGROUP2_SUPER_MAGIC) {
		r = -EINVAL;
	}
	if (r < 0) {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--cgroup %.128s: %s; it takes a directory of cgroup "
			 "v2, or none",
			 path, r == -EINVAL ? "not cgroup v2" : strerror(-r));
	}
	return r;
}

/* The directory itself is made later; what it will lie in counts. */
static int check_pins(const char *path,
		      char error[static WEIR_OPTIONS_ERROR_MAX])
{
	char dir[256];
	struct statfs st;
	int r = -ENAMETOOLONG;

	if ((size_t)snprintf(dir, sizeof(dir), "%s", path) < sizeof(dir)) {
		r = statfs(dir, &st) < 0 ? -errno : 0;
	}
	while (r == -ENOENT && strrchr(dir, '/') > dir) {
		*strrchr(dir, '/') = '\0';
		r = statfs(dir, &st) < 0 ? -errno : 0;
	}
	if (r == 0 && (unsigned long)st.f_type != BPF_FS_MAGIC) {
		r = -EINVAL;
	}
	if (r < 0) {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--pin-dir %.128s: %s; it takes a directory below a "
			 "bpffs (mount -t bpf bpf /sys/fs/bpf)",
			 path, r == -EINVAL ? "not on a bpffs" : strerror(-r));
	}
	return r;
}

int weir_places_settle(struct weir_options *o,
		       char ret_error[static WEIR_OPTIONS_ERROR_MAX])
{
	int r = check_pins(o->kernel.pin_dir, ret_error);

	if (r < 0) {
		return r;
	}
	choose_cgroup(o);
	return o->kernel.cgroup ? check_cgroup(o->kernel.cgroup, ret_error) : 0;
}
