// SPDX-License-Identifier: Apache-2.0
/*
 * The verifier's work per program (bpf_prog_info.verified_insns) against what
 * is recorded in tests/bpf/verifier.txt: more than a tenth above it fails.
 * WEIR_RECORD=1 writes the record anew (scripts/verifier-cost --record).
 */
#include "kernel_world.h"

#define PROGRAMS_MAX 32

struct cost {
	char name[32];
	unsigned int insns;
};

static struct cost now[PROGRAMS_MAX], record[PROGRAMS_MAX];
static size_t n_now, n_record;

static const char *record_path(void)
{
	static char path[512];
	const char *root = getenv("WEIR_ROOT");

	snprintf(path, sizeof(path), "%s/tests/bpf/verifier.txt",
		 root ? root : ".");
	return path;
}

/* From the "programs" of the report. */
static void read_report(const char *json)
{
	static const char name[] = "{\"name\":\"";
	static const char insns[] = "\"verified_insns\":";

	json = strstr(json, "\"programs\":[");
	must(json != NULL, "no programs in the report");
	while (n_now < PROGRAMS_MAX && (json = strstr(json, name))) {
		const char *end = strchr(json + strlen(name), '"');
		const char *cost = strstr(json, insns);

		/* Maps have names, too, but no such number. */
		if (!end || !cost || cost > strchr(json, '}')) {
			return;
		}
		snprintf(now[n_now].name, sizeof(now[n_now].name), "%.*s",
			 (int)(end - json - (ptrdiff_t)strlen(name)),
			 json + strlen(name));
		now[n_now++].insns = (unsigned int)strtoul(cost + strlen(insns),
							   NULL, 10);
		json = end;
	}
}

static void every_program_loads(void)
{
	_cleanup_buf_ struct weir_buf json = {0};
	struct weir_kernel_config config;
	struct weir_kernel *kernel;
	/* The forward half in XDP is loaded when an interface wants it. */
	const char *const xdp[] = {"lo"};

	world_begin("verifier");
	world_config(&config);
	config.xdp = xdp;
	config.n_xdp = 1;
	kernel = world_kernel(&config);
	ok(weir_kernel_report(kernel, &json) == 0, "report");
	weir_buf_add(&json, "", 1);
	weir_kernel_close(&kernel);
	world_end();
	must(json.error == 0, "memory");
	read_report(json.p);
	ok(n_now >= 11, "%zu programs", n_now);
	for (size_t i = 0; i < n_now; i++) {
		printf("# %-16s %u\n", now[i].name, now[i].insns);
		ok(now[i].insns > 0, "%s: the kernel does not say",
		   now[i].name);
	}
}

static void the_record_is_read(void)
{
	FILE *f;
	char line[256];

	if (getenv("WEIR_RECORD")) {
		f = fopen(record_path(), "we");
		must(f != NULL, "%s: %s", record_path(), strerror(errno));
		fprintf(f, "# Instructions the verifier walked, per program; "
			   "scripts/verifier-cost --record\n");
		for (size_t i = 0; i < n_now; i++) {
			fprintf(f, "%s %u\n", now[i].name, now[i].insns);
		}
		fclose(f);
	}
	f = fopen(record_path(), "re");
	must(f != NULL, "%s: %s", record_path(), strerror(errno));
	while (n_record < PROGRAMS_MAX && fgets(line, sizeof(line), f)) {
		struct cost *c = &record[n_record];

		if (sscanf(line, "%31s %u", c->name, &c->insns) == 2) {
			n_record++;
		}
	}
	fclose(f);
	ok(n_record > 0, "the record is empty");
}

static void no_program_grew_by_a_tenth(void)
{
	for (size_t i = 0; i < n_now; i++) {
		const struct cost *old = NULL;

		for (size_t k = 0; k < n_record; k++) {
			if (strcmp(record[k].name, now[i].name) == 0) {
				old = &record[k];
			}
		}
		if (!ok(old != NULL, "%s is not recorded", now[i].name)) {
			continue;
		}
		ok(now[i].insns * 10 <= old->insns * 11, "%s: %u, was %u",
		   now[i].name, now[i].insns, old->insns);
	}
}

static void the_record_names_nothing_else(void)
{
	for (size_t k = 0; k < n_record; k++) {
		bool is_there = false;

		for (size_t i = 0; i < n_now; i++) {
			is_there |= strcmp(record[k].name, now[i].name) == 0;
		}
		ok(is_there, "%s is recorded but not loaded", record[k].name);
	}
}

TAP_MAIN(TEST(every_program_loads), TEST(the_record_is_read),
	 TEST(no_program_grew_by_a_tenth), TEST(the_record_names_nothing_else))
