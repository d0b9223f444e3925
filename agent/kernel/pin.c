// SPDX-License-Identifier: Apache-2.0
/*
 * The pinned directory and the links in it.  One agent holds it, by flock; the
 * lock goes with the process, what is pinned stays.  Names are replaced by
 * rename, links by bpf_link update: there is no instant without either.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "log.h"
#include "private.h"

#define BPFFS_MAGIC 0xCAFE4A11

static const enum bpf_attach_type attach_types[_WEIR_PROGRAM_MAX] = {
	[WEIR_PROGRAM_CONNECT4] = BPF_CGROUP_INET4_CONNECT,
	[WEIR_PROGRAM_CONNECT6] = BPF_CGROUP_INET6_CONNECT,
	[WEIR_PROGRAM_SENDMSG4] = BPF_CGROUP_UDP4_SENDMSG,
	[WEIR_PROGRAM_SENDMSG6] = BPF_CGROUP_UDP6_SENDMSG,
	[WEIR_PROGRAM_RECVMSG4] = BPF_CGROUP_UDP4_RECVMSG,
	[WEIR_PROGRAM_RECVMSG6] = BPF_CGROUP_UDP6_RECVMSG,
	[WEIR_PROGRAM_PEERNAME4] = BPF_CGROUP_INET4_GETPEERNAME,
	[WEIR_PROGRAM_PEERNAME6] = BPF_CGROUP_INET6_GETPEERNAME,
	[WEIR_PROGRAM_RELEASE] = BPF_CGROUP_INET_SOCK_RELEASE,
	[WEIR_PROGRAM_ACCOUNT] = BPF_CGROUP_SOCK_OPS,
	[WEIR_PROGRAM_STEER] = BPF_SK_LOOKUP,
};

int weir_pin_path(const struct weir_kernel_config *config, char **ret_path)
{
	char *path;

	if (asprintf(&path, "%s/v%d", config->pin_dir, WEIR_ABI_VERSION) < 0) {
		return -ENOMEM;
	}
	*ret_path = path;
	return 0;
}

static int pin_name(const char *pin_path, const char *name, char **ret_path)
{
	if (asprintf(ret_path, "%s/%s", pin_path, name) < 0) {
		return -ENOMEM;
	}
	return 0;
}

/* mkdir -p. */
static int make_dirs(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy) {
		return -ENOMEM;
	}
	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0') {
			continue;
		}
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
			return -errno;
		}
		if (c == '\0') {
			return 0;
		}
		*p = c;
	}
}

int weir_pin_meta(const char *pin_path, struct weir_meta *ret_meta)
{
	_cleanup_close_ int fd = -1;
	struct weir_meta meta;
	uint32_t key = 0;
	int r;

	r = weir_pin_get(pin_path, weir_map_names[WEIR_MAP_META], &fd);
	if (r < 0) {
		return r;
	}
	if (bpf_map_lookup_elem(fd, &key, &meta) < 0) {
		return -errno;
	}
	*ret_meta = meta;
	return 0;
}

/* Who holds the directory, as far as its maps tell. */
static pid_t holder_of(const char *pin_path)
{
	struct weir_meta meta = {};

	return weir_pin_meta(pin_path, &meta) < 0 ? 0 : (pid_t)meta.agent_pid;
}

int weir_pin_lock(const char *pin_path, bool may_create, int *ret_fd,
		  pid_t *ret_holder)
{
	_cleanup_close_ int fd = -1;
	struct statfs fs;
	int r;

	if (may_create) {
		r = make_dirs(pin_path);
		if (r < 0) {
			return r;
		}
	}
	fd = open(pin_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	if (fstatfs(fd, &fs) < 0) {
		return -errno;
	}
	if ((unsigned long)fs.f_type != BPFFS_MAGIC) {
		return -ENOTSUP;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK) {
			return -errno;
		}
		if (ret_holder) {
			*ret_holder = holder_of(pin_path);
		}
		return -EBUSY;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int weir_pin_get(const char *pin_path, const char *name, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	int fd, r;

	r = pin_name(pin_path, name, &path);
	if (r < 0) {
		return r;
	}
	fd = bpf_obj_get(path);
	if (fd < 0) {
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

int weir_pin_put(struct weir_kernel *kernel, int fd, const char *name)
{
	_cleanup_free_ char *path = NULL, *fresh = NULL;
	int r;

	r = pin_name(kernel->pin_path, name, &path);
	if (r < 0) {
		return r;
	}
	if (asprintf(&fresh, "%s_new", path) < 0) {
		return -ENOMEM;
	}
	if (unlink(fresh) < 0 && errno != ENOENT) {
		return -errno;
	}
	if (bpf_obj_pin(fd, fresh) < 0) {
		return -errno;
	}
	if (rename(fresh, path) < 0) {
		r = -errno;
		unlink(fresh);
		return r;
	}
	return 0;
}

int weir_pin_remove(const char *pin_path, const char *name)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int link = -1;
	int r;

	r = pin_name(pin_path, name, &path);
	if (r < 0) {
		return r;
	}
	link = bpf_obj_get(path);
	if (link >= 0) {
		/* Unlinking alone detaches some grace periods later.  Fails for
		 * what is no link, and where the target is gone. */
		bpf_link_detach(link);
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		return -errno;
	}
	return 0;
}

int weir_pin_remove_all(const char *pin_path)
{
	_cleanup_(weir_close_dir) DIR *dir = opendir(pin_path);
	const struct dirent *entry;

	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	/* Links first: what they hold must not run into missing names. */
	for (int i = 0; i < _WEIR_PROGRAM_MAX; i++) {
		int r = weir_pin_remove(pin_path, weir_program_names[i]);

		if (r < 0) {
			return r;
		}
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' &&
		    unlinkat(dirfd(dir), entry->d_name, 0) < 0 &&
		    errno != ENOENT) {
			return -errno;
		}
	}
	return 0;
}

/* Is the link attached to this cgroup or network namespace? */
static bool is_on_target(int link_fd, int target_fd)
{
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);
	struct stat st;

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len) < 0 ||
	    fstat(target_fd, &st) < 0) {
		return false;
	}
	switch (info.type) {
	case BPF_LINK_TYPE_CGROUP:
		/* 0 once the cgroup is gone; the id is the inode number. */
		return info.cgroup.cgroup_id == st.st_ino;
	case BPF_LINK_TYPE_NETNS:
		return info.netns.netns_ino == st.st_ino;
	default:
		return false;
	}
}

int weir_pin_attach(struct weir_kernel *kernel, enum weir_program_index p,
		    int target_fd)
{
	const char *name = weir_program_names[p];
	_cleanup_close_ int link = -1;
	int r;

	r = weir_pin_get(kernel->pin_path, name, &link);
	if (r < 0 && r != -ENOENT) {
		return r;
	}
	if (r == 0 && is_on_target(link, target_fd)) {
		return bpf_link_update(link, kernel->program_fd[p], NULL) < 0
			       ? -errno
			       : 0;
	}
	weir_close(&link);
	link = bpf_link_create(kernel->program_fd[p], target_fd,
			       attach_types[p], NULL);
	if (link < 0) {
		return -errno;
	}
	return weir_pin_put(kernel, link, name);
}
