/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server as a feed, and what goes back to it: status, Events, Leases.
 * Private to agent/daemon/kube_*.c.
 *
 * watch -> store -> control loop -> in force -> acknowledged -> status
 */
#ifndef WEIR_DAEMON_KUBE_H
#define WEIR_DAEMON_KUBE_H

#include "../kube/source.h" /* cli has one, too */
#include "control.h"
#include "lease.h"
#include "status.h"
#include "update.h"
#include "watch.h"

/* What became of an update of a status. */
enum weir_kube_result {
	WEIR_KUBE_WRITTEN,
	WEIR_KUBE_UNCHANGED, /* it said so already */
	WEIR_KUBE_STALE,     /* the object changed meanwhile: again, later */
	WEIR_KUBE_FAILED,
	_WEIR_KUBE_RESULT_MAX
};

struct weir_status_update;
struct weir_kube_round;

/* What is known of what a Gateway has in its namespace. */
struct weir_kube_infra {
	uint64_t written; /* weir_kube_infra_hash() of what was; 0: it is not */
	uint64_t asked;   /* likewise, of the round begun last */
	uint64_t ended_ms; /* it; 0: there was none */
	uint32_t tries;
	bool is_on_its_way;
};

struct weir_kube_feed {
	struct weir_feed feed; /* first */
	const struct weir_options *options;
	struct weir_loop *loop;
	struct weir_control *control;
	struct weir_kube_client *client;
	struct weir_kube_source *source;
	struct weir_kube_members *members;
	struct weir_kube_writer *writer;

	/* resourceVersions in the store when it was compiled last. */
	uint64_t taken[_WEIR_KIND_MAX];
	uint64_t taken_significant;
	bool is_taken_whole;       /* weir_kube_source_is_whole() then */
	uint64_t said_significant; /* to the members */
	bool is_in_force;          /* a plan was, once */
	bool was_writer;

	/* kube_status.c */
	uint64_t seed;           /* of keys */
	struct weir_map records; /* object -> struct record */
	struct weir_status_update *updates;
	uint32_t n_updates;
	struct weir_timer sync_timer;
	uint64_t rested_ms; /* when the looks at all objects are made up for */
	bool has_refused;   /* the look at hand: KIngresses that are refused */
	uint32_t mark;
	uint64_t results[_WEIR_KIND_MAX][_WEIR_KUBE_RESULT_MAX];

	/* kube_round.c */
	struct weir_kube_round *rounds;
	uint32_t n_rounds;
	uint32_t n_terms; /* as the writer */

	/* kube_lan.c */
	struct weir_timer lan_timer;
	uint64_t lan_view;    /* hash of the nodes that may have addresses */
	uint64_t lan_view_ms; /* it is so since */

	/* kube_held.c: ports that sockets of other nodes hold */
	struct weir_conflict *held;
	size_t n_held;
	size_t cap_held;
	uint64_t held_hash;

	/* kube_crds.c */
	struct weir_timer bundle_timer;
	struct weir_kube_request *bundle_request;
	uint64_t bundle_asked; /* lists and watches begun by then; 0: ask */
	char bundle[32];       /* "v1.7.0"; "" while it is not known */

	/* kube_cni.c */
	struct weir_watch *cni; /* NULL: the directory is not there */
	struct weir_timer cni_timer;
	bool cni_is_refused;
	uint64_t cni_heard; /* hash of what the other agents told */

	/* kube_event.c */
	uint64_t events_ms; /* the bucket was full then */
	uint32_t events_left;
	uint64_t n_events;
	uint64_t n_events_dropped;
};

/* kube_status.c */
void weir_kube_status_init(struct weir_kube_feed *feed);
void weir_kube_status_fini(struct weir_kube_feed *feed);
/* Something that decides a status may have changed. */
void weir_kube_status_changed(struct weir_kube_feed *feed);
/* Of the Gateway whose record has this key; NULL: there is none. */
struct weir_kube_infra *weir_kube_status_infra(const struct weir_kube_feed *f,
					       uint64_t key);

/* kube_refused.c: for each KIngress of ours whose present state is refused,
 * with what it is to be told. */
typedef void (*weir_kube_refused_fn)(struct weir_kube_feed *feed,
				     const struct weir_object *object,
				     const struct weir_king_verdict *verdict);
