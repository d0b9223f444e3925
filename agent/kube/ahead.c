// SPDX-License-Identifier: Apache-2.0
#include "ahead.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "json_view.h"

struct weir_ahead_pod {
	struct weir_ahead_pod *next;
	uint64_t uid;        /* hash */
	struct weir_ip said; /* to the others; zero: nothing was */
	struct weir_ip told; /* by weir_ahead_changed(); likewise */
	struct weir_buf object;
};

static const struct weir_ip nowhere;
static const struct weir_ip unknown = {.a = {0xFFFFFFFF}};

static uint64_t hash_of(struct weir_str s)
{
	return weir_str_hash(s, 0x6e6574);
}

static struct weir_str uid_of(struct weir_str object)
{
	return weir_jview_text(
		weir_jview_path(object, "metadata", "uid", NULL));
}

static struct weir_str node_of(struct weir_str object)
{
	return weir_jview_text(
		weir_jview_path(object, "spec", "nodeName", NULL));
}

/* -------------------------------------------------------------- the files */

/* Behind blanks and one c; null if that is not what is there. */
static struct weir_str behind(struct weir_str s, char c)
{
	while (s.n && (*s.p == ' ' || *s.p == '\n' || *s.p == '\t')) {
		s = weir_str_skip(s, 1);
	}
	return s.n && *s.p == c ? weir_str_skip(s, 1) : WEIR_STR_NULL;
}

/* The string that follows the next "name" and a c, as written; *rest goes on
 * behind it.  Null: there is none. */
static struct weir_str string_at(struct weir_str *rest, const char *name,
				 char c)
{
	size_t n = strlen(name);

	while (rest->n) {
		const char *at = memmem(rest->p, rest->n, name, n);
		struct weir_str s;
		ptrdiff_t end;

		if (!at) {
			break;
		}
		*rest = weir_str_skip(*rest, (size_t)(at - rest->p) + n);
		s = behind(behind(*rest, c), '"');
		end = s.n ? weir_str_find(s, '"') : -1;
		if (end >= 0) {
			*rest = weir_str_skip(s, (size_t)end + 1);
			return (struct weir_str){s.p, (size_t)end};
		}
	}
	return WEIR_STR_NULL;
}

static bool is_uid(struct weir_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') && c != '-') {
			return false;
		}
	}
	return s.n > 0 && s.n < WEIR_AHEAD_UID_MAX;
}

/* result.ips: [{"address": "10.0.0.5/24"}, ...] (CNI 0.3 and later). */
static int read_address(struct weir_str ips, struct weir_ip *ret_ip)
{
	int r = -EBADMSG;

	for (;;) {
		struct weir_str s = string_at(&ips, "\"address\"", ':');
		struct weir_ip ip;

		if (!s.p) {
			return r;
		}
		if (weir_ip_parse(weir_str_word(&s, '/'), &ip) < 0) {
			continue;
		}
		if (r < 0 || weir_ip_is_v4(&ip)) {
			*ret_ip = ip;
			r = 0;
		}
		if (weir_ip_is_v4(&ip)) {
			return 0;
		}
	}
}

int weir_ahead_read(struct weir_str text, struct weir_ahead_net *ret_net)
{
	struct weir_str args = weir_jview_member(text, "cniArgs");
	struct weir_str uid = string_at(&args, "\"K8S_POD_UID\"", ',');
	struct weir_ahead_net net = {0};
	int r;

	/* A CRI runtime gives the first interface this name, others are of
	 * loopback and of secondary networks. */
	if (!weir_str_is(weir_jview_member(text, "kind"), "\"cniCacheV1\"") ||
	    !weir_str_is(weir_jview_member(text, "ifName"), "\"eth0\"") ||
	    !is_uid(uid)) {
		return -EBADMSG;
	}
	r = read_address(weir_jview_path(text, "result", "ips", NULL), &net.ip);
	if (r < 0) {
		return r;
	}
	net.pod = hash_of(uid);
	*ret_net = net;
	return 0;
}

static struct weir_ahead_net *net_of(const struct weir_ahead *ahead,
				     uint64_t file)
{
	for (size_t i = 0; i < ahead->n_nets; i++) {
		if (ahead->nets[i].file == file) {
			return &ahead->nets[i];
		}
	}
	return NULL;
}

static void drop(struct weir_ahead *ahead, uint64_t file)
{
	struct weir_ahead_net *net = net_of(ahead, file);

	if (net) {
		*net = ahead->nets[--ahead->n_nets];
	}
}

static const struct weir_ahead_net *oldest_of(const struct weir_ahead *ahead)
{
	const struct weir_ahead_net *oldest = &ahead->nets[0];

	for (size_t i = 1; i < ahead->n_nets; i++) {
		if (ahead->nets[i].at_ns < oldest->at_ns) {
			oldest = &ahead->nets[i];
		}
	}
	return oldest;
}

