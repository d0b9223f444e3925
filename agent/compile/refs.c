/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backendRefs: what they name, whether they may, and what share they keep.
 *
 * A reference that does not resolve keeps its share, which is answered 500 or
 * refused; nothing is renormalised.  A Knative Service, in either spelling,
 * stands for the splits of its KIngress rule: weight times percent.
 */
#include "ir.h"

#include <stdio.h>

#define SERVING_GROUP "serving.knative.dev"
#define PERCENT 100

struct build {
	struct ir *c;
	const struct ir_refs_request *q;
	struct ir_rule *rule;
	uint32_t cap; /* of rule->refs */
	size_t i;     /* the backendRef at hand */
	const struct weir_backend_ref *ref;
	struct ir_scope outer; /* for what is no matter of references */
	bool has_knative;
};

#define REF_FIELD(b, sub)                                                      \
	IR_FIELD("spec.rules[%zu].backendRefs[%zu]%s", (b)->q->number, (b)->i, \
		 (sub))
#define REF_DIAG(b, severity, reason, sub, ...)                                \
	IR_DIAG((b)->c, (severity), (b)->q->route, (reason),                   \
		REF_FIELD((b), (sub)), __VA_ARGS__)

static bool is_l7(const struct build *b)
{
	return b->q->use == IR_USE_HTTP || b->q->use == IR_USE_GRPC;
}

static uint8_t proto_of(enum ir_backend_use use)
{
	switch (use) {
	case IR_USE_HTTP:
		return WEIR_BACKEND_HTTP1;
	case IR_USE_GRPC:
		return WEIR_BACKEND_H2C;
	case IR_USE_TCP:
	case IR_USE_UDP:
	case IR_USE_TLS:
		break;
	}
	return WEIR_BACKEND_RAW;
}

static struct ir_ref *add_ref(struct build *b, uint8_t state)
{
	struct ir_rule *rule = b->rule;
	struct ir_ref *r;
	uint64_t key;

	if (rule->n_refs == b->cap) {
		uint32_t cap = b->cap * 2;
		struct ir_ref *v = weir_ir_alloc(b->c, cap, sizeof(*v));

		if (!v) {
			return NULL;
		}
		if (rule->n_refs) {
			memcpy(v, rule->refs, rule->n_refs * sizeof(*v));
		}
		rule->refs = v;
		b->cap = cap;
	}
	r = &rule->refs[rule->n_refs++];
	key = weir_str_hash(b->ref->name, rule->key + b->ref->port);
	if (b->ref->group.n || !weir_str_eq(b->ref->ns, b->q->route->ns)) {
		key = weir_str_hash(b->ref->ns, key + b->ref->group.n);
	}
	*r = (struct ir_ref){.key = key,
			     .weight = b->ref->weight,
			     .object = rule->object,
			     .state = state,
			     .proto = proto_of(b->q->use),
			     .index = (uint16_t)b->i};
	return r;
}

/* What becomes of the share of a reference that does not resolve. */
static const char *fate(const struct build *b)
{
	return is_l7(b) ? "gets 500" : "is refused";
}

/* service: NULL if the reference names something else. */
static struct ir_ref *add_invalid(struct build *b,
				  const struct ir_service *service)
{
	struct ir_ref *r = add_ref(b, WEIR_REF_INVALID);

	if (!r) {
		return NULL;
	}
	if (service) {
		r->object = service->object_id;
	} else {
		r->object = weir_ir_named(b->c, b->ref->kind, b->ref->ns,
					  b->ref->name);
	}
	return r;
}

static bool is_granted(const struct build *b)
{
	const struct weir_object_ref to = {.group = b->ref->group,
					   .kind = b->ref->kind,
					   .ns = b->ref->ns,
					   .name = b->ref->name};

	return b->q->is_mesh || weir_ir_is_granted(b->c, b->q->route, &to);
}

static void add_own_filters(struct build *b, struct ir_filters *out)
{
	struct ir_field field;
	struct ir_filter_request q = {
		.route = b->q->route,
		.filters = b->ref->filters,
		.n = b->ref->n_filters,
	};
	struct ir_scope before;

	if (q.n == 0) {
		return;
	}
	q.field = weir_ir_field(&field,
				"spec.rules[%zu].backendRefs[%zu].filters",
				b->q->number, b->i);
	/* A filter that is not served is no matter of references. */
	before = b->c->scope;
	b->c->scope = b->outer;
	weir_ir_filters(b->c, &q, out);
	b->c->scope = before;
	b->rule->needs_prefix |= out->needs_prefix;
}

