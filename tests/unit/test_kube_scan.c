/* SPDX-License-Identifier: Apache-2.0 */
/* agent/kube: cutting bodies into objects, looking into JSON, trimming. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "json_view.h"
#include "kinds.h"
#include "scan.h"
#include "tap.h"
#include "trim.h"

/* What was cut, each followed by '|'; "~" where it was too large. */
struct cut {
	struct weir_buf out;
	int result;
};

static int on_object(void *arg, struct weir_str object, bool is_cut)
{
	struct cut *c = arg;

	weir_buf_add_str(&c->out, object);
	weir_buf_addz(&c->out, is_cut ? "~|" : "|");
	return c->result;
}

/* In pieces of so many bytes. */
static int scan_all(struct weir_scan *s, const char *text, size_t piece)
{
	struct weir_str rest = weir_str_of(text);

	while (rest.n) {
		size_t n = rest.n < piece ? rest.n : piece;
		int r = weir_scan_feed(s, (struct weir_str){rest.p, n});

		if (r < 0) {
			return r;
		}
		rest = weir_str_skip(rest, n);
	}
	return weir_scan_end(s);
}

static void check(enum weir_scan_kind kind, const char *text, int r,
		  const char *want, size_t max)
{
	for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
		_cleanup_(weir_scan_fini) struct weir_scan s = {0};
		struct cut c = {0};
		int got;

		weir_scan_init(&s, kind, on_object, &c);
		s.max = max;
		got = scan_all(&s, text, piece);
		ok(got == r, "%s in pieces of %zu: %d", text, piece, got);
		ok(r < 0 || weir_str_is(weir_buf_str(&c.out), want),
		   "%s in pieces of %zu: %.*s", text, piece,
		   WEIR_STR_ARG(weir_buf_str(&c.out)));
		weir_buf_fini(&c.out);
	}
}

