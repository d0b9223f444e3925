/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <netinet/in.h>

#include "addr.h"
#include "print.h"

struct json {
	struct weir_buf *out;
	const struct weir_plan *plan;
	const struct weir_eps *eps;
};

static void key(struct json *j, const char *name)
{
	char last = j->out->n ? j->out->p[j->out->n - 1] : 0;

	weir_buf_printf(j->out,
			"%s\"%s\":", last == '{' || last == '[' ? "" : ",",
			name);
}

static void text(struct json *j, const char *name, struct weir_str s)
{
	key(j, name);
	weir_buf_add_json(j->out, s);
}

static void span(struct json *j, const char *name, struct weir_span s)
{
	if (s.n) {
		text(j, name, weir_plan_str(j->plan, s));
	}
}

static void number(struct json *j, const char *name, uint64_t v)
{
	key(j, name);
	weir_buf_printf(j->out, "%" PRIu64, v);
}

static void truth(struct json *j, const char *name, bool v)
{
	if (v) {
		key(j, name);
		weir_buf_addz(j->out, "true");
	}
}

static void object(struct json *j, const char *name, uint32_t index)
{
	const struct weir_pobject *o = WEIR_PLAN_ELEM(
		j->plan, struct weir_pobject, j->plan->objects, index);

	key(j, name);
	weir_buf_addz(j->out, "{");
	span(j, "kind", o->kind);
	span(j, "namespace", o->ns);
	span(j, "name", o->name);
	if (o->generation > 0) {
		number(j, "generation", (uint64_t)o->generation);
	}
	weir_buf_addz(j->out, "}");
}

/* Calls fn for each element of s as the members of one object in a list. */
#define LIST(j, name, s, type, fn)                                             \
	do {                                                                   \
		const type *_v = weir_plan_at((j)->plan, (s));                 \
                                                                               \
		key((j), (name));                                              \
		weir_buf_addz((j)->out, "[");                                  \
		for (uint32_t _i = 0; _i < (s).n; _i++) {                      \
			weir_buf_addz((j)->out, _i ? ",{" : "{");              \
			fn((j), &_v[_i]);                                      \
			weir_buf_addz((j)->out, "}");                          \
		}                                                              \
		weir_buf_addz((j)->out, "]");                                  \
	} while (0)

static void put_filter(struct json *j, const struct weir_filter *f)
{
	struct weir_buf line = {0};

	weir_print_filter(&line, j->plan, f);
	text(j, "text", weir_buf_str(&line));
	weir_buf_fini(&line);
}

static void put_cond(struct json *j, const struct weir_cond *c)
{
	span(j, "name", c->name);
	text(j, "type",
	     c->type == WEIR_COND_REGEX ? WEIR_STR("RegularExpression")
					: WEIR_STR("Exact"));
	text(j, "value", weir_plan_str(j->plan, c->value));
}

static void put_match(struct json *j, const struct weir_match *m)
{
	static const char *const type[_WEIR_PATH_MAX] = {
		[WEIR_PATH_EXACT] = "Exact",
		[WEIR_PATH_PREFIX] = "PathPrefix",
		[WEIR_PATH_REGEX] = "RegularExpression",
		[WEIR_PATH_BYTE_PREFIX] = "BytePrefix",
		[WEIR_PATH_GRPC_METHOD] = "GRPCMethod",
	};

	text(j, "pathType", weir_str_of(type[m->path_type]));
	text(j, "path", weir_plan_str(j->plan, m->path));
	span(j, "method", m->method);
	if (m->headers.n) {
		LIST(j, "headers", m->headers, struct weir_cond, put_cond);
	}
	if (m->query.n) {
		LIST(j, "query", m->query, struct weir_cond, put_cond);
	}
	number(j, "rule", m->rule);
}

static void put_table(struct json *j, const struct weir_table *t)
{
	LIST(j, "matches", t->matches, struct weir_match, put_match);
}

static void put_vhost(struct json *j, const struct weir_vhost *v)
{
	span(j, "hostname", v->hostname);
	LIST(j, "tables", v->tables, struct weir_table, put_table);
	if (v->grpc.n) {
		LIST(j, "grpcTables", v->grpc, struct weir_table, put_table);
	}
}

/* The objects that certificates of the list come from. */
static void certs(struct json *j, const char *name, struct weir_span list,
		  struct weir_span among)
{
	const uint32_t *v = weir_plan_at(j->plan, list);

