// SPDX-License-Identifier: Apache-2.0
#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

int weir_log_file_open(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = -1;

	if (strcmp(path, "-") == 0) {
		/* Its flags are shared with whoever else has it: they stay. */
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		/* Not to wait for the reader of a pipe, here or later. */
		fd = open(path,
			  O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY |
				  O_NONBLOCK | O_CLOEXEC,
			  0640);
	}
	if (fd < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
