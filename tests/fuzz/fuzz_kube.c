/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API server sends, as any bytes: the scanner of lists and watches,
 * whole and in pieces (both cut alike), and behind it what is held.
 * The first byte chooses: list or watch, kind, size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>

#include "cleanup.h"
#include "election.h"
#include "held.h"
#include "json_view.h"
#include "scan.h"

#define INPUT_MAX 65536
#define OBJECT_MAX 4096

static void expect(bool is_true)
{
	if (!is_true) {
		abort();
	}
}

static const enum weir_kind kinds[] = {
	WEIR_KIND_HTTP_ROUTE, WEIR_KIND_GATEWAY,    WEIR_KIND_SERVICE,
	WEIR_KIND_SECRET,     WEIR_KIND_CONFIG_MAP, WEIR_KIND_ENDPOINT_SLICE,
	WEIR_KIND_NAMESPACE,  WEIR_KIND_KINGRESS};

struct site {
	struct weir_held held;
	enum weir_kind kind;
	bool is_watch;
	uint64_t digest; /* of what was cut */
	size_t n;
};

static void on_want(void *arg, enum weir_kind kind, struct weir_str ns,
		    struct weir_str name)
{
	const struct site *s = arg;

	expect(weir_held_is_wanted(&s->held, kind, ns, name));
}

static int on_cut(void *arg, struct weir_str object, bool is_cut)
{
	struct site *s = arg;
	struct weir_lease lease;

	/* Where a beginning ends depends on the pieces. */
	expect(object.n <= OBJECT_MAX);
	s->digest = is_cut ? s->digest + 1 : weir_str_hash(object, s->digest);
	s->n++;
	weir_lease_read(object, &lease);
	return 0;
}

static int on_object(void *arg, struct weir_str object, bool is_cut)
{
	struct site *s = arg;
	int r = on_cut(s, object, is_cut);

	if (s->is_watch) {
		object = weir_jview_member(object, "object");
	}
	if (is_cut) {
		weir_held_too_large(&s->held, s->kind, object);
	} else if (s->n % 5 == 4) {
		weir_held_delete(&s->held, s->kind, object);
	} else {
		r = weir_held_apply(&s->held, s->kind, WEIR_STR("v1"), object,
				    s->n % 2);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct site whole = {0};
	struct site pieces = {0};
	struct weir_scan scan;
	struct weir_store *store;
	size_t piece;
	int r;

	if (size < 1 || size > INPUT_MAX) {
		return 0;
	}
	whole.is_watch = data[0] & 1;
	whole.kind = kinds[data[0] >> 1 & 7];
	piece = 1 + (data[0] >> 4);
	expect(weir_store_new(&store) == 0);
	weir_held_init(&whole.held, store, 7);
	whole.held.on_want = on_want;
	whole.held.arg = &whole;
	weir_held_list_begin(&whole.held, whole.kind);
	weir_scan_init(&scan, whole.is_watch ? WEIR_SCAN_WATCH : WEIR_SCAN_LIST,
		       on_object, &whole);
	scan.max = OBJECT_MAX;
	weir_scan_feed(&scan,
		       (struct weir_str){(const char *)data + 1, size - 1});
	r = weir_scan_end(&scan);
	weir_scan_fini(&scan);
	expect(weir_held_list_end(&whole.held, whole.kind) == 0);
	expect(weir_held_drop_unwanted(&whole.held) == 0);

	weir_scan_init(&scan, whole.is_watch ? WEIR_SCAN_WATCH : WEIR_SCAN_LIST,
		       on_cut, &pieces);
	scan.max = OBJECT_MAX;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		weir_scan_feed(&scan,
			       (struct weir_str){(const char *)data + at, n});
	}
	expect(weir_scan_end(&scan) == r);
	expect(pieces.n == whole.n && pieces.digest == whole.digest);
	weir_scan_fini(&scan);
	weir_held_fini(&whole.held);
	weir_store_free(&store);
	return 0;
}
