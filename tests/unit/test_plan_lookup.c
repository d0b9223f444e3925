/* SPDX-License-Identifier: Apache-2.0 */
/* Named cases of matching; random ones are in test_plan_lookup_random.c. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "plan_site.h"
#include "regex.h"

static int get(const struct built *b, const char *host, const char *path)
{
	const char *q = strchr(path, '?');
	struct weir_request r = {
		.method = WEIR_STR("GET"),
		.host = weir_str_of(host),
		.path = {path, q ? (size_t)(q - path) : strlen(path)},
		.query = weir_str_of(q ? q + 1 : NULL)};

	return decide(b, &r);
}

static struct site one_table(const struct match *v, size_t n)
{
	static struct site site;

	site = (struct site){.n_hosts = 1};
	site.host[0] = (struct host){.name = "", .n_tables = 1};
	site.host[0].table[0].n = n;
	memcpy(site.host[0].table[0].v, v, n * sizeof(*v));
	return site;
}

struct path_case {
	const char *path;
	int rule;
};

static void check_paths(const struct match *v, size_t n,
			const struct path_case *c, size_t n_cases)
{
	struct site site = one_table(v, n);
	struct built b = {0};

	build(&site, &b);
	for (size_t i = 0; i < n_cases; i++) {
		int is = get(&b, "x", c[i].path);

		ok(is == c[i].rule, "%s: rule %d, expected %d", c[i].path, is,
		   c[i].rule);
	}
	built_fini(&b);
}

static void prefix_by_elements(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX, "/abc/def", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/abc/", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/Abc", "", {{0}}, {{0}}},
	};
	static const struct path_case c[] = {
		{"/abc", 1},      {"/abc/", 1},
		{"/abc/d", 1},    {"/abcd", -1},
		{"/abc/def", 0},  {"/abc/def/", 0},
		{"/abc/defg", 1}, {"/ABC", -1},
		{"/Abc/x", 2},    {"/", -1},
		{"/abc//x", 1},   {"/abc//", 1},
		{"abc", -1},      {"/x/abc", -1},
		{"*", -1},        {"/abc?x=/abc/def", 1},
	};

	check_paths(v, N_OF(v), c, N_OF(c));
}

static void root_prefix_takes_all_paths(void)
{
	static const struct match v[] = {
		{WEIR_PATH_EXACT, "/", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}},
	};
	static const struct path_case c[] = {
		{"/", 0}, {"//", 1}, {"/a", 1}, {"/a/b?c", 1}, {"*", -1}};

	check_paths(v, N_OF(v), c, N_OF(c));
}

static void exact_then_regex_then_prefix(void)
{
	static const struct match v[] = {
		{WEIR_PATH_EXACT, "/a/b", "", {{0}}, {{0}}},
		{WEIR_PATH_REGEX, "/a/[a-z]+", "", {{0}}, {{0}}},
		{WEIR_PATH_REGEX, "/[a-z]/x", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/a/b", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/a", "", {{0}}, {{0}}},
	};
	static const struct path_case c[] = {
		{"/a/b", 0},  {"/a/c", 1},   {"/b/x", 2}, {"/a/b/", 3},
		{"/a/b1", 4}, {"/a/b/c", 3}, {"/a/x", 1}, {"/a", 4},
		{"/b", -1},   {"/b/xx", -1}, {"/a/B", 4},
	};

	check_paths(v, N_OF(v), c, N_OF(c));
}

static void regex_covers_the_whole_path(void)
{
	static const struct match v[] = {
		{WEIR_PATH_REGEX, "/a|/abc", "", {{0}}, {{0}}},
		{WEIR_PATH_REGEX, "/v[0-9]+/.*", "", {{0}}, {{0}}},
		{WEIR_PATH_REGEX, "^/anchored$", "", {{0}}, {{0}}},
	};
	static const struct path_case c[] = {
		{"/a", 0},           {"/abc", 0},      {"/ab", -1},
		{"/abcd", -1},       {"/x/a", -1},     {"/v12/", 1},
		{"/v12", -1},        {"/anchored", 2}, {"/anchored/", -1},
		{"/anchored\n", -1},
	};

	check_paths(v, N_OF(v), c, N_OF(c));
}

static void longer_prefix_without_match_falls_to_shorter(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX, "/a/b", "POST", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/a", "POST", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/a", "", {{"x", "1", false}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}},
	};
	static const struct path_case c[] = {{"/a/b", 3}, {"/a/b/c", 3}};

	check_paths(v, N_OF(v), c, N_OF(c));
}

static void hosts_by_specificity(void)
{
	static const char *const names[] = {"a.example.com", "*.example.com",
					    "*.b.example.com", "example.com",
					    "*.com"};
	static const struct {
		const char *host;
		int rule;
	} c[] = {
		{"a.example.com", 0},
		{"a.example.com.", 0},
		{"x.example.com", 1},
		{"x.y.example.com", 1},
		{"b.example.com", 1},
		{"x.b.example.com", 2},
		{"x.y.b.example.com", 2},
		{"example.com", 3},
		{"other.com", 4},
		{"com", -1},
		{".com", -1},
		{"", -1},
		{"*.example.com", -1},
		{"example.org", -1},
		{".example.com", 4},
	};
	struct site site = {.n_hosts = N_OF(names)};
	struct built b = {0};

	for (size_t i = 0; i < N_OF(names); i++) {
		site.host[i].name = names[i];
		site.host[i].n_tables = 1;
		site.host[i].table[0].n = 1;
		site.host[i].table[0].v[0] = (struct match){
			WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}};
	}
	build(&site, &b);
	for (size_t i = 0; i < N_OF(c); i++) {
		int is = get(&b, c[i].host, "/");

		ok(is == c[i].rule, "%s: rule %d, expected %d", c[i].host, is,
		   c[i].rule);
	}
	built_fini(&b);
}

static void no_fall_from_exact_host_to_wildcard(void)
{
	struct site site = {.n_hosts = 3};
	struct built b = {0};

	site.host[0] = (struct host){.name = "a.x", .n_tables = 2};
	site.host[0].table[0].n = 1;
	site.host[0].table[0].v[0].path = "/one";
	site.host[0].table[1].n = 1;
	site.host[0].table[1].v[0].path = "/two";
	site.host[1] = (struct host){.name = "*.x", .n_tables = 1};
	site.host[1].table[0].n = 1;
	site.host[1].table[0].v[0].path = "/three";
	site.host[2] = (struct host){.name = "", .n_tables = 1};
	site.host[2].table[0].n = 1;
	site.host[2].table[0].v[0].path = "/four";
	build(&site, &b);
	ok(get(&b, "a.x", "/one") == 0, "first tier");
	ok(get(&b, "a.x", "/two") == 1, "tiers of one host fall through");
	ok(get(&b, "a.x", "/three") == -1, "not to the wildcard");
	ok(get(&b, "b.x", "/three") == 2, "the wildcard itself");
	ok(get(&b, "b.x", "/four") == -1, "not to the one without hostname");
	ok(get(&b, "y", "/four") == 3, "any other host");
	ok(get(&b, "", "/four") == 3, "no host");
	built_fini(&b);
}

static int call(const struct built *b, const char *type, const char *host,
		const char *path)
{
	struct weir_header h[] = {
		{WEIR_STR("Accept"), WEIR_STR("*/*")},
		{WEIR_STR("Content-Type"), weir_str_of(type)}};
	struct weir_request r = {.method = WEIR_STR("POST"),
				 .host = weir_str_of(host),
				 .path = weir_str_of(path),
				 .headers = h,
				 .n_headers = type ? 2 : 1};

	return decide(b, &r);
}

