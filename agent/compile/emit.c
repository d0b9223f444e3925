/* SPDX-License-Identifier: Apache-2.0 */
/* From the intermediate form to the two blocks of a plan. */
#include "emit.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "index.h"
#include "revision.h"
#include "writer.h"

#define FEW 8 /* elements that need no memory from the arena */

struct emitted_filters {
	struct ir_filters filters;
	struct weir_span span;
};

struct emit {
	struct ir *c;
	struct weir_writer w;
	struct weir_plan head;
	struct weir_str last; /* the text of last_span */
	struct weir_span last_span;
	struct emitted_filters last_of_rules;
	struct emitted_filters last_of_refs;
};

/* A text that others are likely to repeat. */
static struct weir_span text(struct emit *e, struct weir_str s)
{
	if (s.n == 0) {
		return (struct weir_span){0};
	}
	/* Neighbours mostly say the same. */
	if (!weir_str_eq(e->last, s)) {
		e->last_span = weir_writer_text(&e->w, s);
		e->last = s;
	}
	return e->last_span;
}

/* A text that hardly repeats is not worth looking up: names, hosts, paths. */
static struct weir_span name(struct emit *e, struct weir_str s)
{
	return weir_writer_add(&e->w, s.p, s.n, 1);
}

static void emit_objects(struct emit *e)
{
	struct ir *c = e->c;
	struct weir_span span = weir_writer_reserve(
		&e->w, c->n_objects, sizeof(struct weir_pobject));
	struct weir_span kinds[_WEIR_KIND_MAX];

	weir_writer_room(&e->w, span.n, sizeof(struct weir_pobject));
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		kinds[k] = weir_writer_text(
			&e->w, weir_str_of(weir_kind_text((enum weir_kind)k)));
	}
	for (uint32_t i = 0; i < span.n; i++) {
		const struct weir_object *o = c->objects[i].object;
		const struct ir_named *named = c->objects[i].named;
		struct weir_pobject out;

		if (i + 8 < span.n) {
			__builtin_prefetch(c->objects[i + 8].object);
		}
		if (o) {
			out = (struct weir_pobject){
				.kind = kinds[o->kind],
				.ns = text(e, o->ns),
				.name = name(e, o->name),
				.generation = o->generation};
		} else {
			out = (struct weir_pobject){
				.kind = weir_writer_text(&e->w, named->kind),
				.ns = text(e, named->ns),
				.name = name(e, named->name)};
		}
		((struct weir_pobject *)weir_writer_at(&e->w, span))[i] = out;
	}
	e->head.objects = span;
}

static void emit_groups(struct emit *e)
{
	struct ir *c = e->c;
	struct weir_span span = weir_writer_reserve(&e->w, c->n_groups,
						    sizeof(struct weir_group));

	weir_writer_room(&e->w, span.n, sizeof(struct weir_group));
	for (const struct ir_group *g = c->groups; span.n && g;
	     g = g->next_all) {
		struct weir_group out = {.key = g->key,
					 .object = g->object,
					 .port = g->port,
					 .port_name = text(e, g->port_name),
					 .flags = g->flags,
					 .concurrency = g->concurrency};

		((struct weir_group *)weir_writer_at(&e->w,
						     span))[g->index] = out;
	}
	e->head.groups = span;
}

static void emit_revisions(struct emit *e)
{
	struct ir *c = e->c;
	struct weir_span span = weir_writer_reserve(
		&e->w, c->n_revisions, sizeof(struct weir_revision));
	uint32_t i = 0;

	weir_writer_room(&e->w, span.n, sizeof(struct weir_revision));
	for (const struct ir_revision *r = c->revisions; span.n && r;
	     r = r->next, i++) {
		struct weir_revision out = {
			.ns = text(e, r->ns),
			.name = name(e, r->name),
			.pods = r->pods->index,
			.program_be = htons(r->program_port)};

		((struct weir_revision *)weir_writer_at(&e->w, span))[i] = out;
	}
	e->head.revisions = span;
	e->head.autoscaler = c->autoscaler ? c->autoscaler->index + 1 : 0;
}

static void emit_regexes(struct emit *e)
{
	struct ir *c = e->c;
	struct weir_span *v = weir_ir_alloc(c, c->n_regexes, sizeof(*v));

	for (size_t i = 0; v && i < c->n_regexes; i++) {
		v[i] = text(e, c->regexes[i]);
	}
	e->head.regexes = weir_writer_add(&e->w, v, c->n_regexes, sizeof(*v));
}

/* ----------------------------------------------------------------- rules */

