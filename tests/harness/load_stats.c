/* SPDX-License-Identifier: Apache-2.0 */
#include "load_stats.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

static const char *const error_names[_LOAD_ERROR_MAX] = {
#define LOAD_ERROR_NAME(name, text) [LOAD_##name] = (text),
	LOAD_ERRORS(LOAD_ERROR_NAME)
#undef LOAD_ERROR_NAME
};

const char *load_error_name(enum load_error error)
{
	return error_names[error];
}

uint64_t load_epoch_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Values below STEPS have a bucket each; above, an octave has STEPS. */
static unsigned int bucket_of(uint64_t us)
{
	unsigned int shift;

	if (us < LOAD_HIST_STEPS) {
		return (unsigned int)us;
	}
	shift = 63 - (unsigned int)__builtin_clzll(us) - 5;
	us = (us >> shift) + (uint64_t)shift * LOAD_HIST_STEPS;
	return us < LOAD_HIST_BUCKETS ? (unsigned int)us
				      : LOAD_HIST_BUCKETS - 1;
}

static uint64_t bucket_top(unsigned int i)
{
	unsigned int shift = i / LOAD_HIST_STEPS;

	if (shift < 2) {
		return i;
	}
	shift--;
	return ((uint64_t)(i - shift * LOAD_HIST_STEPS + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t us)
{
	h->n++;
	h->sum_us += us;
	h->max_us = us > h->max_us ? us : h->max_us;
	h->count[bucket_of(us)]++;
}

uint64_t load_hist_quantile(const struct load_hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n);
	uint64_t seen = 0;

	for (unsigned int i = 0; i < LOAD_HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > want) {
			uint64_t top = bucket_top(i);

			return top < h->max_us ? top : h->max_us;
		}
	}
	return h->max_us;
}

void load_stats_init(struct load_stats *s)
{
	*s = (struct load_stats){.begin_us = load_epoch_us(), .n_phases = 1};
	s->phases[0].begin_us = s->begin_us;
}

int load_stats_next_phase(struct load_stats *s)
{
	if (s->n_phases == LOAD_PHASES_MAX) {
		return -ENOSPC;
	}
	s->phases[s->n_phases++].begin_us = load_epoch_us();
	return 0;
}

static struct load_backend *backend_of(struct load_phase *p,
				       struct weir_str name)
{
	struct load_backend *b;

	for (unsigned int i = 0; i < p->n_backends; i++) {
		if (weir_str_is(name, p->backends[i].name)) {
			return &p->backends[i];
		}
	}
	if (p->n_backends == LOAD_BACKENDS_MAX) {
		/* More names than this share the last place. */
		return &p->backends[LOAD_BACKENDS_MAX - 1];
	}
	b = &p->backends[p->n_backends++];
	memcpy(b->name, name.p,
	       name.n < LOAD_NAME_MAX - 1 ? name.n : LOAD_NAME_MAX - 1);
	b->first_us = UINT64_MAX;
	return b;
}

void load_stats_ok(struct load_stats *s, unsigned int phase, uint64_t begin_us,
		   uint64_t latency_us, struct weir_str name)
{
	struct load_phase *p = &s->phases[phase];
	struct load_backend *b;

	if (name.n >= LOAD_NAME_MAX) {
		name.n = LOAD_NAME_MAX - 1;
	}
	b = backend_of(p, name);
	p->completed++;
	b->n++;
	b->first_us = begin_us < b->first_us ? begin_us : b->first_us;
	b->last_us = begin_us > b->last_us ? begin_us : b->last_us;
	load_hist_add(&s->latency, latency_us);
}

void load_stats_fail(struct load_stats *s, unsigned int phase,
		     enum load_error error)
{
	s->phases[phase].failed++;
	s->errors[error]++;
}

uint64_t load_stats_completed(const struct load_stats *s)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < s->n_phases; i++) {
		n += s->phases[i].completed;
	}
	return n;
}

uint64_t load_stats_failed(const struct load_stats *s)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < s->n_phases; i++) {
		n += s->phases[i].failed;
	}
	return n;
}

/* ------------------------------------------------------------------ output */

static double seconds(const struct load_stats *s)
{
	uint64_t end = s->end_us ? s->end_us : load_epoch_us();

	return end > s->begin_us ? (double)(end - s->begin_us) / 1e6 : 1e-6;
}

static void add_hist(struct weir_buf *b, const char *key,
		     const struct load_hist *h)
{
	weir_buf_printf(b,
			",\"%s\":{\"n\":%" PRIu64 ",\"mean\":%.1f"
			",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64
			",\"p99\":%" PRIu64 ",\"max\":%" PRIu64 "}",
			key, h->n,
			h->n ? (double)h->sum_us / (double)h->n : 0.0,
			load_hist_quantile(h, 0.5), load_hist_quantile(h, 0.9),
			load_hist_quantile(h, 0.99), h->max_us);
}

