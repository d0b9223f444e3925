/* SPDX-License-Identifier: Apache-2.0 */
#include "libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "log.h"

static bool find(void *library, const char *name, void *ret_function)
{
	void *symbol = dlsym(library, name);

	if (!symbol) {
		weir_error("libcurl has no %s", name);
		return false;
	}
	/* POSIX: an object pointer of dlsym may be a function's. */
	memcpy(ret_function, &symbol, sizeof(symbol));
	return true;
}

int weir_libcurl_load(const struct weir_libcurl **ret_curl)
{
	static struct weir_libcurl table;
	static bool is_loaded;
	bool is_whole = true;
	void *library;

	if (is_loaded) {
		*ret_curl = &table;
		return 0;
	}
	library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		weir_error("libcurl is needed for Kubernetes (package "
			   "libcurl4): %s",
			   dlerror());
		return -ENOENT;
	}
#define WEIR_LIBCURL_FIND(name)                                                \
	is_whole = find(library, "curl_" #name, &table.name) && is_whole;
	WEIR_LIBCURL(WEIR_LIBCURL_FIND)
#undef WEIR_LIBCURL_FIND
	if (!is_whole || table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		return -ENOENT;
	}
	is_loaded = true;
	*ret_curl = &table;
	return 0;
}
