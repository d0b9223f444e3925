/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <inttypes.h>
#include <netinet/in.h>

#include "addr.h"

void weir_print_word(struct weir_buf *out, struct weir_str s)
{
	bool is_plain = s.n > 0;

	for (size_t i = 0; i < s.n; i++) {
		is_plain &= s.p[i] > ' ' && s.p[i] < 0x7F && s.p[i] != '"';
	}
	if (is_plain) {
		weir_buf_add_str(out, s);
	} else {
		weir_buf_add_json(out, s);
	}
}

static void put(struct weir_buf *out, const struct weir_plan *plan,
		struct weir_span s)
{
	weir_print_word(out, weir_plan_str(plan, s));
}

void weir_print_object(struct weir_buf *out, const struct weir_plan *plan,
		       uint32_t object)
{
	const struct weir_pobject *o = WEIR_PLAN_ELEM(plan, struct weir_pobject,
						      plan->objects, object);

	put(out, plan, o->kind);
	weir_buf_addz(out, " ");
	if (o->ns.n) {
		put(out, plan, o->ns);
		weir_buf_addz(out, "/");
	}
	put(out, plan, o->name);
}

void weir_print_frontend(struct weir_buf *out, const struct weir_frontend *f)
{
	char text[WEIR_ADDR_TEXT_MAX];

	weir_buf_printf(out, "%s/%s",
			weir_addr_format(&f->addr, f->port_be, text),
			f->proto == IPPROTO_UDP ? "udp" : "tcp");
}

static void print_conds(struct weir_buf *out, const struct weir_plan *plan,
			const char *what, struct weir_span conds)
{
	const struct weir_cond *c = weir_plan_at(plan, conds);

	for (uint32_t i = 0; i < conds.n; i++) {
		weir_buf_printf(out, " %s ", what);
		put(out, plan, c[i].name);
		weir_buf_addz(out, c[i].type == WEIR_COND_REGEX ? "~" : "=");
		put(out, plan, c[i].value);
	}
}

void weir_print_match(struct weir_buf *out, const struct weir_plan *plan,
		      const struct weir_match *match)
{
	static const char *const type[_WEIR_PATH_MAX] = {
		[WEIR_PATH_EXACT] = "exact",
		[WEIR_PATH_PREFIX] = "prefix",
		[WEIR_PATH_REGEX] = "regex",
		[WEIR_PATH_BYTE_PREFIX] = "bytes",
		[WEIR_PATH_GRPC_METHOD] = "grpc-method",
	};

	weir_buf_printf(out, "%s ", type[match->path_type]);
	put(out, plan, match->path);
	if (match->method.n) {
		weir_buf_addz(out, " method ");
		put(out, plan, match->method);
	}
	print_conds(out, plan, "header", match->headers);
	print_conds(out, plan, "query", match->query);
}

const char *weir_ref_state_text(uint8_t state)
{
	static const char *const text[_WEIR_REF_MAX] = {
		[WEIR_REF_OK] = "ok",
		[WEIR_REF_INVALID] = "invalid",
		[WEIR_REF_UNREADY] = "unready",
	};

	return state < _WEIR_REF_MAX ? text[state] : "unknown";
}

const char *weir_backend_proto_text(uint8_t proto)
{
	switch (proto) {
	case WEIR_BACKEND_HTTP1:
		return "http1";
	case WEIR_BACKEND_H2C:
		return "h2c";
	case WEIR_BACKEND_RAW:
		return "raw";
	default:
		return "unknown";
	}
}

void weir_print_ref(struct weir_buf *out, const struct weir_plan *plan,
		    const struct weir_ref *ref)
{
	weir_print_object(out, plan, ref->object);
	if (ref->group != WEIR_NONE) {
		const struct weir_group *g = WEIR_PLAN_ELEM(
			plan, struct weir_group, plan->groups, ref->group);

		/* The alias of a Knative Service ends in another one. */
		if (g->object != ref->object) {
			weir_buf_addz(out, " via ");
			weir_print_object(out, plan, g->object);
		}
		weir_buf_printf(out, ":%" PRIu32, g->port);
	}
	if (ref->detail.n) {
		weir_buf_addz(out, " (");
		weir_buf_add_str(out, weir_plan_str(plan, ref->detail));
		weir_buf_addz(out, ")");
	}
}

