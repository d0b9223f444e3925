/* SPDX-License-Identifier: Apache-2.0 */
#include "decode.h"

#include <errno.h>

#include "cleanup.h"
#include "manifest.h"

#define DOCUMENTS_MAX 100000 /* of one text */
#define DIAGS_MAX 1000       /* of one text */

static const struct weir_field owner_fields[] = {
	WEIR_FIELD("apiVersion", STR, .is_required = true),
	WEIR_FIELD("kind", STR, .is_required = true),
	WEIR_FIELD("name", STR, .is_required = true),
	WEIR_FIELD("uid", STR),
	WEIR_FIELD("controller", BOOL),
	WEIR_FIELD("blockOwnerDeletion", BOOL),
	WEIR_FIELD_END,
};

static const struct weir_field metadata_fields[] = {
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("namespace", STR, .format = &weir_format_label),
	WEIR_FIELD("labels", MAP),
	WEIR_FIELD("annotations", MAP),
	WEIR_FIELD("ownerReferences", LIST, .sub = owner_fields),
	WEIR_FIELD("generation", INT),
	WEIR_FIELD("creationTimestamp", STR),
	WEIR_FIELD("generateName", STR),
	WEIR_FIELD("uid", STR),
	WEIR_FIELD("resourceVersion", ANY),
	WEIR_FIELD("selfLink", STR),
	WEIR_FIELD("deletionTimestamp", STR),
	WEIR_FIELD("deletionGracePeriodSeconds", INT),
	WEIR_FIELD("finalizers", STRS),
	WEIR_FIELD("managedFields", ANY),
	WEIR_FIELD_END,
};

static const struct weir_kind_rule rules[] = {
	{WEIR_KIND_HTTP_ROUTE, "v1|v1beta1", weir_fields_http_route,
	 weir_decode_route},
	{WEIR_KIND_ENDPOINT_SLICE, "v1", weir_fields_slice, weir_decode_slice},
	{WEIR_KIND_SERVICE, "v1", weir_fields_service, weir_decode_service},
	{WEIR_KIND_GATEWAY_CLASS, "v1|v1beta1", weir_fields_gateway_class,
	 weir_decode_gateway_class},
	{WEIR_KIND_GATEWAY, "v1|v1beta1", weir_fields_gateway,
	 weir_decode_gateway},
	{WEIR_KIND_GRPC_ROUTE, "v1|v1alpha2", weir_fields_grpc_route,
	 weir_decode_route},
	{WEIR_KIND_TLS_ROUTE, "v1|v1alpha3|v1alpha2", weir_fields_tls_route,
	 weir_decode_route},
	{WEIR_KIND_TCP_ROUTE, "v1|v1alpha2", weir_fields_l4_route,
	 weir_decode_route},
	{WEIR_KIND_UDP_ROUTE, "v1|v1alpha2", weir_fields_l4_route,
	 weir_decode_route},
	{WEIR_KIND_REFERENCE_GRANT, "v1|v1beta1", weir_fields_grant,
	 weir_decode_grant},
	{WEIR_KIND_LISTENER_SET, "v1", weir_fields_listener_set,
	 weir_decode_listener_set},
	{WEIR_KIND_BACKEND_TLS_POLICY, "v1|v1alpha3", weir_fields_backend_tls,
	 weir_decode_backend_tls},
	{WEIR_KIND_NAMESPACE, "v1", weir_fields_namespace, NULL},
	{WEIR_KIND_SECRET, "v1", weir_fields_secret, weir_decode_secret},
	{WEIR_KIND_CONFIG_MAP, "v1", weir_fields_config_map,
	 weir_decode_config_map},
	{WEIR_KIND_POD, "v1", weir_fields_pod, weir_decode_pod},
	{WEIR_KIND_KSERVICE, "v1", weir_fields_knative, NULL},
	{WEIR_KIND_KROUTE, "v1", weir_fields_knative, NULL},
	{WEIR_KIND_KREVISION, "v1", weir_fields_knative, weir_decode_revision},
	{WEIR_KIND_KINGRESS, "v1alpha1", weir_fields_kingress,
	 weir_decode_kingress},
};

