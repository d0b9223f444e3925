/* SPDX-License-Identifier: Apache-2.0 */
/* agent/kube: what is kept, what is news, what is gone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "held.h"
#include "tap.h"

struct site {
	struct weir_store *store;
	struct weir_held held;
	char wanted[1024]; /* "Service/ns/name " of each that on_want told */
};

static void on_want(void *arg, enum weir_kind kind, struct weir_str ns,
		    struct weir_str name)
{
	struct site *s = arg;
	size_t n = strlen(s->wanted);

	snprintf(s->wanted + n, sizeof(s->wanted) - n, "%s/%.*s/%.*s ",
		 weir_kind_text(kind), WEIR_STR_ARG(ns), WEIR_STR_ARG(name));
}

static uint64_t hash_status(void *arg, enum weir_kind kind,
			    struct weir_str status)
{
	(void)arg;
	(void)kind;
	return status.n ? weir_str_hash(status, 1) : 0;
}

static void begin(struct site *s)
{
	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	weir_held_init(&s->held, s->store, 42);
	s->held.on_want = on_want;
	s->held.status_hash = hash_status;
	s->held.arg = s;
}

static void end(struct site *s)
{
	weir_held_fini(&s->held);
	weir_store_free(&s->store);
}

#define GATEWAY "gateway.networking.k8s.io/v1"

static void route(struct site *s, const char *name, const char *service,
		  unsigned version, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\","
		 "\"resourceVersion\":\"%u\"},\"spec\":{\"parentRefs\":[{"
		 "\"name\":\"gw\"}],\"rules\":[{\"backendRefs\":[{\"name\":"
		 "\"%s\",\"port\":80}]}]}%s}",
		 name, version, service, more);
	must(weir_held_apply(&s->held, WEIR_KIND_HTTP_ROUTE, WEIR_STR(GATEWAY),
			     weir_str_of(text), false) == 0,
	     "apply");
}

static void service(struct site *s, const char *name, unsigned version,
		    unsigned port, bool is_looked_up)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\","
		 "\"resourceVersion\":\"%u\"},\"spec\":{\"ports\":[{\"port\":"
		 "%u}]}}",
		 name, version, port);
	must(weir_held_apply(&s->held, WEIR_KIND_SERVICE, WEIR_STR("v1"),
			     weir_str_of(text), is_looked_up) == 0,
	     "apply");
}

static void forget(struct site *s, enum weir_kind kind, const char *name,
		   unsigned version)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\","
		 "\"resourceVersion\":\"%u\"}}",
		 name, version);
	weir_held_delete(&s->held, kind, weir_str_of(text));
}

static const struct weir_object *find(const struct site *s, enum weir_kind kind,
				      const char *name)
{
	return weir_store_find(s->store, kind, WEIR_STR("d"),
			       weir_str_of(name));
}

static const struct weir_held_entry *entry(const struct site *s,
					   const char *name)
{
	return weir_held_find(&s->held, WEIR_KIND_HTTP_ROUTE, WEIR_STR("d"),
			      weir_str_of(name));
}

static void only_content_is_news_to_the_store(void)
{
	struct site s;
	uint64_t version;
	uint64_t status;

	begin(&s);
	route(&s, "r", "a", 5, ",\"status\":{\"parents\":[]}");
	version = weir_store_version(s.store);
	must(version == 1 && entry(&s, "r"), "in the store");
	status = entry(&s, "r")->status;
	s.held.is_changed = false;

	route(&s, "r", "a", 6, ",\"status\":{\"parents\":[]}");
	ok(weir_store_version(s.store) == version, "nothing but its version");
	ok(!s.held.is_changed, "no news at all");
	ok(entry(&s, "r")->version == 5, "version of its content");

	route(&s, "r", "a", 7, ",\"status\":{\"parents\":[1]}");
	ok(weir_store_version(s.store) == version, "status alone");
	ok(s.held.is_changed && entry(&s, "r")->status != status, "is news");
	ok(entry(&s, "r")->version == 5, "version of its content");

	route(&s, "r", "b", 8, "");
	ok(weir_store_version(s.store) == version + 1, "content");
	ok(entry(&s, "r")->version == 8, "version of its content");
	ok(s.held.counts[WEIR_KIND_HTTP_ROUTE].kept == 1, "one object");
	end(&s);
}

