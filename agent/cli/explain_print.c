/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "addr.h"
#include "explain.h"
#include "print.h"
#include "show.h"

#define ENDPOINTS_SHOWN 4
#define HOSTS_SHOWN 8
#define MISSES_SHOWN 20

/* A rule may be at several addresses and be split by connection at some only:
 * at those the address says so. */
static void plane_at(const struct weir_decision *d, uint8_t *ret_plane,
		     uint8_t *ret_reason)
{
	bool is_here = d->frontend->plane == WEIR_PLANE_CONNECTION;

	*ret_plane = is_here ? d->frontend->plane : d->rule->plane;
	*ret_reason = is_here ? d->frontend->reason : d->rule->reason;
}

bool weir_explain_is_refused(const struct weir_explanation *e,
			     const struct weir_decision *d)
{
	if (!e->status || d->frontend->plane == WEIR_PLANE_CONNECTION) {
		return false;
	}
	return weir_explain_is_http(d) &&
	       !(e->is_clear_only && d->frontend->mode == WEIR_MODE_TLS);
}

bool weir_explain_is_http(const struct weir_decision *d)
{
	return d->frontend->mode == WEIR_MODE_HTTP ||
	       (d->frontend->mode == WEIR_MODE_TLS && d->listener &&
		!(d->listener->flags & WEIR_LISTENER_RAW));
}

void weir_explain_no_rule(const struct weir_explanation *e,
			  const struct weir_decision *d, struct weir_buf *out)
{
	if (d->rule) {
		return;
	}
	if (weir_explain_is_refused(e, d)) {
		weir_buf_printf(out, "%u: %s", e->status, e->refusal);
	} else if (d->frontend->mode == WEIR_MODE_REFUSE) {
		weir_buf_addz(out, "refused: nothing serves this address yet");
	} else if (!e->request && d->frontend->mode == WEIR_MODE_TLS) {
		weir_buf_addz(out, "decided by the server name of the TLS "
				   "hello");
	} else if (!e->request) {
		weir_buf_addz(out, "decided for each request, by its host and "
				   "path");
	} else if (d->frontend->mode == WEIR_MODE_TLS && !d->listener) {
		weir_buf_addz(out, "refused: no listener for this server name");
	} else if (!weir_explain_is_http(d)) {
		weir_buf_addz(out, "refused: no TLSRoute for this server name");
	} else if (weir_str_is(e->request->path, "*")) {
		weir_buf_addz(out, "404: the target * is no path");
	} else if (!d->listener) {
		weir_buf_addz(out, "404: no listener for this host");
	} else if (!d->vhost) {
		weir_buf_addz(out, "404: the listener has no route for this "
				   "host");
	} else {
		weir_buf_addz(out, "404: no match of this host applies");
	}
}

static void put_cond(struct weir_buf *out, const struct weir_plan *plan,
		     const char *what, struct weir_span conds, uint32_t i)
{
	const struct weir_cond *c = WEIR_PLAN_ELEM(plan, struct weir_cond,
						   conds, i);

	weir_buf_printf(out, "%s is not ", what);
	weir_print_word(out, weir_plan_str(plan, c->name));
	weir_buf_addz(out, c->type == WEIR_COND_REGEX ? "~" : "=");
	weir_print_word(out, weir_plan_str(plan, c->value));
}

static void put_miss(const struct weir_explanation *e,
		     const struct weir_match *m, struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;
	uint32_t cond = 0;

	switch (weir_match_miss(plan, e->regexes, m, e->request, &cond)) {
	case WEIR_MISS_PATH:
		weir_buf_addz(out, "path");
		break;
	case WEIR_MISS_METHOD:
		weir_buf_addz(out, "method");
		break;
	case WEIR_MISS_HEADER:
		put_cond(out, plan, "header", m->headers, cond);
		break;
	case WEIR_MISS_QUERY:
		put_cond(out, plan, "query", m->query, cond);
		break;
	default:
		weir_buf_addz(out, "applies");
		break;
	}
}

