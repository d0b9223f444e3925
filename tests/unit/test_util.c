/* SPDX-License-Identifier: Apache-2.0 */
/* agent/util: strings, arena, buffer, map, addresses, loop, descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "arena.h"
#include "base64.h"
#include "buf.h"
#include "cleanup.h"
#include "fdutil.h"
#include "keyed.h"
#include "loop.h"
#include "map.h"
#include "str.h"
#include "tap.h"

static void numbers_are_decimal_and_bounded(void)
{
	static const struct {
		const char *text;
		uint64_t max;
		int r;
		uint64_t value;
	} cases[] = {
		{"0", 10, 0, 0},
		{"65535", 65535, 0, 65535},
		{"65536", 65535, -ERANGE, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"", 10, -EINVAL, 0},
		{"+1", 10, -EINVAL, 0},
		{"-1", 10, -EINVAL, 0},
		{" 1", 10, -EINVAL, 0},
		{"1a", 10, -EINVAL, 0},
		{"0x1", 10, -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 0;
		int r = weir_str_parse_u64(weir_str_of(cases[i].text),
					   cases[i].max, &v);

		ok(r == cases[i].r, "'%s' gave %d", cases[i].text, r);
		ok(v == cases[i].value, "'%s' value", cases[i].text);
	}
}

static void strings_compare_bytewise(void)
{
	struct weir_str list = WEIR_STR("a,,bc");

	ok(weir_str_cmp(WEIR_STR("a"), WEIR_STR("ab")) < 0, "prefix first");
	ok(weir_str_cmp(WEIR_STR("b"), WEIR_STR("ab")) > 0, "b after ab");
	ok(weir_str_cmp(WEIR_STR_NULL, WEIR_STR("")) == 0, "null is empty");
	ok(weir_str_eq_nocase(WEIR_STR("Host"), WEIR_STR("hOST")), "nocase");
	ok(!weir_str_eq_nocase(WEIR_STR("a["), WEIR_STR("a{")), "letters only");
	ok(weir_str_starts(WEIR_STR("/ab"), WEIR_STR("/a")), "starts");
	ok(!weir_str_starts(WEIR_STR("/"), WEIR_STR("/a")), "too short");
	ok(weir_str_ends(WEIR_STR("a.b.c"), WEIR_STR(".c")), "ends");
	ok(weir_str_is(weir_str_trim(WEIR_STR(" \tx y\t ")), "x y"), "trim");
	ok(weir_str_skip(WEIR_STR("abc"), 9).n == 0, "skip past the end");
	ok(weir_str_is(weir_str_word(&list, ','), "a") &&
		   weir_str_is(weir_str_word(&list, ','), "") &&
		   weir_str_is(list, "bc"),
	   "words");
	ok(weir_str_is(weir_str_word(&list, ','), "bc") && list.n == 0 &&
		   weir_str_word(&list, ',').n == 0,
	   "the last word");
	for (size_t n = 0; n < 9; n++) {
		static const size_t want[] = {0, 1, 1, 1, 4, 4, 6, 7, 7};

		ok(weir_str_cut(WEIR_STR("a\u20ac\u00e9z"), n).n == want[n],
		   "cut at %zu", n);
	}
}

static void hashes_depend_on_every_byte_and_the_length(void)
{
	char text[40] = {0};
	uint64_t base = weir_hash64(text, sizeof(text), 1);

	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = 1;
		ok(weir_hash64(text, sizeof(text), 1) != base, "byte %zu", i);
		text[i] = 0;
	}
	ok(weir_hash64(text, 8, 1) != weir_hash64(text, 9, 1), "length");
	ok(weir_hash64(text, 8, 1) != weir_hash64(text, 8, 2), "seed");
}

static void arena_memory_is_zeroed_and_aligned(void)
{
	struct weir_arena a;

	weir_arena_init(&a, 64);
	for (size_t n = 1; n < 5000; n += 37) {
		unsigned char *p = weir_arena_alloc(&a, n);

		must(p, "alloc %zu", n);
		ok((uintptr_t)p % 8 == 0, "aligned");
		for (size_t i = 0; i < n; i++) {
			if (!ok(p[i] == 0, "zero at %zu of %zu", i, n)) {
				break;
			}
		}
		memset(p, 0xff, n);
	}
	ok(!weir_arena_array(&a, SIZE_MAX / 2, 4), "overflow refused");
	ok(!weir_arena_alloc(&a, SIZE_MAX), "absurd size refused");
	ok(weir_str_is(weir_arena_printf(&a, "%s-%d", "x", 7), "x-7"),
	   "printf");
	ok(weir_str_is(weir_arena_dup(&a, WEIR_STR("dup")), "dup"), "dup");
	weir_arena_fini(&a);
}

static void json_strings_are_escaped(void)
{
	_cleanup_buf_ struct weir_buf b = {0};

	weir_buf_add_json(&b,
			  WEIR_STR("a\"b\\c\n\x01\xc3\xa9\xff\xed\xa0\x80"));
	ok(weir_str_is(weir_buf_str(&b), "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9"
					 "\\ufffd\\ufffd\\ufffd\\ufffd\""),
	   "got %.*s", WEIR_STR_ARG(weir_buf_str(&b)));
}

/* Plans and counters of another version have them: they may not change. */
static uint64_t plain_hash(const unsigned char *b, size_t n, uint64_t seed)
{
	uint64_t h = seed ^ (0xD6E8FEB86659FD93u + n);

	for (size_t i = 0; i <= n; i += 8) {
		__uint128_t m;
		uint64_t v = 0;

		if (n - i >= 8) {
			memcpy(&v, b + i, 8);
		} else if (n - i) {
			memcpy(&v, b + i, n - i);
			v++;
		} else {
			break;
		}
		m = (__uint128_t)(h ^ v) * 0x9E3779B97F4A7C15u;
		h = (uint64_t)m ^ (uint64_t)(m >> 64);
	}
	{
		__uint128_t m = (__uint128_t)(h ^ 0xA0761D6478BD642Fu) *
				0x9E3779B97F4A7C15u;

		return (uint64_t)m ^ (uint64_t)(m >> 64);
	}
}

