/* SPDX-License-Identifier: Apache-2.0 */
/* Which listeners a route reaches, and under which hostnames. */
#include "compile_site.h"
#include "ir.h"

static void hostnames_intersect_as_the_api_says(void)
{
	static const struct {
		const char *listener;
		const char *route;
		const char *both; /* NULL: nothing in common */
	} cases[] = {
		{"", "", ""},
		{"", "a.example", "a.example"},
		{"a.example", "", "a.example"},
		{"a.example", "a.example", "a.example"},
		{"a.example", "b.example", NULL},
		{"*.example.com", "a.example.com", "a.example.com"},
		{"*.example.com", "a.b.example.com", "a.b.example.com"},
		{"*.example.com", "*.foo.example.com", "*.foo.example.com"},
		{"*.example.com", "example.com", NULL},
		{"*.example.com", "*.example.com", "*.example.com"},
		{"*.example.com", "badexample.com", NULL},
		{"*.foo.example.com", "*.example.com", "*.foo.example.com"},
		{"*.example.com", "*.com", "*.example.com"},
		{"a.example.com", "*.example.com", "a.example.com"},
		{"example.com", "*.example.com", NULL},
		{"*.example.com", "*.example.org", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_str both = WEIR_STR_NULL;
		bool is_common = weir_ir_intersect(
			weir_str_of(cases[i].listener),
			weir_str_of(cases[i].route), &both);

		ok(is_common == (cases[i].both != NULL), "%s, %s",
		   cases[i].listener, cases[i].route);
		ok(!is_common || weir_str_is(both, cases[i].both),
		   "%s, %s: %.*s", cases[i].listener, cases[i].route,
		   WEIR_STR_ARG(both));
	}
}

#define BACKEND                                                                \
	"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: "    \
	"apps}, spec: {ports: [{port: 80}]}}\n---\n"

/* A Gateway in "infra" with one listener; a route in "apps". */
static void compile_pair(struct site *s, const char *listener,
			 const char *route, const char *more)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 BACKEND "apiVersion: gateway.networking.k8s.io/v1\n"
			 "kind: Gateway\n"
			 "metadata: {name: gw, namespace: infra}\n"
			 "spec:\n"
			 "  gatewayClassName: weir\n"
			 "  addresses: [{value: 10.0.0.1}]\n"
			 "  listeners:\n"
			 "  - {name: l, port: 80, protocol: HTTP%s}\n"
			 "---\n"
			 "apiVersion: gateway.networking.k8s.io/v1\n"
			 "kind: HTTPRoute\n"
			 "metadata: {name: r, namespace: apps}\n"
			 "spec:\n"
			 "  parentRefs: [{name: gw, namespace: infra%s}]\n"
			 "  rules: [{backendRefs: [{name: web, port: 80}]}]\n"
			 "%s",
		 listener, route, more);
	site_init(s, text);
}

