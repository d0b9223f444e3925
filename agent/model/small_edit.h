/* SPDX-License-Identifier: Apache-2.0 */
/* The two most frequent edits: of weights alone, and of endpoints alone. */
#ifndef WEIR_MODEL_SMALL_EDIT_H
#define WEIR_MODEL_SMALL_EDIT_H

#include "object.h"

/* True if two versions of an HTTPRoute, TCPRoute or UDPRoute differ at most in
 * weights of backendRefs, in labels and in their generation: neither of the
 * latter decides traffic.  Or two of an EndpointSlice at most in endpoints. */
bool weir_object_is_small_edit(const struct weir_object *before,
			       const struct weir_object *after);

#endif
