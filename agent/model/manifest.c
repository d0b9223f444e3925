/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file knows which of the store's objects are its own and which it
 * defines in vain because a file before it does.  A change of one file touches
 * others only through those: they are read again.
 */
#include "manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "buf.h"
#include "cleanup.h"
#include "decode.h"
#include "fdutil.h"

#define ROUNDS_MAX                                                             \
	8 /* of re-reading files that others uncovered or covered              \
	   */

struct identity {
	enum weir_kind kind;
	struct weir_str ns;
	struct weir_str name;
};

/* Only of files with something to tell, which are few. */
struct faults {
	struct weir_arena arena;
	struct weir_diags diags;
	struct identity *covered; /* defined here, and in a file before */
	size_t n_covered;
};

struct file {
	char *name;
	struct faults *faults; /* NULL: none */
	/* In the store, from this file; one alone needs no list. */
	union {
		const struct weir_object *one;
		const struct weir_object **many;
	};
	uint32_t n_owned;
	bool has_list;
	bool is_stale; /* to be read again, even if it has not changed */
	uint64_t hash; /* of its text */
};

static const struct weir_object **owned_by(struct file *file)
{
	return file->has_list ? file->many : &file->one;
}

static void clear_owned(struct file *file)
{
	if (file->has_list) {
		weir_free_ptr(&file->many);
	}
	file->one = NULL;
	file->n_owned = 0;
	file->has_list = false;
}

struct weir_manifests {
	struct weir_store *store;
	struct file *files; /* by name */
	size_t n_files;
	size_t cap;
	struct weir_buf text; /* of the file being read */
	struct weir_diag *diags;
	size_t diags_cap;
	char *dir;
	int dir_fd;
};

/* What one reading of a file brought. */
struct reading {
	struct weir_arena *arenas; /* parallel to objects */
	const struct weir_object **objects;
	size_t n;
	size_t cap;
	struct identity *bad; /* texts in faults->arena */
	size_t n_bad;
	size_t bad_cap;
	bool has_unknown; /* a document that could not even be identified */
	struct faults *faults;
};

static void free_faults(struct faults **faults)
{
	if (*faults) {
		weir_arena_fini(&(*faults)->arena);
	}
	weir_free_ptr(faults);
}

static void fini_reading(struct reading *rd)
{
	for (size_t i = 0; i < rd->n; i++) {
		weir_arena_fini(&rd->arenas[i]);
	}
	weir_free_ptr(&rd->arenas);
	weir_free_ptr(&rd->objects);
	weir_free_ptr(&rd->bad);
	free_faults(&rd->faults);
}

static int new_faults(struct faults **ret_faults)
{
	struct faults *f = calloc(1, sizeof(*f));

	if (!f) {
		return -ENOMEM;
	}
	weir_arena_init(&f->arena, 256);
	weir_diags_init(&f->diags, &f->arena);
	*ret_faults = f;
	return 0;
}

/* ------------------------------------------------------- reading a text */

static int push_bad(struct reading *rd, const struct weir_object *o)
{
	struct weir_arena *arena = &rd->faults->arena;
	struct identity id = {.kind = o->kind,
			      .ns = weir_arena_dup(arena, o->ns),
			      .name = weir_arena_dup(arena, o->name)};

	if (!id.ns.p || !id.name.p) {
		return -ENOMEM;
	}
	if (rd->n_bad == rd->bad_cap) {
		size_t cap = rd->bad_cap ? rd->bad_cap * 2 : 8;
		void *p = reallocarray(rd->bad, cap, sizeof(*rd->bad));

		if (!p) {
			return -ENOMEM;
		}
		rd->bad = p;
		rd->bad_cap = cap;
	}
	rd->bad[rd->n_bad++] = id;
	return 0;
}

static int push_good(struct reading *rd, const struct weir_decoded *decoded)
{
	if (rd->n == rd->cap) {
		size_t cap = rd->cap ? rd->cap * 2 : 4;
		void *p = reallocarray(rd->arenas, cap, sizeof(*rd->arenas));

		if (!p) {
			return -ENOMEM;
		}
		rd->arenas = p;
		p = reallocarray(rd->objects, cap, sizeof(*rd->objects));
		if (!p) {
			return -ENOMEM;
		}
		rd->objects = p;
		rd->cap = cap;
	}
	rd->arenas[rd->n] = *decoded->arena;
	rd->objects[rd->n++] = decoded->object;
	*decoded->arena = (struct weir_arena){0};
	return 0;
}