static void hashes_stay_what_they_are(void)
{
	unsigned char text[80];

	for (size_t n = 0; n <= 64; n++) {
		for (size_t i = 0; i < sizeof(text); i++) {
			text[i] = (unsigned char)(i * 37 + n * 11 + 200);
		}
		ok(weir_hash64(text + 8, n, n) == plain_hash(text + 8, n, n),
		   "of %zu bytes", n);
	}
}

static void map_agrees_with_a_plain_array(void)
{
	enum { KEYS = 512 };
	struct weir_map m = {0};
	uint64_t want[KEYS] = {0};
	unsigned seed = 1;
	size_t n = 0;

	for (int i = 0; i < 20000; i++) {
		uint64_t key;
		uint64_t got;

		seed = seed * 1103515245u + 12345u;
		key = (seed >> 8) % KEYS;
		if (seed & 0x80) {
			must(weir_map_put(&m, key, (uint64_t)i + 1) == 0,
			     "put");
			want[key] = (uint64_t)i + 1;
		} else {
			/* Keys 0 and 1 share a place by design: skip the clash.
			 */
			key = key < 2 ? 2 : key;
			ok(weir_map_del(&m, key) == (want[key] != 0), "del");
			want[key] = 0;
		}
		want[0] = want[1] = 0;
		weir_map_del(&m, 0);
		key = 2 + (seed >> 16) % (KEYS - 2);
		if (weir_map_get(&m, key, &got)) {
			ok(got == want[key], "value of %llu",
			   (unsigned long long)key);
		} else {
			ok(want[key] == 0, "lost %llu",
			   (unsigned long long)key);
		}
	}
	for (int i = 0; i < KEYS; i++) {
		n += want[i] != 0;
	}
	ok(m.n == n, "%zu entries, want %zu", m.n, n);
	weir_map_fini(&m);
}

static void map_with_room_does_not_move(void)
{
	struct weir_map m = {0};
	const struct weir_map_place *places;
	uint64_t got;

	must(weir_map_put(&m, 7, 70) == 0, "put");
	must(weir_map_reserve(&m, 1000) == 0, "reserve");
	places = m.places;
	for (uint64_t i = 8; i < 1007; i++) {
		must(weir_map_put(&m, i, i * 10) == 0, "put");
	}
	ok(m.n == 1000 && m.places == places, "%zu entries where room was",
	   m.n);
	must(weir_map_reserve(&m, 10) == 0, "reserve less");
	ok(m.places == places, "it never shrinks");
	for (uint64_t i = 7; i < 1007; i++) {
		ok(weir_map_get(&m, i, &got) && got == i * 10, "lost %llu",
		   (unsigned long long)i);
	}
	ok(weir_map_reserve(&m, SIZE_MAX) == -ENOMEM && m.n == 1000,
	   "too much is refused, what is there stays");
	weir_map_fini(&m);
}

