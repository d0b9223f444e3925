/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as a tree, whatever it was written in: what the decoders read.
 * Nodes and unescaped texts live in an arena, plain texts in the input itself,
 * which must outlive the tree.  Scalars mean what kubectl takes them for
 * (sigs.k8s.io/yaml): an unquoted `yes`, `y` or `n` is a boolean,
 * 010 is eight, `<<` merges.
 */
#ifndef WEIR_MODEL_NODE_H
#define WEIR_MODEL_NODE_H

#include "arena.h"
#include "str.h"

#define WEIR_NODE_DEPTH_MAX 64
/* Nodes that aliases may add to one document (against "billion laughs"). */
#define WEIR_NODE_ALIASED_MAX 65536u

enum weir_node_type {
	WEIR_NODE_NULL,
	WEIR_NODE_BOOL,
	WEIR_NODE_INT,
	WEIR_NODE_FLOAT, /* a number that is no 64-bit integer */
	WEIR_NODE_STRING,
	WEIR_NODE_SEQ,
	WEIR_NODE_MAP,
};

struct weir_node {
	struct weir_str key;  /* of an entry of a map */
	struct weir_str text; /* of a scalar, as written */
	union {
		struct weir_node *child; /* first, of a map or sequence */
		int64_t number;          /* of an integer or boolean */
	};
	struct weir_node *next;
	const struct weir_node *parent; /* where it is written */
	uint32_t line;                  /* from 1 */
	uint32_t n;                     /* children */
	uint32_t weight; /* nodes in it, aliases counted as often as used */
	enum weir_node_type type;
};

/* One document; next in order of the input. */
struct weir_document {
	struct weir_node *root; /* NULL: it could not be read, see error */
	uint32_t line;          /* where it (or the error in it) is */
	const char *error;      /* in the arena, or a literal */
};

/* Called for each document in order; negative ends the reading. */
typedef int (*weir_document_fn)(void *arg, const struct weir_document *doc);

/*
 * Read all documents of a text; the arena is the reader's and holds only the
 * current document.  A document that cannot be read is reported with its error
 * and does not end the reading.  0, -ENOMEM, or what fn returned.
 */
int weir_yaml_read(struct weir_str text, weir_document_fn fn, void *arg);
int weir_json_read(struct weir_str text, weir_document_fn fn, void *arg);

/* The entry with this key; NULL if it is absent or null, as the API server
 * treats both alike. */
const struct weir_node *weir_node_get(const struct weir_node *map,
				      const char *key);
/* "boolean", for messages. */
const char *weir_node_type_text(enum weir_node_type type);

/* --------------------------------------------------- for the readers */

struct weir_node *weir_node_new(struct weir_arena *arena,
				enum weir_node_type type, uint32_t line);
/* Sets type and value of a plain (unquoted) scalar from its text. */
void weir_node_resolve(struct weir_node *node);

/* Appends children to a parent without searching for its end. */
struct weir_node_list {
	struct weir_node *parent;
	struct weir_node *last;
};
void weir_node_append(struct weir_node_list *list, struct weir_node *child);

/* yaml_fast.c: one document of the subset that manifests are written in.
 * -EOPNOTSUPP if the text has anything else or is wrong: then nothing is known
 * about it.  line: of the text's first byte. */
int weir_yaml_fast(struct weir_str text, uint32_t line,
		   struct weir_arena *arena, struct weir_node **ret_root);
/* yaml.c: all documents of a text by libyaml. */
int weir_yaml_full(struct weir_str text, uint32_t line, weir_document_fn fn,
		   void *arg);

#endif
