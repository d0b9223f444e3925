// SPDX-License-Identifier: Apache-2.0
/*
 * Expiry of flows.  The table is walked in steps of bounded length; what looks
 * over is named to the reap program, which decides and counts.  Programs reuse
 * what is over by themselves, so nothing waits for this: it keeps counts of
 * open flows true and the table free for the living.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "log.h"
#include "netdev.h"
#include "tally.h"
#include "weir_flow.h"

/* What bpftool generates casts const away. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "reap.skel.h"
#pragma GCC diagnostic pop

#define STEP_MS 50   /* between steps of one walk */
#define WALK_MS 1000 /* between walks */
#define BATCH 512    /* entries in a step; grows if a bucket holds more */
#define BATCH_MAX 16384
#define REAP_MAX 256 /* bpf/reap.bpf.c */
/* Entries of source translation are asked about again after this. */
#define OWNER_NS (30 * WEIR_SECOND_NS)

struct weir_flows {
	struct weir_kernel *kernel;
	struct weir_reap *skel; /* generated */
	struct weir_timer timer;
	struct weir_flow_key *queue; /* mapped: what the program reads */
	uint32_t n_queued;
	struct weir_flow_key *keys; /* one batch */
	struct weir_flow *values;
	uint32_t batch;
	uint32_t token; /* where the walk goes on */
	bool is_walking;
	struct weir_tally tally; /* while the table is so full that it evicts */
	bool is_tallying;
	bool wants_tally; /* from the next walk on */
	uint32_t n_seen;  /* entries, by this walk */
};

static uint64_t coarse_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * WEIR_SECOND_NS + (uint64_t)t.tv_nsec;
}

static bool looks_over(const struct weir_flow_key *key,
		       const struct weir_flow *f, uint64_t now)
{
	uint32_t kind = f->state & WEIR_FLOW_KIND;
	uint64_t limit = OWNER_NS;

	if (kind == WEIR_FLOW_FORWARD || kind == WEIR_FLOW_REVERSE) {
		limit = weir_flow_idle_ns(f->state, key->proto == IPPROTO_UDP);
	}
	return f->seen_ns + limit <= now;
}

static void reap(struct weir_flows *s, uint64_t now)
{
	struct {
		uint32_t n;
		uint32_t removed;
		uint64_t now;
	} ctx = {.n = s->n_queued, .now = now};
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx,
			    .ctx_size_in = sizeof(ctx));
	int r;

	if (s->n_queued == 0) {
		return;
	}
	s->n_queued = 0;
	r = bpf_prog_test_run_opts(bpf_program__fd(s->skel->progs.weir_reap),
				   &opts);
	if (r < 0) {
		weir_warn("flows not expired error=\"%s\"", strerror(-r));
	}
}

static int resize(struct weir_flows *s, uint32_t batch)
{
	struct weir_flow_key *keys = reallocarray(s->keys, batch,
						  sizeof(*keys));
	struct weir_flow *values;

	if (!keys) {
		return -ENOMEM;
	}
	s->keys = keys;
	values = reallocarray(s->values, batch, sizeof(*values));
	if (!values) {
		return -ENOMEM;
	}
	s->values = values;
	s->batch = batch;
	return 0;
}

/* Eviction begins before the table is full: it has a list of what is free for
 * each processor. */
#define TIGHT(size) ((size) / 2)

static void begin_walk(struct weir_flows *s)
{
	const struct weir_kernel *k = s->kernel;

	s->n_seen = 0;
	if (s->wants_tally && !s->is_tallying) {
		s->is_tallying =
			weir_tally_init(&s->tally, k->map_mem[WEIR_MAP_REFSTAT],
					k->map_size[WEIR_MAP_REFSTAT],
					k->map_mem[WEIR_MAP_EPSTAT],
					k->map_size[WEIR_MAP_EPSTAT]) == 0;
	}
	if (s->is_tallying) {
		weir_tally_begin(&s->tally);
	}
}

static void end_walk(struct weir_flows *s)
{
	bool is_tight = s->n_seen >= TIGHT(s->kernel->map_size[WEIR_MAP_FLOW]);

	s->wants_tally = is_tight;
	if (s->is_tallying) {
		s->wants_tally |= weir_tally_end(&s->tally);
	}
	if (s->is_tallying && !s->wants_tally) {
		weir_tally_fini(&s->tally);
		s->is_tallying = false;
	}
}

