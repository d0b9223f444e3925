/* SPDX-License-Identifier: Apache-2.0 */
/* Finds who would take a request or a connection, and asks the plan with the
 * code that the proxy runs. */
#include "explain.h"

#include <errno.h>
#include <netinet/in.h>

#include "addr.h"
#include "cleanup.h"
#include "http1.h"
#include "plan_source.h"
#include "print.h"
#include "proxy.h"
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
		       const struct weir_decision *d, int depth)
{
	if (depth < e->depth) {
		return;
	}
	if (depth > e->depth) {
		e->n = 0;
		e->n_more = 0;
	}
	e->depth = depth;
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

/* A client names the host that it asks for in its hello.  Where it is refused
 * for asking for none, that was another name, of any listener with requests. */
static void decide_tls(const struct weir_explanation *e,
		       const struct weir_frontend *f, struct weir_decision *d)
{
	const struct weir_listener *l = weir_plan_at(e->view->rules,
						     f->listeners);

	weir_decide_sni(e->view->rules, f, e->request->host, d);
	if (!e->status || e->request->host.n) {
		return;
	}
	for (uint32_t i = 0; i < f->listeners.n && !d->listener; i++) {
		if (!(l[i].flags & WEIR_LISTENER_RAW)) {
			d->listener = &l[i];
		}
	}
}

static void decide(struct weir_explanation *e, const struct weir_frontend *f)
{
	const struct weir_listener *listener = NULL; /* of its TLS */
	struct weir_decision d = {.frontend = f};
	bool is_refused;
	int depth;

	if (e->request && f->mode == WEIR_MODE_TLS) {
		decide_tls(e, f, &d);
	}
	is_refused = weir_explain_is_refused(e, &d);
	if (e->request && weir_explain_is_http(&d)) {
		listener = d.listener;
		weir_decide(e->view->rules, e->regexes, f, e->request, &d);
	} else if (f->rule != WEIR_NONE) {
		d.rule = WEIR_PLAN_ELEM(e->view->rules, struct weir_rule,
					e->view->rules->rules, f->rule);
	}
	depth = depth_of(&d);
	if (is_refused) {
		/* Its host says which address is meant, and no more. */
		depth = d.vhost ? 3 : depth;
		d = (struct weir_decision){.frontend = f, .listener = listener};
	}
	add_answer(e, &d, depth);
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

/* A request as the proxy would get it, and what its parser says. */
struct request {
	struct weir_request request;
	struct weir_url url;
	bool is_asterisk;     /* OPTIONS * (RFC 9110 9.3.7) */
	struct weir_str line; /* the first line as given; .p NULL: a URL is */
	struct weir_str authority; /* of a line that was parsed */
	struct weir_buf head;      /* request points into it */
	struct weir_header fields[WEIR_CTL_LIST_MAX];
	uint8_t ids[WEIR_CTL_LIST_MAX];
	char host[256]; /* lower case */
	enum weir_http1_error error;
	bool is_last_hop; /* Max-Forwards: 0 */
	bool is_https;    /* the line says so: absolute-form */
};

/* "shop", "shop:81", "[fd00::1]:81": what clients send as the Host. */
static void put_authority(const struct weir_url *url, struct weir_buf *out)
{
	bool is_literal = weir_str_find(url->host, ':') >= 0;

	weir_buf_addz(out, is_literal ? "[" : "");
	weir_buf_add_str(out, url->host);
	weir_buf_addz(out, is_literal ? "]" : "");
	if (url->port != (url->is_https ? 443 : 80)) {
		weir_buf_printf(out, ":%u", url->port);
	}
}

/* The header lines, and the Host of the URL if they have none. */
static int put_headers(const struct weir_ctl *ctl, struct request *r,
		       struct weir_buf *authority)
{
	bool has_host = false;

	for (size_t i = 0; i < ctl->headers.n; i++) {
		struct weir_header h;

		if (weir_url_header(weir_str_of(ctl->headers.v[i]), &h) < 0) {
			weir_ctl_fail("not a header (NAME: VALUE): %s",
				      ctl->headers.v[i]);
			return -EINVAL;
		}
		weir_buf_add_str(&r->head, h.name);
		weir_buf_addz(&r->head, ": ");
		weir_buf_add_str(&r->head, h.value);
		weir_buf_addz(&r->head, "\r\n");
		if (!has_host && weir_str_eq_nocase(h.name, WEIR_STR("host"))) {
			has_host = true;
			authority->n = 0;
			weir_buf_add_str(authority, h.value);
		}
	}
	if (!has_host) {
		weir_buf_addz(&r->head, "Host: ");
		/* A request for no host in particular still has a Host. */
		weir_buf_add_str(&r->head, authority->n
						   ? weir_buf_str(authority)
						   : WEIR_STR("any.invalid"));
		weir_buf_addz(&r->head, "\r\n");
	}
	return 0;
}

static int build_head(const struct weir_ctl *ctl, struct weir_str method,
		      struct request *r)
{
	_cleanup_buf_ struct weir_buf authority = {0};

	weir_buf_add_str(&r->head, method);
	weir_buf_addz(&r->head, " ");
	weir_buf_add_str(&r->head, r->url.path);
	if (r->url.query.p) {
		weir_buf_addz(&r->head, "?");
		weir_buf_add_str(&r->head, r->url.query);
	}
	weir_buf_addz(&r->head, " HTTP/1.1\r\n");
	put_authority(&r->url, &authority);
	if (put_headers(ctl, r, &authority) < 0) {
		return -EINVAL;
	}
	weir_buf_addz(&r->head, "\r\n");
	if (r->head.error || authority.error) {
		weir_ctl_fail("out of memory");
		return -ENOMEM;
	}
	/* Of a request that is refused the host still tells the address. */
	r->request.host = weir_authority_host(weir_buf_str(&authority),
					      r->host);
	return 0;
}

/* With the proxy's parser and its limits. */
static void parse_head(const struct weir_ctl *ctl, struct request *r)
{
	struct weir_proxy_limits limits;
	struct weir_http1_head h = {.fields = r->fields, .ids = r->ids};

	size_t at = 0;
	size_t size = 0;

	weir_source_limits(ctl, &limits);
	h.max_target = limits.max_target_bytes;
	h.max_fields = limits.max_headers < WEIR_CTL_LIST_MAX
			       ? limits.max_headers
			       : WEIR_CTL_LIST_MAX;
	r->error = weir_http1_find_request(r->head.p, r->head.n,
					   limits.max_head_bytes,
					   limits.max_target_bytes, &at, &size);
	if (!r->error) {
		r->error = weir_http1_parse_request(r->head.p, size, &h);
	}
	if (r->error) {
		return;
	}
	if (r->line.p) {
		/* An HTTP/1.0 request may have no Host, and an absolute target
		 * has a better one. */
		r->authority = h.host;
		r->request.method = h.method;
		r->request.host = h.host.p
					  ? weir_authority_host(h.host, r->host)
					  : WEIR_STR("");
	}
	r->is_last_hop = h.flags & WEIR_HEAD_MAX_FORWARDS &&
			 h.max_forwards == 0;
	r->is_https = h.flags & WEIR_HEAD_HTTPS;
	r->request.path = h.path;
	r->request.query = h.query;
	r->request.headers = h.fields;
	r->request.n_headers = h.n_fields;
}

static int parse_url(const char *text, struct request *r)
{
	int error;

	if (strcmp(text, "*") == 0) {
		r->is_asterisk = true;
		r->url = (struct weir_url){.path = WEIR_STR("*"), .port = 80};
		return 0;
	}
	error = weir_url_parse(weir_str_of(text), &r->url);
	if (error < 0) {
		weir_ctl_fail("%s: %s", text,
			      error == -EPROTONOSUPPORT
				      ? "only http and https"
				      : "not a URL; expected "
					"HOST[:PORT][/PATH], also after "
					"http://");
	}
	return error;
}

static bool has_port(struct weir_str authority)
{
	size_t n = authority.n;

	while (n && authority.p[n - 1] >= '0' && authority.p[n - 1] <= '9') {
		n--;
	}
	return n && authority.p[n - 1] == ':';
}

/* The line and the headers as they are, with nothing added. */
static int parse_line(const struct weir_ctl *ctl, struct request *r)
{
	struct weir_str host = WEIR_STR_NULL;

	r->line = weir_str_of(ctl->args.v[0]);
	r->url = (struct weir_url){.port = 80};
	weir_buf_add_str(&r->head, r->line);
	weir_buf_addz(&r->head, "\r\n");
	for (size_t i = 0; i < ctl->headers.n; i++) {
		struct weir_header h;

		weir_buf_addz(&r->head, ctl->headers.v[i]);
		weir_buf_addz(&r->head, "\r\n");
		if (!host.p &&
		    weir_url_header(weir_str_of(ctl->headers.v[i]), &h) == 0 &&
		    weir_str_eq_nocase(h.name, WEIR_STR("host"))) {
			host = h.value;
		}
	}
	weir_buf_addz(&r->head, "\r\n");
	if (r->head.error) {
		weir_ctl_fail("out of memory");
		return -ENOMEM;
	}
	/* If it is refused the Host still tells the address. */
	r->request.host = weir_authority_host(host, r->host);
	parse_head(ctl, r);
	/* Which port is asked, unless --to says it. */
	(void)weir_url_parse(r->authority.p ? r->authority : host, &r->url);
	if (r->is_https && !has_port(r->authority)) {
		r->url.port = 443;
	}
	return 0;
}

static bool has_lower_case(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] >= 'a' && s.p[i] <= 'z') {
			return true;
		}
	}
	return false;
}

