// SPDX-License-Identifier: Apache-2.0
/*
 * Local routes (AnyIP): addresses of Gateways and the proxy prefixes become
 * this node's without being on an interface.  The routing table itself is the
 * record of what is ours: entries of table local with our rtm_protocol, which
 * nobody else removes and which outlive the agent.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "cleanup.h"
#include "log.h"
#include "private.h"
#include "rtnl.h"

#define PRIORITY 119 /* beside a route of the kernel's for the same address */

struct prefix {
	struct weir_ip ip; /* v4-mapped */
	uint8_t len;       /* of the address proper: 0..32 or 0..128 */
};

/* An unordered set. */
struct prefixes {
	struct prefix *p;
	size_t n;
	size_t cap;
};

static void prefixes_fini(struct prefixes *s)
{
	weir_free_ptr(&s->p);
}

static int prefixes_add(struct prefixes *s, const struct weir_ip *ip,
			uint8_t len)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct prefix *p = reallocarray(s->p, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		s->p = p;
		s->cap = cap;
	}
	s->p[s->n].ip = *ip;
	s->p[s->n++].len = len;
	return 0;
}

static int prefix_cmp(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int r = memcmp(&x->ip, &y->ip, sizeof(x->ip));

	return r ? r : (int)x->len - (int)y->len;
}

static bool prefixes_have(const struct prefixes *sorted,
			  const struct prefix *what)
{
	return sorted->n &&
	       bsearch(what, sorted->p, sorted->n, sizeof(*what), prefix_cmp);
}

static void prefixes_sort(struct prefixes *s)
{
	if (s->n) {
		qsort(s->p, s->n, sizeof(*s->p), prefix_cmp);
	}
}

/* A burst of deletions is one look, and whoever deletes what we add makes us
 * busy no oftener than this. */
#define HEARD_MS 50

struct weir_routes {
	bool is_in_force;       /* wanted is of a plan */
	struct prefixes wanted; /* by the plan in force, sorted */
	struct prefixes next;   /* by one that is about to be, likewise */
	struct prefixes failed; /* of the last try, sorted: it was said */
	int error;              /* of the last try as a whole, likewise */
	struct weir_timer lost; /* armed: one of them was deleted */
};

/* ------------------------------------------------------------- netlink */

static int change(int fd, uint16_t type, uint16_t flags, uint32_t lo,
		  const struct prefix *p)
{
	bool is_v4 = weir_ip_is_v4(&p->ip);
	struct rtmsg rt = {
		.rtm_family = is_v4 ? AF_INET : AF_INET6,
		.rtm_dst_len = p->len,
		.rtm_table = RT_TABLE_LOCAL,
		.rtm_protocol = WEIR_RTNL_PROTOCOL,
		.rtm_scope = is_v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_LOCAL,
	};
	uint32_t priority = PRIORITY;
	struct weir_rtnl_request rq;

	weir_rtnl_begin(&rq, type, flags, &rt, sizeof(rt));
	if (is_v4) {
		weir_rtnl_add(&rq, RTA_DST, &p->ip.a[3], 4);
	} else {
		weir_rtnl_add(&rq, RTA_DST, &p->ip, 16);
	}
	weir_rtnl_add(&rq, RTA_OIF, &lo, sizeof(lo));
	weir_rtnl_add(&rq, RTA_PRIORITY, &priority, sizeof(priority));
	return weir_rtnl_do(fd, &rq);
}

/* Is it about a route of ours?  type: RTM_*ROUTE. */
static bool read_route(const struct nlmsghdr *h, uint16_t type,
		       struct prefix *ret_route)
{
	const struct rtmsg *rt = weir_rtnl_fixed(h, sizeof(*rt));
	const struct rtattr *dst;
	struct weir_ip ip = {};

