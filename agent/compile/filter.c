/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of rules and backendRefs.  A filter that cannot be served must not be
 * skipped (Gateway API, HTTPRouteFilter): it becomes one that answers 500.  The
 * one exception is RequestMirror, whose failing the API itself defines as
 * serving the request without the copy.
 */
#include "ir.h"

static const char *const type_text[] = {
	[WEIR_MFILTER_REQUEST_HEADERS] = "RequestHeaderModifier",
	[WEIR_MFILTER_RESPONSE_HEADERS] = "ResponseHeaderModifier",
	[WEIR_MFILTER_REDIRECT] = "RequestRedirect",
	[WEIR_MFILTER_REWRITE] = "URLRewrite",
	[WEIR_MFILTER_MIRROR] = "RequestMirror",
	[WEIR_MFILTER_CORS] = "CORS",
	[WEIR_MFILTER_EXTENSION] = "ExtensionRef",
	[WEIR_MFILTER_UNKNOWN] = "unknown",
};

/* RFC 9110 5.6.2: tchar. */
static const bool is_tchar[256] = {
	['!'] = true,         ['#' ... '\''] = true, ['*' ... '+'] = true,
	['-' ... '.'] = true, ['0' ... '9'] = true,  ['A' ... 'Z'] = true,
	['^' ... 'z'] = true, ['|'] = true,          ['~'] = true,
};

static bool is_token(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_tchar[(unsigned char)s.p[i]]) {
			return false;
		}
	}
	return s.n > 0;
}

/* Nothing that could end a line or a message. */
static bool is_field_value(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char b = (unsigned char)s.p[i];

		if ((b < ' ' && b != '\t') || b == 0x7F) {
			return false;
		}
	}
	return true;
}

struct build {
	struct ir *c;
	const struct ir_filter_request *q;
	size_t i; /* the filter at hand */
};

#define FILTER_FIELD(b, sub)                                                   \
	IR_FIELD("%.*s[%zu]%s", WEIR_STR_ARG((b)->q->field), (b)->i, (sub))

static bool has_bad_pair(const struct build *b, struct weir_pairs pairs,
			 const char *sub)
{
	for (size_t i = 0; i < pairs.n; i++) {
		if (is_token(pairs.v[i].key) &&
		    is_field_value(pairs.v[i].value)) {
			continue;
		}
		IR_DIAG(b->c, WEIR_DIAG_ERROR, b->q->route, "InvalidValue",
			FILTER_FIELD(b, sub),
			"\"%.*s\" is not a header that can be sent; such "
			"requests get 500",
			WEIR_STR_ARG(pairs.v[i].key));
		return true;
	}
	return false;
}

static bool fill_mods(const struct build *b, const struct weir_mfilter *from,
		      struct ir_filter *f)
{
	size_t max = from->set.n + from->add.n + from->remove.n;
	struct ir_mod *v = weir_ir_alloc(b->c, max, sizeof(*v));
	size_t n = 0;

	if (!v || has_bad_pair(b, from->set, ".set") ||
	    has_bad_pair(b, from->add, ".add")) {
		return false;
	}
	for (size_t i = 0; i < from->set.n; i++) {
		v[n++] = (struct ir_mod){from->set.v[i].key,
					 from->set.v[i].value, WEIR_HEADER_SET};
	}
	for (size_t i = 0; i < from->add.n; i++) {
		v[n++] = (struct ir_mod){from->add.v[i].key,
					 from->add.v[i].value, WEIR_HEADER_ADD};
	}
	for (size_t i = 0; i < from->remove.n; i++) {
		v[n++] = (struct ir_mod){.name = from->remove.v[i],
					 .op = WEIR_HEADER_REMOVE};
	}
	f->mods = v;
	f->n_mods = (uint32_t)n;
	return true;
}

/* What goes into a Location or a request line must be printable. */
static bool is_target(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char b = (unsigned char)s.p[i];

		if (b <= ' ' || b == 0x7F || b == '#') {
			return false;
		}
	}
	return true;
}

