/* SPDX-License-Identifier: Apache-2.0 */
/* Formats and durations: what is taken, what is not. */
#include <errno.h>

#include "schema.h"
#include "tap.h"

struct format_case {
	const struct weir_format *format;
	struct weir_str text;
	bool is_valid;
};

#define X60 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct format_case cases[] = {
	{&weir_format_subdomain, WEIR_STR("a"), true},
	{&weir_format_subdomain, WEIR_STR("a-b.c1"), true},
	{&weir_format_subdomain, WEIR_STR(""), false},
	{&weir_format_subdomain, WEIR_STR("a."), false},
	{&weir_format_subdomain, WEIR_STR(".a"), false},
	{&weir_format_subdomain, WEIR_STR("a..b"), false},
	{&weir_format_subdomain, WEIR_STR("-a"), false},
	{&weir_format_subdomain, WEIR_STR("a-"), false},
	{&weir_format_subdomain, WEIR_STR("a_b"), false},
	{&weir_format_subdomain, WEIR_STR(X60 "xxx"), true},
	{&weir_format_subdomain, WEIR_STR(X60 "xxxx"), true},
	{&weir_format_subdomain, WEIR_STR(X60 X60 X60 X60 "xxxxxxxxxxxxx"),
	 true},
	{&weir_format_subdomain, WEIR_STR(X60 X60 X60 X60 "xxxxxxxxxxxxxx"),
	 false},
	{&weir_format_subdomain,
	 WEIR_STR(X60 ".x." X60 ".x." X60 ".x." X60 ".xxx"), true},
	{&weir_format_subdomain,
	 WEIR_STR(X60 ".x." X60 ".x." X60 ".x." X60 ".xxxx"), false},
	{&weir_format_label, WEIR_STR("a.b"), false},
	{&weir_format_label, WEIR_STR(X60 "xxx"), true},
	{&weir_format_label, WEIR_STR(X60 "xxxx"), false},
	{&weir_format_hostname, WEIR_STR("*.a"), true},
	{&weir_format_hostname, WEIR_STR("*"), false},
	{&weir_format_hostname, WEIR_STR("*a.b"), false},
	{&weir_format_hostname, WEIR_STR("a.*"), false},
	{&weir_format_hostname, WEIR_STR("10.0.0.1"), false},
	{&weir_format_hostname, WEIR_STR("*.10.0.0.1"), false},
	{&weir_format_hostname, WEIR_STR("fd00::1"), false},
	{&weir_format_hostname, WEIR_STR("a:80"), false},
	{&weir_format_precise_hostname, WEIR_STR("*.a"), false},
	{&weir_format_group, WEIR_STR(""), true},
	{&weir_format_group, WEIR_STR("A"), false},
	{&weir_format_kind, WEIR_STR("Service"), true},
	{&weir_format_kind, WEIR_STR("1a"), false},
	{&weir_format_kind, WEIR_STR("a/b"), false},
	{&weir_format_token, WEIR_STR("X-A_b.c~"), true},
	{&weir_format_token, WEIR_STR(""), false},
	{&weir_format_token, WEIR_STR("a:"), false},
	{&weir_format_token, WEIR_STR("a\0"), false},
	{&weir_format_token, WEIR_STR(":path"), false},
	{&weir_format_header_value, WEIR_STR("a, b;q=\"\xC3\xA9\""), true},
	{&weir_format_header_value, WEIR_STR(""), false},
	{&weir_format_header_value, WEIR_STR(" a"), false},
	{&weir_format_header_value, WEIR_STR("a\t"), false},
	{&weir_format_header_value, WEIR_STR("a\nb"), false},
	{&weir_format_header_value, WEIR_STR("a\0b"), false},
	{&weir_format_path, WEIR_STR("/"), true},
	{&weir_format_path, WEIR_STR("/a.b/..c/%20"), true},
	{&weir_format_path, WEIR_STR(""), false},
	{&weir_format_path, WEIR_STR("/a/./b"), false},
	{&weir_format_path, WEIR_STR("/a/../b"), false},
	{&weir_format_path, WEIR_STR("/a/."), false},
	{&weir_format_path, WEIR_STR("/a b"), false},
	{&weir_format_path, WEIR_STR("/a?b"), false},
	{&weir_format_path, WEIR_STR("/a\"b"), false},
	{&weir_format_path, WEIR_STR("/\xc3\xbc"), false},
	{&weir_format_path, WEIR_STR("/%C3%BC"), true},
	{&weir_format_path, WEIR_STR("/%2"), false},
	{&weir_format_path, WEIR_STR("/%g0"), false},
	{&weir_format_path, WEIR_STR("/-._~!$&'()*+,;=:@"), true},
	{&weir_format_rewrite_path, WEIR_STR("/a?b"), false},
	{&weir_format_rewrite_path, WEIR_STR("/\xc3\xbc"), false},
	{&weir_format_path, WEIR_STR("/a#b"), false},
	{&weir_format_path, WEIR_STR("/%2f"), false},
	{&weir_format_rewrite_path, WEIR_STR(""), true},
	{&weir_format_rewrite_path, WEIR_STR("a"), false},
	{&weir_format_rewrite_path, WEIR_STR("/a\r"), false},
	{&weir_format_controller, WEIR_STR("weir.dev/gateway-controller"),
	 true},
	{&weir_format_controller, WEIR_STR("weir.dev/"), false},
	{&weir_format_controller, WEIR_STR("/x"), false},
	{&weir_format_protocol, WEIR_STR("HTTP"), true},
	{&weir_format_protocol, WEIR_STR("example.com/bar"), true},
	{&weir_format_protocol, WEIR_STR("-"), false},
	{&weir_format_grpc_service, WEIR_STR("a.b.C_1"), true},
	{&weir_format_grpc_service, WEIR_STR("a..b"), false},
	{&weir_format_grpc_method, WEIR_STR("a.b"), false},
};

