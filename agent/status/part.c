/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a status is ours, and its hash. */
#include "cleanup.h"
#include "compile.h"
#include "node.h"
#include "status.h"

static const char *const class_types[] = {"Accepted", "SupportedVersion",
					  WEIR_STATUS_WATCHED, NULL};
static const char *const gateway_types[] = {
	"Accepted", "Programmed", "ResolvedRefs",
	"InsecureFrontendValidationMode", NULL};
static const char *const listener_types[] = {
	"Accepted",     "Programmed",           "Conflicted",
	"ResolvedRefs", "OverlappingTLSConfig", NULL};
static const char *const set_types[] = {"Accepted", "Programmed", NULL};
static const char *const parent_types[] = {"Accepted", "ResolvedRefs",
					   "PartiallyInvalid", NULL};
static const char *const ancestor_types[] = {"Accepted", "ResolvedRefs", NULL};
static const char *const king_types[] = {"NetworkConfigured",
					 "LoadBalancerReady", "Ready", NULL};

const char *const *const weir_status_types[_WEIR_PLACE_MAX] = {
	[WEIR_PLACE_CLASS] = class_types,
	[WEIR_PLACE_GATEWAY] = gateway_types,
	[WEIR_PLACE_LISTENER] = listener_types,
	[WEIR_PLACE_SET] = set_types,
	[WEIR_PLACE_PARENT] = parent_types,
	[WEIR_PLACE_ANCESTOR] = ancestor_types,
	[WEIR_PLACE_KINGRESS] = king_types,
};

const char *weir_status_list(enum weir_kind kind)
{
	switch (kind) {
	case WEIR_KIND_HTTP_ROUTE:
	case WEIR_KIND_GRPC_ROUTE:
	case WEIR_KIND_TLS_ROUTE:
	case WEIR_KIND_TCP_ROUTE:
	case WEIR_KIND_UDP_ROUTE:
		return "parents";
	case WEIR_KIND_BACKEND_TLS_POLICY:
		return "ancestors";
	default:
		return NULL;
	}
}

enum weir_status_place weir_status_place_of(enum weir_kind kind)
{
	switch (kind) {
	case WEIR_KIND_GATEWAY_CLASS:
		return WEIR_PLACE_CLASS;
	case WEIR_KIND_GATEWAY:
		return WEIR_PLACE_GATEWAY;
	case WEIR_KIND_LISTENER_SET:
		return WEIR_PLACE_SET;
	case WEIR_KIND_BACKEND_TLS_POLICY:
		return WEIR_PLACE_ANCESTOR;
	case WEIR_KIND_KINGRESS:
		return WEIR_PLACE_KINGRESS;
	default:
		return WEIR_PLACE_PARENT;
	}
}

bool weir_status_is_written(enum weir_kind kind)
{
	return weir_status_list(kind) || kind == WEIR_KIND_GATEWAY_CLASS ||
	       kind == WEIR_KIND_GATEWAY || kind == WEIR_KIND_LISTENER_SET ||
	       kind == WEIR_KIND_KINGRESS;
}

/* ------------------------------------------------------------------- hash */

static uint64_t mix_text(uint64_t h, const struct weir_node *map,
			 const char *key, const char *dflt)
{
	const struct weir_node *n = weir_node_get(map, key);

	return weir_str_hash(n ? n->text : weir_str_of(dflt), h);
}

static const struct weir_node *items(const struct weir_node *map,
				     const char *key)
{
	const struct weir_node *list = weir_node_get(map, key);

	return list && list->type == WEIR_NODE_SEQ ? list->child : NULL;
}

/* The order of a list of named things means nothing: sums. */
static uint64_t sum_conditions(const struct weir_node *map,
			       enum weir_status_place place)
{
	const char *const *types = weir_status_types[place];
	uint64_t sum = 0;

	for (const struct weir_node *c = items(map, "conditions"); c;
	     c = c->next) {
		const struct weir_node *type = weir_node_get(c, "type");

		for (size_t i = 0; type && types[i]; i++) {
			uint64_t h = i + 1;

			if (!weir_str_is(type->text, types[i])) {
				continue;
			}
			h = mix_text(h, c, "status", "");
			h = mix_text(h, c, "reason", "");
			h = mix_text(h, c, "message", "");
			sum += mix_text(h, c, "observedGeneration", "0");
		}
	}
	return sum;
}

static uint64_t sum_listeners(const struct weir_node *status)
{
	uint64_t sum = 0;

	for (const struct weir_node *l = items(status, "listeners"); l;
	     l = l->next) {
		uint64_t h = sum_conditions(l, WEIR_PLACE_LISTENER);
		uint64_t kinds = 0;

		h = mix_text(h, l, "name", "");
		h = mix_text(h, l, "attachedRoutes", "0");
		for (const struct weir_node *k = items(l, "supportedKinds"); k;
		     k = k->next) {
			kinds += mix_text(mix_text(5, k, "group",
						   "gateway.networking.k8s.io"),
					  k, "kind", "");
		}
		sum += weir_hash64(&kinds, sizeof(kinds), h);
	}
	return sum;
}

