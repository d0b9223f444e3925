// SPDX-License-Identifier: Apache-2.0
#include "owned.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "json_view.h"

#define HASH "weir.dev/infrastructure"
#define KEYS "weir.dev/infrastructure-keys"

void weir_owned_fini(struct weir_owned *o)
{
	weir_buf_fini(&o->metadata);
	weir_buf_fini(&o->labels);
	weir_buf_fini(&o->annotations);
	weir_buf_fini(&o->spec);
	weir_buf_fini(&o->rest);
}

static bool is_owned(const struct weir_owned *o, struct weir_str metadata)
{
	struct weir_str refs = weir_jview_member(metadata, "ownerReferences");

	return refs.p && memmem(refs.p, refs.n, o->uid, strlen(o->uid));
}

/* Members as an object, for weir_jview_next(). */
static void embrace(struct weir_buf *out, const struct weir_buf *members)
{
	weir_buf_addz(out, "{");
	weir_buf_add_str(out, weir_buf_str(members));
	weir_buf_addz(out, "}");
}

static bool has_member(struct weir_str object, struct weir_str want)
{
	struct weir_str name, value;

	for (size_t pos = 0;
	     weir_jview_next(object, &pos, &name, &value, NULL);) {
		if (weir_str_eq(name, want)) {
			return true;
		}
	}
	return false;
}

static bool is_listed(struct weir_str list, struct weir_str want)
{
	while (list.n) {
		if (weir_str_eq(weir_str_word(&list, ','), want)) {
			return true;
		}
	}
	return false;
}

static void add_names(struct weir_buf *out, struct weir_str object)
{
	struct weir_str name, value;
	bool has_one = false;

	for (size_t pos = 0;
	     weir_jview_next(object, &pos, &name, &value, NULL);) {
		weir_buf_addz(out, has_one ? "," : "");
		weir_buf_add_str(out, name);
		has_one = true;
	}
}

/* "NAME":{ours and those of others that are there, and no end.  former: names
 * of what was ours. */
static void add_map(struct weir_buf *out, const char *name,
		    const struct weir_buf *ours, struct weir_str there,
		    struct weir_str former)
{
	_cleanup_buf_ struct weir_buf own = {0};
	struct weir_str key, value, whole;
	bool has_one = ours->n > 0;

	embrace(&own, ours);
	weir_buf_printf(out, ",\"%s\":{", name);
	weir_buf_add_str(out, weir_buf_str(ours));
	for (size_t pos = 0;
	     weir_jview_next(there, &pos, &key, &value, &whole);) {
		if (weir_str_is(key, HASH) || weir_str_is(key, KEYS) ||
		    is_listed(former, key) ||
		    has_member(weir_buf_str(&own), key)) {
			continue;
		}
		weir_buf_addz(out, has_one ? "," : "");
		weir_buf_add_str(out, whole);
		has_one = true;
	}
	if (own.error) {
		out->error = own.error;
	}
}

static void add_annotations(struct weir_buf *out, const struct weir_owned *o,
			    struct weir_str there, struct weir_str former,
			    const char *hash)
{
	_cleanup_buf_ struct weir_buf labels = {0};
	_cleanup_buf_ struct weir_buf annotations = {0};
	size_t before = out->n;

	embrace(&labels, &o->labels);
	embrace(&annotations, &o->annotations);
	add_map(out, "annotations", &o->annotations, there, former);
	if (!out->error && out->n > before && out->p[out->n - 1] != '{') {
		weir_buf_addz(out, ",");
	}
	weir_buf_addz(out, "\"" KEYS "\":\"");
	add_names(out, weir_buf_str(&labels));
	weir_buf_addz(out, ";");
	add_names(out, weir_buf_str(&annotations));
	weir_buf_printf(out, "\",\"" HASH "\":\"%s\"}", hash);
	if (labels.error || annotations.error) {
		out->error = -ENOMEM;
	}
}

static void add_spec(struct weir_buf *out, const struct weir_owned *o,
		     struct weir_str there)
{
	struct weir_str name, value, whole;

	weir_buf_addz(out, ",\"spec\":{");
	weir_buf_add_str(out, weir_buf_str(&o->spec));
	for (size_t pos = 0;
	     weir_jview_next(there, &pos, &name, &value, &whole);) {
		for (size_t i = 0; o->others && o->others[i]; i++) {
			if (weir_str_is(name, o->others[i])) {
				weir_buf_addz(out, ",");
				weir_buf_add_str(out, whole);
			}
		}
	}
	weir_buf_addz(out, "}");
}

static uint64_t hash_of(const struct weir_owned *o)
{
	const struct weir_buf *const v[] = {
		&o->metadata, &o->labels, &o->annotations, &o->spec, &o->rest};
	uint64_t hash = 0;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		hash = weir_str_hash(weir_buf_str(v[i]), hash + 1);
	}
	return hash;
}

int weir_owned_merge(const struct weir_owned *o, struct weir_str object,
		     struct weir_buf *out)
{
	struct weir_str metadata = weir_jview_member(object, "metadata");
	struct weir_str annotations = weir_jview_member(metadata,
							"annotations");
	struct weir_str version = weir_jview_member(metadata,
						    "resourceVersion");
	struct weir_str finalizers = weir_jview_member(metadata, "finalizers");
	struct weir_str keys = weir_jview_text(
		weir_jview_member(annotations, KEYS));
	ptrdiff_t at = weir_str_find(keys, ';');
	struct weir_str labels = {keys.p, at < 0 ? 0 : (size_t)at};
	char hash[20];

	if (o->metadata.error || o->labels.error || o->annotations.error ||
	    o->spec.error || o->rest.error) {
		return -ENOMEM;
	}
	if (object.n && !is_owned(o, metadata)) {
		return -EEXIST;
	}
	snprintf(hash, sizeof(hash), "%016" PRIx64, hash_of(o));
	if (weir_str_is(weir_jview_text(weir_jview_member(annotations, HASH)),
			hash)) {
		return 0;
	}
	weir_buf_addz(out, "{\"metadata\":{");
	if (version.n) {
		weir_buf_printf(out, "\"resourceVersion\":%.*s,",
				WEIR_STR_ARG(version));
	}
	if (finalizers.n) {
		weir_buf_printf(out, "\"finalizers\":%.*s,",
				WEIR_STR_ARG(finalizers));
	}
	weir_buf_add_str(out, weir_buf_str(&o->metadata));
	add_map(out, "labels", &o->labels,
		weir_jview_member(metadata, "labels"), labels);
	weir_buf_addz(out, "}");
	add_annotations(out, o, annotations,
			at < 0 ? WEIR_STR_NULL
			       : weir_str_skip(keys, (size_t)at + 1),
			hash);
	weir_buf_addz(out, "},");
	weir_buf_add_str(out, weir_buf_str(&o->rest));
	if (o->spec.n) {
		add_spec(out, o, weir_jview_member(object, "spec"));
	}
	weir_buf_addz(out, "}");
	return out->error ? out->error : 1;
}
