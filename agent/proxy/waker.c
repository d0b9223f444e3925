// SPDX-License-Identifier: Apache-2.0
#include "waker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "autoscaler.h"
#include "cleanup.h"
#include "loop.h"
#include "pod_probe.h"
#include "schedule.h"
#include "stats.h"

/* serving activator/handler/concurrency_reporter.go: reportInterval */
#define REPORT_MS 1000
#define REPORT_BYTES 32768 /* of one message, about */
/* How often pods are asked.  One that does not listen yet refuses, which costs
 * some 50 us of both sides, and what it is late by is late for the request: so
 * nearly all the time as long as most programs take to start, then less and
 * less.  With many pods each less often: about PROBE_RATE a millisecond in
 * all; of one revision so many at a time. */
#define PROBE_MIN_MS 1
#define PROBE_EXPIRE_MS 5 /* the most while answers are awaited */
#define PROBE_PODS WEIR_REV_EARLY
#define PROBE_PAUSE_MIN_MS 2
#define PROBE_PAUSE_MAX_MS 100
#define PROBE_EAGER_MS 2000
#define PROBE_RATE 2
/* A SYN to an address that is not there yet is lost, and TCP would wait a
 * second before the next one: this many pauses, within bounds.  The largest is
 * the time that Knative's activator allows (probeTimeout). */
#define CONNECT_PAUSES 4
#define CONNECT_MIN_MS 20
#define CONNECT_MAX_MS 300

struct weir_waker {
	struct weir_waker_config config;
	struct weir_loop *loop;
	pthread_t thread;
	int event_fd;
	struct weir_io event;
	struct weir_timer report;
	struct weir_timer probe;
	struct weir_autoscaler autoscaler;
	struct weir_pod_probes probes;
	struct weir_buf message;
	struct weir_plan_ref *plan;
	struct weir_rev *reported; /* they are reported on each second */
	struct weir_rev *probed;   /* requests wait for one of their pods */
	uint32_t n_asked;          /* of their pods, at a time */
	/* Shared with the other threads. */
	_Atomic(struct weir_plan_ref *) next_plan;
	_Atomic(struct weir_rev *) told; /* the last told first */
	atomic_bool is_up;
	atomic_bool is_ending;
};

/* ----------------------------------------------------------------- reports */

static void send_message(struct weir_waker *k)
{
	if (k->message.n && !k->message.error &&
	    weir_autoscaler_send(&k->autoscaler, weir_buf_str(&k->message)) ==
		    0) {
		weir_count(&k->config.totals->reports, 1);
	}
	k->message.error = 0;
	k->message.n = 0;
}

static void add_stat(struct weir_waker *k, const struct weir_rev *rev,
		     double concurrency, double requests)
{
	const struct weir_stat stat = {
		.ns = weir_str_of(rev->ns),
		.name = weir_str_of(rev->name),
		.reporter = weir_str_of(k->config.reporter),
		.concurrency = concurrency,
		.requests = requests};

	weir_stat_add(&k->message, &stat);
	if (k->message.n >= REPORT_BYTES) {
		send_message(k);
	}
}

/* The first request in a while is told of at once, and left out of the next
 * report: what wakes a revision must not wait. */
static void begin_reports(struct weir_waker *k, struct weir_rev *rev)
{
	struct weir_rev_sum sum;

	rev->own.at_us = weir_now_us();
	weir_rev_sum(rev, rev->own.at_us, &sum);
	rev->own.area = sum.area;
	rev->own.first = 1;
	rev->own.is_reported = true;
	rev->own.next_reported = k->reported;
	k->reported = weir_rev_get(rev);
	add_stat(k, rev, 1, 1);
	if (!k->report.due_ms) {
		weir_loop_arm(k->loop, &k->report, REPORT_MS);
	}
}

/* Nothing was under way for a whole second.  False: there is something now. */
static bool may_end(struct weir_rev *rev)
{
	struct weir_rev_sum sum;

	atomic_store(&rev->is_active, false);
	weir_rev_sum(rev, weir_now_us(), &sum);
	if (sum.in_flight || sum.n != rev->own.n) {
		/* Whoever began it may have thought that we know. */
		atomic_store(&rev->is_active, true);
		return false;
	}
	return true;
}

