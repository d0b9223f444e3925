/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a source (source.h), for its own files: one reflector for each
 * kind, which lists and then watches (reflect.c); what versions of the kinds
 * the server has (discover.c); single objects that are named later (lookup.c).
 */
#ifndef WEIR_KUBE_REFLECT_H
#define WEIR_KUBE_REFLECT_H

#include "held.h"
#include "kinds.h"
#include "scan.h"
#include "source.h"

#define WEIR_KUBE_PAGE 500
#define WEIR_KUBE_LOOKUPS 16 /* at a time */

struct weir_reflector {
	struct weir_kube_source *source;
	enum weir_kind kind;
	enum weir_kube_state state;
	char api_version[64];    /* "" while it is not known */
	struct weir_str version; /* of it, behind the slash */
	uint32_t found; /* by discovery: a bit for each version of the rule */
	struct weir_kube_request *request;
	struct weir_scan scan;
	struct weir_timer retry;
	struct weir_buf next_page; /* continue token */
	uint64_t seen;             /* highest resourceVersion */
	uint64_t begun_ms;         /* the request */
	uint64_t listed_ms;        /* the end of the last list */
	uint32_t failures;         /* in a row */
	uint32_t absences;         /* discoveries in a row without it */
	bool is_known;             /* the server had it once */
	bool is_settled; /* listed to its end once, or known to be absent */
	bool is_named;   /* by-name kinds: something names one */
	bool needs_list;
	bool is_in_list; /* a list was begun and not ended */
	bool has_begun;  /* the request: its answer is good */
	int watch_error; /* of an ERROR event: its code */
	uint64_t lists;
	uint64_t watches;
	uint64_t events;
	uint64_t expired;
	char message[160];
};

struct weir_lookup {
	struct weir_lookup *next;
	struct weir_kube_source *source;
	enum weir_kind kind;
	char *ns;
	char *name;
	struct weir_kube_request *request;
	struct weir_scan scan;
	struct weir_timer retry;
	uint32_t failures;
	bool is_holding;  /* no plan is compiled before it is answered */
	bool is_promised; /* none is said to be in force before */
	bool has_held;    /* a plan, for as long as one may be */
};

struct weir_discovery {
	const char *group;
	struct weir_str version;
	struct weir_kube_source *source;
	struct weir_kube_request *request;
	struct weir_discovery *next;
};

struct weir_kube_source {
	struct weir_kube_source_options options;
	struct weir_held held;
	struct weir_reflector reflectors[_WEIR_KIND_MAX];
	struct weir_timer change;   /* coalesces what arrives together */
	struct weir_timer unwanted; /* before what nothing names is dropped */
	struct weir_timer discover;
	struct weir_discovery *discoveries; /* in flight */
	uint32_t discover_failures;
	bool discover_failed; /* one of this round */
	bool is_discovered;   /* one round was whole */
	bool is_started;
	bool names_are_known; /* all that may name others was listed */
	bool is_away;
	uint64_t away_ms; /* since */
	struct weir_lookup *lookups;
	uint32_t n_lookups; /* in flight */
	uint32_t n_holding;
	uint32_t n_promised;
	bool is_overdue;        /* the next plan waits for nothing that holds */
	struct weir_timer hold; /* armed while any does: until none does */
	uint64_t random;
	struct weir_arena diag_arena; /* the list that was asked for */
	struct weir_diag *diags;
};

/* source.c */
/* Uniform in [0, below). */
uint32_t weir_source_random(struct weir_kube_source *source, uint32_t below);
/* Milliseconds before the n-th attempt in a row: doubled from 250 up to 8 s,
 * and of that a random part of its upper half. */
uint32_t weir_source_backoff(struct weir_kube_source *source, uint32_t n);
void weir_source_changed(struct weir_kube_source *source);
/* The server answered, or did not. */
void weir_source_heard(struct weir_kube_source *source);
void weir_source_lost(struct weir_kube_source *source, const char *message);
/* "?fieldSelector=..." with lead for the question mark; false, and nothing,
 * where all objects of the kind are asked for. */
bool weir_source_add_fields(const struct weir_kube_source *source,
			    enum weir_kind kind, const char *lead,
			    struct weir_buf *path);
/* A reflector has settled: others may wait for it. */
void weir_source_settled(struct weir_kube_source *source);

/* reflect.c */
void weir_reflect_init(struct weir_reflector *r, struct weir_kube_source *s,
		       enum weir_kind kind);
void weir_reflect_fini(struct weir_reflector *r);
/* Lists and watches version (of api) from now on. */
void weir_reflect_start(struct weir_reflector *r, struct weir_str version);
/* The server has no such kind: what was known of it is gone. */
void weir_reflect_missing(struct weir_reflector *r);
/* The server is back: try soon. */
void weir_reflect_kick(struct weir_reflector *r);

/* discover.c */
/* A kind of Kubernetes itself, which is always there. */
bool weir_discover_is_builtin(enum weir_kind kind);
/* Asks for the versions of all kinds that have none yet. */
void weir_discover_begin(struct weir_kube_source *source);
void weir_discover_later(struct weir_kube_source *source, uint32_t delay_ms);
void weir_discover_fini(struct weir_kube_source *source);

/* lookup.c */
/* Reads this object, or this Service's slices; name "": all of the namespace.
 * is_awaited: no plan is compiled meanwhile. */
void weir_lookup_begin(struct weir_kube_source *source, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name,
		       bool is_awaited);
/* If it is on its way, plans wait for it from now on. */
void weir_lookup_await(struct weir_kube_source *source, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name);
void weir_lookup_on_hold(struct weir_timer *timer);
void weir_lookup_fini(struct weir_kube_source *source);

#endif