typedef void (*miss_fn)(void *arg, const struct weir_match *match,
			struct weir_str miss);

static void misses_of(const struct weir_explanation *e, struct weir_span tables,
		      bool is_grpc, miss_fn fn, void *arg)
{
	const struct weir_plan *plan = e->view->rules;
	const struct weir_table *t = weir_plan_at(plan, tables);

	for (uint32_t i = 0; i < tables.n; i++) {
		const struct weir_match *m = weir_plan_at(plan, t[i].matches);

		for (uint32_t k = 0; k < t[i].matches.n; k++) {
			_cleanup_buf_ struct weir_buf miss = {0};

			if (is_grpc && !weir_request_is_grpc(e->request)) {
				weir_buf_addz(&miss, "content-type of gRPC");
			} else {
				put_miss(e, &m[k], &miss);
			}
			fn(arg, &m[k], weir_buf_str(&miss));
		}
	}
}

void weir_explain_misses(const struct weir_explanation *e,
			 const struct weir_decision *d,
			 void (*fn)(void *arg, const struct weir_match *match,
				    struct weir_str miss),
			 void *arg)
{
	if (d->rule || !d->vhost || !e->request) {
		return;
	}
	misses_of(e, d->vhost->grpc, true, fn, arg);
	misses_of(e, d->vhost->tables, false, fn, arg);
}

/* -------------------------------------------------------------------- text */

static void put_name(struct weir_buf *out, bool has_colour, const char *name)
{
	weir_buf_addz(out, "  ");
	weir_colour(out, has_colour, WEIR_DIM, name);
	weir_buf_printf(out, "%*s", 10 - (int)strlen(name), "");
}

/* How many requests at once each endpoint gets; 0: any number. */
static uint32_t concurrency_of(const struct weir_plan *plan,
			       const struct weir_ref *ref)
{
	return ref->group == WEIR_NONE
		       ? 0
		       : WEIR_PLAN_ELEM(plan, struct weir_group, plan->groups,
					ref->group)
				 ->concurrency;
}

static void put_endpoints(const struct weir_plan_view *view,
			  const struct weir_ref *ref, struct weir_buf *out)
{
	const struct weir_endpoint *e;
	char text[WEIR_ADDR_TEXT_MAX];
	uint32_t n;

	if (ref->group == WEIR_NONE) {
		return;
	}
	e = weir_eps_of(view->eps, ref->group, &n);
	for (uint32_t i = 0; i < n && i < ENDPOINTS_SHOWN; i++) {
		weir_buf_printf(
			out, "%s%s%s%s", i ? ", " : "",
			weir_addr_format(&e[i].addr, e[i].port_be, text),
			e[i].flags & WEIR_ENDPOINT_LOCAL ? " (local)" : "",
			e[i].flags & WEIR_ENDPOINT_TERMINATING
				? " (terminating)"
				: "");
	}
	if (n > ENDPOINTS_SHOWN) {
		weir_buf_printf(out, ", +%" PRIu32, n - ENDPOINTS_SHOWN);
	}
	n = concurrency_of(view->rules, ref);
	if (n) {
		weir_buf_printf(out, "; %" PRIu32 " request%s at once each", n,
				n == 1 ? "" : "s");
	}
}

static void put_refs(const struct weir_explanation *e, bool has_colour,
		     const struct weir_rule *rule, bool is_http,
		     struct weir_buf *out)
{
	static const char *const heads[] = {"  <",        "WEIGHT>",
					    "SHARE>",     "BACKEND<",
					    "SERVED BY<", "ENDPOINTS<"};
	const struct weir_ref *ref = weir_plan_at(e->view->rules, rule->refs);
	struct weir_table_out t = {0};

