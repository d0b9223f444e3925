/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Knative's internal Ingress (KIngress) in full; of Service, Route and Revision
 * only that they exist: traffic follows the KIngress.  Defaults and checks are
 * Go code in Knative, not in its CRD, so they are repeated here.
 */
#include <errno.h>

#include "decode.h"
#include "king_hash.h"

const struct weir_field weir_fields_knative[] = {
	WEIR_FIELD("spec", ANY),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

static const struct weir_field header_fields[] = {
	WEIR_FIELD("exact", STR, .is_required = true),
	WEIR_FIELD_END,
};

static const struct weir_field split_fields[] = {
	WEIR_FIELD("serviceName", STR, .is_required = true,
		   .format = &weir_format_label),
	WEIR_FIELD("serviceNamespace", STR, .format = &weir_format_label),
	WEIR_FIELD("servicePort", INT_OR_STR, .is_required = true, .from = 1,
		   .to = 65535),
	WEIR_FIELD("percent", INT, .from = 0, .to = 100),
	WEIR_FIELD("appendHeaders", MAP),
	WEIR_FIELD_END,
};

static const struct weir_field path_fields[] = {
	WEIR_FIELD("path", STR),
	WEIR_FIELD("rewriteHost", STR, .format = &weir_format_precise_hostname),
	WEIR_FIELD("headers", OBJECTS, .sub = header_fields),
	WEIR_FIELD("splits", LIST, .is_required = true, .is_nonempty = true,
		   .sub = split_fields),
	WEIR_FIELD("appendHeaders", MAP),
	WEIR_FIELD_END,
};

static const struct weir_field http_fields[] = {
	WEIR_FIELD("paths", LIST, .is_required = true, .is_nonempty = true,
		   .sub = path_fields),
	WEIR_FIELD_END,
};

static const struct weir_field rule_fields[] = {
	WEIR_FIELD("hosts", STRS, .format = &weir_format_precise_hostname),
	WEIR_FIELD("visibility", STR, .one_of = "ExternalIP|ClusterLocal"),
	WEIR_FIELD("http", OBJECT, .is_required = true, .sub = http_fields),
	WEIR_FIELD_END,
};

static const struct weir_field tls_fields[] = {
	WEIR_FIELD("hosts", STRS, .format = &weir_format_precise_hostname),
	WEIR_FIELD("secretName", STR, .is_required = true),
	WEIR_FIELD("secretNamespace", STR, .is_required = true,
		   .format = &weir_format_label),
	WEIR_FIELD_END,
};

static const struct weir_field spec_fields[] = {
	WEIR_FIELD("rules", LIST, .is_required = true, .is_nonempty = true,
		   .sub = rule_fields),
	WEIR_FIELD("tls", LIST, .sub = tls_fields),
	WEIR_FIELD("httpOption", STR, .one_of = "Enabled|Redirected"),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_kingress[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true, .sub = spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

/* Headers to set: what would be refused in a filter is refused here too. */
static struct weir_pairs decode_headers(struct weir_decode *d,
					const struct weir_node *map)
{
	for (const struct weir_node *c = map ? map->child : NULL; c;
	     c = c->next) {
		char shown[WEIR_SHOWN_MAX];

		if (!weir_format_token.is_valid(c->key)) {
			weir_decode_bad(d, c, NULL, "InvalidValue",
					"found the key \"%s\", expected %s",
					weir_shown(c->key, shown),
					weir_format_token.expected);
		}
		if (c->text.n && !weir_format_header_value.is_valid(c->text)) {
			weir_decode_bad(d, c, NULL, "InvalidValue",
					"found \"%s\", expected %s",
					weir_shown(c->text, shown),
					weir_format_header_value.expected);
		}
	}
	return weir_decode_pairs(d, map, NULL);
}

static struct weir_pairs decode_match(struct weir_decode *d,
				      const struct weir_node *map)
{
	struct weir_pairs pairs = {0};
	struct weir_pair *v = weir_decode_array(d, map, sizeof(*v), &pairs.n);

	pairs.v = v;
	for (const struct weir_node *c = v ? map->child : NULL; c;
	     c = c->next, v++) {
		char shown[WEIR_SHOWN_MAX];

		if (!weir_format_token.is_valid(c->key)) {
			weir_decode_bad(d, c, NULL, "InvalidValue",
					"found the key \"%s\", expected %s",
					weir_shown(c->key, shown),
					weir_format_token.expected);
		}
		v->key = weir_decode_text(d, c->key);
		v->value = weir_decode_str(d, c, "exact", "");
	}
	return pairs;
}

static void decode_split(struct weir_decode *d, const struct weir_node *node,
			 struct weir_king_split *s)
{
	const struct weir_node *port = weir_node_get(node, "servicePort");
	const struct weir_node *ns = weir_node_get(node, "serviceNamespace");

	s->service = weir_decode_str(d, node, "serviceName", "");
	s->service_ns = d->object->ns;
	if (ns && !weir_str_eq(ns->text, d->object->ns)) {
		weir_decode_bad(d, ns, NULL, "InvalidValue",
				"found another namespace, expected the "
				"Ingress' own, %.*s",
				WEIR_STR_ARG(d->object->ns));
	}
	if (port->type == WEIR_NODE_INT) {
		s->port = (uint16_t)port->number;
		s->port_name = WEIR_STR("");
	} else {
		s->port_name = weir_decode_text(d, port->text);
		if (!weir_format_label.is_valid(port->text)) {
			char shown[WEIR_SHOWN_MAX];

			weir_decode_bad(d, port, NULL, "InvalidValue",
					"found \"%s\", expected a port's "
					"number or name",
					weir_shown(port->text, shown));
		}
	}
	s->percent = (uint32_t)weir_decode_int(node, "percent", 0);
	s->headers = decode_headers(d, weir_node_get(node, "appendHeaders"));
}

static void decode_splits(struct weir_decode *d, const struct weir_node *list,
			  struct weir_king_path *p)
{
	struct weir_king_split *s = weir_decode_array(d, list, sizeof(*s),
						      &p->n_splits);
	uint64_t sum = 0;
	size_t n = 0;

	if (!s) {
		return;
	}
	p->splits = s;
	for (const struct weir_node *c = list->child; c; c = c->next, n++) {
		decode_split(d, c, &s[n]);
		if (p->n_splits == 1 && s[n].percent == 0) {
			s[n].percent = 100;
		}
		sum += s[n].percent;
	}
	if (sum != 100) {
		weir_decode_bad(d, list, NULL, "InvalidValue",
				"found percents that add up to %llu, expected "
				"100",
				(unsigned long long)sum);
	}
}

static void decode_paths(struct weir_decode *d, const struct weir_node *list,
			 struct weir_king_rule *r)
{
	struct weir_king_path *p = weir_decode_array(d, list, sizeof(*p),
						     &r->n_paths);

	r->paths = p;
	for (const struct weir_node *c = p ? list->child : NULL; c;
	     c = c->next, p++) {
		const struct weir_node *path = weir_node_get(c, "path");
		char shown[WEIR_SHOWN_MAX];

		p->path = weir_decode_str(d, c, "path", "");
		if (path && path->text.n &&
		    (path->text.p[0] != '/' || path->text.n > 1024)) {
			weir_decode_bad(d, path, NULL, "InvalidValue",
					"found \"%s\", expected empty, or a "
					"path of at most 1024 bytes that "
					"begins with '/'",
					weir_shown(path->text, shown));
		}
		p->rewrite_host = weir_decode_str(d, c, "rewriteHost", "");
		p->match_headers = decode_match(d, weir_node_get(c, "headers"));
		p->headers = decode_headers(d,
					    weir_node_get(c, "appendHeaders"));
		decode_splits(d, weir_node_get(c, "splits"), p);
	}
}

static void decode_tls(struct weir_decode *d, const struct weir_node *list,
		       struct weir_king_spec *spec)
{
	struct weir_king_tls *t = weir_decode_array(d, list, sizeof(*t),
						    &spec->n_tls);

	spec->tls = t;
	for (const struct weir_node *c = t ? list->child : NULL; c;
	     c = c->next, t++) {
		t->hosts = weir_decode_strs(d, weir_node_get(c, "hosts"));
		t->secret = weir_decode_str(d, c, "secretName", "");
		t->secret_ns = weir_decode_str(d, c, "secretNamespace", "");
	}
}

static struct weir_str hash_of(struct weir_decode *d,
			       const struct weir_node *spec)
{
	char hex[WEIR_KING_HASH_LEN];
	int r = weir_king_hash(spec, d->object->ns, d->object->name, hex);

	if (r < 0) {
		d->error = r;
		return WEIR_STR("");
	}
	return weir_decode_text(d, (struct weir_str){hex, sizeof(hex)});
}

/* The kubelet's own business: queue-proxy does not know of their outcome
 * (serving activator/net/revision_backends.go, enableProbeOptimisation). */
static bool has_kubelet_probe(const struct weir_node *container)
{
	const struct weir_node *ready = weir_node_get(container,
						      "readinessProbe");

	return weir_node_get(container, "startupProbe") ||
	       (ready && weir_node_get(ready, "exec"));
}

/* A number of a node that is one, within a port's; 0: not so. */
static uint16_t port_of(const struct weir_node *n)
{
	return n && n->type == WEIR_NODE_INT && n->number > 0 &&
			       n->number <= UINT16_MAX
		       ? (uint16_t)n->number
		       : 0;
}

/* The port whose listening is all that queue-proxy asks of the program (serving
 * reconciler/revision/resources/queue.go, applyReadinessProbeDefaults, and
 * deploy.go, getUserPort); 0 where it asks more, or of several. */
static uint16_t program_port(const struct weir_node *container)
{
	const struct weir_node *ready = weir_node_get(container,
						      "readinessProbe");
	const struct weir_node *tcp = weir_node_get(ready, "tcpSocket");
	const struct weir_node *times = weir_node_get(ready,
						      "successThreshold");
	const struct weir_node *ports = weir_node_get(container, "ports");
	const struct weir_node *port = weir_node_get(tcp, "port");

	if (!tcp || container->next || (times && times->number > 1) ||
	    (port && port->type != WEIR_NODE_INT)) {
		return 0;
	}
	if (port && port->number) {
		return port_of(port);
	}
	port = weir_node_get(ports ? ports->child : NULL, "containerPort");
	return port && port->number ? port_of(port) : 8080;
}

/* Of its spec, which is a Pod's, a few things: what is wrong with the rest is
 * Knative's to say. */
void weir_decode_revision(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *spec = weir_node_get(root, "spec");
	const struct weir_node *n = weir_node_get(spec, "containerConcurrency");
	const struct weir_node *list = weir_node_get(spec, "containers");
	struct weir_revision_spec *r = weir_decode_new(d, sizeof(*r));

	if (!r) {
		return;
	}
	d->object->revision = r;
	if (n && n->type == WEIR_NODE_INT && n->number > 0) {
		r->concurrency = n->number < UINT32_MAX ? (uint32_t)n->number
							: UINT32_MAX;
	}
	for (const struct weir_node *c = list ? list->child : NULL; c;
	     c = c->next) {
		r->has_kubelet_probe |= has_kubelet_probe(c);
	}
	if (list && list->child) {
		r->program_port = program_port(list->child);
	}
}

void weir_decode_kingress(struct weir_decode *d, const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	const struct weir_node *rules = weir_node_get(node, "rules");
	const struct weir_node *option = weir_node_get(node, "httpOption");
	struct weir_king_spec *spec = weir_decode_new(d, sizeof(*spec));
	struct weir_king_rule *r;

	if (!spec) {
		return;
	}
	d->object->kingress = spec;
	spec->ingress_class = weir_decode_str(
		d,
		weir_node_get(weir_node_get(root, "metadata"), "annotations"),
		"networking.knative.dev/ingress.class", "");
	spec->is_redirected = option && weir_str_is(option->text, "Redirected");
	spec->hash = hash_of(d, node);
	decode_tls(d, weir_node_get(node, "tls"), spec);
	r = weir_decode_array(d, rules, sizeof(*r), &spec->n_rules);
	spec->rules = r;
	for (const struct weir_node *c = r ? rules->child : NULL; c;
	     c = c->next, r++) {
		const struct weir_node *visibility = weir_node_get(
			c, "visibility");

		r->hosts = weir_decode_strs(d, weir_node_get(c, "hosts"));
		r->is_cluster_local = visibility &&
				      weir_str_is(visibility->text,
						  "ClusterLocal");
		decode_paths(
			d, weir_node_get(weir_node_get(c, "http"), "paths"), r);
	}
}