/* One batch.  1: there is more, 0: the walk is over, or -errno. */
static int step(struct weir_flows *s)
{
	int fd = s->kernel->map_fd[WEIR_MAP_FLOW];
	uint64_t now = coarse_ns();
	uint32_t n = s->batch;
	uint32_t next = 0;
	int r;

	if (s->is_tallying || s->wants_tally) {
		r = weir_rest_wake(s->kernel);
		if (r < 0) {
			return r;
		}
	}
	if (!s->is_walking) {
		begin_walk(s);
	}
	r = bpf_map_lookup_batch(fd, s->is_walking ? &s->token : NULL, &next,
				 s->keys, s->values, &n, NULL);
	if (r == -ENOSPC && s->batch < BATCH_MAX) {
		r = resize(s, s->batch * 2); /* one bucket holds more */
		return r < 0 ? r : 1;
	}
	if (r < 0 && r != -ENOENT) {
		return r;
	}
	s->n_seen += n;
	for (uint32_t i = 0; i < n; i++) {
		if (s->is_tallying) {
			weir_tally_see(&s->tally, fd, &s->keys[i],
				       &s->values[i]);
		}
		if (!looks_over(&s->keys[i], &s->values[i], now)) {
			continue;
		}
		s->queue[s->n_queued++] = s->keys[i];
		if (s->n_queued == REAP_MAX) {
			reap(s, now);
		}
	}
	reap(s, now);
	s->token = next;
	s->is_walking = r == 0;
	if (!s->is_walking) {
		end_walk(s);
	}
	return r == 0;
}

static void on_timer(struct weir_timer *timer)
{
	struct weir_flows *s = timer->arg;
	int r = step(s);

	if (r < 0) {
		weir_warn("flow table not read error=\"%s\"", strerror(-r));
		s->is_walking = false;
	}
	weir_loop_arm(s->kernel->loop, timer, r > 0 ? STEP_MS : WALK_MS);
}

static int load(struct weir_flows *s)
{
	struct weir_kernel *k = s->kernel;
	size_t size = REAP_MAX * sizeof(struct weir_flow_key);
	void *queue;
	int r;

	s->skel = weir_reap__open_opts(weir_load_open_opts(k));
	if (!s->skel) {
		return -errno;
	}
	s->skel->rodata->weir_conf = k->conf;
	r = weir_load_share_maps(k, s->skel->obj);
	if (r < 0) {
		return r;
	}
	r = weir_reap__load(s->skel);
	if (r < 0) {
		return r;
	}
	queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		     bpf_map__fd(s->skel->maps.weir_reapq), 0);
	if (queue == MAP_FAILED) {
		return -errno;
	}
	s->queue = queue;
	return resize(s, BATCH);
}

/* Are flows counted as open from before?  Some may have been evicted while
 * there was no agent. */
static bool has_open(const struct weir_kernel *kernel)
{
	const struct weir_refstat *refs = kernel->map_mem[WEIR_MAP_REFSTAT];

	for (uint32_t i = 1; i < kernel->map_size[WEIR_MAP_REFSTAT]; i++) {
		if (refs[i].flows) {
			return true;
		}
	}
	return false;
}

int weir_flows_start(struct weir_kernel *kernel)
{
	struct weir_flows *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		return -ENOMEM;
	}
	s->kernel = kernel;
	s->timer = (struct weir_timer){.fn = on_timer, .arg = s};
	s->wants_tally = has_open(kernel);
	kernel->packet->flows = s;
	r = load(s);
	if (r < 0) {
		weir_error("flow expiry not loaded error=\"%s\"", strerror(-r));
		weir_flows_stop(kernel);
		return r;
	}
	weir_loop_arm(kernel->loop, &s->timer, WALK_MS);
	return 0;
}

void weir_flows_stop(struct weir_kernel *kernel)
{
	struct weir_flows *s = kernel->packet->flows;

	if (!s) {
		return;
	}
	weir_loop_disarm(kernel->loop, &s->timer);
	if (s->queue) {
		munmap(s->queue, REAP_MAX * sizeof(*s->queue));
	}
	weir_reap__destroy(s->skel);
	weir_tally_fini(&s->tally);
	weir_free_ptr(&s->keys);
	weir_free_ptr(&s->values);
	weir_free_ptr(&kernel->packet->flows);
}
