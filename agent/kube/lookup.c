/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that were passed over when they were listed, as nothing named them,
 * and that something names now.  From that moment the watch keeps what changes
 * in them; what they are is asked for here.  Whichever answer is older loses.
 */
#include "reflect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cleanup.h"

#define DEADLINE_MS 5000 /* of a request */
#define HOLD_MS 5000     /* of a plan, whatever is named meanwhile */

static void begin(struct weir_lookup *l);

static struct weir_reflector *reflector_of(const struct weir_lookup *l)
{
	return &l->source->reflectors[l->kind];
}

/* For all there is one timer, from the first: thousands may be named at once,
 * and more all the time. */
static void hold(struct weir_lookup *l)
{
	struct weir_kube_source *s = l->source;

	l->is_holding = true;
	if (!s->n_holding++) {
		weir_loop_arm(s->options.loop, &s->hold,
			      s->options.hold_ms ? s->options.hold_ms
						 : HOLD_MS);
	}
}

/* Until it is answered or has failed: each request has its deadline. */
static void promise(struct weir_lookup *l)
{
	l->is_promised = true;
	l->source->n_promised++;
}

static void release(struct weir_lookup *l)
{
	struct weir_kube_source *s = l->source;

	if (l->is_holding || l->is_promised) {
		weir_source_changed(s);
	}
	s->n_holding -= l->is_holding;
	s->n_promised -= l->is_promised;
	if (!s->n_holding) {
		weir_loop_disarm(s->options.loop, &s->hold);
	}
	l->is_holding = false;
	l->is_promised = false;
}

void weir_lookup_on_hold(struct weir_timer *timer)
{
	struct weir_kube_source *s = timer->arg;

	for (struct weir_lookup *l = s->lookups; l; l = l->next) {
		l->has_held |= l->is_holding;
		l->is_holding = false;
	}
	s->n_holding = 0;
	s->is_overdue = true;
	weir_source_changed(s);
}

static void stop(struct weir_lookup *l)
{
	if (l->request) {
		weir_kube_cancel(&l->request);
		l->source->n_lookups--;
	}
	weir_scan_fini(&l->scan);
}

static void drop(struct weir_lookup *l)
{
	struct weir_kube_source *s = l->source;

	for (struct weir_lookup **p = &s->lookups; *p; p = &(*p)->next) {
		if (*p == l) {
			*p = l->next;
			break;
		}
	}
	stop(l);
	release(l);
	weir_loop_disarm(s->options.loop, &l->retry);
	weir_free_ptr(&l->ns);
	weir_free_ptr(&l->name);
	weir_free_ptr(&l);
	if (!s->lookups) {
		weir_held_keep_graves(&s->held, false);
	}
}

/* As many at a time as are allowed. */
static void begin_next(struct weir_kube_source *s)
{
	for (struct weir_lookup *l = s->lookups;
	     l && s->n_lookups < WEIR_KUBE_LOOKUPS; l = l->next) {
		if (!l->request && !l->retry.due_ms) {
			begin(l);
		}
	}
}

static int on_item(void *arg, struct weir_str object, bool is_cut)
{
	struct weir_lookup *l = arg;

	if (is_cut) {
		weir_held_too_large(&l->source->held, l->kind, object);
		return 0;
	}
	return weir_held_apply(&l->source->held, l->kind,
			       weir_str_of(reflector_of(l)->api_version),
			       object, true);
}

static int on_data(void *arg, struct weir_str data)
{
	struct weir_lookup *l = arg;

	return weir_scan_feed(&l->scan, data);
}

static void on_retry(struct weir_timer *timer)
{
	struct weir_lookup *l = timer->arg;

	begin_next(l->source);
}

static void try_later(struct weir_lookup *l)
{
	struct weir_kube_source *s = l->source;

	release(l); /* others need not wait for a server that is away */
	weir_loop_arm(s->options.loop, &l->retry,
		      weir_source_backoff(s, ++l->failures));
}

static void on_reply(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_lookup *l = arg;
	struct weir_kube_source *s = l->source;
	bool is_whole = weir_kube_is_ok(reply) && weir_scan_end(&l->scan) == 0;

	l->request = NULL;
	s->n_lookups--;
	weir_scan_fini(&l->scan);
	/* Where it may not be read, the kind's own list says so. */
	if (is_whole || (reply->status >= 400 && reply->status < 429)) {
		drop(l);
	} else {
		try_later(l);
	}
	weir_source_changed(s);
	begin_next(s);
}

