// SPDX-License-Identifier: Apache-2.0
#include "option_table.h"

#include "options.h"

#define AT(field) .off = offsetof(struct weir_options, field)
#define AT2(field) .off2 = offsetof(struct weir_options, field)
#define HEADING(text)                                                          \
	{                                                                      \
		.help = (text)                                                 \
	}
#define LIMIT(flag, field, lo, hi, text)                                       \
	{                                                                      \
		.name = flag, .metavar = "N", .kind = WEIR_OPTION_NUMBER,      \
		AT(field), .min = (lo), .max = (hi), .help = text              \
	}
#define TIMEOUT(flag, field, lo, hi, text)                                     \
	{                                                                      \
		.name = flag, .metavar = "TIME", .kind = WEIR_OPTION_MS,       \
		AT(field), .min = (lo), .max = (hi), .help = text              \
	}
#define BYTES(flag, field, lo, hi, text)                                       \
	{                                                                      \
		.name = flag, .metavar = "BYTES", .kind = WEIR_OPTION_BYTES,   \
		AT(field), .min = (lo), .max = (hi), .help = text              \
	}
#define ACTION(flag, value, text)                                              \
	{                                                                      \
		.name = flag, .kind = WEIR_OPTION_ACTION, .min = (value),      \
		.help = text                                                   \
	}

static const char *const attach_words[] = {"auto", "tcx", "clsact", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug",
					  NULL};
static const char *const role_words[] = {"parent", "agent", "proxy", NULL};