static struct weir_span emit_mods(struct emit *e, const struct ir_filter *f)
{
	struct weir_header_mod *v = weir_ir_alloc(e->c, f->n_mods, sizeof(*v));

	for (uint32_t i = 0; v && i < f->n_mods; i++) {
		v[i].name = text(e, f->mods[i].name);
		v[i].value = text(e, f->mods[i].value);
		v[i].op = f->mods[i].op;
	}
	return weir_writer_add(&e->w, v, f->n_mods, sizeof(*v));
}

/* last: the filters of the same place before.  Knative's rules for clients
 * inside and outside have the same ones, and share them. */
static struct weir_span emit_filters(struct emit *e,
				     const struct ir_filters *filters,
				     struct emitted_filters *last)
{
	struct weir_filter *v;

	if (filters->n == 0) {
		return (struct weir_span){0};
	}
	if (weir_ir_is_same_filters(filters, &last->filters)) {
		return last->span;
	}
	v = weir_ir_alloc(e->c, filters->n, sizeof(*v));
	for (uint32_t i = 0; v && i < filters->n; i++) {
		const struct ir_filter *f = &filters->v[i];

		v[i].type = f->type;
		v[i].path_mod = f->path_mod;
		v[i].mods = emit_mods(e, f);
		v[i].scheme = text(e, f->scheme);
		v[i].hostname = text(e, f->hostname);
		v[i].path = text(e, f->path);
		v[i].matched_prefix = text(e, f->matched_prefix);
		v[i].port = f->port;
		v[i].status = f->status;
	}
	last->filters = *filters;
	last->span = weir_writer_add(&e->w, v, filters->n, sizeof(*v));
	return last->span;
}

static struct weir_span emit_refs(struct emit *e, const struct ir_rule *rule,
				  struct weir_ref *v)
{
	for (uint32_t i = 0; i < rule->n_refs; i++) {
		const struct ir_ref *r = &rule->refs[i];

		v[i] = (struct weir_ref){
			.key = r->key,
			.weight = r->weight,
			.object = r->object,
			.group = r->group && r->state == WEIR_REF_OK
					 ? r->group->index
					 : WEIR_NONE,
			.filters = emit_filters(e, &r->filters,
						&e->last_of_refs),
			.detail = text(e, r->detail),
			.state = r->state,
			.proto = r->proto,
			.index = r->index,
			.tls = r->tls,
			.revision = r->revision};
	}
	return weir_writer_add(&e->w, v, rule->n_refs, sizeof(*v));
}

/* Room for every ref, so that a weight that comes or goes moves nothing. */
static struct weir_span emit_slots(struct emit *e, const struct ir_rule *rule)
{
	struct weir_span span = weir_writer_reserve(&e->w, rule->n_refs,
						    sizeof(struct weir_slot));

	if (span.n) {
		weir_ir_slots(rule, weir_writer_at(&e->w, span));
		span.n = rule->n_slots;
	}
	return span;
}

static void emit_rules(struct emit *e)
{
	struct ir *c = e->c;
	struct weir_ref *refs = weir_ir_alloc(c, IR_REFS_MAX, sizeof(*refs));
	struct weir_span span = weir_writer_reserve(&e->w, c->n_rules,
						    sizeof(struct weir_rule));

	if (!refs || span.n == 0) {
		return;
	}
	weir_writer_room(&e->w, span.n, sizeof(struct weir_rule));
	for (const struct ir_rule *r = c->rules; r; r = r->next_all) {
		struct weir_rule out = {
			.key = r->key,
			.object = r->object,
			.index = r->number,
			.name = text(e, r->name),
			.slots = emit_slots(e, r),
			.refs = emit_refs(e, r, refs),
			.filters = emit_filters(e, &r->filters,
						&e->last_of_rules),
			.request_timeout_ms = r->request_timeout_ms,
			.backend_timeout_ms = r->backend_timeout_ms,
			.plane = r->plane,
			.reason = r->reason,
			.flags = r->flags};

		((struct weir_rule *)weir_writer_at(&e->w,
						    span))[r->index] = out;
	}
	e->head.rules = span;
}

/* ------------------------------------------------------------- listeners */

static struct weir_span emit_conds(struct emit *e, const struct ir_cond *from,
				   size_t n)
{
	struct weir_cond *v;

	if (n == 0) {
		return (struct weir_span){0};
	}
	v = weir_ir_alloc(e->c, n, sizeof(*v));
	for (size_t i = 0; v && i < n; i++) {
		v[i].name = text(e, from[i].name);
		v[i].value = text(e, from[i].value);
		v[i].type = from[i].type;
		v[i].regex = from[i].regex;
	}
	return weir_writer_add(&e->w, v, n, sizeof(*v));
}

