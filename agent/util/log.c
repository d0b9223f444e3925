/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *log_component = "weir";
static enum weir_log_level log_max = WEIR_LOG_INFO;

void weir_log_init(const char *component, enum weir_log_level max)
{
	log_component = component;
	log_max = max;
}

/* One write per line, so that lines of several processes do not mix. */
void weir_log(enum weir_log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warning", "info",
					    "debug"};
	char line[2048];
	struct timespec now;
	struct tm tm;
	va_list ap;
	size_t n;
	int saved = errno;
	int r;

	if (level > log_max) {
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	r = snprintf(line + n, sizeof(line) - n,
		     ".%03ldZ %s %s: ", now.tv_nsec / 1000000, names[level],
		     log_component);
	n += (size_t)r;
	errno = saved; /* for %m */
	va_start(ap, fmt);
	r = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (r > 0) {
		n += (size_t)r < sizeof(line) - n - 1 ? (size_t)r
						      : sizeof(line) - n - 2;
	}
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0) {
		/* Nowhere left to say so. */
	}
	errno = saved;
}
