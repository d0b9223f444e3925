/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base64.h"
#include "cleanup.h"
#include "fdutil.h"
#include "node.h"

#define FILE_MAX                                                               \
	((size_t)1 << 20) /* of a kubeconfig, a certificate, a token           \
			   */

/* What is being read, and where a fault is told. */
struct reading {
	struct weir_kube_config *config;
	const char *path;    /* of the kubeconfig */
	const char *context; /* wanted; NULL: current-context */
	char *error;         /* WEIR_KUBE_ERROR_MAX bytes */
	bool is_done;
};

__attribute__((format(printf, 2, 3))) static int fail(struct reading *r,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, WEIR_KUBE_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ------------------------------------------------- what may be replaced */

static void secret_fini(struct weir_kube_secret *s)
{
	weir_free_ptr(&s->path);
	if (s->data.p) {
		explicit_bzero(s->data.p, s->data.cap);
	}
	weir_buf_fini(&s->data);
}

/* A token file ends with a line break that is not part of it. */
static void trim_end(struct weir_buf *b)
{
	while (b->n && (b->p[b->n - 1] == '\n' || b->p[b->n - 1] == '\r' ||
			b->p[b->n - 1] == ' ')) {
		b->n--;
	}
}

/* 1: new contents; 0: as before; -errno: what was there is kept. */
static int secret_read(struct weir_kube_secret *s)
{
	_cleanup_buf_ struct weir_buf data = {0};
	struct weir_buf old = s->data;
	struct stat st;
	int64_t seen_ns;
	bool is_same;
	int r;

	if (!s->path) {
		return 0;
	}
	if (stat(s->path, &st) < 0) {
		return -errno;
	}
	seen_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if (seen_ns == s->seen_ns && st.st_ino == s->seen_inode) {
		return 0;
	}
	r = weir_read_file_at(AT_FDCWD, s->path, FILE_MAX, &data);
	if (r < 0) {
		return r;
	}
	if (memchr(data.p, '\0', data.n)) {
		return -EINVAL;
	}
	trim_end(&data);
	is_same = weir_str_eq(weir_buf_str(&data), weir_buf_str(&old));
	s->data = data;
	data = old; /* freed */
	if (data.p) {
		explicit_bzero(data.p, data.cap);
	}
	s->seen_ns = seen_ns;
	s->seen_inode = st.st_ino;
	return !is_same;
}

int weir_kube_config_refresh(struct weir_kube_config *config)
{
	struct weir_kube_secret *all[] = {&config->ca, &config->certificate,
					  &config->key, &config->token};
	int result = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int r = secret_read(all[i]);

		if (r > 0) {
			config->epoch++;
		}
		if (r < 0 ? result >= 0 : result == 0) {
			result = r;
		}
	}
	return result;
}

void weir_kube_config_free(struct weir_kube_config **config)
{
	struct weir_kube_config *c = *config;

	if (!c) {
		return;
	}
	weir_free_ptr(&c->server);
	weir_free_ptr(&c->server_name);
	weir_free_ptr(&c->ns);
	secret_fini(&c->ca);
	secret_fini(&c->certificate);
	secret_fini(&c->key);
	secret_fini(&c->token);
	weir_free_ptr(config);
}

/* --------------------------------------------------- values of the file */

static int copy_str(struct weir_str s, char **ret_z)
{
	char *z = strndup(s.n ? s.p : "", s.n);

	if (!z) {
		return -ENOMEM;
	}
	weir_free_ptr(ret_z);
	*ret_z = z;
	return 0;
}

/* Paths in a kubeconfig are relative to it. */
static int copy_path(const struct reading *r, struct weir_str s, char **ret_z)
{
	const char *slash = strrchr(r->path, '/');
	char *z = NULL;

	if (s.p[0] == '/' || !slash) {
		return copy_str(s, ret_z);
	}
	if (asprintf(&z, "%.*s/%.*s", (int)(slash - r->path), r->path,
		     WEIR_STR_ARG(s)) < 0) {
		return -ENOMEM;
	}
	weir_free_ptr(ret_z);
	*ret_z = z;
	return 0;
}

/* The text at key; null if it is absent or empty. */
static struct weir_str text_of(const struct weir_node *map, const char *key)
{
	const struct weir_node *node = weir_node_get(map, key);

	if (!node || node->type == WEIR_NODE_MAP ||
	    node->type == WEIR_NODE_SEQ || node->text.n == 0) {
		return WEIR_STR_NULL;
	}
	return node->text;
}

static int load_secret(struct reading *r, struct weir_kube_secret *s,
		       const char *what)
{
	int e = secret_read(s);

	return e < 0 ? (fail(r, "%s %s: %s", what, s->path, strerror(-e)), e)
		     : 0;
}

