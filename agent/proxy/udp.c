/* SPDX-License-Identifier: Apache-2.0 */
#include "udp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "addr.h"
#include "cleanup.h"
#include "worker.h"

#define DATAGRAM_MAX 65536
#define BATCH 64 /* datagrams of one socket before others get their turn */

struct weir_udp_socket {
	struct weir_end end;
	__be16 port_be;
	bool is_gone; /* not of the current plan */
	struct weir_ip addr;
	ino_t inode; /* tells whether another descriptor is the same socket */
	uint32_t users; /* flows */
	struct weir_udp_socket *next;
};

struct weir_udp_flow {
	struct weir_end end; /* connected to the endpoint */
	__be16 peer_port_be;
	__be16 ep_port_be;
	struct weir_ip peer;
	struct weir_ip ep;
	struct weir_udp_flow *next; /* bucket, free list */
	struct weir_udp_socket *socket;
	struct weir_proxy_epstat *stat;
	struct weir_proxy_refstat *refstat;
	struct weir_proxy_rulestat *rulestat;
	struct weir_due due;
	uint64_t last_ms;
	uint64_t mark; /* plan in which the choice was last found good */
};

static uint32_t bucket_of(const struct weir_udp *udp,
			  const struct weir_udp_socket *s,
			  const struct weir_ip *peer, __be16 port_be)
{
	uint32_t h = weir_mix32(peer->a[0] ^ peer->a[3],
				peer->a[1] ^ peer->a[2]);

	h = weir_mix32(h ^ port_be, (uint32_t)(uintptr_t)s);
	return h & (udp->n_buckets - 1);
}

static struct weir_udp_flow *find(const struct weir_udp *udp,
				  const struct weir_udp_socket *s,
				  const struct weir_ip *peer, __be16 port_be)
{
	struct weir_udp_flow *f =
		udp->buckets[bucket_of(udp, s, peer, port_be)];

	while (f && (f->socket != s || f->peer_port_be != port_be ||
		     !weir_ip_eq(&f->peer, peer))) {
		f = f->next;
	}
	return f;
}

static void put_socket(struct weir_udp *udp, struct weir_udp_socket *s)
{
	if (!s->is_gone || s->users) {
		return;
	}
	weir_close(&s->end.fd);
	s->end.kind = WEIR_END_DEAD;
	s->next = udp->dead_sockets;
	udp->dead_sockets = s;
}

static void close_flow(struct weir_worker *w, struct weir_udp_flow *f)
{
	struct weir_udp *udp = &w->udp;
	struct weir_udp_flow **pp = &udp->buckets[bucket_of(
		udp, f->socket, &f->peer, f->peer_port_be)];

	while (*pp != f) {
		pp = &(*pp)->next;
	}
	*pp = f->next;
	weir_due_disarm(&f->due);
	weir_close(&f->end.fd);
	f->end.kind = WEIR_END_DEAD;
	weir_count(&f->stat->closed, 1);
	weir_uncount(&f->stat->in_flight);
	weir_uncount(&f->refstat->in_flight);
	weir_uncount(&f->rulestat->in_flight);
	weir_uncount(&w->counters.shared->totals.udp_associations);
	f->socket->users--;
	put_socket(udp, f->socket);
	f->next = udp->dead;
	udp->dead = f;
}

static void on_due(struct weir_worker *w, struct weir_due *due)
{
	struct weir_udp_flow *f =
		(struct weir_udp_flow *)((char *)due -
					 offsetof(struct weir_udp_flow, due));
	uint64_t at = f->last_ms + w->limits->udp_idle_ms;

	if (at > w->now_ms) {
		weir_due_arm(&w->wheel, due, at);
		return;
	}
	close_flow(w, f);
}

static const struct weir_rule *rule_of(const struct weir_worker *w,
				       const struct weir_udp_socket *s)
{
	const struct weir_plan *plan = w->plan->ref->view.rules;
	const struct weir_frontend *f = weir_plan_ref_frontend(
		w->plan->ref, &s->addr, s->port_be, IPPROTO_UDP);

	return f && f->mode == WEIR_MODE_UDP && f->rule != WEIR_NONE
		       ? WEIR_PLAN_ELEM(plan, struct weir_rule, plan->rules,
					f->rule)
		       : NULL;
}

