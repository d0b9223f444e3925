/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List, then watch from the list's resourceVersion.  A watch that ends goes on
 * from the last resourceVersion; only where the server has forgotten that one
 * (410, etcd was compacted) everything is listed again, and what a list does
 * not have is gone.
 */
#include "reflect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "json_view.h"
#include "log.h"

/* The server ends a watch after that: spread, so that not all end together. */
#define WATCH_MIN_S 300
#define WATCH_SPREAD_S 300
/* Bookmarks come once a minute; more silence than two of them is a dead
 * connection that TCP does not know of. */
#define SILENCE_MS 150000
#define LIST_DEADLINE_MS 60000
#define FORBIDDEN_MS 10000
/* A kind that the server cannot deliver (a broken conversion webhook) keeps the
 * others waiting so many times. */
#define FAILURES_MAX 5
/* A watch that lived so long was a good one: what fails after it is no part of
 * what failed before.  Not the head of its answer: a server may say 200 and
 * then rubbish. */
#define STEADY_MS 10000
/* A server that has forgotten our place is listed at once, though not by all
 * agents at the same moment; one that forgets it again and again is not. */
#define FORGOTTEN_MS 60000
#define FORGOTTEN_SPREAD_MS 1000
#define KICKED_FAILURES 2
/* While the server is away one kind, which is always there, looks for it, every
 * second or two; the others are told (weir_reflect_kick) and look by themselves
 * rarely, in case it is they whom the server does not answer. */
#define PROBE WEIR_KIND_NAMESPACE
#define PROBE_FAILURES 3
#define AWAY_MS 30000

static void begin_list(struct weir_reflector *r);
static void begin_watch(struct weir_reflector *r);

static void settle(struct weir_reflector *r)
{
	if (!r->is_settled) {
		r->is_settled = true;
		weir_source_settled(r->source);
	}
}

static bool is_lack(enum weir_kube_state state)
{
	return state == WEIR_KUBE_FORBIDDEN || state == WEIR_KUBE_MISSING;
}

static void set_state(struct weir_reflector *r, enum weir_kube_state state,
		      const char *message)
{
	if (r->state != state && (state == WEIR_KUBE_FORBIDDEN ||
				  (state == WEIR_KUBE_MISSING && *message))) {
		weir_warn("%s is %s: %s", weir_kind_text(r->kind),
			  weir_kube_state_text(state), message);
	}
	/* Told to the user: kube_status.c. */
	if (r->state != state && (is_lack(r->state) || is_lack(state))) {
		weir_source_changed(r->source);
	}
	r->state = state;
	snprintf(r->message, sizeof(r->message), "%s", message);
}

static void later(struct weir_reflector *r, uint32_t delay_ms)
{
	weir_loop_arm(r->source->options.loop, &r->retry, delay_ms);
}

static void again(struct weir_reflector *r)
{
	if (r->needs_list) {
		begin_list(r);
	} else {
		begin_watch(r);
	}
}

static void on_retry(struct weir_timer *timer)
{
	again(timer->arg);
}

static void end_request(struct weir_reflector *r)
{
	weir_kube_cancel(&r->request);
	weir_scan_fini(&r->scan);
}

/* ------------------------------------------------------ when it fails */

/* Another version of it may be there, or all of it in a moment (a server that
 * starts): what is known stays until it is sure. */
static void look_for_version(struct weir_reflector *r, const char *message)
{
	r->api_version[0] = '\0';
	r->needs_list = true;
	set_state(r, WEIR_KUBE_AWAY, message);
	weir_discover_later(r->source,
			    weir_source_backoff(r->source, r->failures));
}

