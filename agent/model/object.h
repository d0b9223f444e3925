/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes objects as weir needs them: decoded, defaulted, immutable.  Each
 * object lives in one arena of its own (or of its reader) and is replaced
 * whole.  Only fields that decide traffic or status are kept.
 */
#ifndef WEIR_MODEL_OBJECT_H
#define WEIR_MODEL_OBJECT_H

#include "arena.h"
#include "str.h"
#include "weir_abi.h"

enum weir_kind {
	WEIR_KIND_NAMESPACE,
	WEIR_KIND_GATEWAY_CLASS,
	WEIR_KIND_GATEWAY,
	WEIR_KIND_HTTP_ROUTE,
	WEIR_KIND_GRPC_ROUTE,
	WEIR_KIND_TLS_ROUTE,
	WEIR_KIND_TCP_ROUTE,
	WEIR_KIND_UDP_ROUTE,
	WEIR_KIND_REFERENCE_GRANT,
	WEIR_KIND_LISTENER_SET,
	WEIR_KIND_BACKEND_TLS_POLICY,
	WEIR_KIND_SERVICE,
	WEIR_KIND_ENDPOINT_SLICE,
	WEIR_KIND_SECRET,
	WEIR_KIND_CONFIG_MAP,
	WEIR_KIND_POD, /* who is a client of which namespace */
	/* Pods of Knative revisions that are on their way: no kind of its own
	 * to the server, and in no store (kube/trim.h). */
	WEIR_KIND_REVISION_POD,
	WEIR_KIND_KSERVICE, /* serving.knative.dev Service */
	WEIR_KIND_KROUTE,
	WEIR_KIND_KREVISION,
	WEIR_KIND_KINGRESS,
	_WEIR_KIND_MAX
};

struct weir_strs {
	const struct weir_str *v;
	size_t n;
};

struct weir_pair {
	struct weir_str key;
	struct weir_str value;
};

struct weir_pairs {
	const struct weir_pair *v;
	size_t n;
};

/* A label selector (metav1.LabelSelector). */
enum weir_selector_op {
	WEIR_SEL_IN,
	WEIR_SEL_NOT_IN,
	WEIR_SEL_EXISTS,
	WEIR_SEL_ABSENT
};
struct weir_selector_term {
	struct weir_str key;
	struct weir_strs values;
	enum weir_selector_op op;
};
struct weir_selector {
	const struct weir_selector_term *v; /* ANDed; n = 0 matches all */
	size_t n;
};

enum weir_from {
	WEIR_FROM_SAME,
	WEIR_FROM_ALL,
	WEIR_FROM_SELECTOR,
	WEIR_FROM_NONE
};

/* ------------------------------------------------------------- Gateway API */

struct weir_group_kind {
	struct weir_str group;
	struct weir_str kind;
};

/* Names an object: certificateRefs, caCertificateRefs, parametersRef. */
struct weir_object_ref {
	struct weir_str group; /* "" is core */
	struct weir_str kind;
	struct weir_str ns; /* default: that of the object that names it */
	struct weir_str name;
};

struct weir_object_refs {
	const struct weir_object_ref *v;
	size_t n;
};

struct weir_class_spec {
	struct weir_str controller;
	bool has_parameters;
	struct weir_object_ref parameters; /* ns empty: cluster-scoped */
};

struct weir_listener_spec {
	struct weir_str name;
	struct weir_str hostname; /* lower case; empty: any */
	struct weir_str protocol; /* HTTP, HTTPS, TLS, TCP, UDP or other */
	uint16_t port;
	enum weir_from from; /* allowedRoutes.namespaces.from */
	struct weir_selector selector;
	const struct weir_group_kind *kinds; /* allowedRoutes.kinds */
	size_t n_kinds;
	struct weir_str tls_mode; /* "", Terminate, Passthrough */
	bool has_tls;
	struct weir_object_refs certificates; /* tls.certificateRefs */
};

/* What clients must show at TLS listeners (spec.tls.frontend). */
struct weir_frontend_validation {
	uint16_t port;    /* 0: the default, for ports that have none */
	bool is_optional; /* mode AllowInsecureFallback */
	struct weir_object_refs cas; /* empty: nothing is asked for */
};

