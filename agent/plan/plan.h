/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: everything that was asked for, compiled.  Three flat blocks in
 * sealed memfds, addressed by offsets, immutable:
 *
 *   rules      frontends -> listeners -> vhosts -> tables -> matches -> rules
 *              -> slots -> refs -> groups
 *   endpoints  group -> endpoints; republished alone when endpoints churn
 *   secrets    certificates with their keys, CA bundles (secrets.h); only the
 *              proxy gets it, and nothing prints or stores it
 *
 * The same bytes are read by the kernel projection, the proxy workers, weirctl
 * and the tests.  compile/ writes them, and nobody else.  Spans are
 * (byte offset from the start of the block, number of elements); offset 0 is
 * the header, so an all-zero span is the empty one.  A reader of bytes from
 * another process calls weir_plan_open(), which checks every span and index
 * once; after that the accessors below need no checks.
 *
 * Deterministic: the same store snapshot gives the same bytes, except for
 * generation and stat ids, which are stamped afterwards (stamp.h).
 */
#ifndef WEIR_PLAN_PLAN_H
#define WEIR_PLAN_PLAN_H

#include <stdint.h>

#include "str.h"
#include "weir_abi.h"
#include "weir_pick.h"

#define WEIR_PLAN_MAGIC 0x52494557u /* "WEIR" */
#define WEIR_EPS_MAGIC 0x50454557u  /* "WEEP" */
#define WEIR_PLAN_VERSION 5
#define WEIR_NONE 0xFFFFFFFFu /* no index */

struct weir_span {
	uint32_t off; /* bytes from the start of the block */
	uint32_t n;   /* elements (bytes for text) */
};

enum weir_plane {
	WEIR_PLANE_PROXY,      /* per request, or raw relay */
	WEIR_PLANE_CONNECTION, /* connect and packet planes, relay behind them
				*/
	WEIR_PLANE_HTTP,       /* reserved: the per-request plane in TC */
	_WEIR_PLANE_MAX
};

/* Why a rule is on its plane; text through weir_reason_text(). */
enum weir_reason {
	WEIR_REASON_PER_CONNECTION, /* TCP, UDP: per connection by nature */
	WEIR_REASON_SPLIT_ASKED,   /* weir.dev/split: connection, and it fits */
	WEIR_REASON_PER_REQUEST,   /* weight is a share of requests (default) */
	WEIR_REASON_NEEDS_MATCH,   /* split asked, but path/header/... decide */
	WEIR_REASON_NEEDS_HOST,    /* split asked, but a hostname decides */
	WEIR_REASON_NEEDS_FILTER,  /* split asked, but a filter must run */
	WEIR_REASON_NEEDS_TIMEOUT, /* split asked, but a timeout is set */
	WEIR_REASON_NEEDS_SERVE_MODE, /* split asked, a revision sleeps */
	WEIR_REASON_MIXED_PROTOCOL, /* split asked, backends differ in protocol
				     */
	WEIR_REASON_TOO_MANY_SLOTS, /* more refs than a kernel row holds */
	WEIR_REASON_NOT_SERVED,   /* decoded, not served yet: see diagnostics */
	WEIR_REASON_NEEDS_SNI,    /* the server name of the TLS hello decides */
	WEIR_REASON_NEEDS_CLIENT, /* the namespace of the client decides */
	WEIR_REASON_NEEDS_REST, /* split asked, a revision slept until lately */
	WEIR_REASON_NEEDS_LIMIT, /* split asked, a pod takes few requests */
	_WEIR_REASON_MAX
};

/* What a frontend speaks. */
enum weir_mode {
	WEIR_MODE_HTTP,   /* cleartext HTTP: listeners and vhosts */
	WEIR_MODE_TCP,    /* rule: per connection */
	WEIR_MODE_UDP,    /* rule: per association */
	WEIR_MODE_REFUSE, /* known, but not served: closed at once */
	WEIR_MODE_TLS,    /* listeners by the server name of the TLS hello, see
			   * weir_decide_sni(); what each does: WEIR_LISTENER_* */
	_WEIR_MODE_MAX
};