/* `field`-data before `field`, as client-go takes them. */
static int read_pem(struct reading *r, const struct weir_node *map,
		    const char *field, struct weir_kube_secret *s)
{
	struct weir_str path = text_of(map, field);
	char key[64];
	struct weir_str data;
	int e;

	snprintf(key, sizeof(key), "%s-data", field);
	data = text_of(map, key);
	if (data.n) {
		e = weir_base64_decode(data, &s->data);
		return e == -EINVAL ? fail(r, "%s is not base64", key) : e;
	}
	if (path.n == 0) {
		return 0;
	}
	e = copy_path(r, path, &s->path);
	return e < 0 ? e : load_secret(r, s, field);
}

/* The entry of a list whose name is this. */
static const struct weir_node *find_named(const struct weir_node *root,
					  const char *list, const char *inner,
					  struct weir_str name)
{
	const struct weir_node *all = weir_node_get(root, list);

	if (!all || all->type != WEIR_NODE_SEQ) {
		return NULL;
	}
	for (const struct weir_node *c = all->child; c; c = c->next) {
		if (c->type == WEIR_NODE_MAP &&
		    weir_str_eq(text_of(c, "name"), name)) {
			return weir_node_get(c, inner);
		}
	}
	return NULL;
}

static int read_server(struct reading *r, struct weir_str server)
{
	while (server.n && server.p[server.n - 1] == '/') {
		server.n--;
	}
	if (!weir_str_starts(server, WEIR_STR("https://")) &&
	    !weir_str_starts(server, WEIR_STR("http://"))) {
		return fail(r, "server \"%.*s\": expected https://HOST:PORT",
			    WEIR_STR_ARG(server));
	}
	if (weir_str_find(server, '@') >= 0) {
		return fail(r, "server: credentials in it are not supported");
	}
	return copy_str(server, &r->config->server);
}

static int read_cluster(struct reading *r, const struct weir_node *cluster)
{
	const struct weir_node *insecure = weir_node_get(
		cluster, "insecure-skip-tls-verify");
	struct weir_str name = text_of(cluster, "tls-server-name");
	int e = read_server(r, text_of(cluster, "server"));

	if (e < 0) {
		return e;
	}
	if (text_of(cluster, "proxy-url").n) {
		return fail(r, "proxy-url is not supported: weir connects to "
			       "the API server itself");
	}
	if (name.n) {
		e = copy_str(name, &r->config->server_name);
		if (e < 0) {
			return e;
		}
	}
	r->config->is_insecure = insecure && insecure->type == WEIR_NODE_BOOL &&
				 insecure->number;
	return read_pem(r, cluster, "certificate-authority", &r->config->ca);
}

/* What only a program outside could do, or what weir must not do. */
static int refuse_user(struct reading *r, const struct weir_node *user)
{
	static const struct {
		const char *field;
		const char *why;
	} refused[] = {
		{"exec", "weir starts no programs for credentials"},
		{"auth-provider", "weir starts no programs for credentials"},
		{"username", "the API server has no passwords any more"},
		{"as", "weir does not impersonate"},
		{"as-uid", "weir does not impersonate"},
		{"as-groups", "weir does not impersonate"},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (weir_node_get(user, refused[i].field)) {
			return fail(r,
				    "user has \"%s\": %s; expected a client "
				    "certificate, token or tokenFile",
				    refused[i].field, refused[i].why);
		}
	}
	return 0;
}

static int read_user(struct reading *r, const struct weir_node *user)
{
	struct weir_kube_config *c = r->config;
	struct weir_str token = text_of(user, "token");
	struct weir_str path = text_of(user, "tokenFile");
	int e = refuse_user(r, user);

	if (e == 0) {
		e = read_pem(r, user, "client-certificate", &c->certificate);
	}
	if (e == 0) {
		e = read_pem(r, user, "client-key", &c->key);
	}
	if (e < 0) {
		return e;
	}
	if (!c->certificate.data.n != !c->key.data.n) {
		return fail(r, "user: a client certificate and its key are "
			       "only of use together");
	}
	if (path.n) {
		e = copy_path(r, path, &c->token.path);
		return e < 0 ? e : load_secret(r, &c->token, "tokenFile");
	}
	weir_buf_add_str(&c->token.data, token);
	return c->token.data.error;
}

