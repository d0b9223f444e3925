/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPRoute matches, and which of two that fit a request wins.
 *
 * Order inside one hostname: the route's own hostname (exact, then longest
 * wildcard, then none; Gateway API v1.7 HostnameIntersectionPrecedence), then
 * Exact path, RegularExpression (longer pattern first; the API leaves its place
 * open), PathPrefix (longer first), method, number of headers, number of query
 * parameters, age of the route, its namespace/name, place in its list.
 */
#include "ir.h"

#define PATH_MAX_BYTES 1024 /* HTTPPathMatch.value, MaxLength */
#define CONDS_MAX 64        /* the API allows 16 */

static void drop(struct ir *c, const struct weir_object *route,
		 struct weir_str field, const char *reason,
		 struct weir_str value, const char *expected)
{
	IR_DIAG(c, WEIR_DIAG_ERROR, route, reason, field,
		"Dropped Rule: \"%.*s\"; expected %s", WEIR_STR_ARG(value),
		expected);
}

static void drop_regex(struct ir *c, const struct weir_object *route,
		       struct weir_str field, struct weir_str value,
		       size_t offset)
{
	IR_DIAG(c, WEIR_DIAG_ERROR, route, "UnsupportedValue", field,
		"Dropped Rule: \"%.*s\" is wrong at character %zu; expected a "
		"regular expression (PCRE2)",
		WEIR_STR_ARG(value), offset + 1);
}

/* The CEL rules of HTTPPathMatch for Exact and PathPrefix. */
static bool is_clean_path(struct weir_str path)
{
	if (path.n == 0 || path.n > PATH_MAX_BYTES || path.p[0] != '/') {
		return false;
	}
	for (size_t i = 0; i < path.n; i++) {
		const char *p = path.p + i;
		size_t left = path.n - i;
		unsigned char b = (unsigned char)*p;

		if (b <= ' ' || b == 0x7F || b == '#' || b == '?') {
			return false;
		}
		if (b == '%' && left >= 3 && p[1] == '2' &&
		    (p[2] == 'f' || p[2] == 'F')) {
			return false;
		}
		if (b != '/' || left == 1) {
			continue;
		}
		if (p[1] == '/' ||
		    (p[1] == '.' && (left == 2 || p[2] == '/')) ||
		    (p[1] == '.' && p[2] == '.' &&
		     (left == 3 || p[3] == '/'))) {
			return false;
		}
	}
	return true;
}

static struct weir_str lower(struct ir *c, struct weir_str s)
{
	char *p = NULL;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 'A' || s.p[i] > 'Z') {
			continue;
		}
		if (!p) {
			p = weir_ir_alloc(c, s.n, 1);
			if (!p) {
				return s;
			}
			memcpy(p, s.p, s.n);
		}
		p[i] = (char)(s.p[i] + ('a' - 'A'));
	}
	return p ? (struct weir_str){p, s.n} : s;
}

struct conds_request {
	const struct weir_object *route;
	const struct weir_value_match *v;
	size_t n;
	bool are_headers;
	size_t rule;
	size_t match;
};

/* Of entries with an equivalent name only the first counts. */
static bool is_repeated(const struct ir_cond *v, size_t n, struct weir_str name)
{
	for (size_t i = 0; i < n; i++) {
		if (weir_str_eq(v[i].name, name)) {
			return true;
		}
	}
	return false;
}

