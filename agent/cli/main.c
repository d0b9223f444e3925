/* SPDX-License-Identifier: Apache-2.0 */
/* weirctl: looks at a running agent, or at manifests without one. */
#include <signal.h>
#include <stdio.h>

#include "ctl.h"

static int print_command_help(const struct weir_ctl_command *c)
{
	_cleanup_buf_ struct weir_buf out = {0};

	weir_buf_printf(&out,
			"weirctl %s: %s\n\nUsage: weirctl %s [options] %s"
			"\n\n%s\nOptions:\n",
			c->name, c->summary, c->name, c->args, c->text);
	weir_ctl_help_flags(c, &out);
	return weir_ctl_print(&out, WEIR_CTL_OK);
}

static void print_help(FILE *to)
{
	fputs("weirctl looks at a weir agent, or at manifests without one.\n\n"
	      "Usage: weirctl COMMAND [options] [arguments]\n\n",
	      to);
	for (size_t i = 0; i < weir_ctl_commands_n; i++) {
		fprintf(to, "  %-11s %s\n", weir_ctl_commands[i].name,
			weir_ctl_commands[i].summary);
	}
	fputs("\nweirctl COMMAND --help has options and examples.\n"
	      "Exit codes: 0 yes or done; 1 asked and answered no (no route, "
	      "errors found);\n2 usage, no agent, file not readable.\n",
	      to);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	struct weir_ctl ctl;

	/* A closed pipe (weirctl dump | head) is an ordinary error. */
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
		puts("weirctl " WEIR_VERSION);
		return WEIR_CTL_OK;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
	    strcmp(name, "help") == 0) {
		print_help(stdout);
		return WEIR_CTL_OK;
	}
	for (size_t i = 0; i < weir_ctl_commands_n; i++) {
		const struct weir_ctl_command *c = &weir_ctl_commands[i];

		if (strcmp(name, c->name) != 0) {
			continue;
		}
		if (weir_ctl_parse(c, argc - 2, argv + 2, &ctl) < 0) {
			return WEIR_CTL_FAILED;
		}
		return ctl.wants_help ? print_command_help(c) : c->run(&ctl);
	}
	if (name[0]) {
		weir_ctl_fail("unknown command %s", name);
	}
	print_help(stderr);
	return WEIR_CTL_FAILED;
}
