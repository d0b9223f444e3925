/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is decided by the server name of a TLS hello and by gRPC's paths, and
 * where certificates and keys go: into the secrets block and nowhere else.
 */
#include "compile_site.h"
#include "make_cert.h"
#include "print.h"

#define GW "apiVersion: gateway.networking.k8s.io/v1\n"

static struct made_cert certs[2];

static void put_secret(struct site *s, const char *name,
		       const struct made_cert *cert)
{
	_cleanup_buf_ struct weir_buf text = {0};

	weir_buf_printf(&text,
			"apiVersion: v1\nkind: Secret\nmetadata: {name: %s, "
			"namespace: d}\ndata:\n  tls.crt: ",
			name);
	put_base64(&text, &cert->chain);
	weir_buf_addz(&text, "\n  tls.key: ");
	put_base64(&text, &cert->key);
	weir_buf_addz(&text, "\n");
	site_load(s, weir_buf_str(&text), 0);
}

static const char site_text[] = GW
	"kind: Gateway\n"
	"metadata: {name: gw, namespace: d}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{value: 10.0.0.1}]\n"
	"  listeners:\n"
	"  - {name: web, port: 443, protocol: HTTPS, hostname: "
	"'*.example.com', tls: {certificateRefs: [{name: a}]}}\n"
	"  - {name: shop, port: 443, protocol: HTTPS, hostname: "
	"shop.example.com, tls: {certificateRefs: [{name: b}]}}\n"
	"  - {name: pass, port: 443, protocol: TLS, hostname: "
	"'*.example.org', tls: {mode: Passthrough}}\n"
	"  - {name: raw, port: 443, protocol: TLS, tls: {certificateRefs: "
	"[{name: a}]}}\n"
	"---\n" GW "kind: TLSRoute\n"
	"metadata: {name: wide, namespace: d, creationTimestamp: "
	"'2026-01-01T00:00:00Z'}\n"
	"spec: {parentRefs: [{name: gw}], hostnames: ['*.example.org', "
	"'*.net'], rules: [{backendRefs: [{name: s, port: 80}]}]}\n"
	"---\n" GW "kind: TLSRoute\n"
	"metadata: {name: close, namespace: d, creationTimestamp: "
	"'2026-01-02T00:00:00Z'}\n"
	"spec: {parentRefs: [{name: gw}], hostnames: [a.example.org], "
	"rules: [{backendRefs: [{name: s, port: 80}]}]}\n"
	"---\n" GW "kind: GRPCRoute\n"
	"metadata: {name: grpc, namespace: d}\n"
	"spec:\n"
	"  parentRefs: [{name: gw}]\n"
	"  hostnames: [shop.example.com]\n"
	"  rules:\n"
	"  - {backendRefs: [{name: s, port: 80}]}\n"
	"  - {matches: [{method: {method: M}}], backendRefs: [{name: s, "
	"port: 80}]}\n"
	"  - {matches: [{method: {service: p.S}}], backendRefs: [{name: s, "
	"port: 80}]}\n"
	"  - {matches: [{method: {service: p.S, method: M}}], backendRefs: "
	"[{name: s, port: 80}]}\n"
	"---\n" GW "kind: HTTPRoute\n"
	"metadata: {name: http, namespace: d}\n"
	"spec: {parentRefs: [{name: gw}], hostnames: [shop.example.com], "
	"rules: [{backendRefs: [{name: s, port: 80}]}]}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {name: s, namespace: d}, "
	"spec: {ports: [{port: 80}]}}\n";

static void init(struct site *s)
{
	for (size_t i = 0; i < 2; i++) {
		if (!certs[i].key.n) {
			make_cert("example.com", NULL, &certs[i]);
		}
	}
	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	site_load(s, weir_str_of(site_text), 0);
	put_secret(s, "a", &certs[0]);
	put_secret(s, "b", &certs[1]);
	site_compile(s);
}

