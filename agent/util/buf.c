/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void weir_buf_fini(struct weir_buf *b)
{
	free(b->p);
	*b = (struct weir_buf){0};
}

int weir_buf_reserve(struct weir_buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 256;
	char *p;

	if (b->error) {
		return b->error;
	}
	if (n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4) {
		return b->error = -ENOMEM;
	}
	if (b->cap - b->n >= n) {
		return 0;
	}
	while (cap - b->n < n) {
		cap *= 2;
	}
	p = realloc(b->p, cap);
	if (!p) {
		return b->error = -ENOMEM;
	}
	b->p = p;
	b->cap = cap;
	return 0;
}

void weir_buf_add(struct weir_buf *b, const void *p, size_t n)
{
	if (n == 0 || weir_buf_reserve(b, n) < 0) {
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void weir_buf_add_str(struct weir_buf *b, struct weir_str s)
{
	weir_buf_add(b, s.p, s.n);
}

void weir_buf_addz(struct weir_buf *b, const char *z)
{
	weir_buf_add(b, z, strlen(z));
}

void weir_buf_printf(struct weir_buf *b, const char *fmt, ...)
{
	va_list ap;
	va_list again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && weir_buf_reserve(b, (size_t)n + 1) == 0) {
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

/* Length of the valid UTF-8 sequence at p (RFC 3629), or 0. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80   ? 1
		     : p[0] < 0xC2 ? 0
		     : p[0] < 0xE0 ? 2
		     : p[0] < 0xF0 ? 3
		     : p[0] < 0xF5 ? 4
				   : 0;

	if (len > n) {
		return 0;
	}
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xC0) != 0x80) {
			return 0;
		}
	}
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
	    (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) {
		return 0;
	}
	return len;
}

void weir_buf_add_json(struct weir_buf *b, struct weir_str s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	weir_buf_addz(b, "\"");
	for (size_t i = 0; i < s.n;) {
		size_t len = utf8_len(p + i, s.n - i);

		if (len == 0) {
			weir_buf_addz(b, "\\ufffd");
			i++;
		} else if (p[i] == '"' || p[i] == '\\') {
			weir_buf_printf(b, "\\%c", p[i++]);
		} else if (p[i] < 0x20) {
			weir_buf_printf(b, "\\u%04x", p[i++]);
		} else {
			weir_buf_add(b, p + i, len);
			i += len;
		}
	}
	weir_buf_addz(b, "\"");
}
