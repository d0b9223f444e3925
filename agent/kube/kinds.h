/* SPDX-License-Identifier: Apache-2.0 */
/* How the API server calls what weir reads, and how much of it is read. */
#ifndef WEIR_KUBE_KINDS_H
#define WEIR_KUBE_KINDS_H

#include "buf.h"
#include "object.h"

struct weir_kube_rule {
	const char *plural;   /* NULL: not read */
	const char *versions; /* "v1|v1beta1", the best first */
	/* Only those that another object names are kept (of Pods: whose
	 * namespace one names), and nothing is asked for before one is named.
	 */
	bool is_by_name;
	const char *field_selector; /* encoded; NULL: all */
	const char *label_selector; /* the same */
	bool is_of_node;            /* only what runs on the agent's node */
};

const struct weir_kube_rule *weir_kube_rule_of(enum weir_kind kind);
/* The i-th version of a list like "v1|v1beta1"; null at its end. */
struct weir_str weir_kube_version(const char *versions, size_t i);
/* "/apis/discovery.k8s.io/v1", "/api/v1". */
void weir_kube_root_path(struct weir_buf *out, const char *group,
			 struct weir_str version);
/* That and "/namespaces/NS/PLURAL/NAME/SUB", of which what is empty is left
 * out. */
void weir_kube_path(struct weir_buf *out, enum weir_kind kind,
		    struct weir_str version, struct weir_str ns,
		    struct weir_str name, const char *sub);
/* s, percent-encoded for a query. */
void weir_kube_encode(struct weir_buf *out, struct weir_str s);

#endif
