/* SPDX-License-Identifier: Apache-2.0 */
/* Small plans for tests, written down as tables. */
#ifndef WEIR_TESTS_PLAN_SITE_H
#define WEIR_TESTS_PLAN_SITE_H

#include <arpa/inet.h>

#include "addr.h"
#include "cleanup.h"
#include "index.h"
#include "lookup.h"
#include "tap.h"
#include "writer.h"

struct cond {
	const char *name;
	const char *value;
	bool is_regex;
};

struct match {
	enum weir_path_type type;
	const char *path;
	const char *method;
	struct cond header[3];
	struct cond query[3];
};

#define HOSTS_MAX 12
#define TABLES_MAX 3
#define MATCHES_MAX 40

/* One listener with vhosts; every match has a rule of its own, numbered in
 * order over everything. */
struct host {
	const char *name;
	size_t n_grpc; /* the first of its tables are of GRPCRoutes */
	size_t n_tables;
	struct {
		size_t n;
		struct match v[MATCHES_MAX];
	} table[TABLES_MAX];
};

struct site {
	uint32_t flags;
	size_t n_hosts;
	struct host host[HOSTS_MAX];
};

struct built {
	struct weir_plan *rules;
	struct weir_eps *eps;
	struct weir_regexes *regexes;
	struct weir_plan_view view;
};

static inline struct weir_span put_conds(struct weir_writer *w,
					 const struct cond *c,
					 struct weir_span *regexes,
					 uint32_t *n_regex)
{
	struct weir_cond out[3] = {0};
	size_t n = 0;

	for (; n < 3 && c[n].name; n++) {
		out[n].name = weir_writer_text(w, weir_str_of(c[n].name));
		out[n].value = weir_writer_text(w, weir_str_of(c[n].value));
		out[n].type = c[n].is_regex;
		out[n].regex = WEIR_NONE;
		if (c[n].is_regex) {
			out[n].regex = *n_regex;
			regexes[(*n_regex)++] = out[n].value;
		}
	}
	return weir_writer_add(w, out, n, sizeof(out[0]));
}

static inline struct weir_plan *header(struct weir_writer *w)
{
	return weir_writer_at(w, (struct weir_span){0});
}

static inline struct weir_table
put_table(struct weir_writer *w, const struct match *v, size_t n,
	  uint32_t *rule, struct weir_span *regexes, uint32_t *n_regex)
{
	struct weir_match out[MATCHES_MAX] = {0};
	struct weir_table t = {0};

	for (size_t i = 0; i < n; i++) {
		out[i].path = weir_writer_text(w, weir_str_of(v[i].path));
		out[i].method = weir_writer_text(w, weir_str_of(v[i].method));
		out[i].headers = put_conds(w, v[i].header, regexes, n_regex);
		out[i].query = put_conds(w, v[i].query, regexes, n_regex);
		out[i].path_type = v[i].type;
		out[i].regex = WEIR_NONE;
		if (v[i].type == WEIR_PATH_REGEX) {
			out[i].regex = *n_regex;
			regexes[(*n_regex)++] = out[i].path;
		}
		out[i].rule = (*rule)++;
		out[i].next = WEIR_NONE;
	}
	t.matches = weir_writer_add(w, out, n, sizeof(out[0]));
	weir_index_table(w, &t);
	return t;
}

static inline void put_rules(struct weir_writer *w, uint32_t n)
{
	struct weir_rule *r;
	struct weir_span span = weir_writer_reserve(w, n, sizeof(*r));

	r = weir_writer_at(w, span);
	for (uint32_t i = 0; i < n; i++) {
		r[i].key = i + 1;
		r[i].index = i;
	}
	header(w)->rules = span;
}

