#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Status on a real API server: what is written, what survives, and that nothing
# is written twice.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin status -nodes 1
tap_plan 51

controller=weir.dev/gateway-controller
json() { # KIND NAME JSONPATH
	kubectl get "$1" "$2" -o "jsonpath={$3}"
}
has() { # KIND NAME JSONPATH WANT
	[[ "$(json "$1" "$2" "$3")" == "$4" ]]
}
becomes() { # TEXT KIND NAME JSONPATH WANT
	wait_until 10 has "$2" "$3" "$4" "$5"
	tap_is "$1" "$(json "$2" "$3" "$4")" "$5"
}
metric() { # NAME[{LABELS}]
	on 1 curl -s http://127.0.0.1:9707/metrics |
		awk -v name="$1" '$1 == name { print $2 }'
}
updates() { # KIND
	metric "weir_kube_status_updates_total{group=\"gateway.networking.k8s.io\",kind=\"$1\",result=\"written\"}"
}
condition() { # TYPE FIELD: of the path of a jsonpath
	echo ".conditions[?(@.type==\"$1\")].$2"
}
routes() { # FIRST LAST
	local i
	for ((i = $1; i <= $2; i++)); do
		cat <<-END
			---
			apiVersion: gateway.networking.k8s.io/v1
			kind: HTTPRoute
			metadata: {name: r$i, namespace: default}
			spec:
			  parentRefs: [{name: gw, sectionName: web}]
			  hostnames: [r$i.example.com]
			  rules: [{backendRefs: [{name: web, port: 80}]}]
		END
	done
}

rig crds
kubectl apply -f - >/dev/null <<'END'
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  ports: [{port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: weir.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
END
rig weir up >/dev/null
cluster_prefer
becomes 'a class of ours is accepted' gatewayclass weir \
	".status$(condition Accepted status)" True
tap_is 'the version of the CRDs is known' \
	"$(json gatewayclass weir ".status$(condition SupportedVersion reason)")" \
	SupportedVersion
tap_is 'and that it is told of everything' \
	"$(json gatewayclass weir ".status$(condition weir.dev/KindsWatched status)")" True
features=$(kubectl get gatewayclass weir -o jsonpath='{range .status.supportedFeatures[*]}{.name}{"\n"}{end}')
[[ -n $features && $features == "$(sort <<<"$features")" ]]
tap_ok $? 'features are claimed in order'
tap_is 'a class of others is left alone' \
	"$(json gatewayclass other ".status$(condition Accepted status)")" Unknown

kubectl apply -f - >/dev/null <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: weir
  addresses: [{type: IPAddress, value: 10.1.0.1}]
  listeners:
  - {name: web, port: 80, protocol: HTTP}
  - {name: odd, port: 81, protocol: example.com/odd}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r0, namespace: default}
spec:
  parentRefs: [{name: gw}, {name: foreign}]
  rules: [{backendRefs: [{name: missing, port: 80}]}]
END
becomes 'a Gateway is programmed' gateway gw \
	".status$(condition Programmed status)" True
tap_is 'with a listener that cannot be served' \
	"$(json gateway gw ".status$(condition Accepted reason)")" \
	ListenersNotValid
tap_is 'at its address' "$(json gateway gw .status.addresses[0].value)" 10.1.0.1
tap_is 'a route counts' \
	"$(json gateway gw '.status.listeners[?(@.name=="web")].attachedRoutes')" 1
tap_is 'and says what it does not find' \
	"$(json httproute r0 ".status.parents[0]$(condition ResolvedRefs reason)")" \
	BackendNotFound
has_event() {
	kubectl get events -o jsonpath='{.items[*].reason}' | grep -q BackendNotFound
}
wait_until 5 has_event
tap_ok $? 'so does an Event'
tap_is 'one entry: the other Gateway is not ours' \
	"$(json httproute r0 '.status.parents[*].controllerName')" "$controller"

# ------------------------------------------------- what others wrote survives
kubectl patch gateway gw --subresource=status --type=json -p '[
 {"op":"add","path":"/status/conditions/-","value":{"type":"example.com/x",
  "status":"True","reason":"Theirs","message":"kept",
  "lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":1}}]' >/dev/null
