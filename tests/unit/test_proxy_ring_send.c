/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends that a ring puts off, where the socket takes all, a part, nothing, or
 * its peer has gone: when they are submitted, in the middle of a turn too, and
 * when they are wanted at once.  Each byte comes once and in order, who waits
 * is told, and what kept the bytes is free again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "conn.h"
#include "ring_private.h"
#include "tap.h"
#include "tcp_pair.h"
#include "uring.h"

#define N 16
#define AT_ONCE_MS 2000 /* a wait that ends before did not run out */
#define WAIT_MS (2 * AT_ONCE_MS)
#define HEAR_MS 10000
#define TURNS_MAX 2000
#define FEW 4096 /* bytes; with less, a window opens by the clock */

/* An end that nobody reads: what becomes of it is known from sends alone. */
struct pair {
	struct weir_end end;
	int peer;
	bool is_tcp;
	bool is_known_broken;
	bool was_tried; /* something was sent since its peer went */
	uint32_t sent;
	uint32_t heard;
	uint32_t told;
};

static struct pair pairs[N];
static struct weir_ring *ring;
static int epoll_fd = -1;

static void begin(uint32_t sq, uint32_t cq)
{
	int r;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = weir_ring_new(epoll_fd, sq, cq, &ring);
	if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
		weir_close(&epoll_fd);
		skip_test("no io_uring here");
	}
	must(r == 0, "%s", strerror(-r));
	ring->is_busy = true;
	for (int k = 0; k < N; k++) {
		pairs[k] = (struct pair){.end.fd = -1, .peer = -1};
	}
}

/* Its socket takes as little as may be: one of TCP a part of a send, too. */
static void open_pair(int k, bool is_tcp)
{
	struct pair *p = &pairs[k];
	int least = 1;
	int fds[2];

	if (is_tcp) {
		tcp_pair(FEW, &fds[0], &fds[1]);
	} else {
		must(socketpair(AF_UNIX,
				SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
				fds) == 0,
		     "%s", strerror(errno));
	}
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	*p = (struct pair){.end = {.fd = fds[0],
				   .kind = WEIR_END_CLIENT,
				   .is_readable = true,
				   .is_writable = true},
			   .peer = fds[1],
			   .is_tcp = is_tcp};
	weir_ring_add(ring, &p->end);
}

static char byte_at(const struct pair *p, uint32_t i)
{
	return (char)((uint32_t)(p - pairs) * 31 + i + (i >> 8));
}

/* In two pieces. */
static ssize_t put(struct pair *p, uint32_t n, int flags)
{
	char buf[4096];
	struct iovec iov[2] = {{.iov_base = buf, .iov_len = n / 3},
			       {.iov_base = buf + n / 3, .iov_len = n - n / 3}};
	ssize_t r;

	for (uint32_t i = 0; i < n; i++) {
		buf[i] = byte_at(p, p->sent + i);
	}
	r = weir_end_send(&p->end, iov, 2, flags);
	p->sent += r > 0 ? (uint32_t)r : 0;
	return r;
}

static void put_later(struct pair *p, uint32_t n)
{
	must(put(p, n, WEIR_SEND_LATER) == (ssize_t)n && p->end.slot,
	     "%d: was not put off", (int)(p - pairs));
}

static bool submitted(const struct pair *p)
{
	return !weir_ring_queue_has(&ring->q, ring->slots[p->end.slot - 1].at);
}

/* Past the ring, until there is no room for now. */
static void fill(struct pair *p)
{
	ssize_t r;

	do {
		char buf[256];

		for (uint32_t i = 0; i < sizeof(buf); i++) {
			buf[i] = byte_at(p, p->sent + i);
		}
		r = send(p->end.fd, buf, sizeof(buf), MSG_DONTWAIT);
		p->sent += r > 0 ? (uint32_t)r : 0;
	} while (r > 0);
}

