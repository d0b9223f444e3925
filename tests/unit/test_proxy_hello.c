/* SPDX-License-Identifier: Apache-2.0 */
/* The hello of a TLS client: its server name, whatever the hello is cut into,
 * and what is no hello. */
#include "hello.h"

#include <errno.h>

#include "buf.h"
#include "cleanup.h"
#include "tap.h"

static char name[WEIR_HELLO_NAME_MAX];

static void put_n(struct weir_buf *b, size_t v, int bytes)
{
	while (bytes--) {
		char c = (char)(v >> (8 * bytes));

		weir_buf_add(b, &c, 1);
	}
}

/* A list of one server name, with sizes that may lie. */
struct sni {
	const char *name;
	int type;
	int list_off; /* added to the size of the list */
	int name_off; /* and of the name */
};

static void put_sni(struct weir_buf *b, const struct sni *s)
{
	size_t n = strlen(s->name);

	put_n(b, 0, 2);
	put_n(b, n + 5, 2);
	put_n(b, (size_t)((int)n + 3 + s->list_off), 2);
	put_n(b, (size_t)s->type, 1);
	put_n(b, (size_t)((int)n + s->name_off), 2);
	weir_buf_addz(b, s->name);
}

/* The message: everything before the extensions, then these. */
static void put_message(struct weir_buf *b, const struct weir_buf *extensions,
			int size_off, int extensions_off)
{
	size_t n = 2 + 32 + 1 + 32 + 2 + 4 + 1 + 1;

	n += extensions ? 2 + extensions->n : 0;
	put_n(b, 1, 1);
	put_n(b, (size_t)((int)n + size_off), 3);
	put_n(b, 0x0303, 2);
	for (int i = 0; i < 32; i++) {
		put_n(b, (size_t)i, 1); /* random */
	}
	put_n(b, 32, 1);
	for (int i = 0; i < 32; i++) {
		put_n(b, 7, 1); /* session id */
	}
	put_n(b, 4, 2);
	put_n(b, 0x13011302, 4);
	put_n(b, 1, 1);
	put_n(b, 0, 1);
	if (extensions) {
		put_n(b, (size_t)((int)extensions->n + extensions_off), 2);
		weir_buf_add(b, extensions->p, extensions->n);
	}
}

/* As records of so many bytes of the message each. */
static void put_records(struct weir_buf *b, const struct weir_buf *message,
			size_t each)
{
	for (size_t at = 0; at < message->n; at += each) {
		size_t n = message->n - at < each ? message->n - at : each;

		put_n(b, 0x160301, 3);
		put_n(b, n, 2);
		weir_buf_add(b, message->p + at, n);
	}
}

static int parse(const struct weir_buf *b, size_t n, struct weir_str *ret)
{
	return weir_hello_parse((const uint8_t *)b->p, n, name, ret);
}

/* What a hello with these extensions is taken for, whole; every part of it
 * must be the same answer already, or ask for more. */
static int take(const struct weir_buf *extensions, struct weir_str *ret)
{
	_cleanup_buf_ struct weir_buf message = {0};
	_cleanup_buf_ struct weir_buf all = {0};
	int want;

	put_message(&message, extensions, 0, 0);
	put_records(&all, &message, 16384);
	want = parse(&all, all.n, ret);
	for (size_t n = 0; n < all.n; n++) {
		struct weir_str part = WEIR_STR_NULL;
		int r = parse(&all, n, &part);

		ok(r == -EAGAIN || (r == want && want < 0),
		   "%d after %zu of %zu", r, n, all.n);
	}
	(void)parse(&all, all.n, ret); /* name was written over */
	return want;
}

static int take_sni(const struct sni *s, struct weir_str *ret)
{
	_cleanup_buf_ struct weir_buf extensions = {0};

	put_n(&extensions, 0x0A0A, 2); /* one that nobody knows */
	put_n(&extensions, 3, 2);
	put_n(&extensions, 0, 3);
	put_sni(&extensions, s);
	put_n(&extensions, 43, 2);
	put_n(&extensions, 0, 2);
	return take(&extensions, ret);
}

static void name_is_found(void)
{
	static const struct {
		const char *text;
		const char *want;
	} names[] = {{"shop.example.com", "shop.example.com"},
		     {"Shop.EXAMPLE.com.", "shop.example.com"},
		     {"a_b-c.9", "a_b-c.9"},
		     {"127.0.0.1", "127.0.0.1"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sni s = {.name = names[i].text};
		struct weir_str got = WEIR_STR_NULL;

		ok(take_sni(&s, &got) == 0 && weir_str_is(got, names[i].want),
		   "%s: %.*s", s.name, (int)got.n, got.p);
	}
}

static void name_is_found_in_records_of_any_size(void)
{
	_cleanup_buf_ struct weir_buf extensions = {0};
	_cleanup_buf_ struct weir_buf message = {0};

	put_sni(&extensions, &(struct sni){.name = "a.example"});
	put_message(&message, &extensions, 0, 0);
	for (size_t each = 1; each <= message.n; each++) {
		_cleanup_buf_ struct weir_buf all = {0};
		struct weir_str got = WEIR_STR_NULL;

		put_records(&all, &message, each);
		ok(parse(&all, all.n, &got) == 0 &&
			   weir_str_is(got, "a.example"),
		   "records of %zu", each);
		ok(parse(&all, all.n - 1, &got) == -EAGAIN, "and one less");
	}
}

static void names_that_none_may_be(void)
{
	static const char *const names[] = {"",    ".",    ".a",  "a..b",
					    "a b", "a/b",  "a:1", "\xC3\xA9",
					    "*.a", "a\x01"};
	char longest[WEIR_HELLO_NAME_MAX + 2];
	struct weir_str got = WEIR_STR_NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sni s = {.name = names[i]};

		ok(take_sni(&s, &got) == -EBADMSG, "\"%s\"", s.name);
	}
	memset(longest, 'a', sizeof(longest));
	longest[WEIR_HELLO_NAME_MAX] = '\0';
	ok(take_sni(&(struct sni){.name = longest}, &got) == 0 &&
		   got.n == WEIR_HELLO_NAME_MAX,
	   "the longest");
	longest[WEIR_HELLO_NAME_MAX] = 'a';
	longest[WEIR_HELLO_NAME_MAX + 1] = '\0';
	ok(take_sni(&(struct sni){.name = longest}, &got) == -EBADMSG,
	   "one more");
}

