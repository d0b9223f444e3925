/* SPDX-License-Identifier: Apache-2.0 */
#include "election.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "json_view.h"

/* ------------------------------------------------- resource versions */

void weir_applied_write(const uint64_t applied[static _WEIR_KIND_MAX],
			struct weir_buf *out)
{
	const char *comma = "";

	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		const char *group = weir_kind_group((enum weir_kind)k);

		if (applied[k]) {
			weir_buf_printf(out, "%s%s%s%s=%" PRIu64, comma,
					weir_kind_text((enum weir_kind)k),
					*group ? "." : "", group, applied[k]);
			comma = ",";
		}
	}
}

static void read_one(struct weir_str text, uint64_t *applied)
{
	ptrdiff_t equals = weir_str_find(text, '=');
	uint64_t version;

	if (equals < 0 ||
	    weir_str_parse_u64(weir_str_skip(text, (size_t)equals + 1),
			       UINT64_MAX, &version) < 0) {
		return;
	}
	text.n = (size_t)equals;
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_str kind = weir_str_of(
			weir_kind_text((enum weir_kind)k));
		struct weir_str group = weir_str_of(
			weir_kind_group((enum weir_kind)k));
		struct weir_str rest = weir_str_skip(text, kind.n);

		if (weir_str_starts(text, kind) &&
		    (group.n ? rest.n && rest.p[0] == '.' &&
				       weir_str_eq(weir_str_skip(rest, 1),
						   group)
			     : rest.n == 0)) {
			applied[k] = version;
		}
	}
}

void weir_applied_read(struct weir_str text,
		       uint64_t ret_applied[static _WEIR_KIND_MAX])
{
	memset(ret_applied, 0, _WEIR_KIND_MAX * sizeof(*ret_applied));
	while (text.n) {
		read_one(weir_str_word(&text, ','), ret_applied);
	}
}

/* ------------------------------------------------------------- Leases */

static void copy_text(struct weir_str json, char *out, size_t size)
{
	struct weir_str s = weir_jview_text(json);

	/* Whatever is longer is nobody's, and no part of it is anything. */
	snprintf(out, size, "%.*s",
		 WEIR_STR_ARG(s.n < size ? s : WEIR_STR("")));
}

/* metav1.MicroTime, which the API server writes in UTC: to the second, 0 if it
 * is none. */
static uint64_t read_time(struct weir_str json)
{
	char text[40];
	struct tm tm = {0};
	const char *rest;
	time_t s;

	copy_text(json, text, sizeof(text));
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || (*rest != '.' && *rest != 'Z')) {
		return 0;
	}
	s = timegm(&tm);
	return s > 0 ? (uint64_t)s * 1000000 : 0;
}

int weir_lease_read(struct weir_str json, struct weir_lease *ret_lease)
{
	struct weir_str metadata = weir_jview_member(json, "metadata");
	struct weir_str spec = weir_jview_member(json, "spec");
	struct weir_str applied = weir_jview_text(weir_jview_path(
		metadata, "annotations", "weir.dev/applied", NULL));
	struct weir_str announces;
	struct weir_lease l = {0};
	uint64_t seconds;

	copy_text(weir_jview_member(metadata, "name"), l.name, sizeof(l.name));
	l.version = weir_jview_u64(
		weir_jview_member(metadata, "resourceVersion"));
	if (!l.name[0] || l.version == 0) {
		return -EBADMSG;
	}
	copy_text(weir_jview_member(spec, "holderIdentity"), l.holder,
		  sizeof(l.holder));
	copy_text(weir_jview_member(spec, "acquireTime"), l.acquired,
		  sizeof(l.acquired));
	l.renewed_us = read_time(weir_jview_member(spec, "renewTime"));
	seconds = weir_jview_u64(
		weir_jview_member(spec, "leaseDurationSeconds"));
	l.duration_ms = (uint32_t)(seconds < 3600 ? seconds : 3600) * 1000;
	l.transitions = weir_jview_u64(
		weir_jview_member(spec, "leaseTransitions"));
	copy_text(
		weir_jview_path(metadata, "annotations", "weir.dev/held", NULL),
		l.held, sizeof(l.held));
	copy_text(weir_jview_path(metadata, "annotations", "weir.dev/addresses",
				  NULL),
		  l.ips, sizeof(l.ips));
	copy_text(weir_jview_path(metadata, "annotations", "weir.dev/starts",
				  NULL),
		  l.starts, sizeof(l.starts));
	announces = weir_jview_text(weir_jview_path(
		metadata, "annotations", "weir.dev/announces", NULL));
	l.may_announce = !weir_str_is(announces, "no");
	l.record = weir_str_hash(spec, weir_str_hash(applied, 1));
	l.record = weir_str_hash(weir_str_of(l.held),
				 l.record + l.may_announce);
	l.record = weir_str_hash(weir_str_of(l.ips), l.record);
	l.record = weir_str_hash(weir_str_of(l.starts), l.record);
	weir_applied_read(applied, l.applied);
	*ret_lease = l;
	return 0;
}

/* metav1.MicroTime. */
static void add_time(struct weir_buf *out, uint64_t us)
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm = {0};
	char date[32];

	gmtime_r(&s, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	weir_buf_printf(out, "\"%s.%06uZ\"", date, (unsigned)(us % 1000000));
}

