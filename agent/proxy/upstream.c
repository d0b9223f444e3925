/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to endpoints, pooled per endpoint and worker: the last one given
 * back is the first one taken, so that what a falling load leaves over grows
 * old together and is closed.  What is idle beyond pool_idle_max is closed
 * soon, not at once: with fewer than the load has at a time, nearly every
 * request would open a connection and close one.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "access.h"
#include "addr.h"
#include "cleanup.h"
#include "h2.h"
#include "hold.h"
#include "revision.h"
#include "tls.h"
#include "worker.h"

struct weir_pool_ep {
	struct weir_pool_ep *next; /* in its bucket */
	struct weir_ip addr;
	__be16 port_be;
	uint64_t tls;  /* key of how TLS is spoken; 0: it is not */
	uint64_t mine; /* hash of what is shown there; 0: nothing */
	bool is_known; /* both are in the last plan */
	uint32_t n_idle;
	uint32_t n_busy;
	uint32_t n_streams; /* as its last SETTINGS allow; 0: none came yet */
	uint64_t mark;      /* of the last plan that had it */
	struct weir_upstream *idle;
	struct weir_upstream *carriers; /* of HTTP/2 */
};

#define EXTRA_IDLE_MS 1000 /* beyond pool_idle_max */

static uint32_t hash_of(const struct weir_ip *addr, __be16 port_be)
{
	uint32_t h = weir_mix32(addr->a[0] ^ addr->a[2], addr->a[1]);

	return weir_mix32(h ^ addr->a[3], port_be);
}

static uint32_t bucket_of(const struct weir_pool *pool,
			  const struct weir_endpoint *e)
{
	return hash_of(&e->addr, e->port_be) & (pool->n_buckets - 1);
}

static bool is_at(const struct weir_pool_ep *ep, const struct weir_endpoint *e)
{
	return ep->port_be == e->port_be && weir_ip_eq(&ep->addr, &e->addr);
}

/* More buckets when there are more endpoints; without memory, longer chains. */
static void grow(struct weir_pool *pool)
{
	uint32_t n = pool->n_buckets * 2;
	struct weir_pool_ep **buckets = calloc(n, sizeof(*buckets));

	if (!buckets) {
		return;
	}
	for (uint32_t i = 0; i < pool->n_buckets; i++) {
		struct weir_pool_ep *ep = pool->buckets[i];

		while (ep) {
			struct weir_pool_ep *next = ep->next;
			uint32_t b = hash_of(&ep->addr, ep->port_be) & (n - 1);

			ep->next = buckets[b];
			buckets[b] = ep;
			ep = next;
		}
	}
	weir_free_ptr(&pool->buckets);
	pool->buckets = buckets;
	pool->n_buckets = n;
}

static struct weir_pool_ep *find_or_add(struct weir_pool *pool,
					const struct weir_endpoint *e,
					uint64_t tls, uint64_t mine)
{
	struct weir_pool_ep *ep = pool->buckets[bucket_of(pool, e)];
	uint32_t b;

	while (ep && (ep->tls != tls || ep->mine != mine || !is_at(ep, e))) {
		ep = ep->next;
	}
	if (ep) {
		return ep;
	}
	if (pool->n_eps >= pool->n_buckets) {
		grow(pool);
	}
	ep = calloc(1, sizeof(*ep));
	if (!ep) {
		return NULL;
	}
	ep->addr = e->addr;
	ep->port_be = e->port_be;
	ep->tls = tls;
	ep->mine = mine;
	ep->mark = pool->mark;
	b = bucket_of(pool, e);
	ep->next = pool->buckets[b];
	pool->buckets[b] = ep;
	pool->n_eps++;
	return ep;
}

static void link_extra(struct weir_worker *w, struct weir_upstream *u)
{
	u->extra_next = w->pool.extras;
	if (u->extra_next) {
		u->extra_next->extra_pprev = &u->extra_next;
	}
	w->pool.extras = u;
	u->extra_pprev = &w->pool.extras;
	w->pool.n_extras++;
}

