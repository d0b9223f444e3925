/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening blocks that came from elsewhere.  What is checked: every read that
 * the accessors and lookups will do stays inside the block, aligned; every loop
 * ends.  What is not: that the content makes sense.
 */
#include "plan.h"

#include <errno.h>
#include <netinet/in.h>

#include "index.h"

/* Visited bytes per byte of the block.  Spans may be shared (two addresses of
 * one Gateway), so a block is read more than once; overlapping spans must not
 * turn a small block into hours. */
#define WORK_FACTOR 64
#define WORK_MIN (1u << 20)

struct check {
	const char *base;
	uint64_t size;
	uint64_t header_size;
	uint64_t work;
	const struct weir_plan *rules; /* NULL while opening endpoints */
};

static bool span_ok(struct check *c, struct weir_span s, size_t size,
		    size_t align)
{
	uint64_t bytes = (uint64_t)s.n * size;

	if (s.n == 0) {
		/* Pointers to it are formed, if not followed. */
		return s.off <= c->size && s.off % align == 0;
	}
	if (s.off < c->header_size || s.off % align || s.off > c->size ||
	    bytes > c->size - s.off || bytes > c->work) {
		return false;
	}
	c->work -= bytes;
	return true;
}

static bool text_ok(struct check *c, struct weir_span s)
{
	return span_ok(c, s, 1, 1);
}

/* Checks span s of structs and calls fn for each; fn sees only whole ones. */
#define EACH(c, s, type, fn)                                                   \
	({                                                                     \
		bool _ok = span_ok((c), (s), sizeof(type), 8);                 \
		const type *_v = (const type *)((c)->base + (s).off);          \
                                                                               \
		for (uint32_t _i = 0; _ok && _i < (s).n; _i++) {               \
			_ok = fn((c), &_v[_i]);                                \
		}                                                              \
		_ok;                                                           \
	})

static bool index_ok(uint32_t i, struct weir_span among)
{
	return i < among.n;
}

/* A hash over n elements: a power of two in length, entries in range. */
static bool hash_ok(struct check *c, struct weir_span s, uint32_t n)
{
	const uint32_t *v = (const uint32_t *)(c->base + s.off);

	if (!span_ok(c, s, sizeof(uint32_t), 4) || (s.n & (s.n - 1)) != 0) {
		return false;
	}
	for (uint32_t i = 0; i < s.n; i++) {
		uint32_t entry = v[i] & ~WEIR_INDEX_TAG;

		if (entry > n || (entry == 0 && v[i])) {
			return false;
		}
	}
	return true;
}

static bool list_ok(struct check *c, struct weir_span s, uint32_t n,
		    bool may_be_none)
{
	const uint32_t *v = (const uint32_t *)(c->base + s.off);

	if (!span_ok(c, s, sizeof(uint32_t), 4)) {
		return false;
	}
	for (uint32_t i = 0; i < s.n; i++) {
		if (v[i] >= n && !(may_be_none && v[i] == WEIR_NONE)) {
			return false;
		}
	}
	return true;
}

static bool object_ok(struct check *c, const struct weir_pobject *o)
{
	return text_ok(c, o->kind) && text_ok(c, o->ns) && text_ok(c, o->name);
}

static bool cond_ok(struct check *c, const struct weir_cond *x)
{
	return text_ok(c, x->name) && text_ok(c, x->value) &&
	       x->type < _WEIR_COND_MAX &&
	       (x->type != WEIR_COND_REGEX ||
		index_ok(x->regex, c->rules->regexes));
}

static bool match_ok(struct check *c, const struct weir_match *m)
{
	return text_ok(c, m->path) && text_ok(c, m->method) &&
	       m->path_type < _WEIR_PATH_MAX &&
	       (m->path_type != WEIR_PATH_REGEX ||
		index_ok(m->regex, c->rules->regexes)) &&
	       index_ok(m->rule, c->rules->rules) &&
	       EACH(c, m->headers, struct weir_cond, cond_ok) &&
	       EACH(c, m->query, struct weir_cond, cond_ok);
}

static bool table_ok(struct check *c, const struct weir_table *t)
{
	uint32_t n = t->matches.n;
	const struct weir_match *m;

	if (!EACH(c, t->matches, struct weir_match, match_ok)) {
		return false;
	}
	m = (const struct weir_match *)(c->base + t->matches.off);
	for (uint32_t i = 0; i < n; i++) {
		/* Only forward: a chain ends. */
		if (m[i].next != WEIR_NONE &&
		    (m[i].next <= i || m[i].next >= n)) {
			return false;
		}
	}
	return hash_ok(c, t->exact, n) && hash_ok(c, t->prefix, n) &&
	       list_ok(c, t->regex, n, false);
}

