/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of one KIngress put into a copy of the plan of all.  Its block
 * follows the copy as it is, and what is in it is named by offsets that are
 * moved by so much; elements of the arrays that all share (objects, groups,
 * rules, hosts of a gateway, ...) are put into the room behind these
 * (weir_plan_room()), where a full compilation would have them.
 *
 * So it says the same as a full compilation, index by index; only where texts
 * and small arrays lie is another matter.
 */
#include "graft.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "emit.h"
#include "index.h"
#include "writer.h"

#define LISTENERS_MAX 16 /* of gateways: their ports */

struct graft {
	const struct weir_plan *before;
	const struct weir_plan *from;
	struct weir_plan *to; /* the copy, then from */
	uint32_t delta;       /* where from begins in it */
	uint32_t *objects;    /* index in from -> in to */
	uint32_t *groups;
	uint32_t *revisions;
	uint32_t n_rules;                  /* before */
	uint32_t listeners[LISTENERS_MAX]; /* offsets of those that have it */
	uint32_t n_listeners;
};

static void *at(const struct graft *g, struct weir_span s)
{
	return (char *)g->to + s.off;
}

/* A span of from as it is in to. */
static struct weir_span moved(const struct graft *g, struct weir_span s)
{
	return s.n ? (struct weir_span){s.off + g->delta, s.n}
		   : (struct weir_span){0};
}

/* One element more behind the others; NULL: there is no room. */
static void *append(struct graft *g, struct weir_span *array, size_t size)
{
	if (!weir_plan_has_room(array->n, 1)) {
		return NULL;
	}
	return (char *)g->to + array->off + size * array->n++;
}

/* The same in front of element i. */
static void *insert(struct graft *g, struct weir_span *array, size_t size,
		    uint32_t i)
{
	char *p = (char *)g->to + array->off + size * i;

	if (!append(g, array, size)) {
		return NULL;
	}
	memmove(p + size, p, size * (array->n - 1 - i));
	return p;
}

static bool is_text(const struct graft *g, struct weir_span in_to,
		    struct weir_span in_from)
{
	return weir_str_eq(weir_plan_str(g->to, in_to),
			   weir_plan_str(g->from, in_from));
}

/* ------------------------------------------- what hangs on a rule or host
 *
 * Read in from and written in to, so that what is shared may be met twice. */

static void move_mods(const struct graft *g, struct weir_span s)
{
	const struct weir_header_mod *v = weir_plan_at(g->from, s);
	struct weir_header_mod *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		out[i].name = moved(g, v[i].name);
		out[i].value = moved(g, v[i].value);
	}
}

static struct weir_span move_filters(const struct graft *g, struct weir_span s)
{
	const struct weir_filter *v = weir_plan_at(g->from, s);
	struct weir_filter *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		out[i].mods = moved(g, v[i].mods);
		out[i].scheme = moved(g, v[i].scheme);
		out[i].hostname = moved(g, v[i].hostname);
		out[i].path = moved(g, v[i].path);
		out[i].matched_prefix = moved(g, v[i].matched_prefix);
		move_mods(g, v[i].mods);
	}
	return moved(g, s);
}

static struct weir_span move_conds(const struct graft *g, struct weir_span s)
{
	const struct weir_cond *v = weir_plan_at(g->from, s);
	struct weir_cond *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		out[i].name = moved(g, v[i].name);
		out[i].value = moved(g, v[i].value);
	}
	return moved(g, s);
}

static void move_matches(const struct graft *g, struct weir_span s)
{
	const struct weir_match *v = weir_plan_at(g->from, s);
	struct weir_match *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		out[i].path = moved(g, v[i].path);
		out[i].method = moved(g, v[i].method);
		out[i].headers = move_conds(g, v[i].headers);
		out[i].query = move_conds(g, v[i].query);
		out[i].rule = v[i].rule + g->n_rules;
	}
}

static struct weir_span move_tables(const struct graft *g, struct weir_span s)
{
	const struct weir_table *v = weir_plan_at(g->from, s);
	struct weir_table *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		out[i].matches = moved(g, v[i].matches);
		out[i].exact = moved(g, v[i].exact);
		out[i].prefix = moved(g, v[i].prefix);
		out[i].regex = moved(g, v[i].regex);
		move_matches(g, v[i].matches);
	}
	return moved(g, s);
}

