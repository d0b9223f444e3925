# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A cluster with real Knative Serving for a test: sourced, then
#
#	knative_begin NAME [--nodes N] [-- AGENT-FLAG ...]
#	                         as cluster_begin of tests/cluster/lib.sh, with
#	                         weir as the network layer (tests/knative/serving)
#	ksvc NAME [KEY=VALUE ...]   prints a Knative Service: an echo server that
#	                         answers with $ECHO (default NAME); keys are
#	                         annotations of autoscaling.knative.dev
#	is_ready_ksvc NAME       true when it is Ready for its present generation
#	pods_of NAME             how many pods the Knative Service has
#	sks_mode REVISION        Serve or Proxy
#	ask HOST PATH [CURL-FLAG ...]   from outside, at the public address
#	                         or $ASK_AT: "NAME CODE"
#
# The namespace is default everywhere.

. "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib.sh"
knative_public=10.240.0.192
knative_domain=default.example.com

knative_begin() { # NAME [FLAG OF serving up...]
	local name=$1
	shift
	cluster_start "$name"
	cluster_needs podinit kube rig crds knative-serving
	"$cluster_root/tests/knative/serving" up "$@" | sed 's/^/# /'
	[[ ${PIPESTATUS[0]} == 0 ]] || {
		echo "Bail out! Serving does not come up"
		exit 1
	}
}

serving() {
	"$cluster_root/tests/knative/serving" "$@"
}

ksvc() { # NAME [KEY=VALUE...]
	local name=$1 note
	shift
	cat <<-END
		---
		apiVersion: serving.knative.dev/v1
		kind: Service
		metadata: {name: $name}
		spec:
		  template:
		    metadata:
		      annotations:
		        autoscaling.knative.dev/window: "6s"
	END
	for note; do
		echo "        autoscaling.knative.dev/${note%%=*}: \"${note#*=}\""
	done
	cat <<-END
		    spec:
		      containers:
		      - image: weir.test/tools
		        args: [--name, "${ECHO:-$name}", "http:0.0.0.0:8080"]
		        ports: [{containerPort: 8080}]
	END
}

is_ready_ksvc() { # NAME
	kubectl get ksvc "$1" -o json 2>/dev/null | jq -e '
		.metadata.generation == .status.observedGeneration and
		any(.status.conditions[]; .type == "Ready" and .status == "True")' >/dev/null
}

pods_of() { # NAME
	kubectl get pods -l "serving.knative.dev/service=$1" -o json |
		jq '[.items[] | select(.metadata.deletionTimestamp == null)] | length'
}
has_no_pods() { # NAME
	[[ -z $(kubectl get pods -l "serving.knative.dev/service=$1" -o name) ]]
}
sks_mode() { # REVISION
	kubectl get serverlessservices.networking.internal.knative.dev "$1" \
		-o 'jsonpath={.spec.mode}'
}

ask() { # HOST PATH [CURL-FLAG...]
	local host=$1 path=$2
	shift 2
	on 0 curl -s -m 30 -w '\n%{http_code}\n' -H "Host: $host" "$@" \
		"http://${ASK_AT:-$knative_public}$path" |
		sed -nE 's/.*"name": *"([^"]*)".*/\1/p; s/^([0-9]{3})$/\1/p' | xargs
}
