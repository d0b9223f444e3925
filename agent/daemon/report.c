// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "fdutil.h"

static void add_u64(struct weir_buf *b, const char *name, uint64_t v)
{
	weir_buf_printf(b, "\"%s\":%llu", name, (unsigned long long)v);
}

struct number {
	const char *name;
	uint64_t v;
};

static void add_numbers(struct weir_buf *b, const struct number *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		weir_buf_addz(b, i ? "," : "");
		add_u64(b, v[i].name, v[i].v);
	}
}

/* ADD_NUMBERS(b, {"name", value}, ...): members of an object. */
#define ADD_NUMBERS(b, ...)                                                    \
	add_numbers((b), (const struct number[]){__VA_ARGS__},                 \
		    sizeof((const struct number[]){__VA_ARGS__}) /             \
			    sizeof(struct number))

static void add_text(struct weir_buf *b, const char *name, const char *text)
{
	weir_buf_printf(b, "\"%s\":", name);
	weir_buf_add_json(b, weir_str_of(text));
}

static void add_str(struct weir_buf *b, const char *name, struct weir_str s)
{
	weir_buf_printf(b, "\"%s\":", name);
	weir_buf_add_json(b, s);
}

/* ------------------------------------------------------------------ status */

uint64_t weir_report_memory(pid_t pid)
{
	_cleanup_buf_ struct weir_buf text = {0};
	char path[64];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (pid <= 0 || weir_read_file_at(-1, path, 65536, &text) < 0) {
		return 0;
	}
	weir_buf_add(&text, "", 1);
	at = text.error ? NULL : strstr(text.p, "RssAnon:");
	return at ? strtoull(at + strlen("RssAnon:"), NULL, 10) * 1024 : 0;
}

static void add_process(struct weir_buf *b, const char *name, pid_t pid,
			uint32_t restarts)
{
	weir_buf_printf(b, "\"%s\":{\"pid\":%d,\"restarts\":%u,", name, pid,
			restarts);
	add_u64(b, "anon_bytes", weir_report_memory(pid));
	weir_buf_addz(b, "}");
}

static void add_processes(struct weir_buf *b, const struct weir_shared *s)
{
	weir_buf_addz(b, "\"processes\":{");
	add_process(b, "parent", s->parent_pid, 0);
	weir_buf_addz(b, ",");
	add_process(b, "agent", getpid(), s->agent_restarts);
	weir_buf_addz(b, ",");
	add_process(b, "proxy", s->proxy_pid, s->proxy_restarts);
	weir_buf_addz(b, "}");
}

static void add_objects(struct weir_buf *b, const struct weir_control *c)
{
	weir_buf_addz(b, "\"objects\":{");
	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		size_t n = 0;

		weir_store_list(c->store, (enum weir_kind)k, &n);
		/* Two kinds are called Service. */
		weir_buf_printf(b, "%s\"%s%s%s\":%zu", k ? "," : "",
				weir_kind_text((enum weir_kind)k),
				weir_kind_group((enum weir_kind)k)[0] ? "."
								      : "",
				weir_kind_group((enum weir_kind)k), n);
	}
	weir_buf_addz(b, "}");
}

static void add_plan(struct weir_buf *b, const struct weir_control *c)
{
	const struct weir_plan *p = c->current.view.rules;
	size_t endpoints = 0;

	weir_buf_addz(b, "\"plan\":{");
	if (p) {
		for (uint32_t g = 0; g < p->groups.n; g++) {
			uint32_t n;

			weir_eps_of(c->current.view.eps, g, &n);
			endpoints += n;
		}
		weir_buf_printf(b,
				"\"frontends\":%u,\"rules\":%u,\"groups\":%u,"
				"\"endpoints\":%zu,\"rules_bytes\":%zu,"
				"\"endpoints_bytes\":%zu,\"ids_lost\":%u",
				p->frontends.n, p->rules.n, p->groups.n,
				endpoints, c->current.rules_size,
				c->current.eps_size, c->stats.ids_lost);
	}
	weir_buf_addz(b, "}");
}

