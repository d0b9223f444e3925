/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML that manifests are written in: block maps and sequences, one-line
 * scalars and flow collections, printable ASCII.  Several times faster than
 * libyaml, which decides start-up with thousands of files.  Everything else
 * (anchors, tags, block scalars, continued lines, escapes, tabs, errors) is
 * refused with -EOPNOTSUPP and read by libyaml; so this file only has to be
 * right about what it accepts, and a differential test and fuzzer hold it to
 * that.
 */
#include "node.h"

#include <errno.h>

#define REFUSED (-EOPNOTSUPP)

struct cursor {
	const char *p;     /* content of the current line, behind its indent */
	const char *eol;   /* its newline, or end */
	const char *end;   /* of the text */
	const char *start; /* of the current line */
	struct weir_arena *arena;
	uint32_t line;
	uint32_t depth;
	int indent; /* -1: no line is left */
};

/* Bytes that may stand in a line; others go to libyaml. */
static inline bool is_plain_byte(unsigned char c)
{
	return c >= 0x20 && c < 0x7F;
}

/* "---" and "..." at the beginning of a line are no content. */
static bool is_marker(const struct cursor *c)
{
	return c->indent == 0 && c->eol - c->p >= 3 &&
	       (memcmp(c->p, "---", 3) == 0 || memcmp(c->p, "...", 3) == 0);
}

/* From the line that starts at p on to the first with content. */
static int find_line(struct cursor *c, const char *p)
{
	for (;; c->line++) {
		const char *q = p;

		if (p >= c->end) {
			c->indent = -1;
			return 0;
		}
		while (q < c->end && *q == ' ') {
			q++;
		}
		c->start = p;
		c->p = q;
		while (q < c->end && is_plain_byte((unsigned char)*q)) {
			q++;
		}
		if (q < c->end && *q != '\n') {
			return REFUSED;
		}
		c->eol = q;
		if (c->p != c->eol && *c->p != '#') {
			c->indent = (int)(c->p - c->start);
			return is_marker(c) ? REFUSED : 0;
		}
		p = c->eol + 1;
	}
}

static int next_line(struct cursor *c)
{
	c->line++;
	if (c->eol >= c->end) {
		c->indent = -1;
		return 0;
	}
	return find_line(c, c->eol + 1);
}

static void skip_spaces(struct cursor *c)
{
	while (c->p < c->eol && *c->p == ' ') {
		c->p++;
	}
}

/* True at the end of the line or at a comment (which needs a space before). */
static bool is_line_done(const struct cursor *c)
{
	return c->p == c->eol || (*c->p == '#' && c->p[-1] == ' ');
}

static bool is_dash(const struct cursor *c)
{
	return *c->p == '-' && (c->p + 1 == c->eol || c->p[1] == ' ');
}

/* 'text' or "text" on one line, without escapes. */
static int read_quoted(struct cursor *c, struct weir_str *ret_text)
{
	char quote = *c->p;
	const char *from = c->p + 1;
	const char *q = from;

	while (q < c->eol && *q != quote) {
		if (*q == '\\' && quote == '"') {
			return REFUSED;
		}
		q++;
	}
	if (q == c->eol || (q + 1 < c->eol && q[1] == quote)) {
		return REFUSED;
	}
	*ret_text = (struct weir_str){from, (size_t)(q - from)};
	c->p = q + 1;
	return 0;
}

static bool may_begin_plain(const struct cursor *c)
{
	switch (*c->p) {
	case '-':
		return c->p + 1 < c->eol && c->p[1] != ' ' && c->p[1] != ',' &&
		       c->p[1] != ']' && c->p[1] != '}' && c->p[1] != '[' &&
		       c->p[1] != '{';
	case '?':
	case ':':
	case ',':
	case '[':
	case ']':
	case '{':
	case '}':
	case '#':
	case '&':
	case '*':
	case '!':
	case '|':
	case '>':
	case '\'':
	case '"':
	case '%':
	case '@':
	case '`':
		return false;
	default:
		return true;
	}
}

/* A plain scalar: to a comment, to ": ", and in flow to ",[]{}".  A colon at
 * its end is left for the caller to judge. */
