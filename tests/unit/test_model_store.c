/* SPDX-License-Identifier: Apache-2.0 */
/* Store, selectors and the table of kinds. */
#include <stdio.h>

#include "store.h"
#include "tap.h"

static void put(struct weir_store *store, enum weir_kind kind, const char *ns,
		const char *name, const char *service)
{
	struct weir_arena arena;
	struct weir_object *o;

	weir_arena_init(&arena, 256);
	o = weir_arena_alloc(&arena, sizeof(*o));
	must(o, "memory");
	o->kind = kind;
	o->ns = weir_arena_dup(&arena, weir_str_of(ns));
	o->name = weir_arena_dup(&arena, weir_str_of(name));
	if (service) {
		struct weir_slice_spec *s = weir_arena_alloc(&arena,
							     sizeof(*s));

		must(s, "memory");
		s->service = weir_arena_dup(&arena, weir_str_of(service));
		o->slice = s;
	}
	must(weir_store_put(store, &arena, o) == 0, "put");
}

static struct weir_store *new_store(void)
{
	struct weir_store *store = NULL;

	must(weir_store_new(&store) == 0, "new");
	return store;
}

static const struct weir_object *find(const struct weir_store *store,
				      const char *ns, const char *name)
{
	return weir_store_find(store, WEIR_KIND_SERVICE, weir_str_of(ns),
			       weir_str_of(name));
}

static void lists_are_in_order(void)
{
	static const char *const names[] = {"m", "b", "z", "a", "bb", "y"};
	struct weir_store *store = new_store();
	const struct weir_object *const *v;
	size_t n;

	for (size_t i = 0; i < 6; i++) {
		put(store, WEIR_KIND_SERVICE, i % 2 ? "ns1" : "ns0", names[i],
		    NULL);
	}
	v = weir_store_list(store, WEIR_KIND_SERVICE, &n);

	must(n == 6, "%zu", n);
	for (size_t i = 1; i < n; i++) {
		int r = weir_str_cmp(v[i - 1]->ns, v[i]->ns);

		ok(r < 0 || (r == 0 &&
			     weir_str_cmp(v[i - 1]->name, v[i]->name) < 0),
		   "%zu", i);
	}
	weir_store_free(&store);
	ok(store == NULL, "free nulls");
}

static void an_object_is_replaced_whole(void)
{
	struct weir_store *store = new_store();
	const struct weir_object *before;
	size_t n;

	put(store, WEIR_KIND_SERVICE, "a", "x", NULL);
	before = find(store, "a", "x");
	put(store, WEIR_KIND_SERVICE, "a", "x", NULL);

	ok(before && find(store, "a", "x") != NULL, "found");
	weir_store_list(store, WEIR_KIND_SERVICE, &n);
	ok(n == 1, "%zu", n);
	ok(find(store, "a", "y") == NULL && find(store, "b", "x") == NULL,
	   "others");
	weir_store_free(&store);
}

static void versions_count_changes(void)
{
	struct weir_store *store = new_store();
	uint64_t v0 = weir_store_version(store);
	uint64_t v1;
	uint64_t v2;

	put(store, WEIR_KIND_SERVICE, "a", "x", NULL);
	v1 = weir_store_version(store);
	ok(!weir_store_remove(store, WEIR_KIND_SERVICE, WEIR_STR("a"),
			      WEIR_STR("none")),
	   "not there");
	v2 = weir_store_version(store);

	ok(v1 == v0 + 1 && v2 == v1, "put counts, nothing removed does not");
	ok(weir_store_remove(store, WEIR_KIND_SERVICE, WEIR_STR("a"),
			     WEIR_STR("x")) &&
		   weir_store_version(store) == v2 + 1,
	   "removal counts");
	weir_store_free(&store);
}

