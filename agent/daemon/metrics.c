// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <errno.h>
#include <stdlib.h>

#include <unistd.h>

#include "cleanup.h"
#include "report.h"

/* Starts a family: its HELP and TYPE lines. */
static void family(struct weir_buf *b, const char *name, const char *type,
		   const char *help)
{
	weir_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
			type);
}

static void single(struct weir_buf *b, const char *name, const char *type,
		   const char *help, double v)
{
	family(b, name, type, help);
	weir_buf_printf(b, "%s %.15g\n", name, v);
}

static void labelled(struct weir_buf *b, const char *name, const char *label,
		     const char *value, uint64_t v)
{
	weir_buf_printf(b, "%s{%s=\"%s\"} %llu\n", name, label, value,
			(unsigned long long)v);
}

/* Counter names of the code in lower case: "CONNECT_PICKED". */
static void labelled_lower(struct weir_buf *b, const char *name,
			   const char *label, const char *value, uint64_t v)
{
	char text[64];
	size_t n = 0;

	for (; value[n] && n < sizeof(text) - 1; n++) {
		bool is_upper = value[n] >= 'A' && value[n] <= 'Z';

		text[n] = (char)(value[n] + (is_upper ? 'a' - 'A' : 0));
	}
	text[n] = '\0';
	labelled(b, name, label, text, v);
}

/* A label value of the user's: backslash, quote and newline escaped. */
static void add_label(struct weir_buf *b, const char *name, struct weir_str v)
{
	weir_buf_printf(b, "%s=\"", name);
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == '\n') {
			weir_buf_addz(b, "\\n");
			continue;
		}
		if (v.p[i] == '"' || v.p[i] == '\\') {
			weir_buf_addz(b, "\\");
		}
		weir_buf_add(b, &v.p[i], 1);
	}
	weir_buf_addz(b, "\"");
}

/* -------------------------------------------------------------- the agent */

static void write_agent(const struct weir_control *c, struct weir_buf *b)
{
	const struct weir_control_stats *s = &c->stats;
	const char *name = "weir_plan_generation";

	family(b, "weir_info", "gauge", "Version of the agent.");
	weir_buf_printf(b, "weir_info{version=\"%s\",abi=\"%d\"} 1\n",
			WEIR_VERSION, WEIR_ABI_VERSION);
	single(b, "weir_ready", "gauge",
	       "1 when the present plan is in force on every plane.",
	       weir_control_is_ready(c));
	family(b, name, "gauge", "Generation of the plan by stage.");
	labelled(b, name, "stage", "compiled",
		 c->next.generation ? c->next.generation
				    : c->current.generation);
	labelled(b, name, "stage", "kernel", weir_control_kernel_generation(c));
	labelled(b, name, "stage", "proxy", c->proxy_generation);
	single(b, "weir_compiles_total", "counter",
	       "Times the objects were compiled.", (double)s->compiles);
	single(b, "weir_plans_published_total", "counter",
	       "Plans that came into force.", (double)s->publishes);
	name = "weir_plans_refused_total";
	family(b, name, "counter",
	       "Plans that did not come into force, by who refused.");
	labelled(b, name, "by", "proxy", s->refused_proxy);
	labelled(b, name, "by", "kernel", s->refused_kernel);
	single(b, "weir_proxy_unanswered_total", "counter",
	       "Plans the proxy did not answer in time.",
	       (double)s->ack_timeouts);
	single(b, "weir_effect_seconds", "gauge",
	       "Last change, from its event to its last acknowledgement.",
	       (double)s->effect_us / 1e6);
	single(b, "weir_compile_seconds", "gauge",
	       "Part of it spent compiling.", (double)s->compile_us / 1e6);
	single(b, "weir_kernel_publish_seconds", "gauge",
	       "Part of it spent writing kernel tables.",
	       (double)s->publish_us / 1e6);
}

