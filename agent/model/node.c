/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <errno.h>
#include <stdlib.h>

#define NUMBER_MAX 64 /* bytes of the text of a number */

const struct weir_node *weir_node_get(const struct weir_node *map,
				      const char *key)
{
	size_t n = strlen(key);

	if (!map || map->type != WEIR_NODE_MAP) {
		return NULL;
	}
	for (const struct weir_node *c = map->child; c; c = c->next) {
		if (c->key.n == n && memcmp(c->key.p, key, n) == 0) {
			return c->type == WEIR_NODE_NULL ? NULL : c;
		}
	}
	return NULL;
}

const char *weir_node_type_text(enum weir_node_type type)
{
	static const char *const texts[] = {
		[WEIR_NODE_NULL] = "null",     [WEIR_NODE_BOOL] = "boolean",
		[WEIR_NODE_INT] = "integer",   [WEIR_NODE_FLOAT] = "number",
		[WEIR_NODE_STRING] = "string", [WEIR_NODE_SEQ] = "list",
		[WEIR_NODE_MAP] = "map",
	};

	return texts[type];
}

struct weir_node *weir_node_new(struct weir_arena *arena,
				enum weir_node_type type, uint32_t line)
{
	struct weir_node *node = weir_arena_alloc(arena, sizeof(*node));

	if (node) {
		node->type = type;
		node->line = line;
		node->weight = 1;
	}
	return node;
}

void weir_node_append(struct weir_node_list *list, struct weir_node *child)
{
	struct weir_node *parent = list->parent;

	if (list->last) {
		list->last->next = child;
	} else {
		parent->child = child;
	}
	list->last = child;
	parent->n++;
	if (__builtin_add_overflow(parent->weight, child->weight,
				   &parent->weight)) {
		parent->weight = UINT32_MAX;
	}
	child->parent = parent;
}

struct word {
	struct weir_str text;
	enum weir_node_type type;
	int64_t number;
};

/* The words of YAML 1.1 as sigs.k8s.io/yaml (go-yaml v2) reads them. */
static const struct word words[] = {
	{WEIR_STR("true"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("false"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("~"), WEIR_NODE_NULL, 0},
	{WEIR_STR("null"), WEIR_NODE_NULL, 0},
	{WEIR_STR("Null"), WEIR_NODE_NULL, 0},
	{WEIR_STR("NULL"), WEIR_NODE_NULL, 0},
	{WEIR_STR("True"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("TRUE"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("False"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("FALSE"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("yes"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("Yes"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("YES"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("y"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("Y"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("on"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("On"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("ON"), WEIR_NODE_BOOL, 1},
	{WEIR_STR("no"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("No"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("NO"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("n"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("N"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("off"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("Off"), WEIR_NODE_BOOL, 0},
	{WEIR_STR("OFF"), WEIR_NODE_BOOL, 0},
};

static bool resolve_word(struct weir_node *node)
{
	if (node->text.n > 5) {
		return false;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (weir_str_eq(words[i].text, node->text)) {
			node->type = words[i].type;
			node->number = words[i].number;
			return true;
		}
	}
	return false;
}

/* Digits without a leading zero: all that is usual. */
static bool resolve_decimal(struct weir_node *node)
{
	struct weir_str t = node->text;
	bool is_negative = t.p[0] == '-';
	uint64_t v;

	if (is_negative) {
		t = weir_str_skip(t, 1);
	}
	if (t.n == 0 || (t.p[0] == '0' && t.n > 1) ||
	    weir_str_parse_u64(t, INT64_MAX, &v) < 0) {
		return false;
	}
	node->type = WEIR_NODE_INT;
	node->number = is_negative ? -(int64_t)v : (int64_t)v;
	return true;
}

/* Go's strconv.ParseInt(s, 0, 64): a sign, then 0x, 0o, 0b or 0 for a base. */
static bool parse_based(const char *z, int64_t *ret_value)
{
	bool is_negative = *z == '-';
	int base = 10;
	long long v;
	char *end;

	z += *z == '-' || *z == '+';
	if (z[0] == '0' && z[1] != '\0') {
		char c = (char)(z[1] | 0x20);

		base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
		z += c == 'x' || c == 'b' || c == 'o' ? 2 : 1;
	}
	if (*z == '-' || *z == '+' || *z == '\0') {
		return false;
	}
	errno = 0;
	v = strtoll(z, &end, base);
	if (errno || *end) {
		return false;
	}
	*ret_value = is_negative ? -v : v;
	return true;
}

/* The unusual spellings of numbers, as go-yaml takes them: '_' may stand
 * anywhere inside, other bases, fractions, exponents. */
static void resolve_number(struct weir_node *node)
{
	char z[NUMBER_MAX];
	size_t n = 0;
	int64_t v;
	double d;
	char *end;

	if (node->text.n >= sizeof(z)) {
		return;
	}
	for (size_t i = 0; i < node->text.n; i++) {
		char c = node->text.p[i];

		if (c == '_') {
			continue;
		}
		/* keeps strtod's "inf", "nan" and hexadecimal floats out */
		if (!strchr("0123456789abcdefxoABCDEFXO+-.", c) || c == '\0') {
			return;
		}
		z[n++] = c;
	}
	z[n] = '\0';
	if (parse_based(z, &v)) {
		node->type = WEIR_NODE_INT;
		node->number = v;
		return;
	}
	if (strpbrk(z, "abcdfxoABCDFXO")) {
		return;
	}
	d = strtod(z, &end);
	if (end == z || *end || !(d > -1e308 && d < 1e308)) {
		return;
	}
	node->type = WEIR_NODE_FLOAT;
	/* JSON has one kind of number: 5.0 is 5. */
	if (d > -9e15 && d < 9e15 && (double)(int64_t)d == d) {
		node->type = WEIR_NODE_INT;
		node->number = (int64_t)d;
	}
}

void weir_node_resolve(struct weir_node *node)
{
	struct weir_str t = node->text;

	node->type = WEIR_NODE_STRING;
	if (t.n == 0) {
		node->type = WEIR_NODE_NULL;
		return;
	}
	switch (t.p[0]) {
	case '0' ... '9':
	case '-':
		if (resolve_decimal(node)) {
			return;
		}
		resolve_number(node);
		return;
	case '+':
	case '.':
		resolve_number(node);
		return;
	default:
		resolve_word(node);
	}
}
