// SPDX-License-Identifier: Apache-2.0
/* What reads the table of flags: the parser, --help and the error lines. */
#include "options.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "addr.h"
#include "option_table.h"

static void *field(struct weir_options *o, size_t off)
{
	return (char *)o + off;
}

static bool wants_value(const struct weir_option *row)
{
	return row->kind != WEIR_OPTION_SET && row->kind != WEIR_OPTION_CLEAR &&
	       row->kind != WEIR_OPTION_ACTION;
}

static const struct weir_option *find_row(struct weir_str name)
{
	for (size_t i = 0; i < weir_option_table_n; i++) {
		if (weir_option_table[i].name &&
		    weir_str_is(name, weir_option_table[i].name)) {
			return &weir_option_table[i];
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ values */

/* "16k" with units {"k", 1024}: digits, then one of the units or nothing. */
struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit byte_units[] = {{"k", 1024}, {"m", 1 << 20}, {0}};
static const struct unit time_units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {0}};

static int parse_scaled(struct weir_str text, const struct unit *units,
			uint64_t *ret_value)
{
	uint64_t factor = 1;
	uint64_t value;
	int r;

	for (; units && units->suffix; units++) {
		struct weir_str suffix = weir_str_of(units->suffix);

		if (weir_str_ends(text, suffix)) {
			text.n -= suffix.n;
			factor = units->factor;
			break;
		}
	}
	r = weir_str_parse_u64(text, UINT32_MAX, &value);
	if (r < 0) {
		return r;
	}
	*ret_value = value * factor;
	return 0;
}

static int set_number(struct weir_options *o, const struct weir_option *row,
		      struct weir_str text)
{
	const struct unit *units = row->kind == WEIR_OPTION_MS      ? time_units
				   : row->kind == WEIR_OPTION_BYTES ? byte_units
								    : NULL;
	uint64_t value;
	int r = parse_scaled(text, units, &value);

	if (r < 0 || value < row->min || value > row->max) {
		return -EINVAL;
	}
	*(uint32_t *)field(o, row->off) = (uint32_t)value;
	return 0;
}

static int set_prefix(struct weir_options *o, const struct weir_option *row,
		      struct weir_str text)
{
	bool is_v4 = row->off == offsetof(struct weir_options, kernel.prefix4);
	ptrdiff_t slash = weir_str_find(text, '/');
	struct weir_ip ip;
	uint64_t bits;
	size_t host;

	if (slash < 0 ||
	    weir_ip_parse((struct weir_str){text.p, (size_t)slash}, &ip) < 0 ||
	    weir_str_parse_u64(weir_str_skip(text, (size_t)slash + 1), 128,
			       &bits) < 0 ||
	    bits < row->min || bits > row->max || weir_ip_is_v4(&ip) != is_v4) {
		return -EINVAL;
	}
	/* Index i is base + i in the last 32 bits, so these must be zero. */
	host = (is_v4 ? 32 : 128) - bits;
	if (ntohl(ip.a[3]) & (uint32_t)((1ull << host) - 1)) {
		return -EINVAL;
	}
	*(struct weir_ip *)field(o, row->off) = ip;
	*(uint8_t *)field(o, row->off2) = (uint8_t)bits;
	return 0;
}

static int set_ports(struct weir_options *o, const struct weir_option *row,
		     struct weir_str text)
{
	ptrdiff_t dash = weir_str_find(text, '-');
	uint64_t first;
	uint64_t last;

	if (dash < 0 ||
	    weir_str_parse_u64((struct weir_str){text.p, (size_t)dash},
			       row->max, &first) < 0 ||
	    weir_str_parse_u64(weir_str_skip(text, (size_t)dash + 1), row->max,
			       &last) < 0 ||
	    first < row->min || last < first) {
		return -EINVAL;
	}
	*(uint16_t *)field(o, row->off) = (uint16_t)first;
	*(uint16_t *)field(o, row->off2) = (uint16_t)last;
	return 0;
}

static int set_listen(struct weir_options *o, const struct weir_option *row,
		      struct weir_str text)
{
	struct weir_ip ip = {0};
	__be16 port_be = 0;

	if (!weir_str_is(text, "none") &&
	    (weir_addr_parse(text, &ip, &port_be) < 0 || port_be == 0)) {
		return -EINVAL;
	}
	*(struct weir_ip *)field(o, row->off) = ip;
	*(__be16 *)field(o, row->off2) = port_be;
	return 0;
}

static int set_word(struct weir_options *o, const struct weir_option *row,
		    struct weir_str text)
{
	for (int i = 0; row->words[i]; i++) {
		if (weir_str_is(text, row->words[i])) {
			*(int *)field(o, row->off) = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* "3,4,-1,6": descriptors that the parent left open, -1 for none. */
static int set_fds(struct weir_options *o, struct weir_str text)
{
	while (text.n) {
		struct weir_str item = weir_str_word(&text, ',');
		uint64_t fd = 0;

		if (o->n_fds == WEIR_ROLE_FDS_MAX) {
			return -EINVAL;
		}
		if (!weir_str_is(item, "-1") &&
		    weir_str_parse_u64(item, 1 << 20, &fd) < 0) {
			return -EINVAL;
		}
		o->fds[o->n_fds++] = item.p[0] == '-' ? -1 : (int)fd;
	}
	return 0;
}

/* "uid:gid:parent" */
static int set_ids(struct weir_options *o, struct weir_str text)
{
	uint64_t v[3];

	for (size_t i = 0; i < 3; i++) {
		ptrdiff_t colon = weir_str_find(text, ':');
		size_t n = colon < 0 ? text.n : (size_t)colon;

		if (weir_str_parse_u64((struct weir_str){text.p, n}, UINT32_MAX,
				       &v[i]) < 0) {
			return -EINVAL;
		}
		text = weir_str_skip(text, n + 1);
	}
	o->uid = (uid_t)v[0];
	o->gid = (gid_t)v[1];
	o->parent = (pid_t)v[2];
	return 0;
}

static int set_text(struct weir_options *o, const struct weir_option *row,
		    const char *text)
{
	if (text[0] == '\0') {
		return -EINVAL;
	}
	if (row->kind == WEIR_OPTION_NONE_TEXT && strcmp(text, "none") == 0) {
		text = NULL;
	}
	*(const char **)field(o, row->off) = text;
	return 0;
}

static int set_list(struct weir_options *o, const struct weir_option *row,
		    const char *text)
{
	struct weir_option_list *list = field(o, row->off);

	if (text[0] == '\0' || list->n == WEIR_OPTIONS_LIST_MAX) {
		return -EINVAL;
	}
	list->v[list->n++] = text;
	return 0;
}

static int set_value(struct weir_options *o, const struct weir_option *row,
		     const char *text)
{
	struct weir_str s = weir_str_of(text);

	switch (row->kind) {
	case WEIR_OPTION_TEXT:
	case WEIR_OPTION_NONE_TEXT:
		return set_text(o, row, text);
	case WEIR_OPTION_SET:
	case WEIR_OPTION_CLEAR:
		*(bool *)field(o, row->off) = row->kind == WEIR_OPTION_SET;
		return 0;
	case WEIR_OPTION_ACTION:
		o->action = (enum weir_action)row->min;
		return 0;
	case WEIR_OPTION_NUMBER:
	case WEIR_OPTION_MS:
	case WEIR_OPTION_BYTES:
		return set_number(o, row, s);
	case WEIR_OPTION_LIST:
		return set_list(o, row, text);
	case WEIR_OPTION_PREFIX:
		return set_prefix(o, row, s);
	case WEIR_OPTION_PORTS:
		return set_ports(o, row, s);
	case WEIR_OPTION_LISTEN:
		return set_listen(o, row, s);
	case WEIR_OPTION_WORD:
		return set_word(o, row, s);
	case WEIR_OPTION_FDS:
		return set_fds(o, s);
	case WEIR_OPTION_IDS:
		return set_ids(o, s);
	}
	return -EINVAL;
}

/* ------------------------------------------------------------------ errors */

static void format_scaled(char *out, size_t n, enum weir_option_kind kind,
			  uint64_t v)
{
	const char *unit = "";

	if (kind == WEIR_OPTION_MS) {
		unit = v && v % 1000 == 0 ? "s" : "ms";
		v /= v && v % 1000 == 0 ? 1000 : 1;
	} else if (kind == WEIR_OPTION_BYTES && v && v % 1024 == 0) {
		unit = "k";
		v /= 1024;
	}
	snprintf(out, n, "%llu%s", (unsigned long long)v, unit);
}

/* What the flag takes, in words: "a number from 1 to 32". */
static void expectation(const struct weir_option *row, char *out, size_t n)
{
	char lo[32];
	char hi[32];

	switch (row->kind) {
	case WEIR_OPTION_NUMBER:
	case WEIR_OPTION_MS:
	case WEIR_OPTION_BYTES:
		format_scaled(lo, sizeof(lo), row->kind, row->min);
		format_scaled(hi, sizeof(hi), row->kind, row->max);
		snprintf(out, n, "%s from %s to %s",
			 row->kind == WEIR_OPTION_MS ? "a time (ms, s, m)"
			 : row->kind == WEIR_OPTION_BYTES
				 ? "a size (bytes, k, m)"
				 : "a number",
			 lo, hi);
		break;
	case WEIR_OPTION_PREFIX:
		snprintf(out, n,
			 "%s, /%llu to /%llu, without host bits, such as %s",
			 row->metavar, (unsigned long long)row->min,
			 (unsigned long long)row->max, row->example);
		break;
	case WEIR_OPTION_LIST:
		snprintf(out, n, "%s, at most %d times, such as %s",
			 row->metavar, WEIR_OPTIONS_LIST_MAX, row->example);
		break;
	default:
		snprintf(out, n, "%s%s%s", row->metavar ? row->metavar : "none",
			 row->example ? ", such as " : "",
			 row->example ? row->example : "");
	}
}

static int bad_value(const struct weir_option *row, const char *text,
		     char error[static WEIR_OPTIONS_ERROR_MAX])
{
	char want[128];

	expectation(row, want, sizeof(want));
	if (text) {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--%s: \"%.64s\" is not valid: it takes %s", row->name,
			 text, want);
	} else {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--%s: its value is missing: it takes %s", row->name,
			 want);
	}
	return -EINVAL;
}

/* Levenshtein distance, one row at a time; names are short. */
static size_t distance(struct weir_str a, struct weir_str b)
{
	size_t row[64];

	if (a.n >= 64 || b.n >= 64) {
		return 64;
	}
	for (size_t j = 0; j <= b.n; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);

			diagonal = row[j];
			best = best <= row[j] ? best : row[j] + 1;
			row[j] = best <= row[j - 1] ? best : row[j - 1] + 1;
		}
	}
	return row[b.n];
}

static int unknown_flag(struct weir_str name,
			char error[static WEIR_OPTIONS_ERROR_MAX])
{
	const struct weir_option *near = NULL;
	size_t best = 4; /* farther than this is no misspelling */

	for (size_t i = 0; i < weir_option_table_n; i++) {
		size_t d;

		if (!weir_option_table[i].name || !weir_option_table[i].help) {
			continue;
		}
		d = distance(name, weir_str_of(weir_option_table[i].name));
		if (d < best) {
			best = d;
			near = &weir_option_table[i];
		}
	}
	snprintf(error, WEIR_OPTIONS_ERROR_MAX,
		 "--%.*s: no such flag; %s%s%s--help lists all",
		 (int)(name.n < 64 ? name.n : 64), name.p,
		 near ? "did you mean --" : "", near ? near->name : "",
		 near ? "? " : "");
	return -EINVAL;
}

/* ----------------------------------------------------------------- parsing */

static uint32_t n_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0) {
		return 1;
	}
	return CPU_COUNT(&set) > WEIR_WORKERS_MAX ? WEIR_WORKERS_MAX
						  : (uint32_t)CPU_COUNT(&set);
}

