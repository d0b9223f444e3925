/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

#include <errno.h>

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits: `pads` of them are '='. */
static int decode_quad(const int v[static 4], size_t pads, struct weir_buf *out)
{
	uint32_t bits = (uint32_t)v[0] << 18 | (uint32_t)v[1] << 12 |
			(uint32_t)v[2] << 6 | (uint32_t)v[3];
	const char bytes[3] = {(char)(bits >> 16), (char)(bits >> 8),
			       (char)bits};

	weir_buf_add(out, bytes, 3 - pads);
	return out->error;
}

static int decode(struct weir_str text, struct weir_buf *out)
{
	int v[4];
	size_t n = 0;
	size_t pads = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		int r;

		if (c == '\n' || c == '\r') {
			continue;
		}
		if (c == '=' && n >= 2) {
			pads++;
			v[n] = 0;
		} else {
			v[n] = value_of(c);
			if (v[n] < 0 || pads) {
				return -EINVAL;
			}
		}
		if (++n < 4) {
			continue;
		}
		r = decode_quad(v, pads, out);
		if (r < 0) {
			return r;
		}
		n = 0;
	}
	return n ? -EINVAL : 0;
}

int weir_base64_decode(struct weir_str text, struct weir_buf *out)
{
	size_t before = out->n;
	int r = decode(text, out);

	if (r < 0) {
		out->n = before;
	}
	return r;
}
