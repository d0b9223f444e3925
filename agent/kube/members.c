/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h by requests: all of weir's Leases of the namespace are listed and
 * watched, which tells who lives, what was applied, and who writes; the own two
 * are written when they are due.
 */
#include "members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "cleanup.h"
#include "election.h"
#include "json_view.h"
#include "kinds.h"
#include "log.h"
#include "scan.h"

#define TICK_MS 1000
#define DEADLINE_MS 5000
#define LIST_MAX ((size_t)16 << 20) /* thousands of members */
#define WATCH_S 300
#define SILENCE_MS 150000
#define STEADY_MS 10000 /* a watch that lived so long was a good one */
/* Durations without a renewal, by the wall clocks of two nodes: those differ by
 * seconds, not by minutes.  Where they do, the first renewal says better. */
#define DEAD_AFTER 10
#define WRITER_NAME "weir-writer"

static void read_again(struct weir_kube_members *m);
static void elect(struct weir_kube_members *m);
static void write_own(struct weir_kube_members *m);

static void changed(struct weir_kube_members *m)
{
	if (!m->change.due_ms) {
		weir_loop_arm(m->options.loop, &m->change, 0);
	}
}

static uint32_t spread(struct weir_kube_members *m, uint32_t ms)
{
	m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return ms / 2 + (uint32_t)(m->random >> 33) % (ms / 2 + 1);
}

static uint32_t backoff(struct weir_kube_members *m, uint32_t n)
{
	return spread(m, 250U << (n < 5 ? n : 5));
}

static uint64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ------------------------------------------------------------- the members */

static struct member *find_member(struct weir_kube_members *m, const char *node,
				  size_t *ret_at)
{
	size_t i = 0;

	for (; i < m->n_members; i++) {
		int order = strcmp(m->members[i].node, node);

		if (order >= 0) {
			*ret_at = i;
			return order == 0 ? &m->members[i] : NULL;
		}
	}
	*ret_at = i;
	return NULL;
}

static struct member *add_member(struct weir_kube_members *m, const char *node,
				 size_t at)
{
	char *copy = strdup(node);

	if (!copy) {
		return NULL;
	}
	if (m->n_members == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 8;
		void *v = reallocarray(m->members, cap, sizeof(*m->members));

		if (!v) {
			weir_free_ptr(&copy);
			return NULL;
		}
		m->members = v;
		m->cap = cap;
	}
	memmove(&m->members[at + 1], &m->members[at],
		(m->n_members - at) * sizeof(*m->members));
	m->n_members++;
	m->members[at] = (struct member){.node = copy};
	m->members[at].public.node = weir_str_of(copy);
	return &m->members[at];
}

static void drop_member(struct weir_kube_members *m, size_t at)
{
	weir_free_ptr(&m->members[at].node);
	weir_free_ptr(&m->members[at].held);
	weir_free_ptr(&m->members[at].ips);
	weir_free_ptr(&m->members[at].starts);
	memmove(&m->members[at], &m->members[at + 1],
		(m->n_members - at - 1) * sizeof(*m->members));
	m->n_members--;
	changed(m);
}

static void see_member(struct weir_kube_members *m,
		       const struct weir_lease *lease)
{
	const char *node = lease->name + strlen(WEIR_MEMBERS_PREFIX);
	uint64_t now = weir_now_ms();
	size_t at;
	struct member *member = find_member(m, node, &at);
	bool is_news, is_dead;

	if (!member) {
		member = add_member(m, node, at);
	}
	if (!member) {
		return;
	}
	member->mark = m->mark;
	member->version = lease->version;
	member->renewed_us = lease->renewed_us;
	/* Of those in the first list some may be long dead: nodes that were
	 * taken out before this agent began keep nobody waiting. */
	is_news = m->was_listed || member->watch.seen_ms;
	is_dead = !is_news &&
		  weir_lease_is_older(lease->renewed_us,
				      (uint64_t)lease->duration_ms * DEAD_AFTER,
				      wall_us());
	if (!weir_lease_observe(&member->watch, lease, now)) {
		return;
	}
	member->is_gone = false;
	if (!member->public.is_live || member->public.is_confirmed != is_news ||
	    member->public.may_announce != lease->may_announce ||
	    strcmp(member->held ? member->held : "", lease->held) != 0 ||
	    strcmp(member->ips ? member->ips : "", lease->ips) != 0 ||
	    strcmp(member->starts ? member->starts : "", lease->starts) != 0 ||
	    memcmp(member->public.applied, lease->applied,
		   sizeof(lease->applied)) != 0) {
		changed(m);
	}
	member->public.is_confirmed = is_news;
	member->public.may_announce = lease->may_announce;
	weir_free_ptr(&member->held);
	member->held = lease->held[0] ? strdup(lease->held) : NULL;
	weir_free_ptr(&member->ips);
	member->ips = lease->ips[0] ? strdup(lease->ips) : NULL;
	weir_free_ptr(&member->starts);
	member->starts = lease->starts[0] ? strdup(lease->starts) : NULL;
	member->public.is_live = !is_dead &&
				 weir_lease_is_live(&member->watch, now);
	memcpy(member->public.applied, lease->applied, sizeof(lease->applied));
}

