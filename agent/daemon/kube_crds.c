// SPDX-License-Identifier: Apache-2.0
/* Which version of the Gateway API is installed: the annotation of its CRDs
 * that GatewayClass condition SupportedVersion is about. */
#include "kube.h"

#include "json_view.h"

#define CRD                                                                    \
	"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"             \
	"gatewayclasses.gateway.networking.k8s.io"
#define AGAIN_MS 300000u /* an upgrade shows within this time */
#define RETRY_MS 30000u

static void on_reply(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_kube_feed *f = arg;
	struct weir_str version;
	struct weir_str annotations;

	f->bundle_request = NULL;
	if (!weir_kube_is_ok(reply)) {
		/* 403: SupportedVersion is not said. */
		weir_loop_arm(f->loop, &f->bundle_timer, RETRY_MS);
		return;
	}
	annotations = weir_jview_path(reply->body, "metadata", "annotations",
				      NULL);
	version = weir_jview_text(weir_jview_member(
		annotations, "gateway.networking.k8s.io/bundle-version"));
	weir_loop_arm(f->loop, &f->bundle_timer, AGAIN_MS);
	if (version.n < sizeof(f->bundle) && !weir_str_is(version, f->bundle)) {
		if (version.n) {
			memcpy(f->bundle, version.p, version.n);
		}
		f->bundle[version.n] = 0;
		weir_kube_status_changed(f);
	}
}

static void ask(struct weir_timer *timer)
{
	struct weir_kube_feed *f = timer->arg;
	const struct weir_kube_call call = {
		.path = CRD, .fn = on_reply, .arg = f};

	if (f->bundle_request ||
	    weir_kube_call(f->client, &call, &f->bundle_request) < 0) {
		weir_loop_arm(f->loop, timer, RETRY_MS);
	}
}

void weir_kube_bundle_init(struct weir_kube_feed *f)
{
	f->bundle_timer = (struct weir_timer){.fn = ask, .arg = f};
	weir_loop_arm(f->loop, &f->bundle_timer, 0);
}

void weir_kube_bundle_fini(struct weir_kube_feed *f)
{
	weir_loop_disarm(f->loop, &f->bundle_timer);
	weir_kube_cancel(&f->bundle_request);
}
