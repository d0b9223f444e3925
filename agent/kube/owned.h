/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that weir makes and keeps, as JSON.  They are not weir's alone: a
 * load balancer puts finalizers and annotations on a Service, an administrator
 * chooses its class.  What is written leaves these as they are.
 */
#ifndef WEIR_KUBE_OWNED_H
#define WEIR_KUBE_OWNED_H

#include "buf.h"

/* All but uid: members of JSON objects, separated by commas. */
struct weir_owned {
	struct weir_buf metadata; /* without those below; not empty */
	struct weir_buf labels;
	struct weir_buf annotations;
	struct weir_buf spec;      /* empty: it has none */
	struct weir_buf rest;      /* of the object; not empty */
	const char *const *others; /* members of spec that others may set, up
				    * to a NULL; NULL: none */
	char uid[64];              /* of who owns it */
};

void weir_owned_fini(struct weir_owned *owned);
/*
 * Appends what shall be written where object (whole, null: nothing) is.  1:
 * write it; 0: it says that already; -EEXIST: it is somebody else's; -ENOMEM.
 * Two annotations tell what was written: weir.dev/infrastructure, its hash, and
 * weir.dev/infrastructure-keys, its labels and annotations, which go when they
 * are no longer among these.
 */
int weir_owned_merge(const struct weir_owned *owned, struct weir_str object,
		     struct weir_buf *out);

#endif
