/* SPDX-License-Identifier: Apache-2.0 */
/* The agent process: control, kernel planes, admin socket, metrics. */
#ifndef WEIR_DAEMON_AGENT_H
#define WEIR_DAEMON_AGENT_H

#include "options.h"

/* Until SIGTERM.  Returns the exit status. */
int weir_agent_run(struct weir_options *options);
#endif
