/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute. */
#include <errno.h>

#include "decode.h"

#define MATCHES_MAX 128 /* of all rules of an HTTPRoute together */

static const struct weir_field parent_fields[] = {
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("namespace", STR, .format = &weir_format_label),
	WEIR_FIELD("sectionName", STR, .format = &weir_format_subdomain),
	WEIR_FIELD("port", INT, .from = 1, .to = 65535),
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .format = &weir_format_kind),
	WEIR_FIELD_END,
};

#define BACKEND_FIELDS                                                         \
	WEIR_FIELD("name", STR, .is_required = true,                           \
		   .format = &weir_format_subdomain),                          \
		WEIR_FIELD("port", INT, .from = 1, .to = 65535),               \
		WEIR_FIELD("weight", INT, .from = 0, .to = 1000000),           \
		WEIR_FIELD("namespace", STR, .format = &weir_format_label),    \
		WEIR_FIELD("group", STR, .format = &weir_format_group),        \
		WEIR_FIELD("kind", STR, .format = &weir_format_kind)

static const struct weir_field http_backend_fields[] = {
	BACKEND_FIELDS,
	WEIR_FIELD("filters", LIST, .max = 16, .sub = weir_fields_filter),
	WEIR_FIELD_END,
};

static const struct weir_field l4_backend_fields[] = {
	BACKEND_FIELDS,
	WEIR_FIELD_END,
};

static const struct weir_field path_fields[] = {
	WEIR_FIELD("type", STR, .one_of = "Exact|PathPrefix|RegularExpression"),
	WEIR_FIELD("value", STR),
	WEIR_FIELD_END,
};

static const struct weir_field header_match_fields[] = {
	WEIR_FIELD("type", STR, .one_of = "Exact|RegularExpression"),
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_token),
	WEIR_FIELD("value", STR, .is_required = true,
		   .format = &weir_format_nonempty),
	WEIR_FIELD_END,
};

static const struct weir_field http_match_fields[] = {
	WEIR_FIELD("path", OBJECT, .sub = path_fields),
	WEIR_FIELD("headers", LIST, .max = 16, .sub = header_match_fields),
	WEIR_FIELD("queryParams", LIST, .max = 16, .sub = header_match_fields),
	WEIR_FIELD(
		"method", STR,
		.one_of =
			"GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH"),
	WEIR_FIELD_END,
};

static const struct weir_field timeout_fields[] = {
	WEIR_FIELD("request", STR, .format = &weir_format_duration),
	WEIR_FIELD("backendRequest", STR, .format = &weir_format_duration),
	WEIR_FIELD_END,
};

static const struct weir_field retry_fields[] = {
	WEIR_FIELD("codes", INTS, .max = 16, .from = 400, .to = 599),
	WEIR_FIELD("attempts", INT, .from = 0, .to = INT32_MAX),
	WEIR_FIELD("backoff", STR, .format = &weir_format_duration),
	WEIR_FIELD_END,
};

static const struct weir_field http_rule_fields[] = {
	WEIR_FIELD("matches", LIST, .max = 64, .sub = http_match_fields),
	WEIR_FIELD("backendRefs", LIST, .max = 16, .sub = http_backend_fields),
	WEIR_FIELD("filters", LIST, .max = 16, .sub = weir_fields_filter),
	WEIR_FIELD("name", STR, .format = &weir_format_subdomain),
	WEIR_FIELD("timeouts", OBJECT, .sub = timeout_fields),
	WEIR_FIELD("retry", OBJECT, .sub = retry_fields),
	WEIR_FIELD("sessionPersistence", ANY),
	WEIR_FIELD_END,
};

static const struct weir_field grpc_method_fields[] = {
	WEIR_FIELD("type", STR, .one_of = "Exact|RegularExpression"),
	WEIR_FIELD("service", STR),
	WEIR_FIELD("method", STR),
	WEIR_FIELD_END,
};

static const struct weir_field grpc_match_fields[] = {
	WEIR_FIELD("method", OBJECT, .sub = grpc_method_fields),
	WEIR_FIELD("headers", LIST, .max = 16, .sub = header_match_fields),
	WEIR_FIELD_END,
};

