/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML through libyaml's event parser.  The text is cut at "---" lines first,
 * as kubectl does, so that a document which cannot be read does not take those
 * behind it along.  Aliases share the anchored node's children, so their cost
 * is one node each; what they would unfold to is bounded.
 */
#include "node.h"

#include <errno.h>
#include <yaml.h>

#include "cleanup.h"

#define ANCHORS_MAX 256
#define MERGE_MAX (1u << 22) /* comparisons */

struct anchor {
	struct weir_str name;
	struct weir_node *node;
	bool is_open; /* still being read: an alias to it would be a loop */
};

struct level {
	struct weir_node_list list;
	struct weir_str key; /* of the next child, if has_key */
	uint32_t key_line;
	bool has_key;
	bool is_merge;         /* the next child is the value of "<<" */
	struct anchor *anchor; /* of the parent */
};

struct reader {
	yaml_parser_t parser;
	struct weir_arena *arena;
	struct level levels[WEIR_NODE_DEPTH_MAX];
	struct anchor anchors[ANCHORS_MAX];
	size_t n_anchors;
	size_t depth;
	struct weir_node *root;
	uint32_t first_line;
	uint32_t aliased;
	uint32_t error_line;
	const char *error;
};

static int refuse(struct reader *rd, uint32_t line, const char *why)
{
	rd->error = why;
	rd->error_line = line;
	return -EBADMSG;
}

static uint32_t line_of(const struct reader *rd, yaml_mark_t mark)
{
	return rd->first_line + (uint32_t)mark.line;
}

static struct weir_str text_of(const yaml_char_t *p)
{
	return weir_str_of((const char *)p);
}

static struct anchor *find_anchor(struct reader *rd, struct weir_str name)
{
	for (size_t i = 0; i < rd->n_anchors; i++) {
		if (weir_str_eq(rd->anchors[i].name, name)) {
			return &rd->anchors[i];
		}
	}
	return NULL;
}

static int add_anchor(struct reader *rd, const yaml_char_t *name,
		      struct weir_node *node, struct anchor **ret_anchor)
{
	struct anchor *a;

	*ret_anchor = NULL;
	if (!name) {
		return 0;
	}
	a = find_anchor(rd, text_of(name));
	if (!a) {
		if (rd->n_anchors == ANCHORS_MAX) {
			return refuse(rd, node->line,
				      "more than 256 anchors in a document");
		}
		a = &rd->anchors[rd->n_anchors];
		a->name = weir_arena_dup(rd->arena, text_of(name));
		if (!a->name.p) {
			return -ENOMEM;
		}
		rd->n_anchors++;
	}
	a->node = node;
	a->is_open = node->type >= WEIR_NODE_SEQ;
	*ret_anchor = a;
	return 0;
}

static struct weir_node *find_own(const struct weir_node *map,
				  struct weir_str key)
{
	for (struct weir_node *c = map->child; c; c = c->next) {
		if (weir_str_eq(c->key, key)) {
			return c;
		}
	}
	return NULL;
}

/* A copy of an anchored node for another place; children are shared. */
static int add_copy(struct reader *rd, const struct weir_node *from,
		    struct weir_node_list *list, struct weir_str key,
		    uint32_t line)
{
	struct weir_node *node;

	rd->aliased += from->weight;
	if (from->weight > WEIR_NODE_ALIASED_MAX ||
	    rd->aliased > WEIR_NODE_ALIASED_MAX) {
		return refuse(rd, line, "aliases unfold to too many values");
	}
	node = weir_node_new(rd->arena, from->type, line);
	if (!node) {
		return -ENOMEM;
	}
	*node = *from;
	node->next = NULL;
	node->key = key;
	node->line = line;
	weir_node_append(list, node);
	return 0;
}

