// SPDX-License-Identifier: Apache-2.0
/* Defaults, the kept copy of a configuration, and the constants made of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>

#include "private.h"

void weir_kernel_config_default(struct weir_kernel_config *config)
{
	*config = (struct weir_kernel_config){
		.pin_dir = "/sys/fs/bpf/weir",
		.attach = WEIR_ATTACH_AUTO,
		/* 198.19.240.0/20: the end of the benchmarking network (RFC
		 * 2544), never routed; fd77:6569:7200::/112 likewise ours. */
		.prefix4 = {{0, 0, htonl(0xFFFF), htonl(0xC613F000)}},
		.prefix4_len = 20,
		.prefix6 = {{htonl(0xFD776569), htonl(0x72000000), 0, 0}},
		.prefix6_len = 112,
		.snat_first = 61000,
		.snat_last = 65535,
		.max_frontends = 8192,
		.max_slots = 16384,
		.max_groups = 8192,
		.max_endpoints = 32768,
		.max_refs = 16384,
		.max_flows = 65536,
		.max_sockets = 32768,
		.lan = WEIR_LAN_ALWAYS,
		.wants_accounting = true,
		.wants_peer_names = true,
	};
}

static int copy_text(struct weir_arena *arena, const char **text)
{
	struct weir_str s = weir_arena_dup(arena, weir_str_of(*text));

	if (!*text) {
		return 0;
	}
	/* An empty text needs its NUL as well. */
	*text = s.p ? s.p : "";
	return s.p || s.n == 0 ? 0 : -ENOMEM;
}

static int copy_texts(struct weir_arena *arena, const char *const **texts,
		      size_t n)
{
	const char **copy;

	if (n == 0) {
		*texts = NULL;
		return 0;
	}
	copy = weir_arena_array(arena, n, sizeof(*copy));
	if (!copy) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		int r;

		copy[i] = (*texts)[i];
		r = copy_text(arena, &copy[i]);
		if (r < 0) {
			return r;
		}
	}
	*texts = copy;
	return 0;
}

int weir_config_copy(struct weir_arena *arena,
		     const struct weir_kernel_config *from,
		     struct weir_kernel_config *ret_config)
{
	struct weir_kernel_config c = *from;
	int r;

	/* The pids are handed on at once (weir_kernel_set_self). */
	c.self = NULL;
	c.n_self = 0;
	r = copy_text(arena, &c.pin_dir);
	if (r == 0) {
		r = copy_text(arena, &c.cgroup);
	}
	if (r == 0) {
		r = copy_texts(arena, &c.external, c.n_external);
	}
	if (r == 0) {
		r = copy_texts(arena, &c.ignore, c.n_ignore);
	}
	if (r == 0) {
		r = copy_texts(arena, &c.xdp, c.n_xdp);
	}
	if (r == 0) {
		r = copy_texts(arena, &c.skip_cgroups, c.n_skip_cgroups);
	}
	if (r == 0) {
		r = copy_texts(arena, &c.skip_netns, c.n_skip_netns);
	}
	if (r < 0) {
		return r;
	}
	*ret_config = c;
	return 0;
}

/* The first bits of an address, bit 0 of a[first] being the highest. */
static void make_mask(struct weir_ip *mask, int first, uint32_t bits)
{
	for (int i = 0; i < 4; i++) {
		uint32_t here;

		if (i < first) {
			mask->a[i] = 0xFFFFFFFFu;
			continue;
		}
		here = bits < 32 ? bits : 32;
		bits -= here;
		mask->a[i] = here ? htonl(0xFFFFFFFFu << (32 - here)) : 0;
	}
}

static void apply_mask(struct weir_ip *ip, const struct weir_ip *mask)
{
	for (int i = 0; i < 4; i++) {
		ip->a[i] &= mask->a[i];
	}
}

void weir_config_constants(const struct weir_kernel *kernel,
			   struct weir_conf *conf)
{
	const struct weir_kernel_config *c = &kernel->config;
	const struct weir_features *f = &kernel->features;

	conf->prefix4 = c->prefix4;
	make_mask(&conf->mask4, 3, c->prefix4_len);
	apply_mask(&conf->prefix4, &conf->mask4);
	conf->prefix6 = c->prefix6;
	make_mask(&conf->mask6, 0, c->prefix6_len);
	apply_mask(&conf->prefix6, &conf->mask6);
	conf->netns_cookie = weir_netns_cookie();
	conf->loopback = f->has_ingress ? if_nametoindex("lo") : 0;
	conf->has_self = f->is_init_pidns;
	conf->has_retval = f->has_retval;
	conf->has_loop = f->has_loop;
	conf->wants_accounting = c->wants_accounting && f->has_sockops &&
				 c->cgroup;
	conf->wants_storage = c->wants_peer_names || conf->wants_accounting;
	conf->snat_first = c->snat_first;
	conf->snat_last = c->snat_last;
}

uint32_t weir_kernel_places(const struct weir_kernel_config *c)
{
	uint32_t v4 = weir_config_max_proxy(c->prefix4_len);
	uint32_t v6 = weir_config_max_proxy(
		c->prefix6_len > 96 ? c->prefix6_len - 96u : 0);
	uint32_t n = v4 && (v4 < v6 || !v6) ? v4 : v6;

	return n < WEIR_PROXIED_MAX ? n : WEIR_PROXIED_MAX;
}

uint32_t weir_config_max_proxy(uint32_t prefix_bits)
{
	return prefix_bits == 0 || prefix_bits > 32
		       ? 0
		       : (uint32_t)((UINT64_C(1) << (32 - prefix_bits)) - 1);
}