static void fail_by_status(struct weir_reflector *r,
			   const struct weir_kube_reply *reply)
{
	struct weir_kube_source *s = r->source;
	uint32_t delay_ms = weir_source_backoff(s, r->failures);

	weir_source_heard(s);
	if (reply->status == 404 && !weir_discover_is_builtin(r->kind)) {
		look_for_version(r, reply->message);
		return;
	}
	switch (reply->status) {
	case 401:
	case 403:
		set_state(r, WEIR_KUBE_FORBIDDEN, reply->message);
		settle(r);
		later(r,
		      FORBIDDEN_MS / 2 + weir_source_random(s, FORBIDDEN_MS));
		return;
	case 410:
		r->expired++;
		r->needs_list = true;
		if (weir_now_ms() - r->listed_ms > FORGOTTEN_MS) {
			delay_ms = weir_source_random(s, FORGOTTEN_SPREAD_MS);
		}
		break;
	default:
		set_state(r, WEIR_KUBE_AWAY, reply->message);
		/* Where the server has lost what it had, a watch may be from a
		 * version that does not come. */
		if (r->failures % FAILURES_MAX == 0) {
			r->needs_list = true;
		}
		if (r->failures == FAILURES_MAX) {
			weir_warn("%s cannot be read: %s",
				  weir_kind_text(r->kind), reply->message);
			settle(r);
		}
	}
	later(r, delay_ms > reply->retry_after_ms
			 ? delay_ms
			 : reply->retry_after_ms + weir_source_random(s, 1000));
}

static uint32_t rest_ms(const struct weir_reflector *r)
{
	struct weir_kube_source *s = r->source;

	if (!s->is_away || r->failures <= PROBE_FAILURES) {
		return weir_source_backoff(s, r->failures);
	}
	return r->kind == PROBE
		       ? weir_source_backoff(s, PROBE_FAILURES)
		       : AWAY_MS / 2 + weir_source_random(s, AWAY_MS / 2);
}

static void note_steady(struct weir_reflector *r)
{
	if (r->has_begun && !r->is_in_list &&
	    weir_now_ms() - r->begun_ms >= STEADY_MS) {
		r->failures = 0;
	}
}

static void fail(struct weir_reflector *r, const struct weir_kube_reply *reply)
{
	struct weir_kube_source *s = r->source;

	note_steady(r);
	r->failures++;
	if (reply->error == 0) {
		fail_by_status(r, reply);
		return;
	}
	/* What came was not understood: begin anew. */
	if (reply->error == -EBADMSG) {
		r->needs_list = true;
	}
	if (!r->has_begun) {
		set_state(r, WEIR_KUBE_AWAY, reply->message);
		weir_source_lost(s, reply->message);
	}
	later(r, rest_ms(r));
}

static void on_begin(void *arg)
{
	struct weir_reflector *r = arg;

	r->has_begun = true;
	if (!r->needs_list) {
		set_state(r, WEIR_KUBE_WATCHING, "");
	}
	weir_source_heard(r->source);
}

/* ---------------------------------------------------------------- list */

static int on_item(void *arg, struct weir_str object, bool is_cut)
{
	struct weir_reflector *r = arg;

	if (is_cut) {
		weir_held_too_large(&r->source->held, r->kind, object);
		return 0;
	}
	return weir_held_apply(&r->source->held, r->kind,
			       weir_str_of(r->api_version), object, false);
}

static int on_list_data(void *arg, struct weir_str data)
{
	struct weir_reflector *r = arg;
	int e = weir_scan_feed(&r->scan, data);

	if (r->source->held.is_changed) {
		weir_source_changed(r->source);
	}
	return e;
}

static void list_page(struct weir_reflector *r);

/* The last page was read. */
static void end_list(struct weir_reflector *r, uint64_t version)
{
	int e = weir_held_list_end(&r->source->held, r->kind);

	if (e < 0) {
		const struct weir_kube_reply reply = {.error = e,
						      .message = strerror(-e)};

		r->has_begun = false;
		fail(r, &reply);
		return;
	}
	r->is_in_list = false;
	r->needs_list = false;
	r->listed_ms = weir_now_ms();
	r->seen = version; /* also where it is less: etcd was restored */
	settle(r);
	weir_source_changed(r->source);
	begin_watch(r);
}

