/* SPDX-License-Identifier: Apache-2.0 */
/* Routes: what is kept, the API's defaults, and each refusal word by word. */
#include "model_text.h"

/* Four lines: what follows begins in line 5, under spec. */
#define HEAD(kind)                                                             \
	"apiVersion: gateway.networking.k8s.io/v1\n"                           \
	"kind: " kind "\n"                                                     \
	"metadata: {name: r}\n"                                                \
	"spec:\n"
#define HTTP HEAD("HTTPRoute")
#define RULE HTTP " rules:\n"
#define MATCH(m) RULE " - matches: [" m "]\n"
#define FILTERS(f) RULE " - filters: [" f "]\n"
#define BACKEND(b) RULE " - backendRefs: [{" b "}]\n"
#define GOOD "HTTPRoute default/r\n"

#define DNS                                                                    \
	"a DNS name (RFC 1123: lower-case letters, digits, '-' and '.', "      \
	"at most 253)"
#define HOST                                                                   \
	"a lower-case host name, also with \"*.\" as its first label, "        \
	"and no IP address"
#define PATH                                                                   \
	"a path of at most 1024 bytes that begins with '/', in the "           \
	"characters of a URL, without \"//\", \"/./\", \"/../\", \"%2f\", "    \
	"'?' or '#'"
#define TOKEN                                                                  \
	"a name of letters, digits and !#$%&'*+-.^_`|~ (RFC 9110), at "        \
	"most 256"

static void refusals_name_what_was_expected(void)
{
	static const struct model_case cases[] = {
		{"host is an address", HTTP " hostnames: [1.2.3.4]\n",
		 "5 error InvalidValue spec.hostnames[0]: found \"1.2.3.4\", "
		 "expected " HOST "\n"},
		{"wildcard inside", HTTP " hostnames: [a.*.b]\n",
		 "5 error InvalidValue spec.hostnames[0]: found \"a.*.b\", "
		 "expected " HOST "\n"},
		{"host in capitals", HTTP " hostnames: [A.b]\n",
		 "5 error InvalidValue spec.hostnames[0]: found \"A.b\", "
		 "expected " HOST "\n"},
		{"path without slash", MATCH("{path: {value: a}}"),
		 "6 error InvalidValue spec.rules[0].matches[0].path.value: "
		 "found \"a\", expected " PATH "\n"},
		{"path with //", MATCH("{path: {value: /a//b}}"),
		 "6 error InvalidValue spec.rules[0].matches[0].path.value: "
		 "found \"/a//b\", expected " PATH "\n"},
		{"path with /..", MATCH("{path: {value: /a/..}}"),
		 "6 error InvalidValue spec.rules[0].matches[0].path.value: "
		 "found \"/a/..\", expected " PATH "\n"},
		{"path with %2F", MATCH("{path: {value: /a%2Fb}}"),
		 "6 error InvalidValue spec.rules[0].matches[0].path.value: "
		 "found \"/a%2Fb\", expected " PATH "\n"},
		{"path type", MATCH("{path: {type: Prefix, value: /}}"),
		 "6 error InvalidValue spec.rules[0].matches[0].path.type: "
		 "found \"Prefix\", expected one of Exact, PathPrefix, "
		 "RegularExpression\n"},
		{"method", MATCH("{method: get}"),
		 "6 error InvalidValue spec.rules[0].matches[0].method: found "
		 "\"get\", expected one of GET, HEAD, POST, PUT, DELETE, "
		 "CONNECT, OPTIONS, TRACE, PATCH\n"},
		{"header name", MATCH("{headers: [{name: 'a b', value: c}]}"),
		 "6 error InvalidValue "
		 "spec.rules[0].matches[0].headers[0].name: found \"a b\", "
		 "expected " TOKEN "\n"},
		{"number as text", MATCH("{headers: [{name: a, value: 1}]}"),
		 "6 error InvalidType "
		 "spec.rules[0].matches[0].headers[0].value: found the integer "
		 "1, expected a string (put it in quotes)\n"},
		{"yes as text", MATCH("{headers: [{name: a, value: yes}]}"),
		 "6 error InvalidType "
		 "spec.rules[0].matches[0].headers[0].value: found the boolean "
		 "yes, expected a string (put it in quotes)\n"},
	};

	MODEL_CASES(cases, false);
}

