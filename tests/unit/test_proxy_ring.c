/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring below ends whose peers are held here: with room for fewer completions
 * than there are, and everything comes all the same, once and in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cleanup.h"
#include "conn.h"
#include "ring_private.h"
#include "tap.h"
#include "tcp_pair.h"
#include "uring.h"

#define N 400
#define ROUNDS 20
#define TURNS_MAX 5000

struct pair {
	struct weir_end end;
	int peer;
	uint32_t said; /* by the peer */
	uint32_t got;
	uint32_t sent; /* to it */
	uint32_t heard;
};

static struct pair pairs[N];
static struct weir_ring *ring;
static int epoll_fd = -1;
static uint32_t n_overruns;
static bool is_trimming; /* in each turn */

static void begin(uint32_t sq, uint32_t cq)
{
	int r;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = weir_ring_new(epoll_fd, sq, cq, &ring);
	n_overruns = 0;
	if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
		weir_close(&epoll_fd);
		skip_test("no io_uring here");
	}
	must(r == 0, "%s", strerror(-r));
	for (int i = 0; i < N; i++) {
		struct pair *p = &pairs[i];
		int fds[2];

		must(socketpair(AF_UNIX,
				SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
				fds) == 0,
		     "%s", strerror(errno));
		*p = (struct pair){.end = {.fd = fds[0],
					   .kind = WEIR_END_CLIENT,
					   .is_writable = true},
				   .peer = fds[1]};
		weir_ring_add(ring, &p->end);
	}
}

/* The byte at offset i of what goes to or comes from pair k. */
static char byte_at(int k, uint32_t i)
{
	return (char)((uint32_t)k * 31 + i);
}

static void read_all(struct pair *p, int k)
{
	char buf[64];
	ssize_t n;

	while (p->end.is_readable &&
	       (n = weir_end_recv(&p->end, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			ok(buf[i] == byte_at(k, p->got), "byte %u of %d",
			   p->got, k);
			p->got++;
		}
	}
}

/* One turn, at most: what is told is read. */
static void take_turn(void)
{
	struct epoll_event *events;
	int n = weir_ring_wait(ring, 0, &events);

	n_overruns += (*ring->q.sq_flags & IORING_SQ_CQ_OVERFLOW) != 0;
	for (int i = 0; i < n; i++) {
		struct pair *p = events[i].data.ptr;

		if (p->end.edges && events[i].events & EPOLLIN) {
			p->end.is_readable = true;
		}
		read_all(p, (int)(p - pairs));
	}
	if (is_trimming) {
		(void)weir_ring_trim(ring);
	}
}

static bool is_all_got(void)
{
	for (int i = 0; i < N; i++) {
		if (pairs[i].got != pairs[i].said) {
			return false;
		}
	}
	return true;
}

static void say_all(uint32_t n)
{
	char buf[64];

	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		for (uint32_t i = 0; i < n; i++) {
			buf[i] = byte_at(k, p->said++);
		}
		must(write(p->peer, buf, n) == (ssize_t)n, "%s",
		     strerror(errno));
	}
}

static void end_all(bool is_overrun)
{
	int left = 1;

	for (int i = 0; i < N; i++) {
		weir_end_close(&pairs[i].end, false);
		pairs[i].end.kind = WEIR_END_DEAD;
		weir_close(&pairs[i].peer);
	}
	for (int t = 0; t < TURNS_MAX && left; t++) {
		struct epoll_event *events;

		ok(weir_ring_wait(ring, 0, &events) == 0, "told of the dead");
		left = 0;
		for (int i = 0; i < N; i++) {
			left += weir_end_is_awaited(&pairs[i].end);
		}
	}
	ok(left == 0, "%d reads have not ended", left);
	ok(ring->n_free == BUFFERS, "%d buffers", ring->n_free);
	ok(!is_overrun || n_overruns, "the completions had room");
	weir_ring_stop(ring);
	weir_ring_free(&ring);
	weir_close(&epoll_fd);
}

static void get_all(int round)
{
	for (int t = 0; t < TURNS_MAX && !is_all_got(); t++) {
		take_turn();
	}
	must(is_all_got(), "round %d: something was lost", round);
}

