// SPDX-License-Identifier: Apache-2.0
/*
 * A port of a Gateway that a socket of some node holds is not taken there
 * (AddressNotUsable); the agent that writes status runs on another one.  So
 * each agent says what it could not take in an annotation of its Lease:
 * "192.0.2.1:80/tcp,[2001:db8::1]:53/udp".  The node's own addresses are said
 * there, too, for the endpoints of Gateways' Services.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "kube.h"

#define HELD_MAX 4096 /* of all nodes; a Lease has room for some twenty */

void weir_kube_held_say(struct weir_kube_feed *f)
{
	const struct weir_control *c = f->control;
	_cleanup_buf_ struct weir_buf text = {0};
	_cleanup_buf_ struct weir_buf ips = {0};

	for (size_t i = 0; i < c->n_node_ips; i++) {
		char addr[WEIR_ADDR_TEXT_MAX];

		weir_buf_printf(&ips, "%s%s", i ? "," : "",
				weir_ip_format(&c->node_ips[i], addr));
	}
	weir_buf_add(&ips, "", 1);
	for (size_t i = 0; i < c->n_conflicts; i++) {
		const struct weir_conflict *x = &c->conflicts[i];
		char addr[WEIR_ADDR_TEXT_MAX];

		/* The first ones are enough to say that something is wrong. */
		if (text.n + sizeof(addr) + 8 > WEIR_LEASE_HELD_MAX) {
			break;
		}
		weir_buf_printf(&text, "%s%s/%s", i ? "," : "",
				weir_addr_format(&x->addr, x->port_be, addr),
				x->proto == IPPROTO_UDP ? "udp" : "tcp");
	}
	weir_buf_add(&text, "", 1);
	if (!text.error && !ips.error) {
		weir_kube_members_say(f->members, text.p, ips.p);
	}
}

static void add(struct weir_kube_feed *f, const struct weir_conflict *x)
{
	if (f->n_held == f->cap_held) {
		size_t cap = f->cap_held ? f->cap_held * 2 : 8;
		void *v = cap > HELD_MAX ? NULL
					 : reallocarray(f->held, cap,
							sizeof(*f->held));

		if (!v) {
			return;
		}
		f->held = v;
		f->cap_held = cap;
	}
	f->held[f->n_held++] = *x;
}

/* What is not understood is nothing. */
static void read_one(struct weir_kube_feed *f, struct weir_str word)
{
	struct weir_str addr = weir_str_word(&word, '/');
	struct weir_conflict x = {0};

	x.proto = weir_str_is(word, "udp") ? IPPROTO_UDP : IPPROTO_TCP;
	if ((weir_str_is(word, "udp") || weir_str_is(word, "tcp")) &&
	    weir_addr_parse(addr, &x.addr, &x.port_be) == 0) {
		add(f, &x);
	}
}

void weir_kube_held_read(struct weir_kube_feed *f)
{
	const struct weir_kube_member *v;
	uint64_t hash = 0;
	size_t n;

	v = weir_kube_members_list(f->members, &n);
	f->n_held = 0;
	for (size_t i = 0; v && i < n; i++) {
		struct weir_str text = weir_str_of(v[i].held);

		if (!v[i].is_live || !text.n ||
		    weir_str_is(v[i].node, f->options->node_name)) {
			continue;
		}
		hash = weir_str_hash(text, hash + 1);
		while (text.n) {
			read_one(f, weir_str_word(&text, ','));
		}
	}
	f->held_hash = hash;
}

/* ------------------------------------------------------------------ status */

static bool is_among(const struct weir_conflict *held, size_t n,
		     const struct weir_gateway_verdict *v,
		     const struct weir_listener_spec *spec)
{
	uint8_t proto = weir_str_is(spec->protocol, "UDP") ? IPPROTO_UDP
							   : IPPROTO_TCP;

	for (size_t i = 0; i < n; i++) {
		const struct weir_conflict *x = &held[i];

		if (x->port_be != htons(spec->port) || x->proto != proto) {
			continue;
		}
		for (uint32_t k = 0; k < v->n_addresses; k++) {
			if (weir_ip_eq(&v->addresses[k], &x->addr)) {
				return true;
			}
		}
	}
	return false;
}

/* By a socket of this node, or of another.  v: who has the addresses. */
static bool is_held(const struct weir_kube_feed *f,
		    const struct weir_gateway_verdict *v,
		    const struct weir_listener_spec *spec)
{
	return is_among(f->control->conflicts, f->control->n_conflicts, v,
			spec) ||
	       is_among(f->held, f->n_held, v, spec);
}

/* Its listeners, and the verdict of the Gateway at whose addresses they are. */
static const struct weir_gateway_verdict *
find_listeners(const struct weir_kube_feed *f, const struct weir_object *o,
	       const struct weir_gateway_verdict *v,
	       const struct weir_listener_spec **ret_listeners, size_t *ret_n)
{
	const struct weir_object_ref *parent;

	if (o->kind == WEIR_KIND_GATEWAY && o->gateway) {
		*ret_listeners = o->gateway->listeners;
		*ret_n = o->gateway->n_listeners;
		return v;
	}
	if (o->kind != WEIR_KIND_LISTENER_SET || !o->listener_set) {
		return NULL;
	}
	*ret_listeners = o->listener_set->listeners;
	*ret_n = o->listener_set->n_listeners;
	parent = &o->listener_set->parent;
	return weir_verdict_gateway(
		&f->control->compiled.verdicts, WEIR_KIND_GATEWAY,
		parent->ns.n ? parent->ns : o->ns, parent->name);
}

/* A port that a socket of a node holds at the Gateway's address is not taken
 * from it; compile cannot know.  Of a ListenerSet the listener says so alone:
 * the address is the Gateway's. */
void weir_kube_held_write(const struct weir_kube_feed *f,
			  const struct weir_object *o,
			  const struct weir_gateway_verdict *found,
			  bool is_programmed, struct weir_buf *out)
{
	static const char port_text[] = "a socket of the node holds this port "
					"at the Gateway's address";
	static const char whole_text[] = "a socket of the node holds a port of "
					 "a listener at the address";
	static const struct weir_fault held = {
		"PortUnavailable", {port_text, sizeof(port_text) - 1}};
	static const struct weir_fault not_usable = {
		"AddressNotUsable", {whole_text, sizeof(whole_text) - 1}};
	const struct weir_gateway_verdict *at = NULL;
	const struct weir_listener_spec *spec = NULL;
	_cleanup_free_ struct weir_listener_verdict *listeners = NULL;
	struct weir_gateway_verdict v = *found;
	size_t n = 0;

	if (f->control->n_conflicts + f->n_held) {
		at = find_listeners(f, o, found, &spec, &n);
	}
	if (!at) {
		weir_status_gateway(&v, is_programmed, out);
		return;
	}
	listeners = calloc(v.n_listeners + 1, sizeof(*listeners));
	if (!listeners) {
		out->error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < v.n_listeners; i++) {
		listeners[i] = v.listeners[i];
		if (i < n && is_held(f, at, &spec[i])) {
			listeners[i].accepted = &held;
			if (o->kind == WEIR_KIND_GATEWAY) {
				v.programmed = &not_usable;
			}
		}
	}
	v.listeners = listeners;
	weir_status_gateway(&v, is_programmed, out);
}

void weir_kube_held_fini(struct weir_kube_feed *f)
{
	weir_free_ptr(&f->held);
}
