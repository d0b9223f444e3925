/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From verdicts to status: what is desired, and that merging it into anything
 * gives a status whose our part is just that, with the rest untouched.
 */
#include <cjson/cJSON.h>

#include "compile_site.h"
#include "status.h"

#define NOW "2026-11-25T12:00:00Z"
#define EARLIER "2026-01-01T00:00:00Z"

static const char site_yaml[] =
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: GatewayClass\n"
	"metadata: {name: weir, generation: 3}\n"
	"spec: {controllerName: weir.dev/gateway-controller}\n"
	"---\n"
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: Gateway\n"
	"metadata: {name: gw, namespace: default, generation: 7}\n"
	"spec:\n"
	"  gatewayClassName: weir\n"
	"  addresses: [{type: IPAddress, value: 10.1.0.1}]\n"
	"  listeners:\n"
	"  - {name: web, port: 80, protocol: HTTP}\n"
	"  - {name: odd, port: 81, protocol: example.com/odd}\n"
	"  - name: kinds\n"
	"    port: 82\n"
	"    protocol: HTTP\n"
	"    allowedRoutes: {kinds: [{kind: Nothing}]}\n"
	"  - {name: a, port: 83, protocol: TCP}\n"
	"  - {name: b, port: 83, protocol: TCP}\n"
	"---\n"
	"apiVersion: gateway.networking.k8s.io/v1\n"
	"kind: HTTPRoute\n"
	"metadata: {name: r, namespace: default, generation: 2}\n"
	"spec:\n"
	"  parentRefs:\n"
	"  - {name: gw}\n"
	"  - {name: gw, namespace: default, sectionName: none}\n"
	"  - {name: foreign}\n"
	"  rules:\n"
	"  - backendRefs: [{name: missing, port: 80}]\n";

static cJSON *parse(const struct weir_buf *b)
{
	cJSON *json = cJSON_ParseWithLength(b->p, b->n);

	must(json != NULL, "not JSON: %.*s", (int)b->n, b->p);
	return json;
}

static const cJSON *get(const cJSON *map, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(map, key);
}

static const cJSON *named(const cJSON *list, const char *key, const char *value)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, list)
	{
		const cJSON *v = get(e, key);

		if (cJSON_IsString(v) && strcmp(v->valuestring, value) == 0) {
			return e;
		}
	}
	return NULL;
}

/* "True/Accepted", and every generation as it should be. */
static void check_condition(const cJSON *where, const char *type,
			    const char *want, int generation)
{
	const cJSON *c = named(get(where, "conditions"), "type", type);
	char got[128] = "absent";

	if (c) {
		snprintf(got, sizeof(got), "%s/%s",
			 get(c, "status")->valuestring,
			 get(c, "reason")->valuestring);
		ok(get(c, "observedGeneration")->valueint == generation,
		   "%s: observedGeneration", type);
	}
	ok(strcmp(got, want) == 0, "%s is %s, expected %s", type, got, want);
}

static const struct weir_str ns_default = {"default", 7};

static void check_listener(const cJSON *status, const char *name,
			   const char *accepted, const char *refs,
			   const char *programmed, const char *conflicted,
			   int n_kinds)
{
	const cJSON *l = named(get(status, "listeners"), "name", name);

	must(l != NULL, "no listener %s", name);
	printf("# listener %s\n", name);
	check_condition(l, "Accepted", accepted, 7);
	check_condition(l, "ResolvedRefs", refs, 7);
	check_condition(l, "Programmed", programmed, 7);
	check_condition(l, "Conflicted", conflicted, 7);
	ok(cJSON_GetArraySize(get(l, "supportedKinds")) == n_kinds,
	   "%s: supported kinds", name);
}