	if (rule->refs.n == 0) {
		return;
	}
	weir_table_heads(&t, heads, sizeof(heads) / sizeof(heads[0]));
	for (uint32_t i = 0; i < rule->refs.n; i++) {
		_cleanup_buf_ struct weir_buf name = {0};
		_cleanup_buf_ struct weir_buf fate = {0};
		_cleanup_buf_ struct weir_buf eps = {0};
		enum weir_colour colour;
		char share[16];

		weir_show_share(weir_plan_share(e->view->rules, rule, i),
				share);
		weir_print_ref(&name, e->view->rules, &ref[i]);
		weir_show_fate(e->view, &ref[i], is_http, &fate, &colour);
		put_endpoints(e->view, &ref[i], &eps);
		weir_table_str(&t, WEIR_PLAIN, WEIR_STR(""));
		weir_table_cell(&t, WEIR_PLAIN, "%" PRIu64, ref[i].weight);
		weir_table_cell(&t, WEIR_BOLD, "%s", share);
		weir_table_str(&t, WEIR_PLAIN, weir_buf_str(&name));
		weir_table_str(&t, colour, weir_buf_str(&fate));
		weir_table_str(&t, WEIR_PLAIN, weir_buf_str(&eps));
		weir_table_end_row(&t);
	}
	weir_table_print(&t, has_colour, 0, 0, out);
	weir_table_fini(&t);
}

/* What is done to a request for one backend only. */
static void put_ref_filters(const struct weir_plan *plan, bool has_colour,
			    const struct weir_rule *rule, struct weir_buf *out)
{
	const struct weir_ref *ref = weir_plan_at(plan, rule->refs);

	for (uint32_t i = 0; i < rule->refs.n; i++) {
		for (uint32_t k = 0; k < ref[i].filters.n; k++) {
			put_name(out, has_colour, k ? "" : "for");
			if (k == 0) {
				weir_print_ref(out, plan, &ref[i]);
				weir_buf_addz(out, "\n");
				put_name(out, has_colour, "");
			}
			weir_buf_addz(out, "  ");
			weir_print_filter(out, plan,
					  WEIR_PLAN_ELEM(plan,
							 struct weir_filter,
							 ref[i].filters, k));
			weir_buf_addz(out, "\n");
		}
	}
}

static void put_rule(const struct weir_explanation *e, bool has_colour,
		     const struct weir_decision *d, struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;
	const struct weir_rule *rule = d->rule;
	bool is_http = weir_explain_is_http(d);
	uint8_t plane;
	uint8_t reason;

	plane_at(d, &plane, &reason);
	put_name(out, has_colour, "rule");
	weir_print_object(out, plan, rule->object);
	weir_buf_printf(out, " rule %" PRIu32, rule->index);
	if (rule->name.n) {
		weir_buf_addz(out, " ");
		weir_print_word(out, weir_plan_str(plan, rule->name));
	}
	weir_buf_addz(out, "\n");
	put_name(out, has_colour, "plane");
	weir_buf_printf(out, "%s: %s\n", weir_plane_text(plane),
			weir_reason_text(reason));
	if (plane == WEIR_PLANE_CONNECTION) {
		put_name(out, has_colour, "where");
		weir_buf_addz(out, "sockets on this machine, under the cgroup: "
				   "connect; packets from elsewhere: packet; "
				   "anything else: relayed by the proxy\n");
	}
	if (is_http && plane == WEIR_PLANE_CONNECTION) {
		put_name(out, has_colour, "note");
		weir_buf_addz(out,
			      "an open connection keeps its backend; the "
			      "proxy's checks and headers do not happen\n");
		is_http = false; /* refused, where the proxy would answer */
	}
	for (uint32_t i = 0; i < rule->filters.n; i++) {
		put_name(out, has_colour, "filter");
		weir_print_filter(out, plan,
				  WEIR_PLAN_ELEM(plan, struct weir_filter,
						 rule->filters, i));
		weir_buf_addz(out, "\n");
	}
	if (rule->slots.n == 0 && rule->filters.n == 0) {
		put_name(out, has_colour, "answer");
		weir_buf_addz(out, is_http ? "500: no backend with a weight\n"
					   : "refused: no backend with a "
					     "weight\n");
	}
	put_refs(e, has_colour, rule, is_http, out);
	put_ref_filters(plan, has_colour, rule, out);
}

