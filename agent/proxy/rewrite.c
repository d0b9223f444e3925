/* SPDX-License-Identifier: Apache-2.0 */
/* See rewrite.h.  Filters of the rule come before those of the backendRef;
 * they cannot touch framing, Connection or, other than by "set", Host. */
#include "rewrite.h"

#include "addr.h"

struct mod_iter {
	const struct weir_plan *plan;
	struct weir_span lists[2]; /* struct weir_filter: rule's, ref's */
	uint32_t type;
	uint32_t list;
	uint32_t filter;
	uint32_t mod;
	const struct weir_http1_head *head; /* of mods that look at it */
};

void weir_out_u64(struct weir_out *o, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	weir_out_put(o, digits + at, sizeof(digits) - at);
}

static struct mod_iter mods_of(const struct weir_rewrite *rw, uint32_t type)
{
	struct mod_iter it = {.plan = rw->plan, .type = type};

	if (rw->rule) {
		it.lists[0] = rw->rule->filters;
	}
	if (rw->ref) {
		it.lists[1] = rw->ref->filters;
	}
	return it;
}

/* Is there a field of this name that says "override", and no other? */
static bool is_override(const struct mod_iter *it, struct weir_str name)
{
	const struct weir_http1_head *h = it->head;
	bool is_one = false;

	for (uint32_t i = 0; h && i < h->n_fields; i++) {
		if (weir_str_eq_nocase(h->fields[i].name, name)) {
			if (is_one ||
			    !weir_str_is(h->fields[i].value, "override")) {
				return false;
			}
			is_one = true;
		}
	}
	return is_one;
}

static const struct weir_header_mod *next_any(struct mod_iter *it)
{
	for (; it->list < 2; it->list++, it->filter = 0) {
		for (; it->filter < it->lists[it->list].n;
		     it->filter++, it->mod = 0) {
			const struct weir_filter *f = WEIR_PLAN_ELEM(
				it->plan, struct weir_filter,
				it->lists[it->list], it->filter);

			if (f->type == it->type && it->mod < f->mods.n) {
				return WEIR_PLAN_ELEM(it->plan,
						      struct weir_header_mod,
						      f->mods, it->mod++);
			}
		}
	}
	return NULL;
}

const struct weir_filter *weir_rewrite_filter(const struct weir_rewrite *rw,
					      uint32_t type)
{
	struct weir_span lists[2] = {rw->rule->filters};

	if (rw->ref) {
		lists[1] = rw->ref->filters;
	}
	for (size_t list = 0; list < 2; list++) {
		for (uint32_t i = 0; i < lists[list].n; i++) {
			const struct weir_filter *f = WEIR_PLAN_ELEM(
				rw->plan, struct weir_filter, lists[list], i);

			if (f->type == type) {
				return f;
			}
		}
	}
	return NULL;
}

static const struct weir_header_mod *next_mod(struct mod_iter *it)
{
	const struct weir_header_mod *m = next_any(it);

	while (m && m->op == WEIR_HEADER_OVERRIDE &&
	       !is_override(it, weir_plan_str(it->plan, m->name))) {
		m = next_any(it);
	}
	return m;
}

/* Does a mod from it on set or remove that name? */
static bool is_replaced(struct mod_iter it, struct weir_str name)
{
	const struct weir_header_mod *m;

	while ((m = next_mod(&it))) {
		if (m->op != WEIR_HEADER_ADD &&
		    weir_str_eq_nocase(weir_plan_str(it.plan, m->name), name)) {
			return true;
		}
	}
	return false;
}

static bool is_protected(struct weir_str name)
{
	static const char *const names[] = {
		"host",       "content-length", "transfer-encoding",
		"connection", "upgrade",        "keep-alive",
		"te",         "trailer"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (weir_str_eq_nocase(name, weir_str_of(names[i]))) {
			return true;
		}
	}
	return false;
}

static void put_field(struct weir_out *o, struct weir_str name,
		      struct weir_str value)
{
	weir_out_str(o, name);
	WEIR_OUT_LIT(o, ": ");
	weir_out_str(o, value);
	WEIR_OUT_LIT(o, "\r\n");
}

