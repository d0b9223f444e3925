/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head and filters: what comes out of the header rewriter.  The first byte
 * has switches; then come lines that end in LF, up to an empty one, and the
 * head of a request or response:
 *
 *	s NAME=VALUE, a NAME=VALUE, r NAME	set, add, remove; upper case: of
 *						the backendRef
 *	p PATH, f PATH				prefix, full path
 *	m PREFIX				what the prefix path replaces
 *	n HOSTNAME
 *
 * Properties: the head that is written is well-formed for the proxy's parser
 * and for another reader; its framing, method, query are as they came, as are
 * Host and path unless a filter says otherwise; what is set is there once, what
 * is removed is not; no filter reaches framing, Connection or Upgrade.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "http1.h"
#include "rewrite.h"
#include "strict.h"
#include "writer.h"

#define MODS_MAX 8
#define FIELDS_MAX 64
#define IN_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct mods {
	struct weir_header_mod v[MODS_MAX];
	uint32_t n;
};

/* Of the rule, and of the backendRef. */
struct filters {
	struct mods mods[2];
	struct weir_filter rewrite;
	bool has_rewrite;
};

static struct weir_header fields[FIELDS_MAX + 32];
static uint8_t ids[FIELDS_MAX + 32];
static struct weir_header again_fields[FIELDS_MAX + 32];
static uint8_t again_ids[FIELDS_MAX + 32];
static char room[8 * IN_MAX];

static void check(bool is_true, const char *what)
{
	if (!is_true) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

/* As the decoder of manifests has it. */
static bool is_value(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((uint8_t)s.p[i] < 0x20 || s.p[i] == 0x7f) {
			return false;
		}
	}
	return weir_str_eq(s, weir_str_trim(s));
}

static bool is_path(struct weir_str s)
{
	struct weir_http1_head h = {0};

	return s.n && s.p[0] == '/' && weir_str_find(s, '?') < 0 &&
	       weir_target_parse(s, &h) == WEIR_HTTP1_OK;
}

/* What a PathPrefix may be: a clean path, which has no "//". */
static bool is_prefix(struct weir_str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '/' && s.p[i - 1] == '/') {
			return false;
		}
	}
	return is_path(s);
}

/* Who sets Content_Length has it; from a client it would be refused, which is
 * how the result is read again. */
static bool is_alias(struct weir_str name)
{
	struct weir_http1_head h = {.fields = again_fields,
				    .ids = again_ids,
				    .max_fields = FIELDS_MAX + 32,
				    .max_target = IN_MAX};
	int n = snprintf(room, sizeof(room),
			 "GET / HTTP/1.1\r\nHost: a\r\n%.*s:\r\n\r\n",
			 (int)name.n, name.p);

	return weir_http1_parse_request(room, (size_t)n, &h) ==
	       WEIR_HTTP1_FIELD_ALIAS;
}

static void add_mod(struct weir_writer *w, struct mods *m, uint32_t op,
		    struct weir_str text)
{
	ptrdiff_t eq = weir_str_find(text, '=');
	struct weir_str name = {text.p, eq < 0 ? text.n : (size_t)eq};
	struct weir_str value = weir_str_skip(text, name.n + 1);

	if (m->n == MODS_MAX || !weir_http1_is_token(name) || is_alias(name) ||
	    !is_value(value) ||
	    (weir_str_eq_nocase(name, WEIR_STR("host")) &&
	     !weir_authority_is_valid(value))) {
		return;
	}
	m->v[m->n++] = (struct weir_header_mod){
		.name = weir_writer_text(w, name),
		.value = weir_writer_text(w, value),
		.op = op};
}

static void add_line(struct weir_writer *w, struct filters *f,
		     struct weir_str line)
{
	struct weir_str rest = weir_str_skip(line, 2);
	struct mods *m = &f->mods[isupper(line.p[0]) ? 1 : 0];

	switch (tolower(line.p[0])) {
	case 's':
		add_mod(w, m, WEIR_HEADER_SET, rest);
		return;
	case 'a':
		add_mod(w, m, WEIR_HEADER_ADD, rest);
		return;
	case 'r':
		add_mod(w, m, WEIR_HEADER_REMOVE, rest);
		return;
	case 'p':
	case 'f':
		if (is_path(rest)) {
			f->rewrite.path = weir_writer_text(w, rest);
			f->rewrite.path_mod = line.p[0] == 'p'
						      ? WEIR_PATH_MOD_PREFIX
						      : WEIR_PATH_MOD_FULL;
			f->has_rewrite = true;
		}
		return;
	case 'm':
		if (is_prefix(rest)) {
			f->rewrite.matched_prefix = weir_writer_text(w, rest);
		}
		return;
	case 'n':
		if (weir_authority_is_valid(rest)) {
			f->rewrite.hostname = weir_writer_text(w, rest);
			f->has_rewrite = true;
		}
		return;
	default:
		return;
	}
}

