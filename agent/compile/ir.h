/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compile works on between the objects and the plan.  Private to
 * agent/compile.  Everything here lives in one scratch arena and dies with the
 * compilation; texts point into the store, which does not change meanwhile.
 *
 * fronts -> listeners -> vhosts -> entries -> (match, rule) -> refs -> groups
 *
 * Lack of memory is sticky (ir.error): a function that could not do its work
 * returns early, and weir_compile() reports it once.
 */
#ifndef WEIR_COMPILE_IR_H
#define WEIR_COMPILE_IR_H

#include "compile.h"
#include "map.h"
#include "verdict.h"

/* weir.dev/split: what the user asked for, at the nearest object that says. */
enum ir_split { IR_SPLIT_UNSET, IR_SPLIT_REQUEST, IR_SPLIT_CONNECTION };

/* Limits of one object.  The API's own are lower; they bound what a hostile
 * manifest can make of hostnames x matches x listeners. */
#define IR_ROUTE_RULES_MAX 1024
#define IR_ROUTE_MATCHES_MAX 4096
#define IR_ROUTE_HOSTS_MAX 1024
#define IR_ROUTE_ENTRIES_MAX 65536 /* hostnames x matches at one listener */
#define IR_RULE_REFS_MAX 64
#define IR_SPLITS_MAX 64 /* of one KIngress path */
#define IR_REFS_MAX (IR_RULE_REFS_MAX * IR_SPLITS_MAX) /* of a rule */
#define IR_WEIGHT_MAX 1000000u                         /* Gateway API */

/* Something that a user named and that is not there. */
struct ir_named {
	struct weir_str kind;
	struct weir_str ns;
	struct weir_str name;
};

/* What the plan remembers of an object: one of the two. */
struct ir_object {
	const struct weir_object *object;
	const struct ir_named *named;
};

struct ir_endpoint {
	struct weir_ip addr;
	__be16 port_be;
	uint16_t flags;
};

struct ir_group {
	uint64_t key;
	uint32_t object;
	uint32_t port;
	struct weir_str port_name;
	uint32_t index;       /* among all groups */
	uint8_t proto;        /* IPPROTO_* */
	uint8_t flags;        /* WEIR_GROUP_* */
	uint32_t concurrency; /* of a revision's pods; 0: any number */
	const struct ir_endpoint *endpoints;
	uint32_t n_endpoints;
	struct ir_group *next;     /* of the same Service */
	struct ir_group *next_all; /* in order of index */
};

struct ir_front;

/* A Service as seen by backendRefs and parents. */
struct ir_service {
	const struct weir_object *object;
	uint64_t hash;        /* of namespace and name */
	struct weir_str name; /* the object's: one cache miss less */
	uint32_t object_id;
	uint32_t slices;   /* first of its EndpointSlices + 1, see slice_next */
	bool is_known;     /* object_id and is_knative are set */
	bool is_knative;   /* placeholder of a Knative Route */
	uint32_t revision; /* of a revision's public Service: its place + 1 */
	struct ir_group *groups;
	struct ir_front *fronts; /* at its ClusterIPs */
};

struct ir_mod {
	struct weir_str name;
	struct weir_str value;
	uint32_t op; /* enum weir_header_op */
};

struct ir_filter {
	uint32_t type; /* enum weir_filter_type */
	uint32_t path_mod;
	const struct ir_mod *mods;
	uint32_t n_mods;
	struct weir_str scheme;
	struct weir_str hostname;
	struct weir_str path;
	struct weir_str matched_prefix;
	uint16_t port;
	uint16_t status;
};

struct ir_filters {
	struct ir_filter *v;
	uint32_t n;
	bool needs_prefix; /* the text depends on the prefix that matched */
};

struct ir_tls_claim;
struct ir_revision;

/* A BackendTLSPolicy. */
struct ir_policy {
	const struct weir_object *object;
	struct weir_policy_verdict *verdict;
	uint32_t order; /* by namespace and name */
	uint32_t object_id;
	uint32_t place; /* in the plan + 1; 0: not used, or of no use */
	uint32_t n_cas;
	const uint32_t *cas;
	struct weir_ancestor *ancestors;
	bool is_taken; /* looked at */
	bool is_bad;
};

