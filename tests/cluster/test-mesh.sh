#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Routes of Services where no kube-proxy runs: for all clients, for those of one
# namespace, on the node of the endpoint and on another.  Clients are pods that
# stand behind no Service.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin mesh -nodes 2
tap_plan 9
rig crds experimental >/dev/null
kubectl apply -f tests/conformance/gatewayclass.yaml >/dev/null
rig weir up >/dev/null

server() { # NAME
	cat <<-END
		---
		{apiVersion: v1, kind: Service, metadata: {name: $1, namespace: shop}, spec: {selector: {app: $1}, ports: [{port: 80, targetPort: 8080}]}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, namespace: shop, labels: {app: $1}}
		spec:
		  nodeName: node-1
		  containers:
		  - name: echo
		    image: weir.test/tools
		    args: [--name, $1, "http:0.0.0.0:8080"]
		    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
	END
}
client() { # NAMESPACE NODE
	cat <<-END
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: client-$2, namespace: $1}
		spec:
		  nodeName: node-$2
		  terminationGracePeriodSeconds: 0
		  containers: [{name: box, image: weir.test/machine, command: [sleep, "1000"]}]
	END
}
route() { # NAMESPACE NAME BACKEND
	cat <<-END
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: $2, namespace: $1}
		spec:
		  parentRefs: [{group: "", kind: Service, name: web, namespace: shop, port: 80}]
		  rules: [{backendRefs: [{name: $3, namespace: shop, port: 80}]}]
	END
}
asks() { # NAMESPACE NODE: who answers for web
	kubectl exec -n "$1" "client-$2" -- curl -s -m 2 "http://$web/" 2>/dev/null |
		grep -oE '\b(web|blue|green)\b' | head -n 1
}
is_answered() { # BY NAMESPACE NODE
	[[ "$(asks "$2" "$3")" == "$1" ]]
}
soon() { # TEXT BY NAMESPACE NODE
	wait_until 10 is_answered "$2" "$3" "$4"
	tap_ok $? "$1"
}

kubectl create namespace shop >/dev/null
kubectl create namespace team >/dev/null
{
	server web
	server blue
	server green
	for node in 1 2; do
		client shop $node
		client team $node
	done
} | kubectl apply -f - >/dev/null
kubectl wait -n shop --for=condition=Ready pod --all --timeout=60s >/dev/null &&
	kubectl wait -n team --for=condition=Ready pod --all --timeout=60s >/dev/null
tap_ok $? '(pods are ready)'
web=$(kubectl get service -n shop web -o 'jsonpath={.spec.clusterIP}')

! kubectl exec -n team client-2 -- curl -s -m 1 "http://$web/" >/dev/null 2>&1
tap_ok $? 'a Service that no route names is left alone'
route shop all blue | kubectl apply -f - >/dev/null
soon 'a route of its namespace is for all' blue team 2
soon 'on the node of the endpoint, too' blue shop 1
route team mine green | kubectl apply -f - >/dev/null
soon 'one of another namespace is for the clients there' green team 2
soon 'on each node' green team 1
is_answered blue shop 2
tap_ok $? 'and not for others'

# The address of a client that is gone is nobody's.
kubectl delete pod -n team client-2 --wait=true >/dev/null
client team 2 | kubectl apply -f - >/dev/null
kubectl wait -n team --for=condition=Ready pod/client-2 --timeout=60s >/dev/null
soon 'also for those that come later' green team 2
kubectl delete httproute -n team mine >/dev/null
soon 'without the route they are like all others' blue team 2
