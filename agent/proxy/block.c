/* SPDX-License-Identifier: Apache-2.0 */
#include "block.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "cleanup.h"

/* Bytes of a block of b->last. */
static size_t stride(const struct weir_blocks *b)
{
	size_t align = alignof(max_align_t);

	return (sizeof(struct weir_block) + b->size + align - 1) / align *
	       align;
}

int weir_blocks_init(struct weir_blocks *b, uint32_t size, uint32_t max)
{
	uint32_t reserve = max / 16;
	uint32_t n = reserve < WEIR_BLOCKS_LAST ? reserve : WEIR_BLOCKS_LAST;

	*b = (struct weir_blocks){.size = size, .max = max, .reserve = reserve};
	if (n) {
		b->last = malloc(n * stride(b));
		if (!b->last) {
			return -ENOMEM;
		}
		b->n_last = n;
		b->n_fresh = n;
	}
	return 0;
}

static bool is_last(const struct weir_blocks *b, const struct weir_block *block)
{
	return (uintptr_t)block - (uintptr_t)b->last < b->n_last * stride(b);
}

static struct weir_block *take_last(struct weir_blocks *b)
{
	struct weir_block *block = b->back;

	if (block) {
		b->back = block->next;
	} else if (b->n_fresh) {
		block = (struct weir_block *)(void *)(b->last +
						      --b->n_fresh * stride(b));
	}
	return block;
}

/* Unused; without memory NULL. */
static struct weir_block *take(struct weir_blocks *b)
{
	struct weir_block *block = b->free;

	if (block) {
		b->free = block->next;
		b->n_free--;
		if (b->n_free < b->n_low) {
			b->n_low = b->n_free;
		}
	} else {
		block = malloc(sizeof(*block) + b->size);
		if (block) {
			b->n_low = 0;
		}
	}
	return block;
}

static struct weir_block *begin(struct weir_blocks *b, struct weir_block *block)
{
	if (block) {
		b->n_used++;
		block->next = NULL;
		block->start = 0;
		block->end = 0;
	}
	return block;
}

struct weir_block *weir_block_get(struct weir_blocks *b)
{
	return b->n_used < b->max - b->reserve ? begin(b, take(b)) : NULL;
}

struct weir_block *weir_block_get_last(struct weir_blocks *b)
{
	struct weir_block *block;

	if (b->n_used >= b->max) {
		return NULL;
	}
	block = take(b);
	return begin(b, block ? block : take_last(b));
}

void weir_block_put(struct weir_blocks *b, struct weir_block **block)
{
	struct weir_block *p = TAKE_PTR(*block);

	if (!p) {
		return;
	}
	b->n_used--;
	if (is_last(b, p)) {
		p->next = b->back;
		b->back = p;
		return;
	}
	p->next = b->free;
	b->free = p;
	b->n_free++;
}

static void drop(struct weir_blocks *b, uint32_t n)
{
	while (n-- && b->free) {
		struct weir_block *p = b->free;

		b->free = p->next;
		b->n_free--;
		weir_free_ptr(&p);
	}
}

bool weir_blocks_trim(struct weir_blocks *b)
{
	if (b->n_low > WEIR_BLOCKS_KEPT) {
		drop(b, (b->n_low - WEIR_BLOCKS_KEPT + 1) / 2);
	}
	b->n_low = b->n_free;
	return b->n_free > WEIR_BLOCKS_KEPT;
}

void weir_blocks_fini(struct weir_blocks *b)
{
	drop(b, b->n_free);
	weir_free_ptr(&b->last);
	b->n_last = 0;
	b->n_fresh = 0;
	b->back = NULL;
}