static void add_conflicts(struct weir_buf *b, const struct weir_control *c)
{
	weir_buf_addz(b, "\"conflicts\":[");
	for (size_t i = 0; i < c->n_conflicts; i++) {
		char text[WEIR_ADDR_TEXT_MAX];

		weir_buf_printf(b,
				"%s{\"address\":\"%s\",\"proto\":\"%s\","
				"\"reason\":\"AddressNotUsable\"}",
				i ? "," : "",
				weir_addr_format(&c->conflicts[i].addr,
						 c->conflicts[i].port_be, text),
				c->conflicts[i].proto == IPPROTO_UDP ? "udp"
								     : "tcp");
	}
	weir_buf_addz(b, "]");
}

struct address_list {
	const struct weir_control *c;
	struct weir_buf *json;
	const char *comma;
};

static void add_address(void *arg, const struct weir_lan_state *s)
{
	struct address_list *list = arg;
	struct weir_buf *b = list->json;
	const struct weir_feed *feed = list->c->feed;
	struct weir_str owner = feed->owner(feed, &s->ip);
	char text[WEIR_ADDR_TEXT_MAX];

	weir_buf_printf(b, "%s{\"address\":\"%s\",\"answers\":%s,", list->comma,
			weir_ip_format(&s->ip, text),
			s->is_answering ? "true" : "false");
	list->comma = ",";
	weir_buf_printf(b, "\"of_node\":%s,", s->is_of_node ? "true" : "false");
	add_text(b, "interface", s->interface);
	weir_buf_addz(b, ",\"owner\":");
	if (owner.n) {
		weir_buf_add_json(b, owner);
	} else {
		weir_buf_addz(b, "null");
	}
	weir_buf_addz(b, "}");
}

/* Who answers for Gateways' addresses on the LAN. */
static void add_addresses(struct weir_buf *b, const struct weir_control *c)
{
	struct address_list list = {.c = c, .json = b, .comma = ""};

	weir_buf_addz(b, "\"addresses\":[");
	weir_kernel_lan_each(c->kernel, add_address, &list);
	weir_buf_addz(b, "]");
}

struct severity_counts {
	size_t n[3];
};

static void count_diag(void *arg, const struct weir_diag *d)
{
	struct severity_counts *counts = arg;

	if (d->severity <= WEIR_DIAG_INFO) {
		counts->n[d->severity]++;
	}
}

void weir_report_count_diags(const struct weir_control *c,
			     size_t ret_n[static 3])
{
	struct severity_counts counts = {0};

	weir_control_diags(c, count_diag, &counts);
	memcpy(ret_n, counts.n, sizeof(counts.n));
}

static void add_work(struct weir_buf *b, const struct weir_control *c)
{
	const struct weir_control_stats *s = &c->stats;

	weir_buf_printf(b,
			"\"generation\":{\"compiled\":%llu,\"kernel\":%llu,"
			"\"proxy\":%llu},",
			(unsigned long long)(c->next.generation
						     ? c->next.generation
						     : c->current.generation),
			(unsigned long long)weir_control_kernel_generation(c),
			(unsigned long long)c->proxy_generation);
	weir_buf_addz(b, "\"changes\":{");
	ADD_NUMBERS(b, {"compiles", s->compiles}, {"published", s->publishes},
		    {"refused_by_proxy", s->refused_proxy},
		    {"refused_by_kernel", s->refused_kernel},
		    {"unanswered", s->ack_timeouts},
		    {"last_effect_us", s->effect_us},
		    {"last_compile_us", s->compile_us},
		    {"last_kernel_us", s->publish_us});
	weir_buf_addz(b, "}");
}

/* Those by which the proxy reads a head, by the names of their flags. */
static void add_limits(struct weir_buf *b, const struct weir_proxy_limits *l)
{
	weir_buf_addz(b, "\"limits\":{");
	ADD_NUMBERS(b, {"max_head", l->max_head_bytes},
		    {"max_headers", l->max_headers},
		    {"max_target", l->max_target_bytes});
	weir_buf_addz(b, "}");
}

