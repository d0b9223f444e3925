/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics: what is wrong (or not served) in the user's objects.  Never an
 * error of the process.  They become conditions, `weirctl check` lines and one
 * log line each time the text changes.
 */
#ifndef WEIR_MODEL_DIAG_H
#define WEIR_MODEL_DIAG_H

#include "arena.h"
#include "object.h"

enum weir_severity {
	WEIR_DIAG_ERROR,   /* this part of the object does not work */
	WEIR_DIAG_WARNING, /* works, but not as written (not served yet,
			      ignored) */
	WEIR_DIAG_INFO,
};

struct weir_diag {
	enum weir_severity severity;
	/* CamelCase and stable: "BackendNotFound", "InvalidValue",
	 * "UnknownField", "NotServedYet", ... Gateway API reasons where one
	 * fits. */
	struct weir_str reason;
	struct weir_str source; /* file, may be empty */
	uint32_t line;          /* 0: unknown */
	struct weir_str kind;   /* "HTTPRoute", may be empty */
	struct weir_str ns;
	struct weir_str name;
	struct weir_str field;   /* "spec.rules[0].backendRefs[1].port" */
	struct weir_str message; /* what was found and what was expected */
};

struct weir_diags {
	struct weir_arena *arena; /* texts are copied here */
	struct weir_diag *v;
	size_t n;
	size_t cap;
	bool is_lossy; /* memory ran out: some are missing */
};

void weir_diags_init(struct weir_diags *d, struct weir_arena *arena);
/* object may be NULL; reason is a literal; field and message are copied. */
__attribute__((format(printf, 6, 7))) void
weir_diag_add(struct weir_diags *d, enum weir_severity severity,
	      const struct weir_object *object, const char *reason,
	      struct weir_str field, const char *fmt, ...);
/* A file that could not be read or parsed at line. */
__attribute__((format(printf, 6, 7))) void
weir_diag_add_file(struct weir_diags *d, enum weir_severity severity,
		   struct weir_str source, uint32_t line, const char *reason,
		   const char *fmt, ...);

#endif