static int on_decoded(void *arg, const struct weir_decoded *decoded)
{
	struct reading *rd = arg;

	if (decoded->arena) {
		return push_good(rd, decoded);
	}
	if (decoded->is_identified) {
		return push_bad(rd, decoded->object);
	}
	rd->has_unknown = true;
	return 0;
}

/* ------------------------------------------------------- the file table */

static bool is_manifest(const char *name)
{
	struct weir_str s = weir_str_of(name);

	return s.n && s.p[0] != '.' && !strchr(name, '/') &&
	       (weir_str_ends(s, WEIR_STR(".yaml")) ||
		weir_str_ends(s, WEIR_STR(".yml")) ||
		weir_str_ends(s, WEIR_STR(".json")));
}

/* Index of the first file not before name. */
static size_t place_of(const struct weir_manifests *m, struct weir_str name,
		       bool *ret_is_there)
{
	size_t lo = 0;
	size_t hi = m->n_files;

	*ret_is_there = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = weir_str_cmp(weir_str_of(m->files[mid].name), name);

		if (r == 0) {
			*ret_is_there = true;
			return mid;
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

static struct file *find_file(struct weir_manifests *m, struct weir_str name)
{
	bool is_there;
	size_t at = place_of(m, name, &is_there);

	return is_there ? &m->files[at] : NULL;
}

static int reserve_files(struct weir_manifests *m, size_t cap)
{
	void *p;

	if (cap <= m->cap) {
		return 0;
	}
	p = reallocarray(m->files, cap, sizeof(*m->files));
	if (!p) {
		return -ENOMEM;
	}
	m->files = p;
	m->cap = cap;
	return 0;
}

static int add_file(struct weir_manifests *m, const char *name,
		    struct file **ret_file)
{
	_cleanup_free_ char *copy = NULL;
	bool is_there;
	size_t at = place_of(m, weir_str_of(name), &is_there);

	if (is_there) {
		*ret_file = &m->files[at];
		return 0;
	}
	copy = strdup(name);
	if (!copy) {
		return -ENOMEM;
	}
	if (m->n_files == m->cap &&
	    reserve_files(m, m->cap + m->cap / 4 + 4) < 0) {
		return -ENOMEM;
	}
	memmove(&m->files[at + 1], &m->files[at],
		(m->n_files - at) * sizeof(*m->files));
	m->n_files++;
	m->files[at] = (struct file){.name = TAKE_PTR(copy)};
	*ret_file = &m->files[at];
	return 0;
}

static void drop_file(struct weir_manifests *m, struct file *file)
{
	size_t at = (size_t)(file - m->files);

	weir_free_ptr(&file->name);
	clear_owned(file);
	free_faults(&file->faults);
	memmove(file, file + 1, (m->n_files - at - 1) * sizeof(*file));
	m->n_files--;
}

/* -------------------------------------------- from a reading to the store */

/* Files that define this in vain get their turn. */
static void uncover(struct weir_manifests *m, const struct weir_object *o)
{
	for (size_t i = 0; i < m->n_files; i++) {
		struct faults *f = m->files[i].faults;

		if (m->files[i].is_stale) {
			continue;
		}
		for (size_t j = 0; f && j < f->n_covered; j++) {
			const struct identity *id = &f->covered[j];

			if (id->kind == o->kind && weir_str_eq(id->ns, o->ns) &&
			    weir_str_eq(id->name, o->name)) {
				m->files[i].is_stale = true;
				break;
			}
		}
	}
}

static void remove_object(struct weir_manifests *m, const struct weir_object *o)
{
	uncover(m, o);
	weir_store_remove(m->store, o->kind, o->ns, o->name);
}

/* The file that owned this loses it to one before it. */
static void disown(struct weir_manifests *m, const struct weir_object *o)
{
	struct file *file = find_file(m, o->source);
	const struct weir_object **owned = file ? owned_by(file) : NULL;

	for (uint32_t i = 0; file && i < file->n_owned; i++) {
		if (owned[i] == o) {
			owned[i] = owned[--file->n_owned];
			file->is_stale = true;
			return;
		}
	}
}

static int cover(struct reading *rd, const struct weir_object *o,
		 const struct weir_object *winner)
{
	struct faults *f = rd->faults;

	if (!f->covered) {
		f->covered = weir_arena_array(&f->arena, rd->n,
					      sizeof(*f->covered));
		if (!f->covered) {
			return -ENOMEM;
		}
	}
	f->covered[f->n_covered++] = (struct identity){
		o->kind, weir_arena_dup(&f->arena, o->ns),
		weir_arena_dup(&f->arena, o->name)};
	weir_diag_add(&f->diags, WEIR_DIAG_ERROR, o, "DuplicateObject",
		      WEIR_STR_NULL,
		      "already defined in %.*s line %u, which counts",
		      WEIR_STR_ARG(winner->source), winner->line);
	return 0;
}

/* What becomes of the objects that a file owned. */
enum fate { FATE_NONE, FATE_REPLACED, FATE_KEPT, FATE_NEW };

static uint64_t key_of(const struct weir_object *o)
{
	return (uint64_t)(uintptr_t)o;
}

static enum fate fate_of(const struct weir_map *fates,
			 const struct weir_object *o)
{
	uint64_t fate = FATE_NONE;

	weir_map_get(fates, key_of(o), &fate);
	return (enum fate)fate;
}

/* Puts object i; *ret_owned is it, or NULL if another definition counts. */
static int put_object(struct weir_manifests *m, struct weir_str source,
		      struct reading *rd, size_t i, struct weir_map *fates,
		      const struct weir_object **ret_owned)
{
	const struct weir_object *o = rd->objects[i];
	const struct weir_object *now = weir_store_find(m->store, o->kind,
							o->ns, o->name);
	bool is_mine = now && weir_str_eq(now->source, source);
	int r;

	*ret_owned = NULL;
	if (now && (is_mine ? fate_of(fates, now) == FATE_NEW
			    : weir_str_cmp(now->source, source) < 0)) {
		return cover(rd, o, now);
	}
	r = weir_map_put(fates, key_of(o), FATE_NEW);
	if (r == 0 && is_mine) {
		r = weir_map_put(fates, key_of(now), FATE_REPLACED);
	}
	if (r < 0) {
		return r;
	}
	if (now && !is_mine) {
		disown(m, now);
	}
	r = weir_store_put(m->store, &rd->arenas[i], o);
	if (r < 0) {
		return r;
	}
	*ret_owned = o;
	return 0;
}

/* Wrong objects keep their last good version. */
static int keep_bad(struct weir_manifests *m, struct weir_str source,
		    const struct reading *rd, struct weir_map *fates)
{
	for (size_t i = 0; i < rd->n_bad; i++) {
		const struct identity *id = &rd->bad[i];
		const struct weir_object *now = weir_store_find(
			m->store, id->kind, id->ns, id->name);

		if (now && weir_str_eq(now->source, source) &&
		    fate_of(fates, now) == FATE_NONE) {
			int r = weir_map_put(fates, key_of(now), FATE_KEPT);

			if (r < 0) {
				return r;
			}
		}
	}
	return 0;
}

/* On failure what was not replaced yet stays: nothing is lost. */
static int apply(struct weir_manifests *m, size_t at, struct reading *rd)
{
	struct file *file = &m->files[at];
	struct weir_str source = weir_str_of(file->name);
	const struct weir_object **old = owned_by(file);
	uint32_t n_old = file->n_owned;
	_cleanup_free_ const struct weir_object **owned = calloc(
		n_old + rd->n + 1, sizeof(*owned));
	struct weir_map fates = {0};
	uint32_t n = 0;
	int r = owned ? 0 : -ENOMEM;

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < rd->n && r == 0; i++) {
		r = put_object(m, source, rd, i, &fates, &owned[n]);
		n += owned[n] != NULL;
	}
	if (r == 0) {
		r = keep_bad(m, source, rd, &fates);
	}
	for (uint32_t i = 0; i < n_old; i++) {
		enum fate fate = fate_of(&fates, old[i]);

		if (fate == FATE_REPLACED) {
			continue;
		}
		if (fate == FATE_KEPT || rd->has_unknown || r < 0) {
			owned[n++] = old[i];
		} else {
			remove_object(m, old[i]);
		}
	}
	weir_map_fini(&fates);
	clear_owned(file);
	file->n_owned = n;
	if (n == 1) {
		file->one = owned[0];
	} else if (n > 1) {
		file->many = TAKE_PTR(owned);
		file->has_list = true;
	}
	return r;
}

/* ------------------------------------------------------ files and the disk */

static int set_unreadable(struct weir_manifests *m, size_t at, int error)
{
	struct faults *faults = NULL;
	int r = new_faults(&faults);

	if (r < 0) {
		return r;
	}
	weir_diag_add_file(&faults->diags, WEIR_DIAG_ERROR,
			   weir_str_of(m->files[at].name), 0, "Unreadable",
			   "%s, expected a readable file of at most %zu MiB",
			   strerror(-error), WEIR_MANIFEST_MAX >> 20);
	free_faults(&m->files[at].faults);
	m->files[at].faults = faults;
	m->files[at].hash = 0;
	m->files[at].is_stale = false;
	return 0;
}

static void forget(struct weir_manifests *m, size_t at)
{
	struct file *file = &m->files[at];

	for (uint32_t i = 0; i < file->n_owned; i++) {
		remove_object(m, owned_by(file)[i]);
	}
	drop_file(m, file);
}

static int read_text(struct weir_manifests *m, const char *name)
{
	struct stat st;

	/* Never block on a FIFO that happens to be there. */
	if (fstatat(m->dir_fd, name, &st, 0) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		return -EISDIR;
	}
	m->text.n = 0;
	return weir_read_file_at(m->dir_fd, name, WEIR_MANIFEST_MAX, &m->text);
}

static int reload_one(struct weir_manifests *m, const char *name)
{
	__attribute__((cleanup(fini_reading))) struct reading rd = {0};
	int error = read_text(m, name);
	struct file *file;
	struct weir_str text;
	uint64_t hash;
	size_t at;
	int r;

	if (error == -ENOENT || error == -EISDIR) {
		file = find_file(m, weir_str_of(name));
		if (file) {
			forget(m, (size_t)(file - m->files));
		}
		return 0;
	}
	if (error == -ENOMEM) {
		return error;
	}
	r = add_file(m, name, &file);
	if (r < 0) {
		return r;
	}
	at = (size_t)(file - m->files);
	if (error < 0) {
		return set_unreadable(m, at, error);
	}
	text = weir_buf_str(&m->text);
	hash = weir_str_hash(text, 1) | 1;
	if (hash == file->hash && !file->is_stale) {
		return 0;
	}
	r = new_faults(&rd.faults);
	if (r < 0) {
		return r;
	}
	r = weir_manifest_decode_all(
		text, weir_str_of(file->name),
		weir_str_ends(weir_str_of(name), WEIR_STR(".json")),
		&rd.faults->diags, on_decoded, &rd);
	if (r == 0) {
		r = apply(m, at, &rd);
	}
	if (r < 0) {
		return r; /* hash is the old one: the next try reads again */
	}
	m->files[at].hash = hash;
	m->files[at].is_stale = false;
	free_faults(&m->files[at].faults);
	if (rd.faults->diags.n || rd.faults->n_covered) {
		m->files[at].faults = TAKE_PTR(rd.faults);
	}
	return 0;
}

/* Files that a change of another one uncovered or covered. */
static int settle(struct weir_manifests *m)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		bool was_stale = false;

		for (size_t i = 0; i < m->n_files; i++) {
			_cleanup_free_ char *name = NULL;
			int r;

			if (!m->files[i].is_stale) {
				continue;
			}
			was_stale = true;
			name = strdup(m->files[i].name);
			r = name ? reload_one(m, name) : -ENOMEM;
			if (r < 0) {
				return r;
			}
		}
		if (!was_stale) {
			break;
		}
	}
	return 0;
}

