/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is held of the API server: objects in the store, and beside each what it
 * was when it was read.  Decides what is kept, what is new and what is gone;
 * knows nothing of requests.
 */
#ifndef WEIR_KUBE_HELD_H
#define WEIR_KUBE_HELD_H

#include "ahead.h"
#include "buf.h"
#include "diag.h"
#include "map.h"
#include "store.h"

#define WEIR_HELD_FAULTY_MAX 1000 /* objects with diagnostics */

/* As weir_kube_hash_fn of source.h. */
typedef uint64_t (*weir_held_hash_fn)(void *arg, enum weir_kind kind,
				      struct weir_str status);
/* Is an object of a kind that is kept by name kept though nothing names it?
 * object: its JSON. */
typedef bool (*weir_held_keep_fn)(void *arg, enum weir_kind kind,
				  struct weir_str object);
/* The first object that names this one came.  An empty name: all of the
 * namespace. */
typedef void (*weir_held_want_fn)(void *arg, enum weir_kind kind,
				  struct weir_str ns, struct weir_str name);

struct weir_held_entry {
	uint64_t content; /* hash of what decides */
	uint64_t status;  /* what the hash function said */
	uint64_t version; /* resourceVersion when content changed */
	uint64_t seen;    /* resourceVersion last read */
	uint32_t mark;    /* of the list in which it was last */
	uint8_t kind;
	bool is_free;
};

struct weir_held_faulty {
	struct weir_held_faulty *next;
	uint64_t key;
	enum weir_kind kind;
	struct weir_arena arena; /* of all below */
	struct weir_diags diags;
	/* Of a KIngress whose present state is refused, so that its status can
	 * say so; else name is empty. */
	struct weir_str ns;
	struct weir_str name;
	struct weir_str ingress_class;
	int64_t generation;
};

struct weir_held_count {
	uint64_t kept; /* in the store */
	uint64_t skipped;
	uint64_t too_large;
	uint64_t undecodable;
	uint64_t version; /* highest resourceVersion of a change of content */
};

struct weir_held {
	struct weir_store *store;
	weir_held_hash_fn status_hash; /* may be NULL */
	weir_held_keep_fn does_keep;   /* may be NULL */
	weir_held_want_fn on_want;
	void *arg;
	uint64_t seed;         /* of keys: nobody can make two names meet */
	struct weir_map index; /* key -> place in entries */
	struct weir_held_entry *entries;
	size_t n_entries; /* places used, with the free ones */
	size_t cap;
	size_t n_free;
	struct weir_map wants;  /* key -> how many name it */
	struct weir_map graves; /* key -> resourceVersion of a deletion */
	bool keeps_graves;      /* while something is looked up */
	struct weir_held_faulty *faulty;
	size_t n_faulty;
	struct weir_ahead ahead; /* pods of revisions that start */
	struct weir_buf scratch;
	uint32_t marks[_WEIR_KIND_MAX];
	struct weir_held_count counts[_WEIR_KIND_MAX];
	bool is_changed;   /* since it was last set to false: anything at all */
	bool has_unwanted; /* something that nothing names is in the store */
};

/* seed: random. */
void weir_held_init(struct weir_held *held, struct weir_store *store,
		    uint64_t seed);
/* What is in the store stays there. */
void weir_held_fini(struct weir_held *held);
/* An object as it is now, or, if it was looked up beside the watch, as it was
 * a moment ago: then what is newer stays.  0 (whatever became of it), -ENOMEM.
 */
int weir_held_apply(struct weir_held *held, enum weir_kind kind,
		    struct weir_str api_version, struct weir_str object,
		    bool is_looked_up);
/* held->ahead knows other networks of pods than before.  0 or -ENOMEM. */
int weir_held_apply_ahead(struct weir_held *held);
/* Other than before: something changed that a status may wait for. */
uint64_t weir_held_significant(const struct weir_held *held);
/* It is deleted.  object: its last state. */
void weir_held_delete(struct weir_held *held, enum weir_kind kind,
		      struct weir_str object);
/* It is larger than is read; beginning: its first bytes.  What it said before
 * stays. */
void weir_held_too_large(struct weir_held *held, enum weir_kind kind,
			 struct weir_str beginning);
/* Between the two all objects of a kind are applied; what was not is gone. */
void weir_held_list_begin(struct weir_held *held, enum weir_kind kind);
int weir_held_list_end(struct weir_held *held, enum weir_kind kind);
/* Does an object name this one? */
bool weir_held_is_wanted(const struct weir_held *held, enum weir_kind kind,
			 struct weir_str ns, struct weir_str name);
/* Takes out of the store what nothing names any more. */
int weir_held_drop_unwanted(struct weir_held *held);
const struct weir_held_entry *weir_held_find(const struct weir_held *held,
					     enum weir_kind kind,
					     struct weir_str ns,
					     struct weir_str name);
/* False from now on: what was deleted is forgotten. */
void weir_held_keep_graves(struct weir_held *held, bool does_keep);

#endif
