// SPDX-License-Identifier: Apache-2.0
/* What is on, what is off and why, and what it costs, as one JSON object. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "fdutil.h"
#include "private.h"
#include "tables.h"

static void add_feature(struct weir_buf *json, bool is_first, const char *name,
			bool value, const char *floor, const char *meaning)
{
	weir_buf_printf(json, "%s\"%s\":{\"has\":%s,\"since\":\"%s\",\"for\":",
			is_first ? "" : ",", name, value ? "true" : "false",
			floor);
	weir_buf_add_json(json, weir_str_of(meaning));
	weir_buf_addz(json, "}");
}

static void add_features(struct weir_buf *json, const struct weir_features *f)
{
	weir_buf_addz(json, "\"features\":{");
	add_feature(json, true, "cgroup_connect", f->has_connect, "4.17",
		    "connect plane");
	add_feature(json, false, "cookies", f->has_cookies, "5.7",
		    "connect plane, datagrams");
	add_feature(json, false, "set_retval", f->has_retval, "5.18",
		    "ECONNREFUSED from the hook; else the relay resets");
	add_feature(json, false, "loop", f->has_loop, "5.17",
		    "quicker start: loops are verified once");
	add_feature(json, false, "getpeername", f->has_getpeername, "5.8",
		    "clients see the address they asked for");
	add_feature(json, false, "sock_release", f->has_sock_release, "5.9",
		    "exact count of closed datagram sockets");
	add_feature(json, false, "sockops", f->has_sockops, "4.13",
		    "accounting of connections");
	add_feature(json, false, "sk_lookup", f->has_sk_lookup, "5.9",
		    "steering of Gateway addresses to the proxy");
	add_feature(json, false, "sk_lookup_ingress", f->has_ingress, "5.17",
		    "proxy prefix guarded a second time");
	add_feature(json, false, "sched_cls", f->has_sched_cls, "4.1",
		    "packet plane");
	add_feature(json, false, "tcx", f->has_tcx, "6.6",
		    "packet plane by links; else clsact filters");
	add_feature(json, false, "xdp", f->has_xdp, "4.8",
		    "forward half on physical interfaces, on request");
	add_feature(json, false, "netns_cookie", f->has_netns_cookie, "5.14",
		    "exclusion of namespaces, prefix rewriting");
	add_feature(json, false, "io_uring", f->has_uring, "6.1",
		    "fewer system calls of the proxy; else epoll (--io)");
	add_feature(json, false, "init_pid_namespace", f->is_init_pidns, "",
		    "own sockets told by process; else by cgroup");
	weir_buf_addz(json, "}");
}

/* ----------------------------------------------------------------- planes */

static void add_plane(struct weir_buf *json, bool is_first, const char *name,
		      bool is_on, const char *why)
{
	weir_buf_printf(json, "%s\"%s\":{\"on\":%s", is_first ? "" : ",", name,
			is_on ? "true" : "false");
	if (why) {
		weir_buf_addz(json, ",\"why\":");
		weir_buf_add_json(json, weir_str_of(why));
	}
	weir_buf_addz(json, "}");
}

static bool is_attached(const struct weir_kernel *kernel,
			enum weir_program_index p)
{
	return kernel->program_fd[p] >= 0 && kernel->attach_error[p] == 0;
}

static const char *why_off(const struct weir_kernel *kernel,
			   enum weir_program_index p, bool is_possible,
			   const char *impossible)
{
	if (is_attached(kernel, p)) {
		return NULL;
	}
	if (kernel->attach_error[p] < 0) {
		return strerror(-kernel->attach_error[p]);
	}
	return is_possible ? "not loaded" : impossible;
}

static void add_planes(struct weir_buf *json, struct weir_kernel *kernel)
{
	const struct weir_features *f = &kernel->features;
	const struct weir_kernel_config *c = &kernel->config;

	weir_buf_addz(json, "\"planes\":{");
	add_plane(json, true, "connect",
		  is_attached(kernel, WEIR_PROGRAM_CONNECT4) &&
			  is_attached(kernel, WEIR_PROGRAM_CONNECT6),
		  why_off(kernel, WEIR_PROGRAM_CONNECT4, c->cgroup != NULL,
			  "no cgroup was given"));
	add_plane(json, false, "account",
		  is_attached(kernel, WEIR_PROGRAM_ACCOUNT),
		  why_off(kernel, WEIR_PROGRAM_ACCOUNT,
			  kernel->conf.wants_accounting,
			  c->cgroup ? "not wanted" : "no cgroup was given"));
	add_plane(json, false, "steer", is_attached(kernel, WEIR_PROGRAM_STEER),
		  why_off(kernel, WEIR_PROGRAM_STEER, f->has_sk_lookup,
			  "the kernel has no sk_lookup"));
	weir_buf_addz(json, ",\"packet\":");
	weir_packet_report(kernel, json);
	weir_buf_addz(json, ",\"refusal\":");
	weir_buf_add_json(json, f->has_retval ? WEIR_STR("ECONNREFUSED")
					      : WEIR_STR("left to the relay"));
	weir_buf_addz(json, "}");
}

