#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The CRDs of the release before, in both channels; an upgrade below a running
# agent; CRDs that are not there, and come later; a release that nobody knows.
# timeout: 400

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/lib.sh

cluster_needs crds
cluster_begin crds -nodes 1
tap_plan 19
before=v1.6.3

supported() {
	kubectl get gatewayclass weir \
		-o 'jsonpath={.status.conditions[?(@.type=="SupportedVersion")].reason}' 2>/dev/null
}
says() { # REASON
	[[ $(supported) == "$1" ]]
}
bundle() { # what the CRDs say of themselves
	kubectl get crd gatewayclasses.gateway.networking.k8s.io -o json |
		jq -r '.metadata.annotations | "\(.["gateway.networking.k8s.io/channel"]) \(.["gateway.networking.k8s.io/bundle-version"])"'
}
watching() { # KIND
	on 1 curl -s http://127.0.0.1:9707/metrics |
		sed -n "s/^weir_kube_kind_watching{group=\"gateway.networking.k8s.io\",kind=\"$1\"} //p"
}
is_watching() { # KIND 1|0
	[[ $(watching "$1") == "$2" ]]
}
kinds='GatewayClass Gateway ListenerSet HTTPRoute GRPCRoute TLSRoute TCPRoute UDPRoute ReferenceGrant BackendTLSPolicy'
all_watched() {
	local kind
	for kind in $kinds; do
		is_watching "$kind" 1 || return 1
	done
}
address() {
	kubectl get gateway example -o 'jsonpath={.status.addresses[0].value}'
}
answers() { # PORT
	local at
	at=$(address 2>/dev/null)
	[[ -n $at && $(on 0 curl -s -m 2 -H 'Host: example.test' "http://$at:$1/" | jq -r .name) =~ ^(blue|green)$ ]]
}
objects() { # the class, the example, and a TCPRoute to the same servers
	kubectl apply -f tests/conformance/gatewayclass.yaml -f tests/cluster/manifests/example.yaml >/dev/null &&
		kubectl patch gateway example --type=json -p '[{"op": "add", "path": "/spec/listeners/-",
			"value": {"name": "tcp", "protocol": "TCP", "port": 9000}}]' >/dev/null
}
tcp_route() {
	kubectl apply -f - >/dev/null <<-'END'
		apiVersion: gateway.networking.k8s.io/v1
		kind: TCPRoute
		metadata: {name: example}
		spec:
		  parentRefs: [{name: example, sectionName: tcp}]
		  rules: [{backendRefs: [{name: blue, port: 80}]}]
	END
}

for channel in standard experimental; do
	rig crds $channel $before
	tap_is "$channel: those of $before are there" "$(bundle)" "$channel $before"
	# In the second turn it has waited for them.
	[[ $channel != standard ]] || rig weir up >/dev/null
	objects && kubectl wait --for=condition=Available deploy/blue deploy/green --timeout=60s >/dev/null
	tap_ok $? "$channel: the objects are taken"
	wait_until 60 all_watched
	tap_ok $? "$channel: every kind is watched"
	wait_until 20 says SupportedVersion
	tap_is "$channel: the version is supported" "$(supported)" SupportedVersion
	wait_until 20 answers 80
	tap_ok $? "$channel: HTTP is served"
	tcp_route && wait_until 20 answers 9000
	tap_ok $? "$channel: TCP is served"
	[[ $channel == standard ]] || break

	# A cluster that lacks kinds, and an upgrade that brings them.
	kubectl delete crd {tcp,udp}routes.gateway.networking.k8s.io >/dev/null
	wait_until 30 is_watching TCPRoute 0 && wait_until 30 is_watching UDPRoute 0
	tap_ok $? 'kinds that are gone are seen to be'
	wait_until 10 answers 80 && ! answers 9000
	tap_ok $? 'what is left is served, and no more'
	rig crds standard
	tap_is 'an upgrade of the CRDs' "$(bundle)" "standard v1.7.0"
	# A kind is served some time after its CRD is there, each in its turn.
	wait_until 30 tcp_route && wait_until 60 answers 9000 && wait_until 60 all_watched
	tap_ok $? 'kinds that came later are watched and served'

	kubectl annotate --overwrite crd gatewayclasses.gateway.networking.k8s.io \
		gateway.networking.k8s.io/bundle-version=v1.99.0 >/dev/null
	rig stop -node 1 -program weir && rig weir up >/dev/null
	wait_until 30 says UnsupportedVersion
	tap_is 'a release that nobody knows is said to be one' "$(supported)" UnsupportedVersion
	tap_is 'the class is accepted all the same' "$(kubectl get gatewayclass weir \
		-o 'jsonpath={.status.conditions[?(@.type=="Accepted")].status}')" True

	# Their own policy refuses another channel on top; a user deletes it, too.
	kubectl delete validatingadmissionpolicybinding,validatingadmissionpolicy \
		safe-upgrades.gateway.networking.k8s.io >/dev/null
	kubectl get crd -o name | grep 'gateway.networking.k8s.io$' | xargs "$cluster_root/tests/cluster/rig" kubectl delete >/dev/null
	wait_until 30 is_watching Gateway 0
	tap_ok $? 'without any CRD nothing is watched'
done
tap_end
