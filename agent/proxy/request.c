/* SPDX-License-Identifier: Apache-2.0 */
/* A request head is complete: decide, and begin what follows from it. */
#include <errno.h>
#include <netinet/in.h>

#include "worker.h"

#include "access.h"
#include "activate.h"
#include "rewrite.h"

uint32_t weir_request_reason(enum weir_http1_error e)
{
	switch (weir_http1_error_status(e)) {
	case 414:
		return WEIR_PROXY_URI_TOO_LONG;
	case 431:
		return WEIR_PROXY_HEAD_TOO_LARGE;
	case 501:
	case 405:
		return WEIR_PROXY_NOT_IMPLEMENTED;
	case 505:
		return WEIR_PROXY_VERSION;
	default:
		return WEIR_PROXY_BAD_REQUEST;
	}
}

static enum weir_step redirect(struct weir_worker *w, struct weir_client *c,
			       const struct weir_rewrite *rw,
			       const struct weir_filter *filter,
			       const struct weir_http1_head *h, size_t size)
{
	/* Built in the head block, from where the answer copies it. */
	struct weir_out o = {.p = c->head->data,
			     .end = c->head->data + w->blocks.size};

	WEIR_OUT_LIT(&o, "Location: ");
	weir_rewrite_location(rw, filter, h, &o);
	WEIR_OUT_LIT(&o, "\r\n");
	c->in->start += (uint32_t)size;
	if (o.is_full) {
		return weir_answer(w, c, 431, WEIR_PROXY_HEAD_TOO_LARGE,
				   "Location would be too long");
	}
	return weir_answer_redirect(
		w, c, filter->status ? filter->status : 302,
		(struct weir_str){c->head->data,
				  (size_t)(o.p - c->head->data)});
}

/* Upgrade is passed on for a request without a body; h2c never is, because
 * what would follow is not HTTP/1.1 that could be checked. */
static bool may_upgrade(const struct weir_http1_head *h)
{
	struct weir_str list = h->upgrade;
	struct weir_str e;

	if (!(h->flags & WEIR_HEAD_UPGRADE) || h->minor == 0 ||
	    h->framing != WEIR_FRAMING_NONE) {
		return false;
	}
	while (weir_http1_list_next(&list, &e)) {
		if (weir_str_eq_nocase(e, WEIR_STR("h2c"))) {
			return false;
		}
	}
	return true;
}

/* gRPC servers may insist on it; HTTP/1.1 has it for one hop only. */
static bool takes_trailers(const struct weir_http1_head *h)
{
	for (uint32_t i = 0; i < h->n_fields; i++) {
		if (h->ids[i] == WEIR_FIELD_HOP &&
		    weir_str_eq_nocase(h->fields[i].name, WEIR_STR("te"))) {
			return weir_str_eq_nocase(h->fields[i].value,
						  WEIR_STR("trailers"));
		}
	}
	return false;
}

static void set_deadlines(const struct weir_worker *w, struct weir_client *c)
{
	const struct weir_rule *rule = c->rule;

	c->request_at = rule->request_timeout_ms
				? w->now_ms + rule->request_timeout_ms
				: 0;
	c->backend_at = rule->backend_timeout_ms
				? w->now_ms + rule->backend_timeout_ms
				: 0;
}

static enum weir_step forward(struct weir_worker *w, struct weir_client *c,
			      struct weir_rewrite *rw,
			      const struct weir_http1_head *h, size_t size)
{
	struct weir_out o = {.p = c->head->data,
			     .end = c->head->data + w->blocks.size};
	struct weir_proxy_refstat *stat;

	/* An HTTP/2 backend has streams instead. */
	rw->keeps_upgrade = c->ref->proto == WEIR_BACKEND_HTTP1 &&
			    may_upgrade(h);
	rw->wants_trailers = c->ref->proto == WEIR_BACKEND_H2C &&
			     takes_trailers(h);
	if (!rw->keeps_upgrade) {
		c->request_flags &= ~WEIR_HEAD_UPGRADE;
	}
	weir_activate_begin(w, c, h);
	rw->is_reported = c->rev != NULL;
	weir_rewrite_request(rw, h, &o);
	/* By now it is in the cache. */
	stat = weir_refstat_of(&w->counters, c->ref_stat);
	weir_count(&stat->in_flight, 1);
	weir_count(&stat->picked, 1);
	c->in->start += (uint32_t)size;
	if (o.is_full) {
		return weir_answer(w, c, 431, WEIR_PROXY_HEAD_TOO_LARGE,
				   "request head too large");
	}
	c->head->end = (uint32_t)(o.p - c->head->data);
	c->phase = WEIR_PHASE_EXCHANGE;
	set_deadlines(w, c);
	return weir_exchange_connect(w, c);
}

