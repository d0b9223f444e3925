// SPDX-License-Identifier: Apache-2.0
/*
 * Whose an address and port is.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "ir.h"

static int compare_place(const struct ir_claim *x, const struct ir_claim *y)
{
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	r = r ? r : memcmp(&x->port_be, &y->port_be, sizeof(x->port_be));
	r = r ? r : (x->proto > y->proto) - (x->proto < y->proto);
	return r ? r
		 : weir_str_cmp(x->front->consumer_ns, y->front->consumer_ns);
}

static int compare_claims(const void *a, const void *b)
{
	const struct ir_claim *x = a;
	const struct ir_claim *y = b;
	int r = compare_place(x, y);

	return r ? r : (x->order > y->order) - (x->order < y->order);
}

static struct ir_claim *collect(struct ir *c, size_t *ret_n)
{
	struct ir_claim *v;
	size_t n = 0;

	for (const struct ir_front *f = c->fronts; f; f = f->next) {
		n += f->n_addresses;
	}
	v = weir_ir_alloc(c, n, sizeof(*v));
	*ret_n = 0;
	for (const struct ir_front *f = c->fronts; v && f; f = f->next) {
		for (size_t i = 0; i < f->n_addresses; i++) {
			v[*ret_n] = (struct ir_claim){.addr = f->addresses[i],
						      .port_be = htons(f->port),
						      .proto = f->proto,
						      .order = (uint32_t)*ret_n,
						      .front = f};
			++*ret_n;
		}
	}
	return v;
}

/* A Gateway's listeners there serve nothing, so they must not say so. */
static void blame(struct ir *c, const struct ir_front *f, const char *why)
{
	for (const struct ir_listener *l = f->listeners; l; l = l->next) {
		if (l->verdict && !l->verdict->conflicted) {
			weir_ir_fault(c, &l->verdict->accepted,
				      "PortUnavailable", "spec.addresses: %s",
				      why);
		}
	}
	for (size_t i = 0; i < c->n_gateways; i++) {
		struct ir_gateway *g = &c->gateways[i];

		if (g->object == f->owner && g->verdict) {
			weir_ir_fault(c, &g->verdict->programmed,
				      "AddressNotUsable", "spec.addresses: %s",
				      why);
		}
	}
}

static void refuse(struct ir *c, const struct ir_claim *lost,
		   const struct ir_claim *kept)
{
	const struct ir_front *f = lost->front;
	const struct weir_object *owner = kept->front->owner;
	bool is_gateway = f->origin == WEIR_ORIGIN_GATEWAY;
	char where[WEIR_ADDR_TEXT_MAX];
	/* Names of objects have 253 bytes at most, namespaces 63. */
	char why[WEIR_ADDR_TEXT_MAX + 400];

	snprintf(why, sizeof(why), "%s belongs to %s %.*s/%.*s already",
		 weir_addr_format(&lost->addr, lost->port_be, where),
		 weir_kind_text(owner->kind), WEIR_STR_ARG(owner->ns),
		 WEIR_STR_ARG(owner->name));
	IR_DIAG(c, WEIR_DIAG_ERROR, f->owner,
		is_gateway ? "PortUnavailable" : "Conflicted",
		is_gateway ? WEIR_STR("spec.addresses")
			   : WEIR_STR("spec.clusterIP"),
		"%s", why);
	if (is_gateway) {
		blame(c, f, why);
	}
}

/* weir_frontend_is_proxied() of it, and no place is left. */
static bool is_beyond(const struct ir_claim *claim, uint32_t *n_proxied)
{
	const struct ir_front *f = claim->front;

	return !f->is_local && f->consumer_ns.n == 0 &&
	       ++*n_proxied > WEIR_PROXIED_MAX;
}

static void say_beyond(struct ir *c, const struct ir_claim *claim)
{
	const struct ir_front *f = claim->front;
	struct ir_scope before = weir_ir_enter(c, f->balancer, NULL);

	IR_DIAG(c, WEIR_DIAG_ERROR, f->owner, "LimitExceeded",
		WEIR_STR("spec.clusterIP"),
		"more than %u addresses with routes: this one is not taken",
		WEIR_PROXIED_MAX);
	c->scope = before;
}

void weir_ir_claims(struct ir *c)
{
	uint32_t n_proxied = 0;
	size_t n;
	struct ir_claim *v = collect(c, &n);
	size_t kept = 0;

	if (n > 1) {
		qsort(v, n, sizeof(*v), compare_claims);
	}
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && compare_place(&v[kept - 1], &v[i]) == 0) {
			refuse(c, &v[i], &v[kept - 1]);
		} else if (is_beyond(&v[i], &n_proxied)) {
			say_beyond(c, &v[i]);
		} else {
			v[kept++] = v[i];
		}
	}
	c->claims = v;
	c->n_claims = kept;
}
