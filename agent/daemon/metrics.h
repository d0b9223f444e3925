/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics in the Prometheus text format, /healthz, /readyz.  The number of
 * series does not depend on what users wrote, unless --metrics-per-route asks
 * for more; agent/README.md lists them.
 */
#ifndef WEIR_DAEMON_METRICS_H
#define WEIR_DAEMON_METRICS_H

#include "control.h"
#include "server.h"

/* A weir_request_fn; arg: const struct weir_control *; request: a head. */
void weir_metrics_answer(void *arg, struct weir_str request,
			 struct weir_reply *reply);
/* The body of /metrics. */
void weir_metrics_write(const struct weir_control *control,
			struct weir_buf *out);

#endif
