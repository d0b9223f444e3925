/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of HTTPRoute and GRPCRoute rules and of their backendRefs. */
#include <errno.h>

#include "decode.h"

static const struct weir_field header_fields[] = {
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_token),
	WEIR_FIELD("value", STR, .is_required = true,
		   .format = &weir_format_header_value),
	WEIR_FIELD_END,
};

static const struct weir_field modifier_fields[] = {
	WEIR_FIELD("set", LIST, .max = 16, .sub = header_fields),
	WEIR_FIELD("add", LIST, .max = 16, .sub = header_fields),
	WEIR_FIELD("remove", STRS, .max = 16, .format = &weir_format_token),
	WEIR_FIELD_END,
};

static const struct weir_field path_fields[] = {
	WEIR_FIELD("type", STR, .is_required = true,
		   .one_of = "ReplaceFullPath|ReplacePrefixMatch"),
	WEIR_FIELD("replaceFullPath", STR, .format = &weir_format_rewrite_path),
	WEIR_FIELD("replacePrefixMatch", STR,
		   .format = &weir_format_rewrite_path),
	WEIR_FIELD_END,
};

static const struct weir_field redirect_fields[] = {
	WEIR_FIELD("scheme", STR, .one_of = "http|https"),
	WEIR_FIELD("hostname", STR, .format = &weir_format_precise_hostname),
	WEIR_FIELD("path", OBJECT, .sub = path_fields),
	WEIR_FIELD("port", INT, .from = 1, .to = 65535),
	WEIR_FIELD("statusCode", INT, .from = 301, .to = 308),
	WEIR_FIELD_END,
};

static const struct weir_field rewrite_fields[] = {
	WEIR_FIELD("hostname", STR, .format = &weir_format_precise_hostname),
	WEIR_FIELD("path", OBJECT, .sub = path_fields),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_backend_object[] = {
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("port", INT, .from = 1, .to = 65535),
	WEIR_FIELD("namespace", STR, .format = &weir_format_label),
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .format = &weir_format_kind),
	WEIR_FIELD_END,
};

static const struct weir_field fraction_fields[] = {
	WEIR_FIELD("numerator", INT, .is_required = true, .from = 0,
		   .to = INT32_MAX),
	WEIR_FIELD("denominator", INT, .from = 1, .to = INT32_MAX),
	WEIR_FIELD_END,
};

static const struct weir_field mirror_fields[] = {
	WEIR_FIELD("backendRef", OBJECT, .is_required = true,
		   .sub = weir_fields_backend_object),
	WEIR_FIELD("percent", INT, .from = 0, .to = 100),
	WEIR_FIELD("fraction", OBJECT, .sub = fraction_fields),
	WEIR_FIELD_END,
};

static const struct weir_field cors_fields[] = {
	WEIR_FIELD("allowOrigins", STRS, .max = 64),
	WEIR_FIELD("allowCredentials", BOOL),
	WEIR_FIELD("allowMethods", STRS, .max = 9),
	WEIR_FIELD("allowHeaders", STRS, .max = 64),
	WEIR_FIELD("exposeHeaders", STRS, .max = 64),
	WEIR_FIELD("maxAge", INT, .from = 1, .to = INT32_MAX),
	WEIR_FIELD_END,
};

static const struct weir_field extension_fields[] = {
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .is_required = true,
		   .format = &weir_format_kind),
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_filter[] = {
	WEIR_FIELD("type", STR, .is_required = true,
		   .format = &weir_format_kind),
	WEIR_FIELD("requestHeaderModifier", OBJECT, .sub = modifier_fields),
	WEIR_FIELD("responseHeaderModifier", OBJECT, .sub = modifier_fields),
	WEIR_FIELD("requestRedirect", OBJECT, .sub = redirect_fields),
	WEIR_FIELD("urlRewrite", OBJECT, .sub = rewrite_fields),
	WEIR_FIELD("requestMirror", OBJECT, .sub = mirror_fields),
	WEIR_FIELD("cors", OBJECT, .sub = cors_fields),
	WEIR_FIELD("externalAuth", ANY),
	WEIR_FIELD("extensionRef", OBJECT, .sub = extension_fields),
	WEIR_FIELD_END,
};