static void write_processes(const struct weir_control *c, struct weir_buf *b)
{
	const char *name = "weir_process_restarts_total";

	family(b, name, "counter", "Times a process was started again.");
	labelled(b, name, "process", "agent", c->shared->agent_restarts);
	labelled(b, name, "process", "proxy", c->shared->proxy_restarts);
	name = "weir_process_anonymous_bytes";
	family(b, name, "gauge", "Anonymous memory of a process.");
	labelled(b, name, "process", "parent",
		 weir_report_memory(c->shared->parent_pid));
	labelled(b, name, "process", "agent", weir_report_memory(getpid()));
	labelled(b, name, "process", "proxy",
		 weir_report_memory(c->shared->proxy_pid));
}

static void write_objects(const struct weir_control *c, struct weir_buf *b)
{
	static const char *const severities[] = {"error", "warning", "info"};
	const char *name = "weir_objects";
	size_t n[3];

	family(b, name, "gauge", "Objects in force by API group and kind.");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		size_t count = 0;

		weir_store_list(c->store, (enum weir_kind)k, &count);
		weir_buf_printf(b, "%s{group=\"%s\",kind=\"%s\"} %zu\n", name,
				weir_kind_group((enum weir_kind)k),
				weir_kind_text((enum weir_kind)k), count);
	}
	name = "weir_diagnostics";
	family(b, name, "gauge", "What is wrong with objects, by severity.");
	weir_report_count_diags(c, n);
	for (int i = 0; i < 3; i++) {
		labelled(b, name, "severity", severities[i], n[i]);
	}
	single(b, "weir_conflicts", "gauge",
	       "Addresses not taken because a socket of the host has them.",
	       (double)c->n_conflicts);
}

static void write_plan(const struct weir_control *c, struct weir_buf *b)
{
	const struct weir_plan *p = c->current.view.rules;
	uint64_t planes[_WEIR_PLANE_MAX] = {0};
	const char *name = "weir_rules";
	uint64_t endpoints = 0;

	if (!p) {
		return;
	}
	for (uint32_t i = 0; i < p->rules.n; i++) {
		planes[WEIR_PLAN_ELEM(p, struct weir_rule, p->rules, i)
			       ->plane]++;
	}
	for (uint32_t i = 0; i < p->groups.n; i++) {
		uint32_t n;

		weir_eps_of(c->current.view.eps, i, &n);
		endpoints += n;
	}
	family(b, name, "gauge", "Rules in force by plane.");
	for (unsigned int i = 0; i < _WEIR_PLANE_MAX; i++) {
		labelled(b, name, "plane", weir_plane_text((uint8_t)i),
			 planes[i]);
	}
	single(b, "weir_frontends", "gauge", "Addresses taken.",
	       p->frontends.n);
	single(b, "weir_groups", "gauge", "Sets of endpoints.", p->groups.n);
	single(b, "weir_endpoints", "gauge", "Endpoints in these sets.",
	       (double)endpoints);
	single(b, "weir_plan_bytes", "gauge", "Size of the plan.",
	       (double)(c->current.rules_size + c->current.eps_size));
}

/* -------------------------------------------------------- kernel and proxy */

static void write_kernel(const struct weir_control *c, struct weir_buf *b)
{
	static const char *const names[] = {
#define COUNTER_NAME(name, help) #name,
		WEIR_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
	};
	const char *name = "weir_kernel_events_total";
	uint64_t counts[_WEIR_COUNT_MAX];

	if (weir_kernel_counters(c->kernel, counts) < 0) {
		return;
	}
	family(b, name, "counter", "Events in the kernel planes.");
	for (int i = 0; i < _WEIR_COUNT_MAX; i++) {
		labelled_lower(b, name, "event", names[i], counts[i]);
	}
}

static void write_durations(const struct weir_proxy_totals *t,
			    struct weir_buf *b)
{
	const char *name = "weir_proxy_request_duration_seconds";
	uint64_t sum = 0;

	family(b, name, "histogram",
	       "Requests by the time from complete head to end of answer.");
	for (int i = 0; i < WEIR_PROXY_BUCKETS; i++) {
		sum += t->bucket[i];
		weir_buf_printf(b, "%s_bucket{le=\"%g\"} %llu\n", name,
				weir_proxy_bucket_us[i] / 1e6,
				(unsigned long long)sum);
	}
	sum += t->bucket[WEIR_PROXY_BUCKETS];
	weir_buf_printf(b,
			"%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.15g\n"
			"%s_count %llu\n",
			name, (unsigned long long)sum, name,
			(double)t->duration_us_sum / 1e6, name,
			(unsigned long long)sum);
}

