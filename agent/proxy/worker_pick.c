/* SPDX-License-Identifier: Apache-2.0 */
/* What the next choice of a rule, or of a group's endpoint, is drawn by: its
 * turn, or who the client is. */
#include "worker.h"

#include "weir_pick.h"

static uint32_t hash_ip(const struct weir_ip *ip)
{
	return weir_mix32(weir_mix32(ip->a[0] ^ ip->a[2], ip->a[1]), ip->a[3]);
}

uint32_t weir_worker_rule_x(struct weir_worker *w, const struct weir_rule *rule,
			    const struct weir_ip *client)
{
	if (rule->flags & WEIR_RULE_AFFINITY) {
		return weir_mix32(hash_ip(client), (uint32_t)rule->key);
	}
	return weir_weyl((*weir_worker_rule_counter(w, rule))++,
			 weir_mix32(w->index + 1, rule->stat));
}

/* By rendezvous, as in the kernel planes: a client moves only when its own
 * endpoint goes, or a new one takes it over. */
static uint32_t keyed(const struct weir_ip *client,
		      const struct weir_endpoint *endpoints, uint32_t n)
{
	struct weir_keyed k = {0};

	for (uint32_t i = 0; i < n; i++) {
		const struct weir_endpoint *e = &endpoints[i];

		weir_keyed_offer(&k, hash_ip(client),
				 weir_mix32(e->addr.a[3] ^ e->addr.a[1],
					    e->addr.a[2] ^ e->port_be),
				 1, i);
	}
	return k.index;
}

uint32_t
weir_worker_endpoint_x(struct weir_worker *w, const struct weir_rule *rule,
		       const struct weir_ip *client, uint64_t group_key,
		       const struct weir_endpoint *endpoints, uint32_t n)
{
	uint32_t *counter;
	uint32_t h;

	if (rule->flags & WEIR_RULE_AFFINITY) {
		return keyed(client, endpoints, n);
	}
	h = weir_mix32((uint32_t)group_key, (uint32_t)(group_key >> 32));
	counter = &w->group_counters[h % WEIR_GROUP_COUNTERS];
	return weir_scale(weir_weyl((*counter)++, weir_mix32(h, w->index)), n);
}
