/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "cleanup.h"
#include "h2.h"
#include "hold.h"
#include "log.h"
#include "loop.h"
#include "ring.h"
#include "upcoming.h"

#define EVENTS_MAX 256
#define TRIM_MS 1000
#define LATE_MAX 4    /* clients put off that move on in a turn, */
#define TURN_US 500   /* after which rests of responses are put off */
#define OTHERS_MAX 16 /* and again after so many other events */
#define RETRY_ACCEPT_MS 100
#define LATE_MS 250 /* more than a busy worker is */
#define CATCH_UP_MS 100
#define CATCH_UP_MAX_MS 2000 /* if there is more and more */

static int control(struct weir_worker *w, struct weir_end *end, int op,
		   uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = end};

	return epoll_ctl(w->epoll_fd, op, end->fd, &ev) < 0 ? -errno : 0;
}

int weir_worker_watch_alone(struct weir_worker *w, struct weir_end *end)
{
	if (w->ring) {
		return weir_ring_watch(w->ring, end);
	}
	return control(w, end, EPOLL_CTL_ADD,
		       EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET);
}

int weir_worker_watch(struct weir_worker *w, struct weir_end *end)
{
	/* OpenSSL reads its socket itself. */
	if (!w->ring || end->layer) {
		return weir_worker_watch_alone(w, end);
	}
	weir_ring_add(w->ring, end);
	return 0;
}

int weir_worker_watch_level(struct weir_worker *w, struct weir_end *end)
{
	return control(w, end, EPOLL_CTL_ADD, EPOLLIN);
}

void weir_worker_unwatch(struct weir_worker *w, struct weir_end *end)
{
	(void)control(w, end, EPOLL_CTL_DEL, 0);
}

void weir_worker_accept(struct weir_worker *w, bool is_on)
{
	if (w->is_accepting == is_on) {
		return;
	}
	w->is_accepting = is_on;
	for (uint32_t i = 0; i < w->n_listeners; i++) {
		if (w->listeners[i].fd >= 0) {
			(void)control(w, &w->listeners[i],
				      is_on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
				      EPOLLIN);
		}
	}
	/* Room may also come from elsewhere in the system. */
	if (!is_on && !w->is_draining) {
		weir_due_arm(&w->wheel, &w->retry_accept,
			     w->now_ms + RETRY_ACCEPT_MS);
	}
}

static void on_retry_accept(struct weir_worker *w, struct weir_due *due)
{
	(void)due;
	if (!w->is_draining && w->plan) {
		weir_admission_look(w->admission);
		weir_worker_accept(w, true);
	}
}

static void on_trim(struct weir_worker *w, struct weir_due *due)
{
	bool is_more = weir_blocks_trim(&w->blocks);

	weir_pipes_trim(&w->pipes);
	is_more |= w->ring && weir_ring_trim(w->ring);
	if (is_more) {
		weir_due_arm(&w->wheel, due, w->now_ms + TRIM_MS);
	}
}

void weir_worker_put_off(struct weir_worker *w, struct weir_client *c)
{
	if (c->is_queued) {
		return;
	}
	c->is_queued = true;
	c->next = NULL;
	c->late_pprev = w->late_end;
	*w->late_end = c;
	w->late_end = &c->next;
}

/* If it was put off. */
static void take_up(struct weir_worker *w, struct weir_client *c)
{
	if (!c->late_pprev) {
		return;
	}
	*c->late_pprev = c->next;
	if (c->next) {
		c->next->late_pprev = c->late_pprev;
	} else {
		w->late_end = c->late_pprev;
	}
	c->late_pprev = NULL;
	c->is_queued = false;
}

void weir_worker_queue(struct weir_worker *w, struct weir_client *c)
{
	take_up(w, c); /* not only its body waits */
	if (!c->is_queued) {
		c->is_queued = true;
		c->next = w->queue;
		w->queue = c;
	}
}

struct weir_str weir_worker_date(struct weir_worker *w)
{
	time_t now = time(NULL);

	if ((uint64_t)now != w->date_s) {
		struct tm tm;

		gmtime_r(&now, &tm);
		strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT",
			 &tm);
		w->date_s = (uint64_t)now;
	}
	return (struct weir_str){w->date, 29};
}

