/* SPDX-License-Identifier: Apache-2.0 */
/* What the test tools count with must itself be right. */
#include <errno.h>
#include <stdlib.h>

#include "http_request.h"
#include "load_http.h"
#include "load_stats.h"
#include "tap.h"

static struct load_stats stats;

static void quantiles_are_right_to_three_percent(void)
{
	static struct load_hist h;

	for (uint64_t us = 1; us <= 100000; us++) {
		load_hist_add(&h, us);
	}
	ok(h.n == 100000 && h.max_us == 100000, "count and maximum");
	for (int q = 1; q < 100; q++) {
		double want = 1000.0 * q;
		double got = (double)load_hist_quantile(&h, q / 100.0);

		ok(got >= want && got <= want * 1.0325, "p%d: %.0f", q, got);
	}
	ok(load_hist_quantile(&h, 1.0) == 100000, "p100 is the maximum");
}

static void huge_latencies_stay_in_the_table(void)
{
	static struct load_hist h;

	load_hist_add(&h, UINT64_MAX);
	load_hist_add(&h, 0);
	ok(load_hist_quantile(&h, 0) == 0, "smallest");
	ok(load_hist_quantile(&h, 0.9) > 1000000000, "largest");
}

static void counts_belong_to_the_phase_they_started_in(void)
{
	load_stats_init(&stats);
	load_stats_ok(&stats, 0, 1000, 5, WEIR_STR("a"));
	ok(load_stats_next_phase(&stats) == 0, "next phase");
	load_stats_ok(&stats, 0, 1500, 5, WEIR_STR("a"));
	load_stats_ok(&stats, 1, 2000, 5, WEIR_STR("b"));
	load_stats_fail(&stats, 1, LOAD_RESET);

	ok(stats.phases[0].completed == 2 && stats.phases[1].completed == 1,
	   "completed");
	ok(stats.phases[0].backends[0].first_us == 1000 &&
		   stats.phases[0].backends[0].last_us == 1500,
	   "first and last");
	ok(stats.phases[1].failed == 1 && stats.errors[LOAD_RESET] == 1,
	   "failed");
	ok(load_stats_completed(&stats) == 3, "sum");
}

static void more_backends_than_places_are_not_lost(void)
{
	char name[32];

	load_stats_init(&stats);
	for (unsigned int i = 0; i < LOAD_BACKENDS_MAX + 10; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		load_stats_ok(&stats, 0, 1, 1, weir_str_of(name));
	}
	ok(load_stats_completed(&stats) == LOAD_BACKENDS_MAX + 10, "all");
	ok(stats.phases[0].backends[LOAD_BACKENDS_MAX - 1].n == 11, "last");
}

/* Feeds text in two pieces cut at each place; true if all agree with want. */
static bool responses_agree(const char *text, bool is_head, int want,
			    unsigned int status, uint64_t body_bytes)
{
	size_t n = strlen(text);

	for (size_t cut = 0; cut <= n; cut++) {
		struct load_response rs = {.is_head = is_head};
		size_t used = 0;
		int r = load_response_feed(&rs, text, cut, &used);
		bool is_good;

		if (r == 0) {
			r = load_response_feed(&rs, text + cut, n - cut, &used);
		}
		is_good = r == want && (r < 0 || (rs.status == status &&
						  rs.body_bytes == body_bytes));
		load_response_reset(&rs);
		if (!is_good) {
			printf("# cut at %zu: %d\n", cut, r);
			return false;
		}
	}
	return true;
}

static void responses_parse_wherever_they_are_cut(void)
{
	ok(responses_agree("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
			   false, 1, 200, 3),
	   "length");
	ok(responses_agree("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true,
			   1, 200, 0),
	   "HEAD");
	ok(responses_agree("HTTP/1.1 204 No Content\r\n\r\n", false, 1, 204, 0),
	   "204");
	ok(responses_agree("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
			   "Transfer-Encoding: chunked\r\n\r\n"
			   "2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n",
			   false, 1, 200, 3),
	   "interim, chunks, trailer");
	ok(responses_agree("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
			   false, 0, 200, 2),
	   "truncated");
	ok(responses_agree("HTTP/1.1 200 OK\r\n\r\nabc", false, 0, 200, 3),
	   "delimited by close");
}

static void broken_responses_are_refused(void)
{
	static const char *const broken[] = {
		"HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
		"Content-Length: 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"2\r\nabc\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		ok(responses_agree(broken[i], false, -EPROTO, 0, 0), "%zu", i);
	}
}

static void chunk_sizes_are_hexadecimal_digits(void)
{
	static const struct {
		const char *text;
		bool is_good;
		uint64_t size;
	} cases[] = {
		{"0\r", true, 0},
		{"1aF\r", true, 0x1af},
		{"10;ext\r", true, 16},
		{"\r", false, 0},
		{"0x10\r", false, 0},
		{"-1\r", false, 0},
		{" 1\r", false, 0},
		{"fffffffffffffff\r", true, 0xfffffffffffffff},
		{"1fffffffffffffff\r", false, 0},
		{"\x11\r", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t size = 0;
		bool is_good = http_chunk_size(weir_str_of(cases[i].text),
					       &size);

		ok(is_good == cases[i].is_good && size == cases[i].size,
		   "%zu: %s", i, cases[i].text);
	}
}

static const char *parse(const char *text, struct http_request *rq)
{
	*rq = (struct http_request){0};
	weir_buf_addz(&rq->head, text);
	return http_request_parse(rq);
}

static void paths_hold_commands(void)
{
	struct http_request rq;

	ok(!parse("GET /api/delay/20/status/503/bytes/7/chunked?/close "
		  "HTTP/1.1\r\nHost: a\r\n\r\n",
		  &rq),
	   "parses");
	ok(rq.wish.delay_ms == 20 && rq.wish.status == 503 &&
		   rq.wish.bytes == 7 && rq.wish.has_bytes &&
		   rq.wish.is_chunked,
	   "all of them");
	ok(!rq.wish.is_close, "not those of the query");
	http_request_reset(&rq);
}

static void bad_requests_are_named(void)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\nHost: a\n\r\n\r\n",
		"GET / HTTP/1.2\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1\r\nA : b\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Content-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Transfer-Encoding: chunked\r\n\r\n",
	};
	struct http_request rq;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ok(parse(bad[i], &rq) != NULL, "%s", bad[i]);
		http_request_reset(&rq);
	}
}

TAP_MAIN(TEST(quantiles_are_right_to_three_percent),
	 TEST(huge_latencies_stay_in_the_table),
	 TEST(counts_belong_to_the_phase_they_started_in),
	 TEST(more_backends_than_places_are_not_lost),
	 TEST(responses_parse_wherever_they_are_cut),
	 TEST(broken_responses_are_refused),
	 TEST(chunk_sizes_are_hexadecimal_digits), TEST(paths_hold_commands),
	 TEST(bad_requests_are_named))
