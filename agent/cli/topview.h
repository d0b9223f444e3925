/* SPDX-License-Identifier: Apache-2.0 */
/* One table of weirctl top: a plan and two samples of its counters. */
#ifndef WEIR_CLI_TOPVIEW_H
#define WEIR_CLI_TOPVIEW_H

#include "plan.h"
#include "sample.h"
#include "table.h"

struct weir_topview {
	const struct weir_plan *plan;
	const struct weir_sample *before;
	const struct weir_sample *now;
	bool by_rate; /* busiest rule first, else in order of the plan */
};

/* A line about the proxy and the table.  max_rows: 0 all; width: 0 unlimited.
 * 0 or -ENOMEM. */
int weir_topview_text(const struct weir_topview *view, bool has_colour,
		      size_t max_rows, size_t width, struct weir_buf *out);
/* One object and a newline:
 * {"now_us","interval_us","generation","proxy":{"requests","requests_rate",
 *  "in_flight","clients","clients_refused","pool_idle","mean_ms" (of those that
 *  ended in the interval, null: none)},"rules":[{"object","index","id","plane",
 *  "requests","requests_rate","in_flight","status":[6],"refs":[{"backend",
 *  "id","weight","share","now","ever","rate","picked","picked_connect",
 *  "picked_packet","picked_proxy","refused","failed","in_flight"}]}]}
 * share, now, ever: 0..1; now and ever are null without any choice. */
int weir_topview_json(const struct weir_topview *view, struct weir_buf *out);

#endif
