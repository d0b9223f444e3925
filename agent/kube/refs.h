/* SPDX-License-Identifier: Apache-2.0 */
/* Which Services, Secrets, ConfigMaps and Pods an object names: what must be
 * read of a cluster's many. */
#ifndef WEIR_KUBE_REFS_H
#define WEIR_KUBE_REFS_H

#include "object.h"

/* kind: SERVICE (its EndpointSlices with it), SECRET, CONFIG_MAP, POD with an
 * empty name: all of the namespace, or REVISION_POD with a revision's name. The
 * same may be named several times. */
typedef void (*weir_ref_fn)(void *arg, enum weir_kind kind, struct weir_str ns,
			    struct weir_str name);
void weir_kube_refs(const struct weir_object *object, weir_ref_fn fn,
		    void *arg);

#endif