static void addresses_round_trip(void)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{"10.0.0.1:80", 0},
		{"[fd00::1]:8080", 0},
		{"127.0.0.1:65535", 0},
		{"fd00::1:80", -EINVAL},
		{"10.0.0.1", -EINVAL},
		{"10.0.0.1:", -EINVAL},
		{"10.0.0.1:65536", -EINVAL},
		{"10.0.0:80", -EINVAL},
		{":80", -EINVAL},
		{"[]:80", -EINVAL},
		{"10.0.0.1 :80", -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[WEIR_ADDR_TEXT_MAX];
		struct sockaddr_storage sa;
		struct weir_ip ip;
		struct weir_ip back;
		__be16 port_be;
		__be16 back_be;
		int r = weir_addr_parse(weir_str_of(cases[i].text), &ip,
					&port_be);

		ok(r == cases[i].r, "'%s' gave %d", cases[i].text, r);
		if (r < 0) {
			continue;
		}
		ok(strcmp(weir_addr_format(&ip, port_be, out), cases[i].text) ==
			   0,
		   "%s came back as %s", cases[i].text, out);
		weir_addr_to_sockaddr(&ip, port_be, &sa);
		must(weir_addr_from_sockaddr(&sa, &back, &back_be) == 0,
		     "from");
		ok(weir_ip_eq(&ip, &back) && port_be == back_be, "sockaddr");
	}
}

static int fired[3];

static void on_timer(struct weir_timer *t)
{
	static int order;

	fired[*(int *)t->arg] = ++order;
}

static struct weir_loop *the_loop;

static void on_last(struct weir_timer *t)
{
	on_timer(t);
	weir_loop_stop(the_loop, 42);
}

static void on_readable(struct weir_io *io, uint32_t events)
{
	char c;

	ok(events & EPOLLIN, "events %x", events);
	ok(read(io->fd, &c, 1) == 1, "read");
	*(int *)io->arg += 1;
	weir_loop_del(the_loop, io);
}

static void loop_runs_timers_in_order_and_io_once(void)
{
	static int ids[] = {0, 1, 2};
	struct weir_timer t[] = {{.fn = on_timer, .arg = &ids[0]},
				 {.fn = on_timer, .arg = &ids[1]},
				 {.fn = on_last, .arg = &ids[2]}};
	struct weir_timer never = {.fn = on_timer, .arg = &ids[0]};
	int reads = 0;
	int p[2];
	struct weir_io io = {.fn = on_readable, .arg = &reads};

	must(weir_loop_new(&the_loop) == 0, "new");
	must(pipe2(p, O_CLOEXEC) == 0, "pipe");
	io.fd = p[0];
	must(weir_loop_add(the_loop, &io, EPOLLIN) == 0, "add");
	must(write(p[1], "xy", 2) == 2, "write");
	weir_loop_arm(the_loop, &t[1], 20);
	weir_loop_arm(the_loop, &t[2], 30);
	weir_loop_arm(the_loop, &t[0], 10);
	weir_loop_arm(the_loop, &never, 5);
	weir_loop_disarm(the_loop, &never);
	ok(weir_loop_run(the_loop) == 42, "result");
	ok(fired[0] == 1 && fired[1] == 2 && fired[2] == 3, "%d %d %d",
	   fired[0], fired[1], fired[2]);
	ok(reads == 1, "removed source was called %d times", reads);
	weir_close(&p[0]);
	weir_close(&p[1]);
	weir_loop_free(&the_loop);
}

static void sealed_memfds_cannot_be_written(void)
{
	_cleanup_close_ int fd = -1;
	const void *p;
	size_t n;

	must(weir_memfd_sealed("test", "hello", 5, &fd) == 0, "memfd");
	ok(write(fd, "x", 1) < 0 && errno == EPERM, "write is refused");
	ok(ftruncate(fd, 1) < 0, "truncate is refused");
	ok(mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
		   MAP_FAILED,
	   "a writable mapping is refused");
	must(weir_map_fd(fd, &p, &n) == 0, "map");
	ok(n == 5 && memcmp(p, "hello", 5) == 0, "content");
	weir_unmap(&p, n);
}

