/* SPDX-License-Identifier: Apache-2.0 */
/* agent/daemon/watch: which changes of a directory are told. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "tap.h"
#include "watch.h"

static char base[64];
static char dir[96];
static struct weir_loop *loop;
static struct weir_watch *watch;
static char told[4096]; /* names with blanks, "*" for all */
static int n_told;
static struct weir_timer limit;
static void (*and_then)(void); /* at the first telling; then waits on */

static void on_files(void *arg, const char *const *names, size_t n)
{
	(void)arg;
	n_told++;
	if (n == 0) {
		strcat(told, "* ");
	}
	for (size_t i = 0; i < n; i++) {
		strcat(told, names[i]);
		strcat(told, " ");
	}
	if (and_then) {
		void (*fn)(void) = and_then;

		and_then = NULL;
		fn();
		return;
	}
	weir_loop_stop(loop, 0);
}

static void on_limit(struct weir_timer *timer)
{
	(void)timer;
	weir_loop_stop(loop, -ETIMEDOUT);
}

static void run(const char *cmd)
{
	must(system(cmd) == 0, "%s", cmd);
}

#define SH(...)                                                                \
	do {                                                                   \
		char _cmd[512];                                                \
		snprintf(_cmd, sizeof(_cmd), "cd " __VA_ARGS__);               \
		run(_cmd);                                                     \
	} while (0)

/* A loop that was stopped stays so: one loop and one watch for each wait. */
static void begin(bool is_there)
{
	told[0] = '\0';
	n_told = 0;
	snprintf(base, sizeof(base), "/tmp/weir-watch-XXXXXX");
	must(mkdtemp(base), "temporary directory");
	snprintf(dir, sizeof(dir), "%s/m", base);
	must(!is_there || mkdir(dir, 0755) == 0, "mkdir");
	must(weir_loop_new(&loop) == 0, "loop");
	must(weir_watch_new(loop, dir, on_files, NULL, &watch) == 0, "watch");
}

static int wait_told(uint64_t ms)
{
	limit = (struct weir_timer){.fn = on_limit};
	weir_loop_arm(loop, &limit, ms);
	return weir_loop_run(loop);
}

static void end(void)
{
	weir_watch_free(&watch);
	weir_loop_free(&loop);
	SH("/ && rm -rf %s", base);
}

static void a_closed_file_is_told_once(void)
{
	begin(true);
	SH("%s && echo a >a.yaml && echo b >>a.yaml", dir);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "a.yaml ") == 0, "%s", told);
	end();
}

static void a_renamed_file_is_told_by_both_names(void)
{
	begin(true);
	SH("%s && echo a >../a && mv ../a a.yaml && mv a.yaml b.yaml", dir);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "a.yaml b.yaml ") == 0, "%s", told);
	end();
}

static void a_deleted_file_is_told(void)
{
	begin(true);
	SH("%s && echo a >a.yaml", dir);
	must(wait_told(2000) == 0, "made");
	end();
	begin(true);
	SH("%s && echo a >a.yaml && rm a.yaml", dir);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "a.yaml ") == 0, "%s", told);
	end();
}

static void an_open_file_is_not_told(void)
{
	begin(true);
	_cleanup_close_ int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "%s/half.yaml", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, "x", 1) == 1, "write");
	ok(wait_told(150) == -ETIMEDOUT, "still open: %s", told);
	end();
}

static void links_are_told(void)
{
	begin(true);
	SH("%s && echo a >../t && ln ../t hard.yaml && ln -s ../t soft.yaml",
	   dir);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "hard.yaml soft.yaml ") == 0, "%s", told);
	end();
}

static void a_mounted_config_map_is_read_whole(void)
{
	begin(true);
	SH("%s && mkdir ..1 && echo a >..1/a.yaml && ln -s ..1 ..tmp && "
	   "mv -T ..tmp ..data",
	   dir);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "* ") == 0, "%s", told);
	end();
}

static void an_absent_directory_is_told_when_it_comes(void)
{
	begin(false);
	ok(wait_told(50) == -ETIMEDOUT, "nothing there: %s", told);
	end();
	begin(false);
	SH("%s && mkdir x && echo a >x/a.yaml && mv x m", base);
	ok(wait_told(2000) == 0, "in time");
	ok(strstr(told, "* "), "%s", told);
	end();
}

static void a_replaced_directory_is_read_whole(void)
{
	begin(true);
	SH("%s && mv m old && mkdir m && echo a >m/a.yaml", base);
	ok(wait_told(2000) == 0, "in time");
	ok(strstr(told, "* "), "%s", told);
	end();
}

static void change_the_new_one(void)
{
	SH("%s && echo b >b.yaml", dir);
}

static void a_replaced_directory_is_followed(void)
{
	begin(true);
	and_then = change_the_new_one;
	SH("%s && mv m old && mkdir m", base);
	ok(wait_told(2000) == 0, "in time: %s", told);
	ok(strstr(told, "* ") && strstr(told, "b.yaml "), "%s", told);
	end();
}

static void a_directory_may_be_a_link_that_is_exchanged(void)
{
	begin(false);
	SH("%s && mkdir one two && echo a >two/a.yaml && ln -s one m", base);
	weir_watch_free(&watch);
	must(weir_watch_new(loop, dir, on_files, NULL, &watch) == 0, "watch");
	SH("%s && ln -s two tmp && mv -T tmp m", base);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "* ") == 0, "%s", told);
	end();
}

static void many_names_are_told_as_all(void)
{
	begin(true);
	SH("%s && seq -f 'f%%g.yaml' 5000 | xargs touch", dir);
	ok(wait_told(2000) == 0, "in time");
	ok(strcmp(told, "* ") == 0, "%.40s", told);
	ok(n_told == 1, "%d", n_told);
	end();
}

TAP_MAIN(TEST(a_closed_file_is_told_once),
	 TEST(a_renamed_file_is_told_by_both_names),
	 TEST(a_deleted_file_is_told), TEST(an_open_file_is_not_told),
	 TEST(links_are_told), TEST(a_mounted_config_map_is_read_whole),
	 TEST(an_absent_directory_is_told_when_it_comes),
	 TEST(a_replaced_directory_is_read_whole),
	 TEST(a_replaced_directory_is_followed),
	 TEST(a_directory_may_be_a_link_that_is_exchanged),
	 TEST(many_names_are_told_as_all))
