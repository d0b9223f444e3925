/* SPDX-License-Identifier: Apache-2.0 */
/* weirctl check and diags: diagnostics, one line each, in the form that
 * editors know: FILE:LINE: SEVERITY: ... */
#include <stdlib.h>

#include "ask.h"
#include "cleanup.h"
#include "plan_source.h"
#include "table.h"

static const char *const severity_text[] = {
	[WEIR_DIAG_ERROR] = "error",
	[WEIR_DIAG_WARNING] = "warning",
	[WEIR_DIAG_INFO] = "info",
};

static const enum weir_colour severity_colour[] = {
	[WEIR_DIAG_ERROR] = WEIR_RED,
	[WEIR_DIAG_WARNING] = WEIR_YELLOW,
	[WEIR_DIAG_INFO] = WEIR_DIM,
};

#define N_SEVERITIES (WEIR_DIAG_INFO + 1)

struct tally {
	size_t n[N_SEVERITIES];
	bool has_colour;
	bool is_json;
	struct weir_buf *out;
};

/* Control characters of a manifest do not reach the terminal. */
static void put_text(struct weir_buf *out, struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		weir_buf_add(out, c < ' ' || c == 0x7F ? "?" : &s.p[i], 1);
	}
}

static void put_line(struct tally *t, const struct weir_diag *d)
{
	struct weir_buf *out = t->out;

	if (d->source.n) {
		put_text(out, d->source);
		if (d->line) {
			weir_buf_printf(out, ":%u", d->line);
		}
		weir_buf_addz(out, ": ");
	}
	weir_colour(out, t->has_colour, severity_colour[d->severity],
		    severity_text[d->severity]);
	weir_buf_addz(out, ": ");
	if (d->kind.n) {
		put_text(out, d->kind);
		weir_buf_addz(out, " ");
		if (d->ns.n) {
			put_text(out, d->ns);
			weir_buf_addz(out, "/");
		}
		put_text(out, d->name);
		weir_buf_addz(out, ": ");
	}
	if (d->field.n) {
		put_text(out, d->field);
		weir_buf_addz(out, ": ");
	}
	put_text(out, d->message);
	weir_buf_addz(out, " (");
	put_text(out, d->reason);
	weir_buf_addz(out, ")\n");
}

static void put_member(struct weir_buf *out, const char *name,
		       struct weir_str value)
{
	weir_buf_printf(out, ",\"%s\":", name);
	weir_buf_add_json(out, value);
}

static void put_json(struct tally *t, const struct weir_diag *d)
{
	struct weir_buf *out = t->out;

	weir_buf_printf(out, "%s{\"severity\":\"%s\",\"line\":%u",
			t->n[0] + t->n[1] + t->n[2] > 1 ? ",\n" : "",
			severity_text[d->severity], d->line);
	put_member(out, "source", d->source);
	put_member(out, "kind", d->kind);
	put_member(out, "namespace", d->ns);
	put_member(out, "name", d->name);
	put_member(out, "field", d->field);
	put_member(out, "message", d->message);
	put_member(out, "reason", d->reason);
	weir_buf_addz(out, "}");
}

static void put(struct tally *t, const struct weir_diag *d)
{
	if (d->severity >= N_SEVERITIES) {
		return;
	}
	t->n[d->severity]++;
	if (t->is_json) {
		put_json(t, d);
	} else {
		put_line(t, d);
	}
}

static int print_tally(struct tally *t, bool is_strict)
{
	bool is_bad = t->n[WEIR_DIAG_ERROR] ||
		      (is_strict && t->n[WEIR_DIAG_WARNING]);

	if (t->is_json) {
		weir_buf_printf(t->out, "],\"errors\":%zu,\"warnings\":%zu}\n",
				t->n[WEIR_DIAG_ERROR], t->n[WEIR_DIAG_WARNING]);
	} else {
		weir_buf_printf(t->out, "%zu error%s, %zu warning%s\n",
				t->n[WEIR_DIAG_ERROR],
				t->n[WEIR_DIAG_ERROR] == 1 ? "" : "s",
				t->n[WEIR_DIAG_WARNING],
				t->n[WEIR_DIAG_WARNING] == 1 ? "" : "s");
	}
	return weir_ctl_print(t->out, is_bad ? WEIR_CTL_NO : WEIR_CTL_OK);
}

