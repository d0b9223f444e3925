/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the proxy's counters, which outlives proxy and agent. */
#ifndef WEIR_DAEMON_COUNTERS_H
#define WEIR_DAEMON_COUNTERS_H

#include "ipc.h"
#include "options.h"
#include "stamp.h"

/* Mapped.  The proxy can write all of it, the header too: where things are is
 * computed from the options, never from what stands there. */
struct weir_counters {
	int fd; /* not owned */
	size_t size;
	struct weir_proxy_stats *stats; /* use only .totals */
	struct weir_proxy_rulestat *rules;
	struct weir_proxy_refstat *refs;
	struct weir_proxy_epstat *endpoints;
	uint32_t max[WEIR_IDS_COUNTED]; /* ids below exist */
};

/* Zeroed, sealed against resizing: a process that shares it cannot make
 * another fault.  Holes cost nothing. */
int weir_counters_new(const struct weir_options *options, int *ret_fd);
/* -EBADMSG: not of this size. */
int weir_counters_map(const struct weir_options *options, int fd,
		      struct weir_counters *ret_counters);
void weir_counters_unmap(struct weir_counters *counters);
/* Not looked at for a while: what was looked at stays in the memfd alone. */
void weir_counters_rest(const struct weir_counters *counters);
/* After the death of a proxy: nothing is in flight any more, what was open is
 * closed. */
void weir_counters_settle(struct weir_counters *counters);

/* For weir_ids_set_busy(); arg: struct weir_counters. */
bool weir_counters_is_busy(void *arg, enum weir_id_space space, uint32_t id);

/* Whose counters stand at each id. */
struct weir_claims {
	uint64_t *keys[WEIR_IDS_COUNTED];
	uint32_t n[WEIR_IDS_COUNTED];
};

void weir_claims_fini(struct weir_claims *claims);
/* After stamping: an id that went to something new counts from zero.  With
 * is_adopted what stands there belongs to those who have the ids now.
 * 0 or -ENOMEM: some counters go on with a predecessor's. */
int weir_claims_update(struct weir_claims *claims, const struct weir_ids *ids,
		       struct weir_counters *counters, bool is_adopted);

#endif