static void pod(struct site *s, const char *ns, const char *name,
		unsigned version, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\","
		 "\"annotations\":{\"n\":\"%u\"},\"labels\":{\"n\":\"%u\"},"
		 "\"resourceVersion\":\"%u\"},%s}",
		 name, ns, version, version, version, more);
	must(weir_held_apply(&s->held, WEIR_KIND_POD, WEIR_STR("v1"),
			     weir_str_of(text), false) == 0,
	     "apply");
}

#define POD_AT(ip, phase)                                                      \
	"\"spec\":{\"containers\":[{\"image\":\"x\"}]},\"status\":{\"phase\":" \
	"\"" phase "\",\"podIP\":\"" ip "\",\"podIPs\":[{\"ip\":\"" ip "\"}]}"

static const struct weir_pod_spec *pod_at(const struct site *s,
					  const char *name)
{
	const struct weir_object *o = find(s, WEIR_KIND_POD, name);

	return o ? o->pod : NULL;
}

/* Whose namespace has a route for its own clients. */
static void pods_are_kept_for_consumer_routes(void)
{
	static const char consumer[] =
		"{\"metadata\":{\"name\":\"r\",\"namespace\":\"d\","
		"\"resourceVersion\":\"5\"},\"spec\":{\"parentRefs\":[{"
		"\"group\":\"\",\"kind\":\"Service\",\"name\":\"web\","
		"\"namespace\":\"%s\"}]}}";
	const struct weir_pod_spec *p;
	char text[512];
	uint64_t version;
	struct site s;

	begin(&s);
	snprintf(text, sizeof(text), consumer, "d");
	must(weir_held_apply(&s.held, WEIR_KIND_HTTP_ROUTE, WEIR_STR(GATEWAY),
			     weir_str_of(text), false) == 0,
	     "apply");
	ok(strcmp(s.wanted, "EndpointSlice/d/web Service/d/web ") == 0,
	   "a producer asks for no Pod: %s", s.wanted);
	pod(&s, "d", "early", 6, POD_AT("10.0.0.1", "Running"));
	ok(!pod_at(&s, "early"), "nobody asked for Pods");

	snprintf(text, sizeof(text), consumer, "shop");
	must(weir_held_apply(&s.held, WEIR_KIND_HTTP_ROUTE, WEIR_STR(GATEWAY),
			     weir_str_of(text), false) == 0,
	     "apply");
	ok(strstr(s.wanted, "Pod/d/ "),
	   "a consumer asks for those of its own: "
	   "%s",
	   s.wanted);
	pod(&s, "d", "a", 7, "\"spec\":{},\"status\":{\"phase\":\"Pending\"}");
	p = pod_at(&s, "a");
	ok(p && p->n_addresses == 0, "no address yet");
	pod(&s, "d", "a", 8, POD_AT("10.0.0.2", "Pending"));
	p = pod_at(&s, "a");
	ok(p && p->n_addresses == 1, "an address");
	version = weir_store_version(s.store);
	pod(&s, "d", "a", 9, POD_AT("10.0.0.2", "Running"));
	ok(weir_store_version(s.store) == version,
	   "that it runs, its labels and its conditions are no news");
	pod(&s, "d", "a", 10, POD_AT("10.0.0.2", "Failed"));
	p = pod_at(&s, "a");
	ok(p && p->n_addresses == 0, "its address may be another's now");
	pod(&s, "d", "h", 11,
	    "\"spec\":{\"hostNetwork\":true},\"status\":{\"phase\":"
	    "\"Running\",\"podIPs\":[{\"ip\":\"10.9.0.1\"}]}");
	p = pod_at(&s, "h");
	ok(p && p->n_addresses == 0, "the node's address is not its own");
	pod(&s, "other", "o", 12, POD_AT("10.0.0.3", "Running"));
	ok(s.held.counts[WEIR_KIND_POD].kept == 2, "none of other namespaces");

	forget(&s, WEIR_KIND_HTTP_ROUTE, "r", 13);
	must(weir_held_drop_unwanted(&s.held) == 0, "drop");
	ok(!pod_at(&s, "a"), "without the route they are of no use");
	end(&s);
}