	if (list.n == 0) {
		return;
	}
	key(j, name);
	weir_buf_addz(j->out, "[");
	for (uint32_t i = 0; i < list.n; i++) {
		weir_buf_addz(j->out, i ? ",{" : "{");
		object(j, "object",
		       WEIR_PLAN_ELEM(j->plan, struct weir_plan_cert, among,
				      v[i])
			       ->object);
		weir_buf_addz(j->out, "}");
	}
	weir_buf_addz(j->out, "]");
}

static void put_listener_tls(struct json *j, const struct weir_listener *l)
{
	if (l->flags & WEIR_LISTENER_TLS_TERMINATE) {
		text(j, "tls", WEIR_STR("Terminate"));
	}
	if (l->flags & WEIR_LISTENER_TLS_PASSTHROUGH) {
		text(j, "tls", WEIR_STR("Passthrough"));
	}
	truth(j, "raw", l->flags & WEIR_LISTENER_RAW);
	certs(j, "certificates", l->certs, j->plan->certs);
	certs(j, "clientAuthorities", l->client_cas, j->plan->cas);
	truth(j, "clientCertificateOptional",
	      l->flags & WEIR_LISTENER_CLIENT_OPTIONAL);
	if (l->backend_cert) {
		object(j, "backendCertificate",
		       WEIR_PLAN_ELEM(j->plan, struct weir_plan_cert,
				      j->plan->certs, l->backend_cert - 1)
			       ->object);
	}
}

static void put_listener(struct json *j, const struct weir_listener *l)
{
	span(j, "name", l->name);
	span(j, "hostname", l->hostname);
	object(j, "object", l->object);
	truth(j, "firstMatch", l->flags & WEIR_LISTENER_FIRST_MATCH);
	put_listener_tls(j, l);
	LIST(j, "hosts", l->vhosts, struct weir_vhost, put_vhost);
}

static void put_frontend(struct json *j, const struct weir_frontend *f)
{
	char addr[WEIR_ADDR_TEXT_MAX];

	text(j, "address",
	     weir_str_of(weir_addr_format(&f->addr, f->port_be, addr)));
	text(j, "protocol",
	     f->proto == IPPROTO_UDP ? WEIR_STR("udp") : WEIR_STR("tcp"));
	text(j, "mode", weir_str_of(weir_mode_text(f->mode)));
	text(j, "origin", weir_str_of(weir_origin_text(f->origin)));
	truth(j, "local", f->is_local);
	text(j, "plane", weir_str_of(weir_plane_text(f->plane)));
	text(j, "reason", weir_str_of(weir_reason_text(f->reason)));
	object(j, "object", f->object);
	span(j, "consumerNamespace", f->consumer_ns);
	if (f->proxy_index) {
		number(j, "proxyIndex", f->proxy_index);
	}
	if (f->rule != WEIR_NONE) {
		number(j, "rule", f->rule);
	}
	if (f->listeners.n) {
		LIST(j, "listeners", f->listeners, struct weir_listener,
		     put_listener);
	}
}

static void put_san(struct json *j, const struct weir_san *s)
{
	text(j, "type",
	     s->type == WEIR_SAN_URI ? WEIR_STR("URI") : WEIR_STR("Hostname"));
	span(j, "value", s->value);
}

static void put_backend_tls(struct json *j, const struct weir_backend_tls *t)
{
	key(j, "tls");
	weir_buf_addz(j->out, "{");
	object(j, "object", t->object);
	span(j, "hostname", t->hostname);
	if (t->sans.n) {
		LIST(j, "subjectAltNames", t->sans, struct weir_san, put_san);
	}
	certs(j, "authorities", t->cas, j->plan->cas);
	weir_buf_addz(j->out, "}");
}

static void put_ref(struct json *j, const struct weir_ref *r)
{
	number(j, "index", r->index);
	number(j, "id", r->stat);
	number(j, "weight", r->weight);
	object(j, "object", r->object);
	text(j, "state", weir_str_of(weir_ref_state_text(r->state)));
	text(j, "protocol", weir_str_of(weir_backend_proto_text(r->proto)));
	if (r->group != WEIR_NONE) {
		number(j, "group", r->group);
	}
	if (r->tls) {
		put_backend_tls(
			j, WEIR_PLAN_ELEM(j->plan, struct weir_backend_tls,
					  j->plan->backend_tls, r->tls - 1));
	}
	if (r->revision) {
		number(j, "revision", r->revision - 1);
	}
	span(j, "detail", r->detail);
	if (r->filters.n) {
		LIST(j, "filters", r->filters, struct weir_filter, put_filter);
	}
}

