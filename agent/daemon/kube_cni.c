// SPDX-License-Identifier: Apache-2.0
/* What the container runtime of this node keeps of its pods' networks, for
 * kube/ahead.h.  The directory may be absent, and come: libcni makes it with
 * the first pod. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdutil.h"
#include "kube.h"
#include "log.h"

#define LOOK_MS 10000u
#define NS 1000000000u

/* When the node began to run; what is older is of sandboxes that are gone. */
static uint64_t boot_ns(void)
{
	struct timespec now;
	struct timespec since;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &since);
	return (uint64_t)(now.tv_sec - since.tv_sec) * NS +
	       (uint64_t)now.tv_nsec - (uint64_t)since.tv_nsec;
}

/* Files of loopback and of other networks, and what is being written, say
 * nothing; that is no fault. */
static void read_one(struct weir_ahead *ahead, int dir_fd, const char *name)
{
	_cleanup_buf_ struct weir_buf b = {0};
	_cleanup_close_ int fd = openat(
		dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct weir_str file = weir_str_of(name);
	struct stat st;
	uint64_t at_ns;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    weir_read_fd(fd, WEIR_AHEAD_FILE_MAX, &b) < 0) {
		weir_ahead_drop(ahead, file);
		return;
	}
	at_ns = (uint64_t)st.st_mtim.tv_sec * NS + (uint64_t)st.st_mtim.tv_nsec;
	if (at_ns < boot_ns()) {
		weir_ahead_drop(ahead, file);
		return;
	}
	(void)weir_ahead_put(ahead, file, at_ns, weir_buf_str(&b));
}

static void read_all(struct weir_kube_feed *f)
{
	struct weir_ahead *ahead = weir_kube_source_ahead(f->source);
	_cleanup_(weir_close_dir) DIR *dir = opendir(f->options->cni_results);
	const struct dirent *entry;

	weir_ahead_drop_all(ahead);
	while (dir && (entry = readdir(dir))) {
		read_one(ahead, dirfd(dir), entry->d_name);
	}
}

static void on_files(void *arg, const char *const *names, size_t n)
{
	struct weir_kube_feed *f = arg;
	_cleanup_close_ int fd = open(f->options->cni_results,
				      O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (n == 0 || fd < 0) {
		read_all(f);
	}
	for (size_t i = 0; fd >= 0 && i < n; i++) {
		read_one(weir_kube_source_ahead(f->source), fd, names[i]);
	}
	weir_kube_source_told_ahead(f->source);
}

static void on_look(struct weir_timer *timer)
{
	struct weir_kube_feed *f = timer->arg;
	const char *dir = f->options->cni_results;
	int r;

	if (access(dir, R_OK | X_OK) < 0) {
		weir_loop_arm(f->loop, timer, LOOK_MS);
		return;
	}
	/* Watch first: what comes while all is read is told afterwards. */
	r = weir_watch_new(f->loop, dir, on_files, f, &f->cni);
	if (r < 0) {
		if (!f->cni_is_refused) {
			weir_warn("--cni-results %s: %s; addresses of pods are "
				  "known when the API server tells them",
				  dir, strerror(-r));
		}
		f->cni_is_refused = true; /* said once */
		weir_loop_arm(f->loop, timer, LOOK_MS);
	}
	read_all(f);
	weir_kube_source_told_ahead(f->source);
}

void weir_kube_cni_say(struct weir_kube_feed *f)
{
	struct weir_ahead *ahead = weir_kube_source_ahead(f->source);
	_cleanup_buf_ struct weir_buf text = {0};
	bool is_news;

	if (ahead->is_in_list) {
		return; /* its end is news */
	}
	is_news = weir_ahead_say(ahead, WEIR_LEASE_STARTS_MAX, &text);
	weir_buf_add(&text, "", 1);
	if (f->members && !text.error) {
		weir_kube_members_say_starts(f->members, text.p, is_news);
	}
}

static bool tells(const struct weir_kube_feed *f,
		  const struct weir_kube_member *m)
{
	return m->is_live && m->starts &&
	       !weir_str_is(m->node, f->options->node_name);
}

void weir_kube_cni_hear(struct weir_kube_feed *f)
{
	struct weir_ahead *ahead = weir_kube_source_ahead(f->source);
	const struct weir_kube_member *v;
	uint64_t hash = 0;
	size_t n;

	v = weir_kube_members_list(f->members, &n);
	for (size_t i = 0; v && i < n; i++) {
		if (tells(f, &v[i])) {
			hash = weir_str_hash(v[i].node, hash + 1);
			hash = weir_str_hash(weir_str_of(v[i].starts), hash);
		}
	}
	if (hash == f->cni_heard) {
		return;
	}
	f->cni_heard = hash;
	weir_ahead_hear_anew(ahead);
	for (size_t i = 0; v && i < n; i++) {
		if (tells(f, &v[i]) &&
		    weir_ahead_hear(ahead, v[i].node,
				    weir_str_of(v[i].starts)) < 0) {
			break; /* the server tells */
		}
	}
	weir_kube_source_told_ahead(f->source);
}

void weir_kube_cni_init(struct weir_kube_feed *f)
{
	f->cni_timer = (struct weir_timer){.fn = on_look, .arg = f};
	if (f->options->cni_results) {
		on_look(&f->cni_timer);
	}
}

void weir_kube_cni_fini(struct weir_kube_feed *f)
{
	weir_loop_disarm(f->loop, &f->cni_timer);
	weir_watch_free(&f->cni);
}

void weir_kube_cni_status(const struct weir_kube_feed *f, struct weir_buf *b)
{
	const struct weir_ahead *ahead = weir_kube_source_ahead(f->source);

	if (!f->options->cni_results) {
		return;
	}
	weir_buf_addz(b, ",\"cniResults\":{\"dir\":");
	weir_buf_add_json(b, weir_str_of(f->options->cni_results));
	weir_buf_printf(
		b, ",\"state\":\"%s\",\"networks\":%zu,\"starting\":%zu}",
		f->cni ? "watching" : "absent", ahead->n_nets, ahead->n_pods);
}
