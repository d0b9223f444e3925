/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the API server without the rest of the agent: keeps a store,
 * and says what is in it.
 *
 *	weir-kube-driver [name=value ...]
 *
 * kubeconfig=FILE context=NAME, or cluster=DIR (in a pod; DIR "" is the usual
 * place); leases=NAMESPACE node=NAME duration_ms=N to take part in the
 *election; of Pods only those of that node are read.
 *
 * A command is a line of standard input, its answer a line of JSON:
 *	state			kinds, counters, diagnostics
 *	list KIND		objects of a kind that are in the store
 *	applied			what is in the store is in force: acknowledge
 *	members			the members, and whether this one writes
 *	increment KIND NS NAME N
 *				N times, one after another and many at a time:
 *				read annotation test/count, write it plus one
 *	written			what became of these
 * The end of input ends it.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cleanup.h"
#include "lease.h"
#include "log.h"
#include "source.h"
#include "update.h"

struct driver {
	struct weir_loop *loop;
	struct weir_kube_client *client;
	struct weir_store *store;
	struct weir_kube_source *source;
	struct weir_kube_members *members;
	struct weir_kube_writer *writer;
	struct weir_io input;
	char line[512];
	size_t n_line;
	uint64_t n_changes;
	uint64_t n_written;
	uint64_t n_unwritten;
	uint64_t synced_ms; /* when it first was */
	uint64_t begun_ms;
};

/* Of status only whether it is another one matters here. */
static uint64_t hash_status(void *arg, enum weir_kind kind,
			    struct weir_str status)
{
	(void)arg;
	(void)kind;
	return weir_str_hash(status, 3);
}

static void on_change(void *arg)
{
	struct driver *d = arg;

	d->n_changes++;
	if (!d->synced_ms && weir_kube_source_is_synced(d->source)) {
		d->synced_ms = weir_now_ms();
	}
}

static void on_members(void *arg)
{
	(void)arg;
}

static void answer(cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	puts(text);
	fflush(stdout);
	cJSON_free(text);
	cJSON_Delete(json);
}

static void add_str(cJSON *json, const char *name, struct weir_str s)
{
	char text[512];

	snprintf(text, sizeof(text), "%.*s", WEIR_STR_ARG(s));
	cJSON_AddStringToObject(json, name, text);
}

static void add_number(cJSON *json, const char *name, uint64_t n)
{
	cJSON_AddNumberToObject(json, name, (double)n);
}

static const char *kind_name(enum weir_kind kind, char out[static 64])
{
	const char *group = weir_kind_group(kind);

	/* Knative's Service beside the core's. */
	snprintf(out, 64, "%s%s", weir_kind_text(kind),
		 strstr(group, "knative") ? ".knative" : "");
	return out;
}

static void add_kinds(const struct driver *d, cJSON *json)
{
	cJSON *kinds = cJSON_AddObjectToObject(json, "kinds");

	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_kube_kind_report r;
		char name[64];
		cJSON *o;

		weir_kube_source_report(d->source, (enum weir_kind)k, &r);
		o = cJSON_AddObjectToObject(kinds,
					    kind_name((enum weir_kind)k, name));
		cJSON_AddStringToObject(o, "api", r.api_version);
		cJSON_AddStringToObject(o, "state",
					weir_kube_state_text(r.state));
		cJSON_AddBoolToObject(o, "synced", r.is_synced);
		add_number(o, "version", r.version);
		add_number(o, "lists", r.lists);
		add_number(o, "watches", r.watches);
		add_number(o, "events", r.events);
		add_number(o, "kept", r.kept);
		add_number(o, "skipped", r.skipped);
		add_number(o, "too_large", r.too_large);
		add_number(o, "expired", r.expired);
		cJSON_AddStringToObject(o, "message", r.message);
	}
}