static void refusals_in_backends_and_rules(void)
{
	static const struct model_case cases[] = {
		{"port 0", BACKEND("name: a, port: 0"),
		 "6 error InvalidValue spec.rules[0].backendRefs[0].port: "
		 "found "
		 "0, expected an integer from 1 to 65535\n"},
		{"port 65536", BACKEND("name: a, port: 65536"),
		 "6 error InvalidValue spec.rules[0].backendRefs[0].port: "
		 "found "
		 "65536, expected an integer from 1 to 65535\n"},
		{"port as text", BACKEND("name: a, port: '80'"),
		 "6 error InvalidType spec.rules[0].backendRefs[0].port: found "
		 "the string 80, expected an integer\n"},
		{"no port", BACKEND("name: a"),
		 "6 error MissingField spec.rules[0].backendRefs[0].port: "
		 "missing, expected with kind Service\n"},
		{"no name", BACKEND("port: 80"),
		 "6 error MissingField spec.rules[0].backendRefs[0].name: "
		 "missing, expected a string\n"},
		{"weight", BACKEND("name: a, port: 1, weight: 1000001"),
		 "6 error InvalidValue spec.rules[0].backendRefs[0].weight: "
		 "found 1000001, expected an integer from 0 to 1000000\n"},
		{"negative weight", BACKEND("name: a, port: 1, weight: -1"),
		 "6 error InvalidValue spec.rules[0].backendRefs[0].weight: "
		 "found -1, expected an integer from 0 to 1000000\n"},
		{"backend's name", BACKEND("name: A_, port: 1"),
		 "6 error InvalidValue spec.rules[0].backendRefs[0].name: "
		 "found "
		 "\"A_\", expected " DNS "\n"},
		{"duration", RULE " - timeouts: {request: 10}\n",
		 "6 error InvalidType spec.rules[0].timeouts.request: found "
		 "the "
		 "integer 10, expected a string (put it in quotes)\n"},
		{"duration in words", RULE " - timeouts: {request: 1.5s}\n",
		 "6 error InvalidValue spec.rules[0].timeouts.request: found "
		 "\"1.5s\", expected a duration like \"10s\" or \"1m500ms\" "
		 "(GEP-2257)\n"},
		{"backend timeout longer",
		 RULE " - timeouts: {request: 1s, backendRequest: 2s}\n",
		 "6 error InvalidValue spec.rules[0].timeouts.backendRequest: "
		 "is longer than request, expected at most that\n"},
		{"list for a map", HTTP " rules: {}\n",
		 "5 error InvalidType spec.rules: found a map, expected a "
		 "list\n"},
		{"given twice", HTTP " hostnames: [a]\n hostnames: [b]\n",
		 "6 error DuplicateField spec.hostnames: given twice, expected "
		 "once (first in line 5)\n"},
		{"two rules of one name", RULE " - name: a\n - name: a\n",
		 "7 error InvalidValue spec.rules[1].name: \"a\" is given "
		 "twice, expected unique names\n"},
	};

	MODEL_CASES(cases, false);
}

static void filters_are_checked(void)
{
	static const struct model_case cases[] = {
		{"no block", FILTERS("{type: URLRewrite}"),
		 "6 error MissingField spec.rules[0].filters[0].urlRewrite: "
		 "missing, expected with type URLRewrite\n"},
		{"another block",
		 FILTERS("{type: CORS, cors: {}, urlRewrite: {}}"),
		 "6 error InvalidValue spec.rules[0].filters[0].urlRewrite: "
		 "does not belong to type CORS, expected cors only\n"},
		{"redirect and rewrite",
		 FILTERS("{type: URLRewrite, urlRewrite: {hostname: a}}, "
			 "{type: RequestRedirect, requestRedirect: {}}"),
		 "6 error InvalidValue spec.rules[0].filters[1].type: found "
		 "RequestRedirect and URLRewrite, expected one of them\n"},
		{"twice",
		 FILTERS("{type: CORS, cors: {}}, {type: CORS, cors: "
			 "{}}"),
		 "6 error InvalidValue spec.rules[0].filters[1].type: CORS is "
		 "given twice, expected once\n"},
		{"status",
		 FILTERS("{type: RequestRedirect, requestRedirect: "
			 "{statusCode: 305}}"),
		 "6 error InvalidValue "
		 "spec.rules[0].filters[0].requestRedirect.statusCode: found "
		 "305, expected 301, 302, 303, 307 or 308\n"},
		{"redirect beside backends",
		 FILTERS("{type: RequestRedirect, requestRedirect: {}}") "   "
									 "backe"
									 "ndRef"
									 "s: "
									 "[{"
									 "name:"
									 " a, "
									 "port:"
									 " 1}]"
									 "\n",
		 "7 error InvalidValue spec.rules[0].backendRefs: found beside "
		 "a RequestRedirect, expected none\n"},
		{"prefix replaced without a prefix match",
		 MATCH("{path: {type: Exact, value: /a}}") "   filters: "
							   "[{type: "
							   "URLRewrite, "
							   "urlRewrite: {path: "
							   "{type: "
							   "ReplacePrefixMatch,"
							   " replacePrefixMatch"
							   ": /}}}]\n",
		 "7 error InvalidValue "
		 "spec.rules[0].filters[0].urlRewrite.path.type: found "
		 "ReplacePrefixMatch, expected only with PathPrefix "
		 "matches\n"},
		{"line break in a value",
		 FILTERS("{type: RequestHeaderModifier, "
			 "requestHeaderModifier: {set: [{name: a, value: "
			 "\"b\\r\\nc: d\"}]}}"),
		 "6 error InvalidValue spec.rules[0].filters[0]."
		 "requestHeaderModifier.set[0].value: found \"b??c: d\", "
		 "expected a header value (1 to 4096 bytes, no control "
		 "characters, no blanks around it)\n"},
		{"unknown types are left to compile", FILTERS("{type: Magic}"),
		 GOOD},
	};

	MODEL_CASES(cases, false);
}

