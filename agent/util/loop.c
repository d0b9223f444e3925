/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "cleanup.h"

#define EVENTS_MAX 64

struct weir_loop {
	int epoll_fd;
	int result;
	bool is_stopped;
	struct weir_timer *timers;
	struct epoll_event events[EVENTS_MAX];
	int n_events; /* of the batch being dispatched */
};

uint64_t weir_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t weir_now_ms(void)
{
	return weir_now_us() / 1000;
}

int weir_loop_new(struct weir_loop **ret_loop)
{
	struct weir_loop *loop = calloc(1, sizeof(*loop));

	if (!loop) {
		return -ENOMEM;
	}
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void weir_loop_free(struct weir_loop **loop)
{
	if (*loop) {
		weir_close(&(*loop)->epoll_fd);
	}
	weir_free_ptr(loop);
}

static int control(struct weir_loop *loop, int op, struct weir_io *io,
		   uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	return epoll_ctl(loop->epoll_fd, op, io->fd, &ev) < 0 ? -errno : 0;
}

int weir_loop_add(struct weir_loop *loop, struct weir_io *io, uint32_t events)
{
	io->is_dead = false;
	return control(loop, EPOLL_CTL_ADD, io, events);
}

int weir_loop_mod(struct weir_loop *loop, struct weir_io *io, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, io, events);
}

/* An owner may free io right after this: forget it in the current batch. */
void weir_loop_del(struct weir_loop *loop, struct weir_io *io)
{
	control(loop, EPOLL_CTL_DEL, io, 0);
	io->is_dead = true;
	for (int i = 0; i < loop->n_events; i++) {
		if (loop->events[i].data.ptr == io) {
			loop->events[i].data.ptr = NULL;
		}
	}
}

void weir_loop_disarm(struct weir_loop *loop, struct weir_timer *timer)
{
	for (struct weir_timer **p = &loop->timers; *p; p = &(*p)->next) {
		if (*p == timer) {
			*p = timer->next;
			break;
		}
	}
	timer->next = NULL;
	timer->due_ms = 0;
}

void weir_loop_arm(struct weir_loop *loop, struct weir_timer *timer,
		   uint64_t delay_ms)
{
	struct weir_timer **p = &loop->timers;

	weir_loop_disarm(loop, timer);
	timer->due_ms = weir_now_ms() + delay_ms;
	while (*p && (*p)->due_ms <= timer->due_ms) {
		p = &(*p)->next;
	}
	timer->next = *p;
	*p = timer;
}

static void fire(struct weir_loop *loop)
{
	uint64_t now = weir_now_ms();

	while (loop->timers && loop->timers->due_ms <= now &&
	       !loop->is_stopped) {
		struct weir_timer *t = loop->timers;

		weir_loop_disarm(loop, t);
		t->fn(t);
	}
}

static int wait_ms(const struct weir_loop *loop)
{
	uint64_t now = weir_now_ms();
	uint64_t left;

	if (!loop->timers) {
		return -1;
	}
	if (loop->timers->due_ms <= now) {
		return 0;
	}
	left = loop->timers->due_ms - now;
	return left > 60000 ? 60000 : (int)left;
}

int weir_loop_run(struct weir_loop *loop)
{
	while (!loop->is_stopped) {
		int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX,
				   wait_ms(loop));

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		loop->n_events = n < 0 ? 0 : n;
		for (int i = 0; i < loop->n_events && !loop->is_stopped; i++) {
			struct weir_io *io = loop->events[i].data.ptr;

			if (io) {
				io->fn(io, loop->events[i].events);
			}
		}
		loop->n_events = 0;
		fire(loop);
	}
	return loop->result;
}

void weir_loop_stop(struct weir_loop *loop, int result)
{
	loop->is_stopped = true;
	loop->result = result;
}
