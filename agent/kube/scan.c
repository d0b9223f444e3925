/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only brackets, quotes and, at the top of a list, names are looked at: what an
 * object is made of, its reader checks.  An object is what is between a brace
 * at the object depth (0 of a watch, 2 of a list: list, items) and its match.
 */
#include "scan.h"

#include <errno.h>

#define NAME_MAX 64
#define KEPT_MIN ((size_t)64 << 10) /* more is given back after an object */

enum place {
	PLACE_OTHER,
	PLACE_METADATA,
	PLACE_ITEMS,
};

void weir_scan_init(struct weir_scan *scan, enum weir_scan_kind kind,
		    weir_scan_fn fn, void *arg)
{
	*scan = (struct weir_scan){.kind = kind,
				   .fn = fn,
				   .arg = arg,
				   .max = WEIR_SCAN_OBJECT_MAX};
}

void weir_scan_fini(struct weir_scan *scan)
{
	weir_buf_fini(&scan->kept);
	weir_buf_fini(&scan->metadata);
	weir_buf_fini(&scan->name);
}

static bool is_in_object(const struct weir_scan *s)
{
	return s->kind == WEIR_SCAN_WATCH
		       ? s->depth > 0
		       : s->place == PLACE_ITEMS && s->depth > 2;
}

static int keep_object(struct weir_scan *s, const char *p, size_t n)
{
	if (s->kept.n + n > s->max) {
		s->is_cut = true;
	} else if (!s->is_cut) {
		weir_buf_add(&s->kept, p, n);
	}
	return s->kept.error;
}

/* Outside of objects: what is of use of a list's own members. */
static int keep(struct weir_scan *s, const char *p, size_t n)
{
	if (s->place == PLACE_METADATA && s->depth > 1) {
		if (s->metadata.n + n > KEPT_MIN) {
			return -EBADMSG;
		}
		weir_buf_add(&s->metadata, p, n);
		return s->metadata.error;
	}
	/* No name that is looked for is as long. */
	if (s->is_name && s->name.n <= NAME_MAX) {
		weir_buf_add(&s->name, p, n < NAME_MAX ? n : NAME_MAX);
		return s->name.error;
	}
	return 0;
}

static int object_is_whole(struct weir_scan *s)
{
	int r = s->fn(s->arg, weir_buf_str(&s->kept), s->is_cut);

	s->kept.n = 0;
	s->is_cut = false;
	if (s->kept.cap > KEPT_MIN) {
		weir_buf_fini(&s->kept);
	}
	return r;
}

static int push(struct weir_scan *s, char c)
{
	uint64_t bit = 1ULL << (s->depth % 64);

	if (s->depth >= WEIR_SCAN_DEPTH_MAX) {
		return -EBADMSG;
	}
	if (c == '{') {
		s->braces[s->depth / 64] |= bit;
	} else {
		s->braces[s->depth / 64] &= ~bit;
	}
	s->depth++;
	return 0;
}

static int pop(struct weir_scan *s, char c)
{
	uint32_t top = s->depth - 1;

	if (s->depth == 0 ||
	    !!(s->braces[top / 64] >> (top % 64) & 1) != (c == '}')) {
		return -EBADMSG;
	}
	s->depth--;
	return 0;
}

/* Behind the end of a string, or n; at: in it. */
static size_t pass_string(struct weir_scan *s, const char *p, size_t n)
{
	size_t i = 0;

	for (; i < n; i++) {
		if (s->is_escaped) {
			s->is_escaped = false;
		} else if (p[i] == '\\') {
			s->is_escaped = true;
		} else if (p[i] == '"') {
			s->is_in_string = false;
			return i + 1;
		}
	}
	return i;
}

/* From a byte in an object on: most of all bytes.  Returns how many were
 * taken. */
static size_t in_object(struct weir_scan *s, const char *p, size_t n)
{
	size_t i = 0;
	int r = 0;

	while (i < n && r == 0 && is_in_object(s)) {
		char c = p[i];

		if (s->is_in_string) {
			i += pass_string(s, p + i, n - i);
			continue;
		}
		i++;
		if (c == '"') {
			s->is_in_string = true;
		} else if (c == '{' || c == '[') {
			r = push(s, c);
		} else if (c == '}' || c == ']') {
			r = pop(s, c);
		}
	}
	if (r == 0) {
		r = keep_object(s, p, i);
	}
	if (r == 0 && !is_in_object(s)) {
		r = object_is_whole(s);
	}
	s->error = r;
	return i;
}

