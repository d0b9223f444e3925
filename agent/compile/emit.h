/* SPDX-License-Identifier: Apache-2.0 */
/* From the intermediate form to blocks.  Private to agent/compile. */
#ifndef WEIR_COMPILE_EMIT_H
#define WEIR_COMPILE_EMIT_H

#include "ir.h"

/* ------------------------------------------------------- weight.c, emit.c */

/* Row of a rule.  slots: room for n_refs; n_slots get filled. */
void weir_ir_slots(const struct ir_rule *rule, struct weir_slot *slots);
int weir_ir_emit(struct ir *c, struct weir_compiled *ret_compiled);
/* ------------------------------------------------------------- emit_tls.c */

struct weir_writer;
struct weir_span weir_ir_emit_certs(struct ir *c, const struct ir_certs *list,
				    struct weir_writer *w);
struct weir_span weir_ir_emit_backend_tls(struct ir *c, struct weir_writer *w);
/* 0 or -errno. */
int weir_ir_emit_secrets(struct ir *c, struct weir_compiled *out);

/* ---------------------------------------------------- compile.c, graft.c */

/* A KIngress as if there were no other, and no route: what it needs to be put
 * into the plan of all.  0, -ENOMEM or -EAGAIN. */
int weir_ir_compile_king(struct weir_store *store,
			 const struct weir_compile_options *options,
			 const struct weir_object *king,
			 struct weir_compiled *ret_compiled);
/* The plan before with one more KIngress, the only thing that changed since, as
 * the blocks of compiled, which is what it came from, and gets its diagnostics
 * and its verdict.  -EAGAIN where it may be more than that, or does not fit:
 * then compiled is as it was. */
int weir_ir_graft(struct weir_store *store,
		  const struct weir_compile_options *options,
		  const struct weir_object *king,
		  const struct weir_plan_view *before,
		  struct weir_compiled *compiled);

/* ------------------------------------------------------------ recompile.c */

void weir_ir_unstamp_rules(struct weir_plan *rules);
/* Both on the heap; compiled has them then. */
void weir_ir_replace_blocks(struct weir_compiled *compiled,
			    struct weir_plan *rules, struct weir_eps *eps,
			    size_t eps_size);

/* ------------------------------------------------------------------ eps.c */

/* The endpoints of a group: new ones, or as they were (then before is set). */
struct ir_set {
	const struct ir_endpoint *endpoints;
	const struct weir_endpoint *before;
	uint32_t n;
};
/* 0, -ENOMEM or -EFBIG. */
int weir_ir_write_eps(const struct ir_set *sets, uint32_t n,
		      uint64_t groups_hash, struct weir_eps **ret_eps,
		      size_t *ret_size);
/* The block before with the endpoints of the Services of these slices anew;
 * -EAGAIN where they may decide more than that. */
int weir_ir_patch_eps(struct weir_store *store,
		      const struct weir_compile_options *options,
		      const struct weir_object *const *slices, size_t n_slices,
		      const struct weir_plan_view *before,
		      struct weir_eps **ret_eps, size_t *ret_size);

#endif