static void allowed_routes_decide(void)
{
	static const struct {
		const char *listener;
		const char *route;
		const char *more;
		const char *reason; /* NULL: attached */
	} cases[] = {
		{"", "", "", "NotAllowedByListeners"}, /* from: Same */
		{", allowedRoutes: {namespaces: {from: All}}", "", "", NULL},
		{", allowedRoutes: {namespaces: {from: None}}", "", "",
		 "NotAllowedByListeners"},
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{matchLabels: {team: a}}}}",
		 "", "", "NotAllowedByListeners"}, /* no Namespace, no labels */
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{matchLabels: {team: a}}}}",
		 "",
		 "---\n{apiVersion: v1, kind: Namespace, metadata: {name: "
		 "apps, labels: {team: a}}}\n",
		 NULL},
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{matchExpressions: [{key: team, operator: NotIn, values: "
		 "[a]}]}}}",
		 "",
		 "---\n{apiVersion: v1, kind: Namespace, metadata: {name: "
		 "apps, labels: {team: a}}}\n",
		 "NotAllowedByListeners"},
		/* A namespace bears its name, there or not. */
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{matchLabels: {kubernetes.io/metadata.name: apps}}}}",
		 "", "", NULL},
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{matchLabels: {kubernetes.io/metadata.name: infra}}}}",
		 "", "", "NotAllowedByListeners"},
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{matchExpressions: [{key: team, operator: Exists}, {key: "
		 "kubernetes.io/metadata.name, operator: In, values: [x, "
		 "apps]}]}}}",
		 "",
		 "---\n{apiVersion: v1, kind: Namespace, metadata: {name: "
		 "apps, labels: {team: a}}}\n",
		 NULL},
		{", allowedRoutes: {namespaces: {from: Selector, selector: "
		 "{}}}",
		 "", "", NULL},
		{", allowedRoutes: {namespaces: {from: All}}", ", port: 80", "",
		 NULL},
		{", allowedRoutes: {namespaces: {from: All}}",
		 ", sectionName: other, port: 80", "", "NoMatchingParent"},
		{", hostname: a.example, allowedRoutes: {namespaces: {from: "
		 "Same}}",
		 "", "", "NotAllowedByListeners"},
		{", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: "
		 "GRPCRoute}]}",
		 "", "", "NotAllowedByListeners"},
		{", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: "
		 "HTTPRoute}]}",
		 ", sectionName: l, port: 80", "", NULL},
		{", allowedRoutes: {namespaces: {from: All}}",
		 ", sectionName: other", "", "NoMatchingParent"},
		{", allowedRoutes: {namespaces: {from: All}}",
		 ", sectionName: l, port: 81", "", "NoMatchingParent"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;
		struct weir_decision d;

		compile_pair(&s, cases[i].listener, cases[i].route,
			     cases[i].more);
		d = site_decide(&s, "10.0.0.1:80", "GET", "x", "/", NULL);
		ok(!d.rule == (cases[i].reason != NULL), "case %zu: %s", i,
		   site_route(&s, &d));
		ok(!cases[i].reason || site_said(&s, cases[i].reason,
						 "spec.parentRefs[0]") == 1,
		   "case %zu: not told", i);
	}
}

static void classes_decide_whose_gateway_it_is(void)
{
#define CLASS(name, controller)                                                \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n"       \
	"metadata: {name: " name "}\nspec: {controllerName: " controller       \
	"}\n---\n"
	static const struct {
		const char *classes;
		const char *name;
		bool is_ours;
	} cases[] = {
		{"", "weir", true},
		{"", "other", false},
		{CLASS("mine", WEIR_CONTROLLER), "mine", true},
		{CLASS("mine", WEIR_CONTROLLER), "weir", false},
		{CLASS("weir", "example.com/x"), "weir", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;
		char text[2048];

		snprintf(text, sizeof(text),
			 "%sapiVersion: gateway.networking.k8s.io/v1\n"
			 "kind: Gateway\n"
			 "metadata: {name: gw, namespace: infra}\n"
			 "spec:\n"
			 "  gatewayClassName: %s\n"
			 "  addresses: [{value: 10.0.0.1}]\n"
			 "  listeners: [{name: l, port: 80, protocol: HTTP}]\n",
			 cases[i].classes, cases[i].name);
		site_init(&s, text);
		ok((site_frontend(&s, "10.0.0.1:80", IPPROTO_TCP) != NULL) ==
			   cases[i].is_ours,
		   "case %zu", i);
	}
}

static const char two_gateways[] =
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: a-younger, namespace: d, creationTimestamp: "
	"\"2026-02-01T00:00:00Z\"}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{value: 10.0.0.1}]\n"
	"  listeners: [{name: l, port: 80, protocol: HTTP}, {name: m, port: "
	"81, protocol: HTTP}]\n"
	"---\n"
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: b-older, namespace: d, creationTimestamp: "
	"\"2026-01-01T00:00:00Z\"}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{value: 10.0.0.1}]\n"
	"  listeners: [{name: l, port: 80, protocol: HTTP}]\n";

static void the_older_gateway_keeps_an_address_that_two_name(void)
{
	_cleanup_(site_fini) struct site s;
	const struct weir_frontend *f;
	const struct weir_pobject *o;

	site_init(&s, two_gateways);
	f = site_frontend(&s, "10.0.0.1:80", IPPROTO_TCP);
	must(f != NULL, "taken");
	o = WEIR_PLAN_ELEM(s.view.rules, struct weir_pobject,
			   s.view.rules->objects, f->object);
	ok(weir_str_is(weir_plan_str(s.view.rules, o->name), "b-older"),
	   "the older");
	ok(site_frontend(&s, "10.0.0.1:81", IPPROTO_TCP) != NULL,
	   "what does not collide is served");
	ok(site_said(&s, "PortUnavailable", "spec.addresses") == 1, "told");
}

TAP_MAIN(TEST(hostnames_intersect_as_the_api_says), TEST(allowed_routes_decide),
	 TEST(classes_decide_whose_gateway_it_is),
	 TEST(the_older_gateway_keeps_an_address_that_two_name))