/* A table with one match of all paths. */
static void set_any(struct host *h, size_t table)
{
	h->table[table].n = 1;
	h->table[table].v[0] = (struct match){
		WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}};
}

static void hosts_of_grpc_hide_none_from_others(void)
{
	static struct site site;
	struct built b = {0};

	site = (struct site){.n_hosts = 5};
	site.host[0] = (struct host){.name = "a.b.x", .n_grpc = 1};
	site.host[1] = (struct host){.name = "*.b.x", .n_grpc = 1};
	site.host[2] = (struct host){.name = "*.x"};
	site.host[3] = (struct host){.name = "y", .n_grpc = 1};
	site.host[4] = (struct host){.name = "z", .n_grpc = 1};
	for (size_t i = 0; i < 5; i++) {
		site.host[i].n_tables = 1 + (i == 4);
		set_any(&site.host[i], 0);
	}
	set_any(&site.host[4], 1);
	site.host[4].table[1].v[0].path = "/web";
	build(&site, &b);
	ok(call(&b, "application/grpc", "a.b.x", "/s/m") == 0, "a call");
	ok(call(&b, "application/json", "a.b.x", "/s/m") == 2,
	   "another request goes to the wildcard of an HTTPRoute");
	ok(call(&b, NULL, "a.b.x", "/s/m") == 2, "one without a type");
	ok(call(&b, "application/grpc", "c.b.x", "/s/m") == 1,
	   "a call to the wildcard");
	ok(call(&b, NULL, "c.b.x", "/s/m") == 2, "past a wildcard of gRPC");
	ok(call(&b, NULL, "a.b.x.", "/s/m") == 2, "with its final dot");
	ok(call(&b, "application/grpc", "q.x", "/s/m") == 2,
	   "a call to a host of HTTPRoutes alone");
	ok(call(&b, NULL, "y", "/") == -1, "nobody else covers it");
	ok(call(&b, NULL, "z", "/") == -1,
	   "a host with both is its own for both");
	ok(call(&b, NULL, "z", "/web") == 5, "and serves both");
	built_fini(&b);
	/* With one that covers everything. */
	site.host[2].name = "";
	build(&site, &b);
	ok(call(&b, NULL, "a.b.x", "/") == 2, "as far as the one without name");
	ok(call(&b, NULL, "y", "/") == 2, "from a name without dots");
	built_fini(&b);
}

