/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time of a full compilation, and of one after the edit of a weight or of
 * an endpoint.
 * HTTPRoutes of one rule and two backends, each with its own hostname or its
 * own path; each backend has a Service and an EndpointSlice of its own.
 *
 * And KIngresses (as many as routes) as Serving makes them, with a placeholder
 * and a revision each, at two gateways, once with what an agent remembers; then
 * one after the other more of them.
 *
 *	bench-compile [ROUTES [ENDPOINTS-PER-SERVICE [ROUNDS [KINGRESSES]]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "compile.h"
#include "manifest.h"

static unsigned weight = 90;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int put(void *arg, struct weir_arena *arena,
	       const struct weir_object *object)
{
	return weir_store_put(arg, arena, object);
}

static void add(struct weir_store *store, const struct weir_buf *text)
{
	struct weir_arena arena;
	struct weir_diags diags;

	weir_arena_init(&arena, 1024);
	weir_diags_init(&diags, &arena);
	if (weir_manifest_decode(weir_buf_str(text), WEIR_STR("x.yaml"), false,
				 &diags, put, store) < 0 ||
	    diags.n) {
		fprintf(stderr, "decoding failed: %.*s %.*s\n",
			WEIR_STR_ARG(diags.n ? diags.v[0].field : WEIR_STR("")),
			WEIR_STR_ARG(diags.n ? diags.v[0].message
					     : WEIR_STR("")));
		exit(1);
	}
	weir_arena_fini(&arena);
}

static void add_slice(struct weir_store *store, unsigned i, char which,
		      unsigned n)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(
		&b,
		"apiVersion: discovery.k8s.io/v1\nkind: "
		"EndpointSlice\nmetadata:\n"
		"  name: svc-%05u-%c-abcde\n  labels:\n"
		"    kubernetes.io/service-name: svc-%05u-%c\n"
		"addressType: IPv4\nports:\n- name: http\n  port: 8080\n"
		"endpoints:\n",
		i, which, i, which);
	for (unsigned k = 0; k < n; k++) {
		weir_buf_printf(&b,
				"- addresses: [10.%u.%u.%u]\n"
				"  conditions: {ready: true}\n",
				100 + (which - 'a') * 50 + k, i / 250, i % 250);
	}
	add(store, &b);
}

static void add_service(struct weir_store *store, unsigned i, char which,
			unsigned n)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(
		&b,
		"apiVersion: v1\nkind: Service\nmetadata:\n  name: "
		"svc-%05u-%c\n"
		"spec:\n  clusterIP: 10.96.%u.%u\n  ports:\n  - name: http\n"
		"    port: 80\n",
		i, which, i / 250 % 250, i % 250);
	add(store, &b);
	add_slice(store, i, which, n);
}

static void add_route(struct weir_store *store, unsigned i, bool by_path)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(&b,
			"apiVersion: gateway.networking.k8s.io/v1\n"
			"kind: HTTPRoute\nmetadata:\n  name: route-%05u\n"
			"spec:\n  parentRefs:\n  - name: gw\n",
			i);
	if (by_path) {
		weir_buf_printf(&b,
				"  rules:\n  - matches:\n    - path:\n"
				"        type: PathPrefix\n"
				"        value: /app-%u\n",
				i);
	} else {
		weir_buf_printf(&b,
				"  hostnames: [app-%u.example.com]\n"
				"  rules:\n  -\n",
				i);
	}
	if (by_path) {
		weir_buf_printf(&b, "    backendRefs:\n");
	} else {
		b.n -= 2; /* "-\n": the rule begins with its backends */
		weir_buf_printf(&b, "- backendRefs:\n");
	}
	weir_buf_printf(&b,
			"    - name: svc-%05u-a\n      port: 80\n"
			"      weight: %u\n"
			"    - name: svc-%05u-b\n      port: 80\n"
			"      weight: 10\n",
			i, weight, i);
	add(store, &b);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* One weight, or the endpoints of one Service, change. */