/* Fields that mods set or add, unless a later mod replaces them again. */
static void put_mods(struct mod_iter it, struct weir_out *o)
{
	const struct weir_header_mod *m;

	while ((m = next_mod(&it))) {
		struct weir_str name = weir_plan_str(it.plan, m->name);

		if (m->op != WEIR_HEADER_REMOVE && !is_protected(name) &&
		    !is_replaced(it, name)) {
			put_field(o, name, weir_plan_str(it.plan, m->value));
		}
	}
}

static void put_framing(struct weir_out *o, uint8_t framing, uint64_t length)
{
	if (framing == WEIR_FRAMING_LENGTH) {
		WEIR_OUT_LIT(o, "Content-Length: ");
		weir_out_u64(o, length);
		WEIR_OUT_LIT(o, "\r\n");
	} else if (framing == WEIR_FRAMING_CHUNKED) {
		WEIR_OUT_LIT(o, "Transfer-Encoding: chunked\r\n");
	}
}

/* Fields whose id is in keep (bits), as received, runs of lines at once; it:
 * mods that replace some, or NULL. */
static void put_fields(const struct weir_http1_head *h, uint32_t keep,
		       const struct mod_iter *it, struct weir_out *o)
{
	const char *run = NULL;

	for (uint32_t i = 0; i < h->n_fields; i++) {
		const struct weir_header *f = &h->fields[i];
		bool is_kept = keep & 1u << h->ids[i] &&
			       (!it || !is_replaced(*it, f->name));

		if (is_kept && !run) {
			run = f->name.p;
		} else if (!is_kept && run) {
			weir_out_put(o, run, (size_t)(f->name.p - run));
			run = NULL;
		}
	}
	if (run) {
		weir_out_put(o, run, (size_t)(h->fields_end - run));
	}
}

/* "name: what was there, value", unless a mod decides about the name. */
static void put_forwarded(const struct weir_http1_head *h, uint8_t id,
			  struct weir_str name, struct weir_str value,
			  const struct mod_iter *it, struct weir_out *o)
{
	if (it && is_replaced(*it, name)) {
		return;
	}
	weir_out_str(o, name);
	WEIR_OUT_LIT(o, ": ");
	if (h->flags & WEIR_HEAD_FORWARDED) {
		for (uint32_t i = 0; i < h->n_fields; i++) {
			if (h->ids[i] == id && h->fields[i].value.n) {
				weir_out_str(o, h->fields[i].value);
				WEIR_OUT_LIT(o, ", ");
			}
		}
	}
	weir_out_str(o, value);
	WEIR_OUT_LIT(o, "\r\n");
}

/* The path with the matched prefix replaced, by the table of
 * HTTPPathModifier: neither side's final slash counts. */
static void put_prefix_replaced(struct weir_str path, struct weir_str prefix,
				struct weir_str by, struct weir_out *o)
{
	struct weir_str rest;

	if (prefix.n && prefix.p[prefix.n - 1] == '/') {
		prefix.n--;
	}
	if (by.n && by.p[by.n - 1] == '/') {
		by.n--;
	}
	rest = weir_str_skip(path, prefix.n);
	if (by.n && by.p[0] != '/') {
		WEIR_OUT_LIT(o, "/");
	}
	weir_out_str(o, by);
	weir_out_str(o, rest);
	if (by.n == 0 && rest.n == 0) {
		WEIR_OUT_LIT(o, "/");
	}
}

static void put_path(const struct weir_rewrite *rw, const struct weir_filter *f,
		     const struct weir_http1_head *h, struct weir_out *o)
{
	struct weir_str by = f ? weir_plan_str(rw->plan, f->path)
			       : WEIR_STR_NULL;

	if (f && f->path_mod == WEIR_PATH_MOD_FULL) {
		if (!by.n || by.p[0] != '/') {
			WEIR_OUT_LIT(o, "/");
		}
		weir_out_str(o, by);
	} else if (f && f->path_mod == WEIR_PATH_MOD_PREFIX) {
		put_prefix_replaced(h->path,
				    weir_plan_str(rw->plan, f->matched_prefix),
				    by, o);
	} else {
		weir_out_str(o, h->path);
	}
	if (h->query.p) {
		WEIR_OUT_LIT(o, "?");
		weir_out_str(o, h->query);
	}
}

