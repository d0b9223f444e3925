/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of backendRefs and endpoints of slices change all the time; all else
 * rarely.  Tells these edits from others by comparing the two objects field by
 * field.
 */
#include "small_edit.h"

static bool strs_eq(struct weir_strs a, struct weir_strs b)
{
	for (size_t i = 0; a.n == b.n && i < a.n; i++) {
		if (!weir_str_eq(a.v[i], b.v[i])) {
			return false;
		}
	}
	return a.n == b.n;
}

static bool pairs_eq(struct weir_pairs a, struct weir_pairs b)
{
	for (size_t i = 0; a.n == b.n && i < a.n; i++) {
		if (!weir_str_eq(a.v[i].key, b.v[i].key) ||
		    !weir_str_eq(a.v[i].value, b.v[i].value)) {
			return false;
		}
	}
	return a.n == b.n;
}

static bool mirror_eq(const struct weir_mirror *a, const struct weir_mirror *b)
{
	if (!a || !b) {
		return a == b;
	}
	return weir_str_eq(a->group, b->group) &&
	       weir_str_eq(a->kind, b->kind) && weir_str_eq(a->ns, b->ns) &&
	       weir_str_eq(a->name, b->name) && a->port == b->port &&
	       a->numerator == b->numerator && a->denominator == b->denominator;
}

static bool cors_eq(const struct weir_cors *a, const struct weir_cors *b)
{
	if (!a || !b) {
		return a == b;
	}
	return strs_eq(a->origins, b->origins) &&
	       strs_eq(a->methods, b->methods) &&
	       strs_eq(a->headers, b->headers) &&
	       strs_eq(a->expose, b->expose) && a->max_age_s == b->max_age_s &&
	       a->has_credentials == b->has_credentials;
}

static bool filter_eq(const struct weir_mfilter *a,
		      const struct weir_mfilter *b)
{
	return a->type == b->type && weir_str_eq(a->type_text, b->type_text) &&
	       pairs_eq(a->set, b->set) && pairs_eq(a->add, b->add) &&
	       strs_eq(a->remove, b->remove) &&
	       weir_str_eq(a->scheme, b->scheme) &&
	       weir_str_eq(a->hostname, b->hostname) &&
	       a->path_mod == b->path_mod && weir_str_eq(a->path, b->path) &&
	       a->port == b->port && a->status == b->status &&
	       mirror_eq(a->mirror, b->mirror) && cors_eq(a->cors, b->cors);
}

static bool filters_eq(const struct weir_mfilter *a, size_t n_a,
		       const struct weir_mfilter *b, size_t n_b)
{
	for (size_t i = 0; n_a == n_b && i < n_a; i++) {
		if (!filter_eq(&a[i], &b[i])) {
			return false;
		}
	}
	return n_a == n_b;
}

/* All but the weight. */
static bool backend_eq(const struct weir_backend_ref *a,
		       const struct weir_backend_ref *b)
{
	return weir_str_eq(a->group, b->group) &&
	       weir_str_eq(a->kind, b->kind) && weir_str_eq(a->ns, b->ns) &&
	       weir_str_eq(a->name, b->name) && a->port == b->port &&
	       filters_eq(a->filters, a->n_filters, b->filters, b->n_filters);
}

static bool values_eq(const struct weir_value_match *a, size_t n_a,
		      const struct weir_value_match *b, size_t n_b)
{
	for (size_t i = 0; n_a == n_b && i < n_a; i++) {
		if (!weir_str_eq(a[i].name, b[i].name) ||
		    !weir_str_eq(a[i].value, b[i].value) ||
		    a[i].type != b[i].type) {
			return false;
		}
	}
	return n_a == n_b;
}

static bool match_eq(const struct weir_http_match *a,
		     const struct weir_http_match *b)
{
	return a->path_type == b->path_type && weir_str_eq(a->path, b->path) &&
	       weir_str_eq(a->method, b->method) &&
	       values_eq(a->headers, a->n_headers, b->headers, b->n_headers) &&
	       values_eq(a->query, a->n_query, b->query, b->n_query);
}

