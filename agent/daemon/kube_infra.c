// SPDX-License-Identifier: Apache-2.0
/*
 * What a Gateway gets in its namespace.
 *
 * Where its class has Services (service: LoadBalancer), a Service NAME-weir of
 * type LoadBalancer with the ports of the listeners, and EndpointSlices of the
 * nodes where an agent lives, at the Service's node ports: weir takes these on
 * every node before anything else does, so whoever forwards to the Service
 * (kube-proxy of a node without weir, a cloud, ServiceLB) reaches the Gateway.
 *
 * Else, where spec.infrastructure asks for
 * labels or annotations (GEP-1762): a headless Service NAME-weir that carries
 * them, and an EndpointSlice for each family with the Gateway's addresses, so
 * that NAME-weir.NAMESPACE.svc is a DNS name of the Gateway.  The Gateway owns
 * them: they go with it.  What is there by that name and is not the Gateway's
 * is left alone, and so is what others say of them (owned.h).  A slice adds its
 * endpoints to whatever Service has the name, so the Service is written first,
 * and one of somebody else's gets none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "json_view.h"
#include "kube.h"
#include "owned.h"
#include "refs.h"

#define SLICES "discovery.k8s.io/v1"
#define LABEL "gateway.networking.k8s.io/gateway-name"

/* What others set on a Service for its load balancer, and an update without it
 * would take away. */
static const char *const balancer_members[] = {
	"loadBalancerClass", "loadBalancerIP", "loadBalancerSourceRanges",
	NULL};

#define SLICES_MAX 2 /* one of each family */

/* One object on its way. */
struct owned {
	struct weir_owned says; /* first */
	struct weir_kube_feed *feed;
	struct weir_kube_round *round;
	const char *kind;
	struct weir_buf path;
	struct weir_buf create_path; /* empty: it is not made */
	size_t n_bare;               /* of a slice: rest up to its endpoints */
	struct owned *slices[SLICES_MAX]; /* of a Service: written after it */
};

static void free_owned(struct owned **owned)
{
	struct owned *o = *owned;

	if (!o) {
		return;
	}
	for (size_t i = 0; i < SLICES_MAX; i++) {
		free_owned(&o->slices[i]);
	}
	weir_buf_fini(&o->path);
	weir_buf_fini(&o->create_path);
	weir_owned_fini(&o->says);
	weir_free_ptr(owned);
}

static int merge(void *arg, struct weir_str object, struct weir_buf *out)
{
	return weir_owned_merge(arg, object, out);
}

static void on_written(void *arg, const struct weir_kube_reply *reply,
		       bool is_written);

/* Frees it. */
static void send_owned(struct owned *owned)
{
	_cleanup_(free_owned) struct owned *o = owned;
	struct weir_kube_update update = {
		.path = o->path.p,
		.create_path = o->create_path.n ? o->create_path.p : NULL,
		.merge = merge,
		.fn = on_written,
		.arg = o};

	weir_kube_round_add(o->round);
	if (o->path.error || o->create_path.error ||
	    weir_kube_writer_update(o->feed->writer, &update) < 0) {
		weir_kube_round_end(o->round, false, false);
		return;
	}
	TAKE_PTR(o);
}

/* Bare ones are not made, and have no endpoints where they were made before. */
static void send_slices(struct owned *service, bool is_bare)
{
	for (size_t i = 0; i < SLICES_MAX; i++) {
		struct owned *slice = TAKE_PTR(service->slices[i]);

		if (slice && is_bare) {
			slice->says.rest.n = slice->n_bare;
			weir_buf_addz(&slice->says.rest, "]");
			slice->create_path.n = 0;
		}
		if (slice) {
			send_owned(slice);
		}
	}
}

static void on_written(void *arg, const struct weir_kube_reply *reply,
		       bool is_written)
{
	_cleanup_(free_owned) struct owned *o = arg;
	bool is_theirs = !is_written && reply->error == -EEXIST;
	/* 404: one that is not there has nothing to be taken from. */
	bool is_good = is_written || is_theirs || weir_kube_is_ok(reply) ||
		       reply->status == 404;

	if (is_theirs) {
		weir_warn("a %s of somebody else has the name of what a "
			  "Gateway's infrastructure gets: it stays",
			  o->kind);
	}
	if (is_good) {
		send_slices(o, is_theirs);
	}
	weir_kube_round_end(o->round, is_good, reply->error != 0);
}

/* The Gateway as its JSON says. */
struct gateway {
	struct weir_kube_feed *feed;
	struct weir_kube_round *round;
	struct weir_str ns;
	struct weir_str name;
	struct weir_str uid;
	struct weir_str labels; /* JSON objects */
	struct weir_str annotations;
	bool may_make; /* it asks for them */
};

