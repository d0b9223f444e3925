/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One KIngress that came, where 1 000 stay as they are: it is compiled alone
 * and put into the plan of all, in a tenth of the time of a full compilation.
 * That is right where it is the last in every order (the youngest), shares no
 * name with others, and nothing waited for it.
 */
#include <errno.h>

#include "cleanup.h"
#include "emit.h"
#include "graft.h"
#include "king.h"
#include "writer.h"

static int64_t age(const struct weir_object *o)
{
	/* As weir_ir_ranks(). */
	return o->created_s ? o->created_s : INT64_MAX;
}

static bool is_younger(const struct weir_object *o,
		       const struct weir_object *than)
{
	int r = weir_str_cmp(o->ns, than->ns);

	r = r ? r : weir_str_cmp(o->name, than->name);
	return age(o) != age(than) ? age(o) > age(than) : r > 0;
}

/* The same host, or inside the cluster another spelling of one. */
static bool is_same_host(const struct weir_object *a,
			 const struct weir_king_rule *x, struct weir_str host,
			 const struct weir_object *b,
			 const struct weir_king_rule *y, struct weir_str other)
{
	struct weir_str name;

	if (weir_str_eq(host, other)) {
		return true;
	}
	if (!x->is_cluster_local || !y->is_cluster_local ||
	    !weir_str_eq(a->ns, b->ns)) {
		return false;
	}
	name = weir_ir_king_name(host, a->ns);
	return name.p && weir_str_starts(other, name) &&
	       weir_str_eq(weir_ir_king_name(other, b->ns), name);
}

static bool has_host(const struct weir_object *o,
		     const struct weir_object *king,
		     const struct weir_king_rule *rule, struct weir_str host)
{
	for (size_t i = 0; i < o->kingress->n_rules; i++) {
		const struct weir_king_rule *r = &o->kingress->rules[i];

		for (size_t k = 0; k < r->hosts.n; k++) {
			if (is_same_host(king, rule, host, o, r,
					 r->hosts.v[k])) {
				return true;
			}
		}
	}
	return false;
}

static bool is_apart(const struct weir_object *o,
		     const struct weir_object *king)
{
	if (!is_younger(king, o)) {
		return false;
	}
	for (size_t i = 0; o->kingress && i < king->kingress->n_rules; i++) {
		const struct weir_king_rule *r = &king->kingress->rules[i];

		for (size_t k = 0; k < r->hosts.n; k++) {
			if (has_host(o, king, r, r->hosts.v[k])) {
				return false;
			}
		}
	}
	return true;
}

/* Of weir's class, without TLS, with names that no other has. */
static int look_at(struct weir_store *store, const struct weir_object *king)
{
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		store, WEIR_KIND_KINGRESS, &n);

	if (!v) {
		return -ENOMEM;
	}
	if (!king->kingress || !weir_ir_king_is_ours(king) ||
	    king->kingress->n_tls) {
		return -EAGAIN;
	}
	for (size_t i = 0; i < king->kingress->n_rules; i++) {
		if (king->kingress->rules[i].hosts.n == 0) {
			return -EAGAIN; /* for all hosts */
		}
	}
	for (size_t i = 0; i < n; i++) {
		/* Objects lie all over the heap. */
		if (i + 8 < n) {
			__builtin_prefetch(v[i + 8]);
		}
		if (v[i] != king && !is_apart(v[i], king)) {
			return -EAGAIN;
		}
	}
	return 0;
}

/* ------------------------------------------------------- what is said of it */

static bool is_about(const struct weir_diag *d, const struct weir_object *o)
{
	return weir_str_is(d->kind, weir_kind_text(o->kind)) &&
	       weir_str_eq(d->name, o->name) && weir_str_eq(d->ns, o->ns);
}

/* Gateways were spoken of before. */
static bool is_known(const struct weir_diag *d)
{
	return weir_str_is(d->kind, weir_kind_text(WEIR_KIND_SERVICE)) &&
	       weir_str_is(d->ns, WEIR_KNATIVE_NS);
}

