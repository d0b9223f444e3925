/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and certificate authorities that Gateways, ListenerSets and
 * BackendTLSPolicies name.  Each Secret and ConfigMap is in the plan once,
 * however often it is named.
 */
#include "ir.h"

#include "secrets.h"

/* Makes or finds the entry of object in a list of its kind. */
static const struct ir_cert *entry(struct ir *c, struct ir_certs *list,
				   const struct weir_object *object,
				   struct weir_str pem)
{
	uint64_t key = (uintptr_t)object;
	struct ir_cert *cert = weir_ir_get(&list->by_object, key);

	if (cert) {
		return cert;
	}
	cert = weir_ir_alloc(c, 1, sizeof(*cert));
	if (!cert) {
		return NULL;
	}
	cert->object = object;
	cert->object_id = weir_ir_object(c, object);
	cert->hash = weir_secrets_hash(pem);
	cert->index = list->n++;
	if (list->last) {
		list->last->next = cert;
	} else {
		list->first = cert;
	}
	list->last = cert;
	weir_ir_put(c, &list->by_object, key, cert);
	return cert;
}

#define CERT_DIAG(c, q, reason, ...)                                           \
	IR_DIAG((c), WEIR_DIAG_ERROR, (q)->from, (reason), (q)->field,         \
		__VA_ARGS__)

/* What it names is of this kind, and may be named from there. */
static bool may_name(struct ir *c, const struct ir_cert_request *q,
		     const char *kind, const char *is_not)
{
	const struct weir_object_ref *to = q->to;

	if (to->group.n || !weir_str_is(to->kind, kind)) {
		CERT_DIAG(c, q, q->bad_kind,
			  "\"%.*s/%.*s\" %s here; expected a %s",
			  WEIR_STR_ARG(to->group), WEIR_STR_ARG(to->kind),
			  is_not, kind);
		return false;
	}
	if (!weir_ir_is_granted(c, q->from, to)) {
		CERT_DIAG(c, q, "RefNotPermitted",
			  "no ReferenceGrant in namespace %.*s lets %ss of "
			  "%.*s name this %s",
			  WEIR_STR_ARG(to->ns), weir_kind_text(q->from->kind),
			  WEIR_STR_ARG(q->from->ns), kind);
		return false;
	}
	return true;
}

static const struct ir_cert *find_secret(struct ir *c,
					 const struct ir_cert_request *q)
{
	const struct weir_object_ref *to = q->to;
	const struct weir_object *o = weir_store_find(
		c->store, WEIR_KIND_SECRET, to->ns, to->name);

	if (!o || !o->secret) {
		CERT_DIAG(c, q, q->bad, "there is no Secret %.*s/%.*s",
			  WEIR_STR_ARG(to->ns), WEIR_STR_ARG(to->name));
		return NULL;
	}
	if (o->secret->fault) {
		CERT_DIAG(c, q, q->bad, "Secret %.*s/%.*s is of no use: %s",
			  WEIR_STR_ARG(to->ns), WEIR_STR_ARG(to->name),
			  o->secret->fault);
		return NULL;
	}
	return entry(c, &c->certs, o, o->secret->chain);
}

const struct ir_cert *weir_ir_cert(struct ir *c,
				   const struct ir_cert_request *q)
{
	return may_name(c, q, "Secret", "is no certificate") ? find_secret(c, q)
							     : NULL;
}

const struct ir_cert *weir_ir_secret(struct ir *c,
				     const struct weir_object *from,
				     struct weir_str ns, struct weir_str name,
				     struct weir_str field)
{
	const struct weir_object_ref to = {
		.kind = WEIR_STR("Secret"), .ns = ns, .name = name};
	const struct ir_cert_request q = {.from = from,
					  .to = &to,
					  .bad = "InvalidCertificateRef",
					  .bad_kind = "InvalidCertificateRef",
					  .field = field};

	return find_secret(c, &q);
}

const struct ir_cert *weir_ir_ca(struct ir *c, const struct ir_cert_request *q)
{
	const struct weir_object_ref *to = q->to;
	const struct weir_object *o;

	if (!may_name(c, q, "ConfigMap", "holds no certificate authorities")) {
		return NULL;
	}
	o = weir_store_find(c->store, WEIR_KIND_CONFIG_MAP, to->ns, to->name);
	if (!o || !o->config) {
		CERT_DIAG(c, q, q->bad, "there is no ConfigMap %.*s/%.*s",
			  WEIR_STR_ARG(to->ns), WEIR_STR_ARG(to->name));
		return NULL;
	}
	if (o->config->ca_fault) {
		CERT_DIAG(c, q, q->bad, "ca.crt of ConfigMap %.*s/%.*s %s",
			  WEIR_STR_ARG(to->ns), WEIR_STR_ARG(to->name),
			  o->config->ca_fault);
		return NULL;
	}
	return entry(c, &c->cas, o, o->config->ca);
}

/* --------------------------------------------------------------- listeners */

static bool add_index(uint32_t *v, uint32_t *n, const struct ir_cert *cert)
{
	for (uint32_t i = 0; i < *n; i++) {
		if (v[i] == cert->index) {
			return false;
		}
	}
	v[(*n)++] = cert->index;
	return true;
}

/* What is wrong with its certificates; those that are good are served. */
static void take_certificates(struct ir *c, const struct weir_object *owner,
			      struct ir_listener *l, size_t number)
{
	const struct weir_object_refs *refs = &l->spec->certificates;
	struct ir_scope before = weir_ir_enter(c, &l->verdict->refs, NULL);
	uint32_t *v = weir_ir_alloc(c, refs->n, sizeof(*v));

