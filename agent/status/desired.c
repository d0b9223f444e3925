/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts as conditions. */
#include <stdio.h>

#include "addr.h"
#include "compile.h"
#include "status.h"

#define GATEWAY_GROUP "gateway.networking.k8s.io"

/* ------------------------------------------------------------- conditions */

struct list {
	struct weir_buf *out;
	int64_t generation;
	bool has_one;
};

static void add_condition(struct list *l, const char *type, bool is_true,
			  const char *reason, struct weir_str message)
{
	weir_buf_printf(l->out,
			"%s{\"type\":\"%s\",\"status\":\"%s\",\"reason\":"
			"\"%s\",\"observedGeneration\":%lld,\"message\":",
			l->has_one ? "," : "", type, is_true ? "True" : "False",
			reason, (long long)l->generation);
	weir_buf_add_json(l->out, message);
	weir_buf_addz(l->out, "}");
	l->has_one = true;
}

static void begin_conditions(struct list *l)
{
	weir_buf_addz(l->out, "\"conditions\":[");
	l->has_one = false;
}

static void end_conditions(struct list *l)
{
	weir_buf_addz(l->out, "]");
}

/* A condition that is True with its good reason unless something is wrong. */
static void add_good(struct list *l, const char *type, const char *good,
		     const struct weir_fault *fault)
{
	add_condition(l, type, !fault, fault ? fault->reason : good,
		      fault ? fault->message : WEIR_STR(""));
}

/* --------------------------------------------------------- Gateway, class */

void weir_status_class(const struct weir_class_verdict *v,
		       struct weir_str bundle, const char *lack_reason,
		       struct weir_str lack_message, struct weir_buf *out)
{
	struct list l = {.out = out, .generation = v->id.generation};

	weir_buf_addz(out, "{");
	begin_conditions(&l);
	add_good(&l, "Accepted", "Accepted", v->accepted);
	if (bundle.n) {
		char text[160];
		/* Served as well as may be whatever it is. */
		bool is_known = weir_str_starts(bundle, WEIR_STR("v1.6.")) ||
				weir_str_starts(bundle, WEIR_STR("v1.7."));
		int n = snprintf(text, sizeof(text),
				 "the CRDs are of version %.32s; v1.6 and v1.7 "
				 "are known",
				 bundle.p);

		add_condition(
			&l, "SupportedVersion", is_known,
			is_known ? "SupportedVersion" : "UnsupportedVersion",
			(struct weir_str){text,
					  is_known || n < 0 ? 0 : (size_t)n});
	}
	add_condition(&l, WEIR_STATUS_WATCHED, !lack_reason,
		      lack_reason ? lack_reason : "AllWatched", lack_message);
	end_conditions(&l);
	weir_buf_addz(out, ",\"supportedFeatures\":[");
	for (size_t i = 0; weir_status_features[i]; i++) {
		weir_buf_printf(out, "%s{\"name\":\"%s\"}", i ? "," : "",
				weir_status_features[i]);
	}
	weir_buf_addz(out, "]}");
}

static bool is_open(const struct weir_listener_verdict *l)
{
	return weir_listener_is_usable(l) && !l->programmed;
}

static void add_listener_programmed(struct list *c,
				    const struct weir_listener_verdict *l,
				    bool has_address, bool is_programmed)
{
	const struct weir_fault *why = l->programmed   ? l->programmed
				       : l->accepted   ? l->accepted
				       : l->conflicted ? l->conflicted
						       : l->refs;

	if (!is_open(l)) {
		add_condition(c, "Programmed", false,
			      why == l->programmed || why == l->conflicted
				      ? why->reason
				      : "Invalid",
			      why->message);
	} else if (!has_address) {
		add_condition(c, "Programmed", false, "Pending",
			      WEIR_STR("the Gateway has no address"));
	} else if (!is_programmed) {
		add_condition(c, "Programmed", false, "Pending",
			      WEIR_STR("not every node has it yet"));
	} else {
		add_condition(c, "Programmed", true, "Programmed",
			      WEIR_STR(""));
	}
}

