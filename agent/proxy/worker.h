/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: one thread, one epoll, everything in it its own. */
#ifndef WEIR_PROXY_WORKER_H
#define WEIR_PROXY_WORKER_H

#include <pthread.h>

#include "admission.h"
#include "conn.h"
#include "hold.h"
#include "lines.h"
#include "peers.h"
#include "pipe.h"
#include "proxy.h"
#include "udp.h"

#define WEIR_GROUP_COUNTERS 4096
#define WEIR_SHED_MAX 64     /* more over a client's limit are reset */
#define WEIR_CLIENTS_LAST 8  /* told so when there is no memory for more */
#define WEIR_LISTENERS_MAX 8 /* of one worker */
#define WEIR_CONNECT_TRIES 3 /* endpoints for one request */
#define WEIR_SHORT_MS 5000   /* patience with clients while buffers are short */
#define WEIR_RELIEF_MS 500   /* how often they are looked at then */
#define WEIR_FAILED_SLOTS 256
#define WEIR_FAILED_MS 1000 /* an endpoint that refused is second choice */

struct weir_pool {
	struct weir_pool_ep **buckets;
	uint32_t n_buckets; /* a power of two */
	uint32_t n_eps;
	struct weir_upstream *free;
	struct weir_upstream *extras; /* idle beyond pool_idle_max */
	uint32_t n_extras;
	uint32_t n_busy; /* connections and streams that have a client */
	uint64_t mark;   /* of the plan that was followed last */
};

/* The wall clock, and its text but for the fraction of a second. */
struct weir_access_clock {
	uint64_t offset_us; /* from weir_now_us() to the wall clock */
	uint64_t second;
	char text[32];
};

struct weir_worker {
	const struct weir_proxy_limits *limits;
	struct weir_counters counters;
	uint32_t index;
	uint32_t n_workers;
	int epoll_fd;
	enum weir_io_backend io;
	struct weir_ring *ring; /* NULL: epoll alone */
	int control_fd;         /* eventfd of the control thread, not owned */
	uint64_t now_us;
	uint64_t now_ms;
	struct weir_wheel wheel;
	struct weir_blocks blocks;
	struct weir_pipes pipes;
	uint64_t relief_ms; /* when clients are next asked for buffers */
	struct weir_due trim;
	struct weir_due retry_accept;
	struct weir_plan_use *plan; /* NULL until the first */
	bool looks_ahead;           /* weir_upcoming_fetch() pays with it */
	struct weir_pool pool;
	struct weir_h2_worker *h2; /* what its HTTP/2 connections share */
	bool has_unsent;           /* some of them go on without an event */
	struct weir_udp udp;
	struct weir_end wake;
	struct weir_end timer; /* a timerfd: waiting itself has no time limit */
	uint64_t timer_ms;     /* when it fires; 0: not set */
	uint64_t resume_ms;    /* nothing is due before; 0: what is due is */
	struct weir_end listeners[WEIR_LISTENERS_MAX];
	uint32_t n_listeners;
	bool is_accepting;
	bool is_draining;
	struct weir_admission *admission; /* of all workers */
	uint32_t max_upstreams;           /* its share of max_connections */
	struct weir_peers *peers;         /* of all workers; NULL: no limit */
	uint32_t n_shed;                  /* over it, being answered */
	struct weir_waker *waker;         /* of all workers; NULL: none */
	struct weir_worker *const *all;
	struct weir_holds holds;     /* requests that wait for an endpoint */
	struct weir_client *clients; /* all of them */
	struct weir_client *free_clients;
	struct weir_client *last_clients; /* for when there is no memory */
	uint32_t n_last_clients;
	struct weir_client *queue; /* to be driven again */
	/* With bytes of bodies, or with more to do than a turn allows. */
	struct weir_client *late;
	struct weir_client **late_end;
	struct weir_client *dead; /* freed after the batch */
	struct weir_upstream *dead_upstreams;
	uint64_t drain_at_ms;
	/* Scratch of one request at a time. */
	struct weir_header *fields;
	uint8_t *ids;
	char host[256];
	char date[32]; /* IMF-fixdate */
	uint64_t date_s;
	/* The access log; access NULL: off. */
	struct weir_lines_ring *access;
	struct weir_access *free_access;
	struct weir_access_clock access_clock;
	/* Choices made so far, by rule stat id and by hash of the group. */
	uint32_t *rule_counters;
	uint32_t group_counters[WEIR_GROUP_COUNTERS];
	uint32_t n_draws; /* second choices */
	/* When an endpoint was last found unreachable, by its stat id. */
	uint64_t failed_ms[WEIR_FAILED_SLOTS];
	/* Shared with the control thread. */
	_Atomic(struct weir_plan_ref *) next_plan;
	_Atomic uint64_t generation; /* followed */
	atomic_bool wants_drain;
	atomic_bool has_news; /* for requests that wait */
	atomic_bool has_room; /* for the first ones of them */
	atomic_bool is_done;
	pthread_t thread;
};

