// SPDX-License-Identifier: Apache-2.0
/*
 * Two watches: the directory, and the one it lies in, which tells when it is
 * made, moved into place or (a symbolic link) exchanged.  A mounted ConfigMap
 * is exchanged by renaming the link "..data", which is an event without a file
 * of ours, hence: read all.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "log.h"
#include "map.h"

#define RETRY_MS 250         /* while the directory is absent */
#define BATCH_NAMES_MAX 4096 /* more changes at once: read all */

#define DIR_EVENTS                                                             \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |            \
	 IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define PARENT_EVENTS (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)

struct weir_watch {
	struct weir_loop *loop;
	struct weir_io io;
	struct weir_timer retry;
	weir_watch_fn fn;
	void *arg;
	char *dir;
	char *parent;     /* directory that dir lies in */
	const char *base; /* its name there, in dir */
	int dir_wd;       /* -1: absent */
	int parent_wd;
	bool is_refused; /* other than by its absence */
};

/* What one drain of the queue found. */
struct batch {
	struct weir_buf names; /* NUL after each */
	struct weir_map seen;  /* by hash of the name */
	size_t n;
	bool wants_all;
};

static void batch_fini(struct batch *b)
{
	weir_buf_fini(&b->names);
	weir_map_fini(&b->seen);
}

static void add_name(struct batch *b, const char *name)
{
	uint64_t hash = weir_str_hash(weir_str_of(name), 1) | 1;
	uint64_t ignored;

	if (b->wants_all || weir_map_get(&b->seen, hash, &ignored)) {
		return;
	}
	if (b->n == BATCH_NAMES_MAX || weir_map_put(&b->seen, hash, 1) < 0) {
		b->wants_all = true;
		return;
	}
	weir_buf_add(&b->names, name, strlen(name) + 1);
	b->n++;
	b->wants_all = b->names.error < 0;
}

/* (Re)places the watches by path.  True if dir is another directory now. */
static bool place(struct weir_watch *w)
{
	int fd = w->io.fd;
	int before = w->dir_wd;

	w->parent_wd = inotify_add_watch(fd, w->parent, PARENT_EVENTS);
	w->dir_wd = inotify_add_watch(fd, w->dir, DIR_EVENTS);
	if (w->dir_wd < 0 && errno != ENOENT && !w->is_refused) {
		weir_error("cannot watch the directory, trying on: dir=%s "
			   "error=\"%m\"%s",
			   w->dir,
			   errno == ENOSPC
				   ? " (raise fs.inotify.max_user_watches)"
				   : "");
		w->is_refused = true; /* said once */
	}
	w->is_refused &= w->dir_wd < 0;
	if (before >= 0 && before != w->dir_wd) {
		inotify_rm_watch(fd, before);
	}
	if (w->dir_wd < 0) {
		if (before >= 0) {
			weir_warn("directory is gone, keeping what it said: "
				  "dir=%s",
				  w->dir);
		}
		weir_loop_arm(w->loop, &w->retry, RETRY_MS);
		return false;
	}
	return before != w->dir_wd;
}

/* An open(O_CREAT) tells of an empty file whose IN_CLOSE_WRITE follows; a link
 * is complete as it comes. */
static bool is_link(const struct weir_watch *w, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	return lstat(path, &st) == 0 &&
	       (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static void on_dir_event(struct weir_watch *w, struct batch *b,
			 const struct inotify_event *e)
{
	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
		if (e->mask & IN_IGNORED) {
			w->dir_wd = -1;
		}
		b->wants_all |= place(w);
	} else if (e->len == 0 || e->mask & IN_ISDIR) {
		return;
	} else if (e->name[0] == '.' && e->name[1] == '.') {
		b->wants_all = true;
	} else if (!(e->mask & IN_CREATE) || is_link(w, e->name)) {
		add_name(b, e->name);
	}
}

static void on_event(struct weir_watch *w, struct batch *b,
		     const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		b->wants_all = true;
	} else if (e->wd == w->dir_wd) {
		on_dir_event(w, b, e);
	} else if (e->wd == w->parent_wd) {
		if (e->mask & IN_IGNORED ||
		    (e->len && strcmp(e->name, w->base) == 0)) {
			b->wants_all |= place(w);
		}
	}
}