static void unlink_extra(struct weir_worker *w, struct weir_upstream *u)
{
	if (!u->extra_pprev) {
		return;
	}
	*u->extra_pprev = u->extra_next;
	if (u->extra_next) {
		u->extra_next->extra_pprev = u->extra_pprev;
	}
	u->extra_next = NULL;
	u->extra_pprev = NULL;
	w->pool.n_extras--;
}

static void unlink_idle(struct weir_worker *w, struct weir_upstream *u)
{
	unlink_extra(w, u);
	*u->pprev = u->next;
	if (u->next) {
		u->next->pprev = u->pprev;
	}
	u->next = NULL;
	u->pprev = NULL;
	u->is_idle = false;
	u->ep->n_idle--;
	weir_uncount(&w->counters.shared->totals.pool_idle);
}

static void close_upstream(struct weir_worker *w, struct weir_upstream *u,
			   bool is_reset)
{
	if (u->is_idle) {
		unlink_idle(w, u);
	}
	if (!u->is_connecting && !weir_end_is_stream(&u->end)) {
		weir_count(&u->stat->closed, 1);
	}
	weir_due_disarm(&u->due);
	weir_block_put(&w->blocks, &u->in);
	weir_end_close(&u->end, is_reset);
	u->end.kind = WEIR_END_DEAD;
	u->client = NULL;
	u->next = w->dead_upstreams;
	w->dead_upstreams = u;
}

bool weir_upstream_spare(struct weir_worker *w)
{
	if (!w->pool.extras) {
		return false;
	}
	close_upstream(w, w->pool.extras, false);
	return true;
}

void weir_upstream_close_carrier(struct weir_worker *w, struct weir_upstream *u)
{
	*u->pprev = u->next;
	if (u->next) {
		u->next->pprev = u->pprev;
	}
	weir_h2_free(w, &u->h2);
	close_upstream(w, u, false);
}

/* A connection of HTTP/2 that did not come to be in time, or has lain unused
 * for long. */
static void carrier_due(struct weir_worker *w, struct weir_upstream *u)
{
	uint64_t at = u->idle_ms + w->limits->pool_idle_ms;

	if (u->is_connecting || (weir_h2_is_idle(u) && at <= w->now_ms)) {
		weir_upstream_close_carrier(w, u);
		return;
	}
	weir_due_arm(&w->wheel, &u->due,
		     weir_h2_is_idle(u) ? at
					: w->now_ms + w->limits->pool_idle_ms);
}

/* When an idle connection is to be closed. */
static uint64_t idle_until(const struct weir_worker *w,
			   const struct weir_upstream *u)
{
	uint32_t ms = w->limits->pool_idle_ms;

	if (u->extra_pprev && ms > EXTRA_IDLE_MS) {
		ms = EXTRA_IDLE_MS;
	}
	return u->idle_ms + ms;
}

static void on_due(struct weir_worker *w, struct weir_due *due)
{
	struct weir_upstream *u =
		(struct weir_upstream *)((char *)due -
					 offsetof(struct weir_upstream, due));
	uint64_t at;

	if (u->h2) {
		carrier_due(w, u);
		return;
	}
	if (!u->is_idle) {
		return; /* armed again when it comes back */
	}
	if (u->ep->n_idle <= w->limits->pool_idle_max) {
		unlink_extra(w, u); /* enough others are gone */
	}
	at = idle_until(w, u);
	if (at > w->now_ms) {
		weir_due_arm(&w->wheel, due, at);
		return;
	}
	close_upstream(w, u, false);
}

void weir_upstream_idle_event(struct weir_worker *w, struct weir_upstream *u)
{
	/* An idle backend has nothing to say but good-bye; whatever else it
	 * says would be taken for the next response. */
	if (weir_tls_is_end(&u->end) && weir_end_is_quiet(&u->end)) {
		u->end.is_readable = false; /* a ticket, perhaps */
	}
	if (u->end.is_readable || u->end.is_hup || u->end.is_broken) {
		close_upstream(w, u, false);
	}
}

static struct weir_upstream *alloc_upstream(struct weir_worker *w)
{
	struct weir_upstream *u = w->pool.free;

	if (u) {
		w->pool.free = u->next;
		memset(u, 0, sizeof(*u));
	} else {
		u = calloc(1, sizeof(*u));
	}
	if (u) {
		u->end.fd = -1;
		u->end.kind = WEIR_END_UPSTREAM;
		u->due.fn = on_due;
	}
	return u;
}

