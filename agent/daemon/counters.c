// SPDX-License-Identifier: Apache-2.0
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

/* Offsets by the options; returns the size of all. */
static size_t lay_out(const struct weir_options *o, struct weir_counters *c)
{
	size_t at = WEIR_PROXY_STATS_SIZE;
	char *base = (char *)c->stats;

	c->max[WEIR_IDS_RULE] = o->max_rules;
	c->max[WEIR_IDS_REF] = o->kernel.max_refs;
	c->max[WEIR_IDS_ENDPOINT] = o->kernel.max_endpoints;
	c->rules = (struct weir_proxy_rulestat *)(base + at);
	at += sizeof(*c->rules) * c->max[WEIR_IDS_RULE];
	c->refs = (struct weir_proxy_refstat *)(base + at);
	at += sizeof(*c->refs) * c->max[WEIR_IDS_REF];
	c->endpoints = (struct weir_proxy_epstat *)(base + at);
	at += sizeof(*c->endpoints) * c->max[WEIR_IDS_ENDPOINT];
	return at;
}

int weir_counters_new(const struct weir_options *o, int *ret_fd)
{
	const struct weir_proxy_stats header = {
		.max_rules = o->max_rules,
		.max_refs = o->kernel.max_refs,
		.max_endpoints = o->kernel.max_endpoints};
	struct weir_counters c = {0};
	_cleanup_close_ int fd = memfd_create("weir-stats",
					      MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)lay_out(o, &c)) < 0 ||
	    pwrite(fd, &header, sizeof(header), 0) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int weir_counters_map(const struct weir_options *o, int fd,
		      struct weir_counters *ret_counters)
{
	struct weir_counters c = {.fd = fd};
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	c.size = lay_out(o, &c);
	if ((size_t)st.st_size != c.size) {
		return -EBADMSG;
	}
	p = mmap(NULL, c.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		return -errno;
	}
	c.stats = p;
	lay_out(o, &c);
	*ret_counters = c;
	return 0;
}

void weir_counters_rest(const struct weir_counters *counters)
{
	if (counters->stats) {
		madvise(counters->stats, counters->size, MADV_DONTNEED);
	}
}

void weir_counters_unmap(struct weir_counters *c)
{
	if (c->stats) {
		munmap(c->stats, c->size);
	}
	*c = (struct weir_counters){.fd = -1};
}

/*
 * Index of the first element from i on whose field has memory behind it.
 * Touching a hole, even to read it, would allocate it; elements may lie across
 * the end of a page.  at: offset of the field in element 0; size: of one.
 */
static size_t next_present(int fd, size_t at, size_t size, size_t i)
{
	size_t want = at + i * size;
	off_t data = lseek(fd, (off_t)want, SEEK_DATA);

	if (data < 0) {
		return SIZE_MAX;
	}
	return (size_t)data <= want ? i : ((size_t)data - at + size - 1) / size;
}

#define FOR_PRESENT(i, c, array, field, space)                                 \
	for (size_t at = (size_t)((char *)&(array)->field -                    \
				  (char *)(c)->stats),                         \
		    i = next_present((c)->fd, at, sizeof(*(array)), 0);        \
	     i < (c)->max[(space)];                                            \
	     i = next_present((c)->fd, at, sizeof(*(array)), i + 1))

void weir_counters_settle(struct weir_counters *c)
{
	struct weir_proxy_totals *t = &c->stats->totals;

	t->clients_closed = t->clients_opened;
	t->status[0] += weir_proxy_in_flight(t);
	t->pool_idle = 0;
	t->udp_associations = 0;
	t->workers = 0;
	t->rings = 0;
	t->held = 0;
	t->autoscaler_up = 0;
	FOR_PRESENT(i, c, c->rules, in_flight, WEIR_IDS_RULE)
	{
		c->rules[i].in_flight = 0;
	}
	FOR_PRESENT(i, c, c->refs, in_flight, WEIR_IDS_REF)
	{
		c->refs[i].in_flight = 0;
	}
	FOR_PRESENT(i, c, c->endpoints, in_flight, WEIR_IDS_ENDPOINT)
	{
		c->endpoints[i].in_flight = 0;
	}
	FOR_PRESENT(i, c, c->endpoints, opened, WEIR_IDS_ENDPOINT)
	{
		if (c->endpoints[i].opened) {
			c->endpoints[i].closed = c->endpoints[i].opened;
		}
	}
}

/* -------------------------------------------------------------------- claims
 */

void weir_claims_fini(struct weir_claims *claims)
{
	for (int i = 0; i < WEIR_IDS_COUNTED; i++) {
		weir_free_ptr(&claims->keys[i]);
	}
	*claims = (struct weir_claims){0};
}

bool weir_counters_is_busy(void *arg, enum weir_id_space space, uint32_t id)
{
	const struct weir_counters *c = arg;

	if (space >= WEIR_IDS_COUNTED || id >= c->max[space]) {
		return false;
	}
	switch (space) {
	case WEIR_IDS_RULE:
		return c->rules[id].in_flight != 0;
	case WEIR_IDS_REF:
		return c->refs[id].in_flight != 0;
	default:
		return c->endpoints[id].in_flight != 0;
	}
}

/* Nobody counts on this id: it was in quarantine, and nothing was under way
 * there. */
static void clear(struct weir_counters *c, int space, uint32_t id)
{
	if (id >= c->max[space]) {
		return;
	}
	switch (space) {
	case WEIR_IDS_RULE:
		c->rules[id] = (struct weir_proxy_rulestat){0};
		break;
	case WEIR_IDS_REF:
		c->refs[id] = (struct weir_proxy_refstat){0};
		break;
	default:
		c->endpoints[id] = (struct weir_proxy_epstat){0};
	}
}

static int hold(struct weir_claims *c, int space, uint32_t id)
{
	uint32_t n = c->n[space] ? c->n[space] : 64;
	uint64_t *keys;

	if (id < c->n[space]) {
		return 0;
	}
	while (n <= id) {
		n *= 2;
	}
	keys = reallocarray(c->keys[space], n, sizeof(*keys));
	if (!keys) {
		return -ENOMEM;
	}
	memset(keys + c->n[space], 0, (n - c->n[space]) * sizeof(*keys));
	c->keys[space] = keys;
	c->n[space] = n;
	return 0;
}

int weir_claims_update(struct weir_claims *c, const struct weir_ids *ids,
		       struct weir_counters *counters, bool is_adopted)
{
	for (int space = 0; space < WEIR_IDS_COUNTED; space++) {
		uint32_t n = weir_ids_n(ids, (enum weir_id_space)space);

		for (uint32_t id = 1; id < n; id++) {
			uint64_t key = weir_ids_key(
				ids, (enum weir_id_space)space, id);

			if (key == 0) {
				continue; /* free: cleared when it is taken */
			}
			if (hold(c, space, id) < 0) {
				return -ENOMEM;
			}
			if (c->keys[space][id] == key) {
				continue;
			}
			if (!is_adopted) {
				clear(counters, space, id);
			}
			c->keys[space][id] = key;
		}
	}
	return 0;
}
