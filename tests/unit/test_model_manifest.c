/* SPDX-License-Identifier: Apache-2.0 */
/* A directory as a source: what changes, what stays, who wins. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "manifest.h"
#include "tap.h"

#define NS(name) "apiVersion: v1\nkind: Namespace\nmetadata: {name: " name "}\n"

static char dir[64];
static struct weir_store *store;
static struct weir_manifests *manifests;

static void path_of(const char *name, char out[static 256])
{
	snprintf(out, 256, "%s/%s", dir, name);
}

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	path_of(name, path);
	f = fopen(path, "w");
	must(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", path);
}

static void remove_file(const char *name)
{
	char path[256];

	path_of(name, path);
	unlink(path);
}

static void clear(void)
{
	static const char *const names[] = {
		"a.yaml",    "b.yaml",    "c.json",      "d.yml",
		".hid.yaml", "other.txt", "f.yaml",      "..data/l.yaml",
		"l.yaml",    "..data",    "..v1/l.yaml", "..v2/l.yaml"};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		remove_file(names[i]);
	}
	path_of("..v1", path);
	rmdir(path);
	path_of("..v2", path);
	rmdir(path);
	rmdir(dir);
}

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/weir-manifest-XXXXXX");
	must(mkdtemp(dir), "mkdtemp");
	must(weir_store_new(&store) == 0, "store");
	must(weir_manifests_new(dir, store, &manifests) == 0, "manifests");
}

static void end(void)
{
	weir_manifests_free(&manifests);
	weir_store_free(&store);
	clear();
}

static void load(void)
{
	must(weir_manifests_load(manifests) == 0, "load");
}

static void reload(const char *name)
{
	must(weir_manifests_reload(manifests, name) == 0, "reload");
}

/* Names of the Namespaces in the store, each with its file. */
static void expect_store(const char *expected)
{
	_cleanup_buf_ struct weir_buf out = {0};
	size_t n;
	const struct weir_object *const *v = weir_store_list(
		store, WEIR_KIND_NAMESPACE, &n);

	for (size_t i = 0; i < n; i++) {
		weir_buf_printf(&out, "%s%.*s:%.*s:%u", i ? " " : "",
				WEIR_STR_ARG(v[i]->name),
				WEIR_STR_ARG(v[i]->source), v[i]->line);
	}
	ok(weir_str_is(weir_buf_str(&out), expected), "got %.*s, expected %s",
	   WEIR_STR_ARG(weir_buf_str(&out)), expected);
}

static void expect_diags(const char *expected)
{
	_cleanup_buf_ struct weir_buf out = {0};
	size_t n;
	const struct weir_diag *v = weir_manifests_diags(manifests, &n);

	for (size_t i = 0; i < n; i++) {
		weir_buf_printf(&out, "%s%.*s:%u %.*s", i ? " " : "",
				WEIR_STR_ARG(v[i].source), v[i].line,
				WEIR_STR_ARG(v[i].reason));
	}
	ok(weir_str_is(weir_buf_str(&out), expected), "got %.*s, expected %s",
	   WEIR_STR_ARG(weir_buf_str(&out)), expected);
}

static void only_manifests_are_read(void)
{
	begin();
	write_file("a.yaml", NS("aa") "---\n" NS("ab"));
	write_file("c.json", "{\"apiVersion\": \"v1\", \"kind\": "
			     "\"Namespace\", \"metadata\": {\"name\": "
			     "\"cc\"}}");
	write_file("d.yml", NS("dd"));
	write_file(".hid.yaml", NS("hid"));
	write_file("other.txt", NS("other"));
	load();
	expect_store("aa:a.yaml:1 ab:a.yaml:5 cc:c.json:1 dd:d.yml:1");
	reload(".hid.yaml");
	reload("other.txt");
	reload("../a.yaml");
	expect_store("aa:a.yaml:1 ab:a.yaml:5 cc:c.json:1 dd:d.yml:1");
	end();
}

static void removal_is_deletion(void)
{
	begin();
	write_file("a.yaml", NS("aa") "---\n" NS("ab"));
	write_file("b.yaml", NS("bb"));
	load();
	write_file("a.yaml", NS("ab"));
	reload("a.yaml");
	expect_store("ab:a.yaml:1 bb:b.yaml:1");
	remove_file("b.yaml");
	reload("b.yaml");
	expect_store("ab:a.yaml:1");
	remove_file("a.yaml");
	load();
	expect_store("");
	end();
}

static void unchanged_files_change_nothing(void)
{
	uint64_t version;

	begin();
	write_file("a.yaml", NS("aa"));
	load();
	version = weir_store_version(store);
	load();
	reload("a.yaml");
	ok(weir_store_version(store) == version, "version");
	end();
}

static void broken_documents_disturb_no_others(void)
{
	begin();
	write_file("a.yaml", NS("aa") "---\na: [\n---\n" NS("ac"));
	write_file("b.yaml", NS("bb"));
	load();
	expect_store("aa:a.yaml:1 ac:a.yaml:7 bb:b.yaml:1");
	expect_diags("a.yaml:6 SyntaxError");
	end();
}

static void what_broke_keeps_its_last_version(void)
{
	begin();
	write_file("a.yaml", NS("aa") "---\n" NS("ab"));
	load();
	/* Identified: that object stays; the one that is gone goes. */
	write_file("a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: "
			     "{name: aa, labels: 1}\n");
	reload("a.yaml");
	expect_store("aa:a.yaml:1");
	expect_diags("a.yaml:3 InvalidType");
	/* Not even identified: all that the file defined stays. */
	write_file("a.yaml", "kind: [\n---\n" NS("ad"));
	reload("a.yaml");
	expect_store("aa:a.yaml:1 ad:a.yaml:3");
	/* Mended: only what it says. */
	write_file("a.yaml", NS("ad"));
	reload("a.yaml");
	expect_store("ad:a.yaml:1");
	expect_diags("");
	end();
}

