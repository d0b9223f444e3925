/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of Gateways from a pool, and clients by namespace. */
#include "compile_site.h"

#define GW "apiVersion: gateway.networking.k8s.io/v1\n"

static void init(struct site *s, const char *pool)
{
	char text[1024];

	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	snprintf(text, sizeof(text),
		 GW "kind: GatewayClass\nmetadata: {name: c}\n"
		    "spec: {controllerName: weir.dev/gateway-controller, "
		    "parametersRef: {group: '', kind: ConfigMap, name: p, "
		    "namespace: d}}\n---\n"
		    "{apiVersion: v1, kind: ConfigMap, metadata: {name: p, "
		    "namespace: d}, data: {addresses: \"%s\"}}\n",
		 pool);
	site_load(s, weir_str_of(text), 0);
}

/* status: an address, or NULL. */
static void put_gateway(struct site *s, const char *name, unsigned age,
			const char *status)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 GW "kind: Gateway\n"
			    "metadata: {name: %s, namespace: d, "
			    "creationTimestamp: '2026-01-%02uT00:00:00Z'}\n"
			    "spec: {gatewayClassName: c, listeners: [{name: "
			    "a, port: 80, protocol: HTTP}]}\n",
			 name, age);

	if (status) {
		snprintf(text + n, sizeof(text) - (size_t)n,
			 "status: {addresses: [{value: '%s'}]}\n", status);
	}
	site_load(s, weir_str_of(text), 0);
}

static void compile(struct site *s, bool is_writer)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = is_writer};

	weir_compiled_fini(&s->out);
	must(weir_compile(s->store, &options, &s->out) == 0, "compile");
	must(weir_plan_open(s->out.rules, s->out.rules_size, s->out.eps,
			    s->out.eps_size, &s->view) == 0,
	     "opens");
}

/* "10.0.0.1 fd00::1 " */
static const char *addresses_of(const struct site *s, const char *name)
{
	static char text[256];
	const struct weir_gateway_verdict *v = weir_verdict_gateway(
		&s->out.verdicts, WEIR_KIND_GATEWAY, WEIR_STR("d"),
		weir_str_of(name));
	char one[WEIR_ADDR_TEXT_MAX];
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; v && i < v->n_addresses; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ",
				      weir_ip_format(&v->addresses[i], one));
	}
	return text;
}

static void pools_are_written_in_several_ways(void)
{
	static const struct {
		const char *pool;
		const char *gets; /* NULL: the class is refused */
	} cases[] = {
		{"10.0.0.7", "10.0.0.7 "},
		{"10.0.0.0/24", "10.0.0.1 "},
		{"10.0.0.77/24", "10.0.0.1 "},
		{"10.0.0.4/31", "10.0.0.4 "},
		{"10.0.0.4/32", "10.0.0.4 "},
		{"10.0.0.4-10.0.0.9", "10.0.0.4 "},
		{" ,10.0.0.9 ,\\n10.0.0.3", "10.0.0.9 "},
		{"fd00::/64", "fd00:: "},
		{"fd00::5-fd00::9 10.0.0.1", "10.0.0.1 fd00::5 "},
		{"255.255.255.255", ""},
		{"0.0.0.0/0", "0.0.0.1 "},
		{"ffff::-ffff::2", ""},
		{"223.255.255.255-224.0.0.9", "223.255.255.255 "},
		{"", ""},
		{"10.0.0.0/33", NULL},
		{"10.0.0.0/", NULL},
		{"10.0.0.0/a", NULL},
		{"10.0.0.9-10.0.0.1", NULL},
		{"10.0.0.1-fd00::1", NULL},
		{"10.0.0.1-", NULL},
		{"fd00::/129", NULL},
		{"a.example.com", NULL},
		{"10.0.0.1;10.0.0.2", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(site_fini) struct site s;

		init(&s, cases[i].pool);
		put_gateway(&s, "g", 1, NULL);
		compile(&s, true);
		ok(strcmp(addresses_of(&s, "g"),
			  cases[i].gets ? cases[i].gets : "") == 0,
		   "\"%s\": %s", cases[i].pool, addresses_of(&s, "g"));
		ok(site_said(&s, "InvalidParameters", "spec.parametersRef") ==
			   !cases[i].gets,
		   "\"%s\"", cases[i].pool);
	}
}

static void only_the_writer_gives_new_ones(void)
{
	_cleanup_(site_fini) struct site s;

	init(&s, "10.0.0.0/24");
	put_gateway(&s, "new", 1, NULL);
	put_gateway(&s, "old", 2, "10.0.0.9");
	compile(&s, false);
	ok(!strcmp(addresses_of(&s, "new"), ""), "none yet");
	ok(!strcmp(addresses_of(&s, "old"), "10.0.0.9 "), "as it says");
	ok(site_said(&s, "AddressNotAssigned", "spec.addresses") == 1, "said");
	compile(&s, true);
	ok(!strcmp(addresses_of(&s, "new"), "10.0.0.1 "), "%s",
	   addresses_of(&s, "new"));
}

/* Whoever comes and goes, an address that was written stays. */
static void what_is_written_stays(void)
{
	_cleanup_(site_fini) struct site s;

	init(&s, "10.0.0.1-10.0.0.3");
	put_gateway(&s, "b", 2, "10.0.0.1");
	put_gateway(&s, "a", 1, NULL);
	put_gateway(&s, "c", 3, "10.0.0.1");
	put_gateway(&s, "d", 4, "10.9.0.1");
	compile(&s, true);
	ok(!strcmp(addresses_of(&s, "b"), "10.0.0.1 "), "the older keeps it");
	ok(!strcmp(addresses_of(&s, "a"), "10.0.0.2 "), "a free one");
	ok(!strcmp(addresses_of(&s, "c"), "10.0.0.3 "), "another");
	ok(!strcmp(addresses_of(&s, "d"), ""), "none is left");
	weir_store_remove(s.store, WEIR_KIND_GATEWAY, WEIR_STR("d"),
			  WEIR_STR("a"));
	compile(&s, true);
	ok(!strcmp(addresses_of(&s, "b"), "10.0.0.1 "), "still");
	ok(!strcmp(addresses_of(&s, "d"), "10.0.0.3 "), "%s",
	   addresses_of(&s, "d"));
}

static const char mesh[] =
	"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: "
	"shop}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}\n---\n" GW
	"kind: HTTPRoute\nmetadata: {name: mine, namespace: team-a}\n"
	"spec: {parentRefs: [{group: '', kind: Service, name: web, namespace: "
	"shop}], rules: [{backendRefs: [{name: web, namespace: shop, port: "
	"80}]}]}\n";

static void put_slice(struct site *s, const char *ns, unsigned last)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "
		 "metadata: {name: x, namespace: %s, labels: "
		 "{kubernetes.io/service-name: web}}, addressType: IPv4, "
		 "ports: [{port: 8080}], endpoints: [{addresses: "
		 "[10.1.0.%u]}]}\n",
		 ns, last);
	site_load(s, weir_str_of(text), 0);
}

