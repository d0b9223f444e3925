/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the proxy's counters, which outlives proxy and agent. */
#ifndef WEIR_DAEMON_COUNTERS_H
#define WEIR_DAEMON_COUNTERS_H

#include "ipc.h"

/* Zeroed, sealed against resizing: a process that shares it cannot make
 * another fault.  Holes cost nothing. */
int weir_counters_new(uint32_t max_rules, uint32_t max_refs,
		      uint32_t max_endpoints, int *ret_fd);
/* After the death of a proxy: nothing is in flight any more, what was open is
 * closed.  0 or -errno. */
int weir_counters_settle(int fd);

#endif
