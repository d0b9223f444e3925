/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

const char *class_name(enum class c)
{
	static const char *const names[] = {
#define CLASS_NAME(name, text, help) text,
		CLASSES(CLASS_NAME)
#undef CLASS_NAME
	};

	return names[c];
}

const char *class_help(enum class c)
{
	static const char *const helps[] = {
#define CLASS_HELP(name, text, help) help,
		CLASSES(CLASS_HELP)
#undef CLASS_HELP
	};

	return helps[c];
}

bool class_is_failure(enum class c)
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
		if (n == max || sscanf(line, "%15s %7s %62[^: \n]:", a->peer,
				       a->side, a->reason) != 3) {
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

static enum class refused(const struct reading *peer, enum side side,
			  const char *name, struct allowed *list, int n,
			  struct allowed **ret_used) {
	const char *reason = peer->end == END_CLOSE ? "closes" : peer->reason;

	for (int i = 0; i < n; i++){
		struct allowed *a = &list[i];

		if (strcmp(a->peer, name) == 0 &&
		    fnmatch(a->side, side == SIDE_RAW ? "raw" : "sent", 0) ==
			    0 &&
		    fnmatch(a->reason, reason, 0) == 0){ *ret_used = a;
							 return CLASS_ALLOWED;}
}
return CLASS_LAXER;
}

/* Weir accepted a head, the peer has no such message. */
static bool is_refusal(const struct reading *peer)
{
	return peer->end == END_REFUSE || peer->end == END_BROKEN ||
	       peer->end == END_CLOSE;
}

/* The peer has more messages than weir. */
static enum class peer_goes_on(const struct reading *weir, enum side side) {
	if (side == SIDE_SENT){return CLASS_FRAMING;}
switch (weir->end)
{
case END_REFUSE:
	return CLASS_STRICTER;
case END_CLOSE:
	return CLASS_CLOSED;
default: /* weir would wait for the rest of a head, or has no more */
	return CLASS_FRAMING;
}
}

static bool means_the_same(const struct message *a, const struct message *b)
{
	return a->method == b->method && a->target == b->target &&
	       (a->any_host || a->host == b->host);
}

enum class compare(const struct reading *weir, const struct reading *peer,
		   enum side side, const char *name, struct allowed *list,
		   int n, struct allowed **ret_used) {
	for (uint32_t i = 0; i < weir->n;
	     i++){const struct message *a = &weir->v[i];
		  const struct message *b = &peer->v[i];

		  if (i >= peer->n){return is_refusal(peer)
						   ? refused(peer, side, name,
							     list, n, ret_used)
						   : CLASS_FRAMING;}
if (!means_the_same(a, b))
{
	return CLASS_MEANING;
}
if (is_whole(weir, i) && is_whole(peer, i)) {
	if (a->body_n != b->body_n || a->body != b->body) {
		return CLASS_FRAMING;
	}
	continue;
}
if (is_whole(weir, i)) {
	return peer->end == END_BROKEN
		       ? refused(peer, side, name, list, n, ret_used)
		       : CLASS_FRAMING;
}
/* Weir's reading ends here, in a body. */
if (!is_whole(peer, i)) {
	return weir->end == peer->end ? CLASS_SAME
	       : weir->end == END_BROKEN
		       ? CLASS_STRICTER
		       : refused(peer, side, name, list, n, ret_used);
}
if (side == SIDE_SENT) {
	return CLASS_COMPLETED;
}
return weir->end == END_BROKEN ? CLASS_STRICTER : CLASS_FRAMING;
}
if (peer->n > weir->n) {
	return peer_goes_on(weir, side);
}
return weir->end == END_REFUSE && peer->end != END_REFUSE ? CLASS_STRICTER
							  : CLASS_SAME;
}
