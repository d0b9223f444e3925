/* SPDX-License-Identifier: Apache-2.0 */
/* How soon the kernel runs a thread that became runnable. */
#ifndef WEIR_UTIL_SCHEDULE_H
#define WEIR_UTIL_SCHEDULE_H

/*
 * The calling thread works for some hundred microseconds at a time and others
 * wait for it: it asks for turns as short as that, so that where all processors
 * are busy it is before those whose turns are longer.  It gets no more time
 * than before (kernel 6.12: sched_attr.sched_runtime is the slice of a fair
 * thread, commit 857b158dc5e8; earlier ones take no notice).  Not for threads
 * whose throughput counts: they would be interrupted as often.
 *
 * 0 or -errno; a thread of another policy is left as it is.
 */
int weir_schedule_soon(void);

#endif
