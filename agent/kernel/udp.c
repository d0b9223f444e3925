// SPDX-License-Identifier: Apache-2.0
/*
 * Associations of unconnected datagram sockets end when they are idle: nothing
 * tells of them otherwise, unless their socket is closed first.  Walks weir_udp
 * a bounded step at a time.
 */
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "private.h"

#define IDLE_NS (180ull * 1000000000ull)
#define STEP_MS 1000
#define STEP_ENTRIES 512

/* The clock of bpf_ktime_get_coarse_ns(). */
static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void count_closed(struct weir_kernel *kernel,
			 const struct weir_udp_val *val)
{
	struct weir_refstat *refs = kernel->map_mem[WEIR_MAP_REFSTAT];
	struct weir_epstat *eps = kernel->map_mem[WEIR_MAP_EPSTAT];

	if (weir_rest_wake(kernel) < 0) {
		return;
	}
	if (val->stat && val->stat < kernel->map_size[WEIR_MAP_REFSTAT]) {
		__atomic_fetch_add(&refs[val->stat].closed, 1,
				   __ATOMIC_RELAXED);
	}
	if (val->ep_id && val->ep_id < kernel->map_size[WEIR_MAP_EPSTAT]) {
		__atomic_fetch_add(&eps[val->ep_id].closed, 1,
				   __ATOMIC_RELAXED);
	}
}

/* The entry for answers goes when its association has gone, or chose anew: a
 * late answer may still come meanwhile. */
static void visit(struct weir_kernel *kernel, const struct weir_udp_key *key,
		  uint64_t now)
{
	int fd = kernel->map_fd[WEIR_MAP_UDP];
	struct weir_udp_key other = {.cookie = key->cookie, .dir = !key->dir};
	struct weir_udp_val val, there;

	if (bpf_map_lookup_elem(fd, key, &val) < 0 ||
	    now < val.seen_ns + IDLE_NS) {
		return;
	}
	other.addr = val.addr;
	other.port_be = val.port_be;
	if (key->dir && bpf_map_lookup_elem(fd, &other, &there) == 0 &&
	    memcmp(&there.addr, &key->addr, sizeof(there.addr)) == 0 &&
	    there.port_be == key->port_be) {
		return;
	}
	if (bpf_map_delete_elem(fd, key) < 0 || key->dir) {
		return;
	}
	bpf_map_delete_elem(fd, &other);
	if (val.gid) {
		count_closed(kernel, &val);
	}
}

static void step(struct weir_timer *timer)
{
	struct weir_kernel *kernel = timer->arg;
	int fd = kernel->map_fd[WEIR_MAP_UDP];
	uint64_t now = now_ns();

	for (int i = 0; i < STEP_ENTRIES; i++) {
		struct weir_udp_key next;

		/* A key that is gone leads back to the first one: some are
		 * seen twice, none is missed for long. */
		if (bpf_map_get_next_key(
			    fd,
			    kernel->has_expire_at ? &kernel->expire_at : NULL,
			    &next) < 0) {
			kernel->has_expire_at = false;
			break;
		}
		if (kernel->has_expire_at) {
			visit(kernel, &kernel->expire_at, now);
		}
		kernel->expire_at = next;
		kernel->has_expire_at = true;
	}
	weir_loop_arm(kernel->loop, timer, STEP_MS);
}

void weir_udp_start(struct weir_kernel *kernel)
{
	kernel->expire.fn = step;
	kernel->expire.arg = kernel;
	weir_loop_arm(kernel->loop, &kernel->expire, STEP_MS);
}
