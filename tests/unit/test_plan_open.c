/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening foreign blocks: a whole plan opens, each named damage is refused, and
 * whatever random damage still opens can be read to the end (run under ASan by
 * make asan; tests/fuzz/fuzz_plan.c goes deeper).
 */
#include <errno.h>
#include <stdlib.h>

#include "plan_site.h"
#include "print.h"

static struct weir_plan *rules;
static struct weir_eps *eps;
static size_t rules_size;
static size_t eps_size;

/* A plan with something of everything: the site's HTTP part, and refs, slots,
 * filters, groups, endpoints. */
static struct weir_span put_full_rule(struct weir_writer *w)
{
	struct weir_header_mod mod = {.op = WEIR_HEADER_SET};
	struct weir_filter filter[2] = {
		{.type = WEIR_FILTER_REQUEST_HEADERS},
		{.type = WEIR_FILTER_REDIRECT, .status = 302}};
	struct weir_ref ref[2] = {{.key = 1, .weight = 90, .group = 1},
				  {.key = 2,
				   .weight = 10,
				   .group = WEIR_NONE,
				   .index = 1,
				   .state = WEIR_REF_INVALID}};
	struct weir_rule rule = {.key = 7};
	uint64_t weight[2] = {90, 10};
	weir_alias_rest rest[2];
	struct weir_slot slot[2];

	weir_alias_build(weight, 2, rest, slot);
	mod.name = weir_writer_text(w, WEIR_STR("x-a"));
	mod.value = weir_writer_text(w, WEIR_STR("\x1b[31m"));
	filter[0].mods = weir_writer_add(w, &mod, 1, sizeof(mod));
	ref[1].filters = weir_writer_add(w, filter, 2, sizeof(filter[0]));
	rule.filters = ref[1].filters;
	rule.refs = weir_writer_add(w, ref, 2, sizeof(ref[0]));
	rule.slots = weir_writer_add(w, slot, 2, sizeof(slot[0]));
	return weir_writer_add(w, &rule, 1, sizeof(rule));
}

static struct weir_listener put_listener(struct weir_writer *w)
{
	static const struct match v[] = {
		{WEIR_PATH_EXACT, "/a", "GET", {{"h", "v", false}}, {{0}}},
		{WEIR_PATH_REGEX, "/.*", "", {{0}}, {{"q", "[0-9]", true}}},
		{WEIR_PATH_PREFIX, "/a", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/a", "POST", {{0}}, {{0}}},
	};
	struct weir_span regexes[4];
	uint32_t n_regex = 0;
	uint32_t rule = 0;
	struct weir_table t;
	struct weir_match *m;
	struct weir_vhost vhost = {0};
	struct weir_listener l = {0};

	t = put_table(w, v, N_OF(v), &rule, regexes, &n_regex);
	m = weir_writer_at(w, t.matches);
	for (uint32_t i = 0; i < t.matches.n; i++) {
		m[i].rule = 0;
	}
	header(w)->regexes = weir_writer_add(w, regexes, n_regex,
					     sizeof(regexes[0]));
	vhost.hostname = weir_writer_text(w, WEIR_STR("*.x"));
	vhost.tables = weir_writer_add(w, &t, 1, sizeof(t));
	l.vhosts = weir_writer_add(w, &vhost, 1, sizeof(vhost));
	l.host_index = weir_index_vhosts(w, l.vhosts);
	return l;
}

static void build_full(void)
{
	struct weir_pobject object = {.generation = 3};
	struct weir_group group[2] = {{.key = 11, .port = 80},
				      {.key = 12, .port = 81}};
	struct weir_endpoint ep[2] = {{.port_be = htons(8080)},
				      {.port_be = htons(8081)}};
	struct weir_span set[2] = {{0}};
	struct weir_writer w;
	struct weir_span s;
	void *block;

	weir_free_ptr(&rules);
	weir_free_ptr(&eps);
	weir_writer_init(&w, sizeof(struct weir_plan));
	object.kind = weir_writer_text(&w, WEIR_STR("Service"));
	object.ns = weir_writer_text(&w, WEIR_STR("default"));
	object.name = weir_writer_text(&w, WEIR_STR("my-app"));
	s = weir_writer_add(&w, &object, 1, sizeof(object));
	header(&w)->objects = s;
	s = put_full_rule(&w);
	header(&w)->rules = s;
	s = weir_writer_add(&w, group, 2, sizeof(group[0]));
	header(&w)->groups = s;
	put_frontends(&w, put_listener(&w));
	must(weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, &rules_size) == 0,
	     "rules");
	rules = block;
	weir_writer_init(&w, sizeof(struct weir_eps));
	set[1] = weir_writer_add(&w, ep, 2, sizeof(ep[0]));
	s = weir_writer_add(&w, set, 2, sizeof(set[0]));
	((struct weir_eps *)weir_writer_at(&w, (struct weir_span){0}))->sets =
		s;
	must(weir_writer_finish(&w, WEIR_EPS_MAGIC, &block, &eps_size) == 0,
	     "endpoints");
	eps = block;
	eps->groups_hash = weir_plan_groups_hash(rules);
}

