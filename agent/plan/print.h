/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan for people and for golden tests.  The text holds no stamped numbers
 * (generation, stat ids), so the same store gives the same text; the JSON does.
 * Out of memory shows in out->error.
 */
#ifndef WEIR_PLAN_PRINT_H
#define WEIR_PLAN_PRINT_H

#include "buf.h"
#include "plan.h"

void weir_plan_print(const struct weir_plan_view *view, struct weir_buf *out);
/* One JSON object and a newline. */
void weir_plan_print_json(const struct weir_plan_view *view,
			  struct weir_buf *out);

/* The pieces, for explain and tables. */

/* As it is if it is plain, else as a JSON string: one word, no control
 * characters. */
void weir_print_word(struct weir_buf *out, struct weir_str s);
/* "HTTPRoute default/my-app". */
void weir_print_object(struct weir_buf *out, const struct weir_plan *plan,
		       uint32_t object);
/* "10.0.0.1:80/tcp". */
void weir_print_frontend(struct weir_buf *out, const struct weir_frontend *f);
/* "prefix /api method GET header x-env=canary query v~[0-9]+". */
void weir_print_match(struct weir_buf *out, const struct weir_plan *plan,
		      const struct weir_match *match);
/* "Service default/my-app:80 (revision my-app-00002)". */
void weir_print_ref(struct weir_buf *out, const struct weir_plan *plan,
		    const struct weir_ref *ref);
/* "set x-a=b, remove x-c"; "redirect https 301 ..."; "rewrite ...". */
void weir_print_filter(struct weir_buf *out, const struct weir_plan *plan,
		       const struct weir_filter *filter);
const char *weir_ref_state_text(uint8_t state);
const char *weir_backend_proto_text(uint8_t proto);
/* Share of ref (index in rule) in the rule's row, 0..1: from the slots, so what
 * will happen rather than what was asked for. */
double weir_plan_share(const struct weir_plan *plan,
		       const struct weir_rule *rule, uint32_t ref);

#endif
