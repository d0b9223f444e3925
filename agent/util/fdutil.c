/* SPDX-License-Identifier: Apache-2.0 */
#include "fdutil.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int weir_read_file_at(int dir_fd, const char *path, size_t max,
		      struct weir_buf *b)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : weir_read_fd(fd, max, b);
}

int weir_read_fd(int fd, size_t max, struct weir_buf *b)
{
	size_t before = b->n;

	for (;;) {
		ssize_t n;
		int r = weir_buf_reserve(b, 16384);

		if (r < 0) {
			return r;
		}
		n = read(fd, b->p + b->n, b->cap - b->n);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			return 0;
		}
		b->n += (size_t)n;
		if (b->n - before > max) {
			return -EFBIG;
		}
	}
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR) {
			continue;
		}
		if (w < 0) {
			return -errno;
		}
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

int weir_memfd_sealed(const char *name, const void *p, size_t n, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create(name,
					      MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0) {
		return -errno;
	}
	r = write_all(fd, p, n);
	if (r < 0) {
		return r;
	}
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) <
	    0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int weir_map_fd(int fd, const void **ret_p, size_t *ret_n)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (st.st_size == 0) {
		return -ENODATA;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		return -errno;
	}
	*ret_p = p;
	*ret_n = (size_t)st.st_size;
	return 0;
}

void weir_unmap(const void **p, size_t n)
{
	if (*p) {
		munmap((void *)(uintptr_t)*p, n);
	}
	*p = NULL;
}

union fd_control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * WEIR_FDS_MAX)];
};

int weir_send_fds(int sock, const void *p, size_t n, const int *fds,
		  size_t n_fds)
{
	union fd_control control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (n_fds > WEIR_FDS_MAX) {
		return -E2BIG;
	}
	if (n_fds) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		r = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		return -errno;
	}
	return (size_t)r == n ? 0 : -EMSGSIZE;
}

ssize_t weir_recv_fds(int sock, void *p, size_t n, int fds[static WEIR_FDS_MAX],
		      size_t *ret_n_fds)
{
	union fd_control control;
	struct iovec iov = {.iov_base = p, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	size_t got = 0;
	ssize_t r;

	do {
		r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		return -errno;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c;
	     c = CMSG_NXTHDR(&msg, c)) {
		size_t k;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), k * sizeof(int));
		got = k;
	}
	*ret_n_fds = got;
	return r;
}