static void say_state(struct driver *d)
{
	const struct weir_kube_client_stats *s = weir_kube_client_stats(
		d->client);
	cJSON *json = cJSON_CreateObject();
	cJSON *client = cJSON_AddObjectToObject(json, "client");
	cJSON *diags = cJSON_AddArrayToObject(json, "diags");
	const struct weir_diag *v;
	size_t n;

	cJSON_AddBoolToObject(json, "synced",
			      weir_kube_source_is_synced(d->source));
	add_number(json, "synced_ms",
		   d->synced_ms ? d->synced_ms - d->begun_ms : 0);
	add_number(json, "store_version", weir_store_version(d->store));
	add_number(json, "changes", d->n_changes);
	add_number(json, "pid", (uint64_t)getpid());
	add_number(client, "requests", s->requests);
	add_number(client, "writes", s->writes);
	add_number(client, "failures", s->failures);
	add_number(client, "connections", s->connections);
	add_number(client, "in_flight", s->in_flight);
	add_number(client, "rx_bytes", s->rx_bytes);
	add_kinds(d, json);
	v = weir_kube_source_diags(d->source, &n);
	for (size_t i = 0; i < n; i++) {
		cJSON *o = cJSON_CreateObject();

		add_str(o, "kind", v[i].kind);
		add_str(o, "ns", v[i].ns);
		add_str(o, "name", v[i].name);
		add_str(o, "reason", v[i].reason);
		add_str(o, "message", v[i].message);
		cJSON_AddItemToArray(diags, o);
	}
	answer(json);
}

static int find_kind(const char *name, enum weir_kind *ret_kind)
{
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		char text[64];

		if (strcmp(kind_name((enum weir_kind)k, text), name) == 0) {
			*ret_kind = (enum weir_kind)k;
			return 0;
		}
	}
	return -ENOENT;
}

static void say_list(struct driver *d, const char *name)
{
	cJSON *json = cJSON_CreateArray();
	const struct weir_object *const *v = NULL;
	enum weir_kind kind;
	size_t n = 0;

	if (find_kind(name, &kind) == 0) {
		v = weir_store_list(d->store, kind, &n);
	}
	for (size_t i = 0; v && i < n; i++) {
		cJSON *o = cJSON_CreateObject();
		struct weir_kube_meta meta = {0};
		char hash[32];

		weir_kube_source_find(d->source, kind, v[i]->ns, v[i]->name,
				      &meta);
		add_str(o, "ns", v[i]->ns);
		add_str(o, "name", v[i]->name);
		add_number(o, "generation", (uint64_t)v[i]->generation);
		add_number(o, "version", meta.version);
		snprintf(hash, sizeof(hash), "%016" PRIx64, meta.status_hash);
		cJSON_AddStringToObject(o, "status", hash);
		cJSON_AddItemToArray(json, o);
	}
	answer(json);
}

/* ----------------------------------------------------------------- writing */

static int merge_count(void *arg, struct weir_str object, struct weir_buf *out)
{
	cJSON *json = cJSON_ParseWithLength(object.p, object.n);
	cJSON *metadata = cJSON_GetObjectItem(json, "metadata");
	cJSON *annotations = cJSON_GetObjectItem(metadata, "annotations");
	const char *old;
	char count[24];
	char *text;

	(void)arg;
	if (!metadata) {
		cJSON_Delete(json);
		return -EBADMSG;
	}
	if (!annotations) {
		annotations = cJSON_AddObjectToObject(metadata, "annotations");
	}
	old = cJSON_GetStringValue(
		cJSON_GetObjectItemCaseSensitive(annotations, "test/count"));
	snprintf(count, sizeof(count), "%ld",
		 (old ? strtol(old, NULL, 10) : 0) + 1);
	cJSON_DeleteItemFromObjectCaseSensitive(annotations, "test/count");
	cJSON_AddStringToObject(annotations, "test/count", count);
	text = cJSON_PrintUnformatted(json);
	weir_buf_addz(out, text);
	cJSON_free(text);
	cJSON_Delete(json);
	return 1;
}

