/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind but routes, metadata, lists, and what is told about strangers. */
#include "model_text.h"

#define GW "apiVersion: gateway.networking.k8s.io/v1\n"
#define LISTENERS(l)                                                           \
	GW "kind: Gateway\nmetadata: {name: g}\nspec:\n"                       \
	   " gatewayClassName: weir\n listeners: [" l "]\n"
#define SERVICE(s)                                                             \
	"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n" s
#define SLICE(s)                                                               \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"               \
	"metadata: {name: e, labels: {kubernetes.io/service-name: s}}\n" s
#define KING(paths)                                                            \
	"apiVersion: networking.internal.knative.dev/v1alpha1\n"               \
	"kind: Ingress\nmetadata: {name: k}\n"                                 \
	"spec: {rules: [{hosts: [a.b], http: {paths: [" paths "]}}]}\n"

#define DNS                                                                    \
	"a DNS name (RFC 1123: lower-case letters, digits, '-' and '.', "      \
	"at most 253)"
#define LABEL                                                                  \
	"a DNS label (RFC 1123: lower-case letters, digits and '-', at most "  \
	"63)"

static void documents_that_are_no_objects(void)
{
	static const struct model_case cases[] = {
		{"a list", "- a\n",
		 "1 error InvalidType : found a list, expected a Kubernetes "
		 "object\n"},
		{"no apiVersion", "kind: Service\n",
		 "1 error MissingField apiVersion: missing, expected a "
		 "string\n"},
		{"kind is a number", "apiVersion: v1\nkind: 1\n",
		 "2 error InvalidType kind: found the integer 1, expected "
		 "a string (put it in quotes)\n"},
		{"no metadata", "apiVersion: v1\nkind: Namespace\n",
		 "1 error MissingField metadata: missing, expected a map with "
		 "a name\n"},
		{"no name", "apiVersion: v1\nkind: Namespace\nmetadata: {}\n",
		 "3 error MissingField metadata.name: missing, expected a "
		 "string\n"},
		{"bad name",
		 "apiVersion: v1\nkind: Namespace\nmetadata: {name: A b}\n",
		 "3 error InvalidValue metadata.name: found \"A b\", "
		 "expected " DNS "\n"},
		{"version",
		 "apiVersion: v2\nkind: Service\n"
		 "metadata: {name: a}\nspec: {}\n",
		 "1 error UnsupportedVersion apiVersion: found \"v2\", "
		 "expected version v1\n"},
		{"old version",
		 "apiVersion: gateway.networking.k8s.io/v1alpha2\n"
		 "kind: HTTPRoute\nmetadata: {name: a}\nspec: {}\n",
		 "1 error UnsupportedVersion apiVersion: found "
		 "\"gateway.networking.k8s.io/v1alpha2\", expected version "
		 "v1 or v1beta1\n"},
		{"syntax", "a: [\n",
		 "2 error SyntaxError : while parsing a flow node, did not "
		 "find expected node content\n"},
	};

	MODEL_CASES(cases, false);
}

static void unknown_kinds_are_told_once(void)
{
	static const struct model_case cases[] = {
		{"twice and a good one",
		 "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"
		 "---\napiVersion: apps/v1\nkind: Deployment\n"
		 "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n",
		 "2 warning UnknownKind kind: Deployment of apps/v1 is not "
		 "used by weir, ignored\nNamespace /ns\n"},
		{"the group counts",
		 "apiVersion: networking.k8s.io/v1\nkind: Ingress\n",
		 "2 warning UnknownKind kind: Ingress of networking.k8s.io/v1 "
		 "is not used by weir, ignored\n"},
		{"a slip in the kind", GW "kind: HttpRoutes\n",
		 "2 warning UnknownKind kind: HttpRoutes of "
		 "gateway.networking.k8s.io/v1 is not used by weir, ignored, "
		 "expected HTTPRoute of gateway.networking.k8s.io?\n"},
		{"a slip in the group",
		 "apiVersion: gateway.network.k8s.io/v1\nkind: Gateway\n",
		 "2 warning UnknownKind kind: Gateway of "
		 "gateway.network.k8s.io/v1 is not used by weir, ignored\n"},
		{"a smaller slip in the group",
		 "apiVersion: discovery.k8s.oi/v1\nkind: EndpointSlice\n",
		 "2 warning UnknownKind kind: EndpointSlice of "
		 "discovery.k8s.oi/v1 is not used by weir, ignored, expected "
		 "EndpointSlice of discovery.k8s.io?\n"},
		{"a slip in a core kind", "apiVersion: v1\nkind: Servcie\n",
		 "2 warning UnknownKind kind: Servcie of v1 is not used by "
		 "weir, ignored, expected Service of core?\n"},
	};

	MODEL_CASES(cases, false);
}

