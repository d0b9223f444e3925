/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that placeholders had.  When KIngresses name the private gateway
 * instead of "mesh only", Serving makes each placeholder anew, without an
 * address (route/reconcile_resources.go), and with another one when they do so
 * no more, while clients still dial what they resolved a moment ago.  So what
 * the plan before served is served on, until it lapses or a Service has the
 * address.
 */
#include <arpa/inet.h>

#include "addr.h"
#include "king.h"

struct former {
	struct weir_str ns;
	struct weir_str name;
	const struct weir_frontend *front; /* of the plan before */
	struct former *next;
};

static uint64_t name_key(struct weir_str ns, struct weir_str name)
{
	return weir_str_hash(name, weir_str_hash(ns, 17));
}

static uint64_t address_key(const struct weir_ip *ip)
{
	return weir_hash64(ip, sizeof(*ip), 19);
}

static bool is_among(const struct weir_ip *v, size_t n,
		     const struct weir_ip *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (weir_ip_eq(&v[i], ip)) {
			return true;
		}
	}
	return false;
}

static void add_former(struct ir *c, const struct weir_frontend *front)
{
	const struct weir_plan *p = c->memory.before;
	const struct weir_pobject *o = WEIR_PLAN_ELEM(
		p, struct weir_pobject, p->objects, front->object);
	struct former *f = weir_ir_alloc(c, 1, sizeof(*f));
	uint64_t key;

	if (!f) {
		return;
	}
	f->ns = weir_plan_str(p, o->ns);
	f->name = weir_plan_str(p, o->name);
	f->front = front;
	key = name_key(f->ns, f->name);
	f->next = weir_ir_get(&c->formers, key);
	weir_ir_put(c, &c->formers, key, f);
}

static void load_cluster_ips(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_SERVICE, &n);

	for (size_t i = 0; i < n; i++) {
		const struct weir_service_spec *s = v[i]->service;

		for (size_t k = 0; s && k < s->n_cluster_ips; k++) {
			weir_ir_put(c, &c->cluster_ips,
				    address_key(&s->cluster_ips[k]), s);
		}
	}
}

static bool is_taken(struct ir *c, const struct weir_ip *ip)
{
	if (!c->has_cluster_ips) {
		c->has_cluster_ips = true;
		load_cluster_ips(c);
	}
	return weir_ir_get(&c->cluster_ips, address_key(ip));
}

/* Most do: then it is served by that. */
static bool has_still(struct ir *c, const struct weir_frontend *front)
{
	const struct weir_plan *p = c->memory.before;
	const struct weir_pobject *o = WEIR_PLAN_ELEM(
		p, struct weir_pobject, p->objects, front->object);
	const struct weir_service_spec *s = weir_ir_service_spec(
		c, weir_plan_str(p, o->ns), weir_plan_str(p, o->name));

	return s && is_among(s->cluster_ips, s->n_cluster_ips, &front->addr);
}

static void load(struct ir *c)
{
	const struct weir_plan *p = c->memory.before;

	c->has_formers = true;
	for (uint32_t i = 0; i < p->frontends.n; i++) {
		const struct weir_frontend *f = WEIR_PLAN_ELEM(
			p, struct weir_frontend, p->frontends, i);

		if (f->origin == WEIR_ORIGIN_KNATIVE && !f->is_local &&
		    f->mode == WEIR_MODE_HTTP && !has_still(c, f) &&
		    !is_among(c->memory.lapsed, c->memory.n_lapsed, &f->addr)) {
			add_former(c, f);
		}
	}
}

static void tell(struct ir *c, const struct weir_ip *ip)
{
	struct ir_former *f = weir_ir_alloc(c, 1, sizeof(*f));

	if (f) {
		f->addr = *ip;
		f->next = c->served_formers;
		c->served_formers = f;
		c->verdicts.n_formers++;
	}
}

void weir_ir_king_former(struct king *k, struct weir_str name,
			 const struct weir_service_spec *now,
			 king_front_fn serve)
{
	struct ir *c = k->c;
	struct weir_str ns = k->ingress->ns;
	struct former *f;

	if (!c->memory.before) {
		return;
	}
	if (!c->has_formers) {
		load(c);
	}
	if (c->formers.n == 0) {
		return;
	}
	f = weir_ir_get(&c->formers, name_key(ns, name));
	for (; f; f = f->next) {
		struct ir_front *front;

		if (!weir_str_eq(f->name, name) || !weir_str_eq(f->ns, ns) ||
		    (now && is_among(now->cluster_ips, now->n_cluster_ips,
				     &f->front->addr)) ||
		    is_taken(c, &f->front->addr)) {
			continue;
		}
		front = weir_ir_add_front(c);
		if (!front) {
			return;
		}
		front->owner = k->ingress;
		front->object = weir_ir_named(c, WEIR_STR("Service"), ns, name);
		front->port = ntohs(f->front->port_be);
		front->addresses = &f->front->addr;
		front->n_addresses = 1;
		serve(k, name, front);
		tell(c, &f->front->addr);
	}
}
