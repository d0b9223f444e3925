// SPDX-License-Identifier: Apache-2.0
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "diaglog.h"
#include "fdutil.h"
#include "giveback.h"

/* A forgotten id: longer than any reader keeps an old plan. */
#define QUARANTINE_MS 10000
/* The proxy answers within milliseconds.  One that does not hangs, and must
 * not keep the kernel planes on an old plan. */
#define ANSWER_MS 2000
#define RETRY_MS 1000           /* after a refusal */
#define CONFLICT_MS 2000        /* is the port free by now? */
#define NOT_COMPILED UINT64_MAX /* store_version: compile in any case */
#define REST_MS 2000            /* quiet time before memory is given back */
#define RESTLESS_MS 30000       /* there was none for so long: at once */

static void compile_if_changed(struct weir_control *c);
static void tell_in_force(struct weir_control *c);

/* --------------------------------------------------------------- conflicts */

static void add_conflict(void *arg, const struct weir_ip *addr, __be16 port_be,
			 uint8_t proto)
{
	struct weir_control *c = arg;

	if (c->n_conflicts == c->cap_conflicts) {
		size_t cap = c->cap_conflicts ? c->cap_conflicts * 2 : 8;
		void *v = realloc(c->conflicts, cap * sizeof(*c->conflicts));

		if (!v) {
			return; /* told next time */
		}
		c->conflicts = v;
		c->cap_conflicts = cap;
	}
	c->conflicts[c->n_conflicts++] = (struct weir_conflict){
		.addr = *addr, .port_be = port_be, .proto = proto};
}

static void collect_conflicts(struct weir_control *c)
{
	c->n_conflicts = 0;
	weir_kernel_conflicts(c->kernel, add_conflict, c);
	for (size_t i = 0; i < c->udp.n; i++) {
		const struct weir_datagram_socket *s = &c->udp.v[i];

		if (s->fd < 0) {
			add_conflict(c, &s->addr, s->port_be, IPPROTO_UDP);
		}
	}
	weir_loop_arm(c->loop, &c->conflict_timer, CONFLICT_MS);
}

/* ------------------------------------------------------------- to the parent
 */

/* It keeps what must outlive this process.  A parent that does not read is
 * gone or hangs; then nothing outlives it anyway. */
static void leave_plan(const struct weir_control *c)
{
	const struct weir_link m = {.type = WEIR_LINK_PLAN};
	const int fds[2] = {c->current.rules_fd, c->current.eps_fd};

	weir_send_fds(c->link_fd, &m, sizeof(m), fds, 2);
}

static void leave_sockets(const struct weir_control *c)
{
	struct weir_link m = {.type = WEIR_LINK_KEEP};
	int fds[WEIR_KEPT_A_MESSAGE];
	size_t pos = 0;

	do {
		size_t n = 0;

		for (; pos < c->udp.n && n < WEIR_KEPT_A_MESSAGE; pos++) {
			if (c->udp.v[pos].fd >= 0) {
				fds[n++] = c->udp.v[pos].fd;
			}
		}
		weir_send_fds(c->link_fd, &m, sizeof(m), fds, n);
		m.is_more = 1;
	} while (pos < c->udp.n);
}

/* The datagram sockets of a plan.  *ret_is_changed may be NULL. */
static int sync_sockets(struct weir_control *c, const struct weir_plan *plan,
			bool *ret_is_changed)
{
	bool is_changed = false;
	int r = weir_datagram_sync(&c->udp, plan, weir_now_ms(), &is_changed);

	if (c->udp.is_dirty) {
		leave_sockets(c);
		c->udp.is_dirty = false;
	}
	if (ret_is_changed) {
		*ret_is_changed = is_changed;
	}
	return r;
}

/* ----------------------------------------------------------------- publish */

static void put_back(struct weir_control *c)
{
	weir_sealed_fini(&c->next);
	if (c->current.generation) {
		/* -ENOMEM: they may be another's 10 s after the plan that was
		 * refused, as if it had been taken. */
		(void)weir_ids_renew(c->ids, &c->current.view);
		sync_sockets(c, c->current.view.rules, NULL);
		weir_proxy_link_send(&c->proxy, &c->current, &c->udp);
	}
}

