/* SPDX-License-Identifier: Apache-2.0 */
/* Tables with aligned columns.  A cell is bytes; colour costs no width. */
#ifndef WEIR_CLI_TABLE_H
#define WEIR_CLI_TABLE_H

#include "buf.h"

#define WEIR_TABLE_COLUMNS 16

enum weir_colour {
	WEIR_PLAIN,
	WEIR_BOLD,
	WEIR_DIM,
	WEIR_RED,
	WEIR_GREEN,
	WEIR_YELLOW,
};

struct weir_cell {
	uint32_t off; /* in text */
	uint32_t n;
	enum weir_colour colour;
};

/* Zero-initialise; columns named right-aligned hold numbers. */
struct weir_table_out {
	struct weir_buf text;
	struct weir_buf cells; /* struct weir_cell, row by row */
	size_t n_columns;
	uint32_t right; /* bit per column */
	size_t at;      /* next column */
};

void weir_table_fini(struct weir_table_out *t);
/* "NAME<" left, "NAME>" right; the heads are the first row. */
void weir_table_heads(struct weir_table_out *t, const char *const *heads,
		      size_t n);
__attribute__((format(printf, 3, 4))) void
weir_table_cell(struct weir_table_out *t, enum weir_colour colour,
		const char *fmt, ...);
void weir_table_str(struct weir_table_out *t, enum weir_colour colour,
		    struct weir_str s);
/* Fills the row with empty cells. */
void weir_table_end_row(struct weir_table_out *t);
size_t weir_table_rows(const struct weir_table_out *t);
/* max_rows: heads included, 0: all.  width: of the terminal, columns of text
 * give way to it; 0: as wide as it is. */
void weir_table_print(const struct weir_table_out *t, bool has_colour,
		      size_t max_rows, size_t width, struct weir_buf *out);

/* s between escape sequences if has_colour. */
void weir_colour(struct weir_buf *out, bool has_colour, enum weir_colour colour,
		 const char *s);

#endif