struct ir_ref {
	uint64_t key;
	uint64_t weight;
	uint32_t object;
	const struct ir_group *group; /* NULL unless state is WEIR_REF_OK */
	struct ir_filters filters;
	uint32_t n_own_filters; /* of them, Knative's revision headers: they
				 * matter to the activator only */
	struct weir_str detail;
	uint32_t tls; /* place of the policy + 1; 0: none */
	const struct ir_tls_claim *claims; /* policies about its Service */
	bool is_split;                     /* weight counts percents */
	bool is_bare; /* a split without any EndpointSlice of its port, which
		       * weir does not wake */
	uint32_t revision; /* place + 1; 0: not woken by weir */
	uint8_t state;
	uint8_t proto;
	uint16_t index;
};

struct ir_rule {
	uint64_t key;
	uint32_t object;
	uint32_t number; /* rule of the route */
	uint32_t index;  /* among all rules */
	struct weir_str name;
	struct ir_ref *refs;
	uint32_t n_refs;
	uint32_t n_slots; /* refs with a weight */
	struct ir_filters filters;
	uint32_t n_own_filters; /* of them, those that whole connections need
				 * not pass */
	uint32_t request_timeout_ms;
	uint32_t backend_timeout_ms;
	uint8_t plane;
	uint8_t reason;
	uint8_t flags;
	uint8_t split; /* enum ir_split, of the route itself */
	bool needs_prefix;
	bool is_planned; /* plane and reason are decided by some frontend */
	/* A host whose first entry is of this rule, and its tables in the plan:
	 * other hosts with the same entries share them. */
	const struct ir_vhost *tabled;
	struct weir_span tables;
	struct weir_str matched_prefix;
	struct ir_rule *variant; /* same rule for another matched prefix */
	struct ir_rule *next_all;
};

struct ir_cond {
	struct weir_str name;
	struct weir_str value;
	uint32_t type;
	uint32_t regex;
};

struct ir_match {
	struct weir_str path;
	struct weir_str method;
	const struct ir_cond *headers;
	const struct ir_cond *query;
	uint16_t n_headers;
	uint16_t n_query;
	uint32_t path_type;
	uint32_t regex;
	uint32_t number; /* in the route, over all its rules */
};

/* A match at work under one hostname. */
struct ir_entry {
	const struct ir_match *match;
	struct ir_rule *rule;
	uint32_t tier;      /* how specific the route's own hostname is */
	uint32_t rank;      /* of the route: age, namespace, name */
	uint64_t path_key;  /* order before the path's bytes */
	uint64_t match_key; /* order after them; smaller goes first */
	struct ir_entry *next;
};

struct ir_vhost {
	struct weir_str hostname;
	uint32_t listener; /* id */
	struct ir_entry *entries;
	struct ir_entry **tail;
	uint32_t n_entries;
	uint32_t n_grpc;            /* of them, of GRPCRoutes */
	struct ir_vhost *next;      /* of the same listener */
	struct ir_vhost *next_hash; /* with the same hash */
};

/* A Secret or ConfigMap with certificates, once. */
struct ir_cert {
	const struct weir_object *object;
	uint32_t object_id;
	uint32_t index; /* among all of its kind */
	uint64_t hash;
	struct ir_cert *next;
};

struct ir_certs {
	struct ir_cert *first;
	struct ir_cert *last;
	uint32_t n;
	struct weir_map by_object;
};

enum ir_protocol {
	IR_PROTOCOL_BAD,
	IR_PROTOCOL_HTTP,
	IR_PROTOCOL_HTTPS,
	IR_PROTOCOL_TLS,
	IR_PROTOCOL_TCP,
	IR_PROTOCOL_UDP,
};

