/* SPDX-License-Identifier: Apache-2.0 */
/* agent/kube: kubeconfig files, and what a pod is given. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "tap.h"

static char dir[] = "/tmp/weir-kube-config.XXXXXX";

static void put(const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;
	char path[128];
	char new[136];

	/* As kubelet: what is there is never half written. */
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	     "%s", path);
	must(rename(new, path) == 0, "%s", path);
}

static int load(const char *text, const char *context,
		struct weir_kube_config **ret_config,
		char error[static WEIR_KUBE_ERROR_MAX])
{
	char path[128];

	put("config", text);
	snprintf(path, sizeof(path), "%s/config", dir);
	return weir_kube_config_load(path, context, ret_config, error);
}

#define HEAD                                                                   \
	"apiVersion: v1\nkind: Config\ncurrent-context: one\n"                 \
	"contexts:\n- name: one\n  context: {cluster: c, user: u}\n"           \
	"- name: two\n  context: {cluster: d, user: v, namespace: n}\n"        \
	"- name: nobody\n  context: {cluster: c}\n"                            \
	"- name: lost\n  context: {cluster: c, user: absent}\n"
#define CLUSTERS                                                               \
	"clusters:\n- name: c\n  cluster:\n    server: https://h:6443/\n"      \
	"    certificate-authority-data: Q0E=\n"                               \
	"- name: d\n  cluster: {server: 'http://127.0.0.1:8001', "             \
	"insecure-skip-tls-verify: true, tls-server-name: x}\n"

static void the_current_context_or_another_is_read(void)
{
	static const char text[] = HEAD CLUSTERS
		"users:\n- name: u\n  user: {client-certificate-data: "
		"Q0VSVA==, "
		"client-key-data: S0VZ}\n- name: v\n  user: {token: secret}\n";
	struct weir_kube_config *c = NULL;
	char error[WEIR_KUBE_ERROR_MAX];

	must(load(text, NULL, &c, error) == 0, "%s", error);
	ok(strcmp(c->server, "https://h:6443") == 0, "%s", c->server);
	ok(strcmp(c->ns, "default") == 0, "%s", c->ns);
	ok(weir_str_is(weir_buf_str(&c->ca.data), "CA"), "CA");
	ok(weir_str_is(weir_buf_str(&c->certificate.data), "CERT"), "cert");
	ok(weir_str_is(weir_buf_str(&c->key.data), "KEY"), "key");
	ok(c->token.data.n == 0 && !c->is_insecure && !c->server_name, "rest");
	weir_kube_config_free(&c);

	must(load(text, "two", &c, error) == 0, "%s", error);
	ok(c->is_insecure && strcmp(c->server_name, "x") == 0, "insecure");
	ok(strcmp(c->ns, "n") == 0, "%s", c->ns);
	ok(weir_str_is(weir_buf_str(&c->token.data), "secret"), "token");
	weir_kube_config_free(&c);

	must(load(text, "nobody", &c, error) == 0, "%s", error);
	ok(c->token.data.n == 0 && c->certificate.data.n == 0, "anonymous");
	weir_kube_config_free(&c);
}