static struct weir_table emit_table(struct emit *e, struct ir_entry **entries,
				    size_t n)
{
	struct weir_match few[FEW];
	struct weir_match *v = n <= FEW ? few
					: weir_ir_alloc(e->c, n, sizeof(*v));
	struct weir_table table = {0};

	for (size_t i = 0; v && i < n; i++) {
		const struct ir_match *m = entries[i]->match;

		v[i] = (struct weir_match){
			.path = m->path.n == 1 ? text(e, m->path)
					       : name(e, m->path),
			.method = text(e, m->method),
			.headers = emit_conds(e, m->headers, m->n_headers),
			.query = emit_conds(e, m->query, m->n_query),
			.path_type = m->path_type,
			.regex = m->regex,
			.rule = entries[i]->rule->index,
			.next = WEIR_NONE};
	}
	table.matches = weir_writer_add(&e->w, v, n, sizeof(*v));
	weir_index_table(&e->w, &table);
	return table;
}

/* The entries of one sort, sorted; *ret_n of them. */
static struct ir_entry **sorted_entries(struct emit *e,
					const struct ir_vhost *vhost,
					bool is_grpc, struct ir_entry **few,
					size_t *ret_n)
{
	size_t n = is_grpc ? vhost->n_grpc : vhost->n_entries - vhost->n_grpc;
	struct ir_entry **v = few;
	size_t at = 0;

	*ret_n = 0;
	if (n > FEW) {
		v = weir_ir_alloc(e->c, 2 * n, sizeof(*v));
	}
	for (struct ir_entry *x = vhost->entries; n && v && x; x = x->next) {
		if (weir_ir_is_grpc(x) == is_grpc) {
			v[at++] = x;
		}
	}
	if (at) {
		weir_ir_sort_entries(v, v + n, n);
	}
	*ret_n = at;
	return v;
}

/* One table per tier, the more specific original hostname first. */
static struct weir_span emit_tables(struct emit *e,
				    const struct ir_vhost *vhost, bool is_grpc)
{
	struct ir_entry *few[2 * FEW];
	struct ir_entry **entries;
	struct weir_table one;
	struct weir_table *tables = &one;
	size_t n_tiers = 1;
	size_t k = 0;
	size_t n;

	entries = sorted_entries(e, vhost, is_grpc, few, &n);
	if (n == 0) {
		return (struct weir_span){0};
	}
	for (size_t i = 1; i < n; i++) {
		n_tiers += entries[i]->tier != entries[i - 1]->tier;
	}
	if (n_tiers > 1) {
		tables = weir_ir_alloc(e->c, n_tiers, sizeof(*tables));
	}
	if (!tables) {
		return (struct weir_span){0};
	}
	for (size_t from = 0, to = 1; from < n; to++) {
		if (to == n || entries[to]->tier != entries[from]->tier) {
			tables[k++] = emit_table(e, entries + from, to - from);
			from = to;
		}
	}
	return weir_writer_add(&e->w, tables, n_tiers, sizeof(*tables));
}

static bool has_same_entries(const struct ir_vhost *x, const struct ir_vhost *y)
{
	const struct ir_entry *a = x->entries;
	const struct ir_entry *b = y->entries;

	while (a && b && a->match == b->match && a->rule == b->rule &&
	       a->tier == b->tier) {
		a = a->next;
		b = b->next;
	}
	return !a && !b;
}

/* Routes and KIngresses have the same at each of their hosts. */
static struct weir_span emit_shared_tables(struct emit *e,
					   const struct ir_vhost *vhost)
{
	struct ir_rule *rule = vhost->entries ? vhost->entries->rule : NULL;
	struct weir_span span;

	if (rule && rule->tabled && has_same_entries(rule->tabled, vhost)) {
		return rule->tables;
	}
	span = emit_tables(e, vhost, false);
	if (rule) {
		rule->tabled = vhost;
		rule->tables = span;
	}
	return span;
}

/* Its hostname's first bytes decide mostly, and without a cache miss. */
struct sorted_vhost {
	uint64_t first;
	const struct ir_vhost *vhost;
};

static uint64_t first_bytes(struct weir_str s)
{
	uint64_t v = 0;

	if (s.n) {
		memcpy(&v, s.p, s.n < sizeof(v) ? s.n : sizeof(v));
	}
	return be64toh(v);
}

static int compare_vhosts(const void *a, const void *b)
{
	const struct sorted_vhost *x = a;
	const struct sorted_vhost *y = b;

	if (x->first != y->first) {
		return x->first < y->first ? -1 : 1;
	}
	return weir_str_cmp(x->vhost->hostname, y->vhost->hostname);
}