struct miss_text {
	const struct weir_plan *plan;
	struct weir_table_out table;
	bool is_long; /* those of other paths are left out */
	uint32_t n;
	uint32_t n_shown;
};

static void count_miss(void *arg, const struct weir_match *m,
		       struct weir_str miss)
{
	struct miss_text *t = arg;

	(void)m;
	(void)miss;
	t->n++;
}

static void put_miss_row(void *arg, const struct weir_match *m,
			 struct weir_str miss)
{
	struct miss_text *t = arg;
	const struct weir_rule *rule = WEIR_PLAN_ELEM(t->plan, struct weir_rule,
						      t->plan->rules, m->rule);
	_cleanup_buf_ struct weir_buf match = {0};
	_cleanup_buf_ struct weir_buf name = {0};

	if (t->is_long &&
	    (weir_str_is(miss, "path") || t->n_shown == MISSES_SHOWN)) {
		return;
	}
	t->n_shown++;
	weir_print_match(&match, t->plan, m);
	weir_print_object(&name, t->plan, rule->object);
	weir_buf_printf(&name, " rule %" PRIu32, rule->index);
	weir_table_str(&t->table, WEIR_PLAIN, WEIR_STR(""));
	weir_table_str(&t->table, WEIR_PLAIN, weir_buf_str(&match));
	weir_table_str(&t->table, WEIR_YELLOW, miss);
	weir_table_str(&t->table, WEIR_PLAIN, weir_buf_str(&name));
	weir_table_end_row(&t->table);
}

/* Hostnames that would have been served, as a hint. */
static void put_hosts(const struct weir_explanation *e, bool has_colour,
		      const struct weir_decision *d, struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;
	const struct weir_listener *l = weir_plan_at(plan,
						     d->frontend->listeners);
	uint32_t n = 0;

	put_name(out, has_colour, "hosts");
	for (uint32_t i = 0; i < d->frontend->listeners.n; i++) {
		const struct weir_vhost *v = weir_plan_at(plan, l[i].vhosts);

		for (uint32_t k = 0; k < l[i].vhosts.n; k++, n++) {
			if (n >= HOSTS_SHOWN) {
				continue;
			}
			weir_buf_addz(out, n ? " " : "");
			weir_print_word(
				out,
				v[k].hostname.n
					? weir_plan_str(plan, v[k].hostname)
					: WEIR_STR("*"));
		}
	}
	if (n > HOSTS_SHOWN) {
		weir_buf_printf(out, " and %" PRIu32 " more", n - HOSTS_SHOWN);
	}
	weir_buf_addz(out, n ? "\n" : "none\n");
}

static void put_none(const struct weir_explanation *e, bool has_colour,
		     const struct weir_decision *d, struct weir_buf *out)
{
	static const char *const heads[] = {"  <", "TRIED IN ORDER<", "LACKS<",
					    "RULE<"};
	struct miss_text t = {.plan = e->view->rules};
	_cleanup_buf_ struct weir_buf why = {0};

	weir_explain_no_rule(e, d, &why);
	weir_buf_add(&why, "", 1);
	put_name(out, has_colour, "answer");
	weir_colour(out, has_colour, WEIR_RED, why.p ? why.p : "");
	weir_buf_addz(out, "\n");
	if (d->vhost) {
		weir_table_heads(&t.table, heads,
				 sizeof(heads) / sizeof(heads[0]));
		weir_explain_misses(e, d, count_miss, &t);
		t.is_long = t.n > MISSES_SHOWN;
		weir_explain_misses(e, d, put_miss_row, &t);
		if (t.n_shown) {
			weir_table_print(&t.table, has_colour, 0, 0, out);
		}
		if (t.n > t.n_shown) {
			weir_buf_printf(
				out,
				"    %s%" PRIu32 " matches%s (-o json "
				"lists them)\n",
				t.n_shown ? "and " : "", t.n - t.n_shown,
				t.n_shown == MISSES_SHOWN ? " more"
							  : " of other paths");
		}
		weir_table_fini(&t.table);
	} else if (d->frontend->listeners.n && !weir_explain_is_refused(e, d)) {
		put_hosts(e, has_colour, d, out);
	}
}