static void lists_are_their_items(void)
{
	static const struct model_case cases[] = {
		{"List",
		 "apiVersion: v1\nkind: List\nitems:\n"
		 "- apiVersion: v1\n  kind: Namespace\n"
		 "  metadata: {name: a}\n"
		 "- apiVersion: v1\n  kind: Namespace\n"
		 "  metadata: {name: B}\n"
		 "- apiVersion: v1\n  kind: Secret\n"
		 "  metadata: {name: s}\n  immutable: 1\n",
		 "9 error InvalidValue metadata.name: found \"B\", "
		 "expected " DNS
		 "\n13 error InvalidType immutable: found the integer 1, "
		 "expected a boolean (true or false)\nNamespace /a\n"},
		{"HTTPRouteList",
		 GW "kind: HTTPRouteList\nitems:\n"
		    "- apiVersion: gateway.networking.k8s.io/v1beta1\n"
		    "  kind: HTTPRoute\n  metadata: {name: a, namespace: b}\n"
		    "  spec: {rules: []}\n",
		 "HTTPRoute b/a\n"},
	};

	MODEL_CASES(cases, false);
}

static void metadata_is_checked(void)
{
	static const struct model_case cases[] = {
		{"annotations of weir's prefix",
		 "apiVersion: v1\nkind: Namespace\nmetadata:\n name: a\n"
		 " annotations:\n  weir.dev/splt: connection\n"
		 "  weir.dev/split: connection\n  weir.dev/forwarded: none\n"
		 "  weir.dev/private-mode: gateway\n"
		 "  example.com/splt: x\n",
		 "6 warning UnknownAnnotation "
		 "metadata.annotations[weir.dev/splt]: unknown and ignored, "
		 "expected weir.dev/split, weir.dev/forwarded, "
		 "weir.dev/activation or weir.dev/private-mode\nNamespace "
		 "/a\n"},
		{"number as label",
		 "apiVersion: v1\nkind: Namespace\nmetadata:\n name: a\n"
		 " labels:\n  x/y: 1\n",
		 "6 error InvalidType metadata.labels[x/y]: found the integer "
		 "1, expected a string (put it in quotes)\n"},
		{"namespace",
		 "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: "
		 "a.b}\n",
		 "3 error InvalidValue metadata.namespace: found \"a.b\", "
		 "expected " LABEL "\n"},
		{"time",
		 "apiVersion: v1\nkind: Secret\nmetadata:\n name: a\n"
		 " creationTimestamp: yesterday\n",
		 "5 error InvalidValue metadata.creationTimestamp: expected a "
		 "time like 2006-01-02T15:04:05Z\n"},
		{"typo",
		 "apiVersion: v1\nkind: Secret\nmetadata:\n name: a\n"
		 " label: {}\n",
		 "5 warning UnknownField metadata.label: unknown and ignored, "
		 "expected \"labels\"?\nSecret default/a\n"},
		{"all that the API server writes",
		 "apiVersion: v1\nkind: Secret\nmetadata:\n name: a\n"
		 " uid: x\n resourceVersion: '1'\n managedFields: [{}]\n"
		 " finalizers: [a]\n selfLink: x\n deletionTimestamp: null\n",
		 "Secret default/a\n"},
	};

	MODEL_CASES(cases, false);
}

