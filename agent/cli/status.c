/* SPDX-License-Identifier: Apache-2.0 */
/* weirctl status and probe. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "cleanup.h"
#include "show.h"

extern char **environ;

static void put_processes(const cJSON *json, struct weir_table_out *t)
{
	const cJSON *p;

	cJSON_ArrayForEach(p,
			   cJSON_GetObjectItemCaseSensitive(json, "processes"))
	{
		double pid = weir_json_number(p, "pid");

		weir_table_cell(t, WEIR_PLAIN, "%s", p->string);
		weir_table_cell(t, pid > 0 ? WEIR_GREEN : WEIR_RED, "%.0f",
				pid);
		weir_table_cell(t, WEIR_PLAIN, "%.0f",
				weir_json_number(p, "restarts"));
		weir_table_cell(t, WEIR_PLAIN, "%.1f MiB",
				weir_json_number(p, "anon_bytes") / 1048576);
		weir_table_end_row(t);
	}
}

static void put_head(const cJSON *json, bool has_colour, struct weir_buf *out)
{
	bool is_ready = cJSON_IsTrue(
		cJSON_GetObjectItemCaseSensitive(json, "ready"));

	weir_buf_printf(out,
			"weir %s, ABI %.0f: ", weir_json_text(json, "version"),
			weir_json_number(json, "abi"));
	weir_colour(out, has_colour, is_ready ? WEIR_GREEN : WEIR_YELLOW,
		    is_ready ? "ready" : "not ready");
	weir_buf_printf(out, ", up %.0f s\n",
			weir_json_number(json, "uptime_ms") / 1000);
	if (weir_json_text(json, "raise")[0]) {
		weir_colour(out, has_colour, WEIR_RED,
			    "the kernel tables are full; raise ");
		weir_buf_printf(out, "%s\n", weir_json_text(json, "raise"));
	}
}

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void put_plan(const cJSON *json, struct weir_buf *out)
{
	const cJSON *generation = member(json, "generation");
	const cJSON *changes = member(json, "changes");
	const cJSON *plan = member(json, "plan");

	weir_buf_printf(out,
			"\nplan       %.0f frontends, %.0f rules, %.0f groups, "
			"%.0f endpoints\n",
			weir_json_number(plan, "frontends"),
			weir_json_number(plan, "rules"),
			weir_json_number(plan, "groups"),
			weir_json_number(plan, "endpoints"));
	weir_buf_printf(out,
			"generation %.0f; kernel follows %.0f, proxy %.0f\n",
			weir_json_number(generation, "compiled"),
			weir_json_number(generation, "kernel"),
			weir_json_number(generation, "proxy"));
	weir_buf_printf(out,
			"changes    %.0f published, the last in effect after "
			"%.1f ms (compile %.1f, kernel %.1f)\n",
			weir_json_number(changes, "published"),
			weir_json_number(changes, "last_effect_us") / 1000,
			weir_json_number(changes, "last_compile_us") / 1000,
			weir_json_number(changes, "last_kernel_us") / 1000);
}

static void put_objects(const cJSON *json, struct weir_buf *out)
{
	const cJSON *v;
	bool has_one = false;

	weir_buf_printf(out, "objects    ");
	cJSON_ArrayForEach(v, member(json, "objects"))
	{
		struct weir_str name = weir_str_of(v->string);
		ptrdiff_t dot = weir_str_find(name, '.');

		if (!cJSON_IsNumber(v) || v->valuedouble <= 0) {
			continue;
		}
		/* The group only where the kind alone is ambiguous. */
		if (dot >= 0 && !weir_str_ends(name, WEIR_STR("knative.dev"))) {
			name.n = (size_t)dot;
		}
		weir_buf_printf(out, "%s%.*s %.0f", has_one ? ", " : "",
				WEIR_STR_ARG(name), v->valuedouble);
		has_one = true;
	}
	weir_buf_addz(out, has_one ? "\n" : "none\n");
}

/* {"on":true}, {"on":false,"why":"..."}, {"mode":"tcx","interfaces":[...]} */
static void put_plane(const cJSON *plane, bool has_colour, struct weir_buf *out)
{
	const cJSON *on = member(plane, "on");
	const char *mode = weir_json_text(plane, "mode");

	weir_buf_printf(out, "  %-8s ", plane->string);
	if (cJSON_IsBool(on)) {
		weir_colour(out, has_colour,
			    cJSON_IsTrue(on) ? WEIR_GREEN : WEIR_YELLOW,
			    cJSON_IsTrue(on) ? "on" : "off");
	}
	if (mode[0]) {
		weir_buf_printf(
			out, "%s, %d interfaces", mode,
			cJSON_GetArraySize(member(plane, "interfaces")));
	}
	if (weir_json_text(plane, "why")[0]) {
		weir_buf_printf(out, ": %s", weir_json_text(plane, "why"));
	}
	if (cJSON_IsString(plane)) {
		weir_buf_addz(out, plane->valuestring);
	}
	weir_buf_addz(out, "\n");
}