void weir_kube_refused(struct weir_kube_feed *feed, weir_kube_refused_fn fn);

/* kube_event.c: an Event about an object (its JSON), unless there were too many
 * lately. */
void weir_kube_event(struct weir_kube_feed *feed, enum weir_kind kind,
		     struct weir_str object, bool is_warning,
		     const char *reason, struct weir_str message);
/* "2026-11-25T12:00:00Z" */
#define WEIR_TIME_TEXT_MAX 24
const char *weir_kube_now(char out[static WEIR_TIME_TEXT_MAX]);

/* kube_infra.c: the Service that a Gateway (its JSON) has, or what its
 * spec.infrastructure asks for; where nothing is asked for any more what was
 * made is looked after.  round: whose part it is, or NULL. */
void weir_kube_infrastructure(struct weir_kube_feed *feed,
			      struct weir_str object,
			      struct weir_kube_round *round);
/* Has it any of that? */
bool weir_kube_wants_infra(const struct weir_object *gateway,
			   const struct weir_gateway_verdict *verdict);
/* Of what that says, and of what there is of it; 0: no memory. */
uint64_t weir_kube_infra_hash(struct weir_kube_feed *feed,
			      const struct weir_gateway_verdict *verdict);

/* kube_round.c: the Gateway is looked at, by the writer.  Milliseconds until it
 * is to be again; 0: when something changes. */
uint64_t weir_kube_round_look(struct weir_kube_feed *feed,
			      const struct weir_object *gateway,
			      const struct weir_gateway_verdict *verdict,
			      uint64_t key);
void weir_kube_round_fini(struct weir_kube_feed *feed);
/* A request of the round (NULL: of none) was asked for, or has ended. */
void weir_kube_round_add(struct weir_kube_round *round);
void weir_kube_round_end(struct weir_kube_round *round, bool is_good,
			 bool is_away);

/* kube_held.c: ports at Gateways' addresses that sockets of a node hold, told
 * by each agent with its Lease. */
void weir_kube_held_say(struct weir_kube_feed *feed);
void weir_kube_held_read(struct weir_kube_feed *feed);
void weir_kube_held_fini(struct weir_kube_feed *feed);
/* The status of a Gateway or ListenerSet, without the listeners whose ports are
 * held. */
void weir_kube_held_write(const struct weir_kube_feed *feed,
			  const struct weir_object *object,
			  const struct weir_gateway_verdict *verdict,
			  bool is_programmed, struct weir_buf *out);

/* kube_lan.c: which node has an address on the LAN. */
void weir_kube_lan_init(struct weir_kube_feed *feed);
void weir_kube_lan_fini(struct weir_kube_feed *feed);
/* Has a Gateway an address of a node whose agent is gone?  Its kernel may
 * answer for it: nobody else shall.  arg: struct weir_kube_feed *; ips as in
 * struct weir_kube_member. */
bool weir_kube_lan_needs(void *arg, const char *ips);
/* The members, or the local addresses of the plan in force, changed. */
void weir_kube_lan_changed(struct weir_kube_feed *feed);
/* The node that has ip by what this agent knows; empty: none. */
struct weir_str weir_kube_lan_owner(struct weir_kube_feed *feed,
				    const struct weir_ip *ip);

/* kube_cni.c: addresses of this node's pods ahead of the server. */
void weir_kube_cni_init(struct weir_kube_feed *feed);
void weir_kube_cni_fini(struct weir_kube_feed *feed);
/* Tells the other agents what is known of this node's, and hears what they
 * tell. */
void weir_kube_cni_say(struct weir_kube_feed *feed);
void weir_kube_cni_hear(struct weir_kube_feed *feed);
void weir_kube_cni_status(const struct weir_kube_feed *feed,
			  struct weir_buf *b);

/* kube_crds.c: the version of the Gateway API's CRDs. */
void weir_kube_bundle_init(struct weir_kube_feed *feed);
void weir_kube_bundle_fini(struct weir_kube_feed *feed);
/* Kinds of the Gateway API that the server does not have, and all that may not
 * be read: what is said of them is not heard.  The reason, and a message
 * appended to out; NULL: nothing. */
const char *weir_kube_lack(const struct weir_kube_feed *feed,
			   struct weir_buf *out);

#endif