static bool vhost_ok(struct check *c, const struct weir_vhost *v)
{
	return text_ok(c, v->hostname) &&
	       EACH(c, v->tables, struct weir_table, table_ok) &&
	       EACH(c, v->grpc, struct weir_table, table_ok);
}

static bool listener_ok(struct check *c, const struct weir_listener *l)
{
	return text_ok(c, l->name) && text_ok(c, l->hostname) &&
	       index_ok(l->object, c->rules->objects) &&
	       (!(l->flags & WEIR_LISTENER_TLS_TERMINATE) || l->certs.n) &&
	       list_ok(c, l->certs, c->rules->certs.n, false) &&
	       list_ok(c, l->client_cas, c->rules->cas.n, false) &&
	       l->backend_cert <= c->rules->certs.n &&
	       EACH(c, l->vhosts, struct weir_vhost, vhost_ok) &&
	       hash_ok(c, l->host_index, l->vhosts.n);
}

static bool frontend_ok(struct check *c, const struct weir_frontend *f)
{
	if (f->mode >= _WEIR_MODE_MAX || f->origin >= _WEIR_ORIGIN_MAX ||
	    f->plane >= _WEIR_PLANE_MAX || f->reason >= _WEIR_REASON_MAX ||
	    (f->proto != IPPROTO_TCP && f->proto != IPPROTO_UDP) ||
	    !index_ok(f->object, c->rules->objects)) {
		return false;
	}
	if (f->rule == WEIR_NONE
		    ? f->mode == WEIR_MODE_TCP || f->mode == WEIR_MODE_UDP
		    : !index_ok(f->rule, c->rules->rules)) {
		return false;
	}
	return text_ok(c, f->consumer_ns) &&
	       EACH(c, f->listeners, struct weir_listener, listener_ok) &&
	       hash_ok(c, f->host_index, f->listeners.n);
}

static bool mod_ok(struct check *c, const struct weir_header_mod *m)
{
	return text_ok(c, m->name) && text_ok(c, m->value) &&
	       m->op < _WEIR_HEADER_OP_MAX;
}

static bool filter_ok(struct check *c, const struct weir_filter *f)
{
	return f->type < _WEIR_FILTER_MAX &&
	       f->path_mod <= WEIR_PATH_MOD_PREFIX &&
	       EACH(c, f->mods, struct weir_header_mod, mod_ok) &&
	       text_ok(c, f->scheme) && text_ok(c, f->hostname) &&
	       text_ok(c, f->path) && text_ok(c, f->matched_prefix) &&
	       (f->type != WEIR_FILTER_REDIRECT ||
		(f->status >= 300 && f->status <= 399));
}

static bool ref_ok(struct check *c, const struct weir_ref *r)
{
	return index_ok(r->object, c->rules->objects) &&
	       r->state < _WEIR_REF_MAX && r->proto <= WEIR_BACKEND_RAW &&
	       (r->state == WEIR_REF_OK || r->group != WEIR_NONE
			? index_ok(r->group, c->rules->groups)
			: true) &&
	       EACH(c, r->filters, struct weir_filter, filter_ok) &&
	       text_ok(c, r->detail) && r->tls <= c->rules->backend_tls.n &&
	       r->revision <= c->rules->revisions.n;
}

static bool revision_ok(struct check *c, const struct weir_revision *r)
{
	return text_ok(c, r->ns) && text_ok(c, r->name) &&
	       index_ok(r->pods, c->rules->groups);
}

static bool san_ok(struct check *c, const struct weir_san *s)
{
	return text_ok(c, s->value) && s->type < _WEIR_SAN_MAX;
}

static bool backend_tls_ok(struct check *c, const struct weir_backend_tls *t)
{
	return text_ok(c, t->hostname) &&
	       index_ok(t->object, c->rules->objects) &&
	       EACH(c, t->sans, struct weir_san, san_ok) &&
	       list_ok(c, t->cas, c->rules->cas.n, false);
}

static bool cert_ok(struct check *c, const struct weir_plan_cert *x)
{
	return index_ok(x->object, c->rules->objects);
}

static bool client_ok(struct check *c, const struct weir_client_addr *x)
{
	return text_ok(c, x->ns);
}