static bool retry_eq(const struct weir_retry *a, const struct weir_retry *b)
{
	if (!a || !b) {
		return a == b;
	}
	for (size_t i = 0; a->n_codes == b->n_codes && i < a->n_codes; i++) {
		if (a->codes[i] != b->codes[i]) {
			return false;
		}
	}
	return a->n_codes == b->n_codes && a->attempts == b->attempts &&
	       a->has_backoff == b->has_backoff;
}

static bool rule_eq(const struct weir_route_rule *a,
		    const struct weir_route_rule *b)
{
	if (!weir_str_eq(a->name, b->name) || a->n_matches != b->n_matches ||
	    a->n_backends != b->n_backends ||
	    a->request_timeout_ms != b->request_timeout_ms ||
	    a->backend_timeout_ms != b->backend_timeout_ms ||
	    !retry_eq(a->retry, b->retry) ||
	    a->has_persistence != b->has_persistence ||
	    !filters_eq(a->filters, a->n_filters, b->filters, b->n_filters)) {
		return false;
	}
	for (size_t i = 0; i < a->n_matches; i++) {
		if (!match_eq(&a->matches[i], &b->matches[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < a->n_backends; i++) {
		if (!backend_eq(&a->backends[i], &b->backends[i])) {
			return false;
		}
	}
	return true;
}

static bool parent_eq(const struct weir_parent_ref *a,
		      const struct weir_parent_ref *b)
{
	return weir_str_eq(a->group, b->group) &&
	       weir_str_eq(a->kind, b->kind) && weir_str_eq(a->ns, b->ns) &&
	       weir_str_eq(a->name, b->name) &&
	       weir_str_eq(a->section, b->section) && a->port == b->port;
}

static bool route_eq(const struct weir_route_spec *a,
		     const struct weir_route_spec *b)
{
	if (a->n_parents != b->n_parents || a->n_rules != b->n_rules ||
	    !strs_eq(a->hostnames, b->hostnames)) {
		return false;
	}
	for (size_t i = 0; i < a->n_parents; i++) {
		if (!parent_eq(&a->parents[i], &b->parents[i])) {
			return false;
		}
	}
	for (size_t i = 0; i < a->n_rules; i++) {
		if (!rule_eq(&a->rules[i], &b->rules[i])) {
			return false;
		}
	}
	return true;
}

/* All but the endpoints. */
static bool slice_eq(const struct weir_slice_spec *a,
		     const struct weir_slice_spec *b)
{
	if (!weir_str_eq(a->service, b->service) || a->n_ports != b->n_ports) {
		return false;
	}
	for (size_t i = 0; i < a->n_ports; i++) {
		if (!weir_str_eq(a->ports[i].name, b->ports[i].name) ||
		    !weir_str_eq(a->ports[i].protocol, b->ports[i].protocol) ||
		    a->ports[i].port != b->ports[i].port) {
			return false;
		}
	}
	return true;
}

static bool spec_eq(const struct weir_object *a, const struct weir_object *b)
{
	switch (a->kind) {
	case WEIR_KIND_HTTP_ROUTE:
	case WEIR_KIND_GRPC_ROUTE:
	case WEIR_KIND_TLS_ROUTE:
	case WEIR_KIND_TCP_ROUTE:
	case WEIR_KIND_UDP_ROUTE:
		return a->route && b->route && route_eq(a->route, b->route);
	case WEIR_KIND_ENDPOINT_SLICE:
		return a->slice && b->slice && slice_eq(a->slice, b->slice);
	default:
		return false;
	}
}

bool weir_object_is_small_edit(const struct weir_object *before,
			       const struct weir_object *after)
{
	return after->kind == before->kind &&
	       weir_str_eq(before->ns, after->ns) &&
	       weir_str_eq(before->name, after->name) &&
	       before->created_s == after->created_s &&
	       before->line == after->line &&
	       weir_str_eq(before->source, after->source) &&
	       pairs_eq(before->annotations, after->annotations) &&
	       spec_eq(before, after);
}
