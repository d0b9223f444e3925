/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl.h"

int weir_ctl_completion(struct weir_ctl *ctl)
{
	_cleanup_buf_ struct weir_buf out = {0};

	if (strcmp(ctl->args.v[0], "bash") != 0) {
		return weir_ctl_fail("completion for %s is not known, only "
				     "bash",
				     ctl->args.v[0]);
	}
	weir_buf_addz(&out,
		      "_weirctl()\n{\n"
		      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words\n"
		      "\tlocal prev=${COMP_WORDS[COMP_CWORD - 1]}\n\n"
		      "\tcase $prev in\n"
		      "\t--manifests | check)\n"
		      "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
		      "\t\treturn\n\t\t;;\n"
		      "\t--admin)\n"
		      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
		      "\t\treturn\n\t\t;;\n"
		      "\t-o | --output) words='text json' ;;\n"
		      "\t*)\n\t\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < weir_ctl_commands_n; i++) {
		const struct weir_ctl_command *c = &weir_ctl_commands[i];

		weir_buf_printf(&out, "\t\t%s) words='", c->name);
		weir_ctl_flag_words(c, &out);
		weir_buf_addz(&out, c->bit == WEIR_CTL_EXPLAIN ? "GET tcp udp"
				    : c->bit == WEIR_CTL_COMPLETION ? "bash"
								    : "");
		weir_buf_addz(&out, "' ;;\n");
	}
	weir_buf_addz(&out, "\t\tesac\n\t\t;;\n\tesac\n"
			    "\t((COMP_CWORD > 1)) || words='");
	for (size_t i = 0; i < weir_ctl_commands_n; i++) {
		weir_buf_printf(&out, "%s%s", i ? " " : "",
				weir_ctl_commands[i].name);
	}
	weir_buf_addz(&out, "'\n"
			    "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" "
			    "-- \"$cur\")\n}\n"
			    "complete -F _weirctl weirctl\n");
	return weir_ctl_print(&out, WEIR_CTL_OK);
}
