/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "addr.h"
#include "cleanup.h"
#include "rewrite.h"
#include "worker.h"

/* Bytes of the line at most, escaped. */
#define METHOD_MAX 64
#define HOST_MAX 320
#define PATH_MAX_BYTES 1024
#define QUERY_MAX 512
#define RAW_MAX 512
#define NAME_MAX_BYTES 512 /* a name of an object, and each other text */

/* Only printable ASCII goes out as it is.  Bytes above are no text of known
 * encoding: they become the code points of the same number, so that the line
 * is valid JSON whatever came, and tells what came.  True if it was cut. */
static bool put_escaped(struct weir_out *o, struct weir_str s, size_t max)
{
	static const char hex[] = "0123456789abcdef";
	const char *stop = o->p + max;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (stop - o->p < 6) {
			return true;
		}
		if (c < 0x20 || c >= 0x7f) {
			const char u[6] = {'\\', 'u',         '0',
					   '0',  hex[c >> 4], hex[c & 15]};

			weir_out_put(o, u, sizeof(u));
			continue;
		}
		if (c == '"' || c == '\\') {
			WEIR_OUT_LIT(o, "\\");
		}
		weir_out_put(o, &s.p[i], 1);
	}
	return false;
}

/* ,"name":"text" with name in its quotes and commas already. */
static bool put_text(struct weir_out *o, const char *name, struct weir_str s,
		     size_t max)
{
	bool is_cut;

	weir_out_put(o, name, strlen(name));
	is_cut = put_escaped(o, s, max);
	WEIR_OUT_LIT(o, "\"");
	return is_cut;
}

static void put_number(struct weir_out *o, const char *name, uint64_t v)
{
	weir_out_put(o, name, strlen(name));
	weir_out_u64(o, v);
}

static void put_addr(struct weir_out *o, const char *name,
		     const struct weir_ip *ip, __be16 port_be)
{
	char text[WEIR_ADDR_TEXT_MAX];

	put_text(o, name, weir_str_of(weir_addr_format(ip, port_be, text)),
		 sizeof(text));
}

static void put_head(struct weir_access *a, const struct weir_http1_head *h)
{
	struct weir_out o = {.p = a->head, .end = a->head + sizeof(a->head)};
	bool is_cut = put_text(&o, ",\"method\":\"", h->method, METHOD_MAX);

	is_cut |= put_text(&o, ",\"host\":\"", h->host, HOST_MAX);
	is_cut |= put_text(&o, ",\"path\":\"", h->path, PATH_MAX_BYTES);
	if (h->query.p) {
		is_cut |= put_text(&o, ",\"query\":\"", h->query, QUERY_MAX);
	}
	if (is_cut) {
		WEIR_OUT_LIT(&o, ",\"cut\":true");
	}
	a->n = (uint32_t)(o.p - a->head);
}

/* A head that did not parse: what stands in its first line. */
static void put_raw(struct weir_access *a, struct weir_str head)
{
	struct weir_out o = {.p = a->head, .end = a->head + sizeof(a->head)};
	ptrdiff_t end = weir_str_find(head, '\n');

	head.n = end < 0 ? head.n : (size_t)end;
	if (head.n && head.p[head.n - 1] == '\r') {
		head.n--;
	}
	if (put_text(&o, ",\"raw\":\"", head, RAW_MAX)) {
		WEIR_OUT_LIT(&o, ",\"cut\":true");
	}
	a->n = (uint32_t)(o.p - a->head);
}

void weir_access_begin(struct weir_worker *w, struct weir_client *c,
		       const struct weir_http1_head *h, size_t size)
{
	struct weir_access *a = c->access;
	uint32_t waiting = weir_block_len(c->in);

	if (!w->access) {
		return;
	}
	if (!a) {
		a = w->free_access;
		if (a) {
			w->free_access = a->next;
		} else {
			a = malloc(sizeof(*a));
		}
		if (!a) {
			weir_count(&w->counters.shared->totals.log_lost, 1);
			return;
		}
	}
	memset(a, 0, offsetof(struct weir_access, head));
	a->reason = _WEIR_PROXY_REASON_MAX;
	a->received_before = c->end.received - waiting;
	a->sent_before = c->end.sent;
	c->access = a;
	if (h) {
		put_head(a, h);
	} else if (waiting) {
		put_raw(a, (struct weir_str){c->in->data + c->in->start, size});
	}
}

void weir_access_count(struct weir_worker *w, struct weir_client *c,
		       uint32_t reason, const char *detail)
{
	weir_count_reason(&w->counters, reason);
	weir_access_reason(c, reason, detail);
}

/* "2026-11-25T12:00:00.123456Z", when the request began. */
static void put_time(struct weir_out *o, struct weir_worker *w,
		     uint64_t started_us)
{
	struct weir_access_clock *clock = &w->access_clock;
	uint64_t us = clock->offset_us + started_us;
	char fraction[8] = {'.'};
	uint32_t rest = (uint32_t)(us % 1000000);

	if (us / 1000000 != clock->second || !clock->offset_us) {
		struct timespec ts;
		struct tm tm;
		time_t s;

		/* The wall clock may have been set: asked once a second. */
		clock_gettime(CLOCK_REALTIME, &ts);
		clock->offset_us = (uint64_t)ts.tv_sec * 1000000 +
				   (uint64_t)ts.tv_nsec / 1000 - w->now_us;
		us = clock->offset_us + started_us;
		rest = (uint32_t)(us % 1000000);
		clock->second = us / 1000000;
		s = (time_t)clock->second;
		gmtime_r(&s, &tm);
		strftime(clock->text, sizeof(clock->text), "%Y-%m-%dT%H:%M:%S",
			 &tm);
	}
	for (int i = 6; i > 0; i--) {
		fraction[i] = (char)('0' + rest % 10);
		rest /= 10;
	}
	fraction[7] = 'Z';
	weir_out_put(o, clock->text, 19);
	weir_out_put(o, fraction, sizeof(fraction));
}