static struct weir_vhost moved_vhost(const struct graft *g,
				     const struct weir_vhost *v)
{
	return (struct weir_vhost){.hostname = moved(g, v->hostname),
				   .tables = move_tables(g, v->tables),
				   .grpc = move_tables(g, v->grpc)};
}

/* Of a frontend that is new. */
static struct weir_span move_listeners(const struct graft *g,
				       struct weir_span s)
{
	const struct weir_listener *v = weir_plan_at(g->from, s);
	struct weir_listener *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		const struct weir_vhost *hosts = weir_plan_at(g->from,
							      v[i].vhosts);
		struct weir_vhost *hosts_out = at(g, moved(g, v[i].vhosts));

		out[i].name = moved(g, v[i].name);
		out[i].hostname = moved(g, v[i].hostname);
		out[i].object = g->objects[v[i].object];
		out[i].vhosts = moved(g, v[i].vhosts);
		out[i].host_index = moved(g, v[i].host_index);
		for (uint32_t k = 0; k < v[i].vhosts.n; k++) {
			hosts_out[k] = moved_vhost(g, &hosts[k]);
		}
	}
	return moved(g, s);
}

/* ------------------------------------------------ objects, groups, revisions
 */

static int map_objects(struct graft *g)
{
	const struct weir_pobject *v = weir_plan_at(g->from, g->from->objects);
	const struct weir_pobject *have = weir_plan_at(g->to, g->to->objects);
	uint32_t n = g->to->objects.n;

	for (uint32_t i = 0; i < g->from->objects.n; i++) {
		struct weir_pobject *out;
		uint32_t k = 0;

		while (k < n && (have[k].name.n != v[i].name.n ||
				 !is_text(g, have[k].name, v[i].name) ||
				 !is_text(g, have[k].ns, v[i].ns) ||
				 !is_text(g, have[k].kind, v[i].kind))) {
			k++;
		}
		g->objects[i] = k;
		if (k < n) {
			if (have[k].generation != v[i].generation) {
				return -EAGAIN;
			}
			continue;
		}
		g->objects[i] = g->to->objects.n;
		out = append(g, &g->to->objects, sizeof(*out));
		if (!out) {
			return -EAGAIN;
		}
		*out = (struct weir_pobject){.kind = moved(g, v[i].kind),
					     .ns = moved(g, v[i].ns),
					     .name = moved(g, v[i].name),
					     .generation = v[i].generation};
	}
	return 0;
}

static int map_groups(struct graft *g)
{
	const struct weir_group *v = weir_plan_at(g->from, g->from->groups);
	const struct weir_group *have = weir_plan_at(g->to, g->to->groups);
	uint32_t n = g->to->groups.n;

	for (uint32_t i = 0; i < g->from->groups.n; i++) {
		struct weir_group *out;
		uint32_t k = 0;

		while (k < n && have[k].key != v[i].key) {
			k++;
		}
		g->groups[i] = k;
		if (k < n) {
			/* Others may ask for something else of it. */
			if (have[k].object != g->objects[v[i].object] ||
			    have[k].port != v[i].port ||
			    have[k].flags != v[i].flags ||
			    have[k].concurrency != v[i].concurrency ||
			    !is_text(g, have[k].port_name, v[i].port_name)) {
				return -EAGAIN;
			}
			continue;
		}
		g->groups[i] = g->to->groups.n;
		out = append(g, &g->to->groups, sizeof(*out));
		if (!out) {
			return -EAGAIN;
		}
		*out = v[i];
		out->object = g->objects[v[i].object];
		out->port_name = moved(g, v[i].port_name);
	}
	return 0;
}

