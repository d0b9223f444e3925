/* SPDX-License-Identifier: Apache-2.0 */
/* Are the directories that the flags name what they should be? */
#ifndef WEIR_DAEMON_PLACES_H
#define WEIR_DAEMON_PLACES_H

#include "options.h"

/* Chooses the cgroup ("auto", "none", a path) into options->kernel.cgroup, and
 * checks it and the directory of pins.  -errno with one line that says what is
 * wrong and how to mend it. */
int weir_places_settle(struct weir_options *options,
		       char ret_error[static WEIR_OPTIONS_ERROR_MAX]);

#endif
