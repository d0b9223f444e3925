/* SPDX-License-Identifier: Apache-2.0 */
/* agent/kube: the rules of Leases, with a clock that is given. */
#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "election.h"
#include "tap.h"

#define DURATION_MS 15000

/* What a server would answer to a write: the same, with a new version. */
static void write_lease(struct weir_lease *lease, const char *holder,
			uint64_t version, uint64_t now_ms)
{
	_cleanup_buf_ struct weir_buf out = {0};
	const struct weir_lease_text text = {.name = "weir-writer",
					     .ns = "weir",
					     .holder = holder,
					     .role = "writer",
					     .version = version,
					     .duration_ms = DURATION_MS,
					     .now_us = now_ms * 1000};

	weir_lease_write(&text, &out);
	must(weir_lease_read(weir_buf_str(&out), lease) == 0, "%.*s",
	     WEIR_STR_ARG(weir_buf_str(&out)));
}

static void leases_are_read_as_they_are_written(void)
{
	_cleanup_buf_ struct weir_buf out = {0};
	uint64_t applied[_WEIR_KIND_MAX] = {[WEIR_KIND_HTTP_ROUTE] = 17,
					    [WEIR_KIND_SERVICE] = 5,
					    [WEIR_KIND_KSERVICE] = 6};
	const struct weir_lease_text text = {.name = "weir-agent-n1",
					     .ns = "weir",
					     .holder = "n1",
					     .role = "agent",
					     .version = 9,
					     .duration_ms = 15000,
					     .transitions = 3,
					     .now_us = 1700000000000007,
					     .applied = applied};
	struct weir_lease_text more = text;
	struct weir_lease l;
	struct weir_lease m;

	weir_lease_write(&text, &out);
	ok(weir_str_is(
		   weir_buf_str(&out),
		   "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":"
		   "\"Lease\",\"metadata\":{\"name\":\"weir-agent-n1\","
		   "\"namespace\":\"weir\",\"resourceVersion\":\"9\","
		   "\"labels\":{\"weir.dev/lease\":\"agent\"},\"annotations\":"
		   "{\"weir.dev/applied\":\"HTTPRoute.gateway.networking.k8s.io"
		   "=17,Service=5,Service.serving.knative.dev=6\"}},\"spec\":"
		   "{\"holderIdentity\":\"n1\",\"leaseDurationSeconds\":15,"
		   "\"leaseTransitions\":3,\"acquireTime\":"
		   "\"2023-11-14T22:13:20.000007Z\",\"renewTime\":"
		   "\"2023-11-14T22:13:20.000007Z\"}}"),
	   "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	must(weir_lease_read(weir_buf_str(&out), &l) == 0, "read");
	ok(strcmp(l.name, "weir-agent-n1") == 0, "name");
	ok(strcmp(l.holder, "n1") == 0, "holder");
	ok(l.version == 9 && l.duration_ms == 15000 && l.transitions == 3,
	   "numbers");
	ok(memcmp(l.applied, applied, sizeof(applied)) == 0, "applied");
	ok(l.renewed_us == 1700000000000000, "renewed %llu",
	   (unsigned long long)l.renewed_us);
	more.held = "192.0.2.1:80/tcp";
	more.ips = "10.0.0.1,fd00::1";
	more.starts = "u-1=10.0.0.5";
	out.n = 0;
	weir_lease_write(&more, &out);
	must(weir_lease_read(weir_buf_str(&out), &m) == 0, "read");
	ok(strcmp(m.held, more.held) == 0 && strcmp(m.ips, more.ips) == 0 &&
		   strcmp(m.starts, more.starts) == 0,
	   "what is said of the node");
	ok(m.record != l.record, "is news");
	ok(weir_lease_read(WEIR_STR("{\"metadata\":{\"name\":\"a\"}}"), &l) ==
		   -EBADMSG,
	   "without a version");
}

static void times_that_are_none_are_not_said(void)
{
	static const struct {
		const char *text;
		uint64_t s;
	} cases[] = {
		{"\"2023-11-14T22:13:20.000007Z\"", 1700000000},
		{"\"2023-11-14T22:13:20Z\"", 1700000000},
		{"\"2023-11-14T22:13:20+01:00\"", 0},
		{"\"2023-11-14T22:13:20\"", 0},
		{"\"1723-11-14T22:13:20Z\"", 0},
		{"\"2023-11-14\"", 0},
		{"\"\"", 0},
		{"7", 0},
		{"null", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct weir_buf b = {0};
		struct weir_lease l;

		weir_buf_printf(&b,
				"{\"metadata\":{\"name\":\"a\","
				"\"resourceVersion\":\"1\"},\"spec\":{"
				"\"renewTime\":%s}}",
				cases[i].text);
		must(weir_lease_read(weir_buf_str(&b), &l) == 0, "read");
		ok(l.renewed_us == cases[i].s * 1000000, "%s is %llu",
		   cases[i].text, (unsigned long long)l.renewed_us);
	}
	ok(weir_lease_is_older(1000000, 500, 1500000) &&
		   !weir_lease_is_older(1000000, 501, 1500000),
	   "half a second");
	ok(!weir_lease_is_older(0, 1, 1500000), "of a time that is not said");
	ok(!weir_lease_is_older(2000000, 0, 1500000), "of one to come");
}

static void what_is_applied_is_read_strictly(void)
{
	static const struct {
		const char *text;
		uint64_t routes;
		uint64_t services;
	} cases[] = {
		{"", 0, 0},
		{"Service=1", 0, 1},
		{"Servic=1,Services=2,Service.x=3", 0, 0},
		{"HTTPRoute=1", 0, 0},
		{"HTTPRoute.gateway.networking.k8s.io=4,Service=5", 4, 5},
		{"Service=x,HTTPRoute.gateway.networking.k8s.io=4", 4, 0},
		{",,Service,=,Service=18446744073709551616", 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t applied[_WEIR_KIND_MAX];

		weir_applied_read(weir_str_of(cases[i].text), applied);
		ok(applied[WEIR_KIND_HTTP_ROUTE] == cases[i].routes &&
			   applied[WEIR_KIND_SERVICE] == cases[i].services,
		   "%s", cases[i].text);
	}
}

static void a_lease_lapses_by_the_observers_clock(void)
{
	struct weir_lease_watch w = {0};
	struct weir_lease l;

	ok(!weir_lease_is_live(&w, 5), "never seen");
	/* Its own times are years off, and mean nothing. */
	write_lease(&l, "a", 1, 1);
	ok(weir_lease_observe(&w, &l, 1000000), "news");
	ok(weir_lease_is_live(&w, 1000000 + DURATION_MS - 1), "live");
	ok(!weir_lease_is_live(&w, 1000000 + DURATION_MS), "lapsed");
	/* Read again without a change: no sign of life. */
	ok(!weir_lease_observe(&w, &l, 1010000), "the same");
	ok(!weir_lease_is_live(&w, 1000000 + DURATION_MS), "still lapsed");
	write_lease(&l, "a", 2, 2);
	ok(weir_lease_observe(&w, &l, 2000000), "renewed");
	ok(weir_lease_is_live(&w, 2000001), "alive again");
}

static struct weir_election candidate(const char *identity)
{
	return (struct weir_election){.identity = identity,
				      .duration_ms = DURATION_MS};
}

static void one_of_two_candidates_writes(void)
{
	struct weir_election a = candidate("a");
	struct weir_election b = candidate("b");
	struct weir_lease l;

	weir_election_observe(&a, NULL, 1000);
	weir_election_observe(&b, NULL, 1000);
	ok(weir_election_next(&a, 1000) == WEIR_ELECTION_CREATE, "none yet");
	/* Both try, the server takes one. */
	write_lease(&l, "a", 1, 1000);
	weir_election_won(&a, &l, 1000, 1010);
	weir_election_observe(&b, &l, 1010);
	ok(weir_election_is_writer(&a, 1010), "a writes");
	ok(!weir_election_is_writer(&b, 1010), "b does not");
	ok(weir_election_next(&a, 1010) == WEIR_ELECTION_WAIT, "a has time");
	ok(weir_election_next(&b, 1010) == WEIR_ELECTION_WAIT, "b waits");
	ok(weir_election_next(&a, 6000) == WEIR_ELECTION_RENEW, "a renews");
}

static void a_writer_stops_before_another_may_begin(void)
{
	struct weir_election a = candidate("a");
	struct weir_election b = candidate("b");
	struct weir_lease l;
	uint64_t now;

	write_lease(&l, "a", 1, 1000);
	weir_election_won(&a, &l, 1000, 1400);
	weir_election_observe(&b, &l, 1400);
	/* The server is away from a: nothing renews. */
	for (now = 1400; now < 1400 + 2 * DURATION_MS; now += 100) {
		ok(!weir_election_is_writer(&a, now) ||
			   weir_election_next(&b, now) == WEIR_ELECTION_WAIT,
		   "at %llu", (unsigned long long)now);
	}
	ok(weir_election_next(&b, now) == WEIR_ELECTION_TAKE, "b takes it");
	write_lease(&l, "b", 2, now);
	weir_election_won(&b, &l, now, now + 10);
	ok(weir_election_is_writer(&b, now + 10), "b writes");
	/* a hears of it, even if its own answer comes late. */
	weir_election_observe(&a, &l, now + 20);
	ok(!weir_election_is_writer(&a, now + 20) &&
		   weir_election_next(&a, now + 20) == WEIR_ELECTION_WAIT,
	   "a waits");
	write_lease(&l, "a", 1, 1000);
	weir_election_observe(&a, &l, now + 30);
	ok(weir_election_next(&a, now + 30) == WEIR_ELECTION_WAIT &&
		   strcmp(a.lease.holder, "b") == 0,
	   "an older version changes nothing");
}

static void a_lease_that_was_let_go_is_free_at_once(void)
{
	struct weir_election b = candidate("b");
	struct weir_lease l;

	write_lease(&l, "a", 1, 1000);
	weir_election_observe(&b, &l, 1000);
	ok(weir_election_next(&b, 1001) == WEIR_ELECTION_WAIT, "held");
	write_lease(&l, "", 2, 1001);
	weir_election_observe(&b, &l, 1002);
	ok(weir_election_next(&b, 1002) == WEIR_ELECTION_TAKE, "free");
	weir_election_observe(&b, NULL, 1003);
	ok(weir_election_next(&b, 1003) == WEIR_ELECTION_CREATE, "deleted");
}

static void an_agent_that_comes_back_need_not_wait_for_itself(void)
{
	struct weir_election a = candidate("a");
	struct weir_lease l;

	write_lease(&l, "a", 1, 1000);
	weir_election_observe(&a, &l, 5000);
	ok(!weir_election_is_writer(&a, 5000), "not yet");
	ok(weir_election_next(&a, 5000) == WEIR_ELECTION_TAKE, "takes");
}

TAP_MAIN(TEST(leases_are_read_as_they_are_written),
	 TEST(times_that_are_none_are_not_said),
	 TEST(what_is_applied_is_read_strictly),
	 TEST(a_lease_lapses_by_the_observers_clock),
	 TEST(one_of_two_candidates_writes),
	 TEST(a_writer_stops_before_another_may_begin),
	 TEST(a_lease_that_was_let_go_is_free_at_once),
	 TEST(an_agent_that_comes_back_need_not_wait_for_itself))
