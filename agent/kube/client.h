/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server on the event loop: one connection, on which
 * HTTP/2 carries all watches beside everything else.  Every request ends: by an
 * answer, by its deadline, or by silence; and calls back exactly once, unless
 * it was cancelled, and never before weir_kube_call() returned.
 */
#ifndef WEIR_KUBE_CLIENT_H
#define WEIR_KUBE_CLIENT_H

#include "config.h"
#include "loop.h"

struct weir_kube_client;
struct weir_kube_request;

struct weir_kube_reply {
	/* 0: there is a status.  Else why there is none: -ECONNREFUSED,
	 * -EHOSTUNREACH (name, route), -ETIMEDOUT (deadline or silence),
	 * -EPROTO (TLS or HTTP), -EFBIG (more than max_bytes), -ECONNRESET,
	 * -ENOMEM, or what on_data returned. */
	int error;
	int status;              /* 200, 404, ...; 0 if error */
	struct weir_str body;    /* empty where on_data took it */
	uint32_t retry_after_ms; /* 0: not said */
	/* For a log line: the server's Status.message, or what failed; never a
	 * credential. */
	const char *message;
};

static inline bool weir_kube_is_ok(const struct weir_kube_reply *reply)
{
	return reply->error == 0 && reply->status >= 200 && reply->status < 300;
}

typedef void (*weir_kube_reply_fn)(void *arg,
				   const struct weir_kube_reply *reply);
/* Bytes of the body of a 2xx answer as they arrive; negative ends the request
 * with that error. */
typedef int (*weir_kube_data_fn)(void *arg, struct weir_str data);

struct weir_kube_call {
	const char *method;       /* NULL: GET */
	const char *path;         /* "/api/v1/...?a=b", already encoded */
	const char *content_type; /* NULL: application/json if there is a body
				   */
	struct weir_str body;     /* copied */
	uint32_t deadline_ms;     /* for all of it; 0: 30 s; UINT32_MAX: none */
	uint32_t silence_ms;      /* between two bytes; 0: no limit */
	size_t max_bytes;         /* of the body where it is kept; 0: 4 MiB */
	weir_kube_data_fn on_data;   /* NULL: the body is kept for fn */
	void (*on_begin)(void *arg); /* may be NULL: the head of a 2xx answer
					is there */
	weir_kube_reply_fn fn;
	void *arg;
};

struct weir_kube_client_stats {
	uint64_t requests;    /* begun */
	uint64_t writes;      /* of these, other than GET */
	uint64_t failures;    /* without a status */
	uint64_t connections; /* opened */
	uint64_t rx_bytes;    /* of bodies */
	uint64_t tx_bytes;
	uint32_t in_flight;
};

/* Takes the config. */
int weir_kube_client_new(struct weir_loop *loop,
			 struct weir_kube_config **config,
			 struct weir_kube_client **ret_client);
/* Cancels what is in flight. */
void weir_kube_client_free(struct weir_kube_client **client);
/* ret_request may be NULL where nobody will cancel.  -errno: fn is not called.
 */
int weir_kube_call(struct weir_kube_client *client,
		   const struct weir_kube_call *call,
		   struct weir_kube_request **ret_request);
/* *request may be NULL; fn is not called any more.  May be used inside on_data
 * and, without effect, inside fn.  After fn the pointer is dangling: owners set
 * theirs to NULL in fn. */
void weir_kube_cancel(struct weir_kube_request **request);
const struct weir_kube_client_stats *
weir_kube_client_stats(const struct weir_kube_client *client);
const struct weir_kube_config *
weir_kube_client_config(const struct weir_kube_client *client);

#endif