kubectl patch httproute r0 --subresource=status --type=json -p '[
 {"op":"add","path":"/status/parents/0","value":{
  "parentRef":{"name":"foreign"},"controllerName":"example.com/other",
  "conditions":[{"type":"Accepted","status":"False","reason":"Theirs",
   "message":"kept","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}]' >/dev/null
theirs() {
	kubectl get httproute r0 -o jsonpath='{.status.parents[?(@.controllerName=="example.com/other")]}'
	kubectl get gateway gw -o jsonpath='{.status.conditions[?(@.type=="example.com/x")]}'
}
before=$(theirs)
since=$(json gateway gw ".status$(condition Programmed lastTransitionTime)")
kubectl patch gateway gw --type=json -p '[{"op":"remove","path":"/spec/listeners/1"}]' >/dev/null
kubectl patch httproute r0 --type=json -p '[
 {"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":"web"}]' >/dev/null
becomes 'an edit is answered at its generation' gateway gw \
	".status$(condition Accepted observedGeneration)" 2
becomes 'by the route, too' httproute r0 \
	".status.parents[1]$(condition ResolvedRefs reason)" ResolvedRefs
tap_is 'a listener that is gone has no status' \
	"$(json gateway gw '.status.listeners[*].name')" web
tap_is 'conditions and parents of others are as they were' "$(theirs)" "$before"
tap_is 'what did not change keeps its time' \
	"$(json gateway gw ".status$(condition Programmed lastTransitionTime)")" \
	"$since"

# ---------------------------------------------------- no more than is needed
routes 1 300 | kubectl apply -f - >/dev/null
becomes 'three hundred routes are counted' gateway gw \
	'.status.listeners[0].attachedRoutes' 301
all_written() {
	(($(updates HTTPRoute) >= 302)) && [[ $(metric weir_kube_status_waiting) == 0 ]]
}
wait_until 60 all_written
[[ $(updates HTTPRoute) -eq 302 ]] # r0 twice
r=$?
((r == 0)) || echo "# $(updates HTTPRoute) updates of routes"
tap_ok "$r" 'each was written once'
n=$(updates Gateway)
echo "# $n updates of the Gateway"
((n <= 20))
tap_ok $? 'and the Gateway twenty times at most'
versions() {
	kubectl get gateway,httproute,gatewayclass -A \
		-o jsonpath='{.items[*].metadata.resourceVersion}'
}
before=$(versions)
sleep 6 # longer than an update is thought to be lost
tap_is 'nothing is written while nothing changes' "$(versions)" "$before"

# An edit of weights alone, the way without a compilation.
kubectl patch httproute r1 --type=json -p '[
 {"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":5}]' >/dev/null
becomes 'an edit of weights is answered at its generation' httproute r1 \
	".status.parents[0]$(condition Accepted observedGeneration)" 2

# ----------------------------------------------------- spec.infrastructure
kubectl apply -f - >/dev/null <<'END'
apiVersion: v1
kind: Service
metadata: {name: taken-weir, namespace: default, labels: {mine: "yes"}}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: taken, namespace: default}
spec:
  gatewayClassName: weir
  addresses: [{type: IPAddress, value: 10.1.0.2}]
  infrastructure: {labels: {mine: "no"}}
  listeners: [{name: web, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: named, namespace: default}
spec:
  gatewayClassName: weir
  addresses: [{type: IPAddress, value: 10.1.0.3}]
  infrastructure: {labels: {a: b}, annotations: {c: 'd "e"'}}
  listeners: [{name: web, port: 80, protocol: HTTP}]
END
becomes 'a Gateway with infrastructure has a Service with its labels' \
	service named-weir .metadata.labels.a b
becomes 'and a DNS name for its address' endpointslice named-weir-v4 \
	'.endpoints[*].addresses[*]' 10.1.0.3
kubectl patch gateway named --type=json -p '[
 {"op":"replace","path":"/spec/infrastructure/annotations/c","value":"f"}]' >/dev/null
becomes 'which follow it' service named-weir .metadata.annotations.c f
tap_is 'a Service of somebody else is left alone' \
	"$(json service taken-weir .metadata.labels.mine)" yes
slices_of() { # SERVICE
	kubectl get endpointslices -o name \
		-l "kubernetes.io/service-name=$1,gateway.networking.k8s.io/gateway-name"
}
rig weir log | grep -q 'a Service of somebody else has the name'
tap_is "(the log says it: $?) and has no endpoints of a Gateway" \
	"$(slices_of taken-weir)" ''

kubectl delete service taken-weir >/dev/null
becomes 'until it is gone' service taken-weir .metadata.labels.mine no
becomes 'and then has' endpointslice taken-weir-v4 \
	'.endpoints[*].addresses[*]' 10.1.0.2
kubectl patch service taken-weir --type=json -p '[
 {"op":"remove","path":"/metadata/ownerReferences"},
 {"op":"replace","path":"/metadata/labels/mine","value":"yes"}]' >/dev/null
