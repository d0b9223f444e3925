/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that nothing needs at the moment goes back to the kernel. */
#ifndef WEIR_UTIL_GIVEBACK_H
#define WEIR_UTIL_GIVEBACK_H

#include <stddef.h>

/*
 * For a process that will rest: free heap, and the pages of program and
 * libraries.  These come back from the page cache one by one as they are used
 * again, some microseconds each; most are of the start alone (relocation,
 * verification of programs, a first TLS handshake) and never are.
 */
void weir_give_back(void);
/* Likewise, a shared mapping of a file or memfd, which keeps what it holds.
 * NULL: nothing. */
void weir_give_back_map(const void *map, size_t size);

#endif
