/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells which files of a directory changed, by inotify.  Survives that the
 * directory is moved, removed or replaced.  No delay: what is readable is
 * drained, then told.
 */
#ifndef WEIR_DAEMON_WATCH_H
#define WEIR_DAEMON_WATCH_H

#include <stddef.h>

#include "loop.h"

struct weir_watch;

/* Once per batch of events.  names: n file names in the directory, each once;
 * n = 0: anything may have changed, read all. */
typedef void (*weir_watch_fn)(void *arg, const char *const *names, size_t n);

/* dir may be absent now and come later.  Does not tell what is there already:
 * the caller reads it after this returned. */
int weir_watch_new(struct weir_loop *loop, const char *dir, weir_watch_fn fn,
		   void *arg, struct weir_watch **ret_watch);
void weir_watch_free(struct weir_watch **watch);

#endif
