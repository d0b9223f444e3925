/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <errno.h>
#include <stdlib.h>

#include "ask.h"
#include "cleanup.h"

#define IDS_MAX (1u << 24) /* of an agent that makes sense */

void weir_sample_fini(struct weir_sample *s)
{
	weir_free_ptr(&s->refs);
	weir_free_ptr(&s->rules);
	*s = (struct weir_sample){0};
}

/* Length of an array that holds every id of the list. */
static size_t room_for(const cJSON *list)
{
	const cJSON *item;
	size_t n = 0;

	cJSON_ArrayForEach(item, list)
	{
		double id = weir_json_number(item, "id");

		if (id >= 1 && id < IDS_MAX && (size_t)id >= n) {
			n = (size_t)id + 1;
		}
	}
	return n;
}

static size_t id_of(const cJSON *item, size_t n)
{
	double id = weir_json_number(item, "id");

	return id >= 1 && id < (double)n ? (size_t)id : 0;
}

static int read_refs(const cJSON *list, struct weir_sample *s)
{
	const cJSON *item;

	s->n_refs = room_for(list);
	s->refs = calloc(s->n_refs + 1, sizeof(*s->refs));
	if (!s->refs) {
		return -ENOMEM;
	}
	cJSON_ArrayForEach(item, list)
	{
		s->refs[id_of(item, s->n_refs)] = (struct weir_sample_ref){
			.connect = weir_json_number(item, "picked_connect"),
			.packet = weir_json_number(item, "picked_packet"),
			.proxy = weir_json_number(item, "picked_proxy"),
			.refused = weir_json_number(item, "refused"),
			.failed = weir_json_number(item, "failed"),
			.in_flight = weir_json_number(item, "in_flight"),
		};
	}
	return 0;
}

static int read_rules(const cJSON *list, struct weir_sample *s)
{
	const cJSON *item;

	s->n_rules = room_for(list);
	s->rules = calloc(s->n_rules + 1, sizeof(*s->rules));
	if (!s->rules) {
		return -ENOMEM;
	}
	cJSON_ArrayForEach(item, list)
	{
		struct weir_sample_rule *rule =
			&s->rules[id_of(item, s->n_rules)];
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(
			item, "status");

		rule->requests = weir_json_number(item, "requests");
		rule->in_flight = weir_json_number(item, "in_flight");
		for (int i = 0; i < 6; i++) {
			const cJSON *v = cJSON_GetArrayItem(status, i);

			rule->status[i] = cJSON_IsNumber(v) ? v->valuedouble
							    : 0;
		}
	}
	return 0;
}

static void read_proxy(const cJSON *totals, struct weir_sample_proxy *p)
{
	*p = (struct weir_sample_proxy){
		.clients = weir_json_number(totals, "clients_opened") -
			   weir_json_number(totals, "clients_closed"),
		.in_flight = weir_json_number(totals, "in_flight"),
		.requests = weir_json_number(totals, "requests"),
		.duration_us = weir_json_number(totals, "duration_us_sum"),
		.refused = weir_json_number(totals, "clients_refused"),
		.pool_idle = weir_json_number(totals, "pool_idle"),
	};
	p->ended = p->requests - p->in_flight;
}

int weir_sample_parse(struct weir_str text, struct weir_sample *ret_sample)
{
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	_cleanup_(weir_sample_fini) struct weir_sample s = {0};
	int r;

	json = cJSON_ParseWithLength(text.n ? text.p : "", text.n);
	if (!cJSON_IsObject(json) || weir_json_text(json, "error")[0]) {
		return -EBADMSG;
	}
	s.now_us = (uint64_t)weir_json_number(json, "now_us");
	s.generation = (uint64_t)weir_json_number(json, "generation");
	read_proxy(cJSON_GetObjectItemCaseSensitive(json, "totals"), &s.proxy);
	r = read_refs(cJSON_GetObjectItemCaseSensitive(json, "refs"), &s);
	if (r == 0) {
		r = read_rules(cJSON_GetObjectItemCaseSensitive(json, "rules"),
			       &s);
	}
	if (r < 0) {
		return r;
	}
	*ret_sample = s;
	s = (struct weir_sample){0};
	return 0;
}

int weir_sample_take(const char *admin, struct weir_sample *ret_sample)
{
	_cleanup_buf_ struct weir_buf answer = {0};
	int r = weir_ask(admin, "stats", &answer, NULL);

	return r < 0 ? r : weir_sample_parse(weir_buf_str(&answer), ret_sample);
}

struct weir_sample_ref weir_sample_ref(const struct weir_sample *s, uint32_t id)
{
	return id > 0 && id < s->n_refs ? s->refs[id]
					: (struct weir_sample_ref){0};
}

struct weir_sample_rule weir_sample_rule(const struct weir_sample *s,
					 uint32_t id)
{
	return id > 0 && id < s->n_rules ? s->rules[id]
					 : (struct weir_sample_rule){0};
}
