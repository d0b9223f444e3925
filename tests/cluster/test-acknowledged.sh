#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One writer, three agents: Programmed of a Gateway and Ready of a KIngress mean
# that every live agent has it; one that hangs is waited for until its Lease
# lapses; one that is killed as the writer is followed by another.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin acks -nodes 3
cluster_needs knative-serving
tap_plan 16

gateway() { # NAME ADDRESS
	kubectl apply -f - >/dev/null <<-END
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: $1, namespace: default}
		spec:
		  gatewayClassName: weir
		  addresses: [{type: IPAddress, value: $2}]
		  listeners: [{name: web, port: 80, protocol: HTTP}]
	END
}
king() { # NAME HOST
	kubectl apply -f - >/dev/null <<-END
		apiVersion: networking.internal.knative.dev/v1alpha1
		kind: Ingress
		metadata: {name: $1, namespace: default, annotations: {networking.knative.dev/ingress.class: weir.ingress.networking.knative.dev}}
		spec:
		  rules:
		  - hosts: [$2]
		    visibility: ClusterLocal
		    http: {paths: [{splits: [{serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 100}]}]}
	END
}
# "STATUS/GENERATION OBSERVED" of Ready; Serving takes it for ready if it is True
# and the generation the present one.
ready() { # NAME
	kubectl get king "$1" -o json | jq -r '
		"\(.status.conditions // [] | map(select(.type == "Ready"))[0].status)/\(.status.observedGeneration)"'
}
is_ready() { # NAME STATUS/GENERATION
	[[ "$(ready "$1")" == "$2" ]]
}
becomes_ready() { # TEXT SECONDS NAME STATUS/GENERATION
	wait_until "$2" is_ready "$3" "$4"
	local r=$?
	((r == 0)) || echo "# $3 is $(ready "$3"), want $4"
	tap_ok "$r" "$1"
}
programmed() { # NAME: STATUS/REASON
	kubectl get gateway "$1" -o \
		'jsonpath={.status.conditions[?(@.type=="Programmed")].status}/{.status.conditions[?(@.type=="Programmed")].reason}'
}
is_programmed() { # NAME STATUS/REASON
	[[ "$(programmed "$1")" == "$2" ]]
}
becomes() { # TEXT SECONDS NAME STATUS/REASON
	wait_until "$2" is_programmed "$3" "$4"
	local r=$?
	((r == 0)) || echo "# $3 is $(programmed "$3"), want $4"
	tap_ok "$r" "$1"
}
agent_of() { # NODE: pid of its role agent
	pgrep -f -- "--admin $cluster_state/nodes/node-$1/admin.sock.* --role=agent"
}
metric() { # NODE NAME
	on "$1" curl -s -m 2 http://127.0.0.1:9707/metrics |
		awk -v name="$2" '$1 == name { print $2 }'
}
writers() {
	local n
	for n in 1 2 3; do
		[[ "$(metric $n weir_kube_writer)" != 1 ]] || echo $n
	done
}
one_writer() {
	[[ "$(writers | wc -l)" == 1 ]]
}
all_ready() {
	local n
	for n in 1 2 3; do
		[[ "$(metric $n weir_kube_synced)" == 1 &&
			"$(metric $n weir_ready)" == 1 ]] || return 1
	done
}

rig crds
kubectl apply --server-side -f "$cluster_cache/knative/serving/crds.yaml" >/dev/null
kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
kubectl apply -f - >/dev/null <<'END'
apiVersion: v1
kind: Service
metadata: {name: rev, namespace: default}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: weir.dev/gateway-controller}
END
rig weir up >/dev/null
wait_until 15 all_ready
tap_ok $? 'three agents are ready'
wait_until 5 one_writer
tap_ok $? 'one of them writes'
writer=$(writers)
other=$((writer % 3 + 1))
echo "# writer: node $writer, and node $other will hang"
gateway first 10.1.0.1
becomes 'all of them apply a Gateway' 10 first True/Programmed
king first first.default
becomes_ready 'and a KIngress' 10 first True/1

hanging=$(agent_of "$other")
kill -STOP "$hanging"
gateway second 10.1.0.2
king first changed.default
king second second.default
becomes 'while one hangs, a Gateway is not programmed' 8 second False/Pending
becomes_ready 'nor is a KIngress Ready' 8 second Unknown/1
becomes_ready 'nor one that was, for what it says now' 8 first Unknown/2
kill -CONT "$hanging"
becomes 'when it is back, it is' 8 second True/Programmed
becomes_ready 'and so is the KIngress' 8 second True/1
becomes_ready 'and the one that changed' 8 first True/2

# Longer than its Lease: 15 s, by the writer's own clock.
kill -STOP "$hanging"
gateway third 10.1.0.3
king third third.default
becomes 'one that hangs longer' 8 third False/Pending
becomes_ready 'keeps a KIngress from Ready as well' 8 third Unknown/1
becomes 'is not waited for when its Lease has lapsed' 30 third True/Programmed
becomes_ready 'for neither of them' 8 third True/1
kill -CONT "$hanging"

# All processes of the writer's node, so that nothing starts it again.
mapfile -t killed < <(pgrep -f -- "--admin $cluster_state/nodes/node-$writer/admin.sock")
kill -KILL "${killed[@]}"
another_writer() {
	local n
	n=$(writers)
	[[ -n $n && $n != "$writer" ]]
}
wait_until 40 another_writer
tap_ok $? 'another agent writes when the writer is killed'
gateway fourth 10.1.0.4
becomes 'and programs Gateways without it' 40 fourth True/Programmed
tap_end