becomes 'one that is taken over has none any more' endpointslice taken-weir-v4 \
	'.addressType}:{.endpoints[*].addresses[*]' IPv4:
tap_is 'nor is it touched' "$(json service taken-weir .metadata.labels.mine)" yes

# Addresses of a pool come and go without an edit of the Gateway.
pool() { # ADDRESSES
	cat <<-END
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: pool, namespace: default}
		data: {addresses: '$1'}
	END
}
pool 10.2.0.1-10.2.0.9 | kubectl apply -f - >/dev/null
kubectl apply -f - >/dev/null <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: pooled}
spec:
  controllerName: weir.dev/gateway-controller
  parametersRef: {group: "", kind: ConfigMap, name: pool, namespace: default}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: pooled, namespace: default}
spec:
  gatewayClassName: pooled
  infrastructure: {labels: {a: b}}
  listeners: [{name: web, port: 80, protocol: HTTP}]
END
becomes 'a Gateway with an address of a pool has it in its endpoints' \
	endpointslice pooled-weir-v4 '.endpoints[*].addresses[*]' 10.2.0.1
pool 10.2.1.1-10.2.1.9 | kubectl apply -f - >/dev/null
becomes 'which follow the pool' \
	endpointslice pooled-weir-v4 '.endpoints[*].addresses[*]' 10.2.1.1
pool fd00:2::1-fd00:2::9 | kubectl apply -f - >/dev/null
becomes 'also to the other family' \
	endpointslice pooled-weir-v6 '.endpoints[*].addresses[*]' fd00:2::1
becomes 'nobody is sent to what is gone' endpointslice pooled-weir-v4 \
	'.addressType}:{.endpoints[*].addresses[*]' IPv4:
kubectl delete service/pooled-weir endpointslice/pooled-weir-v6 >/dev/null
becomes 'a Service that is deleted is made again' \
	service pooled-weir .metadata.labels.a b
becomes 'and its endpoints' \
	endpointslice pooled-weir-v6 '.endpoints[*].addresses[*]' fd00:2::1

# ------------------------------- never in the way of what the node itself does
kubectl apply -f - >/dev/null <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: greedy, namespace: default}
spec:
  gatewayClassName: weir
  addresses: [{type: IPAddress, value: 10.240.0.1}]
  listeners: [{name: api, port: 6443, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: greedy, namespace: default}
spec:
  parentRefs: [{name: greedy}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
END
becomes 'the port of the API server is not taken' gateway greedy \
	".status$(condition Programmed reason)" AddressNotUsable
tap_is 'which its listener says' \
	"$(json gateway greedy ".status.listeners[0]$(condition Accepted reason)")" \
	PortUnavailable
kubectl get gateway greedy >/dev/null
tap_ok $? 'and the API server answers'
kubectl patch gateway greedy --type=merge -p '{"spec":{
 "allowedListeners":{"namespaces":{"from":"Same"}},
 "listeners":[{"name":"free","port":6480,"protocol":"TCP"}]}}' >/dev/null
kubectl apply -f - >/dev/null <<'END'
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: late, namespace: default}
spec:
  parentRef: {name: greedy}
  listeners:
  - {name: api, port: 6443, protocol: TCP}
  - {name: free, port: 6481, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: late, namespace: default}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: ListenerSet, name: late}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
END
becomes 'nor by a ListenerSet' listenerset late \
	".status.listeners[0]$(condition Accepted reason)" PortUnavailable
tap_is 'whose listener is not programmed' \
	"$(json listenerset late ".status.listeners[0]$(condition Programmed status)")" False