static void edit(struct weir_store *store, bool by_path, bool of_endpoints,
		 unsigned routes, unsigned rounds, double *ms)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("")};
	struct weir_compiled out;
	struct weir_plan_view before;
	struct weir_plan *old_rules;
	struct weir_eps *old_eps;

	if (weir_compile(store, &options, &out) < 0) {
		exit(1);
	}
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t since = weir_store_version(store);
		double begin;

		weight = i % 2 ? 90 : 50;
		if (of_endpoints) {
			add_slice(store, i % routes, 'a', 1 + i % 3);
		} else {
			add_route(store, i % routes, by_path);
		}
		before = (struct weir_plan_view){out.rules, out.eps};
		old_rules = TAKE_PTR(out.rules);
		old_eps = TAKE_PTR(out.eps);
		begin = now_ms();
		if (weir_recompile(store, &options, since, &before, &out) < 0) {
			exit(1);
		}
		ms[i] = now_ms() - begin;
		weir_free_ptr(&old_rules);
		weir_free_ptr(&old_eps);
	}
	weir_compiled_fini(&out);
	qsort(ms, rounds, sizeof(*ms), compare);
	printf("  one %s: median %.2f ms, min %.2f, max %.2f\n",
	       of_endpoints ? "slice" : "weight", ms[rounds / 2], ms[0],
	       ms[rounds - 1]);
}

static void run(bool by_path, unsigned routes, unsigned endpoints,
		unsigned rounds)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("")};
	double *ms = calloc(rounds, sizeof(*ms));
	struct weir_store *store = NULL;
	_cleanup_buf_ struct weir_buf b = {0};
	struct weir_compiled out;
	size_t size = 0;

	if (!ms || weir_store_new(&store) < 0) {
		exit(1);
	}
	weir_buf_printf(&b,
			"apiVersion: gateway.networking.k8s.io/v1\n"
			"kind: Gateway\nmetadata:\n  name: gw\nspec:\n"
			"  gatewayClassName: weir\n  addresses:\n"
			"  - value: 10.0.0.1\n  listeners:\n"
			"  - name: http\n    port: 80\n    protocol: HTTP\n");
	add(store, &b);
	for (unsigned i = 0; i < routes; i++) {
		add_service(store, i, 'a', endpoints);
		add_service(store, i, 'b', endpoints);
		add_route(store, i, by_path);
	}
	for (unsigned i = 0; i < rounds; i++) {
		double begin = now_ms();

		if (weir_compile(store, &options, &out) < 0) {
			exit(1);
		}
		ms[i] = now_ms() - begin;
		size = out.rules_size + out.eps_size;
		if (out.diags.n) {
			fprintf(stderr, "%.*s\n",
				WEIR_STR_ARG(out.diags.v[0].message));
		}
		weir_compiled_fini(&out);
	}
	qsort(ms, rounds, sizeof(*ms), compare);
	printf("%u routes by %s, %u endpoints: full median %.2f ms, min "
	       "%.2f, max %.2f, plan %zu bytes\n",
	       routes, by_path ? "path" : "host", routes * 2 * endpoints,
	       ms[rounds / 2], ms[0], ms[rounds - 1], size);
	edit(store, by_path, false, routes, rounds, ms);
	edit(store, by_path, true, routes, rounds, ms);
	weir_store_free(&store);
	weir_free_ptr(&ms);
}

static void add_gateway(struct weir_store *store, const char *name,
			unsigned address)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(&b,
			"{apiVersion: v1, kind: Service, metadata: {name: %s, "
			"namespace: weir-system}, spec: {clusterIP: "
			"10.97.0.%u, ports: [{name: http, port: 80}]}}\n",
			name, address);
	add(store, &b);
}

static void add_placeholder(struct weir_store *store, unsigned i)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(&b,
			"{apiVersion: v1, kind: Service, metadata: {name: "
			"app-%05u, labels: {serving.knative.dev/route: "
			"app-%05u}}, spec: {clusterIP: 10.98.%u.%u, ports: "
			"[{name: http, port: 80}]}}\n",
			i, i, i / 250, i % 250);
	add(store, &b);
}

