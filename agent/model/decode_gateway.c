/* SPDX-License-Identifier: Apache-2.0 */
/* GatewayClass, Gateway, ReferenceGrant. */
#include <errno.h>

#include "addr.h"
#include "decode.h"

/* ------------------------------------------------------------ GatewayClass */

static const struct weir_field parameters_fields[] = {
	WEIR_FIELD("group", STR), WEIR_FIELD("kind", STR),
	WEIR_FIELD("name", STR),  WEIR_FIELD("namespace", STR),
	WEIR_FIELD_END,
};

static const struct weir_field class_spec_fields[] = {
	WEIR_FIELD("controllerName", STR, .is_required = true,
		   .format = &weir_format_controller),
	WEIR_FIELD("parametersRef", OBJECT, .sub = parameters_fields),
	WEIR_FIELD("description", STR),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_gateway_class[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = class_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

void weir_decode_gateway_class(struct weir_decode *d,
			       const struct weir_node *root)
{
	struct weir_class_spec *spec = weir_decode_new(d, sizeof(*spec));

	if (spec) {
		spec->controller = weir_decode_str(
			d, weir_node_get(root, "spec"), "controllerName", "");
		d->object->gateway_class = spec;
	}
}

/* ----------------------------------------------------------------- Gateway */

static const struct weir_field expression_fields[] = {
	WEIR_FIELD("key", STR, .is_required = true),
	WEIR_FIELD("operator", STR, .is_required = true,
		   .one_of = "In|NotIn|Exists|DoesNotExist"),
	WEIR_FIELD("values", STRS),
	WEIR_FIELD_END,
};

static const struct weir_field selector_fields[] = {
	WEIR_FIELD("matchLabels", MAP),
	WEIR_FIELD("matchExpressions", LIST, .sub = expression_fields),
	WEIR_FIELD_END,
};

static const struct weir_field namespaces_fields[] = {
	WEIR_FIELD("from", STR, .one_of = "Same|All|Selector|None"),
	WEIR_FIELD("selector", OBJECT, .sub = selector_fields),
	WEIR_FIELD_END,
};

static const struct weir_field route_kind_fields[] = {
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .is_required = true,
		   .format = &weir_format_kind),
	WEIR_FIELD_END,
};

static const struct weir_field allowed_routes_fields[] = {
	WEIR_FIELD("namespaces", OBJECT, .sub = namespaces_fields),
	WEIR_FIELD("kinds", LIST, .max = 8, .sub = route_kind_fields),
	WEIR_FIELD_END,
};

static const struct weir_field listener_tls_fields[] = {
	WEIR_FIELD("mode", STR, .one_of = "Terminate|Passthrough"),
	WEIR_FIELD("certificateRefs", ANY),
	WEIR_FIELD("frontendValidation", ANY),
	WEIR_FIELD("options", MAP, .max = 16),
	WEIR_FIELD_END,
};

static const struct weir_field listener_fields[] = {
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("port", INT, .is_required = true, .from = 1, .to = 65535),
	WEIR_FIELD("protocol", STR, .is_required = true,
		   .format = &weir_format_protocol),
	WEIR_FIELD("hostname", STR, .format = &weir_format_hostname),
	WEIR_FIELD("allowedRoutes", OBJECT, .sub = allowed_routes_fields),
	WEIR_FIELD("tls", OBJECT, .sub = listener_tls_fields),
	WEIR_FIELD_END,
};

static const struct weir_field address_fields[] = {
	WEIR_FIELD("type", STR),
	WEIR_FIELD("value", STR),
	WEIR_FIELD_END,
};

static const struct weir_field gateway_spec_fields[] = {
	WEIR_FIELD("gatewayClassName", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("listeners", LIST, .is_required = true, .is_nonempty = true,
		   .max = 64, .sub = listener_fields),
	WEIR_FIELD("addresses", LIST, .max = 16, .sub = address_fields),
	WEIR_FIELD("infrastructure", ANY),
	WEIR_FIELD("allowedListeners", ANY),
	WEIR_FIELD("backendTLS", ANY),
	WEIR_FIELD("tls", ANY),
	WEIR_FIELD("defaultScope", STR),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_gateway[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = gateway_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

static enum weir_selector_op selector_op(struct weir_str s)
{
	return weir_str_is(s, "In")       ? WEIR_SEL_IN
	       : weir_str_is(s, "NotIn")  ? WEIR_SEL_NOT_IN
	       : weir_str_is(s, "Exists") ? WEIR_SEL_EXISTS
					  : WEIR_SEL_ABSENT;
}

/* matchLabels are In with one value; all terms are ANDed. */
static void decode_selector(struct weir_decode *d, const struct weir_node *node,
			    struct weir_selector *ret_selector)
{
	const struct weir_node *labels = weir_node_get(node, "matchLabels");
	const struct weir_node *exprs = weir_node_get(node, "matchExpressions");
	size_t n = (labels ? labels->n : 0) + (exprs ? exprs->n : 0);
	struct weir_selector_term *v = NULL;
	size_t i = 0;

	if (n) {
		v = weir_arena_array(d->arena, n, sizeof(*v));
		if (!v) {
			d->error = -ENOMEM;
			return;
		}
	}
	for (const struct weir_node *c = v && labels ? labels->child : NULL; c;
	     c = c->next) {
		struct weir_str *value = weir_decode_new(d, sizeof(*value));

		if (!value) {
			return;
		}
		*value = weir_decode_text(d, c->text);
		v[i++] = (struct weir_selector_term){
			.key = weir_decode_text(d, c->key),
			.values = {value, 1},
			.op = WEIR_SEL_IN};
	}
	for (const struct weir_node *c = v && exprs ? exprs->child : NULL; c;
	     c = c->next) {
		v[i].key = weir_decode_str(d, c, "key", "");
		v[i].op = selector_op(weir_node_get(c, "operator")->text);
		v[i].values = weir_decode_strs(d, weir_node_get(c, "values"));
		i++;
	}
	*ret_selector = (struct weir_selector){v, i};
}

static void decode_allowed(struct weir_decode *d, const struct weir_node *node,
			   struct weir_listener_spec *l)
{
	const struct weir_node *namespaces = weir_node_get(node, "namespaces");
	const struct weir_node *from = weir_node_get(namespaces, "from");
	const struct weir_node *selector = weir_node_get(namespaces,
							 "selector");
	const struct weir_node *kinds = weir_node_get(node, "kinds");
	struct weir_group_kind *v = weir_decode_array(d, kinds, sizeof(*v),
						      &l->n_kinds);

	l->kinds = v;
	for (const struct weir_node *c = v ? kinds->child : NULL; c;
	     c = c->next, v++) {
		v->group = weir_decode_str(d, c, "group",
					   "gateway.networking.k8s.io");
		v->kind = weir_decode_str(d, c, "kind", "");
	}
	l->from = WEIR_FROM_SAME;
	if (from) {
		l->from = weir_str_is(from->text, "All") ? WEIR_FROM_ALL
			  : weir_str_is(from->text, "Selector")
				  ? WEIR_FROM_SELECTOR
			  : weir_str_is(from->text, "None") ? WEIR_FROM_NONE
							    : WEIR_FROM_SAME;
	}
	if (l->from != WEIR_FROM_SELECTOR) {
		return;
	}
	if (!selector) {
		weir_decode_bad(d, namespaces, "selector", "MissingField",
				"missing, expected a label selector beside "
				"from: Selector");
		return;
	}
	decode_selector(d, selector, &l->selector);
}

/* The CEL rules of Gateway: hostname and tls only where they mean something.
 * (That HTTPS needs tls is left to compile: a Listener condition.) */
static void check_listener(struct weir_decode *d, const struct weir_node *node,
			   const struct weir_listener_spec *l)
{
	bool is_plain = weir_str_is(l->protocol, "TCP") ||
			weir_str_is(l->protocol, "UDP");

	if (is_plain && l->hostname.n) {
		weir_decode_bad(d, weir_node_get(node, "hostname"), NULL,
				"InvalidValue",
				"found a hostname with protocol %.*s, expected "
				"none",
				WEIR_STR_ARG(l->protocol));
	}
	if (l->has_tls && (is_plain || weir_str_is(l->protocol, "HTTP"))) {
		weir_decode_bad(d, weir_node_get(node, "tls"), NULL,
				"InvalidValue",
				"found tls with protocol %.*s, expected none",
				WEIR_STR_ARG(l->protocol));
	}
}

static void decode_listeners(struct weir_decode *d,
			     const struct weir_node *list,
			     struct weir_gateway_spec *spec)
{
	struct weir_listener_spec *v = weir_decode_array(d, list, sizeof(*v),
							 &spec->n_listeners);
	size_t n = 0;

	spec->listeners = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next, n++) {
		const struct weir_node *tls = weir_node_get(c, "tls");
		struct weir_listener_spec *l = &v[n];

		l->name = weir_decode_str(d, c, "name", "");
		l->hostname = weir_decode_str(d, c, "hostname", "");
		l->protocol = weir_decode_str(d, c, "protocol", "");
		l->port = (uint16_t)weir_decode_int(c, "port", 0);
		l->has_tls = tls != NULL;
		l->tls_mode = weir_decode_str(d, tls, "mode",
					      tls ? "Terminate" : "");
		decode_allowed(d, weir_node_get(c, "allowedRoutes"), l);
		check_listener(d, c, l);
		for (size_t i = 0; i < n; i++) {
			if (weir_str_eq(v[i].name, l->name)) {
				weir_decode_bad(d, weir_node_get(c, "name"),
						NULL, "InvalidValue",
						"\"%.*s\" is given twice, "
						"expected unique names",
						WEIR_STR_ARG(l->name));
				break;
			}
		}
	}
}

/* Addresses of type Hostname and of other types are not weir's to serve. */
static void decode_addresses(struct weir_decode *d,
			     const struct weir_node *list,
			     struct weir_gateway_spec *spec)
{
	size_t n;
	struct weir_ip *v = weir_decode_array(d, list, sizeof(*v), &n);

	spec->addresses = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next) {
		const struct weir_node *type = weir_node_get(c, "type");
		const struct weir_node *value = weir_node_get(c, "value");
		char shown[WEIR_SHOWN_MAX];

		if (type && !weir_str_is(type->text, "IPAddress")) {
			weir_decode_report(d, WEIR_DIAG_WARNING, type, NULL,
					   "UnsupportedAddress",
					   "found \"%s\", ignored, expected "
					   "IPAddress",
					   weir_shown(type->text, shown));
			continue;
		}
		if (!value) {
			weir_decode_report(d, WEIR_DIAG_WARNING, c, "value",
					   "UnsupportedAddress",
					   "missing, ignored: weir assigns no "
					   "addresses here");
			continue;
		}
		if (weir_ip_parse(value->text, &v[spec->n_addresses]) < 0) {
			weir_decode_bad(d, value, NULL, "InvalidValue",
					"found \"%s\", expected %s",
					weir_shown(value->text, shown),
					weir_format_ip.expected);
			continue;
		}
		spec->n_addresses++;
	}
}

void weir_decode_gateway(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	struct weir_gateway_spec *spec = weir_decode_new(d, sizeof(*spec));

	if (!spec) {
		return;
	}
	spec->class_name = weir_decode_str(d, node, "gatewayClassName", "");
	decode_listeners(d, weir_node_get(node, "listeners"), spec);
	decode_addresses(d, weir_node_get(node, "addresses"), spec);
	d->object->gateway = spec;
}

/* ---------------------------------------------------------- ReferenceGrant */

static const struct weir_field grant_from_fields[] = {
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .is_required = true,
		   .format = &weir_format_kind),
	WEIR_FIELD("namespace", STR, .is_required = true,
		   .format = &weir_format_label),
	WEIR_FIELD_END,
};

static const struct weir_field grant_to_fields[] = {
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .is_required = true,
		   .format = &weir_format_kind),
	WEIR_FIELD("name", STR, .format = &weir_format_subdomain),
	WEIR_FIELD_END,
};