/* Lines up to the empty one; *s behind it. */
static void read_filters(struct weir_writer *w, struct filters *f,
			 struct weir_str *s)
{
	for (;;) {
		ptrdiff_t end = weir_str_find(*s, '\n');
		struct weir_str line = {s->p, end < 0 ? s->n : (size_t)end};

		*s = weir_str_skip(*s, line.n + 1);
		if (line.n == 0) {
			return;
		}
		add_line(w, f, line);
	}
}

static uint32_t put_filters(struct weir_writer *w, const struct filters *f,
			    int of, uint32_t type, struct weir_span *ret_span)
{
	struct weir_filter v[2] = {{.type = type}, f->rewrite};
	uint32_t n = 1;

	v[0].mods = weir_writer_add(w, f->mods[of].v, f->mods[of].n,
				    sizeof(f->mods[of].v[0]));
	v[1].type = WEIR_FILTER_REWRITE;
	if (of == 0 && f->has_rewrite) {
		n++;
	}
	*ret_span = weir_writer_add(w, v, n, sizeof(v[0]));
	return n;
}

/* Prefixes match whole elements of a path. */
static bool is_matched(struct weir_str path, struct weir_str prefix)
{
	while (prefix.n && prefix.p[prefix.n - 1] == '/') {
		prefix.n--;
	}
	return weir_str_starts(path, prefix) &&
	       (path.n == prefix.n || path.p[prefix.n] == '/');
}

/* What the last filter that names it does; -1: none does. */
static int last_op(const struct weir_plan *plan, const struct filters *f,
		   struct weir_str name, struct weir_str *ret_value)
{
	int op = -1;

	for (int of = 0; of < 2; of++) {
		for (uint32_t i = 0; i < f->mods[of].n; i++) {
			const struct weir_header_mod *m = &f->mods[of].v[i];

			if (weir_str_eq_nocase(weir_plan_str(plan, m->name),
					       name)) {
				op = (int)m->op;
				*ret_value = weir_plan_str(plan, m->value);
			}
		}
	}
	return op;
}

static size_t count(const struct weir_http1_head *h, struct weir_str name,
		    struct weir_str *ret_value)
{
	size_t n = 0;

	for (uint32_t i = 0; i < h->n_fields; i++) {
		if (weir_str_eq_nocase(h->fields[i].name, name)) {
			n++;
			*ret_value = h->fields[i].value;
		}
	}
	return n;
}

/* Names that the proxy decides about. */
static bool is_ours(struct weir_str name)
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

static void check_mods(const struct weir_plan *plan, const struct filters *f,
		       const struct weir_http1_head *out)
{
	for (int of = 0; of < 2; of++) {
		for (uint32_t i = 0; i < f->mods[of].n; i++) {
			struct weir_str name = weir_plan_str(
				plan, f->mods[of].v[i].name);
			struct weir_str want = WEIR_STR_NULL;
			struct weir_str have = WEIR_STR_NULL;
			int op = last_op(plan, f, name, &want);
			size_t n = count(out, name, &have);

			if (is_ours(name)) {
				continue;
			}
			check(op != WEIR_HEADER_REMOVE || n == 0,
			      "a removed field is there");
			check(op != WEIR_HEADER_SET ||
				      (n == 1 && weir_str_eq(have, want)),
			      "a set field is not as set");
			check(op != WEIR_HEADER_ADD || n >= 1,
			      "an added field is not there");
		}
	}
}