static void set_defaults(struct weir_options *o)
{
	*o = (struct weir_options){
		.log_level = WEIR_LOG_INFO,
		.cgroup = "auto",
		.node_name = "",
		.cluster_domain = "cluster.local",
		.cni_results = "/var/lib/cni/results",
		.admin = "/run/weir/admin.sock",
		.metrics_port_be = htons(9707),
		.user = "nobody",
		.io = WEIR_IO_BACKEND_AUTO,
		.max_rules = 65536,
	};
	weir_kernel_config_default(&o->kernel);
	o->kernel.lan = WEIR_LAN_CHOSEN;
	weir_proxy_limits_default(&o->limits);
	weir_ip_parse(WEIR_STR("127.0.0.1"), &o->metrics_addr);
}

static void use_list(const struct weir_option_list *list,
		     const char *const **ret_v, size_t *ret_n)
{
	*ret_v = list->v;
	*ret_n = list->n;
}

/* The node's name decides which endpoints are local, and names a Lease. */
static void use_node_name(struct weir_options *o)
{
	const char *given = getenv("NODE_NAME");

	if (*o->node_name) {
		return;
	}
	if (given && *given) {
		o->node_name = given;
	} else if (gethostname(o->host_name, sizeof(o->host_name) - 1) == 0) {
		o->node_name = o->host_name;
	}
}

