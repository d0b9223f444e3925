/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BackendTLSPolicies: how backends of a Service are spoken to.  A policy for a
 * port goes before one for the whole Service; of two for the same the older
 * counts, then the first by namespace and name, and the other is Conflicted.
 *
 * A policy whose authorities cannot be used leaves its backends without an
 * answer: falling back to cleartext would defeat it.
 */
#include "ir.h"

#include <stdlib.h>

#define SYSTEM "System"

/* Of one Service: who wants to say what, the stronger first. */
struct ir_tls_claim {
	struct ir_policy *policy;
	struct weir_str service;
	struct weir_str section; /* port name; empty: all ports */
	struct ir_tls_claim *next;
};

static uint64_t service_key(struct weir_str ns, struct weir_str name)
{
	return weir_str_hash(name, weir_str_hash(ns, WEIR_KIND_SERVICE));
}

/* The key is a hash of names, and names can be chosen for it. */
static bool is_of(const struct ir_tls_claim *claim, struct weir_str ns,
		  struct weir_str name)
{
	return weir_str_eq(claim->policy->object->ns, ns) &&
	       weir_str_eq(claim->service, name);
}

static int compare_policies(const void *a, const void *b)
{
	const struct ir_policy *x = a;
	const struct ir_policy *y = b;
	int64_t ax = x->object->created_s ? x->object->created_s : INT64_MAX;
	int64_t ay = y->object->created_s ? y->object->created_s : INT64_MAX;

	if (ax != ay) {
		return ax < ay ? -1 : 1;
	}
	return (x->order > y->order) - (x->order < y->order);
}

static void add_claim(struct ir *c, struct ir_policy *p, size_t i)
{
	const struct weir_policy_target *t =
		&p->object->backend_tls->targets[i];
	uint64_t key = service_key(p->object->ns, t->name);
	struct ir_tls_claim *first = weir_ir_get(&c->tls_claims, key);
	struct ir_tls_claim *claim;
	struct ir_scope before;

	if (t->group.n || !weir_str_is(t->kind, "Service")) {
		IR_DIAG(c, WEIR_DIAG_WARNING, p->object, "TargetNotFound",
			IR_FIELD("spec.targetRefs[%zu]", i),
			"\"%.*s/%.*s\"; expected a Service",
			WEIR_STR_ARG(t->group), WEIR_STR_ARG(t->kind));
		return;
	}
	claim = weir_ir_alloc(c, 1, sizeof(*claim));
	if (!claim) {
		return;
	}
	*claim = (struct ir_tls_claim){
		.policy = p, .service = t->name, .section = t->section};
	if (!first) {
		weir_ir_put(c, &c->tls_claims, key, claim);
		return;
	}
	for (struct ir_tls_claim *x = first;; x = x->next) {
		if (weir_str_eq(x->section, t->section) && x->policy != p &&
		    is_of(x, p->object->ns, t->name)) {
			before = weir_ir_enter(c, &p->verdict->accepted, NULL);
			IR_DIAG(c, WEIR_DIAG_ERROR, p->object, "Conflicted",
				IR_FIELD("spec.targetRefs[%zu]", i),
				"Service %.*s/%.*s has BackendTLSPolicy %.*s "
				"already",
				WEIR_STR_ARG(p->object->ns),
				WEIR_STR_ARG(t->name),
				WEIR_STR_ARG(x->policy->object->name));
			c->scope = before;
		}
		if (!x->next) {
			x->next = claim;
			return;
		}
	}
}

void weir_ir_policies(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		c->store, WEIR_KIND_BACKEND_TLS_POLICY, &n);
	size_t n_good = 0;

	if (n == 0) {
		return;
	}
	c->policies = weir_ir_alloc(c, n, sizeof(*c->policies));
	for (size_t i = 0; c->policies && i < n; i++) {
		if (v[i]->backend_tls) {
			c->policies[n_good] = (struct ir_policy){
				.object = v[i], .order = (uint32_t)n_good};
			n_good++;
		}
	}
	if (!c->policies || n_good == 0) {
		return;
	}
	qsort(c->policies, n_good, sizeof(*c->policies), compare_policies);
	c->n_policies = n_good;
	for (size_t i = 0; i < n_good; i++) {
		struct ir_policy *p = &c->policies[i];

		p->verdict = weir_ir_policy_verdict(c, p->object);
		if (!p->verdict) {
			return;
		}
		for (size_t k = 0; k < p->object->backend_tls->n_targets; k++) {
			add_claim(c, p, k);
		}
	}
}

/* --------------------------------------------------------- what a policy says
 */

