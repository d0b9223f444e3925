/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which plane decides an HTTP frontend, and why.  Weight is a share of requests
 * unless weir.dev/split: connection is asked for; then a connection may be
 * decided before its first byte exactly if every request on it would be decided
 * alike and nothing has to be done to any of them.
 */
#include <stdlib.h>

#include "king.h"

static bool is_catch_all(const struct ir_match *m)
{
	return m->path_type == WEIR_PATH_PREFIX && weir_str_is(m->path, "/") &&
	       m->method.n == 0 && m->n_headers == 0 && m->n_query == 0;
}

static void note_sleeper(struct ir *c, const struct ir_rule *rule)
{
	struct ir_sleeper *s = weir_ir_alloc(c, 1, sizeof(*s));

	if (s) {
		s->key = rule->key;
		s->next = c->sleepers;
		c->sleepers = s;
		c->verdicts.n_asleep++;
	}
}

/* A revision at the limit of what Serving lets the activator carry goes to and
 * fro every few seconds: the plane does not. */
static bool is_restless(const struct ir *c, const struct ir_rule *rule)
{
	const struct weir_compile_memory *m = &c->memory;

	return m->restless && bsearch(&rule->key, m->restless, m->n_restless,
				      sizeof(rule->key), weir_ir_compare_keys);
}

/* What of the refs stands in the way. */
static enum weir_reason look_at_refs(struct ir *c, const struct ir_rule *rule)
{
	for (uint32_t i = 0; i < rule->n_refs; i++) {
		const struct ir_ref *r = &rule->refs[i];

		if (r->filters.n > r->n_own_filters) {
			return WEIR_REASON_NEEDS_FILTER;
		}
	}
	for (uint32_t i = 0; i < rule->n_refs; i++) {
		const struct ir_ref *r = &rule->refs[i];

		if (r->weight == 0) {
			continue;
		}
		if (r->proto != WEIR_BACKEND_HTTP1) {
			return WEIR_REASON_MIXED_PROTOCOL;
		}
		/* A connection would stay at its pod, with others that are free
		 * (serving issue 15663). */
		if (r->group && r->group->concurrency) {
			return WEIR_REASON_NEEDS_LIMIT;
		}
		/* A sleeping revision is woken by the activator, which needs
		 * the headers. */
		if (r->is_split &&
		    (!r->group || weir_ir_group_is_asleep(r->group))) {
			note_sleeper(c, rule);
			return WEIR_REASON_NEEDS_SERVE_MODE;
		}
	}
	if (rule->n_slots > WEIR_ROW_SLOTS_MAX) {
		return WEIR_REASON_TOO_MANY_SLOTS;
	}
	if (is_restless(c, rule)) {
		return WEIR_REASON_NEEDS_REST;
	}
	return WEIR_REASON_SPLIT_ASKED;
}

/* WEIR_REASON_SPLIT_ASKED if entry may decide connections of front. */
static enum weir_reason look_at(struct ir *c, const struct ir_front *f,
				const struct ir_vhost *vhost,
				const struct ir_entry *e)
{
	const struct ir_rule *rule = e->rule;

	if (f->n_listeners > 1 || f->listeners->hostname.n ||
	    f->listeners->n_vhosts > 1 || vhost->hostname.n) {
		return WEIR_REASON_NEEDS_HOST;
	}
	if (vhost->n_entries > 1 || !is_catch_all(e->match)) {
		return WEIR_REASON_NEEDS_MATCH;
	}
	if (rule->filters.n > rule->n_own_filters) {
		return WEIR_REASON_NEEDS_FILTER;
	}
	if (rule->request_timeout_ms || rule->backend_timeout_ms) {
		return WEIR_REASON_NEEDS_TIMEOUT;
	}
	return look_at_refs(c, rule);
}

/* A rule may be at several frontends: it is on the connection plane only if it
 * is at all of them. */
static void note(struct ir_rule *rule, enum weir_plane plane,
		 enum weir_reason reason)
{
	if (!rule->is_planned || (rule->plane == WEIR_PLANE_CONNECTION &&
				  plane != WEIR_PLANE_CONNECTION)) {
		rule->plane = (uint8_t)plane;
		rule->reason = (uint8_t)reason;
	}
	rule->is_planned = true;
}

static void plan_entry(struct ir *c, struct ir_front *f,
		       const struct ir_vhost *vhost, const struct ir_entry *e)
{
	uint8_t split = e->rule->split ? e->rule->split : f->split;
	enum weir_reason reason = WEIR_REASON_PER_REQUEST;
	enum weir_plane plane = WEIR_PLANE_PROXY;

	if (f->mode == WEIR_MODE_TLS) {
		/* TLSRoutes said so; the others stay requests. */
		reason = e->rule->reason == WEIR_REASON_NEEDS_SNI
				 ? WEIR_REASON_NEEDS_SNI
				 : WEIR_REASON_PER_REQUEST;
	} else if (split == IR_SPLIT_CONNECTION) {
		reason = look_at(c, f, vhost, e);
	}
	if (reason == WEIR_REASON_SPLIT_ASKED) {
		plane = WEIR_PLANE_CONNECTION;
		f->rule = e->rule;
		f->plane = WEIR_PLANE_CONNECTION;
	}
	/* Of a frontend with many rules the first obstacle is shown. */
	if (f->reason == WEIR_REASON_PER_REQUEST) {
		f->reason = (uint8_t)reason;
	}
	note(e->rule, plane, reason);
}

void weir_ir_plan_planes(struct ir *c)
{
	for (struct ir_front *f = c->fronts; f; f = f->next) {
		const struct ir_listener *l = f->listeners;

		if (f->mode != WEIR_MODE_HTTP && f->mode != WEIR_MODE_TLS) {
			continue;
		}
		f->plane = WEIR_PLANE_PROXY;
		f->reason = f->mode == WEIR_MODE_TLS ? WEIR_REASON_NEEDS_SNI
						     : WEIR_REASON_PER_REQUEST;
		for (uint32_t i = 0; l && i < f->n_listeners; i++) {
			for (struct ir_vhost *v = l->vhosts; v; v = v->next) {
				for (struct ir_entry *e = v->entries; e;
				     e = e->next) {
					plan_entry(c, f, v, e);
				}
			}
			l = l->next;
		}
	}
}