/* Texts that thousands of objects share. */
static const struct weir_str common[] = {
	WEIR_STR("http"),
	WEIR_STR("default"),
	WEIR_STR("TCP"),
	WEIR_STR("/"),
	WEIR_STR("Service"),
	WEIR_STR("Gateway"),
	WEIR_STR("gateway.networking.k8s.io"),
	WEIR_STR("ClusterIP"),
	WEIR_STR("https"),
	WEIR_STR("GET"),
	WEIR_STR("POST"),
	WEIR_STR("UDP"),
	WEIR_STR("HTTP"),
	WEIR_STR("HTTPS"),
	WEIR_STR("TLS"),
	WEIR_STR("http2"),
	WEIR_STR("HTTPRoute"),
	WEIR_STR("Route"),
	WEIR_STR("serving.knative.dev"),
	WEIR_STR("ReplicaSet"),
	WEIR_STR("Knative-Serving-Namespace"),
	WEIR_STR("Knative-Serving-Revision"),
	WEIR_STR("http-autometric"),
	WEIR_STR("http-usermetric"),
	WEIR_STR("http-queueadm"),
	WEIR_STR("http-istio"),
	WEIR_STR(WEIR_ROUTE_LABEL),
	WEIR_STR(WEIR_SKS_LABEL),
};

struct weir_str weir_decode_text(struct weir_decode *d, struct weir_str s)
{
	const struct weir_object *o = d->object;
	struct weir_str copy;

	if (s.n == 0) {
		return WEIR_STR("");
	}
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
		if (weir_str_eq(common[i], s)) {
			return common[i];
		}
	}
	if (weir_str_eq(s, o->ns)) {
		return o->ns;
	}
	if (weir_str_eq(s, o->name)) {
		return o->name;
	}
	copy = weir_arena_dup(d->arena, s);
	if (!copy.p) {
		d->error = -ENOMEM;
	}
	return copy;
}

struct weir_str weir_decode_str(struct weir_decode *d,
				const struct weir_node *map, const char *key,
				const char *dflt)
{
	const struct weir_node *node = weir_node_get(map, key);

	return node ? weir_decode_text(d, node->text) : weir_str_of(dflt);
}

int64_t weir_decode_int(const struct weir_node *map, const char *key,
			int64_t dflt)
{
	const struct weir_node *node = weir_node_get(map, key);

	return node && node->type == WEIR_NODE_INT ? node->number : dflt;
}

bool weir_decode_bool(const struct weir_node *map, const char *key, bool dflt)
{
	const struct weir_node *node = weir_node_get(map, key);

	return node ? node->number != 0 : dflt;
}

void *weir_decode_new(struct weir_decode *d, size_t size)
{
	void *p = weir_arena_alloc(d->arena, size);

	if (!p) {
		d->error = -ENOMEM;
	}
	return p;
}

void *weir_decode_array(struct weir_decode *d, const struct weir_node *list,
			size_t size, size_t *ret_n)
{
	void *v;

	*ret_n = 0;
	if (!list || list->n == 0) {
		return NULL;
	}
	v = weir_arena_array(d->arena, list->n, size);
	if (!v) {
		d->error = -ENOMEM;
		return NULL;
	}
	*ret_n = list->n;
	return v;
}

struct weir_strs weir_decode_strs(struct weir_decode *d,
				  const struct weir_node *list)
{
	struct weir_strs strs = {0};
	struct weir_str *v = weir_decode_array(d, list, sizeof(*v), &strs.n);
	size_t i = 0;

	strs.v = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next) {
		v[i++] = weir_decode_text(d, c->text);
	}
	return strs;
}