static void see_lease(struct weir_kube_members *m, struct weir_str object,
		      bool is_deleted)
{
	struct weir_lease lease;

	if (weir_lease_read(object, &lease) < 0) {
		return;
	}
	if (lease.version > m->seen) {
		m->seen = lease.version;
	}
	if (strcmp(lease.name, WRITER_NAME) == 0) {
		m->writer_was_listed = true;
		weir_election_observe(&m->election, is_deleted ? NULL : &lease,
				      weir_now_ms());
	} else if (strncmp(lease.name, WEIR_MEMBERS_PREFIX,
			   strlen(WEIR_MEMBERS_PREFIX)) == 0) {
		size_t at;

		if (!is_deleted) {
			see_member(m, &lease);
		} else if (find_member(m,
				       lease.name + strlen(WEIR_MEMBERS_PREFIX),
				       &at)) {
			drop_member(m, at);
		}
	}
}

/* --------------------------------------------------------- list and watch */

static void on_retry(struct weir_timer *timer)
{
	read_again(timer->arg);
}

static void read_later(struct weir_kube_members *m, const char *why)
{
	if (m->failures == 3) {
		weir_warn("the Leases of weir in namespace %s cannot be read: "
			  "%s",
			  m->ns, why);
	}
	m->seen = 0;
	weir_loop_arm(m->options.loop, &m->retry, backoff(m, m->failures++));
}

static int on_item(void *arg, struct weir_str object, bool is_cut)
{
	if (!is_cut) {
		see_lease(arg, object, false);
	}
	return 0;
}

static int on_event(void *arg, struct weir_str event, bool is_cut)
{
	struct weir_kube_members *m = arg;
	struct weir_str object = weir_jview_member(event, "object");
	struct weir_str type = weir_jview_text(
		weir_jview_member(event, "type"));

	if (is_cut || weir_str_is(type, "ERROR")) {
		return -EREMOTEIO;
	}
	if (weir_str_is(type, "BOOKMARK")) {
		m->seen = weir_jview_u64(weir_jview_path(
			object, "metadata", "resourceVersion", NULL));
		return 0;
	}
	see_lease(m, object, weir_str_is(type, "DELETED"));
	elect(m);
	return 0;
}

static void on_begin(void *arg)
{
	struct weir_kube_members *m = arg;

	m->has_begun = true;
}

static int on_data(void *arg, struct weir_str data)
{
	struct weir_kube_members *m = arg;

	return weir_scan_feed(&m->scan, data);
}

/* What the list did not have is gone. */
static void end_list(struct weir_kube_members *m)
{
	for (size_t i = m->n_members; i-- > 0;) {
		if (m->members[i].mark != m->mark) {
			drop_member(m, i);
		}
	}
	if (!m->writer_was_listed) {
		weir_election_observe(&m->election, NULL, weir_now_ms());
	}
	m->is_watching = true;
	m->was_listed = true;
	elect(m);
}

static void on_read(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_kube_members *m = arg;
	bool was_list = m->scan.kind == WEIR_SCAN_LIST;
	bool is_good = weir_kube_is_ok(reply) && weir_scan_end(&m->scan) == 0;
	uint64_t version = weir_jview_u64(weir_jview_member(
		weir_buf_str(&m->scan.metadata), "resourceVersion"));

	m->reading = NULL;
	weir_scan_fini(&m->scan);
	if (!was_list && m->has_begun &&
	    weir_now_ms() - m->read_begun_ms >= STEADY_MS) {
		m->failures = 0;
	}
	if (!is_good || (was_list && version == 0)) {
		read_later(m, reply->message);
		return;
	}
	if (was_list) {
		m->seen = version;
		end_list(m);
	} else if (weir_now_ms() - m->read_begun_ms < 1000) {
		/* One that ends at once shall not spin. */
		weir_loop_arm(m->options.loop, &m->retry,
			      backoff(m, m->failures++));
		return;
	}
	read_again(m);
}

