/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of manifests (YAML, JSON; several documents a file) as a source
 * of objects.  Files are re-read whole.  A broken document never disturbs the
 * others, and what it defined before stays until it is mended; a file that
 * goes takes its objects along.  Of two files that define the same object the
 * first by path wins.  Knows files and the store, not inotify (source/).
 */
#ifndef WEIR_MODEL_MANIFEST_H
#define WEIR_MODEL_MANIFEST_H

#include "diag.h"
#include "store.h"

#define WEIR_MANIFEST_MAX ((size_t)16 << 20) /* bytes of one file */

/* Decodes all documents of a text into objects and diagnostics.  source: file
 * name for both; is_json by its ending.  Calls fn once per good object with an
 * arena of its own, which fn takes (0) or leaves to be freed (-errno ends the
 * decoding). */
typedef int (*weir_object_fn)(void *arg, struct weir_arena *arena,
			      const struct weir_object *object);
int weir_manifest_decode(struct weir_str text, struct weir_str source,
			 bool is_json, struct weir_diags *diags,
			 weir_object_fn fn, void *arg);

struct weir_manifests;

/* Only files directly in dir whose name ends in .yaml, .yml or .json and does
 * not begin with a dot. */
int weir_manifests_new(const char *dir, struct weir_store *store,
		       struct weir_manifests **ret_manifests);
void weir_manifests_free(struct weir_manifests **manifests);
/* Reads everything; 0, or -errno if the directory itself cannot be read. */
int weir_manifests_load(struct weir_manifests *manifests);
/* Re-reads (or forgets, if it is gone) one file by its name in the directory.
 */
int weir_manifests_reload(struct weir_manifests *manifests, const char *name);
/* All diagnostics of all files as they are now, in order of file and line. */
const struct weir_diag *weir_manifests_diags(struct weir_manifests *manifests,
					     size_t *ret_n);

#endif
