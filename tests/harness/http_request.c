/* SPDX-License-Identifier: Apache-2.0 */
#include "http_request.h"

#include <stddef.h>

void http_request_reset(struct http_request *rq)
{
	weir_buf_fini(&rq->head);
	weir_buf_fini(&rq->trailer);
	weir_buf_fini(&rq->body);
	*rq = (struct http_request){0};
}

struct weir_str http_next_word(struct weir_str *text, char sep)
{
	ptrdiff_t at = weir_str_find(*text, sep);
	struct weir_str word = {text->p, at < 0 ? text->n : (size_t)at};

	*text = weir_str_skip(*text, at < 0 ? text->n : (size_t)at + 1);
	return word;
}

static void parse_wish(struct weir_str path, struct http_wish *w)
{
	static const struct {
		const char *name;
		size_t offset;
	} flags[] = {
		{"chunked", offsetof(struct http_wish, is_chunked)},
		{"eof", offsetof(struct http_wish, is_eof)},
		{"echo", offsetof(struct http_wish, is_echo)},
		{"close", offsetof(struct http_wish, is_close)},
		{"abort", offsetof(struct http_wish, is_abort)},
		{"truncate", offsetof(struct http_wish, is_truncated)},
		{"interim", offsetof(struct http_wish, is_interim)},
	};
	uint64_t v;

	*w = (struct http_wish){.status = 200};
	path = http_next_word(&path, '?');
	while (path.n) {
		struct weir_str word = http_next_word(&path, '/');
		struct weir_str rest = path;
		struct weir_str arg = http_next_word(&rest, '/');

		for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
			if (weir_str_is(word, flags[i].name)) {
				*(bool *)((char *)w + flags[i].offset) = true;
			}
		}
		if (weir_str_is(word, "bytes") &&
		    weir_str_parse_u64(arg, UINT64_MAX, &v) == 0) {
			w->bytes = v;
			w->has_bytes = true;
		} else if (weir_str_is(word, "delay") &&
			   weir_str_parse_u64(arg, 600000, &v) == 0) {
			w->delay_ms = (unsigned int)v;
		} else if (weir_str_is(word, "status") && arg.n == 3 &&
			   weir_str_parse_u64(arg, 599, &v) == 0 && v >= 200) {
			w->status = (unsigned int)v;
		}
	}
}

/* One field line without its end.  NULL, or what is wrong with it. */
static const char *parse_field(struct http_request *rq, struct weir_str line,
			       bool *has_length)
{
	struct weir_str value = line;
	struct weir_str name = http_next_word(&value, ':');
	uint64_t n;

	if (name.n == line.n || name.n == 0) {
		return "field line without a name";
	}
	if (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t' ||
	    name.p[0] == ' ' || name.p[0] == '\t') {
		return "blank around a field name";
	}
	value = weir_str_trim(value);
	if (weir_str_eq_nocase(name, WEIR_STR("Content-Length"))) {
		if (*has_length ||
		    weir_str_parse_u64(value, UINT64_MAX / 2, &n) < 0) {
			return "bad Content-Length";
		}
		*has_length = true;
		rq->left = n;
	} else if (weir_str_eq_nocase(name, WEIR_STR("Transfer-Encoding"))) {
		if (rq->is_body_chunked ||
		    !weir_str_eq_nocase(value, WEIR_STR("chunked"))) {
			return "bad Transfer-Encoding";
		}
		rq->is_body_chunked = true;
	} else if (weir_str_eq_nocase(name, WEIR_STR("Connection"))) {
		while (value.n) {
			struct weir_str t = weir_str_trim(
				http_next_word(&value, ','));

			if (weir_str_eq_nocase(t, WEIR_STR("close"))) {
				rq->is_keep_alive = false;
			} else if (weir_str_eq_nocase(t,
						      WEIR_STR("keep-alive"))) {
				rq->is_keep_alive = true;
			}
		}
	} else if (weir_str_eq_nocase(name, WEIR_STR("Expect"))) {
		rq->wants_continue = true;
	}
	return NULL;
}

const char *http_request_parse(struct http_request *rq)
{
	struct weir_str head = weir_buf_str(&rq->head);
	struct weir_str line = http_next_word(&head, '\n');
	struct weir_str version;
	bool has_length = false;
	const char *why;

	if (line.n == 0 || line.p[line.n - 1] != '\r') {
		return "line ends without CR";
	}
	line.n--;
	rq->method = http_next_word(&line, ' ');
	rq->target = http_next_word(&line, ' ');
	version = line;
	if (rq->method.n == 0 || rq->target.n == 0 || version.n != 8 ||
	    memcmp(version.p, "HTTP/1.", 7) != 0 ||
	    (version.p[7] != '0' && version.p[7] != '1')) {
		return "bad request line";
	}
	rq->minor = (unsigned int)(version.p[7] - '0');
	rq->is_keep_alive = rq->minor == 1;
	for (;;) {
		line = http_next_word(&head, '\n');
		if (line.n == 0 || line.p[line.n - 1] != '\r') {
			return "line ends without CR";
		}
		if (--line.n == 0) {
			break;
		}
		why = parse_field(rq, line, &has_length);
		if (why) {
			return why;
		}
	}
	if (has_length && rq->is_body_chunked) {
		return "both Content-Length and Transfer-Encoding";
	}
	parse_wish(rq->target, &rq->wish);
	return NULL;
}

void http_request_body(struct http_request *rq, struct weir_str s)
{
	if (rq->body_bytes == 0) {
		rq->is_body_pattern = true;
	}
	for (size_t i = 0; rq->is_body_pattern && i < s.n; i++) {
		rq->is_body_pattern = s.p[i] ==
				      (char)('a' + (rq->body_bytes + i) % 26);
	}
	rq->body_bytes += s.n;
	if (rq->body.n < HTTP_BODY_KEEP) {
		size_t room = HTTP_BODY_KEEP - rq->body.n;

		weir_buf_add(&rq->body, s.p, s.n < room ? s.n : room);
	}
}

bool http_chunk_size(struct weir_str line, uint64_t *ret_size)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t size = 0;
	size_t n = 0;

	for (; n < line.n && line.p[n] != ';' && line.p[n] != '\r'; n++) {
		const char *d = line.p[n] ? strchr(digits, line.p[n] | 0x20)
					  : NULL;

		/* | 0x20 also maps control characters onto digits. */
		if (!d || line.p[n] < '0' || n >= 15) {
			return false;
		}
		size = size * 16 + (uint64_t)(d - digits);
	}
	if (n == 0) {
		return false;
	}
	*ret_size = size;
	return true;
}
