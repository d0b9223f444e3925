/* SPDX-License-Identifier: Apache-2.0 */
/* agent/daemon/options: what flags mean, and what is said of wrong ones. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "addr.h"
#include "option_table.h"
#include "options.h"
#include "tap.h"

static char error[WEIR_OPTIONS_ERROR_MAX];
static struct weir_options o;

static int parse(int argc, const char *const *argv)
{
	error[0] = '\0';
	return weir_options_parse(&o, argc, (char *const *)(uintptr_t)argv,
				  error);
}

#define PARSE(...)                                                             \
	({                                                                     \
		const char *const _v[] = {"weir-agent", __VA_ARGS__};          \
		parse((int)(sizeof(_v) / sizeof(_v[0])), _v);                  \
	})

static void values_are_taken_in_both_spellings(void)
{
	must(PARSE("--manifests", "/m", "--workers=3", "--node-name=n1",
		   "--attach", "clsact", "--head-timeout=2s", "--max-head",
		   "8k", "--prefix4=10.9.0.0/16", "--snat-ports=2000-2999",
		   "--metrics=[::1]:99", "--no-accounting", "--redirect",
		   "--log-level=debug") == 0,
	     "%s", error);
	ok(strcmp(o.manifests, "/m") == 0, "%s", o.manifests);
	ok(o.workers == 3, "%u", o.workers);
	ok(strcmp(o.node_name, "n1") == 0, "%s", o.node_name);
	ok(o.kernel.attach == WEIR_ATTACH_CLSACT, "%d", o.kernel.attach);
	ok(o.limits.head_timeout_ms == 2000, "%u", o.limits.head_timeout_ms);
	ok(o.limits.max_head_bytes == 8192, "%u", o.limits.max_head_bytes);
	ok(o.kernel.prefix4_len == 16, "%u", o.kernel.prefix4_len);
	ok(o.kernel.prefix4.a[3] == htonl(0x0A090000), "base");
	ok(o.kernel.snat_first == 2000 && o.kernel.snat_last == 2999, "ports");
	ok(o.metrics_port_be == htons(99), "port");
	ok(!o.kernel.wants_accounting, "accounting");
	ok(o.kernel.wants_redirect, "redirect");
	ok(o.log_level == WEIR_LOG_DEBUG, "level");
	ok(o.role == WEIR_ROLE_PARENT && o.action == WEIR_ACTION_RUN, "role");
}

static void defaults_are_those_of_the_modules(void)
{
	struct weir_kernel_config kernel;
	struct weir_proxy_limits limits;

	must(PARSE("--manifests=/m") == 0, "%s", error);
	weir_kernel_config_default(&kernel);
	weir_proxy_limits_default(&limits);
	ok(o.kernel.max_flows == kernel.max_flows, "%u", o.kernel.max_flows);
	ok(memcmp(&o.limits, &limits, sizeof(limits)) == 0, "limits");
	ok(o.workers >= 1, "one per CPU");
	ok(strcmp(o.cgroup, "auto") == 0, "%s", o.cgroup);
	ok(o.metrics_port_be == htons(9707), "metrics");
}

static void a_repeated_flag_makes_a_list(void)
{
	must(PARSE("--manifests=/m", "--external=eth*", "--external", "wl*",
		   "--xdp=eth0") == 0,
	     "%s", error);
	must(o.kernel.n_external == 2, "%zu", o.kernel.n_external);
	ok(strcmp(o.kernel.external[1], "wl*") == 0, "%s",
	   o.kernel.external[1]);
	ok(o.kernel.n_xdp == 1 && o.kernel.n_ignore == 0, "others");
}

static void a_head_fits_into_a_buffer(void)
{
	must(PARSE("--manifests=/m", "--max-head=64k", "--buffer=65k") == 0,
	     "%s", error);
	must(PARSE("--manifests=/m", "--buffer=5k", "--max-head=4k") == 0, "%s",
	     error);
	ok(PARSE("--manifests=/m", "--max-head=64k", "--buffer=65k",
		 "--buffer=66559") == -EINVAL,
	   "a byte short");
}

static void none_turns_off(void)
{
	must(PARSE("--manifests=/m", "--metrics=none", "--admin", "none",
		   "--netns=none") == 0,
	     "%s", error);
	ok(o.metrics_port_be == 0, "metrics");
	ok(o.admin == NULL, "admin");
	ok(o.netns == NULL, "netns");
}

static void a_wrong_flag_is_one_line_that_helps(void)
{
	static const struct {
		const char *flag;
		const char *value;
		const char *says; /* what, and how to mend it */
	} cases[] = {
		{"--manifest", "/m", "did you mean --manifests?"},
		{"--wrokers", "2", "did you mean --workers?"},
		{"--zzzzzzzz", "2", "--help lists all"},
		{"--workers", "many", "a number from 0 to 32"},
		{"--workers", "33", "a number from 0 to 32"},
		{"--workers", "-1", "a number from 0 to 32"},
		{"--workers", "", "a number from 0 to 32"},
		{"--head-timeout", "5h", "a time (ms, s, m) from 10ms"},
		{"--head-timeout", "99999999999s", "a time (ms, s, m)"},
		{"--max-head", "1g", "a size (bytes, k, m) from 1k"},
		{"--max-head", "32k", "give --buffer at least 33792, or a"},
		{"--buffer", "4k", "16k does not fit into --buffer 4k"},
		{"--buffer", "17407", "into --buffer 17407, which"},
		{"--prefix4", "198.19.240.0", "such as 198.19.240.0/20"},
		{"--prefix4", "198.19.240.1/20", "without host bits"},
		{"--prefix4", "fd00::/112", "/8 to /28"},
		{"--prefix6", "10.0.0.0/8", "/96 to /124"},
		{"--prefix6", "fd00::1/112", "without host bits"},
		{"--snat-ports", "5000-4000", "FIRST-LAST, such as"},
		{"--snat-ports", "80-90", "FIRST-LAST, such as"},
		{"--snat-ports", "4000", "FIRST-LAST, such as"},
		{"--metrics", "9707", "ADDR:PORT|none"},
		{"--metrics", "127.0.0.1:0", "ADDR:PORT|none"},
		{"--attach", "tc", "auto|tcx|clsact"},
		{"--log-level", "verbose", "error|warning|info|debug"},
		{"--manifests", "", "DIR, such as /etc/weir/manifests"},
		{"--redirect=yes", NULL, "takes no value"},
		{"--workers", NULL, "its value is missing"},
		{"workers", NULL, "not a flag"},
		{"--", NULL, "not a flag"},
		{"--role=proxy", NULL, "leave it out"},
		{"--version=1", NULL, "takes no value"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const argv[] = {"weir-agent", "--manifests=/m",
					    cases[i].flag, cases[i].value};
		int r = parse(cases[i].value ? 4 : 3, argv);

		ok(r == -EINVAL, "%s %s: %d", cases[i].flag,
		   cases[i].value ? cases[i].value : "", r);
		ok(strstr(error, cases[i].says), "%s: \"%s\" not in \"%s\"",
		   cases[i].flag, cases[i].says, error);
		ok(!strchr(error, '\n'), "one line: %s", error);
	}
}