static bool may_say(const struct weir_diags *diags,
		    const struct weir_object *king)
{
	for (size_t i = 0; i < diags->n; i++) {
		if (!is_known(&diags->v[i]) && !is_about(&diags->v[i], king)) {
			return false;
		}
	}
	return !diags->is_lossy;
}

static void say(struct weir_compiled *compiled, const struct weir_diags *diags,
		const struct weir_object *king)
{
	for (size_t i = 0; i < diags->n; i++) {
		const struct weir_diag *d = &diags->v[i];

		if (is_about(d, king)) {
			weir_diag_add(&compiled->diags, d->severity, king,
				      d->reason.p, d->field, "%.*s",
				      WEIR_STR_ARG(d->message));
		}
	}
}

static bool keep(struct weir_compiled *compiled, struct weir_str *text)
{
	*text = weir_arena_dup(&compiled->arena, *text);
	return text->p;
}

static int add_verdict(struct weir_compiled *compiled,
		       const struct weir_king_verdict *verdict)
{
	struct weir_verdicts *v = &compiled->verdicts;
	struct weir_king_verdict out = *verdict;
	uint32_t i = 0;

	if (!keep(compiled, &out.id.ns) || !keep(compiled, &out.id.name) ||
	    !keep(compiled, &out.public_domain) ||
	    !keep(compiled, &out.private_domain)) {
		return -ENOMEM;
	}
	if (out.balancer) {
		struct weir_fault *f = weir_arena_alloc(&compiled->arena,
							sizeof(*f));

		if (!f) {
			return -ENOMEM;
		}
		*f = *out.balancer;
		if (!keep(compiled, &f->message)) {
			return -ENOMEM;
		}
		out.balancer = f;
	}
	for (; i < v->n_kings; i++) {
		int r = weir_str_cmp(v->kings[i].id.ns, out.id.ns);

		r = r ? r : weir_str_cmp(v->kings[i].id.name, out.id.name);
		if (r > 0) {
			break;
		}
	}
	memmove(&v->kings[i + 1], &v->kings[i],
		(v->n_kings - i) * sizeof(*v->kings));
	v->kings[i] = out;
	v->n_kings++;
	return 0;
}

/* Does a route wait for a KIngress, one that no listener took included? */
static bool has_waiting(const struct weir_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		if (weir_str_is(diags->v[i].reason, "Unready") &&
		    !weir_str_is(diags->v[i].kind,
				 weir_kind_text(WEIR_KIND_KINGRESS))) {
			return true;
		}
	}
	return diags->is_lossy;
}

int weir_ir_graft(struct weir_store *store,
		  const struct weir_compile_options *options,
		  const struct weir_object *king,
		  const struct weir_plan_view *before,
		  struct weir_compiled *compiled)
{
	struct weir_compiled alone;
	struct weir_plan_view view;
	struct weir_plan *rules;
	struct weir_eps *eps;
	size_t eps_size;
	int r = look_at(store, king);

	if (r < 0) {
		return r;
	}
	/* What is served at addresses of before, for a while. */
	if (compiled->verdicts.n_formers || has_waiting(&compiled->diags) ||
	    !weir_plan_has_room(compiled->verdicts.n_kings, 1)) {
		return -EAGAIN;
	}
	r = weir_ir_compile_king(store, options, king, &alone);
	if (r < 0) {
		return r;
	}
	view = (struct weir_plan_view){.rules = alone.rules, .eps = alone.eps};
	if (alone.verdicts.n_kings != 1 || alone.verdicts.n_asleep ||
	    !may_say(&alone.diags, king)) {
		r = -EAGAIN;
	}
	if (r == 0) {
		r = weir_ir_graft_plan(before, &view, &rules, &eps, &eps_size);
	}
	if (r == 0) {
		r = add_verdict(compiled, &alone.verdicts.kings[0]);
		if (r < 0) {
			weir_free_ptr(&rules);
			weir_free_ptr(&eps);
		}
	}
	if (r == 0) {
		say(compiled, &alone.diags, king);
		weir_ir_replace_blocks(compiled, rules, eps, eps_size);
	}
	weir_compiled_fini(&alone);
	return r;
}
