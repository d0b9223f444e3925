// SPDX-License-Identifier: Apache-2.0
/*
 * Which node has a Gateway's address on a LAN.  Who it is others decide
 * (weir_kernel_lan_decide); here it is put into weir_lan, by interface, and the
 * LAN is told when it becomes this one.  bpf/lan.h does the answering.
 *
 * What is an address of an interface of this node itself is left to the kernel.
 */
#include "lan.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "addr.h"
#include "cleanup.h"
#include "log.h"

/* As often as kernels and other balancers say it: a frame may be lost. */
#define TELL_TIMES 3
#define TELL_MS 1000
#define TELL_TURN 64    /* addresses */
#define TELL_TURN_MS 20 /* between two turns */

struct lan_addr {
	struct weir_ip ip;
	bool is_ours;    /* as decided */
	bool is_of_node; /* an interface of this node has it */
	bool is_wanted;  /* weir_lan_keep() */
	bool is_in_map;  /* value */
	uint8_t left;    /* still to be told */
	struct weir_lan value;
};

struct weir_lans {
	struct lan_addr *v; /* sorted */
	size_t n;
	size_t cap;
	int packet_fd;
	bool may_yield;
	bool has_heard; /* the multicast groups were joined once */
	int hear_error;
	uint64_t tell_hash; /* of the interfaces when it was told */
	size_t tell_at;
	struct weir_timer tell;
};

static int lan_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct weir_ip)); /* the first member */
}

static struct lan_addr *find(const struct weir_lans *l,
			     const struct weir_ip *ip)
{
	return l->n ? bsearch(ip, l->v, l->n, sizeof(*l->v), lan_cmp) : NULL;
}

static struct lan_addr *add(struct weir_lans *l, const struct weir_ip *ip)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct lan_addr *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v) {
			return NULL;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = (struct lan_addr){.ip = *ip};
	return &l->v[l->n++];
}

static void sort(struct weir_lans *l)
{
	if (l->n) {
		qsort(l->v, l->n, sizeof(*l->v), lan_cmp);
	}
}

/* ------------------------------------------------------------ interfaces */

/* Where a LAN is: frames come in by it, and it leads off the node. */
static bool is_lan(const struct weir_netdev *d)
{
	return d->is_external && d->type == ARPHRD_ETHER && !d->is_port &&
	       d->is_attached;
}

/* Of several interfaces on the LAN of the address one answers: the first with
 * the longest prefix.  0: the address is of no LAN, whoever asks is told. */
static uint32_t choose_interface(const struct weir_netdevs *s,
				 struct lan_addr *a)
{
	uint32_t ifindex = 0;
	uint8_t len = 0;

	a->is_of_node = false;
	for (size_t i = 0; i < s->n_nets; i++) {
		const struct weir_netaddr *net = &s->nets[i];
		const struct weir_netdev *d = weir_netdev_find(s->devs, s->n,
							       net->ifindex);

		/* The kernel answers ARP for addresses of any interface, and
		 * solicitations for those of the one that hears them alone
		 * (ndisc_recv_ns()). */
		a->is_of_node |= weir_ip_eq(&net->ip, &a->ip) &&
				 (weir_ip_is_v4(&a->ip) ||
				  (d && d->is_external));
		if (!d || !is_lan(d) || !weir_netaddr_covers(net, &a->ip) ||
		    (ifindex && net->len <= len)) {
			continue;
		}
		ifindex = net->ifindex;
		len = net->len;
	}
	return ifindex;
}

/* ----------------------------------------------------------------- the map */

static void put(struct weir_kernel *kernel, struct lan_addr *a,
		const struct weir_lan *value)
{
	if (a->is_in_map && memcmp(&a->value, value, sizeof(*value)) == 0) {
		return;
	}
	if (bpf_map_update_elem(kernel->map_fd[WEIR_MAP_LAN], &a->ip, value,
				BPF_ANY) < 0) {
		char text[WEIR_ADDR_TEXT_MAX];

		weir_error("address not put into the LAN's table address=%s "
			   "error=\"%s\"",
			   weir_ip_format(&a->ip, text), strerror(errno));
		return;
	}
	a->is_in_map = true;
	a->value = *value;
}

static void take_away(struct weir_kernel *kernel, struct lan_addr *a)
{
	if (a->is_in_map) {
		bpf_map_delete_elem(kernel->map_fd[WEIR_MAP_LAN], &a->ip);
	}
	a->is_in_map = false;
}

