/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compile found out about each object that has a status: beside the
 * diagnostics, which are for people, this is for conditions.  Nothing here
 * points into the store: it outlives the objects it was made from, until the
 * next compilation.  Only what differs from "all is well" takes memory.
 *
 * Positions (of parentRefs) are those of the object at that generation.
 */
#ifndef WEIR_COMPILE_VERDICT_H
#define WEIR_COMPILE_VERDICT_H

#include <string.h>

#include "arena.h"
#include "buf.h"
#include "object.h"

/* Why a condition is not as it should be.  NULL stands for "it is". */
struct weir_fault {
	const char *reason;      /* literal: the Gateway API's where one fits */
	struct weir_str message; /* begins with the field, if there is one */
};

struct weir_verdict_id {
	enum weir_kind kind;
	struct weir_str ns;
	struct weir_str name;
	int64_t generation;
	/* Of all that is said below, the generation left out: unchanged means
	 * that the conditions are, too. */
	uint64_t hash;
};

struct weir_class_verdict {
	struct weir_verdict_id id;
	const struct weir_fault *accepted;
};

/* Of a Gateway or a ListenerSet, in order of the spec. */
struct weir_listener_verdict {
	struct weir_str name;
	uint32_t kinds;      /* supportedKinds: a bit per enum weir_kind */
	uint32_t n_attached; /* routes */
	const struct weir_fault *accepted;   /* UnsupportedProtocol, ... */
	const struct weir_fault *conflicted; /* HostnameConflict, ... */
	const struct weir_fault *refs;       /* InvalidCertificateRef, ... */
	const struct weir_fault *programmed; /* not opened though accepted */
	const struct weir_fault *overlap;    /* OverlappingTLSConfig is True */
};

struct weir_gateway_port {
	uint16_t port;
	uint16_t node_port; /* that the Service has, 0: none yet */
	uint8_t proto;      /* IPPROTO_* */
};

struct weir_gateway_verdict {
	struct weir_verdict_id id; /* a Gateway or a ListenerSet */
	/* Only what the object as a whole is refused for: ListenersNotValid
	 * follows from the listeners. */
	const struct weir_fault *accepted;
	const struct weir_fault *programmed; /* AddressNotUsable, ... */
	/* Of spec.tls.backend.clientCertificateRef, where it is given. */
	const struct weir_fault *refs;
	bool has_refs;
	/* frontend validation AllowInsecureFallback is in use */
	bool is_insecure;
	const struct weir_ip *addresses; /* as served */
	uint32_t n_addresses;
	uint32_t n_attached_sets; /* accepted ListenerSets */
	/* Its addresses come from a Service of its own, with these ports. */
	bool wants_service;
	const struct weir_gateway_port *ports;
	uint32_t n_ports;
	uint32_t n_listeners;
	struct weir_listener_verdict *listeners;
};

struct weir_parent_verdict {
	const struct weir_fault *accepted;
	bool is_ours; /* else nothing is said about this parent */
	bool is_mesh; /* a Service */
};

enum weir_parent_type { WEIR_PARENT_GATEWAY, WEIR_PARENT_SERVICE };

struct weir_route_verdict {
	struct weir_verdict_id id;
	uint32_t n_parents;
	/* NULL if none of them is ours. */
	struct weir_parent_verdict *parents;
	const struct weir_fault *invalid; /* Accepted=False at each parent */
	const struct weir_fault *partial; /* PartiallyInvalid=True */
	/* ResolvedRefs, by the type of the parent: a mesh asks for no
	 * ReferenceGrants (GEP-1294). */
	const struct weir_fault *refs[2];
};

/* BackendTLSPolicy.  An ancestor is a Gateway one of whose routes leads to a
 * target. */
struct weir_ancestor {
	struct weir_str ns;
	struct weir_str name;
};
struct weir_policy_verdict {
	struct weir_verdict_id id;
	const struct weir_fault *accepted; /* Conflicted, ... */
	const struct weir_fault *refs;     /* InvalidCACertificateRef, ... */
	const struct weir_ancestor *ancestors;
	uint32_t n_ancestors;
};

/* A KIngress of weir's class. */
struct weir_king_verdict {
	struct weir_verdict_id id;
	const struct weir_fault *balancer; /* LoadBalancerReady: DomainConflict,
					    * ... */
	/* Of the gateways' Services; empty: there is none, the address of the
	 * Route's own Service is taken. */
	struct weir_str public_domain;
	struct weir_str private_domain;
};

/* Each vector in order of kind, namespace and name; only objects that are, or
 * may be, weir's. */
struct weir_verdicts {
	struct weir_class_verdict *classes;
	struct weir_gateway_verdict *gateways; /* and ListenerSets */
	struct weir_route_verdict *routes;
	struct weir_policy_verdict *policies;
	struct weir_king_verdict *kings; /* with weir_plan_room() */
	uint32_t n_classes;
	uint32_t n_gateways;
	uint32_t n_routes;
	uint32_t n_policies;
	uint32_t n_kings;
	/* For struct weir_compile_memory: addresses that placeholders had and
	 * that are served on, in their order; keys of rules that wait for a
	 * revision to wake, ascending. */
	struct weir_ip *formers;
	uint64_t *asleep;
	uint32_t n_formers;
	uint32_t n_asleep;
};

/* NULL if there is none. */
struct weir_class_verdict *weir_verdict_class(const struct weir_verdicts *v,
					      struct weir_str name);
struct weir_gateway_verdict *weir_verdict_gateway(const struct weir_verdicts *v,
						  enum weir_kind kind,
						  struct weir_str ns,
						  struct weir_str name);
struct weir_route_verdict *weir_verdict_route(const struct weir_verdicts *v,
					      enum weir_kind kind,
					      struct weir_str ns,
					      struct weir_str name);
struct weir_policy_verdict *weir_verdict_policy(const struct weir_verdicts *v,
						struct weir_str ns,
						struct weir_str name);
struct weir_king_verdict *weir_verdict_king(const struct weir_verdicts *v,
					    struct weir_str ns,
					    struct weir_str name);

/* Is this listener one that weir can open: accepted, in no conflict. */
static inline bool weir_listener_is_valid(const struct weir_listener_verdict *l)
{
	return !l->accepted && !l->conflicted;
}

/* And what it needs is there: a certificate that is missing closes it, a kind
 * of route that cannot attach does not. */
static inline bool
weir_listener_is_usable(const struct weir_listener_verdict *l)
{
	return weir_listener_is_valid(l) &&
	       (!l->refs || strcmp(l->refs->reason, "InvalidRouteKinds") == 0);
}

/* For people and golden tests. */
void weir_verdicts_print(const struct weir_verdicts *v, struct weir_buf *out);

#endif
