/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 section 4), as Kubernetes writes bytes into JSON. */
#ifndef WEIR_UTIL_BASE64_H
#define WEIR_UTIL_BASE64_H

#include "buf.h"

/* Appends what text stands for.  Line breaks in it are ignored, as by Go's
 * decoder; padding is required.  0, -EINVAL (nothing was appended) or -ENOMEM.
 */
int weir_base64_decode(struct weir_str text, struct weir_buf *out);

#endif
