// SPDX-License-Identifier: Apache-2.0
/*
 * The packet plane follows interfaces: any change netlink tells of leads to one
 * look at all of them, and what is attached and published is made to fit.  So a
 * lost message costs nothing, and start, change and restart are the same code.
 */
#include "netdev.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "lan.h"
#include "log.h"

/* What bpftool generates casts const away. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "packet.skel.h"
#include "wire.skel.h"
#pragma GCC diagnostic pop

/* linux/if_arp.h; not in libc's. */
#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif
#ifndef ARPHRD_IP6GRE
#define ARPHRD_IP6GRE 823
#endif

#define RESCAN_MS 10       /* after a change: a burst of them is one look */
#define RETRY_MS 5000      /* after an error, and against what was missed */
#define ATTACH_FIRST 8     /* interfaces before the first plan */
#define ATTACH_TURN 2      /* then, in one turn of the loop */
#define GENERIC ":generic" /* --xdp eth0:generic */

/* -------------------------------------------------------------- programs */

static int load_packet(struct weir_netdevs *s)
{
	struct weir_kernel *k = s->kernel;
	int r;

	s->skel = weir_packet__open_opts(weir_load_open_opts(k));
	if (!s->skel) {
		return -errno;
	}
	s->skel->rodata->weir_conf = k->conf;
	s->skel->rodata->weir_conf.wants_redirect = k->config.wants_redirect;
	r = weir_load_share_maps(k, s->skel->obj);
	return r < 0 ? r : weir_packet__load(s->skel);
}

static int load_wire(struct weir_netdevs *s)
{
	struct weir_kernel *k = s->kernel;
	int r;

	if (k->config.n_xdp == 0) {
		return 0;
	}
	s->wire = weir_wire__open_opts(weir_load_open_opts(k));
	if (!s->wire) {
		return -errno;
	}
	s->wire->rodata->weir_conf = k->conf;
	r = weir_load_share_maps(k, s->wire->obj);
	return r < 0 ? r : weir_wire__load(s->wire);
}

static int load(struct weir_netdevs *s)
{
	int r = load_packet(s);

	if (r < 0) {
		weir_error("packet programs not loaded error=\"%s\"",
			   strerror(-r));
		return r;
	}
	r = load_wire(s);
	if (r < 0) {
		weir_error("xdp program not loaded error=\"%s\"", strerror(-r));
		weir_wire__destroy(s->wire);
		s->wire = NULL;
	}
	return 0;
}

/* Devices that carry IP packets without a link header. */
static bool is_l3(const struct weir_netdev *d)
{
	switch (d->type) {
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return true;
	default:
		return false;
	}
}

static int program_of(const struct weir_netdevs *s, const struct weir_netdev *d,
		      enum weir_hook hook)
{
	const struct bpf_program *p;

	if (hook == WEIR_HOOK_INGRESS) {
		p = is_l3(d) ? s->skel->progs.weir_ingress_l3
			     : s->skel->progs.weir_ingress;
	} else {
		p = is_l3(d) ? s->skel->progs.weir_egress_l3
			     : s->skel->progs.weir_egress;
	}
	return bpf_program__fd(p);
}

/* --------------------------------------------------------- one interface */

static void detach_dev(const char *pin_path, uint32_t ifindex)
{
	for (int hook = 0; hook < _WEIR_HOOK_MAX; hook++) {
		int r = weir_link_detach(pin_path, ifindex,
					 (enum weir_hook)hook);

		if (r < 0) {
			weir_warn("link not removed ifindex=%u error=\"%s\"",
				  ifindex, strerror(-r));
		}
	}
	if (weir_clsact_detach(pin_path, ifindex) < 0) {
		weir_warn("filters not removed ifindex=%u", ifindex);
	}
}