void weir_members_path(const struct weir_kube_members *m, struct weir_buf *out)
{
	weir_buf_addz(out, "/apis/coordination.k8s.io/v1/namespaces/");
	weir_kube_encode(out, weir_str_of(m->ns));
	weir_buf_addz(out, "/leases");
}

/* The list if nothing is known, else the watch. */
static void read_again(struct weir_kube_members *m)
{
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_kube_call call = {.on_begin = on_begin,
				      .on_data = on_data,
				      .fn = on_read,
				      .arg = m};
	int r;

	weir_members_path(m, &path);
	weir_buf_addz(&path, "?labelSelector=weir.dev%2Flease");
	m->read_begun_ms = weir_now_ms();
	m->has_begun = false;
	if (m->seen == 0) {
		m->mark++;
		m->writer_was_listed = false;
		weir_scan_init(&m->scan, WEIR_SCAN_LIST, on_item, m);
		call.max_bytes = LIST_MAX;
	} else {
		uint32_t seconds = WATCH_S + spread(m, WATCH_S);

		weir_scan_init(&m->scan, WEIR_SCAN_WATCH, on_event, m);
		weir_buf_printf(&path,
				"&watch=1&allowWatchBookmarks=true"
				"&resourceVersion=%" PRIu64
				"&timeoutSeconds=%u",
				m->seen, seconds);
		call.deadline_ms = (seconds + 30) * 1000;
		call.silence_ms = SILENCE_MS;
	}
	weir_buf_add(&path, "", 1);
	call.path = path.p;
	r = path.error ? path.error
		       : weir_kube_call(m->options.client, &call, &m->reading);
	if (r < 0) {
		weir_scan_fini(&m->scan);
		read_later(m, strerror(-r));
	}
}

/* ----------------------------------------------------------- the own Lease */

static void warn_once(struct weir_kube_members *m, const char *what,
		      const struct weir_kube_reply *reply)
{
	if (!m->has_warned) {
		weir_warn("%s: %s", what, reply->message);
	}
	m->has_warned = true;
}

static uint32_t ack_ms(const struct weir_kube_members *m)
{
	uint32_t live = 1;

	for (size_t i = 0; i < m->n_members; i++) {
		live += m->members[i].public.is_live &&
			strcmp(m->members[i].node, m->node) != 0;
	}
	return live * WEIR_LEASE_ACK_MS;
}

/* Now, or when the last write is long enough ago. */
static void own_is_due(struct weir_kube_members *m)
{
	uint64_t now = weir_now_ms();
	uint64_t next = m->own_written_ms + ack_ms(m);

	m->is_own_due = true;
	if (m->own || m->ack.due_ms || !m->is_member) {
		return; /* its end looks again */
	}
	weir_loop_arm(m->options.loop, &m->ack, next > now ? next - now : 0);
}

static void on_ack(struct weir_timer *timer)
{
	write_own(timer->arg);
}

static void on_own_written(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_kube_members *m = arg;

	m->own = NULL;
	if (weir_kube_is_ok(reply)) {
		if (!weir_members_are_fresh(m, weir_now_ms())) {
			m->contact_since_ms = weir_now_ms();
			changed(m);
		}
		m->own_renewed_ms = m->own_written_ms;
		m->own_failures = 0;
		m->has_warned = false;
		if (m->is_own_due) {
			own_is_due(m);
		}
		return;
	}
	m->is_own_due = true;
	if (++m->own_failures == 3) {
		warn_once(m, "this agent's Lease cannot be written", reply);
	}
	weir_loop_arm(m->options.loop, &m->ack, backoff(m, m->own_failures));
}

static int send_lease(struct weir_kube_members *m, const char *method,
		      const char *name, const struct weir_lease_text *text,
		      weir_kube_reply_fn fn,
		      struct weir_kube_request **ret_request)
{
	bool is_patch = strcmp(method, "PATCH") == 0;
	_cleanup_buf_ struct weir_buf path = {0};
	_cleanup_buf_ struct weir_buf body = {0};
	struct weir_kube_call call = {.method = method,
				      .deadline_ms = DEADLINE_MS,
				      .fn = fn,
				      .arg = m};

