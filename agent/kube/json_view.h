/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into JSON text without building anything: which bytes are the value of
 * a member.  For texts of which little is needed (an event's type, an object's
 * resourceVersion); what is decoded goes through the model's reader, which
 * checks it whole.  Wrong text gives a null string, never a read outside it.
 */
#ifndef WEIR_KUBE_JSON_VIEW_H
#define WEIR_KUBE_JSON_VIEW_H

#include "str.h"

/* The value of an object's first member of this name, as written; null if
 * object is none or has no such member. */
struct weir_str weir_jview_member(struct weir_str object, const char *name);
/* The same, from member to member: "metadata", "name", NULL. */
__attribute__((sentinel)) struct weir_str
weir_jview_path(struct weir_str object, ...);
/* What is between the quotes of a string, as written (escapes are kept); null
 * if value is no string. */
struct weir_str weir_jview_text(struct weir_str value);
/* Digits of a number, or of a string of digits; 0 if it is neither. */
uint64_t weir_jview_u64(struct weir_str value);
/* Iterates over an object's members.  Start with *pos = 0; false at the end or
 * where the text is wrong.  ret_whole (may be NULL): from the quote of the name
 * to the end of the value. */
bool weir_jview_next(struct weir_str object, size_t *pos,
		     struct weir_str *ret_name, struct weir_str *ret_value,
		     struct weir_str *ret_whole);

#endif
