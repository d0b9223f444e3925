/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wanted: all objects, by kind, in (namespace, name) order.  Two
 * sources feed it with identical semantics: manifests and, later, the
 * Kubernetes API.  compile() sees it through a const pointer.
 */
#ifndef WEIR_MODEL_STORE_H
#define WEIR_MODEL_STORE_H

#include "object.h"

struct weir_store;

int weir_store_new(struct weir_store **ret_store);
void weir_store_free(struct weir_store **store);
/* Takes the object and the arena it lives in; replaces one of the same kind,
 * namespace and name.  On failure both stay the caller's. */
int weir_store_put(struct weir_store *store, struct weir_arena *arena,
		   const struct weir_object *object);
/* True if it was there. */
bool weir_store_remove(struct weir_store *store, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name);
const struct weir_object *weir_store_find(const struct weir_store *store,
					  enum weir_kind kind,
					  struct weir_str ns,
					  struct weir_str name);
/* All of a kind, sorted by (namespace, name); valid until the next change.
 * NULL: out of memory.  What was listed since the last change can be listed
 * again without fail. */
const struct weir_object *const *
weir_store_list(struct weir_store *store, enum weir_kind kind, size_t *ret_n);
/* All EndpointSlices that have a Service, by namespace, Service and name; what
 * weir_store_slices() returns is part of it.  NULL: out of memory, or none. */
const struct weir_object *const *weir_store_all_slices(struct weir_store *store,
						       size_t *ret_n);
/* EndpointSlices of a Service, sorted by name; valid until the next change. */
const struct weir_object *const *weir_store_slices(struct weir_store *store,
						   struct weir_str ns,
						   struct weir_str service,
						   size_t *ret_n);
/* Counts every put and remove: unchanged means nothing to compile. */
uint64_t weir_store_version(const struct weir_store *store);

/* The objects replaced since version `since`, if each of those edits was of
 * weights or of endpoints alone (small_edit.h); an object may be named twice.
 * -EAGAIN: something else changed, or too much. */
#define WEIR_STORE_SMALL_EDITS_MAX 16
int weir_store_small_edits(
	const struct weir_store *store, uint64_t since,
	const struct weir_object
		*ret_objects[static WEIR_STORE_SMALL_EDITS_MAX],
	size_t *ret_n);

/* The object that came since version `since`, if that is all that changed; else
 * NULL. */
const struct weir_object *weir_store_only_added(const struct weir_store *store,
						uint64_t since);

#endif
