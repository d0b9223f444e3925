/* SPDX-License-Identifier: Apache-2.0 */
/* Weights to rows: exact to 2^-32 of the table, 0 means never. */
#include "emit.h"

void weir_ir_slots(const struct ir_rule *rule, struct weir_slot *slots)
{
	uint64_t weights[IR_REFS_MAX];
	weir_alias_rest rest[IR_REFS_MAX];
	uint32_t n = rule->n_refs < IR_REFS_MAX ? rule->n_refs : IR_REFS_MAX;

	/* One backend takes all, which is most rules. */
	if (n == 1 && rule->refs[0].weight) {
		slots[0] = (struct weir_slot){.threshold = 0xFFFFFFFFu};
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		weights[i] = rule->refs[i].weight;
	}
	weir_alias_build(weights, n, rest, slots);
}
