// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000 /* the least that the kernel gives */

/* glibc 2.36 has no functions for these. */
int weir_schedule_soon(void)
{
	struct sched_attr attr = {0};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0) {
		return -errno;
	}
	if (attr.sched_policy != SCHED_NORMAL) {
		return 0;
	}
	attr.size = sizeof(attr);
	attr.sched_runtime = SLICE_NS;
	return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? -errno : 0;
}
