/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A KIngress that comes is put into the plan of all: whatever came and went
 * before, the plan must say what a full compilation says, with the same
 * diagnostics and verdicts; and mostly it must take the short way.
 *
 *	SEED=N	another sequence; it is printed
 */
#include <stdarg.h>
#include <stdio.h>

#include "compile_site.h"
#include "plan_same.h"
#include "stamp.h"
#include "writer.h"

#define BASE 460 /* KIngresses at first: of less, arrays have no room */
#define INGRESS                                                                \
	"apiVersion: networking.internal.knative.dev/v1alpha1\n"               \
	"kind: Ingress\n"
#define CLASS                                                                  \
	"networking.knative.dev/ingress.class: "                               \
	"weir.ingress.networking.knative.dev"

static uint64_t seed;

static unsigned roll(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 16) % below);
}

static void put(struct site *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void put(struct site *s, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	site_load(s, weir_str_of(text), 0);
}

/* ------------------------------------------------------------------ objects */

static void put_slice(struct site *s, const char *service, unsigned n)
{
	_cleanup_buf_ struct weir_buf b = {0};

	for (unsigned i = 0; i < n; i++) {
		weir_buf_printf(&b, "%s{addresses: [10.1.%u.%u]}",
				i ? ", " : "", n, i + 1);
	}
	weir_buf_add(&b, "", 1);
	put(s,
	    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: "
	    "{name: %s-x, namespace: d, labels: {kubernetes.io/service-name: "
	    "%s}}, addressType: IPv4, ports: [{name: http, port: 8012}], "
	    "endpoints: [%s]}\n",
	    service, service, b.p);
}

/* A revision's two Services; some are woken by weir, some not. */
static void put_revision(struct site *s, unsigned i)
{
	char name[32];

	put(s,
	    "{apiVersion: v1, kind: Service, metadata: {name: r%u, namespace: "
	    "d}, spec: {clusterIP: None, ports: [{name: %s, port: %u}]}}\n---\n"
	    "{apiVersion: v1, kind: Service, metadata: {name: r%u-private, "
	    "namespace: d}, spec: {ports: [{name: %s, port: 80}]}}\n",
	    i, i % 7 ? "http" : "http2", i % 7 ? 80 : 81, i,
	    i % 7 ? "http" : "http2");
	if (i % 3) {
		put(s,
		    "{apiVersion: serving.knative.dev/v1, kind: Revision, "
		    "metadata: {name: r%u, namespace: d}, spec: "
		    "{containerConcurrency: %u, containers: [{image: x}]}}\n",
		    i, i % 11 ? 0 : 10);
	}
	snprintf(name, sizeof(name), "r%u", i);
	put_slice(s, name, i % 3);
	snprintf(name, sizeof(name), "r%u-private", i);
	put_slice(s, name, i % 2);
}

static void put_placeholder(struct site *s, const char *name, unsigned i)
{
	put(s,
	    "{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: "
	    "d, labels: {serving.knative.dev/route: %s}}, spec: {clusterIP: "
	    "10.96.%u.%u, ports: [{name: http, port: 80}]}}\n",
	    name, name, i / 250, i % 250 + 1);
}

static const struct odds {
	unsigned foreign, old, tls, whole, shell, split, activator, taken,
		missing, part;
} plain, wild = {40, 25, 40, 40, 30, 40, 20, 25, 25, 25};

static bool happens(unsigned one_in)
{
	return one_in && roll(one_in) == 0;
}

static void add_split(struct weir_buf *b, const struct odds *odds,
		      unsigned percent, unsigned revisions)
{
	unsigned r = roll(revisions);

	weir_buf_printf(b,
			"{serviceNamespace: d, serviceName: \"%s%u\", "
			"servicePort: %u, percent: %u, appendHeaders: "
			"{Knative-Serving-Revision: r%u, "
			"Knative-Serving-Namespace: d}}",
			happens(odds->missing) ? "gone"
			: happens(odds->shell) ? "s"
					       : "r",
			r, r % 7 ? 80 : 81, percent, r);
}

static void add_rule(struct weir_buf *b, const struct odds *odds,
		     const char *name, bool is_inside, unsigned revisions)
{
	unsigned percent = roll(2) ? 100 : roll(100);

	weir_buf_printf(b, "  - hosts: ");
	if (happens(odds->whole)) {
		weir_buf_printf(b, "[]\n");
	} else if (is_inside) {
		weir_buf_printf(b, "[%s.d, %s.d.svc, %s.d.svc.cluster.local]\n",
				name, name, name);
	} else {
		weir_buf_printf(b, "[%s.d.example.com]\n", name);
	}
	weir_buf_printf(b, "    visibility: %s\n    http: {paths: [",
			is_inside ? "ClusterLocal" : "ExternalIP");
	if (roll(3) == 0) {
		weir_buf_printf(b,
				"{path: /a, headers: {x-tag: {exact: \"%u\"}}, "
				"rewriteHost: inner.example, splits: [",
				roll(3));
		add_split(b, odds, 100, revisions);
		weir_buf_printf(b, "]}, ");
	}
	weir_buf_printf(b, "{splits: [");
	add_split(b, odds, percent, revisions);
	if (percent < 100) {
		weir_buf_printf(b, ", ");
		add_split(b, odds, 100 - percent, revisions);
	}
	weir_buf_printf(b, "]}]}\n");
}

static void put_king(struct site *s, const char *name, unsigned second,
		     const struct odds *odds, unsigned revisions)
{
	_cleanup_buf_ struct weir_buf b = {0};
	const char *hosts = happens(odds->taken) ? "s7" : name;

	if (happens(odds->old)) {
		second = roll(second);
	}
	weir_buf_printf(
		&b,
		INGRESS "metadata:\n  name: %s\n  namespace: d\n"
			"  generation: %u\n"
			"  creationTimestamp: 2026-01-01T%02u:%02u:"
			"%02uZ\n"
			"  annotations: {" CLASS "%s%s%s}\nspec:\n",
		name, roll(9) + 1, second / 3600, second / 60 % 60, second % 60,
		happens(odds->foreign) ? "x" : "",
		happens(odds->split) ? ", weir.dev/split: connection" : "",
		happens(odds->activator) ? ", weir.dev/activation: activator"
					 : "");
	if (happens(odds->tls)) {
		weir_buf_printf(&b,
				"  tls: [{hosts: [%s.d.example.com], "
				"secretName: x, secretNamespace: d}]\n",
				hosts);
	}
	weir_buf_printf(&b, "  httpOption: %s\n  rules:\n",
			roll(5) ? "Enabled" : "Redirected");
	if (!happens(odds->part)) {
		add_rule(&b, odds, hosts, true, revisions);
	}
	add_rule(&b, odds, hosts, false, revisions);
	weir_buf_add(&b, "", 1);
	put(s, "%s", b.p);
}

static void put_gateways(struct site *s)
{
	put(s, "{apiVersion: v1, kind: Service, metadata: {name: "
	       "knative-public, namespace: weir-system}, spec: {clusterIP: "
	       "10.97.0.1, externalIPs: [192.0.2.1], ports: [{name: http, "
	       "port: 80}, {name: other, port: 8080}]}}\n---\n"
	       "{apiVersion: v1, kind: Service, metadata: {name: "
	       "knative-private, namespace: weir-system, annotations: "
	       "{weir.dev/private-mode: neither}}, spec: {clusterIP: "
	       "10.97.0.2, ports: [{name: http, port: 80}]}}\n---\n"
	       "{apiVersion: v1, kind: Service, metadata: {name: autoscaler, "
	       "namespace: knative-serving}, spec: {ports: [{name: http, "
	       "port: 8080}]}}\n");
}

/* ------------------------------------------------------------------ compare */

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whose order does not matter. */
static void print_said(const struct weir_compiled *c, struct weir_buf *out)
{
	char **lines = calloc(c->diags.n + 1, sizeof(*lines));

	must(lines, "memory");
	for (size_t i = 0; i < c->diags.n; i++) {
		const struct weir_diag *d = &c->diags.v[i];

		must(asprintf(&lines[i],
			      "%d %.*s %.*s %.*s/%.*s %.*s %.*s:%u %.*s\n",
			      (int)d->severity, WEIR_STR_ARG(d->reason),
			      WEIR_STR_ARG(d->kind), WEIR_STR_ARG(d->ns),
			      WEIR_STR_ARG(d->name), WEIR_STR_ARG(d->field),
			      WEIR_STR_ARG(d->source), d->line,
			      WEIR_STR_ARG(d->message)) > 0,
		     "memory");
	}
	qsort(lines, c->diags.n, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < c->diags.n; i++) {
		weir_buf_addz(out, lines[i]);
		weir_free_ptr(&lines[i]);
	}
	weir_free_ptr(&lines);
	weir_verdicts_print(&c->verdicts, out);
	for (uint32_t i = 0; i < c->verdicts.n_kings; i++) {
		weir_buf_printf(
			out, "%llx\n",
			(unsigned long long)c->verdicts.kings[i].id.hash);
	}
}

static void compare(const struct site *s, const struct weir_compiled *full,
		    const char *what)
{
	_cleanup_buf_ struct weir_buf said = {0};
	_cleanup_buf_ struct weir_buf want = {0};
	struct weir_plan_view view;
	struct same same;

	must(weir_plan_open(full->rules, full->rules_size, full->eps,
			    full->eps_size, &view) == 0,
	     "the full one opens");
	same = (struct same){.a = s->out.rules, .b = full->rules};
	ok(same_plan(&same), "%s: differs: %s", what, same.what);
	ok(s->out.eps_size == full->eps_size &&
		   !memcmp(s->out.eps, full->eps, full->eps_size),
	   "%s: other endpoints", what);
	print_said(&s->out, &said);
	print_said(full, &want);
	ok(said.n == want.n && !memcmp(said.p, want.p, want.n),
	   "%s: says\n%.*s, not\n%.*s", what, (int)said.n, said.p, (int)want.n,
	   want.p);
}

/* True if it was patched: its memory is that of before. */
static bool check(struct site *s, uint64_t since, const char *what)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a")};
	struct weir_plan_view before = s->view;
	struct weir_plan *old_rules = TAKE_PTR(s->out.rules);
	struct weir_eps *old_eps = TAKE_PTR(s->out.eps);
	const void *verdicts = s->out.verdicts.kings;
	struct weir_compiled full;

	options.memory.before = before.rules;
	must(weir_compile(s->store, &options, &full) == 0, "compile");
	must(weir_recompile(s->store, &options, since, &before, &s->out) == 0,
	     "recompile");
	weir_free_ptr(&old_rules);
	weir_free_ptr(&old_eps);
	must(weir_plan_open(s->out.rules, s->out.rules_size, s->out.eps,
			    s->out.eps_size, &s->view) == 0,
	     "%s: opens", what);
	compare(s, &full, what);
	weir_compiled_fini(&full);
	return s->out.verdicts.kings == verdicts;
}

