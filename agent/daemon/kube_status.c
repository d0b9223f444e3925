// SPDX-License-Identifier: Apache-2.0
/*
 * Which statuses differ from what they should be, and their updates.
 *
 * Of each object a hash of our part of the observed status is known (at decode)
 * and one of the desired status (from its verdict); where they differ the
 * object is read, merged and written.  So nothing is written twice, and no
 * status is kept.  Only the writer of the cluster does so, and only what all
 * live agents have applied, unless that takes too long.
 */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "kube.h"

#define UPDATES_MAX 64    /* on their way, with their texts */
#define SYNC_MS 20        /* between two looks at all objects, or longer: */
#define SYNC_SHARE 20     /* a look takes no more of the time than 1 in 20 */
#define SYNC_AHEAD_MS 250 /* on the average: one change waits for nothing */
#define PATIENCE_MS 3000  /* for agents that do not acknowledge */
#define ECHO_MS 5000      /* until a written status is seen again; doubled */
#define GONE_MS 500       /* until another state is seen; likewise */
#define TRIES_MAX 7       /* doublings: 10 minutes, 1 minute */
#define PACE_FIRST_MS 125 /* between two writes of one Gateway whose routes */
#define PACE_MAX_MS 4000  /* come and go: doubled while they do */

/* What is known of the status of one object. */
struct record {
	uint64_t seen;    /* of the verdict that desired was made from */
	uint64_t desired; /* hash; of nothing, too */
	uint64_t written; /* hash; 0: observed since */
	uint64_t written_ms;
	uint64_t echo_ms;    /* how long it may take until it is observed */
	uint32_t tries;      /* since it was observed last */
	uint64_t waiting_ms; /* for agents, since; 0: not */
	int64_t generation;  /* written last */
	uint64_t event;      /* hash of the Event sent last */
	int64_t tidied;      /* generation; of a Gateway without infra */
	struct weir_kube_infra infra;
	uint32_t pace_ms;
	uint32_t mark;
	uint32_t refused; /* mark of the sync that found its state refused */
	bool is_on_its_way;
};

struct weir_status_update {
	struct weir_status_update *next;
	struct weir_kube_feed *feed;
	uint64_t key;
	enum weir_kind kind;
	int64_t generation;
	uint64_t hash;
	struct weir_buf desired;
	enum weir_kube_result result;
	const char *event_reason; /* NULL: nothing to tell */
	struct weir_buf event_message;
	bool is_warning;
	bool has_infra;
};

/* Seeded: nobody can make two names meet. */
static uint64_t key_of(const struct weir_kube_feed *f,
		       const struct weir_object *o)
{
	return weir_str_hash(o->name, weir_str_hash(o->ns, f->seed + o->kind));
}

static struct record *find_record(const struct weir_kube_feed *f, uint64_t key)
{
	uint64_t value;

	return weir_map_get(&f->records, key, &value)
		       ? (struct record *)(uintptr_t)value
		       : NULL;
}

static struct record *get_record(struct weir_kube_feed *f, uint64_t key)
{
	struct record *r = find_record(f, key);

