/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weirctl: one struct of options for all commands, one table of flags (parser,
 * --help and completion read it), one function per command.
 */
#ifndef WEIR_CLI_CTL_H
#define WEIR_CLI_CTL_H

#include "buf.h"

/* Exit codes, documented in --help. */
#define WEIR_CTL_OK 0
#define WEIR_CTL_NO 1     /* asked and answered: no route, errors found */
#define WEIR_CTL_FAILED 2 /* usage, no agent, unreadable file */

/* More than the header lines that the proxy takes by default (max_headers): it
 * is explain that says 431. */
#define WEIR_CTL_LIST_MAX 128

struct weir_ctl_list {
	const char *v[WEIR_CTL_LIST_MAX];
	size_t n;
};

/* Zero is the default of each. */
struct weir_ctl {
	const char *admin;     /* socket */
	const char *manifests; /* offline instead of an agent */
	const char *node;      /* --node-name, offline */
	const char *from;      /* client namespace, explain */
	const char *to;        /* address asked, explain */
	const char *sort;      /* top */
	bool is_json;
	bool wants_help;
	bool is_strict;
	bool is_once;
	bool has_colour; /* decided from terminal, NO_COLOR, --no-color */
	bool no_colour;
	uint64_t count;       /* top: tables, 0 without end */
	uint64_t interval_ms; /* top */
	uint64_t limit;       /* top, explain: rows, 0 as many as fit */
	struct weir_ctl_list headers;
	struct weir_ctl_list args; /* what is not a flag */
};

/* One bit for each command, in flags. */
enum weir_ctl_command_bit {
	WEIR_CTL_STATUS = 1 << 0,
	WEIR_CTL_ROUTES = 1 << 1,
	WEIR_CTL_EXPLAIN = 1 << 2,
	WEIR_CTL_TOP = 1 << 3,
	WEIR_CTL_CHECK = 1 << 4,
	WEIR_CTL_PROBE = 1 << 5,
	WEIR_CTL_DUMP = 1 << 6,
	WEIR_CTL_DIAGS = 1 << 7,
	WEIR_CTL_COMPLETION = 1 << 8,
};

struct weir_ctl_command {
	const char *name;
	const char *args;    /* "GET URL | tcp ADDR" */
	const char *summary; /* one line */
	const char *text;    /* what it prints, exit codes, examples */
	int bit;
	size_t min_args;
	size_t max_args;
	int (*run)(struct weir_ctl *ctl);
};

extern const struct weir_ctl_command weir_ctl_commands[];
extern const size_t weir_ctl_commands_n;

/* Parses argv behind the command's name.  0, or -EINVAL after saying why on
 * standard error. */
int weir_ctl_parse(const struct weir_ctl_command *command, int argc,
		   char **argv, struct weir_ctl *ret_ctl);
void weir_ctl_help_flags(const struct weir_ctl_command *command,
			 struct weir_buf *out);
/* Flags of a command as "--a --b ", for completion. */
void weir_ctl_flag_words(const struct weir_ctl_command *command,
			 struct weir_buf *out);

/* Everything to standard output at once.  An exit code: result, or
 * WEIR_CTL_FAILED if it could not be written. */
int weir_ctl_print(const struct weir_buf *out, int result);
/* "weirctl: ..." on standard error; returns WEIR_CTL_FAILED. */
__attribute__((format(printf, 1, 2))) int weir_ctl_fail(const char *fmt, ...);

/* The commands: exit codes. */
int weir_ctl_status(struct weir_ctl *ctl);
int weir_ctl_routes(struct weir_ctl *ctl);
int weir_ctl_explain(struct weir_ctl *ctl);
int weir_ctl_top(struct weir_ctl *ctl);
int weir_ctl_check(struct weir_ctl *ctl);
int weir_ctl_probe(struct weir_ctl *ctl);
int weir_ctl_dump(struct weir_ctl *ctl);
int weir_ctl_diags(struct weir_ctl *ctl);
int weir_ctl_completion(struct weir_ctl *ctl);

#endif
