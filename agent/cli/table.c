/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>

/* Columns of text do not get narrower than this. */
#define TEXT_MIN 8

static const char *escape_of(enum weir_colour colour)
{
	static const char *const text[] = {
		[WEIR_PLAIN] = "",         [WEIR_BOLD] = "\x1b[1m",
		[WEIR_DIM] = "\x1b[2m",    [WEIR_RED] = "\x1b[31m",
		[WEIR_GREEN] = "\x1b[32m", [WEIR_YELLOW] = "\x1b[33m",
	};

	return text[colour];
}

void weir_colour(struct weir_buf *out, bool has_colour, enum weir_colour colour,
		 const char *s)
{
	bool is_on = has_colour && colour != WEIR_PLAIN;

	weir_buf_printf(out, "%s%s%s", is_on ? escape_of(colour) : "", s,
			is_on ? "\x1b[0m" : "");
}

void weir_table_fini(struct weir_table_out *t)
{
	weir_buf_fini(&t->text);
	weir_buf_fini(&t->cells);
}

void weir_table_str(struct weir_table_out *t, enum weir_colour colour,
		    struct weir_str s)
{
	struct weir_cell cell = {(uint32_t)t->text.n, (uint32_t)s.n, colour};

	weir_buf_add_str(&t->text, s);
	weir_buf_add(&t->cells, &cell, sizeof(cell));
	t->at++;
}

void weir_table_cell(struct weir_table_out *t, enum weir_colour colour,
		     const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0) {
		n = 0;
	}
	weir_table_str(t, colour,
		       (struct weir_str){text, (size_t)n < sizeof(text)
						       ? (size_t)n
						       : sizeof(text) - 1});
}

void weir_table_end_row(struct weir_table_out *t)
{
	while (t->at < t->n_columns) {
		weir_table_str(t, WEIR_PLAIN, WEIR_STR(""));
	}
	t->at = 0;
}

void weir_table_heads(struct weir_table_out *t, const char *const *heads,
		      size_t n)
{
	t->n_columns = n < WEIR_TABLE_COLUMNS ? n : WEIR_TABLE_COLUMNS;
	for (size_t i = 0; i < t->n_columns; i++) {
		struct weir_str head = weir_str_of(heads[i]);

		head.n--;
		if (head.p[head.n] == '>') {
			t->right |= 1u << i;
		}
		weir_table_str(t, WEIR_BOLD, head);
	}
	weir_table_end_row(t);
}

size_t weir_table_rows(const struct weir_table_out *t)
{
	return t->cells.n / sizeof(struct weir_cell) / t->n_columns;
}

/* Columns that a text takes: UTF-8 continuation bytes take none. */
static size_t width_of(struct weir_str s)
{
	size_t width = 0;

	for (size_t i = 0; i < s.n; i++) {
		width += ((unsigned char)s.p[i] & 0xC0) != 0x80;
	}
	return width;
}

static struct weir_str text_of(const struct weir_table_out *t,
			       const struct weir_cell *cell)
{
	return (struct weir_str){t->text.p + cell->off, cell->n};
}

/* Where the table is wider than the terminal, its widest texts give way first;
 * numbers are never cut before texts. */
static void shrink(const struct weir_table_out *t, size_t *widths, size_t width)
{
	for (;;) {
		size_t total = 2 * (t->n_columns - 1);
		size_t widest = WEIR_TABLE_COLUMNS;

		for (size_t i = 0; i < t->n_columns; i++) {
			total += widths[i];
			if (!(t->right & 1u << i) && widths[i] > TEXT_MIN &&
			    (widest == WEIR_TABLE_COLUMNS ||
			     widths[i] > widths[widest])) {
				widest = i;
			}
		}
		if (total <= width || widest == WEIR_TABLE_COLUMNS) {
			return;
		}
		widths[widest]--;
	}
}

/* As much of s as fits. */
static struct weir_str cut(struct weir_str s, size_t width)
{
	while (width_of(s) > width) {
		s.n--;
	}
	return s;
}

static void print_row(const struct weir_table_out *t,
		      const struct weir_cell *row, const size_t *widths,
		      bool has_colour, size_t left, struct weir_buf *out)
{
	size_t last = t->n_columns;

	while (last && row[last - 1].n == 0) {
		last--;
	}
	for (size_t i = 0; i < last && left; i++) {
		size_t room = widths[i] < left ? widths[i] : left;
		struct weir_str s = cut(text_of(t, &row[i]), room);
		size_t width = width_of(s);
		size_t pad = widths[i] > width ? widths[i] - width : 0;
		bool is_right = t->right & 1u << i;
		bool is_on = has_colour && row[i].colour != WEIR_PLAIN;

		pad = pad < left - width ? pad : left - width;
		weir_buf_printf(out, "%*s%s", is_right ? (int)pad : 0, "",
				is_on ? escape_of(row[i].colour) : "");
		weir_buf_add_str(out, s);
		weir_buf_addz(out, is_on ? "\x1b[0m" : "");
		left -= width + pad;
		if (i + 1 < last && left > 2) {
			weir_buf_printf(out, "%*s", is_right ? 2 : (int)pad + 2,
					"");
			left -= 2;
		} else {
			left = i + 1 < last ? 0 : left;
		}
	}
	weir_buf_addz(out, "\n");
}

void weir_table_print(const struct weir_table_out *t, bool has_colour,
		      size_t max_rows, size_t width, struct weir_buf *out)
{
	/* buf's memory is malloc's, so aligned for any struct. */
	const struct weir_cell *cells = (const void *)t->cells.p;
	size_t widths[WEIR_TABLE_COLUMNS] = {0};
	size_t rows;

	if (t->text.error || t->cells.error || t->n_columns == 0) {
		out->error = out->error ? out->error : t->text.error;
		return;
	}
	rows = weir_table_rows(t);
	rows = max_rows && rows > max_rows ? max_rows : rows;
	for (size_t i = 0; i < rows * t->n_columns; i++) {
		size_t w = width_of(text_of(t, &cells[i]));
		size_t *column = &widths[i % t->n_columns];

		*column = w > *column ? w : *column;
	}
	if (width) {
		shrink(t, widths, width);
	}
	for (size_t i = 0; i < rows; i++) {
		print_row(t, cells + i * t->n_columns, widths, has_colour,
			  width ? width : SIZE_MAX, out);
	}
}
