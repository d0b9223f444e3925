/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunked body.  The first byte says where it is cut.  Properties: a body
 * that was accepted, and its rewritten form, have the same data, at any cut and
 * also when data is not looked at; without its trailers too, and then nothing
 * but an empty line follows the last chunk.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "chunk.h"
#include "cleanup.h"
#include "http1.h"

#define SIZE_MAX_IN 4096

enum wanted { ALL, NO_TRAILERS, DATA };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_true)
{
	if (!is_true) {
		abort();
	}
}

/* Bytes kept of p[0..n), in two pieces; -1: refused. */
static ssize_t scan(const char *p, size_t n, size_t cut, enum wanted wanted,
		    char *out, bool *ret_done)
{
	struct weir_body b;
	size_t total = 0;
	size_t at = 0;

	weir_body_init(&b, WEIR_FRAMING_CHUNKED, 0);
	b.wants_data = wanted == DATA;
	b.no_trailers = wanted == NO_TRAILERS;
	if (cut > n) {
		cut = n;
	}
	for (int i = 0; i < 2 && !b.is_done; i++) {
		size_t k = i == 0 ? cut : n - cut;
		size_t used;
		size_t kept;

		memcpy(out + total, p + at, k);
		if (weir_body_scan(&b, out + total, k, &used, &kept) < 0) {
			return -1;
		}
		check(kept <= used && used <= k);
		check(used == k || b.is_done);
		total += kept;
		at += used;
	}
	*ret_done = b.is_done;
	return (ssize_t)total;
}

/* As scan(), but data goes by unseen, as with splice(2), and the rest comes
 * byte by byte. */
static ssize_t pass(const char *p, size_t n, char *out, bool *ret_done)
{
	struct weir_body b;
	size_t total = 0;
	size_t used;
	size_t kept;

	weir_body_init(&b, WEIR_FRAMING_CHUNKED, 0);
	for (size_t at = 0; at < n && !b.is_done; at += used) {
		uint64_t opaque = weir_body_opaque(&b);

		used = opaque < n - at ? (size_t)opaque : n - at;
		kept = used;
		memcpy(out + total, p + at, used ? used : 1);
		if (used) {
			weir_body_pass(&b, used);
		} else if (weir_body_scan(&b, out + total, 1, &used, &kept) <
			   0) {
			return -1;
		}
		total += kept;
	}
	*ret_done = b.is_done;
	return (ssize_t)total;
}

/* kept: the whole form, n_data: of the data in it. */
static void without_trailers(const char *p, size_t n, size_t cut,
			     const char *kept, ssize_t n_kept, ssize_t n_data)
{
	static char less[SIZE_MAX_IN];
	static char other[SIZE_MAX_IN];
	bool is_done;
	bool is_again_done;
	ssize_t n_less = scan(p, n, cut, NO_TRAILERS, less, &is_done);

	check(n_less >= 0 && n_less <= n_kept);
	if (!is_done) {
		/* The same, but for a CR behind trailers. */
		check(n_less == 0 ||
		      memcmp(less, kept, (size_t)n_less - 1) == 0);
		return;
	}
	check(n_less >= 4 && memcmp(less, kept, (size_t)n_less - 2) == 0);
	check(memcmp(less + n_less - 4, "\r\n\r\n", 4) == 0);
	check(scan(less, (size_t)n_less, cut, DATA, other, &is_again_done) ==
	      n_data);
	check(is_again_done);
	/* Nothing was left to be taken out. */
	check(scan(less, (size_t)n_less, 0, ALL, other, &is_again_done) ==
	      n_less);
}

static void body(const char *p, size_t n, size_t cut)
{
	static char kept[SIZE_MAX_IN];
	static char data[SIZE_MAX_IN];
	static char other[SIZE_MAX_IN];
	bool is_done = false;
	bool is_other_done = false;
	ssize_t n_kept = scan(p, n, cut, ALL, kept, &is_done);
	ssize_t n_data = scan(p, n, n, DATA, data, &is_other_done);

	check((n_kept < 0) == (n_data < 0));
	if (n_kept < 0) {
		check(pass(p, n, other, &is_other_done) < 0);
		return;
	}
	check(is_done == is_other_done);
	check(pass(p, n, other, &is_other_done) == n_kept);
	check(is_done == is_other_done);
	check(memcmp(other, kept, (size_t)n_kept) == 0);
	check(scan(kept, (size_t)n_kept, cut, DATA, other, &is_other_done) ==
	      n_data);
	check(is_done == is_other_done || !is_done);
	check(memcmp(other, data, (size_t)n_data) == 0);
	without_trailers(p, n, cut, kept, n_kept, n_data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size < 1 || size > SIZE_MAX_IN) {
		return 0;
	}
	/* An allocation of just this size: reading over its end is seen. */
	copy = malloc(size - 1 ? size - 1 : 1);
	if (!copy) {
		return 0;
	}
	memcpy(copy, data + 1, size - 1);
	body(copy, size - 1, data[0]);
	weir_free_ptr(&copy);
	return 0;
}
