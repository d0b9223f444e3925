/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include "addr.h"

/* ------------------------------------------------------------------- find */

static int compare(const struct weir_verdict_id *id, enum weir_kind kind,
		   struct weir_str ns, struct weir_str name)
{
	int r = (id->kind > kind) - (id->kind < kind);

	r = r ? r : weir_str_cmp(id->ns, ns);
	return r ? r : weir_str_cmp(id->name, name);
}

/* Every verdict begins with its id. */
static void *find(void *v, uint32_t n, size_t size, enum weir_kind kind,
		  struct weir_str ns, struct weir_str name)
{
	uint32_t lo = 0;
	uint32_t hi = n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		void *at = (char *)v + mid * size;
		int r = compare(at, kind, ns, name);

		if (r == 0) {
			return at;
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return NULL;
}

struct weir_class_verdict *weir_verdict_class(const struct weir_verdicts *v,
					      struct weir_str name)
{
	return find(v->classes, v->n_classes, sizeof(*v->classes),
		    WEIR_KIND_GATEWAY_CLASS, WEIR_STR(""), name);
}

struct weir_gateway_verdict *weir_verdict_gateway(const struct weir_verdicts *v,
						  enum weir_kind kind,
						  struct weir_str ns,
						  struct weir_str name)
{
	return find(v->gateways, v->n_gateways, sizeof(*v->gateways), kind, ns,
		    name);
}

struct weir_route_verdict *weir_verdict_route(const struct weir_verdicts *v,
					      enum weir_kind kind,
					      struct weir_str ns,
					      struct weir_str name)
{
	return find(v->routes, v->n_routes, sizeof(*v->routes), kind, ns, name);
}

struct weir_policy_verdict *weir_verdict_policy(const struct weir_verdicts *v,
						struct weir_str ns,
						struct weir_str name)
{
	if (v->n_policies == 0) {
		return NULL;
	}
	return find(v->policies, v->n_policies, sizeof(*v->policies),
		    v->policies[0].id.kind, ns, name);
}

struct weir_king_verdict *weir_verdict_king(const struct weir_verdicts *v,
					    struct weir_str ns,
					    struct weir_str name)
{
	return find(v->kings, v->n_kings, sizeof(*v->kings), WEIR_KIND_KINGRESS,
		    ns, name);
}

/* ------------------------------------------------------------------ print */

static void print_id(struct weir_buf *out, const struct weir_verdict_id *id)
{
	weir_buf_printf(out, "  %s %.*s%s%.*s", weir_kind_text(id->kind),
			WEIR_STR_ARG(id->ns), id->ns.n ? "/" : "",
			WEIR_STR_ARG(id->name));
	if (id->generation) {
		weir_buf_printf(out, " generation %lld",
				(long long)id->generation);
	}
	weir_buf_addz(out, "\n");
}

static void print_fault(struct weir_buf *out, const char *indent,
			const char *condition, const struct weir_fault *f)
{
	if (f) {
		weir_buf_printf(out, "%s%s %s: %.*s\n", indent, condition,
				f->reason, WEIR_STR_ARG(f->message));
	}
}

static void print_gateway(struct weir_buf *out,
			  const struct weir_gateway_verdict *g)
{
	print_id(out, &g->id);
	print_fault(out, "    ", "Accepted", g->accepted);
	print_fault(out, "    ", "Programmed", g->programmed);
	print_fault(out, "    ", "ResolvedRefs", g->refs);
	if (g->is_insecure) {
		weir_buf_addz(out, "    InsecureFrontendValidationMode\n");
	}
	if (g->n_attached_sets) {
		weir_buf_printf(out, "    sets %u\n", g->n_attached_sets);
	}
	for (uint32_t i = 0; i < g->n_addresses; i++) {
		char text[WEIR_ADDR_TEXT_MAX];

		weir_buf_printf(out, "    address %s\n",
				weir_ip_format(&g->addresses[i], text));
	}
	for (uint32_t i = 0; i < g->n_listeners; i++) {
		const struct weir_listener_verdict *l = &g->listeners[i];

		weir_buf_printf(out, "    listener %.*s routes %u kinds",
				WEIR_STR_ARG(l->name), l->n_attached);
		for (int k = 0; k < _WEIR_KIND_MAX; k++) {
			if (l->kinds & 1u << k) {
				weir_buf_printf(out, " %s", weir_kind_text(k));
			}
		}
		weir_buf_addz(out, l->kinds ? "\n" : " none\n");
		print_fault(out, "      ", "Accepted", l->accepted);
		print_fault(out, "      ", "Conflicted", l->conflicted);
		print_fault(out, "      ", "ResolvedRefs", l->refs);
		print_fault(out, "      ", "Programmed", l->programmed);
		print_fault(out, "      ", "OverlappingTLSConfig", l->overlap);
	}
}

static void print_route(struct weir_buf *out,
			const struct weir_route_verdict *r)
{
	print_id(out, &r->id);
	print_fault(out, "    ", "Accepted", r->invalid);
	print_fault(out, "    ", "PartiallyInvalid", r->partial);
	for (uint32_t i = 0; i < r->n_parents; i++) {
		const struct weir_parent_verdict *p = &r->parents[i];

		weir_buf_printf(out, "    parent %u%s\n", i,
				!p->is_ours   ? " of others"
				: !p->is_mesh ? ""
					      : " Service");
		print_fault(out, "      ", "Accepted", p->accepted);
		if (p->is_ours) {
			print_fault(out, "      ", "ResolvedRefs",
				    r->refs[p->is_mesh]);
		}
	}
}

static void print_balancer(struct weir_buf *out, const char *which,
			   struct weir_str domain)
{
	if (domain.n == 0) {
		domain = WEIR_STR("mesh only");
	}
	weir_buf_printf(out, "    %s %.*s\n", which, WEIR_STR_ARG(domain));
}

void weir_verdicts_print(const struct weir_verdicts *v, struct weir_buf *out)
{
	weir_buf_addz(out, "verdicts\n");
	for (uint32_t i = 0; i < v->n_classes; i++) {
		print_id(out, &v->classes[i].id);
		print_fault(out, "    ", "Accepted", v->classes[i].accepted);
	}
	for (uint32_t i = 0; i < v->n_gateways; i++) {
		print_gateway(out, &v->gateways[i]);
	}
	for (uint32_t i = 0; i < v->n_routes; i++) {
		print_route(out, &v->routes[i]);
	}
	for (uint32_t i = 0; i < v->n_policies; i++) {
		const struct weir_policy_verdict *p = &v->policies[i];

		print_id(out, &p->id);
		print_fault(out, "    ", "Accepted", p->accepted);
		print_fault(out, "    ", "ResolvedRefs", p->refs);
		for (uint32_t k = 0; k < p->n_ancestors; k++) {
			weir_buf_printf(out, "    ancestor %.*s/%.*s\n",
					WEIR_STR_ARG(p->ancestors[k].ns),
					WEIR_STR_ARG(p->ancestors[k].name));
		}
	}
	for (uint32_t i = 0; i < v->n_kings; i++) {
		const struct weir_king_verdict *k = &v->kings[i];

		print_id(out, &k->id);
		print_fault(out, "    ", "LoadBalancerReady", k->balancer);
		print_balancer(out, "public", k->public_domain);
		print_balancer(out, "private", k->private_domain);
	}
}