/* As concurrency_reporter.go computes it.  True: it is over. */
static bool report_one(struct weir_waker *k, struct weir_rev *rev)
{
	uint64_t now_us = weir_now_us();
	struct weir_rev_sum sum;
	double elapsed;
	double concurrency;
	double requests;
	int64_t area;

	weir_rev_sum(rev, now_us, &sum);
	elapsed = (double)(now_us - rev->own.at_us);
	/* A worker's clock is that of its turn: what was under way by ours may
	 * have ended before by its. */
	area = (int64_t)(sum.area - rev->own.area);
	concurrency = elapsed > 0 && area > 0 ? (double)area / elapsed : 0;
	requests = (double)(sum.n - rev->own.n);
	add_stat(k, rev,
		 concurrency > rev->own.first ? concurrency - rev->own.first
					      : 0,
		 requests - rev->own.first);
	rev->own.area = sum.area;
	rev->own.n = sum.n;
	rev->own.at_us = now_us;
	rev->own.first = 0;
	return concurrency == 0 && sum.in_flight == 0 && may_end(rev);
}

static void on_report(struct weir_timer *timer)
{
	struct weir_waker *k = timer->arg;
	struct weir_rev **pp = &k->reported;

	while (*pp) {
		struct weir_rev *rev = *pp;

		if (report_one(k, rev)) {
			*pp = rev->own.next_reported;
			rev->own.is_reported = false;
			weir_rev_put(&rev);
		} else {
			pp = &rev->own.next_reported;
		}
	}
	send_message(k);
	if (k->reported) {
		weir_loop_arm(k->loop, timer, REPORT_MS);
	}
}

/* ------------------------------------------------------------------ probes */

static const struct weir_endpoint *
pods_of(const struct weir_waker *k, const struct weir_rev *rev, uint32_t *ret_n)
{
	const struct weir_plan_view *view;

	*ret_n = 0;
	if (!k->plan || rev->own.generation != k->plan->generation) {
		return NULL; /* the plan does not name it any more */
	}
	view = &k->plan->view;
	return weir_eps_of(view->eps,
			   WEIR_PLAN_ELEM(view->rules, struct weir_revision,
					  view->rules->revisions,
					  rev->own.place)
				   ->pods,
			   ret_n);
}

static uint32_t connect_ms(const struct weir_rev *rev)
{
	uint32_t ms = rev->own.pause_ms * CONNECT_PAUSES;

	return ms < CONNECT_MIN_MS   ? CONNECT_MIN_MS
	       : ms > CONNECT_MAX_MS ? CONNECT_MAX_MS
				     : ms;
}

static void set_asked(struct weir_waker *k, struct weir_rev *rev, uint32_t n)
{
	k->n_asked += n - rev->own.n_asked;
	rev->own.n_asked = n;
}

static void probe_pods(struct weir_waker *k, struct weir_rev *rev)
{
	uint32_t n;
	const struct weir_endpoint *e = pods_of(k, rev, &n);
	uint32_t n_asked = 0;

	for (uint32_t i = 0; i < n && n_asked < PROBE_PODS; i++) {
		const struct weir_endpoint *at = &e[(rev->own.turn + i) % n];

		if (at->flags & WEIR_ENDPOINT_UNREADY &&
		    !weir_rev_is_early(rev,
				       weir_rev_pod(&at->addr, at->port_be))) {
			weir_pod_probe_begin(&k->probes, rev, at,
					     rev->own.program_be,
					     connect_ms(rev));
			n_asked++;
		}
	}
	rev->own.turn += n_asked;
	set_asked(k, rev, n_asked);
}

static void probe_again(const struct weir_waker *k, struct weir_rev *rev,
			uint64_t now_ms)
{
	uint32_t share_ms = k->n_asked / PROBE_RATE;

	rev->own.probe_ms = now_ms + (rev->own.pause_ms > share_ms
					      ? rev->own.pause_ms
					      : share_ms);
	if (now_ms > rev->own.eager_ms) {
		rev->own.pause_ms += rev->own.pause_ms / 4 + 1;
	}
	if (rev->own.pause_ms > PROBE_PAUSE_MAX_MS) {
		rev->own.pause_ms = PROBE_PAUSE_MAX_MS;
	}
}

