/* SPDX-License-Identifier: Apache-2.0 */
/* Body scanner: see chunk.h.  One byte-wise machine for everything but the
 * data itself, which is skipped (or moved) as a whole. */
#include "chunk.h"

#include <errno.h>
#include <string.h>

#include "http1.h"

enum chunk_state {
	CHUNK_SIZE,       /* digits */
	CHUNK_SIZE_BLANK, /* bad whitespace before an extension */
	CHUNK_EXT,
	CHUNK_EXT_QUOTED,
	CHUNK_EXT_ESCAPE,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER, /* at the start of a trailer line */
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
};

void weir_body_init(struct weir_body *b, uint8_t framing, uint64_t length)
{
	memset(b, 0, sizeof(*b));
	b->framing = framing;
	b->left = framing == WEIR_FRAMING_LENGTH ? length : 0;
	b->state = CHUNK_SIZE;
	b->is_done = framing == WEIR_FRAMING_NONE ||
		     (framing == WEIR_FRAMING_LENGTH && length == 0);
}

static int hex_of(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A trailer field that speaks about framing, routing, the connection or who
 * asks must not come after the body (RFC 9110 6.5.1). */
bool weir_body_may_trail(struct weir_str name)
{
	static const char *const names[] = {"transfer-encoding",
					    "content-length",
					    "host",
					    "connection",
					    "te",
					    "trailer",
					    "upgrade",
					    "keep-alive",
					    "content-encoding",
					    "content-type",
					    "content-range",
					    "expect",
					    "max-forwards",
					    "http2-settings",
					    "proxy-connection",
					    "authorization",
					    "proxy-authorization",
					    "cookie",
					    "set-cookie",
					    "x-forwarded-for",
					    "x-forwarded-proto",
					    "x-forwarded-host"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (weir_str_eq_nocase(name, weir_str_of(names[i]))) {
			return false;
		}
	}
	return true;
}

static bool is_forbidden(const struct weir_body *b)
{
	return !weir_body_may_trail((struct weir_str){b->name, b->name_n});
}

static int take_digit(struct weir_body *b, uint8_t c)
{
	int digit = hex_of(c);

	if (digit < 0 || ++b->digits > 15) {
		return -EBADMSG;
	}
	b->left = b->left << 4 | (uint64_t)digit;
	return CHUNK_SIZE;
}

/* c ends a chunk size (with at least one digit) or goes on with it. */
static int step_size(struct weir_body *b, uint8_t c)
{
	if (b->digits == 0) {
		return take_digit(b, c);
	}
	switch (c) {
	case '\r':
		return CHUNK_SIZE_LF;
	case ';':
		return CHUNK_EXT;
	case ' ':
	case '\t':
		return CHUNK_SIZE_BLANK;
	default:
		return take_digit(b, c);
	}
}

static bool is_control(uint8_t c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

static int step_ext(const struct weir_body *b, uint8_t c)
{
	if (b->state == CHUNK_EXT_ESCAPE) {
		return is_control(c) ? -EBADMSG : CHUNK_EXT_QUOTED;
	}
	if (b->state == CHUNK_EXT_QUOTED) {
		if (is_control(c)) {
			return -EBADMSG;
		}
		if (c == '\\') {
			return CHUNK_EXT_ESCAPE;
		}
		return c == '"' ? CHUNK_EXT : CHUNK_EXT_QUOTED;
	}
	if (b->state == CHUNK_SIZE_BLANK) {
		if (c == ' ' || c == '\t') {
			return CHUNK_SIZE_BLANK;
		}
		return c == ';' ? CHUNK_EXT : -EBADMSG;
	}
	if (c == '\r') {
		return CHUNK_SIZE_LF;
	}
	if (c == '"') {
		return CHUNK_EXT_QUOTED;
	}
	return is_control(c) || c >= 0x80 ? -EBADMSG : CHUNK_EXT;
}

static int step_trailer(struct weir_body *b, uint8_t c)
{
	char one = (char)c;

	switch (b->state) {
	case CHUNK_TRAILER:
		if (c == '\r') {
			return CHUNK_END_LF;
		}
		b->name_n = 0;
		__attribute__((fallthrough));
	case CHUNK_TRAILER_NAME:
		if (c == ':' && b->name_n) {
			return is_forbidden(b) ? -EBADMSG : CHUNK_TRAILER_VALUE;
		}
		if (!weir_http1_is_token((struct weir_str){&one, 1})) {
			return -EBADMSG;
		}
		if (b->name_n < sizeof(b->name)) {
			/* '_' is '-' to many (http1.c, is_alias). */
			b->name[b->name_n++] = c >= 'A' && c <= 'Z'
						       ? (char)(c | 0x20)
					       : c == '_' ? '-'
							  : one;
		}
		return CHUNK_TRAILER_NAME;
	default: /* CHUNK_TRAILER_VALUE */
		if (c == '\r') {
			return CHUNK_TRAILER_LF;
		}
		return is_control(c) ? -EBADMSG : CHUNK_TRAILER_VALUE;
	}
}

/* The state after c, or -EBADMSG. */
static int step(struct weir_body *b, uint8_t c)
{
	switch (b->state) {
	case CHUNK_SIZE:
		return step_size(b, c);
	case CHUNK_SIZE_BLANK:
	case CHUNK_EXT:
	case CHUNK_EXT_QUOTED:
	case CHUNK_EXT_ESCAPE:
		return step_ext(b, c);
	case CHUNK_SIZE_LF:
		if (c != '\n') {
			return -EBADMSG;
		}
		b->digits = 0;
		return b->left ? CHUNK_DATA : CHUNK_TRAILER;
	case CHUNK_DATA_CR:
		return c == '\r' ? CHUNK_DATA_LF : -EBADMSG;
	case CHUNK_DATA_LF:
		return c == '\n' ? CHUNK_SIZE : -EBADMSG;
	case CHUNK_TRAILER_LF:
		return c == '\n' ? CHUNK_TRAILER : -EBADMSG;
	case CHUNK_END_LF:
		if (c != '\n') {
			return -EBADMSG;
		}
		b->is_done = true;
		return CHUNK_END_LF;
	default:
		return step_trailer(b, c);
	}
}

/* Bytes of extensions go; in data mode, everything does. */
static bool is_kept(const struct weir_body *b, uint8_t before, int after)
{
	bool is_trailer = before >= CHUNK_TRAILER &&
			  before <= CHUNK_TRAILER_LF && after != CHUNK_END_LF;

	if (b->wants_data) {
		return b->wants_trailer && is_trailer;
	}
	if (is_trailer && b->no_trailers) {
		return false;
	}
	return !(after >= CHUNK_SIZE_BLANK && after <= CHUNK_EXT_ESCAPE) &&
	       !(before >= CHUNK_SIZE_BLANK && before <= CHUNK_EXT_ESCAPE &&
		 after != CHUNK_SIZE_LF);
}

static int scan_chunked(struct weir_body *b, char *p, size_t n,
			size_t *ret_used, size_t *ret_kept)
{
	size_t in = 0;
	size_t out = 0;

	while (in < n && !b->is_done) {
		uint8_t before = b->state;
		int after;

		if (before == CHUNK_DATA) {
			size_t k = n - in < b->left ? n - in : (size_t)b->left;

			if (in != out) {
				memmove(p + out, p + in, k);
			}
			in += k;
			out += k;
			b->left -= k;
			if (b->left == 0) {
				b->state = CHUNK_DATA_CR;
			}
			continue;
		}
		after = step(b, (uint8_t)p[in]);
		if (after < 0) {
			return after;
		}
		/* What is neither data nor a size costs its sender: bounded. */
		if (after != CHUNK_SIZE && after != CHUNK_DATA &&
		    after != CHUNK_SIZE_LF && after != CHUNK_DATA_LF &&
		    ++b->extra > WEIR_CHUNK_EXTRA_MAX) {
			return -EMSGSIZE;
		}
		if (before == CHUNK_TRAILER && after == CHUNK_TRAILER_NAME &&
		    ++b->lines > WEIR_CHUNK_LINES_MAX) {
			return -E2BIG;
		}
		b->state = (uint8_t)after;
		if (is_kept(b, before, after)) {
			p[out++] = p[in];
			b->trailer_n += b->wants_data;
		}
		in++;
	}
	*ret_used = in;
	*ret_kept = out;
	return 0;
}

int weir_body_scan(struct weir_body *b, char *p, size_t n, size_t *ret_used,
		   size_t *ret_kept)
{
	*ret_used = 0;
	*ret_kept = 0;
	if (b->is_done) {
		return 0;
	}
	switch (b->framing) {
	case WEIR_FRAMING_LENGTH:
		if (n > b->left) {
			n = (size_t)b->left;
		}
		b->left -= n;
		b->is_done = b->left == 0;
		break;
	case WEIR_FRAMING_CHUNKED:
		return scan_chunked(b, p, n, ret_used, ret_kept);
	default: /* WEIR_FRAMING_CLOSE */
		break;
	}
	*ret_used = n;
	*ret_kept = n;
	return 0;
}

const char *weir_body_error_text(int error)
{
	switch (error) {
	case -EMSGSIZE:
		return "chunk extensions or trailers too long";
	case -E2BIG:
		return "too many trailer lines";
	default:
		return "malformed chunked body";
	}
}

uint64_t weir_body_opaque(const struct weir_body *b)
{
	if (b->is_done) {
		return 0;
	}
	if (b->framing == WEIR_FRAMING_CHUNKED) {
		return b->state == CHUNK_DATA ? b->left : 0;
	}
	return b->framing == WEIR_FRAMING_CLOSE ? UINT64_MAX : b->left;
}

void weir_body_pass(struct weir_body *b, uint64_t n)
{
	if (b->framing == WEIR_FRAMING_CLOSE) {
		return;
	}
	b->left -= n;
	if (b->left == 0) {
		b->state = CHUNK_DATA_CR;
		b->is_done = b->framing == WEIR_FRAMING_LENGTH;
	}
}