/* --------------------------------------------------------- programs, maps */

struct program_list {
	struct weir_buf *json;
	bool has_one;
};

static void add_program(void *arg, const char *name, int fd)
{
	struct program_list *list = arg;
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		return;
	}
	weir_buf_printf(list->json,
			"%s{\"name\":\"%s\",\"id\":%u,\"verified_insns\":%u,"
			"\"insns\":%u,\"jited_bytes\":%u,\"runs\":%llu,"
			"\"run_ns\":%llu}",
			list->has_one ? "," : "", name, info.id,
			info.verified_insns, info.xlated_prog_len / 8,
			info.jited_prog_len, (unsigned long long)info.run_cnt,
			(unsigned long long)info.run_time_ns);
	list->has_one = true;
}

static void add_programs(struct weir_buf *json, struct weir_kernel *kernel)
{
	struct program_list list = {.json = json};

	weir_buf_addz(json, "\"programs\":[");
	for (int i = 0; i < _WEIR_PROGRAM_MAX; i++) {
		add_program(&list, weir_program_names[i],
			    kernel->program_fd[i]);
	}
	weir_packet_programs(kernel, add_program, &list);
	weir_buf_addz(json, "]");
}

/* What the kernel says a map takes, in bytes; 0: it does not say. */
static uint64_t bytes_of(int fd)
{
	_cleanup_buf_ struct weir_buf text = {};
	char path[64];
	const char *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (weir_read_file_at(AT_FDCWD, path, 65536, &text) < 0) {
		return 0;
	}
	weir_buf_add(&text, "", 1);
	if (text.error) {
		return 0;
	}
	at = strstr(text.p, "memlock:");
	return at ? strtoull(at + strlen("memlock:"), NULL, 10) : 0;
}

static void add_maps(struct weir_buf *json, struct weir_kernel *kernel)
{
	uint64_t total = 0;

	weir_buf_addz(json, "\"maps\":[");
	for (int i = 0; i < _WEIR_MAP_MAX; i++) {
		uint64_t bytes = bytes_of(kernel->map_fd[i]);

		total += bytes;
		weir_buf_printf(json,
				"%s{\"name\":\"%s\",\"entries\":%u,"
				"\"bytes\":%llu}",
				i ? "," : "", weir_map_names[i],
				kernel->map_size[i], (unsigned long long)bytes);
	}
	weir_buf_printf(json, "],\"map_bytes\":%llu",
			(unsigned long long)total);
}

static void add_tables(struct weir_buf *json, struct weir_kernel *kernel)
{
	struct weir_tables_usage u;

	weir_tables_usage(kernel->tables, &u);
	weir_buf_printf(json,
			"\"tables\":{\"frontends\":%u,\"groups\":%u,"
			"\"row_elements_free\":%llu,"
			"\"endpoint_elements_free\":%llu,\"in_limbo\":%llu,"
			"\"writes\":%llu}",
			u.frontends, u.groups, (unsigned long long)u.row_left,
			(unsigned long long)u.ep_left,
			(unsigned long long)u.limbo,
			(unsigned long long)u.writes);
}

int weir_kernel_report(struct weir_kernel *kernel, struct weir_buf *json)
{
	struct weir_features features;

	weir_buf_addz(json, "{");
	if (!kernel) {
		weir_probe(&features);
		add_features(json, &features);
		weir_buf_addz(json, "}");
		return json->error;
	}
	add_features(json, &kernel->features);
	weir_buf_addz(json, ",");
	add_planes(json, kernel);
	weir_buf_addz(json, ",");
	add_programs(json, kernel);
	weir_buf_addz(json, ",");
	add_maps(json, kernel);
	weir_buf_addz(json, ",");
	add_tables(json, kernel);
	weir_buf_printf(json, ",\"abi\":%d,\"pin_path\":", WEIR_ABI_VERSION);
	weir_buf_add_json(json, weir_str_of(kernel->pin_path));
	weir_buf_addz(json, ",\"cgroup\":");
	if (kernel->config.cgroup) {
		weir_buf_add_json(json, weir_str_of(kernel->config.cgroup));
	} else {
		weir_buf_addz(json, "null");
	}
	weir_buf_printf(json, ",\"generation\":%llu}",
			(unsigned long long)kernel->generation);
	return json->error;
}
