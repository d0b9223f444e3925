/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#include <errno.h>

/* RFC 1035 2.3.4; what is longer is no hostname, and is covered only by what
 * covers everything. */
#define HOST_MAX 255

#define SEED_NAME 1
#define SEED_WILD 2

static uint64_t path_hash(struct weir_str s)
{
	uint64_t h = WEIR_INDEX_PATH_SEED;

	for (size_t i = 0; i < s.n; i++) {
		h = weir_index_path_step(h, s.p[i]);
	}
	return h;
}

/* "*.x" hashes as ".x" in a space of its own, so that looking up a wildcard
 * needs no copy of the host. */
static uint64_t host_hash(struct weir_str name)
{
	if (name.n && name.p[0] == '*') {
		return weir_str_hash(weir_str_skip(name, 1), SEED_WILD);
	}
	return weir_str_hash(name, SEED_NAME);
}

/* What a table has for element i, whose name or path has this (folded) hash;
 * places are chosen by the bits below. */
static uint32_t entry_of(uint32_t i, uint32_t hash)
{
	return (i + 1) | (hash & WEIR_INDEX_TAG);
}

static uint32_t element_of(uint32_t entry)
{
	return (entry & ~WEIR_INDEX_TAG) - 1;
}

static bool may_be(uint32_t entry, uint32_t hash)
{
	return ((entry ^ hash) & WEIR_INDEX_TAG) == 0;
}

static uint32_t table_size(uint32_t n)
{
	uint32_t size = 2;

	while (size < n * 2) {
		size *= 2;
	}
	return size;
}

/* ---------------------------------------------------------------- building */

/* A table of n elements; empty if it cannot be, as error says: a place, too, is
 * chosen by the bits below, and there are less than four for each element. */
static struct weir_span reserve(struct weir_writer *w, uint32_t n)
{
	if (n > ~WEIR_INDEX_TAG / 4) {
		w->error = w->error ? w->error : -EFBIG;
		return (struct weir_span){0};
	}
	return weir_writer_reserve(w, table_size(n), sizeof(uint32_t));
}

/* Span of the hostname of element i; the arrays differ only in stride. */
static struct weir_span hostname_at(struct weir_writer *w, struct weir_span v,
				    size_t stride, size_t at, uint32_t i)
{
	struct weir_span hostname;

	memcpy(&hostname, (char *)weir_writer_at(w, v) + i * stride + at,
	       sizeof(hostname));
	return hostname;
}

static struct weir_span index_hosts(struct weir_writer *w, struct weir_span v,
				    size_t stride, size_t at)
{
	struct weir_span span;
	uint32_t *slots;

	if (v.n == 0) {
		return (struct weir_span){0};
	}
	span = reserve(w, v.n);
	if (span.n == 0) {
		return span;
	}
	slots = weir_writer_at(w, span);
	for (uint32_t i = 0; i < v.n; i++) {
		struct weir_str name = weir_writer_str(
			w, hostname_at(w, v, stride, at, i));
		uint32_t hash = weir_index_fold(host_hash(name));
		uint32_t p = hash & (span.n - 1);

		while (slots[p] &&
		       !weir_str_eq(
			       weir_writer_str(
				       w, hostname_at(w, v, stride, at,
						      element_of(slots[p]))),
			       name)) {
			p = (p + 1) & (span.n - 1);
		}
		if (!slots[p]) {
			slots[p] = entry_of(i, hash);
		}
	}
	return span;
}

struct weir_span weir_index_listeners(struct weir_writer *w,
				      struct weir_span listeners)
{
	return index_hosts(w, listeners, sizeof(struct weir_listener),
			   offsetof(struct weir_listener, hostname));
}

struct weir_span weir_index_vhosts(struct weir_writer *w,
				   struct weir_span vhosts)
{
	return index_hosts(w, vhosts, sizeof(struct weir_vhost),
			   offsetof(struct weir_vhost, hostname));
}

