/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to trees.  Scalars are checked against what kubectl makes of them:
 * the table was printed by sigs.k8s.io/yaml v1.4.0 (YAMLToJSON).
 */
#include <errno.h>

#include "buf.h"
#include "cleanup.h"
#include "node.h"
#include "tap.h"

struct seen {
	struct weir_buf text;
	size_t n;
};

/* A tree as text: {key@LINE: value, ...}. */
static void print(struct weir_buf *b, const struct weir_node *node)
{
	bool is_map = node->type == WEIR_NODE_MAP;

	switch (node->type) {
	case WEIR_NODE_MAP:
	case WEIR_NODE_SEQ:
		weir_buf_addz(b, is_map ? "{" : "[");
		for (const struct weir_node *c = node->child; c; c = c->next) {
			if (is_map) {
				weir_buf_printf(b, "%.*s",
						WEIR_STR_ARG(c->key));
			}
			weir_buf_printf(b, "@%u ", c->line);
			print(b, c);
			weir_buf_addz(b, c->next ? ", " : "");
		}
		weir_buf_addz(b, is_map ? "}" : "]");
		break;
	case WEIR_NODE_STRING:
		weir_buf_add_json(b, node->text);
		break;
	case WEIR_NODE_INT:
		weir_buf_printf(b, "%lld", (long long)node->number);
		break;
	case WEIR_NODE_BOOL:
		weir_buf_addz(b, node->number ? "true" : "false");
		break;
	case WEIR_NODE_FLOAT:
		weir_buf_printf(b, "float %.*s", WEIR_STR_ARG(node->text));
		break;
	case WEIR_NODE_NULL:
		weir_buf_addz(b, "null");
		break;
	}
}

static int on_document(void *arg, const struct weir_document *doc)
{
	struct seen *seen = arg;

	seen->n++;
	if (doc->root) {
		print(&seen->text, doc->root);
	} else {
		weir_buf_printf(&seen->text, "!%u %s", doc->line, doc->error);
	}
	weir_buf_addz(&seen->text, "\n");
	return 0;
}

static void expect(const char *text, size_t n, bool is_json,
		   const char *expected)
{
	struct seen seen = {0};
	struct weir_str s = {text, n};
	int r = is_json ? weir_json_read(s, on_document, &seen)
			: weir_yaml_read(s, on_document, &seen);

	weir_buf_add(&seen.text, "", 1);
	ok(r == 0 && strcmp(seen.text.p, expected) == 0,
	   "%d\n--- text\n%s\n--- got\n%s--- expected\n%s", r, text,
	   seen.text.p, expected);
	weir_buf_fini(&seen.text);
}

struct text_case {
	const char *text;
	const char *expected;
};

#define EXPECT_ALL(cases, is_json)                                             \
	do {                                                                   \
		for (size_t _i = 0; _i < sizeof(cases) / sizeof((cases)[0]);   \
		     _i++) {                                                   \
			expect((cases)[_i].text, strlen((cases)[_i].text),     \
			       is_json, (cases)[_i].expected);                 \
		}                                                              \
	} while (0)