/* At most n bytes. */
static void hear(struct pair *p, uint32_t n)
{
	char buf[4096];
	uint32_t n_wrong = 0;
	ssize_t r;

	do {
		r = recv(p->peer, buf, n < sizeof(buf) ? n : sizeof(buf),
			 MSG_DONTWAIT);
		for (ssize_t i = 0; i < r; i++) {
			n_wrong += buf[i] != byte_at(p, p->heard++);
		}
		n -= r > 0 ? (uint32_t)r : 0;
	} while (r > 0 && n);
	ok(n_wrong == 0, "%d: %u bytes wrong before %u", (int)(p - pairs),
	   n_wrong, p->heard);
	ok(p->heard <= p->sent, "%d: %u of %u", (int)(p - pairs), p->heard,
	   p->sent);
}

/* How many were told something. */
static int take_turn(int ms)
{
	struct epoll_event *events;
	int n = weir_ring_wait(ring, ms, &events);

	for (int i = 0; i < n; i++) {
		struct pair *p = events[i].data.ptr;

		ok(p->end.kind != WEIR_END_DEAD, "told of the dead");
		p->told++;
		if (p->end.is_broken) {
			ok(!p->is_known_broken, "%d: told again",
			   (int)(p - pairs));
			p->is_known_broken = true;
		}
	}
	ring->is_busy = true;
	return n;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* All is on its way. */
static void hear_soon(struct pair *p)
{
	uint64_t until = now_ms() + HEAR_MS;

	do {
		hear(p, UINT32_MAX);
	} while (p->heard != p->sent && now_ms() < until);
	must(p->heard == p->sent, "%d: %u of %u", (int)(p - pairs), p->heard,
	     p->sent);
}

/* Its peer reads until all has come, and whoever waits for room has it. */
static void hear_all(struct pair *p)
{
	uint64_t until = now_ms() + HEAR_MS;

	hear(p, UINT32_MAX);
	while (now_ms() < until &&
	       (p->heard != p->sent || p->end.slot || !p->end.is_writable)) {
		(void)take_turn(1);
		hear(p, UINT32_MAX);
	}
	must(p->heard == p->sent, "%d: %u of %u", (int)(p - pairs), p->heard,
	     p->sent);
	must(p->end.is_writable && !p->end.slot && !p->end.is_broken,
	     "%d waits for ever", (int)(p - pairs));
}

/* The peer goes, and sends fail from now on. */
static void reset(struct pair *p)
{
	struct linger linger = {.l_onoff = 1};

	(void)setsockopt(p->peer, SOL_SOCKET, SO_LINGER, &linger,
			 sizeof(linger));
	weir_close(&p->peer);
	(void)poll(&(struct pollfd){.fd = p->end.fd}, 1, WAIT_MS);
}

static uint32_t count_free(void)
{
	uint32_t n = 0;

	for (uint16_t at = ring->free_slot; at && n <= SLOTS;
	     at = ring->slots[at - 1].next) {
		n++;
	}
	return n;
}

/* True: the kernel may name it still. */
static bool close_pair(struct pair *p)
{
	if (p->end.kind != WEIR_END_DEAD) {
		weir_end_close(&p->end, false);
		p->end.kind = WEIR_END_DEAD;
		weir_close(&p->peer);
	}
	return weir_end_is_awaited(&p->end);
}

static void end_all(void)
{
	int left = 1;

	for (int t = 0; t < TURNS_MAX && left; t++) {
		left = 0;
		for (int k = 0; k < N; k++) {
			left += close_pair(&pairs[k]);
		}
		(void)take_turn(0);
	}
	ok(left == 0, "%d have not ended", left);
	ok(count_free() == SLOTS, "%u slots are free", count_free());
	weir_ring_stop(ring);
	weir_ring_free(&ring);
	weir_close(&epoll_fd);
}

/* What was put off and is wanted now goes at once, and not once more with the
 * wait that follows; what is sent at once does not overtake it. */
static void what_is_wanted_goes_at_once(void)
{
	struct pair *p = &pairs[0];

	begin(64, 128);
	for (int k = 0; k < 2; k++, p++) {
		open_pair(k, k);
		put_later(p, 100);
		put_later(p, 50);
		hear(p, UINT32_MAX);
		ok(p->heard == 0, "not before the wait");
		ok(weir_end_settle(&p->end) == 0 && !p->end.slot, "settled");
		hear_soon(p);
		put_later(p, 100);
		ok(put(p, 60, 0) == 60 && !p->end.slot, "at once");
		/* It has no room for that. */
		put_later(p, 100);
		ok(put(p, SLOT_BYTES, WEIR_SEND_LATER) > 0, "is taken");
		hear_all(p);
		ok(p->told <= 1, "told %u times", p->told);
		put_later(p, 100);
		ok(take_turn(0) == 0 && !p->end.slot, "went with the wait");
		hear_soon(p);
		ok(count_free() == SLOTS, "%u slots are free", count_free());
	}
	end_all();
}

/* There is room: that goes first, and is told. */
static void check_room(struct pair *p)
{
	hear(p, UINT32_MAX);
	ok(take_turn(WAIT_MS) == 1 && p->told == 1, "told %u times", p->told);
	ok(!p->end.slot && p->end.is_writable, "waits, writable %d",
	   p->end.is_writable);
	put_later(p, 10);
	hear_all(p);
	ok(p->told == 1 && take_turn(0) == 0, "told again");
}

/* The socket is full when it is wanted, and nothing more is taken. */
static void a_full_socket_is_waited_for(void)
{
	struct pair *p = &pairs[0];
	uint32_t sent;

	begin(64, 128);
	open_pair(0, false);
	fill(p);
	put_later(p, 900);
	sent = p->sent;
	for (int i = 0; i < 2; i++) {
		ok(weir_end_settle(&p->end) == -EAGAIN, "it is full");
		ok(!p->end.is_writable && p->end.is_out_armed,
		   "nobody waits for room");
		ok(put(p, 9, WEIR_SEND_LATER) == -EAGAIN, "not behind");
		ok(put(p, 9, 0) == -EAGAIN, "nor before");
		ok(take_turn(0) == 0, "told of nothing");
	}
	ok(p->sent == sent && !p->end.is_broken, "none was taken");
	check_room(p);
	end_all();
}

/* The same when it was submitted, which finds it full. */
static void a_full_socket_is_found_by_the_kernel(void)
{
	struct pair *p = &pairs[0];

	begin(64, 128);
	open_pair(0, false);
	fill(p);
	put_later(p, 900);
	for (int i = 0; i < 2; i++) {
		ok(take_turn(0) == 0, "told of nothing");
		ok(p->end.slot && !p->end.is_writable && p->end.is_out_armed,
		   "nobody waits for room");
	}
	check_room(p);
	end_all();
}

static bool has_part(const struct pair *p)
{
	return p->end.slot && ring->slots[p->end.slot - 1].done > 0;
}

/* There is room for a part: the rest follows, once. */
static void a_part_is_taken(void)
{
	begin(64, 128);
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		open_pair(k, true);
		for (int i = 0; i < 100 && !has_part(p); i++) {
			if (p->end.slot) {
				hear_all(p);
			}
			p->told = 0;
			put_later(p, SLOT_BYTES - (uint32_t)i);
			if (k % 2) {
				(void)weir_end_settle(&p->end);
			}
			(void)take_turn(0);
		}
		must(has_part(p), "%d: no part of it", k);
		ok(!p->end.is_writable && p->end.is_out_armed,
		   "nobody waits for room");
		hear_all(p);
		ok(p->told >= 1, "not told");
	}
	end_all();
}