static void gateways_are_checked(void)
{
	static const struct model_case cases[] = {
		{"no listeners", LISTENERS(""),
		 "6 error MissingValue spec.listeners: empty, expected at "
		 "least one entry\n"},
		{"protocol", LISTENERS("{name: a, port: 80, protocol: 'a b'}"),
		 "6 error InvalidValue spec.listeners[0].protocol: found \"a "
		 "b\", expected a protocol: HTTP, HTTPS, TLS, TCP, UDP or "
		 "\"domain/name\"\n"},
		{"hostname with TCP",
		 LISTENERS("{name: a, port: 80, protocol: TCP, hostname: a.b}"),
		 "6 error InvalidValue spec.listeners[0].hostname: found a "
		 "hostname with protocol TCP, expected none\n"},
		{"tls with HTTP",
		 LISTENERS("{name: a, port: 80, protocol: HTTP, tls: {}}"),
		 "6 error InvalidValue spec.listeners[0].tls: found tls with "
		 "protocol HTTP, expected none\n"},
		{"two of a name",
		 LISTENERS("{name: a, port: 80, protocol: HTTP}, {name: a, "
			   "port: 81, protocol: HTTP}"),
		 "6 error InvalidValue spec.listeners[1].name: \"a\" is given "
		 "twice, expected unique names\n"},
		{"no selector",
		 LISTENERS("{name: a, port: 80, protocol: HTTP, allowedRoutes: "
			   "{namespaces: {from: Selector}}}"),
		 "6 error MissingField "
		 "spec.listeners[0].allowedRoutes.namespaces.selector: "
		 "missing, expected a label selector beside from: Selector\n"},
		{"from",
		 LISTENERS("{name: a, port: 80, protocol: HTTP, allowedRoutes: "
			   "{namespaces: {from: Any}}}"),
		 "6 error InvalidValue "
		 "spec.listeners[0].allowedRoutes.namespaces.from: found "
		 "\"Any\", expected one of Same, All, Selector, None\n"},
		{"address",
		 LISTENERS(
			 "{name: a, port: 80, protocol: HTTP}") " addresses: "
								"[{value: "
								"a.b}, {type: "
								"Hostname, "
								"value: c}]\n",
		 "7 error InvalidValue spec.addresses[0].value: found \"a.b\", "
		 "expected an IPv4 or IPv6 address\n"},
		{"controller",
		 GW "kind: GatewayClass\nmetadata: {name: c}\n"
		    "spec: {controllerName: weir}\n",
		 "4 error InvalidValue spec.controllerName: found \"weir\", "
		 "expected a controller name like \"example.com/name\"\n"},
		{"grant",
		 GW "kind: ReferenceGrant\nmetadata: {name: g}\n"
		    "spec: {from: [], to: [{group: '', kind: "
		    "Service}]}\n",
		 "4 error MissingValue spec.from: empty, expected at least one "
		 "entry\n"},
	};

	MODEL_CASES(cases, false);
}

static void services_and_slices_are_checked(void)
{
	static const struct model_case cases[] = {
		{"policies", SERVICE(" internalTrafficPolicy: Cluster\n"),
		 "Service default/s\n"},
		{"a policy", SERVICE(" internalTrafficPolicy: Local\n"),
		 "5 warning NotServedYet spec.internalTrafficPolicy: found "
		 "Local, not served yet: endpoints of all nodes are used\n"
		 "Service default/s\n"},
		{"address", SERVICE(" clusterIP: x\n"),
		 "5 error InvalidValue spec.clusterIP: found \"x\", expected "
		 "an IPv4 or IPv6 address, None or nothing\n"},
		{"nameless ports",
		 SERVICE(" ports: [{port: 1}, {port: 2, "
			 "name: b}]\n"),
		 "5 error MissingField spec.ports[0].name: missing, expected a "
		 "name where there are several ports\n"},
		{"protocol", SERVICE(" ports: [{port: 1, protocol: tcp}]\n"),
		 "5 error InvalidValue spec.ports[0].protocol: found \"tcp\", "
		 "expected one of TCP, UDP, SCTP\n"},
		{"known but not used",
		 SERVICE(" selector: {a: b}\n ipFamilies: [IPv4]\n ports:\n"
			 " - {port: 1, targetPort: x, nodePort: 30000}\n"),
		 "Service default/s\n"},
		{"no type", SLICE("endpoints: []\n"),
		 "1 error MissingField addressType: missing, expected a "
		 "string\n"},
		{"another family",
		 SLICE("addressType: IPv6\nendpoints: [{addresses: "
		       "[10.0.0.1]}]\n"),
		 "5 error InvalidValue endpoints[0].addresses[0]: found "
		 "\"10.0.0.1\", expected an IPv6 address\n"},
		{"no address", SLICE("addressType: IPv4\nendpoints: [{}]\n"),
		 "5 error MissingField endpoints[0].addresses: missing, "
		 "expected a list of strings\n"},
		{"names",
		 SLICE("addressType: FQDN\nendpoints: [{addresses: "
		       "[a.b]}]\n"),
		 "4 warning UnsupportedAddress addressType: found FQDN, its "
		 "endpoints are ignored, expected IPv4 or IPv6\n"
		 "EndpointSlice default/e\n"},
		{"of no Service",
		 "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
		 "metadata: {name: e}\naddressType: IPv4\n",
		 "3 warning MissingField metadata.labels: no label "
		 "kubernetes.io/service-name, expected the name of a Service: "
		 "the slice belongs to none\nEndpointSlice default/e\n"},
	};

	MODEL_CASES(cases, false);
}

