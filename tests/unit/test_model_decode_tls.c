/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets, ConfigMaps, BackendTLSPolicies, and what Gateways say about TLS. */
#include <stdlib.h>

#include "addr.h"
#include "make_cert.h"
#include "model_text.h"

#define GW "apiVersion: gateway.networking.k8s.io/v1\n"

static const struct weir_object *only(const char *text,
				      struct model_objects *got)
{
	_cleanup_buf_ struct weir_buf out = {0};

	must(model_decode(text, false, &out, got) == 0 && got->n == 1,
	     "one object: %.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	return got->v[0];
}

/* A Secret with these two, in base64; NULL: left out. */
static const struct weir_secret_spec *secret_of(const struct weir_buf *chain,
						const struct weir_buf *key,
						struct model_objects *got)
{
	_cleanup_buf_ struct weir_buf text = {0};

	weir_buf_addz(&text, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}"
			     "\ntype: kubernetes.io/tls\ndata:\n  other: eA==");
	if (chain) {
		weir_buf_addz(&text, "\n  tls.crt: ");
		put_base64(&text, chain);
	}
	if (key) {
		weir_buf_addz(&text, "\n  tls.key: ");
		put_base64(&text, key);
	}
	weir_buf_add(&text, "\n", 2);
	return only(text.p, got)->secret;
}

static void a_pair_is_kept(void)
{
	_cleanup_(made_cert_fini) struct made_cert a;
	struct model_objects got;
	const struct weir_secret_spec *s;

	make_cert("a.example.com", NULL, &a);
	s = secret_of(&a.chain, &a.key, &got);

	ok(!s->fault, "%s", s->fault);
	ok(weir_str_eq(s->chain, weir_buf_str(&a.chain)), "chain");
	ok(weir_str_eq(s->key, weir_buf_str(&a.key)), "key");
	model_drop(&got);
}

static void intermediates_come_along(void)
{
	_cleanup_(made_cert_fini) struct made_cert a;
	_cleanup_(made_cert_fini) struct made_cert b;
	struct model_objects got;
	const struct weir_secret_spec *s;

	make_cert("a.example.com", NULL, &a);
	make_cert("ca.example.com", NULL, &b);
	weir_buf_add(&a.chain, b.chain.p, b.chain.n);
	s = secret_of(&a.chain, &a.key, &got);

	ok(!s->fault && s->chain.n == a.chain.n, "both");
	model_drop(&got);
}

static void what_does_not_belong_together_is_not_kept(void)
{
	_cleanup_(made_cert_fini) struct made_cert a;
	_cleanup_(made_cert_fini) struct made_cert b;
	_cleanup_(made_cert_fini) struct made_cert locked;
	_cleanup_buf_ struct weir_buf bad = {0};
	struct {
		const char *name;
		const struct weir_buf *chain;
		const struct weir_buf *key;
		const char *says;
	} cases[] = {
		{"no certificate", NULL, &a.key, "tls.crt is missing"},
		{"no key", &a.chain, NULL, "tls.key is missing"},
		{"another key", &a.chain, &b.key, "not the key"},
		{"a key for a certificate", &a.key, &a.key, "no certificate"},
		{"a certificate for a key", &a.chain, &a.chain, "no private"},
		{"an encrypted key", &locked.chain, &locked.key, "encrypted"},
		{"damage behind", &bad, &a.key, "behind its first"},
	};

	make_cert("a.example.com", NULL, &a);
	make_cert("b.example.com", NULL, &b);
	make_cert("c.example.com", "secret", &locked);
	weir_buf_add(&bad, a.chain.p, a.chain.n);
	weir_buf_addz(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n"
			    "-----END CERTIFICATE-----\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct model_objects got;
		const struct weir_secret_spec *s = secret_of(
			cases[i].chain, cases[i].key, &got);

		ok(s->fault && strstr(s->fault, cases[i].says) && !s->chain.n &&
			   !s->key.n,
		   "%s: %s", cases[i].name, s->fault ? s->fault : "none");
		model_drop(&got);
	}
}

