// SPDX-License-Identifier: Apache-2.0
/* Which version of the Gateway API is installed: the annotation of its CRDs
 * that GatewayClass condition SupportedVersion is about.  And what of it is not
 * there, or may not be read. */
#include "kube.h"

#include "cleanup.h"
#include "json_view.h"

#define CRD                                                                    \
	"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"             \
	"gatewayclasses.gateway.networking.k8s.io"
#define LOOK_MS 10000u

static void on_reply(void *arg, const struct weir_kube_reply *reply)
{
	struct weir_kube_feed *f = arg;
	struct weir_str version;
	struct weir_str annotations;

	f->bundle_request = NULL;
	if (!weir_kube_is_ok(reply)) {
		/* 403: SupportedVersion is not said. */
		f->bundle_asked = 0;
		return;
	}
	annotations = weir_jview_path(reply->body, "metadata", "annotations",
				      NULL);
	version = weir_jview_text(weir_jview_member(
		annotations, "gateway.networking.k8s.io/bundle-version"));
	if (version.n < sizeof(f->bundle) && !weir_str_is(version, f->bundle)) {
		if (version.n) {
			memcpy(f->bundle, version.p, version.n);
		}
		f->bundle[version.n] = 0;
		weir_kube_status_changed(f);
	}
}

/* The server ends the watches of a kind whose CRD is replaced, and the others
 * now and then: whenever one of GatewayClasses begins, the version may be
 * another. */
static void look(struct weir_timer *timer)
{
	struct weir_kube_feed *f = timer->arg;
	const struct weir_kube_call call = {
		.path = CRD, .fn = on_reply, .arg = f};
	struct weir_kube_kind_report report;
	uint64_t begun;

	weir_loop_arm(f->loop, timer, LOOK_MS);
	weir_kube_source_report(f->source, WEIR_KIND_GATEWAY_CLASS, &report);
	begun = report.lists + report.watches + 1;
	if (begun != f->bundle_asked && !f->bundle_request &&
	    weir_kube_call(f->client, &call, &f->bundle_request) == 0) {
		f->bundle_asked = begun;
	}
}

const char *weir_kube_lack(const struct weir_kube_feed *f,
			   struct weir_buf *message)
{
	_cleanup_buf_ struct weir_buf missing = {0};
	_cleanup_buf_ struct weir_buf forbidden = {0};

	for (int k = 0; k < _WEIR_KIND_MAX; k++) {
		struct weir_kube_kind_report r;
		struct weir_buf *b;

		weir_kube_source_report(f->source, (enum weir_kind)k, &r);
		if (r.state == WEIR_KUBE_FORBIDDEN) {
			b = &forbidden;
		} else if (r.state == WEIR_KUBE_MISSING &&
			   strcmp(weir_kind_group((enum weir_kind)k),
				  weir_kind_group(WEIR_KIND_GATEWAY)) == 0) {
			b = &missing;
		} else {
			continue;
		}
		weir_buf_printf(b, "%s%s", b->n ? ", " : "",
				weir_kind_text((enum weir_kind)k));
	}
	if (forbidden.n) {
		weir_buf_printf(message, "weir may not read %.*s",
				(int)forbidden.n, forbidden.p);
	}
	if (missing.n) {
		weir_buf_printf(message, "%sthere is no CRD of %.*s",
				forbidden.n ? "; " : "", (int)missing.n,
				missing.p);
	}
	return forbidden.n ? "Forbidden" : missing.n ? "MissingCRDs" : NULL;
}

void weir_kube_bundle_init(struct weir_kube_feed *f)
{
	f->bundle_timer = (struct weir_timer){.fn = look, .arg = f};
	weir_loop_arm(f->loop, &f->bundle_timer, 0);
}

void weir_kube_bundle_fini(struct weir_kube_feed *f)
{
	weir_loop_disarm(f->loop, &f->bundle_timer);
	weir_kube_cancel(&f->bundle_request);
}