static void long_input_fits_the_line(void)
{
	static char flag[4096];

	memset(flag, 'x', sizeof(flag) - 1);
	memcpy(flag, "--", 2);
	ok(PARSE(flag) == -EINVAL, "unknown");
	ok(strlen(error) < WEIR_OPTIONS_ERROR_MAX, "bounded");
	memcpy(flag, "--prefix4=", 10);
	ok(PARSE(flag) == -EINVAL, "value");
	ok(strlen(error) < WEIR_OPTIONS_ERROR_MAX, "bounded");
}

static void running_needs_manifests_other_actions_do_not(void)
{
	ok(PARSE("--workers=1") == -EINVAL, "run");
	ok(strstr(error, "--manifests DIR is missing"), "%s", error);
	ok(PARSE("--detach") == 0 && o.action == WEIR_ACTION_DETACH, "detach");
	ok(PARSE("--probe") == 0 && o.action == WEIR_ACTION_PROBE, "probe");
	ok(PARSE("--help") == 0 && o.action == WEIR_ACTION_HELP, "help");
	ok(PARSE("--version") == 0 && o.action == WEIR_ACTION_VERSION,
	   "version");
}

static void objects_come_from_one_place(void)
{
	ok(PARSE("--kubeconfig=/k", "--node-name=n1") == 0, "%s", error);
	ok(strcmp(o.kubeconfig, "/k") == 0 && !o.manifests, "kubeconfig");
	ok(PARSE("--in-cluster", "--lease-namespace=weir") == 0, "%s", error);
	ok(o.is_in_cluster && strcmp(o.lease_namespace, "weir") == 0,
	   "in the cluster");
	ok(PARSE("--manifests=/m", "--in-cluster") == -EINVAL, "two places");
	ok(strstr(error, "give one of them"), "%s", error);
	ok(PARSE("--kubeconfig=/k", "--in-cluster") == -EINVAL, "two places");
}

