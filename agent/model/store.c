/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Per kind one vector of slots in (namespace, name) order.  Sources deliver
 * their objects in or near that order (a LIST from etcd, a sorted directory),
 * so an insertion is mostly an append; a search is a binary one.  What callers
 * get as a list is derived when it is asked for and kept until the next change.
 */
#include "store.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "small_edit.h"

struct slot {
	const struct weir_object *object;
	struct weir_arena_chunk *memory; /* of the arena it lives in */
};

struct shelf {
	struct slot *v;
	size_t n;
	size_t cap;
	const struct weir_object **list; /* of v if is_fresh */
	size_t list_cap;
	bool is_fresh;
};

struct weir_store {
	struct shelf shelves[_WEIR_KIND_MAX];
	const struct weir_object **slices; /* by namespace, service, name */
	size_t n_slices;
	size_t slices_cap;
	bool slices_are_fresh;
	uint64_t version;
	const struct weir_object *added; /* by the last change, or NULL */
	/* The last changes: [version % MAX] is what led to version; NULL if it
	 * was more than a small edit. */
	const struct weir_object *edited[WEIR_STORE_SMALL_EDITS_MAX];
};

static void free_slot(struct slot *slot)
{
	struct weir_arena arena = {.chunk = slot->memory};

	weir_arena_fini(&arena);
	*slot = (struct slot){0};
}

int weir_store_new(struct weir_store **ret_store)
{
	struct weir_store *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	*ret_store = s;
	return 0;
}

void weir_store_free(struct weir_store **store)
{
	struct weir_store *s = *store;

	if (!s) {
		return;
	}
	for (size_t k = 0; k < _WEIR_KIND_MAX; k++) {
		struct shelf *shelf = &s->shelves[k];

		for (size_t i = 0; i < shelf->n; i++) {
			free_slot(&shelf->v[i]);
		}
		weir_free_ptr(&shelf->v);
		weir_free_ptr(&shelf->list);
	}
	weir_free_ptr(&s->slices);
	weir_free_ptr(store);
}

static int compare_key(const struct weir_object *o, struct weir_str ns,
		       struct weir_str name)
{
	int r = weir_str_cmp(o->ns, ns);

	return r ? r : weir_str_cmp(o->name, name);
}

/* Index of the first object not before (ns, name). */
static size_t place_of(const struct shelf *shelf, struct weir_str ns,
		       struct weir_str name, bool *ret_is_there)
{
	size_t lo = 0;
	size_t hi = shelf->n;