static int read_plain(struct cursor *c, bool is_flow, struct weir_str *ret_text)
{
	const char *from = c->p;
	const char *q = from;

	if (!may_begin_plain(c)) {
		return REFUSED;
	}
	for (; q < c->eol; q++) {
		if (*q == ':' && (q + 1 == c->eol || q[1] == ' ')) {
			break;
		}
		if (*q == '#' && q > from && q[-1] == ' ') {
			break;
		}
		if (is_flow && strchr(",[]{}", *q)) {
			break;
		}
		/* libyaml has rules of its own for ':' in flow */
		if (is_flow && (*q == ':' || *q == '?')) {
			return REFUSED;
		}
	}
	c->p = q;
	while (q > from && q[-1] == ' ') {
		q--;
	}
	*ret_text = (struct weir_str){from, (size_t)(q - from)};
	return 0;
}

static int new_node(struct cursor *c, enum weir_node_type type,
		    struct weir_node **ret_node)
{
	*ret_node = weir_node_new(c->arena, type, c->line);
	return *ret_node ? 0 : -ENOMEM;
}

static int read_scalar(struct cursor *c, bool is_flow,
		       struct weir_node **ret_node)
{
	struct weir_node *node;
	int r = new_node(c, WEIR_NODE_STRING, &node);

	if (r < 0) {
		return r;
	}
	if (*c->p == '"' || *c->p == '\'') {
		r = read_quoted(c, &node->text);
	} else {
		r = read_plain(c, is_flow, &node->text);
		weir_node_resolve(node);
	}
	*ret_node = node;
	return r;
}

/* A scalar and the colon behind it; only what is a string of itself. */
static int read_key(struct cursor *c, bool is_flow, struct weir_str *ret_key)
{
	int r;

	if (*c->p == '"' || *c->p == '\'') {
		r = read_quoted(c, ret_key);
	} else {
		r = read_plain(c, is_flow, ret_key);
	}
	if (r < 0) {
		return r;
	}
	if (c->p == c->eol || *c->p != ':' || ret_key->n == 0 ||
	    ret_key->n > 512 || (c->p + 1 < c->eol && c->p[1] != ' ')) {
		return REFUSED;
	}
	if (weir_str_is(*ret_key, "<<") || weir_str_is(*ret_key, "~") ||
	    weir_str_eq_nocase(*ret_key, WEIR_STR("null"))) {
		return REFUSED;
	}
	c->p++;
	return 0;
}

static int read_flow(struct cursor *c, struct weir_node **ret_node);

static int read_flow_value(struct cursor *c, struct weir_node **ret_node)
{
	if (c->p == c->eol) {
		return REFUSED;
	}
	if (*c->p == '[' || *c->p == '{') {
		return read_flow(c, ret_node);
	}
	return read_scalar(c, true, ret_node);
}

/* [a, b] or {k: v, ...} on one line; every entry of a map has a value. */
static int read_flow(struct cursor *c, struct weir_node **ret_node)
{
	bool is_map = *c->p == '{';
	char close = is_map ? '}' : ']';
	struct weir_node_list list = {0};
	int r = new_node(c, is_map ? WEIR_NODE_MAP : WEIR_NODE_SEQ,
			 &list.parent);

	if (r < 0) {
		return r;
	}
	if (++c->depth > WEIR_NODE_DEPTH_MAX) {
		return REFUSED;
	}
	c->p++;
	skip_spaces(c);
	while (c->p < c->eol && *c->p != close) {
		struct weir_str key = {0};
		struct weir_node *value;

		r = is_map ? read_key(c, true, &key) : 0;
		if (r < 0) {
			return r;
		}
		skip_spaces(c);
		r = read_flow_value(c, &value);
		if (r < 0) {
			return r;
		}
		value->key = key;
		weir_node_append(&list, value);
		skip_spaces(c);
		if (c->p < c->eol && *c->p == ',') {
			c->p++;
			skip_spaces(c);
			if (c->p < c->eol && *c->p == close) {
				return REFUSED; /* a comma before the end */
			}
		} else if (c->p == c->eol || *c->p != close) {
			return REFUSED;
		}
	}
	if (c->p == c->eol) {
		return REFUSED;
	}
	c->p++;
	c->depth--;
	*ret_node = list.parent;
	return 0;
}

/* A value that begins and ends on the current line; on to the next, which
 * must not continue it. */
static int read_inline(struct cursor *c, int indent,
		       struct weir_node **ret_node)
{
	int r = *c->p == '[' || *c->p == '{' ? read_flow(c, ret_node)
					     : read_scalar(c, false, ret_node);