static void put_rule(struct json *j, const struct weir_rule *r)
{
	object(j, "object", r->object);
	number(j, "index", r->index);
	number(j, "id", r->stat);
	span(j, "name", r->name);
	text(j, "plane", weir_str_of(weir_plane_text(r->plane)));
	text(j, "reason", weir_str_of(weir_reason_text(r->reason)));
	if (r->request_timeout_ms) {
		number(j, "requestTimeoutMs", r->request_timeout_ms);
	}
	if (r->backend_timeout_ms) {
		number(j, "backendTimeoutMs", r->backend_timeout_ms);
	}
	truth(j, "noForwarded", r->flags & WEIR_RULE_NO_FORWARDED);
	truth(j, "affinity", r->flags & WEIR_RULE_AFFINITY);
	truth(j, "grpc", r->flags & WEIR_RULE_GRPC);
	truth(j, "hold", r->flags & WEIR_RULE_HOLD);
	if (r->filters.n) {
		LIST(j, "filters", r->filters, struct weir_filter, put_filter);
	}
	LIST(j, "refs", r->refs, struct weir_ref, put_ref);
	key(j, "shares");
	weir_buf_addz(j->out, "[");
	for (uint32_t i = 0; i < r->refs.n; i++) {
		weir_buf_printf(j->out, "%s%.9f", i ? "," : "",
				weir_plan_share(j->plan, r, i));
	}
	weir_buf_addz(j->out, "]");
}

static void put_group(struct json *j, const struct weir_group *g)
{
	const struct weir_group *first = weir_plan_at(j->plan, j->plan->groups);
	const struct weir_endpoint *e;
	char addr[WEIR_ADDR_TEXT_MAX];
	uint32_t n;

	object(j, "object", g->object);
	number(j, "port", g->port);
	span(j, "portName", g->port_name);
	truth(j, "pods", g->flags & WEIR_GROUP_PODS);
	if (g->concurrency) {
		number(j, "concurrency", g->concurrency);
	}
	e = weir_eps_of(j->eps, (uint32_t)(g - first), &n);
	key(j, "endpoints");
	weir_buf_addz(j->out, "[");
	for (uint32_t i = 0; i < n; i++) {
		weir_buf_addz(j->out, i ? ",{" : "{");
		text(j, "address",
		     weir_str_of(
			     weir_addr_format(&e[i].addr, e[i].port_be, addr)));
		number(j, "id", e[i].stat);
		truth(j, "local", e[i].flags & WEIR_ENDPOINT_LOCAL);
		truth(j, "terminating", e[i].flags & WEIR_ENDPOINT_TERMINATING);
		truth(j, "activator", e[i].flags & WEIR_ENDPOINT_ACTIVATOR);
		truth(j, "unready", e[i].flags & WEIR_ENDPOINT_UNREADY);
		weir_buf_addz(j->out, "}");
	}
	weir_buf_addz(j->out, "]");
}

static void put_revision(struct json *j, const struct weir_revision *r)
{
	span(j, "namespace", r->ns);
	span(j, "name", r->name);
	number(j, "pods", r->pods);
	number(j, "program", ntohs(r->program_be));
}

static void put_local(struct json *j, const struct weir_local_addr *a)
{
	char addr[WEIR_ADDR_TEXT_MAX];

	text(j, "address", weir_str_of(weir_ip_format(&a->addr, addr)));
	object(j, "object", a->object);
}

static void put_client(struct json *j, const struct weir_client_addr *c)
{
	char addr[WEIR_ADDR_TEXT_MAX];

	text(j, "address", weir_str_of(weir_ip_format(&c->addr, addr)));
	span(j, "namespace", c->ns);
}

void weir_plan_print_json(const struct weir_plan_view *view,
			  struct weir_buf *out)
{
	const struct weir_plan *p = view->rules;
	struct json j = {.out = out, .plan = p, .eps = view->eps};

	weir_buf_addz(out, "{");
	number(&j, "version", p->version);
	number(&j, "generation", p->generation);
	number(&j, "endpointsGeneration", view->eps->generation);
	LIST(&j, "localAddresses", p->local_addrs, struct weir_local_addr,
	     put_local);
	LIST(&j, "frontends", p->frontends, struct weir_frontend, put_frontend);
	if (p->clients.n) {
		LIST(&j, "clients", p->clients, struct weir_client_addr,
		     put_client);
	}
	LIST(&j, "rules", p->rules, struct weir_rule, put_rule);
	LIST(&j, "groups", p->groups, struct weir_group, put_group);
	if (p->revisions.n) {
		LIST(&j, "revisions", p->revisions, struct weir_revision,
		     put_revision);
	}
	if (p->autoscaler) {
		number(&j, "autoscaler", p->autoscaler - 1);
	}
	weir_buf_addz(out, "}\n");
}
