/* SPDX-License-Identifier: Apache-2.0 */
#include "due.h"

#include <string.h>

static void link_into(struct weir_due **list, struct weir_due *due)
{
	due->next = *list;
	if (due->next) {
		due->next->pprev = &due->next;
	}
	*list = due;
	due->pprev = list;
}

void weir_wheel_init(struct weir_wheel *wheel, uint64_t now_ms)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->tick = now_ms >> WEIR_WHEEL_SHIFT;
}

void weir_due_disarm(struct weir_due *due)
{
	if (!due->pprev) {
		return;
	}
	*due->pprev = due->next;
	if (due->next) {
		due->next->pprev = due->pprev;
	}
	due->pprev = NULL;
	due->next = NULL;
}

void weir_due_arm(struct weir_wheel *wheel, struct weir_due *due,
		  uint64_t at_ms)
{
	uint64_t tick = (at_ms >> WEIR_WHEEL_SHIFT) + 1;
	uint32_t slot;

	if (due->pprev && due->at_ms <= at_ms) {
		return;
	}
	weir_due_disarm(due);
	if (tick < wheel->tick) {
		tick = wheel->tick;
	}
	slot = (uint32_t)(tick % WEIR_WHEEL_SLOTS);
	due->at_ms = at_ms;
	link_into(&wheel->slots[slot], due);
	wheel->used[slot / 64] |= 1ull << (slot % 64);
}

int weir_wheel_timeout(const struct weir_wheel *wheel, uint64_t now_ms)
{
	for (uint32_t i = 0; i < WEIR_WHEEL_SLOTS;) {
		uint32_t slot = (uint32_t)((wheel->tick + i) %
					   WEIR_WHEEL_SLOTS);
		uint64_t bits = wheel->used[slot / 64] >> (slot % 64);
		uint64_t at;

		if (!bits) {
			i += 64 - slot % 64;
			continue;
		}
		i += (uint32_t)__builtin_ctzll(bits);
		at = (wheel->tick + i) << WEIR_WHEEL_SHIFT;
		return at > now_ms ? (int)(at - now_ms) : 0;
	}
	return -1;
}

/* Takes what is due out of one slot, then fires it: what fn arms or disarms
 * meanwhile does not disturb the walk. */
static void run_slot(struct weir_worker *w, struct weir_wheel *wheel,
		     uint32_t slot, uint64_t now_ms)
{
	struct weir_due *fired = NULL;
	struct weir_due *next;

	for (struct weir_due *d = wheel->slots[slot]; d; d = next) {
		next = d->next;
		if (d->at_ms <= now_ms) {
			weir_due_disarm(d);
			link_into(&fired, d);
		}
	}
	if (!wheel->slots[slot]) {
		wheel->used[slot / 64] &= ~(1ull << (slot % 64));
	}
	while (fired) {
		struct weir_due *d = fired;

		weir_due_disarm(d);
		d->fn(w, d);
	}
}

void weir_wheel_run(struct weir_worker *w, struct weir_wheel *wheel,
		    uint64_t now_ms)
{
	uint64_t now_tick = now_ms >> WEIR_WHEEL_SHIFT;

	if (now_tick > wheel->tick + WEIR_WHEEL_SLOTS) {
		wheel->tick = now_tick - WEIR_WHEEL_SLOTS;
	}
	while (wheel->tick <= now_tick) {
		uint32_t slot = (uint32_t)(wheel->tick % WEIR_WHEEL_SLOTS);

		/* Ahead of the slot, so that what fires arms for later. */
		wheel->tick++;
		if (wheel->used[slot / 64] & 1ull << (slot % 64)) {
			run_slot(w, wheel, slot, now_ms);
		}
	}
}
