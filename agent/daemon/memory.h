/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent remembers from one compilation to the next
 * (struct weir_compile_memory), and for how long.
 */
#ifndef WEIR_DAEMON_MEMORY_H
#define WEIR_DAEMON_MEMORY_H

#include "compile.h"

/* An address that a placeholder had: longer than the answers of a cluster's
 * DNS are kept (kubeadm's CoreDNS: 30 s). */
#define WEIR_FORMER_MS 60000
/* A rule whose revisions are awake: until connections go past the proxy.
 * Doubled whenever one falls asleep again within four times that, up to the
 * last. */
#define WEIR_REST_FIRST_MS 10000
#define WEIR_REST_MAX_MS 160000

struct weir_memory_former {
	struct weir_ip addr;
	uint64_t until_ms;
	bool has_lapsed;
};

struct weir_memory_rest {
	uint64_t key;      /* of the rule */
	uint64_t until_ms; /* 0: a revision sleeps */
	uint32_t rest_ms;
};

struct weir_memory {
	struct weir_memory_former *formers; /* by address */
	struct weir_memory_rest *rests;     /* by key */
	size_t n_formers;
	size_t n_rests;
	/* What the options point to. */
	struct weir_ip *lapsed;
	uint64_t *restless;
};

void weir_memory_fini(struct weir_memory *m);
/* Before a compilation.  before: rules block in force, or NULL.  Valid until
 * the next call of anything here.  -ENOMEM. */
int weir_memory_recall(struct weir_memory *m, uint64_t now_ms,
		       const struct weir_plan *before,
		       struct weir_compile_memory *ret_memory);
/* After it.  What memory has no room for is forgotten. */
void weir_memory_learn(struct weir_memory *m, uint64_t now_ms,
		       const struct weir_verdicts *verdicts);
/* When a compilation would give something else: milliseconds from now, at
 * least 1; 0: never. */
uint64_t weir_memory_due(const struct weir_memory *m, uint64_t now_ms);

#endif
