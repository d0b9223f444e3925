/* SPDX-License-Identifier: Apache-2.0 */
/* Files, memfds and descriptors over unix sockets. */
#ifndef WEIR_UTIL_FDUTIL_H
#define WEIR_UTIL_FDUTIL_H

#include <sys/types.h>

#include "buf.h"

#define WEIR_FDS_MAX 16 /* descriptors in one message */

/* The whole file behind fd or path appended to b; -EFBIG above max bytes. */
int weir_read_file_at(int dir_fd, const char *path, size_t max,
		      struct weir_buf *b);
/* The same of an open file, from where it is. */
int weir_read_fd(int fd, size_t max, struct weir_buf *b);
/* A sealed (no write, grow, shrink), read-only memfd with these bytes. */
int weir_memfd_sealed(const char *name, const void *p, size_t n, int *ret_fd);
/* Maps all of fd read-only.  -errno; an empty file is -ENODATA. */
int weir_map_fd(int fd, const void **ret_p, size_t *ret_n);
void weir_unmap(const void **p, size_t n);
/* One SOCK_SEQPACKET or stream message with n_fds descriptors (not consumed).
 */
int weir_send_fds(int sock, const void *p, size_t n, const int *fds,
		  size_t n_fds);
/* Received descriptors are CLOEXEC and owned by the caller.  Returns bytes,
 * 0 at the end, -EAGAIN, or -errno.  *ret_n_fds <= WEIR_FDS_MAX. */
ssize_t weir_recv_fds(int sock, void *p, size_t n, int fds[static WEIR_FDS_MAX],
		      size_t *ret_n_fds);

#endif