static void put_answer(const struct weir_explanation *e, bool has_colour,
		       const struct weir_decision *d, struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;

	put_name(out, has_colour, "address");
	weir_print_frontend(out, d->frontend);
	weir_buf_addz(out, " of ");
	weir_print_object(out, plan, d->frontend->object);
	weir_buf_printf(out, " (%s%s)\n", weir_origin_text(d->frontend->origin),
			d->frontend->is_local ? ", local" : "");
	if (d->listener) {
		put_name(out, has_colour, "listener");
		weir_print_word(out, weir_plan_str(plan, d->listener->name));
		weir_buf_addz(out, "\n");
	}
	if (d->vhost) {
		put_name(out, has_colour, "host");
		weir_print_word(
			out, d->vhost->hostname.n
				     ? weir_plan_str(plan, d->vhost->hostname)
				     : WEIR_STR("*"));
		weir_buf_addz(out, "\n");
	}
	if (d->match) {
		put_name(out, has_colour, "match");
		weir_print_match(out, plan, d->match);
		weir_buf_addz(out, "\n");
	}
	if (d->rule) {
		put_rule(e, has_colour, d, out);
	} else {
		put_none(e, has_colour, d, out);
	}
}

void weir_explain_text(const struct weir_explanation *e, bool has_colour,
		       struct weir_buf *out)
{
	weir_buf_add_str(out, weir_buf_str(&e->question));
	weir_buf_addz(out, "\n");
	if (e->n == 0) {
		put_name(out, has_colour, "answer");
		weir_buf_addz(out, "weir does not take this address: traffic "
				   "passes untouched\n");
	}
	for (size_t i = 0; i < e->n; i++) {
		weir_buf_addz(out, i ? "\n" : "");
		put_answer(e, has_colour, &e->answer[i], out);
	}
	if (e->n_more) {
		weir_buf_printf(out,
				"\n  and %" PRIu32 " more addresses; choose "
				"one with --to\n",
				e->n_more);
	}
}

/* -------------------------------------------------------------------- json */

static void put_member(struct weir_buf *out, const char *name,
		       struct weir_buf *value)
{
	weir_buf_printf(out, ",\"%s\":", name);
	weir_buf_add_json(out, weir_buf_str(value));
	value->n = 0;
}

static void put_json_refs(const struct weir_explanation *e,
			  const struct weir_rule *rule, bool is_http,
			  struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;
	const struct weir_ref *ref = weir_plan_at(plan, rule->refs);
	_cleanup_buf_ struct weir_buf text = {0};

	for (uint32_t i = 0; i < rule->refs.n; i++) {
		const struct weir_endpoint *v = NULL;
		char addr[WEIR_ADDR_TEXT_MAX];
		enum weir_colour colour;
		uint32_t n = 0;

		weir_buf_printf(out, "%s{\"weight\":%" PRIu64 ",\"share\":%.9f",
				i ? "," : "", ref[i].weight,
				weir_plan_share(plan, rule, i));
		weir_print_ref(&text, plan, &ref[i]);
		put_member(out, "backend", &text);
		weir_show_fate(e->view, &ref[i], is_http, &text, &colour);
		put_member(out, "fate", &text);
		weir_buf_printf(out, ",\"state\":\"%s\",\"endpoints\":[",
				weir_ref_state_text(ref[i].state));
		if (ref[i].group != WEIR_NONE) {
			v = weir_eps_of(e->view->eps, ref[i].group, &n);
		}
		for (uint32_t k = 0; k < n; k++) {
			weir_buf_printf(out, "%s\"%s\"", k ? "," : "",
					weir_addr_format(&v[k].addr,
							 v[k].port_be, addr));
		}
		weir_buf_addz(out, "]");
		n = concurrency_of(plan, &ref[i]);
		if (n) {
			weir_buf_printf(out, ",\"concurrency\":%" PRIu32, n);
		}
		weir_buf_addz(out, "}");
	}
}