static void a_gateway_says_what_is_wrong_with_each_listener(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf out = {0};
	const struct weir_gateway_verdict *g;
	cJSON *status;

	site_init(&s, site_yaml);
	g = weir_verdict_gateway(&s.out.verdicts, WEIR_KIND_GATEWAY, ns_default,
				 WEIR_STR("gw"));
	must(g != NULL, "a verdict");
	weir_status_gateway(g, true, &out);
	status = parse(&out);
	check_condition(status, "Accepted", "True/ListenersNotValid", 7);
	check_condition(status, "Programmed", "True/Programmed", 7);
	check_listener(status, "web", "True/Accepted", "True/ResolvedRefs",
		       "True/Programmed", "False/NoConflicts", 2);
	check_listener(status, "odd", "False/UnsupportedProtocol",
		       "True/ResolvedRefs", "False/Invalid",
		       "False/NoConflicts", 0);
	check_listener(status, "kinds", "True/Accepted",
		       "False/InvalidRouteKinds", "True/Programmed",
		       "False/NoConflicts", 0);
	check_listener(status, "a", "False/HostnameConflict",
		       "True/ResolvedRefs", "False/HostnameConflict",
		       "True/HostnameConflict", 1);
	ok(get(named(get(status, "listeners"), "name", "web"), "attachedRoutes")
			   ->valueint == 1,
	   "attached routes");
	ok(strcmp(get(cJSON_GetArrayItem(get(status, "addresses"), 0), "value")
			  ->valuestring,
		  "10.1.0.1") == 0,
	   "address");
	cJSON_Delete(status);
}

static void a_gateway_is_programmed_when_every_node_has_it(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf out = {0};
	cJSON *status;

	site_init(&s, site_yaml);
	weir_status_gateway(&s.out.verdicts.gateways[0], false, &out);
	status = parse(&out);
	check_condition(status, "Programmed", "False/Pending", 7);
	check_listener(status, "web", "True/Accepted", "True/ResolvedRefs",
		       "False/Pending", "False/NoConflicts", 2);
	cJSON_Delete(status);
}

static void a_route_answers_for_each_of_its_parents(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf out = {0};
	const struct weir_object *route;
	const struct weir_route_verdict *v;
	const cJSON *parents;
	cJSON *status;

	site_init(&s, site_yaml);
	route = weir_store_find(s.store, WEIR_KIND_HTTP_ROUTE, ns_default,
				WEIR_STR("r"));
	v = weir_verdict_route(&s.out.verdicts, WEIR_KIND_HTTP_ROUTE,
			       ns_default, WEIR_STR("r"));
	weir_status_route(v, route, &out);
	status = parse(&out);
	parents = get(status, "parents");
	must(cJSON_GetArraySize(parents) == 2, "that of others is not ours");
	check_condition(parents->child, "Accepted", "True/Accepted", 2);
	check_condition(parents->child, "ResolvedRefs", "False/BackendNotFound",
			2);
	check_condition(parents->child->next, "Accepted",
			"False/NoMatchingParent", 2);
	check_condition(parents->child->next, "ResolvedRefs",
			"False/BackendNotFound", 2);
	ok(!get(get(parents->child, "parentRef"), "namespace"),
	   "as the route gives it");
	ok(get(get(parents->child->next, "parentRef"), "namespace") != NULL,
	   "as the route gives it");
	ok(get(get(parents->child, "parentRef"), "group") != NULL, "group");
	cJSON_Delete(status);
}

/* Knative's conditions have no generation of their own, and the CRD would drop
 * one. */
static void check_king(const struct weir_king_verdict *v, bool is_applied,
		       const char *ready, const char *reason)
{
	_cleanup_buf_ struct weir_buf out = {0};
	const cJSON *c;
	const cJSON *to;
	cJSON *status;

	weir_status_king(v, is_applied, &out);
	status = parse(&out);
	ok(get(status, "observedGeneration")->valueint == 5, "generation");
	c = named(get(status, "conditions"), "type", "Ready");
	must(c != NULL, "Ready");
	ok(strcmp(get(c, "status")->valuestring, ready) == 0, "Ready is %s",
	   get(c, "status")->valuestring);
	ok(reason ? strcmp(get(c, "reason")->valuestring, reason) == 0
		  : !get(c, "reason"),
	   "reason");
	ok(!get(c, "observedGeneration"), "no generation in the condition");
	c = named(get(status, "conditions"), "type", "NetworkConfigured");
	ok(c && strcmp(get(c, "status")->valuestring, "True") == 0,
	   "NetworkConfigured");
	to = get(get(status, "publicLoadBalancer"), "ingress");
	ok(cJSON_GetArraySize(to) == 1 &&
		   cJSON_IsTrue(get(cJSON_GetArrayItem(to, 0), "meshOnly")),
	   "no gateway: mesh only");
	to = get(get(status, "privateLoadBalancer"), "ingress");
	ok(cJSON_GetArraySize(to) == 1 &&
		   strcmp(get(cJSON_GetArrayItem(to, 0), "domainInternal")
				  ->valuestring,
			  "gw.ns.svc.cluster.local") == 0,
	   "the private gateway");
	cJSON_Delete(status);
}

