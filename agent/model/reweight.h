/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an edit changed nothing but weights. */
#ifndef WEIR_MODEL_REWEIGHT_H
#define WEIR_MODEL_REWEIGHT_H

#include "object.h"

/* True if two versions of an HTTPRoute, TCPRoute or UDPRoute differ at most in
 * weights of backendRefs, in labels and in their generation: neither of the
 * latter decides traffic. */
bool weir_object_is_reweighted(const struct weir_object *before,
			       const struct weir_object *after);

#endif
