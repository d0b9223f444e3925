/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer on the heap, owned by its declarer. */
#ifndef WEIR_UTIL_BUF_H
#define WEIR_UTIL_BUF_H

#include "str.h"

struct weir_buf {
	char *p;
	size_t n;
	size_t cap;
	int error; /* sticky -ENOMEM: check once at the end */
};

#define _cleanup_buf_ __attribute__((cleanup(weir_buf_fini)))

void weir_buf_fini(struct weir_buf *b);
/* Room for n more bytes; 0 or -ENOMEM. */
int weir_buf_reserve(struct weir_buf *b, size_t n);
void weir_buf_add(struct weir_buf *b, const void *p, size_t n);
void weir_buf_add_str(struct weir_buf *b, struct weir_str s);
void weir_buf_addz(struct weir_buf *b, const char *z);
__attribute__((format(printf, 2, 3))) void
weir_buf_printf(struct weir_buf *b, const char *fmt, ...);
/* s as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void weir_buf_add_json(struct weir_buf *b, struct weir_str s);

static inline struct weir_str weir_buf_str(const struct weir_buf *b)
{
	return (struct weir_str){b->p, b->n};
}

#endif
