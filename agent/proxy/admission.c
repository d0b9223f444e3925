/* SPDX-License-Identifier: Apache-2.0 */
#include "admission.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

/* A worker's epoll, wake, timer and ring; plans that come while others are in
 * use. */
#define FDS_OF_WORKER 4
#define FDS_OF_PLANS 16

void weir_admission_init(struct weir_admission *a, uint32_t configured,
			 uint32_t n_workers)
{
	/* The lowest free one: about as many are open. */
	_cleanup_close_ int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	uint32_t max;

	*a = (struct weir_admission){.configured = configured,
				     .n_fixed = n_workers * FDS_OF_WORKER +
						FDS_OF_PLANS +
						(fd > 0 ? (uint32_t)fd : 0)};
	weir_admission_look(a);
	max = atomic_load(&a->max);
	if (max < configured) {
		weir_warn("descriptors are few (ulimit -n): connections of "
			  "clients are limited to %u in place of %u",
			  max, configured);
	}
}

void weir_admission_look(struct weir_admission *a)
{
	struct rlimit l;
	uint64_t max = a->configured;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur / 4 < max) {
		uint64_t n = l.rlim_cur > a->n_fixed ? l.rlim_cur - a->n_fixed
						     : 0;

		/* The last quarter is for backends. */
		n = n * 3 / 4;
		max = n < max ? n : max;
	}
	atomic_store_explicit(&a->max, max ? (uint32_t)max : 1,
			      memory_order_relaxed);
}

bool weir_admission_take(struct weir_admission *a)
{
	uint32_t max = atomic_load_explicit(&a->max, memory_order_relaxed);

	if (atomic_fetch_add_explicit(&a->n, 1, memory_order_relaxed) < max) {
		return true;
	}
	weir_admission_give(a);
	return false;
}

void weir_admission_give(struct weir_admission *a)
{
	atomic_fetch_sub_explicit(&a->n, 1, memory_order_relaxed);
}