const struct weir_field weir_fields_object_ref[] = {
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .format = &weir_format_kind),
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("namespace", STR, .format = &weir_format_label),
	WEIR_FIELD_END,
};

void weir_decode_object_ref(struct weir_decode *d, const struct weir_node *node,
			    const char *group, const char *kind,
			    struct weir_object_ref *ret_ref)
{
	ret_ref->group = weir_decode_str(d, node, "group", group);
	ret_ref->kind = weir_decode_str(d, node, "kind", kind);
	ret_ref->name = weir_decode_str(d, node, "name", "");
	ret_ref->ns = weir_node_get(node, "namespace")
			      ? weir_decode_str(d, node, "namespace", "")
			      : d->object->ns;
}

struct weir_object_refs weir_decode_object_refs(struct weir_decode *d,
						const struct weir_node *list,
						const char *group,
						const char *kind)
{
	struct weir_object_refs refs = {0};
	struct weir_object_ref *v = weir_decode_array(d, list, sizeof(*v),
						      &refs.n);

	refs.v = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next, v++) {
		weir_decode_object_ref(d, c, group, kind, v);
	}
	return refs;
}

static bool is_wanted(struct weir_str key, const char *const *prefixes)
{
	if (!prefixes) {
		return true;
	}
	for (; *prefixes; prefixes++) {
		if (weir_str_starts(key, weir_str_of(*prefixes))) {
			return true;
		}
	}
	return false;
}

struct weir_pairs weir_decode_pairs(struct weir_decode *d,
				    const struct weir_node *map,
				    const char *const *prefixes)
{
	struct weir_pairs pairs = {0};
	struct weir_pair *v;
	size_t n = 0;

	for (const struct weir_node *c = map ? map->child : NULL; c;
	     c = c->next) {
		n += is_wanted(c->key, prefixes);
	}
	if (n == 0) {
		return pairs;
	}
	v = weir_arena_array(d->arena, n, sizeof(*v));
	if (!v) {
		d->error = -ENOMEM;
		return pairs;
	}
	for (const struct weir_node *c = map->child; c; c = c->next) {
		if (is_wanted(c->key, prefixes)) {
			v[pairs.n++] = (struct weir_pair){
				weir_decode_text(d, c->key),
				weir_decode_text(d, c->text)};
		}
	}
	pairs.v = v;
	return pairs;
}

/* ------------------------------------------------------- one object */

struct job {
	struct weir_diags *diags;
	size_t diags_max;
	uint32_t n_documents;
	struct weir_str source;
	weir_decoded_fn fn;
	void *arg;
	struct weir_map reported;
};

static int decode_object(struct weir_decode *d,
			 const struct weir_kind_rule *rule,
			 const struct weir_node *root,
			 const struct weir_object *head)
{
	struct weir_object *o = weir_decode_new(d, sizeof(*o));

	if (!o) {
		return d->error;
	}
	*o = (struct weir_object){.kind = head->kind, .line = head->line};
	d->object = o;
	o->ns = weir_decode_text(d, head->ns);
	o->name = weir_decode_text(d, head->name);
	o->source = weir_decode_text(d, head->source);
	if (d->error == 0) {
		weir_decode_metadata(d, weir_node_get(root, "metadata"), o);
	}
	if (rule->decode && d->error == 0) {
		rule->decode(d, root);
	}
	return d->error;
}

static void check_object(struct weir_decode *d,
			 const struct weir_kind_rule *rule,
			 const struct weir_node *root)
{
	static const struct weir_field nothing[] = {WEIR_FIELD_END};
	struct weir_field fields[16] = {
		WEIR_FIELD("apiVersion", STR, .is_required = true),
		WEIR_FIELD("kind", STR, .is_required = true),
		WEIR_FIELD("metadata", OBJECT, .is_required = true,
			   .sub = metadata_fields),
	};
	const struct weir_field *more = rule->fields ? rule->fields : nothing;

	for (size_t i = 3; i < 15 && more->name.n; i++, more++) {
		fields[i] = *more;
	}
	weir_schema_check(d, root, fields);
}

