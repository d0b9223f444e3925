/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KIngresses on their way into the plan.  Private to agent/compile/king*.c.
 *
 * Each rule of an Ingress of weir's class is served at up to three places: the
 * ClusterIP of its placeholder (kingress.c), the private gateway, which has all
 * hosts, and the public one, which has those for clients outside
 * (king_gateway.c).  The gateways are Services that an administrator makes;
 * they may come and go at any time.
 */
#ifndef WEIR_COMPILE_KING_H
#define WEIR_COMPILE_KING_H

#include "ir.h"

/* For weir_verdicts.formers and asleep. */
struct ir_former {
	struct weir_ip addr;
	struct ir_former *next;
};
struct ir_sleeper {
	uint64_t key;
	struct ir_sleeper *next;
};

/* For qsort() and bsearch(). */
int weir_ir_compare_keys(const void *a, const void *b);

/* What a gateway has at its ports. */
struct king_gateway {
	struct ir_service *service; /* NULL: there is none */
	struct ir_listener *http;   /* of all hosts */
	struct ir_listener *tls;    /* of a host each */
	struct ir_listener *last_tls;
	uint32_t n_tls;
};

enum { KING_PUBLIC, KING_PRIVATE, _KING_GATEWAYS };

struct king_gateways {
	struct king_gateway v[_KING_GATEWAYS];
	struct weir_str domains[_KING_GATEWAYS]; /* empty: there is none */
	bool is_private_named; /* weir.dev/private-mode: gateway */
	/* Who has each host, in the order of ingresses, rules and hosts: what
	 * claiming found need not be looked up again. */
	struct ir_king_host **owners;
	size_t n_owners;
	size_t served_owners; /* those of the ingresses before */
};

/* A rule as it is served: its paths, once for all places. */
struct king_served {
	struct ir_match **matches;
	struct ir_rule **rules;
	struct ir_rule **redirects; /* NULL: none */
	size_t n;
	bool is_external;
};

/* One KIngress on its way. */
struct king {
	struct ir *c;
	const struct weir_object *ingress;
	struct king_gateways *gateways;
	uint32_t object_id;
	uint8_t split;
	bool no_forwarded;
	bool has_public;
	bool has_private;
	bool is_said;               /* what is wrong with its paths */
	struct king_served *served; /* by rule, at the gateways */
	size_t rule;
	uint32_t number; /* of the path, over all rules */
};

/* king_rule.c.  salt: tells the rules of one path from each other. */
struct ir_rule *weir_ir_king_rule(const struct king *k, struct weir_str salt,
				  size_t path);
/* The rule that sends to https what came without. */
struct ir_rule *weir_ir_king_redirect(const struct king *k, size_t path);
struct ir_match *weir_ir_king_match(const struct king *k, size_t path);

/* kingress.c */
#define KING_PATHS_MAX 1024 /* of a rule */
/* Has the rule at hand no more paths than that?  Else it is said. */
bool weir_ir_king_is_within(const struct king *k);
/* "<name>.<ns>", "<name>.<ns>.svc" or "<name>.<ns>.svc.<domain>": the name. */
struct weir_str weir_ir_king_name(struct weir_str host, struct weir_str ns);
/* Of weir's class. */
bool weir_ir_king_is_ours(const struct weir_object *o);
bool weir_ir_is_shell(const struct ir_service *service);
/* Opened where cleartext HTTP is expected: 80, not 443. */
bool weir_ir_king_is_http(const struct weir_service_port *port);
/* The split names a port where TLS is expected (system-internal-tls). */
bool weir_ir_king_is_tls(const struct weir_object *service,
			 const struct weir_king_split *s);

/* king_former.c: the front is there, with its address. */
typedef void (*king_front_fn)(struct king *k, struct weir_str name,
			      struct ir_front *front);
/* At addresses that the placeholder of this name had; now: what it is, or
 * NULL. */
void weir_ir_king_former(struct king *k, struct weir_str name,
			 const struct weir_service_spec *now,
			 king_front_fn serve);

/* king_gateway.c */
void weir_ir_king_gateways_begin(struct ir *c, struct king_gateways *ret_g);
/* The hosts of n ingresses, the oldest first, before any is served: each
 * belongs to the first that has it. */
void weir_ir_king_claim(struct ir *c, struct king_gateways *g,
			const struct weir_object *const *v, size_t n);
/* Who has a host; NULL: nobody. */
const struct ir_king_host *weir_ir_king_claimed(const struct ir *c,
						struct weir_str host);
/* All rules of the Ingress at the gateways, in the order of the claims. */
void weir_ir_king_gateway(struct king *k);
void weir_ir_king_gateways_end(struct ir *c, struct king_gateways *g);

#endif