	weir_members_path(m, &path);
	if (*name) {
		weir_buf_addz(&path, "/");
		weir_kube_encode(&path, weir_str_of(name));
	}
	if (is_patch) {
		weir_buf_addz(&path, "?fieldManager=weir&force=true");
		call.content_type = "application/apply-patch+yaml";
	}
	weir_buf_add(&path, "", 1);
	weir_lease_write(text, &body);
	if (path.error || body.error) {
		return -ENOMEM;
	}
	call.path = path.p;
	call.body = weir_buf_str(&body);
	return weir_kube_call(m->options.client, &call, ret_request);
}

/* By server-side apply: it need not be known whether the Lease exists, and
 * nobody else writes it. */
static void write_own(struct weir_kube_members *m)
{
	const struct weir_lease_text text = {.name = m->own_name,
					     .ns = m->ns,
					     .holder = m->node,
					     .role = "agent",
					     .duration_ms = m->duration_ms,
					     .now_us = wall_us(),
					     .applied = m->applied,
					     .held = m->held,
					     .ips = m->ips,
					     .starts = m->starts,
					     .is_mute = m->options.is_mute};

	if (m->own || !m->is_member) {
		return;
	}
	m->is_own_due = false;
	m->own_written_ms = weir_now_ms();
	if (send_lease(m, "PATCH", m->own_name, &text, on_own_written,
		       &m->own) < 0) {
		m->own = NULL;
		m->is_own_due = true;
		weir_loop_arm(m->options.loop, &m->ack,
			      backoff(m, ++m->own_failures));
	}
}

/* -------------------------------------------------------------- election */

static void note_writer(struct weir_kube_members *m)
{
	bool is_writer = weir_election_is_writer(&m->election, weir_now_ms());

	if (is_writer != m->was_writer) {
		m->was_writer = is_writer;
		weir_info(is_writer ? "this agent writes status now"
				    : "this agent writes status no longer");
		changed(m);
	}
}

static void on_elected(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_kube_members *m = arg;
	struct weir_lease lease;

	m->electing = NULL;
	if (weir_kube_is_ok(reply) &&
	    weir_lease_read(reply->body, &lease) == 0) {
		weir_election_won(&m->election, &lease, m->elect_begun_ms,
				  weir_now_ms());
		note_writer(m);
	} else if (reply->status == 403 || reply->status == 404) {
		warn_once(m, "the Lease " WRITER_NAME " cannot be written",
			  reply);
	}
	/* Else somebody was faster, which the watch tells, or the server is
	 * away: the next tick tries again. */
}

static void elect(struct weir_kube_members *m)
{
	struct weir_election *e = &m->election;
	uint64_t now = weir_now_ms();
	enum weir_election_step step = weir_election_next(e, now);
	struct weir_lease_text text = {.name = WRITER_NAME,
				       .ns = m->ns,
				       .holder = m->node,
				       .role = "writer",
				       .duration_ms = m->duration_ms,
				       .now_us = wall_us()};
	bool is_new = step == WEIR_ELECTION_CREATE;

	note_writer(m);
	/* Who has applied nothing knows nothing to write. */
	if (!m->options.may_write || !m->is_member || !m->is_watching ||
	    m->electing || step == WEIR_ELECTION_WAIT) {
		return;
	}
	if (!is_new) {
		text.version = e->lease.version;
		text.transitions = e->lease.transitions +
				   (step == WEIR_ELECTION_TAKE);
		text.acquired = step == WEIR_ELECTION_RENEW ? e->lease.acquired
							    : NULL;
	}
	m->elect_begun_ms = now;
	if (send_lease(m, is_new ? "POST" : "PUT", is_new ? "" : WRITER_NAME,
		       &text, on_elected, &m->electing) < 0) {
		m->electing = NULL;
	}
}

/* --------------------------------------------------------------- the clock */

static void on_tick(struct weir_timer *timer)
{
	struct weir_kube_members *m = timer->arg;
	uint64_t now = weir_now_ms();

	for (size_t i = 0; i < m->n_members; i++) {
		struct member *member = &m->members[i];
		bool is_live = weir_lease_is_live(&member->watch, now);

		if (member->public.is_live && !is_live) {
			weir_info("the agent of node %s is gone: its Lease "
				  "lapsed",
				  member->node);
			member->public.is_live = false;
			changed(m);
		}
	}
	weir_members_note_gone(m, now);
	if (m->is_member && now >= m->own_written_ms + m->duration_ms / 3) {
		own_is_due(m);
	}
	elect(m);
	weir_members_forget(m, now, wall_us());
	weir_loop_arm(m->options.loop, timer, TICK_MS);
}

static void on_changed(struct weir_timer *timer)
{
	struct weir_kube_members *m = timer->arg;

	m->options.on_change(m->options.arg);
}

