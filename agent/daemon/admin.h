/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin socket: one line asks, one JSON document answers, then it closes.
 *
 *	status  processes, generations, planes	(report.h)
 *	stats   counters by id			(report.h)
 *	diags   what is wrong with the objects	(report.h)
 *	probe   what this kernel offers		(kernel.h)
 *	plan    {"generation":N}, and with the first byte two descriptors: the
 *		sealed memfds of rules and endpoints (plan.h)
 */
#ifndef WEIR_DAEMON_ADMIN_H
#define WEIR_DAEMON_ADMIN_H

#include "control.h"
#include "server.h"

/* A weir_request_fn; arg: const struct weir_control *. */
void weir_admin_answer(void *arg, struct weir_str request,
		       struct weir_reply *reply);

#endif
