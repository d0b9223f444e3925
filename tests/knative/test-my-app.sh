#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What weir was made for, on real Knative Serving: no network layer beside it; a
# Knative Service as the backend of an HTTPRoute, by path, as a user writes it
# (deploy/examples/my-app.yaml, verbatim), from zero replicas, too; weights of
# the HTTPRoute and percents of revisions multiply.
# timeout: 400

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/knative/lib.sh

tap_plan 18
knative_begin kn-my-app --nodes 2

condition_of() { # KIND NAME FILTER-OF-CONDITIONS: are all of them True
	kubectl get "$1" "$2" -o json 2>/dev/null | jq -e "[$3] | length > 0 and all(.[]; .status == \"True\")" >/dev/null
}
route_holds() {
	condition_of httproute "$1" '.status.parents[].conditions[] | select(.type == "Accepted" or .type == "ResolvedRefs")'
}
gateway_address() {
	kubectl get gateway my-gateway -o 'jsonpath={.status.addresses[0].value}'
}
answers() { # WHAT HOST PATH
	[[ "$(ask "$2" "$3")" == "$1" ]]
}

# -------------------------------------------------- nothing else is installed
workloads=$(kubectl get deployments,daemonsets,statefulsets -A -o json |
	jq -r '.items[].metadata | "\(.namespace)/\(.name)"' | sort | xargs)
[[ $workloads == "knative-serving/activator knative-serving/autoscaler knative-serving/controller knative-serving/webhook" ]]
tap_ok $? "no workload in the cluster but Serving's own: $workloads"
[[ $(kubectl get gatewayclasses -o 'jsonpath={.items[*].spec.controllerName}') == weir.dev/* &&
	$(kubectl get ingressclasses,crds -o name | grep -ciE 'istio|kourier|contour|traefik') == 0 ]]
tap_ok $? "no class and no resource of another network layer"
[[ $(kubectl -n knative-serving get configmap config-network -o 'jsonpath={.data.ingress-class}') == weir.ingress.networking.knative.dev ]]
tap_ok $? "Serving's ingress class is weir's"

# -------------------------------------------------- by path
cd "$cluster_root" || exit 1
kubectl apply -f deploy/examples/my-app.yaml -f tests/knative/manifests/my-app-beside.yaml >/dev/null
tap_ok $? "the API takes the example as it is"
wait_until 60 is_ready_ksvc my-app
tap_ok $? "the Knative Service is Ready"
wait_until 20 route_holds my-app-routes
tap_ok $? "its HTTPRoute is accepted, its backends are resolved"
kubectl wait --for=condition=Programmed gateway/my-gateway --timeout=30s >/dev/null
kubectl wait --for=condition=Available deploy/static-assets --timeout=60s >/dev/null
ASK_AT=$(gateway_address)
export ASK_AT
wait_until 10 answers 'my-app 200' my-app.test /api/x
tap_ok $? "/api is answered by the Knative Service"
wait_until 10 answers 'static-assets 200' my-app.test /static/x
tap_ok $? "/static by the plain Service"
answers 404 my-app.test /other
tap_ok $? "nothing else is"
ASK_AT=$knative_public answers 'my-app 200' my-app.$knative_domain /
tap_ok $? "the Route's own host is served outside"

# A client in the cluster, by the name that Knative gives.
kubectl run client --image=weir.test/machine --command -- sleep 1000 >/dev/null
kubectl wait --for=condition=Ready pod/client --timeout=30s >/dev/null
[[ $(in_pod client curl -s -m 20 -o /dev/null -w '%{http_code}' http://my-app.default.svc.cluster.local/) == 200 ]]
tap_ok $? "the Route's own name is served inside"

# -------------------------------------------------- from zero
sleeps() {
	has_no_pods my-app && [[ $(sks_mode my-app-00001) == Proxy ]]
}
wait_until 60 sleeps
tap_ok $? "without requests the revision goes to zero"
answers 'my-app 200' my-app.test /api/first
tap_ok $? "the first request by HTTPRoute wakes it and is answered"
wait_until 60 sleeps
ASK_AT=$knative_public answers 'my-app 200' my-app.$knative_domain /
tap_ok $? "likewise by the Route's own host"
wait_until 60 sleeps
[[ $(in_pod client curl -s -m 20 -o /dev/null -w '%{http_code}' http://my-app.default.svc.cluster.local/) == 200 ]]
tap_ok $? "likewise from inside"

# -------------------------------------------------- canaries
canary() {
	kubectl apply -f - >/dev/null <<-END
		$(ECHO=shop-1 ksvc shop min-scale=1)
	END
	wait_until 60 is_ready_ksvc shop || return 1
	kubectl apply -f - >/dev/null <<-END
		$(ECHO=shop-2 ksvc shop min-scale=1)
		  traffic:
		  - {revisionName: shop-00001, percent: 80}
		  - {revisionName: shop-00002, percent: 20, tag: next}
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: canary}
		spec:
		  parentRefs: [{name: my-gateway}]
		  hostnames: [canary.test]
		  rules:
		  - backendRefs:
		    - {group: serving.knative.dev, kind: Service, name: shop, port: 80, weight: 75}
		    - {name: static-assets-service, port: 80, weight: 25}
	END
	wait_until 60 is_ready_ksvc shop && wait_until 20 route_holds canary
}
canary
tap_ok $? "a Knative Service with two revisions, and a weighted HTTPRoute to it"
shares() {
	on 0 "$WEIR_BUILD/tests/weir-load" -c 4 -n 2000 --keepalive --connect "$ASK_AT:80" http://canary.test/ >"$cluster_state/canary.json"
	echo "# of 2000 requests: $(jq -c .backends "$cluster_state/canary.json")"
	jq -e '.backends as $b | def near($k; $n): ($b[$k] // 0) - $n | fabs <= 10;
		near("shop-1"; 1200) and near("shop-2"; 300) and near("static-assets"; 500)' "$cluster_state/canary.json" >/dev/null
}
shares
tap_ok $? "75 % of which 80 and 20 %, and 25 %: 1200, 300 and 500 requests of 2000, give or take 10"

# -------------------------------------------------- and how much of it there is
# At rest: what a plan took is given back some seconds after it.
anonymous=0
is_small() {
	anonymous=$(on 1 curl -s http://127.0.0.1:9707/metrics | awk '/^weir_process_anonymous_bytes/ {n += $2} END {print n + 0}')
	((anonymous > 0 && anonymous < 10 << 20))
}
wait_until 40 is_small
tap_ok $? "all three processes of weir on a node have less than 10 MiB: $((anonymous >> 10)) KiB"
tap_end