static int by_place(const void *va, const void *vb)
{
	const struct weir_diag *a = *(const struct weir_diag *const *)va;
	const struct weir_diag *b = *(const struct weir_diag *const *)vb;
	int r = weir_str_cmp(a->source, b->source);

	if (r == 0) {
		r = (a->line > b->line) - (a->line < b->line);
	}
	/* Of one line, in the order in which they were found. */
	return r ? r : (va > vb) - (va < vb);
}

/* The diagnostics of the files and of the compiler, in order of place. */
static int put_all(const struct weir_source *src, struct tally *t)
{
	_cleanup_free_ const struct weir_diag **all = NULL;
	size_t n_compiled = src->compiled.diags.n;
	size_t n = 0;
	const struct weir_diag *loaded = weir_manifests_diags(src->manifests,
							      &n);

	all = calloc(n + n_compiled + 1, sizeof(*all));
	if (!all) {
		return weir_ctl_fail("out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		all[i] = &loaded[i];
	}
	for (size_t i = 0; i < n_compiled; i++) {
		all[n + i] = &src->compiled.diags.v[i];
	}
	qsort(all, n + n_compiled, sizeof(*all), by_place);
	for (size_t i = 0; i < n + n_compiled; i++) {
		put(t, all[i]);
	}
	return WEIR_CTL_OK;
}

static int check(const struct weir_ctl *ctl, const char *dir)
{
	_cleanup_buf_ struct weir_buf out = {0};
	_cleanup_source_ struct weir_source src = {0};
	struct tally t = {.has_colour = ctl->has_colour,
			  .is_json = ctl->is_json,
			  .out = &out};

	if (weir_source_offline(dir, ctl->node, &src) < 0) {
		return WEIR_CTL_FAILED;
	}
	weir_buf_addz(&out, ctl->is_json ? "{\"diags\":[" : "");
	if (put_all(&src, &t) != WEIR_CTL_OK) {
		return WEIR_CTL_FAILED;
	}
	return print_tally(&t, ctl->is_strict);
}

int weir_ctl_check(struct weir_ctl *ctl)
{
	return check(ctl, ctl->args.v[0]);
}

static struct weir_str text(const cJSON *object, const char *name)
{
	return weir_str_of(weir_json_text(object, name));
}

static void put_answer(const cJSON *item, struct tally *t)
{
	struct weir_diag d = {
		.severity = WEIR_DIAG_INFO,
		.reason = text(item, "reason"),
		.source = text(item, "source"),
		.line = (uint32_t)weir_json_number(item, "line"),
		.kind = text(item, "kind"),
		.ns = text(item, "namespace"),
		.name = text(item, "name"),
		.field = text(item, "field"),
		.message = text(item, "message"),
	};

	for (int i = 0; i < N_SEVERITIES; i++) {
		if (weir_str_is(text(item, "severity"), severity_text[i])) {
			d.severity = (enum weir_severity)i;
		}
	}
	put(t, &d);
}

/* An address that a host socket holds is nobody's object, but an error. */
static void put_conflict(const cJSON *item, struct tally *t)
{
	_cleanup_buf_ struct weir_buf message = {0};
	struct weir_diag d = {.severity = WEIR_DIAG_ERROR,
			      .reason = text(item, "reason")};

	weir_buf_printf(&message,
			"%s/%s: a socket of this host holds it, so it is not "
			"taken",
			weir_json_text(item, "address"),
			weir_json_text(item, "proto"));
	d.message = weir_buf_str(&message);
	put(t, &d);
}

int weir_ctl_diags(struct weir_ctl *ctl)
{
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	_cleanup_buf_ struct weir_buf out = {0};
	struct tally t = {.has_colour = ctl->has_colour,
			  .is_json = ctl->is_json,
			  .out = &out};
	const cJSON *item;

	if (ctl->manifests) {
		return check(ctl, ctl->manifests);
	}
	json = weir_ask_json(ctl, "diags");
	if (!json) {
		return WEIR_CTL_FAILED;
	}
	weir_buf_addz(&out, ctl->is_json ? "{\"diags\":[" : "");
	cJSON_ArrayForEach(item,
			   cJSON_GetObjectItemCaseSensitive(json, "diags"))
	{
		put_answer(item, &t);
	}
	cJSON_ArrayForEach(item,
			   cJSON_GetObjectItemCaseSensitive(json, "conflicts"))
	{
		put_conflict(item, &t);
	}
	return print_tally(&t, false);
}
