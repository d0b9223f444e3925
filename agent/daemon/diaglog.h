/* SPDX-License-Identifier: Apache-2.0 */
/* One log line for each diagnostic when it appears, none while it stays. */
#ifndef WEIR_DAEMON_DIAGLOG_H
#define WEIR_DAEMON_DIAGLOG_H

#include "control.h"

/* Logs what is new among the diagnostics of control and forgets what went. */
void weir_diaglog_update(struct weir_control *control);
/* Likewise for addresses that are not usable; call when they were collected. */
void weir_diaglog_conflicts(struct weir_control *control);

#endif