/* The Host that a "set" of the filters asks for, or .p NULL. */
static struct weir_str host_set(struct mod_iter it)
{
	struct weir_str host = WEIR_STR_NULL;
	const struct weir_header_mod *m;

	while ((m = next_mod(&it))) {
		if (m->op == WEIR_HEADER_SET &&
		    weir_str_eq_nocase(weir_plan_str(it.plan, m->name),
				       WEIR_STR("host"))) {
			host = weir_plan_str(it.plan, m->value);
		}
	}
	return host;
}

static void put_host(const struct weir_rewrite *rw, const struct weir_filter *f,
		     const struct weir_http1_head *h, const struct mod_iter *it,
		     struct weir_out *o)
{
	struct weir_str host = it ? host_set(*it) : WEIR_STR_NULL;
	char text[WEIR_ADDR_TEXT_MAX];

	if (f && f->hostname.n) {
		host = weir_plan_str(rw->plan, f->hostname);
	} else if (!host.n) {
		host = h->host;
	}
	/* An HTTP/1.0 client need not say one: its backend must be told. */
	if (!host.n) {
		host = weir_str_of(weir_addr_format(
			&rw->frontend->addr, rw->frontend->port_be, text));
	}
	WEIR_OUT_LIT(o, "Host: ");
	weir_out_str(o, host);
	WEIR_OUT_LIT(o, "\r\n");
}

#define KEPT                                                                   \
	(1u << WEIR_FIELD_OTHER | 1u << WEIR_FIELD_EXPECT |                    \
	 1u << WEIR_FIELD_MAX_FORWARDS | 1u << WEIR_FIELD_DATE)
#define FORWARDED                                                              \
	(1u << WEIR_FIELD_FORWARDED_FOR | 1u << WEIR_FIELD_FORWARDED_PROTO |   \
	 1u << WEIR_FIELD_FORWARDED_HOST)

/* One hop fewer is left (RFC 9110 7.6.2). */
static void put_max_forwards(const struct weir_http1_head *h,
			     const struct mod_iter *it, struct weir_out *o)
{
	struct weir_str name = WEIR_STR("Max-Forwards");

	if (h->flags & WEIR_HEAD_MAX_FORWARDS && h->max_forwards &&
	    !(it && is_replaced(*it, name))) {
		weir_out_str(o, name);
		WEIR_OUT_LIT(o, ": ");
		weir_out_u64(o, h->max_forwards - 1);
		WEIR_OUT_LIT(o, "\r\n");
	}
}

void weir_rewrite_request(const struct weir_rewrite *rw,
			  const struct weir_http1_head *h, struct weir_out *o)
{
	struct mod_iter mods = mods_of(rw, WEIR_FILTER_REQUEST_HEADERS);
	bool has_filters = mods.lists[0].n || mods.lists[1].n;
	const struct mod_iter *it = has_filters ? &mods : NULL;
	const struct weir_filter *f =
		has_filters ? weir_rewrite_filter(rw, WEIR_FILTER_REWRITE)
			    : NULL;
	bool no_forwarded = rw->rule->flags & WEIR_RULE_NO_FORWARDED;
	uint32_t keep = no_forwarded ? KEPT | FORWARDED : KEPT;
	char peer[WEIR_ADDR_TEXT_MAX];

	mods.head = h;
	weir_out_str(o, h->method);
	WEIR_OUT_LIT(o, " ");
	put_path(rw, f, h, o);
	WEIR_OUT_LIT(o, " HTTP/1.1\r\n");
	put_host(rw, f, h, it, o);
	if (h->flags & WEIR_HEAD_MAX_FORWARDS) {
		keep &= ~(1u << WEIR_FIELD_MAX_FORWARDS);
	}
	put_fields(h, keep, it, o);
	put_max_forwards(h, it, o);
	if (!no_forwarded) {
		put_forwarded(h, WEIR_FIELD_FORWARDED_FOR,
			      WEIR_STR("X-Forwarded-For"),
			      weir_str_of(weir_ip_format(&rw->peer, peer)), it,
			      o);
		put_forwarded(h, WEIR_FIELD_FORWARDED_PROTO,
			      WEIR_STR("X-Forwarded-Proto"),
			      rw->is_https ? WEIR_STR("https")
					   : WEIR_STR("http"),
			      it, o);
		if (h->host.n) {
			put_forwarded(h, WEIR_FIELD_FORWARDED_HOST,
				      WEIR_STR("X-Forwarded-Host"), h->host, it,
				      o);
		}
	}
	if (it) {
		put_mods(*it, o);
	}
	put_framing(o, h->framing, h->length);
	if (rw->is_reported) {
		WEIR_OUT_LIT(o, "K-Proxy-Request: activator\r\n");
	}
	if (rw->wants_trailers) {
		WEIR_OUT_LIT(o, "TE: trailers\r\n");
	}
	if (rw->keeps_upgrade) {
		WEIR_OUT_LIT(o, "Connection: upgrade\r\n");
		put_field(o, WEIR_STR("Upgrade"), h->upgrade);
	}
	WEIR_OUT_LIT(o, "\r\n");
}

