/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several routes and rules gets a request, end to end. */
#include "compile_site.h"

static const char setup[] =
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: gw, namespace: d}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{value: 10.0.0.1}]\n"
	"  listeners:\n"
	"  - {name: any, port: 80, protocol: HTTP}\n"
	"  - {name: wild, port: 80, protocol: HTTP, hostname: "
	"\"*.wild.example\"}\n"
	"  - {name: tiers, port: 81, protocol: HTTP, hostname: "
	"a.tiers.example}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: d}, "
	"spec: {ports: [{port: 80}]}}\n";

/* One route in namespace d: its name, age, listener, hosts, rules. */
static void add_route(struct site *s, const char *name, unsigned day,
		      const char *listener, const char *hosts,
		      const char *rules)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 "apiVersion: gateway.networking.k8s.io/v1\n"
		 "kind: HTTPRoute\n"
		 "metadata: {name: %s, namespace: d, creationTimestamp: "
		 "\"2026-01-%02uT00:00:00Z\"}\n"
		 "spec:\n"
		 "  parentRefs: [{name: gw, sectionName: %s}]\n"
		 "  hostnames: [%s]\n"
		 "  rules: [%s]\n",
		 name, day, listener, hosts, rules);
	site_load(s, weir_str_of(text), 0);
}

#define TO "backendRefs: [{name: web, port: 80}]"

static void begin(struct site *s)
{
	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	site_load(s, weir_str_of(setup), 0);
}

static void expect(const struct site *s, const char *addr, const char *method,
		   const char *host, const char *target, const char *header,
		   const char *want)
{
	struct weir_decision d = site_decide(s, addr, method, host, target,
					     header);

	ok(!strcmp(site_route(s, &d), want), "%s %s%s [%s]: %s, expected %s",
	   method, host, target, header ? header : "", site_route(s, &d), want);
}

static void paths_then_method_then_headers_then_query(void)
{
	_cleanup_(site_fini) struct site s;

	begin(&s);
	add_route(&s, "r", 1, "any", "",
		  "{" TO "},"
		  "{matches: [{path: {value: /p}}], " TO "},"
		  "{matches: [{path: {value: /p/long}}], " TO "},"
		  "{matches: [{path: {type: Exact, value: /p}}], " TO "},"
		  "{matches: [{path: {type: RegularExpression, value: "
		  "\"/p/l.*\"}}], " TO "},"
		  "{matches: [{path: {value: /m}}], " TO "},"
		  "{matches: [{path: {value: /m}, headers: [{name: A, value: "
		  "x}]}], " TO "},"
		  "{matches: [{path: {value: /m}, method: GET}], " TO "},"
		  "{matches: [{path: {value: /m}, method: GET, queryParams: "
		  "[{name: q, value: \"1\"}]}], " TO "},"
		  "{matches: [{path: {value: /h}, queryParams: [{name: q, "
		  "value: \"1\"}, {name: r, value: \"1\"}]}], " TO "},"
		  "{matches: [{path: {value: /h}, headers: [{name: A, value: "
		  "x}]}], " TO "}");
	site_compile(&s);
	expect(&s, "10.0.0.1:80", "GET", "x", "/other", NULL, "r/0");
	expect(&s, "10.0.0.1:80", "GET", "x", "/p", NULL, "r/3");
	expect(&s, "10.0.0.1:80", "GET", "x", "/p/", NULL, "r/1");
	expect(&s, "10.0.0.1:80", "GET", "x", "/p/x", NULL, "r/1");
	expect(&s, "10.0.0.1:80", "GET", "x", "/px", NULL, "r/0");
	expect(&s, "10.0.0.1:80", "GET", "x", "/p/long", NULL, "r/4");
	expect(&s, "10.0.0.1:80", "POST", "x", "/m", NULL, "r/5");
	expect(&s, "10.0.0.1:80", "POST", "x", "/m", "a: x", "r/6");
	expect(&s, "10.0.0.1:80", "GET", "x", "/m", "a: x", "r/7");
	expect(&s, "10.0.0.1:80", "GET", "x", "/m?q=1", NULL, "r/8");
	expect(&s, "10.0.0.1:80", "GET", "x", "/h?q=1&r=1", "A: x", "r/10");
	expect(&s, "10.0.0.1:80", "GET", "x", "/h?q=1&r=1", NULL, "r/9");
}