struct weir_gateway_spec {
	struct weir_str class_name;
	const struct weir_listener_spec *listeners;
	size_t n_listeners;
	const struct weir_ip *addresses; /* of type IPAddress */
	size_t n_addresses;
	size_t n_any_address; /* of it without a value: any will do */
	struct weir_str bad_address_type; /* the first that is not IPAddress */
	/* In the object's status: those that weir gave it before. */
	const struct weir_ip *status_addresses;
	size_t n_status_addresses;
	/* spec.infrastructure */
	struct weir_pairs infra_labels;
	struct weir_pairs infra_annotations;
	bool has_parameters;
	struct weir_object_ref parameters;
	enum weir_from listeners_from; /* allowedListeners; default None */
	struct weir_selector listeners_selector;
	const struct weir_frontend_validation *validations; /* the default one
							     * first */
	size_t n_validations;
	bool has_backend_cert; /* spec.tls.backend.clientCertificateRef */
	struct weir_object_ref backend_cert;
};

struct weir_listener_set_spec {
	struct weir_object_ref parent; /* default kind Gateway */
	const struct weir_listener_spec *listeners;
	size_t n_listeners;
};

struct weir_policy_target {
	struct weir_str group;
	struct weir_str kind;
	struct weir_str name;    /* in the policy's namespace */
	struct weir_str section; /* port name; empty: all ports */
};

enum weir_msan_type { WEIR_MSAN_HOSTNAME, WEIR_MSAN_URI };

struct weir_subject_alt_name {
	enum weir_msan_type type;
	struct weir_str value;
};

struct weir_backend_tls_spec {
	const struct weir_policy_target *targets;
	size_t n_targets;
	struct weir_object_refs cas;
	struct weir_str well_known; /* "System", or another word */
	struct weir_str hostname;   /* lower case */
	const struct weir_subject_alt_name *sans;
	size_t n_sans;
};

struct weir_parent_ref {
	struct weir_str group; /* default gateway.networking.k8s.io */
	struct weir_str kind;  /* default Gateway */
	struct weir_str ns;    /* default: the route's */
	struct weir_str name;
	struct weir_str section; /* empty: all */
	uint16_t port;           /* 0: all */
	bool has_ns;             /* ns is written, not the default */
};

enum weir_mfilter_type {
	WEIR_MFILTER_REQUEST_HEADERS,
	WEIR_MFILTER_RESPONSE_HEADERS,
	WEIR_MFILTER_REDIRECT,
	WEIR_MFILTER_REWRITE,
	WEIR_MFILTER_MIRROR,
	WEIR_MFILTER_CORS,
	WEIR_MFILTER_EXTENSION,
	WEIR_MFILTER_UNKNOWN,
};

enum weir_mpath_mod { WEIR_MPATH_NONE, WEIR_MPATH_FULL, WEIR_MPATH_PREFIX };

/* Decoded, not served yet. */
struct weir_mirror {
	struct weir_str group;
	struct weir_str kind;
	struct weir_str ns;
	struct weir_str name;
	uint16_t port;
	uint32_t numerator; /* of denominator requests */
	uint32_t denominator;
};

/* Decoded, not served yet. */
struct weir_cors {
	struct weir_strs origins;
	struct weir_strs methods;
	struct weir_strs headers;
	struct weir_strs expose;
	uint32_t max_age_s; /* default 5 */
	bool has_credentials;
};

struct weir_mfilter {
	enum weir_mfilter_type type;
	struct weir_str type_text;
	struct weir_pairs set;
	struct weir_pairs add;
	struct weir_strs remove;
	struct weir_str scheme;
	struct weir_str hostname;
	enum weir_mpath_mod path_mod;
	struct weir_str path;
	uint16_t port;
	uint16_t status;                  /* default 302 */
	const struct weir_mirror *mirror; /* with this type */
	const struct weir_cors *cors;     /* with this type */
};

struct weir_backend_ref {
	struct weir_str group; /* "" is core */
	struct weir_str kind;  /* default Service */
	struct weir_str ns;    /* default: the route's */
	struct weir_str name;
	uint16_t port;   /* 0: not given */
	uint32_t weight; /* default 1 */
	const struct weir_mfilter *filters;
	size_t n_filters;
};

enum weir_value_type { WEIR_VALUE_EXACT, WEIR_VALUE_REGEX };
enum weir_mpath_type {
	WEIR_MPATH_EXACT,
	WEIR_MPATH_PREFIX_TYPE,
	WEIR_MPATH_REGEX,
	WEIR_MPATH_GRPC_METHOD /* "/method" of any service */
};

