/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail when a test says so, for one test program: it defines
 * malloc() and its like.  Not under AddressSanitizer, which has its own, nor
 * without glibc: CAN_FAIL is 0 there.
 */
#ifndef WEIR_TEST_FAILING_ALLOC_H
#define WEIR_TEST_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define CAN_FAIL 0
#else
#define CAN_FAIL 1

static long countdown = -1; /* allocations until the failing one; -1: never */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool fails(void)
{
	if (countdown > 0) {
		countdown--;
	}
	return countdown == 0;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
#endif

#endif