static bool build_conds(struct ir *c, const struct conds_request *q,
			const struct ir_cond **ret_v, uint16_t *ret_n)
{
	const char *part = q->are_headers ? "headers" : "queryParams";
	struct ir_cond *v;
	size_t n = 0;

	*ret_v = NULL;
	*ret_n = 0;
	if (q->n == 0) {
		return true;
	}
	if (q->n > CONDS_MAX) {
		IR_DIAG(c, WEIR_DIAG_ERROR, q->route, "UnsupportedValue",
			IR_FIELD("spec.rules[%zu].matches[%zu].%s", q->rule,
				 q->match, part),
			"Dropped Rule: %zu entries; expected at most %d", q->n,
			CONDS_MAX);
		return false;
	}
	v = weir_ir_alloc(c, q->n, sizeof(*v));
	if (!v) {
		return false;
	}
	for (size_t i = 0; i < q->n; i++) {
		struct weir_str name = q->are_headers ? lower(c, q->v[i].name)
						      : q->v[i].name;
		struct ir_cond cond = {.name = name,
				       .value = q->v[i].value,
				       .type = WEIR_COND_EXACT,
				       .regex = WEIR_NONE};
		size_t offset = 0;

		if (is_repeated(v, n, name)) {
			continue;
		}
		if (q->v[i].type == WEIR_VALUE_REGEX) {
			cond.type = WEIR_COND_REGEX;
			cond.regex = weir_ir_regex(c, cond.value, &offset);
			if (cond.regex == WEIR_NONE) {
				drop_regex(
					c, q->route,
					IR_FIELD("spec.rules[%zu].matches[%zu]."
						 "%s[%zu].value",
						 q->rule, q->match, part, i),
					cond.value, offset);
				return false;
			}
		}
		v[n++] = cond;
	}
	*ret_v = v;
	*ret_n = (uint16_t)n;
	return true;
}

static bool build_path(struct ir *c, const struct weir_object *route,
		       const struct weir_http_match *match, size_t rule,
		       size_t number, struct ir_match *m)
{
	size_t offset = 0;

	m->path = match->path;
	m->regex = WEIR_NONE;
	if (match->path_type == WEIR_MPATH_REGEX) {
		m->path_type = WEIR_PATH_REGEX;
		if (match->path.n <= PATH_MAX_BYTES) {
			m->regex = weir_ir_regex(c, match->path, &offset);
		}
		if (m->regex == WEIR_NONE) {
			drop_regex(c, route,
				   IR_FIELD("spec.rules[%zu].matches[%zu]."
					    "path.value",
					    rule, number),
				   match->path, offset);
			return false;
		}
		return true;
	}
	m->path_type = match->path_type == WEIR_MPATH_EXACT ? WEIR_PATH_EXACT
		       : match->path_type == WEIR_MPATH_GRPC_METHOD
			       ? WEIR_PATH_GRPC_METHOD
			       : WEIR_PATH_PREFIX;
	if (m->path.n == 0) {
		m->path = WEIR_STR("/");
	}
	if (!is_clean_path(m->path)) {
		drop(c, route,
		     IR_FIELD("spec.rules[%zu].matches[%zu].path.value", rule,
			      number),
		     "UnsupportedValue", m->path,
		     "an absolute path without \"//\", \"/./\", \"/../\", "
		     "\"%2f\", \"?\" and \"#\"");
		return false;
	}
	/* A trailing slash of a prefix says nothing; without it lengths
	 * compare and equal prefixes are equal. */
	if (m->path_type == WEIR_PATH_PREFIX && m->path.n > 1 &&
	    m->path.p[m->path.n - 1] == '/') {
		m->path.n--;
	}
	return true;
}

struct ir_match *weir_ir_match(struct ir *c, const struct weir_object *route,
			       const struct weir_http_match *match, size_t rule,
			       size_t number)
{
	struct conds_request headers = {.route = route,
					.v = match->headers,
					.n = match->n_headers,
					.are_headers = true,
					.rule = rule,
					.match = number};
	struct conds_request query = {.route = route,
				      .v = match->query,
				      .n = match->n_query,
				      .rule = rule,
				      .match = number};
	struct ir_match *m = weir_ir_alloc(c, 1, sizeof(*m));

	if (!m || !build_path(c, route, match, rule, number, m) ||
	    !build_conds(c, &headers, &m->headers, &m->n_headers) ||
	    !build_conds(c, &query, &m->query, &m->n_query)) {
		return NULL;
	}
	m->method = match->method;
	return m;
}

uint32_t weir_ir_tier(struct weir_str hostname)
{
	uint32_t n = hostname.n < 0xFFFF ? (uint32_t)hostname.n : 0xFFFF;

	if (n && hostname.p[0] != '*') {
		return 0x10000; /* exact: only one can meet at a hostname */
	}
	return n;
}

static bool is_listed(uint32_t path_type)
{
	return path_type != WEIR_PATH_EXACT && path_type != WEIR_PATH_PREFIX;
}

