/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With thousands of routes nothing that a decision reads is in the cache, and
 * one line is needed to know which is the next: host, table, match, rule. Where
 * several requests are about to be decided their lines can be waited for
 * together: each goes one step, which reads what the step before fetched,
 * before any goes the next.  It is a guess at what weir_decide() will read, and
 * nothing depends on it.
 */
#ifndef WEIR_PLAN_PREFETCH_H
#define WEIR_PLAN_PREFETCH_H

#include "plan.h"

#define WEIR_PREFETCH_STEPS 6 /* that a request takes at most */
#define WEIR_PREFETCH_PATHS 4 /* prefixes of a path that are looked for */

struct weir_prefetch {
	const struct weir_plan *plan;
	const struct weir_listener *listener;
	struct weir_str path;
	const struct weir_vhost *vhost;
	const struct weir_match *match;
	const struct weir_rule
		*rule; /* NULL: no guess; read by the last step */
	uint32_t host_hash;
	uint32_t n_hashes; /* prefixes of the path so far, shortest first */
	uint32_t hashes[WEIR_PREFETCH_PATHS]; /* of the last ones, in turn */
	uint8_t step;                         /* enum step of prefetch.c */
};

/* A request to frontend.  host: lower case, without port; path: without query;
 * both must stay until the last step. */
void weir_prefetch_begin(const struct weir_plan *plan,
			 const struct weir_frontend *frontend,
			 struct weir_str host, struct weir_str path,
			 struct weir_prefetch *ret_prefetch);
/* False: there is nothing more to be fetched. */
bool weir_prefetch_step(struct weir_prefetch *prefetch);

#endif
