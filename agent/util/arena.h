/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator: everything in it dies together.  Chunks double from the
 * first size up to 64 KiB, so an arena may be as small as one object.
 */
#ifndef WEIR_UTIL_ARENA_H
#define WEIR_UTIL_ARENA_H

#include "str.h"

struct weir_arena_chunk;

struct weir_arena {
	struct weir_arena_chunk *chunk;
	size_t next_size; /* of the next chunk, bytes */
	size_t used;      /* bytes handed out */
};

/* first_size: bytes of the first chunk, made at the first allocation. */
void weir_arena_init(struct weir_arena *a, size_t first_size);
/* For much memory that lives shortly: the first size bytes are mapped, in huge
 * pages where the kernel grants them (a fault costs about as much as filling
 * half a page), and go back to the kernel at once.  0 or -ENOMEM. */
int weir_arena_init_mapped(struct weir_arena *a, size_t size);
void weir_arena_fini(struct weir_arena *a);
/* Zeroed, 8-byte aligned; NULL when memory is out. */
void *weir_arena_alloc(struct weir_arena *a, size_t n);
/* n elements of size each, zeroed; NULL on overflow or lack of memory. */
void *weir_arena_array(struct weir_arena *a, size_t n, size_t size);
/* Copies; p is NULL when memory is out and s was not empty.  A NUL follows
 * the copy, for the borders where C strings are wanted. */
struct weir_str weir_arena_dup(struct weir_arena *a, struct weir_str s);
__attribute__((format(printf, 2, 3))) struct weir_str
weir_arena_printf(struct weir_arena *a, const char *fmt, ...);

#endif