static void grpc_by_service_and_method(void)
{
	static const struct match v[] = {
		{WEIR_PATH_EXACT, "/pkg.Long/Get", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/pkg.Long", "", {{0}}, {{0}}},
		{WEIR_PATH_REGEX, "/[a-z]+\\.S/.*", "", {{0}}, {{0}}},
		{WEIR_PATH_GRPC_METHOD, "/Get", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{"x-env", "test", false}}, {{0}}},
	};
	static const struct {
		const char *type;
		const char *path;
		int rule;
	} c[] = {
		{"application/grpc", "/pkg.Long/Get", 0},
		{"application/grpc+proto", "/pkg.Long/Put", 1},
		{"APPLICATION/GRPC;x=y", "/abc.S/Put", 2},
		{"application/grpc", "/other/Get", 3},
		{"application/grpc", "/other/GetMore", -1},
		{"application/grpc", "/other", -1},
		{"application/grpc", "", -1},
		{"application/grpc-web", "/pkg.Long/Get", -1},
		{"application/gr", "/pkg.Long/Get", -1},
		{"text/plain", "/pkg.Long/Get", -1},
		{NULL, "/pkg.Long/Get", -1},
	};
	struct site site = one_table(v, N_OF(v));
	struct built b = {0};

	site.host[0].n_grpc = 1;
	build(&site, &b);
	for (size_t i = 0; i < N_OF(c); i++) {
		int is = call(&b, c[i].type, "x", c[i].path);

		ok(is == c[i].rule, "%s %s: rule %d, expected %d",
		   c[i].type ? c[i].type : "-", c[i].path, is, c[i].rule);
	}
	built_fini(&b);
}

static void overlong_host_is_only_any(void)
{
	static char host[4096];
	struct site site = {.n_hosts = 2};
	struct built b = {0};

	for (size_t i = 0; i + 3 < sizeof(host); i += 2) {
		memcpy(host + i, "a.", 2);
	}
	strcpy(host + sizeof(host) - 4, "x");
	site.host[0] = (struct host){.name = "*.x", .n_tables = 1};
	site.host[0].table[0].n = 1;
	site.host[0].table[0].v[0] = (struct match){
		WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}};
	site.host[1] = site.host[0];
	site.host[1].name = "";
	build(&site, &b);
	ok(get(&b, "a.x", "/") == 0, "short");
	ok(get(&b, host, "/") == 1, "overlong");
	built_fini(&b);
}

