// SPDX-License-Identifier: Apache-2.0
/*
 * Which node answers for which address of a Gateway on the LAN, by the Leases:
 * kube/owner.h chooses among the nodes whose agents live.  No two may answer at
 * a time, so
 *   - what this node loses it lets go of at once; what it gets it takes when
 *     what is known of the others has held for SETTLE_MS: they have let go;
 *   - the kernel answers until this agent's own Lease lapses, whatever becomes
 *     of the agent (weir_kernel_lan_decide), and the others wait for that;
 *   - an agent that cannot reach the API server keeps what it has, for if the
 *     server is away nobody takes anything.  If the others can reach it, they
 * do and say so on the LAN: it gives in.
 */
#include "owner.h"

#include <stdlib.h>

#include "cleanup.h"
#include "kube.h"

#define LOOK_MS 1000
#define SETTLE_MS 1000 /* a change of a Lease reaches all others meanwhile */
#define ALONE_MS 5000  /* out of contact the kernel is told again that often */

struct view {
	const struct weir_kube_member *members; /* those that may have some */
	const struct weir_str *nodes;           /* their names */
	size_t n;
	struct weir_str self;
	bool is_stable;
	const struct weir_kube_member *all; /* that are known */
	size_t n_all;
};

struct candidates {
	struct weir_kube_member *members;
	struct weir_str *nodes;
	size_t n;
};

static void candidates_fini(struct candidates *c)
{
	weir_free_ptr(&c->members);
	weir_free_ptr(&c->nodes);
}

static void find_candidates(struct weir_kube_feed *f, struct candidates *ret)
{
	const struct weir_kube_member *v;
	size_t n;

	*ret = (struct candidates){0};
	v = weir_kube_members_list(f->members, &n);
	if (!v || n == 0) {
		return;
	}
	ret->members = calloc(n, sizeof(*ret->members));
	ret->nodes = calloc(n, sizeof(*ret->nodes));
	for (size_t i = 0; ret->members && ret->nodes && i < n; i++) {
		if (v[i].is_present && v[i].may_announce) {
			ret->members[ret->n] = v[i];
			ret->nodes[ret->n++] = v[i].node;
		}
	}
}

/* The node an interface of which has the address, whether its agent lives or
 * not: its kernel answers for it, and who else did would cut it off.  NULL:
 * none that is known. */
static const struct weir_kube_member *
find_holder(const struct weir_kube_member *all, size_t n,
	    const struct weir_ip *ip)
{
	for (size_t i = 0; all && i < n; i++) {
		if (weir_kube_member_has_ip(&all[i], ip)) {
			return &all[i];
		}
	}
	return NULL;
}

/* arg: const struct view *. */
static bool is_ours(void *arg, const struct weir_ip *ip, bool was_ours)
{
	const struct view *v = arg;
	size_t i = weir_owner_choose(v->nodes, v->n, ip);

	if (i == WEIR_OWNER_NONE || find_holder(v->all, v->n_all, ip)) {
		return false;
	}
	if (weir_str_eq(v->nodes[i], v->self)) {
		return was_ours || v->is_stable;
	}
	/* An agent that was started again does not know yet whether those who
	 * have a Lease live; when it was away the others did. */
	return was_ours && !v->members[i].is_confirmed;
}

static void decide(struct weir_kube_feed *f, uint64_t until_ms)
{
	_cleanup_(candidates_fini) struct candidates c;
	uint64_t now = weir_now_ms(), hash = 1;
	struct view v;

	find_candidates(f, &c);
	for (size_t i = 0; i < c.n; i++) {
		hash = weir_str_hash(c.nodes[i], hash);
	}
	if (hash != f->lan_view) {
		f->lan_view = hash;
		f->lan_view_ms = now;
	}
	v = (struct view){.members = c.members,
			  .nodes = c.nodes,
			  .n = c.n,
			  .self = weir_str_of(f->options->node_name),
			  .is_stable = now - f->lan_view_ms >= SETTLE_MS};
	v.all = weir_kube_members_list(f->members, &v.n_all);
	weir_kernel_lan_decide(f->control->kernel, is_ours, &v, false,
			       until_ms);
}

static void look(struct weir_kube_feed *f)
{
	struct weir_kernel *kernel = f->control->kernel;
	uint64_t until_ms, now = weir_now_ms();

	if (f->options->kernel.lan != WEIR_LAN_CHOSEN) {
		return;
	}
	if (weir_kube_members_contact(f->members, &until_ms)) {
		decide(f, until_ms);
		return;
	}
	f->lan_view = 0; /* what comes after is a change */
	until_ms = weir_kernel_lan_until(kernel);
	if (until_ms > now) {
		weir_kernel_lan_decide(
			kernel, NULL, NULL, true,
			until_ms > now + ALONE_MS ? until_ms : now + ALONE_MS);
	}
}

static void on_timer(struct weir_timer *timer)
{
	weir_kube_lan_changed(timer->arg);
}

void weir_kube_lan_changed(struct weir_kube_feed *f)
{
	struct weir_ip ips[2];
	size_t n;

	weir_kernel_node_ips(f->control->kernel, ips, &n);
	if (f->is_in_force &&
	    (n != f->control->n_node_ips ||
	     memcmp(ips, f->control->node_ips, n * sizeof(ips[0])) != 0)) {
		weir_control_again(f->control);
	}
	look(f);
	weir_kube_held_say(f);
	weir_loop_arm(f->loop, &f->lan_timer, LOOK_MS);
}

struct weir_str weir_kube_lan_owner(struct weir_kube_feed *f,
				    const struct weir_ip *ip)
{
	_cleanup_(candidates_fini) struct candidates c = {0};
	const struct weir_kube_member *all, *holder;
	size_t i, n;

	all = weir_kube_members_list(f->members, &n);
	holder = find_holder(all, n, ip);
	if (holder) {
		return holder->node;
	}
	find_candidates(f, &c);
	i = weir_owner_choose(c.nodes, c.n, ip);
	return i == WEIR_OWNER_NONE || !c.nodes ? WEIR_STR("") : c.nodes[i];
}

void weir_kube_lan_init(struct weir_kube_feed *f)
{
	f->lan_timer = (struct weir_timer){.fn = on_timer, .arg = f};
	weir_loop_arm(f->loop, &f->lan_timer, LOOK_MS);
}

void weir_kube_lan_fini(struct weir_kube_feed *f)
{
	weir_loop_disarm(f->loop, &f->lan_timer);
	weir_free_ptr(&f->held);
}