/* What is read and counted of a rule lies in five places, which are all out of
 * the cache when there are many rules: fetched at once instead of one after the
 * other. */
static inline __attribute__((always_inline)) void
fetch_rule(const struct weir_worker *w, const struct weir_plan *plan,
	   const struct weir_rule *rule, const struct weir_proxy_rulestat *stat)
{
	const char *refs = weir_plan_at(plan, rule->refs);

	__builtin_prefetch(stat, 1);
	__builtin_prefetch(weir_worker_rule_counter(w, rule), 1);
	__builtin_prefetch(weir_plan_at(plan, rule->slots));
	__builtin_prefetch(refs);
	__builtin_prefetch(refs + sizeof(struct weir_ref) - 1);
}

static enum weir_step chosen(struct weir_worker *w, struct weir_client *c,
			     struct weir_rewrite *rw,
			     const struct weir_http1_head *h, size_t size)
{
	const struct weir_plan *plan = rw->plan;
	const struct weir_ref *ref;
	struct weir_proxy_refstat *stat;

	ref = weir_choose_ref(plan, c->rule,
			      weir_worker_rule_x(w, c->rule, &c->peer));
	if (!ref) {
		c->in->start += (uint32_t)size;
		return weir_answer(w, c, 500, WEIR_PROXY_INVALID_BACKEND,
				   "the rule has no backend with a weight");
	}
	c->ref = ref;
	c->ref_stat = ref->stat;
	c->has_filters = c->rule->filters.n || ref->filters.n;
	rw->ref = ref;
	stat = weir_refstat_of(&w->counters, ref->stat);
	__builtin_prefetch(stat, 1);
	if (ref->state == WEIR_REF_OK && ref->proto != WEIR_BACKEND_RAW &&
	    !weir_rewrite_filter(rw, WEIR_FILTER_UNSUPPORTED)) {
		return forward(w, c, rw, h, size);
	}
	weir_count(&stat->in_flight, 1);
	weir_count(&stat->refused, 1);
	c->in->start += (uint32_t)size;
	if (ref->state == WEIR_REF_UNREADY) {
		return weir_answer(w, c, 503, WEIR_PROXY_NO_ENDPOINT,
				   "the chosen backend is not ready");
	}
	return weir_answer(w, c, 500, WEIR_PROXY_INVALID_BACKEND,
			   ref->state == WEIR_REF_INVALID
				   ? "the chosen backend is invalid"
				   : "a filter or protocol is not supported");
}

static enum weir_step route(struct weir_worker *w, struct weir_client *c,
			    const struct weir_http1_head *h, size_t size)
{
	const struct weir_plan *plan = c->plan->ref->view.rules;
	struct weir_request request = {
		.method = h->method,
		.host = weir_authority_host(h->host, w->host),
		.path = h->path,
		.query = h->query,
		.headers = h->fields,
		.n_headers = h->n_fields};
	struct weir_rewrite rw = {.plan = plan,
				  .frontend = c->frontend,
				  .peer = c->peer,
				  .is_https = c->is_https};
	const struct weir_filter *filter;
	struct weir_decision d;
	struct weir_proxy_rulestat *stat;

	c->is_grpc = c->is_stream && weir_request_is_grpc(&request);
	/* RFC 9110 7.4: what is meant for https is not given away without.
	 * http within TLS is: it is no less safe (RFC 8164). */
	if (h->flags & WEIR_HEAD_HTTPS && !c->is_https) {
		c->in->start += (uint32_t)size;
		return weir_answer(w, c, 421, WEIR_PROXY_MISDIRECTED,
				   "https on a connection without TLS");
	}
	weir_decide(plan, c->plan->ref->regexes, c->frontend, &request, &d);
	if (c->is_https && d.listener) {
		bool is_other = weir_client_listener_id(plan, d.listener) !=
				c->tls_listener;

		/* GEP-3567: what was checked when the connection came must
		 * hold for the request. */
		if (is_other || d.listener->flags & WEIR_LISTENER_RAW) {
			c->in->start += (uint32_t)size;
			return weir_answer(w, c, 421, WEIR_PROXY_MISDIRECTED,
					   "the connection is for another "
					   "host");
		}
	}
	if (!d.rule) {
		c->in->start += (uint32_t)size;
		return weir_answer(w, c, 404, WEIR_PROXY_NO_ROUTE, "no route");
	}
	c->rule = d.rule;
	c->rule_stat = d.rule->stat;
	c->backend_cert = d.listener ? d.listener->backend_cert : 0;
	rw.rule = d.rule;
	stat = weir_rulestat(&w->counters, d.rule->stat);
	fetch_rule(w, plan, d.rule, stat);
	weir_count(&stat->requests, 1);
	weir_count(&stat->in_flight, 1);
	c->head = weir_worker_block(w);
	if (!c->head) {
		c->in->start += (uint32_t)size;
		c->wants_close = true;
		return weir_answer(w, c, 503, WEIR_PROXY_OVERLOAD,
				   "out of buffers");
	}
	/* The rule's own filters may answer before any backend is chosen. */
	if (weir_rewrite_filter(&rw, WEIR_FILTER_UNSUPPORTED)) {
		c->in->start += (uint32_t)size;
		return weir_answer(w, c, 500, WEIR_PROXY_INVALID_BACKEND,
				   "a filter is not supported");
	}
	filter = weir_rewrite_filter(&rw, WEIR_FILTER_REDIRECT);
	if (filter) {
		return redirect(w, c, &rw, filter, h, size);
	}
	return chosen(w, c, &rw, h, size);
}