static void on_list_reply(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_reflector *r = arg;
	struct weir_str metadata = weir_buf_str(&r->scan.metadata);
	struct weir_kube_reply bad = {.error = -EBADMSG,
				      .message = "this is no list"};
	struct weir_str next;
	uint64_t version;

	r->request = NULL;
	if (!weir_kube_is_ok(reply)) {
		weir_scan_fini(&r->scan);
		r->next_page.n = 0;
		fail(r, reply);
		return;
	}
	version = weir_jview_u64(
		weir_jview_member(metadata, "resourceVersion"));
	next = weir_jview_text(weir_jview_member(metadata, "continue"));
	if (weir_scan_end(&r->scan) < 0 || version == 0) {
		weir_scan_fini(&r->scan);
		r->next_page.n = 0;
		fail(r, &bad);
		return;
	}
	r->next_page.n = 0;
	weir_buf_add_str(&r->next_page, next);
	weir_scan_fini(&r->scan);
	if (r->next_page.n) {
		list_page(r);
	} else {
		weir_buf_fini(&r->next_page);
		end_list(r, version);
	}
}

static void call(struct weir_reflector *r, struct weir_buf *path,
		 struct weir_kube_call *call)
{
	int e;

	weir_buf_add(path, "", 1);
	call->path = path->p;
	call->on_begin = on_begin;
	call->arg = r;
	r->has_begun = false;
	r->begun_ms = weir_now_ms();
	e = path->error ? path->error
			: weir_kube_call(r->source->options.client, call,
					 &r->request);
	if (e < 0) {
		const struct weir_kube_reply reply = {.error = e,
						      .message = strerror(-e)};

		fail(r, &reply);
	}
}

static void list_page(struct weir_reflector *r)
{
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_kube_call c = {.on_data = on_list_data,
				   .fn = on_list_reply,
				   .deadline_ms = LIST_DEADLINE_MS};

	weir_scan_init(&r->scan, WEIR_SCAN_LIST, on_item, r);
	weir_kube_path(&path, r->kind, r->version, WEIR_STR_NULL, WEIR_STR_NULL,
		       "");
	weir_buf_printf(&path, "?limit=%d", WEIR_KUBE_PAGE);
	weir_source_add_fields(r->source, r->kind, "&", &path);
	if (r->next_page.n) {
		weir_buf_addz(&path, "&continue=");
		weir_kube_encode(&path, weir_buf_str(&r->next_page));
	}
	call(r, &path, &c);
}

static void begin_list(struct weir_reflector *r)
{
	r->needs_list = true;
	r->lists++;
	r->next_page.n = 0;
	r->is_in_list = true;
	if (r->state != WEIR_KUBE_AWAY) {
		set_state(r, WEIR_KUBE_LISTING, "");
	}
	weir_held_list_begin(&r->source->held, r->kind);
	list_page(r);
}

/* --------------------------------------------------------------- watch */

static void see(struct weir_reflector *r, struct weir_str object)
{
	uint64_t version = weir_jview_u64(
		weir_jview_path(object, "metadata", "resourceVersion", NULL));

	if (version > r->seen) {
		r->seen = version;
	}
}

/* Of an event that was cut: the beginning of its object. */
static struct weir_str object_of_cut(struct weir_str event)
{
	static const char mark[] = "\"object\":";
	const char *at = event.n ? memmem(event.p, event.n, mark,
					  sizeof(mark) - 1)
				 : NULL;

	if (!at) {
		return WEIR_STR_NULL;
	}
	return weir_str_skip(event, (size_t)(at - event.p) + sizeof(mark) - 1);
}

static int on_event(void *arg, struct weir_str event, bool is_cut)
{
	struct weir_reflector *r = arg;
	struct weir_held *held = &r->source->held;
	struct weir_str object = weir_jview_member(event, "object");
	struct weir_str type = weir_jview_text(
		weir_jview_member(event, "type"));
	int e = 0;

	r->events++;
	if (is_cut) {
		object = object_of_cut(event);
		if (!weir_str_is(type, "DELETED")) {
			weir_held_too_large(held, r->kind, object);
		} else {
			weir_held_delete(held, r->kind, object);
		}
		see(r, object);
		return 0;
	}
	if (weir_str_is(type, "ADDED") || weir_str_is(type, "MODIFIED")) {
		e = weir_held_apply(held, r->kind, weir_str_of(r->api_version),
				    object, false);
	} else if (weir_str_is(type, "DELETED")) {
		weir_held_delete(held, r->kind, object);
	} else if (weir_str_is(type, "ERROR")) {
		r->watch_error = (int)(weir_jview_u64(weir_jview_member(
					       object, "code")) %
				       1000);
		return -EREMOTEIO;
	} else if (!weir_str_is(type, "BOOKMARK")) {
		return -EBADMSG;
	}
	see(r, object);
	return e;
}