static void add_listener(const struct weir_gateway_verdict *g, uint32_t i,
			 bool is_programmed, struct weir_buf *out)
{
	const struct weir_listener_verdict *l = &g->listeners[i];
	struct list c = {.out = out, .generation = g->id.generation};
	bool has_one = false;

	weir_buf_addz(out, i ? ",{\"name\":" : "{\"name\":");
	weir_buf_add_json(out, l->name);
	weir_buf_printf(out, ",\"attachedRoutes\":%u,\"supportedKinds\":[",
			l->n_attached);
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		if (l->kinds & 1u << k) {
			weir_buf_printf(out,
					"%s{\"group\":\"" GATEWAY_GROUP
					"\",\"kind\":\"%s\"}",
					has_one ? "," : "", weir_kind_text(k));
			has_one = true;
		}
	}
	weir_buf_addz(out, "],");
	begin_conditions(&c);
	add_good(&c, "Accepted", "Accepted",
		 l->accepted ? l->accepted : l->conflicted);
	add_listener_programmed(
		&c, l, g->id.kind != WEIR_KIND_GATEWAY || g->n_addresses > 0,
		is_programmed);
	add_condition(&c, "Conflicted", l->conflicted != NULL,
		      l->conflicted ? l->conflicted->reason : "NoConflicts",
		      l->conflicted ? l->conflicted->message : WEIR_STR(""));
	add_good(&c, "ResolvedRefs", "ResolvedRefs", l->refs);
	if (l->overlap) {
		add_condition(&c, "OverlappingTLSConfig", true,
			      l->overlap->reason, l->overlap->message);
	}
	end_conditions(&c);
	weir_buf_addz(out, "}");
}

static void add_addresses(const struct weir_gateway_verdict *v,
			  struct weir_buf *out)
{
	weir_buf_addz(out, "\"addresses\":[");
	for (uint32_t i = 0; i < v->n_addresses; i++) {
		char text[WEIR_ADDR_TEXT_MAX];

		weir_buf_printf(
			out, "%s{\"type\":\"IPAddress\",\"value\":\"%s\"}",
			i ? "," : "", weir_ip_format(&v->addresses[i], text));
	}
	weir_buf_addz(out, "],");
}

/* The conditions of the whole: a Gateway with one good listener is served.  Of
 * a ListenerSet a listener without its certificate is no good one, and counts
 * in no Gateway (ListenerSetReferenceGrant of the suite). */
static void add_whole(const struct weir_gateway_verdict *v, bool is_programmed,
		      struct list *l)
{
	uint32_t n_valid = 0;
	bool is_accepted;

	for (uint32_t i = 0; i < v->n_listeners; i++) {
		n_valid += v->id.kind == WEIR_KIND_GATEWAY
				   ? weir_listener_is_valid(&v->listeners[i])
				   : weir_listener_is_usable(&v->listeners[i]);
	}
	is_accepted = !v->accepted && n_valid > 0;
	if (!v->accepted && n_valid < v->n_listeners) {
		char text[96];
		int n = snprintf(text, sizeof(text),
				 "%u of %u listeners cannot be served",
				 v->n_listeners - n_valid, v->n_listeners);

		add_condition(l, "Accepted", is_accepted, "ListenersNotValid",
			      (struct weir_str){text, n < 0 ? 0 : (size_t)n});
	} else {
		add_good(l, "Accepted", "Accepted", v->accepted);
	}
	if (v->programmed && !v->accepted) {
		add_good(l, "Programmed", "Programmed", v->programmed);
	} else if (!is_accepted) {
		const char *reason = v->accepted ? v->accepted->reason
						 : "ListenersNotValid";

		add_condition(l, "Programmed", false,
			      v->id.kind == WEIR_KIND_GATEWAY ? "Invalid"
							      : reason,
			      v->accepted ? v->accepted->message
					  : WEIR_STR("no listener can be "
						     "served"));
	} else if (!is_programmed) {
		add_condition(l, "Programmed", false, "Pending",
			      WEIR_STR("not every node has it yet"));
	} else {
		add_condition(l, "Programmed", true, "Programmed",
			      WEIR_STR(""));
	}
}