static void a_kingress_is_ready_when_every_node_has_it(void)
{
	static const struct weir_fault conflict = {"DomainConflict",
						   {"taken", 5}};
	struct weir_king_verdict v = {
		.id = {.kind = WEIR_KIND_KINGRESS, .generation = 5},
		.private_domain = WEIR_STR("gw.ns.svc.cluster.local")};
	_cleanup_buf_ struct weir_buf out = {0};
	_cleanup_buf_ struct weir_buf merged = {0};
	const char *object = "{\"metadata\":{\"generation\":5},\"status\":{"
			     "\"conditions\":[{\"type\":\"Ready\",\"status\":"
			     "\"Unknown\"}],\"observedGeneration\":4}}";

	check_king(&v, false, "Unknown", "Uninitialized");
	check_king(&v, true, "True", NULL);
	weir_status_king(&v, true, &out);
	ok(weir_status_merge(WEIR_KIND_KINGRESS, 5, weir_buf_str(&out),
			     weir_str_of(object), NOW, &merged) == 1,
	   "it is written");
	out.n = 0;
	weir_status_king(&v, true, &out);
	{
		cJSON *whole = parse(&merged);
		char *status = cJSON_PrintUnformatted(get(whole, "status"));

		ok(weir_status_hash(WEIR_KIND_KINGRESS, weir_str_of(status)) ==
			   weir_status_hash(WEIR_KIND_KINGRESS,
					    weir_buf_str(&out)),
		   "and then it is as desired");
		cJSON_free(status);
		cJSON_Delete(whole);
	}
	v.balancer = &conflict;
	check_king(&v, true, "False", "DomainConflict");
}

static void a_class_claims_its_features_in_order(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf out = {0};
	const cJSON *f;
	cJSON *status;

	for (size_t i = 1; weir_status_features[i]; i++) {
		ok(strcmp(weir_status_features[i - 1],
			  weir_status_features[i]) < 0,
		   "%s is out of order", weir_status_features[i]);
	}
	site_init(&s, site_yaml);
	weir_status_class(&s.out.verdicts.classes[0], WEIR_STR("v1.5.0"),
			  "Forbidden", WEIR_STR("weir may not read Secret"),
			  &out);
	status = parse(&out);
	check_condition(status, "Accepted", "True/Accepted", 3);
	check_condition(status, "SupportedVersion", "False/UnsupportedVersion",
			3);
	check_condition(status, WEIR_STATUS_WATCHED, "False/Forbidden", 3);
	f = get(status, "supportedFeatures");
	ok(named(f, "name", "Gateway") != NULL, "Gateway is claimed");
	cJSON_Delete(status);
	out.n = 0;
	weir_status_class(&s.out.verdicts.classes[0], WEIR_STR("v1.7.0"), NULL,
			  WEIR_STR(""), &out);
	status = parse(&out);
	check_condition(status, "SupportedVersion", "True/SupportedVersion", 3);
	check_condition(status, WEIR_STATUS_WATCHED, "True/AllWatched", 3);
	cJSON_Delete(status);
}

/* ------------------------------------------------------------------ merging */

static uint32_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static cJSON *add_object(cJSON *list)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToArray(list, o);
	return o;
}

static void random_conditions(cJSON *map)
{
	/* With three of ours no more than the eight that a list may hold. */
	static const char *const types[] = {"Accepted",     "Programmed",
					    "ResolvedRefs", "Conflicted",
					    "Ready",        "example.com/x"};
	cJSON *list = cJSON_AddArrayToObject(map, "conditions");

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		cJSON *c;

		if (below(2)) {
			continue;
		}
		c = add_object(list);
		cJSON_AddStringToObject(c, "type", types[i]);
		cJSON_AddStringToObject(c, "status",
					below(2) ? "True" : "Unknown");
		cJSON_AddStringToObject(c, "reason",
					below(2) ? "Accepted" : "Pending");
		cJSON_AddStringToObject(c, "message", "\"old\"\n");
		cJSON_AddNumberToObject(c, "observedGeneration", below(3));
		cJSON_AddStringToObject(c, "lastTransitionTime", EARLIER);
	}
}