static void check_reads(uint32_t sq, uint32_t cq)
{
	begin(sq, cq);
	for (int r = 0; r < ROUNDS; r++) {
		say_all(1 + (uint32_t)r % 7);
		/* Twice while nobody looks, every other time. */
		if (r % 2) {
			say_all(3);
		}
		get_all(r);
	}
	end_all(cq < N);
}

static void reads_with_room(void)
{
	check_reads(1024, 2048);
}

static void reads_overrun(void)
{
	check_reads(4, 8);
}

/* What completions bring that are not read yet must stay. */
static void reads_overrun_while_memory_goes(void)
{
	is_trimming = true;
	check_reads(4, 8);
	is_trimming = false;
}

static void hear_all(void)
{
	char buf[4096];
	ssize_t n;

	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		while ((n = read(p->peer, buf, sizeof(buf))) > 0) {
			for (ssize_t i = 0; i < n; i++) {
				ok(buf[i] == byte_at(k, p->heard),
				   "byte %u to %d", p->heard, k);
				p->heard++;
			}
		}
	}
}

static void send_to(struct pair *p, int k, uint32_t n)
{
	char buf[1024];
	struct iovec iov = {.iov_base = buf, .iov_len = n};
	ssize_t r;

	for (uint32_t i = 0; i < n; i++) {
		buf[i] = byte_at(k, p->sent + i);
	}
	r = weir_end_send(&p->end, &iov, 1, WEIR_SEND_LATER);
	p->sent += r > 0 ? (uint32_t)r : 0;
}

/* Sockets are full and every send of a turn fails, which is all that a ring
 * says of sends; between them come reads. */
static void sends_overrun(void)
{
	int small = 1;
	bool is_done = false;

	begin(4, 8);
	for (int k = 0; k < N; k++) {
		(void)setsockopt(pairs[k].end.fd, SOL_SOCKET, SO_SNDBUF, &small,
				 sizeof(small));
	}
	for (int r = 0; r < 200; r++) {
		ring->is_busy = true;
		for (int k = 0; k < N; k++) {
			if (pairs[k].end.is_writable) {
				send_to(&pairs[k], k, 900);
			}
		}
		if (r % 8 == 7) {
			say_all(1);
		}
		take_turn();
		if (r % 16 == 15) {
			hear_all();
		}
	}
	for (int t = 0; t < TURNS_MAX && !is_done; t++) {
		take_turn();
		hear_all();
		is_done = is_all_got();
		for (int k = 0; k < N; k++) {
			(void)weir_end_settle(&pairs[k].end);
			is_done &= pairs[k].heard == pairs[k].sent;
		}
	}
	for (int k = 0; k < N; k++) {
		ok(pairs[k].heard == pairs[k].sent && pairs[k].sent > 900,
		   "%d: %u of %u", k, pairs[k].heard, pairs[k].sent);
		ok(pairs[k].got == pairs[k].said, "%d: %u of %u", k,
		   pairs[k].got, pairs[k].said);
		ok(!pairs[k].end.slot, "%d has a slot", k);
	}
	end_all(true);
}

/* A wait that is told edges only is ended by the kernel when there is no room,
 * and set again. */
static void edges_overrun(void)
{
	begin(4, 8);
	for (int k = 0; k < N; k++) {
		struct pair *p = &pairs[k];

		/* For the ring it is gone; what it waited for ends. */
		(void)weir_ring_forget(&p->end);
		p->end.kind = WEIR_END_DEAD;
		p->end.ring = NULL;
	}
	for (int t = 0; t < TURNS_MAX; t++) {
		bool is_awaited = false;

		take_turn();
		for (int k = 0; k < N; k++) {
			is_awaited |= weir_end_is_awaited(&pairs[k].end);
		}
		if (!is_awaited) {
			break;
		}
	}
	for (int k = 0; k < N; k++) {
		pairs[k].end.kind = WEIR_END_CLIENT;
		must(weir_ring_watch(ring, &pairs[k].end) == 0, "watch");
	}
	for (int r = 0; r < ROUNDS; r++) {
		say_all(5);
		for (int t = 0; t < TURNS_MAX && !is_all_got(); t++) {
			take_turn();
		}
		must(is_all_got(), "round %d: an edge was lost", r);
	}
	end_all(true);
}

