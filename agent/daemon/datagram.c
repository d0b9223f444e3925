// SPDX-License-Identifier: Apache-2.0
#include "datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "listen.h"

void weir_datagram_fini(struct weir_datagram *udp)
{
	for (size_t i = 0; i < udp->n; i++) {
		weir_close(&udp->v[i].fd);
	}
	weir_free_ptr(&udp->v);
	udp->n = 0;
}

static bool is_relayed(const struct weir_frontend *f)
{
	return f->proto == IPPROTO_UDP && f->is_local &&
	       f->mode == WEIR_MODE_UDP;
}

static size_t count(const struct weir_plan *plan)
{
	size_t n = 0;

	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		n += is_relayed(WEIR_PLAN_ELEM(plan, struct weir_frontend,
					       plan->frontends, i));
	}
	return n;
}

static int order(const struct weir_ip *a, __be16 a_port,
		 const struct weir_ip *b, __be16 b_port)
{
	int c = memcmp(a, b, sizeof(*a));

	return c ? c : memcmp(&a_port, &b_port, sizeof(a_port));
}

/* Moves the old socket of f to s, if there is one: both lists are sorted.
 * Returns whether it was in use until now. */
static bool take_old(struct weir_datagram *old, size_t *pos,
		     const struct weir_frontend *f,
		     struct weir_datagram_socket *s)
{
	while (*pos < old->n) {
		struct weir_datagram_socket *o = &old->v[*pos];
		int c = order(&o->addr, o->port_be, &f->addr, f->port_be);

		if (c > 0) {
			break;
		}
		++*pos;
		if (c == 0) {
			s->fd = TAKE_FD(o->fd);
			return o->rests_until_ms == 0;
		}
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	const struct weir_datagram_socket *x = a;
	const struct weir_datagram_socket *y = b;

	return order(&x->addr, x->port_be, &y->addr, y->port_be);
}

int weir_datagram_adopt(struct weir_datagram *udp, const int *fds, size_t n)
{
	udp->v = n ? calloc(n, sizeof(*udp->v)) : NULL;
	if (n && !udp->v) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct weir_datagram_socket *s = &udp->v[udp->n];
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);

		s->fd = fds[i];
		if (getsockname(s->fd, (struct sockaddr *)&sa, &len) < 0 ||
		    weir_addr_from_sockaddr(&sa, &s->addr, &s->port_be) < 0) {
			weir_close(&s->fd);
			continue;
		}
		udp->n++;
	}
	if (udp->v) {
		qsort(udp->v, udp->n, sizeof(*udp->v), compare);
	}
	return 0;
}

/* Sockets of the plan, old ones where they exist. */
static bool add_wanted(struct weir_datagram *fresh, struct weir_datagram *old,
		       const struct weir_plan *plan)
{
	bool is_changed = false;
	size_t pos = 0;

	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		const struct weir_frontend *f = WEIR_PLAN_ELEM(
			plan, struct weir_frontend, plan->frontends, i);
		struct weir_datagram_socket *s = &fresh->v[fresh->n];
		bool was_used;

		if (!is_relayed(f)) {
			continue;
		}
		*s = (struct weir_datagram_socket){
			.addr = f->addr, .port_be = f->port_be, .fd = -1};
		was_used = take_old(old, &pos, f, s);
		if (s->fd < 0) {
			was_used = false;
			weir_bind_udp(&f->addr, f->port_be, &s->fd);
			fresh->is_dirty |= s->fd >= 0;
		}
		is_changed |= s->fd >= 0 && !was_used;
		fresh->n++;
	}
	return is_changed;
}

/* What no frontend took rests; what has rested stays behind in old. */
static bool add_resting(struct weir_datagram *fresh, struct weir_datagram *old,
			uint64_t now_ms)
{
	bool is_changed = false;

	for (size_t i = 0; i < old->n; i++) {
		struct weir_datagram_socket *o = &old->v[i];

		if (o->fd < 0) {
			continue;
		}
		if (o->rests_until_ms == 0) {
			is_changed = true;
			o->rests_until_ms = now_ms + old->rest_ms;
		}
		if (o->rests_until_ms > now_ms) {
			fresh->v[fresh->n++] = *o;
			o->fd = -1;
		} else {
			fresh->is_dirty = true;
		}
	}
	return is_changed;
}

int weir_datagram_sync(struct weir_datagram *udp, const struct weir_plan *plan,
		       uint64_t now_ms, bool *ret_is_changed)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram fresh = {
		.rest_ms = udp->rest_ms, .is_dirty = udp->is_dirty};
	size_t n = count(plan) + udp->n;
	struct weir_datagram old;
	bool is_changed;

	fresh.v = calloc(n + 1, sizeof(*fresh.v)); /* an empty set is one too */
	if (!fresh.v) {
		return -ENOMEM;
	}
	is_changed = add_wanted(&fresh, udp, plan);
	is_changed |= add_resting(&fresh, udp, now_ms);
	if (fresh.n) {
		qsort(fresh.v, fresh.n, sizeof(*fresh.v), compare);
	}
	old = *udp;
	*udp = fresh;
	fresh = old; /* closes what has rested */
	*ret_is_changed = is_changed;
	return 0;
}