static void lists_are_cut_into_their_items(void)
{
	static const struct {
		const char *text;
		int r;
		const char *want;
	} cases[] = {
		{"{\"items\":[]}", 0, ""},
		{"{\"items\":null}", 0, ""},
		{"{\"kind\":\"L\",\"metadata\":{\"a\":{}},\"items\":[{}, "
		 "{}]}\n",
		 0, "{}|{}|"},
		{"{\"items\":[{\"a\":[1,{\"b\":\"}]\\\"{\"}]}],\"x\":[{}]}", 0,
		 "{\"a\":[1,{\"b\":\"}]\\\"{\"}]}|"},
		{"{\"x\":{\"items\":[{\"no\":1}]},\"items\":[{\"y\":1}]}", 0,
		 "{\"y\":1}|"},
		{"{\"x\":\"items\",\"items\":[{\"y\":1}]}", 0, "{\"y\":1}|"},
		{"{\"items\":[{}]", -EBADMSG, ""},
		{"{\"items\":[{}}", -EBADMSG, ""},
		{"{\"items\":[{\"a\":[}]}]}", -EBADMSG, ""},
		{"{\"items\":[1]}", -EBADMSG, ""},
		{"{\"items\":[[]]}", -EBADMSG, ""},
		{"{\"items\":[\"\"]}", -EBADMSG, ""},
		{"{\"items\":{}}", -EBADMSG, ""},
		{"{\"items\":\"x\"}", -EBADMSG, ""},
		{"{\"items\":[],\"items\":[]}", -EBADMSG, ""},
		{"{\"items\":[]}{}", -EBADMSG, ""},
		{"{\"items\":[]}]", -EBADMSG, ""},
		{"{\"kind\":\"Status\"}", -EBADMSG, ""},
		{"[]", -EBADMSG, ""},
		{"x", -EBADMSG, ""},
		{"", -EBADMSG, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(WEIR_SCAN_LIST, cases[i].text, cases[i].r, cases[i].want,
		      100);
	}
}

static void watches_are_cut_into_their_events(void)
{
	check(WEIR_SCAN_WATCH, "{\"a\":1}\n{\"b\":[{}]}{\"c\":\"\\\\\"}\n", 0,
	      "{\"a\":1}|{\"b\":[{}]}|{\"c\":\"\\\\\"}|", 100);
	check(WEIR_SCAN_WATCH, "", 0, "", 100);
	check(WEIR_SCAN_WATCH, "{\"a\":1}\n{\"b", -EBADMSG, "", 100);
	check(WEIR_SCAN_WATCH, "[]", -EBADMSG, "", 100);
	check(WEIR_SCAN_WATCH, "{]", -EBADMSG, "", 100);
	check(WEIR_SCAN_WATCH, "null", -EBADMSG, "", 100);
}

static void an_object_above_the_limit_is_passed_over(void)
{
	check(WEIR_SCAN_WATCH, "{\"a\":1}", 0, "{\"a\":1}|", 7);
	for (size_t piece = 1; piece < 40; piece++) {
		_cleanup_(weir_scan_fini) struct weir_scan s = {0};
		struct cut c = {0};
		struct weir_str out;

		weir_scan_init(&s, WEIR_SCAN_LIST, on_object, &c);
		s.max = 8;
		must(scan_all(&s, "{\"items\":[{\"long\":[1,2,3]},{\"a\":2}]}",
			      piece) == 0,
		     "pieces of %zu", piece);
		out = weir_buf_str(&c.out);
		ok(weir_str_ends(out, WEIR_STR("~|{\"a\":2}|")) && out.n <= 18,
		   "pieces of %zu: %.*s", piece, WEIR_STR_ARG(out));
		ok(s.kept.cap <= 256, "memory");
		weir_buf_fini(&c.out);
	}
}

static void metadata_of_a_list_is_kept_and_bounded(void)
{
	_cleanup_(weir_scan_fini) struct weir_scan s = {0};
	struct cut c = {0};
	char text[200];
	int r = 0;

	weir_scan_init(&s, WEIR_SCAN_LIST, on_object, &c);
	ok(scan_all(&s,
		    "{\"metadata\":{\"resourceVersion\":\"12\",\"continue\":"
		    "\"a{b\"},\"items\":[{}]}",
		    3) == 0,
	   "list");
	ok(weir_jview_u64(weir_jview_member(weir_buf_str(&s.metadata),
					    "resourceVersion")) == 12,
	   "version");
	ok(weir_str_is(weir_jview_text(weir_jview_member(
			       weir_buf_str(&s.metadata), "continue")),
		       "a{b"),
	   "token");
	weir_buf_fini(&c.out);
	weir_scan_fini(&s);

	weir_scan_init(&s, WEIR_SCAN_LIST, on_object, &c);
	snprintf(text, sizeof(text), "{\"metadata\":{\"a\":\"%*s", 100, "");
	r = weir_scan_feed(&s, weir_str_of(text));
	for (int i = 0; r == 0 && i < 10000; i++) {
		r = weir_scan_feed(&s, WEIR_STR("0123456789012345"));
	}
	ok(r == -EBADMSG, "without end: %d", r);
}

static void what_the_callback_says_ends_the_scan(void)
{
	_cleanup_(weir_scan_fini) struct weir_scan s = {0};
	struct cut c = {.result = -ENOMEM};

	weir_scan_init(&s, WEIR_SCAN_WATCH, on_object, &c);
	ok(weir_scan_feed(&s, WEIR_STR("{}{}")) == -ENOMEM, "ends");
	ok(weir_scan_feed(&s, WEIR_STR("{}")) == -ENOMEM, "sticky");
	ok(weir_str_is(weir_buf_str(&c.out), "{}|"), "one");
	weir_buf_fini(&c.out);
}

static void depth_is_bounded(void)
{
	_cleanup_(weir_scan_fini) struct weir_scan s = {0};
	struct cut c = {0};
	int r = 0;

	weir_scan_init(&s, WEIR_SCAN_WATCH, on_object, &c);
	for (int i = 0; r == 0 && i < 1000; i++) {
		r = weir_scan_feed(&s, WEIR_STR("{\"a\":"));
	}
	ok(r == -EBADMSG, "%d", r);
}

static void members_are_found_as_they_are_written(void)
{
	struct weir_str o = WEIR_STR(
		" { \"a\" : 1 , \"b\":{\"c\":[1,{\"a\":2}],\"d\":\"x\\\"y\"},"
		"\"e\":\"17\",\"f\":-3, \"a\":9 }");

	ok(weir_str_is(weir_jview_member(o, "a"), "1"), "the first");
	ok(weir_str_is(weir_jview_path(o, "b", "c", NULL), "[1,{\"a\":2}]"),
	   "in depth");
	ok(weir_str_is(weir_jview_text(weir_jview_path(o, "b", "d", NULL)),
		       "x\\\"y"),
	   "as written");
	ok(weir_jview_u64(weir_jview_member(o, "e")) == 17, "digits");
	ok(weir_jview_u64(weir_jview_member(o, "f")) == 0, "no number of ours");
	ok(!weir_jview_member(o, "c").p, "not at the top");
	ok(!weir_jview_path(o, "a", "b", NULL).p, "not in a number");
}

/* Every beginning of a text, in memory that ends where it does. */
static void wrong_text_is_never_read_beyond(void)
{
	static const char text[] = "{\"a\\\"\":[1,\"]\",{\"b\":null}],\"c\":"
				   "{\"d\":true},\"e\":\"f\"}";

	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = malloc(n ? n : 1);
		struct weir_kube_head head;
		struct weir_buf out = {0};
		struct weir_str status;

		must(copy, "memory");
		memcpy(copy, text, n);
		ok(!weir_jview_member((struct weir_str){copy, n}, "x").p, "x");
		ok(weir_kube_head_read((struct weir_str){copy, n}, &head) ==
			   -EBADMSG,
		   "no name");
		weir_kube_trim(WEIR_KIND_SERVICE, WEIR_STR("v1"),
			       (struct weir_str){copy, n}, NULL, &out, &status);
		weir_buf_fini(&out);
		weir_free_ptr(&copy);
	}
}