/* ----------------------------------------------------------------- Knative */

/* The user's filters first: Knative's headers win. */
static struct ir_filters join_filters(struct ir *c, const struct ir_filters *a,
				      const struct ir_filters *b)
{
	struct ir_filters both = {.needs_prefix = a->needs_prefix};

	if (a->n == 0) {
		return *b;
	}
	both.v = weir_ir_alloc(c, a->n + b->n, sizeof(*both.v));
	if (!both.v) {
		return both;
	}
	both.n = a->n + b->n;
	memcpy(both.v, a->v, a->n * sizeof(*both.v));
	if (b->n) {
		memcpy(both.v + a->n, b->v, b->n * sizeof(*both.v));
	}
	return both;
}

/* object: what the user named; the group says which revision's Service. */
static void add_splits(struct build *b, const struct ir_splits *splits,
		       uint32_t object)
{
	struct ir_filters own = {0};

	add_own_filters(b, &own);
	for (uint32_t i = 0; i < splits->n; i++) {
		const struct ir_ref *split = &splits->v[i];
		struct ir_ref *r = add_ref(b, split->state);
		struct ir_ref copy = *split;

		if (!r) {
			return;
		}
		copy.key = weir_hash64(&split->key, sizeof(copy.key), r->key);
		/* Both factors are bounded: no overflow. */
		copy.weight *= b->ref->weight;
		copy.filters = join_filters(b->c, &own, &split->filters);
		copy.index = r->index;
		copy.object = object;
		copy.is_split = true;
		*r = copy;
		if (split->state == WEIR_REF_UNREADY) {
			REF_DIAG(b, WEIR_DIAG_WARNING, "Unready", "",
				 "%.*s has no Service with endpoints yet: its "
				 "share gets 503",
				 WEIR_STR_ARG(split->detail));
		} else if (split->is_bare) {
			REF_DIAG(b, WEIR_DIAG_WARNING, "NoEndpoints", "",
				 "%.*s has no EndpointSlice with its port: its "
				 "share gets 503",
				 WEIR_STR_ARG(split->detail));
		}
	}
}

/* A backendRef that stands for the splits of a KIngress rule. */
static void add_knative(struct build *b)
{
	const struct ir_king_host *host = weir_ir_king_host(b->c, b->ref->ns,
							    b->ref->name);
	const struct weir_king_path *path = NULL;
	struct ir_splits splits;
	struct ir_ref *r;

	if (host) {
		path = weir_ir_king_default_path(b->c, host, b->q->route,
						 REF_FIELD(b, ""));
	}
	if (!path) {
		REF_DIAG(b, WEIR_DIAG_WARNING, "Unready", "",
			 "Knative Service %.*s/%.*s has no KIngress rule for "
			 "host %.*s.%.*s.svc yet: its share gets 503",
			 WEIR_STR_ARG(b->ref->ns), WEIR_STR_ARG(b->ref->name),
			 WEIR_STR_ARG(b->ref->name), WEIR_STR_ARG(b->ref->ns));
		b->has_knative = true;
		r = add_ref(b, WEIR_REF_UNREADY);
		if (r) {
			r->object = weir_ir_named(b->c, b->ref->kind,
						  b->ref->ns, b->ref->name);
		}
		return;
	}
	if (b->q->is_dry) {
		return;
	}
	if (weir_ir_king_splits(b->c, host->ingress, path, &splits) < 0) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "InvalidValue", "",
			 "the splits of KIngress %.*s/%.*s do not make up "
			 "100 %%: its share gets 500",
			 WEIR_STR_ARG(b->ref->ns),
			 WEIR_STR_ARG(host->ingress->name));
		add_invalid(b, NULL);
		return;
	}
	b->has_knative = true;
	b->rule->flags |= WEIR_RULE_HOLD;
	add_splits(b, &splits,
		   weir_ir_named(b->c, b->ref->kind, b->ref->ns, b->ref->name));
}

static bool has_knative_route(struct ir *c, struct weir_str ns,
			      struct weir_str name)
{
	return weir_store_find(c->store, WEIR_KIND_KROUTE, ns, name) ||
	       weir_store_find(c->store, WEIR_KIND_KSERVICE, ns, name);
}