/* Who is told that it is broken is so once: by what it called, or after the
 * wait. */
static void a_broken_peer_is_told_once(void)
{
	uint32_t n_free;

	begin(64, 128);
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		open_pair(k, k % 4 > 1);
		put_later(p, 900);
		reset(p);
		if (k % 2) {
			int r = weir_end_settle(&p->end);

			ok(r == -EPIPE || r == -ECONNRESET, "%d: %s", k,
			   strerror(-r));
			ok(p->end.is_broken, "%d is not broken", k);
			p->is_known_broken = true;
			r = (int)put(p, 10, k % 8 == 1 ? WEIR_SEND_LATER : 0);
			ok(r == -EPIPE, "%d: %s", k, strerror(-r));
		}
	}
	ok(take_turn(0) == N / 2, "half of them are told");
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		ok(p->end.is_broken && p->told == 1 - (uint32_t)k % 2,
		   "%d: told %u times", k, p->told);
		/* It is to be tried, and fails. */
		ok(p->end.is_writable, "%d: nobody would try it", k);
	}
	ok(take_turn(0) == 0, "told of what is known");
	n_free = count_free();
	ok(n_free == SLOTS - N / 2, "%u slots are free", n_free);
	end_all();
}

/* A peer goes while something waits for room at it. */
static void a_peer_goes_that_was_waited_for(void)
{
	uint64_t until = now_ms() + HEAR_MS;
	int n = 0;

	begin(64, 128);
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		open_pair(k, k % 4 > 1);
		for (int i = 0; i < TURNS_MAX && !p->end.slot; i++) {
			fill(p);
			put_later(p, 900);
			if (k % 2) {
				(void)weir_end_settle(&p->end);
			}
			(void)take_turn(0);
		}
		ok(p->end.slot && !p->end.is_broken, "%d does not wait", k);
		reset(p);
	}
	while (n < N && now_ms() < until) {
		(void)take_turn(1);
		n = 0;
		for (int k = 0; k < N; k++) {
			n += pairs[k].is_known_broken;
		}
	}
	ok(n == N, "%d are told", n);
	for (int t = 0; t < 3; t++) {
		ok(take_turn(0) == 0, "told of what is known");
	}
	for (int k = 0; k < N; k++) {
		/* It is to be tried, and fails. */
		ok(pairs[k].end.is_writable, "%d: nobody would try it", k);
	}
	end_all();
}