/* Does the rule, as it is now, still lead to the flow's endpoint? */
static bool is_current(const struct weir_worker *w,
		       const struct weir_udp_flow *f)
{
	const struct weir_plan_view *view = &w->plan->ref->view;
	const struct weir_rule *rule = rule_of(w, f->socket);

	for (uint32_t i = 0; rule && i < rule->refs.n; i++) {
		const struct weir_ref *ref = WEIR_PLAN_ELEM(
			view->rules, struct weir_ref, rule->refs, i);
		const struct weir_endpoint *e;
		uint32_t n;

		if (ref->state != WEIR_REF_OK || ref->weight == 0) {
			continue;
		}
		e = weir_eps_of(view->eps, ref->group, &n);
		for (uint32_t k = 0; k < n; k++) {
			if (e[k].port_be == f->ep_port_be &&
			    weir_ip_eq(&e[k].addr, &f->ep)) {
				return true;
			}
		}
	}
	return false;
}

/* The endpoint for a new flow, or NULL (counted). */
static const struct weir_endpoint *choose(struct weir_worker *w,
					  const struct weir_rule *rule,
					  const struct weir_ip *peer,
					  const struct weir_ref **ret_ref)
{
	const struct weir_plan_view *view = &w->plan->ref->view;
	const struct weir_ref *ref = weir_choose_ref(
		view->rules, rule, weir_worker_rule_x(w, rule, peer));
	const struct weir_group *group;
	const struct weir_endpoint *e;
	uint32_t n;

	if (!ref) {
		weir_count_reason(&w->counters, WEIR_PROXY_INVALID_BACKEND);
		return NULL;
	}
	if (ref->state == WEIR_REF_OK) {
		group = WEIR_PLAN_ELEM(view->rules, struct weir_group,
				       view->rules->groups, ref->group);
		e = weir_eps_of(view->eps, ref->group, &n);
		if (n) {
			*ret_ref = ref;
			return &e[weir_worker_endpoint_x(w, rule, peer,
							 group->key, e, n)];
		}
	}
	weir_count(&weir_refstat_of(&w->counters, ref->stat)->refused, 1);
	weir_count_reason(&w->counters, ref->state == WEIR_REF_INVALID
						? WEIR_PROXY_INVALID_BACKEND
						: WEIR_PROXY_NO_ENDPOINT);
	return NULL;
}

static int dial(struct weir_worker *w, struct weir_udp_flow *f,
		const struct weir_endpoint *e)
{
	struct sockaddr_storage sa;
	socklen_t n = weir_addr_to_sockaddr(&e->addr, e->port_be, &sa);
	_cleanup_close_ int fd = socket(
		sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, n) < 0) {
		return -errno;
	}
	f->end.fd = fd;
	r = weir_worker_watch_level(w, &f->end);
	if (r < 0) {
		return r;
	}
	f->end.fd = TAKE_FD(fd);
	return 0;
}

static struct weir_udp_flow *open_flow(struct weir_worker *w,
				       struct weir_udp_socket *s,
				       const struct weir_ip *peer,
				       __be16 port_be)
{
	const uint64_t *gauge = &w->counters.shared->totals.udp_associations;
	/* Below zero while a proxy that drains ends what another counts. */
	int64_t n_flows = (int64_t)__atomic_load_n(gauge, __ATOMIC_RELAXED);
	struct weir_udp *udp = &w->udp;
	const struct weir_rule *rule = rule_of(w, s);
	const struct weir_endpoint *e;
	const struct weir_ref *ref;
	struct weir_udp_flow *f;
	struct weir_udp_flow **bucket;

	if (!rule || n_flows >= (int64_t)w->limits->udp_max) {
		weir_count_reason(&w->counters, rule ? WEIR_PROXY_UDP_LIMIT
						     : WEIR_PROXY_NO_ROUTE);
		return NULL;
	}
	weir_count(&weir_rulestat(&w->counters, rule->stat)->requests, 1);
	e = choose(w, rule, peer, &ref);
	if (!e) {
		return NULL;
	}
	f = udp->free ? udp->free : calloc(1, sizeof(*f));
	if (!f) {
		return NULL;
	}
	if (f == udp->free) {
		udp->free = f->next;
		memset(f, 0, sizeof(*f));
	}
	f->end = (struct weir_end){.fd = -1, .kind = WEIR_END_UDP_FLOW};
	f->stat = weir_epstat_of(&w->counters, e->stat);
	f->refstat = weir_refstat_of(&w->counters, ref->stat);
	f->rulestat = weir_rulestat(&w->counters, rule->stat);
	if (dial(w, f, e) < 0) {
		weir_count(&f->stat->failed, 1);
		weir_count(&f->refstat->failed, 1);
		f->next = udp->free;
		udp->free = f;
		return NULL;
	}
	f->socket = s;
	f->peer = *peer;
	f->peer_port_be = port_be;
	f->ep = e->addr;
	f->ep_port_be = e->port_be;
	f->mark = w->pool.mark;
	f->due.fn = on_due;
	s->users++;
	bucket = &udp->buckets[bucket_of(udp, s, peer, port_be)];
	f->next = *bucket;
	*bucket = f;
	weir_count(&f->stat->opened, 1);
	weir_count(&f->stat->in_flight, 1);
	weir_count(&f->refstat->picked, 1);
	weir_count(&f->refstat->in_flight, 1);
	weir_count(&f->rulestat->in_flight, 1);
	weir_count(&w->counters.shared->totals.udp_associations, 1);
	weir_due_arm(&w->wheel, &f->due, w->now_ms + w->limits->udp_idle_ms);
	return f;
}

