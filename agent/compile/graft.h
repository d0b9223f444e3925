/* SPDX-License-Identifier: Apache-2.0 */
/* One plan put into another.  Private to agent/compile/graft*.c. */
#ifndef WEIR_COMPILE_GRAFT_H
#define WEIR_COMPILE_GRAFT_H

#include "plan.h"

/*
 * The plan before with all of another, which is that of one KIngress alone and
 * of nothing that decides about others.  Unstamped, on the heap.  0, -ENOMEM,
 * or -EAGAIN: it does not fit, or the two say different things about the same.
 */
int weir_ir_graft_plan(const struct weir_plan_view *before,
		       const struct weir_plan_view *from,
		       struct weir_plan **ret_rules, struct weir_eps **ret_eps,
		       size_t *ret_eps_size);

#endif