/* A head, and what rewriting adds to it, lies in one buffer. */
static int check_sizes(const struct weir_options *o,
		       char error[static WEIR_OPTIONS_ERROR_MAX])
{
	const struct weir_proxy_limits *l = &o->limits;
	uint32_t need = l->max_head_bytes + WEIR_PROXY_HEAD_ROOM;
	char head[32];
	char buffer[32];

	if (l->buffer_bytes >= need) {
		return 0;
	}
	format_scaled(head, sizeof(head), WEIR_OPTION_BYTES, l->max_head_bytes);
	format_scaled(buffer, sizeof(buffer), WEIR_OPTION_BYTES,
		      l->buffer_bytes);
	snprintf(error, WEIR_OPTIONS_ERROR_MAX,
		 "--max-head: %s does not fit into --buffer %s, which holds a "
		 "head and %u bytes that rewriting may add; give --buffer at "
		 "least %u, or a smaller --max-head",
		 head, buffer, WEIR_PROXY_HEAD_ROOM, need);
	return -EINVAL;
}

static int finish(struct weir_options *o,
		  char error[static WEIR_OPTIONS_ERROR_MAX])
{
	int n_feeds = (o->manifests != NULL) + (o->kubeconfig != NULL) +
		      o->is_in_cluster;

	if (o->action == WEIR_ACTION_RUN && n_feeds == 0) {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--manifests DIR is missing: it names the directory "
			 "of objects to serve, such as /etc/weir/manifests; "
			 "with Kubernetes --kubeconfig FILE, or --in-cluster "
			 "in a pod");
		return -EINVAL;
	}
	if (n_feeds > 1) {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--manifests, --kubeconfig and --in-cluster are three "
			 "places of the same objects; give one of them");
		return -EINVAL;
	}
	if (!o->manifests && o->action == WEIR_ACTION_RUN) {
		use_node_name(o);
	}
	/* Nobody to choose among. */
	if (o->manifests && o->kernel.lan == WEIR_LAN_CHOSEN) {
		o->kernel.lan = WEIR_LAN_ALWAYS;
	}
	if (o->role != WEIR_ROLE_PARENT && o->n_fds == 0) {
		snprintf(error, WEIR_OPTIONS_ERROR_MAX,
			 "--role: only weir-agent itself starts this; leave it "
			 "out");
		return -EINVAL;
	}
	if (check_sizes(o, error) < 0) {
		return -EINVAL;
	}
	if (o->workers == 0) {
		o->workers = n_cpus();
	}
	use_list(&o->external, &o->kernel.external, &o->kernel.n_external);
	use_list(&o->ignore, &o->kernel.ignore, &o->kernel.n_ignore);
	use_list(&o->xdp, &o->kernel.xdp, &o->kernel.n_xdp);
	use_list(&o->skip_cgroups, &o->kernel.skip_cgroups,
		 &o->kernel.n_skip_cgroups);
	use_list(&o->skip_netns, &o->kernel.skip_netns,
		 &o->kernel.n_skip_netns);
	return 0;
}

