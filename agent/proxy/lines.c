/* SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "loop.h"

#define BATCH_MS 20 /* lines wait for more */
#define STOP_MS 1000
#define CHUNK (64u << 10)

struct weir_lines {
	pthread_t thread;
	int fd;
	bool is_file;    /* regular: takes any number of bytes at once */
	bool is_failing; /* said once */
	int wake_fd;
	_Atomic int next_fd; /* -1: none */
	atomic_bool is_asleep;
	atomic_bool is_stopping;
	uint64_t stop_at_ms;
	uint64_t *lost;
	uint32_t n_rings;
	struct weir_lines_ring **rings;
	char chunk[CHUNK];
};

static void wake(struct weir_lines *l)
{
	uint64_t one = 1;

	(void)!write(l->wake_fd, &one, sizeof(one));
}

bool weir_lines_put(struct weir_lines_ring *ring, const char *p, size_t n)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t used = head -
			atomic_load_explicit(&ring->tail, memory_order_acquire);
	size_t at = head % WEIR_LINES_RING;
	size_t first = WEIR_LINES_RING - at;

	if (n > WEIR_LINES_RING - used) {
		return false;
	}
	first = n < first ? n : first;
	memcpy(ring->data + at, p, first);
	memcpy(ring->data, p + first, n - first);
	/* Before is_asleep is read: either the thread sees the line when it
	 * looks once more, or this worker sees that it sleeps. */
	atomic_store_explicit(&ring->head, head + n, memory_order_seq_cst);
	if ((used + n > WEIR_LINES_RING / 2 ||
	     atomic_load_explicit(&ring->lines->is_asleep,
				  memory_order_seq_cst)) &&
	    !atomic_exchange_explicit(&ring->is_kicked, true,
				      memory_order_acq_rel)) {
		wake(ring->lines);
	}
	return true;
}

/* -------------------------------------------------------------- the thread */

static bool gave_up(const struct weir_lines *l)
{
	return atomic_load(&l->is_stopping) && weir_now_ms() >= l->stop_at_ms;
}

static void lose(struct weir_lines *l, const char *p, size_t n)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < n; i++) {
		lines += p[i] == '\n';
	}
	__atomic_fetch_add(l->lost, lines, __ATOMIC_RELAXED);
}

static void look_at(struct weir_lines *l, int fd)
{
	struct stat st;

	weir_close(&l->fd);
	l->fd = fd;
	l->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	l->is_failing = false;
}

static void follow_reopen(struct weir_lines *l)
{
	int fd = atomic_exchange(&l->next_fd, -1);

	if (fd >= 0) {
		look_at(l, fd);
	}
}

/* Bytes of p[0..n) up to the last newline within max. */
static size_t whole_lines(const char *p, size_t n, size_t max)
{
	n = n < max ? n : max;
	while (n && p[n - 1] != '\n') {
		n--;
	}
	return n;
}

/* True when the file may take some; false: never mind these. */
static bool can_write(struct weir_lines *l)
{
	while (!gave_up(l)) {
		struct pollfd p = {.fd = l->fd, .events = POLLOUT};

		/* A reader that is slow must not hold up a reopen. */
		if (poll(&p, 1, 100) > 0) {
			return true;
		}
		follow_reopen(l);
	}
	return false;
}

static void write_all(struct weir_lines *l, const char *p, size_t n)
{
	while (n) {
		size_t part = l->is_file ? n : whole_lines(p, n, WEIR_LINE_MAX);
		ssize_t r;

		/* The rest of a line that went in part. */
		part = part ? part : n;
		if (!can_write(l)) {
			lose(l, p, n);
			return;
		}
		r = write(l->fd, p, part);
		if (r < 0 && (errno == EINTR || errno == EAGAIN)) {
			continue;
		}
		if (r < 0) {
			if (!l->is_failing) {
				weir_warn("access log: lines are lost: %s",
					  strerror(errno));
			}
			l->is_failing = true;
			lose(l, p, n);
			return;
		}
		l->is_failing = false;
		p += r;
		n -= (size_t)r;
	}
}

