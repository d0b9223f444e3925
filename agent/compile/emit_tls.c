/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, authorities and TLS to backends: what the rules block may know
 * of them, and the secrets block itself. */
#include "emit.h"

#include "secrets.h"
#include "writer.h"

struct weir_span weir_ir_emit_certs(struct ir *c, const struct ir_certs *list,
				    struct weir_writer *w)
{
	struct weir_plan_cert *v = weir_ir_alloc(c, list->n, sizeof(*v));

	for (const struct ir_cert *x = list->first; v && x; x = x->next) {
		v[x->index] = (struct weir_plan_cert){.hash = x->hash,
						      .object = x->object_id};
	}
	return weir_writer_add(w, v, list->n, sizeof(*v));
}

static struct weir_span emit_sans(struct ir *c,
				  const struct weir_backend_tls_spec *spec,
				  struct weir_writer *w)
{
	struct weir_san *v = weir_ir_alloc(c, spec->n_sans, sizeof(*v));

	for (size_t i = 0; v && i < spec->n_sans; i++) {
		v[i].value = weir_writer_text(w, spec->sans[i].value);
		v[i].type = spec->sans[i].type == WEIR_MSAN_URI
				    ? WEIR_SAN_URI
				    : WEIR_SAN_HOSTNAME;
	}
	return weir_writer_add(w, v, spec->n_sans, sizeof(*v));
}

struct weir_span weir_ir_emit_backend_tls(struct ir *c, struct weir_writer *w)
{
	struct weir_backend_tls *v = weir_ir_alloc(c, c->n_backend_tls,
						   sizeof(*v));

	for (size_t i = 0; v && i < c->n_policies; i++) {
		const struct ir_policy *p = &c->policies[i];
		const struct weir_backend_tls_spec *spec =
			p->object->backend_tls;

		if (p->place == 0) {
			continue;
		}
		v[p->place - 1] = (struct weir_backend_tls){
			.hostname = weir_writer_text(w, spec->hostname),
			.sans = emit_sans(c, spec, w),
			.cas = weir_writer_add(w, p->cas, p->n_cas,
					       sizeof(*p->cas)),
			.object = p->object_id};
	}
	return weir_writer_add(w, v, c->n_backend_tls, sizeof(*v));
}

static struct weir_span emit_pairs(struct ir *c, struct weir_writer *w)
{
	struct weir_cert *v = weir_ir_alloc(c, c->certs.n, sizeof(*v));

	for (const struct ir_cert *x = c->certs.first; v && x; x = x->next) {
		const struct weir_secret_spec *s = x->object->secret;

		v[x->index] = (struct weir_cert){
			.hash = x->hash,
			.chain = weir_writer_text(w, s->chain),
			.key = weir_writer_text(w, s->key)};
	}
	return weir_writer_add(w, v, c->certs.n, sizeof(*v));
}

static struct weir_span emit_bundles(struct ir *c, struct weir_writer *w)
{
	struct weir_ca *v = weir_ir_alloc(c, c->cas.n, sizeof(*v));

	for (const struct ir_cert *x = c->cas.first; v && x; x = x->next) {
		v[x->index] = (struct weir_ca){
			.hash = x->hash,
			.bundle = weir_writer_text(w, x->object->config->ca)};
	}
	return weir_writer_add(w, v, c->cas.n, sizeof(*v));
}

int weir_ir_emit_secrets(struct ir *c, struct weir_compiled *out)
{
	struct weir_writer w;
	struct weir_span certs;
	struct weir_span cas;
	void *block;
	int r;

	weir_writer_init(&w, sizeof(struct weir_secrets));
	certs = emit_pairs(c, &w);
	cas = emit_bundles(c, &w);
	if (c->error) {
		weir_writer_fini(&w);
		return c->error;
	}
	r = weir_writer_finish(&w, WEIR_SECRETS_MAGIC, &block,
			       &out->secrets_size);
	if (r < 0) {
		return r;
	}
	out->secrets = block;
	out->secrets->certs = certs;
	out->secrets->cas = cas;
	return 0;
}
