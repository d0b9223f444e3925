/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What weir-load counts: answers per backend, errors by kind, latencies, and
 * all of it per phase, so that an edit in mid-run can be judged.
 */
#ifndef WEIR_HARNESS_LOAD_STATS_H
#define WEIR_HARNESS_LOAD_STATS_H

#include "buf.h"

#define LOAD_NAME_MAX 64
#define LOAD_BACKENDS_MAX 256
#define LOAD_PHASES_MAX 16
#define LOAD_STATUS_MAX 600

#define LOAD_ERRORS(X)                                                         \
	X(REFUSED, "refused")                                                  \
	X(RESET, "reset")                                                      \
	X(UNREACHABLE, "unreachable")                                          \
	X(CONNECT_TIMEOUT, "connect_timeout")                                  \
	X(TIMEOUT, "timeout")       /* connected, no complete answer */        \
	X(CLOSED, "closed")         /* orderly, before the answer's end */     \
	X(STALE, "stale")           /* same, on a reused connection */         \
	X(STATUS, "status")         /* complete answer, other status */        \
	X(MALFORMED, "malformed")   /* not HTTP, or a wrong body */            \
	X(MISMATCH, "mismatch")     /* the echo is not what was sent */        \
	X(WRONG_PEER, "wrong_peer") /* the kernel names another address */     \
	X(LOCAL, "local")           /* our own ports or descriptors ran out */

enum load_error {
#define LOAD_ERROR_ENUM(name, text) LOAD_##name,
	LOAD_ERRORS(LOAD_ERROR_ENUM)
#undef LOAD_ERROR_ENUM
		_LOAD_ERROR_MAX
};

/* Log-linear: 32 steps an octave, so a quantile is right to 3 %. */
#define LOAD_HIST_STEPS 32u
#define LOAD_HIST_BUCKETS 1024u /* 32 octaves: an hour and more */

struct load_hist {
	uint64_t n;
	uint64_t sum_us;
	uint64_t max_us;
	uint32_t count[LOAD_HIST_BUCKETS];
};

struct load_backend {
	char name[LOAD_NAME_MAX];
	uint64_t n;
	uint64_t first_us; /* start of its first request, since the epoch */
	uint64_t last_us;
};

struct load_phase {
	uint64_t begin_us; /* since the epoch */
	uint64_t started;
	uint64_t completed;
	uint64_t failed;
	unsigned int n_backends;
	struct load_backend backends[LOAD_BACKENDS_MAX];
};

struct load_stats {
	uint64_t begin_us;
	uint64_t end_us; /* 0: still running */
	uint64_t connections;
	uint64_t in_flight;
	uint64_t behind; /* requests that the rate wanted and nobody was free
			    for */
	uint64_t rx_bytes;
	uint64_t errors[_LOAD_ERROR_MAX];
	uint64_t statuses[LOAD_STATUS_MAX];
	struct load_hist latency;
	struct load_hist connect;
	unsigned int n_phases;
	struct load_phase phases[LOAD_PHASES_MAX];
};

/* Microseconds since the epoch. */
uint64_t load_epoch_us(void);
void load_hist_add(struct load_hist *h, uint64_t us);
/* q in 0..1; the upper edge of the bucket, in microseconds. */
uint64_t load_hist_quantile(const struct load_hist *h, double q);
void load_stats_init(struct load_stats *s);
/* Requests that start from now on count there; -ENOSPC keeps the last. */
int load_stats_next_phase(struct load_stats *s);
/* begin_us: start since the epoch; phase: the one it started in. */
void load_stats_ok(struct load_stats *s, unsigned int phase, uint64_t begin_us,
		   uint64_t latency_us, struct weir_str name);
void load_stats_fail(struct load_stats *s, unsigned int phase,
		     enum load_error error);
uint64_t load_stats_completed(const struct load_stats *s);
uint64_t load_stats_failed(const struct load_stats *s);
const char *load_error_name(enum load_error error);
/* One JSON object in one line, without its newline. */
void load_stats_json(const struct load_stats *s, const char *label,
		     struct weir_buf *b);
/* One line for eyes. */
void load_stats_line(const struct load_stats *s, struct weir_buf *b);

#endif
