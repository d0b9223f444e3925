/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CHUNK_MAX ((size_t)64 << 10)
#define HUGE_PAGE ((size_t)2 << 20)

struct weir_arena_chunk {
	struct weir_arena_chunk *next;
	size_t size;
	size_t used;
	void *map; /* of map_size bytes, with this chunk inside; or NULL */
	size_t map_size;
	_Alignas(8) char data[];
};

void weir_arena_init(struct weir_arena *a, size_t first_size)
{
	*a = (struct weir_arena){.next_size = first_size < 64 ? 64
							      : first_size};
}

void weir_arena_fini(struct weir_arena *a)
{
	while (a->chunk) {
		struct weir_arena_chunk *next = a->chunk->next;

		if (a->chunk->map) {
			munmap(a->chunk->map, a->chunk->map_size);
		} else {
			free(a->chunk);
		}
		a->chunk = next;
	}
	a->used = 0;
}

int weir_arena_init_mapped(struct weir_arena *a, size_t size)
{
	struct weir_arena_chunk *c;
	size_t map_size;
	uintptr_t at;
	void *map;

	weir_arena_init(a, CHUNK_MAX);
	if (size > SIZE_MAX / 2) {
		return -ENOMEM;
	}
	/* Room to begin at a huge page; what is not touched costs nothing. */
	size = (size + sizeof(*c) + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	map_size = size + HUGE_PAGE;
	map = mmap(NULL, map_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		return -ENOMEM;
	}
	at = ((uintptr_t)map + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	c = (struct weir_arena_chunk *)at;
	(void)madvise(c, size, MADV_HUGEPAGE);
	c->map = map;
	c->map_size = map_size;
	c->size = size - sizeof(*c);
	a->chunk = c;
	return 0;
}

static struct weir_arena_chunk *chunk_new(struct weir_arena *a, size_t n)
{
	size_t size = a->next_size > n ? a->next_size : n;
	struct weir_arena_chunk *c = calloc(1, sizeof(*c) + size);

	if (!c) {
		return NULL;
	}
	c->size = size;
	c->next = a->chunk;
	a->chunk = c;
	if (a->next_size < CHUNK_MAX) {
		a->next_size *= 2;
	}
	return c;
}

void *weir_arena_alloc(struct weir_arena *a, size_t n)
{
	struct weir_arena_chunk *c = a->chunk;
	void *p;

	if (n > SIZE_MAX / 2) {
		return NULL;
	}
	n = (n + 7) & ~(size_t)7;
	if (!c || c->size - c->used < n) {
		c = chunk_new(a, n);
		if (!c) {
			return NULL;
		}
	}
	p = c->data + c->used;
	c->used += n;
	a->used += n;
	return p;
}

void *weir_arena_array(struct weir_arena *a, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		return NULL;
	}
	return weir_arena_alloc(a, bytes);
}

struct weir_str weir_arena_dup(struct weir_arena *a, struct weir_str s)
{
	char *p;

	if (s.n == 0) {
		return WEIR_STR("");
	}
	p = weir_arena_alloc(a, s.n + 1);
	if (!p) {
		return WEIR_STR_NULL;
	}
	memcpy(p, s.p, s.n);
	return (struct weir_str){p, s.n};
}

struct weir_str weir_arena_printf(struct weir_arena *a, const char *fmt, ...)
{
	va_list ap;
	va_list again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = n < 0 ? NULL : weir_arena_alloc(a, (size_t)n + 1);
	if (p) {
		vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return p ? (struct weir_str){p, (size_t)n} : WEIR_STR_NULL;
}
