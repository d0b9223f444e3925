/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "buf.h"

#define PATH_MAX_BYTES 512
#define SEEN_MAX 24 /* entries of a map compared one by one for duplicates */

const char *weir_shown(struct weir_str s, char out[static WEIR_SHOWN_MAX])
{
	size_t n = s.n < WEIR_SHOWN_MAX - 4 ? s.n : WEIR_SHOWN_MAX - 4;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		out[i] = c < 0x20 || c == 0x7F ? '?' : (char)c;
	}
	memcpy(out + n, n < s.n ? "..." : "", n < s.n ? 4 : 1);
	return out;
}

struct path {
	char text[PATH_MAX_BYTES];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void path_add(struct path *p,
							   const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->text + p->n, sizeof(p->text) - p->n, fmt, ap);
	va_end(ap);
	if (n > 0) {
		p->n += (size_t)n;
	}
	if (p->n >= sizeof(p->text)) {
		p->n = sizeof(p->text) - 1;
	}
}

static size_t index_of(const struct weir_node *node)
{
	size_t i = 0;

	for (const struct weir_node *c = node->parent->child; c && c != node;
	     c = c->next) {
		i++;
	}
	return i;
}

static void add_key(struct path *p, struct weir_str key)
{
	char shown[WEIR_SHOWN_MAX];

	/* "annotations[weir.dev/split]": a dot in a key would mislead */
	if (weir_str_find(key, '.') >= 0 || weir_str_find(key, '/') >= 0) {
		path_add(p, "[%s]", weir_shown(key, shown));
	} else {
		path_add(p, "%s%s", p->n ? "." : "", weir_shown(key, shown));
	}
}

/* "spec.rules[0].name"; without indexes where faults are counted once. */
static void path_of(struct path *p, const struct weir_node *node,
		    bool has_indexes)
{
	const struct weir_node *stack[WEIR_NODE_DEPTH_MAX + 1];
	size_t n = 0;

	for (; node && node->parent && n <= WEIR_NODE_DEPTH_MAX;
	     node = node->parent) {
		/* Items of a Kubernetes List are roots of their own. */
		if (node->parent->parent && !node->parent->parent->parent &&
		    node->parent->type == WEIR_NODE_SEQ &&
		    weir_str_is(node->parent->key, "items")) {
			break;
		}
		stack[n++] = node;
	}
	while (n) {
		node = stack[--n];
		if (node->parent->type == WEIR_NODE_MAP) {
			add_key(p, node->key);
		} else if (has_indexes) {
			path_add(p, "[%zu]", index_of(node));
		} else {
			path_add(p, "[]");
		}
	}
}

void weir_decode_report(struct weir_decode *d, enum weir_severity severity,
			const struct weir_node *node, const char *sub,
			const char *reason, const char *fmt, ...)
{
	struct path path = {0};
	struct weir_object at = *d->object;
	char message[512];
	va_list ap;

	if (severity == WEIR_DIAG_ERROR) {
		d->is_bad = true;
	}
	if (!d->diags) {
		return;
	}
	if (d->diags->n >= d->diags_max) {
		d->diags->is_lossy = true;
		return;
	}
	path_of(&path, node, true);
	if (sub) {
		add_key(&path, weir_str_of(sub));
	}
	at.line = node->line;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	weir_diag_add(d->diags, severity, &at, reason,
		      (struct weir_str){path.text, path.n}, "%s", message);
}

static const char *shape_text(enum weir_shape shape)
{
	static const char *const texts[] = {
		[WEIR_SHAPE_ANY] = "anything",
		[WEIR_SHAPE_STR] = "a string",
		[WEIR_SHAPE_INT] = "an integer",
		[WEIR_SHAPE_BOOL] = "a boolean (true or false)",
		[WEIR_SHAPE_INT_OR_STR] = "an integer or a string",
		[WEIR_SHAPE_OBJECT] = "a map",
		[WEIR_SHAPE_LIST] = "a list",
		[WEIR_SHAPE_STRS] = "a list of strings",
		[WEIR_SHAPE_INTS] = "a list of integers",
		[WEIR_SHAPE_MAP] = "a map of strings",
		[WEIR_SHAPE_OBJECTS] = "a map",
	};

	return texts[shape];
}