/* A turn in which nothing is read, and who is told waits on.  How many. */
static int mind_all(void)
{
	struct epoll_event *events;
	int n = weir_ring_wait(ring, 0, &events);

	n_overruns += (*ring->q.sq_flags & IORING_SQ_CQ_OVERFLOW) != 0;
	for (int i = 0; i < n; i++) {
		weir_end_mind(events[i].data.ptr, false);
	}
	return n;
}

/* Whose peer has gone, or whose is reset. */
static uint32_t count_ends(bool is_reset)
{
	uint32_t n = 0;

	for (int k = 0; k < N; k++) {
		n += is_reset ? pairs[k].end.is_broken : pairs[k].end.is_hup;
	}
	return n;
}

/* Bytes wait that are not read, and the peer has ended its side: that is told
 * once.  What happens after it is told, too, however many say so at once. */
static void check_peers_that_go(uint32_t sq, uint32_t cq)
{
	uint32_t n_told = 0;

	begin(sq, cq);
	for (int k = 0; k < N; k++) {
		/* What it has not read when it goes makes that a reset. */
		must(write(pairs[k].end.fd, "x", 1) == 1, "%s",
		     strerror(errno));
		must(write(pairs[k].peer, "xx", 2) == 2, "%s", strerror(errno));
	}
	for (int t = 0; t < ROUNDS; t++) {
		(void)mind_all();
	}
	for (int k = 0; k < N; k++) {
		must(shutdown(pairs[k].peer, SHUT_WR) == 0, "%s",
		     strerror(errno));
	}
	for (int t = 0; t < TURNS_MAX && count_ends(false) < N; t++) {
		(void)mind_all();
	}
	ok(count_ends(false) == N, "told of %u ends", count_ends(false));
	/* Who had no room to be minded is so when its owner waits next. */
	for (int t = 0; t < N; t++) {
		(void)mind_all();
	}
	for (int k = 0; k < N; k++) {
		weir_end_mind(&pairs[k].end, false);
		(void)mind_all();
	}
	for (int t = 0; t < ROUNDS; t++) {
		n_told += (uint32_t)mind_all();
	}
	ok(n_told == 0, "told of what is known, %u times", n_told);
	ok(count_ends(true) == 0, "%u resets", count_ends(true));
	for (int k = 0; k < N; k++) {
		weir_close(&pairs[k].peer);
	}
	for (int t = 0; t < TURNS_MAX && count_ends(true) < N; t++) {
		(void)mind_all();
	}
	ok(count_ends(true) == N, "told of %u resets", count_ends(true));
	end_all(cq < N);
}

static void peers_that_go(void)
{
	check_peers_that_go(1024, 2048);
}

static void peers_that_go_overrun(void)
{
	check_peers_that_go(4, 8);
}

/* There is no room for more, and the peer has ended its side: nothing is told
 * before there is room, and then that. */
static void full_after_an_end(void)
{
	struct pair *p = &pairs[0];
	struct epoll_event *events;
	char buf[4096];

	begin(1024, 2048);
	for (int round = 0; round < 3; round++) {
		while (p->end.is_writable) {
			send_to(p, 0, 900);
		}
		if (round == 0) {
			must(shutdown(p->peer, SHUT_WR) == 0, "%s",
			     strerror(errno));
			(void)weir_ring_wait(ring, 0, &events);
			ok(weir_end_recv(&p->end, buf, 1) == 0, "no end");
		}
		for (int t = 0; t < ROUNDS; t++) {
			ok(weir_ring_wait(ring, 0, &events) == 0,
			   "told of something in round %d", round);
		}
		ok(!p->end.is_writable, "there is no room");
		hear_all();
		ok(weir_ring_wait(ring, 1000, &events) == 1, "not told");
		ok(p->end.is_writable, "there is room");
	}
	ok(p->heard == p->sent, "%u of %u", p->heard, p->sent);
	end_all(false);
}

/* Bytes and a reset that came before the read was armed: it ends with neither.
 */