static void first_by_path_wins(void)
{
	begin();
	write_file("b.yaml", NS("x") "---\n" NS("yy"));
	load();
	write_file("d.yml", NS("x"));
	reload("d.yml");
	expect_store("x:b.yaml:1 yy:b.yaml:5");
	expect_diags("d.yml:1 DuplicateObject");
	/* One before takes over. */
	write_file("a.yaml", NS("x"));
	reload("a.yaml");
	expect_store("x:a.yaml:1 yy:b.yaml:5");
	expect_diags("b.yaml:1 DuplicateObject d.yml:1 DuplicateObject");
	/* It goes: the next one's turn. */
	remove_file("a.yaml");
	reload("a.yaml");
	expect_store("x:b.yaml:1 yy:b.yaml:5");
	expect_diags("d.yml:1 DuplicateObject");
	write_file("b.yaml", NS("yy"));
	reload("b.yaml");
	expect_store("x:d.yml:1 yy:b.yaml:1");
	expect_diags("");
	end();
}

static void first_in_a_file_wins(void)
{
	begin();
	write_file("a.yaml", NS("x") "---\n" NS("x"));
	load();
	expect_store("x:a.yaml:1");
	expect_diags("a.yaml:5 DuplicateObject");
	end();
}

/* A mounted ConfigMap: ..data is a link to the version, swapped by rename. */
static void links_of_config_maps_are_followed(void)
{
	char path[256];
	char link[256];

	begin();
	path_of("..v1", path);
	must(mkdir(path, 0700) == 0, "mkdir");
	path_of("..v2", path);
	must(mkdir(path, 0700) == 0, "mkdir");
	write_file("..v1/l.yaml", NS("one"));
	write_file("..v2/l.yaml", NS("two"));
	path_of("..data", link);
	must(symlink("..v1", link) == 0, "symlink");
	path_of("l.yaml", path);
	must(symlink("..data/l.yaml", path) == 0, "symlink");
	load();
	expect_store("one:l.yaml:1");
	unlink(link);
	must(symlink("..v2", link) == 0, "symlink");
	load();
	expect_store("two:l.yaml:1");
	end();
}

static void odd_files_do_not_hang(void)
{
	char path[256];

	begin();
	write_file("a.yaml", NS("aa"));
	path_of("f.yaml", path);
	must(mkfifo(path, 0600) == 0, "mkfifo");
	load();
	expect_store("aa:a.yaml:1");
	expect_diags("");
	end();
}

static void too_large_files_are_told(void)
{
	char path[256];
	int fd;

	begin();
	write_file("a.yaml", NS("aa"));
	load();
	path_of("a.yaml", path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	must(fd >= 0, "open");
	must(ftruncate(fd, (off_t)WEIR_MANIFEST_MAX + 1) == 0, "truncate");
	close(fd);
	reload("a.yaml");
	expect_store("aa:a.yaml:1");
	expect_diags("a.yaml:0 Unreadable");
	end();
}

static void a_missing_directory_is_an_error(void)
{
	ok(weir_manifests_new("/nonexistent/weir", NULL, &manifests) == -ENOENT,
	   "ENOENT");
}

/* Random edits end where a fresh reading of the directory ends. */
static void edits_end_where_a_fresh_load_ends(void)
{
	static const char *const files[] = {"a.yaml", "b.yaml", "d.yml",
					    "f.yaml"};
	static const char *const docs[] = {NS("p"), NS("q"), NS("r"), NS("s")};
	uint32_t seed = 3;

	begin();
	for (int i = 0; i < 400; i++) {
		char text[512] = "";
		const char *file;
		struct weir_store *fresh = NULL;
		struct weir_manifests *again = NULL;
		size_t n_a;
		size_t n_b;
		const struct weir_object *const *a;
		const struct weir_object *const *b;

		seed = seed * 1664525 + 1013904223;
		file = files[(seed >> 16) & 3];
		for (int k = 0; k < 4; k++) {
			if (seed & (0x1000u << k)) {
				strcat(text, docs[k]);
				strcat(text, "---\n");
			}
		}
		if (text[0]) {
			write_file(file, text);
		} else {
			remove_file(file);
		}
		reload(file);
		must(weir_store_new(&fresh) == 0 &&
			     weir_manifests_new(dir, fresh, &again) == 0 &&
			     weir_manifests_load(again) == 0,
		     "fresh");
		a = weir_store_list(store, WEIR_KIND_NAMESPACE, &n_a);
		b = weir_store_list(fresh, WEIR_KIND_NAMESPACE, &n_b);
		must(n_a == n_b, "step %d: %zu, expected %zu", i, n_a, n_b);
		for (size_t k = 0; k < n_a; k++) {
			must(weir_str_eq(a[k]->name, b[k]->name) &&
				     weir_str_eq(a[k]->source, b[k]->source) &&
				     a[k]->line == b[k]->line,
			     "step %d", i);
		}
		weir_manifests_free(&again);
		weir_store_free(&fresh);
	}
	end();
}

TAP_MAIN(TEST(only_manifests_are_read), TEST(removal_is_deletion),
	 TEST(unchanged_files_change_nothing),
	 TEST(broken_documents_disturb_no_others),
	 TEST(what_broke_keeps_its_last_version), TEST(first_by_path_wins),
	 TEST(first_in_a_file_wins), TEST(links_of_config_maps_are_followed),
	 TEST(odd_files_do_not_hang), TEST(too_large_files_are_told),
	 TEST(a_missing_directory_is_an_error),
	 TEST(edits_end_where_a_fresh_load_ends))
