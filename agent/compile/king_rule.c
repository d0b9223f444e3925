/* SPDX-License-Identifier: Apache-2.0 */
/* A path of a KIngress as a rule and a match of the plan. */
#include "king.h"

#define HASH_HEADER "K-Network-Hash"
#define PERCENT 100

#define SPLIT_FIELD(k, path, split)                                            \
	IR_FIELD("spec.rules[%zu].http.paths[%zu].splits[%zu]", (k)->rule,     \
		 (path), (split))

static void say_unready(const struct king *k, size_t path, uint32_t i,
			const struct weir_king_split *s)
{
	const struct ir_service *service = weir_ir_service(k->c, k->ingress->ns,
							   s->service);

	if (service && weir_ir_is_shell(service)) {
		IR_DIAG(k->c, WEIR_DIAG_WARNING, k->ingress, "Unready",
			SPLIT_FIELD(k, path, (size_t)i),
			"Service %.*s/%.*s is %s, and no KIngress serves the "
			"host that is asked for there: its share gets 503",
			WEIR_STR_ARG(k->ingress->ns), WEIR_STR_ARG(s->service),
			service->is_knative ? "the placeholder of a Route"
					    : "an ExternalName");
		return;
	}
	/* Serving with system-internal-tls: the request is not to go there in
	 * clear. */
	if (service && weir_ir_king_is_tls(service->object, s)) {
		IR_DIAG(k->c, WEIR_DIAG_ERROR, k->ingress, "UnsupportedValue",
			SPLIT_FIELD(k, path, (size_t)i),
			"the port of Service %.*s/%.*s is for TLS inside the "
			"cluster (system-internal-tls), which is not served; "
			"expected port 80 or 81: its share gets 503",
			WEIR_STR_ARG(k->ingress->ns), WEIR_STR_ARG(s->service));
		return;
	}
	IR_DIAG(k->c, WEIR_DIAG_WARNING, k->ingress, "Unready",
		SPLIT_FIELD(k, path, (size_t)i),
		"Service %.*s/%.*s %s: its share gets 503",
		WEIR_STR_ARG(k->ingress->ns), WEIR_STR_ARG(s->service),
		service ? "has no such port" : "is not there");
}

/* inner: what stands in for a split, or NULL. */
static void say_splits(const struct king *k, size_t path,
		       const struct ir_splits *splits,
		       struct ir_splits *const *inner)
{
	const struct weir_king_path *spec =
		&k->ingress->kingress->rules[k->rule].paths[path];

	for (uint32_t i = 0; i < splits->n; i++) {
		const struct weir_king_split *s = &spec->splits[i];

		if (inner[i]) {
			continue;
		}
		if (splits->v[i].state == WEIR_REF_UNREADY) {
			say_unready(k, path, i, s);
		} else if (splits->v[i].is_bare) {
			IR_DIAG(k->c, WEIR_DIAG_WARNING, k->ingress,
				"NoEndpoints", SPLIT_FIELD(k, path, (size_t)i),
				"Service %.*s/%.*s has no EndpointSlice with "
				"its port: its share gets 503",
				WEIR_STR_ARG(k->ingress->ns),
				WEIR_STR_ARG(s->service));
		}
	}
}

/* ------------------------------------------------------------------ shells */

/* "knative-private.weir-system.svc", with or without the cluster's domain. */
static bool is_gateway(struct weir_str name)
{
	static const char *const names[] = {
		WEIR_KNATIVE_PRIVATE "." WEIR_KNATIVE_NS ".svc",
		WEIR_KNATIVE_PUBLIC "." WEIR_KNATIVE_NS ".svc"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct weir_str want = weir_str_of(names[i]);

		if (weir_str_starts(name, want) &&
		    (name.n == want.n || name.p[want.n] == '.')) {
			return true;
		}
	}
	return false;
}

/*
 * A DomainMapping names the placeholder of a Route with the host that this
 * Route has inside the cluster: the request would come back to weir and be
 * decided anew.  So it is decided now.  NULL: it leads nowhere.
 */
