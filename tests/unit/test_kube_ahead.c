// SPDX-License-Identifier: Apache-2.0
/* Addresses of pods ahead of the API server: what libcni's files say, and which
 * pods wait for one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ahead.h"
#include "cleanup.h"
#include "tap.h"

/* As libcni 1.3.0 wrote it for a pod of containerd's arguments. */
#define NET(kind, name, uid, ips)                                              \
	"{\"kind\":\"" kind "\",\"containerId\":\"c1\",\"config\":\"eyJ9\","   \
	"\"ifName\":\"" name "\",\"networkName\":\"cbr0\",\"netns\":"          \
	"\"/run/netns/x\",\"cniArgs\":[[\"IgnoreUnknown\",\"1\"],["            \
	"\"K8S_POD_NAMESPACE\",\"default\"],[\"K8S_POD_NAME\",\"a-1\"],["      \
	"\"K8S_POD_INFRA_CONTAINER_ID\",\"c1\"],[\"K8S_POD_UID\",\"" uid       \
	"\"]],\"result\":{\"cniVersion\":\"1.0.0\",\"dns\":{},"                \
	"\"interfaces\":[{\"name\":\"v1\"}],\"ips\":[" ips "],\"routes\":[{"   \
	"\"dst\":\"0.0.0.0/0\"}]}}"
#define IP4(a) "{\"address\":\"" a "/24\",\"gateway\":\"10.0.0.1\"}"
#define IP6(a) "{\"address\":\"" a "/64\",\"interface\":1}"
#define OF(uid, ip) NET("cniCacheV1", "eth0", uid, IP4(ip))

#define HERE WEIR_STR("n1")

static const char *text_of(const struct weir_ip *ip)
{
	static char text[WEIR_ADDR_TEXT_MAX];

	return ip ? weir_ip_format(ip, text) : "none";
}

static void same(const char *got, const char *want, const char *what)
{
	ok(strcmp(got, want) == 0, "%s: %s, wanted %s", what, got, want);
}

static void files_of_libcni_are_read(void)
{
	static const struct {
		const char *text;
		const char *ip; /* NULL: it says nothing */
	} cases[] = {
		{OF("u-1", "10.0.0.5"), "10.0.0.5"},
		{NET("cniCacheV1", "eth0", "u-1", IP6("fd00::5")), "fd00::5"},
		{NET("cniCacheV1", "eth0", "u-1",
		     IP6("fd00::5") "," IP4("10.0.0.5")),
		 "10.0.0.5"},
		{NET("cniCacheV1", "eth0", "u-1",
		     IP4("10.0.0.5") "," IP4("10.0.0.6")),
		 "10.0.0.5"},
		{NET("cniCacheV1", "eth0", "u-1",
		     "{\"address\":\"x\"}," IP4("10.0.0.5")),
		 "10.0.0.5"},
		{"{ \"kind\" : \"cniCacheV1\", \"ifName\": \"eth0\", "
		 "\"cniArgs\": [ [ \"K8S_POD_UID\" , \"u-1\" ] ],\n"
		 "\"result\": {\"ips\": [ {\"address\" : \"10.0.0.5\"} ]}}",
		 "10.0.0.5"},
		{NET("cniCacheV2", "eth0", "u-1", IP4("10.0.0.5")), NULL},
		{NET("cniCacheV1", "net1", "u-1", IP4("10.0.0.5")), NULL},
		{NET("cniCacheV1", "eth0", "", IP4("10.0.0.5")), NULL},
		{NET("cniCacheV1", "eth0", "u\\\"1", IP4("10.0.0.5")), NULL},
		{NET("cniCacheV1", "eth0", "u-1", ""), NULL},
		{NET("cniCacheV1", "eth0", "u-1", IP4("10.0.0")), NULL},
		{"{\"cniVersion\":\"1.0.0\",\"ips\":[" IP4("10.0.0.5") "]}",
		 NULL},
		{"", NULL},
		{"null", NULL},
	};

	struct weir_ahead_net one;

	must(weir_ahead_read(weir_str_of(cases[0].text), &one) == 0, "read");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_ahead_net net;
		int r = weir_ahead_read(weir_str_of(cases[i].text), &net);

		ok(r == (cases[i].ip ? 0 : -EBADMSG), "%d of %s", r,
		   cases[i].text);
		if (r == 0 && cases[i].ip) {
			ok(net.pod == one.pod, "whose it is");
			same(text_of(&net.ip), cases[i].ip, "its address");
		}
	}
}