enum weir_origin {
	WEIR_ORIGIN_GATEWAY, /* a Gateway's listener; the address is local */
	WEIR_ORIGIN_SERVICE, /* a route's parent Service */
	WEIR_ORIGIN_KNATIVE, /* a Knative placeholder's ClusterIP */
	_WEIR_ORIGIN_MAX
};

/* A user's object, for explain, metrics and status. */
struct weir_pobject {
	struct weir_span kind; /* "HTTPRoute" */
	struct weir_span ns;
	struct weir_span name;
	int64_t generation;
};

/* An address that weir takes. */
struct weir_frontend {
	struct weir_ip addr;
	__be16 port_be;
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t mode;  /* enum weir_mode */
	uint8_t origin;
	uint8_t is_local; /* weir makes the address local and steers to the
			     proxy */
	uint8_t plane;    /* enum weir_plane of its deciding rule(s) */
	uint8_t reason;
	uint32_t object; /* Gateway, Service or Route */
	uint32_t rule;   /* TCP/UDP (always there: no route is REFUSE), or HTTP
			  * split by connection; else WEIR_NONE.  With mode HTTP
			  * the listeners are filled as well. */
	uint32_t proxy_index; /* stamped, >= 1: place in the proxy prefix; 0: it
			       * has none (weir_frontend_is_proxied) */
	struct weir_span consumer_ns; /* only clients of it (weir_plan.clients);
				       * empty: all others */
	struct weir_span listeners;   /* struct weir_listener */
	struct weir_span host_index;  /* uint32_t hash, see index.h */
};

/* A listener: picked among those of the frontend by Host, or for mode TLS by
 * the server name.  HTTP listeners speak HTTP/1.1 and HTTP/2 (by ALPN, or with
 * prior knowledge in cleartext). */
struct weir_listener {
	struct weir_span name;
	struct weir_span hostname; /* lower case; "*.x" wildcard; empty: any */
	uint32_t object;           /* Gateway, ListenerSet, Service, Route */
	uint32_t flags;            /* WEIR_LISTENER_* */
	struct weir_span vhosts;   /* struct weir_vhost, in order of hostname */
	struct weir_span host_index; /* uint32_t hash, see index.h */
	struct weir_span certs; /* uint32_t: among weir_plan.certs, as listed;
				 * with TLS_TERMINATE at least one */
	struct weir_span client_cas; /* uint32_t: among weir_plan.cas, that a
				      * client's certificate must come from;
				      * empty: none is asked for */
	uint32_t backend_cert; /* shown to backends that ask for one: place
				* among weir_plan.certs + 1; 0: none */
	uint32_t pad;
};
#define WEIR_LISTENER_FIRST_MATCH 1u /* KIngress: rules in list order */
/* Mode TLS, one of the first two: */
#define WEIR_LISTENER_TLS_TERMINATE 2u   /* weir holds the certificate */
#define WEIR_LISTENER_TLS_PASSTHROUGH 4u /* the backend holds it */
#define WEIR_LISTENER_RAW                                                      \
	8u /* TLSRoute: the server name decides the rule, bytes are relayed;   \
	    * else what is inside is HTTP */
#define WEIR_LISTENER_CLIENT_OPTIONAL                                          \
	16u /* a client without a good certificate is let in nevertheless */

/* An effective hostname: the intersection of listener and routes. */
struct weir_vhost {
	struct weir_span hostname; /* lower case; "*.x"; empty: any */
	struct weir_span tables;   /* struct weir_table, tried in order */
	struct weir_span grpc; /* likewise, of GRPCRoutes: tried first, and only
				* for requests with gRPC's content type */
};

/* Matches of one precedence tier (same original route hostname). */
struct weir_table {
	struct weir_span matches; /* struct weir_match in order of precedence */
	struct weir_span
		exact; /* uint32_t hash: first match of that path + 1 */
	struct weir_span
		prefix; /* uint32_t hash: likewise; key without final / */
	struct weir_span regex; /* uint32_t: match indices in order */
};

enum weir_path_type {
	WEIR_PATH_EXACT,
	WEIR_PATH_PREFIX, /* by elements */
	WEIR_PATH_REGEX,
	WEIR_PATH_BYTE_PREFIX, /* KIngress: literal prefix; kept in regex list
				*/
	WEIR_PATH_GRPC_METHOD, /* "/" and a method: of any service; kept there,
				  too */
	_WEIR_PATH_MAX
};

