/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring as the proxy wants it; without liburing. */
#ifndef WEIR_UTIL_URING_H
#define WEIR_UTIL_URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One thread submits, and completes where it waits (6.1). */
#define WEIR_URING_FLAGS                                                       \
	(IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |                       \
	 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

/* A descriptor or -errno; params->cq_entries is given, the rest filled in. */
static inline int weir_uring_setup(unsigned int sq_entries,
				   struct io_uring_params *params)
{
	long fd;

	params->flags = WEIR_URING_FLAGS;
	fd = syscall(__NR_io_uring_setup, sq_entries, params);
	return fd < 0 ? -errno : (int)fd;
}

#endif