static void put_pod(struct site *s, const char *ns, unsigned last)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: "
		 "%s}, status: {phase: Running, podIPs: [{ip: 10.1.0.%u}]}}\n",
		 ns, last);
	site_load(s, weir_str_of(text), 0);
}

static bool goes_by_request(const struct site *s, const char *client)
{
	const struct weir_frontend *f = site_frontend(s, "10.96.0.1:80",
						      IPPROTO_TCP);
	struct weir_ip ip;

	must(weir_ip_parse(weir_str_of(client), &ip) == 0, "%s", client);
	must(f != NULL, "frontend");
	f = weir_find_for_client(s->view.rules, f,
				 weir_find_client_ns(s->view.rules, &ip));
	return f->mode == WEIR_MODE_HTTP;
}

static void clients_are_told_by_their_pods(void)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true};
	_cleanup_(site_fini) struct site s = {0};
	_cleanup_(weir_compiled_fini) struct weir_compiled again = {0};
	uint64_t since;

	must(weir_store_new(&s.store) == 0, "store");
	site_load(&s, weir_str_of(mesh), 0);
	put_slice(&s, "shop", 1);
	put_pod(&s, "shop", 1);
	put_pod(&s, "team-a", 2);
	put_pod(&s, "team-b", 3);
	put_slice(&s, "team-a", 3);
	compile(&s, true);
	ok(goes_by_request(&s, "10.1.0.2"), "of the route's namespace");
	ok(!goes_by_request(&s, "10.1.0.1") &&
		   !goes_by_request(&s, "10.1.0.200"),
	   "all others");
	ok(!goes_by_request(&s, "10.1.0.3"),
	   "nobody makes another's pod his own by a slice");
	since = weir_store_version(s.store);
	put_pod(&s, "team-a", 4);
	must(weir_recompile(s.store, &options, since, &s.view, &again) == 0,
	     "recompile");
	ok(again.secrets != NULL, "not patched: a client moved");
	must(weir_plan_open(again.rules, again.rules_size, again.eps,
			    again.eps_size, &s.view) == 0,
	     "opens");
	ok(goes_by_request(&s, "10.1.0.4") && !goes_by_request(&s, "10.1.0.2"),
	   "where it is now");
	compile(&s, true);
	since = weir_store_version(s.store);
	put_slice(&s, "shop", 5);
	must(weir_recompile(s.store, &options, since, &s.view, &again) == 0,
	     "recompile");
	ok(again.secrets == NULL, "an endpoint of nobody's namespace: patched");
}

TAP_MAIN(TEST(pools_are_written_in_several_ways),
	 TEST(only_the_writer_gives_new_ones), TEST(what_is_written_stays),
	 TEST(clients_are_told_by_their_pods))
