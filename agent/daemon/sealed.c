// SPDX-License-Identifier: Apache-2.0
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "fdutil.h"

void weir_sealed_fini(struct weir_sealed *b)
{
	weir_unmap(&b->rules, b->rules_size);
	weir_unmap(&b->eps, b->eps_size);
	weir_close(&b->rules_fd);
	weir_close(&b->eps_fd);
	*b = WEIR_SEALED_NONE;
}

bool weir_sealed_is_same(void *a, uint64_t *generation, size_t n, const void *b,
			 uint64_t b_generation, size_t b_n)
{
	uint64_t kept = *generation;
	bool is_same;

	*generation = b_generation;
	is_same = n == b_n && memcmp(a, b, n) == 0;
	*generation = kept;
	return is_same;
}

int weir_sealed_make(const void *rules, size_t rules_size, const void *eps,
		     size_t eps_size, const struct weir_sealed *before,
		     struct weir_sealed *ret_sealed)
{
	_cleanup_(weir_sealed_fini) struct weir_sealed b = WEIR_SEALED_NONE;
	int r = 0;

	if (rules) {
		r = weir_memfd_sealed("weir-rules", rules, rules_size,
				      &b.rules_fd);
	} else {
		b.rules_fd = fcntl(before->rules_fd, F_DUPFD_CLOEXEC, 0);
		r = b.rules_fd < 0 ? -errno : 0;
	}
	if (r == 0) {
		r = weir_memfd_sealed("weir-endpoints", eps, eps_size,
				      &b.eps_fd);
	}
	if (r == 0) {
		r = weir_map_fd(b.rules_fd, &b.rules, &b.rules_size);
	}
	if (r == 0) {
		r = weir_map_fd(b.eps_fd, &b.eps, &b.eps_size);
	}
	if (r < 0) {
		return r;
	}
	b.view = (struct weir_plan_view){.rules = b.rules, .eps = b.eps};
	*ret_sealed = b;
	b = WEIR_SEALED_NONE;
	return 0;
}