/* A type and the field that holds its parameters. */
static const struct {
	const char *type;
	const char *field;
	enum weir_mfilter_type value;
	bool may_repeat;
} types[] = {
	{"RequestHeaderModifier", "requestHeaderModifier",
	 WEIR_MFILTER_REQUEST_HEADERS, false},
	{"ResponseHeaderModifier", "responseHeaderModifier",
	 WEIR_MFILTER_RESPONSE_HEADERS, false},
	{"RequestRedirect", "requestRedirect", WEIR_MFILTER_REDIRECT, false},
	{"URLRewrite", "urlRewrite", WEIR_MFILTER_REWRITE, false},
	{"RequestMirror", "requestMirror", WEIR_MFILTER_MIRROR, true},
	{"CORS", "cors", WEIR_MFILTER_CORS, false},
	{"ExtensionRef", "extensionRef", WEIR_MFILTER_EXTENSION, true},
	{"ExternalAuth", "externalAuth", WEIR_MFILTER_UNKNOWN, true},
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

static struct weir_pairs decode_headers(struct weir_decode *d,
					const struct weir_node *list)
{
	struct weir_pairs pairs = {0};
	struct weir_pair *v = weir_decode_array(d, list, sizeof(*v), &pairs.n);
	size_t n = 0;

	pairs.v = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next, n++) {
		v[n].key = weir_decode_str(d, c, "name", "");
		v[n].value = weir_decode_str(d, c, "value", "");
		for (size_t i = 0; i < n; i++) {
			if (weir_str_eq_nocase(v[i].key, v[n].key)) {
				weir_decode_bad(d, c, NULL, "InvalidValue",
						"\"%.*s\" is given twice, "
						"expected unique names",
						WEIR_STR_ARG(v[n].key));
				break;
			}
		}
	}
	return pairs;
}

static void decode_path(struct weir_decode *d, const struct weir_node *node,
			bool has_prefix_matches, struct weir_mfilter *f)
{
	bool is_prefix;
	const char *field;
	const char *other;

	if (!node) {
		return;
	}
	is_prefix = weir_str_is(weir_node_get(node, "type")->text,
				"ReplacePrefixMatch");
	field = is_prefix ? "replacePrefixMatch" : "replaceFullPath";
	other = is_prefix ? "replaceFullPath" : "replacePrefixMatch";
	if (!weir_node_get(node, field)) {
		weir_decode_bad(d, node, field, "MissingField",
				"missing, expected with type %s",
				is_prefix ? "ReplacePrefixMatch"
					  : "ReplaceFullPath");
	}
	if (weir_node_get(node, other)) {
		weir_decode_bad(
			d, weir_node_get(node, other), NULL, "InvalidValue",
			"does not belong to the type, expected %s only", field);
	}
	if (is_prefix && !has_prefix_matches) {
		weir_decode_bad(d, weir_node_get(node, "type"), NULL,
				"InvalidValue",
				"found ReplacePrefixMatch, expected only with "
				"PathPrefix matches");
	}
	f->path_mod = is_prefix ? WEIR_MPATH_PREFIX : WEIR_MPATH_FULL;
	f->path = weir_decode_str(d, node, field, "");
}

static void decode_redirect(struct weir_decode *d, const struct weir_node *node,
			    bool has_prefix_matches, struct weir_mfilter *f)
{
	const struct weir_node *code = weir_node_get(node, "statusCode");

	f->scheme = weir_decode_str(d, node, "scheme", "");
	f->hostname = weir_decode_str(d, node, "hostname", "");
	f->port = (uint16_t)weir_decode_int(node, "port", 0);
	f->status = (uint16_t)weir_decode_int(node, "statusCode", 302);
	if (f->status > 303 && f->status < 307) {
		weir_decode_bad(d, code, NULL, "InvalidValue",
				"found %u, expected 301, 302, 303, 307 or 308",
				f->status);
	}
	decode_path(d, weir_node_get(node, "path"), has_prefix_matches, f);
}

/* Exactly the block of the type must be there. */
static const struct weir_node *
find_block(struct weir_decode *d, const struct weir_node *node, size_t t)
{
	const struct weir_node *block = NULL;

	for (size_t i = 0; i < N_TYPES; i++) {
		const struct weir_node *b = weir_node_get(node, types[i].field);

		if (i == t) {
			block = b;
		} else if (b) {
			weir_decode_bad(d, b, NULL, "InvalidValue",
					"does not belong to type %s, expected "
					"%s only",
					types[t].type, types[t].field);
		}
	}
	if (!block) {
		weir_decode_bad(d, node, types[t].field, "MissingField",
				"missing, expected with type %s",
				types[t].type);
	}
	return block;
}

static const struct weir_mirror *decode_mirror(struct weir_decode *d,
					       const struct weir_node *node)
{
	const struct weir_node *ref = weir_node_get(node, "backendRef");
	const struct weir_node *fraction = weir_node_get(node, "fraction");
	struct weir_mirror *m = weir_decode_new(d, sizeof(*m));

	if (!m) {
		return NULL;
	}
	m->group = weir_decode_str(d, ref, "group", "");
	m->kind = weir_decode_str(d, ref, "kind", "Service");
	m->name = weir_decode_str(d, ref, "name", "");
	m->ns = weir_node_get(ref, "namespace")
			? weir_decode_str(d, ref, "namespace", "")
			: d->object->ns;
	m->port = (uint16_t)weir_decode_int(ref, "port", 0);
	m->numerator = (uint32_t)weir_decode_int(node, "percent", 100);
	m->denominator = 100;
	if (fraction) {
		m->numerator = (uint32_t)weir_decode_int(fraction, "numerator",
							 0);
		m->denominator = (uint32_t)weir_decode_int(fraction,
							   "denominator", 100);
	}
	if (fraction && weir_node_get(node, "percent")) {
		weir_decode_bad(d, fraction, NULL, "InvalidValue",
				"found beside percent, expected one of them");
	}
	if (m->numerator > m->denominator) {
		weir_decode_bad(d, fraction, NULL, "InvalidValue",
				"numerator is larger than denominator");
	}
	return m;
}

