#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# KIngresses on a real API server, made as Serving makes them: what is refused
# and named, conflicts, classes, generations; and what an HTTPRoute is told whose
# backend is a Knative Service.
# timeout: 300

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_begin kstatus -nodes 1
cluster_needs knative-serving
tap_plan 26

ours=weir.ingress.networking.knative.dev
json() { # KIND NAME JSONPATH
	kubectl get "$1" "$2" -o "jsonpath={$3}"
}
has() { # WANT CMD...
	local want=$1
	shift
	[[ "$("$@")" == "$want" ]]
}
becomes() { # TEXT WANT CMD...
	local text=$1 want=$2
	shift 2
	wait_until 15 has "$want" "$@"
	tap_is "$text" "$("$@")" "$want"
}
king() { # NAME CLASS HOST SPLITS
	kubectl apply -f - >/dev/null <<-END
		apiVersion: networking.internal.knative.dev/v1alpha1
		kind: Ingress
		metadata: {name: $1, namespace: default, annotations: {networking.knative.dev/ingress.class: $2}}
		spec:
		  rules:
		  - hosts: [$3]
		    visibility: ClusterLocal
		    http: {paths: [{splits: [$4]}]}
	END
}
one='{serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 100}'
# "Ready/reason, generation observed or not"
ready() { # NAME
	kubectl get king "$1" -o json | jq -r '
		(.status.conditions // [] | map(select(.type == "Ready"))[0] // {}) as $c |
		"\($c.status)/\($c.reason // "") \(if .status.observedGeneration == .metadata.generation then "now" else "before" end)"'
}
message() {
	json king "$1" '.status.conditions[?(@.type=="Ready")].message'
}
answer() { # HOST: code at the private gateway
	on 1 curl -s -m 5 -o /dev/null -w '%{http_code}' -H "Host: $1" "http://$private/"
}

rig crds
kubectl apply --server-side -f "$cluster_cache/knative/serving/crds.yaml" >/dev/null
kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
kubectl create namespace weir-system >/dev/null
kubectl create namespace apps >/dev/null
kubectl apply -f deploy/knative/gateways.yaml -f tests/cluster/manifests/gateway.yaml -f - >/dev/null <<'END'
apiVersion: v1
kind: Service
metadata: {name: rev, namespace: default}
spec: {ports: [{name: http, port: 80}]}
END
private=$(kubectl -n weir-system get service knative-private -o 'jsonpath={.spec.clusterIP}')
address=$(on 1 printenv NODE_IP)
rig spawn -node 1 -program echo -- "$WEIR_BUILD/tests/weir-echo" --name rev "http:$address:8012"
for ns in default apps; do
	kubectl apply -f - >/dev/null <<-END
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: {name: rev-x, namespace: $ns, labels: {kubernetes.io/service-name: rev}}
		addressType: IPv4
		ports: [{name: http, port: 8012}]
		endpoints: [{addresses: [$address]}]
	END
done
rig weir up >/dev/null

# ---------------------------------------------------------------- one that is right
king a $ours a.default "$one"
becomes 'it is Ready, of its generation' 'True/ now' ready a
tap_is 'one entry of each load balancer' "$(kubectl get king a -o json |
	jq -c '[.status.publicLoadBalancer.ingress, .status.privateLoadBalancer.ingress] | map(length)')" '[1,1]'
becomes 'and served' 200 answer a.default

# ---------------------------------------------------------------- refused
king a $ours a.default "{serviceName: rev, serviceNamespace: other, servicePort: 80, percent: 60}, {serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 30}"
becomes 'an edit that is wrong is told for its generation' 'False/InvalidSpec now' ready a
[[ $(message a) == *'spec.rules[0].http.paths[0].splits[0].serviceNamespace: found another namespace'*'; spec.rules[0].http.paths[0].splits: found percents that add up to 90, expected 100'* ]]
tap_ok $? "every field is named: $(message a)"
tap_is 'what it said before is served on' "$(answer a.default)" 200
king a $ours a.default "$one"
becomes 'mended, it is Ready' 'True/ now' ready a
king bad $ours bad.default "{serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 7}, {serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 7}"
becomes 'one that was wrong from the beginning is told, too' 'False/InvalidSpec now' ready bad
king other.bad other.class bad2.default "{serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 7}, {serviceName: rev, serviceNamespace: default, servicePort: 80, percent: 7}"

