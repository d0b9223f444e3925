/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl.h"

enum flag_kind { FLAG_TEXT, FLAG_SET, FLAG_LIST, FLAG_NUMBER, FLAG_SECONDS };

struct flag {
	const char *name; /* without dashes */
	const char *metavar;
	const char *help;
	size_t off;
	int commands; /* bits */
	enum flag_kind kind;
	char letter; /* 0: none */
};

#define AT(field) offsetof(struct weir_ctl, field)
#define LIVE                                                                   \
	(WEIR_CTL_STATUS | WEIR_CTL_ROUTES | WEIR_CTL_EXPLAIN | WEIR_CTL_TOP | \
	 WEIR_CTL_PROBE | WEIR_CTL_DUMP | WEIR_CTL_DIAGS)
#define PLAN (WEIR_CTL_ROUTES | WEIR_CTL_EXPLAIN | WEIR_CTL_DUMP)

static const struct flag flags[] = {
	{"admin", "PATH", "admin socket (default /run/weir/admin.sock)",
	 AT(admin), LIVE, FLAG_TEXT, 0},
	{"manifests", "DIR", "no agent: compile the objects in DIR",
	 AT(manifests), PLAN | WEIR_CTL_DIAGS, FLAG_TEXT, 0},
	{"node-name", "NAME", "offline: endpoints of NAME are local", AT(node),
	 PLAN | WEIR_CTL_CHECK | WEIR_CTL_DIAGS, FLAG_TEXT, 0},
	{"header", "'NAME: VALUE'", "request header, may be repeated",
	 AT(headers), WEIR_CTL_EXPLAIN, FLAG_LIST, 'H'},
	{"to", "ADDR", "address the client connects to, if not by the URL",
	 AT(to), WEIR_CTL_EXPLAIN, FLAG_TEXT, 0},
	{"from", "NAMESPACE", "the client is a pod of NAMESPACE", AT(from),
	 WEIR_CTL_EXPLAIN, FLAG_TEXT, 0},
	{"strict", NULL, "warnings are errors", AT(is_strict), WEIR_CTL_CHECK,
	 FLAG_SET, 0},
	{"once", NULL, "one table, then exit (as -n 1)", AT(is_once),
	 WEIR_CTL_TOP, FLAG_SET, 0},
	{"count", "N", "N tables, then exit", AT(count), WEIR_CTL_TOP,
	 FLAG_NUMBER, 'n'},
	{"interval", "SECONDS", "between two tables (default 1; 0.1 and more)",
	 AT(interval_ms), WEIR_CTL_TOP, FLAG_SECONDS, 'i'},
	{"sort", "plan|rate", "order of the rules (default plan)", AT(sort),
	 WEIR_CTL_TOP, FLAG_TEXT, 0},
	{"limit", "N", "at most N rows (0: all)", AT(limit), WEIR_CTL_TOP,
	 FLAG_NUMBER, 0},
	{"output", "text|json", "form of the output", 0, LIVE | WEIR_CTL_CHECK,
	 FLAG_TEXT, 'o'},
	{"no-color", NULL, "no colours (also: NO_COLOR, no terminal)",
	 AT(no_colour), LIVE | WEIR_CTL_CHECK, FLAG_SET, 0},
	{"help", NULL, "this text", AT(wants_help), -1, FLAG_SET, 'h'},
};

#define N_FLAGS (sizeof(flags) / sizeof(flags[0]))

int weir_ctl_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("weirctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n", stderr);
	return WEIR_CTL_FAILED;
}

int weir_ctl_print(const struct weir_buf *out, int result)
{
	if (out->error) {
		return weir_ctl_fail("%s", strerror(-out->error));
	}
	if (fwrite(out->p, 1, out->n, stdout) != out->n ||
	    fflush(stdout) != 0) {
		/* Who reads no further (head, less) wants no message. */
		return errno == EPIPE ? WEIR_CTL_FAILED
				      : weir_ctl_fail("standard output: %s",
						      strerror(errno));
	}
	return result;
}

/* "--name", "--name=value", "-x": the flag and where its value starts. */
static const struct flag *find_flag(const struct weir_ctl_command *command,
				    const char *arg, const char **ret_value)
{
	const char *name = arg + (arg[1] == '-' ? 2 : 1);
	const char *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);

	for (size_t i = 0; i < N_FLAGS; i++) {
		if (!(flags[i].commands & command->bit)) {
			continue;
		}
		if (arg[1] == '-' && strlen(flags[i].name) == n &&
		    strncmp(flags[i].name, name, n) == 0) {
			*ret_value = eq ? eq + 1 : NULL;
			return &flags[i];
		}
		if (arg[1] != '-' && flags[i].letter &&
		    flags[i].letter == arg[1]) {
			*ret_value = arg[2] ? arg + 2 : NULL;
			return &flags[i];
		}
	}
	return NULL;
}

