#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A Gateway that belongs to another controller for a moment, just while what it
# has in its namespace is about to be written.
# timeout: 120

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh
# shellcheck source=tests/kube/lib.sh
. tests/kube/lib.sh

cluster_begin kube-infra -light
kube_begin
tap_plan 5
build=$(realpath "${WEIR_BUILD:-build}")
gateways=/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways
rig crds experimental >/dev/null

lines() { # FILE N
	[[ $(wc -l 2>/dev/null <"$work/$1") -ge $2 ]]
}
metric() { # NAME{LABELS}
	on 1 curl -s http://127.0.0.1:9707/metrics |
		awk -v name="$1" '$1 == name { print $2 }'
}
generation() {
	metric 'weir_plan_generation{stage="kernel"}'
}
is_newer() { # GENERATION
	[[ $(generation) -gt $1 ]]
}
is_ready() {
	[[ $(metric weir_ready) == 1 ]]
}
agent_pid() {
	on 1 bash -c 'echo status | socat -t5 - "UNIX-CONNECT:$NODE_DIR/admin.sock"' |
		jq .processes.agent.pid
}
has_service() {
	kubectl get service late-weir >/dev/null 2>&1
}
class() {
	kubectl apply -f - >/dev/null <<-'END'
		apiVersion: gateway.networking.k8s.io/v1
		kind: GatewayClass
		metadata: {name: passing}
		spec: {controllerName: weir.dev/gateway-controller}
	END
}

cat >"$work/kubeconfig" <<'END'
{apiVersion: v1, kind: Config, current-context: c,
 contexts: [{name: c, context: {cluster: c, user: u}}],
 clusters: [{name: c, cluster: {server: "http://127.0.0.1:8099"}}],
 users: [{name: u, user: {}}]}
END
rig spawn -node 1 -program relay -- python3 "$PWD/tests/kube/holding-relay.py" 8099 \
	10.240.0.1:6443 "$cluster_state/pki" "$gateways/late" "$work" >/dev/null
rig spawn -node 1 -program weir -- bash -c 'exec "$0" --kubeconfig "$1" \
	--node-name "$NODE_NAME" --cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
	--admin "$NODE_DIR/admin.sock"' "$build/weir-agent" "$work/kubeconfig" >/dev/null
class
wait_until 30 is_ready
tap_ok $? 'an agent works through a relay'
before=$(generation)
pid=$(agent_pid)
kubectl apply -f - >/dev/null <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: late, namespace: default}
spec:
  gatewayClassName: passing
  addresses: [{type: IPAddress, value: 10.1.0.9}]
  infrastructure: {labels: {a: b}}
  listeners: [{name: web, port: 80, protocol: HTTP}]
END
# For its status, and for its Service.
wait_until 20 lines held 2 && wait_until 10 is_newer "$before"
tap_ok $? 'it asks for the Gateway twice'
before=$(generation)
kubectl delete gatewayclass passing >/dev/null
wait_until 10 is_newer "$before"
tap_ok $? 'and hears that it is not its own any more'
touch "$work/go"
wait_until 10 lines answered 2 && ! has_service
tap_ok $? 'of which nothing is made'
class
wait_until 20 has_service && [[ $(agent_pid) == "$pid" ]]
tap_ok $? 'nor is that remembered as written: it is made when it is its own again'
tap_end