static bool has_member(struct weir_str map)
{
	struct weir_str name, value;
	size_t pos = 0;

	return weir_jview_next(map, &pos, &name, &value, NULL);
}

/* The members of a JSON object behind those that are there. */
static void add_members(struct weir_buf *b, struct weir_str map)
{
	struct weir_str whole;
	struct weir_str name;
	struct weir_str value;
	size_t pos = 0;

	while (weir_jview_next(map, &pos, &name, &value, &whole)) {
		weir_buf_addz(b, b->n ? "," : "");
		weir_buf_add_str(b, whole);
	}
}

static struct owned *begin_owned(const struct gateway *g, const char *suffix,
				 const char *api, const char *kind)
{
	_cleanup_(free_owned) struct owned *o = calloc(1, sizeof(*o));

	if (!o || g->uid.n >= sizeof(o->says.uid)) {
		weir_kube_round_add(g->round);
		weir_kube_round_end(g->round, false, false);
		return NULL;
	}
	memcpy(o->says.uid, g->uid.p, g->uid.n);
	o->feed = g->feed;
	o->round = g->round;
	o->kind = kind;
	weir_buf_printf(&o->says.metadata,
			"\"name\":\"%.*s-weir%s\",\"namespace\":\"%.*s\","
			"\"ownerReferences\":[{\"apiVersion\":"
			"\"gateway.networking.k8s.io/v1\",\"kind\":\"Gateway\","
			"\"name\":\"%.*s\",\"uid\":\"%s\",\"controller\":true}"
			"]",
			WEIR_STR_ARG(g->name), suffix, WEIR_STR_ARG(g->ns),
			WEIR_STR_ARG(g->name), o->says.uid);
	weir_buf_printf(&o->says.rest, "\"apiVersion\":\"%s\",\"kind\":\"%s\"",
			api, kind);
	weir_buf_printf(&o->says.labels, "\"" LABEL "\":\"%.*s\"",
			WEIR_STR_ARG(g->name));
	add_members(&o->says.labels, g->labels);
	add_members(&o->says.annotations, g->annotations);
	return TAKE_PTR(o);
}

static void end_owned(const struct gateway *g, struct owned *o,
		      const char *suffix, bool may_make)
{
	struct weir_buf *path = &o->create_path;
	bool is_service = strcmp(o->kind, "Service") == 0;

	weir_buf_printf(path, "%s/namespaces/%.*s/%s",
			is_service ? "/api/v1" : "/apis/" SLICES,
			WEIR_STR_ARG(g->ns),
			is_service ? "services" : "endpointslices");
	weir_buf_add_str(&o->path, weir_buf_str(path));
	weir_buf_printf(&o->path, "/%.*s-weir%s", WEIR_STR_ARG(g->name),
			suffix);
	weir_buf_add(&o->path, "", 1);
	weir_buf_add(path, "", 1);
	/* Asked for no more: it stays, without labels, where it was made. */
	if (!may_make || !g->may_make) {
		path->n = 0;
	}
}

static struct owned *begin_slice(const struct gateway *g, bool is_v4)
{
	struct owned *o = begin_owned(g, is_v4 ? "-v4" : "-v6", SLICES,
				      "EndpointSlice");

	if (o) {
		weir_buf_printf(&o->says.labels,
				",\"kubernetes.io/service-name\":"
				"\"%.*s-weir\"",
				WEIR_STR_ARG(g->name));
		weir_buf_printf(&o->says.rest, ",\"addressType\":\"IPv%d\"",
				is_v4 ? 4 : 6);
	}
	return o;
}

static const char *proto_text(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "UDP" : "TCP";
}

/* "tcp-80": what the ports of Service and EndpointSlice have in common. */
static void add_port(struct weir_buf *b, const struct weir_gateway_port *p,
		     uint16_t port)
{
	weir_buf_printf(b,
			"{\"name\":\"%s-%u\",\"protocol\":\"%s\",\"port\":%u}",
			p->proto == IPPROTO_UDP ? "udp" : "tcp", p->port,
			proto_text(p->proto), port);
}

/* Node ports and the ClusterIP are the API server's to give; it keeps what it
 * gave where an update does not name them. */