void weir_rewrite_response(const struct weir_rewrite *rw,
			   const struct weir_http1_head *h,
			   struct weir_str date, struct weir_str connection,
			   uint8_t framing, struct weir_out *o)
{
	struct mod_iter mods = mods_of(rw, WEIR_FILTER_RESPONSE_HEADERS);
	bool has_filters = mods.lists[0].n || mods.lists[1].n;
	const struct mod_iter *it = has_filters ? &mods : NULL;
	char status[16] = "HTTP/1.1 000 ";

	status[9] = (char)('0' + h->status / 100);
	status[10] = (char)('0' + h->status / 10 % 10);
	status[11] = (char)('0' + h->status % 10);
	weir_out_put(o, status, 13);
	weir_out_str(o, h->reason);
	WEIR_OUT_LIT(o, "\r\n");
	put_fields(h, KEPT | FORWARDED, it, o);
	/* RFC 9110 6.6.1.  Filters have the last word on it. */
	if (h->status >= 200 && !(h->flags & WEIR_HEAD_DATE) &&
	    !(it && is_replaced(*it, WEIR_STR("Date")))) {
		put_field(o, WEIR_STR("Date"), date);
	}
	if (it) {
		put_mods(*it, o);
	}
	put_framing(o, framing, h->length);
	if (connection.n) {
		put_field(o, WEIR_STR("Connection"), connection);
	}
	if (h->status == 101) {
		put_field(o, WEIR_STR("Upgrade"), h->upgrade);
	}
	WEIR_OUT_LIT(o, "\r\n");
}

/* As a URI's host: RFC 3986 3.2.2 wants brackets around IPv6. */
static void put_address(const struct weir_ip *ip, struct weir_out *o)
{
	char text[WEIR_ADDR_TEXT_MAX];
	bool is_v4 = weir_ip_is_v4(ip);

	weir_out_put(o, "[", !is_v4);
	weir_out_str(o, weir_str_of(weir_ip_format(ip, text)));
	weir_out_put(o, "]", !is_v4);
}

static uint16_t well_known_port(struct weir_str scheme)
{
	return weir_str_is(scheme, "https") ? 443 : 80;
}

void weir_rewrite_location(const struct weir_rewrite *rw,
			   const struct weir_filter *filter,
			   const struct weir_http1_head *h, struct weir_out *o)
{
	struct weir_str scheme = weir_plan_str(rw->plan, filter->scheme);
	struct weir_str host = weir_plan_str(rw->plan, filter->hostname);
	uint16_t port = filter->port;
	char name[256];

	if (!port && !scheme.n) {
		port = ntohs(rw->frontend->port_be);
	}
	if (!scheme.n) {
		scheme = rw->is_https ? WEIR_STR("https") : WEIR_STR("http");
	}
	if (!host.n && h->host.n) {
		host = weir_authority_host(h->host, name);
	}
	weir_out_str(o, scheme);
	WEIR_OUT_LIT(o, "://");
	if (host.n) {
		weir_out_str(o, host);
	} else {
		put_address(&rw->frontend->addr, o);
	}
	if (port && port != well_known_port(scheme)) {
		WEIR_OUT_LIT(o, ":");
		weir_out_u64(o, port);
	}
	put_path(rw, filter, h, o);
}
