// SPDX-License-Identifier: Apache-2.0
/*
 * Free runs and quarantine.  Both are short lists: a free list is at most one
 * entry longer than there are live runs, and limbo holds a second's worth of
 * edits; so arrays and memmove.
 */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

int weir_pool_init(struct weir_pool *pool, uint32_t first, uint32_t n)
{
	struct weir_run *runs = calloc(16, sizeof(*runs));

	if (!runs) {
		return -ENOMEM;
	}
	runs[0] = (struct weir_run){first, n};
	*pool = (struct weir_pool){
		.free = runs,
		.n_free = n > 0,
		.cap = 16,
	};
	return 0;
}

void weir_pool_fini(struct weir_pool *pool)
{
	weir_free_ptr(&pool->free);
	*pool = (struct weir_pool){};
}

static void remove_at(struct weir_pool *pool, size_t i)
{
	memmove(pool->free + i, pool->free + i + 1,
		(pool->n_free - i - 1) * sizeof(*pool->free));
	pool->n_free--;
}

static int insert_at(struct weir_pool *pool, size_t i, struct weir_run run)
{
	if (pool->n_free == pool->cap) {
		size_t cap = pool->cap * 2;
		struct weir_run *runs = reallocarray(pool->free, cap,
						     sizeof(*runs));

		if (!runs) {
			return -ENOMEM;
		}
		pool->free = runs;
		pool->cap = cap;
	}
	memmove(pool->free + i + 1, pool->free + i,
		(pool->n_free - i) * sizeof(*pool->free));
	pool->free[i] = run;
	pool->n_free++;
	return 0;
}

/* Index of the first free run that begins after element at. */
static size_t after(const struct weir_pool *pool, uint32_t at)
{
	size_t lo = 0, hi = pool->n_free;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (pool->free[mid].first <= at) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

int weir_pool_alloc(struct weir_pool *pool, uint32_t n, uint32_t *ret_first)
{
	size_t best = SIZE_MAX;

	assert(n > 0);
	for (size_t i = 0; i < pool->n_free; i++) {
		uint32_t have = pool->free[i].n;

		if (have >= n &&
		    (best == SIZE_MAX || have < pool->free[best].n)) {
			best = i;
			if (have == n) {
				break;
			}
		}
	}
	if (best == SIZE_MAX) {
		return -ENOSPC;
	}
	*ret_first = pool->free[best].first;
	pool->free[best].first += n;
	pool->free[best].n -= n;
	if (pool->free[best].n == 0) {
		remove_at(pool, best);
	}
	return 0;
}

void weir_pool_release(struct weir_pool *pool, uint32_t first, uint32_t n)
{
	size_t i = after(pool, first);
	struct weir_run *runs = pool->free;
	bool joins_prev = i > 0 && runs[i - 1].first + runs[i - 1].n == first;
	bool joins_next = i < pool->n_free && first + n == runs[i].first;

	assert(n > 0);
	assert(i == 0 || runs[i - 1].first + runs[i - 1].n <= first);
	assert(i == pool->n_free || first + n <= runs[i].first);
	if (joins_prev && joins_next) {
		runs[i - 1].n += n + runs[i].n;
		remove_at(pool, i);
	} else if (joins_prev) {
		runs[i - 1].n += n;
	} else if (joins_next) {
		runs[i].first = first;
		runs[i].n += n;
	} else if (insert_at(pool, i, (struct weir_run){first, n}) < 0) {
		pool->n_lost += n;
	}
}

int weir_pool_carve(struct weir_pool *pool, uint32_t first, uint32_t n)
{
	size_t i = after(pool, first);
	struct weir_run old;
	uint32_t before, behind;

	if (i == 0 || n == 0) {
		return -EUCLEAN;
	}
	old = pool->free[--i];
	if ((uint64_t)first + n > (uint64_t)old.first + old.n) {
		return -EUCLEAN;
	}
	before = first - old.first;
	behind = old.n - before - n;
	if (before && behind) {
		int r = insert_at(pool, i + 1,
				  (struct weir_run){first + n, behind});

		if (r < 0) {
			return r;
		}
		pool->free[i].n = before;
	} else if (before) {
		pool->free[i].n = before;
	} else if (behind) {
		pool->free[i] = (struct weir_run){first + n, behind};
	} else {
		remove_at(pool, i);
	}
	return 0;
}

uint64_t weir_pool_left(const struct weir_pool *pool)
{
	uint64_t n = 0;

	for (size_t i = 0; i < pool->n_free; i++) {
		n += pool->free[i].n;
	}
	return n;
}

void weir_limbo_fini(struct weir_limbo *limbo)
{
	weir_free_ptr(&limbo->items);
	*limbo = (struct weir_limbo){};
}

int weir_limbo_reserve(struct weir_limbo *limbo, size_t n)
{
	struct weir_limbo_item *items;
	size_t cap = limbo->cap ? limbo->cap : 64;

	if (limbo->head > 0) {
		memmove(limbo->items, limbo->items + limbo->head,
			limbo->n * sizeof(*limbo->items));
		limbo->head = 0;
	}
	while (cap < limbo->n + n) {
		cap *= 2;
	}
	if (cap == limbo->cap) {
		return 0;
	}
	items = reallocarray(limbo->items, cap, sizeof(*items));
	if (!items) {
		return -ENOMEM;
	}
	limbo->items = items;
	limbo->cap = cap;
	return 0;
}

void weir_limbo_push(struct weir_limbo *limbo, enum weir_limbo_kind kind,
		     uint32_t first, uint32_t n, uint64_t due_ms)
{
	assert(limbo->head + limbo->n < limbo->cap);
	limbo->items[limbo->head + limbo->n] = (struct weir_limbo_item){
		.due_ms = due_ms,
		.kind = kind,
		.run = {first, n},
	};
	limbo->n++;
}

bool weir_limbo_pop(struct weir_limbo *limbo, uint64_t now_ms,
		    struct weir_limbo_item *ret_item)
{
	if (limbo->n == 0 || limbo->items[limbo->head].due_ms > now_ms) {
		return false;
	}
	*ret_item = limbo->items[limbo->head];
	limbo->head++;
	limbo->n--;
	if (limbo->n == 0) {
		limbo->head = 0;
	}
	return true;
}