struct ir_listener {
	uint32_t id;
	enum ir_protocol protocol;
	uint16_t port;
	struct weir_str name;
	struct weir_str hostname;
	uint32_t object;
	uint32_t flags;                        /* WEIR_LISTENER_* */
	const struct weir_listener_spec *spec; /* NULL: mesh, Knative */
	uint32_t kinds;        /* bit per enum weir_kind that may attach */
	uint32_t attached;     /* id of the last route that did */
	bool no_forwarded;     /* weir.dev/forwarded: none */
	bool is_conflicted;    /* takes no traffic */
	bool is_closed;        /* likewise: its TLS cannot be served */
	const uint32_t *certs; /* indices */
	const uint32_t *client_cas;
	uint32_t n_certs;
	uint32_t n_client_cas;
	uint32_t backend_cert;                 /* index + 1; 0: none */
	struct weir_listener_verdict *verdict; /* NULL as spec */
	struct ir_vhost *vhosts;
	uint32_t n_vhosts;
	const struct weir_object *rule_route; /* TCP, UDP: the oldest */
	uint32_t rule_rank;
	struct ir_listener *next; /* of the same front */
};

/* What is done at a port of one or more addresses. */
struct ir_front {
	const struct weir_object *owner; /* Gateway or Service */
	uint32_t object;
	uint16_t port;
	uint8_t proto; /* IPPROTO_* */
	uint8_t mode;
	uint8_t origin;
	bool is_local;
	uint8_t plane;
	uint8_t reason;
	uint8_t split; /* enum ir_split, of the parent's side */
	/* Of a parent Service: */
	struct ir_service *service;
	const struct weir_service_port *service_port;
	struct weir_str consumer_ns; /* clients of it only; empty: all others */
	struct ir_rule *rule;
	const struct weir_ip *addresses;
	size_t n_addresses;
	/* Whose LoadBalancerReady it is of: a placeholder's KIngress, or
	 * NULL. */
	const struct weir_fault **balancer;
	const struct ir_front *same; /* an earlier one with the same listeners,
				      * or NULL */
	struct weir_span emitted;    /* its listeners in the plan */
	struct weir_span emitted_index;
	struct ir_listener *listeners;
	struct ir_listener *last_listener;
	uint32_t n_listeners;
	struct ir_front *next;
	struct ir_front *next_of_owner; /* Gateway or Service */
};

/* A front at one of its addresses. */
struct ir_claim {
	struct weir_ip addr;
	__be16 port_be;
	uint8_t proto;
	uint32_t order; /* who was first */
	const struct ir_front *front;
};

/* A Gateway, or a ListenerSet that hangs on one. */
struct ir_gateway {
	const struct weir_object *object;
	const struct weir_object *class; /* NULL: none is needed */
	struct ir_gateway *parent;       /* of a set */
	struct ir_gateway *sets;         /* that it lets in, by precedence */
	struct ir_gateway *next_set;
	struct ir_front *fronts; /* at its addresses */
	bool is_refused;         /* not accepted: nothing of it is served */
	struct weir_ip *addresses;
	size_t n_addresses;
	bool has_v4;
	bool has_v6;
	bool wants_service; /* its addresses are those of a Service */
	const struct weir_object *service; /* NULL: there is none yet */
	bool is_service_taken;             /* by one of somebody else's */
	uint32_t backend_cert;             /* index + 1; 0: none */
	uint32_t object_id;
	struct weir_gateway_verdict *verdict;
	struct ir_listener *listeners; /* one per listener of the spec */
	size_t n_listeners;
	uint8_t split;
	bool no_forwarded;
};

/* Knative: the KIngress rule that serves a name in a namespace. */
struct ir_king_host {
	struct weir_str ns;
	struct weir_str name;
	const struct weir_object *ingress;
	const struct weir_king_rule *rule;
	size_t number; /* of the rule */
	/* Of a whole host: at the gateways of king.h, once it is served there.
	 */
	struct ir_vhost *vhosts[2];
	struct ir_king_host *next;
};

