// SPDX-License-Identifier: Apache-2.0
/*
 * When what a Gateway has in its namespace (kube_infra.c) is written: when that
 * should say something else, or is not as it was left.  The Gateway is read, as
 * it owns the others by its uid, and each of them is.  What was not written is
 * tried again, ever more rarely.
 */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "kube.h"

#define ROUNDS_MAX 64
#define AGAIN_MS 5000  /* after a failure; doubled */
#define TRIES_MAX 8    /* 10 minutes */
#define BETWEEN_MS 250 /* who deletes what is made is no busier with us */

struct weir_kube_round {
	struct weir_kube_round *next;
	struct weir_kube_feed *feed;
	uint64_t key; /* of the Gateway's record */
	uint64_t hash;
	uint32_t n_left; /* requests */
	bool has_failed;
	bool is_away; /* without an answer */
};

static void free_round(struct weir_kube_round *round)
{
	struct weir_kube_feed *f = round->feed;
	struct weir_kube_round **at = &f->rounds;

	while (*at != round) {
		at = &(*at)->next;
	}
	*at = round->next;
	f->n_rounds--;
	weir_free_ptr(&round);
}

void weir_kube_round_add(struct weir_kube_round *round)
{
	if (round) {
		round->n_left++;
	}
}

void weir_kube_round_end(struct weir_kube_round *round, bool is_good,
			 bool is_away)
{
	struct weir_kube_feed *f;
	struct weir_kube_infra *infra;

	if (!round) {
		return;
	}
	f = round->feed;
	round->has_failed |= !is_good;
	round->is_away |= is_away;
	if (--round->n_left) {
		return;
	}
	infra = weir_kube_status_infra(f, round->key);
	if (infra) {
		infra->is_on_its_way = false;
		infra->written = round->has_failed ? 0 : round->hash;
		infra->ended_ms = weir_now_ms();
		/* A server that does not answer will take it when it does. */
		if (round->has_failed && !round->is_away &&
		    infra->tries < TRIES_MAX) {
			infra->tries++;
		}
	}
	free_round(round);
	weir_kube_status_changed(f);
}

/* Nothing of the Gateway itself is written. */
static int merge(void *arg, struct weir_str object, struct weir_buf *out)
{
	struct weir_kube_round *round = arg;

	(void)out;
	weir_kube_infrastructure(round->feed, object, round);
	return 0;
}

static void on_read(void *arg, const struct weir_kube_reply *reply,
		    bool is_written)
{
	(void)is_written;
	weir_kube_round_end(arg, weir_kube_is_ok(reply) || reply->status == 404,
			    reply->error != 0);
}

static int begin(struct weir_kube_feed *f, const struct weir_object *o,
		 uint64_t key, uint64_t hash)
{
	_cleanup_buf_ struct weir_buf path = {0};
	struct weir_kube_update update = {.merge = merge, .fn = on_read};
	struct weir_kube_round *round;
	int r;

	r = weir_kube_source_path(f->source, o->kind, o->ns, o->name, "",
				  &path);
	weir_buf_add(&path, "", 1);
	round = r < 0 || path.error ? NULL : calloc(1, sizeof(*round));
	if (!round) {
		return -ENOMEM;
	}
	*round = (struct weir_kube_round){.next = f->rounds,
					  .feed = f,
					  .key = key,
					  .hash = hash,
					  .n_left = 1};
	f->rounds = round;
	f->n_rounds++;
	update.path = path.p;
	update.arg = round;
	r = weir_kube_writer_update(f->writer, &update);
	if (r < 0) {
		free_round(round);
	}
	return r;
}

uint64_t weir_kube_round_look(struct weir_kube_feed *f,
			      const struct weir_object *o,
			      const struct weir_gateway_verdict *v,
			      uint64_t key)
{
	struct weir_kube_infra *infra = weir_kube_status_infra(f, key);
	uint64_t hash = weir_kube_infra_hash(f, v);
	uint64_t since, pause;

	if (!infra || !hash || infra->is_on_its_way) {
		return 0;
	}
	if (infra->written == hash) {
		infra->tries = 0;
		return 0;
	}
	if (infra->asked != hash) {
		infra->tries = 0;
	}
	pause = infra->asked != hash ? BETWEEN_MS
		: infra->tries       ? (uint64_t)AGAIN_MS << (infra->tries - 1)
				     : AGAIN_MS;
	since = weir_now_ms() - infra->ended_ms;
	if (infra->ended_ms && since < pause) {
		return pause - since;
	}
	/* Where there is no room the end of another is a look again. */
	if (f->n_rounds < ROUNDS_MAX && begin(f, o, key, hash) == 0) {
		infra->is_on_its_way = true;
		infra->asked = hash;
	}
	return 0;
}

void weir_kube_round_fini(struct weir_kube_feed *f)
{
	while (f->rounds) {
		free_round(f->rounds);
	}
}
