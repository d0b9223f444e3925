// SPDX-License-Identifier: Apache-2.0
/*
 * Maps and programs.  The maps are made (or adopted) once, by one object with
 * no program wanted; every other object is given their descriptors before it
 * is loaded.  libbpf's objects are freed again: descriptors are all we keep.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "log.h"
#include "private.h"

/* What bpftool generates casts const away. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "account.skel.h"
#include "connect.skel.h"
#include "steer.skel.h"
#pragma GCC diagnostic pop

static void free_connect(struct weir_connect **skel)
{
	weir_connect__destroy(*skel);
}

static void free_account(struct weir_account **skel)
{
	weir_account__destroy(*skel);
}

static void free_steer(struct weir_steer **skel)
{
	weir_steer__destroy(*skel);
}

const char *const weir_map_names[_WEIR_MAP_MAX] = {
	[WEIR_MAP_FE] = "weir_fe",           [WEIR_MAP_SVC] = "weir_svc",
	[WEIR_MAP_ROW] = "weir_row",         [WEIR_MAP_SET] = "weir_set",
	[WEIR_MAP_EP] = "weir_ep",           [WEIR_MAP_EPGEN] = "weir_epgen",
	[WEIR_MAP_WEYL1] = "weir_weyl1",     [WEIR_MAP_WEYL2] = "weir_weyl2",
	[WEIR_MAP_REFSTAT] = "weir_refstat", [WEIR_MAP_EPSTAT] = "weir_epstat",
	[WEIR_MAP_CONN] = "weir_conn",       [WEIR_MAP_SK] = "weir_sk",
	[WEIR_MAP_UDP] = "weir_udp",         [WEIR_MAP_FLOW] = "weir_flow",
	[WEIR_MAP_SIEVE] = "weir_sieve",     [WEIR_MAP_FRAG] = "weir_frag",
	[WEIR_MAP_IF] = "weir_if",           [WEIR_MAP_LAN] = "weir_lan",
	[WEIR_MAP_COUNT] = "weir_count",     [WEIR_MAP_SOCK] = "weir_sock",
	[WEIR_MAP_SELF] = "weir_self",       [WEIR_MAP_SKIPCG] = "weir_skipcg",
	[WEIR_MAP_SKIPNS] = "weir_skipns",   [WEIR_MAP_META] = "weir_meta",
};

const char *const weir_program_names[_WEIR_PROGRAM_MAX] = {
	[WEIR_PROGRAM_CONNECT4] = "weir_connect4",
	[WEIR_PROGRAM_CONNECT6] = "weir_connect6",
	[WEIR_PROGRAM_SENDMSG4] = "weir_sendmsg4",
	[WEIR_PROGRAM_SENDMSG6] = "weir_sendmsg6",
	[WEIR_PROGRAM_RECVMSG4] = "weir_recvmsg4",
	[WEIR_PROGRAM_RECVMSG6] = "weir_recvmsg6",
	[WEIR_PROGRAM_PEERNAME4] = "weir_peername4",
	[WEIR_PROGRAM_PEERNAME6] = "weir_peername6",
	[WEIR_PROGRAM_RELEASE] = "weir_release",
	[WEIR_PROGRAM_ACCOUNT] = "weir_account",
	[WEIR_PROGRAM_STEER] = "weir_steer",
};

/* Elements of a map.  Pools and ids have room for twice of what may be live:
 * the new before the old is gone, and what waits in limbo. */
static uint32_t wanted_size(const struct weir_kernel_config *c,
			    enum weir_map_index map)
{
	switch (map) {
	case WEIR_MAP_FE:
		return 2 * c->max_frontends;
	case WEIR_MAP_SVC:
	case WEIR_MAP_WEYL1:
		return 1 + 2 * c->max_frontends;
	case WEIR_MAP_ROW:
		return 1 + 2 * (c->max_slots + c->max_frontends);
	case WEIR_MAP_SET:
	case WEIR_MAP_WEYL2:
		return 1 + 2 * c->max_groups;
	case WEIR_MAP_EP:
		return 1 + 2 * (c->max_endpoints + c->max_groups);
	case WEIR_MAP_EPGEN:
	case WEIR_MAP_EPSTAT:
		return c->max_endpoints;
	case WEIR_MAP_REFSTAT:
		return c->max_refs;
	case WEIR_MAP_CONN:
		return c->max_sockets;
	case WEIR_MAP_UDP:
		return c->max_flows / 4 + 64;
	case WEIR_MAP_FLOW:
		return c->max_flows;
	case WEIR_MAP_FRAG:
		return c->max_flows / 16 + 64;
	case WEIR_MAP_IF:
		return 4096;
	case WEIR_MAP_LAN:
		return c->max_frontends; /* each address has one at least */
	default:
		return 0; /* as declared */
	}
}

