/* SPDX-License-Identifier: Apache-2.0 */
#include "regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cleanup.h"

/* Backtracking steps of one match; a sane pattern on an 8 KiB subject needs
 * about ten thousand. */
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT_KIB 1024
#define PATTERN_MAX 4096 /* bytes */

/* Match scratches lying ready: as many as threads match at one time. */
#define N_SCRATCH 16

#define OPTIONS                                                                \
	(PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY |           \
	 PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |         \
	 PCRE2_NO_AUTO_CAPTURE)

struct pool {
	_Atomic(pcre2_match_data *) scratch[N_SCRATCH];
};

struct weir_regexes {
	pcre2_match_context *limits;
	struct pool *pool;
	uint32_t n;
	pcre2_code *code[]; /* NULL: did not compile, matches nothing */
};

static pcre2_code *compile(struct weir_str pattern, size_t *ret_offset)
{
	PCRE2_SIZE at = 0;
	pcre2_code *code;
	int error;

	if (pattern.n > PATTERN_MAX) {
		*ret_offset = PATTERN_MAX;
		return NULL;
	}
	code = pcre2_compile((PCRE2_SPTR)(pattern.n ? pattern.p : ""),
			     pattern.n, OPTIONS, &error, &at, NULL);
	if (!code) {
		*ret_offset = at;
	}
	return code;
}

int weir_regex_check(struct weir_str pattern, size_t *ret_offset)
{
	pcre2_code *code = compile(pattern, ret_offset);

	if (!code) {
		return -EINVAL;
	}
	pcre2_code_free(code);
	return 0;
}

void weir_regexes_free(struct weir_regexes **regexes)
{
	struct weir_regexes *r = *regexes;

	if (!r) {
		return;
	}
	for (uint32_t i = 0; i < r->n; i++) {
		pcre2_code_free(r->code[i]);
	}
	for (size_t i = 0; r->pool && i < N_SCRATCH; i++) {
		pcre2_match_data_free(atomic_load(&r->pool->scratch[i]));
	}
	weir_free_ptr(&r->pool);
	pcre2_match_context_free(r->limits);
	weir_free_ptr(regexes);
}

int weir_regexes_new(const struct weir_plan *plan,
		     struct weir_regexes **ret_regexes)
{
	_cleanup_(weir_regexes_free) struct weir_regexes *r = NULL;
	const struct weir_span *text = weir_plan_at(plan, plan->regexes);
	uint32_t n = plan->regexes.n;
	size_t at;

	r = calloc(1, sizeof(*r) + n * sizeof(r->code[0]));
	if (!r) {
		return -ENOMEM;
	}
	r->n = n;
	r->pool = calloc(1, sizeof(*r->pool));
	r->limits = pcre2_match_context_create(NULL);
	if (!r->pool || !r->limits) {
		return -ENOMEM;
	}
	pcre2_set_match_limit(r->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
	for (uint32_t i = 0; i < n; i++) {
		r->code[i] = compile(weir_plan_str(plan, text[i]), &at);
		if (r->code[i]) {
			/* Where JIT is forbidden the interpreter does it. */
			pcre2_jit_compile(r->code[i], PCRE2_JIT_COMPLETE);
		}
	}
	*ret_regexes = TAKE_PTR(r);
	return 0;
}

static pcre2_match_data *scratch_get(struct pool *pool)
{
	for (size_t i = 0; i < N_SCRATCH; i++) {
		pcre2_match_data *m;

		if (!atomic_load_explicit(&pool->scratch[i],
					  memory_order_relaxed)) {
			continue;
		}
		m = atomic_exchange(&pool->scratch[i], NULL);
		if (m) {
			return m;
		}
	}
	return pcre2_match_data_create(1, NULL);
}

static void scratch_put(struct pool *pool, pcre2_match_data *m)
{
	for (size_t i = 0; i < N_SCRATCH; i++) {
		pcre2_match_data *none = NULL;

		if (atomic_compare_exchange_strong(&pool->scratch[i], &none,
						   m)) {
			return;
		}
	}
	pcre2_match_data_free(m);
}

bool weir_regex_matches(const struct weir_regexes *regexes, uint32_t index,
			struct weir_str subject)
{
	pcre2_match_data *m;
	int r;

	if (!regexes || index >= regexes->n || !regexes->code[index]) {
		return false;
	}
	m = scratch_get(regexes->pool);
	if (!m) {
		return false;
	}
	r = pcre2_match(regexes->code[index],
			(PCRE2_SPTR)(subject.n ? subject.p : ""), subject.n, 0,
			0, m, regexes->limits);
	scratch_put(regexes->pool, m);
	return r >= 0;
}
