/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables over plain memory, with a reader that follows every index the way the
 * programs do.
 */
#ifndef WEIR_TESTS_TABLES_FAKE_H
#define WEIR_TESTS_TABLES_FAKE_H

#include <netinet/in.h>
#include <setjmp.h>

#include "mini_plan.h"
#include "tables.h"
#include "tap.h"

#define N_FE 128

struct fake {
	struct weir_tables_mem mem;
	struct weir_tables_ops ops;
	struct weir_tables *tables;
	struct weir_ids *ids;
	struct {
		struct weir_fe_key key;
		struct weir_fe fe;
		bool is_used;
	} fes[N_FE];
	struct weir_fe_key announced[N_FE];
	uint32_t n_announced;
	uint64_t now_ms;
	uint32_t barriers;
	uint32_t calls; /* on weir_fe */
	int fail_after; /* fe_put fails from this call on; -1: never */
	bool keeps;     /* fe_del fails */
	int die_after;  /* the agent is killed in this call; -1: it is not */
	jmp_buf killed;
	bool is_taken; /* a host socket holds every local address */
};

static inline void may_die(struct fake *f)
{
	if (f->die_after == 0) {
		f->die_after = -1;
		longjmp(f->killed, 1);
	}
	f->die_after -= f->die_after > 0;
}

static inline int find(struct fake *f, const struct weir_fe_key *key)
{
	for (int i = 0; i < N_FE; i++) {
		if (f->fes[i].is_used &&
		    memcmp(&f->fes[i].key, key, sizeof(*key)) == 0) {
			return i;
		}
	}
	return -1;
}

static inline bool is_announced(const struct fake *f,
				const struct weir_fe_key *key)
{
	for (uint32_t i = 0; i < f->n_announced; i++) {
		if (memcmp(&f->announced[i], key, sizeof(*key)) == 0) {
			return true;
		}
	}
	return false;
}

static inline void announce(void *arg, const struct weir_fe_key *key)
{
	const struct weir_row_hdr *row;
	struct fake *f = arg;
	int i = find(f, key);

	may_die(f);
	if (is_announced(f, key)) {
		return;
	}
	if (i >= 0) {
		row = (const struct weir_row_hdr *)&f->mem
			      .row[f->mem.svc[f->fes[i].fe.fid].first];
		ok(row->flags == 0, "announced before its row says anything");
	}
	must(f->n_announced < N_FE, "room");
	f->announced[f->n_announced++] = *key;
}

static inline int put(void *arg, const struct weir_fe_key *key,
		      const struct weir_fe *fe)
{
	struct fake *f = arg;
	int i = find(f, key);

	may_die(f);
	f->calls++;
	if (f->fail_after == 0) {
		return -ENOMEM;
	}
	if (f->fail_after > 0) {
		f->fail_after--;
	}
	for (int k = 0; i < 0 && k < N_FE; k++) {
		i = f->fes[k].is_used ? -1 : k;
	}
	if (i < 0) {
		return -E2BIG;
	}
	f->fes[i].key = *key;
	f->fes[i].fe = *fe;
	f->fes[i].is_used = true;
	return 0;
}

static inline int del(void *arg, const struct weir_fe_key *key)
{
	struct fake *f = arg;
	int i = find(f, key);

	may_die(f);
	f->calls++;
	if (f->keeps) {
		return -EBUSY;
	}
	if (i >= 0) {
		f->fes[i].is_used = false;
	}
	return 0;
}

static inline int next(void *arg, const struct weir_fe_key *prev,
		       struct weir_fe_key *ret_key, struct weir_fe *ret_fe)
{
	struct fake *f = arg;

	for (int i = prev ? find(f, prev) + 1 : 0; i < N_FE; i++) {
		if (f->fes[i].is_used) {
			*ret_key = f->fes[i].key;
			*ret_fe = f->fes[i].fe;
			return 0;
		}
	}
	return -ENOENT;
}

static inline bool barrier(void *arg)
{
	((struct fake *)arg)->barriers++;
	return true;
}

static inline uint64_t now(void *arg)
{
	return ((struct fake *)arg)->now_ms;
}

static inline bool may_take(void *arg, const struct weir_fe_key *key)
{
	(void)key;
	return !((struct fake *)arg)->is_taken;
}