static void write_proxy(const struct weir_control *c, struct weir_buf *b)
{
	static const char *const reasons[] = {
#define REASON_NAME(name, help) #name,
		WEIR_PROXY_REASONS(REASON_NAME)
#undef REASON_NAME
	};
	static const char *const classes[] = {"none", "1xx", "2xx",
					      "3xx",  "4xx", "5xx"};
	const struct weir_proxy_totals *t = &c->counters->stats->totals;
	const char *name = "weir_proxy_clients_total";

	family(b, name, "counter", "Client connections of the proxy.");
	labelled(b, name, "event", "opened", t->clients_opened);
	labelled(b, name, "event", "closed", t->clients_closed);
	labelled(b, name, "event", "refused", t->clients_refused);
	single(b, "weir_proxy_requests_total", "counter",
	       "HTTP requests, refused heads among them.", (double)t->requests);
	single(b, "weir_proxy_requests_in_flight", "gauge",
	       "Of these, not ended yet.", (double)weir_proxy_in_flight(t));
	name = "weir_proxy_responses_total";
	family(b, name, "counter",
	       "Of these, ended, by class of status; none had no answer.");
	for (int i = 0; i < 6; i++) {
		labelled(b, name, "class", classes[i], t->status[i]);
	}
	name = "weir_proxy_events_total";
	family(b, name, "counter",
	       "Answers of the proxy's own and what led to them, by reason.");
	for (int i = 0; i < _WEIR_PROXY_REASON_MAX; i++) {
		labelled_lower(b, name, "reason", reasons[i], t->reason[i]);
	}
	write_durations(t, b);
	single(b, "weir_proxy_pool_idle", "gauge",
	       "Unused connections to endpoints.", (double)t->pool_idle);
	name = "weir_proxy_pool_total";
	family(b, name, "counter",
	       "Requests by whether a connection was there.");
	labelled(b, name, "result", "hit", t->pool_hits);
	labelled(b, name, "result", "miss", t->pool_misses);
	name = "weir_proxy_workers";
	family(b, name, "gauge", "Threads of the proxy by how they do I/O.");
	labelled(b, name, "io", "epoll",
		 t->workers > t->rings ? t->workers - t->rings : 0);
	labelled(b, name, "io", "io_uring", t->rings);
	single(b, "weir_proxy_udp_associations", "gauge",
	       "Datagram associations under way.", (double)t->udp_associations);
	single(b, "weir_proxy_held", "gauge",
	       "Requests that wait for an endpoint (Knative).",
	       (double)t->held);
	single(b, "weir_proxy_activated_total", "counter",
	       "Requests for Knative revisions that slept, or had the "
	       "activator before them.",
	       (double)t->activated);
	single(b, "weir_proxy_early_pods_total", "counter",
	       "Pods of these that answered before they were Ready.",
	       (double)t->early_pods);
	single(b, "weir_proxy_autoscaler_reports_total", "counter",
	       "Messages to Knative's autoscaler.", (double)t->reports);
	single(b, "weir_proxy_autoscaler_connected", "gauge",
	       "1 while Knative's autoscaler hears them.",
	       (double)t->autoscaler_up);
	name = "weir_proxy_access_log_lines_total";
	family(b, name, "counter",
	       "Lines of the access log, by what became of them.");
	labelled(b, name, "result", "given", t->log_lines);
	labelled(b, name, "result", "lost", t->log_lost);
}

/* --------------------------------------------------------------- per route */

static void rule_labels(struct weir_buf *b, const struct weir_plan *p,
			const struct weir_rule *rule)
{
	const struct weir_pobject *o = WEIR_PLAN_ELEM(p, struct weir_pobject,
						      p->objects, rule->object);

	add_label(b, "kind", weir_plan_str(p, o->kind));
	weir_buf_addz(b, ",");
	add_label(b, "namespace", weir_plan_str(p, o->ns));
	weir_buf_addz(b, ",");
	add_label(b, "name", weir_plan_str(p, o->name));
	weir_buf_printf(b, ",rule=\"%u\"", rule->index);
}