/* One datagram of n bytes in the buffer, from a client. */
static void from_client(struct weir_worker *w, struct weir_udp_socket *s,
			const struct sockaddr_storage *from, size_t n)
{
	struct weir_udp_flow *f;
	struct weir_ip peer;
	__be16 port_be;

	if (weir_addr_from_sockaddr(from, &peer, &port_be) < 0) {
		return;
	}
	f = find(&w->udp, s, &peer, port_be);
	if (f && f->mark != w->pool.mark) {
		f->mark = w->pool.mark;
		if (!is_current(w, f)) {
			close_flow(w, f);
			f = NULL;
		}
	}
	if (!f) {
		f = open_flow(w, s, &peer, port_be);
	}
	if (!f) {
		return;
	}
	f->last_ms = w->now_ms;
	if (send(f->end.fd, w->udp.buffer, n, MSG_NOSIGNAL) >= 0) {
		weir_count(&f->stat->tx_bytes, n);
	} else if (errno != EAGAIN && errno != ENOBUFS) {
		/* ICMP said that nobody is there: the next one picks anew. */
		weir_count(&f->stat->failed, 1);
		close_flow(w, f);
	}
}

static void read_socket(struct weir_worker *w, struct weir_udp_socket *s)
{
	for (int i = 0; i < BATCH; i++) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(s->end.fd, w->udp.buffer, DATAGRAM_MAX,
				     MSG_DONTWAIT, (struct sockaddr *)&from,
				     &len);

		if (n < 0) {
			if (errno == EAGAIN || errno == EBADF) {
				return;
			}
			continue;
		}
		if (s->is_gone) {
			continue;
		}
		from_client(w, s, &from, (size_t)n);
	}
}

static void read_flow(struct weir_worker *w, struct weir_udp_flow *f)
{
	struct sockaddr_storage to;
	socklen_t len = weir_addr_to_sockaddr(&f->peer, f->peer_port_be, &to);

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(f->end.fd, w->udp.buffer, DATAGRAM_MAX,
				 MSG_DONTWAIT);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				weir_count(&f->stat->failed, 1);
				close_flow(w, f);
			}
			return;
		}
		f->last_ms = w->now_ms;
		weir_count(&f->stat->rx_bytes, (uint64_t)n);
		(void)sendto(f->socket->end.fd, w->udp.buffer, (size_t)n,
			     MSG_DONTWAIT | MSG_NOSIGNAL,
			     (struct sockaddr *)&to, len);
	}
}

void weir_udp_event(struct weir_worker *w, struct weir_end *end)
{
	if (end->kind == WEIR_END_UDP) {
		read_socket(w, (struct weir_udp_socket *)(void *)end);
	} else {
		read_flow(w, (struct weir_udp_flow *)(void *)end);
	}
}