static void descriptors_travel(void)
{
	_cleanup_close_ int fd = -1;
	int pair[2];
	int got[WEIR_FDS_MAX];
	char text[16];
	size_t n_got;
	const void *p;
	size_t n;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0,
	     "pair");
	must(weir_memfd_sealed("test", "abc", 3, &fd) == 0, "memfd");
	must(weir_send_fds(pair[0], "msg", 3, (int[]){fd, fd}, 2) == 0, "send");
	ok(weir_recv_fds(pair[1], text, sizeof(text), got, &n_got) == 3,
	   "bytes");
	must(n_got == 2, "%zu descriptors", n_got);
	must(weir_map_fd(got[1], &p, &n) == 0, "map");
	ok(n == 3 && memcmp(p, "abc", 3) == 0, "content");
	weir_unmap(&p, n);
	weir_close(&got[0]);
	weir_close(&got[1]);
	weir_close(&pair[0]);
	ok(weir_recv_fds(pair[1], text, sizeof(text), got, &n_got) == 0, "end");
	weir_close(&pair[1]);
}

static void base64_decodes_what_rfc_4648_shows(void)
{
	static const struct {
		const char *text;
		const char *value; /* NULL: refused */
	} cases[] = {
		{"", ""},
		{"Zg==", "f"},
		{"Zm8=", "fo"},
		{"Zm9v", "foo"},
		{"Zm9vYmFy", "foobar"},
		{"Zm9v\r\nYmFy\n", "foobar"},
		{"+/+/", "\xfb\xff\xbf"},
		{"Zg=", NULL},
		{"Zg", NULL},
		{"Zg==Zg==", NULL},
		{"Z===", NULL},
		{"Zm9v Zm9v", NULL},
		{"Zm-v", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct weir_buf b = {0};
		int r;

		weir_buf_addz(&b, "before");
		r = weir_base64_decode(weir_str_of(cases[i].text), &b);
		ok(r == (cases[i].value ? 0 : -EINVAL), "'%s' gave %d",
		   cases[i].text, r);
		ok(weir_str_eq(weir_str_skip(weir_buf_str(&b), 6),
			       weir_str_of(cases[i].value)),
		   "'%s' value", cases[i].text);
	}
}

/* The paper's appendix A, and two of the vectors that come with its code. */
static void siphash_is_as_published(void)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} c[] = {{0, 0x726FDB47DD0E0E31u},
		 {8, 0x93F5F5799A932462u},
		 {15, 0xA129CA6149BE45E5u},
		 {63, 0x958A324CEB064572u}};
	static const uint64_t key[2] = {0x0706050403020100u,
					0x0F0E0D0C0B0A0908u};
	unsigned char in[64];

	for (unsigned i = 0; i < sizeof(in); i++) {
		in[i] = (unsigned char)i;
	}
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		ok(weir_siphash(key, in, c[i].n) == c[i].hash, "%zu bytes",
		   c[i].n);
	}
	ok(weir_keyed_hash("ab", 2, 0) == weir_keyed_hash("ab", 2, 0),
	   "one key in a process");
	ok(weir_keyed_hash("ab", 2, 0) != weir_siphash(key, "ab", 2),
	   "not that one");
	ok(weir_keyed_hash("ab", 2, 0) != weir_keyed_hash("ab", 2, 1),
	   "what comes before it counts");
}

TAP_MAIN(TEST(numbers_are_decimal_and_bounded), TEST(strings_compare_bytewise),
	 TEST(hashes_depend_on_every_byte_and_the_length),
	 TEST(siphash_is_as_published),
	 TEST(arena_memory_is_zeroed_and_aligned),
	 TEST(base64_decodes_what_rfc_4648_shows),
	 TEST(json_strings_are_escaped), TEST(hashes_stay_what_they_are),
	 TEST(map_agrees_with_a_plain_array), TEST(map_with_room_does_not_move),
	 TEST(addresses_round_trip),
	 TEST(loop_runs_timers_in_order_and_io_once),
	 TEST(sealed_memfds_cannot_be_written), TEST(descriptors_travel))