/* ---------------------------------------------------------------- public */

int weir_kube_members_new(const struct weir_kube_members_options *options,
			  struct weir_kube_members **ret_members)
{
	_cleanup_(weir_kube_members_free) struct weir_kube_members *m = calloc(
		1, sizeof(*m));

	if (!m) {
		return -ENOMEM;
	}
	m->options = *options;
	m->ns = strdup(options->ns);
	m->node = strdup(options->node);
	if (asprintf(&m->own_name, WEIR_MEMBERS_PREFIX "%s", options->node) <
	    0) {
		m->own_name = NULL;
	}
	if (!m->ns || !m->node || !m->own_name) {
		return -ENOMEM;
	}
	if (strlen(m->own_name) >= WEIR_LEASE_NAME_MAX) {
		return -ENAMETOOLONG;
	}
	m->duration_ms = options->duration_ms ? options->duration_ms
					      : WEIR_LEASE_DURATION_MS;
	if (getrandom(&m->random, sizeof(m->random), 0) < 0) {
		m->random = wall_us();
	}
	m->election.identity = m->node;
	m->election.duration_ms = m->duration_ms;
	m->retry = (struct weir_timer){.fn = on_retry, .arg = m};
	m->ack = (struct weir_timer){.fn = on_ack, .arg = m};
	m->tick = (struct weir_timer){.fn = on_tick, .arg = m};
	m->change = (struct weir_timer){.fn = on_changed, .arg = m};
	*ret_members = TAKE_PTR(m);
	return 0;
}

void weir_kube_members_free(struct weir_kube_members **members)
{
	struct weir_kube_members *m = *members;

	if (!m) {
		return;
	}
	weir_kube_cancel(&m->reading);
	weir_kube_cancel(&m->own);
	weir_kube_cancel(&m->electing);
	weir_kube_cancel(&m->forgetting);
	weir_loop_disarm(m->options.loop, &m->retry);
	weir_loop_disarm(m->options.loop, &m->ack);
	weir_loop_disarm(m->options.loop, &m->tick);
	weir_loop_disarm(m->options.loop, &m->change);
	weir_scan_fini(&m->scan);
	for (size_t i = 0; i < m->n_members; i++) {
		weir_free_ptr(&m->members[i].node);
		weir_free_ptr(&m->members[i].held);
		weir_free_ptr(&m->members[i].ips);
		weir_free_ptr(&m->members[i].starts);
	}
	weir_free_ptr(&m->held);
	weir_free_ptr(&m->ips);
	weir_free_ptr(&m->starts);
	weir_free_ptr(&m->members);
	weir_free_ptr(&m->list);
	weir_free_ptr(&m->ns);
	weir_free_ptr(&m->node);
	weir_free_ptr(&m->own_name);
	weir_free_ptr(&m->forgotten);
	weir_free_ptr(members);
}

int weir_kube_members_start(struct weir_kube_members *members)
{
	weir_loop_arm(members->options.loop, &members->tick, TICK_MS);
	read_again(members);
	return 0;
}

void weir_kube_members_applied(struct weir_kube_members *members,
			       const uint64_t versions[static _WEIR_KIND_MAX],
			       bool is_urgent)
{
	bool is_first = !members->is_member;

	memcpy(members->applied, versions, sizeof(members->applied));
	members->is_member = true;
	if (is_first || is_urgent) {
		own_is_due(members);
	}
	if (is_first) {
		elect(members);
	}
}

/* True if it is something else. */
static bool replace(char **text, const char *by, size_t max)
{
	if (strcmp(*text ? *text : "", by) == 0 || strlen(by) >= max) {
		return false;
	}
	weir_free_ptr(text);
	*text = *by ? strdup(by) : NULL;
	return true;
}

void weir_kube_members_say(struct weir_kube_members *members, const char *held,
			   const char *ips)
{
	bool is_new = replace(&members->held, held, WEIR_LEASE_HELD_MAX);

	is_new |= replace(&members->ips, ips, WEIR_LEASE_IPS_MAX);
	if (is_new) {
		own_is_due(members);
	}
}

void weir_kube_members_say_starts(struct weir_kube_members *members,
				  const char *starts, bool is_news)
{
	if (replace(&members->starts, starts, WEIR_LEASE_STARTS_MAX) &&
	    is_news) {
		own_is_due(members);
	}
}

bool weir_kube_members_is_writer(const struct weir_kube_members *members)
{
	return weir_election_is_writer(&members->election, weir_now_ms());
}