const struct weir_option weir_option_table[] = {
	HEADING("What to serve"),
	{.name = "manifests",
	 .metavar = "DIR",
	 .kind = WEIR_OPTION_TEXT,
	 AT(manifests),
	 .example = "/etc/weir/manifests",
	 .help = "directory of YAML and JSON objects, watched for changes"},
	{.name = "node-name",
	 .metavar = "NAME",
	 .kind = WEIR_OPTION_TEXT,
	 AT(node_name),
	 .example = "edge-1",
	 .help = "endpoints whose nodeName is NAME are on this node"},

	HEADING("Where"),
	{.name = "netns",
	 .metavar = "PATH",
	 .kind = WEIR_OPTION_NONE_TEXT,
	 AT(netns),
	 .example = "/run/netns/edge",
	 .help = "network namespace to work in"},
	{.name = "cgroup",
	 .metavar = "PATH|auto|none",
	 .kind = WEIR_OPTION_TEXT,
	 AT(cgroup),
	 .example = "/sys/fs/cgroup/edge",
	 .help = "cgroup v2 directory whose sockets the connect plane serves; "
		 "auto is its root, or none with --netns"},
	{.name = "pin-dir",
	 .metavar = "DIR",
	 .kind = WEIR_OPTION_TEXT,
	 AT(kernel.pin_dir),
	 .example = "/sys/fs/bpf/weir",
	 .help = "bpffs directory, one per agent"},
	{.name = "attach",
	 .metavar = "auto|tcx|clsact",
	 .kind = WEIR_OPTION_WORD,
	 .words = attach_words,
	 AT(kernel.attach),
	 .example = "auto",
	 .help = "how the packet plane hooks interfaces"},
	{.name = "external",
	 .metavar = "GLOB",
	 .kind = WEIR_OPTION_LIST,
	 AT(external),
	 .example = "'eth*'",
	 .help = "interfaces that lead off the node (may be repeated)"},
	{.name = "ignore-interface",
	 .metavar = "GLOB",
	 .kind = WEIR_OPTION_LIST,
	 AT(ignore),
	 .example = "'docker*'",
	 .help = "interfaces to leave alone (may be repeated)"},
	{.name = "xdp",
	 .metavar = "IFACE",
	 .kind = WEIR_OPTION_LIST,
	 AT(xdp),
	 .example = "eth0",
	 .help = "run the forward half in XDP there (may be repeated)"},
	{.name = "skip-cgroup",
	 .metavar = "PATH",
	 .kind = WEIR_OPTION_LIST,
	 AT(skip_cgroups),
	 .example = "/sys/fs/cgroup/system.slice",
	 .help = "cgroup whose sockets are left alone (may be repeated)"},
	{.name = "skip-netns",
	 .metavar = "PATH",
	 .kind = WEIR_OPTION_LIST,
	 AT(skip_netns),
	 .example = "/run/netns/other",
	 .help = "namespace whose sockets are left alone (may be repeated)"},

	HEADING("Kernel planes"),
	{.name = "redirect",
	 .kind = WEIR_OPTION_SET,
	 AT(kernel.wants_redirect),
	 .help = "send packets past the stack; bypasses forward policies"},
	{.name = "no-accounting",
	 .kind = WEIR_OPTION_CLEAR,
	 AT(kernel.wants_accounting),
	 .help = "no sockops: fewer counters per endpoint"},
	{.name = "no-peer-names",
	 .kind = WEIR_OPTION_CLEAR,
	 AT(kernel.wants_peer_names),
	 .help = "getpeername in clients shows the endpoint; a cheaper hook"},
	{.name = "prefix4",
	 .metavar = "CIDR",
	 .kind = WEIR_OPTION_PREFIX,
	 AT(kernel.prefix4),
	 AT2(kernel.prefix4_len),
	 .min = 8,
	 .max = 28,
	 .example = "198.19.240.0/20",
	 .help = "unrouted IPv4 prefix of the proxy, local on this node"},
	{.name = "prefix6",
	 .metavar = "CIDR",
	 .kind = WEIR_OPTION_PREFIX,
	 AT(kernel.prefix6),
	 AT2(kernel.prefix6_len),
	 .min = 96,
	 .max = 124,
	 .example = "fd77:6569:7200::/112",
	 .help = "likewise for IPv6"},
	{.name = "snat-ports",
	 .metavar = "FIRST-LAST",
	 .kind = WEIR_OPTION_PORTS,
	 AT(kernel.snat_first),
	 AT2(kernel.snat_last),
	 .min = 1024,
	 .max = 65535,
	 .example = "61000-65535",
	 .help = "source ports for flows that need source translation"},
	LIMIT("max-frontends", kernel.max_frontends, 16, 1 << 20,
	      "addresses taken"),
	LIMIT("max-slots", kernel.max_slots, 64, 1 << 24,
	      "weighted choices in kernel rows"),
	LIMIT("max-groups", kernel.max_groups, 16, 1 << 20,
	      "sets of endpoints in the kernel"),
	LIMIT("max-endpoints", kernel.max_endpoints, 16, 1 << 22,
	      "endpoints, also those counted"),
	LIMIT("max-backends", kernel.max_refs, 16, 1 << 22,
	      "backendRefs that are counted"),
	LIMIT("max-rules", max_rules, 16, 1 << 22, "rules that are counted"),
	LIMIT("max-flows", kernel.max_flows, 128, 1 << 24,
	      "rewrites of the packet plane"),

	HEADING("Proxy"),
	{.name = "user",
	 .metavar = "USER",
	 .kind = WEIR_OPTION_TEXT,
	 AT(user),
	 .example = "nobody",
	 .help = "whom the proxy runs as when weir-agent is started by root"},
	{.name = "workers",
	 .metavar = "N",
	 .kind = WEIR_OPTION_NUMBER,
	 AT(workers),
	 .min = 0,
	 .max = WEIR_WORKERS_MAX,
	 .help = "threads; 0 is one per CPU"},
	LIMIT("max-connections", limits.max_connections, 1, 1 << 20,
	      "client connections"),
	LIMIT("max-headers", limits.max_headers, 8, 1024,
	      "header fields of a message (431)"),
	BYTES("max-head", limits.max_head_bytes, 1024, 1 << 20,
	      "head of a message (431)"),
	BYTES("max-target", limits.max_target_bytes, 128, 1 << 16,
	      "request target (414)"),
	BYTES("buffer", limits.buffer_bytes, 4096, 1 << 20,
	      "each direction of a busy connection"),
	LIMIT("max-buffers", limits.max_buffer_mib, 1, 1 << 20,
	      "MiB of all buffers together"),
	TIMEOUT("head-timeout", limits.head_timeout_ms, 10, 3600000,
		"first byte to end of a request head (408)"),
	TIMEOUT("idle-timeout", limits.idle_timeout_ms, 10, 86400000,
		"keep-alive between requests"),
	TIMEOUT("connect-timeout", limits.connect_timeout_ms, 10, 600000,
		"connecting to an endpoint"),
	TIMEOUT("stall-timeout", limits.stall_timeout_ms, 10, 86400000,
		"no byte either way during a message"),
	TIMEOUT("tunnel-idle", limits.tunnel_idle_ms, 100, 604800000,
		"no byte either way on a raw or upgraded connection"),
	TIMEOUT("pool-idle", limits.pool_idle_ms, 10, 3600000,
		"unused connection to an endpoint is kept"),
	LIMIT("pool-max", limits.pool_idle_max, 0, 65536,
	      "unused connections per endpoint and worker"),
	TIMEOUT("drain", limits.drain_ms, 0, 3600000,
		"open requests at shutdown"),
	TIMEOUT("udp-idle", limits.udp_idle_ms, 100, 3600000,
		"datagram association without traffic"),
	LIMIT("udp-max", limits.udp_max, 1, 1 << 20, "datagram associations"),

	HEADING("Seeing what it does"),
	{.name = "admin",
	 .metavar = "PATH|none",
	 .kind = WEIR_OPTION_NONE_TEXT,
	 AT(admin),
	 .example = "/run/weir/admin.sock",
	 .help = "unix socket for weirctl"},
	{.name = "metrics",
	 .metavar = "ADDR:PORT|none",
	 .kind = WEIR_OPTION_LISTEN,
	 AT(metrics_addr),
	 AT2(metrics_port_be),
	 .example = "127.0.0.1:9707",
	 .help = "Prometheus /metrics, and /healthz, /readyz"},
	{.name = "metrics-per-route",
	 .kind = WEIR_OPTION_SET,
	 AT(is_per_route),
	 .help = "series for every rule and backendRef: not bounded"},
	{.name = "access-log",
	 .metavar = "PATH|-|none",
	 .kind = WEIR_OPTION_NONE_TEXT,
	 AT(access_log),
	 .example = "/var/log/weir/access.json",
	 .help = "a line of JSON for each request of the proxy; - is standard "
		 "output; SIGHUP opens PATH again"},
	{.name = "log-level",
	 .metavar = "error|warning|info|debug",
	 .kind = WEIR_OPTION_WORD,
	 .words = level_words,
	 AT(log_level),
	 .example = "info",
	 .help = "least severe line to write to standard error"},

	HEADING("Instead of serving"),
	ACTION("detach", WEIR_ACTION_DETACH,
	       "remove from the kernel all that weir put there (same "
	       "--pin-dir, "
	       "--netns); no error if nothing is there"),
	ACTION("probe", WEIR_ACTION_PROBE, "what this kernel offers, as JSON"),
	ACTION("version", WEIR_ACTION_VERSION, "version and ABI"),
	ACTION("help", WEIR_ACTION_HELP, "this text"),

	/* From the parent to its children. */
	{.name = "role",
	 .kind = WEIR_OPTION_WORD,
	 .words = role_words,
	 AT(role)},
	{.name = "role-fds", .kind = WEIR_OPTION_FDS},
	{.name = "role-ids", .kind = WEIR_OPTION_IDS},
};

const size_t weir_option_table_n = sizeof(weir_option_table) /
				   sizeof(weir_option_table[0]);
