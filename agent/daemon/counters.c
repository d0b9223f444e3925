// SPDX-License-Identifier: Apache-2.0
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static size_t stats_size(const struct weir_proxy_stats *s)
{
	return sizeof(*s) +
	       sizeof(struct weir_proxy_rulestat) * (size_t)s->max_rules +
	       sizeof(struct weir_proxy_refstat) * (size_t)s->max_refs +
	       sizeof(struct weir_proxy_epstat) * (size_t)s->max_endpoints;
}

int weir_counters_new(uint32_t max_rules, uint32_t max_refs,
		      uint32_t max_endpoints, int *ret_fd)
{
	const struct weir_proxy_stats header = {.max_rules = max_rules,
						.max_refs = max_refs,
						.max_endpoints = max_endpoints};
	_cleanup_close_ int fd = memfd_create("weir-stats",
					      MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)stats_size(&header)) < 0 ||
	    pwrite(fd, &header, sizeof(header), 0) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
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

#define FOR_PRESENT(i, fd, stats, array, field, n)                             \
	for (size_t at = (size_t)((char *)&(array)->field - (char *)(stats)),  \
		    i = next_present((fd), at, sizeof(*(array)), 0);           \
	     i < (n); i = next_present((fd), at, sizeof(*(array)), i + 1))

int weir_counters_settle(int fd)
{
	struct weir_proxy_stats *s;
	struct weir_proxy_rulestat *rules;
	struct weir_proxy_refstat *refs;
	struct weir_proxy_epstat *eps;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	s = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	if (s == MAP_FAILED) {
		return -errno;
	}
	/* The proxy could write the header: believe none that does not fit. */
	if (stats_size(s) != (size_t)st.st_size) {
		munmap(s, (size_t)st.st_size);
		return -EBADMSG;
	}
	rules = weir_proxy_rulestats(s);
	refs = weir_proxy_refstats(s);
	eps = weir_proxy_epstats(s);
	s->totals.clients_closed = s->totals.clients_opened;
	s->totals.pool_idle = 0;
	FOR_PRESENT(i, fd, s, rules, in_flight, s->max_rules)
	{
		rules[i].in_flight = 0;
	}
	FOR_PRESENT(i, fd, s, refs, in_flight, s->max_refs)
	{
		refs[i].in_flight = 0;
	}
	FOR_PRESENT(i, fd, s, eps, in_flight, s->max_endpoints)
	{
		eps[i].in_flight = 0;
	}
	FOR_PRESENT(i, fd, s, eps, opened, s->max_endpoints)
	{
		if (eps[i].opened) {
			eps[i].closed = eps[i].opened;
		}
	}
	munmap(s, (size_t)st.st_size);
	return 0;
}
