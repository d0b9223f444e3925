/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, loaded when a client is made and not before: with the thirty
 * libraries that it brings it costs a process 6 MiB resident, 1.1 MiB of that
 * its own, and 20 ms of its start, and neither the parent, nor the proxy, nor
 * an agent that reads a directory has any use for it.
 */
#ifndef WEIR_KUBE_LIBCURL_H
#define WEIR_KUBE_LIBCURL_H

#include <curl/curl.h>

/* What is used of it: name in this program, and without curl_ in libcurl. */
#define WEIR_LIBCURL(F)                                                        \
	F(global_init)                                                         \
	F(easy_init)                                                           \
	F(easy_setopt)                                                         \
	F(easy_getinfo)                                                        \
	F(easy_cleanup)                                                        \
	F(easy_strerror)                                                       \
	F(multi_init)                                                          \
	F(multi_setopt)                                                        \
	F(multi_add_handle)                                                    \
	F(multi_remove_handle)                                                 \
	F(multi_socket_action)                                                 \
	F(multi_assign)                                                        \
	F(multi_info_read)                                                     \
	F(multi_cleanup)                                                       \
	F(slist_append)                                                        \
	F(slist_free_all)                                                      \
	F(version)

/* libcurl's macros check the types of arguments of its own names only. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

struct weir_libcurl {
#define WEIR_LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
	WEIR_LIBCURL(WEIR_LIBCURL_MEMBER)
#undef WEIR_LIBCURL_MEMBER
};

/* The same table for all; it is never unloaded.  -ENOENT: there is no libcurl
 * (package libcurl4) or it is not complete; was logged. */
int weir_libcurl_load(const struct weir_libcurl **ret_curl);

#endif
