/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_MODEL_KING_HASH_H
#define WEIR_MODEL_KING_HASH_H

#include "node.h"

#define WEIR_KING_HASH_LEN 64

/*
 * The network hash of a KIngress, in hex: SHA-256 over what Go's encoding/json
 * makes of its spec, and its namespace and name (knative.dev/networking
 * pkg/ingress ComputeHash).  Backends echo it to probes, and the conformance
 * suite compares it, so every byte counts.  0 or -ENOMEM.
 */
int weir_king_hash(const struct weir_node *spec, struct weir_str ns,
		   struct weir_str name, char ret_hex[WEIR_KING_HASH_LEN]);

#endif