static void revision_pod(struct site *s, const char *name, const char *revision,
			 const char *ready)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"d\","
		 "\"labels\":{\"serving.knative.dev/revision\":\"%s\"}},"
		 "\"status\":{\"podIP\":\"10.0.0.5\",\"conditions\":[{"
		 "\"type\":\"Ready\",\"status\":\"%s\"}]}}",
		 name, revision, ready);
	must(weir_held_apply(&s->held, WEIR_KIND_REVISION_POD, WEIR_STR("v1"),
			     weir_str_of(text), false) == 0,
	     "apply");
}

/* A KIngress that names revision r-1. */
static void name_revision(struct site *s)
{
	static const char ingress[] =
		"{\"metadata\":{\"name\":\"i\",\"namespace\":\"d\","
		"\"resourceVersion\":\"5\"},\"spec\":{\"rules\":[{\"hosts\":["
		"\"a.b\"],\"http\":{\"paths\":[{\"splits\":[{"
		"\"serviceNamespace\":\"d\",\"serviceName\":\"r-1\","
		"\"servicePort\":80}]}]}}]}}";

	must(weir_held_apply(&s->held, WEIR_KIND_KINGRESS,
			     WEIR_STR("networking.internal.knative.dev/"
				      "v1alpha1"),
			     weir_str_of(ingress), false) == 0,
	     "apply");
}

/* Before EndpointSlices tell of them, and no longer than they may be of use. */
static void pods_of_revisions_are_kept_while_they_start(void)
{
	const struct weir_object *o;
	struct site s;

	begin(&s);
	revision_pod(&s, "p", "r-1", "False");
	ok(!find(&s, WEIR_KIND_ENDPOINT_SLICE, "p"), "nothing names it");
	name_revision(&s);
	ok(strstr(s.wanted, "RevisionPod/d/r-1 "), "%s", s.wanted);
	revision_pod(&s, "p", "r-1", "False");
	revision_pod(&s, "q", "r-2", "False");
	o = find(&s, WEIR_KIND_ENDPOINT_SLICE, "p");
	ok(o && weir_str_is(o->slice->service, "r-1-private") &&
		   o->slice->n_endpoints == 1 &&
		   !o->slice->endpoints[0].is_ready,
	   "as an endpoint that is not ready");
	ok(!find(&s, WEIR_KIND_ENDPOINT_SLICE, "q"), "another revision's");
	must(weir_held_drop_unwanted(&s.held) == 0, "drop");
	ok(find(&s, WEIR_KIND_ENDPOINT_SLICE, "p"), "it is wanted");
	revision_pod(&s, "p", "r-1", "True");
	ok(!find(&s, WEIR_KIND_ENDPOINT_SLICE, "p"),
	   "that it is ready others say");

	revision_pod(&s, "p", "r-1", "False");
	weir_held_list_begin(&s.held, WEIR_KIND_ENDPOINT_SLICE);
	must(weir_held_list_end(&s.held, WEIR_KIND_ENDPOINT_SLICE) == 0, "end");
	ok(find(&s, WEIR_KIND_ENDPOINT_SLICE, "p"),
	   "a list of EndpointSlices is none of pods");
	weir_held_list_begin(&s.held, WEIR_KIND_REVISION_POD);
	must(weir_held_list_end(&s.held, WEIR_KIND_REVISION_POD) == 0, "end");
	ok(!find(&s, WEIR_KIND_ENDPOINT_SLICE, "p"), "it is gone");
	revision_pod(&s, "p", "r-1", "False");
	forget(&s, WEIR_KIND_REVISION_POD, "p", 9);
	ok(!find(&s, WEIR_KIND_ENDPOINT_SLICE, "p"), "deleted");
	ok(s.held.counts[WEIR_KIND_ENDPOINT_SLICE].kept == 0, "none is left");
	end(&s);
}

