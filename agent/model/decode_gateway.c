/* SPDX-License-Identifier: Apache-2.0 */
/* GatewayClass, Gateway, ListenerSet, ReferenceGrant. */
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
	const struct weir_node *node = weir_node_get(root, "spec");
	const struct weir_node *parameters = weir_node_get(node,
							   "parametersRef");

	if (!spec) {
		return;
	}
	d->object->gateway_class = spec;
	spec->controller = weir_decode_str(d, node, "controllerName", "");
	spec->has_parameters = parameters != NULL;
	if (parameters) {
		weir_decode_object_ref(d, parameters, "", "",
				       &spec->parameters);
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
	WEIR_FIELD("certificateRefs", LIST, .max = 64,
		   .sub = weir_fields_object_ref),
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

/* spec.tls: what clients must show, and what weir shows to backends. */
static const struct weir_field validation_fields[] = {
	WEIR_FIELD("caCertificateRefs", LIST, .max = 8,
		   .sub = weir_fields_object_ref),
	WEIR_FIELD("mode", STR,
		   .one_of = "AllowValidOnly|AllowInsecureFallback"),
	WEIR_FIELD_END,
};

static const struct weir_field port_tls_fields[] = {
	WEIR_FIELD("validation", OBJECT, .sub = validation_fields),
	WEIR_FIELD_END,
};

static const struct weir_field per_port_fields[] = {
	WEIR_FIELD("port", INT, .is_required = true, .from = 1, .to = 65535),
	WEIR_FIELD("tls", OBJECT, .sub = port_tls_fields),
	WEIR_FIELD_END,
};

static const struct weir_field frontend_tls_fields[] = {
	WEIR_FIELD("default", OBJECT, .sub = port_tls_fields),
	WEIR_FIELD("perPort", LIST, .max = 64, .sub = per_port_fields),
	WEIR_FIELD_END,
};

static const struct weir_field backend_tls_fields[] = {
	WEIR_FIELD("clientCertificateRef", OBJECT,
		   .sub = weir_fields_object_ref),
	WEIR_FIELD_END,
};

static const struct weir_field gateway_tls_fields[] = {
	WEIR_FIELD("backend", OBJECT, .sub = backend_tls_fields),
	WEIR_FIELD("frontend", OBJECT, .sub = frontend_tls_fields),
	WEIR_FIELD_END,
};

static const struct weir_field infrastructure_fields[] = {
	WEIR_FIELD("labels", MAP, .max = 8),
	WEIR_FIELD("annotations", MAP, .max = 8),
	WEIR_FIELD("parametersRef", OBJECT, .sub = weir_fields_object_ref),
	WEIR_FIELD_END,
};

static const struct weir_field allowed_listeners_fields[] = {
	WEIR_FIELD("namespaces", OBJECT, .sub = namespaces_fields),
	WEIR_FIELD_END,
};

static const struct weir_field gateway_spec_fields[] = {
	WEIR_FIELD("gatewayClassName", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("listeners", LIST, .is_required = true, .is_nonempty = true,
		   .max = 64, .sub = listener_fields),
	WEIR_FIELD("addresses", LIST, .max = 16, .sub = address_fields),
	WEIR_FIELD("infrastructure", OBJECT, .sub = infrastructure_fields),
	WEIR_FIELD("allowedListeners", OBJECT, .sub = allowed_listeners_fields),
	WEIR_FIELD("backendTLS", ANY),
	WEIR_FIELD("tls", OBJECT, .sub = gateway_tls_fields),
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

/* allowedRoutes.namespaces, allowedListeners.namespaces. */
static enum weir_from decode_from(struct weir_decode *d,
				  const struct weir_node *namespaces,
				  enum weir_from dflt,
				  struct weir_selector *ret_selector)
{
	const struct weir_node *node = weir_node_get(namespaces, "from");
	const struct weir_node *selector = weir_node_get(namespaces,
							 "selector");
	enum weir_from from = dflt;

	if (node) {
		from = weir_str_is(node->text, "All") ? WEIR_FROM_ALL
		       : weir_str_is(node->text, "Selector")
			       ? WEIR_FROM_SELECTOR
		       : weir_str_is(node->text, "None") ? WEIR_FROM_NONE
							 : WEIR_FROM_SAME;
	}
	if (from != WEIR_FROM_SELECTOR) {
		return from;
	}
	if (selector) {
		decode_selector(d, selector, ret_selector);
	} else {
		weir_decode_bad(d, namespaces, "selector", "MissingField",
				"missing, expected a label selector beside "
				"from: Selector");
	}
	return from;
}

static void decode_allowed(struct weir_decode *d, const struct weir_node *node,
			   struct weir_listener_spec *l)
{
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
	l->from = decode_from(d, weir_node_get(node, "namespaces"),
			      WEIR_FROM_SAME, &l->selector);
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

static const struct weir_listener_spec *
decode_listeners(struct weir_decode *d, const struct weir_node *list,
		 size_t *ret_n)
{
	struct weir_listener_spec *v = weir_decode_array(d, list, sizeof(*v),
							 ret_n);
	size_t n = 0;

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
		l->certificates = weir_decode_object_refs(
			d, weir_node_get(tls, "certificateRefs"), "", "Secret");
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
	return v;
}

/* Addresses of type Hostname and of other types are not weir's to serve: a
 * condition of the Gateway. */
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
			if (spec->bad_address_type.n == 0) {
				spec->bad_address_type = weir_decode_text(
					d, type->text);
			}
			continue;
		}
		if (!value || value->text.n == 0) {
			spec->n_any_address++;
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

/* What a controller wrote, so nothing in it is wrong: what is no address is
 * none of weir's. */
static void decode_status_addresses(struct weir_decode *d,
				    const struct weir_node *status,
				    struct weir_gateway_spec *spec)
{
	const struct weir_node *list = weir_node_get(status, "addresses");
	struct weir_ip *v;
	size_t n;

	if (!list || list->type != WEIR_NODE_SEQ) {
		return;
	}
	v = weir_decode_array(d, list, sizeof(*v), &n);
	spec->status_addresses = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next) {
		const struct weir_node *value = weir_node_get(c, "value");

		if (c->type == WEIR_NODE_MAP && value &&
		    weir_ip_parse(value->text, &v[spec->n_status_addresses]) ==
			    0) {
			spec->n_status_addresses++;
		}
	}
}

static void decode_validation(struct weir_decode *d,
			      const struct weir_node *tls, uint16_t port,
			      struct weir_frontend_validation *v)
{
	const struct weir_node *node = weir_node_get(tls, "validation");
	const struct weir_node *mode = weir_node_get(node, "mode");

	v->port = port;
	v->is_optional = mode &&
			 weir_str_is(mode->text, "AllowInsecureFallback");
	v->cas = weir_decode_object_refs(
		d, weir_node_get(node, "caCertificateRefs"), "", "ConfigMap");
}

static void decode_gateway_tls(struct weir_decode *d,
			       const struct weir_node *tls,
			       struct weir_gateway_spec *spec)
{
	const struct weir_node *cert = weir_node_get(
		weir_node_get(tls, "backend"), "clientCertificateRef");
	const struct weir_node *frontend = weir_node_get(tls, "frontend");
	const struct weir_node *ports = weir_node_get(frontend, "perPort");
	struct weir_frontend_validation *v;
	size_t n = 0;

	spec->has_backend_cert = cert != NULL;
	if (cert) {
		weir_decode_object_ref(d, cert, "", "Secret",
				       &spec->backend_cert);
	}
	if (!frontend) {
		return;
	}
	v = weir_arena_array(d->arena, 1 + (ports ? ports->n : 0), sizeof(*v));
	if (!v) {
		d->error = -ENOMEM;
		return;
	}
	decode_validation(d, weir_node_get(frontend, "default"), 0, &v[n++]);
	for (const struct weir_node *c = ports ? ports->child : NULL; c;
	     c = c->next) {
		decode_validation(d, weir_node_get(c, "tls"),
				  (uint16_t)weir_decode_int(c, "port", 0),
				  &v[n++]);
	}
	spec->validations = v;
	spec->n_validations = n;
}

static void decode_infrastructure(struct weir_decode *d,
				  const struct weir_node *node,
				  struct weir_gateway_spec *spec)
{
	const struct weir_node *parameters = weir_node_get(node,
							   "parametersRef");

	spec->infra_labels = weir_decode_pairs(d, weir_node_get(node, "labels"),
					       NULL);
	spec->infra_annotations = weir_decode_pairs(
		d, weir_node_get(node, "annotations"), NULL);
	spec->has_parameters = parameters != NULL;
	if (parameters) {
		weir_decode_object_ref(d, parameters, "", "",
				       &spec->parameters);
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
	spec->listeners = decode_listeners(d, weir_node_get(node, "listeners"),
					   &spec->n_listeners);
	decode_addresses(d, weir_node_get(node, "addresses"), spec);
	decode_status_addresses(d, weir_node_get(root, "status"), spec);
	decode_infrastructure(d, weir_node_get(node, "infrastructure"), spec);
	spec->listeners_from = decode_from(
		d,
		weir_node_get(weir_node_get(node, "allowedListeners"),
			      "namespaces"),
		WEIR_FROM_NONE, &spec->listeners_selector);
	decode_gateway_tls(d, weir_node_get(node, "tls"), spec);
	d->object->gateway = spec;
}

/* ------------------------------------------------------------- ListenerSet */

static const struct weir_field listener_set_spec_fields[] = {
	WEIR_FIELD("parentRef", OBJECT, .is_required = true,
		   .sub = weir_fields_object_ref),
	WEIR_FIELD("listeners", LIST, .is_required = true, .is_nonempty = true,
		   .max = 64, .sub = listener_fields),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_listener_set[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = listener_set_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

void weir_decode_listener_set(struct weir_decode *d,
			      const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	struct weir_listener_set_spec *spec = weir_decode_new(d, sizeof(*spec));

	if (!spec) {
		return;
	}
	weir_decode_object_ref(d, weir_node_get(node, "parentRef"),
			       "gateway.networking.k8s.io", "Gateway",
			       &spec->parent);
	spec->listeners = decode_listeners(d, weir_node_get(node, "listeners"),
					   &spec->n_listeners);
	d->object->listener_set = spec;
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