/* Where objects come from, and what of them cannot be read. */
static void put_feed(const cJSON *json, bool has_colour, struct weir_buf *out)
{
	const cJSON *kube = member(json, "kubernetes");
	const cJSON *k;

	if (!kube) {
		weir_buf_printf(out, "manifests  %s\n",
				weir_json_text(json, "manifests"));
		return;
	}
	weir_buf_printf(out, "server     %s%s%s\n",
			weir_json_text(kube, "server"),
			cJSON_IsTrue(member(kube, "synced"))
				? ""
				: ", not read to its end yet",
			cJSON_IsTrue(member(kube, "writer"))
				? ", this agent writes status"
				: "");
	cJSON_ArrayForEach(k, member(kube, "kinds"))
	{
		const char *state = weir_json_text(k, "state");

		if (strcmp(state, "forbidden") == 0 ||
		    strcmp(state, "away") == 0) {
			weir_colour(out, has_colour, WEIR_RED, "not read   ");
			weir_buf_printf(out, "%s: %s\n",
					weir_json_text(k, "kind"),
					weir_json_text(k, "message"));
		}
	}
}

static void put_workers(const cJSON *json, struct weir_buf *out)
{
	const cJSON *proxy = member(json, "proxy");
	double n = weir_json_number(proxy, "workers");
	double rings = weir_json_number(proxy, "io_uring");

	weir_buf_printf(out, "proxy      %.0f workers over ", n);
	if (rings > 0 && rings < n) {
		weir_buf_printf(out, "io_uring (%.0f) and epoll\n", rings);
	} else {
		weir_buf_printf(out, "%s\n", rings > 0 ? "io_uring" : "epoll");
	}
}

static void put_rest(const cJSON *json, bool has_colour, struct weir_buf *out)
{
	const cJSON *diags = member(json, "diags");
	const cJSON *v;

	weir_buf_addz(out, "planes     (weirctl probe has details)\n");
	cJSON_ArrayForEach(v, member(member(json, "kernel"), "planes"))
	{
		put_plane(v, has_colour, out);
	}
	put_feed(json, has_colour, out);
	weir_buf_printf(
		out, "diags      %.0f errors, %.0f warnings%s\n",
		weir_json_number(diags, "error"),
		weir_json_number(diags, "warning"),
		weir_json_number(diags, "error") +
					weir_json_number(diags, "warning") >
				0
			? " (weirctl diags)"
			: "");
	cJSON_ArrayForEach(v, member(json, "conflicts"))
	{
		weir_colour(out, has_colour, WEIR_RED, "not taken  ");
		weir_buf_printf(out, "%s/%s: held by a socket of this host\n",
				weir_json_text(v, "address"),
				weir_json_text(v, "proto"));
	}
}

#define ADDRESSES_SHOWN 20

/* Which node has which address on the LAN. */
static void put_addresses(const cJSON *json, bool has_colour,
			  struct weir_buf *out)
{
	static const char *const heads[] = {"ADDRESS<", "ANSWERED BY<",
					    "INTERFACE<"};
	const cJSON *all = member(json, "addresses");
	struct weir_table_out t = {0};
	const cJSON *v;
	int n = 0;

	if (cJSON_GetArraySize(all) == 0) {
		return;
	}
	weir_table_heads(&t, heads, sizeof(heads) / sizeof(heads[0]));
	cJSON_ArrayForEach(v, all)
	{
		const char *owner = weir_json_text(v, "owner");
		const char *interface = weir_json_text(v, "interface");
		bool is_here = cJSON_IsTrue(member(v, "answers"));

		if (n++ == ADDRESSES_SHOWN) {
			break;
		}
		weir_table_cell(&t, WEIR_PLAIN, "%s",
				weir_json_text(v, "address"));
		if (cJSON_IsTrue(member(v, "of_node"))) {
			weir_table_cell(&t, WEIR_PLAIN, "this node's kernel");
		} else if (is_here) {
			weir_table_cell(&t, WEIR_GREEN, "this node");
		} else {
			weir_table_cell(&t, WEIR_PLAIN, "%s",
					*owner ? owner : "nobody known");
		}
		weir_table_cell(&t, WEIR_DIM, "%s",
				*interface ? interface : "any external");
		weir_table_end_row(&t);
	}
	weir_table_print(&t, has_colour, 0, 0, out);
	weir_table_fini(&t);
	if (n > ADDRESSES_SHOWN) {
		weir_buf_printf(out,
				"  ... and %d more (weirctl status "
				"--json)\n",
				cJSON_GetArraySize(all) - ADDRESSES_SHOWN);
	}
}