enum weir_step weir_request_begin(struct weir_worker *w, struct weir_client *c,
				  size_t size)
{
	struct weir_http1_head h = {.fields = w->fields,
				    .ids = w->ids,
				    .max_fields = w->limits->max_headers,
				    .max_target = w->limits->max_target_bytes};
	enum weir_http1_error e;

	e = weir_http1_parse_request(c->in->data + c->in->start, size, &h);
	weir_count(&w->counters.shared->totals.requests, 1);
	c->started_us = w->now_us;
	c->is_in_request = true;
	c->is_answered = false;
	c->is_sent = false;
	c->is_send_broken = false;
	c->has_retried = false;
	c->up_closing = false;
	c->attempts = 0;
	c->hold_at = 0;
	c->hold_us = 0;
	c->head_sent = 0;
	c->ready = 0;
	c->body_sent = 0;
	c->body_kept = 0;
	c->status = 0;
	c->request_flags = h.flags;
	if (e) {
		c->request_flags = weir_http1_asks_head(
					   c->in->data + c->in->start, size)
					   ? WEIR_HEAD_IS_HEAD
					   : 0;
	}
	c->is_http10 = !e && h.minor == 0;
	c->is_grpc = false;
	c->wants_close = e || h.flags & WEIR_HEAD_CLOSE || w->is_draining ||
			 c->is_stream;
	weir_body_init(&c->request_body, h.framing, h.length);
	c->request_body.no_trailers = h.flags & WEIR_HEAD_NO_TRAILERS;
	weir_access_begin(w, c, e ? NULL : &h, size);
	if (e) {
		c->in->start += (uint32_t)size;
		/* Where the next request would begin is unknown. */
		c->request_body.is_done = false;
		c->request_body.framing = WEIR_FRAMING_CLOSE;
		return weir_answer(w, c, weir_http1_error_status(e),
				   weir_request_reason(e),
				   weir_http1_error_text(e));
	}
	if (weir_body_is_too_long(
		    w, c->request_body.framing == WEIR_FRAMING_LENGTH ? h.length
								      : 0)) {
		c->in->start += (uint32_t)size;
		c->wants_close = true;
		return weir_answer(w, c, 413, WEIR_PROXY_BODY_TOO_LARGE,
				   "request body too large");
	}
	if (h.flags & WEIR_HEAD_MAX_FORWARDS && h.max_forwards == 0) {
		/* It ends here (RFC 9110 7.6.2), whoever it is for. */
		c->in->start += (uint32_t)size;
		return weir_answer(w, c, 200, _WEIR_PROXY_REASON_MAX,
				   "Max-Forwards is 0");
	}
	c->plan = weir_plan_use_get(w->plan);
	c->frontend = weir_plan_ref_frontend_for(c->plan->ref, &c->local,
						 c->local_port_be, IPPROTO_TCP,
						 &c->peer);
	if (c->frontend &&
	    c->frontend->mode !=
		    (c->is_https ? WEIR_MODE_TLS : WEIR_MODE_HTTP)) {
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	if (!c->frontend) {
		c->in->start += (uint32_t)size;
		c->wants_close = true;
		return weir_answer(w, c, 404, WEIR_PROXY_NO_ROUTE,
				   "no listener at this address");
	}
	return route(w, c, &h, size);
}
