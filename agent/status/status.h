/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From verdicts to the status that the API server shall hold (Gateway API v1.7,
 * the condition types of apis/v1).  Pure: what is desired as JSON, a hash of it
 * to compare with what was observed, and the merge of both, in which nothing of
 * other controllers changes.
 */
#ifndef WEIR_STATUS_STATUS_H
#define WEIR_STATUS_STATUS_H

#include "buf.h"
#include "verdict.h"

/* Our part of .status, without lastTransitionTime, appended to out.
 *
 * is_programmed: every live agent has applied this generation. */
void weir_status_gateway(const struct weir_gateway_verdict *v,
			 bool is_programmed, struct weir_buf *out);
/* object: the route at the generation of the verdict.  v NULL: none of its
 * parents is ours. */
void weir_status_route(const struct weir_route_verdict *v,
		       const struct weir_object *object, struct weir_buf *out);
void weir_status_policy(const struct weir_policy_verdict *v,
			struct weir_buf *out);
/* bundle: version of the CRDs ("v1.7.0"); empty: not known, not said.
 * lack_reason: why not all kinds are watched, with lack_message; NULL: all are.
 */
void weir_status_class(const struct weir_class_verdict *v,
		       struct weir_str bundle, const char *lack_reason,
		       struct weir_str lack_message, struct weir_buf *out);

/* is_applied: every live agent has this generation. */
void weir_status_king(const struct weir_king_verdict *v, bool is_applied,
		      struct weir_buf *out);

/* Of our part of a status, desired or observed, whatever else is in it and in
 * whatever order.  status: JSON; empty, or not JSON, is a status of nothing.
 * 0 for kinds whose status we do not write.  WEIR_STATUS_SERVED is set in it if
 * the status says that every agent serves the object: Programmed of a Gateway
 * or a ListenerSet, Ready of a KIngress, of whatever generation, is True. */
#define WEIR_STATUS_SERVED ((uint64_t)1)
uint64_t weir_status_hash(enum weir_kind kind, struct weir_str status);

/*
 * object (JSON, whole) with our part of its status as desired; appended to out,
 * managedFields left out.  Conditions, parents, ancestors and addresses of
 * others stay as they are, and lastTransitionTime where the status of a
 * condition does not change; else it is now (RFC 3339).
 * 1: write it; 0: it says that already; -ESTALE: the object has another
 * generation than the desired status; -EBADMSG; -ENOMEM.
 */
int weir_status_merge(enum weir_kind kind, int64_t generation,
		      struct weir_str desired, struct weir_str object,
		      const char *now, struct weir_buf *out);

/* features.c: status.supportedFeatures, ascending; ends with NULL. */
extern const char *const weir_status_features[];

/* ------------------------------------------- within agent/status */

/* Condition of a GatewayClass: is there anything that weir is not told of? */
#define WEIR_STATUS_WATCHED "weir.dev/KindsWatched"

/* Types of conditions that are ours at a place; each ends with NULL. */
enum weir_status_place {
	WEIR_PLACE_CLASS,
	WEIR_PLACE_GATEWAY,
	WEIR_PLACE_LISTENER,
	WEIR_PLACE_SET,
	WEIR_PLACE_PARENT,
	WEIR_PLACE_ANCESTOR,
	WEIR_PLACE_KINGRESS,
	_WEIR_PLACE_MAX
};
extern const char *const *const weir_status_types[_WEIR_PLACE_MAX];
/* The member that lists what has a controller: "parents", "ancestors" or
 * NULL. */
const char *weir_status_list(enum weir_kind kind);
enum weir_status_place weir_status_place_of(enum weir_kind kind);
bool weir_status_is_written(enum weir_kind kind);

#endif