#define NET_FILE(ip)                                                           \
	"{\"kind\":\"cniCacheV1\",\"ifName\":\"eth0\",\"cniArgs\":[["          \
	"\"K8S_POD_UID\",\"u-1\"]],\"result\":{\"ips\":[{\"address\":\"" ip    \
	"/24\"}]}}"

static void starting_pod(struct site *s, unsigned version, const char *status)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"uid\":"
		 "\"u-1\",\"resourceVersion\":\"%u\",\"labels\":{"
		 "\"serving.knative.dev/revision\":\"r-1\"}},\"spec\":{"
		 "\"nodeName\":\"here\"},\"status\":{%s}}",
		 version, status);
	must(weir_held_apply(&s->held, WEIR_KIND_REVISION_POD, WEIR_STR("v1"),
			     weir_str_of(text), false) == 0,
	     "apply");
}

static const char *starting_at(const struct site *s)
{
	static char text[WEIR_ADDR_TEXT_MAX];
	const struct weir_object *o = find(s, WEIR_KIND_ENDPOINT_SLICE, "p");

	return o ? weir_ip_format(&o->slice->endpoints[0].addresses[0], text)
		 : "nowhere";
}

static void told(struct site *s, uint64_t at_ns, const char *ip)
{
	char text[256];

	snprintf(text, sizeof(text), NET_FILE("%s"), ip);
	must(weir_ahead_put(&s->held.ahead, WEIR_STR("net"), at_ns,
			    weir_str_of(text)) == 0,
	     "put");
	must(weir_held_apply_ahead(&s->held) == 0, "apply");
}

static void same(const char *got, const char *want, const char *what)
{
	ok(strcmp(got, want) == 0, "%s: %s, wanted %s", what, got, want);
}

/* The node's word counts until the server says something. */
static void a_pod_that_starts_here_is_known_before_the_server_tells(void)
{
	const struct weir_held_count *count;
	uint64_t version;
	struct site s;

	begin(&s);
	s.held.ahead.node = "here";
	count = &s.held.counts[WEIR_KIND_REVISION_POD];
	name_revision(&s);
	starting_pod(&s, 10, "\"phase\":\"Pending\"");
	same(starting_at(&s), "nowhere", "nobody knows");
	told(&s, 1, "10.0.0.5");
	same(starting_at(&s), "10.0.0.5", "the node knows");
	starting_pod(&s, 12, "\"phase\":\"Pending\",\"conditions\":[]");
	same(starting_at(&s), "10.0.0.5", "the server says nothing of it");
	told(&s, 2, "10.0.0.6");
	same(starting_at(&s), "10.0.0.6", "its sandbox was made anew");
	ok(count->version <= 12, "that is no version of the server's");
	version = weir_store_version(s.store);
	starting_pod(&s, 13, "\"podIP\":\"10.0.0.6\"");
	ok(weir_store_version(s.store) == version, "what was known is no news");
	told(&s, 3, "10.0.0.7");
	same(starting_at(&s), "10.0.0.6", "the server's word is the last");

	starting_pod(&s, 14, "\"phase\":\"Failed\"");
	same(starting_at(&s), "nowhere", "it failed");
	told(&s, 4, "10.0.0.8");
	same(starting_at(&s), "nowhere", "and is not waited for");
	starting_pod(&s, 15, "");
	same(starting_at(&s), "10.0.0.8", "known before its object");
	weir_ahead_drop(&s.held.ahead, WEIR_STR("net"));
	must(weir_held_apply_ahead(&s.held) == 0, "apply");
	same(starting_at(&s), "nowhere", "its network is gone");
	told(&s, 5, "10.0.0.9");
	same(starting_at(&s), "10.0.0.9", "and back");
	forget(&s, WEIR_KIND_KINGRESS, "i", 16);
	starting_pod(&s, 17, "");
	same(starting_at(&s), "nowhere", "nothing names its revision");
	ok(s.held.ahead.n_pods == 0, "it is not waited for");
	name_revision(&s);
	starting_pod(&s, 18, "");
	same(starting_at(&s), "10.0.0.9", "it is named again");
	weir_held_list_begin(&s.held, WEIR_KIND_REVISION_POD);
	must(weir_held_list_end(&s.held, WEIR_KIND_REVISION_POD) == 0, "end");
	told(&s, 6, "10.0.0.10");
	same(starting_at(&s), "nowhere", "a list has it no more");
	ok(s.held.counts[WEIR_KIND_ENDPOINT_SLICE].kept == 0, "none is left");
	end(&s);
}