/* Several rules of the plan may be one of the object (a match of two prefixes
 * that are replaced, a Knative rule at each of its doors), so series are put
 * together by their labels; what has the same counter counts once. */
struct sample {
	size_t at; /* of its labels, in text */
	size_t n;
	uint32_t stat;
	uint64_t value;
};

struct pile {
	struct weir_buf text;
	struct sample *v;
	size_t n;
	size_t room;
};

static void pile_fini(struct pile *p)
{
	weir_buf_fini(&p->text);
	weir_free_ptr(&p->v);
}

/* The labels are what was added to text since at. */
static void pile_add(struct pile *p, size_t at, uint32_t stat, uint64_t value)
{
	if (p->text.error) {
		return;
	}
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		struct sample *v = reallocarray(p->v, room, sizeof(*v));

		if (!v) {
			p->text.error = -ENOMEM;
			return;
		}
		p->v = v;
		p->room = room;
	}
	p->v[p->n++] = (struct sample){.at = at,
				       .n = weir_buf_str(&p->text).n - at,
				       .stat = stat,
				       .value = value};
}

static struct weir_str labels_of(const struct pile *p, const struct sample *s)
{
	return (struct weir_str){weir_buf_str(&p->text).p + s->at, s->n};
}

static int compare_samples(const void *a, const void *b, void *arg)
{
	const struct sample *x = a;
	const struct sample *y = b;
	int r = weir_str_cmp(labels_of(arg, x), labels_of(arg, y));

	return r ? r : (x->stat > y->stat) - (x->stat < y->stat);
}

static void pile_write(struct pile *p, const char *name, struct weir_buf *b)
{
	if (p->text.error) {
		b->error = p->text.error;
		return;
	}
	if (p->n > 1) {
		qsort_r(p->v, p->n, sizeof(*p->v), compare_samples, p);
	}
	for (size_t i = 0; i < p->n;) {
		struct weir_str labels = labels_of(p, &p->v[i]);
		uint64_t sum = p->v[i].value;
		size_t k = i + 1;

		for (; k < p->n && weir_str_eq(labels, labels_of(p, &p->v[k]));
		     k++) {
			sum += p->v[k].stat == p->v[k - 1].stat ? 0
								: p->v[k].value;
		}
		weir_buf_printf(b, "%s{%.*s} %llu\n", name,
				WEIR_STR_ARG(labels), (unsigned long long)sum);
		i = k;
	}
}

static void write_rule_requests(const struct weir_control *c,
				struct weir_buf *b)
{
	const struct weir_plan *p = c->current.view.rules;
	const char *name = "weir_rule_responses_total";
	_cleanup_(pile_fini) struct pile pile = {0};

	family(b, name, "counter",
	       "Requests of a rule by class of status; code 0 had no answer.");
	for (uint32_t i = 0; i < p->rules.n; i++) {
		const struct weir_rule *rule = WEIR_PLAN_ELEM(
			p, struct weir_rule, p->rules, i);
		const struct weir_proxy_rulestat *s = weir_report_rule(
			c, rule->stat);

		for (int k = 0; s && k < 6; k++) {
			size_t at = weir_buf_str(&pile.text).n;

			rule_labels(&pile.text, p, rule);
			weir_buf_printf(&pile.text, ",code=\"%d%s\"", k,
					k ? "xx" : "");
			pile_add(&pile, at, rule->stat, s->status[k]);
		}
	}
	pile_write(&pile, name, b);
}

