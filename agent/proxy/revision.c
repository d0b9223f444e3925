// SPDX-License-Identifier: Apache-2.0
#include "revision.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "map.h"

struct weir_rev *weir_rev_get(struct weir_rev *rev)
{
	atomic_fetch_add_explicit(&rev->refs, 1, memory_order_relaxed);
	return rev;
}

void weir_rev_put(struct weir_rev **revp)
{
	struct weir_rev *rev = TAKE_PTR(*revp);

	if (rev && atomic_fetch_sub_explicit(&rev->refs, 1,
					     memory_order_acq_rel) == 1) {
		weir_free_ptr(&rev);
	}
}

static void copy(char out[static WEIR_REV_TEXT_MAX], struct weir_str s)
{
	size_t n = s.n < WEIR_REV_TEXT_MAX ? s.n : WEIR_REV_TEXT_MAX - 1;

	memcpy(out, s.p, n);
	out[n] = '\0';
}

static struct weir_rev *alloc_rev(struct weir_str ns, struct weir_str name,
				  uint64_t key, uint32_t n_workers)
{
	size_t size = sizeof(struct weir_rev) +
		      n_workers * sizeof(struct weir_rev_slot);
	struct weir_rev *rev = aligned_alloc(_Alignof(struct weir_rev), size);

	if (!rev) {
		return NULL;
	}
	memset(rev, 0, size);
	atomic_init(&rev->refs, 1);
	rev->key = key;
	rev->n_slots = n_workers;
	copy(rev->ns, ns);
	copy(rev->name, name);
	return rev;
}

/* A key is a hash. */
static bool is_it(const struct weir_rev *rev, struct weir_str ns,
		  struct weir_str name)
{
	return weir_str_is(ns, rev->ns) && weir_str_is(name, rev->name);
}

static int fill(const struct weir_plan *plan, uint32_t n_workers,
		const struct weir_map *known, struct weir_rev **revs)
{
	for (uint32_t i = 0; i < plan->revisions.n; i++) {
		const struct weir_revision *r = WEIR_PLAN_ELEM(
			plan, struct weir_revision, plan->revisions, i);
		struct weir_str ns = weir_plan_str(plan, r->ns);
		struct weir_str name = weir_plan_str(plan, r->name);
		uint64_t key = weir_str_hash(name, weir_str_hash(ns, 0)) | 1;
		uint64_t found;
		struct weir_rev *old = NULL;

		if (weir_map_get(known, key, &found)) {
			old = (struct weir_rev *)(uintptr_t)found;
		}
		revs[i] = old && is_it(old, ns, name)
				  ? weir_rev_get(old)
				  : alloc_rev(ns, name, key, n_workers);
		if (!revs[i]) {
			return -ENOMEM;
		}
	}
	return 0;
}

int weir_revs_new(const struct weir_plan *plan, uint32_t n_workers,
		  struct weir_rev *const *before, uint32_t n_before,
		  struct weir_rev ***ret_revs)
{
	uint32_t n = plan->revisions.n;
	struct weir_map known = {0};
	struct weir_rev **revs;
	int r = 0;

	*ret_revs = NULL;
	if (n == 0) {
		return 0;
	}
	revs = calloc(n, sizeof(*revs));
	if (!revs) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; r == 0 && i < n_before; i++) {
		r = weir_map_put(&known, before[i]->key, (uintptr_t)before[i]);
	}
	if (r == 0) {
		r = fill(plan, n_workers, &known, revs);
	}
	weir_map_fini(&known);
	if (r < 0) {
		weir_revs_free(&revs, n);
		return r;
	}
	*ret_revs = revs;
	return 0;
}

void weir_revs_free(struct weir_rev ***revs, uint32_t n)
{
	for (uint32_t i = 0; *revs && i < n; i++) {
		weir_rev_put(&(*revs)[i]);
	}
	weir_free_ptr(revs);
}

/* One writer, and a reader that tries again when it was disturbed. */
void weir_rev_count(struct weir_rev *rev, uint32_t worker, int delta,
		    uint64_t now_us)
{
	struct weir_rev_slot *s = &rev->slots[worker];
	uint32_t seq = s->seq;
	uint64_t area = s->area;

	if (now_us > s->since_us) {
		area += s->in_flight * (now_us - s->since_us);
	}
	__atomic_store_n(&s->seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&s->area, area, __ATOMIC_RELAXED);
	__atomic_store_n(&s->since_us, now_us, __ATOMIC_RELAXED);
	__atomic_store_n(&s->in_flight, s->in_flight + (uint32_t)delta,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&s->n, s->n + (delta > 0), __ATOMIC_RELAXED);
	__atomic_store_n(&s->seq, seq + 2, __ATOMIC_RELEASE);
}

static struct weir_rev_slot read_slot(const struct weir_rev_slot *s)
{
	struct weir_rev_slot v;

	for (;;) {
		v.seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
		v.in_flight = __atomic_load_n(&s->in_flight, __ATOMIC_RELAXED);
		v.area = __atomic_load_n(&s->area, __ATOMIC_RELAXED);
		v.since_us = __atomic_load_n(&s->since_us, __ATOMIC_RELAXED);
		v.n = __atomic_load_n(&s->n, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (v.seq % 2 == 0 &&
		    v.seq == __atomic_load_n(&s->seq, __ATOMIC_RELAXED)) {
			return v;
		}
	}
}

void weir_rev_sum(const struct weir_rev *rev, uint64_t now_us,
		  struct weir_rev_sum *ret_sum)
{
	struct weir_rev_sum sum = {0};

	for (uint32_t i = 0; i < rev->n_slots; i++) {
		struct weir_rev_slot v = read_slot(&rev->slots[i]);

		sum.in_flight += v.in_flight;
		sum.n += v.n;
		sum.area += v.area;
		if (now_us > v.since_us) {
			sum.area += v.in_flight * (now_us - v.since_us);
		}
	}
	*ret_sum = sum;
}

bool weir_rev_is_early(const struct weir_rev *rev, uint64_t pod)
{
	for (size_t i = 0; i < WEIR_REV_EARLY; i++) {
		if (atomic_load_explicit(&rev->early[i],
					 memory_order_acquire) == pod) {
			return true;
		}
	}
	return false;
}

void weir_rev_set_early(struct weir_rev *rev, uint64_t pod, bool is_early)
{
	uint64_t from = is_early ? 0 : pod;

	for (size_t i = 0; i < WEIR_REV_EARLY; i++) {
		uint64_t want = from;

		if (atomic_compare_exchange_strong(&rev->early[i], &want,
						   is_early ? pod : 0)) {
			return;
		}
	}
}
