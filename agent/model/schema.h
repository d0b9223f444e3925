/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind may look like: tables of fields, checked before anything is
 * decoded, so that decoders meet only well-formed trees.  A table knows every
 * field of the API, also those that weir does not use; others are reported.
 */
#ifndef WEIR_MODEL_SCHEMA_H
#define WEIR_MODEL_SCHEMA_H

#include "diag.h"
#include "map.h"
#include "node.h"

enum weir_shape {
	WEIR_SHAPE_ANY, /* not looked into */
	WEIR_SHAPE_STR,
	WEIR_SHAPE_INT,
	WEIR_SHAPE_BOOL,
	WEIR_SHAPE_INT_OR_STR,
	WEIR_SHAPE_OBJECT,  /* of sub */
	WEIR_SHAPE_LIST,    /* of objects of sub */
	WEIR_SHAPE_STRS,    /* list of strings */
	WEIR_SHAPE_INTS,    /* list of integers */
	WEIR_SHAPE_MAP,     /* of strings, any keys */
	WEIR_SHAPE_OBJECTS, /* map of objects of sub, any keys */
};

/* A rule for strings and what to say is expected. */
struct weir_format {
	bool (*is_valid)(struct weir_str s);
	const char *expected;
};

struct weir_field {
	struct weir_str name;
	enum weir_shape shape;
	bool is_required;
	bool is_nonempty; /* a list with at least one item */
	uint32_t max;     /* items of a list; 0: no limit of its own */
	int32_t from;     /* integers, if from or to is not 0 */
	int32_t to;
	const char *one_of; /* strings: "A|B|C" */
	const struct weir_format *format;
	const struct weir_field *sub; /* ends with an empty name */
};

#define WEIR_FIELD(n, s, ...)                                                  \
	{                                                                      \
		.name = WEIR_STR(n), .shape = WEIR_SHAPE_##s, __VA_ARGS__      \
	}
#define WEIR_FIELD_END                                                         \
	{                                                                      \
		.name = { NULL, 0 }                                            \
	}

/* The decoding of one object: where its memory, its faults and its identity
 * are. */
struct weir_decode {
	struct weir_arena *arena;  /* of the object */
	struct weir_diags *diags;  /* NULL: silent */
	size_t diags_max;          /* no more than that in diags */
	struct weir_map *reported; /* unknown fields and kinds, once each */
	struct weir_object *object;
	bool is_bad; /* an error was found: the object is not used */
	int error;   /* -ENOMEM */
};

/* Checks all fields of a map (an object) against its table. */
void weir_schema_check(struct weir_decode *d, const struct weir_node *map,
		       const struct weir_field *fields);

/* False, and reported, if the value is of another type. */
bool weir_schema_has_shape(struct weir_decode *d, const struct weir_node *node,
			   enum weir_shape shape);

/* Edit distance up to 2, whatever the case, for "did you mean". */
bool weir_schema_is_near(struct weir_str a, struct weir_str b);

/* node: the field, or with sub not NULL the map in which sub is (missing). */
__attribute__((format(printf, 6, 7))) void
weir_decode_report(struct weir_decode *d, enum weir_severity severity,
		   const struct weir_node *node, const char *sub,
		   const char *reason, const char *fmt, ...);
#define weir_decode_bad(d, node, sub, reason, ...)                             \
	weir_decode_report(d, WEIR_DIAG_ERROR, node, sub, reason, __VA_ARGS__)

#define WEIR_SHOWN_MAX 84
/* s for a message: printable and cut to a bearable length.  Returns out. */
const char *weir_shown(struct weir_str s, char out[static WEIR_SHOWN_MAX]);

/* format.c */
extern const struct weir_format weir_format_subdomain;
extern const struct weir_format weir_format_label;
extern const struct weir_format weir_format_hostname; /* or a wildcard */
extern const struct weir_format weir_format_precise_hostname;
extern const struct weir_format weir_format_group;
extern const struct weir_format weir_format_kind;
extern const struct weir_format weir_format_token;
extern const struct weir_format weir_format_header_value;
extern const struct weir_format weir_format_nonempty;
extern const struct weir_format weir_format_duration;
extern const struct weir_format weir_format_controller;
extern const struct weir_format weir_format_protocol;
extern const struct weir_format weir_format_path;
extern const struct weir_format weir_format_rewrite_path;
extern const struct weir_format weir_format_ip;
extern const struct weir_format weir_format_grpc_service;
extern const struct weir_format weir_format_grpc_method;
/* Milliseconds of a GEP-2257 duration; -EINVAL. */
int weir_duration_parse(struct weir_str s, uint32_t *ret_ms);

#endif