static int put_status(const struct weir_ctl *ctl, const cJSON *json,
		      struct weir_buf *out)
{
	static const char *const heads[] = {"PROCESS<", "PID>", "RESTARTS>",
					    "MEMORY>"};
	struct weir_table_out t = {0};

	put_head(json, ctl->has_colour, out);
	weir_table_heads(&t, heads, sizeof(heads) / sizeof(heads[0]));
	put_processes(json, &t);
	weir_table_print(&t, ctl->has_colour, 0, 0, out);
	weir_table_fini(&t);
	put_plan(json, out);
	put_workers(json, out);
	put_objects(json, out);
	put_addresses(json, ctl->has_colour, out);
	put_rest(json, ctl->has_colour, out);
	return cJSON_IsTrue(member(json, "ready")) ? WEIR_CTL_OK : WEIR_CTL_NO;
}

int weir_ctl_status(struct weir_ctl *ctl)
{
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	_cleanup_buf_ struct weir_buf out = {0};

	json = weir_ask_json(ctl, "status");
	if (!json) {
		return WEIR_CTL_FAILED;
	}
	if (ctl->is_json) {
		char *raw = cJSON_PrintUnformatted(json);

		weir_buf_addz(&out, raw ? raw : "");
		weir_buf_addz(&out, "\n");
		cJSON_free(raw);
		return weir_ctl_print(
			&out, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
				      json, "ready"))
				      ? WEIR_CTL_OK
				      : WEIR_CTL_NO);
	}
	return weir_ctl_print(&out, put_status(ctl, json, &out));
}

/* ------------------------------------------------------------------- probe */

/* weir-agent beside this program (build tree), in the sbin beside its bin
 * (make install), else by PATH. */
static const char *find_agent(char out[static 4096])
{
	static const char *const places[] = {"weir-agent",
					     "../sbin/weir-agent"};
	ssize_t n = readlink("/proc/self/exe", out, 4000);
	char *slash;

	if (n > 0) {
		out[n] = 0;
		slash = strrchr(out, '/');
		for (size_t i = 0; slash && i < 2; i++) {
			snprintf(slash + 1, 64, "%s", places[i]);
			if (access(out, X_OK) == 0) {
				return out;
			}
		}
	}
	return "weir-agent";
}

static int spawn_agent(const char *path, int out_fd, pid_t *ret_pid)
{
	char name[] = "weir-agent";
	char flag[] = "--probe";
	char *const argv[] = {name, flag, NULL};
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, out_fd,
						     STDOUT_FILENO);
	}
	if (r == 0) {
		r = posix_spawnp(ret_pid, path, &actions, NULL, argv, environ);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int read_all(int fd, struct weir_buf *out)
{
	for (;;) {
		char chunk[4096];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : out->error;
		}
		weir_buf_add(out, chunk, (size_t)n);
	}
}

static int probe_offline(struct weir_buf *answer)
{
	_cleanup_close_ int in = -1;
	_cleanup_close_ int out = -1;
	char space[4096];
	const char *path = find_agent(space);
	int fds[2] = {-1, -1};
	int status = 0;
	pid_t pid = -1;
	int r;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return weir_ctl_fail("pipe: %s", strerror(errno));
	}
	in = fds[0];
	out = fds[1];
	r = spawn_agent(path, out, &pid);
	if (r < 0) {
		return weir_ctl_fail("no agent answers, and %s: %s", path,
				     strerror(-r));
	}
	weir_close(&out);
	r = read_all(in, answer);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (r < 0 || status != 0) {
		return weir_ctl_fail("%s --probe failed", path);
	}
	return WEIR_CTL_OK;
}

int weir_ctl_probe(struct weir_ctl *ctl)
{
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	_cleanup_buf_ struct weir_buf answer = {0};
	_cleanup_buf_ struct weir_buf out = {0};
	int r = weir_ask(ctl->admin, "probe", &answer, NULL);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		answer.n = 0;
		if (probe_offline(&answer) != WEIR_CTL_OK) {
			return WEIR_CTL_FAILED;
		}
	} else if (r < 0) {
		return weir_ctl_fail("%s: %s%s", ctl->admin, strerror(-r),
				     weir_ask_hint(r));
	}
	if (ctl->is_json) {
		return weir_ctl_print(&answer, WEIR_CTL_OK);
	}
	json = cJSON_ParseWithLength(answer.n ? answer.p : "", answer.n);
	if (!json) {
		return weir_ctl_fail("the answer is not JSON");
	}
	weir_show_json(json, ctl->has_colour, 0, &out);
	return weir_ctl_print(&out, WEIR_CTL_OK);
}