static void slices_are_found_by_service(void)
{
	struct weir_store *store = new_store();
	const struct weir_object *const *v;
	size_t n;

	put(store, WEIR_KIND_ENDPOINT_SLICE, "a", "s2", "web");
	put(store, WEIR_KIND_ENDPOINT_SLICE, "a", "s1", "web");
	put(store, WEIR_KIND_ENDPOINT_SLICE, "a", "s0", "db");
	put(store, WEIR_KIND_ENDPOINT_SLICE, "b", "s3", "web");
	put(store, WEIR_KIND_ENDPOINT_SLICE, "a", "s4", "");
	v = weir_store_slices(store, WEIR_STR("a"), WEIR_STR("web"), &n);

	must(n == 2, "%zu", n);
	ok(weir_str_is(v[0]->name, "s1") && weir_str_is(v[1]->name, "s2"),
	   "by name");
	put(store, WEIR_KIND_ENDPOINT_SLICE, "a", "s1", "db");
	weir_store_slices(store, WEIR_STR("a"), WEIR_STR("web"), &n);
	ok(n == 1, "after a change: %zu", n);
	weir_store_slices(store, WEIR_STR("a"), WEIR_STR("none"), &n);
	ok(n == 0, "none: %zu", n);
	weir_store_slices(store, WEIR_STR("a"), WEIR_STR(""), &n);
	ok(n == 0, "without a Service: %zu", n);
	weir_store_free(&store);
}

/* Against a plain table of what should be there. */
static void random_changes_keep_the_order(void)
{
	enum { NAMES = 97, STEPS = 20000 };
	struct weir_store *store = new_store();
	bool is_there[NAMES] = {false};
	uint32_t seed = 7;
	size_t expected = 0;
	size_t n;

	for (int i = 0; i < STEPS; i++) {
		char name[8];
		unsigned k;

		seed = seed * 1664525 + 1013904223;
		k = (seed >> 16) % NAMES;
		snprintf(name, sizeof(name), "n%u", k);
		if (seed & 0x100) {
			put(store, WEIR_KIND_SERVICE, "ns", name, NULL);
			is_there[k] = true;
		} else {
			must(weir_store_remove(
				     store, WEIR_KIND_SERVICE, WEIR_STR("ns"),
				     weir_str_of(name)) == is_there[k],
			     "step %d", i);
			is_there[k] = false;
		}
		must((find(store, "ns", name) != NULL) == is_there[k],
		     "step %d", i);
	}
	for (int k = 0; k < NAMES; k++) {
		expected += is_there[k];
	}
	weir_store_list(store, WEIR_KIND_SERVICE, &n);
	ok(n == expected, "%zu, expected %zu", n, expected);
	weir_store_free(&store);
}

static void empty_lists_are_no_error(void)
{
	struct weir_store *store = new_store();
	size_t n = 1;

	weir_store_list(store, WEIR_KIND_GATEWAY, &n);
	ok(n == 0, "%zu", n);
	weir_store_slices(store, WEIR_STR("a"), WEIR_STR("b"), &n);
	ok(n == 0, "%zu", n);
	weir_store_free(&store);
}

