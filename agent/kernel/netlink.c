// SPDX-License-Identifier: Apache-2.0
/* Interfaces as route netlink tells of them, and which lead off the node. */
#include <errno.h>
#include <fnmatch.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "cleanup.h"
#include "netdev.h"

struct devs {
	struct weir_netdev *p;
	size_t n;
	size_t cap;
	struct weir_netaddr *nets;
	size_t n_nets;
	size_t cap_nets;
};

static void copy_text(char *out, size_t size, const struct rtattr *a)
{
	size_t n = a ? a->rta_len - RTA_LENGTH(0) : 0;

	if (n >= size) {
		n = size - 1;
	}
	if (n) {
		memcpy(out, (const char *)a + RTA_LENGTH(0), n);
	}
	out[n] = '\0';
}

static struct weir_netdev *devs_add(struct devs *d)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		struct weir_netdev *p = reallocarray(d->p, cap, sizeof(*p));

		if (!p) {
			return NULL;
		}
		d->p = p;
		d->cap = cap;
	}
	memset(&d->p[d->n], 0, sizeof(*d->p));
	return &d->p[d->n++];
}

static int take_link(void *arg, const struct nlmsghdr *h)
{
	const struct ifinfomsg *info = weir_rtnl_fixed(h, sizeof(*info));
	struct devs *d = arg;
	struct weir_netdev *dev;
	const struct rtattr *mac;

	if (h->nlmsg_type != RTM_NEWLINK || !info || info->ifi_index <= 0 ||
	    (info->ifi_flags & IFF_LOOPBACK)) {
		return 0;
	}
	dev = devs_add(d);
	if (!dev) {
		return -ENOMEM;
	}
	dev->ifindex = (uint32_t)info->ifi_index;
	dev->type = info->ifi_type;
	copy_text(dev->name, sizeof(dev->name),
		  weir_rtnl_attr(h, sizeof(*info), IFLA_IFNAME));
	copy_text(dev->kind, sizeof(dev->kind),
		  weir_rtnl_nested(
			  weir_rtnl_attr(h, sizeof(*info), IFLA_LINKINFO),
			  IFLA_INFO_KIND));
	dev->master = weir_rtnl_u32(
		weir_rtnl_attr(h, sizeof(*info), IFLA_MASTER), 0);
	mac = weir_rtnl_attr(h, sizeof(*info), IFLA_ADDRESS);
	if (mac && mac->rta_len == RTA_LENGTH(sizeof(dev->mac))) {
		memcpy(dev->mac, (const char *)mac + RTA_LENGTH(0),
		       sizeof(dev->mac));
	}
	dev->is_up = (info->ifi_flags & IFF_RUNNING) != 0;
	dev->has_peer_elsewhere = weir_rtnl_attr(h, sizeof(*info),
						 IFLA_LINK_NETNSID) != NULL;
	return 0;
}

static int dev_cmp(const void *a, const void *b)
{
	const struct weir_netdev *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

static struct weir_netdev *find(struct weir_netdev *devs, size_t n,
				uint32_t ifindex)
{
	const struct weir_netdev key = {.ifindex = ifindex};

	return n ? bsearch(&key, devs, n, sizeof(*devs), dev_cmp) : NULL;
}

const struct weir_netdev *weir_netdev_find(const struct weir_netdev *devs,
					   size_t n, uint32_t ifindex)
{
	const struct weir_netdev key = {.ifindex = ifindex};

	return n ? bsearch(&key, devs, n, sizeof(*devs), dev_cmp) : NULL;
}

static int add_net(struct devs *d, uint32_t ifindex, const struct weir_ip *ip,
		   unsigned int len)
{
	if (d->n_nets == d->cap_nets) {
		size_t cap = d->cap_nets ? d->cap_nets * 2 : 32;
		struct weir_netaddr *v = reallocarray(d->nets, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		d->nets = v;
		d->cap_nets = cap;
	}
	d->nets[d->n_nets++] = (struct weir_netaddr){
		.ifindex = ifindex, .ip = *ip, .len = (uint8_t)len};
	return 0;
}

bool weir_netaddr_covers(const struct weir_netaddr *net,
			 const struct weir_ip *ip)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int bits = net->len > i * 32 ? net->len - i * 32u : 0;
		uint32_t mask = bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);

		if ((net->ip.a[i] ^ ip->a[i]) & htonl(mask)) {
			return false;
		}
	}
	return weir_ip_is_v4(&net->ip) == weir_ip_is_v4(ip);
}

/* The first usable address of each family: what the kernel itself would take
 * as source first. */
static int take_addr(void *arg, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *ifa = weir_rtnl_fixed(h, sizeof(*ifa));
	const uint32_t unusable = IFA_F_TENTATIVE | IFA_F_DADFAILED |
				  IFA_F_DEPRECATED | IFA_F_TEMPORARY;
	struct devs *d = arg;
	struct weir_netdev *dev;
	const struct rtattr *a;
	struct weir_ip ip = {};

	if (h->nlmsg_type != RTM_NEWADDR || !ifa ||
	    ifa->ifa_scope != RT_SCOPE_UNIVERSE) {
		return 0;
	}
	dev = find(d->p, d->n, ifa->ifa_index); /* NULL: lo */
	if (ifa->ifa_family == AF_INET) {
		a = weir_rtnl_attr(h, sizeof(*ifa), IFA_LOCAL);
		if (!a || ifa->ifa_prefixlen > 32) {
			return 0;
		}
		ip.a[2] = htonl(0xFFFF);
		ip.a[3] = weir_rtnl_u32(a, 0);
		if (dev && !dev->addr4.a[2] &&
		    !(ifa->ifa_flags & IFA_F_SECONDARY)) {
			dev->addr4 = ip;
		}
		return add_net(d, ifa->ifa_index, &ip,
			       ifa->ifa_prefixlen + 96u);
	}
	a = weir_rtnl_attr(h, sizeof(*ifa), IFA_ADDRESS);
	if (ifa->ifa_family != AF_INET6 || !a || a->rta_len < RTA_LENGTH(16) ||
	    ifa->ifa_prefixlen > 128) {
		return 0;
	}
	memcpy(&ip, (const char *)a + RTA_LENGTH(0), 16);
	if (dev && !dev->addr6.a[0] &&
	    !(weir_rtnl_u32(weir_rtnl_attr(h, sizeof(*ifa), IFA_FLAGS),
			    ifa->ifa_flags) &
	      unusable)) {
		dev->addr6 = ip;
	}
	return add_net(d, ifa->ifa_index, &ip, ifa->ifa_prefixlen);
}