static void server_names_decide(void)
{
	static const struct {
		const char *sni;
		const char *listener; /* NULL: refused */
		const char *route;    /* of TLSRoutes */
	} cases[] = {
		{"a.example.com", "web", "404"},
		{"shop.example.com", "shop", "404"},
		{"x.example.org", "pass", "wide/0"},
		{"a.example.org", "pass", "close/0"},
		{"example.com", "raw", "404"},
		{"a.net", "raw", "wide/0"},
		{"a.b.net", "raw", "wide/0"},
		{"", "raw", "404"},
	};
	_cleanup_(site_fini) struct site s;
	const struct weir_frontend *f;

	init(&s);
	f = site_frontend(&s, "10.0.0.1:443", IPPROTO_TCP);
	must(f && f->mode == WEIR_MODE_TLS, "frontend");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_decision d;

		weir_decide_sni(s.view.rules, f, weir_str_of(cases[i].sni), &d);
		ok(d.listener && weir_str_is(weir_plan_str(s.view.rules,
							   d.listener->name),
					     cases[i].listener),
		   "%s: listener", cases[i].sni);
		ok(strcmp(site_route(&s, &d), cases[i].route) == 0,
		   "%s: %s, expected %s", cases[i].sni, site_route(&s, &d),
		   cases[i].route);
	}
}

static void grpc_goes_by_service_and_method(void)
{
	static const struct {
		const char *path;
		const char *header;
		const char *route;
	} cases[] = {
		{"/p.S/M", "content-type: application/grpc", "grpc/3"},
		{"/p.S/N", "Content-Type: application/grpc+proto", "grpc/2"},
		{"/q.S/M", "content-type: application/grpc;a=b", "grpc/1"},
		{"/q.S/N", "content-type: application/grpc", "grpc/0"},
		{"/q.S/N/M", "content-type: application/grpc", "grpc/0"},
		{"/p.Sx/N", "content-type: application/grpc", "grpc/0"},
		{"/p.S/M", "content-type: application/grpcx", "http/0"},
		{"/p.S/M", "content-type: application/json", "http/0"},
		{"/p.S/M", NULL, "http/0"},
	};
	_cleanup_(site_fini) struct site s;

	init(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_decision d = site_decide(
			&s, "10.0.0.1:443", "POST", "shop.example.com",
			cases[i].path, cases[i].header);

		ok(strcmp(site_route(&s, &d), cases[i].route) == 0,
		   "%s %s: %s, expected %s", cases[i].path,
		   cases[i].header ? cases[i].header : "", site_route(&s, &d),
		   cases[i].route);
		ok(!d.rule || (d.rule->flags & WEIR_RULE_GRPC) ==
				      (cases[i].route[0] == 'g' ? WEIR_RULE_GRPC
								: 0),
		   "flag");
	}
}

static bool holds(const void *block, size_t n, const struct weir_buf *needle)
{
	return memmem(block, n, needle->p, needle->n) != NULL;
}

static void keys_are_in_the_secrets_block_only(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf text = {0};
	const struct weir_secrets *secrets;

	init(&s);
	secrets = s.out.secrets;
	ok(holds(secrets, s.out.secrets_size, &certs[0].key) &&
		   holds(secrets, s.out.secrets_size, &certs[1].key),
	   "there");
	ok(!memmem(s.out.rules, s.out.rules_size, "BEGIN ", 6), "not in rules");
	ok(!memmem(s.out.eps, s.out.eps_size, "BEGIN ", 6), "not in endpoints");
	weir_plan_print(&s.view, &text);
	weir_plan_print_json(&s.view, &text);
	ok(text.n && !memmem(text.p, text.n, "BEGIN ", 6), "not printed");
	for (size_t i = 0; i < s.out.diags.n; i++) {
		ok(weir_str_find(s.out.diags.v[i].message, '\n') < 0,
		   "no PEM is said");
	}
}

