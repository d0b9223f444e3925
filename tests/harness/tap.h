/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TAP in a header.  A test file is a table of named functions:
 *
 *	static void weight_zero_never_selected(void) { ok(n == 0, "..."); }
 *	TAP_MAIN(TEST(weight_zero_never_selected), TEST(...))
 *
 * One TAP line per named function; it fails if any check in it failed.
 * skip_test("reason") ends the function as skipped.
 */
#ifndef WEIR_TAP_H
#define WEIR_TAP_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

struct tap_test {
	const char *name;
	void (*fn)(void);
};

static int tap_failures __attribute__((unused));
static const char *tap_skip __attribute__((unused));
static jmp_buf tap_jump __attribute__((unused));
static int tap_failed __attribute__((unused)); /* not a local: longjmp */

#define TEST(f)                                                                \
	{                                                                      \
#f, f                                                          \
	}

/* A check: on failure prints where and what. Evaluates to its truth. */
#define ok(cond, ...)                                                          \
	({                                                                     \
		int _ok = !!(cond);                                            \
		if (!_ok) {                                                    \
			tap_failures++;                                        \
			printf("# %s:%d: %s: ", __FILE__, __LINE__, #cond);    \
			printf(__VA_ARGS__);                                   \
			printf("\n");                                          \
		}                                                              \
		_ok;                                                           \
	})
/* A check without which the rest of the function makes no sense. */
#define must(cond, ...)                                                        \
	do {                                                                   \
		if (!ok(cond, __VA_ARGS__)) {                                  \
			longjmp(tap_jump, 1);                                  \
		}                                                              \
	} while (0)
#define skip_test(why)                                                         \
	do {                                                                   \
		tap_skip = (why);                                              \
		longjmp(tap_jump, 1);                                          \
	} while (0)

static inline int tap_run(const struct tap_test *tests, int n)
{
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		tap_failures = 0;
		tap_skip = NULL;
		if (setjmp(tap_jump) == 0) {
			tests[i].fn();
		}
		printf("%sok %d - %s%s%s\n", tap_failures ? "not " : "", i + 1,
		       tests[i].name, tap_skip ? " # SKIP " : "",
		       tap_skip ? tap_skip : "");
		fflush(stdout);
		tap_failed += tap_failures > 0;
	}
	return tap_failed ? 1 : 0;
}

#define TAP_MAIN(...)                                                          \
	int main(void)                                                         \
	{                                                                      \
		static const struct tap_test tests[] = {__VA_ARGS__};          \
                                                                               \
		return tap_run(tests,                                          \
			       (int)(sizeof(tests) / sizeof(tests[0])));       \
	}

#endif