static int tell_bad(struct job *job, const struct weir_object *head,
		    bool is_identified)
{
	struct weir_decoded decoded = {.object = head,
				       .is_identified = is_identified};

	return job->fn(job->arg, &decoded);
}

/* Twice: the first time finds the faults and the size, the second one fills an
 * arena of just that size.  Decoding costs a tenth of parsing; slack would cost
 * memory as long as the object lives. */
static int decode_known(struct job *job, const struct weir_decode *begun,
			const struct weir_kind_rule *rule,
			const struct weir_node *root)
{
	_cleanup_(weir_arena_fini) struct weir_arena scratch = {0};
	_cleanup_(weir_arena_fini) struct weir_arena exact = {0};
	struct weir_decode d = *begun;
	const struct weir_object *head = d.object;
	struct weir_decoded decoded = {.arena = &exact, .is_identified = true};
	int r;

	weir_arena_init(&scratch, 4096);
	weir_arena_init(&exact, 64);
	check_object(&d, rule, root);
	if (d.error < 0) {
		return d.error;
	}
	d.arena = &scratch;
	if (!d.is_bad) {
		r = decode_object(&d, rule, root, head);
		if (r < 0) {
			return r;
		}
	}
	if (d.is_bad) {
		return tell_bad(job, head, true);
	}
	weir_arena_init(&exact, scratch.used);
	d.arena = &exact;
	d.diags = NULL;
	r = decode_object(&d, rule, root, head);
	if (r < 0) {
		return r;
	}
	decoded.object = d.object;
	r = job->fn(job->arg, &decoded);
	if (r == 0) {
		exact = (struct weir_arena){0}; /* taken */
	}
	return r;
}

/* --------------------------------------------- which kind it is, lists */

static const struct weir_kind_rule *find_rule(struct weir_str group,
					      struct weir_str kind)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		enum weir_kind k = rules[i].kind;

		if (weir_str_is(kind, weir_kind_text(k)) &&
		    weir_str_is(group, weir_kind_group(k))) {
			return &rules[i];
		}
	}
	return NULL;
}

static bool has_version(const char *versions, struct weir_str version)
{
	for (struct weir_str rest = weir_str_of(versions); rest.n;) {
		ptrdiff_t bar = weir_str_find(rest, '|');
		size_t n = bar < 0 ? rest.n : (size_t)bar;

		if (weir_str_eq(version, (struct weir_str){rest.p, n})) {
			return true;
		}
		rest = weir_str_skip(rest, n + 1);
	}
	return false;
}

/* A field that is needed to know what the object is. */
static const struct weir_node *
need_text(struct weir_decode *d, const struct weir_node *map, const char *key)
{
	const struct weir_node *node = weir_node_get(map, key);

	if (!node) {
		weir_decode_bad(d, map, key, "MissingField",
				"missing, expected a string");
		return NULL;
	}
	if (!weir_schema_has_shape(d, node, WEIR_SHAPE_STR)) {
		return NULL;
	}
	return node;
}

/* What may have been meant, where the one of kind and group is right and the
 * other nearly. */
static const struct weir_kind_rule *near_rule(struct weir_str kind,
					      struct weir_str api)
{
	ptrdiff_t slash = weir_str_find(api, '/');
	struct weir_str group = {api.p, slash < 0 ? 0 : (size_t)slash};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct weir_str k = weir_str_of(weir_kind_text(rules[i].kind));
		struct weir_str g = weir_str_of(weir_kind_group(rules[i].kind));

		if ((weir_str_eq(group, g) && weir_schema_is_near(kind, k)) ||
		    (weir_str_eq(kind, k) && weir_schema_is_near(group, g))) {
			return &rules[i];
		}
	}
	return NULL;
}

