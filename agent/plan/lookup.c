/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching follows the Gateway API (HTTPRoute doc comments; order of
 * precedence: Exact, RegularExpression, PathPrefix by length, then what
 * compile/ sorted by).  The indices only find faster what walking each table
 * in order would find; the tests compare the two.
 */
#include "lookup.h"

#include "addr.h"
#include "index.h"
#include "regex.h"

/* A header or parameter that has to be put together before a regular
 * expression can see it; above this it does not match. */
#define SUBJECT_MAX 8192

struct look {
	const struct weir_plan *plan;
	const struct weir_regexes *regexes;
	const struct weir_request *request;
};

const struct weir_frontend *weir_find_frontend(const struct weir_plan *plan,
					       const struct weir_ip *addr,
					       __be16 port_be, uint8_t proto)
{
	const struct weir_frontend *f = weir_plan_at(plan, plan->frontends);
	struct weir_frontend key = {
		.addr = *addr, .port_be = port_be, .proto = proto};
	uint32_t lo = 0;
	uint32_t hi = plan->frontends.n;

	/* An empty consumer_ns sorts first, so equality finds the frontend
	 * that is for all clients. */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int r = weir_frontend_cmp(plan, &f[mid], &key);

		if (r == 0) {
			return &f[mid];
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return NULL;
}

const struct weir_frontend *weir_find_proxied(const struct weir_plan *plan,
					      uint32_t proxy_index)
{
	const struct weir_frontend *f = weir_plan_at(plan, plan->frontends);
	const uint32_t *list = weir_plan_at(plan, plan->proxied);
	uint32_t i;

	if (proxy_index == 0 || proxy_index > plan->proxied.n) {
		return NULL;
	}
	i = list[proxy_index - 1];
	return i == WEIR_NONE ? NULL : &f[i];
}

/* ----------------------------------------------------------------- headers */

/* True if the values of all headers of this name, joined by ",", are value
 * (RFC 9110 5.2: that is what several lines mean). */
static bool header_is(const struct look *l, struct weir_str name,
		      struct weir_str value)
{
	const struct weir_header *h = l->request->headers;
	struct weir_str rest = value;
	bool is_first = true;

	for (size_t i = 0; i < l->request->n_headers; i++) {
		if (!weir_str_eq_nocase(h[i].name, name)) {
			continue;
		}
		if (!is_first) {
			if (rest.n == 0 || rest.p[0] != ',') {
				return false;
			}
			rest = weir_str_skip(rest, 1);
		}
		if (!weir_str_starts(rest, h[i].value)) {
			return false;
		}
		rest = weir_str_skip(rest, h[i].value.n);
		is_first = false;
	}
	return !is_first && rest.n == 0;
}

/* Joins into buf only if there is more than one.  False: absent, too long. */
static bool header_value(const struct look *l, struct weir_str name,
			 char buf[static SUBJECT_MAX],
			 struct weir_str *ret_value)
{
	const struct weir_header *h = l->request->headers;
	struct weir_str first = WEIR_STR_NULL;
	size_t n_found = 0;
	size_t n = 0;

	for (size_t i = 0; i < l->request->n_headers; i++) {
		if (!weir_str_eq_nocase(h[i].name, name)) {
			continue;
		}
		if (n_found++ == 0) {
			first = h[i].value;
			continue;
		}
		if (n_found == 2) {
			if (first.n > SUBJECT_MAX) {
				return false;
			}
			if (first.n) {
				memcpy(buf, first.p, first.n);
			}
			n = first.n;
		}
		if (h[i].value.n + 1 > SUBJECT_MAX - n) {
			return false;
		}
		buf[n++] = ',';
		if (h[i].value.n) {
			memcpy(buf + n, h[i].value.p, h[i].value.n);
		}
		n += h[i].value.n;
	}
	if (n_found == 0) {
		return false;
	}
	*ret_value = n_found == 1 ? first : (struct weir_str){buf, n};
	return true;
}

static bool header_ok(const struct look *l, const struct weir_cond *c)
{
	struct weir_str name = weir_plan_str(l->plan, c->name);
	struct weir_str value;
	char buf[SUBJECT_MAX];

	if (c->type == WEIR_COND_EXACT) {
		return header_is(l, name, weir_plan_str(l->plan, c->value));
	}
	return header_value(l, name, buf, &value) &&
	       weir_regex_matches(l->regexes, c->regex, value);
}

/* ------------------------------------------------------------------- query */

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Next byte of a query component, decoded as servers do it (the WHATWG URL
 * standard, "application/x-www-form-urlencoded parsing"): "+" is a space, "%XX"
 * a byte, an incomplete escape itself.
 */
static char decode_next(struct weir_str *s)
{
	char c = s->p[0];
	size_t n = 1;

	if (c == '+') {
		c = ' ';
	} else if (c == '%' && s->n >= 3 && hex(s->p[1]) >= 0 &&
		   hex(s->p[2]) >= 0) {
		c = (char)(hex(s->p[1]) << 4 | hex(s->p[2]));
		n = 3;
	}
	*s = weir_str_skip(*s, n);
	return c;
}

static bool decoded_eq(struct weir_str raw, struct weir_str want)
{
	while (raw.n && want.n) {
		if (decode_next(&raw) != want.p[0]) {
			return false;
		}
		want = weir_str_skip(want, 1);
	}
	return raw.n == 0 && want.n == 0;
}

/* The raw value of the first parameter of this name. */
static bool query_find(struct weir_str query, struct weir_str name,
		       struct weir_str *ret_raw)
{
	while (query.n) {
		ptrdiff_t end = weir_str_find(query, '&');
		struct weir_str pair = {query.p,
					end < 0 ? query.n : (size_t)end};
		ptrdiff_t eq = weir_str_find(pair, '=');
		struct weir_str key = {pair.p, eq < 0 ? pair.n : (size_t)eq};

		if (pair.n && decoded_eq(key, name)) {
			*ret_raw = eq < 0 ? WEIR_STR("")
					  : weir_str_skip(pair, key.n + 1);
			return true;
		}
		query = weir_str_skip(query, pair.n + 1);
	}
	return false;
}

static bool query_ok(const struct look *l, const struct weir_cond *c)
{
	struct weir_str raw;
	char buf[SUBJECT_MAX];
	size_t n = 0;

	if (!query_find(l->request->query, weir_plan_str(l->plan, c->name),
			&raw)) {
		return false;
	}
	if (c->type == WEIR_COND_EXACT) {
		return decoded_eq(raw, weir_plan_str(l->plan, c->value));
	}
	while (raw.n && n < sizeof(buf)) {
		buf[n++] = decode_next(&raw);
	}
	return raw.n == 0 && weir_regex_matches(l->regexes, c->regex,
						(struct weir_str){buf, n});
}

/* -------------------------------------------------------------------- match */

/* The first condition beside the path that does not hold. */
static enum weir_miss find_miss(const struct look *l,
				const struct weir_match *m, uint32_t *ret_cond)
{
	struct weir_str method = weir_plan_str(l->plan, m->method);
	const struct weir_cond *c;

	if (method.n && !weir_str_eq(method, l->request->method)) {
		return WEIR_MISS_METHOD;
	}
	c = weir_plan_at(l->plan, m->headers);
	for (uint32_t i = 0; i < m->headers.n; i++) {
		if (!header_ok(l, &c[i])) {
			*ret_cond = i;
			return WEIR_MISS_HEADER;
		}
	}
	c = weir_plan_at(l->plan, m->query);
	for (uint32_t i = 0; i < m->query.n; i++) {
		if (!query_ok(l, &c[i])) {
			*ret_cond = i;
			return WEIR_MISS_QUERY;
		}
	}
	return WEIR_MISS_NONE;
}

static bool conditions_ok(const struct look *l, const struct weir_match *m)
{
	uint32_t cond;

	return find_miss(l, m, &cond) == WEIR_MISS_NONE;
}

/* Prefix by elements: "/abc" covers "/abc", "/abc/" and "/abc/d". */
static bool prefix_ok(struct weir_str path, struct weir_str prefix)
{
	prefix = weir_index_prefix_key(prefix);
	return weir_str_starts(path, prefix) &&
	       (path.n == prefix.n || path.p[prefix.n] == '/');
}

/* "/service/method" with this "/method" (gRPC over HTTP/2, Path). */
static bool is_method(struct weir_str path, struct weir_str method)
{
	ptrdiff_t slash;

	if (path.n == 0) {
		return false;
	}
	slash = weir_str_find(weir_str_skip(path, 1), '/');
	return slash >= 0 &&
	       weir_str_eq(weir_str_skip(path, (size_t)slash + 1), method);
}

static bool path_ok(const struct look *l, const struct weir_match *m)
{
	struct weir_str path = weir_plan_str(l->plan, m->path);

	switch (m->path_type) {
	case WEIR_PATH_EXACT:
		return weir_str_eq(l->request->path, path);
	case WEIR_PATH_PREFIX:
		return prefix_ok(l->request->path, path);
	case WEIR_PATH_REGEX:
		return weir_regex_matches(l->regexes, m->regex,
					  l->request->path);
	case WEIR_PATH_BYTE_PREFIX:
		return weir_str_starts(l->request->path, path);
	case WEIR_PATH_GRPC_METHOD:
		return is_method(l->request->path, path);
	default:
		return false;
	}
}

/* First of the chain from i on whose conditions hold. */
static uint32_t walk_chain(const struct look *l, const struct weir_match *m,
			   uint32_t i)
{
	while (i != WEIR_NONE && !conditions_ok(l, &m[i])) {
		i = m[i].next;
	}
	return i;
}

/* It may be that of a match: while the rest of the path is looked for. */
static inline __attribute__((always_inline)) void
fetch_rule(const struct look *l, const struct weir_match *m)
{
	const char *rule = (const char *)WEIR_PLAN_ELEM(
		l->plan, struct weir_rule, l->plan->rules, m->rule);

	__builtin_prefetch(rule);
	__builtin_prefetch(rule + sizeof(struct weir_rule) - 1);
}

/*
 * The prefix rules that cover the path, shortest first, because the hash of a
 * longer one continues that of a shorter: one pass, whatever the client sends.
 * The longest that matches is kept.
 */
static uint32_t by_prefix(const struct look *l, const struct weir_table *t)
{
	const struct weir_match *m = weir_plan_at(l->plan, t->matches);
	struct weir_str path = l->request->path;
	uint64_t h = WEIR_INDEX_PATH_SEED;
	uint32_t best = WEIR_NONE;

	if (t->prefix.n == 0) {
		return WEIR_NONE;
	}
	for (size_t i = 0; i <= path.n; i++) {
		/* A key never ends in '/'. */
		if ((i == path.n || path.p[i] == '/') &&
		    (i == 0 || path.p[i - 1] != '/')) {
			uint32_t found = walk_chain(
				l, m,
				weir_index_find_path(
					l->plan, t, true,
					(struct weir_str){path.p, i}, h));

			if (found != WEIR_NONE) {
				best = found;
				fetch_rule(l, &m[found]);
			}
		}
		if (i < path.n) {
			h = weir_index_path_step(h, path.p[i]);
		}
	}
	return best;
}

static uint32_t by_list(const struct look *l, const struct weir_table *t)
{
	const struct weir_match *m = weir_plan_at(l->plan, t->matches);
	const uint32_t *list = weir_plan_at(l->plan, t->regex);

	for (uint32_t i = 0; i < t->regex.n; i++) {
		if (conditions_ok(l, &m[list[i]]) && path_ok(l, &m[list[i]])) {
			return list[i];
		}
	}
	return WEIR_NONE;
}

static uint32_t by_exact(const struct look *l, const struct weir_table *t)
{
	struct weir_str path = l->request->path;
	uint64_t h = WEIR_INDEX_PATH_SEED;

	if (t->exact.n == 0) {
		return WEIR_NONE;
	}
	for (size_t i = 0; i < path.n; i++) {
		h = weir_index_path_step(h, path.p[i]);
	}
	return walk_chain(l, weir_plan_at(l->plan, t->matches),
			  weir_index_find_path(l->plan, t, false, path, h));
}

/* KIngress: the order of the list is the order of precedence. */
static uint32_t in_order(const struct look *l, const struct weir_table *t)
{
	const struct weir_match *m = weir_plan_at(l->plan, t->matches);

	for (uint32_t i = 0; i < t->matches.n; i++) {
		if (path_ok(l, &m[i]) && conditions_ok(l, &m[i])) {
			return i;
		}
	}
	return WEIR_NONE;
}

/* GRPCRoute: the longer service, then the longer method.  Each index gives its
 * first in order; the first of these is the one. */
static uint32_t by_service(const struct look *l, const struct weir_table *t)
{
	uint32_t best = by_exact(l, t);
	uint32_t i = by_list(l, t);

	best = i < best ? i : best; /* WEIR_NONE is the last of all */
	i = by_prefix(l, t);
	return i < best ? i : best;
}

static const struct weir_match *grpc_in(const struct look *l,
					const struct weir_vhost *v)
{
	const struct weir_table *t = weir_plan_at(l->plan, v->grpc);

	for (uint32_t k = 0; k < v->grpc.n; k++) {
		uint32_t i = by_service(l, &t[k]);

		if (i != WEIR_NONE) {
			return WEIR_PLAN_ELEM(l->plan, struct weir_match,
					      t[k].matches, i);
		}
	}
	return NULL;
}

static const struct weir_match *
match_in(const struct look *l, const struct weir_table *t, bool is_first_match)
{
	const struct weir_match *m = weir_plan_at(l->plan, t->matches);
	uint32_t i;

	if (is_first_match) {
		i = in_order(l, t);
	} else {
		i = by_exact(l, t);
		i = i != WEIR_NONE ? i : by_list(l, t);
		i = i != WEIR_NONE ? i : by_prefix(l, t);
	}
	return i == WEIR_NONE ? NULL : &m[i];
}

/*
 * Hosts go before everything else among the routes of one kind (HTTPRoute,
 * hostnames).  A host of GRPCRoutes alone says nothing about other requests:
 * for them the next one in order counts, as if those routes were not there.
 */
static uint32_t find_vhost(const struct weir_plan *plan,
			   const struct weir_listener *listener,
			   const struct weir_request *request)
{
	const struct weir_vhost *v = weir_plan_at(plan, listener->vhosts);
	uint32_t first = weir_index_find_vhost(plan, listener, request->host);
	uint32_t i = first;

	while (i != WEIR_NONE && v[i].grpc.n && !v[i].tables.n &&
	       !weir_request_is_grpc(request)) {
		i = weir_index_find_wider(plan, listener, request->host, i);
	}
	return i != WEIR_NONE ? i : first;
}

void weir_decide(const struct weir_plan *plan,
		 const struct weir_regexes *regexes,
		 const struct weir_frontend *frontend,
		 const struct weir_request *request,
		 struct weir_decision *ret_decision)
{
	struct look l = {plan, regexes, request};
	struct weir_decision *d = ret_decision;
	uint32_t i;

	*d = (struct weir_decision){.frontend = frontend};
	i = weir_index_find_listener(plan, frontend, request->host);
	if (i == WEIR_NONE) {
		return;
	}
	d->listener = WEIR_PLAN_ELEM(plan, struct weir_listener,
				     frontend->listeners, i);
	i = find_vhost(plan, d->listener, request);
	if (i == WEIR_NONE) {
		return;
	}
	d->vhost = WEIR_PLAN_ELEM(plan, struct weir_vhost, d->listener->vhosts,
				  i);
	if (d->vhost->grpc.n && weir_request_is_grpc(request)) {
		d->match = grpc_in(&l, d->vhost);
	}
	for (i = 0; i < d->vhost->tables.n && !d->match; i++) {
		const struct weir_table *t = WEIR_PLAN_ELEM(
			plan, struct weir_table, d->vhost->tables, i);

		d->match = match_in(
			&l, t, d->listener->flags & WEIR_LISTENER_FIRST_MATCH);
	}
	if (d->match) {
		d->rule = WEIR_PLAN_ELEM(plan, struct weir_rule, plan->rules,
					 d->match->rule);
	}
}

bool weir_request_is_grpc(const struct weir_request *request)
{
	static const struct weir_str grpc = {"application/grpc", 16};

	for (size_t i = 0; i < request->n_headers; i++) {
		const struct weir_header *h = &request->headers[i];
		struct weir_str rest;

		if (!weir_str_eq_nocase(h->name, WEIR_STR("content-type"))) {
			continue;
		}
		if (h->value.n < grpc.n ||
		    !weir_str_eq_nocase((struct weir_str){h->value.p, grpc.n},
					grpc)) {
			return false;
		}
		rest = weir_str_skip(h->value, grpc.n);
		return rest.n == 0 || rest.p[0] == '+' || rest.p[0] == ';';
	}
	return false;
}

void weir_decide_sni(const struct weir_plan *plan,
		     const struct weir_frontend *frontend, struct weir_str sni,
		     struct weir_decision *ret_decision)
{
	struct weir_decision *d = ret_decision;
	const struct weir_table *t;
	uint32_t i;

	*d = (struct weir_decision){.frontend = frontend};
	i = weir_index_find_listener(plan, frontend, sni);
	if (i == WEIR_NONE) {
		return;
	}
	d->listener = WEIR_PLAN_ELEM(plan, struct weir_listener,
				     frontend->listeners, i);
	if (!(d->listener->flags & WEIR_LISTENER_RAW)) {
		return;
	}
	i = weir_index_find_vhost(plan, d->listener, sni);
	if (i == WEIR_NONE) {
		return;
	}
	d->vhost = WEIR_PLAN_ELEM(plan, struct weir_vhost, d->listener->vhosts,
				  i);
	t = weir_plan_at(plan, d->vhost->tables);
	for (i = 0; i < d->vhost->tables.n && !d->match; i++) {
		if (t[i].matches.n) {
			d->match = weir_plan_at(plan, t[i].matches);
		}
	}
	if (d->match) {
		d->rule = WEIR_PLAN_ELEM(plan, struct weir_rule, plan->rules,
					 d->match->rule);
	}
}

struct weir_str weir_find_client_ns(const struct weir_plan *plan,
				    const struct weir_ip *addr)
{
	const struct weir_client_addr *v = weir_plan_at(plan, plan->clients);
	uint32_t lo = 0;
	uint32_t hi = plan->clients.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int r = memcmp(&v[mid].addr, addr, sizeof(*addr));

		if (r == 0) {
			return weir_plan_str(plan, v[mid].ns);
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return WEIR_STR("");
}

const struct weir_frontend *
weir_find_for_client(const struct weir_plan *plan,
		     const struct weir_frontend *frontend, struct weir_str ns)
{
	const struct weir_frontend *all = weir_find_frontend(
		plan, &frontend->addr, frontend->port_be, frontend->proto);
	const struct weir_frontend *end = WEIR_PLAN_ELEM(
		plan, struct weir_frontend, plan->frontends, 0);

	end += plan->frontends.n;
	if (!all || ns.n == 0) {
		return all;
	}
	/* Behind it, in order of namespace. */
	for (const struct weir_frontend *f = all + 1;
	     f < end && f->port_be == all->port_be && f->proto == all->proto &&
	     weir_ip_eq(&f->addr, &all->addr);
	     f++) {
		if (weir_str_eq(weir_plan_str(plan, f->consumer_ns), ns)) {
			return f;
		}
	}
	return all;
}

enum weir_miss weir_match_miss(const struct weir_plan *plan,
			       const struct weir_regexes *regexes,
			       const struct weir_match *match,
			       const struct weir_request *request,
			       uint32_t *ret_cond)
{
	struct look l = {plan, regexes, request};

	return path_ok(&l, match) ? find_miss(&l, match, ret_cond)
				  : WEIR_MISS_PATH;
}

const struct weir_ref *weir_choose_ref(const struct weir_plan *plan,
				       const struct weir_rule *rule, uint32_t x)
{
	const struct weir_slot *slots = weir_plan_at(plan, rule->slots);
	const struct weir_ref *refs = weir_plan_at(plan, rule->refs);

	if (rule->slots.n == 0) {
		return NULL;
	}
	return &refs[slots[weir_pick_slot(slots, rule->slots.n, x)].group];
}
