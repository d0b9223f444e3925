// SPDX-License-Identifier: Apache-2.0
/* Wiring: client, source, members and writer around the control loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "addr.h"
#include "cleanup.h"
#include "kube.h"

#define WRITES_IN_FLIGHT 8

static struct weir_kube_feed *of(const struct weir_feed *feed)
{
	return (struct weir_kube_feed *)(uintptr_t)feed;
}

/* ------------------------------------------------------------------ events */

static void on_source(void *arg)
{
	struct weir_kube_feed *f = arg;

	weir_kube_cni_say(f); /* elsewhere a request may wait for it */
	weir_control_changed(f->control);
	weir_kube_status_changed(f);
}

static void on_members(void *arg)
{
	struct weir_kube_feed *f = arg;
	bool is_writer = weir_kube_members_is_writer(f->members);

	if (is_writer != f->was_writer) {
		f->was_writer = is_writer;
		f->n_terms += is_writer;
		if (!is_writer) {
			weir_kube_writer_drop(f->writer);
		}
		/* Only the writer gives addresses. */
		weir_control_again(f->control);
	}
	weir_kube_held_read(f);
	weir_kube_cni_hear(f);
	weir_kube_lan_changed(f);
	weir_kube_status_changed(f);
}

static uint64_t hash_status(void *arg, enum weir_kind kind,
			    struct weir_str status)
{
	(void)arg;
	return weir_status_hash(kind, status);
}

/* A Service that gets an address which a placeholder had: then that is served
 * no more. */
static bool takes_address(void *arg, enum weir_kind kind,
			  struct weir_str object)
{
	const struct weir_kube_feed *f = arg;
	const struct weir_verdicts *v = &f->control->compiled.verdicts;

	for (uint32_t i = 0; kind == WEIR_KIND_SERVICE && i < v->n_formers;
	     i++) {
		char text[WEIR_ADDR_TEXT_MAX];
		char quoted[WEIR_ADDR_TEXT_MAX + 2];
		int n = snprintf(quoted, sizeof(quoted), "\"%s\"",
				 weir_ip_format(&v->formers[i], text));

		if (memmem(object.p, object.n, quoted, (size_t)n)) {
			return true;
		}
	}
	return false;
}

/* -------------------------------------------------------------- of the feed */

static void reload(struct weir_feed *feed)
{
	(void)feed; /* watches tell all there is */
}

static bool is_complete(const struct weir_feed *feed)
{
	return weir_kube_source_is_synced(of(feed)->source);
}

static bool is_writer(const struct weir_feed *feed)
{
	return weir_kube_members_is_writer(of(feed)->members);
}

static void taken(struct weir_feed *feed)
{
	struct weir_kube_feed *f = of(feed);

	weir_kube_source_versions(f->source, f->taken, &f->taken_significant);
	f->is_taken_whole = weir_kube_source_is_whole(f->source);
}

static void in_force(struct weir_feed *feed)
{
	struct weir_kube_feed *f = of(feed);
	bool is_urgent;

	/* What was on its way may have come to nothing. */
	if (!f->is_taken_whole && weir_store_version(f->control->store) ==
					  f->control->store_version) {
		taken(feed);
	}
	is_urgent = !f->is_in_force ||
		    f->taken_significant != f->said_significant;
	f->is_in_force = true;
	/* Else the source tells when it is: then this comes again. */
	if (f->is_taken_whole) {
		f->said_significant = f->taken_significant;
		weir_kube_members_applied(f->members, f->taken, is_urgent);
		weir_kube_status_changed(f);
	}
	weir_kube_lan_changed(f);
}

static struct weir_str owner(const struct weir_feed *feed,
			     const struct weir_ip *ip)
{
	return weir_kube_lan_owner(of(feed), ip);
}

static const struct weir_diag *diags(struct weir_feed *feed, size_t *ret_n)
{
	struct weir_kube_feed *f = of(feed);

	*ret_n = 0;
	return f->source ? weir_kube_source_diags(f->source, ret_n) : NULL;
}

/* ------------------------------------------------------------------ reports */