/* In memory that ends where the text does. */
static void any_beginning_of_a_file_is_safe(void)
{
	static const char text[] = NET("cniCacheV1", "eth0", "u-1",
				       IP6("fd00::5") "," IP4("10.0.0.5"));

	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = malloc(n ? n : 1);
		struct weir_ahead_net net;

		must(copy, "memory");
		memcpy(copy, text, n);
		/* What is there is true, if not all of the truth. */
		ok(weir_ahead_read((struct weir_str){copy, n}, &net) < 0 ||
			   (net.pod &&
			    (strcmp(text_of(&net.ip), "10.0.0.5") == 0 ||
			     strcmp(text_of(&net.ip), "fd00::5") == 0)),
		   "%zu bytes", n);
		weir_free_ptr(&copy);
	}
}

static int put(struct weir_ahead *a, const char *file, uint64_t at_ns,
	       const char *text)
{
	return weir_ahead_put(a, weir_str_of(file), at_ns, weir_str_of(text));
}

static void a_pod_has_the_address_of_its_last_network(void)
{
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};
	struct weir_str uid = WEIR_STR("u-1");

	same(text_of(weir_ahead_find(&a, HERE, uid)), "none",
	     "nothing is known");
	must(put(&a, "cbr0-c2-eth0", 20, OF("u-1", "10.0.0.6")) == 0, "put");
	must(put(&a, "cbr0-c1-eth0", 10, OF("u-1", "10.0.0.5")) == 0, "put");
	must(put(&a, "cbr0-c3-eth0", 30, OF("u-2", "10.0.0.7")) == 0, "put");
	same(text_of(weir_ahead_find(&a, HERE, uid)), "10.0.0.6", "the newest");
	must(put(&a, "cbr0-c2-eth0", 21, OF("u-1", "10.0.0.8")) == 0, "put");
	same(text_of(weir_ahead_find(&a, HERE, uid)), "10.0.0.8",
	     "written again");
	weir_ahead_drop(&a, WEIR_STR("cbr0-c2-eth0"));
	same(text_of(weir_ahead_find(&a, HERE, uid)), "10.0.0.5",
	     "what is left");
	ok(put(&a, "cbr0-c1-eth0", 11, "{\"kind\":\"cniC") == -EBADMSG,
	   "half of a file");
	same(text_of(weir_ahead_find(&a, HERE, uid)), "none",
	     "what it said before is not so any more");
	weir_ahead_drop(&a, WEIR_STR("cbr0-c1-eth0"));
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-2"))), "10.0.0.7",
	     "others are as they were");
	weir_ahead_drop_all(&a);
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-2"))), "none",
	     "all gone");
}

#define POD(uid, node, meta, spec, status)                                     \
	"{\"metadata\":{\"name\":\"p\\u0041\",\"namespace\":\"d\",\"uid\":"    \
	"\"" uid                                                               \
	"\",\"resourceVersion\":\"7\",\"annotations\":{\"a\":\"b\"}" meta      \
	",\"labels\":{\"x\":\"y\",\"serving.knative.dev/revision\":\"r-1\"}}," \
	"\"spec\":{\"nodeName\":\"" node "\"" spec "},\"status\":{" status     \
	"}}"

static void networks_are_bounded(void)
{
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};
	char file[32];
	int r = 0;

	for (unsigned i = 0; i < WEIR_AHEAD_NETS_MAX && r == 0; i++) {
		snprintf(file, sizeof(file), "cbr0-c%u-eth0", i);
		r = put(&a, file, i, OF("u-1", "10.0.0.5"));
	}
	ok(r == 0, "so many");
	ok(put(&a, "one more", 9999, OF("u-2", "10.0.0.6")) == 0 &&
		   a.n_nets == WEIR_AHEAD_NETS_MAX,
	   "no more");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-2"))), "10.0.0.6",
	     "the newest is there");
	weir_ahead_drop(&a, WEIR_STR("cbr0-c0-eth0"));
	ok(a.n_nets == WEIR_AHEAD_NETS_MAX, "in place of the oldest");
}

/* Of sandboxes that nobody took down before the node lost power. */
static void an_address_is_the_last_pods_that_got_it(void)
{
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};

	must(put(&a, "1", 10, OF("u-1", "10.0.0.5")) == 0, "put");
	must(put(&a, "2", 20, OF("u-2", "10.0.0.5")) == 0, "put");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-1"))), "none",
	     "it was his");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-2"))), "10.0.0.5",
	     "it is his");
	must(put(&a, "3", 30, OF("u-1", "10.0.0.6")) == 0, "put");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-1"))), "10.0.0.6",
	     "he has another one");
	must(put(&a, "4", 30, OF("u-3", "10.0.0.6")) == 0, "put");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-1"))), "none",
	     "nobody knows whose it is");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-3"))), "none",
	     "nobody knows whose it is");
}

