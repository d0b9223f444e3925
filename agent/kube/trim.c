/* SPDX-License-Identifier: Apache-2.0 */
#include "trim.h"

#include <errno.h>

#include "json_view.h"

int weir_kube_head_read(struct weir_str object, struct weir_kube_head *ret_head)
{
	struct weir_str metadata = weir_jview_member(object, "metadata");
	struct weir_kube_head head = {0};
	struct weir_str name;
	struct weir_str value;

	for (size_t pos = 0;
	     weir_jview_next(metadata, &pos, &name, &value, NULL);) {
		if (weir_str_is(name, "name")) {
			head.name = weir_jview_text(value);
		} else if (weir_str_is(name, "namespace")) {
			head.ns = weir_jview_text(value);
		} else if (weir_str_is(name, "resourceVersion")) {
			head.version = weir_jview_u64(value);
		} else if (weir_str_is(name, "labels")) {
			head.service = weir_jview_text(weir_jview_member(
				value, "kubernetes.io/service-name"));
			head.revision = weir_jview_text(weir_jview_member(
				value, "serving.knative.dev/revision"));
		}
	}
	if (head.name.n == 0) {
		return -EBADMSG;
	}
	*ret_head = head;
	return 0;
}

static bool is_one_of(struct weir_str name, const char *const *names)
{
	for (; *names; names++) {
		if (weir_str_is(name, *names)) {
			return true;
		}
	}
	return false;
}

static bool is_whole(struct weir_str object, size_t pos)
{
	while (pos < object.n && (unsigned char)object.p[pos] <= ' ') {
		pos++;
	}
	return pos < object.n && object.p[pos] == '}';
}

static int trim_metadata(enum weir_kind kind, struct weir_str metadata,
			 struct weir_buf *out)
{
	static const char *const always[] = {"managedFields", "resourceVersion",
					     "uid", "selfLink", NULL};
	static const char *const of_pods[] = {
		"managedFields", "resourceVersion", "uid",
		"selfLink",      "annotations",     "labels",
		"generation",    "ownerReferences", NULL};
	const char *const *left_out = kind == WEIR_KIND_POD ? of_pods : always;
	const char *comma = "";
	struct weir_str name;
	struct weir_str value;
	struct weir_str whole;
	size_t pos = 0;

	weir_buf_addz(out, "{");
	while (weir_jview_next(metadata, &pos, &name, &value, &whole)) {
		if (!is_one_of(name, left_out)) {
			weir_buf_addz(out, comma);
			weir_buf_add_str(out, whole);
			comma = ",";
		}
	}
	weir_buf_addz(out, "}");
	return is_whole(metadata, pos) ? 0 : -EBADMSG;
}

/* A Gateway keeps the addresses that it was given. */
static void add_addresses(struct weir_str status, struct weir_buf *out)
{
	struct weir_str addresses = weir_jview_member(status, "addresses");

	if (addresses.n) {
		weir_buf_printf(out, ",\"status\":{\"addresses\":%.*s}",
				WEIR_STR_ARG(addresses));
	}
}

/* Of a Pod where it is. */
static void add_pod(struct weir_str spec, struct weir_str status,
		    struct weir_buf *out)
{
	struct weir_str host = weir_jview_member(spec, "hostNetwork");
	struct weir_str ips = weir_jview_member(status, "podIPs");
	struct weir_str phase = weir_jview_member(status, "phase");

	if (weir_str_is(host, "true")) {
		weir_buf_addz(out, ",\"spec\":{\"hostNetwork\":true}");
	}
	/* Whether it is pending or runs is all the same. */
	if (weir_str_is(phase, "\"Pending\"") ||
	    weir_str_is(phase, "\"Running\"") || phase.n == 0) {
		phase = WEIR_STR("\"\"");
	}
	if (ips.n) {
		weir_buf_printf(out,
				",\"status\":{\"phase\":%.*s,\"podIPs\":%.*s}",
				WEIR_STR_ARG(phase), WEIR_STR_ARG(ips));
	}
}

/* A load balancer's addresses lead to the Service like its own. */
static void add_load_balancer(struct weir_str status, struct weir_buf *out)
{
	struct weir_str given = weir_jview_member(status, "loadBalancer");

	if (weir_jview_member(given, "ingress").n) {
		weir_buf_printf(out, ",\"status\":{\"loadBalancer\":%.*s}",
				WEIR_STR_ARG(given));
	}
}

