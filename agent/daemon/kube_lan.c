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
 *     do and say so on the LAN: it gives in.
 */
#include "owner.h"

#include <stdlib.h>

#include "cleanup.h"
#include "kube.h"

#define LOOK_MS 1000
#define SETTLE_MS 1000 /* a change of a Lease reaches all others meanwhile */
#define ALONE_MS 5000  /* out of contact the kernel is told again that often */

struct view {
	const struct weir_kube_member *all; /* that are known */
	size_t n_all;
	const struct weir_kube_member **members; /* that may have addresses */
	struct weir_str *nodes;                  /* their names */
	size_t n;
	struct weir_str self;
	bool is_stable;
};

static void view_fini(struct view *v)
{
	weir_free_ptr(&v->members);
	weir_free_ptr(&v->nodes);
}

static void view_init(struct view *v, struct weir_kube_feed *f)
{
	*v = (struct view){.self = weir_str_of(f->options->node_name)};
	v->all = weir_kube_members_list(f->members, &v->n_all);
	if (!v->all || v->n_all == 0) {
		return;
	}
	v->members = calloc(v->n_all, sizeof(*v->members));
	v->nodes = calloc(v->n_all, sizeof(*v->nodes));
	for (size_t i = 0; v->members && v->nodes && i < v->n_all; i++) {
		if (v->all[i].is_present && v->all[i].may_announce) {
			v->members[v->n] = &v->all[i];
			v->nodes[v->n++] = v->all[i].node;
		}
	}
}

/* The node an interface of which has the address, whether its agent lives or
 * not: its kernel answers for it, and who else did would cut it off.  NULL:
 * none that is known. */
static const struct weir_kube_member *find_holder(const struct view *v,
						  const struct weir_ip *ip)
{
	for (size_t i = 0; v->all && i < v->n_all; i++) {
		if (weir_kube_member_has_ip(&v->all[i], ip)) {
			return &v->all[i];
		}
	}
	return NULL;
}

bool weir_kube_lan_needs(void *arg, const char *ips)
{
	const struct weir_kube_feed *f = arg;
	const struct weir_verdicts *v = &f->control->compiled.verdicts;
	const struct weir_kube_member m = {.ips = ips};

	if (!ips) {
		return false;
	}
	for (uint32_t i = 0; f->is_in_force && i < v->n_gateways; i++) {
		const struct weir_gateway_verdict *g = &v->gateways[i];

		for (uint32_t k = 0; k < g->n_addresses; k++) {
			if (weir_kube_member_has_ip(&m, &g->addresses[k])) {
				return true;
			}
		}
	}
	return !f->is_in_force; /* nobody knows */
}

/* arg: const struct view *. */
static bool is_ours(void *arg, const struct weir_ip *ip, bool was_ours)
{
	const struct view *v = arg;
	size_t i = weir_owner_choose(v->nodes, v->n, ip);

	if (i == WEIR_OWNER_NONE || find_holder(v, ip)) {
		return false;
	}
	if (weir_str_eq(v->nodes[i], v->self)) {
		return was_ours || v->is_stable;
	}
	/* An agent that was started again does not know yet whether those who
	 * have a Lease live; when it was away the others did. */
	return was_ours && !v->members[i]->is_confirmed;
}

static void decide(struct weir_kube_feed *f, uint64_t until_ms)
{
	_cleanup_(view_fini) struct view v;
	uint64_t now = weir_now_ms(), hash = 1;

	view_init(&v, f);
	for (size_t i = 0; i < v.n; i++) {
		hash = weir_str_hash(v.nodes[i], hash);
	}
	if (hash != f->lan_view) {
		f->lan_view = hash;
		f->lan_view_ms = now;
	}
	v.is_stable = now - f->lan_view_ms >= SETTLE_MS;
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
	_cleanup_(view_fini) struct view v;
	const struct weir_kube_member *holder;
	size_t i;

	view_init(&v, f);
	holder = find_holder(&v, ip);
	if (holder) {
		return holder->node;
	}
	i = weir_owner_choose(v.nodes, v.n, ip);
	return i == WEIR_OWNER_NONE ? WEIR_STR("") : v.nodes[i];
}

void weir_kube_lan_init(struct weir_kube_feed *f)
{
	f->lan_timer = (struct weir_timer){.fn = on_timer, .arg = f};
	weir_loop_arm(f->loop, &f->lan_timer, LOOK_MS);
}

void weir_kube_lan_fini(struct weir_kube_feed *f)
{
	weir_loop_disarm(f->loop, &f->lan_timer);
}
