/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where objects come from: a directory of manifests, or the API server.  The
 * feed keeps the store of the control loop as it should be and says when it
 * changed; the loop says what became of it.
 */
#ifndef WEIR_DAEMON_FEED_H
#define WEIR_DAEMON_FEED_H

#include "diag.h"
#include "options.h"

struct weir_control;
struct weir_loop;

/* Embedded in what implements it; every function is there. */
struct weir_feed {
	/* Begins to fill control's store; changes are told by
	 * weir_control_changed().  -errno ends the agent. */
	int (*start)(struct weir_feed *feed, struct weir_control *control);
	/* Frees the feed; the store is still there. */
	void (*stop)(struct weir_feed *feed);
	void (*reload)(struct weir_feed *feed);
	/* May the store be compiled?  A half-read cluster is no plan. */
	bool (*is_complete)(const struct weir_feed *feed);
	/* See weir_compile_options. */
	bool (*is_writer)(const struct weir_feed *feed);
	/* The store as it is now is about to be compiled. */
	void (*taken)(struct weir_feed *feed);
	/* What was taken last holds on every plane. */
	void (*in_force)(struct weir_feed *feed);
	/* The node that answers for an address on the LAN; empty: not known. */
	struct weir_str (*owner)(const struct weir_feed *feed,
				 const struct weir_ip *ip);
	/* Objects that could not be read. */
	const struct weir_diag *(*diags)(struct weir_feed *feed, size_t *ret_n);
	/* Members for the status document and families of metrics of its own.
	 */
	void (*status)(const struct weir_feed *feed, struct weir_buf *json);
	void (*metrics)(const struct weir_feed *feed, struct weir_buf *text);
};

/* Allocate; to be started by weir_control_start(). */
int weir_feed_manifests_new(const struct weir_options *options,
			    struct weir_loop *loop,
			    struct weir_feed **ret_feed);
int weir_feed_kube_new(const struct weir_options *options,
		       struct weir_loop *loop, struct weir_feed **ret_feed);
void weir_feed_free(struct weir_feed **feed);

#endif