/* What an agent acknowledges at once; all else it does with its next renewal.
 */
static void what_a_status_waits_for_is_significant(void)
{
	uint64_t before;
	struct site s;

	begin(&s);
	route(&s, "r", "web", 40, "");
	service(&s, "web", 20, 80, false);
	before = weir_held_significant(&s.held);
	route(&s, "r", "web", 41, ",\"status\":{\"x\":1}");
	ok(weir_held_significant(&s.held) == before, "a status is not");
	must(weir_held_apply(
		     &s.held, WEIR_KIND_ENDPOINT_SLICE,
		     WEIR_STR("discovery.k8s.io/v1"),
		     WEIR_STR("{\"metadata\":{\"name\":\"e\","
			      "\"namespace\":\"d\","
			      "\"resourceVersion\":\"42\",\"labels\":"
			      "{\"kubernetes.io/service-name\":\"web\"}},"
			      "\"addressType\":\"IPv4\","
			      "\"endpoints\":[]}"),
		     false) == 0,
	     "apply");
	must(find(&s, WEIR_KIND_ENDPOINT_SLICE, "e"), "kept");
	ok(weir_held_significant(&s.held) == before, "nor are endpoints");
	forget(&s, WEIR_KIND_SERVICE, "stranger", 43);
	ok(weir_held_significant(&s.held) == before,
	   "nor the end of what was never kept");
	service(&s, "web", 21, 81, false);
	ok(weir_held_significant(&s.held) != before,
	   "an object is, whatever newer ones of other kinds there are");
	before = weir_held_significant(&s.held);
	forget(&s, WEIR_KIND_SERVICE, "web", 44);
	ok(weir_held_significant(&s.held) != before, "so is its end");
	end(&s);
}

/* A placeholder's endpoints are nobody's business, unless a route names it. */
static void of_placeholders_no_slices_are_wanted(void)
{
	static const char ingress[] =
		"{\"metadata\":{\"name\":\"i\",\"namespace\":\"d\","
		"\"resourceVersion\":\"5\"},\"spec\":{\"rules\":[{\"hosts\":["
		"\"t-i.d.svc\"],\"visibility\":\"ClusterLocal\",\"http\":{"
		"\"paths\":[{\"splits\":[{\"serviceNamespace\":\"d\","
		"\"serviceName\":\"r-1\",\"servicePort\":80}]}]}}]}}";
	struct site s;

	begin(&s);
	must(weir_held_apply(&s.held, WEIR_KIND_KINGRESS,
			     WEIR_STR("networking.internal.knative.dev/"
				      "v1alpha1"),
			     weir_str_of(ingress), false) == 0,
	     "apply");
	ok(strstr(s.wanted, "EndpointSlice/d/r-1 Service/d/r-1 "),
	   "of a revision they are: %s", s.wanted);
	ok(strstr(s.wanted, "Service/d/t-i ") &&
		   strstr(s.wanted, "Service/d/i "),
	   "the placeholders are wanted");
	ok(!strstr(s.wanted, "EndpointSlice/d/t-i ") &&
		   !strstr(s.wanted, "EndpointSlice/d/i "),
	   "their endpoints are not");
	*s.wanted = '\0';
	route(&s, "r", "t-i", 6, "");
	ok(strcmp(s.wanted, "EndpointSlice/d/t-i ") == 0,
	   "until a route names one: %s", s.wanted);
	forget(&s, WEIR_KIND_KINGRESS, "i", 7);
	ok(weir_held_is_wanted(&s.held, WEIR_KIND_SERVICE, WEIR_STR("d"),
			       WEIR_STR("t-i")) &&
		   !weir_held_is_wanted(&s.held, WEIR_KIND_ENDPOINT_SLICE,
					WEIR_STR("d"), WEIR_STR("r-1")),
	   "and as long as it does");
	end(&s);
}