static int grow(struct weir_ahead *ahead)
{
	size_t cap = ahead->cap_nets ? ahead->cap_nets * 2 : 32;
	void *v;

	if (ahead->n_nets < ahead->cap_nets) {
		return 0;
	}
	if (cap > WEIR_AHEAD_NETS_MAX) {
		drop(ahead, oldest_of(ahead)->file);
		return 0;
	}
	v = reallocarray(ahead->nets, cap, sizeof(*ahead->nets));
	if (!v) {
		return -ENOMEM;
	}
	ahead->nets = v;
	ahead->cap_nets = cap;
	return 0;
}

int weir_ahead_put(struct weir_ahead *ahead, struct weir_str file,
		   uint64_t at_ns, struct weir_str text)
{
	struct weir_ahead_net net;
	int r = weir_ahead_read(text, &net);

	drop(ahead, hash_of(file));
	if (r == 0) {
		r = grow(ahead);
	}
	if (r < 0) {
		return r;
	}
	net.file = hash_of(file);
	net.at_ns = at_ns;
	ahead->nets[ahead->n_nets++] = net;
	return 0;
}

void weir_ahead_drop(struct weir_ahead *ahead, struct weir_str file)
{
	drop(ahead, hash_of(file));
}

void weir_ahead_drop_all(struct weir_ahead *ahead)
{
	ahead->n_nets = 0;
}

/* Files of sandboxes that went without a word may be there still (a node that
 * lost power): the address may be another's by now. */
static bool is_given_away(const struct weir_ahead *ahead,
			  const struct weir_ahead_net *net)
{
	for (size_t i = 0; i < ahead->n_nets; i++) {
		const struct weir_ahead_net *other = &ahead->nets[i];

		if (other->pod != net->pod && other->at_ns >= net->at_ns &&
		    weir_ip_eq(&other->ip, &net->ip)) {
			return true;
		}
	}
	return false;
}

static const struct weir_ip *find_net(const struct weir_ahead *ahead,
				      uint64_t pod)
{
	const struct weir_ahead_net *found = NULL;

	for (size_t i = 0; i < ahead->n_nets; i++) {
		const struct weir_ahead_net *net = &ahead->nets[i];

		if (net->pod == pod && (!found || net->at_ns > found->at_ns)) {
			found = net;
		}
	}
	return found && !is_given_away(ahead, found) ? &found->ip : NULL;
}

static bool is_here(const struct weir_ahead *ahead, struct weir_str node)
{
	return ahead->node && weir_str_is(node, ahead->node);
}

static const struct weir_ip *find(const struct weir_ahead *ahead,
				  struct weir_str node, uint64_t pod)
{
	uint64_t of_node = hash_of(node);

	if (is_here(ahead, node)) {
		return find_net(ahead, pod);
	}
	for (size_t i = 0; i < ahead->n_others; i++) {
		const struct weir_ahead_other *o = &ahead->others[i];

		if (o->pod == pod && o->node == of_node) {
			return &o->ip;
		}
	}
	return NULL;
}

const struct weir_ip *weir_ahead_find(const struct weir_ahead *ahead,
				      struct weir_str node, struct weir_str uid)
{
	return find(ahead, node, hash_of(uid));
}

/* --------------------------------------------------------- other agents */

static int grow_others(struct weir_ahead *ahead)
{
	size_t cap = ahead->cap_others ? ahead->cap_others * 2 : 32;
	void *v;

	if (ahead->n_others < ahead->cap_others) {
		return 0;
	}
	if (cap > WEIR_AHEAD_OTHERS_MAX) {
		return -ENOSPC;
	}
	v = reallocarray(ahead->others, cap, sizeof(*ahead->others));
	if (!v) {
		return -ENOMEM;
	}
	ahead->others = v;
	ahead->cap_others = cap;
	return 0;
}

int weir_ahead_hear(struct weir_ahead *ahead, struct weir_str node,
		    struct weir_str text)
{
	while (text.n) {
		struct weir_str ip = weir_str_word(&text, ',');
		struct weir_str uid = weir_str_word(&ip, '=');
		struct weir_ahead_other other = {.node = hash_of(node),
						 .pod = hash_of(uid)};
		int r;

		if (!is_uid(uid) || weir_ip_parse(ip, &other.ip) < 0) {
			continue;
		}
		r = grow_others(ahead);
		if (r < 0) {
			return r;
		}
		ahead->others[ahead->n_others++] = other;
	}
	return 0;
}

void weir_ahead_hear_anew(struct weir_ahead *ahead)
{
	ahead->n_others = 0;
}

bool weir_ahead_say(struct weir_ahead *ahead, size_t max, struct weir_buf *out)
{
	const char *comma = "";
	bool is_news = false;

	for (struct weir_ahead_pod *pod = ahead->pods; pod; pod = pod->next) {
		struct weir_str object = weir_buf_str(&pod->object);
		struct weir_str uid = uid_of(object);
		const struct weir_ip *ip = is_here(ahead, node_of(object))
						   ? find_net(ahead, pod->uid)
						   : NULL;
		char text[WEIR_ADDR_TEXT_MAX];

		if (!ip) {
			is_news |= !weir_ip_eq(&pod->said, &nowhere);
			pod->said = nowhere;
			continue;
		}
		if (out->n + uid.n + sizeof(text) + 2 > max) {
			break;
		}
		weir_buf_printf(out, "%s%.*s=%s", comma, WEIR_STR_ARG(uid),
				weir_ip_format(ip, text));
		comma = ",";
		is_news |= !weir_ip_eq(ip, &pod->said);
		pod->said = *ip;
	}
	return is_news;
}

