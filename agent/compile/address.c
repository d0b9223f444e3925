/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of Gateways: those asked for in spec.addresses, else those that the
 * status says were given before, else (only by the agent that writes status,
 * so that two cannot give the same one) the lowest free ones of the pool: one
 * of each family.
 *
 * The pool is the ConfigMap that the GatewayClass names in parametersRef, key
 * addresses: networks, ranges and single addresses, separated by blanks or
 * commas.  Where it has no such key, but service: LoadBalancer, the addresses
 * are those of a Service that the Gateway owns (daemon/kube_infra.c).  Where
 * there is a pool, spec.addresses must lie in it: without that whoever may
 * create a Gateway could take any address on every node.
 */
#include "ir.h"

#include <netinet/in.h>
#include <stdio.h>

#include "addr.h"

#define RANGES_MAX 256
#define TRIES_MAX 65536 /* addresses looked at for a free one */

struct range {
	struct weir_ip first;
	struct weir_ip last;
	bool is_network; /* its ends are not given out (IPv4) */
};

struct ir_pool {
	const struct weir_object *class;
	struct ir_pool *next;
	bool is_bad;     /* named, and of no use */
	bool is_service; /* no pool, but Services */
	uint32_t n;
	struct range v[];
};

static int cmp(const struct weir_ip *a, const struct weir_ip *b)
{
	return memcmp(a, b, sizeof(*a)); /* network order */
}

static void increment(struct weir_ip *ip)
{
	for (int i = 3; i >= 0; i--) {
		uint32_t word = ntohl(ip->a[i]) + 1;

		ip->a[i] = htonl(word);
		if (word) {
			return;
		}
	}
}

/* Sets all bits behind the first n of 128 to the value of bit. */
static void fill(struct weir_ip *ip, unsigned int n, bool bit)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int kept = n > i * 32 ? n - i * 32 : 0;
		uint32_t mask = kept >= 32 ? 0 : UINT32_MAX >> kept;
		uint32_t word = ntohl(ip->a[i]);

		ip->a[i] = htonl(bit ? word | mask : word & ~mask);
	}
}

static bool parse_length(struct weir_str s, bool is_v4, unsigned int *ret_n)
{
	unsigned int n = 0;

	if (s.n == 0 || s.n > 3) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9') {
			return false;
		}
		n = n * 10 + (unsigned int)(s.p[i] - '0');
	}
	if (n > (is_v4 ? 32 : 128)) {
		return false;
	}
	*ret_n = is_v4 ? 96 + n : n;
	return true;
}

static bool parse_range(struct weir_str s, struct range *ret)
{
	ptrdiff_t slash = weir_str_find(s, '/');
	ptrdiff_t dash = weir_str_find(s, '-');
	size_t n = slash >= 0 ? (size_t)slash : dash >= 0 ? (size_t)dash : s.n;
	struct weir_str rest = n < s.n ? weir_str_skip(s, n + 1) : WEIR_STR("");
	unsigned int length;

	*ret = (struct range){0};
	if (weir_ip_parse((struct weir_str){s.p, n}, &ret->first) < 0) {
		return false;
	}
	ret->last = ret->first;
	if (slash >= 0) {
		bool is_v4 = weir_ip_is_v4(&ret->first);

		if (!parse_length(rest, is_v4, &length)) {
			return false;
		}
		fill(&ret->first, length, false);
		fill(&ret->last, length, true);
		ret->is_network = is_v4 && length < 127;
		return true;
	}
	if (dash < 0) {
		return true;
	}
	return weir_ip_parse(rest, &ret->last) == 0 &&
	       weir_ip_is_v4(&ret->first) == weir_ip_is_v4(&ret->last) &&
	       cmp(&ret->first, &ret->last) <= 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',';
}

/* The next word of a list; false at its end. */
static bool next_word(struct weir_str *rest, struct weir_str *ret_word)
{
	while (rest->n && is_blank(rest->p[0])) {
		*rest = weir_str_skip(*rest, 1);
	}
	*ret_word = (struct weir_str){rest->p, 0};
	while (rest->n && !is_blank(rest->p[0])) {
		ret_word->n++;
		*rest = weir_str_skip(*rest, 1);
	}
	return ret_word->n > 0;
}

/* -------------------------------------------------------------------- pool */