struct miss_json {
	const struct weir_plan *plan;
	struct weir_buf *out;
	bool is_more;
};

static void put_miss_json(void *arg, const struct weir_match *m,
			  struct weir_str miss)
{
	struct miss_json *j = arg;
	_cleanup_buf_ struct weir_buf text = {0};

	weir_print_match(&text, j->plan, m);
	weir_buf_printf(j->out, "%s{\"rule\":%" PRIu32, j->is_more ? "," : "",
			m->rule);
	put_member(j->out, "match", &text);
	weir_buf_addz(j->out, ",\"lacks\":");
	weir_buf_add_json(j->out, miss);
	weir_buf_addz(j->out, "}");
	j->is_more = true;
}

static void put_json_rule(const struct weir_explanation *e,
			  const struct weir_decision *d, struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;
	_cleanup_buf_ struct weir_buf text = {0};
	uint8_t plane;
	uint8_t reason;

	plane_at(d, &plane, &reason);
	weir_print_object(&text, plan, d->rule->object);
	put_member(out, "object", &text);
	weir_buf_printf(out,
			",\"rule\":%" PRIu32 ",\"id\":%" PRIu32
			",\"plane\":\"%s\"",
			d->rule->index, d->rule->stat, weir_plane_text(plane));
	weir_buf_addz(&text, weir_reason_text(reason));
	put_member(out, "reason", &text);
	weir_buf_addz(out, ",\"filters\":[");
	for (uint32_t i = 0; i < d->rule->filters.n; i++) {
		weir_print_filter(&text, plan,
				  WEIR_PLAN_ELEM(plan, struct weir_filter,
						 d->rule->filters, i));
		weir_buf_addz(out, i ? "," : "");
		weir_buf_add_json(out, weir_buf_str(&text));
		text.n = 0;
	}
	weir_buf_addz(out, "],\"refs\":[");
	put_json_refs(e, d->rule, weir_explain_is_http(d), out);
	weir_buf_addz(out, "]");
}

static void put_json_answer(const struct weir_explanation *e,
			    const struct weir_decision *d, struct weir_buf *out)
{
	const struct weir_plan *plan = e->view->rules;
	struct miss_json misses = {.plan = plan, .out = out};
	_cleanup_buf_ struct weir_buf text = {0};

	weir_print_frontend(&text, d->frontend);
	weir_buf_addz(out, "{\"address\":");
	weir_buf_add_json(out, weir_buf_str(&text));
	text.n = 0;
	weir_print_object(&text, plan, d->frontend->object);
	put_member(out, "of", &text);
	if (d->listener) {
		weir_buf_add_str(&text, weir_plan_str(plan, d->listener->name));
		put_member(out, "listener", &text);
	}
	if (d->vhost) {
		weir_buf_add_str(&text,
				 weir_plan_str(plan, d->vhost->hostname));
		put_member(out, "host", &text);
	}
	if (d->match) {
		weir_print_match(&text, plan, d->match);
		put_member(out, "match", &text);
	}
	if (d->rule) {
		put_json_rule(e, d, out);
	} else {
		weir_explain_no_rule(e, d, &text);
		put_member(out, "why", &text);
		weir_buf_addz(out, ",\"misses\":[");
		weir_explain_misses(e, d, put_miss_json, &misses);
		weir_buf_addz(out, "]");
	}
	weir_buf_addz(out, "}");
}

void weir_explain_json(const struct weir_explanation *e, struct weir_buf *out)
{
	weir_buf_addz(out, "{\"question\":");
	weir_buf_add_json(out, weir_buf_str(&e->question));
	weir_buf_printf(out, ",\"taken\":%s,\"answers\":[",
			e->n ? "true" : "false");
	for (size_t i = 0; i < e->n; i++) {
		weir_buf_addz(out, i ? "," : "");
		put_json_answer(e, &e->answer[i], out);
	}
	weir_buf_addz(out, "]}\n");
}