static int parse_url_request(const struct weir_ctl *ctl, struct request *r)
{
	bool has_method = ctl->args.n == 2;

	r->request.method = has_method ? weir_str_of(ctl->args.v[0])
				       : WEIR_STR("GET");
	if (has_lower_case(r->request.method)) {
		weir_ctl_fail("%s: methods are in upper case; layers are tcp "
			      "and udp",
			      ctl->args.v[0]);
		return -EINVAL;
	}
	if (parse_url(ctl->args.v[has_method], r) < 0) {
		return -EINVAL;
	}
	r->request.path = r->url.path;
	r->request.query = r->url.query;
	if (build_head(ctl, r->request.method, r) < 0) {
		return -EINVAL;
	}
	parse_head(ctl, r);
	return 0;
}

static int parse_request(const struct weir_ctl *ctl, struct request *r,
			 struct target *t)
{
	bool is_line = ctl->args.n == 1 && strchr(ctl->args.v[0], ' ');
	int error = is_line ? parse_line(ctl, r) : parse_url_request(ctl, r);

	if (error < 0) {
		return error;
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
			       (e->answer[0].frontend->mode == WEIR_MODE_HTTP ||
				e->answer[0].frontend->mode == WEIR_MODE_TLS)));
	/* They point into what ends here. */
	e->view = NULL;
	e->regexes = NULL;
	e->n = 0;
	return weir_ctl_print(&out, is_decided ? WEIR_CTL_OK : WEIR_CTL_NO);
}

