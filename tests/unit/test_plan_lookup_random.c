/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random plans and requests against a reference that knows no index: it walks
 * hostnames and matches in order, as the specification reads.
 */
#include "plan_site.h"

static uint64_t rng_state = 0x853C49E6748FEA9Bu;
static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return (uint32_t)((rng_state * 2685821657736338717u) >> 33) % below;
}

static const char *const some_paths[] = {
	"/",     "/a", "/a/",  "/a/b", "/a/b/",  "/a/b/c",       "/ab",
	"/a/bc", "/b", "/b/a", "//",   "/a//b",  "/a/b/c/d/e/f", "/c",
	"/%61",  "/A", "",     "*",    "/a/b/c/"};
static const char *const some_regexes[] = {"/a.*", "/[ab]/.*", "/.*/c", ".*",
					   "/a/b/?"};
static const char *const some_hosts[] = {"",      "a.x", "*.x",  "b.a.x",
					 "*.a.x", "x",   "y.z",  "*.y.z",
					 "*.z",   "z",   "a.b.x"};
static const char *const some_methods[] = {"", "", "", "GET", "POST"};
static const char *const some_values[] = {"1", "2", "1,2", ""};
static const char *const some_names[] = {"x-a", "x-b"};
static const char *const some_queries[] = {
	NULL,        "",         "x-a=1", "x-a=2&x-b=1", "x-b=2&x-a=%31",
	"x-a&x-b=1", "x-b=1%2c2"};

#define ANY(v) ((v)[rng((uint32_t)N_OF(v))])

static void random_conds(struct cond *c)
{
	uint32_t n = rng(4) == 0 ? 1 + rng(2) : 0;

	for (uint32_t i = 0; i < n; i++) {
		c[i] = (struct cond){some_names[i], ANY(some_values), false};
	}
}

static void random_site(struct site *s)
{
	*s = (struct site){.flags = rng(4) == 0};
	s->n_hosts = 1 + rng(HOSTS_MAX - 1);
	for (size_t h = 0; h < s->n_hosts; h++) {
		struct host *host = &s->host[h];

		host->name = some_hosts[h];
		host->n_tables = 1 + rng(TABLES_MAX);
		for (size_t t = 0; t < host->n_tables; t++) {
			uint32_t n = rng(MATCHES_MAX);

			host->table[t].n = n;
			for (uint32_t i = 0; i < n; i++) {
				struct match *m = &host->table[t].v[i];

				/* All but GRPCRoutes', which have tables of
				 * their own. */
				m->type = rng(WEIR_PATH_GRPC_METHOD);
				m->path = m->type == WEIR_PATH_REGEX
						  ? ANY(some_regexes)
						  : ANY(some_paths);
				m->method = ANY(some_methods);
				random_conds(m->header);
				random_conds(m->query);
			}
		}
	}
}

static size_t key_length(const struct match *m)
{
	size_t n = strlen(m->path);

	while (n && m->path[n - 1] == '/') {
		n--;
	}
	return n;
}

/* Rank of the path types in a table; what is kept in the list goes by place. */
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

static void sort_site(struct site *s)
{
	for (size_t h = 0; h < s->n_hosts; h++) {
		for (size_t t = 0; t < s->host[h].n_tables; t++) {
			struct match *v = s->host[h].table[t].v;

			for (size_t i = 1; i < s->host[h].table[t].n; i++) {
				for (size_t k = i;
				     k && goes_before(&v[k], &v[k - 1]); k--) {
					struct match x = v[k];

					v[k] = v[k - 1];
					v[k - 1] = x;
				}
			}
		}
	}
}

/* What the reference sees of a request: everything already decoded. */
struct asked {
	const char *host;
	const char *path;
	const char *method;
	const char *header[2]; /* joined value of some_names[i], or NULL */
	const char *query[2];
};

static bool ref_conds(const struct cond *c, const char *const value[2])
{
	for (size_t i = 0; i < 3 && c[i].name; i++) {
		const char *have = NULL;

		for (size_t k = 0; k < 2; k++) {
			if (strcmp(c[i].name, some_names[k]) == 0) {
				have = value[k];
			}
		}
		if (!have || strcmp(have, c[i].value) != 0) {
			return false;
		}
	}
	return true;
}

/* The five patterns by hand, so that PCRE2 is checked as well. */
static bool ref_regex(const char *re, const char *p)
{
	size_t n = strlen(p);

	if (strcmp(re, "/a.*") == 0) {
		return strncmp(p, "/a", 2) == 0;
	}
	if (strcmp(re, "/[ab]/.*") == 0) {
		return strncmp(p, "/a/", 3) == 0 || strncmp(p, "/b/", 3) == 0;
	}
	if (strcmp(re, "/.*/c") == 0) {
		return n >= 3 && p[0] == '/' && strcmp(p + n - 2, "/c") == 0;
	}
	if (strcmp(re, "/a/b/?") == 0) {
		return strcmp(p, "/a/b") == 0 || strcmp(p, "/a/b/") == 0;
	}
	return true;
}