/* Verdicts on their way: where they stand may not move. */
struct ir_gateway_verdict {
	struct weir_gateway_verdict v;
	struct ir_gateway_verdict *next;
};
struct ir_policy_verdict {
	struct weir_policy_verdict v;
	struct ir_policy_verdict *next;
};
struct ir_king_verdict {
	struct weir_king_verdict v;
	struct ir_king_verdict *next;
};

/* Where errors that are said meanwhile are also kept (weir_ir_enter()). */
struct ir_scope {
	const struct weir_fault **slot; /* NULL: nowhere */
	/* The reasons that the condition knows, ends with NULL; others become
	 * the first.  NULL: all. */
	const char *const *reasons;
	bool takes_warnings;
};

struct ir {
	struct weir_store *store;
	struct weir_str node;
	struct weir_str cluster_domain;
	const struct weir_ip *node_ips;
	size_t n_node_ips;
	struct weir_arena arena;
	struct weir_diags *diags;
	/* A KIngress that is compiled alone (graft.c): of others nothing is
	 * known, and of Services what it names. */
	const struct weir_object *only;
	size_t services_left; /* places in services */
	bool is_quiet;        /* said already */
	bool is_writer;       /* weir_compile_options */
	bool needs_class;
	struct ir_scope scope;
	int error;

	struct weir_verdicts verdicts; /* routes: all, in the scratch arena */
	uint32_t last_route;           /* the verdict asked for last */
	struct ir_gateway_verdict *gateway_verdicts; /* the last one first */
	struct ir_policy_verdict *policy_verdicts;
	struct ir_king_verdict *king_verdicts;

	struct ir_object *objects;
	size_t n_objects;
	size_t objects_cap;
	struct weir_map object_ids;

	struct ir_service *services; /* all, in the store's order */
	uint32_t *service_places;    /* hash table: index + 1, or 0 */
	size_t n_places;             /* a power of two */
	const struct weir_object *const *slices;
	uint32_t *slice_next; /* of the same Service: index + 1, or 0 */

	struct weir_map vhosts; /* hash -> struct ir_vhost */
	struct weir_map kings;  /* hash -> struct ir_king_host */
	bool has_kings;
	struct weir_map king_claims; /* whole host -> struct ir_king_host */
	const struct weir_object **kings_by_age;
	struct weir_compile_memory memory;
	struct weir_map formers;     /* king_former.c */
	struct weir_map cluster_ips; /* of all Services */
	bool has_formers;
	bool has_cluster_ips;
	struct ir_former *served_formers;
	struct ir_sleeper *sleepers;
	struct weir_map activators;    /* address hash -> 1 */
	struct ir_revision *revisions; /* in the order of their places */
	struct ir_revision *last_revision;
	uint32_t n_revisions;
	const struct ir_group *autoscaler; /* where there are any */
	bool has_consumers;                /* fronts with a consumer_ns */
	struct ir_grpc_port *grpc_ports; /* of Services: those of GRPCRoutes */
	size_t n_grpc_ports;
	bool has_grpc_ports; /* they are known */

	struct ir_gateway *gateways; /* ours, by namespace and name */
	size_t n_gateways;
	struct ir_gateway *sets; /* ours, likewise */
	size_t n_sets;
	struct ir_pool *pools;
	struct weir_map addresses; /* hash -> struct ir_gateway */
	struct ir_certs certs;
	struct ir_certs cas;
	struct ir_policy *policies; /* by precedence */
	size_t n_policies;
	uint32_t n_backend_tls;
	struct weir_map tls_claims; /* hash -> struct ir_tls_claim */
	struct ir_gateway *last_gateway;

	struct ir_front *fronts;
	struct ir_front **fronts_tail;
	const struct ir_claim *claims; /* in order of their places */
	size_t n_claims;
	struct weir_map l4_rules; /* route -> struct ir_rule */
	uint32_t n_listeners;
	uint32_t n_routes;

	struct ir_rule *rules;
	struct ir_rule **rules_tail;
	uint32_t n_rules;
	struct ir_group *groups;
	struct ir_group **groups_tail;
	uint32_t n_groups;

