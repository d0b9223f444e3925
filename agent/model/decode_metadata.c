// SPDX-License-Identifier: Apache-2.0
/* metadata: of what others write there only what decides something is kept. */
#include "decode.h"

#include <errno.h>
#include <time.h>

/* RFC 3339 as Kubernetes writes it: 2006-01-02T15:04:05Z. */
static int parse_time(struct weir_str s, int64_t *ret_s)
{
	struct tm tm = {0};
	char z[21];
	const char *end;

	if (s.n != 20) {
		return -EINVAL;
	}
	memcpy(z, s.p, 20);
	z[20] = '\0';
	end = strptime(z, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end) {
		return -EINVAL;
	}
	*ret_s = (int64_t)timegm(&tm);
	return 0;
}

/* Those that decide something: a Route has a placeholder, a Gateway a Service.
 */
static bool is_kept_owner(const struct weir_node *owner)
{
	const struct weir_node *kind = weir_node_get(owner, "kind");

	return kind && weir_node_get(owner, "apiVersion") &&
	       (weir_str_is(kind->text, "Route") ||
		weir_str_is(kind->text, "Gateway"));
}

static void decode_owners(struct weir_decode *d, const struct weir_node *list,
			  struct weir_object *o)
{
	struct weir_owner *v;
	size_t n = 0;

	for (const struct weir_node *c = list ? list->child : NULL; c;
	     c = c->next) {
		n += is_kept_owner(c);
	}
	if (n == 0) {
		return;
	}
	v = weir_arena_array(d->arena, n, sizeof(*v));
	if (!v) {
		d->error = -ENOMEM;
		return;
	}
	o->owners = v;
	o->n_owners = n;
	for (const struct weir_node *c = list->child; c; c = c->next) {
		struct weir_str api = weir_node_get(c, "apiVersion")->text;
		ptrdiff_t slash = weir_str_find(api, '/');

		if (!is_kept_owner(c)) {
			continue;
		}
		api.n = slash < 0 ? 0 : (size_t)slash;
		v->group = weir_decode_text(d, api);
		v->kind = weir_decode_str(d, c, "kind", "");
		v->name = weir_decode_str(d, c, "name", "");
		v++;
	}
}

/* Nobody else uses the prefix, so what is not known is a slip. */
static void check_annotations(struct weir_decode *d,
			      const struct weir_node *annotations)
{
	const struct weir_node *c = annotations ? annotations->child : NULL;

	for (; c; c = c->next) {
		if (weir_str_starts(c->key, WEIR_STR("weir.dev/")) &&
		    !weir_str_is(c->key, "weir.dev/split") &&
		    !weir_str_is(c->key, "weir.dev/infrastructure") &&
		    !weir_str_is(c->key, "weir.dev/infrastructure-keys") &&
		    !weir_str_is(c->key, "weir.dev/activation") &&
		    !weir_str_is(c->key, "weir.dev/private-mode") &&
		    !weir_str_is(c->key, "weir.dev/forwarded")) {
			weir_decode_report(d, WEIR_DIAG_WARNING, c, NULL,
					   "UnknownAnnotation",
					   "unknown and ignored, expected "
					   "weir.dev/split, "
					   "weir.dev/forwarded, "
					   "weir.dev/activation or "
					   "weir.dev/private-mode");
		}
	}
}

void weir_decode_metadata(struct weir_decode *d,
			  const struct weir_node *metadata,
			  struct weir_object *o)
{
	static const char *const annotation_prefixes[] = {"weir.dev/", NULL};
	static const char *const of_services[] = {WEIR_ROUTE_LABEL,
						  WEIR_SKS_LABEL, NULL};
	const struct weir_node *created = weir_node_get(metadata,
							"creationTimestamp");

	o->generation = weir_decode_int(metadata, "generation", 0);
	if (created && parse_time(created->text, &o->created_s) < 0) {
		weir_decode_bad(d, created, NULL, "InvalidValue",
				"expected a time like 2006-01-02T15:04:05Z");
	}
	check_annotations(d, weir_node_get(metadata, "annotations"));
	o->annotations = weir_decode_pairs(
		d, weir_node_get(metadata, "annotations"), annotation_prefixes);
	/* Labels decide only where Namespaces are selected and where Knative
	 * marks what is its own; it writes a dozen on each object. */
	if (o->kind == WEIR_KIND_NAMESPACE) {
		o->labels = weir_decode_pairs(
			d, weir_node_get(metadata, "labels"), NULL);
	} else if (o->kind == WEIR_KIND_SERVICE) {
		o->labels = weir_decode_pairs(
			d, weir_node_get(metadata, "labels"), of_services);
		decode_owners(d, weir_node_get(metadata, "ownerReferences"), o);
	}
}
