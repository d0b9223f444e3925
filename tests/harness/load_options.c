/* SPDX-License-Identifier: Apache-2.0 */
#include "load_options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "addr.h"

#define SIZE_LIMIT ((uint64_t)256 << 20)

static const char usage[] =
	"usage: weir-load [options] tcp:ADDR:PORT | udp:ADDR:PORT | "
	"http://HOST[:PORT]/PATH\n"
	"  -c N            units at a time (1)\n"
	"  -n N            units in all\n"
	"  -t SECONDS      or as many as fit (10)\n"
	"  -r RATE         units a second (default: as fast as answers come)\n"
	"  --timeout MS    for one unit (5000)\n"
	"  --bind ADDR     source address\n"
	"  --size N        payload bytes (tcp, udp: 16; http body: 0)\n"
	"  --check-peer    getpeername must name the target\n"
	"  --label TEXT    kept in the output\n"
	"  --live          a line on standard error twice a second\n"
	"  --failures      a line on standard error for each failure\n"
	"  --status FILE   the JSON so far, renewed five times a second\n"
	"http:\n"
	"  --connect A:P   go there, whatever the URL says\n"
	"  --keepalive     many requests on one connection\n"
	"  -X METHOD, -H 'NAME: VALUE', --chunked (body in chunks)\n"
	"  --expect CODE   instead of any 2xx\n"
	"  --check-body    the answer must be the pattern of weir-echo /bytes\n"
	"tcp:\n"
	"  --rounds N      echoes on a connection (1; 0: until the end)\n"
	"  --think MS      between them\n"
	"udp:\n"
	"  --unconnected   sendto() instead of connect()\n"
	"  --reuse         one socket for many datagrams\n";

enum long_option {
	OPTION_TIMEOUT = 256,
	OPTION_BIND,
	OPTION_SIZE,
	OPTION_CHECK_PEER,
	OPTION_LABEL,
	OPTION_LIVE,
	OPTION_FAILURES,
	OPTION_STATUS,
	OPTION_CONNECT,
	OPTION_KEEPALIVE,
	OPTION_CHUNKED,
	OPTION_EXPECT,
	OPTION_CHECK_BODY,
	OPTION_ROUNDS,
	OPTION_THINK,
	OPTION_UNCONNECTED,
	OPTION_REUSE,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"bind", required_argument, NULL, OPTION_BIND},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"check-peer", no_argument, NULL, OPTION_CHECK_PEER},
	{"label", required_argument, NULL, OPTION_LABEL},
	{"live", no_argument, NULL, OPTION_LIVE},
	{"failures", no_argument, NULL, OPTION_FAILURES},
	{"status", required_argument, NULL, OPTION_STATUS},
	{"connect", required_argument, NULL, OPTION_CONNECT},
	{"keepalive", no_argument, NULL, OPTION_KEEPALIVE},
	{"chunked", no_argument, NULL, OPTION_CHUNKED},
	{"expect", required_argument, NULL, OPTION_EXPECT},
	{"check-body", no_argument, NULL, OPTION_CHECK_BODY},
	{"rounds", required_argument, NULL, OPTION_ROUNDS},
	{"think", required_argument, NULL, OPTION_THINK},
	{"unconnected", no_argument, NULL, OPTION_UNCONNECTED},
	{"reuse", no_argument, NULL, OPTION_REUSE},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

/* What is not an option value but makes the request. */
struct parts {
	struct weir_str url;
	const char *connect;
	struct weir_buf headers;
};

static int complain(const char *what, const char *value)
{
	fprintf(stderr, "weir-load: %s: %s\n", what, value);
	return -EINVAL;
}

static int number(const char *text, uint64_t max, uint64_t *ret)
{
	if (weir_str_parse_u64(weir_str_of(text), max, ret) < 0) {
		return complain("not a number in range", text);
	}
	return 0;
}

static int decimal(const char *text, double *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || !(v >= 0 && v < 1e9)) {
		return complain("not a number in range", text);
	}
	*ret = v;
	return 0;
}