static void add_kingress(struct weir_store *store, unsigned i, unsigned to)
{
	static const char path[] =
		"http: {paths: [{splits: [{serviceName: svc-%05u-a, "
		"serviceNamespace: default, servicePort: 80, appendHeaders: "
		"{Knative-Serving-Revision: svc-%05u-a, "
		"Knative-Serving-Namespace: default}}]}]}";
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_printf(&b,
			"{apiVersion: networking.internal.knative.dev/"
			"v1alpha1, kind: Ingress, metadata: {name: app-%05u, "
			"annotations: {networking.knative.dev/ingress.class: "
			"weir.ingress.networking.knative.dev}}, spec: {rules: "
			"[{hosts: [app-%05u.default, app-%05u.default.svc, "
			"app-%05u.default.svc.cluster.local], visibility: "
			"ClusterLocal, ",
			i, i, i, i);
	weir_buf_printf(&b, path, to, to);
	weir_buf_printf(&b, "}, {hosts: [app-%05u.default.example.com], ", i);
	weir_buf_printf(&b, path, to, to);
	weir_buf_printf(&b, "}]}}\n");
	add(store, &b);
}

/* One more, with a Service that is there. */
static void add_one(struct weir_store *store, unsigned kingresses,
		    unsigned rounds, double *ms)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("")};
	struct weir_compiled out;
	unsigned n_patched = 0;

	if (weir_compile(store, &options, &out) < 0) {
		exit(1);
	}
	for (unsigned i = 0; i < rounds; i++) {
		struct weir_plan_view before = {out.rules, out.eps};
		struct weir_plan *old_rules = TAKE_PTR(out.rules);
		struct weir_eps *old_eps = TAKE_PTR(out.eps);
		const void *verdicts = out.verdicts.kings;
		uint64_t since = weir_store_version(store);
		double begin;

		add_kingress(store, kingresses + i, 0);
		begin = now_ms();
		if (weir_recompile(store, &options, since, &before, &out) < 0) {
			exit(1);
		}
		ms[i] = now_ms() - begin;
		n_patched += out.verdicts.kings == verdicts;
		weir_free_ptr(&old_rules);
		weir_free_ptr(&old_eps);
	}
	weir_compiled_fini(&out);
	qsort(ms, rounds, sizeof(*ms), compare);
	printf("  one KIngress more: median %.2f ms, min %.2f, max %.2f, %u of "
	       "%u patched\n",
	       ms[rounds / 2], ms[0], ms[rounds - 1], n_patched, rounds);
}

static void run_knative(unsigned kingresses, unsigned rounds)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("")};
	double *ms = calloc(rounds, sizeof(*ms));
	struct weir_store *store = NULL;
	struct weir_compiled before;
	struct weir_compiled out;
	size_t size = 0;

	if (!ms || weir_store_new(&store) < 0) {
		exit(1);
	}
	add_gateway(store, "knative-public", 1);
	add_gateway(store, "knative-private", 2);
	for (unsigned i = 0; i < kingresses; i++) {
		add_service(store, i, 'a', 1);
		add_placeholder(store, i);
		add_kingress(store, i, i);
	}
	if (weir_compile(store, &options, &before) < 0) {
		exit(1);
	}
	options.memory.before = before.rules;
	for (unsigned i = 0; i < rounds; i++) {
		double begin = now_ms();

		if (weir_compile(store, &options, &out) < 0) {
			exit(1);
		}
		ms[i] = now_ms() - begin;
		size = out.rules_size + out.eps_size;
		weir_compiled_fini(&out);
	}
	qsort(ms, rounds, sizeof(*ms), compare);
	printf("%u KIngresses: full median %.2f ms, min %.2f, max %.2f, plan "
	       "%zu bytes\n",
	       kingresses, ms[rounds / 2], ms[0], ms[rounds - 1], size);
	add_one(store, kingresses, rounds, ms);
	weir_compiled_fini(&before);
	weir_store_free(&store);
	weir_free_ptr(&ms);
}

int main(int argc, char **argv)
{
	unsigned routes = argc > 1 ? (unsigned)atoi(argv[1]) : 5000;
	unsigned endpoints = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	unsigned rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 51;

	run(false, routes, endpoints, rounds);
	run(true, routes, endpoints, rounds);
	run_knative(argc > 4 ? (unsigned)atoi(argv[4]) : routes, rounds);
	return 0;
}