static void print_mods(struct weir_buf *out, const struct weir_plan *plan,
		       struct weir_span mods)
{
	static const char *const op[] = {
		[WEIR_HEADER_SET] = "set",
		[WEIR_HEADER_ADD] = "add",
		[WEIR_HEADER_REMOVE] = "remove",
		[WEIR_HEADER_OVERRIDE] = "override",
	};
	const struct weir_header_mod *m = weir_plan_at(plan, mods);

	for (uint32_t i = 0; i < mods.n; i++) {
		weir_buf_printf(out, "%s %s ", i ? "," : "", op[m[i].op]);
		put(out, plan, m[i].name);
		if (m[i].op != WEIR_HEADER_REMOVE) {
			weir_buf_addz(out, "=");
			put(out, plan, m[i].value);
		}
	}
}

static void print_target(struct weir_buf *out, const struct weir_plan *plan,
			 const struct weir_filter *f)
{
	if (f->scheme.n) {
		weir_buf_addz(out, " scheme ");
		put(out, plan, f->scheme);
	}
	if (f->hostname.n) {
		weir_buf_addz(out, " host ");
		put(out, plan, f->hostname);
	}
	if (f->port) {
		weir_buf_printf(out, " port %u", f->port);
	}
	if (f->path_mod == WEIR_PATH_MOD_FULL) {
		weir_buf_addz(out, " path ");
		put(out, plan, f->path);
	} else if (f->path_mod == WEIR_PATH_MOD_PREFIX) {
		weir_buf_addz(out, " prefix ");
		put(out, plan, f->matched_prefix);
		weir_buf_addz(out, " by ");
		put(out, plan, f->path);
	}
}

void weir_print_filter(struct weir_buf *out, const struct weir_plan *plan,
		       const struct weir_filter *f)
{
	switch (f->type) {
	case WEIR_FILTER_REQUEST_HEADERS:
		weir_buf_addz(out, "request headers");
		print_mods(out, plan, f->mods);
		break;
	case WEIR_FILTER_RESPONSE_HEADERS:
		weir_buf_addz(out, "response headers");
		print_mods(out, plan, f->mods);
		break;
	case WEIR_FILTER_REDIRECT:
		weir_buf_printf(out, "redirect %u", f->status);
		print_target(out, plan, f);
		break;
	case WEIR_FILTER_REWRITE:
		weir_buf_addz(out, "rewrite");
		print_target(out, plan, f);
		break;
	default:
		weir_buf_addz(out, "unsupported: answers 500");
		break;
	}
}

double weir_plan_share(const struct weir_plan *plan,
		       const struct weir_rule *rule, uint32_t ref)
{
	const struct weir_slot *s = weir_plan_at(plan, rule->slots);
	const double whole = 4294967296.0;
	double share = 0;

	for (uint32_t i = 0; i < rule->slots.n; i++) {
		double own = s[i].alias == i ? whole : s[i].threshold;

		share += s[i].group == ref ? own : 0;
		share += s[s[i].alias].group == ref ? whole - own : 0;
	}
	return rule->slots.n ? share / (whole * rule->slots.n) : 0;
}

static void print_filters(struct weir_buf *out, const struct weir_plan *plan,
			  const char *indent, struct weir_span filters)
{
	const struct weir_filter *f = weir_plan_at(plan, filters);

	for (uint32_t i = 0; i < filters.n; i++) {
		weir_buf_printf(out, "%sfilter ", indent);
		weir_print_filter(out, plan, &f[i]);
		weir_buf_addz(out, "\n");
	}
}