static int trim(enum weir_kind kind, const char *text, struct weir_buf *out,
		struct weir_str *ret_status)
{
	out->n = 0;
	return weir_kube_trim(kind, WEIR_STR("g/v1"), weir_str_of(text), NULL,
			      out, ret_status);
}

static void what_changes_by_itself_is_trimmed(void)
{
	_cleanup_buf_ struct weir_buf out = {0};
	struct weir_str status = WEIR_STR_NULL;

	ok(trim(WEIR_KIND_HTTP_ROUTE,
		"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion"
		"\":\"5\",\"generation\":2,\"managedFields\":[{\"x\":1}]},"
		"\"spec\":{\"y\":[ 1]},\"status\":{\"z\":1}}",
		&out, &status) == 0,
	   "trim");
	ok(weir_str_is(weir_buf_str(&out),
		       "{\"apiVersion\":\"g/v1\",\"kind\":\"HTTPRoute\","
		       "\"metadata\":{\"name\":\"a\",\"generation\":2},"
		       "\"spec\":{\"y\":[ 1]}}"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	ok(weir_str_is(status, "{\"z\":1}"), "status");

	ok(trim(WEIR_KIND_GATEWAY,
		"{\"kind\":\"Other\",\"metadata\":{\"name\":\"a\"},\"status\":"
		"{\"addresses\":[{\"value\":\"1.2.3.4\"}],\"listeners\":[]}}",
		&out, &status) == 0,
	   "trim");
	ok(weir_str_is(weir_buf_str(&out),
		       "{\"apiVersion\":\"g/v1\",\"kind\":\"Gateway\","
		       "\"metadata\":{\"name\":\"a\"},\"status\":{\"addresses"
		       "\":[{\"value\":\"1.2.3.4\"}]}}"),
	   "a Gateway keeps its addresses: %.*s",
	   WEIR_STR_ARG(weir_buf_str(&out)));
	ok(trim(WEIR_KIND_SERVICE, "{\"metadata\":{\"name\":\"a\"}", &out,
		&status) == -EBADMSG,
	   "not whole");
}

#define REVISION_POD(status)                                                   \
	"{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"labels\":{"       \
	"\"serving.knative.dev/revision\":\"r-1\"}},\"spec\":{\"nodeName\":"   \
	"\"n2\"},\"status\":{" status "}}"

static void a_pod_on_its_way_is_an_endpoint(void)
{
	static const char *const nothing[] = {
		REVISION_POD("\"phase\":\"Pending\""),
		REVISION_POD("\"podIP\":\"10.0.0.9\",\"phase\":\"Failed\""),
		REVISION_POD(
			"\"podIP\":\"10.0.0.9\",\"conditions\":[{\"type\":"
			"\"ContainersReady\",\"status\":\"True\"},{\"type\""
			":\"Ready\",\"observedGeneration\":1,\"status\":"
			"\"True\"}]"),
		("{\"metadata\":{\"name\":\"p\",\"deletionTimestamp\":\"x\"},"
		 "\"status\":{\"podIP\":\"10.0.0.9\"}}"),
	};
	_cleanup_buf_ struct weir_buf out = {0};
	struct weir_str status;

	ok(trim(WEIR_KIND_REVISION_POD,
		REVISION_POD("\"podIP\":\"10.0.0.9\",\"conditions\":[{\"type\":"
			     "\"Ready\",\"status\":\"False\"},{\"type\":"
			     "\"PodScheduled\",\"status\":\"True\"}]"),
		&out, &status) == 0,
	   "trim");
	ok(weir_str_is(weir_buf_str(&out),
		       "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":"
		       "\"EndpointSlice\",\"metadata\":{\"name\":\"p\","
		       "\"namespace\":\"d\",\"labels\":{\"kubernetes.io/"
		       "service-name\":\"r-1-private\"}},\"addressType\":"
		       "\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8012},"
		       "{\"name\":\"http2\",\"port\":8013}],\"endpoints\":[{"
		       "\"addresses\":[\"10.0.0.9\"],\"nodeName\":\"n2\","
		       "\"conditions\":{\"ready\":false,\"serving\":false,"
		       "\"terminating\":false}}]}"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		ok(trim(WEIR_KIND_REVISION_POD, nothing[i], &out, &status) ==
			   -ENOENT,
		   "nothing to say of %s", nothing[i]);
	}
}

static void heads_name_an_object(void)
{
	struct weir_kube_head head;

	must(weir_kube_head_read(
		     WEIR_STR("{\"metadata\":{\"labels\":{\"kubernetes.io/"
			      "service-name\":\"s\"},\"name\":\"n\","
			      "\"namespace\":\"ns\",\"resourceVersion\":"
			      "\"77\"}}"),
		     &head) == 0,
	     "head");
	ok(weir_str_is(head.name, "n") && weir_str_is(head.ns, "ns") &&
		   weir_str_is(head.service, "s") && head.version == 77,
	   "all of it");
	/* What is left of an object that is too large. */
	ok(weir_kube_head_read(WEIR_STR("{\"metadata\":{\"name\":\"n\"},\"sp"),
			       &head) == 0,
	   "cut");
}

static void paths_are_those_of_the_server(void)
{
	_cleanup_buf_ struct weir_buf out = {0};

	weir_kube_path(&out, WEIR_KIND_HTTP_ROUTE, WEIR_STR("v1"),
		       WEIR_STR("a"), WEIR_STR("b"), "status");
	weir_buf_addz(&out, " ");
	weir_kube_path(&out, WEIR_KIND_SERVICE, WEIR_STR("v1"), WEIR_STR_NULL,
		       WEIR_STR_NULL, "");
	weir_buf_addz(&out, " ");
	weir_kube_encode(&out, WEIR_STR("a/b=\xc3\xa9"));
	ok(weir_str_is(weir_buf_str(&out),
		       "/apis/gateway.networking.k8s.io/v1/namespaces/a/"
		       "httproutes/b/status /api/v1/services a%2Fb%3D%C3%A9"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	ok(weir_str_is(weir_kube_version("v1|v1beta1", 1), "v1beta1") &&
		   weir_kube_version("v1|v1beta1", 2).n == 0,
	   "versions");
}

TAP_MAIN(TEST(lists_are_cut_into_their_items),
	 TEST(watches_are_cut_into_their_events),
	 TEST(an_object_above_the_limit_is_passed_over),
	 TEST(metadata_of_a_list_is_kept_and_bounded),
	 TEST(what_the_callback_says_ends_the_scan), TEST(depth_is_bounded),
	 TEST(members_are_found_as_they_are_written),
	 TEST(wrong_text_is_never_read_beyond),
	 TEST(what_changes_by_itself_is_trimmed),
	 TEST(a_pod_on_its_way_is_an_endpoint), TEST(heads_name_an_object),
	 TEST(paths_are_those_of_the_server))
