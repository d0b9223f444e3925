/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <errno.h>

#include "secrets.h"

#define ALIGN 8

/* What all headers begin with. */
struct block_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_size;
	uint64_t size;
};

_Static_assert(offsetof(struct weir_plan, size) ==
		       offsetof(struct block_header, size),
	       "rules header");
_Static_assert(offsetof(struct weir_eps, size) ==
		       offsetof(struct block_header, size),
	       "endpoints header");
_Static_assert(offsetof(struct weir_secrets, size) ==
		       offsetof(struct block_header, size),
	       "secrets header");

static struct weir_span append(struct weir_writer *w, const void *v, size_t n,
			       size_t bytes, size_t align)
{
	static const char zeroes[ALIGN];
	struct weir_span span = {0};
	size_t pad = -w->buf.n & (align - 1);

	if (w->error || n == 0) {
		return span;
	}
	if (n > UINT32_MAX || bytes > UINT32_MAX - ALIGN - w->buf.n) {
		w->error = -EFBIG;
		return span;
	}
	weir_buf_add(&w->buf, zeroes, pad);
	span.off = (uint32_t)w->buf.n;
	span.n = (uint32_t)n;
	if (v) {
		weir_buf_add(&w->buf, v, bytes);
	} else if (weir_buf_reserve(&w->buf, bytes) == 0) {
		memset(w->buf.p + w->buf.n, 0, bytes);
		w->buf.n += bytes;
	}
	if (w->buf.error) {
		w->error = w->buf.error;
		return (struct weir_span){0};
	}
	return span;
}

void weir_writer_init(struct weir_writer *w, size_t header_size)
{
	*w = (struct weir_writer){0};
	append(w, NULL, 1, header_size, ALIGN);
	if (!w->error) {
		((struct block_header *)w->buf.p)->header_size =
			(uint16_t)header_size;
	}
}

void weir_writer_fini(struct weir_writer *w)
{
	weir_buf_fini(&w->buf);
	weir_map_fini(&w->texts);
}

struct weir_span weir_writer_add(struct weir_writer *w, const void *v, size_t n,
				 size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		w->error = w->error ? w->error : -EFBIG;
		return (struct weir_span){0};
	}
	return append(w, v, n, bytes, ALIGN);
}

struct weir_span weir_writer_reserve(struct weir_writer *w, size_t n,
				     size_t size)
{
	return weir_writer_add(w, NULL, n, size);
}

void weir_writer_room(struct weir_writer *w, uint32_t n, size_t size)
{
	weir_writer_reserve(w, weir_plan_room(n) - n, size);
}

struct weir_span weir_writer_text(struct weir_writer *w, struct weir_str s)
{
	uint64_t hash = weir_str_hash(s, 0);
	struct weir_span span;
	uint64_t packed;
	int r;

	if (w->error || s.n == 0) {
		return (struct weir_span){0};
	}
	if (weir_map_get(&w->texts, hash, &packed)) {
		span = (struct weir_span){(uint32_t)(packed >> 32),
					  (uint32_t)packed};
		if (weir_str_eq(weir_writer_str(w, span), s)) {
			return span;
		}
	}
	span = append(w, s.p, s.n, s.n, 1);
	if (w->error) {
		return span;
	}
	r = weir_map_put(&w->texts, hash, (uint64_t)span.off << 32 | span.n);
	if (r < 0) {
		w->error = r;
	}
	return span;
}

void *weir_writer_at(struct weir_writer *w, struct weir_span span)
{
	return w->buf.p + span.off;
}

struct weir_str weir_writer_str(const struct weir_writer *w,
				struct weir_span span)
{
	return (struct weir_str){w->buf.p + span.off, span.n};
}

int weir_writer_finish(struct weir_writer *w, uint32_t magic, void **ret_block,
		       size_t *ret_size)
{
	struct block_header *header;
	int r;

	/* The end is aligned too, so that blocks can follow each other. */
	append(w, NULL, 1, -w->buf.n & (ALIGN - 1), 1);
	r = w->error;
	if (r < 0) {
		weir_writer_fini(w);
		return r;
	}
	header = (struct block_header *)w->buf.p;
	header->magic = magic;
	header->version = WEIR_PLAN_VERSION;
	header->size = w->buf.n;
	*ret_size = w->buf.n;
	*ret_block = w->buf.p;
	w->buf = (struct weir_buf){0};
	weir_writer_fini(w);
	return 0;
}
