#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a large cluster costs the API client: 5 000 routes and what they name,
# beside 20 000 Services and their slices that nothing names.  (Pods are not asked
# for at all.)
# timeout: 1200

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh
# shellcheck source=tests/kube/lib.sh
. tests/kube/lib.sh

n_routes=${ROUTES:-5000}
n_others=${OTHERS:-20000}

cluster_begin kube-memory -light
kube_begin
tap_plan 5
kubeconfig=$cluster_state/kubeconfig
rig crds experimental >/dev/null

memory() { # NAME FIELD -> KiB
	awk -v f="$2:" '$1 == f {print $2}' "/proc/$(get "$1" state .pid)/smaps_rollup"
}
show() { # TEXT NAME
	echo "# $1: $(memory "$2" Rss) KiB resident, $(memory "$2" Anonymous) KiB anonymous"
}

driver empty "kubeconfig=$kubeconfig"
soon empty state .synced
show 'an empty cluster' empty

# 500 Services of 20 endpoints each are named, by ten routes each.
awk 'BEGIN { for (i = 0; i < 500; i++) print "named-" i }' |
	jq -cR '{apiVersion: "v1", kind: "Service", metadata: {name: .},
		spec: {clusterIP: "None", ports: [{port: 80}]}}' |
	post /api/v1/namespaces/default/services
awk 'BEGIN { for (i = 0; i < 500; i++) print i }' |
	jq -c '. as $i | {apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice",
		metadata: {name: "named-\($i)-1", labels: {"kubernetes.io/service-name": "named-\($i)"}},
		addressType: "IPv4", ports: [{port: 8080}], endpoints: [range(20) |
		{addresses: ["10.1.\($i % 250).\(. + 1)"], nodeName: "node-1", conditions: {ready: true}}]}' |
	post /apis/discovery.k8s.io/v1/namespaces/default/endpointslices
awk -v n="$n_routes" 'BEGIN { for (i = 0; i < n; i++) print i }' |
	jq -c '{apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute",
		metadata: {name: "route-\(.)", namespace: "default"},
		spec: {parentRefs: [{name: "gw"}], hostnames: ["h\(.).example.com"], rules: [{
		matches: [{path: {type: "PathPrefix", value: "/api"}}],
		backendRefs: [{name: "named-\(. % 500)", port: 80, weight: 9},
		{name: "named-\((. + 1) % 500)", port: 80, weight: 1}]}]}}' |
	post /apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes
wait_until 120 says empty state ".kinds.HTTPRoute.kept == $n_routes and .kinds.EndpointSlice.kept == 500 and .synced"
tap_ok $? "$n_routes routes are there"
show 'what watched them come' empty
driver few "kubeconfig=$kubeconfig"
wait_until 120 says few state ".kinds.HTTPRoute.kept == $n_routes and .kinds.EndpointSlice.kept == 500 and .synced"
tap_ok $? 'and are listed'
echo "# in $(get few state .synced_ms) ms"
show 'what listed them' few
before=$(memory few Anonymous)

awk -v n="$n_others" 'BEGIN { for (i = 0; i < n; i++) print "other-" i }' |
	jq -cR '{apiVersion: "v1", kind: "Service", metadata: {name: ., labels: {app: .}},
		spec: {clusterIP: "None", selector: {app: .}, ports: [{port: 80, targetPort: 8080}]}}' |
	post /api/v1/namespaces/default/services
awk -v n="$n_others" 'BEGIN { for (i = 0; i < n; i++) print "other-" i }' |
	jq -cR '{apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice",
		metadata: {name: ., labels: {"kubernetes.io/service-name": .}},
		addressType: "IPv4", ports: [{port: 8080}], endpoints: [{addresses: ["10.2.0.1"]}]}' |
	post /apis/discovery.k8s.io/v1/namespaces/default/endpointslices
wait_until 120 says few state ".kinds.Service.skipped >= $n_others and .kinds.EndpointSlice.skipped >= $n_others and
	.kinds.Service.kept == 500"
tap_ok $? "$n_others others came and nothing of them is kept"
show 'what watched them come' few
driver many "kubeconfig=$kubeconfig"
wait_until 120 says many state ".kinds.HTTPRoute.kept == $n_routes and .kinds.EndpointSlice.kept == 500 and .synced"
tap_ok $? 'all is listed'
echo "# in $(get many state .synced_ms) ms, $(get many state .client.rx_bytes) bytes"
show 'what listed it' many
after=$(memory many Anonymous)
((after < before + 2048))
tap_ok $? 'the others cost less than 2 MiB'
ticks() {
	awk '{print $14 + $15}' "/proc/$(get many state .pid)/stat"
}
t=$(ticks)
sleep 20
echo "# idle: $(($(ticks) - t)) ticks of 10 ms in 20 s"
tap_end
