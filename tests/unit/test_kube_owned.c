// SPDX-License-Identifier: Apache-2.0
/* Objects of weir that others write to, too: what is merged with what. */
#include "owned.h"

#include <errno.h>

#include "cleanup.h"
#include "json_view.h"
#include "tap.h"

static const char *const others[] = {"loadBalancerClass", NULL};

/* labels, annotations: members.  What is written is left in out. */
static int merge(const char *labels, const char *annotations, const char *there,
		 struct weir_buf *out)
{
	struct weir_owned o = {.others = others, .uid = "u-1"};
	int r;

	weir_buf_addz(&o.metadata, "\"name\":\"g-weir\",\"ownerReferences\":"
				   "[{\"uid\":\"u-1\"}]");
	weir_buf_addz(&o.labels, labels);
	weir_buf_addz(&o.annotations, annotations);
	weir_buf_addz(&o.spec, "\"type\":\"LoadBalancer\"");
	weir_buf_addz(&o.rest, "\"kind\":\"Service\"");
	weir_buf_fini(out);
	r = weir_owned_merge(&o, weir_str_of(there), out);
	weir_buf_add(out, "", 1);
	weir_owned_fini(&o);
	return r;
}

/* metadata.map[key], "" if there is none. */
static bool has(const struct weir_buf *b, const char *map, const char *key,
		const char *want)
{
	struct weir_str value = weir_jview_text(
		weir_jview_path(weir_str_of(b->p), "metadata", map, key, NULL));

	return weir_str_is(value, want) ||
	       !ok(false, "%s %s: \"%.*s\"", map, key, WEIR_STR_ARG(value));
}

static void what_is_not_there_is_made(void)
{
	_cleanup_buf_ struct weir_buf out = {0};
	struct weir_str text;

	ok(merge("\"a\":\"1\"", "", "", &out) == 1, "written");
	text = weir_str_of(out.p);
	ok(weir_str_is(weir_jview_path(text, "metadata", "labels", NULL),
		       "{\"a\":\"1\"}"),
	   "%s", out.p);
	ok(weir_str_is(weir_jview_path(text, "spec", NULL),
		       "{\"type\":\"LoadBalancer\"}"),
	   "%s", out.p);
	ok(weir_str_is(weir_jview_text(weir_jview_member(text, "kind")),
		       "Service"),
	   "%s", out.p);
	has(&out, "annotations", "weir.dev/infrastructure-keys", "a;");
}

static void what_is_said_already_is_not_written(void)
{
	_cleanup_buf_ struct weir_buf first = {0};
	_cleanup_buf_ struct weir_buf out = {0};

	must(merge("\"a\":\"1\"", "\"b\":\"2\"", "", &first) == 1, "made");
	ok(merge("\"a\":\"1\"", "\"b\":\"2\"", first.p, &out) == 0, "same");
	ok(merge("\"a\":\"2\"", "\"b\":\"2\"", first.p, &out) == 1, "a label");
	ok(merge("\"a\":\"1\"", "", first.p, &out) == 1, "no annotation");
	ok(merge("\"a\":\"1\",\"b\":\"2\"", "", first.p, &out) == 1, "moved");
}

static void what_is_of_somebody_else_is_left_alone(void)
{
	_cleanup_buf_ struct weir_buf out = {0};

	ok(merge("", "", "{\"metadata\":{\"name\":\"g-weir\"}}", &out) ==
		   -EEXIST,
	   "no owner");
	ok(merge("", "",
		 "{\"metadata\":{\"ownerReferences\":[{\"uid\":\"u-2\"}]}}",
		 &out) == -EEXIST,
	   "another one");
}

static void what_others_say_stays(void)
{
	static const char there[] =
		"{\"metadata\":{\"resourceVersion\":\"7\",\"finalizers\":"
		"[\"service.kubernetes.io/load-balancer-cleanup\"],"
		"\"ownerReferences\":[{\"uid\":\"u-1\"}],"
		"\"labels\":{\"a\":\"old\",\"was\":\"1\",\"team\":\"x\"},"
		"\"annotations\":{\"weir.dev/infrastructure\":\"0\","
		"\"weir.dev/infrastructure-keys\":\"a,was;note\","
		"\"note\":\"1\",\"was\":\"2\",\"balancer\":\"pool\"}},"
		"\"spec\":{\"type\":\"ClusterIP\",\"loadBalancerClass\":\"c/"
		"d\","
		"\"clusterIP\":\"10.0.0.1\"}}";
	_cleanup_buf_ struct weir_buf out = {0};

	must(merge("\"a\":\"new\"", "\"b\":\"2\"", there, &out) == 1, "write");
	ok(weir_str_is(weir_jview_path(weir_str_of(out.p), "metadata",
				       "finalizers", NULL),
		       "[\"service.kubernetes.io/load-balancer-cleanup\"]"),
	   "finalizers: %s", out.p);
	has(&out, "labels", "a", "new");
	has(&out, "labels", "team", "x");
	has(&out, "labels", "was", "");
	has(&out, "annotations", "b", "2");
	has(&out, "annotations", "balancer", "pool");
	has(&out, "annotations", "was", "2");
	has(&out, "annotations", "note", "");
	has(&out, "annotations", "weir.dev/infrastructure-keys", "a;b");
	ok(weir_str_is(weir_jview_path(weir_str_of(out.p), "spec", NULL),
		       "{\"type\":\"LoadBalancer\",\"loadBalancerClass\":"
		       "\"c/d\"}"),
	   "spec: %s", out.p);
	ok(weir_str_is(weir_jview_text(
			       weir_jview_path(weir_str_of(out.p), "metadata",
					       "resourceVersion", NULL)),
		       "7"),
	   "version: %s", out.p);
}

TAP_MAIN(TEST(what_is_not_there_is_made),
	 TEST(what_is_said_already_is_not_written),
	 TEST(what_is_of_somebody_else_is_left_alone),
	 TEST(what_others_say_stays))
