#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One writer, three agents: Programmed means that every live agent has it; one
# that hangs is waited for until its Lease lapses; one that is killed as the
# writer is followed by another.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin acks -nodes 3
tap_plan 9

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
kubectl apply -f - >/dev/null <<'END'
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

hanging=$(agent_of "$other")
kill -STOP "$hanging"
gateway second 10.1.0.2
becomes 'while one hangs, a Gateway is not programmed' 8 second False/Pending
kill -CONT "$hanging"
becomes 'when it is back, it is' 8 second True/Programmed

# Longer than its Lease: 15 s, by the writer's own clock.
kill -STOP "$hanging"
gateway third 10.1.0.3
becomes 'one that hangs longer' 8 third False/Pending
becomes 'is not waited for when its Lease has lapsed' 30 third True/Programmed
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
