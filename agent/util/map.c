/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>

/* Key 0 marks an empty place, so 0 itself is stored as 1. */
static inline uint64_t stored(uint64_t key)
{
	return key ? key : 1;
}

static inline size_t home(const struct weir_map *m, uint64_t key)
{
	return (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (m->cap - 1);
}

void weir_map_fini(struct weir_map *m)
{
	free(m->keys);
	free(m->values);
	*m = (struct weir_map){0};
}

static size_t find(const struct weir_map *m, uint64_t key)
{
	size_t i = home(m, key);

	while (m->keys[i] && m->keys[i] != key) {
		i = (i + 1) & (m->cap - 1);
	}
	return i;
}

static int grow(struct weir_map *m)
{
	struct weir_map bigger = {.cap = m->cap ? m->cap * 2 : 16};

	bigger.keys = calloc(bigger.cap, sizeof(*bigger.keys));
	bigger.values = calloc(bigger.cap, sizeof(*bigger.values));
	if (!bigger.keys || !bigger.values) {
		weir_map_fini(&bigger);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->cap; i++) {
		if (m->keys[i]) {
			size_t at = find(&bigger, m->keys[i]);

			bigger.keys[at] = m->keys[i];
			bigger.values[at] = m->values[i];
			bigger.n++;
		}
	}
	weir_map_fini(m);
	*m = bigger;
	return 0;
}

int weir_map_put(struct weir_map *m, uint64_t key, uint64_t value)
{
	size_t at;

	key = stored(key);
	if (m->n * 4 >= m->cap * 3) {
		int r = grow(m);

		if (r < 0) {
			return r;
		}
	}
	at = find(m, key);
	if (!m->keys[at]) {
		m->keys[at] = key;
		m->n++;
	}
	m->values[at] = value;
	return 0;
}

bool weir_map_get(const struct weir_map *m, uint64_t key, uint64_t *ret_value)
{
	size_t at;

	key = stored(key);
	if (m->cap == 0) {
		return false;
	}
	at = find(m, key);
	if (!m->keys[at]) {
		return false;
	}
	*ret_value = m->values[at];
	return true;
}

/* Backward-shift deletion: no tombstones. */
bool weir_map_del(struct weir_map *m, uint64_t key)
{
	size_t hole;

	key = stored(key);
	if (m->cap == 0) {
		return false;
	}
	hole = find(m, key);
	if (!m->keys[hole]) {
		return false;
	}
	m->keys[hole] = 0;
	m->n--;
	for (size_t i = (hole + 1) & (m->cap - 1); m->keys[i];
	     i = (i + 1) & (m->cap - 1)) {
		size_t want = home(m, m->keys[i]);

		if (((i - want) & (m->cap - 1)) >=
		    ((i - hole) & (m->cap - 1))) {
			m->keys[hole] = m->keys[i];
			m->values[hole] = m->values[i];
			m->keys[i] = 0;
			hole = i;
		}
	}
	return true;
}

bool weir_map_next(const struct weir_map *m, size_t *pos, uint64_t *ret_key,
		   uint64_t *ret_value)
{
	for (; *pos < m->cap; (*pos)++) {
		if (m->keys[*pos]) {
			*ret_key = m->keys[*pos];
			*ret_value = m->values[*pos];
			(*pos)++;
			return true;
		}
	}
	return false;
}
