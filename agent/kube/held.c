/* SPDX-License-Identifier: Apache-2.0 */
#include "held.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "decode.h"
#include "json_view.h"
#include "kinds.h"
#include "refs.h"
#include "trim.h"

void weir_held_init(struct weir_held *held, struct weir_store *store,
		    uint64_t seed)
{
	*held = (struct weir_held){.store = store, .seed = seed};
}

static void free_faulty(struct weir_held_faulty **faulty)
{
	weir_arena_fini(&(*faulty)->arena);
	weir_free_ptr(faulty);
}

void weir_held_fini(struct weir_held *held)
{
	while (held->faulty) {
		struct weir_held_faulty *f = held->faulty;

		held->faulty = f->next;
		free_faulty(&f);
	}
	weir_map_fini(&held->index);
	weir_map_fini(&held->wants);
	weir_map_fini(&held->graves);
	weir_free_ptr(&held->entries);
	weir_ahead_fini(&held->ahead);
	weir_buf_fini(&held->scratch);
}

/* ---------------------------------------------------------------- entries */

static uint64_t key_of(const struct weir_held *held, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name)
{
	uint64_t key = weir_str_hash(
		name, weir_str_hash(ns, held->seed + (uint64_t)kind));

	return key ? key : 1; /* 0 is the map's empty place */
}

static struct weir_held_entry *entry_of(const struct weir_held *held,
					uint64_t key)
{
	uint64_t at;

	return weir_map_get(&held->index, key, &at) ? &held->entries[at] : NULL;
}

static int grow_entries(struct weir_held *held)
{
	size_t cap = held->cap ? held->cap + held->cap / 2 : 64;
	void *v;

	if (held->n_entries < held->cap) {
		return 0;
	}
	v = reallocarray(held->entries, cap, sizeof(*held->entries));
	if (!v) {
		return -ENOMEM;
	}
	held->entries = v;
	held->cap = cap;
	return 0;
}

/* A free place is looked for only where a quarter of all is free. */
static size_t free_place(const struct weir_held *held)
{
	if (held->n_free * 4 > held->n_entries) {
		for (size_t i = 0; i < held->n_entries; i++) {
			if (held->entries[i].is_free) {
				return i;
			}
		}
	}
	return held->n_entries;
}

static struct weir_held_entry *add_entry(struct weir_held *held, uint64_t key)
{
	size_t at;

	if (grow_entries(held) < 0) {
		return NULL;
	}
	at = free_place(held);
	if (weir_map_put(&held->index, key, at) < 0) {
		return NULL;
	}
	if (at == held->n_entries) {
		held->n_entries++;
	} else {
		held->n_free--;
	}
	held->entries[at] = (struct weir_held_entry){0};
	return &held->entries[at];
}

static void drop_entry(struct weir_held *held, uint64_t key)
{
	struct weir_held_entry *e = entry_of(held, key);

	if (e) {
		weir_map_del(&held->index, key);
		*e = (struct weir_held_entry){.is_free = true};
		held->n_free++;
	}
}

const struct weir_held_entry *weir_held_find(const struct weir_held *held,
					     enum weir_kind kind,
					     struct weir_str ns,
					     struct weir_str name)
{
	return entry_of(held, key_of(held, kind, ns, name));
}

/* ------------------------------------------------------------ diagnostics */

static void drop_faulty(struct weir_held *held, uint64_t key)
{
	for (struct weir_held_faulty **p = &held->faulty; *p; p = &(*p)->next) {
		if ((*p)->key == key) {
			struct weir_held_faulty *f = *p;

			*p = f->next;
			free_faulty(&f);
			held->n_faulty--;
			held->is_changed = true;
			return;
		}
	}
}

/* Takes the arena if there is room. */
static void keep_faulty(struct weir_held *held, enum weir_kind kind,
			uint64_t key, struct weir_arena *arena,
			const struct weir_diags *diags)
{
	struct weir_held_faulty *f;

	drop_faulty(held, key);
	if (diags->n == 0 || held->n_faulty >= WEIR_HELD_FAULTY_MAX) {
		return;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		return;
	}
	*f = (struct weir_held_faulty){.key = key,
				       .kind = kind,
				       .arena = *arena,
				       .diags = *diags,
				       .next = held->faulty};
	f->diags.arena = NULL;
	*arena = (struct weir_arena){0};
	held->faulty = f;
	held->n_faulty++;
	held->is_changed = true;
}