static void random_parents(cJSON *status, const char *list, const char *ref)
{
	cJSON *parents = cJSON_AddArrayToObject(status, list);

	for (uint32_t i = below(4); i > 0; i--) {
		cJSON *p = add_object(parents);
		cJSON *r = cJSON_AddObjectToObject(p, ref);

		cJSON_AddStringToObject(r, "name", below(2) ? "gw" : "other");
		if (below(2)) {
			cJSON_AddStringToObject(r, "group",
						"gateway.networking.k8s.io");
			cJSON_AddStringToObject(r, "kind", "Gateway");
		}
		if (below(2)) {
			cJSON_AddStringToObject(r, "namespace", "default");
		}
		cJSON_AddStringToObject(p, "controllerName",
					i % 2 ? "example.com/other"
					      : WEIR_CONTROLLER);
		random_conditions(p);
	}
}

static cJSON *random_object(enum weir_kind kind, int generation)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *metadata = cJSON_AddObjectToObject(o, "metadata");
	cJSON *status;

	cJSON_AddStringToObject(metadata, "name", "x");
	cJSON_AddStringToObject(metadata, "namespace", "default");
	cJSON_AddStringToObject(metadata, "resourceVersion", "12");
	cJSON_AddNumberToObject(metadata, "generation", generation);
	cJSON_AddArrayToObject(metadata, "managedFields");
	if (below(5) == 0) {
		return o;
	}
	status = cJSON_AddObjectToObject(o, "status");
	if (kind == WEIR_KIND_HTTP_ROUTE) {
		random_parents(status, "parents", "parentRef");
		return o;
	}
	random_conditions(status);
	cJSON_AddStringToObject(status, "example", "kept");
	if (kind == WEIR_KIND_GATEWAY) {
		static const char *const names[] = {"b", "web", "gone", "odd"};
		cJSON *list = cJSON_AddArrayToObject(status, "listeners");

		for (uint32_t i = below(5); i > 0; i--) {
			cJSON *l = add_object(list);

			cJSON_AddStringToObject(l, "name", names[i - 1]);
			cJSON_AddNumberToObject(l, "attachedRoutes", below(3));
			cJSON_AddArrayToObject(l, "supportedKinds");
			random_conditions(l);
		}
	}
	return o;
}

static bool is_ours_at(enum weir_status_place place, const char *type)
{
	for (size_t i = 0; weir_status_types[place][i]; i++) {
		if (strcmp(weir_status_types[place][i], type) == 0) {
			return true;
		}
	}
	return false;
}

/* What is of others must be there again, equal field by field; what did not
 * change its status keeps its time. */
static void check_conditions(const cJSON *before, const cJSON *after,
			     enum weir_status_place place)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, get(before, "conditions"))
	{
		const char *type = get(c, "type")->valuestring;
		const cJSON *d = named(get(after, "conditions"), "type", type);

		if (!is_ours_at(place, type)) {
			ok(cJSON_Compare(c, d, true), "%s is lost", type);
		} else if (d && cJSON_Compare(get(c, "status"),
					      get(d, "status"), true)) {
			ok(cJSON_Compare(get(c, "lastTransitionTime"),
					 get(d, "lastTransitionTime"), true),
			   "%s: time of no transition", type);
		} else if (d) {
			ok(strcmp(get(d, "lastTransitionTime")->valuestring,
				  NOW) == 0,
			   "%s: time of its transition", type);
		}
	}
}

static void check_foreign(enum weir_kind kind, const cJSON *before,
			  const cJSON *after)
{
	const cJSON *e;
	const cJSON *f;

	if (kind != WEIR_KIND_HTTP_ROUTE) {
		check_conditions(before, after, weir_status_place_of(kind));
		ok(!before || cJSON_Compare(get(before, "example"),
					    get(after, "example"), true),
		   "an unknown member is lost");
	}
	cJSON_ArrayForEach(e, get(before, "listeners"))
	{
		f = named(get(after, "listeners"), "name",
			  get(e, "name")->valuestring);
		if (f) {
			check_conditions(e, f, WEIR_PLACE_LISTENER);
		}
	}
	cJSON_ArrayForEach(e, get(before, "parents"))
	{
		bool is_there = false;

		if (strcmp(get(e, "controllerName")->valuestring,
			   WEIR_CONTROLLER) == 0) {
			continue;
		}
		cJSON_ArrayForEach(f, get(after, "parents"))
		{
			is_there = is_there || cJSON_Compare(e, f, true);
		}
		ok(is_there, "a parent of others is lost");
	}
}

