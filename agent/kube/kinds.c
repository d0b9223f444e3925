/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds.h"

#define RULE(name, list, ...)                                                  \
	{                                                                      \
		.plural = (name), .versions = (list), __VA_ARGS__              \
	}

/* Versions are those that the model decodes. */
static const struct weir_kube_rule rules[_WEIR_KIND_MAX] = {
	[WEIR_KIND_NAMESPACE] = RULE("namespaces", "v1"),
	[WEIR_KIND_GATEWAY_CLASS] = RULE("gatewayclasses", "v1|v1beta1"),
	[WEIR_KIND_GATEWAY] = RULE("gateways", "v1|v1beta1"),
	[WEIR_KIND_HTTP_ROUTE] = RULE("httproutes", "v1|v1beta1"),
	[WEIR_KIND_GRPC_ROUTE] = RULE("grpcroutes", "v1|v1alpha2"),
	[WEIR_KIND_TLS_ROUTE] = RULE("tlsroutes", "v1|v1alpha3|v1alpha2"),
	[WEIR_KIND_TCP_ROUTE] = RULE("tcproutes", "v1|v1alpha2"),
	[WEIR_KIND_UDP_ROUTE] = RULE("udproutes", "v1|v1alpha2"),
	[WEIR_KIND_REFERENCE_GRANT] = RULE("referencegrants", "v1|v1beta1"),
	[WEIR_KIND_LISTENER_SET] = RULE("listenersets", "v1"),
	[WEIR_KIND_BACKEND_TLS_POLICY] = RULE("backendtlspolicies", "v1"),
	[WEIR_KIND_SERVICE] = RULE("services", "v1", .is_by_name = true),
	[WEIR_KIND_ENDPOINT_SLICE] = RULE("endpointslices", "v1",
					  .is_by_name = true),
	/* The server leaves out all but certificates: neither tokens nor the
	 * releases of Helm travel. */
	[WEIR_KIND_SECRET] = RULE(
		"secrets", "v1", .is_by_name = true,
		.field_selector = "type%3Dkubernetes.io%2Ftls"),
	[WEIR_KIND_CONFIG_MAP] = RULE("configmaps", "v1", .is_by_name = true),
	[WEIR_KIND_POD] = RULE("pods", "v1", .is_by_name = true,
			       .is_of_node = true),
	/* The server leaves out all but Knative's; of these many are Ready, and
	 * are not kept. */
	[WEIR_KIND_REVISION_POD] = RULE(
		"pods", "v1", .is_by_name = true,
		.label_selector = "serving.knative.dev%2Frevision"),
	[WEIR_KIND_KSERVICE] = RULE("services", "v1"),
	[WEIR_KIND_KROUTE] = RULE("routes", "v1"),
	[WEIR_KIND_KREVISION] = RULE("revisions", "v1"),
	[WEIR_KIND_KINGRESS] = RULE("ingresses", "v1alpha1"),
};

const struct weir_kube_rule *weir_kube_rule_of(enum weir_kind kind)
{
	return &rules[kind];
}

struct weir_str weir_kube_version(const char *versions, size_t i)
{
	struct weir_str rest = weir_str_of(versions);

	for (; rest.n; i--) {
		ptrdiff_t bar = weir_str_find(rest, '|');
		size_t n = bar < 0 ? rest.n : (size_t)bar;

		if (i == 0) {
			return (struct weir_str){rest.p, n};
		}
		rest = weir_str_skip(rest, n + 1);
	}
	return WEIR_STR_NULL;
}

void weir_kube_root_path(struct weir_buf *out, const char *group,
			 struct weir_str version)
{
	if (*group) {
		weir_buf_printf(out, "/apis/%s/%.*s", group,
				WEIR_STR_ARG(version));
	} else {
		weir_buf_printf(out, "/api/%.*s", WEIR_STR_ARG(version));
	}
}

void weir_kube_path(struct weir_buf *out, enum weir_kind kind,
		    struct weir_str version, struct weir_str ns,
		    struct weir_str name, const char *sub)
{
	weir_kube_root_path(out, weir_kind_group(kind), version);
	if (ns.n) {
		weir_buf_addz(out, "/namespaces/");
		weir_kube_encode(out, ns);
	}
	weir_buf_printf(out, "/%s", rules[kind].plural);
	if (name.n) {
		weir_buf_addz(out, "/");
		weir_kube_encode(out, name);
		if (*sub) {
			weir_buf_printf(out, "/%s", sub);
		}
	}
}

void weir_kube_encode(struct weir_buf *out, struct weir_str s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] && strchr(plain, s.p[i])) {
			weir_buf_add(out, &s.p[i], 1);
		} else {
			weir_buf_printf(out, "%%%02X", (unsigned char)s.p[i]);
		}
	}
}