static struct sorted_vhost *sort_vhosts(struct emit *e,
					const struct ir_listener *l)
{
	struct sorted_vhost *v = weir_ir_alloc(e->c, l->n_vhosts, sizeof(*v));
	size_t at = l->n_vhosts;
	bool is_sorted = true;

	/* The list runs backwards. */
	for (const struct ir_vhost *x = l->vhosts; v && x; x = x->next) {
		v[--at] = (struct sorted_vhost){first_bytes(x->hostname), x};
	}
	for (size_t i = 1; v && is_sorted && i < l->n_vhosts; i++) {
		is_sorted = compare_vhosts(&v[i - 1], &v[i]) < 0;
	}
	if (!is_sorted) {
		qsort(v, l->n_vhosts, sizeof(*v), compare_vhosts);
	}
	return v;
}

static void emit_listener(struct emit *e, const struct ir_listener *l,
			  struct weir_listener *out)
{
	struct weir_span span;
	struct sorted_vhost *sorted = sort_vhosts(e, l);

	*out = (struct weir_listener){.name = text(e, l->name),
				      .hostname = text(e, l->hostname),
				      .object = l->object,
				      .flags = l->flags,
				      .backend_cert = l->backend_cert};
	out->certs = weir_writer_add(&e->w, l->certs, l->n_certs,
				     sizeof(*l->certs));
	out->client_cas = weir_writer_add(&e->w, l->client_cas, l->n_client_cas,
					  sizeof(*l->client_cas));
	if (!sorted) {
		return;
	}
	span = weir_writer_reserve(&e->w, l->n_vhosts,
				   sizeof(struct weir_vhost));
	weir_writer_room(&e->w, span.n, sizeof(struct weir_vhost));
	for (uint32_t i = 0; i < span.n; i++) {
		const struct ir_vhost *at = sorted[i].vhost;
		struct weir_vhost v;

		if (i + 8 < span.n) {
			__builtin_prefetch(sorted[i + 8].vhost);
		}
		v = (struct weir_vhost){.hostname = name(e, at->hostname),
					.tables = emit_shared_tables(e, at)};
		if (at->n_grpc) {
			v.grpc = emit_tables(e, at, true);
		}
		((struct weir_vhost *)weir_writer_at(&e->w, span))[i] = v;
	}
	out->vhosts = span;
	out->host_index = weir_index_vhosts(&e->w, out->vhosts);
}

/* ------------------------------------------------------------- frontends */

static void fill_frontend(struct emit *e, const struct ir_claim *claim,
			  struct weir_frontend *out)
{
	const struct ir_front *f = claim->front;

	*out = (struct weir_frontend){
		.addr = claim->addr,
		.port_be = claim->port_be,
		.proto = claim->proto,
		.mode = f->mode,
		.origin = f->origin,
		.is_local = f->is_local,
		.plane = f->plane,
		.reason = f->reason,
		.object = f->object,
		.rule = f->rule ? f->rule->index : WEIR_NONE,
		.consumer_ns = text(e, f->consumer_ns),
		.listeners = f->emitted,
		.host_index = f->emitted_index,
	};
}

static void emit_fronts(struct emit *e)
{
	struct ir *c = e->c;

	for (struct ir_front *f = c->fronts; f; f = f->next) {
		const struct ir_listener *l = f->listeners;
		struct weir_listener *v;

		if ((f->mode != WEIR_MODE_HTTP && f->mode != WEIR_MODE_TLS) ||
		    f->n_addresses == 0) {
			continue;
		}
		if (f->same && f->same->n_addresses) {
			f->emitted = f->same->emitted;
			f->emitted_index = f->same->emitted_index;
			continue;
		}
		v = weir_ir_alloc(c, f->n_listeners, sizeof(*v));
		for (uint32_t i = 0; v && i < f->n_listeners; i++) {
			emit_listener(e, l, &v[i]);
			l = l->next;
		}
		f->emitted = weir_writer_add(&e->w, v, f->n_listeners,
					     sizeof(*v));
		f->emitted_index = weir_index_listeners(&e->w, f->emitted);
	}
}

static void emit_frontends(struct emit *e)
{
	struct ir *c = e->c;
	const struct ir_claim *claims = c->claims;
	struct weir_frontend *v = weir_ir_alloc(c, c->n_claims, sizeof(*v));
	size_t n = v ? c->n_claims : 0;

	for (size_t i = 0; i < n; i++) {
		fill_frontend(e, &claims[i], &v[i]);
	}
	e->head.frontends = weir_writer_add(&e->w, v, n, sizeof(*v));
	weir_writer_room(&e->w, e->head.frontends.n, sizeof(*v));
	e->head.proxied = weir_index_proxied(&e->w, e->head.frontends);
}