/* "1", "0.25" in milliseconds. */
static int parse_seconds(const char *text, uint64_t *ret_ms)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (errno || end == text || *end || !(v >= 0.1 && v <= 86400)) {
		return -EINVAL;
	}
	*ret_ms = (uint64_t)(v * 1000 + 0.5);
	return 0;
}

static int add_to_list(struct weir_ctl_list *list, const char *value)
{
	if (list->n == WEIR_CTL_LIST_MAX) {
		return -E2BIG;
	}
	list->v[list->n++] = value;
	return 0;
}

static int set_output(struct weir_ctl *ctl, const char *value)
{
	if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0) {
		return -EINVAL;
	}
	ctl->is_json = value[0] == 'j';
	return 0;
}

static int set_flag(struct weir_ctl *ctl, const struct flag *f,
		    const char *value)
{
	void *field = (char *)ctl + f->off;

	switch (f->kind) {
	case FLAG_SET:
		*(bool *)field = true;
		return value ? -EINVAL : 0;
	case FLAG_LIST:
		return add_to_list(field, value);
	case FLAG_NUMBER:
		return weir_str_parse_u64(weir_str_of(value), 1000000000,
					  field);
	case FLAG_SECONDS:
		return parse_seconds(value, field);
	default:
		if (f->letter == 'o') {
			return set_output(ctl, value);
		}
		*(const char **)field = value;
		return 0;
	}
}

static int parse_flag(const struct weir_ctl_command *command,
		      struct weir_ctl *ctl, int argc, char **argv, int *at)
{
	const char *arg = argv[*at];
	const char *value = NULL;
	const struct flag *f = find_flag(command, arg, &value);
	int r;

	if (!f) {
		weir_ctl_fail("%s: unknown option %s; see weirctl %s --help",
			      command->name, arg, command->name);
		return -EINVAL;
	}
	if (f->kind != FLAG_SET && !value) {
		if (*at + 1 >= argc) {
			weir_ctl_fail("%s: --%s needs %s", command->name,
				      f->name, f->metavar);
			return -EINVAL;
		}
		value = argv[++*at];
	}
	r = set_flag(ctl, f, value);
	if (r == -E2BIG) {
		weir_ctl_fail("%s: --%s: %d of them are the most",
			      command->name, f->name, WEIR_CTL_LIST_MAX);
		return -EINVAL;
	}
	if (r < 0) {
		weir_ctl_fail("%s: --%s: not %s: %s", command->name, f->name,
			      f->metavar ? f->metavar : "expecting a value",
			      value ? value : "");
		return -EINVAL;
	}
	return 0;
}

int weir_ctl_parse(const struct weir_ctl_command *command, int argc,
		   char **argv, struct weir_ctl *ret_ctl)
{
	struct weir_ctl ctl = {.admin = "/run/weir/admin.sock",
			       .interval_ms = 1000};
	bool is_rest = false;
	int r = 0;

	for (int i = 0; i < argc && r == 0; i++) {
		if (is_rest || argv[i][0] != '-' || !argv[i][1]) {
			r = add_to_list(&ctl.args, argv[i]);
		} else if (strcmp(argv[i], "--") == 0) {
			is_rest = true;
		} else {
			r = parse_flag(command, &ctl, argc, argv, &i);
			if (r < 0) {
				return r;
			}
		}
	}
	if (!ctl.wants_help && (r < 0 || ctl.args.n < command->min_args ||
				ctl.args.n > command->max_args)) {
		weir_ctl_fail("usage: weirctl %s [options] %s", command->name,
			      command->args);
		return -EINVAL;
	}
	ctl.has_colour = !ctl.no_colour && !getenv("NO_COLOR") &&
			 isatty(STDOUT_FILENO);
	*ret_ctl = ctl;
	return 0;
}

void weir_ctl_help_flags(const struct weir_ctl_command *command,
			 struct weir_buf *out)
{
	for (size_t i = 0; i < N_FLAGS; i++) {
		const struct flag *f = &flags[i];
		char left[64];
		int n;

		if (!(f->commands & command->bit)) {
			continue;
		}
		n = snprintf(left, sizeof(left), "%c%c%c --%s %s",
			     f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
			     f->letter ? ',' : ' ', f->name,
			     f->metavar ? f->metavar : "");
		weir_buf_printf(out, "  %-*s %s\n", n > 30 ? n : 30, left,
				f->help);
	}
}

void weir_ctl_flag_words(const struct weir_ctl_command *command,
			 struct weir_buf *out)
{
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (flags[i].commands & command->bit) {
			weir_buf_printf(out, "--%s ", flags[i].name);
		}
	}
}
