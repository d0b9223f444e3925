/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision will read is guessed: the rule that is fetched is the one
 * that is decided for, where nothing but host and prefix says which. */
#include "plan_site.h"
#include "prefetch.h"

static const struct weir_frontend *frontend_of(const struct built *b)
{
	return WEIR_PLAN_ELEM(b->rules, struct weir_frontend,
			      b->rules->frontends, 0);
}

/* The rule that was fetched, or -1; *ret_steps: after how many. */
static int fetched(const struct built *b, const char *host, const char *path,
		   unsigned *ret_steps)
{
	struct weir_prefetch p;

	*ret_steps = 0;
	weir_prefetch_begin(b->rules, frontend_of(b), weir_str_of(host),
			    weir_str_of(path), &p);
	do {
		++*ret_steps;
	} while (weir_prefetch_step(&p));
	return p.rule ? (int)p.rule->index : -1;
}

static int decided(const struct built *b, const char *host, const char *path)
{
	struct weir_request r = {.method = WEIR_STR("GET"),
				 .host = weir_str_of(host),
				 .path = weir_str_of(path)};
	struct weir_decision d;

	weir_decide(b->rules, b->regexes, frontend_of(b), &r, &d);
	return d.rule ? (int)d.rule->index : -1;
}

static void add_host(struct site *site, const char *name,
		     const char *const *paths, size_t n)
{
	struct host *h = &site->host[site->n_hosts++];

	*h = (struct host){.name = name, .n_tables = 1};
	h->table[0].n = n;
	for (size_t i = 0; i < n; i++) {
		h->table[0].v[i] = (struct match){
			WEIR_PATH_PREFIX, paths[i], "", {{0}}, {{0}}};
	}
}

static void the_rule_is_the_one_decided_for(void)
{
	static const char *const some[] = {"/a/b/c/d/e/f", "/a/b/c", "/a", "/q",
					   "/"};
	static const char *const one[] = {"/only"};
	static const struct {
		const char *host;
		const char *path;
	} c[] = {
		{"a.x", "/"},
		{"a.x", "/a"},
		{"a.x", "/a/"},
		{"a.x", "/a/b/c"},
		{"a.x", "/a/b/c/d"},
		{"a.x", "/a/b/c/d/e/f"},
		{"b.x", "/a/b/c/d/e/f/g/h"},
		{"b.x", "/q//r"},
		{"c.x", "/only"},
		{"c.x", "/only/this"},
	};
	struct site site = {0};
	struct built b = {0};

	add_host(&site, "a.x", some, N_OF(some));
	add_host(&site, "b.x", some, N_OF(some));
	add_host(&site, "c.x", one, 1);
	build(&site, &b);
	for (size_t i = 0; i < N_OF(c); i++) {
		int want = decided(&b, c[i].host, c[i].path);
		unsigned steps;
		int is = fetched(&b, c[i].host, c[i].path, &steps);

		ok(want >= 0 && is == want, "%s%s: rule %d, decided %d",
		   c[i].host, c[i].path, is, want);
		ok(steps <= WEIR_PREFETCH_STEPS, "in %u steps", steps);
	}
	built_fini(&b);
}

static void one_host_needs_no_hash(void)
{
	static const char *const paths[] = {"/a/b", "/a"};
	struct site site = {0};
	struct built b = {0};
	unsigned steps;

	add_host(&site, "", paths, N_OF(paths));
	build(&site, &b);
	ok(fetched(&b, "any", "/a/b/c", &steps) == 0, "the longer prefix");
	ok(fetched(&b, "any", "/a/c", &steps) == 1, "the shorter one");
	built_fini(&b);
}

static void what_is_not_there_ends_it(void)
{
	static const char *const paths[] = {"/a"};
	static const char *const names[] = {"a.x", "b.x", "*.y"};
	struct site site = {0};
	struct built b = {0};
	unsigned steps;

	for (size_t i = 0; i < N_OF(names); i++) {
		add_host(&site, names[i], paths, N_OF(paths));
	}
	site.host[1].table[0].v[0].type = WEIR_PATH_EXACT;
	build(&site, &b);
	ok(fetched(&b, "a.x", "/b", &steps) == -1, "no such path");
	ok(fetched(&b, "q.x", "/a", &steps) == -1, "no such host");
	ok(fetched(&b, "", "/a", &steps) == -1, "no host");
	ok(fetched(&b, "a.x", "", &steps) == -1, "no path");
	ok(fetched(&b, "b.x", "/a", &steps) == -1, "no prefixes");
	ok(fetched(&b, "z.y", "/a", &steps) == -1, "a wildcard is not guessed");
	built_fini(&b);
}

TAP_MAIN(TEST(the_rule_is_the_one_decided_for), TEST(one_host_needs_no_hash),
	 TEST(what_is_not_there_ends_it))
