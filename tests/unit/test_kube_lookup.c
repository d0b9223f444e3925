/* SPDX-License-Identifier: Apache-2.0 */
/* agent/kube/lookup.c beside a server that is silent, or behind. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "reflect.h"
#include "tap.h"

#define N_NAMED (4 * WEIR_KUBE_LOOKUPS)
#define HOLD_MS 300
#define FAILED_MS 4000 /* before the first request is over */

static struct weir_loop *loop;
static struct weir_kube_client *client;
static struct weir_kube_source *source;
static struct weir_store *store;
static int n_changes;
static int server = -1;

static void on_change(void *arg)
{
	(void)arg;
	n_changes++;
	if (source && !source->n_holding) {
		weir_loop_stop(loop, 0);
	}
}

static void on_late(struct weir_timer *timer)
{
	(void)timer;
	weir_loop_stop(loop, 1);
}

static uint16_t be_silent(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);

	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(server >= 0 && bind(server, (void *)&sin, len) == 0 &&
		     listen(server, 128) == 0 &&
		     getsockname(server, (void *)&sin, &len) == 0,
	     "server");
	return ntohs(sin.sin_port);
}

static void begin(void)
{
	char path[] = "/tmp/weir-kube-lookup.XXXXXX";
	char error[WEIR_KUBE_ERROR_MAX] = "";
	struct weir_kube_config *config = NULL;
	struct weir_kube_source_options options = {.on_change = on_change,
						   .hold_ms = HOLD_MS};
	int fd = mkostemp(path, O_CLOEXEC);

	must(fd >= 0, "file");
	dprintf(fd,
		"apiVersion: v1\nkind: Config\ncurrent-context: one\n"
		"contexts:\n- name: one\n  context: {cluster: c, user: u}\n"
		"clusters:\n- name: c\n  cluster: {server: "
		"'http://127.0.0.1:%u'}\n"
		"users:\n- name: u\n  user: {token: t}\n",
		be_silent());
	weir_close(&fd);
	must(weir_kube_config_load(path, NULL, &config, error) == 0, "%s",
	     error);
	unlink(path);
	must(weir_loop_new(&loop) == 0, "loop");
	must(weir_kube_client_new(loop, &config, &client) == 0, "client");
	must(weir_store_new(&store) == 0, "store");
	options.loop = loop;
	options.client = client;
	options.store = store;
	must(weir_kube_source_new(&options, &source) == 0, "source");
	source->reflectors[WEIR_KIND_SERVICE].version = WEIR_STR("v1");
}

static void end(void)
{
	weir_kube_source_free(&source);
	weir_kube_client_free(&client);
	weir_store_free(&store);
	weir_loop_free(&loop);
	weir_close(&server);
}

/* Of those beyond the ones that are asked for at once, too. */
static void a_plan_waits_so_long_and_no_longer(void)
{
	struct weir_timer late = {.fn = on_late};
	uint64_t began_ms = weir_now_ms();
	size_t n = 0;

	begin();
	for (unsigned int i = 0; i < N_NAMED; i++) {
		char name[16];
		int len = snprintf(name, sizeof(name), "s%u", i);

		weir_lookup_begin(source, WEIR_KIND_SERVICE,
				  WEIR_STR("default"),
				  (struct weir_str){name, (size_t)len}, i % 2);
	}
	ok(source->n_promised == N_NAMED && source->n_holding == N_NAMED / 2,
	   "%u, %u hold", source->n_promised, source->n_holding);
	weir_loop_arm(loop, &late, FAILED_MS);
	ok(weir_loop_run(loop) == 0, "%u, %u hold still", source->n_promised,
	   source->n_holding);
	ok(!source->n_holding && source->n_promised == N_NAMED,
	   "what was not answered is not yet so: %u", source->n_promised);
	weir_lookup_await(source, WEIR_KIND_SERVICE, WEIR_STR("default"),
			  WEIR_STR("s1"));
	ok(!source->n_holding, "one that has held does not again");
	ok(weir_now_ms() - began_ms >= HOLD_MS, "too early");
	for (struct weir_lookup *l = source->lookups; l; l = l->next) {
		n++;
	}
	ok(n == N_NAMED && source->n_lookups == WEIR_KUBE_LOOKUPS,
	   "they are asked for all the same: %zu, %u", n, source->n_lookups);
	weir_loop_disarm(loop, &late);
	end();
}