/* Logs an error of a hook once, not at every try. */
static void note_error(struct weir_netdev *d, enum weir_hook hook, int r)
{
	static const char *const names[_WEIR_HOOK_MAX] = {"ingress", "egress",
							  "xdp"};

	if (r < 0 && r != -ENODEV && r != d->error[hook]) {
		weir_warn("not attached interface=%s hook=%s error=\"%s\"",
			  d->name, names[hook], strerror(-r));
	}
	d->error[hook] = r < 0 ? r : 0;
}

/* True: --xdp names it; *ret_may_be_generic says how. */
static bool wants_xdp(const struct weir_kernel_config *c, const char *name,
		      bool *ret_may_be_generic)
{
	for (size_t i = 0; i < c->n_xdp; i++) {
		const char *colon = strchr(c->xdp[i], ':');
		size_t n = colon ? (size_t)(colon - c->xdp[i])
				 : strlen(c->xdp[i]);

		if (strlen(name) == n && memcmp(name, c->xdp[i], n) == 0) {
			*ret_may_be_generic = colon &&
					      strcmp(colon, GENERIC) == 0;
			return true;
		}
	}
	return false;
}

static void attach_xdp(struct weir_netdevs *s, struct weir_netdev *d)
{
	struct weir_kernel *k = s->kernel;
	bool may_be_generic = false;
	int fd, r;

	if (!s->wire || is_l3(d) ||
	    !wants_xdp(&k->config, d->name, &may_be_generic)) {
		r = weir_link_detach(k->pin_path, d->ifindex, WEIR_HOOK_XDP);
		note_error(d, WEIR_HOOK_XDP, r);
		return;
	}
	fd = bpf_program__fd(s->wire->progs.weir_wire);
	r = weir_xdp_attach(k->pin_path, d->ifindex, fd, XDP_FLAGS_DRV_MODE);
	if (r < 0 && may_be_generic) {
		r = weir_xdp_attach(k->pin_path, d->ifindex, fd,
				    XDP_FLAGS_SKB_MODE);
		d->is_generic = r == 0;
	}
	note_error(d, WEIR_HOOK_XDP, r);
}

static int attach_hook(struct weir_netdevs *s, const struct weir_netdev *d,
		       enum weir_hook hook)
{
	const char *pin_path = s->kernel->pin_path;
	int fd = program_of(s, d, hook);

	return s->is_clsact ? weir_clsact_attach(pin_path, d->ifindex, hook, fd)
			    : weir_tcx_attach(pin_path, d->ifindex, hook, fd);
}

static void unpublish(struct weir_netdevs *s, uint32_t ifindex)
{
	bpf_map_delete_elem(s->kernel->map_fd[WEIR_MAP_IF], &ifindex);
}

static int detach_hook(struct weir_netdevs *s, const struct weir_netdev *d,
		       enum weir_hook hook)
{
	return s->is_clsact ? weir_clsact_remove(d->ifindex, hook)
			    : weir_link_detach(s->kernel->pin_path, d->ifindex,
					       hook);
}

/* Egress first: an answer without its flow passes, a flow without its answers
 * does not.  A port lets packets in by its master alone, or they would be taken
 * twice; an answer may leave by it without having seen the master. */
static void attach_dev(struct weir_netdevs *s, struct weir_netdev *d)
{
	const char *pin_path = s->kernel->pin_path;
	int out, in;

	if (d->is_port && d->is_published) {
		unpublish(s, d->ifindex);
		d->is_published = false;
	}
	out = attach_hook(s, d, WEIR_HOOK_EGRESS);
	note_error(d, WEIR_HOOK_EGRESS, out);
	if (out < 0) {
		in = out;
	} else if (d->is_port) {
		in = detach_hook(s, d, WEIR_HOOK_INGRESS);
	} else {
		in = attach_hook(s, d, WEIR_HOOK_INGRESS);
	}
	note_error(d, WEIR_HOOK_INGRESS, out < 0 ? 0 : in);
	d->is_attached = out == 0 && in == 0;
	if (!d->is_attached) {
		return;
	}
	/* What an agent with the other choice left; meanwhile both ran, and
	 * the second found nothing to do. */
	if (s->is_clsact) {
		weir_link_detach(pin_path, d->ifindex, WEIR_HOOK_INGRESS);
		weir_link_detach(pin_path, d->ifindex, WEIR_HOOK_EGRESS);
	} else {
		weir_clsact_detach(pin_path, d->ifindex);
	}
	attach_xdp(s, d);
	weir_info("attached interface=%s ifindex=%u external=%d port=%d "
		  "mode=%s",
		  d->name, d->ifindex, d->is_external, d->is_port,
		  s->is_clsact ? "clsact" : "tcx");
}