static void log_effect(const struct weir_control *c)
{
	const struct weir_plan *p = c->current.view.rules;

	weir_info("plan in force: generation=%llu frontends=%u rules=%u "
		  "groups=%u conflicts=%zu effect_us=%llu compile_us=%llu "
		  "kernel_us=%llu",
		  (unsigned long long)c->current.generation, p->frontends.n,
		  p->rules.n, p->groups.n, c->n_conflicts,
		  (unsigned long long)c->stats.effect_us,
		  (unsigned long long)c->stats.compile_us,
		  (unsigned long long)c->stats.publish_us);
}

/* The flag behind a field of struct weir_kernel_config. */
static const char *flag_of(const char *field)
{
	static const char *const flags[][2] = {
		{"max_frontends", "--max-frontends"},
		{"max_slots", "--max-slots"},
		{"max_groups", "--max-groups"},
		{"max_endpoints", "--max-endpoints"},
		{"max_refs", "--max-backends"},
	};

	for (size_t i = 0; field && i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(field, flags[i][0]) == 0) {
			return flags[i][1];
		}
	}
	return field ? field : "--max-endpoints";
}

static void on_kernel_refused(struct weir_control *c, int error,
			      const char *what)
{
	c->stats.refused_kernel++;
	if (error == -ENOSPC) {
		/* Nothing heals that but another plan or another flag. */
		c->what_is_full = flag_of(what);
		weir_error("plan does not fit the kernel tables, the one "
			   "before serves on: raise %s",
			   c->what_is_full);
	} else {
		weir_error("kernel refused the plan, the one before serves "
			   "on: error=%s",
			   strerror(-error));
		weir_loop_arm(c->loop, &c->retry_timer, RETRY_MS);
	}
	put_back(c);
	if (error == -ENOSPC) {
		/* What changed while this one was on its way may fit. */
		compile_if_changed(c);
	}
}

/* The proxy has next, or cannot have it now. */
static void publish_next(struct weir_control *c)
{
	const char *what = NULL;
	uint64_t began_us = weir_now_us();
	int r;

	weir_loop_disarm(c->loop, &c->answer_timer);
	r = weir_kernel_publish(c->kernel, &c->next.view, &what);
	if (r < 0) {
		on_kernel_refused(c, r, what);
		return;
	}
	c->what_is_full = NULL;
	weir_sealed_fini(&c->current);
	c->current = c->next;
	c->next = WEIR_SEALED_NONE;
	c->shared->is_ready = 1;
	leave_plan(c);
	c->stats.publishes++;
	c->stats.publish_us = weir_now_us() - began_us;
	c->stats.effect_us = weir_now_us() - c->current.changed_us;
	collect_conflicts(c);
	log_effect(c);
	weir_diaglog_conflicts(c);
	tell_in_force(c);
	compile_if_changed(c);
}

/* What was compiled last holds on every plane. */
static void tell_in_force(struct weir_control *c)
{
	if (!c->next.generation && c->current.generation &&
	    c->current.version == c->store_version &&
	    c->proxy_generation >= c->current.generation) {
		c->feed->in_force(c->feed);
	}
}

static void send_next(struct weir_control *c)
{
	int r = weir_proxy_link_send(&c->proxy, &c->next, &c->udp);

	if (r == 0) {
		weir_loop_arm(c->loop, &c->answer_timer, ANSWER_MS);
		return;
	}
	/* It gets the plan when it comes (back). */
	publish_next(c);
}

static void on_answer_timer(struct weir_timer *timer)
{
	struct weir_control *c = timer->arg;

	c->stats.ack_timeouts++;
	weir_warn("no answer from the proxy, going on without: generation=%llu",
		  (unsigned long long)c->next.generation);
	publish_next(c);
}

static void on_answer(void *arg, uint64_t generation, int error)
{
	struct weir_control *c = arg;

	if (error == 0) {
		if (generation > c->proxy_generation ||
		    generation == c->current.generation) {
			c->proxy_generation = generation;
		}
	} else if (generation == c->next.generation) {
		c->stats.refused_proxy++;
		weir_error("proxy refused the plan, the one before serves on: "
			   "generation=%llu error=%s",
			   (unsigned long long)generation, strerror(-error));
		weir_loop_disarm(c->loop, &c->answer_timer);
		weir_loop_arm(c->loop, &c->retry_timer, RETRY_MS);
		put_back(c);
		return;
	}
	if (c->next.generation && generation == c->next.generation) {
		publish_next(c);
	} else {
		tell_in_force(c);
	}
}