static void a_node_has_a_name_where_it_names_a_lease(void)
{
	unsetenv("NODE_NAME");
	ok(PARSE("--in-cluster") == 0 && o.node_name[0], "the host's name");
	setenv("NODE_NAME", "edge-7", 1);
	ok(PARSE("--in-cluster") == 0 && !strcmp(o.node_name, "edge-7"), "%s",
	   o.node_name);
	ok(PARSE("--in-cluster", "--node-name=n1") == 0 &&
		   !strcmp(o.node_name, "n1"),
	   "%s", o.node_name);
	ok(PARSE("--manifests=/m") == 0 && !o.node_name[0],
	   "without an API server it is not needed");
	unsetenv("NODE_NAME");
}

static void a_list_is_bounded(void)
{
	const char *argv[WEIR_OPTIONS_LIST_MAX + 2] = {"weir-agent"};

	for (int i = 0; i <= WEIR_OPTIONS_LIST_MAX; i++) {
		argv[i + 1] = "--xdp=e";
	}
	ok(parse(WEIR_OPTIONS_LIST_MAX + 2, argv) == -EINVAL, "33rd");
	ok(strstr(error, "at most 32 times"), "%s", error);
}

static void children_get_descriptors_and_ids(void)
{
	must(PARSE("--manifests=/m", "--role=agent", "--role-fds=3,-1,5",
		   "--role-ids=65534:100:42") == 0,
	     "%s", error);
	ok(o.role == WEIR_ROLE_AGENT, "role");
	must(o.n_fds == 3, "%zu", o.n_fds);
	ok(o.fds[0] == 3 && o.fds[1] == -1 && o.fds[2] == 5, "fds");
	ok(o.uid == 65534 && o.gid == 100 && o.parent == 42, "ids");
	ok(PARSE("--manifests=/m", "--role=agent", "--role-fds=3,x") == -EINVAL,
	   "bad fds");
}

static void help_lists_every_flag_with_its_default(void)
{
	_cleanup_buf_ struct weir_buf help = {0};

	weir_options_help(&help);
	weir_buf_add(&help, "", 1);
	must(help.error == 0, "memory");
	for (size_t i = 0; i < weir_option_table_n; i++) {
		const struct weir_option *row = &weir_option_table[i];
		char flag[64];

		if (!row->name) {
			continue;
		}
		snprintf(flag, sizeof(flag), "  --%s", row->name);
		ok(!!strstr(help.p, flag) == !!row->help, "%s", flag);
	}
	ok(strstr(help.p, "[198.19.240.0/20]"), "prefix4");
	ok(strstr(help.p, "[127.0.0.1:9707]"), "metrics");
	ok(strstr(help.p, "[auto]"), "attach");
	ok(!strstr(help.p, "role"), "internal flags are not shown");
}

TAP_MAIN(TEST(values_are_taken_in_both_spellings),
	 TEST(defaults_are_those_of_the_modules),
	 TEST(a_repeated_flag_makes_a_list), TEST(none_turns_off),
	 TEST(a_head_fits_into_a_buffer),
	 TEST(a_wrong_flag_is_one_line_that_helps),
	 TEST(long_input_fits_the_line),
	 TEST(running_needs_manifests_other_actions_do_not),
	 TEST(objects_come_from_one_place),
	 TEST(a_node_has_a_name_where_it_names_a_lease),
	 TEST(a_list_is_bounded), TEST(children_get_descriptors_and_ids),
	 TEST(help_lists_every_flag_with_its_default))