static void nothing_of_a_secret_is_said(void)
{
	static const char *const texts[] = {
		"data: {tls.crt: '####', tls.key: aGlkZGVu}\n",
		"data: {tls.crt: 5, tls.key: [aGlkZGVu]}\n",
		"data: hidden\nstringData: 7\n",
		"stringData: {tls.crt: hidden, tls.key: hidden}\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_buf_ struct weir_buf out = {0};
		_cleanup_buf_ struct weir_buf text = {0};
		struct model_objects got;

		weir_buf_addz(&text, "apiVersion: v1\nkind: Secret\n"
				     "metadata: {name: s}\n");
		weir_buf_addz(&text, texts[i]);
		weir_buf_add(&text, "", 1);
		must(model_decode(text.p, false, &out, &got) == 0 && got.n == 1,
		     "decode");

		ok(got.v[0]->secret->fault && !got.v[0]->secret->chain.n,
		   "of no use");
		ok(out.n == 0, "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
		model_drop(&got);
	}
}

static void config_maps_hold_authorities_and_addresses(void)
{
	_cleanup_(made_cert_fini) struct made_cert a;
	_cleanup_buf_ struct weir_buf text = {0};
	struct model_objects got;
	const struct weir_config_spec *c;

	make_cert("ca", NULL, &a);
	weir_buf_addz(&text,
		      "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", "
		      "\"metadata\": {\"name\": \"c\"}, \"data\": "
		      "{\"addresses\": \"10.0.0.0/24\", \"ca.crt\": ");
	weir_buf_add_json(&text, weir_buf_str(&a.chain));
	weir_buf_add(&text, "}}", 3);
	must(model_decode(text.p, true, NULL, &got) == 0 && got.n == 1, "map");
	c = got.v[0]->config;

	ok(!c->ca_fault && weir_str_eq(c->ca, weir_buf_str(&a.chain)), "ca");
	ok(c->has_addresses && weir_str_is(c->addresses, "10.0.0.0/24"),
	   "addresses");
	model_drop(&got);
	c = only("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
		 "data: {ca.crt: nonsense}\n",
		 &got)
		    ->config;
	ok(c->ca_fault && !c->ca.n && !c->has_addresses, "%s", c->ca_fault);
	model_drop(&got);
}

static void policies(void)
{
	struct model_objects got;
	const struct weir_backend_tls_spec *p =
		only(GW "kind: BackendTLSPolicy\nmetadata: {name: p, "
			"namespace: ns}\nspec:\n"
			" targetRefs:\n"
			" - {group: '', kind: Service, name: web, sectionName: "
			"https}\n"
			" validation:\n"
			"  hostname: web.example.com\n"
			"  caCertificateRefs:\n"
			"  - {group: '', kind: ConfigMap, name: ca}\n"
			"  subjectAltNames:\n"
			"  - {type: URI, uri: 'spiffe://a/b'}\n"
			"  - {type: Hostname, hostname: a.example.com}\n",
		     &got)
			->backend_tls;

	ok(p->n_targets == 1 && weir_str_is(p->targets[0].name, "web") &&
		   weir_str_is(p->targets[0].section, "https"),
	   "target");
	ok(p->cas.n == 1 && weir_str_is(p->cas.v[0].kind, "ConfigMap") &&
		   weir_str_is(p->cas.v[0].ns, "ns") && !p->well_known.n,
	   "authorities");
	ok(weir_str_is(p->hostname, "web.example.com"), "hostname");
	ok(p->n_sans == 2 && p->sans[0].type == WEIR_MSAN_URI &&
		   weir_str_is(p->sans[0].value, "spiffe://a/b") &&
		   weir_str_is(p->sans[1].value, "a.example.com"),
	   "names");
	model_drop(&got);
}

#define POLICY(validation)                                                     \
	GW "kind: BackendTLSPolicy\nmetadata: {name: p}\nspec:\n"              \
	   " targetRefs: [{group: '', kind: Service, name: web}]\n"            \
	   " validation: {" validation "}\n"

static void policies_are_checked(void)
{
	static const struct model_case cases[] = {
		{"system", POLICY("hostname: a, wellKnownCACertificates: S"),
		 "BackendTLSPolicy default/p\n"},
		{"no authority", POLICY("hostname: a"),
		 "6 error InvalidValue spec.validation.caCertificateRefs: "
		 "expected either caCertificateRefs or "
		 "wellKnownCACertificates\n"},
		{"no hostname", POLICY("wellKnownCACertificates: System"),
		 "6 error MissingField spec.validation.hostname: missing, "
		 "expected a string\n"},
		{"no value",
		 POLICY("hostname: a, wellKnownCACertificates: System, "
			"subjectAltNames: [{type: URI, hostname: b}]"),
		 "6 error MissingField spec.validation.subjectAltNames[0].uri: "
		 "missing, expected with type URI\n"},
	};

	MODEL_CASES(cases, false);
}

static void gateways_say_what_clients_show(void)
{
	struct model_objects got;
	const struct weir_gateway_spec *g =
		only(GW "kind: Gateway\nmetadata: {name: g, namespace: ns}\n"
			"spec:\n"
			" gatewayClassName: weir\n"
			" listeners:\n"
			" - name: a\n"
			"   port: 443\n"
			"   protocol: HTTPS\n"
			"   tls: {certificateRefs: [{name: c}, {name: d, "
			"namespace: o}]}\n"
			" tls:\n"
			"  backend: {clientCertificateRef: {name: mine}}\n"
			"  frontend:\n"
			"   default: {validation: {caCertificateRefs: "
			"[{group: '', kind: ConfigMap, name: ca}]}}\n"
			"   perPort:\n"
			"   - port: 8443\n"
			"     tls: {validation: {mode: AllowInsecureFallback, "
			"caCertificateRefs: [{kind: ConfigMap, name: cb}]}}\n"
			" infrastructure:\n"
			"  labels: {a: b}\n"
			"  annotations: {c: d, e: f}\n"
			"  parametersRef: {group: g.io, kind: K, name: p}\n"
			" allowedListeners: {namespaces: {from: All}}\n"
			" addresses: [{type: IPAddress}, {type: Other, value: "
			"x}, {value: 10.0.0.1}]\n"
			"status:\n"
			" addresses: [{type: IPAddress, value: 10.0.0.7}, "
			"{type: Hostname, value: h}, 5]\n",
		     &got)
			->gateway;
	const struct weir_listener_spec *l = &g->listeners[0];

	ok(l->certificates.n == 2 &&
		   weir_str_is(l->certificates.v[0].kind, "Secret") &&
		   weir_str_is(l->certificates.v[0].ns, "ns") &&
		   weir_str_is(l->certificates.v[1].ns, "o"),
	   "certificates");
	ok(g->has_backend_cert && weir_str_is(g->backend_cert.name, "mine"),
	   "backend");
	ok(g->n_validations == 2 && g->validations[0].port == 0 &&
		   g->validations[0].cas.n == 1 &&
		   !g->validations[0].is_optional &&
		   g->validations[1].port == 8443 &&
		   g->validations[1].is_optional &&
		   weir_str_is(g->validations[1].cas.v[0].name, "cb"),
	   "validation");
	ok(g->infra_labels.n == 1 && g->infra_annotations.n == 2 &&
		   g->has_parameters && weir_str_is(g->parameters.kind, "K"),
	   "infrastructure");
	ok(g->listeners_from == WEIR_FROM_ALL, "allowedListeners");
	ok(g->n_addresses == 1 && g->n_any_address == 1 &&
		   weir_str_is(g->bad_address_type, "Other"),
	   "addresses");
	ok(g->n_status_addresses == 1 &&
		   ntohl(g->status_addresses[0].a[3]) == 0x0A000007,
	   "status");
	model_drop(&got);
}

static void gateways_by_default(void)
{
	struct model_objects got;
	const struct weir_gateway_spec *g =
		only(GW "kind: Gateway\nmetadata: {name: g}\nspec:\n"
			" gatewayClassName: weir\n"
			" listeners: [{name: a, port: 80, protocol: HTTP}]\n"
			"status: 7\n",
		     &got)
			->gateway;

	ok(g->listeners_from == WEIR_FROM_NONE && !g->has_backend_cert &&
		   !g->n_validations && !g->has_parameters &&
		   !g->n_status_addresses,
	   "defaults");
	model_drop(&got);
}

static void classes_name_parameters(void)
{
	struct model_objects got;
	const struct weir_class_spec *c =
		only(GW "kind: GatewayClass\nmetadata: {name: weir}\nspec:\n"
			" controllerName: weir.dev/gateway-controller\n"
			" parametersRef: {group: '', kind: ConfigMap, name: p, "
			"namespace: ns}\n",
		     &got)
			->gateway_class;

	ok(c->has_parameters && weir_str_is(c->parameters.kind, "ConfigMap") &&
		   weir_str_is(c->parameters.ns, "ns"),
	   "parameters");
	model_drop(&got);
}

static void listener_sets(void)
{
	struct model_objects got;
	const struct weir_listener_set_spec *s =
		only(GW
		     "kind: ListenerSet\nmetadata: {name: s, namespace: ns}\n"
		     "spec:\n"
		     " parentRef: {name: g, namespace: o}\n"
		     " listeners:\n"
		     " - {name: a, port: 80, protocol: HTTP, hostname: "
		     "a.example.com}\n",
		     &got)
			->listener_set;

	ok(weir_str_is(s->parent.kind, "Gateway") &&
		   weir_str_is(s->parent.group, "gateway.networking.k8s.io") &&
		   weir_str_is(s->parent.ns, "o"),
	   "parent");
	ok(s->n_listeners == 1 && s->listeners[0].port == 80, "listeners");
	model_drop(&got);
}

#define HTTP_RULE(rule)                                                        \
	GW "kind: HTTPRoute\nmetadata: {name: r, namespace: ns}\nspec:\n"      \
	   " rules:\n - backendRefs: [{name: a, port: 80}]\n" rule

static void retries_mirrors_and_cors(void)
{
	struct model_objects got;
	const struct weir_route_rule *r =
		&only(HTTP_RULE(
			      "   retry: {codes: [500, 503], attempts: 0, "
			      "backoff: 1s}\n"
			      "   filters:\n"
			      "   - type: RequestMirror\n"
			      "     requestMirror: {backendRef: {name: m, "
			      "port: "
			      "8080}, fraction: {numerator: 1, denominator: "
			      "3}}\n"
			      "   - type: CORS\n"
			      "     cors: {allowOrigins: ['https://a'], "
			      "allowCredentials: true, allowMethods: [GET]}\n"),
		      &got)
			 ->route->rules[0];

	ok(r->has_retry && r->retry->n_codes == 2 &&
		   r->retry->codes[1] == 503 && r->retry->attempts == 0 &&
		   r->retry->has_backoff,
	   "retry");
	ok(r->filters[0].mirror && r->filters[0].mirror->numerator == 1 &&
		   r->filters[0].mirror->denominator == 3 &&
		   weir_str_is(r->filters[0].mirror->ns, "ns"),
	   "mirror");
	ok(r->filters[1].cors && r->filters[1].cors->has_credentials &&
		   r->filters[1].cors->max_age_s == 5 &&
		   r->filters[1].cors->origins.n == 1,
	   "cors");
	model_drop(&got);
}

static void retries_and_mirrors_are_checked(void)
{
	static const struct model_case cases[] = {
		{"code", HTTP_RULE("   retry: {codes: [200]}\n"),
		 "7 error InvalidValue spec.rules[0].retry.codes[0]: found "
		 "200, expected an integer from 400 to 599\n"},
		{"word", HTTP_RULE("   retry: {codes: [five]}\n"),
		 "7 error InvalidType spec.rules[0].retry.codes[0]: found the "
		 "string five, expected an integer\n"},
		{"too many",
		 HTTP_RULE("   filters:\n   - type: RequestMirror\n     "
			   "requestMirror: {backendRef: {name: m, port: 1}, "
			   "fraction: {numerator: 2, denominator: 1}}\n"),
		 "9 error InvalidValue "
		 "spec.rules[0].filters[0].requestMirror.fraction: numerator "
		 "is larger than denominator\n"},
		{"both",
		 HTTP_RULE("   filters:\n   - type: RequestMirror\n     "
			   "requestMirror: {backendRef: {name: m, port: 1}, "
			   "percent: 5, fraction: {numerator: 1}}\n"),
		 "9 error InvalidValue "
		 "spec.rules[0].filters[0].requestMirror.fraction: found "
		 "beside percent, expected one of them\n"},
	};

	MODEL_CASES(cases, false);
}

TAP_MAIN(TEST(a_pair_is_kept), TEST(intermediates_come_along),
	 TEST(what_does_not_belong_together_is_not_kept),
	 TEST(nothing_of_a_secret_is_said),
	 TEST(config_maps_hold_authorities_and_addresses), TEST(policies),
	 TEST(policies_are_checked), TEST(gateways_say_what_clients_show),
	 TEST(gateways_by_default), TEST(classes_name_parameters),
	 TEST(listener_sets), TEST(retries_mirrors_and_cors),
	 TEST(retries_and_mirrors_are_checked))