static void kingresses_are_checked(void)
{
	static const struct model_case cases[] = {
		{"sum",
		 KING("{splits: [{serviceName: a, servicePort: 80, "
		      "percent: 50}, {serviceName: b, servicePort: 80, "
		      "percent: 40}]}"),
		 "4 error InvalidValue spec.rules[0].http.paths[0].splits: "
		 "found percents that add up to 90, expected 100\n"},
		{"one of many without percent",
		 KING("{splits: [{serviceName: a, servicePort: 80}, "
		      "{serviceName: b, servicePort: 80, percent: 100}]}"),
		 "Ingress default/k\n"},
		{"namespace",
		 KING("{splits: [{serviceName: a, servicePort: 80,"
		      " serviceNamespace: other}]}"),
		 "4 error InvalidValue "
		 "spec.rules[0].http.paths[0].splits[0].serviceNamespace: "
		 "found another namespace, expected the Ingress' own, "
		 "default\n"},
		{"port",
		 KING("{splits: [{serviceName: a, servicePort: 'x y'}]}"),
		 "4 error InvalidValue "
		 "spec.rules[0].http.paths[0].splits[0].servicePort: found \"x "
		 "y\", expected a port's number or name\n"},
		{"no splits", KING("{path: /a}"),
		 "4 error MissingField spec.rules[0].http.paths[0].splits: "
		 "missing, expected a list\n"},
		{"path",
		 KING("{path: a, splits: [{serviceName: a, "
		      "servicePort: 80}]}"),
		 "4 error InvalidValue spec.rules[0].http.paths[0].path: found "
		 "\"a\", expected empty, or a path of at most 1024 bytes that "
		 "begins with '/'\n"},
		{"header",
		 KING("{headers: {'a b': {exact: c}}, splits: "
		      "[{serviceName: a, servicePort: 80}]}"),
		 "4 error InvalidValue spec.rules[0].http.paths[0].headers.a "
		 "b: found the key \"a b\", expected a name of letters, digits "
		 "and !#$%&'*+-.^_`|~ (RFC 9110), at most 256\n"},
	};

	MODEL_CASES(cases, false);
}

static void gateway_and_its_defaults(void)
{
	struct model_objects got;
	const struct weir_gateway_spec *g;
	const struct weir_listener_spec *l;

	must(model_decode(
		     LISTENERS("{name: a, port: 80, protocol: HTTP}, {name: b, "
			       "port: 443, protocol: HTTPS, hostname: '*.x.y', "
			       "tls: {certificateRefs: []}, allowedRoutes: "
			       "{kinds: "
			       "[{kind: HTTPRoute}], namespaces: {from: "
			       "Selector, "
			       "selector: {matchLabels: {k: v}, "
			       "matchExpressions: "
			       "[{key: e, operator: Exists}]}}}}") " addresses:"
								   " [{value: "
								   "10.0.0.1}, "
								   "{value: "
								   "'fd00::1'}]"
								   "\n",
		     false, NULL, &got) == 0 &&
		     got.n == 1,
	     "decode");
	g = got.v[0]->gateway;
	l = g->listeners;

	ok(g->n_listeners == 2 && g->n_addresses == 2, "counts");
	ok(l[0].from == WEIR_FROM_SAME && !l[0].has_tls && l[0].n_kinds == 0 &&
		   l[0].tls_mode.n == 0,
	   "defaults");
	ok(l[1].from == WEIR_FROM_SELECTOR && l[1].selector.n == 2 &&
		   l[1].selector.v[1].op == WEIR_SEL_EXISTS,
	   "selector");
	ok(weir_str_is(l[1].kinds[0].group, "gateway.networking.k8s.io"), "g");
	ok(l[1].has_tls && weir_str_is(l[1].tls_mode, "Terminate"), "tls");
	model_drop(&got);
}

