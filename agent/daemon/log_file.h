/* SPDX-License-Identifier: Apache-2.0 */
/* Where the access log goes. */
#ifndef WEIR_DAEMON_LOG_FILE_H
#define WEIR_DAEMON_LOG_FILE_H

/* "-" is standard output; anything else is appended to, and made if need be,
 * for its owner and group to read.  A named pipe must have a reader.
 * 0 or -errno. */
int weir_log_file_open(const char *path, int *ret_fd);

#endif
