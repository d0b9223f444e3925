/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services, their ports and endpoints, each looked at once per compilation.
 */
#include "ir.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "addr.h"

#define SERVING_GROUP "serving.knative.dev"

/* Knative's placeholder of a Route or of one of its tags (serving
 * route/resources/service.go): labelled with the Route and owned by it. */
static bool is_placeholder(const struct weir_object *service)
{
	for (size_t i = 0; i < service->n_owners; i++) {
		if (weir_str_is(service->owners[i].kind, "Route") &&
		    weir_str_is(service->owners[i].group, SERVING_GROUP)) {
			return true;
		}
	}
	/* A revision's Services may bear its labels. */
	return service->labels.n &&
	       weir_pairs_get(service->labels, WEIR_ROUTE_LABEL).n != 0 &&
	       weir_pairs_get(service->labels, WEIR_SKS_LABEL).n == 0;
}

static uint64_t service_hash(struct weir_str ns, struct weir_str name)
{
	return weir_str_hash(name, weir_str_hash(ns, 0));
}

/* Names are the users': equal hashes are not equal Services. */
static size_t find_place(const struct ir *c, uint64_t hash, struct weir_str ns,
			 struct weir_str name)
{
	size_t i = (size_t)hash & (c->n_places - 1);

	while (c->service_places[i]) {
		const struct ir_service *s =
			&c->services[c->service_places[i] - 1];

		if (s->hash == hash && weir_str_eq(s->name, name) &&
		    weir_str_eq(s->object->ns, ns)) {
			break;
		}
		i = (i + 1) & (c->n_places - 1);
	}
	return i;
}

static struct ir_service *find_service(const struct ir *c, struct weir_str ns,
				       struct weir_str name)
{
	size_t at;
	uint32_t i;

	if (c->error) {
		return NULL; /* the tables may be missing */
	}
	at = find_place(c, service_hash(ns, name), ns, name);
	i = c->service_places[at];
	return i ? &c->services[i - 1] : NULL;
}

/* Objects lie all over the heap: waiting for them one by one would be most of
 * the work.  The object first, then what it points to. */
static void fetch_ahead(const struct weir_object *const *v, size_t n, size_t i)
{
	if (i + 16 < n) {
		__builtin_prefetch(v[i + 16]);
		__builtin_prefetch(v[i + 8]->name.p);
		__builtin_prefetch(v[i + 8]->spec);
	}
}

static void say_orphan(struct ir *c, const struct weir_object *slice)
{
	if (c->error) {
		return; /* nothing was found */
	}
	IR_DIAG(c, WEIR_DIAG_WARNING, slice, "ServiceNotFound",
		WEIR_STR("metadata.labels[kubernetes.io/service-name]"),
		"there is no Service %.*s/%.*s: the slice is not used",
		WEIR_STR_ARG(slice->ns), WEIR_STR_ARG(slice->slice->service));
}

/* A join over two tables instead of a search per Service. */
static void join_slices(struct ir *c)
{
	size_t n;

	c->slices = weir_store_list(c->store, WEIR_KIND_ENDPOINT_SLICE, &n);
	c->slice_next = weir_ir_alloc(c, n, sizeof(*c->slice_next));
	for (size_t i = 0; c->slice_next && i < n; i++) {
		const struct weir_object *o = c->slices[i];
		struct ir_service *s;

		fetch_ahead(c->slices, n, i);

		if (!o->slice || o->slice->service.n == 0) {
			continue;
		}
		s = find_service(c, o->ns, o->slice->service);
		if (s) {
			c->slice_next[i] = s->slices;
			s->slices = (uint32_t)i + 1;
		} else {
			say_orphan(c, o);
		}
	}
}

/* Of one KIngress: those that it names, as they are asked for. */
static void begin_few(struct ir *c)
{
	const struct weir_king_spec *spec = c->only->kingress;
	size_t n = 8; /* the gateways, the autoscaler, the activator */
	size_t n_slices;

	for (size_t i = 0; i < spec->n_rules; i++) {
		n += spec->rules[i].hosts.n;
		for (size_t k = 0; k < spec->rules[i].n_paths; k++) {
			n += 2 * spec->rules[i].paths[k].n_splits;
		}
	}
	c->n_places = 4;
	while (c->n_places < n * 2) {
		c->n_places *= 2;
	}
	c->services_left = n;
	c->services = weir_ir_alloc(c, n, sizeof(*c->services));
	c->service_places = weir_ir_alloc(c, c->n_places,
					  sizeof(*c->service_places));
	c->slices = weir_store_all_slices(c->store, &n_slices);
	c->slice_next = weir_ir_alloc(c, n_slices, sizeof(*c->slice_next));
}

