/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts the body of a list or a watch into objects as it arrives, so that memory
 * holds one object and not the list.  Of a list it keeps only metadata; a watch
 * is one JSON value after another.  An object above the limit is passed over.
 */
#ifndef WEIR_KUBE_SCAN_H
#define WEIR_KUBE_SCAN_H

#include "buf.h"

#define WEIR_SCAN_OBJECT_MAX ((size_t)4 << 20) /* etcd's limit is 1.5 MiB */
#define WEIR_SCAN_DEPTH_MAX 256

enum weir_scan_kind {
	WEIR_SCAN_LIST,  /* {"kind":..., "metadata":{...}, "items":[...]} */
	WEIR_SCAN_WATCH, /* {"type":..., "object":{...}} ... */
};

/* One object of a list, or one event.  is_cut: it was too large and this is
 * only its beginning.  Negative ends the scan with that. */
typedef int (*weir_scan_fn)(void *arg, struct weir_str object, bool is_cut);

struct weir_scan {
	enum weir_scan_kind kind;
	weir_scan_fn fn;
	void *arg;
	size_t max;           /* bytes of one object */
	struct weir_buf kept; /* the object that is being read */
	/* Of a list: its metadata, as it was written. */
	struct weir_buf metadata;
	struct weir_buf name; /* of the member of the list being read */
	uint32_t depth;       /* brackets open */
	/* The brackets open, one bit each: 1 is a brace. */
	uint64_t braces[WEIR_SCAN_DEPTH_MAX / 64];
	uint8_t place; /* of a list: which member */
	bool is_in_string;
	bool is_escaped;
	bool is_cut;
	bool is_name;  /* the string being read is a name of the list */
	bool is_value; /* behind a colon of the list */
	bool is_over;  /* the list's last brace was read */
	bool has_items;
	int error;
};

void weir_scan_init(struct weir_scan *scan, enum weir_scan_kind kind,
		    weir_scan_fn fn, void *arg);
void weir_scan_fini(struct weir_scan *scan);
/* 0; -EBADMSG where the text is wrong; what fn returned.  Sticky. */
int weir_scan_feed(struct weir_scan *scan, struct weir_str data);
/* At the end of a body: 0 if it was whole, -EBADMSG. */
int weir_scan_end(const struct weir_scan *scan);

#endif
