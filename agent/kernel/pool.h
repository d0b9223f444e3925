/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of consecutive elements in one of the kernel's arrays, and the queue
 * that keeps what was unpublished away from reuse.  Knows no BPF.
 */
#ifndef WEIR_KERNEL_POOL_H
#define WEIR_KERNEL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_run {
	uint32_t first;
	uint32_t n;
};

/* Free runs in ascending order, never adjacent. */
struct weir_pool {
	struct weir_run *free;
	size_t n_free;
	size_t cap;
	uint32_t n_lost; /* elements that could not be noted as free */
};

/* Elements first..first+n-1 are free.  0 or -ENOMEM. */
int weir_pool_init(struct weir_pool *pool, uint32_t first, uint32_t n);
void weir_pool_fini(struct weir_pool *pool);
/* Smallest free run that holds n (n > 0), so that large ones stay whole.
 * -ENOSPC. */
int weir_pool_alloc(struct weir_pool *pool, uint32_t n, uint32_t *ret_first);
/* Without memory for its note the run is lost until a restart (n_lost). */
void weir_pool_release(struct weir_pool *pool, uint32_t first, uint32_t n);
/* Takes exactly this run, at adoption.  -EUCLEAN: not all of it was free. */
int weir_pool_carve(struct weir_pool *pool, uint32_t first, uint32_t n);
/* Free elements. */
uint64_t weir_pool_left(const struct weir_pool *pool);

/* What a program that started before the unpublishing may still read. */
enum weir_limbo_kind {
	WEIR_LIMBO_ROW, /* a run of weir_row */
	WEIR_LIMBO_EP,  /* a run of weir_ep */
	WEIR_LIMBO_FID,
	WEIR_LIMBO_GID,
};

struct weir_limbo_item {
	uint64_t due_ms;
	uint32_t kind;
	struct weir_run run; /* ids: n is 1 */
};

/* First in, first out. */
struct weir_limbo {
	struct weir_limbo_item *items;
	size_t head;
	size_t n; /* items waiting, from head on */
	size_t cap;
};

void weir_limbo_fini(struct weir_limbo *limbo);
/* Room for n more, so that the pushes cannot fail.  0 or -ENOMEM. */
int weir_limbo_reserve(struct weir_limbo *limbo, size_t n);
void weir_limbo_push(struct weir_limbo *limbo, enum weir_limbo_kind kind,
		     uint32_t first, uint32_t n, uint64_t due_ms);
/* Next item whose time has come by now_ms; false if there is none. */
bool weir_limbo_pop(struct weir_limbo *limbo, uint64_t now_ms,
		    struct weir_limbo_item *ret_item);

#endif
