/* SPDX-License-Identifier: Apache-2.0 */
/* One row per flag; read by the parser, --help and the error lines. */
#ifndef WEIR_DAEMON_OPTION_TABLE_H
#define WEIR_DAEMON_OPTION_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* How the text of a flag becomes a value of struct weir_options. */
enum weir_option_kind {
	WEIR_OPTION_TEXT,      /* const char * */
	WEIR_OPTION_NONE_TEXT, /* const char *; "none" is NULL */
	WEIR_OPTION_SET,       /* bool, no value: true */
	WEIR_OPTION_CLEAR,     /* bool, no value: false */
	WEIR_OPTION_ACTION, /* enum weir_action, no value; min is the action */
	WEIR_OPTION_NUMBER, /* uint32_t */
	WEIR_OPTION_MS,     /* uint32_t, milliseconds: 500ms, 5s, 2m */
	WEIR_OPTION_BYTES,  /* uint32_t: 16384, 16k, 1m */
	WEIR_OPTION_LIST,   /* struct weir_option_list */
	WEIR_OPTION_PREFIX, /* struct weir_ip, and its length at off2 */
	WEIR_OPTION_PORTS,  /* uint16_t first, uint16_t last at off2 */
	WEIR_OPTION_LISTEN, /* struct weir_ip, __be16 at off2; none */
	WEIR_OPTION_WORD,   /* enum (int) out of words */
	WEIR_OPTION_FDS,    /* internal: fds and n_fds */
	WEIR_OPTION_IDS,    /* internal: uid:gid */
};

struct weir_option {
	const char *name; /* without dashes; NULL: a heading in help */
	const char *metavar;
	const char *help; /* NULL: internal, not in --help */
	const char *example;
	const char *const *words;
	uint64_t min;
	uint64_t max;
	size_t off;
	size_t off2;
	enum weir_option_kind kind;
};

extern const struct weir_option weir_option_table[];
extern const size_t weir_option_table_n;

#endif