static int on_watch_data(void *arg, struct weir_str data)
{
	struct weir_reflector *r = arg;
	int e = weir_scan_feed(&r->scan, data);

	/* Versions go on with every event, and are acknowledged. */
	weir_source_changed(r->source);
	return e;
}

static void on_watch_reply(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_reflector *r = arg;

	r->request = NULL;
	weir_scan_fini(&r->scan);
	if (r->watch_error) {
		const struct weir_kube_reply said = {
			.status = r->watch_error,
			.message = "the watch ended with an error"};

		r->watch_error = 0;
		note_steady(r);
		r->failures++;
		fail_by_status(r, &said);
		return;
	}
	if (!weir_kube_is_ok(reply)) {
		fail(r, reply);
		return;
	}
	note_steady(r);
	/* Its time was over.  One that ends at once shall not spin. */
	if (weir_now_ms() - r->begun_ms < 1000) {
		later(r, weir_source_backoff(r->source, ++r->failures));
	} else {
		begin_watch(r);
	}
}

static void begin_watch(struct weir_reflector *r)
{
	uint32_t timeout_s = WATCH_MIN_S +
			     weir_source_random(r->source, WATCH_SPREAD_S);
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_kube_call c = {.on_data = on_watch_data,
				   .fn = on_watch_reply,
				   .deadline_ms = (timeout_s + 30) * 1000,
				   .silence_ms = SILENCE_MS};

	r->watches++;
	weir_scan_init(&r->scan, WEIR_SCAN_WATCH, on_event, r);
	weir_kube_path(&path, r->kind, r->version, WEIR_STR_NULL, WEIR_STR_NULL,
		       "");
	weir_buf_printf(&path,
			"?watch=1&allowWatchBookmarks=true"
			"&resourceVersion=%" PRIu64 "&timeoutSeconds=%u",
			r->seen, timeout_s);
	weir_source_add_fields(r->source, r->kind, "&", &path);
	call(r, &path, &c);
}

/* ---------------------------------------------------------- from outside */

void weir_reflect_init(struct weir_reflector *r, struct weir_kube_source *s,
		       enum weir_kind kind)
{
	*r = (struct weir_reflector){.source = s, .kind = kind};
	r->retry = (struct weir_timer){.fn = on_retry, .arg = r};
}

void weir_reflect_fini(struct weir_reflector *r)
{
	weir_loop_disarm(r->source->options.loop, &r->retry);
	end_request(r);
	weir_buf_fini(&r->next_page);
}

void weir_reflect_start(struct weir_reflector *r, struct weir_str version)
{
	const char *group = weir_kind_group(r->kind);

	snprintf(r->api_version, sizeof(r->api_version), "%s%s%.*s", group,
		 *group ? "/" : "", WEIR_STR_ARG(version));
	r->version = version;
	r->absences = 0;
	r->is_known = true;
	begin_list(r);
}

void weir_reflect_missing(struct weir_reflector *r)
{
	end_request(r);
	weir_loop_disarm(r->source->options.loop, &r->retry);
	r->api_version[0] = '\0';
	if (!r->is_known) {
		set_state(r, WEIR_KUBE_MISSING, "");
	} else {
		/* A list of nothing. */
		r->is_known = false;
		weir_held_list_begin(&r->source->held, r->kind);
		if (weir_held_list_end(&r->source->held, r->kind) < 0) {
			weir_warn("%s: out of memory", weir_kind_text(r->kind));
		}
		set_state(r, WEIR_KUBE_MISSING, "the server has it no longer");
		weir_source_changed(r->source);
	}
	r->found = 0;
	settle(r);
}

void weir_reflect_kick(struct weir_reflector *r)
{
	/* It may have trouble with its first steps, but not as long as it was
	 * away. */
	if (r->failures > KICKED_FAILURES) {
		r->failures = KICKED_FAILURES;
	}
	if (r->state == WEIR_KUBE_AWAY && r->retry.due_ms) {
		later(r, weir_source_random(r->source, 200));
	}
}