static void status(const struct weir_feed *feed, struct weir_buf *b)
{
	const struct weir_kube_feed *f = of(feed);
	const struct weir_kube_config *config = weir_kube_client_config(
		f->client);
	bool is_first = true;

	weir_buf_addz(b, ",\"kubernetes\":{\"server\":");
	weir_buf_add_json(b, weir_str_of(config->server));
	weir_buf_printf(b, ",\"synced\":%s,\"writer\":%s,\"kinds\":[",
			is_complete(feed) ? "true" : "false",
			f->was_writer ? "true" : "false");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_kube_kind_report r;

		weir_kube_source_report(f->source, (enum weir_kind)k, &r);
		if (!r.api_version[0] && r.state == WEIR_KUBE_IDLE) {
			continue;
		}
		weir_buf_printf(b,
				"%s{\"kind\":\"%s\",\"apiVersion\":\"%s\","
				"\"state\":\"%s\",\"kept\":%llu,\"message\":",
				is_first ? "" : ",",
				weir_kind_text((enum weir_kind)k),
				r.api_version, weir_kube_state_text(r.state),
				(unsigned long long)r.kept);
		weir_buf_add_json(b, weir_str_of(r.message));
		weir_buf_addz(b, "}");
		is_first = false;
	}
	weir_buf_addz(b, "]");
	weir_kube_cni_status(f, b);
	weir_buf_addz(b, "}");
}

static void family(struct weir_buf *b, const char *name, const char *type,
		   const char *help)
{
	weir_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
			type);
}

static void by_kind(struct weir_buf *b, const char *name, int kind,
		    const char *result, uint64_t value)
{
	weir_buf_printf(b, "%s{group=\"%s\",kind=\"%s\"%s%s%s} %llu\n", name,
			weir_kind_group((enum weir_kind)kind),
			weir_kind_text((enum weir_kind)kind),
			result ? ",result=\"" : "", result ? result : "",
			result ? "\"" : "", (unsigned long long)value);
}

static void write_kinds(const struct weir_kube_feed *f, struct weir_buf *b)
{
	static const char *const results[] = {"written", "unchanged", "stale",
					      "failed"};

	family(b, "weir_kube_kind_watching", "gauge",
	       "1 where changes of a kind are told at once.");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_kube_kind_report r;

		weir_kube_source_report(f->source, (enum weir_kind)k, &r);
		by_kind(b, "weir_kube_kind_watching", k, NULL,
			r.state == WEIR_KUBE_WATCHING);
	}
	family(b, "weir_kube_watch_events_total", "counter",
	       "Events of watches by kind.");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_kube_kind_report r;

		weir_kube_source_report(f->source, (enum weir_kind)k, &r);
		by_kind(b, "weir_kube_watch_events_total", k, NULL, r.events);
	}
	family(b, "weir_kube_lists_total", "counter",
	       "Times all of a kind was listed.");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_kube_kind_report r;

		weir_kube_source_report(f->source, (enum weir_kind)k, &r);
		by_kind(b, "weir_kube_lists_total", k, NULL, r.lists);
	}
	family(b, "weir_kube_status_updates_total", "counter",
	       "Updates of status by kind and what became of them.");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		for (int i = 0; weir_status_is_written((enum weir_kind)k) &&
				i < _WEIR_KUBE_RESULT_MAX;
		     i++) {
			by_kind(b, "weir_kube_status_updates_total", k,
				results[i], f->results[k][i]);
		}
	}
}

static void single(struct weir_buf *b, const char *name, const char *type,
		   const char *help, uint64_t value)
{
	family(b, name, type, help);
	weir_buf_printf(b, "%s %llu\n", name, (unsigned long long)value);
}

static void metrics(const struct weir_feed *feed, struct weir_buf *b)
{
	const struct weir_kube_feed *f = of(feed);
	const struct weir_kube_client_stats *c = weir_kube_client_stats(
		f->client);
	const struct weir_kube_writer_stats *w = weir_kube_writer_stats(
		f->writer);

	single(b, "weir_kube_synced", "gauge",
	       "1 when everything that exists was read.", is_complete(feed));
	single(b, "weir_kube_writer", "gauge",
	       "1 when this agent writes status.", f->was_writer);
	write_kinds(f, b);
	single(b, "weir_kube_status_waiting", "gauge",
	       "Updates of status on their way.", f->n_updates);
	single(b, "weir_kube_conflicts_total", "counter",
	       "Writes tried again as the object had changed.", w->conflicts);
	single(b, "weir_kube_requests_total", "counter",
	       "Requests to the API server.", c->requests);
	single(b, "weir_kube_writes_total", "counter",
	       "Of these, other than GET.", c->writes);
	single(b, "weir_kube_failures_total", "counter",
	       "Of these, without an answer.", c->failures);
	family(b, "weir_kube_events_total", "counter",
	       "Events about objects, by whether they were within the limit.");
	weir_buf_printf(b,
			"weir_kube_events_total{result=\"sent\"} %llu\n"
			"weir_kube_events_total{result=\"dropped\"} %llu\n",
			(unsigned long long)f->n_events,
			(unsigned long long)f->n_events_dropped);
}

