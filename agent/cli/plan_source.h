/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a command gets its plan: from the running agent (sealed memfds over the
 * admin socket), or compiled here from --manifests.
 */
#ifndef WEIR_CLI_PLAN_SOURCE_H
#define WEIR_CLI_PLAN_SOURCE_H

#include "compile.h"
#include "ctl.h"
#include "manifest.h"
#include "proxy.h"
#include "store.h"

struct weir_source {
	struct weir_plan_view view;
	/* offline */
	struct weir_store *store;
	struct weir_manifests *manifests;
	struct weir_compiled compiled;
	/* online */
	const void *rules;
	const void *eps;
	size_t rules_size;
	size_t eps_size;
};

#define _cleanup_source_ __attribute__((cleanup(weir_source_fini)))

/* By ctl->manifests.  0, or -errno after saying why on standard error. */
int weir_source_open(const struct weir_ctl *ctl, struct weir_source *ret_src);
int weir_source_offline(const char *dir, const char *node,
			struct weir_source *ret_src);
int weir_source_online(const char *admin, struct weir_source *ret_src);
/* Those that the agent reads heads with; the defaults if none answers, without
 * a word, or with --manifests. */
void weir_source_limits(const struct weir_ctl *ctl,
			struct weir_proxy_limits *ret_limits);
void weir_source_fini(struct weir_source *src);

#endif
