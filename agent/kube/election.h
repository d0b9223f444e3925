/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of lease.h, without requests and without a clock: times are given.
 */
#ifndef WEIR_KUBE_ELECTION_H
#define WEIR_KUBE_ELECTION_H

#include "buf.h"
#include "lease.h"
#include "object.h"

#define WEIR_LEASE_NAME_MAX 254

/* A Lease as it was read. */
struct weir_lease {
	char name[WEIR_LEASE_NAME_MAX];
	char holder[WEIR_LEASE_NAME_MAX]; /* "": nobody */
	uint32_t duration_ms;
	uint64_t transitions;
	uint64_t version; /* resourceVersion */
	/* Of what a holder changes when it renews: another value is news. */
	uint64_t record;
	uint64_t applied[_WEIR_KIND_MAX];
	char acquired[40];   /* as written */
	uint64_t renewed_us; /* by its holder's clock; 0: not said */
	char held[WEIR_LEASE_HELD_MAX];
	char ips[WEIR_LEASE_IPS_MAX];
	char starts[WEIR_LEASE_STARTS_MAX];
	bool may_announce;
};

/* 0, or -EBADMSG. */
int weir_lease_read(struct weir_str json, struct weir_lease *ret_lease);

struct weir_lease_text {
	const char *name;
	const char *ns;
	const char *holder;
	const char *role;     /* label weir.dev/lease: "agent", "writer" */
	uint64_t version;     /* 0: not said */
	uint32_t duration_ms; /* rounded up to seconds */
	uint64_t transitions;
	const char *acquired;    /* NULL: now */
	uint64_t now_us;         /* of the wall clock */
	const uint64_t *applied; /* of all kinds; NULL: not said */
	const char *held;        /* shorter than WEIR_LEASE_HELD_MAX; NULL */
	const char *ips;         /* likewise, WEIR_LEASE_IPS_MAX */
	const char *starts;      /* likewise, WEIR_LEASE_STARTS_MAX */
	bool is_mute;            /* takes no part in announcing addresses */
};

/* The Lease as JSON: to create, to replace, or to merge. */
void weir_lease_write(const struct weir_lease_text *text, struct weir_buf *out);

/* When a Lease lapses: its record did not change for its duration by our clock,
 * whatever the times in it say. */
struct weir_lease_watch {
	uint64_t record;
	uint64_t seen_ms; /* when it changed last; 0: never seen */
	uint32_t duration_ms;
};

/* True if the record is news. */
bool weir_lease_observe(struct weir_lease_watch *w,
			const struct weir_lease *lease, uint64_t now_ms);
bool weir_lease_is_live(const struct weir_lease_watch *w, uint64_t now_ms);
/* Was it, by the clocks of both, not renewed for that long?  Clocks of nodes
 * differ by seconds: to be asked about minutes only. */
bool weir_lease_is_older(uint64_t renewed_us, uint64_t by_ms, uint64_t wall_us);

/* One candidate of an election. */
struct weir_election {
	const char *identity;
	uint32_t duration_ms;
	struct weir_lease lease; /* as last seen */
	struct weir_lease_watch watch;
	bool exists;
	bool is_holder;      /* our last write succeeded, nobody's came after */
	uint64_t renewed_ms; /* when that write was begun */
};

enum weir_election_step {
	WEIR_ELECTION_WAIT,
	WEIR_ELECTION_CREATE,
	WEIR_ELECTION_RENEW, /* we hold it, and its third is over */
	WEIR_ELECTION_TAKE,  /* nobody does, or it has lapsed */
};

/* lease NULL: there is none. */
void weir_election_observe(struct weir_election *e,
			   const struct weir_lease *lease, uint64_t now_ms);
enum weir_election_step weir_election_next(const struct weir_election *e,
					   uint64_t now_ms);
/* Our write was begun at begun_ms and has succeeded; lease: the answer. */
void weir_election_won(struct weir_election *e, const struct weir_lease *lease,
		       uint64_t begun_ms, uint64_t now_ms);
/* May write until two thirds of the duration after the last renewal was begun:
 * ends before anybody else may begin. */
bool weir_election_is_writer(const struct weir_election *e, uint64_t now_ms);

/* "HTTPRoute.gateway.networking.k8s.io=17,Service=12": what is 0 is left out.
 */
void weir_applied_write(const uint64_t applied[static _WEIR_KIND_MAX],
			struct weir_buf *out);
/* What is not understood is 0. */
void weir_applied_read(struct weir_str text,
		       uint64_t ret_applied[static _WEIR_KIND_MAX]);

#endif