static const char *option_of(enum weir_map_index map)
{
	switch (map) {
	case WEIR_MAP_FE:
	case WEIR_MAP_SVC:
	case WEIR_MAP_WEYL1:
	case WEIR_MAP_LAN:
		return "max_frontends";
	case WEIR_MAP_ROW:
		return "max_slots";
	case WEIR_MAP_SET:
	case WEIR_MAP_WEYL2:
		return "max_groups";
	case WEIR_MAP_REFSTAT:
		return "max_refs";
	case WEIR_MAP_CONN:
		return "max_sockets";
	case WEIR_MAP_UDP:
	case WEIR_MAP_FLOW:
	case WEIR_MAP_FRAG:
		return "max_flows";
	default:
		return "max_endpoints";
	}
}

static int index_of(const char *name)
{
	for (int i = 0; i < _WEIR_MAP_MAX; i++) {
		if (strcmp(weir_map_names[i], name) == 0) {
			return i;
		}
	}
	return -ENOENT;
}

__attribute__((format(printf, 2, 0))) static int
print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	_cleanup_free_ char *text = NULL;

	if (level == LIBBPF_DEBUG || vasprintf(&text, fmt, args) < 0) {
		return 0;
	}
	text[strcspn(text, "\n")] = '\0';
	weir_debug("libbpf text=\"%s\"", text);
	return 0;
}

const struct bpf_object_open_opts *
weir_load_open_opts(struct weir_kernel *kernel)
{
	static struct bpf_object_open_opts opts = {.sz = sizeof(opts)};

	libbpf_set_print(print_libbpf);
	opts.pin_root_path = kernel->pin_path;
	return &opts;
}

int weir_load_share_maps(struct weir_kernel *kernel, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		int i = index_of(bpf_map__name(map));
		int r;

		if (i < 0) {
			continue; /* read-only data: its own */
		}
		r = bpf_map__reuse_fd(map, kernel->map_fd[i]);
		if (r < 0) {
			return r;
		}
		/* It is pinned already. */
		r = bpf_map__set_pin_path(map, NULL);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------ maps */

/* The size to load map with: a pinned one keeps its own.  -EPROTO. */
static int settle_size(struct weir_kernel *kernel, struct bpf_map *map,
		       uint32_t want)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	_cleanup_close_ int fd = -1;
	int r;

	r = weir_pin_get(kernel->pin_path, bpf_map__name(map), &fd);
	if (r == -ENOENT) {
		return want ? bpf_map__set_max_entries(map, want) : 0;
	}
	if (r < 0) {
		return r;
	}
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		return -errno;
	}
	if (info.type != bpf_map__type(map) ||
	    info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map) ||
	    info.map_flags != bpf_map__map_flags(map)) {
		weir_error("pinned map has another layout map=%s path=%s "
			   "remedy=--detach",
			   bpf_map__name(map), kernel->pin_path);
		return -EPROTO;
	}
	if (want && info.max_entries != want) {
		weir_warn("pinned map keeps its size map=%s entries=%u "
			  "wanted=%u option=%s remedy=--detach",
			  bpf_map__name(map), info.max_entries, want,
			  option_of((enum weir_map_index)index_of(
				  bpf_map__name(map))));
	}
	return info.max_entries
		       ? bpf_map__set_max_entries(map, info.max_entries)
		       : 0;
}

/* Maps an array that is written with plain stores. */
static int map_memory(struct weir_kernel *kernel, int i,
		      const struct bpf_map *map)
{
	size_t n = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *mem;

	if (!(bpf_map__map_flags(map) & BPF_F_MMAPABLE)) {
		return 0;
	}
	/* Elements of an array are eight bytes apart at least. */
	assert(bpf_map__value_size(map) % 8 == 0);
	mem = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED,
		   kernel->map_fd[i], 0);
	if (mem == MAP_FAILED) {
		return -errno;
	}
	kernel->map_mem[i] = mem;
	kernel->map_bytes[i] = n;
	return 0;
}

int weir_load_maps(struct weir_kernel *kernel)
{
	_cleanup_(free_connect) struct weir_connect *skel = NULL;
	struct bpf_program *prog;
	struct bpf_map *map;
	int r;

	skel = weir_connect__open_opts(weir_load_open_opts(kernel));
	if (!skel) {
		return -errno;
	}
	bpf_object__for_each_program(prog, skel->obj)
	{
		bpf_program__set_autoload(prog, false);
	}
	bpf_object__for_each_map(map, skel->obj)
	{
		int i = index_of(bpf_map__name(map));

		if (i < 0) {
			continue;
		}
		r = settle_size(
			kernel, map,
			wanted_size(&kernel->config, (enum weir_map_index)i));
		if (r < 0) {
			return r;
		}
	}
	r = weir_connect__load(skel);
	if (r < 0) {
		return r;
	}
	bpf_object__for_each_map(map, skel->obj)
	{
		int i = index_of(bpf_map__name(map));

		if (i < 0) {
			continue;
		}
		kernel->map_fd[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
		if (kernel->map_fd[i] < 0) {
			return -errno;
		}
		kernel->map_size[i] = bpf_map__max_entries(map);
		r = map_memory(kernel, i, map);
		if (r < 0) {
			return r;
		}
	}
	for (int i = 0; i < _WEIR_MAP_MAX; i++) {
		if (kernel->map_fd[i] < 0) {
			return -ENOENT;
		}
	}
	return 0;
}

/* -------------------------------------------------------------- programs */

static int keep_program(struct weir_kernel *kernel, enum weir_program_index i,
			const struct bpf_program *prog)
{
	int fd;

	if (!bpf_program__autoload(prog)) {
		return 0;
	}
	fd = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		return -errno;
	}
	weir_close(&kernel->program_fd[i]);
	kernel->program_fd[i] = fd;
	return 0;
}