static bool has_shape(const struct weir_node *node, enum weir_shape shape)
{
	switch (shape) {
	case WEIR_SHAPE_ANY:
		return true;
	case WEIR_SHAPE_STR:
		return node->type == WEIR_NODE_STRING;
	case WEIR_SHAPE_INT:
		return node->type == WEIR_NODE_INT;
	case WEIR_SHAPE_BOOL:
		return node->type == WEIR_NODE_BOOL;
	case WEIR_SHAPE_INT_OR_STR:
		return node->type == WEIR_NODE_INT ||
		       node->type == WEIR_NODE_STRING;
	case WEIR_SHAPE_OBJECT:
	case WEIR_SHAPE_MAP:
	case WEIR_SHAPE_OBJECTS:
		return node->type == WEIR_NODE_MAP;
	case WEIR_SHAPE_LIST:
	case WEIR_SHAPE_STRS:
	case WEIR_SHAPE_INTS:
		return node->type == WEIR_NODE_SEQ;
	}
	return false;
}

bool weir_schema_has_shape(struct weir_decode *d, const struct weir_node *node,
			   enum weir_shape shape)
{
	bool wants_quotes = (shape == WEIR_SHAPE_STR) &&
			    node->type > WEIR_NODE_NULL &&
			    node->type < WEIR_NODE_STRING;
	char shown[WEIR_SHOWN_MAX];

	if (has_shape(node, shape)) {
		return true;
	}
	if (node->type > WEIR_NODE_NULL && node->type <= WEIR_NODE_STRING) {
		weir_decode_bad(d, node, NULL, "InvalidType",
				"found the %s %s, expected %s%s",
				weir_node_type_text(node->type),
				weir_shown(node->text, shown),
				shape_text(shape),
				wants_quotes ? " (put it in quotes)" : "");
	} else {
		weir_decode_bad(
			d, node, NULL, "InvalidType", "found a %s, expected %s",
			weir_node_type_text(node->type), shape_text(shape));
	}
	return false;
}

static bool is_one_of(struct weir_str s, const char *one_of)
{
	for (struct weir_str rest = weir_str_of(one_of); rest.n;) {
		ptrdiff_t bar = weir_str_find(rest, '|');
		size_t n = bar < 0 ? rest.n : (size_t)bar;

		if (weir_str_eq(s, (struct weir_str){rest.p, n})) {
			return true;
		}
		rest = weir_str_skip(rest, n + 1);
	}
	return false;
}

static void list_of(const char *one_of, char out[static 256])
{
	size_t n = 0;

	for (; *one_of && n < 253; one_of++) {
		if (*one_of == '|') {
			out[n++] = ',';
			out[n++] = ' ';
		} else {
			out[n++] = *one_of;
		}
	}
	out[n] = '\0';
}

static void check_string(struct weir_decode *d, const struct weir_node *node,
			 const struct weir_field *field)
{
	char shown[WEIR_SHOWN_MAX];
	char list[256];

	if (field->one_of && !is_one_of(node->text, field->one_of)) {
		list_of(field->one_of, list);
		weir_decode_bad(d, node, NULL, "InvalidValue",
				"found \"%s\", expected one of %s",
				weir_shown(node->text, shown), list);
	}
	if (field->format && !field->format->is_valid(node->text)) {
		weir_decode_bad(d, node, NULL, "InvalidValue",
				"found \"%s\", expected %s",
				weir_shown(node->text, shown),
				field->format->expected);
	}
}

