/* SPDX-License-Identifier: Apache-2.0 */
/* What a head seems to ask for, before it is parsed. */
#include "tap.h"
#include "upcoming.h"

static void guesses(void)
{
	static const struct {
		const char *head;
		const char *host; /* NULL: no guess */
		const char *path;
	} c[] = {
		{"GET /a/b HTTP/1.1\r\nHost: x.y\r\n\r\n", "x.y", "/a/b"},
		{"GET /a?b=/c HTTP/1.1\r\nhost:x\r\nA: b\r\n\r\n", "x", "/a"},
		{"POST / HTTP/1.1\nHOST:  x.y:80 \n\n", "x.y", "/"},
		{"GET / HTTP/1.1\r\nHost: x", "x", "/"},
		{"GET / HTTP/1.1\r\nHost: [::1]:80\r\n", "[", "/"},
		{"GET / HTTP/1.1\r\nAccept: */*\r\nHost: x\r\n\r\n", NULL,
		 NULL},
		{"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", NULL, NULL},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", NULL, NULL},
		{"GET ?a HTTP/1.1\r\nHost: x\r\n\r\n", NULL, NULL},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", NULL, NULL},
		{"GET / HTTP/1.1\r\n", NULL, NULL},
		{"GET /", NULL, NULL},
		{"GET", NULL, NULL},
		{" ", NULL, NULL},
		{"\r\n", NULL, NULL},
		{"", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct weir_str host;
		struct weir_str path;
		bool is = weir_upcoming_guess(weir_str_of(c[i].head), &host,
					      &path);

		ok(is == (c[i].host != NULL), "case %zu: %s", i,
		   is ? "a guess" : "none");
		if (is && c[i].host) {
			ok(weir_str_is(host, c[i].host), "host %.*s",
			   WEIR_STR_ARG(host));
			ok(weir_str_is(path, c[i].path), "path %.*s",
			   WEIR_STR_ARG(path));
		}
	}
}

TAP_MAIN(TEST(guesses))
