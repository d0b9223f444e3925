/* SPDX-License-Identifier: Apache-2.0 */
/* The agent process: control, kernel planes, admin socket, metrics. */
#ifndef WEIR_DAEMON_AGENT_H
#define WEIR_DAEMON_AGENT_H

#include "options.h"

/* Until SIGTERM.  Returns the exit status. */
int weir_agent_run(struct weir_options *options);
/* Path of the cgroup v2 root; NULL if none is mounted.  Valid until the next
 * call. */
const char *weir_cgroup_root(void);
/* options->cgroup ("auto", "none", a path) into options->kernel.cgroup. */
void weir_cgroup_choose(struct weir_options *options);

#endif