void weir_status_gateway(const struct weir_gateway_verdict *v,
			 bool is_programmed, struct weir_buf *out)
{
	struct list l = {.out = out, .generation = v->id.generation};
	bool is_gateway = v->id.kind == WEIR_KIND_GATEWAY;

	weir_buf_addz(out, "{");
	begin_conditions(&l);
	add_whole(v, is_programmed, &l);
	if (v->has_refs) {
		add_good(&l, "ResolvedRefs", "ResolvedRefs", v->refs);
	}
	if (v->is_insecure) {
		add_condition(&l, "InsecureFrontendValidationMode", true,
			      "ConfigurationChanged",
			      WEIR_STR("clients without a valid certificate "
				       "are let in"));
	}
	end_conditions(&l);
	weir_buf_addz(out, ",");
	if (is_gateway) {
		add_addresses(v, out);
		if (v->n_attached_sets) {
			weir_buf_printf(out, "\"attachedListenerSets\":%u,",
					v->n_attached_sets);
		}
	}
	weir_buf_addz(out, "\"listeners\":[");
	for (uint32_t i = 0; i < v->n_listeners; i++) {
		add_listener(v, i, is_programmed, out);
	}
	weir_buf_addz(out, "]}");
}

/* ---------------------------------------------------------- routes, policy */

static void add_member(struct weir_buf *out, const char *name,
		       struct weir_str value)
{
	weir_buf_printf(out, ",\"%s\":", name);
	weir_buf_add_json(out, value);
}

/* As the route gives it, but for defaults, which must not be left out. */
static void add_parent_ref(const struct weir_parent_ref *p,
			   struct weir_buf *out)
{
	weir_buf_addz(out, "{\"group\":");
	weir_buf_add_json(out, p->group);
	add_member(out, "kind", p->kind);
	add_member(out, "name", p->name);
	if (p->has_ns) {
		add_member(out, "namespace", p->ns);
	}
	if (p->section.n) {
		add_member(out, "sectionName", p->section);
	}
	if (p->port) {
		weir_buf_printf(out, ",\"port\":%u", p->port);
	}
	weir_buf_addz(out, "}");
}

static void add_parent(const struct weir_route_verdict *v, uint32_t i,
		       struct weir_buf *out)
{
	const struct weir_parent_verdict *p = &v->parents[i];
	struct list l = {.out = out, .generation = v->id.generation};

	weir_buf_addz(out, ",\"controllerName\":\"" WEIR_CONTROLLER "\",");
	begin_conditions(&l);
	add_good(&l, "Accepted", "Accepted",
		 p->accepted ? p->accepted : v->invalid);
	add_good(&l, "ResolvedRefs", "ResolvedRefs", v->refs[p->is_mesh]);
	if (v->partial) {
		add_condition(&l, "PartiallyInvalid", true, v->partial->reason,
			      v->partial->message);
	}
	end_conditions(&l);
}

void weir_status_route(const struct weir_route_verdict *v,
		       const struct weir_object *object, struct weir_buf *out)
{
	bool has_one = false;

	weir_buf_addz(out, "{\"parents\":[");
	for (uint32_t i = 0; v && i < v->n_parents; i++) {
		if (!v->parents[i].is_ours || i >= object->route->n_parents) {
			continue;
		}
		weir_buf_addz(out,
			      has_one ? ",{\"parentRef\":" : "{\"parentRef\":");
		add_parent_ref(&object->route->parents[i], out);
		add_parent(v, i, out);
		weir_buf_addz(out, "}");
		has_one = true;
	}
	weir_buf_addz(out, "]}");
}

void weir_status_policy(const struct weir_policy_verdict *v,
			struct weir_buf *out)
{
	struct list l = {.out = out, .generation = v->id.generation};

	weir_buf_addz(out, "{\"ancestors\":[");
	for (uint32_t i = 0; i < v->n_ancestors; i++) {
		weir_buf_addz(out, i ? ",{" : "{");
		weir_buf_addz(out, "\"ancestorRef\":{\"group\":\"" GATEWAY_GROUP
				   "\",\"kind\":\"Gateway\"");
		add_member(out, "name", v->ancestors[i].name);
		add_member(out, "namespace", v->ancestors[i].ns);
		weir_buf_addz(out,
			      "},\"controllerName\":\"" WEIR_CONTROLLER "\",");
		begin_conditions(&l);
		add_good(&l, "Accepted", "Accepted", v->accepted);
		add_good(&l, "ResolvedRefs", "ResolvedRefs", v->refs);
		end_conditions(&l);
		weir_buf_addz(out, "}");
	}
	weir_buf_addz(out, "]}");
}
