/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts while they are found: faults beside diagnostics, then all of it
 * moved out of reach of the store. */
#include "king.h"
#include "writer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX 768 /* bytes; conditions take 32768 */

const char *const weir_ir_ref_reasons[] = {
	"BackendNotFound",     "RefNotPermitted",      "InvalidKind",
	"UnsupportedProtocol", "InvalidCACertificate", NULL};
const char *const weir_ir_value_reasons[] = {"UnsupportedValue",
					     "IncompatibleFilters", NULL};

/* ------------------------------------------------------------------ faults */

static const char *known_reason(const struct ir_scope *scope,
				const char *reason)
{
	if (!scope->reasons) {
		return reason;
	}
	for (size_t i = 0; scope->reasons[i]; i++) {
		if (strcmp(scope->reasons[i], reason) == 0) {
			return reason;
		}
	}
	return scope->reasons[0];
}

static void set_fault(struct ir *c, const struct weir_fault **slot,
		      const char *reason, struct weir_str message)
{
	struct weir_fault *f = weir_arena_alloc(c->diags->arena, sizeof(*f));

	if (!f) {
		c->error = -ENOMEM;
		return;
	}
	f->reason = reason;
	f->message = weir_arena_dup(c->diags->arena, message);
	if (!f->message.p) {
		c->error = -ENOMEM;
	}
	*slot = f;
}

/* What snprintf() made of it. */
static struct weir_str cut(const char *text, int n, size_t size)
{
	size_t len = n < 0 ? 0 : (size_t)n;

	return (struct weir_str){text, len < size ? len : size - 1};
}

void weir_ir_say(struct ir *c, enum weir_severity severity,
		 const struct weir_object *object, const char *reason,
		 struct weir_str field, const char *fmt, ...)
{
	const struct ir_scope *scope = &c->scope;
	char text[MESSAGE_MAX];
	struct weir_str message;
	va_list ap;

	va_start(ap, fmt);
	message = cut(text, vsnprintf(text, sizeof(text), fmt, ap),
		      sizeof(text));
	va_end(ap);
	if (!c->is_quiet) {
		weir_diag_add(c->diags, severity, object, reason, field, "%.*s",
			      WEIR_STR_ARG(message));
	}
	if (scope->slot && !*scope->slot &&
	    (severity == WEIR_DIAG_ERROR ||
	     (severity == WEIR_DIAG_WARNING && scope->takes_warnings))) {
		char whole[MESSAGE_MAX + sizeof(struct ir_field)];
		int n = snprintf(whole, sizeof(whole), "%.*s: %.*s",
				 WEIR_STR_ARG(field), WEIR_STR_ARG(message));

		set_fault(c, scope->slot, known_reason(scope, reason),
			  cut(whole, n, sizeof(whole)));
	}
}

struct ir_scope weir_ir_enter(struct ir *c, const struct weir_fault **slot,
			      const char *const *reasons)
{
	struct ir_scope before = c->scope;

	c->scope = (struct ir_scope){.slot = slot, .reasons = reasons};
	return before;
}

