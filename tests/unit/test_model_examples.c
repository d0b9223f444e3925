/* SPDX-License-Identifier: Apache-2.0 */
/* The manifests that weir ships say what they mean: nothing to complain. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "fdutil.h"
#include "model_text.h"

static const char *root(void)
{
	const char *dir = getenv("WEIR_ROOT");

	return dir ? dir : ".";
}

static size_t count(struct weir_store *store)
{
	size_t total = 0;

	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		size_t n;

		weir_store_list(store, (enum weir_kind)k, &n);
		total += n;
	}
	return total;
}

static void expect_clean(const char *name, size_t least)
{
	_cleanup_(weir_store_free) struct weir_store *store = NULL;
	_cleanup_(weir_manifests_free) struct weir_manifests *m = NULL;
	char path[512];
	const struct weir_diag *v;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", root(), name);
	must(weir_store_new(&store) == 0, "store");
	must(weir_manifests_new(path, store, &m) == 0, "%s", path);
	must(weir_manifests_load(m) == 0, "%s", path);
	v = weir_manifests_diags(m, &n);
	for (size_t i = 0; i < n; i++) {
		ok(false, "%s/%.*s:%u %.*s: %.*s", name,
		   WEIR_STR_ARG(v[i].source), v[i].line,
		   WEIR_STR_ARG(v[i].field), WEIR_STR_ARG(v[i].message));
	}
	ok(count(store) >= least, "%s: %zu objects", name, count(store));
}

static void demo_is_clean(void)
{
	expect_clean("deploy/examples/demo", 10);
}

static void knative_is_clean(void)
{
	expect_clean("deploy/examples/knative", 10);
}

/* Not loaded as they are named *.example: each is decoded by itself. */
static void templates_of_install_are_clean(void)
{
	static const char *const names[] = {"10-http.yaml.example",
					    "20-tcp-udp.yaml.example"};

	for (size_t i = 0; i < 2; i++) {
		_cleanup_buf_ struct weir_buf text = {0};
		_cleanup_buf_ struct weir_buf out = {0};
		struct model_objects got;
		char path[512];

		snprintf(path, sizeof(path), "%s/deploy/manifests/%s", root(),
			 names[i]);
		must(weir_read_file_at(AT_FDCWD, path, 65536, &text) == 0, "%s",
		     path);
		weir_buf_add(&text, "", 1);
		ok(model_decode(text.p, false, &out, &got) == 0, "decode");
		ok(out.n == 0 && got.n > 0, "%s: %.*s", names[i],
		   WEIR_STR_ARG(weir_buf_str(&out)));
		model_drop(&got);
	}
}

/* What started weir: a Knative Service and a v1beta1 HTTPRoute to it. */
static void my_app_is_understood(void)
{
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	struct model_objects got;
	const struct weir_route_spec *r;
	char path[512];

	snprintf(path, sizeof(path), "%s/deploy/examples/my-app.yaml", root());
	must(weir_read_file_at(AT_FDCWD, path, 65536, &text) == 0, "%s", path);
	weir_buf_add(&text, "", 1);
	must(model_decode(text.p, false, &out, &got) == 0, "decode");

	ok(out.n == 0, "%.*s", WEIR_STR_ARG(weir_buf_str(&out)));
	must(got.n == 2, "%zu objects", got.n);
	ok(got.v[0]->kind == WEIR_KIND_KSERVICE &&
		   weir_str_is(got.v[0]->name, "my-app"),
	   "Knative Service");
	r = got.v[1]->route;
	must(got.v[1]->kind == WEIR_KIND_HTTP_ROUTE && r->n_rules == 2,
	     "HTTPRoute");
	ok(weir_str_is(r->rules[0].matches[0].path, "/api") &&
		   weir_str_is(r->rules[0].backends[0].name, "my-app") &&
		   r->rules[0].backends[0].port == 80,
	   "/api");
	ok(weir_str_is(r->rules[1].matches[0].path, "/static") &&
		   weir_str_is(r->rules[1].backends[0].name,
			       "static-assets-service"),
	   "/static");
	model_drop(&got);
}

TAP_MAIN(TEST(demo_is_clean), TEST(knative_is_clean),
	 TEST(templates_of_install_are_clean), TEST(my_app_is_understood))
