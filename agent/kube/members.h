/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/kube/members*.c: what is known of the Leases. */
#ifndef WEIR_KUBE_MEMBERS_H
#define WEIR_KUBE_MEMBERS_H

#include "election.h"
#include "lease.h"
#include "scan.h"

#define WEIR_MEMBERS_PREFIX "weir-agent-" /* of Leases' names */

struct member {
	struct weir_kube_member public;
	char *node;
	struct weir_lease_watch watch;
	uint64_t version; /* resourceVersion of the Lease */
	uint64_t renewed_us;
	uint32_t mark;
	bool is_gone; /* lapsed while the server could be reached */
	char *held;   /* NULL: none */
	char *ips;
	char *starts;
};

struct weir_kube_members {
	struct weir_kube_members_options options;
	char *ns;
	char *node;
	char *own_name; /* of the Lease */
	uint32_t duration_ms;
	uint64_t random;

	/* What others say. */
	struct weir_kube_request *reading;
	struct weir_scan scan;
	struct weir_timer retry;
	uint32_t failures;
	uint64_t read_begun_ms;
	bool has_begun; /* its answer is good */
	uint64_t seen;  /* resourceVersion */
	bool is_watching;
	bool was_listed; /* once at least */
	bool writer_was_listed;
	uint32_t mark;
	struct member *members; /* sorted by node */
	size_t n_members;
	size_t cap;
	struct weir_kube_member *list; /* what callers see */
	size_t list_cap;

	/* What we say. */
	struct weir_kube_request *own;
	uint64_t applied[_WEIR_KIND_MAX];
	uint64_t own_written_ms; /* the last write was begun */
	uint32_t own_failures;
	bool is_member; /* it has applied a plan */
	bool is_own_due;
	uint64_t own_renewed_ms;   /* the last write that succeeded was begun */
	uint64_t contact_since_ms; /* they have succeeded without a gap */
	char *held;                /* what is said about this node, NULL */
	char *ips;
	char *starts;
	struct weir_timer ack;

	struct weir_election election;
	struct weir_kube_request *electing;
	uint64_t elect_begun_ms;
	bool was_writer;

	/* What the gone have left. */
	struct weir_kube_request *forgetting;
	char *forgotten;    /* the node; NULL: none is on its way */
	uint64_t forget_ms; /* not before */
	bool has_not_forgotten;

	struct weir_timer tick;
	struct weir_timer change;
	bool has_warned;
};

/* The own Lease is renewed often enough: within two thirds of its duration, as
 * for the writer. */
bool weir_members_are_fresh(const struct weir_kube_members *members,
			    uint64_t now_ms);
/* May the member still have what it had?  See weir_kube_member. */
bool weir_members_is_present(const struct weir_kube_members *members,
			     const struct member *member, uint64_t now_ms);
/* Notes whose Leases lapsed while this agent could have heard of them: only a
 * new renewal brings them back, no outage. */
void weir_members_note_gone(struct weir_kube_members *members, uint64_t now_ms);
/* "/apis/.../leases". */
void weir_members_path(const struct weir_kube_members *members,
		       struct weir_buf *out);
/* Did it lapse so long ago that nobody asks for it any more?  wall_us: of
 * CLOCK_REALTIME. */
bool weir_members_is_forgettable(const struct weir_kube_members *members,
				 const struct member *member, uint64_t now_ms,
				 uint64_t wall_us);
/* The writer removes the Lease of one that is, unless one is on its way. */
void weir_members_forget(struct weir_kube_members *members, uint64_t now_ms,
			 uint64_t wall_us);

#endif