/* Loopback is not among them; other links than Ethernet and plain IP carry
 * nothing that can be read here. */
static bool is_wanted(const struct weir_netdevs *s, const struct weir_netdev *d)
{
	const struct weir_kernel_config *c = &s->kernel->config;

	return (d->type == ARPHRD_ETHER || is_l3(d)) &&
	       !weir_netdev_matches(d->name, c->ignore, c->n_ignore);
}

/* Does what the interface is a port of take its packets in?  A VRF does not:
 * its ports receive for themselves. */
static bool is_port(const struct weir_netdevs *s,
		    const struct weir_netdev *devs, size_t n,
		    const struct weir_netdev *d)
{
	const struct weir_netdev *m = weir_netdev_find(devs, n, d->master);

	return d->master && m && is_wanted(s, m) && strcmp(m->kind, "vrf") != 0;
}

/* ---------------------------------------------------------- publication */

/* The node's address of each family: that of the way off the node, else any;
 * is_external: of those that lead off it. */
static void choose_ips(const struct weir_netdev *devs, size_t n,
		       bool is_external, struct weir_ip *ret_ip4,
		       struct weir_ip *ret_ip6)
{
	struct weir_ip ip4 = {}, ip6 = {};

	for (int is_second = 0; is_second < 2; is_second++) {
		for (size_t i = 0; i < n; i++) {
			const struct weir_netdev *d = &devs[i];

			if (is_second ? is_external && !d->is_external
				      : !d->has_default_route) {
				continue;
			}
			ip4 = ip4.a[2] ? ip4 : d->addr4;
			ip6 = ip6.a[0] ? ip6 : d->addr6;
		}
	}
	*ret_ip4 = ip4;
	*ret_ip6 = ip6;
}

void weir_kernel_node_ips(const struct weir_kernel *kernel,
			  struct weir_ip ret_ips[static 2], size_t *ret_n)
{
	const struct weir_netdevs *s = kernel->packet;
	struct weir_ip ip4 = {}, ip6 = {};

	*ret_n = 0;
	if (s) {
		choose_ips(s->devs, s->n, true, &ip4, &ip6);
	}
	if (ip4.a[2]) {
		ret_ips[(*ret_n)++] = ip4;
	}
	if (ip6.a[0]) {
		ret_ips[(*ret_n)++] = ip6;
	}
}

static void publish(struct weir_netdevs *s, struct weir_netdev *d,
		    const struct weir_ip *ip4, const struct weir_ip *ip6)
{
	struct weir_if v = {
		.node4 = d->addr4.a[2] ? d->addr4 : *ip4,
		.node6 = d->addr6.a[0] ? d->addr6 : *ip6,
		.flags = (d->is_external ? WEIR_IF_EXTERNAL : 0) |
			 (d->has_peer_elsewhere && strcmp(d->kind, "veth") == 0
				  ? WEIR_IF_PEER
				  : 0),
	};

	memcpy(v.mac, d->mac, sizeof(v.mac));
	if (d->is_published && memcmp(&d->published, &v, sizeof(v)) == 0) {
		return;
	}
	if (bpf_map_update_elem(s->kernel->map_fd[WEIR_MAP_IF], &d->ifindex, &v,
				BPF_ANY) < 0) {
		weir_error("interface not published interface=%s error=\"%s\"",
			   d->name, strerror(errno));
		return;
	}
	d->published = v;
	d->is_published = true;
}

