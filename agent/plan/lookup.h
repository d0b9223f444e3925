/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding with a plan: frontend, listener, vhost, match, rule, ref, endpoint.
 * Pure functions over the two blocks; the proxy's request path, weirctl
 * explain and the tests run this very code.  No allocation.
 *
 * Where the Gateway API leaves the choice:
 *  - paths are compared byte for byte, as they will be forwarded;
 *  - several lines of one header count as one, joined by ",";
 *  - of a repeated query parameter the first counts; names and values are
 *    decoded ("%XX", and "+" as a space) before they are compared with what the
 *    user wrote; a parameter without "=" has the empty value; only "&"
 * separates;
 *  - regular expressions must cover the whole value (regex.h);
 *  - a host written with a final dot is the same host.
 */
#ifndef WEIR_PLAN_LOOKUP_H
#define WEIR_PLAN_LOOKUP_H

#include "plan.h"

struct weir_header {
	struct weir_str name;  /* as received */
	struct weir_str value; /* without surrounding blanks */
};

/* What matching looks at.  path: percent-encoding untouched, no query; query:
 * without '?', .p NULL if there was no '?'. */
struct weir_request {
	struct weir_str method;
	struct weir_str host; /* without port, lower case */
	struct weir_str path;
	struct weir_str query;
	const struct weir_header *headers;
	size_t n_headers;
};

/* Compiled regexes of one plan, by regex index; owned by the caller of
 * weir_regexes_new (pcre2, JIT, match limit).  One per thread group: matching
 * needs a scratch of the calling thread. */
struct weir_regexes;
int weir_regexes_new(const struct weir_plan *plan,
		     struct weir_regexes **ret_regexes);
void weir_regexes_free(struct weir_regexes **regexes);
/* Compiles one pattern only to know whether it is valid.  0 or -EINVAL with
 * the byte offset of the fault. */
int weir_regex_check(struct weir_str pattern, size_t *ret_offset);

struct weir_decision {
	const struct weir_frontend *frontend;
	const struct weir_listener
		*listener;              /* NULL: no listener for this host */
	const struct weir_vhost *vhost; /* NULL: no route for this host */
	const struct weir_match *match; /* NULL: no match */
	const struct weir_rule *rule;   /* NULL: 404 */
};

/* By local address; NULL if weir does not take it.  proto: IPPROTO_*. */
const struct weir_frontend *weir_find_frontend(const struct weir_plan *plan,
					       const struct weir_ip *addr,
					       __be16 port_be, uint8_t proto);
/* By place in the proxy prefix (>= 1). */
const struct weir_frontend *weir_find_proxied(const struct weir_plan *plan,
					      uint32_t proxy_index);
/* Fills what it can: rule stays NULL when the answer is 404. */
void weir_decide(const struct weir_plan *plan,
		 const struct weir_regexes *regexes,
		 const struct weir_frontend *frontend,
		 const struct weir_request *request,
		 struct weir_decision *ret_decision);
/*
 * The same for a frontend of mode TLS, by the server name of the hello (lower
 * case; empty: it had none).  listener NULL: nothing of weir's has that name,
 * the connection is refused.  Of a WEIR_LISTENER_RAW listener the rule is
 * found, too (NULL: refused); of others weir_decide() finds it per request.
 */
void weir_decide_sni(const struct weir_plan *plan,
		     const struct weir_frontend *frontend, struct weir_str sni,
		     struct weir_decision *ret_decision);
/* Has gRPC's content type ("application/grpc", then nothing, "+" or ";"). */
bool weir_request_is_grpc(const struct weir_request *request);
/* The namespace of a client's address; empty: not known, or of no concern. */
struct weir_str weir_find_client_ns(const struct weir_plan *plan,
				    const struct weir_ip *addr);
/* Among the frontends of one address: the one for clients in ns, else the one
 * for all.  frontend: any of them. */
const struct weir_frontend *
weir_find_for_client(const struct weir_plan *plan,
		     const struct weir_frontend *frontend, struct weir_str ns);
/* Why a match does not apply, for explain. */
enum weir_miss {
	WEIR_MISS_NONE, /* it applies */
	WEIR_MISS_PATH,
	WEIR_MISS_METHOD,
	WEIR_MISS_HEADER,
	WEIR_MISS_QUERY,
};
/* *ret_cond: which header or query condition. */
enum weir_miss weir_match_miss(const struct weir_plan *plan,
			       const struct weir_regexes *regexes,
			       const struct weir_match *match,
			       const struct weir_request *request,
			       uint32_t *ret_cond);
/* The ref of rule at position x (weir_weyl); NULL: the rule has no refs with
 * weight, answer 500. */
const struct weir_ref *weir_choose_ref(const struct weir_plan *plan,
				       const struct weir_rule *rule,
				       uint32_t x);

#endif
