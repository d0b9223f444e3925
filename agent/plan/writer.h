/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds one flat block: a header, then arrays and texts, each named by a
 * span.  Arrays are 8-byte aligned; equal texts are stored once.  The same
 * calls in the same order give the same bytes.
 *
 * The block moves while it grows: pointers from weir_writer_at() live until the
 * next call that adds.  Errors are sticky; spans are empty after one, and
 * weir_writer_finish() reports it.
 */
#ifndef WEIR_PLAN_WRITER_H
#define WEIR_PLAN_WRITER_H

#include "buf.h"
#include "map.h"
#include "plan.h"

struct weir_writer {
	struct weir_buf buf;
	struct weir_map texts; /* hash of a text -> its span, packed */
	int error;
};

/* header_size: sizeof(struct weir_plan), weir_eps or weir_secrets. */
void weir_writer_init(struct weir_writer *w, size_t header_size);
void weir_writer_fini(struct weir_writer *w);
/* Copies n elements of size bytes each.  n = 0: the empty span. */
struct weir_span weir_writer_add(struct weir_writer *w, const void *v, size_t n,
				 size_t size);
/* n zeroed elements, to be filled through weir_writer_at(). */
struct weir_span weir_writer_reserve(struct weir_writer *w, size_t n,
				     size_t size);
/*
 * Arrays that grow when a KIngress comes have room behind them, so that what
 * came can be put into a copy of the block (compile/graft.c).  Few elements
 * have none: a compilation takes no longer.  How many there is room for follows
 * from how many there are, before and after.
 */
#define WEIR_PLAN_ROOM 256u
static inline uint32_t weir_plan_room(uint32_t n)
{
	return n < WEIR_PLAN_ROOM ? n
				  : (n / WEIR_PLAN_ROOM + 1) * WEIR_PLAN_ROOM;
}
/* May n become n + more? */
static inline bool weir_plan_has_room(uint32_t n, uint32_t more)
{
	return more == 0 || (n >= WEIR_PLAN_ROOM && more < WEIR_PLAN_ROOM &&
			     n + more < weir_plan_room(n));
}
/* Behind the last array, of n elements. */
void weir_writer_room(struct weir_writer *w, uint32_t n, size_t size);
/* Interned; an empty text is the empty span. */
struct weir_span weir_writer_text(struct weir_writer *w, struct weir_str s);
/* Start of the block (offset 0: its header), or of a span.  Only without
 * .error. */
void *weir_writer_at(struct weir_writer *w, struct weir_span span);
struct weir_str weir_writer_str(const struct weir_writer *w,
				struct weir_span span);
/* The block on the heap (free with weir_free_ptr) with magic, version, sizes
 * filled in; w is empty afterwards.  -ENOMEM, or -EFBIG above 4 GiB. */
int weir_writer_finish(struct weir_writer *w, uint32_t magic, void **ret_block,
		       size_t *ret_size);

#endif