static void scalars_mean_what_kubectl_takes_them_for(void)
{
	static const struct text_case cases[] = {
		{"a: yes", "{a@1 true}\n"},
		{"a: Y", "{a@1 true}\n"},
		{"a: n", "{a@1 false}\n"},
		{"a: Off", "{a@1 false}\n"},
		{"a: TRUE", "{a@1 true}\n"},
		{"a: tRue", "{a@1 \"tRue\"}\n"},
		{"a: 'yes'", "{a@1 \"yes\"}\n"},
		{"a: 010", "{a@1 8}\n"},
		{"a: 0o10", "{a@1 8}\n"},
		{"a: 0x1F", "{a@1 31}\n"},
		{"a: 0b11", "{a@1 3}\n"},
		{"a: 08", "{a@1 8}\n"},
		{"a: 1_000", "{a@1 1000}\n"},
		{"a: 12:30", "{a@1 \"12:30\"}\n"},
		{"a: +5", "{a@1 5}\n"},
		{"a: -5", "{a@1 -5}\n"},
		{"a: 1e3", "{a@1 1000}\n"},
		{"a: 5.0", "{a@1 5}\n"},
		{"a: 1.5", "{a@1 float 1.5}\n"},
		{"a: .5", "{a@1 float .5}\n"},
		{"a: 1e400", "{a@1 \"1e400\"}\n"},
		{"a: 9999999999999999999999",
		 "{a@1 float 9999999999999999999999}\n"},
		{"a: 0x", "{a@1 \"0x\"}\n"},
		{"a: _1", "{a@1 \"_1\"}\n"},
		{"a: ~", "{a@1 null}\n"},
		{"a:", "{a@1 null}\n"},
		{"a: Null", "{a@1 null}\n"},
		{"a: nUll", "{a@1 \"nUll\"}\n"},
		{"a: 2001-01-01", "{a@1 \"2001-01-01\"}\n"},
		{"a: !!str 5", "{a@1 \"5\"}\n"},
		{"a: !foo 5", "{a@1 \"5\"}\n"},
		{"1: x", "{1@1 \"x\"}\n"},
		{"true: x", "{true@1 \"x\"}\n"},
	};

	EXPECT_ALL(cases, false);
}

static void blocks_and_flows(void)
{
	static const struct text_case cases[] = {
		{"a:\n  b: 1\n  c:\n  - x\n  - y: 1\n    z: 2\nd: e\n",
		 "{a@1 {b@2 1, c@3 [@4 \"x\", @5 {y@5 1, z@6 2}]}, d@7 "
		 "\"e\"}\n"},
		{"a:\n- 1\nb: 2", "{a@1 [@2 1], b@3 2}\n"},
		{"a: [1, \"x y\", {b: c}]", "{a@1 [@1 1, @1 \"x y\", @1 {b@1 "
					    "\"c\"}]}\n"},
		{"# c\n\na: b # c\n  # d\n", "{a@3 \"b\"}\n"},
		{"a: b#c", "{a@1 \"b#c\"}\n"},
		{"a: http://x", "{a@1 \"http://x\"}\n"},
		{"- - 1\n  - 2\n-\n  a: b\n", "[@1 [@1 1, @2 2], @4 {a@4 "
					      "\"b\"}]\n"},
		{"a: |\n  x\n  y\nb: >-\n  x\n  y\n",
		 "{a@1 \"x\\u000ay\\u000a\", b@4 \"x y\"}\n"},
		{"a: x\n  y\n", "{a@1 \"x y\"}\n"},
		{"a: \"x\\u00e9\"\n", "{a@1 \"x\xC3\xA9\"}\n"},
		{"\xEF\xBB\xBF"
		 "a: b\r\nc: d\r\n",
		 "{a@1 \"b\", c@2 \"d\"}\n"},
	};

	EXPECT_ALL(cases, false);
}

static void documents_are_apart(void)
{
	static const struct text_case cases[] = {
		{"", ""},
		{"# nothing\n---\n---\n\n", ""},
		{"a: 1\n---\nb: 2\n", "{a@1 1}\n{b@3 2}\n"},
		{"%YAML 1.1\n---\na: 1\n...\n---\nb: 2\n",
		 "{a@3 1}\n{b@6 2}\n"},
		{"--- # c\na: 1\n--- {b: 2}\n", "{a@2 1}\n{b@3 2}\n"},
		/* A broken one does not take the others along. */
		{"a: [1\n---\nb: 2\n---\nc: }\n---\nd: 4\n",
		 "!2 while parsing a flow sequence, did not find expected ',' "
		 "or ']'\n{b@3 2}\n!5 while parsing a block node, did not "
		 "find expected node content\n{d@7 4}\n"},
		{"a:\n\tb: 1\n---\nc: 1\n",
		 "!2 while scanning for the next token, found character that "
		 "cannot start any token\n{c@4 1}\n"},
		{"a: \xFF\n", "!1 invalid leading UTF-8 octet\n"},
	};

	EXPECT_ALL(cases, false);
}