static bool rule_ok(struct check *c, const struct weir_rule *r)
{
	const struct weir_slot *slots =
		(const struct weir_slot *)(c->base + r->slots.off);

	if (!index_ok(r->object, c->rules->objects) || !text_ok(c, r->name) ||
	    r->plane >= _WEIR_PLANE_MAX || r->reason >= _WEIR_REASON_MAX ||
	    !EACH(c, r->refs, struct weir_ref, ref_ok) ||
	    !EACH(c, r->filters, struct weir_filter, filter_ok) ||
	    !span_ok(c, r->slots, sizeof(*slots), 8)) {
		return false;
	}
	for (uint32_t i = 0; i < r->slots.n; i++) {
		if (slots[i].alias >= r->slots.n ||
		    slots[i].group >= r->refs.n) {
			return false;
		}
	}
	return true;
}

static bool group_ok(struct check *c, const struct weir_group *g)
{
	return index_ok(g->object, c->rules->objects) &&
	       text_ok(c, g->port_name);
}

static bool local_ok(struct check *c, const struct weir_local_addr *a)
{
	return index_ok(a->object, c->rules->objects);
}

static bool regex_ok(struct check *c, const struct weir_span *s)
{
	return text_ok(c, *s);
}

/* Sorted, as the binary search of weir_find_frontend() needs it: what is out
 * of order would not be found. */
static bool frontends_sorted(const struct weir_plan *p)
{
	const struct weir_frontend *f = weir_plan_at(p, p->frontends);

	for (uint32_t i = 1; i < p->frontends.n; i++) {
		int r = weir_frontend_cmp(p, &f[i - 1], &f[i]);

		if (r >= 0) {
			return false;
		}
	}
	return true;
}

static bool rules_ok(struct check *c, const struct weir_plan *p)
{
	/* Spans first: the indices are checked against their n. */
	if (!span_ok(c, p->objects, sizeof(struct weir_pobject), 8) ||
	    !span_ok(c, p->rules, sizeof(struct weir_rule), 8) ||
	    !span_ok(c, p->groups, sizeof(struct weir_group), 8) ||
	    !span_ok(c, p->regexes, sizeof(struct weir_span), 8) ||
	    !span_ok(c, p->revisions, sizeof(struct weir_revision), 8) ||
	    p->autoscaler > p->groups.n ||
	    !span_ok(c, p->backend_tls, sizeof(struct weir_backend_tls), 8)) {
		return false;
	}
	return EACH(c, p->objects, struct weir_pobject, object_ok) &&
	       EACH(c, p->regexes, struct weir_span, regex_ok) &&
	       EACH(c, p->certs, struct weir_plan_cert, cert_ok) &&
	       EACH(c, p->cas, struct weir_plan_cert, cert_ok) &&
	       EACH(c, p->backend_tls, struct weir_backend_tls,
		    backend_tls_ok) &&
	       EACH(c, p->clients, struct weir_client_addr, client_ok) &&
	       EACH(c, p->groups, struct weir_group, group_ok) &&
	       EACH(c, p->revisions, struct weir_revision, revision_ok) &&
	       EACH(c, p->rules, struct weir_rule, rule_ok) &&
	       EACH(c, p->frontends, struct weir_frontend, frontend_ok) &&
	       EACH(c, p->local_addrs, struct weir_local_addr, local_ok) &&
	       frontends_sorted(p) &&
	       list_ok(c, p->proxied, p->frontends.n, true);
}

static bool set_ok(struct check *c, const struct weir_span *s)
{
	return span_ok(c, *s, sizeof(struct weir_endpoint), 8);
}

/* The common head of both blocks: magic, version, header_size, size. */
static int head_ok(const void *p, size_t size, uint32_t magic,
		   size_t header_size)
{
	const struct weir_plan *h = p;

	if (size < offsetof(struct weir_plan, generation) ||
	    (uintptr_t)p % 8 != 0 || h->magic != magic) {
		return -EBADMSG;
	}
	if (h->version != WEIR_PLAN_VERSION) {
		return -EPROTO;
	}
	if (h->header_size != header_size || size < header_size ||
	    h->size != size || size > UINT32_MAX) {
		return -EBADMSG;
	}
	return 0;
}

static struct check check_new(const void *p, size_t size, size_t header_size)
{
	return (struct check){
		.base = p,
		.size = size,
		.header_size = header_size,
		.work = (uint64_t)size * WORK_FACTOR + WORK_MIN,
	};
}