/* What a request of the one name looks like, if the watch has seen version. */
static void is_asked(uint64_t version, bool is_in_list, const char *want)
{
	struct weir_timer late = {.fn = on_late};
	_cleanup_close_ int fd = -1;
	char got[1024] = "";

	begin();
	source->reflectors[WEIR_KIND_SERVICE].seen = version;
	source->reflectors[WEIR_KIND_SERVICE].is_in_list = is_in_list;
	weir_lookup_begin(source, WEIR_KIND_SERVICE, WEIR_STR("default"),
			  WEIR_STR("one"), true);
	weir_loop_arm(loop, &late, FAILED_MS);
	ok(weir_loop_run(loop) == 0, "it holds still");
	weir_loop_disarm(loop, &late);
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	must(fd >= 0 && recv(fd, got, sizeof(got) - 1, 0) > 0, "a request");
	ok(strstr(got, want), "%s", got);
	end();
}

/* So the server need not ask etcd how old what it has is. */
static void the_answer_is_as_new_as_the_watch(void)
{
	static const char plain[] =
		"/services?fieldSelector=metadata.name%3Done HTTP/1.1\r\n";

	is_asked(0, false, plain);
	/* The watch will go on from the list. */
	is_asked(42, true, plain);
	is_asked(42, false,
		 "/services?fieldSelector=metadata.name%3Done"
		 "&resourceVersion=42&resourceVersionMatch=NotOlderThan "
		 "HTTP/1.1\r\n");
}

/* A server whose cache of a quiet kind stays behind. */
static struct weir_io behind;
static struct weir_io asker = {.fd = -1};
static int n_asked;
static int n_with_version;

static void on_asked(struct weir_io *io, uint32_t events)
{
	static const char refusal[] =
		"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n"
		"Connection: close\r\n\r\n";
	char got[1024] = "";

	(void)events;
	if (recv(io->fd, got, sizeof(got) - 1, 0) > 0) {
		n_with_version += strstr(got, "resourceVersion=42") != NULL;
		ok(send(io->fd, refusal, strlen(refusal), MSG_NOSIGNAL) > 0,
		   "refused");
		n_asked++;
	}
	weir_loop_del(loop, io);
	weir_close(&io->fd);
	if (n_asked == 2) {
		weir_loop_stop(loop, 0);
	}
}

static void on_asker(struct weir_io *io, uint32_t events)
{
	(void)events;
	asker = (struct weir_io){
		.fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK),
		.fn = on_asked};
	must(asker.fd >= 0 && weir_loop_add(loop, &asker, EPOLLIN) == 0,
	     "asker");
}

static void a_server_that_is_behind_is_asked_without(void)
{
	struct weir_timer late = {.fn = on_late};

	begin();
	source->reflectors[WEIR_KIND_SERVICE].seen = 42;
	weir_lookup_begin(source, WEIR_KIND_SERVICE, WEIR_STR("default"),
			  WEIR_STR("one"), false);
	source->n_holding++; /* or the end of holding ends the loop */
	behind = (struct weir_io){.fd = server, .fn = on_asker};
	must(weir_loop_add(loop, &behind, EPOLLIN) == 0, "server");
	weir_loop_arm(loop, &late, FAILED_MS);
	ok(weir_loop_run(loop) == 0, "it is asked again");
	weir_loop_disarm(loop, &late);
	ok(n_asked == 2 && n_with_version == 1, "%d of %d with a version",
	   n_with_version, n_asked);
	weir_loop_del(loop, &behind);
	source->n_holding--;
	end();
}

TAP_MAIN(TEST(a_server_that_is_behind_is_asked_without),
	 TEST(a_plan_waits_so_long_and_no_longer),
	 TEST(the_answer_is_as_new_as_the_watch))