# ---------------------------------------------------------------- conflicts
king late $ours a.default "$one"
becomes 'a host of an older one' 'False/DomainConflict now' ready late
[[ $(message late) == *'spec.rules[0].hosts[0]'*default/a* ]]
tap_ok $? "names the host's field and the other: $(message late)"
kubectl delete king a >/dev/null
becomes 'when that goes, it is Ready' 'True/ now' ready late
king a $ours a2.default "$one"

# ---------------------------------------------------------------- classes
king foreign other.class f.default "$one"
before=$(json king foreign .metadata.resourceVersion)
bad=$(json king other.bad .metadata.resourceVersion)
king last $ours last.default "$one"
becomes 'ours, made after a foreign one, is Ready' 'True/ now' ready last
tap_is 'the foreign one is as it was' "$(json king foreign .metadata.resourceVersion)/$(json king foreign .status)" "$before/"
tap_is 'also one that is wrong' "$(json king other.bad .metadata.resourceVersion)/$(json king other.bad .status)" "$bad/"
kubectl annotate --overwrite king late networking.knative.dev/ingress.class=other.class >/dev/null
becomes 'one that becomes foreign is served no more' 404 answer a.default
before=$(json king late .metadata.resourceVersion)
king last $ours last2.default "$one"
becomes 'another one changes' 'True/ now' ready last
tap_is 'what became foreign is not written' "$(json king late .metadata.resourceVersion)" "$before"
kubectl annotate --overwrite king late networking.knative.dev/ingress.class=$ours >/dev/null
becomes 'and served when it comes back' 200 answer a.default
becomes 'and Ready' 'True/ now' ready late

# ---------------------------------------------------------------- HTTPRoutes
route() { # NAME BACKEND
	kubectl apply -f - >/dev/null <<-END
		apiVersion: gateway.networking.k8s.io/v1
		kind: HTTPRoute
		metadata: {name: $1, namespace: default}
		spec:
		  parentRefs: [{name: gw}]
		  hostnames: [$1.test]
		  rules: [{backendRefs: [$2]}]
	END
}
refs() { # NAME
	json httproute "$1" '.status.parents[0].conditions[?(@.type=="ResolvedRefs")].status'
	json httproute "$1" '.status.parents[0].conditions[?(@.type=="ResolvedRefs")].reason'
}
at_route() { # NAME
	on 1 curl -s -m 5 -o /dev/null -w '%{http_code}' -H "Host: $1.test" http://10.1.0.1/
}
kservice='group: serving.knative.dev, kind: Service'
route none "{$kservice, name: none, port: 80}"
becomes 'a Knative Service that is not there' FalseBackendNotFound refs none
kubectl apply -f - >/dev/null <<'END'
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: none, namespace: default}
spec: {template: {spec: {containers: [{image: x}]}}}
END
becomes 'one that is there, without a KIngress yet, is resolved' TrueResolvedRefs refs none
tap_is 'and answers 503' "$(at_route none)" 503
kubectl apply -f - >/dev/null <<'END'
apiVersion: v1
kind: Service
metadata: {name: rev, namespace: apps}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: theirs, namespace: apps}
spec: {template: {spec: {containers: [{image: x}]}}}
---
# Of another network layer: read, never written.
apiVersion: networking.internal.knative.dev/v1alpha1
kind: Ingress
metadata: {name: theirs, namespace: apps, annotations: {networking.knative.dev/ingress.class: other.class}}
spec:
  rules:
  - hosts: [theirs.apps, theirs.apps.svc]
    visibility: ClusterLocal
    http: {paths: [{splits: [{serviceName: rev, serviceNamespace: apps, servicePort: 80, percent: 100}]}]}
END
route far "{$kservice, name: theirs, namespace: apps, port: 80}"
becomes 'one of another namespace is not permitted' FalseRefNotPermitted refs far
kubectl apply -f - >/dev/null <<'END'
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: apps}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: serving.knative.dev, kind: Service, name: theirs}]
END
becomes 'with a grant for its group it is' TrueResolvedRefs refs far
becomes 'and served, by the KIngress of another network layer' 200 at_route far
tap_is 'which is not written' "$(kubectl -n apps get king theirs -o 'jsonpath={.status}')" ''
tap_end