int weir_plan_open(const void *rules, size_t rules_size, const void *eps,
		   size_t eps_size, struct weir_plan_view *ret_view)
{
	const struct weir_plan *p = rules;
	const struct weir_eps *e = eps;
	struct check c;
	int r;

	r = head_ok(rules, rules_size, WEIR_PLAN_MAGIC, sizeof(*p));
	if (r < 0) {
		return r;
	}
	r = head_ok(eps, eps_size, WEIR_EPS_MAGIC, sizeof(*e));
	if (r < 0) {
		return r;
	}
	c = check_new(rules, rules_size, sizeof(*p));
	c.rules = p;
	if (!rules_ok(&c, p)) {
		return -EBADMSG;
	}
	c = check_new(eps, eps_size, sizeof(*e));
	if (!EACH(&c, e->sets, struct weir_span, set_ok) ||
	    e->sets.n != p->groups.n ||
	    e->groups_hash != weir_plan_groups_hash(p)) {
		return -EBADMSG;
	}
	*ret_view = (struct weir_plan_view){.rules = p, .eps = e};
	return 0;
}

int weir_frontend_cmp(const struct weir_plan *plan,
		      const struct weir_frontend *a,
		      const struct weir_frontend *b)
{
	int r = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	if (r == 0) {
		r = memcmp(&a->port_be, &b->port_be, sizeof(a->port_be));
	}
	if (r == 0) {
		r = (int)a->proto - (int)b->proto;
	}
	if (r == 0) {
		r = weir_str_cmp(weir_plan_str(plan, a->consumer_ns),
				 weir_plan_str(plan, b->consumer_ns));
	}
	return r;
}

uint64_t weir_plan_groups_hash(const struct weir_plan *plan)
{
	const struct weir_group *g = weir_plan_at(plan, plan->groups);
	uint64_t h = plan->groups.n;

	for (uint32_t i = 0; i < plan->groups.n; i++) {
		h = weir_hash64(&g[i].key, sizeof(g[i].key), h);
	}
	return h;
}

static const char *text_of(const char *const v[], size_t n, uint8_t i)
{
	return i < n ? v[i] : "unknown";
}

const char *weir_plane_text(uint8_t plane)
{
	static const char *const text[_WEIR_PLANE_MAX] = {
		[WEIR_PLANE_PROXY] = "proxy",
		[WEIR_PLANE_CONNECTION] = "connect+packet",
		[WEIR_PLANE_HTTP] = "http",
	};

	return text_of(text, _WEIR_PLANE_MAX, plane);
}

const char *weir_reason_text(uint8_t reason)
{
	static const char *const text[_WEIR_REASON_MAX] = {
		[WEIR_REASON_PER_CONNECTION] = "per connection by nature",
		[WEIR_REASON_SPLIT_ASKED] = "weir.dev/split: connection",
		[WEIR_REASON_PER_REQUEST] = "weight is a share of requests",
		[WEIR_REASON_NEEDS_MATCH] = "split by connection asked, but "
					    "requests must be matched",
		[WEIR_REASON_NEEDS_HOST] =
			"split by connection asked, but the hostname decides",
		[WEIR_REASON_NEEDS_FILTER] =
			"split by connection asked, but a filter must run",
		[WEIR_REASON_NEEDS_TIMEOUT] =
			"split by connection asked, but a timeout is set",
		[WEIR_REASON_NEEDS_SERVE_MODE] =
			"split by connection asked, but a revision is scaled "
			"to zero",
		[WEIR_REASON_MIXED_PROTOCOL] = "split by connection asked, but "
					       "backends differ in protocol",
		[WEIR_REASON_TOO_MANY_SLOTS] =
			"more backends than a kernel row holds",
		[WEIR_REASON_NOT_SERVED] = "not served yet",
		[WEIR_REASON_NEEDS_SNI] = "the TLS server name decides",
		[WEIR_REASON_NEEDS_CLIENT] =
			"the namespace of the client decides",
		[WEIR_REASON_NEEDS_REST] =
			"split by connection asked, but a revision slept until "
			"a moment ago",
		[WEIR_REASON_NEEDS_LIMIT] =
			"split by connection asked, but pods of a revision "
			"take a limited number of requests at once",
	};

	return text_of(text, _WEIR_REASON_MAX, reason);
}

const char *weir_mode_text(uint8_t mode)
{
	static const char *const text[_WEIR_MODE_MAX] = {
		[WEIR_MODE_HTTP] = "http", [WEIR_MODE_TCP] = "tcp",
		[WEIR_MODE_UDP] = "udp",   [WEIR_MODE_REFUSE] = "refuse",
		[WEIR_MODE_TLS] = "tls",
	};

	return text_of(text, _WEIR_MODE_MAX, mode);
}

const char *weir_origin_text(uint8_t origin)
{
	static const char *const text[_WEIR_ORIGIN_MAX] = {
		[WEIR_ORIGIN_GATEWAY] = "Gateway",
		[WEIR_ORIGIN_SERVICE] = "Service",
		[WEIR_ORIGIN_KNATIVE] = "Knative",
	};

	return text_of(text, _WEIR_ORIGIN_MAX, origin);
}
