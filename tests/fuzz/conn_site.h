/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz_conn.c runs against: listeners of frontends and endpoints on
 * loopback ports that the kernel chose, and plans that name them, compiled from
 * manifests as anybody's are.
 */
#ifndef WEIR_TESTS_CONN_SITE_H
#define WEIR_TESTS_CONN_SITE_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "compile.h"
#include "fdutil.h"
#include "manifest.h"
#include "plan_ref.h"
#include "stamp.h"
#include "stats.h"

enum site_frontend { SITE_HTTP, SITE_TCP, SITE_REFUSED, _SITE_FRONTENDS };

enum site_endpoint {
	SITE_A,
	SITE_B,
	SITE_RAW,
	SITE_STUCK, /* takes no connection, and refuses none */
	SITE_DEAD,  /* refuses all */
	_SITE_ENDPOINTS
};

#define SITE_PLANS 3
#define SITE_IDS 64

struct site {
	int frontend[_SITE_FRONTENDS];
	int endpoint[_SITE_ENDPOINTS];
	unsigned frontend_port[_SITE_FRONTENDS];
	unsigned endpoint_port[_SITE_ENDPOINTS];
	struct weir_plan_ref *plan[SITE_PLANS];
	int stats_fd;
	size_t stats_size;
};

static inline void site_must(bool is_true, const char *what)
{
	if (!is_true) {
		perror(what);
		abort();
	}
}

static inline void site_listen(const char *addr, int backlog, int *ret_fd,
			       unsigned *ret_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t n = sizeof(sa);
	int small = 4096;
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	site_must(inet_pton(AF_INET, addr, &sa.sin_addr) == 1, "address");
	site_must(fd >= 0 && bind(fd, (struct sockaddr *)&sa, n) == 0, "bind");
	/* Inherited: what is said is there at once, and peers that do not read
	 * are soon felt. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	site_must(backlog < 0 || listen(fd, backlog) == 0, "listen");
	site_must(getsockname(fd, (struct sockaddr *)&sa, &n) == 0, "name");
	*ret_fd = fd;
	*ret_port = ntohs(sa.sin_port);
}

/* Fills the queue of a listener that nobody accepts from. */
static inline void site_stuff(unsigned port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};

	site_must(inet_pton(AF_INET, "127.0.0.33", &sa.sin_addr) == 1, "addr");
	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_INET,
				SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		site_must(fd >= 0, "socket");
		(void)connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	}
}

static inline void site_service(struct weir_buf *out, const char *name,
				const char *addrs, unsigned port)
{
	weir_buf_printf(out,
			"---\napiVersion: v1\nkind: Service\n"
			"metadata: {name: %s, namespace: d}\n"
			"spec: {clusterIP: 10.96.0.%u, ports: [{name: p, "
			"port: 80, targetPort: %u, protocol: TCP}]}\n"
			"---\napiVersion: discovery.k8s.io/v1\n"
			"kind: EndpointSlice\n"
			"metadata: {name: %s-%u, namespace: d, labels: "
			"{kubernetes.io/service-name: %s}}\n"
			"addressType: IPv4\n"
			"ports: [{name: p, port: %u, protocol: TCP}]\n"
			"endpoints: [%s]\n",
			name, (unsigned)(out->n / 64 % 250) + 1, port, name,
			port, name, port, addrs);
}

static inline void site_more(struct weir_buf *out, const char *name,
			     const char *addrs, unsigned port)
{
	weir_buf_printf(out,
			"---\napiVersion: discovery.k8s.io/v1\n"
			"kind: EndpointSlice\n"
			"metadata: {name: %s-%u, namespace: d, labels: "
			"{kubernetes.io/service-name: %s}}\n"
			"addressType: IPv4\n"
			"ports: [{name: p, port: %u, protocol: TCP}]\n"
			"endpoints: [%s]\n",
			name, port, name, port, addrs);
}

#define SITE_AT(addr) "{addresses: [" addr "], conditions: {ready: true}}"

