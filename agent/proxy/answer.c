/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of our own: errors and redirects; and how connections end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "access.h"
#include "hold.h"
#include "rewrite.h"
#include "worker.h"

#define ALLOW "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

static const char *reason_phrase(uint16_t status)
{
	static const struct {
		uint16_t status;
		const char *phrase;
	} phrases[] = {
		{200, "OK"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status) {
			return phrases[i].phrase;
		}
	}
	return "";
}

/* Puts the request behind us: its upstream, and the rest of its body if that
 * is here already; otherwise the connection ends after the answer. */
static void drop_request(struct weir_worker *w, struct weir_client *c)
{
	weir_hold_end(w, c);
	if (c->up) {
		weir_upstream_release(w, c, false);
	}
	if (weir_client_scan_body(c) < 0 || !c->request_body.is_done) {
		c->wants_close = true;
		return;
	}
	if (c->in) {
		c->in->start += c->ready;
	}
	c->ready = 0;
}

/* head: after the status line, with its line ends. */
static enum weir_step answer(struct weir_worker *w, struct weir_client *c,
			     uint16_t status, struct weir_str head,
			     struct weir_str body)
{
	struct weir_str connection = WEIR_STR_NULL;
	struct weir_str date = weir_worker_date(w);
	struct weir_out o;
	char line[64];
	int n;

	if (c->is_answered) {
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	drop_request(w, c);
	if (!c->out) {
		c->out = weir_block_get_last(&w->blocks);
	}
	if (!c->out) {
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	if (c->wants_close || w->is_draining) {
		c->wants_close = true;
		connection = WEIR_STR("Connection: close\r\n");
	} else if (c->is_http10) {
		connection = WEIR_STR("Connection: keep-alive\r\n");
	}
	o = (struct weir_out){.p = c->out->data + c->out->end,
			      .end = c->out->data + w->blocks.size};
	n = snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status,
		     reason_phrase(status));
	weir_out_put(&o, line, (size_t)n);
	WEIR_OUT_LIT(&o, "Date: ");
	weir_out_str(&o, date);
	WEIR_OUT_LIT(&o, "\r\n");
	weir_out_str(&o, head);
	weir_out_str(&o, connection);
	WEIR_OUT_LIT(&o, "Content-Length: ");
	weir_out_u64(&o, body.n);
	WEIR_OUT_LIT(&o, "\r\n\r\n");
	if (!(c->request_flags & WEIR_HEAD_IS_HEAD)) {
		weir_out_str(&o, body);
	}
	if (o.is_full) {
		weir_client_close(w, c, true);
		return WEIR_STEP_WAIT;
	}
	c->out->end = (uint32_t)(o.p - c->out->data);
	c->status = status;
	c->phase = WEIR_PHASE_FLUSH;
	/* They were for the backend; a slow reader has its own. */
	c->connect_at = 0;
	c->request_at = 0;
	c->backend_at = 0;
	return WEIR_STEP_AGAIN;
}

/* The code that a client of gRPC would make of an HTTP status, were it told
 * one (grpc/doc/http-grpc-status-mapping.md); but no share that works is
 * UNAVAILABLE whatever the reason (GRPCRoute, backendRefs). */
static uint32_t grpc_code(uint16_t status)
{
	switch (status) {
	case 404:
		return 12; /* UNIMPLEMENTED */
	case 408:
	case 500:
	case 502:
	case 503:
	case 504:
		return 14; /* UNAVAILABLE */
	default:
		return 13; /* INTERNAL */
	}
}

/* "Trailers-only": a head with the status, and nothing behind it. */
static enum weir_step answer_grpc(struct weir_worker *w, struct weir_client *c,
				  uint16_t status, struct weir_str message)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "Content-Type: application/grpc\r\n"
			 "Grpc-Status: %u\r\nGrpc-Message: %.*s\r\n",
			 grpc_code(status), WEIR_STR_ARG(message));
	enum weir_step s = answer(w, c, 200, (struct weir_str){head, (size_t)n},
				  WEIR_STR_NULL);

	c->status = status; /* for who counts errors */
	return s;
}

enum weir_step weir_answer(struct weir_worker *w, struct weir_client *c,
			   uint16_t status, uint32_t reason, const char *text)
{
	struct weir_str head = WEIR_STR("Content-Type: text/plain\r\n");
	char body[128];
	int n = snprintf(body, sizeof(body), "%u %s\n", status, text);

	if (reason < _WEIR_PROXY_REASON_MAX) {
		weir_count_reason(&w->counters, reason);
	}
	weir_access_reason(c, reason, text);
	if (c->is_grpc) {
		return answer_grpc(w, c, status,
				   (struct weir_str){body, (size_t)n - 1});
	}
	if (status == 405 || status == 200) {
		head = WEIR_STR("Content-Type: text/plain\r\n" ALLOW);
	}
	return answer(w, c, status, head, (struct weir_str){body, (size_t)n});
}

enum weir_step weir_answer_redirect(struct weir_worker *w,
				    struct weir_client *c, uint16_t status,
				    struct weir_str location)
{
	/* location lies in a block of the worker with room before it. */
	return answer(w, c, status, location, WEIR_STR_NULL);
}

enum weir_step weir_flush_step(struct weir_worker *w, struct weir_client *c)
{
	while (weir_block_len(c->out)) {
		struct iovec iov = {.iov_base = c->out->data + c->out->start,
				    .iov_len = weir_block_len(c->out)};
		ssize_t n;

		if (!c->end.is_writable) {
			return WEIR_STEP_WAIT;
		}
		/* The end, if it follows, goes along in one segment. */
		n = weir_end_send(&c->end, &iov, 1,
				  c->wants_close ? MSG_MORE : 0);
		if (n == -EAGAIN) {
			return WEIR_STEP_WAIT;
		}
		if (n < 0) {
			weir_access_count(w, c, WEIR_PROXY_CLIENT_GONE,
					  "the client takes no more");
			weir_client_close(w, c, false);
			return WEIR_STEP_WAIT;
		}
		c->out->start += (uint32_t)n;
	}
	/* What was to be sent later, when it ends between two requests. */
	if (weir_end_settle(&c->end) == -EAGAIN) {
		return WEIR_STEP_WAIT;
	}
	return weir_client_done(w, c);
}

enum weir_step weir_linger_step(struct weir_worker *w, struct weir_client *c)
{
	char waste[4096];

	while (c->end.is_readable) {
		ssize_t n = weir_end_recv(&c->end, waste, sizeof(waste));

		if (n == -EAGAIN) {
			break;
		}
		if (n <= 0) {
			weir_client_close(w, c, false);
			return WEIR_STEP_WAIT;
		}
		/* A client that goes on sending has had its answer. */
		c->body_sent += (uint64_t)n;
		if (c->body_sent > 1 << 20) {
			weir_client_close(w, c, true);
			return WEIR_STEP_WAIT;
		}
	}
	return WEIR_STEP_WAIT;
}
