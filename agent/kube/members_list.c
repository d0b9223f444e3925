// SPDX-License-Identifier: Apache-2.0
/* What the Leases say: who lives, who has applied what. */
#include "members.h"

#include <stdlib.h>

#include "addr.h"

bool weir_members_are_fresh(const struct weir_kube_members *m, uint64_t now)
{
	return m->own_renewed_ms &&
	       now < m->own_renewed_ms + m->duration_ms / 3 * 2;
}

bool weir_kube_members_have(const struct weir_kube_members *members,
			    enum weir_kind kind, uint64_t version)
{
	if (kind >= _WEIR_KIND_MAX || !members->is_member ||
	    members->applied[kind] < version) {
		return false;
	}
	for (size_t i = 0; i < members->n_members; i++) {
		const struct member *m = &members->members[i];

		if (m->public.is_live && strcmp(m->node, members->node) != 0 &&
		    m->public.applied[kind] < version) {
			return false;
		}
	}
	return true;
}

bool weir_kube_members_are_heard(const struct weir_kube_members *members)
{
	for (size_t i = 0; i < members->n_members; i++) {
		const struct member *m = &members->members[i];

		if (m->public.is_live && !m->public.is_confirmed &&
		    strcmp(m->node, members->node) != 0) {
			return false;
		}
	}
	return true;
}

/* Others that cannot be heard of for a while are no news: watch events arrive,
 * or the watch is being made again. */
bool weir_kube_members_contact(const struct weir_kube_members *members,
			       uint64_t *ret_until_ms)
{
	*ret_until_ms = members->own_renewed_ms + members->duration_ms;
	return members->is_watching && members->failures < 3 &&
	       weir_members_are_fresh(members, weir_now_ms());
}

/* While nobody could renew, nobody's Lease has lapsed: after an outage each has
 * a whole duration again to be heard of, but for those gone before. */
bool weir_members_is_present(const struct weir_kube_members *m,
			     const struct member *member, uint64_t now)
{
	uint64_t seen = member->watch.seen_ms > m->contact_since_ms
				? member->watch.seen_ms
				: m->contact_since_ms;

	return !member->is_gone && member->watch.seen_ms &&
	       now < seen + member->watch.duration_ms;
}

void weir_members_note_gone(struct weir_kube_members *m, uint64_t now)
{
	for (size_t i = 0; weir_members_are_fresh(m, now) && i < m->n_members;
	     i++) {
		struct member *member = &m->members[i];

		if (member->watch.seen_ms &&
		    !weir_members_is_present(m, member, now)) {
			member->is_gone = true;
		}
	}
}

bool weir_kube_member_has_ip(const struct weir_kube_member *member,
			     const struct weir_ip *ip)
{
	struct weir_str text = weir_str_of(member->ips ? member->ips : "");

	while (text.n) {
		struct weir_ip one;

		if (weir_ip_parse(weir_str_word(&text, ','), &one) == 0 &&
		    weir_ip_eq(&one, ip)) {
			return true;
		}
	}
	return false;
}

const struct weir_kube_member *
weir_kube_members_list(struct weir_kube_members *members, size_t *ret_n)
{
	uint64_t now = weir_now_ms();

	*ret_n = 0;
	if (members->n_members > members->list_cap) {
		void *v = reallocarray(members->list, members->n_members,
				       sizeof(*members->list));

		if (!v) {
			return NULL;
		}
		members->list = v;
		members->list_cap = members->n_members;
	}
	for (size_t i = 0; i < members->n_members; i++) {
		members->list[i] = members->members[i].public;
		members->list[i].held = members->members[i].held;
		members->list[i].ips = members->members[i].ips;
		members->list[i].starts = members->members[i].starts;
		members->list[i].is_present = weir_members_is_present(
			members, &members->members[i], now);
	}
	*ret_n = members->n_members;
	return members->list;
}