static bool is_answering(const struct lan_addr *a)
{
	return a->is_in_map && (a->value.flags & WEIR_LAN_ANSWERS);
}

static void tell_soon(struct weir_kernel *kernel, uint64_t delay_ms)
{
	struct weir_timer *t = &kernel->lan->tell;

	if (!t->due_ms) {
		weir_loop_arm(kernel->loop, t, delay_ms);
	}
}

static void place(struct weir_kernel *kernel, struct lan_addr *a)
{
	const struct weir_netdevs *s = kernel->packet;
	bool was_answering = is_answering(a);
	uint32_t was_at = a->value.ifindex;
	struct weir_lan value = {.ifindex = choose_interface(s, a)};

	if (a->is_of_node) {
		take_away(kernel, a);
		return;
	}
	if (a->is_ours) {
		value.flags = WEIR_LAN_ANSWERS;
		value.flags |= kernel->lan->may_yield ? WEIR_LAN_YIELDS : 0;
	}
	put(kernel, a, &value);
	if (is_answering(a) && (!was_answering || was_at != value.ifindex)) {
		a->left = TELL_TIMES;
		tell_soon(kernel, 0);
	}
}

/* ------------------------------------------------------------- multicast */

static void add_places(const struct weir_netdevs *s, const struct lan_addr *a,
		       struct weir_lan_place *v, size_t *n)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct weir_netdev *d = &s->devs[i];

		if (is_lan(d) &&
		    (!a->value.ifindex || a->value.ifindex == d->ifindex)) {
			if (v) {
				v[*n].ip = a->ip;
				v[*n].ifindex = d->ifindex;
			}
			++*n;
		}
	}
}

static void hear(struct weir_kernel *kernel)
{
	struct weir_lans *l = kernel->lan;
	_cleanup_free_ struct weir_lan_place *v = NULL;
	size_t n = 0;
	int r;

	for (int pass = 0; pass < 2; pass++) {
		n = 0;
		for (size_t i = 0; i < l->n; i++) {
			if (is_answering(&l->v[i]) &&
			    !weir_ip_is_v4(&l->v[i].ip)) {
				add_places(kernel->packet, &l->v[i], v, &n);
			}
		}
		if (pass == 0 && n) {
			v = calloc(n, sizeof(*v));
			if (!v) {
				return;
			}
		}
	}
	if (n == 0 && !l->has_heard) {
		return; /* and none of an earlier agent's */
	}
	if (n) {
		qsort(v, n, sizeof(*v), weir_lan_place_cmp);
	}
	r = weir_lan_hear(v, n);
	if (r < 0 && r != l->hear_error) {
		weir_warn("multicast groups of addresses not joined, a switch "
			  "that filters keeps neighbour solicitations from "
			  "this node error=\"%s\"",
			  strerror(-r));
	}
	l->hear_error = r;
	l->has_heard = n > 0 || r < 0;
}

/* -------------------------------------------------------------- announcing */

/* What the kernel would answer with now.  The program may have let go of the
 * address, which a->value does not tell, or the time is over. */
static bool is_still_answering(const struct weir_kernel *kernel,
			       const struct lan_addr *a,
			       struct weir_lan *ret_now)
{
	return a->is_in_map &&
	       bpf_map_lookup_elem(kernel->map_fd[WEIR_MAP_LAN], &a->ip,
				   ret_now) == 0 &&
	       (ret_now->flags & WEIR_LAN_ANSWERS) &&
	       weir_kernel_lan_until(kernel) > weir_now_ms();
}

static void tell_one(const struct weir_kernel *kernel, struct lan_addr *a)
{
	const struct weir_netdevs *s = kernel->packet;
	struct weir_lan now = {};

	a->left--;
	if (!is_still_answering(kernel, a, &now)) {
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct weir_netdev *d = &s->devs[i];

		if (is_lan(d) && (!now.ifindex || now.ifindex == d->ifindex)) {
			weir_lan_tell(kernel->lan->packet_fd, d, &a->ip);
		}
	}
}

