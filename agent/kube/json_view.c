/* SPDX-License-Identifier: Apache-2.0 */
#include "json_view.h"

#include <stdarg.h>

static size_t skip_blanks(struct weir_str s, size_t at)
{
	while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\n' ||
			    s.p[at] == '\t' || s.p[at] == '\r')) {
		at++;
	}
	return at;
}

/* Behind the closing quote; s.n + 1 if there is none.  at: of the quote. */
static size_t skip_string(struct weir_str s, size_t at)
{
	for (at++; at < s.n; at++) {
		if (s.p[at] == '\\') {
			at++;
		} else if (s.p[at] == '"') {
			return at + 1;
		}
	}
	return s.n + 1;
}

/* Behind a value; s.n + 1 if it does not end. */
static size_t skip_value(struct weir_str s, size_t at)
{
	size_t depth = 0;

	while (at < s.n) {
		char c = s.p[at];

		if (c == '"') {
			at = skip_string(s, at);
			if (depth == 0) {
				return at;
			}
			continue;
		}
		if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (depth == 0) {
				return at;
			}
			if (--depth == 0) {
				return at + 1;
			}
		} else if (depth == 0 && (c == ',' || c == ' ' || c == '\n' ||
					  c == '\r' || c == '\t')) {
			return at;
		}
		at++;
	}
	return depth ? s.n + 1 : s.n;
}

bool weir_jview_next(struct weir_str object, size_t *pos,
		     struct weir_str *ret_name, struct weir_str *ret_value,
		     struct weir_str *ret_whole)
{
	size_t at = skip_blanks(object, *pos);
	size_t from;
	size_t end;

	if (at >= object.n) {
		return false;
	}
	if (*pos == 0 ? object.p[at] != '{' : object.p[at] != ',') {
		return false;
	}
	from = skip_blanks(object, at + 1);
	if (from >= object.n || object.p[from] != '"') {
		return false;
	}
	end = skip_string(object, from);
	if (end > object.n) {
		return false;
	}
	*ret_name = (struct weir_str){object.p + from + 1, end - from - 2};
	at = skip_blanks(object, end);
	if (at >= object.n || object.p[at] != ':') {
		return false;
	}
	at = skip_blanks(object, at + 1);
	end = skip_value(object, at);
	if (end > object.n || end == at) {
		return false;
	}
	*ret_value = (struct weir_str){object.p + at, end - at};
	if (ret_whole) {
		*ret_whole = (struct weir_str){object.p + from, end - from};
	}
	*pos = end;
	return true;
}

struct weir_str weir_jview_member(struct weir_str object, const char *name)
{
	struct weir_str found;
	struct weir_str value;

	for (size_t pos = 0;
	     weir_jview_next(object, &pos, &found, &value, NULL);) {
		if (weir_str_is(found, name)) {
			return value;
		}
	}
	return WEIR_STR_NULL;
}

struct weir_str weir_jview_path(struct weir_str object, ...)
{
	const char *name;
	va_list ap;

	va_start(ap, object);
	while (object.p && (name = va_arg(ap, const char *))) {
		object = weir_jview_member(object, name);
	}
	va_end(ap);
	return object;
}

struct weir_str weir_jview_text(struct weir_str value)
{
	if (value.n < 2 || value.p[0] != '"') {
		return WEIR_STR_NULL;
	}
	return (struct weir_str){value.p + 1, value.n - 2};
}

uint64_t weir_jview_u64(struct weir_str value)
{
	struct weir_str text = value.n && value.p[0] == '"'
				       ? weir_jview_text(value)
				       : value;
	uint64_t number = 0;

	return weir_str_parse_u64(text, UINT64_MAX, &number) < 0 ? 0 : number;
}
