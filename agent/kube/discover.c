/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server has: one document for each group and version that a kind may
 * be in.  A kind that is missing is asked for again every ten seconds or so,
 * and a CRD that comes is read from then on.
 */
#include "reflect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "log.h"

#define AGAIN_MS 8000
#define AGAIN_SPREAD_MS 4000
/* What was there is gone when it was not found so often, a second apart. */
#define ABSENCES 3
#define SURE_MS 1000

bool weir_discover_is_builtin(enum weir_kind kind)
{
	const char *group = weir_kind_group(kind);

	return !*group || strcmp(group, "discovery.k8s.io") == 0;
}

static bool is_asked_for(const struct weir_reflector *r)
{
	return weir_kube_rule_of(r->kind)->plural &&
	       !weir_discover_is_builtin(r->kind) && !r->api_version[0];
}

static void drop(struct weir_discovery *d)
{
	struct weir_kube_source *s = d->source;

	for (struct weir_discovery **p = &s->discoveries; *p; p = &(*p)->next) {
		if (*p == d) {
			*p = d->next;
			break;
		}
	}
	weir_kube_cancel(&d->request);
	weir_free_ptr(&d);
}

/* Kinds of this group and version that the document names. */
static void note_found(const struct weir_discovery *d, struct weir_str document)
{
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_reflector *r = &d->source->reflectors[k];
		const struct weir_kube_rule *rule = weir_kube_rule_of(r->kind);
		struct weir_str version;
		char mark[80];

		if (!is_asked_for(r) ||
		    strcmp(weir_kind_group(r->kind), d->group) != 0) {
			continue;
		}
		/* The server writes no blanks. */
		snprintf(mark, sizeof(mark), "\"name\":\"%s\"", rule->plural);
		for (size_t i = 0;
		     (version = weir_kube_version(rule->versions, i)).n; i++) {
			if (weir_str_eq(version, d->version) &&
			    memmem(document.p, document.n, mark,
				   strlen(mark))) {
				r->found |= 1U << i;
			}
		}
	}
}

/* The best version that was found, for each kind that has none yet.  Returns
 * whether one is looked for that was there before. */
static bool start_found(struct weir_kube_source *s)
{
	_cleanup_buf_ struct weir_buf missing = {0};
	bool is_unsure = false;

	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_reflector *r = &s->reflectors[k];
		const struct weir_kube_rule *rule = weir_kube_rule_of(r->kind);

		if (!is_asked_for(r)) {
			continue;
		}
		if (r->found) {
			weir_reflect_start(
				r, weir_kube_version(
					   rule->versions,
					   (size_t)__builtin_ctz(r->found)));
			continue;
		}
		if (r->is_known && ++r->absences < ABSENCES) {
			is_unsure = true;
			continue;
		}
		if (r->state == WEIR_KUBE_IDLE) {
			weir_buf_printf(&missing, "%s%s/%s",
					missing.n ? ", " : "",
					weir_kind_group(r->kind), rule->plural);
		}
		weir_reflect_missing(r);
	}
	if (missing.n) {
		weir_info("the API server does not have %.*s: asked for again "
			  "every 10 s",
			  (int)missing.n, missing.p);
	}
	return is_unsure;
}

static void end_round(struct weir_kube_source *s)
{
	bool is_unsure;

	if (s->discover_failed) {
		weir_discover_later(
			s, weir_source_backoff(s, ++s->discover_failures));
		return;
	}
	s->discover_failures = 0;
	is_unsure = start_found(s);
	if (!s->is_discovered) {
		s->is_discovered = true;
		weir_source_settled(s);
	}
	if (is_unsure) {
		weir_discover_later(s, SURE_MS);
		return;
	}
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		if (is_asked_for(&s->reflectors[k])) {
			weir_discover_later(
				s, AGAIN_MS + weir_source_random(
						      s, AGAIN_SPREAD_MS));
			return;
		}
	}
}

static void on_reply(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_discovery *d = arg;
	struct weir_kube_source *s = d->source;

	d->request = NULL;
	if (weir_kube_is_ok(reply)) {
		note_found(d, reply->body);
		weir_source_heard(s);
	} else if (reply->error) {
		weir_source_lost(s, reply->message);
		s->discover_failed = true;
	} else if (reply->status != 404) {
		if (s->discover_failures == 0 && !s->discover_failed) {
			weir_warn("the kinds of the API server cannot be "
				  "listed: %s",
				  reply->message);
		}
		s->discover_failed = true;
	}
	drop(d);
	if (!s->discoveries) {
		end_round(s);
	}
}

static bool is_in_flight(const struct weir_kube_source *s, const char *group,
			 struct weir_str version)
{
	for (const struct weir_discovery *d = s->discoveries; d; d = d->next) {
		if (strcmp(d->group, group) == 0 &&
		    weir_str_eq(d->version, version)) {
			return true;
		}
	}
	return false;
}

static int ask(struct weir_kube_source *s, const char *group,
	       struct weir_str version)
{
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_discovery *d = calloc(1, sizeof(*d));
	struct weir_kube_call call = {.fn = on_reply, .arg = d};
	int r;

	if (!d) {
		return -ENOMEM;
	}
	*d = (struct weir_discovery){.source = s,
				     .group = group,
				     .version = version,
				     .next = s->discoveries};
	weir_kube_root_path(&path, group, version);
	weir_buf_add(&path, "", 1);
	call.path = path.p;
	r = path.error ? path.error
		       : weir_kube_call(s->options.client, &call, &d->request);
	if (r < 0) {
		weir_free_ptr(&d);
		return r;
	}
	s->discoveries = d;
	return 0;
}

void weir_discover_begin(struct weir_kube_source *s)
{
	if (s->discoveries) {
		return;
	}
	s->discover_failed = false;
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_reflector *r = &s->reflectors[k];
		const char *group = weir_kind_group(r->kind);
		struct weir_str version;

		if (!is_asked_for(r)) {
			continue;
		}
		r->found = 0;
		for (size_t i = 0;
		     (version = weir_kube_version(
			      weir_kube_rule_of(r->kind)->versions, i))
			     .n;
		     i++) {
			if (!is_in_flight(s, group, version) &&
			    ask(s, group, version) < 0) {
				s->discover_failed = true;
			}
		}
	}
	if (!s->discoveries) {
		end_round(s);
	}
}

void weir_discover_later(struct weir_kube_source *s, uint32_t delay_ms)
{
	if (!s->discoveries) {
		weir_loop_arm(s->options.loop, &s->discover, delay_ms);
	}
}

void weir_discover_fini(struct weir_kube_source *s)
{
	weir_loop_disarm(s->options.loop, &s->discover);
	while (s->discoveries) {
		drop(s->discoveries);
	}
}
