/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to the API server: a bounded number at a time, in the order in which
 * they were asked for, each tried again on conflicts, throttling and absence of
 * the server until it is done, refused or out of date.
 */
#ifndef WEIR_KUBE_UPDATE_H
#define WEIR_KUBE_UPDATE_H

#include "client.h"

struct weir_kube_writer;

/* Reads the object as it is now and appends what it shall be.  1: write it;
 * 0: nothing to write; -errno: give up.  Called again after a conflict.
 * object: its JSON; empty for an update with is_create of one that is not
 * there. */
typedef int (*weir_kube_merge_fn)(void *arg, struct weir_str object,
				  struct weir_buf *out);
/* written: a write took place.  reply: of the last request. */
typedef void (*weir_kube_written_fn)(void *arg,
				     const struct weir_kube_reply *reply,
				     bool is_written);

struct weir_kube_update {
	const char *path;     /* of the object, to GET; copied */
	const char *put_path; /* to PUT; NULL: path.  ".../status" */
	/* A collection to POST to where GET says 404; NULL: that ends it. */
	const char *create_path;
	weir_kube_merge_fn merge;
	weir_kube_written_fn fn; /* may be NULL */
	void *arg;
	/* A later update with the same key (not 0) takes the place of an
	 * earlier one that has not begun, whose fn gets -ECANCELED. */
	uint64_t key;
};

struct weir_kube_writer_stats {
	uint64_t writes;    /* PUT, POST, PATCH, DELETE that succeeded */
	uint64_t unchanged; /* merge had nothing to write */
	uint64_t conflicts; /* 409, tried again */
	uint64_t failures;  /* given up */
	uint32_t waiting;
	uint32_t in_flight;
};

/* max_in_flight: requests at a time. */
int weir_kube_writer_new(struct weir_loop *loop,
			 struct weir_kube_client *client,
			 uint32_t max_in_flight,
			 struct weir_kube_writer **ret_writer);
/* fn of what is waiting is not called. */
void weir_kube_writer_free(struct weir_kube_writer **writer);
/* GET, merge, PUT with the resourceVersion that merge kept; 409: again. */
int weir_kube_writer_update(struct weir_kube_writer *writer,
			    const struct weir_kube_update *update);
/* One request as it is: POST, PATCH (content type), DELETE.  Tried again while
 * the server is away or says 429 or 503. */
int weir_kube_writer_send(struct weir_kube_writer *writer, const char *method,
			  const char *path, const char *content_type,
			  struct weir_str body, weir_kube_written_fn fn,
			  void *arg);
/* Drops what waits and has not begun (a new writer was elected). */
void weir_kube_writer_drop(struct weir_kube_writer *writer);
const struct weir_kube_writer_stats *
weir_kube_writer_stats(const struct weir_kube_writer *writer);

#endif
