/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a KIngress (knative.dev/networking pkg/apis/networking/v1alpha1
 * ingress_lifecycle.go): Ready follows from NetworkConfigured and
 * LoadBalancerReady, and counts for observedGeneration alone.
 */
#include "status.h"

static void add(struct weir_buf *out, const char *type, const char *status,
		const char *reason, struct weir_str message)
{
	weir_buf_printf(out, "{\"type\":\"%s\",\"status\":\"%s\"", type,
			status);
	if (*reason) {
		weir_buf_printf(out, ",\"reason\":\"%s\",\"message\":", reason);
		weir_buf_add_json(out, message);
	}
	weir_buf_addz(out, "}");
}

/* One entry each: Serving fails a Route on more. */
static void add_balancer(struct weir_buf *out, const char *name,
			 struct weir_str domain)
{
	weir_buf_printf(out, ",\"%s\":{\"ingress\":[{", name);
	if (domain.n) {
		weir_buf_addz(out, "\"domainInternal\":");
		weir_buf_add_json(out, domain);
	} else {
		weir_buf_addz(out, "\"meshOnly\":true");
	}
	weir_buf_addz(out, "}]}");
}

void weir_status_king(const struct weir_king_verdict *v, bool is_applied,
		      struct weir_buf *out)
{
	const char *status = "True";
	const char *reason = "";
	struct weir_str message = WEIR_STR("");

	if (v->balancer) {
		status = "False";
		reason = v->balancer->reason;
		message = v->balancer->message;
	} else if (!is_applied) {
		status = "Unknown";
		reason = "Uninitialized";
		message = WEIR_STR("Waiting for load balancer to be ready");
	}
	weir_buf_printf(out, "{\"observedGeneration\":%lld,\"conditions\":[",
			(long long)v->id.generation);
	add(out, "NetworkConfigured", "True", "", WEIR_STR(""));
	weir_buf_addz(out, ",");
	add(out, "LoadBalancerReady", status, reason, message);
	weir_buf_addz(out, ",");
	add(out, "Ready", status, reason, message);
	weir_buf_addz(out, "]");
	add_balancer(out, "publicLoadBalancer", v->public_domain);
	add_balancer(out, "privateLoadBalancer", v->private_domain);
	weir_buf_addz(out, "}");
}