static void add_selector(struct weir_buf *path, const struct weir_lookup *l)
{
	if (l->kind == WEIR_KIND_ENDPOINT_SLICE) {
		weir_buf_addz(path, "?labelSelector=kubernetes.io%2F"
				    "service-name%3D");
	} else if (weir_source_add_fields(l->source, l->kind, "?", path)) {
		if (!*l->name) {
			return;
		}
		weir_buf_addz(path, "%2Cmetadata.name%3D");
	} else {
		weir_buf_addz(path, *l->name ? "?fieldSelector=metadata.name%3D"
					     : "");
	}
	weir_kube_encode(path, weir_str_of(l->name));
}

/*
 * At least as new as what the watch has told: it tells the rest.  The server
 * has that in its cache.  Without a version it would ask etcd how far the cache
 * is behind, and wait for a tick of 100 ms where another has just asked
 * (KEP-2340, apiserver storage/cacher/progress).
 *
 * Not during a list, from which the watch will go on; and once only: a server
 * whose cache of a quiet kind stays behind says "Too large resource version"
 * (504) as often as it is asked.
 */
static void add_version(struct weir_buf *path, const struct weir_lookup *l)
{
	uint64_t seen = reflector_of(l)->seen;

	if (seen && !l->failures && !reflector_of(l)->is_in_list) {
		weir_buf_printf(
			path,
			"%cresourceVersion=%" PRIu64
			"&resourceVersionMatch=NotOlderThan",
			weir_str_find(weir_buf_str(path), '?') < 0 ? '?' : '&',
			seen);
	}
}

static void begin(struct weir_lookup *l)
{
	struct weir_kube_source *s = l->source;
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_kube_call call = {.on_data = on_data,
				      .fn = on_reply,
				      .arg = l,
				      .deadline_ms = DEADLINE_MS};
	int r;

	weir_scan_init(&l->scan, WEIR_SCAN_LIST, on_item, l);
	weir_kube_path(&path, l->kind, reflector_of(l)->version,
		       weir_str_of(l->ns), WEIR_STR_NULL, "");
	add_selector(&path, l);
	add_version(&path, l);
	weir_buf_add(&path, "", 1);
	call.path = path.p;
	r = path.error ? path.error
		       : weir_kube_call(s->options.client, &call, &l->request);
	if (r < 0) {
		try_later(l);
	} else {
		s->n_lookups++;
	}
}

/* Where it is in the list, or where the next one goes. */
static struct weir_lookup **find(struct weir_kube_source *s,
				 enum weir_kind kind, struct weir_str ns,
				 struct weir_str name)
{
	struct weir_lookup **p = &s->lookups;

	while (*p && ((*p)->kind != kind || !weir_str_is(ns, (*p)->ns) ||
		      !weir_str_is(name, (*p)->name))) {
		p = &(*p)->next;
	}
	return p;
}

/* One that failed holds nobody any more. */
void weir_lookup_await(struct weir_kube_source *s, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name)
{
	struct weir_lookup *l = *find(s, kind, ns, name);

	if (l && l->is_promised && !l->is_holding && !l->has_held) {
		hold(l);
	}
}

void weir_lookup_begin(struct weir_kube_source *s, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name,
		       bool is_awaited)
{
	struct weir_lookup **place = find(s, kind, ns, name);
	struct weir_lookup *l;

	if (*place) {
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		return; /* read with the next list */
	}
	l->source = s;
	l->kind = kind;
	l->ns = strndup(ns.n ? ns.p : "", ns.n);
	l->name = strndup(name.n ? name.p : "", name.n);
	l->retry = (struct weir_timer){.fn = on_retry, .arg = l};
	*place = l; /* the first that is named is the first that is asked for */
	if (!l->ns || !l->name) {
		drop(l);
		return;
	}
	promise(l);
	if (is_awaited) {
		hold(l);
	}
	weir_held_keep_graves(&s->held, true);
	begin_next(s);
}

void weir_lookup_fini(struct weir_kube_source *s)
{
	while (s->lookups) {
		drop(s->lookups);
	}
	weir_loop_disarm(s->options.loop, &s->hold);
}