static int open_now(void)
{
	struct weir_plan_view view;

	return weir_plan_open(rules, rules_size, eps, eps_size, &view);
}

/* First element of a span, writable. */
static void *first(struct weir_span s)
{
	return (char *)rules + s.off;
}

static struct weir_frontend *frontend(void)
{
	return first(rules->frontends);
}

static struct weir_listener *listener(void)
{
	return first(frontend()->listeners);
}

static struct weir_table *table(void)
{
	struct weir_vhost *v = first(listener()->vhosts);

	return first(v->tables);
}

static struct weir_match *match(void)
{
	return first(table()->matches);
}

static struct weir_rule *rule(void)
{
	return first(rules->rules);
}

static void whole_plan_opens(void)
{
	struct weir_plan_view view = {0};

	build_full();
	must(weir_plan_open(rules, rules_size, eps, eps_size, &view) == 0,
	     "opens");
	ok(view.rules == rules && view.eps == eps, "the same bytes");
	ok(rules_size % 8 == 0 && rules->size == rules_size, "size");
}

static void other_version_is_named(void)
{
	build_full();
	rules->version++;
	ok(open_now() == -EPROTO, "rules");
	build_full();
	eps->version++;
	ok(open_now() == -EPROTO, "endpoints");
}

/* Each line damages one thing; all must be -EBADMSG. */
#define REFUSED(...)                                                           \
	do {                                                                   \
		build_full();                                                  \
		__VA_ARGS__;                                                   \
		ok(open_now() == -EBADMSG, "%s", #__VA_ARGS__);                \
	} while (0)

static void damaged_heads_are_refused(void)
{
	REFUSED(rules->magic++);
	REFUSED(eps->magic = WEIR_PLAN_MAGIC);
	REFUSED(rules->size++);
	REFUSED(rules_size = 8);
	REFUSED(rules_size = 0);
	REFUSED(rules->header_size += 8);
	REFUSED(eps->groups_hash++);
	REFUSED(((struct weir_group *)first(rules->groups))->key++);
	REFUSED(eps->sets.n = 1);
}

static void damaged_spans_are_refused(void)
{
	REFUSED(rules->objects.n = 0x40000000);
	REFUSED(rules->objects.off = (uint32_t)rules_size);
	REFUSED(rules->objects.off += 4);
	REFUSED(rules->objects.off = 8);
	REFUSED(frontend()->listeners = (struct weir_span){1001, 0});
	REFUSED(rules->rules.off = 0xFFFFFFF8);
	REFUSED(((struct weir_pobject *)first(rules->objects))->name.n = 9999);
	REFUSED(frontend()->listeners.n = 1000000);
	REFUSED(listener()->vhosts.off++);
	REFUSED(match()->path.off = 0xFFFFFFFF);
	REFUSED(match()->headers.n = 77777);
	REFUSED(rule()->refs.n = 0xFFFFFFFF);
	REFUSED(eps->sets.off = 4);
	REFUSED(((struct weir_span *)((char *)eps + eps->sets.off))[1].n = 99);
}

static void damaged_indices_are_refused(void)
{
	REFUSED(frontend()->object = 1);
	REFUSED(frontend()->rule = 1);
	REFUSED(frontend()->mode = WEIR_MODE_TCP);
	REFUSED(frontend()->mode = _WEIR_MODE_MAX);
	REFUSED(frontend()->plane = _WEIR_PLANE_MAX);
	REFUSED(frontend()->reason = 255);
	REFUSED(frontend()->proto = 1);
	REFUSED(match()->rule = 1);
	REFUSED(match()[1].regex = 2);
	REFUSED(match()->path_type = _WEIR_PATH_MAX);
	REFUSED(match()[2].next = 2);
	REFUSED(match()[3].next = 1);
	REFUSED(match()[0].next = 4);
	REFUSED(((struct weir_slot *)first(rule()->slots))->alias = 2);
	REFUSED(((struct weir_slot *)first(rule()->slots))->group = 2);
	REFUSED(((struct weir_ref *)first(rule()->refs))->group = 2);
	REFUSED(((struct weir_ref *)first(rule()->refs))->group = WEIR_NONE);
	REFUSED(((struct weir_ref *)first(rule()->refs))->state = 9);
	REFUSED(((struct weir_filter *)first(rule()->filters))->type = 9);
	REFUSED(((struct weir_filter *)first(rule()->filters))[1].status = 200);
	REFUSED(((struct weir_group *)first(rules->groups))->object = 1);
	REFUSED(((uint32_t *)first(rules->proxied))[1] = 2);
}

static void damaged_tables_are_refused(void)
{
	REFUSED(table()->exact.n = 3);
	REFUSED(((uint32_t *)first(table()->prefix))[0] = 5);
	REFUSED(((uint32_t *)first(table()->regex))[0] = 4);
	REFUSED(((uint32_t *)first(listener()->host_index))[0] = 2);
	REFUSED(((uint32_t *)first(
			listener()->host_index))[0] = WEIR_INDEX_TAG | 2);
	/* A hash, and no element. */
	REFUSED(((uint32_t *)first(
			listener()->host_index))[0] = WEIR_INDEX_TAG);
	REFUSED(frontend()[0].port_be = htons(81)); /* out of order */
	REFUSED(frontend()[1].consumer_ns.n = 0);   /* twice */
}

static void full_hash_table_ends(void)
{
	struct weir_request request = {.host = WEIR_STR("q.x"),
				       .path = WEIR_STR("/zzz"),
				       .method = WEIR_STR("GET")};
	struct weir_decision d;
	uint32_t *slots;

	build_full();
	slots = first(table()->prefix);
	for (uint32_t i = 0; i < table()->prefix.n; i++) {
		slots[i] = 3 | i << 24; /* some have the hash's bits */
	}
	slots = first(listener()->host_index);
	for (uint32_t i = 0; i < listener()->host_index.n; i++) {
		slots[i] = 1;
	}
	must(open_now() == 0, "sane enough to be read");
	weir_decide(rules, NULL, frontend(), &request, &d);
	ok(d.vhost && !d.rule, "found the host, not the path");
}

/* Many listeners that share everything below would cost n^4 reads. */
static void overlapping_spans_are_bounded(void)
{
	enum { N = 4096 };
	struct weir_listener l = {0};
	struct weir_vhost v = {0};
	struct weir_table t = {0};
	struct weir_pobject object = {0};
	struct weir_frontend f = {.proto = IPPROTO_TCP, .rule = WEIR_NONE};
	struct weir_rule r = {0};
	struct weir_match *m;
	struct weir_writer w;
	struct weir_span s;
	void *block;

	build_full();
	weir_free_ptr(&rules);
	weir_writer_init(&w, sizeof(struct weir_plan));
	s = weir_writer_add(&w, &object, 1, sizeof(object));
	header(&w)->objects = s;
	s = weir_writer_add(&w, &r, 1, sizeof(r));
	header(&w)->rules = s;
	t.matches = weir_writer_reserve(&w, N, sizeof(*m));
	m = weir_writer_at(&w, t.matches);
	for (int i = 0; i < N; i++) {
		m[i].next = WEIR_NONE;
	}
	v.tables = weir_writer_reserve(&w, N, sizeof(t));
	for (int i = 0; i < N; i++) {
		((struct weir_table *)weir_writer_at(&w, v.tables))[i] = t;
	}
	l.vhosts = weir_writer_reserve(&w, N, sizeof(v));
	for (int i = 0; i < N; i++) {
		((struct weir_vhost *)weir_writer_at(&w, l.vhosts))[i] = v;
	}
	f.listeners = weir_writer_add(&w, &l, 1, sizeof(l));
	s = weir_writer_add(&w, &f, 1, sizeof(f));
	header(&w)->frontends = s;
	must(weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, &rules_size) == 0,
	     "rules");
	rules = block;
	ok(open_now() == -EBADMSG, "refused, and soon");
}