static void aliases_and_merges(void)
{
	static const struct text_case cases[] = {
		{"a: &x {b: 1}\nc: *x\n", "{a@1 {b@1 1}, c@2 {b@1 1}}\n"},
		{"a: &x {b: 1, d: 3}\nc:\n  <<: *x\n  b: 2\n",
		 "{a@1 {b@1 1, d@1 3}, c@2 {b@1 1, d@1 3, b@4 2}}\n"},
		{"c:\n  b: 2\n  <<: {b: 1, d: 3}\n", "{c@1 {b@2 2, d@3 3}}\n"},
		{"a: &x 1\nb: &x 2\nc: *x\n", "{a@1 1, b@2 2, c@3 2}\n"},
		{"a: *x\n", "!1 an alias without its anchor\n"},
		{"a: &x [*x]\n", "!1 an alias inside its own anchor\n"},
		{"<<: 1\n", "!1 the value of << is not a map\n"},
		{"{[a]: b}\n", "!1 a key is not a scalar\n"},
	};

	EXPECT_ALL(cases, false);
}

/* "Billion laughs": nine levels of ten aliases each. */
static void aliases_unfold_to_a_bounded_size(void)
{
	_cleanup_buf_ struct weir_buf text = {0};

	weir_buf_addz(&text, "a0: &a0 x\n");
	for (int i = 1; i < 10; i++) {
		weir_buf_printf(&text, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++) {
			weir_buf_printf(&text, "%s*a%d", j ? ", " : "", i - 1);
		}
		weir_buf_addz(&text, "]\n");
	}
	expect(text.p, text.n, false, "!6 aliases unfold to too many values\n");
}

static void depth_is_bounded(void)
{
	_cleanup_buf_ struct weir_buf text = {0};

	for (int i = 0; i < 100000; i++) {
		weir_buf_addz(&text, "[");
	}
	expect(text.p, text.n, false, "!1 nested more than 64 deep\n");
	expect(text.p, text.n, true, "!1 not valid JSON from here on\n");
}

static void json_has_lines(void)
{
	static const struct text_case cases[] = {
		{"", ""},
		{"{\n \"a\": 1,\n \"b\": [true,\n  null, \"x\\n\\u00e9\"],\n "
		 "\"c\":\n {}\n}",
		 "{a@2 1, b@3 [@3 true, @4 null, @4 \"x\\u000a\xC3\xA9\"], c@5 "
		 "{}}\n"},
		{"{\"a\":12345678901234567,\"b\":1.5,\"c\":80.0}",
		 "{a@1 12345678901234567, b@1 float 1.5, c@1 80}\n"},
		{"{\"a\":1}\n{\"b\":2}\n", "{a@1 1}\n{b@2 2}\n"},
		{"{\"a\":1}\n{\"b\":\n2 3}\n",
		 "{a@1 1}\n!3 not valid JSON from here on\n"},
		{"{\"a\":\n", "!1 not valid JSON from here on\n"},
	};

	EXPECT_ALL(cases, true);
}

static int only_one(void *arg, const struct weir_document *doc)
{
	(void)doc;
	(*(int *)arg)++;
	return -ECANCELED;
}

static void a_caller_can_stop(void)
{
	int n = 0;

	ok(weir_yaml_read(WEIR_STR("a: 1\n---\nb: 2\n"), only_one, &n) ==
		   -ECANCELED,
	   "yaml");
	ok(weir_json_read(WEIR_STR("{}{}"), only_one, &n) == -ECANCELED,
	   "json");
	ok(n == 2, "%d", n);
}

