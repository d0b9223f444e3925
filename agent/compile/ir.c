/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, identities and small services of the compilation. */
#include "ir.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cleanup.h"
#include "lookup.h"

#define ARENA_FIRST ((size_t)64 << 10)

/* What a route with its Services takes, roughly, and a KIngress with its hosts
 * at two gateways; more is had from the heap. */
#define BYTES_PER_OBJECT 512
#define BYTES_PER_KINGRESS 3072
#define MANY_OBJECTS 1000

static void init_arena(struct ir *c)
{
	size_t n_objects = 0;
	size_t size = 0;

	for (int kind = 0; kind < _WEIR_KIND_MAX; kind++) {
		size_t n;

		/* All lists now, so that none is found empty for lack of
		 * memory later: routes would vanish. */
		if (!weir_store_list(c->store, (enum weir_kind)kind, &n)) {
			c->error = -ENOMEM;
		}
		n_objects += n;
		size += n * (kind == WEIR_KIND_KINGRESS ? BYTES_PER_KINGRESS
							: BYTES_PER_OBJECT);
	}
	if (n_objects < MANY_OBJECTS ||
	    weir_arena_init_mapped(&c->arena, size) < 0) {
		weir_arena_init(&c->arena, ARENA_FIRST);
	}
}

void weir_ir_init(struct ir *c, struct weir_store *store,
		  const struct weir_compile_options *options,
		  const struct weir_object *only, struct weir_diags *diags)
{
	*c = (struct ir){.store = store,
			 .node = options->node_name,
			 .is_writer = options->is_writer,
			 .node_ips = options->node_ips,
			 .n_node_ips = options->n_node_ips,
			 .needs_class = options->needs_class,
			 .cluster_domain = options->cluster_domain.n
						   ? options->cluster_domain
						   : WEIR_STR("cluster.local"),
			 .memory = options->memory,
			 .diags = diags};
	c->only = only;
	if (only) {
		weir_arena_init(&c->arena, ARENA_FIRST);
	} else {
		init_arena(c);
	}
	c->fronts_tail = &c->fronts;
	c->rules_tail = &c->rules;
	c->groups_tail = &c->groups;
}

void weir_ir_fini(struct ir *c)
{
	weir_map_fini(&c->object_ids);
	weir_map_fini(&c->vhosts);
	weir_map_fini(&c->kings);
	weir_map_fini(&c->king_claims);
	weir_map_fini(&c->formers);
	weir_map_fini(&c->cluster_ips);
	weir_map_fini(&c->activators);
	weir_map_fini(&c->l4_rules);
	weir_map_fini(&c->regex_ids);
	weir_map_fini(&c->addresses);
	weir_map_fini(&c->tls_claims);
	weir_map_fini(&c->certs.by_object);
	weir_map_fini(&c->cas.by_object);
	weir_arena_fini(&c->arena);
}

void *weir_ir_alloc(struct ir *c, size_t n, size_t size)
{
	void *p = weir_arena_array(&c->arena, n, size);

	if (!p) {
		c->error = -ENOMEM;
	}
	return p;
}

void weir_ir_put(struct ir *c, struct weir_map *map, uint64_t key,
		 const void *value)
{
	if (weir_map_put(map, key, (uintptr_t)value) < 0) {
		c->error = -ENOMEM;
	}
}

void *weir_ir_get(const struct weir_map *map, uint64_t key)
{
	uint64_t value;

	return weir_map_get(map, key, &value) ? (void *)(uintptr_t)value : NULL;
}

/* Room for one more element of a vector in the arena; what it outgrew stays
 * there, which at most doubles it. */
static bool grow(struct ir *c, void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap) {
		return true;
	}
	p = weir_ir_alloc(c, more, size);
	if (!p) {
		return false;
	}
	if (n) {
		memcpy(p, *v, n * size);
	}
	*v = p;
	*cap = more;
	return true;
}

static uint32_t add_object(struct ir *c, struct ir_object object)
{
	void *v = c->objects;

	if (!grow(c, &v, c->n_objects, &c->objects_cap, sizeof(*c->objects))) {
		return 0;
	}
	c->objects = v;
	c->objects[c->n_objects] = object;
	return (uint32_t)c->n_objects++;
}

uint32_t weir_ir_new_object(struct ir *c, const struct weir_object *object)
{
	return add_object(c, (struct ir_object){.object = object});
}

uint32_t weir_ir_named(struct ir *c, struct weir_str kind, struct weir_str ns,
		       struct weir_str name)
{
	struct ir_named *named = weir_ir_alloc(c, 1, sizeof(*named));

