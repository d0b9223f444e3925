/* SPDX-License-Identifier: Apache-2.0 */
#include "refs.h"

#include <stdio.h>

#define SERVING_GROUP "serving.knative.dev"

struct visit {
	const struct weir_object *object;
	weir_ref_fn fn;
	void *arg;
};

static void tell(const struct visit *v, enum weir_kind kind, struct weir_str ns,
		 struct weir_str name)
{
	if (name.n) {
		v->fn(v->arg, kind, ns.n ? ns : v->object->ns, name);
	}
}

static void object_ref(const struct visit *v, const struct weir_object_ref *ref)
{
	if (ref->group.n) {
		return;
	}
	if (weir_str_is(ref->kind, "Secret")) {
		tell(v, WEIR_KIND_SECRET, ref->ns, ref->name);
	} else if (weir_str_is(ref->kind, "ConfigMap")) {
		tell(v, WEIR_KIND_CONFIG_MAP, ref->ns, ref->name);
	}
}

static void object_refs(const struct visit *v,
			const struct weir_object_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++) {
		object_ref(v, &refs->v[i]);
	}
}

/* A Service whose endpoints are asked for. */
static void service(const struct visit *v, struct weir_str ns,
		    struct weir_str name)
{
	tell(v, WEIR_KIND_ENDPOINT_SLICE, ns, name);
	tell(v, WEIR_KIND_SERVICE, ns, name);
}

/* A Knative Service's placeholder is a Service of its name. */
static void backend(const struct visit *v, struct weir_str group,
		    struct weir_str kind, struct weir_str ns,
		    struct weir_str name)
{
	if (weir_str_is(kind, "Service") &&
	    (group.n == 0 || weir_str_is(group, SERVING_GROUP))) {
		service(v, ns, name);
	}
}

static void filters(const struct visit *v, const struct weir_mfilter *f,
		    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct weir_mirror *m = f[i].mirror;

		if (m) {
			backend(v, m->group, m->kind, m->ns, m->name);
		}
	}
}

static void route(const struct visit *v, const struct weir_route_spec *spec)
{
	for (size_t i = 0; i < spec->n_parents; i++) {
		const struct weir_parent_ref *p = &spec->parents[i];

		backend(v, p->group, p->kind, p->ns, p->name);
		/* For clients of its own namespace: who are they? */
		if (p->group.n == 0 && weir_str_is(p->kind, "Service") &&
		    !weir_str_eq(p->ns, v->object->ns)) {
			v->fn(v->arg, WEIR_KIND_POD, v->object->ns,
			      WEIR_STR(""));
		}
	}
	for (size_t i = 0; i < spec->n_rules; i++) {
		const struct weir_route_rule *rule = &spec->rules[i];

		filters(v, rule->filters, rule->n_filters);
		for (size_t k = 0; k < rule->n_backends; k++) {
			const struct weir_backend_ref *b = &rule->backends[k];

			backend(v, b->group, b->kind, b->ns, b->name);
			filters(v, b->filters, b->n_filters);
		}
	}
}

static void listeners(const struct visit *v, const struct weir_listener_spec *l,
		      size_t n)
{
	for (size_t i = 0; i < n; i++) {
		object_refs(v, &l[i].certificates);
	}
}

static void gateway(const struct visit *v, const struct weir_gateway_spec *spec)
{
	char name[sizeof(WEIR_GATEWAY_SERVICE) + WEIR_GATEWAY_NAME_MAX];
	struct weir_str gateway = v->object->name;

	/* Of a class whose Gateways have a Service, or of this one's
	 * infrastructure; nobody else has the name. */
	if (gateway.n <= WEIR_GATEWAY_NAME_MAX &&
	    (spec->n_addresses == 0 || weir_gateway_has_infra(spec))) {
		service(v, v->object->ns,
			(struct weir_str){
				name,
				(size_t)snprintf(name, sizeof(name),
						 "%.*s" WEIR_GATEWAY_SERVICE,
						 WEIR_STR_ARG(gateway))});
	}
	listeners(v, spec->listeners, spec->n_listeners);
	if (spec->has_parameters) {
		object_ref(v, &spec->parameters);
	}
	for (size_t i = 0; i < spec->n_validations; i++) {
		object_refs(v, &spec->validations[i].cas);
	}
	if (spec->has_backend_cert) {
		object_ref(v, &spec->backend_cert);
	}
}

