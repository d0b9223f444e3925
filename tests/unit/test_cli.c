/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of weirctl: URLs, tables, the admin socket's client, top. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "cleanup.h"
#include "fdutil.h"
#include "plan_source.h"
#include "sample.h"
#include "show.h"
#include "tap.h"
#include "topview.h"
#include "url.h"
#include "writer.h"

static void urls(void)
{
	static const struct {
		const char *url;
		int error;
		const char *host;
		int port;
		const char *path;
		const char *query; /* NULL: none */
	} c[] = {
		{"http://a.x", 0, "a.x", 80, "/", NULL},
		{"a.x", 0, "a.x", 80, "/", NULL},
		{"a.x:8080/b/c?d=e&f", 0, "a.x", 8080, "/b/c", "d=e&f"},
		{"https://a.x/", 0, "a.x", 443, "/", NULL},
		{"https://a.x:444?q", 0, "a.x", 444, "/", "q"},
		{"http://a/?", 0, "a", 80, "/", ""},
		{"http://a/b#c?d", 0, "a", 80, "/b", NULL},
		{"http://[fd00::1]:81/x", 0, "fd00::1", 81, "/x", NULL},
		{"http://[fd00::1]", 0, "fd00::1", 80, "/", NULL},
		{"http://a/b:c", 0, "a", 80, "/b:c", NULL},
		{"http://a//x", 0, "a", 80, "//x", NULL},
		{"ftp://a/", -EPROTONOSUPPORT, NULL, 0, NULL, NULL},
		{"http://", -EINVAL, NULL, 0, NULL, NULL},
		{"http:///x", -EINVAL, NULL, 0, NULL, NULL},
		{"http://:80/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://a:/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://a:0/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://a:65536/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://[fd00::1]x/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://[::1/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://user@a/", -EINVAL, NULL, 0, NULL, NULL},
		{"http://[::1", -EINVAL, NULL, 0, NULL, NULL},
		{"", -EINVAL, NULL, 0, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct weir_url u = {0};
		int r = weir_url_parse(weir_str_of(c[i].url), &u);

		if (!ok(r == c[i].error, "%s: %d", c[i].url, r) || r < 0) {
			continue;
		}
		ok(weir_str_is(u.host, c[i].host), "%s: host", c[i].url);
		ok(u.port == c[i].port, "%s: port %d", c[i].url, u.port);
		ok(weir_str_is(u.path, c[i].path), "%s: path", c[i].url);
		ok((u.query.p == NULL) == (c[i].query == NULL) &&
			   weir_str_is(u.query, c[i].query),
		   "%s: query", c[i].url);
	}
}

static void header_lines(void)
{
	struct weir_header h;

	ok(weir_url_header(WEIR_STR("X-A:  b c "), &h) == 0, "good");
	ok(weir_str_is(h.name, "X-A") && weir_str_is(h.value, "b c"),
	   "trimmed");
	ok(weir_url_header(WEIR_STR("x-a:"), &h) == 0 && h.value.n == 0,
	   "empty value");
	ok(weir_url_header(WEIR_STR("x-a"), &h) == -EINVAL, "no colon");
	ok(weir_url_header(WEIR_STR(": x"), &h) == -EINVAL, "no name");
	ok(weir_url_header(WEIR_STR(" : x"), &h) == -EINVAL, "blank name");
}

static void shares_never_read_as_zero(void)
{
	static const struct {
		double share;
		const char *text;
	} c[] = {{0, "0.00%"},      {1, "100.00%"},
		 {0.7, "70.00%"},   {0.000099, "0.010%"},
		 {1e-6, "0.0001%"}, {1 / 4294967296.0, "0.00000002%"}};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		char text[16];

		weir_show_share(c[i].share, text);
		ok(strcmp(text, c[i].text) == 0, "%s, expected %s", text,
		   c[i].text);
	}
}

/* ------------------------------------------------------------------ tables */

static void table_is(bool has_colour, size_t rows, size_t width,
		     const char *want)
{
	static const char *const heads[] = {"A<", "N>", "LAST<"};
	_cleanup_buf_ struct weir_buf out = {0};
	struct weir_table_out t = {0};

	weir_table_heads(&t, heads, 3);
	weir_table_cell(&t, WEIR_PLAIN, "long-name");
	weir_table_cell(&t, WEIR_RED, "%d", 7);
	weir_table_cell(&t, WEIR_PLAIN, "x");
	weir_table_end_row(&t);
	weir_table_cell(&t, WEIR_PLAIN, "\xc3\xa4");
	weir_table_cell(&t, WEIR_PLAIN, "12345");
	weir_table_end_row(&t);
	weir_table_print(&t, has_colour, rows, width, &out);
	weir_buf_add(&out, "", 1);
	ok(strcmp(out.p, want) == 0, "is\n%s\nexpected\n%s", out.p, want);
	weir_table_fini(&t);
}

