/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of what lives on a loop: they let it run for a moment at a time. */
#ifndef WEIR_TESTS_TURNS_H
#define WEIR_TESTS_TURNS_H

#include <poll.h>
#include <stdbool.h>

#include "loop.c" /* which stops for good elsewhere */

#define TURNS_MAX 2500 /* of 2 ms */

static struct weir_loop *loop;

static void on_pause(struct weir_timer *timer)
{
	(void)timer;
	weir_loop_stop(loop, 0);
}

static void turn(void)
{
	struct weir_timer pause = {.fn = on_pause};

	loop->is_stopped = false;
	weir_loop_arm(loop, &pause, 2);
	(void)weir_loop_run(loop);
}

/* Until fd has something, or for 5 s: the loop runs meanwhile. */
static bool await(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (int i = 0; i < TURNS_MAX; i++) {
		if (poll(&p, 1, 0) > 0) {
			return true;
		}
		turn();
	}
	return false;
}

#endif