	if (r) {
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (r && weir_map_put(&f->records, key, (uintptr_t)r) < 0) {
		weir_free_ptr(&r);
	}
	return r;
}

struct weir_kube_infra *weir_kube_status_infra(const struct weir_kube_feed *f,
					       uint64_t key)
{
	struct record *r = find_record(f, key);

	return r ? &r->infra : NULL;
}

/* Of objects that are gone. */
static void drop_records(struct weir_kube_feed *f, size_t n_live)
{
	size_t pos = 0;
	uint64_t key;
	uint64_t value;

	if (f->records.n < n_live + n_live / 4 + 64) {
		return;
	}
	while (weir_map_next(&f->records, &pos, &key, &value)) {
		struct record *r = (struct record *)(uintptr_t)value;

		if (r->mark != f->mark && !r->is_on_its_way) {
			weir_map_del(&f->records, key);
			weir_free_ptr(&r);
			pos = 0; /* a deletion may move what follows */
		}
	}
}

/* ------------------------------------------------------------------ updates */

static void free_update(struct weir_status_update *u)
{
	struct weir_kube_feed *f = u->feed;
	struct weir_status_update **at = &f->updates;

	while (*at != u) {
		at = &(*at)->next;
	}
	*at = u->next;
	f->n_updates--;
	weir_buf_fini(&u->desired);
	weir_buf_fini(&u->event_message);
	weir_free_ptr(&u);
}

static int merge(void *arg, struct weir_str object, struct weir_buf *out)
{
	struct weir_status_update *u = arg;
	struct record *record = find_record(u->feed, u->key);
	char now[WEIR_TIME_TEXT_MAX];
	int r = weir_status_merge(u->kind, u->generation,
				  weir_buf_str(&u->desired), object,
				  weir_kube_now(now), out);

	u->result = r == -ESTALE ? WEIR_KUBE_STALE
		    : r == 0     ? WEIR_KUBE_UNCHANGED
				 : WEIR_KUBE_FAILED; /* if it is not written */
	/* What it was given when it asked for it. */
	if (u->kind == WEIR_KIND_GATEWAY && r >= 0 && record && !u->has_infra &&
	    record->tidied != u->generation) {
		record->tidied = u->generation;
		weir_kube_infrastructure(u->feed, object, NULL);
	}
	if (r == 1 && u->event_reason && record) {
		uint64_t hash = weir_str_hash(weir_buf_str(&u->event_message),
					      (uintptr_t)u->event_reason);

		if (record->event != hash) {
			record->event = hash;
			weir_kube_event(u->feed, u->kind, object, u->is_warning,
					u->event_reason,
					weir_buf_str(&u->event_message));
		}
	}
	return r;
}

/* What was written, or failed, is tried again when it is not observed: a server
 * may refuse it for ever, or leave out what an old CRD does not know.  The
 * store may stay behind the server, too: it does where the new state cannot be
 * taken. */
static void note_end(struct record *record, const struct weir_status_update *u,
		     const struct weir_kube_reply *reply)
{
	bool is_stale = u->result == WEIR_KUBE_STALE;

	record->is_on_its_way = false;
	record->written_ms = weir_now_ms();
	record->generation = u->generation;
	record->written = u->hash;
	record->echo_ms = (uint64_t)(is_stale ? GONE_MS : ECHO_MS)
			  << record->tries;
	/* A server that does not answer will take it when it does. */
	if ((is_stale || !reply->error) && record->tries < TRIES_MAX) {
		record->tries++;
	}
}

static void on_written(void *arg, const struct weir_kube_reply *reply,
		       bool is_written)
{
	struct weir_status_update *u = arg;
	struct weir_kube_feed *f = u->feed;
	struct record *record = find_record(f, u->key);
	uint64_t n;

	if (is_written) {
		u->result = WEIR_KUBE_WRITTEN;
	} else if (reply->status == 404 || reply->error == -ECANCELED) {
		u->result = WEIR_KUBE_STALE; /* deleted, or not ours to write */
	}
	n = ++f->results[u->kind][u->result];
	/* One line says it; a thousand objects would say it a thousand times.
	 */
	if (u->result == WEIR_KUBE_FAILED && (n & (n - 1)) == 0) {
		weir_warn("status not written: kind=%s status=%d error=%s",
			  weir_kind_text(u->kind), reply->status,
			  reply->message ? reply->message : "");
	}
	if (record) {
		note_end(record, u, reply);
	}
	free_update(u);
	weir_kube_status_changed(f);
}

static int begin_update(struct weir_kube_feed *f, struct weir_status_update *u,
			const struct weir_object *o)
{
	_cleanup_buf_ struct weir_buf path = {0};
	_cleanup_buf_ struct weir_buf put_path = {0};
	struct weir_kube_update update = {
		.merge = merge, .fn = on_written, .arg = u, .key = u->key};
	int r;

	r = weir_kube_source_path(f->source, o->kind, o->ns, o->name, "",
				  &path);
	if (r == 0) {
		r = weir_kube_source_path(f->source, o->kind, o->ns, o->name,
					  "status", &put_path);
	}
	weir_buf_add(&path, "", 1);
	weir_buf_add(&put_path, "", 1);
	if (r < 0 || path.error || put_path.error || u->desired.error) {
		return r < 0 ? r : -ENOMEM;
	}
	update.path = path.p;
	update.put_path = put_path.p;
	return weir_kube_writer_update(f->writer, &update);
}

/* -------------------------------------------------------------- the desired */

/* One object on its way through a sync. */
struct look {
	struct weir_kube_feed *f;
	const struct weir_object *object;
	uint64_t key;
	const struct weir_verdict_id *id; /* NULL: nothing of it is ours */
	const void *verdict;
	bool is_programmed;
};

static void write_class(const struct look *l, struct weir_buf *out)
{
	_cleanup_buf_ struct weir_buf message = {0};
	const char *reason = weir_kube_lack(l->f, &message);

	weir_status_class(l->verdict, weir_str_of(l->f->bundle), reason,
			  weir_buf_str(&message), out);
}

static void write_desired(const struct look *l, struct weir_buf *out)
{
	switch (l->object->kind) {
	case WEIR_KIND_GATEWAY_CLASS:
		write_class(l, out);
		break;
	case WEIR_KIND_GATEWAY:
	case WEIR_KIND_LISTENER_SET:
		/* Only lists are written without one: look_at(). */
		if (l->verdict) {
			weir_kube_held_write(l->f, l->object, l->verdict,
					     l->is_programmed, out);
		}
		break;
	case WEIR_KIND_BACKEND_TLS_POLICY:
		weir_status_policy(l->verdict, out);
		break;
	case WEIR_KIND_KINGRESS:
		weir_status_king(l->verdict, l->is_programmed, out);
		break;
	default:
		weir_status_route(l->verdict, l->object, out);
		break;
	}
}

/* What a user would look for: the first thing that is wrong, or that a Gateway
 * is served. */
static void choose_event(const struct look *l, struct weir_status_update *u)
{
	const struct weir_fault *fault = NULL;

	if (!l->verdict) {
		return;
	}
	if (u->kind == WEIR_KIND_GATEWAY_CLASS) {
		const struct weir_class_verdict *v = l->verdict;

		fault = v->accepted;
	} else if (u->kind == WEIR_KIND_GATEWAY ||
		   u->kind == WEIR_KIND_LISTENER_SET) {
		const struct weir_gateway_verdict *v = l->verdict;

		fault = v->accepted     ? v->accepted
			: v->programmed ? v->programmed
					: v->refs;
		for (uint32_t i = 0; !fault && i < v->n_listeners; i++) {
			const struct weir_listener_verdict *at =
				&v->listeners[i];

			fault = at->accepted     ? at->accepted
				: at->conflicted ? at->conflicted
						 : at->refs;
		}
		if (!fault && l->is_programmed) {
			u->event_reason = "Programmed";
			weir_buf_addz(&u->event_message,
				      "served on every node");
			return;
		}
	} else if (u->kind == WEIR_KIND_BACKEND_TLS_POLICY) {
		const struct weir_policy_verdict *v = l->verdict;

		fault = v->accepted ? v->accepted : v->refs;
	} else if (u->kind == WEIR_KIND_KINGRESS) {
		const struct weir_king_verdict *v = l->verdict;

		fault = v->balancer;
	} else {
		const struct weir_route_verdict *v = l->verdict;

		fault = v->invalid ? v->invalid : v->partial;
		for (uint32_t i = 0; !fault && i < v->n_parents; i++) {
			fault = v->parents[i].accepted;
		}
		fault = fault ? fault : v->refs[0] ? v->refs[0] : v->refs[1];
	}
	if (fault) {
		u->event_reason = fault->reason;
		u->is_warning = true;
		weir_buf_add_str(&u->event_message, fault->message);
	}
}

/* What was served before this agent began is not taken back because of agents
 * that it has not heard of since: they renew their Leases soon, or these lapse;
 * either is a change of the members. */
static bool is_doubtful(const struct look *l, uint64_t desired)
{
	const struct weir_object *o = l->object;
	struct weir_kube_meta meta;

	return !weir_kube_members_are_heard(l->f->members) &&
	       weir_kube_source_find(l->f->source, o->kind, o->ns, o->name,
				     &meta) == 0 &&
	       meta.status_hash & ~desired & WEIR_STATUS_SERVED;
}

static void update(const struct look *l, struct record *record)
{
	struct weir_kube_feed *f = l->f;
	struct weir_status_update *u;

	if (is_doubtful(l, record->desired)) {
		return;
	}
	u = calloc(1, sizeof(*u));
	if (!u) {
		return; /* the next sync finds it again */
	}
	u->next = f->updates;
	f->updates = u;
	f->n_updates++;
	u->feed = f;
	u->key = l->key;
	u->kind = l->object->kind;
	u->generation = l->object->generation;
	u->hash = record->desired;
	u->result = WEIR_KUBE_FAILED; /* where nothing else is known */
	write_desired(l, &u->desired);
	choose_event(l, u);
	u->has_infra = u->kind == WEIR_KIND_GATEWAY && l->verdict &&
		       weir_kube_wants_infra(l->object, l->verdict);
	if (begin_update(f, u, l->object) < 0) {
		free_update(u);
		return;
	}
	record->is_on_its_way = true;
}

/* ---------------------------------------------------------------------- sync
 */

static void look_again(struct weir_kube_feed *f, uint64_t delay_ms)
{
	if (!f->sync_timer.due_ms ||
	    f->sync_timer.due_ms > weir_now_ms() + delay_ms) {
		weir_loop_arm(f->loop, &f->sync_timer, delay_ms);
	}
}

/* Have all agents got it?  False for a while only. */
static bool is_settled(struct look *l, struct record *record, uint64_t version)
{
	l->is_programmed = weir_kube_members_have(l->f->members,
						  l->object->kind, version);
	if (l->is_programmed) {
		record->waiting_ms = 0;
		return true;
	}
	if (!record->waiting_ms) {
		record->waiting_ms = weir_now_ms();
	}
	if (weir_now_ms() - record->waiting_ms >= PATIENCE_MS) {
		return true;
	}
	look_again(l->f, PATIENCE_MS);
	return false;
}

/* A Gateway counts its routes: with thousands of them coming one by one it
 * would be written as often.  The first change is written at once. */
static bool is_paced(const struct look *l, struct record *record)
{
	uint64_t since = weir_now_ms() - record->written_ms;

	if (l->object->kind != WEIR_KIND_GATEWAY || !record->written_ms ||
	    record->generation != l->object->generation ||
	    since > (uint64_t)2 * PACE_MAX_MS) {
		record->pace_ms = 0;
		return true;
	}
	if (since < record->pace_ms) {
		look_again(l->f, record->pace_ms - since);
		return false;
	}
	record->pace_ms = !record->pace_ms ? PACE_FIRST_MS
			  : record->pace_ms * 2 < PACE_MAX_MS
				  ? record->pace_ms * 2
				  : PACE_MAX_MS;
	return true;
}

static void compare(struct look *l, const struct weir_kube_meta *meta)
{
	struct record *record = get_record(l->f, l->key);
	uint64_t seen[4] = {l->f->control->conflicts_hash ^ l->f->held_hash};

	if (!record) {
		return;
	}
	record->mark = l->f->mark;
	if (record->is_on_its_way || !is_settled(l, record, meta->version)) {
		return;
	}
	if (l->id) {
		seen[1] = l->id->hash;
		seen[2] = (uint64_t)l->id->generation;
		seen[3] = l->is_programmed;
	}
	if (l->object->kind == WEIR_KIND_GATEWAY_CLASS) {
		_cleanup_buf_ struct weir_buf lack = {0};

		weir_kube_lack(l->f, &lack);
		seen[0] = weir_str_hash(
			weir_buf_str(&lack),
			weir_str_hash(weir_str_of(l->f->bundle), 2));
	}
	seen[0] = weir_hash64(seen, sizeof(seen), 0);
	if (record->seen != seen[0]) {
		_cleanup_buf_ struct weir_buf text = {0};

		write_desired(l, &text);
		if (text.error) {
			return;
		}
		record->desired = weir_status_hash(l->object->kind,
						   weir_buf_str(&text));
		record->seen = seen[0];
	}
	if (record->desired == meta->status_hash) {
		record->written = 0;
		record->tries = 0;
		return;
	}
	if (record->written == record->desired &&
	    record->generation == l->object->generation) {
		uint64_t since = weir_now_ms() - record->written_ms;

		if (since < record->echo_ms) {
			look_again(l->f, record->echo_ms - since);
			return;
		}
	} else if (record->written) {
		record->tries = 0; /* another one */
	}
	if (l->f->n_updates < UPDATES_MAX && is_paced(l, record)) {
		update(l, record);
	}
}

static const void *verdict_of(const struct weir_verdicts *v,
			      const struct weir_object *o)
{
	switch (o->kind) {
	case WEIR_KIND_GATEWAY_CLASS:
		return weir_verdict_class(v, o->name);
	case WEIR_KIND_GATEWAY:
	case WEIR_KIND_LISTENER_SET:
		return weir_verdict_gateway(v, o->kind, o->ns, o->name);
	case WEIR_KIND_BACKEND_TLS_POLICY:
		return weir_verdict_policy(v, o->ns, o->name);
	case WEIR_KIND_KINGRESS:
		return weir_verdict_king(v, o->ns, o->name);
	default:
		return weir_verdict_route(v, o->kind, o->ns, o->name);
	}
}

/* Its present state: the store has what it said before. */
static bool is_refused(const struct weir_kube_feed *f, uint64_t key)
{
	const struct record *record = f->has_refused ? find_record(f, key)
						     : NULL;

	return record && record->refused == f->mark;
}

static void look_at(struct weir_kube_feed *f, const struct weir_object *o)
{
	struct look l = {.f = f, .object = o, .key = key_of(f, o)};
	struct weir_kube_meta meta;
	uint64_t again_ms;

	if (weir_kube_source_find(f->source, o->kind, o->ns, o->name, &meta) <
	    0) {
		return;
	}
	if (o->kind == WEIR_KIND_KINGRESS && is_refused(f, l.key)) {
		return;
	}
	l.verdict = verdict_of(&f->control->compiled.verdicts, o);
	l.id = l.verdict; /* the first member of each */
	/* Of lists by controller an entry that we made and that is not ours any
	 * more goes; what else has no verdict belongs to somebody else. */
	if (!l.verdict && !weir_status_list(o->kind)) {
		return;
	}
	/* Changed since: the next plan knows. */
	if (l.id && l.id->generation != o->generation) {
		return;
	}
	compare(&l, &meta);
	if (o->kind == WEIR_KIND_GATEWAY && l.verdict &&
	    weir_kube_wants_infra(o, l.verdict)) {
		again_ms = weir_kube_round_look(f, o, l.verdict, l.key);
		if (again_ms) {
			look_again(f, again_ms);
		}
	}
}

static void look_at_refused(struct weir_kube_feed *f,
			    const struct weir_object *o,
			    const struct weir_king_verdict *v)
{
	struct look l = {.f = f,
			 .object = o,
			 .key = key_of(f, o),
			 .id = &v->id,
			 .verdict = v};
	struct record *record = get_record(f, l.key);
	struct weir_kube_meta meta;

	if (record && weir_kube_source_find(f->source, o->kind, o->ns, o->name,
					    &meta) == 0) {
		record->refused = f->mark;
		f->has_refused = true;
		compare(&l, &meta);
	}
}

/* Verdicts of a plan on its way, or refused, are not to be told. */
static bool may_write(const struct weir_kube_feed *f)
{
	const struct weir_control *c = f->control;

	return f->is_in_force && f->is_taken_whole && !c->next.generation &&
	       c->current.version == c->store_version &&
	       weir_kube_members_is_writer(f->members) &&
	       weir_kube_source_is_synced(f->source);
}

/* A look is owed so much time without one. */
static void rest(struct weir_kube_feed *f, uint64_t ms)
{
	uint64_t now_ms = weir_now_ms();

	f->rested_ms = (f->rested_ms > now_ms ? f->rested_ms : now_ms) + ms;
}

static void sync(struct weir_timer *timer)
{
	struct weir_kube_feed *f = timer->arg;
	uint64_t began_us = weir_now_us();
	size_t n_live = 0;

	if (!may_write(f)) {
		return; /* whatever ends that asks again */
	}
	rest(f, SYNC_MS);
	f->mark++;
	f->has_refused = false;
	weir_kube_refused(f, look_at_refused);
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		const struct weir_object *const *v;
		size_t n;

		if (!weir_status_is_written((enum weir_kind)k)) {
			continue;
		}
		v = weir_store_list(f->control->store, (enum weir_kind)k, &n);
		for (size_t i = 0; v && i < n; i++) {
			look_at(f, v[i]);
		}
		n_live += n;
	}
	drop_records(f, n_live);
	rest(f, (weir_now_us() - began_us) * SYNC_SHARE / 1000);
}

void weir_kube_status_changed(struct weir_kube_feed *f)
{
	uint64_t may_ms = weir_now_ms() + SYNC_AHEAD_MS;

	look_again(f, f->rested_ms <= may_ms ? 0 : f->rested_ms - may_ms);
}

/* --------------------------------------------------------------------- life */

void weir_kube_status_init(struct weir_kube_feed *f)
{
	f->sync_timer = (struct weir_timer){.fn = sync, .arg = f};
}

void weir_kube_status_fini(struct weir_kube_feed *f)
{
	size_t pos = 0;
	uint64_t key;
	uint64_t value;

	weir_loop_disarm(f->loop, &f->sync_timer);
	while (f->updates) {
		free_update(f->updates);
	}
	while (weir_map_next(&f->records, &pos, &key, &value)) {
		struct record *r = (struct record *)(uintptr_t)value;

		weir_free_ptr(&r);
	}
	weir_map_fini(&f->records);
}