static void add_phase(struct weir_buf *b, const struct load_phase *p)
{
	weir_buf_printf(b,
			"{\"begin_us\":%" PRIu64 ",\"started\":%" PRIu64
			",\"completed\":%" PRIu64 ",\"failed\":%" PRIu64
			",\"backends\":{",
			p->begin_us, p->started, p->completed, p->failed);
	for (unsigned int i = 0; i < p->n_backends; i++) {
		const struct load_backend *e = &p->backends[i];

		weir_buf_addz(b, i ? "," : "");
		weir_buf_add_json(b, weir_str_of(e->name));
		weir_buf_printf(b,
				":{\"n\":%" PRIu64 ",\"first_us\":%" PRIu64
				",\"last_us\":%" PRIu64 "}",
				e->n, e->first_us, e->last_us);
	}
	weir_buf_addz(b, "}}");
}

/* {"name":count,...} over all phases; a name may recur in several. */
static void add_backends(struct weir_buf *b, const struct load_stats *s)
{
	static struct load_phase sum; /* too big for a stack */

	sum.n_backends = 0;
	memset(sum.backends, 0, sizeof(sum.backends));
	for (unsigned int i = 0; i < s->n_phases; i++) {
		const struct load_phase *p = &s->phases[i];

		for (unsigned int k = 0; k < p->n_backends; k++) {
			struct weir_str name = weir_str_of(p->backends[k].name);

			backend_of(&sum, name)->n += p->backends[k].n;
		}
	}
	weir_buf_addz(b, ",\"backends\":{");
	for (unsigned int i = 0; i < sum.n_backends; i++) {
		weir_buf_addz(b, i ? "," : "");
		weir_buf_add_json(b, weir_str_of(sum.backends[i].name));
		weir_buf_printf(b, ":%" PRIu64, sum.backends[i].n);
	}
	weir_buf_addz(b, "}");
}

void load_stats_json(const struct load_stats *s, const char *label,
		     struct weir_buf *b)
{
	uint64_t completed = load_stats_completed(s);
	const char *sep = "";
	uint64_t started = 0;

	for (unsigned int i = 0; i < s->n_phases; i++) {
		started += s->phases[i].started;
	}
	weir_buf_addz(b, "{\"label\":");
	weir_buf_add_json(b, weir_str_of(label));
	weir_buf_printf(b,
			",\"done\":%s,\"seconds\":%.3f,\"started\":%" PRIu64
			",\"completed\":%" PRIu64 ",\"failed\":%" PRIu64
			",\"in_flight\":%" PRIu64 ",\"behind\":%" PRIu64
			",\"connections\":%" PRIu64 ",\"rx_bytes\":%" PRIu64
			",\"rate\":%.1f",
			s->end_us ? "true" : "false", seconds(s), started,
			completed, load_stats_failed(s), s->in_flight,
			s->behind, s->connections, s->rx_bytes,
			(double)completed / seconds(s));
	add_hist(b, "latency_us", &s->latency);
	add_hist(b, "connect_us", &s->connect);
	add_backends(b, s);
	weir_buf_addz(b, ",\"statuses\":{");
	for (unsigned int i = 0; i < LOAD_STATUS_MAX; i++) {
		if (s->statuses[i]) {
			weir_buf_printf(b, "%s\"%u\":%" PRIu64, sep, i,
					s->statuses[i]);
			sep = ",";
		}
	}
	weir_buf_addz(b, "},\"errors\":{");
	sep = "";
	for (unsigned int i = 0; i < _LOAD_ERROR_MAX; i++) {
		if (s->errors[i]) {
			weir_buf_printf(b, "%s\"%s\":%" PRIu64, sep,
					error_names[i], s->errors[i]);
			sep = ",";
		}
	}
	weir_buf_addz(b, "},\"phases\":[");
	for (unsigned int i = 0; i < s->n_phases; i++) {
		weir_buf_addz(b, i ? "," : "");
		add_phase(b, &s->phases[i]);
	}
	weir_buf_addz(b, "]}");
}

void load_stats_line(const struct load_stats *s, struct weir_buf *b)
{
	const struct load_phase *p = &s->phases[s->n_phases - 1];
	uint64_t completed = load_stats_completed(s);

	weir_buf_printf(b,
			"%5.1f s %9" PRIu64 " done %5" PRIu64
			" failed %8.0f/s  p99 %" PRIu64 " us ",
			seconds(s), completed, load_stats_failed(s),
			(double)completed / seconds(s),
			load_hist_quantile(&s->latency, 0.99));
	for (unsigned int i = 0; i < p->n_backends && i < 8; i++) {
		weir_buf_printf(b, " %s %.1f%%", p->backends[i].name,
				100.0 * (double)p->backends[i].n /
					(double)p->completed);
	}
}
