/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of compile: from manifests to an opened plan and its lookups. */
#ifndef WEIR_TESTS_COMPILE_SITE_H
#define WEIR_TESTS_COMPILE_SITE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "addr.h"
#include "buf.h"
#include "cleanup.h"
#include "compile.h"
#include "lookup.h"
#include "manifest.h"
#include "tap.h"

/* Objects of one text, in the order in which they stand there. */
struct site_objects {
	struct {
		struct weir_arena arena;
		const struct weir_object *object;
	} v[4096];
	size_t n;
};

struct site {
	struct weir_store *store;
	struct weir_compiled out;
	struct weir_plan_view view;
	struct weir_regexes *regexes;
};

static inline int site_take(void *arg, struct weir_arena *arena,
			    const struct weir_object *object)
{
	struct site_objects *o = arg;

	if (o->n == sizeof(o->v) / sizeof(o->v[0])) {
		return -ENOSPC;
	}
	o->v[o->n].arena = *arena;
	o->v[o->n].object = object;
	o->n++;
	*arena = (struct weir_arena){0};
	return 0;
}

/* Puts all of text into the store; seed 0: in order, else shuffled.  Decoding
 * must be without a fault. */
static inline void site_load(struct site *s, struct weir_str text,
			     unsigned seed)
{
	static struct site_objects objects;
	struct weir_arena arena;
	struct weir_diags diags;
	int r;

	objects.n = 0;
	weir_arena_init(&arena, 1024);
	weir_diags_init(&diags, &arena);
	r = weir_manifest_decode(text, WEIR_STR("test.yaml"), false, &diags,
				 site_take, &objects);
	for (size_t i = 0; i < diags.n; i++) {
		ok(diags.v[i].severity != WEIR_DIAG_ERROR,
		   "line %u, %.*s: %.*s", diags.v[i].line,
		   WEIR_STR_ARG(diags.v[i].field),
		   WEIR_STR_ARG(diags.v[i].message));
	}
	weir_arena_fini(&arena);
	must(r == 0, "decoding gives %d", r);
	for (size_t i = objects.n; seed && i > 1; i--) {
		size_t k;

		seed = seed * 1103515245u + 12345u;
		k = (seed >> 8) % i;
		__typeof__(objects.v[0]) swap = objects.v[k];
		objects.v[k] = objects.v[i - 1];
		objects.v[i - 1] = swap;
	}
	for (size_t i = 0; i < objects.n; i++) {
		must(weir_store_put(s->store, &objects.v[i].arena,
				    objects.v[i].object) == 0,
		     "put");
	}
}

static inline void site_fini(struct site *s)
{
	weir_regexes_free(&s->regexes);
	weir_compiled_fini(&s->out);
	weir_store_free(&s->store);
}

static inline void site_compile(struct site *s)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true};
	const struct weir_secrets *secrets;

	must(weir_compile(s->store, &options, &s->out) == 0, "compile");
	must(weir_plan_open(s->out.rules, s->out.rules_size, s->out.eps,
			    s->out.eps_size, &s->view) == 0,
	     "the plan opens");
	must(weir_secrets_open(s->out.secrets, s->out.secrets_size,
			       s->view.rules, &secrets) == 0,
	     "and its secrets");
	must(weir_regexes_new(s->view.rules, &s->regexes) == 0, "regexes");
}

static inline void site_init(struct site *s, const char *yaml)
{
	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	site_load(s, weir_str_of(yaml), 0);
	site_compile(s);
}

/* Number of diagnostics with this reason whose field begins so. */
static inline size_t site_said(const struct site *s, const char *reason,
			       const char *field)
{
	size_t n = 0;

	for (size_t i = 0; i < s->out.diags.n; i++) {
		const struct weir_diag *d = &s->out.diags.v[i];

		n += weir_str_is(d->reason, reason) &&
		     weir_str_starts(d->field, weir_str_of(field));
	}
	return n;
}

static inline void site_print_diags(const struct site *s)
{
	for (size_t i = 0; i < s->out.diags.n; i++) {
		const struct weir_diag *d = &s->out.diags.v[i];

		printf("# %.*s %.*s/%.*s %.*s %.*s: %.*s\n",
		       WEIR_STR_ARG(d->reason), WEIR_STR_ARG(d->ns),
		       WEIR_STR_ARG(d->name), WEIR_STR_ARG(d->kind),
		       WEIR_STR_ARG(d->field), WEIR_STR_ARG(d->message));
	}
}

static inline const struct weir_frontend *
site_frontend(const struct site *s, const char *addr, uint8_t proto)
{
	struct weir_ip ip;
	__be16 port_be;

	must(weir_addr_parse(weir_str_of(addr), &ip, &port_be) == 0, "%s",
	     addr);
	return weir_find_frontend(s->view.rules, &ip, port_be, proto);
}

/* "10.0.0.1:80", "GET", "a.example", "/x?q=1", "name: value" or NULL. */
static inline struct weir_decision
site_decide(const struct site *s, const char *addr, const char *method,
	    const char *host, const char *target, const char *header)
{
	const struct weir_frontend *f = site_frontend(s, addr, IPPROTO_TCP);
	struct weir_str path = weir_str_of(target);
	ptrdiff_t at = weir_str_find(path, '?');
	struct weir_header h = {0};
	struct weir_request q = {.method = weir_str_of(method),
				 .host = weir_str_of(host),
				 .headers = &h};
	struct weir_decision d;

	must(f != NULL, "no frontend at %s", addr);
	if (at >= 0) {
		q.query = weir_str_skip(path, (size_t)at + 1);
		path.n = (size_t)at;
	}
	q.path = path;
	if (header) {
		struct weir_str line = weir_str_of(header);
		ptrdiff_t colon = weir_str_find(line, ':');

		h.name = (struct weir_str){line.p, (size_t)colon};
		h.value = weir_str_trim(weir_str_skip(line, (size_t)colon + 1));
		q.n_headers = 1;
	}
	weir_decide(s->view.rules, s->regexes, f, &q, &d);
	return d;
}

/* "name/rule" of the deciding HTTPRoute, or "404". */
static inline const char *site_route(const struct site *s,
				     const struct weir_decision *d)
{
	static char text[512];
	const struct weir_pobject *o;

	if (!d->rule) {
		return "404";
	}
	o = WEIR_PLAN_ELEM(s->view.rules, struct weir_pobject,
			   s->view.rules->objects, d->rule->object);
	snprintf(text, sizeof(text), "%.*s/%u",
		 WEIR_STR_ARG(weir_plan_str(s->view.rules, o->name)),
		 d->rule->index);
	return text;
}

#endif