static void stamp(struct site *s, struct weir_ids *ids)
{
	static uint64_t generation;
	uint32_t lost;

	must(weir_ids_stamp(ids, s->out.rules, s->out.eps, ++generation, 1,
			    &lost) == 0,
	     "stamp");
}

static void begin(struct site *s, const struct odds *odds)
{
	const char *text = getenv("SEED");

	seed = text ? strtoull(text, NULL, 0) : 20261126;
	printf("# SEED=%llu\n", (unsigned long long)seed);
	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	put_gateways(s);
	for (unsigned i = 0; i < BASE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		put_revision(s, i);
		put_placeholder(s, name, i);
		put_king(s, name, i, odds, BASE);
	}
	site_compile(s);
}

/* -------------------------------------------------------------------- tests */

/* One edit of those that go with the life of Knative Services. */
static void edit(struct site *s, unsigned i, unsigned *second,
		 unsigned *revisions)
{
	char name[16];

	snprintf(name, sizeof(name), "n%u", i);
	switch (roll(12)) {
	case 0:
		put_revision(s, (*revisions)++);
		break;
	case 1:
		put_placeholder(s, name, 1000 + i);
		break;
	case 2:
		snprintf(name, sizeof(name), "r%u", roll(*revisions));
		put_slice(s, name, roll(4));
		break;
	case 3:
		snprintf(name, sizeof(name), "n%u", roll(i + 1));
		weir_store_remove(s->store, WEIR_KIND_KINGRESS, WEIR_STR("d"),
				  weir_str_of(name));
		break;
	case 4:
		snprintf(name, sizeof(name), "s%u", roll(BASE));
		put_king(s, name, 0, &plain, *revisions);
		break;
	default:
		*second += roll(3);
		put_king(s, name, *second, &plain, *revisions);
	}
}