static void sizes_that_lie(void)
{
	static const struct sni lies[] = {{"a", 1, 0, 0},   {"a", 0, 1, 0},
					  {"a", 0, -1, 0},  {"ab", 0, 0, 1},
					  {"ab", 0, 0, -1}, {"ab", 0, -1, -1}};
	struct weir_str got = WEIR_STR_NULL;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		ok(take_sni(&lies[i], &got) == -EBADMSG, "lie %zu", i);
	}
}

static void extensions_that_are_wrong(void)
{
	_cleanup_buf_ struct weir_buf e = {0};
	struct weir_str got = WEIR_STR_NULL;

	put_sni(&e, &(struct sni){.name = "a"});
	put_sni(&e, &(struct sni){.name = "a"});
	ok(take(&e, &got) == -EBADMSG, "two lists of names");
	e.n = 0;
	put_n(&e, 5, 2);
	put_n(&e, 2, 2);
	put_n(&e, 0, 1);
	ok(take(&e, &got) == -EBADMSG, "longer than all of them");
	e.n = 0;
	put_n(&e, 5, 2);
	put_n(&e, 0, 2);
	put_n(&e, 0, 3);
	ok(take(&e, &got) == -EBADMSG, "bytes that are none");
	e.n = 0;
	put_n(&e, 0, 2);
	put_n(&e, 2, 2);
	put_n(&e, 0, 2);
	put_n(&e, 5, 2);
	put_n(&e, 0, 2);
	ok(take(&e, &got) == -EBADMSG, "an empty list of names");
}

static void hellos_without_a_name(void)
{
	_cleanup_buf_ struct weir_buf e = {0};
	struct weir_str got = WEIR_STR_NULL;

	ok(take(NULL, &got) == 0 && got.p && got.n == 0,
	   "from before extensions were known");
	ok(take(&e, &got) == 0 && got.p && got.n == 0, "no extension");
	put_n(&e, 43, 2);
	put_n(&e, 3, 2);
	put_n(&e, 0x020304, 3);
	ok(take(&e, &got) == 0 && got.p && got.n == 0, "another extension");
}

static void messages_whose_size_lies(void)
{
	_cleanup_buf_ struct weir_buf e = {0};
	struct weir_str got = WEIR_STR_NULL;

	put_sni(&e, &(struct sni){.name = "a"});
	for (int off = -1; off <= 1; off += 2) {
		_cleanup_buf_ struct weir_buf message = {0};
		_cleanup_buf_ struct weir_buf all = {0};

		put_message(&message, &e, off, 0);
		put_records(&all, &message, 16384);
		ok(parse(&all, all.n, &got) == -EBADMSG, "message %d", off);
		message.n = 0;
		all.n = 0;
		put_message(&message, &e, 0, off);
		put_records(&all, &message, 16384);
		ok(parse(&all, all.n, &got) == -EBADMSG, "extensions %d", off);
	}
}

static void bytes_that_are_no_hello(void)
{
	static const struct {
		const char *text;
		size_t n;
		int want;
	} v[] = {{"", 0, -EAGAIN},
		 {"\x16", 1, -EAGAIN},
		 {"G", 1, -EBADMSG},
		 {"GET / HTTP/1.1\r\n", 16, -EBADMSG},
		 {"\x15\x03\x01\x00\x02\x02\x28", 7, -EBADMSG}, /* alert */
		 {"\x16\x02\x01\x00\x02\x01\x00", 7, -EBADMSG}, /* version */
		 {"\x16\x03\x01\x00\x00\x01\x00", 7, -EBADMSG}, /* empty */
		 {"\x16\x03\x01\x40\x01\x01\x00", 7, -EBADMSG}, /* too large */
		 {"\x16\x03\x01\x00\x04\x02\x00\x00\x2A", 9, -EBADMSG},
		 {"\x16\x03\x01\x00\x04\x01\x01\x00\x00", 9, -EBADMSG}};
	struct weir_str got = WEIR_STR_NULL;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		ok(weir_hello_parse((const uint8_t *)v[i].text, v[i].n, name,
				    &got) == v[i].want,
		   "bytes %zu", i);
	}
}

TAP_MAIN(TEST(name_is_found), TEST(name_is_found_in_records_of_any_size),
	 TEST(names_that_none_may_be), TEST(sizes_that_lie),
	 TEST(extensions_that_are_wrong), TEST(hellos_without_a_name),
	 TEST(messages_whose_size_lies), TEST(bytes_that_are_no_hello))
