/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership in the declaration: _cleanup_(f) runs f(&var) when var leaves its
 * scope; TAKE_PTR/TAKE_FD hand the value on and disarm it.
 * Descriptors start at -1.  Only this directory calls free() and close().
 */
#ifndef WEIR_UTIL_CLEANUP_H
#define WEIR_UTIL_CLEANUP_H

#include <dirent.h>
#include <stddef.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(weir_free_ptr)
#define _cleanup_close_ _cleanup_(weir_close)

#define TAKE_PTR(p)                                                            \
	({                                                                     \
		__typeof__(p) *_pp = &(p);                                     \
		__typeof__(p) _taken = *_pp;                                   \
		*_pp = NULL;                                                   \
		_taken;                                                        \
	})
#define TAKE_FD(fd)                                                            \
	({                                                                     \
		int *_pfd = &(fd);                                             \
		int _taken = *_pfd;                                            \
		*_pfd = -1;                                                    \
		_taken;                                                        \
	})

/* Free what *(void **)pp owns and null it.  pp: address of any pointer. */
void weir_free_ptr(void *pp);
/* Close *fd if it is open and set it to -1.  Keeps errno. */
void weir_close(int *fd);
/* Close *dir if it is open. */
void weir_close_dir(DIR **dir);

#endif
