/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's event loop: descriptors and timers, one thread, level-triggered
 * epoll.  (Proxy workers have a loop of their own: another cost model.)
 * Sources are embedded in their owners; the loop allocates nothing per event.
 */
#ifndef WEIR_UTIL_LOOP_H
#define WEIR_UTIL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct weir_loop;
struct weir_io;
struct weir_timer;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll_wait gave them. */
typedef void (*weir_io_fn)(struct weir_io *io, uint32_t events);
typedef void (*weir_timer_fn)(struct weir_timer *timer);

struct weir_io {
	int fd; /* not owned */
	weir_io_fn fn;
	void *arg;
	bool is_dead; /* removed while its event was pending */
};

struct weir_timer {
	uint64_t due_ms; /* weir_now_ms() at which it fires; 0: not armed */
	weir_timer_fn fn;
	void *arg;
	struct weir_timer *next; /* armed timers, soonest first */
};

/* Monotonic. */
uint64_t weir_now_ms(void);
uint64_t weir_now_us(void);

int weir_loop_new(struct weir_loop **ret_loop);
void weir_loop_free(struct weir_loop **loop);
/* io stays valid until removed.  0 or -errno. */
int weir_loop_add(struct weir_loop *loop, struct weir_io *io, uint32_t events);
int weir_loop_mod(struct weir_loop *loop, struct weir_io *io, uint32_t events);
void weir_loop_del(struct weir_loop *loop, struct weir_io *io);
/* (Re)arms; fires once, not before delay_ms from now. */
void weir_loop_arm(struct weir_loop *loop, struct weir_timer *timer,
		   uint64_t delay_ms);
void weir_loop_disarm(struct weir_loop *loop, struct weir_timer *timer);
/* Runs until weir_loop_stop(); returns what was given there, or -errno. */
int weir_loop_run(struct weir_loop *loop);
void weir_loop_stop(struct weir_loop *loop, int result);

#endif