static const struct weir_config_spec *
find_parameters(struct ir *c, const struct weir_object *class)
{
	const struct weir_object_ref *ref = &class->gateway_class->parameters;
	const struct weir_object *o;

	if (ref->group.n || !weir_str_is(ref->kind, "ConfigMap")) {
		IR_DIAG(c, WEIR_DIAG_ERROR, class, "InvalidParameters",
			WEIR_STR("spec.parametersRef"),
			"\"%.*s/%.*s\"; expected a ConfigMap (group \"\")",
			WEIR_STR_ARG(ref->group), WEIR_STR_ARG(ref->kind));
		return NULL;
	}
	o = weir_store_find(c->store, WEIR_KIND_CONFIG_MAP, ref->ns, ref->name);
	if (!o || !o->config) {
		IR_DIAG(c, WEIR_DIAG_ERROR, class, "InvalidParameters",
			WEIR_STR("spec.parametersRef"),
			"there is no ConfigMap %.*s/%.*s",
			WEIR_STR_ARG(ref->ns), WEIR_STR_ARG(ref->name));
		return NULL;
	}
	return o->config;
}

static bool fill_pool(struct ir *c, const struct weir_object *class,
		      struct weir_str text, struct ir_pool *pool)
{
	struct weir_str word;

	while (next_word(&text, &word)) {
		if (pool->n == RANGES_MAX ||
		    !parse_range(word, &pool->v[pool->n])) {
			IR_DIAG(c, WEIR_DIAG_ERROR, class, "InvalidParameters",
				WEIR_STR("spec.parametersRef"),
				"addresses of the ConfigMap: \"%.*s\"; "
				"expected at most %d of: a network like "
				"10.0.0.0/24, a range like 10.0.0.1-10.0.0.9, "
				"an address",
				(int)(word.n < 64 ? word.n : 64), word.p,
				RANGES_MAX);
			return false;
		}
		pool->n++;
	}
	return true;
}

static bool is_service(struct ir *c, const struct weir_object *class,
		       struct weir_str text)
{
	if (weir_str_is(text, "LoadBalancer")) {
		return true;
	}
	IR_DIAG(c, WEIR_DIAG_ERROR, class, "InvalidParameters",
		WEIR_STR("spec.parametersRef"),
		"service of the ConfigMap: \"%.*s\"; expected LoadBalancer",
		(int)(text.n < 64 ? text.n : 64), text.p);
	return false;
}

const struct ir_pool *weir_ir_pool(struct ir *c,
				   const struct weir_object *class,
				   const struct weir_fault **fault)
{
	const struct weir_config_spec *config;
	struct ir_pool *pool;
	struct ir_scope before;

	if (!class->gateway_class->has_parameters) {
		return NULL;
	}
	pool = weir_ir_alloc(c, 1,
			     sizeof(*pool) + RANGES_MAX * sizeof(pool->v[0]));
	if (!pool) {
		return NULL;
	}
	pool->class = class;
	pool->next = c->pools;
	c->pools = pool;
	before = weir_ir_enter(c, fault, NULL);
	config = find_parameters(c, class);
	pool->is_bad = !config || !fill_pool(c, class, config->addresses, pool);
	if (config && !config->has_addresses && config->service.n) {
		pool->is_service = is_service(c, class, config->service);
	}
	c->scope = before;
	if (config && !config->has_addresses) {
		if (!pool->is_service) {
			c->pools = pool->next; /* about something else */
		}
		return NULL;
	}
	return pool;
}

static const struct ir_pool *find_pool(const struct ir *c,
				       const struct weir_object *class)
{
	const struct ir_pool *pool = c->pools;

	while (pool && pool->class != class) {
		pool = pool->next;
	}
	return pool;
}

static bool has_services(const struct ir *c, const struct weir_object *class)
{
	const struct ir_pool *pool = find_pool(c, class);

	return pool && pool->is_service;
}

static const struct ir_pool *pool_of(const struct ir *c,
				     const struct weir_object *class)
{
	return has_services(c, class) ? NULL : find_pool(c, class);
}

static bool is_in_pool(const struct ir_pool *pool, const struct weir_ip *ip)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		const struct range *r = &pool->v[i];

		if (weir_ip_is_v4(ip) == weir_ip_is_v4(&r->first) &&
		    cmp(&r->first, ip) <= 0 && cmp(ip, &r->last) <= 0) {
			return true;
		}
	}
	return false;
}

/* --------------------------------------------------------------- addresses */

static bool is_usable(const struct weir_ip *ip)
{
	static const struct weir_ip any6;

	if (weir_ip_is_v4(ip)) {
		uint32_t a = ntohl(ip->a[3]);

		return a != 0 && a < 0xE0000000u; /* not multicast, class E */
	}
	return !weir_ip_eq(ip, &any6) && (ntohl(ip->a[0]) >> 24) != 0xFF;
}

