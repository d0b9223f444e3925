/* SPDX-License-Identifier: Apache-2.0 */
/* Finds who would take a request or a connection, and asks the plan with the
 * code that the proxy runs. */
#include "explain.h"

#include <errno.h>
#include <netinet/in.h>

#include "addr.h"
#include "cleanup.h"
#include "print.h"
#include "source.h"
#include "url.h"

/* Which frontends are asked. */
struct target {
	struct weir_ip addr;
	bool has_addr;
	__be16 port_be;
	uint8_t proto;
	struct weir_str from; /* namespace of the client */
};

/* A consumer's frontend hides the one for everybody at its address. */
static bool is_hidden(const struct weir_plan *plan,
		      const struct weir_frontend *f, const struct target *t)
{
	const struct weir_frontend *v = weir_plan_at(plan, plan->frontends);

	if (f->consumer_ns.n) {
		return !weir_str_eq(weir_plan_str(plan, f->consumer_ns),
				    t->from);
	}
	if (t->from.n == 0) {
		return false;
	}
	/* Sorted: those of the same address follow. */
	for (uint32_t i = (uint32_t)(f - v) + 1; i < plan->frontends.n; i++) {
		if (!weir_ip_eq(&v[i].addr, &f->addr) ||
		    v[i].port_be != f->port_be || v[i].proto != f->proto) {
			return false;
		}
		if (weir_str_eq(weir_plan_str(plan, v[i].consumer_ns),
				t->from)) {
			return true;
		}
	}
	return false;
}

static bool is_asked(const struct weir_plan *plan,
		     const struct weir_frontend *f, const struct target *t)
{
	return f->proto == t->proto && f->port_be == t->port_be &&
	       (!t->has_addr || weir_ip_eq(&f->addr, &t->addr)) &&
	       !is_hidden(plan, f, t);
}

/* How far a request gets: the answers of those that get farthest are shown. */
static int depth_of(const struct weir_decision *d)
{
	return d->rule ? 3 : d->vhost ? 2 : d->listener ? 1 : 0;
}

static void add_answer(struct weir_explanation *e,
		       const struct weir_decision *d)
{
	int deepest = e->n ? depth_of(&e->answer[0]) : -1;

	if (depth_of(d) < deepest) {
		return;
	}
	if (depth_of(d) > deepest) {
		e->n = 0;
		e->n_more = 0;
	}
	/* A Gateway with several addresses answers the same on each. */
	for (size_t i = 0; i < e->n; i++) {
		const struct weir_frontend *f = e->answer[i].frontend;

		if (f->object == d->frontend->object &&
		    f->listeners.off == d->frontend->listeners.off &&
		    e->answer[i].rule == d->rule) {
			return;
		}
	}
	if (e->n == WEIR_EXPLAIN_MAX) {
		e->n_more++;
		return;
	}
	e->answer[e->n++] = *d;
}

static void decide(struct weir_explanation *e, const struct weir_frontend *f)
{
	struct weir_decision d = {.frontend = f};

	if (e->request && f->mode == WEIR_MODE_HTTP) {
		weir_decide(e->view->rules, e->regexes, f, e->request, &d);
	} else if (f->rule != WEIR_NONE) {
		d.rule = WEIR_PLAN_ELEM(e->view->rules, struct weir_rule,
					e->view->rules->rules, f->rule);
	}
	add_answer(e, &d);
}

static void ask_all(struct weir_explanation *e, const struct target *t)
{
	const struct weir_plan *plan = e->view->rules;
	const struct weir_frontend *f = weir_plan_at(plan, plan->frontends);

	for (uint32_t i = 0; i < plan->frontends.n; i++) {
		if (is_asked(plan, &f[i], t)) {
			decide(e, &f[i]);
		}
	}
}

/* "10.0.0.1", "10.0.0.1:80", "[fd00::1]:80", "fd00::1". */
static int parse_address(const char *text, struct target *t)
{
	struct weir_str s = weir_str_of(text);

	t->has_addr = true;
	if (weir_addr_parse(s, &t->addr, &t->port_be) == 0) {
		return 0;
	}
	return weir_ip_parse(weir_url_host_name(s), &t->addr) == 0 ||
			       weir_ip_parse(s, &t->addr) == 0
		       ? 0
		       : -EINVAL;
}

/* Headers of the request; the Host is the first. */
struct request {
	struct weir_request request;
	struct weir_header headers[WEIR_CTL_LIST_MAX + 1];
	char host[512]; /* lower case */
	struct weir_url url;
};

