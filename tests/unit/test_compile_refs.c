/* SPDX-License-Identifier: Apache-2.0 */
/* What a backendRef may name, which endpoints stand for it, and what is too
 * much for a kernel row. */
#include "compile_site.h"

static const char gateway[] =
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: gw, namespace: infra}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{value: 10.0.0.1}]\n"
	"  listeners:\n"
	"  - {name: http, port: 80, protocol: HTTP, allowedRoutes: "
	"{namespaces: {from: All}}}\n"
	"  - {name: tcp, port: 81, protocol: TCP, allowedRoutes: {namespaces: "
	"{from: All}}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: "
	"apps}, spec: {ports: [{port: 80}]}}\n"
	"---\n";

static const struct weir_rule *only_rule(const struct site *s)
{
	must(s->view.rules->rules.n == 1, "%u rules", s->view.rules->rules.n);
	return WEIR_PLAN_ELEM(s->view.rules, struct weir_rule,
			      s->view.rules->rules, 0);
}

static const struct weir_ref *first_ref(const struct site *s)
{
	must(only_rule(s)->refs.n > 0, "a ref");
	return WEIR_PLAN_ELEM(s->view.rules, struct weir_ref,
			      only_rule(s)->refs, 0);
}

#define FROM(kind, ns)                                                         \
	"{group: gateway.networking.k8s.io, kind: " kind ", namespace: " ns "}"
#define HTTP_FROM FROM("HTTPRoute", "team")

