/* SPDX-License-Identifier: Apache-2.0 */
/* Revisions of Knative that weir wakes.  Private to agent/compile. */
#ifndef WEIR_COMPILE_REVISION_H
#define WEIR_COMPILE_REVISION_H

#include "ir.h"

struct ir_revision {
	struct weir_str ns;
	struct weir_str name;
	const struct ir_group *pods;
	uint16_t program_port;
	struct ir_revision *next;
};

/* The place + 1 of the revision behind the public Service that a split names,
 * if weir may wake it; 0: it may not. */
uint32_t weir_ir_revision(struct ir *c, const struct weir_object *ingress,
			  struct ir_service *service,
			  const struct weir_service_port *port);
/* How many requests at once each pod behind it takes; 0: any number, or it is
 * no revision's. */
uint32_t weir_ir_concurrency(struct ir *c, const struct ir_service *service);

#endif
