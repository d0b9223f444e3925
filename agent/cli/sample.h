/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's counters at one moment, by stat id. */
#ifndef WEIR_CLI_SAMPLE_H
#define WEIR_CLI_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct weir_sample_ref {
	double connect; /* choices, by plane */
	double packet;
	double proxy;
	double refused;
	double failed;
	double in_flight;
};

struct weir_sample_rule {
	double requests;
	double status[6]; /* 1xx..5xx in [1]..[5]; [0]: no answer */
	double in_flight;
};

struct weir_sample_proxy { /* of all rules */
	double clients;    /* connections, now */
	double in_flight;
	double requests;
	double ended;
	double duration_us; /* of these, added up */
	double refused;     /* client connections */
	double pool_idle;
};

struct weir_sample {
	uint64_t now_us;
	uint64_t generation;
	struct weir_sample_proxy proxy;
	struct weir_sample_ref *refs; /* by id; beyond n: never counted */
	struct weir_sample_rule *rules;
	size_t n_refs;
	size_t n_rules;
};

void weir_sample_fini(struct weir_sample *sample);
/* From the answer to "stats".  -EBADMSG, -ENOMEM. */
int weir_sample_parse(struct weir_str json, struct weir_sample *ret_sample);
/* Asks the agent.  0 or -errno, says nothing. */
int weir_sample_take(const char *admin, struct weir_sample *ret_sample);
/* Zeroes for an id that is not counted. */
struct weir_sample_ref weir_sample_ref(const struct weir_sample *sample,
				       uint32_t id);
struct weir_sample_rule weir_sample_rule(const struct weir_sample *sample,
					 uint32_t id);

static inline double weir_sample_picked(const struct weir_sample_ref *ref)
{
	return ref->connect + ref->packet + ref->proxy;
}

#endif
