/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent knows, as JSON documents (the admin socket's answers). */
#ifndef WEIR_DAEMON_REPORT_H
#define WEIR_DAEMON_REPORT_H

#include "buf.h"
#include "control.h"

/* Processes, generations, objects, planes: `weirctl status`. */
void weir_report_status(const struct weir_control *control,
			struct weir_buf *json);
/* Counters by stat id of the present plan: `weirctl top`. */
void weir_report_stats(const struct weir_control *control,
		       struct weir_buf *json);
void weir_report_diags(const struct weir_control *control,
		       struct weir_buf *json);
/* Bytes of anonymous memory of a process; 0: unknown.  RssAnon of
 * /proc/<pid>/status, which needs no privilege: after an exec nothing of it is
 * shared, so it is the anonymous part of the PSS. */
uint64_t weir_report_memory(pid_t pid);
/* Diagnostics in force by severity (enum weir_severity). */
void weir_report_count_diags(const struct weir_control *control,
			     size_t ret_n[static 3]);

/* Counters of one backendRef, all planes. */
struct weir_ref_sum {
	struct weir_refstat kernel;
	struct weir_proxy_refstat proxy;
	uint64_t in_flight;
};
/* stat: weir_ref.stat; false for 0. */
bool weir_report_ref(const struct weir_control *control, uint32_t stat,
		     struct weir_ref_sum *ret_sum);
/* NULL for 0 or what is not counted. */
const struct weir_proxy_rulestat *
weir_report_rule(const struct weir_control *control, uint32_t stat);

#endif
