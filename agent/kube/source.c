/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of the beginning: what versions there are; all kinds that may name
 * others; then of Services, EndpointSlices, Secrets and ConfigMaps what they
 * name, so that it is known while they are listed.
 */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "cleanup.h"
#include "log.h"
#include "reflect.h"

#define UNWANTED_MS 60000
#define BACKOFF_MS 250
#define BACKOFF_DOUBLINGS 5

/* ------------------------------------------------- for the other files */

/* xorshift64*: spreads retries, decides nothing. */
uint32_t weir_source_random(struct weir_kube_source *source, uint32_t below)
{
	uint64_t x = source->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	source->random = x;
	return (uint32_t)(((x * 0x2545F4914F6CDD1DULL) >> 32) * below >> 32);
}

uint32_t weir_source_backoff(struct weir_kube_source *source, uint32_t n)
{
	uint32_t ms = BACKOFF_MS
		      << (n < BACKOFF_DOUBLINGS ? n : BACKOFF_DOUBLINGS);

	return ms / 2 + weir_source_random(source, ms / 2);
}

void weir_source_changed(struct weir_kube_source *source)
{
	if (!source->change.due_ms) {
		weir_loop_arm(source->options.loop, &source->change, 0);
	}
}

static void on_changed(struct weir_timer *timer)
{
	struct weir_kube_source *s = timer->arg;

	s->held.is_changed = false;
	if (s->held.has_unwanted && !s->unwanted.due_ms) {
		weir_loop_arm(s->options.loop, &s->unwanted, UNWANTED_MS);
	}
	s->options.on_change(s->options.arg);
	s->is_overdue = false;
}

/* Later than at once: a route that is edited back and forth finds its Services
 * where they were. */
static void on_unwanted(struct weir_timer *timer)
{
	struct weir_kube_source *s = timer->arg;

	if (weir_held_drop_unwanted(&s->held) < 0) {
		weir_loop_arm(s->options.loop, timer, UNWANTED_MS);
	}
	if (s->held.is_changed) {
		weir_source_changed(s);
	}
}

void weir_source_heard(struct weir_kube_source *source)
{
	if (!source->is_away) {
		return;
	}
	source->is_away = false;
	weir_info("the API server answers again after %llu s",
		  (unsigned long long)(weir_now_ms() - source->away_ms) / 1000);
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		weir_reflect_kick(&source->reflectors[k]);
	}
}

void weir_source_lost(struct weir_kube_source *source, const char *message)
{
	if (source->is_away) {
		return;
	}
	source->is_away = true;
	source->away_ms = weir_now_ms();
	weir_warn("the API server does not answer, what is known stays in "
		  "force: %s",
		  message);
	weir_source_changed(source);
}

bool weir_source_add_fields(const struct weir_kube_source *source,
			    enum weir_kind kind, const char *lead,
			    struct weir_buf *path)
{
	const struct weir_kube_rule *rule = weir_kube_rule_of(kind);
	const char *node = source->options.node;

	if (rule->is_of_node && node && *node) {
		weir_buf_printf(path, "%sfieldSelector=spec.nodeName%%3D",
				lead);
		weir_kube_encode(path, weir_str_of(node));
		return true;
	}
	if (rule->field_selector) {
		weir_buf_printf(path, "%sfieldSelector=%s", lead,
				rule->field_selector);
		return true;
	}
	if (rule->label_selector) {
		weir_buf_printf(path, "%slabelSelector=%s", lead,
				rule->label_selector);
	}
	return rule->label_selector != NULL;
}

/* ---------------------------------------------------- what is begun when */

static void start_named(struct weir_kube_source *s, enum weir_kind kind)
{
	struct weir_reflector *r = &s->reflectors[kind];

	if (r->is_named && s->names_are_known && r->state == WEIR_KUBE_IDLE) {
		weir_reflect_start(
			r, weir_kube_version(weir_kube_rule_of(kind)->versions,
					     0));
	}
}

void weir_source_settled(struct weir_kube_source *source)
{
	if (source->names_are_known || !source->is_discovered) {
		return;
	}
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		const struct weir_kube_rule *rule = weir_kube_rule_of(
			(enum weir_kind)k);

		if (rule->plural && !rule->is_by_name &&
		    !source->reflectors[k].is_settled) {
			return;
		}
	}
	source->names_are_known = true;
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		start_named(source, (enum weir_kind)k);
	}
	weir_source_changed(source);
}