static void tables_align(void)
{
	table_is(false, 0, 0,
		 "A              N  LAST\n"
		 "long-name      7  x\n"
		 "\xc3\xa4          12345\n");
}

static void tables_are_cut(void)
{
	table_is(false, 2, 0,
		 "A          N  LAST\n"
		 "long-name  7  x\n");
	/* Texts give way before numbers. */
	table_is(false, 0, 21,
		 "A             N  LAST\n"
		 "long-nam      7  x\n"
		 "\xc3\xa4         12345\n");
	table_is(false, 0, 18,
		 "A             N  L\n"
		 "long-nam      7  x\n"
		 "\xc3\xa4         12345\n");
	table_is(false, 0, 4, "A\nlong\n\xc3\xa4\n");
}

static void colours_take_no_width(void)
{
	table_is(true, 2, 0,
		 "\x1b[1mA\x1b[0m          \x1b[1mN\x1b[0m  "
		 "\x1b[1mLAST\x1b[0m\n"
		 "long-name  \x1b[31m7\x1b[0m  x\n");
}

/* ------------------------------------------------------------ admin socket */

/* A child that answers one request with text and these descriptors. */
static pid_t serve(char path[static 108], const char *want, const char *answer,
		   const int *fds, size_t n_fds)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_close_ int listener = socket(AF_UNIX,
					      SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(path, 108, "/tmp/weir-test-cli-%d.sock", getpid());
	unlink(path);
	memcpy(sa.sun_path, path, strlen(path));
	must(bind(listener, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
		     listen(listener, 1) == 0,
	     "listen");
	pid = fork();
	if (pid == 0) {
		char line[64] = "";
		int fd = accept(listener, NULL, NULL);
		ssize_t n = recv(fd, line, sizeof(line) - 1, 0);
		size_t half = strlen(answer) / 2;

		if (n <= 0 || strcmp(line, want) != 0 ||
		    weir_send_fds(fd, answer, half, fds, n_fds) < 0 ||
		    weir_send_fds(fd, answer + half, strlen(answer) - half,
				  NULL, 0) < 0) {
			_exit(1);
		}
		_exit(0);
	}
	return pid;
}

static void served(pid_t pid, const char *path)
{
	int status = -1;

	unlink(path);
	ok(waitpid(pid, &status, 0) == pid && status == 0,
	   "the server saw what it wanted");
}

static void ask_reads_the_whole_answer(void)
{
	_cleanup_buf_ struct weir_buf answer = {0};
	char path[108];
	pid_t pid = serve(path, "status\n", "{\"a\":1}\n", NULL, 0);
	int r = weir_ask(path, "status", &answer, NULL);

	served(pid, path);
	ok(r == 0, "%d", r);
	ok(weir_str_is(weir_buf_str(&answer), "{\"a\":1}\n"), "both halves");
	ok(weir_ask(path, "status", &answer, NULL) == -ENOENT, "no socket");
}

/* The smallest plan: one rule with refs 70/30 and stat ids 3 and 4. */
static void small_plan(struct weir_plan **ret_rules, size_t *ret_rules_size,
		       struct weir_eps **ret_eps, size_t *ret_eps_size)
{
	struct weir_pobject object = {0};
	struct weir_ref ref[2] = {{.weight = 70,
				   .stat = 3,
				   .group = WEIR_NONE,
				   .state = WEIR_REF_INVALID},
				  {.weight = 30,
				   .stat = 4,
				   .group = WEIR_NONE,
				   .state = WEIR_REF_INVALID}};
	struct weir_rule rule = {.stat = 2, .plane = WEIR_PLANE_CONNECTION};
	const uint64_t weights[2] = {70, 30};
	weir_alias_rest rest[2];
	struct weir_slot slot[2];
	struct weir_writer w;
	struct weir_plan *p;
	struct weir_span s[2];
	void *block;

	weir_writer_init(&w, sizeof(struct weir_plan));
	object.kind = weir_writer_text(&w, WEIR_STR("TCPRoute"));
	object.ns = weir_writer_text(&w, WEIR_STR("default"));
	object.name = weir_writer_text(&w, WEIR_STR("db"));
	weir_alias_build(weights, 2, rest, slot);
	rule.refs = weir_writer_add(&w, ref, 2, sizeof(ref[0]));
	rule.slots = weir_writer_add(&w, slot, 2, sizeof(slot[0]));
	s[0] = weir_writer_add(&w, &object, 1, sizeof(object));
	s[1] = weir_writer_add(&w, &rule, 1, sizeof(rule));
	p = weir_writer_at(&w, (struct weir_span){0});
	p->objects = s[0];
	p->rules = s[1];
	p->generation = 9;
	must(weir_writer_finish(&w, WEIR_PLAN_MAGIC, &block, ret_rules_size) ==
		     0,
	     "rules");
	*ret_rules = block;
	weir_writer_init(&w, sizeof(struct weir_eps));
	must(weir_writer_finish(&w, WEIR_EPS_MAGIC, &block, ret_eps_size) == 0,
	     "endpoints");
	*ret_eps = block;
	(*ret_eps)->groups_hash = weir_plan_groups_hash(*ret_rules);
}

static void plan_comes_as_descriptors(void)
{
	_cleanup_source_ struct weir_source src = {0};
	_cleanup_free_ struct weir_plan *rules = NULL;
	_cleanup_free_ struct weir_eps *eps = NULL;
	size_t size[2];
	int fds[2] = {-1, -1};
	char path[108];
	pid_t pid;
	int r;

	small_plan(&rules, &size[0], &eps, &size[1]);
	must(weir_memfd_sealed("rules", rules, size[0], &fds[0]) == 0 &&
		     weir_memfd_sealed("eps", eps, size[1], &fds[1]) == 0,
	     "memfds");
	pid = serve(path, "plan\n", "{\"generation\":9}\n", fds, 2);
	r = weir_source_online(path, &src);
	served(pid, path);
	weir_close(&fds[0]);
	weir_close(&fds[1]);
	must(r == 0, "%d", r);
	ok(src.view.rules->generation == 9, "the plan");
	pid = serve(path, "plan\n", "{\"error\":\"no plan yet\"}\n", NULL, 0);
	ok(weir_source_online(path, &src) == -EAGAIN, "no plan yet");
	served(pid, path);
}

static void damaged_plan_is_refused(void)
{
	struct weir_source src = {0};
	_cleanup_free_ struct weir_plan *rules = NULL;
	_cleanup_free_ struct weir_eps *eps = NULL;
	size_t size[2];
	int fds[2] = {-1, -1};
	char path[108];
	pid_t pid;

	small_plan(&rules, &size[0], &eps, &size[1]);
	rules->rules.n = 1000;
	must(weir_memfd_sealed("rules", rules, size[0], &fds[0]) == 0 &&
		     weir_memfd_sealed("eps", eps, size[1], &fds[1]) == 0,
	     "memfds");
	pid = serve(path, "plan\n", "{}\n", fds, 2);
	ok(weir_source_online(path, &src) == -EBADMSG, "refused");
	served(pid, path);
	weir_close(&fds[0]);
	weir_close(&fds[1]);
}

/* --------------------------------------------------------------------- top */

#define BEFORE                                                                 \
	"{\"now_us\":1000000,\"generation\":9,\"rules\":[{\"id\":2,"           \
	"\"requests\":5,\"status\":[0,0,5,0,0,0],\"in_flight\":0}],"           \
	"\"refs\":[{\"id\":3,\"picked_connect\":1000},{\"id\":4,"              \
	"\"picked_connect\":1000}]}"
#define NOW                                                                    \
	"{\"now_us\":3000000,\"generation\":9,\"totals\":{\"requests\":9,"     \
	"\"in_flight\":1,\"duration_us_sum\":7000,\"clients_opened\":5,"       \
	"\"clients_closed\":3},\"rules\":[{\"id\":2,"                          \
	"\"requests\":7,\"status\":[0,0,7,0,0,0],\"in_flight\":1}],"           \
	"\"refs\":[{\"id\":3,\"picked_connect\":1100,\"picked_packet\":40,"    \
	"\"in_flight\":3},{\"id\":4,\"picked_connect\":1060,\"refused\":2,"    \
	"\"failed\":1}]}"

static void top_shows_configured_and_observed(void)
{
	_cleanup_(weir_sample_fini) struct weir_sample before = {0};
	_cleanup_(weir_sample_fini) struct weir_sample now = {0};
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	_cleanup_free_ struct weir_plan *rules = NULL;
	_cleanup_free_ struct weir_eps *eps = NULL;
	_cleanup_buf_ struct weir_buf out = {0};
	struct weir_topview v = {.before = &before, .now = &now};
	const cJSON *proxy;
	const cJSON *rule;
	const cJSON *ref;
	size_t size[2];

	small_plan(&rules, &size[0], &eps, &size[1]);
	v.plan = rules;
	must(weir_sample_parse(WEIR_STR(BEFORE), &before) == 0, "before");
	must(weir_sample_parse(WEIR_STR(NOW), &now) == 0, "now");
	must(weir_topview_json(&v, &out) == 0, "json");
	json = cJSON_ParseWithLength(out.p, out.n);
	must(json != NULL, "is JSON: %.*s", (int)out.n, out.p);
	rule = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "rules"), 0);
	ref = cJSON_GetArrayItem(cJSON_GetObjectItem(rule, "refs"), 0);
	ok(weir_json_number(json, "interval_us") == 2000000, "interval");
	ok(weir_json_number(rule, "requests_rate") == 1, "requests");
	proxy = cJSON_GetObjectItem(json, "proxy");
	ok(weir_json_number(proxy, "requests_rate") == 4.5, "9 in 2 s");
	ok(weir_json_number(proxy, "mean_ms") == 0.875, "7 ms of 8 that ended");
	ok(weir_json_number(proxy, "clients") == 2, "clients");
	ok(weir_json_number(ref, "share") == 0.7, "configured");
	ok(weir_json_number(ref, "now") == 0.7, "140 of 200 in the interval");
	ok(weir_json_number(ref, "rate") == 70, "140 in 2 s");
	ok(weir_json_number(ref, "picked") == 1140, "total");
	ok(weir_json_number(ref, "ever") == 0.518182, "1140 of 2200");
	out.n = 0;
	must(weir_topview_text(&v, false, 0, 0, &out) == 0, "text");
	weir_buf_add(&out, "", 1);
	ok(strstr(out.p, "proxy: 4.5 requests/s of 0.88 ms, 1 in flight; "
			 "2 clients, 0 refused; 0 idle ") == out.p,
	   "proxy:\n%s", out.p);
	ok(strstr(out.p, "TCPRoute default/db [0]  connect+packet  TCPRoute") !=
		   NULL,
	   "rule and plane:\n%s", out.p);
	ok(strstr(out.p, "70  70.00%  70.00%  51.82%    70.0   1140     3  "
			 "     0\n") != NULL,
	   "first ref:\n%s", out.p);
	ok(strstr(out.p, "30  30.00%  30.00%  48.18%    30.0   1060     0  "
			 "     3\n") != NULL,
	   "second ref:\n%s", out.p);
}

