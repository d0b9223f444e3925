/* SPDX-License-Identifier: Apache-2.0 */
#include "load_http.h"

#include <errno.h>
#include <sys/types.h>

#include "http_request.h"

#define HEAD_MAX ((size_t)256 << 10)
#define LINE_MAX_BYTES 8192

void load_response_reset(struct load_response *rs)
{
	weir_buf_fini(&rs->head);
	weir_buf_fini(&rs->line);
	*rs = (struct load_response){0};
}

static int parse_status(struct load_response *rs, struct weir_str line)
{
	uint64_t status;

	if (line.n < 13 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
	    (line.p[7] != '0' && line.p[7] != '1') || line.p[8] != ' ' ||
	    line.p[12] != ' ' ||
	    weir_str_parse_u64((struct weir_str){line.p + 9, 3}, 599, &status) <
		    0 ||
	    status < 100) {
		return -EPROTO;
	}
	rs->status = (unsigned int)status;
	rs->is_close = line.p[7] == '0';
	return 0;
}

static int parse_field(struct load_response *rs, struct weir_str line,
		       bool *has_length, bool *is_chunked)
{
	struct weir_str value = line;
	struct weir_str name = http_next_word(&value, ':');

	if (name.n == 0 || name.n == line.n) {
		return -EPROTO;
	}
	value = weir_str_trim(value);
	if (weir_str_eq_nocase(name, WEIR_STR("Content-Length"))) {
		if (*has_length ||
		    weir_str_parse_u64(value, UINT64_MAX / 2, &rs->left) < 0) {
			return -EPROTO;
		}
		*has_length = true;
	} else if (weir_str_eq_nocase(name, WEIR_STR("Transfer-Encoding"))) {
		if (*is_chunked ||
		    !weir_str_eq_nocase(value, WEIR_STR("chunked"))) {
			return -EPROTO;
		}
		*is_chunked = true;
	} else if (weir_str_eq_nocase(name, WEIR_STR("Connection"))) {
		if (weir_str_eq_nocase(value, WEIR_STR("close"))) {
			rs->is_close = true;
		} else if (weir_str_eq_nocase(value, WEIR_STR("keep-alive"))) {
			rs->is_close = false;
		}
	} else if (weir_str_eq_nocase(name, WEIR_STR("X-Backend"))) {
		rs->backend = value;
	}
	return 0;
}

/* RFC 9112 section 6.3: how long the body is. */
static int parse_head(struct load_response *rs)
{
	struct weir_str head = weir_buf_str(&rs->head);
	struct weir_str line = http_next_word(&head, '\n');
	bool has_length = false;
	bool is_chunked = false;
	int r = parse_status(rs, line);

	while (r == 0) {
		line = http_next_word(&head, '\n');
		if (line.n == 0 || line.p[line.n - 1] != '\r') {
			return -EPROTO;
		}
		if (--line.n == 0) {
			break;
		}
		r = parse_field(rs, line, &has_length, &is_chunked);
	}
	if (r < 0 || (has_length && is_chunked)) {
		return -EPROTO;
	}
	rs->is_pattern = true;
	if (rs->status < 200 && rs->status != 101) {
		rs->head.n = 0; /* interim: the final one follows */
		rs->backend = WEIR_STR_NULL;
		rs->state = LOAD_HTTP_HEAD;
	} else if (rs->is_head || rs->status == 204 || rs->status == 304 ||
		   (has_length && rs->left == 0)) {
		rs->state = LOAD_HTTP_DONE;
	} else if (is_chunked) {
		rs->state = LOAD_HTTP_SIZE;
	} else if (has_length) {
		rs->state = LOAD_HTTP_LENGTH;
	} else {
		rs->state = LOAD_HTTP_EOF;
		rs->is_close = true;
	}
	return 0;
}

/* Bytes of the head up to its empty line.  Returns how many it took. */
static ssize_t feed_head(struct load_response *rs, const char *p, size_t n)
{
	size_t before = rs->head.n;
	size_t from = before > 3 ? before - 3 : 0;
	const char *end;

	weir_buf_add(&rs->head, p, n);
	if (rs->head.error) {
		return -EPROTO;
	}
	end = memmem(rs->head.p + from, rs->head.n - from, "\r\n\r\n", 4);
	if (!end) {
		return rs->head.n > HEAD_MAX ? -EPROTO : (ssize_t)n;
	}
	rs->head.n = (size_t)(end - rs->head.p) + 4;
	n = rs->head.n - before;
	return parse_head(rs) < 0 ? -EPROTO : (ssize_t)n;
}

/* Bytes of a chunk-size, chunk-end or trailer line. */
static ssize_t feed_line(struct load_response *rs, const char *p, size_t n)
{
	const char *eol = memchr(p, '\n', n);
	struct weir_str line;

	n = eol ? (size_t)(eol - p) + 1 : n;
	weir_buf_add(&rs->line, p, n);
	if (rs->line.error || rs->line.n > LINE_MAX_BYTES) {
		return -EPROTO;
	}
	if (!eol) {
		return (ssize_t)n;
	}
	line = weir_buf_str(&rs->line);
	rs->line.n = 0;
	if (line.n < 2 || line.p[line.n - 2] != '\r') {
		return -EPROTO;
	}
	if (rs->state == LOAD_HTTP_CRLF) {
		rs->state = LOAD_HTTP_SIZE;
		return line.n == 2 ? (ssize_t)n : -EPROTO;
	}
	if (rs->state == LOAD_HTTP_TRAILER) {
		rs->state = line.n == 2 ? LOAD_HTTP_DONE : LOAD_HTTP_TRAILER;
		return (ssize_t)n;
	}
	if (!http_chunk_size(line, &rs->left)) {
		return -EPROTO;
	}
	rs->state = rs->left ? LOAD_HTTP_DATA : LOAD_HTTP_TRAILER;
	return (ssize_t)n;
}

static ssize_t feed_body(struct load_response *rs, const char *p, size_t n)
{
	if (rs->state != LOAD_HTTP_EOF && n > rs->left) {
		n = (size_t)rs->left;
	}
	for (size_t i = 0; rs->is_pattern && i < n; i++) {
		rs->is_pattern = p[i] ==
				 (char)('a' + (rs->body_bytes + i) % 26);
	}
	rs->body_bytes += n;
	if (rs->state == LOAD_HTTP_EOF) {
		return (ssize_t)n;
	}
	rs->left -= n;
	if (rs->left == 0) {
		rs->state = rs->state == LOAD_HTTP_DATA ? LOAD_HTTP_CRLF
							: LOAD_HTTP_DONE;
	}
	return (ssize_t)n;
}

int load_response_feed(struct load_response *rs, const char *p, size_t n,
		       size_t *ret_used)
{
	size_t used = 0;

	while (used < n && rs->state != LOAD_HTTP_DONE) {
		ssize_t r;

		switch (rs->state) {
		case LOAD_HTTP_HEAD:
			r = feed_head(rs, p + used, n - used);
			break;
		case LOAD_HTTP_SIZE:
		case LOAD_HTTP_CRLF:
		case LOAD_HTTP_TRAILER:
			r = feed_line(rs, p + used, n - used);
			break;
		default:
			r = feed_body(rs, p + used, n - used);
		}
		if (r < 0) {
			return -EPROTO;
		}
		used += (size_t)r;
	}
	*ret_used = used;
	return rs->state == LOAD_HTTP_DONE;
}

bool load_response_eof(struct load_response *rs)
{
	if (rs->state == LOAD_HTTP_EOF) {
		rs->state = LOAD_HTTP_DONE;
	}
	return rs->state == LOAD_HTTP_DONE;
}