/* What is to be spoken to the backend of c: NULL: no TLS. */
static const struct weir_tls_client *tls_of(const struct weir_client *c)
{
	const struct weir_certs *certs = c->plan->ref->certs;

	return c->ref->tls && certs && c->ref->tls <= certs->n_clients
		       ? &certs->clients[c->ref->tls - 1]
		       : NULL;
}

/* What c's listener has weir show to backends that ask; NULL: nothing. */
static const struct weir_cert_chain *shown_by(const struct weir_client *c)
{
	const struct weir_certs *certs = c->plan->ref->certs;
	const struct weir_cert_chain *chain;

	if (!c->backend_cert || !certs || c->backend_cert > certs->n_chains) {
		return NULL;
	}
	chain = &certs->chains[c->backend_cert - 1];
	return chain->cert ? chain : NULL;
}

static int dial_tls(struct weir_upstream *u, const struct weir_client *c,
		    const struct weir_tls_client *tls)
{
	const struct weir_plan *plan = c->plan->ref->view.rules;

	/* Not established before both have shaken hands. */
	u->is_connecting = true;
	return weir_tls_connect(&u->end, tls->ctx, plan,
				WEIR_PLAN_ELEM(plan, struct weir_backend_tls,
					       plan->backend_tls,
					       c->ref->tls - 1),
				c->ref->proto == WEIR_BACKEND_H2C, shown_by(c));
}