static void take_cas(struct ir *c, struct ir_policy *p)
{
	const struct weir_backend_tls_spec *spec = p->object->backend_tls;
	uint32_t *v = weir_ir_alloc(c, spec->cas.n, sizeof(*v));
	struct ir_scope before = weir_ir_enter(c, &p->verdict->refs, NULL);

	for (size_t i = 0; v && i < spec->cas.n; i++) {
		struct ir_field field;
		const struct ir_cert_request q = {
			.from = p->object,
			.to = &spec->cas.v[i],
			.bad = "InvalidCACertificateRef",
			.bad_kind = "InvalidKind",
			.field = weir_ir_field(
				&field,
				"spec.validation.caCertificateRefs[%zu]", i)};
		const struct ir_cert *ca = weir_ir_ca(c, &q);

		if (ca) {
			v[p->n_cas++] = ca->index;
		}
	}
	c->scope = before;
	p->cas = v;
	if (p->n_cas == 0) {
		p->is_bad = true;
		weir_ir_fault(
			c, &p->verdict->accepted, "NoValidCACertificate",
			"none of spec.validation.caCertificateRefs can be "
			"used: requests get 500");
	}
}

/* At the first use: a policy of nobody's backends is none of weir's. */
static void take_policy(struct ir *c, struct ir_policy *p)
{
	const struct weir_backend_tls_spec *spec = p->object->backend_tls;
	struct ir_scope before;
	bool was_quiet = c->is_quiet;

	if (p->is_taken) {
		return;
	}
	p->is_taken = true;
	c->is_quiet = false;
	p->object_id = weir_ir_object(c, p->object);
	if (spec->cas.n) {
		take_cas(c, p);
	} else if (!weir_str_is(spec->well_known, SYSTEM)) {
		before = weir_ir_enter(c, &p->verdict->accepted, NULL);
		IR_DIAG(c, WEIR_DIAG_ERROR, p->object, "Invalid",
			WEIR_STR("spec.validation.wellKnownCACertificates"),
			"\"%.*s\"; expected " SYSTEM ": requests get 500",
			WEIR_STR_ARG(spec->well_known));
		c->scope = before;
		p->is_bad = true;
	}
	if (!p->is_bad) {
		p->place = ++c->n_backend_tls;
	}
	c->is_quiet = was_quiet;
}

/* Is this claim about the port? */
static bool is_about(const struct ir_tls_claim *claim, struct weir_str port)
{
	return claim->section.n == 0 || weir_str_eq(claim->section, port);
}

struct ir_policy *weir_ir_policy_for(struct ir *c,
				     const struct weir_object *service,
				     const struct weir_service_port *port,
				     const struct ir_tls_claim **ret_claims)
{
	const struct ir_tls_claim *claims;
	struct ir_policy *all = NULL;
	struct ir_policy *own = NULL;

	*ret_claims = NULL;
	if (c->n_policies == 0) {
		return NULL;
	}
	claims = weir_ir_get(&c->tls_claims,
			     service_key(service->ns, service->name));
	while (claims && !is_of(claims, service->ns, service->name)) {
		claims = claims->next;
	}
	*ret_claims = claims;
	for (const struct ir_tls_claim *x = claims; x; x = x->next) {
		if (!is_of(x, service->ns, service->name) ||
		    !is_about(x, port->name)) {
			continue;
		}
		take_policy(c, x->policy);
		if (x->section.n && !own) {
			own = x->policy;
		} else if (!x->section.n && !all) {
			all = x->policy;
		}
	}
	return own ? own : all;
}

/* -------------------------------------------------------------- ancestors */

static void add_ancestor(struct ir *c, struct ir_policy *p,
			 const struct weir_object *gateway)
{
	struct weir_policy_verdict *v = p->verdict;
	struct weir_ancestor *all;

	for (uint32_t i = 0; i < v->n_ancestors; i++) {
		if (weir_str_eq(v->ancestors[i].ns, gateway->ns) &&
		    weir_str_eq(v->ancestors[i].name, gateway->name)) {
			return;
		}
	}
	if (v->n_ancestors == 16) { /* PolicyStatus.ancestors, MaxItems */
		return;
	}
	if (!p->ancestors) {
		p->ancestors = weir_ir_alloc(c, 16, sizeof(*p->ancestors));
		v->ancestors = p->ancestors;
	}
	all = p->ancestors;
	if (all) {
		all[v->n_ancestors++] = (struct weir_ancestor){gateway->ns,
							       gateway->name};
	}
}

static void visit(struct ir *c, const struct ir_rule *rule,
		  const struct weir_object *gateway)
{
	for (uint32_t i = 0; i < rule->n_refs; i++) {
		for (const struct ir_tls_claim *x = rule->refs[i].claims; x;
		     x = x->next) {
			add_ancestor(c, x->policy, gateway);
		}
	}
}

void weir_ir_ancestors(struct ir *c)
{
	for (const struct ir_front *f = c->n_policies ? c->fronts : NULL; f;
	     f = f->next) {
		const struct ir_listener *l = f->listeners;

		if (f->origin != WEIR_ORIGIN_GATEWAY) {
			continue;
		}
		for (uint32_t i = 0; l && i < f->n_listeners; i++) {
			for (const struct ir_vhost *v = l->vhosts; v;
			     v = v->next) {
				for (const struct ir_entry *e = v->entries; e;
				     e = e->next) {
					visit(c, e->rule, f->owner);
				}
			}
			l = l->next;
		}
	}
}