void weir_udp_reap(struct weir_worker *w)
{
	struct weir_udp *udp = &w->udp;

	while (udp->dead) {
		struct weir_udp_flow *f = udp->dead;

		udp->dead = f->next;
		f->next = udp->free;
		udp->free = f;
	}
	while (udp->dead_sockets) {
		struct weir_udp_socket *s = udp->dead_sockets;

		udp->dead_sockets = s->next;
		weir_free_ptr(&s);
	}
}

static struct weir_udp_socket *find_socket(struct weir_udp *udp, ino_t inode)
{
	struct weir_udp_socket *s = udp->sockets;

	while (s && s->inode != inode) {
		s = s->next;
	}
	return s;
}

/* Descriptors of the plan are its own: keep a duplicate, so that flows may
 * outlive it. */
static int add_socket(struct weir_worker *w, const struct weir_udp_fd *u,
		      ino_t inode)
{
	struct weir_udp_socket *s;
	_cleanup_close_ int fd = fcntl(u->fd, F_DUPFD_CLOEXEC, 0);
	int r;

	if (fd < 0) {
		return -errno;
	}
	if (!w->udp.buffer) {
		w->udp.buffer = malloc(DATAGRAM_MAX);
	}
	s = calloc(1, sizeof(*s));
	if (!s || !w->udp.buffer) {
		weir_free_ptr(&s);
		return -ENOMEM;
	}
	s->end = (struct weir_end){.fd = fd, .kind = WEIR_END_UDP};
	s->addr = u->addr;
	s->port_be = u->port_be;
	s->inode = inode;
	r = weir_worker_watch_level(w, &s->end);
	if (r < 0) {
		weir_free_ptr(&s);
		return r;
	}
	(void)TAKE_FD(fd);
	s->next = w->udp.sockets;
	w->udp.sockets = s;
	return 0;
}

static void leave_gone(struct weir_worker *w)
{
	struct weir_udp_socket **pp = &w->udp.sockets;

	while (*pp) {
		struct weir_udp_socket *s = *pp;

		if (!s->is_gone) {
			pp = &s->next;
			continue;
		}
		*pp = s->next;
		weir_worker_unwatch(w, &s->end);
		put_socket(&w->udp, s);
	}
}

/* By the frontend, not by its place in the plan: a client would be chosen anew
 * at another worker. */
static bool is_ours(const struct weir_worker *w, const struct weir_udp_fd *u)
{
	return weir_hash64(&u->addr, sizeof(u->addr), u->port_be) %
		       w->n_workers ==
	       w->index;
}

void weir_udp_follow_plan(struct weir_worker *w)
{
	const struct weir_plan_ref *ref = w->plan->ref;

	for (struct weir_udp_socket *s = w->udp.sockets; s; s = s->next) {
		s->is_gone = true;
	}
	for (uint32_t i = 0; i < ref->n_udp; i++) {
		struct weir_udp_socket *s;
		struct stat st;

		if (!is_ours(w, &ref->udp[i]) ||
		    fstat(ref->udp[i].fd, &st) < 0) {
			continue;
		}
		s = find_socket(&w->udp, st.st_ino);
		if (s) {
			s->is_gone = false;
		} else if (add_socket(w, &ref->udp[i], st.st_ino) < 0) {
			weir_count_reason(&w->counters, WEIR_PROXY_OVERLOAD);
		}
	}
	leave_gone(w);
}

int weir_udp_init(struct weir_worker *w)
{
	w->udp.n_buckets = 1024;
	w->udp.buckets = calloc(w->udp.n_buckets, sizeof(*w->udp.buckets));
	return w->udp.buckets ? 0 : -ENOMEM;
}

void weir_udp_fini(struct weir_worker *w)
{
	struct weir_udp *udp = &w->udp;

	for (uint32_t i = 0; udp->buckets && i < udp->n_buckets; i++) {
		while (udp->buckets[i]) {
			close_flow(w, udp->buckets[i]);
		}
	}
	for (struct weir_udp_socket *s = udp->sockets; s; s = s->next) {
		s->is_gone = true;
	}
	while (udp->sockets) {
		struct weir_udp_socket *s = udp->sockets;

		udp->sockets = s->next;
		put_socket(udp, s);
	}
	weir_udp_reap(w);
	while (udp->free) {
		struct weir_udp_flow *f = udp->free;

		udp->free = f->next;
		weir_free_ptr(&f);
	}
	weir_free_ptr(&udp->buckets);
	weir_free_ptr(&udp->buffer);
}
