/* SPDX-License-Identifier: Apache-2.0 */
/* Do two plans say the same, index by index, wherever in the block it lies? */
#ifndef WEIR_TESTS_PLAN_SAME_H
#define WEIR_TESTS_PLAN_SAME_H

#include "index.h"
#include "plan.h"
#include "tap.h"

struct same {
	const struct weir_plan *a;
	const struct weir_plan *b;
	const char *what; /* the innermost thing that differs, or NULL */
};

static inline bool same_differs(struct same *s, const char *what)
{
	if (!s->what) {
		s->what = what;
	}
	return false;
}

#define SAME(s, condition) ((condition) || same_differs((s), #condition))

static inline bool same_text(struct same *s, struct weir_span x,
			     struct weir_span y)
{
	return SAME(
		s, weir_str_eq(weir_plan_str(s->a, x), weir_plan_str(s->b, y)));
}

/* Plain numbers. */
static inline bool same_words(struct same *s, struct weir_span x,
			      struct weir_span y, size_t size)
{
	return SAME(s, x.n == y.n) &&
	       SAME(s, x.n == 0 || !memcmp(weir_plan_at(s->a, x),
					   weir_plan_at(s->b, y), x.n * size));
}

#define SAME_EACH(s, x, y, type, fn)                                           \
	({                                                                     \
		const type *_v = weir_plan_at((s)->a, (x));                    \
		const type *_w = weir_plan_at((s)->b, (y));                    \
		bool _is_same = SAME((s), (x).n == (y).n);                     \
                                                                               \
		for (uint32_t _i = 0; _is_same && _i < (x).n; _i++) {          \
			_is_same = fn((s), &_v[_i], &_w[_i]);                  \
		}                                                              \
		_is_same;                                                      \
	})

static inline bool same_object(struct same *s, const struct weir_pobject *x,
			       const struct weir_pobject *y)
{
	return same_text(s, x->kind, y->kind) && same_text(s, x->ns, y->ns) &&
	       same_text(s, x->name, y->name) &&
	       SAME(s, x->generation == y->generation);
}

static inline bool same_group(struct same *s, const struct weir_group *x,
			      const struct weir_group *y)
{
	return SAME(s, x->key == y->key) && SAME(s, x->object == y->object) &&
	       SAME(s, x->port == y->port) &&
	       same_text(s, x->port_name, y->port_name) &&
	       SAME(s, x->flags == y->flags) &&
	       SAME(s, x->concurrency == y->concurrency);
}

static inline bool same_revision(struct same *s, const struct weir_revision *x,
				 const struct weir_revision *y)
{
	return same_text(s, x->ns, y->ns) && same_text(s, x->name, y->name) &&
	       SAME(s, x->pods == y->pods) &&
	       SAME(s, x->program_be == y->program_be);
}

static inline bool same_mod(struct same *s, const struct weir_header_mod *x,
			    const struct weir_header_mod *y)
{
	return same_text(s, x->name, y->name) &&
	       same_text(s, x->value, y->value) && SAME(s, x->op == y->op);
}

static inline bool same_filter(struct same *s, const struct weir_filter *x,
			       const struct weir_filter *y)
{
	return SAME(s, x->type == y->type) &&
	       SAME(s, x->path_mod == y->path_mod) &&
	       SAME_EACH(s, x->mods, y->mods, struct weir_header_mod,
			 same_mod) &&
	       same_text(s, x->scheme, y->scheme) &&
	       same_text(s, x->hostname, y->hostname) &&
	       same_text(s, x->path, y->path) &&
	       same_text(s, x->matched_prefix, y->matched_prefix) &&
	       SAME(s, x->port == y->port) && SAME(s, x->status == y->status);
}

static inline bool same_ref(struct same *s, const struct weir_ref *x,
			    const struct weir_ref *y)
{
	return SAME(s, x->key == y->key) && SAME(s, x->weight == y->weight) &&
	       SAME(s, x->object == y->object) &&
	       SAME(s, x->group == y->group) &&
	       SAME_EACH(s, x->filters, y->filters, struct weir_filter,
			 same_filter) &&
	       same_text(s, x->detail, y->detail) &&
	       SAME(s, x->stat == y->stat) && SAME(s, x->state == y->state) &&
	       SAME(s, x->proto == y->proto) && SAME(s, x->index == y->index) &&
	       SAME(s, x->tls == y->tls) && SAME(s, x->revision == y->revision);
}

static inline bool same_rule(struct same *s, const struct weir_rule *x,
			     const struct weir_rule *y)
{
	return SAME(s, x->key == y->key) && SAME(s, x->object == y->object) &&
	       SAME(s, x->index == y->index) &&
	       same_text(s, x->name, y->name) &&
	       same_words(s, x->slots, y->slots, sizeof(struct weir_slot)) &&
	       SAME_EACH(s, x->refs, y->refs, struct weir_ref, same_ref) &&
	       SAME_EACH(s, x->filters, y->filters, struct weir_filter,
			 same_filter) &&
	       SAME(s, x->request_timeout_ms == y->request_timeout_ms) &&
	       SAME(s, x->backend_timeout_ms == y->backend_timeout_ms) &&
	       SAME(s, x->stat == y->stat) && SAME(s, x->plane == y->plane) &&
	       SAME(s, x->reason == y->reason) && SAME(s, x->flags == y->flags);
}

static inline bool same_cond(struct same *s, const struct weir_cond *x,
			     const struct weir_cond *y)
{
	return same_text(s, x->name, y->name) &&
	       same_text(s, x->value, y->value) &&
	       SAME(s, x->type == y->type) && SAME(s, x->regex == y->regex);
}

