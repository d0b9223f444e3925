/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes to listeners: parentRefs narrowed by section and port, then by what
 * the listener allows, then by hostname (Gateway API v1.7, ParentReference,
 * AllowedRoutes and the hostname rules of HTTPRoute).
 */
#include "ir.h"

#include <stdlib.h>

#define GATEWAY_GROUP "gateway.networking.k8s.io"
#define NAMESPACE_LABEL "kubernetes.io/metadata.name"

/* "*.x" covers what ends in ".x" and has something before it. */
static bool covers(struct weir_str wild, struct weir_str name)
{
	struct weir_str tail;

	if (wild.n == 0) {
		return true;
	}
	if (wild.p[0] != '*') {
		return false;
	}
	tail = weir_str_skip(wild, 1);
	return name.n > tail.n && weir_str_ends(name, tail);
}

bool weir_ir_intersect(struct weir_str listener, struct weir_str route,
		       struct weir_str *ret_both)
{
	if (weir_str_eq(listener, route) || covers(listener, route)) {
		*ret_both = route;
		return true;
	}
	if (covers(route, listener)) {
		*ret_both = listener;
		return true;
	}
	return false;
}

struct ir_vhost *weir_ir_new_vhost(struct ir *c, struct ir_listener *listener,
				   struct weir_str hostname)
{
	struct ir_vhost *v = weir_ir_alloc(c, 1, sizeof(*v));

	if (!v) {
		return NULL;
	}
	v->hostname = hostname;
	v->listener = listener->id;
	v->tail = &v->entries;
	v->next = listener->vhosts;
	listener->vhosts = v;
	listener->n_vhosts++;
	return v;
}

struct ir_vhost *weir_ir_vhost(struct ir *c, struct ir_listener *listener,
			       struct weir_str hostname)
{
	uint64_t key = weir_str_hash(hostname, listener->id);
	struct ir_vhost *first = weir_ir_get(&c->vhosts, key);
	struct ir_vhost *v = first;

	while (v && (v->listener != listener->id ||
		     !weir_str_eq(v->hostname, hostname))) {
		v = v->next_hash;
	}
	if (v) {
		return v;
	}
	v = weir_ir_new_vhost(c, listener, hostname);
	if (!v) {
		return NULL;
	}
	v->next_hash = first;
	weir_ir_put(c, &c->vhosts, key, v);
	return v;
}

/* Every namespace bears its own name as a label: the API server sees to that,
 * and a directory of manifests need not say it. */
bool weir_ir_selects(struct ir *c, const struct weir_selector *selector,
		     struct weir_str ns)
{
	const struct weir_object *object = weir_store_find(
		c->store, WEIR_KIND_NAMESPACE, WEIR_STR(""), ns);
	struct weir_pairs own = object ? object->labels
				       : (struct weir_pairs){0};
	struct weir_pair *v = weir_ir_alloc(c, own.n + 1, sizeof(*v));

	if (!v) {
		return false;
	}
	v[0] = (struct weir_pair){WEIR_STR(NAMESPACE_LABEL), ns};
	if (own.n) {
		memcpy(v + 1, own.v, own.n * sizeof(*v));
	}
	return weir_selector_matches(selector,
				     (struct weir_pairs){v, own.n + 1});
}

static bool allows_namespace(struct ir *c, const struct weir_listener_spec *l,
			     struct weir_str gateway_ns, struct weir_str ns)
{
	switch (l->from) {
	case WEIR_FROM_SAME:
		return weir_str_eq(gateway_ns, ns);
	case WEIR_FROM_ALL:
		return true;
	case WEIR_FROM_SELECTOR:
		return weir_ir_selects(c, &l->selector, ns);
	case WEIR_FROM_NONE:
		break;
	}
	return false;
}

static bool shares_hostname(const struct ir_listener *l,
			    const struct weir_route_spec *route)
{
	struct weir_str both;

	if (l->hostname.n == 0 || route->hostnames.n == 0 ||
	    l->protocol == IR_PROTOCOL_TCP || l->protocol == IR_PROTOCOL_UDP) {
		return true;
	}
	for (size_t i = 0; i < route->hostnames.n; i++) {
		if (weir_ir_intersect(l->hostname, route->hostnames.v[i],
				      &both)) {
			return true;
		}
	}
	return false;
}

/* How far a parentRef got at any of the listeners. */
enum outcome { NO_LISTENER, NOT_ALLOWED, NO_HOSTNAME, ATTACHED };