/* The addresses of Gateways, once each, in order. */
static void emit_local_addrs(struct emit *e)
{
	const struct weir_frontend *f = weir_writer_at(&e->w,
						       e->head.frontends);
	uint32_t n_fronts = e->head.frontends.n;
	struct weir_local_addr *v = weir_ir_alloc(e->c, n_fronts, sizeof(*v));
	size_t n = 0;

	for (uint32_t i = 0; v && i < n_fronts; i++) {
		if (f[i].is_local &&
		    (n == 0 || !weir_ip_eq(&v[n - 1].addr, &f[i].addr))) {
			v[n].addr = f[i].addr;
			v[n].object = f[i].object;
			n++;
		}
	}
	e->head.local_addrs = weir_writer_add(&e->w, v, n, sizeof(*v));
}

static int emit_rules_block(struct ir *c, void **ret_block, size_t *ret_size)
{
	struct emit e = {.c = c};
	void *block;
	int r;

	weir_writer_init(&e.w, sizeof(struct weir_plan));
	if (c->memory.before) {
		/* Much like it: then nothing is copied while it grows. */
		weir_buf_reserve(&e.w.buf, c->memory.before->size);
	}
	emit_objects(&e);
	emit_groups(&e);
	emit_revisions(&e);
	emit_regexes(&e);
	emit_rules(&e);
	emit_fronts(&e);
	emit_frontends(&e);
	emit_local_addrs(&e);
	e.head.certs = weir_ir_emit_certs(c, &c->certs, &e.w);
	e.head.cas = weir_ir_emit_certs(c, &c->cas, &e.w);
	e.head.backend_tls = weir_ir_emit_backend_tls(c, &e.w);
	e.head.clients = weir_ir_emit_clients(c, &e.w);
	if (c->error) {
		weir_writer_fini(&e.w);
		return c->error;
	}
	r = weir_writer_finish(&e.w, WEIR_PLAN_MAGIC, &block, ret_size);
	if (r < 0) {
		return r;
	}
	((struct weir_plan *)block)->objects = e.head.objects;
	((struct weir_plan *)block)->frontends = e.head.frontends;
	((struct weir_plan *)block)->rules = e.head.rules;
	((struct weir_plan *)block)->groups = e.head.groups;
	((struct weir_plan *)block)->revisions = e.head.revisions;
	((struct weir_plan *)block)->autoscaler = e.head.autoscaler;
	((struct weir_plan *)block)->regexes = e.head.regexes;
	((struct weir_plan *)block)->local_addrs = e.head.local_addrs;
	((struct weir_plan *)block)->proxied = e.head.proxied;
	((struct weir_plan *)block)->certs = e.head.certs;
	((struct weir_plan *)block)->cas = e.head.cas;
	((struct weir_plan *)block)->backend_tls = e.head.backend_tls;
	((struct weir_plan *)block)->clients = e.head.clients;
	*ret_block = block;
	return 0;
}

static int emit_eps_block(struct ir *c, uint64_t groups_hash,
			  struct weir_eps **ret_eps, size_t *ret_size)
{
	struct ir_set *sets = weir_ir_alloc(c, c->n_groups, sizeof(*sets));

	if (!sets) {
		return -ENOMEM;
	}
	for (const struct ir_group *g = c->groups; g; g = g->next_all) {
		sets[g->index] = (struct ir_set){.endpoints = g->endpoints,
						 .n = g->n_endpoints};
	}
	return weir_ir_write_eps(sets, c->n_groups, groups_hash, ret_eps,
				 ret_size);
}

int weir_ir_emit(struct ir *c, struct weir_compiled *ret_compiled)
{
	_cleanup_free_ void *rules = NULL;
	struct weir_eps *eps = NULL;
	size_t rules_size = 0;
	size_t eps_size = 0;
	int r;

	r = emit_rules_block(c, &rules, &rules_size);
	if (r < 0) {
		return r;
	}
	r = emit_eps_block(c, weir_plan_groups_hash(rules), &eps, &eps_size);
	if (r < 0) {
		return r;
	}
	r = weir_ir_emit_secrets(c, ret_compiled);
	if (r < 0) {
		weir_free_ptr(&eps);
		return r;
	}
	ret_compiled->rules = TAKE_PTR(rules);
	ret_compiled->eps = eps;
	ret_compiled->rules_size = rules_size;
	ret_compiled->eps_size = eps_size;
	return 0;
}
