/* SPDX-License-Identifier: Apache-2.0 */
#include "diag.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 512 /* bytes; longer texts are cut */

void weir_diags_init(struct weir_diags *d, struct weir_arena *arena)
{
	*d = (struct weir_diags){.arena = arena};
}

/* The vector lives in the arena too, so that dropping it drops all. */
static struct weir_diag *push(struct weir_diags *d)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 4;
		struct weir_diag *v = weir_arena_array(d->arena, cap,
						       sizeof(*v));

		if (!v) {
			d->is_lossy = true;
			return NULL;
		}
		if (d->n) {
			memcpy(v, d->v, d->n * sizeof(*v));
		}
		d->v = v;
		d->cap = cap;
	}
	return &d->v[d->n];
}

static bool dup_into(struct weir_diags *d, struct weir_str *text,
		     struct weir_str from)
{
	*text = weir_arena_dup(d->arena, from);
	return text->p != NULL;
}

__attribute__((format(printf, 3, 0))) static void
add(struct weir_diags *d, const struct weir_diag *what, const char *fmt,
    va_list ap)
{
	struct weir_diag *slot = push(d);
	char message[MESSAGE_MAX];
	int n = vsnprintf(message, sizeof(message), fmt, ap);
	struct weir_str text = {message, n < 0 ? 0 : (size_t)n};

	if (!slot) {
		return;
	}
	if (text.n >= sizeof(message)) {
		text.n = sizeof(message) - 1;
	}
	*slot = *what;
	if (!dup_into(d, &slot->source, what->source) ||
	    !dup_into(d, &slot->kind, what->kind) ||
	    !dup_into(d, &slot->ns, what->ns) ||
	    !dup_into(d, &slot->name, what->name) ||
	    !dup_into(d, &slot->field, what->field) ||
	    !dup_into(d, &slot->message, text)) {
		d->is_lossy = true;
		return;
	}
	d->n++;
}

void weir_diag_add(struct weir_diags *d, enum weir_severity severity,
		   const struct weir_object *object, const char *reason,
		   struct weir_str field, const char *fmt, ...)
{
	struct weir_diag what = {.severity = severity,
				 .reason = weir_str_of(reason),
				 .field = field};
	va_list ap;

	if (object) {
		what.source = object->source;
		what.line = object->line;
		what.kind = weir_str_of(weir_kind_text(object->kind));
		what.ns = object->ns;
		what.name = object->name;
	}
	va_start(ap, fmt);
	add(d, &what, fmt, ap);
	va_end(ap);
}

void weir_diag_add_file(struct weir_diags *d, enum weir_severity severity,
			struct weir_str source, uint32_t line,
			const char *reason, const char *fmt, ...)
{
	struct weir_diag what = {.severity = severity,
				 .reason = weir_str_of(reason),
				 .source = source,
				 .line = line};
	va_list ap;

	va_start(ap, fmt);
	add(d, &what, fmt, ap);
	va_end(ap);
}