static void selectors_are_those_of_kubernetes(void)
{
	static const struct weir_pair pairs[] = {
		{WEIR_STR("app"), WEIR_STR("web")},
		{WEIR_STR("empty"), WEIR_STR("")},
	};
	static const struct weir_str web[] = {WEIR_STR("db"), WEIR_STR("web")};
	static const struct weir_str db[] = {WEIR_STR("db")};
	static const struct {
		const char *name;
		struct weir_selector_term term;
		bool is_match;
	} cases[] = {
		{"In", {WEIR_STR("app"), {web, 2}, WEIR_SEL_IN}, true},
		{"In another", {WEIR_STR("app"), {db, 1}, WEIR_SEL_IN}, false},
		{"In, absent", {WEIR_STR("no"), {web, 2}, WEIR_SEL_IN}, false},
		{"NotIn", {WEIR_STR("app"), {db, 1}, WEIR_SEL_NOT_IN}, true},
		{"NotIn it",
		 {WEIR_STR("app"), {web, 2}, WEIR_SEL_NOT_IN},
		 false},
		{"NotIn, absent",
		 {WEIR_STR("no"), {db, 1}, WEIR_SEL_NOT_IN},
		 true},
		{"Exists",
		 {WEIR_STR("empty"), {NULL, 0}, WEIR_SEL_EXISTS},
		 true},
		{"Exists, absent",
		 {WEIR_STR("no"), {NULL, 0}, WEIR_SEL_EXISTS},
		 false},
		{"Absent", {WEIR_STR("no"), {NULL, 0}, WEIR_SEL_ABSENT}, true},
		{"Absent, there",
		 {WEIR_STR("app"), {NULL, 0}, WEIR_SEL_ABSENT},
		 false},
	};
	const struct weir_pairs labels = {pairs, 2};
	const struct weir_selector all = {NULL, 0};

	ok(weir_selector_matches(&all, labels), "none matches all");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct weir_selector one = {&cases[i].term, 1};
		const struct weir_selector_term both[] = {
			cases[i].term,
			{WEIR_STR("never"), {NULL, 0}, WEIR_SEL_EXISTS}};
		const struct weir_selector anded = {both, 2};

		ok(weir_selector_matches(&one, labels) == cases[i].is_match,
		   "%s", cases[i].name);
		ok(!weir_selector_matches(&anded, labels), "ANDed");
	}
	ok(weir_pairs_get(labels, "no").p == NULL, "absent is NULL");
	ok(weir_pairs_get(labels, "empty").p != NULL, "empty is not");
}

static void kinds_have_their_groups(void)
{
	ok(strcmp(weir_kind_text(WEIR_KIND_KINGRESS), "Ingress") == 0, "kind");
	ok(strcmp(weir_kind_group(WEIR_KIND_KSERVICE), "serving.knative.dev") ==
		   0,
	   "group");
	ok(strcmp(weir_kind_group(WEIR_KIND_SERVICE), "") == 0, "core");
	ok(!weir_kind_is_namespaced(WEIR_KIND_GATEWAY_CLASS) &&
		   !weir_kind_is_namespaced(WEIR_KIND_NAMESPACE) &&
		   weir_kind_is_namespaced(WEIR_KIND_GATEWAY),
	   "scope");
	ok(strcmp(weir_kind_text(_WEIR_KIND_MAX), "") == 0, "no kind");
}

static void what_came_alone_is_known(void)
{
	struct weir_store *store = new_store();
	uint64_t since = weir_store_version(store);

	ok(!weir_store_only_added(store, since), "nothing came");
	put(store, WEIR_KIND_SERVICE, "d", "a", NULL);
	ok(weir_store_only_added(store, since) == find(store, "d", "a"),
	   "one came");
	put(store, WEIR_KIND_SERVICE, "d", "b", NULL);
	ok(!weir_store_only_added(store, since), "two came");
	ok(weir_store_only_added(store, since + 1) == find(store, "d", "b"),
	   "one of them since the other");
	put(store, WEIR_KIND_SERVICE, "d", "b", NULL);
	ok(!weir_store_only_added(store, since + 2), "it was there");
	weir_store_remove(store, WEIR_KIND_SERVICE, WEIR_STR("d"),
			  WEIR_STR("a"));
	ok(!weir_store_only_added(store, since + 3), "one went");
	ok(!weir_store_only_added(store, UINT64_MAX), "never compiled");
	weir_store_free(&store);
}

TAP_MAIN(TEST(what_came_alone_is_known), TEST(lists_are_in_order),
	 TEST(an_object_is_replaced_whole), TEST(versions_count_changes),
	 TEST(slices_are_found_by_service), TEST(random_changes_keep_the_order),
	 TEST(empty_lists_are_no_error),
	 TEST(selectors_are_those_of_kubernetes), TEST(kinds_have_their_groups))