/* The first address is the one to dial: their order matters. */
static uint64_t hash_addresses(const struct weir_node *status)
{
	uint64_t h = 6;

	for (const struct weir_node *a = items(status, "addresses"); a;
	     a = a->next) {
		h = mix_text(h, a, "type", "IPAddress");
		h = mix_text(h, a, "value", "");
	}
	return h;
}

static uint64_t hash_ref(const struct weir_node *ref, uint64_t h)
{
	h = mix_text(h, ref, "group", "gateway.networking.k8s.io");
	h = mix_text(h, ref, "kind", "Gateway");
	h = mix_text(h, ref, "namespace", "");
	h = mix_text(h, ref, "name", "");
	h = mix_text(h, ref, "sectionName", "");
	return mix_text(h, ref, "port", "0");
}

static uint64_t sum_controlled(const struct weir_node *status,
			       enum weir_kind kind)
{
	const char *list = weir_status_list(kind);
	const char *ref = kind == WEIR_KIND_BACKEND_TLS_POLICY ? "ancestorRef"
							       : "parentRef";
	uint64_t sum = 0;

	for (const struct weir_node *e = items(status, list); e; e = e->next) {
		const struct weir_node *who = weir_node_get(e,
							    "controllerName");
		uint64_t h;

		if (who && weir_str_is(who->text, WEIR_CONTROLLER)) {
			h = sum_conditions(e, weir_status_place_of(kind));
			sum += hash_ref(weir_node_get(e, ref), h);
		}
	}
	return sum;
}

static uint64_t hash_class(const struct weir_node *status)
{
	uint64_t h = sum_conditions(status, WEIR_PLACE_CLASS);

	for (const struct weir_node *f = items(status, "supportedFeatures"); f;
	     f = f->next) {
		h = mix_text(h, f, "name", "");
	}
	return h;
}

/* Both load balancers and the generation are ours alone. */
static uint64_t hash_king(const struct weir_node *status)
{
	static const char *const names[] = {"publicLoadBalancer",
					    "privateLoadBalancer"};
	uint64_t h = mix_text(8, status, "observedGeneration", "0");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct weir_node *one = weir_node_get(status, names[i]);

		for (const struct weir_node *e = items(one, "ingress"); e;
		     e = e->next) {
			h = mix_text(h + i + 1, e, "ip", "");
			h = mix_text(h, e, "domain", "");
			h = mix_text(h, e, "domainInternal", "");
			h = mix_text(h, e, "meshOnly", "false");
		}
	}
	return h;
}

/* The condition is ours at each of these. */
static bool says_served(enum weir_kind kind, const struct weir_node *status)
{
	const char *type = kind == WEIR_KIND_KINGRESS ? "Ready"
			   : kind == WEIR_KIND_GATEWAY ||
					   kind == WEIR_KIND_LISTENER_SET
				   ? "Programmed"
				   : "";

	for (const struct weir_node *c = *type ? items(status, "conditions")
					       : NULL;
	     c; c = c->next) {
		const struct weir_node *name = weir_node_get(c, "type");
		const struct weir_node *value = weir_node_get(c, "status");

		if (name && weir_str_is(name->text, type)) {
			return value && weir_str_is(value->text, "True");
		}
	}
	return false;
}

static uint64_t hash_of(enum weir_kind kind, const struct weir_node *status)
{
	uint64_t v[4] = {kind};

	if (weir_status_list(kind)) {
		v[1] = sum_controlled(status, kind);
	} else if (kind == WEIR_KIND_GATEWAY_CLASS) {
		v[1] = hash_class(status);
	} else if (kind == WEIR_KIND_KINGRESS) {
		v[1] = sum_conditions(status, WEIR_PLACE_KINGRESS);
		v[2] = hash_king(status);
	} else {
		v[1] = sum_conditions(status, weir_status_place_of(kind));
		v[2] = sum_listeners(status);
	}
	if (kind == WEIR_KIND_GATEWAY) {
		const struct weir_node *n = weir_node_get(
			status, "attachedListenerSets");

		v[3] = hash_addresses(status);
		v[3] += n && n->type == WEIR_NODE_INT ? (uint64_t)n->number : 0;
	}
	return (weir_hash64(v, sizeof(v), 7) & ~WEIR_STATUS_SERVED) |
	       (says_served(kind, status) ? WEIR_STATUS_SERVED : 0);
}

struct hashing {
	enum weir_kind kind;
	uint64_t hash;
};

static int hash_document(void *arg, const struct weir_document *doc)
{
	struct hashing *h = arg;

	if (doc->root && doc->root->type == WEIR_NODE_MAP) {
		h->hash = hash_of(h->kind, doc->root);
	}
	return 0;
}

uint64_t weir_status_hash(enum weir_kind kind, struct weir_str status)
{
	struct hashing h = {.kind = kind};

	if (!weir_status_is_written(kind)) {
		return 0;
	}
	h.hash = hash_of(kind, NULL);
	if (status.n) {
		/* What cannot be read is nothing that was ours. */
		weir_json_read(status, hash_document, &h);
	}
	return h.hash;
}