/* What the store has of a pod follows what is known of its address. */
static void changes_are_told_once(void)
{
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};

	must(put(&a, "1", 1, OF("u-1", "10.0.0.5")) == 0, "put");
	weir_ahead_note(&a, WEIR_STR(POD("u-1", "n1", "", "", "")));
	weir_ahead_note(&a, WEIR_STR(POD("u-2", "n2", "", "", "")));
	ok(weir_ahead_changed(&a).p && weir_ahead_changed(&a).p &&
		   !weir_ahead_changed(&a).p,
	   "two pods are new");
	must(put(&a, "1", 2, OF("u-1", "10.0.0.5")) == 0, "put");
	ok(!weir_ahead_changed(&a).p, "the same again is no news");
	must(weir_ahead_hear(&a, WEIR_STR("n2"), WEIR_STR("u-2=10.1.0.5")) == 0,
	     "hear");
	ok(weir_ahead_changed(&a).p && !weir_ahead_changed(&a).p,
	   "the other one's is");
	weir_ahead_drop(&a, WEIR_STR("1"));
	weir_ahead_hear_anew(&a);
	ok(weir_ahead_changed(&a).p && weir_ahead_changed(&a).p &&
		   !weir_ahead_changed(&a).p,
	   "both are gone");
}

static void pods_wait_while_they_have_no_address(void)
{
	static const char *const others[] = {
		POD("u", "", "", "", ""),
		POD("u", "n1", "", ",\"hostNetwork\":true", ""),
		POD("u", "n1", ",\"deletionTimestamp\":\"x\"", "", ""),
		POD("u", "n1", "", "", "\"phase\":\"Failed\""),
		POD("u", "n1", "", "", "\"phase\":\"Succeeded\""),
		POD("u", "n1", "", "", "\"podIP\":\"10.0.0.5\""),
		POD("", "n1", "", "", ""),
		"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}",
		"[]",
	};
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};
	struct weir_str object = WEIR_STR_NULL;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ok(weir_ahead_note(&a, weir_str_of(others[i])) == 0 &&
			   a.n_pods == 0,
		   "it does not wait: %s", others[i]);
	}
	ok(weir_ahead_note(&a, WEIR_STR(POD("u", "n1", "", "",
					    "\"phase\":\"Pending\""))) == 0,
	   "it waits");
	object = weir_ahead_changed(&a);
	ok(weir_str_is(object,
		       "{\"metadata\":{\"name\":\"p\\u0041\",\"namespace\":"
		       "\"d\",\"uid\":\"u\",\"resourceVersion\":\"7\","
		       "\"labels\":{\"serving.knative.dev/revision\":"
		       "\"r-1\"}},\"spec\":{\"nodeName\":\"n1\"}}"),
	   "what is needed of it: %.*s", WEIR_STR_ARG(object));
	ok(weir_ahead_note(&a, object) == 0 && a.n_pods == 1,
	   "that is the same pod");
	ok(weir_ahead_note(&a, WEIR_STR(POD("v", "n1", "", "", ""))) == 0 &&
		   a.n_pods == 2,
	   "another one");
	ok(weir_ahead_note(&a, WEIR_STR(POD("u", "n1", "", "",
					    "\"podIP\":\"10.0.0.5\""))) == 0 &&
		   a.n_pods == 1,
	   "the server has its address now");
	weir_ahead_forget(&a, WEIR_STR(POD("v", "n1", "", "", "")));
	ok(a.n_pods == 0, "deleted");
}

static bool says(struct weir_ahead *a, size_t max, const char *want)
{
	_cleanup_buf_ struct weir_buf out = {0};
	bool is_news = weir_ahead_say(a, max, &out);

	ok(weir_str_is(weir_buf_str(&out), want), "says %.*s, wanted %s",
	   WEIR_STR_ARG(weir_buf_str(&out)), want);
	return is_news;
}