static void a_kingress_more_says_what_a_full_compilation_says(void)
{
	static const uint32_t max[_WEIR_IDS_MAX] = {9000, 9000, 9000,
						    WEIR_PROXIED_MAX + 1};
	_cleanup_(site_fini) struct site s;
	struct weir_ids *ids = NULL;
	unsigned second = BASE;
	unsigned revisions = BASE;
	unsigned n_short = 0;

	must(weir_ids_new(max, 0, &ids) == 0, "ids");
	begin(&s, &plain);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t since = weir_store_version(s.store);
		char what[32];

		stamp(&s, ids);
		edit(&s, i, &second, &revisions);
		snprintf(what, sizeof(what), "edit %u", i);
		n_short += check(&s, since, what);
	}
	ok(n_short > 60 && n_short < 190, "%u times patched", n_short);
	weir_ids_free(&ids);
}

/* With all that makes a KIngress one of others' concern. */
static void whatever_it_shares_with_others_is_seen(void)
{
	_cleanup_(site_fini) struct site s;
	unsigned n_short = 0;

	begin(&s, &plain);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t since = weir_store_version(s.store);
		char name[16];

		snprintf(name, sizeof(name), "n%u", i);
		put_king(&s, name, BASE + i, &wild, BASE);
		n_short += check(&s, since, name);
		/* What stays would keep the others from the short way. */
		since = weir_store_version(s.store);
		weir_store_remove(s.store, WEIR_KIND_KINGRESS, WEIR_STR("d"),
				  weir_str_of(name));
		check(&s, since, name);
	}
	ok(n_short > 20 && n_short < 180, "%u times patched", n_short);
}

