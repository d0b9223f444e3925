// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

void weir_memory_fini(struct weir_memory *m)
{
	weir_free_ptr(&m->formers);
	weir_free_ptr(&m->rests);
	weir_free_ptr(&m->lapsed);
	weir_free_ptr(&m->restless);
	*m = (struct weir_memory){0};
}

/* ------------------------------------------------------------------ recall */

static bool is_restless(const struct weir_memory_rest *r, uint64_t now_ms)
{
	return r->until_ms == 0 || now_ms < r->until_ms;
}

int weir_memory_recall(struct weir_memory *m, uint64_t now_ms,
		       const struct weir_plan *before,
		       struct weir_compile_memory *ret_memory)
{
	struct weir_compile_memory out = {.before = before};

	weir_free_ptr(&m->lapsed);
	weir_free_ptr(&m->restless);
	m->lapsed = calloc(m->n_formers + 1, sizeof(*m->lapsed));
	m->restless = calloc(m->n_rests + 1, sizeof(*m->restless));
	if (!m->lapsed || !m->restless) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->n_formers; i++) {
		struct weir_memory_former *f = &m->formers[i];

		if (now_ms >= f->until_ms) {
			f->has_lapsed = true;
			m->lapsed[out.n_lapsed++] = f->addr;
		}
	}
	for (size_t i = 0; i < m->n_rests; i++) {
		if (is_restless(&m->rests[i], now_ms)) {
			m->restless[out.n_restless++] = m->rests[i].key;
		}
	}
	out.lapsed = m->lapsed;
	out.restless = m->restless;
	*ret_memory = out;
	return 0;
}

/* ------------------------------------------------------------------- learn */

/* Those that are served, with the time they have; what is served no more is
 * forgotten. */
static void learn_formers(struct weir_memory *m, uint64_t now_ms,
			  const struct weir_verdicts *v)
{
	struct weir_memory_former *fresh = calloc(v->n_formers + 1,
						  sizeof(*fresh));
	size_t old = 0;

	if (!fresh) {
		return;
	}
	for (uint32_t i = 0; i < v->n_formers; i++) {
		const struct weir_ip *ip = &v->formers[i];

		while (old < m->n_formers &&
		       memcmp(&m->formers[old].addr, ip, sizeof(*ip)) < 0) {
			old++;
		}
		fresh[i].addr = *ip;
		fresh[i].until_ms = now_ms + WEIR_FORMER_MS;
		if (old < m->n_formers &&
		    memcmp(&m->formers[old].addr, ip, sizeof(*ip)) == 0) {
			fresh[i].until_ms = m->formers[old].until_ms;
		}
	}
	weir_free_ptr(&m->formers);
	m->formers = fresh;
	m->n_formers = v->n_formers;
}

/* How long a rule rests once it is awake, if it sleeps now. */
static uint32_t next_rest(const struct weir_memory_rest *r)
{
	if (!r) {
		return WEIR_REST_FIRST_MS;
	}
	if (r->until_ms == 0) {
		return r->rest_ms; /* it sleeps still */
	}
	/* Those that have been awake for long were forgotten. */
	return r->rest_ms * 2 < WEIR_REST_MAX_MS ? r->rest_ms * 2
						 : WEIR_REST_MAX_MS;
}

static bool is_remembered(const struct weir_memory_rest *r, uint64_t now_ms)
{
	return now_ms < r->until_ms + (uint64_t)3 * r->rest_ms;
}

/* Both are in order of key. */
static void learn_rests(struct weir_memory *m, uint64_t now_ms,
			const struct weir_verdicts *v)
{
	struct weir_memory_rest *fresh = calloc(m->n_rests + v->n_asleep + 1,
						sizeof(*fresh));
	size_t n = 0;
	size_t old = 0;
	uint32_t i = 0;

	if (!fresh) {
		return;
	}
	while (i < v->n_asleep || old < m->n_rests) {
		const struct weir_memory_rest *r = NULL;
		bool is_asleep;

		if (old < m->n_rests &&
		    (i == v->n_asleep || m->rests[old].key <= v->asleep[i])) {
			r = &m->rests[old++];
		}
		is_asleep = i < v->n_asleep && (!r || r->key == v->asleep[i]);
		if (is_asleep) {
			fresh[n++] = (struct weir_memory_rest){
				.key = v->asleep[i++], .rest_ms = next_rest(r)};
		} else if (r) {
			fresh[n] = *r;
			if (r->until_ms == 0) {
				fresh[n].until_ms = now_ms + r->rest_ms;
			}
			n += is_remembered(&fresh[n], now_ms);
		}
	}
	weir_free_ptr(&m->rests);
	m->rests = fresh;
	m->n_rests = n;
}

void weir_memory_learn(struct weir_memory *m, uint64_t now_ms,
		       const struct weir_verdicts *v)
{
	learn_formers(m, now_ms, v);
	learn_rests(m, now_ms, v);
}

/* --------------------------------------------------------------------- due */

static void earlier(uint64_t *due, uint64_t at_ms, uint64_t now_ms)
{
	uint64_t left = at_ms > now_ms ? at_ms - now_ms : 1;

	if (*due == 0 || left < *due) {
		*due = left;
	}
}

uint64_t weir_memory_due(const struct weir_memory *m, uint64_t now_ms)
{
	uint64_t due = 0;

	for (size_t i = 0; i < m->n_formers; i++) {
		if (!m->formers[i].has_lapsed) {
			earlier(&due, m->formers[i].until_ms, now_ms);
		}
	}
	for (size_t i = 0; i < m->n_rests; i++) {
		/* Past: the compilation knew. */
		if (m->rests[i].until_ms > now_ms) {
			earlier(&due, m->rests[i].until_ms, now_ms);
		}
	}
	return due;
}
