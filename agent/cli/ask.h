/* SPDX-License-Identifier: Apache-2.0 */
/* The admin socket, from the asking side. */
#ifndef WEIR_CLI_ASK_H
#define WEIR_CLI_ASK_H

#include <cjson/cJSON.h>

#include "ctl.h"

/* Sends one request line, appends the whole answer.  ret_fds: NULL, or two
 * descriptors, -1 where none came, owned by the caller.  0 or -errno. */
int weir_ask(const char *path, const char *request, struct weir_buf *answer,
	     int ret_fds[2]);
/* The answer parsed; the caller frees it (cJSON_Delete).  NULL after saying why
 * on standard error. */
cJSON *weir_ask_json(const struct weir_ctl *ctl, const char *request);
void weir_ask_json_free(cJSON **json);
/* " (is weir-agent running? ...)" for an error of weir_ask(), or "". */
const char *weir_ask_hint(int error);
/* Prints the answer as it is; an exit code. */
int weir_ask_print(const struct weir_ctl *ctl, const char *request);

/* Member of an object; 0 or "" if it is not there or something else. */
double weir_json_number(const cJSON *object, const char *name);
const char *weir_json_text(const cJSON *object, const char *name);

#endif