static bool fill_target(const struct build *b, const struct weir_mfilter *from,
			struct ir_filter *f)
{
	static const uint16_t codes[] = {301, 302, 303, 307, 308};
	bool is_code = from->type != WEIR_MFILTER_REDIRECT;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		is_code = is_code || from->status == codes[i];
	}
	if (!is_code || !is_target(from->path) || !is_target(from->hostname) ||
	    (from->scheme.n && !weir_str_is(from->scheme, "http") &&
	     !weir_str_is(from->scheme, "https")) ||
	    (from->path_mod == WEIR_MPATH_FULL && from->path.n &&
	     from->path.p[0] != '/')) {
		IR_DIAG(b->c, WEIR_DIAG_ERROR, b->q->route, "UnsupportedValue",
			FILTER_FIELD(b, ""),
			"scheme \"%.*s\", status %u, hostname or path cannot "
			"be used; such requests get 500",
			WEIR_STR_ARG(from->scheme), from->status);
		return false;
	}
	f->path_mod = (uint32_t)from->path_mod;
	f->scheme = from->scheme;
	f->hostname = from->hostname;
	f->path = from->path;
	f->port = from->port;
	f->status = from->status;
	return true;
}

static bool is_conflict(const struct weir_mfilter *a,
			const struct weir_mfilter *b)
{
	if (a->type == b->type) {
		return a->type != WEIR_MFILTER_MIRROR &&
		       a->type != WEIR_MFILTER_EXTENSION &&
		       a->type != WEIR_MFILTER_UNKNOWN;
	}
	return (a->type == WEIR_MFILTER_REDIRECT &&
		b->type == WEIR_MFILTER_REWRITE) ||
	       (a->type == WEIR_MFILTER_REWRITE &&
		b->type == WEIR_MFILTER_REDIRECT);
}

static bool conflicts_before(const struct build *b)
{
	const struct weir_mfilter *v = b->q->filters;

	for (size_t k = 0; k < b->i; k++) {
		if (is_conflict(&v[k], &v[b->i])) {
			IR_DIAG(b->c, WEIR_DIAG_ERROR, b->q->route,
				"IncompatibleFilters", FILTER_FIELD(b, ".type"),
				"%s cannot stand beside %s; such requests get "
				"500",
				type_text[v[b->i].type], type_text[v[k].type]);
			return true;
		}
	}
	return false;
}

/* False: it cannot be served, and must not be skipped. */
static bool fill(const struct build *b, struct ir_filter *f)
{
	const struct weir_mfilter *from = &b->q->filters[b->i];

	switch (from->type) {
	case WEIR_MFILTER_REQUEST_HEADERS:
		f->type = WEIR_FILTER_REQUEST_HEADERS;
		return fill_mods(b, from, f);
	case WEIR_MFILTER_RESPONSE_HEADERS:
		f->type = WEIR_FILTER_RESPONSE_HEADERS;
		return fill_mods(b, from, f);
	case WEIR_MFILTER_REDIRECT:
		f->type = WEIR_FILTER_REDIRECT;
		return fill_target(b, from, f);
	case WEIR_MFILTER_REWRITE:
		f->type = WEIR_FILTER_REWRITE;
		return fill_target(b, from, f);
	case WEIR_MFILTER_MIRROR:
	case WEIR_MFILTER_CORS:
	case WEIR_MFILTER_EXTENSION:
	case WEIR_MFILTER_UNKNOWN:
		break;
	}
	IR_DIAG(b->c, WEIR_DIAG_ERROR, b->q->route,
		from->type == WEIR_MFILTER_CORS ? "NotServedYet"
						: "UnsupportedValue",
		FILTER_FIELD(b, ".type"),
		"%.*s is not served%s, and must not be skipped: such requests "
		"get 500",
		WEIR_STR_ARG(from->type_text),
		from->type == WEIR_MFILTER_CORS ? " yet" : "");
	return false;
}

