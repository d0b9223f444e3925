/* SPDX-License-Identifier: Apache-2.0 */
#include "topview.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "cleanup.h"
#include "print.h"
#include "show.h"

/* Below this many choices an observed share says little about the weights. */
#define ENOUGH 100
#define TOLERANCE 0.05

/* A rule with what its refs add up to. */
struct row {
	const struct weir_rule *rule;
	double picked;   /* since ever */
	double interval; /* since before */
};

/* Counters that went back (a restarted process) began anew. */
static double grown(double now, double before)
{
	return now >= before ? now - before : now;
}

static double picked_now(const struct weir_topview *v, uint32_t id)
{
	struct weir_sample_ref now = weir_sample_ref(v->now, id);
	struct weir_sample_ref before = weir_sample_ref(v->before, id);

	return grown(weir_sample_picked(&now), weir_sample_picked(&before));
}

static struct row sum(const struct weir_topview *v,
		      const struct weir_rule *rule)
{
	const struct weir_ref *ref = weir_plan_at(v->plan, rule->refs);
	struct row row = {.rule = rule};

	for (uint32_t i = 0; i < rule->refs.n; i++) {
		struct weir_sample_ref now = weir_sample_ref(v->now,
							     ref[i].stat);

		row.picked += weir_sample_picked(&now);
		row.interval += picked_now(v, ref[i].stat);
	}
	return row;
}

static int by_rate(const void *va, const void *vb)
{
	const struct row *a = va;
	const struct row *b = vb;

	if (a->interval != b->interval) {
		return a->interval < b->interval ? 1 : -1;
	}
	return (a->rule > b->rule) - (a->rule < b->rule);
}

static struct row *rows_of(const struct weir_topview *v)
{
	const struct weir_rule *rule = weir_plan_at(v->plan, v->plan->rules);
	struct row *rows = calloc(v->plan->rules.n + 1, sizeof(*rows));

	for (uint32_t i = 0; rows && i < v->plan->rules.n; i++) {
		rows[i] = sum(v, &rule[i]);
	}
	if (rows && v->by_rate) {
		qsort(rows, v->plan->rules.n, sizeof(*rows), by_rate);
	}
	return rows;
}

static double seconds(const struct weir_topview *v)
{
	uint64_t us = v->now->now_us - v->before->now_us;

	return v->now->now_us > v->before->now_us ? (double)us / 1e6 : 1;
}

/* -------------------------------------------------------------------- text */

static void put_share(struct weir_table_out *t, enum weir_colour colour,
		      double part, double whole)
{
	char text[16];

	if (whole <= 0) {
		weir_table_str(t, WEIR_DIM, WEIR_STR("-"));
		return;
	}
	weir_show_share(part / whole, text);
	weir_table_cell(t, colour, "%s", text);
}

static void put_rule_cells(const struct weir_topview *v, const struct row *row,
			   struct weir_table_out *t)
{
	_cleanup_buf_ struct weir_buf name = {0};

	weir_print_object(&name, v->plan, row->rule->object);
	weir_buf_printf(&name, " [%" PRIu32 "]", row->rule->index);
	weir_table_str(t, WEIR_BOLD, weir_buf_str(&name));
	weir_table_str(t, WEIR_PLAIN,
		       weir_str_of(weir_plane_text(row->rule->plane)));
}

static void put_ref_cells(const struct weir_topview *v, const struct row *row,
			  uint32_t i, struct weir_table_out *t)
{
	const struct weir_ref *ref = WEIR_PLAN_ELEM(v->plan, struct weir_ref,
						    row->rule->refs, i);
	struct weir_sample_ref now = weir_sample_ref(v->now, ref->stat);
	double share = weir_plan_share(v->plan, row->rule, i);
	double interval = picked_now(v, ref->stat);
	double errors = now.refused + now.failed;
	enum weir_colour colour = WEIR_PLAIN;
	_cleanup_buf_ struct weir_buf name = {0};
	char text[16];

	if (row->interval >= ENOUGH) {
		double off = fabs(interval / row->interval - share);

		colour = off <= TOLERANCE ? WEIR_GREEN : WEIR_YELLOW;
	}
	weir_print_ref(&name, v->plan, ref);
	weir_show_share(share, text);
	weir_table_str(t, WEIR_PLAIN, weir_buf_str(&name));
	weir_table_cell(t, WEIR_PLAIN, "%" PRIu64, ref->weight);
	weir_table_cell(t, WEIR_PLAIN, "%s", text);
	put_share(t, colour, interval, row->interval);
	put_share(t, WEIR_PLAIN, weir_sample_picked(&now), row->picked);
	weir_table_cell(t, WEIR_PLAIN, "%.1f", interval / seconds(v));
	weir_table_cell(t, WEIR_PLAIN, "%.0f", weir_sample_picked(&now));
	weir_table_cell(t, WEIR_PLAIN, "%.0f", now.in_flight);
	weir_table_cell(t, errors > 0 ? WEIR_RED : WEIR_PLAIN, "%.0f", errors);
}