/* Services: a, pair (A and B), dead, slow (stuck, then A), raw, none. */
static inline void site_services(const struct site *s, struct weir_buf *out,
				 bool is_moved)
{
	const unsigned *port = s->endpoint_port;

	site_service(out, "a", SITE_AT("127.0.0.31"),
		     port[is_moved ? SITE_B : SITE_A]);
	site_service(out, "pair", SITE_AT("127.0.0.31"), port[SITE_A]);
	if (!is_moved) {
		site_more(out, "pair", SITE_AT("127.0.0.31"), port[SITE_B]);
	}
	site_service(out, "dead", SITE_AT("127.0.0.34"), port[SITE_DEAD]);
	site_service(out, "half", SITE_AT("127.0.0.34"), port[SITE_DEAD]);
	site_more(out, "half", SITE_AT("127.0.0.31"), port[SITE_A]);
	site_service(out, "stuck", SITE_AT("127.0.0.33"), port[SITE_STUCK]);
	site_service(out, "slow", SITE_AT("127.0.0.33"), port[SITE_STUCK]);
	site_more(out, "slow", SITE_AT("127.0.0.31"), port[SITE_A]);
	site_service(out, "raw", SITE_AT("127.0.0.32"), port[SITE_RAW]);
	site_service(out, "none", "", 9);
	weir_buf_printf(out,
			"---\napiVersion: v1\nkind: Service\n"
			"metadata: {name: two, namespace: d}\n"
			"spec: {clusterIP: 10.96.1.1, ports: [{name: p, port: "
			"80, targetPort: %u, protocol: TCP, appProtocol: "
			"kubernetes.io/h2c}]}\n",
			port[SITE_B]);
	site_more(out, "two", SITE_AT("127.0.0.31"), port[SITE_B]);
}

static inline void site_route(struct weir_buf *out, const char *host,
			      const char *rest)
{
	weir_buf_printf(out,
			"---\napiVersion: gateway.networking.k8s.io/v1\n"
			"kind: HTTPRoute\n"
			"metadata: {name: r-%s, namespace: d}\n"
			"spec: {parentRefs: [{name: gw, sectionName: http}], "
			"hostnames: [%s], rules: [{%s}]}\n",
			host, host, rest);
}

static inline void site_routes(struct weir_buf *out, bool is_moved)
{
	site_route(out, "t", "backendRefs: [{name: a, port: 80}]");
	site_route(out, "p", "backendRefs: [{name: pair, port: 80}]");
	site_route(out, "dead", "backendRefs: [{name: dead, port: 80}]");
	site_route(out, "half", "backendRefs: [{name: half, port: 80}]");
	site_route(out, "stuck", "backendRefs: [{name: stuck, port: 80}]");
	site_route(out, "slow", "backendRefs: [{name: slow, port: 80}]");
	site_route(out, "none", "backendRefs: [{name: none, port: 80}]");
	site_route(out, "w",
		   is_moved ? "backendRefs: [{name: pair, port: 80}]"
			    : "backendRefs: [{name: a, port: 80, weight: 1}, "
			      "{name: gone, port: 80, weight: 1}, "
			      "{name: pair, port: 80, weight: 2}]");
	site_route(out, "two", "backendRefs: [{name: two, port: 80}]");
	site_route(out, "q",
		   "timeouts: {request: 400ms, backendRequest: 200ms}, "
		   "backendRefs: [{name: pair, port: 80}]");
	site_route(out, "m",
		   "filters: [{type: RequestHeaderModifier, "
		   "requestHeaderModifier: {set: [{name: X-Set, value: v}], "
		   "add: [{name: X-Add, value: v}], remove: [X-Gone]}}, "
		   "{type: ResponseHeaderModifier, responseHeaderModifier: "
		   "{set: [{name: Server, value: v}], remove: [X-Back]}}], "
		   "backendRefs: [{name: a, port: 80}]");
	site_route(out, "go",
		   "filters: [{type: RequestRedirect, requestRedirect: "
		   "{scheme: https, statusCode: 301}}]");
}

/* which: 0, all; 1, other endpoints and weights; 2, without HTTP. */
static inline void site_manifest(const struct site *s, unsigned which,
				 struct weir_buf *out)
{
	const unsigned *port = s->frontend_port;

	weir_buf_printf(out,
			"apiVersion: gateway.networking.k8s.io/v1\n"
			"kind: GatewayClass\nmetadata: {name: weir}\n"
			"spec: {controllerName: " WEIR_CONTROLLER "}\n"
			"---\napiVersion: gateway.networking.k8s.io/v1\n"
			"kind: Gateway\n"
			"metadata: {name: gw, namespace: d}\n"
			"spec: {gatewayClassName: weir, addresses: [{type: "
			"IPAddress, value: 127.0.0.30}], listeners: ["
			"{name: raw, port: %u, protocol: TCP}, "
			"{name: refused, port: %u, protocol: TCP}",
			port[SITE_TCP], port[SITE_REFUSED]);
	if (which < 2) {
		weir_buf_printf(out, ", {name: http, port: %u, protocol: HTTP}",
				port[SITE_HTTP]);
	}
	weir_buf_addz(out, "]}\n");
	weir_buf_addz(
		out, "---\napiVersion: gateway.networking.k8s.io/v1alpha2\n"
		     "kind: TCPRoute\nmetadata: {name: raw, namespace: d}\n"
		     "spec: {parentRefs: [{name: gw, sectionName: raw}], "
		     "rules: [{backendRefs: [{name: raw, port: 80}]}]}\n"
		     "---\napiVersion: gateway.networking.k8s.io/v1alpha2\n"
		     "kind: TCPRoute\nmetadata: {name: refused, namespace: d}\n"
		     "spec: {parentRefs: [{name: gw, sectionName: refused}], "
		     "rules: [{backendRefs: [{name: gone, port: 80}]}]}\n");
	if (which < 2) {
		site_routes(out, which == 1);
	}
	site_services(s, out, which == 1);
}

