/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of HTTP/1.1 requests: by a grammar that leans towards what parsers
 * disagree on, then with a few bytes changed.  The same seed and index make
 * the same stream, whatever was made before it.
 */
#ifndef WEIR_DIFFERENTIAL_STREAM_H
#define WEIR_DIFFERENTIAL_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_MAX 32768

struct corpus {
	char **v;
	uint32_t *size;
	uint32_t n;
};

/* Reads "u32 size, bytes" records of a file; 0 or -errno. */
int corpus_load(const char *file, struct corpus *ret_corpus);
/* Stream number index into p (STREAM_MAX bytes); returns its size.  The first
 * corpus->n ones are the corpus itself. */
size_t stream_make(uint64_t seed, uint64_t index, const struct corpus *corpus,
		   char *p);

/* A backend's answer to a request; the first byte says whether it was a HEAD
 * ("H") and is not part of it. */
size_t stream_make_response(uint64_t seed, uint64_t index, char *p);

#endif
