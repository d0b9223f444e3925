/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent of all: keeps the listening sockets and what else must outlive a
 * crash, starts agent and proxy, starts either again when it dies.  Decides
 * nothing about traffic.
 */
#ifndef WEIR_DAEMON_PARENT_H
#define WEIR_DAEMON_PARENT_H

#include "options.h"

/* Until SIGTERM or SIGINT.  argv is what the children are given too.  Returns
 * the exit status. */
int weir_parent_run(struct weir_options *options, int argc, char **argv);

#endif