	if (h->nlmsg_type != type || !rt ||
	    rt->rtm_protocol != WEIR_RTNL_PROTOCOL ||
	    rt->rtm_type != RTN_LOCAL || rt->rtm_table != RT_TABLE_LOCAL) {
		return false;
	}
	dst = weir_rtnl_attr(h, sizeof(*rt), RTA_DST);
	if (rt->rtm_family == AF_INET) {
		ip.a[2] = htonl(0xFFFF);
		ip.a[3] = weir_rtnl_u32(dst, 0);
	} else if (rt->rtm_family != AF_INET6) {
		return false;
	} else if (dst && dst->rta_len >= RTA_LENGTH(16)) {
		memcpy(&ip, (const char *)dst + RTA_LENGTH(0), 16);
	}
	*ret_route = (struct prefix){.ip = ip, .len = rt->rtm_dst_len};
	return true;
}

/* arg: struct prefixes *, takes our routes. */
static int take_route(void *arg, const struct nlmsghdr *h)
{
	struct prefix p;

	return read_route(h, RTM_NEWROUTE, &p) ? prefixes_add(arg, &p.ip, p.len)
					       : 0;
}

static int find_once(int fd, struct prefixes *ret_ours)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	_cleanup_(prefixes_fini) struct prefixes ours = {};

	for (size_t i = 0; i < 2; i++) {
		/* What the kernel does not pick out for us take_route() does:
		 * a router may have a million others. */
		struct rtmsg rt = {.rtm_family = families[i],
				   .rtm_table = RT_TABLE_LOCAL,
				   .rtm_protocol = WEIR_RTNL_PROTOCOL,
				   .rtm_type = RTN_LOCAL};
		struct weir_rtnl_request rq;
		int r;

		weir_rtnl_begin(&rq, RTM_GETROUTE, 0, &rt, sizeof(rt));
		r = weir_rtnl_dump(fd, &rq, take_route, &ours);
		/* A kernel without IPv6 has no such routes either. */
		if (r < 0 && !(r == -EOPNOTSUPP && families[i] == AF_INET6)) {
			return r;
		}
	}
	prefixes_sort(&ours);
	*ret_ours = ours;
	ours = (struct prefixes){};
	return 0;
}

static int find_ours(int fd, struct prefixes *ret_ours)
{
	int r = -EAGAIN;

	for (int i = 0; i < WEIR_RTNL_TRIES && r == -EAGAIN; i++) {
		r = find_once(fd, ret_ours);
	}
	return r;
}

/* Once for as long as it lasts: it is tried again every few seconds. */
static void complain(const char *what, const struct prefix *p, int r,
		     const struct prefixes *said)
{
	char text[WEIR_ADDR_TEXT_MAX];

	if (!prefixes_have(said, p)) {
		weir_error("local route not %s route=%s/%u error=\"%s\"", what,
			   weir_ip_format(&p->ip, text), p->len, strerror(-r));
	}
}

/* Without IPv6 on this machine its addresses are not there to be reached. */
static bool is_tolerable(const struct prefix *p, int r)
{
	return r == -EEXIST ||
	       (!weir_ip_is_v4(&p->ip) &&
		(r == -EOPNOTSUPP || r == -EACCES || r == -EAFNOSUPPORT));
}

/* Makes our routes those wanted (sorted); what does not succeed is added to
 * failed, and said unless it is in said.  0 or the first error. */
static int make(int fd, uint32_t lo, const struct prefixes *wanted,
		const struct prefixes *said, struct prefixes *failed)
{
	_cleanup_(prefixes_fini) struct prefixes ours = {};
	int first = 0, r;

	r = find_ours(fd, &ours);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < wanted->n; i++) {
		const struct prefix *p = &wanted->p[i];

		if (prefixes_have(&ours, p)) {
			continue;
		}
		r = change(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, lo, p);
		if (r < 0 && !is_tolerable(p, r)) {
			complain("added", p, r, said);
			prefixes_add(failed, &p->ip, p->len);
			first = first ? first : r;
		}
	}
	for (size_t i = 0; i < ours.n; i++) {
		const struct prefix *p = &ours.p[i];

		if (prefixes_have(wanted, p)) {
			continue;
		}
		r = change(fd, RTM_DELROUTE, 0, lo, p);
		if (r < 0 && r != -ESRCH) {
			complain("removed", p, r, said);
			prefixes_add(failed, &p->ip, p->len);
			first = first ? first : r;
		}
	}
	prefixes_sort(failed);
	return first;
}

static int add_wanted(const struct weir_kernel_config *config,
		      const struct weir_local_addr *addrs, size_t n,
		      struct prefixes *wanted)
{
	int r = 0;

