/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of one worker: equal blocks, most recently used first.  A connection
 * holds one only while bytes wait in it; the sum is bounded.
 */
#ifndef WEIR_PROXY_BLOCK_H
#define WEIR_PROXY_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct weir_block {
	struct weir_block *next;
	uint32_t start; /* bytes before it are done with */
	uint32_t end;
	char data[];
};

#define WEIR_BLOCKS_KEPT 16 /* free blocks that a trim leaves */
#define WEIR_BLOCKS_LAST 4  /* of the reserve: memory from the beginning */

struct weir_blocks {
	struct weir_block *free;
	uint32_t size; /* bytes of data[] */
	uint32_t n_free;
	uint32_t n_low; /* least n_free since the last trim */
	uint32_t n_used;
	uint32_t max;     /* used and free */
	uint32_t reserve; /* of these, for weir_block_get_last() alone */
	/* Blocks for when malloc() has none: its pages come with their use. */
	char *last;
	uint32_t n_last;         /* blocks in it */
	uint32_t n_fresh;        /* of them, never used: the first ones */
	struct weir_block *back; /* used, and free again */
};

/* size: bytes of a block; max: blocks.  0, or -ENOMEM. */
int weir_blocks_init(struct weir_blocks *b, uint32_t size, uint32_t max);
void weir_blocks_fini(struct weir_blocks *b);
/* Empty; NULL at the limit or without memory. */
struct weir_block *weir_block_get(struct weir_blocks *b);
/* From the reserve, too, some of which needs no memory: for what says that
 * there is none left. */
struct weir_block *weir_block_get_last(struct weir_blocks *b);
/* *block may be NULL, and is afterwards. */
void weir_block_put(struct weir_blocks *b, struct weir_block **block);
/* Gives back half of what lay unused since the last call; true if some may be
 * left to give. */
bool weir_blocks_trim(struct weir_blocks *b);

/* Few are left: it is time to get some back. */
static inline bool weir_blocks_are_short(const struct weir_blocks *b)
{
	return b->n_used > b->max - b->max / 8;
}

static inline uint32_t weir_block_len(const struct weir_block *b)
{
	return b ? b->end - b->start : 0;
}

#endif
