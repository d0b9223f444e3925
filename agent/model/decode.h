/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a document's tree to an object.  A decoder per kind; each is preceded
 * by the schema check, so it only reads, applies defaults and checks what
 * concerns several fields at once.
 */
#ifndef WEIR_MODEL_DECODE_H
#define WEIR_MODEL_DECODE_H

#include "schema.h"

/* What a document brought: a good object, or one that is wrong and known only
 * by its identity. */
struct weir_decoded {
	struct weir_arena *arena;         /* NULL: the object is wrong */
	const struct weir_object *object; /* kind, ns, name, source, line */
	bool is_identified; /* false: not even its name is known */
};
/* Takes the arena (0), or leaves it to be freed and ends all (-errno). */
typedef int (*weir_decoded_fn)(void *arg, const struct weir_decoded *decoded);

/* As weir_manifest_decode(), but wrong objects are told too. */
int weir_manifest_decode_all(struct weir_str text, struct weir_str source,
			     bool is_json, struct weir_diags *diags,
			     weir_decoded_fn fn, void *arg);

/* -------------------------------------------------- for the decoders */

/* A copy in the object's arena; names of kinds, groups and the like, and what
 * the object already holds, are not copied again. */
struct weir_str weir_decode_text(struct weir_decode *d, struct weir_str s);
/* The text at key, or dflt (a literal, may be NULL) if it is absent. */
struct weir_str weir_decode_str(struct weir_decode *d,
				const struct weir_node *map, const char *key,
				const char *dflt);
int64_t weir_decode_int(const struct weir_node *map, const char *key,
			int64_t dflt);
bool weir_decode_bool(const struct weir_node *map, const char *key, bool dflt);
struct weir_strs weir_decode_strs(struct weir_decode *d,
				  const struct weir_node *list);
/* A map of strings; with prefixes (ends with NULL), only keys that begin so. */
struct weir_pairs weir_decode_pairs(struct weir_decode *d,
				    const struct weir_node *map,
				    const char *const *prefixes);
/* Room for the items of a list; *ret_n = 0 and NULL if there are none. */
void *weir_decode_array(struct weir_decode *d, const struct weir_node *list,
			size_t size, size_t *ret_n);
/* One zeroed value; NULL sets d->error. */
void *weir_decode_new(struct weir_decode *d, size_t size);

/* References to objects; kind and ns (default: the object's own) where they are
 * not given. */
extern const struct weir_field weir_fields_object_ref[];
void weir_decode_object_ref(struct weir_decode *d, const struct weir_node *node,
			    const char *group, const char *kind,
			    struct weir_object_ref *ret_ref);
struct weir_object_refs weir_decode_object_refs(struct weir_decode *d,
						const struct weir_node *list,
						const char *group,
						const char *kind);

/* What a kind is called, may look like, and is decoded by. */
struct weir_kind_rule {
	enum weir_kind kind;
	const char *versions;            /* "v1|v1beta1" */
	const struct weir_field *fields; /* besides apiVersion to metadata */
	/* Sets object->spec; NULL where nothing is kept. */
	void (*decode)(struct weir_decode *d, const struct weir_node *root);
};

/* decode_gateway.c */
extern const struct weir_field weir_fields_gateway_class[];
extern const struct weir_field weir_fields_gateway[];
extern const struct weir_field weir_fields_grant[];
extern const struct weir_field weir_fields_listener_set[];
void weir_decode_gateway_class(struct weir_decode *d,
			       const struct weir_node *root);
void weir_decode_gateway(struct weir_decode *d, const struct weir_node *root);
void weir_decode_grant(struct weir_decode *d, const struct weir_node *root);
void weir_decode_listener_set(struct weir_decode *d,
			      const struct weir_node *root);
/* decode_route.c */
extern const struct weir_field weir_fields_http_route[];
extern const struct weir_field weir_fields_grpc_route[];
extern const struct weir_field weir_fields_tls_route[];
extern const struct weir_field weir_fields_l4_route[];
void weir_decode_route(struct weir_decode *d, const struct weir_node *root);
/* decode_filter.c */
extern const struct weir_field weir_fields_filter[];
extern const struct weir_field weir_fields_backend_object[];
const struct weir_mfilter *weir_decode_filters(struct weir_decode *d,
					       const struct weir_node *list,
					       bool has_prefix_matches,
					       size_t *ret_n);
/* decode_core.c */
extern const struct weir_field weir_fields_namespace[];
extern const struct weir_field weir_fields_service[];
extern const struct weir_field weir_fields_slice[];
extern const struct weir_field weir_fields_pod[];
void weir_decode_service(struct weir_decode *d, const struct weir_node *root);
void weir_decode_slice(struct weir_decode *d, const struct weir_node *root);
void weir_decode_pod(struct weir_decode *d, const struct weir_node *root);
/* decode_tls.c */
extern const struct weir_field weir_fields_secret[];
extern const struct weir_field weir_fields_config_map[];
extern const struct weir_field weir_fields_backend_tls[];
void weir_decode_secret(struct weir_decode *d, const struct weir_node *root);
void weir_decode_config_map(struct weir_decode *d,
			    const struct weir_node *root);
void weir_decode_backend_tls(struct weir_decode *d,
			     const struct weir_node *root);
/* decode_knative.c */
extern const struct weir_field weir_fields_knative[];
extern const struct weir_field weir_fields_kingress[];
void weir_decode_kingress(struct weir_decode *d, const struct weir_node *root);
void weir_decode_revision(struct weir_decode *d, const struct weir_node *root);

/* decode_metadata.c; object: with its kind, namespace and name. */
void weir_decode_metadata(struct weir_decode *d,
			  const struct weir_node *metadata,
			  struct weir_object *o);

#endif
