/* SPDX-License-Identifier: Apache-2.0 */
/* Gateways whose addresses are those of a Service of their own. */
#include "compile_site.h"

#define GW "apiVersion: gateway.networking.k8s.io/v1\n"

static void init(struct site *s, const char *data)
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
		    "namespace: d}, data: {%s}}\n---\n" GW
		    "kind: Gateway\nmetadata: {name: g, namespace: d}\n"
		    "spec: {gatewayClassName: c, listeners: ["
		    "{name: a, port: 80, protocol: HTTP}, "
		    "{name: b, port: 53, protocol: UDP}]}\n",
		 data);
	site_load(s, weir_str_of(text), 0);
}

static void put_service(struct site *s, const char *owner)
{
	char text[1024];

	snprintf(
		text, sizeof(text),
		"apiVersion: v1\nkind: Service\nmetadata:\n  name: g-weir\n"
		"  namespace: d\n  ownerReferences:\n"
		"  - {apiVersion: gateway.networking.k8s.io/v1, "
		"kind: Gateway, name: %s, uid: u}\n"
		"spec:\n  type: LoadBalancer\n"
		"  clusterIPs: [10.96.0.7, 'fd00:96::7']\n  ports:\n"
		"  - {name: tcp-80, port: 80, nodePort: 30080}\n"
		"  - {name: udp-53, protocol: UDP, port: 53, nodePort: 30053}\n"
		"status: {loadBalancer: {ingress: [{ip: 203.0.113.9}, "
		"{hostname: a.example}]}}\n",
		owner);
	site_load(s, weir_str_of(text), 0);
}

static void compile(struct site *s)
{
	struct weir_ip node[1];
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a"),
					       .is_writer = true,
					       .node_ips = node,
					       .n_node_ips = 1};

	must(weir_ip_parse(WEIR_STR("192.0.2.11"), &node[0]) == 0, "ip");
	weir_compiled_fini(&s->out);
	must(weir_compile(s->store, &options, &s->out) == 0, "compile");
	must(weir_plan_open(s->out.rules, s->out.rules_size, s->out.eps,
			    s->out.eps_size, &s->view) == 0,
	     "opens");
}

static const struct weir_gateway_verdict *verdict(const struct site *s)
{
	const struct weir_gateway_verdict *v = weir_verdict_gateway(
		&s->out.verdicts, WEIR_KIND_GATEWAY, WEIR_STR("d"),
		WEIR_STR("g"));

	must(v != NULL, "verdict");
	return v;
}

/* "10.96.0.7:80/tcp " of what is taken, local ones with a star. */
static const char *taken(const struct site *s)
{
	static char text[512];
	const struct weir_plan *p = s->view.rules;
	const struct weir_frontend *f = weir_plan_at(p, p->frontends);
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < p->frontends.n; i++) {
		char addr[WEIR_ADDR_TEXT_MAX];

		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s%s/%s ",
			f[i].is_local ? "*" : "",
			weir_addr_format(&f[i].addr, f[i].port_be, addr),
			f[i].proto == IPPROTO_UDP ? "udp" : "tcp");
	}
	return text;
}

static void ports_are_known_before_the_service(void)
{
	const struct weir_gateway_verdict *v;
	struct site s;

	init(&s, "service: LoadBalancer");
	compile(&s);
	v = verdict(&s);
	ok(v->wants_service && v->n_addresses == 0, "%u", v->n_addresses);
	must(v->n_ports == 2, "%u ports", v->n_ports);
	ok(v->ports[0].port + v->ports[1].port == 133, "%u, %u",
	   v->ports[0].port, v->ports[1].port);
	ok(v->ports[0].node_port == 0, "%u", v->ports[0].node_port);
	ok(v->programmed &&
		   strcmp(v->programmed->reason, "AddressNotAssigned") == 0,
	   "%s", v->programmed ? v->programmed->reason : "programmed");
	ok(strcmp(taken(&s), "") == 0, "%s", taken(&s));
	site_fini(&s);
}