static void print_all(void)
{
	struct weir_plan_view view;
	_cleanup_buf_ struct weir_buf out = {0};

	if (weir_plan_open(rules, rules_size, eps, eps_size, &view) == 0) {
		weir_plan_print(&view, &out);
		weir_plan_print_json(&view, &out);
	}
}

static void random_damage_is_refused_or_harmless(void)
{
	unsigned opened = 0;

	srandom(1);
	for (int round = 0; round < 20000; round++) {
		unsigned char *p;
		int n = 1 + (int)(random() % 3);

		build_full();
		for (int i = 0; i < n; i++) {
			bool is_eps = random() % 8 == 0;
			size_t size = is_eps ? eps_size : rules_size;

			p = is_eps ? (unsigned char *)eps
				   : (unsigned char *)rules;
			p[(size_t)random() % size] ^=
				(unsigned char)(1u << random() % 8);
		}
		opened += open_now() == 0;
		print_all();
	}
	ok(opened > 1000 && opened < 19000, "%u of 20000 opened", opened);
}

static void print_is_stable_and_escapes(void)
{
	static const char *const want[] = {
		"frontend 10.0.0.1:80/tcp http of Service default/my-app",
		"      exact /a method GET header h=v -> rule 0\n",
		"      regex /.* query q~[0-9] -> rule 0\n",
		"rule 0 Service default/my-app [0] plane proxy (per connection",
		"  ref 0 weight 90 share 90.0000% Service default/my-app:81",
		("  ref 1 weight 10 share 10.0000% Service default/my-app "
		 "http1 "
		 "invalid\n"),
		"filter request headers set x-a=\"\\u001b[31m\"\n",
		"filter redirect 302\n",
		"  endpoint [::]:8081\n",
	};
	_cleanup_buf_ struct weir_buf a = {0};
	_cleanup_buf_ struct weir_buf b = {0};
	struct weir_plan_view view;

	build_full();
	must(weir_plan_open(rules, rules_size, eps, eps_size, &view) == 0,
	     "built");
	weir_plan_print(&view, &a);
	rules->generation = 77;
	rule()->stat = 5;
	weir_plan_print(&view, &b);
	ok(weir_str_eq(weir_buf_str(&a), weir_buf_str(&b)),
	   "stamps do not show");
	weir_buf_add(&a, "", 1);
	for (size_t i = 0; i < N_OF(want); i++) {
		ok(strstr(a.p, want[i]) != NULL, "\"%s\" in:\n%s", want[i],
		   a.p);
	}
}