static int report_unknown_kind(struct job *job, struct weir_decode *d,
			       const struct weir_node *kind,
			       struct weir_str api)
{
	uint64_t hash = weir_str_hash(kind->text, weir_str_hash(api, 7));
	const struct weir_kind_rule *near = near_rule(kind->text, api);
	char shown_kind[WEIR_SHOWN_MAX];
	char shown_api[WEIR_SHOWN_MAX];
	uint64_t old;

	if (weir_map_get(&job->reported, hash, &old)) {
		return 0;
	}
	if (weir_map_put(&job->reported, hash, 1) < 0) {
		return -ENOMEM;
	}
	if (near) {
		const char *group = weir_kind_group(near->kind);

		weir_decode_report(
			d, WEIR_DIAG_WARNING, kind, NULL, "UnknownKind",
			"%s of %s is not used by weir, ignored, expected %s of "
			"%s?",
			weir_shown(kind->text, shown_kind),
			weir_shown(api, shown_api), weir_kind_text(near->kind),
			*group ? group : "core");
		return 0;
	}
	weir_decode_report(d, WEIR_DIAG_WARNING, kind, NULL, "UnknownKind",
			   "%s of %s is not used by weir, ignored",
			   weir_shown(kind->text, shown_kind),
			   weir_shown(api, shown_api));
	return 0;
}

static void check_version(struct weir_decode *d,
			  const struct weir_kind_rule *rule,
			  const struct weir_node *api)
{
	ptrdiff_t slash = weir_str_find(api->text, '/');
	char versions[64];
	char shown[WEIR_SHOWN_MAX];
	size_t n = 0;

	if (has_version(rule->versions,
			weir_str_skip(api->text, (size_t)(slash + 1)))) {
		return;
	}
	for (const char *v = rule->versions; *v && n < 60; v++) {
		if (*v == '|') {
			memcpy(&versions[n], " or ", 4);
			n += 4;
		} else {
			versions[n++] = *v;
		}
	}
	versions[n] = '\0';
	weir_decode_bad(d, api, NULL, "UnsupportedVersion",
			"found \"%s\", expected version %s",
			weir_shown(api->text, shown), versions);
}

/* kind, namespace and name into head; false: it cannot be told apart. */
static bool identify(struct weir_decode *d, const struct weir_kind_rule *rule,
		     const struct weir_node *root, struct weir_object *head)
{
	const struct weir_node *metadata = weir_node_get(root, "metadata");
	const struct weir_node *ns = weir_node_get(metadata, "namespace");
	const struct weir_node *name;

	head->kind = rule->kind;
	if (!metadata || metadata->type != WEIR_NODE_MAP) {
		weir_decode_bad(d, metadata ? metadata : root,
				metadata ? NULL : "metadata", "MissingField",
				"missing, expected a map with a name");
		return false;
	}
	name = need_text(d, metadata, "name");
	if (!name || !weir_format_subdomain.is_valid(name->text)) {
		if (name) {
			char shown[WEIR_SHOWN_MAX];

			weir_decode_bad(d, name, NULL, "InvalidValue",
					"found \"%s\", expected %s",
					weir_shown(name->text, shown),
					weir_format_subdomain.expected);
		}
		return false;
	}
	head->name = name->text;
	if (weir_kind_is_namespaced(rule->kind)) {
		head->ns = WEIR_STR("default"); /* as kubectl */
		if (ns) {
			head->ns = ns->text;
		}
	}
	return true;
}

static int decode_one(struct job *job, const struct weir_node *root);