struct weir_value_match {
	struct weir_str name;
	struct weir_str value;
	enum weir_value_type type;
};

struct weir_http_match {
	enum weir_mpath_type path_type; /* default: prefix "/" */
	struct weir_str path;
	struct weir_str method;
	const struct weir_value_match *headers;
	size_t n_headers;
	const struct weir_value_match *query;
	size_t n_query;
};

struct weir_retry {
	const uint16_t *codes;
	size_t n_codes;
	uint32_t attempts; /* default 1; 0: none */
	bool has_backoff;
};

struct weir_route_rule {
	struct weir_str name;
	const struct weir_http_match *matches; /* HTTPRoute */
	size_t n_matches;
	const struct weir_mfilter *filters;
	size_t n_filters;
	const struct weir_backend_ref *backends;
	size_t n_backends;
	uint32_t request_timeout_ms; /* 0: none */
	uint32_t backend_timeout_ms;
	bool has_retry;                 /* decoded, not served yet */
	const struct weir_retry *retry; /* with it */
	bool has_persistence;           /* decoded, not served yet */
};

/* HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute. */
struct weir_route_spec {
	const struct weir_parent_ref *parents;
	size_t n_parents;
	struct weir_strs hostnames; /* lower case */
	const struct weir_route_rule *rules;
	size_t n_rules;
};

struct weir_grant_from {
	struct weir_str group;
	struct weir_str kind;
	struct weir_str ns;
};
struct weir_grant_to {
	struct weir_str group;
	struct weir_str kind;
	struct weir_str name; /* empty: all */
};
struct weir_grant_spec {
	const struct weir_grant_from *from;
	size_t n_from;
	const struct weir_grant_to *to;
	size_t n_to;
};

/* -------------------------------------------------------------------- core */

struct weir_service_port {
	struct weir_str name;
	struct weir_str protocol; /* default TCP */
	struct weir_str app_protocol;
	uint16_t port;
	uint16_t node_port; /* 0: none */
};

struct weir_service_spec {
	struct weir_str type;              /* default ClusterIP */
	const struct weir_ip *cluster_ips; /* without "None" and "" */
	size_t n_cluster_ips;
	/* spec.externalIPs, and those of status.loadBalancer */
	const struct weir_ip *external_ips;
	size_t n_external_ips;
	size_t n_own_ips; /* the first of external_ips: spec.externalIPs */
	struct weir_str external_name; /* of type ExternalName; lower case */
	const struct weir_service_port *ports;
	size_t n_ports;
	bool has_client_affinity; /* sessionAffinity: ClientIP */
};

struct weir_slice_port {
	struct weir_str name;
	struct weir_str protocol; /* default TCP */
	uint16_t port;            /* 0: absent */
};

struct weir_slice_endpoint {
	const struct weir_ip *addresses;
	size_t n_addresses;
	struct weir_str node;
	bool is_ready;   /* nil means true */
	bool is_serving; /* nil means ready */
	bool is_terminating;
};

struct weir_slice_spec {
	struct weir_str service; /* label kubernetes.io/service-name */
	const struct weir_slice_port *ports;
	size_t n_ports;
	const struct weir_slice_endpoint *endpoints;
	size_t n_endpoints;
};

/* A certificate that weir shows, with its key: both are PEM and belong
 * together.  Where they do not, fault says why, and they are empty. */
struct weir_secret_spec {
	struct weir_str chain;
	struct weir_str key;
	const char *fault;
};

/* Of a ConfigMap only what weir reads. */
struct weir_config_spec {
	struct weir_str ca;        /* data["ca.crt"], PEM; empty: absent */
	const char *ca_fault;      /* why it is of no use */
	struct weir_str addresses; /* data["addresses"] */
	struct weir_str service;   /* data["service"]; empty: absent */
	bool has_addresses;
};

/* Addresses that are the pod's own: none while it has none, after its end, and
 * where it has the node's. */
struct weir_pod_spec {
	const struct weir_ip *addresses;
	size_t n_addresses;
};

/* ----------------------------------------------------------------- Knative */

/* The Services at whose addresses the hosts of KIngresses are served, for
 * clients outside and inside the cluster, where an administrator made them. */
#define WEIR_KNATIVE_NS "weir-system"
#define WEIR_KNATIVE_PUBLIC "knative-public"
#define WEIR_KNATIVE_PRIVATE "knative-private"
/* Serving's own Services, and what the names of those end in that select the
 * pods of a revision. */
