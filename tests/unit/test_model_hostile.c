/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy writes header names, values, hosts and paths of a plan out as they
 * are: what would end a line or a message must not get past decoding, in any
 * of the places where a manifest may put it.
 */
#include "model_text.h"

/* In a JSON string. */
static const char *const bad_names[] = {
	"",        " ",         "a b",      "a:",        "a\\r\\nX: y",
	"a\\n",    "\\u0000",   "a\\u0000", "a\\t",      "a\\u007f",
	"\\u00e9", "a\\u001b[", "a(b)",     "\\\"a\\\"",
};
static const char *const bad_values[] = {
	" a",
	"a ",
	"\\ta",
	"a\\t",
	"a\\rb",
	"a\\nb",
	"a\\r\\n\\r\\nGET / HTTP/1.1",
	"a\\u0000",
	"a\\u007f",
	"\\u001b[2J",
};
static const char *const bad_hosts[] = {
	"a b",      "a\\r\\nX: y", "a\\u0000", "a/b",     "a:80",
	"a@b",      "*.a",         "A.b",      "\\u00fc", "a\\t",
	"10.0.0.1", "a..b",        "-a",       "a?b",     "a#b",
};
static const char *const bad_schemes[] = {
	"", "ftp", "HTTP", "http ", "https:", "http\\r\\n", "javascript",
};
static const char *const bad_paths[] = {
	"a",    "/a b",     "/a\\r\\nX: y", "/a\\u0000", "/a\\t",  "/a#b",
	"/a?b", "/\\u00fc", "/a\\u007f",    "/%zz",      "/a\\\"", "http://x/",
};

#define LIST(v) v, sizeof(v) / sizeof((v)[0])

#define ROUTE(filters, backend_filters)                                        \
	"{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": "        \
	"\"HTTPRoute\", \"metadata\": {\"name\": \"r\"}, \"spec\": "           \
	"{\"rules\": [{\"filters\": [" filters "], \"backendRefs\": "          \
	"[{\"name\": \"b\", \"port\": 80, \"filters\": [" backend_filters      \
	"]}]}]}}"
#define HEADERS(type, field, what)                                             \
	"{\"type\": \"" type "\", \"" field "\": {" what "}}"
#define REQUEST(what)                                                          \
	HEADERS("RequestHeaderModifier", "requestHeaderModifier", what)
#define RESPONSE(what)                                                         \
	HEADERS("ResponseHeaderModifier", "responseHeaderModifier", what)
#define REWRITE(what) HEADERS("URLRewrite", "urlRewrite", what)
#define PATH(type, field)                                                      \
	"\"path\": {\"type\": \"" type "\", \"" field "\": \"%s\"}"
#define REDIRECT(what)                                                         \
	"{\"apiVersion\": \"gateway.networking.k8s.io/v1\", \"kind\": "        \
	"\"HTTPRoute\", \"metadata\": {\"name\": \"r\"}, \"spec\": "           \
	"{\"rules\": [{\"filters\": [{\"type\": \"RequestRedirect\", "         \
	"\"requestRedirect\": {" what "}}]}]}}"
#define KINGRESS(path, split)                                                  \
	"{\"apiVersion\": \"networking.internal.knative.dev/v1alpha1\", "      \
	"\"kind\": \"Ingress\", \"metadata\": {\"name\": \"k\"}, \"spec\": "   \
	"{\"rules\": [{\"hosts\": [\"k.default\"], \"visibility\": "           \
	"\"ClusterLocal\", \"http\": {\"paths\": [{" path "\"splits\": "       \
	"[{\"serviceName\": \"s\", \"servicePort\": 80" split "}]}]}}]}}"