static void add_ref(struct pile *pile, const struct weir_plan *p,
		    const struct weir_rule *rule, const struct weir_ref *ref,
		    const char *plane, uint64_t v)
{
	const struct weir_pobject *o = WEIR_PLAN_ELEM(p, struct weir_pobject,
						      p->objects, ref->object);
	struct weir_buf *b = &pile->text;
	size_t at = weir_buf_str(b).n;

	rule_labels(b, p, rule);
	weir_buf_printf(b, ",index=\"%u\",", ref->index);
	add_label(b, "backend", weir_plan_str(p, o->name));
	weir_buf_addz(b, ",");
	add_label(b, "detail", weir_plan_str(p, ref->detail));
	weir_buf_printf(b, ",plane=\"%s\"", plane);
	pile_add(pile, at, ref->stat, v);
}

static void write_backends(const struct weir_control *c, struct weir_buf *b)
{
	const struct weir_plan *p = c->current.view.rules;
	const char *name = "weir_backend_picked_total";
	_cleanup_(pile_fini) struct pile pile = {0};

	family(b, name, "counter",
	       "Connections or requests given to a backendRef, by plane.");
	for (uint32_t i = 0; i < p->rules.n; i++) {
		const struct weir_rule *rule = WEIR_PLAN_ELEM(
			p, struct weir_rule, p->rules, i);

		for (uint32_t k = 0; k < rule->refs.n; k++) {
			const struct weir_ref *ref = WEIR_PLAN_ELEM(
				p, struct weir_ref, rule->refs, k);
			struct weir_ref_sum s;

			if (!weir_report_ref(c, ref->stat, &s)) {
				continue;
			}
			add_ref(&pile, p, rule, ref, "connect",
				s.kernel.picked_connect);
			add_ref(&pile, p, rule, ref, "packet",
				s.kernel.picked_packet);
			add_ref(&pile, p, rule, ref, "proxy", s.proxy.picked);
		}
	}
	pile_write(&pile, name, b);
}

void weir_metrics_write(const struct weir_control *c, struct weir_buf *out)
{
	write_agent(c, out);
	write_processes(c, out);
	write_objects(c, out);
	write_plan(c, out);
	write_kernel(c, out);
	write_proxy(c, out);
	c->feed->metrics(c->feed, out);
	if (c->options->is_per_route && c->current.generation) {
		write_rule_requests(c, out);
		write_backends(c, out);
	}
}

/* -------------------------------------------------------------------- HTTP */

static void answer(struct weir_buf *out, const char *status,
		   struct weir_str body, bool is_head)
{
	weir_buf_printf(out,
			"HTTP/1.1 %s\r\nContent-Type: text/plain; "
			"version=0.0.4; charset=utf-8\r\n"
			"Content-Length: %zu\r\nConnection: close\r\n\r\n",
			status, body.n);
	if (!is_head) {
		weir_buf_add_str(out, body);
	}
}

void weir_metrics_answer(void *arg, struct weir_str request,
			 struct weir_reply *reply)
{
	const struct weir_control *c = arg;
	_cleanup_buf_ struct weir_buf body = {0};
	bool is_head = weir_str_starts(request, WEIR_STR("HEAD "));
	const char *status = "200 OK";
	struct weir_str target;
	ptrdiff_t end;

	if (!is_head && !weir_str_starts(request, WEIR_STR("GET "))) {
		answer(&reply->body, "405 Method Not Allowed",
		       WEIR_STR("GET or HEAD\n"), false);
		return;
	}
	target = weir_str_skip(request, is_head ? 5 : 4);
	end = weir_str_find(target, ' ');
	target.n = end < 0 ? target.n : (size_t)end;
	end = weir_str_find(target, '?');
	target.n = end < 0 ? target.n : (size_t)end;
	if (weir_str_is(target, "/metrics")) {
		weir_metrics_write(c, &body);
	} else if (weir_str_is(target, "/healthz")) {
		weir_buf_addz(&body, "ok\n"); /* the loop turns */
	} else if (weir_str_is(target, "/readyz")) {
		bool is_ready = weir_control_is_ready(c);

		status = is_ready ? status : "503 Service Unavailable";
		weir_buf_addz(&body, is_ready ? "ready\n" : "not ready\n");
	} else {
		status = "404 Not Found";
		weir_buf_addz(&body, "/metrics, /healthz, /readyz\n");
	}
	answer(&reply->body, status, weir_buf_str(&body), is_head);
}
