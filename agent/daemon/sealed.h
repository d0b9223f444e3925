/* SPDX-License-Identifier: Apache-2.0 */
/* A stamped plan in its sealed memfds, mapped; what is handed to the planes. */
#ifndef WEIR_DAEMON_SEALED_H
#define WEIR_DAEMON_SEALED_H

#include "plan.h"

struct weir_sealed {
	uint64_t generation; /* 0: empty */
	uint64_t version;    /* weir_store_version() that it says */
	uint64_t changed_us; /* weir_now_us() of the change that led to it */
	int rules_fd;
	int eps_fd;
	int secrets_fd; /* for the proxy alone */
	const void *rules;
	const void *eps;
	const void *secrets;
	size_t rules_size;
	size_t eps_size;
	size_t secrets_size;
	struct weir_plan_view view;
};

#define WEIR_SEALED_NONE                                                       \
	((struct weir_sealed){.rules_fd = -1, .eps_fd = -1, .secrets_fd = -1})

/* What weir_sealed_make() is made from; NULL: the block of before goes on. */
struct weir_sealed_from {
	const void *rules;
	const void *eps;
	const void *secrets;
	size_t rules_size;
	size_t eps_size;
	size_t secrets_size;
};

void weir_sealed_fini(struct weir_sealed *blocks);
/* Not read for a while: its pages stay in the memfds alone. */
void weir_sealed_rest(const struct weir_sealed *blocks);
/* Do two blocks say the same, whatever their generations?  generation: inside
 * a, which is of n bytes; it is left as it was. */
bool weir_sealed_is_same(void *a, uint64_t *generation, size_t n, const void *b,
			 uint64_t b_generation, size_t b_n);
/* Seals and maps copies of blocks that compile() made and stamp() stamped.  The
 * caller fills the fields above rules_fd.  They are not checked again. */
int weir_sealed_make(const struct weir_sealed_from *from,
		     const struct weir_sealed *before,
		     struct weir_sealed *ret_sealed);

#endif