/* ----------------------------------------------------------------- compile */

/* Takes the blocks out of from that are as the old ones. */
static void drop_same(const struct weir_sealed *old,
		      struct weir_compiled *compiled,
		      struct weir_sealed_from *from)
{
	if (weir_sealed_is_same(compiled->rules, &compiled->rules->generation,
				compiled->rules_size, old->rules,
				old->view.rules->generation, old->rules_size)) {
		from->rules = NULL;
	}
	if (weir_sealed_is_same(compiled->eps, &compiled->eps->generation,
				compiled->eps_size, old->eps,
				old->view.eps->generation, old->eps_size)) {
		from->eps = NULL;
	}
	if (from->secrets && from->secrets_size == old->secrets_size &&
	    memcmp(from->secrets, old->secrets, old->secrets_size) == 0) {
		from->secrets = NULL;
	}
}

/* All places in the proxy prefix are taken, or were until lately: what has none
 * waits for those, or for a change that gives one up. */
static void place_later(struct weir_control *c, const struct weir_plan *p)
{
	const struct weir_frontend *f = weir_plan_at(p, p->frontends);
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->frontends.n; i++) {
		n += weir_frontend_is_proxied(&f[i]) && f[i].proxy_index == 0;
	}
	if (n && weir_ids_are_resting(c->ids, WEIR_IDS_PROXIED)) {
		weir_loop_arm(c->loop, &c->place_timer, QUARANTINE_MS);
	} else {
		weir_loop_disarm(c->loop, &c->place_timer);
	}
	if (n > c->n_unplaced) {
		weir_warn("no place in the proxy prefix, not taken for now: "
			  "addresses=%u",
			  n);
	}
	c->n_unplaced = n;
}

/* -EALREADY: what is in force says the same. */
static int make_next(struct weir_control *c, struct weir_compiled *compiled)
{
	uint64_t generation = c->shared->generation + 1;
	const struct weir_sealed *old = &c->current;
	struct weir_sealed_from from = {
		.rules = compiled->rules,
		.eps = compiled->eps,
		.secrets = compiled->secrets,
		.rules_size = compiled->rules_size,
		.eps_size = compiled->eps_size,
		.secrets_size = compiled->secrets_size,
	};
	uint32_t lost = 0;
	int r;

	r = weir_ids_stamp(c->ids, compiled->rules, compiled->eps, generation,
			   weir_now_ms(), &lost);
	if (r < 0) {
		return r;
	}
	place_later(c, compiled->rules);
	if (old->generation) {
		drop_same(old, compiled, &from);
	}
	if (!from.rules && !from.eps && !from.secrets) {
		return -EALREADY;
	}
	/* The generation is said by the endpoints of a plan. */
	from.eps = compiled->eps;
	weir_claims_update(&c->claims, c->ids, c->counters, false);
	r = weir_sealed_make(&from, old, &c->next);
	if (r < 0) {
		return r;
	}
	c->next.generation = generation;
	c->next.changed_us = c->pending_us ? c->pending_us : weir_now_us();
	c->shared->generation = generation;
	c->stats.ids_lost = lost;
	return sync_sockets(c, c->next.view.rules, NULL);
}

static void learn(struct weir_control *c, uint64_t now_ms)
{
	uint64_t due_ms;

	weir_memory_learn(&c->memory, now_ms, &c->compiled.verdicts);
	due_ms = weir_memory_due(&c->memory, now_ms);
	if (due_ms) {
		weir_loop_arm(c->loop, &c->memory_timer, due_ms);
	} else {
		weir_loop_disarm(c->loop, &c->memory_timer);
	}
}

