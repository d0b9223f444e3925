/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared counters (ipc.h), with bounds.  Ids are 1..max-1; id 0 and ids
 * beyond are not counted.
 */
#ifndef WEIR_PROXY_STATS_H
#define WEIR_PROXY_STATS_H

#include <stddef.h>

#include "ipc.h"

struct weir_counters {
	struct weir_proxy_stats *shared;
	struct weir_proxy_rulestat *rules;
	struct weir_proxy_refstat *refs;
	struct weir_proxy_epstat *endpoints;
	uint32_t max_rules;
	uint32_t max_refs;
	uint32_t max_endpoints;
	size_t size; /* bytes mapped */
	/* Where ids without a place are counted. */
	struct weir_proxy_rulestat no_rule;
	struct weir_proxy_refstat no_ref;
	struct weir_proxy_epstat no_endpoint;
};

/* Maps the block behind fd and checks its sizes.  0, -EBADMSG or -errno. */
int weir_counters_init(struct weir_counters *c, int fd);
void weir_counters_fini(struct weir_counters *c);

static inline void weir_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static inline void weir_uncount(uint64_t *counter)
{
	__atomic_fetch_sub(counter, 1, __ATOMIC_RELAXED);
}

static inline struct weir_proxy_rulestat *weir_rulestat(struct weir_counters *c,
							uint32_t id)
{
	return id && id < c->max_rules ? &c->rules[id] : &c->no_rule;
}

static inline struct weir_proxy_refstat *
weir_refstat_of(struct weir_counters *c, uint32_t id)
{
	return id && id < c->max_refs ? &c->refs[id] : &c->no_ref;
}

static inline struct weir_proxy_epstat *weir_epstat_of(struct weir_counters *c,
						       uint32_t id)
{
	return id && id < c->max_endpoints ? &c->endpoints[id]
					   : &c->no_endpoint;
}

static inline void weir_count_reason(struct weir_counters *c,
				     enum weir_proxy_reason reason)
{
	weir_count(&c->shared->totals.reason[reason], 1);
}

/* One finished request. */
void weir_count_duration(struct weir_counters *c, uint64_t us);

#endif
