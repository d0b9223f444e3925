/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "addr.h"
#include "cleanup.h"
#include "weir_pick.h"

#define ROWS 4

struct weir_peers {
	uint32_t limit;
	uint32_t mask; /* of a row's counters */
	uint32_t seeds[ROWS];
	_Atomic uint32_t counts[]; /* row by row */
};

int weir_peers_new(uint32_t limit, uint32_t max_connections,
		   struct weir_peers **ret_peers)
{
	struct weir_peers *p;
	uint32_t n = 1024;

	while (n < max_connections && n < 1u << 20) {
		n *= 2;
	}
	/* Its pages come with the clients. */
	p = calloc(1, sizeof(*p) + (size_t)n * ROWS * sizeof(p->counts[0]));
	if (!p) {
		return -ENOMEM;
	}
	p->limit = limit;
	p->mask = n - 1;
	if (getrandom(p->seeds, sizeof(p->seeds), 0) != sizeof(p->seeds)) {
		weir_free_ptr(&p);
		return -EIO;
	}
	*ret_peers = p;
	return 0;
}

void weir_peers_free(struct weir_peers **peers)
{
	weir_free_ptr(peers);
}

static _Atomic uint32_t *count_of(struct weir_peers *p,
				  const struct weir_ip *client, uint32_t row)
{
	uint32_t h = weir_mix32(p->seeds[row], client->a[0]);

	h = weir_mix32(h, client->a[1]);
	if (weir_ip_is_v4(client)) {
		h = weir_mix32(h, client->a[3]);
	}
	return &p->counts[(size_t)row * (p->mask + 1) + (h & p->mask)];
}

bool weir_peers_add(struct weir_peers *p, const struct weir_ip *client)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t row = 0; row < ROWS; row++) {
		uint32_t before = atomic_fetch_add_explicit(
			count_of(p, client, row), 1, memory_order_relaxed);

		least = before < least ? before : least;
	}
	if (least < p->limit) {
		return true;
	}
	weir_peers_remove(p, client);
	return false;
}

void weir_peers_remove(struct weir_peers *p, const struct weir_ip *client)
{
	for (uint32_t row = 0; row < ROWS; row++) {
		atomic_fetch_sub_explicit(count_of(p, client, row), 1,
					  memory_order_relaxed);
	}
}