int weir_options_parse(struct weir_options *o, int argc, char *const *argv,
		       char ret_error[static WEIR_OPTIONS_ERROR_MAX])
{
	set_defaults(o);
	for (int i = 1; i < argc; i++) {
		struct weir_str name = weir_str_of(argv[i]);
		const char *value = NULL;
		const struct weir_option *row;
		ptrdiff_t eq;

		if (!weir_str_starts(name, WEIR_STR("--")) || name.n == 2) {
			snprintf(ret_error, WEIR_OPTIONS_ERROR_MAX,
				 "\"%.64s\": not a flag; all arguments are "
				 "--flags, --help lists them",
				 argv[i]);
			return -EINVAL;
		}
		name = weir_str_skip(name, 2);
		eq = weir_str_find(name, '=');
		if (eq >= 0) {
			value = name.p + eq + 1;
			name.n = (size_t)eq;
		}
		row = find_row(name);
		if (!row) {
			return unknown_flag(name, ret_error);
		}
		if (!wants_value(row) && value) {
			snprintf(ret_error, WEIR_OPTIONS_ERROR_MAX,
				 "--%s: takes no value; leave out \"=%.64s\"",
				 row->name, value);
			return -EINVAL;
		}
		if (wants_value(row) && !value) {
			value = i + 1 < argc ? argv[++i] : NULL;
			if (!value) {
				return bad_value(row, NULL, ret_error);
			}
		}
		if (set_value(o, row, value) < 0) {
			return bad_value(row, value, ret_error);
		}
	}
	return finish(o, ret_error);
}