/* In one pass: a vhost behind the new one moves by one. */
int weir_index_insert_vhost(struct weir_plan *plan,
			    const struct weir_listener *listener, uint32_t at)
{
	struct weir_span span = listener->host_index;
	uint32_t *slots = (uint32_t *)((char *)plan + span.off);
	const struct weir_vhost *v = weir_plan_at(plan, listener->vhosts);
	uint32_t hash;
	uint32_t p;

	if (span.n != table_size(listener->vhosts.n)) {
		return -ENOSPC;
	}
	for (uint32_t i = 0; i < span.n; i++) {
		slots[i] += slots[i] && element_of(slots[i]) >= at;
	}
	hash = weir_index_fold(host_hash(weir_plan_str(plan, v[at].hostname)));
	p = hash & (span.n - 1);
	while (slots[p]) {
		p = (p + 1) & (span.n - 1);
	}
	slots[p] = entry_of(at, hash);
	return 0;
}

static bool is_listed(const struct weir_match *m)
{
	return m->path_type != WEIR_PATH_EXACT &&
	       m->path_type != WEIR_PATH_PREFIX;
}

static struct weir_str key_of(struct weir_writer *w, const struct weir_match *m)
{
	struct weir_str path = weir_writer_str(w, m->path);

	return m->path_type == WEIR_PATH_PREFIX ? weir_index_prefix_key(path)
						: path;
}

/* Table of all matches of one type.  Goes backwards, so that the first of a
 * path ends up in the table with the others behind it in order. */
static struct weir_span index_paths(struct weir_writer *w, struct weir_span v,
				    uint32_t type)
{
	struct weir_match *m = weir_writer_at(w, v);
	struct weir_span span;
	uint32_t *slots;
	uint32_t n = 0;

	for (uint32_t i = 0; i < v.n; i++) {
		n += m[i].path_type == type;
	}
	if (n == 0) {
		return (struct weir_span){0};
	}
	span = reserve(w, n);
	if (span.n == 0) {
		return span;
	}
	m = weir_writer_at(w, v);
	slots = weir_writer_at(w, span);
	for (uint32_t i = v.n; i-- > 0;) {
		struct weir_str key;
		uint32_t hash;
		uint32_t p;

		if (m[i].path_type != type) {
			continue;
		}
		key = key_of(w, &m[i]);
		hash = weir_index_fold(path_hash(key));
		p = hash & (span.n - 1);
		while (slots[p] &&
		       !weir_str_eq(key_of(w, &m[element_of(slots[p])]), key)) {
			p = (p + 1) & (span.n - 1);
		}
		m[i].next = slots[p] ? element_of(slots[p]) : WEIR_NONE;
		slots[p] = entry_of(i, hash);
	}
	return span;
}

static struct weir_span index_list(struct weir_writer *w, struct weir_span v)
{
	struct weir_match *m = weir_writer_at(w, v);
	struct weir_span span;
	uint32_t *list;
	uint32_t n = 0;

	for (uint32_t i = 0; i < v.n; i++) {
		if (is_listed(&m[i])) {
			m[i].next = WEIR_NONE;
			n++;
		}
	}
	span = weir_writer_reserve(w, n, sizeof(uint32_t));
	if (span.n == 0) {
		return span;
	}
	m = weir_writer_at(w, v);
	list = weir_writer_at(w, span);
	for (uint32_t i = 0; i < v.n; i++) {
		if (is_listed(&m[i])) {
			*list++ = i;
		}
	}
	return span;
}

void weir_index_table(struct weir_writer *w, struct weir_table *table)
{
	if (w->error || table->matches.n == 0) {
		return;
	}
	table->exact = index_paths(w, table->matches, WEIR_PATH_EXACT);
	table->prefix = index_paths(w, table->matches, WEIR_PATH_PREFIX);
	table->regex = index_list(w, table->matches);
}

struct weir_span weir_index_proxied(struct weir_writer *w,
				    struct weir_span frontends)
{
	const struct weir_frontend *f = weir_writer_at(w, frontends);
	struct weir_span span = {0};
	bool is_any = false;
	uint32_t *list;

