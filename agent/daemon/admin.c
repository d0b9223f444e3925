// SPDX-License-Identifier: Apache-2.0
#include "admin.h"

#include "report.h"

static void answer_plan(const struct weir_control *c, struct weir_reply *reply)
{
	if (!c->current.generation) {
		weir_buf_addz(&reply->body, "{\"error\":\"no plan yet\"}\n");
		return;
	}
	reply->fds[0] = c->current.rules_fd;
	reply->fds[1] = c->current.eps_fd;
	reply->n_fds = 2;
	weir_buf_printf(&reply->body, "{\"generation\":%llu}\n",
			(unsigned long long)c->current.generation);
}

void weir_admin_answer(void *arg, struct weir_str request,
		       struct weir_reply *reply)
{
	const struct weir_control *c = arg;
	struct weir_buf *b = &reply->body;

	request = weir_str_trim(request);
	if (request.n && request.p[request.n - 1] == '\r') {
		request.n--;
	}
	if (weir_str_is(request, "status")) {
		weir_report_status(c, b);
	} else if (weir_str_is(request, "stats")) {
		weir_report_stats(c, b);
	} else if (weir_str_is(request, "diags")) {
		weir_report_diags(c, b);
	} else if (weir_str_is(request, "plan")) {
		answer_plan(c, reply);
	} else if (weir_str_is(request, "probe")) {
		if (weir_kernel_report(c->kernel, b) < 0) {
			b->n = 0;
			weir_buf_addz(b, "{\"error\":\"no report\"}");
		}
		weir_buf_addz(b, "\n");
	} else {
		weir_buf_addz(b, "{\"error\":\"unknown request; known are "
				 "status, stats, diags, plan, probe\"}\n");
	}
}
