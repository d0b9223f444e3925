// SPDX-License-Identifier: Apache-2.0
/* Events on the objects where a user looks first (kubectl describe).  Bounded:
 * a bucket of 25, one more every two seconds, as client-go's own limit is. */
#include <time.h>

#include "json_view.h"
#include "kinds.h"
#include "kube.h"

#define BUCKET 25u
#define REFILL_MS 2000u
#define MESSAGE_MAX 1024 /* bytes; the API's limit */

const char *weir_kube_now(char out[static WEIR_TIME_TEXT_MAX])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(out, WEIR_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

static bool may_say(struct weir_kube_feed *f)
{
	uint64_t now = weir_now_ms();
	uint64_t more = (now - f->events_ms) / REFILL_MS;

	if (more) {
		f->events_left = more >= BUCKET - f->events_left
					 ? BUCKET
					 : f->events_left + (uint32_t)more;
		f->events_ms = now;
	}
	if (f->events_left == 0) {
		f->n_events_dropped++;
		return false;
	}
	f->events_left--;
	return true;
}

/* name: a member of the object's JSON, still escaped as it is there. */
static void add_raw(struct weir_buf *b, const char *name, struct weir_str text)
{
	weir_buf_printf(b, ",\"%s\":\"%.*s\"", name, WEIR_STR_ARG(text));
}

void weir_kube_event(struct weir_kube_feed *f, enum weir_kind kind,
		     struct weir_str object, bool is_warning,
		     const char *reason, struct weir_str message)
{
	_cleanup_buf_ struct weir_buf b = {0};
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_str metadata = weir_jview_member(object, "metadata");
	struct weir_str name = weir_jview_text(
		weir_jview_member(metadata, "name"));
	struct weir_str ns = weir_jview_text(
		weir_jview_member(metadata, "namespace"));
	struct weir_str at = ns.n ? ns : WEIR_STR("default");
	char now[WEIR_TIME_TEXT_MAX];

	if (name.n == 0 || !may_say(f)) {
		return;
	}
	weir_kube_now(now);
	message = weir_str_cut(message, MESSAGE_MAX);
	weir_buf_printf(&b,
			"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\""
			":{\"generateName\":\"%.*s.\",\"namespace\":\"%.*s\"},"
			"\"involvedObject\":{\"kind\":\"%s\"",
			WEIR_STR_ARG(name), WEIR_STR_ARG(at),
			weir_kind_text(kind));
	add_raw(&b, "apiVersion",
		weir_jview_text(weir_jview_member(object, "apiVersion")));
	add_raw(&b, "name", name);
	if (ns.n) {
		add_raw(&b, "namespace", ns);
	}
	add_raw(&b, "uid", weir_jview_text(weir_jview_member(metadata, "uid")));
	weir_buf_printf(&b,
			"},\"type\":\"%s\",\"reason\":\"%s\",\"count\":1,"
			"\"firstTimestamp\":\"%s\",\"lastTimestamp\":\"%s\","
			"\"source\":{\"component\":\"weir\",\"host\":",
			is_warning ? "Warning" : "Normal", reason, now, now);
	weir_buf_add_json(&b, weir_str_of(f->options->node_name));
	weir_buf_addz(&b, "},\"reportingComponent\":\"" WEIR_CONTROLLER "\","
			  "\"reportingInstance\":");
	weir_buf_add_json(&b, weir_str_of(f->options->node_name));
	weir_buf_addz(&b, ",\"message\":");
	weir_buf_add_json(&b, message);
	weir_buf_addz(&b, "}");
	weir_buf_printf(&path, "/api/v1/namespaces/%.*s/events",
			WEIR_STR_ARG(at));
	weir_buf_add(&path, "", 1);
	if (b.error || path.error ||
	    weir_kube_writer_send(f->writer, "POST", path.p, NULL,
				  weir_buf_str(&b), NULL, NULL) < 0) {
		f->n_events_dropped++;
		return;
	}
	f->n_events++;
}