static void add_workers(struct weir_buf *b, const struct weir_proxy_totals *t)
{
	weir_buf_addz(b, "\"proxy\":{");
	ADD_NUMBERS(b, {"workers", t->workers}, {"io_uring", t->rings});
	weir_buf_addz(b, "}");
}

void weir_report_status(const struct weir_control *c, struct weir_buf *b)
{
	size_t diags[3];

	weir_report_count_diags(c, diags);
	weir_buf_addz(b, "{");
	add_text(b, "version", WEIR_VERSION);
	weir_buf_printf(b, ",\"abi\":%d,", WEIR_ABI_VERSION);
	add_u64(b, "uptime_ms", (weir_now_us() - c->shared->started_us) / 1000);
	weir_buf_printf(b, ",\"ready\":%s,",
			weir_control_is_ready(c) ? "true" : "false");
	add_text(b, "node", c->options->node_name);
	weir_buf_addz(b, ",");
	add_text(b, "manifests", c->options->manifests);
	c->feed->status(c->feed, b);
	weir_buf_addz(b, ",");
	add_work(b, c);
	if (c->what_is_full) {
		weir_buf_addz(b, ",");
		add_text(b, "raise", c->what_is_full);
	}
	weir_buf_addz(b, ",");
	add_processes(b, c->shared);
	weir_buf_addz(b, ",");
	add_workers(b, &c->counters->stats->totals);
	weir_buf_addz(b, ",");
	add_limits(b, &c->options->limits);
	weir_buf_addz(b, ",");
	add_objects(b, c);
	weir_buf_addz(b, ",");
	add_plan(b, c);
	weir_buf_addz(b, ",");
	add_addresses(b, c);
	weir_buf_addz(b, ",");
	add_conflicts(b, c);
	weir_buf_printf(
		b, ",\"diags\":{\"error\":%zu,\"warning\":%zu,\"info\":%zu}",
		diags[WEIR_DIAG_ERROR], diags[WEIR_DIAG_WARNING],
		diags[WEIR_DIAG_INFO]);
	weir_buf_addz(b, ",\"kernel\":");
	if (weir_kernel_report(c->kernel, b) < 0) {
		weir_buf_addz(b, "null");
	}
	weir_buf_addz(b, "}\n");
}

/* ------------------------------------------------------------------- stats */

bool weir_report_ref(const struct weir_control *c, uint32_t stat,
		     struct weir_ref_sum *ret_sum)
{
	struct weir_ref_sum sum = {0};

	if (stat == 0) {
		return false;
	}
	weir_kernel_refstat(c->kernel, stat, &sum.kernel);
	if (stat < c->counters->max[WEIR_IDS_REF]) {
		sum.proxy = c->counters->refs[stat];
	}
	/* Summed over CPUs without a lock: closed may be ahead. */
	if (sum.kernel.opened > sum.kernel.closed) {
		sum.in_flight = sum.kernel.opened - sum.kernel.closed;
	}
	sum.in_flight += sum.proxy.in_flight;
	*ret_sum = sum;
	return true;
}

const struct weir_proxy_rulestat *weir_report_rule(const struct weir_control *c,
						   uint32_t stat)
{
	if (stat == 0 || stat >= c->counters->max[WEIR_IDS_RULE]) {
		return NULL;
	}
	return &c->counters->rules[stat];
}

static void add_rule_stats(struct weir_buf *b, const struct weir_control *c)
{
	const struct weir_plan *p = c->current.view.rules;
	const char *comma = "";

	for (uint32_t i = 0; p && i < p->rules.n; i++) {
		const struct weir_rule *rule = WEIR_PLAN_ELEM(
			p, struct weir_rule, p->rules, i);
		const struct weir_proxy_rulestat *s = weir_report_rule(
			c, rule->stat);

		if (!s) {
			continue;
		}
		weir_buf_printf(
			b, "%s{\"id\":%u,\"requests\":%llu,\"status\":", comma,
			rule->stat, (unsigned long long)s->requests);
		for (int k = 0; k < 6; k++) {
			weir_buf_printf(b, "%c%llu", k ? ',' : '[',
					(unsigned long long)s->status[k]);
		}
		weir_buf_printf(b, "],\"in_flight\":%llu}",
				(unsigned long long)s->in_flight);
		comma = ",";
	}
}