	for (uint32_t i = 0; i < frontends.n; i++) {
		is_any = is_any || weir_frontend_is_proxied(&f[i]);
	}
	if (is_any) {
		span = weir_writer_reserve(w, WEIR_PROXIED_MAX,
					   sizeof(uint32_t));
	}
	if (span.n == 0) {
		return span;
	}
	f = weir_writer_at(w, frontends);
	list = weir_writer_at(w, span);
	memset(list, 0xFF, span.n * sizeof(uint32_t));
	for (uint32_t i = 0; i < frontends.n; i++) {
		if (f[i].proxy_index) {
			list[f[i].proxy_index - 1] = i;
		}
	}
	return span;
}

/* ----------------------------------------------------------------- reading */

struct hosts {
	const struct weir_plan *plan;
	const uint32_t *slots;
	uint32_t n_slots;
	const char *hostname; /* of element 0 */
	size_t stride;
	uint32_t n;  /* elements */
	size_t then; /* from there: the span that is read next */
};

static struct weir_str hostname_of(const struct hosts *h, uint32_t i)
{
	struct weir_span span;

	memcpy(&span, h->hostname + i * h->stride, sizeof(span));
	return weir_plan_str(h->plan, span);
}

/* While the name is compared: with many names nothing of this is in the cache,
 * and each line costs a request 100 ns.  Before a vhost's only table lies its
 * hash of prefixes (compile/), of a few lines mostly.  Always inlined: a
 * function that does no more than this has no effect, and is not called. */
static inline __attribute__((always_inline)) void
fetch_next(const struct hosts *h, uint32_t i)
{
	struct weir_span span;
	const char *p;

	memcpy(&span, h->hostname + i * h->stride + h->then, sizeof(span));
	p = weir_plan_at(h->plan, span);
	__builtin_prefetch(p);
	__builtin_prefetch(p - 64);
	__builtin_prefetch(p - 128);
}

static bool covers(struct weir_str name, struct weir_str host)
{
	if (name.n == 0) {
		return true;
	}
	if (name.p[0] == '*') {
		struct weir_str tail = weir_str_skip(name, 1);

		return host.n > tail.n && tail.n && tail.p[0] == '.' &&
		       weir_str_ends(host, tail);
	}
	return weir_str_eq(name, host);
}

/* tail: what follows '*' for a wildcard, else the whole name. */
static uint32_t probe_host(const struct hosts *h, bool is_wild,
			   struct weir_str tail)
{
	uint32_t hash = weir_index_fold(
		weir_str_hash(tail, is_wild ? SEED_WILD : SEED_NAME));
	uint32_t p = hash;

	/* Counted: a damaged table may have no empty place. */
	for (uint32_t k = 0; k < h->n_slots; k++, p++) {
		uint32_t entry = h->slots[p & (h->n_slots - 1)];
		struct weir_str name;

		if (entry == 0) {
			return WEIR_NONE;
		}
		if (!may_be(entry, hash)) {
			continue;
		}
		name = hostname_of(h, element_of(entry));
		fetch_next(h, element_of(entry));
		if ((name.n && name.p[0] == '*') == is_wild &&
		    weir_str_eq(weir_str_skip(name, is_wild), tail)) {
			return element_of(entry);
		}
	}
	return WEIR_NONE;
}

/* As it is looked for; empty: only what covers everything covers it. */
static struct weir_str normal(struct weir_str host)
{
	/* A name written with its final dot is the same name. */
	if (host.n > 1 && host.p[host.n - 1] == '.') {
		host.n--;
	}
	if (host.n > HOST_MAX || (host.n && host.p[0] == '*')) {
		host.n = 0;
	}
	return host;
}

/* The longest wildcard whose tail begins at from or later, else what covers
 * everything.  "*.x" covers one or more labels, never x itself. */
static uint32_t find_wild(const struct hosts *h, struct weir_str host,
			  size_t from)
{
	for (size_t i = from; i < host.n; i++) {
		uint32_t found;

		if (host.p[i] != '.') {
			continue;
		}
		found = probe_host(h, true, weir_str_skip(host, i));
		if (found != WEIR_NONE) {
			return found;
		}
	}
	return probe_host(h, false, WEIR_STR(""));
}