static void name_one(struct weir_kube_source *s, enum weir_kind kind,
		     struct weir_str ns, struct weir_str name, bool is_awaited)
{
	struct weir_reflector *r = &s->reflectors[kind];

	r->is_named = true;
	/* Pods that were there before their revision was named are in
	 * EndpointSlices by now. */
	if (r->state == WEIR_KUBE_IDLE) {
		start_named(s, kind);
	} else if (kind != WEIR_KIND_REVISION_POD) {
		weir_lookup_begin(s, kind, ns, name, is_awaited);
	}
}

static void on_want(void *arg, enum weir_kind kind, struct weir_str ns,
		    struct weir_str name)
{
	struct weir_kube_source *s = arg;
	bool is_awaited = true;

	if (kind == WEIR_KIND_ENDPOINT_SLICE) {
		/* Its Service may be on its way as one that can be done
		 * without. */
		weir_lookup_await(s, WEIR_KIND_SERVICE, ns, name);
	} else if (kind == WEIR_KIND_SERVICE) {
		is_awaited = weir_held_is_wanted(
			&s->held, WEIR_KIND_ENDPOINT_SLICE, ns, name);
	}
	name_one(s, kind, ns, name, is_awaited);
}

static uint64_t hash_status(void *arg, enum weir_kind kind,
			    struct weir_str status)
{
	struct weir_kube_source *s = arg;

	return s->options.status_hash(s->options.arg, kind, status);
}

static bool does_keep(void *arg, enum weir_kind kind, struct weir_str object)
{
	struct weir_kube_source *s = arg;

	return s->options.does_keep(s->options.arg, kind, object);
}

static void on_discover(struct weir_timer *timer)
{
	weir_discover_begin(timer->arg);
}

/* ------------------------------------------------------------- public */

int weir_kube_source_new(const struct weir_kube_source_options *options,
			 struct weir_kube_source **ret_source)
{
	struct weir_kube_source *s = calloc(1, sizeof(*s));
	uint64_t seeds[2];

	if (!s) {
		return -ENOMEM;
	}
	if (getrandom(seeds, sizeof(seeds), 0) != sizeof(seeds)) {
		weir_free_ptr(&s);
		return -EIO;
	}
	s->options = *options;
	s->random = seeds[0] | 1;
	weir_held_init(&s->held, options->store, seeds[1]);
	s->held.on_want = on_want;
	s->held.status_hash = options->status_hash ? hash_status : NULL;
	s->held.does_keep = options->does_keep ? does_keep : NULL;
	s->held.arg = s;
	s->held.ahead.node = options->node;
	s->change = (struct weir_timer){.fn = on_changed, .arg = s};
	s->unwanted = (struct weir_timer){.fn = on_unwanted, .arg = s};
	s->hold = (struct weir_timer){.fn = weir_lookup_on_hold, .arg = s};
	s->discover = (struct weir_timer){.fn = on_discover, .arg = s};
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		weir_reflect_init(&s->reflectors[k], s, (enum weir_kind)k);
	}
	*ret_source = s;
	return 0;
}

void weir_kube_source_free(struct weir_kube_source **source)
{
	struct weir_kube_source *s = *source;

	if (!s) {
		return;
	}
	weir_discover_fini(s);
	weir_lookup_fini(s);
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		weir_reflect_fini(&s->reflectors[k]);
	}
	weir_loop_disarm(s->options.loop, &s->change);
	weir_loop_disarm(s->options.loop, &s->unwanted);
	weir_held_fini(&s->held);
	weir_arena_fini(&s->diag_arena);
	weir_free_ptr(source);
}

int weir_kube_source_start(struct weir_kube_source *source)
{
	if (source->is_started) {
		return -EALREADY;
	}
	source->is_started = true;
	weir_discover_begin(source);
	weir_reflect_start(&source->reflectors[WEIR_KIND_NAMESPACE],
			   WEIR_STR("v1"));
	return 0;
}

bool weir_kube_source_is_synced(const struct weir_kube_source *source)
{
	if (!source->names_are_known ||
	    (source->n_holding && !source->is_overdue)) {
		return false;
	}
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		const struct weir_reflector *r = &source->reflectors[k];

		if (r->is_named && !r->is_settled) {
			return false;
		}
	}
	return true;
}

bool weir_kube_source_is_whole(const struct weir_kube_source *source)
{
	return weir_kube_source_is_synced(source) && !source->n_promised;
}