static int map_revisions(struct graft *g)
{
	const struct weir_revision *v = weir_plan_at(g->from,
						     g->from->revisions);
	const struct weir_revision *have = weir_plan_at(g->to,
							g->to->revisions);
	uint32_t n = g->to->revisions.n;

	for (uint32_t i = 0; i < g->from->revisions.n; i++) {
		struct weir_revision *out;
		uint32_t k = 0;

		while (k < n && (!is_text(g, have[k].name, v[i].name) ||
				 !is_text(g, have[k].ns, v[i].ns))) {
			k++;
		}
		g->revisions[i] = k;
		if (k < n) {
			if (have[k].pods != g->groups[v[i].pods] ||
			    have[k].program_be != v[i].program_be) {
				return -EAGAIN;
			}
			continue;
		}
		g->revisions[i] = g->to->revisions.n;
		out = append(g, &g->to->revisions, sizeof(*out));
		if (!out) {
			return -EAGAIN;
		}
		*out = v[i];
		out->ns = moved(g, v[i].ns);
		out->name = moved(g, v[i].name);
		out->pods = g->groups[v[i].pods];
	}
	if (g->from->autoscaler) {
		uint32_t place = g->groups[g->from->autoscaler - 1] + 1;

		if (g->to->autoscaler && g->to->autoscaler != place) {
			return -EAGAIN;
		}
		g->to->autoscaler = place;
	}
	return 0;
}

/* Whether weir wakes a revision is for the oldest KIngress to say that names
 * it. */
static bool is_known_revision(const struct graft *g, uint32_t group)
{
	const struct weir_group *v = weir_plan_at(g->to, g->to->groups);
	const struct weir_pobject *service = WEIR_PLAN_ELEM(
		g->to, struct weir_pobject, g->to->objects, v[group].object);
	const struct weir_revision *r = weir_plan_at(g->to, g->to->revisions);

	for (uint32_t i = 0; i < g->before->revisions.n; i++) {
		if (weir_str_eq(weir_plan_str(g->to, r[i].name),
				weir_plan_str(g->to, service->name)) &&
		    weir_str_eq(weir_plan_str(g->to, r[i].ns),
				weir_plan_str(g->to, service->ns))) {
			return true;
		}
	}
	return false;
}

/* Another KIngress names its Service already, if at another port. */
static bool has_service(const struct graft *g, uint32_t group)
{
	const struct weir_group *v = weir_plan_at(g->to, g->to->groups);

	return v[group].object < g->before->objects.n;
}

/* -------------------------------------------------------------------- rules */

static int move_refs(const struct graft *g, struct weir_span s)
{
	const struct weir_ref *v = weir_plan_at(g->from, s);
	struct weir_ref *out = at(g, moved(g, s));

	for (uint32_t i = 0; i < s.n; i++) {
		bool is_woken = v[i].revision != 0;
		uint32_t group;

		if (v[i].state != WEIR_REF_OK || v[i].tls) {
			return -EAGAIN;
		}
		group = g->groups[v[i].group];
		if ((has_service(g, group) || !is_woken ||
		     g->revisions[v[i].revision - 1] <
			     g->before->revisions.n) &&
		    is_known_revision(g, group) != is_woken) {
			return -EAGAIN;
		}
		out[i].object = g->objects[v[i].object];
		out[i].group = group;
		out[i].filters = move_filters(g, v[i].filters);
		out[i].detail = moved(g, v[i].detail);
		out[i].revision = is_woken ? g->revisions[v[i].revision - 1] + 1
					   : 0;
	}
	return 0;
}

static int add_rules(struct graft *g)
{
	const struct weir_rule *v = weir_plan_at(g->from, g->from->rules);

	for (uint32_t i = 0; i < g->from->rules.n; i++) {
		struct weir_rule *out = append(g, &g->to->rules, sizeof(*out));
		int r;

		/* Another reason may be that of the gateway as a whole. */
		if (!out || v[i].plane != WEIR_PLANE_PROXY ||
		    v[i].reason != WEIR_REASON_PER_REQUEST) {
			return -EAGAIN;
		}
		r = move_refs(g, v[i].refs);
		if (r < 0) {
			return r;
		}
		*out = v[i];
		out->object = g->objects[v[i].object];
		out->name = moved(g, v[i].name);
		out->slots = moved(g, v[i].slots);
		out->refs = moved(g, v[i].refs);
		out->filters = move_filters(g, v[i].filters);
	}
	return 0;
}

/* --------------------------------------------------------------- frontends */

