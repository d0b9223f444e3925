/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for clients: of those that went, new, or kept for when there is none.
 */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "worker.h"

int weir_clients_init(struct weir_worker *w)
{
	while (w->n_last_clients < WEIR_CLIENTS_LAST) {
		struct weir_client *c = malloc(sizeof(*c));

		if (!c) {
			return -ENOMEM;
		}
		weir_client_reuse(w, c);
	}
	return 0;
}

static void free_list(struct weir_client **list)
{
	while (*list) {
		struct weir_client *c = *list;

		*list = c->next;
		weir_free_ptr(&c);
	}
}

void weir_clients_fini(struct weir_worker *w)
{
	free_list(&w->free_clients);
	free_list(&w->last_clients);
	w->n_last_clients = 0;
}

void weir_client_reuse(struct weir_worker *w, struct weir_client *c)
{
	bool is_last = w->n_last_clients < WEIR_CLIENTS_LAST;
	struct weir_client **list = is_last ? &w->last_clients
					    : &w->free_clients;

	w->n_last_clients += is_last;
	c->next = *list;
	*list = c;
}

struct weir_client *weir_client_take(struct weir_worker *w)
{
	struct weir_client *c = w->free_clients;

	if (!c) {
		return malloc(sizeof(*c));
	}
	w->free_clients = c->next;
	return c;
}

struct weir_client *weir_client_take_last(struct weir_worker *w)
{
	struct weir_client *c = w->last_clients;

	if (c) {
		w->last_clients = c->next;
		w->n_last_clients--;
	}
	return c;
}