	struct weir_str *regexes;
	size_t n_regexes;
	size_t regexes_cap;
	struct weir_map regex_ids;
};

/* ------------------------------------------------------------------- ir.c */

void weir_ir_init(struct ir *c, struct weir_store *store,
		  const struct weir_compile_options *options,
		  const struct weir_object *only, struct weir_diags *diags);
void weir_ir_fini(struct ir *c);
/* Zeroed; NULL sets c->error. */
void *weir_ir_alloc(struct ir *c, size_t n, size_t size);
void weir_ir_put(struct ir *c, struct weir_map *map, uint64_t key,
		 const void *value);
void *weir_ir_get(const struct weir_map *map, uint64_t key);
/* Id of an object in the plan. */
uint32_t weir_ir_object(struct ir *c, const struct weir_object *object);
/* The same, for a caller who asks once per object and keeps the answer. */
uint32_t weir_ir_new_object(struct ir *c, const struct weir_object *object);
/* Something that a user named and that is not there. */
uint32_t weir_ir_named(struct ir *c, struct weir_str kind, struct weir_str ns,
		       struct weir_str name);
/* Id of a pattern, or WEIR_NONE with *ret_offset where it is wrong. */
uint32_t weir_ir_regex(struct ir *c, struct weir_str pattern,
		       size_t *ret_offset);
/* Appended to all rules, so that it gets its index. */
void weir_ir_add_rule(struct ir *c, struct ir_rule *rule);
struct ir_front *weir_ir_add_front(struct ir *c);
struct ir_listener *weir_ir_add_listener(struct ir *c, struct ir_front *front);

/* A field of an object: ir_field("spec.rules[%u]", i).  Lives in the caller's
 * full expression. */
struct ir_field {
	char text[192];
};
__attribute__((format(printf, 2, 3))) struct weir_str
weir_ir_field(struct ir_field *field, const char *fmt, ...);
#define IR_FIELD(...) weir_ir_field(&(struct ir_field){{0}}, __VA_ARGS__)

/* A diagnostic, unless it was said before; and a fault where the scope wants
 * one, in any case. */
#define IR_DIAG(c, severity, object, reason, field, ...)                       \
	do {                                                                   \
		if (!(c)->is_quiet || (c)->scope.slot) {                       \
			weir_ir_say((c), (severity), (object), (reason),       \
				    (field), __VA_ARGS__);                     \
		}                                                              \
	} while (0)
__attribute__((format(printf, 6, 7))) void
weir_ir_say(struct ir *c, enum weir_severity severity,
	    const struct weir_object *object, const char *reason,
	    struct weir_str field, const char *fmt, ...);

/* ------------------------------------------------------- ir_verdict.c */

/* From now on the first error said is kept at slot too; returns the scope
 * before, to be put back: c->scope = before. */
struct ir_scope weir_ir_enter(struct ir *c, const struct weir_fault **slot,
			      const char *const *reasons);
/* A fault that needs no diagnostic; the first one stays. */
__attribute__((format(printf, 4, 5))) void
weir_ir_fault(struct ir *c, const struct weir_fault **slot, const char *reason,
	      const char *fmt, ...);
/* One for each route of any kind; what is not ours is left out at the end. */
void weir_ir_verdicts_begin(struct ir *c);
/* Moves them, with ids and hashes, to where they outlive the store. */
void weir_ir_verdicts_end(struct ir *c, struct weir_verdicts *ret_verdicts);
/* Of a Gateway or ListenerSet that is ours, with room for its listeners. */
struct weir_gateway_verdict *
weir_ir_gateway_verdict(struct ir *c, const struct weir_object *object,
			size_t n_listeners);
struct weir_class_verdict *
weir_ir_class_verdict(struct ir *c, const struct weir_object *class);
struct weir_policy_verdict *
weir_ir_policy_verdict(struct ir *c, const struct weir_object *object);
struct weir_king_verdict *
weir_ir_king_verdict(struct ir *c, const struct weir_object *object);
/* That of parentRef number; made when first asked for. */
struct weir_parent_verdict *
weir_ir_parent_verdict(struct ir *c, struct weir_route_verdict *route,
		       const struct weir_object *object, size_t number);