struct take {
	struct ir *c;
	struct ir_gateway *g;
	const struct ir_pool *pool;
	struct weir_ip *v;
	size_t n;
	bool has_v4;
	bool has_v6;
};

static uint64_t address_key(const struct weir_ip *ip)
{
	return weir_hash64(ip, sizeof(*ip), 1);
}

static void take(struct take *t, const struct weir_ip *ip)
{
	for (size_t i = 0; i < t->n; i++) {
		if (weir_ip_eq(&t->v[i], ip)) {
			return;
		}
	}
	t->v[t->n++] = *ip;
	if (weir_ip_is_v4(ip)) {
		t->has_v4 = true;
	} else {
		t->has_v6 = true;
	}
	weir_ir_put(t->c, &t->c->addresses, address_key(ip), t->g);
}

static void take_requested(struct take *t)
{
	const struct weir_object *gateway = t->g->object;
	const struct weir_gateway_spec *spec = gateway->gateway;

	for (size_t i = 0; i < spec->n_addresses; i++) {
		const struct weir_ip *ip = &spec->addresses[i];
		char text[WEIR_ADDR_TEXT_MAX];

		if (!is_usable(ip)) {
			IR_DIAG(t->c, WEIR_DIAG_ERROR, gateway,
				"AddressNotUsable",
				IR_FIELD("spec.addresses[%zu]", i),
				"%s is not a unicast address",
				weir_ip_format(ip, text));
		} else if (t->pool && !is_in_pool(t->pool, ip)) {
			IR_DIAG(t->c, WEIR_DIAG_ERROR, gateway,
				"AddressNotUsable",
				IR_FIELD("spec.addresses[%zu]", i),
				"%s is not in the pool of GatewayClass %.*s",
				weir_ip_format(ip, text),
				WEIR_STR_ARG(t->pool->class->name));
		} else {
			take(t, ip);
		}
	}
}

/* The first of a family that no other Gateway has. */
static bool take_free(struct take *t, bool is_v4)
{
	uint32_t tries = 0;

	for (uint32_t i = 0; i < t->pool->n; i++) {
		const struct range *r = &t->pool->v[i];
		struct weir_ip ip = r->first;
		struct weir_ip last = r->last;

		if (weir_ip_is_v4(&ip) != is_v4) {
			continue;
		}
		for (; cmp(&ip, &last) <= 0 && tries < TRIES_MAX; tries++) {
			bool is_end = r->is_network &&
				      (cmp(&ip, &r->first) == 0 ||
				       cmp(&ip, &last) == 0);

			if (!is_end && is_usable(&ip) &&
			    !weir_ir_get(&t->c->addresses, address_key(&ip))) {
				take(t, &ip);
				return true;
			}
			if (cmp(&ip, &last) == 0) {
				break; /* the last of all would wrap */
			}
			increment(&ip);
		}
	}
	return false;
}

static void say_none(struct take *t)
{
	const struct weir_object *gateway = t->g->object;
	const struct weir_gateway_spec *spec = gateway->gateway;

	if (t->g->wants_service) {
		IR_DIAG(t->c, WEIR_DIAG_ERROR, gateway, "AddressNotAssigned",
			WEIR_STR("spec.addresses"),
			t->g->service
				? "no load balancer has given the Service "
				  "%.*s" WEIR_GATEWAY_SERVICE " an address yet"
			: t->g->is_service_taken
				? "the Service %.*s" WEIR_GATEWAY_SERVICE
				  " is not this Gateway's, and stays: without "
				  "it the Gateway has no address"
				: "the Service %.*s" WEIR_GATEWAY_SERVICE
				  " is not there yet",
			WEIR_STR_ARG(gateway->name));
	} else if (!t->pool) {
		IR_DIAG(t->c, WEIR_DIAG_ERROR, gateway, "AddressNotAssigned",
			WEIR_STR("spec.addresses"),
			"no usable address; expected at least one of type "
			"IPAddress: the Gateway is not served");
	} else if (spec->n_addresses == 0 || spec->n_any_address) {
		IR_DIAG(t->c, WEIR_DIAG_ERROR, gateway, "AddressNotAssigned",
			WEIR_STR("spec.addresses"),
			"%s GatewayClass %.*s: the Gateway is not served",
			t->c->is_writer ? "no address is free in the pool of"
					: "the agent that writes status gives "
					  "one of the pool of",
			WEIR_STR_ARG(t->pool->class->name));
	}
}

/* Does the spec leave the choice to weir? */
static bool is_free_choice(const struct weir_gateway_spec *spec)
{
	return spec->n_any_address ||
	       (spec->n_addresses == 0 && spec->bad_address_type.n == 0);
}

