/* SPDX-License-Identifier: Apache-2.0 */
/* Which Services, Secrets, ConfigMaps and Pods an object names: what must be
 * read of a cluster's many. */
#ifndef WEIR_KUBE_REFS_H
#define WEIR_KUBE_REFS_H

#include "object.h"

/* kind: SERVICE, SECRET, CONFIG_MAP, POD with an empty name: all of the
 * namespace, or REVISION_POD with a revision's name.  ENDPOINT_SLICE with a
 * Service's name: those of the Service, which is named right after.  A Service
 * without them is one that may come later than what names it: the placeholder
 * of a KIngress, whose requests come another way, too.  The same may be named
 * several times. */
typedef void (*weir_ref_fn)(void *arg, enum weir_kind kind, struct weir_str ns,
			    struct weir_str name);
void weir_kube_refs(const struct weir_object *object, weir_ref_fn fn,
		    void *arg);

/* Does spec.infrastructure ask for a Service? */
static inline bool weir_gateway_has_infra(const struct weir_gateway_spec *spec)
{
	return spec->infra_labels.n || spec->infra_annotations.n;
}

#endif