/* Placeholders of tags are named by the hosts alone.  Only their addresses
 * matter. */
static void placeholders(const struct visit *v,
			 const struct weir_king_rule *rule)
{
	for (size_t i = 0; rule->is_cluster_local && i < rule->hosts.n; i++) {
		struct weir_str host = rule->hosts.v[i];
		ptrdiff_t dot = weir_str_find(host, '.');

		if (dot > 0) {
			tell(v, WEIR_KIND_SERVICE, v->object->ns,
			     (struct weir_str){host.p, (size_t)dot});
		}
	}
}

/* The Service of a revision's pods (serving names.PrivateService; longer names
 * become hashes, and are left to the activator). */
static void pods(const struct visit *v, const struct weir_king_split *split)
{
	char name[64];

	if (split->service.n + sizeof(WEIR_KNATIVE_PODS) > sizeof(name)) {
		return;
	}
	memcpy(name, split->service.p, split->service.n);
	memcpy(name + split->service.n, WEIR_KNATIVE_PODS,
	       sizeof(WEIR_KNATIVE_PODS) - 1);
	service(v, split->service_ns,
		(struct weir_str){name, split->service.n +
						sizeof(WEIR_KNATIVE_PODS) - 1});
	tell(v, WEIR_KIND_REVISION_POD, split->service_ns, split->service);
}

static void kingress(const struct visit *v, const struct weir_king_spec *spec)
{
	for (size_t i = 0; i < spec->n_rules; i++) {
		const struct weir_king_rule *rule = &spec->rules[i];

		placeholders(v, rule);
		for (size_t k = 0; k < rule->n_paths; k++) {
			const struct weir_king_path *path = &rule->paths[k];

			for (size_t s = 0; s < path->n_splits; s++) {
				service(v, path->splits[s].service_ns,
					path->splits[s].service);
				pods(v, &path->splits[s]);
			}
		}
	}
	for (size_t i = 0; i < spec->n_tls; i++) {
		tell(v, WEIR_KIND_SECRET, spec->tls[i].secret_ns,
		     spec->tls[i].secret);
	}
	service(v, WEIR_STR(WEIR_SERVING_NS), WEIR_STR(WEIR_SERVING_ACTIVATOR));
	service(v, WEIR_STR(WEIR_SERVING_NS),
		WEIR_STR(WEIR_SERVING_AUTOSCALER));
	/* The placeholder, whose address is taken, and the gateways. */
	tell(v, WEIR_KIND_SERVICE, v->object->ns, v->object->name);
	service(v, WEIR_STR(WEIR_KNATIVE_NS), WEIR_STR(WEIR_KNATIVE_PUBLIC));
	service(v, WEIR_STR(WEIR_KNATIVE_NS), WEIR_STR(WEIR_KNATIVE_PRIVATE));
}

void weir_kube_refs(const struct weir_object *object, weir_ref_fn fn, void *arg)
{
	const struct visit v = {object, fn, arg};

	if (!object->spec) {
		return;
	}
	switch (object->kind) {
	case WEIR_KIND_GATEWAY_CLASS:
		if (object->gateway_class->has_parameters) {
			object_ref(&v, &object->gateway_class->parameters);
		}
		break;
	case WEIR_KIND_GATEWAY:
		gateway(&v, object->gateway);
		break;
	case WEIR_KIND_LISTENER_SET:
		listeners(&v, object->listener_set->listeners,
			  object->listener_set->n_listeners);
		break;
	case WEIR_KIND_BACKEND_TLS_POLICY:
		object_refs(&v, &object->backend_tls->cas);
		break;
	case WEIR_KIND_HTTP_ROUTE:
	case WEIR_KIND_GRPC_ROUTE:
	case WEIR_KIND_TLS_ROUTE:
	case WEIR_KIND_TCP_ROUTE:
	case WEIR_KIND_UDP_ROUTE:
		route(&v, object->route);
		break;
	case WEIR_KIND_KINGRESS:
		kingress(&v, object->kingress);
		break;
	default:
		break;
	}
}
