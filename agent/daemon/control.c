// SPDX-License-Identifier: Apache-2.0
#include "control.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "diaglog.h"

/* A forgotten id: longer than any reader keeps an old plan. */
#define QUARANTINE_MS 10000
/* The proxy answers within milliseconds.  One that does not hangs, and must
 * not keep the kernel planes on an old plan. */
#define ANSWER_MS 2000
#define RETRY_MS 1000           /* after a refusal */
#define CONFLICT_MS 2000        /* is the port free by now? */
#define NOT_COMPILED UINT64_MAX /* store_version: compile in any case */
#define TRIM_MS 300             /* quiet time before memory is given back */

static void compile_if_changed(struct weir_control *c);

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

/* ----------------------------------------------------------------- publish */

static void put_back(struct weir_control *c)
{
	weir_sealed_fini(&c->next);
	if (c->current.generation) {
		bool is_changed;

		weir_datagram_sync(&c->udp, c->current.view.rules, &is_changed);
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

static void on_kernel_refused(struct weir_control *c, int error,
			      const char *what)
{
	c->stats.refused_kernel++;
	if (error == -ENOSPC) {
		/* Nothing heals that but another plan or another flag. */
		c->what_is_full = what;
		weir_error("plan does not fit the kernel tables, the one "
			   "before serves on: raise --%s",
			   what);
	} else {
		weir_error("kernel refused the plan, the one before serves "
			   "on: error=%s",
			   strerror(-error));
		weir_loop_arm(c->loop, &c->retry_timer, RETRY_MS);
	}
	put_back(c);
}

/* The proxy has next, or cannot have it now. */
static void publish_next(struct weir_control *c)
{
	const char *what = "max-endpoints";
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
	c->stats.publishes++;
	c->stats.publish_us = weir_now_us() - began_us;
	c->stats.effect_us = weir_now_us() - c->current.changed_us;
	collect_conflicts(c);
	log_effect(c);
	weir_diaglog_conflicts(c);
	compile_if_changed(c);
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
	}
}

/* ----------------------------------------------------------------- compile */

static int make_next(struct weir_control *c, struct weir_compiled *compiled)
{
	uint64_t rules_hash = weir_hash64(compiled->rules, compiled->rules_size,
					  1);
	uint64_t eps_hash = weir_hash64(compiled->eps, compiled->eps_size, 2);
	bool has_old = c->current.generation != 0;
	bool is_same = has_old && rules_hash == c->current.rules_hash;
	uint64_t generation;
	uint32_t lost = 0;
	bool is_changed;
	int r;

	if (is_same && eps_hash == c->current.eps_hash) {
		return -EALREADY;
	}
	generation = c->shared->generation + 1;
	/* Unchanged rules are stamped too: it keeps their ids. */
	r = weir_ids_stamp(c->ids, compiled->rules, compiled->eps, generation,
			   weir_now_ms(), &lost);
	if (r < 0) {
		return r;
	}
	r = weir_sealed_make(is_same ? NULL : compiled->rules,
			     compiled->rules_size, compiled->eps,
			     compiled->eps_size, &c->current, &c->next);
	if (r < 0) {
		return r;
	}
	c->next.generation = generation;
	c->next.rules_hash = rules_hash;
	c->next.eps_hash = eps_hash;
	c->next.changed_us = c->pending_us ? c->pending_us : weir_now_us();
	c->shared->generation = generation;
	c->stats.ids_lost = lost;
	return weir_datagram_sync(&c->udp, c->next.view.rules, &is_changed);
}

static int compile(struct weir_control *c)
{
	const struct weir_compile_options options = {
		.node_name = weir_str_of(c->options->node_name)};
	struct weir_compiled *compiled = &c->compiled;
	uint64_t began_us = weir_now_us();
	int r;

	weir_compiled_fini(compiled);
	*compiled = (struct weir_compiled){0};
	r = weir_compile(c->store, &options, compiled);
	if (r < 0) {
		return r;
	}
	c->stats.compiles++;
	c->stats.compile_us = weir_now_us() - began_us;
	r = make_next(c, compiled);
	/* The diagnostics are kept, the blocks live on in memfds. */
	weir_free_ptr(&compiled->rules);
	weir_free_ptr(&compiled->eps);
	return r;
}

static void compile_if_changed(struct weir_control *c)
{
	uint64_t version = weir_store_version(c->store);
	int r;

	if (c->next.generation || version == c->store_version) {
		return;
	}
	r = compile(c);
	c->store_version = version;
	c->pending_us = 0;
	weir_loop_arm(c->loop, &c->trim_timer, TRIM_MS);
	weir_diaglog_update(c);
	if (r == 0) {
		send_next(c);
	} else if (r != -EALREADY) {
		weir_error("no plan, the one before serves on: error=%s",
			   strerror(-r));
		weir_sealed_fini(&c->next);
		weir_loop_arm(c->loop, &c->retry_timer, RETRY_MS);
	}
}

/* ------------------------------------------------------------------ events */

static void load_all(struct weir_control *c)
{
	int r = weir_manifests_load(c->manifests);

	if (r < 0 && r != c->load_error) {
		weir_error("cannot read the directory, keeping what it said: "
			   "dir=%s error=%s",
			   c->options->manifests, strerror(-r));
	}
	c->load_error = r;
}

static void on_files(void *arg, const char *const *names, size_t n)
{
	struct weir_control *c = arg;

	if (c->pending_us == 0) {
		c->pending_us = weir_now_us();
	}
	if (n == 0) {
		load_all(c);
	}
	for (size_t i = 0; i < n; i++) {
		int r = weir_manifests_reload(c->manifests, names[i]);

		if (r < 0) {
			weir_warn("cannot read file: name=%s error=%s",
				  names[i], strerror(-r));
		}
	}
	if (weir_store_version(c->store) == c->store_version) {
		c->pending_us = 0;
		weir_diaglog_update(c); /* of files, these may have changed */
		return;
	}
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
	bool is_changed = false;

	if (c->next.generation || !c->current.generation) {
		weir_loop_arm(c->loop, timer, CONFLICT_MS);
		return;
	}
	weir_datagram_sync(&c->udp, c->current.view.rules, &is_changed);
	if (is_changed) {
		weir_proxy_link_send(&c->proxy, &c->current, &c->udp);
	}
	collect_conflicts(c);
	weir_diaglog_conflicts(c);
}

static void on_trim(struct weir_timer *timer)
{
	(void)timer;
	malloc_trim(0);
}

void weir_control_reload(struct weir_control *c)
{
	on_files(c, NULL, 0);
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

static void init(struct weir_control *c, const struct weir_options *options,
		 struct weir_loop *loop, struct weir_shared *shared,
		 struct weir_proxy_stats *stats, struct weir_kernel *kernel)
{
	*c = (struct weir_control){.options = options,
				   .loop = loop,
				   .shared = shared,
				   .proxy_stats = stats,
				   .kernel = kernel,
				   .current = WEIR_SEALED_NONE,
				   .next = WEIR_SEALED_NONE,
				   .conflicts_hash = 1};
	c->answer_timer = (struct weir_timer){.fn = on_answer_timer, .arg = c};
	c->retry_timer = (struct weir_timer){.fn = on_retry, .arg = c};
	c->conflict_timer = (struct weir_timer){.fn = on_conflict_timer,
						.arg = c};
	c->trim_timer = (struct weir_timer){.fn = on_trim, .arg = c};
	weir_proxy_link_init(&c->proxy, loop, options, on_answer, c);
}

int weir_control_start(struct weir_control *c,
		       const struct weir_options *options,
		       struct weir_loop *loop, struct weir_shared *shared,
		       struct weir_proxy_stats *stats,
		       struct weir_kernel *kernel, int ipc_fd)
{
	const uint32_t max[_WEIR_IDS_MAX] = {
		[WEIR_IDS_RULE] = options->max_rules,
		[WEIR_IDS_REF] = options->kernel.max_refs,
		[WEIR_IDS_ENDPOINT] = options->kernel.max_endpoints,
	};
	uint64_t generation = weir_kernel_generation(kernel);
	int r;

	init(c, options, loop, shared, stats, kernel);
	/* Never one that an earlier life gave out. */
	if (shared->generation < generation) {
		shared->generation = generation;
	}
	c->pending_us = weir_now_us();
	r = weir_ids_new(max, QUARANTINE_MS, &c->ids);
	if (r == 0) {
		r = weir_store_new(&c->store);
	}
	if (r == 0) {
		r = weir_manifests_new(options->manifests, c->store,
				       &c->manifests);
	}
	/* Watch first: what changes while all is read is told afterwards. */
	if (r == 0) {
		r = weir_watch_new(loop, options->manifests, on_files, c,
				   &c->watch);
	}
	if (r == 0) {
		r = weir_manifests_load(c->manifests);
	}
	if (r == 0 && ipc_fd >= 0) {
		r = weir_proxy_link_use(&c->proxy, ipc_fd);
	}
	if (r < 0) {
		return r;
	}
	c->store_version = NOT_COMPILED;
	compile_if_changed(c);
	return 0;
}

void weir_control_stop(struct weir_control *c)
{
	weir_loop_disarm(c->loop, &c->answer_timer);
	weir_loop_disarm(c->loop, &c->retry_timer);
	weir_loop_disarm(c->loop, &c->conflict_timer);
	weir_loop_disarm(c->loop, &c->trim_timer);
	weir_watch_free(&c->watch);
	weir_proxy_link_fini(&c->proxy);
	weir_datagram_fini(&c->udp);
	weir_sealed_fini(&c->current);
	weir_sealed_fini(&c->next);
	weir_compiled_fini(&c->compiled);
	weir_manifests_free(&c->manifests);
	weir_store_free(&c->store);
	weir_ids_free(&c->ids);
	weir_map_fini(&c->logged);
	weir_free_ptr(&c->conflicts);
}

bool weir_control_is_ready(const struct weir_control *c)
{
	return c->current.generation && weir_proxy_link_is_up(&c->proxy) &&
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
	const struct weir_diag *v = weir_manifests_diags(c->manifests, &n);

	for (size_t i = 0; i < n; i++) {
		fn(arg, &v[i]);
	}
	for (size_t i = 0; i < c->compiled.diags.n; i++) {
		fn(arg, &c->compiled.diags.v[i]);
	}
}
