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
	free(m->places);
	*m = (struct weir_map){0};
}

static size_t find(const struct weir_map *m, uint64_t key)
{
	size_t i = home(m, key);

	while (m->places[i].key && m->places[i].key != key) {
		i = (i + 1) & (m->cap - 1);
	}
	return i;
}

static int resize(struct weir_map *m, size_t cap)
{
	struct weir_map bigger = {.cap = cap, .n = m->n};

	bigger.places = calloc(bigger.cap, sizeof(*bigger.places));
	if (!bigger.places) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->cap; i++) {
		if (m->places[i].key) {
			bigger.places[find(&bigger, m->places[i].key)] =
				m->places[i];
		}
	}
	weir_map_fini(m);
	*m = bigger;
	return 0;
}

/* Three quarters full is full. */
static bool has_room(size_t cap, size_t n)
{
	return n * 4 <= cap * 3;
}

int weir_map_reserve(struct weir_map *m, size_t n)
{
	size_t cap = m->cap ? m->cap : 16;

	if (n > SIZE_MAX / 64) {
		return -ENOMEM;
	}
	while (!has_room(cap, n)) {
		cap *= 2;
	}
	return cap > m->cap ? resize(m, cap) : 0;
}

int weir_map_put(struct weir_map *m, uint64_t key, uint64_t value)
{
	size_t at;

	key = stored(key);
	if (!has_room(m->cap, m->n + 1)) {
		int r = resize(m, m->cap ? m->cap * 2 : 16);

		if (r < 0) {
			return r;
		}
	}
	at = find(m, key);
	if (!m->places[at].key) {
		m->places[at].key = key;
		m->n++;
	}
	m->places[at].value = value;
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
	if (!m->places[at].key) {
		return false;
	}
	*ret_value = m->places[at].value;
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
	if (!m->places[hole].key) {
		return false;
	}
	m->places[hole].key = 0;
	m->n--;
	for (size_t i = (hole + 1) & (m->cap - 1); m->places[i].key;
	     i = (i + 1) & (m->cap - 1)) {
		size_t want = home(m, m->places[i].key);

		if (((i - want) & (m->cap - 1)) >=
		    ((i - hole) & (m->cap - 1))) {
			m->places[hole] = m->places[i];
			m->places[i].key = 0;
			hole = i;
		}
	}
	return true;
}

bool weir_map_next(const struct weir_map *m, size_t *pos, uint64_t *ret_key,
		   uint64_t *ret_value)
{
	for (; *pos < m->cap; (*pos)++) {
		if (m->places[*pos].key) {
			*ret_key = m->places[*pos].key;
			*ret_value = m->places[*pos].value;
			(*pos)++;
			return true;
		}
	}
	return false;
}
