/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matcher beside one that knows no index: it walks hostnames and matches in
 * order, as the specification reads.  The first byte says whether the first
 * match wins (KIngress); then come lines:
 *
 *	h HOST           another virtual host; "*.x" and the empty one, too
 *	t                another table of it
 *	0 PATH ... 3     a match of that enum weir_path_type
 *	M METHOD         ... for that method
 *	H NAME=VALUE     ... with that header; Q: with that query parameter
 *	R METHOD HOST PATH?QUERY
 *	F NAME=VALUE     a header of the request before it
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#include "../unit/plan_site.h"

#define MATCHES_TOTAL 60
#define REQUESTS 8
#define FIELDS 6
#define TEXT_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct asked {
	const char *method;
	const char *host;
	const char *path;
	const char *query; /* NULL: no "?" */
	struct weir_header field[FIELDS];
	size_t n_fields;
};

static struct site site;
static struct asked request[REQUESTS];
static size_t n_requests;

/* Only what compile/ would let through. */
static bool is_host(const char *s)
{
	if (!*s) {
		return true;
	}
	if (s[0] == '*') {
		if (s[1] != '.') {
			return false;
		}
		s += 2;
	}
	for (const char *p = s; *p; p++) {
		if (!islower(*p) && !isdigit(*p) && *p != '-' && *p != '.') {
			return false;
		}
	}
	return s[0] && s[0] != '.' && s[strlen(s) - 1] != '.' &&
	       !strstr(s, "..");
}

/* Letters, slashes and dots, each perhaps with a star. */
static bool is_simple_regex(const char *s)
{
	for (; *s; s++) {
		if (!islower(*s) && *s != '/' && *s != '.') {
			return false;
		}
		s += s[1] == '*';
	}
	return true;
}

static bool ref_regex(const char *re, const char *s)
{
	bool is_one;

	if (!*re) {
		return !*s;
	}
	is_one = *s && (*re == '.' ? *s != '\n' : *re == *s);
	if (re[1] == '*') {
		return ref_regex(re + 2, s) || (is_one && ref_regex(re, s + 1));
	}
	return is_one && ref_regex(re + 1, s + 1);
}

static size_t key_length(const struct match *m)
{
	size_t n = strlen(m->path);

	while (n && m->path[n - 1] == '/') {
		n--;
	}
	return n;
}

static bool ref_path(const struct match *m, const char *p)
{
	size_t n = key_length(m);

	switch (m->type) {
	case WEIR_PATH_EXACT:
		return strcmp(m->path, p) == 0;
	case WEIR_PATH_PREFIX:
		return strncmp(m->path, p, n) == 0 && (!p[n] || p[n] == '/');
	case WEIR_PATH_REGEX:
		return ref_regex(m->path, p);
	default:
		return strncmp(m->path, p, strlen(m->path)) == 0;
	}
}