bool weir_ir_has_parent(const struct weir_route_verdict *route,
			enum weir_parent_type type);
/* Of a route; soonest for the one asked for last and the one after it.  NULL
 * when memory is out. */
struct weir_route_verdict *
weir_ir_route_verdict(struct ir *c, const struct weir_object *object);
/* The reasons of ResolvedRefs and of Accepted, for weir_ir_enter(). */
extern const char *const weir_ir_ref_reasons[];
extern const char *const weir_ir_value_reasons[];

/* ------------------------------------------------------------- annotations */

enum ir_split weir_ir_split(struct ir *c, const struct weir_object *object);
bool weir_ir_no_forwarded(struct ir *c, const struct weir_object *object,
			  bool inherited);

/* ------------------------------------------------- gateway.c and attach.c */

void weir_ir_gateways(struct ir *c);
/* conflict.c */
int weir_ir_family(enum ir_protocol protocol);
/* Of a Gateway and its sets. */
void weir_ir_conflicts(struct ir *c, struct ir_gateway *gateway);
/* address.c: the pool of a class of ours; NULL if it has none. */
struct ir_pool;
const struct ir_pool *weir_ir_pool(struct ir *c,
				   const struct weir_object *class,
				   const struct weir_fault **fault);
/* First for all Gateways the one, in order of age, then the other. */
void weir_ir_known_addresses(struct ir *c, struct ir_gateway *gateway);
void weir_ir_new_addresses(struct ir *c, struct ir_gateway *gateway);
/* One of ours, or NULL. */
struct ir_gateway *weir_ir_find_gateway(struct ir *c, struct weir_str ns,
					struct weir_str name);
struct ir_gateway *weir_ir_find_set(struct ir *c, struct weir_str ns,
				    struct weir_str name);
/* Does a selector take a namespace? */
bool weir_ir_selects(struct ir *c, const struct weir_selector *selector,
		     struct weir_str ns);
/* Of a listener that has none of this name; weir_ir_vhost() will not find it.
 */
struct ir_vhost *weir_ir_new_vhost(struct ir *c, struct ir_listener *listener,
				   struct weir_str hostname);
struct ir_vhost *weir_ir_vhost(struct ir *c, struct ir_listener *listener,
			       struct weir_str hostname);
/* The more specific of two hostnames that cover each other ("" covers all). */
bool weir_ir_intersect(struct weir_str listener, struct weir_str route,
		       struct weir_str *ret_both);

/* One route on its way through its parents. */
struct ir_route {
	const struct weir_object *object;
	struct weir_route_verdict *verdict; /* weir_ir_attach() finds it */
	uint32_t id; /* unique among all routes of all kinds */
	uint32_t rank;
	bool is_seen; /* one of the parents is weir's */
};
/* Called for each listener that a route attaches to, once.  A listener of a
 * parent Service has no spec. */
typedef void (*ir_attach_fn)(struct ir *c, struct ir_route *route, void *arg,
			     struct ir_listener *listener);
void weir_ir_attach(struct ir *c, struct ir_route *route, ir_attach_fn fn,
		    void *arg);
/* Ranks of the n objects by age, namespace and name. */
const uint32_t *weir_ir_ranks(struct ir *c, const struct weir_object *const *v,
			      size_t n);

/* ------------------------------------------------- grant.c, certs.c */

/* True also inside one namespace. */
bool weir_ir_is_granted(struct ir *c, const struct weir_object *from,
			const struct weir_object_ref *to);

struct ir_cert_request {
	const struct weir_object *from;
	const struct weir_object_ref *to;
	const char *bad;      /* reason: it is not there, or of no use */
	const char *bad_kind; /* reason: it can hold none */
	struct weir_str field;
};
/* NULL, and said, if it cannot be used. */
const struct ir_cert *weir_ir_cert(struct ir *c,
				   const struct ir_cert_request *request);
