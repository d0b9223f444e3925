/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON through cJSON, which knows no lines: the text it accepted is walked once
 * more beside its tree, value by value, to find them (and the digits of
 * numbers, which cJSON keeps as doubles only).
 */
#include "node.h"

#include <cjson/cJSON.h>
#include <errno.h>

#include "cleanup.h"

struct walk {
	struct weir_arena *arena;
	const char *p;
	const char *end;
	uint32_t line;
	uint32_t depth;
	const char *error;
};

static void free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
}

static void skip_blanks(struct walk *w)
{
	static const char bom[] = "\xEF\xBB\xBF";

	/* As cJSON: a byte order mark before a value at the top ... */
	if (w->depth == 0 && w->end - w->p >= 3 && memcmp(w->p, bom, 3) == 0) {
		w->p += 3;
	}
	/* ... and all bytes up to a space. */
	while (w->p < w->end && (unsigned char)*w->p <= ' ') {
		w->line += *w->p == '\n';
		w->p++;
	}
}

/* Over a string; cJSON has accepted it, so it ends.  Its texts end at a NUL:
 * what comes after one would be lost in silence. */
static int skip_string(struct walk *w)
{
	for (w->p++; w->p < w->end && *w->p != '"'; w->p++) {
		if (*w->p == '\0' ||
		    (w->end - w->p > 6 && memcmp(w->p, "\\u0000", 6) == 0)) {
			w->error = "a string with a NUL in it";
			return -EBADMSG;
		}
		if (*w->p == '\\') {
			w->p++;
		} else {
			w->line += *w->p == '\n';
		}
	}
	w->p++;
	return 0;
}

static struct weir_str take_number(struct walk *w)
{
	const char *from = w->p;

	while (w->p < w->end && *w->p && strchr("0123456789+-.eE", *w->p)) {
		w->p++;
	}
	return (struct weir_str){from, (size_t)(w->p - from)};
}

static int convert(struct walk *w, const cJSON *item,
		   struct weir_node **ret_node);

static int convert_children(struct walk *w, const cJSON *item,
			    struct weir_node *node)
{
	struct weir_node_list list = {.parent = node};
	bool is_map = cJSON_IsObject(item);

	if (++w->depth > WEIR_NODE_DEPTH_MAX) {
		w->error = "nested more than 64 deep";
		return -EBADMSG;
	}
	w->p++; /* the bracket */
	for (const cJSON *c = item->child; c; c = c->next) {
		struct weir_node *child;
		uint32_t line;
		int r;

		skip_blanks(w);
		line = w->line;
		if (is_map) {
			r = skip_string(w);
			if (r < 0) {
				return r;
			}
			skip_blanks(w);
			w->p++; /* the colon */
		}
		r = convert(w, c, &child);
		if (r < 0) {
			return r;
		}
		if (is_map) {
			child->line = line;
			child->key = weir_arena_dup(w->arena,
						    weir_str_of(c->string));
			if (!child->key.p) {
				return -ENOMEM;
			}
		}
		weir_node_append(&list, child);
		skip_blanks(w);
		w->p += c->next != NULL; /* the comma */
	}
	skip_blanks(w);
	w->p++;
	w->depth--;
	return 0;
}

static int convert(struct walk *w, const cJSON *item,
		   struct weir_node **ret_node)
{
	struct weir_node *node;
	int r = 0;

	skip_blanks(w);
	node = weir_node_new(w->arena, WEIR_NODE_NULL, w->line);
	if (!node) {
		return -ENOMEM;
	}
	if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
		node->type = cJSON_IsObject(item) ? WEIR_NODE_MAP
						  : WEIR_NODE_SEQ;
		r = convert_children(w, item, node);
	} else if (cJSON_IsString(item)) {
		node->type = WEIR_NODE_STRING;
		node->text = weir_arena_dup(w->arena,
					    weir_str_of(item->valuestring));
		r = node->text.p ? skip_string(w) : -ENOMEM;
	} else if (cJSON_IsNumber(item)) {
		node->text = take_number(w);
		weir_node_resolve(node);
		if (node->type == WEIR_NODE_STRING) {
			node->type = WEIR_NODE_FLOAT;
		}
	} else {
		node->text = cJSON_IsTrue(item)    ? WEIR_STR("true")
			     : cJSON_IsFalse(item) ? WEIR_STR("false")
						   : WEIR_STR("null");
		w->p += node->text.n;
		weir_node_resolve(node);
	}
	*ret_node = node;
	return r;
}

static uint32_t count_lines(const char *from, const char *to)
{
	uint32_t n = 0;

	for (; from < to; from++) {
		n += *from == '\n';
	}
	return n;
}

/* One value from w->p on; -EBADMSG with doc->error and its line. */
static int read_value(struct walk *w, struct weir_document *doc)
{
	const char *stop = w->p;
	_cleanup_(free_tree) cJSON *tree = cJSON_ParseWithLengthOpts(
		w->p, (size_t)(w->end - w->p), &stop, 0);
	int r;

	doc->line = w->line;
	if (!tree) {
		doc->line += count_lines(w->p, stop < w->end ? stop : w->end);
		doc->error = "not valid JSON from here on";
		return -EBADMSG;
	}
	r = convert(w, tree, &doc->root);
	if (r == -EBADMSG) {
		doc->root = NULL;
		doc->line = w->line;
		doc->error = w->error;
	}
	return r;
}

int weir_json_read(struct weir_str text, weir_document_fn fn, void *arg)
{
	struct walk w = {.p = text.p, .end = text.p + text.n, .line = 1};

	for (skip_blanks(&w); w.p < w.end; skip_blanks(&w)) {
		_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
		struct weir_document doc = {0};
		int r;

		weir_arena_init(&arena, 8192);
		w.arena = &arena;
		w.depth = 0;
		r = read_value(&w, &doc);
		if (r < 0 && r != -EBADMSG) {
			return r;
		}
		/* Where the next value would begin after an error is unknown.
		 */
		if (r == -EBADMSG) {
			return fn(arg, &doc);
		}
		r = fn(arg, &doc);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}