/* 0 or -errno. */
static int open_socket(struct weir_worker *w, int family, int *ret_fd)
{
	int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(family, type, 0);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
	    weir_upstream_spare(w)) {
		fd = socket(family, type, 0);
	}
	if (fd < 0) {
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

static int dial(struct weir_worker *w, struct weir_upstream *u,
		const struct weir_client *c, const struct weir_endpoint *e)
{
	const struct weir_tls_client *tls = tls_of(c);
	struct sockaddr_storage sa;
	socklen_t n = weir_addr_to_sockaddr(&e->addr, e->port_be, &sa);
	_cleanup_close_ int fd = -1;
	int one = 1;
	int r = open_socket(w, sa.ss_family, &fd);

	if (r < 0) {
		return r;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* Urgent bytes are bytes of the stream (RFC 6093 6). */
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	u->is_connecting = false;
	if (connect(fd, (struct sockaddr *)&sa, n) < 0) {
		if (errno != EINPROGRESS) {
			return -errno;
		}
		u->is_connecting = true;
	}
	u->end.is_writable = !u->is_connecting;
	u->end.fd = TAKE_FD(fd);
	if (tls) {
		r = dial_tls(u, c, tls);
		if (r < 0) {
			return r;
		}
	}
	/* Tunnels carry bulk: long reads are better for them. */
	return c->is_raw ? weir_worker_watch_alone(w, &u->end)
			 : weir_worker_watch(w, &u->end);
}

int weir_upstream_established(struct weir_worker *w, struct weir_upstream *u)
{
	bool is_tls = weir_tls_is_end(&u->end);
	int r;

	if (!u->end.is_writable && !u->end.is_broken &&
	    !(is_tls && u->end.is_readable)) {
		return -EAGAIN;
	}
	if (u->end.is_broken || weir_end_connect_error(&u->end)) {
		return -ECONNREFUSED;
	}
	if (!is_tls) {
		(void)weir_end_is_empty(&u->end);
		return 0;
	}
	r = weir_tls_handshake(&u->end);
	if (r < 0 && r != -EAGAIN) {
		weir_count_reason(&w->counters, WEIR_PROXY_TLS_BACKEND);
	}
	return r;
}

/* The most recently used idle connection that still stands, or NULL. */
static struct weir_upstream *
take_idle(struct weir_worker *w, struct weir_pool_ep *ep, bool must_be_live)
{
	struct weir_upstream *u;

	while ((u = ep->idle)) {
		if (!must_be_live || weir_end_is_quiet(&u->end)) {
			unlink_idle(w, u);
			u->is_reused = true;
			return u;
		}
		close_upstream(w, u, false);
	}
	return NULL;
}

void weir_upstream_allows(const struct weir_upstream *u, uint32_t n)
{
	u->ep->n_streams = n;
}

/* A connection of HTTP/2 to ep that takes another stream. */
static int find_carrier(struct weir_worker *w, const struct weir_client *c,
			struct weir_pool_ep *ep,
			const struct weir_endpoint *endpoint,
			struct weir_upstream **ret_carrier)
{
	struct weir_upstream *u = ep->carriers;
	int r;

	while (u && !weir_h2_has_room(u, ep->n_streams)) {
		u = u->next;
	}
	if (u) {
		weir_count(&w->counters.shared->totals.pool_hits, 1);
		*ret_carrier = u;
		return 0;
	}
	u = alloc_upstream(w);
	if (!u) {
		return -ENOMEM;
	}
	u->ep = ep;
	u->stat = weir_epstat_of(&w->counters, endpoint->stat);
	u->stat_id = endpoint->stat;
	r = dial(w, u, c, endpoint);
	if (r == 0) {
		r = weir_h2_connect(w, u);
	}
	if (r < 0) {
		weir_upstream_note_failed(w, u);
		u->is_connecting = true; /* it was never opened */
		close_upstream(w, u, false);
		return r;
	}
	weir_count(&w->counters.shared->totals.pool_misses, 1);
	if (!u->is_connecting) {
		weir_count(&u->stat->opened, 1);
	}
	u->idle_ms = w->now_ms;
	weir_due_arm(&w->wheel, &u->due,
		     w->now_ms + w->limits->connect_timeout_ms);
	u->next = ep->carriers;
	if (u->next) {
		u->next->pprev = &u->next;
	}
	ep->carriers = u;
	u->pprev = &ep->carriers;
	*ret_carrier = u;
	return 0;
}

static int open_stream(struct weir_worker *w, const struct weir_client *c,
		       struct weir_pool_ep *ep,
		       const struct weir_endpoint *endpoint,
		       struct weir_upstream **ret_upstream)
{
	struct weir_upstream *carrier;
	struct weir_upstream *u;
	int r = find_carrier(w, c, ep, endpoint, &carrier);

	if (r < 0) {
		return r;
	}
	u = alloc_upstream(w);
	if (!u) {
		return -ENOMEM;
	}
	u->ep = ep;
	u->stat = carrier->stat;
	u->stat_id = carrier->stat_id;
	u->is_connecting = carrier->is_connecting;
	u->is_reused = !carrier->is_connecting;
	r = weir_h2_open(w, carrier, u);
	if (r < 0) {
		u->is_connecting = true;
		close_upstream(w, u, false);
		return r;
	}
	*ret_upstream = u;
	return 0;
}

void weir_upstream_carrier_event(struct weir_worker *w, struct weir_upstream *u)
{
	if (u->is_connecting) {
		int r = weir_upstream_established(w, u);

		if (r == -EAGAIN) {
			return;
		}
		if (r < 0) {
			weir_upstream_close_carrier(w, u);
			return;
		}
		u->is_connecting = false;
		weir_count(&u->stat->opened, 1);
		weir_h2_connected(u);
	}
	weir_end_mind(&u->end, true);
	weir_h2_carrier_event(w, u);
}

static int take_or_dial(struct weir_worker *w, const struct weir_client *c,
			struct weir_pool_ep *ep,
			const struct weir_endpoint *endpoint, bool wants_new,
			bool must_be_live, struct weir_upstream **ret_upstream)
{
	struct weir_proxy_totals *totals = &w->counters.shared->totals;
	struct weir_upstream *u = NULL;
	int r;

	if (!wants_new) {
		u = take_idle(w, ep, must_be_live);
	}
	if (u) {
		weir_count(&totals->pool_hits, 1);
		*ret_upstream = u;
		return 0;
	}
	if (w->pool.n_busy + w->pool.n_extras >= w->max_upstreams) {
		(void)weir_upstream_spare(w);
	}
	u = alloc_upstream(w);
	if (!u) {
		return -ENOMEM;
	}
	u->ep = ep;
	u->stat = weir_epstat_of(&w->counters, endpoint->stat);
	u->stat_id = endpoint->stat;
	r = dial(w, u, c, endpoint);
	if (r < 0) {
		weir_upstream_note_failed(w, u);
		u->is_connecting = true; /* it was never opened */
		close_upstream(w, u, false);
		return r;
	}
	weir_count(&totals->pool_misses, 1);
	if (!u->is_connecting) {
		weir_count(&u->stat->opened, 1);
	}
	*ret_upstream = u;
	return 0;
}

/* It had one at endpoint that it cannot use. */
static int no_place(struct weir_worker *w, struct weir_client *c,
		    const struct weir_endpoint *endpoint, int error)
{
	if (c->gate) {
		weir_uncount(&weir_epstat_of(&w->counters, endpoint->stat)
				      ->in_flight);
		weir_hold_pass(w, TAKE_PTR(c->gate));
	}
	return error;
}

int weir_upstream_acquire(struct weir_worker *w, struct weir_client *c,
			  const struct weir_endpoint *endpoint, bool wants_new,
			  bool must_be_live)
{
	const struct weir_tls_client *tls = tls_of(c);
	const struct weir_cert_chain *mine = tls ? shown_by(c) : NULL;
	/* Connections are shared by who asks for and shows the same. */
	struct weir_pool_ep *ep = find_or_add(
		&w->pool, endpoint, tls ? tls->key : 0, mine ? mine->hash : 0);
	struct weir_upstream *u;
	int r;

	if (!ep) {
		return no_place(w, c, endpoint, -ENOMEM);
	}
	if (!c->is_raw && c->ref->proto == WEIR_BACKEND_H2C) {
		r = open_stream(w, c, ep, endpoint, &u);
	} else {
		r = take_or_dial(w, c, ep, endpoint, wants_new, must_be_live,
				 &u);
	}
	if (r < 0) {
		return no_place(w, c, endpoint, r);
	}
	if (c->access) {
		c->access->endpoint = endpoint->addr;
		c->access->endpoint_port_be = endpoint->port_be;
		c->access->connect_us = w->now_us;
		c->access->connected_us = 0;
	}
	u->client = c;
	u->ready = 0;
	u->head_scan = 0;
	ep->n_busy++;
	w->pool.n_busy++;
	weir_count(&u->stat->requests, 1);
	c->place = weir_epstat_of(&w->counters, endpoint->stat);
	if (!c->gate) {
		weir_count(&c->place->in_flight, 1);
	}
	c->up = u;
	return 0;
}

/* Whether one more idle connection to ep may be kept; with those in use the
 * ones beyond pool_idle_max are no more than clients may be. */
static bool has_room(const struct weir_worker *w, const struct weir_pool_ep *ep)
{
	return ep->n_idle < w->limits->pool_idle_max ||
	       (w->limits->pool_idle_max > 0 &&
		w->pool.n_busy + w->pool.n_extras < w->max_upstreams);
}

/* Before its endpoint's pods; also of those that did not come through it: the
 * place that they had is free for those that wait. */
static const struct weir_gate *gate_of(const struct weir_client *c)
{
	struct weir_gate *const *gates = c->plan->ref->gates;

	return c->gate ? c->gate : gates ? gates[c->ref->group] : NULL;
}

void weir_upstream_release(struct weir_worker *w, struct weir_client *c,
			   bool is_reusable)
{
	struct weir_upstream *u = c->up;
	struct weir_pool_ep *ep = u->ep;
	const struct weir_gate *gate = gate_of(c);

	c->up = NULL;
	u->client = NULL;
	ep->n_busy--;
	w->pool.n_busy--;
	weir_uncount(&c->place->in_flight);
	c->gate = NULL;
	if (gate) {
		weir_hold_pass(w, gate);
	}
	if (!is_reusable || weir_end_is_stream(&u->end) || !has_room(w, ep) ||
	    ep->mark != w->pool.mark || w->is_draining) {
		close_upstream(w, u,
			       c->phase == WEIR_PHASE_TUNNEL &&
				       !(c->in_eof && c->up_eof));
		return;
	}
	weir_block_put(&w->blocks, &u->in);
	u->is_idle = true;
	u->idle_ms = w->now_ms;
	if (ep->n_idle >= w->limits->pool_idle_max) {
		link_extra(w, u);
	}
	u->next = ep->idle;
	if (u->next) {
		u->next->pprev = &u->next;
	}
	ep->idle = u;
	u->pprev = &ep->idle;
	ep->n_idle++;
	weir_count(&w->counters.shared->totals.pool_idle, 1);
	weir_due_arm(&w->wheel, &u->due, idle_until(w, u));
}

void weir_upstream_failed(struct weir_worker *w, struct weir_client *c)
{
	weir_upstream_note_failed(w, c->up);
	if (c->rev) {
		/* It answered once; it is asked again. */
		weir_rev_set_early(
			c->rev,
			weir_rev_pod(&c->up->ep->addr, c->up->ep->port_be),
			false);
	}
	weir_upstream_release(w, c, false);
	c->connect_at = 0;
	c->attempts++;
}

/* Its endpoint is not in the plan any more. */
static void retire(struct weir_worker *w, struct weir_pool_ep *ep)
{
	while (ep->idle) {
		close_upstream(w, ep->idle, false);
	}
	for (struct weir_upstream *u = ep->carriers; u; u = u->next) {
		weir_h2_retire(u);
	}
}

/* The plan has this way to speak to endpoints. */
static bool is_spoken(const struct weir_certs *certs,
		      const struct weir_pool_ep *ep)
{
	bool has_tls = ep->tls == 0;
	bool has_mine = ep->mine == 0;

	for (uint32_t i = 0; certs && !has_tls && i < certs->n_clients; i++) {
		has_tls = certs->clients[i].key == ep->tls;
	}
	for (uint32_t i = 0; certs && !has_mine && i < certs->n_chains; i++) {
		has_mine = certs->chains[i].hash == ep->mine;
	}
	return has_tls && has_mine;
}

static void mark(struct weir_pool *pool, const struct weir_endpoint *e)
{
	for (struct weir_pool_ep *ep = pool->buckets[bucket_of(pool, e)]; ep;
	     ep = ep->next) {
		if (ep->is_known && is_at(ep, e)) {
			ep->mark = pool->mark;
		}
	}
}

void weir_pool_follow_plan(struct weir_worker *w)
{
	struct weir_pool *pool = &w->pool;
	const struct weir_eps *eps = w->plan->ref->view.eps;

	pool->mark++;
	for (uint32_t b = 0; b < pool->n_buckets; b++) {
		for (struct weir_pool_ep *ep = pool->buckets[b]; ep;
		     ep = ep->next) {
			ep->is_known = is_spoken(w->plan->ref->certs, ep);
		}
	}
	for (uint32_t g = 0; pool->n_eps && g < eps->sets.n; g++) {
		uint32_t n;
		const struct weir_endpoint *e = weir_eps_of(eps, g, &n);

		for (uint32_t i = 0; i < n; i++) {
			mark(pool, &e[i]);
		}
	}
	for (uint32_t b = 0; b < pool->n_buckets; b++) {
		struct weir_pool_ep **pp = &pool->buckets[b];

		while (*pp) {
			struct weir_pool_ep *ep = *pp;

			if (ep->mark != pool->mark) {
				retire(w, ep);
			}
			if (ep->mark == pool->mark || ep->n_busy ||
			    ep->carriers) {
				pp = &ep->next;
				continue;
			}
			*pp = ep->next;
			pool->n_eps--;
			weir_free_ptr(&ep);
		}
	}
}

int weir_upstream_pool_init(struct weir_worker *w)
{
	w->pool.n_buckets = 64;
	w->pool.buckets = calloc(w->pool.n_buckets, sizeof(*w->pool.buckets));
	return w->pool.buckets ? 0 : -ENOMEM;
}

void weir_upstream_pool_fini(struct weir_worker *w)
{
	struct weir_pool *pool = &w->pool;

	for (uint32_t b = 0; pool->buckets && b < pool->n_buckets; b++) {
		while (pool->buckets[b]) {
			struct weir_pool_ep *ep = pool->buckets[b];

			while (ep->idle) {
				close_upstream(w, ep->idle, false);
			}
			while (ep->carriers) {
				weir_upstream_close_carrier(w, ep->carriers);
			}
			pool->buckets[b] = ep->next;
			weir_free_ptr(&ep);
		}
	}
	weir_free_ptr(&pool->buckets);
}
