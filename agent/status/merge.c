/* SPDX-License-Identifier: Apache-2.0 */
/* Our part of a status into the object as it was read. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "compile.h"
#include "status.h"

/* Limits of the API's lists: what is not ours is never thrown out for it. */
#define CONDITIONS_MAX 8
#define PARENTS_MAX 32
#define ANCESTORS_MAX 16

static void free_json(cJSON **json)
{
	cJSON_Delete(*json);
	*json = NULL;
}
#define _cleanup_json_ _cleanup_(free_json)

static const char *text_at(const cJSON *map, const char *key, const char *dflt)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(map, key);

	return cJSON_IsString(v) ? v->valuestring : dflt;
}

static double number_at(const cJSON *map, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(map, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static bool is_same_text(const cJSON *a, const cJSON *b, const char *key,
			 const char *dflt)
{
	return strcmp(text_at(a, key, dflt), text_at(b, key, dflt)) == 0;
}

/* The list at key, made if there is none (or something else). */
static cJSON *list_at(cJSON *map, const char *key)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(map, key);

	if (cJSON_IsArray(list)) {
		return list;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(map, key);
	return cJSON_AddArrayToObject(map, key);
}

/* Takes value. */
static int set(cJSON *map, const char *key, cJSON *value)
{
	if (!value) {
		return -ENOMEM;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(map, key);
	if (!cJSON_AddItemToObject(map, key, value)) {
		cJSON_Delete(value);
		return -ENOMEM;
	}
	return 0;
}

/* ------------------------------------------------------------- conditions */

static cJSON *find_condition(const cJSON *list, const char *type)
{
	cJSON *c;

	cJSON_ArrayForEach(c, list)
	{
		if (strcmp(text_at(c, "type", ""), type) == 0) {
			return c;
		}
	}
	return NULL;
}

/* to becomes a copy of from, with the time of its last transition. */
static int put_condition(cJSON *list, const cJSON *from, const char *now)
{
	cJSON *old = find_condition(list, text_at(from, "type", ""));
	const char *since = now;
	cJSON *copy;

	if (old && is_same_text(old, from, "status", "")) {
		since = text_at(old, "lastTransitionTime", now);
	}
	copy = cJSON_Duplicate(from, true);
	if (!copy ||
	    !cJSON_AddStringToObject(copy, "lastTransitionTime", since)) {
		cJSON_Delete(copy);
		return -ENOMEM;
	}
	if (old) {
		return cJSON_ReplaceItemViaPointer(list, old, copy) ? 0
								    : -ENOMEM;
	}
	if (cJSON_GetArraySize(list) >= CONDITIONS_MAX) {
		cJSON_Delete(copy);
		return -ENOSPC;
	}
	return cJSON_AddItemToArray(list, copy) ? 0 : -ENOMEM;
}

/* to: what has "conditions", as read; from: as desired. */
static int merge_conditions(cJSON *to, const cJSON *from,
			    enum weir_status_place place, const char *now)
{
	const char *const *types = weir_status_types[place];
	const cJSON *desired = cJSON_GetObjectItemCaseSensitive(from,
								"conditions");
	cJSON *list = list_at(to, "conditions");
	const cJSON *c;

	if (!list) {
		return -ENOMEM;
	}
	for (size_t i = 0; types[i]; i++) {
		cJSON *old = find_condition(list, types[i]);

		if (old && !find_condition(desired, types[i])) {
			cJSON_Delete(cJSON_DetachItemViaPointer(list, old));
		}
	}
	cJSON_ArrayForEach(c, desired)
	{
		int r = put_condition(list, c, now);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* ------------------------------------------------ parents and ancestors */

static bool is_same_ref(const cJSON *a, const cJSON *b, const char *ns)
{
	return is_same_text(a, b, "group", "gateway.networking.k8s.io") &&
	       is_same_text(a, b, "kind", "Gateway") &&
	       is_same_text(a, b, "namespace", ns) &&
	       is_same_text(a, b, "name", "") &&
	       is_same_text(a, b, "sectionName", "") &&
	       number_at(a, "port") == number_at(b, "port");
}

static bool is_ours(const cJSON *entry)
{
	return strcmp(text_at(entry, "controllerName", ""), WEIR_CONTROLLER) ==
	       0;
}

struct refs {
	const char *key; /* parentRef or ancestorRef */
	const char *ns;  /* default of its namespace */
	enum weir_status_place place;
	int max;
};

static cJSON *find_entry(const cJSON *list, const cJSON *like,
			 const struct refs *refs)
{
	const cJSON *ref = cJSON_GetObjectItemCaseSensitive(like, refs->key);
	cJSON *e;

	cJSON_ArrayForEach(e, list)
	{
		if (is_ours(e) &&
		    is_same_ref(cJSON_GetObjectItemCaseSensitive(e, refs->key),
				ref, refs->ns)) {
			return e;
		}
	}
	return NULL;
}

/* One entry with its conditions merged; without old, with those alone. */
static cJSON *merge_entry(const cJSON *old, const cJSON *from,
			  const struct refs *refs, const char *now, int *ret_r)
{
	cJSON *entry = old ? cJSON_Duplicate(old, true) : cJSON_CreateObject();

	*ret_r = entry ? merge_conditions(entry, from, refs->place, now)
		       : -ENOMEM;
	if (*ret_r == 0) {
		const cJSON *ref = cJSON_GetObjectItemCaseSensitive(from,
								    refs->key);

		*ret_r = set(entry, refs->key, cJSON_Duplicate(ref, true));
	}
	if (*ret_r == 0) {
		*ret_r = set(entry, "controllerName",
			     cJSON_CreateString(WEIR_CONTROLLER));
	}
	if (*ret_r < 0) {
		free_json(&entry);
	}
	return entry;
}

static int merge_refs(cJSON *list, const cJSON *desired,
		      const struct refs *refs, const char *now)
{
	const cJSON *d;
	cJSON *e;
	cJSON *next;

	for (e = list->child; e; e = next) {
		next = e->next;
		if (is_ours(e) && !find_entry(desired, e, refs)) {
			cJSON_Delete(cJSON_DetachItemViaPointer(list, e));
		}
	}
	cJSON_ArrayForEach(d, desired)
	{
		cJSON *old = find_entry(list, d, refs);
		int r;

		if (!old && cJSON_GetArraySize(list) >= refs->max) {
			return -ENOSPC;
		}
		e = merge_entry(old, d, refs, now, &r);
		if (r < 0) {
			return r;
		}
		if (!(old ? cJSON_ReplaceItemViaPointer(list, old, e)
			  : cJSON_AddItemToArray(list, e))) {
			cJSON_Delete(e);
			return -ENOMEM;
		}
	}
	return 0;
}

/* ---------------------------------------------------------------- Gateways */

static cJSON *find_listener(const cJSON *list, const char *name)
{
	cJSON *l;

	cJSON_ArrayForEach(l, list)
	{
		if (strcmp(text_at(l, "name", ""), name) == 0) {
			return l;
		}
	}
	return NULL;
}

static cJSON *merge_listener(const cJSON *old, const cJSON *from,
			     const char *now, int *ret_r)
{
	static const char *const keys[] = {"name", "attachedRoutes",
					   "supportedKinds"};
	cJSON *l = old ? cJSON_Duplicate(old, true) : cJSON_CreateObject();

	*ret_r = l ? merge_conditions(l, from, WEIR_PLACE_LISTENER, now)
		   : -ENOMEM;
	for (size_t i = 0; *ret_r == 0 && i < sizeof(keys) / sizeof(keys[0]);
	     i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(from,
								  keys[i]);

		*ret_r = set(l, keys[i], cJSON_Duplicate(v, true));
	}
	if (*ret_r < 0) {
		free_json(&l);
	}
	return l;
}

/* In the order of the spec, and only what is in it. */
static int merge_listeners(cJSON *status, const cJSON *desired, const char *now)
{
	const cJSON *had = cJSON_GetObjectItemCaseSensitive(status,
							    "listeners");
	const cJSON *want = cJSON_GetObjectItemCaseSensitive(desired,
							     "listeners");
	_cleanup_json_ cJSON *list = cJSON_CreateArray();
	const cJSON *d;
	cJSON *taken;

	cJSON_ArrayForEach(d, want)
	{
		int r;
		cJSON *l = merge_listener(
			find_listener(had, text_at(d, "name", "")), d, now, &r);

		if (r < 0) {
			return r;
		}
		if (!cJSON_AddItemToArray(list, l)) {
			cJSON_Delete(l);
			return -ENOMEM;
		}
	}
	taken = list;
	list = NULL;
	return set(status, "listeners", taken);
}

/* What is only ours: taken over whole, or removed where it is not desired. */
static int replace(cJSON *status, const cJSON *desired, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(desired, key);

	if (!v || (cJSON_IsArray(v) && !v->child)) {
		cJSON_DeleteItemFromObjectCaseSensitive(status, key);
		return 0;
	}
	return set(status, key, cJSON_Duplicate(v, true));
}

/* ------------------------------------------------------------------- whole */

static int merge_status(enum weir_kind kind, const cJSON *object, cJSON *status,
			const cJSON *desired, const char *now)
{
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object,
								 "metadata");
	const char *list = weir_status_list(kind);
	const bool is_policy = kind == WEIR_KIND_BACKEND_TLS_POLICY;
	int r;

	if (list) {
		const struct refs refs = {
			.key = is_policy ? "ancestorRef" : "parentRef",
			.ns = text_at(metadata, "namespace", ""),
			.place = weir_status_place_of(kind),
			.max = is_policy ? ANCESTORS_MAX : PARENTS_MAX};
		cJSON *to = list_at(status, list);

		return to ? merge_refs(to,
				       cJSON_GetObjectItemCaseSensitive(desired,
									list),
				       &refs, now)
			  : -ENOMEM;
	}
	r = merge_conditions(status, desired, weir_status_place_of(kind), now);
	if (r == 0 && kind == WEIR_KIND_GATEWAY_CLASS) {
		return replace(status, desired, "supportedFeatures");
	}
	if (r == 0 && kind == WEIR_KIND_KINGRESS) {
		r = replace(status, desired, "observedGeneration");
		r = r ? r : replace(status, desired, "publicLoadBalancer");
		return r ? r : replace(status, desired, "privateLoadBalancer");
	}
	if (r == 0 && kind == WEIR_KIND_GATEWAY) {
		r = replace(status, desired, "addresses");
		r = r ? r : replace(status, desired, "attachedListenerSets");
	}
	return r ? r : merge_listeners(status, desired, now);
}

/* 1 if the printed status differs in our part. */
static int print(enum weir_kind kind, const cJSON *object, uint64_t before,
		 struct weir_buf *out)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(object,
							       "status");
	char *text = cJSON_PrintUnformatted(status);
	uint64_t after = weir_status_hash(kind, weir_str_of(text));

	cJSON_free(text);
	if (!text) {
		return -ENOMEM;
	}
	if (after == before) {
		return 0;
	}
	text = cJSON_PrintUnformatted(object);
	if (!text) {
		return -ENOMEM;
	}
	weir_buf_addz(out, text);
	cJSON_free(text);
	return out->error ? out->error : 1;
}

int weir_status_merge(enum weir_kind kind, int64_t generation,
		      struct weir_str desired, struct weir_str object,
		      const char *now, struct weir_buf *out)
{
	_cleanup_json_ cJSON *whole = cJSON_ParseWithLength(object.p, object.n);
	_cleanup_json_ cJSON *want = cJSON_ParseWithLength(desired.p,
							   desired.n);
	cJSON *metadata = cJSON_GetObjectItemCaseSensitive(whole, "metadata");
	cJSON *status;
	uint64_t before;
	char *text;
	int r;

	if (!cJSON_IsObject(metadata) || !cJSON_IsObject(want) ||
	    !weir_status_is_written(kind)) {
		return -EBADMSG;
	}
	if ((int64_t)number_at(metadata, "generation") != generation) {
		return -ESTALE;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(metadata, "managedFields");
	status = cJSON_GetObjectItemCaseSensitive(whole, "status");
	if (!cJSON_IsObject(status)) {
		cJSON_DeleteItemFromObjectCaseSensitive(whole, "status");
		status = cJSON_AddObjectToObject(whole, "status");
	}
	text = cJSON_PrintUnformatted(status);
	if (!text) {
		return -ENOMEM;
	}
	before = weir_status_hash(kind, weir_str_of(text));
	cJSON_free(text);
	r = merge_status(kind, whole, status, want, now);
	return r < 0 ? r : print(kind, whole, before, out);
}
