#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Gateways whose addresses are those of a Service of their own (service:
# LoadBalancer): the Service and its endpoints, the address that a balancer (a
# stand-in here) writes into its status, node ports, the ClusterIP; two Gateways
# on port 80; by nodes with weir, and by kube-proxy of one without.
# timeout: 400

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin service -nodes 3 -kube-proxy
build=$(realpath "${WEIR_BUILD:-build}")
tap_plan 24

gateway() { # NAME PORT
	cat <<-END
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: Gateway
		metadata: {name: $1, namespace: default}
		spec:
		  gatewayClassName: weir
		  listeners: [{name: web, port: $2, protocol: HTTP}]
		---
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: $1, namespace: default}
		spec:
		  parentRefs: [{name: $1}]
		  rules: [{backendRefs: [{name: $1, port: 80}]}]
		---
		apiVersion: v1
		kind: Service
		metadata: {name: $1, namespace: default}
		spec: {ports: [{port: 80, targetPort: 8080}]}
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata:
		  name: $1-1
		  namespace: default
		  labels: {kubernetes.io/service-name: $1}
		addressType: IPv4
		ports: [{name: "", port: ${3:-8081}}]
		endpoints: [{addresses: ["$node1"], conditions: {ready: true}}]
	END
}
field() { # KIND NAME JSONPATH
	kubectl get "$1" "$2" -o "jsonpath=$3"
}
programmed() { # NAME
	field gateway "$1" '{.status.conditions[?(@.type=="Programmed")].status}/{.status.conditions[?(@.type=="Programmed")].reason}'
}
is_programmed() { # NAME WANT
	[[ "$(programmed "$1")" == "$2" ]]
}
# What a load balancer does when it has an address for a Service.
give() { # NAME ADDRESS
	kubectl patch service "$1-weir" --subresource=status --type=merge -p \
		"{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"$2\"}]}}}" \
		>/dev/null
}
says() { # NODE URL NAME: who answers
	[[ "$(on "$1" curl -s -m 3 "$2" -o /dev/null -D - |
		tr -d '\r' | awk -F': ' 'tolower($1) == "x-backend" { print $2 }')" == "$3" ]]
}
node_ip() { # NODE
	on "$1" bash -c 'echo $NODE_IP'
}
synced() {
	local n
	for n in 1 2; do
		on $n curl -s -m 2 http://127.0.0.1:9707/metrics |
			grep -q '^weir_ready 1' || return 1
	done
}

node1=$(node_ip 1)
node2=$(node_ip 2)
node3=$(node_ip 3)
rig crds >/dev/null
kubectl apply -f - >/dev/null <<'END'
apiVersion: v1
kind: Namespace
metadata: {name: weir-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: weir, namespace: weir-system}
data: {service: LoadBalancer}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec:
  controllerName: weir.dev/gateway-controller
  parametersRef: {group: "", kind: ConfigMap, namespace: weir-system, name: weir}
---
apiVersion: v1
kind: Service
metadata: {name: taken-weir, namespace: default}
spec: {ports: [{port: 1234}]}
END
for n in 1 2; do
	rig spawn -node $n -program weir -- bash -c 'exec "$0" \
		--kubeconfig "$KUBECONFIG" --node-name "$NODE_NAME" \
		--cgroup "$NODE_CGROUP" --pin-dir "$NODE_BPFFS/weir" \
		--external lan --admin "$NODE_DIR/admin.sock"' \
		"$build/weir-agent" >/dev/null
done
rig spawn -node 1 -program echo -- "$build/tests/weir-echo" --name one \
	"http:$node1:8081" >/dev/null
rig spawn -node 1 -program echo2 -- "$build/tests/weir-echo" --name two \
	"http:$node1:8082" >/dev/null
wait_until 60 synced
tap_ok $? 'weir is ready on two of three nodes'
{
	gateway one 80 8081
	gateway two 80 8082
	gateway taken 80
} | kubectl apply -f - >/dev/null

has_node_port() { # NAME
	[[ -n "$(field service "$1-weir" '{.spec.ports[0].nodePort}' 2>/dev/null)" ]]
}
wait_until 20 has_node_port one && wait_until 20 has_node_port two
tap_ok $? 'each Gateway gets a Service'
[[ "$(field service one-weir '{.spec.type} {.spec.ports[*].port} {.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}')" == \
	'LoadBalancer 80 Gateway/one' ]]
tap_ok $? 'of type LoadBalancer, with its ports, owned by it'
wait_until 10 is_programmed one False/AddressNotAssigned
tap_ok $? 'without an address it is not programmed'
has_slice() {
	[[ "$(field endpointslice one-weir-v4 '{.endpoints[*].addresses[0]} {.ports[0].port}' 2>/dev/null)" == \
		"$node1 $node2 $(field service one-weir '{.spec.ports[0].nodePort}')" ]]
}
wait_until 20 has_slice
tap_ok $? 'its endpoints are the nodes with an agent, at the node port'

give one 10.99.0.1
give two 10.99.0.2
wait_until 15 is_programmed one True/Programmed &&
	wait_until 15 is_programmed two True/Programmed
tap_ok $? 'when the balancer has given one it is'
[[ "$(field gateway one '{.status.addresses[*].value}')" == 10.99.0.1 ]]
tap_ok $? 'and its status has that address'

on 0 ip route add 10.99.0.0/24 via "$node2"
wait_until 10 says 0 http://10.99.0.1/ one
tap_ok $? 'a client on the LAN is served at the address, by a node'
wait_until 10 says 0 http://10.99.0.2/ two
tap_ok $? 'and at the other Gateway by the other, on port 80 too'
on 0 ip route del 10.99.0.0/24
says 2 http://10.99.0.1/ one && says 2 http://10.99.0.2/ two
tap_ok $? 'a node itself likewise'
cluster_ip=$(field service one-weir '{.spec.clusterIP}')
says 1 "http://$cluster_ip/" one && says 2 "http://$cluster_ip/" one
tap_ok $? 'at the ClusterIP on both'
node_port=$(field service two-weir '{.spec.ports[0].nodePort}')
says 0 "http://$node1:$node_port/" two && says 0 "http://$node2:$node_port/" two
tap_ok $? 'at the node port of both, from outside'
[[ -z "$(on 2 ip -4 route show table local proto 119 | grep 10.99.0)" ]]
tap_ok $? 'the address is the balancer'"'"'s: local to no node'

# A node without weir has kube-proxy alone: it finds the endpoints.
wait_until 15 says 3 "http://$cluster_ip/" one
tap_ok $? 'a node without weir reaches the ClusterIP'
wait_until 15 says 0 "http://$node3:$node_port/" two
tap_ok $? 'its node port leads to a node with weir'
on 0 ip route add 10.99.0.0/24 via "$node3"
wait_until 15 says 0 http://10.99.0.1/ one && says 0 http://10.99.0.2/ two
tap_ok $? 'so does the address, where the balancer sends it there'
on 0 ip route del 10.99.0.0/24

# Listeners come: the Service follows and keeps what it was given.
kubectl patch gateway one --type=merge -p '{"spec":{"listeners":[
	{"name":"web","port":80,"protocol":"HTTP"},
	{"name":"more","port":8088,"protocol":"HTTP"}]}}' >/dev/null