static void put_question(const struct request *r, struct weir_buf *out)
{
	if (r->line.p) {
		weir_print_word(out, r->line);
		return;
	}
	weir_buf_add_str(out, r->request.method);
	if (r->is_asterisk) {
		weir_buf_addz(out, " * of ");
	} else {
		weir_buf_printf(out, " http%s://", r->url.is_https ? "s" : "");
	}
	if (r->request.host.n) {
		weir_print_word(out, r->request.host);
	} else {
		weir_buf_addz(out, "any host");
	}
	weir_buf_printf(out, ":%u", r->url.port);
	if (r->is_asterisk) {
		return;
	}
	weir_buf_add_str(out, r->url.path);
	if (r->url.query.p) {
		weir_buf_addz(out, "?");
		weir_buf_add_str(out, r->url.query);
	}
}

static int explain_request(const struct weir_ctl *ctl)
{
	struct weir_explanation e = {0};
	struct target t = {.proto = IPPROTO_TCP,
			   .from = weir_str_of(ctl->from)};
	struct request r = {0};
	int result = WEIR_CTL_FAILED;

	if (parse_request(ctl, &r, &t) == 0) {
		e.request = &r.request;
		if (r.error) {
			e.status = weir_http1_error_status(r.error);
			e.refusal = weir_http1_error_text(r.error);
		} else if (r.is_last_hop) {
			e.status = 200; /* the proxy's own answer */
			e.refusal = "Max-Forwards is 0";
		} else if (r.is_https) {
			e.status = 421;
			e.is_clear_only = true;
			e.refusal = "https on a connection without TLS";
		}
		put_question(&r, &e.question);
		result = answer(ctl, &e, &t);
	}
	weir_buf_fini(&e.question);
	weir_buf_fini(&r.head);
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
