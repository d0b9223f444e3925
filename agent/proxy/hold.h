/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_PROXY_HOLD_H
#define WEIR_PROXY_HOLD_H

#include "conn.h"

#define WEIR_HOLD_MS 2000  /* a request waits at most */
#define WEIR_HOLD_MAX 1024 /* requests of one worker */

/* c has no endpoint: true if it waits now, until weir_hold_follow_plan() or
 * connect_at. */
bool weir_hold_begin(struct weir_worker *w, struct weir_client *c);
/* It does not wait any more, whatever comes now. */
void weir_hold_end(struct weir_worker *w, struct weir_client *c);
/* Endpoints for c->ref that a newer plan than its own has; NULL: none. */
const struct weir_endpoint *weir_hold_endpoints(const struct weir_worker *w,
						const struct weir_client *c,
						uint32_t *ret_n);
/* There is a new plan: all that wait are driven again. */
void weir_hold_follow_plan(struct weir_worker *w);

#endif
