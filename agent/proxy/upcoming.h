/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of this turn that nobody has looked at yet. */
#ifndef WEIR_PROXY_UPCOMING_H
#define WEIR_PROXY_UPCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct epoll_event;
struct weir_worker;

/* Events that are looked at together. */
#define WEIR_UPCOMING 16
/* A plan of fewer bytes stays in the near caches. */
#define WEIR_UPCOMING_PLAN (256u << 10)

/* Fetches what the decisions about the requests among these events, which came
 * over the ring, will read (plan/prefetch.h).  Nothing depends on it. */
void weir_upcoming_fetch(struct weir_worker *w,
			 const struct epoll_event *events, int n);
/* What an HTTP/1.1 head seems to ask for, if Host is its first field, as most
 * clients have it.  host: as written, without port; path: without query. */
bool weir_upcoming_guess(struct weir_str head, struct weir_str *ret_host,
			 struct weir_str *ret_path);

#endif
