/* SPDX-License-Identifier: Apache-2.0 */
/* Service, EndpointSlice, Pod, Namespace. */
#include "addr.h"
#include "decode.h"

const struct weir_field weir_fields_namespace[] = {
	WEIR_FIELD("spec", ANY),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

/* ----------------------------------------------------------------- Service */

static const struct weir_field service_port_fields[] = {
	WEIR_FIELD("name", STR, .format = &weir_format_label),
	WEIR_FIELD("protocol", STR, .one_of = "TCP|UDP|SCTP"),
	WEIR_FIELD("appProtocol", STR),
	WEIR_FIELD("port", INT, .is_required = true, .from = 1, .to = 65535),
	WEIR_FIELD("targetPort", INT_OR_STR, .from = 1, .to = 65535),
	WEIR_FIELD("nodePort", INT, .from = 0, .to = 65535),
	WEIR_FIELD_END,
};

static const struct weir_field service_spec_fields[] = {
	WEIR_FIELD("type", STR,
		   .one_of = "ClusterIP|NodePort|LoadBalancer|ExternalName"),
	WEIR_FIELD("clusterIP", STR),
	WEIR_FIELD("clusterIPs", STRS, .max = 2),
	WEIR_FIELD("ports", LIST, .max = 1000, .sub = service_port_fields),
	WEIR_FIELD("sessionAffinity", STR, .one_of = "None|ClientIP"),
	WEIR_FIELD("selector", MAP),
	WEIR_FIELD("sessionAffinityConfig", ANY),
	WEIR_FIELD("externalName", STR),
	WEIR_FIELD("externalIPs", STRS),
	WEIR_FIELD("ipFamilies", STRS),
	WEIR_FIELD("ipFamilyPolicy", STR),
	WEIR_FIELD("loadBalancerIP", STR),
	WEIR_FIELD("loadBalancerClass", STR),
	WEIR_FIELD("loadBalancerSourceRanges", STRS),
	WEIR_FIELD("allocateLoadBalancerNodePorts", BOOL),
	WEIR_FIELD("externalTrafficPolicy", STR),
	WEIR_FIELD("internalTrafficPolicy", STR),
	WEIR_FIELD("healthCheckNodePort", INT),
	WEIR_FIELD("publishNotReadyAddresses", BOOL),
	WEIR_FIELD("trafficDistribution", STR),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_service[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = service_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

static void add_cluster_ip(struct weir_decode *d, const struct weir_node *node,
			   struct weir_ip *v, size_t *n)
{
	char shown[WEIR_SHOWN_MAX];
	struct weir_ip ip;

	if (node->text.n == 0 || weir_str_is(node->text, "None")) {
		return;
	}
	if (weir_ip_parse(node->text, &ip) < 0) {
		weir_decode_bad(d, node, NULL, "InvalidValue",
				"found \"%s\", expected %s, None or nothing",
				weir_shown(node->text, shown),
				weir_format_ip.expected);
		return;
	}
	for (size_t i = 0; i < *n; i++) {
		if (weir_ip_eq(&v[i], &ip)) {
			return;
		}
	}
	v[(*n)++] = ip;
}

/* clusterIPs[0] is clusterIP wherever both are given. */
static void decode_cluster_ips(struct weir_decode *d,
			       const struct weir_node *node,
			       struct weir_service_spec *spec)
{
	const struct weir_node *one = weir_node_get(node, "clusterIP");
	const struct weir_node *all = weir_node_get(node, "clusterIPs");
	struct weir_ip found[3];
	struct weir_ip *v;

	if (one) {
		add_cluster_ip(d, one, found, &spec->n_cluster_ips);
	}
	for (const struct weir_node *c = all ? all->child : NULL; c;
	     c = c->next) {
		add_cluster_ip(d, c, found, &spec->n_cluster_ips);
	}
	if (spec->n_cluster_ips == 0) {
		return;
	}
	v = weir_decode_new(d, spec->n_cluster_ips * sizeof(*v));
	if (v) {
		memcpy(v, found, spec->n_cluster_ips * sizeof(*v));
	}
	spec->cluster_ips = v;
}

#define EXTERNAL_IPS_MAX 64

/* What leads to the Service from outside; what is no address (a load balancer
 * may be known by name) is not for us. */
static void decode_external(struct weir_decode *d, const struct weir_node *root,
			    struct weir_service_spec *spec)
{
	const struct weir_node *own = weir_node_get(weir_node_get(root, "spec"),
						    "externalIPs");
	const struct weir_node *given = weir_node_get(
		weir_node_get(weir_node_get(root, "status"), "loadBalancer"),
		"ingress");
	struct weir_ip found[EXTERNAL_IPS_MAX];
	struct weir_ip *v;
	size_t n = 0, n_own;

	for (const struct weir_node *c = own ? own->child : NULL;
	     c && n < EXTERNAL_IPS_MAX; c = c->next) {
		n += weir_ip_parse(c->text, &found[n]) == 0;
	}
	n_own = n;
	if (given && given->type != WEIR_NODE_SEQ) {
		given = NULL;
	}
	for (const struct weir_node *c = given ? given->child : NULL;
	     c && n < EXTERNAL_IPS_MAX; c = c->next) {
		const struct weir_node *ip = weir_node_get(c, "ip");

		n += ip && weir_ip_parse(ip->text, &found[n]) == 0;
	}
	v = n ? weir_decode_new(d, n * sizeof(*v)) : NULL;
	for (size_t i = 0; v && i < n; i++) {
		size_t k = 0;

		while (k < spec->n_external_ips &&
		       !weir_ip_eq(&v[k], &found[i])) {
			k++;
		}
		if (k == spec->n_external_ips) {
			v[spec->n_external_ips++] = found[i];
			spec->n_own_ips += i < n_own;
		}
	}
	spec->external_ips = v;
}

void weir_decode_service(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	const struct weir_node *ports = weir_node_get(node, "ports");
	const struct weir_node *affinity = weir_node_get(node,
							 "sessionAffinity");
	const struct weir_node *policy = weir_node_get(node,
						       "internalTrafficPolicy");
	struct weir_service_spec *spec = weir_decode_new(d, sizeof(*spec));
	struct weir_service_port *p;

	if (!spec) {
		return;
	}
	spec->type = weir_decode_str(d, node, "type", "ClusterIP");
	spec->has_client_affinity = affinity &&
				    weir_str_is(affinity->text, "ClientIP");
	if (!weir_str_is(spec->type, "ExternalName")) {
		decode_cluster_ips(d, node, spec);
		decode_external(d, root, spec);
	} else {
		spec->external_name = weir_decode_str(d, node, "externalName",
						      "");
	}
	if (policy && weir_str_is(policy->text, "Local")) {
		weir_decode_report(d, WEIR_DIAG_WARNING, policy, NULL,
				   "NotServedYet",
				   "found Local, not served yet: endpoints of "
				   "all nodes are used");
	}
	p = weir_decode_array(d, ports, sizeof(*p), &spec->n_ports);
	spec->ports = p;
	for (const struct weir_node *c = p ? ports->child : NULL; c;
	     c = c->next, p++) {
		p->name = weir_decode_str(d, c, "name", "");
		p->protocol = weir_decode_str(d, c, "protocol", "TCP");
		p->app_protocol = weir_decode_str(d, c, "appProtocol", "");
		p->port = (uint16_t)weir_decode_int(c, "port", 0);
		p->node_port = (uint16_t)weir_decode_int(c, "nodePort", 0);
		if (p->name.n == 0 && spec->n_ports > 1) {
			weir_decode_bad(d, c, "name", "MissingField",
					"missing, expected a name where there "
					"are several ports");
		}
	}
	d->object->service = spec;
}

/* ----------------------------------------------------------- EndpointSlice */

static const struct weir_field slice_port_fields[] = {
	WEIR_FIELD("name", STR),
	WEIR_FIELD("protocol", STR, .one_of = "TCP|UDP|SCTP"),
	WEIR_FIELD("port", INT, .from = 1, .to = 65535),
	WEIR_FIELD("appProtocol", STR),
	WEIR_FIELD_END,
};

static const struct weir_field condition_fields[] = {
	WEIR_FIELD("ready", BOOL),
	WEIR_FIELD("serving", BOOL),
	WEIR_FIELD("terminating", BOOL),
	WEIR_FIELD_END,
};

static const struct weir_field endpoint_fields[] = {
	WEIR_FIELD("addresses", STRS, .is_required = true, .is_nonempty = true,
		   .max = 100),
	WEIR_FIELD("conditions", OBJECT, .sub = condition_fields),
	WEIR_FIELD("nodeName", STR),
	WEIR_FIELD("hostname", STR),
	WEIR_FIELD("targetRef", ANY),
	WEIR_FIELD("deprecatedTopology", ANY),
	WEIR_FIELD("zone", STR),
	WEIR_FIELD("hints", ANY),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_slice[] = {
	WEIR_FIELD("addressType", STR, .is_required = true,
		   .one_of = "IPv4|IPv6|FQDN"),
	WEIR_FIELD("endpoints", LIST, .max = 1000, .sub = endpoint_fields),
	WEIR_FIELD("ports", LIST, .max = 100, .sub = slice_port_fields),
	WEIR_FIELD_END,
};

static void decode_endpoint(struct weir_decode *d, const struct weir_node *node,
			    bool is_v4, struct weir_slice_endpoint *e)
{
	const struct weir_node *addresses = weir_node_get(node, "addresses");
	const struct weir_node *conditions = weir_node_get(node, "conditions");
	struct weir_ip *v = weir_decode_array(d, addresses, sizeof(*v),
					      &e->n_addresses);
	size_t i = 0;

	e->addresses = v;
	for (const struct weir_node *c = v ? addresses->child : NULL; c;
	     c = c->next, i++) {
		char shown[WEIR_SHOWN_MAX];

		if (weir_ip_parse(c->text, &v[i]) < 0 ||
		    weir_ip_is_v4(&v[i]) != is_v4) {
			weir_decode_bad(d, c, NULL, "InvalidValue",
					"found \"%s\", expected an %s address",
					weir_shown(c->text, shown),
					is_v4 ? "IPv4" : "IPv6");
		}
	}
	e->node = weir_decode_str(d, node, "nodeName", "");
	/* discovery/v1: nil ready is true, nil serving is ready. */
	e->is_ready = weir_decode_bool(conditions, "ready", true);
	e->is_serving = weir_decode_bool(conditions, "serving", e->is_ready);
	e->is_terminating = weir_decode_bool(conditions, "terminating", false);
}

static struct weir_str service_of(struct weir_decode *d,
				  const struct weir_node *root)
{
	const struct weir_node *labels = weir_node_get(
		weir_node_get(root, "metadata"), "labels");
	struct weir_str service = weir_decode_str(
		d, labels, "kubernetes.io/service-name", "");

	if (service.n == 0) {
		weir_decode_report(
			d, WEIR_DIAG_WARNING,
			labels ? labels : weir_node_get(root, "metadata"),
			labels ? "kubernetes.io/service-name" : "labels",
			"MissingField",
			"no label kubernetes.io/service-name, "
			"expected the name of a Service: the slice "
			"belongs to none");
	}
	return service;
}

void weir_decode_slice(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *ports = weir_node_get(root, "ports");
	const struct weir_node *endpoints = weir_node_get(root, "endpoints");
	const struct weir_node *type = weir_node_get(root, "addressType");
	struct weir_slice_spec *spec = weir_decode_new(d, sizeof(*spec));
	struct weir_slice_endpoint *e;
	struct weir_slice_port *p;

	if (!spec) {
		return;
	}
	d->object->slice = spec;
	spec->service = service_of(d, root);
	p = weir_decode_array(d, ports, sizeof(*p), &spec->n_ports);
	spec->ports = p;
	for (const struct weir_node *c = p ? ports->child : NULL; c;
	     c = c->next, p++) {
		p->name = weir_decode_str(d, c, "name", "");
		p->protocol = weir_decode_str(d, c, "protocol", "TCP");
		p->port = (uint16_t)weir_decode_int(c, "port", 0);
	}
	if (weir_str_is(type->text, "FQDN")) {
		weir_decode_report(d, WEIR_DIAG_WARNING, type, NULL,
				   "UnsupportedAddress",
				   "found FQDN, its endpoints are ignored, "
				   "expected IPv4 or IPv6");
		return;
	}
	e = weir_decode_array(d, endpoints, sizeof(*e), &spec->n_endpoints);
	spec->endpoints = e;
	for (const struct weir_node *c = e ? endpoints->child : NULL; c;
	     c = c->next, e++) {
		decode_endpoint(d, c, weir_str_is(type->text, "IPv4"), e);
	}
}

/* --------------------------------------------------------------------- Pod */

static const struct weir_field pod_ip_fields[] = {
	WEIR_FIELD("ip", STR, .is_required = true, .format = &weir_format_ip),
	WEIR_FIELD_END,
};

static const struct weir_field pod_status_fields[] = {
	WEIR_FIELD("podIPs", LIST, .sub = pod_ip_fields),
	WEIR_FIELD("phase", STR),
	WEIR_FIELD("podIP", STR),
	WEIR_FIELD("hostIP", STR),
	WEIR_FIELD("hostIPs", ANY),
	WEIR_FIELD("conditions", ANY),
	WEIR_FIELD("containerStatuses", ANY),
	WEIR_FIELD("initContainerStatuses", ANY),
	WEIR_FIELD("ephemeralContainerStatuses", ANY),
	WEIR_FIELD("startTime", STR),
	WEIR_FIELD("qosClass", STR),
	WEIR_FIELD("message", STR),
	WEIR_FIELD("reason", STR),
	WEIR_FIELD("nominatedNodeName", STR),
	WEIR_FIELD("observedGeneration", INT),
	WEIR_FIELD("resize", STR),
	WEIR_FIELD("resourceClaimStatuses", ANY),
	WEIR_FIELD("extendedResourceClaimStatus", ANY),
	WEIR_FIELD("allocatedResources", ANY),
	WEIR_FIELD("resources", ANY),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_pod[] = {
	WEIR_FIELD("spec", ANY),
	WEIR_FIELD("status", OBJECT, .sub = pod_status_fields),
	WEIR_FIELD_END,
};

/* After that the address is another pod's. */
static bool is_over(const struct weir_node *status)
{
	const struct weir_node *phase = weir_node_get(status, "phase");

	return phase && (weir_str_is(phase->text, "Succeeded") ||
			 weir_str_is(phase->text, "Failed"));
}

void weir_decode_pod(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *spec = weir_node_get(root, "spec");
	const struct weir_node *status = weir_node_get(root, "status");
	const struct weir_node *host = spec ? weir_node_get(spec, "hostNetwork")
					    : NULL;
	const struct weir_node *ips = status ? weir_node_get(status, "podIPs")
					     : NULL;
	struct weir_pod_spec *pod = weir_decode_new(d, sizeof(*pod));
	struct weir_ip *v;

	if (!pod) {
		return;
	}
	d->object->pod = pod;
	if (!ips || is_over(status) ||
	    (host && weir_str_is(host->text, "true"))) {
		return;
	}
	v = weir_decode_array(d, ips, sizeof(*v), &pod->n_addresses);
	pod->addresses = v;
	pod->n_addresses = 0;
	for (const struct weir_node *c = v ? ips->child : NULL; c;
	     c = c->next) {
		if (weir_ip_parse(weir_node_get(c, "ip")->text,
				  &v[pod->n_addresses]) == 0) {
			pod->n_addresses++;
		}
	}
}