static void a_reset_behind_bytes(void)
{
	struct linger linger = {.l_onoff = 1};
	struct weir_end end = {.kind = WEIR_END_CLIENT, .is_writable = true};
	struct epoll_event *events;
	char buf[8];
	int peer = -1;
	ssize_t r = -EAGAIN;

	begin(1024, 2048);
	tcp_pair(0, &end.fd, &peer);
	weir_ring_add(ring, &end);
	must(write(peer, "xxx", 3) == 3, "%s", strerror(errno));
	must(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ==
		     0,
	     "%s", strerror(errno));
	weir_close(&peer);
	for (int t = 0; t < TURNS_MAX && !end.is_readable; t++) {
		(void)weir_ring_wait(ring, 10, &events);
	}
	ok(weir_end_recv(&end, buf, sizeof(buf)) == 3, "no bytes");
	for (int t = 0; t < 200 && r == -EAGAIN; t++) {
		weir_end_mind(&end, true);
		(void)weir_ring_wait(ring, 10, &events);
		r = end.is_readable ? weir_end_recv(&end, buf, 1) : -EAGAIN;
	}
	ok(r == -ECONNRESET, "%s", strerror((int)-r));
	weir_end_close(&end, false);
	end.kind = WEIR_END_DEAD;
	for (int t = 0; t < TURNS_MAX && weir_end_is_awaited(&end); t++) {
		(void)weir_ring_wait(ring, 0, &events);
	}
	ok(!weir_end_is_awaited(&end), "it has not ended");
	end_all(false);
}

/* The kernel takes no more, and a read that waits holds on to the socket of an
 * end that is reset: the peer is to see a reset, and no end. */
static void a_reset_that_reads_outlive(void)
{
	struct weir_end ends[2] = {0};
	struct io_uring_sqe *sqe;
	int peers[2];
	char byte;
	int fd;

	begin(1024, 2048);
	for (int k = 0; k < 2; k++) {
		ends[k].kind = WEIR_END_CLIENT;
		ends[k].is_writable = true;
		tcp_pair(0, &ends[k].fd, &peers[k]);
	}
	weir_ring_add(ring, &ends[0]);
	must(weir_ring_watch(ring, &ends[1]) == 0, "it is not watched");
	take_turn();
	fd = ring->q.enter_fd;
	ring->q.enter_fd = 15; /* no ring is registered there */
	while ((sqe = weir_ring_queue_next(&ring->q))) {
		sqe->user_data = TAG_NONE;
	}
	for (int k = 0; k < 2; k++) {
		ssize_t r;

		weir_end_close(&ends[k], true);
		ends[k].kind = WEIR_END_DEAD;
		r = recv(peers[k], &byte, 1, 0);
		ok(r < 0 && errno == ECONNRESET, "%d: an end: %zd", k, r);
		weir_close(&peers[k]);
	}
	ring->q.enter_fd = fd;
	for (int t = 0; t < ROUNDS; t++) {
		take_turn();
	}
	for (int k = 0; k < 2; k++) {
		ok(!weir_end_is_awaited(&ends[k]), "%d has not ended", k);
	}
	end_all(false);
}

/* After 2^32 entries an end may have the number of another's that has not been
 * submitted. */
static void places_come_again(void)
{
	begin(1024, 2048);
	for (int t = 0; t < 2; t++) {
		take_turn();
	}
	for (int k = 0; k < N; k++) {
		(void)weir_end_is_full(&pairs[k].end);
		pairs[k].end.armed_at = pairs[N - 1].end.out_at;
	}
	for (int k = 0; k + 1 < N; k++) {
		pairs[k].end.armed_at = pairs[k + 1].end.out_at;
	}
	weir_end_close(&pairs[0].end, false);
	pairs[0].end.kind = WEIR_END_DEAD;
	ok(pairs[0].end.is_armed, "its read is not known to wait");
	for (int t = 0; t < ROUNDS; t++) {
		take_turn();
	}
	ok(!weir_end_is_awaited(&pairs[0].end), "it has not ended");
	ok(pairs[1].end.is_writable, "another's wait was taken back");
	end_all(false);
}

