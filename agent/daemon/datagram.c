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

/* The old socket of f: both lists are sorted by address and port. */
static int take_old(struct weir_datagram *old, size_t *pos,
		    const struct weir_frontend *f)
{
	while (*pos < old->n) {
		struct weir_datagram_socket *s = &old->v[*pos];
		int c = order(&s->addr, s->port_be, &f->addr, f->port_be);

		if (c > 0) {
			break;
		}
		++*pos;
		if (c == 0) {
			return TAKE_FD(s->fd);
		}
	}
	return -1;
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

int weir_datagram_sync(struct weir_datagram *udp, const struct weir_plan *plan,
		       bool *ret_is_changed)
{
	_cleanup_(weir_datagram_fini) struct weir_datagram fresh = {0};
	size_t n = count(plan);
	bool is_changed = false;
	struct weir_datagram old;
	size_t pos = 0;

	if (n) {
		fresh.v = calloc(n, sizeof(*fresh.v));
		if (!fresh.v) {
			return -ENOMEM;
		}
	}
	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		const struct weir_frontend *f = WEIR_PLAN_ELEM(
			plan, struct weir_frontend, plan->frontends, i);
		struct weir_datagram_socket *s;

		if (!is_relayed(f) || fresh.n == n) {
			continue;
		}
		s = &fresh.v[fresh.n];
		s->addr = f->addr;
		s->port_be = f->port_be;
		s->fd = take_old(udp, &pos, f);
		if (s->fd < 0 &&
		    weir_bind_udp(&f->addr, f->port_be, &s->fd) == 0) {
			is_changed = true;
		}
		fresh.n++;
	}
	old = *udp;
	*udp = fresh;
	fresh = old; /* what no frontend took closes with it */
	for (size_t i = 0; i < fresh.n; i++) {
		is_changed |= fresh.v[i].fd >= 0;
	}
	*ret_is_changed = is_changed;
	return 0;
}