/* Whose they are; what is in them is nobody's business. */
static void print_certs(struct weir_buf *out, const struct weir_plan *plan,
			const char *what, struct weir_span list,
			struct weir_span among)
{
	const uint32_t *v = weir_plan_at(plan, list);

	for (uint32_t i = 0; i < list.n; i++) {
		weir_buf_addz(out, what);
		weir_print_object(
			out, plan,
			WEIR_PLAN_ELEM(plan, struct weir_plan_cert, among, v[i])
				->object);
	}
}

static void print_backend_tls(struct weir_buf *out,
			      const struct weir_plan *plan, uint32_t index)
{
	const struct weir_backend_tls *t = WEIR_PLAN_ELEM(
		plan, struct weir_backend_tls, plan->backend_tls, index);
	const struct weir_san *san = weir_plan_at(plan, t->sans);

	weir_buf_addz(out, " tls ");
	put(out, plan, t->hostname);
	for (uint32_t i = 0; i < t->sans.n; i++) {
		weir_buf_addz(out,
			      san[i].type == WEIR_SAN_URI ? " uri " : " san ");
		put(out, plan, san[i].value);
	}
	print_certs(out, plan, " ca ", t->cas, plan->cas);
	weir_buf_addz(out, t->cas.n ? " by " : " ca system by ");
	weir_print_object(out, plan, t->object);
}

static void print_rule(struct weir_buf *out, const struct weir_plan *plan,
		       uint32_t index)
{
	const struct weir_rule *r = WEIR_PLAN_ELEM(plan, struct weir_rule,
						   plan->rules, index);
	const struct weir_ref *ref = weir_plan_at(plan, r->refs);

	weir_buf_printf(out, "rule %" PRIu32 " ", index);
	weir_print_object(out, plan, r->object);
	weir_buf_printf(out, " [%" PRIu32 "]", r->index);
	if (r->name.n) {
		weir_buf_addz(out, " name ");
		put(out, plan, r->name);
	}
	weir_buf_printf(out, " plane %s (%s)", weir_plane_text(r->plane),
			weir_reason_text(r->reason));
	if (r->request_timeout_ms) {
		weir_buf_printf(out, " timeout %" PRIu32 "ms",
				r->request_timeout_ms);
	}
	if (r->backend_timeout_ms) {
		weir_buf_printf(out, " backend-timeout %" PRIu32 "ms",
				r->backend_timeout_ms);
	}
	weir_buf_printf(out, "%s%s%s%s\n",
			r->flags & WEIR_RULE_NO_FORWARDED ? " no-forwarded"
							  : "",
			r->flags & WEIR_RULE_AFFINITY ? " affinity" : "",
			r->flags & WEIR_RULE_GRPC ? " grpc" : "",
			r->flags & WEIR_RULE_HOLD ? " hold" : "");
	print_filters(out, plan, "  ", r->filters);
	for (uint32_t i = 0; i < r->refs.n; i++) {
		weir_buf_printf(out,
				"  ref %u weight %" PRIu64 " share %.4f%% ",
				ref[i].index, ref[i].weight,
				100 * weir_plan_share(plan, r, i));
		weir_print_ref(out, plan, &ref[i]);
		weir_buf_printf(out, " %s %s",
				weir_backend_proto_text(ref[i].proto),
				weir_ref_state_text(ref[i].state));
		if (ref[i].tls) {
			print_backend_tls(out, plan, ref[i].tls - 1);
		}
		if (ref[i].revision) {
			weir_buf_printf(out, " woken as revision %" PRIu32,
					ref[i].revision - 1);
		}
		weir_buf_addz(out, "\n");
		print_filters(out, plan, "    ", ref[i].filters);
	}
}

static void print_table(struct weir_buf *out, const struct weir_plan *plan,
			const struct weir_table *t)
{
	const struct weir_match *m = weir_plan_at(plan, t->matches);

	for (uint32_t i = 0; i < t->matches.n; i++) {
		weir_buf_addz(out, "      ");
		weir_print_match(out, plan, &m[i]);
		weir_buf_printf(out, " -> rule %" PRIu32 "\n", m[i].rule);
	}
}