	for (size_t i = 0; v && i < refs->n; i++) {
		struct ir_field field;
		const struct ir_cert_request q = {
			.from = owner,
			.to = &refs->v[i],
			.bad = "InvalidCertificateRef",
			.bad_kind = "InvalidCertificateRef",
			.field = weir_ir_field(
				&field,
				"spec.listeners[%zu].tls.certificateRefs[%zu]",
				number, i)};
		const struct ir_cert *cert = weir_ir_cert(c, &q);

		if (cert) {
			add_index(v, &l->n_certs, cert);
		}
	}
	if (refs->n == 0) {
		IR_DIAG(c, WEIR_DIAG_ERROR, owner, "InvalidCertificateRef",
			IR_FIELD("spec.listeners[%zu].tls.certificateRefs",
				 number),
			"missing; expected the Secret of a certificate");
	}
	l->certs = v;
	if (l->n_certs == 0) {
		l->is_closed = true;
		weir_ir_fault(c, &l->verdict->programmed, "Invalid",
			      "no certificate of listener \"%.*s\" can be used",
			      WEIR_STR_ARG(l->name));
	}
	c->scope = before;
}

static const struct weir_frontend_validation *
validation_for(const struct weir_gateway_spec *g, uint16_t port)
{
	for (size_t i = 1; i < g->n_validations; i++) {
		if (g->validations[i].port == port) {
			return &g->validations[i];
		}
	}
	return g->n_validations ? &g->validations[0] : NULL;
}

/* What clients of a port must show (GEP-91).  The listener is closed where none
 * of the authorities can be used: letting everyone in would be worse. */
static void take_validation(struct ir *c, const struct ir_gateway *g,
			    struct ir_listener *l)
{
	const struct weir_gateway_spec *spec = g->object->gateway;
	const struct weir_frontend_validation *validation = validation_for(
		spec, l->port);
	struct ir_scope before;
	uint32_t *v;

	if (!validation || validation->cas.n == 0) {
		return;
	}
	v = weir_ir_alloc(c, validation->cas.n, sizeof(*v));
	before = weir_ir_enter(c, &l->verdict->refs, NULL);
	for (size_t i = 0; v && i < validation->cas.n; i++) {
		struct ir_field field;
		struct ir_cert_request q = {
			.from = g->object,
			.to = &validation->cas.v[i],
			.bad = "InvalidCACertificateRef",
			.bad_kind = "InvalidCACertificateKind"};
		const struct ir_cert *ca;

		q.field =
			validation->port
				? weir_ir_field(
					  &field,
					  "spec.tls.frontend.perPort[%zu].tls."
					  "validation.caCertificateRefs[%zu]",
					  (size_t)(validation -
						   spec->validations) -
						  1,
					  i)
				: weir_ir_field(
					  &field,
					  "spec.tls.frontend.default."
					  "validation.caCertificateRefs[%zu]",
					  i);
		ca = weir_ir_ca(c, &q);
		if (ca) {
			add_index(v, &l->n_client_cas, ca);
		}
	}
	c->scope = before;
	l->client_cas = v;
	if (validation->is_optional) {
		l->flags |= WEIR_LISTENER_CLIENT_OPTIONAL;
		g->verdict->is_insecure = true;
	}
	if (l->n_client_cas == 0) {
		l->is_closed = true;
		weir_ir_fault(c, &l->verdict->accepted, "NoValidCACertificate",
			      "none of the certificate authorities for clients "
			      "of port %u can be used",
			      l->port);
	}
}

/* spec.tls.backend.clientCertificateRef: a condition of the Gateway, and no
 * reason not to serve it. */
void weir_ir_backend_cert(struct ir *c, struct ir_gateway *g)
{
	const struct weir_gateway_spec *spec = g->object->gateway;
	const struct ir_cert_request q = {
		.from = g->object,
		.to = &spec->backend_cert,
		.bad = "InvalidClientCertificateRef",
		.bad_kind = "InvalidClientCertificateRef",
		.field = WEIR_STR("spec.tls.backend.clientCertificateRef")};
	const struct ir_cert *cert;
	struct ir_scope before;

	if (!spec->has_backend_cert) {
		return;
	}
	g->verdict->has_refs = true;
	before = weir_ir_enter(c, &g->verdict->refs, NULL);
	cert = weir_ir_cert(c, &q);
	c->scope = before;
	g->backend_cert = cert ? cert->index + 1 : 0;
}

void weir_ir_listener_tls(struct ir *c, const struct ir_gateway *g,
			  const struct weir_object *owner,
			  struct ir_listener *l, size_t number)
{
	bool is_passthrough = weir_str_is(l->spec->tls_mode, "Passthrough");

	if (l->protocol == IR_PROTOCOL_TLS) {
		l->flags |= WEIR_LISTENER_RAW;
	}
	if (is_passthrough && l->protocol == IR_PROTOCOL_TLS) {
		l->flags |= WEIR_LISTENER_TLS_PASSTHROUGH;
		return;
	}
	l->flags |= WEIR_LISTENER_TLS_TERMINATE;
	if (is_passthrough) {
		struct ir_scope before = weir_ir_enter(c, &l->verdict->accepted,
						       NULL);

		IR_DIAG(c, WEIR_DIAG_ERROR, owner, "UnsupportedValue",
			IR_FIELD("spec.listeners[%zu].tls.mode", number),
			"Passthrough with protocol HTTPS; expected Terminate, "
			"or protocol TLS");
		c->scope = before;
		l->kinds = 0;
		l->verdict->kinds = 0;
		l->is_closed = true;
		return;
	}
	take_certificates(c, owner, l, number);
	take_validation(c, g, l);
}