static inline struct fake *fake_new(uint32_t n_row, uint32_t n_ep)
{
	struct fake *f = calloc(1, sizeof(*f));
	const uint32_t max[_WEIR_IDS_MAX] = {1000, 1000, 1000};

	must(f, "memory");
	f->fail_after = -1;
	f->die_after = -1;
	f->now_ms = 1;
	f->mem = (struct weir_tables_mem){
		.n_svc = 2 * N_FE,
		.n_row = n_row,
		.n_set = 2 * N_FE,
		.n_ep = n_ep,
		.n_epid = 1000,
		.n_ref = 1000,
		.n_fe = N_FE,
		.max_proxy4 = 4095,
		.max_proxy6 = 65535,
	};
	f->mem.svc = calloc(f->mem.n_svc, sizeof(*f->mem.svc));
	f->mem.row = calloc(n_row, sizeof(*f->mem.row));
	f->mem.set = calloc(f->mem.n_set, sizeof(*f->mem.set));
	f->mem.ep = calloc(n_ep, sizeof(*f->mem.ep));
	f->mem.epgen = calloc(1000, sizeof(*f->mem.epgen));
	f->mem.refstat = calloc(1000, sizeof(*f->mem.refstat));
	f->mem.epstat = calloc(1000, sizeof(*f->mem.epstat));
	f->ops = (struct weir_tables_ops){
		.arg = f,
		.announce = announce,
		.fe_put = put,
		.fe_del = del,
		.fe_next = next,
		.barrier = barrier,
		.now_ms = now,
		.may_take = may_take,
	};
	weir_ids_new(max, 1000, &f->ids);
	must(weir_tables_new(&f->mem, &f->ops, &f->tables) == 0, "new");
	return f;
}

static inline void fake_free(struct fake *f)
{
	weir_tables_free(&f->tables);
	weir_ids_free(&f->ids);
	weir_free_ptr(&f->mem.svc);
	weir_free_ptr(&f->mem.row);
	weir_free_ptr(&f->mem.set);
	weir_free_ptr(&f->mem.ep);
	weir_free_ptr(&f->mem.epgen);
	weir_free_ptr(&f->mem.refstat);
	weir_free_ptr(&f->mem.epstat);
	weir_free_ptr(&f);
}

static inline int publish(struct fake *f, const struct mini_fe *fes, size_t n,
			  uint64_t generation, const char **what)
{
	struct mini_plan plan;
	int r;

	must(mini_build(fes, n, NULL, 0, f->ids, generation, &plan) == 0,
	     "plan");
	r = weir_tables_publish(f->tables, &plan.view, what);
	mini_fini(&plan);
	return r;
}

/* What a program would find for addr: the endpoints of every slot, in text.
 * "-" no frontend; "pass"; "proxy N"; "refuse". */
static inline const char *follow(struct fake *f, const char *addr,
				 uint8_t proto)
{
	static char out[1024];
	struct weir_fe_key key = {.proto = proto};
	const struct weir_row_hdr *row;
	size_t at = 0;
	int i;

	must(weir_addr_parse(weir_str_of(addr), &key.addr, &key.port_be) == 0,
	     "address");
	i = find(f, &key);
	if (i < 0) {
		return "-";
	}
	row = (const struct weir_row_hdr *)&f->mem
		      .row[f->mem.svc[f->fes[i].fe.fid].first];
	ok(!row->flags || is_announced(f, &key), "the packet plane looks");
	if (!(row->flags & WEIR_ROW_CONNECT)) {
		snprintf(out, sizeof(out), "proxy %u", row->proxy);
		return row->flags & WEIR_ROW_PROXY ? out : "pass";
	}
	if (!row->n) {
		return "refuse";
	}
	out[0] = '\0';
	for (uint32_t k = 0; k < row->n; k++) {
		const struct weir_slot *slot = (const struct weir_slot *)row +
					       1 + k;
		const struct weir_index *set;

		at += (size_t)snprintf(out + at, sizeof(out) - at, "%s[",
				       k ? " " : "");
		if (slot->group >= WEIR_GROUP_MAX) {
			at += (size_t)snprintf(out + at, sizeof(out) - at, "%s",
					       slot->group == WEIR_GROUP_INVALID
						       ? "invalid"
						       : "empty");
		} else {
			set = &f->mem.set[slot->group];
			for (uint32_t e = 0; e < set->n; e++) {
				const struct weir_ep *ep =
					&f->mem.ep[set->first + e];
				char text[WEIR_ADDR_TEXT_MAX];

				ok(f->mem.epgen[ep->id] & 1,
				   "a reachable endpoint may be chosen");
				at += (size_t)snprintf(
					out + at, sizeof(out) - at, "%s%s",
					e ? " " : "",
					weir_addr_format(&ep->addr, ep->port_be,
							 text));
			}
		}
		at += (size_t)snprintf(out + at, sizeof(out) - at, "]");
	}
	return out;
}

#define is(got, want)                                                          \
	do {                                                                   \
		const char *_got = (got);                                      \
		ok(strcmp(_got, (want)) == 0, "got %s, want %s", _got,         \
		   (want));                                                    \
	} while (0)

#endif
