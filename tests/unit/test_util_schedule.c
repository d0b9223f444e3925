// SPDX-License-Identifier: Apache-2.0
/* A thread that asks to run soon asks for no more than that. */
#include "schedule.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

static struct sched_attr now(void)
{
	struct sched_attr attr = {0};

	must(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0,
	     "sched_getattr");
	return attr;
}

static void turns_are_short_and_all_else_is_as_it_was(void)
{
	struct sched_attr before;
	struct sched_attr after;

	must(setpriority(PRIO_PROCESS, 0, 3) == 0, "nice");
	before = now();
	ok(weir_schedule_soon() == 0, "asked");
	after = now();
	/* Before 6.12 a fair thread has no slice of its own to tell. */
	ok(before.sched_runtime ? after.sched_runtime == 100000
				: after.sched_runtime == 0,
	   "a slice of %llu ns", (unsigned long long)after.sched_runtime);
	ok(after.sched_policy == before.sched_policy &&
		   after.sched_nice == before.sched_nice &&
		   after.sched_flags == before.sched_flags,
	   "policy, nice value and flags");
}

static void other_policies_are_left(void)
{
	struct sched_attr attr = {.size = sizeof(attr),
				  .sched_policy = SCHED_BATCH};
	struct sched_attr after;

	must(syscall(SYS_sched_setattr, 0, &attr, 0) == 0, "batch");
	attr = now();
	ok(weir_schedule_soon() == 0, "asked");
	after = now();
	ok(after.sched_policy == SCHED_BATCH &&
		   after.sched_runtime == attr.sched_runtime,
	   "as it was");
}

TAP_MAIN(TEST(turns_are_short_and_all_else_is_as_it_was),
	 TEST(other_policies_are_left))