static void what_nothing_names_is_not_kept(void)
{
	struct site s;

	begin(&s);
	service(&s, "a", 1, 80, false);
	ok(!find(&s, WEIR_KIND_SERVICE, "a"), "not named");
	ok(s.held.counts[WEIR_KIND_SERVICE].skipped == 1, "counted");
	route(&s, "r1", "a", 2, "");
	route(&s, "r2", "a", 3, "");
	ok(strcmp(s.wanted, "EndpointSlice/d/a Service/d/a ") == 0,
	   "told once: %s", s.wanted);
	service(&s, "a", 1, 80, true);
	ok(find(&s, WEIR_KIND_SERVICE, "a"), "kept");

	forget(&s, WEIR_KIND_HTTP_ROUTE, "r1", 4);
	must(weir_held_drop_unwanted(&s.held) == 0, "drop");
	ok(find(&s, WEIR_KIND_SERVICE, "a"), "one still names it");
	route(&s, "r2", "b", 5, "");
	ok(s.held.has_unwanted, "none does");
	must(weir_held_drop_unwanted(&s.held) == 0, "drop");
	ok(!find(&s, WEIR_KIND_SERVICE, "a"), "dropped");
	ok(strcmp(s.wanted, "EndpointSlice/d/a Service/d/a EndpointSlice/d/b "
			    "Service/d/b ") == 0,
	   "%s", s.wanted);
	ok(s.held.wants.n == 2, "%zu are wanted", s.held.wants.n);
	end(&s);
}

/* An edit that goes on naming it must not look it up again. */
static bool keeps_port_81(void *arg, enum weir_kind kind,
			  struct weir_str object)
{
	(void)arg;
	return kind == WEIR_KIND_SERVICE &&
	       memmem(object.p, object.n, ":81}", 4);
}

static void what_is_asked_for_is_kept_though_nothing_names_it(void)
{
	struct site s;

	begin(&s);
	s.held.does_keep = keeps_port_81;
	service(&s, "a", 5, 80, false);
	service(&s, "b", 6, 81, false);
	ok(!find(&s, WEIR_KIND_SERVICE, "a"), "not this one");
	ok(find(&s, WEIR_KIND_SERVICE, "b"), "this one");
	ok(s.held.is_changed, "it is news");
	service(&s, "b", 7, 80, false);
	ok(!find(&s, WEIR_KIND_SERVICE, "b"), "not any more");
	service(&s, "b", 8, 81, false);
	must(weir_held_drop_unwanted(&s.held) == 0, "drop");
	ok(!find(&s, WEIR_KIND_SERVICE, "b"), "not longer than names last");
	end(&s);
}

static void what_both_versions_name_stays_wanted(void)
{
	struct site s;

	begin(&s);
	route(&s, "r", "a", 1, "");
	s.wanted[0] = '\0';
	route(&s, "r", "a", 2, ",\"x\":1");
	ok(!s.wanted[0] && !s.held.has_unwanted, "%s", s.wanted);
	end(&s);
}

static void an_old_answer_changes_nothing(void)
{
	struct site s;

	begin(&s);
	route(&s, "r", "a", 1, "");
	weir_held_keep_graves(&s.held, true);
	service(&s, "a", 10, 80, false);
	service(&s, "a", 9, 81, true);
	ok(find(&s, WEIR_KIND_SERVICE, "a")->service->ports[0].port == 80,
	   "the watch was first");
	forget(&s, WEIR_KIND_SERVICE, "a", 11);
	service(&s, "a", 10, 80, true);
	ok(!find(&s, WEIR_KIND_SERVICE, "a"), "deleted since");
	service(&s, "a", 12, 82, true);
	ok(find(&s, WEIR_KIND_SERVICE, "a"), "made again");
	weir_held_keep_graves(&s.held, false);
	ok(s.held.graves.n == 0, "forgotten");
	/* A list is right, also where the server lost its last hour. */
	service(&s, "a", 3, 83, false);
	ok(find(&s, WEIR_KIND_SERVICE, "a")->service->ports[0].port == 83,
	   "listed");
	end(&s);
}

