/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server as a source of objects: list and watch of every kind into the
 * store.  Memory follows what the plan needs: lists are read object by object,
 * and of Services, EndpointSlices, Secrets and ConfigMaps only those are kept
 * that a Gateway, a route, a policy or a KIngress in the store names; of Pods
 * those of this node in namespaces with consumer routes, and those that start,
 * of revisions that a KIngress names.  One that is named
 * later is asked for by itself, and until it is there the source is not synced,
 * so that an edit to a new Service costs no request.
 *
 * While the server is away everything stays as it is.
 */
#ifndef WEIR_KUBE_SOURCE_H
#define WEIR_KUBE_SOURCE_H

#include "ahead.h"
#include "client.h"
#include "diag.h"
#include "store.h"

struct weir_kube_source;

/* 64-bit hash of our part of the observed status.  status: the JSON text of the
 * object's .status; empty where there is none. */
typedef uint64_t (*weir_kube_hash_fn)(void *arg, enum weir_kind kind,
				      struct weir_str status);

struct weir_kube_source_options {
	struct weir_loop *loop;
	struct weir_kube_client *client; /* outlives the source */
	struct weir_store *store;
	/* The store may have changed, or what is_synced says, or the observed
	 * status of an object: once for all that arrived together. */
	void (*on_change)(void *arg);
	weir_kube_hash_fn status_hash; /* NULL: 0 for all */
	/* Whether an object that nothing names is in the store nevertheless,
	 * until names change; NULL: none is. */
	bool (*does_keep)(void *arg, enum weir_kind kind,
			  struct weir_str object);
	/* Of Pods only those on it, the clients whose connections it sees; NULL
	 * or "": of all nodes. */
	const char *node;
	/* How long is_synced waits for objects that are named, in ms from the
	 * first of them; 0: 5000. */
	uint32_t hold_ms;
	void *arg; /* of all */
};

/* A KIngress whose present state is wrong; what it said before, if anything, is
 * in the store. */
struct weir_kube_refused {
	struct weir_str ns;
	struct weir_str name;
	struct weir_str ingress_class;
	int64_t generation;
	const struct weir_diags *diags;
};

/* What is known of an object that is in the store. */
struct weir_kube_meta {
	/* resourceVersion of its last change other than of status alone. */
	uint64_t version;
	uint64_t status_hash; /* what status_hash said last */
};

enum weir_kube_state {
	WEIR_KUBE_IDLE,      /* not wanted by anything yet, or not begun */
	WEIR_KUBE_MISSING,   /* no such CRD (404); asked for again */
	WEIR_KUBE_FORBIDDEN, /* 403 or 401; tried again */
	WEIR_KUBE_LISTING,
	WEIR_KUBE_WATCHING,
	WEIR_KUBE_AWAY, /* the server does not answer; what was known stays */
	_WEIR_KUBE_STATE_MAX
};

struct weir_kube_kind_report {
	enum weir_kind kind;
	const char
		*api_version; /* "gateway.networking.k8s.io/v1"; "" if none */
	enum weir_kube_state state;
	bool is_synced;      /* listed to its end at least once */
	uint64_t version;    /* highest resourceVersion seen */
	uint64_t lists;      /* begun */
	uint64_t watches;    /* begun */
	uint64_t events;     /* of watches */
	uint64_t kept;       /* objects in the store, from here */
	uint64_t skipped;    /* objects not kept as nothing names them (counted
				each time) */
	uint64_t too_large;  /* objects not read */
	uint64_t expired;    /* 410: listed again */
	const char *message; /* why it is not watching; "" */
};

int weir_kube_source_new(const struct weir_kube_source_options *options,
			 struct weir_kube_source **ret_source);
void weir_kube_source_free(struct weir_kube_source **source);
/* Begins; answers come through on_change. */
int weir_kube_source_start(struct weir_kube_source *source);
/* True when a plan may be compiled: every kind that exists and may be read was
 * listed to its end, and all that is named was looked up.  A server that never
 * answered is never synced. */
bool weir_kube_source_is_synced(const struct weir_kube_source *source);
/* And nothing is on its way that a plan can do without for a moment: the
 * placeholder of a KIngress, whose requests are served elsewhere until its
 * address is known.  Not before that it may be said that it is served. */
bool weir_kube_source_is_whole(const struct weir_kube_source *source);
/* Highest resourceVersion of each kind that is in the store now (0: none):
 * taken before a compile, acknowledged when its plan is in force. significant
 * (may be NULL): another than before where more changed than status, endpoints
 * and pods. */
void weir_kube_source_versions(const struct weir_kube_source *source,
			       uint64_t ret_seen[static _WEIR_KIND_MAX],
			       uint64_t *ret_significant);
/* -ENOENT: not from here. */
int weir_kube_source_find(const struct weir_kube_source *source,
			  enum weir_kind kind, struct weir_str ns,
			  struct weir_str name,
			  struct weir_kube_meta *ret_meta);
/* Objects that could not be decoded, are too large, or are odd; valid until the
 * next on_change. */
const struct weir_diag *weir_kube_source_diags(struct weir_kube_source *source,
					       size_t *ret_n);
void weir_kube_source_report(const struct weir_kube_source *source,
			     enum weir_kind kind,
			     struct weir_kube_kind_report *ret_report);
/* "/apis/gateway.networking.k8s.io/v1/namespaces/ns/httproutes/name/status" by
 * the version that the server has.  name NULL-string: the collection.  sub: ""
 * or "status".  -ENOENT: the kind is not there. */
int weir_kube_source_path(const struct weir_kube_source *source,
			  enum weir_kind kind, struct weir_str ns,
			  struct weir_str name, const char *sub,
			  struct weir_buf *out);
/* "watching". */
const char *weir_kube_state_text(enum weir_kube_state state);

/* What the container runtime of this node wrote about networks of pods
 * (ahead.h); pods that wait for an address may have one after
 * weir_kube_source_told_ahead(), which is called once for all. */
struct weir_ahead *weir_kube_source_ahead(struct weir_kube_source *source);
void weir_kube_source_told_ahead(struct weir_kube_source *source);

/* All of them; valid until the source goes on. */
void weir_kube_source_refused(const struct weir_kube_source *source,
			      void (*fn)(void *arg,
					 const struct weir_kube_refused *r),
			      void *arg);

#endif