const struct ir_cert *weir_ir_ca(struct ir *c,
				 const struct ir_cert_request *request);
/* The Secret of a KIngress, in any namespace: Knative's controllers write
 * KIngresses, users do not. */
const struct ir_cert *weir_ir_secret(struct ir *c,
				     const struct weir_object *from,
				     struct weir_str ns, struct weir_str name,
				     struct weir_str field);
/* Certificates, and what clients must show, of an HTTPS or TLS listener. */
void weir_ir_listener_tls(struct ir *c, const struct ir_gateway *gateway,
			  const struct weir_object *owner,
			  struct ir_listener *listener, size_t number);
/* What backends are shown. */
void weir_ir_backend_cert(struct ir *c, struct ir_gateway *gateway);

/* ------------------------------------------------------- backend_tls.c */

/* All of the store: before any route. */
void weir_ir_policies(struct ir *c);
/* The one that counts for a port, NULL if there is none; it may be bad.  All
 * that name the Service through ret_claims. */
struct ir_policy *weir_ir_policy_for(struct ir *c,
				     const struct weir_object *service,
				     const struct weir_service_port *port,
				     const struct ir_tls_claim **ret_claims);
/* Which Gateways lead to their targets: after all routes. */
void weir_ir_ancestors(struct ir *c);

/* --------------------------------------------------- service.c, refs.c */

enum ir_backend_use {
	IR_USE_HTTP,
	IR_USE_GRPC,
	IR_USE_TCP,
	IR_USE_UDP,
	IR_USE_TLS /* bytes, after termination: a policy encrypts them anew */
};

/* Reads the store's Services and EndpointSlices: before all else here. */
void weir_ir_services(struct ir *c);
/* NULL if there is none. */
struct ir_service *weir_ir_service(struct ir *c, struct weir_str ns,
				   struct weir_str name);
/* Likewise, of one that need not stand in the plan. */
const struct weir_service_spec *weir_ir_service_spec(const struct ir *c,
						     struct weir_str ns,
						     struct weir_str name);
/* The endpoints of one port of a Service that is there. */
struct ir_group *weir_ir_group(struct ir *c, struct ir_service *service,
			       const struct weir_service_port *port);
const struct weir_service_port *
weir_ir_service_port(const struct weir_object *service, uint32_t port,
		     const char *protocol);
/* Its endpoints, from the slices of the Service. */
void weir_ir_fill_group(struct ir *c, const struct ir_service *service,
			const struct weir_service_port *port,
			struct ir_group *g);
/* What weir_ir_group() gives it for a key. */
uint64_t weir_ir_group_key(const struct weir_object *service,
			   const struct weir_service_port *port);
/* The same of a revision's private Service, with those that are not ready
 * (WEIR_GROUP_PODS). */
struct ir_group *weir_ir_pods(struct ir *c, struct ir_service *service,
			      const struct weir_service_port *port);
uint64_t weir_ir_pods_key(const struct weir_object *service,
			  const struct weir_service_port *port);
/* Addresses of Knative's activator: before any group is filled. */
void weir_ir_activators(struct ir *c);
/* Some slice of the Service has the port, whether an endpoint is ready or
 * not. */
bool weir_ir_has_slice_port(const struct ir *c,
			    const struct ir_service *service,
			    const struct weir_service_port *port);
/* The Service of Knative's activator. */
bool weir_ir_is_activator(struct weir_str ns, struct weir_str name);
/* Nothing, or Knative's activator, serves it. */
bool weir_ir_group_is_asleep(const struct ir_group *group);
/* HTTP/2 without TLS, by appProtocol or Knative's port name. */
bool weir_ir_port_is_h2c(const struct weir_service_port *port, bool is_knative);

struct ir_refs_request {
	const struct weir_object *route;
	const struct weir_route_rule *rule;
	size_t number; /* of the rule */
	enum ir_backend_use use;
	/* Where the first reference that does not resolve is told. */
	const struct weir_fault **fault;
	bool is_mesh; /* no ReferenceGrant needed (GEP-1294) */
	bool is_dry;  /* only says what is wrong: nothing of it is planned */
};
/* Fills refs, weights and the affinity flag of out. */
void weir_ir_refs(struct ir *c, const struct ir_refs_request *request,
		  struct ir_rule *out);

