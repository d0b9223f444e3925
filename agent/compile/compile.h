/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan = compile(store).  Pure: no clock, no files, no network, no kernel; the
 * same store and options give the same bytes.  What is wrong in the user's
 * objects becomes diagnostics, never an error.
 */
#ifndef WEIR_COMPILE_COMPILE_H
#define WEIR_COMPILE_COMPILE_H

#include "diag.h"
#include "plan.h"
#include "secrets.h"
#include "store.h"
#include "verdict.h"

#define WEIR_CONTROLLER "weir.dev/gateway-controller"
#define WEIR_KINGRESS_CLASS "weir.ingress.networking.knative.dev"

/*
 * What an agent remembers of before, for Knative; each may be left out.
 *
 * A placeholder whose address was taken back is served there until that lapses.
 * A rule that is split by connection stays with the proxy while it is restless:
 * one of its revisions slept a moment ago, and may soon do so again.
 */
struct weir_compile_memory {
	const struct weir_plan *before; /* rules block in force */
	const struct weir_ip *lapsed;
	size_t n_lapsed;
	const uint64_t *restless; /* keys of rules, ascending */
	size_t n_restless;
};

struct weir_compile_options {
	struct weir_str
		node_name; /* endpoints of this node are local; may be empty */
	bool is_writer; /* gives Gateways addresses of the pool; another agent
			 * learns them from the status */
	/* A Gateway needs its GatewayClass, whatever that is called. */
	bool needs_class;
	struct weir_str cluster_domain; /* empty: cluster.local */
	/* Of this node: where node ports of Gateways' Services are taken. */
	const struct weir_ip *node_ips;
	size_t n_node_ips;
	struct weir_compile_memory memory;
};

/* Writable, unstamped, heap-allocated blocks; owned by the caller. */
struct weir_compiled {
	struct weir_plan *rules;
	struct weir_eps *eps;
	struct weir_secrets *secrets; /* NULL: as before (weir_recompile) */
	struct weir_arena arena;      /* of diagnostics and verdicts */
	struct weir_diags diags;
	struct weir_verdicts verdicts;
	size_t rules_size;
	size_t eps_size;
	size_t secrets_size;
};

/* 0 or -ENOMEM. */
int weir_compile(struct weir_store *store,
		 const struct weir_compile_options *options,
		 struct weir_compiled *ret_compiled);
/*
 * The same result, sooner where it can be had from what was compiled before: if
 * since then only weights of backendRefs and endpoints of slices changed, the
 * blocks are copied and patched; if one KIngress came, it is put into a copy
 * (graft.c).  Then the rules block says the same, index by index, but is not
 * the same bytes, and the diagnostics of what came are the last.
 *
 * since: weir_store_version() at that time; before: its blocks, which may be
 * stamped, or NULL; compiled: what it gave, of which diagnostics and verdicts
 * stay, with the generations of now (blocks that are still there are freed).
 * On failure nothing changes.
 */
int weir_recompile(struct weir_store *store,
		   const struct weir_compile_options *options, uint64_t since,
		   const struct weir_plan_view *before,
		   struct weir_compiled *compiled);
/* Its secrets alone are overwritten and freed. */
void weir_compiled_wipe(struct weir_compiled *compiled);
void weir_compiled_fini(struct weir_compiled *compiled);

#endif
