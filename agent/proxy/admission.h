/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many clients are connected, over all workers, and how many may be: as
 * configured, or fewer where descriptors are few, so that clients that ask
 * nothing leave some to those who do, for their backends.
 */
#ifndef WEIR_PROXY_ADMISSION_H
#define WEIR_PROXY_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_admission {
	_Alignas(64) _Atomic uint32_t n; /* connected, or being accepted */
	_Atomic uint32_t max;
	uint32_t configured;
	uint32_t n_fixed; /* descriptors of neither clients nor backends */
};

/* Before anything is accepted; what is open now stays.  configured:
 * max_connections. */
void weir_admission_init(struct weir_admission *a, uint32_t configured,
			 uint32_t n_workers);
/* Looks again how many descriptors there may be: from any thread. */
void weir_admission_look(struct weir_admission *a);
/* A place for one more, to be given back; false: there is none. */
bool weir_admission_take(struct weir_admission *a);
void weir_admission_give(struct weir_admission *a);

#endif