/* True if there was something. */
static bool drain(struct weir_lines *l, struct weir_lines_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t head;
	size_t at = tail % WEIR_LINES_RING;
	size_t first;
	size_t n;

	atomic_store_explicit(&ring->is_kicked, false, memory_order_seq_cst);
	head = atomic_load_explicit(&ring->head, memory_order_seq_cst);
	if (head == tail) {
		return false;
	}
	n = head - tail < CHUNK ? (size_t)(head - tail) : CHUNK;
	first = WEIR_LINES_RING - at;
	first = n < first ? n : first;
	memcpy(l->chunk, ring->data + at, first);
	memcpy(l->chunk + first, ring->data, n - first);
	n = whole_lines(l->chunk, n, n);
	atomic_store_explicit(&ring->tail, tail + n, memory_order_release);
	write_all(l, l->chunk, n);
	return true;
}

static bool drain_all(struct weir_lines *l)
{
	bool had_some = false;

	for (uint32_t i = 0; i < l->n_rings; i++) {
		had_some |= drain(l, l->rings[i]);
	}
	return had_some;
}

static void wait_for_lines(struct weir_lines *l, int timeout_ms)
{
	struct pollfd p = {.fd = l->wake_fd, .events = POLLIN};
	uint64_t n;

	if (poll(&p, 1, timeout_ms) > 0) {
		(void)!read(l->wake_fd, &n, sizeof(n));
	}
}

static void *run(void *arg)
{
	struct weir_lines *l = arg;

	while (!atomic_load(&l->is_stopping)) {
		follow_reopen(l);
		if (drain_all(l)) {
			wait_for_lines(l, BATCH_MS);
			continue;
		}
		atomic_store_explicit(&l->is_asleep, true,
				      memory_order_seq_cst);
		if (!drain_all(l)) {
			wait_for_lines(l, -1);
		}
		atomic_store_explicit(&l->is_asleep, false,
				      memory_order_seq_cst);
		/* The first line of many. */
		if (!atomic_load(&l->is_stopping)) {
			wait_for_lines(l, BATCH_MS);
		}
	}
	while (drain_all(l)) {
	}
	return NULL;
}

/* ------------------------------------------------------- the other threads */

static void dispose(struct weir_lines *l)
{
	int fd = atomic_exchange(&l->next_fd, -1);

	for (uint32_t i = 0; l->rings && i < l->n_rings; i++) {
		weir_free_ptr(&l->rings[i]);
	}
	weir_free_ptr(&l->rings);
	weir_close(&fd);
	weir_close(&l->fd);
	weir_close(&l->wake_fd);
	weir_free_ptr(&l);
}

static int add_rings(struct weir_lines *l, uint32_t n)
{
	l->rings = calloc(n, sizeof(struct weir_lines_ring *));
	if (!l->rings) {
		return -ENOMEM;
	}
	l->n_rings = n;
	for (uint32_t i = 0; i < n; i++) {
		l->rings[i] = aligned_alloc(64, sizeof(*l->rings[i]));
		if (!l->rings[i]) {
			return -ENOMEM;
		}
		/* Not data: its pages come when there are lines. */
		memset(l->rings[i], 0, offsetof(struct weir_lines_ring, data));
		l->rings[i]->lines = l;
	}
	return 0;
}

int weir_lines_new(int *fd, uint32_t n_rings, uint64_t *lost,
		   struct weir_lines **ret_lines)
{
	struct weir_lines *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		return -ENOMEM;
	}
	l->fd = -1;
	atomic_init(&l->next_fd, -1);
	l->lost = lost;
	look_at(l, TAKE_FD(*fd));
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = l->wake_fd < 0 ? -errno : add_rings(l, n_rings);
	if (r == 0) {
		r = -pthread_create(&l->thread, NULL, run, l);
	}
	if (r < 0) {
		dispose(l);
		return r;
	}
	*ret_lines = l;
	return 0;
}

void weir_lines_free(struct weir_lines **lines)
{
	struct weir_lines *l = TAKE_PTR(*lines);

	if (!l) {
		return;
	}
	l->stop_at_ms = weir_now_ms() + STOP_MS;
	atomic_store(&l->is_stopping, true);
	wake(l);
	pthread_join(l->thread, NULL);
	dispose(l);
}

struct weir_lines_ring *weir_lines_ring(struct weir_lines *lines,
					uint32_t index)
{
	return lines->rings[index];
}

void weir_lines_reopen(struct weir_lines *lines, int *fd)
{
	int old = atomic_exchange(&lines->next_fd, TAKE_FD(*fd));

	weir_close(&old);
	wake(lines);
}