static inline void put_frontends(struct weir_writer *w, struct weir_listener l)
{
	struct weir_frontend f[2] = {{.port_be = htons(80),
				      .proto = IPPROTO_TCP,
				      .mode = WEIR_MODE_HTTP,
				      .reason = WEIR_REASON_PER_REQUEST,
				      .rule = WEIR_NONE,
				      .proxy_index = 2},
				     {.port_be = htons(80),
				      .proto = IPPROTO_TCP,
				      .mode = WEIR_MODE_HTTP,
				      .reason = WEIR_REASON_PER_REQUEST,
				      .rule = WEIR_NONE,
				      .proxy_index = 4}};
	static const uint32_t proxied[4] = {WEIR_NONE, 0, WEIR_NONE, 1};
	struct weir_span span;

	weir_ip_parse(WEIR_STR("10.0.0.1"), &f[0].addr);
	f[1].addr = f[0].addr;
	f[0].listeners = weir_writer_add(w, &l, 1, sizeof(l));
	f[0].host_index = weir_index_listeners(w, f[0].listeners);
	f[1].listeners = f[0].listeners;
	f[1].host_index = f[0].host_index;
	f[1].consumer_ns = weir_writer_text(w, WEIR_STR("team-a"));
	span = weir_writer_add(w, f, 2, sizeof(f[0]));
	header(w)->frontends = span;
	/* As if the prefix had four places: a bit that flips in a plan should
	 * seldom be in a table of nothing. */
	span = weir_writer_add(w, proxied, 4, sizeof(proxied[0]));
	header(w)->proxied = span;
}

static inline void build(const struct site *site, struct built *b)
{
	struct weir_pobject object = {0};
	struct weir_span regexes[512];
	struct weir_vhost vhost[HOSTS_MAX] = {0};
	struct weir_listener l = {.flags = site->flags};
	struct weir_writer w;
	uint32_t n_regex = 0;
	uint32_t rule = 0;
	struct weir_span span;
	size_t rules_size;
	size_t eps_size;
	void *block;

	weir_writer_init(&w, sizeof(struct weir_plan));
	object.kind = weir_writer_text(&w, WEIR_STR("HTTPRoute"));
	span = weir_writer_add(&w, &object, 1, sizeof(object));
	header(&w)->objects = span;
	for (size_t h = 0; h < site->n_hosts; h++) {
		const struct host *from = &site->host[h];
		struct weir_table t[TABLES_MAX] = {0};

		for (size_t i = 0; i < from->n_tables; i++) {
			t[i] = put_table(&w, from->table[i].v, from->table[i].n,
					 &rule, regexes, &n_regex);
		}
		vhost[h].hostname = weir_writer_text(&w,
						     weir_str_of(from->name));
		vhost[h].grpc = weir_writer_add(&w, t, from->n_grpc,
						sizeof(t[0]));
		vhost[h].tables = weir_writer_add(&w, t + from->n_grpc,
						  from->n_tables - from->n_grpc,
						  sizeof(t[0]));
	}
	l.vhosts = weir_writer_add(&w, vhost, site->n_hosts, sizeof(vhost[0]));
	l.host_index = weir_index_vhosts(&w, l.vhosts);
	put_frontends(&w, l);
	put_rules(&w, rule);
	span = weir_writer_add(&w, regexes, n_regex, sizeof(regexes[0]));
	header(&w)->regexes = span;
	must(weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, &rules_size) == 0,
	     "rules block");
	b->rules = block;
	weir_writer_init(&w, sizeof(struct weir_eps));
	must(weir_writer_finish(&w, WEIR_EPS_MAGIC, &block, &eps_size) == 0,
	     "endpoints block");
	b->eps = block;
	b->eps->groups_hash = weir_plan_groups_hash(b->rules);
	must(weir_plan_open(b->rules, rules_size, b->eps, eps_size, &b->view) ==
		     0,
	     "the plan opens");
	must(weir_regexes_new(b->rules, &b->regexes) == 0, "regexes");
}

static inline void built_fini(struct built *b)
{
	weir_free_ptr(&b->rules);
	weir_free_ptr(&b->eps);
	weir_regexes_free(&b->regexes);
}

/* Rule that decides, -1: 404. */
static inline int decide(const struct built *b,
			 const struct weir_request *request)
{
	struct weir_decision d;

	weir_decide(b->rules, b->regexes,
		    WEIR_PLAN_ELEM(b->rules, struct weir_frontend,
				   b->rules->frontends, 0),
		    request, &d);
	return d.rule ? (int)d.rule->index : -1;
}

#define N_OF(v) (sizeof(v) / sizeof((v)[0]))

#endif
