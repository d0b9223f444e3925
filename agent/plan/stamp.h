/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids that outlive a plan.  Counters must survive a recompile, so identities
 * (keys of rules, refs, endpoints) keep their small integer as long as any
 * live plan names them, and for a quarantine afterwards.  So do the places of
 * frontends in the proxy prefix: a connection on its way to one must not meet
 * another frontend.  compile() is pure and leaves these fields 0; this stamps
 * them before a block is sealed.
 */
#ifndef WEIR_PLAN_STAMP_H
#define WEIR_PLAN_STAMP_H

#include "plan.h"

enum weir_id_space {
	WEIR_IDS_RULE,
	WEIR_IDS_REF,
	WEIR_IDS_ENDPOINT,
	WEIR_IDS_COUNTED, /* those before: something counts there */
	WEIR_IDS_PROXIED = WEIR_IDS_COUNTED, /* weir_frontend.proxy_index */
	_WEIR_IDS_MAX
};

struct weir_ids;

/* max[space]: ids 1..max-1 exist; of WEIR_IDS_PROXIED none: what stands there
 * is left.  quarantine_ms: how long a forgotten id stays unused (a reader of an
 * old plan may still count on it). */
int weir_ids_new(const uint32_t max[static _WEIR_IDS_MAX],
		 uint32_t quarantine_ms, struct weir_ids **ret_ids);
void weir_ids_free(struct weir_ids **ids);
/* From now on an id is not given out while something is under way there:
 * whoever began that counts it off when it ends. */
void weir_ids_set_busy(struct weir_ids *ids,
		       bool (*is_busy)(void *arg, enum weir_id_space space,
				       uint32_t id),
		       void *arg);
/* Stamps generation and stats into writable, well-formed blocks; rules or eps
 * may be NULL (only the other one is republished).  Things beyond the space
 * get id 0 (not counted); *ret_lost says how many.  now_ms: weir_now_ms().
 * -ENOMEM: the blocks are stamped in part, do not publish them. */
int weir_ids_stamp(struct weir_ids *ids, struct weir_plan *rules,
		   struct weir_eps *eps, uint64_t generation, uint64_t now_ms,
		   uint32_t *ret_lost);
/* Into fresh ids: those of a stamped plan, as another process published it, so
 * that counters go on.  Free are all that it does not name.  0 or -ENOMEM. */
int weir_ids_adopt(struct weir_ids *ids, const struct weir_plan_view *view);
/* Into fresh ids: the place of this frontend, as the kernel has it.  0 or
 * -ENOMEM. */
int weir_ids_adopt_proxied(struct weir_ids *ids, const struct weir_ip *addr,
			   __be16 port_be, uint8_t proto, uint32_t proxy_index);
/* The plan in force stays so, as the one that was stamped after it was refused:
 * what both name, or it alone, is not forgotten.  0 or -ENOMEM. */
int weir_ids_renew(struct weir_ids *ids, const struct weir_plan_view *view);
/* Some are in quarantine. */
bool weir_ids_are_resting(const struct weir_ids *ids, enum weir_id_space space);
/* Ids at or above were never given out. */
uint32_t weir_ids_n(const struct weir_ids *ids, enum weir_id_space space);
/* Key behind an id, 0 if free. */
uint64_t weir_ids_key(const struct weir_ids *ids, enum weir_id_space space,
		      uint32_t id);

#endif