	if (r < 0) {
		return r;
	}
	skip_spaces(c);
	if (!is_line_done(c)) {
		return REFUSED;
	}
	r = next_line(c);
	if (r < 0) {
		return r;
	}
	return c->indent > indent ? REFUSED : 0;
}

static int read_block(struct cursor *c, struct weir_node **ret_node);
static int read_seq(struct cursor *c, int indent, struct weir_node **ret_node);

/* What follows "key:" or "-" that stands at indent. */
static int read_value(struct cursor *c, int indent, bool is_entry,
		      struct weir_node **ret_node)
{
	uint32_t line = c->line;
	int r;

	skip_spaces(c);
	if (!is_line_done(c)) {
		return read_inline(c, indent, ret_node);
	}
	r = next_line(c);
	if (r < 0) {
		return r;
	}
	if (c->indent > indent) {
		return read_block(c, ret_node);
	}
	/* A sequence may stand at the indent of its key. */
	if (is_entry && c->indent == indent && is_dash(c)) {
		return read_seq(c, indent, ret_node);
	}
	*ret_node = weir_node_new(c->arena, WEIR_NODE_NULL, line);
	return *ret_node ? 0 : -ENOMEM;
}

static int read_map(struct cursor *c, int indent, struct weir_node **ret_node)
{
	struct weir_node_list list = {0};
	int r = new_node(c, WEIR_NODE_MAP, &list.parent);

	if (r < 0) {
		return r;
	}
	do {
		struct weir_str key;
		struct weir_node *value;
		uint32_t line = c->line;

		r = is_dash(c) ? REFUSED : read_key(c, false, &key);
		if (r < 0) {
			return r;
		}
		r = read_value(c, indent, true, &value);
		if (r < 0) {
			return r;
		}
		value->key = key;
		value->line = line;
		weir_node_append(&list, value);
	} while (c->indent == indent);
	*ret_node = list.parent;
	return c->indent > indent ? REFUSED : 0;
}

/* The line behind a dash may begin a map whose indent is its column. */
static int read_item(struct cursor *c, int indent, struct weir_node **ret_node)
{
	const struct cursor before = *c;
	struct weir_str key;
	int r;

	skip_spaces(c);
	if (is_line_done(c)) {
		return read_value(c, indent, false, ret_node);
	}
	if (is_dash(c)) {
		return REFUSED;
	}
	if (*c->p == '[' || *c->p == '{') {
		return read_inline(c, indent, ret_node);
	}
	const char *content = c->p;

	r = read_key(c, false, &key);
	*c = before;
	c->p = content;
	if (r < 0) {
		return read_inline(c, indent, ret_node);
	}
	c->indent = (int)(content - c->start);
	return read_map(c, c->indent, ret_node);
}

static int read_seq(struct cursor *c, int indent, struct weir_node **ret_node)
{
	struct weir_node_list list = {0};
	int r = new_node(c, WEIR_NODE_SEQ, &list.parent);

	if (r < 0) {
		return r;
	}
	if (++c->depth > WEIR_NODE_DEPTH_MAX) {
		return REFUSED;
	}
	do {
		struct weir_node *item;

		c->p++;
		r = read_item(c, indent, &item);
		if (r < 0) {
			return r;
		}
		weir_node_append(&list, item);
	} while (c->indent == indent && is_dash(c));
	c->depth--;
	*ret_node = list.parent;
	return c->indent > indent ? REFUSED : 0;
}

static int read_block(struct cursor *c, struct weir_node **ret_node)
{
	int r;

	if (++c->depth > WEIR_NODE_DEPTH_MAX) {
		return REFUSED;
	}
	r = is_dash(c) ? read_seq(c, c->indent, ret_node)
		       : read_map(c, c->indent, ret_node);
	c->depth--;
	return r;
}

int weir_yaml_fast(struct weir_str text, uint32_t line,
		   struct weir_arena *arena, struct weir_node **ret_root)
{
	struct cursor c = {
		.end = text.p + text.n, .arena = arena, .line = line};
	struct weir_node *root = NULL;
	int r = text.n ? find_line(&c, text.p) : REFUSED;

	if (r < 0) {
		return r;
	}
	if (c.indent < 0) {
		return REFUSED;
	}
	r = read_block(&c, &root);
	if (r < 0) {
		return r;
	}
	if (c.indent >= 0) {
		return REFUSED; /* less indented than where it began */
	}
	*ret_root = root;
	return 0;
}