static struct ir_service *load_service(struct ir *c, struct weir_str ns,
				       struct weir_str name)
{
	const struct weir_object *o = weir_store_find(
		c->store, WEIR_KIND_SERVICE, ns, name);
	const struct weir_object *const *v;
	struct ir_service *s = c->services;
	size_t n;

	if (c->error || !s || !o || !o->service) {
		return NULL;
	}
	if (c->services_left == 0) {
		c->error = -EAGAIN; /* a full compilation finds its way */
		return NULL;
	}
	while (s->object) {
		s++;
	}
	c->services_left--;
	s->object = o;
	s->name = o->name;
	s->hash = service_hash(ns, name);
	c->service_places[find_place(c, s->hash, ns, name)] =
		(uint32_t)(s - c->services) + 1;
	v = weir_store_slices(c->store, ns, name, &n);
	for (size_t i = 0; i < n; i++) {
		size_t at = (size_t)(v - c->slices) + i;

		c->slice_next[at] = s->slices;
		s->slices = (uint32_t)at + 1;
	}
	return s;
}

void weir_ir_services(struct ir *c)
{
	const struct weir_object *const *v;
	size_t n;

	if (c->only) {
		begin_few(c);
		weir_ir_activators(c);
		return;
	}
	v = weir_store_list(c->store, WEIR_KIND_SERVICE, &n);
	c->n_places = 4;
	while (c->n_places < n * 2) {
		c->n_places *= 2;
	}
	c->services = weir_ir_alloc(c, n, sizeof(*c->services));
	c->service_places = weir_ir_alloc(c, c->n_places,
					  sizeof(*c->service_places));
	if (!c->services || !c->service_places) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct ir_service *s = &c->services[i];
		size_t at;

		fetch_ahead(v, n, i);

		if (!v[i]->service) {
			continue;
		}
		s->object = v[i];
		s->name = v[i]->name;
		s->hash = service_hash(v[i]->ns, v[i]->name);
		at = find_place(c, s->hash, v[i]->ns, v[i]->name);
		c->service_places[at] = (uint32_t)i + 1;
	}
	join_slices(c);
	weir_ir_activators(c);
}

struct ir_service *weir_ir_service(struct ir *c, struct weir_str ns,
				   struct weir_str name)
{
	struct ir_service *s = find_service(c, ns, name);

	if (!s && c->only) {
		s = load_service(c, ns, name);
	}
	if (s && !s->is_known) {
		s->is_known = true;
		s->object_id = weir_ir_new_object(c, s->object);
		s->is_knative = is_placeholder(s->object);
	}
	return s;
}

const struct weir_service_spec *weir_ir_service_spec(const struct ir *c,
						     struct weir_str ns,
						     struct weir_str name)
{
	const struct ir_service *s = find_service(c, ns, name);

	return s ? s->object->service : NULL;
}

const struct weir_service_port *
weir_ir_service_port(const struct weir_object *service, uint32_t port,
		     const char *protocol)
{
	const struct weir_service_spec *spec = service->service;

	for (size_t i = 0; i < spec->n_ports; i++) {
		if (spec->ports[i].port == port &&
		    weir_str_is(spec->ports[i].protocol, protocol)) {
			return &spec->ports[i];
		}
	}
	return NULL;
}

bool weir_ir_port_is_h2c(const struct weir_service_port *port, bool is_knative)
{
	return weir_str_is(port->app_protocol, "kubernetes.io/h2c") ||
	       (is_knative && (weir_str_is(port->name, "http2") ||
			       weir_str_is(port->name, "h2c")));
}

static int compare_endpoints(const void *a, const void *b)
{
	const struct ir_endpoint *x = a;
	const struct ir_endpoint *y = b;
	int r = weir_ip_is_v4(&y->addr) - weir_ip_is_v4(&x->addr);

	r = r ? r : memcmp(&x->addr, &y->addr, sizeof(x->addr));
	r = r ? r : (x->port_be > y->port_be) - (x->port_be < y->port_be);
	/* A pod's own status may be older than the slice that has it. */
	r = r ? r
	      : !!(x->flags & WEIR_ENDPOINT_UNREADY) -
			    !!(y->flags & WEIR_ENDPOINT_UNREADY);
	return r ? r : (x->flags < y->flags) - (x->flags > y->flags);
}

