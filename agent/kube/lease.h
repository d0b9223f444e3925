/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer, many agents, by Leases (coordination.k8s.io/v1) in one namespace.
 *
 * The Lease weir-writer elects who writes status, by the rules of client-go's
 * leader election: whoever holds it renews it; it lapses when its record did
 * not change for its duration by the *observer's* clock, so clocks need not
 * agree.  Each agent's own Lease, weir-agent-<node>, says that it lives and,
 * in the annotation weir.dev/applied, up to which resourceVersion of each kind
 * its plan in force goes.  It is made with the first complete plan, so a
 * joining node counts from then on; a dead one until its Lease lapses, and its
 * Lease is removed ten minutes after that.
 */
#ifndef WEIR_KUBE_LEASE_H
#define WEIR_KUBE_LEASE_H

#include "client.h"
#include "object.h"

#define WEIR_LEASE_DURATION_MS 15000
#define WEIR_LEASE_HELD_MAX 1024 /* bytes of weir_kube_members_say() */
#define WEIR_LEASE_IPS_MAX 128
#define WEIR_LEASE_STARTS_MAX 4096 /* some seventy pods */
#define WEIR_LEASE_RENEW_MS 5000   /* a third of it */
/* Between two acknowledgements, for each live member: all together write no
 * more than 50 a second. */
#define WEIR_LEASE_ACK_MS 20

struct weir_kube_members;

struct weir_kube_members_options {
	struct weir_loop *loop;
	struct weir_kube_client *client;
	const char *ns;       /* of the Leases */
	const char *node;     /* unique: the node's name */
	bool may_write;       /* takes part in the election */
	bool is_mute;         /* answers for no address on a LAN */
	uint32_t duration_ms; /* 0: WEIR_LEASE_DURATION_MS */
	/* Is the Lease of an agent that is gone for long still of use, for what
	 * it says of its node's addresses (NULL: nothing)?  NULL: never. */
	bool (*is_needed)(void *arg, const char *ips);
	/* is_writer, the members or what they applied changed. */
	void (*on_change)(void *arg);
	void *arg;
};

struct weir_kube_member {
	struct weir_str node;
	bool is_live;
	bool is_present;   /* is_live, or nobody can know (contact, below) */
	bool is_confirmed; /* seen to live, not only to have lived */
	bool may_announce;
	const char *ips;    /* NULL: none; held and starts, too */
	const char *held;   /* as it said by weir_kube_members_say() */
	const char *starts; /* likewise, weir_kube_members_say_starts() */
	uint64_t applied[_WEIR_KIND_MAX];
};

int weir_kube_members_new(const struct weir_kube_members_options *options,
			  struct weir_kube_members **ret_members);
void weir_kube_members_free(struct weir_kube_members **members);
int weir_kube_members_start(struct weir_kube_members *members);
/* A plan that goes up to these versions is in force.  is_urgent: it holds
 * changes that a status waits for, so say it now (coalesced); else with the
 * next renewal.  The first call makes this agent a member. */
void weir_kube_members_applied(struct weir_kube_members *members,
			       const uint64_t versions[static _WEIR_KIND_MAX],
			       bool is_urgent);
bool weir_kube_members_is_writer(const struct weir_kube_members *members);
/* True when every live member's plan in force goes up to this version of this
 * kind, the own one included. */
bool weir_kube_members_have(const struct weir_kube_members *members,
			    enum weir_kind kind, uint64_t version);
/* False after a start while one of those that were live is not known to be: its
 * Lease was read, but neither renewed since nor has it lapsed.  What it said to
 * have applied is what was said before this agent began. */
bool weir_kube_members_are_heard(const struct weir_kube_members *members);
/* Says something short about this node to the others, with its Lease: ports
 * that sockets of the node hold, and the node's addresses ("10.0.0.1,fd00::1").
 * Shorter than WEIR_LEASE_HELD_MAX and WEIR_LEASE_IPS_MAX. */
void weir_kube_members_say(struct weir_kube_members *members, const char *held,
			   const char *ips);
/* Likewise of pods that start on this node (ahead.h), shorter than
 * WEIR_LEASE_STARTS_MAX.  is_news: there is one that was not said before; else
 * it is said with the next renewal. */
void weir_kube_members_say_starts(struct weir_kube_members *members,
				  const char *starts, bool is_news);
/* True while this agent's own Lease is renewed and the others' are seen: what
 * it knows of them is what they know of it.  *ret_until_ms: of weir_now_ms(),
 * until when its Lease holds for all others. */
bool weir_kube_members_contact(const struct weir_kube_members *members,
			       uint64_t *ret_until_ms);
/* Did it say that an interface of its node has the address? */
bool weir_kube_member_has_ip(const struct weir_kube_member *member,
			     const struct weir_ip *ip);
/* All that are known, sorted by node; valid until the next on_change. */
const struct weir_kube_member *
weir_kube_members_list(struct weir_kube_members *members, size_t *ret_n);

#endif