static void add_metadata(const struct weir_lease_text *t, struct weir_buf *out)
{
	weir_buf_addz(out, "\"metadata\":{\"name\":");
	weir_buf_add_json(out, weir_str_of(t->name));
	weir_buf_addz(out, ",\"namespace\":");
	weir_buf_add_json(out, weir_str_of(t->ns));
	if (t->version) {
		weir_buf_printf(out, ",\"resourceVersion\":\"%" PRIu64 "\"",
				t->version);
	}
	weir_buf_printf(out, ",\"labels\":{\"weir.dev/lease\":\"%s\"}",
			t->role);
	if (t->applied) {
		weir_buf_addz(out, ",\"annotations\":{\"weir.dev/applied\":\"");
		weir_applied_write(t->applied, out);
		weir_buf_addz(out, "\"");
		if (t->is_mute) {
			weir_buf_addz(out, ",\"weir.dev/announces\":\"no\"");
		}
		if (t->ips && *t->ips) {
			weir_buf_addz(out, ",\"weir.dev/addresses\":");
			weir_buf_add_json(out, weir_str_of(t->ips));
		}
		if (t->held && *t->held) {
			weir_buf_addz(out, ",\"weir.dev/held\":");
			weir_buf_add_json(out, weir_str_of(t->held));
		}
		if (t->starts && *t->starts) {
			weir_buf_addz(out, ",\"weir.dev/starts\":");
			weir_buf_add_json(out, weir_str_of(t->starts));
		}
		weir_buf_addz(out, "}");
	}
	weir_buf_addz(out, "}");
}

void weir_lease_write(const struct weir_lease_text *text, struct weir_buf *out)
{
	weir_buf_addz(out, "{\"apiVersion\":\"coordination.k8s.io/v1\","
			   "\"kind\":\"Lease\",");
	add_metadata(text, out);
	weir_buf_addz(out, ",\"spec\":{\"holderIdentity\":");
	weir_buf_add_json(out, weir_str_of(text->holder));
	weir_buf_printf(out,
			",\"leaseDurationSeconds\":%u,\"leaseTransitions\":"
			"%" PRIu64 ",\"acquireTime\":",
			(text->duration_ms + 999) / 1000, text->transitions);
	if (text->acquired && *text->acquired) {
		weir_buf_add_json(out, weir_str_of(text->acquired));
	} else {
		add_time(out, text->now_us);
	}
	weir_buf_addz(out, ",\"renewTime\":");
	add_time(out, text->now_us);
	weir_buf_addz(out, "}}");
}

bool weir_lease_observe(struct weir_lease_watch *w,
			const struct weir_lease *lease, uint64_t now_ms)
{
	if (w->seen_ms && w->record == lease->record) {
		return false;
	}
	*w = (struct weir_lease_watch){.record = lease->record,
				       .seen_ms = now_ms ? now_ms : 1,
				       .duration_ms = lease->duration_ms};
	return true;
}

bool weir_lease_is_live(const struct weir_lease_watch *w, uint64_t now_ms)
{
	return w->seen_ms && now_ms < w->seen_ms + w->duration_ms;
}

bool weir_lease_is_older(uint64_t renewed_us, uint64_t by_ms, uint64_t wall_us)
{
	return renewed_us && wall_us > renewed_us &&
	       (wall_us - renewed_us) / 1000 >= by_ms;
}

/* ------------------------------------------------------------ election */

void weir_election_observe(struct weir_election *e,
			   const struct weir_lease *lease, uint64_t now_ms)
{
	if (!lease) {
		e->exists = false;
		e->is_holder = false;
		e->watch = (struct weir_lease_watch){0};
		return;
	}
	/* A watch may be behind what our own write was answered. */
	if (e->exists && lease->version < e->lease.version) {
		return;
	}
	e->exists = true;
	e->lease = *lease;
	weir_lease_observe(&e->watch, lease, now_ms);
	if (strcmp(lease->holder, e->identity) != 0) {
		e->is_holder = false;
	}
}

enum weir_election_step weir_election_next(const struct weir_election *e,
					   uint64_t now_ms)
{
	if (!e->exists) {
		return WEIR_ELECTION_CREATE;
	}
	if (e->is_holder) {
		return now_ms >= e->renewed_ms + e->duration_ms / 3
			       ? WEIR_ELECTION_RENEW
			       : WEIR_ELECTION_WAIT;
	}
	/* Ours from before a restart needs no waiting: no other of this
	 * identity is alive. */
	if (!e->lease.holder[0] || strcmp(e->lease.holder, e->identity) == 0 ||
	    !weir_lease_is_live(&e->watch, now_ms)) {
		return WEIR_ELECTION_TAKE;
	}
	return WEIR_ELECTION_WAIT;
}

void weir_election_won(struct weir_election *e, const struct weir_lease *lease,
		       uint64_t begun_ms, uint64_t now_ms)
{
	weir_election_observe(e, lease, now_ms);
	e->is_holder = strcmp(e->lease.holder, e->identity) == 0;
	e->renewed_ms = begun_ms;
}

bool weir_election_is_writer(const struct weir_election *e, uint64_t now_ms)
{
	return e->is_holder && now_ms < e->renewed_ms + e->duration_ms / 3 * 2;
}