static int source(const char *text, struct load_options *opt)
{
	struct weir_ip ip;

	if (weir_ip_parse(weir_str_of(text), &ip) < 0) {
		return complain("not an address", text);
	}
	opt->bind_len = weir_addr_to_sockaddr(&ip, 0, &opt->bind);
	return 0;
}

static int take_flag(int c, struct load_options *opt)
{
	switch (c) {
	case OPTION_CHECK_PEER:
		opt->wants_peer = true;
		return 0;
	case OPTION_LIVE:
		opt->wants_lines = true;
		return 0;
	case OPTION_FAILURES:
		opt->wants_failures = true;
		return 0;
	case OPTION_KEEPALIVE:
		opt->is_keep_alive = true;
		return 0;
	case OPTION_CHUNKED:
		opt->is_chunked = true;
		return 0;
	case OPTION_CHECK_BODY:
		opt->wants_pattern = true;
		return 0;
	case OPTION_UNCONNECTED:
		opt->is_unconnected = true;
		return 0;
	case OPTION_REUSE:
		opt->is_reused = true;
		return 0;
	case OPTION_HELP:
		fputs(usage, stdout);
		return 1;
	}
	fputs(usage, stderr);
	return -EINVAL;
}

static int take(int c, struct load_options *opt, struct parts *parts)
{
	double v = 0;
	int r = 0;

	switch (c) {
	case 'c':
		return number(optarg, 100000, &opt->concurrency);
	case 'n':
		return number(optarg, UINT64_MAX, &opt->total);
	case 't':
		r = decimal(optarg, &v);
		opt->time_ms = (uint64_t)(v * 1000);
		return r;
	case 'r':
		return decimal(optarg, &opt->rate);
	case 'X':
		opt->method = optarg;
		return 0;
	case 'H':
		weir_buf_printf(&parts->headers, "%s\r\n", optarg);
		return 0;
	case OPTION_TIMEOUT:
		return number(optarg, 3600000, &opt->timeout_ms);
	case OPTION_BIND:
		return source(optarg, opt);
	case OPTION_SIZE:
		return number(optarg, SIZE_LIMIT, &opt->size);
	case OPTION_LABEL:
		opt->label = optarg;
		return 0;
	case OPTION_STATUS:
		opt->status_file = optarg;
		return 0;
	case OPTION_CONNECT:
		parts->connect = optarg;
		return 0;
	case OPTION_EXPECT:
		return number(optarg, 599, &opt->expect);
	case OPTION_ROUNDS:
		return number(optarg, UINT64_MAX, &opt->rounds);
	case OPTION_THINK:
		return number(optarg, 3600000, &opt->think_ms);
	}
	return take_flag(c, opt);
}

static int resolve(struct weir_str text, const char *whole,
		   struct load_options *opt)
{
	struct weir_ip ip;
	__be16 port_be;

	if (weir_addr_parse(text, &ip, &port_be) < 0) {
		return complain("no ADDR:PORT (names need --connect)", whole);
	}
	opt->to_len = weir_addr_to_sockaddr(&ip, port_be, &opt->to);
	return 0;
}

static int target_http(struct load_options *opt, struct parts *parts)
{
	char text[WEIR_ADDR_TEXT_MAX + 4];
	ptrdiff_t slash;
	struct weir_str host;

	parts->url = weir_str_skip(weir_str_of(opt->target), 7);
	slash = weir_str_find(parts->url, '/');
	if (slash <= 0) {
		return complain("no host or no path", opt->target);
	}
	host = (struct weir_str){parts->url.p, (size_t)slash};
	if (parts->connect) {
		return resolve(weir_str_of(parts->connect), parts->connect,
			       opt);
	}
	if (host.p[host.n - 1] == ']' || weir_str_find(host, ':') < 0) {
		snprintf(text, sizeof(text), "%.*s:80", WEIR_STR_ARG(host));
		host = weir_str_of(text);
	}
	return resolve(host, opt->target, opt);
}