	if (!named) {
		return 0;
	}
	*named = (struct ir_named){kind, ns, name};
	return add_object(c, (struct ir_object){.named = named});
}

uint32_t weir_ir_object(struct ir *c, const struct weir_object *object)
{
	uint64_t key = (uintptr_t)object;
	uint64_t id;

	if (weir_map_get(&c->object_ids, key, &id)) {
		return (uint32_t)id;
	}
	id = weir_ir_new_object(c, object);
	if (weir_map_put(&c->object_ids, key, id) < 0) {
		c->error = -ENOMEM;
	}
	return (uint32_t)id;
}

/* A pattern that is wrong is remembered as WEIR_NONE together with nothing:
 * it is compiled again for the next message, which is rare enough. */
uint32_t weir_ir_regex(struct ir *c, struct weir_str pattern,
		       size_t *ret_offset)
{
	uint64_t key = weir_str_hash(pattern, 0);
	void *v = c->regexes;
	uint64_t id;

	if (weir_map_get(&c->regex_ids, key, &id) &&
	    weir_str_eq(c->regexes[id], pattern)) {
		return (uint32_t)id;
	}
	if (weir_regex_check(pattern, ret_offset) < 0) {
		return WEIR_NONE;
	}
	if (!grow(c, &v, c->n_regexes, &c->regexes_cap, sizeof(*c->regexes))) {
		return WEIR_NONE;
	}
	c->regexes = v;
	c->regexes[c->n_regexes] = pattern;
	if (weir_map_put(&c->regex_ids, key, c->n_regexes) < 0) {
		c->error = -ENOMEM;
	}
	return (uint32_t)c->n_regexes++;
}

void weir_ir_add_rule(struct ir *c, struct ir_rule *rule)
{
	rule->index = c->n_rules++;
	*c->rules_tail = rule;
	c->rules_tail = &rule->next_all;
}

struct ir_front *weir_ir_add_front(struct ir *c)
{
	struct ir_front *f = weir_ir_alloc(c, 1, sizeof(*f));

	if (f) {
		*c->fronts_tail = f;
		c->fronts_tail = &f->next;
	}
	return f;
}

struct ir_listener *weir_ir_add_listener(struct ir *c, struct ir_front *front)
{
	struct ir_listener *l = weir_ir_alloc(c, 1, sizeof(*l));

	if (l) {
		l->id = ++c->n_listeners;
		front->listeners = l;
		front->n_listeners = 1;
	}
	return l;
}

struct weir_str weir_ir_field(struct ir_field *field, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(field->text, sizeof(field->text), fmt, ap);
	va_end(ap);
	if (n < 0) {
		n = 0;
	}
	if ((size_t)n >= sizeof(field->text)) {
		n = sizeof(field->text) - 1;
	}
	return (struct weir_str){field->text, (size_t)n};
}

enum ir_split weir_ir_split(struct ir *c, const struct weir_object *object)
{
	struct weir_str v;

	if (!object || object->annotations.n == 0) {
		return IR_SPLIT_UNSET;
	}
	v = weir_pairs_get(object->annotations, "weir.dev/split");
	if (!v.p) {
		return IR_SPLIT_UNSET;
	}
	if (weir_str_is(v, "connection")) {
		return IR_SPLIT_CONNECTION;
	}
	if (weir_str_is(v, "request")) {
		return IR_SPLIT_REQUEST;
	}
	IR_DIAG(c, WEIR_DIAG_WARNING, object, "InvalidValue",
		WEIR_STR("metadata.annotations[weir.dev/split]"),
		"\"%.*s\" is ignored; expected \"connection\" or \"request\"",
		WEIR_STR_ARG(v));
	return IR_SPLIT_UNSET;
}

bool weir_ir_no_forwarded(struct ir *c, const struct weir_object *object,
			  bool inherited)
{
	struct weir_str v;

	if (!object || object->annotations.n == 0) {
		return inherited;
	}
	v = weir_pairs_get(object->annotations, "weir.dev/forwarded");
	if (!v.p) {
		return inherited;
	}
	if (weir_str_is(v, "none")) {
		return true;
	}
	if (weir_str_is(v, "append")) {
		return false;
	}
	IR_DIAG(c, WEIR_DIAG_WARNING, object, "InvalidValue",
		WEIR_STR("metadata.annotations[weir.dev/forwarded]"),
		"\"%.*s\" is ignored; expected \"none\" or \"append\"",
		WEIR_STR_ARG(v));
	return inherited;
}