/* -------------------------------------------------------------------- help */

static void add_default(struct weir_buf *out, struct weir_options *o,
			const struct weir_option *row)
{
	char text[WEIR_ADDR_TEXT_MAX];
	const char *z;

	switch (row->kind) {
	case WEIR_OPTION_TEXT:
	case WEIR_OPTION_NONE_TEXT:
		z = *(const char **)field(o, row->off);
		if (z && z[0]) {
			weir_buf_printf(out, " [%s]", z);
		}
		break;
	case WEIR_OPTION_NUMBER:
	case WEIR_OPTION_MS:
	case WEIR_OPTION_BYTES:
		format_scaled(text, sizeof(text), row->kind,
			      *(uint32_t *)field(o, row->off));
		weir_buf_printf(out, " [%s]", text);
		break;
	case WEIR_OPTION_PREFIX:
		weir_buf_printf(out, " [%s/%u]",
				weir_ip_format(field(o, row->off), text),
				*(uint8_t *)field(o, row->off2));
		break;
	case WEIR_OPTION_PORTS:
		weir_buf_printf(out, " [%u-%u]",
				*(uint16_t *)field(o, row->off),
				*(uint16_t *)field(o, row->off2));
		break;
	case WEIR_OPTION_LISTEN:
		weir_buf_printf(out, " [%s]",
				weir_addr_format(field(o, row->off),
						 *(__be16 *)field(o, row->off2),
						 text));
		break;
	case WEIR_OPTION_WORD:
		weir_buf_printf(out, " [%s]",
				row->words[*(int *)field(o, row->off)]);
		break;
	default:
		break;
	}
}

void weir_options_help(struct weir_buf *out)
{
	struct weir_options o;

	set_defaults(&o);
	weir_buf_addz(out,
		      "weir-agent --manifests DIR [FLAG...]\n"
		      "weir-agent --kubeconfig FILE | --in-cluster [FLAG...]\n"
		      "Divides connections and requests as Gateway API routes "
		      "and Knative say.\nDefaults are in brackets.\n");
	for (size_t i = 0; i < weir_option_table_n; i++) {
		const struct weir_option *row = &weir_option_table[i];
		size_t begin = out->n;

		if (!row->help) {
			continue;
		}
		if (!row->name) {
			weir_buf_printf(out, "\n%s:\n", row->help);
			continue;
		}
		weir_buf_printf(out, "  --%s%s%s", row->name,
				row->metavar ? " " : "",
				row->metavar ? row->metavar : "");
		if (out->n - begin < 30) {
			weir_buf_printf(out, "%*s",
					(int)(30 - (out->n - begin)), "");
		} else {
			weir_buf_printf(out, "\n%30s", "");
		}
		weir_buf_addz(out, row->help);
		add_default(out, &o, row);
		weir_buf_addz(out, "\n");
	}
}