/* The Service of the Gateway; what else has its name is somebody else's. */
static void find_service(struct ir *c, struct ir_gateway *g)
{
	char name[sizeof(WEIR_GATEWAY_SERVICE) + WEIR_GATEWAY_NAME_MAX];
	struct weir_str own = g->object->name;
	const struct weir_object *o;

	if (own.n > WEIR_GATEWAY_NAME_MAX) {
		return;
	}
	own.n = (size_t)snprintf(name, sizeof(name),
				 "%.*s" WEIR_GATEWAY_SERVICE,
				 WEIR_STR_ARG(own));
	own.p = name;
	o = weir_store_find(c->store, WEIR_KIND_SERVICE, g->object->ns, own);
	if (o && o->service && weir_object_is_of_gateway(o, g->object->name)) {
		g->service = o;
	} else {
		g->is_service_taken = o;
	}
}

/* They are the load balancer's to answer for: not local, but taken wherever
 * they are seen, like a ClusterIP. */
static void use_service(struct ir *c, struct ir_gateway *g)
{
	const struct weir_service_spec *spec;
	size_t n = 0;

	g->wants_service = true;
	g->verdict->wants_service = true;
	find_service(c, g);
	if (!g->service) {
		return;
	}
	spec = g->service->service;
	g->addresses = weir_ir_alloc(c,
				     spec->n_external_ips + spec->n_cluster_ips,
				     sizeof(*g->addresses));
	for (size_t i = 0; g->addresses && i < spec->n_external_ips; i++) {
		if (is_usable(&spec->external_ips[i])) {
			g->addresses[n++] = spec->external_ips[i];
		}
	}
	g->verdict->addresses = g->addresses;
	g->verdict->n_addresses = (uint32_t)n;
	for (size_t i = 0; g->addresses && i < spec->n_cluster_ips; i++) {
		g->addresses[n++] = spec->cluster_ips[i];
	}
	g->n_addresses = n;
}

/* What is certain: asked for, or given before.  In order of age, for all,
 * before anyone gets a new one. */
void weir_ir_known_addresses(struct ir *c, struct ir_gateway *g)
{
	const struct weir_gateway_spec *spec = g->object->gateway;
	struct take t = {.c = c, .g = g, .pool = pool_of(c, g->class)};
	struct ir_scope before;

	if (has_services(c, g->class) && is_free_choice(spec) &&
	    spec->n_addresses == 0) {
		use_service(c, g);
		return;
	}
	t.v = weir_ir_alloc(c, spec->n_addresses + spec->n_status_addresses + 2,
			    sizeof(*t.v));
	if (!t.v) {
		return;
	}
	before = weir_ir_enter(c, &g->verdict->programmed, NULL);
	take_requested(&t);
	c->scope = before;
	for (size_t i = 0;
	     t.pool && is_free_choice(spec) && i < spec->n_status_addresses;
	     i++) {
		const struct weir_ip *ip = &spec->status_addresses[i];
		bool is_v4 = weir_ip_is_v4(ip);

		if ((is_v4 ? !t.has_v4 : !t.has_v6) && is_usable(ip) &&
		    is_in_pool(t.pool, ip) &&
		    !weir_ir_get(&c->addresses, address_key(ip))) {
			take(&t, ip);
		}
	}
	g->addresses = t.v;
	g->n_addresses = t.n;
	g->has_v4 = t.has_v4;
	g->has_v6 = t.has_v6;
}

void weir_ir_new_addresses(struct ir *c, struct ir_gateway *g)
{
	const struct weir_gateway_spec *spec = g->object->gateway;
	struct take t = {.c = c,
			 .g = g,
			 .pool = pool_of(c, g->class),
			 .v = g->addresses,
			 .n = g->n_addresses,
			 .has_v4 = g->has_v4,
			 .has_v6 = g->has_v6};
	struct ir_scope before;

	if (g->wants_service) {
		before = weir_ir_enter(c, &g->verdict->programmed, NULL);
		if (g->verdict->n_addresses == 0) {
			say_none(&t);
		}
		c->scope = before;
		return;
	}
	if (!t.v) {
		return;
	}
	if (t.pool && c->is_writer && is_free_choice(spec)) {
		if (!t.has_v4) {
			take_free(&t, true);
		}
		if (!t.has_v6) {
			take_free(&t, false);
		}
	}
	g->n_addresses = t.n;
	before = weir_ir_enter(c, &g->verdict->programmed, NULL);
	if (t.n == 0) {
		say_none(&t);
	}
	c->scope = before;
	g->verdict->addresses = t.v;
	g->verdict->n_addresses = (uint32_t)t.n;
}
