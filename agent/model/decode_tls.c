/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret, ConfigMap, BackendTLSPolicy: what TLS needs.  Of the contents of a
 * Secret nothing is ever said but that it is of no use.
 */
#include <errno.h>

#include "base64.h"
#include "cleanup.h"
#include "decode.h"
#include "pem.h"

#define PEM_MAX (1u << 20) /* the API server's own limit of an object */

/* ------------------------------------------------------------------ Secret */

const struct weir_field weir_fields_secret[] = {
	WEIR_FIELD("type", STR),
	WEIR_FIELD("data", ANY),
	WEIR_FIELD("stringData", ANY),
	WEIR_FIELD("immutable", BOOL),
	WEIR_FIELD_END,
};

/* The text behind key: of stringData (which wins, as in the API server), or
 * decoded from data.  False: it is there and no base64. */
static bool read_secret(struct weir_decode *d, const struct weir_node *root,
			const char *key, struct weir_buf *out)
{
	const struct weir_node *node = weir_node_get(
		weir_node_get(root, "stringData"), key);
	int r = 0;

	if (node) {
		weir_buf_add_str(out, node->text);
	} else {
		node = weir_node_get(weir_node_get(root, "data"), key);
		r = node ? weir_base64_decode(node->text, out) : 0;
	}
	if (r == -ENOMEM || out->error) {
		d->error = -ENOMEM;
	}
	return r == 0 && out->n <= PEM_MAX;
}

static void wipe(struct weir_buf *b)
{
	if (b->p) {
		explicit_bzero(b->p, b->n);
	}
	weir_buf_fini(b);
}

static struct weir_str keep(struct weir_decode *d, const struct weir_buf *b)
{
	struct weir_str copy = weir_arena_dup(d->arena, weir_buf_str(b));

	if (!copy.p) {
		d->error = -ENOMEM;
	}
	return copy;
}

void weir_decode_secret(struct weir_decode *d, const struct weir_node *root)
{
	struct weir_secret_spec *spec = weir_decode_new(d, sizeof(*spec));
	_cleanup_(wipe) struct weir_buf chain = {0};
	_cleanup_(wipe) struct weir_buf key = {0};

	if (!spec) {
		return;
	}
	d->object->secret = spec;
	if (!read_secret(d, root, "tls.crt", &chain)) {
		spec->fault = "tls.crt is not base64, or too large";
	} else if (!read_secret(d, root, "tls.key", &key)) {
		spec->fault = "tls.key is not base64, or too large";
	} else {
		spec->fault = weir_pem_check_pair(weir_buf_str(&chain),
						  weir_buf_str(&key));
	}
	if (!spec->fault) {
		spec->chain = keep(d, &chain);
		spec->key = keep(d, &key);
	}
}

/* --------------------------------------------------------------- ConfigMap */

const struct weir_field weir_fields_config_map[] = {
	WEIR_FIELD("data", ANY),
	WEIR_FIELD("binaryData", ANY),
	WEIR_FIELD("immutable", BOOL),
	WEIR_FIELD_END,
};

/* Who names it decides what is wrong with it. */
void weir_decode_config_map(struct weir_decode *d, const struct weir_node *root)
{
	struct weir_config_spec *spec = weir_decode_new(d, sizeof(*spec));
	const struct weir_node *data = weir_node_get(root, "data");
	const struct weir_node *addresses = weir_node_get(data, "addresses");

	if (!spec) {
		return;
	}
	d->object->config = spec;
	spec->has_addresses = addresses != NULL;
	spec->addresses = weir_decode_str(d, data, "addresses", "");
	spec->service = weir_decode_str(d, data, "service", "");
	if (weir_node_get(data, "ca.crt")) {
		spec->ca = weir_decode_str(d, data, "ca.crt", "");
	}
	spec->ca_fault = weir_pem_check_bundle(spec->ca);
	if (spec->ca_fault) {
		spec->ca = WEIR_STR("");
	}
}

/* -------------------------------------------------------- BackendTLSPolicy */

