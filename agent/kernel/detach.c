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
#include "log.h"
#include "private.h"

static void close_dir(DIR **dir)
{
	if (*dir) {
		closedir(*dir);
	}
}

static int detach_version(const struct weir_kernel_config *config,
			  const char *pin_path)
{
	_cleanup_close_ int lock = -1;
	pid_t holder = 0;
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
	r = weir_packet_detach(config, pin_path);
	if (r < 0) {
		return r;
	}
	return weir_pin_remove_all(pin_path);
}

/* "v" and digits: no other name in pin_dir is ours. */
static bool is_version(const char *name)
{
	return name[0] == 'v' && name[1] != '\0' &&
	       strspn(name + 1, "0123456789") == strlen(name + 1);
}

int weir_kernel_detach(const struct weir_kernel_config *config)
{
	_cleanup_(close_dir) DIR *dir = opendir(config->pin_dir);
	const struct dirent *entry;
	int first = 0, r;

	if (!dir && errno != ENOENT) {
		return -errno;
	}
	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL;

		if (!is_version(entry->d_name)) {
			continue;
		}
		if (asprintf(&path, "%s/%s", config->pin_dir, entry->d_name) <
		    0) {
			return -ENOMEM;
		}
		r = detach_version(config, path);
		if (r < 0 && first == 0) {
			first = r;
		}
	}
	if (first < 0) {
		return first;
	}
	r = weir_routes_detach(config);
	if (r < 0) {
		return r;
	}
	/* Only if it is empty: others may keep things beside ours. */
	if (dir && rmdir(config->pin_dir) < 0 && errno != ENOTEMPTY &&
	    errno != ENOENT && errno != EBUSY) {
		return -errno;
	}
	return 0;
}
