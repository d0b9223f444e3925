// SPDX-License-Identifier: Apache-2.0
/*
 * Taking weir out: every ABI version's directory below pin_dir whose agent is
 * not running, with what it pinned, attached and routed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "lan.h"
#include "log.h"
#include "private.h"

/* Was it made in the calling thread's network namespace?  Yes, if the kernel
 * has no cookies or nothing is left that tells. */
static bool is_of_here(const char *pin_path)
{
	uint64_t here = weir_netns_cookie();
	struct weir_meta meta = {};

	return here == 0 || weir_pin_meta(pin_path, &meta) < 0 ||
	       meta.netns_cookie == 0 || meta.netns_cookie == here;
}

/* The emptied directory goes last: until then it is the record that there are
 * routes of ours. */
static int detach_version(const struct weir_kernel_config *config,
			  const char *pin_path)
{
	_cleanup_close_ int lock = -1;
	pid_t holder = 0;
	bool is_here;
	int r;

	r = weir_pin_lock(pin_path, false, &lock, &holder);
	if (r == -EBUSY) {
		weir_error("an agent is running, not detached path=%s pid=%d",
			   pin_path, (int)holder);
		return r;
	}
	if (r < 0) {
		return r == -ENOENT ? 0 : r;
	}
	is_here = is_of_here(pin_path);
	r = weir_packet_detach(config, pin_path);
	if (r < 0) {
		return r;
	}
	r = weir_pin_remove_all(pin_path);
	if (r < 0) {
		return r;
	}
	if (!is_here) {
		weir_warn("made in another network namespace, local routes are "
			  "left alone path=%s",
			  pin_path);
	}
	r = is_here ? weir_routes_detach(config) : 0;
	if (r == 0 && is_here) {
		r = weir_lan_detach();
	}
	if (r < 0) {
		return r;
	}
	return rmdir(pin_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* "v" and digits: no other name in pin_dir is ours. */
static bool is_version(const char *name)
{
	return name[0] == 'v' && name[1] != '\0' &&
	       strspn(name + 1, "0123456789") == strlen(name + 1);
}

/* Detaches every version; how many there were in *ret_n, also on failure. */
static int detach_versions(const struct weir_kernel_config *config, DIR *dir,
			   size_t *ret_n)
{
	const struct dirent *entry;
	int first = 0;

	*ret_n = 0;
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL;
		int r;

		if (!is_version(entry->d_name)) {
			continue;
		}
		if (asprintf(&path, "%s/%s", config->pin_dir, entry->d_name) <
		    0) {
			return -ENOMEM;
		}
		++*ret_n;
		r = detach_version(config, path);
		if (r < 0 && first == 0) {
			first = r;
		}
	}
	return first;
}

int weir_kernel_detach(const struct weir_kernel_config *config)
{
	_cleanup_(weir_close_dir) DIR *dir = NULL;
	_cleanup_close_ int alone = -1;
	pid_t holder = 0;
	size_t n = 0;
	int r;

	r = weir_alone_lock(&alone, &holder);
	if (r == -EBUSY) {
		weir_error("an agent is running, not detached "
			   "where=\"this network namespace\" pid=%d",
			   (int)holder);
	}
	if (r < 0) {
		return r;
	}
	dir = opendir(config->pin_dir);
	if (!dir && errno != ENOENT) {
		return -errno;
	}
	r = dir ? detach_versions(config, dir, &n) : 0;
	if (r < 0) {
		return r;
	}
	/* A mistyped directory says nothing about whose the routes are. */
	if (n == 0) {
		weir_warn("nothing of weir is pinned at %s", config->pin_dir);
		return 0;
	}
	/* Only if it is empty: others may keep things beside ours. */
	if (rmdir(config->pin_dir) < 0 && errno != ENOTEMPTY &&
	    errno != ENOENT && errno != EBUSY) {
		return -errno;
	}
	return 0;
}