static const struct weir_field grpc_rule_fields[] = {
	WEIR_FIELD("matches", LIST, .max = 64, .sub = grpc_match_fields),
	WEIR_FIELD("backendRefs", LIST, .max = 16, .sub = http_backend_fields),
	WEIR_FIELD("filters", LIST, .max = 16, .sub = weir_fields_filter),
	WEIR_FIELD("name", STR, .format = &weir_format_subdomain),
	WEIR_FIELD("sessionPersistence", ANY),
	WEIR_FIELD_END,
};

static const struct weir_field l4_rule_fields[] = {
	WEIR_FIELD("backendRefs", LIST, .is_required = true,
		   .is_nonempty = true, .max = 16, .sub = l4_backend_fields),
	WEIR_FIELD("name", STR, .format = &weir_format_subdomain),
	WEIR_FIELD_END,
};

#define PARENT_FIELDS                                                          \
	WEIR_FIELD("parentRefs", LIST, .max = 32, .sub = parent_fields),       \
		WEIR_FIELD("useDefaultGateways", STR)

static const struct weir_field http_spec_fields[] = {
	PARENT_FIELDS,
	WEIR_FIELD("hostnames", STRS, .max = 16,
		   .format = &weir_format_hostname),
	WEIR_FIELD("rules", LIST, .max = 16, .sub = http_rule_fields),
	WEIR_FIELD_END,
};

static const struct weir_field grpc_spec_fields[] = {
	PARENT_FIELDS,
	WEIR_FIELD("hostnames", STRS, .max = 16,
		   .format = &weir_format_hostname),
	WEIR_FIELD("rules", LIST, .max = 16, .sub = grpc_rule_fields),
	WEIR_FIELD_END,
};

static const struct weir_field tls_spec_fields[] = {
	PARENT_FIELDS,
	WEIR_FIELD("hostnames", STRS, .max = 1024,
		   .format = &weir_format_hostname),
	WEIR_FIELD("rules", LIST, .is_required = true, .is_nonempty = true,
		   .max = 1, .sub = l4_rule_fields),
	WEIR_FIELD_END,
};