/* --------------------------------------------------------------- the pods */

static void free_pod(struct weir_ahead *ahead, struct weir_ahead_pod **at)
{
	struct weir_ahead_pod *pod = *at;

	*at = pod->next;
	ahead->n_pods--;
	weir_buf_fini(&pod->object);
	weir_free_ptr(&pod);
}

static struct weir_ahead_pod **place_of(struct weir_ahead *ahead, uint64_t uid)
{
	struct weir_ahead_pod **at = &ahead->pods;

	while (*at && (*at)->uid != uid) {
		at = &(*at)->next;
	}
	return at;
}

static bool is_awaited(struct weir_str object)
{
	struct weir_str spec = weir_jview_member(object, "spec");
	struct weir_str status = weir_jview_member(object, "status");
	struct weir_str phase = weir_jview_member(status, "phase");

	return node_of(object).n &&
	       !weir_str_is(weir_jview_member(spec, "hostNetwork"), "true") &&
	       !weir_jview_member(status, "podIP").n &&
	       !weir_str_is(phase, "\"Failed\"") &&
	       !weir_str_is(phase, "\"Succeeded\"") &&
	       !weir_jview_path(object, "metadata", "deletionTimestamp", NULL)
			.n &&
	       is_uid(uid_of(object));
}

/* Values as they are written. */
static void write_object(struct weir_buf *out, struct weir_str object)
{
	static const char *const kept[] = {"name", "namespace", "uid",
					   "resourceVersion"};
	struct weir_str metadata = weir_jview_member(object, "metadata");
	struct weir_str revision = weir_jview_path(
		metadata, "labels", "serving.knative.dev/revision", NULL);
	struct weir_str node = weir_jview_path(object, "spec", "nodeName",
					       NULL);

	weir_buf_addz(out, "{\"metadata\":{");
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct weir_str v = weir_jview_member(metadata, kept[i]);

		if (v.n) {
			weir_buf_printf(out, "\"%s\":%.*s,", kept[i],
					WEIR_STR_ARG(v));
		}
	}
	weir_buf_addz(out, "\"labels\":{");
	if (revision.n) {
		weir_buf_printf(out, "\"serving.knative.dev/revision\":%.*s",
				WEIR_STR_ARG(revision));
	}
	weir_buf_printf(out, "}},\"spec\":{\"nodeName\":%.*s}}",
			WEIR_STR_ARG(node));
}

int weir_ahead_note(struct weir_ahead *ahead, struct weir_str object)
{
	uint64_t uid = hash_of(uid_of(object));
	struct weir_ahead_pod **at = place_of(ahead, uid);
	struct weir_ahead_pod *pod = *at;

	if (!is_awaited(object)) {
		weir_ahead_forget(ahead, object);
		return 0;
	}
	/* What is written of it does not change but for the version. */
	if (pod || ahead->n_pods >= WEIR_AHEAD_PODS_MAX) {
		return 0;
	}
	pod = calloc(1, sizeof(*pod));
	if (!pod) {
		return -ENOMEM;
	}
	pod->uid = uid;
	pod->told = unknown; /* what the server's word made of it */
	write_object(&pod->object, object);
	*at = pod;
	ahead->n_pods++;
	if (pod->object.error) {
		free_pod(ahead, at);
		return -ENOMEM;
	}
	return 0;
}

void weir_ahead_forget(struct weir_ahead *ahead, struct weir_str object)
{
	struct weir_ahead_pod **at = place_of(ahead, hash_of(uid_of(object)));

	if (*at) {
		free_pod(ahead, at);
	}
}

void weir_ahead_forget_all(struct weir_ahead *ahead)
{
	while (ahead->pods) {
		free_pod(ahead, &ahead->pods);
	}
}

struct weir_str weir_ahead_changed(struct weir_ahead *ahead)
{
	for (struct weir_ahead_pod *pod = ahead->pods; pod; pod = pod->next) {
		struct weir_str object = weir_buf_str(&pod->object);
		const struct weir_ip *ip = find(ahead, node_of(object),
						pod->uid);

		if (!weir_ip_eq(ip ? ip : &nowhere, &pod->told)) {
			pod->told = ip ? *ip : nowhere;
			return object;
		}
	}
	return WEIR_STR_NULL;
}

void weir_ahead_fini(struct weir_ahead *ahead)
{
	weir_ahead_forget_all(ahead);
	weir_free_ptr(&ahead->nets);
	weir_free_ptr(&ahead->others);
}
