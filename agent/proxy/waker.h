/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local activation, the other side: a thread that reports what is under way to
 * Knative's autoscaler, as its activator does, and looks for pods that answer
 * before they are Ready.  It needs no credential: the autoscaler takes reports
 * from anybody.
 */
#ifndef WEIR_PROXY_WAKER_H
#define WEIR_PROXY_WAKER_H

#include "ipc.h"
#include "plan_ref.h"
#include "revision.h"

struct weir_waker;

struct weir_waker_config {
	const char *reporter; /* unique among those that report */
	struct weir_proxy_totals *totals;
	/* Something changed for those that wait; from the waker's thread. */
	void (*on_news)(void *arg);
	void *arg;
};

/* 0 or -errno; its thread runs. */
int weir_waker_new(const struct weir_waker_config *config,
		   struct weir_waker **ret_waker);
/* After the last weir_waker_tell(). */
void weir_waker_free(struct weir_waker **waker);
/* Takes over the caller's reference. */
void weir_waker_publish(struct weir_waker *waker, struct weir_plan_ref *ref);
/* rev became active, or requests wait for it.  From any thread. */
void weir_waker_tell(struct weir_waker *waker, struct weir_rev *rev);
/* The autoscaler hears it. */
bool weir_waker_is_up(const struct weir_waker *waker);

#endif
