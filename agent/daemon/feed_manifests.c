// SPDX-License-Identifier: Apache-2.0
/* A directory as the feed: read whole, then by inotify file by file. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "control.h"
#include "feed.h"
#include "manifest.h"
#include "watch.h"

struct directory {
	struct weir_feed feed; /* first */
	const char *path;
	struct weir_loop *loop;
	struct weir_control *control;
	struct weir_manifests *manifests;
	struct weir_watch *watch;
	int load_error; /* -errno of reading the directory */
};

static void load_all(struct directory *d)
{
	int r = weir_manifests_load(d->manifests);

	if (r < 0 && r != d->load_error) {
		weir_error("cannot read the directory, keeping what it said: "
			   "dir=%s error=%s",
			   d->path, strerror(-r));
	}
	d->load_error = r;
}

static void on_files(void *arg, const char *const *names, size_t n)
{
	struct directory *d = arg;

	weir_control_pending(d->control);
	if (n == 0) {
		load_all(d);
	}
	for (size_t i = 0; i < n; i++) {
		int r = weir_manifests_reload(d->manifests, names[i]);

		if (r < 0) {
			weir_warn("cannot read file: name=%s error=%s",
				  names[i], strerror(-r));
		}
	}
	weir_control_changed(d->control);
}

static int start(struct weir_feed *feed, struct weir_control *control)
{
	struct directory *d = (struct directory *)feed;
	int r = weir_manifests_new(d->path, control->store, &d->manifests);

	d->control = control;
	/* Watch first: what changes while all is read is told afterwards. */
	if (r == 0) {
		r = weir_watch_new(d->loop, d->path, on_files, d, &d->watch);
	}
	if (r == 0) {
		r = weir_manifests_load(d->manifests);
	}
	if (r < 0) {
		weir_error("--manifests %s: %s; it takes a directory that can "
			   "be read",
			   d->path, strerror(-r));
	}
	return r;
}

static void stop(struct weir_feed *feed)
{
	struct directory *d = (struct directory *)feed;

	weir_watch_free(&d->watch);
	weir_manifests_free(&d->manifests);
}

static void reload(struct weir_feed *feed)
{
	on_files(feed, NULL, 0);
}

static bool is_complete(const struct weir_feed *feed)
{
	(void)feed;
	return true;
}

/* A directory has no other reader who could give addresses. */
static bool is_writer(const struct weir_feed *feed)
{
	(void)feed;
	return true;
}

static void ignore(struct weir_feed *feed)
{
	(void)feed;
}

/* Nobody else is known. */
static struct weir_str owner(const struct weir_feed *feed,
			     const struct weir_ip *ip)
{
	(void)feed;
	(void)ip;
	return WEIR_STR("");
}

static const struct weir_diag *diags(struct weir_feed *feed, size_t *ret_n)
{
	struct directory *d = (struct directory *)feed;

	*ret_n = 0;
	return d->manifests ? weir_manifests_diags(d->manifests, ret_n) : NULL;
}

static void say_nothing(const struct weir_feed *feed, struct weir_buf *out)
{
	(void)feed;
	(void)out;
}

int weir_feed_manifests_new(const struct weir_options *options,
			    struct weir_loop *loop, struct weir_feed **ret_feed)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (!d) {
		return -ENOMEM;
	}
	d->path = options->manifests;
	d->loop = loop;
	d->feed = (struct weir_feed){.start = start,
				     .stop = stop,
				     .reload = reload,
				     .is_complete = is_complete,
				     .is_writer = is_writer,
				     .taken = ignore,
				     .in_force = ignore,
				     .owner = owner,
				     .diags = diags,
				     .status = say_nothing,
				     .metrics = say_nothing};
	*ret_feed = &d->feed;
	return 0;
}

void weir_feed_free(struct weir_feed **feed)
{
	weir_free_ptr(feed);
}