static int read_root(struct reading *r, const struct weir_node *root)
{
	struct weir_str name = r->context ? weir_str_of(r->context)
					  : text_of(root, "current-context");
	const struct weir_node *context;
	const struct weir_node *cluster;
	const struct weir_node *user;
	struct weir_str ns;
	int e;

	if (name.n == 0) {
		return fail(r, "no current-context, and none was asked for");
	}
	context = find_named(root, "contexts", "context", name);
	if (!context) {
		return fail(r, "no context \"%.*s\"", WEIR_STR_ARG(name));
	}
	cluster = find_named(root, "clusters", "cluster",
			     text_of(context, "cluster"));
	if (!cluster) {
		return fail(r, "context \"%.*s\": no cluster \"%.*s\"",
			    WEIR_STR_ARG(name),
			    WEIR_STR_ARG(text_of(context, "cluster")));
	}
	e = read_cluster(r, cluster);
	if (e < 0) {
		return e;
	}
	user = find_named(root, "users", "user", text_of(context, "user"));
	if (!user && text_of(context, "user").n) {
		return fail(r, "context \"%.*s\": no user \"%.*s\"",
			    WEIR_STR_ARG(name),
			    WEIR_STR_ARG(text_of(context, "user")));
	}
	ns = text_of(context, "namespace");
	e = copy_str(ns.n ? ns : WEIR_STR("default"), &r->config->ns);
	if (e < 0 || !user) {
		return e;
	}
	return read_user(r, user);
}

static int on_document(void *arg, const struct weir_document *doc)
{
	struct reading *r = arg;

	if (!doc->root) {
		return fail(r, "line %u: %s", doc->line, doc->error);
	}
	if (r->is_done) {
		return 0;
	}
	r->is_done = true;
	if (doc->root->type != WEIR_NODE_MAP) {
		return fail(r, "expected a kubeconfig");
	}
	return read_root(r, doc->root);
}

int weir_kube_config_load(const char *path, const char *context,
			  struct weir_kube_config **ret_config,
			  char error[static WEIR_KUBE_ERROR_MAX])
{
	_cleanup_(weir_kube_config_free) struct weir_kube_config *c = calloc(
		1, sizeof(*c));
	_cleanup_buf_ struct weir_buf text = {0};
	struct reading reading = {
		.config = c, .path = path, .context = context, .error = error};
	int r;

	error[0] = '\0';
	if (!c) {
		return -ENOMEM;
	}
	r = weir_read_file_at(AT_FDCWD, path, FILE_MAX, &text);
	if (r == 0) {
		r = weir_yaml_read(weir_buf_str(&text), on_document, &reading);
	}
	if (r == 0 && !reading.is_done) {
		r = fail(&reading, "it is empty");
	}
	if (text.p) {
		explicit_bzero(text.p, text.cap);
	}
	if (r < 0) {
		if (!error[0]) {
			fail(&reading, "%s", strerror(-r));
		}
		return r;
	}
	*ret_config = TAKE_PTR(c);
	return 0;
}

/* --------------------------------------------------------- in a pod */

static int in_dir(const char *dir, const char *name, struct weir_kube_secret *s)
{
	return asprintf(&s->path, "%s/%s", dir, name) < 0
		       ? (s->path = NULL, -ENOMEM)
		       : 0;
}

static int read_namespace(const char *dir, char **ret_ns)
{
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/namespace", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = weir_read_file_at(AT_FDCWD, path, 4096, &text);
	if (r == 0) {
		trim_end(&text);
	}
	return copy_str(text.n ? weir_buf_str(&text) : WEIR_STR("default"),
			ret_ns);
}

int weir_kube_config_in_cluster(const char *dir,
				struct weir_kube_config **ret_config,
				char error[static WEIR_KUBE_ERROR_MAX])
{
	_cleanup_(weir_kube_config_free) struct weir_kube_config *c = calloc(
		1, sizeof(*c));
	struct reading reading = {.config = c, .error = error};
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	bool is_v6 = host && strchr(host, ':');
	int r;

	error[0] = '\0';
	if (!c) {
		return -ENOMEM;
	}
	if (!host || !*host || !port || !*port) {
		fail(&reading, "no KUBERNETES_SERVICE_HOST and _PORT in the "
			       "environment: this is no pod");
		return -ENOENT;
	}
	if (!dir) {
		dir = WEIR_KUBE_SERVICE_ACCOUNT;
	}
	if (asprintf(&c->server, is_v6 ? "https://[%s]:%s" : "https://%s:%s",
		     host, port) < 0) {
		c->server = NULL;
		return -ENOMEM;
	}
	r = in_dir(dir, "token", &c->token);
	if (r == 0) {
		r = in_dir(dir, "ca.crt", &c->ca);
	}
	if (r == 0) {
		r = load_secret(&reading, &c->token, "token");
	}
	if (r == 0) {
		r = load_secret(&reading, &c->ca, "CA");
	}
	if (r == 0) {
		r = read_namespace(dir, &c->ns);
	}
	if (r < 0) {
		return r;
	}
	*ret_config = TAKE_PTR(c);
	return 0;
}