static void writer_interns_and_aligns(void)
{
	struct weir_writer w;
	struct weir_span a;
	struct weir_span b;
	uint64_t v = 1;
	void *block;
	size_t size;

	weir_writer_init(&w, sizeof(struct weir_eps));
	a = weir_writer_text(&w, WEIR_STR("abc"));
	b = weir_writer_text(&w, WEIR_STR("abc"));
	ok(a.off == b.off && a.n == 3, "equal texts are one");
	b = weir_writer_text(&w, WEIR_STR("abd"));
	ok(b.off == a.off + 3, "texts lie close");
	b = weir_writer_text(&w, WEIR_STR_NULL);
	ok(b.off == 0 && b.n == 0, "empty text is the empty span");
	b = weir_writer_add(&w, &v, 1, sizeof(v));
	ok(b.off % 8 == 0, "arrays are aligned");
	b = weir_writer_add(&w, NULL, SIZE_MAX / 2, 16);
	ok(b.n == 0 && w.error == -EFBIG, "overflow is an error");
	ok(weir_writer_finish(&w, 1, &block, &size) == -EFBIG, "and sticks");
}

TAP_MAIN(TEST(whole_plan_opens), TEST(other_version_is_named),
	 TEST(damaged_heads_are_refused), TEST(damaged_spans_are_refused),
	 TEST(damaged_indices_are_refused), TEST(damaged_tables_are_refused),
	 TEST(full_hash_table_ends), TEST(overlapping_spans_are_bounded),
	 TEST(random_damage_is_refused_or_harmless),
	 TEST(print_is_stable_and_escapes), TEST(writer_interns_and_aligns))