static void resolve_kservice(struct build *b)
{
	if (b->ref->port && b->ref->port != 80) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "BackendNotFound", ".port",
			 "port %u; a Knative Service is reached at port 80: "
			 "its share gets 500",
			 b->ref->port);
		add_invalid(b, NULL);
		return;
	}
	if (!has_knative_route(b->c, b->ref->ns, b->ref->name)) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "BackendNotFound", ".name",
			 "there is no Knative Service or Route %.*s/%.*s: its "
			 "share gets 500",
			 WEIR_STR_ARG(b->ref->ns), WEIR_STR_ARG(b->ref->name));
		add_invalid(b, NULL);
		return;
	}
	add_knative(b);
}

/* -------------------------------------------------------------------- core */

static bool is_protocol_served(struct build *b,
			       const struct weir_service_port *port)
{
	struct weir_str app = port->app_protocol;

	if (!is_l7(b) || !weir_str_is(app, "kubernetes.io/wss")) {
		return true;
	}
	REF_DIAG(b, WEIR_DIAG_ERROR, "UnsupportedProtocol", ".port",
		 "appProtocol \"%.*s\" of Service %.*s/%.*s says TLS, and no "
		 "BackendTLSPolicy says whom to trust: its share gets 500",
		 WEIR_STR_ARG(app), WEIR_STR_ARG(b->ref->ns),
		 WEIR_STR_ARG(b->ref->name));
	return false;
}

/* That none is ready passes by itself; that none can ever be does not. */
static void say_endpoints(struct build *b, const struct ir_service *service,
			  const struct weir_service_port *port)
{
	const char *kept = is_l7(b) ? "gets 503" : "is refused";

	if (service->slices == 0) {
		REF_DIAG(b, WEIR_DIAG_WARNING, "NoEndpoints", ".name",
			 "no EndpointSlice is labelled "
			 "kubernetes.io/service-name: %.*s in namespace %.*s: "
			 "its share %s",
			 WEIR_STR_ARG(b->ref->name), WEIR_STR_ARG(b->ref->ns),
			 kept);
	} else if (!weir_ir_has_slice_port(b->c, service, port)) {
		REF_DIAG(b, WEIR_DIAG_WARNING, "NoEndpoints", ".port",
			 "port %u of Service %.*s/%.*s is named \"%.*s\", and "
			 "no %.*s port of its EndpointSlices is: its share %s",
			 b->ref->port, WEIR_STR_ARG(b->ref->ns),
			 WEIR_STR_ARG(b->ref->name), WEIR_STR_ARG(port->name),
			 WEIR_STR_ARG(port->protocol), kept);
	}
}

static void add_group(struct build *b, struct ir_service *service,
		      const struct weir_service_port *port)
{
	const struct ir_tls_claim *claims = NULL;
	struct ir_policy *policy = NULL;
	struct ir_ref *r;

	if (is_l7(b) || b->q->use == IR_USE_TLS) {
		policy = weir_ir_policy_for(b->c, service->object, port,
					    &claims);
	}
	if ((policy && policy->is_bad) ||
	    (!policy && !is_protocol_served(b, port))) {
		r = add_invalid(b, service);
		if (r) {
			r->claims = claims;
		}
		return;
	}
	r = add_ref(b, WEIR_REF_OK);
	if (!r) {
		return;
	}
	r->object = service->object_id;
	r->claims = claims;
	r->tls = policy ? policy->place : 0;
	if (b->q->use == IR_USE_HTTP && weir_ir_port_is_h2c(port, false)) {
		r->proto = WEIR_BACKEND_H2C;
	}
	if (!b->q->is_dry) {
		r->group = weir_ir_group(b->c, service, port);
	}
	if (!r->group) {
		r->state = WEIR_REF_INVALID;
	}
	if (!r->group || r->group->n_endpoints == 0) {
		say_endpoints(b, service, port);
	}
	add_own_filters(b, &r->filters);
	if (service->object->service->has_client_affinity) {
		b->rule->flags |= WEIR_RULE_AFFINITY;
	}
}

static void say_ports(struct build *b, const struct weir_service_spec *spec,
		      const char *protocol)
{
	char have[64] = "";
	size_t n = 0;

	for (size_t i = 0; i < spec->n_ports && n + 8 < sizeof(have); i++) {
		if (weir_str_is(spec->ports[i].protocol, protocol)) {
			n += (size_t)snprintf(have + n, sizeof(have) - n,
					      "%s%u", n ? ", " : "; it has ",
					      spec->ports[i].port);
		}
	}
	REF_DIAG(b, WEIR_DIAG_ERROR, "BackendNotFound", ".port",
		 "Service %.*s/%.*s has no %s port %u%s: its share %s",
		 WEIR_STR_ARG(b->ref->ns), WEIR_STR_ARG(b->ref->name), protocol,
		 b->ref->port, have, fate(b));
}