static const struct ir_king_host *
behind_shell(const struct king *k, const struct weir_king_path *path,
	     const struct weir_king_split *s)
{
	struct ir_service *service = weir_ir_service(k->c, k->ingress->ns,
						     s->service);

	if (!service || !weir_ir_is_shell(service) ||
	    !(service->is_knative ||
	      is_gateway(service->object->service->external_name))) {
		return NULL;
	}
	if (path->rewrite_host.n) {
		return weir_ir_king_claimed(k->c, path->rewrite_host);
	}
	/* The address of a placeholder says which Route it is. */
	return service->is_knative
		       ? weir_ir_king_host(k->c, k->ingress->ns, s->service)
		       : NULL;
}

/* The filters of the outer split, then those of the inner one; a host that the
 * inner one asks for replaces the outer one's. */
static struct ir_filters join(struct ir *c, const struct ir_filters *outer,
			      const struct ir_filters *inner)
{
	struct ir_filters both = {0};

	both.v = weir_ir_alloc(c, outer->n + inner->n, sizeof(*both.v));
	for (uint32_t i = 0; both.v && i < inner->n; i++) {
		if (inner->v[i].type == WEIR_FILTER_REWRITE) {
			both.v[both.n++] = inner->v[i];
		}
	}
	for (uint32_t i = 0; both.v && i < outer->n; i++) {
		if (outer->v[i].type != WEIR_FILTER_REWRITE || both.n == 0) {
			both.v[both.n++] = outer->v[i];
		}
	}
	for (uint32_t i = 0; both.v && i < inner->n; i++) {
		if (inner->v[i].type != WEIR_FILTER_REWRITE) {
			both.v[both.n++] = inner->v[i];
		}
	}
	return both;
}

/* NULL: there is nothing behind it. */
static struct ir_splits *splits_behind(const struct king *k, size_t path,
				       uint32_t i)
{
	struct ir *c = k->c;
	const struct weir_king_path *from =
		&k->ingress->kingress->rules[k->rule].paths[path];
	const struct ir_king_host *host = behind_shell(k, from,
						       &from->splits[i]);
	const struct weir_king_path *to;
	struct ir_splits *inner;

	to = host ? weir_ir_king_default_path(c, host, k->ingress,
					      SPLIT_FIELD(k, path, (size_t)i))
		  : NULL;
	inner = to ? weir_ir_alloc(c, 1, sizeof(*inner)) : NULL;
	if (!inner || weir_ir_king_splits(c, host->ingress, to, inner) < 0) {
		return NULL;
	}
	return inner;
}

/* -------------------------------------------------------------------- rules */

/* Probes ask with "override" and are told which generation answers. */
static void add_hash(struct ir *c, struct weir_str hash, struct ir_rule *rule)
{
	struct ir_filter *f = weir_ir_alloc(c, 1, sizeof(*f));
	struct ir_mod *mod = weir_ir_alloc(c, 1, sizeof(*mod));

	if (!f || !mod || hash.n == 0) {
		return;
	}
	*mod = (struct ir_mod){WEIR_STR(HASH_HEADER), hash,
			       WEIR_HEADER_OVERRIDE};
	*f = (struct ir_filter){
		.type = WEIR_FILTER_REQUEST_HEADERS, .mods = mod, .n_mods = 1};
	rule->filters = (struct ir_filters){.v = f, .n = 1};
	/* Whoever dials an address need not be told. */
	rule->n_own_filters = 1;
}

static struct ir_rule *new_rule(const struct king *k, struct weir_str salt,
				size_t path)
{
	struct ir_rule *rule = weir_ir_alloc(k->c, 1, sizeof(*rule));
	uint64_t at = path;

	if (!rule) {
		return NULL;
	}
	rule->key = weir_str_hash(
		k->ingress->name,
		weir_str_hash(k->ingress->ns, WEIR_KIND_KINGRESS));
	rule->key = weir_str_hash(salt, weir_hash64(&at, 8, rule->key));
	rule->object = k->object_id;
	rule->number = k->number;
	rule->reason = WEIR_REASON_PER_REQUEST;
	rule->split = k->split;
	if (k->no_forwarded) {
		rule->flags |= WEIR_RULE_NO_FORWARDED;
	}
	weir_ir_add_rule(k->c, rule);
	return rule;
}

static void add_ref(struct ir_rule *rule, const struct ir_ref *ref, uint32_t i)
{
	struct ir_ref *r = &rule->refs[rule->n_refs++];

	*r = *ref;
	r->key = weir_hash64(&r->key, sizeof(r->key), rule->key + i);
	r->index = (uint16_t)i;
	rule->n_slots += r->weight > 0;
}