static void drain(struct weir_watch *w, struct batch *b)
{
	char space[16384]
		__attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(w->io.fd, space, sizeof(space))) > 0) {
		for (char *p = space; p < space + n;) {
			const struct inotify_event *e = (void *)p;

			on_event(w, b, e);
			p += sizeof(*e) + e->len;
		}
	}
}

static void tell(struct weir_watch *w, const struct batch *b)
{
	_cleanup_free_ const char **names = NULL;
	const char *p = b->names.p;

	if (b->n && !b->wants_all) {
		names = calloc(b->n, sizeof(*names));
	}
	if (!names) {
		w->fn(w->arg, NULL, 0);
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		names[i] = p;
		p += strlen(p) + 1;
	}
	w->fn(w->arg, names, b->n);
}

static void on_readable(struct weir_io *io, uint32_t events)
{
	struct batch b __attribute__((cleanup(batch_fini))) = {0};
	struct weir_watch *w = io->arg;

	(void)events;
	drain(w, &b);
	if (b.n || b.wants_all) {
		tell(w, &b);
	}
}

static void on_retry(struct weir_timer *timer)
{
	struct weir_watch *w = timer->arg;

	if (w->dir_wd < 0 && place(w)) {
		weir_info("directory is back: dir=%s", w->dir);
		w->fn(w->arg, NULL, 0);
	}
}

/* "/etc/weir/x/" lies in "/etc/weir" as "x"; "x" lies in ".". */
static int split_path(struct weir_watch *w, const char *dir)
{
	size_t n = strlen(dir);
	char *slash;

	while (n > 1 && dir[n - 1] == '/') {
		n--;
	}
	w->dir = strndup(dir, n);
	w->parent = strndup(dir, n);
	if (!w->dir || !w->parent) {
		return -ENOMEM;
	}
	slash = strrchr(w->parent, '/');
	if (!slash) {
		w->base = w->dir;
		w->parent[0] = '.';
		w->parent[1] = '\0';
		return 0;
	}
	w->base = w->dir + (slash - w->parent) + 1;
	slash[slash == w->parent] = '\0';
	return 0;
}

int weir_watch_new(struct weir_loop *loop, const char *dir, weir_watch_fn fn,
		   void *arg, struct weir_watch **ret_watch)
{
	_cleanup_(weir_watch_free) struct weir_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		return -ENOMEM;
	}
	*w = (struct weir_watch){.loop = loop,
				 .fn = fn,
				 .arg = arg,
				 .dir_wd = -1,
				 .parent_wd = -1};
	w->io = (struct weir_io){.fd = -1, .fn = on_readable, .arg = w};
	w->retry = (struct weir_timer){.fn = on_retry, .arg = w};
	r = split_path(w, dir);
	if (r < 0) {
		return r;
	}
	w->io.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->io.fd < 0) {
		return -errno;
	}
	r = weir_loop_add(loop, &w->io, EPOLLIN);
	if (r < 0) {
		return r;
	}
	place(w);
	*ret_watch = TAKE_PTR(w);
	return 0;
}

void weir_watch_free(struct weir_watch **watch)
{
	struct weir_watch *w = *watch;

	if (!w) {
		return;
	}
	weir_loop_disarm(w->loop, &w->retry);
	if (w->io.fd >= 0) {
		weir_loop_del(w->loop, &w->io);
	}
	weir_close(&w->io.fd);
	weir_free_ptr(&w->dir);
	weir_free_ptr(&w->parent);
	weir_free_ptr(watch);
}
