/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/golden/NAME.yaml compiled must print as NAME.txt, whatever the
 * order in which the objects reach the store.  WEIR_GOLDEN=update writes the
 * texts anew: read the difference before committing it.
 *
 * In a YAML "@CERT@" and "@KEY@" stand for a certificate and its key in base64,
 * "@CA@" (with its quotes) for the certificate as a string: made anew in each
 * run, so what is printed cannot depend on them.
 */
#include "compile_site.h"

#include <dirent.h>
#include <fcntl.h>

#include "fdutil.h"
#include "make_cert.h"
#include "print.h"

static const char *const severities[] = {"error", "warning", "info"};

static void print_all(const struct site *s, struct weir_buf *out)
{
	weir_plan_print(&s->view, out);
	weir_buf_addz(out, "diagnostics\n");
	for (size_t i = 0; i < s->out.diags.n; i++) {
		const struct weir_diag *d = &s->out.diags.v[i];

		weir_buf_printf(out, "  %s %.*s %.*s %.*s/%.*s %.*s: %.*s\n",
				severities[d->severity],
				WEIR_STR_ARG(d->reason), WEIR_STR_ARG(d->kind),
				WEIR_STR_ARG(d->ns), WEIR_STR_ARG(d->name),
				WEIR_STR_ARG(d->field),
				WEIR_STR_ARG(d->message));
	}
	weir_verdicts_print(&s->out.verdicts, out);
}

static void read_golden(const char *name, const char *ending,
			struct weir_buf *out)
{
	char path[512];
	int r;

	snprintf(path, sizeof(path), "tests/unit/golden/%s%s", name, ending);
	r = weir_read_file_at(AT_FDCWD, path, 1 << 20, out);
	must(r == 0 || !strcmp(ending, ".txt"), "%s: %s", path, strerror(-r));
}

static void write_golden(const char *name, const struct weir_buf *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "tests/unit/golden/%s.txt", name);
	f = fopen(path, "we");
	must(f != NULL, "%s: %s", path, strerror(errno));
	ok(fwrite(text->p, 1, text->n, f) == text->n, "write %s", path);
	fclose(f);
}

/* The first line that differs says more than two whole texts. */
static void show_difference(struct weir_str want, struct weir_str got)
{
	unsigned line = 1;
	size_t i = 0;
	size_t start = 0;

	while (i < want.n && i < got.n && want.p[i] == got.p[i]) {
		if (want.p[i++] == '\n') {
			line++;
			start = i;
		}
	}
	want = weir_str_skip(want, start);
	got = weir_str_skip(got, start);
	want.n = weir_str_find(want, '\n') >= 0
			 ? (size_t)weir_str_find(want, '\n')
			 : want.n;
	got.n = weir_str_find(got, '\n') >= 0 ? (size_t)weir_str_find(got, '\n')
					      : got.n;
	printf("# line %u\n# want: %.*s\n# got:  %.*s\n", line,
	       WEIR_STR_ARG(want), WEIR_STR_ARG(got));
}

static void substitute(const struct weir_buf *yaml, struct weir_buf *out)
{
	static struct made_cert made;
	_cleanup_buf_ struct weir_buf chain = {0};
	_cleanup_buf_ struct weir_buf key = {0};
	_cleanup_buf_ struct weir_buf ca = {0};
	const struct {
		const char *name;
		const struct weir_buf *by;
	} words[] = {{"@CERT@", &chain}, {"@KEY@", &key}, {"\"@CA@\"", &ca}};
	size_t i = 0;

	if (!made.chain.n) {
		make_cert("golden.example", NULL, &made);
	}
	put_base64(&chain, &made.chain);
	put_base64(&key, &made.key);
	weir_buf_add_json(&ca, weir_buf_str(&made.chain));
	while (i < yaml->n) {
		struct weir_str rest = {yaml->p + i, yaml->n - i};
		size_t w = 0;

		while (w < 3 &&
		       !weir_str_starts(rest, weir_str_of(words[w].name))) {
			w++;
		}
		if (w < 3) {
			weir_buf_add(out, words[w].by->p, words[w].by->n);
			i += strlen(words[w].name);
		} else {
			weir_buf_add(out, rest.p, 1);
			i++;
		}
	}
	must(out->error == 0, "memory");
}

static void compile_text(struct site *s, struct weir_str yaml, unsigned seed)
{
	*s = (struct site){0};
	must(weir_store_new(&s->store) == 0, "store");
	site_load(s, yaml, seed);
	site_compile(s);
}

/* text: what the first prints, diagnostics and all. */
static void check_order(const struct site *first, struct weir_str text,
			struct weir_str yaml, const char *name)
{
	for (unsigned seed = 1; seed <= 8; seed++) {
		_cleanup_(site_fini) struct site s;
		_cleanup_buf_ struct weir_buf got = {0};

		compile_text(&s, yaml, seed);
		ok(s.out.rules_size == first->out.rules_size &&
			   s.out.eps_size == first->out.eps_size &&
			   s.out.secrets_size == first->out.secrets_size &&
			   !memcmp(s.out.secrets, first->out.secrets,
				   s.out.secrets_size) &&
			   !memcmp(s.out.rules, first->out.rules,
				   s.out.rules_size) &&
			   !memcmp(s.out.eps, first->out.eps, s.out.eps_size),
		   "%s: shuffle %u gives other bytes", name, seed);
		print_all(&s, &got);
		ok(weir_str_eq(weir_buf_str(&got), text),
		   "%s: shuffle %u prints otherwise", name, seed);
	}
}

static void check_golden(const char *name)
{
	_cleanup_(site_fini) struct site s = {0};
	_cleanup_buf_ struct weir_buf written = {0};
	_cleanup_buf_ struct weir_buf yaml = {0};
	_cleanup_buf_ struct weir_buf want = {0};
	_cleanup_buf_ struct weir_buf got = {0};
	const char *mode = getenv("WEIR_GOLDEN");

	read_golden(name, ".yaml", &written);
	substitute(&written, &yaml);
	read_golden(name, ".txt", &want);
	compile_text(&s, weir_buf_str(&yaml), 0);
	print_all(&s, &got);
	must(got.error == 0, "memory");
	check_order(&s, weir_buf_str(&got), weir_buf_str(&yaml), name);
	if (mode && !strcmp(mode, "update")) {
		write_golden(name, &got);
		return;
	}
	if (!ok(weir_str_eq(weir_buf_str(&want), weir_buf_str(&got)),
		"%s is compiled otherwise", name)) {
		show_difference(weir_buf_str(&want), weir_buf_str(&got));
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every file there, so that none is forgotten. */
static void every_golden_plan_is_unchanged(void)
{
	char *names[256];
	size_t n = 0;
	DIR *dir = opendir("tests/unit/golden");
	struct dirent *e;

	must(dir != NULL, "run from the top of the tree");
	while ((e = readdir(dir)) && n < 256) {
		size_t len = strlen(e->d_name);

		if (len > 5 && !strcmp(e->d_name + len - 5, ".yaml")) {
			names[n] = strdup(e->d_name);
			names[n++][len - 5] = '\0';
		}
	}
	closedir(dir);
	ok(n >= 8, "only %zu golden files", n);
	qsort(names, n, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < n; i++) {
		check_golden(names[i]);
		weir_free_ptr(&names[i]);
	}
}

TAP_MAIN(TEST(every_golden_plan_is_unchanged))