static void follow_plan(struct weir_worker *w)
{
	struct weir_plan_ref *ref = atomic_exchange_explicit(
		&w->next_plan, NULL, memory_order_acq_rel);
	struct weir_plan_use *use;
	uint64_t one = 1;

	if (!ref) {
		return;
	}
	if (weir_plan_use_new(ref, &use) < 0) {
		struct weir_plan_ref *none = NULL;

		/* Stay with the old plan and try again, unless a newer one has
		 * come: no acknowledgement before it is followed. */
		if (!atomic_compare_exchange_strong(&w->next_plan, &none,
						    ref)) {
			weir_plan_ref_put(&ref);
		}
		weir_due_arm(&w->wheel, &w->retry_accept,
			     w->now_ms + RETRY_ACCEPT_MS);
		return;
	}
	weir_plan_use_retire(&w->plan);
	w->plan = use;
	w->looks_ahead = w->ring && ref->rules_size > WEIR_UPCOMING_PLAN;
	weir_pool_follow_plan(w);
	weir_hold_drive_all(w);
	weir_udp_follow_plan(w);
	if (!w->is_accepting && !w->is_draining) {
		weir_worker_accept(w, true);
	}
	atomic_store_explicit(&w->generation, ref->generation,
			      memory_order_release);
	(void)!write(w->control_fd, &one, sizeof(one));
}

static void begin_drain(struct weir_worker *w)
{
	w->is_draining = true;
	w->drain_at_ms = w->now_ms + w->limits->drain_ms;
	weir_worker_accept(w, false);
	weir_client_drain(w);
	weir_hold_drive_all(w);
}

static void note(struct weir_end *end, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		end->is_readable = true;
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		end->is_writable = true;
		end->is_readable |= end->wants_room;
		end->wants_room = false;
	}
	if (events & (EPOLLRDHUP | EPOLLHUP)) {
		end->is_hup = true;
	}
	/* Not EPOLLHUP: a connection that both sides have shut says so too,
	 * while bytes still wait in it.  A reset is an error. */
	if (events & EPOLLERR) {
		end->is_broken = true;
	}
	if (events & EPOLLPRI) {
		end->is_urgent = true;
	}
}

/* A request that has its backend, and nothing but bytes of its body: no room
 * for a response that waits for it. */
static bool brings_body(const struct weir_end *end)
{
	const struct weir_client *c =
		(const struct weir_client *)(const void *)end;

	return end->kind == WEIR_END_CLIENT && end->is_readable &&
	       !end->is_broken && c->phase == WEIR_PHASE_EXCHANGE && c->up &&
	       !c->request_body.is_done && !weir_block_len(c->out) &&
	       !c->up->ready && !c->pipe;
}

/* A response whose head has been passed on, and nothing but bytes of its body.
 */
static bool brings_rest(const struct weir_end *end)
{
	const struct weir_upstream *u =
		(const struct weir_upstream *)(const void *)end;

	return end->kind == WEIR_END_UPSTREAM && end->is_readable &&
	       !end->is_broken && !u->is_idle && !u->h2 && u->client &&
	       u->client->phase == WEIR_PHASE_EXCHANGE &&
	       u->client->is_answered && u->client->is_sent;
}

/* True: put off to the next turn, as this one has moved enough. */
static bool is_enough(struct weir_worker *w, struct weir_end *end,
		      uint32_t *n_late)
{
	if (brings_body(end) && (*n_late)++ >= LATE_MAX) {
		weir_worker_put_off(w, (struct weir_client *)(void *)end);
		return true;
	}
	if (brings_rest(end) && weir_now_us() - w->now_us > TURN_US) {
		weir_worker_put_off(
			w, ((struct weir_upstream *)(void *)end)->client);
		return true;
	}
	return false;
}