static int set_host(struct request *r, struct weir_str host)
{
	struct weir_str name = weir_url_host_name(host);

	if (name.n >= sizeof(r->host)) {
		return -ENAMETOOLONG;
	}
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		r->host[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	r->headers[0] = (struct weir_header){WEIR_STR("host"), host};
	r->request.host = (struct weir_str){r->host, name.n};
	return 0;
}

static int set_headers(const struct weir_ctl *ctl, struct request *r)
{
	r->request.n_headers = 1;
	for (size_t i = 0; i < ctl->headers.n; i++) {
		struct weir_header h;

		if (weir_url_header(weir_str_of(ctl->headers.v[i]), &h) < 0) {
			weir_ctl_fail("not a header (NAME: VALUE): %s",
				      ctl->headers.v[i]);
			return -EINVAL;
		}
		if (weir_str_eq_nocase(h.name, WEIR_STR("host"))) {
			if (set_host(r, h.value) < 0) {
				weir_ctl_fail("the host is too long");
				return -EINVAL;
			}
			continue;
		}
		r->headers[r->request.n_headers++] = h;
	}
	return 0;
}

static int parse_request(const struct weir_ctl *ctl, struct request *r,
			 struct target *t)
{
	bool has_method = ctl->args.n == 2;
	const char *url = ctl->args.v[has_method];
	int error = weir_url_parse(weir_str_of(url), &r->url);

	if (error < 0 || set_host(r, r->url.host) < 0) {
		weir_ctl_fail(
			"%s: %s", url,
			error == -EPROTONOSUPPORT
				? "only http and https"
				: "not a URL; expected HOST[:PORT][/PATH], "
				  "also after http://");
		return -EINVAL;
	}
	r->request.method = has_method ? weir_str_of(ctl->args.v[0])
				       : WEIR_STR("GET");
	r->request.path = r->url.path;
	r->request.query = r->url.query;
	r->request.headers = r->headers;
	if (set_headers(ctl, r) < 0) {
		return -EINVAL;
	}
	t->port_be = htons(r->url.port);
	if (ctl->to) {
		if (parse_address(ctl->to, t) < 0) {
			weir_ctl_fail("--to: not an address: %s", ctl->to);
			return -EINVAL;
		}
	} else {
		t->has_addr = weir_ip_parse(r->url.host, &t->addr) == 0;
	}
	return 0;
}

static int answer(const struct weir_ctl *ctl, struct weir_explanation *e,
		  const struct target *t)
{
	_cleanup_(weir_regexes_free) struct weir_regexes *regexes = NULL;
	_cleanup_source_ struct weir_source src = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	bool is_decided;
	int r;

	if (weir_source_open(ctl, &src) < 0) {
		return WEIR_CTL_FAILED;
	}
	r = weir_regexes_new(src.view.rules, &regexes);
	if (r < 0) {
		return weir_ctl_fail("regular expressions: %s", strerror(-r));
	}
	e->view = &src.view;
	e->regexes = regexes;
	ask_all(e, t);
	if (ctl->is_json) {
		weir_explain_json(e, &out);
	} else {
		weir_explain_text(e, ctl->has_colour, &out);
	}
	/* An HTTP address is an answer to the question about a connection. */
	is_decided = e->n && (e->answer[0].rule ||
			      (!e->request &&
			       e->answer[0].frontend->mode == WEIR_MODE_HTTP));
	/* They point into what ends here. */
	e->view = NULL;
	e->regexes = NULL;
	e->n = 0;
	return weir_ctl_print(&out, is_decided ? WEIR_CTL_OK : WEIR_CTL_NO);
}

static int explain_request(const struct weir_ctl *ctl)
{
	struct weir_explanation e = {0};
	struct target t = {.proto = IPPROTO_TCP,
			   .from = weir_str_of(ctl->from)};
	struct request r = {0};
	int result;

	if (parse_request(ctl, &r, &t) < 0) {
		return WEIR_CTL_FAILED;
	}
	e.request = &r.request;
	weir_buf_add_str(&e.question, r.request.method);
	weir_buf_printf(&e.question, " http%s://", r.url.is_https ? "s" : "");
	weir_print_word(&e.question, r.request.host);
	weir_buf_printf(&e.question, ":%u", r.url.port);
	weir_buf_add_str(&e.question, r.url.path);
	if (r.url.query.p) {
		weir_buf_addz(&e.question, "?");
		weir_buf_add_str(&e.question, r.url.query);
	}
	result = answer(ctl, &e, &t);
	weir_buf_fini(&e.question);
	return result;
}

static int explain_connection(const struct weir_ctl *ctl, uint8_t proto)
{
	struct weir_explanation e = {0};
	struct target t = {.proto = proto,
			   .has_addr = true,
			   .from = weir_str_of(ctl->from)};
	int result;

	if (weir_addr_parse(weir_str_of(ctl->args.v[1]), &t.addr, &t.port_be) <
	    0) {
		return weir_ctl_fail("not ADDRESS:PORT: %s", ctl->args.v[1]);
	}
	weir_buf_printf(&e.question, "%s %s", ctl->args.v[0], ctl->args.v[1]);
	result = answer(ctl, &e, &t);
	weir_buf_fini(&e.question);
	return result;
}

int weir_ctl_explain(struct weir_ctl *ctl)
{
	if (ctl->args.n == 2 && strcmp(ctl->args.v[0], "tcp") == 0) {
		return explain_connection(ctl, IPPROTO_TCP);
	}
	if (ctl->args.n == 2 && strcmp(ctl->args.v[0], "udp") == 0) {
		return explain_connection(ctl, IPPROTO_UDP);
	}
	return explain_request(ctl);
}