/* Entries are so many in a turn that they are submitted in the middle of it.
 * How that ended is heard with the wait that follows, whatever else comes: it
 * is not waited for. */
static void what_was_submitted_is_heard_at_once(void)
{
	for (int how = 0; how < 3; how++) {
		struct pair *p = &pairs[0];
		uint64_t start;

		begin(4, 8);
		(void)take_turn(0);
		for (int k = 0; k < N; k++) {
			open_pair(k, false);
		}
		if (how == 1) {
			fill(p);
		} else if (how == 2) {
			reset(p);
		}
		put_later(p, 100);
		for (int k = 1; k < N && !submitted(p); k++) {
			put_later(&pairs[k], 100);
		}
		must(submitted(p), "the queue has room");
		ok(p->end.is_writable, "nobody has asked");
		ok(put(p, 10, WEIR_SEND_LATER) == -EAGAIN, "is taken, too");
		ok(!p->end.is_writable, "it is writable");
		if (how == 1) {
			ok(take_turn(0) == 0, "told, and there is no room");
			hear(p, UINT32_MAX);
		}
		start = now_ms();
		ok(take_turn(WAIT_MS) == 1 && p->told == 1, "%d: told %u times",
		   how, p->told);
		ok(now_ms() - start < AT_ONCE_MS, "%d: it was waited for", how);
		ok(p->end.is_writable && !p->end.slot, "no room");
		ok(p->end.is_broken == (how == 2), "broken");
		ok(take_turn(0) == 0, "told again");
		for (int k = 0; k < N && how < 2; k++) {
			hear_all(&pairs[k]);
		}
		end_all();
	}
}

/* It failed, and its end has gone before that was heard: what kept its bytes is
 * nobody else's until it is. */
static void an_end_goes_that_was_submitted(void)
{
	struct pair *p = &pairs[0];
	uint32_t sent;

	begin(4, 8);
	(void)take_turn(0);
	for (int k = 0; k < N; k++) {
		open_pair(k, false);
	}
	fill(p);
	sent = p->sent;
	put_later(p, 100);
	for (int k = 1; k < N && !submitted(p); k++) {
		put_later(&pairs[k], 100);
	}
	must(submitted(p), "the queue has room");
	weir_end_close(&p->end, false);
	p->end.kind = WEIR_END_DEAD;
	ok(!p->end.slot, "it has a slot");
	for (int k = 1; k < N; k++) {
		ok(put(&pairs[k], 50, WEIR_SEND_LATER) == 50 ||
			   !pairs[k].end.is_writable,
		   "%d: not taken", k);
	}
	for (int k = 1; k < N; k++) {
		hear_all(&pairs[k]);
	}
	hear(p, UINT32_MAX);
	ok(p->heard == sent && p->told == 0, "%u of %u, told %u times",
	   p->heard, sent, p->told);
	ok(count_free() == SLOTS, "%u slots are free", count_free());
	end_all();
}