static int add_vhost(struct graft *g, struct weir_listener *l,
		     const struct weir_vhost *vhost)
{
	const struct weir_vhost *v = weir_plan_at(g->to, l->vhosts);
	struct weir_str name = weir_plan_str(g->from, vhost->hostname);
	struct weir_vhost *out;
	uint32_t lo = 0;
	uint32_t hi = l->vhosts.n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int r = weir_str_cmp(weir_plan_str(g->to, v[mid].hostname),
				     name);

		if (r == 0) {
			return -EAGAIN;
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	out = insert(g, &l->vhosts, sizeof(*out), lo);
	if (!out) {
		return -EAGAIN;
	}
	*out = moved_vhost(g, vhost);
	return weir_index_insert_vhost(g->to, l, lo) < 0 ? -EAGAIN : 0;
}

/* A port of a gateway, which has hosts of others: they may be those of another
 * port as well, at the same place. */
static int join_listener(struct graft *g, struct weir_frontend *f,
			 const struct weir_frontend *with)
{
	struct weir_listener *l = at(g, f->listeners);
	const struct weir_listener *other = weir_plan_at(g->from,
							 with->listeners);
	const struct weir_vhost *v = weir_plan_at(g->from, other->vhosts);

	if (f->mode != with->mode || f->origin != with->origin ||
	    f->is_local != with->is_local ||
	    f->object != g->objects[with->object] || f->listeners.n != 1 ||
	    with->listeners.n != 1 || l->flags != other->flags ||
	    l->object != g->objects[other->object]) {
		return -EAGAIN;
	}
	for (uint32_t i = 0; i < g->n_listeners; i++) {
		if (g->listeners[i] == f->listeners.off) {
			return 0;
		}
	}
	if (g->n_listeners == LISTENERS_MAX) {
		return -EAGAIN;
	}
	g->listeners[g->n_listeners++] = f->listeners.off;
	for (uint32_t i = 0; i < other->vhosts.n; i++) {
		int r = add_vhost(g, l, &v[i]);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int compare_places(const struct weir_frontend *a,
			  const struct weir_frontend *b)
{
	int r = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	r = r ? r : memcmp(&a->port_be, &b->port_be, sizeof(a->port_be));
	return r ? r : (int)a->proto - (int)b->proto;
}

static int add_frontend(struct graft *g, const struct weir_frontend *f,
			bool *ret_is_new)
{
	struct weir_frontend *v = at(g, g->to->frontends);
	struct weir_frontend *out;
	uint32_t i = 0;

	while (i < g->to->frontends.n && compare_places(&v[i], f) < 0) {
		i++;
	}
	if (f->mode != WEIR_MODE_HTTP || f->plane != WEIR_PLANE_PROXY ||
	    f->reason != WEIR_REASON_PER_REQUEST || f->rule != WEIR_NONE ||
	    f->consumer_ns.n) {
		return -EAGAIN;
	}
	if (i < g->to->frontends.n && compare_places(&v[i], f) == 0) {
		return join_listener(g, &v[i], f);
	}
	/* The address of the placeholder, not a gateway that was shut. */
	if (f->is_local ||
	    g->objects[WEIR_PLAN_ELEM(g->from, struct weir_listener,
				      f->listeners, 0)
			       ->object] < g->before->objects.n) {
		return -EAGAIN;
	}
	out = insert(g, &g->to->frontends, sizeof(*out), i);
	if (!out) {
		return -EAGAIN;
	}
	*out = *f;
	out->object = g->objects[f->object];
	out->listeners = move_listeners(g, f->listeners);
	out->host_index = moved(g, f->host_index);
	*ret_is_new = true;
	return 0;
}

/* Those behind it have moved: where they stand is stamped again. */
static int place_frontends(struct graft *g)
{
	const struct weir_frontend *v = at(g, g->to->frontends);
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->to->frontends.n; i++) {
		n += weir_frontend_is_proxied(&v[i]);
	}
	/* Has none yet, or has too many, which is to be said. */
	return g->to->proxied.n == 0 || n > WEIR_PROXIED_MAX ? -EAGAIN : 0;
}

static int add_frontends(struct graft *g)
{
	const struct weir_frontend *v = weir_plan_at(g->from,
						     g->from->frontends);
	bool is_new = false;

	for (uint32_t i = 0; i < g->from->frontends.n; i++) {
		int r = add_frontend(g, &v[i], &is_new);

		if (r < 0) {
			return r;
		}
	}
	return is_new ? place_frontends(g) : 0;
}

/* -------------------------------------------------------------------- both */

/* Does something wait for a name that nobody had, or is it told by the client
 * what it gets? */
static bool is_open(const struct weir_plan *p)
{
	const struct weir_frontend *f = weir_plan_at(p, p->frontends);
	const struct weir_rule *rules = weir_plan_at(p, p->rules);

	for (uint32_t i = 0; i < p->rules.n; i++) {
		const struct weir_ref *refs = weir_plan_at(p, rules[i].refs);

		for (uint32_t k = 0; k < rules[i].refs.n; k++) {
			if (refs[k].state != WEIR_REF_OK) {
				return true;
			}
		}
	}
	for (uint32_t i = 0; i < p->frontends.n; i++) {
		if (f[i].consumer_ns.n) {
			return true;
		}
	}
	return p->clients.n != 0;
}

static int join_eps(const struct graft *g, const struct weir_plan_view *before,
		    const struct weir_plan_view *from,
		    struct weir_eps **ret_eps, size_t *ret_size)
{
	uint32_t n_before = before->rules->groups.n;
	_cleanup_free_ struct ir_set *sets = calloc(g->to->groups.n + 1,
						    sizeof(*sets));

	if (!sets) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n_before; i++) {
		sets[i].before = weir_eps_of(before->eps, i, &sets[i].n);
	}
	for (uint32_t i = 0; i < from->rules->groups.n; i++) {
		uint32_t to = g->groups[i];

		if (to >= n_before) {
			sets[to].before = weir_eps_of(from->eps, i,
						      &sets[to].n);
		}
	}
	return weir_ir_write_eps(sets, g->to->groups.n,
				 weir_plan_groups_hash(g->to), ret_eps,
				 ret_size);
}

static int copy_both(struct graft *g)
{
	uint64_t size = g->before->size + g->from->size;

	if (size > UINT32_MAX) {
		return -EAGAIN;
	}
	g->to = malloc(size);
	if (!g->to) {
		return -ENOMEM;
	}
	memcpy(g->to, g->before, g->before->size);
	memcpy((char *)g->to + g->before->size, g->from, g->from->size);
	g->to->size = size;
	g->delta = (uint32_t)g->before->size;
	g->n_rules = g->before->rules.n;
	return 0;
}

static int put_in(struct graft *g)
{
	int r = map_objects(g);

	r = r < 0 ? r : map_groups(g);
	r = r < 0 ? r : map_revisions(g);
	r = r < 0 ? r : add_rules(g);
	return r < 0 ? r : add_frontends(g);
}

int weir_ir_graft_plan(const struct weir_plan_view *before,
		       const struct weir_plan_view *from,
		       struct weir_plan **ret_rules, struct weir_eps **ret_eps,
		       size_t *ret_eps_size)
{
	const struct weir_plan *p = from->rules;
	_cleanup_free_ uint32_t *map = calloc(
		(size_t)p->objects.n + p->groups.n + p->revisions.n + 1,
		sizeof(*map));
	_cleanup_free_ struct weir_plan *to = NULL;
	struct graft g = {.before = before->rules, .from = p};
	int r;

	if (!map) {
		return -ENOMEM;
	}
	g.objects = map;
	g.groups = map + p->objects.n;
	g.revisions = g.groups + p->groups.n;
	if (p->regexes.n || p->certs.n || p->cas.n || p->backend_tls.n ||
	    is_open(before->rules)) {
		return -EAGAIN;
	}
	r = copy_both(&g);
	to = g.to;
	r = r < 0 ? r : put_in(&g);
	if (r < 0) {
		return r;
	}
	weir_ir_unstamp_rules(to);
	r = join_eps(&g, before, from, ret_eps, ret_eps_size);
	if (r == 0) {
		*ret_rules = TAKE_PTR(to);
	}
	return r;
}
