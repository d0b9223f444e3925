/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out at any point of a compilation: -ENOMEM, nothing leaked
 * into the result, and the next attempt gives the same plan as ever.
 */
#include "compile_site.h"

#include <fcntl.h>

#include "failing_alloc.h"
#include "fdutil.h"

static void load(struct site *s, const char *path)
{
	_cleanup_buf_ struct weir_buf yaml = {0};

	*s = (struct site){0};
	must(weir_read_file_at(AT_FDCWD, path, 1 << 20, &yaml) == 0, "%s",
	     path);
	must(weir_store_new(&s->store) == 0, "store");
	site_load(s, weir_buf_str(&yaml), 0);
}

#if CAN_FAIL
/* True if it failed; then it failed as it should. */
static bool fail_at(const struct site *s, struct weir_store *store, long n)
{
	struct weir_compile_options options = {.node_name = WEIR_STR("node-a")};
	struct weir_compiled out = {0};
	int r;

	countdown = n;
	r = weir_compile(store, &options, &out);
	countdown = -1;
	if (r < 0) {
		ok(r == -ENOMEM && !out.rules && !out.eps, "%ld: %d", n, r);
		return true;
	}
	/* Diagnostics may be missing, and say so; the plan may not. */
	ok(out.rules_size == s->out.rules_size &&
		   !memcmp(out.rules, s->out.rules, out.rules_size) &&
		   out.eps_size == s->out.eps_size &&
		   !memcmp(out.eps, s->out.eps, out.eps_size),
	   "%ld: another plan", n);
	ok(out.diags.n == s->out.diags.n || out.diags.is_lossy,
	   "%ld: diagnostics lost in silence", n);
	weir_compiled_fini(&out);
	return false;
}
#endif

static void memory_may_run_out_anywhere(void)
{
#if CAN_FAIL
	static const char *const files[] = {
		"tests/unit/golden/knative.yaml", "tests/unit/golden/http.yaml",
		"tests/unit/golden/alias.yaml", "tests/unit/golden/mesh.yaml"};
	unsigned n_failed = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		_cleanup_(site_fini) struct site s;

		load(&s, files[i]);
		site_compile(&s);
		/* Each time a store that has to list its objects first. */
		for (long n = 1; n < 150; n++) {
			_cleanup_(site_fini) struct site t;

			load(&t, files[i]);
			n_failed += fail_at(&s, t.store, n);
		}
	}
	ok(n_failed > 20, "only %u failures", n_failed);
#else
	(void)load;
	skip_test("the allocator is not ours under AddressSanitizer");
#endif
}

TAP_MAIN(TEST(memory_may_run_out_anywhere))