/* The kinds List and HTTPRouteList and the like: as kubectl get writes them. */
static int decode_list(struct job *job, const struct weir_node *items)
{
	for (const struct weir_node *c = items->child; c; c = c->next) {
		int r = decode_one(job, c);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int decode_one(struct job *job, const struct weir_node *root)
{
	struct weir_object head = {.kind = _WEIR_KIND_MAX,
				   .source = job->source,
				   .line = root->line};
	struct weir_decode d = {.diags = job->diags,
				.diags_max = job->diags_max,
				.reported = &job->reported,
				.object = &head};
	const struct weir_kind_rule *rule;
	const struct weir_node *api;
	const struct weir_node *kind;
	const struct weir_node *items;
	struct weir_str group;
	ptrdiff_t slash;

	if (root->type != WEIR_NODE_MAP) {
		weir_decode_bad(&d, root, NULL, "InvalidType",
				"found a %s, expected a Kubernetes object",
				weir_node_type_text(root->type));
		return tell_bad(job, &head, false);
	}
	api = need_text(&d, root, "apiVersion");
	kind = need_text(&d, root, "kind");
	if (!api || !kind) {
		return tell_bad(job, &head, false);
	}
	items = weir_node_get(root, "items");
	if (items && items->type == WEIR_NODE_SEQ && !root->parent &&
	    weir_str_ends(kind->text, WEIR_STR("List"))) {
		return decode_list(job, items);
	}
	slash = weir_str_find(api->text, '/');
	group = (struct weir_str){api->text.p, slash < 0 ? 0 : (size_t)slash};
	rule = find_rule(group, kind->text);
	if (!rule) {
		return report_unknown_kind(job, &d, kind, api->text);
	}
	if (!identify(&d, rule, root, &head)) {
		return tell_bad(job, &head, false);
	}
	check_version(&d, rule, api);
	return decode_known(job, &d, rule, root);
}

static int on_document(void *arg, const struct weir_document *doc)
{
	struct job *job = arg;
	struct weir_object nobody = {.kind = _WEIR_KIND_MAX,
				     .source = job->source,
				     .line = doc->line};

	if (++job->n_documents > DOCUMENTS_MAX) {
		int r = tell_bad(job, &nobody, false);

		weir_diag_add_file(job->diags, WEIR_DIAG_ERROR, job->source,
				   doc->line, "TooMany",
				   "more than %d documents, the others are not "
				   "read",
				   DOCUMENTS_MAX);
		return r < 0 ? r : -E2BIG;
	}
	if (!doc->root) {
		if (job->diags->n < job->diags_max) {
			weir_diag_add_file(job->diags, WEIR_DIAG_ERROR,
					   job->source, doc->line,
					   "SyntaxError", "%s", doc->error);
		}
		return tell_bad(job, &nobody, false);
	}
	return decode_one(job, doc->root);
}

int weir_manifest_decode_all(struct weir_str text, struct weir_str source,
			     bool is_json, struct weir_diags *diags,
			     weir_decoded_fn fn, void *arg)
{
	struct job job = {.diags = diags,
			  .diags_max = diags->n + DIAGS_MAX,
			  .source = source,
			  .fn = fn,
			  .arg = arg};
	int r = is_json ? weir_json_read(text, on_document, &job)
			: weir_yaml_read(text, on_document, &job);

	weir_map_fini(&job.reported);
	if (r == -E2BIG && job.n_documents > DOCUMENTS_MAX) {
		r = 0;
	}
	if (diags->n >= job.diags_max) {
		weir_diag_add_file(
			diags, WEIR_DIAG_ERROR, source, 0, "TooManyDiagnostics",
			"more than %d, the others are not shown", DIAGS_MAX);
	}
	return r;
}

struct relay {
	weir_object_fn fn;
	void *arg;
};

static int on_relayed(void *arg, const struct weir_decoded *decoded)
{
	const struct relay *relay = arg;

	return decoded->arena
		       ? relay->fn(relay->arg, decoded->arena, decoded->object)
		       : 0;
}

int weir_manifest_decode(struct weir_str text, struct weir_str source,
			 bool is_json, struct weir_diags *diags,
			 weir_object_fn fn, void *arg)
{
	struct relay relay = {fn, arg};

	return weir_manifest_decode_all(text, source, is_json, diags,
					on_relayed, &relay);
}
