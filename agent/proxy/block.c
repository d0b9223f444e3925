/* SPDX-License-Identifier: Apache-2.0 */
#include "block.h"

#include <stdlib.h>

#include "cleanup.h"

void weir_blocks_init(struct weir_blocks *b, uint32_t size, uint32_t max)
{
	*b = (struct weir_blocks){
		.size = size, .max = max, .reserve = max / 16};
}

struct weir_block *weir_block_get(struct weir_blocks *b)
{
	return b->n_used < b->max - b->reserve ? weir_block_get_last(b) : NULL;
}

struct weir_block *weir_block_get_last(struct weir_blocks *b)
{
	struct weir_block *block = b->free;

	if (block) {
		b->free = block->next;
		b->n_free--;
		if (b->n_free < b->n_low) {
			b->n_low = b->n_free;
		}
	} else {
		if (b->n_used >= b->max) {
			return NULL;
		}
		block = malloc(sizeof(*block) + b->size);
		if (!block) {
			return NULL;
		}
		b->n_low = 0;
	}
	b->n_used++;
	block->next = NULL;
	block->start = 0;
	block->end = 0;
	return block;
}

void weir_block_put(struct weir_blocks *b, struct weir_block **block)
{
	struct weir_block *p = TAKE_PTR(*block);

	if (!p) {
		return;
	}
	p->next = b->free;
	b->free = p;
	b->n_free++;
	b->n_used--;
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
}