static struct owned *balanced_service(const struct gateway *g,
				      const struct weir_gateway_verdict *v)
{
	struct owned *o = v->n_ports ? begin_owned(g, "", "v1", "Service")
				     : NULL;

	if (!o) {
		return NULL;
	}
	o->says.others = balancer_members;
	weir_buf_addz(&o->says.spec, "\"type\":\"LoadBalancer\","
				     "\"ipFamilyPolicy\":\"PreferDualStack\","
				     "\"ports\":[");
	for (uint32_t i = 0; i < v->n_ports; i++) {
		weir_buf_addz(&o->says.spec, i ? "," : "");
		add_port(&o->says.spec, &v->ports[i], v->ports[i].port);
	}
	weir_buf_addz(&o->says.spec, "]");
	end_owned(g, o, "", true);
	return o;
}

/* The nodes' addresses of a family, as their Leases say. */
static bool add_nodes(const struct weir_kube_feed *f, struct weir_buf *b,
		      bool is_v4)
{
	bool has_one = false;
	const struct weir_kube_member *m;
	size_t n;

	m = weir_kube_members_list(f->members, &n);
	for (size_t i = 0; m && i < n; i++) {
		struct weir_str text = weir_str_of(m[i].ips);

		while (m[i].is_live && text.n) {
			struct weir_str word = weir_str_word(&text, ',');
			struct weir_ip ip;

			if (weir_ip_parse(word, &ip) < 0 ||
			    weir_ip_is_v4(&ip) != is_v4) {
				continue;
			}
			weir_buf_printf(b,
					"%s{\"addresses\":[\"%.*s\"],"
					"\"nodeName\":",
					has_one ? "," : "", WEIR_STR_ARG(word));
			weir_buf_add_json(b, m[i].node);
			weir_buf_addz(b, ",\"conditions\":{\"ready\":true}}");
			has_one = true;
		}
	}
	return has_one;
}

static void begin_endpoints(struct owned *slice, const char *before)
{
	weir_buf_addz(&slice->says.rest, before);
	weir_buf_addz(&slice->says.rest, ",\"endpoints\":[");
	slice->n_bare = slice->says.rest.n;
}

/* A slice without an endpoint is not made, but where there is one it is said:
 * DNS and kube-proxy would send to what is gone. */
static struct owned *end_slice(const struct gateway *g, struct owned *slice,
			       bool is_v4, bool has_one)
{
	weir_buf_addz(&slice->says.rest, "]");
	end_owned(g, slice, is_v4 ? "-v4" : "-v6", has_one);
	return slice;
}

/* NULL: nothing is to be said. */
static struct owned *slice_of_nodes(const struct gateway *g,
				    const struct weir_gateway_verdict *v,
				    bool is_v4)
{
	_cleanup_(free_owned) struct owned *o = begin_slice(g, is_v4);
	_cleanup_buf_ struct weir_buf others = {0};
	bool has_port = false, has_node;

	if (!o) {
		return NULL;
	}
	weir_buf_addz(&o->says.labels,
		      ",\"endpointslice.kubernetes.io/managed-by\":"
		      "\"weir.dev\"");
	weir_buf_addz(&o->says.rest, ",\"ports\":[");
	for (uint32_t i = 0; i < v->n_ports; i++) {
		if (v->ports[i].node_port) {
			weir_buf_addz(&o->says.rest, has_port ? "," : "");
			add_port(&o->says.rest, &v->ports[i],
				 v->ports[i].node_port);
			has_port = true;
		}
	}
	/* The Service is not there (yet), or no node has said its addresses:
	 * what is true is not known. */
	if ((v->n_ports && !has_port) ||
	    (!add_nodes(g->feed, &others, true) &&
	     !add_nodes(g->feed, &others, false))) {
		return NULL;
	}
	begin_endpoints(o, "]");
	has_node = has_port && add_nodes(g->feed, &o->says.rest, is_v4);
	return end_slice(g, TAKE_PTR(o), is_v4, has_node);
}

static struct owned *headless_service(const struct gateway *g)
{
	struct owned *o = begin_owned(g, "", "v1", "Service");

	if (o) {
		weir_buf_addz(&o->says.spec, "\"clusterIP\":\"None\"");
		end_owned(g, o, "", true);
	}
	return o;
}

static struct owned *slice_of_addresses(const struct gateway *g,
					const struct weir_gateway_verdict *v,
					bool is_v4)
{
	struct owned *o = begin_slice(g, is_v4);
	bool has_one = false;

	if (!o) {
		return NULL;
	}
	begin_endpoints(o, "");
	for (uint32_t i = 0; i < v->n_addresses; i++) {
		char text[WEIR_ADDR_TEXT_MAX];

		if (weir_ip_is_v4(&v->addresses[i]) == is_v4) {
			weir_buf_printf(&o->says.rest,
					"%s{\"addresses\":[\"%s\"]}",
					has_one ? "," : "",
					weir_ip_format(&v->addresses[i], text));
			has_one = true;
		}
	}
	return end_slice(g, o, is_v4, has_one);
}

