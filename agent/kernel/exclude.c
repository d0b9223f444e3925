// SPDX-License-Identifier: Apache-2.0
/*
 * Whose sockets the connect plane leaves alone: weir's own processes, cgroups
 * with all below them, network namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "fdutil.h"
#include "log.h"
#include "private.h"

#define CGROUP2_MAGIC 0x63677270
#define CGROUP_ROOT_ID 1
#define DEPTH_MAX 64

/* Makes the keys of a map of struct {key -> 1} exactly these. */
static int replace_keys(int fd, const void *keys, size_t n, size_t key_size)
{
	const uint8_t one = 1;
	uint64_t at = 0, next = 0;
	const void *prev = NULL;

	for (size_t i = 0; i < n; i++) {
		if (bpf_map_update_elem(fd, (const char *)keys + i * key_size,
					&one, BPF_ANY) < 0) {
			return -errno;
		}
	}
	while (bpf_map_get_next_key(fd, prev, &next) == 0) {
		bool is_wanted = false;

		for (size_t i = 0; i < n && !is_wanted; i++) {
			is_wanted = memcmp((const char *)keys + i * key_size,
					   &next, key_size) == 0;
		}
		if (!is_wanted) {
			/* Start over from the last key that stays. */
			bpf_map_delete_elem(fd, &next);
			continue;
		}
		at = next;
		prev = &at;
	}
	return 0;
}

int weir_exclude_set_self(struct weir_kernel *kernel, const pid_t *pids,
			  size_t n)
{
	struct weir_self *self = kernel->map_mem[WEIR_MAP_SELF];

	if (n > WEIR_SELF_MAX) {
		return -E2BIG;
	}
	for (size_t i = 0; i < WEIR_SELF_MAX; i++) {
		*(volatile uint32_t *)&self->tgid[i] = i < n ? (uint32_t)pids[i]
							     : 0;
	}
	return 0;
}

/* ----------------------------------------------------------- namespaces */

/* Its cookie is known only inside: a child goes there. */
static int cookie_of(const char *path, uint64_t *ret_cookie)
{
	_cleanup_close_ int ns = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int in = -1;
	_cleanup_close_ int out = -1;
	uint64_t cookie = 0;
	int pipes[2];
	ssize_t n;
	pid_t pid;

	if (ns < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
		return -errno;
	}
	in = pipes[0];
	out = pipes[1];
	pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		if (setns(ns, CLONE_NEWNET) == 0) {
			cookie = weir_netns_cookie();
		}
		_exit(write(out, &cookie, sizeof(cookie)) < 0);
	}
	weir_close(&out);
	n = read(in, &cookie, sizeof(cookie));
	waitpid(pid, NULL, 0);
	if (n != (ssize_t)sizeof(cookie) || cookie == 0) {
		return -EIO;
	}
	*ret_cookie = cookie;
	return 0;
}

/* -------------------------------------------------------------- cgroups */

/* Id and level of an open cgroup directory; level < 0: the mount does not show
 * the root, so it cannot be told.  *ret_top: the topmost directory seen. */