becomes 'the Gateway and the other listener are' listenerset late \
	".status.listeners[1]$(condition Programmed status)" True
# shellcheck disable=SC2016 # expanded there
on 1 bash -c '"$WEIR_BUILD/weirctl" status --admin "$NODE_DIR/admin.sock"' |
	grep -q '^server     https://.*, this agent writes status$'
tap_ok $? 'weirctl status names the server'

kubectl delete crd udproutes.gateway.networking.k8s.io >/dev/null
becomes 'a class says of what weir is not told' gatewayclass weir \
	".status$(condition weir.dev/KindsWatched message)" 'there is no CRD of UDPRoute'

# ------------------------- a write that cannot succeed is not tried for ever
kubectl apply -f - >/dev/null <<'END'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-status}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [gateway.networking.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [httproutes/status]}
  validations: [{expression: "object.metadata.name != 'denied'", message: not this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-status}
spec: {policyName: no-status, validationActions: [Deny]}
END
is_denied() {
	! kubectl patch httproute denied --subresource=status --type=merge --dry-run=server -p \
		'{"status":{"parents":[]}}' >/dev/null 2>&1
}
route_named() { # NAME PATH
	cat <<-END
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: $1, namespace: default}
		spec:
		  parentRefs: [{name: gw}]
		  rules: [{matches: [{path: {type: PathPrefix, value: $2}}], backendRefs: [{name: web, port: 80}]}]
	END
}
failures() {
	metric 'weir_kube_status_updates_total{group="gateway.networking.k8s.io",kind="HTTPRoute",result="failed"}'
}
# A policy is in force a moment after it is there.
until {
	route_named denied /first | kubectl apply -f - >/dev/null
	is_denied
}; do
	kubectl delete httproute denied >/dev/null
	sleep 0.5
done
kubectl delete httproute denied >/dev/null
before=$(failures)
route_named denied /first | kubectl apply -f - >/dev/null
sleep 21 # tried at 0, 5 and 15 s
n=$(($(failures) - before))
echo "# $n tries in 21 s"
((n >= 1 && n <= 3))
tap_ok $? 'one that is refused is tried ever more rarely'
kubectl delete validatingadmissionpolicybinding no-status >/dev/null
until ! is_denied; do
	sleep 0.2
done
route_named denied /second | kubectl apply -f - >/dev/null
becomes 'but at once when there is something new to say' httproute denied \
	".status.parents[0]$(condition Accepted observedGeneration)" 2

# ----------------------------------------------- observedGeneration, everywhere
unobserved() { # conditions of ours without the generation that they are about
	kubectl get gatewayclass,gateway,httproute -A -o json | jq -r --arg c "$controller" '
		.items[] | . as $o |
		(if .kind == "HTTPRoute" then (.status.parents // [])[] | select(.controllerName == $c) | .conditions[]
		 elif .kind == "GatewayClass" and .spec.controllerName != $c then empty
		 else .status.conditions[]?, (.status.listeners // [])[].conditions[] end) |
		select(.type != "example.com/x" and .observedGeneration != $o.metadata.generation) |
		"\($o.kind) \($o.metadata.name) \(.type)"'
}
is_observed() {
	[[ -z "$(unobserved)" ]]
}
wait_until 10 is_observed
r=$?
unobserved | head -n 5 | sed 's/^/# /'
tap_ok $r 'each condition says which generation it is about'

# ------------------------------------------------------------------- the end
kubectl delete gateway gw --wait=false >/dev/null
becomes 'without its Gateway a route has no entry of ours' httproute r0 \
	'.status.parents[*].controllerName' example.com/other
kubectl delete httproute r0 --timeout=10s >/dev/null
tap_ok $? 'nothing keeps an object from going'

families=$(on 1 curl -s http://127.0.0.1:9707/metrics |
	sed -n 's/^# TYPE \(weir_kube_[^ ]*\) .*/\1/p' | sort)
listed=$(sed -n 's/^| `\(weir_kube_[a-z_]*\)`.*/\1/p' agent/README.md | sort)
diff <(echo "$families") <(echo "$listed") | sed 's/^/# /'
[ "$families" = "$listed" ]
tap_ok $? 'agent/README.md lists every family'
tap_end