static int compile(struct weir_control *c, uint64_t version)
{
	struct weir_compile_options options = {
		.node_ips = c->node_ips,
		.n_node_ips = c->n_node_ips,
		.node_name = weir_str_of(c->options->node_name),
		.needs_class = !c->options->manifests,
		.is_writer = c->feed->is_writer(c->feed),
		.cluster_domain = weir_str_of(c->options->cluster_domain)};
	/* What is in force came from the version compiled last, so the store
	 * may know that only weights changed. */
	bool is_current = c->current.generation &&
			  c->current.version == c->store_version;
	struct weir_compiled *compiled = &c->compiled;
	uint64_t began_us = weir_now_us();
	uint64_t now_ms = weir_now_ms(); /* one: what is recalled is learned */
	int r;

	r = weir_memory_recall(&c->memory, now_ms,
			       c->current.generation ? c->current.view.rules
						     : NULL,
			       &options.memory);
	if (r == 0) {
		r = weir_recompile(c->store, &options, c->store_version,
				   is_current ? &c->current.view : NULL,
				   compiled);
	}
	if (r < 0) {
		return r;
	}
	learn(c, now_ms);
	c->stats.compiles++;
	c->stats.compile_us = weir_now_us() - began_us;
	r = make_next(c, compiled);
	if (r == 0) {
		c->next.version = version;
	} else if (r == -EALREADY) {
		c->current.version = version;
	}
	/* The diagnostics are kept, the blocks live on in memfds. */
	weir_free_ptr(&compiled->rules);
	weir_free_ptr(&compiled->eps);
	weir_compiled_wipe(compiled);
	return r;
}

/* What a compilation took serves the next one, if it comes soon. */
static void rest_soon(struct weir_control *c)
{
	if (!c->rest_timer.due_ms ||
	    weir_now_ms() - c->rested_ms < RESTLESS_MS) {
		weir_loop_arm(c->loop, &c->rest_timer, REST_MS);
	}
}

static void compile_if_changed(struct weir_control *c)
{
	uint64_t version = weir_store_version(c->store);
	int r;

	if (c->next.generation || version == c->store_version ||
	    !c->feed->is_complete(c->feed)) {
		return;
	}
	c->feed->taken(c->feed);
	weir_kernel_node_ips(c->kernel, c->node_ips, &c->n_node_ips);
	r = compile(c, version);
	c->store_version = version;
	c->pending_us = 0;
	rest_soon(c);
	weir_diaglog_update(c);
	if (r == 0) {
		send_next(c);
	} else if (r == -EALREADY) {
		c->what_is_full = NULL; /* what was too large is gone */
		tell_in_force(c);
	} else {
		weir_error("no plan, the one before serves on: error=%s",
			   strerror(-r));
		weir_sealed_fini(&c->next);
		weir_loop_arm(c->loop, &c->retry_timer, RETRY_MS);
	}
}

/* ------------------------------------------------------------------ events */

void weir_control_pending(struct weir_control *c)
{
	if (c->pending_us == 0) {
		c->pending_us = weir_now_us();
	}
}

/* Diagnostics of files may have changed though objects did not.  With an API
 * server this is often, and they are few: none, none before, nothing to log. */
static void log_feed(struct weir_control *c)
{
	size_t n;

	c->feed->diags(c->feed, &n);
	if (n || c->n_feed_diags) {
		weir_diaglog_update(c);
	}
	c->n_feed_diags = n;
}

void weir_control_changed(struct weir_control *c)
{
	if (weir_store_version(c->store) == c->store_version) {
		c->pending_us = 0;
		log_feed(c);
		/* What was seen and is the same is in force, too: an agent that
		 * starts now knows objects by their present version. */
		if (!c->next.generation && c->feed->is_complete(c->feed)) {
			c->feed->taken(c->feed);
			tell_in_force(c);
		}
		return;
	}
	weir_control_pending(c);
	compile_if_changed(c);
}

void weir_control_again(struct weir_control *c)
{
	c->store_version = NOT_COMPILED;
	compile_if_changed(c);
}

static void on_retry(struct weir_timer *timer)
{
	struct weir_control *c = timer->arg;

	if (!c->next.generation) {
		c->store_version = NOT_COMPILED;
		compile_if_changed(c);
	}
}

/* The kernel layer probes its addresses by itself; datagram ports are ours. */
static void on_conflict_timer(struct weir_timer *timer)
{
	struct weir_control *c = timer->arg;
	uint64_t before = c->conflicts_hash;
	bool is_changed = false;

	if (c->next.generation || !c->current.generation) {
		weir_loop_arm(c->loop, timer, CONFLICT_MS);
		return;
	}
	sync_sockets(c, c->current.view.rules, &is_changed);
	if (is_changed) {
		weir_proxy_link_send(&c->proxy, &c->current, &c->udp);
	}
	collect_conflicts(c);
	weir_diaglog_conflicts(c);
	if (c->conflicts_hash != before) {
		tell_in_force(c);
	}
}