/* The kernel takes no more: who would have to wait for room without its word
 * is broken, and knows. */
static void no_room_for_a_wait(void)
{
	int fd;
	int n_ok = 0;
	char byte;

	begin(4, 8);
	(void)take_turn(0);
	for (int k = 0; k < N; k++) {
		open_pair(k, false);
		fill(&pairs[k]);
	}
	for (int k = 0; k < 8; k++) {
		put_later(&pairs[k], 100);
	}
	must(submitted(&pairs[3]) && !submitted(&pairs[4]), "as they came");
	fd = ring->q.enter_fd;
	ring->q.enter_fd = 15; /* no ring is registered there */
	ok(put(&pairs[8], 9, WEIR_SEND_LATER) == -ENOMEM, "it would wait");
	ok(weir_end_recv(&pairs[9].end, &byte, 1) == -ENOMEM, "so would it");
	for (int k = 8; k < 10; k++) {
		ok(pairs[k].end.is_broken, "%d waits", k);
		pairs[k].is_known_broken = true;
	}
	ok(weir_end_settle(&pairs[4].end) == -ENOMEM, "it would wait");
	ok(pairs[4].end.is_broken, "it does");
	pairs[4].is_known_broken = true;
	ok(take_turn(0) == 4, "four are told");
	ring->q.enter_fd = fd;
	for (int k = 0; k < 4; k++) {
		ok(pairs[k].told == 1 && pairs[k].end.is_broken &&
			   pairs[k].end.is_writable,
		   "%d: told %u times", k, pairs[k].told);
		/* What was put off is gone: nothing is to follow it. */
		hear(&pairs[k], UINT32_MAX);
		ok(put(&pairs[k], 10, 0) == -ENOMEM, "%d: a hole", k);
	}
	ok(take_turn(0) == 0, "told of something");
	for (int k = 5; k < 8; k++) {
		n_ok += !pairs[k].end.is_broken && pairs[k].end.slot;
		hear_all(&pairs[k]);
	}
	ok(n_ok == 3, "%d of three wait for room", n_ok);
	end_all();
}

/* More than are kept are put off in a turn: the rest goes at once. */
static void slots_run_out(void)
{
	uint32_t n_direct = 0;

	begin(1024, 2048);
	for (int k = 0; k < N; k++) {
		open_pair(k, false);
	}
	for (uint32_t i = 0; i < SLOTS + 100; i++) {
		struct pair *p = &pairs[i % N];

		ok(put(p, 70, WEIR_SEND_LATER) == 70, "%u is not taken", i);
		n_direct += !p->end.slot;
		ok(weir_end_settle(&p->end) == 0, "%u is not sent", i);
		hear_soon(p);
	}
	ok(n_direct == 100, "%u went at once", n_direct);
	ok(count_free() == 0, "%u slots are free", count_free());
	ok(take_turn(0) == 0, "told of something");
	ok(count_free() == SLOTS, "%u slots are free", count_free());
	end_all();
}

/* --------------------------------------------------------------- at random */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

struct seen {
	uint32_t put_off;
	uint32_t refused;
	uint32_t settled;
	uint32_t full;
	uint32_t broken; /* known from a call */
	uint32_t told_broken;
	uint32_t parts;
	uint32_t closed;
};

static void note(struct pair *p, ssize_t r, struct seen *seen)
{
	if (r < 0 && r != -EAGAIN) {
		ok(p->peer < 0 && p->end.is_broken, "%d: %s", (int)(p - pairs),
		   strerror((int)-r));
		seen->broken++;
		(void)close_pair(p);
	}
}

