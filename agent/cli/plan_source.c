/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_source.h"

#include <errno.h>

#include "ask.h"
#include "cleanup.h"
#include "fdutil.h"

void weir_source_fini(struct weir_source *src)
{
	if (src->rules) {
		weir_unmap(&src->rules, src->rules_size);
	}
	if (src->eps) {
		weir_unmap(&src->eps, src->eps_size);
	}
	if (src->compiled.rules) {
		weir_compiled_fini(&src->compiled);
	}
	if (src->manifests) {
		weir_manifests_free(&src->manifests);
	}
	if (src->store) {
		weir_store_free(&src->store);
	}
}

int weir_source_offline(const char *dir, const char *node,
			struct weir_source *ret_src)
{
	struct weir_compile_options options = {.node_name = weir_str_of(node),
					       .is_writer = true};
	_cleanup_source_ struct weir_source src = {0};
	int r = weir_store_new(&src.store);

	if (r == 0) {
		r = weir_manifests_new(dir, src.store, &src.manifests);
	}
	if (r == 0) {
		r = weir_manifests_load(src.manifests);
	}
	if (r < 0) {
		weir_ctl_fail("%s: %s", dir, strerror(-r));
		return r;
	}
	r = weir_compile(src.store, &options, &src.compiled);
	if (r == 0) {
		/* Our own bytes, but the same door as everybody's. */
		r = weir_plan_open(src.compiled.rules, src.compiled.rules_size,
				   src.compiled.eps, src.compiled.eps_size,
				   &src.view);
	}
	if (r < 0) {
		weir_ctl_fail("compiling %s: %s", dir, strerror(-r));
		return r;
	}
	*ret_src = src;
	/* The vector's arena moved with the structure. */
	ret_src->compiled.diags.arena = &ret_src->compiled.arena;
	src = (struct weir_source){0};
	return 0;
}

int weir_source_online(const char *admin, struct weir_source *ret_src)
{
	_cleanup_source_ struct weir_source src = {0};
	_cleanup_buf_ struct weir_buf answer = {0};
	_cleanup_close_ int rules = -1;
	_cleanup_close_ int eps = -1;
	int fds[2] = {-1, -1};
	int r = weir_ask(admin, "plan", &answer, fds);

	rules = fds[0];
	eps = fds[1];
	if (r < 0) {
		return r;
	}
	if (rules < 0 || eps < 0) {
		return -EAGAIN; /* no plan yet */
	}
	r = weir_map_fd(rules, &src.rules, &src.rules_size);
	if (r == 0) {
		r = weir_map_fd(eps, &src.eps, &src.eps_size);
	}
	if (r == 0) {
		r = weir_plan_open(src.rules, src.rules_size, src.eps,
				   src.eps_size, &src.view);
	}
	if (r < 0) {
		return r;
	}
	*ret_src = src;
	src = (struct weir_source){0};
	return 0;
}

static void take_limit(const cJSON *limits, const char *name, uint32_t *limit)
{
	double v = weir_json_number(limits, name);

	if (v >= 1 && v <= UINT32_MAX) {
		*limit = (uint32_t)v;
	}
}

void weir_source_limits(const struct weir_ctl *ctl,
			struct weir_proxy_limits *ret_limits)
{
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	_cleanup_buf_ struct weir_buf answer = {0};
	const cJSON *limits;

	weir_proxy_limits_default(ret_limits);
	if (ctl->manifests ||
	    weir_ask(ctl->admin, "status", &answer, NULL) < 0) {
		return;
	}
	json = cJSON_ParseWithLength(answer.n ? answer.p : "", answer.n);
	limits = cJSON_GetObjectItemCaseSensitive(json, "limits");
	take_limit(limits, "max_head", &ret_limits->max_head_bytes);
	take_limit(limits, "max_headers", &ret_limits->max_headers);
	take_limit(limits, "max_target", &ret_limits->max_target_bytes);
}

int weir_source_open(const struct weir_ctl *ctl, struct weir_source *ret_src)
{
	int r;

	if (ctl->manifests) {
		return weir_source_offline(ctl->manifests, ctl->node, ret_src);
	}
	r = weir_source_online(ctl->admin, ret_src);
	if (r == -EAGAIN) {
		weir_ctl_fail("%s: the agent has no plan yet", ctl->admin);
	} else if (r == -EPROTO) {
		weir_ctl_fail("%s: the agent speaks another plan version; "
			      "this is weirctl " WEIR_VERSION,
			      ctl->admin);
	} else if (r < 0) {
		weir_ctl_fail("%s: %s%s", ctl->admin, strerror(-r),
			      r == -ENOENT || r == -ECONNREFUSED
				      ? " (is weir-agent running? or use "
					"--manifests DIR)"
				      : weir_ask_hint(r));
	}
	return r;
}