enum weir_cond_type { WEIR_COND_EXACT, WEIR_COND_REGEX, _WEIR_COND_MAX };

struct weir_cond {
	struct weir_span name; /* headers: lower case */
	struct weir_span value;
	uint32_t type;  /* enum weir_cond_type */
	uint32_t regex; /* index among the plan's regexes, or WEIR_NONE */
};

struct weir_match {
	struct weir_span path;
	struct weir_span method;  /* empty: any */
	struct weir_span headers; /* struct weir_cond */
	struct weir_span query;   /* struct weir_cond */
	uint32_t path_type;
	uint32_t regex; /* of the path, or WEIR_NONE */
	uint32_t rule;  /* index among the plan's rules */
	uint32_t next;  /* next match of the same path in this table, or
			   WEIR_NONE */
};

enum weir_filter_type {
	WEIR_FILTER_REQUEST_HEADERS,
	WEIR_FILTER_RESPONSE_HEADERS,
	WEIR_FILTER_REDIRECT,
	WEIR_FILTER_REWRITE,
	WEIR_FILTER_UNSUPPORTED, /* answers 500: must not be skipped */
	_WEIR_FILTER_MAX
};

enum weir_header_op {
	WEIR_HEADER_SET,
	WEIR_HEADER_ADD,
	WEIR_HEADER_REMOVE,
	WEIR_HEADER_OVERRIDE, /* set, where it says "override" (Knative's
			       * probes); else as it is.  Requests only */
	_WEIR_HEADER_OP_MAX
};

struct weir_header_mod {
	struct weir_span name;
	struct weir_span value;
	uint32_t op; /* enum weir_header_op */
	uint32_t pad;
};

enum weir_path_mod {
	WEIR_PATH_MOD_NONE,
	WEIR_PATH_MOD_FULL,
	WEIR_PATH_MOD_PREFIX, /* replaces the matched prefix */
};

struct weir_filter {
	uint32_t type;
	uint32_t path_mod;
	struct weir_span mods;     /* struct weir_header_mod */
	struct weir_span scheme;   /* redirect; empty: the request's */
	struct weir_span hostname; /* redirect, rewrite; empty: unchanged */
	struct weir_span path; /* replacement; may be empty with path_mod set */
	struct weir_span
		matched_prefix; /* what WEIR_PATH_MOD_PREFIX replaces */
	uint16_t port;          /* redirect; 0: by scheme or listener */
	uint16_t status;        /* redirect */
	uint32_t pad;
};

/* The unit that a user wrote: what happens to what matched. */
struct weir_rule {
	uint64_t key;    /* identity, stable over edits: stat ids follow it */
	uint32_t object; /* the route */
	uint32_t index;  /* rule number in the route */
	struct weir_span name; /* of the rule, may be empty */
	struct weir_span
		slots; /* struct weir_slot: group field = index into refs */
	struct weir_span refs;       /* struct weir_ref */
	struct weir_span filters;    /* struct weir_filter */
	uint32_t request_timeout_ms; /* 0: none */
	uint32_t backend_timeout_ms;
	uint32_t stat;  /* stamped */
	uint8_t plane;  /* enum weir_plane */
	uint8_t reason; /* enum weir_reason */
	uint8_t flags;  /* WEIR_RULE_* */
	uint8_t pad;
};
#define WEIR_RULE_NO_FORWARDED 1u /* weir.dev/forwarded: none */
#define WEIR_RULE_AFFINITY 2u     /* Service sessionAffinity: ClientIP */
#define WEIR_RULE_GRPC                                                         \
	4u /* of a GRPCRoute: errors are answered as gRPC does                 \
	    */
#define WEIR_RULE_HOLD                                                         \
	8u /* Knative: a request whose backend has no endpoint waits for one   \
	    */

enum weir_ref_state {
	WEIR_REF_OK,      /* group names its endpoints */
	WEIR_REF_INVALID, /* 500; refused */
	WEIR_REF_UNREADY, /* resolved, nothing to serve it: 503; refused */
	_WEIR_REF_MAX
};