static void what_is_of_no_use_is_refused_with_a_reason(void)
{
	static const struct {
		const char *text;
		const char *context;
		const char *says;
	} cases[] = {
		{"", NULL, "empty"},
		{"[]", NULL, "expected a kubeconfig"},
		{"a: [", NULL, "line 2"},
		{"kind: Config\n", NULL, "no current-context"},
		{HEAD CLUSTERS, "three", "no context \"three\""},
		{HEAD, NULL, "no cluster \"c\""},
		{HEAD CLUSTERS, "lost", "no user \"absent\""},
		{HEAD CLUSTERS "users: [{name: u, user: {exec: {command: x}}}]",
		 NULL, "\"exec\": weir starts no programs"},
		{HEAD CLUSTERS "users: [{name: u, user: {auth-provider: {}}}]",
		 NULL, "\"auth-provider\""},
		{HEAD CLUSTERS "users: [{name: u, user: {username: a}}]", NULL,
		 "passwords"},
		{HEAD CLUSTERS "users: [{name: u, user: {as: a}}]", NULL,
		 "impersonate"},
		{HEAD CLUSTERS
		 "users: [{name: u, user: {client-certificate-data: Q0E=}}]",
		 NULL, "only of use together"},
		{HEAD CLUSTERS
		 "users: [{name: u, user: {client-certificate-data: '*', "
		 "client-key-data: Q0E=}}]",
		 NULL, "client-certificate-data is not base64"},
		{HEAD CLUSTERS "users: [{name: u, user: {tokenFile: absent}}]",
		 NULL, "tokenFile"},
		{HEAD "clusters: [{name: c, cluster: {server: 'h:1'}}]", NULL,
		 "expected https://"},
		{HEAD "clusters: [{name: c, cluster: {server: "
		      "'https://a:b@h'}}]",
		 NULL, "credentials"},
		{HEAD "clusters: [{name: c, cluster: {server: 'https://h', "
		      "proxy-url: 'http://p'}}]",
		 NULL, "proxy-url"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_kube_config *c = NULL;
		char error[WEIR_KUBE_ERROR_MAX];
		int r = load(cases[i].text, cases[i].context, &c, error);

		ok(r < 0, "case %zu: %d", i, r);
		ok(strstr(error, cases[i].says), "case %zu: %s", i, error);
		weir_kube_config_free(&c);
	}
}

static void files_are_relative_and_read_again(void)
{
	struct weir_kube_config *c = NULL;
	char error[WEIR_KUBE_ERROR_MAX];
	char path[128];
	uint64_t epoch;

	put("token", "first\n");
	put("ca.pem", "CA 1\n");
	must(load(HEAD "clusters: [{name: c, cluster: {server: 'https://h', "
		       "certificate-authority: ca.pem}}]\n"
		       "users: [{name: u, user: {tokenFile: token, token: "
		       "other}}]",
		  NULL, &c, error) == 0,
	     "%s", error);
	ok(weir_str_is(weir_buf_str(&c->token.data), "first"), "token");
	ok(weir_str_is(weir_buf_str(&c->ca.data), "CA 1"), "CA");
	epoch = c->epoch;
	ok(weir_kube_config_refresh(c) == 0 && c->epoch == epoch, "no change");
	put("token", "second");
	ok(weir_kube_config_refresh(c) == 1 && c->epoch > epoch, "rotated");
	ok(weir_str_is(weir_buf_str(&c->token.data), "second"), "new token");
	put("token", "second\n");
	epoch = c->epoch;
	ok(weir_kube_config_refresh(c) == 0 && c->epoch == epoch, "the same");
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	unlink(path);
	put("token", "third");
	ok(weir_kube_config_refresh(c) == -ENOENT, "the CA is gone");
	ok(weir_str_is(weir_buf_str(&c->ca.data), "CA 1"), "and stays known");
	ok(weir_str_is(weir_buf_str(&c->token.data), "third"), "new token");
	weir_kube_config_free(&c);
}

static void a_pod_knows_where_it_is(void)
{
	struct weir_kube_config *c = NULL;
	char error[WEIR_KUBE_ERROR_MAX];

	unsetenv("KUBERNETES_SERVICE_HOST");
	ok(weir_kube_config_in_cluster(dir, &c, error) == -ENOENT, "no pod");
	ok(strstr(error, "no pod"), "%s", error);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	put("token", "t\n");
	ok(weir_kube_config_in_cluster(dir, &c, error) == -ENOENT, "no CA");
	ok(strstr(error, "ca.crt"), "%s", error);
	put("ca.crt", "CA");
	put("namespace", "weir\n");
	must(weir_kube_config_in_cluster(dir, &c, error) == 0, "%s", error);
	ok(strcmp(c->server, "https://[fd00::1]:443") == 0, "%s", c->server);
	ok(strcmp(c->ns, "weir") == 0, "%s", c->ns);
	ok(weir_str_is(weir_buf_str(&c->token.data), "t"), "token");
	weir_kube_config_free(&c);
}

static void begin(void)
{
	must(mkdtemp(dir), "directory");
}

static void end(void)
{
	static const char *const names[] = {"config", "token", "ca.crt",
					    "namespace"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	ok(rmdir(dir) == 0, "nothing else was made");
}

TAP_MAIN(TEST(begin), TEST(the_current_context_or_another_is_read),
	 TEST(what_is_of_no_use_is_refused_with_a_reason),
	 TEST(files_are_relative_and_read_again), TEST(a_pod_knows_where_it_is),
	 TEST(end))