/* By path each time: the directory may be another one by now. */
static int open_dir(struct weir_manifests *m)
{
	int fd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		return -errno;
	}
	weir_close(&m->dir_fd);
	m->dir_fd = fd;
	return 0;
}

int weir_manifests_new(const char *dir, struct weir_store *store,
		       struct weir_manifests **ret_manifests)
{
	_cleanup_(weir_manifests_free) struct weir_manifests *m = calloc(
		1, sizeof(*m));
	int r;

	if (!m) {
		return -ENOMEM;
	}
	m->dir_fd = -1;
	m->store = store;
	m->dir = strdup(dir);
	if (!m->dir) {
		return -ENOMEM;
	}
	r = open_dir(m);
	if (r < 0) {
		return r;
	}
	*ret_manifests = TAKE_PTR(m);
	return 0;
}

void weir_manifests_free(struct weir_manifests **manifests)
{
	struct weir_manifests *m = *manifests;

	if (!m) {
		return;
	}
	while (m->n_files) {
		drop_file(m, &m->files[m->n_files - 1]);
	}
	weir_free_ptr(&m->files);
	weir_free_ptr(&m->diags);
	weir_buf_fini(&m->text);
	weir_free_ptr(&m->dir);
	weir_close(&m->dir_fd);
	weir_free_ptr(manifests);
}