void weir_kube_source_versions(const struct weir_kube_source *source,
			       uint64_t ret_seen[static _WEIR_KIND_MAX],
			       uint64_t *ret_significant)
{
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		ret_seen[k] = source->reflectors[k].seen;
	}
	if (ret_significant) {
		*ret_significant = weir_held_significant(&source->held);
	}
}

int weir_kube_source_find(const struct weir_kube_source *source,
			  enum weir_kind kind, struct weir_str ns,
			  struct weir_str name, struct weir_kube_meta *ret_meta)
{
	const struct weir_held_entry *e = weir_held_find(&source->held, kind,
							 ns, name);

	if (!e) {
		return -ENOENT;
	}
	*ret_meta = (struct weir_kube_meta){.version = e->version,
					    .status_hash = e->status};
	return 0;
}

const struct weir_diag *weir_kube_source_diags(struct weir_kube_source *source,
					       size_t *ret_n)
{
	size_t n = 0;

	*ret_n = 0;
	for (const struct weir_held_faulty *f = source->held.faulty; f;
	     f = f->next) {
		n += f->diags.n;
	}
	weir_arena_fini(&source->diag_arena);
	weir_arena_init(&source->diag_arena, 4096);
	source->diags = weir_arena_array(&source->diag_arena, n + 1,
					 sizeof(*source->diags));
	if (!source->diags) {
		return NULL;
	}
	for (const struct weir_held_faulty *f = source->held.faulty; f;
	     f = f->next) {
		if (f->diags.n) {
			memcpy(&source->diags[*ret_n], f->diags.v,
			       f->diags.n * sizeof(*f->diags.v));
			*ret_n += f->diags.n;
		}
	}
	return source->diags;
}

void weir_kube_source_report(const struct weir_kube_source *source,
			     enum weir_kind kind,
			     struct weir_kube_kind_report *ret_report)
{
	const struct weir_reflector *r = &source->reflectors[kind];
	const struct weir_held_count *count = &source->held.counts[kind];

	*ret_report = (struct weir_kube_kind_report){
		.kind = kind,
		.api_version = r->api_version,
		.state = r->state,
		.is_synced = r->is_settled,
		.version = r->seen,
		.lists = r->lists,
		.watches = r->watches,
		.events = r->events,
		.kept = count->kept,
		.skipped = count->skipped,
		.too_large = count->too_large,
		.expired = r->expired,
		.message = r->message};
}

int weir_kube_source_path(const struct weir_kube_source *source,
			  enum weir_kind kind, struct weir_str ns,
			  struct weir_str name, const char *sub,
			  struct weir_buf *out)
{
	const struct weir_reflector *r = &source->reflectors[kind];

	if (!r->api_version[0]) {
		return -ENOENT;
	}
	weir_kube_path(out, kind, r->version, ns, name, sub);
	return out->error;
}

const char *weir_kube_state_text(enum weir_kube_state state)
{
	static const char *const texts[_WEIR_KUBE_STATE_MAX] = {
		[WEIR_KUBE_IDLE] = "idle",
		[WEIR_KUBE_MISSING] = "missing",
		[WEIR_KUBE_FORBIDDEN] = "forbidden",
		[WEIR_KUBE_LISTING] = "listing",
		[WEIR_KUBE_WATCHING] = "watching",
		[WEIR_KUBE_AWAY] = "away",
	};

	return state < _WEIR_KUBE_STATE_MAX ? texts[state] : "";
}

struct weir_ahead *weir_kube_source_ahead(struct weir_kube_source *source)
{
	return &source->held.ahead;
}

void weir_kube_source_told_ahead(struct weir_kube_source *source)
{
	if (weir_held_apply_ahead(&source->held) < 0) {
		weir_warn("no memory for what the node knows of its pods: the "
			  "API server tells it later");
	}
	if (source->held.is_changed) {
		weir_source_changed(source);
	}
}

void weir_kube_source_refused(const struct weir_kube_source *s,
			      void (*fn)(void *arg,
					 const struct weir_kube_refused *r),
			      void *arg)
{
	for (const struct weir_held_faulty *f = s->held.faulty; f;
	     f = f->next) {
		const struct weir_kube_refused r = {
			.ns = f->ns,
			.name = f->name,
			.ingress_class = f->ingress_class,
			.generation = f->generation,
			.diags = &f->diags};

		if (f->name.n) {
			fn(arg, &r);
		}
	}
}