/* ------------------------------------------------------------ who is named */

static void want(void *arg, enum weir_kind kind, struct weir_str ns,
		 struct weir_str name)
{
	struct weir_held *held = arg;
	uint64_t key = key_of(held, kind, ns, name);
	uint64_t n = 0;

	weir_map_get(&held->wants, key, &n);
	if (weir_map_put(&held->wants, key, n + 1) < 0) {
		return; /* the next list finds it missing again */
	}
	if (n == 0) {
		held->on_want(held->arg, kind, ns, name);
	}
}

static void unwant(void *arg, enum weir_kind kind, struct weir_str ns,
		   struct weir_str name)
{
	struct weir_held *held = arg;
	uint64_t key = key_of(held, kind, ns, name);
	uint64_t n = 0;

	weir_map_get(&held->wants, key, &n);
	if (n > 1) {
		weir_map_put(&held->wants, key, n - 1);
	} else {
		weir_map_del(&held->wants, key);
		held->has_unwanted = true;
	}
}

bool weir_held_is_wanted(const struct weir_held *held, enum weir_kind kind,
			 struct weir_str ns, struct weir_str name)
{
	uint64_t n;

	return weir_map_get(&held->wants, key_of(held, kind, ns, name), &n);
}

/* What an object of a kind is in the store. */
static enum weir_kind shelf_of(enum weir_kind kind)
{
	return kind == WEIR_KIND_REVISION_POD ? WEIR_KIND_ENDPOINT_SLICE : kind;
}

static bool is_kept(const struct weir_held *held, enum weir_kind kind,
		    const struct weir_kube_head *head)
{
	struct weir_str name = head->name;

	if (!weir_kube_rule_of(kind)->is_by_name) {
		return true;
	}
	if (kind == WEIR_KIND_ENDPOINT_SLICE) {
		name = head->service;
	} else if (kind == WEIR_KIND_REVISION_POD) {
		return weir_held_is_wanted(held, kind, head->ns,
					   head->revision);
	}
	return weir_held_is_wanted(held, kind, head->ns, name) ||
	       weir_held_is_wanted(held, kind, head->ns, WEIR_STR(""));
}

/* --------------------------------------------------------- the store */

static void remove_object(struct weir_held *held, enum weir_kind kind,
			  struct weir_str ns, struct weir_str name)
{
	uint64_t key = key_of(held, kind, ns, name);
	const struct weir_object *old;

	if (!entry_of(held, key)) {
		return; /* not from here */
	}
	old = weir_store_find(held->store, shelf_of(kind), ns, name);
	drop_faulty(held, key);
	drop_entry(held, key);
	held->is_changed = true;
	if (old) {
		weir_kube_refs(old, unwant, held);
		weir_store_remove(held->store, old->kind, ns, name);
		held->counts[shelf_of(kind)].kept--;
	}
}

struct decoding {
	struct weir_held *held;
	struct weir_arena arena;
	const struct weir_object *object; /* NULL: it is wrong */
};

static int on_decoded(void *arg, const struct weir_decoded *decoded)
{
	struct decoding *d = arg;

	if (decoded->arena && !d->object) {
		d->arena = *decoded->arena;
		d->object = decoded->object;
		return 0;
	}
	return decoded->arena ? -EEXIST : 0;
}

/* New references count before the old ones go, so that what both name is not
 * looked up again. */
static int replace(struct weir_held *held, struct decoding *d)
{
	const struct weir_object *o = d->object;
	const struct weir_object *old = weir_store_find(held->store, o->kind,
							o->ns, o->name);
	int r;

	weir_kube_refs(o, want, held);
	if (old) {
		weir_kube_refs(old, unwant, held);
	}
	r = weir_store_put(held->store, &d->arena, o);
	if (r < 0) {
		weir_kube_refs(o, unwant, held);
		return r;
	}
	held->counts[o->kind].kept += !old;
	return 0;
}

