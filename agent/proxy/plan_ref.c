/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_ref.h"

#include <errno.h>
#include <stdlib.h>

#include "addr.h"
#include "certs.h"
#include "cleanup.h"
#include "fdutil.h"
#include "gate.h"
#include "revision.h"

static void destroy(struct weir_plan_ref **refp)
{
	struct weir_plan_ref *ref = *refp;

	if (!ref) {
		return;
	}
	if (ref->gates) {
		weir_gates_put(&ref->gates, ref->view.rules->groups.n);
	}
	weir_regexes_free(&ref->regexes);
	weir_certs_free(&ref->certs);
	weir_unmap(&ref->rules, ref->rules_size);
	weir_unmap(&ref->eps, ref->eps_size);
	weir_unmap(&ref->secrets_map, ref->secrets_size);
	for (uint32_t i = 0; i < ref->n_udp; i++) {
		weir_close(&ref->udp[i].fd);
	}
	weir_free_ptr(&ref->udp);
	weir_revs_free(&ref->revs, ref->n_revs);
	weir_free_ptr(refp);
}

int weir_plan_ref_new(const int fds[static WEIR_IPC_BLOCKS],
		      const struct weir_ipc *msg,
		      const struct weir_plan_ref *before,
		      struct weir_plan_ref **ret_ref)
{
	_cleanup_(destroy) struct weir_plan_ref *ref = calloc(1, sizeof(*ref));
	int r;

	if (!ref) {
		return -ENOMEM;
	}
	atomic_init(&ref->refs, 1);
	ref->generation = msg->generation;
	ref->prefix4 = msg->prefix4;
	ref->prefix6 = msg->prefix6;
	r = weir_map_fd(fds[0], &ref->rules, &ref->rules_size);
	if (r < 0) {
		return r;
	}
	r = weir_map_fd(fds[1], &ref->eps, &ref->eps_size);
	if (r < 0) {
		return r;
	}
	r = weir_plan_open(ref->rules, ref->rules_size, ref->eps, ref->eps_size,
			   &ref->view);
	if (r < 0) {
		return r;
	}
	r = weir_map_fd(fds[2], &ref->secrets_map, &ref->secrets_size);
	if (r < 0) {
		return r;
	}
	r = weir_secrets_open(ref->secrets_map, ref->secrets_size,
			      ref->view.rules, &ref->secrets);
	if (r < 0) {
		return r;
	}
	r = weir_certs_new(ref->view.rules, ref->secrets,
			   before ? before->certs : NULL, &ref->certs);
	if (r < 0) {
		return r;
	}
	r = weir_regexes_new(ref->view.rules, &ref->regexes);
	if (r < 0) {
		return r;
	}
	*ret_ref = TAKE_PTR(ref);
	return 0;
}

int weir_plan_ref_find_revs(struct weir_plan_ref *ref,
			    const struct weir_plan_ref *before,
			    uint32_t n_workers)
{
	int r = weir_revs_new(ref->view.rules, n_workers,
			      before ? before->revs : NULL,
			      before ? before->n_revs : 0, &ref->revs);

	if (r == 0) {
		ref->n_revs = ref->view.rules->revisions.n;
	}
	return r;
}

int weir_plan_ref_find_gates(struct weir_plan_ref *ref, struct weir_gates *all,
			     uint32_t n_workers)
{
	return weir_gates_of(all, ref->view.rules, n_workers, &ref->gates);
}

int weir_plan_ref_add_udp(struct weir_plan_ref *ref,
			  const struct weir_ipc_udp *at, int *fd)
{
	if (ref->n_udp == ref->udp_cap) {
		uint32_t cap = ref->udp_cap ? ref->udp_cap * 2 : 8;
		struct weir_udp_fd *udp = reallocarray(ref->udp, cap,
						       sizeof(*udp));

		if (!udp) {
			return -ENOMEM;
		}
		ref->udp = udp;
		ref->udp_cap = cap;
	}
	ref->udp[ref->n_udp++] = (struct weir_udp_fd){
		.fd = TAKE_FD(*fd), .addr = at->addr, .port_be = at->port_be};
	return 0;
}

struct weir_plan_ref *weir_plan_ref_get(struct weir_plan_ref *ref)
{
	atomic_fetch_add_explicit(&ref->refs, 1, memory_order_relaxed);
	return ref;
}

void weir_plan_ref_put(struct weir_plan_ref **refp)
{
	struct weir_plan_ref *ref = TAKE_PTR(*refp);

	if (ref && atomic_fetch_sub_explicit(&ref->refs, 1,
					     memory_order_acq_rel) == 1) {
		destroy(&ref);
	}
}

/* Index of ip in a prefix that begins at base, or 0. */
static uint32_t prefix_index(const struct weir_ip *base,
			     const struct weir_ip *ip)
{
	uint32_t low = ntohl(ip->a[3]);
	uint32_t first = ntohl(base->a[3]);

	if (ip->a[0] != base->a[0] || ip->a[1] != base->a[1] ||
	    ip->a[2] != base->a[2] || low <= first || low - first > 0xFFFF) {
		return 0;
	}
	return low - first;
}

const struct weir_frontend *
weir_plan_ref_frontend(const struct weir_plan_ref *ref,
		       const struct weir_ip *local, __be16 port_be,
		       uint8_t proto)
{
	const struct weir_frontend *f;
	uint32_t index = prefix_index(
		weir_ip_is_v4(local) ? &ref->prefix4 : &ref->prefix6, local);

	if (index) {
		f = weir_find_proxied(ref->view.rules, index);
		if (f && f->port_be == port_be && f->proto == proto) {
			return f;
		}
	}
	return weir_find_frontend(ref->view.rules, local, port_be, proto);
}

const struct weir_frontend *
weir_plan_ref_frontend_for(const struct weir_plan_ref *ref,
			   const struct weir_ip *local, __be16 port_be,
			   uint8_t proto, const struct weir_ip *peer)
{
	const struct weir_plan *plan = ref->view.rules;
	const struct weir_frontend *f = weir_plan_ref_frontend(ref, local,
							       port_be, proto);

	if (!f || plan->clients.n == 0) {
		return f;
	}
	return weir_find_for_client(plan, f, weir_find_client_ns(plan, peer));
}

int weir_plan_use_new(struct weir_plan_ref *ref, struct weir_plan_use **ret_use)
{
	struct weir_plan_use *use = calloc(1, sizeof(*use));

	if (!use) {
		return -ENOMEM;
	}
	use->ref = ref;
	use->is_current = true;
	*ret_use = use;
	return 0;
}

void weir_plan_use_put(struct weir_plan_use **usep)
{
	struct weir_plan_use *use = TAKE_PTR(*usep);

	if (use && --use->users == 0 && !use->is_current) {
		weir_plan_ref_put(&use->ref);
		weir_free_ptr(&use);
	}
}

void weir_plan_use_retire(struct weir_plan_use **usep)
{
	struct weir_plan_use *use = TAKE_PTR(*usep);

	if (!use) {
		return;
	}
	use->is_current = false;
	use->users++;
	weir_plan_use_put(&use);
}