static void grants_are_any_from_with_any_to(void)
{
	static const struct {
		const char *from;
		const char *to;
		const char *ns; /* of the grant */
		bool is_granted;
	} cases[] = {
		{HTTP_FROM, "{group: \"\", kind: Service}", "apps", true},
		{HTTP_FROM, "{kind: Service}", "apps", true},
		{HTTP_FROM, "{kind: Service, name: web}", "apps", true},
		{HTTP_FROM, "{kind: Service, name: other}", "apps", false},
		{HTTP_FROM, "{kind: Secret}, {kind: Service, name: web}",
		 "apps", true},
		{HTTP_FROM, "{group: serving.knative.dev, kind: Service}",
		 "apps", false},
		{FROM("HTTPRoute", "other") ", " HTTP_FROM, "{kind: Service}",
		 "apps", true},
		{FROM("HTTPRoute", "other"), "{kind: Service}", "apps", false},
		{FROM("HTTPRoute", "apps"), "{kind: Service}", "apps", false},
		{FROM("TCPRoute", "team"), "{kind: Service}", "apps", false},
		{"{group: \"\", kind: HTTPRoute, namespace: team}",
		 "{kind: Service}", "apps", false},
		/* The target's namespace grants, nobody else. */
		{HTTP_FROM, "{kind: Service}", "team", false},
		{HTTP_FROM, "{kind: Service}", "infra", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;
		char text[4096];

		snprintf(text, sizeof(text),
			 "%s"
			 "apiVersion: gateway.networking.k8s.io/v1\n"
			 "kind: HTTPRoute\n"
			 "metadata: {name: r, namespace: team}\n"
			 "spec:\n"
			 "  parentRefs: [{name: gw, namespace: infra}]\n"
			 "  rules: [{backendRefs: [{name: web, namespace: "
			 "apps, port: 80}]}]\n"
			 "---\n"
			 "apiVersion: gateway.networking.k8s.io/v1beta1\n"
			 "kind: ReferenceGrant\n"
			 "metadata: {name: g, namespace: %s}\n"
			 "spec: {from: [%s], to: [%s]}\n",
			 gateway, cases[i].ns, cases[i].from, cases[i].to);
		site_init(&s, text);
		ok(first_ref(&s)->state == (cases[i].is_granted
						    ? WEIR_REF_OK
						    : WEIR_REF_INVALID),
		   "case %zu: state %u", i, first_ref(&s)->state);
		ok(site_said(&s, "RefNotPermitted",
			     "spec.rules[0].backendRefs[0].namespace") ==
			   !cases[i].is_granted,
		   "case %zu: told", i);
	}
}

/* serving.knative.dev is granted under its own group (facts: spelling B). */
static void a_knative_backend_is_granted_by_its_group(void)
{
	static const struct {
		const char *to;
		bool is_granted;
	} cases[] = {
		{"{group: serving.knative.dev, kind: Service}", true},
		{"{group: serving.knative.dev, kind: Service, name: app}",
		 true},
		{"{group: serving.knative.dev, kind: Route}", false},
		{"{kind: Service}", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;
		char text[4096];

		snprintf(text, sizeof(text),
			 "%s"
			 "apiVersion: gateway.networking.k8s.io/v1\n"
			 "kind: HTTPRoute\n"
			 "metadata: {name: r, namespace: team}\n"
			 "spec:\n"
			 "  parentRefs: [{name: gw, namespace: infra}]\n"
			 "  rules: [{backendRefs: [{group: "
			 "serving.knative.dev, kind: Service, name: app, "
			 "namespace: apps}]}]\n"
			 "---\n"
			 "{apiVersion: serving.knative.dev/v1, kind: Service, "
			 "metadata: {name: app, namespace: apps}}\n"
			 "---\n"
			 "apiVersion: gateway.networking.k8s.io/v1beta1\n"
			 "kind: ReferenceGrant\n"
			 "metadata: {name: g, namespace: apps}\n"
			 "spec: {from: [" HTTP_FROM "], to: [%s]}\n",
			 gateway, cases[i].to);
		site_init(&s, text);
		/* No KIngress: 503 for who may, 500 for who may not. */
		ok(first_ref(&s)->state == (cases[i].is_granted
						    ? WEIR_REF_UNREADY
						    : WEIR_REF_INVALID),
		   "case %zu: state %u", i, first_ref(&s)->state);
	}
}

/* KEP-1669: ready ones; only if there is none, those that terminate and still
 * serve.  Absent conditions: ready is true, serving is ready. */
static void endpoints_are_the_ready_or_the_last_that_serve(void)
{
#define READY "{addresses: [10.1.0.1]}"
#define IS_READY "{addresses: [10.1.0.2], conditions: {ready: true}}"
#define NOT_READY "{addresses: [10.1.0.3], conditions: {ready: false}}"
#define LAST                                                                   \
	"{addresses: [10.1.0.4], conditions: {ready: false, serving: true, "   \
	"terminating: true}}"
#define GONE                                                                   \
	"{addresses: [10.1.0.5], conditions: {ready: false, serving: false, "  \
	"terminating: true}}"
#define SERVING                                                                \
	"{addresses: [10.1.0.6], conditions: {ready: false, serving: true}}"
#define MANY "{addresses: [10.1.0.7, 10.1.0.8]}"
	static const struct {
		const char *one; /* endpoints of two slices */
		const char *two;
		const char *want;
	} cases[] = {
		{READY, IS_READY, "10.1.0.1 10.1.0.2 "},
		{READY, READY, "10.1.0.1 "},
		{READY ", " NOT_READY, LAST, "10.1.0.1 "},
		{LAST, READY, "10.1.0.1 "},
		{LAST ", " GONE, NOT_READY, "10.1.0.4! "},
		{SERVING, GONE, ""},
		{NOT_READY, NOT_READY, ""},
		/* The addresses of an endpoint are one endpoint. */
		{MANY, IS_READY, "10.1.0.2 10.1.0.7 "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;
		_cleanup_buf_ struct weir_buf got = {0};
		const struct weir_endpoint *e;
		char text[4096];
		uint32_t n;

		snprintf(text, sizeof(text),
			 "%s"
			 "apiVersion: gateway.networking.k8s.io/v1alpha2\n"
			 "kind: TCPRoute\n"
			 "metadata: {name: r, namespace: apps}\n"
			 "spec: {parentRefs: [{name: gw, namespace: infra}], "
			 "rules: [{backendRefs: [{name: web, port: 80}]}]}\n"
			 "---\n"
			 "{apiVersion: discovery.k8s.io/v1, kind: "
			 "EndpointSlice, metadata: {name: a, namespace: apps, "
			 "labels: {kubernetes.io/service-name: web}}, "
			 "addressType: IPv4, ports: [{port: 8080}], endpoints: "
			 "[%s]}\n"
			 "---\n"
			 "{apiVersion: discovery.k8s.io/v1, kind: "
			 "EndpointSlice, metadata: {name: b, namespace: apps, "
			 "labels: {kubernetes.io/service-name: web}}, "
			 "addressType: IPv4, ports: [{port: 8080}], endpoints: "
			 "[%s]}\n",
			 gateway, cases[i].one, cases[i].two);
		site_init(&s, text);
		e = weir_eps_of(s.view.eps, first_ref(&s)->group, &n);
		for (uint32_t k = 0; k < n; k++) {
			char addr[WEIR_ADDR_TEXT_MAX];

			weir_buf_printf(
				&got, "%s%s ", weir_ip_format(&e[k].addr, addr),
				e[k].flags & WEIR_ENDPOINT_TERMINATING ? "!"
								       : "");
		}
		weir_buf_add(&got, "", 1);
		ok(!strcmp(got.p, cases[i].want), "case %zu: %s", i, got.p);
		ok(site_said(&s, "NoEndpoints", "") == 0,
		   "case %zu: that none is ready is no fault", i);
	}
}

/* weight x percent; a plain backend beside it is a hundred times heavier, so
 * that shares stay what was written. */
static void more_slots_than_a_kernel_row_go_to_the_proxy(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf text = {0};
	const struct weir_rule *rule;

	weir_buf_printf(&text, "%s", gateway);
	weir_buf_printf(
		&text,
		"apiVersion: gateway.networking.k8s.io/v1\n"
		"kind: HTTPRoute\n"
		"metadata: {name: r, namespace: apps, annotations: "
		"{weir.dev/split: connection}}\n"
		"spec:\n"
		"  parentRefs: [{name: gw, namespace: infra}]\n"
		"  rules: [{backendRefs: [{name: app, port: 80, weight: "
		"1000000}, {name: app, port: 80}, {name: web, port: 80}]}]\n"
		"---\n"
		"{apiVersion: v1, kind: Service, metadata: {name: app, "
		"namespace: apps, labels: {serving.knative.dev/route: app}}, "
		"spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: "
		"80}]}}\n"
		"---\n"
		"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "
		"metadata: {name: web-1, namespace: apps, labels: "
		"{kubernetes.io/service-name: web}}, addressType: IPv4, ports: "
		"[{port: 8080}], endpoints: [{addresses: [10.1.0.1]}]}\n"
		"---\n"
		"apiVersion: networking.internal.knative.dev/v1alpha1\n"
		"kind: Ingress\n"
		"metadata: {name: app, namespace: apps}\n"
		"spec:\n"
		"  rules:\n"
		"  - hosts: [app.apps]\n"
		"    visibility: ClusterLocal\n"
		"    http:\n"
		"      paths:\n"
		"      - splits:\n");
	for (int i = 0; i < 50; i++) {
		weir_buf_printf(
			&text, "        - {serviceName: web, serviceNamespace: "
			       "apps, servicePort: 80, percent: 2}\n");
	}
	weir_buf_add(&text, "", 1);
	site_init(&s, text.p);
	rule = only_rule(&s);
	ok(rule->slots.n == 101, "%u slots", rule->slots.n);
	ok(rule->plane == WEIR_PLANE_PROXY &&
		   rule->reason == WEIR_REASON_TOO_MANY_SLOTS,
	   "plane %u reason %u", rule->plane, rule->reason);
	ok(first_ref(&s)->weight == 2000000, "weight times percent");
	ok(WEIR_PLAN_ELEM(s.view.rules, struct weir_ref, rule->refs, 50)
			   ->weight == 2,
	   "of the second");
	ok(WEIR_PLAN_ELEM(s.view.rules, struct weir_ref, rule->refs, 100)
			   ->weight == 100,
	   "of the plain one");
}

TAP_MAIN(TEST(grants_are_any_from_with_any_to),
	 TEST(a_knative_backend_is_granted_by_its_group),
	 TEST(endpoints_are_the_ready_or_the_last_that_serve),
	 TEST(more_slots_than_a_kernel_row_go_to_the_proxy))