static inline bool same_match(struct same *s, const struct weir_match *x,
			      const struct weir_match *y)
{
	return same_text(s, x->path, y->path) &&
	       same_text(s, x->method, y->method) &&
	       SAME_EACH(s, x->headers, y->headers, struct weir_cond,
			 same_cond) &&
	       SAME_EACH(s, x->query, y->query, struct weir_cond, same_cond) &&
	       SAME(s, x->path_type == y->path_type) &&
	       SAME(s, x->regex == y->regex) && SAME(s, x->rule == y->rule) &&
	       SAME(s, x->next == y->next);
}

static inline bool same_table(struct same *s, const struct weir_table *x,
			      const struct weir_table *y)
{
	return SAME_EACH(s, x->matches, y->matches, struct weir_match,
			 same_match) &&
	       same_words(s, x->exact, y->exact, 4) &&
	       same_words(s, x->prefix, y->prefix, 4) &&
	       same_words(s, x->regex, y->regex, 4);
}

static inline bool same_vhost(struct same *s, const struct weir_vhost *x,
			      const struct weir_vhost *y)
{
	return same_text(s, x->hostname, y->hostname) &&
	       SAME_EACH(s, x->tables, y->tables, struct weir_table,
			 same_table) &&
	       SAME_EACH(s, x->grpc, y->grpc, struct weir_table, same_table);
}

/* The hash by what it finds: the order in it may differ. */
static inline bool same_hosts(struct same *s, const struct weir_listener *x,
			      const struct weir_listener *y)
{
	const struct weir_vhost *v = weir_plan_at(s->a, x->vhosts);

	for (uint32_t i = 0; i < x->vhosts.n; i++) {
		struct weir_str host = weir_plan_str(s->a, v[i].hostname);
		uint32_t found = weir_index_find_vhost(s->a, x, host);

		if (!SAME(s, found == i || host.n == 0 || host.p[0] == '*') ||
		    !SAME(s, found == weir_index_find_vhost(s->b, y, host))) {
			return false;
		}
	}
	return SAME(s, x->host_index.n == y->host_index.n) &&
	       SAME(s, weir_index_find_vhost(s->a, x, WEIR_STR("no.where")) ==
			       weir_index_find_vhost(s->b, y,
						     WEIR_STR("no.where")));
}

static inline bool same_listener(struct same *s, const struct weir_listener *x,
				 const struct weir_listener *y)
{
	return same_text(s, x->name, y->name) &&
	       same_text(s, x->hostname, y->hostname) &&
	       SAME(s, x->object == y->object) &&
	       SAME(s, x->flags == y->flags) &&
	       SAME_EACH(s, x->vhosts, y->vhosts, struct weir_vhost,
			 same_vhost) &&
	       same_hosts(s, x, y) && same_words(s, x->certs, y->certs, 4) &&
	       same_words(s, x->client_cas, y->client_cas, 4) &&
	       SAME(s, x->backend_cert == y->backend_cert);
}

static inline bool same_frontend(struct same *s, const struct weir_frontend *x,
				 const struct weir_frontend *y)
{
	return SAME(s, !memcmp(&x->addr, &y->addr, sizeof(x->addr))) &&
	       SAME(s, x->port_be == y->port_be) &&
	       SAME(s, x->proto == y->proto) && SAME(s, x->mode == y->mode) &&
	       SAME(s, x->origin == y->origin) &&
	       SAME(s, x->is_local == y->is_local) &&
	       SAME(s, x->plane == y->plane) &&
	       SAME(s, x->reason == y->reason) &&
	       SAME(s, x->object == y->object) && SAME(s, x->rule == y->rule) &&
	       SAME(s, x->proxy_index == y->proxy_index) &&
	       same_text(s, x->consumer_ns, y->consumer_ns) &&
	       SAME_EACH(s, x->listeners, y->listeners, struct weir_listener,
			 same_listener) &&
	       same_words(s, x->host_index, y->host_index, 4);
}

static inline bool same_span_text(struct same *s, const struct weir_span *x,
				  const struct weir_span *y)
{
	return same_text(s, *x, *y);
}

/* Of plans that were opened, without BackendTLSPolicies and consumers. */
static inline bool same_plan(struct same *s)
{
	const struct weir_plan *x = s->a;
	const struct weir_plan *y = s->b;

	return SAME_EACH(s, x->objects, y->objects, struct weir_pobject,
			 same_object) &&
	       SAME_EACH(s, x->groups, y->groups, struct weir_group,
			 same_group) &&
	       SAME_EACH(s, x->revisions, y->revisions, struct weir_revision,
			 same_revision) &&
	       SAME(s, x->autoscaler == y->autoscaler) &&
	       SAME_EACH(s, x->regexes, y->regexes, struct weir_span,
			 same_span_text) &&
	       SAME_EACH(s, x->rules, y->rules, struct weir_rule, same_rule) &&
	       SAME_EACH(s, x->frontends, y->frontends, struct weir_frontend,
			 same_frontend) &&
	       same_words(s, x->proxied, y->proxied, 4) &&
	       same_words(s, x->local_addrs, y->local_addrs,
			  sizeof(struct weir_local_addr)) &&
	       same_words(s, x->certs, y->certs,
			  sizeof(struct weir_plan_cert)) &&
	       SAME(s, x->cas.n == 0 && y->cas.n == 0) &&
	       SAME(s, x->backend_tls.n == 0 && y->backend_tls.n == 0) &&
	       SAME(s, x->clients.n == 0 && y->clients.n == 0) &&
	       SAME(s, x->generation == y->generation);
}

#endif