static void secrets_belong_to_their_rules(void)
{
	_cleanup_(site_fini) struct site s;
	const struct weir_secrets *got;
	struct weir_secrets *mine;
	struct weir_cert *cert;
	size_t n;

	init(&s);
	mine = s.out.secrets;
	n = s.out.secrets_size;
	cert = (struct weir_cert *)((char *)mine + mine->certs.off);
#define REFUSED(error, damage, repair)                                         \
	do {                                                                   \
		damage;                                                        \
		ok(weir_secrets_open(mine, n, s.view.rules, &got) == (error),  \
		   #damage);                                                   \
		repair;                                                        \
	} while (0)
	REFUSED(-EBADMSG, mine->magic++, mine->magic--);
	REFUSED(-EPROTO, mine->version++, mine->version--);
	REFUSED(-EBADMSG, mine->size++, mine->size--);
	REFUSED(-EBADMSG, mine->header_size++, mine->header_size--);
	REFUSED(-EBADMSG, mine->certs.n--, mine->certs.n++);
	REFUSED(-EBADMSG, mine->certs.off += 4, mine->certs.off -= 4);
	REFUSED(-EBADMSG, mine->cas.n++, mine->cas.n--);
	REFUSED(-EBADMSG, cert[1].hash++, cert[1].hash--);
	REFUSED(-EBADMSG, cert[0].key.off += (uint32_t)n,
		cert[0].key.off -= (uint32_t)n);
	REFUSED(-EBADMSG, cert[0].chain.n += (uint32_t)n,
		cert[0].chain.n -= (uint32_t)n);
#undef REFUSED
	ok(weir_secrets_open(mine, n - 8, s.view.rules, &got) == -EBADMSG,
	   "shorter");
	ok(weir_secrets_open(mine, 4, s.view.rules, &got) == -EBADMSG,
	   "no header");
	ok(weir_secrets_open(mine, n, s.view.rules, &got) == 0, "as it was");
}

/* A rotated certificate is another plan; its key alone is other secrets. */
static void rotation_is_seen(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_(weir_compiled_fini) struct weir_compiled before = {0};
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true};

	init(&s);
	must(weir_compile(s.store, &options, &before) == 0, "compile");
	weir_compiled_fini(&s.out);
	weir_regexes_free(&s.regexes);
	put_secret(&s, "a", &certs[1]);
	site_compile(&s);

	ok(s.out.rules_size != before.rules_size ||
		   memcmp(s.out.rules, before.rules, before.rules_size) != 0,
	   "other rules");
	ok(!holds(s.out.secrets, s.out.secrets_size, &certs[0].key),
	   "the old key is gone");
}

/* Weights alone: blocks are patched, and the secrets stay. */
static void weights_leave_secrets_alone(void)
{
	static const char edit[] = GW
		"kind: TLSRoute\n"
		"metadata: {name: two, namespace: d}\n"
		"spec: {parentRefs: [{name: gw}], hostnames: [b.example.org]"
		", rules: [{backendRefs: [{name: s, port: 80, weight: %u}, "
		"{name: s, port: 80, weight: 1}]}]}\n";
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true};
	_cleanup_(site_fini) struct site s;
	_cleanup_(weir_compiled_fini) struct weir_compiled full = {0};
	_cleanup_(weir_compiled_fini) struct weir_compiled patched = {0};
	char text[512];
	uint64_t since;

	init(&s);
	weir_compiled_fini(&s.out);
	weir_regexes_free(&s.regexes);
	snprintf(text, sizeof(text), edit, 1u);
	site_load(&s, weir_str_of(text), 0);
	site_compile(&s);
	since = weir_store_version(s.store);
	snprintf(text, sizeof(text), edit, 3u);
	site_load(&s, weir_str_of(text), 0);
	must(weir_compile(s.store, &options, &full) == 0, "compile");
	must(weir_recompile(s.store, &options, since, &s.view, &patched) == 0,
	     "recompile");

	ok(patched.secrets == NULL, "patched");
	ok(patched.rules_size == full.rules_size &&
		   !memcmp(patched.rules, full.rules, full.rules_size),
	   "as if compiled");
}

TAP_MAIN(TEST(server_names_decide), TEST(grpc_goes_by_service_and_method),
	 TEST(keys_are_in_the_secrets_block_only),
	 TEST(secrets_belong_to_their_rules), TEST(rotation_is_seen),
	 TEST(weights_leave_secrets_alone))