/* Its events are noted. */
static void dispatch(struct weir_worker *w, struct weir_end *end)
{
	struct weir_upstream *u;
	uint64_t n;

	switch (end->kind) {
	case WEIR_END_CLIENT:
		weir_client_drive(w, (struct weir_client *)(void *)end);
		break;
	case WEIR_END_UPSTREAM:
		u = (struct weir_upstream *)(void *)end;
		if (u->is_idle) {
			weir_upstream_idle_event(w, u);
		} else if (u->h2) {
			weir_upstream_carrier_event(w, u);
		} else if (u->client) {
			weir_client_drive(w, u->client);
		}
		break;
	case WEIR_END_LISTENER:
		if (w->is_accepting && w->plan) {
			weir_client_accept(w, end);
		}
		break;
	case WEIR_END_WAKE:
		(void)!read(end->fd, &n, sizeof(n));
		break;
	case WEIR_END_UDP:
	case WEIR_END_UDP_FLOW:
		weir_udp_event(w, end);
		break;
	default:
		break;
	}
}

static void run_queued(struct weir_worker *w, struct weir_client *c)
{
	c->is_queued = false;
	if (c->phase == WEIR_PHASE_DEAD) {
		c->next = w->dead;
		w->dead = c;
	} else {
		weir_client_drive(w, c);
	}
}

/* Up to n of those that were put off.  Returns how many. */
static uint32_t run_late(struct weir_worker *w, uint32_t n)
{
	uint32_t done = 0;

	for (; w->late && done < n; done++) {
		struct weir_client *c = w->late;

		take_up(w, c);
		run_queued(w, c);
	}
	return done;
}

/* Clients that have something to do without an event of theirs. */
static void run_queue(struct weir_worker *w)
{
	struct weir_client *queue = w->queue;

	w->queue = NULL;
	while (queue) {
		struct weir_client *c = queue;

		queue = c->next;
		run_queued(w, c);
	}
}

/* What was closed in this batch cannot be named by its events any more. */
static void reap(struct weir_worker *w)
{
	struct weir_client **cp = &w->dead;
	struct weir_upstream **up = &w->dead_upstreams;

	while (*cp) {
		struct weir_client *c = *cp;

		if (weir_end_is_awaited(&c->end)) {
			cp = &c->next; /* until its read has ended */
			continue;
		}
		*cp = c->next;
		weir_client_reuse(w, c);
	}
	while (*up) {
		struct weir_upstream *u = *up;

		if (weir_end_is_awaited(&u->end)) {
			up = &u->next;
			continue;
		}
		*up = u->next;
		u->next = w->pool.free;
		w->pool.free = u;
	}
	weir_udp_reap(w);
}

static void read_clock(struct weir_worker *w)
{
	w->now_us = weir_now_us();
	w->now_ms = w->now_us / 1000;
}

static bool is_drained(const struct weir_worker *w)
{
	return w->is_draining && (!w->clients || w->now_ms >= w->drain_at_ms);
}

/* Lets the timer wake the next wait in ms, or before.  What is due moves away
 * with nearly every request: a time limit for each wait would cost the kernel a
 * timer started and cancelled, this one is set a few times a second. */
static bool set_timer(struct weir_worker *w, int ms)
{
	uint64_t at = w->now_ms + (uint64_t)ms;
	struct itimerspec t = {
		.it_value = {.tv_sec = (time_t)(at / 1000),
			     .tv_nsec = (long)(at % 1000) * 1000000}};

	if (w->timer_ms > w->now_ms && w->timer_ms <= at) {
		return true;
	}
	if (timerfd_settime(w->timer.fd, TFD_TIMER_ABSTIME, &t, NULL) < 0) {
		return false;
	}
	w->timer_ms = at;
	return true;
}

/* Another thread wants something.  To be asked before each wait: the read that
 * empties the eventfd may come after its flag was looked at. */
static bool is_told(const struct weir_worker *w)
{
	/* A plan that memory lacked for is tried again by the clock. */
	return atomic_load(&w->has_news) || atomic_load(&w->has_room) ||
	       (!w->is_draining && atomic_load(&w->wants_drain)) ||
	       (atomic_load(&w->next_plan) && !w->retry_accept.pprev);
}

/* A worker that did not run for long, stopped or on a machine that was, hears
 * little by little what came meanwhile: that comes first, and then what time
 * has run out for.  by_ms: when its wait was to end; 0: never. */