/* A round through all addresses, some in a turn; rounds are TELL_MS apart. */
static void on_tell(struct weir_timer *timer)
{
	struct weir_kernel *kernel = timer->arg;
	struct weir_lans *l = kernel->lan;
	size_t n = 0;
	bool has_more = false;

	if (!kernel->packet) {
		return;
	}
	for (; l->tell_at < l->n && n < TELL_TURN; l->tell_at++) {
		if (l->v[l->tell_at].left) {
			tell_one(kernel, &l->v[l->tell_at]);
			n++;
		}
	}
	if (l->tell_at < l->n) {
		tell_soon(kernel, TELL_TURN_MS);
		return;
	}
	l->tell_at = 0;
	for (size_t i = 0; i < l->n; i++) {
		has_more |= l->v[i].left > 0;
	}
	if (has_more) {
		tell_soon(kernel, TELL_MS);
	}
}

/* Another MAC address, or a link that came back: neighbours do not know. */
static void notice_interfaces(struct weir_kernel *kernel)
{
	const struct weir_netdevs *s = kernel->packet;
	struct weir_lans *l = kernel->lan;
	uint64_t hash = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct weir_netdev *d = &s->devs[i];

		if (is_lan(d)) {
			hash = weir_hash64(d->mac, sizeof(d->mac),
					   hash + d->ifindex +
						   ((uint64_t)d->is_up << 32));
		}
	}
	if (hash == l->tell_hash) {
		return;
	}
	if (l->tell_hash) {
		for (size_t i = 0; i < l->n; i++) {
			l->v[i].left = is_answering(&l->v[i]) ? TELL_TIMES : 0;
		}
		tell_soon(kernel, 0);
	}
	l->tell_hash = hash;
}

void weir_lan_refresh(struct weir_kernel *kernel)
{
	struct weir_lans *l = kernel->lan;

	if (!l || !kernel->packet) {
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		place(kernel, &l->v[i]);
	}
	notice_interfaces(kernel);
	hear(kernel);
}

/* --------------------------------------------------------------- addresses */

int weir_lan_add(struct weir_kernel *kernel,
		 const struct weir_local_addr *addrs, size_t n)
{
	struct weir_lans *l = kernel->lan;
	size_t before;

	if (!l || !kernel->packet) {
		return 0;
	}
	before = l->n;
	for (size_t i = 0; i < n; i++) {
		struct lan_addr *a = NULL;

		/* Of the new ones none is there twice. */
		if (before && bsearch(&addrs[i].addr, l->v, before,
				      sizeof(*l->v), lan_cmp)) {
			continue;
		}
		a = add(l, &addrs[i].addr);
		if (!a) {
			sort(l);
			return -ENOMEM;
		}
		a->is_ours = kernel->config.lan == WEIR_LAN_ALWAYS;
	}
	if (l->n > before) {
		sort(l);
		weir_lan_refresh(kernel);
	}
	return 0;
}

void weir_lan_keep(struct weir_kernel *kernel,
		   const struct weir_local_addr *addrs, size_t n)
{
	struct weir_lans *l = kernel->lan;
	size_t kept = 0, before = l ? l->n : 0;

	for (size_t i = 0; l && i < n; i++) {
		struct lan_addr *a = find(l, &addrs[i].addr);

		if (a) {
			a->is_wanted = true;
		}
	}
	for (size_t i = 0; i < before; i++) {
		struct lan_addr *a = &l->v[i];

		if (!a->is_wanted) {
			take_away(kernel, a);
			continue;
		}
		a->is_wanted = false;
		l->v[kept++] = *a;
	}
	if (kept < before) {
		l->n = kept;
		l->tell_at = 0;
		weir_lan_refresh(kernel);
	}
}

void weir_kernel_lan_decide(struct weir_kernel *kernel,
			    bool (*is_ours)(void *arg, const struct weir_ip *ip,
					    bool was_ours),
			    void *arg, bool may_yield, uint64_t until_ms)
{
	struct weir_meta *meta = kernel->map_mem[WEIR_MAP_META];
	struct weir_lans *l = kernel->lan;
	bool is_changed = false;

	if (!l || !kernel->packet) {
		return;
	}
	__atomic_store_n(&meta->lan_until_ns,
			 until_ms > UINT64_MAX / 1000000 ? UINT64_MAX
							 : until_ms * 1000000,
			 __ATOMIC_RELEASE);
	for (size_t i = 0; is_ours && i < l->n; i++) {
		bool was = l->v[i].is_ours;

		l->v[i].is_ours = is_ours(arg, &l->v[i].ip, was);
		is_changed |= l->v[i].is_ours != was;
	}
	is_changed |= l->may_yield != may_yield;
	l->may_yield = may_yield;
	if (is_changed) {
		weir_lan_refresh(kernel);
	}
}