static void add_ref(struct weir_buf *b, const struct weir_control *c,
		    uint32_t stat, const char **comma)
{
	struct weir_ref_sum s;

	if (!weir_report_ref(c, stat, &s)) {
		return;
	}
	weir_buf_printf(b, "%s{\"id\":%u,", *comma, stat);
	ADD_NUMBERS(b, {"picked_connect", s.kernel.picked_connect},
		    {"picked_packet", s.kernel.picked_packet},
		    {"picked_proxy", s.proxy.picked},
		    {"refused", s.kernel.refused + s.proxy.refused},
		    {"failed", s.kernel.failed + s.proxy.failed},
		    {"opened", s.kernel.opened}, {"closed", s.kernel.closed},
		    {"in_flight", s.in_flight});
	weir_buf_addz(b, "}");
	*comma = ",";
}

static void add_ref_stats(struct weir_buf *b, const struct weir_control *c)
{
	const struct weir_plan *p = c->current.view.rules;
	const char *comma = "";

	for (uint32_t i = 0; p && i < p->rules.n; i++) {
		const struct weir_rule *rule = WEIR_PLAN_ELEM(
			p, struct weir_rule, p->rules, i);

		for (uint32_t k = 0; k < rule->refs.n; k++) {
			add_ref(b, c,
				WEIR_PLAN_ELEM(p, struct weir_ref, rule->refs,
					       k)
					->stat,
				&comma);
		}
	}
}

static void add_endpoint(struct weir_buf *b, const struct weir_control *c,
			 const struct weir_endpoint *e)
{
	const struct weir_proxy_epstat none = {0};
	const struct weir_proxy_epstat *p =
		e->stat < c->counters->max[WEIR_IDS_ENDPOINT]
			? &c->counters->endpoints[e->stat]
			: &none;
	struct weir_epstat k = {0};
	char text[WEIR_ADDR_TEXT_MAX];
	uint64_t in_flight = p->in_flight;

	weir_kernel_epstat(c->kernel, e->stat, &k);
	/* The proxy's open connections may be idle; the kernel's are clients.
	 */
	if (k.opened > k.closed) {
		in_flight += k.opened - k.closed;
	}
	weir_buf_printf(b, "{\"id\":%u,\"addr\":\"%s\",", e->stat,
			weir_addr_format(&e->addr, e->port_be, text));
	ADD_NUMBERS(b, {"opened", k.opened + p->opened},
		    {"closed", k.closed + p->closed},
		    {"failed", k.failed + p->failed}, {"in_flight", in_flight},
		    {"requests", p->requests},
		    {"tx_bytes", k.tx_bytes + p->tx_bytes},
		    {"rx_bytes", k.rx_bytes + p->rx_bytes},
		    {"rtt_us", k.rtt_count ? k.rtt_us_sum / k.rtt_count : 0});
	weir_buf_addz(b, "}");
}

/* An endpoint may be in several groups: once by id. */
static void add_endpoint_stats(struct weir_buf *b, const struct weir_control *c)
{
	const struct weir_plan *p = c->current.view.rules;
	uint32_t max = c->options->kernel.max_endpoints;
	_cleanup_free_ uint8_t *seen = calloc(max / 8 + 1, 1);
	const char *comma = "";

	for (uint32_t g = 0; seen && p && g < p->groups.n; g++) {
		uint32_t n;
		const struct weir_endpoint *v = weir_eps_of(c->current.view.eps,
							    g, &n);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t id = v[i].stat;
			uint8_t bit = (uint8_t)(1u << (id % 8));

			if (id == 0 || id >= max || seen[id / 8] & bit) {
				continue;
			}
			seen[id / 8] |= bit;
			weir_buf_addz(b, comma);
			add_endpoint(b, c, &v[i]);
			comma = ",";
		}
	}
}

static const char *const reason_names[] = {
#define REASON_NAME(name, help) #name,
	WEIR_PROXY_REASONS(REASON_NAME)
#undef REASON_NAME
};