static void note_stop(struct weir_worker *w, uint64_t by_ms)
{
	if (by_ms && !w->resume_ms && w->now_ms > by_ms + LATE_MS) {
		w->resume_ms = w->now_ms + CATCH_UP_MS;
	}
}

/* n: how many events this turn had. */
static void run_due(struct weir_worker *w, int n)
{
	bool is_behind = w->resume_ms && (n > 0 || w->queue || w->late) &&
			 w->now_ms < w->resume_ms + CATCH_UP_MAX_MS;

	if (w->now_ms >= w->resume_ms && !is_behind) {
		w->resume_ms = 0;
		weir_client_relieve(w);
		weir_wheel_run(w, &w->wheel, w->now_ms);
	}
}

static int wait_ms(struct weir_worker *w)
{
	int ms;

	if (w->queue || w->late || w->has_unsent || is_told(w)) {
		return 0;
	}
	ms = w->resume_ms > w->now_ms
		     ? (int)(w->resume_ms - w->now_ms)
		     : weir_wheel_timeout(&w->wheel, w->now_ms);
	if (w->is_draining && (ms < 0 || ms > 50)) {
		return 50;
	}
	return ms > 0 && set_timer(w, ms) ? -1 : ms;
}

/* Idle backends first: what they have to say is their end, or bytes that nobody
 * asked for, which a request that took the connection now would get for its
 * response. */
static void hear_idle(struct weir_worker *w, const struct epoll_event *events,
		      int n)
{
	for (int i = 0; i < n; i++) {
		struct weir_end *end = events[i].data.ptr;
		struct weir_upstream *u;

		if (i + 1 < n) {
			__builtin_prefetch(events[i + 1].data.ptr);
		}
		u = (struct weir_upstream *)(void *)end;
		if (end->kind == WEIR_END_UPSTREAM && u->is_idle) {
			note(end, events[i].events);
			weir_upstream_idle_event(w, u);
		}
	}
}

/* What the events ask for.  A thousand clients that send a piece of a body
 * each, all at once, are no reason for others to wait until all of it has moved
 * on: so many pieces a turn, the longest waiting first. */
static void serve(struct weir_worker *w, const struct epoll_event *events,
		  int n)
{
	uint32_t n_late = run_late(w, LATE_MAX);
	uint32_t n_others = 0;

	for (int i = 0; i < n; i++) {
		struct weir_end *end = events[i].data.ptr;

		if (w->looks_ahead && i % WEIR_UPCOMING == 0) {
			weir_upcoming_fetch(
				w, &events[i],
				n - i < WEIR_UPCOMING ? n - i : WEIR_UPCOMING);
		}
		note(end, events[i].events);
		if (is_enough(w, end, &n_late)) {
			continue;
		}
		dispatch(w, end);
		if (++n_others % OTHERS_MAX == 0) {
			(void)run_late(w, LATE_MAX);
		}
	}
}

/* Waits for events at most ms (-1: for ever), and does what they, the clock
 * and the control thread ask for. */
static void turn(struct weir_worker *w, int ms)
{
	struct epoll_event of_epoll[EVENTS_MAX];
	struct epoll_event *events = of_epoll;
	uint64_t by_ms = ms >= 0                   ? w->now_ms + (uint64_t)ms
			 : w->timer_ms > w->now_ms ? w->timer_ms
						   : 0;
	int n = w->ring ? weir_ring_wait(w->ring, ms, &events)
			: epoll_wait(w->epoll_fd, events, EVENTS_MAX, ms);

	read_clock(w);
	note_stop(w, by_ms);
	if (atomic_load_explicit(&w->next_plan, memory_order_relaxed)) {
		follow_plan(w);
	}
	if (!w->is_draining &&
	    atomic_load_explicit(&w->wants_drain, memory_order_relaxed)) {
		begin_drain(w);
	}
	if (atomic_load_explicit(&w->has_news, memory_order_relaxed) &&
	    atomic_exchange(&w->has_news, false)) {
		weir_hold_drive_all(w);
	}
	if (atomic_load_explicit(&w->has_room, memory_order_relaxed) &&
	    atomic_exchange(&w->has_room, false)) {
		weir_hold_drive_first(w);
	}
	hear_idle(w, events, n);
	run_queue(w);
	serve(w, events, n);
	run_due(w, n);
	w->has_unsent = !weir_h2_flush(w);
	reap(w);
	if ((w->blocks.n_free > WEIR_BLOCKS_KEPT ||
	     w->pipes.n_free > WEIR_PIPES_KEPT ||
	     (w->ring && weir_ring_wants_trim(w->ring))) &&
	    !w->trim.pprev) {
		weir_due_arm(&w->wheel, &w->trim, w->now_ms + TRIM_MS);
	}
}