static int load_connect(struct weir_kernel *kernel)
{
	_cleanup_(free_connect) struct weir_connect *skel = NULL;
	const struct weir_kernel_config *c = &kernel->config;
	const struct weir_features *f = &kernel->features;
	int r;

	skel = weir_connect__open_opts(weir_load_open_opts(kernel));
	if (!skel) {
		return -errno;
	}
	skel->rodata->weir_conf = kernel->conf;
	bpf_program__set_autoload(skel->progs.weir_peername4,
				  f->has_getpeername && c->wants_peer_names);
	bpf_program__set_autoload(skel->progs.weir_peername6,
				  f->has_getpeername && c->wants_peer_names);
	bpf_program__set_autoload(skel->progs.weir_release,
				  f->has_sock_release &&
					  kernel->conf.wants_storage);
	r = weir_load_share_maps(kernel, skel->obj);
	if (r < 0) {
		return r;
	}
	r = weir_connect__load(skel);
	if (r < 0) {
		return r;
	}
	const struct bpf_program *progs[] = {
		[WEIR_PROGRAM_CONNECT4] = skel->progs.weir_connect4,
		[WEIR_PROGRAM_CONNECT6] = skel->progs.weir_connect6,
		[WEIR_PROGRAM_SENDMSG4] = skel->progs.weir_sendmsg4,
		[WEIR_PROGRAM_SENDMSG6] = skel->progs.weir_sendmsg6,
		[WEIR_PROGRAM_RECVMSG4] = skel->progs.weir_recvmsg4,
		[WEIR_PROGRAM_RECVMSG6] = skel->progs.weir_recvmsg6,
		[WEIR_PROGRAM_PEERNAME4] = skel->progs.weir_peername4,
		[WEIR_PROGRAM_PEERNAME6] = skel->progs.weir_peername6,
		[WEIR_PROGRAM_RELEASE] = skel->progs.weir_release,
	};
	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++) {
		r = keep_program(kernel, (enum weir_program_index)i, progs[i]);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int load_account(struct weir_kernel *kernel)
{
	_cleanup_(free_account) struct weir_account *skel = NULL;
	int r;

	skel = weir_account__open_opts(weir_load_open_opts(kernel));
	if (!skel) {
		return -errno;
	}
	skel->rodata->weir_conf = kernel->conf;
	r = weir_load_share_maps(kernel, skel->obj);
	if (r < 0) {
		return r;
	}
	r = weir_account__load(skel);
	if (r < 0) {
		return r;
	}
	return keep_program(kernel, WEIR_PROGRAM_ACCOUNT,
			    skel->progs.weir_account);
}

static int load_steer(struct weir_kernel *kernel)
{
	_cleanup_(free_steer) struct weir_steer *skel = NULL;
	int r;

	skel = weir_steer__open_opts(weir_load_open_opts(kernel));
	if (!skel) {
		return -errno;
	}
	skel->rodata->weir_conf = kernel->conf;
	r = weir_load_share_maps(kernel, skel->obj);
	if (r < 0) {
		return r;
	}
	r = weir_steer__load(skel);
	if (r < 0) {
		return r;
	}
	return keep_program(kernel, WEIR_PROGRAM_STEER, skel->progs.weir_steer);
}

/* A plane that does not load is off, and says why; the others go on. */
static void note(struct weir_kernel *kernel, enum weir_program_index first,
		 enum weir_program_index last, int r)
{
	if (r < 0) {
		weir_error("programs did not load first=%s error=\"%s\"",
			   weir_program_names[first], strerror(-r));
	}
	for (int i = first; i <= (int)last; i++) {
		kernel->attach_error[i] = r;
	}
}

void weir_load_programs(struct weir_kernel *kernel)
{
	const struct weir_features *f = &kernel->features;

	if (kernel->config.cgroup && f->has_connect && f->has_cookies) {
		note(kernel, WEIR_PROGRAM_CONNECT4, WEIR_PROGRAM_RELEASE,
		     load_connect(kernel));
		if (kernel->conf.wants_accounting) {
			note(kernel, WEIR_PROGRAM_ACCOUNT, WEIR_PROGRAM_ACCOUNT,
			     load_account(kernel));
		}
	}
	if (f->has_sk_lookup) {
		note(kernel, WEIR_PROGRAM_STEER, WEIR_PROGRAM_STEER,
		     load_steer(kernel));
	}
}
