/* SPDX-License-Identifier: Apache-2.0 */
#include "update.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "cleanup.h"

#define BACKOFF_MS 100
#define BACKOFF_DOUBLINGS 7
/* A conflict is not a failure: somebody else was faster.  So many in a row are
 * somebody who fights. */
#define CONFLICTS_MAX 20
#define FAILURES_MAX 10

/* What is done: read, merge and write, or one request as it is. */
struct job {
	struct job *next;
	struct weir_kube_writer *writer;
	char *path;
	char *put_path;
	char *create_path;
	char *method;       /* of a single request; NULL: an update */
	char *content_type; /* of it; NULL: JSON */
	struct weir_buf body;
	weir_kube_merge_fn merge;
	weir_kube_written_fn fn;
	void *arg;
	uint64_t key;
	struct weir_kube_request *request;
	struct weir_timer retry;
	uint32_t failures;
	uint32_t conflicts;
	bool has_begun;
};

struct weir_kube_writer {
	struct weir_loop *loop;
	struct weir_kube_client *client;
	uint32_t max_in_flight;
	struct job *first;
	struct job *last;
	uint64_t random;
	struct weir_timer pump;
	struct weir_kube_writer_stats stats;
};

static void pump(struct weir_kube_writer *w);
static void step(struct job *j);

/* ------------------------------------------------------------- the queue */

static void free_job(struct job *j)
{
	weir_kube_cancel(&j->request);
	weir_loop_disarm(j->writer->loop, &j->retry);
	weir_free_ptr(&j->path);
	weir_free_ptr(&j->put_path);
	weir_free_ptr(&j->create_path);
	weir_free_ptr(&j->method);
	weir_free_ptr(&j->content_type);
	weir_buf_fini(&j->body);
	weir_free_ptr(&j);
}

static void unlink_job(struct job *j)
{
	struct weir_kube_writer *w = j->writer;
	struct job *before = NULL;

	for (struct job *i = w->first; i != j; i = i->next) {
		before = i;
	}
	if (before) {
		before->next = j->next;
	} else {
		w->first = j->next;
	}
	if (w->last == j) {
		w->last = before;
	}
	if (j->has_begun) {
		w->stats.in_flight--;
	} else {
		w->stats.waiting--;
	}
}

static void end(struct job *j, const struct weir_kube_reply *reply,
		bool is_written)
{
	struct weir_kube_writer *w = j->writer;

	unlink_job(j);
	if (j->fn) {
		j->fn(j->arg, reply, is_written);
	}
	free_job(j);
	if (w->first) {
		weir_loop_arm(w->loop, &w->pump, 0);
	}
}

static void end_error(struct job *j, int error)
{
	const struct weir_kube_reply reply = {.error = error,
					      .message = strerror(-error)};

	if (error != -ECANCELED) {
		j->writer->stats.failures++;
	}
	end(j, &reply, false);
}

static void try_later(struct job *j, uint32_t n, uint32_t at_least_ms)
{
	struct weir_kube_writer *w = j->writer;
	uint32_t ms = BACKOFF_MS
		      << (n < BACKOFF_DOUBLINGS ? n : BACKOFF_DOUBLINGS);

	w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
	ms = ms / 2 + (uint32_t)(w->random >> 33) % (ms / 2);
	weir_loop_arm(w->loop, &j->retry, ms > at_least_ms ? ms : at_least_ms);
}

/* True if it is tried again. */
static bool is_retried(struct job *j, const struct weir_kube_reply *reply)
{
	bool is_passing = reply->error || reply->status == 429 ||
			  reply->status >= 500;
	uint32_t n;

	if (reply->status == 409 && !j->method) {
		j->writer->stats.conflicts++;
		if (++j->conflicts > CONFLICTS_MAX) {
			return false;
		}
		/* Mostly the next attempt wins; none waits for a second. */
		n = j->conflicts > 2 ? j->conflicts - 2 : 0;
		try_later(j, n < 3 ? n : 3, 0);
		return true;
	}
	if (!is_passing || ++j->failures > FAILURES_MAX) {
		return false;
	}
	try_later(j, j->failures, reply->retry_after_ms);
	return true;
}

static void on_written(void *arg, const struct weir_kube_reply *reply)
{
	struct job *j = arg;

	j->request = NULL;
	if (weir_kube_is_ok(reply)) {
		j->writer->stats.writes++;
		end(j, reply, true);
		return;
	}
	if (!is_retried(j, reply)) {
		j->writer->stats.failures++;
		end(j, reply, false);
	}
}

static void write_body(struct job *j, const char *method, const char *path,
		       struct weir_str body)
{
	const struct weir_kube_call call = {.method = method,
					    .path = path,
					    .content_type = j->content_type,
					    .body = body,
					    .fn = on_written,
					    .arg = j};
	int r = weir_kube_call(j->writer->client, &call, &j->request);

	if (r < 0) {
		end_error(j, r);
	}
}