static void print_vhost(struct weir_buf *out, const struct weir_plan *plan,
			const struct weir_vhost *v)
{
	const struct weir_table *t = weir_plan_at(plan, v->tables);

	weir_buf_addz(out, "    host ");
	weir_print_word(out, v->hostname.n ? weir_plan_str(plan, v->hostname)
					   : WEIR_STR("*"));
	weir_buf_addz(out, "\n");
	for (uint32_t i = 0; i < v->tables.n; i++) {
		if (i > 0) {
			weir_buf_addz(out, "      then\n");
		}
		print_table(out, plan, &t[i]);
	}
	t = weir_plan_at(plan, v->grpc);
	for (uint32_t i = 0; i < v->grpc.n; i++) {
		weir_buf_addz(out, i ? "      then grpc\n" : "      grpc\n");
		print_table(out, plan, &t[i]);
	}
}

static void print_tls(struct weir_buf *out, const struct weir_plan *plan,
		      const struct weir_listener *l)
{
	if (l->flags & WEIR_LISTENER_TLS_TERMINATE) {
		weir_buf_addz(out, " tls terminate");
	}
	if (l->flags & WEIR_LISTENER_TLS_PASSTHROUGH) {
		weir_buf_addz(out, " tls passthrough");
	}
	if (l->flags & WEIR_LISTENER_RAW) {
		weir_buf_addz(out, " raw");
	}
	print_certs(out, plan, " certificate ", l->certs, plan->certs);
	print_certs(out, plan, " client-ca ", l->client_cas, plan->cas);
	if (l->flags & WEIR_LISTENER_CLIENT_OPTIONAL) {
		weir_buf_addz(out, " client-optional");
	}
	if (l->backend_cert) {
		weir_buf_addz(out, " backend-certificate ");
		weir_print_object(out, plan,
				  WEIR_PLAN_ELEM(plan, struct weir_plan_cert,
						 plan->certs,
						 l->backend_cert - 1)
					  ->object);
	}
}

static void print_listener(struct weir_buf *out, const struct weir_plan *plan,
			   const struct weir_listener *l)
{
	const struct weir_vhost *v = weir_plan_at(plan, l->vhosts);

	weir_buf_addz(out, "  listener ");
	put(out, plan, l->name);
	weir_buf_addz(out, " host ");
	weir_print_word(out, l->hostname.n ? weir_plan_str(plan, l->hostname)
					   : WEIR_STR("*"));
	weir_buf_addz(out, " of ");
	weir_print_object(out, plan, l->object);
	print_tls(out, plan, l);
	weir_buf_addz(out, l->flags & WEIR_LISTENER_FIRST_MATCH
				   ? " first-match\n"
				   : "\n");
	for (uint32_t i = 0; i < l->vhosts.n; i++) {
		print_vhost(out, plan, &v[i]);
	}
}

static void print_one_frontend(struct weir_buf *out,
			       const struct weir_plan *plan,
			       const struct weir_frontend *f)
{
	const struct weir_listener *l = weir_plan_at(plan, f->listeners);

	weir_buf_addz(out, "frontend ");
	weir_print_frontend(out, f);
	weir_buf_printf(out, " %s of ", weir_mode_text(f->mode));
	weir_print_object(out, plan, f->object);
	if (f->consumer_ns.n) {
		weir_buf_addz(out, " for ");
		put(out, plan, f->consumer_ns);
	}
	weir_buf_printf(out, " origin %s%s plane %s (%s)",
			weir_origin_text(f->origin),
			f->is_local ? " local" : "", weir_plane_text(f->plane),
			weir_reason_text(f->reason));
	if (f->proxy_index) {
		weir_buf_printf(out, " proxy %" PRIu32, f->proxy_index);
	}
	if (f->rule != WEIR_NONE) {
		weir_buf_printf(out, " -> rule %" PRIu32, f->rule);
	}
	weir_buf_addz(out, "\n");
	for (uint32_t i = 0; i < f->listeners.n; i++) {
		print_listener(out, plan, &l[i]);
	}
}