static const struct weir_field l4_spec_fields[] = {
	PARENT_FIELDS,
	WEIR_FIELD("rules", LIST, .is_required = true, .is_nonempty = true,
		   .max = 1, .sub = l4_rule_fields),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_http_route[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = http_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};
const struct weir_field weir_fields_grpc_route[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = grpc_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};
const struct weir_field weir_fields_tls_route[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true, .sub = tls_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};
const struct weir_field weir_fields_l4_route[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true, .sub = l4_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

static void decode_parents(struct weir_decode *d, const struct weir_node *list,
			   struct weir_route_spec *spec)
{
	struct weir_parent_ref *p = weir_decode_array(d, list, sizeof(*p),
						      &spec->n_parents);

	spec->parents = p;
	for (const struct weir_node *c = p ? list->child : NULL; c;
	     c = c->next, p++) {
		p->group = weir_decode_str(d, c, "group",
					   "gateway.networking.k8s.io");
		p->kind = weir_decode_str(d, c, "kind", "Gateway");
		p->ns = d->object->ns;
		p->has_ns = weir_node_get(c, "namespace") != NULL;
		if (p->has_ns) {
			p->ns = weir_decode_str(d, c, "namespace", "");
		}
		p->name = weir_decode_str(d, c, "name", "");
		p->section = weir_decode_str(d, c, "sectionName", "");
		p->port = (uint16_t)weir_decode_int(c, "port", 0);
	}
}

/* A route that asks for the default Gateways gets none (GEP-3793). */
static void check_defaults(struct weir_decode *d, const struct weir_node *spec)
{
	const struct weir_node *use = weir_node_get(spec, "useDefaultGateways");

	if (use && !weir_str_is(use->text, "None")) {
		weir_decode_report(d, WEIR_DIAG_WARNING, use, NULL,
				   "NotServedYet",
				   "default Gateways are not served yet, "
				   "expected the Gateways in parentRefs");
	}
}

static void decode_backends(struct weir_decode *d, const struct weir_node *list,
			    bool has_prefix_matches, struct weir_route_rule *r)
{
	struct weir_backend_ref *b = weir_decode_array(d, list, sizeof(*b),
						       &r->n_backends);

	r->backends = b;
	for (const struct weir_node *c = b ? list->child : NULL; c;
	     c = c->next, b++) {
		b->group = weir_decode_str(d, c, "group", "");
		b->kind = weir_decode_str(d, c, "kind", "Service");
		b->ns = d->object->ns;
		if (weir_node_get(c, "namespace")) {
			b->ns = weir_decode_str(d, c, "namespace", "");
		}
		b->name = weir_decode_str(d, c, "name", "");
		b->port = (uint16_t)weir_decode_int(c, "port", 0);
		b->weight = (uint32_t)weir_decode_int(c, "weight", 1);
		b->filters = weir_decode_filters(d, weir_node_get(c, "filters"),
						 has_prefix_matches,
						 &b->n_filters);
		if (b->port == 0 && b->group.n == 0 &&
		    weir_str_is(b->kind, "Service")) {
			weir_decode_bad(d, c, "port", "MissingField",
					"missing, expected with kind Service");
		}
	}
}

/* Of equivalent names only the first counts (HTTPHeaderMatch,
 * HTTPQueryParamMatch); header names have no case. */
static const struct weir_value_match *
decode_values(struct weir_decode *d, const struct weir_node *list,
	      bool is_header, size_t *ret_n)
{
	struct weir_value_match *v = weir_decode_array(d, list, sizeof(*v),
						       ret_n);
	size_t n = 0;

	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next) {
		const struct weir_node *type = weir_node_get(c, "type");
		struct weir_str name = weir_node_get(c, "name")->text;
		size_t i = 0;

		while (i < n &&
		       !(is_header ? weir_str_eq_nocase(v[i].name, name)
				   : weir_str_eq(v[i].name, name))) {
			i++;
		}
		if (i < n) {
			weir_decode_report(d, WEIR_DIAG_WARNING, c, NULL,
					   "DuplicateName",
					   "\"%.*s\" is given twice, only the "
					   "first counts",
					   WEIR_STR_ARG(name));
			continue;
		}
		v[n].name = weir_decode_text(d, name);
		v[n].value = weir_decode_str(d, c, "value", "");
		v[n].type = type && weir_str_is(type->text, "RegularExpression")
				    ? WEIR_VALUE_REGEX
				    : WEIR_VALUE_EXACT;
		n++;
	}
	*ret_n = n;
	return v;
}

static void decode_path(struct weir_decode *d, const struct weir_node *node,
			struct weir_http_match *m)
{
	const struct weir_node *type = weir_node_get(node, "type");
	const struct weir_node *value = weir_node_get(node, "value");
	const struct weir_format *format = &weir_format_path;
	char shown[WEIR_SHOWN_MAX];

	m->path_type = WEIR_MPATH_PREFIX_TYPE;
	if (type && weir_str_is(type->text, "Exact")) {
		m->path_type = WEIR_MPATH_EXACT;
	} else if (type && weir_str_is(type->text, "RegularExpression")) {
		m->path_type = WEIR_MPATH_REGEX;
		format = &weir_format_nonempty;
	}
	m->path = weir_decode_str(d, node, "value", "/");
	if (value && (!format->is_valid(value->text) || value->text.n > 1024)) {
		weir_decode_bad(d, value, NULL, "InvalidValue",
				"found \"%s\", expected %s",
				weir_shown(value->text, shown),
				format->expected);
	}
}

static void decode_http_matches(struct weir_decode *d,
				const struct weir_node *list,
				struct weir_route_rule *r)
{
	struct weir_http_match *m = weir_decode_array(d, list, sizeof(*m),
						      &r->n_matches);

	r->matches = m;
	for (const struct weir_node *c = m ? list->child : NULL; c;
	     c = c->next, m++) {
		decode_path(d, weir_node_get(c, "path"), m);
		m->method = weir_decode_str(d, c, "method", "");
		m->headers = decode_values(d, weir_node_get(c, "headers"), true,
					   &m->n_headers);
		m->query = decode_values(d, weir_node_get(c, "queryParams"),
					 false, &m->n_query);
	}
}

/* A gRPC method is the path "/service/method" (gRPC over HTTP/2), so it is kept
 * as a path match. */
static void decode_grpc_method(struct weir_decode *d,
			       const struct weir_node *node,
			       struct weir_http_match *m)
{
	const struct weir_node *type = weir_node_get(node, "type");
	const struct weir_node *service = weir_node_get(node, "service");
	const struct weir_node *method = weir_node_get(node, "method");
	bool is_regex = type && weir_str_is(type->text, "RegularExpression");
	char shown[WEIR_SHOWN_MAX];

	if (!service && !method) {
		weir_decode_bad(d, node, NULL, "MissingField",
				"empty, expected service, method or both");
		return;
	}
	if (!is_regex && service &&
	    !weir_format_grpc_service.is_valid(service->text)) {
		weir_decode_bad(d, service, NULL, "InvalidValue",
				"found \"%s\", expected %s",
				weir_shown(service->text, shown),
				weir_format_grpc_service.expected);
	}
	if (!is_regex && method &&
	    !weir_format_grpc_method.is_valid(method->text)) {
		weir_decode_bad(d, method, NULL, "InvalidValue",
				"found \"%s\", expected %s",
				weir_shown(method->text, shown),
				weir_format_grpc_method.expected);
	}
	if (!is_regex && service) {
		m->path_type = method ? WEIR_MPATH_EXACT
				      : WEIR_MPATH_PREFIX_TYPE;
		m->path = weir_arena_printf(
			d->arena, "/%.*s%s%.*s", WEIR_STR_ARG(service->text),
			method ? "/" : "",
			WEIR_STR_ARG(method ? method->text : WEIR_STR_NULL));
	} else if (!is_regex) {
		m->path_type = WEIR_MPATH_GRPC_METHOD;
		m->path = weir_arena_printf(d->arena, "/%.*s",
					    WEIR_STR_ARG(method->text));
	} else {
		m->path_type = WEIR_MPATH_REGEX;
		m->path = weir_arena_printf(
			d->arena, "/%.*s/%.*s",
			WEIR_STR_ARG(service ? service->text
					     : WEIR_STR("[^/]+")),
			WEIR_STR_ARG(method ? method->text
					    : WEIR_STR("[^/]+")));
	}
	if (!m->path.p) {
		d->error = -ENOMEM;
	}
}

static void decode_grpc_matches(struct weir_decode *d,
				const struct weir_node *list,
				struct weir_route_rule *r)
{
	struct weir_http_match *m = weir_decode_array(d, list, sizeof(*m),
						      &r->n_matches);

	r->matches = m;
	for (const struct weir_node *c = m ? list->child : NULL; c;
	     c = c->next, m++) {
		const struct weir_node *method = weir_node_get(c, "method");

		m->path_type = WEIR_MPATH_PREFIX_TYPE;
		m->path = WEIR_STR("/");
		if (method) {
			decode_grpc_method(d, method, m);
		}
		m->headers = decode_values(d, weir_node_get(c, "headers"), true,
					   &m->n_headers);
	}
}

/* No matches are one that matches all, so that the rule counts. */
static void default_match(struct weir_decode *d, struct weir_route_rule *r)
{
	struct weir_http_match *m = weir_decode_new(d, sizeof(*m));

	if (m) {
		m->path_type = WEIR_MPATH_PREFIX_TYPE;
		m->path = WEIR_STR("/");
		r->matches = m;
		r->n_matches = 1;
	}
}

static bool has_prefix_matches(const struct weir_route_rule *r)
{
	for (size_t i = 0; i < r->n_matches; i++) {
		if (r->matches[i].path_type != WEIR_MPATH_PREFIX_TYPE) {
			return false;
		}
	}
	return true;
}

static uint32_t timeout_of(const struct weir_node *node, const char *key)
{
	const struct weir_node *value = weir_node_get(node, key);
	uint32_t ms = 0;

	if (value) {
		(void)weir_duration_parse(value->text, &ms); /* was checked */
	}
	return ms;
}

static void decode_timeouts(struct weir_decode *d, const struct weir_node *node,
			    struct weir_route_rule *r)
{
	r->request_timeout_ms = timeout_of(node, "request");
	r->backend_timeout_ms = timeout_of(node, "backendRequest");
	if (r->request_timeout_ms &&
	    r->backend_timeout_ms > r->request_timeout_ms) {
		weir_decode_bad(d, weir_node_get(node, "backendRequest"), NULL,
				"InvalidValue",
				"is longer than request, expected at most "
				"that");
	}
}

static void decode_retry(struct weir_decode *d, const struct weir_node *node,
			 struct weir_route_rule *r)
{
	const struct weir_node *codes = weir_node_get(node, "codes");
	struct weir_retry *retry;
	uint16_t *v;

	if (!node) {
		return;
	}
	retry = weir_decode_new(d, sizeof(*retry));
	if (!retry) {
		return;
	}
	r->has_retry = true;
	r->retry = retry;
	retry->attempts = (uint32_t)weir_decode_int(node, "attempts", 1);
	retry->has_backoff = weir_node_get(node, "backoff") != NULL;
	v = weir_decode_array(d, codes, sizeof(*v), &retry->n_codes);
	retry->codes = v;
	for (const struct weir_node *c = v ? codes->child : NULL; c;
	     c = c->next) {
		*v++ = (uint16_t)c->number;
	}
}

static void check_redirect(struct weir_decode *d, const struct weir_node *node,
			   const struct weir_route_rule *r)
{
	for (size_t i = 0; i < r->n_filters && r->n_backends; i++) {
		if (r->filters[i].type == WEIR_MFILTER_REDIRECT) {
			weir_decode_bad(d, weir_node_get(node, "backendRefs"),
					NULL, "InvalidValue",
					"found beside a RequestRedirect, "
					"expected none");
			return;
		}
	}
}

static void decode_rule(struct weir_decode *d, const struct weir_node *node,
			struct weir_route_rule *r)
{
	const struct weir_node *matches = weir_node_get(node, "matches");
	enum weir_kind kind = d->object->kind;
	bool is_prefixed;

	r->name = weir_decode_str(d, node, "name", "");
	if (kind == WEIR_KIND_HTTP_ROUTE) {
		decode_http_matches(d, matches, r);
	} else if (kind == WEIR_KIND_GRPC_ROUTE) {
		decode_grpc_matches(d, matches, r);
	}
	if (r->n_matches == 0 &&
	    (kind == WEIR_KIND_HTTP_ROUTE || kind == WEIR_KIND_GRPC_ROUTE)) {
		default_match(d, r);
	}
	is_prefixed = has_prefix_matches(r);
	r->filters = weir_decode_filters(d, weir_node_get(node, "filters"),
					 is_prefixed, &r->n_filters);
	decode_backends(d, weir_node_get(node, "backendRefs"), is_prefixed, r);
	decode_timeouts(d, weir_node_get(node, "timeouts"), r);
	decode_retry(d, weir_node_get(node, "retry"), r);
	r->has_persistence = weir_node_get(node, "sessionPersistence") != NULL;
	check_redirect(d, node, r);
}

static void check_rules(struct weir_decode *d, const struct weir_node *list,
			const struct weir_route_spec *spec)
{
	size_t matches = 0;
	size_t i = 0;

	for (const struct weir_node *c = spec->rules ? list->child : NULL; c;
	     c = c->next, i++) {
		const struct weir_route_rule *r = &spec->rules[i];

		matches += r->n_matches;
		for (size_t j = 0; r->name.n && j < i; j++) {
			if (weir_str_eq(spec->rules[j].name, r->name)) {
				weir_decode_bad(d, weir_node_get(c, "name"),
						NULL, "InvalidValue",
						"\"%.*s\" is given twice, "
						"expected unique names",
						WEIR_STR_ARG(r->name));
				break;
			}
		}
	}
	if (matches > MATCHES_MAX) {
		weir_decode_bad(d, list, NULL, "TooMany",
				"found %zu matches in all rules, expected at "
				"most %d",
				matches, MATCHES_MAX);
	}
}

void weir_decode_route(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	const struct weir_node *rules = weir_node_get(node, "rules");
	struct weir_route_spec *spec = weir_decode_new(d, sizeof(*spec));
	struct weir_route_rule *r;

	if (!spec) {
		return;
	}
	d->object->route = spec;
	decode_parents(d, weir_node_get(node, "parentRefs"), spec);
	check_defaults(d, node);
	spec->hostnames = weir_decode_strs(d, weir_node_get(node, "hostnames"));
	r = weir_decode_array(d, rules, sizeof(*r), &spec->n_rules);
	spec->rules = r;
	for (const struct weir_node *c = r ? rules->child : NULL; c;
	     c = c->next, r++) {
		decode_rule(d, c, r);
	}
	if (d->error == 0 && spec->n_rules) {
		check_rules(d, rules, spec);
	}
	/* The CRD's default: one rule for all, without a backend (500). */
	if (spec->n_rules == 0 && d->object->kind == WEIR_KIND_HTTP_ROUTE) {
		r = weir_decode_new(d, sizeof(*r));
		if (r) {
			default_match(d, r);
			spec->rules = r;
			spec->n_rules = 1;
		}
	}
}