/* A placeholder that has its address before its KIngress comes. */
static void its_own_address_comes_with_it(void)
{
	_cleanup_(site_fini) struct site s;
	unsigned n_short = 0;

	begin(&s, &plain);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t since;
		char name[16];

		snprintf(name, sizeof(name), "n%u", i);
		put_placeholder(&s, name, 1000 + i);
		since = weir_store_version(s.store);
		must(weir_recompile(s.store,
				    &(struct weir_compile_options){
					    .node_name = WEIR_STR("node-a")},
				    0, NULL, &s.out) == 0,
		     "compile");
		must(weir_plan_open(s.out.rules, s.out.rules_size, s.out.eps,
				    s.out.eps_size, &s.view) == 0,
		     "opens");
		put_king(&s, name, BASE + i, &plain, BASE);
		n_short += check(&s, since, name);
	}
	ok(n_short > 20, "%u times patched", n_short);
}

static void put_one(struct site *s, const char *class, const char *name,
		    const char *host, const char *service)
{
	put(s,
	    INGRESS "metadata: {name: %s, namespace: d, creationTimestamp: "
		    "2026-01-02T00:00:00Z, annotations: "
		    "{networking.knative.dev/ingress.class: %s}}\n"
		    "spec: {rules: [{hosts: [%s], visibility: ClusterLocal, "
		    "http: {paths: [{splits: [{serviceNamespace: d, "
		    "serviceName: %s, servicePort: 80, percent: 100}]}]}}]}\n",
	    name, class, host, service);
}

#define OURS "weir.ingress.networking.knative.dev"

/* Each time a second one changes what the first one says. */
static void what_others_have_to_do_with_it_is_said_anew(void)
{
	_cleanup_(site_fini) struct site s;
	uint64_t since;

	begin(&s, &plain);
	/* The same name in another spelling, of another class. */
	put_placeholder(&s, "zz", 1000);
	since = weir_store_version(s.store);
	put_one(&s, "other", "za", "zz.d.svc", "r1");
	check(&s, since - 1, "another class");
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zb", "zz.d", "r1");
	ok(!check(&s, since, "the same name"), "it is seen");

	/* A limit that a route did not ask for: 550 has one. */
	put_revision(&s, 550);
	put(&s, "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
		"metadata: {name: gw, namespace: d}, spec: {gatewayClassName: "
		"weir, addresses: [{value: 10.0.0.1}], listeners: [{name: h, "
		"port: 80, protocol: HTTP}]}}\n---\n"
		"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, "
		"metadata: {name: r, namespace: d}, spec: {parentRefs: [{name: "
		"gw}], rules: [{backendRefs: [{name: r550, port: 80}]}]}}\n");
	check(&s, 0, "a route");
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zc", "zc.d", "r550");
	ok(!check(&s, since, "a limit"), "it is seen");

	/* A split that leads to it. */
	put_placeholder(&s, "zy", 1001);
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zd", "zd.d", "zy");
	check(&s, since - 1, "leads nowhere");
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zy", "zy.d", "r1");
	ok(!check(&s, since, "leads there"), "it is seen");
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zz", "ze.d", "r1");
	ok(check(&s, since, "a plain one"), "and nothing waits any more");
}