static void check_integer(struct weir_decode *d, const struct weir_node *node,
			  const struct weir_field *field)
{
	if (node->type == WEIR_NODE_INT && (field->from || field->to) &&
	    (node->number < field->from || node->number > field->to)) {
		weir_decode_bad(d, node, NULL, "InvalidValue",
				"found %lld, expected an integer from %d to %d",
				(long long)node->number, field->from,
				field->to);
	}
}

static void check_strings(struct weir_decode *d, const struct weir_node *list,
			  const struct weir_field *field)
{
	for (const struct weir_node *c = list->child; c; c = c->next) {
		if (weir_schema_has_shape(d, c, WEIR_SHAPE_STR)) {
			check_string(d, c, field);
		}
	}
}

static void check_duplicates(struct weir_decode *d,
			     const struct weir_node *map);

static void check_children(struct weir_decode *d, const struct weir_node *node,
			   const struct weir_field *field)
{
	if (field->max && node->n > field->max) {
		weir_decode_bad(d, node, NULL, "TooMany",
				"found %u entries, expected at most %u",
				node->n, field->max);
		return;
	}
	if (field->is_nonempty && node->n == 0) {
		weir_decode_bad(d, node, NULL, "MissingValue",
				"empty, expected at least one entry");
	}
	if (field->shape == WEIR_SHAPE_STRS) {
		check_strings(d, node, field);
		return;
	}
	if (field->shape == WEIR_SHAPE_INTS) {
		for (const struct weir_node *c = node->child; c; c = c->next) {
			if (weir_schema_has_shape(d, c, WEIR_SHAPE_INT)) {
				check_integer(d, c, field);
			}
		}
		return;
	}
	if (field->shape == WEIR_SHAPE_MAP) {
		check_duplicates(d, node);
		for (const struct weir_node *c = node->child; c; c = c->next) {
			if (c->type != WEIR_NODE_NULL) {
				weir_schema_has_shape(d, c, WEIR_SHAPE_STR);
			}
		}
		return;
	}
	if (field->shape == WEIR_SHAPE_OBJECTS) {
		check_duplicates(d, node);
	}
	for (const struct weir_node *c = node->child; c; c = c->next) {
		if (weir_schema_has_shape(d, c, WEIR_SHAPE_OBJECT)) {
			weir_schema_check(d, c, field->sub);
		}
	}
}

static void check_value(struct weir_decode *d, const struct weir_node *node,
			const struct weir_field *field)
{
	if (node->type == WEIR_NODE_NULL ||
	    !weir_schema_has_shape(d, node, field->shape)) {
		return;
	}
	switch (field->shape) {
	case WEIR_SHAPE_STR:
		check_string(d, node, field);
		break;
	case WEIR_SHAPE_INT:
	case WEIR_SHAPE_INT_OR_STR:
		check_integer(d, node, field);
		break;
	case WEIR_SHAPE_OBJECT:
		weir_schema_check(d, node, field->sub);
		break;
	case WEIR_SHAPE_LIST:
	case WEIR_SHAPE_STRS:
	case WEIR_SHAPE_INTS:
	case WEIR_SHAPE_MAP:
	case WEIR_SHAPE_OBJECTS:
		check_children(d, node, field);
		break;
	case WEIR_SHAPE_ANY:
	case WEIR_SHAPE_BOOL:
		break;
	}
}

static void report_duplicate(struct weir_decode *d,
			     const struct weir_node *again, uint32_t line)
{
	weir_decode_bad(d, again, NULL, "DuplicateField",
			"given twice, expected once (first in line %u)", line);
}