/* A KIngress whose present state is wrong: who would be told? */
static void note_refused(struct weir_held *held, uint64_t key)
{
	struct weir_held_faulty *f = held->faulty;
	struct weir_str metadata = weir_jview_member(
		weir_buf_str(&held->scratch), "metadata");
	struct weir_kube_head head;

	if (!f || f->key != key ||
	    weir_kube_head_read(weir_buf_str(&held->scratch), &head) < 0) {
		return;
	}
	f->ns = weir_arena_dup(&f->arena, head.ns);
	f->name = weir_arena_dup(&f->arena, head.name);
	f->ingress_class = weir_arena_dup(
		&f->arena,
		weir_jview_text(weir_jview_path(
			metadata, "annotations",
			"networking.knative.dev/ingress.class", NULL)));
	f->generation = (int64_t)weir_jview_u64(
		weir_jview_member(metadata, "generation"));
}

/* Decodes what is in scratch into the store; a wrong object leaves what was
 * there. */
static int take(struct weir_held *held, enum weir_kind kind, uint64_t key)
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	struct decoding d = {.held = held};
	struct weir_diags diags;
	bool is_refused;
	int r;

	weir_arena_init(&arena, 256);
	weir_diags_init(&diags, &arena);
	r = weir_manifest_decode_all(weir_buf_str(&held->scratch),
				     WEIR_STR_NULL, true, &diags, on_decoded,
				     &d);
	is_refused = !d.object || d.object->kind != shelf_of(kind);
	if (r == 0 && !is_refused) {
		r = replace(held, &d);
	} else if (r == 0) {
		held->counts[kind].undecodable++;
	}
	weir_arena_fini(&d.arena);
	if (r == 0) {
		keep_faulty(held, kind, key, &arena, &diags);
	}
	if (r == 0 && is_refused && kind == WEIR_KIND_KINGRESS) {
		note_refused(held, key);
	}
	return r;
}

static bool is_stale(const struct weir_held *held, uint64_t key,
		     const struct weir_held_entry *e, uint64_t version)
{
	uint64_t buried;

	if (e && version < e->seen) {
		return true;
	}
	return weir_map_get(&held->graves, key, &buried) && version <= buried;
}

static void forget_scratch(struct weir_held *held, enum weir_kind kind)
{
	if (kind == WEIR_KIND_SECRET && held->scratch.p) {
		explicit_bzero(held->scratch.p, held->scratch.cap);
	}
	held->scratch.n = 0;
	if (held->scratch.cap > (size_t)64 << 10) {
		weir_buf_fini(&held->scratch);
	}
}

static int apply_kept(struct weir_held *held, enum weir_kind kind,
		      const struct weir_kube_head *head, uint64_t key,
		      struct weir_str status)
{
	struct weir_held_entry *e = entry_of(held, key);
	struct weir_str text = weir_buf_str(&held->scratch);
	uint64_t content = weir_str_hash(text, 0x77656972);
	uint64_t status_hash = held->status_hash
				       ? held->status_hash(held->arg, kind,
							   status)
				       : 0;
	int r;

	if (!e || e->content != content) {
		r = take(held, kind, key);
		if (r < 0) {
			return r;
		}
		e = e ? e : add_entry(held, key);
		if (!e) {
			return -ENOMEM;
		}
		e->content = content;
		e->version = head->version;
		held->counts[kind].version = head->version;
		held->is_changed = true;
	}
	held->is_changed |= e->status != status_hash;
	e->status = status_hash;
	e->seen = head->version;
	e->mark = held->marks[kind];
	e->kind = (uint8_t)kind;
	return 0;
}