static uint64_t path_key(const struct ir_match *match)
{
	uint64_t class = 2;

	if (match->path_type == WEIR_PATH_EXACT) {
		class = 0;
	} else if (is_listed(match->path_type)) {
		class = 1;
	}
	return class << 16 | (0xFFFF - match->path.n);
}

/* GRPCRoute: characters of the service, then of the method. */
static uint64_t service_key(const struct ir_match *match)
{
	struct weir_str path = weir_str_skip(match->path, 1);
	ptrdiff_t slash = weir_str_find(path, '/');
	uint64_t service = path.n;
	uint64_t method = 0;
	uint64_t class = match->path_type;

	if (match->path_type == WEIR_PATH_GRPC_METHOD) {
		service = 0;
		method = path.n;
	} else if (slash >= 0) {
		service = (uint64_t)slash;
		method = path.n - service - 1;
	}
	return (0xFFF - service) << 18 | (0xFFF - method) << 4 | class;
}

void weir_ir_add_entry(struct ir *c, struct ir_vhost *vhost,
		       const struct ir_match *match, struct ir_rule *rule,
		       uint32_t tier, uint32_t rank)
{
	struct ir_entry *e = weir_ir_alloc(c, 1, sizeof(*e));
	bool is_grpc = rule->flags & WEIR_RULE_GRPC;

	if (!e) {
		return;
	}
	e->match = match;
	e->rule = rule;
	e->tier = tier;
	e->rank = rank;
	e->path_key = (uint64_t)(0x1FFFF - tier) << 32 |
		      (is_grpc ? service_key(match) : path_key(match));
	e->match_key = (uint64_t)(match->method.n == 0) << 32 |
		       (uint64_t)(0xFFFF - match->n_headers) << 16 |
		       (0xFFFF - match->n_query);
	*vhost->tail = e;
	vhost->tail = &e->next;
	vhost->n_entries++;
	vhost->n_grpc += is_grpc;
}

static int compare_entries(const struct ir_entry *a, const struct ir_entry *b)
{
	const struct ir_match *x = a->match;
	const struct ir_match *y = b->match;
	int r;

	if (a->path_key != b->path_key) {
		return a->path_key < b->path_key ? -1 : 1;
	}
	/* Different literal paths of one length never meet at a request;
	 * patterns do. */
	if (!is_listed(x->path_type)) {
		r = memcmp(x->path.p, y->path.p, x->path.n);
		if (r) {
			return r;
		}
	}
	if (a->match_key != b->match_key) {
		return a->match_key < b->match_key ? -1 : 1;
	}
	if (a->rank != b->rank) {
		return a->rank < b->rank ? -1 : 1;
	}
	return (x->number > y->number) - (x->number < y->number);
}

static void merge(struct ir_entry **from, struct ir_entry **to, size_t lo,
		  size_t mid, size_t hi)
{
	size_t a = lo;
	size_t b = mid;

	for (size_t i = lo; i < hi; i++) {
		if (a < mid &&
		    (b >= hi || compare_entries(from[a], from[b]) <= 0)) {
			to[i] = from[a++];
		} else {
			to[i] = from[b++];
		}
	}
}

/* Bottom-up merge sort: stable, no quadratic input. Mostly there is nothing to
 * do, because routes come in order. */
void weir_ir_sort_entries(struct ir_entry **v, struct ir_entry **scratch,
			  size_t n)
{
	struct ir_entry **from = v;
	struct ir_entry **to = scratch;
	size_t i = 1;

	while (i < n && compare_entries(v[i - 1], v[i]) <= 0) {
		i++;
	}
	if (i >= n) {
		return;
	}
	for (size_t width = 1; width < n; width *= 2) {
		struct ir_entry **swap = from;

		for (size_t lo = 0; lo < n; lo += 2 * width) {
			size_t mid = lo + width < n ? lo + width : n;
			size_t hi = mid + width < n ? mid + width : n;

			merge(from, to, lo, mid, hi);
		}
		from = to;
		to = swap;
	}
	if (from != v) {
		memcpy(v, from, n * sizeof(struct ir_entry *));
	}
}