static void on_probe(struct weir_timer *timer)
{
	struct weir_waker *k = timer->arg;
	struct weir_rev **pp = &k->probed;
	uint64_t now_ms = weir_now_ms();
	uint64_t next_ms = now_ms + PROBE_PAUSE_MAX_MS;

	weir_pod_probes_expire(&k->probes);
	while (*pp) {
		struct weir_rev *rev = *pp;

		if (atomic_load(&rev->n_waiting) == 0) {
			*pp = rev->own.next_probed;
			rev->own.is_probed = false;
			set_asked(k, rev, 0);
			weir_rev_put(&rev);
			continue;
		}
		if (rev->own.probe_ms <= now_ms) {
			probe_pods(k, rev);
			probe_again(k, rev, now_ms);
		}
		if (rev->own.probe_ms < next_ms) {
			next_ms = rev->own.probe_ms;
		}
		pp = &rev->own.next_probed;
	}
	if (k->probes.n && next_ms > now_ms + PROBE_EXPIRE_MS) {
		next_ms = now_ms + PROBE_EXPIRE_MS;
	}
	if (k->probed || k->probes.n) {
		weir_loop_arm(k->loop, timer,
			      next_ms > now_ms ? next_ms - now_ms
					       : PROBE_MIN_MS);
	}
}

static void probe_soon(struct weir_waker *k, struct weir_rev *rev)
{
	rev->own.probe_ms = 0;
	rev->own.pause_ms = PROBE_PAUSE_MIN_MS;
	rev->own.eager_ms = weir_now_ms() + PROBE_EAGER_MS;
	weir_loop_arm(k->loop, &k->probe, 0);
}

/* A pod is there that was not: it begins to be asked as often as at first. */
static void probe_new(struct weir_waker *k, struct weir_rev *rev)
{
	uint32_t n;
	const struct weir_endpoint *e = pods_of(k, rev, &n);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		sum += weir_rev_pod(&e[i].addr, e[i].port_be);
	}
	if (sum != rev->own.pods) {
		rev->own.pods = sum;
		probe_soon(k, rev);
	}
}

/* ------------------------------------------------------------ what is told */

static void take_told(struct weir_waker *k)
{
	struct weir_rev *rev = atomic_exchange(&k->told, NULL);

	while (rev) {
		struct weir_rev *next = rev->next_told;

		/* From now on it may be told of again. */
		atomic_store(&rev->is_told, false);
		if (atomic_load(&rev->is_active) && !rev->own.is_reported) {
			begin_reports(k, rev);
		}
		if (atomic_load(&rev->n_waiting) && !rev->own.is_probed) {
			rev->own.is_probed = true;
			rev->own.next_probed = k->probed;
			k->probed = weir_rev_get(rev);
			probe_soon(k, rev);
		}
		weir_rev_put(&rev);
		rev = next;
	}
	send_message(k);
}

/* Early pods that are Ready now, or gone, are not early any more. */
static void forget_early(const struct weir_waker *k, struct weir_rev *rev)
{
	uint32_t n;
	const struct weir_endpoint *e = pods_of(k, rev, &n);

	for (size_t i = 0; i < WEIR_REV_EARLY; i++) {
		uint64_t pod = atomic_load(&rev->early[i]);
		bool is_there = false;

		for (uint32_t p = 0; pod && !is_there && p < n; p++) {
			is_there = e[p].flags & WEIR_ENDPOINT_UNREADY &&
				   weir_rev_pod(&e[p].addr, e[p].port_be) ==
					   pod;
		}
		if (pod && !is_there) {
			weir_rev_set_early(rev, pod, false);
		}
	}
}

static void follow(struct weir_waker *k)
{
	struct weir_plan_ref *ref = atomic_exchange(&k->next_plan, NULL);
	const struct weir_plan *plan;
	const struct weir_endpoint *e = NULL;
	uint32_t n = 0;

	if (!ref) {
		return;
	}
	weir_plan_ref_put(&k->plan);
	k->plan = ref;
	plan = ref->view.rules;
	for (uint32_t i = 0; i < plan->revisions.n; i++) {
		ref->revs[i]->own.generation = ref->generation;
		ref->revs[i]->own.place = i;
		ref->revs[i]->own.program_be =
			WEIR_PLAN_ELEM(plan, struct weir_revision,
				       plan->revisions, i)
				->program_be;
		forget_early(k, ref->revs[i]);
	}
	if (plan->revisions.n && plan->autoscaler) {
		e = weir_eps_of(ref->view.eps, plan->autoscaler - 1, &n);
	}
	(void)weir_autoscaler_follow(&k->autoscaler, e, n);
	for (struct weir_rev *rev = k->probed; rev;
	     rev = rev->own.next_probed) {
		probe_new(k, rev);
	}
}

static void on_event(struct weir_io *io, uint32_t events)
{
	struct weir_waker *k = io->arg;
	uint64_t n;

	(void)events;
	(void)!read(k->event_fd, &n, sizeof(n));
	if (atomic_load(&k->is_ending)) {
		weir_loop_stop(k->loop, 0);
		return;
	}
	follow(k);
	take_told(k);
}

