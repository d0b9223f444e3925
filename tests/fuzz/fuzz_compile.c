/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests from a stranger, all the way: decoded, compiled, opened, looked up.
 * Whatever is decoded must compile, to the same bytes twice, and to a plan that
 * opens; a recompilation after nothing must give these bytes as well.  What
 * stands after a form feed is put into the store afterwards: the recompilation
 * of that must give the bytes of a full one.  Secrets and authorities called
 * "cert" in "default" are there from the beginning: nobody guesses a key.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "cleanup.h"
#include "compile.h"
#include "lookup.h"
#include "make_cert.h"
#include "manifest.h"
#include "print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int put(void *arg, struct weir_arena *arena,
	       const struct weir_object *object)
{
	return weir_store_put(arg, arena, object);
}

static void decode(struct weir_store *store, const uint8_t *data, size_t size)
{
	struct weir_arena arena;
	struct weir_diags diags;

	weir_arena_init(&arena, 1024);
	weir_diags_init(&diags, &arena);
	weir_manifest_decode((struct weir_str){(const char *)data, size},
			     WEIR_STR("fuzz.yaml"), false, &diags, put, store);
	weir_arena_fini(&arena);
}

/* A wildcard is asked for by a name below it. */
static void decide(const struct weir_plan_view *v,
		   const struct weir_regexes *regexes,
		   const struct weir_frontend *f, struct weir_str host)
{
	static const char *const paths[] = {"/", "/a", "/a/b", "*", ""};
	struct weir_header h[] = {
		{WEIR_STR("x-a"), WEIR_STR("1")},
		{WEIR_STR("content-type"), WEIR_STR("application/grpc")}};
	struct weir_request q = {.method = WEIR_STR("GET"),
				 .host = host,
				 .query = WEIR_STR("q=1"),
				 .headers = h};
	struct weir_decision by_name;

	weir_decide_sni(v->rules, f, host, &by_name);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct weir_decision d;

		q.path = weir_str_of(paths[i]);
		q.n_headers = 1 + i % 2;
		weir_decide(v->rules, regexes, f, &q, &d);
		if (d.rule && d.rule->slots.n &&
		    !weir_choose_ref(v->rules, d.rule,
				     (uint32_t)i * 0x9E3779B9u)) {
			abort();
		}
	}
}

static void look_up(const struct weir_plan_view *v)
{
	const struct weir_frontend *f = weir_plan_at(v->rules,
						     v->rules->frontends);
	struct weir_regexes *regexes = NULL;

	if (weir_regexes_new(v->rules, &regexes) < 0) {
		abort(); /* compile let a bad pattern through */
	}
	for (uint32_t i = 0; i < v->rules->frontends.n; i++) {
		const struct weir_listener *l = weir_plan_at(v->rules,
							     f[i].listeners);

		if ((f[i].consumer_ns.n == 0 &&
		     weir_find_frontend(v->rules, &f[i].addr, f[i].port_be,
					f[i].proto) != &f[i]) ||
		    weir_find_for_client(
			    v->rules, &f[i],
			    weir_plan_str(v->rules, f[i].consumer_ns)) !=
			    &f[i] ||
		    f[i].proxy_index) {
			abort();
		}
		decide(v, regexes, &f[i], WEIR_STR("x.example"));
		for (uint32_t k = 0; k < f[i].listeners.n; k++) {
			const struct weir_vhost *h = weir_plan_at(v->rules,
								  l[k].vhosts);

			for (uint32_t j = 0; j < l[k].vhosts.n; j++) {
				decide(v, regexes, &f[i],
				       weir_plan_str(v->rules, h[j].hostname));
			}
		}
	}
	weir_regexes_free(&regexes);
}

static bool is_same(const struct weir_compiled *a,
		    const struct weir_compiled *b)
{
	return a->rules_size == b->rules_size && a->eps_size == b->eps_size &&
	       !memcmp(a->rules, b->rules, a->rules_size) &&
	       !memcmp(a->eps, b->eps, a->eps_size) &&
	       (!a->secrets || !b->secrets ||
		(a->secrets_size == b->secrets_size &&
		 !memcmp(a->secrets, b->secrets, a->secrets_size)));
}

static void put_certificates(struct weir_store *store)
{
	static struct weir_buf text;

	if (!text.n) {
		struct made_cert made;

		make_cert("x.example", NULL, &made);
		weir_buf_addz(&text, "apiVersion: v1\nkind: Secret\nmetadata: "
				     "{name: cert, namespace: default}\ndata:\n"
				     "  tls.crt: ");
		put_base64(&text, &made.chain);
		weir_buf_addz(&text, "\n  tls.key: ");
		put_base64(&text, &made.key);
		weir_buf_addz(&text, "\n---\napiVersion: v1\nkind: ConfigMap\n"
				     "metadata: {name: cert, namespace: "
				     "default}\ndata:\n  ca.crt: ");
		weir_buf_add_json(&text, weir_buf_str(&made.chain));
		weir_buf_addz(&text, "\n");
		made_cert_fini(&made);
	}
	decode(store, (const uint8_t *)text.p, text.n);
}

/* compiled: what was compiled before, as view. */
static void check_edit(struct weir_store *store,
		       const struct weir_plan_view *view, const uint8_t *data,
		       size_t size, struct weir_compiled *compiled)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true};
	uint64_t since = weir_store_version(store);
	struct weir_compiled full;

	decode(store, data, size);
	if (weir_recompile(store, &options, since, view, compiled) < 0 ||
	    weir_compile(store, &options, &full) < 0 ||
	    !is_same(compiled, &full)) {
		abort();
	}
	weir_compiled_fini(&full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true};
	const struct weir_secrets *secrets;
	struct weir_store *store = NULL;
	struct weir_compiled first;
	struct weir_compiled second;
	struct weir_plan_view view;
	_cleanup_buf_ struct weir_buf text = {0};
	const uint8_t *edit;

	if (weir_store_new(&store) < 0) {
		return 0;
	}
	put_certificates(store);
	edit = size ? memchr(data, '\f', size) : NULL;
	decode(store, data, edit ? (size_t)(edit - data) : size);
	if (weir_compile(store, &options, &first) < 0 ||
	    weir_compile(store, &options, &second) < 0 ||
	    weir_plan_open(first.rules, first.rules_size, first.eps,
			   first.eps_size, &view) < 0 ||
	    weir_secrets_open(first.secrets, first.secrets_size, view.rules,
			      &secrets) < 0 ||
	    !is_same(&first, &second)) {
		abort();
	}
	if (weir_recompile(store, &options, weir_store_version(store), &view,
			   &second) < 0 ||
	    !is_same(&first, &second)) {
		abort();
	}
	look_up(&view);
	weir_plan_print(&view, &text);
	if (edit) {
		check_edit(store, &view, edit + 1,
			   size - (size_t)(edit + 1 - data), &second);
	}
	weir_compiled_fini(&first);
	weir_compiled_fini(&second);
	weir_store_free(&store);
	return 0;
}
