// SPDX-License-Identifier: Apache-2.0
#include "diaglog.h"

#include "addr.h"

#define LINES_MAX 20 /* of one change; the rest are counted */

struct round {
	struct weir_control *control;
	struct weir_map seen;
	size_t n_new;
};

/* Severity and line are left out: a text that moves down is not news. */
static uint64_t hash_of(const struct weir_diag *d)
{
	uint64_t h = weir_str_hash(d->reason, 1);

	h = weir_str_hash(d->source, h);
	h = weir_str_hash(d->kind, h);
	h = weir_str_hash(d->ns, h);
	h = weir_str_hash(d->name, h);
	h = weir_str_hash(d->field, h);
	return weir_str_hash(d->message, h) | 1;
}

static void log_diag(const struct weir_diag *d)
{
	weir_log(d->severity == WEIR_DIAG_INFO ? WEIR_LOG_INFO
					       : WEIR_LOG_WARNING,
		 "%.*s%s%.*s%s%.*s: %.*s: %.*s%s%.*s (%.*s:%u)",
		 WEIR_STR_ARG(d->kind), d->kind.n ? " " : "",
		 WEIR_STR_ARG(d->ns), d->ns.n ? "/" : "", WEIR_STR_ARG(d->name),
		 WEIR_STR_ARG(d->reason), WEIR_STR_ARG(d->field),
		 d->field.n ? ": " : "", WEIR_STR_ARG(d->message),
		 WEIR_STR_ARG(d->source), d->line);
}

static void look(void *arg, const struct weir_diag *d)
{
	struct round *round = arg;
	uint64_t hash = hash_of(d);
	uint64_t ignored;

	weir_map_put(&round->seen, hash, 1);
	if (weir_map_get(&round->control->logged, hash, &ignored)) {
		return;
	}
	if (++round->n_new <= LINES_MAX) {
		log_diag(d);
	}
}

void weir_diaglog_update(struct weir_control *c)
{
	struct round round = {.control = c};

	weir_control_diags(c, look, &round);
	if (round.n_new > LINES_MAX) {
		weir_warn("more diagnostics, weirctl status lists all: n=%zu",
			  round.n_new - LINES_MAX);
	}
	weir_map_fini(&c->logged);
	c->logged = round.seen;
}

void weir_diaglog_conflicts(struct weir_control *c)
{
	uint64_t hash = 1;

	for (size_t i = 0; i < c->n_conflicts; i++) {
		hash = weir_hash64(&c->conflicts[i].addr,
				   sizeof(struct weir_ip), hash);
		hash = weir_hash64(&c->conflicts[i].port_be, 2, hash);
		hash = weir_hash64(&c->conflicts[i].proto, 1, hash);
	}
	if (hash == c->conflicts_hash) {
		return;
	}
	c->conflicts_hash = hash;
	for (size_t i = 0; i < c->n_conflicts && i < LINES_MAX; i++) {
		char text[WEIR_ADDR_TEXT_MAX];

		weir_warn("AddressNotUsable: a socket of this host holds the "
			  "port, it is left alone: address=%s proto=%s",
			  weir_addr_format(&c->conflicts[i].addr,
					   c->conflicts[i].port_be, text),
			  c->conflicts[i].proto == IPPROTO_UDP ? "udp" : "tcp");
	}
	if (c->n_conflicts == 0) {
		weir_info("all addresses are usable");
	}
}