/* Of "conditions", as the server writes them. */
static bool is_ready(struct weir_str conditions)
{
	static const char type[] = "\"type\":\"Ready\"";
	static const char status[] = "\"status\":\"True\"";
	const char *p = conditions.n ? memmem(conditions.p, conditions.n, type,
					      sizeof(type) - 1)
				     : NULL;
	size_t rest = p ? conditions.n - (size_t)(p - conditions.p) : 0;
	const char *end = p ? memchr(p, '}', rest) : NULL;

	return end && memmem(p, (size_t)(end - p), status, sizeof(status) - 1);
}

/* queue-proxy listens at one of these ports, which has the name of the
 * Service's port (serving pkg/networking/constants.go). */
static int trim_revision_pod(struct weir_str object,
			     const struct weir_ahead *ahead,
			     struct weir_buf *out, struct weir_str *ret_status)
{
	struct weir_str metadata = weir_jview_member(object, "metadata");
	struct weir_str status = weir_jview_member(object, "status");
	struct weir_str ip = weir_jview_text(
		weir_jview_member(status, "podIP"));
	struct weir_str phase = weir_jview_member(status, "phase");
	struct weir_str node = weir_jview_text(
		weir_jview_path(object, "spec", "nodeName", NULL));
	const struct weir_ip *early = NULL;
	char text[WEIR_ADDR_TEXT_MAX];
	struct weir_kube_head head;

	*ret_status = WEIR_STR_NULL;
	if (weir_kube_head_read(object, &head) < 0) {
		return -EBADMSG;
	}
	if (!ip.n && ahead) {
		early = weir_ahead_find(
			ahead, node,
			weir_jview_text(weir_jview_member(metadata, "uid")));
	}
	if (early) {
		ip = weir_str_of(weir_ip_format(early, text));
	}
	if (!ip.n || weir_jview_member(metadata, "deletionTimestamp").n ||
	    weir_str_is(phase, "\"Failed\"") ||
	    weir_str_is(phase, "\"Succeeded\"") ||
	    is_ready(weir_jview_member(status, "conditions"))) {
		return -ENOENT;
	}
	weir_buf_printf(
		out,
		"{\"apiVersion\":\"discovery.k8s.io/v1\","
		"\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"%.*s\","
		"\"namespace\":\"%.*s\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"%.*s" WEIR_KNATIVE_PODS
		"\"}},\"addressType\":\"%s\",\"ports\":["
		"{\"name\":\"http\",\"port\":8012},"
		"{\"name\":\"http2\",\"port\":8013}],"
		"\"endpoints\":[{\"addresses\":[\"%.*s\"],"
		"\"nodeName\":\"%.*s\",\"conditions\":{\"ready\":false,"
		"\"serving\":false,\"terminating\":false}}]}",
		WEIR_STR_ARG(head.name), WEIR_STR_ARG(head.ns),
		WEIR_STR_ARG(head.revision),
		weir_str_find(ip, ':') < 0 ? "IPv4" : "IPv6", WEIR_STR_ARG(ip),
		WEIR_STR_ARG(node));
	return out->error;
}

int weir_kube_trim(enum weir_kind kind, struct weir_str api_version,
		   struct weir_str object, const struct weir_ahead *ahead,
		   struct weir_buf *out, struct weir_str *ret_status)
{
	static const char *const left_out[] = {"apiVersion", "kind", "status",
					       NULL};
	struct weir_str status = WEIR_STR_NULL;
	struct weir_str spec = WEIR_STR_NULL;
	struct weir_str name;
	struct weir_str value;
	struct weir_str whole;
	size_t pos = 0;

	if (kind == WEIR_KIND_REVISION_POD) {
		return trim_revision_pod(object, ahead, out, ret_status);
	}
	weir_buf_printf(out, "{\"apiVersion\":\"%.*s\",\"kind\":\"%s\"",
			WEIR_STR_ARG(api_version), weir_kind_text(kind));
	while (weir_jview_next(object, &pos, &name, &value, &whole)) {
		if (weir_str_is(name, "metadata")) {
			weir_buf_addz(out, ",\"metadata\":");
			if (trim_metadata(kind, value, out) < 0) {
				return -EBADMSG;
			}
		} else if (kind == WEIR_KIND_POD && weir_str_is(name, "spec")) {
			spec = value;
		} else if (!is_one_of(name, left_out)) {
			weir_buf_addz(out, ",");
			weir_buf_add_str(out, whole);
		} else if (weir_str_is(name, "status")) {
			status = value;
		}
	}
	if (!is_whole(object, pos)) {
		return -EBADMSG;
	}
	if (kind == WEIR_KIND_GATEWAY) {
		add_addresses(status, out);
	} else if (kind == WEIR_KIND_SERVICE) {
		add_load_balancer(status, out);
	} else if (kind == WEIR_KIND_POD) {
		add_pod(spec, status, out);
	}
	weir_buf_addz(out, "}");
	*ret_status = status;
	return out->error;
}
