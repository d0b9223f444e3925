/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object as the server writes it, without what changes by itself: status,
 * managedFields, resourceVersion.  Two texts that are equal after that mean the
 * same to weir.
 */
#ifndef WEIR_KUBE_TRIM_H
#define WEIR_KUBE_TRIM_H

#include "ahead.h"
#include "buf.h"
#include "object.h"

struct weir_kube_head {
	struct weir_str ns;
	struct weir_str name;
	uint64_t version;         /* metadata.resourceVersion; 0: none */
	struct weir_str service;  /* label kubernetes.io/service-name */
	struct weir_str revision; /* label serving.knative.dev/revision */
};

/* 0, or -EBADMSG: it has no name.  ret_head names bytes of object. */
int weir_kube_head_read(struct weir_str object,
			struct weir_kube_head *ret_head);
/* Appends the object to out, and to it apiVersion and kind, which the server
 * leaves out of lists.  ret_status: the text of its status, null if absent.
 * -EBADMSG: it is not well-formed at the top.
 *
 * A REVISION_POD becomes the EndpointSlice that says of it what the controllers
 * of the cluster will say, some moments later, in those of the revision's
 * Service: that there is a pod, and that it is not ready.  Where the server has
 * no address of it yet, ahead may (NULL: it does not).  -ENOENT: there is
 * nothing to say, as it has no address yet, is ready, or is to end. */
int weir_kube_trim(enum weir_kind kind, struct weir_str api_version,
		   struct weir_str object, const struct weir_ahead *ahead,
		   struct weir_buf *out, struct weir_str *ret_status);

#endif