void weir_ir_fault(struct ir *c, const struct weir_fault **slot,
		   const char *reason, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;
	int n;

	if (*slot) {
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_fault(c, slot, reason, cut(text, n, sizeof(text)));
}

/* --------------------------------------------------------------- verdicts */

static struct weir_verdict_id id_of(const struct weir_object *o)
{
	return (struct weir_verdict_id){.kind = o->kind,
					.ns = o->ns,
					.name = o->name,
					.generation = o->generation};
}

static void *alloc_kept(struct ir *c, size_t n, size_t size)
{
	void *p = weir_arena_array(c->diags->arena, n, size);

	if (!p) {
		c->error = -ENOMEM;
	}
	return p;
}

void weir_ir_verdicts_begin(struct ir *c)
{
	struct weir_verdicts *v = &c->verdicts;
	size_t n_classes;
	size_t total = 0;

	weir_store_list(c->store, WEIR_KIND_GATEWAY_CLASS, &n_classes);
	for (int kind = WEIR_KIND_HTTP_ROUTE; kind <= WEIR_KIND_UDP_ROUTE;
	     kind++) {
		size_t n;

		weir_store_list(c->store, (enum weir_kind)kind, &n);
		total += n;
	}
	v->classes = weir_ir_alloc(c, n_classes, sizeof(*v->classes));
	v->routes = weir_ir_alloc(c, total, sizeof(*v->routes));
	for (int kind = WEIR_KIND_HTTP_ROUTE;
	     v->routes && kind <= WEIR_KIND_UDP_ROUTE; kind++) {
		size_t n;
		const struct weir_object *const *list = weir_store_list(
			c->store, (enum weir_kind)kind, &n);

		for (size_t i = 0; i < n; i++) {
			v->routes[v->n_routes++].id = id_of(list[i]);
		}
	}
}

struct weir_route_verdict *
weir_ir_route_verdict(struct ir *c, const struct weir_object *object)
{
	const struct weir_verdicts *v = &c->verdicts;
	struct weir_route_verdict *found;

	for (uint32_t i = c->last_route;
	     i < v->n_routes && i < c->last_route + 2; i++) {
		const struct weir_verdict_id *id = &v->routes[i].id;

		/* Until the end they share their texts with the store; but some
		 * names are one text for many objects ("default"). */
		if (id->name.p == object->name.p && id->kind == object->kind &&
		    weir_str_eq(id->ns, object->ns)) {
			c->last_route = i;
			return &v->routes[i];
		}
	}
	found = weir_verdict_route(v, object->kind, object->ns, object->name);
	if (found) {
		c->last_route = (uint32_t)(found - v->routes);
	}
	return found;
}

bool weir_ir_has_parent(const struct weir_route_verdict *route,
			enum weir_parent_type type)
{
	for (uint32_t i = 0; i < route->n_parents; i++) {
		if (route->parents[i].is_ours &&
		    route->parents[i].is_mesh ==
			    (type == WEIR_PARENT_SERVICE)) {
			return true;
		}
	}
	return false;
}

struct weir_gateway_verdict *
weir_ir_gateway_verdict(struct ir *c, const struct weir_object *object,
			size_t n_listeners)
{
	struct ir_gateway_verdict *g = weir_ir_alloc(c, 1, sizeof(*g));

	if (!g) {
		return NULL;
	}
	g->v.id = id_of(object);
	g->v.listeners = alloc_kept(c, n_listeners, sizeof(*g->v.listeners));
	if (!g->v.listeners) {
		return NULL;
	}
	g->v.n_listeners = (uint32_t)n_listeners;
	g->next = c->gateway_verdicts;
	c->gateway_verdicts = g;
	c->verdicts.n_gateways++;
	return &g->v;
}

struct weir_class_verdict *
weir_ir_class_verdict(struct ir *c, const struct weir_object *class)
{
	struct weir_verdicts *v = &c->verdicts;

	if (!v->classes) {
		return NULL;
	}
	v->classes[v->n_classes].id = id_of(class);
	return &v->classes[v->n_classes++];
}

struct weir_policy_verdict *
weir_ir_policy_verdict(struct ir *c, const struct weir_object *object)
{
	struct ir_policy_verdict *p = weir_ir_alloc(c, 1, sizeof(*p));

	if (!p) {
		return NULL;
	}
	p->v.id = id_of(object);
	p->next = c->policy_verdicts;
	c->policy_verdicts = p;
	c->verdicts.n_policies++;
	return &p->v;
}

struct weir_king_verdict *weir_ir_king_verdict(struct ir *c,
					       const struct weir_object *object)
{
	struct ir_king_verdict *k = weir_ir_alloc(c, 1, sizeof(*k));

	if (!k) {
		return NULL;
	}
	k->v.id = id_of(object);
	k->next = c->king_verdicts;
	c->king_verdicts = k;
	c->verdicts.n_kings++;
	return &k->v;
}

struct weir_parent_verdict *
weir_ir_parent_verdict(struct ir *c, struct weir_route_verdict *route,
		       const struct weir_object *object, size_t number)
{
	size_t n = object->route->n_parents;

	if (!route) {
		return NULL; /* out of memory, said already */
	}
	if (!route->parents) {
		route->parents = alloc_kept(c, n, sizeof(*route->parents));
		route->n_parents = route->parents ? (uint32_t)n : 0;
	}
	if (!route->parents) {
		return NULL;
	}
	route->parents[number].is_ours = true;
	return &route->parents[number];
}

/* ------------------------------------------------------------------ hashes */

static uint64_t mix(uint64_t h, uint64_t value)
{
	return weir_hash64(&value, sizeof(value), h);
}

static uint64_t mix_fault(uint64_t h, const struct weir_fault *f)
{
	if (!f) {
		return mix(h, 0);
	}
	return weir_str_hash(f->message,
			     weir_str_hash(weir_str_of(f->reason), h));
}

static uint64_t hash_gateway(const struct weir_gateway_verdict *g)
{
	uint64_t h = mix_fault(1, g->accepted);

	h = mix_fault(h, g->programmed);
	h = mix_fault(h, g->refs);
	h = mix(h, g->has_refs | (uint64_t)g->is_insecure << 1 |
			   (uint64_t)g->n_attached_sets << 2);
	h = weir_hash64(g->addresses, g->n_addresses * sizeof(*g->addresses),
			h);
	for (uint32_t i = 0; i < g->n_listeners; i++) {
		const struct weir_listener_verdict *l = &g->listeners[i];

		h = weir_str_hash(l->name, h);
		h = mix(h, (uint64_t)l->kinds << 32 | l->n_attached);
		h = mix_fault(h, l->accepted);
		h = mix_fault(h, l->conflicted);
		h = mix_fault(h, l->refs);
		h = mix_fault(h, l->programmed);
		h = mix_fault(h, l->overlap);
	}
	return h;
}

static uint64_t hash_route(const struct weir_route_verdict *r)
{
	uint64_t h = mix_fault(2, r->invalid);

	h = mix_fault(h, r->partial);
	h = mix_fault(h, r->refs[WEIR_PARENT_GATEWAY]);
	h = mix_fault(h, r->refs[WEIR_PARENT_SERVICE]);
	for (uint32_t i = 0; i < r->n_parents; i++) {
		const struct weir_parent_verdict *p = &r->parents[i];

		h = mix(h, p->is_ours | (uint64_t)p->is_mesh << 1);
		h = mix_fault(h, p->accepted);
	}
	return h;
}

static uint64_t hash_policy(const struct weir_policy_verdict *p)
{
	uint64_t h = mix_fault(mix_fault(3, p->accepted), p->refs);

	for (uint32_t i = 0; i < p->n_ancestors; i++) {
		h = weir_str_hash(p->ancestors[i].ns, h);
		h = weir_str_hash(p->ancestors[i].name, h);
	}
	return h;
}

/* --------------------------------------------------------------------- end */

/* What ids and names point to dies with the store's objects. */
static void keep(struct ir *c, struct weir_str *text)
{
	struct weir_str copy = weir_arena_dup(c->diags->arena, *text);

	if (!copy.p) {
		c->error = -ENOMEM;
	}
	*text = copy;
}

static void keep_id(struct ir *c, struct weir_verdict_id *id, uint64_t hash)
{
	keep(c, &id->ns);
	keep(c, &id->name);
	id->hash = hash;
}

static int compare_ids(const void *a, const void *b)
{
	const struct weir_verdict_id *x = a; /* the first member of each */
	const struct weir_verdict_id *y = b;
	int r = (x->kind > y->kind) - (x->kind < y->kind);

	r = r ? r : weir_str_cmp(x->ns, y->ns);
	return r ? r : weir_str_cmp(x->name, y->name);
}

static void end_gateways(struct ir *c, struct weir_verdicts *out)
{
	struct weir_gateway_verdict *v = alloc_kept(c, c->verdicts.n_gateways,
						    sizeof(*v));
	uint32_t n = 0;

	if (!v) {
		return;
	}
	for (struct ir_gateway_verdict *g = c->gateway_verdicts; g;
	     g = g->next) {
		const struct weir_ip *addresses = g->v.addresses;
		size_t size = g->v.n_addresses * sizeof(*addresses);
		struct weir_ip *copy = alloc_kept(c, g->v.n_addresses,
						  sizeof(*copy));

		if (copy && size) {
			memcpy(copy, addresses, size);
		}
		g->v.addresses = copy;
		for (uint32_t i = 0; copy && i < g->v.n_listeners; i++) {
			keep(c, &g->v.listeners[i].name);
		}
		if (c->error) {
			return;
		}
		keep_id(c, &g->v.id, hash_gateway(&g->v));
		v[n++] = g->v;
	}
	if (n > 1) {
		qsort(v, n, sizeof(*v), compare_ids);
	}
	out->gateways = v;
	out->n_gateways = n;
}

static void end_policies(struct ir *c, struct weir_verdicts *out)
{
	struct weir_policy_verdict *v = alloc_kept(c, c->verdicts.n_policies,
						   sizeof(*v));
	uint32_t n = 0;

	if (!v) {
		return;
	}
	for (struct ir_policy_verdict *p = c->policy_verdicts; p; p = p->next) {
		struct weir_ancestor *copy = alloc_kept(c, p->v.n_ancestors,
							sizeof(*copy));

		for (uint32_t i = 0; copy && i < p->v.n_ancestors; i++) {
			copy[i] = p->v.ancestors[i];
			keep(c, &copy[i].ns);
			keep(c, &copy[i].name);
		}
		p->v.ancestors = copy;
		if (c->error) {
			return;
		}
		keep_id(c, &p->v.id, hash_policy(&p->v));
		v[n++] = p->v;
	}
	if (n > 1) {
		qsort(v, n, sizeof(*v), compare_ids);
	}
	out->policies = v;
	out->n_policies = n;
}

static uint64_t hash_king(const struct weir_king_verdict *k)
{
	uint64_t h = mix_fault(5, k->balancer);

	h = weir_str_hash(k->public_domain, h);
	return weir_str_hash(k->private_domain, h);
}

/* Its domains live as long as the verdict. */
static void end_kings(struct ir *c, struct weir_verdicts *out)
{
	struct weir_king_verdict *v = alloc_kept(
		c, weir_plan_room(c->verdicts.n_kings), sizeof(*v));
	uint32_t n = 0;

	for (struct ir_king_verdict *k = c->king_verdicts; v && k;
	     k = k->next) {
		keep_id(c, &k->v.id, hash_king(&k->v));
		v[n++] = k->v;
	}
	if (n > 1) {
		qsort(v, n, sizeof(*v), compare_ids);
	}
	out->kings = v;
	out->n_kings = n;
}

static void end_routes(struct ir *c, struct weir_verdicts *out)
{
	const struct weir_verdicts *from = &c->verdicts;
	uint32_t n = 0;

	for (uint32_t i = 0; i < from->n_routes; i++) {
		n += from->routes[i].parents != NULL;
	}
	out->routes = alloc_kept(c, n, sizeof(*out->routes));
	for (uint32_t i = 0; out->routes && i < from->n_routes; i++) {
		struct weir_route_verdict *r = &out->routes[out->n_routes];

		if (from->routes[i].parents) {
			*r = from->routes[i];
			keep_id(c, &r->id, hash_route(r));
			out->n_routes++;
		}
	}
}

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct weir_ip));
}

