/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi interface, driven by the event loop.  Its functions must not
 * be called from its own callbacks, so what callers ask for inside on_data
 * waits until libcurl has returned (settle()).
 */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "json_view.h"
#include "libcurl.h"
#include "log.h"

#define DEADLINE_MS 30000
#define CONNECT_MS 5000
#define BODY_MAX ((size_t)4 << 20)
#define ERROR_BODY_MAX ((size_t)64 << 10)
#define SILENCE_CHECK_MS 5000
#define REFRESH_MS 1000
/* A peer that acknowledges nothing for that long is gone. */
#define TCP_TIMEOUT_MS 15000

enum phase {
	PHASE_WAITING, /* libcurl does not have it yet */
	PHASE_RUNNING,
	PHASE_CANCELLED, /* libcurl has it, to be taken back */
	PHASE_DONE,      /* fn is being called */
};

struct weir_kube_request {
	struct weir_kube_client *client;
	struct weir_kube_request *next;
	struct weir_kube_request *prev;
	enum phase phase;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	struct weir_buf sent;
	struct weir_buf body;
	size_t max_bytes;
	uint32_t silence_ms;
	uint64_t heard_ms; /* last byte, or the beginning */
	weir_kube_data_fn on_data;
	void (*on_begin)(void *arg);
	weir_kube_reply_fn fn;
	void *arg;
	int error; /* why on_bytes ended it */
	bool is_silent;
	char curl_error[CURL_ERROR_SIZE];
};

struct weir_kube_client {
	struct weir_loop *loop;
	struct weir_kube_config *config;
	const struct weir_libcurl *curl;
	CURLM *multi;
	struct weir_timer timer;   /* libcurl's */
	struct weir_timer settle;  /* what waits for libcurl to return */
	struct weir_timer silence; /* armed while a request has a limit */
	struct weir_kube_request *requests;
	char *connect_to; /* the real place, where tls-server-name is set */
	uint64_t refreshed_ms;
	int refresh_error;
	bool is_inside;   /* libcurl */
	bool is_doubtful; /* the connection: something timed out on it */
	struct weir_kube_client_stats stats;
};

struct socket_io {
	struct weir_io io;
	struct weir_kube_client *client;
};

static void settle(struct weir_kube_client *c);

/* ------------------------------------------------ between libcurl and loop */

static void act(struct weir_kube_client *c, curl_socket_t fd, int events)
{
	int running;

	c->is_inside = true;
	c->curl->multi_socket_action(c->multi, fd, events, &running);
	c->is_inside = false;
	settle(c);
}

static void on_socket_event(struct weir_io *io, uint32_t events)
{
	struct socket_io *s = io->arg;
	int mask = 0;

	if (events & EPOLLIN) {
		mask |= CURL_CSELECT_IN;
	}
	if (events & EPOLLOUT) {
		mask |= CURL_CSELECT_OUT;
	}
	if (events & (EPOLLERR | EPOLLHUP)) {
		mask |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
	}
	act(s->client, io->fd, mask);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
		     void *socket_arg)
{
	struct weir_kube_client *c = arg;
	struct socket_io *s = socket_arg;
	uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
			  (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			weir_loop_del(c->loop, &s->io);
			c->curl->multi_assign(c->multi, fd, NULL);
			weir_free_ptr(&s);
		}
		return 0;
	}
	if (s) {
		return weir_loop_mod(c->loop, &s->io, events) < 0 ? -1 : 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		return -1;
	}
	s->client = c;
	s->io = (struct weir_io){.fd = fd, .fn = on_socket_event, .arg = s};
	if (weir_loop_add(c->loop, &s->io, events) < 0) {
		weir_free_ptr(&s);
		return -1;
	}
	c->curl->multi_assign(c->multi, fd, s);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct weir_kube_client *c = arg;

	(void)multi;
	if (timeout_ms < 0) {
		weir_loop_disarm(c->loop, &c->timer);
	} else {
		weir_loop_arm(c->loop, &c->timer, (uint64_t)timeout_ms);
	}
	return 0;
}