has_ports() {
	[[ "$(field service one-weir '{.spec.ports[*].port} {.spec.clusterIP}')" == \
		"80 8088 $cluster_ip" ]]
}
wait_until 20 has_ports
tap_ok $? 'its ports follow the listeners, its ClusterIP stays'
wait_until 15 says 2 "http://$cluster_ip:8088/" one
tap_ok $? 'and the new one is served'

endpoints() { # NAME
	field endpointslice "$1" '{.addressType}:{.endpoints[*].addresses[0]}' 2>/dev/null
}
has_endpoints() { # NAME WANT
	[[ "$(endpoints "$1")" == "$2" ]]
}
kubectl delete endpointslice one-weir-v4 >/dev/null
wait_until 10 has_endpoints one-weir-v4 "IPv4:$node1 $node2"
tap_ok $? 'endpoints that are deleted are made again'

[[ "$(field service taken-weir '{.spec.ports[*].port}')" == 1234 &&
	"$(programmed taken)" == False/AddressNotAssigned ]]
tap_ok $? 'a Service of somebody else with the name is left alone'
kubectl patch gateway two --type=merge -p '{"spec":{"listeners":[
	{"name":"web","port":80,"protocol":"example.com/odd"}]}}' >/dev/null
wait_until 10 has_endpoints two-weir-v4 IPv4:
tap_ok $? 'a Gateway without a listener that is served has no endpoints'
kubectl patch gateway two --type=merge -p '{"spec":{"listeners":[
	{"name":"web","port":80,"protocol":"HTTP"}]}}' >/dev/null
wait_until 10 has_endpoints two-weir-v4 "IPv4:$node1 $node2"
tap_ok $? 'until it has one'
kubectl delete gateway two >/dev/null
gone() {
	! kubectl get service two-weir >/dev/null 2>&1
}
# The collector looks for kinds of its own accord twice a minute.
wait_until 90 gone
tap_ok $? 'with the Gateway its Service goes'
! says 1 http://10.99.0.2/ two
tap_ok $? 'and its address is served no more'
tap_end