static void run(struct weir_worker *w)
{
	while (!is_drained(w)) {
		turn(w, wait_ms(w));
	}
}

static atomic_flag is_without_ring = ATOMIC_FLAG_INIT; /* some worker is */

/* By the thread that is to use it. */
static void open_ring(struct weir_worker *w)
{
	struct weir_proxy_totals *t = &w->counters.shared->totals;
	int r;

	weir_count(&t->workers, 1);
	if (w->io == WEIR_IO_BACKEND_EPOLL) {
		return;
	}
	r = weir_ring_new(w->epoll_fd, WEIR_RING_SQ, WEIR_RING_CQ, &w->ring);
	if (r == 0) {
		r = weir_ring_check(w->ring);
	}
	if (r == 0) {
		weir_count(&t->rings, 1);
		return;
	}
	weir_ring_free(&w->ring);
	/* One line, by the first; how many have none is in the status. */
	if (!atomic_flag_test_and_set(&is_without_ring)) {
		weir_log(w->io == WEIR_IO_BACKEND_URING ? WEIR_LOG_WARNING
							: WEIR_LOG_INFO,
			 "io_uring: %s: the proxy uses epoll", strerror(-r));
	}
}

static void close_ring(struct weir_worker *w)
{
	struct weir_proxy_totals *t = &w->counters.shared->totals;

	weir_uncount(&t->workers);
	if (w->ring) {
		weir_uncount(&t->rings);
		weir_ring_stop(w->ring);
	}
}

void *weir_worker_main(void *arg)
{
	struct weir_worker *w = arg;
	uint64_t one = 1;

	read_clock(w);
	weir_wheel_init(&w->wheel, w->now_ms);
	open_ring(w);
	run(w);
	while (w->clients) {
		weir_client_close(w, w->clients, true);
	}
	run_queue(w);
	(void)run_late(w, UINT32_MAX);
	reap(w);
	close_ring(w);
	atomic_store(&w->is_done, true);
	(void)!write(w->control_fd, &one, sizeof(one));
	return NULL;
}

void weir_worker_wake(struct weir_worker *w)
{
	uint64_t one = 1;

	(void)!write(w->wake.fd, &one, sizeof(one));
}

void weir_worker_news(struct weir_worker *w)
{
	atomic_store(&w->has_news, true);
	weir_worker_wake(w);
}

void weir_worker_room(struct weir_worker *w)
{
	if (!atomic_exchange(&w->has_room, true)) {
		weir_worker_wake(w);
	}
}

void weir_worker_publish(struct weir_worker *w, struct weir_plan_ref *ref)
{
	struct weir_plan_ref *old = atomic_exchange_explicit(
		&w->next_plan, ref, memory_order_acq_rel);

	weir_plan_ref_put(&old);
	weir_worker_wake(w);
}

static void take_listeners(struct weir_worker *w,
			   const struct weir_proxy_config *config)
{
	uint32_t n = config->n_listeners ? config->n_listeners : 2;
	int one = 1;

	w->n_listeners = n < WEIR_LISTENERS_MAX ? n : WEIR_LISTENERS_MAX;
	for (uint32_t i = 0; i < w->n_listeners; i++) {
		struct weir_end *end = &w->listeners[i];

		end->fd = config->listeners[w->index * n + i];
		end->kind = WEIR_END_LISTENER;
		/* Inherited by what is accepted. */
		if (end->fd >= 0) {
			(void)setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY,
					 &one, sizeof(one));
			(void)setsockopt(end->fd, SOL_SOCKET, SO_OOBINLINE,
					 &one, sizeof(one));
		}
	}
}

