/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KIngresses over time: which mode their status names, addresses that
 * placeholders lose, and revisions that fall asleep and wake.
 */
#include "compile_site.h"

#define KING(annotations)                                                      \
	"---\n{apiVersion: networking.internal.knative.dev/v1alpha1, kind: "   \
	"Ingress, metadata: {name: app, namespace: d, annotations: "           \
	"{networking.knative.dev/ingress.class: "                              \
	"weir.ingress.networking.knative.dev" annotations                      \
	"}}, spec: {rules: [{hosts: [app.d, app.d.svc, "                       \
	"app.d.svc.cluster.local], visibility: ClusterLocal, http: {paths: "   \
	"[{splits: [{serviceName: rev, serviceNamespace: d, servicePort: "     \
	"80}]}]}}]}}\n"
#define PLACEHOLDER(spec)                                                      \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: app, "          \
	"namespace: d, labels: {serving.knative.dev/route: app}}, spec: "      \
	"{" spec ", ports: [{name: http, port: 80}]}}\n"
#define REVISION                                                               \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: rev, "          \
	"namespace: d}, spec: {ports: [{name: http, port: 80}]}}\n"            \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: "               \
	"activator-service, namespace: knative-serving}, spec: {ports: "       \
	"[{name: http, port: 80}]}}\n"                                         \
	"---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "         \
	"metadata: {name: act, namespace: knative-serving, labels: "           \
	"{kubernetes.io/service-name: activator-service}}, addressType: "      \
	"IPv4, ports: [{name: http, port: 8012}], endpoints: [{addresses: "    \
	"[10.1.0.250]}]}\n"
#define WAKER                                                                  \
	"---\n{apiVersion: serving.knative.dev/v1, kind: Revision, metadata: " \
	"{name: rev, namespace: d}, spec: {containers: [{image: x}]}}\n"       \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: rev-private, "  \
	"namespace: d}, spec: {ports: [{name: http, port: 80}]}}\n"            \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: autoscaler, "   \
	"namespace: knative-serving}, spec: {ports: [{name: http, port: "      \
	"8080}]}}\n"
#define PODS(address)                                                          \
	"---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "         \
	"metadata: {name: rev-x, namespace: d, labels: "                       \
	"{kubernetes.io/service-name: rev}}, addressType: IPv4, ports: "       \
	"[{name: http, port: 8012}], endpoints: [{addresses: [" address        \
	"]}]}\n"
#define GATEWAY(annotations)                                                   \
	"---\n{apiVersion: v1, kind: Service, metadata: {name: "               \
	"knative-private, namespace: weir-system" annotations                  \
	"}, spec: {clusterIP: 10.96.0.9, ports: [{name: http, port: 80}]}}\n"

/* Compiles what the store holds now; memory->before: the plan that the site
 * has, which stays alive in ret_old if there is one. */
static void again(struct site *s, struct weir_compile_memory memory,
		  struct weir_compiled *ret_old)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .memory = memory};
	struct weir_compiled old = s->out;

	options.memory.before = ret_old ? s->view.rules : NULL;
	must(weir_compile(s->store, &options, &s->out) == 0, "compile");
	must(weir_plan_open(s->out.rules, s->out.rules_size, s->out.eps,
			    s->out.eps_size, &s->view) == 0,
	     "the plan opens");
	if (ret_old) {
		weir_compiled_fini(ret_old);
		*ret_old = old;
		ret_old->diags.arena = &ret_old->arena;
	} else {
		weir_compiled_fini(&old);
	}
}

static void put(struct site *s, const char *text)
{
	site_load(s, weir_str_of(text), 0);
}

static void drop(struct site *s, enum weir_kind kind, const char *name)
{
	must(weir_store_remove(s->store, kind, WEIR_STR("d"),
			       weir_str_of(name)),
	     "%s was there", name);
}

/* ------------------------------------------------------------------- modes */