static int hex_of(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower(c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* s[0..n) decoded is want. */
static bool is_decoded(const char *s, size_t n, const char *want)
{
	for (size_t i = 0; i < n; want++) {
		char c = s[i++];

		if (c == '+') {
			c = ' ';
		} else if (c == '%' && i + 1 < n && hex_of(s[i]) >= 0 &&
			   hex_of(s[i + 1]) >= 0) {
			c = (char)(hex_of(s[i]) << 4 | hex_of(s[i + 1]));
			i += 2;
		}
		if (!*want || *want != c) {
			return false;
		}
	}
	return !*want;
}

/* The first parameter of that name counts. */
static bool ref_query(const struct cond *c, const char *q)
{
	while (q && *q) {
		size_t n = strcspn(q, "&");
		size_t key = strcspn(q, "=&");

		if (n && is_decoded(q, key, c->name)) {
			return key < n ? is_decoded(q + key + 1, n - key - 1,
						    c->value)
				       : !*c->value;
		}
		q += n + (q[n] == '&');
	}
	return false;
}

/* All lines of that name, joined. */
static bool ref_header(const struct cond *c, const struct asked *a)
{
	char have[FIELDS * TEXT_MAX];
	size_t n = 0;
	bool is_there = false;

	for (size_t i = 0; i < a->n_fields; i++) {
		struct weir_str value = a->field[i].value;

		if (!weir_str_eq_nocase(a->field[i].name,
					weir_str_of(c->name))) {
			continue;
		}
		if (is_there) {
			have[n++] = ',';
		}
		is_there = true;
		if (value.n) {
			memcpy(have + n, value.p, value.n);
		}
		n += value.n;
	}
	return is_there && weir_str_is((struct weir_str){have, n}, c->value);
}

static bool ref_match(const struct match *m, const struct asked *a)
{
	for (size_t i = 0; i < 3 && m->header[i].name; i++) {
		if (!ref_header(&m->header[i], a)) {
			return false;
		}
	}
	for (size_t i = 0; i < 3 && m->query[i].name; i++) {
		if (!ref_query(&m->query[i], a->query)) {
			return false;
		}
	}
	return ref_path(m, a->path) &&
	       (!m->method[0] || strcmp(m->method, a->method) == 0);
}

/* 0: does not cover; else the more the more specific. */
static size_t ref_covers(const char *name, const char *host)
{
	size_t n = strlen(name);
	size_t h = strlen(host);

	if (n == 0) {
		return 1;
	}
	if (name[0] != '*') {
		return strcmp(name, host) == 0 ? SIZE_MAX : 0;
	}
	return h > n - 1 && strcmp(host + h - (n - 1), name + 1) == 0 ? n + 1
								      : 0;
}

static int ref_decide(const struct asked *a)
{
	const struct host *host = NULL;
	size_t best = 0;
	int rule = 0;
	int first = 0;

	for (size_t h = 0; h < site.n_hosts; h++) {
		size_t covers = ref_covers(site.host[h].name, a->host);

		if (covers > best) {
			best = covers;
			host = &site.host[h];
			first = rule;
		}
		for (size_t t = 0; t < site.host[h].n_tables; t++) {
			rule += (int)site.host[h].table[t].n;
		}
	}
	rule = first;
	for (size_t t = 0; host && t < host->n_tables; t++) {
		for (size_t i = 0; i < host->table[t].n; i++, rule++) {
			if (ref_match(&host->table[t].v[i], a)) {
				return rule;
			}
		}
	}
	return -1;
}

/* ---------------------------------------------------------------- the site */

static int rank(const struct match *m)
{
	return m->type == WEIR_PATH_EXACT    ? 0
	       : m->type == WEIR_PATH_PREFIX ? 2
					     : 1;
}

/* Precedence as compile/ sorts it; ties keep their order. */
static bool goes_before(const struct match *a, const struct match *b)
{
	if (rank(a) != rank(b)) {
		return rank(a) < rank(b);
	}
	return rank(a) == 2 && key_length(a) > key_length(b);
}

static void sort_table(struct match *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		for (size_t k = i; k && goes_before(&v[k], &v[k - 1]); k--) {
			struct match x = v[k];

			v[k] = v[k - 1];
			v[k - 1] = x;
		}
	}
}

static void add_host(const char *name)
{
	for (size_t i = 0; i < site.n_hosts; i++) {
		if (strcmp(site.host[i].name, name) == 0) {
			return;
		}
	}
	if (site.n_hosts < HOSTS_MAX && is_host(name)) {
		struct host *h = &site.host[site.n_hosts++];

		h->name = name;
		h->n_tables = 1;
		h->table[0].n = 0;
	}
}

static struct match *last_match(void)
{
	struct host *h = &site.host[site.n_hosts - 1];
	size_t n = h->table[h->n_tables - 1].n;

	return n ? &h->table[h->n_tables - 1].v[n - 1] : NULL;
}

static void add_match(uint8_t type, const char *path, size_t *total)
{
	struct host *h = &site.host[site.n_hosts - 1];
	size_t t = h->n_tables - 1;
	struct match m = {.type = type, .path = path, .method = ""};

	if (*total >= MATCHES_TOTAL || h->table[t].n == MATCHES_MAX ||
	    (type == WEIR_PATH_REGEX && !is_simple_regex(path))) {
		return;
	}
	(*total)++;
	h->table[t].v[h->table[t].n++] = m;
}

static void add_cond(struct cond v[3], char *text, bool is_header)
{
	char *eq = strchr(text, '=');
	size_t n = 0;

	while (n < 3 && v[n].name) {
		n++;
	}
	if (n == 3 || !eq || eq == text) {
		return;
	}
	*eq = 0;
	for (char *p = text; is_header && *p; p++) {
		*p = (char)tolower(*p);
	}
	v[n].name = text;
	v[n].value = eq + 1;
}

static void add_request(char *text)
{
	struct asked *a = &request[n_requests];
	char *host = strchr(text, ' ');
	char *path = host ? strchr(host + 1, ' ') : NULL;
	char *query;

	if (!path || n_requests == REQUESTS) {
		return;
	}
	*host++ = 0;
	*path++ = 0;
	query = strchr(path, '?');
	if (query) {
		*query++ = 0;
	}
	if (!is_host(host) || host[0] == '*') {
		return;
	}
	*a = (struct asked){
		.method = text, .host = host, .path = path, .query = query};
	n_requests++;
}

static void add_field(char *text)
{
	struct asked *a = n_requests ? &request[n_requests - 1] : NULL;
	char *eq = strchr(text, '=');

	if (!a || !eq || eq == text || a->n_fields == FIELDS) {
		return;
	}
	a->field[a->n_fields++] = (struct weir_header){
		{text, (size_t)(eq - text)}, weir_str_of(eq + 1)};
}

static void read_line(char *line, size_t *total)
{
	char *rest = line[0] && line[1] == ' ' ? line + 2 : line + !!line[0];
	struct match *m = last_match();

	switch (line[0]) {
	case 'h':
		add_host(rest);
		break;
	case 't':
		site.host[site.n_hosts - 1].n_tables +=
			site.host[site.n_hosts - 1].n_tables < TABLES_MAX;
		break;
	case '0' ... '3':
		add_match((uint8_t)(line[0] - '0'), rest, total);
		break;
	case 'M':
		if (m) {
			m->method = rest;
		}
		break;
	case 'H':
	case 'Q':
		if (m) {
			add_cond(line[0] == 'H' ? m->header : m->query, rest,
				 line[0] == 'H');
		}
		break;
	case 'R':
		add_request(rest);
		break;
	case 'F':
		add_field(rest);
		break;
	default:
		break;
	}
}

static void check_all(const struct built *b)
{
	for (size_t i = 0; i < n_requests; i++) {
		const struct asked *a = &request[i];
		struct weir_request r = {.method = weir_str_of(a->method),
					 .host = weir_str_of(a->host),
					 .path = weir_str_of(a->path),
					 .query = weir_str_of(a->query),
					 .headers = a->field,
					 .n_headers = a->n_fields};
		int expected = ref_decide(a);
		int got = decide(b, &r);

		if (got != expected) {
			fprintf(stderr, "%s %s %s?%s: rule %d, expected %d\n",
				a->method, a->host, a->path,
				a->query ? a->query : "", got, expected);
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct built b = {0};
	size_t total = 0;
	char *text;
	char *next;

	if (size < 1 || size > TEXT_MAX) {
		return 0;
	}
	text = calloc(1, size);
	if (!text) {
		return 0;
	}
	memcpy(text, data + 1, size - 1);
	memset(&site, 0, sizeof(site));
	n_requests = 0;
	site.flags = data[0] & 1 ? WEIR_LISTENER_FIRST_MATCH : 0;
	add_host("");
	for (char *line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next) {
			*next++ = 0;
		}
		read_line(line, &total);
	}
	for (size_t h = 0; h < site.n_hosts && !site.flags; h++) {
		for (size_t t = 0; t < site.host[h].n_tables; t++) {
			sort_table(site.host[h].table[t].v,
				   site.host[h].table[t].n);
		}
	}
	build(&site, &b);
	check_all(&b);
	built_fini(&b);
	weir_free_ptr(&text);
	return 0;
}