int weir_worker_init(struct weir_worker *w,
		     const struct weir_proxy_config *config, uint32_t index,
		     int control_fd)
{
	const struct weir_proxy_limits *l = &config->limits;
	uint64_t buffers = (uint64_t)l->max_buffer_mib << 20;
	int r;

	w->limits = l;
	w->io = config->io;
	w->index = index;
	w->n_workers = config->n_workers;
	w->control_fd = control_fd;
	w->max_upstreams = l->max_connections / config->n_workers + 1;
	w->late_end = &w->late;
	w->trim.fn = on_trim;
	w->retry_accept.fn = on_retry_accept;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->wake = (struct weir_end){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.kind = WEIR_END_WAKE};
	w->timer = (struct weir_end){
		.fd = timerfd_create(CLOCK_MONOTONIC,
				     TFD_CLOEXEC | TFD_NONBLOCK),
		.kind = WEIR_END_WAKE};
	take_listeners(w, config);
	if (w->epoll_fd < 0 || w->wake.fd < 0 || w->timer.fd < 0) {
		return -errno;
	}
	r = weir_counters_init(&w->counters, config->stats_fd);
	if (r < 0) {
		return r;
	}
	r = weir_blocks_init(
		&w->blocks, l->buffer_bytes,
		(uint32_t)(buffers / config->n_workers / l->buffer_bytes));
	if (r == 0) {
		r = weir_clients_init(w);
	}
	if (r < 0) {
		return r;
	}
	w->pipes.max = (uint32_t)(buffers / config->n_workers /
				  (4 * WEIR_PIPE_BYTES));
	if (w->pipes.max > WEIR_PIPES_MAX) {
		w->pipes.max = WEIR_PIPES_MAX;
	}
	w->fields = calloc(l->max_headers, sizeof(*w->fields));
	w->ids = calloc(l->max_headers, sizeof(*w->ids));
	w->rule_counters = calloc(w->counters.max_rules + 1,
				  sizeof(*w->rule_counters));
	if (!w->fields || !w->ids || !w->rule_counters) {
		return -ENOMEM;
	}
	r = weir_upstream_pool_init(w);
	if (r < 0) {
		return r;
	}
	r = weir_udp_init(w);
	if (r < 0) {
		return r;
	}
	r = weir_h2_init(w);
	if (r < 0) {
		return r;
	}
	r = weir_worker_watch_level(w, &w->timer);
	return r < 0 ? r : weir_worker_watch_level(w, &w->wake);
}

/* The ring is gone, and with it what waited. */
static void forget_reads(struct weir_worker *w)
{
	for (struct weir_client *c = w->dead; c; c = c->next) {
		c->end.is_armed = false;
		c->end.is_out_armed = false;
		c->end.is_gone_armed = false;
	}
	for (struct weir_upstream *u = w->dead_upstreams; u; u = u->next) {
		u->end.is_armed = false;
		u->end.is_out_armed = false;
		u->end.is_gone_armed = false;
	}
}

void weir_worker_fini(struct weir_worker *w)
{
	struct weir_plan_ref *next = atomic_exchange(&w->next_plan, NULL);

	weir_udp_fini(w);
	weir_upstream_pool_fini(w);
	weir_h2_fini(w);
	forget_reads(w);
	reap(w);
	weir_ring_free(&w->ring);
	weir_plan_use_retire(&w->plan);
	weir_plan_ref_put(&next);
	weir_clients_fini(w);
	while (w->pool.free) {
		struct weir_upstream *u = w->pool.free;

		w->pool.free = u->next;
		weir_free_ptr(&u);
	}
	weir_access_free_all(&w->free_access);
	weir_blocks_fini(&w->blocks);
	weir_pipes_fini(&w->pipes);
	weir_counters_fini(&w->counters);
	weir_free_ptr(&w->fields);
	weir_free_ptr(&w->ids);
	weir_free_ptr(&w->rule_counters);
	weir_close(&w->wake.fd);
	weir_close(&w->timer.fd);
	weir_close(&w->epoll_fd);
}