static void ties_go_to_age_then_name_then_list(void)
{
	_cleanup_(site_fini) struct site s;

	begin(&s);
	add_route(&s, "c-old", 1, "any", "",
		  "{matches: [{path: {value: /age}}], " TO "}");
	add_route(
		&s, "a-young", 9, "any", "",
		"{matches: [{path: {value: /age}}, {path: {value: /name}}], " TO
		"}");
	add_route(&s, "b-young", 9, "any", "",
		  "{matches: [{path: {value: /name}}], " TO "},"
		  "{matches: [{path: {value: /list}}], backendRefs: [{name: "
		  "missing, port: 80}]},"
		  "{matches: [{path: {value: /list}}], " TO "}");
	site_compile(&s);
	expect(&s, "10.0.0.1:80", "GET", "x", "/age", NULL, "c-old/0");
	expect(&s, "10.0.0.1:80", "GET", "x", "/name", NULL, "a-young/0");
	/* Also when the first rule's backend is invalid (v1.7). */
	expect(&s, "10.0.0.1:80", "GET", "x", "/list", NULL, "b-young/1");
}

static void the_most_specific_hostname_decides_before_the_path(void)
{
	_cleanup_(site_fini) struct site s;

	begin(&s);
	add_route(&s, "any", 1, "any", "",
		  "{matches: [{path: {type: Exact, value: /x}}], " TO "}");
	add_route(&s, "wide", 1, "any", "\"*.example\"", "{" TO "}");
	add_route(&s, "narrow", 1, "any", "\"*.b.example\"", "{" TO "}");
	add_route(&s, "exact", 1, "any", "a.b.example",
		  "{matches: [{path: {value: /only}}], " TO "}");
	add_route(&s, "isolated", 1, "wild", "", "{" TO "}");
	site_compile(&s);
	expect(&s, "10.0.0.1:80", "GET", "other", "/x", NULL, "any/0");
	expect(&s, "10.0.0.1:80", "GET", "other", "/y", NULL, "404");
	expect(&s, "10.0.0.1:80", "GET", "c.example", "/x", NULL, "wide/0");
	expect(&s, "10.0.0.1:80", "GET", "c.b.example", "/x", NULL, "narrow/0");
	expect(&s, "10.0.0.1:80", "GET", "a.b.example", "/only", NULL,
	       "exact/0");
	/* No falling from an exact hostname to a wildcard. */
	expect(&s, "10.0.0.1:80", "GET", "a.b.example", "/x", NULL, "404");
	/* A more specific listener sees only its own routes. */
	expect(&s, "10.0.0.1:80", "GET", "a.wild.example", "/x", NULL,
	       "isolated/0");
	expect(&s, "10.0.0.1:80", "GET", "wild.example", "/x", NULL, "wide/0");
}

/* v1.7: equal intersections are told apart by what the routes wrote, and what
 * the more specific does not match goes on to the next. */
static void original_hostnames_make_tiers(void)
{
	_cleanup_(site_fini) struct site s;

	begin(&s);
	add_route(&s, "none", 1, "tiers", "",
		  "{matches: [{path: {value: /}}], " TO "}");
	add_route(&s, "wide", 2, "tiers", "\"*.example\"",
		  "{matches: [{path: {value: /a/b/c}}], " TO "},"
		  "{matches: [{path: {value: /w}}], " TO "}");
	add_route(&s, "narrow", 3, "tiers", "\"*.tiers.example\"",
		  "{matches: [{path: {value: /a/b}}], " TO "}");
	add_route(&s, "exact", 4, "tiers", "a.tiers.example",
		  "{matches: [{path: {value: /a}}], " TO "}");
	site_compile(&s);
	expect(&s, "10.0.0.1:81", "GET", "a.tiers.example", "/a/b/c", NULL,
	       "exact/0");
	expect(&s, "10.0.0.1:81", "GET", "a.tiers.example", "/w/x", NULL,
	       "wide/1");
	expect(&s, "10.0.0.1:81", "GET", "a.tiers.example", "/z", NULL,
	       "none/0");
	expect(&s, "10.0.0.1:81", "GET", "b.tiers.example", "/a", NULL, "404");
}

