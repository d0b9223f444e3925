// SPDX-License-Identifier: Apache-2.0
#include "gate.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "map.h"

struct weir_gate *weir_gate_get(struct weir_gate *gate)
{
	atomic_fetch_add_explicit(&gate->refs, 1, memory_order_relaxed);
	return gate;
}

void weir_gate_put(struct weir_gate **gatep)
{
	struct weir_gate *gate = TAKE_PTR(*gatep);

	if (gate && atomic_fetch_sub_explicit(&gate->refs, 1,
					      memory_order_acq_rel) == 1) {
		weir_free_ptr(&gate);
	}
}

void weir_gates_put(struct weir_gate ***gates, uint32_t n)
{
	for (uint32_t i = 0; *gates && i < n; i++) {
		weir_gate_put(&(*gates)[i]);
	}
	weir_free_ptr(gates);
}

void weir_gates_fini(struct weir_gates *all)
{
	weir_gates_put(&all->v, all->n);
	*all = (struct weir_gates){0};
}

/* Only the control thread makes references out of nothing, so the last one
 * that all has stays the last. */
static void forget_unused(struct weir_gates *all)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < all->n; i++) {
		if (atomic_load_explicit(&all->v[i]->refs,
					 memory_order_acquire) == 1) {
			weir_gate_put(&all->v[i]);
		} else {
			all->v[n++] = all->v[i];
		}
	}
	all->n = n;
}

static struct weir_gate *add(struct weir_gates *all, uint64_t key,
			     uint32_t n_workers)
{
	struct weir_gate *gate;

	if (all->n == all->cap) {
		uint32_t cap = all->cap ? all->cap * 2 : 16;
		struct weir_gate **v = reallocarray(all->v, cap, sizeof(*v));

		if (!v) {
			return NULL;
		}
		all->v = v;
		all->cap = cap;
	}
	gate = calloc(1, sizeof(*gate) + n_workers * sizeof(*gate->since_us));
	if (!gate) {
		return NULL;
	}
	atomic_init(&gate->refs, 1);
	gate->key = key;
	gate->n_workers = n_workers;
	all->v[all->n++] = gate;
	return gate;
}

static int fill(struct weir_gates *all, const struct weir_map *known,
		const struct weir_plan *plan, uint32_t n_workers,
		struct weir_gate **gates)
{
	const struct weir_group *g = weir_plan_at(plan, plan->groups);

	for (uint32_t i = 0; i < plan->groups.n; i++) {
		struct weir_gate *gate;
		uint64_t found;

		if (g[i].concurrency == 0) {
			continue;
		}
		gate = weir_map_get(known, g[i].key, &found)
			       ? (struct weir_gate *)(uintptr_t)found
			       : add(all, g[i].key, n_workers);
		if (!gate) {
			return -ENOMEM;
		}
		gates[i] = weir_gate_get(gate);
	}
	return 0;
}

static bool has_limits(const struct weir_plan *plan)
{
	const struct weir_group *g = weir_plan_at(plan, plan->groups);

	for (uint32_t i = 0; i < plan->groups.n; i++) {
		if (g[i].concurrency) {
			return true;
		}
	}
	return false;
}

int weir_gates_of(struct weir_gates *all, const struct weir_plan *plan,
		  uint32_t n_workers, struct weir_gate ***ret_gates)
{
	struct weir_map known = {0};
	struct weir_gate **gates;
	int r = 0;

	*ret_gates = NULL;
	forget_unused(all);
	if (!has_limits(plan)) {
		return 0;
	}
	gates = calloc(plan->groups.n, sizeof(struct weir_gate *));
	if (!gates) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; r == 0 && i < all->n; i++) {
		r = weir_map_put(&known, all->v[i]->key, (uintptr_t)all->v[i]);
	}
	if (r == 0) {
		r = fill(all, &known, plan, n_workers, gates);
	}
	weir_map_fini(&known);
	if (r < 0) {
		weir_gates_put(&gates, plan->groups.n);
		return r;
	}
	*ret_gates = gates;
	return 0;
}

void weir_gate_wait(struct weir_gate *gate, uint32_t worker, uint64_t since_us)
{
	atomic_store_explicit(&gate->since_us[worker], since_us,
			      memory_order_relaxed);
	/* Before it looks for a place: weir_gate_oldest(). */
	atomic_thread_fence(memory_order_seq_cst);
}

uint32_t weir_gate_oldest(const struct weir_gate *gate)
{
	uint32_t oldest = WEIR_GATE_NOBODY;
	uint64_t least = UINT64_MAX;

	/* After a place became free. */
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < gate->n_workers; i++) {
		uint64_t since = atomic_load_explicit(&gate->since_us[i],
						      memory_order_relaxed);

		if (since && since < least) {
			least = since;
			oldest = i;
		}
	}
	return oldest;
}

bool weir_gate_take(uint64_t *in_flight, uint32_t limit)
{
	uint64_t n = __atomic_load_n(in_flight, __ATOMIC_RELAXED);

	/* Not added and taken back: another one would find it full meanwhile.
	 */
	do {
		if ((int64_t)n >= (int64_t)limit) {
			return false;
		}
	} while (!__atomic_compare_exchange_n(in_flight, &n, n + 1, true,
					      __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	return true;
}
