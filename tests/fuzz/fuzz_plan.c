/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two blocks from a stranger: uint32 size of the rules block, rules block,
 * endpoints block.  Heads are mended so that the fuzzer does not spend itself
 * on magics; what opens must be readable to its end: printed, looked up,
 * chosen from.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "cleanup.h"
#include "lookup.h"
#include "print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(void *rules, size_t rules_size, void *eps, size_t eps_size)
{
	struct weir_plan *p = rules;
	struct weir_eps *e = eps;

	if (rules_size >= sizeof(*p)) {
		p->magic = WEIR_PLAN_MAGIC;
		p->version = WEIR_PLAN_VERSION;
		p->header_size = sizeof(*p);
		p->size = rules_size;
	}
	if (eps_size >= sizeof(*e)) {
		e->magic = WEIR_EPS_MAGIC;
		e->version = WEIR_PLAN_VERSION;
		e->header_size = sizeof(*e);
		e->size = eps_size;
	}
	if (rules_size >= sizeof(*p) && eps_size >= sizeof(*e) &&
	    p->groups.off <= rules_size &&
	    p->groups.n <=
		    (rules_size - p->groups.off) / sizeof(struct weir_group) &&
	    p->groups.off % 8 == 0) {
		e->groups_hash = weir_plan_groups_hash(p);
	}
}

static void decide(const struct weir_plan_view *v,
		   const struct weir_regexes *regexes,
		   const struct weir_frontend *f)
{
	static const char *const host[] = {"", "a.x", "q.x", "x.y.z"};
	static const char *const path[] = {"/", "/a", "/a/b/c", "*", ""};
	struct weir_header h[3] = {
		{WEIR_STR("x-a"), WEIR_STR("1")},
		{WEIR_STR("X-A"), WEIR_STR("2")},
		{WEIR_STR("content-type"), WEIR_STR("application/grpc")}};
	struct weir_request r = {.method = WEIR_STR("GET"),
				 .query = WEIR_STR("q=1&%61=b+c"),
				 .headers = h,
				 .n_headers = 2};
	struct weir_decision d;

	for (size_t i = 0; i < 20; i++) {
		r.host = weir_str_of(host[i % 4]);
		r.path = weir_str_of(path[i % 5]);
		r.n_headers = 2 + i % 2;
		weir_decide_sni(v->rules, f, r.host, &d);
		weir_find_for_client(v->rules, f, r.host);
		weir_find_client_ns(v->rules, &f->addr);
		weir_decide(v->rules, regexes, f, &r, &d);
		if (d.rule) {
			weir_choose_ref(v->rules, d.rule,
					(uint32_t)i * 0x12345678u);
		}
	}
}

static void read_all(const struct weir_plan_view *v)
{
	const struct weir_frontend *f = weir_plan_at(v->rules,
						     v->rules->frontends);
	_cleanup_(weir_regexes_free) struct weir_regexes *regexes = NULL;
	_cleanup_buf_ struct weir_buf out = {0};

	/* Compiling thousands of patterns is slow, not wrong. */
	if (v->rules->regexes.n < 64 &&
	    weir_regexes_new(v->rules, &regexes) < 0) {
		return;
	}
	for (uint32_t i = 0; i < v->rules->frontends.n && i < 64; i++) {
		weir_find_frontend(v->rules, &f[i].addr, f[i].port_be,
				   f[i].proto);
		weir_find_proxied(v->rules, i);
		decide(v, regexes, &f[i]);
	}
	weir_plan_print(v, &out);
	weir_plan_print_json(v, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_plan_view view;
	uint32_t rules_size;
	size_t eps_size;
	void *rules;
	void *eps;

	if (size < sizeof(rules_size)) {
		return 0;
	}
	memcpy(&rules_size, data, sizeof(rules_size));
	data += sizeof(rules_size);
	size -= sizeof(rules_size);
	if (rules_size > size) {
		return 0;
	}
	eps_size = size - rules_size;
	/* Of exactly their size, so that ASan sees the first byte behind. */
	rules = malloc(rules_size ? rules_size : 1);
	eps = malloc(eps_size ? eps_size : 1);
	if (rules && eps) {
		memcpy(rules, data, rules_size);
		memcpy(eps, data + rules_size, eps_size);
		mend(rules, rules_size, eps, eps_size);
		if (weir_plan_open(rules, rules_size, eps, eps_size, &view) ==
		    0) {
			read_all(&view);
		}
	}
	weir_free_ptr(&rules);
	weir_free_ptr(&eps);
	return 0;
}
