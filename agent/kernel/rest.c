// SPDX-License-Identifier: Apache-2.0
/*
 * The tables that are written with plain stores are mapped while they are used
 * and for a while after.  Mapped pages of a BPF array are there at once, used
 * or not, and there is no fault that would bring one back: so the addresses
 * stay reserved, and whoever uses a table wakes it first.
 */
#include <errno.h>
#include <sys/mman.h>

#include "log.h"
#include "private.h"

#define REST_MS 3000

static const enum weir_map_index tables[] = {
	WEIR_MAP_SVC,   WEIR_MAP_ROW,     WEIR_MAP_SET,    WEIR_MAP_EP,
	WEIR_MAP_EPGEN, WEIR_MAP_REFSTAT, WEIR_MAP_EPSTAT,
};

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static int reserve(const struct weir_kernel *kernel, enum weir_map_index i)
{
	void *mem = mmap(
		kernel->map_mem[i], kernel->map_bytes[i], PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	return mem == MAP_FAILED ? -errno : 0;
}

static void rest(struct weir_timer *timer)
{
	struct weir_kernel *kernel = timer->arg;
	uint64_t since = weir_now_ms() - kernel->used_ms;

	if (since < REST_MS) {
		weir_loop_arm(kernel->loop, timer, REST_MS - since);
		return;
	}
	for (size_t i = 0; i < N_TABLES; i++) {
		if (kernel->map_mem[tables[i]]) {
			reserve(kernel, tables[i]);
		}
	}
	kernel->is_resting = true;
}

int weir_rest_wake(struct weir_kernel *kernel)
{
	kernel->used_ms = weir_now_ms();
	if (!kernel->is_resting) {
		return 0;
	}
	for (size_t i = 0; i < N_TABLES; i++) {
		enum weir_map_index map = tables[i];
		int r;

		if (!kernel->map_mem[map] ||
		    mmap(kernel->map_mem[map], kernel->map_bytes[map],
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 kernel->map_fd[map], 0) != MAP_FAILED) {
			continue;
		}
		r = -errno;
		weir_error("tables cannot be mapped error=\"%s\"",
			   strerror(-r));
		reserve(kernel, map);
		return r;
	}
	kernel->is_resting = false;
	weir_loop_arm(kernel->loop, &kernel->rest, REST_MS);
	return 0;
}

void weir_rest_start(struct weir_kernel *kernel)
{
	kernel->used_ms = weir_now_ms();
	kernel->rest = (struct weir_timer){.fn = rest, .arg = kernel};
	weir_loop_arm(kernel->loop, &kernel->rest, REST_MS);
}