static void on_written(void *arg, const struct weir_kube_reply *reply,
		       bool is_written)
{
	struct driver *d = arg;

	(void)reply;
	d->n_written += is_written;
	d->n_unwritten += !is_written;
}

static void increment(struct driver *d, const char *kind_text, const char *ns,
		      const char *name, unsigned n)
{
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_kube_update update = {
		.merge = merge_count, .fn = on_written, .arg = d};
	enum weir_kind kind;
	unsigned begun = 0;

	if (find_kind(kind_text, &kind) == 0 &&
	    weir_kube_source_path(d->source, kind, weir_str_of(ns),
				  weir_str_of(name), "", &path) == 0) {
		weir_buf_add(&path, "", 1);
		update.path = path.p;
		while (begun < n &&
		       weir_kube_writer_update(d->writer, &update) == 0) {
			begun++;
		}
	}
	printf("%u\n", begun);
	fflush(stdout);
}

static void say_written(struct driver *d)
{
	const struct weir_kube_writer_stats *s = weir_kube_writer_stats(
		d->writer);
	cJSON *json = cJSON_CreateObject();

	add_number(json, "written", d->n_written);
	add_number(json, "unwritten", d->n_unwritten);
	add_number(json, "writes", s->writes);
	add_number(json, "conflicts", s->conflicts);
	add_number(json, "failures", s->failures);
	add_number(json, "waiting", s->waiting);
	add_number(json, "in_flight", s->in_flight);
	answer(json);
}

static void say_members(struct driver *d)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(json, "members");
	uint64_t versions[_WEIR_KIND_MAX];
	const struct weir_kube_member *v;
	size_t n = 0;

	v = d->members ? weir_kube_members_list(d->members, &n) : NULL;
	for (size_t i = 0; i < n; i++) {
		cJSON *o = cJSON_CreateObject();

		add_str(o, "node", v[i].node);
		cJSON_AddBoolToObject(o, "live", v[i].is_live);
		add_number(o, "routes", v[i].applied[WEIR_KIND_HTTP_ROUTE]);
		cJSON_AddItemToArray(list, o);
	}
	weir_kube_source_versions(d->source, versions, NULL);
	add_number(json, "routes", versions[WEIR_KIND_HTTP_ROUTE]);
	cJSON_AddBoolToObject(
		json, "have",
		d->members &&
			weir_kube_members_have(d->members, WEIR_KIND_HTTP_ROUTE,
					       versions[WEIR_KIND_HTTP_ROUTE]));
	cJSON_AddBoolToObject(json, "writer",
			      d->members &&
				      weir_kube_members_is_writer(d->members));
	answer(json);
}

/* ---------------------------------------------------------------- commands */

static void command(struct driver *d, char *line)
{
	uint64_t versions[_WEIR_KIND_MAX];
	char kind[64];
	char ns[64];
	char name[64];
	unsigned n;

	if (strcmp(line, "state") == 0) {
		say_state(d);
	} else if (sscanf(line, "list %63s", kind) == 1) {
		say_list(d, kind);
	} else if (strcmp(line, "applied") == 0 && d->members) {
		weir_kube_source_versions(d->source, versions, NULL);
		weir_kube_members_applied(d->members, versions, true);
		puts("true");
		fflush(stdout);
	} else if (strcmp(line, "members") == 0) {
		say_members(d);
	} else if (sscanf(line, "increment %63s %63s %63s %u", kind, ns, name,
			  &n) == 4) {
		increment(d, kind, ns, name, n);
	} else if (strcmp(line, "written") == 0) {
		say_written(d);
	} else {
		puts("null");
		fflush(stdout);
	}
}