/* "HTTPRoute default/name" */
static void put_object(struct weir_out *o, const struct weir_plan *plan,
		       uint32_t index)
{
	const struct weir_pobject *object = WEIR_PLAN_ELEM(
		plan, struct weir_pobject, plan->objects, index);

	put_escaped(o, weir_plan_str(plan, object->kind), 64);
	WEIR_OUT_LIT(o, " ");
	put_escaped(o, weir_plan_str(plan, object->ns), 64);
	WEIR_OUT_LIT(o, "/");
	put_escaped(o, weir_plan_str(plan, object->name), 320);
}

static void put_decision(struct weir_out *o, const struct weir_client *c)
{
	const struct weir_plan *plan;

	if (!c->plan || !c->rule) {
		return;
	}
	plan = c->plan->ref->view.rules;
	WEIR_OUT_LIT(o, ",\"route\":\"");
	put_object(o, plan, c->rule->object);
	put_number(o, "\",\"rule\":", c->rule->index);
	if (!c->ref) {
		return;
	}
	WEIR_OUT_LIT(o, ",\"backend\":\"");
	put_object(o, plan, c->ref->object);
	put_number(o, "\",\"backend_index\":", c->ref->index);
}

static uint64_t since(uint64_t from_us, uint64_t to_us)
{
	return to_us > from_us ? to_us - from_us : 0;
}

static void put_endpoint(struct weir_out *o, const struct weir_client *c)
{
	const struct weir_access *a = c->access;

	if (a->endpoint_port_be) {
		put_addr(o, ",\"endpoint\":\"", &a->endpoint,
			 a->endpoint_port_be);
		put_number(o, ",\"attempts\":",
			   (uint64_t)c->attempts + c->has_retried + 1);
	}
	if (a->connected_us) {
		put_number(o, ",\"connect_us\":",
			   since(a->connect_us, a->connected_us));
	}
	if (a->response_us) {
		put_number(o, ",\"first_byte_us\":",
			   since(c->started_us, a->response_us));
	}
}

static void put_reason(struct weir_out *o, const struct weir_access *a)
{
	static const char *const names[] = {
#define REASON_NAME(name, help) #name,
		WEIR_PROXY_REASONS(REASON_NAME)
#undef REASON_NAME
	};

	if (a->reason < _WEIR_PROXY_REASON_MAX) {
		char lower[32];
		size_t n = strlen(names[a->reason]);

		for (size_t i = 0; i < n; i++) {
			lower[i] = names[a->reason][i];
			lower[i] += lower[i] == '_' ? 0 : 'a' - 'A';
		}
		put_text(o, ",\"reason\":\"", (struct weir_str){lower, n},
			 NAME_MAX_BYTES);
	}
	if (a->detail) {
		put_text(o, ",\"detail\":\"", weir_str_of(a->detail),
			 NAME_MAX_BYTES);
	}
}

void weir_access_end(struct weir_worker *w, struct weir_client *c)
{
	struct weir_access *a = c->access;
	char line[WEIR_LINE_MAX];
	struct weir_out o = {.p = line, .end = line + sizeof(line)};

	WEIR_OUT_LIT(&o, "{\"time\":\"");
	put_time(&o, w, c->started_us);
	put_addr(&o, "\",\"client\":\"", &c->peer, c->peer_port_be);
	put_addr(&o, ",\"listener\":\"", &c->local, c->local_port_be);
	put_text(&o, ",\"protocol\":\"",
		 c->is_raw      ? WEIR_STR("TCP")
		 : c->is_stream ? WEIR_STR("HTTP/2")
		 : c->is_http10 ? WEIR_STR("HTTP/1.0")
				: WEIR_STR("HTTP/1.1"),
		 NAME_MAX_BYTES);
	weir_out_put(&o, a->head, a->n);
	if (!c->is_raw) {
		put_number(&o, ",\"status\":", c->status);
	}
	put_number(&o, ",\"bytes_in\":",
		   c->end.received - weir_block_len(c->in) -
			   a->received_before);
	put_number(&o, ",\"bytes_out\":", c->end.sent - a->sent_before);
	put_decision(&o, c);
	WEIR_OUT_LIT(&o, ",\"plane\":\"proxy\"");
	put_endpoint(&o, c);
	put_number(&o, ",\"total_us\":", since(c->started_us, w->now_us));
	put_reason(&o, a);
	WEIR_OUT_LIT(&o, "}\n");
	/* The bounds above add up to less: a line is never cut. */
	weir_count(o.is_full || !weir_lines_put(w->access, line,
						(size_t)(o.p - line))
			   ? &w->counters.shared->totals.log_lost
			   : &w->counters.shared->totals.log_lines,
		   1);
	a->next = w->free_access;
	w->free_access = a;
	c->access = NULL;
}

void weir_access_free_all(struct weir_access **list)
{
	while (*list) {
		struct weir_access *a = *list;

		*list = a->next;
		weir_free_ptr(&a);
	}
}