static void print_group(struct weir_buf *out, const struct weir_plan_view *view,
			uint32_t index)
{
	const struct weir_plan *plan = view->rules;
	const struct weir_group *g = WEIR_PLAN_ELEM(plan, struct weir_group,
						    plan->groups, index);
	const struct weir_endpoint *e;
	char text[WEIR_ADDR_TEXT_MAX];
	uint32_t n;

	weir_buf_printf(out, "group %" PRIu32 " ", index);
	weir_print_object(out, plan, g->object);
	weir_buf_printf(out, ":%" PRIu32, g->port);
	if (g->port_name.n) {
		weir_buf_addz(out, " port ");
		put(out, plan, g->port_name);
	}
	if (g->concurrency) {
		weir_buf_printf(out, " concurrency %" PRIu32, g->concurrency);
	}
	weir_buf_addz(out, g->flags & WEIR_GROUP_PODS ? " pods\n" : "\n");
	e = weir_eps_of(view->eps, index, &n);
	for (uint32_t i = 0; i < n; i++) {
		weir_buf_printf(
			out, "  endpoint %s%s%s%s%s\n",
			weir_addr_format(&e[i].addr, e[i].port_be, text),
			e[i].flags & WEIR_ENDPOINT_LOCAL ? " local" : "",
			e[i].flags & WEIR_ENDPOINT_TERMINATING ? " terminating"
							       : "",
			e[i].flags & WEIR_ENDPOINT_ACTIVATOR ? " activator"
							     : "",
			e[i].flags & WEIR_ENDPOINT_UNREADY ? " unready" : "");
	}
}

/* Those that the proxy wakes, and whom it tells. */
static void print_revisions(struct weir_buf *out, const struct weir_plan *plan)
{
	const struct weir_revision *r = weir_plan_at(plan, plan->revisions);

	for (uint32_t i = 0; i < plan->revisions.n; i++) {
		weir_buf_printf(out, "revision %" PRIu32 " ", i);
		put(out, plan, r[i].ns);
		weir_buf_addz(out, "/");
		put(out, plan, r[i].name);
		weir_buf_printf(out, " pods of group %" PRIu32, r[i].pods);
		if (r[i].program_be) {
			weir_buf_printf(out, " program at %u",
					ntohs(r[i].program_be));
		}
		weir_buf_addz(out, "\n");
	}
	if (plan->autoscaler) {
		weir_buf_printf(out, "autoscaler group %" PRIu32 "\n",
				plan->autoscaler - 1);
	}
}

void weir_plan_print(const struct weir_plan_view *view, struct weir_buf *out)
{
	const struct weir_plan *plan = view->rules;
	const struct weir_frontend *f = weir_plan_at(plan, plan->frontends);
	const struct weir_local_addr *a = weir_plan_at(plan, plan->local_addrs);
	char text[WEIR_ADDR_TEXT_MAX];

	for (uint32_t i = 0; i < plan->local_addrs.n; i++) {
		weir_buf_printf(out, "local %s of ",
				weir_ip_format(&a[i].addr, text));
		weir_print_object(out, plan, a[i].object);
		weir_buf_addz(out, "\n");
	}
	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		print_one_frontend(out, plan, &f[i]);
	}
	for (uint32_t i = 0; i < plan->clients.n; i++) {
		const struct weir_client_addr *c = WEIR_PLAN_ELEM(
			plan, struct weir_client_addr, plan->clients, i);

		weir_buf_printf(out, "client %s in ",
				weir_ip_format(&c->addr, text));
		put(out, plan, c->ns);
		weir_buf_addz(out, "\n");
	}
	for (uint32_t i = 0; i < plan->rules.n; i++) {
		print_rule(out, plan, i);
	}
	for (uint32_t i = 0; i < plan->groups.n; i++) {
		print_group(out, view, i);
	}
	print_revisions(out, plan);
}