void weir_ir_filters(struct ir *c, const struct ir_filter_request *request,
		     struct ir_filters *out)
{
	struct build b = {.c = c, .q = request};

	if (request->n == 0) {
		return;
	}
	out->v = weir_ir_alloc(c, request->n, sizeof(*out->v));
	if (!out->v) {
		return;
	}
	for (b.i = 0; b.i < request->n; b.i++) {
		struct ir_filter *f = &out->v[out->n];

		if (request->filters[b.i].type == WEIR_MFILTER_MIRROR) {
			IR_DIAG(c, WEIR_DIAG_WARNING, request->route,
				"NotServedYet", FILTER_FIELD(&b, ".type"),
				"RequestMirror is not served yet: requests are "
				"served without the copy");
			continue;
		}
		if (conflicts_before(&b) || !fill(&b, f)) {
			*f = (struct ir_filter){
				.type = WEIR_FILTER_UNSUPPORTED};
		}
		out->needs_prefix |= f->path_mod == WEIR_PATH_MOD_PREFIX;
		out->n++;
	}
}

void weir_ir_filter_set(struct ir *c, struct weir_pairs headers,
			struct ir_filters *out)
{
	struct ir_filter *v;
	struct ir_mod *mods;
	uint32_t n = 0;

	if (headers.n == 0) {
		return;
	}
	v = weir_ir_alloc(c, out->n + 1, sizeof(*v));
	mods = weir_ir_alloc(c, headers.n, sizeof(*mods));
	if (!v || !mods) {
		return;
	}
	for (size_t i = 0; i < headers.n; i++) {
		if (is_token(headers.v[i].key) &&
		    is_field_value(headers.v[i].value)) {
			mods[n++] = (struct ir_mod){headers.v[i].key,
						    headers.v[i].value,
						    WEIR_HEADER_SET};
		}
	}
	if (out->n) {
		memcpy(v, out->v, out->n * sizeof(*v));
	}
	v[out->n] = (struct ir_filter){
		.type = WEIR_FILTER_REQUEST_HEADERS, .mods = mods, .n_mods = n};
	out->v = v;
	out->n++;
}

void weir_ir_filters_for_prefix(struct ir *c, struct ir_filters *filters,
				struct weir_str prefix)
{
	struct ir_filter *v;

	if (!filters->needs_prefix) {
		return;
	}
	v = weir_ir_alloc(c, filters->n, sizeof(*v));
	if (!v) {
		return;
	}
	memcpy(v, filters->v, filters->n * sizeof(*v));
	for (uint32_t i = 0; i < filters->n; i++) {
		if (v[i].path_mod == WEIR_PATH_MOD_PREFIX) {
			v[i].matched_prefix = prefix;
		}
	}
	filters->v = v;
}

static bool is_same_filter(const struct ir_filter *x, const struct ir_filter *y)
{
	if (x->type != y->type || x->path_mod != y->path_mod ||
	    x->port != y->port || x->status != y->status ||
	    x->n_mods != y->n_mods || !weir_str_eq(x->scheme, y->scheme) ||
	    !weir_str_eq(x->hostname, y->hostname) ||
	    !weir_str_eq(x->path, y->path) ||
	    !weir_str_eq(x->matched_prefix, y->matched_prefix)) {
		return false;
	}
	for (uint32_t i = 0; i < x->n_mods; i++) {
		const struct ir_mod *a = &x->mods[i];
		const struct ir_mod *b = &y->mods[i];

		if (a->op != b->op || !weir_str_eq(a->name, b->name) ||
		    !weir_str_eq(a->value, b->value)) {
			return false;
		}
	}
	return true;
}

bool weir_ir_is_same_filters(const struct ir_filters *x,
			     const struct ir_filters *y)
{
	bool is_same = x->n == y->n;

	for (uint32_t i = 0; is_same && i < x->n; i++) {
		is_same = is_same_filter(&x->v[i], &y->v[i]);
	}
	return is_same;
}