/* Nothing is known of an end as long as completions wait for room. */
static void overrun_is_not_quiet(void)
{
	struct epoll_event *events;
	uint32_t n_wrong = 0;

	begin(4, 8);
	for (int t = 0; t < ROUNDS; t++) {
		take_turn();
	}
	say_all(1);
	(void)weir_ring_wait(ring, 0, &events);
	must(weir_ring_queue_has_overrun(&ring->q), "there is room");
	for (int k = 0; k < N; k++) {
		n_wrong += weir_end_is_quiet(&pairs[k].end);
	}
	ok(n_wrong == 0, "%u have said something", n_wrong);
	for (int t = 0; t < TURNS_MAX && !is_all_got(); t++) {
		for (int k = 0; k < N; k++) {
			read_all(&pairs[k], k);
		}
		take_turn();
	}
	ok(is_all_got(), "something was lost");
	end_all(true);
}

/* Pages of so many bytes that are in memory. */
static uint32_t n_resident(void *p, size_t bytes)
{
	unsigned char is_in[2048];
	uint32_t n = 0;

	must(bytes <= 4096 * sizeof(is_in) && mincore(p, bytes, is_in) == 0,
	     "%s", strerror(errno));
	for (size_t i = 0; i * 4096 < bytes; i++) {
		n += is_in[i] & 1;
	}
	return n;
}

static void say(struct pair *p, int k)
{
	char c = byte_at(k, p->said++);

	must(write(p->peer, &c, 1) == 1, "%s", strerror(errno));
}

/* Each socket is sent to in one turn: slots get used. */
static void send_all(void)
{
	ring->is_busy = true;
	for (int k = 0; k < N; k++) {
		send_to(&pairs[k], k, 900);
	}
}

/* Pages of a ring at rest go back to the system, but those with bytes of ends
 * that have not asked for them, or on their way. */
static void memory_is_given_back(void)
{
	const size_t slots = (size_t)SLOTS * SLOT_STRIDE;
	const size_t buffers = (size_t)BUFFERS * BUFFER_STRIDE;
	uint32_t n_held = 0;
	uint32_t n_told = 0;
	uint32_t n;
	struct epoll_event *events;

	begin(1024, 2048);
	ok(!weir_ring_wants_trim(ring), "nothing has come");
	ring->n_wanted = BUFFERS; /* as after a burst */
	say_all(10);
	get_all(0);
	say_all(20);
	send_all();
	get_all(1);
	hear_all();
	ok(n_resident(ring->buffer_bytes, buffers) == BUFFERS, "not all used");
	ok(n_resident(ring->slot_bytes, slots) >= N / 2, "no slots used");
	ok(weir_ring_wants_trim(ring) && weir_ring_trim(ring), "at work");
	ok(n_resident(ring->buffer_bytes, buffers) == BUFFERS, "at work, too");

	/* Every eighth end has a byte that is not read, and some to send. */
	for (int k = 0; k < N; k += 8) {
		say(&pairs[k], k);
		n_held++;
	}
	for (int t = 0; t < TURNS_MAX && n_told < n_held; t++) {
		n_told += (uint32_t)weir_ring_wait(ring, 0, &events);
	}
	must(n_told == n_held, "told of %u", n_told);
	ring->is_busy = true;
	for (int k = 0; k < N; k += 8) {
		send_to(&pairs[k], k, 100);
		ok(pairs[k].end.slot, "%d: sent at once", k);
	}
	ok(!weir_ring_trim(ring) && !weir_ring_wants_trim(ring), "at rest");
	ok(ring->n_wanted == BUFFERS_WANTED, "%u wanted", ring->n_wanted);
	/* One may lie on two pages. */
	n = n_resident(ring->buffer_bytes, buffers);
	ok(n >= n_held && n <= 2 * n_held, "%u of %u", n, n_held);
	n = n_resident(ring->slot_bytes, slots);
	ok(n >= n_held / 2 && n <= 2 * n_held, "%u slots", n);
	for (int k = 0; k < N; k += 8) {
		read_all(&pairs[k], k);
	}
	get_all(2);

	/* And as before. */
	for (int r = 0; r < 4; r++) {
		say_all(7);
		send_all();
		get_all(3 + r);
		hear_all();
	}
	for (int k = 0; k < N; k++) {
		ok(pairs[k].heard == pairs[k].sent && pairs[k].sent >= 5 * 900,
		   "%d: %u of %u", k, pairs[k].heard, pairs[k].sent);
	}
	end_all(false);
}

/* The kernel gets few buffers, and those few are used again; more when it
 * lacked some, and nothing is lost meanwhile. */