static void all_its_addresses_are_taken_and_none_is_local(void)
{
	const struct weir_gateway_verdict *v;
	struct weir_ip want;
	struct site s;

	init(&s, "service: LoadBalancer");
	put_service(&s, "g");
	compile(&s);
	v = verdict(&s);
	must(weir_ip_parse(WEIR_STR("203.0.113.9"), &want) == 0, "ip");
	ok(v->n_addresses == 1 && weir_ip_eq(v->addresses, &want),
	   "%u addresses", v->n_addresses);
	ok(!v->programmed, "%s", v->programmed ? v->programmed->reason : "");
	ok(strcmp(taken(&s), "10.96.0.7:53/udp 10.96.0.7:80/tcp "
			     "192.0.2.11:30053/udp 192.0.2.11:30080/tcp "
			     "203.0.113.9:53/udp 203.0.113.9:80/tcp "
			     "[fd00:96::7]:53/udp [fd00:96::7]:80/tcp ") == 0,
	   "%s", taken(&s));
	ok(s.view.rules->local_addrs.n == 0, "%u", s.view.rules->local_addrs.n);
	site_fini(&s);
}

/* No such Service can be made today, but a manifest may say so. */
static void ports_of_the_node_need_no_other_address(void)
{
	const struct weir_frontend *f;
	struct site s;

	init(&s, "service: LoadBalancer");
	site_load(&s,
		  WEIR_STR("{apiVersion: v1, kind: Service, metadata: {name: "
			   "g-weir, namespace: d, ownerReferences: "
			   "[{apiVersion: gateway.networking.k8s.io/v1, kind: "
			   "Gateway, name: g, uid: u}]}, spec: {ports: "
			   "[{port: 80, nodePort: 30080}]}}\n"),
		  0);
	compile(&s);
	must(strcmp(taken(&s), "192.0.2.11:30080/tcp ") == 0, "%s", taken(&s));
	f = weir_plan_at(s.view.rules, s.view.rules->frontends);
	ok(f->listeners.n == 1, "%u listeners", f->listeners.n);
	site_fini(&s);
}

static void anothers_service_is_left_alone(void)
{
	struct weir_str said;
	struct site s;

	init(&s, "service: LoadBalancer");
	put_service(&s, "other");
	compile(&s);
	ok(verdict(&s)->wants_service, "wants");
	ok(verdict(&s)->n_addresses == 0, "%u", verdict(&s)->n_addresses);
	must(verdict(&s)->programmed, "it is not served");
	said = verdict(&s)->programmed->message;
	ok(memmem(said.p, said.n, "not this Gateway's", 18), "%.*s",
	   WEIR_STR_ARG(said));
	ok(strcmp(taken(&s), "") == 0, "%s", taken(&s));
	site_fini(&s);
}

static void a_pool_goes_before_services(void)
{
	struct site s;

	init(&s, "service: LoadBalancer, addresses: 192.0.2.64");
	put_service(&s, "g");
	compile(&s);
	ok(!verdict(&s)->wants_service, "wants a Service");
	ok(strcmp(taken(&s), "*192.0.2.64:53/udp *192.0.2.64:80/tcp ") == 0,
	   "%s", taken(&s));
	site_fini(&s);
}

static void other_types_are_not_known(void)
{
	const struct weir_class_verdict *v;
	struct site s;

	init(&s, "service: NodePort");
	compile(&s);
	v = weir_verdict_class(&s.out.verdicts, WEIR_STR("c"));
	must(v != NULL, "verdict");
	ok(v->accepted && strcmp(v->accepted->reason, "InvalidParameters") == 0,
	   "%s", v->accepted ? v->accepted->reason : "accepted");
	ok(!verdict(&s)->wants_service, "wants a Service");
	site_fini(&s);
}

TAP_MAIN(TEST(ports_are_known_before_the_service),
	 TEST(all_its_addresses_are_taken_and_none_is_local),
	 TEST(ports_of_the_node_need_no_other_address),
	 TEST(anothers_service_is_left_alone),
	 TEST(a_pool_goes_before_services), TEST(other_types_are_not_known))
