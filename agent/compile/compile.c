/* SPDX-License-Identifier: Apache-2.0 */
/* The order of work, which is the order of what is said. */
#include "compile.h"

#include "cleanup.h"
#include "emit.h"

/* The blocks and verdicts of what was found; takes what out has. */
static int finish(struct ir *c, struct weir_compiled *out,
		  struct weir_compiled *ret_compiled)
{
	int r;

	weir_ir_claims(c);
	weir_ir_verdicts_end(c, &out->verdicts);
	r = c->error ? c->error : weir_ir_emit(c, out);
	if (r < 0) {
		weir_compiled_fini(out);
		return r;
	}
	*ret_compiled = *out;
	/* The vector's arena moved with the structure. */
	ret_compiled->diags.arena = &ret_compiled->arena;
	return 0;
}

int weir_compile(struct weir_store *store,
		 const struct weir_compile_options *options,
		 struct weir_compiled *ret_compiled)
{
	struct weir_compiled out = {0};
	_cleanup_(weir_ir_fini) struct ir c;

	weir_arena_init(&out.arena, 1024);
	weir_diags_init(&out.diags, &out.arena);
	weir_ir_init(&c, store, options, NULL, &out.diags);
	if (c.error) {
		return c.error;
	}
	weir_ir_verdicts_begin(&c);
	weir_ir_services(&c);
	weir_ir_policies(&c);
	weir_ir_gateways(&c);
	weir_ir_http_routes(&c, WEIR_KIND_HTTP_ROUTE);
	weir_ir_http_routes(&c, WEIR_KIND_GRPC_ROUTE);
	weir_ir_l4_routes(&c);
	weir_ir_tls_routes(&c);
	weir_ir_kingresses(&c);
	weir_ir_ancestors(&c);
	weir_ir_plan_planes(&c);
	weir_ir_consumers(&c);
	return finish(&c, &out, ret_compiled);
}

int weir_ir_compile_king(struct weir_store *store,
			 const struct weir_compile_options *options,
			 const struct weir_object *king,
			 struct weir_compiled *ret_compiled)
{
	struct weir_compiled out = {0};
	_cleanup_(weir_ir_fini) struct ir c;

	weir_arena_init(&out.arena, 1024);
	weir_diags_init(&out.diags, &out.arena);
	weir_ir_init(&c, store, options, king, &out.diags);
	/* Its part alone: what was served elsewhere before is not of it. */
	c.memory.before = NULL;
	weir_ir_services(&c);
	weir_ir_kingresses(&c);
	weir_ir_plan_planes(&c);
	return finish(&c, &out, ret_compiled);
}

void weir_compiled_wipe(struct weir_compiled *compiled)
{
	void *secrets = TAKE_PTR(compiled->secrets);

	weir_secrets_wipe(&secrets, compiled->secrets_size);
	compiled->secrets_size = 0;
}

void weir_compiled_fini(struct weir_compiled *compiled)
{
	weir_free_ptr(&compiled->rules);
	weir_free_ptr(&compiled->eps);
	weir_compiled_wipe(compiled);
	weir_arena_fini(&compiled->arena);
	*compiled = (struct weir_compiled){0};
}