/* What a backend is spoken to with; inside TLS where weir_ref.tls says so. */
enum weir_backend_proto {
	WEIR_BACKEND_HTTP1,
	WEIR_BACKEND_H2C, /* HTTP/2 with prior knowledge; in TLS: ALPN h2 */
	WEIR_BACKEND_RAW
};

/* One weighted destination of a rule. */
struct weir_ref {
	uint64_t key;    /* identity */
	uint64_t weight; /* as written (for Knative: weight x percent) */
	uint32_t object; /* what the user named */
	uint32_t group; /* index into groups, or WEIR_NONE unless WEIR_REF_OK */
	struct weir_span filters; /* per-backend, after the rule's */
	struct weir_span detail;  /* "revision my-app-00002", or empty */
	uint32_t stat;            /* stamped */
	uint8_t state;            /* enum weir_ref_state */
	uint8_t proto;            /* enum weir_backend_proto */
	uint16_t index;           /* of the backendRef in the rule */
	uint32_t tls;      /* place in weir_plan.backend_tls + 1; 0: no TLS */
	uint32_t revision; /* place in weir_plan.revisions + 1; 0: none */
};

/* A set of interchangeable endpoints: Service and port. */
struct weir_group {
	uint64_t key;
	uint32_t object; /* Service */
	uint32_t port;   /* Service port, host order */
	struct weir_span port_name;
	uint32_t flags;       /* WEIR_GROUP_* */
	uint32_t concurrency; /* requests at once that each endpoint takes, but
			       * for activators; 0: any number */
};
#define WEIR_GROUP_PODS                                                        \
	1u /* of a revision's private Service, those that are not ready too:   \
	    * of no weir_ref */

/* A Knative revision that the proxy may wake by itself, without the activator:
 * of unlimited concurrency, and ready when its queue-proxy says so. */
struct weir_revision {
	struct weir_span ns;
	struct weir_span name;
	uint32_t pods;     /* group, with WEIR_GROUP_PODS */
	__be16 program_be; /* a pod is ready when its program listens there
			    * and queue-proxy where it does; 0: it may not be */
	uint16_t pad;
};

enum weir_san_type { WEIR_SAN_HOSTNAME, WEIR_SAN_URI, _WEIR_SAN_MAX };

struct weir_san {
	struct weir_span value;
	uint32_t type; /* enum weir_san_type */
	uint32_t pad;
};

/* How weir speaks TLS to backends: a BackendTLSPolicy. */
struct weir_backend_tls {
	struct weir_span hostname; /* server name, lower case; the certificate
				    * must say it, or one of sans if there are
				    * any (then not the hostname) */
	struct weir_span sans;     /* struct weir_san */
	struct weir_span cas; /* uint32_t: among weir_plan.cas; empty: those of
			       * the system */
	uint32_t object;      /* the policy */
	uint32_t pad;
};

/* What of the secrets block may be known: whose it is, and a hash over the
 * certificates (never over a key), by which unchanged ones are told. */
struct weir_plan_cert {
	uint64_t hash;
	uint32_t object; /* Secret, ConfigMap */
	uint32_t pad;
};

/* Where a client is, for frontends with consumer_ns. */
struct weir_client_addr {
	struct weir_ip addr;
	struct weir_span ns;
};

/* An address that weir makes local (AnyIP) on the node. */
struct weir_local_addr {
	struct weir_ip addr;
	uint32_t object; /* Gateway */
	uint32_t pad;
};

/* Places in the proxy prefix: index i is its i-th address, and the smallest
 * default prefix, a /20, has 4094 of them without its ends. */
#define WEIR_PROXIED_MAX 4094u

/* Is it to have a place in the proxy prefix?  Clients are told apart behind one
 * address of it. */
static inline bool weir_frontend_is_proxied(const struct weir_frontend *f)
{
	return !f->is_local && f->consumer_ns.n == 0;
}