static void the_private_mode_says_what_kingresses_name(void)
{
	static const struct {
		const char *gateway;
		bool is_named;
		size_t n_said;
	} cases[] = {
		{"", false, 0},
		{GATEWAY(""), false, 0},
		{GATEWAY(", annotations: {weir.dev/private-mode: vip}"), false,
		 0},
		{GATEWAY(", annotations: {weir.dev/private-mode: gateway}"),
		 true, 0},
		{GATEWAY(", annotations: {weir.dev/private-mode: other}"),
		 false, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;
		const struct weir_king_verdict *v;

		site_init(&s, KING("") PLACEHOLDER("clusterIP: 10.96.0.1")
				      REVISION PODS("10.1.0.1"));
		put(&s, cases[i].gateway);
		again(&s, (struct weir_compile_memory){0}, NULL);
		v = weir_verdict_king(&s.out.verdicts, WEIR_STR("d"),
				      WEIR_STR("app"));
		must(v != NULL, "it is ours");
		ok(weir_str_is(v->private_domain,
			       cases[i].is_named
				       ? "knative-private.weir-system.svc."
					 "cluster.local"
				       : ""),
		   "case %zu: %.*s", i, WEIR_STR_ARG(v->private_domain));
		ok(site_said(&s, "InvalidValue", "metadata.annotations[") ==
			   cases[i].n_said,
		   "case %zu", i);
		/* Both are served, whatever is named. */
		ok(site_frontend(&s, "10.96.0.1:80", IPPROTO_TCP) != NULL,
		   "case %zu: the Route's own address", i);
		ok((site_frontend(&s, "10.96.0.9:80", IPPROTO_TCP) != NULL) ==
			   (cases[i].gateway[0] != '\0'),
		   "case %zu: the gateway's", i);
	}
}

/* --------------------------------------------------------------- addresses */

struct former {
	struct site s;
	struct weir_compiled old;
};

static void former_init(struct former *f)
{
	f->old = (struct weir_compiled){0};
	site_init(&f->s, KING("") PLACEHOLDER("clusterIP: 10.96.0.1")
				 REVISION PODS("10.1.0.1"));
	put(&f->s, PLACEHOLDER("type: ExternalName, externalName: a.example"));
	again(&f->s, (struct weir_compile_memory){0}, &f->old);
}

static void former_fini(struct former *f)
{
	site_fini(&f->s);
	weir_compiled_fini(&f->old);
}

static bool is_served(struct former *f)
{
	const struct weir_frontend *at = site_frontend(&f->s, "10.96.0.1:80",
						       IPPROTO_TCP);

	return at && at->origin == WEIR_ORIGIN_KNATIVE;
}

static bool is_told(const struct former *f)
{
	const struct weir_verdicts *v = &f->s.out.verdicts;
	struct weir_ip ip;

	weir_ip_parse(WEIR_STR("10.96.0.1"), &ip);
	return v->n_formers == 1 && weir_ip_eq(&v->formers[0], &ip);
}

static void an_address_that_a_placeholder_had_is_served_on(void)
{
	_cleanup_(former_fini) struct former f;

	former_init(&f);
	ok(is_served(&f) && is_told(&f), "it is an ExternalName now");
	drop(&f.s, WEIR_KIND_SERVICE, "app");
	again(&f.s, (struct weir_compile_memory){0}, &f.old);
	ok(is_served(&f) && is_told(&f), "it is gone");
	/* Requests are decided as ever. */
	ok(site_decide(&f.s, "10.96.0.1:80", "GET", "app.d", "/", NULL).rule !=
		   NULL,
	   "with the rule");
	again(&f.s, (struct weir_compile_memory){0}, NULL);
	ok(!is_served(&f) && f.s.out.verdicts.n_formers == 0,
	   "without a memory it is not known");
}

static void until_it_lapses(void)
{
	_cleanup_(former_fini) struct former f;
	struct weir_ip ip;

	former_init(&f);
	weir_ip_parse(WEIR_STR("10.96.0.1"), &ip);
	again(&f.s, (struct weir_compile_memory){.lapsed = &ip, .n_lapsed = 1},
	      &f.old);
	ok(!is_served(&f) && f.s.out.verdicts.n_formers == 0, "lapsed");
}

static void until_a_service_has_it(void)
{
	_cleanup_(former_fini) struct former f;

	former_init(&f);
	put(&f.s, "{apiVersion: v1, kind: Service, metadata: {name: other, "
		  "namespace: e}, spec: {clusterIP: 10.96.0.1, ports: [{port: "
		  "80}]}}\n");
	again(&f.s, (struct weir_compile_memory){0}, &f.old);
	ok(!is_served(&f) && f.s.out.verdicts.n_formers == 0, "taken");
}

static void until_the_kingress_goes(void)
{
	_cleanup_(former_fini) struct former f;

	former_init(&f);
	drop(&f.s, WEIR_KIND_KINGRESS, "app");
	again(&f.s, (struct weir_compile_memory){0}, &f.old);
	ok(!is_served(&f) && f.s.out.verdicts.n_formers == 0, "gone");
}

static void beside_a_new_address(void)
{
	_cleanup_(former_fini) struct former f;

	former_init(&f);
	put(&f.s, PLACEHOLDER("clusterIP: 10.96.0.2"));
	again(&f.s, (struct weir_compile_memory){0}, &f.old);
	ok(is_served(&f) && is_told(&f), "the former one is served");
	ok(site_frontend(&f.s, "10.96.0.2:80", IPPROTO_TCP) != NULL,
	   "and the new one");
	put(&f.s, PLACEHOLDER("clusterIP: 10.96.0.1"));
	again(&f.s, (struct weir_compile_memory){0}, &f.old);
	ok(is_served(&f) && f.s.out.verdicts.n_formers == 1,
	   "back: now the other is the former one");
}

/* ------------------------------------------------------------------- sleep */

static const struct weir_frontend *vip(const struct site *s)
{
	const struct weir_frontend *f = site_frontend(s, "10.96.0.1:80",
						      IPPROTO_TCP);

	must(f != NULL, "the VIP");
	return f;
}

static void a_rule_rests_after_a_revision_woke(void)
{
	_cleanup_(site_fini) struct site s;
	const struct weir_verdicts *v = &s.out.verdicts;
	struct weir_compile_memory memory = {0};
	uint64_t keys[3] = {1, 0, UINT64_MAX};

	site_init(&s, KING(", weir.dev/split: connection")
			      PLACEHOLDER("clusterIP: 10.96.0.1")
				      REVISION PODS("10.1.0.1"));
	ok(vip(&s)->plane == WEIR_PLANE_CONNECTION && v->n_asleep == 0,
	   "awake from the beginning: %s", weir_reason_text(vip(&s)->reason));

	put(&s, PODS("10.1.0.250"));
	again(&s, memory, NULL);
	ok(vip(&s)->plane == WEIR_PLANE_PROXY &&
		   vip(&s)->reason == WEIR_REASON_NEEDS_SERVE_MODE,
	   "the activator: %s", weir_reason_text(vip(&s)->reason));
	must(v->n_asleep == 1, "told once: %u", v->n_asleep);
	keys[1] = v->asleep[0];

	memory.restless = keys;
	memory.n_restless = 3;
	put(&s, PODS("10.1.0.1"));
	again(&s, memory, NULL);
	ok(vip(&s)->plane == WEIR_PLANE_PROXY &&
		   vip(&s)->reason == WEIR_REASON_NEEDS_REST,
	   "awake, but restless: %s", weir_reason_text(vip(&s)->reason));
	ok(v->n_asleep == 0, "it does not sleep");

	keys[1] = 2;
	again(&s, memory, NULL);
	ok(vip(&s)->plane == WEIR_PLANE_CONNECTION, "others are: %s",
	   weir_reason_text(vip(&s)->reason));
}

static void a_rule_by_request_does_not_rest(void)
{
	_cleanup_(site_fini) struct site s;

	site_init(&s, KING("") PLACEHOLDER("clusterIP: 10.96.0.1")
			      REVISION PODS("10.1.0.250"));
	ok(s.out.verdicts.n_asleep == 0, "nothing to remember");
}

static void what_is_woken_needs_no_endpoints(void)
{
	_cleanup_(site_fini) struct site s;

	site_init(&s, KING("") PLACEHOLDER("clusterIP: 10.96.0.1") REVISION);
	ok(site_said(&s, "NoEndpoints", "spec.rules[0]") == 1 &&
		   s.view.rules->revisions.n == 0,
	   "nobody wakes it");
	put(&s, WAKER);
	again(&s, (struct weir_compile_memory){0}, NULL);
	ok(site_said(&s, "NoEndpoints", "spec.rules[0]") == 0 &&
		   s.view.rules->revisions.n == 1,
	   "weir does");
}

/* Services with routes take n places. */
static void put_routes(struct site *s, uint32_t n)
{
	_cleanup_buf_ struct weir_buf text = {0};

	for (uint32_t i = 0; i < n; i++) {
		weir_buf_printf(
			&text,
			"---\n{apiVersion: v1, kind: Service, metadata: {name: "
			"w%u, namespace: d}, spec: {clusterIP: 10.1.%u.%u, "
			"ports: [{name: http, port: 80}]}}\n",
			i, i / 250, i % 250 + 1);
		if (i % 2000 == 1999 || i + 1 == n) {
			site_load(s, weir_buf_str(&text), 0);
			text.n = 0;
		}
	}
	for (uint32_t i = 0; i < n; i += 16) {
		weir_buf_printf(
			&text,
			"---\n{apiVersion: gateway.networking.k8s.io/v1, kind: "
			"HTTPRoute, metadata: {name: w%u, namespace: d}, spec: "
			"{parentRefs: [",
			i);
		for (uint32_t k = i; k < i + 16 && k < n; k++) {
			weir_buf_printf(
				&text, "{group: '', kind: Service, name: w%u},",
				k);
		}
		weir_buf_addz(&text, "], rules: [{backendRefs: [{name: rev, "
				     "port: 80}]}]}}\n");
	}
	site_load(s, weir_buf_str(&text), 0);
}

static void a_kingress_without_a_place_says_so(void)
{
	const struct weir_king_verdict *king;
	_cleanup_(site_fini) struct site s;

	site_init(&s, KING("") PLACEHOLDER("clusterIP: 10.96.0.1")
			      REVISION PODS("10.1.0.250"));
	put_routes(&s, WEIR_PROXIED_MAX - 1);
	again(&s, (struct weir_compile_memory){0}, NULL);
	king = weir_verdict_king(&s.out.verdicts, WEIR_STR("d"),
				 WEIR_STR("app"));
	ok(s.view.rules->frontends.n == WEIR_PROXIED_MAX && king &&
		   !king->balancer,
	   "the last place is its: %u", s.view.rules->frontends.n);
	put_routes(&s, WEIR_PROXIED_MAX);
	again(&s, (struct weir_compile_memory){0}, NULL);
	king = weir_verdict_king(&s.out.verdicts, WEIR_STR("d"),
				 WEIR_STR("app"));
	ok(s.view.rules->frontends.n == WEIR_PROXIED_MAX &&
		   site_said(&s, "LimitExceeded", "spec.clusterIP") == 1,
	   "one is too many");
	ok(king && king->balancer &&
		   strcmp(king->balancer->reason, "LimitExceeded") == 0,
	   "and its KIngress says so");
}

TAP_MAIN(TEST(the_private_mode_says_what_kingresses_name),
	 TEST(an_address_that_a_placeholder_had_is_served_on),
	 TEST(until_it_lapses), TEST(until_a_service_has_it),
	 TEST(until_the_kingress_goes), TEST(beside_a_new_address),
	 TEST(a_rule_rests_after_a_revision_woke),
	 TEST(a_rule_by_request_does_not_rest),
	 TEST(what_is_woken_needs_no_endpoints),
	 TEST(a_kingress_without_a_place_says_so))