static uint32_t find_host(const struct hosts *h, struct weir_str host)
{
	uint32_t found;

	if (h->n_slots == 0) {
		return WEIR_NONE;
	}
	host = normal(host);
	/* One listener, one host: the usual case needs no hash. */
	if (h->n == 1) {
		return covers(hostname_of(h, 0), host) ? 0 : WEIR_NONE;
	}
	found = host.n ? probe_host(h, false, host) : WEIR_NONE;
	return found != WEIR_NONE ? found : find_wild(h, host, 1);
}

/* The most specific one that covers more than element i, which covers host. */
static uint32_t find_wider(const struct hosts *h, struct weir_str host,
			   uint32_t i)
{
	struct weir_str name = hostname_of(h, i);

	host = normal(host);
	if (name.n == 0 || host.n == 0) {
		return WEIR_NONE;
	}
	return find_wild(h, host, name.p[0] == '*' ? host.n - name.n + 2 : 1);
}

uint32_t weir_index_host_hash(struct weir_str name)
{
	return weir_index_fold(weir_str_hash(name, SEED_NAME));
}

uint32_t weir_index_peek(const struct weir_plan *plan, struct weir_span table,
			 uint32_t hash)
{
	const uint32_t *slots = weir_plan_at(plan, table);
	uint32_t p = hash;

	for (uint32_t k = 0; k < table.n; k++, p++) {
		uint32_t entry = slots[p & (table.n - 1)];

		if (entry == 0) {
			return WEIR_NONE;
		}
		if (may_be(entry, hash)) {
			return element_of(entry);
		}
	}
	return WEIR_NONE;
}

uint32_t weir_index_find_listener(const struct weir_plan *plan,
				  const struct weir_frontend *frontend,
				  struct weir_str host)
{
	const struct weir_listener *v = weir_plan_at(plan, frontend->listeners);
	struct hosts h = {
		.plan = plan,
		.slots = weir_plan_at(plan, frontend->host_index),
		.n_slots = frontend->host_index.n,
		.hostname = (const char *)&v->hostname,
		.stride = sizeof(*v),
		.n = frontend->listeners.n,
		.then = offsetof(struct weir_listener, vhosts) -
			offsetof(struct weir_listener, hostname),
	};

	return find_host(&h, host);
}

static struct hosts vhosts_of(const struct weir_plan *plan,
			      const struct weir_listener *listener)
{
	const struct weir_vhost *v = weir_plan_at(plan, listener->vhosts);

	return (struct hosts){
		.plan = plan,
		.slots = weir_plan_at(plan, listener->host_index),
		.n_slots = listener->host_index.n,
		.hostname = (const char *)&v->hostname,
		.stride = sizeof(*v),
		.n = listener->vhosts.n,
		.then = offsetof(struct weir_vhost, tables) -
			offsetof(struct weir_vhost, hostname),
	};
}

uint32_t weir_index_find_vhost(const struct weir_plan *plan,
			       const struct weir_listener *listener,
			       struct weir_str host)
{
	struct hosts h = vhosts_of(plan, listener);

	return find_host(&h, host);
}

uint32_t weir_index_find_wider(const struct weir_plan *plan,
			       const struct weir_listener *listener,
			       struct weir_str host, uint32_t vhost)
{
	struct hosts h = vhosts_of(plan, listener);

	return find_wider(&h, host, vhost);
}

uint32_t weir_index_find_path(const struct weir_plan *plan,
			      const struct weir_table *table, bool is_prefix,
			      struct weir_str path, uint64_t hash)
{
	struct weir_span span = is_prefix ? table->prefix : table->exact;
	const struct weir_match *m = weir_plan_at(plan, table->matches);
	const uint32_t *slots = weir_plan_at(plan, span);
	uint32_t folded = weir_index_fold(hash);
	uint32_t p = folded;

	for (uint32_t k = 0; k < span.n; k++, p++) {
		uint32_t entry = slots[p & (span.n - 1)];
		struct weir_str have;

		if (entry == 0) {
			return WEIR_NONE;
		}
		if (!may_be(entry, folded)) {
			continue;
		}
		have = weir_plan_str(plan, m[element_of(entry)].path);
		if (is_prefix) {
			have = weir_index_prefix_key(have);
		}
		if (weir_str_eq(have, path)) {
			return element_of(entry);
		}
	}
	return WEIR_NONE;
}