static void add_pattern(struct weir_buf *b, size_t at, size_t n)
{
	if (weir_buf_reserve(b, n) < 0) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		b->p[b->n + i] = (char)('a' + (at + i) % 26);
	}
	b->n += n;
}

static void add_chunks(struct weir_buf *b, size_t size)
{
	size_t n = 0;

	/* Odd sizes, so that chunk and packet borders do not coincide. */
	for (size_t at = 0; at < size; at += n) {
		n = size - at < 7321 ? size - at : 7321;
		weir_buf_printf(b, "%zx\r\n", n);
		add_pattern(b, at, n);
		weir_buf_addz(b, "\r\n");
	}
	weir_buf_addz(b, "0\r\n\r\n");
}

static void make_request(const struct load_options *opt,
			 const struct parts *parts, struct weir_buf *b)
{
	size_t slash = (size_t)weir_str_find(parts->url, '/');
	struct weir_str path = weir_str_skip(parts->url, slash);

	weir_buf_printf(b, "%s %.*s HTTP/1.1\r\nHost: %.*s\r\n", opt->method,
			WEIR_STR_ARG(path), (int)slash, parts->url.p);
	weir_buf_add_str(b, weir_buf_str(&parts->headers));
	if (!opt->is_keep_alive) {
		weir_buf_addz(b, "Connection: close\r\n");
	}
	if (opt->is_chunked) {
		weir_buf_addz(b, "Transfer-Encoding: chunked\r\n\r\n");
		add_chunks(b, opt->size);
		return;
	}
	if (opt->size) {
		weir_buf_printf(b, "Content-Length: %" PRIu64 "\r\n",
				opt->size);
	}
	weir_buf_addz(b, "\r\n");
	add_pattern(b, 0, opt->size);
}

static int finish(struct load_options *opt, struct parts *parts,
		  struct weir_buf *request)
{
	struct weir_str target = weir_str_of(opt->target);
	bool is_http = weir_str_starts(target, WEIR_STR("http://"));
	int r;

	if (!opt->concurrency || !opt->timeout_ms) {
		return complain("must not be 0", "-c, --timeout");
	}
	if (!opt->total && !opt->time_ms) {
		opt->time_ms = 10000;
	}
	if (opt->size == UINT64_MAX) {
		opt->size = is_http ? 0 : 16;
	}
	if (is_http) {
		opt->mode = LOAD_MODE_HTTP;
		r = target_http(opt, parts);
		if (r == 0) {
			make_request(opt, parts, request);
		}
		return r < 0 ? r : request->error;
	}
	if (weir_str_starts(target, WEIR_STR("tcp:"))) {
		opt->mode = LOAD_MODE_TCP;
	} else if (weir_str_starts(target, WEIR_STR("udp:"))) {
		opt->mode = LOAD_MODE_UDP;
	} else {
		return complain("neither tcp:, udp: nor http://", opt->target);
	}
	add_pattern(request, 0, opt->size);
	r = resolve(weir_str_skip(target, 4), opt->target, opt);
	return r < 0 ? r : request->error;
}

int load_options_parse(int argc, char **argv, struct load_options *opt,
		       struct weir_buf *request)
{
	struct parts parts = {0};
	int r = 0;
	int c;

	*opt = (struct load_options){
		.concurrency = 1,
		.size = UINT64_MAX,
		.rounds = 1,
		.timeout_ms = 5000,
		.method = "GET",
		.label = "",
	};
	while (r == 0 && (c = getopt_long(argc, argv, "c:n:t:r:X:H:",
					  long_options, NULL)) >= 0) {
		r = take(c, opt, &parts);
	}
	if (r == 0 && optind + 1 != argc) {
		fputs(usage, stderr);
		r = -EINVAL;
	}
	if (r == 0) {
		opt->target = argv[optind];
		r = finish(opt, &parts, request);
	}
	weir_buf_fini(&parts.headers);
	return r;
}
