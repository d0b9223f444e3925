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

int weir_kube_trim(enum weir_kind kind, struct weir_str api_version,
		   struct weir_str object, struct weir_buf *out,
		   struct weir_str *ret_status)
{
	static const char *const left_out[] = {"apiVersion", "kind", "status",
					       NULL};
	struct weir_str status = WEIR_STR_NULL;
	struct weir_str spec = WEIR_STR_NULL;
	struct weir_str name;
	struct weir_str value;
	struct weir_str whole;
	size_t pos = 0;

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