static void formats_take_what_the_api_takes(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct format_case *c = &cases[i];

		ok(c->format->is_valid(c->text) == c->is_valid,
		   "%zu: \"%.*s\" as %s", i, WEIR_STR_ARG(c->text),
		   c->format->expected);
	}
}

static void durations_are_those_of_gep_2257(void)
{
	static const struct {
		const char *text;
		int r;
		uint32_t ms;
	} durations[] = {
		{"0s", 0, 0},
		{"10ms", 0, 10},
		{"1s", 0, 1000},
		{"1m", 0, 60000},
		{"1h1m1s1ms", 0, 3661001},
		{"99999ms", 0, 99999},
		{"99999h", 0, UINT32_MAX},
		{"", -EINVAL, 0},
		{"1", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"1.5s", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1d", -EINVAL, 0},
		{"100000s", -EINVAL, 0},
		{"1s1s1s1s1s", -EINVAL, 0},
		{"1s ", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		uint32_t ms = 0;
		int r = weir_duration_parse(weir_str_of(durations[i].text),
					    &ms);

		ok(r == durations[i].r && ms == durations[i].ms, "%s: %d %u",
		   durations[i].text, r, ms);
	}
}

static void shown_texts_are_harmless(void)
{
	char out[WEIR_SHOWN_MAX];
	char longer[200];

	memset(longer, 'a', sizeof(longer));
	ok(strcmp(weir_shown(WEIR_STR("a\nb\x1B[1m"), out), "a?b?[1m") == 0,
	   "%s", out);
	ok(strlen(weir_shown((struct weir_str){longer, sizeof(longer)}, out)) ==
		   WEIR_SHOWN_MAX - 1,
	   "%zu", strlen(out));
	ok(strcmp(out + WEIR_SHOWN_MAX - 4, "...") == 0, "%s", out);
	ok(strcmp(weir_shown(WEIR_STR_NULL, out), "") == 0, "%s", out);
}

TAP_MAIN(TEST(formats_take_what_the_api_takes),
	 TEST(durations_are_those_of_gep_2257), TEST(shown_texts_are_harmless))