static void a_rule_that_is_wrong_is_dropped_whole_and_said(void)
{
	static const struct {
		const char *rule;
		const char *field;
	} cases[] = {
		{"{matches: [{path: {value: /ok}}, {path: {type: "
		 "RegularExpression, value: \"/(\"}}], " TO "}",
		 "spec.rules[0].matches[1].path.value"},
		{"{matches: [{path: {value: /ok}, headers: [{type: "
		 "RegularExpression, name: a, value: \"[\"}]}], " TO "}",
		 "spec.rules[0].matches[0].headers[0].value"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;

		begin(&s);
		add_route(&s, "r", 1, "any", "", cases[i].rule);
		site_compile(&s);
		expect(&s, "10.0.0.1:80", "GET", "x", "/ok", NULL, "404");
		ok(site_said(&s, "UnsupportedValue", cases[i].field) == 1,
		   "case %zu", i);
	}
}

/* Hostname before path, path before all else, across routes and whoever is
 * older; headers count by number, then query parameters. */
static void precedence_holds_across_routes(void)
{
	_cleanup_(site_fini) struct site s;

	begin(&s);
	add_route(&s, "old", 1, "any", "a.example, \"*.deep.example\"",
		  "{matches: [{path: {value: /p}, method: GET, headers: "
		  "[{name: a, value: x}]}], " TO "},"
		  "{matches: [{path: {value: /h}, headers: [{name: a, value: "
		  "x}], queryParams: [{name: q, value: \"1\"}, {name: r, "
		  "value: \"1\"}]}], " TO "},"
		  "{matches: [{path: {value: /t/}}], " TO "}");
	add_route(&s, "young", 9, "any", "a.example, \"*.b.deep.example\"",
		  "{matches: [{path: {value: /p/long}}], " TO "},"
		  "{matches: [{path: {type: Exact, value: /p}}], " TO "},"
		  "{matches: [{path: {value: /h}, headers: [{name: a, value: "
		  "x}, {name: host, value: a.example}]}], " TO "},"
		  "{matches: [{path: {value: /t}}], " TO "}");
	site_compile(&s);
	expect(&s, "10.0.0.1:80", "GET", "a.example", "/p/long/x", "a: x",
	       "young/0");
	expect(&s, "10.0.0.1:80", "GET", "a.example", "/p", "a: x", "young/1");
	expect(&s, "10.0.0.1:80", "GET", "a.example", "/p/x", "a: x", "old/0");
	expect(&s, "10.0.0.1:80", "GET", "a.example", "/h?q=1&r=1", "a: x",
	       "old/1");
	/* A trailing slash of a prefix says nothing: a tie, for the older. */
	expect(&s, "10.0.0.1:80", "GET", "a.example", "/t", NULL, "old/2");
	expect(&s, "10.0.0.1:80", "GET", "a.example", "/t/x", NULL, "old/2");
	expect(&s, "10.0.0.1:80", "GET", "x.b.deep.example", "/t", NULL,
	       "young/3");
	expect(&s, "10.0.0.1:80", "GET", "x.c.deep.example", "/t", NULL,
	       "old/2");
	expect(&s, "10.0.0.1:80", "GET", "b.deep.example", "/t", NULL, "old/2");
}

TAP_MAIN(TEST(paths_then_method_then_headers_then_query),
	 TEST(ties_go_to_age_then_name_then_list),
	 TEST(the_most_specific_hostname_decides_before_the_path),
	 TEST(original_hostnames_make_tiers),
	 TEST(precedence_holds_across_routes),
	 TEST(a_rule_that_is_wrong_is_dropped_whole_and_said))
