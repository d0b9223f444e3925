/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields in the order of the Go structs (knative.dev/networking
 * pkg/apis/networking/v1alpha1 ingress_types.go); those with omitempty are left
 * out when empty or 0; keys of maps in order of their bytes.
 */
#include "king_hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "buf.h"
#include "cleanup.h"

#define DIGEST_SIZE 32

struct json {
	struct weir_buf *out;
	bool has_one; /* in the object at hand */
};

/* Length of the UTF-8 sequence at the start of s; 0: there is none. */
static size_t sequence(struct weir_str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char lo = 0x80;
	unsigned char hi = 0xBF;
	size_t n;

	if (p[0] < 0x80) {
		return 1;
	}
	if (p[0] < 0xC2 || p[0] > 0xF4) {
		return 0;
	}
	n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	/* Neither overlong forms nor surrogates (RFC 3629 4). */
	lo = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : lo;
	hi = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : hi;
	for (size_t i = 1; i < n; i++) {
		if (i >= s.n || p[i] < lo || p[i] > hi) {
			return 0;
		}
		lo = 0x80;
		hi = 0xBF;
	}
	return n;
}

/* One character as encoding/json writes it with HTML escaping, its default. */
static void put_char(struct weir_buf *out, struct weir_str c)
{
	static const char control[] = "\b\f\n\r\t";
	static const char letters[] = "bfnrt";
	const char *at = c.p[0] ? strchr(control, c.p[0]) : NULL;

	if (c.p[0] == '"' || c.p[0] == '\\') {
		weir_buf_addz(out, "\\");
		weir_buf_add(out, c.p, 1);
	} else if (at) {
		weir_buf_addz(out, "\\");
		weir_buf_add(out, &letters[at - control], 1);
	} else if ((unsigned char)c.p[0] < ' ' || c.p[0] == '<' ||
		   c.p[0] == '>' || c.p[0] == '&') {
		weir_buf_printf(out, "\\u%04x", (unsigned char)c.p[0]);
	} else if (weir_str_is(c, "\xE2\x80\xA8")) {
		weir_buf_addz(out, "\\u2028");
	} else if (weir_str_is(c, "\xE2\x80\xA9")) {
		weir_buf_addz(out, "\\u2029");
	} else {
		weir_buf_add_str(out, c);
	}
}

static void put_text(struct weir_buf *out, struct weir_str s)
{
	weir_buf_addz(out, "\"");
	while (s.n) {
		size_t n = sequence(s);

		if (n == 0) {
			weir_buf_addz(out, "\\ufffd");
			n = 1;
		} else {
			put_char(out, (struct weir_str){s.p, n});
		}
		s = weir_str_skip(s, n);
	}
	weir_buf_addz(out, "\"");
}

static void put_key(struct json *j, struct weir_str key)
{
	weir_buf_addz(j->out, j->has_one ? "," : "");
	put_text(j->out, key);
	weir_buf_addz(j->out, ":");
	j->has_one = true;
}

static void put_string(struct json *j, const struct weir_node *map,
		       const char *key, bool is_always)
{
	const struct weir_node *n = weir_node_get(map, key);

	if (is_always || (n && n->text.n)) {
		put_key(j, weir_str_of(key));
		put_text(j->out, n ? n->text : WEIR_STR(""));
	}
}

static void put_strings(struct json *j, const struct weir_node *map,
			const char *key)
{
	const struct weir_node *list = weir_node_get(map, key);

	if (!list || list->type != WEIR_NODE_SEQ || list->n == 0) {
		return;
	}
	put_key(j, weir_str_of(key));
	weir_buf_addz(j->out, "[");
	for (const struct weir_node *c = list->child; c; c = c->next) {
		put_text(j->out, c->text);
		weir_buf_addz(j->out, c->next ? "," : "");
	}
	weir_buf_addz(j->out, "]");
}

static int compare_keys(const void *a, const void *b)
{
	const struct weir_node *const *x = a;
	const struct weir_node *const *y = b;

	return weir_str_cmp((*x)->key, (*y)->key);
}

static void put_exact(struct weir_buf *out, const struct weir_node *value)
{
	struct json j = {.out = out};

	weir_buf_addz(out, "{");
	put_string(&j, value, "exact", true);
	weir_buf_addz(out, "}");
}

