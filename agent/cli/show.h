/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that routes, explain and status share. */
#ifndef WEIR_CLI_SHOW_H
#define WEIR_CLI_SHOW_H

#include <cjson/cJSON.h>

#include "plan.h"
#include "table.h"

/* "12.50%", or as many digits as a small share needs to show ("0.0001%"). */
void weir_show_share(double share, char out[static 16]);
/* What happens to the share of this ref: "3 endpoints", "503", "500". */
void weir_show_fate(const struct weir_plan_view *view,
		    const struct weir_ref *ref, bool is_http,
		    struct weir_buf *out, enum weir_colour *ret_colour);
/* Any JSON as indented "name: value" lines, lists of objects as tables. */
void weir_show_json(const cJSON *json, bool has_colour, int indent,
		    struct weir_buf *out);

#endif
