/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows of the packet plane that ended without a word: the table evicts what
 * was used least recently when it is full, and no program sees it.  A tally
 * compares what is counted as open with what a walk of the table finds.
 */
#ifndef WEIR_KERNEL_TALLY_H
#define WEIR_KERNEL_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "weir_abi.h"

/* One of the two arrays of counters, as mapped. */
struct weir_tally_side {
	uint64_t *before; /* flows + closed when the walk began; 0: none */
	uint32_t *seen;   /* by the walk */
	uint32_t *last;   /* more than were seen, by the walk before */
	uint32_t n;
};

struct weir_tally {
	struct weir_refstat *refs; /* mapped, not ours */
	struct weir_epstat *eps;
	struct weir_tally_side ref;
	struct weir_tally_side ep;
};

/* For tables of n_refs and n_eps elements.  0 or -ENOMEM. */
int weir_tally_init(struct weir_tally *tally, struct weir_refstat *refs,
		    uint32_t n_refs, struct weir_epstat *eps, uint32_t n_eps);
void weir_tally_fini(struct weir_tally *tally);
/* A walk of the table begins. */
void weir_tally_begin(struct weir_tally *tally);
/* It found an entry.  flow_fd: the table, asked whether a REVERSE entry still
 * has its FORWARD one. */
void weir_tally_see(struct weir_tally *tally, int flow_fd,
		    const struct weir_flow_key *key,
		    const struct weir_flow *flow);
/* It has seen the whole table: what was counted as open before it began, is not
 * counted as closed, was not seen, nor by the walk before, is counted as closed
 * now.  True: another walk is needed to be sure of some. */
bool weir_tally_end(struct weir_tally *tally);

#endif