/* A map of strings or, of matches, of {"exact": ...}. */
static void put_map(struct json *j, const struct weir_node *parent,
		    const char *key, bool are_matches)
{
	const struct weir_node *map = weir_node_get(parent, key);
	_cleanup_free_ const struct weir_node **sorted = NULL;
	struct json inner = {.out = j->out};
	size_t n = 0;

	if (!map || map->type != WEIR_NODE_MAP || map->n == 0) {
		return;
	}
	sorted = calloc(map->n, sizeof(*sorted));
	if (!sorted) {
		j->out->error = -ENOMEM;
		return;
	}
	for (const struct weir_node *c = map->child; c; c = c->next) {
		sorted[n++] = c;
	}
	qsort(sorted, n, sizeof(*sorted), compare_keys);
	put_key(j, weir_str_of(key));
	weir_buf_addz(j->out, "{");
	for (size_t i = 0; i < n; i++) {
		put_key(&inner, sorted[i]->key);
		if (are_matches) {
			put_exact(j->out, sorted[i]);
		} else {
			put_text(j->out, sorted[i]->text);
		}
	}
	weir_buf_addz(j->out, "}");
}

typedef void (*put_fn)(struct json *j, const struct weir_node *node);

/* A list of objects; put writes the inside of one. */
static void put_list(struct json *j, const struct weir_node *map,
		     const char *key, put_fn put, bool is_always)
{
	const struct weir_node *list = weir_node_get(map, key);

	if (!list || list->type != WEIR_NODE_SEQ ||
	    (list->n == 0 && !is_always)) {
		if (is_always) {
			put_key(j, weir_str_of(key));
			weir_buf_addz(j->out, "null");
		}
		return;
	}
	put_key(j, weir_str_of(key));
	weir_buf_addz(j->out, "[");
	for (const struct weir_node *c = list->child; c; c = c->next) {
		struct json inner = {.out = j->out};

		weir_buf_addz(j->out, "{");
		put(&inner, c);
		weir_buf_addz(j->out, c->next ? "}," : "}");
	}
	weir_buf_addz(j->out, "]");
}

static void put_split(struct json *j, const struct weir_node *node)
{
	const struct weir_node *port = weir_node_get(node, "servicePort");
	const struct weir_node *percent = weir_node_get(node, "percent");

	put_string(j, node, "serviceNamespace", true);
	put_string(j, node, "serviceName", true);
	put_key(j, WEIR_STR("servicePort"));
	if (port && port->type == WEIR_NODE_STRING) {
		put_text(j->out, port->text);
	} else {
		weir_buf_printf(j->out, "%lld",
				port ? (long long)port->number : 0);
	}
	if (percent && percent->number) {
		put_key(j, WEIR_STR("percent"));
		weir_buf_printf(j->out, "%lld", (long long)percent->number);
	}
	put_map(j, node, "appendHeaders", false);
}

static void put_path(struct json *j, const struct weir_node *node)
{
	put_string(j, node, "path", false);
	put_string(j, node, "rewriteHost", false);
	put_map(j, node, "headers", true);
	put_list(j, node, "splits", put_split, true);
	put_map(j, node, "appendHeaders", false);
}

static void put_rule(struct json *j, const struct weir_node *node)
{
	const struct weir_node *http = weir_node_get(node, "http");

	put_strings(j, node, "hosts");
	put_string(j, node, "visibility", false);
	if (http) {
		struct json inner = {.out = j->out};

		put_key(j, WEIR_STR("http"));
		weir_buf_addz(j->out, "{");
		put_list(&inner, http, "paths", put_path, true);
		weir_buf_addz(j->out, "}");
	}
}

static void put_tls(struct json *j, const struct weir_node *node)
{
	put_strings(j, node, "hosts");
	put_string(j, node, "secretName", false);
	put_string(j, node, "secretNamespace", false);
}

int weir_king_hash(const struct weir_node *spec, struct weir_str ns,
		   struct weir_str name, char ret_hex[WEIR_KING_HASH_LEN])
{
	static const char digits[] = "0123456789abcdef";
	_cleanup_buf_ struct weir_buf text = {0};
	struct json j = {.out = &text};
	unsigned char digest[DIGEST_SIZE];

	weir_buf_addz(&text, "{");
	put_list(&j, spec, "tls", put_tls, false);
	put_list(&j, spec, "rules", put_rule, false);
	put_string(&j, spec, "httpOption", false);
	weir_buf_addz(&text, "}");
	weir_buf_add_str(&text, ns);
	weir_buf_add_str(&text, name);
	if (text.error ||
	    EVP_Digest(text.p, text.n, digest, NULL, EVP_sha256(), NULL) != 1) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		ret_hex[2 * i] = digits[digest[i] >> 4];
		ret_hex[2 * i + 1] = digits[digest[i] & 15];
	}
	return 0;
}