/* A rule that answers by itself, a redirect: its requests. */
static void put_own_cells(const struct weir_topview *v, const struct row *row,
			  struct weir_table_out *t)
{
	struct weir_sample_rule now = weir_sample_rule(v->now, row->rule->stat);
	struct weir_sample_rule before = weir_sample_rule(v->before,
							  row->rule->stat);

	weir_table_str(t, WEIR_DIM, WEIR_STR("(no backend)"));
	for (int i = 0; i < 4; i++) {
		weir_table_str(t, WEIR_DIM, WEIR_STR("-"));
	}
	weir_table_cell(t, WEIR_PLAIN, "%.1f",
			grown(now.requests, before.requests) / seconds(v));
	weir_table_cell(t, WEIR_PLAIN, "%.0f", now.requests);
	weir_table_cell(t, WEIR_PLAIN, "%.0f", now.in_flight);
	weir_table_cell(t, WEIR_PLAIN, "%.0f", now.status[5] + now.status[0]);
}

/* Milliseconds of the requests that ended; below 0: none did. */
static double mean_ms(const struct weir_topview *v)
{
	double n = grown(v->now->proxy.ended, v->before->proxy.ended);

	return n > 0 ? grown(v->now->proxy.duration_us,
			     v->before->proxy.duration_us) /
			       n / 1000
		     : -1;
}

static void put_proxy(const struct weir_topview *v, struct weir_buf *out)
{
	const struct weir_sample_proxy *p = &v->now->proxy;
	double ms = mean_ms(v);

	weir_buf_printf(out, "proxy: %.1f requests/s",
			grown(p->requests, v->before->proxy.requests) /
				seconds(v));
	if (ms >= 0) {
		weir_buf_printf(out, " of %.*f ms", ms < 10 ? 2 : 0, ms);
	}
	weir_buf_printf(out,
			", %.0f in flight; %.0f clients, %.0f refused; %.0f "
			"idle connections to endpoints\n",
			p->in_flight, p->clients, p->refused, p->pool_idle);
}

int weir_topview_text(const struct weir_topview *v, bool has_colour,
		      size_t max_rows, size_t width, struct weir_buf *out)
{
	static const char *const heads[] = {
		"RULE<", "PLANE<",  "BACKEND<", "WEIGHT>", "SHARE>", "NOW>",
		"EVER>", "RATE/S>", "TOTAL>",   "OPEN>",   "ERRORS>"};
	_cleanup_free_ struct row *rows = rows_of(v);
	struct weir_table_out t = {0};

	if (!rows) {
		return -ENOMEM;
	}
	put_proxy(v, out);
	weir_table_heads(&t, heads, sizeof(heads) / sizeof(heads[0]));
	for (uint32_t i = 0; i < v->plan->rules.n; i++) {
		if (max_rows && weir_table_rows(&t) >= max_rows) {
			break;
		}
		put_rule_cells(v, &rows[i], &t);
		if (rows[i].rule->refs.n == 0) {
			put_own_cells(v, &rows[i], &t);
			weir_table_end_row(&t);
		}
		for (uint32_t k = 0; k < rows[i].rule->refs.n; k++) {
			if (k > 0) {
				weir_table_str(&t, WEIR_PLAIN, WEIR_STR(""));
				weir_table_str(&t, WEIR_PLAIN, WEIR_STR(""));
			}
			put_ref_cells(v, &rows[i], k, &t);
			weir_table_end_row(&t);
		}
	}
	weir_table_print(&t, has_colour, max_rows, width, out);
	weir_table_fini(&t);
	return out->error;
}

/* -------------------------------------------------------------------- json */

static void put_ratio(struct weir_buf *out, const char *name, double part,
		      double whole)
{
	if (whole > 0) {
		weir_buf_printf(out, ",\"%s\":%.6f", name, part / whole);
	} else {
		weir_buf_printf(out, ",\"%s\":null", name);
	}
}

