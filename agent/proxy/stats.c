/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

const uint32_t weir_proxy_bucket_us[WEIR_PROXY_BUCKETS] = {
	100,   250,   500,    1000,   2500,    5000,
	10000, 50000, 100000, 500000, 1000000, 10000000,
};

int weir_counters_init(struct weir_counters *c, int fd)
{
	struct weir_proxy_stats *s;
	struct stat st;
	size_t need;

	memset(c, 0, sizeof(*c));
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if ((size_t)st.st_size < sizeof(*s)) {
		return -EBADMSG;
	}
	s = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	if (s == MAP_FAILED) {
		return -errno;
	}
	c->shared = s;
	c->size = (size_t)st.st_size;
	c->max_rules = s->max_rules;
	c->max_refs = s->max_refs;
	c->max_endpoints = s->max_endpoints;
	need = WEIR_PROXY_STATS_SIZE +
	       (size_t)c->max_rules * sizeof(*c->rules) +
	       (size_t)c->max_refs * sizeof(*c->refs) +
	       (size_t)c->max_endpoints * sizeof(*c->endpoints);
	if (c->size < need) {
		weir_counters_fini(c);
		return -EBADMSG;
	}
	c->rules = weir_proxy_rulestats(s);
	c->refs = weir_proxy_refstats(s);
	c->endpoints = weir_proxy_epstats(s);
	return 0;
}

void weir_counters_fini(struct weir_counters *c)
{
	if (c->shared) {
		munmap(c->shared, c->size);
	}
	c->shared = NULL;
}

void weir_count_duration(struct weir_counters *c, uint64_t us)
{
	struct weir_proxy_totals *t = &c->shared->totals;
	uint32_t i = 0;

	while (i < WEIR_PROXY_BUCKETS && us > weir_proxy_bucket_us[i]) {
		i++;
	}
	weir_count(&t->bucket[i], 1);
	weir_count(&t->duration_us_sum, us);
}