/* ---------------------------------------------------------------- rescan */

/* Carries over what was done to the interface of the same index. */
static void inherit(const struct weir_netdevs *s, struct weir_netdev *d)
{
	const struct weir_netdev *old = weir_netdev_find(s->devs, s->n,
							 d->ifindex);

	/* A number is not used again soon, but another kind of interface
	 * behind it is certainly another interface. */
	if (!old || old->type != d->type || strcmp(old->kind, d->kind) != 0) {
		return;
	}
	d->is_attached = old->is_attached;
	d->is_generic = old->is_generic;
	memcpy(d->error, old->error, sizeof(d->error));
	d->published = old->published;
	d->is_published = old->is_published;
	/* --xdp and --ignore go by name. */
	if (strcmp(old->name, d->name) != 0 || old->is_port != d->is_port) {
		d->is_attached = false;
	}
}

/*
 * Looks at all interfaces and attaches to at most max new ones: every TCX link
 * waits for a grace period of the kernel under its lock (tcx_entry_sync, some
 * 10 ms), and a node of a hundred pods must not stand still for it.  The others
 * are pending.
 */
static int rescan(struct weir_netdevs *s, size_t max)
{
	_cleanup_free_ struct weir_netdev *devs = NULL;
	const char *pin_path = s->kernel->pin_path;
	struct weir_ip ip4, ip6;
	_cleanup_free_ struct weir_netaddr *nets = NULL;
	size_t n, n_nets, n_tried = 0, n_pending = 0;
	int failed = 0;
	int r;

	r = weir_netdev_read(s->request_fd, &devs, &n, &nets, &n_nets);
	if (r < 0) {
		return r;
	}
	weir_netdev_classify(&s->kernel->config, devs, n);
	/* For interfaces that have none of their own. */
	choose_ips(devs, n, false, &ip4, &ip6);
	for (size_t i = 0; i < n; i++) {
		struct weir_netdev *d = &devs[i];
		bool has_failed;

		d->is_port = is_port(s, devs, n, d);
		inherit(s, d);
		if (!is_wanted(s, d)) {
			if (d->is_attached || d->is_published) {
				unpublish(s, d->ifindex);
				detach_dev(pin_path, d->ifindex);
				d->is_attached = d->is_published = false;
			}
			continue;
		}
		/* One that failed has had its turn and holds up no other. */
		has_failed = d->error[WEIR_HOOK_INGRESS] ||
			     d->error[WEIR_HOOK_EGRESS];
		d->is_pending = !d->is_attached && !has_failed &&
				n_tried >= max;
		if (d->is_pending) {
			n_pending++;
			continue;
		}
		if (!d->is_attached) {
			attach_dev(s, d);
			n_tried += !has_failed;
		}
		if (!d->is_attached) {
			failed = -EAGAIN;
		} else if (!d->is_port) {
			publish(s, d, &ip4, &ip6);
		}
	}
	for (size_t i = 0; i < s->n; i++) {
		uint32_t ifindex = s->devs[i].ifindex;

		if (!weir_netdev_find(devs, n, ifindex)) {
			unpublish(s, ifindex);
			detach_dev(pin_path, ifindex);
			weir_info("gone interface=%s ifindex=%u",
				  s->devs[i].name, ifindex);
		}
	}
	weir_free_ptr(&s->devs);
	s->devs = TAKE_PTR(devs);
	s->n = n;
	s->n_pending = n_pending;
	weir_free_ptr(&s->nets);
	s->nets = TAKE_PTR(nets);
	s->n_nets = n_nets;
	weir_lan_refresh(s->kernel);
	return failed;
}

static void on_rescan(struct weir_timer *timer)
{
	struct weir_netdevs *s = timer->arg;

	/* An interface may come and go while it is looked at; what fails for
	 * good is logged once and tried again. */
	rescan(s, ATTACH_TURN);
	weir_loop_arm(s->kernel->loop, timer, s->n_pending ? 0 : RETRY_MS);
}