static bool is_same_endpoint(const struct ir_endpoint *x,
			     const struct ir_endpoint *y)
{
	return weir_ip_eq(&x->addr, &y->addr) && x->port_be == y->port_be;
}

/* IPv4 first, in order of address and without repetition: which slice an
 * endpoint comes from, and how often, changes nothing. */
static size_t sort_endpoints(struct ir_endpoint *v, size_t n)
{
	size_t kept = 0;
	size_t i = 1;

	while (i < n && compare_endpoints(&v[i - 1], &v[i]) < 0 &&
	       !is_same_endpoint(&v[i - 1], &v[i])) {
		i++;
	}
	if (i >= n) {
		return n;
	}
	qsort(v, n, sizeof(*v), compare_endpoints);
	for (i = 0; i < n; i++) {
		if (kept == 0 || !is_same_endpoint(&v[kept - 1], &v[i])) {
			v[kept++] = v[i];
		}
	}
	return kept;
}

static uint16_t slice_port(const struct weir_slice_spec *slice,
			   const struct weir_service_port *port)
{
	for (size_t i = 0; i < slice->n_ports; i++) {
		if (weir_str_eq(slice->ports[i].name, port->name) &&
		    weir_str_eq(slice->ports[i].protocol, port->protocol)) {
			return slice->ports[i].port;
		}
	}
	return 0;
}

bool weir_ir_has_slice_port(const struct ir *c,
			    const struct ir_service *service,
			    const struct weir_service_port *port)
{
	for (uint32_t i = service->slices; i; i = c->slice_next[i - 1]) {
		if (slice_port(c->slices[i - 1]->slice, port)) {
			return true;
		}
	}
	return false;
}

static uint64_t address_hash(const struct weir_ip *ip)
{
	return weir_hash64(ip, sizeof(*ip), 7);
}

static bool is_of_activator(const struct ir *c, const struct weir_ip *ip)
{
	return c->activators.n && weir_ir_get(&c->activators, address_hash(ip));
}

/* Ready ones; if there are none at all, those that still serve while they
 * terminate (KEP-1669).  Of pods to be woken all that are to stay. */
static bool is_wanted(const struct weir_slice_endpoint *e, bool are_last,
		      bool are_pods)
{
	if (e->n_addresses == 0) {
		return false;
	}
	if (are_pods) {
		return !e->is_terminating;
	}
	return are_last ? e->is_serving && e->is_terminating : e->is_ready;
}

static size_t collect(const struct ir *c, const struct ir_service *service,
		      const struct weir_service_port *port, bool are_last,
		      bool are_pods, struct ir_endpoint *out)
{
	size_t count = 0;

	for (uint32_t i = service->slices; i; i = c->slice_next[i - 1]) {
		const struct weir_slice_spec *slice = c->slices[i - 1]->slice;
		uint16_t number = slice_port(slice, port);

		for (size_t k = 0; number && k < slice->n_endpoints; k++) {
			const struct weir_slice_endpoint *e =
				&slice->endpoints[k];
			struct ir_endpoint *o;

			if (!is_wanted(e, are_last, are_pods)) {
				continue;
			}
			/* The addresses of one endpoint are fungible; all
			 * consumers take the first. */
			o = &out[count++];
			o->addr = e->addresses[0];
			o->port_be = htons(number);
			o->flags = are_last ? WEIR_ENDPOINT_TERMINATING : 0;
			if (c->node.n && weir_str_eq(e->node, c->node)) {
				o->flags |= WEIR_ENDPOINT_LOCAL;
			}
			if (!are_last && !e->is_ready) {
				o->flags |= WEIR_ENDPOINT_UNREADY;
			}
			if (is_of_activator(c, &o->addr)) {
				o->flags |= WEIR_ENDPOINT_ACTIVATOR;
			}
		}
	}
	return count;
}

bool weir_ir_is_activator(struct weir_str ns, struct weir_str name)
{
	return weir_str_is(ns, WEIR_SERVING_NS) &&
	       weir_str_is(name, WEIR_SERVING_ACTIVATOR);
}