static void first_match_goes_in_list_order(void)
{
	static const struct match v[] = {
		{WEIR_PATH_BYTE_PREFIX,
		 "/ab",
		 "",
		 {{"tag", "x", false}},
		 {{0}}},
		{WEIR_PATH_BYTE_PREFIX, "/a", "", {{0}}, {{0}}},
		{WEIR_PATH_BYTE_PREFIX, "/abc", "", {{0}}, {{0}}},
		{WEIR_PATH_BYTE_PREFIX, "", "", {{0}}, {{0}}},
	};
	struct site site = one_table(v, N_OF(v));
	struct weir_header h = {WEIR_STR("Tag"), WEIR_STR("x")};
	struct weir_request r = {.method = WEIR_STR("GET"),
				 .path = WEIR_STR("/abz"),
				 .headers = &h,
				 .n_headers = 1};
	struct built b = {0};

	site.flags = WEIR_LISTENER_FIRST_MATCH;
	build(&site, &b);
	ok(get(&b, "x", "/abc") == 1, "list order, byte prefix");
	ok(get(&b, "x", "/b") == 3, "empty path takes all");
	ok(decide(&b, &r) == 0, "with the header");
	built_fini(&b);
}

/* ----------------------------------------------------- headers and queries */

static void headers(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX,
		 "/",
		 "GET",
		 {{"x-a", "1", false}, {"x-b", "2", false}},
		 {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{"x-a", "1,2", false}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{"x-a", "[0-9,]+", true}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{"x-e", "", false}}, {{0}}},
	};
	static const struct {
		const char *method;
		struct weir_header h[4];
		int rule;
	} c[] = {
		{"GET", {{{"X-A", 3}, {"1", 1}}, {{"x-b", 3}, {"2", 1}}}, 0},
		{"POST", {{{"X-A", 3}, {"1", 1}}, {{"x-b", 3}, {"2", 1}}}, 2},
		{"get", {{{"X-A", 3}, {"1", 1}}, {{"x-b", 3}, {"2", 1}}}, 2},
		{"GET", {{{"x-a", 3}, {"1", 1}}, {{"x-A", 3}, {"2", 1}}}, 1},
		{"GET", {{{"x-a", 3}, {"1,2", 3}}}, 1},
		{"GET", {{{"x-a", 3}, {"2", 1}}, {{"x-A", 3}, {"1", 1}}}, 2},
		{"GET", {{{"x-a", 3}, {"1", 1}}, {{"x-A", 3}, {"b", 1}}}, -1},
		{"GET", {{{"x-a", 3}, {"", 0}}}, -1},
		{"GET", {{{"x-aa", 4}, {"1", 1}}}, -1},
		{"GET", {{{"x-e", 3}, {NULL, 0}}}, 3},
		{"GET", {{{"x-e", 3}, {NULL, 0}}, {{"x-e", 3}, {NULL, 0}}}, -1},
		{"GET", {{{NULL, 0}, {NULL, 0}}}, -1},
	};
	struct site site = one_table(v, N_OF(v));
	struct built b = {0};

	build(&site, &b);
	for (size_t i = 0; i < N_OF(c); i++) {
		struct weir_request r = {.method = weir_str_of(c[i].method),
					 .path = WEIR_STR("/"),
					 .headers = c[i].h};
		int is;

		while (r.n_headers < 4 && c[i].h[r.n_headers].name.p) {
			r.n_headers++;
		}
		is = decide(&b, &r);
		ok(is == c[i].rule, "case %zu: rule %d, expected %d", i, is,
		   c[i].rule);
	}
	built_fini(&b);
}

static void header_too_long_for_regex_does_not_match(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX, "/", "", {{"a", "x*,x*", true}}, {{0}}}};
	static char x[8192];
	struct weir_header h[2] = {{WEIR_STR("a"), {x, 4000}},
				   {WEIR_STR("a"), {x, 4000}}};
	struct weir_request r = {.method = WEIR_STR("GET"),
				 .path = WEIR_STR("/"),
				 .headers = h,
				 .n_headers = 2};
	struct site site = one_table(v, N_OF(v));
	struct built b = {0};

	memset(x, 'x', sizeof(x));
	build(&site, &b);
	ok(decide(&b, &r) == 0, "8001 bytes joined");
	h[1].value.n = 4191;
	ok(decide(&b, &r) == 0, "8192 bytes joined");
	h[1].value.n = 4192;
	ok(decide(&b, &r) == -1, "8193 bytes joined");
	built_fini(&b);
}

