/* SPDX-License-Identifier: Apache-2.0 */
/* From a rule back to the addresses, hosts and matches that lead to it. */
#ifndef WEIR_CLI_WHERE_H
#define WEIR_CLI_WHERE_H

#include "buf.h"
#include "plan.h"

struct weir_where {
	const struct weir_frontend *frontend; /* the first; NULL: nothing */
	const struct weir_vhost *vhost;       /* NULL: a rule of an address */
	const struct weir_match *match;
	uint32_t n; /* matches (or addresses) that lead here */
};

/* One for each rule of the plan, on the heap; NULL when memory is out. */
struct weir_where *weir_where_all(const struct weir_plan *plan);
/* "shop.example.com prefix /api (+2) on 10.0.0.1:80/tcp". */
void weir_where_print(struct weir_buf *out, const struct weir_plan *plan,
		      const struct weir_where *where);

#endif