struct weir_plan {
	uint32_t magic;
	uint16_t version;
	uint16_t header_size;
	uint64_t size;                /* bytes of the block */
	uint64_t generation;          /* stamped */
	struct weir_span objects;     /* struct weir_pobject */
	struct weir_span frontends;   /* struct weir_frontend, by address, port,
				       * proto, consumer_ns (bytewise) */
	struct weir_span rules;       /* struct weir_rule */
	struct weir_span groups;      /* struct weir_group */
	struct weir_span regexes;     /* struct weir_span: pattern texts */
	struct weir_span local_addrs; /* struct weir_local_addr */
	struct weir_span proxied; /* uint32_t, stamped: frontend of proxy_index
				   * i + 1, or WEIR_NONE; WEIR_PROXIED_MAX of
				   * them, or none */
	struct weir_span certs;   /* struct weir_plan_cert: i is certs[i] of the
				   * secrets block */
	struct weir_span cas;     /* struct weir_plan_cert, likewise */
	struct weir_span backend_tls; /* struct weir_backend_tls */
	struct weir_span revisions;   /* struct weir_revision */
	uint32_t autoscaler;          /* group of Knative's + 1; 0: none */
	uint32_t pad;
	struct weir_span clients; /* struct weir_client_addr, by address
				   * (bytewise), of namespaces that are some
				   * frontend's consumer_ns */
};

#define WEIR_ENDPOINT_LOCAL 1u /* its node is this node */
#define WEIR_ENDPOINT_TERMINATING                                              \
	2u /* chosen only because no other is left                             \
	    */

#define WEIR_ENDPOINT_ACTIVATOR 4u /* stands in for a revision that sleeps */
#define WEIR_ENDPOINT_UNREADY 8u   /* with WEIR_GROUP_PODS only */

struct weir_endpoint {
	struct weir_ip addr;
	__be16 port_be;
	uint16_t flags;
	uint32_t stat; /* stamped: endpoint id */
};

/* The endpoints block. sets[i] belongs to groups[i] of the rules block. */
struct weir_eps {
	uint32_t magic;
	uint16_t version;
	uint16_t header_size;
	uint64_t size;
	uint64_t generation;   /* stamped */
	uint64_t groups_hash;  /* of the group keys: pairs it with its rules
				  block */
	struct weir_span sets; /* struct weir_span of struct weir_endpoint */
};

/* Both blocks, mapped. */
struct weir_plan_view {
	const struct weir_plan *rules;
	const struct weir_eps *eps;
};

static inline const void *weir_plan_at(const struct weir_plan *p,
				       struct weir_span s)
{
	return (const char *)p + s.off;
}

static inline struct weir_str weir_plan_str(const struct weir_plan *p,
					    struct weir_span s)
{
	return (struct weir_str){(const char *)p + s.off, s.n};
}

/* i-th element of type in span s of plan p; i < s.n. */
#define WEIR_PLAN_ELEM(p, type, s, i)                                          \
	(&((const type *)weir_plan_at((p), (s)))[i])

/* Endpoints of group (index into groups): all IPv4 ones, then all IPv6 ones. */
static inline const struct weir_endpoint *
weir_eps_of(const struct weir_eps *e, uint32_t group, uint32_t *ret_n)
{
	const struct weir_span *sets =
		(const struct weir_span *)((const char *)e + e->sets.off);

	*ret_n = sets[group].n;
	return (const struct weir_endpoint *)((const char *)e +
					      sets[group].off);
}

/* Checks magic, version, sizes, every span, index and hash table of two blocks
 * (size in bytes) and that they belong together.  0, -EPROTO (version), or
 * -EBADMSG.  Only after 0 may the accessors be used. */
int weir_plan_open(const void *rules, size_t rules_size, const void *eps,
		   size_t eps_size, struct weir_plan_view *ret_view);
/* Order of weir_plan.frontends: <0, 0, >0. */
int weir_frontend_cmp(const struct weir_plan *plan,
		      const struct weir_frontend *a,
		      const struct weir_frontend *b);
/* Hash over the keys of all groups, for weir_eps.groups_hash. */
uint64_t weir_plan_groups_hash(const struct weir_plan *plan);
const char *weir_plane_text(uint8_t plane);
const char *weir_reason_text(uint8_t reason);
const char *weir_mode_text(uint8_t mode);
const char *weir_origin_text(uint8_t origin);

#endif