/* A route that no listener takes is not in the plan, but it is said of it that
 * it waits. */
static void a_route_without_a_listener_waits_for_it(void)
{
	_cleanup_(site_fini) struct site s;
	uint64_t since;

	begin(&s, &plain);
	put(&s, "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: "
		"{name: zw, namespace: d}}\n---\n"
		"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, "
		"metadata: {name: gw, namespace: d}, spec: {gatewayClassName: "
		"weir, addresses: [{value: 10.0.0.1}], listeners: [{name: h, "
		"port: 80, protocol: HTTP, hostname: a.example}]}}\n---\n"
		"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, "
		"metadata: {name: r, namespace: d}, spec: {parentRefs: [{name: "
		"gw}], hostnames: [b.example], rules: [{backendRefs: [{group: "
		"serving.knative.dev, kind: Service, name: zw}]}]}}\n");
	check(&s, 0, "a route");
	must(site_said(&s, "Unready", "spec.rules[0]") == 1, "it waits");
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zw", "zw.d", "r1");
	ok(!check(&s, since, "what it waits for"), "it is seen");
	must(site_said(&s, "Unready", "spec.rules[0]") == 0, "it has it");
	since = weir_store_version(s.store);
	put_one(&s, OURS, "zx", "zx.d", "r1");
	ok(check(&s, since, "a plain one"), "and nothing waits any more");
}

static void put_at_port(struct site *s, const char *name, unsigned port,
			const char *activation)
{
	put(s,
	    INGRESS "metadata: {name: %s, namespace: d, creationTimestamp: "
		    "2026-01-02T00:00:00Z, annotations: {" CLASS
		    ", weir.dev/activation: %s}}\n"
		    "spec: {rules: [{hosts: [%s.d], visibility: ClusterLocal, "
		    "http: {paths: [{splits: [{serviceNamespace: d, "
		    "serviceName: r1000, servicePort: %u, percent: 100}]}]}}]}"
		    "\n",
	    name, activation, name, port);
}

/* Who wakes a revision is said by the oldest that names its Service, whatever
 * its port. */
static void a_revision_at_another_port_is_known(void)
{
	static const struct {
		const char *oldest, *next;
	} cases[] = {{"activator", "local"}, {"local", "activator"}};

	for (size_t i = 0; i < 2; i++) {
		_cleanup_(site_fini) struct site s;
		uint64_t since;

		begin(&s, &plain);
		put(&s, "{apiVersion: v1, kind: Service, metadata: {name: "
			"r1000, namespace: d}, spec: {clusterIP: None, ports: "
			"[{name: http, port: 80}, {name: more, port: 81}]}}\n"
			"---\n"
			"{apiVersion: v1, kind: Service, metadata: {name: "
			"r1000-private, namespace: d}, spec: {ports: [{name: "
			"http, port: 80}, {name: more, port: 81}]}}\n---\n"
			"{apiVersion: serving.knative.dev/v1, kind: Revision, "
			"metadata: {name: r1000, namespace: d}, spec: "
			"{containers: [{image: x}]}}\n---\n"
			"{apiVersion: discovery.k8s.io/v1, kind: "
			"EndpointSlice, metadata: {name: r1000-x, namespace: "
			"d, labels: {kubernetes.io/service-name: r1000}}, "
			"addressType: IPv4, ports: [{name: http, port: 8012}, "
			"{name: more, port: 8013}], endpoints: [{addresses: "
			"[10.1.9.1]}]}\n");
		put_at_port(&s, "za", 80, cases[i].oldest);
		check(&s, 0, "the oldest");
		must(weir_plan_has_room(s.view.rules->revisions.n, 1),
		     "nothing else is in the way");
		since = weir_store_version(s.store);
		put_at_port(&s, "zb", 81, cases[i].next);
		ok(!check(&s, since, "another port"), "it is seen: %zu", i);
	}
}

TAP_MAIN(TEST(what_others_have_to_do_with_it_is_said_anew),
	 TEST(a_route_without_a_listener_waits_for_it),
	 TEST(a_revision_at_another_port_is_known),
	 TEST(a_kingress_more_says_what_a_full_compilation_says),
	 TEST(whatever_it_shares_with_others_is_seen),
	 TEST(its_own_address_comes_with_it))