static void add_totals(struct weir_buf *b, const struct weir_proxy_totals *t)
{
	ADD_NUMBERS(b, {"clients_opened", t->clients_opened},
		    {"clients_closed", t->clients_closed},
		    {"clients_refused", t->clients_refused},
		    {"requests", t->requests},
		    {"in_flight", weir_proxy_in_flight(t)},
		    {"duration_us_sum", t->duration_us_sum},
		    {"pool_idle", t->pool_idle}, {"pool_hits", t->pool_hits},
		    {"pool_misses", t->pool_misses},
		    {"udp_associations", t->udp_associations},
		    {"held", t->held}, {"activated", t->activated},
		    {"early_pods", t->early_pods}, {"reports", t->reports},
		    {"autoscaler_up", t->autoscaler_up},
		    {"log_lines", t->log_lines}, {"log_lost", t->log_lost});
	weir_buf_addz(b, ",\"reasons\":{");
	for (int i = 0; i < _WEIR_PROXY_REASON_MAX; i++) {
		weir_buf_addz(b, i ? "," : "");
		add_u64(b, reason_names[i], t->reason[i]);
	}
	weir_buf_addz(b, "},\"duration_us\":[");
	for (int i = 0; i <= WEIR_PROXY_BUCKETS; i++) {
		weir_buf_printf(b, "%s%llu", i ? "," : "",
				(unsigned long long)t->bucket[i]);
	}
	weir_buf_addz(b, "]");
}

static const char *const counter_names[] = {
#define COUNTER_NAME(name, help) #name,
	WEIR_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

void weir_report_stats(const struct weir_control *c, struct weir_buf *b)
{
	uint64_t counts[_WEIR_COUNT_MAX] = {0};

	weir_kernel_counters(c->kernel, counts);
	weir_buf_addz(b, "{");
	ADD_NUMBERS(b, {"generation", c->current.generation},
		    {"now_us", weir_now_us()});
	weir_buf_addz(b, ",\"rules\":[");
	add_rule_stats(b, c);
	weir_buf_addz(b, "],\"refs\":[");
	add_ref_stats(b, c);
	weir_buf_addz(b, "],\"endpoints\":[");
	add_endpoint_stats(b, c);
	weir_buf_addz(b, "],\"totals\":{");
	add_totals(b, &c->counters->stats->totals);
	weir_buf_addz(b, "},\"counters\":{");
	for (int i = 0; i < _WEIR_COUNT_MAX; i++) {
		weir_buf_addz(b, i ? "," : "");
		add_u64(b, counter_names[i], counts[i]);
	}
	weir_buf_addz(b, "}}\n");
}

/* ------------------------------------------------------------------- diags */

struct diag_list {
	struct weir_buf *json;
	const char *comma;
};

static void add_diag(void *arg, const struct weir_diag *d)
{
	static const char *const severities[] = {
		[WEIR_DIAG_ERROR] = "error",
		[WEIR_DIAG_WARNING] = "warning",
		[WEIR_DIAG_INFO] = "info",
	};
	struct diag_list *list = arg;
	struct weir_buf *b = list->json;

	weir_buf_printf(b, "%s{\"severity\":\"%s\",", list->comma,
			severities[d->severity]);
	list->comma = ",\n";
	add_str(b, "reason", d->reason);
	weir_buf_addz(b, ",");
	add_str(b, "source", d->source);
	weir_buf_printf(b, ",\"line\":%u,", d->line);
	add_str(b, "kind", d->kind);
	weir_buf_addz(b, ",");
	add_str(b, "namespace", d->ns);
	weir_buf_addz(b, ",");
	add_str(b, "name", d->name);
	weir_buf_addz(b, ",");
	add_str(b, "field", d->field);
	weir_buf_addz(b, ",");
	add_str(b, "message", d->message);
	weir_buf_addz(b, "}");
}

void weir_report_diags(const struct weir_control *c, struct weir_buf *b)
{
	struct diag_list list = {.json = b, .comma = ""};

	weir_buf_addz(b, "{\"diags\":[");
	weir_control_diags(c, add_diag, &list);
	weir_buf_addz(b, "],");
	add_conflicts(b, c);
	weir_buf_addz(b, "}\n");
}