int weir_held_apply(struct weir_held *held, enum weir_kind kind,
		    struct weir_str api_version, struct weir_str object,
		    bool is_looked_up)
{
	struct weir_kube_head head;
	struct weir_str status;
	uint64_t key;
	int r;

	if (weir_kube_head_read(object, &head) < 0) {
		held->counts[kind].undecodable++;
		return 0;
	}
	key = key_of(held, kind, head.ns, head.name);
	if (!is_kept(held, kind, &head) &&
	    (!held->does_keep || !held->does_keep(held->arg, kind, object))) {
		held->counts[kind].skipped++;
		remove_object(held, kind, head.ns, head.name);
		if (kind == WEIR_KIND_REVISION_POD) {
			weir_ahead_forget(&held->ahead, object);
		}
		return 0;
	}
	if (is_looked_up &&
	    is_stale(held, key, entry_of(held, key), head.version)) {
		return 0;
	}
	r = kind == WEIR_KIND_REVISION_POD
		    ? weir_ahead_note(&held->ahead, object)
		    : 0;
	if (r < 0) {
		return r;
	}
	r = weir_kube_trim(kind, api_version, object, &held->ahead,
			   &held->scratch, &status);
	if (r == 0) {
		r = apply_kept(held, kind, &head, key, status);
	} else if (r == -ENOENT) {
		remove_object(held, kind, head.ns, head.name);
		r = 0;
	} else if (r == -EBADMSG) {
		held->counts[kind].undecodable++;
		r = 0;
	}
	forget_scratch(held, kind);
	return r;
}

int weir_held_apply_ahead(struct weir_held *held)
{
	struct weir_held_count *count = &held->counts[WEIR_KIND_REVISION_POD];
	uint64_t newest = count->version;
	struct weir_str object;
	int r = 0;

	while (r == 0 && (object = weir_ahead_changed(&held->ahead)).p) {
		r = weir_held_apply(held, WEIR_KIND_REVISION_POD,
				    WEIR_STR("v1"), object, false);
	}
	/* The server has said nothing new. */
	count->version = newest;
	return r;
}

/* No status waits to hear which endpoints the agents have.  They change all the
 * time, and each acknowledgement is a write of each agent. */
static bool is_significant(enum weir_kind kind)
{
	return kind != WEIR_KIND_ENDPOINT_SLICE && kind != WEIR_KIND_POD &&
	       kind != WEIR_KIND_REVISION_POD;
}

uint64_t weir_held_significant(const struct weir_held *held)
{
	uint64_t hash = 0;

	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		if (is_significant((enum weir_kind)k)) {
			hash = weir_hash64(&held->counts[k].version,
					   sizeof(held->counts[k].version),
					   hash);
		}
	}
	return hash;
}

void weir_held_delete(struct weir_held *held, enum weir_kind kind,
		      struct weir_str object)
{
	struct weir_kube_head head;

	if (weir_kube_head_read(object, &head) < 0) {
		return;
	}
	if (held->keeps_graves) {
		weir_map_put(&held->graves,
			     key_of(held, kind, head.ns, head.name),
			     head.version);
	}
	if (kind == WEIR_KIND_REVISION_POD) {
		weir_ahead_forget(&held->ahead, object);
	}
	if (weir_held_find(held, kind, head.ns, head.name)) {
		held->counts[kind].version = head.version;
	}
	remove_object(held, kind, head.ns, head.name);
}

void weir_held_too_large(struct weir_held *held, enum weir_kind kind,
			 struct weir_str beginning)
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	struct weir_kube_head head = {.name = WEIR_STR("(unnamed)")};
	struct weir_object object = {.kind = kind};
	struct weir_held_entry *e;
	struct weir_diags diags;
	uint64_t key;

	held->counts[kind].too_large++;
	/* metadata comes first, or is not known. */
	weir_kube_head_read(beginning, &head);
	key = key_of(held, kind, head.ns, head.name);
	e = entry_of(held, key);
	if (e) {
		e->mark = held->marks[kind];
	}
	object.ns = head.ns;
	object.name = head.name;
	weir_arena_init(&arena, 256);
	weir_diags_init(&diags, &arena);
	weir_diag_add(&diags, WEIR_DIAG_ERROR, &object, "TooLarge",
		      WEIR_STR_NULL,
		      "larger than weir reads, what it said before stays in "
		      "force");
	keep_faulty(held, kind, key, &arena, &diags);
}