static inline int site_put(void *arg, struct weir_arena *arena,
			   const struct weir_object *object)
{
	return weir_store_put(arg, arena, object);
}

static inline void site_compile(struct site *s, struct weir_ids *ids,
				unsigned which)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node")};
	struct weir_ipc msg = {.type = WEIR_IPC_PLAN, .generation = which + 1};
	_cleanup_buf_ struct weir_buf text = {0};
	int fds[WEIR_IPC_BLOCKS] = {-1, -1, -1};
	struct weir_compiled compiled;
	struct weir_store *store;
	struct weir_arena arena;
	struct weir_diags diags;
	uint32_t lost;

	site_manifest(s, which, &text);
	weir_arena_init(&arena, 1024);
	weir_diags_init(&diags, &arena);
	site_must(weir_store_new(&store) == 0, "store");
	weir_manifest_decode(weir_buf_str(&text), WEIR_STR("site.yaml"), false,
			     &diags, site_put, store);
	for (size_t i = 0; i < diags.n; i++) {
		fprintf(stderr, "%.*s\n", WEIR_STR_ARG(diags.v[i].message));
	}
	site_must(diags.n == 0, "manifest");
	site_must(weir_compile(store, &options, &compiled) == 0 &&
			  weir_ids_stamp(ids, compiled.rules, compiled.eps,
					 which + 1, 0, &lost) == 0,
		  "compile");
	site_must(weir_memfd_sealed("rules", compiled.rules,
				    compiled.rules_size, &fds[0]) == 0 &&
			  weir_memfd_sealed("eps", compiled.eps,
					    compiled.eps_size, &fds[1]) == 0 &&
			  weir_memfd_sealed("secrets", compiled.secrets,
					    compiled.secrets_size,
					    &fds[2]) == 0 &&
			  weir_plan_ref_new(fds, &msg, NULL, &s->plan[which]) ==
				  0,
		  "plan");
	for (int i = 0; i < WEIR_IPC_BLOCKS; i++) {
		weir_close(&fds[i]);
	}
	weir_compiled_fini(&compiled);
	weir_store_free(&store);
	weir_arena_fini(&arena);
}

static inline void site_init(struct site *s)
{
	const uint32_t max[_WEIR_IDS_MAX] = {SITE_IDS, SITE_IDS, SITE_IDS};
	struct weir_ids *ids;

	for (int i = 0; i < _SITE_FRONTENDS; i++) {
		site_listen("127.0.0.30", 16, &s->frontend[i],
			    &s->frontend_port[i]);
	}
	site_listen("127.0.0.31", 64, &s->endpoint[SITE_A],
		    &s->endpoint_port[SITE_A]);
	site_listen("127.0.0.31", 64, &s->endpoint[SITE_B],
		    &s->endpoint_port[SITE_B]);
	site_listen("127.0.0.32", 64, &s->endpoint[SITE_RAW],
		    &s->endpoint_port[SITE_RAW]);
	site_listen("127.0.0.33", 0, &s->endpoint[SITE_STUCK],
		    &s->endpoint_port[SITE_STUCK]);
	site_listen("127.0.0.34", -1, &s->endpoint[SITE_DEAD],
		    &s->endpoint_port[SITE_DEAD]);
	site_stuff(s->endpoint_port[SITE_STUCK]);
	site_must(weir_ids_new(max, 60000, &ids) == 0, "ids");
	for (unsigned i = 0; i < SITE_PLANS; i++) {
		site_compile(s, ids, i);
	}
	weir_ids_free(&ids);
	s->stats_size = WEIR_PROXY_STATS_SIZE +
			SITE_IDS * (sizeof(struct weir_proxy_rulestat) +
				    sizeof(struct weir_proxy_refstat) +
				    sizeof(struct weir_proxy_epstat));
	s->stats_fd = memfd_create("stats", MFD_CLOEXEC);
	site_must(s->stats_fd >= 0, "memfd");
}

#endif
