/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated streams of requests through weir's parser and others, side by
 * side: the stream itself ("raw") and what weir would send to a backend for it
 * ("sent").
 *
 * With -r the streams are backends' responses: "back" is the stream, "down"
 * what weir would send to the client.
 *
 *	differential [options] NAME[/EVERY]=COMMAND ...
 *
 *	-n STREAMS  -s SEED  -c CORPUS  -a ALLOWED
 *	-o INDEX    only that stream, shown, with every reading
 *	-r          responses; the peers must have been told, too
 *	-v COUNT    show that many of each failing class (default 3)
 *
 * Exit 1 if a class that must stay empty did not.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"
#include "peer.h"
#include "stream.h"

#define MAX_PEERS 4
#define MAX_ALLOWED 64
#define BATCH 128

struct sample {
	uint64_t index;
	struct reading raw;
	struct reading sent;
};

struct run {
	uint64_t seed;
	uint64_t n;
	bool is_only;
	uint64_t only;
	uint32_t show;
	bool is_response;
	struct corpus corpus;
	struct peer peers[MAX_PEERS];
	uint32_t n_peers;
	struct allowed allowed[MAX_ALLOWED];
	int n_allowed;
	uint64_t count[MAX_PEERS][2][_CLASS_MAX];
	uint64_t messages; /* that weir accepted */
	uint64_t refused;  /* streams that it refused at some point */
	struct sample batch[BATCH];
	/* "u32 size, bytes" records of a batch, and where each begins. */
	struct forwarded records[2];
	size_t at[2][BATCH + 1];
};

static void die(const char *what, int r)
{
	fprintf(stderr, "differential: %s: %s\n", what, strerror(-r));
	exit(2);
}

static void show_bytes(const char *p, size_t n)
{
	printf("#   \"");
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)p[i];

		if (c == '\r') {
			printf("\\r");
		} else if (c == '\n') {
			printf("\\n%s", i + 1 < n ? "\"\n#   \"" : "");
		} else if (c == '"' || c == '\\') {
			printf("\\%c", c);
		} else if (isprint(c)) {
			putchar(c);
		} else {
			printf("\\%03o", c);
		}
	}
	printf("\"\n");
}

static void show_reading(const char *name, const struct reading *r)
{
	printf("#   %-6s %c %s", name, r->end, r->reason);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct message *m = &r->v[i];

		printf(" %08x,%08x,%08x,%u,%08x", m->method, m->target, m->host,
		       m->body_n, m->body);
	}
	printf("\n");
}

static const char *side_name(const struct run *run, enum side side)
{
	if (run->is_response) {
		return side == SIDE_RAW ? "back" : "down";
	}
	return side == SIDE_RAW ? "raw" : "sent";
}

/* One record for the peers of each side. */
static void make(struct run *run, uint32_t i, uint64_t index)
{
	static char stream[STREAM_MAX];
	struct forwarded *raw = &run->records[SIDE_RAW];
	struct forwarded *sent = &run->records[SIDE_SENT];
	struct sample *s = &run->batch[i];
	size_t n = run->is_response
			   ? stream_make_response(run->seed, index, stream)
			   : stream_make(run->seed, index, &run->corpus,
					 stream);
	uint32_t size = (uint32_t)n;
	size_t start = sent->n;

	s->index = index;
	if (raw->cap - raw->n < n + 4) {
		raw->cap = 2 * raw->cap + n + 4;
		raw->p = realloc(raw->p, raw->cap);
	}
	if (sent->cap - sent->n < 5) {
		sent->cap = 2 * sent->cap + 4096;
		sent->p = realloc(sent->p, sent->cap);
	}
	if (!raw->p || !sent->p) {
		die("memory", -ENOMEM);
	}
	memcpy(raw->p + raw->n, &size, 4);
	memcpy(raw->p + raw->n + 4, stream, n);
	raw->n += n + 4;
	sent->n += 4;
	if (run->is_response) {
		sent->p[sent->n++] = stream[0]; /* peers must know, too */
		reading_of_weir_response(stream + 1, n - 1, stream[0] == 'H',
					 run->seed ^ index, &s->raw, &s->sent,
					 sent);
	} else {
		reading_of_weir(stream, n, run->seed ^ index, &s->raw, &s->sent,
				sent);
	}
	size = (uint32_t)(sent->n - start - 4);
	memcpy(sent->p + start, &size, 4);
	run->at[SIDE_RAW][i + 1] = raw->n;
	run->at[SIDE_SENT][i + 1] = sent->n;
	run->messages += s->raw.n;
	run->refused += s->raw.end == END_REFUSE || s->raw.end == END_BROKEN;
}

static void show(const struct run *run, uint32_t i, enum side side,
		 const struct peer *peer, const struct reading *theirs,
		 enum verdict c)
{
	const struct sample *s = &run->batch[i];
	size_t at = run->at[side][i] + 4;

	printf("# %s, %s, %s: seed %llu stream %llu\n", peer->name,
	       side_name(run, side), class_name(c),
	       (unsigned long long)run->seed, (unsigned long long)s->index);
	if (side == SIDE_SENT && run->is_only) {
		show_bytes(run->records[0].p + run->at[0][i] + 4,
			   run->at[0][i + 1] - run->at[0][i] - 4);
		printf("#   becomes\n");
	}
	show_bytes(run->records[side].p + at, run->at[side][i + 1] - at);
	show_reading("weir", side == SIDE_RAW ? &s->raw : &s->sent);
	show_reading(peer->name, theirs);
}

