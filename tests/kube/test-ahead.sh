#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A pod of a revision that starts on this node is known by what the container
# runtime wrote, before the API server tells its address; on another node by what
# the agent there says with its Lease.
# timeout: 120

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/cluster/lib.sh
. tests/cluster/lib.sh
# shellcheck source=tests/kube/lib.sh
. tests/kube/lib.sh

cluster_begin kube-ahead -light
kube_begin
tap_plan 15
build=$(realpath "${WEIR_BUILD:-build}")
results=$work/cni/results
leases=default

pod() { # NAME NODE: as the scheduler leaves it
	kubectl apply -f - >/dev/null <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: default, labels: {serving.knative.dev/revision: rev}}
		spec:
		  nodeName: $2
		  automountServiceAccountToken: false
		  containers: [{name: c, image: i}]
	END
}
status() { # NAME STATUS
	kubectl patch pod "$1" --subresource=status --type=merge -p "{\"status\": $2}" >/dev/null
}
uid() { # POD
	kubectl get pod "$1" -o 'jsonpath={.metadata.uid}'
}
network() { # FILE POD IP: as libcni 1.3 writes it
	printf '{"kind":"cniCacheV1","containerId":"c","config":"e30=","ifName":"eth0","networkName":"n","cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAME","%s"],["K8S_POD_UID","%s"]],"result":{"cniVersion":"1.0.0","ips":[{"address":"%s/24","interface":1}]}}' \
		"$2" "$(uid "$2")" "$3" >"$results/$1"
}
another_agent() { # NODE STARTS
	local now
	now=$(date -u +%FT%T.%6NZ)
	kubectl apply -f - >/dev/null <<-END
		apiVersion: coordination.k8s.io/v1
		kind: Lease
		metadata:
		  name: weir-agent-$1
		  namespace: $leases
		  labels: {weir.dev/lease: agent}
		  annotations: {weir.dev/applied: "Service=1", weir.dev/starts: "$2"}
		spec: {holderIdentity: $1, leaseDurationSeconds: 15, leaseTransitions: 0, renewTime: "$now"}
	END
}
says() { # STARTS
	[[ $(kubectl -n $leases get lease weir-agent-node-1 -o 'jsonpath={.metadata.annotations.weir\.dev/starts}') == "$1" ]]
}
pods() { # of the revision, as the plan has them
	# shellcheck disable=SC2016 # expanded there
	on 1 bash -c '"$0" dump --admin "$NODE_DIR/admin.sock" -o json' "$build/weirctl" 2>"$work/dump.log" |
		jq -r '.groups[] | select(.pods).endpoints[] | "\(.address)/\(if .unready then "starts" else "serves" end)"' |
		sort | tr '\n' ' '
}
are() { # PODS
	[[ "$(pods)" == "$1" ]]
}
become() { # TEXT PODS
	wait_until 10 are "$2"
	local r=$?
	((r == 0)) || echo "# they are '$(pods)', want '$2'"
	tap_ok "$r" "$1"
}
is_ready() {
	[[ $(on 1 curl -s http://127.0.0.1:9707/metrics | awk '$1 == "weir_ready" {print $2}') == 1 ]]
}
waiting() { # N: pods have no address yet
	# shellcheck disable=SC2016 # expanded there
	[[ $(on 1 bash -c 'echo status | socat -t5 - "UNIX-CONNECT:$NODE_DIR/admin.sock"' |
		jq .kubernetes.cniResults.starting) == "$1" ]]
}

rig crds experimental >/dev/null
kubectl apply --server-side -f "$cluster_cache/knative/serving/crds.yaml" >/dev/null
kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
kubectl create serviceaccount default >/dev/null
kubectl create namespace weir-system >/dev/null
kubectl apply -f deploy/knative/gateways.yaml >/dev/null
kubectl apply -f - >/dev/null <<'END'
apiVersion: v1
kind: Namespace
metadata: {name: knative-serving}
---
apiVersion: v1
kind: Service
metadata: {name: autoscaler, namespace: knative-serving}
spec: {ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: rev, namespace: default}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: rev-private, namespace: default}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: serving.knative.dev/v1
kind: Revision
metadata: {name: rev, namespace: default}
spec:
  containers: [{image: i, readinessProbe: {tcpSocket: {port: 0}, successThreshold: 1}}]
---
apiVersion: networking.internal.knative.dev/v1alpha1
kind: Ingress
metadata:
  name: rev
  namespace: default
  annotations: {networking.knative.dev/ingress.class: weir.ingress.networking.knative.dev}
spec:
  rules:
  - hosts: [rev.example.com]
    visibility: ExternalIP
    http:
      paths: [{splits: [{serviceNamespace: default, serviceName: rev, servicePort: 80, percent: 100}]}]
END
mkdir -p "$work/cni"
# shellcheck disable=SC2016 # expanded there
rig spawn -node 1 -program weir -- bash -c 'exec "$0" --kubeconfig "$KUBECONFIG" \
	--node-name "$NODE_NAME" --cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
	--cni-results "$1" --admin "$NODE_DIR/admin.sock"' "$build/weir-agent" "$results" >/dev/null
wait_until 30 is_ready
tap_ok $? 'an agent, before its node has had a pod'

pod here node-1
pod there node-2
wait_until 10 waiting 2
tap_ok $? 'two pods are to start, one of them here'
mkdir "$results"
network n-1-eth0 here 10.9.0.5
network n-2-eth0 there 10.9.0.6
wait_until 15 are '10.9.0.5:8012/starts '
tap_ok $? 'the one here has an address, as the runtime wrote'
wait_until 10 says "$(uid here)=10.9.0.5"
tap_ok $? 'which others hear with its Lease'
network n-3-eth0 here 10.9.0.7
become 'and another one when its sandbox is made anew' '10.9.0.7:8012/starts '
echo '{"kind":"cniCacheV1","ifName":"eth0","cniArgs":[[' >"$results/n-4-eth0"
network n-5-eth0 nobody 10.9.0.8
rm "$results/n-3-eth0"
become 'of networks that are gone, and of rubbish, nothing is known' '10.9.0.5:8012/starts '
another_agent node-3 "$(uid there)=10.9.0.11"
another_agent node-2 "rubbish,$(uid there)=10.9.0.12,$(uid here)=10.9.0.13"
become 'the other one has an address when the agent there says so' '10.9.0.12:8012/starts 10.9.0.5:8012/starts '
another_agent node-2 ''
become 'until it does no more' '10.9.0.5:8012/starts '
status there '{"podIP": "10.9.0.6", "podIPs": [{"ip": "10.9.0.6"}]}'
become 'or when the server says so' '10.9.0.5:8012/starts 10.9.0.6:8012/starts '
status here '{"podIP": "10.9.0.9", "podIPs": [{"ip": "10.9.0.9"}]}'
become "the server's word is the last" '10.9.0.6:8012/starts 10.9.0.9:8012/starts '
waiting 0
tap_ok $? 'and none waits any more'
status here '{"conditions": [{"type": "Ready", "status": "True"}]}'
become 'that it is ready EndpointSlices say' '10.9.0.6:8012/starts '

# What was there before the agent.
pod late node-1
wait_until 10 waiting 1
rig stop -node 1 -program weir
network n-6-eth0 late 10.9.0.10
# shellcheck disable=SC2016 # expanded there
rig spawn -node 1 -program weir -- bash -c 'exec "$0" --kubeconfig "$KUBECONFIG" \
	--node-name "$NODE_NAME" --cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
	--cni-results "$1" --admin "$NODE_DIR/admin.sock"' "$build/weir-agent" "$results" >/dev/null
wait_until 30 are '10.9.0.10:8012/starts 10.9.0.6:8012/starts '
tap_ok $? 'an agent that starts reads what was written before'
kubectl delete pod late --grace-period=0 --force >/dev/null 2>&1
become 'a pod that is deleted is none' '10.9.0.6:8012/starts '
waiting 0
tap_ok $? 'nor waits'
tap_end