/* ---------------------------------------------------------------------- life
 */

static int load_config(const struct weir_options *o,
		       struct weir_kube_config **ret_config)
{
	char error[WEIR_KUBE_ERROR_MAX] = "";
	int r;

	if (o->is_in_cluster) {
		r = weir_kube_config_in_cluster(NULL, ret_config, error);
	} else {
		r = weir_kube_config_load(o->kubeconfig, NULL, ret_config,
					  error);
	}
	if (r < 0) {
		weir_error("%s%s: %s",
			   o->is_in_cluster ? "--in-cluster" : "--kubeconfig ",
			   o->is_in_cluster ? "" : o->kubeconfig,
			   *error ? error : strerror(-r));
	}
	return r;
}

static int start_members(struct weir_kube_feed *f)
{
	const struct weir_kube_config *config = weir_kube_client_config(
		f->client);
	const struct weir_kube_members_options options = {
		.loop = f->loop,
		.client = f->client,
		.ns = f->options->lease_namespace ? f->options->lease_namespace
						  : config->ns,
		.node = f->options->node_name,
		.may_write = true,
		.is_mute = f->options->kernel.lan != WEIR_LAN_CHOSEN ||
			   !weir_kernel_lan_is_on(f->control->kernel),
		.is_needed = weir_kube_lan_needs,
		.on_change = on_members,
		.arg = f};
	int r = weir_kube_members_new(&options, &f->members);

	return r < 0 ? r : weir_kube_members_start(f->members);
}

static int start(struct weir_feed *feed, struct weir_control *control)
{
	struct weir_kube_feed *f = of(feed);
	struct weir_kube_source_options options = {
		.loop = f->loop,
		.store = control->store,
		.on_change = on_source,
		.status_hash = hash_status,
		.does_keep = takes_address,
		.node = f->options->node_name,
		.arg = f};
	struct weir_kube_config *config = NULL;
	int r = load_config(f->options, &config);

	f->control = control;
	if (r == 0) {
		r = weir_kube_client_new(f->loop, &config, &f->client);
		weir_kube_config_free(&config);
	}
	if (r == 0) {
		options.client = f->client;
		r = weir_kube_source_new(&options, &f->source);
	}
	if (r == 0) {
		r = weir_kube_writer_new(f->loop, f->client, WRITES_IN_FLIGHT,
					 &f->writer);
	}
	if (r == 0) {
		r = start_members(f);
	}
	if (r == 0) {
		weir_kube_bundle_init(f);
		weir_kube_lan_init(f);
		weir_kube_cni_init(f);
		r = weir_kube_source_start(f->source);
	}
	return r;
}

static void stop(struct weir_feed *feed)
{
	struct weir_kube_feed *f = of(feed);

	weir_kube_status_fini(f);
	weir_kube_round_fini(f);
	weir_kube_lan_fini(f);
	weir_kube_held_fini(f);
	if (f->client) {
		weir_kube_cni_fini(f);
		weir_kube_bundle_fini(f);
	}
	weir_kube_members_free(&f->members);
	weir_kube_writer_free(&f->writer);
	weir_kube_source_free(&f->source);
	weir_kube_client_free(&f->client);
}

int weir_feed_kube_new(const struct weir_options *options,
		       struct weir_loop *loop, struct weir_feed **ret_feed)
{
	struct weir_kube_feed *f = calloc(1, sizeof(*f));

	if (!f) {
		return -ENOMEM;
	}
	if (getrandom(&f->seed, sizeof(f->seed), 0) != sizeof(f->seed)) {
		weir_free_ptr(&f);
		return -EIO;
	}
	f->options = options;
	f->loop = loop;
	f->feed = (struct weir_feed){.start = start,
				     .stop = stop,
				     .reload = reload,
				     .is_complete = is_complete,
				     .is_writer = is_writer,
				     .taken = taken,
				     .in_force = in_force,
				     .owner = owner,
				     .diags = diags,
				     .status = status,
				     .metrics = metrics};
	weir_kube_status_init(f);
	*ret_feed = &f->feed;
	return 0;
}