/* arg: struct weir_netdevs *.  Routes other than default ones come and go by
 * the thousand. */
static bool matters(void *arg, const struct nlmsghdr *h)
{
	const struct weir_netdevs *s = arg;
	const struct rtmsg *rt;

	weir_routes_heard(s->kernel, h);
	if (h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE) {
		return true;
	}
	rt = weir_rtnl_fixed(h, sizeof(*rt));
	return rt && rt->rtm_dst_len == 0;
}

static void on_event(struct weir_io *io, uint32_t events)
{
	struct weir_netdevs *s = io->arg;

	(void)events;
	if (weir_rtnl_drain(io->fd, matters, s)) {
		weir_loop_arm(s->kernel->loop, &s->rescan, RESCAN_MS);
	}
}

/* ------------------------------------------------------------ start, stop */

/* arg: struct weir_netdevs *.  What an earlier agent attached to interfaces
 * that are gone or not wanted any more. */
static void sweep_one(void *arg, uint32_t ifindex)
{
	struct weir_netdevs *s = arg;
	const struct weir_netdev *d = weir_netdev_find(s->devs, s->n, ifindex);

	if (!d || !is_wanted(s, d)) {
		unpublish(s, ifindex);
		detach_dev(s->kernel->pin_path, ifindex);
	}
}

/* Entries of weir_if that name no interface of now. */
static void sweep_published(struct weir_netdevs *s)
{
	int fd = s->kernel->map_fd[WEIR_MAP_IF];
	uint32_t key, next;
	const uint32_t *at = NULL;

	for (uint32_t i = 0; i <= s->kernel->map_size[WEIR_MAP_IF] &&
			     bpf_map_get_next_key(fd, at, &next) == 0;
	     i++) {
		const struct weir_netdev *d = weir_netdev_find(s->devs, s->n,
							       next);

		if (!d || (!d->is_attached && !d->is_pending) || d->is_port) {
			unpublish(s, next);
			at = NULL; /* the walk lost its place */
			continue;
		}
		key = next;
		at = &key;
	}
}