static void queries(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{"a b", "x&y", false}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{"v", "1", false}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{"v", "[a-f %]+", true}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{"flag", "", false}}},
	};
	static const struct path_case c[] = {
		{"/?a%20b=x%26y", 0}, {"/?a+b=x%26y", 0},
		{"/?A+b=x%26y", -1},  {"/?v=1", 1},
		{"/?w=2&v=1", 1},     {"/?v=2&v=1", -1},
		{"/?v=1&v=2", 1},     {"/?v=%31", 1},
		{"/?%76=1", 1},       {"/?v=abc", 2},
		{"/?v=a%20b", 2},     {"/?v=a+b", 2},
		{"/?v=abz", -1},      {"/?v=%", 2},
		{"/?v=%a", 2},        {"/?v=%zz", -1},
		{"/?v=", -1},         {"/?flag", 3},
		{"/?flag=", 3},       {"/?flag=1", -1},
		{"/?", -1},           {"/", -1},
		{"/?&&flag&", 3},     {"/?x;flag", -1},
		{"/?=1", -1},         {"/?v==1", -1},
	};

	check_paths(v, N_OF(v), c, N_OF(c));
}

static void regex_of_exponential_cost_gives_up(void)
{
	static const struct match v[] = {
		{WEIR_PATH_REGEX, "/(a+)+b", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}},
	};
	static char path[4097] = "/";
	static const struct path_case c[] = {{"/aab", 0}, {path, 1}};

	/* Ends in the byte that the pattern needs, so that no shortcut helps.
	 */
	memset(path + 1, 'a', sizeof(path) - 2);
	memcpy(path + sizeof(path) - 3, "!b", 2);
	check_paths(v, N_OF(v), c, N_OF(c));
}

static void regex_check_names_the_place(void)
{
	static char long_pattern[1 << 16];
	size_t at = 99;

	memset(long_pattern, 'x', sizeof(long_pattern));
	ok(weir_regex_check(WEIR_STR("/a[b"), &at) == -EINVAL, "open class");
	ok(at == 4, "at %zu", at);
	ok(weir_regex_check(WEIR_STR("(a)\\1"), &at) == -EINVAL,
	   "no back references, as in RE2");
	at = 99;
	ok(weir_regex_check(WEIR_STR("/v[0-9]+(/.*)?"), &at) == 0, "good");
	ok(at == 99, "offset untouched");
	ok(weir_regex_check(WEIR_STR(""), &at) == 0, "empty");
	ok(weir_regex_check(
		   (struct weir_str){long_pattern, sizeof(long_pattern)},
		   &at) == -EINVAL,
	   "too long");
	ok(at && at < sizeof(long_pattern), "says how long one may be");
}

static const struct built *shared;
static atomic_uint n_wrong;

static void *match_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		if (get(shared, "x", "/aaaaaaaaaaaaaaaaaaaaaaaab") != 0 ||
		    get(shared, "x", "/aaaaaaaaaaaaaaaaaaaaaaaac") != -1) {
			atomic_fetch_add(&n_wrong, 1);
		}
	}
	return NULL;
}

static void more_threads_than_scratches(void)
{
	static const struct match v[] = {
		{WEIR_PATH_REGEX, "/(a*)*b", "", {{0}}, {{0}}},
		{WEIR_PATH_REGEX, "/broken[", "", {{0}}, {{0}}},
	};
	struct site site = one_table(v, N_OF(v));
	pthread_t thread[64];
	struct built b = {0};

	build(&site, &b);
	shared = &b;
	for (size_t i = 0; i < N_OF(thread); i++) {
		must(pthread_create(&thread[i], NULL, match_often, NULL) == 0,
		     "thread");
	}
	for (size_t i = 0; i < N_OF(thread); i++) {
		pthread_join(thread[i], NULL);
	}
	ok(n_wrong == 0, "%u of 256000 wrong", n_wrong);
	ok(get(&b, "x", "/broken[") == -1, "one that is none matches nothing");
	ok(!weir_regex_matches(b.regexes, 9, WEIR_STR("/ab")), "no such one");
	ok(!weir_regex_matches(NULL, 0, WEIR_STR("/ab")), "none at all");
	built_fini(&b);
}

