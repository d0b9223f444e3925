/* SPDX-License-Identifier: Apache-2.0 */
/* Two readings of one stream, and what their difference means. */
#ifndef WEIR_DIFFERENTIAL_COMPARE_H
#define WEIR_DIFFERENTIAL_COMPARE_H

#include "reading.h"

#define CLASSES(X)                                                             \
	X(SAME, "same", "both read the same")                                  \
	X(STRICTER, "stricter", "weir refuses or waits, the peer goes on")     \
	X(CLOSED, "closed", "one of both ends the connection after a request") \
	X(ALLOWED, "allowed", "the peer refuses, for a reason in the list")    \
	X(LAXER, "laxer", "the peer refuses, for a reason not in the list")    \
	X(MEANING, "meaning", "both accept: method, target or Host differ")    \
	X(FRAMING, "framing", "both accept: a message ends elsewhere")         \
	X(COMPLETED, "completed", "the peer serves what weir had refused")

enum verdict {
#define CLASS_ENUM(name, text, help) CLASS_##name,
	CLASSES(CLASS_ENUM)
#undef CLASS_ENUM
		_CLASS_MAX
};

enum side {
	SIDE_RAW,  /* the stream itself */
	SIDE_SENT, /* what weir makes of it for a backend */
};

struct allowed {
	char peer[16];
	char side[8]; /* "raw", "sent", "back", "down" */
	char reason[64];
	char oddity[16]; /* of the message that is refused */
	uint64_t n;      /* times it was used */
};

struct sides {
	const struct reading *weir;
	const struct reading *peer;
	enum side side;
	const char *side_name;
	const char *name; /* of the peer */
	struct allowed *allowed;
	int n_allowed;
};

/* Reads "PEER SIDE REASON ODDITY: why" lines; -errno or how many. */
int allowed_load(const char *file, struct allowed *list, int max);
/* On ALLOWED, *ret_used is the line that allows it. */
enum verdict compare(const struct sides *sides, struct allowed **ret_used);
const char *class_name(enum verdict c);
const char *class_help(enum verdict c);
/* Classes that must stay empty. */
bool class_is_failure(enum verdict c);

#endif
