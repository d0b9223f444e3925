/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection to a TLS frontend until it is an ordinary one: its
 * hello is looked at where it lies in the socket, the server name decides who
 * answers it: weir, or a backend that never knows.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "h2.h"
#include "hello.h"
#include "tls.h"
#include "worker.h"

/* TLS alert, fatal: RFC 6066 3, RFC 8446 6.2. */
#define ALERT_UNRECOGNIZED_NAME 112
#define ALERT_INTERNAL_ERROR 80

static enum weir_step refuse(struct weir_worker *w, struct weir_client *c,
			     enum weir_proxy_reason reason, uint8_t alert)
{
	const char record[] = {21, 3, 3, 0, 2, 2, (char)alert};

	weir_count_reason(&w->counters, reason);
	if (alert && !c->end.layer) {
		(void)send(c->end.fd, record, sizeof(record),
			   MSG_NOSIGNAL | MSG_DONTWAIT);
		/* Unread bytes would turn the close into a reset, which can
		 * take the alert with it. */
		(void)weir_end_shut(&c->end);
		c->phase = WEIR_PHASE_LINGER;
		c->head_ms = w->now_ms;
		return WEIR_STEP_AGAIN;
	}
	weir_client_close(w, c, c->end.layer == NULL);
	return WEIR_STEP_WAIT;
}

/* A name that nobody serves.  Where all listeners are HTTPS the client is told
 * so; where one is for TLSRoutes the connection is reset, as it would be by a
 * port that nobody has (Gateway API: the connection is rejected). */
static enum weir_step refuse_name(struct weir_worker *w, struct weir_client *c,
				  const struct weir_frontend *f)
{
	const struct weir_plan *plan = w->plan->ref->view.rules;

	for (uint32_t i = 0; f && i < f->listeners.n; i++) {
		const struct weir_listener *l = WEIR_PLAN_ELEM(
			plan, struct weir_listener, f->listeners, i);

		if (l->flags &
		    (WEIR_LISTENER_RAW | WEIR_LISTENER_TLS_PASSTHROUGH)) {
			return refuse(w, c, WEIR_PROXY_TLS_NAME, 0);
		}
	}
	return refuse(w, c, WEIR_PROXY_TLS_NAME, ALERT_UNRECOGNIZED_NAME);
}

static enum weir_step hello_is(struct weir_worker *w, struct weir_client *c,
			       struct weir_str name)
{
	const struct weir_plan_ref *ref = w->plan->ref;
	const struct weir_plan *plan = ref->view.rules;
	const struct weir_frontend *f = weir_plan_ref_frontend(
		ref, &c->local, c->local_port_be, IPPROTO_TCP);
	struct weir_decision d;

	/* The plan may have changed since it was accepted. */
	if (!f || f->mode != WEIR_MODE_TLS) {
		return refuse_name(w, c, f);
	}
	weir_decide_sni(plan, f, name, &d);
	if (!d.listener || (d.listener->flags & WEIR_LISTENER_RAW && !d.rule)) {
		return refuse_name(w, c, f);
	}
	if (d.listener->flags & WEIR_LISTENER_TLS_PASSTHROUGH) {
		return weir_tunnel_begin(w, c, f, d.rule);
	}
	if (weir_tls_accept(c, ref->certs, plan, d.listener, name) < 0) {
		return refuse(w, c, WEIR_PROXY_TLS_CERTIFICATE,
			      ALERT_INTERNAL_ERROR);
	}
	c->phase = WEIR_PHASE_TLS;
	c->tls_listener = weir_client_listener_id(plan, d.listener);
	return WEIR_STEP_AGAIN;
}

enum weir_step weir_hello_step(struct weir_worker *w, struct weir_client *c)
{
	struct weir_block *b;
	char name[WEIR_HELLO_NAME_MAX];
	struct weir_str found;
	ssize_t n;
	int error;
	int r;

	if (!c->end.is_readable) {
		return WEIR_STEP_WAIT;
	}
	b = weir_worker_block(w);
	if (!b) {
		return refuse(w, c, WEIR_PROXY_OVERLOAD, ALERT_INTERNAL_ERROR);
	}
	n = recv(c->end.fd, b->data, w->blocks.size, MSG_PEEK | MSG_DONTWAIT);
	error = errno; /* of use where n < 0 alone */
	r = n > 0 ? weir_hello_parse((const uint8_t *)b->data, (size_t)n, name,
				     &found)
		  : 0;
	weir_block_put(&w->blocks, &b);
	if (n == 0 || (n < 0 && error != EAGAIN)) {
		weir_client_close(w, c, false);
		return WEIR_STEP_WAIT;
	}
	if (n > 0 && r == 0) {
		return hello_is(w, c, found);
	}
	if (n > 0 && (r == -EBADMSG || c->end.is_hup ||
		      (size_t)n >= w->blocks.size || n > WEIR_HELLO_MAX)) {
		return refuse(w, c, WEIR_PROXY_TLS_HANDSHAKE, 0);
	}
	/* What is there stays there: more of it is a new edge. */
	c->end.is_readable = false;
	return WEIR_STEP_WAIT;
}

/* The listener is asked for again: the plan may be another one. */
static enum weir_step begin_raw(struct weir_worker *w, struct weir_client *c)
{
	const struct weir_plan_ref *ref = w->plan->ref;
	const struct weir_frontend *f = weir_plan_ref_frontend(
		ref, &c->local, c->local_port_be, IPPROTO_TCP);
	const char *name = weir_tls_name(&c->end);
	char lower[WEIR_HELLO_NAME_MAX + 1];
	struct weir_decision d = {0};

	if (f && f->mode == WEIR_MODE_TLS) {
		weir_decide_sni(ref->view.rules, f,
				weir_authority_host(
					weir_str_of(name ? name : ""), lower),
				&d);
	}
	if (d.listener) {
		c->backend_cert = d.listener->backend_cert;
	}
	/* Its certificate was shown, and the client's asked for, as that one
	 * wants: a second hello (RFC 8446 4.1.2) chooses no other. */
	if (!d.rule || !d.listener ||
	    !(d.listener->flags & WEIR_LISTENER_TLS_TERMINATE) ||
	    weir_client_listener_id(ref->view.rules, d.listener) !=
		    c->tls_listener) {
		return refuse(w, c, WEIR_PROXY_TLS_NAME, 0);
	}
	return weir_tunnel_begin(w, c, f, d.rule);
}

enum weir_step weir_handshake_step(struct weir_worker *w, struct weir_client *c)
{
	int r = weir_tls_handshake(&c->end);

	if (r == -EAGAIN) {
		return WEIR_STEP_WAIT;
	}
	if (r < 0) {
		return refuse(w, c, WEIR_PROXY_TLS_HANDSHAKE, 0);
	}
	c->is_https = true;
	c->last_ms = w->now_ms;
	c->head_ms = w->now_ms;
	if (weir_tls_is_raw(&c->end)) {
		return begin_raw(w, c);
	}
	if (weir_tls_is_h2(&c->end)) {
		return weir_h2_accept(w, c);
	}
	c->phase = WEIR_PHASE_HEAD;
	return WEIR_STEP_AGAIN;
}