static const struct weir_field grant_spec_fields[] = {
	WEIR_FIELD("from", LIST, .is_required = true, .is_nonempty = true,
		   .max = 16, .sub = grant_from_fields),
	WEIR_FIELD("to", LIST, .is_required = true, .is_nonempty = true,
		   .max = 16, .sub = grant_to_fields),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_grant[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = grant_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

void weir_decode_grant(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	const struct weir_node *from = weir_node_get(node, "from");
	const struct weir_node *to = weir_node_get(node, "to");
	struct weir_grant_spec *spec = weir_decode_new(d, sizeof(*spec));
	struct weir_grant_from *f;
	struct weir_grant_to *t;

	if (!spec) {
		return;
	}
	f = weir_decode_array(d, from, sizeof(*f), &spec->n_from);
	t = weir_decode_array(d, to, sizeof(*t), &spec->n_to);
	if (!f || !t) {
		return;
	}
	spec->from = f;
	spec->to = t;
	for (const struct weir_node *c = from->child; c; c = c->next, f++) {
		f->group = weir_decode_str(d, c, "group", "");
		f->kind = weir_decode_str(d, c, "kind", "");
		f->ns = weir_decode_str(d, c, "namespace", "");
	}
	for (const struct weir_node *c = to->child; c; c = c->next, t++) {
		t->group = weir_decode_str(d, c, "group", "");
		t->kind = weir_decode_str(d, c, "kind", "");
		t->name = weir_decode_str(d, c, "name", "");
	}
	d->object->grant = spec;
}
