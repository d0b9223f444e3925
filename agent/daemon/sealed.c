// SPDX-License-Identifier: Apache-2.0
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "fdutil.h"
#include "giveback.h"

void weir_sealed_fini(struct weir_sealed *b)
{
	weir_unmap(&b->rules, b->rules_size);
	weir_unmap(&b->eps, b->eps_size);
	weir_unmap(&b->secrets, b->secrets_size);
	weir_close(&b->rules_fd);
	weir_close(&b->eps_fd);
	weir_close(&b->secrets_fd);
	*b = WEIR_SEALED_NONE;
}

void weir_sealed_rest(const struct weir_sealed *b)
{
	weir_give_back_map(b->rules, b->rules_size);
	weir_give_back_map(b->eps, b->eps_size);
	weir_give_back_map(b->secrets, b->secrets_size);
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

/* A block sealed and mapped; p NULL: the one behind before_fd goes on. */
static int make_block(const char *name, const void *p, size_t n, int before_fd,
		      int *fd, const void **map, size_t *map_n)
{
	int r = 0;

	if (p) {
		r = weir_memfd_sealed(name, p, n, fd);
	} else {
		*fd = fcntl(before_fd, F_DUPFD_CLOEXEC, 0);
		r = *fd < 0 ? -errno : 0;
	}
	return r < 0 ? r : weir_map_fd(*fd, map, map_n);
}

int weir_sealed_make(const struct weir_sealed_from *from,
		     const struct weir_sealed *before,
		     struct weir_sealed *ret_sealed)
{
	_cleanup_(weir_sealed_fini) struct weir_sealed b = WEIR_SEALED_NONE;
	int r = make_block("weir-rules", from->rules, from->rules_size,
			   before->rules_fd, &b.rules_fd, &b.rules,
			   &b.rules_size);

	if (r == 0) {
		r = make_block("weir-endpoints", from->eps, from->eps_size,
			       before->eps_fd, &b.eps_fd, &b.eps, &b.eps_size);
	}
	if (r == 0) {
		r = make_block("weir-secrets", from->secrets,
			       from->secrets_size, before->secrets_fd,
			       &b.secrets_fd, &b.secrets, &b.secrets_size);
	}
	if (r < 0) {
		return r;
	}
	b.view = (struct weir_plan_view){.rules = b.rules, .eps = b.eps};
	*ret_sealed = b;
	b = WEIR_SEALED_NONE;
	return 0;
}