/* "<<: *map" adds those entries of map that are not there yet. */
static int merge(struct reader *rd, struct level *level,
		 const struct weir_node *map, uint32_t line)
{
	const struct weir_node *own = level->list.parent;

	if (map->type != WEIR_NODE_MAP) {
		return refuse(rd, line, "the value of << is not a map");
	}
	/* Each entry is looked for in the other map. */
	if ((uint64_t)map->n * (own->n + map->n) > MERGE_MAX) {
		return refuse(rd, line, "maps too large to merge");
	}
	for (const struct weir_node *c = map->child; c; c = c->next) {
		int r;

		if (find_own(level->list.parent, c->key)) {
			continue;
		}
		r = add_copy(rd, c, &level->list, c->key, c->line);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int begin_key(struct reader *rd, struct level *level,
		     const struct weir_node *node, bool is_plain)
{
	if (node->type == WEIR_NODE_NULL || node->type >= WEIR_NODE_SEQ) {
		return refuse(rd, node->line, "a key is not a scalar");
	}
	level->has_key = true;
	level->key = node->text;
	level->key_line = node->line;
	level->is_merge = is_plain && weir_str_is(node->text, "<<");
	return 0;
}

/* Where a finished scalar, alias or begun collection belongs. */
static int place(struct reader *rd, struct weir_node *node)
{
	struct level *level = rd->depth ? &rd->levels[rd->depth - 1] : NULL;

	if (!level) {
		rd->root = node;
		return 0;
	}
	if (level->list.parent->type == WEIR_NODE_MAP) {
		node->key = level->key;
		node->line = level->key_line;
		level->has_key = false;
	}
	weir_node_append(&level->list, node);
	return 0;
}

static bool wants_key(const struct reader *rd)
{
	const struct level *level = rd->depth ? &rd->levels[rd->depth - 1]
					      : NULL;

	return level && level->list.parent->type == WEIR_NODE_MAP &&
	       !level->has_key;
}

static int on_scalar(struct reader *rd, const yaml_event_t *event)
{
	uint32_t line = line_of(rd, event->start_mark);
	struct weir_node *node = weir_node_new(rd->arena, WEIR_NODE_STRING,
					       line);
	struct anchor *anchor;
	bool is_plain;
	int r;

	if (!node) {
		return -ENOMEM;
	}
	node->text = weir_arena_dup(
		rd->arena,
		(struct weir_str){(const char *)event->data.scalar.value,
				  event->data.scalar.length});
	if (!node->text.p) {
		return -ENOMEM;
	}
	/* A tagged scalar is a string: no tag means anything to kubectl. */
	is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		   event->data.scalar.plain_implicit && !event->data.scalar.tag;
	if (is_plain) {
		weir_node_resolve(node);
	}
	r = add_anchor(rd, event->data.scalar.anchor, node, &anchor);
	if (r < 0) {
		return r;
	}
	if (wants_key(rd)) {
		return begin_key(rd, &rd->levels[rd->depth - 1], node,
				 is_plain);
	}
	if (rd->depth && rd->levels[rd->depth - 1].is_merge) {
		return refuse(rd, line, "the value of << is not a map");
	}
	return place(rd, node);
}

static int on_alias(struct reader *rd, const yaml_event_t *event)
{
	uint32_t line = line_of(rd, event->start_mark);
	const struct anchor *anchor = find_anchor(
		rd, text_of(event->data.alias.anchor));
	struct level *level = rd->depth ? &rd->levels[rd->depth - 1] : NULL;
	bool is_entry = level && level->list.parent->type == WEIR_NODE_MAP;

	if (!anchor || !level) {
		return refuse(rd, line, "an alias without its anchor");
	}
	if (anchor->is_open) {
		return refuse(rd, line, "an alias inside its own anchor");
	}
	if (wants_key(rd)) {
		return begin_key(rd, level, anchor->node, false);
	}
	level->has_key = false;
	if (is_entry && level->is_merge) {
		level->is_merge = false;
		return merge(rd, level, anchor->node, line);
	}
	return add_copy(rd, anchor->node, &level->list,
			is_entry ? level->key : WEIR_STR_NULL,
			is_entry ? level->key_line : line);
}

static int on_begin(struct reader *rd, const yaml_event_t *event,
		    enum weir_node_type type, const yaml_char_t *anchor_name)
{
	uint32_t line = line_of(rd, event->start_mark);
	struct weir_node *node;
	struct anchor *anchor;
	int r;

	if (wants_key(rd)) {
		return refuse(rd, line, "a key is not a scalar");
	}
	if (rd->depth == WEIR_NODE_DEPTH_MAX) {
		return refuse(rd, line, "nested more than 64 deep");
	}
	node = weir_node_new(rd->arena, type, line);
	if (!node) {
		return -ENOMEM;
	}
	r = add_anchor(rd, anchor_name, node, &anchor);
	if (r < 0) {
		return r;
	}
	rd->levels[rd->depth++] = (struct level){.list.parent = node,
						 .anchor = anchor};
	return 0;
}

/* A collection is placed when it is complete: its weight is known then. */
static int on_end(struct reader *rd)
{
	struct level done = rd->levels[--rd->depth];
	struct weir_node *node = done.list.parent;
	struct level *level = rd->depth ? &rd->levels[rd->depth - 1] : NULL;

	if (done.anchor) {
		done.anchor->is_open = false;
	}
	if (!level || !level->is_merge) {
		return place(rd, node);
	}
	level->is_merge = false;
	level->has_key = false;
	if (node->type == WEIR_NODE_MAP) {
		return merge(rd, level, node, node->line);
	}
	for (const struct weir_node *c = node->child; c; c = c->next) {
		int r = merge(rd, level, c, node->line);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int report(struct reader *rd, weir_document_fn fn, void *arg)
{
	struct weir_document doc = {
		.root = rd->root,
		.line = rd->root ? rd->root->line : rd->error_line,
		.error = rd->error,
	};

	if (rd->error) {
		doc.root = NULL;
		doc.line = rd->error_line;
	}
	/* An empty document is no document. */
	if (!doc.error && (!doc.root || doc.root->type == WEIR_NODE_NULL)) {
		return 0;
	}
	return fn(arg, &doc);
}

static int on_event(struct reader *rd, const yaml_event_t *event,
		    weir_document_fn fn, void *arg)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(rd, event);
	case YAML_ALIAS_EVENT:
		return on_alias(rd, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_begin(rd, event, WEIR_NODE_SEQ,
				event->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return on_begin(rd, event, WEIR_NODE_MAP,
				event->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(rd);
	case YAML_DOCUMENT_START_EVENT:
		rd->root = NULL;
		rd->n_anchors = 0;
		rd->aliased = 0;
		rd->depth = 0;
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		return report(rd, fn, arg);
	default:
		return 0;
	}
}

static int syntax_error(struct reader *rd)
{
	const yaml_parser_t *p = &rd->parser;
	struct weir_str text;

	if (p->error == YAML_MEMORY_ERROR) {
		return -ENOMEM;
	}
	text = weir_arena_printf(
		rd->arena, "%s%s%s", p->context ? p->context : "",
		p->context ? ", " : "", p->problem ? p->problem : "unreadable");
	if (!text.p) {
		return -ENOMEM;
	}
	/* Reader errors (bad UTF-8, control characters) come without a mark. */
	return refuse(rd,
		      p->error == YAML_READER_ERROR
			      ? rd->first_line + (uint32_t)p->mark.line
			      : line_of(rd, p->problem_mark),
		      text.p);
}

static int read_events(struct reader *rd, weir_document_fn fn, void *arg)
{
	bool is_end = false;
	int r = 0;

	while (r >= 0 && !is_end) {
		yaml_event_t event;

		if (!yaml_parser_parse(&rd->parser, &event)) {
			r = syntax_error(rd);
			break;
		}
		is_end = event.type == YAML_STREAM_END_EVENT;
		r = on_event(rd, &event, fn, arg);
		yaml_event_delete(&event);
	}
	if (r == -EBADMSG && rd->error) {
		r = report(rd, fn, arg);
	}
	return r < 0 ? r : 0;
}

int weir_yaml_full(struct weir_str text, uint32_t line, weir_document_fn fn,
		   void *arg)
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	_cleanup_free_ struct reader *rd = NULL;
	int r;

	weir_arena_init(&arena, 4096);
	rd = calloc(1, sizeof(*rd));
	if (!rd) {
		return -ENOMEM;
	}
	rd->arena = &arena;
	rd->first_line = line;
	if (!yaml_parser_initialize(&rd->parser)) {
		return -ENOMEM;
	}
	yaml_parser_set_encoding(&rd->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&rd->parser, (const unsigned char *)text.p,
				     text.n);
	r = read_events(rd, fn, arg);
	yaml_parser_delete(&rd->parser);
	return r;
}

/* "---" alone or before a blank: a marker wherever it begins a line. */
static bool is_marker(const char *p, const char *end)
{
	return end - p >= 3 && memcmp(p, "---", 3) == 0 &&
	       (end - p == 3 || strchr(" \t\r\n", p[3]));
}

/* Comments, blanks and directives only: nothing to read. */
static bool is_void(struct weir_str text)
{
	const char *p = text.p;
	const char *end = text.p + text.n;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		eol = eol ? eol : end;
		if (*p != '%') {
			while (p < eol && strchr(" \t\r", *p) && *p) {
				p++;
			}
			if (p < eol && *p != '#') {
				return false;
			}
		}
		p = eol + (eol < end);
	}
	return true;
}

static int read_chunk(struct weir_str text, uint32_t line, weir_document_fn fn,
		      void *arg)
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	struct weir_document doc = {0};
	int r;

	if (is_void(text)) {
		return 0;
	}
	weir_arena_init(&arena, 8192);
	r = weir_yaml_fast(text, line, &arena, &doc.root);
	if (r == -EOPNOTSUPP) {
		return weir_yaml_full(text, line, fn, arg);
	}
	if (r < 0) {
		return r;
	}
	doc.line = doc.root->line;
	return fn(arg, &doc);
}

int weir_yaml_read(struct weir_str text, weir_document_fn fn, void *arg)
{
	const char *p = text.p;
	const char *end = p + text.n;
	const char *from = p;
	uint32_t line = 1;
	uint32_t from_line = 1;

	if (text.n == 0) {
		return 0;
	}
	if (weir_str_starts(text, WEIR_STR("\xEF\xBB\xBF"))) {
		p += 3;
		from = p;
	}
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		if (is_marker(p, end)) {
			int r = read_chunk(
				(struct weir_str){from, (size_t)(p - from)},
				from_line, fn, arg);

			if (r < 0) {
				return r;
			}
			/* What stands behind the marker belongs to it. */
			from = p + 3;
			from_line = line;
		}
		line++;
		p = eol ? eol + 1 : end;
	}
	return read_chunk((struct weir_str){from, (size_t)(end - from)},
			  from_line, fn, arg);
}