/* An address lapses, a rule has rested long enough, or a place in the proxy
 * prefix. */
static void on_memory(struct weir_timer *timer)
{
	weir_control_again(timer->arg);
}

static void on_rest(struct weir_timer *timer)
{
	struct weir_control *c = timer->arg;

	weir_sealed_rest(&c->current);
	weir_counters_rest(c->counters);
	weir_give_back();
	c->rested_ms = weir_now_ms();
}

void weir_control_reload(struct weir_control *c)
{
	c->feed->reload(c->feed);
}

void weir_control_use_proxy(struct weir_control *c, pid_t pid, int fd)
{
	pid_t self[] = {c->shared->parent_pid, getpid(), pid};
	int r;

	r = weir_kernel_set_self(c->kernel, self, 3);
	if (r < 0) {
		weir_warn("sockets of the new proxy are not exempt: error=%s",
			  strerror(-r));
	}
	c->proxy_generation = 0;
	r = weir_proxy_link_use(&c->proxy, fd);
	if (r == 0 && c->next.generation) {
		send_next(c);
	} else if (r == 0 && c->current.generation) {
		r = weir_proxy_link_send(&c->proxy, &c->current, &c->udp);
	}
	if (r < 0) {
		weir_warn("no channel to the proxy: error=%s", strerror(-r));
	}
}

/* -------------------------------------------------------------------- life */

static void init(struct weir_control *c, const struct weir_control_parts *parts)
{
	*c = (struct weir_control){
		.options = parts->options,
		.loop = parts->loop,
		.shared = parts->shared,
		.counters = parts->counters,
		.kernel = parts->kernel,
		.feed = parts->feed,
		.link_fd = parts->options->fds[WEIR_AGENT_FD_LINK],
		.current = WEIR_SEALED_NONE,
		.next = WEIR_SEALED_NONE,
		.store_version = NOT_COMPILED,
		.conflicts_hash = 1};
	c->answer_timer = (struct weir_timer){.fn = on_answer_timer, .arg = c};
	c->retry_timer = (struct weir_timer){.fn = on_retry, .arg = c};
	c->conflict_timer = (struct weir_timer){.fn = on_conflict_timer,
						.arg = c};
	c->rest_timer = (struct weir_timer){.fn = on_rest, .arg = c};
	c->memory_timer = (struct weir_timer){.fn = on_memory, .arg = c};
	c->place_timer = (struct weir_timer){.fn = on_memory, .arg = c};
	/* As long as the proxy may answer on one, and a little. */
	c->udp.rest_ms = c->options->limits.udp_idle_ms + 5000;
	weir_proxy_link_init(&c->proxy, c->loop, c->options, on_answer, c);
}

/* The ids of the plan in force, so that counters go on.  Without them (a bad
 * or absent plan) they begin anew, which is no reason not to serve. */
static int adopt_ids(struct weir_control *c)
{
	const int *fds = c->options->fds;
	const void *rules = NULL;
	const void *eps = NULL;
	struct weir_plan_view view;
	size_t rules_size = 0;
	size_t eps_size = 0;
	int r = -ENODATA;

	if (fds[WEIR_AGENT_FD_RULES] >= 0 && fds[WEIR_AGENT_FD_EPS] >= 0) {
		r = weir_map_fd(fds[WEIR_AGENT_FD_RULES], &rules, &rules_size);
	}
	if (r == 0) {
		r = weir_map_fd(fds[WEIR_AGENT_FD_EPS], &eps, &eps_size);
	}
	if (r == 0) {
		r = weir_plan_open(rules, rules_size, eps, eps_size, &view);
	}
	if (r == 0) {
		r = weir_ids_adopt(c->ids, &view);
	}
	if (r == 0) {
		r = weir_claims_update(&c->claims, c->ids, c->counters, true);
	}
	weir_unmap(&rules, rules_size);
	weir_unmap(&eps, eps_size);
	return r == -ENOMEM ? r : 0;
}

struct places {
	struct weir_ids *ids;
	int error;
};