static bool ref_path(const struct match *m, const char *p)
{
	size_t n = key_length(m);

	switch (m->type) {
	case WEIR_PATH_EXACT:
		return strcmp(m->path, p) == 0;
	case WEIR_PATH_PREFIX:
		return strncmp(m->path, p, n) == 0 &&
		       (p[n] == 0 || p[n] == '/');
	case WEIR_PATH_REGEX:
		return ref_regex(m->path, p);
	default:
		return strncmp(m->path, p, strlen(m->path)) == 0;
	}
}

/* 0: does not cover; else the more the more specific. */
static int ref_covers(const char *name, const char *host)
{
	size_t n = strlen(name);
	size_t h = strlen(host);

	if (n == 0) {
		return 1;
	}
	if (name[0] != '*') {
		return strcmp(name, host) == 0 ? 1000 : 0;
	}
	return h > n - 1 && strcmp(host + h - (n - 1), name + 1) == 0
		       ? (int)n + 1
		       : 0;
}

static int ref_decide(const struct site *s, const struct asked *a)
{
	const struct host *host = NULL;
	int best = 0;
	int rule = 0;
	int first = 0;

	for (size_t h = 0; h < s->n_hosts; h++) {
		int covers = ref_covers(s->host[h].name, a->host);

		if (covers > best) {
			best = covers;
			host = &s->host[h];
			first = rule;
		}
		for (size_t t = 0; t < s->host[h].n_tables; t++) {
			rule += (int)s->host[h].table[t].n;
		}
	}
	rule = first;
	for (size_t t = 0; host && t < host->n_tables; t++) {
		for (size_t i = 0; i < host->table[t].n; i++, rule++) {
			const struct match *m = &host->table[t].v[i];

			if (ref_path(m, a->path) &&
			    (!m->method[0] ||
			     strcmp(m->method, a->method) == 0) &&
			    ref_conds(m->header, a->header) &&
			    ref_conds(m->query, a->query)) {
				return rule;
			}
		}
	}
	return -1;
}

/* The queries above, decoded by hand. */
static void ref_query(const char *q, const char *ret[2])
{
	ret[0] = NULL;
	ret[1] = NULL;
	if (!q || !*q) {
		return;
	}
	if (strcmp(q, "x-a=1") == 0) {
		ret[0] = "1";
	} else if (strcmp(q, "x-a=2&x-b=1") == 0) {
		ret[0] = "2";
		ret[1] = "1";
	} else if (strcmp(q, "x-b=2&x-a=%31") == 0) {
		ret[0] = "1";
		ret[1] = "2";
	} else if (strcmp(q, "x-a&x-b=1") == 0) {
		ret[0] = "";
		ret[1] = "1";
	} else {
		ret[1] = "1,2";
	}
}

/* Counts into found and agreed. */
static void one_request(const struct site *site, const struct built *b,
			unsigned *found, unsigned *agreed)
{
	static const char *const hosts[] = {"a.x", "x",     "q.x",    "b.a.x",
					    "y.z", "w.y.z", "",       "w",
					    "z",   "a.b.x", "c.b.a.x"};
	struct weir_header h[4];
	struct asked a = {.host = ANY(hosts),
			  .path = ANY(some_paths),
			  .method = rng(2) ? "GET" : "POST"};
	const char *query = ANY(some_queries);
	struct weir_request r = {.method = weir_str_of(a.method),
				 .host = weir_str_of(a.host),
				 .path = weir_str_of(a.path),
				 .query = weir_str_of(query),
				 .headers = h};

	ref_query(query, a.query);
	for (int i = 0; i < 2; i++) {
		struct weir_str name = weir_str_of(some_names[i]);

		switch (rng(4)) {
		case 0:
			continue;
		case 1: /* two lines */
			h[r.n_headers++] = (struct weir_header){name,
								WEIR_STR("1")};
			h[r.n_headers++] = (struct weir_header){name,
								WEIR_STR("2")};
			a.header[i] = "1,2";
			break;
		default:
			a.header[i] = ANY(some_values);
			h[r.n_headers++] = (struct weir_header){
				name, weir_str_of(a.header[i])};
			break;
		}
	}
	*found += ref_decide(site, &a) >= 0;
	*agreed += (unsigned)ok(decide(b, &r) == ref_decide(site, &a),
				"%s http://%s%s?%s: rule %d, expected %d",
				a.method, a.host, a.path, query ? query : "",
				decide(b, &r), ref_decide(site, &a));
}

static void random_plans_against_the_reference(void)
{
	static struct site site;
	unsigned found = 0;
	unsigned agreed = 0;

	for (int round = 0; round < 300; round++) {
		struct built b = {0};

		random_site(&site);
		if (!site.flags) {
			sort_site(&site);
		}
		build(&site, &b);
		for (int i = 0; i < 300; i++) {
			one_request(&site, &b, &found, &agreed);
		}
		built_fini(&b);
	}
	ok(agreed == 300 * 300, "%u of 90000 agree", agreed);
	ok(found > 40000 && found < 89000, "%u of 90000 are found", found);
}

TAP_MAIN(TEST(random_plans_against_the_reference))