static void agents_tell_each_other(void)
{
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};
	struct weir_str there = WEIR_STR("n2");
	char text[64 * 20];
	size_t n = 0;
	int r = 0;

	must(put(&a, "1", 1, OF("u-1", "10.0.0.5")) == 0, "put");
	must(put(&a, "2", 1, OF("u-2", "10.0.0.6")) == 0, "put");
	must(put(&a, "3", 1, OF("u-3", "10.0.0.7")) == 0, "put");
	ok(!says(&a, 4096, ""), "of pods that nobody waits for, nothing");
	weir_ahead_note(&a, WEIR_STR(POD("u-1", "n1", "", "", "")));
	weir_ahead_note(&a, WEIR_STR(POD("u-4", "n1", "", "", "")));
	weir_ahead_note(&a, WEIR_STR(POD("u-2", "n2", "", "", "")));
	weir_ahead_note(&a, WEIR_STR(POD("u-3", "n1", "", "", "")));
	ok(says(&a, 4096, "u-1=10.0.0.5,u-3=10.0.0.7"),
	   "of those that start here and have an address");
	ok(!says(&a, 4096, "u-1=10.0.0.5,u-3=10.0.0.7"), "once");
	ok(!says(&a, 80, "u-1=10.0.0.5"), "as many as there is room for");
	must(put(&a, "4", 2, OF("u-1", "10.0.0.8")) == 0, "put");
	ok(says(&a, 4096, "u-1=10.0.0.8,u-3=10.0.0.7"), "it is another now");
	weir_ahead_drop(&a, WEIR_STR("4"));
	weir_ahead_drop(&a, WEIR_STR("1"));
	ok(says(&a, 4096, "u-3=10.0.0.7"), "that it is nowhere is news, too");
	ok(!says(&a, 4096, "u-3=10.0.0.7"), "once");
	must(put(&a, "4", 2, OF("u-1", "10.0.0.8")) == 0, "put");
	ok(says(&a, 4096, "u-1=10.0.0.8,u-3=10.0.0.7"), "and that it is back");

	ok(weir_ahead_hear(&a, there,
			   WEIR_STR("u-2=10.1.0.5,x,=1.2.3.4,u 9="
				    "10.1.0.9,u-9=fd00::9,u-8=")) == 0,
	   "heard");
	same(text_of(weir_ahead_find(&a, there, WEIR_STR("u-2"))), "10.1.0.5",
	     "there");
	same(text_of(weir_ahead_find(&a, there, WEIR_STR("u-9"))), "fd00::9",
	     "behind what is not understood");
	same(text_of(weir_ahead_find(&a, there, WEIR_STR("u-8"))), "none",
	     "no address");
	same(text_of(weir_ahead_find(&a, HERE, WEIR_STR("u-9"))), "none",
	     "of its own node each knows better");
	same(text_of(weir_ahead_find(&a, WEIR_STR("n3"), WEIR_STR("u-2"))),
	     "none", "a node speaks for itself");
	weir_ahead_hear_anew(&a);
	same(text_of(weir_ahead_find(&a, there, WEIR_STR("u-2"))), "none",
	     "it says so no more");
	for (unsigned i = 0; i < 64; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "u-%u=10.0.0.1,", i);
	}
	for (unsigned i = 0; i < WEIR_AHEAD_OTHERS_MAX / 64; i++) {
		must(weir_ahead_hear(&a, there, (struct weir_str){text, n}) ==
			     0,
		     "so many");
	}
	r = weir_ahead_hear(&a, there, WEIR_STR("v=10.0.0.2"));
	ok(r == -ENOSPC && a.n_others == WEIR_AHEAD_OTHERS_MAX, "no more");
}

static void pods_are_bounded(void)
{
	_cleanup_(weir_ahead_fini) struct weir_ahead a = {.node = "n1"};
	char text[256];

	for (unsigned i = 0; i <= WEIR_AHEAD_PODS_MAX; i++) {
		snprintf(text, sizeof(text),
			 "{\"metadata\":{\"name\":\"p\",\"uid\":\"u%u\"},"
			 "\"spec\":{\"nodeName\":\"n1\"}}",
			 i);
		must(weir_ahead_note(&a, weir_str_of(text)) == 0, "note");
	}
	ok(a.n_pods == WEIR_AHEAD_PODS_MAX, "so many wait, others as ever");
	weir_ahead_forget_all(&a);
	ok(a.n_pods == 0 && a.n_pods == 0, "none");
}

TAP_MAIN(TEST(files_of_libcni_are_read), TEST(any_beginning_of_a_file_is_safe),
	 TEST(a_pod_has_the_address_of_its_last_network),
	 TEST(networks_are_bounded), TEST(pods_wait_while_they_have_no_address),
	 TEST(pods_are_bounded), TEST(agents_tell_each_other),
	 TEST(an_address_is_the_last_pods_that_got_it),
	 TEST(changes_are_told_once))