#define WEIR_SERVING_NS "knative-serving"
#define WEIR_SERVING_ACTIVATOR "activator-service"
#define WEIR_SERVING_AUTOSCALER "autoscaler"
#define WEIR_KNATIVE_PODS "-private"
/* Labels by which Knative marks its Services: placeholders, and those of
 * revisions. */
#define WEIR_ROUTE_LABEL "serving.knative.dev/route"
#define WEIR_SKS_LABEL "networking.internal.knative.dev/serverlessservice"

struct weir_king_split {
	struct weir_str service_ns;
	struct weir_str service;
	struct weir_str port_name; /* one of port_name and port */
	uint16_t port;
	uint32_t percent;          /* a single split's 0 is 100 */
	struct weir_pairs headers; /* set on the upstream request */
};

struct weir_king_path {
	struct weir_str path; /* literal prefix; empty: all */
	struct weir_str rewrite_host;
	struct weir_pairs match_headers; /* exact */
	struct weir_pairs headers;
	const struct weir_king_split *splits;
	size_t n_splits;
};

struct weir_king_rule {
	struct weir_strs hosts;
	bool is_cluster_local;
	const struct weir_king_path *paths;
	size_t n_paths;
};

struct weir_king_tls {
	struct weir_strs hosts;
	struct weir_str secret_ns;
	struct weir_str secret;
};

struct weir_king_spec {
	struct weir_str ingress_class; /* annotation, empty if absent */
	const struct weir_king_rule *rules;
	size_t n_rules;
	const struct weir_king_tls *tls;
	size_t n_tls;
	struct weir_str hash; /* what K-Network-Hash says, hex */
	bool is_redirected;   /* httpOption: Redirected */
};

struct weir_revision_spec {
	uint32_t concurrency; /* requests at once that each pod takes; 0: any */
	bool has_kubelet_probe; /* queue-proxy does not know when it is ready */
	uint16_t program_port;  /* where it listens when it is; 0: not known */
};

/* --------------------------------------------------------------- any object */

/* The Service that a Gateway owns is called as it, and this. */
#define WEIR_GATEWAY_SERVICE "-weir"
#define WEIR_GATEWAY_NAME_MAX 58 /* with it within a Service's 63 */

struct weir_owner {
	struct weir_str group; /* of apiVersion */
	struct weir_str kind;
	struct weir_str name;
};

struct weir_object {
	enum weir_kind kind;
	uint32_t line;      /* of the object in its source, from 1 */
	struct weir_str ns; /* empty for cluster-scoped kinds */
	struct weir_str name;
	int64_t generation; /* 0 if the source has none */
	int64_t created_s;  /* creationTimestamp, Unix seconds; 0: unknown */
	struct weir_pairs labels;      /* of Namespaces; of Services: Knative's
					* Route, ServerlessService */
	struct weir_pairs annotations; /* weir.dev/... */
	const struct weir_owner *owners; /* of Services: Route, Gateway */
	size_t n_owners;
	struct weir_str source; /* file, or empty */
	union {                 /* by kind; NULL where nothing is kept */
		const struct weir_class_spec *gateway_class;
		const struct weir_gateway_spec *gateway;
		const struct weir_listener_set_spec *listener_set;
		const struct weir_backend_tls_spec *backend_tls;
		const struct weir_secret_spec *secret;
		const struct weir_config_spec *config;
		const struct weir_route_spec *route;
		const struct weir_grant_spec *grant;
		const struct weir_service_spec *service;
		const struct weir_slice_spec *slice;
		const struct weir_pod_spec *pod;
		const struct weir_king_spec *kingress;
		const struct weir_revision_spec *revision;
		const void *spec;
	};
};

/* "HTTPRoute". */
const char *weir_kind_text(enum weir_kind kind);
/* API group, "" for core. */
const char *weir_kind_group(enum weir_kind kind);
bool weir_kind_is_namespaced(enum weir_kind kind);
/* Does the Gateway of this name, in its namespace, own the Service? */
bool weir_object_is_of_gateway(const struct weir_object *service,
			       struct weir_str gateway);
/* Value of a label or annotation; .p NULL if absent. */
struct weir_str weir_pairs_get(struct weir_pairs pairs, const char *key);
bool weir_selector_matches(const struct weir_selector *selector,
			   struct weir_pairs labels);

#endif
