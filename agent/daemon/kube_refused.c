// SPDX-License-Identifier: Apache-2.0
/*
 * KIngresses whose present state is refused.  What they said before stays in
 * force; their status says what is wrong, field by field, as Knative's own
 * validation does.
 */
#include "cleanup.h"
#include "compile.h"
#include "kube.h"

#define FAULTS_MAX 4 /* that a message names */

struct refused {
	struct weir_kube_feed *feed;
	weir_kube_refused_fn fn;
};

/* "spec.rules[0].http.paths[0].splits: found percents ...; ..." */
static void write_faults(const struct weir_diags *diags, struct weir_buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < diags->n && n <= FAULTS_MAX; i++) {
		const struct weir_diag *d = &diags->v[i];

		if (d->severity != WEIR_DIAG_ERROR) {
			continue;
		}
		if (n++ == FAULTS_MAX) {
			weir_buf_addz(out, "; and more");
			break;
		}
		weir_buf_printf(out, "%s%.*s: %.*s", n > 1 ? "; " : "",
				WEIR_STR_ARG(d->field),
				WEIR_STR_ARG(d->message));
	}
}

static void look_at(void *arg, const struct weir_kube_refused *r)
{
	const struct refused *q = arg;
	_cleanup_buf_ struct weir_buf text = {0};
	const struct weir_object object = {.kind = WEIR_KIND_KINGRESS,
					   .ns = r->ns,
					   .name = r->name,
					   .generation = r->generation};
	struct weir_fault fault = {.reason = "InvalidSpec"};
	struct weir_king_verdict verdict = {.id = {.kind = WEIR_KIND_KINGRESS,
						   .ns = r->ns,
						   .name = r->name,
						   .generation = r->generation},
					    .balancer = &fault};
	const struct weir_king_verdict *before = weir_verdict_king(
		&q->feed->control->compiled.verdicts, r->ns, r->name);

	if (!weir_str_is(r->ingress_class, WEIR_KINGRESS_CLASS)) {
		return;
	}
	write_faults(r->diags, &text);
	if (text.error) {
		return;
	}
	fault.message = weir_buf_str(&text);
	verdict.id.hash = weir_str_hash(fault.message, 1);
	if (before) {
		verdict.public_domain = before->public_domain;
		verdict.private_domain = before->private_domain;
	}
	q->fn(q->feed, &object, &verdict);
}

void weir_kube_refused(struct weir_kube_feed *feed, weir_kube_refused_fn fn)
{
	struct refused q = {feed, fn};

	weir_kube_source_refused(feed->source, look_at, &q);
}
