/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <assert.h>

static const struct {
	const char *kind;
	const char *group;
	bool is_namespaced;
} kinds[] = {
	[WEIR_KIND_NAMESPACE] = {"Namespace", "", false},
	[WEIR_KIND_GATEWAY_CLASS] = {"GatewayClass",
				     "gateway.networking.k8s.io", false},
	[WEIR_KIND_GATEWAY] = {"Gateway", "gateway.networking.k8s.io", true},
	[WEIR_KIND_HTTP_ROUTE] = {"HTTPRoute", "gateway.networking.k8s.io",
				  true},
	[WEIR_KIND_GRPC_ROUTE] = {"GRPCRoute", "gateway.networking.k8s.io",
				  true},
	[WEIR_KIND_TLS_ROUTE] = {"TLSRoute", "gateway.networking.k8s.io", true},
	[WEIR_KIND_TCP_ROUTE] = {"TCPRoute", "gateway.networking.k8s.io", true},
	[WEIR_KIND_UDP_ROUTE] = {"UDPRoute", "gateway.networking.k8s.io", true},
	[WEIR_KIND_REFERENCE_GRANT] = {"ReferenceGrant",
				       "gateway.networking.k8s.io", true},
	[WEIR_KIND_LISTENER_SET] = {"ListenerSet", "gateway.networking.k8s.io",
				    true},
	[WEIR_KIND_BACKEND_TLS_POLICY] = {"BackendTLSPolicy",
					  "gateway.networking.k8s.io", true},
	[WEIR_KIND_SERVICE] = {"Service", "", true},
	[WEIR_KIND_ENDPOINT_SLICE] = {"EndpointSlice", "discovery.k8s.io",
				      true},
	[WEIR_KIND_SECRET] = {"Secret", "", true},
	[WEIR_KIND_CONFIG_MAP] = {"ConfigMap", "", true},
	[WEIR_KIND_POD] = {"Pod", "", true},
	[WEIR_KIND_REVISION_POD] = {"RevisionPod", "", true},
	[WEIR_KIND_KSERVICE] = {"Service", "serving.knative.dev", true},
	[WEIR_KIND_KROUTE] = {"Route", "serving.knative.dev", true},
	[WEIR_KIND_KREVISION] = {"Revision", "serving.knative.dev", true},
	[WEIR_KIND_KINGRESS] = {"Ingress", "networking.internal.knative.dev",
				true},
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == _WEIR_KIND_MAX,
	      "a row for each kind");

const char *weir_kind_text(enum weir_kind kind)
{
	return kind < _WEIR_KIND_MAX ? kinds[kind].kind : "";
}

const char *weir_kind_group(enum weir_kind kind)
{
	return kind < _WEIR_KIND_MAX ? kinds[kind].group : "";
}

bool weir_kind_is_namespaced(enum weir_kind kind)
{
	return kind < _WEIR_KIND_MAX && kinds[kind].is_namespaced;
}

bool weir_object_is_of_gateway(const struct weir_object *service,
			       struct weir_str gateway)
{
	for (size_t i = 0; i < service->n_owners; i++) {
		const struct weir_owner *owner = &service->owners[i];

		if (weir_str_is(owner->kind, "Gateway") &&
		    weir_str_is(owner->group, "gateway.networking.k8s.io") &&
		    weir_str_eq(owner->name, gateway)) {
			return true;
		}
	}
	return false;
}

struct weir_str weir_pairs_get(struct weir_pairs pairs, const char *key)
{
	struct weir_str want = weir_str_of(key);

	for (size_t i = 0; i < pairs.n; i++) {
		if (weir_str_eq(pairs.v[i].key, want)) {
			struct weir_str value = pairs.v[i].value;

			return value.p ? value : WEIR_STR("");
		}
	}
	return WEIR_STR_NULL;
}

static const struct weir_str *find_label(struct weir_pairs labels,
					 struct weir_str key)
{
	for (size_t i = 0; i < labels.n; i++) {
		if (weir_str_eq(labels.v[i].key, key)) {
			return &labels.v[i].value;
		}
	}
	return NULL;
}

static bool holds(struct weir_strs values, const struct weir_str *value)
{
	for (size_t i = 0; value && i < values.n; i++) {
		if (weir_str_eq(values.v[i], *value)) {
			return true;
		}
	}
	return false;
}

/* As metav1.LabelSelector: NotIn also matches where the key is absent. */
bool weir_selector_matches(const struct weir_selector *selector,
			   struct weir_pairs labels)
{
	for (size_t i = 0; i < selector->n; i++) {
		const struct weir_selector_term *term = &selector->v[i];
		const struct weir_str *value = find_label(labels, term->key);
		bool is_match = false;

		switch (term->op) {
		case WEIR_SEL_IN:
			is_match = holds(term->values, value);
			break;
		case WEIR_SEL_NOT_IN:
			is_match = !holds(term->values, value);
			break;
		case WEIR_SEL_EXISTS:
			is_match = value != NULL;
			break;
		case WEIR_SEL_ABSENT:
			is_match = value == NULL;
			break;
		}
		if (!is_match) {
			return false;
		}
	}
	return true;
}