static void what_a_list_does_not_have_is_gone(void)
{
	struct site s;

	begin(&s);
	weir_held_list_begin(&s.held, WEIR_KIND_HTTP_ROUTE);
	for (unsigned i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "r%u", i);
		route(&s, name, i % 2 ? "a" : "b", i + 1, "");
	}
	must(weir_held_list_end(&s.held, WEIR_KIND_HTTP_ROUTE) == 0, "end");
	ok(s.held.counts[WEIR_KIND_HTTP_ROUTE].kept == 200, "all");

	weir_held_list_begin(&s.held, WEIR_KIND_HTTP_ROUTE);
	for (unsigned i = 1; i < 200; i += 2) {
		char name[16];

		snprintf(name, sizeof(name), "r%u", i);
		route(&s, name, "a", i + 1, "");
	}
	must(weir_held_list_end(&s.held, WEIR_KIND_HTTP_ROUTE) == 0, "end");
	ok(s.held.counts[WEIR_KIND_HTTP_ROUTE].kept == 100, "half");
	ok(!entry(&s, "r0") && entry(&s, "r1"), "entries");
	ok(!weir_held_is_wanted(&s.held, WEIR_KIND_SERVICE, WEIR_STR("d"),
				WEIR_STR("b")),
	   "and what it named");
	ok(s.held.n_free == 100, "%zu places are free", s.held.n_free);
	route(&s, "new", "a", 900, "");
	ok(s.held.n_free == 99, "and used again");
	end(&s);
}

static void a_wrong_object_keeps_what_it_said(void)
{
	static const char wrong[] =
		"{\"metadata\":{\"name\":\"r\",\"namespace\":\"d\","
		"\"resourceVersion\":\"6\"},\"spec\":{\"rules\":7}}";
	struct site s;

	begin(&s);
	weir_held_list_begin(&s.held, WEIR_KIND_HTTP_ROUTE);
	route(&s, "r", "a", 5, "");
	must(weir_held_apply(&s.held, WEIR_KIND_HTTP_ROUTE, WEIR_STR(GATEWAY),
			     WEIR_STR(wrong), false) == 0,
	     "apply");
	ok(find(&s, WEIR_KIND_HTTP_ROUTE, "r"), "still there");
	ok(s.held.n_faulty == 1 && s.held.faulty->diags.n > 0, "reported");
	ok(s.held.counts[WEIR_KIND_HTTP_ROUTE].undecodable == 1, "counted");
	must(weir_held_list_end(&s.held, WEIR_KIND_HTTP_ROUTE) == 0, "end");
	ok(find(&s, WEIR_KIND_HTTP_ROUTE, "r"), "the list had it");
	route(&s, "r", "a", 7, "");
	ok(s.held.n_faulty == 0, "mended");

	must(weir_held_apply(&s.held, WEIR_KIND_HTTP_ROUTE, WEIR_STR(GATEWAY),
			     WEIR_STR(wrong), false) == 0,
	     "apply");
	forget(&s, WEIR_KIND_HTTP_ROUTE, "r", 8);
	ok(!find(&s, WEIR_KIND_HTTP_ROUTE, "r") && s.held.n_faulty == 0,
	   "deleted");
	end(&s);
}

