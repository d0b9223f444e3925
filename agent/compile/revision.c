// SPDX-License-Identifier: Apache-2.0
/*
 * Revisions of Knative that weir may wake by itself, in place of Serving's
 * activator: those whose pods take any number of requests.  A limit of a pod
 * (containerConcurrency) would have to be shared with the agents of all other
 * nodes: such a revision is left to the activator, as is one whose queue-proxy
 * does not know when it is ready.
 */
#include "revision.h"

#define ACTIVATION "weir.dev/activation"
#define NOT_LOOKED_AT 0
#define LEFT_ALONE UINT32_MAX

static bool is_left_to_activator(struct ir *c,
				 const struct weir_object *ingress)
{
	struct weir_str v = weir_pairs_get(ingress->annotations, ACTIVATION);

	if (!v.p || weir_str_is(v, "local")) {
		return false;
	}
	if (!weir_str_is(v, "activator")) {
		IR_DIAG(c, WEIR_DIAG_WARNING, ingress, "InvalidValue",
			WEIR_STR("metadata.annotations[" ACTIVATION "]"),
			"\"%.*s\" is ignored; expected \"local\" or "
			"\"activator\"",
			WEIR_STR_ARG(v));
		return false;
	}
	return true;
}

/* Where reports go: any autoscaler, which tells the one in charge. */
static const struct ir_group *find_autoscaler(struct ir *c)
{
	struct ir_service *s = weir_ir_service(
		c, WEIR_STR(WEIR_SERVING_NS),
		WEIR_STR(WEIR_SERVING_AUTOSCALER));
	const struct weir_service_spec *spec = s ? s->object->service : NULL;

	for (size_t i = 0; spec && i < spec->n_ports; i++) {
		/* autoscaler/statforwarder/forwarder.go: the port's name. */
		if (weir_str_is(spec->ports[i].name, "http") &&
		    weir_str_is(spec->ports[i].protocol, "TCP")) {
			return weir_ir_group(c, s, &spec->ports[i]);
		}
	}
	return NULL;
}

static const struct ir_group *find_pods(struct ir *c,
					const struct ir_service *public,
					const struct weir_service_port *port)
{
	struct weir_str name = weir_arena_printf(&c->arena,
						 "%.*s" WEIR_KNATIVE_PODS,
						 WEIR_STR_ARG(public->name));
	struct ir_service *s = weir_ir_service(c, public->object->ns, name);
	const struct weir_service_spec *spec = s ? s->object->service : NULL;

	for (size_t i = 0; spec && i < spec->n_ports; i++) {
		/* The public port's number differs for HTTP/2, its name does
		 * not (serving serverlessservice/resources/services.go). */
		if (weir_str_eq(spec->ports[i].name, port->name) &&
		    weir_str_eq(spec->ports[i].protocol, port->protocol)) {
			return weir_ir_pods(c, s, &spec->ports[i]);
		}
	}
	return NULL;
}

static const struct weir_object *find_revision(const struct ir *c,
					       const struct ir_service *service)
{
	const struct weir_object *o = weir_store_find(
		c->store, WEIR_KIND_KREVISION, service->object->ns,
		service->name);

	return o && o->revision ? o : NULL;
}

uint32_t weir_ir_concurrency(struct ir *c, const struct ir_service *service)
{
	const struct weir_object *o = find_revision(c, service);

	return o ? o->revision->concurrency : 0;
}

static uint32_t look_at(struct ir *c, const struct weir_object *ingress,
			const struct ir_service *service,
			const struct weir_service_port *port)
{
	const struct weir_object *o = find_revision(c, service);
	const struct ir_group *pods;
	struct ir_revision *r;

	if (!o || o->revision->concurrency || o->revision->has_kubelet_probe ||
	    weir_str_is(port->name, "https") ||
	    is_left_to_activator(c, ingress)) {
		return LEFT_ALONE;
	}
	pods = find_pods(c, service, port);
	if (pods && !c->autoscaler) {
		c->autoscaler = find_autoscaler(c);
	}
	if (!pods || !c->autoscaler) {
		return LEFT_ALONE;
	}
	r = weir_ir_alloc(c, 1, sizeof(*r));
	if (!r) {
		return LEFT_ALONE;
	}
	*r = (struct ir_revision){.ns = o->ns,
				  .name = o->name,
				  .pods = pods,
				  .program_port = o->revision->program_port};
	if (c->last_revision) {
		c->last_revision->next = r;
	} else {
		c->revisions = r;
	}
	c->last_revision = r;
	return ++c->n_revisions;
}

uint32_t weir_ir_revision(struct ir *c, const struct weir_object *ingress,
			  struct ir_service *service,
			  const struct weir_service_port *port)
{
	if (service->revision == NOT_LOOKED_AT) {
		service->revision = look_at(c, ingress, service, port);
	}
	return service->revision == LEFT_ALONE ? 0 : service->revision;
}