/* A longer name, or one with dots, names no Service. */
static bool can_have_service(struct weir_str name)
{
	return name.n && name.n <= WEIR_GATEWAY_NAME_MAX &&
	       weir_str_find(name, '.') < 0;
}

bool weir_kube_wants_infra(const struct weir_object *o,
			   const struct weir_gateway_verdict *v)
{
	return can_have_service(o->name) &&
	       (v->wants_service ||
		(o->gateway && weir_gateway_has_infra(o->gateway)));
}

/* The Service, as the store has it, may have been given to somebody. */
static bool is_service_ours(const struct weir_kube_feed *f,
			    const struct weir_verdict_id *id,
			    struct weir_str name)
{
	const struct weir_object *o = weir_store_find(
		f->control->store, WEIR_KIND_SERVICE, id->ns, name);

	return o && weir_object_is_of_gateway(o, id->name);
}

/* Which of the three are there, and whose: one that goes makes another hash. */
static void add_there(const struct weir_kube_feed *f,
		      const struct weir_verdict_id *id, struct weir_buf *text)
{
	static const char *const suffixes[] = {"", "-v4", "-v6"};

	for (size_t i = 0; i < 3; i++) {
		char name[WEIR_GATEWAY_NAME_MAX + 16];
		struct weir_kube_meta meta;
		int n = snprintf(name, sizeof(name), "%.*s-weir%s",
				 WEIR_STR_ARG(id->name), suffixes[i]);

		const struct weir_str full = {name, (size_t)n};

		if (weir_kube_source_find(f->source,
					  i ? WEIR_KIND_ENDPOINT_SLICE
					    : WEIR_KIND_SERVICE,
					  id->ns, full, &meta) == 0) {
			weir_buf_printf(text, "%zu%d,", i,
					i == 0 && is_service_ours(f, id, full));
		}
	}
}

uint64_t weir_kube_infra_hash(struct weir_kube_feed *f,
			      const struct weir_gateway_verdict *v)
{
	_cleanup_buf_ struct weir_buf text = {0};

	/* Another writer may have written meanwhile. */
	weir_buf_printf(&text, "%u %lld ", f->n_terms,
			(long long)v->id.generation);
	if (v->wants_service) {
		for (uint32_t i = 0; i < v->n_ports; i++) {
			add_port(&text, &v->ports[i], v->ports[i].node_port);
		}
		add_nodes(f, &text, true);
		add_nodes(f, &text, false);
	} else {
		for (uint32_t i = 0; i < v->n_addresses; i++) {
			weir_buf_add(&text, (const char *)&v->addresses[i],
				     sizeof(v->addresses[i]));
		}
	}
	add_there(f, &v->id, &text);
	return text.error ? 0 : weir_str_hash(weir_buf_str(&text), 1);
}

/* Each may be NULL. Without a Service there is nothing to have endpoints. */
static void write_all(struct owned *service, struct owned *v4, struct owned *v6)
{
	struct owned none = {.slices = {v4, v6}};

	if (service) {
		service->slices[0] = v4;
		service->slices[1] = v6;
		send_owned(service);
	} else {
		send_slices(&none, true);
	}
}

void weir_kube_infrastructure(struct weir_kube_feed *f, struct weir_str object,
			      struct weir_kube_round *round)
{
	struct weir_str metadata = weir_jview_member(object, "metadata");
	struct weir_str infra = weir_jview_path(object, "spec",
						"infrastructure", NULL);
	struct gateway g = {
		.feed = f,
		.round = round,
		.ns = weir_jview_text(weir_jview_member(metadata, "namespace")),
		.name = weir_jview_text(weir_jview_member(metadata, "name")),
		.uid = weir_jview_text(weir_jview_member(metadata, "uid")),
		.labels = weir_jview_member(infra, "labels"),
		.annotations = weir_jview_member(infra, "annotations")};
	const struct weir_gateway_verdict *v = weir_verdict_gateway(
		&f->control->compiled.verdicts, WEIR_KIND_GATEWAY, g.ns,
		g.name);

	/* Without a verdict it is another controller's. */
	if (!v || !can_have_service(g.name)) {
		/* Nor is it remembered as written. */
		weir_kube_round_add(round);
		weir_kube_round_end(round, false, true);
		return;
	}
	g.may_make = v->wants_service || has_member(g.labels) ||
		     has_member(g.annotations);
	if (v->wants_service) {
		write_all(balanced_service(&g, v), slice_of_nodes(&g, v, true),
			  slice_of_nodes(&g, v, false));
	} else {
		write_all(headless_service(&g), slice_of_addresses(&g, v, true),
			  slice_of_addresses(&g, v, false));
	}
}