static void on_read(void *arg, const struct weir_kube_reply *reply)
{
	struct job *j = arg;
	_cleanup_buf_ struct weir_buf body = {0};
	bool is_absent = reply->status == 404 && j->create_path;
	int r;

	j->request = NULL;
	if (!weir_kube_is_ok(reply) && !is_absent) {
		if (!is_retried(j, reply)) {
			/* 404: it was deleted, which is no failure. */
			j->writer->stats.failures += reply->status != 404;
			end(j, reply, false);
		}
		return;
	}
	r = j->merge(j->arg, is_absent ? WEIR_STR_NULL : reply->body, &body);
	if (r >= 0 && body.error) {
		r = body.error;
	}
	if (r == 0) {
		j->writer->stats.unchanged++;
		end(j, reply, false);
	} else if (r < 0) {
		end_error(j, r);
	} else if (is_absent) {
		write_body(j, "POST", j->create_path, weir_buf_str(&body));
	} else {
		write_body(j, "PUT", j->put_path ? j->put_path : j->path,
			   weir_buf_str(&body));
	}
}

static void step(struct job *j)
{
	const struct weir_kube_call call = {
		.path = j->path, .fn = on_read, .arg = j};
	int r;

	if (j->method) {
		write_body(j, j->method, j->path, weir_buf_str(&j->body));
		return;
	}
	r = weir_kube_call(j->writer->client, &call, &j->request);
	if (r < 0) {
		end_error(j, r);
	}
}

static void on_retry(struct weir_timer *timer)
{
	step(timer->arg);
}

static struct job *next_waiting(const struct weir_kube_writer *w)
{
	struct job *j = w->first;

	while (j && j->has_begun) {
		j = j->next;
	}
	return j;
}

static void pump(struct weir_kube_writer *w)
{
	struct job *j;

	while (w->stats.in_flight < w->max_in_flight && (j = next_waiting(w))) {
		j->has_begun = true;
		w->stats.waiting--;
		w->stats.in_flight++;
		step(j);
	}
}

static void on_pump(struct weir_timer *timer)
{
	pump(timer->arg);
}

static int copy(const char *z, char **ret_z)
{
	if (!z) {
		return 0;
	}
	*ret_z = strdup(z);
	return *ret_z ? 0 : -ENOMEM;
}

static struct job *new_job(struct weir_kube_writer *w, const char *path)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		return NULL;
	}
	j->writer = w;
	j->retry = (struct weir_timer){.fn = on_retry, .arg = j};
	if (copy(path, &j->path) < 0) {
		free_job(j);
		return NULL;
	}
	return j;
}

static void enqueue(struct job *j)
{
	struct weir_kube_writer *w = j->writer;

	if (w->last) {
		w->last->next = j;
	} else {
		w->first = j;
	}
	w->last = j;
	w->stats.waiting++;
	weir_loop_arm(w->loop, &w->pump, 0);
}

/* ---------------------------------------------------------------- public */

int weir_kube_writer_new(struct weir_loop *loop,
			 struct weir_kube_client *client,
			 uint32_t max_in_flight,
			 struct weir_kube_writer **ret_writer)
{
	struct weir_kube_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		return -ENOMEM;
	}
	w->loop = loop;
	w->client = client;
	w->max_in_flight = max_in_flight;
	w->pump = (struct weir_timer){.fn = on_pump, .arg = w};
	if (getrandom(&w->random, sizeof(w->random), 0) < 0) {
		w->random = weir_now_us();
	}
	*ret_writer = w;
	return 0;
}

void weir_kube_writer_free(struct weir_kube_writer **writer)
{
	struct weir_kube_writer *w = *writer;

	if (!w) {
		return;
	}
	while (w->first) {
		struct job *j = w->first;

		w->first = j->next;
		free_job(j);
	}
	weir_loop_disarm(w->loop, &w->pump);
	weir_free_ptr(writer);
}

static void supersede(struct weir_kube_writer *w, uint64_t key)
{
	for (struct job *j = key ? w->first : NULL; j; j = j->next) {
		if (j->key == key && !j->has_begun) {
			end_error(j, -ECANCELED);
			return;
		}
	}
}

int weir_kube_writer_update(struct weir_kube_writer *w,
			    const struct weir_kube_update *update)
{
	struct job *j = new_job(w, update->path);

	if (!j || copy(update->put_path, &j->put_path) < 0 ||
	    copy(update->create_path, &j->create_path) < 0) {
		if (j) {
			free_job(j);
		}
		return -ENOMEM;
	}
	supersede(w, update->key);
	j->merge = update->merge;
	j->fn = update->fn;
	j->arg = update->arg;
	j->key = update->key;
	enqueue(j);
	return 0;
}

int weir_kube_writer_send(struct weir_kube_writer *w, const char *method,
			  const char *path, const char *content_type,
			  struct weir_str body, weir_kube_written_fn fn,
			  void *arg)
{
	struct job *j = new_job(w, path);

	if (!j) {
		return -ENOMEM;
	}
	weir_buf_add_str(&j->body, body);
	if (j->body.error || copy(method, &j->method) < 0 ||
	    copy(content_type, &j->content_type) < 0) {
		free_job(j);
		return -ENOMEM;
	}
	j->fn = fn;
	j->arg = arg;
	enqueue(j);
	return 0;
}

void weir_kube_writer_drop(struct weir_kube_writer *w)
{
	struct job *j;

	while ((j = next_waiting(w))) {
		end_error(j, -ECANCELED);
	}
}

const struct weir_kube_writer_stats *
weir_kube_writer_stats(const struct weir_kube_writer *writer)
{
	return &writer->stats;
}
