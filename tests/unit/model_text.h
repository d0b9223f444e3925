/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manifest brings, as text: diagnostics in order ("LINE severity Reason
 * field: message"), then good objects ("Kind namespace/name").
 */
#ifndef WEIR_TESTS_MODEL_TEXT_H
#define WEIR_TESTS_MODEL_TEXT_H

#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "manifest.h"
#include "tap.h"

struct model_case {
	const char *name;
	const char *text;
	const char *expected;
};

/* Objects of one text, until model_drop(). */
struct model_objects {
	struct weir_arena arenas[64];
	const struct weir_object *v[64];
	size_t n;
};

static inline int model_take(void *arg, struct weir_arena *arena,
			     const struct weir_object *object)
{
	struct model_objects *got = arg;

	if (got->n == 64) {
		return -1;
	}
	got->arenas[got->n] = *arena;
	got->v[got->n++] = object;
	return 0;
}

static inline void model_drop(struct model_objects *got)
{
	while (got->n) {
		weir_arena_fini(&got->arenas[--got->n]);
	}
}

/* Decodes text; diagnostics are appended to out if it is not NULL. */
static inline int model_decode(const char *text, bool is_json,
			       struct weir_buf *out, struct model_objects *got)
{
	static const char *const severities[] = {"error", "warning", "info"};
	_cleanup_(weir_arena_fini) struct weir_arena arena;
	struct weir_diags diags;
	int r;

	got->n = 0;
	weir_arena_init(&arena, 1024);
	weir_diags_init(&diags, &arena);
	r = weir_manifest_decode(weir_str_of(text), WEIR_STR("f.yaml"), is_json,
				 &diags, model_take, got);
	for (size_t i = 0; out && i < diags.n; i++) {
		const struct weir_diag *d = &diags.v[i];

		weir_buf_printf(out, "%u %s %.*s %.*s: %.*s\n", d->line,
				severities[d->severity],
				WEIR_STR_ARG(d->reason), WEIR_STR_ARG(d->field),
				WEIR_STR_ARG(d->message));
	}
	return r;
}

static inline void model_run_case(const struct model_case *c, bool is_json)
{
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;
	int r = model_decode(c->text, is_json, &out, &got);

	for (size_t i = 0; i < got.n; i++) {
		const struct weir_object *o = got.v[i];

		weir_buf_printf(&out, "%s %.*s/%.*s\n", weir_kind_text(o->kind),
				WEIR_STR_ARG(o->ns), WEIR_STR_ARG(o->name));
	}
	weir_buf_add(&out, "", 1);
	model_drop(&got);
	ok(r == 0, "%s: %d", c->name, r);
	ok(out.p && strcmp(out.p, c->expected) == 0,
	   "%s\n--- got\n%s--- expected\n%s", c->name, out.p ? out.p : "",
	   c->expected);
}

#define MODEL_CASES(cases, is_json)                                            \
	do {                                                                   \
		for (size_t _i = 0; _i < sizeof(cases) / sizeof((cases)[0]);   \
		     _i++) {                                                   \
			model_run_case(&(cases)[_i], is_json);                 \
		}                                                              \
	} while (0)

#endif