/* One thing that an owner or a peer may do. */
static void do_any(struct pair *p, struct seen *seen)
{
	uint32_t what = any(100);
	ssize_t r;

	if (p->is_known_broken || p->end.kind == WEIR_END_DEAD) {
		return;
	}
	if (what < 60 && p->end.is_writable) {
		r = put(p, 1 + any(any(4) ? 700 : 3000),
			what < 45 ? WEIR_SEND_LATER : 0);
		seen->put_off += r > 0 && p->end.slot;
		seen->refused += r == -EAGAIN;
		p->was_tried |= r > 0 && p->peer < 0;
		note(p, r, seen);
	} else if (what < 75) {
		bool has_slot = p->end.slot;

		r = weir_end_settle(&p->end);
		seen->settled += has_slot && r == 0;
		seen->full += r == -EAGAIN;
		ok((r == 0) == !p->end.slot, "%d: %zd", (int)(p - pairs), r);
		note(p, r, seen);
	} else if (what < 97 && p->peer >= 0) {
		hear(p, any(3) ? 1 + any(2000) : UINT32_MAX);
	} else if (what == 97 && p->peer >= 0 && any(8) == 0) {
		reset(p);
	} else if (what == 98 && p->peer >= 0 && any(8) == 0) {
		/* All that was taken comes, before the end. */
		if (weir_end_settle(&p->end) == 0) {
			(void)weir_end_shut(&p->end);
			hear_all(p);
		}
		(void)close_pair(p);
		seen->closed++;
	}
}

/* Whoever is broken is closed, and others come instead. */
static void renew(struct seen *seen)
{
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		seen->parts += has_part(p);
		/* What was put off and has failed is known after the wait. */
		ok(p->is_known_broken || !p->was_tried || p->end.slot ||
			   p->end.kind == WEIR_END_DEAD,
		   "%d: fails unseen", k);
		if (p->is_known_broken) {
			seen->told_broken += p->told && p->end.is_broken;
			(void)close_pair(p);
		}
		if (p->end.kind == WEIR_END_DEAD && !close_pair(p)) {
			open_pair(k, any(2));
		}
	}
}

/* Whatever mixture: put off, wanted, at once; whole, in parts, stuck; with room
 * for all entries of a turn, or for few. */
static void check_any_mixture(uint32_t sq, uint32_t cq, uint32_t n_turns)
{
	struct seen seen = {0};

	begin(sq, cq);
	seed = sq;
	for (int k = 0; k < N; k++) {
		open_pair(k, any(2));
	}
	for (uint32_t t = 0; t < n_turns; t++) {
		uint32_t n = any(40);

		ring->is_busy = any(8);
		for (uint32_t i = 0; i < n; i++) {
			do_any(&pairs[any(N)], &seen);
		}
		(void)take_turn(0);
		if (!weir_ring_queue_has_completions(&ring->q)) {
			renew(&seen);
		}
	}
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		if (p->peer >= 0) {
			hear_all(p);
		}
	}
	printf("# %u put off, %u refused, %u settled, %u full, %u broken, "
	       "%u told so, %u parts, %u closed\n",
	       seen.put_off, seen.refused, seen.settled, seen.full, seen.broken,
	       seen.told_broken, seen.parts, seen.closed);
	ok(seen.put_off && seen.refused && seen.settled && seen.full &&
		   seen.broken && seen.told_broken && seen.parts && seen.closed,
	   "something was not tried");
	end_all();
}

static void any_mixture(void)
{
	check_any_mixture(1024, 2048, 4000);
}

static void any_mixture_with_little_room(void)
{
	check_any_mixture(4, 8, 4000);
}

TAP_MAIN(TEST(what_is_wanted_goes_at_once), TEST(a_full_socket_is_waited_for),
	 TEST(a_full_socket_is_found_by_the_kernel), TEST(a_part_is_taken),
	 TEST(a_broken_peer_is_told_once),
	 TEST(a_peer_goes_that_was_waited_for),
	 TEST(what_was_submitted_is_heard_at_once),
	 TEST(an_end_goes_that_was_submitted), TEST(no_room_for_a_wait),
	 TEST(slots_run_out), TEST(any_mixture),
	 TEST(any_mixture_with_little_room))