static void service_and_slice_defaults(void)
{
	struct model_objects got;
	const struct weir_service_spec *s;
	const struct weir_slice_endpoint *e;

	must(model_decode(
		     "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n"
		     "  labels: {app: s, serving.knative.dev/route: s}\n"
		     "  annotations: {weir.dev/split: connection, other/x: z}\n"
		     "  generation: 7\n"
		     "  creationTimestamp: 2024-01-02T03:04:05Z\n"
		     "  ownerReferences: [{apiVersion: apps/v1, kind: "
		     "Deployment, name: d}, {apiVersion: "
		     "serving.knative.dev/v1, kind: Route, name: s}]\n"
		     "spec:\n  clusterIP: 10.0.0.1\n"
		     "  clusterIPs: [10.0.0.1, 'fd00::1']\n"
		     "  sessionAffinity: ClientIP\n  ports: [{port: "
		     "80}]\n---\n" SLICE(
			     "addressType: IPv4\nports: [{port: 8080}, {name: "
			     "x}]\n"
			     "endpoints:\n- addresses: [10.0.0.1, 10.0.0.2]\n"
			     "- {addresses: [10.0.0.3], nodeName: n1, "
			     "conditions: "
			     "{ready: false, terminating: true}}\n"
			     "- {addresses: [10.0.0.4], conditions: {ready: "
			     "false, "
			     "serving: true}}\n"),
		     false, NULL, &got) == 0 &&
		     got.n == 2,
	     "decode");
	s = got.v[0]->service;
	e = got.v[1]->slice->endpoints;

	ok(weir_str_is(s->type, "ClusterIP") && s->n_cluster_ips == 2 &&
		   s->has_client_affinity,
	   "service");
	ok(weir_str_is(s->ports[0].protocol, "TCP") && s->ports[0].name.n == 0,
	   "port");
	ok(got.v[0]->generation == 7 && got.v[0]->created_s == 1704164645,
	   "%lld", (long long)got.v[0]->created_s);
	ok(got.v[0]->annotations.n == 1, "only weir's annotations");
	ok(got.v[0]->labels.n == 1 &&
		   weir_str_is(weir_pairs_get(got.v[0]->labels,
					      "serving.knative.dev/route"),
			       "s"),
	   "only labels that decide something");
	ok(got.v[0]->n_owners == 1 &&
		   weir_str_is(got.v[0]->owners[0].group,
			       "serving.knative.dev") &&
		   weir_str_is(got.v[0]->owners[0].kind, "Route"),
	   "owner");
	ok(weir_str_is(got.v[1]->slice->service, "s") &&
		   got.v[1]->slice->ports[1].port == 0,
	   "slice");
	ok(e[0].is_ready && e[0].is_serving && !e[0].is_terminating &&
		   e[0].n_addresses == 2,
	   "nil is ready");
	ok(!e[1].is_ready && !e[1].is_serving && e[1].is_terminating &&
		   weir_str_is(e[1].node, "n1"),
	   "serving follows ready");
	ok(!e[2].is_ready && e[2].is_serving, "serving though not ready");
	model_drop(&got);
}