static void check_merge(enum weir_kind kind, int generation,
			struct weir_str desired)
{
	cJSON *object = random_object(kind, generation);
	char *text = cJSON_PrintUnformatted(object);
	_cleanup_buf_ struct weir_buf out = {0};
	_cleanup_buf_ struct weir_buf again = {0};
	struct weir_str status;
	cJSON *merged;
	char *part;
	int r;

	r = weir_status_merge(kind, generation, desired, weir_str_of(text), NOW,
			      &out);
	must(r == 1 || r == 0, "merge gives %d", r);
	if (r == 0) {
		weir_buf_addz(&out, text);
	}
	merged = parse(&out);
	ok(r == 0 || !get(get(merged, "metadata"), "managedFields"),
	   "managed fields");
	ok(strcmp(get(get(merged, "metadata"), "resourceVersion")->valuestring,
		  "12") == 0,
	   "resourceVersion");
	part = cJSON_PrintUnformatted(get(merged, "status"));
	status = weir_str_of(part);
	ok(weir_status_hash(kind, status) == weir_status_hash(kind, desired),
	   "hash of %s\n# merged into %s\n# gives %s", desired.p, text,
	   part ? part : "nothing");
	check_foreign(kind, get(object, "status"), get(merged, "status"));
	r = weir_status_merge(kind, generation, desired, weir_buf_str(&out),
			      NOW, &again);
	ok(r == 0, "nothing to write the second time: %d", r);
	r = weir_status_merge(kind, generation + 1, desired, weir_str_of(text),
			      NOW, &again);
	ok(r == -ESTALE, "another generation: %d", r);
	cJSON_free(part);
	cJSON_free(text);
	cJSON_Delete(merged);
	cJSON_Delete(object);
}

static void merging_changes_our_part_only(void)
{
	_cleanup_(site_fini) struct site s;
	_cleanup_buf_ struct weir_buf class = {0};
	_cleanup_buf_ struct weir_buf gateway = {0};
	_cleanup_buf_ struct weir_buf route = {0};
	_cleanup_buf_ struct weir_buf none = {0};
	const struct weir_verdicts *v;

	site_init(&s, site_yaml);
	v = &s.out.verdicts;
	weir_status_class(&v->classes[0], WEIR_STR("v1.7.0"), NULL,
			  WEIR_STR(""), &class);
	weir_status_gateway(&v->gateways[0], true, &gateway);
	weir_status_route(&v->routes[0],
			  weir_store_find(s.store, WEIR_KIND_HTTP_ROUTE,
					  ns_default, WEIR_STR("r")),
			  &route);
	weir_status_route(NULL, NULL, &none);
	for (seed = 1; seed != 0 && seed < 0xFFFFFF00u;) {
		static int rounds;

		if (++rounds > 2000) {
			break;
		}
		check_merge(WEIR_KIND_GATEWAY_CLASS, 3, weir_buf_str(&class));
		check_merge(WEIR_KIND_GATEWAY, 7, weir_buf_str(&gateway));
		check_merge(WEIR_KIND_HTTP_ROUTE, 2, weir_buf_str(&route));
		check_merge(WEIR_KIND_HTTP_ROUTE, 2, weir_buf_str(&none));
	}
}

/* Among other conditions, and with what is no condition. */
static void says_served(enum weir_kind kind, const char *type, bool is_said)
{
	static const char *const values[] = {"True", "False", "Unknown"};

	for (size_t i = 0; i < 3; i++) {
		_cleanup_buf_ struct weir_buf b = {0};
		uint64_t hash;

		weir_buf_printf(&b,
				"{\"conditions\":[1,{\"type\":\"Other\","
				"\"status\":\"True\"},{\"status\":\"%s\","
				"\"type\":\"%s\"}]}",
				values[i], type);
		hash = weir_status_hash(kind, weir_buf_str(&b));
		ok(!!(hash & WEIR_STATUS_SERVED) == (is_said && i == 0),
		   "%s=%s of kind %d", type, values[i], kind);
	}
}