static enum outcome try_listener(struct ir *c, const struct ir_route *route,
				 const struct weir_parent_ref *parent,
				 const struct ir_gateway *g,
				 const struct ir_listener *l)
{
	if ((parent->section.n && !weir_str_eq(parent->section, l->name)) ||
	    (parent->port && parent->port != l->port)) {
		return NO_LISTENER;
	}
	if (!(l->kinds & 1u << route->object->kind) ||
	    !allows_namespace(c, l->spec, g->object->ns, route->object->ns)) {
		return NOT_ALLOWED;
	}
	if (!shares_hostname(l, route->object->route)) {
		return NO_HOSTNAME;
	}
	return ATTACHED;
}

/* A Gateway's listeners, or a ListenerSet's; neither sees the other's. */
static void say_no_listener(struct ir *c, const struct weir_object *route,
			    const struct weir_parent_ref *parent, size_t number,
			    const struct ir_gateway *g)
{
	struct ir_field want = {{0}};
	struct ir_field have = {{0}};

	if (parent->section.n && parent->port) {
		weir_ir_field(&want, "named \"%.*s\" on port %u",
			      WEIR_STR_ARG(parent->section), parent->port);
	} else if (parent->port) {
		weir_ir_field(&want, "on port %u", parent->port);
	} else {
		weir_ir_field(&want, "named \"%.*s\"",
			      WEIR_STR_ARG(parent->section));
	}
	/* A few names show a typo. */
	for (size_t i = 0; i < g->n_listeners && i < 4; i++) {
		struct ir_field before = have;

		weir_ir_field(&have, "%s%s\"%.*s\" (%u)", before.text,
			      i ? ", " : "", WEIR_STR_ARG(g->listeners[i].name),
			      g->listeners[i].port);
	}
	IR_DIAG(c, WEIR_DIAG_ERROR, route, "NoMatchingParent",
		IR_FIELD("spec.parentRefs[%zu]", number),
		"%s %.*s/%.*s has no listener %s; expected one of %s%s",
		weir_kind_text(g->object->kind), WEIR_STR_ARG(parent->ns),
		WEIR_STR_ARG(parent->name), want.text, have.text,
		g->n_listeners > 4 ? ", ..." : "");
}

static void say_outcome(struct ir *c, const struct weir_object *route,
			const struct weir_parent_ref *parent, size_t number,
			const struct ir_gateway *g, enum outcome outcome)
{
	switch (outcome) {
	case NO_LISTENER:
		say_no_listener(c, route, parent, number, g);
		break;
	case NOT_ALLOWED:
		IR_DIAG(c, WEIR_DIAG_ERROR, route, "NotAllowedByListeners",
			IR_FIELD("spec.parentRefs[%zu]", number),
			"no listener of %s %.*s/%.*s allows %ss of "
			"namespace %.*s",
			weir_kind_text(g->object->kind),
			WEIR_STR_ARG(parent->ns), WEIR_STR_ARG(parent->name),
			weir_kind_text(route->kind), WEIR_STR_ARG(route->ns));
		break;
	case NO_HOSTNAME:
		IR_DIAG(c, WEIR_DIAG_ERROR, route, "NoMatchingListenerHostname",
			IR_FIELD("spec.parentRefs[%zu]", number),
			"no hostname in common with the listeners of %s "
			"%.*s/%.*s",
			weir_kind_text(g->object->kind),
			WEIR_STR_ARG(parent->ns), WEIR_STR_ARG(parent->name));
		break;
	case ATTACHED:
		break;
	}
}

static bool is_set(const struct weir_parent_ref *p)
{
	return weir_str_is(p->kind, "ListenerSet") &&
	       weir_str_is(p->group, GATEWAY_GROUP);
}