static void resolve_service(struct build *b)
{
	struct ir_service *s = weir_ir_service(b->c, b->ref->ns, b->ref->name);
	const char *protocol = b->q->use == IR_USE_UDP ? "UDP" : "TCP";
	const struct weir_service_port *port;

	if (is_l7(b) && (!s || s->is_knative) && b->ref->port == 80 &&
	    ((s && s->is_knative) ||
	     has_knative_route(b->c, b->ref->ns, b->ref->name))) {
		add_knative(b);
		return;
	}
	if (!s) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "BackendNotFound", ".name",
			 "there is no Service %.*s/%.*s: its share %s",
			 WEIR_STR_ARG(b->ref->ns), WEIR_STR_ARG(b->ref->name),
			 fate(b));
		add_invalid(b, NULL);
		return;
	}
	if (weir_str_is(s->object->service->type, "ExternalName")) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "UnsupportedValue", ".name",
			 "Service %.*s/%.*s is an ExternalName, which is not "
			 "a backend (CVE-2021-25740): its share %s",
			 WEIR_STR_ARG(b->ref->ns), WEIR_STR_ARG(b->ref->name),
			 fate(b));
		add_invalid(b, s);
		return;
	}
	port = weir_ir_service_port(s->object, b->ref->port, protocol);
	if (!port) {
		say_ports(b, s->object->service, protocol);
		add_invalid(b, s);
		return;
	}
	add_group(b, s, port);
}

static void resolve(struct build *b)
{
	bool is_kservice = weir_str_is(b->ref->group, SERVING_GROUP);

	if ((b->ref->group.n && !is_kservice) ||
	    !weir_str_is(b->ref->kind, "Service") ||
	    (is_kservice && !is_l7(b))) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "InvalidKind", ".kind",
			 "\"%.*s/%.*s\" is no backend here; expected a "
			 "Service: its share %s",
			 WEIR_STR_ARG(b->ref->group),
			 WEIR_STR_ARG(b->ref->kind), fate(b));
		add_invalid(b, NULL);
		return;
	}
	if (!is_granted(b)) {
		REF_DIAG(b, WEIR_DIAG_ERROR, "RefNotPermitted", ".namespace",
			 "no ReferenceGrant in namespace %.*s lets %ss of "
			 "%.*s name it: its share %s",
			 WEIR_STR_ARG(b->ref->ns),
			 weir_kind_text(b->q->route->kind),
			 WEIR_STR_ARG(b->q->route->ns), fate(b));
		add_invalid(b, NULL);
		return;
	}
	if (is_kservice) {
		resolve_kservice(b);
	} else {
		resolve_service(b);
	}
}

/* Percents make the weights of splits a hundred times larger, so those beside
 * them must be too.  Two refs to the same thing are still two. */
static void finish(struct build *b)
{
	struct ir_rule *rule = b->rule;

	for (uint32_t i = 0; i < rule->n_refs; i++) {
		struct ir_ref *r = &rule->refs[i];

		if (b->has_knative && !r->is_split) {
			r->weight *= PERCENT;
		}
		for (uint32_t k = 0; k < i; k++) {
			if (rule->refs[k].key == r->key) {
				r->key = weir_hash64(&i, sizeof(i), r->key);
				break;
			}
		}
		rule->n_slots += r->weight > 0;
	}
}

void weir_ir_refs(struct ir *c, const struct ir_refs_request *request,
		  struct ir_rule *out)
{
	struct build b = {.c = c, .q = request, .rule = out};
	struct ir_scope before;

	b.cap = (uint32_t)request->rule->n_backends;
	out->refs = weir_ir_alloc(c, b.cap, sizeof(*out->refs));
	if (!out->refs) {
		return;
	}
	before = weir_ir_enter(c, request->fault, weir_ir_ref_reasons);
	b.outer = before;
	for (; b.i < request->rule->n_backends; b.i++) {
		struct weir_backend_ref ref = request->rule->backends[b.i];

		b.ref = &ref;
		if (ref.weight > IR_WEIGHT_MAX) {
			REF_DIAG(&b, WEIR_DIAG_WARNING, "InvalidValue",
				 ".weight",
				 "%u is taken for %u, the most that "
				 "is allowed",
				 ref.weight, IR_WEIGHT_MAX);
			ref.weight = IR_WEIGHT_MAX;
		}
		resolve(&b);
	}
	c->scope = before;
	finish(&b);
}
