#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Leases of nodes that were taken out: an agent that is started again, and writes
# status, takes nothing back because of them; the old ones keep nobody waiting
# and are removed, those that were renewed a moment ago lapse first.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin gone -nodes 1
cluster_needs knative-serving
tap_plan 17

king() { # NAME
	kubectl apply -f - >/dev/null <<-END
		apiVersion: networking.internal.knative.dev/v1alpha1
		kind: Ingress
		metadata: {name: $1, namespace: default, annotations: {networking.knative.dev/ingress.class: weir.ingress.networking.knative.dev}}
		spec:
		  rules:
		  - hosts: [$1.default]
		    visibility: ClusterLocal
		    http: {paths: [{splits: [{serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 100}]}]}
	END
}
# Each state of each object, as the API server tells it: NAME STATUS LABEL.
follow() { # KIND CONDITION
	kubectl get "$1" -w -o "jsonpath={.metadata.name} {.status.conditions[?(@.type==\"$2\")].status} {.metadata.labels.state}{\"\\n\"}" \
		>"$cluster_state/seen.$1" 2>&1 &
}
last() { # KIND NAME
	awk -v name="$2" '$1 == name { status = $2 } END { print status }' "$cluster_state/seen.$1"
}
is_last() { # KIND NAME STATUS
	[[ $(last "$1" "$2") == "$3" ]]
}
becomes_true() { # TEXT SECONDS KIND NAME
	wait_until "$2" is_last "$3" "$4" True
	local r=$?
	((r == 0)) || echo "# $4 is $(last "$3" "$4")"
	tap_ok "$r" "$1"
}
is_seen() { # KIND LABEL
	grep -q " $2\$" "$cluster_state/seen.$1"
}
# Told of all until now, STATUS is not among what came after it was True.
stays_true() { # TEXT KIND NAME LABEL
	kubectl label "$2" "$3" "state=$4" --overwrite >/dev/null
	wait_until 20 is_seen "$2" "$4" &&
		awk -v name="$3" '$1 == name { was = was || $2 == "True"; if (was && $2 != "True") { print "# " $0; bad = 1 } }
			END { exit bad || !was }' "$cluster_state/seen.$2"
	tap_ok $? "$1"
}
metric() { # NAME
	on 1 curl -s -m 2 http://127.0.0.1:9707/metrics |
		awk -v name="$1" '$1 == name { print $2 }'
}
is_writer() {
	[[ "$(metric weir_kube_writer)" == 1 ]]
}
# Of an agent that had applied nothing of what is there.
lease() { # NODE RENEWED
	kubectl create -f - >/dev/null <<-END
		apiVersion: coordination.k8s.io/v1
		kind: Lease
		metadata:
		  name: weir-agent-$1
		  namespace: $namespace
		  labels: {weir.dev/lease: agent}
		  annotations: {weir.dev/applied: "Gateway.gateway.networking.k8s.io=1,Ingress.networking.internal.knative.dev=1"}
		spec: {holderIdentity: $1, leaseDurationSeconds: 15, acquireTime: "$2", renewTime: "$2"}
	END
}
leases() { # names of the agents that have one
	kubectl -n "$namespace" get leases -l weir.dev/lease=agent -o name | sed 's|.*/weir-agent-||' | sort | xargs
}
are_leases() { # NAMES
	[[ $(leases) == "$1" ]]
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
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: first, namespace: default}
spec:
  gatewayClassName: weir
  addresses: [{type: IPAddress, value: 10.1.0.1}]
  listeners: [{name: web, port: 80, protocol: HTTP}]
END
king first
follow gateway Programmed
follow king Ready
rig weir up >/dev/null
becomes_true 'a Gateway is programmed' 20 gateway first
becomes_true 'a KIngress is Ready' 20 king first
read -r namespace own < <(kubectl get leases -A -l weir.dev/lease=agent --no-headers |
	awk '{ sub(/^weir-agent-/, "", $2); print $1, $2 }')
tap_is 'one agent has a Lease' "$(leases)" "$own"

# ------------------------------------------------- one that is long gone
rig weir down >/dev/null
lease removed 2020-02-02T02:02:02.000000Z
rig weir up >/dev/null
wait_until 20 is_writer
tap_ok $? 'the agent writes again after a restart, beside the Lease of a node that was taken out'
king second
becomes_true 'a new KIngress is Ready' 20 king second
! grep -q '^second \(Unknown\|False\)' "$cluster_state/seen.king"
tap_ok $? 'at once: it waited for nobody'
wait_until 60 are_leases "$own"
tap_is 'the old Lease is removed' "$(leases)" "$own"
stays_true 'the Gateway was programmed all the time' gateway first old
stays_true 'the KIngress was Ready' king first old
stays_true 'and so was the new one' king second old

# ----------------------------------------- one that was there a moment ago
rig weir down >/dev/null
lease leaving "$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)"
rig weir up >/dev/null
wait_until 20 is_writer
tap_ok $? 'the agent writes again, beside the Lease of a node that has just gone'
king third
becomes_true 'a new KIngress is Ready when it has lapsed' 40 king third
stays_true 'the Gateway was programmed all the time' gateway first new
stays_true 'the KIngress was Ready' king first new
tap_is 'a Lease that lapsed just now stays' "$(leases)" "$(printf '%s\n' "$own" leaving | sort | xargs)"

# ------------------------------------------------------ one that is in use
before=$(kubectl -n "$namespace" get lease "weir-agent-$own" -o 'jsonpath={.metadata.uid}')
kubectl -n "$namespace" delete lease "weir-agent-$own" >/dev/null
made_again() {
	local uid
	uid=$(kubectl -n "$namespace" get lease "weir-agent-$own" -o 'jsonpath={.metadata.uid}' 2>/dev/null)
	[[ -n $uid && $uid != "$before" ]]
}
wait_until 20 made_again
tap_ok $? 'an agent whose Lease is removed makes it again'
stays_true 'which takes nothing back' king second deleted
tap_end
