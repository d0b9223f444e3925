// SPDX-License-Identifier: Apache-2.0
/*
 * The Leases of agents that are gone for good: nodes come and go, and nothing
 * else removes what they leave.  The agent that writes status does, long after
 * they lapsed, one at a time; what is renewed meanwhile stays, by its
 * resourceVersion.  An agent that comes back makes its Lease again.
 */
#include "members.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cleanup.h"
#include "kinds.h"
#include "log.h"

#define AFTER_MS 600000 /* it lapsed */
#define AGAIN_MS 60000  /* after one that could not be removed */
#define DEADLINE_MS 5000

bool weir_members_is_forgettable(const struct weir_kube_members *m,
				 const struct member *member, uint64_t now,
				 uint64_t wall_us)
{
	uint64_t after = (uint64_t)member->watch.duration_ms + AFTER_MS;

	/* That it is gone was seen, for as long as its Lease holds at least:
	 * the wall clocks of two nodes do not decide alone. */
	return member->is_gone && strcmp(member->node, m->node) != 0 &&
	       (now >= member->watch.seen_ms + after ||
		weir_lease_is_older(member->renewed_us, after, wall_us));
}

static void on_forgotten(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_kube_members *m = arg;

	m->forgetting = NULL;
	if (weir_kube_is_ok(reply)) {
		weir_info("the Lease of node %s is removed: it lapsed long ago",
			  m->forgotten);
	} else if (reply->status != 404) {
		m->forget_ms = weir_now_ms() + AGAIN_MS;
		/* Renewed (409), or a server that is away, is nothing to tell.
		 */
		if (reply->status && reply->status != 409 &&
		    !m->has_not_forgotten) {
			m->has_not_forgotten = true;
			weir_warn("the Lease of node %s, which lapsed long "
				  "ago, cannot be removed: %s",
				  m->forgotten, reply->message);
		}
	}
	weir_free_ptr(&m->forgotten);
}

/* The watch tells when it is gone. */
static void forget(struct weir_kube_members *m, const struct member *member)
{
	_cleanup_buf_ struct weir_buf path = {0};
	_cleanup_buf_ struct weir_buf body = {0};
	struct weir_kube_call call = {.method = "DELETE",
				      .deadline_ms = DEADLINE_MS,
				      .fn = on_forgotten,
				      .arg = m};

	weir_members_path(m, &path);
	weir_buf_addz(&path, "/" WEIR_MEMBERS_PREFIX);
	weir_kube_encode(&path, weir_str_of(member->node));
	weir_buf_add(&path, "", 1);
	weir_buf_printf(&body,
			"{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\","
			"\"preconditions\":{\"resourceVersion\":\"%" PRIu64
			"\"}}",
			member->version);
	m->forgotten = strdup(member->node);
	call.path = path.p;
	call.body = weir_buf_str(&body);
	if (path.error || body.error || !m->forgotten ||
	    weir_kube_call(m->options.client, &call, &m->forgetting) < 0) {
		m->forgetting = NULL;
		m->forget_ms = weir_now_ms() + AGAIN_MS;
		weir_free_ptr(&m->forgotten);
	}
}

void weir_members_forget(struct weir_kube_members *m, uint64_t now,
			 uint64_t wall_us)
{
	if (m->forgetting || now < m->forget_ms || !m->was_writer ||
	    !m->is_watching || !weir_members_are_fresh(m, now)) {
		return;
	}
	for (size_t i = 0; i < m->n_members; i++) {
		const struct member *member = &m->members[i];

		if (weir_members_is_forgettable(m, member, now, wall_us) &&
		    !(m->options.is_needed &&
		      m->options.is_needed(m->options.arg, member->ips))) {
			forget(m, member);
			return;
		}
	}
}
