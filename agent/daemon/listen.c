// SPDX-License-Identifier: Apache-2.0
#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static int set_flag(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int open_socket(const struct weir_ip *addr, int type, int *ret_fd)
{
	int family = weir_ip_is_v4(addr) ? AF_INET : AF_INET6;
	_cleanup_close_ int fd = socket(family, type | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0) {
		return -errno;
	}
	if (family == AF_INET6) {
		r = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	}
	if (r < 0) {
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int bind_to(int fd, const struct weir_ip *addr, __be16 port_be)
{
	struct sockaddr_storage sa;
	socklen_t n = weir_addr_to_sockaddr(addr, port_be, &sa);

	return bind(fd, (struct sockaddr *)&sa, n) < 0 ? -errno : 0;
}

/* Binding to an address that is not, or not yet, there: loopback that is
 * down, a Gateway address whose route comes later. */
static int allow_absent(int fd, const struct weir_ip *addr)
{
	return weir_ip_is_v4(addr) ? set_flag(fd, IPPROTO_IP, IP_FREEBIND)
				   : set_flag(fd, IPPROTO_IPV6, IPV6_FREEBIND);
}

static int open_group(const struct weir_ip *addr, uint32_t n_workers,
		      int *ret_fds)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = sizeof(sa);
	struct weir_ip ip;
	__be16 port_be = 0;

	for (uint32_t i = 0; i < n_workers; i++) {
		_cleanup_close_ int fd = -1;
		int r = open_socket(addr, SOCK_STREAM | SOCK_NONBLOCK, &fd);

		if (r == 0) {
			r = set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
		}
		/* Steered connections inherit it.  Without it they would keep
		 * the frontend's port from every later bind(), the test whether
		 * a socket of the host holds it included. */
		if (r == 0) {
			r = set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
		}
		if (r == 0) {
			r = allow_absent(fd, addr);
		}
		if (r == 0) {
			r = bind_to(fd, addr, port_be);
		}
		if (r == 0 && listen(fd, BACKLOG) < 0) {
			r = -errno;
		}
		if (r < 0) {
			return r;
		}
		/* The first chose the port of the group. */
		if (i == 0 &&
		    (getsockname(fd, (struct sockaddr *)&sa, &sa_len) < 0 ||
		     weir_addr_from_sockaddr(&sa, &ip, &port_be) < 0)) {
			return -EIO;
		}
		ret_fds[i * 2] = TAKE_FD(fd);
	}
	return 0;
}

int weir_listeners_open(uint32_t n_workers, int *ret_fds)
{
	const struct weir_ip loopback4 = {
		.a = {0, 0, htonl(0xFFFF), htonl(INADDR_LOOPBACK)}};
	struct weir_ip loopback6 = {.a = {0, 0, 0, htonl(1)}};
	int r;

	for (uint32_t i = 0; i < n_workers * 2; i++) {
		ret_fds[i] = -1;
	}
	r = open_group(&loopback4, n_workers, ret_fds);
	if (r == 0) {
		/* A host without IPv6 is served without it. */
		if (open_group(&loopback6, n_workers, ret_fds + 1) < 0) {
			for (uint32_t i = 0; i < n_workers; i++) {
				weir_close(&ret_fds[i * 2 + 1]);
			}
		}
		return 0;
	}
	for (uint32_t i = 0; i < n_workers; i++) {
		weir_close(&ret_fds[i * 2]);
	}
	return r;
}

int weir_listen_tcp(const struct weir_ip *addr, __be16 port_be, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int r = open_socket(addr, SOCK_STREAM | SOCK_NONBLOCK, &fd);

	if (r == 0) {
		r = set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	}
	if (r == 0) {
		r = bind_to(fd, addr, port_be);
	}
	if (r == 0 && listen(fd, 64) < 0) {
		r = -errno;
	}
	if (r < 0) {
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Does anybody accept connections at sa? */
static bool is_answered(const struct sockaddr_un *sa)
{
	_cleanup_close_ int fd = socket(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return false;
	}
	return connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 ||
	       errno == EAGAIN;
}

static void make_parent_dir(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		mkdir(dir, 0755); /* bind() reports what is missing */
	}
}

int weir_listen_unix(const char *path, int *ret_fd)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	struct stat st;
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	make_parent_dir(path);
	if (is_answered(&sa)) {
		return -EADDRINUSE;
	}
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		unlink(path);
	}
	mask = umask(0177); /* nobody gets in between bind and a chmod */
	r = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0 && listen(fd, 16) < 0) {
		r = -errno;
	}
	if (r < 0) {
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Without SO_REUSEADDR, though a program that binds the wildcard of this port
 * later is refused so: with it that would succeed only for a program that asks
 * for it as well, and then any user's socket at this very address would, and
 * get our clients' datagrams (socket(7); of equal matches the kernel takes the
 * latest, net/ipv4/udp.c). */
int weir_bind_udp(const struct weir_ip *addr, __be16 port_be, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int r = open_socket(addr, SOCK_DGRAM | SOCK_NONBLOCK, &fd);

	if (r == 0) {
		r = allow_absent(fd, addr);
	}
	if (r == 0) {
		r = bind_to(fd, addr, port_be);
	}
	if (r < 0) {
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
