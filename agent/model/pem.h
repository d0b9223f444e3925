/* SPDX-License-Identifier: Apache-2.0 */
/* Is what a Secret or ConfigMap holds of any use?  Nothing of it is kept. */
#ifndef WEIR_MODEL_PEM_H
#define WEIR_MODEL_PEM_H

#include "str.h"

/* A certificate, possibly with intermediates behind it, and its private key,
 * not encrypted.  NULL: good; else what is wrong, a literal that says nothing
 * of the content. */
const char *weir_pem_check_pair(struct weir_str chain, struct weir_str key);
/* One or more certificates.  Likewise. */
const char *weir_pem_check_bundle(struct weir_str bundle);

#endif