bool weir_kernel_lan_is_on(const struct weir_kernel *kernel)
{
	return kernel->lan && kernel->packet;
}

uint64_t weir_kernel_lan_until(const struct weir_kernel *kernel)
{
	const struct weir_meta *meta = kernel->map_mem[WEIR_MAP_META];

	return kernel->lan ? meta->lan_until_ns / 1000000 : 0;
}

void weir_kernel_lan_each(const struct weir_kernel *kernel,
			  void (*fn)(void *arg,
				     const struct weir_lan_state *state),
			  void *arg)
{
	const struct weir_netdevs *s = kernel->packet;
	const struct weir_lans *l = kernel->lan;

	for (size_t i = 0; l && s && i < l->n; i++) {
		const struct lan_addr *a = &l->v[i];
		const struct weir_netdev *d = weir_netdev_find(
			s->devs, s->n, a->value.ifindex);
		struct weir_lan now = {};
		struct weir_lan_state state = {
			.ip = a->ip,
			.is_of_node = a->is_of_node,
			.is_answering = is_still_answering(kernel, a, &now),
			.interface = d ? d->name : NULL};

		fn(arg, &state);
	}
}

/* -------------------------------------------------------------------- life */

/* What an earlier agent said holds until its time is over. */
static int take_over(struct weir_kernel *kernel)
{
	struct weir_meta *meta = kernel->map_mem[WEIR_MAP_META];
	bool has_time = meta->lan_until_ns / 1000000 > weir_now_ms();
	struct weir_lans *l = kernel->lan;
	int fd = kernel->map_fd[WEIR_MAP_LAN];
	struct weir_ip key, next;
	const struct weir_ip *at = NULL;

	for (uint32_t i = 0; i <= kernel->map_size[WEIR_MAP_LAN] &&
			     bpf_map_get_next_key(fd, at, &next) == 0;
	     i++) {
		struct lan_addr *a = add(l, &next);

		key = next;
		at = &key;
		if (!a) {
			return -ENOMEM;
		}
		a->is_in_map = bpf_map_lookup_elem(fd, &key, &a->value) == 0;
		a->is_ours = has_time && is_answering(a);
		l->has_heard = true;
	}
	sort(l);
	switch (kernel->config.lan) {
	case WEIR_LAN_ALWAYS:
		meta->lan_until_ns = UINT64_MAX;
		break;
	case WEIR_LAN_CHOSEN:
		/* Of an agent that asked nobody: it may be another's now. */
		if (meta->lan_until_ns == UINT64_MAX) {
			meta->lan_until_ns = 0;
		}
		break;
	default:
		meta->lan_until_ns = 0;
		break;
	}
	for (size_t i = 0; i < l->n; i++) {
		l->v[i].is_ours = kernel->config.lan == WEIR_LAN_ALWAYS ||
				  (l->v[i].is_ours && meta->lan_until_ns);
	}
	return 0;
}

int weir_lan_start(struct weir_kernel *kernel)
{
	struct weir_lans *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		return -ENOMEM;
	}
	l->packet_fd = -1;
	l->tell = (struct weir_timer){.fn = on_tell, .arg = kernel};
	kernel->lan = l;
	r = take_over(kernel);
	if (r < 0) {
		return r;
	}
	if (kernel->config.lan == WEIR_LAN_OFF) {
		for (size_t i = 0; i < l->n; i++) {
			take_away(kernel, &l->v[i]);
		}
		if (l->has_heard) {
			weir_lan_hear(NULL, 0);
		}
		weir_lan_stop(kernel);
		return 0;
	}
	r = weir_lan_open(&l->packet_fd);
	if (r < 0) {
		weir_warn("no raw socket, neighbours are not told when an "
			  "address comes to this node: CAP_NET_RAW is missing? "
			  "error=\"%s\"",
			  strerror(-r));
	}
	return 0;
}

void weir_lan_stop(struct weir_kernel *kernel)
{
	struct weir_lans *l = kernel->lan;

	if (!l) {
		return;
	}
	weir_loop_disarm(kernel->loop, &l->tell);
	weir_close(&l->packet_fd);
	weir_free_ptr(&l->v);
	weir_free_ptr(&kernel->lan);
}

int weir_lan_detach(void)
{
	return weir_lan_hear(NULL, 0);
}
