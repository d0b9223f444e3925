/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest loaders: any bytes as YAML and as JSON through to objects, and
 * the YAML fast path against libyaml: what it accepts, both read alike.
 */
#include <stdint.h>
#include <stdlib.h>

#include "cleanup.h"
#include "manifest.h"
#include "node.h"

#define INPUT_MAX 65536

static void expect(bool is_true)
{
	if (!is_true) {
		abort();
	}
}

static bool is_same_tree(const struct weir_node *a, const struct weir_node *b)
{
	const struct weir_node *x;
	const struct weir_node *y;

	if (a->type != b->type || a->n != b->n || a->line != b->line ||
	    !weir_str_eq(a->key, b->key)) {
		return false;
	}
	if (a->type < WEIR_NODE_SEQ) {
		return weir_str_eq(a->text, b->text) &&
		       (a->type == WEIR_NODE_STRING || a->number == b->number);
	}
	x = a->child;
	y = b->child;
	for (; x && y; x = x->next, y = y->next) {
		if (!is_same_tree(x, y)) {
			return false;
		}
	}
	return !x && !y;
}

struct both {
	const struct weir_node *fast;
	size_t n;
};

static int on_full(void *arg, const struct weir_document *doc)
{
	struct both *both = arg;

	expect(doc->root && is_same_tree(both->fast, doc->root));
	both->n++;
	return 0;
}

static void compare_paths(struct weir_str text)
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	struct weir_node *root = NULL;
	struct both both;

	weir_arena_init(&arena, 1024);
	if (weir_yaml_fast(text, 1, &arena, &root) < 0) {
		return;
	}
	both = (struct both){root, 0};
	expect(weir_yaml_full(text, 1, on_full, &both) == 0);
	expect(both.n == 1);
}

/* Everything that the object promises to its users can be read. */
static int on_object(void *arg, struct weir_arena *arena,
		     const struct weir_object *o)
{
	size_t *n = arg;

	expect(o->kind < _WEIR_KIND_MAX && o->name.n > 0 && o->line > 0);
	expect(weir_kind_is_namespaced(o->kind) == (o->ns.n > 0));
	for (size_t i = 0; i < o->labels.n; i++) {
		(void)weir_pairs_get(o->labels, "app");
	}
	weir_arena_fini(arena);
	(*n)++;
	return 0;
}

static void decode(struct weir_str text, bool is_json)
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	struct weir_diags diags;
	size_t n = 0;

	weir_arena_init(&arena, 4096);
	weir_diags_init(&diags, &arena);
	expect(weir_manifest_decode(text, WEIR_STR("fuzz"), is_json, &diags,
				    on_object, &n) == 0);
	for (size_t i = 0; i < diags.n; i++) {
		expect(diags.v[i].reason.n && diags.v[i].message.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_str text = {(const char *)data, size};

	if (size > INPUT_MAX) {
		return 0;
	}
	compare_paths(text);
	decode(text, false);
	decode(text, true);
	return 0;
}