static int only_manifests(const struct dirent *entry)
{
	return is_manifest(entry->d_name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_listed(struct dirent *const *list, int n, const char *name)
{
	int lo = 0;

	while (lo < n) {
		int mid = lo + (n - lo) / 2;
		int r = strcmp(list[mid]->d_name, name);

		if (r == 0) {
			return true;
		}
		if (r < 0) {
			lo = mid + 1;
		} else {
			n = mid;
		}
	}
	return false;
}

int weir_manifests_load(struct weir_manifests *m)
{
	struct dirent **list = NULL;
	int r = open_dir(m);
	int n;

	if (r < 0) {
		return r;
	}
	n = scandirat(m->dir_fd, ".", &list, only_manifests, by_name);
	if (n < 0) {
		return -errno;
	}
	r = reserve_files(m, (size_t)n);
	for (size_t i = m->n_files; i-- > 0;) {
		if (!is_listed(list, n, m->files[i].name)) {
			forget(m, i);
		}
	}
	for (int i = 0; i < n && r == 0; i++) {
		r = reload_one(m, list[i]->d_name);
	}
	for (int i = 0; i < n; i++) {
		weir_free_ptr(&list[i]);
	}
	weir_free_ptr(&list);
	if (r == 0) {
		r = settle(m);
	}
	/* One large file must not leave its size behind. */
	weir_buf_fini(&m->text);
	return r;
}

int weir_manifests_reload(struct weir_manifests *m, const char *name)
{
	int r;

	if (!is_manifest(name)) {
		return 0;
	}
	r = reload_one(m, name);
	if (r == 0) {
		r = settle(m);
	}
	weir_buf_fini(&m->text);
	return r;
}

/* ------------------------------------------------------------- diagnostics */

/* Stable, and nearly sorted as they come. */
static void sort_by_line(struct weir_diag *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct weir_diag d = v[i];
		size_t j = i;

		for (; j > 0 && v[j - 1].line > d.line; j--) {
			v[j] = v[j - 1];
		}
		v[j] = d;
	}
}

const struct weir_diag *weir_manifests_diags(struct weir_manifests *m,
					     size_t *ret_n)
{
	size_t n = 0;

	*ret_n = 0;
	for (size_t i = 0; i < m->n_files; i++) {
		n += m->files[i].faults ? m->files[i].faults->diags.n : 0;
	}
	if (n > m->diags_cap) {
		void *p = reallocarray(m->diags, n, sizeof(*m->diags));

		if (!p) {
			return NULL;
		}
		m->diags = p;
		m->diags_cap = n;
	}
	n = 0;
	for (size_t i = 0; i < m->n_files; i++) {
		const struct faults *f = m->files[i].faults;

		if (f && f->diags.n) {
			memcpy(&m->diags[n], f->diags.v,
			       f->diags.n * sizeof(*m->diags));
			sort_by_line(&m->diags[n], f->diags.n);
			n += f->diags.n;
		}
	}
	*ret_n = n;
	return m->diags;
}
