// SPDX-License-Identifier: Apache-2.0
/* Who may have addresses on a LAN, by the Leases as they were seen: around an
 * outage of the API server and after it. */
#include "members.h"

#include "addr.h"
#include "tap.h"

#define DURATION_MS 15000

static struct member member;

/* The Lease of the other was seen seen_ago, the own one written own_ago, which
 * is so without a gap since contact_ago. */
static bool is_present(uint64_t seen_ago, uint64_t own_ago,
		       uint64_t contact_ago)
{
	uint64_t now = weir_now_ms() + 1000000;
	struct weir_kube_members m = {.duration_ms = DURATION_MS,
				      .members = &member,
				      .n_members = 1,
				      .own_renewed_ms = now - own_ago,
				      .contact_since_ms = now - contact_ago};

	member.watch.seen_ms = now - seen_ago;
	member.watch.duration_ms = DURATION_MS;
	weir_members_note_gone(&m, now);
	return weir_members_is_present(&m, &member, now);
}

static void who_lapses_goes(void)
{
	member = (struct member){0};
	ok(is_present(14000, 1000, 100000), "14 s after a renewal");
	ok(!is_present(16000, 1000, 100000), "16 s after a renewal");
}

/* All were silent for 20 s. */
static void an_outage_is_waited_for(void)
{
	member = (struct member){0};
	ok(is_present(5000, 5000, 100000), "before the outage");
	is_present(20000, 20000, 115000);
	ok(!member.is_gone, "nobody goes while the server is away");
	ok(is_present(21000, 0, 1000), "a second after it it is waited for");
	ok(!is_present(36000, 1000, 16000), "but no longer than a duration");
}

static void an_outage_brings_nobody_back(void)
{
	member = (struct member){0};
	ok(!is_present(16000, 1000, 100000), "it lapsed");
	ok(!is_present(40000, 0, 1000), "and an outage later it is still gone");
	member.is_gone = false; /* as a renewal does */
	ok(is_present(1000, 0, 2000), "until it renews its Lease");
}

static void who_never_renewed_is_not_there(void)
{
	struct weir_kube_members m = {.duration_ms = DURATION_MS,
				      .members = &member,
				      .n_members = 1,
				      .own_renewed_ms = 100000,
				      .contact_since_ms = 100000};

	member = (struct member){.watch.duration_ms = DURATION_MS};
	weir_members_note_gone(&m, 100000);
	ok(!weir_members_is_present(&m, &member, 100000) && !member.is_gone,
	   "not seen");
}

/* Its Lease of a duration was seen seen_ago and says that it was renewed
 * wall_ago. */
static bool is_forgettable(uint64_t seen_ago, uint64_t wall_ago)
{
	uint64_t now = weir_now_ms() + 10000000, wall_us = 1700000000000000;
	static char self[] = "self";
	struct weir_kube_members m = {.duration_ms = DURATION_MS,
				      .node = self,
				      .members = &member,
				      .n_members = 1,
				      .own_renewed_ms = now,
				      .contact_since_ms = now - 2000000};

	member.watch.seen_ms = now - seen_ago;
	member.watch.duration_ms = DURATION_MS;
	member.renewed_us = wall_ago ? wall_us - wall_ago * 1000 : 0;
	weir_members_note_gone(&m, now);
	return weir_members_is_forgettable(&m, &member, now, wall_us);
}

static void who_is_long_gone_is_forgotten(void)
{
	static char other[] = "other", self[] = "self";

	member = (struct member){.node = other};
	ok(!is_forgettable(14000, 0), "one that lives");
	ok(!is_forgettable(14000, 10000000),
	   "nor one whose clock is wrong: it was seen");
	ok(!is_forgettable(614000, 0), "9:59 min after it lapsed");
	ok(is_forgettable(616000, 0), "10:01 min after");
	ok(is_forgettable(16000, 616000), "or so long after it was renewed");
	ok(!is_forgettable(16000, 614000), "but no less");
	member = (struct member){.node = self};
	ok(!is_forgettable(616000, 616000), "never the own one");
}

static void who_was_not_heard_of_since_the_start_is_waited_for(void)
{
	static char other[] = "other", self[] = "self";
	const struct weir_kube_members m = {
		.node = self, .members = &member, .n_members = 1};

	member = (struct member){.node = other, .public.is_live = true};
	ok(!weir_kube_members_are_heard(&m), "its Lease was listed");
	member.public.is_confirmed = true;
	ok(weir_kube_members_are_heard(&m), "it was renewed");
	member.public.is_confirmed = false;
	member.public.is_live = false;
	ok(weir_kube_members_are_heard(&m), "it lapsed");
	member = (struct member){.node = self, .public.is_live = true};
	ok(weir_kube_members_are_heard(&m), "it is the own one");
}

static bool has_ip(const char *ips, const char *text)
{
	const struct weir_kube_member m = {.ips = ips};
	struct weir_ip ip;

	must(weir_ip_parse(weir_str_of(text), &ip) == 0, "%s", text);
	return weir_kube_member_has_ip(&m, &ip);
}

static void addresses_of_its_node_are_its_own(void)
{
	ok(has_ip("10.0.0.1,fd00::1", "10.0.0.1"), "the first");
	ok(has_ip("10.0.0.1,fd00::1", "fd00:0::1"), "the last");
	ok(has_ip(",x,10.0.0.1,", "10.0.0.1"), "among what is no address");
	ok(!has_ip("10.0.0.10,fd00::1", "10.0.0.1"), "a prefix of one");
	ok(!has_ip("", "10.0.0.1") && !has_ip(NULL, "10.0.0.1"), "none");
}

TAP_MAIN(TEST(who_lapses_goes), TEST(an_outage_is_waited_for),
	 TEST(an_outage_brings_nobody_back),
	 TEST(who_never_renewed_is_not_there),
	 TEST(who_is_long_gone_is_forgotten),
	 TEST(who_was_not_heard_of_since_the_start_is_waited_for),
	 TEST(addresses_of_its_node_are_its_own))