/* knative.dev/networking pkg/ingress ComputeHash gave these. */
static void network_hash(void)
{
	static const struct {
		const char *text;
		const char *hash;
	} known[] = {
		{"{\"apiVersion\":\"networking.internal.knative.dev/v1alpha1\","
		 "\"kind\":\"Ingress\",\"metadata\":{\"namespace\":\"ns\","
		 "\"name\":\"ing\"},\"spec\":{\"rules\":[{\"hosts\":"
		 "[\"a.example.com\"],\"http\":{\"paths\":[{\"splits\":[{"
		 "\"percent\":100,\"servicePort\":80,\"serviceName\":\"svc\","
		 "\"serviceNamespace\":\"ns\"}]}]},"
		 "\"visibility\":\"ExternalIP\"}]}}",
		 "a09d960ee8557e208b69d790131ca243"
		 "e116e884b6fa90941d534f2f91e4aae4"},
		{"{\"apiVersion\":\"networking.internal.knative.dev/v1alpha1\","
		 "\"kind\":\"Ingress\",\"metadata\":{\"namespace\":\"ns\","
		 "\"name\":\"ing2\"},\"spec\":{\"httpOption\":\"Redirected\","
		 "\"rules\":[{\"hosts\":[\"a.example.com\"],\"visibility\":"
		 "\"ExternalIP\",\"http\":{\"paths\":[{\"appendHeaders\":{"
		 "\"B\":\"2\",\"A\":\"1\"},\"headers\":{\"Knative-Serving-"
		 "Tag\":{"
		 "\"exact\":\"v1\"},\"A\":{\"exact\":\"\xC3\xA9\\\"\\\\\\t\"}},"
		 "\"path\":\"/a<b>&c\",\"rewriteHost\":"
		 "\"x.ns.svc.cluster.local\",\"splits\":[{\"appendHeaders\":{"
		 "\"Knative-Serving-Revision\":\"r\","
		 "\"Knative-Serving-Namespace\":\"ns\"},\"percent\":0,"
		 "\"serviceName\":\"svc\",\"serviceNamespace\":\"ns\","
		 "\"servicePort\":\"http\"}]}]}}],\"tls\":[{\"hosts\":"
		 "[\"a.example.com\"],\"secretNamespace\":\"ns\","
		 "\"secretName\":\"s\"}]}}",
		 "b691c06563416435204d7e1e3f82afab"
		 "00598d16f5e5a6429eba572b0f52b028"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct model_objects got;

		must(model_decode(known[i].text, true, NULL, &got) == 0 &&
			     got.n == 1,
		     "decode");
		ok(weir_str_is(got.v[0]->kingress->hash, known[i].hash),
		   "hash %zu: %.*s", i, WEIR_STR_ARG(got.v[0]->kingress->hash));
		model_drop(&got);
	}
}

static void kingress_and_its_defaults(void)
{
	struct model_objects got;
	const struct weir_king_spec *k;
	const struct weir_king_path *p;

	must(model_decode(
		     "apiVersion: networking.internal.knative.dev/v1alpha1\n"
		     "kind: Ingress\nmetadata:\n  name: k\n  namespace: ns\n"
		     "  annotations: {networking.knative.dev/ingress.class: "
		     "c}\n"
		     "spec:\n  httpOption: Redirected\n  tls: [{secretName: s, "
		     "secretNamespace: ns, hosts: "
		     "[a.b]}]\n"
		     "  rules:\n  - hosts: [a.ns, a.ns.svc]\n"
		     "    visibility: ClusterLocal\n    http:\n      paths:\n"
		     "      - headers: {T: {exact: v}}\n"
		     "        appendHeaders: {A: b}\n"
		     "        splits:\n"
		     "        - {serviceName: r1, serviceNamespace: ns, "
		     "servicePort: "
		     "80, appendHeaders: {R: r1}}\n"
		     "  - http: {paths: [{splits: [{serviceName: r1, "
		     "servicePort: "
		     "http, percent: 100}]}]}\n",
		     false, NULL, &got) == 0 &&
		     got.n == 1,
	     "decode");
	k = got.v[0]->kingress;
	p = k->rules[0].paths;

	ok(weir_str_is(k->ingress_class, "c") && k->n_tls == 1 &&
		   k->is_redirected,
	   "class, tls, option");
	ok(k->rules[0].is_cluster_local && k->rules[0].hosts.n == 2, "local");
	ok(!k->rules[1].is_cluster_local && k->rules[1].hosts.n == 0, "public");
	ok(p->match_headers.n == 1 && p->headers.n == 1 && p->path.n == 0, "p");
	ok(p->splits[0].percent == 100 && p->splits[0].port == 80 &&
		   p->splits[0].headers.n == 1,
	   "a single split is all");
	ok(weir_str_is(k->rules[1].paths[0].splits[0].port_name, "http") &&
		   weir_str_is(k->rules[1].paths[0].splits[0].service_ns, "ns"),
	   "port by name");
	model_drop(&got);
}

static void secrets_leave_nothing_behind(void)
{
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;

	must(model_decode("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
			  "data: {key: aGlkZGVu}\nstringData: hidden\n",
			  false, &out, &got) == 0,
	     "decode");

	ok(got.n == 1 && got.v[0]->secret->key.n == 0, "nothing kept");
	ok(out.n == 0, "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	model_drop(&got);
}

/* Each object fills its arena: memory is bounded by what the user wrote. */
static void arenas_have_no_slack(void)
{
	struct model_objects got;

	must(model_decode(LISTENERS("{name: a, port: 80, protocol: HTTP}"),
			  false, NULL, &got) == 0 &&
		     got.n == 1,
	     "decode");

	ok(got.arenas[0].next_size == 2 * got.arenas[0].used,
	   "first chunk %zu, used %zu", got.arenas[0].next_size / 2,
	   got.arenas[0].used);
	model_drop(&got);
}

static void diagnostics_are_bounded(void)
{
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;

	for (int i = 0; i < 3000; i++) {
		weir_buf_addz(&text, "- a\n---\n");
	}
	weir_buf_add(&text, "", 1);
	must(model_decode(text.p, false, &out, &got) == 0, "decode");

	ok(weir_str_ends(weir_buf_str(&out),
			 WEIR_STR("0 error TooManyDiagnostics : more than "
				  "1000, the others are not shown\n")),
	   "last");
	ok(out.n < 1002 * 80, "%zu", out.n);
}

static void documents_are_bounded(void)
{
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;

	for (int i = 0; i < 100002; i++) {
		weir_buf_addz(&text, "{}\n");
	}
	weir_buf_add(&text, "", 1);
	must(model_decode(text.p, true, &out, &got) == 0, "decode");

	ok(memmem(out.p, out.n, "100001 error TooMany : more than 100000", 39),
	   "%.*s", (int)(out.n > 300 ? 300 : out.n), out.p + out.n - 300);
}

static void json_is_the_same(void)
{
	static const struct model_case cases[] = {
		{"bad port",
		 "{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n"
		 "\"metadata\": {\"name\": \"s\"},\n"
		 "\"spec\": {\"ports\": [\n{\"port\": \"80\"}]}}",
		 "4 error InvalidType spec.ports[0].port: found the string 80, "
		 "expected an integer\n"},
		{"good",
		 "{\"apiVersion\": \"v1\", \"kind\": \"Service\", "
		 "\"metadata\": {\"name\": \"s\", \"namespace\": "
		 "\"n\"}, \"spec\": {\"ports\": [{\"port\": 80}]}}",
		 "Service n/s\n"},
	};

	MODEL_CASES(cases, true);
}

/* Where queue-proxy asks nothing but whether its program listens. */
static void ports_of_programs(void)
{
#define TCP "\"readinessProbe\":{\"tcpSocket\":{"
	static const struct {
		const char *containers;
		uint16_t port;
	} v[] = {
		{"{\"image\":\"x\"}", 0},
		{"{" TCP "}}}", 8080},
		{"{" TCP "\"port\":0}}}", 8080},
		{"{" TCP "\"port\":7000}}}", 7000},
		{"{" TCP "\"port\":70000}}}", 0},
		{"{" TCP "\"port\":-1}}}", 0},
		{"{" TCP "\"port\":\"named\"}}}", 0},
		{"{" TCP "},\"successThreshold\":1}}", 8080},
		{"{" TCP "},\"successThreshold\":2}}", 0},
		{"{" TCP "}},\"ports\":[{\"containerPort\":9000}]}", 9000},
		{"{" TCP "}},\"ports\":[{\"containerPort\":-5}]}", 0},
		{"{" TCP "}},\"ports\":[]}", 8080},
		{"{" TCP "}}},{\"image\":\"y\"}", 0},
		{"{\"readinessProbe\":{\"httpGet\":{\"port\":8080}}}", 0},
		{"{\"readinessProbe\":5}", 0},
		{"", 0},
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct model_objects got;
		char text[512];

		snprintf(text, sizeof(text),
			 "{\"apiVersion\":\"serving.knative.dev/v1\",\"kind\":"
			 "\"Revision\",\"metadata\":{\"namespace\":\"ns\","
			 "\"name\":\"r\"},\"spec\":{\"containers\":[%s]}}",
			 v[i].containers);
		must(model_decode(text, true, NULL, &got) == 0 && got.n == 1,
		     "decode");
		ok(got.v[0]->revision->program_port == v[i].port, "%s: %u",
		   v[i].containers, got.v[0]->revision->program_port);
		model_drop(&got);
	}
#undef TCP
}

TAP_MAIN(TEST(documents_that_are_no_objects), TEST(unknown_kinds_are_told_once),
	 TEST(lists_are_their_items), TEST(metadata_is_checked),
	 TEST(gateways_are_checked), TEST(services_and_slices_are_checked),
	 TEST(kingresses_are_checked), TEST(gateway_and_its_defaults),
	 TEST(service_and_slice_defaults), TEST(kingress_and_its_defaults),
	 TEST(network_hash), TEST(ports_of_programs),
	 TEST(secrets_leave_nothing_behind), TEST(arenas_have_no_slack),
	 TEST(diagnostics_are_bounded), TEST(documents_are_bounded),
	 TEST(json_is_the_same))