static const struct weir_field target_fields[] = {
	WEIR_FIELD("group", STR, .format = &weir_format_group),
	WEIR_FIELD("kind", STR, .is_required = true,
		   .format = &weir_format_kind),
	WEIR_FIELD("name", STR, .is_required = true,
		   .format = &weir_format_subdomain),
	WEIR_FIELD("sectionName", STR, .format = &weir_format_subdomain),
	WEIR_FIELD_END,
};

static const struct weir_field san_fields[] = {
	WEIR_FIELD("type", STR, .is_required = true, .one_of = "Hostname|URI"),
	WEIR_FIELD("hostname", STR, .format = &weir_format_hostname),
	WEIR_FIELD("uri", STR),
	WEIR_FIELD_END,
};

static const struct weir_field validation_fields[] = {
	WEIR_FIELD("caCertificateRefs", LIST, .max = 8,
		   .sub = weir_fields_object_ref),
	WEIR_FIELD("wellKnownCACertificates", STR),
	WEIR_FIELD("hostname", STR, .is_required = true,
		   .format = &weir_format_precise_hostname),
	WEIR_FIELD("subjectAltNames", LIST, .max = 5, .sub = san_fields),
	WEIR_FIELD_END,
};

static const struct weir_field policy_spec_fields[] = {
	WEIR_FIELD("targetRefs", LIST, .is_required = true, .is_nonempty = true,
		   .max = 16, .sub = target_fields),
	WEIR_FIELD("validation", OBJECT, .is_required = true,
		   .sub = validation_fields),
	WEIR_FIELD("options", MAP, .max = 16),
	WEIR_FIELD_END,
};

const struct weir_field weir_fields_backend_tls[] = {
	WEIR_FIELD("spec", OBJECT, .is_required = true,
		   .sub = policy_spec_fields),
	WEIR_FIELD("status", ANY),
	WEIR_FIELD_END,
};

static void decode_sans(struct weir_decode *d, const struct weir_node *list,
			struct weir_backend_tls_spec *spec)
{
	struct weir_subject_alt_name *v = weir_decode_array(d, list, sizeof(*v),
							    &spec->n_sans);

	spec->sans = v;
	for (const struct weir_node *c = v ? list->child : NULL; c;
	     c = c->next, v++) {
		bool is_uri = weir_str_is(weir_node_get(c, "type")->text,
					  "URI");
		const char *key = is_uri ? "uri" : "hostname";

		v->type = is_uri ? WEIR_MSAN_URI : WEIR_MSAN_HOSTNAME;
		v->value = weir_decode_str(d, c, key, "");
		if (v->value.n == 0) {
			weir_decode_bad(d, c, key, "MissingField",
					"missing, expected with type %s",
					is_uri ? "URI" : "Hostname");
		}
	}
}

void weir_decode_backend_tls(struct weir_decode *d,
			     const struct weir_node *root)
{
	const struct weir_node *node = weir_node_get(root, "spec");
	const struct weir_node *targets = weir_node_get(node, "targetRefs");
	const struct weir_node *validation = weir_node_get(node, "validation");
	struct weir_backend_tls_spec *spec = weir_decode_new(d, sizeof(*spec));
	struct weir_policy_target *t;

	if (!spec) {
		return;
	}
	d->object->backend_tls = spec;
	t = weir_decode_array(d, targets, sizeof(*t), &spec->n_targets);
	spec->targets = t;
	for (const struct weir_node *c = t ? targets->child : NULL; c;
	     c = c->next, t++) {
		t->group = weir_decode_str(d, c, "group", "");
		t->kind = weir_decode_str(d, c, "kind", "");
		t->name = weir_decode_str(d, c, "name", "");
		t->section = weir_decode_str(d, c, "sectionName", "");
	}
	spec->cas = weir_decode_object_refs(
		d, weir_node_get(validation, "caCertificateRefs"), "", "");
	spec->well_known = weir_decode_str(d, validation,
					   "wellKnownCACertificates", "");
	spec->hostname = weir_decode_str(d, validation, "hostname", "");
	decode_sans(d, weir_node_get(validation, "subjectAltNames"), spec);
	if ((spec->cas.n != 0) == (spec->well_known.n != 0)) {
		weir_decode_bad(d, validation, "caCertificateRefs",
				"InvalidValue",
				"expected either caCertificateRefs or "
				"wellKnownCACertificates");
	}
}
