/* SPDX-License-Identifier: Apache-2.0 */
#include "prefetch.h"

#include "index.h"

/* What is read next: it was fetched by the step before. */
enum step {
	STEP_HOST,  /* the place of the host in its hash */
	STEP_VHOST, /* where its name and tables are */
	STEP_TABLE, /* where its matches are */
	STEP_PATH,  /* the places of the path in their hash */
	STEP_MATCH,
	STEP_RULE,
	STEP_DONE,
};

/* Always inlined, here and below: gcc takes a function that only fetches for
 * one without effect, and leaves its calls out. */
static inline __attribute__((always_inline)) void fetch(const void *p, size_t n)
{
	__builtin_prefetch(p);
	__builtin_prefetch((const char *)p + n - 1);
}

static inline __attribute__((always_inline)) void
fetch_vhost(struct weir_prefetch *a, uint32_t i)
{
	a->vhost = WEIR_PLAN_ELEM(a->plan, struct weir_vhost,
				  a->listener->vhosts, i);
	fetch(a->vhost, sizeof(*a->vhost));
	a->step = STEP_VHOST;
}

void weir_prefetch_begin(const struct weir_plan *plan,
			 const struct weir_frontend *frontend,
			 struct weir_str host, struct weir_str path,
			 struct weir_prefetch *ret_prefetch)
{
	struct weir_prefetch *a = ret_prefetch;
	uint32_t i = weir_index_find_listener(plan, frontend, host);

	*a = (struct weir_prefetch){
		.plan = plan, .path = path, .step = STEP_DONE};
	if (i == WEIR_NONE) {
		return;
	}
	a->listener = WEIR_PLAN_ELEM(plan, struct weir_listener,
				     frontend->listeners, i);
	if (a->listener->vhosts.n == 1) {
		fetch_vhost(a, 0);
	} else if (a->listener->host_index.n) {
		a->host_hash = weir_index_host_hash(host);
		__builtin_prefetch(weir_index_place(
			plan, a->listener->host_index, a->host_hash));
		a->step = STEP_HOST;
	}
}

static inline __attribute__((always_inline)) void
read_vhost(struct weir_prefetch *a)
{
	const struct weir_vhost *v = a->vhost;
	const char *table = weir_plan_at(a->plan, v->tables);

	if (v->tables.n == 0) {
		a->step = STEP_DONE;
		return;
	}
	__builtin_prefetch(weir_plan_at(a->plan, v->hostname));
	fetch(table, sizeof(struct weir_table));
	/* Where compile/ puts its hash of prefixes, which is small mostly. */
	__builtin_prefetch(table - 64);
	a->step = STEP_TABLE;
}

/* The prefixes of the path, shorter ones being dropped where there are many. */
static inline __attribute__((always_inline)) void
read_table(struct weir_prefetch *a)
{
	const struct weir_table *t = weir_plan_at(a->plan, a->vhost->tables);
	uint64_t h = WEIR_INDEX_PATH_SEED;

	a->step = STEP_DONE;
	if (t->prefix.n == 0) {
		return;
	}
	for (size_t i = 0; i <= a->path.n; i++) {
		if ((i == a->path.n || a->path.p[i] == '/') &&
		    (i == 0 || a->path.p[i - 1] != '/')) {
			uint32_t hash = weir_index_fold(h);

			a->hashes[a->n_hashes++ % WEIR_PREFETCH_PATHS] = hash;
			__builtin_prefetch(
				weir_index_place(a->plan, t->prefix, hash));
			a->step = STEP_PATH;
		}
		if (i < a->path.n) {
			h = weir_index_path_step(h, a->path.p[i]);
		}
	}
}

static inline __attribute__((always_inline)) void
read_paths(struct weir_prefetch *a)
{
	const struct weir_table *t = weir_plan_at(a->plan, a->vhost->tables);
	uint32_t n = a->n_hashes < WEIR_PREFETCH_PATHS ? a->n_hashes
						       : WEIR_PREFETCH_PATHS;

	a->step = STEP_DONE;
	for (uint32_t k = 1; k <= n; k++) {
		uint32_t i = weir_index_peek(
			a->plan, t->prefix,
			a->hashes[(a->n_hashes - k) % WEIR_PREFETCH_PATHS]);

		if (i != WEIR_NONE) {
			a->match = WEIR_PLAN_ELEM(a->plan, struct weir_match,
						  t->matches, i);
			fetch(a->match, sizeof(*a->match));
			a->step = STEP_MATCH;
			return;
		}
	}
}

bool weir_prefetch_step(struct weir_prefetch *prefetch)
{
	struct weir_prefetch *a = prefetch;
	uint32_t i;

	switch ((enum step)a->step) {
	case STEP_HOST:
		i = weir_index_peek(a->plan, a->listener->host_index,
				    a->host_hash);
		a->step = STEP_DONE;
		if (i != WEIR_NONE) {
			fetch_vhost(a, i);
		}
		break;
	case STEP_VHOST:
		read_vhost(a);
		break;
	case STEP_TABLE:
		read_table(a);
		break;
	case STEP_PATH:
		read_paths(a);
		break;
	case STEP_MATCH:
		__builtin_prefetch(weir_plan_at(a->plan, a->match->path));
		a->rule = WEIR_PLAN_ELEM(a->plan, struct weir_rule,
					 a->plan->rules, a->match->rule);
		fetch(a->rule, sizeof(*a->rule));
		a->step = STEP_RULE;
		break;
	case STEP_RULE:
		__builtin_prefetch(weir_plan_at(a->plan, a->rule->slots));
		fetch(weir_plan_at(a->plan, a->rule->refs),
		      sizeof(struct weir_ref));
		a->step = STEP_DONE;
		break;
	default:
		break;
	}
	return a->step != STEP_DONE;
}