	*ret_is_there = false;
	/* The common case of loading: after all that is there. */
	if (hi && compare_key(shelf->v[hi - 1].object, ns, name) < 0) {
		return hi;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = compare_key(shelf->v[mid].object, ns, name);

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

/* gone is freed: what names it names what took its place, or nothing. */
static void replace_edited(struct weir_store *s, const struct weir_object *gone,
			   const struct weir_object *by)
{
	for (size_t i = 0; i < WEIR_STORE_SMALL_EDITS_MAX; i++) {
		if (s->edited[i] == gone) {
			s->edited[i] = by;
		}
	}
}

/* edited: the object if the edit of it was small, else NULL. */
static void changed(struct weir_store *s, enum weir_kind kind,
		    const struct weir_object *edited)
{
	s->shelves[kind].is_fresh = false;
	if (kind == WEIR_KIND_ENDPOINT_SLICE && !edited) {
		s->slices_are_fresh = false;
	}
	s->version++;
	s->added = NULL;
	s->edited[s->version % WEIR_STORE_SMALL_EDITS_MAX] = edited;
}

static int grow(void **v, size_t *cap, size_t want, size_t size)
{
	size_t more = *cap ? *cap : 16;
	void *p;

	if (want <= *cap) {
		return 0;
	}
	while (more < want) {
		more += more / 4;
	}
	p = reallocarray(*v, more, size);
	if (!p) {
		return -ENOMEM;
	}
	*v = p;
	*cap = more;
	return 0;
}

static int compare_service(const struct weir_object *a, struct weir_str ns,
			   struct weir_str service)
{
	int r = weir_str_cmp(a->ns, ns);

	return r ? r : weir_str_cmp(a->slice->service, service);
}

static int compare_slices(const void *a, const void *b)
{
	const struct weir_object *x = *(const struct weir_object *const *)a;
	const struct weir_object *y = *(const struct weir_object *const *)b;
	int r = compare_service(x, y->ns, y->slice->service);

	return r ? r : weir_str_cmp(x->name, y->name);
}

/* One that only changed its endpoints keeps its place among the slices of its
 * Service. */
static void replace_slice(struct weir_store *s, const struct weir_object *gone,
			  const struct weir_object *by)
{
	const struct weir_object **at;

	if (gone->kind != WEIR_KIND_ENDPOINT_SLICE || !s->slices_are_fresh ||
	    gone->slice->service.n == 0) {
		return;
	}
	at = bsearch(&gone, s->slices, s->n_slices,
		     sizeof(struct weir_object *), compare_slices);
	if (at) {
		*at = by;
	}
}

int weir_store_put(struct weir_store *store, struct weir_arena *arena,
		   const struct weir_object *object)
{
	const struct weir_object *edited = NULL;
	struct shelf *shelf;
	bool is_there;
	size_t at;

	if (object->kind >= _WEIR_KIND_MAX) {
		return -EINVAL;
	}
	shelf = &store->shelves[object->kind];
	at = place_of(shelf, object->ns, object->name, &is_there);
	if (is_there) {
		const struct weir_object *gone = shelf->v[at].object;

		if (weir_object_is_small_edit(gone, object)) {
			edited = object;
			replace_slice(store, gone, object);
		}
		replace_edited(store, gone, edited);
		free_slot(&shelf->v[at]);
	} else {
		void *v = shelf->v;
		int r = grow(&v, &shelf->cap, shelf->n + 1, sizeof(*shelf->v));

		shelf->v = v;
		if (r < 0) {
			return r;
		}
		memmove(&shelf->v[at + 1], &shelf->v[at],
			(shelf->n - at) * sizeof(*shelf->v));
		shelf->n++;
	}
	shelf->v[at] = (struct slot){object, arena->chunk};
	*arena = (struct weir_arena){0};
	changed(store, object->kind, edited);
	store->added = is_there ? NULL : object;
	return 0;
}

bool weir_store_remove(struct weir_store *store, enum weir_kind kind,
		       struct weir_str ns, struct weir_str name)
{
	struct shelf *shelf;
	bool is_there;
	size_t at;

	if (kind >= _WEIR_KIND_MAX) {
		return false;
	}
	shelf = &store->shelves[kind];
	at = place_of(shelf, ns, name, &is_there);
	if (!is_there) {
		return false;
	}
	replace_edited(store, shelf->v[at].object, NULL);
	free_slot(&shelf->v[at]); /* ns and name may die here */
	memmove(&shelf->v[at], &shelf->v[at + 1],
		(shelf->n - at - 1) * sizeof(*shelf->v));
	shelf->n--;
	changed(store, kind, NULL);
	return true;
}

const struct weir_object *weir_store_find(const struct weir_store *store,
					  enum weir_kind kind,
					  struct weir_str ns,
					  struct weir_str name)
{
	bool is_there;
	size_t at;

	if (kind >= _WEIR_KIND_MAX) {
		return NULL;
	}
	at = place_of(&store->shelves[kind], ns, name, &is_there);
	return is_there ? store->shelves[kind].v[at].object : NULL;
}

const struct weir_object *const *
weir_store_list(struct weir_store *store, enum weir_kind kind, size_t *ret_n)
{
	static const struct weir_object *const nothing;
	struct shelf *shelf = &store->shelves[kind];
	void *list = shelf->list;

	*ret_n = 0;
	if (!shelf->is_fresh) {
		if (grow(&list, &shelf->list_cap, shelf->n,
			 sizeof(*shelf->list)) < 0) {
			return NULL;
		}
		shelf->list = list;
		for (size_t i = 0; i < shelf->n; i++) {
			shelf->list[i] = shelf->v[i].object;
		}
		shelf->is_fresh = true;
	}
	*ret_n = shelf->n;
	return shelf->n ? shelf->list : &nothing;
}

static int index_slices(struct weir_store *s)
{
	const struct shelf *shelf = &s->shelves[WEIR_KIND_ENDPOINT_SLICE];
	void *v = s->slices;
	size_t n = 0;

	if (s->slices_are_fresh) {
		return 0;
	}
	if (grow(&v, &s->slices_cap, shelf->n, sizeof(*s->slices)) < 0) {
		return -ENOMEM;
	}
	s->slices = v;
	for (size_t i = 0; i < shelf->n; i++) {
		const struct weir_object *o = shelf->v[i].object;

		if (o->slice && o->slice->service.n) {
			s->slices[n++] = o;
		}
	}
	if (n) {
		qsort(s->slices, n, sizeof(*s->slices), compare_slices);
	}
	s->n_slices = n;
	s->slices_are_fresh = true;
	return 0;
}

const struct weir_object *const *weir_store_all_slices(struct weir_store *store,
						       size_t *ret_n)
{
	*ret_n = 0;
	if (index_slices(store) < 0) {
		return NULL;
	}
	*ret_n = store->n_slices;
	return store->slices;
}

const struct weir_object *const *weir_store_slices(struct weir_store *store,
						   struct weir_str ns,
						   struct weir_str service,
						   size_t *ret_n)
{
	size_t lo = 0;
	size_t hi;
	size_t end;

	*ret_n = 0;
	if (index_slices(store) < 0) {
		return NULL;
	}
	hi = store->n_slices;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_service(store->slices[mid], ns, service) < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	for (end = lo; end < store->n_slices &&
		       compare_service(store->slices[end], ns, service) == 0;
	     end++) {
	}
	*ret_n = end - lo;
	return end > lo ? &store->slices[lo] : NULL;
}

uint64_t weir_store_version(const struct weir_store *store)
{
	return store->version;
}

const struct weir_object *weir_store_only_added(const struct weir_store *store,
						uint64_t since)
{
	return store->version == since + 1 ? store->added : NULL;
}

int weir_store_small_edits(
	const struct weir_store *store, uint64_t since,
	const struct weir_object
		*ret_objects[static WEIR_STORE_SMALL_EDITS_MAX],
	size_t *ret_n)
{
	size_t n = 0;

	if (since > store->version ||
	    store->version - since > WEIR_STORE_SMALL_EDITS_MAX) {
		return -EAGAIN;
	}
	for (uint64_t v = since + 1; v <= store->version; v++) {
		const struct weir_object *o =
			store->edited[v % WEIR_STORE_SMALL_EDITS_MAX];

		if (!o) {
			return -EAGAIN;
		}
		ret_objects[n++] = o;
	}
	*ret_n = n;
	return 0;
}