int weir_ir_compare_keys(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

static void end_memory(struct ir *c, struct weir_verdicts *out)
{
	uint32_t n = 0;

	out->formers = alloc_kept(c, c->verdicts.n_formers,
				  sizeof(*out->formers));
	for (struct ir_former *f = c->served_formers; out->formers && f;
	     f = f->next) {
		out->formers[out->n_formers++] = f->addr;
	}
	if (out->n_formers > 1) {
		qsort(out->formers, out->n_formers, sizeof(*out->formers),
		      compare_addresses);
	}
	out->asleep = alloc_kept(c, c->verdicts.n_asleep, sizeof(*out->asleep));
	for (struct ir_sleeper *s = c->sleepers; out->asleep && s;
	     s = s->next) {
		out->asleep[n++] = s->key;
	}
	if (n > 1) {
		qsort(out->asleep, n, sizeof(*out->asleep),
		      weir_ir_compare_keys);
	}
	/* A rule at two addresses sleeps once. */
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || out->asleep[i] != out->asleep[i - 1]) {
			out->asleep[out->n_asleep++] = out->asleep[i];
		}
	}
}

void weir_ir_verdicts_end(struct ir *c, struct weir_verdicts *ret_verdicts)
{
	struct weir_verdicts out = {0};
	uint32_t n = c->verdicts.n_classes;

	if (c->error) {
		return;
	}
	out.classes = alloc_kept(c, n, sizeof(*out.classes));
	for (uint32_t i = 0; out.classes && i < n; i++) {
		struct weir_class_verdict *v = &out.classes[out.n_classes++];

		*v = c->verdicts.classes[i];
		keep_id(c, &v->id, mix_fault(4, v->accepted));
	}
	end_gateways(c, &out);
	end_routes(c, &out);
	end_policies(c, &out);
	end_kings(c, &out);
	end_memory(c, &out);
	*ret_verdicts = out;
}