/* ------------------------------------------------------------ filter.c */

struct ir_filter_request {
	const struct weir_object *route;
	const struct weir_mfilter *filters;
	size_t n;
	struct weir_str field; /* "spec.rules[0].filters" */
};
void weir_ir_filters(struct ir *c, const struct ir_filter_request *request,
		     struct ir_filters *out);
/* Do they do the same to a request? */
bool weir_ir_is_same_filters(const struct ir_filters *x,
			     const struct ir_filters *y);
/* A filter that sets these headers, appended to out. */
void weir_ir_filter_set(struct ir *c, struct weir_pairs headers,
			struct ir_filters *out);
/* Copy for requests that matched prefix. */
void weir_ir_filters_for_prefix(struct ir *c, struct ir_filters *filters,
				struct weir_str prefix);

/* ------------------------------------------------------ http.c, match.c */

/* HTTPRoutes, or GRPCRoutes. */
void weir_ir_http_routes(struct ir *c, enum weir_kind kind);
/* NULL if the match is wrong (then the rule is dropped). */
struct ir_match *weir_ir_match(struct ir *c, const struct weir_object *route,
			       const struct weir_http_match *match, size_t rule,
			       size_t number);
/* tier: weir_ir_tier() of the hostname as the route wrote it. */
void weir_ir_add_entry(struct ir *c, struct ir_vhost *vhost,
		       const struct ir_match *match, struct ir_rule *rule,
		       uint32_t tier, uint32_t rank);
static inline bool weir_ir_is_grpc(const struct ir_entry *entry)
{
	return entry->rule->flags & WEIR_RULE_GRPC;
}
uint32_t weir_ir_tier(struct weir_str hostname);
/* By tier, then precedence.  scratch: room for n. */
void weir_ir_sort_entries(struct ir_entry **v, struct ir_entry **scratch,
			  size_t n);

/* -------------------------------------------------- l4.c, mesh.c, others */

void weir_ir_l4_routes(struct ir *c);
/* The rule of a TCP, UDP or TLS route; NULL if it has none. */
struct ir_rule *weir_ir_l4_rule(struct ir *c, const struct weir_object *route,
				enum ir_backend_use use, bool is_mesh,
				bool is_dry);
void weir_ir_tls_routes(struct ir *c);
/* Frontends of a parent Service; fn is called for each of its listeners. */
void weir_ir_mesh_attach(struct ir *c, struct ir_route *route, size_t number,
			 ir_attach_fn fn, void *arg);
/* What consumer routes leave for other clients: after all routes and planes. */
void weir_ir_consumers(struct ir *c);
/* An address and port belong to one front: Gateways (older first), then
 * Services with routes, then Knative's.  After all fronts. */
void weir_ir_claims(struct ir *c);
struct weir_writer;
/* weir_plan.clients. */
struct weir_span weir_ir_emit_clients(struct ir *c, struct weir_writer *w);
void weir_ir_kingresses(struct ir *c);
const struct ir_king_host *weir_ir_king_host(struct ir *c, struct weir_str ns,
					     struct weir_str name);
/* The path that takes what no header and no path narrows; NULL if none does.
 * Others are said to be left out, at field of route. */
const struct weir_king_path *
weir_ir_king_default_path(struct ir *c, const struct ir_king_host *host,
			  const struct weir_object *route,
			  struct weir_str field);
/* The splits of one path as refs, weights in percent.  0, or -EINVAL if they
 * do not make up 100 %. */
struct ir_splits {
	struct ir_ref v[IR_SPLITS_MAX];
	uint32_t n;
};
int weir_ir_king_splits(struct ir *c, const struct weir_object *ingress,
			const struct weir_king_path *path,
			struct ir_splits *ret_splits);

void weir_ir_plan_planes(struct ir *c);

#endif
