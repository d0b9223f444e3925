/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <stdio.h>

#include "print.h"

void weir_show_share(double share, char out[static 16])
{
	double percent = share * 100;
	int digits = 2;

	/* A share above 0 never reads as 0. */
	for (double unit = 0.01;
	     percent > 0 && percent < unit * 0.999 && digits < 8; unit /= 10) {
		digits++;
	}
	snprintf(out, 16, "%.*f%%", digits, percent);
}

void weir_show_fate(const struct weir_plan_view *view,
		    const struct weir_ref *ref, bool is_http,
		    struct weir_buf *out, enum weir_colour *ret_colour)
{
	uint32_t n = 0;

	*ret_colour = WEIR_RED;
	if (ref->state == WEIR_REF_INVALID) {
		weir_buf_addz(out,
			      is_http ? "500: invalid" : "refused: invalid");
		return;
	}
	if (ref->group != WEIR_NONE) {
		weir_eps_of(view->eps, ref->group, &n);
	}
	if (ref->state == WEIR_REF_UNREADY || n == 0) {
		weir_buf_addz(out, is_http ? "503: no endpoint"
					   : "refused: no endpoint");
		return;
	}
	*ret_colour = WEIR_GREEN;
	weir_buf_printf(out, "%u endpoint%s", n, n == 1 ? "" : "s");
}

/* -------------------------------------------------------------------- json */

#define DEPTH_MAX 32

static void put_scalar(const cJSON *v, struct weir_buf *out)
{
	if (cJSON_IsString(v)) {
		struct weir_str s = weir_str_of(v->valuestring);

		for (size_t i = 0; i < s.n; i++) {
			unsigned char c = (unsigned char)s.p[i];

			weir_buf_add(out, c < ' ' || c == 0x7F ? "?" : &s.p[i],
				     1);
		}
	} else if (cJSON_IsBool(v)) {
		weir_buf_addz(out, cJSON_IsTrue(v) ? "yes" : "no");
	} else if (cJSON_IsNumber(v)) {
		weir_buf_printf(out, "%.15g", v->valuedouble);
	} else {
		weir_buf_addz(out, "-");
	}
}

static bool is_scalar(const cJSON *v)
{
	return !cJSON_IsArray(v) && !cJSON_IsObject(v);
}

/* True for a list, or a dictionary of two and more, of objects that hold only
 * scalars. */
static bool is_table(const cJSON *list)
{
	const cJSON *row;
	const cJSON *cell;

	if (is_scalar(list) || !list->child ||
	    (cJSON_IsObject(list) && !list->child->next)) {
		return false;
	}
	cJSON_ArrayForEach(row, list)
	{
		if (!cJSON_IsObject(row)) {
			return false;
		}
		cJSON_ArrayForEach(cell, row)
		{
			if (!is_scalar(cell)) {
				return false;
			}
		}
	}
	return true;
}

static void add_name(const char **names, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++) {
		if (strcmp(names[i], name) == 0) {
			return;
		}
	}
	if (*n < WEIR_TABLE_COLUMNS) {
		names[(*n)++] = name;
	}
}

static void put_row(const cJSON *row, const char *const *names, size_t n,
		    int indent, struct weir_table_out *t)
{
	for (size_t i = 0; i < n; i++) {
		const cJSON *cell = cJSON_GetObjectItemCaseSensitive(row,
								     names[i]);
		_cleanup_buf_ struct weir_buf text = {0};

		weir_buf_printf(&text, "%*s", i == 0 ? indent : 0, "");
		/* The key of a dictionary stands in the first column. */
		if (i == 0 && row->string) {
			weir_buf_addz(&text, row->string);
		} else if (cell) {
			put_scalar(cell, &text);
		}
		weir_table_str(t, WEIR_PLAIN, weir_buf_str(&text));
	}
	weir_table_end_row(t);
}

static void put_table(const cJSON *list, bool has_colour, int indent,
		      struct weir_buf *out)
{
	const char *names[WEIR_TABLE_COLUMNS];
	char heads[WEIR_TABLE_COLUMNS][64];
	const char *head_of[WEIR_TABLE_COLUMNS];
	struct weir_table_out t = {0};
	const cJSON *row;
	const cJSON *cell;
	size_t n = 0;

	if (cJSON_IsObject(list)) {
		names[n++] = "";
	}
	cJSON_ArrayForEach(row, list)
	{
		cJSON_ArrayForEach(cell, row)
		{
			add_name(names, &n, cell->string);
		}
	}
	if (n == 0) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(heads[i], sizeof(heads[i]), "%*s%.40s<",
			 i == 0 ? indent : 0, "", names[i]);
		head_of[i] = heads[i];
	}
	weir_table_heads(&t, head_of, n);
	cJSON_ArrayForEach(row, list)
	{
		put_row(row, names, n, indent, &t);
	}
	weir_table_print(&t, has_colour, 0, 0, out);
	weir_table_fini(&t);
}

static void put_list(const cJSON *list, struct weir_buf *out)
{
	const cJSON *v;

	if (!list->child) {
		weir_buf_addz(out, " none");
	}
	cJSON_ArrayForEach(v, list)
	{
		weir_buf_addz(out, v == list->child ? " " : ", ");
		if (is_scalar(v)) {
			put_scalar(v, out);
		} else {
			char *raw = cJSON_PrintUnformatted(v);

			weir_buf_addz(out, raw ? raw : "?");
			cJSON_free(raw);
		}
	}
	weir_buf_addz(out, "\n");
}

/* Scalars of one object line up behind their names. */
static int name_width(const cJSON *object)
{
	size_t width = 0;
	const cJSON *v;

	cJSON_ArrayForEach(v, object)
	{
		size_t n = v->string ? strlen(v->string) : 0;

		width = is_scalar(v) && n > width ? n : width;
	}
	return width < 40 ? (int)width : 40;
}

void weir_show_json(const cJSON *json, bool has_colour, int indent,
		    struct weir_buf *out)
{
	int width = name_width(json);
	const cJSON *v;

	if (indent > DEPTH_MAX) {
		return;
	}
	cJSON_ArrayForEach(v, json)
	{
		const char *name = v->string ? v->string : "-";

		if (is_scalar(v)) {
			weir_buf_printf(out, "%*s%-*s ", indent, "", width + 1,
					name);
			put_scalar(v, out);
			weir_buf_addz(out, "\n");
			continue;
		}
		weir_buf_printf(out, "%*s", indent, "");
		weir_colour(out, has_colour, WEIR_BOLD, name);
		if (cJSON_IsArray(v) && !is_table(v)) {
			put_list(v, out);
			continue;
		}
		weir_buf_addz(out, "\n");
		if (is_table(v)) {
			put_table(v, has_colour, indent + 2, out);
		} else {
			weir_show_json(v, has_colour, indent + 2, out);
		}
	}
}
