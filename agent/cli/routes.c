/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "cleanup.h"
#include "plan_source.h"
#include "print.h"
#include "show.h"
#include "where.h"

struct view {
	const struct weir_plan_view *plan;
	const struct weir_where *where;
	struct weir_table_out table;
};

static bool is_http(const struct weir_where *w)
{
	return w->frontend && (w->frontend->mode == WEIR_MODE_HTTP ||
			       w->frontend->mode == WEIR_MODE_TLS);
}

/* The three cells that say which rule this is. */
static void put_rule(struct view *v, const struct weir_rule *rule,
		     const struct weir_where *where)
{
	_cleanup_buf_ struct weir_buf name = {0};
	_cleanup_buf_ struct weir_buf place = {0};

	weir_print_object(&name, v->plan->rules, rule->object);
	weir_buf_printf(&name, " [%u]", rule->index);
	weir_where_print(&place, v->plan->rules, where);
	weir_table_str(&v->table, WEIR_BOLD, weir_buf_str(&name));
	weir_table_str(&v->table, WEIR_PLAIN,
		       weir_str_of(weir_plane_text(rule->plane)));
	weir_table_str(&v->table, WEIR_PLAIN, weir_buf_str(&place));
}

static void put_ref(struct view *v, const struct weir_rule *rule, uint32_t i,
		    bool is_request)
{
	const struct weir_ref *ref = WEIR_PLAN_ELEM(
		v->plan->rules, struct weir_ref, rule->refs, i);
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf fate = {0};
	enum weir_colour colour;
	char share[16];

	weir_show_share(weir_plan_share(v->plan->rules, rule, i), share);
	weir_table_cell(&v->table, WEIR_PLAIN, "%" PRIu64, ref->weight);
	weir_table_cell(&v->table, WEIR_PLAIN, "%s", share);
	weir_print_ref(&text, v->plan->rules, ref);
	weir_table_str(&v->table, WEIR_PLAIN, weir_buf_str(&text));
	weir_show_fate(v->plan, ref, is_request, &fate, &colour);
	weir_table_str(&v->table, colour, weir_buf_str(&fate));
}

static void put_no_ref(struct view *v, const struct weir_rule *rule)
{
	const struct weir_plan *plan = v->plan->rules;
	_cleanup_buf_ struct weir_buf text = {0};

	for (uint32_t i = 0; i < rule->filters.n; i++) {
		const struct weir_filter *f = WEIR_PLAN_ELEM(
			plan, struct weir_filter, rule->filters, i);

		if (f->type == WEIR_FILTER_REDIRECT) {
			weir_print_filter(&text, plan, f);
		}
	}
	weir_table_str(&v->table, WEIR_PLAIN, WEIR_STR(""));
	weir_table_str(&v->table, WEIR_PLAIN, WEIR_STR(""));
	weir_table_str(&v->table, WEIR_PLAIN,
		       text.n ? weir_buf_str(&text) : WEIR_STR("no backend"));
}

static void put_rows(struct view *v)
{
	const struct weir_rule *rule = weir_plan_at(v->plan->rules,
						    v->plan->rules->rules);

	for (uint32_t i = 0; i < v->plan->rules->rules.n; i++) {
		bool is_request = is_http(&v->where[i]);

		put_rule(v, &rule[i], &v->where[i]);
		if (rule[i].refs.n == 0) {
			put_no_ref(v, &rule[i]);
		}
		for (uint32_t k = 0; k < rule[i].refs.n; k++) {
			for (int c = 0; k > 0 && c < 3; c++) {
				weir_table_str(&v->table, WEIR_PLAIN,
					       WEIR_STR(""));
			}
			put_ref(v, &rule[i], k, is_request);
			weir_table_end_row(&v->table);
		}
		if (rule[i].refs.n == 0) {
			weir_table_end_row(&v->table);
		}
	}
}

static void put_json_ref(const struct view *v, const struct weir_rule *rule,
			 uint32_t i, bool is_request, struct weir_buf *out)
{
	const struct weir_plan *plan = v->plan->rules;
	const struct weir_ref *ref = WEIR_PLAN_ELEM(plan, struct weir_ref,
						    rule->refs, i);
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf fate = {0};
	enum weir_colour colour;

	weir_print_ref(&text, plan, ref);
	weir_show_fate(v->plan, ref, is_request, &fate, &colour);
	weir_buf_printf(out,
			"%s{\"weight\":%" PRIu64 ",\"share\":%.9f,"
			"\"state\":\"%s\",\"backend\":",
			i ? "," : "", ref->weight,
			weir_plan_share(plan, rule, i),
			weir_ref_state_text(ref->state));
	weir_buf_add_json(out, weir_buf_str(&text));
	weir_buf_addz(out, ",\"fate\":");
	weir_buf_add_json(out, weir_buf_str(&fate));
	weir_buf_addz(out, "}");
}

static void put_json(const struct view *v, struct weir_buf *out)
{
	const struct weir_plan *plan = v->plan->rules;
	const struct weir_rule *rule = weir_plan_at(plan, plan->rules);

	weir_buf_addz(out, "{\"rules\":[");
	for (uint32_t i = 0; i < plan->rules.n; i++) {
		_cleanup_buf_ struct weir_buf name = {0};
		_cleanup_buf_ struct weir_buf place = {0};

		weir_print_object(&name, plan, rule[i].object);
		weir_where_print(&place, plan, &v->where[i]);
		weir_buf_printf(out, "%s{\"object\":", i ? ",\n" : "");
		weir_buf_add_json(out, weir_buf_str(&name));
		weir_buf_printf(out,
				",\"index\":%u,\"plane\":\"%s\",\"reason\":",
				rule[i].index, weir_plane_text(rule[i].plane));
		weir_buf_add_json(
			out, weir_str_of(weir_reason_text(rule[i].reason)));
		weir_buf_addz(out, ",\"where\":");
		weir_buf_add_json(out, weir_buf_str(&place));
		weir_buf_addz(out, ",\"refs\":[");
		for (uint32_t k = 0; k < rule[i].refs.n; k++) {
			put_json_ref(v, &rule[i], k, is_http(&v->where[i]),
				     out);
		}
		weir_buf_addz(out, "]}");
	}
	weir_buf_addz(out, "]}\n");
}

int weir_ctl_routes(struct weir_ctl *ctl)
{
	static const char *const heads[] = {"RULE<",     "PLANE<", "WHERE<",
					    "WEIGHT>",   "SHARE>", "BACKEND<",
					    "SERVED BY<"};
	_cleanup_free_ struct weir_where *where = NULL;
	_cleanup_buf_ struct weir_buf out = {0};
	_cleanup_source_ struct weir_source src = {0};
	struct view v = {0};

	if (weir_source_open(ctl, &src) < 0) {
		return WEIR_CTL_FAILED;
	}
	where = weir_where_all(src.view.rules);
	if (!where) {
		return weir_ctl_fail("out of memory");
	}
	v.plan = &src.view;
	v.where = where;
	if (ctl->is_json) {
		put_json(&v, &out);
		return weir_ctl_print(&out, WEIR_CTL_OK);
	}
	weir_table_heads(&v.table, heads, sizeof(heads) / sizeof(heads[0]));
	put_rows(&v);
	weir_table_print(&v.table, ctl->has_colour, 0, 0, &out);
	weir_table_fini(&v.table);
	return weir_ctl_print(&out, WEIR_CTL_OK);
}
