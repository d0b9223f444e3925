/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan as the proxy holds it: all blocks mapped, regexes compiled.  One
 * reference count over all workers; each worker counts its own users beside
 * it without atomics (weir_plan_use), so requests in flight keep the plan
 * they began with and the last of them lets the mapping go.
 */
#ifndef WEIR_PROXY_PLAN_REF_H
#define WEIR_PROXY_PLAN_REF_H

#include <stdatomic.h>

#include "ipc.h"
#include "lookup.h"
#include "secrets.h"

struct weir_certs;
struct weir_gate;
struct weir_gates;

struct weir_udp_fd {
	int fd;
	__be16 port_be;
	struct weir_ip addr;
};

struct weir_rev;

struct weir_plan_ref {
	atomic_uint refs;
	uint32_t n_udp;
	uint32_t udp_cap;
	struct weir_plan_view view;
	const void *rules;
	size_t rules_size;
	const void *eps;
	size_t eps_size;
	const void *secrets_map;
	size_t secrets_size;
	const struct weir_secrets *secrets; /* in it; nothing else keeps it */
	struct weir_certs *certs;           /* NULL: no TLS in it */
	struct weir_regexes *regexes;
	uint64_t generation;
	struct weir_ip prefix4;
	struct weir_ip prefix6;
	struct weir_udp_fd *udp; /* owned */
	struct weir_rev **revs;  /* of weir_plan.revisions */
	uint32_t n_revs;
	struct weir_gate **gates; /* of weir_plan.groups; NULL: no limits */
};

struct weir_plan_use {
	struct weir_plan_ref *ref;
	uint32_t users; /* of this worker */
	bool is_current;
};

/* Maps and checks the blocks (in the order of WEIR_IPC_PLAN), which are not
 * consumed.  before: the plan before, or NULL: what did not change of its
 * certificates is shared.  0, or what weir_plan_open and weir_secrets_open say.
 */
int weir_plan_ref_new(const int fds[static WEIR_IPC_BLOCKS],
		      const struct weir_ipc *msg,
		      const struct weir_plan_ref *before,
		      struct weir_plan_ref **ret_ref);
/* Finds its revisions among those of the plan before, or makes them.  0 or
 * -ENOMEM. */
int weir_plan_ref_find_revs(struct weir_plan_ref *ref,
			    const struct weir_plan_ref *before,
			    uint32_t n_workers);
/* Finds its gates (gate.h), or makes them.  0 or -ENOMEM. */
int weir_plan_ref_find_gates(struct weir_plan_ref *ref, struct weir_gates *all,
			     uint32_t n_workers);
/* Adds a datagram socket, which is consumed on success. */
int weir_plan_ref_add_udp(struct weir_plan_ref *ref,
			  const struct weir_ipc_udp *at, int *fd);
struct weir_plan_ref *weir_plan_ref_get(struct weir_plan_ref *ref);
/* *ref may be NULL, and is afterwards. */
void weir_plan_ref_put(struct weir_plan_ref **ref);
/* The frontend that a local address stands for: its own, or its place in the
 * proxy prefix.  NULL if the plan has none. */
const struct weir_frontend *
weir_plan_ref_frontend(const struct weir_plan_ref *ref,
		       const struct weir_ip *local, __be16 port_be,
		       uint8_t proto);
/* The same, for a client at peer: its namespace may have one of its own. */
const struct weir_frontend *
weir_plan_ref_frontend_for(const struct weir_plan_ref *ref,
			   const struct weir_ip *local, __be16 port_be,
			   uint8_t proto, const struct weir_ip *peer);

/* Takes over the caller's reference. */
int weir_plan_use_new(struct weir_plan_ref *ref,
		      struct weir_plan_use **ret_use);
static inline struct weir_plan_use *weir_plan_use_get(struct weir_plan_use *use)
{
	use->users++;
	return use;
}
void weir_plan_use_put(struct weir_plan_use **use);
/* The worker moves on: freed at once or with its last user. */
void weir_plan_use_retire(struct weir_plan_use **use);

#endif
