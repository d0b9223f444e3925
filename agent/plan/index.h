/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash tables inside a plan, built and read here.
 *
 * A table is an array of uint32_t, its length a power of two and at least
 * twice the number of entries; 0 is an empty place, else index + 1 and, above
 * it, a few bits of the hash, so that an entry of another name is passed by
 * without looking at that.  Open addressing, linear probing.  Hostnames: of
 * equal ones the first counts. Paths: the entry names the first match of that
 * path, and weir_match.next the following ones in order of precedence.
 */
#ifndef WEIR_PLAN_INDEX_H
#define WEIR_PLAN_INDEX_H

#include "plan.h"
#include "writer.h"

#define WEIR_INDEX_TAG 0xFF000000u /* the hash's bits of an entry */

/* ------------------------------------------------------------- for compile */

/* Fill the index of what was added; v: the span of all elements. */
struct weir_span weir_index_listeners(struct weir_writer *w,
				      struct weir_span listeners);
struct weir_span weir_index_vhosts(struct weir_writer *w,
				   struct weir_span vhosts);
/* The vhost at this place was put between the others, and its name is new: the
 * hash, which a writer made, follows.  -ENOSPC: it must be made anew. */
int weir_index_insert_vhost(struct weir_plan *plan,
			    const struct weir_listener *listener, uint32_t at);
/* Reads table->matches (in order of precedence, already in w), sets their
 * .next and table->exact, prefix, regex.  table: the caller's copy. */
void weir_index_table(struct weir_writer *w, struct weir_table *table);
/* weir_plan.proxied for the frontends, of which none need be stamped. */
struct weir_span weir_index_proxied(struct weir_writer *w,
				    struct weir_span frontends);

/* ----------------------------------------------------------------- reading */

/* A path prefix as a table key: without trailing slashes, so "" for "/". */
static inline struct weir_str weir_index_prefix_key(struct weir_str path)
{
	while (path.n && path.p[path.n - 1] == '/') {
		path.n--;
	}
	return path;
}

/* Hash of a path, one byte at a time: a longer path continues a shorter. */
#define WEIR_INDEX_PATH_SEED 0xCBF29CE484222325u
static inline uint64_t weir_index_path_step(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * 0x100000001B3u;
}

/* FNV leaves the low bits weak; the tables use only those. */
static inline uint32_t weir_index_fold(uint64_t h)
{
	return weir_mix32((uint32_t)h, (uint32_t)(h >> 32));
}

/* Hash of a hostname that is no wildcard, folded. */
uint32_t weir_index_host_hash(struct weir_str name);

/* Where an element of this (folded) hash is first looked for; the table is not
 * empty. */
static inline const uint32_t *weir_index_place(const struct weir_plan *plan,
					       struct weir_span table,
					       uint32_t hash)
{
	return WEIR_PLAN_ELEM(plan, uint32_t, table, hash & (table.n - 1));
}

/* The first element that may have this (folded) hash, its name unseen; or
 * WEIR_NONE. */
uint32_t weir_index_peek(const struct weir_plan *plan, struct weir_span table,
			 uint32_t hash);

/* Index of the most specific listener or vhost for host (lower case, no port):
 * the same name, then the longest wildcard, then the one without hostname.
 * WEIR_NONE if none covers it. */
uint32_t weir_index_find_listener(const struct weir_plan *plan,
				  const struct weir_frontend *frontend,
				  struct weir_str host);
uint32_t weir_index_find_vhost(const struct weir_plan *plan,
			       const struct weir_listener *listener,
			       struct weir_str host);
/* The next one after vhost, which covers host, in that order. */
uint32_t weir_index_find_wider(const struct weir_plan *plan,
			       const struct weir_listener *listener,
			       struct weir_str host, uint32_t vhost);
/* First match whose path (or, with is_prefix, prefix key) is exactly this;
 * hash: over all its bytes from WEIR_INDEX_PATH_SEED. */
uint32_t weir_index_find_path(const struct weir_plan *plan,
			      const struct weir_table *table, bool is_prefix,
			      struct weir_str path, uint64_t hash);

#endif