	if (config->prefix4_len) {
		r = prefixes_add(wanted, &config->prefix4, config->prefix4_len);
	}
	if (r == 0 && config->prefix6_len) {
		r = prefixes_add(wanted, &config->prefix6, config->prefix6_len);
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = prefixes_add(wanted, &addrs[i].addr,
				 weir_ip_is_v4(&addrs[i].addr) ? 32 : 128);
	}
	return r;
}

static int apply(const struct prefixes *wanted, const struct prefixes *said,
		 struct prefixes *failed)
{
	uint32_t lo = if_nametoindex("lo");
	_cleanup_close_ int fd = -1;
	const int on = 1;
	int r;

	if (!lo) {
		return -errno;
	}
	r = weir_rtnl_open(&fd);
	if (r < 0) {
		return r;
	}
	/* Dumps are filtered; a kernel that cannot (before 4.20) lists all. */
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return make(fd, lo, wanted, said, failed);
}

static void on_lost(struct weir_timer *timer)
{
	const struct weir_kernel *kernel = timer->arg;

	weir_info("local routes were deleted by another, added again");
	weir_routes_recheck(kernel);
}

int weir_routes_want(struct weir_kernel *kernel,
		     const struct weir_local_addr *addrs, size_t n)
{
	_cleanup_(prefixes_fini) struct prefixes wanted = {};
	int r;

	r = add_wanted(&kernel->config, addrs, n, &wanted);
	if (r < 0) {
		return r;
	}
	prefixes_sort(&wanted);
	if (!kernel->routes) {
		kernel->routes = calloc(1, sizeof(*kernel->routes));
	}
	if (!kernel->routes) {
		return -ENOMEM;
	}
	kernel->routes->lost.fn = on_lost;
	kernel->routes->lost.arg = kernel;
	prefixes_fini(&kernel->routes->next);
	kernel->routes->next = wanted;
	wanted = (struct prefixes){};
	return 0;
}

void weir_routes_apply(const struct weir_kernel *kernel)
{
	struct weir_routes *routes = kernel->routes;

	prefixes_fini(&routes->wanted);
	routes->wanted = routes->next;
	routes->next = (struct prefixes){};
	routes->is_in_force = true;
	weir_routes_recheck(kernel);
}

void weir_routes_recheck(const struct weir_kernel *kernel)
{
	struct weir_routes *routes = kernel->routes;
	_cleanup_(prefixes_fini) struct prefixes failed = {};
	int r;

	if (!routes || !routes->is_in_force) {
		return; /* what an agent before this one made stays */
	}
	r = apply(&routes->wanted, &routes->failed, &failed);
	if (r < 0 && !failed.n && r != routes->error) {
		weir_error("local routes not looked at, again in a moment: "
			   "error=\"%s\"",
			   strerror(-r));
	} else if (r == 0 && routes->error) {
		weir_info("local routes are as they should be");
	}
	routes->error = r;
	prefixes_fini(&routes->failed);
	routes->failed = failed;
	failed = (struct prefixes){};
}

/* Those that we remove are wanted no more, so they do not come back. */
void weir_routes_heard(const struct weir_kernel *kernel,
		       const struct nlmsghdr *h)
{
	struct weir_routes *routes = kernel->routes;
	struct prefix p;

	if (routes && routes->lost.due_ms == 0 &&
	    read_route(h, RTM_DELROUTE, &p) &&
	    prefixes_have(&routes->wanted, &p)) {
		weir_loop_arm(kernel->loop, &routes->lost, HEARD_MS);
	}
}

void weir_routes_free(struct weir_kernel *kernel)
{
	if (kernel->routes) {
		weir_loop_disarm(kernel->loop, &kernel->routes->lost);
		prefixes_fini(&kernel->routes->wanted);
		prefixes_fini(&kernel->routes->next);
		prefixes_fini(&kernel->routes->failed);
	}
	weir_free_ptr(&kernel->routes);
}

int weir_routes_detach(const struct weir_kernel_config *config)
{
	static const struct prefixes none;
	_cleanup_(prefixes_fini) struct prefixes failed = {};

	(void)config;
	return apply(&none, &none, &failed);
}