static const struct weir_cors *decode_cors(struct weir_decode *d,
					   const struct weir_node *node)
{
	struct weir_cors *c = weir_decode_new(d, sizeof(*c));

	if (!c) {
		return NULL;
	}
	c->origins = weir_decode_strs(d, weir_node_get(node, "allowOrigins"));
	c->methods = weir_decode_strs(d, weir_node_get(node, "allowMethods"));
	c->headers = weir_decode_strs(d, weir_node_get(node, "allowHeaders"));
	c->expose = weir_decode_strs(d, weir_node_get(node, "exposeHeaders"));
	c->max_age_s = (uint32_t)weir_decode_int(node, "maxAge", 5);
	c->has_credentials = weir_decode_bool(node, "allowCredentials", false);
	return c;
}

static void decode_filter(struct weir_decode *d, const struct weir_node *node,
			  bool has_prefix_matches, struct weir_mfilter *f)
{
	struct weir_str type = weir_node_get(node, "type")->text;
	const struct weir_node *block;
	size_t t = 0;

	while (t < N_TYPES && !weir_str_is(type, types[t].type)) {
		t++;
	}
	f->type_text = weir_decode_text(d, type);
	if (t == N_TYPES) {
		f->type = WEIR_MFILTER_UNKNOWN;
		return;
	}
	f->type = types[t].value;
	f->type_text = weir_str_of(types[t].type);
	block = find_block(d, node, t);
	if (!block) {
		return;
	}
	switch (f->type) {
	case WEIR_MFILTER_REQUEST_HEADERS:
	case WEIR_MFILTER_RESPONSE_HEADERS:
		f->set = decode_headers(d, weir_node_get(block, "set"));
		f->add = decode_headers(d, weir_node_get(block, "add"));
		f->remove = weir_decode_strs(d, weir_node_get(block, "remove"));
		break;
	case WEIR_MFILTER_REDIRECT:
		decode_redirect(d, block, has_prefix_matches, f);
		break;
	case WEIR_MFILTER_REWRITE:
		f->hostname = weir_decode_str(d, block, "hostname", "");
		decode_path(d, weir_node_get(block, "path"), has_prefix_matches,
			    f);
		break;
	case WEIR_MFILTER_MIRROR:
		f->mirror = decode_mirror(d, block);
		break;
	case WEIR_MFILTER_CORS:
		f->cors = decode_cors(d, block);
		break;
	case WEIR_MFILTER_EXTENSION:
	case WEIR_MFILTER_UNKNOWN:
		break;
	}
}

static bool may_repeat(const struct weir_mfilter *f)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if (types[i].value == f->type) {
			return types[i].may_repeat;
		}
	}
	return true;
}

/* The CEL rules about several filters of one list. */
static void check_pair(struct weir_decode *d, const struct weir_node *node,
		       const struct weir_mfilter *a,
		       const struct weir_mfilter *b)
{
	if (a->type == b->type && !may_repeat(b)) {
		weir_decode_bad(d, weir_node_get(node, "type"), NULL,
				"InvalidValue",
				"%.*s is given twice, expected once",
				WEIR_STR_ARG(b->type_text));
	}
	if ((a->type == WEIR_MFILTER_REDIRECT &&
	     b->type == WEIR_MFILTER_REWRITE) ||
	    (a->type == WEIR_MFILTER_REWRITE &&
	     b->type == WEIR_MFILTER_REDIRECT)) {
		weir_decode_bad(d, weir_node_get(node, "type"), NULL,
				"InvalidValue",
				"found RequestRedirect and URLRewrite, "
				"expected one of them");
	}
}

const struct weir_mfilter *weir_decode_filters(struct weir_decode *d,
					       const struct weir_node *list,
					       bool has_prefix_matches,
					       size_t *ret_n)
{
	struct weir_mfilter *v = weir_decode_array(d, list, sizeof(*v), ret_n);
	size_t n = 0;

	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next, n++) {
		decode_filter(d, c, has_prefix_matches, &v[n]);
		for (size_t i = 0; i < n; i++) {
			check_pair(d, c, &v[i], &v[n]);
		}
	}
	return v;
}