/* Serving's activator stands in for a revision that sleeps: where the public
 * Service's endpoints are the activator's, nothing can go straight to pods. */
void weir_ir_activators(struct ir *c)
{
	size_t n;
	const struct weir_object *const *v = weir_store_slices(
		c->store, WEIR_STR(WEIR_SERVING_NS),
		WEIR_STR(WEIR_SERVING_ACTIVATOR), &n);

	for (size_t i = 0; i < n; i++) {
		const struct weir_slice_spec *slice = v[i]->slice;

		for (size_t k = 0; k < slice->n_endpoints; k++) {
			const struct weir_slice_endpoint *e =
				&slice->endpoints[k];

			for (size_t a = 0; a < e->n_addresses; a++) {
				weir_ir_put(c, &c->activators,
					    address_hash(&e->addresses[a]), c);
			}
		}
	}
}

bool weir_ir_group_is_asleep(const struct ir_group *group)
{
	for (uint32_t i = 0; i < group->n_endpoints; i++) {
		if (group->endpoints[i].flags & WEIR_ENDPOINT_ACTIVATOR) {
			return true;
		}
	}
	return group->n_endpoints == 0;
}

void weir_ir_fill_group(struct ir *c, const struct ir_service *service,
			const struct weir_service_port *port,
			struct ir_group *g)
{
	struct ir_endpoint *v;
	size_t max = 0;
	size_t count;

	for (uint32_t i = service->slices; i; i = c->slice_next[i - 1]) {
		max += c->slices[i - 1]->slice->n_endpoints;
	}
	v = weir_ir_alloc(c, max, sizeof(*v));
	if (!v) {
		return;
	}
	count = collect(c, service, port, false, g->flags & WEIR_GROUP_PODS, v);
	if (count == 0 && !(g->flags & WEIR_GROUP_PODS)) {
		count = collect(c, service, port, true, false, v);
	}
	g->endpoints = v;
	g->n_endpoints = (uint32_t)sort_endpoints(v, count);
}

static uint64_t group_key(uint64_t service_hash,
			  const struct weir_service_port *port)
{
	bool is_udp = weir_str_is(port->protocol, "UDP");
	uint8_t proto = is_udp ? IPPROTO_UDP : IPPROTO_TCP;
	uint32_t id = (uint32_t)port->port << 8 | proto;

	return weir_hash64(&service_hash, sizeof(service_hash), id);
}

uint64_t weir_ir_group_key(const struct weir_object *service,
			   const struct weir_service_port *port)
{
	return group_key(service_hash(service->ns, service->name), port);
}

uint64_t weir_ir_pods_key(const struct weir_object *service,
			  const struct weir_service_port *port)
{
	return weir_ir_group_key(service, port) ^ WEIR_GROUP_PODS;
}

static struct ir_group *find_or_add_group(struct ir *c,
					  struct ir_service *service,
					  const struct weir_service_port *port,
					  uint8_t flags)
{
	bool is_udp = weir_str_is(port->protocol, "UDP");
	uint8_t proto = is_udp ? IPPROTO_UDP : IPPROTO_TCP;
	struct ir_group *g;

	for (g = service->groups; g; g = g->next) {
		if (g->port == port->port && g->proto == proto &&
		    g->flags == flags) {
			return g;
		}
	}
	g = weir_ir_alloc(c, 1, sizeof(*g));
	if (!g) {
		return NULL;
	}
	g->key = group_key(service->hash, port) ^ flags;
	g->object = service->object_id;
	g->port = port->port;
	g->port_name = port->name;
	g->proto = proto;
	g->flags = flags;
	g->index = c->n_groups++;
	g->next = service->groups;
	service->groups = g;
	*c->groups_tail = g;
	c->groups_tail = &g->next_all;
	weir_ir_fill_group(c, service, port, g);
	return g;
}

struct ir_group *weir_ir_group(struct ir *c, struct ir_service *service,
			       const struct weir_service_port *port)
{
	return find_or_add_group(c, service, port, 0);
}

struct ir_group *weir_ir_pods(struct ir *c, struct ir_service *service,
			      const struct weir_service_port *port)
{
	return find_or_add_group(c, service, port, WEIR_GROUP_PODS);
}
