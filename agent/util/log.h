/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured lines on standard error: time, level, component, message,
 * key=value.  Levels: error = an operator must act; warning = degraded, heals
 * itself; info = a state changed; debug.  Log once, where it is decided what
 * to do.
 */
#ifndef WEIR_UTIL_LOG_H
#define WEIR_UTIL_LOG_H

enum weir_log_level {
	WEIR_LOG_ERROR,
	WEIR_LOG_WARNING,
	WEIR_LOG_INFO,
	WEIR_LOG_DEBUG,
};

/* component is kept, not copied: "agent", "proxy", "weirctl". */
void weir_log_init(const char *component, enum weir_log_level max);
__attribute__((format(printf, 2, 3))) void weir_log(enum weir_log_level level,
						    const char *fmt, ...);

#define weir_error(...) weir_log(WEIR_LOG_ERROR, __VA_ARGS__)
#define weir_warn(...) weir_log(WEIR_LOG_WARNING, __VA_ARGS__)
#define weir_info(...) weir_log(WEIR_LOG_INFO, __VA_ARGS__)
#define weir_debug(...) weir_log(WEIR_LOG_DEBUG, __VA_ARGS__)

#endif
