/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines of one worker: a hashed wheel with ticks of 16 ms.  Arming is O(1)
 * and lazy: a deadline that moves later is left where it is, fires early, and
 * its owner arms it again; so a busy connection does not touch the wheel.
 */
#ifndef WEIR_PROXY_DUE_H
#define WEIR_PROXY_DUE_H

#include <stdbool.h>
#include <stdint.h>

#define WEIR_WHEEL_SLOTS 1024
#define WEIR_WHEEL_SHIFT 4 /* 16 ms */

struct weir_worker;
struct weir_due;
/* due is not armed any more when fn runs, at its time or earlier. */
typedef void (*weir_due_fn)(struct weir_worker *w, struct weir_due *due);

struct weir_due {
	struct weir_due *next;
	struct weir_due **pprev; /* NULL: not armed */
	uint64_t at_ms;
	weir_due_fn fn;
};

struct weir_wheel {
	struct weir_due *slots[WEIR_WHEEL_SLOTS];
	uint64_t used[WEIR_WHEEL_SLOTS / 64]; /* slots that may hold any */
	uint64_t tick;                        /* all before it have run */
};

void weir_wheel_init(struct weir_wheel *wheel, uint64_t now_ms);
/* Fires at at_ms or up to a tick later, or earlier if it was armed so. */
void weir_due_arm(struct weir_wheel *wheel, struct weir_due *due,
		  uint64_t at_ms);
void weir_due_disarm(struct weir_due *due);
/* Milliseconds until something may be due; -1: nothing armed. */
int weir_wheel_timeout(const struct weir_wheel *wheel, uint64_t now_ms);
void weir_wheel_run(struct weir_worker *w, struct weir_wheel *wheel,
		    uint64_t now_ms);

#endif