static void unknown_fields_are_ignored_once(void)
{
	static const struct model_case cases[] = {
		{"a typo, twice",
		 RULE " - backendRef: [{name: a}]\n - backendRef: []\n",
		 "6 warning UnknownField spec.rules[0].backendRef: unknown and "
		 "ignored, expected \"backendRefs\"?\n" GOOD},
		{"no likeness", RULE " - name: a\n   colour: red\n",
		 "7 warning UnknownField spec.rules[0].colour: unknown and "
		 "ignored, expected one of matches, backendRefs, filters, "
		 "name, timeouts, retry, sessionPersistence\n" GOOD},
		{"default Gateways", HTTP " useDefaultGateways: All\n",
		 "5 warning NotServedYet spec.useDefaultGateways: default "
		 "Gateways are not served yet, expected the Gateways in "
		 "parentRefs\n" GOOD},
		{"no default Gateways", HTTP " useDefaultGateways: None\n",
		 GOOD},
		{"known but not used",
		 HTTP " rules: []\nstatus: {parents: []}\n", GOOD},
	};

	MODEL_CASES(cases, false);
}

static void limits_are_those_of_the_crd(void)
{
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;

	weir_buf_addz(&text, RULE);
	for (int i = 0; i < 17; i++) {
		weir_buf_addz(&text, " - {}\n");
	}
	weir_buf_add(&text, "", 1);
	must(model_decode(text.p, false, &out, &got) == 0, "decode");

	ok(got.n == 0, "17 rules");
	ok(weir_str_is(weir_buf_str(&out),
		       "5 error TooMany spec.rules: found 17 entries, expected "
		       "at most 16\n"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	model_drop(&got);
}

static void sum_of_matches_is_limited(void)
{
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;

	weir_buf_addz(&text, RULE);
	for (int i = 0; i < 3; i++) {
		weir_buf_addz(&text, " - matches: [");
		for (int j = 0; j < 43; j++) {
			weir_buf_printf(&text, "%s{method: GET}",
					j ? ", " : "");
		}
		weir_buf_addz(&text, "]\n");
	}
	weir_buf_add(&text, "", 1);
	must(model_decode(text.p, false, &out, &got) == 0, "decode");

	ok(weir_str_is(weir_buf_str(&out),
		       "5 error TooMany spec.rules: found 129 matches in all "
		       "rules, expected at most 128\n"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	model_drop(&got);
}

static const struct weir_route_spec *decode_route(const char *text,
						  struct model_objects *got)
{
	_cleanup_buf_ struct weir_buf out = {0};

	must(model_decode(text, false, &out, got) == 0, "decode");
	must(got->n == 1 && out.n == 0, "%zu objects, %.*s", got->n,
	     WEIR_STR_ARG(weir_buf_str(&out)));
	return got->v[0]->route;
}

static void defaults_of_http_route(void)
{
	struct model_objects got;
	const struct weir_route_spec *r = decode_route(
		HTTP " parentRefs: [{name: gw}]\n rules:\n"
		     " - backendRefs: [{name: a, port: 80}]\n"
		     "   filters:\n"
		     "   - type: ResponseHeaderModifier\n"
		     "     responseHeaderModifier: {remove: [x]}\n",
		&got);
	const struct weir_route_rule *rule = &r->rules[0];
	const struct weir_backend_ref *b = &rule->backends[0];

	ok(weir_str_is(r->parents[0].group, "gateway.networking.k8s.io"), "g");
	ok(weir_str_is(r->parents[0].kind, "Gateway"), "parent's kind");
	ok(weir_str_is(r->parents[0].ns, "default"), "parent's namespace");
	ok(r->parents[0].port == 0 && r->parents[0].section.n == 0, "all");
	ok(rule->n_matches == 1 && weir_str_is(rule->matches[0].path, "/") &&
		   rule->matches[0].path_type == WEIR_MPATH_PREFIX_TYPE,
	   "no match is prefix /");
	ok(b->group.n == 0 && weir_str_is(b->kind, "Service"), "core Service");
	ok(weir_str_is(b->ns, "default") && b->weight == 1, "ns, weight");
	ok(rule->filters[0].type == WEIR_MFILTER_RESPONSE_HEADERS &&
		   rule->filters[0].remove.n == 1,
	   "filter");
	model_drop(&got);
}

static void no_rules_are_one_for_all(void)
{
	struct model_objects got;
	const struct weir_route_spec *r = decode_route(
		HTTP " hostnames: [a.b]\n", &got);

	ok(r->n_rules == 1 && r->rules[0].n_backends == 0 &&
		   r->rules[0].n_matches == 1,
	   "%zu rules", r->n_rules);
	model_drop(&got);
}

static void everything_of_a_rule_is_kept(void)
{
	struct model_objects got;
	const struct weir_route_spec *r = decode_route(
		RULE
		" - name: one\n"
		"   matches:\n"
		"   - path: {type: Exact, value: /a}\n"
		"     method: PUT\n"
		"     headers:\n"
		"     - {name: X-A, value: b}\n"
		"     - {name: X-R, value: b+, type: RegularExpression}\n"
		"     queryParams: [{name: q, value: v}]\n"
		"   - path: {type: RegularExpression, value: '/[a-z]+'}\n"
		"   filters:\n"
		"   - type: URLRewrite\n"
		"     urlRewrite: {hostname: h, path: {type: "
		"ReplaceFullPath, replaceFullPath: /z}}\n"
		"   - type: RequestHeaderModifier\n"
		"     requestHeaderModifier: {set: [{name: A, value: '1'}], "
		"add: [{name: B, value: '2'}], remove: [C]}\n"
		"   backendRefs:\n"
		"   - {name: v1, namespace: ns, port: 81, weight: 0}\n"
		"   - {group: serving.knative.dev, kind: Service, name: k}\n"
		"   timeouts: {request: 1m1s1ms, backendRequest: 2s}\n"
		"   retry: {attempts: 1}\n"
		" - filters:\n"
		"   - type: RequestRedirect\n"
		"     requestRedirect: {scheme: https, hostname: h, port: 8, "
		"path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}\n",
		&got);
	const struct weir_route_rule *a = &r->rules[0];
	const struct weir_http_match *m = &a->matches[0];
	const struct weir_mfilter *redirect = &r->rules[1].filters[0];

	ok(weir_str_is(a->name, "one") && a->n_matches == 2, "name");
	ok(m->path_type == WEIR_MPATH_EXACT && weir_str_is(m->path, "/a"), "p");
	ok(weir_str_is(m->method, "PUT") && m->n_headers == 2, "method");
	ok(m->headers[1].type == WEIR_VALUE_REGEX &&
		   weir_str_is(m->headers[1].value, "b+"),
	   "regex header");
	ok(m->n_query == 1 && weir_str_is(m->query[0].value, "v"), "query");
	ok(a->matches[1].path_type == WEIR_MPATH_REGEX, "regex path");
	ok(a->filters[0].path_mod == WEIR_MPATH_FULL &&
		   weir_str_is(a->filters[0].path, "/z") &&
		   weir_str_is(a->filters[0].hostname, "h"),
	   "rewrite");
	ok(a->filters[1].set.n == 1 && a->filters[1].add.n == 1 &&
		   a->filters[1].remove.n == 1,
	   "headers");
	ok(a->backends[0].weight == 0 && a->backends[0].port == 81 &&
		   weir_str_is(a->backends[0].ns, "ns"),
	   "first backend");
	ok(weir_str_is(a->backends[1].group, "serving.knative.dev") &&
		   a->backends[1].port == 0,
	   "a Knative Service needs no port");
	ok(a->request_timeout_ms == 61001 && a->backend_timeout_ms == 2000,
	   "%u %u", a->request_timeout_ms, a->backend_timeout_ms);
	ok(a->has_retry && !a->has_persistence, "retry");
	ok(redirect->status == 302 && redirect->port == 8 &&
		   redirect->path_mod == WEIR_MPATH_PREFIX &&
		   redirect->path.n == 0,
	   "redirect");
	model_drop(&got);
}

static void only_first_of_equal_names_counts(void)
{
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;

	must(model_decode(MATCH("{headers: [{name: A, value: x}, {name: a, "
				"value: w}], queryParams: [{name: A, value: "
				"v}, {name: a, value: w}]}"),
			  false, &out, &got) == 0,
	     "decode");
	must(got.n == 1, "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));

	ok(got.v[0]->route->rules[0].matches[0].n_headers == 1, "no case");
	ok(got.v[0]->route->rules[0].matches[0].n_query == 2, "case");
	ok(weir_str_is(weir_buf_str(&out),
		       "6 warning DuplicateName "
		       "spec.rules[0].matches[0].headers[1]: \"a\" is given "
		       "twice, only the first counts\n"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	model_drop(&got);
}

static void grpc_methods_become_paths(void)
{
	struct model_objects got;
	const struct weir_route_spec *r = decode_route(
		HEAD("GRPCRoute") " rules:\n"
				  " - matches:\n"
				  "   - method: {service: a.B, method: C}\n"
				  "   - method: {service: a.B}\n"
				  "   - method: {method: C}\n"
				  "   - headers: [{name: h, value: v}]\n",
		&got);
	const struct weir_http_match *m = r->rules[0].matches;

	ok(m[0].path_type == WEIR_MPATH_EXACT &&
		   weir_str_is(m[0].path, "/a.B/C"),
	   "both");
	ok(m[1].path_type == WEIR_MPATH_PREFIX_TYPE &&
		   weir_str_is(m[1].path, "/a.B"),
	   "service");
	ok(m[2].path_type == WEIR_MPATH_GRPC_METHOD &&
		   weir_str_is(m[2].path, "/C"),
	   "method");
	ok(weir_str_is(m[3].path, "/") && m[3].n_headers == 1, "headers");
	model_drop(&got);
}

static void l4_routes_have_one_rule(void)
{
	static const struct model_case cases[] = {
		{"two rules",
		 HEAD("TCPRoute") " rules:\n"
				  " - backendRefs: [{name: a, port: 1}]\n"
				  " - backendRefs: [{name: b, port: 1}]\n",
		 "5 error TooMany spec.rules: found 2 entries, expected at "
		 "most 1\n"},
		{"no backends",
		 HEAD("UDPRoute") " rules: [{backendRefs: []}]\n",
		 "5 error MissingValue spec.rules[0].backendRefs: empty, "
		 "expected at least one entry\n"},
		{"no rules", HEAD("TLSRoute") " hostnames: [a.b]\n",
		 "4 error MissingField spec.rules: missing, expected a "
		 "list\n"},
		{"filters",
		 HEAD("TCPRoute") " rules: [{backendRefs: [{name: "
				  "a, port: 1, filters: []}]}]\n",
		 "5 warning UnknownField "
		 "spec.rules[0].backendRefs[0].filters: unknown and ignored, "
		 "expected one of name, port, weight, namespace, group, "
		 "kind\nTCPRoute default/r\n"},
		{"good",
		 HEAD("UDPRoute") " rules: [{backendRefs: [{name: a, "
				  "port: 1}]}]\n",
		 "UDPRoute default/r\n"},
	};

	MODEL_CASES(cases, false);
}

TAP_MAIN(TEST(refusals_name_what_was_expected),
	 TEST(refusals_in_backends_and_rules), TEST(filters_are_checked),
	 TEST(unknown_fields_are_ignored_once),
	 TEST(limits_are_those_of_the_crd), TEST(sum_of_matches_is_limited),
	 TEST(defaults_of_http_route), TEST(no_rules_are_one_for_all),
	 TEST(everything_of_a_rule_is_kept),
	 TEST(only_first_of_equal_names_counts),
	 TEST(grpc_methods_become_paths), TEST(l4_routes_have_one_rule))