static void top_survives_counters_that_begin_anew(void)
{
	_cleanup_(weir_sample_fini) struct weir_sample before = {0};
	_cleanup_(weir_sample_fini) struct weir_sample now = {0};
	_cleanup_free_ struct weir_plan *rules = NULL;
	_cleanup_free_ struct weir_eps *eps = NULL;
	_cleanup_buf_ struct weir_buf out = {0};
	struct weir_topview v = {.before = &before, .now = &now};
	size_t size[2];

	small_plan(&rules, &size[0], &eps, &size[1]);
	v.plan = rules;
	must(weir_sample_parse(WEIR_STR(NOW), &before) == 0, "before");
	must(weir_sample_parse(WEIR_STR("{\"now_us\":3,\"refs\":[{\"id\":3,"
					"\"picked_proxy\":10}],\"rules\":[]}"),
			       &now) == 0,
	     "now");
	must(weir_topview_json(&v, &out) == 0, "json");
	weir_buf_add(&out, "", 1);
	ok(strstr(out.p, "\"now\":1.000000") != NULL, "%s", out.p);
	ok(strstr(out.p, "-") == NULL, "nothing negative: %s", out.p);
}

static void hostile_samples(void)
{
	static const char *const bad[] = {"", "[]", "{", "1",
					  "{\"error\":\"x\"}"};
	static const char *const odd[] = {
		"{}", "{\"refs\":1,\"rules\":{}}",
		("{\"refs\":[{\"id\":1e300},{\"id\":-1},{\"id\":\"x\"},1,null,"
		 "{\"id\":99999999}],\"rules\":[{\"id\":1,\"status\":7}]}")};
	struct weir_sample s = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ok(weir_sample_parse(weir_str_of(bad[i]), &s) == -EBADMSG, "%s",
		   bad[i]);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct weir_sample_ref ref;

		must(weir_sample_parse(weir_str_of(odd[i]), &s) == 0, "%s",
		     odd[i]);
		ref = weir_sample_ref(&s, 99999999);
		ok(weir_sample_picked(&ref) == 0, "absent is 0");
		weir_sample_fini(&s);
	}
}

TAP_MAIN(TEST(urls), TEST(header_lines), TEST(shares_never_read_as_zero),
	 TEST(tables_align), TEST(tables_are_cut), TEST(colours_take_no_width),
	 TEST(ask_reads_the_whole_answer), TEST(plan_comes_as_descriptors),
	 TEST(damaged_plan_is_refused), TEST(top_shows_configured_and_observed),
	 TEST(top_survives_counters_that_begin_anew), TEST(hostile_samples))