/* Two equal keys: kubectl takes the last silently, the API server refuses. */
static void check_duplicates(struct weir_decode *d, const struct weir_node *map)
{
	struct weir_map seen = {0};

	if (map->n <= SEEN_MAX) {
		for (const struct weir_node *a = map->child; a; a = a->next) {
			for (const struct weir_node *b = map->child; b != a;
			     b = b->next) {
				if (weir_str_eq(a->key, b->key)) {
					report_duplicate(d, a, b->line);
					break;
				}
			}
		}
		return;
	}
	for (const struct weir_node *a = map->child; a; a = a->next) {
		uint64_t hash = weir_str_hash(a->key, 1);
		uint64_t line;

		if (weir_map_get(&seen, hash, &line)) {
			report_duplicate(d, a, (uint32_t)line);
		} else if (weir_map_put(&seen, hash, a->line) < 0) {
			d->error = -ENOMEM;
			break;
		}
	}
	weir_map_fini(&seen);
}

bool weir_schema_is_near(struct weir_str a, struct weir_str b)
{
	unsigned char row[2][34];

	if (a.n > 32 || b.n > 32 || a.n < 3) {
		return false;
	}
	for (size_t j = 0; j <= b.n; j++) {
		row[0][j] = (unsigned char)j;
	}
	for (size_t i = 1; i <= a.n; i++) {
		const unsigned char *above = row[(i - 1) & 1];
		unsigned char *here = row[i & 1];

		here[0] = (unsigned char)i;
		for (size_t j = 1; j <= b.n; j++) {
			int swap = above[j - 1] +
				   ((a.p[i - 1] | 0x20) != (b.p[j - 1] | 0x20));
			int gap = above[j] < here[j - 1] ? above[j]
							 : here[j - 1];

			here[j] = (unsigned char)(swap < gap + 1 ? swap
								 : gap + 1);
		}
	}
	return row[a.n & 1][b.n] <= 2;
}

static void report_unknown(struct weir_decode *d, const struct weir_node *node,
			   const struct weir_field *fields)
{
	_cleanup_buf_ struct weir_buf text = {0};
	struct path path = {0};
	uint64_t hash;
	uint64_t old;

	if (!d->diags || d->diags->n >= d->diags_max) {
		return;
	}
	path_of(&path, node, false);
	hash = weir_hash64(path.text, path.n, 2 + d->object->kind);
	if (weir_map_get(d->reported, hash, &old)) {
		return;
	}
	if (weir_map_put(d->reported, hash, 1) < 0) {
		d->error = -ENOMEM;
		return;
	}
	for (const struct weir_field *f = fields; f->name.n; f++) {
		if (weir_schema_is_near(node->key, f->name)) {
			weir_decode_report(d, WEIR_DIAG_WARNING, node, NULL,
					   "UnknownField",
					   "unknown and ignored, expected "
					   "\"%s\"?",
					   f->name.p);
			return;
		}
	}
	for (const struct weir_field *f = fields; f->name.n; f++) {
		weir_buf_printf(&text, "%s%s", text.n ? ", " : "", f->name.p);
	}
	weir_decode_report(d, WEIR_DIAG_WARNING, node, NULL, "UnknownField",
			   "unknown and ignored, expected one of %.*s",
			   WEIR_STR_ARG(weir_buf_str(&text)));
}

static const struct weir_field *find_field(const struct weir_field *fields,
					   struct weir_str name)
{
	for (const struct weir_field *f = fields; f->name.n; f++) {
		if (weir_str_eq(f->name, name)) {
			return f;
		}
	}
	return NULL;
}

void weir_schema_check(struct weir_decode *d, const struct weir_node *map,
		       const struct weir_field *fields)
{
	check_duplicates(d, map);
	for (const struct weir_node *c = map->child; c; c = c->next) {
		const struct weir_field *field = find_field(fields, c->key);

		if (field) {
			check_value(d, c, field);
		} else {
			report_unknown(d, c, fields);
		}
	}
	for (const struct weir_field *f = fields; f->name.n; f++) {
		if (f->is_required && !weir_node_get(map, f->name.p)) {
			weir_decode_bad(d, map, f->name.p, "MissingField",
					"missing, expected %s",
					shape_text(f->shape));
		}
	}
}