/* listeners: TCP4, TCP6 or -1.  admission is to be set before it runs.  0 or
 * -errno. */
int weir_worker_init(struct weir_worker *w,
		     const struct weir_proxy_config *config, uint32_t index,
		     int control_fd);
void weir_worker_fini(struct weir_worker *w);
void *weir_worker_main(void *arg);
/* From any other thread: those that wait are to look again. */
void weir_worker_news(struct weir_worker *w);
/* From any other worker: likewise the first ones, a pod has room. */
void weir_worker_room(struct weir_worker *w);
/* From the control thread. */
void weir_worker_publish(struct weir_worker *w, struct weir_plan_ref *ref);
void weir_worker_wake(struct weir_worker *w);

/* Both directions, once for all; by the ring, if there is one. */
int weir_worker_watch(struct weir_worker *w, struct weir_end *end);
/* It is told of, edge-triggered, and no more: read without weir_end_recv(), or
 * bulk. */
int weir_worker_watch_alone(struct weir_worker *w, struct weir_end *end);
int weir_worker_watch_level(struct weir_worker *w, struct weir_end *end);
void weir_worker_unwatch(struct weir_worker *w, struct weir_end *end);
/* Drives c again before the next wait. */
void weir_worker_queue(struct weir_worker *w, struct weir_client *c);
/* Drives c again when those that were put off before have had their turns, a
 * few of which come between waits. */
void weir_worker_put_off(struct weir_worker *w, struct weir_client *c);
/* Accepts while there is room. */
void weir_worker_accept(struct weir_worker *w, bool is_on);
struct weir_str weir_worker_date(struct weir_worker *w);

static inline struct weir_block *weir_worker_block(struct weir_worker *w)
{
	return weir_block_get(&w->blocks);
}

static inline bool weir_body_is_too_long(const struct weir_worker *w,
					 uint64_t bytes)
{
	uint64_t max = (uint64_t)w->limits->max_body_mib << 20;

	return max && bytes > max;
}

/* Where the choices of a backendRef of rule are counted. */
static inline uint32_t *weir_worker_rule_counter(const struct weir_worker *w,
						 const struct weir_rule *rule)
{
	return &w->rule_counters[rule->stat < w->counters.max_rules ? rule->stat
								    : 0];
}
/* Position for the next choice of a backendRef of rule; with affinity, the one
 * of client. */
uint32_t weir_worker_rule_x(struct weir_worker *w, const struct weir_rule *rule,
			    const struct weir_ip *client);
/* Which of n >= 1 endpoints of a group (its key) is next; with affinity of the
 * rule, the one of client. */
uint32_t
weir_worker_endpoint_x(struct weir_worker *w, const struct weir_rule *rule,
		       const struct weir_ip *client, uint64_t group_key,
		       const struct weir_endpoint *endpoints, uint32_t n);

#endif