/* ------------------------------------------------------ what is gone */

void weir_held_list_begin(struct weir_held *held, enum weir_kind kind)
{
	held->marks[kind]++;
	if (kind == WEIR_KIND_REVISION_POD) {
		weir_ahead_forget_all(&held->ahead); /* they come again */
		held->ahead.is_in_list = true;
	}
}

/* Objects are found through the store, as only it has their names. */
static int remove_where(struct weir_held *held, enum weir_kind kind,
			bool (*is_gone)(const struct weir_held *,
					enum weir_kind,
					const struct weir_object *))
{
	_cleanup_(weir_arena_fini) struct weir_arena arena = {0};
	const struct weir_object *const *list;
	struct weir_kube_head *gone;
	size_t n_gone = 0;
	size_t n;

	list = weir_store_list(held->store, shelf_of(kind), &n);
	if (!list) {
		return -ENOMEM;
	}
	if (n == 0) {
		return 0;
	}
	weir_arena_init(&arena, 4096);
	gone = weir_arena_array(&arena, n, sizeof(*gone));
	for (size_t i = 0; gone && i < n; i++) {
		if (is_gone(held, kind, list[i])) {
			struct weir_kube_head *g = &gone[n_gone++];

			g->ns = weir_arena_dup(&arena, list[i]->ns);
			g->name = weir_arena_dup(&arena, list[i]->name);
			if (!g->name.p) {
				return -ENOMEM;
			}
		}
	}
	for (size_t i = 0; i < n_gone; i++) {
		remove_object(held, kind, gone[i].ns, gone[i].name);
	}
	return gone ? 0 : -ENOMEM;
}

static bool is_unmarked(const struct weir_held *held, enum weir_kind kind,
			const struct weir_object *o)
{
	const struct weir_held_entry *e = weir_held_find(held, kind, o->ns,
							 o->name);

	return e && e->mark != held->marks[kind];
}

/* A pod that is on its way ceases to be so by itself. */
static bool is_unwanted(const struct weir_held *held, enum weir_kind kind,
			const struct weir_object *o)
{
	struct weir_kube_head head = {.ns = o->ns, .name = o->name};

	if (o->kind == WEIR_KIND_ENDPOINT_SLICE) {
		head.service = o->slice->service;
	}
	return kind != WEIR_KIND_REVISION_POD && !is_kept(held, kind, &head);
}

/* Entries of objects that were wrong from the beginning are in no store. */
static void drop_unmarked_entries(struct weir_held *held, enum weir_kind kind)
{
	uint64_t gone[64];
	size_t n_gone;

	do {
		uint64_t key;
		uint64_t at;

		n_gone = 0;
		for (size_t pos = 0;
		     n_gone < 64 &&
		     weir_map_next(&held->index, &pos, &key, &at);) {
			const struct weir_held_entry *e = &held->entries[at];

			if (e->kind == kind && e->mark != held->marks[kind]) {
				gone[n_gone++] = key;
			}
		}
		for (size_t i = 0; i < n_gone; i++) {
			drop_faulty(held, gone[i]);
			drop_entry(held, gone[i]);
		}
	} while (n_gone == 64);
}

int weir_held_list_end(struct weir_held *held, enum weir_kind kind)
{
	int r = remove_where(held, kind, is_unmarked);

	if (r == 0) {
		drop_unmarked_entries(held, kind);
	}
	if (kind == WEIR_KIND_REVISION_POD) {
		held->ahead.is_in_list = false;
	}
	return r;
}

int weir_held_drop_unwanted(struct weir_held *held)
{
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		enum weir_kind kind = (enum weir_kind)k;

		if (weir_kube_rule_of(kind)->is_by_name) {
			int r = remove_where(held, kind, is_unwanted);

			if (r < 0) {
				return r;
			}
		}
	}
	held->has_unwanted = false;
	return 0;
}

void weir_held_keep_graves(struct weir_held *held, bool does_keep)
{
	held->keeps_graves = does_keep;
	if (!does_keep) {
		weir_map_fini(&held->graves);
	}
}