static void add_place(void *arg, const struct weir_fe_key *key,
		      uint32_t proxy_index)
{
	struct places *p = arg;
	int r = weir_ids_adopt_proxied(p->ids, &key->addr, key->port_be,
				       key->proto, proxy_index);

	p->error = r < 0 ? r : p->error;
}

/* The kernel's tables send connections there until they have a plan of ours. */
static int adopt_places(struct weir_control *c)
{
	struct places p = {.ids = c->ids};
	int r = weir_kernel_proxied(c->kernel, add_place, &p);

	return r < 0 ? r : p.error;
}

/* What an earlier agent of this parent left: generations, ids, sockets. */
static int take_over(struct weir_control *c)
{
	const struct weir_options *o = c->options;
	const uint32_t max[_WEIR_IDS_MAX] = {
		[WEIR_IDS_RULE] = o->max_rules,
		[WEIR_IDS_REF] = o->kernel.max_refs,
		[WEIR_IDS_ENDPOINT] = o->kernel.max_endpoints,
		[WEIR_IDS_PROXIED] = weir_kernel_places(&o->kernel) + 1,
	};
	uint64_t generation = weir_kernel_generation(c->kernel);
	int r;

	if (c->shared->generation < generation) {
		c->shared->generation = generation;
	}
	r = weir_ids_new(max, QUARANTINE_MS, &c->ids);
	if (r == 0) {
		weir_ids_set_busy(c->ids, weir_counters_is_busy, c->counters);
		r = adopt_ids(c);
	}
	if (r == 0) {
		r = adopt_places(c);
	}
	if (r == 0) {
		r = weir_datagram_adopt(&c->udp, o->fds + WEIR_AGENT_FD_KEPT,
					o->n_fds - WEIR_AGENT_FD_KEPT);
	}
	if (r == 0 && o->fds[WEIR_AGENT_FD_IPC] >= 0) {
		r = weir_proxy_link_use(&c->proxy, o->fds[WEIR_AGENT_FD_IPC]);
	}
	return r;
}

int weir_control_start(struct weir_control *c,
		       const struct weir_control_parts *parts)
{
	int r;

	init(c, parts);
	c->pending_us = weir_now_us();
	r = take_over(c);
	if (r == 0) {
		r = weir_store_new(&c->store);
	}
	if (r == 0) {
		r = c->feed->start(c->feed, c);
	}
	if (r < 0) {
		return r;
	}
	compile_if_changed(c);
	return 0;
}

void weir_control_stop(struct weir_control *c)
{
	weir_loop_disarm(c->loop, &c->answer_timer);
	weir_loop_disarm(c->loop, &c->retry_timer);
	weir_loop_disarm(c->loop, &c->conflict_timer);
	weir_loop_disarm(c->loop, &c->rest_timer);
	weir_loop_disarm(c->loop, &c->memory_timer);
	weir_loop_disarm(c->loop, &c->place_timer);
	c->feed->stop(c->feed);
	weir_proxy_link_fini(&c->proxy);
	weir_datagram_fini(&c->udp);
	weir_sealed_fini(&c->current);
	weir_sealed_fini(&c->next);
	weir_compiled_fini(&c->compiled);
	weir_store_free(&c->store);
	weir_ids_free(&c->ids);
	weir_claims_fini(&c->claims);
	weir_memory_fini(&c->memory);
	weir_map_fini(&c->logged);
	weir_free_ptr(&c->conflicts);
}

bool weir_control_is_ready(const struct weir_control *c)
{
	return c->current.generation && weir_kernel_is_settled(c->kernel) &&
	       weir_proxy_link_is_up(&c->proxy) &&
	       c->proxy_generation >= c->current.generation;
}

/* The kernel knows that of the rules block, which an edit of endpoints alone
 * does not renew. */
uint64_t weir_control_kernel_generation(const struct weir_control *c)
{
	return c->current.generation ? c->current.generation
				     : weir_kernel_generation(c->kernel);
}

void weir_control_diags(const struct weir_control *c,
			void (*fn)(void *arg, const struct weir_diag *diag),
			void *arg)
{
	size_t n;
	const struct weir_diag *v = c->feed->diags(c->feed, &n);

	for (size_t i = 0; i < n; i++) {
		fn(arg, &v[i]);
	}
	for (size_t i = 0; i < c->compiled.diags.n; i++) {
		fn(arg, &c->compiled.diags.v[i]);
	}
}
