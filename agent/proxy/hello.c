/* SPDX-License-Identifier: Apache-2.0 */
#include "hello.h"

#include <errno.h>

#define RECORD_HANDSHAKE 22
#define RECORD_HEADER 5
#define RECORD_MAX 16384
#define HANDSHAKE_HEADER 4
#define CLIENT_HELLO 1
#define EXTENSION_SERVER_NAME 0
#define NAME_TYPE_HOST 0

/* The message's bytes, wherever record headers stand between them. */
struct reader {
	const uint8_t *p; /* all records */
	size_t n;
	size_t at;   /* in p */
	size_t left; /* of the record that at is in */
	int error;   /* sticky: 0, -EAGAIN, -EBADMSG */
};

static bool next_record(struct reader *r)
{
	const uint8_t *h = r->p + r->at;

	if (r->n - r->at < RECORD_HEADER) {
		/* What is there already may be enough to say no. */
		r->error = r->n > r->at && h[0] != RECORD_HANDSHAKE ? -EBADMSG
								    : -EAGAIN;
		return false;
	}
	r->left = (size_t)h[3] << 8 | h[4];
	if (h[0] != RECORD_HANDSHAKE || h[1] != 3 || r->left == 0 ||
	    r->left > RECORD_MAX) {
		r->error = -EBADMSG;
		return false;
	}
	r->at += RECORD_HEADER;
	return true;
}

static uint8_t take(struct reader *r)
{
	if (r->error || (!r->left && !next_record(r))) {
		return 0;
	}
	if (r->at == r->n) {
		r->error = -EAGAIN;
		return 0;
	}
	r->left--;
	return r->p[r->at++];
}

static uint32_t take_n(struct reader *r, int bytes)
{
	uint32_t v = 0;

	while (bytes--) {
		v = v << 8 | take(r);
	}
	return v;
}

static void skip(struct reader *r, size_t n)
{
	while (n && !r->error) {
		size_t k;

		if (!r->left && !next_record(r)) {
			return;
		}
		k = n < r->left ? n : r->left;
		if (k > r->n - r->at) {
			r->error = -EAGAIN;
			return;
		}
		r->at += k;
		r->left -= k;
		n -= k;
	}
}

/* Letters, digits, "-", "_" and dots between them: what a name on a listener
 * could equal.  Addresses are not names (RFC 6066 3), but harmless. */
static int take_name(struct reader *r, size_t n, char *name,
		     struct weir_str *ret_name)
{
	char last = '.';

	if (n == 0 || n > WEIR_HELLO_NAME_MAX) {
		return -EBADMSG;
	}
	for (size_t i = 0; i < n; i++) {
		char c = (char)take(r);

		if (r->error) {
			return r->error;
		}
		if (c >= 'A' && c <= 'Z') {
			c = (char)(c | 0x20);
		}
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || (c == '.' && last != '.'))) {
			return -EBADMSG;
		}
		name[i] = c;
		last = c;
	}
	*ret_name = (struct weir_str){name, last == '.' ? n - 1 : n};
	return 0;
}

/* The extension's n bytes. */
static int take_server_name(struct reader *r, size_t n, char *name,
			    struct weir_str *ret_name)
{
	size_t list = take_n(r, 2);
	uint8_t type = take(r);
	size_t size = take_n(r, 2);

	if (r->error) {
		return r->error;
	}
	/* One host name, and no other kind of name exists. */
	if (n < 5 || list != n - 2 || type != NAME_TYPE_HOST ||
	    size != list - 3) {
		return -EBADMSG;
	}
	return take_name(r, size, name, ret_name);
}

static int take_extensions(struct reader *r, size_t n, char *name,
			   struct weir_str *ret_name)
{
	struct weir_str found = WEIR_STR_NULL;

	while (n >= 4) {
		uint32_t type = take_n(r, 2);
		size_t size = take_n(r, 2);

		if (r->error) {
			return r->error;
		}
		n -= 4;
		if (size > n) {
			return -EBADMSG;
		}
		n -= size;
		if (type == EXTENSION_SERVER_NAME) {
			int e = found.p ? -EBADMSG
					: take_server_name(r, size, name,
							   &found);
			if (e < 0) {
				return e;
			}
		} else {
			skip(r, size);
		}
	}
	if (r->error || n) {
		return r->error ? r->error : -EBADMSG;
	}
	*ret_name = found.p ? found : (struct weir_str){name, 0};
	return 0;
}

int weir_hello_parse(const uint8_t *p, size_t n, char *name,
		     struct weir_str *ret_name)
{
	struct reader r = {.p = p, .n = n};
	uint8_t type = take(&r);
	size_t size = take_n(&r, 3);
	size_t used = 2 + 32;
	size_t k;

	if (r.error) {
		return r.error;
	}
	if (type != CLIENT_HELLO || size > WEIR_HELLO_MAX) {
		return -EBADMSG;
	}
	skip(&r, used); /* version, random */
	k = take_n(&r, 1);
	used += 1 + k;
	skip(&r, k); /* session id */
	k = take_n(&r, 2);
	used += 2 + k;
	skip(&r, k); /* cipher suites */
	k = take_n(&r, 1);
	used += 1 + k;
	skip(&r, k); /* compression methods */
	if (r.error) {
		return r.error;
	}
	if (used == size) {
		*ret_name = (struct weir_str){name, 0};
		return 0; /* before extensions were known */
	}
	k = take_n(&r, 2);
	if (r.error) {
		return r.error;
	}
	if (used + 2 + k != size) {
		return -EBADMSG;
	}
	return take_extensions(&r, k, name, ret_name);
}