/* --------------------------------------------------------------- frontends */

static void frontends_by_address_and_index(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}}};
	struct site site = one_table(v, N_OF(v));
	const struct weir_frontend *f;
	struct built b = {0};
	struct weir_ip ip;

	build(&site, &b);
	weir_ip_parse(WEIR_STR("10.0.0.1"), &ip);
	f = weir_find_frontend(b.rules, &ip, htons(80), IPPROTO_TCP);
	ok(f && f->consumer_ns.n == 0, "the one for all clients");
	ok(!weir_find_frontend(b.rules, &ip, htons(81), IPPROTO_TCP), "port");
	ok(!weir_find_frontend(b.rules, &ip, htons(80), IPPROTO_UDP), "proto");
	weir_ip_parse(WEIR_STR("10.0.0.2"), &ip);
	ok(!weir_find_frontend(b.rules, &ip, htons(80), IPPROTO_TCP), "addr");
	f = weir_find_proxied(b.rules, 2);
	ok(f && f->proxy_index == 2, "index 2");
	f = weir_find_proxied(b.rules, 4);
	ok(f && f->consumer_ns.n != 0, "index 4");
	ok(!weir_find_proxied(b.rules, 0), "0");
	ok(!weir_find_proxied(b.rules, 1), "a gap");
	ok(!weir_find_proxied(b.rules, 3), "another");
	ok(!weir_find_proxied(b.rules, 5), "beyond");
	built_fini(&b);
}

static void miss_names_the_condition(void)
{
	static const struct match v[] = {
		{WEIR_PATH_PREFIX, "/a", "", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX, "/", "POST", {{0}}, {{0}}},
		{WEIR_PATH_PREFIX,
		 "/",
		 "",
		 {{"x-a", "1", false}, {"x-b", "1", false}},
		 {{0}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{"q", "1", false}}},
		{WEIR_PATH_PREFIX, "/", "", {{0}}, {{0}}},
	};
	static const enum weir_miss want[] = {WEIR_MISS_PATH, WEIR_MISS_METHOD,
					      WEIR_MISS_HEADER, WEIR_MISS_QUERY,
					      WEIR_MISS_NONE};
	struct weir_header h = {WEIR_STR("X-A"), WEIR_STR("1")};
	struct weir_request r = {.method = WEIR_STR("GET"),
				 .path = WEIR_STR("/"),
				 .headers = &h,
				 .n_headers = 1};
	struct site site = one_table(v, N_OF(v));
	const struct weir_vhost *host;
	const struct weir_table *t;
	const struct weir_match *m;
	struct weir_decision d;
	struct built b = {0};

	build(&site, &b);
	weir_decide(b.rules, b.regexes,
		    WEIR_PLAN_ELEM(b.rules, struct weir_frontend,
				   b.rules->frontends, 0),
		    &r, &d);
	host = d.vhost;
	t = weir_plan_at(b.rules, host->tables);
	m = weir_plan_at(b.rules, t->matches);
	for (size_t i = 0; i < N_OF(want); i++) {
		uint32_t cond = 9;
		enum weir_miss is = weir_match_miss(b.rules, b.regexes, &m[i],
						    &r, &cond);

		ok(is == want[i], "match %zu", i);
		ok(is != WEIR_MISS_HEADER || cond == 1, "second header");
	}
	built_fini(&b);
}

TAP_MAIN(TEST(prefix_by_elements), TEST(root_prefix_takes_all_paths),
	 TEST(exact_then_regex_then_prefix), TEST(regex_covers_the_whole_path),
	 TEST(longer_prefix_without_match_falls_to_shorter),
	 TEST(hosts_by_specificity), TEST(no_fall_from_exact_host_to_wildcard),
	 TEST(hosts_of_grpc_hide_none_from_others),
	 TEST(grpc_by_service_and_method), TEST(overlong_host_is_only_any),
	 TEST(first_match_goes_in_list_order), TEST(headers),
	 TEST(header_too_long_for_regex_does_not_match), TEST(queries),
	 TEST(regex_of_exponential_cost_gives_up),
	 TEST(regex_check_names_the_place), TEST(more_threads_than_scratches),
	 TEST(frontends_by_address_and_index), TEST(miss_names_the_condition))