static int open_bracket(struct weir_scan *s, char c)
{
	int r;

	/* What begins where an object is expected is one. */
	if (s->is_over || (s->depth == 0 && c != '{')) {
		return -EBADMSG;
	}
	if (s->kind == WEIR_SCAN_LIST && s->place == PLACE_ITEMS &&
	    ((s->depth == 1 && c != '[') || (s->depth == 2 && c != '{'))) {
		return -EBADMSG;
	}
	r = push(s, c);
	if (r == 0) {
		r = is_in_object(s) ? keep_object(s, &c, 1) : keep(s, &c, 1);
	}
	return r;
}

static int close_bracket(struct weir_scan *s, char c)
{
	int r = keep(s, &c, 1);

	if (r == 0) {
		r = pop(s, c);
	}
	if (r == 0 && s->depth == 0) {
		s->is_over = true;
	}
	return r;
}

/* A list's own members: what is between its outermost braces. */
static int list_mark(struct weir_scan *s, char c)
{
	if (c == ':') {
		bool is_items = weir_str_is(weir_buf_str(&s->name), "items");
		bool is_metadata = weir_str_is(weir_buf_str(&s->name),
					       "metadata");

		s->place = is_items      ? PLACE_ITEMS
			   : is_metadata ? PLACE_METADATA
					 : PLACE_OTHER;
		s->is_value = true;
		if (is_items) {
			if (s->has_items) {
				return -EBADMSG;
			}
			s->has_items = true;
		}
		if (is_metadata) {
			s->metadata.n = 0;
		}
	} else if (c == ',') {
		s->is_value = false;
		s->place = PLACE_OTHER;
	}
	return 0;
}

static int begin_string(struct weir_scan *s)
{
	char quote = '"';

	if (s->depth == 0 || (s->place == PLACE_ITEMS && s->depth <= 2)) {
		return -EBADMSG;
	}
	s->is_in_string = true;
	if (s->depth == 1 && !s->is_value) {
		s->is_name = true;
		s->name.n = 0;
		return 0;
	}
	return keep(s, &quote, 1);
}

/* From a byte in a string on; returns how many were taken. */
static size_t in_string(struct weir_scan *s, const char *p, size_t n)
{
	size_t i = pass_string(s, p, n);

	/* A name is kept without its quotes. */
	s->error = keep(s, p, i - (s->is_name && !s->is_in_string));
	s->is_name = s->is_name && s->is_in_string;
	return i;
}

static int mark(struct weir_scan *s, char c)
{
	switch (c) {
	case '{':
	case '[':
		return open_bracket(s, c);
	case '}':
	case ']':
		return close_bracket(s, c);
	case '"':
		return begin_string(s);
	case ' ':
	case '\n':
	case '\r':
	case '\t':
		break; /* between texts they mean nothing */
	default:
		if (s->depth == 0) {
			return -EBADMSG;
		}
		if (s->depth == 1) {
			return list_mark(s, c);
		}
		/* null, a number: no object of a list. */
		if (s->place == PLACE_ITEMS && s->depth == 2 && c != ',') {
			return -EBADMSG;
		}
	}
	return keep(s, &c, 1);
}

int weir_scan_feed(struct weir_scan *scan, struct weir_str data)
{
	size_t i = 0;

	while (i < data.n && scan->error == 0) {
		if (is_in_object(scan)) {
			i += in_object(scan, data.p + i, data.n - i);
		} else if (scan->is_in_string) {
			i += in_string(scan, data.p + i, data.n - i);
		} else {
			scan->error = mark(scan, data.p[i++]);
		}
	}
	return scan->error;
}

int weir_scan_end(const struct weir_scan *scan)
{
	if (scan->error) {
		return scan->error;
	}
	if (scan->kind == WEIR_SCAN_LIST) {
		return scan->is_over && scan->has_items ? 0 : -EBADMSG;
	}
	return scan->depth == 0 && !scan->is_in_string ? 0 : -EBADMSG;
}