static int start_steps(struct weir_netdevs *s)
{
	static const unsigned int groups[] = {
		RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
	struct weir_kernel *k = s->kernel;
	int r;

	r = weir_rtnl_open(&s->request_fd);
	if (r < 0) {
		return r;
	}
	/* Before the first look, so that nothing falls between. */
	r = weir_rtnl_listen(groups, sizeof(groups) / sizeof(*groups),
			     &s->events.fd);
	if (r < 0) {
		return r;
	}
	r = rescan(s, ATTACH_FIRST);
	if (r < 0 && r != -EAGAIN) {
		return r;
	}
	r = weir_attached_each(k->pin_path, sweep_one, s);
	if (r < 0) {
		return r;
	}
	sweep_published(s);
	r = weir_loop_add(k->loop, &s->events, EPOLLIN);
	if (r < 0) {
		return r;
	}
	weir_loop_arm(k->loop, &s->rescan, s->n_pending ? 0 : RETRY_MS);
	return weir_flows_start(k);
}

int weir_packet_start(struct weir_kernel *kernel)
{
	struct weir_netdevs *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	s->kernel = kernel;
	s->request_fd = -1;
	s->events = (struct weir_io){.fd = -1, .fn = on_event, .arg = s};
	s->rescan = (struct weir_timer){.fn = on_rescan, .arg = s};
	s->is_clsact = kernel->config.attach == WEIR_ATTACH_CLSACT ||
		       (kernel->config.attach == WEIR_ATTACH_AUTO &&
			!kernel->features.has_tcx);
	kernel->packet = s;
	r = load(s);
	if (r < 0) {
		/* The other planes go on, and what an earlier agent attached
		 * stays at work. */
		weir_packet_stop(kernel);
		kernel->packet_error = r;
		return 0;
	}
	r = start_steps(s);
	if (r < 0) {
		weir_packet_stop(kernel);
	}
	return r;
}

void weir_packet_stop(struct weir_kernel *kernel)
{
	struct weir_netdevs *s = kernel->packet;

	if (!s) {
		return;
	}
	weir_flows_stop(kernel);
	weir_loop_disarm(kernel->loop, &s->rescan);
	if (s->events.fd >= 0) {
		weir_loop_del(kernel->loop, &s->events);
	}
	weir_close(&s->events.fd);
	weir_close(&s->request_fd);
	weir_packet__destroy(s->skel);
	weir_wire__destroy(s->wire);
	weir_free_ptr(&s->devs);
	weir_free_ptr(&s->nets);
	weir_free_ptr(&kernel->packet);
}

/* arg: pin_path. */
static void detach_one(void *arg, uint32_t ifindex)
{
	const char *pin_path = arg;

	detach_dev(pin_path, ifindex);
}

int weir_packet_detach(const struct weir_kernel_config *config,
		       const char *pin_path)
{
	_cleanup_free_ char *path = strdup(pin_path);

	(void)config;
	return path ? weir_attached_each(path, detach_one, path) : -ENOMEM;
}

/* --------------------------------------------------------------- reports */

bool weir_packet_is_settled(const struct weir_kernel *kernel)
{
	return !kernel->packet || kernel->packet->n_pending == 0;
}

static void report_dev(const struct weir_netdev *d, struct weir_buf *json)
{
	weir_buf_printf(json, "{\"name\":");
	weir_buf_add_json(json, weir_str_of(d->name));
	weir_buf_printf(json,
			",\"ifindex\":%u,\"attached\":%s,\"external\":%s,"
			"\"port\":%s,\"peer\":%s",
			d->ifindex, d->is_attached ? "true" : "false",
			d->is_external ? "true" : "false",
			d->is_port ? "true" : "false",
			d->published.flags & WEIR_IF_PEER ? "true" : "false");
	if (d->is_generic) {
		weir_buf_printf(json, ",\"xdp\":\"generic\"");
	}
	for (int i = 0; i < _WEIR_HOOK_MAX; i++) {
		if (d->error[i]) {
			weir_buf_printf(json, ",\"error\":");
			weir_buf_add_json(json,
					  weir_str_of(strerror(-d->error[i])));
			break;
		}
	}
	weir_buf_printf(json, "}");
}

void weir_packet_report(struct weir_kernel *kernel, struct weir_buf *json)
{
	const struct weir_netdevs *s = kernel->packet;
	bool is_first = true;

	if (!s) {
		weir_buf_printf(json, "{\"mode\":null,\"why\":");
		weir_buf_add_json(json,
				  weir_str_of(strerror(-kernel->packet_error)));
		weir_buf_addz(json, ",\"interfaces\":[]}");
		return;
	}
	weir_buf_printf(json,
			"{\"mode\":\"%s\",\"redirect\":%s,\"pending\":%zu,"
			"\"interfaces\":[",
			s->is_clsact ? "clsact" : "tcx",
			kernel->config.wants_redirect ? "true" : "false",
			s->n_pending);
	for (size_t i = 0; i < s->n; i++) {
		if (!is_wanted(s, &s->devs[i])) {
			continue;
		}
		if (!is_first) {
			weir_buf_printf(json, ",");
		}
		is_first = false;
		report_dev(&s->devs[i], json);
	}
	weir_buf_printf(json, "]}");
}

static void report_programs(const struct bpf_object *obj, weir_program_fn fn,
			    void *arg)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)
	{
		fn(arg, bpf_program__name(p), bpf_program__fd(p));
	}
}

void weir_packet_programs(struct weir_kernel *kernel, weir_program_fn fn,
			  void *arg)
{
	const struct weir_netdevs *s = kernel->packet;

	if (!s) {
		return;
	}
	report_programs(s->skel->obj, fn, arg);
	if (s->wire) {
		report_programs(s->wire->obj, fn, arg);
	}
}