static const struct {
	const char *text; /* %s: the bad text */
	const char *good; /* is taken in its place */
	const char *const *bad;
	size_t n;
} places[] = {
	{ROUTE(REQUEST("\"set\": [{\"name\": \"%s\", \"value\": \"v\"}]"), ""),
	 "x-a", LIST(bad_names)},
	{ROUTE(REQUEST("\"set\": [{\"name\": \"a\", \"value\": \"%s\"}]"), ""),
	 "a b", LIST(bad_values)},
	{ROUTE(REQUEST("\"add\": [{\"name\": \"%s\", \"value\": \"v\"}]"), ""),
	 "x-a", LIST(bad_names)},
	{ROUTE(REQUEST("\"add\": [{\"name\": \"a\", \"value\": \"%s\"}]"), ""),
	 "a\\tb", LIST(bad_values)},
	{ROUTE(REQUEST("\"remove\": [\"%s\"]"), ""), "x-a", LIST(bad_names)},
	{ROUTE(RESPONSE("\"set\": [{\"name\": \"%s\", \"value\": \"v\"}]"), ""),
	 "x-a", LIST(bad_names)},
	{ROUTE(RESPONSE("\"add\": [{\"name\": \"a\", \"value\": \"%s\"}]"), ""),
	 "\\u00e9", LIST(bad_values)},
	{ROUTE("", REQUEST("\"set\": [{\"name\": \"%s\", \"value\": \"v\"}]")),
	 "x-a", LIST(bad_names)},
	{ROUTE("", REQUEST("\"set\": [{\"name\": \"a\", \"value\": \"%s\"}]")),
	 "v", LIST(bad_values)},
	{ROUTE("", RESPONSE("\"add\": [{\"name\": \"a\", \"value\": \"%s\"}]")),
	 "v", LIST(bad_values)},
	{ROUTE(REWRITE("\"hostname\": \"%s\""), ""), "a.example",
	 LIST(bad_hosts)},
	{ROUTE(REWRITE(PATH("ReplaceFullPath", "replaceFullPath")), ""),
	 "/a%20b", LIST(bad_paths)},
	{ROUTE(REWRITE(PATH("ReplacePrefixMatch", "replacePrefixMatch")), ""),
	 "", LIST(bad_paths)},
	{ROUTE("", REWRITE("\"hostname\": \"%s\"")), "a.example",
	 LIST(bad_hosts)},
	{REDIRECT("\"hostname\": \"%s\""), "a.example", LIST(bad_hosts)},
	{REDIRECT("\"scheme\": \"%s\""), "https", LIST(bad_schemes)},
	{REDIRECT(PATH("ReplaceFullPath", "replaceFullPath")), "/a",
	 LIST(bad_paths)},
	{REDIRECT(PATH("ReplacePrefixMatch", "replacePrefixMatch")), "/a",
	 LIST(bad_paths)},
	{KINGRESS("\"rewriteHost\": \"%s\", ", ""), "a.example",
	 LIST(bad_hosts)},
	{KINGRESS("\"appendHeaders\": {\"%s\": \"v\"}, ", ""), "x-a",
	 LIST(bad_names)},
	{KINGRESS("\"appendHeaders\": {\"a\": \"%s\"}, ", ""), "v",
	 LIST(bad_values)},
	{KINGRESS("", ", \"appendHeaders\": {\"%s\": \"v\"}"), "x-a",
	 LIST(bad_names)},
	{KINGRESS("", ", \"appendHeaders\": {\"a\": \"%s\"}"), "v",
	 LIST(bad_values)},
};

/* The number of objects that text gives with this in its place. */
static size_t count(const char *text, const char *in, bool is_json)
{
	_cleanup_buf_ struct weir_buf b = {0};
	_cleanup_buf_ struct weir_buf said = {0};
	struct model_objects got;
	const char *at = strstr(text, "%s");
	size_t n;

	must(at != NULL, "a place");
	weir_buf_add(&b, text, (size_t)(at - text));
	weir_buf_addz(&b, in);
	weir_buf_addz(&b, at + 2);
	weir_buf_add(&b, "", 1);
	must(model_decode(b.p, is_json, &said, &got) == 0, "decode");
	n = got.n;
	ok(n == 0 ? said.n > 0 : said.n == 0, "%s: said", b.p);
	model_drop(&got);
	return n;
}

static void nothing_that_ends_a_line_is_decoded(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		ok(count(places[i].text, places[i].good, true) == 1,
		   "%s with %s", places[i].text, places[i].good);
		for (size_t k = 0; k < places[i].n; k++) {
			ok(count(places[i].text, places[i].bad[k], true) == 0,
			   "%s with \"%s\"", places[i].text, places[i].bad[k]);
		}
	}
}

TAP_MAIN(TEST(nothing_that_ends_a_line_is_decoded))
