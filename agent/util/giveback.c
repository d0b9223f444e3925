/* SPDX-License-Identifier: Apache-2.0 */
#include "giveback.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that were never writable hold what the file holds: dropping a page
 * of them loses nothing.  What the loader relocated lies in a writable one,
 * though it is protected afterwards (PT_GNU_RELRO). */
static int drop_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
		uintptr_t to = info->dlpi_addr + p->p_vaddr + p->p_filesz;

		if (p->p_type != PT_LOAD || p->p_flags & PF_W || to <= from) {
			continue;
		}
		/* The vDSO is no file, and refuses. */
		madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void weir_give_back(void)
{
	malloc_trim(0);
	dl_iterate_phdr(drop_object, NULL);
}

void weir_give_back_map(const void *map, size_t size)
{
	if (map) {
		madvise((void *)(uintptr_t)map, size, MADV_DONTNEED);
	}
}