static void on_input(struct weir_io *io, uint32_t events)
{
	struct driver *d = io->arg;
	ssize_t n = read(io->fd, d->line + d->n_line,
			 sizeof(d->line) - 1 - d->n_line);
	char *end;

	(void)events;
	if (n <= 0) {
		weir_loop_stop(d->loop, 0);
		return;
	}
	d->n_line += (size_t)n;
	d->line[d->n_line] = '\0';
	while ((end = strchr(d->line, '\n'))) {
		*end = '\0';
		command(d, d->line);
		d->n_line -= (size_t)(end + 1 - d->line);
		memmove(d->line, end + 1, d->n_line + 1);
	}
}

/* --------------------------------------------------------------- beginning */

static const char *value_of(char **argv, const char *name)
{
	for (; *argv; argv++) {
		size_t n = strlen(name);

		if (strncmp(*argv, name, n) == 0 && (*argv)[n] == '=') {
			return *argv + n + 1;
		}
	}
	return NULL;
}

static int open_client(struct driver *d, char **argv)
{
	_cleanup_(weir_kube_config_free) struct weir_kube_config *config = NULL;
	const char *path = value_of(argv, "kubeconfig");
	const char *dir = value_of(argv, "cluster");
	char error[WEIR_KUBE_ERROR_MAX];
	int r = path ? weir_kube_config_load(path, value_of(argv, "context"),
					     &config, error)
		     : weir_kube_config_in_cluster(dir && *dir ? dir : NULL,
						   &config, error);

	if (r < 0) {
		weir_error("%s", error);
		return r;
	}
	return weir_kube_client_new(d->loop, &config, &d->client);
}

static int open_members(struct driver *d, char **argv)
{
	const char *duration = value_of(argv, "duration_ms");
	struct weir_kube_members_options options = {
		.loop = d->loop,
		.client = d->client,
		.ns = value_of(argv, "leases"),
		.node = value_of(argv, "node"),
		.may_write = true,
		.duration_ms = duration ? (uint32_t)strtoul(duration, NULL, 10)
					: 0,
		.on_change = on_members,
		.arg = d};
	int r;

	if (!options.ns || !options.node) {
		return 0;
	}
	r = weir_kube_members_new(&options, &d->members);
	return r < 0 ? r : weir_kube_members_start(d->members);
}

static int run(struct driver *d, char **argv)
{
	struct weir_kube_source_options options = {
		.on_change = on_change,
		.status_hash = hash_status,
		.node = value_of(argv, "node"),
		.arg = d};
	int r = weir_loop_new(&d->loop);

	if (r == 0) {
		r = open_client(d, argv);
	}
	if (r == 0) {
		r = weir_store_new(&d->store);
	}
	if (r < 0) {
		return r;
	}
	options.loop = d->loop;
	options.client = d->client;
	options.store = d->store;
	d->begun_ms = weir_now_ms();
	r = weir_kube_source_new(&options, &d->source);
	if (r == 0) {
		r = weir_kube_writer_new(d->loop, d->client, 8, &d->writer);
	}
	if (r == 0) {
		r = open_members(d, argv);
	}
	if (r == 0) {
		r = weir_kube_source_start(d->source);
	}
	if (r < 0) {
		return r;
	}
	d->input = (struct weir_io){.fd = 0, .fn = on_input, .arg = d};
	r = weir_loop_add(d->loop, &d->input, EPOLLIN);
	return r < 0 ? r : weir_loop_run(d->loop);
}

int main(int argc, char **argv)
{
	struct driver d = {0};
	int r;

	(void)argc;
	weir_log_init("kube", WEIR_LOG_INFO);
	r = run(&d, argv + 1);
	if (r < 0) {
		weir_error("%s", strerror(-r));
	}
	weir_kube_members_free(&d.members);
	weir_kube_writer_free(&d.writer);
	weir_kube_source_free(&d.source);
	weir_kube_client_free(&d.client);
	weir_store_free(&d.store);
	weir_loop_free(&d.loop);
	return r < 0;
}