static void attach_gateway(struct ir *c, struct ir_route *route, size_t number,
			   ir_attach_fn fn, void *arg)
{
	const struct weir_parent_ref *parent =
		&route->object->route->parents[number];
	enum weir_kind kind = is_set(parent) ? WEIR_KIND_LISTENER_SET
					     : WEIR_KIND_GATEWAY;
	struct ir_gateway *g =
		kind == WEIR_KIND_GATEWAY
			? weir_ir_find_gateway(c, parent->ns, parent->name)
			: weir_ir_find_set(c, parent->ns, parent->name);
	struct weir_parent_verdict *verdict;
	enum outcome best = NO_LISTENER;
	struct ir_scope before;

	if (!g) {
		/* One that is there but not ours has its own controller. */
		if (!weir_store_find(c->store, kind, parent->ns,
				     parent->name)) {
			IR_DIAG(c, WEIR_DIAG_WARNING, route->object,
				"NoMatchingParent",
				IR_FIELD("spec.parentRefs[%zu]", number),
				"there is no %s %.*s/%.*s",
				weir_kind_text(kind), WEIR_STR_ARG(parent->ns),
				WEIR_STR_ARG(parent->name));
		}
		return;
	}
	route->is_seen = true;
	verdict = weir_ir_parent_verdict(c, route->verdict, route->object,
					 number);
	if (!verdict) {
		return;
	}
	for (size_t i = 0; i < g->n_listeners; i++) {
		struct ir_listener *l = &g->listeners[i];
		enum outcome got = try_listener(c, route, parent, g, l);

		best = got > best ? got : best;
		if (got != ATTACHED || l->attached == route->id) {
			continue;
		}
		/* Whether the listener works does not matter to the count
		 * (ListenerStatus.attachedRoutes). */
		l->attached = route->id;
		l->verdict->n_attached++;
		if (!l->is_conflicted && !l->is_closed && !g->is_refused) {
			fn(c, route, arg, l);
		}
	}
	before = weir_ir_enter(c, &verdict->accepted, NULL);
	say_outcome(c, route->object, parent, number, g, best);
	c->scope = before;
}

/* Other groups have controllers of their own; in these two a kind that nobody
 * serves is a slip. */
static void say_no_parent(struct ir *c, const struct weir_object *route,
			  const struct weir_parent_ref *p, size_t number)
{
	if (p->group.n == 0 || weir_str_is(p->group, GATEWAY_GROUP)) {
		IR_DIAG(c, WEIR_DIAG_WARNING, route, "NoMatchingParent",
			IR_FIELD("spec.parentRefs[%zu].kind", number),
			"\"%.*s/%.*s\" is no parent here; expected a Gateway "
			"or ListenerSet (group " GATEWAY_GROUP "), or a "
			"Service (group \"\")",
			WEIR_STR_ARG(p->group), WEIR_STR_ARG(p->kind));
	}
}

static bool is_gateway(const struct weir_parent_ref *p)
{
	return is_set(p) || (weir_str_is(p->kind, "Gateway") &&
			     weir_str_is(p->group, GATEWAY_GROUP));
}

void weir_ir_attach(struct ir *c, struct ir_route *route, ir_attach_fn fn,
		    void *arg)
{
	const struct weir_route_spec *spec = route->object->route;

	route->verdict = weir_ir_route_verdict(c, route->object);
	if (!route->verdict) {
		return;
	}
	if (spec->n_parents == 0) {
		IR_DIAG(c, WEIR_DIAG_WARNING, route->object, "NoMatchingParent",
			WEIR_STR("spec.parentRefs"),
			"missing; expected a Gateway or a Service: nothing "
			"leads to this route");
	}

	for (size_t i = 0; i < spec->n_parents; i++) {
		if (is_gateway(&spec->parents[i])) {
			attach_gateway(c, route, i, fn, arg);
		}
	}
	/* Services come second: what is wrong with a backend is said for the
	 * stricter parent. */
	for (size_t i = 0; i < spec->n_parents; i++) {
		const struct weir_parent_ref *p = &spec->parents[i];

		if (weir_str_is(p->kind, "Service") && p->group.n == 0) {
			weir_ir_mesh_attach(c, route, i, fn, arg);
		} else if (!is_gateway(p)) {
			say_no_parent(c, route->object, p, i);
		}
	}
}

struct aged {
	int64_t created;
	uint32_t at;
};

static int compare_aged(const void *a, const void *b)
{
	const struct aged *x = a;
	const struct aged *y = b;

	if (x->created != y->created) {
		return x->created < y->created ? -1 : 1;
	}
	return (x->at > y->at) - (x->at < y->at);
}

/* The list is in (namespace, name) order already.  An unknown age (manifests)
 * counts as the youngest. */
const uint32_t *weir_ir_ranks(struct ir *c, const struct weir_object *const *v,
			      size_t n)
{
	uint32_t *ranks = weir_ir_alloc(c, n, sizeof(*ranks));
	struct aged *aged = weir_ir_alloc(c, n, sizeof(*aged));
	bool is_sorted = true;

	if (!ranks || !aged) {
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		aged[i].created = v[i]->created_s ? v[i]->created_s : INT64_MAX;
		aged[i].at = (uint32_t)i;
		is_sorted = is_sorted &&
			    (i == 0 || aged[i - 1].created <= aged[i].created);
	}
	if (!is_sorted) {
		qsort(aged, n, sizeof(*aged), compare_aged);
	}
	for (size_t i = 0; i < n; i++) {
		ranks[aged[i].at] = (uint32_t)i;
	}
	return ranks;
}