static void buffers_are_few_as_long_as_they_do(void)
{
	const size_t buffers = (size_t)BUFFERS * BUFFER_STRIDE;
	uint32_t n;

	begin(1024, 2048);
	ring->n_wanted = 4;
	for (int r = 0; r < ROUNDS; r++) {
		say_all(10);
		get_all(r);
	}
	ok(ring->n_wanted > 4, "%u wanted", ring->n_wanted);
	n = n_resident(ring->buffer_bytes, buffers);
	/* One may lie on two pages. */
	ok(n <= 2 * ring->n_wanted, "%u used, %u wanted", n, ring->n_wanted);
	end_all(false);
}

/* The ring is made and then every call on it is refused: nothing comes. */
static void a_ring_that_does_nothing_is_found_out(void)
{
	int fd;
	int r;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = weir_ring_new(epoll_fd, 16, 32, &ring);
	if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
		weir_close(&epoll_fd);
		skip_test("no io_uring here");
	}
	must(r == 0, "%s", strerror(-r));
	ok(weir_ring_check(ring) == 0, "it works");
	fd = ring->q.enter_fd;
	ring->q.enter_fd = 15; /* no ring is registered there */
	ok(weir_ring_check(ring) < 0, "it does not");
	ring->q.enter_fd = fd;
	weir_ring_stop(ring);
	weir_ring_free(&ring);
	weir_close(&epoll_fd);
}

/* Registered as one of sixteen that a thread may have. */
static void rings_come_and_go(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 40; i++) {
		int r = weir_ring_new(epoll_fd, 16, 32, &ring);

		if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
			weir_close(&epoll_fd);
			skip_test("no io_uring here");
		}
		must(r == 0, "%s", strerror(-r));
		ok(ring->q.enter_flags == IORING_ENTER_REGISTERED_RING,
		   "the %dth is not registered", i);
		/* One that has been in use is stopped first. */
		if (i % 2) {
			weir_ring_stop(ring);
		}
		weir_ring_free(&ring);
	}
	weir_close(&epoll_fd);
}

/* Neither a ring nor its check leaves anything behind when it fails half-way.
 */
static void descriptors_run_out(void)
{
	struct rlimit old;
	int lowest = dup(0);

	must(lowest >= 0 && getrlimit(RLIMIT_NOFILE, &old) == 0, "%s",
	     strerror(errno));
	weir_close(&lowest);
	/* One for the ring, and two for its check. */
	for (int room = 0; room < 6; room++) {
		struct rlimit few = {.rlim_max = old.rlim_max};
		int r;

		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		lowest = epoll_fd;
		few.rlim_cur = (rlim_t)(epoll_fd + 1 + room);
		must(setrlimit(RLIMIT_NOFILE, &few) == 0, "%s",
		     strerror(errno));
		r = weir_ring_new(epoll_fd, 16, 32, &ring);
		if (r == 0) {
			r = weir_ring_check(ring);
			weir_ring_stop(ring);
			weir_ring_free(&ring);
		}
		(void)setrlimit(RLIMIT_NOFILE, &old);
		weir_close(&epoll_fd);
		if (r == -EPERM || r == -ENOSYS || r == -EINVAL) {
			skip_test("no io_uring here");
		}
		ok(r == (room < 3 ? -EMFILE : 0), "room for %d: %s", room,
		   strerror(-r));
		epoll_fd = dup(0);
		ok(epoll_fd == lowest, "a descriptor is left");
		weir_close(&epoll_fd);
	}
}

TAP_MAIN(TEST(reads_with_room), TEST(reads_overrun),
	 TEST(reads_overrun_while_memory_goes), TEST(memory_is_given_back),
	 TEST(buffers_are_few_as_long_as_they_do), TEST(sends_overrun),
	 TEST(edges_overrun), TEST(peers_that_go), TEST(peers_that_go_overrun),
	 TEST(full_after_an_end), TEST(a_reset_behind_bytes),
	 TEST(a_reset_that_reads_outlive), TEST(places_come_again),
	 TEST(overrun_is_not_quiet),
	 TEST(a_ring_that_does_nothing_is_found_out), TEST(rings_come_and_go),
	 TEST(descriptors_run_out))