static void add_behind(struct ir *c, struct ir_rule *rule,
		       const struct ir_ref *outer,
		       const struct ir_splits *inner, uint32_t i)
{
	for (uint32_t n = 0; n < inner->n; n++) {
		struct ir_ref r = inner->v[n];

		r.key = weir_hash64(&r.key, sizeof(r.key), outer->key);
		r.weight *= outer->weight;
		r.filters = join(c, &outer->filters, &r.filters);
		r.n_own_filters = 0;
		add_ref(rule, &r, i);
	}
}

static void add_refs(const struct king *k, size_t path,
		     const struct ir_splits *splits, struct ir_rule *rule)
{
	struct ir_splits *inner[IR_SPLITS_MAX] = {NULL};
	uint64_t scale = 1;
	size_t n = 0;

	for (uint32_t i = 0; i < splits->n; i++) {
		if (splits->v[i].state == WEIR_REF_UNREADY) {
			inner[i] = splits_behind(k, path, i);
		}
		/* Percents of percents beside percents. */
		scale = inner[i] ? PERCENT : scale;
		n += inner[i] ? inner[i]->n : 1;
	}
	say_splits(k, path, splits, inner);
	rule->refs = weir_ir_alloc(k->c, n, sizeof(*rule->refs));
	for (uint32_t i = 0; rule->refs && i < splits->n; i++) {
		struct ir_ref r = splits->v[i];

		if (inner[i]) {
			add_behind(k->c, rule, &r, inner[i], i);
		} else {
			r.weight *= scale;
			add_ref(rule, &r, i);
		}
	}
}

struct ir_rule *weir_ir_king_rule(const struct king *k, struct weir_str salt,
				  size_t number)
{
	struct ir *c = k->c;
	const struct weir_king_path *path =
		&k->ingress->kingress->rules[k->rule].paths[number];
	struct ir_rule *rule = new_rule(k, salt, number);
	struct ir_splits splits = {.n = 0};

	if (!rule) {
		return NULL;
	}
	rule->flags |= WEIR_RULE_HOLD;
	add_hash(c, k->ingress->kingress->hash, rule);
	if (weir_ir_king_splits(c, k->ingress, path, &splits) < 0) {
		IR_DIAG(c, WEIR_DIAG_ERROR, k->ingress, "InvalidValue",
			IR_FIELD("spec.rules[%zu].http.paths[%zu].splits",
				 k->rule, number),
			"percents must make up 100 in at most %d splits: "
			"requests get 500",
			IR_SPLITS_MAX);
		return rule;
	}
	add_refs(k, number, &splits, rule);
	return rule;
}

struct ir_rule *weir_ir_king_redirect(const struct king *k, size_t path)
{
	struct ir_rule *rule = new_rule(k, IR_FIELD("redirect %zu", k->rule),
					path);
	struct ir_filter *f = weir_ir_alloc(k->c, 1, sizeof(*f));

	if (rule && f) {
		*f = (struct ir_filter){.type = WEIR_FILTER_REDIRECT,
					.scheme = WEIR_STR("https"),
					.status = 301};
		rule->filters = (struct ir_filters){.v = f, .n = 1};
	}
	return rule;
}

struct ir_match *weir_ir_king_match(const struct king *k, size_t number)
{
	const struct weir_king_path *path =
		&k->ingress->kingress->rules[k->rule].paths[number];
	struct weir_http_match spec = {.path_type = WEIR_MPATH_PREFIX_TYPE,
				       .path = WEIR_STR("/"),
				       .n_headers = path->match_headers.n};
	struct weir_value_match *headers = weir_ir_alloc(
		k->c, path->match_headers.n, sizeof(*headers));
	struct ir_match *m;

	if (!headers) {
		return NULL;
	}
	for (size_t i = 0; i < path->match_headers.n; i++) {
		headers[i].name = path->match_headers.v[i].key;
		headers[i].value = path->match_headers.v[i].value;
		headers[i].type = WEIR_VALUE_EXACT;
	}
	spec.headers = headers;
	m = weir_ir_match(k->c, k->ingress, &spec, k->rule, number);
	if (m && path->path.n && !weir_str_is(path->path, "/")) {
		/* Bytes, not elements. */
		m->path_type = WEIR_PATH_BYTE_PREFIX;
		m->path = path->path;
	}
	return m;
}
