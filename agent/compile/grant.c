/* SPDX-License-Identifier: Apache-2.0 */
/* ReferenceGrants: any from with any to of any grant in the namespace of what
 * is named.  They are looked at before it is known whether that exists, so that
 * nobody learns what there is (GatewaySecretMissingReferenceGrant). */
#include "ir.h"

#define GATEWAY_GROUP "gateway.networking.k8s.io"

static bool grant_allows(const struct weir_grant_spec *grant,
			 const struct weir_object *from,
			 const struct weir_object_ref *to)
{
	bool is_from = false;
	bool is_to = false;

	for (size_t i = 0; i < grant->n_from; i++) {
		const struct weir_grant_from *f = &grant->from[i];

		is_from = is_from ||
			  (weir_str_is(f->group, GATEWAY_GROUP) &&
			   weir_str_is(f->kind, weir_kind_text(from->kind)) &&
			   weir_str_eq(f->ns, from->ns));
	}
	for (size_t i = 0; is_from && i < grant->n_to; i++) {
		const struct weir_grant_to *t = &grant->to[i];

		is_to = is_to ||
			(weir_str_eq(t->group, to->group) &&
			 weir_str_eq(t->kind, to->kind) &&
			 (t->name.n == 0 || weir_str_eq(t->name, to->name)));
	}
	return is_to;
}

bool weir_ir_is_granted(struct ir *c, const struct weir_object *from,
			const struct weir_object_ref *to)
{
	const struct weir_object *const *v;
	size_t n;
	size_t lo = 0;
	size_t hi;

	if (weir_str_eq(to->ns, from->ns)) {
		return true;
	}
	v = weir_store_list(c->store, WEIR_KIND_REFERENCE_GRANT, &n);
	hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (weir_str_cmp(v[mid]->ns, to->ns) < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	for (; lo < n && weir_str_eq(v[lo]->ns, to->ns); lo++) {
		if (v[lo]->grant && grant_allows(v[lo]->grant, from, to)) {
			return true;
		}
	}
	return false;
}