static int place_of(int fd, uint64_t *ret_id, int *ret_level, int *ret_top)
{
	_cleanup_close_ int at = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	struct stat here, up;
	struct statfs fs;
	int level = 0;

	if (at < 0 || fstatfs(at, &fs) < 0 || fstat(at, &here) < 0) {
		return -errno;
	}
	if ((unsigned long)fs.f_type != CGROUP2_MAGIC) {
		return -ENOTSUP;
	}
	*ret_id = here.st_ino;
	while (level < DEPTH_MAX) {
		int parent = openat(at, "..",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (parent < 0) {
			return -errno;
		}
		if (fstat(parent, &up) < 0 || up.st_dev != here.st_dev) {
			weir_close(&parent);
			break;
		}
		weir_close(&at);
		at = parent;
		here = up;
		level++;
	}
	*ret_level = here.st_ino == CGROUP_ROOT_ID ? level : -1;
	*ret_top = TAKE_FD(at);
	return 0;
}

struct skips {
	uint64_t ids[1024];
	size_t n;
	uint32_t levels;
};

static int add_cgroup(struct skips *s, int fd)
{
	_cleanup_close_ int top = -1;
	uint64_t id = 0;
	int level = 0;
	int r;

	r = place_of(fd, &id, &level, &top);
	if (r < 0) {
		return r;
	}
	if (id == CGROUP_ROOT_ID) {
		return -EINVAL; /* that would be everyone */
	}
	if (level >= 32 || s->n == sizeof(s->ids) / sizeof(s->ids[0])) {
		return -E2BIG;
	}
	s->ids[s->n++] = id;
	s->levels |= level < 0 ? 0xFFFFFFFFu : 1u << level;
	return 0;
}

/* Where pids mean nothing to BPF, our own cgroup stands for us. */
static int add_own(struct weir_kernel *kernel, struct skips *s)
{
	_cleanup_close_ int dir = open(kernel->config.cgroup,
				       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int top = -1, own = -1;
	_cleanup_buf_ struct weir_buf text = {};
	const char *line, *end;
	uint64_t id;
	int level, r;

	if (dir < 0) {
		return -errno;
	}
	r = place_of(dir, &id, &level, &top);
	if (r < 0) {
		return r;
	}
	r = weir_read_file_at(AT_FDCWD, "/proc/self/cgroup", 65536, &text);
	if (r < 0) {
		return r;
	}
	weir_buf_add(&text, "", 1);
	if (text.error) {
		return text.error;
	}
	line = strncmp(text.p, "0::/", 4) == 0 ? text.p
					       : strstr(text.p, "\n0::/");
	if (!line) {
		return -ENOENT;
	}
	line = strchr(line, '/') + 1;
	end = strchrnul(line, '\n');
	_cleanup_free_ char *path = strndup(line, (size_t)(end - line));
	if (!path) {
		return -ENOMEM;
	}
	own = openat(top, *path ? path : ".",
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return own < 0 ? -errno : add_cgroup(s, own);
}

static int apply_cgroups(struct weir_kernel *kernel)
{
	static struct skips s; /* 8 KiB; one kernel per process at a time */
	int r;

	s = (struct skips){};
	for (size_t i = 0; i < kernel->config.n_skip_cgroups; i++) {
		const char *path = kernel->config.skip_cgroups[i];
		_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY |
							    O_CLOEXEC);

		r = fd < 0 ? -errno : add_cgroup(&s, fd);
		if (r < 0) {
			weir_warn("cgroup is not excluded path=%s error=\"%s\"",
				  path, strerror(-r));
		}
	}
	if (!kernel->features.is_init_pidns && kernel->config.cgroup) {
		r = add_own(kernel, &s);
		if (r < 0) {
			weir_warn("own sockets are not excluded error=\"%s\"",
				  strerror(-r));
		}
	}
	kernel->conf.skip_levels = s.levels;
	return replace_keys(kernel->map_fd[WEIR_MAP_SKIPCG], s.ids, s.n,
			    sizeof(s.ids[0]));
}

int weir_exclude_apply(struct weir_kernel *kernel)
{
	uint64_t cookies[1024];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < kernel->config.n_skip_netns; i++) {
		const char *path = kernel->config.skip_netns[i];

		r = n < 1024 ? cookie_of(path, &cookies[n]) : -E2BIG;
		if (r < 0) {
			weir_warn("network namespace is not excluded path=%s "
				  "error=\"%s\"",
				  path, strerror(-r));
			continue;
		}
		n++;
	}
	kernel->conf.has_skipns = n > 0;
	r = replace_keys(kernel->map_fd[WEIR_MAP_SKIPNS], cookies, n,
			 sizeof(cookies[0]));
	if (r < 0) {
		return r;
	}
	return apply_cgroups(kernel);
}
