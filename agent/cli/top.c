/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weirctl top: asks, waits, asks again, shows the difference.  On a terminal it
 * redraws the alternate screen until q or a signal and puts everything back;
 * elsewhere it only prints.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "cleanup.h"
#include "plan_source.h"
#include "topview.h"

struct top {
	const struct weir_ctl *ctl;
	struct weir_source plan;
	struct weir_sample before;
	struct weir_sample now;
	bool is_screen;
	bool has_keys; /* standard input is a terminal, in raw mode */
	struct termios saved;
};

static volatile sig_atomic_t is_over;

static void on_signal(int signal_number)
{
	(void)signal_number;
	is_over = 1;
}

static void screen_begin(struct top *t)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct termios raw;

	/* Without SA_RESTART, so that waiting ends. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (!t->is_screen) {
		return;
	}
	if (tcgetattr(STDIN_FILENO, &t->saved) == 0) {
		raw = t->saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		t->has_keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	fputs("\x1b[?1049h\x1b[?25l", stdout);
	fflush(stdout);
}

static void screen_end(struct top *t)
{
	if (!t->is_screen) {
		return;
	}
	fputs("\x1b[?25h\x1b[?1049l", stdout);
	fflush(stdout);
	if (t->has_keys) {
		tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
	}
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Until the interval is over, or q, or a signal. */
static void wait_interval(const struct top *t)
{
	struct pollfd keys = {.fd = t->has_keys ? STDIN_FILENO : -1,
			      .events = POLLIN};
	uint64_t until = now_ms() + t->ctl->interval_ms;

	while (!is_over) {
		uint64_t now = now_ms();
		char c;

		if (now >= until) {
			return;
		}
		if (poll(&keys, 1, (int)(until - now)) <= 0 ||
		    !(keys.revents & (POLLIN | POLLHUP))) {
			continue;
		}
		if (read(STDIN_FILENO, &c, 1) != 1) {
			keys.fd = -1; /* the keyboard is gone, the rest not */
		} else if (c == 'q' || c == 'Q') {
			is_over = 1;
		}
	}
}

/* Takes a sample, and the plan again if it is another one. */
static int sample(struct top *t, struct weir_sample *ret_sample)
{
	_cleanup_(weir_sample_fini) struct weir_sample s = {0};
	struct weir_source plan = {0};
	int r = weir_sample_take(t->ctl->admin, &s);

	if (r < 0) {
		return r;
	}
	if (!t->plan.view.rules ||
	    t->plan.view.rules->generation != s.generation) {
		r = weir_source_online(t->ctl->admin, &plan);
		if (r < 0) {
			return r;
		}
		weir_source_fini(&t->plan);
		t->plan = plan;
	}
	*ret_sample = s;
	s = (struct weir_sample){0};
	return 0;
}

/* A terminal's size: rows below a head line; 0 for all. */
static void size_of_table(const struct top *t, size_t *ret_rows,
			  size_t *ret_width)
{
	struct winsize size;

	*ret_rows = t->ctl->limit ? t->ctl->limit + 1 : 0;
	*ret_width = 0;
	if (t->is_screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_row > 4 && size.ws_col > 0) {
		size_t fits = size.ws_row - 3u;

		*ret_rows = *ret_rows && *ret_rows < fits ? *ret_rows : fits;
		*ret_width = size.ws_col;
	}
}

static int draw(const struct top *t, struct weir_buf *out)
{
	struct weir_topview view = {
		.plan = t->plan.view.rules,
		.before = &t->before,
		.now = &t->now,
		.by_rate = t->ctl->sort && strcmp(t->ctl->sort, "rate") == 0,
	};
	size_t rows;
	size_t width;

	if (t->ctl->is_json) {
		return weir_topview_json(&view, out);
	}
	size_of_table(t, &rows, &width);
	if (t->is_screen) {
		weir_buf_printf(out,
				"weir: %u rules, plan generation %llu; q "
				"quits\n",
				view.plan->rules.n,
				(unsigned long long)t->now.generation);
	}
	return weir_topview_text(&view, t->ctl->has_colour, rows, width, out);
}

/* Over what was there, then the rest of the screen cleared: no flicker.  Each
 * line clears what is right of it. */
static int show(const struct top *t, const struct weir_buf *text)
{
	_cleanup_buf_ struct weir_buf out = {0};

	if (!t->is_screen) {
		return weir_ctl_print(text, WEIR_CTL_OK);
	}
	weir_buf_addz(&out, "\x1b[H");
	for (size_t i = 0; i < text->n; i++) {
		if (text->p[i] == '\n') {
			weir_buf_addz(&out, "\x1b[K");
		}
		weir_buf_add(&out, &text->p[i], 1);
	}
	weir_buf_addz(&out, "\x1b[J");
	return weir_ctl_print(&out, WEIR_CTL_OK);
}

static int complain(const struct top *t, int r)
{
	_cleanup_buf_ struct weir_buf out = {0};
	const char *why = r == -EAGAIN ? "the agent has no plan yet"
				       : strerror(-r);
	const char *hint = weir_ask_hint(r);

	/* A live view waits for the agent to come back. */
	if (t->is_screen) {
		weir_buf_printf(&out, "%s: %s%s; q quits\n", t->ctl->admin, why,
				hint);
		return show(t, &out);
	}
	return weir_ctl_fail("%s: %s%s", t->ctl->admin, why, hint);
}

static int turn(struct top *t)
{
	_cleanup_buf_ struct weir_buf out = {0};
	int r = sample(t, &t->now);

	if (r < 0) {
		return complain(t, r);
	}
	if (t->before.now_us == 0) {
		/* The agent came only now. */
		t->before = t->now;
		t->now = (struct weir_sample){0};
		return WEIR_CTL_OK;
	}
	r = draw(t, &out);
	weir_sample_fini(&t->before);
	t->before = t->now;
	t->now = (struct weir_sample){0};
	if (r < 0) {
		return weir_ctl_fail("%s", strerror(-r));
	}
	return show(t, &out);
}

static int run(struct top *t)
{
	uint64_t count = t->ctl->is_once ? 1 : t->ctl->count;
	int r = sample(t, &t->before);

	if (r < 0) {
		r = complain(t, r);
		if (r != WEIR_CTL_OK) {
			return r;
		}
	}
	for (uint64_t i = 0; !count || i < count; i++) {
		wait_interval(t);
		if (is_over) {
			break;
		}
		if (i > 0 && !t->is_screen && !t->ctl->is_json) {
			fputs("\n", stdout);
		}
		r = turn(t);
		if (r != WEIR_CTL_OK) {
			return r;
		}
	}
	return WEIR_CTL_OK;
}

int weir_ctl_top(struct weir_ctl *ctl)
{
	struct top t = {.ctl = ctl};
	int r;

	if (ctl->sort && strcmp(ctl->sort, "rate") != 0 &&
	    strcmp(ctl->sort, "plan") != 0) {
		return weir_ctl_fail("top: --sort: plan or rate");
	}
	t.is_screen = !ctl->is_json && !ctl->is_once && !ctl->count &&
		      isatty(STDOUT_FILENO);
	screen_begin(&t);
	r = run(&t);
	screen_end(&t);
	weir_sample_fini(&t.before);
	weir_sample_fini(&t.now);
	weir_source_fini(&t.plan);
	return r;
}