static void mark_default(struct devs *d, uint32_t ifindex)
{
	struct weir_netdev *dev = find(d->p, d->n, ifindex);

	if (dev) {
		dev->has_default_route = true;
	}
}

static int take_route(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *rt = weir_rtnl_fixed(h, sizeof(*rt));
	const struct rtattr *hops;
	struct devs *d = arg;
	const char *at;
	size_t n;

	if (h->nlmsg_type != RTM_NEWROUTE || !rt || rt->rtm_dst_len != 0 ||
	    rt->rtm_type != RTN_UNICAST) {
		return 0;
	}
	mark_default(d,
		     weir_rtnl_u32(weir_rtnl_attr(h, sizeof(*rt), RTA_OIF), 0));
	hops = weir_rtnl_attr(h, sizeof(*rt), RTA_MULTIPATH);
	at = (const char *)hops + RTA_LENGTH(0);
	n = hops ? hops->rta_len - RTA_LENGTH(0) : 0;
	while (n >= sizeof(struct rtnexthop)) {
		struct rtnexthop hop;

		memcpy(&hop, at, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > n) {
			break;
		}
		mark_default(d, (uint32_t)hop.rtnh_ifindex);
		at += RTNH_ALIGN(hop.rtnh_len);
		n -= hop.rtnh_len < n ? RTNH_ALIGN(hop.rtnh_len) : n;
	}
	return 0;
}

static void devs_fini(struct devs *d)
{
	weir_free_ptr(&d->p);
	weir_free_ptr(&d->nets);
}

static int read_once(int fd, struct weir_netdev **ret_devs, size_t *ret_n,
		     struct weir_netaddr **ret_nets, size_t *ret_n_nets)
{
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
	struct ifaddrmsg addr = {.ifa_family = AF_UNSPEC};
	struct rtmsg route = {.rtm_family = AF_UNSPEC};
	_cleanup_(devs_fini) struct devs d = {};
	struct weir_rtnl_request rq;
	int r;

	weir_rtnl_begin(&rq, RTM_GETLINK, 0, &link, sizeof(link));
	r = weir_rtnl_dump(fd, &rq, take_link, &d);
	if (r < 0) {
		return r;
	}
	if (d.n) {
		qsort(d.p, d.n, sizeof(*d.p), dev_cmp);
	}
	weir_rtnl_begin(&rq, RTM_GETADDR, 0, &addr, sizeof(addr));
	r = weir_rtnl_dump(fd, &rq, take_addr, &d);
	if (r < 0) {
		return r;
	}
	weir_rtnl_begin(&rq, RTM_GETROUTE, 0, &route, sizeof(route));
	r = weir_rtnl_dump(fd, &rq, take_route, &d);
	if (r < 0) {
		return r;
	}
	*ret_n = d.n;
	*ret_devs = TAKE_PTR(d.p);
	*ret_n_nets = d.n_nets;
	*ret_nets = TAKE_PTR(d.nets);
	return 0;
}

int weir_netdev_read(int fd, struct weir_netdev **ret_devs, size_t *ret_n,
		     struct weir_netaddr **ret_nets, size_t *ret_n_nets)
{
	int r = -EAGAIN;

	for (int i = 0; i < WEIR_RTNL_TRIES && r == -EAGAIN; i++) {
		r = read_once(fd, ret_devs, ret_n, ret_nets, ret_n_nets);
	}
	return r == -EAGAIN ? -EBUSY : r;
}

bool weir_netdev_matches(const char *name, const char *const *globs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fnmatch(globs[i], name, 0) == 0) {
			return true;
		}
	}
	return false;
}

/* Kinds that exist to reach other machines. */
static bool is_tunnel(const char *kind)
{
	static const char *const kinds[] = {
		"vxlan",  "geneve",    "gre",  "gretap",
		"ip6gre", "ip6gretap", "ipip", "sit",
		"ip6tnl", "vti",       "vti6", "xfrm",
		"erspan", "wireguard", "tun",  "bareudp"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kind, kinds[i]) == 0) {
			return true;
		}
	}
	return false;
}

void weir_netdev_classify(const struct weir_kernel_config *config,
			  struct weir_netdev *devs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct weir_netdev *d = &devs[i];

		/* A device without a kind is a driver's own: hardware. */
		d->is_external = d->kind[0] == '\0' || d->has_default_route ||
				 is_tunnel(d->kind) ||
				 strcmp(d->kind, "vlan") == 0 ||
				 weir_netdev_matches(d->name, config->external,
						     config->n_external);
	}
	/* A bridge, bond or team leads where its members lead. */
	for (size_t i = 0; i < n; i++) {
		struct weir_netdev *m = find(devs, n, devs[i].master);

		if (m && devs[i].is_external) {
			m->is_external = true;
		}
	}
}