/* ------------------------------- the fast path against libyaml */

struct pair {
	struct weir_buf text;
	struct weir_str input;
};

static int print_full(void *arg, const struct weir_document *doc)
{
	struct pair *pair = arg;

	must(doc->root, "%s: %.*s", doc->error, WEIR_STR_ARG(pair->input));
	print(&pair->text, doc->root);
	return 0;
}

/* Pieces that manifests are made of, put together at random. */
static void fast_path_reads_as_libyaml(void)
{
	static const char *const pieces[] = {
		"a:",   "b: ",  "c",     ": ",     "- ",     "-",
		"\n",   "\n  ", "\n",    "  ",     " ",      "#x",
		" # y", "'q'",  "\"r\"", "[1, ",   "]",      "{k: ",
		"}",    ", ",   "\n- ",  "\n  - ", "\n    ", "~",
		"yes",  "010",  "x y",   ":",      "---",    "|",
		"&a",   "*a",   "<<",    "\na: ",  "\nb:\n", "''",
	};
	uint32_t seed = 1;
	size_t taken = 0;

	for (int i = 0; i < 200000; i++) {
		char text[160];
		size_t n = 0;
		_cleanup_(weir_arena_fini) struct weir_arena arena;
		struct weir_node *root = NULL;

		for (int k = 0; k < 14; k++) {
			const char *p;

			seed = seed * 1664525 + 1013904223;
			p = pieces[(seed >> 16) %
				   (sizeof(pieces) / sizeof(pieces[0]))];
			memcpy(text + n, p, strlen(p));
			n += strlen(p);
		}
		weir_arena_init(&arena, 512);
		if (weir_yaml_fast((struct weir_str){text, n}, 1, &arena,
				   &root) == 0) {
			_cleanup_buf_ struct weir_buf fast = {0};
			_cleanup_(weir_buf_fini) struct weir_buf full = {0};
			struct pair pair = {.input = {text, n}};

			taken++;
			print(&fast, root);
			must(weir_yaml_full((struct weir_str){text, n}, 1,
					    print_full, &pair) == 0,
			     "%.*s", (int)n, text);
			full = pair.text;
			must(weir_str_eq(weir_buf_str(&fast),
					 weir_buf_str(&full)),
			     "%.*s\n--- fast %.*s\n--- full %.*s", (int)n, text,
			     WEIR_STR_ARG(weir_buf_str(&fast)),
			     WEIR_STR_ARG(weir_buf_str(&full)));
		}
	}
	ok(taken > 1000, "only %zu texts were taken", taken);
}

static void fast_path_takes_what_is_usual(void)
{
	static const char text[] = "# a comment\n"
				   "apiVersion: v1\n"
				   "kind: Service # another\n"
				   "metadata:\n"
				   "  name: a\n"
				   "  labels: {a: b, \"c/d\": 'e'}\n"
				   "\n"
				   "spec:\n"
				   "  ports:\n"
				   "  - port: 80\n"
				   "    name: http\n"
				   "  - {port: 81, name: x}\n"
				   "  ips: [10.0.0.1, \"fd00::1\"]\n";
	_cleanup_(weir_arena_fini) struct weir_arena arena;
	struct weir_node *root = NULL;

	weir_arena_init(&arena, 512);
	ok(weir_yaml_fast(WEIR_STR(text), 1, &arena, &root) == 0 && root,
	   "refused");
}

TAP_MAIN(TEST(scalars_mean_what_kubectl_takes_them_for), TEST(blocks_and_flows),
	 TEST(documents_are_apart), TEST(aliases_and_merges),
	 TEST(aliases_unfold_to_a_bounded_size), TEST(depth_is_bounded),
	 TEST(json_has_lines), TEST(a_caller_can_stop),
	 TEST(fast_path_reads_as_libyaml), TEST(fast_path_takes_what_is_usual))