static void on_due(struct weir_timer *timer)
{
	act(timer->arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_settle(struct weir_timer *timer)
{
	settle(timer->arg);
}

/* Each new socket once. */
static int on_new_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct weir_kube_client *c = arg;
	const int on = 1;
	const int idle_s = 15;
	const int interval_s = 5;
	const int probes = 3;
	const unsigned int timeout_ms = TCP_TIMEOUT_MS;

	(void)purpose;
	c->stats.connections++;
	/* Where they cannot be set, a dead peer is found by silence_ms. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
		   sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
		   sizeof(timeout_ms));
	return CURL_SOCKOPT_OK;
}

/* ------------------------------------------------------------ one request */

static long status_of(const struct weir_kube_request *q)
{
	long status = 0;

	q->client->curl->easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Line by line; an empty one ends the head. */
static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
	struct weir_kube_request *q = arg;
	long status = status_of(q);

	n *= size;
	if (n == 2 && p[0] == '\r' && q->on_begin && status >= 200 &&
	    status < 300 && q->phase == PHASE_RUNNING) {
		q->on_begin(q->arg);
	}
	return q->phase == PHASE_CANCELLED ? 0 : n;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct weir_kube_request *q = arg;
	long status = status_of(q);
	bool is_good = status >= 200 && status < 300;
	size_t max = is_good ? q->max_bytes : ERROR_BODY_MAX;

	n *= size;
	if (q->phase == PHASE_CANCELLED) {
		return 0;
	}
	q->heard_ms = weir_now_ms();
	q->client->stats.rx_bytes += n;
	if (is_good && q->on_data) {
		q->error = q->on_data(q->arg, (struct weir_str){p, n});
		return q->error < 0 || q->phase == PHASE_CANCELLED ? 0 : n;
	}
	if (q->body.n + n > max) {
		q->error = -EFBIG;
		return 0;
	}
	weir_buf_add(&q->body, p, n);
	if (q->body.error) {
		q->error = q->body.error;
		return 0;
	}
	return n;
}

static void free_request(struct weir_kube_request *q)
{
	struct weir_kube_client *c = q->client;

	if (q->easy) {
		c->curl->easy_cleanup(q->easy);
	}
	c->curl->slist_free_all(q->headers);
	c->curl->slist_free_all(q->connect_to);
	if (q->next) {
		q->next->prev = q->prev;
	}
	if (q->prev) {
		q->prev->next = q->next;
	} else if (c->requests == q) {
		c->requests = q->next;
	}
	weir_buf_fini(&q->body);
	weir_buf_fini(&q->sent);
	weir_free_ptr(&q);
}

static int error_of(const struct weir_kube_request *q, CURLcode code)
{
	if (q->error < 0) {
		return q->error;
	}
	if (q->is_silent) {
		return -ETIMEDOUT;
	}
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

/* The server explains itself in a metav1.Status. */
static void explain(const struct weir_kube_request *q, int status,
		    struct weir_buf *out)
{
	struct weir_str body = weir_buf_str(&q->body);
	struct weir_str message = weir_jview_text(
		weir_jview_member(body, "message"));

	if (message.n == 0 && body.n && body.p[0] != '{') {
		message = body; /* "404 page not found" */
	}
	message = weir_str_cut(message, 400);
	weir_buf_printf(out, "HTTP %d", status);
	if (message.n) {
		weir_buf_printf(out, ": %.*s", WEIR_STR_ARG(message));
	}
	for (size_t i = 0; i < out->n; i++) {
		if ((unsigned char)out->p[i] < ' ') {
			out->p[i] = ' ';
		}
	}
	weir_buf_add(out, "", 1);
}

static void finish(struct weir_kube_request *q, CURLcode code)
{
	struct weir_kube_client *c = q->client;
	_cleanup_buf_ struct weir_buf message = {0};
	struct weir_kube_reply reply = {.body = weir_buf_str(&q->body)};
	curl_off_t retry_s = 0;

	c->stats.in_flight--;
	if (code != CURLE_OK) {
		reply.error = error_of(q, code);
		reply.body = WEIR_STR_NULL;
		c->stats.failures++;
		c->is_doubtful |= reply.error == -ETIMEDOUT;
		weir_buf_addz(&message, q->is_silent ? "nothing was heard"
					: q->error == -EFBIG
						? "the answer is too large"
					: q->error < 0 ? strerror(-q->error)
					: q->curl_error[0]
						? q->curl_error
						: c->curl->easy_strerror(code));
		weir_buf_add(&message, "", 1);
	} else {
		reply.status = (int)status_of(q);
		c->curl->easy_getinfo(q->easy, CURLINFO_RETRY_AFTER, &retry_s);
		reply.retry_after_ms =
			(uint32_t)(retry_s > 3600 ? 3600 : retry_s) * 1000;
		if (reply.status == 401) {
			c->refreshed_ms = 0; /* the token may be a new one */
		}
		if (!weir_kube_is_ok(&reply)) {
			explain(q, reply.status, &message);
		}
	}
	reply.message = message.p && !message.error ? message.p : "";
	q->fn(q->arg, &reply);
}

/* Out of libcurl's hands, answered, and gone. */
static void end(struct weir_kube_request *q, CURLcode code)
{
	struct weir_kube_client *c = q->client;

	c->curl->multi_remove_handle(c->multi, q->easy);
	if (q->phase == PHASE_CANCELLED) {
		c->stats.in_flight--;
	} else {
		q->phase = PHASE_DONE;
		finish(q, code);
	}
	free_request(q);
}

/* False: fn was called, so the list may be another one. */
static bool settle_one(struct weir_kube_request *q)
{
	struct weir_kube_client *c = q->client;

	if (q->phase == PHASE_CANCELLED) {
		end(q, CURLE_OK);
		return true;
	}
	if (q->phase != PHASE_WAITING) {
		return true;
	}
	q->phase = PHASE_RUNNING;
	if (c->curl->multi_add_handle(c->multi, q->easy) == CURLM_OK) {
		return true;
	}
	end(q, CURLE_OUT_OF_MEMORY);
	return false;
}

/* Ends what is at its end, and starts and takes back what could not be while
 * libcurl was at work. */
static void settle(struct weir_kube_client *c)
{
	struct weir_kube_request *next;
	CURLMsg *m;
	int left;

	while ((m = c->curl->multi_info_read(c->multi, &left))) {
		struct weir_kube_request *q = NULL;
		CURLcode code = m->data.result;

		if (m->msg == CURLMSG_DONE) {
			c->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE,
					      &q);
			end(q, code);
		}
	}
	for (struct weir_kube_request *q = c->requests; q; q = next) {
		next = q->next;
		if (!settle_one(q)) {
			next = c->requests;
		}
	}
}

static void on_silence(struct weir_timer *timer)
{
	struct weir_kube_client *c = timer->arg;
	uint64_t now = weir_now_ms();
	struct weir_kube_request *next;
	bool is_limited = false;

	for (struct weir_kube_request *q = c->requests; q; q = next) {
		next = q->next;
		if (q->phase != PHASE_RUNNING || !q->silence_ms) {
			continue;
		}
		is_limited = true;
		if (now - q->heard_ms >= q->silence_ms) {
			q->is_silent = true;
			end(q, CURLE_OPERATION_TIMEDOUT);
			next = c->requests;
		}
	}
	if (is_limited) {
		weir_loop_arm(c->loop, timer, SILENCE_CHECK_MS);
	}
}

/* ------------------------------------------------------- a new request */

/* Files with credentials are looked at before a request, at most once a
 * second: what is rotated is used without anybody telling. */
static void refresh(struct weir_kube_client *c)
{
	uint64_t now = weir_now_ms();
	int r;

	if (c->refreshed_ms && now - c->refreshed_ms < REFRESH_MS) {
		return;
	}
	c->refreshed_ms = now;
	r = weir_kube_config_refresh(c->config);
	if (r < 0 && r != c->refresh_error) {
		weir_warn("credentials for the API server cannot be read "
			  "again, the old ones stay in use: %s",
			  strerror(-r));
	}
	c->refresh_error = r < 0 ? r : 0;
}

static void set_tls(struct weir_kube_request *q)
{
	const struct weir_kube_config *config = q->client->config;
	__typeof__(curl_easy_setopt) *set = q->client->curl->easy_setopt;
	struct curl_blob blob = {.flags = CURL_BLOB_COPY};

	if (config->ca.data.n) {
		blob.data = config->ca.data.p;
		blob.len = config->ca.data.n;
		set(q->easy, CURLOPT_CAINFO_BLOB, &blob);
		/* No authority but this one. */
		set(q->easy, CURLOPT_CAPATH, NULL);
	}
	if (config->certificate.data.n) {
		blob.data = config->certificate.data.p;
		blob.len = config->certificate.data.n;
		set(q->easy, CURLOPT_SSLCERT_BLOB, &blob);
		set(q->easy, CURLOPT_SSLCERTTYPE, "PEM");
		blob.data = config->key.data.p;
		blob.len = config->key.data.n;
		set(q->easy, CURLOPT_SSLKEY_BLOB, &blob);
		set(q->easy, CURLOPT_SSLKEYTYPE, "PEM");
	}
	if (config->is_insecure) {
		set(q->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		set(q->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static int add_header(struct weir_kube_request *q, const char *line)
{
	struct curl_slist *more = q->client->curl->slist_append(q->headers,
								line);

	if (!more) {
		return -ENOMEM;
	}
	q->headers = more;
	return 0;
}

static int set_headers(struct weir_kube_request *q,
		       const struct weir_kube_call *call)
{
	const struct weir_buf *token = &q->client->config->token.data;
	_cleanup_buf_ struct weir_buf line = {0};
	int r = add_header(q, "Accept: application/json");

	if (r == 0 && (call->body.n || call->content_type)) {
		weir_buf_printf(&line, "Content-Type: %s",
				call->content_type ? call->content_type
						   : "application/json");
		weir_buf_add(&line, "", 1);
		r = line.error ? line.error : add_header(q, line.p);
		if (r == 0) {
			r = add_header(q, "Expect:");
		}
	}
	if (r == 0 && token->n) {
		line.n = 0;
		weir_buf_printf(&line, "Authorization: Bearer %.*s",
				(int)token->n, token->p);
		weir_buf_add(&line, "", 1);
		r = line.error ? line.error : add_header(q, line.p);
		if (line.p) {
			explicit_bzero(line.p, line.cap);
		}
	}
	if (r == 0) {
		q->client->curl->easy_setopt(q->easy, CURLOPT_HTTPHEADER,
					     q->headers);
	}
	return r;
}

/* With tls-server-name the URL has that name, and connect_to the place. */
static int set_url(struct weir_kube_request *q, const char *path)
{
	struct weir_kube_client *c = q->client;
	_cleanup_free_ char *url = NULL;
	const char *server = c->config->server;
	int n;

	if (!c->config->server_name) {
		n = asprintf(&url, "%s%s", server, path);
	} else {
		const char *place = strstr(server, "://") + 3;
		const char *prefix = strchrnul(place, '/');

		n = asprintf(&url, "https://%s%s%s", c->config->server_name,
			     prefix, path);
		if (!c->connect_to &&
		    asprintf(&c->connect_to, "::%.*s", (int)(prefix - place),
			     place) < 0) {
			c->connect_to = NULL;
			n = -1;
		}
	}
	if (n < 0) {
		url = NULL;
		return -ENOMEM;
	}
	return c->curl->easy_setopt(q->easy, CURLOPT_URL, url) == CURLE_OK
		       ? 0
		       : -ENOMEM;
}

static void set_options(struct weir_kube_request *q,
			const struct weir_kube_call *call)
{
	struct weir_kube_client *c = q->client;
	__typeof__(curl_easy_setopt) *set = c->curl->easy_setopt;
	uint32_t deadline_ms = call->deadline_ms ? call->deadline_ms
						 : DEADLINE_MS;

	set(q->easy, CURLOPT_PRIVATE, q);
	set(q->easy, CURLOPT_ERRORBUFFER, q->curl_error);
	set(q->easy, CURLOPT_NOSIGNAL, 1L);
	set(q->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* Weir's own connection: no proxy of the environment takes it. */
	set(q->easy, CURLOPT_PROXY, "");
	set(q->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	set(q->easy, CURLOPT_PIPEWAIT, 1L);
	set(q->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	if (deadline_ms != UINT32_MAX) {
		set(q->easy, CURLOPT_TIMEOUT_MS, (long)deadline_ms);
	}
	set(q->easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
	set(q->easy, CURLOPT_SOCKOPTDATA, c);
	if (call->on_begin) {
		set(q->easy, CURLOPT_HEADERFUNCTION, on_head);
		set(q->easy, CURLOPT_HEADERDATA, q);
	}
	set(q->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	set(q->easy, CURLOPT_WRITEDATA, q);
	if (call->method && strcmp(call->method, "GET") != 0) {
		set(q->easy, CURLOPT_CUSTOMREQUEST, call->method);
		c->stats.writes++;
	}
	if (call->body.n) {
		set(q->easy, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)q->sent.n);
		set(q->easy, CURLOPT_POSTFIELDS, q->sent.p);
		c->stats.tx_bytes += q->sent.n;
	}
	/* A connection on which something timed out may be dead although TCP
	 * does not know it: through a balancer, say. */
	if (c->is_doubtful) {
		set(q->easy, CURLOPT_FRESH_CONNECT, 1L);
		c->is_doubtful = false;
	}
}

static int prepare(struct weir_kube_request *q,
		   const struct weir_kube_call *call)
{
	struct weir_kube_client *c = q->client;
	int r;

	q->easy = c->curl->easy_init();
	if (!q->easy) {
		return -ENOMEM;
	}
	weir_buf_add_str(&q->sent, call->body);
	if (q->sent.error) {
		return q->sent.error;
	}
	r = set_url(q, call->path);
	if (r == 0) {
		r = set_headers(q, call);
	}
	if (r < 0) {
		return r;
	}
	if (c->connect_to) {
		struct curl_slist *to = c->curl->slist_append(NULL,
							      c->connect_to);

		if (!to) {
			return -ENOMEM;
		}
		q->connect_to = to;
		c->curl->easy_setopt(q->easy, CURLOPT_CONNECT_TO, to);
	}
	set_options(q, call);
	set_tls(q);
	return 0;
}

int weir_kube_call(struct weir_kube_client *client,
		   const struct weir_kube_call *call,
		   struct weir_kube_request **ret_request)
{
	struct weir_kube_request *q = calloc(1, sizeof(*q));
	int r;

	if (!q) {
		return -ENOMEM;
	}
	refresh(client);
	q->client = client;
	q->max_bytes = call->max_bytes ? call->max_bytes : BODY_MAX;
	q->silence_ms = call->silence_ms;
	q->heard_ms = weir_now_ms();
	q->on_data = call->on_data;
	q->on_begin = call->on_begin;
	q->fn = call->fn;
	q->arg = call->arg;
	r = prepare(q, call);
	if (r < 0) {
		free_request(q);
		return r;
	}
	q->next = client->requests;
	if (q->next) {
		q->next->prev = q;
	}
	client->requests = q;
	client->stats.requests++;
	client->stats.in_flight++;
	weir_loop_arm(client->loop, &client->settle, 0);
	if (q->silence_ms && !client->silence.due_ms) {
		weir_loop_arm(client->loop, &client->silence, SILENCE_CHECK_MS);
	}
	if (ret_request) {
		*ret_request = q;
	}
	return 0;
}

void weir_kube_cancel(struct weir_kube_request **request)
{
	struct weir_kube_request *q = *request;

	*request = NULL;
	if (!q || q->phase == PHASE_DONE || q->phase == PHASE_CANCELLED) {
		return;
	}
	if (q->phase == PHASE_RUNNING && q->client->is_inside) {
		q->phase = PHASE_CANCELLED;
		return;
	}
	if (q->phase == PHASE_RUNNING) {
		q->client->curl->multi_remove_handle(q->client->multi, q->easy);
	}
	q->client->stats.in_flight--;
	free_request(q);
}

/* ------------------------------------------------------------ the client */

int weir_kube_client_new(struct weir_loop *loop,
			 struct weir_kube_config **config,
			 struct weir_kube_client **ret_client)
{
	const struct weir_libcurl *curl;
	struct weir_kube_client *c;
	int r = weir_libcurl_load(&curl);

	if (r < 0) {
		return r;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->loop = loop;
	c->curl = curl;
	c->multi = curl->multi_init();
	if (!c->multi) {
		weir_free_ptr(&c);
		return -ENOMEM;
	}
	c->timer = (struct weir_timer){.fn = on_due, .arg = c};
	c->settle = (struct weir_timer){.fn = on_settle, .arg = c};
	c->silence = (struct weir_timer){.fn = on_silence, .arg = c};
	curl->multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl->multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 4L);
	curl->multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl->multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl->multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl->multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	c->config = TAKE_PTR(*config);
	*ret_client = c;
	return 0;
}

void weir_kube_client_free(struct weir_kube_client **client)
{
	struct weir_kube_client *c = *client;

	if (!c) {
		return;
	}
	while (c->requests) {
		struct weir_kube_request *q = c->requests;

		weir_kube_cancel(&q);
	}
	c->curl->multi_cleanup(c->multi);
	weir_loop_disarm(c->loop, &c->timer);
	weir_loop_disarm(c->loop, &c->settle);
	weir_loop_disarm(c->loop, &c->silence);
	weir_kube_config_free(&c->config);
	weir_free_ptr(&c->connect_to);
	weir_free_ptr(client);
}

const struct weir_kube_client_stats *
weir_kube_client_stats(const struct weir_kube_client *client)
{
	return &client->stats;
}

const struct weir_kube_config *
weir_kube_client_config(const struct weir_kube_client *client)
{
	return client->config;
}
