/* SPDX-License-Identifier: Apache-2.0 */
/* What explain found out, and its two forms of output. */
#ifndef WEIR_CLI_EXPLAIN_H
#define WEIR_CLI_EXPLAIN_H

#include "ctl.h"
#include "lookup.h"

#define WEIR_EXPLAIN_MAX 8 /* addresses shown for one question */

struct weir_explanation {
	const struct weir_plan_view *view;
	const struct weir_regexes *regexes;
	struct weir_buf question;           /* "GET http://shop/cart" */
	const struct weir_request *request; /* NULL: a connection */
	int depth;           /* how far the request gets, by add_answer() */
	uint16_t status;     /* with which the proxy refuses it unseen; 0 */
	const char *refusal; /* why */
	bool is_clear_only;  /* within TLS it is not refused */
	/* One per address that would take it; for a connection only frontend
	 * and rule are set. */
	struct weir_decision answer[WEIR_EXPLAIN_MAX];
	size_t n;
	uint32_t n_more;
};

void weir_explain_text(const struct weir_explanation *e, bool has_colour,
		       struct weir_buf *out);
void weir_explain_json(const struct weir_explanation *e, struct weir_buf *out);
/* Calls fn for each match of the vhost of d in the order of precedence, with
 * what it lacks ("path", "method is not POST", "header x=1"). */
void weir_explain_misses(const struct weir_explanation *e,
			 const struct weir_decision *d,
			 void (*fn)(void *arg, const struct weir_match *match,
				    struct weir_str miss),
			 void *arg);
/* Does the proxy refuse the request at the address of d, before it looks for a
 * rule?  Not where the kernel splits by connection, nor where d has no listener
 * that ends the TLS of the request. */
bool weir_explain_is_refused(const struct weir_explanation *e,
			     const struct weir_decision *d);
/* What is asked there are requests: at once, or inside the TLS that the
 * listener of d ends. */
bool weir_explain_is_http(const struct weir_decision *d);
/* Why no rule decides, in words; "" if one does. */
void weir_explain_no_rule(const struct weir_explanation *e,
			  const struct weir_decision *d, struct weir_buf *out);

#endif