static bool sees(const struct run *run, const struct peer *peer, uint64_t index)
{
	return run->is_only || index < run->corpus.n ||
	       index % peer->every == 0;
}

static void send_batch(struct run *run, uint32_t n, enum side side)
{
	static char picked[BATCH * (STREAM_MAX * 2 + 8192)];

	for (uint32_t k = 0; k < run->n_peers; k++) {
		size_t size = 0;

		for (uint32_t i = 0; i < n; i++) {
			size_t at = run->at[side][i];
			size_t bytes = run->at[side][i + 1] - at;

			if (sees(run, &run->peers[k], run->batch[i].index)) {
				memcpy(picked + size, run->records[side].p + at,
				       bytes);
				size += bytes;
			}
		}
		if (peer_send(&run->peers[k], picked, size) < 0) {
			die(run->peers[k].name, -EPIPE);
		}
	}
}

static void judge(struct run *run, uint32_t i, enum side side, uint32_t k)
{
	struct peer *peer = &run->peers[k];
	struct sample *s = &run->batch[i];
	struct allowed *used = NULL;
	struct reading theirs;
	enum verdict c;
	int r = peer_receive(peer, &theirs);

	if (r < 0) {
		die(peer->name, r);
	}
	c = compare(
		&(struct sides){.weir = side == SIDE_RAW ? &s->raw : &s->sent,
				.peer = &theirs,
				.side = side,
				.side_name = side_name(run, side),
				.name = peer->name,
				.allowed = run->allowed,
				.n_allowed = run->n_allowed},
		&used);
	if (used) {
		used->n++;
	}
	run->count[k][side][c]++;
	if (run->is_only ||
	    (class_is_failure(c) && run->count[k][side][c] <= run->show)) {
		show(run, i, side, peer, &theirs, c);
	}
}

static void run_batch(struct run *run, uint64_t first, uint32_t n)
{
	run->records[SIDE_RAW].n = 0;
	run->records[SIDE_SENT].n = 0;
	for (uint32_t i = 0; i < n; i++) {
		make(run, i, first + i);
	}
	for (int side = SIDE_RAW; side <= SIDE_SENT; side++) {
		send_batch(run, n, (enum side)side);
		for (uint32_t k = 0; k < run->n_peers; k++) {
			for (uint32_t i = 0; i < n; i++) {
				if (sees(run, &run->peers[k],
					 run->batch[i].index)) {
					judge(run, i, (enum side)side, k);
				}
			}
		}
	}
}

static int report(const struct run *run)
{
	int status = 0;

	printf("# seed %llu: %llu streams (%u of the corpus), %llu requests "
	       "or responses accepted, %llu streams refused at some point\n",
	       (unsigned long long)run->seed, (unsigned long long)run->n,
	       run->corpus.n, (unsigned long long)run->messages,
	       (unsigned long long)run->refused);
	for (uint32_t k = 0; k < run->n_peers; k++) {
		for (int side = SIDE_RAW; side <= SIDE_SENT; side++) {
			printf("# %-5s %-4s", run->peers[k].name,
			       side_name(run, (enum side)side));
			for (int c = 0; c < _CLASS_MAX; c++) {
				uint64_t n = run->count[k][side][c];

				printf(" %s=%llu", class_name((enum verdict)c),
				       (unsigned long long)n);
				status |= n &&
					  class_is_failure((enum verdict)c);
			}
			printf("\n");
		}
	}
	for (int i = 0; i < run->n_allowed; i++) {
		const struct allowed *a = &run->allowed[i];

		printf("# allowed %s %s %s %s: %llu\n", a->peer, a->side,
		       a->reason, a->oddity, (unsigned long long)a->n);
	}
	return status;
}

static void read_options(struct run *run, int argc, char **argv)
{
	int c;
	int r = 0;

	while ((c = getopt(argc, argv, "n:s:c:a:o:v:r")) != -1 && r >= 0) {
		switch (c) {
		case 'n':
			run->n = strtoull(optarg, NULL, 10);
			break;
		case 's':
			run->seed = strtoull(optarg, NULL, 10);
			break;
		case 'v':
			run->show = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			run->is_response = true;
			break;
		case 'o':
			run->is_only = true;
			run->only = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			r = corpus_load(optarg, &run->corpus);
			break;
		case 'a':
			r = run->n_allowed = allowed_load(optarg, run->allowed,
							  MAX_ALLOWED);
			break;
		default:
			exit(2);
		}
	}
	if (r < 0) {
		die(argv[optind - 1], r);
	}
	for (; optind < argc && run->n_peers < MAX_PEERS; optind++) {
		r = peer_start(argv[optind], &run->peers[run->n_peers++]);
		if (r < 0) {
			die(argv[optind], r);
		}
	}
}

int main(int argc, char **argv)
{
	static struct run run = {.n = 10000, .seed = 1, .show = 3};
	int status;

	signal(SIGPIPE, SIG_IGN);
	read_options(&run, argc, argv);
	if (run.is_only) {
		run_batch(&run, run.only, 1);
	}
	for (uint64_t i = 0; i < run.n && !run.is_only; i += BATCH) {
		uint64_t left = run.n - i;

		run_batch(&run, i, left < BATCH ? (uint32_t)left : BATCH);
	}
	status = report(&run);
	for (uint32_t k = 0; k < run.n_peers; k++) {
		peer_stop(&run.peers[k]);
	}
	return status;
}
