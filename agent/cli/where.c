/* SPDX-License-Identifier: Apache-2.0 */
#include "where.h"

#include <stdlib.h>

#include "print.h"

static void found(struct weir_where *w, const struct weir_frontend *f,
		  const struct weir_vhost *v, const struct weir_match *m)
{
	if (w->n++ == 0) {
		w->frontend = f;
		w->vhost = v;
		w->match = m;
	}
}

static void walk_tables(const struct weir_plan *plan, struct weir_where *all,
			const struct weir_frontend *f,
			const struct weir_vhost *v, struct weir_span tables)
{
	const struct weir_table *t = weir_plan_at(plan, tables);

	for (uint32_t i = 0; i < tables.n; i++) {
		const struct weir_match *m = weir_plan_at(plan, t[i].matches);

		for (uint32_t k = 0; k < t[i].matches.n; k++) {
			found(&all[m[k].rule], f, v, &m[k]);
		}
	}
}

struct weir_where *weir_where_all(const struct weir_plan *plan)
{
	const struct weir_frontend *f = weir_plan_at(plan, plan->frontends);
	struct weir_where *all = calloc(plan->rules.n + 1, sizeof(*all));

	for (uint32_t i = 0; all && i < plan->frontends.n; i++) {
		const struct weir_listener *l = weir_plan_at(plan,
							     f[i].listeners);

		if (f[i].rule != WEIR_NONE) {
			found(&all[f[i].rule], &f[i], NULL, NULL);
		}
		for (uint32_t k = 0; k < f[i].listeners.n; k++) {
			const struct weir_vhost *v = weir_plan_at(plan,
								  l[k].vhosts);

			for (uint32_t h = 0; h < l[k].vhosts.n; h++) {
				walk_tables(plan, all, &f[i], &v[h],
					    v[h].tables);
				walk_tables(plan, all, &f[i], &v[h], v[h].grpc);
			}
		}
	}
	return all;
}

void weir_where_print(struct weir_buf *out, const struct weir_plan *plan,
		      const struct weir_where *w)
{
	if (!w->frontend) {
		weir_buf_addz(out, "nothing leads here");
		return;
	}
	if (w->match) {
		weir_print_word(
			out, w->vhost->hostname.n
				     ? weir_plan_str(plan, w->vhost->hostname)
				     : WEIR_STR("*"));
		weir_buf_addz(out, " ");
		weir_print_match(out, plan, w->match);
		weir_buf_addz(out, " on ");
	}
	weir_print_frontend(out, w->frontend);
	if (w->n > 1) {
		weir_buf_printf(out, " (+%u)", w->n - 1);
	}
}