static void put_json_ref(const struct weir_topview *v, const struct row *row,
			 uint32_t i, struct weir_buf *out)
{
	const struct weir_ref *ref = WEIR_PLAN_ELEM(v->plan, struct weir_ref,
						    row->rule->refs, i);
	struct weir_sample_ref now = weir_sample_ref(v->now, ref->stat);
	double interval = picked_now(v, ref->stat);
	_cleanup_buf_ struct weir_buf name = {0};

	weir_print_ref(&name, v->plan, ref);
	weir_buf_printf(out, "%s{\"backend\":", i ? "," : "");
	weir_buf_add_json(out, weir_buf_str(&name));
	weir_buf_printf(
		out,
		",\"id\":%" PRIu32 ",\"weight\":%" PRIu64 ",\"share\":%.9f",
		ref->stat, ref->weight, weir_plan_share(v->plan, row->rule, i));
	put_ratio(out, "now", interval, row->interval);
	put_ratio(out, "ever", weir_sample_picked(&now), row->picked);
	weir_buf_printf(out,
			",\"rate\":%.3f,\"picked\":%.0f,"
			"\"picked_connect\":%.0f,\"picked_packet\":%.0f,"
			"\"picked_proxy\":%.0f,\"refused\":%.0f,"
			"\"failed\":%.0f,\"in_flight\":%.0f}",
			interval / seconds(v), weir_sample_picked(&now),
			now.connect, now.packet, now.proxy, now.refused,
			now.failed, now.in_flight);
}

static void put_json_rule(const struct weir_topview *v, const struct row *row,
			  struct weir_buf *out)
{
	struct weir_sample_rule now = weir_sample_rule(v->now, row->rule->stat);
	struct weir_sample_rule before = weir_sample_rule(v->before,
							  row->rule->stat);
	_cleanup_buf_ struct weir_buf name = {0};

	weir_print_object(&name, v->plan, row->rule->object);
	weir_buf_addz(out, "{\"object\":");
	weir_buf_add_json(out, weir_buf_str(&name));
	weir_buf_printf(out,
			",\"index\":%" PRIu32 ",\"id\":%" PRIu32
			",\"plane\":\"%s\",\"requests\":%.0f,"
			"\"requests_rate\":%.3f,\"in_flight\":%.0f,"
			"\"status\":[",
			row->rule->index, row->rule->stat,
			weir_plane_text(row->rule->plane), now.requests,
			grown(now.requests, before.requests) / seconds(v),
			now.in_flight);
	for (int i = 0; i < 6; i++) {
		weir_buf_printf(out, "%s%.0f", i ? "," : "", now.status[i]);
	}
	weir_buf_addz(out, "],\"refs\":[");
	for (uint32_t i = 0; i < row->rule->refs.n; i++) {
		put_json_ref(v, row, i, out);
	}
	weir_buf_addz(out, "]}");
}

static void put_json_proxy(const struct weir_topview *v, struct weir_buf *out)
{
	const struct weir_sample_proxy *p = &v->now->proxy;
	double ms = mean_ms(v);

	weir_buf_printf(out,
			"\"proxy\":{\"requests\":%.0f,\"requests_rate\":%.3f,"
			"\"in_flight\":%.0f,\"clients\":%.0f,"
			"\"clients_refused\":%.0f,\"pool_idle\":%.0f,"
			"\"mean_ms\":",
			p->requests,
			grown(p->requests, v->before->proxy.requests) /
				seconds(v),
			p->in_flight, p->clients, p->refused, p->pool_idle);
	if (ms < 0) {
		weir_buf_addz(out, "null}");
	} else {
		weir_buf_printf(out, "%.3f}", ms);
	}
}

int weir_topview_json(const struct weir_topview *v, struct weir_buf *out)
{
	_cleanup_free_ struct row *rows = rows_of(v);

	if (!rows) {
		return -ENOMEM;
	}
	weir_buf_printf(out,
			"{\"now_us\":%" PRIu64 ",\"interval_us\":%.0f,"
			"\"generation\":%" PRIu64 ",",
			v->now->now_us, seconds(v) * 1e6, v->now->generation);
	put_json_proxy(v, out);
	weir_buf_addz(out, ",\"rules\":[");
	for (uint32_t i = 0; i < v->plan->rules.n; i++) {
		weir_buf_addz(out, i ? "," : "");
		put_json_rule(v, &rows[i], out);
	}
	weir_buf_addz(out, "]}\n");
	return out->error;
}