static void check_request(const struct weir_plan *plan, const struct filters *f,
			  const struct weir_http1_head *h, size_t n)
{
	struct weir_http1_head again = {.fields = again_fields,
					.ids = again_ids,
					.max_fields = FIELDS_MAX + 32,
					.max_target = 2 * IN_MAX};
	_cleanup_buf_ struct weir_buf data = {0};
	struct weir_str value;
	struct strict s;
	size_t pos = 0;
	size_t size;

	check(weir_http1_find_end(room, n, &pos, &size) == WEIR_HTTP1_OK &&
		      size == n,
	      "the head does not end where it ends");
	check(weir_http1_parse_request(room, n, &again) == WEIR_HTTP1_OK,
	      "the head does not parse");
	strict_request(room, n, false, &s, &data);
	check(s.head == STRICT_WHOLE && s.head_n == n,
	      "the head is malformed for another reader");
	check(again.framing == h->framing && again.length == h->length &&
		      s.is_chunked == (h->framing == WEIR_FRAMING_CHUNKED) &&
		      s.has_length == (h->framing == WEIR_FRAMING_LENGTH),
	      "framing is not as it came");
	check(weir_str_eq(again.method, h->method) &&
		      weir_str_eq(again.query, h->query),
	      "method or query are not as they came");
	check(f->rewrite.path_mod || weir_str_eq(again.path, h->path),
	      "the path is not as it came");
	check(f->rewrite.path_mod != WEIR_PATH_MOD_FULL ||
		      weir_str_eq(again.path,
				  weir_plan_str(plan, f->rewrite.path)),
	      "the path is not as the filter has it");
	check(f->rewrite.hostname.n || !h->host.n ||
		      last_op(plan, f, WEIR_STR("host"), &value) >= 0 ||
		      weir_str_eq(again.host, h->host),
	      "Host is not as it came");
	check(!f->rewrite.hostname.n ||
		      weir_str_eq(again.host,
				  weir_plan_str(plan, f->rewrite.hostname)),
	      "Host is not as the filter has it");
	check(!(again.flags & WEIR_HEAD_CLOSE) && !s.is_closing,
	      "Connection was passed on");
	check_mods(plan, f, &again);
}

static void check_response(const struct weir_plan *plan,
			   const struct filters *f,
			   const struct weir_http1_head *h, size_t n)
{
	struct weir_http1_head again = {.fields = again_fields,
					.ids = again_ids,
					.max_fields = FIELDS_MAX + 32};
	_cleanup_buf_ struct weir_buf data = {0};
	struct strict s;

	check(weir_http1_parse_response(room, n, &again) == WEIR_HTTP1_OK,
	      "the head does not parse");
	strict_response(room, n, true, &s, &data);
	check(s.head == STRICT_WHOLE && s.head_n == n,
	      "the head is malformed for another reader");
	check(again.status == h->status && again.framing == h->framing &&
		      again.length == h->length,
	      "status or framing are not as they came");
	check_mods(plan, f, &again);
}

static void rewrite(struct weir_plan *plan, const struct filters *f,
		    const struct weir_span spans[2], uint8_t flags,
		    const struct weir_http1_head *h)
{
	static const struct weir_frontend frontend = {.port_be = 0x5000};
	struct weir_rule rule = {.filters = spans[0]};
	struct weir_ref ref = {.filters = spans[1]};
	struct weir_rewrite rw = {.plan = plan,
				  .frontend = &frontend,
				  .rule = &rule,
				  .ref = &ref};
	struct weir_out o = {.p = room, .end = room + sizeof(room)};

	rule.flags = flags & 2 ? WEIR_RULE_NO_FORWARDED : 0;
	if (flags & 1) {
		weir_rewrite_response(&rw, h,
				      WEIR_STR("Thu, 01 Jan 1970 00:00:00 GMT"),
				      WEIR_STR_NULL, h->framing, &o);
	} else {
		weir_rewrite_request(&rw, h, &o);
	}
	check(!o.is_full, "there was no room");
	if (flags & 1) {
		check_response(plan, f, h, (size_t)(o.p - room));
	} else {
		check_request(plan, f, h, (size_t)(o.p - room));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_http1_head h = {.fields = fields,
				    .ids = ids,
				    .max_fields = FIELDS_MAX,
				    .max_target = IN_MAX};
	struct weir_span spans[2];
	struct filters f = {0};
	struct weir_writer w;
	struct weir_str head;
	size_t block_size;
	size_t pos = 0;
	size_t n = 0;
	void *block;

	if (size < 2 || size > IN_MAX) {
		return 0;
	}
	head = (struct weir_str){(const char *)data + 1, size - 1};
	weir_writer_init(&w, sizeof(struct weir_plan));
	read_filters(&w, &f, &head);
	for (int of = 0; of < 2; of++) {
		put_filters(&w, &f, of,
			    data[0] & 1 ? WEIR_FILTER_RESPONSE_HEADERS
					: WEIR_FILTER_REQUEST_HEADERS,
			    &spans[of]);
	}
	if (weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, &block_size) < 0) {
		return 0;
	}
	if (weir_http1_find_end(head.p, head.n, &pos, &n) == WEIR_HTTP1_OK &&
	    n) {
		enum weir_http1_error e =
			data[0] & 1 ? weir_http1_parse_response(head.p, n, &h)
				    : weir_http1_parse_request(head.p, n, &h);

		/* A prefix is replaced only where it matched. */
		if (!e &&
		    (f.rewrite.path_mod != WEIR_PATH_MOD_PREFIX ||
		     is_matched(
			     h.path,
			     weir_plan_str(block, f.rewrite.matched_prefix)))) {
			rewrite(block, &f, spans, data[0], &h);
		}
	}
	weir_free_ptr(&block);
	return 0;
}