static void each_difference_is_another_hash(void)
{
	static const char *const v[] = {
		"{}",
		"{\"parents\":[{\"controllerName\":\"" WEIR_CONTROLLER "\"}]}",
		"{\"parents\":[{\"controllerName\":\"" WEIR_CONTROLLER
		"\",\"parentRef\":{\"name\":\"a\"}}]}",
		"{\"parents\":[{\"controllerName\":\"" WEIR_CONTROLLER
		"\",\"parentRef\":{\"name\":\"a\",\"port\":1}}]}",
		"{\"parents\":[{\"controllerName\":\"" WEIR_CONTROLLER
		"\",\"conditions\":[{\"type\":\"Accepted\",\"status\":"
		"\"True\"}]}]}",
		"{\"parents\":[{\"controllerName\":\"" WEIR_CONTROLLER
		"\",\"conditions\":[{\"type\":\"Accepted\",\"status\":"
		"\"True\",\"observedGeneration\":1}]}]}",
	};
	const size_t n = sizeof(v) / sizeof(v[0]);

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			ok(weir_status_hash(WEIR_KIND_HTTP_ROUTE,
					    weir_str_of(v[i])) !=
				   weir_status_hash(WEIR_KIND_HTTP_ROUTE,
						    weir_str_of(v[k])),
			   "%s and %s", v[i], v[k]);
		}
	}
	says_served(WEIR_KIND_KINGRESS, "Ready", true);
	says_served(WEIR_KIND_KINGRESS, "LoadBalancerReady", false);
	says_served(WEIR_KIND_GATEWAY, "Programmed", true);
	says_served(WEIR_KIND_GATEWAY, "Accepted", false);
	says_served(WEIR_KIND_LISTENER_SET, "Programmed", true);
	says_served(WEIR_KIND_HTTP_ROUTE, "Programmed", false);
	says_served(WEIR_KIND_GATEWAY_CLASS, "Programmed", false);
	says_served(WEIR_KIND_SERVICE, "Ready", false);
	ok(weir_status_hash(WEIR_KIND_HTTP_ROUTE, WEIR_STR("")) ==
		   weir_status_hash(WEIR_KIND_HTTP_ROUTE, weir_str_of(v[0])),
	   "none and empty are the same");
	ok(weir_status_hash(WEIR_KIND_HTTP_ROUTE, WEIR_STR("{\"par")) ==
		   weir_status_hash(WEIR_KIND_HTTP_ROUTE, weir_str_of(v[0])),
	   "what cannot be read is nothing");
	ok(weir_status_hash(WEIR_KIND_SERVICE, WEIR_STR("{}")) == 0,
	   "a kind that is not written");
}

static void hostile_objects_are_refused(void)
{
	static const char *const bad[] = {
		"",
		"null",
		"[]",
		"{\"metadata\":3}",
		"{\"metadata\":{}",
		"{\"metadata\":{\"generation\":\"2\"}}"};
	_cleanup_buf_ struct weir_buf out = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = weir_status_merge(WEIR_KIND_HTTP_ROUTE, 2,
					  WEIR_STR("{\"parents\":[]}"),
					  weir_str_of(bad[i]), NOW, &out);

		ok(r < 0 && out.n == 0, "%s gives %d", bad[i], r);
	}
	/* Lists of something else than what they should be. */
	for (enum weir_kind k = 0; k < _WEIR_KIND_MAX; k++) {
		static const char odd[] =
			"{\"metadata\":{\"generation\":2},\"status\":{"
			"\"conditions\":[1,null,{\"type\":2},[]],"
			"\"listeners\":[[],{\"name\":[]}],\"parents\":[3,"
			"{\"controllerName\":4},{\"parentRef\":[]}],"
			"\"ancestors\":{\"a\":1},\"addresses\":\"x\"}}";
		int r = weir_status_merge(k, 2, WEIR_STR("{}"),
					  weir_str_of(odd), NOW, &out);

		ok(r >= 0 || r == -EBADMSG, "kind %d gives %d", k, r);
	}
}

TAP_MAIN(TEST(a_gateway_says_what_is_wrong_with_each_listener),
	 TEST(a_gateway_is_programmed_when_every_node_has_it),
	 TEST(a_route_answers_for_each_of_its_parents),
	 TEST(a_kingress_is_ready_when_every_node_has_it),
	 TEST(a_class_claims_its_features_in_order),
	 TEST(merging_changes_our_part_only),
	 TEST(each_difference_is_another_hash),
	 TEST(hostile_objects_are_refused))
