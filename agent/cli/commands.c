/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands with their help. */
#include "ctl.h"

const struct weir_ctl_command weir_ctl_commands[] = {
	{.name = "status",
	 .args = "",
	 .summary = "processes, planes and generations of the agent",
	 .bit = WEIR_CTL_STATUS,
	 .run = weir_ctl_status,
	 .text = "Exit: 0 ready, 1 not (yet) serving its newest plan, 2 no "
		 "agent.\n"
		 "\nExamples:\n"
		 "  weirctl status\n"
		 "  weirctl status -o json | jq .generation\n"},
	{.name = "routes",
	 .args = "",
	 .summary = "every rule: what it matches, where it sends, on which "
		    "plane",
	 .bit = WEIR_CTL_ROUTES,
	 .run = weir_ctl_routes,
	 .text = "Examples:\n"
		 "  weirctl routes\n"
		 "  weirctl routes --manifests /etc/weir/manifests\n"},
	{.name = "explain",
	 .args = "[METHOD] URL | LINE | tcp ADDR:PORT | udp ADDR:PORT",
	 .summary = "which object and rule decide about a request or "
		    "connection, and why",
	 .bit = WEIR_CTL_EXPLAIN,
	 .min_args = 1,
	 .max_args = 2,
	 .run = weir_ctl_explain,
	 .text = "A URL alone means GET.  Without --to every HTTP address on\n"
		 "the URL's port that serves its host is asked.  LINE is the "
		 "first line of\na request of any kind, whose only headers are "
		 "those of -H.  A request\nthat nothing matches is shown with "
		 "what each match lacks.\nThe request is read by the "
		 "proxy's parser first; what it refuses is shown\nwith the "
		 "status that the proxy answers.  Limits of heads are the\n"
		 "agent's own; with --manifests the defaults.\n"
		 "Exit: 0 a rule decides, 1 none does, 2 failed.\n"
		 "\nExamples:\n"
		 "  weirctl explain GET http://my-app.example.com/api/v1\n"
		 "  weirctl explain POST http://shop/cart -H 'x-env: canary'\n"
		 "  weirctl explain GET http://shop/ --to 10.1.2.3:80 "
		 "--manifests ./site\n"
		 "  weirctl explain 'GET http://shop/a%2fb HTTP/1.1' -H 'Host: "
		 "x'"
		 "\n"
		 "  weirctl explain tcp 10.1.2.3:5432\n"},
	{.name = "top",
	 .args = "",
	 .summary = "live: configured and observed share of every backend",
	 .bit = WEIR_CTL_TOP,
	 .run = weir_ctl_top,
	 .text = "SHARE is configured, NOW observed over the interval, EVER "
		 "since the\ncounters began.  On a terminal the table is "
		 "redrawn until q; elsewhere\none follows the other, and -o "
		 "json prints one object a line.\n"
		 "\nExamples:\n"
		 "  weirctl top\n"
		 "  weirctl top --once -i 5\n"
		 "  weirctl top -n 10 -o json\n"},
	{.name = "check",
	 .args = "DIR",
	 .summary = "what is wrong in a directory of manifests (no agent)",
	 .bit = WEIR_CTL_CHECK,
	 .min_args = 1,
	 .max_args = 1,
	 .run = weir_ctl_check,
	 .text = "Reads the .yaml, .yml and .json files in DIR, not below it: "
		 "as the agent\ndoes, so what they refer to must be in DIR "
		 "too.\n"
		 "One line each: FILE:LINE: SEVERITY: KIND NAMESPACE/NAME: "
		 "FIELD: MESSAGE (REASON)\n"
		 "Exit: 0 no errors (with --strict: nor warnings), 1 some, 2 "
		 "DIR not readable.\n"
		 "\nExamples:\n"
		 "  weirctl check /etc/weir/manifests\n"
		 "  weirctl check --strict . -o json\n"},
	{.name = "probe",
	 .args = "",
	 .summary = "what this kernel offers, what is on, what is off and why",
	 .bit = WEIR_CTL_PROBE,
	 .run = weir_ctl_probe,
	 .text = "Asks the agent; without one, runs weir-agent --probe (from "
		 "beside this\nprogram, or PATH), which needs its rights.\n"
		 "\nExamples:\n"
		 "  sudo weirctl probe\n"},
	{.name = "dump",
	 .args = "",
	 .summary = "the whole compiled plan",
	 .bit = WEIR_CTL_DUMP,
	 .run = weir_ctl_dump,
	 .text = "The text is stable: the same objects give the same lines.\n"
		 "\nExamples:\n"
		 "  weirctl dump\n"
		 "  weirctl dump --manifests DIR -o json | jq .rules\n"},
	{.name = "diags",
	 .args = "",
	 .summary = "what the agent has to say about its objects",
	 .bit = WEIR_CTL_DIAGS,
	 .run = weir_ctl_diags,
	 .text = "Lines as of weirctl check.\n"
		 "Exit: 0 no errors, 1 some, 2 no agent.\n"
		 "\nExamples:\n"
		 "  weirctl diags\n"},
	{.name = "completion",
	 .args = "bash",
	 .summary = "a completion script for the shell",
	 .bit = WEIR_CTL_COMPLETION,
	 .min_args = 1,
	 .max_args = 1,
	 .run = weir_ctl_completion,
	 .text = "Examples:\n"
		 "  source <(weirctl completion bash)\n"},
};

const size_t weir_ctl_commands_n = sizeof(weir_ctl_commands) /
				   sizeof(weir_ctl_commands[0]);