static void a_refused_kingress_is_known_by_name_and_class(void)
{
	static const char text[] =
		"{\"metadata\":{\"name\":\"k\",\"namespace\":\"d\","
		"\"generation\":7,\"annotations\":{"
		"\"networking.knative.dev/ingress.class\":\"some.class\"}},"
		"\"spec\":{\"rules\":[{\"http\":{\"paths\":[{\"splits\":[{"
		"\"serviceName\":\"a\",\"serviceNamespace\":\"d\","
		"\"servicePort\":80,\"percent\":%s}]}]}}]}}";
	char buf[1024];
	const struct weir_held_faulty *f;
	struct site s;

	begin(&s);
	snprintf(buf, sizeof(buf), text, "90");
	must(weir_held_apply(&s.held, WEIR_KIND_KINGRESS,
			     WEIR_STR("networking.internal.knative.dev/"
				      "v1alpha1"),
			     weir_str_of(buf), false) == 0,
	     "apply");
	f = s.held.faulty;
	must(f != NULL, "it is refused");
	ok(weir_str_is(f->name, "k") && weir_str_is(f->ns, "d") &&
		   weir_str_is(f->ingress_class, "some.class") &&
		   f->generation == 7,
	   "%.*s/%.*s of %.*s, %lld", WEIR_STR_ARG(f->ns),
	   WEIR_STR_ARG(f->name), WEIR_STR_ARG(f->ingress_class),
	   (long long)f->generation);
	snprintf(buf, sizeof(buf), text, "100");
	must(weir_held_apply(&s.held, WEIR_KIND_KINGRESS,
			     WEIR_STR("networking.internal.knative.dev/"
				      "v1alpha1"),
			     weir_str_of(buf), false) == 0,
	     "apply");
	ok(!s.held.faulty && find(&s, WEIR_KIND_KINGRESS, "k"), "mended");
	end(&s);
}

static void what_is_too_large_keeps_what_it_said(void)
{
	struct site s;

	begin(&s);
	route(&s, "r", "a", 5, "");
	weir_held_list_begin(&s.held, WEIR_KIND_HTTP_ROUTE);
	weir_held_too_large(&s.held, WEIR_KIND_HTTP_ROUTE,
			    WEIR_STR("{\"metadata\":{\"name\":\"r\","
				     "\"namespace\":\"d\"},\"spec\":{\"ru"));
	must(weir_held_list_end(&s.held, WEIR_KIND_HTTP_ROUTE) == 0, "end");
	ok(find(&s, WEIR_KIND_HTTP_ROUTE, "r"), "still there");
	must(s.held.n_faulty == 1, "reported");
	ok(weir_str_is(s.held.faulty->diags.v[0].reason, "TooLarge") &&
		   weir_str_is(s.held.faulty->diags.v[0].name, "r"),
	   "by name");
	end(&s);
}

static void an_object_without_a_name_is_counted_and_left(void)
{
	static const char *const texts[] = {
		"{}",
		"{\"metadata\":{}}",
		"{\"metadata\":{\"name\":\"\"}}",
		"",
		"{\"metadata\":{\"name\":\"a\"},\"spec\":{}",
	};
	struct site s;

	begin(&s);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ok(weir_held_apply(&s.held, WEIR_KIND_HTTP_ROUTE,
				   WEIR_STR(GATEWAY), weir_str_of(texts[i]),
				   false) == 0,
		   "%s", texts[i]);
		ok(s.held.counts[WEIR_KIND_HTTP_ROUTE].undecodable == i + 1,
		   "%s", texts[i]);
	}
	ok(weir_store_version(s.store) == 0, "nothing");
	end(&s);
}

TAP_MAIN(TEST(only_content_is_news_to_the_store),
	 TEST(pods_are_kept_for_consumer_routes),
	 TEST(pods_of_revisions_are_kept_while_they_start),
	 TEST(a_pod_that_starts_here_is_known_before_the_server_tells),
	 TEST(what_a_status_waits_for_is_significant),
	 TEST(of_placeholders_no_slices_are_wanted),
	 TEST(what_nothing_names_is_not_kept),
	 TEST(what_is_asked_for_is_kept_though_nothing_names_it),
	 TEST(what_both_versions_name_stays_wanted),
	 TEST(an_old_answer_changes_nothing),
	 TEST(what_a_list_does_not_have_is_gone),
	 TEST(a_wrong_object_keeps_what_it_said),
	 TEST(a_refused_kingress_is_known_by_name_and_class),
	 TEST(what_is_too_large_keeps_what_it_said),
	 TEST(an_object_without_a_name_is_counted_and_left))
