/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

const char *class_name(enum verdict c)
{
	static const char *const names[] = {
#define CLASS_NAME(name, text, help) text,
		CLASSES(CLASS_NAME)
#undef CLASS_NAME
	};

	return names[c];
}

const char *class_help(enum verdict c)
{
	static const char *const helps[] = {
#define CLASS_HELP(name, text, help) help,
		CLASSES(CLASS_HELP)
#undef CLASS_HELP
	};

	return helps[c];
}

bool class_is_failure(enum verdict c)
{
	return c >= CLASS_LAXER;
}

int allowed_load(const char *file, struct allowed *list, int max)
{
	FILE *f = fopen(file, "re");
	char line[512];
	int n = 0;

	if (!f) {
		return -errno;
	}
	while (fgets(line, sizeof(line), f)) {
		struct allowed *a = &list[n];

		if (line[0] == '#' || line[0] == '\n') {
			continue;
		}
		if (n == max ||
		    sscanf(line, "%15s %7s %62s %15[^:\n]:", a->peer, a->side,
			   a->reason, a->oddity) != 4) {
			fclose(f);
			return -EBADMSG;
		}
		a->n = 0;
		n++;
	}
	fclose(f);
	return n;
}

/* Is message i there with its end? */
static bool is_whole(const struct reading *r, uint32_t i)
{
	return i + 1 < r->n ||
	       (i + 1 == r->n && r->end != END_BODY && r->end != END_BROKEN);
}

static bool has_oddity(const struct message *m, const char *name)
{
	static const char *const names[] = {
#define ODDITY_NAME(name, text) text,
		ODDITIES(ODDITY_NAME)
#undef ODDITY_NAME
	};

	for (int i = 0; i < _ODDITY_MAX; i++) {
		if (strcmp(names[i], name) == 0) {
			return m->oddities & 1u << i;
		}
	}
	return false;
}

/* The line that excuses reason for message i of weir's reading. */
static bool is_allowed(const struct sides *s, uint32_t i, const char *reason,
		       struct allowed **ret_used)
{
	for (int k = 0; k < s->n_allowed; k++) {
		struct allowed *a = &s->allowed[k];

		if (strcmp(a->peer, s->name) == 0 &&
		    fnmatch(a->side, s->side_name, 0) == 0 &&
		    fnmatch(a->reason, reason, 0) == 0 &&
		    has_oddity(&s->weir->v[i], a->oddity)) {
			*ret_used = a;
			return true;
		}
	}
	return false;
}

/* Weir takes its message i, the peer refuses it. */
static enum verdict refused(const struct sides *s, uint32_t i,
			    struct allowed **ret_used)
{
	bool is_closed = s->peer->end == END_CLOSE;

	/* A peer that closes does so because of the message before. */
	return is_allowed(s, is_closed && i > 0 ? i - 1 : i,
			  is_closed ? "closes" : s->peer->reason, ret_used)
		       ? CLASS_ALLOWED
		       : CLASS_LAXER;
}

/* Both take message i, and it ends elsewhere.  What a backend says is excused
 * where weir has the RFC on its side: the client reads what weir sends. */
static enum verdict framed(const struct sides *s, uint32_t i,
			   struct allowed **ret_used)
{
	return strcmp(s->side_name, "back") == 0 &&
			       is_allowed(s, i, "framing", ret_used)
		       ? CLASS_ALLOWED
		       : CLASS_FRAMING;
}

/* Weir accepted a head, the peer has no such message. */
static bool is_refusal(const struct reading *peer)
{
	return peer->end == END_REFUSE || peer->end == END_BROKEN ||
	       peer->end == END_CLOSE || peer->end == END_WHOLE;
}

/* The peer has more messages than weir. */
static enum verdict peer_goes_on(const struct sides *s)
{
	if (s->side == SIDE_SENT) {
		return CLASS_FRAMING;
	}
	switch (s->weir->end) {
	case END_REFUSE:
		return CLASS_STRICTER;
	case END_CLOSE:
		return CLASS_CLOSED;
	default: /* weir would wait for the rest of a head, or has no more */
		return CLASS_FRAMING;
	}
}

static bool means_the_same(const struct message *a, const struct message *b,
			   bool is_whole_only)
{
	/* HAProxy writes an absolute target anew ("http://t:/" has no port). */
	return a->method == b->method &&
	       (a->target == b->target ||
		(is_whole_only && a->oddities & 1u << ODDITY_ABSOLUTE)) &&
	       (a->any_host || a->host == b->host);
}

/* Message i, which one of both sees without its end. */
static enum verdict one_is_partial(const struct sides *s, uint32_t i,
				   struct allowed **ret_used)
{
	const struct reading *weir = s->weir;
	const struct reading *peer = s->peer;

	if (is_whole(weir, i)) {
		return peer->end == END_BROKEN ? refused(s, i, ret_used)
					       : framed(s, i, ret_used);
	}
	if (!is_whole(peer, i)) {
		return weir->end == peer->end    ? CLASS_SAME
		       : weir->end == END_BROKEN ? CLASS_STRICTER
						 : refused(s, i, ret_used);
	}
	if (s->side == SIDE_SENT) {
		return CLASS_COMPLETED;
	}
	return weir->end == END_BROKEN ? CLASS_STRICTER
				       : framed(s, i, ret_used);
}

enum verdict compare(const struct sides *s, struct allowed **ret_used)
{
	const struct reading *weir = s->weir;
	const struct reading *peer = s->peer;

	for (uint32_t i = 0; i < weir->n; i++) {
		const struct message *a = &weir->v[i];
		const struct message *b = &peer->v[i];

		if (i >= peer->n && peer->end == END_WHOLE) {
			if (!is_whole(weir, i)) {
				return CLASS_SAME; /* whole to neither */
			}
			if (strcmp(peer->reason, "-") == 0) {
				return CLASS_CLOSED;
			}
		}
		if (i >= peer->n) {
			return is_refusal(peer)
				       ? refused(s, i, ret_used)
				       : framed(s, i ? i - 1 : i, ret_used);
		}
		if (!means_the_same(a, b, peer->end == END_WHOLE)) {
			return CLASS_MEANING;
		}
		if (!is_whole(weir, i) || !is_whole(peer, i)) {
			return one_is_partial(s, i, ret_used);
		}
		if (a->body_n != b->body_n || a->body != b->body) {
			return framed(s, i, ret_used);
		}
	}
	/* It took bytes of a body for a body, and waits for the rest. */
	if (peer->n == weir->n && weir->n && weir->end == END_HEAD &&
	    peer->end == END_BODY) {
		return framed(s, weir->n - 1, ret_used);
	}
	if (peer->n > weir->n) {
		return peer_goes_on(s);
	}
	return weir->end == END_REFUSE && peer->end != END_REFUSE
		       ? CLASS_STRICTER
		       : CLASS_SAME;
}