static void on_change(void *arg)
{
	struct weir_waker *k = arg;

	atomic_store(&k->is_up, k->autoscaler.is_open);
	__atomic_store_n(&k->config.totals->autoscaler_up,
			 k->autoscaler.is_open, __ATOMIC_RELAXED);
	if (k->autoscaler.is_open && k->reported) {
		/* It is to know what it missed. */
		weir_loop_arm(k->loop, &k->report, 0);
	}
	if (!atomic_load(&k->is_ending)) {
		k->config.on_news(k->config.arg);
	}
}

static void on_early(void *arg)
{
	struct weir_waker *k = arg;

	weir_count(&k->config.totals->early_pods, 1);
	k->config.on_news(k->config.arg);
}

/* ------------------------------------------------------ from other threads */

static void notify(const struct weir_waker *k)
{
	uint64_t one = 1;

	(void)!write(k->event_fd, &one, sizeof(one));
}

void weir_waker_tell(struct weir_waker *k, struct weir_rev *rev)
{
	struct weir_rev *last;

	if (atomic_exchange(&rev->is_told, true)) {
		return;
	}
	weir_rev_get(rev);
	last = atomic_load(&k->told);
	do {
		rev->next_told = last;
	} while (!atomic_compare_exchange_weak(&k->told, &last, rev));
	notify(k);
}

void weir_waker_publish(struct weir_waker *k, struct weir_plan_ref *ref)
{
	struct weir_plan_ref *old = atomic_exchange(&k->next_plan, ref);

	weir_plan_ref_put(&old);
	notify(k);
}

bool weir_waker_is_up(const struct weir_waker *k)
{
	return atomic_load_explicit(&k->is_up, memory_order_relaxed);
}

static void *run(void *arg)
{
	struct weir_waker *k = arg;

	(void)weir_schedule_soon();
	(void)weir_loop_run(k->loop);
	return NULL;
}

static int start(struct weir_waker *k)
{
	int r = weir_loop_new(&k->loop);

	if (r < 0) {
		return r;
	}
	weir_autoscaler_init(&k->autoscaler, k->loop);
	k->autoscaler.on_change = on_change;
	k->autoscaler.arg = k;
	weir_pod_probes_init(&k->probes, k->loop);
	k->probes.on_early = on_early;
	k->probes.arg = k;
	k->report = (struct weir_timer){.fn = on_report, .arg = k};
	k->probe = (struct weir_timer){.fn = on_probe, .arg = k};
	k->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->event_fd < 0) {
		return -errno;
	}
	k->event = (struct weir_io){
		.fd = k->event_fd, .fn = on_event, .arg = k};
	r = weir_loop_add(k->loop, &k->event, EPOLLIN);
	return r < 0 ? r : -pthread_create(&k->thread, NULL, run, k);
}

static void release(struct weir_waker **wakerp)
{
	struct weir_waker *k = *wakerp;
	struct weir_plan_ref *next = atomic_exchange(&k->next_plan, NULL);
	struct weir_rev *told = atomic_exchange(&k->told, NULL);

	while (told) {
		struct weir_rev *rev = told;

		told = rev->next_told;
		weir_rev_put(&rev);
	}
	while (k->reported) {
		struct weir_rev *rev = k->reported;

		k->reported = rev->own.next_reported;
		weir_rev_put(&rev);
	}
	while (k->probed) {
		struct weir_rev *rev = k->probed;

		k->probed = rev->own.next_probed;
		weir_rev_put(&rev);
	}
	if (k->loop) {
		weir_pod_probes_fini(&k->probes);
		weir_autoscaler_fini(&k->autoscaler);
		weir_loop_free(&k->loop);
	}
	weir_plan_ref_put(&next);
	weir_plan_ref_put(&k->plan);
	weir_buf_fini(&k->message);
	weir_close(&k->event_fd);
	weir_free_ptr(wakerp);
}

int weir_waker_new(const struct weir_waker_config *config,
		   struct weir_waker **ret_waker)
{
	struct weir_waker *k = calloc(1, sizeof(*k));
	int r;

	if (!k) {
		return -ENOMEM;
	}
	k->config = *config;
	k->event_fd = -1;
	r = start(k);
	if (r < 0) {
		release(&k);
		return r;
	}
	*ret_waker = k;
	return 0;
}

void weir_waker_free(struct weir_waker **waker)
{
	if (!*waker) {
		return;
	}
	atomic_store(&(*waker)->is_ending, true);
	notify(*waker);
	pthread_join((*waker)->thread, NULL);
	release(waker);
}
