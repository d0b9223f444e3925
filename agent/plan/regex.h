/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of a plan: PCRE2 with JIT, on bytes (no UTF).
 *
 * A pattern must cover the whole subject, as RE2-style gateways do it ("/a" is
 * not "/abc"; write "/a.*").  A subject that costs more than the match limit
 * does not match: a pattern with exponential backtracking slows nobody down.
 */
#ifndef WEIR_PLAN_REGEX_H
#define WEIR_PLAN_REGEX_H

#include "lookup.h"

/* regexes may be NULL, index out of range: no match. */
bool weir_regex_matches(const struct weir_regexes *regexes, uint32_t index,
			struct weir_str subject);

#endif
