/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local activation, the worker's side: a request for a revision that sleeps, or
 * that Knative keeps its activator before, goes from here to a pod.  It is
 * counted for the autoscaler (waker.h) as long as it is under way, and exactly
 * then bears "K-Proxy-Request: activator": queue-proxy leaves such requests out
 * of what it reports itself.
 */
#ifndef WEIR_PROXY_ACTIVATE_H
#define WEIR_PROXY_ACTIVATE_H

#include "conn.h"

/* c->ref was chosen for the request with head h: c->rev is set if it is to be
 * activated here.  What a client says in K-Proxy-Request is left out of h. */
void weir_activate_begin(struct weir_worker *w, struct weir_client *c,
			 const struct weir_http1_head *h);
/* It is over, or left to the activator: not counted any more. */
void weir_activate_end(struct weir_worker *w, struct weir_client *c);
/* c->rev is set: a pod for the next attempt, or NULL.  If c->rev is NULL then,
 * it may not go on here and was left to the activator. */
const struct weir_endpoint *weir_activate_pick(struct weir_worker *w,
					       struct weir_client *c);
/* c->rev is set: it waits, or does not wait any more. */
void weir_activate_waits(struct weir_worker *w, struct weir_client *c,
			 bool is_waiting);

#endif
